"""What lies where: extents, pairs, distances, contacts, bonds and whole molecules, measured once for all modules."""

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.data import covalent_radii
from ase.geometry import find_mic, wrap_positions
from ase.units import _amu
from numpy.typing import ArrayLike, NDArray

from tpainn_lite.structures.arguments import check_numbers

BONDED = 1.25  # a bond is shorter than this, in units of the sum of the covalent radii
BROKEN = 1.6  # a bond that was there is gone where it is longer, in the same units
TOO_CLOSE = 0.5  # atoms on top of each other, in the same units
CLOSEST = 0.5  # Å; atoms nearer than this are an error in the input, not chemistry
FARTHEST = 1e4  # Å; a structure that is wider is an error, or has exploded
FARTHEST_RUN = 1e8  # Å; farther than this no atom has come in a periodic box, and its place would lose its digits
FLATTEST = 1e-4  # volume of a cell, all sides taken as 1; less is no cell
LARGEST = 5000  # atoms; all distances between more would take a gigabyte
MOST_PAIRS = 1e7  # in one structure: a gigabyte, and seconds
CROWDED = 1000  # atoms; all pairs of fewer fit into memory
CELLS, VISITS = 1e5, 3e7  # that vesin sorts atoms into, at most; of one cell by another: a second or so
WIDE = 50.0  # Å; up to here vesin needs no help with structures that are not periodic


def check_extent(positions: NDArray, cell: NDArray, pbc: ArrayLike, name: str = "structure") -> None:
    """Raise `ValueError` where atoms are so far apart, or a cell so odd, that a search for pairs would fail.

    Parameters
    ----------
    positions, cell
        (N, 3) and (3, 3) Å; the sides of the cell count only where it is periodic.
    """
    pbc = np.asarray(pbc, dtype=bool)
    sides = cell[pbc]  # (0 to 3, 3) Å
    if not np.isfinite(positions).all():
        atom = int(np.argwhere(~np.isfinite(positions))[0, 0])
        raise ValueError(f"{name}: the position of atom {atom} is not a finite number; check where it came from")
    if not np.isfinite(cell).all():
        raise ValueError(f"{name}: its cell holds a number that is not finite; check where it came from")
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(sides, axis=1)
    if lengths.min(initial=np.inf) < CLOSEST:
        raise ValueError(
            f"{name}: pbc is {pbc.tolist()}, but the cell has a side of {lengths.min():.3g} Å; at least {CLOSEST} Å is "
            "expected, or no periodicity"
        )
    spread = np.ptp(positions, axis=0).max(initial=0.0)
    if FARTHEST <= spread < FARTHEST_RUN and pbc.any():  # atoms of a long run may be far from where they began
        spread = np.ptp(wrap_positions(positions, cell, pbc), axis=0).max()
    widest = max(spread, lengths.max(initial=0.0))
    if not widest < FARTHEST:
        raise ValueError(
            f"{name} is {widest:.3g} Å wide; less than {FARTHEST:g} Å is expected (an atom that has flown away, or "
            "other units?)"
        )
    if not np.abs(positions).max(initial=0.0) < FARTHEST_RUN:
        raise ValueError(f"{name} lies more than {FARTHEST_RUN:g} Å from the origin; shift it there")
    directions = sides / lengths[:, None]
    if len(sides) > 1 and np.linalg.det(directions @ directions.T) < FLATTEST**2:
        raise ValueError(f"{name}: the sides of its cell lie in one line or plane; sides that open a cell are expected")


def are_sound(positions: NDArray) -> NDArray:
    """Which of many shapes of one molecule `check_structure` would accept, at a hundredth of its cost: (n,) bool.

    Parameters
    ----------
    positions
        (n, N, 3) Å, not periodic.
    """
    i, j = np.triu_indices(positions.shape[1], 1)
    squares = ((positions[:, i] - positions[:, j]) ** 2).sum(axis=-1)  # (n, pairs) Å²
    return np.isfinite(positions).all(axis=(1, 2)) & (squares.min(axis=1, initial=np.inf) >= CLOSEST**2)


def widths(cell: NDArray) -> NDArray:
    """Distances (3,) in Å between opposite faces of a cell (3, 3)."""
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def density_of(atoms: Atoms) -> float:
    """Density of a periodic box in g/cm³."""
    if not isinstance(atoms, Atoms) or not atoms.pbc.all() or not atoms.cell.volume > 0:
        raise ValueError("a box that is periodic in all directions and has a volume is expected")
    return float(atoms.get_masses().sum() * _amu * 1e3 / (atoms.get_volume() * 1e-24))


