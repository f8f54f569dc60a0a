"""Pairs of atoms as the compiled loops want them: each pair once, and the filters' table as cubic splines.

The filters W(d) of `painn.py` depend on the distance alone.  They are read from a table of coefficients of cubic
B-splines: at a distance d, in the interval k, W(d) = Σ_m B_m(u) c_{k+m}, m = 0 … 3, where u is how far d has come from
one knot to the next.  One read serves both directions of a pair, from i to j and from j to i.
"""

from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from tpainn_lite.model.flat import FlatGraphs, Places, ranges
from tpainn_lite.model.painn import RadialBasis, cosine_cutoff
from tpainn_lite.model.vectors import padded

INTERVALS = 512  # of the splines, from 0 to the cutoff: forces are right to 1e-5 of the largest


class Pairs(NamedTuple):
    """E pairs, each of them once."""

    first: NDArray  # (N + 1,) where the pairs of each atom i begin
    idx_j: NDArray  # (E,)
    row: NDArray  # (E,) of the first of the four coefficients
    spline: NDArray  # (E, 8) the four B(u), and their slopes by the distance, 1/Å
    place: NDArray  # (E, 4) direction from i to j, distance in Å

    @classmethod
    def of(cls, n_atoms: int, idx_i: NDArray, idx_j: NDArray, r_ij: NDArray, cutoff: float) -> "Pairs":
        """From ``idx_i`` (E,) ascending, ``idx_j`` (E,) and ``r_ij`` (E, 3) in Å; with each pair its reverse."""
        most = len(idx_i) // 2 + 1
        first = np.empty(n_atoms + 1, np.int64)
        neighbours, row = np.empty(most, np.int64), np.empty(most, np.int64)
        spline, place = np.empty((most, 8), np.float32), np.empty((most, 4), np.float32)
        known = (np.ascontiguousarray(array) for array in (idx_i, idx_j, r_ij))
        n = _take_half(*known, cutoff, INTERVALS / cutoff, first, neighbours, row, spline, place)
        return cls(first, *(array[:n] for array in (neighbours, row, spline, place)))


class FlatBatch(SimpleNamespace):
    """A batch of B structures with N atoms, and their labels, as `FlatGraphs` has them."""

    atomic_numbers: Tensor  # (N,)
    batch: Tensor  # (N,) which structure an atom is in
    volume: Tensor  # (B,) Å³
    num_graphs: int  # B
    pairs: Pairs


class FlatPairs:
    """Graphs with such pairs, found once, from which batches are cut."""

    def __init__(self, graphs: FlatGraphs, cutoff: float) -> None:
        idx_j, idx_i = graphs.whole.edge_index.numpy()
        self.graphs = graphs
        self.pairs = Pairs.of(graphs.whole.num_nodes, idx_i, idx_j, graphs.whole.r_ij.numpy(), cutoff)
        self.neighbours = np.diff(self.pairs.first)  # of each atom
        self.first_pair = self.pairs.first[graphs.first_atom]

    def batch(self, chosen: Places) -> FlatBatch:
        """The structures with these places in the list."""
        pairs, atoms = ranges(self.first_pair, chosen), ranges(self.graphs.first_atom, chosen)
        idx_j, *of_pairs = (array[pairs] for array in self.pairs[1:])
        first = np.zeros(len(atoms) + 1, np.int64)
        np.cumsum(self.neighbours[atoms], out=first[1:])
        neighbours = idx_j + np.repeat(self.graphs.moved(chosen), np.diff(self.first_pair)[chosen])
        return FlatBatch(
            num_graphs=len(chosen),
            pairs=Pairs(first, neighbours, *of_pairs),
            **self.graphs.without_pairs(chosen),
        )


@njit(cache=True, nogil=True, error_model="numpy")
def _take_half(idx_i, idx_j, r_ij, cutoff, per_angstrom, first, neighbours, row, spline, place):
    """Of each pair the direction in which j > i; of an atom and its images those in the upper half of space.  Two atoms
    in one place have no direction: it is not a number, and so is the energy."""
    n, atom = 0, 0
    first[0] = 0
    for e in range(len(idx_i)):
        i, j, x, y, z = idx_i[e], idx_j[e], float(r_ij[e, 0]), float(r_ij[e, 1]), float(r_ij[e, 2])
        while atom < i:
            atom += 1
            first[atom] = n
        d = np.sqrt(x * x + y * y + z * z)
        is_first = j > i or (j == i and (z > 0 or (z == 0 and (y > 0 or (y == 0 and x > 0)))))
        if not is_first or d >= cutoff:
            continue
        k = int(d * per_angstrom)
        u = d * per_angstrom - k
        neighbours[n], row[n] = j, k
        s, p = spline[n], place[n]
        s[0], s[1] = (1 - u) ** 3 / 6, (3 * u**3 - 6 * u**2 + 4) / 6
        s[2], s[3] = (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6, u**3 / 6
        s[4], s[5] = -per_angstrom * (1 - u) ** 2 / 2, per_angstrom * (3 * u**2 - 4 * u) / 2
        s[6], s[7] = per_angstrom * (-3 * u**2 + 2 * u + 1) / 2, per_angstrom * u**2 / 2
        p[0], p[1], p[2], p[3] = x / d, y / d, z / d, d
        n += 1
    first[atom + 1 :] = n
    return n


@lru_cache
def splines(n_rbf: int, cutoff: float) -> Tensor:
    """Coefficients of each faded basis function of `PaiNN.features`, (INTERVALS + 3, padded n_rbf + 1): the splines
    that have its values at all knots, and no slope at both ends."""
    d = (torch.arange(INTERVALS + 1, dtype=torch.float64) * cutoff / INTERVALS).clamp(min=1e-6)  # (K + 1,) Å
    fade = cosine_cutoff(d, cutoff).unsqueeze(-1)
    values = torch.cat([RadialBasis(n_rbf, cutoff).double()(d) * fade, fade], dim=-1)  # (K + 1, n_rbf + 1)
    known, equations = np.zeros((INTERVALS + 3, n_rbf + 1)), np.zeros((INTERVALS + 3, INTERVALS + 3))
    known[1:-1] = values.numpy()
    for m in range(INTERVALS + 1):
        equations[m + 1, m : m + 3] = 1 / 6, 4 / 6, 1 / 6
    equations[0, :3] = equations[-1, -3:] = -0.5, 0.0, 0.5
    table = torch.zeros(INTERVALS + 3, padded(n_rbf + 1))
    table[:, : n_rbf + 1] = torch.from_numpy(np.linalg.solve(equations, known))
    return table


@njit(cache=True, nogil=True, error_model="numpy")
def push(pairs_first, idx_j, place, by_place, batch, by_positions, virial):
    """Slopes by distance and direction, ``by_place`` (E, 4), to those by positions (N, 3) and strain (B, 3, 3), which
    are added to what is there."""
    p, r = np.empty(3), np.empty(3)
    for i in range(len(pairs_first) - 1):
        strained = virial[batch[i]]
        for e in range(pairs_first[i], pairs_first[i + 1]):
            j, d, slope, to = idx_j[e], float(place[e, 3]), by_place[e], place[e]
            radial = slope[0] - (slope[1] * to[0] + slope[2] * to[1] + slope[3] * to[2]) / d
            for c in range(3):
                p[c], r[c] = radial * to[c] + slope[1 + c] / d, to[c] * d
                by_positions[i, c] -= p[c]
                by_positions[j, c] += p[c]
            for c in range(3):
                for other in range(3):
                    strained[c, other] += r[c] * p[other]
