"""What it takes to hand a potential to another program: its files, and the program's own answers to compare."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from numpy.typing import NDArray

from tpainn_lite.model.potential import Potential

WEIGHTS, START = "potential.safetensors", "start.extxyz"  # in every folder
KELVIN, TIMESTEP = 300.0, 0.5  # K, fs: of the runs that are written, and of those that check them


class Answer(NamedTuple):
    """What a program says of a structure: eV, (N, 3) eV/Å and, of boxes, (3, 3) eV/Å³ in ASE's sign."""

    energy: float
    forces: NDArray
    stress: NDArray | None


class Engine:
    """A program that runs potentials; each has a class of its own."""

    packages: tuple[str, ...] = ()  # that it is imported as
    advice = ""  # how it is installed
    double = False  # whether it computes in double precision, whatever the weights are in

    def trouble(self) -> str | None:
        """Why it cannot run here; None where it can."""
        absent = [name for name in self.packages if find_spec(name) is None]
        return f"{', '.join(absent)} is not installed ({self.advice})" if absent else None

    def files(self, potential: Potential, start: Atoms) -> dict[str, str]:
        """{name: text} of what its folder holds, besides weights and start."""
        raise NotImplementedError

    def build(self, potential: Potential, folder: Path) -> None:
        """Write what only the program itself can write into the folder."""

    def answers(self, folder: Path, frames: Sequence[Atoms]) -> list[Answer]:
        """What it computes for these structures with the weights in a folder."""
        raise NotImplementedError

    def total_energies(self, folder: Path, start: Atoms, n_steps: int, timestep: float) -> NDArray:
        """(n,) eV, potential and kinetic, of a run without a thermostat; evenly spaced, from the start to the end."""
        raise NotImplementedError


def moving_start(start: Atoms, kelvin: float = KELVIN) -> Atoms:
    """The start with velocities, the same every time."""
    atoms = start.copy()
    MaxwellBoltzmannDistribution(atoms, temperature_K=kelvin, rng=np.random.default_rng(0))
    Stationary(atoms)
    return atoms


def answer_of(calculator: Calculator, atoms: Atoms) -> Answer:
    """What an ASE calculator says of a structure."""
    atoms = atoms.copy()
    atoms.calc = calculator
    stress = atoms.get_stress(voigt=False) if atoms.pbc.all() else None
    return Answer(float(atoms.get_potential_energy()), atoms.get_forces(), stress)
