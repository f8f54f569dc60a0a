"""Checks of 07_your_own_system."""

from typing import Any

import numpy as np
from ase import Atoms

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, close, exercise, one_number

KEPT: dict[str, Any] = {}  # the last run at 1000 K, which takes seconds, and what it was of
FAR = 0.25  # standard errors of the mean, at either end, in the mean of eight sets of frames
NEAR = (0.93, 1.07)  # the width of an interval by that of the right one, mean of all sets of frames
ENDS_OFF = 0.08  # standard errors of the mean, rms; 0.04 is what 2,000 draws leave to chance, 0.17 what 100 do


@exercise("07.1")
def most_doubted(most, doubt):
    number = one_number(most, "your index")
    if number == int(np.argmin(doubt)):
        raise Wrong("this is the structure that the committee doubts least")
    if number not in range(len(doubt)):
        raise Wrong(f"an index from 0 to {len(doubt) - 1} is expected, not the doubt itself")
    if doubt[int(number)] < np.max(doubt):
        above = int(np.sum(np.asarray(doubt) > doubt[int(number)]))
        raise Wrong(f"{above} structures are doubted more than number {int(number)}")


@exercise("07.2")
def where_it_turns_red(red_from, length, parted, domain):
    rest = length[np.argmin(np.abs(length - length.min() / 0.85))]  # the curve begins at 0.85 of the bond at rest
    beyond = length[(parted > domain.limit) & (length > rest)].min()
    number = one_number(red_from, "your length")
    if number < rest:
        raise Wrong(f"this bond is shorter than at rest, {rest:.2f} Å; look on the way out")
    close(number, beyond, 0.15, "your length")


@exercise("07.3")
def femtoseconds_at_1000_kelvin(lasted, relaxed, after, settings):
    number = one_number(lasted, "your time")
    right = time_at_1000_kelvin(relaxed, after, {**settings, "temperature": 1000})
    if abs(number - 2 * right) < 1e-6 and right > 0:
        raise Wrong("this is a number of steps; each takes half a femtosecond")
    if abs(number - 1000 * right) < 500:
        raise Wrong("this is a thousand times too large: the times of a run are in femtoseconds already")
    close(number, right, 0.5, "your time")


def time_at_1000_kelvin(relaxed, after, settings):
    """How long it lasts, in fs; run once for all answers to the same committee, start and settings."""
    asked = (relaxed.positions.tolist(), settings)
    if KEPT.get("after") is not after or KEPT["asked"] != asked:
        KEPT.update(after=after, asked=asked, time=tp.run_md(relaxed, after.calculator(), **settings).time[-1])
    return KEPT["time"]


@exercise("07.4")
def molecule_of_your_own(yours, domain, structures):
    frames = [yours] if isinstance(yours, (str, Atoms)) else list(yours)
    if not all(isinstance(atoms, Atoms) for atoms in frames):
        raise Wrong(
            "a SMILES is not yet a structure; structures are expected: list(tp.shaken_molecules([smiles], ...))"
        )
    if not frames:
        raise Wrong("the list is empty; structures of your molecule are expected")
    if frames[0].get_chemical_formula() == structures[0].get_chemical_formula():
        raise Wrong(f"these are structures of {structures[0].get_chemical_formula()} again; another molecule is asked")
    doubts = domain.doubts(frames)
    green = float(np.mean([not why for why in doubts]))
    if green < 0.25:
        reason = next(why[-1] for why in doubts if why)
        raise Wrong(f"{green:.0%} of them are green; one doubt: {reason}")


