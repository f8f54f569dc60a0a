"""Checks of 04_autotuning_qm9: reference energies, a baseline, a learning curve and a gain on fresh random data."""

import inspect
from collections import Counter

import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator

import tpainn_lite as tp
from tpainn_lite.course.checks import Wrong, close, exercise, one_number, same_array
from tpainn_lite.structures.identity import fingerprint

SMILES = ("O", "C", "CO", "CS", "CCl", "CC", "N", "CN", "C=O", "CCO", "OO", "CSC", "ClCCl", "NN", "CC#N")
MOLECULE = "molecule_energy_mae"


@exercise("04.1")
def reference_energies(answer):
    truth, frames = random_labels()
    found = table_of(answer(frames), truth)
    for z, energy in truth.items():
        close(found[z], energy, 1e-4, f"with energies that are sums over atoms, the energy of element {z}")
    rng = np.random.default_rng()
    predicted, noise = rng.normal(scale=5.0, size=(2, len(frames)))
    shifted = [labelled(atoms, energy_of(atoms) + p) for atoms, p in zip(frames, predicted, strict=True)]
    found = table_of(answer(shifted, predicted), truth)
    if any(abs(found[z] - truth[z]) > 1e-4 for z in truth):
        raise Wrong("what is predicted is not taken off: your energies are to be fitted to label minus prediction")
    noisy = [labelled(atoms, energy_of(atoms) + e) for atoms, e in zip(frames, noise, strict=True)]
    rest, least = (rms_left(noisy, table) for table in (table_of(answer(noisy), truth), least_squares(noisy)))
    if rest > 1.1 * least:
        raise Wrong(f"your energies leave {rest:.2f} eV rms of noisy labels; least squares leave {least:.2f}")
    water = [labelled(tp.molecule("O"), -2000.0), labelled(tp.molecule("O"), -2002.0)]
    try:
        found = table_of(answer(water), {1: 0.0, 8: 0.0})
    except np.linalg.LinAlgError:
        raise Wrong(
            "it cannot fit pure water, where H and O always come in one proportion; np.linalg.lstsq can"
        ) from None
    together = 2 * found[1] + found[8]
    if abs(together + 2001.0) > 1e-3:
        raise Wrong(
            f"for pure water of -2001 eV a molecule, twice your H plus your O should be -2001, not {together:.6g}"
        )


@exercise("04.2")
def baseline(answer):
    truth, frames = random_labels()
    if not inspect.isclass(answer):
        raise Wrong("a class is expected, without brackets: MyBaseline, which is made from (frames, seed)")
    model, new = answer(frames, 0), [tp.molecule(smiles) for smiles in ("CCS", "NO", "C", "ClC=O")]
    given = model.predict(new)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise Wrong("predict returns something else than two things; (energies, list of forces) is expected")
    right = [sum(truth[z] for z in atoms.numbers) for atoms in new]
    same_array(given[0], right, "the array of energies of new molecules", 1e-6)
    if len(given[1]) == sum(map(len, new)) and np.shape(given[1][0]) == (3,):
        raise Wrong(
            "your forces are one array of all atoms; a list is expected, with an array (N, 3) for each molecule"
        )
    if len(given[1]) != len(new):
        raise Wrong(f"there are forces of {len(given[1])} molecules; of {len(new)} they are expected")
    for atoms, forces in zip(new, given[1], strict=True):
        if np.shape(forces) != (len(atoms), 3):
            raise Wrong(f"forces of {len(atoms)} atoms have the shape {np.shape(forces)}; (N, 3) is expected")
        if np.any(forces):
            raise Wrong("your baseline gives forces that are not zero, but sums over atoms do not depend on positions")


@exercise("04.3")
def own_learning_curve(answer):
    rng = np.random.default_rng()
    _, frames = random_labels(copies=4)
    pool, test = frames[:40], frames[40:]
    sizes, seeds, calls = [4, 8, 12], [3, 5, 8, 9], []
    methods = {name: spy(name, calls, rng.normal()) for name in ("slow", "quick")}
    rows = answer(methods, pool, test, sizes, seeds)
    check_calls(calls, methods, pool, test, sizes, seeds)
    check_curve(rows, calls, test)


