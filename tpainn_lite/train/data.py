"""What a training run learns from: labelled frames as graphs, and the batches that are drawn from them."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.model.flat import FlatGraphs
from tpainn_lite.model.graph import graphs_in_turn
from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.arguments import DatasetError, shown
from tpainn_lite.structures.checks import check_frames, check_labels, check_some_label, has_label, label_of
from tpainn_lite.structures.isolated import isolated_energies, without_isolated
from tpainn_lite.train.settings import STRESS_WEIGHT, Settings

LABELS = ("energy", "forces", "stress")
N_ASKED, LEAST_COMPONENTS, OPPOSITE = 8, 12, -0.7  # frames that tell forces from gradients; numbers; correlation


class TrainingData:
    """Graphs of the frames to train on, to check with and to replay; here the frames are checked, once.

    Some frames may have labels that others have not: the loss uses what is there.  Isolated atoms are not trained on;
    their energies, ``isolated`` {atomic number: eV}, are where the fit of the reference energies begins.

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
        if valid:
            check_frames(valid, "valid: ")
        if not hasattr(replay, "__iter__"):
            raise TypeError(f"replay is {shown(replay)}; a list of labelled ase.Atoms is expected")
        again = list(replay)
        if again:
            check_frames(again, "replay: ")
        self.isolated = isolated_energies(train)
        self.settings, self.frames = settings, {"train": train, "valid": valid or None, "replay": again or None}
        lists = [without_isolated(frames) for frames in (train, valid or [], again)]
        weights = _weights(lists[0], settings)
        for name, frames in zip(("", "valid: ", "replay: "), lists, strict=True):
            if name == "" or frames:
                check_some_label(frames, [key for key in LABELS if weights[key]], name)
        _check_devices(lists[0], settings)
        self.lists = dict(zip(("train", "valid", "replayed"), lists, strict=True))
        self.loss_weights = tuple(weights[key] for key in LABELS)
        graphs = [(_prepared(g, dtype, weights) for g in graphs_in_turn(part, cutoff, dtype)) for part in lists]
        self.graphs = FlatGraphs(itertools.chain(graphs[0], graphs[2]))  # all that is trained on
        self.valid = FlatGraphs(graphs[1]) if lists[1] else None
        self.n_train = len(lists[0])
        size = settings.batch_size if settings.replay_size is None else settings.replay_size
        self.replay_size = min(size, len(lists[2]))

    def subtract_references(self, potential: Potential, of_replayed: Potential | None = None) -> None:
        """Give each graph its ``target``, the energy minus the reference energies, subtracted in float64, and its
        ``number``, the place in the list; -1 for replayed frames, whose references may be another potential's."""
        replayed = of_replayed or potential
        _give_targets(self.graphs, [(potential, self.lists["train"]), (replayed, self.lists["replayed"])])
        self.graphs.whole.number[self.n_train :] = -1
        if self.valid:
            _give_targets(self.valid, [(potential, self.lists["valid"])])

    def mean_pairs(self) -> float:
        """Pairs of atoms in a frame, on average."""
        return self.graphs.n_pairs[: self.n_train].mean()

    @cached_property
    def has(self) -> dict[str, NDArray]:
        """{label: whether each graph has it}."""
        return {key: self.graphs.whole[f"has_{key}"].numpy() for key in LABELS}

    def batches(
        self, join: Callable[[list[int]], Any], epoch: int, n_steps: int, rank: int = 0, n_devices: int = 1
    ) -> Iterator[Any]:
        """One device's parts of the batches of an epoch, the steps between two checks; ``join`` makes each of them from
        places in `graphs`.  They know the numbers of labels in the whole batch."""
        own, rng, n = self.settings, np.random.default_rng([self.settings.seed, epoch, 1]), self.n_train
        sizes = self.graphs.n_atoms
        for whole in batches(sizes[:n].tolist(), own.batch_size, own.batch_atoms, epoch, n_steps, own.seed):
            again = rng.choice(len(sizes) - n, self.replay_size, replace=False) if self.replay_size else ()
            chosen = [*whole, *(n + k for k in again)]
            part = join(chosen[rank::n_devices])
            part.all_energies = max(1, int(self.has["energy"][chosen].sum()))
            part.all_forces = max(1, int(sizes[chosen][self.has["forces"][chosen]].sum()))
            part.all_stresses = max(1, int(self.has["stress"][chosen].sum()))
            yield part


