"""Why autotuning is done as it is, and what comes with it.

    python benchmarks/autotuning.py                  # all cases, an hour or so on 2 cores; resumes
    python benchmarks/autotuning.py --case choices scans

| case             | question                                                                                          |
|------------------|---------------------------------------------------------------------------------------------------|
| choices          | which settings of `autotune` pay, with 50 labels of our DFT set                                   |
| choices_energies | the same with 100 energies of QM9                                                                 |
| closed_form      | ridge regression on the pretrained network's features, and autotuning, 100 energies of QM9        |
| convergence      | how errors fall with the steps, from before the first: T-PaiNN and from scratch (50 labels)       |
| size             | how the number of classical frames shows in the pretrained and in the autotuned error (50 labels) |
| forgetting       | how well an autotuned potential still imitates its teacher, with and without replay               |
| scans            | simple motions of which no frame was labelled: a bond, an angle, a torsion, a pair of molecules   |

Settings are compared on molecules that no study is tested on: our `valid`, and for QM9 some of its training part, whose
structures, not their DFT labels, the starts ``pool`` and ``dft`` have seen.  Starts are those of `study_starts.py`.
Writes ``data/results/autotuning.json``, a row by case, method and seed.
"""

import argparse
import os
import time

import numpy as np
import torch
from learning_curve_qm9 import (
    curve,
    make_starts,
    mean_way,
    measure,
    ridge_way,
    scratch_way,
    settings_of,
    tuned_way,
)
from results import earlier, merged, save_results
from study_data import held_out, source_of
from study_starts import BUILD, SPARSE, frames_of, start

import tpainn_lite as tp
from tpainn_lite.model.references import rereference
from tpainn_lite.reading.shipped import SCANS

START, TEACHER = "ladder", "xtb"  # what settings are compared with, and who taught it last
CHOICES = {
    "as it is": {},
    "layer decay 0.7": {"layer_decay": 0.7},
    "layer decay 0.4": {"layer_decay": 0.4},
    "embedding frozen": {"freeze": ("embedding",)},
    "first round frozen too": {"freeze": ("embedding", "interactions.0", "mixings.0")},
    "all but the readout frozen": {"freeze": ("embedding", "interactions", "mixings")},
    "no average over weights": {"ema_decay": 0.0},
    "twice the steps": {"steps": 2.0},
    "twice the learning rate": {"learning_rate": 2.0},
    "half the learning rate": {"learning_rate": 0.5},
    "replay": {"replay": True},
}
COMMITTEE = "mean of three"
CLOSED_FORM = ("shipped_xtb", "pool", "dft")
CHECK_EVERY = 20  # steps, in ``convergence``
KEY = ("case", "method", "n_train", "seed", "subset", "step")  # what makes a row


# --- settings ---


def choice(task, name):
    """Function of (frames, seed) that autotunes with the settings of this name."""
    replayed = {"replay": frames_of(TEACHER)[::SPARSE]} if "replay" in CHOICES[name] else {}

    def train(frames, seed):
        changed = CHOICES[name] | replayed
        usual = settings_of(task, len(frames), from_scratch=False)
        for factor in changed.keys() & {"steps", "learning_rate"}:
            changed[factor] = type(usual[factor])(usual[factor] * changed[factor])
        return tuned_way(task, START, **changed)(frames, seed)

    return train


def committee(task):
    """Function of (frames, seed) that autotunes three times, each in another order of the labels."""

    def train(frames, seed):
        return tp.Committee([tuned_way(task, START)(frames, 100 * k + seed) for k in range(3)])

    return train


def choices(seeds, jobs, task="molecule_forces"):
    """Rows of all settings."""
    methods = {name: choice(task, name) for name in CHOICES} | {COMMITTEE: committee(task)}
    n, pool, kept = held_out(task)
    make_starts(task, [f"tpainn_{START}"])
    return curve(f"choices, {task}, {source_of(task)}", methods, pool, {"valid": kept}, (n,), seeds, jobs)


def choices_energies(seeds, jobs):
    """Rows of all settings, for energies of QM9."""
    return choices(seeds, jobs, "qm9_energy")


def closed_form(seeds, jobs):
    """Rows of ridge regression, of autotuning, and of the mean of both, from several starts."""
    task, methods = "qm9_energy", {}
    for name in CLOSED_FORM:
        ridge, autotuned = ridge_way(task, name), tuned_way(task, name)
        ways = {"ridge": ridge, "autotuned": autotuned, "both": mean_way(ridge, autotuned)}
        methods |= {f"{name}, {kind}": way for kind, way in ways.items()}
    n, pool, kept = held_out(task)
    make_starts(task, [f"tpainn_{name}" for name in CLOSED_FORM])
    return curve(f"closed form, {source_of(task)}", methods, pool, {"valid": kept}, (n,), seeds, jobs)


# --- what comes with it ---


