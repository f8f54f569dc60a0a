"""What a sound structure and a sound label are; every other module asks here before it works."""

import inspect

import numpy as np
from ase import Atoms
from ase.geometry import wrap_positions

LARGEST, SMALLEST = 1e12, 1e-12  # of numbers that can be meant
MOST = 2**32 - 1  # of things that can be counted, and the largest seed
CLOSEST = 0.5  # Å; atoms nearer than this are an error in the input, not chemistry
FARTHEST = 1e4  # Å; a structure that is wider is an error, or has exploded; searching its pairs could end the process
FLATTEST = 1e-4  # volume of a cell, all sides taken as 1; less is no cell
CELLS = 1e5  # that vesin sorts atoms into, at most
VISITS = 3e7  # of one cell by another in one search: a second or so
MOST_PAIRS = 1e7  # in one structure: a gigabyte, and seconds
SHAPES = {  # of labels of n atoms, the first one as ASE has it
    "energy": lambda n: [()],
    "forces": lambda n: [(n, 3)],
    "stress": lambda n: [(6,), (9,), (3, 3)],
}
CROWDED = 1000  # atoms; all pairs of fewer fit into memory
WIDE = 50.0  # Å; up to here vesin needs no help with structures that are not periodic
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
    close = _closest_pair(atoms, name)
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
        Å.  The sides of the cell count only where it is periodic.
    pbc : sequence of 3 bool
    """
    if not np.isfinite(cell).all():
        raise ValueError(f"{name}: its cell holds a number that is not finite; check where it came from")
    repeats = cell[np.asarray(pbc, dtype=bool)]  # (0 to 3, 3) Å
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(repeats, axis=1)
    if lengths.min(initial=np.inf) < CLOSEST:
        raise ValueError(
            f"{name}: pbc is {np.asarray(pbc).tolist()}, but the cell has a side of {_length(lengths.min())}; at least "
            f"{CLOSEST} Å is expected, or no periodicity"
        )
    _check_width(lengths.max(initial=0.0), name)
    if len(repeats) > 1 and _volume(repeats / lengths[:, None]) < FLATTEST:
        raise ValueError(
            f"{name}: the sides of its cell lie in a {'line' if len(repeats) < 3 else 'plane'}; sides "
            "that open a cell are expected"
        )
    _check_width(np.ptp(_folded(positions, cell, pbc), axis=0).max(initial=0.0), name)
    if not np.abs(positions).max(initial=0.0) < FARTHEST_RUN:
        raise ValueError(f"{name} lies more than {FARTHEST_RUN:g} Å from the origin; shift it there")


def _check_width(widest, name):
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


def _length(side):
    return f"{side:.3g} Å" if side > 0 else "no length"


def _volume(sides):
    """Length, area or volume that 1, 2 or 3 vectors span."""
    return float(np.sqrt(max(0.0, np.linalg.det(sides @ sides.T))))


def check_numbers(least=None, above=None, **values):
    """Raise `ValueError` unless each of these is a number, of at least ``least``, or greater than ``above``, and of a
    size that a quantity in eV, Å, K or fs can have.

    >>> check_numbers(above=0, timestep=0.5, temperature=300)
    """
    limit = f" of at least {least:g}" if least is not None else f" above {above:g}" if above is not None else ""
    for name, value in values.items():
        is_number = isinstance(value, (int, float, np.number)) and not isinstance(
            value, (bool, complex, np.complexfloating)
        )
        if not is_number or not -LARGEST < value < LARGEST or (value != 0 and abs(value) < SMALLEST):
            size = f" (up to {LARGEST:g})" if is_number and abs(value) >= LARGEST else ""
            raise ValueError(f"{name} is {_shown(value)}; a finite number{limit}{size} is expected")
        if (least is not None and value < least) or (above is not None and not value > above):
            raise ValueError(f"{name} is {value!r}; a finite number{limit} is expected")


def check_counts(least=1, most=MOST, **values):
    """Raise `ValueError` unless each of these is a whole number of at least ``least``, and at most ``most``.

    >>> check_counts(n_frames=10)
    """
    for name, value in values.items():
        is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not is_whole or not least <= value <= most:
            size = f" and at most {most}" if is_whole and value > most else ""
            raise ValueError(f"{name} is {_shown(value)}; a whole number of at least {least}{size} is expected")


def check_list(values, name):
    """Raise `TypeError` for anything but a list, a tuple, a set, an array or the like."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__") or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} is {_shown(values)}; a list is expected")


