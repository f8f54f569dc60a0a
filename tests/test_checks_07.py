"""The checks of notebook 07: right answers in any form are accepted, plausible wrong ones get a fitting sentence."""

import statistics
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import lively_potential

import tpainn_lite as tp
from tpainn_lite.course.checks import checks_of, verdict

CHECKS = checks_of("07", Path(__file__).parents[1] / "notebooks" / "checks")
DOUBT = np.array([0.2, 0.9, 0.1, 0.5])


@pytest.mark.parametrize("answer", [1, np.int64(1), DOUBT.argmax()])
def test_the_most_doubted_structure(answer):
    assert verdict(CHECKS["07.1"], answer, doubt=DOUBT) is None


@pytest.mark.parametrize(
    ("answer", "words"), [(2, "doubts least"), (0.9, "not the doubt itself"), (3, "1 structures"), ([1, 3], "one")]
)
def test_other_structures_are_wrong(answer, words):
    assert words in verdict(CHECKS["07.1"], answer, doubt=DOUBT)


LENGTH = 1.2 * np.linspace(0.85, 1.9, 40)
PARTED = 0.1 + 2.0 * (LENGTH / 1.2 - 1) ** 2


@pytest.mark.parametrize("answer", [1.2 * (1 + np.sqrt(0.1)), 1.6])
def test_where_the_domain_ends(answer):
    assert verdict(CHECKS["07.2"], answer, length=LENGTH, parted=PARTED, domain=SimpleNamespace(limit=0.3)) is None


@pytest.mark.parametrize(("answer", "words"), [(1.1, "shorter than at rest"), (2.0, "too large"), (1.3, "too small")])
def test_where_it_does_not_end(answer, words):
    assert words in verdict(CHECKS["07.2"], answer, length=LENGTH, parted=PARTED, domain=SimpleNamespace(limit=0.3))


def test_how_long_a_run_lasts_is_measured_again():
    committee = tp.Committee([lively_potential(seed=k) for k in range(2)])
    given = {"relaxed": tp.molecule("CO"), "after": committee, "settings": {"n_steps": 10, "progress": False}}
    for answer in (5.0, np.float32(5)):
        assert verdict(CHECKS["07.3"], answer, **given) is None
    for answer, words in (
        (10, "number of steps"),
        (2.0, "too small"),
        (300, "too large"),
        (5000, "in femtoseconds already"),
    ):
        assert words in verdict(CHECKS["07.3"], answer, **given)


def test_the_run_at_1000_kelvin_is_made_once_for_all_answers(monkeypatch):
    runs, run_md = [], tp.run_md
    monkeypatch.setattr(tp, "run_md", lambda *given, **settings: runs.append(1) or run_md(*given, **settings))
    committee, settings = tp.Committee([lively_potential(seed=k) for k in range(2)]), {"n_steps": 10, "progress": False}
    given = {"relaxed": tp.molecule("CO"), "after": committee, "settings": settings}
    assert "too small" in verdict(CHECKS["07.3"], 2.0, **given)
    assert verdict(CHECKS["07.3"], 5.0, **given) is None and len(runs) == 1
    longer = {**given, "settings": {**settings, "n_steps": 20}}
    assert verdict(CHECKS["07.3"], 10.0, **longer) is None and len(runs) == 2


def test_a_molecule_of_ones_own():
    frames = [tp.molecule("CO"), tp.molecule("CCO")]
    committee = tp.Committee([lively_potential(seed=k) for k in range(2)])
    given = {"domain": tp.Domain(committee, frames), "structures": [tp.molecule("C=O")]}
    for answer in (frames, iter(frames)):
        assert verdict(CHECKS["07.4"], answer, **given) is None
    for no_structures in ("CO", ["CO"], tp.molecule("CO").symbols):
        assert "structures are expected" in verdict(CHECKS["07.4"], no_structures, **given)
    assert verdict(CHECKS["07.4"], frames[0], **given) is None
    wrong = {"empty": [], "again": [tp.molecule("C=O")], "element N is in none": [tp.molecule("CN")]}
    for words, answer in wrong.items():
        assert words in verdict(CHECKS["07.4"], answer, **given)


