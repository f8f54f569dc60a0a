"""Checks of 06_molecular_dynamics: steps on springs of random stiffness, D of random walks, frames of a run."""

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.verlet import VelocityVerlet

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, close, exercise, one_number, same_array

N_ATOMS = 6
KELVIN, FRICTION = 400.0, 0.5  # 1/time, in ASE's unit
STRONG, STEP = 4.0, 0.2  # a friction and a time step whose product, 0.8, is large
TEMPERATURE_ERROR = 0.05  # relative; chance makes about 0.01 of it, the time step as much


@exercise("06.1")
def power_of_the_time_step(p):
    power = one_number(p)
    if power == 1:
        raise Wrong("with p = 1 doubling the step would double the wobble; it grows faster than that")
    close(p, 2, 0.1)


@exercise("06.2")
def velocity_verlet(answer):
    springs = Springs(N_ATOMS)
    steps = is_function(answer, "(x, v, masses, forces_of, dt, n_steps) -> (xs, vs)")
    xs, vs = tracks(steps, springs, 0.2, 50)
    conserves_energy(steps, springs)
    right_xs, right_vs = springs.verlet_of_ase(0.2, 50)
    same_array(xs, right_xs, "compared with ASE's velocity Verlet, your xs")
    same_array(vs, right_vs, "compared with ASE's velocity Verlet, your vs")


@exercise("06.3")
def langevin(answer):
    is_function(answer, "(x, v, masses, forces_of, dt, n_steps, temperature, friction, rng) -> (xs, vs)")

    def steps(temperature, friction, seed=None):
        return lambda *given: answer(*given, temperature, friction, np.random.default_rng(seed))

    springs = Springs(N_ATOMS)
    conserves_energy(steps(KELVIN, 0.0), springs, "without friction nothing is kicked; ")
    forgets_velocity(steps(0.0, FRICTION))
    kicks_are_independent(steps(KELVIN, FRICTION))
    runs = [tracks(steps(KELVIN, FRICTION, seed), springs, 0.1, 5)[1] for seed in (1, 1, 2)]
    if not np.array_equal(runs[0], runs[1]) or np.array_equal(runs[0], runs[2]):
        raise Wrong("the kicks do not come from the rng that is given: rng.normal(size=...)")
    stands_in_the_middle(steps(0.0, STRONG))
    holds_temperature(steps(KELVIN, FRICTION))
    kicks_are_normal(steps(0.0, STRONG), steps(KELVIN, STRONG, seed=0))


@exercise("06.4")
def scatter_of_temperature(scatter):
    number, right = one_number(scatter), 300 * np.sqrt(2 / (9 * 64))
    if abs(number - right / np.sqrt(3)) < 0.2:
        raise Wrong("n counts molecules, not atoms")
    if 0.7 * right < number < 0.95 * right:
        raise Wrong("is this the scatter of the run above? Such a short run shows less; the formula's is asked for")
    close(number, right, 0.5)


@exercise("06.5")
def diffusion(answer):
    is_function(answer, "(positions, spacing, window, n_blocks) -> (D, error)")
    for n_blocks in (5, 4):
        rng = np.random.default_rng()
        spacing, scale = rng.uniform(0.05, 0.2), rng.uniform(0.05, 0.15)
        walk = rng.normal(scale=scale, size=(600, 40, 3)).cumsum(axis=0)
        walk += rng.normal(scale=4 * scale, size=walk.shape)  # Å, rattling in a cage
        drift = scale * np.arange(600)[:, None, None] * [0.6, 0, 0]
        window = (5 * spacing, 25 * spacing)
        given = answer(walk + drift, spacing, window, n_blocks)
        if np.shape(given) != (2,):
            raise Wrong(f"your function returns something of the shape {np.shape(given)}; (D, its error) is expected")
        d, error = one_number(given[0], "your D"), one_number(given[1], "your error")
        right, right_error = tp.observables.diffusion(walk, spacing, window, n_blocks)
        right_slope(d, right, walk, drift, spacing, window, n_blocks)
        right_error_of_blocks(error, right_error, n_blocks)