@exercise("07.5")
def calibrated_factor(calibrate):
    random = np.random.default_rng()
    for n, wanted in ((40, 0.9), (200, 0.8), (60, 0.5)):
        coverage = []
        for _ in range(150):
            disagreement = random.uniform(0.5, 2.0, n + 400)
            error = np.abs(random.normal(size=n + 400)) * disagreement
            factor = one_number(calibrate(disagreement[:n], error[:n], wanted), "what your function gives")
            coverage.append(np.mean(error[n:] <= factor * disagreement[n:]))
        covered = float(np.mean(coverage))
        if abs(covered - wanted) > 0.035:
            raise Wrong(f"with {n} labels and {wanted:.0%} wanted, {covered:.0%} of new errors lie below your bound")
    for n, wanted in ((9, 0.5), (10, 0.75), (12, 0.9), (20, 0.95), (3, 0.75), (5, 0.99), (9, 0.95)):
        disagreement, error = random.uniform(0.5, 2.0, (2, n))
        factor = calibrate(disagreement.copy(), error.copy(), wanted)
        right_rank(factor, np.sort(error / disagreement), wanted)


@exercise("07.6")
def better_or_not_shown(compare):
    first = np.array([76.0, 74.0, 80.0, 71.0, 79.0])
    second = np.array([53.0, 66.0, 90.0, 61.0, 85.0])
    difference, error, shown = compare(first, second)
    if np.isclose(one_number(difference, "your difference"), second.mean() - first.mean()):
        raise Wrong("the sign of your difference is turned round: first minus second")
    close(difference, first.mean() - second.mean(), 1e-6, "the difference of the two means")
    right = np.sqrt(first.var(ddof=1) / 5 + second.var(ddof=1) / 5)
    number = one_number(error, "its standard error")
    if abs(number - np.sqrt(first.var() / 5 + second.var() / 5)) < 1e-6:
        raise Wrong("a sample's variance divides by n − 1 (ddof=1); NumPy's default divides by n")
    if abs(number - np.sqrt(first.var(ddof=1) + second.var(ddof=1))) < 1e-6:
        raise Wrong("this is the scatter of single runs; the mean of n runs scatters √n times less")
    close(number, right, 1e-6, "its standard error")
    if bool(shown):
        raise Wrong("5.0 ± 7.0 is called a difference; it is well within two standard errors")
    random = np.random.default_rng()
    for sizes in ((5, 5), (4, 9)):
        first, second = (random.normal(50.0, width, n) for width, n in zip((3.0, 12.0), sizes, strict=True))
        error = np.sqrt(sum(errors.var(ddof=1) / len(errors) for errors in (first, second)))
        for times in (0.9, -0.9, 1.9, -1.9, 2.1, -2.1, 30, -30):
            moved = first - first.mean() + second.mean() + times * error
            difference, given, shown = compare(moved.copy(), second.copy())
            if np.isclose(one_number(difference, "your difference"), -times * error):
                raise Wrong("the difference has the wrong sign: first minus second, below zero where second is larger")
            close(difference, times * error, 1e-6, "the difference of the two means")
            if (
                np.isclose(one_number(given, "its standard error"), pooled_error(first, second))
                and sizes[0] != sizes[1]
            ):
                raise Wrong(
                    "you pool the two variances, as if both scattered alike; add the variances of the two means"
                )
            close(given, error, 1e-6, f"with {sizes[0]} and {sizes[1]} runs, the standard error of the difference")
            if bool(shown) != (abs(times) > 2):
                is_called = "a difference" if shown else "no difference"
                raise Wrong(f"means that are {times} standard errors apart are called {is_called}; the limit is two")


def pooled_error(first, second):
    """Of Student's t, for two sets of one variance."""
    n, m = len(first), len(second)
    variance = ((n - 1) * first.var(ddof=1) + (m - 1) * second.var(ddof=1)) / (n + m - 2)
    return np.sqrt(variance * (1 / n + 1 / m))


