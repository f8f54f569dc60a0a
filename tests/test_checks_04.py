"""The checks of notebook 04 take what is right however it is written, and say what is wrong with the rest."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tpainn_lite as tp
from tpainn_lite.course.checks import checks_of, verdict
from tpainn_lite.course.teach import solutions

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHECKS = checks_of("04", NOTEBOOKS / "checks")
SOLUTIONS = solutions(NOTEBOOKS / "solutions" / "04_autotuning_qm9.py")


def solved(*numbers, changes=()):
    """What the solutions of these exercises define, with ``{old: new}`` changed in the last."""
    names = {"np": np, "tp": tp, "torch": torch}
    for number in numbers:
        code = SOLUTIONS[number]
        for old, new in dict(changes if number == numbers[-1] else ()).items():
            assert old in code, f"{old!r} is not in the solution of {number}"
            code = code.replace(old, new)
        exec(code, names)
    return names


# --- reference energies ---


def by_normal_equations(frames, predicted=0.0):
    elements, counts = tp.composition(frames)
    target = np.array([atoms.get_potential_energy() for atoms in frames]) - predicted
    return dict(zip(elements, np.linalg.pinv(counts.T @ counts, rcond=1e-10) @ counts.T @ target, strict=True))


def test_reference_energies_may_be_fitted_in_any_way():
    for right in (solved("04.1")["my_atomref"], tp.fit_atomref, by_normal_equations):
        assert verdict(CHECKS["04.1"], right) is None


FIT = "(counts, target, rcond=None)[0]"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({" - predicted": ""}, "what is predicted is not taken off"),
        ({" - predicted": " + predicted"}, "what is predicted is not taken off"),
        ({"sorted({int(z) for atoms in frames for z in atoms.numbers})": "[1, 6, 7, 8, 9]"}, "hold the elements"),
        ({f"lstsq{FIT}": "solve(counts.T @ counts, counts.T @ target)"}, "cannot fit pure water"),
        ({f"np.linalg.lstsq{FIT}": "np.full(len(elements), target.sum() / counts.sum())"}, "the energy of element 1"),
        ({"dict(zip(elements, energies, strict=True))": "energies"}, "a dictionary {atomic number: eV} is expected"),
        ({"zip(elements, energies": "zip(elements, energies if len(frames) > 2 else energies + 1.0"}, "plus your O"),
        ({"zip(elements, ": "zip(['H', 'C', 'N', 'O', 'S', 'Cl'], "}, "atomic numbers are expected"),
    ],
)  # fmt: skip
def test_wrong_reference_energies_are_named(change, words):
    assert words in verdict(CHECKS["04.1"], solved("04.1", changes=change)["my_atomref"])


# --- the baseline ---


class OfTheLibrary:
    def __init__(self, frames, seed):
        self.elements, self.energies = zip(*tp.fit_atomref(frames).items(), strict=True)

    def predict(self, frames, batch_size=64, forces=True):
        counts = np.array([[list(a.numbers).count(z) for z in self.elements] for a in frames])
        return counts @ self.energies, tuple(np.zeros_like(a.positions) for a in frames)


def test_a_baseline_may_be_written_in_any_way():
    for right in (solved("04.1", "04.2")["MyBaseline"], OfTheLibrary):
        assert verdict(CHECKS["04.2"], right) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"np.zeros((len(atoms), 3))": "np.zeros(3)"}, "(N, 3) is expected"),
        ({"np.zeros((len(atoms), 3))": "np.ones((len(atoms), 3))"}, "are not zero"),
        ({", [np.zeros((len(atoms), 3)) for atoms in frames]": ""}, "(energies, list of forces)"),
        (
            {"[np.zeros((len(atoms), 3)) for atoms in frames]": "np.zeros((sum(map(len, frames)), 3))"},
            "a list is expected",
        ),
        ({"sum(self.atomref[z] for z in atoms.numbers)": "sum(self.atomref.values())"}, "the array of energies"),
        ({"sum(self.atomref[z] for z in atoms.numbers)": "atoms.get_potential_energy()"}, "it raised"),
        ({"my_atomref(frames)": "{z: 0.0 for z in range(20)}"}, "the array of energies"),
    ],
)
def test_a_wrong_baseline_is_named(change, words):
    assert words in verdict(CHECKS["04.2"], solved("04.1", "04.2", changes=change)["MyBaseline"])


def test_a_baseline_that_is_made_already_is_no_class():
    assert "without brackets" in verdict(CHECKS["04.2"], OfTheLibrary(tp.load_molecules("valid")[:3], 0))


# --- the learning curve ---


def by_numpy(methods, pool, test, sizes, seeds):
    rows = []
    for name, train in methods.items():
        for n in sizes:
            for seed in seeds:
                order = np.random.default_rng(seed).permutation(len(pool))[:n]
                error = tp.errors(train([pool[k] for k in order], seed), test)
                rows.append(error | {"method": name, "n_train": int(n), "seed": seed, "seconds": 0.0})
    return rows


def of_the_library(methods, pool, test, sizes, seeds):
    return tp.learning_curve(methods, pool, test, sizes, seeds, progress=False)


def test_a_learning_curve_may_be_written_in_any_way():
    for right in (solved("04.3")["my_curve"], by_numpy, of_the_library):
        assert verdict(CHECKS["04.3"], right) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tp.draw(pool, n, seed=seed)": "pool[:n]"}, "all seeds draw the same"),
        ({"tp.draw(pool, n, seed=seed)": "tp.draw(pool, n)"}, "all seeds draw the same"),
        ({"tp.draw(pool, n, seed=seed)": "tp.draw(pool + test, n, seed=seed)"}, "frames of test"),
        ({"tp.draw(pool, n, seed=seed)": "[pool[k] for k in np.random.default_rng(seed).choice(3, n)]"}, "drawn twice"),
        ({"train(frames, seed)": "train(tp.draw(pool, n, seed=None), seed)"}, "different frames"),
        ({"train(frames, seed)": "train(frames, 0)"}, "was trained 0 times"),
        ({"tp.errors(model, test)": "tp.errors(model, frames[:1])"}, "the energy_mae on test"),
        ({'"seed": seed, ': ""}, "a row has no seed"),
        ({'"n_train": n,': '"n_train": len(pool),'}, "no training belongs to your row"),
        ({"return rows": "return rows[:-1]"}, "there are 23 rows of 24 trainings"),
        ({"return rows": "return {}"}, "a list of dictionaries"),
    ],
)
def test_a_wrong_learning_curve_is_named(change, words):
    found = verdict(CHECKS["04.3"], solved("04.3", changes=change)["my_curve"])
    if words == "the energy_mae on test":  # of one frame it may happen to be alike
        assert found is None or "on test" in found
    else:
        assert words in found


# --- the gain ---


def with_loops(rows, method, baseline, key):
    gains = {}
    for n in sorted({row["n_train"] for row in rows}):
        mine, theirs = (
            {row["seed"]: row[key] for row in rows if row["method"] == name and row["n_train"] == n}
            for name in (method, baseline)
        )
        ratios = [theirs[seed] / mine[seed] for seed in mine.keys() & theirs.keys()]
        if not ratios:
            continue
        mean = sum(ratios) / len(ratios)
        if len(ratios) == 1:
            gains[n] = [mean, float("nan")]
            continue
        variance = sum((r - mean) ** 2 for r in ratios) / (len(ratios) - 1)
        gains[n] = [mean, (variance / len(ratios)) ** 0.5]
    return gains


def test_a_gain_may_be_written_in_any_way():
    for right in (solved("04.4")["my_gain"], with_loops):
        assert verdict(CHECKS["04.4"], right) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"error / errors[method, n, seed]": "errors[method, n, seed] / error"}, "upside down"),
        ({" / np.sqrt(len(r))": ""}, "that is the standard deviation"),
        ({", ddof=1": ""}, "ddof=1"),
        ({", ddof=1) / np.sqrt(len(r))": ")"}, "ddof=1"),
        ({"(np.mean(r), np.std(r, ddof=1) / np.sqrt(len(r)) if len(r) > 1 else np.nan)": "np.mean(r)"}, "two numbers"),
        ({"else np.nan": "else 0.0"}, "one draw alone"),
        ({"return gains": "return {**gains, 300: (np.nan, np.nan)}"}, "leave this number out"),
        ({"row[key]": 'row["energy_mae"]'}, "the mean ratio"),
        ({" and (method, n, seed) in errors": ""}, "it raised KeyError"),
        ({"gains[n] =": "gains[str(n) + ' labels'] ="}, "it raised"),
    ],
)
def test_a_wrong_gain_is_named(change, words):
    assert words in verdict(CHECKS["04.4"], solved("04.4", changes=change)["my_gain"])


def test_a_ratio_of_means_is_named():
    def of_means(rows, method, baseline, key):
        def mean(name, n):
            return tp.mean_error(rows, key, method=name, n_train=n)

        return {n: (mean(baseline, n) / mean(method, n), 0.1) for n in (10, 30, 100)}

    def of_means_of_common_draws(rows, method, baseline, key):
        error = {(row["method"], row["n_train"], row["seed"]): row[key] for row in rows}
        both = [key[1:] for key in error if key[0] == method and (baseline, *key[1:]) in error]
        sums = {
            (m, n): sum(error[m, k, s] for k, s in both if k == n) for m in (method, baseline) for n in (10, 30, 100)
        }
        return {n: (sums[baseline, n] / sums[method, n], 0.1) for n in (10, 30, 100)}

    for wrong in (of_means, of_means_of_common_draws):
        assert "divide the two errors of each draw" in verdict(CHECKS["04.4"], wrong)


@pytest.mark.parametrize(("key", "words"), [(None, "by the order of the rows"), ("seed", "a seed is missing")])
def test_ratios_of_different_draws_are_named(key, words):
    def by_place(rows, method, baseline, value):
        gains, rows = {}, sorted(rows, key=lambda row: row[key]) if key else rows
        for n in (10, 30, 100):
            theirs, mine = (
                [row[value] for row in rows if (row["method"], row["n_train"]) == (name, n)]
                for name in (baseline, method)
            )
            gains[n] = (np.mean([a / b for a, b in zip(theirs, mine, strict=False)]), 0.1)
        return gains

    assert words in verdict(CHECKS["04.4"], by_place)


# --- what is read, and what is trained ---


@pytest.mark.parametrize("right", [85, 75.0, np.int64(100)])
def test_a_number_that_is_read_from_a_plot_may_be_rough(right):
    assert verdict(CHECKS["04.5"], right) is None


@pytest.mark.parametrize(("wrong", "words"), [(30, "too few"), (300, "too many"), ("many", "a number is expected")])
def test_a_number_that_is_read_wrongly_is_named(wrong, words):
    assert words in verdict(CHECKS["04.5"], wrong)


@pytest.fixture(scope="module")
def tuned():
    """The ten labels of the exercise, trained on for a few steps with most of the network frozen."""
    frames, start = tp.draw(tp.load_molecules("train"), 10, seed=0), tp.load_pretrained("gas")
    frozen = ["embedding", "interactions", "mixings.0"]
    return {steps: tp.autotune(start, frames, freeze=frozen, steps=steps, progress=False) for steps in (1, 60)} | {
        "all": tp.autotune(start, frames, steps=1, progress=False)
    }


def test_fewer_than_half_of_the_weights_are_trained(tuned):
    assert verdict(CHECKS["04.6"], tuned[60]) is None
    assert "fewer than half may" in verdict(CHECKS["04.6"], tuned["all"])
    assert "less a tenth is the goal" in verdict(CHECKS["04.6"], tuned[1])
    assert "nothing was trained" in verdict(CHECKS["04.6"], tp.load_pretrained("gas"))
    assert "a potential is expected" in verdict(CHECKS["04.6"], 0.3)
    frames, frozen = tp.draw(tp.load_molecules("train"), 10, seed=7), ["embedding", "interactions", "mixings.0"]
    other = tp.autotune(tp.load_pretrained("gas"), frames, freeze=frozen, steps=1, progress=False)
    assert "on ten other labels" in verdict(CHECKS["04.6"], other)


def test_the_same_labels_from_a_better_start_are_better(tuned):
    better = tp.autotune(
        tp.load_pretrained("gas_xtb"), tp.draw(tp.load_molecules("train"), 10, seed=0), steps=10, progress=False
    )
    assert verdict(CHECKS["04.7"], better, tuned={100: tuned[60]}) is None
    assert verdict(CHECKS["04.7"], tuned[60], tuned={100: tuned[1]}) is None
    assert "tuned[100] has" in verdict(CHECKS["04.7"], tuned[60], tuned={100: better})
    assert "was trained on" in verdict(CHECKS["04.7"], tp.load_pretrained("gas_xtb"), tuned={100: better})
    assert "a potential is expected" in verdict(CHECKS["04.7"], "mine", tuned={100: better})
    pool = tp.load_molecules("train")
    other, turned = (
        tp.autotune(tp.load_pretrained("gas_xtb"), frames, steps=10, progress=False)
        for frames in (tp.draw(pool, 10, seed=7), tp.draw(pool, 10, seed=0)[::-1])
    )
    assert "on other labels" in verdict(CHECKS["04.7"], other, tuned={100: tuned[1]})
    assert verdict(CHECKS["04.7"], turned, tuned={100: tuned[1]}) is None
