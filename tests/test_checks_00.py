"""The checks of notebook 00: right answers in any form are accepted, plausible wrong ones get a fitting sentence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import lively_potential

import tpainn_lite as tp
from tpainn_lite.course.checks import checks_of, verdict

CHECKS = checks_of("00", Path(__file__).parents[1] / "notebooks" / "checks")
ERRORS = {("T-PaiNN", 10): 400.0, ("T-PaiNN", 50): 280.0, ("from scratch", 10): 850.0, ("from scratch", 50): 570.0}


def mean(method, n):
    return ERRORS[method, n]


@pytest.mark.parametrize("answer", [600, 600.0, np.int64(600), torch.tensor(600)])
def test_six_hundred_labels_fit_into_an_hour(answer):
    assert verdict(CHECKS["00.1"], answer) is None


@pytest.mark.parametrize(
    ("answer", "words"), [(10, "one minute"), (3600, "too large"), (0.1, "too small"), ("many", "number is expected")]
)
def test_other_numbers_of_labels_are_wrong(answer, words):
    assert words in verdict(CHECKS["00.1"], answer)


@pytest.mark.parametrize("answer", [400 / 280, np.float32(400 / 280)])
def test_the_factor_between_ten_and_fifty_labels(answer):
    assert verdict(CHECKS["00.2"], answer, mean=mean) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (280 / 400, "other way round"),
        (850 / 570, "from scratch"),
        (2.0, "too large"),
        (0.3, "the share"),
        (30, "the share"),
    ],
)
def test_other_factors_are_wrong(answer, words):
    assert words in verdict(CHECKS["00.2"], answer, mean=mean)


# --- a force from two energies ---


@pytest.fixture
def given():
    """A molecule at rest on the places where it was made, and a model that pulls at it."""
    start, model = tp.molecule("CO", seed=1), lively_potential()
    start.calc = tp.PotentialCalculator(model)
    return {"start": start, "model": model}


def from_two_places(start, push=0.01):
    """Pushes the molecule itself, and puts it back."""
    energies = []
    for move in (push, -2 * push):
        start.positions[0, 0] += move
        energies.append(start.get_potential_energy())
    start.positions[0, 0] += push
    return (energies[1] - energies[0]) / (2 * push)


def test_a_force_is_minus_the_gradient_of_the_energy(given):
    right, check = from_two_places(given["start"]), CHECKS["00.3"]
    others = given["start"].get_forces()[0, 1:]
    assert abs(right) > 0.1
    for answer in (right, torch.tensor(right), np.array([right]), from_two_places(given["start"], 0.003)):
        assert verdict(check, answer, **given) is None
    wrong = {
        -right: "sign", 2 * right: "twice too large", 0.02 * right: "difference of energies", 1e3 * right: "in meV/Å",
        right + 1: "too large", others[0]: "along y", others[1]: "along z",
    }  # fmt: skip
    for answer, words in wrong.items():
        assert words in verdict(check, answer, **given)


def test_the_force_of_the_library_is_no_answer(given):
    assert "`get_forces`" in verdict(CHECKS["00.3"], given["start"].get_forces()[0, 0], **given)


def test_the_right_force_is_right_although_the_molecule_was_left_elsewhere(given):
    right, check = from_two_places(given["start"]), CHECKS["00.3"]
    given["start"].positions[0, 0] -= 0.3
    assert verdict(check, right, **given) is None
    assert "`start` is not where it was" in verdict(check, right + 5, **given)
