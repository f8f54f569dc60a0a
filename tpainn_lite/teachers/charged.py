"""What the teachers have in common: other charges or spins of the same atoms are another calculation."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import ForceFieldError
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


def check_places(atoms: Atoms) -> None:
    """Raise `ForceFieldError` where a position is no number.

    >>> check_places(Atoms("H"))
    """
    if not np.isfinite(atoms.positions).all():
        raise ForceFieldError(f"{atoms.get_chemical_formula()} has a position that is not a finite number")


def check_same_atoms(atoms: Atoms, smiles: str, numbers: NDArray) -> None:
    """Raise `ForceFieldError` where the atoms are not those of their SMILES, whose atomic ``numbers`` (N,) are given.

    >>> check_same_atoms(Atoms("OHH"), "O", np.array([8, 1, 1]))
    """
    if not np.array_equal(numbers, atoms.numbers):
        raise ForceFieldError(
            f"the atoms are {atoms.get_chemical_formula('reduce')}, but {smiles!r} gives "
            f"{Atoms(numbers).get_chemical_formula('reduce')}: same atoms in the same order expected; "
            "build the molecule with tpainn_lite.molecule(smiles)"
        )
