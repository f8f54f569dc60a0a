"""The method: `pretrain` on cheap classical labels, `autotune` on few DFT labels; and the rival, `train_from_scratch`.

T-PaiNN is Pelletier, Bhat, Rivera, Wilson and Muhich, arXiv:2603.24752; *autotune* is their word for fine-tuning.
The settings below are our own, found in a few trials on small molecules (``benchmarks/tour.py`` says how).
"""

from copy import deepcopy

import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.references import fit_atomref, moved, rereference
from tpainn_lite.structures.arguments import check_counts, check_numbers
from tpainn_lite.structures.checks import check_labels, label_of
from tpainn_lite.teachers.label import label
from tpainn_lite.train.training import Settings, check_parts, fit, layer_rates, rates_table

PRETRAIN = {"steps": 3000, "batch_size": 16, "learning_rate": 5e-3}
AUTOTUNE = {"batch_size": 10, "learning_rate": 2e-3}
SCRATCH = {"batch_size": 10, "learning_rate": 3e-3}
AUTOTUNE_STEPS, SCRATCH_STEPS = (4, 200, 3000), (10, 1000, 5000)  # per frame; at least; at most
REFERENCES = ("atomref", "mean", "none")
NETWORK = ("n_features", "n_interactions", "n_rbf", "cutoff", "references", "scale")  # settings of `new_potential`
RUNNING = ("replay", "watch", "progress", "checkpoint")  # arguments of `fit` that are no `Settings`


def new_potential(
    frames, *, n_features=64, n_interactions=3, n_rbf=20, cutoff=5.0, seed=0, references="atomref", scale=None
):
    """An untrained potential, with the reference energies and the energy scale of these frames.

    Parameters
    ----------
    references : "atomref", "mean" or "none"
        One energy per element, fitted in closed form (`fit_atomref`); the same for every atom, the mean energy per
        atom; or zero.  Worse choices are there to be compared with: any gain can be had against them.
    scale : float, optional
        eV; the rms force times 1 Å unless given.  Frames without forces: the energies, per root of the number of atoms,
        that these reference energies leave.

    Returns
    -------
    Potential
    """
    if references not in REFERENCES:
        raise ValueError(f"references {references!r} is not one of {REFERENCES}")
    check_labels(frames, need=("energy",))
    check_counts(0, seed=seed)
    if scale is not None:
        check_numbers(above=0, scale=scale)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        painn = PaiNN(n_features, n_interactions, n_rbf, cutoff)
    atomref = _references(frames, references)
    return Potential(painn, atomref, _scale(frames, atomref) if scale is None else scale)


def _references(frames, kind):
    """{atomic number: eV}"""
    fitted = fit_atomref(frames)
    if kind == "atomref":
        return fitted
    mean = sum(label_of(atoms, "energy") for atoms in frames) / sum(map(len, frames))  # eV per atom
    return dict.fromkeys(fitted, float(mean) if kind == "mean" else 0.0)


def _scale(frames, atomref):
    """eV: how large interaction energies are, to within a factor of a few."""
    if all("forces" in atoms.calc.results for atoms in frames):
        forces = np.concatenate([label_of(atoms, "forces") for atoms in frames])  # (ΣN, 3)
        return float(np.sqrt(np.mean(forces**2))) or 1.0
    left = [label_of(atoms, "energy") - sum(atomref[z] for z in atoms.numbers) for atoms in frames]
    left = np.array(left) / np.sqrt([len(atoms) for atoms in frames])  # (n,)
    return float(np.sqrt(np.mean(left**2))) or 1.0


def pretrain(frames, valid=None, *, seed=0, **settings):
    """Stage 1: train PaiNN on plentiful classical labels.

    Parameters
    ----------
    frames, valid : list of ase.Atoms
        Labelled by a force field: ``label(frames, mmff94())``.
    **settings
        Of the network (`new_potential`) and of the run (`tpainn_lite.train.training.fit`).

    Returns
    -------
    Potential
    """
    return _train(frames, valid, seed, {**PRETRAIN, **settings}, stage="pretrain")


def train_from_scratch(frames, valid=None, *, seed=0, **settings):
    """The rival: the same network, trained on the DFT labels alone, with the same closed-form reference energies.

    Takes what `pretrain` takes; unless ``steps`` are given there are ten for each frame, 1,000 at least and 5,000 at
    most.  Give it the same network and it differs from `autotune` only in where it starts.
    """
    return _train(frames, valid, seed, {**SCRATCH, "steps": _steps(frames, SCRATCH_STEPS), **settings}, stage="scratch")


def _steps(frames, rule):
    """More for more frames, within bounds."""
    per_frame, least, most = rule
    return min(max(per_frame * len(frames), least), most)


