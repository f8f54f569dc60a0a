"""Numbers that judge a potential: arrays in, numbers out."""

import inspect

import numpy as np

from tpainn_lite.structures.arguments import check_calculator, finite_numbers
from tpainn_lite.structures.checks import check_labels, label_of
from tpainn_lite.structures.geometry import composition


def energy_mae(predicted, reference, n_atoms=None):
    """Mean absolute energy error.

    Parameters
    ----------
    predicted, reference : array (n,)
        eV.
    n_atoms : array (n,), optional
        Then the error is per atom.

    Returns
    -------
    float
        meV, or meV/atom.
    """
    error = np.abs(_pair(finite_numbers(predicted, "predicted"), finite_numbers(reference, "reference")))
    if n_atoms is None:
        return float(1e3 * np.mean(error))
    sizes = finite_numbers(n_atoms, "n_atoms")
    if sizes.shape not in ((), error.shape) or (sizes < 1).any():
        raise ValueError(f"n_atoms has shape {sizes.shape}; a number of atoms, 1 or more, of each frame is expected")
    return float(1e3 * np.mean(error / sizes))


def force_mae(predicted, reference):
    """Mean absolute error over all force components, in meV/Å, of two lists of (N, 3) arrays in eV/Å.

    >>> force_mae([[[0.0, 0.0, 0.75]]], [[[0.0, 0.0, 0.0]]])
    250.0
    """
    return float(1e3 * np.mean(np.abs(_pair(_flat(predicted, "predicted"), _flat(reference, "reference")))))


def errors(potential, frames):
    """Errors of a potential (or of any ASE calculator) against the labels of these frames.

    Energies are compared after the best constant shift per element has been taken out for a calculator (a force
    field's zero is not DFT's); a `Potential` is taken at its word.  Forces on fixed atoms count like all others.

    Returns
    -------
    dict
        ``energy_mae`` in meV/atom, ``force_mae`` in meV/Å (if all frames have forces; QM9 has none).
    """
    check_labels(frames, need=("energy",))
    with_forces = all("forces" in atoms.calc.results for atoms in frames)
    reference = np.array([label_of(atoms, "energy") for atoms in frames])
    sizes = np.array([len(atoms) for atoms in frames])
    if hasattr(potential, "predict"):
        energy, predicted = _predicted(potential, frames, with_forces)
    else:
        energy, predicted = _calculate(potential, frames, with_forces)
        energy = energy + _composition_fit(frames, reference - energy)
    found = {"energy_mae": energy_mae(energy, reference, sizes)}
    if with_forces:
        found["force_mae"] = force_mae(predicted, [label_of(atoms, "forces") for atoms in frames])
    return found


def _predicted(potential, frames, with_forces):
    """What a potential says of the frames; energies alone, where it can tell them alone."""
    if not with_forces and "forces" in inspect.signature(potential.predict).parameters:
        return potential.predict(frames, forces=False)
    return potential.predict(frames)


def _calculate(calculator, frames, with_forces):
    check_calculator(calculator)
    copies = [atoms.copy() for atoms in frames]
    energy = np.array([calculator.get_potential_energy(atoms) for atoms in copies])
    return energy, [calculator.get_forces(atoms).copy() for atoms in copies] if with_forces else None


def _composition_fit(frames, residual):
    _, counts = composition(frames)
    return counts @ np.linalg.lstsq(counts, residual, rcond=1e-8)[0]


def _flat(arrays, name):
    """All numbers of a list of arrays, (n,)."""
    if isinstance(arrays, str) or not hasattr(arrays, "__len__"):
        raise ValueError(f"{name} is {arrays!r}; a list of arrays (N, 3) is expected")
    return np.concatenate([finite_numbers(array, name).ravel() for array in arrays]) if len(arrays) else np.zeros(0)


def _pair(predicted, reference):
    if predicted.shape != reference.shape or predicted.size == 0:
        raise ValueError(f"shapes {predicted.shape} and {reference.shape}: two equal, non-empty ones are expected")
    return predicted - reference
