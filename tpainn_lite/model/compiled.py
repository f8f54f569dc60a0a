"""PaiNN for MD on a CPU: the same numbers as `painn.py`, several times as fast.

`painn.py` is written to be read and trained.  Here energy, forces and virial of a trained network are computed with its
backward pass written out by hand, so that no graph of operations is kept; the radial filters W(d), which depend on the
distance alone, are read from a table with cubic interpolation; and the sums over neighbours are compiled by Numba.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from tpainn_lite.model import pointwise
from tpainn_lite.model.graph import AnyGraph, unpack
from tpainn_lite.model.painn import Interaction, Mixing, PaiNN, RadialBasis, cosine_cutoff

INTERVALS = 512  # of the tables of the filters, from 0 to the cutoff: forces are right to 1e-5 of the largest


class Pairs(NamedTuple):
    """Neighbours as the compiled loops want them."""

    first: NDArray  # (N + 1,) where the pairs of each atom begin
    idx_j: NDArray  # (E,)
    row: NDArray  # (E,) of the tables of the filters
    rest: NDArray  # (E,) how far the distance is from this row to the next, 0 to 1
    d_ij: NDArray  # (E,) Å
    dir_ij: NDArray  # (E, 3)

    @classmethod
    def of(cls, n_atoms: int, idx_i: NDArray, idx_j: NDArray, r_ij: NDArray, cutoff: float) -> "Pairs":
        """From ``idx_i`` (E,) ascending, ``idx_j`` (E,) and ``r_ij`` (E, 3) in Å; with each pair its reverse."""
        d_ij = np.sqrt(np.einsum("ex,ex->e", r_ij, r_ij))  # (E,)
        first = np.searchsorted(idx_i, np.arange(n_atoms + 1))  # (N + 1,)
        place = d_ij * (INTERVALS / cutoff)  # (E,)
        row = place.astype(np.int64)
        directions = (r_ij / d_ij[:, None]).astype(np.float32)  # (E, 3)
        rest = (place - row).astype(np.float32)
        return cls(first, idx_j.astype(np.int64), row, rest, d_ij.astype(np.float32), directions)


class FastPotential:
    """Energy, forces and virial, from the weights of a `Potential` (in float32, as they are now)."""

    def __init__(self, potential: Any) -> None:
        painn = potential.painn
        self.n_features, self.cutoff = painn.n_features, painn.cutoff
        self.scale = potential.scale.item()
        (self.embedding,) = weights_of(painn.embedding)
        dense, listen, mix = self.blocks()
        self.rounds = [
            (dense(block.phi), listen(painn, block), mix(mixing, dense(mixing.a)))
            for block, mixing in zip(painn.interactions, painn.mixings, strict=True)
        ]
        self.readout = dense(painn.readout)

    @staticmethod
    def blocks() -> tuple[Any, Any, Any]:
        """The classes it is made of."""
        return Dense, Listen, Mix

    def of_graph(self, graph: AnyGraph, forces: bool = True) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Local energies (N,) in float32, forces (N, 3) and virials Σ_ij r_ij ⊗ ∂E/∂r_ij (B, 3, 3) in float64, of a
        graph or a batch; eV and Å.  Without ``forces`` None in the place of the last two."""
        idx_i, idx_j, batch, n_graphs = unpack(graph)
        self.pairs = Pairs.of(len(batch), idx_i.numpy(), idx_j.numpy(), graph.r_ij.numpy(), self.cutoff)
        if not forces:
            return self.local_energies(graph.atomic_numbers, self.pairs), None, None
        local, on_atoms, virial = self.of_pairs(graph.atomic_numbers, self.pairs, batch.numpy(), n_graphs)
        return local, torch.from_numpy(on_atoms), torch.from_numpy(virial)

    @torch.no_grad()
    def local_energies(self, atomic_numbers: Tensor, pairs: Pairs) -> Tensor:
        """Each atom's part of the energy (N,) in eV; what the way back needs is kept in the blocks."""
        s = self.embedding[atomic_numbers]  # (N, F)
        v = torch.zeros(len(s), 3, self.n_features)
        for phi, listen, mix in self.rounds:
            s, v = listen.forward(phi.forward(s), s, v, pairs)
            s, v = mix.forward(s, v)
        return self.scale * self.readout.forward(s).squeeze(1)  # (N,)

    @torch.no_grad()
    def of_pairs(
        self, atomic_numbers: Tensor, pairs: Pairs, batch: NDArray, n_graphs: int
    ) -> tuple[Tensor, NDArray, NDArray]:
        """Local energies (N,), forces (N, 3) and virials (B, 3, 3) of several structures, as in `graph.together`."""
        local, n = self.local_energies(atomic_numbers, pairs), len(atomic_numbers)
        gs = self.readout.back(torch.full((n, 1), self.scale))  # slopes of the energy
        gv = torch.zeros(n, 3, self.n_features)
        by_positions, virial = np.zeros((n, 3)), np.zeros((n_graphs, 3, 3))
        for phi, listen, mix in reversed(self.rounds):
            gs, gv = mix.back(gs, gv)
            gx, gv = listen.back(gs, gv, pairs, batch, by_positions, virial)
            gs = gs + phi.back(gx)
        return local, -by_positions, virial