def _weights(frames, settings):
    """{label: weight in the loss}; of a stress, unless a weight is given, where some frame has one."""
    there = {key: any(has_label(atoms, key) for atoms in frames) for key in LABELS}
    usual = STRESS_WEIGHT if there["stress"] and settings.force_weight else 0.0
    stress = usual if settings.stress_weight is None else settings.stress_weight
    weights = {"energy": settings.energy_weight, "forces": settings.force_weight, "stress": stress}
    for key, weight in weights.items():
        if weight and not there[key]:
            if key == "forces" and there["energy"]:
                raise DatasetError(
                    f"frame 0 ({frames[0].get_chemical_formula()}) has no forces, nor has any other; with "
                    "force_weight=0 (--force-weight 0) energies alone are trained on"
                )
            check_labels(frames, [key])
    return weights


def _check_devices(train, settings):
    n_devices, n_frames = settings.devices * settings.nodes, min(settings.batch_size, len(train))
    if n_frames < n_devices:
        raise ValueError(f"{n_devices} devices share a batch of {n_frames}; at least one frame each is needed")


def _give_targets(graphs, owners):
    """A target and a number for each graph; ``owners`` are (potential, its frames), one after the other."""
    whole, references, first = graphs.whole, [], 0
    for potential, frames in owners:
        last = first + len(frames)
        potential.check_elements(whole.atomic_numbers[graphs.first_atom[first] : graphs.first_atom[last]])
        of_charges = torch.from_numpy(potential.charge_energies(frames))
        references.append(potential.reference_energies(whole)[first:last] + of_charges)
        first = last
    whole.target = (whole.energy - torch.cat(references)).to(whole.r_ij.dtype)
    whole.number = torch.arange(len(graphs))


def _prepared(graph, dtype, weights):
    """With every label that is trained on, zero where there is none; a batch wants all graphs alike."""
    shapes = {"energy": (1,), "forces": (graph.num_nodes, 3), "stress": (1, 3, 3)}
    for key, shape in shapes.items():
        there = key in graph and weights[key] > 0 and (key != "stress" or bool(graph.volume > 0))
        exact = torch.float64 if key == "energy" else dtype
        graph[key] = graph[key].to(exact) if there else torch.zeros(shape, dtype=exact)
        graph[f"has_{key}"] = torch.tensor([there])
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


def check_direction(potential: Potential, frames: Sequence[Atoms]) -> None:
    """Refuse gradients for forces: a potential that was pretrained, however rough, knows where forces point."""
    known = set(potential.elements)
    some = [atoms for atoms in frames if has_label(atoms, "forces") and known.issuperset(atoms.symbols)]
    if not some or "stage" not in potential.metadata:
        return
    some.sort(key=lambda atoms: -np.abs(label_of(atoms, "forces")).mean())  # near a minimum forces tell nothing
    some = some[:N_ASKED]
    own = np.concatenate([label_of(atoms, "forces") for atoms in some])
    said = np.concatenate(potential.predict(some)[1] or [])
    scale = np.linalg.norm(own) * np.linalg.norm(said)
    if own.size >= LEAST_COMPONENTS and np.vdot(own, said) < OPPOSITE * scale:
        raise ValueError(
            f"the forces of the frames point against those of the pretrained potential (correlation "
            f"{np.vdot(own, said) / scale:.2f}); forces are expected, and gradients, it seems, are given: "
            'convert(frames, "forces=-eV/Å") turns them round'
        )
