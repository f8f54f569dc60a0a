"""What a training run learns from: labelled frames as graphs, and the batches that are drawn from them."""

import itertools

import numpy as np
import torch

from tpainn_lite.model.graph import collate, to_graphs
from tpainn_lite.structures.checks import check_frames, check_labels
from tpainn_lite.train.settings import STRESS_WEIGHT


class TrainingData:
    """Graphs of the frames to train on, to check with and to replay.

    Parameters
    ----------
    potential : Potential
        Its references are subtracted, its elements expected.
    train, valid, replay : list of ase.Atoms
        Labelled; ``valid`` may be None, ``replay`` empty.
    settings : Settings

    Raises
    ------
    DatasetError, ValueError
        Frames without labels, or that do not go together.
    """

    def __init__(self, potential, train, valid, replay, settings):
        for name, frames in (("", train), ("valid: ", valid), ("replay: ", replay)):
            if name == "" or frames:
                check_frames(frames, name)
        need = needed_labels(train, settings)
        _check(train, valid, replay, need, settings)
        self.settings, stress = settings, settings.stress_weight or STRESS_WEIGHT
        self.loss_weights = (settings.energy_weight, settings.force_weight, stress if "stress" in need else 0.0)
        self.train = training_graphs(potential, train, need)
        self.valid = training_graphs(potential, valid, need) if valid else []
        self.replayed = training_graphs(potential, replay, need, numbered=False)
        wanted = settings.batch_size if settings.replay_size is None else settings.replay_size
        self.replay_size = min(wanted, len(self.replayed))

    def mean_pairs(self):
        """Pairs of atoms in a frame, on average."""
        return sum(graph.num_edges for graph in self.train) / len(self.train)

    def batches(self, epoch, n_steps, rank=0, n_devices=1):
        """One device's parts of the batches of an epoch, the steps between two checks."""
        own, rng = self.settings, np.random.default_rng([self.settings.seed, epoch, 1])
        sizes = [graph.num_nodes for graph in self.train]
        for whole in batches(sizes, own.batch_size, own.batch_atoms, epoch, n_steps, own.seed):
            again = rng.choice(len(self.replayed), self.replay_size, replace=False) if self.replay_size else ()
            yield part_of([self.train[i] for i in whole] + [self.replayed[i] for i in again], rank, n_devices)


def needed_labels(frames, settings):
    """Forces if they have a weight; stress where it is asked for, or where every frame has it."""
    if not settings.force_weight and not settings.stress_weight:
        return ("energy",)
    labels = [set(atoms.calc.results) if getattr(atoms, "calc", None) is not None else set() for atoms in frames]
    everywhere = bool(labels) and all("stress" in have for have in labels)
    boxes = everywhere and all(atoms.pbc.all() for atoms in frames)
    wanted = boxes if settings.stress_weight is None else settings.stress_weight > 0
    return ("energy", "forces", "stress") if wanted else ("energy", "forces")


def _check(train, valid, replay, need, settings):
    for name, frames in (("", train), ("valid: ", valid), ("replay: ", replay)):
        if frames or name == "":
            check_labels(frames, need, name)
    if replay and replay[0].pbc.any() != train[0].pbc.any():
        raise ValueError("replay and the frames to train on must be all periodic, or none")
    n_devices = settings.devices * settings.nodes
    if min(settings.batch_size, len(train)) < n_devices:
        raise ValueError(
            f"{n_devices} devices share a batch of {min(settings.batch_size, len(train))}; at least one frame each is "
            "needed"
        )


def training_graphs(potential, frames, need=("energy", "forces"), numbered=True):
    """Graphs with ``target`` (1,): the energy minus the reference energies, subtracted in float64; and ``number``: the
    place in the list, or -1 for frames that an error need not name."""
    graphs = to_graphs(frames, potential.cutoff, potential.dtype)
    for number, graph in enumerate(graphs):
        graph.number = torch.tensor([number if numbered else -1])
        potential.check_elements(graph.atomic_numbers)
        reference = potential.atomref[graph.atomic_numbers].sum()
        graph.target = (graph.energy - reference).to(potential.dtype)
        del graph["energy"]
        for key in ("forces", "stress"):  # some frames may have them and some not; a batch wants all alike
            if key in need:
                graph[key] = graph[key].to(potential.dtype)
            elif key in graph:
                del graph[key]
    return graphs


def part_of(graphs, rank=0, n_devices=1):
    """One device's part of a batch, collated, with the size of the whole."""
    part = collate(graphs[rank::n_devices])
    part.all_graphs, part.all_atoms = len(graphs), sum(graph.num_nodes for graph in graphs)
    return part


def batches(sizes, batch_size, batch_atoms, epoch, n_steps, seed):
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
