"""Checks of 01_force_field_data: formulas are tried on random atoms, numbers are computed anew from the data."""

import numpy as np

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, close, exercise, one_number, same_array
from tpainn_lite.teachers.water import WATER

RMS_OF_SPRING = 0.05  # eV
FRAMES = 20


@exercise("01.1")
def spring(answer):
    if np.shape(answer) != (2,):
        raise Wrong("two numbers are expected, (k, r0)")
    k, r0 = (one_number(part, name) for part, name in zip(answer, ("k", "r0"), strict=True))
    if k < 2 < r0:
        raise Wrong("your two numbers are exchanged: k comes first, then r0")
    scan = tp.load_scan("bond")
    r = np.array([atoms.info["coordinate"] for atoms in scan])
    energy = np.array([atoms.get_potential_energy() for atoms in scan])
    near = (r > 0.84) & (r < 1.11)
    excess = (k / 2 * (r - r0) ** 2 - energy + energy.min())[near]
    rms = np.sqrt(np.mean(excess**2))
    if rms >= RMS_OF_SPRING:
        left, right = ("high" if end > 0 else "low" for end in excess[[0, -1]])
        ends = f"too {left} at 0.85 Å and too {right} at 1.1 Å"
        raise Wrong(f"the rms error of your spring is {rms:.3f} eV, {RMS_OF_SPRING} is wanted; it is {ends}")


@exercise("01.2")
def bonds(answer):
    rng = np.random.default_rng()
    positions, k, r0 = rng.normal(size=(6, 3)), rng.uniform(1, 9), rng.uniform(0.5, 2)
    pairs = [(0, 1), (1, 2), (3, 1), (5, 4)]

    i, j = np.transpose(pairs)

    def energy_of(x):
        return (k / 2 * (np.linalg.norm(x[j] - x[i], axis=1) - r0) ** 2).sum()

    energy, forces = labels(answer, positions, pairs, k, r0)
    right = energy_of(positions)
    same_energy(
        energy, right, {2: "k/2 (r - r0)², and not k (r - r0)²", 1 / len(pairs): "a sum over the bonds, no mean"}
    )
    right_forces = minus_gradient(energy_of, positions)
    in_one, not_all = [0, 2, 3, 4, 5], not np.allclose(forces[1], right_forces[1], atol=1e-5)
    if np.allclose(forces[in_one], right_forces[in_one], atol=1e-5) and not_all:
        raise Wrong("an atom with several bonds feels some of them; the forces of all its bonds have to be added up")
    r_ij, by_length = positions[j] - positions[i], np.zeros_like(positions)
    pull = k * (np.linalg.norm(r_ij, axis=1) - r0)[:, None] * r_ij  # a direction that is as long as its bond
    np.add.at(by_length, i, pull)
    np.add.at(by_length, j, -pull)
    if np.allclose(forces, by_length, atol=1e-5):
        raise Wrong("each of your forces is off by the length of its bond: is the direction a unit vector?")
    same_forces(forces, right_forces)


@exercise("01.3")
def angle(answer):
    rng = np.random.default_rng()
    positions = np.array([[0, 0, 0], [0.9, 0.1, 0], [-0.7, 0.6, 0.2]]) + rng.uniform(-0.1, 0.1, size=(3, 3))

    def angle_of(x):
        a, b = x[1:] - x[0]
        return np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    k, theta0 = rng.uniform(1, 9), angle_of(positions) - rng.uniform(0.2, 0.5)  # far enough for forces

    def energy_of(x):
        return k / 2 * (angle_of(x) - theta0) ** 2

    energy, forces = labels(answer, positions, k, theta0)
    if np.isclose(energy, k / 2 * (np.degrees(angle_of(positions)) - theta0) ** 2):
        raise Wrong("your angle is in degrees; theta0 is in radians, and so the angle has to be")
    if np.isclose(energy, k / 2 * (angle_of(positions) - np.radians(theta0)) ** 2):
        raise Wrong("theta0 is in radians already; you convert it from degrees")
    same_energy(energy, energy_of(positions), {2: "k/2 (θ - θ0)², and not k (θ - θ0)²"})
    right = minus_gradient(energy_of, positions)
    if any(np.allclose(forces, right[list(order)], atol=1e-5) for order in ((1, 2, 0), (1, 0, 2), (0, 2, 1))):
        raise Wrong("your forces stand in another order than the positions: the middle atom comes first, then the ends")
    arms = np.linalg.norm(positions[1:] - positions[0], axis=1)[:, None]
    for factor in (arms, arms / arms[::-1]):
        ends = factor * right[1:]
        if np.allclose(forces, [-ends.sum(axis=0), *ends], atol=1e-5):
            raise Wrong("the forces on the ends are off by a length: is each divided by the length of its own arm?")
    same_forces(forces, right)


