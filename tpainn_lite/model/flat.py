"""Many structures in a few flat arrays, from which a batch is cut in microseconds: what is trained on.

A step on ten small molecules takes less time than joining ten graphs of them, and a thousand graphs of a dozen small
tensors each take several times the memory of their numbers.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tpainn_lite.model.graph import PAIRS, Graph, together

OF_ATOMS, OF_PAIRS = ("atomic_numbers", "forces"), (PAIRS, "r_ij")
Places = Sequence[int] | NDArray
TOGETHER = 256  # graphs that are there at the same time while they are brought into flat arrays


class FlatGraphs:
    """Graphs, as `tpainn_lite.model.graph.graphs_of` makes them, all with the same labels.

    ``whole`` is all of them as one batch; what is given to it, an array with an entry for each graph, is cut with it.
    """

    def __init__(self, graphs: Iterable[Graph]) -> None:
        graphs, parts, sizes = iter(graphs), [], []
        while few := list(itertools.islice(graphs, TOGETHER)):
            sizes += [(graph.num_nodes, graph.num_edges) for graph in few]
            parts.append(together(few))
        self.n_atoms, self.n_pairs = np.array(sizes, np.int64).reshape(-1, 2).T
        self.first_atom, self.first_pair = (np.cumsum([0, *each]) for each in (self.n_atoms, self.n_pairs))
        first = itertools.accumulate((part.num_nodes for part in parts), initial=0)
        for part, n in zip(parts, first, strict=False):
            part.edge_index += n
        names = [name for name in vars(parts[0]) if name != "batch"]
        self.whole = Graph(**{n: torch.cat([part[n] for part in parts], dim=-1 if n == PAIRS else 0) for n in names})
        self.whole.batch = torch.from_numpy(np.repeat(np.arange(len(self)), self.n_atoms))

    def __len__(self) -> int:
        return len(self.n_atoms)

    def __getitem__(self, place: int) -> Graph:
        return self.batch([place])

    def batch(self, chosen: Places) -> Graph:
        """The structures with these places in the list, as `together` joins them."""
        pairs = torch.from_numpy(ranges(self.first_pair, chosen))
        moved = np.repeat(self.moved(chosen), self.n_pairs[chosen])
        return Graph(
            edge_index=self.whole.edge_index[:, pairs] + torch.from_numpy(moved),
            r_ij=self.whole.r_ij[pairs],
            **self.without_pairs(chosen),
        )

    def without_pairs(self, chosen: Places) -> dict[str, Tensor]:
        """All of a batch but its pairs; ``batch`` (N,) says which structure an atom is in."""
        atoms, structures = torch.from_numpy(ranges(self.first_atom, chosen)), torch.as_tensor(chosen)
        cut = {
            name: array[atoms if name in OF_ATOMS else structures]
            for name, array in vars(self.whole).items()
            if name not in (*OF_PAIRS, "batch")
        }
        return {**cut, "batch": torch.from_numpy(np.repeat(np.arange(len(chosen)), self.n_atoms[chosen]))}

    def moved(self, chosen: Places) -> NDArray:
        """By how much the number of each structure's first atom grows from ``whole`` to a batch, (B,)."""
        n_atoms = self.n_atoms[chosen]
        return np.cumsum(n_atoms) - n_atoms - self.first_atom[chosen]


def ranges(first: NDArray, chosen: Places) -> NDArray:
    """All places from ``first[k]`` to before ``first[k + 1]``, for each chosen k.

    >>> ranges(np.array([0, 2, 5]), [1, 0])
    array([2, 3, 4, 0, 1])
    """
    return np.concatenate([np.arange(first[k], first[k + 1]) for k in chosen])
