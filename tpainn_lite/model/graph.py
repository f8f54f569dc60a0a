"""From atoms to a graph: each atom is a node, each pair closer than the cutoff is an edge.

A potential sees a structure only through its atomic numbers and its pair vectors r_ij, from atom i to its
neighbour j.  Turning or shifting the whole structure turns every r_ij and shifts none of them.
Two examples, cutoff 5 Å:

* water, a molecule: 3 atoms, 6 pairs (each pair is listed twice, once from either end);
* one argon atom in a periodic box of 4 Å: 1 atom, 6 pairs, all of them with its own images.

For people a graph is a `torch_geometric.data.Data`, and a batch PyG's `Batch`: `to_graph`, `collate`.  The library
itself has the same arrays in a `Graph`: `graphs_of`, `together`.  That takes microseconds, and no import of PyG.
"""

from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tpainn_lite.structures.arguments import check_list, check_numbers
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import in_one_order, search_pairs

Pairs = tuple[NDArray, NDArray, NDArray]  # idx_i (E,) ascending, idx_j (E,), r_ij (E, 3) in Å
ATOMS, PAIRS = ("atomic_numbers", "r_ij", "volume"), "edge_index"
SKIN = 0.5  # Å; pairs are searched again only after an atom has moved half of this

if TYPE_CHECKING:
    from torch_geometric.data import Batch, Data


class AnyGraph(Protocol):
    """What a potential needs of a graph, one of PyG's or a `Graph`; a batch says in ``batch`` (N,) whose an atom is."""

    atomic_numbers: Tensor  # (N,)
    edge_index: Tensor  # (2, E): neighbour j, centre i
    r_ij: Tensor  # (E, 3) Å
    volume: Tensor  # (B,) Å³


class Graph(SimpleNamespace):
    """The arrays of a structure, or of a batch of them, under the names that they have in `to_graph`."""

    atomic_numbers: Tensor  # (N,)
    edge_index: Tensor  # (2, E)
    r_ij: Tensor  # (E, 3) Å
    volume: Tensor  # (B,) Å³

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: str) -> bool:
        return name in vars(self)

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.atomic_numbers)

    @property
    def num_edges(self) -> int:
        """E."""
        return self.edge_index.shape[1]

    @property
    def num_graphs(self) -> int:
        """B."""
        return len(self.volume)

    def to(self, device: torch.device | str) -> "Graph":
        """The same on a device."""
        return Graph(**{name: array.to(device) for name, array in vars(self).items()})


def to_graph(atoms: Atoms, cutoff: float, dtype: torch.dtype = torch.float32) -> "Data":
    """The graph of a structure: a molecule, a periodic box of any shape and size, or a slab.

    Parameters
    ----------
    cutoff
        Å.
    dtype
        Of the pair vectors, which are computed in float64.

    Returns
    -------
    Data
        ``atomic_numbers`` (N,), ``edge_index`` (2, E) with rows (neighbour j, centre i) and centres ascending,
        ``r_ij`` (E, 3) in Å, ``volume`` (1,) in Å³ (0 if not periodic in all directions), and the labels the
        structure carries: ``energy`` (1,) eV, ``forces`` (N, 3) eV/Å, ``stress`` (1, 3, 3) eV/Å³.

    Raises
    ------
    ValueError
        No atoms, positions that are not finite, atoms on top of each other, or a cutoff that is no positive number or
        reaches too many of them.

    >>> from tpainn_lite import molecule
    >>> to_graph(molecule("O"), cutoff=5.0).edge_index.shape
    torch.Size([2, 6])
    """
    from torch_geometric.data import Data

    return Data(**vars(_graph(atoms, cutoff, dtype)), num_nodes=len(atoms))


def _graph(atoms: Atoms, cutoff: float, dtype: torch.dtype) -> Graph:
    check_numbers(above=0, cutoff=cutoff)
    check_structure(atoms)
    graph = graph_of(atoms.numbers, neighbour_pairs(atoms, cutoff), volume_of(atoms), dtype)
    return Graph(**vars(graph), **_labels(atoms))


def to_graphs(frames: Sequence[Atoms], cutoff: float, dtype: torch.dtype = torch.float32) -> list["Data"]:
    """`to_graph` for a list of structures, with the number of the bad one in the error.

    >>> from tpainn_lite import molecule
    >>> [graph.num_edges for graph in to_graphs([molecule("O"), molecule("C")], cutoff=5.0)]
    [6, 20]
    """
    from torch_geometric.data import Data

    return [Data(**vars(graph), num_nodes=graph.num_nodes) for graph in graphs_of(frames, cutoff, dtype)]