def empty(n: int, *shape: int) -> Iterator[Tensor]:
    """So many arrays."""
    return (torch.empty(*shape) for _ in range(n))


def arrays(*tensors: Tensor) -> list[NDArray]:
    """The same memory, as NumPy's."""
    return [tensor.numpy() for tensor in tensors]


# --- the blocks of PaiNN: forward, and back from slopes g by what comes out to slopes by what went in ---


def weights_of(*linears: Any) -> list[Tensor]:
    """Weights and biases in float32."""
    tensors = []
    for linear in linears:
        tensors.append(linear.weight.detach().float().cpu().contiguous())
        if getattr(linear, "bias", None) is not None:
            tensors.append(linear.bias.detach().float().cpu())
    return tensors


class Dense:
    """Linear, SiLU, Linear."""

    def __init__(self, network: nn.Sequential) -> None:
        self.weights = weights_of(network[0], network[2])

    def forward(self, x: Tensor) -> Tensor:
        w1, b1, w2, b2 = self.weights
        self.x, self.hidden = x, torch.addmm(b1, x, w1.T)
        self.gate, self.act, self.slope = torch.sigmoid(self.hidden), *empty(2, *self.hidden.shape)
        pointwise.silu(*arrays(self.hidden, self.gate, self.act, self.slope))
        return torch.addmm(b2, self.act, w2.T)

    def back(self, g: Tensor) -> Tensor:
        w1, _, w2, _ = self.weights
        self.g, self.gated = g, g @ w2
        return (self.gated * self.slope) @ w1


