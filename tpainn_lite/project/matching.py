"""Labels that were made elsewhere find the frames that they were asked for.

Files of other programs keep four, five or six decimals, put atoms back into their box and forget names; so frames are
recognised by distance, to the nearest image, and only then by the name that they were sent away with.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.checks import label_of
from tpainn_lite.structures.geometry import to_nearest_image

SAME = 1e-3  # Å; no atom of the same frame lies farther off: three decimals, and more, are enough
NAMED = 0.05  # Å; nor of a frame of the same name
ALIKE = 1e-4  # eV, eV/Å; labels that differ by less are the same


def matched(chosen: Sequence[Atoms], labelled: Sequence[Atoms], name: str | Path) -> list[Atoms]:
    """The labelled frames in the order of the chosen ones.

    Parameters
    ----------
    chosen
        With ``info["id"]``.
    labelled
        Of them and perhaps of others, in any order; the same atoms in the same order, at most 0.001 Å away, or with
        the same ``info["id"]`` and at most 0.05 Å away.
    name
        Where they come from, for errors.

    Returns
    -------
    list of ase.Atoms
        Copies with the places that were labelled, and ``info`` of both.

    Raises
    ------
    DatasetError
        A frame is missing, has moved, or is there twice with labels that differ.
    """
    matches = {atoms.info["id"]: _match(atoms, labelled, name) for atoms in chosen}
    missing = [number for number, match in matches.items() if match is None]
    if missing:
        raise DatasetError(
            f"{name} has {len(labelled)} labelled frames, but not these of to_label.extxyz: {', '.join(missing[:5])}"
            f"{' …' if len(missing) > 5 else ''}; the same atoms in the same order, places and box are expected"
        )
    return [_joined(atoms, matches[atoms.info["id"]]) for atoms in chosen]


def displacement(one: Atoms, other: Atoms) -> float:
    """How far the farthest atom has moved, in Å, to the nearest image; infinite unless atoms and box are the same."""
    if not np.array_equal(one.numbers, other.numbers):
        return np.inf
    same_box = np.array_equal(one.pbc, other.pbc) and np.allclose(one.cell, other.cell, rtol=0, atol=SAME)
    if one.pbc.any() and not same_box:
        return np.inf
    return float(np.linalg.norm(_moved(one, other), axis=1).max(initial=0.0))


def _moved(one, other):
    """(N, 3) Å from one to the other, to the nearest image; a molecule may have been put into a box to be labelled."""
    boxed = one if one.pbc.any() else other
    moved = other.positions - one.positions
    return to_nearest_image(moved, boxed) if boxed.pbc.any() else moved


def _match(atoms, labelled, name):
    """The labelled frame that this one is; None where there is none."""
    own = str(atoms.info["id"])
    named = [other for other in labelled if str(other.info.get("id")) == own and _same_atoms(atoms, other)]
    away = [(displacement(atoms, other), other) for other in labelled if _same_atoms(atoms, other)]
    near = [other for distance, other in away if distance <= SAME]
    if near:
        return _only([other for other in near if str(other.info.get("id")) == own] or near, own, name)
    if not named:
        return None
    moved = [displacement(atoms, other) for other in named]
    if min(moved) > NAMED:
        how = f"{min(moved):.2f} Å" if np.isfinite(min(moved)) else "into another box"
        raise DatasetError(
            f"{name}: the atoms of {own} have moved by {how} since to_label.extxyz was written; labels of the frames "
            "that are there, neither relaxed nor shifted, are expected"
        )
    return _only([other for other, far in zip(named, moved, strict=True) if far <= NAMED], own, name)


def _same_atoms(one, other):
    return np.array_equal(one.numbers, other.numbers)


def _only(matches, own, name):
    """One of them, unless their labels differ."""
    first, *others = matches
    for other in others:
        for key in ("energy", "forces"):
            if not np.allclose(label_of(first, key), label_of(other, key), rtol=0, atol=ALIKE):
                raise DatasetError(
                    f"{name} has {len(matches)} frames that could be {own}, and their labels differ: leave one of them"
                )
    return first


def _joined(atoms, match):
    joined = match.copy()
    if not np.array_equal(match.pbc, atoms.pbc):  # the box that a molecule was put into is no part of it
        joined.set_positions(atoms.positions + _moved(atoms, match), apply_constraint=False)
        joined.cell, joined.pbc = atoms.cell, atoms.pbc
    joined.info |= atoms.info
    joined.calc = SinglePointCalculator(joined, **match.calc.results)
    return joined
