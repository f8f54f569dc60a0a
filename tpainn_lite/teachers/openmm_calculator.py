"""What all teachers that OpenMM computes have in common: atoms in; energy, forces and stress out.

OpenMM's particles are the atoms, in their order, and sites between them that it places itself and whose forces it
spreads to the atoms.  Its lengths are nm, its energies kJ/mol, and its cells have a along x and b in the x-y plane.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.cell import Cell
from ase.units import kJ, mol
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.geometry import check_extent, widths
from tpainn_lite.teachers.charged import ChargedCalculator

KJ = kJ / mol  # 1 kJ/mol in eV
STRAIN = 1e-3  # for the stress, by differences: OpenMM's CPU platform computes pairs in single precision
PLATFORMS = (None, "CPU", "Reference")


class OpenMMCalculator(ChargedCalculator):
    """An ASE calculator for what OpenMM computes: subclasses say which `System` some atoms have.

    Gives ``energy`` in eV, ``forces`` (N, 3) in eV/Å and, for boxes, ``stress`` (6,) in eV/Å³, ASE's sign, by central
    differences of the energy.

    Parameters
    ----------
    platform
        OpenMM's: "Reference" (double precision), "CPU" (single where pairs are summed, several times as fast), or None:
        the first for molecules, the second for boxes.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as ASE declares it

    def __init__(self, platform: str | None = None) -> None:
        super().__init__()
        if platform not in PLATFORMS:
            raise ValueError(f"platform {platform!r} is not one of {PLATFORMS}")
        self.platform = platform
        self._kept: tuple[Any, ...] = ()  # what the context was made for, and OpenMM's context

    def __getstate__(self) -> dict[str, Any]:
        """OpenMM's contexts cannot be pickled; a copy in another process makes its own."""
        return {**self.__dict__, "_kept": ()}

    @property
    def level(self) -> str:
        """Name of the level of theory."""
        raise NotImplementedError

    def key_of(self, atoms: Atoms) -> Any:
        """What a context depends on; atoms with equal keys share one.  `ForceFieldError` where there can be none."""
        raise NotImplementedError

    def system_of(self, atoms: Atoms, sampling: bool = False, narrower: float = 1.0) -> Any:
        """OpenMM's `System` of these atoms; for ``sampling`` it may be a little coarser, as it makes no labels.

        ``narrower``: the factor by which the box may shrink.
        """
        raise NotImplementedError

    def whole(self, atoms: Atoms) -> NDArray:
        """Positions (N, 3) in Å in which no molecule is cut by the box: bonds do not reach through its walls."""
        return atoms.positions

    def check_state(self, atoms: Any, tol: float = 1e-15) -> list[str]:
        """As of `ChargedCalculator`; other molecules made of the same atoms count too."""
        changes = super().check_state(atoms, tol)
        if self.atoms is not None and self.atoms.info.get("molecules") != atoms.info.get("molecules"):
            changes.append("initial_charges")
        return changes

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        check_boxed(atoms)
        context, positions = self.context_of(atoms), self.whole(atoms)
        energy, forces = energy_and_forces(context, positions, atoms.cell.array)
        if not np.isfinite(energy) or not np.isfinite(forces).all():
            raise ForceFieldError(f"{self.level} has no finite energy here: do two atoms lie on top of each other?")
        self.results["energy"], self.results["forces"] = energy, forces
        if "stress" in properties:
            if not atoms.pbc.all():
                raise PropertyNotImplementedError("stress needs a box that is periodic in all directions")
            self.results["stress"] = stress_by_differences(context, positions, atoms.cell.array)

    def context_of(self, atoms: Atoms) -> Any:
        """OpenMM's context that labels these atoms."""
        key = self.key_of(atoms)
        if not self._kept or self._kept[0] != key:
            import openmm

            name = self.platform or ("CPU" if atoms.pbc.all() else "Reference")
            self._kept = key, new_context(self.system_of(atoms), openmm.VerletIntegrator(1e-3), name)
        return self._kept[1]


def check_boxed(atoms: Atoms) -> None:
    """Raise an error unless this is a sound structure, periodic in all directions or in none."""
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc)
    if atoms.pbc.any() and not atoms.pbc.all():
        raise ForceFieldError(f"pbc is {atoms.pbc.tolist()}; a box periodic in all directions or in none is expected")


