"""Moving atoms to get structures worth labelling.

Where frames come from decides what a potential can learn.  Here: random pushes (crude), normal modes (instant,
harmonic) and Langevin MD (slower, anharmonic, visits other conformers), the last two under any ASE calculator.
`tpainn_lite.structures.select` chooses among frames, `tpainn_lite.teachers.label` labels them.
"""

import sys
from collections.abc import Iterable, Iterator

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import (
    ForceFieldError,
    check_calculator,
    check_counts,
    check_numbers,
    generator,
    whole_steps,
)
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.protocols import Teacher
from tpainn_lite.teachers.rdkit import shaking_field

SOFT_MODE = 200 * units.invcm  # modes softer than this are sampled as if they were this stiff
FRICTION = 0.02 / units.fs
Temperature = float | tuple[float, float]  # K; a range as (low, high)


def normal_modes(atoms: Atoms, calculator: Calculator | Teacher, step: float = 0.005) -> tuple[NDArray, NDArray]:
    """Vibrations of N atoms around a minimum of the calculator, by finite differences (``step`` Å) of the forces.

    Returns
    -------
        Energies ħω (K,) in eV, and Cartesian displacements per unit of mass-weighted coordinate,
        (K, N, 3) in amu^-1/2; the K = 3N − 6 (3N − 5 if linear, 0 for one atom) vibrations only.  Constraints of the
        atoms are not applied.

    >>> from tpainn_lite import mmff94, molecule
    >>> [round(float(energy), 2) for energy in normal_modes(molecule("O"), mmff94())[0]]
    [0.2, 0.46, 0.47]
    """
    check_structure(atoms)
    check_calculator(calculator)
    check_numbers(above=0, step=step)
    reference, n = atoms.positions.copy(), 3 * len(atoms)
    work = atoms.copy()
    work.calc = calculator
    hessian = np.zeros((n, n))  # (3N, 3N) eV/Å²
    for k in range(n):
        for sign in (+1, -1):
            work.positions = reference
            work.positions.reshape(-1)[k] += sign * step
            hessian[k] -= sign * work.get_forces(apply_constraint=False).ravel() / (2 * step)
    root_mass = np.repeat(np.sqrt(atoms.get_masses()), 3)  # (3N,)
    omega2, modes = np.linalg.eigh((hessian + hessian.T) / 2 / np.outer(root_mass, root_mass))
    vibrations = slice(_n_rigid(atoms), None)
    frequency = np.sqrt(np.clip(omega2[vibrations], 0, None)) * units._hbar * units._e**0.5
    frequency *= 1e10 / (units._e * units._amu**0.5)  # sqrt(eV/amu)/Å to eV
    return frequency, (modes / root_mass[:, None]).T[vibrations].reshape(-1, len(atoms), 3)


def normal_mode_frames(
    atoms: Atoms, calculator: Calculator | Teacher, temperature: Temperature, n_frames: int, seed: int = 0
) -> list[Atoms]:
    """Displace a relaxed molecule along its normal modes, as classical heat would.

    Each mode gets a Gaussian amplitude of variance kT/ω² (a harmonic oscillator at ``temperature``).  Modes
    softer than 200 cm⁻¹ are sampled as if they were that stiff: far along a torsion the harmonic picture is wrong.

    Of a ``temperature`` (low, high) K, one is drawn for each frame, uniformly.  The frames'
    ``info["config_type"]`` is ``"normal_modes"``, ``info["temperature"]`` in K.

    >>> from tpainn_lite import mmff94, molecule
    >>> len(normal_mode_frames(molecule("CCO"), mmff94(), temperature=(300, 600), n_frames=5))
    5
    """
    check_counts(n_frames=n_frames)
    rng = generator(seed)
    energy, modes = normal_modes(atoms, calculator)
    omega = np.maximum(energy, SOFT_MODE) / (units._hbar * units._e**0.5) * units._e * units._amu**0.5 / 1e10
    frames, temperatures = [], _temperatures(temperature, n_frames, rng)  # (n_frames,)
    for kelvin in temperatures:
        amplitude = rng.normal(size=len(omega)) * np.sqrt(units.kB * kelvin) / omega  # (K,) Å amu^1/2
        frame = atoms.copy()
        frame.positions += np.einsum("k,knx->nx", amplitude, modes)
        frame.info.update(config_type="normal_modes", temperature=float(kelvin))
        frames.append(frame)
    return frames


