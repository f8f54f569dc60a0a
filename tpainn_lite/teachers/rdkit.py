"""Classical force fields as ASE calculators: the cheap teachers.

A force field is a hand-made formula: springs for bonds and angles, cosines for torsions, Lennard-Jones
and point charges between the rest.  It costs less than a millisecond, needs to be told the bonds beforehand, and
knows nothing of electrons.  MMFF94 (Halgren 1996, doi:10.1002/(SICI)1096-987X(199604)17:5/6<490) and UFF
(Rappe et al. 1992, doi:10.1021/ja00051a040) are computed by RDKit; `tpainn_lite.teachers.water` has
the teachers for liquid water.
"""

import itertools

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.units import kcal, mol

from tpainn_lite.structures.checks import ForceFieldError, check_choice, check_counts, check_numbers, check_structure
from tpainn_lite.teachers.water import is_water, water
from tpainn_lite.structures.smiles import check_smiles, rdkit_molecule

KCAL = kcal / mol  # 1 kcal/mol in eV
FORCE_FIELDS = ("MMFF94", "UFF")
MOST_CONFORMERS = 10_000  # tried at once
LARGEST_SEED = 2**31 - 1  # that RDKit takes


def molecule(smiles, seed=0):
    """Build a molecule from SMILES and relax it with MMFF94 (UFF where MMFF94 has no parameters).

    Parameters
    ----------
    smiles : str
        For example ``"CCO"``, ethanol.
    seed : int
        Seed of the three-dimensional embedding (ETKDG).

    Returns
    -------
    ase.Atoms
        N atoms, positions in Å, hydrogens included; ``info["smiles"]`` keeps the bonds for the force fields.

    Raises
    ------
    ForceFieldError
        If RDKit cannot read the SMILES or find a geometry for it.

    >>> molecule("CCO").get_chemical_formula()
    'C2H6O'
    """
    from rdkit.Chem import AllChem

    rdmol = _embedded(smiles, seed)
    optimise = AllChem.MMFFOptimizeMolecule
    if not AllChem.MMFFHasAllMoleculeParams(rdmol):
        optimise = AllChem.UFFOptimizeMolecule
    optimise(rdmol, maxIters=2000)
    numbers = [atom.GetAtomicNum() for atom in rdmol.GetAtoms()]
    return Atoms(numbers, rdmol.GetConformer().GetPositions(), info={"smiles": smiles})


def conformers(smiles, n=10, seed=0, apart=0.3):
    """Different shapes of one molecule, relaxed with MMFF94 (UFF where it has no parameters), lowest energy first.

    Parameters
    ----------
    n : int
        How many embeddings (ETKDG) are tried; fewer shapes come back if some of them relax to the same.
    apart : float
        Å; of two shapes whose heavy atoms differ by less (rms, best superposition) only the lower one is kept. Mirror
        images count as two.

    Returns
    -------
    list of ase.Atoms
        ``info["energy_above_lowest"]`` in eV.

    >>> len(conformers("CC")), len(conformers("CCCC")) > 1  # ethane has one shape, butane has some
    (1, True)
    """
    from rdkit.Chem import AllChem, RemoveHs

    check_counts(most=MOST_CONFORMERS, n=n)
    check_counts(least=0, most=LARGEST_SEED, seed=seed)
    if apart is None or apart != np.inf:
        check_numbers(least=0, apart=apart)
    rdmol = rdkit_molecule(smiles)
    tried = list(AllChem.EmbedMultipleConfs(rdmol, int(n), randomSeed=int(seed)))
    if not tried:
        raise ForceFieldError(f"no 3D geometry found for {smiles!r}; try another seed or simplify the molecule")
    mmff = AllChem.MMFFHasAllMoleculeParams(rdmol)
    optimise = AllChem.MMFFOptimizeMoleculeConfs if mmff else AllChem.UFFOptimizeMoleculeConfs
    energies = [energy for _, energy in optimise(rdmol, maxIters=2000)]  # kcal/mol
    skeleton, kept = RemoveHs(rdmol), []
    for k in sorted(tried, key=energies.__getitem__):
        if all(AllChem.GetBestRMS(skeleton, skeleton, k, other) >= apart for other in kept):
            kept.append(k)
    numbers, found = [atom.GetAtomicNum() for atom in rdmol.GetAtoms()], []
    for k in kept:
        info = {"smiles": smiles, "energy_above_lowest": (energies[k] - energies[kept[0]]) * KCAL}
        found.append(Atoms(numbers, rdmol.GetConformer(k).GetPositions(), info=info))
    return found


