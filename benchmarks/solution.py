"""A solute in water without DFT: N-methylacetamide among 32 H2O, GFN2-xTB in the place of the expensive reference.

    python benchmarks/solution.py                    # an hour and a half on 2 cores; resumes run by run

The way is that of any mixture or solution: `tp.liquid` packs the box, MMFF94 moves and labels the boxes to pretrain on,
others are labelled by the reference.  To learn from (``pool``) and to test on: frames of MMFF94's MD at other states,
``later`` in the same runs, and at a state of their own (``new_state``).  Methods: T-PaiNN from `gas`, gone on with on
MMFF94's boxes (``tpainn_mmff94``); from `gas` as it is, which knows molecules alone (``tpainn_gas``); from boxes with
labels dealt to the wrong ones, the negative control (``tpainn_shuffled``); Δ-learning on MMFF94 (``delta``); from
scratch (``scratch_atomref``); and MMFF94 itself (``force_field``).  None of them was taught by GFN2-xTB before.
``--case md``: three trainings on ten boxes, 20 ps at 300 K each; frames of these runs are labelled by the reference,
so that errors are known where the potential itself goes (``own_frames``).
Writes ``data/results/solution.json``: forces in meV/Å (also ``solute``: on its atoms; ``between``: what pushes and
turns the water molecules), energies in meV/atom, after the best constants (`tp.errors` of a calculator).
"""

import argparse
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from kept import kept
from methanol import PRETRAIN, scratch
from recipes import LOCAL, NETWORK
from results import earlier, merged, save_results
from tour import shuffled
from water import calculator_of
from water import settings as settings_of

import tpainn_lite as tp
from tpainn_lite.model.errors import errors, force_mae
from tpainn_lite.simulate.liquid import split_forces
from tpainn_lite.teachers.parallel import in_parallel
from tpainn_lite.train.curves import learning_curve

BUILD = Path(__file__).resolve().parents[1] / "build" / "solution"
MOLECULES = {"CC(=O)NC": 1, "O": 32}
SOLUTE = 12  # atoms, the first of a box
DENSITIES, TEMPERATURES, N_FRAMES = (0.9, 0.95, 1.0, 1.05), (300, 400), 40  # to pretrain on
STATES, NEW_STATE = ((1.0, 300), (0.92, 300), (1.0, 400), (1.04, 350)), (0.96, 330)  # of the reference's frames
TRAIN, LATER = range(10), range(12, 16)  # frames of each run
SPACING, SEED = 500.0, 20265
SIZES = (5, 10, 40)
MD = {"n_steps": 40_000, "timestep": 0.5, "temperature": 300, "every": 100, "progress": False}
OWN = slice(100, None, 75)  # frames of these runs that the reference labels
KEY = ("case", "method", "n_train", "seed", "subset")  # what makes a row


def boxes():
    """Boxes of the solution, moved and labelled by MMFF94 with charges that end where the network does."""
    settings = {"n_frames": N_FRAMES, "spacing": 200, "stress": True, "teacher": tp.mmff94_liquid(**LOCAL), "n_jobs": 2}
    return tp.liquid_runs(MOLECULES, densities=DENSITIES, temperatures=TEMPERATURES, **settings)


def boxes_shuffled():
    """These boxes, with labels of others."""
    return shuffled(boxes(), "temperature")


FRAMES = {"mmff94": boxes, "shuffled": boxes_shuffled}


def start(name):
    """The pretrained potential of this name: shipped, or made by `make_start`."""
    return tp.Potential.load(BUILD / f"{name}.safetensors") if name in FRAMES else tp.load_pretrained(name)


def make_start(name):
    """Go on from `gas` with boxes of the solution, unless it is there."""

    def make(path):
        tp.autotune(tp.load_pretrained("gas"), FRAMES[name](), **PRETRAIN, checkpoint=BUILD / f"run-{name}").save(path)

    kept(BUILD / f"{name}.safetensors", tp.Potential.load, make, frames=FRAMES[name], settings=PRETRAIN)


def reference():
    """{subset: frames} labelled by GFN2-xTB, some seconds each."""
    runs = [_moved(density, kelvin, SEED + k) for k, (density, kelvin) in enumerate(STATES)]
    new = _moved(*NEW_STATE, SEED + len(STATES))
    parts = {"pool": [run[k] for run in runs for k in TRAIN], "later": [run[k] for run in runs for k in LATER]}
    return {name: labelled(name, frames) for name, frames in (parts | {"new_state": new[::2]}).items()}


