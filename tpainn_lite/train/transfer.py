"""The method: `pretrain` on cheap classical labels, `autotune` on few DFT labels; and what it is compared with,
`train_from_scratch` and `delta_learn`.

T-PaiNN is Pelletier, Bhat, Rivera, Wilson and Muhich, arXiv:2603.24752; *autotune* is their word for fine-tuning.
The settings below are our own, chosen in a few trials on small molecules (``benchmarks/tour.py``).
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.model.references import rereference_graphs, solve_references, with_elements
from tpainn_lite.structures.arguments import check_choice, check_counts, check_numbers
from tpainn_lite.structures.charges import total_charge
from tpainn_lite.structures.checks import check_frames, check_labels, check_some_label, has_label, label_of
from tpainn_lite.structures.geometry import composition
from tpainn_lite.structures.identity import fingerprint
from tpainn_lite.structures.isolated import isolated_energies, without_isolated
from tpainn_lite.teachers.label import label
from tpainn_lite.train.data import TrainingData, check_direction
from tpainn_lite.train.training import Settings, check_parts, layer_rates, rates_table, train_on

PRETRAIN = {"steps": 3000, "batch_size": 16, "learning_rate": 5e-3}
AUTOTUNE = {"batch_size": 10, "learning_rate": 2e-3}
SCRATCH = {"batch_size": 10, "learning_rate": 3e-3}
DELTA_RATES, DELTA_FEW = (2e-3, 1e-3), 50  # learning rates from a pretrained start: up to so many frames, and above
AUTOTUNE_STEPS, SCRATCH_STEPS = (4, 200, 3000), (10, 1000, 5000)  # per frame; at least; at most
NETWORK = ("n_features", "n_interactions", "n_rbf", "cutoff")  # arguments of `PaiNN`
START = ("references", "scale")  # other arguments of `new_potential`
RUNNING = ("watch", "progress", "checkpoint")  # arguments of `train_on`
References = Literal["atomref", "mean", "none"]


def new_potential(
    frames: Sequence[Atoms], *, n_features: int = 64, n_interactions: int = 3, n_rbf: int = 20, cutoff: float = 5.0,
    seed: int = 0, references: References = "atomref", scale: float | None = None,
) -> Potential:  # fmt: skip
    """An untrained potential, with the reference energies and the energy scale of these frames.

    Parameters
    ----------
    frames
        Labelled.
    n_features, n_interactions, n_rbf, cutoff
        Of the network, `PaiNN`; the cutoff is in Å.
    references
        "atomref": one energy per element, fitted in closed form (`fit_atomref`); "mean": the same for every atom, the
        mean energy per atom; "none": zero.  The worse choices are for comparison: any gain can be had against them.
    scale
        eV; by default the rms force times 1 Å or, for frames without forces, the energies, per root of the number of
        atoms, that these reference energies leave.

    Raises
    ------
    ValueError
        Frames with neither an energy nor forces, or a number that cannot be meant.

    >>> from tpainn_lite import load_molecules
    >>> new_potential(load_molecules("valid"), n_features=16).elements
    ['H', 'C', 'N', 'O', 'F']
    """
    check_some_label(frames, ("energy", "forces"))
    painn = _network(seed, n_features=n_features, n_interactions=n_interactions, n_rbf=n_rbf, cutoff=cutoff)
    return _untrained(painn, frames, references, scale)


def _network(seed: int, **network: Any) -> PaiNN:
    check_counts(0, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PaiNN(**network)


def _untrained(
    painn: PaiNN, frames: Sequence[Atoms], references: References = "atomref", scale: float | None = None
) -> Potential:
    """`new_potential`, of labelled frames."""
    check_choice(("atomref", "mean", "none"), references=references)
    isolated, frames = isolated_energies(frames), without_isolated(frames)
    labelled = [atoms for atoms in frames if has_label(atoms, "energy")]
    energies = np.array([label_of(atoms, "energy") for atoms in labelled])  # (n,)
    sizes = np.array([len(atoms) for atoms in labelled])
    charges = [total_charge(atoms) for atoms in labelled]
    atomref, of_charge = dict.fromkeys(composition(frames)[0], 0.0), (0.0, 0.0)
    if labelled and references == "atomref":
        fitted, of_charge = solve_references([atoms.numbers for atoms in labelled], energies, isolated, charges)
        atomref |= fitted
    if references == "mean":
        atomref = dict.fromkeys(atomref, float(energies.sum() / max(1, sizes.sum())))
    if scale is not None:
        check_numbers(above=0, scale=scale)
    elif with_forces := [atoms for atoms in frames if has_label(atoms, "forces")]:
        forces = np.concatenate([label_of(atoms, "forces") for atoms in with_forces])  # (ΣN, 3)
        scale = float(np.sqrt(np.mean(forces**2))) or 1.0
    else:
        of_ion = [of_charge[0] * q + of_charge[1] * q**2 for q in charges]  # (n,) eV
        left = energies - of_ion - [sum(atomref[z] for z in atoms.numbers) for atoms in labelled]
        scale = float(np.sqrt(np.mean(left**2 / sizes))) or 1.0
    potential = Potential(painn, atomref, scale)
    potential.of_charge.copy_(torch.tensor(of_charge))
    return potential


def pretrain(
    frames: Sequence[Atoms], valid: Sequence[Atoms] | None = None, *, seed: int = 0, **settings: Any
) -> Potential:
    """Stage 1: train PaiNN on plentiful classical labels.

    Parameters
    ----------
    frames, valid
        Labelled by a force field: ``label(frames, mmff94())``.
    **settings
        Of the network (`new_potential`) and of the run (`tpainn_lite.train.training.fit`).

    Raises
    ------
    ValueError, TypeError
        Frames without labels, settings that make no sense; and all that `fit` raises.

    >>> from tpainn_lite import load_molecules
    >>> pretrain(load_molecules("train")[:5], n_features=8, steps=2, progress=False).metadata["stage"]
    'pretrain'
    """
    return _train(frames, valid, seed, {**PRETRAIN, **settings}, stage="pretrain")


def train_from_scratch(
    frames: Sequence[Atoms], valid: Sequence[Atoms] | None = None, *, seed: int = 0, **settings: Any
) -> Potential:
    """The baseline: the same network, trained on the DFT labels alone, with the same closed-form reference energies.

    Takes and raises what `pretrain` does; unless ``steps`` are given there are ten for each frame, 1,000 at least and
    5,000 at most.  With the same network it differs from `autotune` only in where it starts.

    >>> from tpainn_lite import load_molecules
    >>> train_from_scratch(load_molecules("train")[:5], n_features=8, steps=2, progress=False).metadata["stage"]
    'scratch'
    """
    return _train(frames, valid, seed, {**SCRATCH, "steps": _steps(frames, SCRATCH_STEPS), **settings}, stage="scratch")


def _steps(frames: Sequence[Atoms], rule: tuple[int, int, int]) -> int:
    """More for more frames, within bounds."""
    check_frames(frames)
    per_frame, least, most = rule
    return min(max(per_frame * len(frames), least), most)


def autotune(
    potential: Potential, frames: Sequence[Atoms], valid: Sequence[Atoms] | None = None, *, seed: int = 0,
    freeze: Sequence[str] | str = (), layer_decay: float = 1.0, replay: Iterable[Atoms] = (),
    new_elements: Mapping[str, str] | None = None, **settings: Any,
) -> Potential:  # fmt: skip
    """Stage 2: continue from the pretrained weights, with few DFT labels.

    First the reference energies are refitted in closed form to what the pretrained potential leaves unexplained
    (DFT totals are thousands of eV away from a force field's zero); then all weights are trained, at a low
    learning rate.

    Parameters
    ----------
    potential
        From `pretrain`; left as it is.
    frames, valid
        Labelled by DFT; energies alone will do with ``force_weight=0``.
    freeze
        Parts of the network that stay as they are: "embedding", "interactions", "mixings.0", "readout", ...
    layer_decay
        Each round farther from the readout learns so much more slowly (0.5: half as fast).
    replay
        Classical frames that are not to be forgotten: ``replay_size`` (a setting) of them are added to every batch.
    new_elements
        Elements that nobody pretrained on, and which known ones they begin as: ``{"Se": "S"}``.
    **settings
        Of the run (`tpainn_lite.train.training.fit`).

    Unless ``steps`` are given there are four for each frame, 200 at least and 3,000 at most.
    With ``freeze`` or ``layer_decay`` a table of what is trained, and how fast, is printed.

    Returns
    -------
    Potential
        A new one.

    Raises
    ------
    ValueError, TypeError
        Frames without labels or with unknown elements, forces that point against those of the pretrained potential, as
        gradients do, settings that make no sense; and all that `fit` raises.

    >>> from tpainn_lite import load_molecules, load_pretrained
    >>> tuned = autotune(load_pretrained("gas"), load_molecules("train")[::100], steps=2, progress=False)
    >>> tuned.metadata["stage"]
    'autotune'
    """
    check_potential(potential)
    if new_elements:
        potential = with_elements(potential, new_elements)
        print(_risk(new_elements, frames))
    settings = {**AUTOTUNE, "steps": _steps(frames, AUTOTUNE_STEPS), **settings}
    running = _taken(settings, RUNNING)
    frozen: list[Any] = list(freeze) if isinstance(freeze, (list, tuple, set)) else [freeze]
    check_parts(potential, frozen)
    rates = layer_rates(potential, layer_decay) | dict.fromkeys(frozen, 0.0)
    chosen = Settings.of(seed=seed, rates=rates, **settings)
    data = TrainingData(frames, valid, replay, chosen, potential.cutoff, potential.dtype)
    check_direction(potential, frames)
    tuned = deepcopy(potential)
    labelled = np.flatnonzero(data.has["energy"][: data.n_train]).tolist()
    if labelled:
        charges = [total_charge(data.lists["train"][k]) for k in labelled]
        rereference_graphs(tuned, [data.graphs[k] for k in labelled], data.isolated, charges)
    tuned.metadata |= _describe("autotune", frames, seed)
    data.subtract_references(tuned, of_replayed=potential)
    if rates:
        print(rates_table(tuned, rates))
    train_on(data, tuned, **running)
    return tuned


def _train(frames, valid, seed, settings, stage):
    network, start, running = (_taken(settings, names) for names in (NETWORK, START, RUNNING))
    replay, chosen = settings.pop("replay", ()), Settings.of(seed=seed, **settings)
    painn = _network(seed, **network)
    data = TrainingData(frames, valid, replay, chosen, painn.cutoff)
    potential = _untrained(painn, frames, **start)
    potential.metadata |= _describe(stage, frames, seed)
    data.subtract_references(potential)
    train_on(data, potential, **running)
    return potential


def _risk(new_elements, frames):
    check_frames(frames)
    counts = [sum(symbol in atoms.symbols for atoms in frames) for symbol in new_elements]
    seen = ", ".join(f"{new} (as {old}) in {n}" for (new, old), n in zip(new_elements.items(), counts, strict=True))
    return (
        f"new elements: {seen} of {len(frames)} frames; all that is known of them is learnt from these: test on "
        "other molecules with them, or train on many classical frames first"
    )


def _taken(settings: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of the settings that have these names, which are taken out."""
    return {name: settings.pop(name) for name in names if name in settings}


def _describe(stage: str, frames: Sequence[Atoms], seed: int) -> dict[str, Any]:
    levels = sorted({str(atoms.info.get("level", "unknown")) for atoms in frames})
    said = {"stage": stage, "level": ", ".join(levels), "n_train": len(frames), "seed": seed}
    said["labelled"] = sorted({symbol for atoms in frames for symbol in atoms.symbols})
    return said if stage == "pretrain" else said | {"labels": fingerprint({fingerprint(atoms) for atoms in frames})}


class DeltaPotential:
    """Δ-learning: what a network says of DFT minus a force field, plus the force field; used like a `Potential`.

    Unlike T-PaiNN it needs the force field for every prediction, and the bonds that go with it.
    """

    def __init__(self, difference: Potential, teacher: Calculator) -> None:
        self.difference, self.teacher = difference, teacher

    def predict(
        self, frames: Sequence[Atoms], batch_size: int = 64, forces: bool = True
    ) -> tuple[NDArray, list[NDArray] | None]:
        """Energies (n,) in eV and a list of forces (N, 3) in eV/Å, as `Potential.predict`."""
        energies, differences = self.difference.predict(frames, batch_size, forces)
        labelled = label(frames, self.teacher, progress=False)
        if len(labelled) < len(frames):
            raise ValueError(f"the force field could label only {len(labelled)} of {len(frames)} frames; see above")
        energies = energies + [label_of(atoms, "energy") for atoms in labelled]  # (n,)
        if differences is None:
            return energies, None
        return energies, [f + label_of(atoms, "forces") for f, atoms in zip(differences, labelled, strict=True)]

    def calculator(self) -> BaseCalculator:
        """For MD: the sum of both, as an ASE calculator."""
        from ase.calculators.mixing import SumCalculator

        return SumCalculator([PotentialCalculator(self.difference), self.teacher])


def delta_learn(
    frames: Sequence[Atoms], teacher: Calculator, valid: Sequence[Atoms] | None = None, *, seed: int = 0,
    start: Potential | None = None, **settings: Any,
) -> DeltaPotential:  # fmt: skip
    """Train on the difference of DFT and a cheap method (Ramakrishnan et al. 2015, doi:10.1021/acs.jctc.5b00099).

    Takes and raises what `train_from_scratch` does, and

    Parameters
    ----------
    teacher
        The cheap method, a force field or GFN2-xTB; what it cannot label is left out.
    start
        A pretrained potential, best one that learnt from this teacher: its features are kept, its readout is set to
        zero, so that the difference begins as nothing.  By default the network starts from random numbers.

    >>> from tpainn_lite import load_molecules, mmff94
    >>> delta_learn(load_molecules("train")[:5], mmff94(), n_features=8, steps=2, progress=False).difference.elements
    ['H', 'C']
    """
    check_labels(frames, need=("energy",))
    of_run = {name: value for name, value in settings.items() if name not in (*NETWORK, *START, *RUNNING, "replay")}
    Settings.of(**{"steps": 1, **of_run})  # before anything is labelled
    train, checked = _minus(frames, teacher), _minus(valid, teacher) if valid else None
    usual = {**SCRATCH, "steps": _steps(train, SCRATCH_STEPS)}
    if start is None:
        return DeltaPotential(_train(train, checked, seed, {**usual, **settings}, stage="delta"), teacher)
    usual["learning_rate"] = DELTA_RATES[len(train) > DELTA_FEW]
    difference = autotune(_silenced(start), train, checked, seed=seed, **{**usual, **settings})
    difference.metadata["stage"] = "delta"
    return DeltaPotential(difference, teacher)


def _silenced(start):
    """A copy whose readout says zero, whatever the features."""
    check_potential(start)
    silent = deepcopy(start)
    with torch.no_grad():
        for parameter in silent.painn.readout[2].parameters():
            parameter.zero_()
    return silent


def _minus(frames, teacher):
    """The same frames, labelled with DFT minus the teacher; those that the teacher cannot label are left out."""
    numbered, differences = [atoms.copy() for atoms in frames], []
    for k, atoms in enumerate(numbered):
        atoms.info["place"] = k
    for cheap in label(numbered, teacher, progress=False):
        atoms = frames[cheap.info["place"]]
        given = [key for key in ("energy", "forces") if has_label(atoms, key)]
        copy, labels = atoms.copy(), {key: label_of(atoms, key) - label_of(cheap, key) for key in given}
        copy.calc = SinglePointCalculator(copy, **labels)
        differences.append(copy)
    return differences
