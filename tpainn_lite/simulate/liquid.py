"""Forces inside and between the molecules of a liquid.

The force on a water molecule's atoms is dominated by its stiff bonds.  A total error hides whether a potential gets
right what pushes and turns whole molecules, which is all that flows.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from tpainn_lite.structures.arguments import check_counts, finite_numbers
from tpainn_lite.structures.checks import check_labels, label_of
from tpainn_lite.structures.geometry import to_nearest_image


def molecules_of(n_atoms: int, size: int = 3) -> NDArray[np.int_]:
    """Indices (M, size) of the atoms of each molecule, where they lie one after the other (OHH OHH …)."""
    check_counts(n_atoms=n_atoms, size=size)
    if n_atoms % size:
        raise ValueError(f"{n_atoms} atoms are not molecules of {size} each")
    return np.arange(n_atoms).reshape(-1, size)


def split_forces(atoms: Atoms, forces: ArrayLike, size: int = 3) -> dict[str, NDArray[np.float64]]:
    """Forces as what pushes, what turns and what deforms each molecule.

    With masses m_i, positions x_i from the centre of mass, M = Σ m_i and the tensor of inertia I,

        push_i = (m_i / M) Σ_j F_j,    turn_i = m_i α × x_i with α = I⁻¹ Σ_j x_j × F_j,    deform_i = the rest:

    the accelerations of a rigid body, and what bends it.

    Parameters
    ----------
    atoms
        N atoms, molecule after molecule; they may be wrapped into a periodic box.
    forces
        (N, 3) eV/Å.
    size
        Atoms in a molecule.

    Returns
    -------
    dict
        ``push``, ``turn``, ``deform``, each (N, 3); their sum is ``forces``.

    Raises
    ------
    ValueError, TypeError
        The atoms are not whole molecules, or the forces are not finite numbers, three for each atom.

    >>> water = Atoms("OHH", [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> parts = split_forces(water, water.get_masses()[:, None] * [0, 0, 0.1])
    >>> {name: bool(abs(part).max() > 1e-9) for name, part in parts.items()}
    {'push': True, 'turn': False, 'deform': False}
    """
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms is a {type(atoms).__name__}; an ase.Atoms is expected")
    index, forces = molecules_of(len(atoms), size), finite_numbers(forces, "forces", (len(atoms), 3))
    mass, force = atoms.get_masses()[index][..., None], forces[index]  # (M, size, 1), (M, size, 3)
    arms = atoms.positions[index] - atoms.positions[index[:, :1]]  # (M, size, 3)
    arms = to_nearest_image(arms.reshape(-1, 3), atoms).reshape(arms.shape)
    arms = arms - (mass * arms).sum(axis=1, keepdims=True) / mass.sum(axis=1, keepdims=True)  # (M, size, 3)
    push = mass / mass.sum(axis=1, keepdims=True) * force.sum(axis=1, keepdims=True)
    square = (arms**2).sum(axis=2)[..., None, None] * np.eye(3) - arms[..., :, None] * arms[..., None, :]
    inertia = (mass[..., None] * square).sum(axis=1)  # (M, 3, 3) amu Å²
    torque = np.cross(arms, force).sum(axis=1)  # (M, 3) eV
    turning = np.einsum("mxy,my->mx", np.linalg.pinv(inertia, rcond=1e-8, hermitian=True), torque)
    turn = mass * np.cross(turning[:, None, :], arms)
    parts = {"push": push, "turn": turn, "deform": force - push - turn}
    return {name: part.reshape(-1, 3) for name, part in parts.items()}


def split_force_errors(predicted: Sequence[ArrayLike], frames: Sequence[Atoms], size: int = 3) -> dict[str, float]:
    """Mean absolute errors of the forces inside and between molecules.

    Parameters
    ----------
    predicted
        (N, 3) eV/Å for each frame.
    frames
        With reference forces.

    Returns
    -------
    dict
        ``push_mae``, ``turn_mae``, ``deform_mae`` and ``between_mae`` (push and turn together), in meV/Å.

    Raises
    ------
    DatasetError, ValueError
        A frame has no forces, or other atoms than those that were predicted.

    >>> from ase.calculators.singlepoint import SinglePointCalculator
    >>> water = Atoms("OHH", [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> water.calc = SinglePointCalculator(water, forces=np.zeros((3, 3)))
    >>> errors = split_force_errors([[[0.3, 0, 0], [0, 0, 0], [0, 0, 0]]], [water])
    >>> round(errors["push_mae"], 1), round(errors["deform_mae"], 1)
    (33.3, 7.6)
    """
    check_labels(frames, need=("forces",))
    if not hasattr(predicted, "__len__") or len(predicted) != len(frames):
        raise ValueError(f"predicted is {type(predicted).__name__}; an array of forces for each frame is expected")
    errors: dict[str, list] = {"push": [], "turn": [], "deform": [], "between": []}
    for forces, atoms in zip(predicted, frames, strict=True):
        error = finite_numbers(forces, "predicted", (len(atoms), 3)) - label_of(atoms, "forces")
        parts = split_forces(atoms, error, size)
        parts["between"] = parts["push"] + parts["turn"]
        for name, part in parts.items():
            errors[name].append(np.abs(part).ravel())
    return {f"{name}_mae": 1e3 * float(np.concatenate(values).mean()) for name, values in errors.items()}
