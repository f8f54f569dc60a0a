"""Many structures in a few flat arrays, from which a batch is cut in microseconds: what the compiled step trains on.

A step on ten small molecules takes less time than joining ten graphs of them.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tpainn_lite.model.graph import Graph, unpack
from tpainn_lite.model.pairs import Pairs

OF_ATOMS = "forces"
LABELS = (OF_ATOMS, "stress", "target", "number", "has_energy", "has_forces", "has_stress")


class FlatBatch(SimpleNamespace):
    """A batch of B structures: N atoms, E pairs; and their labels, as PyG's `Batch` has them."""

    atomic_numbers: Tensor  # (N,)
    batch: Tensor  # (N,) which structure an atom is in
    volume: Tensor  # (B,) Å³
    num_graphs: int  # B
    pairs: Pairs


class FlatGraphs:
    """Graphs, as `tpainn_lite.model.graph.graphs_of` makes them, in flat arrays."""

    def __init__(self, graphs: Sequence[Graph], cutoff: float) -> None:
        self.n_atoms = np.array([graph.num_nodes for graph in graphs])
        pairs = [_pairs(graph, cutoff) for graph in graphs]
        self.n_pairs = np.array([len(each.idx_j) for each in pairs])
        self.first_atom, self.first_pair = (np.cumsum([0, *sizes]) for sizes in (self.n_atoms, self.n_pairs))
        self.neighbours = np.concatenate([np.diff(each.first) for each in pairs])  # of each atom
        self.pairs = [np.concatenate(arrays) for arrays in list(zip(*pairs, strict=True))[1:]]
        self.numbers, self.volume = (
            torch.cat([graph[key] for graph in graphs]) for key in ("atomic_numbers", "volume")
        )
        self.labels = {key: torch.cat([graph[key] for graph in graphs]) for key in LABELS if key in graphs[0]}

    def batch(self, chosen: Sequence[int]) -> FlatBatch:
        """The structures with these places in the list."""
        atoms, pairs = (_ranges(first, chosen) for first in (self.first_atom, self.first_pair))
        n_atoms, n_pairs = (sizes[np.asarray(chosen)] for sizes in (self.n_atoms, self.n_pairs))
        idx_j, *of_pairs = (array[pairs] for array in self.pairs)
        first_atom = np.cumsum(n_atoms) - n_atoms
        first = np.zeros(len(atoms) + 1, np.int64)
        np.cumsum(self.neighbours[atoms], out=first[1:])
        neighbours = idx_j + np.repeat(first_atom, n_pairs)
        index, of_structure = torch.from_numpy(atoms), torch.as_tensor(chosen)
        return FlatBatch(
            atomic_numbers=self.numbers[index],
            batch=torch.from_numpy(np.repeat(np.arange(len(chosen)), n_atoms)),
            volume=self.volume[of_structure],
            num_graphs=len(chosen),
            pairs=Pairs(first, neighbours, *of_pairs),
            **{key: label[index if key == OF_ATOMS else of_structure] for key, label in self.labels.items()},
        )


def _pairs(graph, cutoff):
    idx_i, idx_j, _, _ = unpack(graph)
    return Pairs.of(graph.num_nodes, idx_i.numpy(), idx_j.numpy(), graph.r_ij.numpy(), cutoff)


def _ranges(first: NDArray, chosen: Sequence[int]) -> NDArray:
    return np.concatenate([np.arange(first[k], first[k + 1]) for k in chosen])