def composition(frames: Sequence[Atoms]) -> tuple[list[int], NDArray]:
    """What frames are made of: the sorted atomic numbers, and how many of each are in each frame, (n, elements).

    >>> from ase.build import molecule
    >>> composition([molecule("H2O"), molecule("CH4")])[1].tolist()
    [[2.0, 0.0, 1.0], [4.0, 1.0, 0.0]]
    """
    if not hasattr(frames, "__iter__") or not all(isinstance(atoms, Atoms) for atoms in frames):
        raise TypeError("a list of ase.Atoms is expected")
    return composition_of([atoms.numbers for atoms in frames])


def composition_of(numbers: Sequence[NDArray]) -> tuple[list[int], NDArray]:
    """`composition` of structures of which only the atomic ``numbers`` (N,) are known."""
    elements = sorted({z for each in numbers for z in each.tolist()})
    return elements, np.array([[(each == z).sum() for z in elements] for each in numbers], dtype=float)


# --- pairs ---


def search_pairs(quantities: str, atoms: Atoms, cutoff: float, name: str = "structure") -> list[NDArray]:
    """All ordered pairs of atoms (periodic images included) closer than ``cutoff`` (Å).

    vesin ends the process, or never returns, for some odd shapes and cutoffs: there, SciPy's tree searches.

    Parameters
    ----------
    quantities
        Of "i", "j", "d", "D", "S", as in ASE's ``neighbor_list``: an array is returned for each, ordered by i.

    Raises
    ------
    ValueError
        There are more pairs than fit into memory, or the structure makes no sense.
    """
    check_numbers(above=0, cutoff=cutoff)
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc, name)
    if not _is_easy(atoms, cutoff):
        found = _search_tree(atoms, cutoff, name)
        return [found[quantity] for quantity in quantities]
    from vesin import NeighborList

    search = NeighborList(cutoff=float(cutoff), full_list=True, sorted=True)
    return list(search.compute(points=atoms.positions, box=atoms.cell.array, periodic=atoms.pbc, quantities=quantities))


def check_search(atoms: Atoms, cutoff: float, name: str = "structure") -> None:
    """Raise `ValueError` where vesin, called directly, would end the process or take very long; see `search_pairs`."""
    if not _can_search(atoms, cutoff):
        raise ValueError(
            f"{name}: it is too wide, flat, narrow or crowded for a search of pairs up to {cutoff:g} Å; atoms that "
            "fill an ordinary cell are expected"
        )


def _is_easy(atoms, cutoff):
    """Whether vesin finds these pairs without help."""
    free = np.ptp(atoms.positions, axis=0)[~atoms.pbc].max(initial=0.0) if len(atoms) else 0.0  # Å
    if not atoms.pbc.any() and len(atoms) < CROWDED and free < WIDE and CLOSEST < cutoff < WIDE:
        return True
    return (atoms.pbc.all() or (free < WIDE and 4 * CLOSEST <= cutoff < WIDE)) and _can_search(atoms, cutoff)


def _can_search(atoms, cutoff):
    """Whether vesin's list of cells can: its own arithmetic, with which it divides a box into cells."""
    n, extent = len(atoms), np.maximum(np.ptp(atoms.positions, axis=0), 1.0)  # (3,) Å
    width = np.where(atoms.pbc, widths(_completed(atoms)), extent)
    pairs = n * n * 4 / 3 * np.pi * cutoff**3 / width.prod()  # if the atoms were spread evenly
    cells = np.maximum(np.trunc(width / cutoff), 1)
    if cells.prod() > CELLS:
        ratio = cells[:2] / cells[1:]
        cells[2] = np.trunc(np.cbrt(CELLS / (ratio[0] * ratio[1] ** 2)))
        cells[1] = np.trunc(ratio[1] * cells[2])
        cells[0] = np.trunc(ratio[0] * cells[1])
    steps = 2 * np.ceil(cutoff * cells / width) + 1
    few = (pairs if atoms.pbc.any() else min(pairs, n * n)) < MOST_PAIRS
    return few and cells.min() >= 1 and cells.prod() * steps.prod() < VISITS


def _completed(atoms):
    """(3, 3) Å: the cell; where it is not periodic, upright sides of 1 Å."""
    return Cell(np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)).complete().array


