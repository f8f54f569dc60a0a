"""How long simulations last: the share of runs that has not broken, from many starts, at high temperature.

    python benchmarks/survival.py                       # some hours on 2 cores; goes on with what is missing
    python benchmarks/survival.py --system molecules --sizes 10 --picoseconds 10

| system    | starts                                            | temperature | labels                               |
|-----------|---------------------------------------------------|-------------|--------------------------------------|
| water     | seven boxes of 32 H2O for each training: 21       | 500 K       | ten or fifty boxes of our DFT set    |
| molecules | 21 molecules of the DFT set's `test` per training | 1,000 K     | ten or fifty frames of its `train`   |

A run is over when a bond that was there at the start is broken, atoms have run into each other, or it has exploded
(`tpainn_lite.simulate.md.trouble`); a run that lasts is counted as *at least* so long (Kaplan and Meier 1958,
doi:10.1080/01621459.1958.10501452).  Langevin dynamics with 0.5 fs, all starts of a training together in one batch
(`tpainn_lite.simulate.many`); three trainings of each method, with other labels and other random numbers; the same
starts and velocities for every method.  Water starts from classical boxes at the same temperature and 1 g/cm³.
Methods: from scratch with fitted reference energies, T-PaiNN from the shipped starts, and these starts alone, whose
energies and forces no DFT label has touched.  Δ-learning is not among them: its teacher, asked at every step, is no
network that many structures go through at once.
Writes ``data/results/survival.json``: a row for each start.
"""

import argparse
import itertools
import os
import time
from functools import partial
from pathlib import Path

import learning_curve_qm9
import torch
import water
from kept import kept
from results import earlier, merged, save_results

import tpainn_lite as tp
from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.simulate.many import run_many
from tpainn_lite.teachers.parallel import in_parallel
from tpainn_lite.teachers.water_md import water_run

BUILD = Path(__file__).resolve().parents[1] / "build" / "survival"
TIMESTEP, EVERY, FRICTION = 0.5, 20, 10.0  # fs, steps between looks, 1/ps
N_STARTS = {"water": 7, "molecules": 21}  # of each training
KELVIN = {"water": 500.0, "molecules": 1000.0}
SIZES = (10, 50)
TASK = "molecule_forces"
METHODS = {  # {system: {method: (how it is trained or None, the start's name or None)}}
    "water": {
        "from scratch": (water.scratch, None),
        "T-PaiNN": (water.tuned("water_iamoeba", **water.GENTLE), "water_iamoeba"),
    },
    "molecules": {
        "from scratch": (learning_curve_qm9.scratch_way(TASK, "atomref"), None),
        "T-PaiNN from MMFF94": (learning_curve_qm9.tuned_way(TASK, "shipped"), "gas"),
        "T-PaiNN": (learning_curve_qm9.tuned_way(TASK, "shipped_xtb"), "gas_xtb"),
    },
}
KEY = ("system", "method", "n_train", "seed", "start")  # what makes a row


def pool(system):
    """What labels are drawn from."""
    return water.data()[0] if system == "water" else tp.load_molecules("train")


def starts(system):
    """All starts; of water ``N_STARTS`` for each of three trainings."""
    if system == "molecules":
        first = {}
        for atoms in tp.load_molecules("test"):
            if atoms.info["config_type"] == "relaxed" and len(atoms) > 4:
                first.setdefault(atoms.info["smiles"], atoms)
        return tp.draw(list(first.values()), N_STARTS[system], seed=0)
    settings = {"n_molecules": 32, "density": 1.0, "temperature": KELVIN[system], "spacing": 4000, "warm_up": 20_000}

    def make(path):
        write_frames(path, water_run(n_frames=3 * N_STARTS[system], seed=7, **settings))

    BUILD.mkdir(parents=True, exist_ok=True)
    return kept(BUILD / "water.extxyz", read_frames, make, settings=settings)


def potential(system, method, n, seed):
    """The trained potential, kept in ``build/survival/``; with no labels the start, as it is shipped."""
    train, name = METHODS[system][method]
    if n == 0:
        return tp.load_pretrained(name)
    frames = tp.draw(pool(system), n, seed)
    path = BUILD / f"{system}, {method}, {n}, {seed}.safetensors"
    make = partial(_train, train, frames, seed)
    return kept(path, tp.Potential.load, make, frames=frames, training=train, seed=seed)


def _train(train, frames, seed, path):
    train(frames, seed).save(path)


def runs(system, method, n, seed, picoseconds):
    """Rows of all starts of one training."""
    torch.set_num_threads(1)
    began, k = time.perf_counter(), N_STARTS[system]
    first = seed * k if system == "water" else 0
    some = starts(system)[first : first + k]
    settings = {"temperature": KELVIN[system], "timestep": TIMESTEP, "friction": FRICTION, "seed": seed, "every": EVERY}
    model, n_steps = potential(system, method, n, seed), round(picoseconds * 1000 / TIMESTEP)
    made = run_many(some, model, n_steps=n_steps, watch=_forget_frames, **settings)
    row = {"system": system, "method": method, "n_train": n, "seed": seed, "asked": picoseconds}
    row["seconds"] = round((time.perf_counter() - began) / k, 2)
    return [
        row | {"start": first + number, "picoseconds": run.time[-1] / 1000, "stopped": run.stopped}
        for number, run in enumerate(made)
    ]


def _forget_frames(made):
    """Of a long run only its length is asked for."""
    for run in made:
        del run.frames[:-1]


def asked_of(systems, sizes, seeds):
    """(system, method, number of labels, seed) of all trainings; a start alone has three sets of velocities."""
    for system in systems:
        for n, method, seed in itertools.product((*sizes, 0), METHODS[system], range(seeds)):
            if n or METHODS[system][method][1]:
                yield system, method, n, seed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picoseconds", type=float, default=20.0, help="how long each may last; longer later")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, _ = earlier("survival")
    done = {tuple(row[k] for k in KEY[:4]) for row in rows if row["asked"] >= arguments.picoseconds}
    tasks = [task for task in asked_of(arguments.system, arguments.sizes, arguments.seeds) if task not in done]
    for system in {task[0] for task in tasks}:
        starts(system)  # made before processes share them
    work = ((*task, arguments.picoseconds) for task in tasks)
    for new in in_parallel(runs, work, arguments.jobs):
        lasted = sorted(row["picoseconds"] for row in new)
        print({k: new[0][k] for k in KEY[:4]}, f"median {lasted[len(lasted) // 2]:.2f} ps", flush=True)
        rows = merged(earlier("survival")[0], new, KEY)
        seconds = sum(row["seconds"] for row in rows)
        command = "python benchmarks/survival.py"
        save_results("survival", rows, command, seconds, ["torch", "torch-sim-atomistic"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
