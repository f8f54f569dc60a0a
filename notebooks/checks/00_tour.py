"""Checks of 00_tour."""

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, close, exercise, one_number


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
    close(number, right, 5e-3, "your factor")


@exercise("00.3")
def force_from_two_energies(force_x, start, model):
    atoms = start.copy()
    atoms.calc = tp.PotentialCalculator(model)
    right = atoms.get_forces()[0, 0]
    number = one_number(force_x, "your force")
    if abs(number + right) < 0.05 < abs(right):
        raise Wrong("the sign is the other one: a force is minus the gradient of the energy, it points downhill")
    if abs(number - 2 * right) < 0.05:
        raise Wrong(
            "twice too large: take a place on either side of the atom, and divide by the distance between the two"
        )
    if abs(number - 0.02 * right) < 1e-3 < abs(right):
        raise Wrong("this is a difference of energies, in eV; divide it by the distance between the two places")
    close(number, right, 0.05, "your force")