def _search_tree(atoms, cutoff, name):
    """{quantity: array}, as of `search_pairs`."""
    own, images, index, shift = _trees(atoms, cutoff, name)
    if own.count_neighbors(images, cutoff) > MOST_PAIRS + len(atoms):
        raise _too_many(atoms, cutoff, name)
    pairs = own.sparse_distance_matrix(images, cutoff * (1 + 1e-12), output_type="ndarray")
    i, j, s = pairs["i"], index[pairs["j"]], shift[pairs["j"]] - shift[pairs["i"]]
    vectors = atoms.positions[j] - atoms.positions[i] + s @ atoms.cell.array
    d = np.linalg.norm(vectors, axis=1)
    kept = np.flatnonzero((d < cutoff) & ((i != j) | s.any(axis=1)))
    kept = kept[np.lexsort((j[kept], i[kept]))]
    return {name: values[kept] for name, values in zip("ijdDS", (i, j, d, vectors, s), strict=True)}


def _trees(atoms, cutoff, name):
    """(tree of the atoms, tree of them and their images within the cutoff, atom and shift of each of these).

    All lie in the cell; the atoms themselves come first among the images.
    """
    from scipy.spatial import cKDTree

    cell = _completed(atoms)
    index: NDArray = np.arange(len(atoms))
    places = atoms.positions @ np.linalg.inv(cell)  # (N, 3), in units of the cell
    shift = -np.floor(places) * atoms.pbc
    own = places = places + shift
    for axis in np.flatnonzero(atoms.pbc):
        reach = cutoff / widths(cell)[axis]
        if len(index) * (2 * reach + 3) > MOST_PAIRS:
            raise _too_many(atoms, cutoff, name)
        steps = np.arange(np.ceil(reach) + 1)
        steps = np.concatenate([steps, -steps[1:]])
        step, image = np.nonzero(np.abs(places[:, axis] + steps[:, None] - 0.5) <= 0.5 + reach)
        moved = steps[step, None] * np.eye(3)[axis]
        index, places, shift = index[image], places[image] + moved, shift[image] + moved
    return cKDTree(own @ cell), cKDTree(places @ cell), index, shift.astype(int)


def _too_many(atoms, cutoff, name):
    return ValueError(
        f"{name}: its {len(atoms)} atoms have more than {MOST_PAIRS:.0g} pairs up to {cutoff:g} Å; a smaller cutoff, "
        "or fewer or less crowded atoms, are expected"
    )


def closest_pair(atoms: Atoms, name: str = "structure") -> tuple[int, int, float] | None:
    """(i, j, distance in Å) of the nearest two atoms, periodic images included; None where all are far apart."""
    reach = 1.5 * CLOSEST
    if len(atoms) < CROWDED and _is_easy(atoms, reach):  # pairs of more atoms, all in one place, fill the memory
        i, j, d = search_pairs("ijd", atoms, reach, name)
        k = int(np.argmin(d)) if len(d) else 0
        return (int(i[k]), int(j[k]), float(d[k])) if len(d) else None
    own, images, index, _ = _trees(atoms, reach, name)
    order = np.lexsort(own.data.T)
    twins = np.flatnonzero((np.diff(own.data[order], axis=0) == 0).all(axis=1))
    if len(twins):  # a tree of many atoms in one place is slow
        return int(order[twins[0]]), int(order[twins[0] + 1]), 0.0
    (_, d), (_, nearest) = (x.T for x in images.query(own.data, k=2, distance_upper_bound=reach))  # itself, another
    k = int(np.argmin(d))
    return (k, int(index[nearest[k]]), float(d[k])) if d[k] < reach else None


def in_one_order(idx_i: NDArray, idx_j: NDArray, r_ij: NDArray, n_atoms: int) -> tuple[NDArray, NDArray, NDArray]:
    """The same pairs, in an order that does not depend on when the list was made: MD then resumes to the last bit."""
    place = idx_i.astype(np.int64) * n_atoms + idx_j
    order = np.argsort(place, kind="stable")
    if (np.diff(place[order]) == 0).any():  # several images of one atom
        order = np.lexsort((*r_ij.T[::-1], place))
    return idx_i[order], idx_j[order], r_ij[order]


# --- distances ---


def to_nearest_image(vectors: NDArray, atoms: Atoms) -> NDArray:
    """Vectors (n, 3) in Å between atoms, replaced by those to the nearest image where the structure is periodic."""
    return find_mic(vectors, atoms.cell, atoms.pbc)[0] if atoms.pbc.any() else vectors


