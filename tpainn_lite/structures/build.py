"""Where structures come from: molecules from SMILES, their shapes; boxes, clusters and pairs of molecules."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses
from scipy.spatial.transform import Rotation

from tpainn_lite.structures.arguments import ForceFieldError, check_counts, check_numbers, generator
from tpainn_lite.structures.charges import charge_and_multiplicity
from tpainn_lite.structures.checks import check_frames, check_structure
from tpainn_lite.structures.geometry import CLOSEST, FARTHEST, to_nearest_image
from tpainn_lite.structures.smiles import rdkit_molecule, smiles_charge, smiles_unpaired, why_untyped

KCAL = units.kcal / units.mol  # 1 kcal/mol in eV
MOST_CONFORMERS = 10_000  # tried at once
LARGEST_SEED = 2**31 - 1  # that RDKit takes
MOST_MOLECULES = 100_000  # in a box
MOST_FRAMES = 1_000_000
NEAREST = 1.2  # Å between two sites of the lattice; nearer molecules of water lie in each other
APART = 3.0  # Å between the nearest atoms of the parts of a salt or a mixture, before it is relaxed
TRIES = 1000  # turns of two molecules, until their nearest atoms can be as near as wanted


def molecule(smiles: str, seed: int = 0) -> Atoms:
    """Build a molecule from SMILES and relax it with MMFF94 (UFF where MMFF94 has no parameters, and for radicals).

    Positions are in Å, hydrogens included; ``info["smiles"]`` keeps the bonds for the force fields, ``info["charge"]``
    (e) and ``info["multiplicity"]`` (2S + 1) what the SMILES says of the electrons; isotopes have their own masses.

    The parts of a salt or a mixture (``"[Na+].[Cl-]"``, ``"O.CCO"``) are placed side by side, turned at random, their
    nearest atoms 3 Å apart, and then relaxed together.

    Parameters
    ----------
    smiles
        For example ``"CCO"``, ethanol.
    seed
        Of the three-dimensional embedding (ETKDG).

    Raises
    ------
    ForceFieldError
        RDKit cannot read the SMILES or find a geometry for it.

    >>> molecule("CCO").get_chemical_formula()
    'C2H6O'
    """
    rdmol = _embedded(smiles, seed)
    _relaxed_energies(rdmol)
    return _atoms(rdmol, smiles)


def conformers(smiles: str, n: int = 10, seed: int = 0, apart: float = 0.3) -> list[Atoms]:
    """Different shapes of one molecule, relaxed with MMFF94 (UFF where it has no parameters), lowest energy first.

    ``info["energy_above_lowest"]`` is in eV.

    Parameters
    ----------
    n
        How many embeddings (ETKDG) are tried; fewer shapes come back if some of them relax to the same.
    apart
        Å; of two shapes whose heavy atoms differ by less (rms, best superposition) only the lower one is kept. Mirror
        images count as two.

    Raises
    ------
    ForceFieldError
        RDKit cannot read the SMILES or find a geometry for it.

    >>> len(conformers("CC"))  # ethane has one shape
    1
    """
    from rdkit.Chem import AllChem, RemoveHs

    check_counts(most=MOST_CONFORMERS, n=n)
    if apart is None or apart != np.inf:
        check_numbers(least=0, apart=apart)
    rdmol = _embedded(smiles, seed, int(n))
    energies = _relaxed_energies(rdmol)
    skeleton = RemoveHs(rdmol)
    kept: list[int] = []
    for k in sorted(range(len(energies)), key=energies.__getitem__):
        if all(AllChem.GetBestRMS(skeleton, skeleton, k, other) >= apart for other in kept):
            kept.append(k)
    return [_atoms(rdmol, smiles, k, energy_above_lowest=(energies[k] - min(energies)) * KCAL) for k in kept]


def torsion_frames(smiles: str, quadruple: Sequence[int], degrees: Iterable[float], seed: int = 0) -> list[Atoms]:
    """One torsion turned step by step, everything else relaxed with MMFF94 at each step.

    ``info["coordinate"]`` is the angle in degrees.

    Parameters
    ----------
    quadruple
        The four atoms of the torsion, each bonded to the next, as `molecule` numbers them; not in a ring.
    degrees
        At least one.

    >>> [atoms.info["coordinate"] for atoms in torsion_frames("CCCC", (0, 1, 2, 3), (60, 180))]
    [60.0, 180.0]
    """
    from rdkit.Chem import AllChem
    from rdkit.Chem import rdForceFieldHelpers as helpers

    if isinstance(degrees, str) or not hasattr(degrees, "__iter__"):
        raise TypeError(f"degrees is {degrees!r}; a list of angles is expected")
    degrees = list(degrees)
    if not degrees:
        raise ValueError("degrees is empty; at least one angle is expected")
    check_numbers(**{f"degrees[{k}]": angle for k, angle in enumerate(degrees)})
    rdmol = _embedded(smiles, seed)
    quadruple, frames = _torsion(rdmol, quadruple), []
    properties = helpers.MMFFGetMoleculeProperties(rdmol)
    if properties is None:
        raise ForceFieldError(why_untyped(rdmol, smiles, "MMFF94"))
    for angle in map(float, degrees):
        AllChem.SetDihedralDeg(rdmol.GetConformer(), *quadruple, angle)
        force_field = helpers.MMFFGetMoleculeForceField(rdmol, properties, ignoreInterfragInteractions=False)
        force_field.MMFFAddTorsionConstraint(*quadruple, False, angle, angle, 1000.0)
        force_field.Minimize(maxIts=2000)
        frames.append(_atoms(rdmol, smiles, coordinate=angle))
    return frames


def _embedded(smiles, seed, n=1):
    """RDKit's molecule, with n sets of positions for its atoms."""
    from rdkit.Chem import AllChem

    check_counts(least=0, most=LARGEST_SEED, seed=seed)
    rdmol = rdkit_molecule(smiles)
    placed = AllChem.EmbedMultipleConfs(rdmol, n, randomSeed=int(seed))
    if not list(placed):
        raise ForceFieldError(f"no 3D geometry found for {smiles!r}; try another seed or simplify the molecule")
    parts = [np.array(part) for part in AllChem.GetMolFrags(rdmol)]
    for k in placed if len(parts) > 1 else ():  # RDKit lays them all onto one point
        _place_apart(rdmol.GetConformer(k), parts, generator(seed + k))
    return rdmol


