"""PaiNN once more, in the words that TorchScript understands, so that programs without Python can run it.

The weights and their small networks are those of `tpainn_lite.model.painn`, whose `forward` this repeats; a test
compares the two.  Parts of a tensor are slices here: TorchScript's own derivative of ``chunk`` and ``split`` fails from
the second call on where a part is not needed (torch 2.13), as the vectors after the last mixing.
"""

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tpainn_lite.model.painn import EPSILON, PaiNN


@contextmanager
def torch_without_pyg() -> Iterator[None]:
    """torch as TorchScript knows it: PyG, once loaded, has put a function of its own in the place of
    ``torch.index_select``, which TorchScript cannot compile.

    >>> with torch_without_pyg():
    ...     scripted = torch.jit.script(nn.Linear(2, 1))
    """
    pyg, there = sys.modules.get("torch_geometric.hash_tensor"), torch.index_select
    torch.index_select = getattr(pyg, "_old_index_select", there)
    try:
        yield
    finally:
        torch.index_select = there


class ScriptedPaiNN(nn.Module):
    """A copy of a network in double precision, without gradients of its weights, that ``torch.jit.script`` accepts.

    >>> network = torch.jit.script(ScriptedPaiNN(PaiNN()))
    """

    frequencies: Tensor

    def __init__(self, painn: PaiNN) -> None:
        super().__init__()
        painn = copy.deepcopy(painn).double().cpu().eval().requires_grad_(False)
        self.cutoff, self.n_features = float(painn.cutoff), int(painn.n_features)
        self.embedding, self.readout = painn.embedding, painn.readout
        self.register_buffer("frequencies", painn.radial_basis.frequencies)
        self.messages = nn.ModuleList(_Message(layer) for layer in painn.interactions)
        self.mixings = nn.ModuleList(_Mixing(layer) for layer in painn.mixings)

    def forward(self, atomic_numbers: Tensor, r_ij: Tensor, idx_i: Tensor, idx_j: Tensor) -> Tensor:
        """``local_energies`` (N,) from ``atomic_numbers`` (N,), ``r_ij`` (E, 3), ``idx_i`` (E,), ``idx_j`` (E,)."""
        d_ij = torch.sqrt((r_ij * r_ij).sum(dim=1, keepdim=True))  # (E, 1)
        dir_ij = r_ij / d_ij  # (E, 3)
        fade = 0.5 * (torch.cos(d_ij * (torch.pi / self.cutoff)) + 1) * (d_ij < self.cutoff)  # (E, 1)
        basis = torch.cat([torch.sin(self.frequencies * d_ij) / d_ij * fade, fade], dim=1)  # (E, n_rbf + 1)
        s = self.embedding(atomic_numbers)  # (N, F)
        v = torch.zeros(s.shape[0], 3, s.shape[1], dtype=s.dtype, device=s.device)  # (N, 3, F)
        for message, mixing in zip(self.messages, self.mixings):  # noqa: B905  TorchScript knows no `strict`
            s, v = message(s, v, basis, dir_ij, idx_i, idx_j)
            s, v = mixing(s, v)
        return self.readout(s)[:, 0]  # (N,)


class _Message(nn.Module):
    """As `tpainn_lite.model.painn.Interaction`."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.phi, self.W = layer.phi, layer.W
        self.first = bool(layer.W.out_features == 2 * layer.phi[0].in_features)

    def forward(
        self, s: Tensor, v: Tensor, basis: Tensor, dir_ij: Tensor, idx_i: Tensor, idx_j: Tensor
    ) -> tuple[Tensor, Tensor]:
        n = s.shape[1]
        message = self.phi(s).index_select(0, idx_j) * self.W(basis)  # (E, 3F)
        to_v = message[:, None, n : 2 * n] * dir_ij[:, :, None]  # (E, 3, F)
        if not self.first:
            to_v = to_v + message[:, None, 2 * n :] * v.index_select(0, idx_j)
        return s.index_add(0, idx_i, message[:, :n]), v.index_add(0, idx_i, to_v)


class _Mixing(nn.Module):
    """As `tpainn_lite.model.painn.Mixing`."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.VU, self.a = layer.VU, layer.a
        self.epsilon = float(EPSILON)

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        n = s.shape[1]
        both = self.VU(v)  # (N, 3, 2F)
        Vv, Uv = both[:, :, :n], both[:, :, n:]  # 2 × (N, 3, F)
        length = torch.sqrt((Vv * Vv).sum(dim=1) + self.epsilon)  # (N, F)
        a = self.a(torch.cat([s, length], dim=1))  # (N, 3F)
        new_s = s + a[:, :n] + a[:, 2 * n :] * (Uv * Vv).sum(dim=1)
        return new_s, v + a[:, None, n : 2 * n] * Uv
