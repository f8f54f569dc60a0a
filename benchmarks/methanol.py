"""A second liquid: methanol, error against the number of DFT boxes, by where a potential starts.

    python benchmarks/methanol.py                    # two hours or so on 2 cores; resumes run by run
    python benchmarks/methanol.py --methods tpainn_gas_xtb scratch_atomref --sizes 10
    python benchmarks/methanol.py --case md          # 50 ps at 300 K with each of three trainings

Our own labels (`data/make/methanol_dft.py`, revPBE-D3), boxes of 16 CH3OH; ``later``: later times of the trajectories
that are learnt from; ``new_density``: another density.  Starts: `load_pretrained("gas_xtb")` (``tpainn_gas_xtb``),
which has seen methanol molecules and no liquid; ``tpainn_mmff94``: `gas`, gone on with on MMFF94's boxes;
``tpainn_liquid_xtb``: `gas_xtb`, gone on with on a fifth of these, labelled by GFN2-xTB; ``tpainn_shuffled``: MMFF94's
boxes with labels dealt to the wrong ones, the negative control.  Baselines: from
scratch (``scratch_atomref``), Δ-learning on MMFF94 (``delta``), and, untrained, MMFF94
(``force_field``), GFN2-xTB and `gas_xtb` as they are.
Writes ``data/results/methanol.json``: forces in meV/Å (also ``between`` molecules), energies in meV/atom, stress, GPa.
"""

import argparse
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from ase.units import GPa
from kept import kept
from recipes import NETWORK
from results import earlier, merged, save_results
from tour import shuffled
from water import GENTLE
from water import settings as settings_of

import tpainn_lite as tp
from tpainn_lite.simulate.liquid import split_force_errors
from tpainn_lite.train.curves import learning_curve

BUILD = Path(__file__).resolve().parents[1] / "build" / "methanol"
SMILES, N_MOLECULES, SIZE = "CO", 16, 6  # SIZE: atoms of a molecule
DENSITIES, TEMPERATURES, N_FRAMES = (0.65, 0.72, 0.79, 0.86, 0.93), (250, 300, 400), 30
LOCAL = {"cutoff": 4.8, "electrostatics": "damped-shifted"}  # what the network can see
PRETRAIN = {"steps": 6000, "batch_size": 1, "learning_rate": 1e-3, "check_every": 500}
SIZES = (5, 10, 25, 44)
KEY = ("case", "method", "n_train", "seed", "subset")  # what makes a row
STATE = (0.79, 300.0)  # g/cm³, K: of the frames that MD begins with
MD = {"steps": 100_000, "kelvin": 300, "n_train": 10}  # of 0.5 fs: 50 ps


def boxes():
    """Boxes of classical methanol, labelled by MMFF94 with charges that end where the network does."""
    settings = {"n_frames": N_FRAMES, "spacing": 200, "stress": True, "teacher": tp.mmff94_liquid(**LOCAL)}
    return tp.liquid_runs(SMILES, N_MOLECULES, densities=DENSITIES, temperatures=TEMPERATURES, n_jobs=2, **settings)


def boxes_by_xtb():
    """A fifth of these boxes, labelled by GFN2-xTB, some seconds each."""
    return tp.label(boxes()[::5], tp.gfn2_xtb(), path=BUILD / "boxes_by_xtb.jsonl", n_jobs=2)


def boxes_shuffled():
    """These boxes, with labels of others."""
    return shuffled(boxes(), "temperature")


FRAMES = {"mmff94": boxes, "liquid_xtb": boxes_by_xtb, "shuffled": boxes_shuffled}
BEFORE = {"mmff94": "gas", "liquid_xtb": "gas_xtb", "shuffled": "gas"}  # what these go on from


def start(name):
    """The pretrained potential of this name: shipped, or made by `make_start`."""
    return tp.Potential.load(BUILD / f"{name}.safetensors") if name in FRAMES else tp.load_pretrained(name)


def make_start(name):
    """Go on from molecules with boxes of methanol that no DFT has labelled, unless it is there."""

    def make(path):
        begun = tp.load_pretrained(BEFORE[name])
        tp.autotune(begun, FRAMES[name](), **PRETRAIN, checkpoint=BUILD / f"run-{name}").save(path)

    kept(BUILD / f"{name}.safetensors", tp.Potential.load, make, frames=FRAMES[name], settings=PRETRAIN)


