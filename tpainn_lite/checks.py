"""What a sound structure and a sound label are; every other module asks here before it works."""

import numpy as np
from ase import Atoms
from ase.geometry import wrap_positions

CLOSEST = 0.5  # Å; atoms nearer than this are an error in the input, not chemistry
FARTHEST = 1e4  # Å; a structure that is wider is an error, or has exploded; searching its pairs could end the process
FARTHEST_RUN = 1e8  # Å; farther than this no atom has come in a periodic box, and its place would lose its digits


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
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc, name)
    close = _closest_pair(atoms)
    if close is not None and close[2] < CLOSEST:
        i, j, d = close
        raise ValueError(
            f"{name}: atoms {i} and {j} are {d:.3f} Å apart; at least {CLOSEST} Å is expected "
            "(overlapping atoms: wrong units, a doubled atom, or a cell that is too small?)"
        )


def check_extent(positions, cell, pbc, name="structure"):
    """Raise `ValueError` where atoms are so far apart, or a cell so odd, that a search for pairs would fail.

    Parameters
    ----------
    positions, cell : numpy.ndarray (N, 3), (3, 3)
        Å.
    pbc : sequence of 3 bool
    """
    if not np.isfinite(cell).all():
        raise ValueError(f"{name}: its cell holds a number that is not finite; check where it came from")
    lengths = np.linalg.norm(cell, axis=1)  # (3,) Å
    if (np.asarray(pbc) & (lengths == 0)).any():
        raise ValueError(f"{name}: pbc is {np.asarray(pbc).tolist()}, but the cell has a side of no length")
    if np.asarray(pbc).all() and abs(np.linalg.det(cell)) < 1e-6 * lengths.prod():
        raise ValueError(f"{name}: the sides of its cell lie in a plane; a cell with a volume is expected")
    widest = max(np.ptp(_folded(positions, cell, pbc), axis=0).max(initial=0.0), lengths.max())
    if not widest < FARTHEST:
        raise ValueError(
            f"{name} is {widest:.3g} Å wide; less than {FARTHEST:g} Å is expected (an atom that has flown away, or "
            "other units?)"
        )


def _folded(positions, cell, pbc):
    """Positions inside the cell where it is periodic: atoms of a long run may be far from where they began."""
    spread = np.ptp(positions, axis=0).max(initial=0.0)
    if not (FARTHEST <= spread < FARTHEST_RUN and np.asarray(pbc).any()):
        return positions
    return wrap_positions(positions, cell, np.asarray(pbc, bool))


def check_numbers(least=None, above=None, **values):
    """Raise `ValueError` unless each of these is a finite number, of at least ``least``, or greater than ``above``.

    >>> check_numbers(above=0, timestep=0.5, temperature=300)
    """
    limit = f" of at least {least:g}" if least is not None else f" above {above:g}" if above is not None else ""
    for name, value in values.items():
        fits = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and np.isfinite(value)
        if not fits or (least is not None and value < least) or (above is not None and not value > above):
            raise ValueError(f"{name} is {value!r}; a finite number{limit} is expected")


def check_counts(least=1, **values):
    """Raise `ValueError` unless each of these is a whole number of at least ``least``.

    >>> check_counts(n_frames=10)
    """
    for name, value in values.items():
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is {value!r}; a whole number of at least {least} is expected")


def label_of(atoms, key):
    """A label as it was given: ``"energy"`` (eV), ``"forces"`` (N, 3) (eV/Å), ``"stress"`` (eV/Å³).

    ASE's ``get_forces`` sets the forces on fixed atoms to zero, which is right for moving them and wrong for learning.
    """
    value = np.asarray(atoms.calc.results[key], dtype=float)
    return value if value.ndim else float(value)


def whole_steps(spacing, timestep):
    """How many steps of ``timestep`` lie between two frames, both in fs; `ValueError` unless they fill ``spacing``.

    >>> whole_steps(0.3, 0.1)
    3
    """
    check_numbers(above=0, spacing=spacing, timestep=timestep)
    ratio = spacing / timestep
    if not 0.5 < ratio < 1e15 or abs(round(ratio) - ratio) > 1e-6 * ratio:
        raise ValueError(f"spacing is {spacing:g} fs; one step of {timestep:g} fs, or several whole ones, are expected")
    return round(ratio)


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