def graphs_of(frames: Sequence[Atoms], cutoff: float, dtype: torch.dtype = torch.float32) -> list[Graph]:
    """`to_graphs`, as the library itself uses it.

    >>> from tpainn_lite import molecule
    >>> graphs_of([molecule("O")], cutoff=5.0)[0].num_edges
    6
    """
    check_list(frames, "frames")
    return list(graphs_in_turn(frames, cutoff, dtype))


def graphs_in_turn(frames: Iterable[Atoms], cutoff: float, dtype: torch.dtype = torch.float32) -> Iterator[Graph]:
    """`graphs_of`, one after the other.

    >>> from tpainn_lite import molecule
    >>> next(graphs_in_turn([molecule("O")], cutoff=5.0)).num_edges
    6
    """
    for index, atoms in enumerate(frames):
        try:
            graph = _graph(atoms, cutoff, dtype)
        except (TypeError, ValueError) as error:
            raise type(error)(f"frame {index}: {error}") from None
        yield graph


def graph_of(
    atomic_numbers: NDArray | Tensor, pairs: Pairs, volume: ArrayLike, dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu", batch: Tensor | None = None,
) -> Graph:  # fmt: skip
    """The graph of atoms (N,) and their pairs, as `neighbour_pairs` gives them; the volume of each structure is in Å³,
    and ``batch`` (N,) says which structure an atom is in.

    >>> from tpainn_lite import molecule
    >>> water = molecule("O")
    >>> graph_of(water.numbers, neighbour_pairs(water, cutoff=5.0), volume_of(water)).num_edges
    6
    """
    idx_i, idx_j, r_ij = pairs
    graph = Graph(
        atomic_numbers=torch.as_tensor(atomic_numbers).to(device, torch.long, copy=True),  # (N,)
        edge_index=torch.as_tensor(np.stack([idx_j, idx_i]).astype(np.int64), device=device),  # (2, E)
        r_ij=torch.as_tensor(r_ij, dtype=dtype, device=device),  # (E, 3)
        volume=torch.as_tensor(volume, dtype=dtype, device=device).reshape(-1),  # (B,)
    )
    if batch is not None:
        graph["batch"] = batch
    return graph


def collate(graphs: Sequence["Data"]) -> "Batch":
    """Join graphs into one big graph of disconnected parts; ``batch`` (N,) says which part an atom is in.

    >>> from tpainn_lite import molecule
    >>> collate(to_graphs([molecule("O"), molecule("C")], cutoff=5.0)).num_nodes
    8
    """
    from torch_geometric.data import Batch

    return Batch.from_data_list(list(graphs))


def together(graphs: Sequence[Graph], labels: bool = True) -> Graph:
    """`collate`, as the library itself uses it; with ``labels`` every graph must have the same ones.

    >>> from tpainn_lite import molecule
    >>> together(graphs_of([molecule("O"), molecule("C")], cutoff=5.0)).batch
    tensor([0, 0, 0, 1, 1, 1, 1, 1])
    """
    sizes = torch.tensor([graph.num_nodes for graph in graphs])
    first_atom = (sizes.cumsum(0) - sizes).tolist()
    names = [name for name in vars(graphs[0]) if name != PAIRS] if labels else ATOMS
    return Graph(
        **{name: torch.cat([graph[name] for graph in graphs]) for name in names},
        edge_index=torch.cat([graph.edge_index + n for graph, n in zip(graphs, first_atom, strict=True)], dim=1),
        batch=torch.repeat_interleave(torch.arange(len(graphs)), sizes),
    )


def neighbour_pairs(atoms: Atoms, cutoff: float) -> Pairs:
    """All ordered pairs of atoms (periodic images included) closer than ``cutoff`` (Å).

    Returns
    -------
    tuple
        ``idx_i`` (E,) ascending, ``idx_j`` (E,), and ``r_ij`` (E, 3), from i to j, in Å.

    Raises
    ------
    ValueError
        A cutoff that is no positive number, or so many pairs that they would not fit into memory.

    >>> from tpainn_lite import molecule
    >>> neighbour_pairs(molecule("O"), 5.0)[2].shape
    (6, 3)
    """
    idx_i, idx_j, r_ij = search_pairs("ijD", atoms, cutoff)
    return idx_i, idx_j, r_ij