@exercise("06.6")
def larger_box(larger, missing):
    if np.isclose(one_number(larger), missing / 8, atol=0.005):
        raise Wrong("you divide by the number of molecules; the term goes as one over the *width* of the box")
    close(larger, missing / 2, 0.01)


@exercise("06.7")
def kicked_hard(kicked, classical):
    if not isinstance(kicked, (list, tuple)) or not all(isinstance(frame, Atoms) for frame in kicked):
        raise Wrong("a list of frames is expected: list(tp.water_run(...))")
    if len(kicked) < len(classical) or len(kicked[0]) != len(classical[0]):
        raise Wrong(f"{len(kicked)} frames are not as long a run of as many molecules as the first; keep its settings")
    if np.allclose(kicked[-1].positions, classical[-1].positions):
        raise Wrong("these are the frames of the first run")
    kelvin = [frame.info["kinetic_temperature"] for frame in kicked]
    close(np.mean(kelvin), 300, 15, "the mean temperature of your run")
    block, single = (tp.observables.block_average(kelvin, n)[1] for n in (len(kelvin) // 10, len(kelvin)))
    if block > 1.45 * single:
        raise Wrong("the temperature of your run is remembered from frame to frame: was its friction 20 per ps?")
    slow, fast = (diffusion_in_box(frames) for frames in (kicked, classical))
    if slow > fast:
        raise Wrong(f"D of your run is {slow:.2f}, that of the first {fast:.2f}: yours is not slower")


@exercise("06.8")
def longer_run(longer):
    rows = tp.load_results("water_md")["rows"]
    run = {"model": "T-PaiNN, all frames", "run": "npt", "quantity": "density", "seed": 0}
    bar = next(row["error"] for row in rows if run.items() <= row.items())
    number, right = one_number(longer), (bar / 0.001) ** 2
    if abs(number * 0.001 / bar - 1) < 0.05:
        raise Wrong("that many times as long makes the bar smaller by the *root* of it only")
    close(number, right, 0.2 * right)


# --- springs ---


class Springs(Calculator):
    """Atoms of random masses, each in a well of its own: F = -K x, with a random stiffness in each direction."""

    implemented_properties = ("energy", "forces")

    def __init__(self, n_atoms, strength=1.0):
        super().__init__()
        rng = np.random.default_rng()
        root = rng.normal(scale=0.4, size=(n_atoms, 3, 3))
        self.stiffness = strength * (np.eye(3) + root @ root.transpose(0, 2, 1))  # (N, 3, 3) eV/Å²
        self.masses = rng.permutation(np.resize([1.0, 4.0, 16.0], n_atoms))  # (N,) amu
        self.x, self.v = rng.normal(scale=0.3, size=(2, n_atoms, 3))

    def forces_of(self, x):
        return -np.einsum("nxy,ny->nx", self.stiffness, x)

    def potential(self, xs):
        """(...,) eV of positions (..., N, 3)."""
        return 0.5 * np.einsum("...nx,nxy,...ny->...", xs, self.stiffness, xs)

    def energies(self, xs, vs):
        return self.potential(xs) + 0.5 * np.einsum("n,tnx->t", self.masses, vs**2)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions
        self.results = {"energy": float(self.potential(x)), "forces": self.forces_of(x)}

    def verlet_of_ase(self, dt, n_steps):
        atoms = Atoms(numbers=[1] * len(self.x), positions=self.x, masses=self.masses, calculator=self)
        atoms.set_velocities(self.v)
        motion, seen = VelocityVerlet(atoms, dt), []
        motion.attach(lambda: seen.append((atoms.positions.copy(), atoms.get_velocities())))
        motion.run(n_steps)
        xs, vs = zip(*seen, strict=True)
        return np.array(xs), np.array(vs)


def is_function(answer, signature):
    if not callable(answer):
        raise Wrong(f"a function {signature} is expected")
    return answer


def tracks(steps, springs, dt, n_steps):
    """(xs, vs), each (n_steps + 1, N, 3), as the learner's steps give them; they may not change what they are given."""
    x, v = springs.x.copy(), springs.v.copy()
    given = steps(x, v, springs.masses.copy(), springs.forces_of, dt, n_steps)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise Wrong("your function returns something else than two arrays; (xs, vs) is expected")
    if not (np.array_equal(x, springs.x) and np.array_equal(v, springs.v)):
        raise Wrong(
            "your function changes the x and v that it is given; x = x + ... makes a new one, x += ... does not"
        )
    found = []
    for name, track, start in zip(("xs", "vs"), given, (x, v), strict=True):
        if np.shape(track) != (n_steps + 1, *x.shape):
            raise Wrong(f"your {name} has the shape {np.shape(track)}; {(n_steps + 1, *x.shape)} is expected")
        found.append(np.asarray(track, dtype=float))
        if not np.allclose(found[-1][0], start):
            raise Wrong(f"the first of your {name} is not what the run starts from")
        if not np.isfinite(found[-1]).all():
            raise Wrong(f"your {name} has numbers that are not finite")
    if n_steps > 1 and np.array_equal(found[0][1], found[0][-1]):
        raise Wrong("all of your positions are the same: each step has to be stored by itself")
    return found


def conserves_energy(steps, springs, why=""):
    """Half the step must make a quarter of the wobble."""
    wobbles = []
    for dt, n_steps in ((0.2, 300), (0.1, 600)):
        energies = springs.energies(*tracks(steps, springs, dt, n_steps))
        trend = energies[-100:].mean() / energies[:100].mean()
        if trend > 2:
            raise Wrong(f"{why}the energy of your springs grows to {energies[-1] / energies[0]:.1f} times what it was")
        if trend < 0.5:
            raise Wrong(f"{why}the energy of your springs shrinks to {energies[-1] / energies[0]:.2f} of what it was")
        wobbles.append(np.abs(energies - energies[0]).max() / energies[0])
    if wobbles[1] > 0.05:
        off = f"{why}the energy of your springs changes by {100 * wobbles[1]:.0f} %, however short the step is"
        raise Wrong(off + slip_of_kick(steps, springs))
    if wobbles[0] < 3 * wobbles[1]:
        raise Wrong(
            f"{why}half the step makes the wobble of your energy {wobbles[0] / wobbles[1]:.1f} times smaller; "
            "four times is expected, with positions and velocities of the same moment"
        )


def slip_of_kick(steps, springs):
    """What is wrong with the first kick, as the first move shows it: it should be half a step of F/m."""
    dt, m, f = 0.1, springs.masses[:, None], springs.forces_of(springs.x)
    moved = tracks(steps, springs, dt, 1)[0][1] - springs.x
    kick = (moved / dt - springs.v) / dt
    mistakes = [
        (": is F divided by the mass?", f / 2),
        (": is each kick half a step?", f / m),
        (": is F divided by the mass, and each kick half a step?", f),
    ]
    return next((slip for slip, wrong in mistakes if np.allclose(kick, wrong, rtol=1e-4)), "")


def forgets_velocity(steps):
    """At 0 K, without forces, nothing but friction is left: v = v0 exp(-γ t)."""
    free = Springs(N_ATOMS, strength=0.0)
    vs = tracks(steps, free, 0.02, 100)[1]
    left, right = vs[-1] / vs[0], np.exp(-FRICTION * 2.0)
    if np.ptp(left) > 0.02:
        raise Wrong("at 0 K and without forces the velocities should all fall by one factor; yours do not")
    close(left.mean(), right, 0.02, "at 0 K and without forces, the part of the velocity left after one friction time")


def kicks_are_independent(steps):
    free = Springs(3000, strength=0.0)
    free.v[:] = 0
    kicks = np.sqrt(free.masses)[:, None] * tracks(steps, free, 0.1, 1)[1][1]
    spread = kicks.std()
    if not kicks.any():
        raise Wrong("nothing is kicked: at a temperature above 0 every step has random kicks")
    if spread < 1e-9 * np.abs(kicks).max():
        raise Wrong("one random number kicks all atoms; each atom needs numbers of its own, one for each direction")
    if np.abs(kicks.mean(axis=0)).max() > 0.3 * spread:
        raise Wrong("the kicks do not cancel: each atom needs numbers of its own, with mean 0")
    if abs(np.corrcoef(kicks[:, 0], kicks[:, 1])[0, 1]) > 0.3:
        raise Wrong("an atom gets the same kick in all three directions; each direction needs a number of its own")


def holds_temperature(steps):
    """Equipartition: kT/2 for each direction, of light and of heavy atoms, and as much in the springs."""
    springs = Springs(1500)
    springs.x[:], springs.v[:] = 0, 0
    xs, vs = (track[150:] for track in tracks(steps, springs, 0.2, 250))
    kinetic = springs.masses * (vs**2).mean(axis=(0, 2)) / units.kB  # (N,) K
    light, heavy = (kinetic[springs.masses == mass].mean() for mass in (1.0, 16.0))
    if not 0.8 < light / heavy < 1.25:
        raise Wrong(f"light atoms have {light:.0f} K and heavy ones {heavy:.0f} K: how does a kick depend on the mass?")
    if abs(kinetic.mean() / KELVIN - 1) > TEMPERATURE_ERROR:
        raise Wrong(f"your atoms have a temperature of {kinetic.mean():.0f} K; {KELVIN:.0f} K are asked for")
    mean = springs.potential(xs).mean() / (1.5 * units.kB * KELVIN * len(springs.x))
    close(mean, 1, 1.5 * TEMPERATURE_ERROR, "your mean energy of the springs, in units of 3/2 kT for each atom")


def stands_in_the_middle(steps):
    """At 0 K no kick is left, and the steps are the same whatever is drawn: half a move, the friction, half a move."""
    springs, kept = Springs(N_ATOMS), np.exp(-STRONG * STEP)
    given = tracks(steps, springs, STEP, 4)
    where = "the line of the thermostat stands {}; it belongs in the middle of the move, between its two halves"
    short = "1 − γΔt stands where exp(−γΔt) is meant, which is nearly the same for short steps alone"
    mistakes = [
        (where.format("at the start of the step"), "start", kept),
        (where.format("at the end of the step"), "end", kept),
        (where.format("at both ends of the step"), "both", np.sqrt(kept)),
        (where.format("before both halves of the move"), "before", kept),
        (where.format("after both halves of the move"), "after", kept),
        *((short, place, 1 - STRONG * STEP) for place in ("start", "middle", "end")),
    ]
    if alike(given, damped(springs, "middle", kept)):
        return
    for sentence, place, factor in mistakes:
        if alike(given, damped(springs, place, factor)):
            raise Wrong(sentence)
    raise Wrong(
        "at 0 K, with a friction times step of 0.8, your steps differ from half a move, the thermostat's line, half a "
        "move, between the two half kicks of the forces"
    )


def damped(springs, place, factor):
    """Four steps of velocity Verlet, (xs, vs), whose velocities are multiplied at one place of each."""
    x, v, m = springs.x, springs.v, springs.masses[:, None]
    xs, vs, f = [x], [v], springs.forces_of(x)
    for _ in range(4):
        v = (factor * v if place in ("start", "both") else v) + STEP / 2 * f / m
        v = factor * v if place == "before" else v
        x = x + STEP / 2 * v
        v = factor * v if place == "middle" else v
        x = x + STEP / 2 * v
        v = factor * v if place == "after" else v
        f = springs.forces_of(x)
        v = v + STEP / 2 * f / m
        v = factor * v if place in ("end", "both") else v
        xs.append(x)
        vs.append(v)
    return np.array(xs), np.array(vs)


def alike(ones, others):
    return all(np.allclose(one, other, rtol=0, atol=1e-7) for one, other in zip(ones, others, strict=True))


def kicks_are_normal(cold, warm):
    """A kick moves an atom by half a step of it: what the kicks were is read from where the atoms went."""
    springs = Springs(6000)
    moved, still = (tracks(steps, springs, STEP, 1)[0][1] for steps in (warm, cold))
    thermal = np.sqrt(units.kB * KELVIN / springs.masses)[:, None]
    kicks = (moved - still) / (STEP / 2) / thermal  # of the standard deviation sqrt(1 - exp(-2 γ Δt))
    width, right = kicks.std(), np.sqrt(1 - np.exp(-2 * STRONG * STEP))
    if abs(width / np.sqrt(2 * STRONG * STEP) - 1) < 0.05:
        raise Wrong("2γΔt stands where 1 − exp(−2γΔt) is meant, which is nearly the same for short steps alone")
    close(
        width / right, 1, 0.05, "with a friction times step of 0.8, the size of your kicks, in units of the formula's"
    )
    if abs((kicks**4).mean() / width**4 - 3) > 0.6:
        raise Wrong("your random numbers have the right variance, but not a normal distribution: rng.normal gives one")


# --- diffusion ---


def right_slope(d, right, walk, drift, spacing, window, n_blocks):
    """Say which of the usual mistakes a D is."""
    lags = np.arange(round(window[0] / spacing), round(window[1] / spacing) + 1)
    msd = tp.observables.mean_square_displacement(walk)[lags]
    through_origin = 10 / 6 * (msd @ lags) / (lags @ lags) / spacing
    mirrored = np.concatenate([walk + drift, -walk - drift], axis=1)  # its centre rests, so nothing is taken out
    carried = tp.observables.diffusion(mirrored, spacing, window, n_blocks)[0]
    mistakes = {
        "your D is ten times too small: 1 Å²/ps is 10 · 10⁻⁹ m²/s": right / 10,
        "your D is six times too large: the slope is 6 D": right * 6,
        "your D is three times too large: in three dimensions the slope is 6 D": right * 3,
        "your line goes through the origin; only the slope within the window counts, so let it have an intercept": (
            through_origin
        ),
        "the drift of the centre of all particles is still in your D": carried,
    }
    if abs(d / right - 1) < 0.02:
        return
    sentence = min(mistakes, key=lambda mistake: abs(d / mistakes[mistake] - 1))
    if abs(d / mistakes[sentence] - 1) < 0.05:
        raise Wrong(sentence)
    if abs(d / right / 2 - 1) < 0.2:
        raise Wrong(
            "your D is twice too large: the slope is 6 D, and the drift to take out is of all particles, not of one"
        )
    too = "large" if d > right else "small"
    raise Wrong(
        f"your D of a random walk is {d / right:.3g} times the library's, so too {too}; the line has an intercept, "
        "every time of the window counts, and so does every starting frame"
    )


def right_error_of_blocks(error, right, n_blocks):
    mistakes = {
        "your error is the scatter of the blocks; that of their mean is smaller by the root of their number": (
            right * np.sqrt(n_blocks)
        ),
        "your scatter of the blocks divides by n; with the mean taken from the same blocks it is n - 1 (ddof=1)": (
            right * np.sqrt((n_blocks - 1) / n_blocks)
        ),
    }
    if abs(error / right - 1) < 0.04:
        return
    for sentence, wrong in mistakes.items():
        if abs(error / wrong - 1) < 0.04:
            raise Wrong(sentence)
    too = "large" if error > right else "small"
    raise Wrong(f"your error from {n_blocks} blocks is {error / right:.3g} times the library's, so too {too}")


def diffusion_in_box(frames):
    spacing = (frames[1].info["time"] - frames[0].info["time"]) / 1e3  # ps
    return tp.observables.diffusion(np.array([a.positions[::3] for a in frames]), spacing, (1.0, 5.0))[0]
