"""What the teachers have in common: other charges or spins of the same atoms are another calculation."""

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from tpainn_lite.structures.charges import same_electrons


class ChargedCalculator(Calculator):
    """An ASE calculator that looks at a structure's ``info`` too: its charge, multiplicity and SMILES.

    ASE gives back the last results where only ``info`` has changed; such a calculator computes anew.

    >>> from tpainn_lite import mmff94
    >>> isinstance(mmff94(), ChargedCalculator)
    True
    """

    atoms: Atoms | None

    def check_state(self, atoms: Any, tol: float = 1e-15) -> list[str]:
        """ASE's list of what differs from the structure computed last; other electrons count as other charges."""
        changes = super().check_state(atoms, tol)
        if self.atoms is not None and not same_electrons(self.atoms, atoms):
            changes.append("initial_charges")
        return changes