def autotune(potential, frames, valid=None, *, seed=0, freeze=(), layer_decay=1.0, replay=(), **settings):
    """Stage 2: go on with few DFT labels, from the pretrained weights.

    First the reference energies are refitted in closed form to what the pretrained potential leaves unexplained
    (DFT totals are thousands of eV away from a force field's zero); then all weights are trained, at a low
    learning rate.

    Parameters
    ----------
    potential : Potential
        From `pretrain`; left as it is.
    frames, valid : list of ase.Atoms
        Labelled by DFT; energies alone will do with ``force_weight=0``.
    freeze : sequence of str, or str
        Parts of the network that stay as they are: "embedding", "interactions", "mixings.0", "readout", ...
    layer_decay : float
        Each round farther from the readout learns so much more slowly (0.5: half as fast).
    replay : list of ase.Atoms
        Classical frames to go on with beside the DFT frames, ``replay_size`` (a setting) of them in every batch: what
        was learned of them is then not forgotten.

    Unless ``steps`` are given there are four for each frame, 200 at least and 3,000 at most.
    With ``freeze`` or ``layer_decay`` a table of what is trained, and how fast, is printed.

    Returns
    -------
    Potential
        A new one.
    """
    check_labels(frames, need=("energy",))
    settings = {**AUTOTUNE, "steps": _steps(frames, AUTOTUNE_STEPS), **settings}
    check_settings(settings)
    freeze = list(freeze) if isinstance(freeze, (list, tuple, set)) else [freeze]
    check_parts(potential, freeze)
    tuned = deepcopy(potential)
    rereference(tuned, frames)
    tuned.metadata |= _describe("autotune", frames, seed)
    rates = layer_rates(tuned, layer_decay) | dict.fromkeys(freeze, 0.0)
    if freeze or layer_decay != 1:
        print(rates_table(tuned, rates))
    replay = moved(replay, potential, tuned)
    fit(tuned, frames, valid, seed=seed, rates=rates, replay=replay, **settings)
    return tuned


class DeltaPotential:
    """Δ-learning: what a network says of DFT minus a force field, plus the force field; asked like a `Potential`.

    Unlike T-PaiNN it needs the force field for every prediction, and the bonds that go with it.
    """

    def __init__(self, difference, teacher):
        self.difference, self.teacher = difference, teacher

    def predict(self, frames, batch_size=64, forces=True):
        """Energies (n,) in eV and a list of forces (N, 3) in eV/Å, as `Potential.predict`."""
        energies, differences = self.difference.predict(frames, batch_size, forces)
        taught = label(frames, self.teacher, progress=False)
        if len(taught) < len(frames):
            raise ValueError(f"the force field could label only {len(taught)} of {len(frames)} frames; see above")
        energies = energies + [label_of(atoms, "energy") for atoms in taught]  # (n,)
        if not forces:
            return energies, None
        return energies, [f + label_of(atoms, "forces") for f, atoms in zip(differences, taught, strict=True)]

    def calculator(self):
        """For MD: the sum of both, as an ASE calculator."""
        from ase.calculators.mixing import SumCalculator

        return SumCalculator([PotentialCalculator(self.difference), self.teacher])


def delta_learn(frames, teacher, valid=None, *, seed=0, **settings):
    """Another rival: train from scratch on the difference of DFT and a force field (Ramakrishnan et al. 2015,
    doi:10.1021/acs.jctc.5b00099).

    Parameters
    ----------
    frames, valid : list of ase.Atoms
        Labelled by DFT; energies alone will do with ``force_weight=0``.
    teacher : ase Calculator
        The force field, or any cheap method; what it cannot label is left out.

    Returns
    -------
    DeltaPotential
    """
    check_labels(frames, need=("energy",))
    check_settings({"steps": 1, **{name: value for name, value in settings.items() if name not in NETWORK}})
    train, checked = _minus(frames, teacher), _minus(valid, teacher) if valid else None
    settings = {**SCRATCH, "steps": _steps(train, SCRATCH_STEPS), **settings}
    return DeltaPotential(_train(train, checked, seed, settings, stage="delta"), teacher)


def _minus(frames, teacher):
    """The same frames, labelled with DFT minus the teacher; those that the teacher cannot label are left out."""
    numbered, differences = [atoms.copy() for atoms in frames], []
    for k, atoms in enumerate(numbered):
        atoms.info["place"] = k
    for taught in label(numbered, teacher, progress=False):
        atoms = frames[taught.info["place"]]
        given = [key for key in ("energy", "forces") if key in atoms.calc.results]
        copy, labels = atoms.copy(), {key: label_of(atoms, key) - label_of(taught, key) for key in given}
        copy.calc = SinglePointCalculator(copy, **labels)
        differences.append(copy)
    return differences


def check_settings(settings):
    """Raise TypeError or ValueError where `fit` would not take these, before anything is labelled or computed."""
    Settings.of(**{name: value for name, value in settings.items() if name not in RUNNING})


def _train(frames, valid, seed, settings, stage):
    network = {k: settings.pop(k) for k in NETWORK if k in settings}
    check_settings(settings)
    potential = new_potential(frames, seed=seed, **network)
    potential.metadata |= _describe(stage, frames, seed)
    fit(potential, frames, valid, seed=seed, **settings)
    return potential


def _describe(stage, frames, seed):
    levels = sorted({str(atoms.info.get("level", "unknown")) for atoms in frames})
    return {"stage": stage, "level": ", ".join(levels), "n_train": len(frames), "seed": seed}
