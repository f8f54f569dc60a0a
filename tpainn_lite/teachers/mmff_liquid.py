"""MMFF94 for liquids, mixtures and solutions: the cheap teacher of any box of molecules it has parameters for."""

from typing import Any

from ase import Atoms
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import ForceFieldError, check_choice, check_numbers
from tpainn_lite.structures.charges import total_charge
from tpainn_lite.structures.molecules import KEY, bonds_in, check_bonds, molecules_in, tree_of, unwrapped_along
from tpainn_lite.structures.smiles import smiles_charge
from tpainn_lite.teachers.mmff_system import box_system, cluster_system
from tpainn_lite.teachers.openmm_calculator import OpenMMCalculator, check_width, grid_of, set_box

EWALD, DAMPED = "ewald", "damped-shifted"
CUTOFF = 7.5  # Å; a box of 64 methanols has room for it
SMALLEST_CUTOFF = 3.0  # Å
TOLERANCE, COARSE = 1e-5, 5e-4  # of the Ewald sum's forces: of labels, of the forces that move the molecules


class MMFF94Liquid(OpenMMCalculator):
    """MMFF94 through OpenMM, as an ASE calculator: boxes of molecules, clusters, single molecules.

    Molecules are known by ``info["molecules"]``, as `tpainn_lite.liquid` writes it, or by ``info["smiles"]``.  Without
    a box this is RDKit's MMFF94.  In a box, van der Waals forces fade away over the last 1 Å before the cutoff, and the
    energy of what lies beyond is that of an even liquid.

    Parameters
    ----------
    cutoff : Å
        At most half the width of the box.
    electrostatics
        "ewald": all charges and their images (PME; the buffer of 0.05 Å, by which MMFF94's charges differ from bare
        ones, ends at the cutoff); "damped-shifted": only those within the cutoff, damped and shifted so that energy and
        force end there smoothly (Fennell, Gezelter 2006, doi:10.1063/1.2206581).
    tail
        Whether the van der Waals energy beyond the cutoff counts: a constant over the volume, which presses the box.
    platform
        As of `OpenMMCalculator`.
    """

    def __init__(
        self, cutoff: float = CUTOFF, electrostatics: str = EWALD, tail: bool = True, platform: str | None = None
    ) -> None:
        super().__init__(platform)
        check_choice((EWALD, DAMPED), electrostatics=electrostatics)
        check_choice((True, False), tail=tail)
        check_numbers(least=SMALLEST_CUTOFF, cutoff=cutoff)
        self.cutoff, self.electrostatics, self.tail = float(cutoff), electrostatics, tail
        self._tree: tuple[Any, Any] = (None, None)  # (molecules, in which order their atoms are brought together)

    @property
    def level(self) -> str:
        """Name of the level of theory; of molecules without a box it is MMFF94 as it stands."""
        charges = "Ewald" if self.electrostatics == EWALD else "damped-shifted charges"
        return f"MMFF94 in boxes ({charges}, {self.cutoff:g} Å{'' if self.tail else ', no tail'})"

    def key_of(self, atoms: Atoms) -> Any:
        """Molecules, and whether they are in a box; `ForceFieldError` where it is narrower than twice the cutoff."""
        counts = molecules_in(atoms)
        _check_charge(atoms, counts)
        if not atoms.pbc.all():
            return counts, None
        check_width(atoms, self.cutoff)
        return counts, self._grid(atoms, TOLERANCE)

    def system_of(self, atoms: Atoms, sampling: bool = False, narrower: float = 1.0) -> Any:
        """OpenMM's `System` of these molecules."""
        counts = molecules_in(atoms)
        if not atoms.pbc.all():
            return cluster_system(counts)
        check_width(atoms, self.cutoff, narrower)
        grid = self._grid(atoms, COARSE if sampling else TOLERANCE)
        system = box_system(counts, self.cutoff, grid, self.tail)
        set_box(system, atoms.cell.array)
        return system

    def _grid(self, atoms, tolerance):
        """Of the Ewald sum; None where charges are damped and shifted."""
        return grid_of(atoms.cell.array, self.cutoff, tolerance) if self.electrostatics == EWALD else None

    def whole(self, atoms: Atoms) -> NDArray:
        """Positions (N, 3) in Å in which no molecule is cut by the box."""
        counts, positions = molecules_in(atoms), atoms.positions
        bonds = bonds_in(counts)
        if atoms.pbc.all():
            if self._tree[0] != counts:
                self._tree = counts, tree_of(bonds, len(atoms))
            positions = unwrapped_along(self._tree[1], positions, atoms.cell.array)
        check_bonds(atoms, bonds, positions, "their SMILES")
        return positions


def mmff94_liquid(**settings: Any) -> MMFF94Liquid:
    """The MMFF94 teacher of boxes: a `MMFF94Liquid` with these settings.

    >>> mmff94_liquid(cutoff=7.0).level
    'MMFF94 in boxes (Ewald, 7 Å)'
    """
    return MMFF94Liquid(**settings)


def is_liquid(atoms: Atoms) -> bool:
    """Whether this is a periodic box that says which molecules it holds."""
    return bool(atoms.pbc.all()) and KEY in atoms.info


def _check_charge(atoms, counts):
    """Raise `ForceFieldError` where ``info`` has another charge than the molecules."""
    charge = sum(n * (smiles_charge(smiles) or 0) for n, smiles in counts)
    given = total_charge(atoms)
    if "charge" in atoms.info and given != charge:
        raise ForceFieldError(
            f'{atoms.get_chemical_formula()} has info["charge"] = {given}, but its molecules have {charge}: correct '
            "one of them"
        )
