"""Any `Potential` as an ASE calculator: relax, vibrate, run MD with it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from tpainn_lite.model.evaluator import STEPS
from tpainn_lite.model.graph import SKIN, NeighbourList, volume_of
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import check_extent


class PotentialCalculator(Calculator):
    """A potential as an ASE calculator: ``energy`` (eV), ``forces`` (N, 3) (eV/Å) and, of boxes that are periodic in
    all directions, ``stress`` (6,) (eV/Å³).

    Parameters
    ----------
    potential
    skin
        Å beyond the cutoff, so that a neighbour list serves for several steps.
    fast
        Whether to take the compiled path of `tpainn_lite.model.compiled` (float32, on the CPU): several times as fast,
        the same numbers to five digits.  By default for some 60 atoms and more, if Numba is installed and the weights
        are float32 on the CPU.

    Raises
    ------
    ValueError
        A structure that makes no sense, has exploded, or contains elements that the potential does not know.

    >>> from tpainn_lite import load_pretrained, molecule
    >>> water = molecule("O")
    >>> water.calc = PotentialCalculator(load_pretrained("gas"))
    >>> water.get_forces().shape
    (3, 3)
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as in ASE

    def __init__(self, potential: Potential, skin: float = SKIN, fast: bool | None = None) -> None:
        super().__init__()
        check_potential(potential)
        self.potential, self.skin, self.fast = potential, skin, fast
        self.evaluator = potential.evaluator(fast, STEPS)
        self._neighbours = NeighbourList(potential.cutoff, skin)
        self._checked: tuple | None = None  # (numbers, cell, pbc) that the structure check was last made for

    def check_state(self, atoms: Any, tol: float = 0.0) -> list[str]:
        """What has changed since the last calculation, of all that counts; ASE's own way takes longer."""
        before, more = self.atoms, ("initial_charges", "initial_magmoms")
        if before is None:
            return [*all_changes]
        names = ("numbers", "positions", "cell", "pbc")
        changed = [name for name in names if not np.array_equal(getattr(before, name), getattr(atoms, name))]
        return changed + [name for name in more if not np.array_equal(before.arrays.get(name), atoms.arrays.get(name))]

    @property
    def level(self) -> str:
        """Name of the level of theory, as stored with each label."""
        metadata = self.potential.metadata
        return f"PaiNN ({metadata.get('stage', 'potential')}, {metadata.get('level', 'unknown level')})"

    def calculate(
        self, atoms: Any = None, properties: Sequence[str] = ("energy",), system_changes: Sequence[str] = all_changes
    ) -> None:
        """Fill ``results``, as ASE's calculators do."""
        super().calculate(atoms, properties, system_changes)
        cell, pbc = atoms.cell.array, atoms.pbc
        structure = atoms.numbers.tobytes(), cell.tobytes(), pbc.tobytes()
        if structure != self._checked:
            check_structure(atoms)
            self._checked = structure
        if not np.isfinite(atoms.positions).all():
            raise ValueError("a position is not a finite number: the run has exploded; use a shorter timestep")
        check_extent(atoms.positions, cell, pbc)
        pairs = self._neighbours.pairs(atoms.positions, cell, pbc)
        output = self.evaluator.of_pairs(atoms.numbers, pairs, volume_of(atoms))
        energy = output["energy"].item() + self.potential.charge_energies([atoms]).item()
        self.results.update(energy=energy, forces=output["forces"].double().cpu().numpy())
        if pbc.all():
            self.results["stress"] = full_3x3_to_voigt_6_stress(output["stress"][0].double().cpu().numpy())