def _place_apart(conformer, parts, rng):
    """Move the parts of a salt or a mixture side by side: atoms ``parts[k]`` of RDKit's conformer are the k-th one."""
    from rdkit.Geometry import Point3D

    positions = conformer.GetPositions()  # (N, 3) Å
    placed = positions[parts[0]]
    for part in parts[1:]:
        placed = _side_by_side(placed, positions[part], APART, rng)
    for atom, xyz in zip(np.concatenate(parts).tolist(), placed.tolist(), strict=True):
        conformer.SetAtomPosition(atom, Point3D(*xyz))


def _relaxed_energies(rdmol):
    """Relax each set of positions; their energies, in kcal/mol."""
    from rdkit.Chem import AllChem

    radical = any(atom.GetNumRadicalElectrons() for atom in rdmol.GetAtoms())
    mmff = not radical and AllChem.MMFFHasAllMoleculeParams(rdmol)
    optimise = AllChem.MMFFOptimizeMoleculeConfs if mmff else AllChem.UFFOptimizeMoleculeConfs
    return [energy for _, energy in optimise(rdmol, maxIters=2000, ignoreInterfragInteractions=False)]


def _atoms(rdmol, smiles, conformer=-1, **info):
    numbers, positions = (
        [atom.GetAtomicNum() for atom in rdmol.GetAtoms()],
        rdmol.GetConformer(conformer).GetPositions(),
    )
    electrons = {"charge": smiles_charge(smiles), "multiplicity": 1 + (smiles_unpaired(smiles) or 0)}
    atoms = Atoms(numbers, positions, info={"smiles": smiles, **electrons, **info})
    if any(atom.GetIsotope() for atom in rdmol.GetAtoms()):
        atoms.set_masses([atom.GetMass() for atom in rdmol.GetAtoms()])
    return atoms


