"""Moving atoms to get structures worth labelling.

Where frames come from decides what a potential can learn.  Here: random pushes (crude), normal modes (instant,
harmonic) and Langevin MD (slower, anharmonic, visits other conformers), the last two under any ASE calculator.
`tpainn_lite.structures.assembly` puts molecules together, `tpainn_lite.structures.select` chooses among frames, `tpainn_lite.teachers.label` asks
a calculator for energies and forces.
"""

import sys
from collections.abc import Iterable

import numpy as np
from ase import units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta

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
from tpainn_lite.teachers.rdkit import best_typed

SOFT_MODE = 200 * units.invcm  # modes softer than this are sampled as if they were this stiff
FRICTION = {"friction": 0.02 / units.fs, "fixcm": False}


def normal_modes(atoms, calculator, step=0.005):
    """Vibrations around a minimum, by finite differences of the forces.

    Parameters
    ----------
    atoms : ase.Atoms
        N atoms at a minimum of ``calculator``.
    step : float
        Displacement in Å.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Energies ħω (K,) in eV, and Cartesian displacements per unit of mass-weighted coordinate,
        (K, N, 3) in amu^-1/2; the K = 3N − 6 (3N − 5 if linear, 0 for one atom) vibrations only.  Constraints of the
        atoms count for nothing.
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


def normal_mode_frames(atoms, calculator, temperature, n_frames, seed=0):
    """Displace a relaxed molecule along its normal modes, as classical heat would.

    Each mode gets a Gaussian amplitude of variance kT/ω² (a harmonic oscillator at ``temperature``).  Modes
    softer than 200 cm⁻¹ are sampled as if they were that stiff: far along a torsion the harmonic picture is wrong.

    Parameters
    ----------
    temperature : float or (low, high)
        K; a pair draws one temperature per frame, uniformly.

    Returns
    -------
    list of ase.Atoms
        ``info["config_type"]`` is ``"normal_modes"``, ``info["temperature"]`` in K.
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


def thermal_frames(atoms, calculator, temperature, n_frames, seed=0, spacing=50.0, timestep=0.5, warm_up=200.0):
    """Snapshots of Langevin MD, ``spacing`` fs apart, after ``warm_up`` fs.

    Parameters
    ----------
    temperature : float or (low, high)
        K; a pair heats the run in steps, one per frame, from low to high.
    spacing, timestep, warm_up : float
        fs; whole steps fill ``spacing``.

    Returns
    -------
    list of ase.Atoms
        ``info["config_type"]`` is ``"thermal"``, ``info["temperature"]`` in K.
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
    dynamics = Langevin(work, timestep * units.fs, temperature_K=temperatures[0], **FRICTION, rng=rng)
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


def shaken_molecules(smiles, n_frames=10, temperature=(300, 1000), seed=0):
    """Normal-mode frames of one molecule after the other, under MMFF94 (UFF where that has no parameters).

    Parameters
    ----------
    smiles : iterable of str
        What cannot be built is named on stderr and left out.
    n_frames : int
        Of each molecule.
    temperature : float or (low, high)
        K.

    Returns
    -------
    iterator of ase.Atoms
        ``info["id"]`` is ``"<SMILES>/<number>"``.

    >>> [atoms.info["id"] for atoms in shaken_molecules(["CO", "N"], n_frames=2)]
    ['CO/0', 'CO/1', 'N/0', 'N/1']
    """
    if isinstance(smiles, str) or not isinstance(smiles, Iterable):
        raise TypeError(f"smiles is {smiles!r}; a list of SMILES is expected: ['CCO']")
    check_counts(n_frames=n_frames)
    check_counts(least=0, seed=seed)
    _temperatures(temperature, 1, generator(seed))
    return _shaken_molecules(smiles, n_frames, temperature, seed)


def _shaken_molecules(smiles, n_frames, temperature, seed):
    for k, name in enumerate(smiles):
        try:
            minimum = molecule(name, seed + k)
            frames = normal_mode_frames(minimum, best_typed(minimum), temperature, n_frames, seed + k)
        except ForceFieldError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        for i, frame in enumerate(frames):
            frame.info["id"] = f"{name}/{i}"
            yield frame


def rattled_frames(atoms, amplitude, n_frames, seed=0):
    """Every atom pushed at random, independently: the crudest way, and the one that needs no calculator.

    Parameters
    ----------
    amplitude : float
        Å, standard deviation of each coordinate.

    Returns
    -------
    list of ase.Atoms
        ``info["config_type"]`` is ``"rattled"``.
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