def distances(atoms: Atoms, i: ArrayLike, j: ArrayLike) -> NDArray:
    """Distances (n,) in Å from atoms i to (the nearest images of) atoms j.

    >>> from ase.build import molecule
    >>> distances(molecule("H2O"), [0, 0], [1, 2]).round(2).tolist()
    [0.97, 0.97]
    """
    return np.linalg.norm(to_nearest_image(atoms.positions[j] - atoms.positions[i], atoms), axis=1)


def all_distances(atoms: Atoms, name: str = "structure") -> tuple[NDArray, NDArray]:
    """Elements (2, pairs), the lighter first, and distances (pairs,) in Å of all pairs of atoms, nearest images.

    Raises
    ------
    ValueError
        There are no atoms, too many, or they make no sense.
    """
    if not 0 < len(atoms) <= LARGEST:
        raise ValueError(f"{name} has {len(atoms)} atoms; 1 to {LARGEST} are possible")
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc, name)
    i, j = np.triu_indices(len(atoms), 1)
    return np.sort(atoms.numbers[np.stack([i, j])], axis=0), distances(atoms, i, j)


def near_distances(atoms: Atoms, reach: float = np.inf) -> dict[tuple[int, int], NDArray]:
    """{(element, element): all distances below ``reach`` (n,) in Å, sorted}, the lighter first; nearest images."""
    elements, d = all_distances(atoms, atoms.get_chemical_formula() or "a structure")
    found: dict[tuple[int, int], NDArray] = {}
    for a, b in itertools.combinations_with_replacement(sorted(set(atoms.numbers.tolist())), 2):
        near = d[(elements[0] == a) & (elements[1] == b) & (d > 0) & (d < reach)]
        if near.size:
            found[a, b] = np.sort(near)
    return found


# --- bonds ---


def bond_lengths(atoms: Atoms, i: ArrayLike, j: ArrayLike) -> NDArray:
    """Sums (n,) in Å of the covalent radii of atoms i and j: the lengths of bonds between them."""
    return covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]]


def near_pairs(atoms: Atoms, factor: float = BONDED) -> tuple[NDArray, NDArray, NDArray]:
    """Different atoms i, j nearer than ``factor`` bond lengths, nearest first, and the cell shifts (n, 3) of j."""
    i, j, d, shift = search_pairs("ijdS", atoms, 2 * factor * float(covalent_radii[atoms.numbers].max()))
    nearness = d / bond_lengths(atoms, i, j)
    kept = np.flatnonzero((i != j) & (nearness < factor))
    kept = kept[np.argsort(nearness[kept], kind="stable")]
    return i[kept], j[kept], shift[kept]


def bonds_of(atoms: Atoms) -> NDArray:
    """Pairs (n, 2) of bonded atoms, the smaller index first: nearer than 1.25 times the sum of their covalent radii.

    >>> from ase.build import molecule
    >>> bonds_of(molecule("H2O")).tolist()
    [[0, 1], [0, 2]]
    """
    i, j, _ = near_pairs(atoms)
    return np.unique(np.sort(np.stack([i, j], axis=1), axis=1), axis=0)


def is_boxed(atoms: Atoms) -> bool:
    """Whether there is a periodic box to draw."""
    return bool(atoms.pbc.any()) and atoms.cell.rank == 3


def whole_molecules(atoms: Atoms) -> tuple[NDArray, NDArray]:
    """Positions (N, 3) in Å in which no molecule is cut by the walls of the cell, and the bonds (n, 2).

    A structure that has exploded has none, and is shown all the same.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    atoms, n = atoms if is_boxed(atoms) else Atoms(atoms.numbers, atoms.positions), len(atoms)
    try:
        i, j, shift = near_pairs(atoms)
    except ValueError:
        i, j, shift = np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3), int)
    cells = np.zeros((n, 3))  # how many cells each atom is moved
    if is_boxed(atoms):
        count, member = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)))
        fractional = atoms.cell.scaled_positions(atoms.positions)  # (N, 3)
        leader = np.unique(member, return_index=True)[1][member]  # the first atom of each atom's molecule
        cells = np.round(fractional[leader] - fractional)  # next to the leader; right for molecules under half a cell
        middle = np.stack([np.bincount(member, x, count) for x in (fractional + cells).T], axis=1)
        cells = (cells - np.floor(middle / np.bincount(member)[:, None])[member]) * atoms.pbc
    inside = (i < j) & (cells[j] == cells[i] + shift).all(1)  # a bond that crosses the whole box is not drawn
    drawn = np.stack([i[inside], j[inside]], axis=1).astype(int)
    return atoms.positions + cells @ atoms.cell, drawn[np.lexsort(drawn.T[::-1])]
