"""What a training run learns from: labelled frames as graphs, and the batches that are drawn from them."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from ase import Atoms

from tpainn_lite.model.graph import Data, collate, to_graphs
from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.checks import check_frames, check_labels
from tpainn_lite.train.settings import STRESS_WEIGHT, Settings


class TrainingData:
    """Graphs of the frames to train on, to check with and to replay; here the frames are checked, once.

    Parameters
    ----------
    train, valid, replay
        Labelled frames; ``valid`` may be None, ``replay`` empty.
    cutoff
        Å.
    dtype
        Of the network.

    Raises
    ------
    DatasetError, ValueError
        Frames without labels, or that do not go together.
    """

    def __init__(
        self, train: Sequence[Atoms], valid: Sequence[Atoms] | None, replay: Iterable[Atoms], settings: Settings,
        cutoff: float, dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        check_frames(train)
        replay, need = list(replay), _needed_labels(train, settings)
        for name, frames in (("", train), ("valid: ", valid), ("replay: ", replay)):
            if name == "" or frames:
                check_labels(frames or [], need, name)
        _check(train, replay, settings)
        stress = settings.stress_weight or STRESS_WEIGHT
        self.settings, self.frames = settings, {"train": train, "valid": valid or None, "replay": replay or None}
        self.loss_weights = settings.energy_weight, settings.force_weight, stress if "stress" in need else 0.0
        self.train, self.valid, self.replayed = (
            [_prepared(graph, dtype, need) for graph in to_graphs(frames, cutoff, dtype)]
            for frames in (train, valid or [], replay)
        )
        size = settings.batch_size if settings.replay_size is None else settings.replay_size
        self.replay_size = min(size, len(self.replayed))

    def subtract_references(self, potential: Potential, of_replayed: Potential | None = None) -> None:
        """Give each graph its ``target`` (1,), the energy minus the reference energies, subtracted in float64, and its
        ``number``, the place in the list; -1 for replayed frames, whose references may be another potential's."""
        for graphs in (self.train, self.valid, self.replayed):
            replayed = graphs is self.replayed
            model = of_replayed if replayed and of_replayed else potential
            for number, graph in enumerate(graphs):
                model.check_elements(graph.atomic_numbers)
                graph.number = torch.tensor([-1 if replayed else number])
                graph.target = (graph.energy - model.reference_energies(graph)).to(graph.r_ij.dtype)

    def mean_pairs(self) -> float:
        """Pairs of atoms in a frame, on average."""
        return sum(graph.num_edges for graph in self.train) / len(self.train)

    def batches(self, epoch: int, n_steps: int, rank: int = 0, n_devices: int = 1) -> Iterator[Data]:
        """One device's parts of the batches of an epoch, the steps between two checks; each collated, with the size of
        the whole batch."""
        own, rng = self.settings, np.random.default_rng([self.settings.seed, epoch, 1])
        sizes = [graph.num_nodes for graph in self.train]
        for whole in batches(sizes, own.batch_size, own.batch_atoms, epoch, n_steps, own.seed):
            again = rng.choice(len(self.replayed), self.replay_size, replace=False) if self.replay_size else ()
            graphs = [self.train[i] for i in whole] + [self.replayed[i] for i in again]
            part = collate(graphs[rank::n_devices])
            part.all_graphs, part.all_atoms = len(graphs), sum(graph.num_nodes for graph in graphs)
            yield part


def _needed_labels(frames, settings):
    """Forces if they have a weight; stress where it has one, or where every frame is a box that has a stress."""
    if not settings.force_weight and not settings.stress_weight:
        return ("energy",)
    boxes = all(atoms.pbc.all() and "stress" in getattr(atoms.calc, "results", {}) for atoms in frames)
    with_stress = boxes if settings.stress_weight is None else settings.stress_weight > 0
    return ("energy", "forces", "stress") if with_stress else ("energy", "forces")


def _check(train, replay, settings):
    if replay and replay[0].pbc.any() != train[0].pbc.any():
        raise ValueError("replay and the frames to train on must be all periodic, or none")
    n_devices, n_frames = settings.devices * settings.nodes, min(settings.batch_size, len(train))
    if n_frames < n_devices:
        raise ValueError(f"{n_devices} devices share a batch of {n_frames}; at least one frame each is needed")


def _prepared(graph, dtype, need):
    """With the labels that are needed alone: some frames may have others; a batch wants all alike."""
    for key in ("forces", "stress"):
        if key in need:
            graph[key] = graph[key].to(dtype)
        elif key in graph:
            del graph[key]
    return graph


def batches(
    sizes: Sequence[int], batch_size: int, batch_atoms: int | None, epoch: int, n_steps: int, seed: int
) -> list[list[int]]:
    """Index lists for the steps of one epoch; every structure is used equally often, give or take one.

    Each batch has ``batch_size`` structures, or as many as it takes to reach ``batch_atoms`` atoms.
    """
    rng, n = np.random.default_rng([seed, epoch]), len(sizes)
    order = itertools.chain.from_iterable(rng.permutation(n).tolist() for _ in itertools.count())
    if batch_atoms is None:
        return [list(itertools.islice(order, min(batch_size, n))) for _ in range(n_steps)]
    return [_filled(order, sizes, batch_atoms) for _ in range(n_steps)]


def _filled(order, sizes, batch_atoms):
    batch, atoms = [], 0
    while atoms < batch_atoms:
        batch.append(next(order))
        atoms += sizes[batch[-1]]
    return batch