def _torsion(rdmol, quadruple):
    """The four atoms, after a look whether they are a torsion that can be turned."""
    n, atoms = rdmol.GetNumAtoms(), list(quadruple) if hasattr(quadruple, "__iter__") else [quadruple]
    if len(atoms) == 4 and all(isinstance(k, (int, np.integer)) and 0 <= k < n for k in atoms):
        atoms = [int(k) for k in atoms]
        bonds = [rdmol.GetBondBetweenAtoms(a, b) for a, b in itertools.pairwise(atoms)]
        if len(set(atoms)) == 4 and all(bonds) and not bonds[1].IsInRing():
            return atoms
    raise ValueError(
        f"quadruple is {quadruple!r}; four different atoms from 0 to {n - 1} are expected, each bonded to the next, "
        "the middle ones not in a ring"
    )


def water_box(n_molecules: int = 32, density: float = 1.0, seed: int | None = 0) -> Atoms:
    """A cubic box of water molecules on a lattice, turned at random: a start for MD, not yet a liquid.

    It is periodic, with atoms ordered O, H, H, as `tpainn_lite.teachers.water` wants them.

    Parameters
    ----------
    density
        g/cm³.

    Raises
    ------
    ValueError
        The molecules would lie in each other, or the box be too large.

    >>> len(water_box(32))
    96
    """
    check_counts(most=MOST_MOLECULES, n_molecules=n_molecules)
    check_numbers(above=0, density=density)
    rng = generator(seed)
    mass = n_molecules * atomic_masses[[8, 1, 1]].sum()  # amu
    edge = (mass / (density * 1e-24 / (units._amu * 1e3))) ** (1 / 3)  # Å
    per_side = int(np.ceil(n_molecules ** (1 / 3) - 1e-9))
    if not NEAREST <= edge / per_side < FARTHEST or not edge < FARTHEST:
        raise ValueError(
            f"at {density:g} g/cm³ molecules of water are {edge / per_side:.2g} Å apart, in a box of {edge:.3g} Å; "
            f"{NEAREST:g} Å at least, and a box of less than {FARTHEST:g} Å, are expected"
        )
    sites = np.array(list(itertools.product(range(per_side), repeat=3)))[:n_molecules] * edge / per_side  # (M, 3)
    from ase.build import molecule as ase_molecule  # ASE's builders take half a second

    one = ase_molecule("H2O").positions  # (3, 3)
    turns = Rotation.random(n_molecules, rng).as_matrix()  # (M, 3, 3)
    positions = sites[:, None] + np.einsum("mxy,ay->max", turns, one - one[0])
    return Atoms("OHH" * n_molecules, positions.reshape(-1, 3), cell=[edge] * 3, pbc=True)


def water_clusters(boxes: Sequence[Atoms], size: int, n_frames: int, seed: int | None = 0) -> list[Atoms]:
    """Groups of neighbouring molecules cut out of boxes of water: a molecule and the ones nearest to it.

    Not periodic; ``info["config_type"]`` is ``"cluster"``, ``info["box"]`` the place of its box in the list.

    Parameters
    ----------
    boxes
        Periodic, atoms as O, H, H, molecule by molecule.
    size
        Molecules in a cluster; 1 gives single molecules as they are in the liquid.

    Raises
    ------
    ValueError, TypeError
        A box is none of water, or has fewer molecules.

    >>> len(water_clusters([water_box(8)], size=3, n_frames=1)[0])
    9
    """
    _check_boxes(boxes)
    check_counts(most=MOST_FRAMES, n_frames=n_frames)
    rng, frames = generator(seed), []
    for _ in range(n_frames):
        k = int(rng.integers(len(boxes)))
        n, oxygen = len(boxes[k]) // 3, 3 * int(rng.integers(len(boxes[k]) // 3))
        check_counts(most=n, size=size)
        vectors = to_nearest_image(boxes[k].positions[::3] - boxes[k].positions[oxygen], boxes[k])  # (n, 3)
        near = np.argsort(np.linalg.norm(vectors, axis=1))[:size]
        molecules = boxes[k].positions.reshape(n, 3, 3)[near]
        molecules = molecules - molecules[:, :1] + vectors[near][:, None]
        frame = Atoms("OHH" * size, molecules.reshape(-1, 3))
        frame.info.update(config_type="cluster", box=k)
        frames.append(frame)
    return frames


