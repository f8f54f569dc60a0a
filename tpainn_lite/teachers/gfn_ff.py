"""GFN-FF: a classical force field for every element up to radon, with other errors than those of MMFF94."""

from contextlib import chdir, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from ase.calculators.calculator import all_changes
from ase.units import Bohr, Hartree

from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.charges import charge_and_multiplicity
from tpainn_lite.teachers.charged import ChargedCalculator, check_places, check_same_atoms

RADON = 86  # the last element with parameters


class GFNFFCalculator(ChargedCalculator):
    """GFN-FF (Spicher and Grimme 2020, doi:10.1002/anie.202004239) through xtb-python, as an ASE calculator.

    It reads bonds, angles and rings from a structure: here from the relaxed molecule of each structure's own
    ``info["smiles"]``, once, and keeps them, as a hot molecule's stretched bonds would be taken for broken ones.  What
    has no SMILES is read as it is: then it should be near a minimum.  Gives ``energy`` in eV and ``forces`` (N, 3) in
    eV/Å.  `ForceFieldError` for a periodic structure, for elements beyond radon, and where SMILES and atoms are not the
    same.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  as ASE declares it
    level = "GFN-FF"

    def __init__(self) -> None:
        super().__init__()
        self.record: dict[str, Any] = {}  # of the last structure: where its bonds are from; `label` keeps it
        self._typed: dict[tuple[str, int, int], Any] = {}  # SMILES, charge, multiplicity -> (numbers, xtb)

    def __getstate__(self) -> dict[str, Any]:
        """xtb's calculators cannot be pickled; a copy in another process makes its own."""
        return {**self.__dict__, "_typed": {}}

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        if atoms.pbc.any():
            raise ForceFieldError(
                f"{atoms.get_chemical_formula()} is periodic, and GFN-FF is for molecules here: another teacher, or "
                "atoms.pbc = False for a molecule alone in a box, is expected"
            )
        check_places(atoms)
        if heavy := sorted({symbol for symbol, z in zip(atoms.symbols, atoms.numbers, strict=True) if z > RADON}):
            raise ForceFieldError(f"GFN-FF has no parameters for {', '.join(heavy)}; elements up to Rn are expected")
        found = self._with_bonds(atoms)
        with _said_of(atoms):
            found.update(atoms.positions / Bohr)
            result = found.singlepoint()
        self.results["energy"] = result.get_energy() * Hartree
        self.results["forces"] = -result.get_gradient() * Hartree / Bohr

    def _with_bonds(self, atoms):
        """xtb's calculator, which knows the bonds of this molecule."""
        smiles, (charge, multiplicity) = atoms.info.get("smiles"), charge_and_multiplicity(atoms)
        self.record = {"bonds_from": "SMILES" if smiles else "the structure"}
        if not smiles:
            return _read_bonds(atoms, charge, multiplicity)
        key = (smiles, charge, multiplicity)
        if key not in self._typed:
            relaxed = molecule(smiles)
            self._typed[key] = relaxed.numbers, _read_bonds(relaxed, charge, multiplicity)
        numbers, found = self._typed[key]
        check_same_atoms(atoms, smiles, numbers)
        return found


def gfn_ff() -> GFNFFCalculator:
    """The force field GFN-FF: as cheap as MMFF94, with other errors; the mean of both is nearer to DFT than either.

    ImportError without the extra ``gfnff``, which has no wheels but for Python 3.11 on Linux.

    >>> gfn_ff().level  # doctest: +SKIP
    'GFN-FF'
    """
    _interface()
    return GFNFFCalculator()


def _read_bonds(atoms, charge, multiplicity):
    interface = _interface()
    base: Any = interface.Calculator

    class Quiet(base):
        def _load(self, param):
            self.set_output("log")
            super()._load(param)
            self.release_output()

    with TemporaryDirectory() as folder, chdir(folder), _said_of(atoms):  # xtb leaves files where it works
        found = Quiet(interface.Param.GFNFF, atoms.numbers, atoms.positions / Bohr, float(charge), multiplicity - 1)
    found.set_verbosity(0)
    return found


@contextmanager
def _said_of(atoms):
    """xtb's exception as one of ours that names the structure."""
    try:
        yield
    except _interface().XTBException as error:
        raise ForceFieldError(f"GFN-FF cannot label {atoms.get_chemical_formula()}: {error}") from error


def _interface() -> Any:
    try:
        from xtb import interface
    except ImportError as error:
        raise ImportError("GFN-FF needs xtb-python: pip install 'tpainn_lite[gfnff]' (Python 3.11, Linux)") from error
    return interface