def convergence(seeds, jobs):
    """Rows of force errors along the training, on our `valid` molecules."""
    n, pool, valid = held_out("molecule_forces")
    rows = []
    ways = {"tpainn_mmff94": partial_way(tuned_way, "mmff94"), "tpainn_ladder": partial_way(tuned_way, "ladder")}
    ways |= {"scratch_atomref": partial_way(scratch_way, "atomref")}
    for seed in range(seeds):
        for method, way in ways.items():
            history = []
            way(watch=history.append, check_every=CHECK_EVERY, valid=valid[::3])(tp.draw(pool, n, seed), seed)
            keys = ("step", "force_mae", "energy_mae")
            run = {"method": method, "n_train": n, "seed": seed, "subset": "valid"}
            rows += [run | {k: row[k] for k in keys} for row in history[-1] if row.get("force_mae") is not None]
            if method != "scratch_atomref":
                name = method.removeprefix("tpainn_")
                rows.append(run | {"step": 0} | untuned_errors(name, pool, n, seed, valid[::3]))
    return rows


def untuned_errors(name, pool, n, seed, frames):
    """Errors of a start whose reference energies alone have seen the labels."""
    potential = start(name)
    rereference(potential, tp.draw(pool, n, seed))
    return tp.errors(potential, frames)


def partial_way(way, name):
    """Function of settings."""
    return lambda **changed: way("molecule_forces", name, **changed)


def classical_errors(model, frames):
    """Force error, meV/Å, on the frames' DFT labels and on MMFF94 labels of the same."""
    taught_again = tp.label([atoms.copy() for atoms in frames], tp.mmff94(), progress=False)
    return {**measure(model, frames), "teacher_force_mae": tp.errors(model, taught_again)["force_mae"]}


def size(seeds, jobs):
    """Rows of starts with more and more classical frames: before and after autotuning."""
    n, pool, valid = held_out("molecule_forces")
    rows, names = [], ("fewest", "few", "mmff94", "shipped")
    for name in names:
        before = {"method": f"tpainn_{name}", "n_train": 0, "seed": 0, "subset": "valid"}
        before["n_frames"] = start(name).metadata["n_train"]
        rows.append(before | classical_errors(start(name), valid))
    methods = {f"tpainn_{name}": tuned_way("molecule_forces", name) for name in names}
    return rows + curve("size", methods, pool, {"valid": valid}, (n,), seeds, jobs)


def forgetting(seeds, jobs):
    """Rows of what is left of the teacher."""
    _, pool, valid = held_out("molecule_forces")
    make_starts("molecule_forces", ["tpainn_mmff94"])
    replayed = tuned_way("molecule_forces", "mmff94", replay=frames_of("mmff94")[::SPARSE])
    methods = {"autotuned": tuned_way("molecule_forces", "mmff94"), "with replay": replayed}
    return curve("forgetting", methods, pool, {"valid": valid}, (10, 50, 200), seeds, jobs, classical_errors)


def along(model, frames):
    """RMS error, meV, of the energy above the DFT minimum, for all points and for those at shorter lengths."""
    dft = np.array([atoms.get_potential_energy() for atoms in frames])
    predicted, lowest = model.predict(frames)[0], int(np.argmin(dft))
    error = 1e3 * ((predicted - predicted[lowest]) - (dft - dft[lowest]))
    found = {"rmse": float(np.sqrt(np.mean(error**2)))}
    lengths = frames[0].info["config_type"] in ("bond", "dimer")
    return found | ({"rmse_short": float(np.sqrt(np.mean(error[:lowest] ** 2)))} if lengths else {})


def scans(seeds, jobs):
    """Rows of errors along the scans."""
    _, pool, _ = held_out("molecule_forces")
    task, tests = "molecule_forces", {name: tp.load_scan(name) for name in SCANS}
    methods = {f"tpainn_{name}": tuned_way(task, name) for name in ("mmff94", "ladder")}
    methods["scratch_atomref"] = scratch_way(task, "atomref")
    make_starts(task, methods)
    rows = [
        {"method": f"tpainn_{name}", "n_train": 0, "seed": 0, "subset": scan, **along(start(name), frames)}
        for name in ("mmff94", "ladder")
        for scan, frames in tests.items()
    ]
    return rows + curve("scans", methods, pool, tests, (50, 200), seeds, jobs, along)


CASES = {f.__name__: f for f in (choices, choices_energies, closed_form, convergence, size, forgetting, scans)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in arguments.case:
        started = time.perf_counter()
        new = [{"case": name, **row} for row in CASES[name](arguments.seeds, arguments.jobs)]
        rows, spent = earlier("autotuning")
        rows = merged(rows, new, KEY)
        spent += time.perf_counter() - started
        save_results("autotuning", rows, "python benchmarks/autotuning.py", spent, ["torch", "rdkit"], 1, start=START)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
