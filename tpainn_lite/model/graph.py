"""From atoms to a graph: each atom is a node, each pair closer than the cutoff is an edge.

A potential sees a structure only through its atomic numbers and its pair vectors r_ij, from atom i to its
neighbour j.  Turning or shifting the whole structure turns every r_ij and shifts none of them.
Two examples, cutoff 5 Å:

* water, a molecule: 3 atoms, 6 pairs (each pair is listed twice, once from either end);
* one argon atom in a periodic box of 4 Å: 1 atom, 6 pairs, all of them with its own images.

Graphs are `torch_geometric.data.Data`; batching is PyG's (`torch_geometric.data.Batch`).
"""

import numpy as np
import torch
from torch_geometric.data import Batch, Data

from tpainn_lite.structures.arguments import check_numbers
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import search_pairs

LABELS = ("energy", "forces", "stress")


def to_graph(atoms, cutoff, dtype=torch.float32):
    """Build the graph of a structure.

    Parameters
    ----------
    atoms : ase.Atoms
        N atoms; molecules, periodic boxes of any shape and size, and slabs.
    cutoff : float
        Å.
    dtype : torch.dtype
        Of the pair vectors, which are computed in float64.

    Returns
    -------
    torch_geometric.data.Data
        ``atomic_numbers`` (N,), ``edge_index`` (2, E) with rows (neighbour j, centre i) and centres ascending,
        ``r_ij`` (E, 3) in Å, ``volume`` (1,) in Å³ (0 if not periodic in all directions), and the labels the
        structure carries: ``energy`` (1,) eV, ``forces`` (N, 3) eV/Å, ``stress`` (1, 3, 3) eV/Å³.

    Raises
    ------
    ValueError
        No atoms, positions that are not finite, atoms on top of each other, or a cutoff that is no positive number or
        reaches too many of them.
    """
    check_numbers(above=0, cutoff=cutoff)
    check_structure(atoms)
    idx_i, idx_j, r_ij = neighbour_pairs(atoms, cutoff)
    graph = Data(
        atomic_numbers=torch.tensor(atoms.numbers, dtype=torch.long),  # (N,)
        edge_index=torch.from_numpy(np.stack([idx_j, idx_i]).astype(np.int64)),  # (2, E)
        r_ij=torch.from_numpy(r_ij).to(dtype),  # (E, 3)
        volume=torch.tensor([atoms.get_volume() if atoms.pbc.all() else 0.0], dtype=dtype),  # (1,)
        num_nodes=len(atoms),
    )
    for key, value in _labels(atoms).items():
        graph[key] = value
    return graph


def to_graphs(frames, cutoff, dtype=torch.float32):
    """`to_graph` for a list of structures, with the number of the bad one in the error."""
    graphs = []
    for index, atoms in enumerate(frames):
        try:
            graphs.append(to_graph(atoms, cutoff, dtype))
        except (TypeError, ValueError) as error:
            raise type(error)(f"frame {index}: {error}") from None
    return graphs


def collate(graphs):
    """Join graphs into one big graph of disconnected parts; ``batch`` (N,) says which part an atom is in."""
    return Batch.from_data_list(graphs)


def neighbour_pairs(atoms, cutoff):
    """All ordered pairs of atoms (periodic images included) closer than ``cutoff``, by vesin.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray, numpy.ndarray)
        ``idx_i`` (E,) ascending, ``idx_j`` (E,), and ``r_ij`` (E, 3), from i to j, in Å.

    Raises
    ------
    ValueError
        A cutoff that is no positive number, or so many pairs that they would not fit into memory.
    """
    return tuple(search_pairs("ijD", atoms, cutoff))


def unpack(graph):
    """(idx_i (E,), idx_j (E,), batch (N,), number of structures) of a graph or a batch of graphs."""
    idx_j, idx_i = graph.edge_index
    batch = getattr(graph, "batch", None)
    if batch is None:
        return idx_i, idx_j, torch.zeros_like(graph.atomic_numbers), 1
    return idx_i, idx_j, batch, graph.num_graphs


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
