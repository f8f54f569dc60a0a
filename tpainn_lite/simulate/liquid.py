"""What makes a liquid a liquid: forces inside and between its molecules, and how its atoms swing.

The force on a water molecule's atoms is dominated by its stiff bonds.  A total error hides whether a potential gets
right what pushes and turns whole molecules, which is all that flows.
"""

import numpy as np
from ase import Atoms

from tpainn_lite.structures.arguments import check_counts, check_numbers
from tpainn_lite.structures.checks import check_labels, label_of


def molecules_of(n_atoms, size=3):
    """Indices (M, size) of the atoms of each molecule, where they lie one after the other (OHH OHH …)."""
    check_counts(n_atoms=n_atoms, size=size)
    if n_atoms % size:
        raise ValueError(f"{n_atoms} atoms are not molecules of {size} each")
    return np.arange(n_atoms).reshape(-1, size)


def split_forces(atoms, forces, size=3):
    """Forces as what pushes, what turns and what deforms each molecule.

    With masses m_i, positions x_i from the centre of mass, M = Σ m_i and the tensor of inertia I,

        push_i = (m_i / M) Σ_j F_j,    turn_i = m_i α × x_i with α = I⁻¹ Σ_j x_j × F_j,    deform_i = the rest:

    the accelerations of a rigid body, and what bends it.

    Parameters
    ----------
    atoms : ase.Atoms
        N atoms, molecule after molecule; they may be wrapped into a periodic box.
    forces : array (N, 3)
        eV/Å.
    size : int
        Atoms in a molecule.

    Returns
    -------
    dict {str: numpy.ndarray (N, 3)}
        ``push``, ``turn``, ``deform``; their sum is ``forces``.
    """
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms is a {type(atoms).__name__}; an ase.Atoms is expected")
    index, forces = molecules_of(len(atoms), size), _vectors(forces, "forces", 2)
    if forces.shape != (len(atoms), 3):
        raise ValueError(f"forces have shape {forces.shape}; ({len(atoms)}, 3) is expected")
    mass, force = atoms.get_masses()[index][..., None], forces[index]  # (M, size, 1), (M, size, 3)
    arms = _whole(atoms, index)
    arms = arms - (mass * arms).sum(axis=1, keepdims=True) / mass.sum(axis=1, keepdims=True)  # (M, size, 3)
    push = mass / mass.sum(axis=1, keepdims=True) * force.sum(axis=1, keepdims=True)
    square = (arms**2).sum(axis=2)[..., None, None] * np.eye(3) - arms[..., :, None] * arms[..., None, :]
    inertia = (mass[..., None] * square).sum(axis=1)  # (M, 3, 3) amu Å²
    torque = np.cross(arms, force).sum(axis=1)  # (M, 3) eV
    turning = np.einsum("mxy,my->mx", np.linalg.pinv(inertia, rcond=1e-8, hermitian=True), torque)
    turn = mass * np.cross(turning[:, None, :], arms)
    parts = {"push": push, "turn": turn, "deform": force - push - turn}
    return {name: part.reshape(-1, 3) for name, part in parts.items()}


def split_force_errors(predicted, frames, size=3):
    """Mean absolute errors of the forces inside and between molecules.

    Parameters
    ----------
    predicted : list of array (N, 3)
        eV/Å.
    frames : list of ase.Atoms
        With reference forces.

    Returns
    -------
    dict
        ``push_mae``, ``turn_mae``, ``deform_mae`` and ``between_mae`` (push and turn together), in meV/Å.
    """
    check_labels(frames, need=("forces",))
    if not hasattr(predicted, "__len__") or len(predicted) != len(frames):
        raise ValueError(f"predicted is {type(predicted).__name__}; an array of forces for each frame is expected")
    sums = {"push": [], "turn": [], "deform": [], "between": []}
    for forces, atoms in zip(predicted, frames, strict=True):
        label, forces = label_of(atoms, "forces"), _vectors(forces, "predicted", 2)
        if forces.shape != label.shape:
            raise ValueError(f"predicted forces have shape {forces.shape}; {label.shape} is expected")
        parts = split_forces(atoms, forces - label, size)
        parts["between"] = parts["push"] + parts["turn"]
        for name, part in parts.items():
            sums[name].append(np.abs(part).ravel())
    return {f"{name}_mae": 1e3 * float(np.concatenate(values).mean()) for name, values in sums.items()}