@exercise("01.4")
def forces_at_rest(answer):
    number = one_number(answer)
    test = tp.load_molecules("test")
    relaxed = np.concatenate([a.get_forces() for a in test if a.info["config_type"] == "relaxed"])
    right = 1e3 * np.abs(relaxed).mean()
    mistakes = {
        right / 1e3: "that is in eV/Å; meV/Å are expected",
        1e3
        * np.abs(
            np.concatenate([a.get_forces() for a in test])
        ).mean(): "that is over all frames, not the relaxed ones",
        1e3 * relaxed.mean(): "components of both signs cancel; take their absolute values first",
        1e3
        * np.linalg.norm(relaxed, axis=1).mean(): "that is the mean length of a force; its components are asked for",
        1e3 * np.sqrt((relaxed**2).mean()): "that is the root of the mean square; the mean absolute value is asked for",
    }
    for value, sentence in mistakes.items():
        if abs(number - value) < 1e-3 * abs(value) + 1e-6:
            raise Wrong(sentence)
    if abs(number) < 0.05 * right:
        raise Wrong(
            "nearly zero are the forces of MMFF94 itself, which relaxed these frames; those of DFT are asked for"
        )
    close(number, right, tolerance=1.0)


@exercise("01.5")
def rest_length(answer, liquid):
    r0 = one_number(answer)
    if not 0.5 < r0 < 2:
        raise Wrong(f"{r0:g} Å is no length of an O–H bond")
    forces = np.concatenate([atoms.get_forces() for atoms in liquid])
    zero = 1e3 * np.abs(forces).mean()
    error = tp.errors(tp.water({**WATER["SPC/Fw"], "r0": r0}), liquid)["force_mae"]
    if not error < zero:
        raise Wrong(f"with {r0:g} Å the forces are off by {error:.0f} meV/Å; guessing zero is off by {zero:.0f}")


@exercise("01.6")
def labelled_molecule(answer):
    frames = list(answer)
    if len(frames) < FRAMES:
        raise Wrong(f"there are {len(frames)} frames; at least {FRAMES} are expected")
    for number, atoms in enumerate(frames):
        if getattr(atoms, "calc", None) is None or "forces" not in getattr(atoms.calc, "results", {}):
            raise Wrong(f"frame {number} has no forces: `tp.label(frames, teacher)` makes them")
        if "level" not in atoms.info:
            raise Wrong(f"frame {number} does not say what made its label (`info['level']`); `tp.label` notes it")
        if not np.isfinite(atoms.get_forces()).all():
            raise Wrong(f"the forces of frame {number} are not all numbers")
    if len({atoms.get_chemical_formula() for atoms in frames}) > 1:
        raise Wrong("the frames are of several molecules; one molecule is asked for")
    if (different := len(tp.distinct(frames))) < FRAMES:
        raise Wrong(f"only {different} of your frames are different from each other; shake the molecule")


# --- energies and forces of a formula ---


def labels(answer, positions, *rest):
    """(energy, forces) that a function of the learner's gives."""
    if not callable(answer):
        raise Wrong("a function is expected, that can be tried on other atoms")
    given = answer(positions.copy(), *rest)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise Wrong("your function returns something else than two things; (energy, forces) is expected")
    energy, forces = given[0], given[1].detach() if hasattr(given[1], "detach") else given[1]
    if np.shape(forces) != positions.shape:
        raise Wrong(f"your forces have the shape {np.shape(forces)}; {positions.shape} is expected, as the positions")
    return one_number(energy, "your energy"), np.asarray(forces, dtype=float)


def same_energy(energy, right, mistakes):
    """``mistakes``: {factor by which the energy is wrong: what it should be}."""
    for factor, sentence in mistakes.items():
        if np.isclose(energy, factor * right):
            raise Wrong(f"your energy is wrong by a factor: it is {sentence}")
    close(energy, right, 1e-8 * abs(right), "your energy of random atoms")


def same_forces(forces, right):
    if np.allclose(forces, -right, atol=1e-5):
        raise Wrong("your forces point uphill; a force is minus the gradient of the energy")
    if np.abs(forces.sum(axis=0)).max() > 1e-5:
        raise Wrong("your forces do not add up to zero, so that the molecule would pull itself along")
    same_array(forces, right, "compared with the slope of your energy, the array of your forces", 1e-5)


def minus_gradient(energy_of, positions, step=1e-5):
    """By central differences."""
    forces = np.zeros_like(positions)
    for place in np.ndindex(*positions.shape):
        moved = [positions.copy(), positions.copy()]
        moved[0][place] -= step
        moved[1][place] += step
        forces[place] = (energy_of(moved[0]) - energy_of(moved[1])) / (2 * step)
    return forces
