"""OpenMM, through OpenMM-ML: ``MLPotential("tpainn", weights="potential.safetensors")``.

The same potential may describe a part of a system whose rest is a force field: ``createMixedSystem``.  OpenMM knows no
virial; it changes volumes by energies alone, and so they are what is compared here, too.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from tpainn_lite.engines.engine import WEIGHTS, Answer, Engine
from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.potential import Potential
from tpainn_lite.teachers.openmm_calculator import energy_and_forces, new_context, place, set_box, stress_by_differences

KJ = units.kJ / units.mol  # 1 kJ/mol in eV
NAME = "tpainn"
RUN = '''"""MD of start.extxyz by potential.safetensors in OpenMM: python run.py"""

import openmm
from openmm import app, unit
from openmmml import MLPotential

from tpainn_lite.engines.for_openmm import register, topology_of
from tpainn_lite.reading.frames import read_frames

register()  # makes the name "tpainn" known, where the library was installed before OpenMM-ML
start = read_frames("start.extxyz", (), quiet=True)[0]
topology = topology_of(start)
potential = MLPotential("tpainn", weights="potential.safetensors")
system = potential.createSystem(topology{charge})
# A part of a larger system, whose rest is a force field:
#     system = potential.createMixedSystem(topology, force_field_system, [0, 1, 2])
integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
simulation = app.Simulation(topology, system, integrator, openmm.Platform.getPlatformByName("CPU"))
simulation.context.setPositions(start.positions / 10)
simulation.context.setVelocitiesToTemperature(300)
simulation.reporters.append(app.StateDataReporter("run.csv", 10, step=True, potentialEnergy=True, temperature=True))
simulation.reporters.append(app.DCDReporter("run.dcd", 10))
simulation.step(1000)
'''


class OpenMMEngine(Engine):
    """OpenMM and OpenMM-ML."""

    packages = ("openmm", "openmmml")
    advice = "pip install openmmml"

    def files(self, potential: Potential, start: Atoms) -> dict[str, str]:
        """{name: text} of its folder."""
        charge = start.info.get("charge")
        return {"run.py": RUN.replace("{charge}", f", charge={charge}" if charge else "")}

    def answers(self, folder: Path, frames: Sequence[Atoms]) -> list[Answer]:
        """What OpenMM computes."""
        return [self._answer(folder, atoms) for atoms in frames]

    def _answer(self, folder, atoms):
        import openmm

        context = new_context(system_of(folder / WEIGHTS, atoms), openmm.VerletIntegrator(1e-3))
        energy, forces = energy_and_forces(context, atoms.positions, atoms.cell.array)
        if not atoms.pbc.all():
            return Answer(energy, forces, None)
        xx, yy, zz, yz, xz, xy = stress_by_differences(context, atoms.positions, atoms.cell.array)
        return Answer(energy, forces, np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))

    def total_energies(self, folder: Path, start: Atoms, n_steps: int, timestep: float) -> NDArray:
        """(n,) eV of a run without a thermostat; its velocities are half a step late, and corrected for it."""
        import openmm

        system = system_of(folder / WEIGHTS, start)
        context = new_context(system, openmm.VerletIntegrator(timestep / 1000))
        turn = place(context, start.positions, start.cell.array)
        speed = start.get_velocities() @ turn.T * units.fs * 100  # nm/ps
        context.setVelocities(_half_a_step_back(context, speed, start.get_masses(), timestep))
        energies = []
        for _ in range(n_steps + 1):
            state = context.getState(getEnergy=True)
            energies.append((state.getPotentialEnergy()._value + state.getKineticEnergy()._value) * KJ)
            context.getIntegrator().step(1)
        return np.array(energies)


def _half_a_step_back(context, velocities, masses, timestep):
    """nm/ps: OpenMM's Verlet integrator keeps velocities between two steps."""
    forces = context.getState(getForces=True).getForces(asNumpy=True)._value  # kJ/mol nm
    return velocities - forces / masses[:, None] * timestep / 2000