def velocity_autocorrelation(velocities, n_lags=None):
    """⟨v(0) · v(t)⟩ / ⟨v²⟩ over all atoms and starting times.

    Parameters
    ----------
    velocities : array (T, N, 3)
        Frames evenly spaced in time.
    n_lags : int, optional
        Half of the frames unless given.

    Returns
    -------
    numpy.ndarray (n_lags,)
        1 at the start.
    """
    velocities = _vectors(velocities, "velocities", 3)
    n_frames = len(velocities)
    n_lags = n_frames // 2 if n_lags is None else n_lags
    check_counts(least=0, n_lags=n_lags)
    if not 1 <= n_lags <= n_frames:
        raise ValueError(f"{n_lags} lags of {n_frames} frames; 1 to {n_frames} are possible")
    spectrum = np.fft.rfft(velocities, n=2 * n_frames, axis=0)  # padded, so that the end does not meet the start
    products = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:n_lags].sum(axis=(1, 2))
    correlation = products / (n_frames - np.arange(n_lags))
    if not correlation[0] > 0:
        raise ValueError("velocities are zero, all of them; atoms that move are expected")
    return correlation / correlation[0]


def vibrational_spectrum(velocities, spacing, masses=None, n_lags=None):
    """Which frequencies the atoms swing at: the Fourier transform of their velocity autocorrelation.

    Parameters
    ----------
    velocities : array (T, N, 3)
    spacing : float
        fs between two frames; 4 or less to see O-H stretching.
    masses : array (N,), optional
        Weights of the atoms; with their masses each normal mode counts alike.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Wave numbers in cm⁻¹, and the density, normalised to an area of 1.
    """
    check_numbers(above=0, spacing=spacing)
    velocities = _vectors(velocities, "velocities", 3)
    masses = np.ones(velocities.shape[1]) if masses is None else _vectors(masses, "masses", 1)
    if masses.shape != velocities.shape[1:2] or not (masses > 0).all():
        raise ValueError(f"masses have shape {masses.shape}; one above 0 for each of {velocities.shape[1]} is expected")
    correlation = velocity_autocorrelation(velocities * np.sqrt(masses)[:, None], n_lags)
    if len(correlation) < 2:
        raise ValueError("1 lag has no frequencies; 2 or more are expected")
    window = np.hanning(2 * len(correlation))[len(correlation) :]  # falls to zero at the last lag
    density = np.fft.rfft(correlation * window, n=8 * len(correlation)).real
    light = 2.99792458e-5  # cm per fs
    wave_numbers = np.fft.rfftfreq(8 * len(correlation), spacing) / light
    return wave_numbers, density / np.trapezoid(density, wave_numbers)


def _vectors(values, name, n_axes):
    """An array (..., 3), or (N,), of finite numbers with so many axes."""
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is a {type(values).__name__} that is no array of numbers; one is expected") from None
    shape = ("(N,)", "(N, 3)", "(T, N, 3)")[n_axes - 1]
    if array.ndim != n_axes or (n_axes > 1 and array.shape[-1] != 3) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; {shape} is expected")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite; finite ones are expected")
    return array


def _whole(atoms, index):
    """Positions (M, size, 3) of each molecule, unwrapped around its first atom."""
    first = index[:, :1]
    arms = atoms.positions[index] - atoms.positions[first]  # (M, size, 3)
    if atoms.pbc.any():
        from ase.geometry import find_mic

        arms = find_mic(arms.reshape(-1, 3), atoms.cell, atoms.pbc)[0].reshape(arms.shape)
    return arms