@exercise("07.7")
def interval_of_the_fall(interval):
    random, sets = np.random.default_rng(7), ((25, 0.9), (40, 0.5), (16, 0.8))
    drawn = [[one_interval(interval, n, share, random) for _ in range(8)] for n, share in sets]
    off = np.array([[one["off"] for one in of_a_set] for of_a_set in drawn])
    width, unpaired = (np.mean([one[key] for of_a_set in drawn for one in of_a_set]) for key in ("width", "unpaired"))
    means = np.abs(off.mean(axis=1)).max(axis=1)
    if means.max() > FAR or not NEAR[0] < width < NEAR[1]:
        worst = int(means.argmax())
        say_what_it_is(**drawn[worst][0]["given"], width=width, unpaired=unpaired, share=sets[worst][1])
    if (rms := np.sqrt(np.mean(np.square(off)))) > ENDS_OFF:
        raise Wrong(
            f"your ends scatter around the right ones by {rms:.2f} standard errors of the mean fall: draw more often, "
            "at least 2,000 times"
        )


def one_interval(interval, n, share, random):
    """The learner's interval of n random frames, compared with a bootstrap of our own."""
    hard, tail = random.uniform(20, 400, n), (1 - share) / 2  # a frame that is hard is so before and after
    before, after = hard + random.normal(30, 8, n), hard + random.normal(0, 8, n)
    low, high = interval(before.copy(), after.copy(), share)
    ends, fall = np.array([one_number(low, "your lower end"), one_number(high, "your upper end")]), before - after
    right = np.quantile(fall[random.integers(n, size=(10_000, n))].mean(axis=1), [tail, 1 - tail])
    off = (ends - right) / (fall.std() / np.sqrt(n))  # in standard errors of the mean
    width = (ends[1] - ends[0]) / (right[1] - right[0])
    unpaired = np.sqrt((before.var() + after.var()) / fall.var())  # the width where each error is drawn by itself
    return {"given": {"fall": fall, "ends": ends, "right": right}, "off": off, "width": width, "unpaired": unpaired}


def say_what_it_is(fall, ends, right, width, unpaired, share):
    """Raise `Wrong` with a sentence about an interval that is not the right one; widths are means of several."""
    n, tail, error = len(fall), (1 - share) / 2, fall.std() / np.sqrt(len(fall))
    asked = f"with {n} frames and a share of {share:.0%}"
    if ends[0] > ends[1]:
        raise Wrong(f"{asked} your lower end is above your upper end")
    if np.all(abs(ends + right[::-1]) < 0.3 * error):
        raise Wrong("the sign is turned round: before minus after is above zero where the error has fallen")
    if width < 0.05:
        raise Wrong(f"{asked} your interval has no width: without replacement each draw holds the same frames")
    if np.all(abs(ends - np.quantile(fall, [tail, 1 - tail])) < 0.5 * error):
        raise Wrong("this is where single frames lie; what is asked is where the mean of n frames lies")
    if NEAR[0] < width < NEAR[1]:
        raise Wrong(f"{asked} your interval lies next to the right one: as many means must be below it as above it")
    if abs(width / unpaired - 1) < 0.2:
        how = "wide: each frame is drawn with both of its errors"
    elif width > 1:
        how = "wide: does it follow `share`, with half of the rest on each side, and are the draws' means taken?"
    else:
        how = "narrow: below it lies half of the rest"
    raise Wrong(f"{asked} your interval is {width:.2f} times as wide as it should be, too {how}")


def right_rank(factor, ratios, wanted):
    """Among n known ratios and a new one, each place is equally likely for the new one."""
    n, rank = len(ratios), int(np.ceil((len(ratios) + 1) * wanted))
    asked = f"with {n} labels and {wanted:.0%} wanted"
    if rank > n:
        if float(factor) != np.inf:
            raise Wrong(f"{asked} yours is {float(factor):.3g}, but the rank needed is above {n}: no factor is enough")
        return
    number = one_number(factor, f"{asked}, your factor")
    if np.isclose(number, ratios[rank - 1], rtol=1e-6):
        return
    place = int(np.argmin(abs(ratios - number)))
    if not np.isclose(number, ratios[place], rtol=1e-6):
        raise Wrong(f"{asked} your factor is none of the {n} ratios of error to disagreement")
    raise Wrong(f"{asked} yours is the ratio of rank {place + 1}; count the new error, too, and round the rank up")
