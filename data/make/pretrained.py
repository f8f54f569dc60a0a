"""How the shipped weights were pretrained: data, network and settings, as functions of a seed.

    python data/make/pretrained.py gas --out data/checkpoints/gas.safetensors --checkpoint run

and so for ``gas_mean``, ``gas_xtb``, ``gas_wide``, ``gas_wide_xtb``, ``water``, ``water_xtb`` and ``water_iamoeba``,
and for ``gas_reactive``, whose weights are not shipped.  It takes hours; with ``--checkpoint`` the same command resumes
where it was interrupted.  No molecule of the DFT sets' `valid`, `test` or `test_large` is in the classical data of a
recipe.

``gas_wide`` and ``gas_wide_xtb`` learn from ``data/molecules_wide.csv``: eleven elements, drug-like molecules,
peptides, ions.  `wide_frames.py` makes their frames.  To make both anew, the second from the new first::

    python data/make/pretrained.py gas_wide --out build/wide/gas_wide.safetensors --checkpoint build/wide/run
    python data/make/pretrained.py gas_wide_xtb --start build/wide/gas_wide.safetensors --out ... --checkpoint ...

The network is not given the charge: it recognises an ion by its atoms.  The molecules of the list have paired
electrons: the same atoms could only have charges that differ by two, and are there with two charges in two pairs of
molecules that have nothing else in common.  Taking a proton away or adding one changes what every atom within 15 Å
(three interactions of 5 Å) sees.  Where the geometry does not show the charge (radicals, an electron added to a
molecule), these weights are no start.  What an ion's energy differs by whatever its shape, some 9 eV for each charge
with GFN2-xTB, is fitted with the energies of the elements (`Potential.of_charge`): with it in what is learned, 1,200
steps learn nothing of an ion's energy (330 meV/atom).
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase.calculators.mixing import LinearCombinationCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from reactive_frames import reaction
from wide_frames import load_wide

from tpainn_lite.model.potential import Potential
from tpainn_lite.model.pretrained import load_pretrained
from tpainn_lite.reading.shipped import molecule_list
from tpainn_lite.structures.checks import label_of
from tpainn_lite.structures.smiles import skeleton
from tpainn_lite.teachers.gfn_ff import gfn_ff
from tpainn_lite.teachers.label import label_stream
from tpainn_lite.teachers.parallel import in_parallel
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
MEAN = "mean of MMFF94 and GFN-FF"
LOCAL = {"electrostatics": "damped-shifted", "cutoff": NETWORK["cutoff"]}  # charges end where the network does


def gas_frames(n_molecules=5500, n_frames=40, n_valid=100, temperature=(300, 2000), seed=0, n_jobs=2, teacher=mmff94):
    """(train, valid): labels of ``n_frames`` of each of the molecules, which have up to nine heavy atoms; only `calm`
    frames.  Whoever labels, all are shaken along the normal modes of MMFF94."""
    smiles = np.random.default_rng(seed).permutation(molecule_list(max_heavy=9)).tolist()
    if n_molecules + n_valid > len(smiles):
        raise ValueError(f"{n_molecules} + {n_valid} molecules are wanted; there are {len(smiles)}")
    shaken = shaken_molecules(smiles[: n_molecules + n_valid], n_frames, temperature, seed)
    frames = calm(label_stream(shaken, teacher(), n_jobs))
    kept = {skeleton(name) for name in smiles[n_molecules : n_molecules + n_valid]}
    train = [atoms for atoms in frames if skeleton(atoms.info["smiles"]) not in kept]
    return train, [atoms for atoms in frames if skeleton(atoms.info["smiles"]) in kept]


def calm(frames):
    """Those of the labelled frames in which no component of a force exceeds `FORCE_LIMIT`."""
    return [atoms for atoms in frames if np.abs(label_of(atoms, "forces")).max() < FORCE_LIMIT]


def reactive_frames(n_reactions=300, n_frames=10, n_valid=20, n_shaken=200, seed=0, n_jobs=2):
    """(train, valid): GFN2-xTB along reactions of molecules of up to six heavy atoms, and, so that the bottom of the
    valleys is not forgotten, `gas_frames`; the validation frames are all of reactions."""
    smiles = np.random.default_rng(seed).permutation(molecule_list(max_heavy=6)).tolist()
    calls = ((name, n_frames, seed + k) for k, name in enumerate(smiles))
    paths = (path for path in in_parallel(reaction, calls, n_jobs, in_order=True) if path)
    frames = [atoms for path in islice(paths, n_reactions + n_valid) for atoms in path]
    kept = {skeleton(name) for name in list(dict.fromkeys(atoms.info["smiles"] for atoms in frames))[-n_valid:]}
    labelled = calm(label_stream(frames, gfn2_xtb(), n_jobs))
    valid = [atoms for atoms in labelled if skeleton(atoms.info["smiles"]) in kept]
    train = [atoms for atoms in labelled if skeleton(atoms.info["smiles"]) not in kept]
    shaken, _ = gas_frames(n_shaken, n_frames, 1, seed=seed, n_jobs=n_jobs, teacher=gfn2_xtb)
    return train + [atoms for atoms in shaken if skeleton(atoms.info["smiles"]) not in kept], valid


def two_force_fields():
    """The mean of MMFF94 and GFN-FF, whose errors against DFT have little in common."""
    both = LinearCombinationCalculator([mmff94(), gfn_ff()], [0.5, 0.5])
    both.level = MEAN
    return both


def mean_frames(n_frames=10, **settings):
    """(train, valid): `gas_frames` labelled by both force fields, with the means of their labels; frames that both find
    `calm`, for the mean of a sound label and of a wild one is wild."""
    parts = gas_frames(n_frames=n_frames, **settings)
    return tuple(_means(part, calm(label_stream(part, gfn_ff(), 1))) for part in parts)


def _means(by_mmff94, by_gfn_ff):
    """The frames that have labels of both, with the means of these."""
    first, found = {frame.info["id"]: frame for frame in by_mmff94}, []
    for frame in by_gfn_ff:
        pair = first[frame.info["id"]], frame
        means = {key: np.mean([label_of(each, key) for each in pair], axis=0) for key in ("energy", "forces")}
        found.append(pair[0].copy())
        found[-1].calc = SinglePointCalculator(found[-1], **means)
        found[-1].info["level"] = MEAN
    return found


def wide_frames(teacher, n_files=None, seed=0):
    """(train, valid): what `wide_frames.py` has made, labelled by this teacher; the ``seed`` changes nothing of it."""
    return load_wide(teacher, n_files)


def water_frames(
    n_frames=100, n_valid=5, n_molecules=64, seed=0, n_jobs=2, states=WATER_STATES, teacher=None, **settings
):
    """(train, valid): boxes of liquid q-TIP4P/F at many densities and temperatures, with stress; validation boxes come
    from runs of their own.

    Charges are damped, and shifted to end at the network's cutoff (`LOCAL`), so that it sees every pair that acts.
    Where another ``teacher`` labels the boxes anew, q-TIP4P/F, with all its charges, only moves the molecules, boxes
    may be narrow, and only `calm` frames are kept.  ``settings`` are those of `water_run`.
    """
    own = {} if teacher else {**LOCAL, "stress": True}
    settings = {"n_molecules": n_molecules, "n_jobs": n_jobs, **own, **settings}
    parts = [water_runs(states, n, seed=seed + later, **settings) for n, later in ((n_frames, 0), (n_valid, 1000))]
    return tuple(calm(label_stream(part, teacher(), n_jobs)) if teacher else part for part in parts)


class Recipe(NamedTuple):
    """How shipped weights were made."""

    make: Callable[..., Any]  # the data: function of a seed
    first: dict[str, Any]  # settings of the first round of training
    later: tuple[dict[str, Any], ...] = ()  # what changes in later rounds: warm restarts (arXiv:1608.03983)
    start: str | None = None  # the shipped weights to start from, if not from scratch


RECIPES = {
    "gas": Recipe(
        gas_frames,
        {"steps": 60_000, "batch_size": 32, "learning_rate": 3e-3, "check_every": 1000},
        ({"steps": 30_000, "learning_rate": 2e-3},),
    ),
    "gas_mean": Recipe(
        mean_frames, {"steps": 10_000, "batch_size": 32, "learning_rate": 1e-3, "check_every": 1000}, start="gas"
    ),
    "gas_xtb": Recipe(
        partial(gas_frames, n_frames=10, teacher=gfn2_xtb),
        {"steps": 12_000, "batch_size": 32, "learning_rate": 2e-3, "check_every": 1000},
        ({"energy_weight": 2.0},),  # energies between molecules are what GFN2-xTB knows and MMFF94 does not
        start="gas",
    ),
    "gas_wide": Recipe(
        partial(wide_frames, "MMFF94"),
        {"steps": 50_000, "batch_size": 32, "learning_rate": 3e-3, "check_every": 1000},
    ),
    "gas_wide_xtb": Recipe(
        partial(wide_frames, "GFN2-xTB"),
        {"steps": 50_000, "batch_size": 32, "learning_rate": 2e-3, "check_every": 1000},
        ({"steps": 25_000, "learning_rate": 1e-3, "energy_weight": 2.0},),
        start="gas_wide",
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
            water_frames, n_valid=2, n_molecules=32, spacing=200, states=WATER_STATES + HOT_STATES,
            teacher=partial(water, "iAMOEBA"),
        ),
        {"steps": 30_000, "batch_size": 1, "learning_rate": 2e-3, "check_every": 1000},
        start="water",
    ),
}  # fmt: skip
NOT_SHIPPED = {
    "gas_reactive": Recipe(
        reactive_frames,
        {"steps": 6000, "batch_size": 32, "learning_rate": 1e-3, "check_every": 1000},
        start="gas_xtb",
    ),
}


def follow(recipe, seed=0, sizes=None, weights=None, **settings):
    """The potential that a recipe gives: its data are made (of other ``sizes``, where given), then it is pretrained.

    ``settings`` of the network and of every round of training replace the recipe's.  With ``checkpoint``, a folder,
    the rounds after the first have folders of their own in it: ``round-2``.  ``weights`` are those to start from, where
    the recipe's are not shipped.
    """
    make, first, later, start = {**RECIPES, **NOT_SHIPPED}[recipe]
    network = {**NETWORK, **{name: settings.pop(name) for name in NETWORK if name in settings}}
    if start and network != NETWORK:
        raise ValueError(f"recipe {recipe!r} starts from the weights {start!r}, a network of {NETWORK}, not {network}")
    train, valid = make(seed=seed, **(sizes or {}))
    if start:
        potential = autotune(weights or load_pretrained(start), train, valid, seed=seed, **{**first, **settings})
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
    first, later = RECIPES[recipe].first, RECIPES[recipe].later
    return [first["steps"], *(changes.get("steps", first["steps"]) for changes in later)]


def round_folder(checkpoint, number):
    """Where a round of training keeps its state and its history, inside the folder ``checkpoint``."""
    return Path(checkpoint) / (f"round-{number}" if number > 1 else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=[*RECIPES, *NOT_SHIPPED])
    parser.add_argument("--out", type=Path, required=True, help="the weights: .safetensors")
    parser.add_argument("--checkpoint", type=Path, help="folder in which interrupted rounds are kept, to be resumed")
    parser.add_argument("--start", type=Path, help="weights to start from, where the recipe's are not shipped")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    weights = arguments.start and Potential.load(arguments.start)
    potential = follow(arguments.recipe, arguments.seed, weights=weights, checkpoint=arguments.checkpoint)
    potential.save(arguments.out)
