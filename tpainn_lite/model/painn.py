"""PaiNN, the polarizable atom interaction neural network (Schütt, Unke, Gastegger 2021, arXiv:2102.03150).

Every atom carries scalar features s, which do not change when the molecule turns, and vector features v, which turn
with it.  Three times over, atoms first tell their neighbours what they are (`Interaction`, the paper's message block,
Fig. 2b), then think about what they heard (`Mixing`, the update block, Fig. 2c).  At the end each atom's s says its
part of the energy.

| symbol      | here     | shape        | meaning                                             |
|-------------|----------|--------------|-----------------------------------------------------|
| s_i         | ``s``    | (N, F)       | scalar features                                     |
| v_i         | ``v``    | (N, 3, F)    | vector features; F comes last, so that a Linear never mixes x, y, z |
| r_ij        | ``r_ij`` | (E, 3)       | from atom i to its neighbour j, Å                   |
| W(d_ij)     | ``W``    | (E, 3F)      | filters: how much of each feature passes at distance d_ij |
| φ, a        | ``phi``, ``a`` | (N, 3F) | small networks of each atom's scalars               |
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from tpainn_lite.structures.arguments import check_counts, check_numbers

MAX_ATOMIC_NUMBER = 100
MOST_FEATURES, MOST_INTERACTIONS, FARTHEST_CUTOFF = 2048, 100, 100.0  # that somebody can have meant; Å
EPSILON = 1e-8  # keeps the slope of a vector's length finite at zero length


class RadialBasis(nn.Module):
    """Sine waves over distance, sin(nπd/r_c)/d, n = 1 … ``n_rbf`` (paper, Eq. 10; from DimeNet).

    >>> RadialBasis(n_rbf=20, cutoff=5.0)(torch.tensor([1.0, 2.0])).shape
    torch.Size([2, 20])
    """

    frequencies: Tensor

    def __init__(self, n_rbf: int, cutoff: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.arange(1, n_rbf + 1) * math.pi / cutoff)  # (n_rbf,)

    def forward(self, d_ij: Tensor) -> Tensor:
        """Distances (E,) in Å to basis functions (E, n_rbf)."""
        d_ij = d_ij.unsqueeze(-1)  # (E, 1)
        return torch.sin(self.frequencies * d_ij) / d_ij  # (E, n_rbf)


def cosine_cutoff(d_ij: Tensor, cutoff: float) -> Tensor:
    """½ (cos(πd/r_c) + 1) of distances (E,) in Å, 0 beyond the cutoff, where value and slope both fade to 0.

    >>> cosine_cutoff(torch.tensor([0.0, 2.5, 5.0]), cutoff=5.0).round(decimals=3)
    tensor([1.0000, 0.5000, 0.0000])
    """
    return 0.5 * (torch.cos(d_ij * (math.pi / cutoff)) + 1) * (d_ij < cutoff)  # (E,)


class Interaction(nn.Module):
    """The message block: what atom i hears from its neighbours j (paper, Eqs. 7 and 8; Fig. 2b).

    Δs_i = Σ_j φ_s(s_j) ∘ W_s(d_ij)
    Δv_i = Σ_j φ_r(s_j) ∘ W_r(d_ij) r_ij/d_ij  +  Σ_j φ_v(s_j) ∘ W_v(d_ij) ∘ v_j

    In the first round no atom has vectors yet (v is None), and the last sum and its parameters are not there.
    """

    def __init__(self, n_features: int, n_rbf: int, first: bool = False) -> None:
        super().__init__()
        n_messages = 2 if first else 3
        self.phi = nn.Sequential(
            nn.Linear(n_features, n_features), nn.SiLU(), nn.Linear(n_features, n_messages * n_features)
        )
        self.W = nn.Linear(n_rbf + 1, n_messages * n_features, bias=False)

    def forward(
        self, s: Tensor, v: Tensor | None, basis: Tensor, dir_ij: Tensor, idx_i: Tensor, idx_j: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(s (N, F), v (N, 3, F)) after hearing from the neighbours."""
        message = self.phi(s).index_select(0, idx_j) * self.W(basis)  # (E, 3F)
        to_s, along_r, *along_v = message.split(s.shape[-1], dim=-1)  # 3 × (E, F)
        v_new = []
        for axis in range(3):  # x, y, z one after the other: smaller arrays, which stay in the processor's cache
            to_v = along_r * dir_ij[:, axis, None]  # (E, F)
            v_i = torch.zeros_like(s) if v is None else v[:, axis]  # (N, F)
            if v is not None:
                to_v = to_v + along_v[0] * v_i.index_select(0, idx_j)  # (E, F)
            v_new.append(v_i.index_add(0, idx_i, to_v))  # (N, F)
        return s.index_add(0, idx_i, to_s), torch.stack(v_new, dim=1)  # (N, F), (N, 3, F)