def torsion_frames(smiles, quadruple, degrees, seed=0):
    """One torsion turned step by step, everything else relaxed with MMFF94 at each step.

    Parameters
    ----------
    quadruple : 4 ints
        The atoms of the torsion, each bonded to the next, as `molecule` numbers them; not in a ring.
    degrees : iterable of float
        At least one.

    Returns
    -------
    list of ase.Atoms
        ``info["coordinate"]`` is the angle in degrees.

    >>> [atoms.info["coordinate"] for atoms in torsion_frames("CCCC", (0, 1, 2, 3), (60, 180))]
    [60.0, 180.0]
    """
    from rdkit.Chem import AllChem
    from rdkit.Chem import rdForceFieldHelpers as helpers

    degrees = _angles(degrees)
    rdmol = _embedded(smiles, seed)
    quadruple = _torsion(rdmol, quadruple)
    numbers, properties, frames = [a.GetAtomicNum() for a in rdmol.GetAtoms()], _mmff(rdmol, smiles), []
    for angle in degrees:
        AllChem.SetDihedralDeg(rdmol.GetConformer(), *quadruple, float(angle))
        force_field = helpers.MMFFGetMoleculeForceField(rdmol, properties)
        force_field.MMFFAddTorsionConstraint(*quadruple, False, float(angle), float(angle), 1000.0)
        force_field.Minimize(maxIts=2000)
        info = {"smiles": smiles, "coordinate": float(angle)}
        frames.append(Atoms(numbers, rdmol.GetConformer().GetPositions(), info=info))
    return frames


def _embedded(smiles, seed):
    """RDKit's molecule, with places for its atoms."""
    from rdkit.Chem import AllChem

    check_counts(least=0, most=LARGEST_SEED, seed=seed)
    rdmol = rdkit_molecule(smiles)
    if AllChem.EmbedMolecule(rdmol, randomSeed=int(seed)) != 0:
        raise ForceFieldError(f"no 3D geometry found for {smiles!r}; try another seed or simplify the molecule")
    return rdmol


def _angles(degrees):
    if isinstance(degrees, str) or not hasattr(degrees, "__iter__"):
        raise TypeError(f"degrees is {degrees!r}; a list of angles is expected")
    degrees = list(degrees)
    if not degrees:
        raise ValueError("degrees is empty; at least one angle is expected")
    check_numbers(**{f"degrees[{k}]": angle for k, angle in enumerate(degrees)})
    return degrees


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


def _mmff(rdmol, smiles):
    from rdkit.Chem import rdForceFieldHelpers as helpers

    properties = helpers.MMFFGetMoleculeProperties(rdmol)
    if properties is None:
        raise ForceFieldError(_why_untyped(rdmol, smiles, "MMFF94"))
    return properties


class RDKitForceField(Calculator):
    """MMFF94 or UFF through RDKit, as an ASE calculator.

    The atoms are typed from SMILES (``smiles``, or each structure's own ``info["smiles"]``), in RDKit's atom
    order, as `molecule` makes them.  The typed force field of each molecule is kept and reused: only the
    first frame of a molecule pays for it.

    Parameters
    ----------
    method : "MMFF94" or "UFF"
    smiles : str, optional
        Used for every structure instead of its ``info["smiles"]``.

    Gives ``energy`` in eV and ``forces`` (N, 3) in eV/Å.

    >>> atoms = molecule("CCO")
    >>> atoms.calc = RDKitForceField("MMFF94")
    >>> atoms.get_forces().shape
    (9, 3)
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, method="MMFF94", smiles=None):
        super().__init__()
        check_choice(FORCE_FIELDS, method=method)
        if smiles is not None:
            check_smiles(smiles)
        self.method, self.smiles = method, smiles
        self._typed = {}  # SMILES -> (atomic numbers, RDKit force field)

    def __getstate__(self):
        """RDKit's force fields cannot be pickled; a copy in another process types its molecules anew."""
        return {**self.__dict__, "_typed": {}}

    @property
    def level(self):
        """Name of the level of theory, as stored with each label."""
        return self.method

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        force_field = self._force_field(atoms)
        if not np.isfinite(atoms.positions).all():
            raise ForceFieldError(f"{atoms.get_chemical_formula()} has a position that is not a finite number")
        xyz = atoms.positions.ravel().tolist()
        self.results["energy"] = force_field.CalcEnergy(xyz) * KCAL
        gradient = force_field.CalcGrad(xyz)  # +dE/dx
        self.results["forces"] = -np.reshape(gradient, (-1, 3)) * KCAL

    def evaluate(self, atoms, positions):
        """Many shapes of one molecule at once, without ASE's bookkeeping: ten times as fast as frame by frame.

        Parameters
        ----------
        atoms : ase.Atoms
            The molecule; its own positions do not matter.
        positions : numpy.ndarray (n, N, 3)
            Å.

        Returns
        -------
        (numpy.ndarray (n,), numpy.ndarray (n, N, 3))
            Energies in eV, forces in eV/Å.
        """
        force_field, positions = self._force_field(atoms), np.asarray(positions, dtype=float)
        if positions.ndim != 3 or positions.shape[1:] != (len(atoms), 3):
            raise ValueError(f"positions have the shape {positions.shape}; (n, {len(atoms)}, 3) is expected")
        energies, gradients = [], []
        for xyz in positions.reshape(len(positions), -1).tolist():
            energies.append(force_field.CalcEnergy(xyz))
            gradients.append(force_field.CalcGrad(xyz))  # right away: it uses distances that CalcEnergy has kept
        return np.array(energies) * KCAL, -np.array(gradients).reshape(positions.shape) * KCAL

    def _force_field(self, atoms):
        smiles = self.smiles or atoms.info.get("smiles")
        if smiles is None:
            raise ForceFieldError(
                f"{self.method} needs the bonds of {atoms.get_chemical_formula()}: "
                'set atoms.info["smiles"], or build the molecule with tpainn_lite.molecule(smiles)'
            )
        if smiles not in self._typed:
            self._typed[smiles] = type_molecule(smiles, self.method)
        numbers, force_field = self._typed[smiles]
        if not np.array_equal(numbers, atoms.numbers):
            raise ForceFieldError(
                f"the atoms are {atoms.get_chemical_formula('reduce')}, but {smiles!r} gives "
                f"{Atoms(numbers).get_chemical_formula('reduce')}: same atoms in the same order expected; "
                "build the molecule with tpainn_lite.molecule(smiles)"
            )
        return force_field