@exercise("04.4")
def paired_gain(answer):
    rng = np.random.default_rng()
    runs = [(m, n, s) for m in ("T-PaiNN", "scratch", "delta") for n in (10, 100) for s in range(4)]
    for missing in (("scratch", 100, 2), ("T-PaiNN", 10, 1)):  # draws that one of the two has not
        runs.remove(missing)
    runs += [("T-PaiNN", 30, 0), ("T-PaiNN", 30, 1), ("scratch", 30, 1), ("scratch", 30, 2)]  # one draw in common
    runs += [("T-PaiNN", 300, 0), ("scratch", 300, 1)]  # none in common
    rows = [
        {"method": m, "n_train": n, "seed": s, "some_mae": rng.uniform(1, 2) * (s + 1) / n, "energy_mae": rng.random()}
        for m, n, s in runs
    ]
    while any(paired_by_chance(rows, n) for n in (10, 100)):
        rows = [rows[k] for k in rng.permutation(len(rows))]
    given = answer(rows, "T-PaiNN", "scratch", "some_mae")
    if not isinstance(given, dict) or not {10, 30, 100} <= {int(n) for n in given} <= {10, 30, 100, 300}:
        raise Wrong("a dictionary {number of labels: (mean, standard error)} is expected, with the numbers in the rows")
    error = {(row["method"], row["n_train"], row["seed"]): row["some_mae"] for row in rows}
    for n in (10, 100):
        seeds = [s for s in range(4) if {("scratch", n, s), ("T-PaiNN", n, s)} <= error.keys()]
        ratios = np.array([error["scratch", n, s] / error["T-PaiNN", n, s] for s in seeds])
        means = [np.mean([error[m, n, s] for s in range(4) if (m, n, s) in error]) for m in ("scratch", "T-PaiNN")]
        by_place = np.mean([theirs / mine for theirs, mine in zip(*in_order(rows, n), strict=False)])
        by_size = np.mean([theirs / mine for theirs, mine in zip(*in_order(by_seed(rows), n), strict=False)])
        paired = [np.mean([error[m, n, s] for s in seeds]) for m in ("scratch", "T-PaiNN")]  # of draws that both have
        if np.shape(given[n]) != (2,):
            raise Wrong(f"of {n} labels there is {given[n]!r:.40}; two numbers, (mean, standard error), are expected")
        mean, spread = (one_number(value) for value in given[n])
        for wrong, why in (
            (np.mean(1 / ratios), "it is upside down: the baseline's error over the method's is meant"),
            (by_place, "you pair by the order of the rows; pair by their seed"),
            (
                by_size,
                "you pair the first with the first, and so on; where a seed is missing these are different draws",
            ),
            (means[0] / means[1], "you divide means; divide the two errors of each draw, then take the mean"),
            (paired[0] / paired[1], "you divide means; divide the two errors of each draw, then take the mean"),
        ):
            if abs(mean - wrong) < 1e-9 < abs(wrong - ratios.mean()):
                raise Wrong(f"the mean ratio with {n} labels is {mean:.3g}: {why}")
        close(mean, ratios.mean(), 1e-6, f"the mean ratio with {n} labels")
        deviation = ratios.std(ddof=1)
        for wrong, why in (
            (deviation, "that is the standard deviation; of the mean it is smaller by the root of the number of draws"),
            (ratios.std() / len(seeds) ** 0.5, "the deviation of few draws is divided by n - 1 (ddof=1)"),
            (ratios.std(), "the deviation is divided by n - 1 (ddof=1), and by the root of the number of draws"),
        ):
            if abs(spread - wrong) < 1e-9:
                raise Wrong(f"the standard error with {n} labels is {spread:.3g}: {why}")
        close(spread, deviation / len(seeds) ** 0.5, 1e-6, f"the standard error with {n} labels")
    if np.shape(given[30]) != (2,) or not np.isnan(float(given[30][1])):
        raise Wrong(
            "with 30 labels the two share one draw alone, from which no scatter is known: (ratio, nan) is expected"
        )
    close(given[30][0], error["scratch", 30, 1] / error["T-PaiNN", 30, 1], 1e-6, "the ratio of the one draw in common")
    if 300 in given:
        raise Wrong("with 300 labels the two have no seed in common: leave this number out of the dictionary")