def _moved(density, kelvin, seed):
    """Frames of a run, without labels."""
    settings = {"temperature": kelvin, "spacing": SPACING, "n_frames": max(LATER) + 1, "seed": seed, "labels": False}
    box = tp.liquid(MOLECULES, density=density, seed=seed)
    return list(tp.liquid_run(box, tp.mmff94_liquid(**LOCAL), progress=False, **settings))


def labelled(name, frames):
    return tp.label(frames, tp.gfn2_xtb(), path=BUILD / f"{name}.jsonl", n_jobs=2)


def tuned(name, frames, seed):
    """The start of this name, autotuned."""
    torch.set_num_threads(1)
    return tp.autotune(start(name), frames, seed=seed, **settings_of(len(frames), False))


def delta(frames, seed):
    """What the reference has beyond MMFF94, which is asked at every prediction."""
    torch.set_num_threads(1)
    return tp.delta_learn(frames, tp.mmff94_liquid(**LOCAL), seed=seed, **NETWORK, **settings_of(len(frames), True))


METHODS = {"scratch_atomref": scratch, "delta": delta}
METHODS |= {f"tpainn_{name}": partial(tuned, name) for name in ("gas", *FRAMES)}


def measure(model, frames):
    """Errors in all, of the solute's atoms, and of what pushes and turns the water molecules."""
    calculator = calculator_of(model)
    predicted = [calculator.get_forces(atoms.copy()) for atoms in frames]
    between = []
    for forces, atoms in zip(predicted, frames, strict=True):
        parts = split_forces(atoms[SOLUTE:], (forces - atoms.get_forces())[SOLUTE:])
        between.append(np.abs(parts["push"] + parts["turn"]).mean())
    of_solute = force_mae([forces[:SOLUTE] for forces in predicted], [a.get_forces()[:SOLUTE] for a in frames])
    return errors(calculator, frames) | {"solute_mae": of_solute, "between_mae": 1e3 * float(np.mean(between))}


def curve(arguments):
    """Rows of the learning curve, and of MMFF94 itself."""
    parts = reference()
    pool = parts.pop("pool")
    for name in FRAMES:
        make_start(name)
    options = {"n_jobs": arguments.jobs, "measure": measure}
    rows = learning_curve(METHODS, pool, parts, SIZES, range(arguments.seeds), BUILD / "curve.json", **options)
    row = {"method": "force_field", "n_train": 0, "seed": 0}
    return rows + [row | {"subset": s, **measure(tp.mmff94_liquid(**LOCAL), frames)} for s, frames in parts.items()]


def md(arguments):
    """Rows of what happens to ten boxes' potentials in MD: how long a run lasts, and their errors on the way."""
    make_start("mmff94")
    pool = reference()["pool"]
    tasks = [(name, tp.draw(pool, 10, seed), seed) for name in arguments.md for seed in range(arguments.seeds)]
    runs = in_parallel(run, tasks, arguments.jobs, in_order=True)
    rows = []
    for (method, _, seed), (potential, done) in zip(tasks, runs, strict=True):
        row = {"method": method, "n_train": 10, "seed": seed, "subset": "own_frames"}
        row |= {"lasted": round(float(done.time[-1]) / 1000, 3), "stopped": done.stopped}
        own = done.frames[OWN]  # none where the run broke before
        rows.append(row | (measure(potential, labelled(f"own, {method}, {seed}", own)) if own else {}))
    return rows


def run(method, few, seed):
    """(potential, its run), which goes on where it stopped."""
    torch.set_num_threads(1)
    path, train = BUILD / f"{method}, {seed}.safetensors", METHODS[method]
    made_from = {"frames": few, "training": train, "seed": seed}
    potential = kept(path, tp.Potential.load, lambda path: train(few, seed).save(path), **made_from)
    box = _moved(1.0, MD["temperature"], SEED + 100 + seed)[-1]
    calculator, path = tp.PotentialCalculator(potential), BUILD / f"{method}, {seed}.traj"
    return potential, tp.run_md(box, calculator, ensemble="nvt-nh", path=path, seed=seed, **MD)


CASES = {"curve": curve, "md": md}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--md", nargs="+", choices=METHODS, default=["tpainn_mmff94", "scratch_atomref"])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    rows, _ = earlier("solution")
    for name in arguments.case:
        rows = merged(rows, [{"case": name, **row} for row in CASES[name](arguments)], KEY)
        spent = {tuple(row.get(k) for k in KEY[:-1]): row.get("seconds", 0) for row in rows}
        save_results("solution", rows, "python benchmarks/solution.py", sum(spent.values()), ["torch", "openmm"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
