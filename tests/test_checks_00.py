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
    ("answer", "words"), [(280 / 400, "other way round"), (850 / 570, "from scratch"), (2.0, "too large")]
)
def test_other_factors_are_wrong(answer, words):
    assert words in verdict(CHECKS["00.2"], answer, mean=mean)


def test_a_force_is_minus_the_gradient_of_the_energy():
    start, model = tp.molecule("CO", seed=1), lively_potential()
    start.calc = tp.PotentialCalculator(model)
    start.positions[0, 0] += 0.1
    right, check = start.get_forces()[0, 0], CHECKS["00.3"]
    given = {"start": start, "model": model}
    assert abs(right) > 0.1
    for answer in (right, torch.tensor(right), np.array([right])):
        assert verdict(check, answer, **given) is None
    wrong = {-right: "sign", 2 * right: "twice too large", 0.02 * right: "difference of energies", right + 1: "too"}
    for answer, words in wrong.items():
        assert words in verdict(check, answer, **given)
