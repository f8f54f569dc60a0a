"""Frames along reactions: two atoms of a molecule are pushed together, or pulled apart, until bonds break and form.

Used by `reactions_b3lyp.py`, which labels some of them with DFT, and by `pretrained.py`.  A constant force acts between
the two atoms while GFN2-xTB relaxes all others (in the manner of Maeda and Morokuma 2010, doi:10.1063/1.3457903); once
they have met, or parted, it ends, and the molecule relaxes to what it has become.  Frames are spread evenly over the
length of the path, and shaken a little, because nothing moves along the bottom of a valley alone.
"""

import itertools
from contextlib import suppress

import numpy as np
from ase.calculators.calculator import CalculationFailed
from ase.constraints import ExternalForce
from ase.data import covalent_radii
from ase.optimize import FIRE

from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.geometry import bonds_of, distances
from tpainn_lite.teachers.rdkit import ForceFieldError
from tpainn_lite.teachers.xtb import gfn2_xtb

FORCE = {"together": (4.0, 9.0), "apart": (5.0, 9.0)}  # eV/Å, least and most
MET, PARTED = 1.15, 2.5  # distances, in sums of covalent radii
NEAR = 4.0  # Å: atoms further from each other are not pushed together
SHAKEN = 0.03  # Å, standard deviation
STEPS, AFTERWARDS = 150, 25  # at most, with the force and without
LEAST_STEPS = 12  # of a path that is worth frames
TRIALS = 6  # pairs of atoms until bonds change


def reaction(smiles, n_frames, seed):
    """``n_frames`` frames along one path of this molecule on which bonds change, not labelled; none where none do, or
    where GFN2-xTB does not converge."""
    rng = np.random.default_rng(seed)
    with suppress(ForceFieldError, CalculationFailed):
        atoms = molecule(smiles, seed)
        for kind in rng.choice(["together", "together", "apart"], TRIALS):
            pairs = _pairs(atoms, kind)
            path = _path(atoms, rng.choice(pairs), str(kind), rng) if len(pairs) else []
            if len(path) >= LEAST_STEPS and _changes(path):
                return _spread(path, n_frames, rng, {"smiles": smiles, "config_type": f"pushed {kind}"})
    return []


def _changes(path):
    """Whether the last structure has other bonds than the first."""
    first, last = ({tuple(bond) for bond in bonds_of(atoms)} for atoms in (path[0], path[-1]))
    return first != last


def _pairs(atoms, kind):
    """Pairs of atoms to act on, (n, 2); never two hydrogens."""
    i, j = np.triu_indices(len(atoms), k=1)
    between, bonds = distances(atoms, i, j), np.zeros((len(atoms), len(atoms)), bool)
    bonds[tuple(bonds_of(atoms).T)] = True
    bonded = (bonds | bonds.T)[i, j]
    right = bonded if kind == "apart" else ~bonded & (between < NEAR)
    heavy = (atoms.numbers[i] > 1) | (atoms.numbers[j] > 1)
    return np.column_stack([i, j])[right & heavy]


def _path(atoms, pair, kind, rng):
    """The structures that the molecule goes through, step by step."""
    i, j = map(int, pair)
    moving = atoms.copy()
    moving.calc = gfn2_xtb()
    sign = 1 if kind == "apart" else -1  # of ASE's force, which pulls apart
    moving.set_constraint(ExternalForce(i, j, sign * rng.uniform(*FORCE[kind])))
    radii = covalent_radii[moving.numbers[[i, j]]].sum()
    positions = [moving.positions.copy()]

    def done():
        ratio = moving.get_distance(i, j) / radii
        return ratio > PARTED if kind == "apart" else ratio < MET

    for n_steps in (STEPS, AFTERWARDS):
        optimizer = FIRE(moving, logfile=None, maxstep=0.1)
        for _ in optimizer.irun(fmax=0.05, steps=n_steps):
            positions.append(moving.positions.copy())
            if moving.constraints and done():
                break
        moving.set_constraint()
    frames = [atoms.copy() for _ in positions]
    for frame, place in zip(frames, positions, strict=True):
        frame.positions = place
    return frames


def _spread(path, n_frames, rng, info):
    """Frames at equal distances along the path, the first a little off its beginning."""
    steps = [np.linalg.norm(b.positions - a.positions) for a, b in itertools.pairwise(path)]
    length = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, length[-1], n_frames + 1)[1:]
    chosen = [path[k].copy() for k in np.unique(np.searchsorted(length, wanted - 1e-9))]
    for frame in chosen:
        frame.positions += rng.normal(0, SHAKEN, frame.positions.shape)
        frame.info = dict(info)
    return chosen