def check_choice(choices, **values):
    """Raise `ValueError` unless each of these is one of the choices.

    >>> check_choice(("nve", "nvt"), ensemble="nvt")
    """
    for name, value in values.items():
        if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
            raise ValueError(f"{name} {_shown(value)} is not one of {tuple(choices)}")


def generator(seed):
    """NumPy's random numbers from a seed: a whole number of at least 0, or None for others each time."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ValueError(f"seed is {_shown(seed)}; a whole number of at least 0 is expected") from None


def check_calculator(calculator):
    """Raise `TypeError`, saying what was given, unless it can be asked for energies and forces."""
    asked = [getattr(calculator, name, None) for name in ("get_potential_energy", "get_forces")]
    if all(map(callable, asked)) and not isinstance(calculator, (type, Atoms)):
        return
    advice = ""
    if isinstance(calculator, type) or inspect.isroutine(calculator):
        kind, advice = "class" if isinstance(calculator, type) else "function", f", as {calculator.__name__}() makes it"
        given = f"the {kind} {calculator.__name__}"
    else:
        given = repr(calculator) if calculator is None or isinstance(calculator, str) else type(calculator).__name__
        advice = ", as PotentialCalculator(potential) is one" if hasattr(calculator, "state_dict") else ""
    raise TypeError(f"the calculator is {given}; an ASE calculator is expected{advice}")


def label_of(atoms, key):
    """A label as it was given: ``"energy"`` (eV), ``"forces"`` (N, 3) (eV/Å), ``"stress"`` (eV/Å³).

    ASE's ``get_forces`` sets the forces on fixed atoms to zero, which is right for moving them and wrong for learning.
    """
    results = atoms.calc.results if atoms.calc is not None else {}
    if key not in results:
        raise DatasetError(f"{atoms.get_chemical_formula()} has no {key}; {_advice(atoms, key)}")
    value = np.asarray(results[key], dtype=float)
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
    check_frames(frames, called)
    for index, atoms in enumerate(frames):
        if atoms.pbc.any() != frames[0].pbc.any():
            told = (f"{k} ({frames[k].get_chemical_formula()}) has pbc {frames[k].pbc.tolist()}" for k in (0, index))
            raise DatasetError(
                f"{called}frame {' but frame '.join(told)}: all periodic or none is expected; put the molecules in a "
                "box (pbc=True, a cell wider than twice the cutoff), or keep two lists"
            )
        for key in need:
            _check_label(atoms, key, f"{called}frame {index}")


def check_frames(frames, called=""):
    """Raise `DatasetError` unless this is a list of at least one structure; TypeError for anything else."""
    if isinstance(frames, (str, Atoms)) or not hasattr(frames, "__len__") or not hasattr(frames, "__getitem__"):
        raise TypeError(f"{called}{_shown(frames)} was given; a list of ase.Atoms is expected")
    if len(frames) == 0:
        raise DatasetError(f"{called}the list of frames is empty; at least one labelled ase.Atoms is expected")
    for index, atoms in enumerate(frames):
        if not isinstance(atoms, Atoms):
            raise TypeError(f"{called}frame {index} is {_shown(atoms)}; an ase.Atoms is expected")


def check_values(atoms, name):
    """Raise `DatasetError` where a position, the cell or a label of a frame is no finite number, or misshapen."""
    for what, values in (("a position", atoms.positions), ("its cell", atoms.cell.array)):
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise DatasetError(f"{name}: {what} ({'atom' if what == 'a position' else 'side'} {row}) is not finite")
    for key in atoms.calc.results if atoms.calc is not None else ():
        if key in SHAPES:
            _check_label(atoms, key, name)


def _check_label(atoms, key, name):
    """Raise `DatasetError` unless a label is there, and made of finite numbers, as many as it should have."""
    results, shapes = atoms.calc.results if atoms.calc is not None else {}, SHAPES[key](len(atoms))
    if key not in results:
        problem = f" has no {key}; {_advice(atoms, key)}"
    elif (value := np.asarray(results[key])).dtype.kind not in "iuf":
        problem = f": its {key} is {_shown(results[key])}; numbers are expected"
    elif value.shape not in shapes:
        problem = f": its {key} has the shape {value.shape}; {shapes[0]} is expected"
    elif not np.isfinite(value).all():
        problem = f": its {key} is not finite"
    else:
        return
    raise DatasetError(f"{name} ({atoms.get_chemical_formula()}){problem}")


def _shown(thing):
    """A thing in a few words, on one line."""
    words = repr(thing)
    return f"{words[:60]}…" if len(words) > 60 else words


def _advice(atoms, key):
    """What to do about a missing label: often it is there, under another name."""
    similar = [name for name in (*atoms.info, *atoms.arrays) if key.rstrip("s") in name.lower()]
    if similar:
        return f"it has {', '.join(similar)}: write it as {key}, in eV and Å"
    return "label it first: label(frames, calculator)"


# --- pairs ---


def search_pairs(quantities, atoms, cutoff, name="structure"):
    """All ordered pairs of atoms (periodic images included) closer than ``cutoff``, by vesin, where it can find them.

    vesin ends the process, or never comes back, for some odd shapes and reaches: those are searched in another box
    that gives the same pairs, or refused.

    Parameters
    ----------
    quantities : str
        Of "i", "j", "d", "D", "S", as in ASE's ``neighbor_list``.
    cutoff : float
        Å.

    Returns
    -------
    list of numpy.ndarray
        One for each of the quantities, ordered by i.

    Raises
    ------
    ValueError
        The search would take too long, or find more pairs than fit into memory.
    """
    check_numbers(above=0, cutoff=cutoff)
    if not np.isfinite(atoms.positions).all():
        raise ValueError(f"{name} has a position that is not a finite number; check where it came from")
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc, name)
    return _search(quantities, atoms, float(cutoff), name)


def check_search(atoms, cutoff, name="structure"):
    """Raise `ValueError` where vesin, asked directly, would end the process or take very long; see `search_pairs`."""
    extent, closed = np.ptp(atoms.positions, axis=0), _closed(atoms, cutoff)
    _check_pairs(atoms, cutoff, name)
    if not _can_search(np.where(atoms.pbc, _widths(closed), np.maximum(extent, 1.0)), cutoff):
        raise ValueError(
            f"{name}: it is too wide, flat or narrow for a search of pairs up to {cutoff:g} Å; an ordinary cell is "
            "expected, and atoms that fill it"
        )


def _search(quantities, atoms, cutoff, name):
    from vesin import NeighborList

    box, pbc, reach = _searchable(atoms, cutoff, name)
    asked = quantities + "d" * (reach > cutoff)
    search = NeighborList(cutoff=reach, full_list=True, sorted=True)
    found = search.compute(points=atoms.positions, box=box, periodic=pbc, quantities=asked)
    if reach > cutoff:
        near = found[-1] < cutoff
        found = [each[near] for each in found[: len(quantities)]]
    return list(found)


def _searchable(atoms, cutoff, name):
    """(box, pbc, cutoff) to search: the structure's own, if possible; or others that give all of its pairs."""
    extent = np.ptp(atoms.positions, axis=0) if len(atoms) else np.zeros(3)  # (3,) Å
    if not atoms.pbc.any() and len(atoms) < CROWDED and extent.max() < WIDE and CLOSEST < cutoff < WIDE:
        return atoms.cell.array, atoms.pbc, cutoff
    if not atoms.pbc.any():
        cutoff = min(cutoff, max(WIDE, 1.1 * np.linalg.norm(extent) + 1))  # all there are
    cutoff = max(cutoff, CLOSEST)
    closed = _closed(atoms, cutoff)
    _check_pairs(atoms, cutoff, name)
    easy = atoms.pbc.all() or (extent[~atoms.pbc].max() < WIDE and 4 * CLOSEST <= cutoff < WIDE)
    own = np.where(atoms.pbc, _widths(closed), np.maximum(extent, 1.0))
    if easy and _can_search(own, cutoff):
        return atoms.cell.array, atoms.pbc, cutoff
    for reach in (cutoff, 2 * cutoff, 4 * cutoff, 8 * cutoff):
        box = _closed(atoms, reach)
        if _can_search(_widths(box), reach):
            _check_pairs(atoms, reach, name)
            return box, np.ones(3, dtype=bool), reach
    raise ValueError(
        f"{name}: its cell is {_widths(closed).min():.3g} Å wide at the narrowest and {_widths(closed).max():.3g} Å at "
        f"the widest; the pairs up to {cutoff:g} Å cannot be searched there: take a smaller cutoff, or an ordinary cell"
    )


