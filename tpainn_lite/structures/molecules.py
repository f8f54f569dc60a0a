"""Which molecules a box holds: ``info["molecules"]``, their bonds, and their atoms brought together.

A box of 60 waters and 4 methanols has ``info["molecules"] = "60 O, 4 CO"``: so many of each SMILES, molecule after
molecule, the atoms of each as `tpainn_lite.molecule` orders them.  A single molecule has ``info["smiles"]`` instead.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import ForceFieldError, shown
from tpainn_lite.structures.geometry import bond_lengths
from tpainn_lite.structures.smiles import rdkit_molecule

KEY = "molecules"
LONGEST = 2.0  # in units of the sum of the covalent radii: what is bonded is never farther apart, however hot
Counts = tuple[tuple[int, str], ...]  # (how many, SMILES), in the order of the atoms
Tree = list[tuple[NDArray, NDArray]]  # atoms, and the bonded atom of each that is already in its place


@lru_cache(maxsize=1000)
def skeleton_of(smiles: str) -> tuple[NDArray, NDArray]:
    """Atomic numbers (N,) and bonds (n, 2) of a molecule, in the order of its atoms.

    >>> skeleton_of("O")[1].tolist()
    [[0, 1], [0, 2]]
    """
    rdmol = rdkit_molecule(smiles)
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in rdmol.GetBonds()]
    numbers = np.array([atom.GetAtomicNum() for atom in rdmol.GetAtoms()])
    return numbers, np.array(bonds, dtype=int).reshape(-1, 2)


def as_text(counts: Iterable[tuple[int, str]]) -> str:
    """As it stands in ``info``.

    >>> as_text([(60, "O"), (4, "CO")])
    '60 O, 4 CO'
    """
    return ", ".join(f"{n} {smiles}" for n, smiles in counts)


def molecules_in(atoms: Atoms) -> Counts:
    """Which molecules these atoms are, one after the other.

    Raises
    ------
    ForceFieldError
        Nothing says it, or the atoms are others, or come in another order.

    >>> from tpainn_lite import molecule
    >>> molecules_in(molecule("CO"))
    ((1, 'CO'),)
    """
    text, smiles = atoms.info.get(KEY), atoms.info.get("smiles")
    if text is None and smiles is None:
        raise ForceFieldError(
            f"nothing says which molecules {atoms.get_chemical_formula()} is made of: build boxes with "
            'tpainn_lite.liquid(...), or set atoms.info["molecules"], as in "60 O, 4 CO", or atoms.info["smiles"]'
        )
    counts: Counts = _read(text) if text is not None else ((1, str(smiles)),)
    numbers = np.concatenate([np.tile(skeleton_of(smiles)[0], n) for n, smiles in counts])
    if not np.array_equal(numbers, atoms.numbers):
        raise ForceFieldError(
            f"the atoms are {shown(str(atoms.symbols))}, but {as_text(counts)!r} gives "
            f"{shown(str(Atoms(numbers).symbols))}: the same atoms, molecule after molecule, each in RDKit's order, "
            "are expected"
        )
    return counts


def _read(text):
    """(how many, SMILES) of a text like "60 O, 4 CO"."""
    counts = []
    for part in str(text).split(","):
        words = part.split()
        if len(words) != 2 or not words[0].isdigit() or int(words[0]) < 1:
            raise ForceFieldError(f'info["molecules"] is {text!r}; counts and SMILES, as in "60 O, 4 CO", are expected')
        counts.append((int(words[0]), words[1]))
    return tuple(counts)


@lru_cache(maxsize=16)
def bonds_in(counts: Counts) -> NDArray:
    """Bonds (n, 2) between the atoms of all these molecules.

    >>> bonds_in(((2, "O"),)).tolist()
    [[0, 1], [0, 2], [3, 4], [3, 5]]
    """
    bonds, first = [np.zeros((0, 2), int)], 0
    for n, smiles in counts:
        numbers, own = skeleton_of(smiles)
        starts = first + len(numbers) * np.arange(n)
        bonds.append((starts[:, None, None] + own).reshape(-1, 2))
        first += n * len(numbers)
    return np.concatenate(bonds)


def tree_of(bonds: NDArray, n_atoms: int) -> Tree:
    """In which order atoms are brought to the atoms they are bonded to, starting from the first of each molecule."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    i, j = bonds.T
    graph = coo_array((np.ones(len(bonds)), (i, j)), shape=(n_atoms, n_atoms))
    first = np.unique(connected_components(graph, directed=False)[1], return_index=True)[1]
    rooted = coo_array(  # one more node, from which all molecules hang
        (np.ones(len(bonds) + len(first)), (np.append(i, np.full(len(first), n_atoms)), np.append(j, first))),
        shape=(n_atoms + 1, n_atoms + 1),
    ).tocsr()
    order, before = breadth_first_order(rooted, n_atoms, directed=False)
    depth = np.zeros(n_atoms + 1, int)
    for atom in order[1:]:
        depth[atom] = depth[before[atom]] + 1
    levels = [np.flatnonzero(depth[:n_atoms] == level) for level in range(2, depth.max() + 1)]
    return [(atoms, before[atoms]) for atoms in levels]


def unwrapped_along(tree: Tree, positions: NDArray, cell: NDArray) -> NDArray:
    """Positions (N, 3) in Å in which bonded atoms are neighbours, and not images of neighbours."""
    positions, inverse = positions.copy(), np.linalg.inv(cell)
    for atoms, before in tree:
        arms = positions[atoms] - positions[before]
        positions[atoms] -= np.round(arms @ inverse) @ cell
    return positions


def check_bonds(atoms: Atoms, bonds: NDArray, positions: NDArray, what: str) -> None:
    """Raise `ForceFieldError` where bonded atoms are far apart: then the atoms are in another order than ``what``."""
    i, j = bonds.T
    lengths = np.linalg.norm(positions[j] - positions[i], axis=1)
    ratio = lengths / bond_lengths(atoms, i, j)
    if len(ratio) and ratio.max() > LONGEST:
        k = int(ratio.argmax())
        names = " and ".join(f"{atoms.symbols[a]} (atom {a})" for a in (int(i[k]), int(j[k])))
        raise ForceFieldError(
            f"{names} are bonded by {what}, but lie {lengths[k]:.2f} Å apart: atoms in the same order, and in a cell "
            "of the right size, are expected"
        )
