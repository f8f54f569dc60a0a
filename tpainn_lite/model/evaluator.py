"""What a potential says of structures, by the shortest way: graphs, reference energies, and what is compiled.

All that use a potential without training it do so here: `Potential.predict`, the ASE calculator, committees, torch-sim.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from tpainn_lite.model.graph import AnyGraph, Graph, Pairs, graph_of, graphs_of, stress_of, together, unpack
from tpainn_lite.structures.arguments import check_counts
from tpainn_lite.structures.checks import check_frames

Potential = Any  # `tpainn_lite.model.potential.Potential`, whose module imports this one
WORTH_COMPILING = 400_000  # pairs × evaluations; for fewer, the seconds of compiling are not won back
PREDICTIONS, STEPS = 20, 170  # evaluations that are expected of whoever predicts, and of a calculator
NEIGHBOURS = 40  # of an atom, on average: the choice must not change while pairs come and go in MD
BATCH_PAIRS = 20_000  # in one batch of predictions: some 250 MB
_reported: set[str] = set()


def worth_compiling(potential: Potential, n_pairs: float, fast: bool | None = None) -> bool:
    """Whether to compile: as ``fast`` says; else where the weights are float32 on the CPU, and ``n_pairs`` pairs of
    atoms, those of all evaluations together, are enough to win back the seconds that compiling takes."""
    if fast is not None:
        return fast
    if n_pairs < WORTH_COMPILING or potential.dtype != torch.float32 or potential.device.type != "cpu":
        return False
    if find_spec("numba") is not None:
        return True
    if "numba" not in _reported:
        print("without Numba this takes several times as long: pip install numba", file=sys.stderr)
        _reported.add("numba")
    return False


class Evaluator:
    """Energies, forces and stress by a potential, whose mode, device and precision stay as they are.

    Parameters
    ----------
    potential
    fast
        Whether to compile; by default where `worth_compiling` says so.
    evaluations
        Of each structure, to be expected.

    >>> from tpainn_lite import load_pretrained, molecule
    >>> energies, forces = load_pretrained("gas").evaluator().predict([molecule("O")])
    >>> forces[0].shape
    (3, 3)
    """

    def __init__(self, potential: Potential, fast: bool | None = None, evaluations: int = PREDICTIONS) -> None:
        self.potential, self.fast, self.evaluations = potential, fast, evaluations
        self._compiled: tuple[Any, Any] = (None, None)  # (state of the weights, `FastPotential`)

    def __getstate__(self) -> dict[str, Any]:
        """A copy compiles anew."""
        return {**self.__dict__, "_compiled": (None, None)}

    def of_pairs(
        self, atomic_numbers: NDArray | Tensor, pairs: Pairs, volume: ArrayLike, batch: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Of one structure or a batch, from its pairs, as `graph_of` takes them; results as of `of_graph`."""
        compiled = self.compiles(NEIGHBOURS * len(atomic_numbers))
        dtype = torch.float64 if compiled else self.potential.dtype
        device = "cpu" if compiled else self.potential.device
        return self.of_graph(graph_of(atomic_numbers, pairs, volume, dtype, device, batch), compiled)

    def of_graph(self, graph: AnyGraph, compiled: bool, forces: bool = True) -> dict[str, Tensor]:
        """``energy`` (B,) eV in float64, ``forces`` (N, 3) eV/Å and ``stress`` (B, 3, 3) eV/Å³ of a graph or batch."""
        if not compiled:
            return {name: value.detach() for name, value in self.potential(graph, forces).items()}
        self.potential.check_elements(graph.atomic_numbers)
        local, on_atoms, virial = self._fast().of_graph(graph, forces)
        total = self.potential.reference_energies(graph)
        energy = total.index_add(0, unpack(graph)[2], local.double())
        if not forces:
            return {"energy": energy}
        return {"energy": energy, "forces": on_atoms, "stress": stress_of(virial, graph.volume)}

    def predict(
        self, frames: Sequence[Atoms], batch_size: int = 64, forces: bool = True
    ) -> tuple[NDArray, list[NDArray] | None]:
        """See `Potential.predict`."""
        check_counts(batch_size=batch_size)
        check_frames(frames)
        of_charges, graphs = (
            self.potential.charge_energies(frames),
            graphs_of(frames, self.potential.cutoff, self.potential.dtype),
        )
        energies, on_atoms = self.of_graphs(graphs, batch_size, forces)
        return energies + of_charges, on_atoms

    def of_graphs(
        self, graphs: Sequence[Graph], batch_size: int = 64, forces: bool = True
    ) -> tuple[NDArray, list[NDArray] | None]:
        """Energies (n,) in eV and forces, one (N, 3) array in eV/Å for each graph, or None without ``forces``."""
        compiled = self.compiles(sum(graph.num_edges for graph in graphs))
        energies: list[NDArray] = []
        on_atoms: list[NDArray] = []
        for chunk in _chunks(graphs, batch_size):
            output = self.of_graph(together(chunk, labels=False).to(self.potential.device), compiled, forces)
            energies.append(output["energy"].cpu().numpy())
            if forces:
                parts = output["forces"].to(self.potential.dtype).split([graph.num_nodes for graph in chunk])
                on_atoms += [part.cpu().numpy() for part in parts]
        return np.concatenate(energies), on_atoms if forces else None

    def stresses(self, frames: Sequence[Atoms], batch_size: int = 64) -> NDArray:
        """(n, 3, 3) in eV/Å³, of boxes.

        >>> from tpainn_lite import load_pretrained, load_water
        >>> load_pretrained("water").evaluator().stresses(load_water("valid", "liquid")[:2]).shape
        (2, 3, 3)
        """
        graphs = graphs_of(frames, self.potential.cutoff, self.potential.dtype)
        compiled = self.compiles(sum(graph.num_edges for graph in graphs))
        parts = (
            self.of_graph(together(chunk, labels=False).to(self.potential.device), compiled)["stress"].cpu().numpy()
            for chunk in _chunks(graphs, batch_size)
        )
        return np.concatenate(list(parts))

    def compiles(self, n_pairs: float) -> bool:
        """Whether structures with so many pairs are computed by compiled code."""
        return worth_compiling(self.potential, self.evaluations * n_pairs, self.fast)

    def _fast(self):
        """The compiled potential; made anew when the weights have changed."""
        state = [(id(tensor), tensor._version) for tensor in _tensors(self.potential)]
        if self._compiled[0] != state:
            from tpainn_lite.model.compiled import FastPotential

            self._compiled = state, FastPotential(self.potential)
        return self._compiled[1]


def _tensors(network: nn.Module) -> list[Tensor]:
    """All weights and buffers of a network: as of its ``state_dict``, in a tenth of the time."""
    parts, tensors = [network], []
    while parts:
        part = parts.pop()
        tensors += [*part._parameters.values(), *part._buffers.values()]
        parts += [module for module in part._modules.values() if module is not None]
    return [tensor for tensor in tensors if tensor is not None]


def _chunks(graphs: Sequence[Graph], batch_size: int) -> Iterator[list[Graph]]:
    """The graphs in lists of up to ``batch_size``, and of up to `BATCH_PAIRS` pairs where one alone has no more."""
    chunk: list[Graph] = []
    pairs = 0
    for graph in graphs:
        if chunk and (len(chunk) == batch_size or pairs + graph.num_edges > BATCH_PAIRS):
            yield chunk
            chunk, pairs = [], 0
        chunk, pairs = [*chunk, graph], pairs + graph.num_edges
    if chunk:
        yield chunk
