"""What lies where: extents, pairs, contacts, bonds and whole molecules, measured once for everybody."""

import itertools
from collections.abc import Iterable

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import wrap_positions
from ase.units import _amu

from tpainn_lite.structures.arguments import check_numbers

STRETCH = 1.25  # a bond, in units of the sum of the covalent radii
CLOSEST = 0.5  # Å; atoms nearer than this are an error in the input, not chemistry
FARTHEST = 1e4  # Å; a structure that is wider is an error, or has exploded; searching its pairs could end the process
FLATTEST = 1e-4  # volume of a cell, all sides taken as 1; less is no cell
CELLS = 1e5  # that vesin sorts atoms into, at most
VISITS = 3e7  # of one cell by another in one search: a second or so
MOST_PAIRS = 1e7  # in one structure: a gigabyte, and seconds
CROWDED = 1000  # atoms; all pairs of fewer fit into memory
WIDE = 50.0  # Å; up to here vesin needs no help with structures that are not periodic
FARTHEST_RUN = 1e8  # Å; farther than this no atom has come in a periodic box, and its place would lose its digits
LARGEST = 5000  # atoms; all distances between more would take a gigabyte


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


def closest_pair(atoms, name):
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


def density_of(atoms):
    """g/cm³ of a periodic box."""
    if not isinstance(atoms, Atoms) or not atoms.pbc.all() or not atoms.cell.volume > 0:
        raise ValueError(
            "a box that is periodic in all directions, and has a volume, is expected; others have no density"
        )
    return float(atoms.get_masses().sum() * _amu * 1e3 / (atoms.get_volume() * 1e-24))


def composition(frames):
    """What the frames are made of.

    Returns
    -------
    (list of int, numpy.ndarray (n, elements))
        Atomic numbers, sorted, and how many of each are in each frame.
    """
    if not isinstance(frames, Iterable) or not all(isinstance(atoms, Atoms) for atoms in frames):
        raise TypeError("a list of ase.Atoms is expected")
    elements = sorted({z for atoms in frames for z in atoms.numbers.tolist()})
    return elements, np.array([[(atoms.numbers == z).sum() for z in elements] for atoms in frames], dtype=float)


def in_one_order(idx_i, idx_j, r_ij, n_atoms):
    """The same pairs, in an order that does not depend on when the list was made: MD then resumes to the last bit."""
    place = idx_i.astype(np.int64) * n_atoms + idx_j
    order = np.argsort(place, kind="stable")
    if (np.diff(place[order]) == 0).any():  # several images of one atom
        order = np.lexsort((r_ij[:, 2], r_ij[:, 1], r_ij[:, 0], place))
    return idx_i[order], idx_j[order], r_ij[order]


def contacts(atoms):
    """{(element, element): the smallest distance in Å}, the lighter first; in boxes, nearest images."""
    name = atoms.get_chemical_formula()
    if not 0 < len(atoms) <= LARGEST:
        raise ValueError(f"{name or 'a structure'} has {len(atoms)} atoms; 1 to {LARGEST} are possible")
    if not np.isfinite(atoms.positions).all():
        raise ValueError(f"{name}: a position is not finite; check where it came from")
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc, name)
    distances = atoms.get_all_distances(mic=bool(np.any(atoms.pbc)))  # (N, N)
    found = {}
    for a, b in itertools.combinations_with_replacement(sorted(set(atoms.numbers.tolist())), 2):
        block = distances[np.ix_(atoms.numbers == a, atoms.numbers == b)]
        apart = block[block > 0]
        if apart.size:
            found[a, b] = float(apart.min())
    return found


def _near(atoms, cutoff):
    """Pairs of near atoms, as of `search_pairs`; none where a structure has exploded, which is shown all the same."""
    try:
        return search_pairs("ijdS", atoms, cutoff)
    except ValueError:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 3), int)


def is_boxed(atoms):
    """Whether there is a periodic box to draw."""
    return atoms.pbc.any() and atoms.cell.rank == 3


def whole_molecules(atoms):
    """Positions (N, 3) in which no molecule is cut by the walls of the cell, and the bonds (B, 2)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    atoms = atoms if is_boxed(atoms) else Atoms(atoms.numbers, atoms.positions)
    radii, n = STRETCH * covalent_radii[atoms.numbers], len(atoms)
    i, j, d, shift = _near(atoms, 2 * radii.max())
    i, j, shift = (x[d < radii[i] + radii[j]] for x in (i, j, shift))
    cells = np.zeros((n, 3))  # how many cells each atom is moved
    if is_boxed(atoms):
        count, member = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)))
        fractional = atoms.cell.scaled_positions(atoms.positions)  # (N, 3)
        leader = np.unique(member, return_index=True)[1][member]  # the first atom of each atom's molecule
        cells = np.round(fractional[leader] - fractional)  # beside the leader; right for molecules under half a cell
        middle = np.stack([np.bincount(member, x, count) for x in (fractional + cells).T], axis=1)
        cells = (cells - np.floor(middle / np.bincount(member)[:, None])[member]) * atoms.pbc
    inside = (i < j) & (cells[j] == cells[i] + shift).all(1)  # a bond that crosses the whole box is not drawn
    return atoms.positions + cells @ atoms.cell, np.stack([i[inside], j[inside]], axis=1).astype(int)