def _closed(atoms, cutoff):
    """(3, 3) Å: the cell; sides that are not periodic are upright, and so long that no image is within the cutoff."""
    box, pbc = atoms.cell.array.copy(), atoms.pbc
    if pbc.all():
        return box
    free = np.linalg.svd(np.vstack([box[pbc], np.zeros((1, 3))]))[2][pbc.sum() :] if pbc.any() else np.eye(3)
    along = atoms.positions @ free.T  # (N, free sides)
    box[~pbc] = free * (np.ptp(along, axis=0) + 2 * cutoff + 1)[:, None]
    return box


def _widths(box):
    """(3,) Å between the faces of a cell."""
    return 1 / np.linalg.norm(np.linalg.inv(box), axis=0)


def _can_search(widths, cutoff):
    """Whether vesin's cell list can: its arithmetic, with which it divides a box of these widths into cells."""
    cells = np.maximum(np.trunc(widths / cutoff), 1)
    if cells.prod() > CELLS:
        ratio = cells[:2] / cells[1:]
        cells[2] = np.trunc(np.cbrt(CELLS / (ratio[0] * ratio[1] ** 2)))
        cells[1] = np.trunc(ratio[1] * cells[2])
        cells[0] = np.trunc(ratio[0] * cells[1])
    steps = 2 * np.ceil(cutoff * cells / widths) + 1
    return cells.min() >= 1 and cells.prod() * steps.prod() < VISITS


