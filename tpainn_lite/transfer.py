"""The method: `pretrain` on cheap classical labels, `autotune` on few DFT labels; and the rival, `train_from_scratch`.

T-PaiNN is Pelletier, Bhat, Rivera, Wilson and Muhich, arXiv:2603.24752; *autotune* is their word for fine-tuning.
The settings below are our own, found in a few trials on small molecules (``benchmarks/tour.py`` says how).
"""

from copy import deepcopy

import numpy as np
import torch

from tpainn_lite.checks import check_labels
from tpainn_lite.painn import PaiNN
from tpainn_lite.potential import Potential, fit_atomref
from tpainn_lite.training import fit

PRETRAIN = {"steps": 3000, "batch_size": 16, "learning_rate": 5e-3}
AUTOTUNE = {"steps": 200, "batch_size": 10, "learning_rate": 1e-3}
SCRATCH = {"steps": 500, "batch_size": 10, "learning_rate": 3e-3}


def new_potential(frames, *, n_features=64, n_interactions=3, n_rbf=20, cutoff=5.0, seed=0):
    """An untrained potential, with the reference energies and the energy scale of these frames.

    ``atomref`` is fitted to the energies in closed form (`fit_atomref`); ``scale`` is the rms force times 1 Å.

    Returns
    -------
    Potential
    """
    check_labels(frames)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        painn = PaiNN(n_features, n_interactions, n_rbf, cutoff)
    forces = np.concatenate([atoms.get_forces() for atoms in frames])  # (ΣN, 3)
    scale = float(np.sqrt(np.mean(forces**2))) or 1.0
    return Potential(painn, fit_atomref(frames), scale)


def pretrain(frames, valid=None, *, seed=0, **settings):
    """Stage 1: train PaiNN on plentiful classical labels.

    Parameters
    ----------
    frames, valid : list of ase.Atoms
        Labelled by a force field: ``label(frames, mmff94())``.
    **settings
        Of the network (`new_potential`) and of the run (`tpainn_lite.training.fit`).

    Returns
    -------
    Potential
    """
    return _train(frames, valid, seed, {**PRETRAIN, **settings}, stage="pretrain")


def train_from_scratch(frames, valid=None, *, seed=0, **settings):
    """The rival: the same network, trained on the DFT labels alone, with the same closed-form reference energies.

    Takes what `pretrain` takes; give it the same network and it differs from `autotune` only in where it starts.
    """
    return _train(frames, valid, seed, {**SCRATCH, **settings}, stage="scratch")


def autotune(potential, frames, valid=None, *, seed=0, **settings):
    """Stage 2: go on with few DFT labels, from the pretrained weights.

    First the reference energies are refitted in closed form to what the pretrained potential leaves unexplained
    (DFT totals are thousands of eV away from a force field's zero); then all weights are trained, at a low
    learning rate.

    Parameters
    ----------
    potential : Potential
        From `pretrain`; left as it is.
    frames, valid : list of ase.Atoms
        Labelled by DFT.

    Returns
    -------
    Potential
        A new one.
    """
    check_labels(frames)
    tuned = deepcopy(potential)
    rereference(tuned, frames)
    tuned.metadata |= _describe("autotune", frames, seed)
    fit(tuned, frames, valid, seed=seed, **{**AUTOTUNE, **settings})
    return tuned


def rereference(potential, frames):
    """Fit the reference energies to (label − interaction energy), in place; elements without a label keep theirs."""
    elements = {z: 0.0 for atoms in frames for z in atoms.numbers.tolist()}
    old = {z: e for z, e in enumerate(potential.atomref.tolist()) if e == e}
    strangers = sorted(elements.keys() - old.keys())
    if strangers:
        raise ValueError(
            f"the frames contain atomic numbers {strangers} that the pretrained potential has never seen; "
            "pretrain on molecules that contain them"
        )
    potential.set_atomref(dict.fromkeys(old, 0.0))
    interaction, _ = potential.predict(frames)
    potential.set_atomref({**old, **fit_atomref(frames, interaction)})


def _train(frames, valid, seed, settings, stage):
    network = {k: settings.pop(k) for k in ("n_features", "n_interactions", "n_rbf", "cutoff") if k in settings}
    potential = new_potential(frames, seed=seed, **network)
    potential.metadata |= _describe(stage, frames, seed)
    fit(potential, frames, valid, seed=seed, **settings)
    return potential


def _describe(stage, frames, seed):
    levels = sorted({str(atoms.info.get("level", "unknown")) for atoms in frames})
    return {"stage": stage, "level": ", ".join(levels), "n_train": len(frames), "seed": seed}