def paired_by_chance(rows, n):
    """Whether errors of one draw stand at the same place, so that pairing by the order of the rows is right there."""
    theirs, mine = (
        [row["seed"] for row in rows if (row["method"], row["n_train"]) == (method, n)]
        for method in ("scratch", "T-PaiNN")
    )
    return any(a == b for a, b in zip(theirs, mine, strict=False))


def in_order(rows, n):
    """The errors of the baseline and of the method with n labels, in the order of the rows."""
    return [
        [row["some_mae"] for row in rows if (row["method"], row["n_train"]) == (method, n)]
        for method in ("scratch", "T-PaiNN")
    ]


def by_seed(rows):
    return sorted(rows, key=lambda row: row["seed"])


@exercise("04.5")
def labels_needed(answer):
    number = one_number(answer)
    rows = [row for row in tp.load_results("learning_curve_qm9")["rows"] if row["task"] == "qm9_energy"]
    sizes = sorted({row["n_train"] for row in rows if row["method"] == "scratch_atomref"})
    curve = [tp.mean_error(rows, MOLECULE, method="scratch_atomref", n_train=n) for n in sizes]
    goal = tp.mean_error(rows, MOLECULE, method="tpainn_shipped_xtb", n_train=30)
    right = np.exp(np.interp(-np.log(goal), -np.log(curve), np.log(sizes)))
    if not right / 1.5 < number < right * 1.5:
        raise Wrong(
            f"{number:g} labels are too {'many' if number > right else 'few'}: follow a horizontal line from gas_xtb "
            "at 30 labels to the curve from scratch; both axes are logarithmic"
        )