def tuned(name, frames, seed):
    """The start of this name, autotuned."""
    torch.set_num_threads(1)
    return tp.autotune(start(name), frames, seed=seed, **GENTLE, **settings_of(len(frames), False))


def scratch(frames, seed):
    """The network from random numbers, one energy per molecule, twice the steps."""
    torch.set_num_threads(1)
    return tp.train_from_scratch(frames, seed=seed, **NETWORK, **settings_of(len(frames), True))


def delta(frames, seed):
    """What DFT has beyond MMFF94, which is asked at every prediction."""
    torch.set_num_threads(1)
    teacher = tp.mmff94_liquid(cutoff=LOCAL["cutoff"])
    return tp.delta_learn(frames, teacher, seed=seed, **NETWORK, **settings_of(len(frames), True))


METHODS = {"scratch_atomref": scratch, "delta": delta}
METHODS |= {f"tpainn_{name}": partial(tuned, name) for name in ("gas_xtb", *FRAMES)}


def measure(model, frames):
    """Errors in all, of what moves whole molecules, and of the stress."""
    calculator = model.calculator() if hasattr(model, "calculator") else model
    calculator = tp.PotentialCalculator(model) if isinstance(model, tp.Potential) else calculator
    energies, forces, off = [], [], []
    for atoms in frames:
        copy = atoms.copy()
        copy.calc = calculator
        forces.append(copy.get_forces())
        energies.append(copy.get_potential_energy())
        off.append(np.abs(copy.get_stress() - atoms.get_stress()) / GPa)
    found = tp.errors(SimpleNamespace(predict=lambda _: (np.array(energies), forces)), frames)
    return found | split_force_errors(forces, frames, SIZE) | {"stress_mae": float(np.mean(off))}


def curve(arguments):
    """Rows of the learning curve, and of what no DFT label has changed."""
    pool, test = tp.load_methanol("train"), tp.load_methanol("test")
    known = {atoms.info["density"] for atoms in pool}
    tests = {"later": [a for a in test if a.info["density"] in known]}
    tests["new_density"] = [a for a in test if a.info["density"] not in known]
    chosen = {name: train for name, train in METHODS.items() if name in arguments.methods}
    for name in chosen.keys() & {f"tpainn_{name}" for name in FRAMES}:
        make_start(name.removeprefix("tpainn_"))
    path = BUILD / "curve.json"
    options = {"n_jobs": arguments.jobs, "measure": measure}
    rows = learning_curve(chosen, pool, tests, arguments.sizes, range(arguments.seeds), path, **options)
    untrained = {"force_field": tp.mmff94_liquid(cutoff=LOCAL["cutoff"]), "gfn2_xtb": tp.gfn2_xtb()}
    untrained |= {"start_gas_xtb": start("gas_xtb")}
    bare = [
        {"method": name, "n_train": 0, "seed": 0, "subset": subset, **measure(model, frames)}
        for name, model in untrained.items()
        for subset, frames in tests.items()
    ]
    return rows + bare


def md(arguments):
    """Rows of long runs with potentials that ten boxes have made: how long they last."""
    pool, rows = tp.load_methanol("train"), []
    starts = [a for a in tp.load_methanol("test") if (a.info["density"], a.info["temperature"]) == STATE]
    for seed in range(arguments.seeds):
        potential = tuned("gas_xtb", tp.draw(pool, MD["n_train"], seed), seed)
        settings = {"temperature": MD["kelvin"], "n_steps": MD["steps"], "seed": seed, "every": 100, "progress": False}
        run = tp.run_md(starts[seed], tp.PotentialCalculator(potential), path=BUILD / f"md-{seed}.traj", **settings)
        rows.append({"method": "tpainn_gas_xtb", "n_train": MD["n_train"], "seed": seed, "subset": "300 K"})
        rows[-1] |= {"picoseconds": run.time[-1] / 1000, "stopped": run.stopped}
    return rows


CASES = {"curve": curve, "md": md}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    rows, _ = earlier("methanol")
    for name in arguments.case:
        rows = merged(rows, [{"case": name, **row} for row in CASES[name](arguments)], KEY)
        spent = {tuple(row[k] for k in KEY[:-1]): row.get("seconds", 0) for row in rows}
        save_results("methanol", rows, "python benchmarks/methanol.py", sum(spent.values()), ["torch", "openmm"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
