"""The checks of notebook 05 take what is right however it is written, and say what is wrong with the rest."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.course.checks import checks_of, verdict
from tpainn_lite.course.teach import solutions
from tpainn_lite.model.graph import neighbour_pairs
from tpainn_lite.structures.identity import fingerprint

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHECKS = checks_of("05", NOTEBOOKS / "checks")
SOLUTIONS = solutions(NOTEBOOKS / "solutions" / "05_liquid_water.py")


def solved(number, name, changes=()):
    """What the solution of an exercise defines, with ``{old: new}`` changed."""
    code = SOLUTIONS[number].split("\n\n\n")[0]  # without what it prints
    for old, new in dict(changes).items():
        assert old in code, f"{old!r} is not in the solution of {number}"
        code = code.replace(old, new)
    names = {"np": np}
    exec(code, names)
    return names[name]


# --- small ones ---


def test_pairs_of_an_even_liquid():
    positions = np.random.default_rng(0).uniform(0, 9.86, (96, 3))
    box = Atoms("OHH" * 32, positions, cell=[9.86] * 3, pbc=True)
    counted = len(neighbour_pairs(box, 5.0)[0])
    even = 96**2 / 9.86**3 * 4 / 3 * np.pi * 125
    for right in (even, round(even), np.array(even), 95 / 96 * even):
        assert verdict(CHECKS["05.1"], right, box=box) is None
    for wrong, words in (
        (even / 96, "of one atom"), (even / 2, "each pair once"), (even / 8, "the radius"), (2 * even, "too large"),
        ("many", "a number"), (1.05 * even, "too large"), (0.95 * even, "too small"), (counted, "this one box"),
    ):  # fmt: skip
        assert words in verdict(CHECKS["05.1"], wrong, box=box)


def test_two_shares_of_the_energy_of_water():
    counts = np.array([[64.0, 32.0]] * 4)
    energies = -468.0 * 32 + np.array([0.1, -0.1, 0.2, -0.2])
    given = {"counts": counts, "energies": energies}
    for right in ([(0, -468), (-10, -448)], np.array([[1.0, -470.0], [-16.0, -436.0]])):
        assert verdict(CHECKS["05.3"], right, **given) is None
    for wrong, words in (
        ([(0, -468), (0, -468)], "nearly the same"), ([(-468, 0), (-448, -10)], "is H first"),
        ([(0, -468), (-10, -468)], "your second pair is off by 640 eV"), ([0, -468], "two pairs are expected"),
    ):  # fmt: skip
        assert words in verdict(CHECKS["05.3"], wrong, **given)


@pytest.mark.parametrize("right", [130, 120.0, np.float32(150)])
def test_boxes_needed(right):
    assert verdict(CHECKS["05.5"], right) is None


@pytest.mark.parametrize(("wrong", "words"), [(10, "too few"), (50, "too few"), (1000, "too many"), ("x", "a number")])
def test_wrong_boxes_needed(wrong, words):
    assert words in verdict(CHECKS["05.5"], wrong)


def test_a_potential_that_errs_less_between_molecules():
    def water(x):
        atoms = Atoms("OHH", [[0, 0, 0], [x, 0, 0], [0, x, 0]])
        atoms.calc = SinglePointCalculator(atoms, forces=np.zeros((3, 3)))
        return atoms

    def off_by(push, boxes, stretch=0.0):
        forces = push * np.ones((3, 3)) + stretch * np.array([[-1.0, 0, 0], [1, 0, 0], [0, 0, 0]])
        said = {"n_train": len(boxes), "labels": fingerprint({fingerprint(box) for box in boxes})}
        return SimpleNamespace(predict=lambda frames: ([0.0] * len(frames), [forces] * len(frames)), metadata=said)

    test, boxes = [water(1.0), water(1.1)], [water(0.9), water(0.95)]
    given = {"tuned": off_by(1.0, boxes), "test": test}
    delta = SimpleNamespace(predict=off_by(0.5, boxes).predict, difference=SimpleNamespace(metadata={"n_train": 2}))
    for right in ((off_by(0.5, boxes), boxes), [off_by(0.8, boxes, stretch=0.1), boxes[::-1]], (delta, boxes)):
        assert verdict(CHECKS["05.6"], right, **given) is None
    for wrong, words in (
        ((off_by(0.99, boxes), boxes), "nine tenths"), ((off_by(2.0, boxes), boxes), "nine tenths"),
        (0.1, "a trained potential"), (off_by(0.5, boxes), "a trained potential"),
        ((off_by(0.5, boxes), 2), "list of DFT"),
        ((off_by(0.5, test), test), "2 of your boxes are tested on"),
        ((off_by(0.5, [*boxes, test[0]]), [*boxes, test[0].copy()]), "on other boxes"),
        ((off_by(0.5, [*boxes, test[0]]), boxes), "on other boxes than your list of 2"),
        ((off_by(0.5, [water(1.2), *boxes[:1]]), boxes), "on other boxes than your list of 2"),
        ((SimpleNamespace(predict=off_by(0.5, boxes).predict), boxes), "on other boxes"),
    ):  # fmt: skip
        assert words in verdict(CHECKS["05.6"], wrong, **given)


# --- pairs ---


def pair_by_pair(positions, width, cutoff):
    idx_i, idx_j, r_ij = [], [], []
    for i, here in enumerate(positions):
        for j, there in enumerate(positions):
            r = there - here
            r = (r + width / 2) % width - width / 2
            if i != j and np.sqrt(r @ r) <= cutoff:
                idx_i.append(i)
                idx_j.append(j)
                r_ij.append(r)
    return [idx_i, idx_j, np.reshape(r_ij, (-1, 3))]


WRONG_PAIRS = [
    ({"r = r - width * np.round(r / width)": "pass"}, "are missing"),
    ({"np.round(r / width)": "np.floor(r / width)"}, "are missing"),
    ({"np.round(r / width)": "np.clip(np.round(r / width), -1, 1)"}, "needs more than one shift"),
    ({"np.round(r / width)": "(1.0 * (r > width / 2) - (r < -width / 2))"}, "needs more than one shift"),
    ({"positions[None] - positions[:, None]": "positions[:, None] - positions[None]"}, "point the wrong way"),
    ({"near = near & ~np.eye(len(positions), dtype=bool)": "pass"}, "its own neighbour"),
    ({"near & ~np.eye(len(positions), dtype=bool)": "np.triu(near, 1)"}, "each pair once"),
    ({"< cutoff": "< 2 * cutoff"}, "longer than the cutoff"),
    ({"return idx_i, idx_j, r[idx_i, idx_j]": "return idx_i, idx_j, r"}, "(E,), (E,), (E, 3) is expected"),
    ({"return idx_i, idx_j, r[idx_i, idx_j]": "return r[idx_i, idx_j]"}, "three arrays"),
    ({"return idx_i, idx_j, r[idx_i, idx_j]": "return idx_i, idx_j, r[idx_j, idx_i]"}, "point the wrong way"),
]


@pytest.mark.parametrize("right", [solved("05.2", "my_pairs"), pair_by_pair])
def test_pairs_may_be_found_in_any_way(right):
    for _ in range(5):
        assert verdict(CHECKS["05.2"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_PAIRS)
def test_wrong_pairs(changes, words):
    assert words in verdict(CHECKS["05.2"], solved("05.2", "my_pairs", changes))


# --- molecules ---


def by_least_squares(positions, masses, forces):
    """The rigid motion whose accelerations are nearest to F/m, weighted by mass."""
    arms = positions - np.average(positions, axis=0, weights=masses)
    root = np.sqrt(masses)
    columns = [np.tile(axis, (len(masses), 1)) for axis in np.eye(3)] + [np.cross(axis, arms) for axis in np.eye(3)]
    matrix = np.array([(root[:, None] * column).ravel() for column in columns]).T
    motion = np.linalg.lstsq(matrix, (forces / root[:, None]).ravel(), rcond=None)[0]
    push, turn = masses[:, None] * motion[:3], masses[:, None] * np.cross(motion[3:], arms)
    return [push, turn, forces - push - turn]


WRONG_SPLITS = [
    ({"push = m / m.sum() * forces.sum(axis=0)": "push = np.tile(forces.mean(axis=0), (len(m), 1))"}, "share the push"),
    ({"push = m / m.sum() * forces.sum(axis=0)": "push = np.tile(forces.sum(axis=0), (len(m), 1))"}, "push is off"),
    ({"positions - (m * positions).sum(axis=0) / m.sum()": "positions"}, "the centre of mass"),
    ({"positions - (m * positions).sum(axis=0) / m.sum()": "positions - positions.mean(axis=0)"}, "centre of mass"),
    ({"np.linalg.solve(inertia, torque)": "torque"}, "does not carry the torque"),
    ({"x @ x * np.eye(3) - np.outer(x, x)": "np.outer(x, x)"}, "is it I ="),
    ({"x @ x * np.eye(3) - np.outer(x, x)": "x @ x * np.eye(3)"}, "does not carry the torque"),
    ({"np.linalg.solve(inertia, torque)": "np.linalg.solve(np.zeros((3, 3)), torque)"}, "has no inverse"),
    ({"np.cross(alpha, arms)": "np.cross(arms, alpha)"}, "the wrong sign"),
    ({"np.cross(arms, forces)": "np.cross(forces, arms)"}, "the wrong sign"),
    ({"forces - push - turn": "forces - push"}, "the sum of your three parts"),
    ({"return push, turn, forces - push - turn": "return push, turn"}, "three arrays"),
    ({"m * np.cross(alpha": "np.cross(alpha"}, "centre of mass"),
    ({"push = m / m.sum() * forces.sum(axis=0)": "push = forces.sum(axis=0)"}, "your push has the shape (3,)"),
]  # fmt: skip


def as_one_array(positions, masses, forces):
    return np.array(by_least_squares(positions, masses, forces))


@pytest.mark.parametrize("right", [solved("05.4", "my_split"), by_least_squares, as_one_array])
def test_a_split_may_be_written_in_any_way(right):
    assert verdict(CHECKS["05.4"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_SPLITS)
def test_wrong_splits(changes, words):
    assert words in verdict(CHECKS["05.4"], solved("05.4", "my_split", changes))
