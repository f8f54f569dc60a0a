"""Classical force fields as ASE calculators: the cheap teachers.

A force field is a hand-made formula: springs for bonds and angles, cosines for torsions, Lennard-Jones
and point charges between the rest.  It costs less than a millisecond, needs to be told the bonds beforehand, and
knows nothing of electrons.  MMFF94 (Halgren 1996, doi:10.1002/(SICI)1096-987X(199604)17:5/6<490) and UFF
(Rappe et al. 1992, doi:10.1021/ja00051a040) are computed by RDKit; `tpainn_lite.teachers.water` has
the teachers for liquid water.
"""

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from tpainn_lite.structures.arguments import ForceFieldError, check_choice
from tpainn_lite.structures.build import KCAL
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.smiles import check_smiles, rdkit_molecule, why_untyped
from tpainn_lite.teachers.water import is_water, water

FORCE_FIELDS = ("MMFF94", "UFF")


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
        raise ForceFieldError(why_untyped(rdmol, smiles, method))
    force_field.Initialize()
    return numbers, force_field
