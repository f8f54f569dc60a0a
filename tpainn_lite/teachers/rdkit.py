"""Classical force fields as ASE calculators: the cheap teachers.

A force field is a hand-made formula: springs for bonds and angles, cosines for torsions, Lennard-Jones
and point charges between the rest.  It costs less than a millisecond, needs the bonds as input, and
knows nothing of electrons.  MMFF94 (Halgren 1996, doi:10.1002/(SICI)1096-987X(199604)17:5/6<490) and UFF
(Rappe et al. 1992, doi:10.1021/ja00051a040) are computed by RDKit; `tpainn_lite.teachers.water` has
the teachers for liquid water.
"""

from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from numpy.typing import ArrayLike, NDArray

from tpainn_lite.structures.arguments import ForceFieldError, check_choice
from tpainn_lite.structures.build import KCAL
from tpainn_lite.structures.charges import check_electrons
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.protocols import Teacher
from tpainn_lite.structures.smiles import check_closed_shell, check_smiles, rdkit_molecule, why_untyped
from tpainn_lite.teachers.charged import ChargedCalculator, check_places, check_same_atoms
from tpainn_lite.teachers.mmff_liquid import is_liquid, mmff94_liquid
from tpainn_lite.teachers.water import is_water, water

FORCE_FIELDS = ("MMFF94", "UFF")
Method = Literal["MMFF94", "UFF"]


class RDKitForceField(ChargedCalculator):
    """MMFF94 or UFF through RDKit, as an ASE calculator.

    The atoms are typed from SMILES (``smiles``, or else each structure's own ``info["smiles"]``), in RDKit's atom
    order, as `molecule` makes them.  The typed force field of each molecule is kept: only its first frame pays for it.
    Charges come with the SMILES; the parts of a salt or a mixture attract and repel each other.  Gives ``energy`` in eV
    and ``forces`` (N, 3) in eV/Å; `ForceFieldError` where the molecule has no parameters, is a radical, or has a charge
    in ``info`` that its SMILES has not.

    >>> from tpainn_lite import molecule
    >>> atoms = molecule("CCO")
    >>> atoms.calc = RDKitForceField("MMFF94")
    >>> atoms.get_forces().shape
    (9, 3)
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  as ASE declares it
    _radicals = False  # whether it may be asked for them

    def __init__(self, method: Method = "MMFF94", smiles: str | None = None) -> None:
        super().__init__(parts="interacting")  # of salts and mixtures; journals of labels tell it from other choices
        check_choice(FORCE_FIELDS, method=method)
        if smiles is not None:
            check_smiles(smiles)
        self.method, self.smiles = method, smiles
        self._typed: dict[str, tuple[NDArray, Any]] = {}  # SMILES -> (atomic numbers, RDKit force field)

    def __getstate__(self) -> dict[str, Any]:
        """RDKit's force fields cannot be pickled; a copy in another process types its molecules anew."""
        return {**self.__dict__, "_typed": {}}

    @property
    def level(self) -> str:
        """Name of the level of theory."""
        return self.method

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        force_field = self._force_field(atoms)
        check_places(atoms)
        xyz = atoms.positions.ravel().tolist()
        self.results["energy"] = force_field.CalcEnergy(xyz) * KCAL
        gradient = force_field.CalcGrad(xyz)  # +dE/dx
        self.results["forces"] = -np.reshape(gradient, (-1, 3)) * KCAL

    def evaluate(self, atoms: Atoms, positions: ArrayLike) -> tuple[NDArray, NDArray]:
        """Energies (n,) in eV and forces (n, N, 3) in eV/Å of many ``positions`` (n, N, 3) Å of one molecule.

        Without ASE's bookkeeping: ten times as fast as frame by frame.  The atoms' own positions do not matter.
        """
        force_field, xyz = self._force_field(atoms), np.asarray(positions, dtype=float)
        if xyz.ndim != 3 or xyz.shape[1:] != (len(atoms), 3):
            raise ValueError(f"positions have the shape {xyz.shape}; (n, {len(atoms)}, 3) is expected")
        energies, gradients = [], []
        for flat in xyz.reshape(len(xyz), -1).tolist():
            energies.append(force_field.CalcEnergy(flat))
            gradients.append(force_field.CalcGrad(flat))  # right away: it uses distances that CalcEnergy has kept
        return np.array(energies) * KCAL, -np.array(gradients).reshape(xyz.shape) * KCAL

    def _force_field(self, atoms: Atoms) -> Any:
        if atoms.pbc.any():
            other = "mmff94_liquid() for a liquid" if self.method == "MMFF94" else "another teacher for a liquid"
            raise ForceFieldError(
                f"{atoms.get_chemical_formula()} is periodic, and {self.method} of RDKit knows no box: {other}, or "
                "atoms.pbc = False for a molecule alone in a box, is expected"
            )
        smiles = self.smiles or atoms.info.get("smiles")
        if smiles is None:
            raise ForceFieldError(
                f"{self.method} needs the bonds of {atoms.get_chemical_formula()}: "
                'set atoms.info["smiles"], or build the molecule with tpainn_lite.molecule(smiles); in files .sdf and '
                ".mol2 hold bonds, and smiles=... in the line above the atoms of an .extxyz does"
            )
        if smiles not in self._typed:
            self._typed[smiles] = type_molecule(smiles, self.method, self._radicals)
        check_electrons(atoms, smiles, self.method)
        numbers, force_field = self._typed[smiles]
        check_same_atoms(atoms, smiles, numbers)
        return force_field


