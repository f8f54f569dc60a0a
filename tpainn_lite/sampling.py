"""Structures worth labelling.

Where frames come from decides what a potential can learn.  Here: normal modes (instant, harmonic) and
Langevin MD (slower, anharmonic, visits other conformers), both under any ASE calculator; boxes of water; and
`distinct`, which drops copies.  `tpainn_lite.labels` then asks a calculator for energies and forces.
"""

import itertools

import numpy as np
from ase import Atoms, units
from ase.build import molecule as ase_molecule
from ase.data import atomic_masses
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

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
        (K, N, 3) in amu^-1/2; the K = 3N − 6 (3N − 5 if linear, 0 for one atom) vibrations only.
    """
    reference, n = atoms.positions.copy(), 3 * len(atoms)
    work = atoms.copy()
    work.calc = calculator
    hessian = np.zeros((n, n))  # (3N, 3N) eV/Å²
    for k in range(n):
        for sign in (+1, -1):
            work.positions = reference
            work.positions.reshape(-1)[k] += sign * step
            hessian[k] -= sign * work.get_forces().ravel() / (2 * step)
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
    rng = np.random.default_rng(seed)
    energy, modes = normal_modes(atoms, calculator)
    omega = np.maximum(energy, SOFT_MODE) / (units._hbar * units._e**0.5) * units._e * units._amu**0.5 / 1e10
    temperatures = _temperatures(temperature, n_frames, rng)  # (n_frames,)
    frames = []
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
        fs.

    Returns
    -------
    list of ase.Atoms
        ``info["config_type"]`` is ``"thermal"``, ``info["temperature"]`` in K.
    """
    rng = np.random.default_rng(seed)
    temperatures = np.sort(_temperatures(temperature, n_frames, rng))
    work = atoms.copy()
    work.calc = calculator
    thermalize_momenta(work, temperatures[0], rng=rng)
    dynamics = Langevin(work, timestep * units.fs, temperature_K=temperatures[0], **FRICTION, rng=rng)
    dynamics.run(int(warm_up / timestep))
    frames = []
    for kelvin in temperatures:
        dynamics.set_temperature(temperature_K=kelvin)
        dynamics.run(int(spacing / timestep))
        frame = atoms.copy()
        frame.positions = work.positions if work.pbc.any() else work.positions - work.get_center_of_mass()
        frame.info.update(config_type="thermal", temperature=float(kelvin))
        frames.append(frame)
    return frames


def distinct(frames, tolerance=0.02):
    """Drop frames that repeat an earlier one: same atoms, and all distances between them the same.

    Turned, shifted, mirrored and renumbered copies are found too, because sorted distances do not see the difference.

    Parameters
    ----------
    frames : list of ase.Atoms
        Molecules, or boxes (nearest images).
    tolerance : float
        Å; copies differ by less in every one of the sorted distances.

    Returns
    -------
    list of ase.Atoms
        The frames that stay, in the same order.

    >>> from tpainn_lite import molecule
    >>> len(distinct([molecule("CCO"), molecule("CCO"), molecule("CO")]))
    2
    """
    alike, repeated = {}, set()
    for k, atoms in enumerate(frames):
        alike.setdefault((tuple(sorted(atoms.numbers)), bool(atoms.pbc.any())), []).append(k)
    for members in alike.values():
        distances = np.array([[0.0, *_sorted_distances(frames[k])] for k in members])  # (members, 1 + pairs) Å
        for a, b in sorted(cKDTree(distances).query_pairs(tolerance, p=np.inf)):
            if members[a] not in repeated:
                repeated.add(members[b])
    return [atoms for k, atoms in enumerate(frames) if k not in repeated]


def _sorted_distances(atoms):
    """(N (N − 1)/2,) Å, sorted within each pair of elements."""
    i, j = np.triu_indices(len(atoms), 1)
    pair = np.sort(np.stack([atoms.numbers[i], atoms.numbers[j]]), axis=0)  # (2, pairs)
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))[i, j]
    return distances[np.lexsort((distances, pair[1], pair[0]))]


def water_box(n_molecules=32, density=1.0, seed=0):
    """A cubic box of water molecules on a lattice, turned at random: a start for MD, not yet a liquid.

    Parameters
    ----------
    density : float
        g/cm³.

    Returns
    -------
    ase.Atoms
        Periodic; atoms ordered O, H, H, as `tpainn_lite.classical_water` wants them.

    >>> len(water_box(32))
    96
    """
    if n_molecules < 1 or not density > 0:
        raise ValueError(f"{n_molecules} molecules at {density} g/cm³ were asked for; positive numbers are expected")
    mass = n_molecules * atomic_masses[[8, 1, 1]].sum()  # amu
    edge = (mass / (density * 1e-24 / (units._amu * 1e3))) ** (1 / 3)  # Å
    per_side = int(np.ceil(n_molecules ** (1 / 3) - 1e-9))
    sites = np.array(list(itertools.product(range(per_side), repeat=3)))[:n_molecules] * edge / per_side  # (M, 3)
    one = ase_molecule("H2O").positions  # (3, 3)
    turns = Rotation.random(n_molecules, np.random.default_rng(seed)).as_matrix()  # (M, 3, 3)
    positions = sites[:, None] + np.einsum("mxy,ay->max", turns, one - one[0])
    return Atoms("OHH" * n_molecules, positions.reshape(-1, 3), cell=[edge] * 3, pbc=True)


def _temperatures(temperature, n, rng):
    low, high = (temperature, temperature) if np.isscalar(temperature) else temperature
    if not 0 < low <= high:
        raise ValueError(f"temperature is {temperature!r}: a positive number of K, or a pair (low, high), is expected")
    return rng.uniform(low, high, n)


def _n_rigid(atoms):
    """How many of the 3N modes are translations and rotations."""
    if len(atoms) == 1:
        return 3
    inertia = np.linalg.svd(atoms.positions - atoms.get_center_of_mass(), compute_uv=False)  # (≤3,)
    return 5 if inertia[1] < 1e-2 else 6
