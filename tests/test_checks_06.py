"""The checks of notebook 06 take what is right however it is written, and say what is wrong with the rest."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units

from tpainn_lite import observables
from tpainn_lite.course.checks import checks_of, verdict
from tpainn_lite.course.teach import solutions

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHECKS = checks_of("06", NOTEBOOKS / "checks")
SOLUTIONS = solutions(NOTEBOOKS / "solutions" / "06_molecular_dynamics.py")


def solved(number, name, changes=()):
    """What the solution of an exercise defines, with ``{old: new}`` changed."""
    code = SOLUTIONS[number].split("\n\n\n")[0]  # without what it prints
    for old, new in dict(changes).items():
        assert old in code, f"{old!r} is not in the solution of {number}"
        code = code.replace(old, new)
    names = {"np": np, "units": units}
    exec(code, names)
    return names[name]


# --- small ones ---

MISSING = 0.53
SMALL = [
    ("06.1", 2, [(1, "it grows faster"), (4, "too large"), ("two", "a number")], {}),
    (
        "06.4",
        17.7,
        [
            (30.6, "too large"),
            (10.2, "not atoms"),
            (14.3, "of the run above"),
            (1.0, "too small"),
            (None, "is expected"),
        ],
        {},
    ),
    ("06.6", 0.265, [(MISSING / 8, "width"), (MISSING, "too large"), (0.1, "too small")], {"missing": MISSING}),
    ("06.8", 80, [(9, "root"), (20, "too small"), (6561, "too large")], {}),
]


@pytest.mark.parametrize(("number", "right", "wrong", "given"), SMALL, ids=[case[0] for case in SMALL])
def test_numbers(number, right, wrong, given):
    for answer in (right, np.float32(right), np.array(right)):
        assert verdict(CHECKS[number], answer, **given) is None
    for answer, words in wrong:
        assert words in verdict(CHECKS[number], answer, **given)


# --- velocity Verlet ---


def second_order(x, v, masses, forces_of, dt, n_steps):
    """The same steps, by the acceleration."""
    xs, vs, m = np.zeros((n_steps + 1, *x.shape)), np.zeros((n_steps + 1, *x.shape)), masses.reshape(-1, 1)
    xs[0], vs[0] = x, v
    for k in range(n_steps):
        a = forces_of(xs[k]) / m
        xs[k + 1] = xs[k] + vs[k] * dt + 0.5 * a * dt**2
        vs[k + 1] = vs[k] + 0.5 * (a + forces_of(xs[k + 1]) / m) * dt
    return [xs, vs]


def euler(x, v, masses, forces_of, dt, n_steps):
    xs, vs = [x], [v]
    for _ in range(n_steps):
        x, v = x + dt * v, v + dt * forces_of(x) / masses[:, None]
        xs.append(x)
        vs.append(v)
    return np.array(xs), np.array(vs)


WRONG_STEPS = [
    ({"v = v + dt / 2 * f / m\n        x = ": "v = v + dt * f / m\n        x = ",
      "v = v + dt / 2 * f / m\n        xs": "xs"}, "times smaller; four times is expected"),
    ({"dt / 2 * f / m": "dt / 2 * f"}, "however short the step is: is F divided by the mass?"),
    ({"dt / 2 * f / m": "dt * f / m"}, "however short the step is: is each kick half a step?"),
    ({"dt / 2 * f / m": "dt * f"}, "is F divided by the mass, and each kick half a step?"),
    ({"dt / 2 * f / m": "dt / 3 * f / m"}, "however short the step is"),
    ({"f = forces_of(x)\n        v": "v"}, "grows to"),
    ({"return np.array(xs), np.array(vs)": "return x, v"}, "has the shape (6, 3); (51, 6, 3) is expected"),
    ({"xs, vs = [x], [v]": "xs, vs = [], []"}, "has the shape (50, 6, 3)"),
    ({"x = x + dt * v": "x += dt * v"}, "changes the x and v"),
    ({"return np.array(xs), np.array(vs)": "return np.array(xs)"}, "(xs, vs) is expected"),
    ({"dt / 2 * f / m": "-dt / 2 * f / m"}, "grows to"),
    ({"v = v + dt / 2 * f / m\n        x = x + dt * v": "x = x + dt / 2 * v",
      "v = v + dt / 2 * f / m\n        xs": "v = v + dt * f / m; x = x + dt / 2 * v\n        xs"}, "compared with ASE"),
]  # fmt: skip


@pytest.mark.parametrize("right", [solved("06.2", "my_verlet"), second_order])
def test_velocity_verlet_may_be_written_in_any_way(right):
    assert verdict(CHECKS["06.2"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_STEPS)
def test_wrong_steps(changes, words):
    assert words in verdict(CHECKS["06.2"], solved("06.2", "my_verlet", changes))


def test_euler_and_what_is_no_function():
    assert "grows to" in verdict(CHECKS["06.2"], euler)
    assert "a function" in verdict(CHECKS["06.2"], 3)


# --- Langevin ---


def by_acceleration(x, v, masses, forces_of, dt, n_steps, temperature, friction, rng):
    """Written otherwise, with the random numbers of all steps drawn beforehand, by atom and direction."""
    m, kt = masses.reshape(-1, 1), units.kB * temperature
    dice = rng.standard_normal((len(x), 3, n_steps))
    xs, vs = np.empty((2, n_steps + 1, *x.shape))
    xs[0], vs[0] = x, v
    for k in range(n_steps):
        half = vs[k] + 0.5 * dt * forces_of(xs[k]) / m
        kicked = half * np.exp(-friction * dt) + np.sqrt(-np.expm1(-2 * friction * dt) * kt / m) * dice[:, :, k]
        xs[k + 1] = xs[k] + 0.5 * dt * (half + kicked)
        vs[k + 1] = kicked + 0.5 * dt * forces_of(xs[k + 1]) / m
    return [xs, vs]


def at_both_ends(x, v, masses, forces_of, dt, n_steps, temperature, friction, rng):
    """Half the friction before velocity Verlet, half after it."""
    m, half = masses[:, None], np.exp(-friction * dt / 2)
    noise = np.sqrt(units.kB * temperature * (1 - half**2) / m)
    xs, vs = [x], [v]
    for _ in range(n_steps):
        v = half * v + noise * rng.standard_normal(v.shape)
        (_, x), (_, v) = second_order(x, v, masses, forces_of, dt, 1)
        v = half * v + noise * rng.standard_normal(v.shape)
        xs.append(x)
        vs.append(v)
    return np.array(xs), np.array(vs)


LINE = "v = kept * v + kick * rng.normal(size=v.shape)"
MOVE = "x = x + dt / 2 * v"
MIDDLE = f"        {MOVE}\n        {LINE}\n        {MOVE}\n"
WHOLE = f"        {MOVE}\n        {MOVE}\n"
FIRST, LAST = "        v = v + dt / 2 * f / m\n        x =", "        v = v + dt / 2 * f / m\n        xs"
SHORT = {"np.exp(-friction * dt)": "1 - friction * dt", "(1 - kept**2) * units": "2 * friction * dt * units"}
WRONG_THERMOSTATS = [
    ({"(1 - kept**2) * units": "2 * friction * dt * units", "temperature / m": "temperature"}, "on the mass"),
    ({"kept**2": "kept"}, "400 K are asked for"),
    ({"np.sqrt((1 - kept**2) * units.kB * temperature / m)": "(1 - kept**2) * units.kB * temperature / m"}, "mass"),
    ({"-friction * dt": "-2 * friction * dt"}, "is too small"),
    ({"np.exp(-friction * dt)": "1 + 0 * dt"}, "is too large"),
    ({"size=v.shape": "size=(len(v), 1)"}, "in all three directions"),
    ({"size=v.shape": "size=3"}, "each atom needs numbers of its own"),
    ({"rng.normal": "rng.uniform"}, "each atom needs numbers of its own"),
    ({"rng.normal": "np.random.normal"}, "do not come from the rng"),
    ({" + kick * rng.normal(size=v.shape)": ""}, "nothing is kicked"),
    ({"v = v + dt / 2 * f / m\n        xs": "xs"}, "without friction nothing is kicked; "),
    ({"rng.normal(size=v.shape)": "rng.normal(size=())"}, "one random number kicks all atoms"),
    ({MIDDLE: f"        {LINE}\n" + WHOLE}, "before both halves"),
    ({MIDDLE: WHOLE + f"        {LINE}\n"}, "after both halves"),
    ({MIDDLE: WHOLE, FIRST: f"        {LINE}\n{FIRST}"}, "at the start of the step"),
    ({MIDDLE: WHOLE, LAST: f"        v = v + dt / 2 * f / m\n        {LINE}\n        xs"}, "at the end of the step"),
    (SHORT, "1 − γΔt stands where"),
    ({"(1 - kept**2) * units": "2 * friction * dt * units"}, "400 K are asked for"),
    ({"rng.normal(size=v.shape)": "rng.uniform(-(3**0.5), 3**0.5, v.shape)"}, "not a normal distribution"),
]


@pytest.mark.parametrize("right", [solved("06.3", "my_langevin"), by_acceleration])
def test_a_thermostat_may_be_written_in_any_way(right):
    for _ in range(3):
        assert verdict(CHECKS["06.3"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_THERMOSTATS)
def test_a_wrong_thermostat(changes, words):
    assert words in verdict(CHECKS["06.3"], solved("06.3", "my_langevin", changes))


def test_a_thermostat_at_both_ends():
    assert "at both ends of the step" in verdict(CHECKS["06.3"], at_both_ends)


# --- diffusion ---


def by_library(positions, spacing, window, n_blocks=5):
    first, last = (round(t / spacing) for t in window)
    blocks = [observables.mean_square_displacement(b)[first : last + 1] for b in np.array_split(positions, n_blocks)]
    t = spacing * np.arange(first, last + 1)
    d = [10 * np.cov(t, msd)[0, 1] / np.var(t, ddof=1) / 6 for msd in blocks]
    return [np.mean(d), np.sqrt(np.var(d, ddof=1) / n_blocks)]


WRONG_DIFFUSION = [
    ({"10 * np.array": "np.array"}, "ten times too small"),
    ({" / 6 ": " "}, "six times too large"),
    ({"np.array(slopes) / 6": "np.array(slopes) / 2"}, "three times too large"),
    ({"np.array(slopes) / 6": "np.array(slopes) / 3"}, "twice too large"),
    ({"positions - positions.mean(axis=1, keepdims=True)": "positions"}, "the drift of the centre"),
    ({"np.polyfit(lags * spacing, msd, 1)[0]": "np.dot(lags, msd) / np.dot(lags, lags) / spacing"}, "the origin"),
    ({", values.std(ddof=1) / np.sqrt(n_blocks)": ", values.std(ddof=1)"}, "the scatter of the blocks"),
    ({"ddof=1": "ddof=0"}, "n - 1"),
    ({"return values.mean(), values.std(ddof=1) / np.sqrt(n_blocks)": "return values.mean()"}, "(D, its error)"),
    ({".sum(axis=2).mean()": ".mean()"}, "too small"),
    ({"positions.mean(axis=1, keepdims=True)": "positions[:, :1]"}, "too large"),
]


@pytest.mark.parametrize("right", [solved("06.5", "my_diffusion"), by_library])
def test_diffusion_may_be_written_in_any_way(right):
    for _ in range(5):
        assert verdict(CHECKS["06.5"], right) is None


@pytest.mark.parametrize(("changes", "words"), WRONG_DIFFUSION)
def test_wrong_diffusion(changes, words):
    assert words in verdict(CHECKS["06.5"], solved("06.5", "my_diffusion", changes))


# --- a run that is kicked hard ---


def run(scale, memory=0.0, n_frames=300, kelvin=300.0):
    """Frames as of `water_run`: molecules that walk, at a temperature that is remembered from frame to frame."""
    rng, frames, dev = np.random.default_rng(0), [], 0.0
    positions = rng.normal(size=(64 * 3, 3))
    for k in range(n_frames):
        positions = positions + rng.normal(scale=scale, size=positions.shape)
        dev = memory * dev + np.sqrt(1 - memory**2) * rng.normal(scale=17.0)
        info = {"time": 100.0 * (k + 1), "kinetic_temperature": kelvin + dev}
        frames.append(Atoms("OHH" * 64, positions, info=info))
    return frames


def test_a_run_of_its_own():
    classical = run(0.2, memory=0.9)
    for right in (run(0.15), tuple(run(0.18))):
        assert verdict(CHECKS["06.7"], right, classical=classical) is None
    for wrong, words in (
        (1.6, "a list of frames"), (run(0.15)[:100], "as long a run"), (classical, "the frames of the first run"),
        (run(0.15, kelvin=400.0), "too large"), (run(0.15, memory=0.9), "was its friction 20"),
        (run(0.25), "yours is not slower"),
    ):  # fmt: skip
        assert words in verdict(CHECKS["06.7"], wrong, classical=classical)
