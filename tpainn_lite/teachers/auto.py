"""The classical teacher that suits each structure: found for every molecule by itself, never by the first of a list."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.protocols import Teacher
from tpainn_lite.teachers.charged import ChargedCalculator
from tpainn_lite.teachers.mmff_liquid import is_liquid, mmff94_liquid
from tpainn_lite.teachers.rdkit import mmff94, type_molecule, uff
from tpainn_lite.teachers.water import is_water, water


class AutoForceField(ChargedCalculator):
    """q-TIP4P/F for water, MMFF94 for molecules and liquids, UFF where it has no parameters, as one ASE calculator.

    Gives ``energy`` in eV, ``forces`` (N, 3) in eV/Å and, for boxes, ``stress`` (6,) in eV/Å³;
    `ForceFieldError` where none of them can.  `label` keeps with each frame the ``level`` that it got.

    >>> from tpainn_lite import molecule
    >>> [AutoForceField().level_for(molecule(smiles)) for smiles in ("O", "CCO", "CB")]
    ['q-TIP4P/F', 'MMFF94', 'UFF']
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as ASE declares it
    level = "MMFF94, UFF or q-TIP4P/F"

    def __init__(self) -> None:
        super().__init__()
        self._mmff94, self._uff, self._water, self._liquid = mmff94(), uff(), water(), mmff94_liquid()
        self._has_mmff94: dict[str, bool] = {}  # SMILES: whether MMFF94 has parameters for it

    def teacher_for(self, atoms: Atoms) -> Teacher:
        """The calculator that labels these atoms."""
        if is_water(atoms):
            return self._water
        if is_liquid(atoms):
            return self._liquid
        smiles = atoms.info.get("smiles")
        if not isinstance(smiles, str):
            return self._mmff94  # which says what is missing
        if smiles not in self._has_mmff94:
            try:
                type_molecule(smiles)
                self._has_mmff94[smiles] = True
            except ForceFieldError:
                self._has_mmff94[smiles] = False
        return self._mmff94 if self._has_mmff94[smiles] else self._uff

    def level_for(self, atoms: Atoms) -> str:
        """Name of the level of theory of these atoms' labels."""
        return self.teacher_for(atoms).level

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        teacher: Any = self.teacher_for(atoms)
        for name in {"energy", "forces", *properties}:
            self.results[name] = teacher.get_property(name, atoms)

    def evaluate(self, atoms: Atoms, positions: NDArray) -> tuple[NDArray, NDArray]:
        """Energies (n,) in eV and forces (n, N, 3) in eV/Å of many ``positions`` (n, N, 3) Å of one molecule."""
        teacher: Any = self.teacher_for(atoms)
        if hasattr(teacher, "evaluate"):
            return teacher.evaluate(atoms, positions)
        energies, forces, moved = [], [], atoms.copy()
        for moved.positions in positions:
            energies.append(teacher.get_potential_energy(moved))
            forces.append(teacher.get_forces(moved))
        return np.array(energies), np.array(forces)
