"""Checks of 00_tour."""

import numpy as np

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, close, exercise, one_number

TOLERANCE = 0.05  # eV/Å, of a force
SAME = 0.01  # two numbers that agree to this share are the same number


@exercise("00.1")
def labels_in_an_hour(n_labels):
    number = one_number(n_labels, "your number of labels")
    if abs(number - 10) < 0.5:
        raise Wrong("ten labels take one minute; the budget is an hour")
    close(number, 3600 / 6, 0.5, "your number of labels")


@exercise("00.2")
def factor_between_ten_and_fifty(gain, mean):
    right = mean("T-PaiNN", 10) / mean("T-PaiNN", 50)
    number = one_number(gain, "your factor")
    if abs(number * right - 1) < 0.01:
        raise Wrong("this is the error with 50 labels divided by that with 10; the question asks the other way round")
    if abs(number - mean("from scratch", 10) / mean("from scratch", 50)) < 1e-3:
        raise Wrong("this is the factor of the network from scratch; T-PaiNN's is asked")
    if abs(number - (1 - 1 / right)) < 5e-3 or abs(number - 100 * (1 - 1 / right)) < 0.5:
        raise Wrong("this is the share by which the error falls; the old error over the new is asked")
    close(number, right, 5e-3, "your factor")


@exercise("00.3")
def force_from_two_energies(force_x, start, model):
    number = one_number(force_x, "your force")
    made = tp.molecule(start.info["smiles"], seed=1)  # as the notebook makes it: whoever pushes `start` itself moves it
    right, before = (from_two_energies(atoms, model) for atoms in (start, made))
    x, *others = with_model(start, model).get_forces()[0]
    if abs(number - x) < 1e-6 < abs(x - right):
        raise Wrong("this is what `get_forces` says; take the energies of two places, and compare the two afterwards")
    if min(abs(number - right), abs(number - before)) < TOLERANCE:
        return
    if not np.allclose(start.positions, made.positions, atol=1e-6):
        raise Wrong("`start` is not where it was: put its first atom back, or push a copy of it")
    mistakes = {
        "the sign is the other one: a force is minus the gradient of the energy, it points downhill": -right,
        "this is in meV/Å; eV/Å are expected": 1e3 * right,
        "twice too large: there is a place on either side; divide by the distance between the two": 2 * right,
        "this is a difference of energies, in eV; divide it by the distance between the two places": 0.02 * right,
        "this is the component along y; that along x is asked": others[0],
        "this is the component along z; that along x is asked": others[1],
    }
    for sentence, wrong in mistakes.items():
        if abs(number - wrong) < SAME * abs(wrong):
            raise Wrong(sentence)
    close(number, right, TOLERANCE, "your force")


def with_model(atoms, model):
    """A copy of atoms that feels the forces of a model."""
    copy = atoms.copy()
    copy.calc = tp.PotentialCalculator(model)
    return copy


def from_two_energies(atoms, model, push=0.01):
    """The force on the first atom along x, eV/Å."""
    energies = []
    for side in (-push, push):
        pushed = with_model(atoms, model)
        pushed.positions[0, 0] += side
        energies.append(pushed.get_potential_energy())
    return (energies[0] - energies[1]) / (2 * push)