def _check_boxes(boxes):
    check_frames(boxes, "boxes: ")
    for k, box in enumerate(boxes):
        check_structure(box, f"box {k}")
        if len(box) % 3 or not np.array_equal(box.numbers, np.tile([8, 1, 1], len(box) // 3)) or not box.pbc.all():
            raise ValueError(f"box {k} is {box.symbols}, pbc {box.pbc.tolist()}; a periodic box, O, H, H, is expected")


def dimer_frames(
    first: Atoms, second: Atoms, n_frames: int, contact: tuple[float, float] = (1.6, 4.0), seed: int | None = 0
) -> list[Atoms]:
    """Two molecules side by side, turned at random: what a potential must see to know how molecules interact.

    Charges add up, and unpaired electrons do, in parallel.  With ``info["smiles"]`` of both, the pair has one too, and
    its atoms come in the order RDKit gives them (heavy atoms of both, then hydrogens of both).

    ``info["config_type"]`` is ``"dimer"``.

    Parameters
    ----------
    contact
        Å; the shortest distance between an atom of one and an atom of the other is drawn uniformly from this range.

    Raises
    ------
    ValueError, TypeError
        One of them is no sound structure, or they cannot be brought so near.

    >>> [atoms.info["smiles"] for atoms in dimer_frames(molecule("CO"), molecule("O"), n_frames=2)]
    ['CO.O', 'CO.O']
    """
    check_structure(first, "the first molecule")
    check_structure(second, "the second molecule")
    check_counts(most=MOST_FRAMES, n_frames=n_frames)
    if not isinstance(contact, (list, tuple, np.ndarray)) or len(contact) != 2:
        raise ValueError(f"contact is {contact!r}; a pair (low, high) in Å is expected")
    check_numbers(least=CLOSEST, **{"contact, low": contact[0], "contact, high": contact[1]})
    if not contact[0] <= contact[1] < FARTHEST / 10:
        raise ValueError(f"contact is {tuple(contact)}; low <= high < {FARTHEST / 10:g} Å is expected")
    rng, frames = generator(seed), []
    pair = _pair(first, second)
    order = np.argsort(pair.numbers == 1, kind="stable")
    for distance in rng.uniform(*contact, n_frames):
        frame = pair.copy()
        frame.positions = _side_by_side(first.positions, second.positions, distance, rng)
        frame.info["config_type"] = "dimer"
        frames.append(frame[order])
    return frames


def _pair(first, second):
    """Both in one structure, still without positions, with what is known of the bonds and electrons of both."""
    pair = Atoms(np.concatenate([first.numbers, second.numbers]))
    if first.has("masses") or second.has("masses"):
        pair.set_masses(np.concatenate([first.get_masses(), second.get_masses()]))
    if {"smiles"} <= first.info.keys() & second.info.keys():
        pair.info["smiles"] = f"{first.info['smiles']}.{second.info['smiles']}"
    if "charge" in first.info or "charge" in second.info:
        (one, spin), (other, more) = map(charge_and_multiplicity, (first, second))
        pair.info.update(charge=one + other, multiplicity=spin + more - 1)
    return pair


def _side_by_side(one, other, distance, rng):
    """Both turned at random, the nearest atoms so far apart; (N + M, 3) Å.

    Moved by t along u, two atoms with offset d are |d + t u| apart: the largest t for which any pair is at ``distance``
    leaves every other pair farther.  Where no pair ever comes so near, both are turned anew.
    """
    for _ in range(TRIES):
        one, other = ((x - x.mean(axis=0)) @ Rotation.random(rng=rng).as_matrix() for x in (one, other))
        offset = (other[None] - one[:, None]).reshape(-1, 3)  # (N M, 3) Å; u is the x axis
        inside = distance**2 - (offset**2).sum(axis=1) + offset[:, 0] ** 2
        if (inside >= 0).any():
            t = (np.sqrt(inside[inside >= 0]) - offset[inside >= 0, 0]).max()
            return np.concatenate([one, other + [t, 0, 0]])
    raise ValueError(f"the two molecules cannot be brought to {distance:.2f} Å of each other; take a larger contact")