def by_sorting(disagreement, error, wanted):
    ratios = sorted(error / disagreement)
    rank = int(np.ceil(wanted * (len(ratios) + 1)))
    return ratios[rank - 1] if rank <= len(ratios) else np.inf


def by_quantile(disagreement, error, wanted):
    n = len(error)
    share = (np.ceil(wanted * (n + 1)) - 0.5) / n  # in the middle of a step of the distribution
    return float("inf") if share > 1 else np.quantile(error / disagreement, share, method="inverted_cdf")


def with_infinity(disagreement, error, wanted):
    """The new error may be anything: put it at the end, and take the rank among all n + 1."""
    ratios = np.sort(np.append(np.asarray(error) / disagreement, np.inf))
    return ratios[next(k for k in range(len(ratios)) if (k + 1) >= wanted * len(ratios))]


@pytest.mark.parametrize("answer", [by_sorting, by_quantile, with_infinity])
def test_a_calibrated_factor(answer):
    assert verdict(CHECKS["07.5"], answer) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda d, e, wanted: 1.0, "of new errors lie below your bound"),
        (lambda d, e, wanted: np.mean(e / d), "of new errors lie below your bound"),
        (lambda d, e, wanted: np.quantile(e, wanted), "of new errors lie below your bound"),
        (lambda d, e, wanted: np.max(e / d), "of new errors lie below your bound"),
        (lambda d, e, wanted: e / d, "one finite number is expected"),
        (lambda d, e, wanted: np.sort(e / d)[int(np.ceil(len(d) * wanted)) - 1], "count the new error, too"),
        (lambda d, e, wanted: np.sort(e / d)[min(int((len(d) + 1) * wanted), len(d)) - 1], "round the rank up"),
        (lambda d, e, wanted: np.quantile(e / d, wanted, method="higher"), "round the rank up"),
        (lambda d, e, wanted: np.quantile(e / d, min(1, wanted * (len(d) + 1) / len(d))), "none of the 9 ratios"),
        (lambda d, e, wanted: by_sorting(d, e, min(wanted, len(d) / (len(d) + 1))), "no factor is enough"),
    ],
)
def test_factors_that_cover_too_little_or_too_much(answer, words):
    assert words in verdict(CHECKS["07.5"], answer)


def with_numpy(first, second):
    difference = np.mean(first) - np.mean(second)
    error = np.sqrt(np.var(first, ddof=1) / len(first) + np.var(second, ddof=1) / len(second))
    return difference, error, abs(difference) > 2 * error


def with_statistics(first, second):
    one, other = (statistics.variance(map(float, values)) / len(values) for values in (first, second))
    difference = statistics.fmean(first) - statistics.fmean(second)
    return difference, (one + other) ** 0.5, abs(difference) / (one + other) ** 0.5 > 2


def beyond(first, second, times):
    difference, error, _ = with_numpy(first, second)
    return abs(difference) > times * error


def with_pooled_variances(first, second):
    n, m = len(first), len(second)
    pooled = ((n - 1) * first.var(ddof=1) + (m - 1) * second.var(ddof=1)) / (n + m - 2)
    difference, error = first.mean() - second.mean(), np.sqrt(pooled / n + pooled / m)
    return difference, error, abs(difference) > 2 * error