class Mixing(nn.Module):
    """The update block: scalars and vectors of one atom inform each other (paper, Eqs. 9 and 10; Fig. 2c).

    Δs_i = a_ss + a_sv ⟨U v_i, V v_i⟩
    Δv_i = a_vv ∘ U v_i,   with a_ss, a_sv, a_vv = a(s_i, ‖V v_i‖)

    U and V have no bias: a constant vector would point somewhere, and nothing in an empty room does.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.VU = nn.Linear(n_features, 2 * n_features, bias=False)
        self.a = nn.Sequential(nn.Linear(2 * n_features, n_features), nn.SiLU(), nn.Linear(n_features, 3 * n_features))

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """(s (N, F), v (N, 3, F)) after mixing."""
        Vv, Uv = self.VU(v).chunk(2, dim=-1)  # 2 × (N, 3, F)
        length = torch.sqrt(Vv.square().sum(dim=1) + EPSILON)  # (N, F)
        a_ss, a_vv, a_sv = self.a(torch.cat([s, length], dim=-1)).chunk(3, dim=-1)  # 3 × (N, F)
        return s + a_ss + a_sv * (Uv * Vv).sum(dim=1), v + a_vv.unsqueeze(1) * Uv  # (N, F), (N, 3, F)


class PaiNN(nn.Module):
    """Graph in, one local energy per atom out.

    Parameters
    ----------
    n_features
        F, the width of s and v (paper: 128).
    n_interactions
        Rounds of Interaction and Mixing (paper: 3).
    n_rbf
        Radial basis functions (paper: 20).
    cutoff
        Å (paper: 5).

    >>> sum(weights.numel() for weights in PaiNN().parameters())
    151873
    """

    def __init__(self, n_features: int = 64, n_interactions: int = 3, n_rbf: int = 20, cutoff: float = 5.0) -> None:
        super().__init__()
        check_counts(2, MOST_FEATURES, n_features=n_features)
        check_counts(1, MOST_INTERACTIONS, n_interactions=n_interactions)
        check_counts(1, MOST_FEATURES, n_rbf=n_rbf)
        check_numbers(above=0, cutoff=cutoff)
        if cutoff > FARTHEST_CUTOFF:
            raise ValueError(f"cutoff is {cutoff:g} Å; at most {FARTHEST_CUTOFF:g} Å are possible")
        self.n_features, self.n_interactions, self.n_rbf, self.cutoff = n_features, n_interactions, n_rbf, cutoff
        self.embedding = nn.Embedding(MAX_ATOMIC_NUMBER + 1, n_features, padding_idx=0)
        self.radial_basis = RadialBasis(n_rbf, cutoff)
        self.interactions = nn.ModuleList(Interaction(n_features, n_rbf, first=k == 0) for k in range(n_interactions))
        self.mixings = nn.ModuleList(Mixing(n_features) for _ in range(n_interactions))
        self.readout = nn.Sequential(nn.Linear(n_features, n_features // 2), nn.SiLU(), nn.Linear(n_features // 2, 1))

    def features(self, atomic_numbers: Tensor, r_ij: Tensor, idx_i: Tensor, idx_j: Tensor) -> tuple[Tensor, Tensor]:
        """The scalar and vector features of each atom after the last mixing, (N, F) and (N, 3, F)."""
        d_ij = torch.linalg.vector_norm(r_ij, dim=-1)  # (E,)
        dir_ij = r_ij / d_ij.unsqueeze(-1)  # (E, 3)
        fade = cosine_cutoff(d_ij, self.cutoff).unsqueeze(-1)  # (E, 1)
        # W(d) = (linear(radial basis) + bias) · fade: the faded basis, with the fade itself in place of the bias
        basis = torch.cat([self.radial_basis(d_ij) * fade, fade], dim=-1)  # (E, n_rbf + 1)
        s: Tensor = self.embedding(atomic_numbers)  # (N, F)
        v: Any = None
        for interaction, mixing in zip(self.interactions, self.mixings, strict=True):
            s, v = interaction(s, v, basis, dir_ij, idx_i, idx_j)
            s, v = mixing(s, v)
        return s, v

    def forward(self, atomic_numbers: Tensor, r_ij: Tensor, idx_i: Tensor, idx_j: Tensor) -> Tensor:
        """``local_energies`` (N,) from ``atomic_numbers`` (N,), ``r_ij`` (E, 3), ``idx_i`` (E,), ``idx_j`` (E,)."""
        s, _ = self.features(atomic_numbers, r_ij, idx_i, idx_j)
        return self.readout(s).squeeze(-1)  # (N,)