def mmff94(smiles=None):
    """The MMFF94 teacher: an `RDKitForceField`; good for organic molecules near their minima."""
    return RDKitForceField("MMFF94", smiles)


def uff(smiles=None):
    """The UFF teacher: an `RDKitForceField`; covers every element, describes none of them well."""
    return RDKitForceField("UFF", smiles)


def forcefield_for(atoms):
    """Pick a classical teacher that suits a structure, and print which and why.

    Water, alone or in a box, gets q-TIP4P/F; a molecule with ``info["smiles"]`` gets MMFF94, or UFF where MMFF94 has
    no parameters.

    Returns
    -------
    ase Calculator

    Raises
    ------
    ForceFieldError
        None of them can; the message says which atom and why.

    >>> forcefield_for(molecule("CCO")).level
    MMFF94: an organic molecule whose atoms it has parameters for
    'MMFF94'
    """
    check_structure(atoms)
    if is_water(atoms):
        print("q-TIP4P/F: nothing but water molecules; its O-H bonds suit DFT (iAMOEBA is nearer to it, and dearer)")
        return water()
    teacher = best_typed(atoms)
    if teacher.method == "MMFF94":
        print("MMFF94: an organic molecule whose atoms it has parameters for")
    return teacher


def best_typed(atoms):
    """MMFF94 if it has parameters for this molecule; else UFF, and a line that says why."""
    teacher = mmff94()
    try:
        teacher.get_potential_energy(atoms)
    except ForceFieldError as error:
        teacher = uff()
        teacher.get_potential_energy(atoms)
        print(f"UFF, a poor teacher, because {error}")
    return teacher


def gfn2_xtb():
    """A teacher between force field and DFT: the semi-empirical GFN2-xTB (Bannwarth et al. 2019,
    doi:10.1021/acs.jctc.8b01176), by tblite; a thousand times dearer than MMFF94."""
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise ImportError("GFN2-xTB needs tblite: pip install 'tpainn_lite[xtb]'") from error
    # each structure from its own first guess: labels do not depend on their order, nor hold what cannot be pickled
    calculator = TBLite(method="GFN2-xTB", verbosity=0, cache_api=False)
    calculator.level = "GFN2-xTB"
    return calculator


def type_molecule(smiles, method="MMFF94"):
    """Give each atom its force-field type and build the energy function.

    Returns
    -------
    (numpy.ndarray, rdkit ForceField)
        Atomic numbers (N,) in RDKit's order, and the force field for them.

    Raises
    ------
    ForceFieldError
        Names the first atom that has no type.
    """
    from rdkit.Chem import Conformer
    from rdkit.Chem import rdForceFieldHelpers as helpers

    check_choice(FORCE_FIELDS, method=method)
    rdmol = rdkit_molecule(smiles)
    numbers = np.array([atom.GetAtomicNum() for atom in rdmol.GetAtoms()])
    rdmol.AddConformer(Conformer(len(numbers)))  # all atoms at the origin: every pair counts as near
    if method == "MMFF94":
        properties = helpers.MMFFGetMoleculeProperties(rdmol)
        force_field = properties and helpers.MMFFGetMoleculeForceField(rdmol, properties)
    else:
        force_field = helpers.UFFHasAllMoleculeParams(rdmol) and helpers.UFFGetMoleculeForceField(rdmol)
    if not force_field:
        raise ForceFieldError(_why_untyped(rdmol, smiles, method))
    force_field.Initialize()
    return numbers, force_field


def _why_untyped(rdmol, smiles, method):
    """One sentence that names the first atom without parameters and what to do about it."""
    from rdkit.Chem import rdForceFieldHelpers as helpers

    advice = "leave this molecule out, or choose another teacher (uff, or any ASE calculator)"
    for atom in rdmol.GetAtoms():
        around = "".join(sorted(n.GetSymbol() for n in atom.GetNeighbors())) or "nothing"
        properties = helpers.MMFFGetMoleculeProperties(rdmol)
        untyped = properties is not None and properties.GetMMFFAtomType(atom.GetIdx()) == 0
        if untyped or (properties is None and atom.GetAtomicNum() > 1):
            where = f"atom {atom.GetIdx()} ({atom.GetSymbol()}, bonded to {around})"
            return f"{method} has no parameters for {where} of {smiles!r}: {advice}"
    return f"{method} has no parameters for {smiles!r}: {advice}"