@pytest.mark.parametrize("answer", [with_numpy, with_statistics])
def test_a_comparison_with_its_error(answer):
    assert verdict(CHECKS["07.6"], answer) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda a, b: (np.mean(b) - np.mean(a), 7.0, False), "the sign of your difference is turned round"),
        (lambda a, b: (np.mean(a) + np.mean(b), 7.0, False), "the difference of the two means"),
        (with_pooled_variances, "you pool the two variances"),
        (lambda a, b: (a.mean() - b.mean(), np.sqrt(a.var() / 5 + b.var() / 5), False), "divides by n − 1"),
        (lambda a, b: (a.mean() - b.mean(), np.sqrt(a.var(ddof=1) + b.var(ddof=1)), False), "√n times less"),
        (lambda a, b: (*with_numpy(a, b)[:2], True), "within two standard errors"),
        (lambda a, b: (*with_numpy(a, b)[:2], a.mean() - b.mean() > 20), "called no difference"),
        (lambda a, b: (*with_numpy(a, b)[:2], beyond(a, b, 1)), "called a difference; the limit is two"),
        (lambda a, b: (*with_numpy(a, b)[:2], beyond(a, b, 3)), "called no difference; the limit is two"),
        (lambda a, b: (*with_numpy(a, b)[:2], np.subtract(*with_numpy(a, b)[:2]) > with_numpy(a, b)[1]), "no differ"),
        (lambda a, b: (abs(a.mean() - b.mean()), *with_numpy(a, b)[1:]), "first minus second"),
        (lambda a, b: (a.mean() - b.mean(), np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 5), False), "called no diff"),
        (lambda a, b: a.mean() - b.mean(), "it raised TypeError"),
    ],
)
def test_comparisons_without_a_right_error(answer, words):
    assert words in verdict(CHECKS["07.6"], answer)


def by_resampling(before, after, share, n_draws=2000, seed=None):
    fall, random = before - after, np.random.default_rng(seed)
    means = [random.choice(fall, len(fall)).mean() for _ in range(n_draws)]
    return np.quantile(means, (1 - share) / 2), np.quantile(means, (1 + share) / 2)


def by_counting(before, after, share):
    random, means = np.random.default_rng(1), []
    for _ in range(3000):
        frames = random.integers(0, len(before), len(before))
        means.append(np.mean(before[frames]) - np.mean(after[frames]))
    means.sort()
    cut = int(3000 * (1 - share) / 2)
    return [means[cut], means[-cut - 1]]


def by_the_bell_curve(before, after, share):
    fall = before - after
    width = statistics.NormalDist().inv_cdf((1 + share) / 2) * fall.std() / len(fall) ** 0.5
    return fall.mean() - width, fall.mean() + width


@pytest.mark.parametrize("answer", [by_resampling, by_counting, by_the_bell_curve])
def test_an_interval_of_the_mean_fall(answer):
    for _ in range(5):
        assert verdict(CHECKS["07.7"], answer) is None


def each_by_itself(before, after, share):
    random, n = np.random.default_rng(), len(before)
    means = [random.choice(before, n).mean() - random.choice(after, n).mean() for _ in range(2000)]
    return np.quantile(means, (1 - share) / 2), np.quantile(means, (1 + share) / 2)


def of_medians(before, after, share):
    random, fall = np.random.default_rng(), before - after
    medians = np.median(fall[random.integers(len(fall), size=(2000, len(fall)))], axis=1)
    return np.quantile(medians, (1 - share) / 2), np.quantile(medians, (1 + share) / 2)


def without_replacement(before, after, share):
    random, fall = np.random.default_rng(), before - after
    means = [random.permutation(fall).mean() for _ in range(100)]
    return np.quantile(means, (1 - share) / 2), np.quantile(means, (1 + share) / 2)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (each_by_itself, "with both of its errors"),
        (without_replacement, "without replacement"),
        (lambda b, a, share: by_resampling(b, a, share, n_draws=100), "draw more often"),
        (lambda b, a, share: by_resampling(b, a, 0.9), "does it follow `share`"),
        (of_medians, "are the draws' means taken"),
        (lambda b, a, share: np.quantile(b - a, [(1 - share) / 2, (1 + share) / 2]), "where single frames lie"),
        (lambda b, a, share: by_resampling(a, b, share), "the sign is turned round"),
        (lambda b, a, share: by_resampling(b, a, share)[::-1], "above your upper end"),
        (lambda b, a, share: by_resampling(b, a, 2 * share - 1), "too narrow"),
        (lambda b, a, share: np.array(by_resampling(b, a, share)) + 2, "as many means must be below"),
        (lambda b, a, share: (np.mean(b - a),), "it raised ValueError"),
    ],
)
def test_intervals_of_something_else(answer, words):
    assert words in verdict(CHECKS["07.7"], answer)