@exercise("04.6")
def half_frozen(model):
    check_model(model)
    start, test = tp.load_pretrained("gas"), tp.load_molecules("test")[::3]
    pairs = list(zip(model.parameters(), start.parameters(), strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        raise Wrong("this is another network than the pretrained one")
    changed, there = sum((a != b).sum().item() for a, b in pairs), sum(b.numel() for _, b in pairs)
    if changed >= there / 2:
        raise Wrong(f"{changed:,} of {there:,} weights differ from the pretrained ones; fewer than half may")
    if not changed:
        raise Wrong("no weight differs from the pretrained ones; nothing was trained")
    if model.metadata.get("n_train") != 10:
        raise Wrong(f"it was trained on {model.metadata.get('n_train')} frames; the ten of the draw are meant")
    ten = tp.draw(tp.load_molecules("train"), 10, seed=0)
    if model.metadata.get("labels") != fingerprint({fingerprint(atoms) for atoms in ten}):
        raise Wrong("it was trained on ten other labels; those of tp.draw(pool, 10, seed=0) are meant")
    error, goal = (tp.errors(m, test)["force_mae"] for m in (model, tp.mmff94()))
    if error >= 0.9 * goal:
        raise Wrong(f"its force error is {error:.0f} meV/Å; MMFF94's, {goal:.0f}, less a tenth is the goal")


@exercise("04.7")
def better_with_the_same_labels(model, tuned):
    check_model(model)
    to_beat = tuned[100]
    if model.metadata.get("n_train") != to_beat.metadata["n_train"]:
        raise Wrong(f"it was trained on {model.metadata.get('n_train')} frames; the hundred in few are meant")
    if model.metadata.get("labels") != to_beat.metadata["labels"]:
        raise Wrong(
            "it was trained on other labels than tuned[100]; the comparison is fair with the hundred in few alone"
        )
    test = tp.load_molecules("test")[::3]
    error, goal = (tp.errors(each, test)["force_mae"] for each in (model, to_beat))
    if error >= goal:
        raise Wrong(f"its force error is {error:.1f} meV/Å; tuned[100] has {goal:.1f}")


# --- labels that are known ---


def labelled(atoms, energy):
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, energy=energy, forces=np.zeros((len(copy), 3)))
    return copy


def energy_of(atoms):
    return atoms.get_potential_energy()


def random_labels(copies=1):
    """({atomic number: eV}, frames whose energies are sums of these), five elements, two of them not in QM9."""
    rng = np.random.default_rng()
    truth = {z: rng.uniform(-100, -1) * z for z in (1, 6, 7, 8, 16, 17)}
    molecules = [tp.molecule(smiles) for smiles in rng.permutation(SMILES * copies)]
    return truth, [labelled(atoms, sum(truth[z] for z in atoms.numbers)) for atoms in molecules]


def table_of(found, elements):
    """{atomic number: eV} of the learner's."""
    if not isinstance(found, dict):
        raise Wrong(f"your function returns a {type(found).__name__}; a dictionary {{atomic number: eV}} is expected")
    if any(isinstance(z, str) for z in found):
        raise Wrong("the keys of your dictionary are texts; atomic numbers are expected")
    if {int(z) for z in found} != set(elements):
        raise Wrong(f"the frames hold the elements {sorted(elements)}; yours has {sorted(map(int, found))}")
    return {int(z): one_number(energy, f"the energy of element {z}") for z, energy in found.items()}


def rms_left(frames, table):
    left = [energy_of(atoms) - sum(table[z] for z in atoms.numbers) for atoms in frames]
    return float(np.sqrt(np.mean(np.square(left))))


def least_squares(frames):
    elements = sorted({z for atoms in frames for z in atoms.numbers})
    counts = [[(atoms.numbers == z).sum() for z in elements] for atoms in frames]
    fitted = np.linalg.lstsq(np.array(counts, float), np.array([energy_of(a) for a in frames]), rcond=None)[0]
    return dict(zip(elements, fitted, strict=True))


# --- the learner's learning curve ---


class Spy:
    """Off by a number that depends on what it was trained on, and on nothing else."""

    def __init__(self, off):
        self.off = off

    def predict(self, frames):
        return np.array([energy_of(a) + self.off for a in frames]), [a.get_forces() + self.off for a in frames]


def spy(name, calls, factor):
    """A method that writes down what it is given."""

    def train(frames, seed):
        off = factor * (1 + sum(id(a) % 997 for a in frames)) / 1e4
        calls.append({"method": name, "frames": list(frames), "seed": int(seed), "model": Spy(off)})
        return calls[-1]["model"]

    return train


def check_calls(calls, methods, pool, test, sizes, seeds):
    in_pool = {id(atoms) for atoms in pool}
    asked = Counter((call["method"], len(call["frames"]), call["seed"]) for call in calls)
    for n in sizes:
        for seed in seeds:
            for name in methods:
                if asked[name, n, seed] != 1:
                    times = asked[name, n, seed]
                    raise Wrong(f"{name!r} was trained {times} times on {n} frames with seed {seed}; once is expected")
    if sum(asked.values()) != len(methods) * len(sizes) * len(seeds):
        raise Wrong(f"there were {sum(asked.values())} trainings; one for each method, size and seed is expected")
    tested = {id(atoms) for atoms in test}
    drawn = {}
    for call in calls:
        own = [id(atoms) for atoms in call["frames"]]
        if tested & set(own):
            raise Wrong("frames of test are trained on")
        if len(set(own)) < len(own):
            raise Wrong("a frame was drawn twice; draw without putting back")
        if set(own) <= in_pool:
            drawn.setdefault((len(own), call["seed"]), []).append(tuple(sorted(own)))
    if any(len(set(draws)) > 1 for draws in drawn.values()):
        raise Wrong("with one size and seed the methods got different frames; all must get the same ones")
    for n in sizes:
        if len({draws[0] for (size, _), draws in drawn.items() if size == n}) == 1:
            raise Wrong(f"all seeds draw the same {n} frames; each seed is to be another draw")


def check_curve(rows, calls, test):
    keys = {"method", "n_train", "seed", "energy_mae", "force_mae"}
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, dict) for row in rows):
        raise Wrong("a list of dictionaries is expected, one for each training")
    if len(rows) != len(calls):
        raise Wrong(f"there are {len(rows)} rows of {len(calls)} trainings")
    for row in rows:
        if missing := sorted(keys - row.keys()):
            raise Wrong(f"a row has no {missing[0]}")
        run = (row["method"], row["n_train"], row["seed"])
        same = [call for call in calls if (call["method"], len(call["frames"]), call["seed"]) == run]
        if not same:
            raise Wrong(f"no training belongs to your row of {run[0]!r} with {run[1]} labels and seed {run[2]}")
        for key, right in tp.errors(same[0]["model"], test).items():
            close(row[key], right, 1e-3, f"the {key} on test of {row['method']!r} with {row['n_train']} labels")


def check_model(model):
    if isinstance(model, torch.nn.Module) and hasattr(model, "metadata"):
        return
    raise Wrong(f"a potential is expected, as tp.autotune returns it; yours is a {type(model).__name__}")