def check_width(atoms: Atoms, cutoff: float, narrower: float = 1.0) -> None:
    """Raise `ForceFieldError` where a box is, or once it is ``narrower`` by a factor would be, too narrow for it."""
    width = widths(reduced(Cell(atoms.cell.array).standard_form()[0].array)).min() * narrower
    if width < 2 * cutoff:
        when = "" if narrower == 1.0 else ", when it shrinks under pressure,"
        raise ForceFieldError(
            f"the box{when} is {width:.2f} Å wide; at least {2 * cutoff:g} Å, twice the cutoff, are expected: take a "
            "larger box, or a teacher with a shorter cutoff (mmff94_liquid(cutoff=…), water(cutoff=…))"
        )


def new_context(system: Any, integrator: Any, platform: str = "CPU", threads: int = 1) -> Any:
    """OpenMM's context on a platform that every machine has, with so many threads."""
    import openmm

    properties = {"Threads": str(threads), "DeterministicForces": "true"} if platform == "CPU" else {}
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform), properties)


def atoms_in(system: Any) -> NDArray:
    """Which of OpenMM's particles are atoms, in their order: all but the sites that OpenMM places itself."""
    particles = range(system.getNumParticles())
    return np.array([k for k in particles if not system.isVirtualSite(k)], dtype=int)


def place(context: Any, positions: NDArray, cell: NDArray) -> NDArray:
    """Give OpenMM positions (N, 3) Å and, for a box, the cell (3, 3) Å; returns the rotation (3, 3) into its axes."""
    system, turn = context.getSystem(), np.eye(3)
    particles = np.zeros((system.getNumParticles(), 3))  # nm
    if system.usesPeriodicBoundaryConditions():
        standard, turn = Cell(cell).standard_form()
        context.setPeriodicBoxVectors(*(reduced(standard.array) / 10))
    particles[atoms_in(system)] = positions @ turn.T / 10
    context.setPositions(particles)
    if len(particles) > len(positions):
        context.computeVirtualSites()
    return turn


def reduced(cell: NDArray) -> NDArray:
    """The same lattice by the nearly upright sides that OpenMM asks for: (3, 3), a along x, b in the x-y plane."""
    a, b, c = cell * np.sign(np.diag(cell))[:, None]
    c = c - b * np.round(c[1] / b[1])
    c = c - a * np.round(c[0] / a[0])
    b = b - a * np.round(b[0] / a[0])
    return np.array([a, b, c])


def set_box(system: Any, cell: NDArray) -> NDArray:
    """Make a cell (3, 3) Å the one that OpenMM chooses its grids for; returns its sides as OpenMM wants them, Å."""
    sides = reduced(Cell(cell).standard_form()[0].array)
    system.setDefaultPeriodicBoxVectors(*(sides / 10))
    return sides


def grid_of(cell: NDArray, cutoff: float, tolerance: float) -> tuple[float, int, int, int]:
    """OpenMM's PME parameters for a cell (3, 3) Å: α in 1/nm, and the points along its sides.

    OpenMM would choose them for the first box that it sees, and keep them for all others.
    """
    alpha = np.sqrt(-np.log(2 * tolerance)) / (cutoff / 10)
    heights = np.diag(reduced(Cell(cell).standard_form()[0].array)) / 10  # nm
    n = np.maximum(np.ceil(2 * alpha * heights / (3 * tolerance**0.2)).astype(int), 6)
    return float(alpha), int(n[0]), int(n[1]), int(n[2])


def energy_and_forces(context: Any, positions: NDArray, cell: NDArray) -> tuple[float, NDArray]:
    """eV and (N, 3) eV/Å; the forces on virtual sites are already on the atoms."""
    turn = place(context, positions, cell)
    state = context.getState(getEnergy=True, getForces=True)
    forces = state.getForces(asNumpy=True)._value[atoms_in(context.getSystem())]
    return state.getPotentialEnergy()._value * KJ, forces @ turn * KJ / 10


def stress_by_differences(context: Any, positions: NDArray, cell: NDArray) -> NDArray:
    """(6,) eV/Å³ in Voigt's order, of what is in OpenMM's context."""

    def energy_of(positions, cell):
        place(context, positions, cell)
        return context.getState(getEnergy=True).getPotentialEnergy()._value * KJ

    return stress_of_energies(energy_of, positions, cell)


def stress_of_energies(energy_of: Callable[[NDArray, NDArray], float], positions: NDArray, cell: NDArray) -> NDArray:
    """(6,) eV/Å³ in Voigt's order: the slope of ``energy_of`` (positions, cell) in eV when box and atoms are stretched
    together."""
    stress = []
    for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        energy = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[a, b] += sign * STRAIN / 2
            strain[b, a] += sign * STRAIN / 2
            stretch = np.eye(3) + strain
            energy.append(energy_of(positions @ stretch, cell @ stretch))
        stress.append((energy[0] - energy[1]) / (2 * STRAIN * abs(np.linalg.det(cell))))
    return np.array(stress)
