"""The shipped weights, and how they were pretrained: data, network and settings, as functions of a seed.

    tpainn pretrain --recipe gas weights.safetensors --checkpoint run
    tpainn pretrain --recipe gas_xtb weights.safetensors --checkpoint run
    tpainn pretrain --recipe water weights.safetensors --checkpoint run
    tpainn pretrain --recipe water_xtb weights.safetensors --checkpoint run
    tpainn pretrain --recipe water_iamoeba weights.safetensors --checkpoint run

No molecule of the DFT sets' `valid`, `test` or `test_large` is in the classical data of a recipe.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.arguments import check_choice, check_counts, check_numbers
from tpainn_lite.structures.checks import check_frames, label_of
from tpainn_lite.structures.shipped import molecule_list, shipped_file, tell_once
from tpainn_lite.structures.smiles import skeleton
from tpainn_lite.teachers.label import label_stream
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.teachers.sample import shaken_molecules
from tpainn_lite.teachers.water import water
from tpainn_lite.teachers.water_md import water_runs
from tpainn_lite.teachers.xtb import gfn2_xtb
from tpainn_lite.train.training import fit
from tpainn_lite.train.transfer import autotune, pretrain

NETWORK = {"n_features": 64, "n_interactions": 3, "cutoff": 5.0}
WATER_STATES = [(d, t) for d in (0.85, 0.92, 1.0, 1.08, 1.15) for t in (280, 330, 400, 600)]  # g/cm³, K
HOT_STATES = [(d, t) for d in (0.9, 1.1) for t in (1000, 1500)]  # where molecules collide
FORCE_LIMIT = 30.0  # eV/Å, a component: normal modes are straight lines; at 2000 K some run one atom into another
LOCAL = {"electrostatics": "damped-shifted", "cutoff": NETWORK["cutoff"]}  # charges end where the network does


def load_pretrained(recipe):
    """The weights that are shipped: PaiNN pretrained on classical labels, to be autotuned.

    Parameters
    ----------
    recipe : "gas", "gas_xtb", "water", "water_xtb" or "water_iamoeba"
        Molecules of H, C, N, O, F under MMFF94; the same, gone on with under GFN2-xTB; liquid q-TIP4P/F; the same,
        gone on with under GFN2-xTB, or under iAMOEBA, which is classical too and the best of the three to autotune.

    Returns
    -------
    Potential
        A new one at each call.
    """
    _check(recipe)
    tell_once("checkpoints")
    return Potential.load(shipped_file(f"checkpoints/{recipe}.safetensors"))


def gas_frames(n_molecules=5500, n_frames=40, n_valid=100, temperature=(300, 2000), seed=0, n_jobs=2, teacher=mmff94):
    """Classical labels of shaken molecules with up to nine heavy atoms; only `calm` frames.

    Parameters
    ----------
    n_molecules, n_valid : int
        Molecules to train on, and others to validate on.
    n_frames : int
        Of each molecule.
    teacher : callable () -> ase Calculator
        Who labels; all shake along the normal modes of MMFF94.

    Returns
    -------
    (list of ase.Atoms, list of ase.Atoms)
        train and valid.
    """
    check_counts(n_molecules=n_molecules, n_frames=n_frames)
    check_counts(least=0, n_valid=n_valid, seed=seed)
    _check_teacher(teacher)
    smiles = np.random.default_rng(seed).permutation(molecule_list(max_heavy=9)).tolist()
    if n_molecules + n_valid > len(smiles):
        raise ValueError(f"{n_molecules} + {n_valid} molecules asked for; there are {len(smiles)}")
    shaken = shaken_molecules(smiles[: n_molecules + n_valid], n_frames, temperature, seed)
    frames = calm(label_stream(shaken, teacher(), n_jobs))
    kept = {skeleton(name) for name in smiles[n_molecules : n_molecules + n_valid]}
    train = [atoms for atoms in frames if skeleton(atoms.info["smiles"]) not in kept]
    return train, [atoms for atoms in frames if skeleton(atoms.info["smiles"]) in kept]


def calm(frames):
    """Those of the labelled frames in which no component of a force exceeds `FORCE_LIMIT`."""
    frames = list(frames) if hasattr(frames, "__iter__") and not isinstance(frames, str) else frames
    if frames != []:
        check_frames(frames)
    return [atoms for atoms in frames if np.abs(label_of(atoms, "forces")).max() < FORCE_LIMIT]


def water_frames(
    n_frames=100, n_valid=5, n_molecules=64, seed=0, n_jobs=2, states=WATER_STATES, teacher=None, **settings
):
    """Boxes of liquid q-TIP4P/F at many densities and temperatures, with stress; ``n_valid`` of each from runs apart.

    Charges are damped, and shifted to end at the network's cutoff (`LOCAL`), so that it sees every pair that acts.

    Parameters
    ----------
    n_frames, n_valid : int
        Of each density and temperature.
    states : list of (density in g/cm³, temperature in K)
    teacher : callable () -> ase Calculator, optional
        Labels the boxes anew; then q-TIP4P/F, with all its charges, only moves the molecules, and boxes may be narrow.
        Only `calm` frames are kept.
    **settings
        Of `tpainn_lite.teachers.water_md.water_run`.

    Returns
    -------
    (list of ase.Atoms, list of ase.Atoms)
        train and valid.
    """
    check_counts(n_frames=n_frames, n_molecules=n_molecules)
    check_counts(least=0, n_valid=n_valid, seed=seed)
    _check_states(states)
    if teacher is not None:
        _check_teacher(teacher)
    told = {"n_molecules": n_molecules, "n_jobs": n_jobs, **({} if teacher else {**LOCAL, "stress": True}), **settings}
    parts = [water_runs(states, n, seed=seed + later, **told) for n, later in ((n_frames, 0), (n_valid, 1000))]
    if teacher:
        parts = [calm(label_stream(part, teacher(), n_jobs)) for part in parts]
    return tuple(parts)


class Recipe(NamedTuple):
    """How shipped weights were made."""

    make: Any  # the data: function of a seed
    first: dict  # settings of the first round of training
    later: tuple = ()  # what changes in the rounds after it: warm restarts (Loshchilov and Hutter, arXiv:1608.03983)
    start: str | None = None  # the shipped weights that it goes on from, if not from scratch


RECIPES = {
    "gas": Recipe(
        gas_frames,
        {"steps": 60_000, "batch_size": 32, "learning_rate": 3e-3, "check_every": 1000},
        ({"steps": 30_000, "learning_rate": 2e-3},),
    ),
    "gas_xtb": Recipe(
        partial(gas_frames, n_frames=10, teacher=gfn2_xtb),
        {"steps": 12_000, "batch_size": 32, "learning_rate": 2e-3, "check_every": 1000},
        ({"energy_weight": 2.0},),  # energies between molecules are what GFN2-xTB knows and MMFF94 does not
        start="gas",
    ),
    "water": Recipe(water_frames, {"steps": 16_000, "batch_size": 2, "learning_rate": 2e-3, "check_every": 500}),
    "water_xtb": Recipe(
        partial(
            water_frames, n_frames=10, n_valid=1, n_molecules=32, states=WATER_STATES + HOT_STATES, teacher=gfn2_xtb
        ),
        {"steps": 8000, "batch_size": 1, "learning_rate": 2e-3, "check_every": 500},
        start="water",
    ),
    "water_iamoeba": Recipe(
        partial(
            water_frames,
            n_frames=100,
            n_valid=2,
            n_molecules=32,
            spacing=200,
            states=WATER_STATES + HOT_STATES,
            teacher=partial(water, "iAMOEBA"),
        ),
        {"steps": 30_000, "batch_size": 1, "learning_rate": 2e-3, "check_every": 1000},
        start="water",
    ),
}


def follow(recipe, seed=0, sizes=None, **settings):
    """Make the data of a recipe and pretrain on them.

    Parameters
    ----------
    recipe : "gas", "gas_xtb", "water", "water_xtb" or "water_iamoeba"
    sizes : dict, optional
        Of the data, instead of the recipe's: ``{"n_molecules": 100}``.
    **settings
        Of the network and of every round of training, instead of the recipe's.  With ``checkpoint``, a folder, the
        rounds after the first have folders of their own in it: ``round-2``.

    Returns
    -------
    Potential
    """
    _check(recipe)
    if sizes is not None and not (isinstance(sizes, dict) and all(isinstance(name, str) for name in sizes)):
        raise TypeError(f"sizes is {sizes!r}; a dict of the data's sizes is expected, like {{'n_molecules': 100}}")
    make, first, later, start = RECIPES[recipe]
    network = {**NETWORK, **{name: settings.pop(name) for name in NETWORK if name in settings}}
    if start and network != NETWORK:
        raise ValueError(f"recipe {recipe!r} goes on from the weights {start!r}, a network of {NETWORK}, not {network}")
    train, valid = make(seed=seed, **(sizes or {}))
    if start:
        potential = autotune(load_pretrained(start), train, valid, seed=seed, **{**first, **settings})
        potential.metadata |= {"stage": "pretrain", "start": start}
    else:
        potential = pretrain(train, valid, seed=seed, **{**network, **first, **settings})
    for number, changes in enumerate(later, start=2):
        run = {**first, **changes, **settings}
        if run.get("checkpoint"):
            run["checkpoint"] = round_folder(run["checkpoint"], number)
        fit(potential, train, valid, seed=seed + number, **run)
    potential.metadata["recipe"] = recipe
    return potential


def rounds(recipe):
    """Steps of each round of training of a recipe."""
    _check(recipe)
    first, later = RECIPES[recipe].first, RECIPES[recipe].later
    return [first["steps"], *(changes.get("steps", first["steps"]) for changes in later)]


def round_folder(checkpoint, number):
    """Where a round of training keeps its state and its history, inside the folder ``checkpoint``."""
    return Path(checkpoint) / (f"round-{number}" if number > 1 else "")


def _check(recipe):
    check_choice(RECIPES, recipe=recipe)


def _check_teacher(teacher):
    if not callable(teacher) or hasattr(teacher, "calculate"):
        raise TypeError(f"teacher is {repr(teacher)[:60]}; a function that makes a calculator is expected, like mmff94")


def _check_states(states):
    is_list = isinstance(states, (list, tuple)) and states
    if not is_list or not all(isinstance(state, (list, tuple)) and len(state) == 2 for state in states):
        shown = repr(states)[:60]
        raise TypeError(f"states is {shown}; a list of pairs (density in g/cm³, temperature in K) is expected")
    for density, temperature in states:
        check_numbers(above=0, density=density, temperature=temperature)
