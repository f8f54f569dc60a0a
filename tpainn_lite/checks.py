"""What a sound structure and a sound label are; every other module asks here before it works."""

import numpy as np
from ase import Atoms

CLOSEST = 0.5  # Å; atoms nearer than this are an error in the input, not chemistry


class DatasetError(ValueError):
    """A file or a list of frames is not what it should be; the message says what to do."""


class ForceFieldError(ValueError):
    """A force field cannot describe this molecule; the message says which atom and why."""


def check_structure(atoms, name="structure"):
    """Raise a clear `ValueError` if no calculator could make sense of these atoms."""
    if not isinstance(atoms, Atoms):
        raise TypeError(f"{name} is a {type(atoms).__name__}; an ase.Atoms is expected")
    if len(atoms) == 0:
        raise ValueError(f"{name} has no atoms; at least one is expected")
    if not np.isfinite(atoms.positions).all():
        bad = int(np.argwhere(~np.isfinite(atoms.positions))[0, 0])
        raise ValueError(f"{name}: the position of atom {bad} is not a finite number; check where it came from")
    close = _closest_pair(atoms)
    if close is not None and close[2] < CLOSEST:
        i, j, d = close
        raise ValueError(
            f"{name}: atoms {i} and {j} are {d:.3f} Å apart; at least {CLOSEST} Å is expected "
            "(overlapping atoms: wrong units, a doubled atom, or a cell that is too small?)"
        )


def are_sound(positions):
    """Which of many shapes of one molecule `check_structure` would pass, at a hundredth of its cost.

    Parameters
    ----------
    positions : numpy.ndarray (n, N, 3)
        Å, not periodic.

    Returns
    -------
    numpy.ndarray (n,) of bool
    """
    i, j = np.triu_indices(positions.shape[1], 1)
    squares = ((positions[:, i] - positions[:, j]) ** 2).sum(axis=-1)  # (n, pairs) Å²
    return np.isfinite(positions).all(axis=(1, 2)) & (squares.min(axis=1, initial=np.inf) >= CLOSEST**2)


def check_labels(frames, need=("energy", "forces"), called=""):
    """Raise `DatasetError` unless every frame carries finite labels, and all or none are periodic.

    ``called`` is put before the number of a frame: "valid: ".
    """
    if len(frames) == 0:
        raise DatasetError("the list of frames is empty; at least one labelled ase.Atoms is expected")
    for index, atoms in enumerate(frames):
        if atoms.pbc.any() != frames[0].pbc.any():
            told = (f"{k} ({frames[k].get_chemical_formula()}) has pbc {frames[k].pbc.tolist()}" for k in (0, index))
            raise DatasetError(
                f"{called}frame {' but frame '.join(told)}: all periodic or none is expected; put the molecules in a "
                "box (pbc=True, a cell wider than twice the cutoff), or keep two lists"
            )
        results = atoms.calc.results if atoms.calc is not None else {}
        name = f"{called}frame {index} ({atoms.get_chemical_formula()})"
        for key in need:
            if key not in results:
                raise DatasetError(f"{name} has no {key}; {_advice(atoms, key)}")
            if not np.isfinite(results[key]).all():
                raise DatasetError(f"{name}: its {key} is not finite")


def _advice(atoms, key):
    """What to do about a missing label: often it is there, under another name."""
    similar = [name for name in (*atoms.info, *atoms.arrays) if key.rstrip("s") in name.lower()]
    if similar:
        return f"it has {', '.join(similar)}: write it as {key}, in eV and Å"
    return "label it first: label(frames, calculator)"


def _closest_pair(atoms):
    """(i, j, distance in Å) of the nearest two atoms, periodic images included; None for a lone molecule's one atom."""
    from vesin import ase_neighbor_list

    i, j, d = ase_neighbor_list("ijd", atoms, 1.5 * CLOSEST)
    if len(d) == 0:
        return None
    k = int(np.argmin(d))
    return int(i[k]), int(j[k]), float(d[k])