def thermal_frames(
    atoms: Atoms,
    calculator: Calculator | Teacher,
    temperature: Temperature,
    n_frames: int,
    seed: int = 0,
    spacing: float = 50.0,
    timestep: float = 0.5,
    warm_up: float = 200.0,
) -> list[Atoms]:
    """Snapshots of Langevin MD, ``spacing`` fs (whole ``timestep`` s) apart, after ``warm_up`` fs.

    A ``temperature`` (low, high) K heats the run in steps, one per frame.  The frames' ``info["config_type"]`` is
    ``"thermal"``, ``info["temperature"]`` in K.  ValueError where the run explodes.

    >>> from tpainn_lite import mmff94, molecule
    >>> len(thermal_frames(molecule("C"), mmff94(), temperature=300, n_frames=2, warm_up=10))
    2
    """
    check_structure(atoms)
    check_calculator(calculator)
    check_counts(n_frames=n_frames)
    check_numbers(least=0, warm_up=warm_up)
    n_steps, rng = whole_steps(spacing, timestep), generator(seed)
    temperatures = np.sort(_temperatures(temperature, n_frames, rng))
    work = atoms.copy()
    work.calc = calculator
    thermalize_momenta(work, temperatures[0], rng=rng)
    dynamics = Langevin(
        work, timestep * units.fs, temperature_K=temperatures[0], friction=FRICTION, fixcm=False, rng=rng
    )
    dynamics.run(round(warm_up / timestep))
    frames = []
    for kelvin in temperatures:
        dynamics.set_temperature(temperature_K=kelvin)
        dynamics.run(n_steps)
        if not np.isfinite(work.positions).all():
            raise ValueError(
                f"MD at {kelvin:.0f} K exploded; take a shorter timestep than {timestep:g} fs, or less heat"
            )
        frame = atoms.copy()
        frame.positions = work.positions if work.pbc.any() else work.positions - work.get_center_of_mass()
        frame.info.update(config_type="thermal", temperature=float(kelvin))
        frames.append(frame)
    return frames


def shaken_molecules(
    smiles: Iterable[str],
    n_frames: int = 10,
    temperature: Temperature = (300, 1000),
    seed: int = 0,
    left_out: list[str] | None = None,
) -> Iterator[Atoms]:
    """``n_frames`` normal-mode frames of each molecule, under MMFF94 (UFF where that has no parameters).

    Radicals are shaken by UFF's springs; only teachers that count electrons can label them.  The ``temperature`` is in
    K, or (low, high).  What cannot be built is named on stderr and left out; a list ``left_out`` gets its SMILES, too.
    The frames' ``info["id"]`` is ``"<SMILES>/<number>"``.

    >>> [atoms.info["id"] for atoms in shaken_molecules(["CO", "N"], n_frames=2)]
    ['CO/0', 'CO/1', 'N/0', 'N/1']
    """
    if isinstance(smiles, str) or not isinstance(smiles, Iterable):
        raise TypeError(f"smiles is {smiles!r}; a list of SMILES is expected: ['CCO']")
    check_counts(n_frames=n_frames)
    check_counts(least=0, seed=seed)
    _temperatures(temperature, 1, generator(seed))
    return _shaken_molecules(smiles, n_frames, temperature, seed, [] if left_out is None else left_out)


def _shaken_molecules(smiles, n_frames, temperature, seed, left_out):
    for k, name in enumerate(smiles):
        try:
            minimum = molecule(name, seed + k)
            frames = normal_mode_frames(minimum, shaking_field(minimum), temperature, n_frames, seed + k)
        except ForceFieldError as error:
            print(f"left out: {error}", file=sys.stderr)
            left_out.append(name)
            continue
        for i, frame in enumerate(frames):
            frame.info["id"] = f"{name}/{i}"
            yield frame


def rattled_frames(atoms: Atoms, amplitude: float, n_frames: int, seed: int = 0) -> list[Atoms]:
    """Every coordinate pushed at random by ``amplitude`` Å (standard deviation): crude, and needs no calculator.

    The frames' ``info["config_type"]`` is ``"rattled"``.

    >>> from tpainn_lite import molecule
    >>> len(rattled_frames(molecule("CCO"), amplitude=0.05, n_frames=3))
    3
    """
    check_structure(atoms)
    check_counts(n_frames=n_frames)
    check_numbers(least=0, amplitude=amplitude)
    rng, frames = generator(seed), []
    for _ in range(n_frames):
        frame = atoms.copy()
        frame.positions += rng.normal(scale=amplitude, size=frame.positions.shape)
        frame.info["config_type"] = "rattled"
        frames.append(frame)
    return frames


def _temperatures(temperature, n, rng):
    pair = (temperature, temperature) if np.isscalar(temperature) or temperature is None else tuple(temperature)
    try:
        low, high = (float(kelvin) for kelvin in pair if not isinstance(kelvin, (str, bool)))
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not 0 < low <= high < np.inf:
        raise ValueError(f"temperature is {temperature!r}: a positive number of K, or a pair (low, high), is expected")
    return rng.uniform(low, high, n)


def _n_rigid(atoms):
    """How many of the 3N modes are translations and rotations."""
    if len(atoms) == 1:
        return 3
    inertia = np.linalg.svd(atoms.positions - atoms.get_center_of_mass(), compute_uv=False)  # (≤3,)
    return 5 if inertia[1] < 1e-2 else 6
