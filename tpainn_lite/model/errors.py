"""Numbers that judge a potential: arrays in, numbers out."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import ArrayLike

from tpainn_lite.structures.arguments import check_calculator, finite_numbers
from tpainn_lite.structures.checks import check_some_label, has_label, label_of
from tpainn_lite.structures.geometry import composition
from tpainn_lite.structures.isolated import without_isolated
from tpainn_lite.structures.protocols import Model


def energy_mae(predicted: ArrayLike, reference: ArrayLike, n_atoms: ArrayLike | None = None) -> float:
    """Mean absolute error of energies (n,) in eV: in meV or, with the numbers of atoms (n,), in meV/atom.

    >>> energy_mae([1.0, 2.0], [1.5, 2.5])
    500.0
    """
    error = np.abs(_difference(finite_numbers(predicted, "predicted"), finite_numbers(reference, "reference")))
    sizes = finite_numbers(1 if n_atoms is None else n_atoms, "n_atoms")
    if sizes.shape not in ((), error.shape) or (sizes < 1).any():
        raise ValueError(f"n_atoms has shape {sizes.shape}; a number of atoms, 1 or more, of each frame is expected")
    return float(1e3 * np.mean(error / sizes))


def force_mae(predicted: Any, reference: Any) -> float:
    """Mean absolute error over all force components, in meV/Å, of two lists of (N, 3) arrays in eV/Å.

    >>> force_mae([[[0.0, 0.0, 0.75]]], [[[0.0, 0.0, 0.0]]])
    250.0
    """
    return float(1e3 * np.mean(np.abs(_difference(_flat(predicted, "predicted"), _flat(reference, "reference")))))


def errors(potential: Model | Calculator | Any, frames: Sequence[Atoms]) -> dict[str, float]:
    """Errors of a potential (or of any ASE calculator) against the labels of these frames.

    The energies of a calculator are compared after the best constant shift per element has been taken out (a force
    field's zero is not DFT's), those of a `Potential` as they are.  Forces on fixed atoms count like all others;
    isolated atoms do not count, as their energies are references.

    Returns
    -------
    dict
        ``energy_mae`` in meV/atom, ``force_mae`` in meV/Å; each over the frames that have such a label, and only if
        there are some (QM9 has no forces).

    >>> from tpainn_lite import load_molecules, load_pretrained
    >>> list(errors(load_pretrained("gas"), load_molecules("valid")[:5]))
    ['energy_mae', 'force_mae']
    """
    check_some_label(frames, ("energy", "forces"))
    frames = without_isolated(frames)
    given, pushed = ([k for k, atoms in enumerate(frames) if has_label(atoms, key)] for key in ("energy", "forces"))
    reference = np.array([label_of(frames[k], "energy") for k in given])
    if hasattr(potential, "predict"):
        alone = not pushed and "forces" in inspect.signature(potential.predict).parameters
        energy, predicted = potential.predict(frames, **({"forces": False} if alone else {}))
        energy = np.asarray(energy)
    else:
        energy, predicted = _calculate(potential, frames, bool(pushed))
        counts = composition(frames)[1][given]
        energy[given] += counts @ np.linalg.lstsq(counts, reference - energy[given], rcond=1e-8)[0]
    result = {}
    if given:
        result["energy_mae"] = energy_mae(energy[given], reference, [len(frames[k]) for k in given])
    if predicted is not None and pushed:
        labels = [label_of(frames[k], "forces") for k in pushed]
        result["force_mae"] = force_mae([predicted[k] for k in pushed], labels)
    return result


def _calculate(calculator, frames, with_forces):
    check_calculator(calculator)
    copies = [atoms.copy() for atoms in frames]
    energy = np.array([calculator.get_potential_energy(atoms) for atoms in copies], dtype=float)
    return energy, [calculator.get_forces(atoms).copy() for atoms in copies] if with_forces else None


def _flat(arrays, name):
    """All numbers of a list of arrays, (n,)."""
    if isinstance(arrays, str) or not hasattr(arrays, "__len__"):
        raise ValueError(f"{name} is {arrays!r}; a list of arrays (N, 3) is expected")
    return np.concatenate([finite_numbers(array, name).ravel() for array in arrays]) if len(arrays) else np.zeros(0)


def _difference(predicted, reference):
    if predicted.shape != reference.shape or predicted.size == 0:
        raise ValueError(f"shapes {predicted.shape} and {reference.shape}: two equal, non-empty ones are expected")
    return predicted - reference