def topology_of(atoms: Atoms) -> Any:
    """OpenMM's `Topology` of a structure: its elements and its box; no bonds, which a potential has not."""
    from openmm import app

    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for k, atom in enumerate(atoms):
        topology.addAtom(f"{atom.symbol}{k + 1}", app.Element.getByAtomicNumber(int(atom.number)), residue)
    if atoms.pbc.all():
        from tpainn_lite.teachers.openmm_calculator import reduced

        topology.setPeriodicBoxVectors(reduced(atoms.cell.standard_form()[0].array) / 10)
    return topology


def system_of(weights: Path, atoms: Atoms) -> Any:
    """OpenMM's `System` of these atoms, made by OpenMM-ML."""
    from openmmml import MLPotential

    register()
    charge = {"charge": atoms.info["charge"]} if "charge" in atoms.info else {}
    system = MLPotential(NAME, weights=str(weights)).createSystem(topology_of(atoms), removeCMMotion=False, **charge)
    if atoms.pbc.all():
        set_box(system, atoms.cell.array)
    for k, mass in enumerate(atoms.get_masses()):
        system.setParticleMass(k, mass)
    return system


def register() -> None:
    """Make the name "tpainn" known to OpenMM-ML, where the entry point of an installed library does not."""
    from openmmml import MLPotential

    MLPotential.registerImplFactory(NAME, TPaiNNFactory())


class TPaiNNFactory:
    """What OpenMM-ML makes our potentials with; the entry point ``tpainn`` of ``openmmml.potentials``."""

    def createImpl(self, name: str, weights: str | None = None, **_: Any) -> Any:
        """Of ``MLPotential("tpainn", weights="potential.safetensors")``."""
        from openmmml.mlpotential import MLPotentialImpl

        if weights is None:
            raise ValueError('MLPotential("tpainn") needs weights="potential.safetensors"')

        class Impl(MLPotentialImpl):
            """OpenMM-ML asks that it is one of its own."""

            addForces = staticmethod(_adder(weights))

        return Impl()


def _adder(weights):
    """OpenMM-ML's ``addForces``, of these weights."""

    def add_forces(
        topology: Any, system: Any, atoms: Iterable[int] | None, forceGroup: int, charge: int = 0, **_: Any
    ) -> None:
        import openmm

        every = list(topology.atoms())
        chosen = every if atoms is None else [every[k] for k in atoms]
        nameless = [atom.index for atom in chosen if atom.element is None]
        if nameless:
            raise ValueError(f"atom {nameless[0]} of the topology has no element; one is expected of each")
        boxed = topology.getPeriodicBoxVectors() is not None
        compute = Compute(weights, [atom.element.atomic_number for atom in chosen], boxed, charge)
        force = openmm.PythonForce(compute)
        force.setForceGroup(forceGroup)
        force.setUsesPeriodicBoundaryConditions(boxed)
        if atoms is not None:
            force.setParticles(list(atoms))
        system.addForce(force)

    return add_forces


class Compute:
    """What OpenMM calls at each step: positions in, energy and forces out."""

    def __init__(self, weights: str, numbers: Sequence[int], boxed: bool, charge: int = 0) -> None:
        self.atoms = Atoms(numbers, pbc=boxed, info={"charge": charge} if charge else {})
        self.atoms.calc = PotentialCalculator(Potential.load(weights))

    def __call__(self, state: Any) -> tuple[float, NDArray]:
        """kJ/mol, (N, 3) kJ/mol nm."""
        self.atoms.positions = state.getPositions(asNumpy=True)._value * 10
        if self.atoms.pbc.any():
            self.atoms.cell = np.asarray(state.getPeriodicBoxVectors(asNumpy=True)._value) * 10
        energy = self.atoms.get_potential_energy(apply_constraint=False)
        return energy / KJ, self.atoms.get_forces(apply_constraint=False) * 10 / KJ
