"""The checks of notebook 01 take what is right however it is written, and say what is wrong with the rest."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tpainn_lite as tp
from tpainn_lite.course.checks import checks_of, verdict
from tpainn_lite.course.teach import solutions

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHECKS = checks_of("01", NOTEBOOKS / "checks")
SOLUTIONS = solutions(NOTEBOOKS / "solutions" / "01_force_field_data.py")


def solved(number, name, changes=()):
    """What the solution of an exercise defines, with ``{old: new}`` changed in it."""
    code, names = SOLUTIONS[number], {"np": np}
    for old, new in dict(changes).items():
        assert old in code, f"{old!r} is not in the solution of {number}"
        code = code.replace(old, new)
    exec(code, names)
    return names[name]


@pytest.mark.parametrize("right", [(50, 0.985), [55.0, np.float64(0.98)], np.array([47.0, 0.98])])
def test_any_spring_that_fits_is_right(right):
    assert verdict(CHECKS["01.1"], right) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [((50, 0.90), "too low at 0.85 Å and too high at 1.1 Å"), ((10, 0.98), "too low at 0.85 Å and too low"),
     ((50, 1.05), "too high at 0.85 Å and too low at 1.1 Å"), (50, "two numbers"), ((50, "x"), "a number is expected"),
     ((0.96, 45), "are exchanged")],
)  # fmt: skip
def test_a_spring_that_does_not_fit(wrong, words):
    assert words in verdict(CHECKS["01.1"], wrong)


# --- bonds and an angle ---


def bonds_by_autograd(positions, bonds, k, r0):
    x = torch.tensor(positions, requires_grad=True)
    energy = sum(k / 2 * ((x[j] - x[i]).norm() - r0) ** 2 for i, j in bonds)
    return energy, -torch.autograd.grad(energy, x)[0]


def bonds_in_a_loop(positions, bonds, k, r0):
    energy, forces = 0.0, np.zeros((len(positions), 3))
    for i, j in bonds:
        arrow = positions[i] - positions[j]
        r = np.sqrt(arrow @ arrow)
        energy += 0.5 * k * (r - r0) ** 2
        forces[i] -= k * (r - r0) * arrow / r
        forces[j] += k * (r - r0) * arrow / r
    return [energy, forces.tolist()]


WRONG_BONDS = [
    ({"(k / 2 * (r": "(k * (r"}, "k/2 (r - r0)²"),
    ({"** 2).sum()": "** 2).mean()"}, "a sum over the bonds"),
    (
        {"np.add.at(forces, i, pull)": "forces[i] += pull", "np.add.at(forces, j, -pull)": "forces[j] -= pull"},
        "several bonds",
    ),
    ({"i, pull": "i, -pull", "j, -pull": "j, pull"}, "uphill"),
    ({"np.add.at(forces, j, -pull)": ""}, "do not add up to zero"),
    ({"(k * (r - r0) / r)": "(k * (r - r0))"}, "is the direction a unit vector"),
    ({"(k * (r - r0) / r)": "(k * (r - r0) / r**2)"}, "compared with the slope of your energy"),
    ({"return energy, forces": "return energy"}, "(energy, forces) is expected"),
    ({"return energy, forces": "return energy, forces.sum(1)"}, "your forces have the shape (6,)"),
    ({"- r0) ** 2": "+ r0) ** 2"}, "your energy of random atoms"),
    ({"np.transpose": "np.transposed"}, "it raised AttributeError"),
]


@pytest.mark.parametrize("right", [solved("01.2", "my_bonds"), bonds_by_autograd, bonds_in_a_loop])
def test_bonds_may_be_written_in_any_way(right):
    assert verdict(CHECKS["01.2"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_BONDS)
def test_wrong_bonds(changes, words):
    assert words in verdict(CHECKS["01.2"], solved("01.2", "my_bonds", changes))


def test_a_number_is_no_formula():
    assert "a function is expected" in verdict(CHECKS["01.2"], 3)
    assert "a function is expected" in verdict(CHECKS["01.3"], (1, 2))


def angle_by_autograd(positions, k, theta0):
    x = torch.tensor(positions, requires_grad=True)
    a, b = torch.nn.functional.normalize(x[1:] - x[0])
    energy = k / 2 * (torch.acos(a @ b) - theta0) ** 2
    energy.backward()
    return energy.item(), -x.grad


WRONG_ANGLES = [
    ({"np.arccos(cosine)": "np.degrees(np.arccos(cosine))"}, "in degrees"),
    ({"push = -k": "push = k"}, "uphill"),
    ({"-force_a - force_b,": "0 * force_a,"}, "do not add up to zero"),
    ({" / np.sin(theta)": ""}, "compared with the slope of your energy"),
    ({"unit_b) / length_a": "unit_b)", "unit_a) / length_b": "unit_a)"}, "the length of its own arm"),
    ({"unit_b) / length_a": "unit_b) / length_b", "unit_a) / length_b": "unit_a) / length_a"}, "of its own arm"),
    ({"return k / 2": "return k"}, "k/2 (θ - θ0)²"),
    ({"np.arccos(cosine)": "cosine"}, "your energy of random atoms"),
    ({"(theta - theta0)": "(theta - np.radians(theta0))"}, "theta0 is in radians already"),
    ({"-force_a - force_b, force_a, force_b": "force_a, force_b, -force_a - force_b"}, "the middle atom comes first"),
    ({"-force_a - force_b, force_a, force_b": "-force_a - force_b, force_b, force_a"}, "in another order"),
]


@pytest.mark.parametrize("right", [solved("01.3", "my_angle"), angle_by_autograd])
def test_an_angle_may_be_written_in_any_way(right):
    assert verdict(CHECKS["01.3"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_ANGLES)
def test_a_wrong_angle(changes, words):
    assert words in verdict(CHECKS["01.3"], solved("01.3", "my_angle", changes))


# --- numbers and frames ---


@pytest.fixture(scope="module")
def forces_of_test():
    """(of the relaxed test frames, of all) (N, 3) eV/Å."""
    test = tp.load_molecules("test")
    chosen = ([a for a in test if a.info["config_type"] == "relaxed"], test)
    return [np.concatenate([a.get_forces() for a in frames]) for frames in chosen]


def test_the_mean_force_at_rest(forces_of_test):
    relaxed, every = forces_of_test
    right = 1e3 * np.abs(relaxed).mean()
    for answer in (right, round(right), np.float32(right), torch.tensor(right)):
        assert verdict(CHECKS["01.4"], answer) is None
    for wrong, words in (
        (right / 1e3, "in eV/Å"), (1e3 * np.abs(every).mean(), "over all frames"), (1e3 * relaxed.mean(), "cancel"),
        (1e3 * np.linalg.norm(relaxed, axis=1).mean(), "length of a force"), (2 * right, "too large"),
        (1e3 * np.sqrt((relaxed**2).mean()), "mean square"), ("much", "a number is expected"),
        (0.0122, "forces of MMFF94 itself"),
    ):  # fmt: skip
        assert words in verdict(CHECKS["01.4"], wrong)


def test_the_rest_length_of_spc_fw():
    liquid = [a for a in tp.load_water("test") if a.info["config_type"] == "liquid"][:2]
    for right in (0.96, np.float64(0.95)):
        assert verdict(CHECKS["01.5"], right, liquid=liquid) is None
    for wrong, words in (
        (1.012, "guessing zero is off by"),
        (0.8, "the forces are off by"),
        (96, "no length"),
        ("x", "number"),
    ):
        assert words in verdict(CHECKS["01.5"], wrong, liquid=liquid)


def test_frames_of_a_molecule_are_labelled_and_different():
    shaken = tp.normal_mode_frames(tp.molecule("CO"), tp.mmff94(), 500, 20, seed=0)
    frames = tp.label(shaken, tp.mmff94(), progress=False)
    assert verdict(CHECKS["01.6"], frames) is None
    assert verdict(CHECKS["01.6"], tuple(frames + frames[:3])) is None
    others = tp.label(tp.normal_mode_frames(tp.molecule("C"), tp.mmff94(), 500, 2), tp.mmff94(), progress=False)
    for wrong, words in (
        (frames[:19], "there are 19 frames"), (shaken, "frame 0 has no forces"),
        (frames[:2] * 10, "only 2 of your frames"), (frames + others, "several molecules"), (3, "it raised TypeError"),
    ):  # fmt: skip
        assert words in verdict(CHECKS["01.6"], wrong)