class NeighbourList:
    """Pairs of a structure that moves: each search reaches a ``skin`` (Å) beyond the cutoff, and serves some steps."""

    def __init__(self, cutoff: float, skin: float = SKIN) -> None:
        check_numbers(0, skin=skin)
        self.cutoff, self.skin = cutoff, skin
        self._searched: tuple[NDArray, bytes] | None = None  # positions of the last search; cell and periodicity
        self._found: Pairs  # idx_i, idx_j, and what the cell adds to r_ij, in Å

    def pairs(self, positions: NDArray, cell: NDArray, pbc: NDArray) -> Pairs:
        """As of `neighbour_pairs`, of atoms at ``positions`` (N, 3) in Å that `check_extent` accepts.

        Their order does not depend on when the last search was, so that MD resumes to the last bit.
        """
        if not self._serves(positions, cell, pbc):
            self._search(positions, cell, pbc)
        idx_i, idx_j, from_cell = self._found
        r_ij = positions.take(idx_j, axis=0) - positions.take(idx_i, axis=0) + from_cell  # (E, 3)
        kept = np.flatnonzero(np.einsum("ex,ex->e", r_ij, r_ij) < self.cutoff**2)
        return idx_i.take(kept), idx_j.take(kept), r_ij.take(kept, axis=0)

    def _serves(self, positions, cell, pbc):
        """Whether no pair can have come within the cutoff since the last search that was not found then."""
        if self._searched is None or self._searched[1] != cell.tobytes() + pbc.tobytes():
            return False
        if len(self._searched[0]) != len(positions):
            return False
        moved = positions - self._searched[0]
        return 4 * np.einsum("ix,ix->i", moved, moved).max(initial=0.0) <= self.skin**2

    def _search(self, positions, cell, pbc):
        atoms = Atoms(positions=positions, cell=cell, pbc=pbc)
        idx_i, idx_j, shifts = search_pairs("ijS", atoms, self.cutoff + self.skin)
        idx_i, idx_j, shifts = in_one_order(idx_i, idx_j, np.asarray(shifts, float), len(positions))
        self._found = idx_i.astype(np.int64), idx_j.astype(np.int64), shifts @ cell
        self._searched = positions.copy(), cell.tobytes() + pbc.tobytes()


def unpack(graph: AnyGraph) -> tuple[Tensor, Tensor, Tensor, int]:
    """(idx_i (E,), idx_j (E,), batch (N,), number of structures) of a graph or a batch of graphs.

    >>> from tpainn_lite import molecule
    >>> unpack(to_graph(molecule("O"), cutoff=5.0))[0]
    tensor([0, 0, 1, 1, 2, 2])
    """
    idx_j, idx_i = graph.edge_index
    batch = getattr(graph, "batch", None)
    if batch is None:
        return idx_i, idx_j, torch.zeros_like(graph.atomic_numbers), 1
    return idx_i, idx_j, batch, len(graph.volume)


def volume_of(atoms: Atoms) -> float:
    """Å³; 0 unless periodic in all directions.

    >>> round(float(volume_of(Atoms("Ar", cell=[4.0, 4.0, 5.0], pbc=True))), 6)
    80.0
    """
    return atoms.get_volume() if atoms.pbc.all() else 0.0


def stress_of(virial: Tensor, volume: Tensor) -> Tensor:
    """Stress (B, 3, 3) in eV/Å³ from Σ_ij r_ij ⊗ ∂E/∂r_ij (B, 3, 3) in eV; zero where there is no volume (B,).

    >>> stress_of(torch.eye(3)[None], volume=torch.tensor([10.0]))[0, 0]
    tensor([0.1000, 0.0000, 0.0000])
    """
    periodic = (volume > 0).view(-1, 1, 1)
    return torch.where(periodic, virial / volume.clamp(min=1e-6).view(-1, 1, 1), torch.zeros_like(virial))


def _labels(atoms):
    """The labels a structure carries, as tensors; energies stay float64 (they are large numbers)."""
    results = atoms.calc.results if atoms.calc is not None else {}
    labels = {}
    if "energy" in results:
        labels["energy"] = torch.tensor([results["energy"]], dtype=torch.float64)  # (1,)
    if "forces" in results:
        labels["forces"] = torch.tensor(np.asarray(results["forces"]), dtype=torch.float32)  # (N, 3)
    if "stress" in results:
        voigt = np.asarray(results["stress"]).reshape(-1)  # (6,) or (9,)
        full = voigt.reshape(3, 3) if voigt.size == 9 else voigt[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
        labels["stress"] = torch.tensor(full[None], dtype=torch.float32)  # (1, 3, 3)
    return labels