class Listen:
    """`painn.Interaction`: what each atom hears from its neighbours, added to what it knows."""

    def __init__(self, painn: PaiNN, block: Interaction) -> None:
        (self.weight,), self.n_features = weights_of(block.W), painn.n_features  # (2F or 3F, n_rbf + 1)
        self.per_angstrom = INTERVALS / painn.cutoff
        self.tabulate(cubic_pieces(painn.n_rbf, painn.cutoff))
        self.kernels = _kernels(self.n_features, first_round=len(self.weight) < 3 * self.n_features)

    def tabulate(self, pieces: Tensor) -> None:
        """The filters in the intervals of these ``pieces`` (rows, 4, n_rbf + 1)."""
        rows, _, n_basis = pieces.shape
        self.table = (pieces.view(-1, n_basis) @ self.weight.T).view(rows, 4, len(self.weight)).numpy()

    def forward(self, x: Tensor, s: Tensor, v: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
        self.x, self.v = x.numpy(), v.contiguous().numpy()
        heard_s, heard_v = s.clone(), v.clone()
        self.kernels[0](self.x, self.v, *pairs, self.table, heard_s.numpy(), heard_v.numpy())
        return heard_s, heard_v

    def back(
        self, gs: Tensor, gv: Tensor, pairs: Pairs, batch: NDArray, by_positions: NDArray, virial: NDArray
    ) -> tuple[Tensor, Tensor]:
        """Slopes by x and v; those by the positions and the strain are added to the last two arguments."""
        self.gs, self.gv = gs.contiguous().numpy(), gv.contiguous().numpy()
        gx, g_sent = torch.zeros(self.x.shape), gv.clone()
        inputs, outputs = (self.x, self.v, self.gs, self.gv), (gx.numpy(), g_sent.numpy(), by_positions, virial)
        self.kernels[1](*inputs, *pairs, self.table, self.per_angstrom, batch, *outputs)
        return gx, g_sent


class Mix:
    """`painn.Mixing`."""

    def __init__(self, mixing: Mixing, a: Any) -> None:
        (self.VU,), self.a = weights_of(mixing.VU), a

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        n, f = s.shape
        self.v, self.vectors = v, (v.view(-1, f) @ self.VU.T).view(n, 3, 2 * f)
        self.sl, self.dot, s_out, v_out = (
            torch.empty(n, 2 * f),
            torch.empty(n, f),
            torch.empty(n, f),
            torch.empty(n, 3, f),
        )
        pointwise.lengths(*arrays(s, self.vectors, self.sl, self.dot))
        self.factors = self.a.forward(self.sl)
        pointwise.mixed(*arrays(s, v, self.vectors, self.factors, self.dot, s_out, v_out))
        return s_out, v_out

    def back(self, gs: Tensor, gv: Tensor) -> tuple[Tensor, Tensor]:
        """``gs`` is changed into its result."""
        n, f = gs.shape
        by_a, self.by_VU = torch.empty(n, 3 * f), torch.empty(n, 3, 2 * f)
        self.gs, self.gv = gs, gv
        pointwise.by_factors(*arrays(gs, gv, self.vectors, self.dot, by_a))
        self.by_sl, gs_out = self.a.back(by_a), torch.empty(n, f)
        pointwise.by_products(*arrays(gs, gv, self.vectors, self.factors, self.sl, self.by_sl, self.by_VU, gs_out))
        return gs_out, torch.addmm(gv.view(-1, f), self.by_VU.view(-1, 2 * f), self.VU).view(n, 3, f)


# --- filters ---


@lru_cache
def cubic_pieces(n_rbf: int, cutoff: float) -> Tensor:
    """Hermite's cubic pieces of each faded basis function of `PaiNN.features`, (INTERVALS + 1, 4, n_rbf + 1)."""
    d = (torch.arange(INTERVALS + 2, dtype=torch.float64) * cutoff / INTERVALS).clamp(min=1e-3).requires_grad_()
    with torch.enable_grad():
        fade = cosine_cutoff(d, cutoff).unsqueeze(-1)
        basis = torch.cat([RadialBasis(n_rbf, cutoff).double()(d) * fade, fade], dim=-1)  # (K, n_rbf + 1)
        slopes = [torch.autograd.grad(column.sum(), d, retain_graph=True)[0] for column in basis.T]
    value, slope = basis.detach(), torch.stack(slopes, dim=1) * cutoff / INTERVALS
    rise, start, end = value[1:] - value[:-1], slope[:-1], slope[1:]
    pieces = torch.stack([value[:-1], start, 3 * rise - 2 * start - end, start + end - 2 * rise], dim=1)
    return pieces.float()


# --- sums over neighbours ---


@lru_cache
def _kernels(n_features, first_round):
    """`painn.Interaction` for this width, and its slopes, compiled.

    In the first round no atom has vectors to pass on.  Both are made for one width because a compiler that knows it
    makes code several times as fast.
    """
    width = (2 if first_round else 3) * n_features
    s_, r_, v_ = 0, n_features, 2 * n_features  # where the three parts of a message begin
    x_, y_, z_ = n_features, 2 * n_features, 3 * n_features  # where the three parts of a vector are added up

    @njit(fastmath=True, cache=True)
    def listen(x, v, first, idx_j, row, rest, d, direction, table, s_out, v_out):
        """Adds to s_out (N, F) and v_out (N, 3, F) what each atom hears."""
        w, heard = np.empty(width, np.float32), np.empty(4 * n_features, np.float32)
        for i in range(len(s_out)):
            heard[:] = 0
            for e in range(first[i], first[i + 1]):
                j, k, u = idx_j[e], row[e], rest[e]
                c0, c1, c2, c3 = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
                for f in range(width):
                    w[f] = (c0[f] + u * (c1[f] + u * (c2[f] + u * c3[f]))) * x[j, f]
                dx, dy, dz = direction[e, 0], direction[e, 1], direction[e, 2]
                vx, vy, vz = v[j, 0], v[j, 1], v[j, 2]
                for f in range(n_features):
                    passed = np.float32(0) if first_round else w[v_ + f]
                    heard[f] += w[s_ + f]
                    heard[x_ + f] += w[r_ + f] * dx + passed * vx[f]
                    heard[y_ + f] += w[r_ + f] * dy + passed * vy[f]
                    heard[z_ + f] += w[r_ + f] * dz + passed * vz[f]
            for f in range(n_features):
                s_out[i, f] += heard[f]
                v_out[i, 0, f] += heard[x_ + f]
                v_out[i, 1, f] += heard[y_ + f]
                v_out[i, 2, f] += heard[z_ + f]

    @njit(fastmath=True, cache=True)
    def listen_back(
        x, v, gs, gv, first, idx_j, row, rest, d, direction, table, per_angstrom, batch, gx, gv_out, g_positions, virial
    ):
        """Slopes by x and v of the speakers, by the positions, and the virial, all added to what is there.

        Each atom a is taken as the one who speaks: its neighbours b are the listeners, and r points from b to a,
        against the direction that is stored; so all sums but three numbers stay with a.
        """
        w, dw = np.empty(width, np.float32), np.empty(width, np.float32)
        of_x, of_v = np.empty(3 * n_features, np.float32), np.empty(3 * n_features, np.float32)
        for a in range(len(gs)):
            of_x[:] = 0
            of_v[:] = 0
            xa, vx, vy, vz = x[a], v[a, 0], v[a, 1], v[a, 2]
            for e in range(first[a], first[a + 1]):
                b, k, u = idx_j[e], row[e], rest[e]
                c0, c1, c2, c3 = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
                for f in range(width):
                    w[f] = c0[f] + u * (c1[f] + u * (c2[f] + u * c3[f]))
                    dw[f] = (c1[f] + u * (2 * c2[f] + 3 * u * c3[f])) * xa[f]
                dx, dy, dz = -direction[e, 0], -direction[e, 1], -direction[e, 2]
                gsb, gx_b, gy_b, gz_b = gs[b], gv[b, 0], gv[b, 1], gv[b, 2]
                by_d, by_x, by_y, by_z = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for f in range(n_features):
                    q = gx_b[f] * dx + gy_b[f] * dy + gz_b[f] * dz
                    of_x[s_ + f] += gsb[f] * w[s_ + f]
                    of_x[r_ + f] += q * w[r_ + f]
                    along = xa[r_ + f] * w[r_ + f]
                    by_x += gx_b[f] * along
                    by_y += gy_b[f] * along
                    by_z += gz_b[f] * along
                    by_d += gsb[f] * dw[s_ + f] + q * dw[r_ + f]
                    if not first_round:
                        p = gx_b[f] * vx[f] + gy_b[f] * vy[f] + gz_b[f] * vz[f]
                        of_x[v_ + f] += p * w[v_ + f]
                        by_d += p * dw[v_ + f]
                        passed = xa[v_ + f] * w[v_ + f]
                        of_v[s_ + f] += gx_b[f] * passed
                        of_v[r_ + f] += gy_b[f] * passed
                        of_v[v_ + f] += gz_b[f] * passed
                radial = by_d * per_angstrom - (by_x * dx + by_y * dy + by_z * dz) / d[e]
                push = (radial * dx + by_x / d[e], radial * dy + by_y / d[e], radial * dz + by_z / d[e])
                r = (dx * d[e], dy * d[e], dz * d[e])
                for c in range(3):
                    g_positions[a, c] += push[c]
                    g_positions[b, c] -= push[c]
                    for other in range(3):
                        virial[batch[a], c, other] += r[c] * push[other]
            for f in range(width):
                gx[a, f] += of_x[f]
            for f in range(n_features):
                gv_out[a, 0, f] += of_v[s_ + f]
                gv_out[a, 1, f] += of_v[r_ + f]
                gv_out[a, 2, f] += of_v[v_ + f]

    return listen, listen_back