def mmff94(smiles: str | None = None) -> RDKitForceField:
    """The MMFF94 teacher: good for organic molecules near their minima.

    >>> mmff94().level
    'MMFF94'
    """
    return RDKitForceField("MMFF94", smiles)


def uff(smiles: str | None = None) -> RDKitForceField:
    """The UFF teacher: covers every element, describes none of them well.

    >>> uff().level
    'UFF'
    """
    return RDKitForceField("UFF", smiles)


def forcefield_for(atoms: Atoms) -> Teacher:
    """Pick a classical teacher that suits a structure, and print which and why.

    Water, alone or in a box, gets q-TIP4P/F; a box that `tpainn_lite.liquid` has packed MMFF94 in boxes; a molecule
    with ``info["smiles"]`` MMFF94, or UFF where MMFF94 has no parameters.  Where none of them can, `ForceFieldError`
    says which atom and why.

    >>> from tpainn_lite import molecule
    >>> forcefield_for(molecule("CCO")).level
    MMFF94: an organic molecule whose atoms it has parameters for
    'MMFF94'
    """
    check_structure(atoms)
    if is_water(atoms):
        print(
            "q-TIP4P/F: nothing but water molecules; its O-H bonds suit DFT (iAMOEBA is closer to it, but costs more)"
        )
        return water()
    if is_liquid(atoms):
        print("MMFF94 in a box: molecules of a liquid; it is too thin at room pressure, so keep the volume")
        return mmff94_liquid()
    teacher = best_typed(atoms)
    if teacher.method == "MMFF94":
        print("MMFF94: an organic molecule whose atoms it has parameters for")
    return teacher


def best_typed(atoms: Atoms) -> RDKitForceField:
    """MMFF94 if it has parameters for this molecule; else UFF, and a line that says why."""
    teacher = mmff94()
    try:
        teacher.get_potential_energy(atoms)
    except ForceFieldError as error:
        teacher = uff()
        teacher.get_potential_energy(atoms)
        print(f"UFF, a poor teacher, because {error}")
    return teacher


class _Springs(RDKitForceField):
    """UFF's springs, of radicals too: good enough to shake a molecule that others will label."""

    _radicals = True


def shaking_field(atoms: Atoms) -> RDKitForceField:
    """The force field that shakes a molecule: MMFF94 or UFF, as in `best_typed`; of radicals UFF's springs.

    >>> from tpainn_lite import molecule
    >>> shaking_field(molecule("[CH3]")).level
    'UFF'
    """
    try:
        check_closed_shell(atoms.info.get("smiles", ""))
    except ForceFieldError:
        return _Springs("UFF")
    return best_typed(atoms)


def type_molecule(smiles: str, method: Method = "MMFF94", radicals: bool = False) -> tuple[NDArray, Any]:
    """Atomic numbers (N,) in RDKit's order, and RDKit's force field for them.

    `ForceFieldError` names the first atom that has no type; ``radicals`` are refused unless they may be typed, too.
    """
    from rdkit.Chem import Conformer
    from rdkit.Chem import rdForceFieldHelpers as helpers

    check_choice(FORCE_FIELDS, method=method)
    rdmol = rdkit_molecule(smiles)
    if not radicals:
        check_closed_shell(smiles)
    numbers = np.array([atom.GetAtomicNum() for atom in rdmol.GetAtoms()])
    together = {"ignoreInterfragInteractions": False}  # the parts of a salt or a mixture feel each other
    rdmol.AddConformer(Conformer(len(numbers)))  # all atoms at the origin: every pair counts as near
    if method == "MMFF94":
        properties = helpers.MMFFGetMoleculeProperties(rdmol)
        force_field = properties and helpers.MMFFGetMoleculeForceField(rdmol, properties, **together)
    else:
        force_field = helpers.UFFHasAllMoleculeParams(rdmol) and helpers.UFFGetMoleculeForceField(rdmol, **together)
    if not force_field:
        raise ForceFieldError(why_untyped(rdmol, smiles, method))
    force_field.Initialize()
    return numbers, force_field