def _check_pairs(atoms, cutoff, name):
    """Raise `ValueError` where there would be too many pairs, were the atoms spread evenly."""
    n, volume = len(atoms), abs(np.linalg.det(_closed(atoms, 0.0)))
    images = n / volume * 4 / 3 * np.pi * cutoff**3  # of each atom
    pairs = n * (images if atoms.pbc.any() else min(n, images))
    if pairs > MOST_PAIRS:
        raise ValueError(
            f"{name}: {n} atoms in a space of {volume:.3g} Å³ have about {pairs:.1g} pairs up to {cutoff:g} Å; at most "
            f"{MOST_PAIRS:.0g} are possible: a smaller cutoff, or fewer or less crowded atoms, are expected"
        )


def _closest_pair(atoms, name):
    """(i, j, distance in Å) of the nearest two atoms, periodic images included; None for a lone molecule's one atom."""
    if len(atoms) > CROWDED:  # their pairs, were they all in one place, would not fit into memory
        positions = atoms.get_positions(wrap=bool(atoms.pbc.any()))
        crowd = _crowd(positions)
        if crowd is not None:
            i, j = (crowd[k] for k in np.triu_indices(len(crowd), 1))
            d = np.linalg.norm(positions[j] - positions[i], axis=1)
            return int(i[np.argmin(d)]), int(j[np.argmin(d)]), float(d.min())
    i, j, d = _search("ijd", atoms, 1.5 * CLOSEST, name)
    if len(d) == 0:
        return None
    k = int(np.argmin(d))
    return int(i[k]), int(j[k]), float(d[k])


def _crowd(positions):
    """Indices of nine atoms in one cube with edges of `CLOSEST`, of which two must be nearer than that; else None."""
    cubes = np.floor((positions - positions.min(axis=0)) / CLOSEST).astype(np.int64)  # (N, 3)
    number = np.ravel_multi_index(cubes.T, cubes.max(axis=0) + 1)
    order = np.argsort(number, kind="stable")
    same = np.flatnonzero(number[order][8:] == number[order][:-8])
    return order[same[0] : same[0] + 9] if len(same) else None
