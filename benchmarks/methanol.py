"""A second liquid: methanol, error against the number of DFT boxes, by where a potential starts.

    python benchmarks/methanol.py                    # two hours or so on 2 cores; resumes run by run
    python benchmarks/methanol.py --methods tpainn_gas_xtb scratch_atomref --sizes 10
    python benchmarks/methanol.py --case md          # the liquid: 50 ps NVT and NPT of three trainings from two starts

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
import itertools
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from ase.units import GPa
from kept import kept
from recipes import NETWORK
from results import earlier, merged, save_results
from tour import shuffled
from water import measure
from water import settings as settings_of

import tpainn_lite as tp
from tpainn_lite.simulate.observables import block_average, diffusion, rdf, yeh_hummer
from tpainn_lite.teachers.parallel import in_parallel
from tpainn_lite.train.curves import learning_curve

BUILD = Path(__file__).resolve().parents[1] / "build" / "methanol"
SMILES, N_MOLECULES, SIZE = "CO", 16, 6  # SIZE: atoms of a molecule
DENSITIES, TEMPERATURES, N_FRAMES = (0.65, 0.72, 0.79, 0.86, 0.93), (250, 300, 400), 30
LOCAL = {"cutoff": 4.8, "electrostatics": "damped-shifted"}  # what the network can see
PRETRAIN = {"steps": 6000, "batch_size": 1, "learning_rate": 1e-3, "check_every": 500}
SIZES = (5, 10, 25, 44)
KEY = ("case", "method", "n_train", "seed", "subset", "quantity")  # what makes a row
STARTS_OF_MD = ("mmff94", "liquid_xtb")
RUNS = {"nvt": "nvt-nh", "npt": "npt"}  # 300 K; a Nosé-Hoover chain, and 1 bar with the potential's own stress
MD = {
    "molecules": 32, "density": 0.786, "kelvin": 300, "n_train": 10, "picoseconds": 50.0, "equilibration": 10.0,
    "timestep": 0.5, "every": 100,
}  # fmt: skip
VISCOSITY = 0.54  # mPa s, of real methanol at 298 K


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
    return tp.autotune(start(name), frames, seed=seed, **settings_of(len(frames), False))


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
UNTRAINED = {
    "force_field": partial(tp.mmff94_liquid, cutoff=LOCAL["cutoff"]),
    "gfn2_xtb": tp.gfn2_xtb,
    "start_gas_xtb": partial(start, "gas_xtb"),
}


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
    options = {"n_jobs": arguments.jobs, "measure": partial(measure, size=SIZE)}
    rows = learning_curve(chosen, pool, tests, arguments.sizes, range(arguments.seeds), path, **options)
    for name in UNTRAINED.keys() & set(arguments.methods):
        row, model = {"method": name, "n_train": 0, "seed": 0}, UNTRAINED[name]()
        rows += [row | {"subset": subset, **measure(model, frames, SIZE)} for subset, frames in tests.items()]
    return rows


def md(arguments):
    """Rows of what the liquid does with potentials that ten boxes have made: how long it lasts, and its quantities."""
    starts = [name for name in STARTS_OF_MD if f"tpainn_{name}" in arguments.methods]
    for name in starts:
        make_start(name)
    tasks = [(name, seed, run) for run in arguments.runs for name in starts for seed in range(arguments.seeds)]
    return [row for rows in in_parallel(_run, tasks, arguments.jobs, in_order=True) for row in rows]


def _run(name, seed, kind):
    """Rows of one run, which goes on where it stopped."""
    torch.set_num_threads(1)
    train, few = partial(tuned, name), tp.draw(tp.load_methanol("train"), MD["n_train"], seed)
    made_from = {"frames": few, "training": train, "seed": seed}
    path = BUILD / f"md, {name}, {seed}.safetensors"
    potential = kept(path, tp.Potential.load, lambda path: train(few, seed).save(path), **made_from)
    n_steps = round(MD["picoseconds"] * 1000 / MD["timestep"])
    settings = {"timestep": MD["timestep"], "every": MD["every"], "seed": seed, "temperature": MD["kelvin"]}
    run = tp.run_md(
        _beginning(seed), tp.PotentialCalculator(potential), ensemble=RUNS[kind], n_steps=n_steps, progress=False,
        path=BUILD / f"md, {name}, {seed}, {kind}.traj", **settings,
    )  # fmt: skip
    row = {"method": f"tpainn_{name}", "n_train": MD["n_train"], "seed": seed, "subset": kind}
    found = {"lasted": (run.time[-1] / 1000, None), **({} if run.stopped else quantities(run, kind))}
    found |= {"pressure minus DFT's / GPa": pressure_bias(potential)} if kind == "npt" else {}
    rounded = {quantity: [value and float(f"{value:.4g}") for value in pair] for quantity, pair in found.items()}
    return [row | {"quantity": q, "value": v, "error": e, "stopped": run.stopped} for q, (v, e) in rounded.items()]


def pressure_bias(potential):
    """(mean, standard error) over boxes that nothing was trained on, in GPa: what would move a density."""
    calculator = tp.PotentialCalculator(potential)
    test = tp.load_methanol("test")
    off = [(a.get_stress() - calculator.get_stress(a.copy()))[:3].mean() / GPa for a in test]
    return float(np.mean(off)), float(np.std(off, ddof=1) / len(off) ** 0.5)


def _beginning(seed):
    """A box of MMFF94's liquid; equilibrated there, because a packed one is none."""
    start = tp.liquid(SMILES, MD["molecules"], density=MD["density"], seed=seed)
    settings = {"temperature": MD["kelvin"], "n_frames": 1, "warm_up": 10_000, "seed": seed, "labels": False}
    (frame,) = tp.liquid_run(start, tp.mmff94_liquid(cutoff=6.0), progress=False, **settings)
    return frame


def quantities(run, kind):
    """{quantity: (value, standard error of five blocks)} after the first `MD["equilibration"]`."""
    first = round(MD["equilibration"] * 1000 / (MD["timestep"] * MD["every"]))
    frames = run.frames[first:]
    if kind == "npt":
        return {"density / g/cm³": block_average(run.density[first:])}
    edges = np.linspace(0, len(frames), 6).astype(int)
    curves = [rdf(frames[a:b:4], "OO", r_max=6.0, n_bins=60) for a, b in itertools.pairwise(edges)]
    r, blocks = curves[0][0], np.array([g for _, g in curves])
    top = int(blocks.mean(axis=0).argmax())
    oxygen = np.array([atoms.positions[atoms.numbers == 8] for atoms in frames])
    slow, error = diffusion(oxygen, MD["timestep"] * MD["every"] / 1000, window=(2.0, 6.0))
    return {
        "first peak of g_OO": (float(blocks.mean(axis=0)[top]), float(blocks[:, top].std(ddof=1) / len(blocks) ** 0.5)),
        "its place / Å": (float(r[top]), None),
        "diffusion in the box / 1e-9 m²/s": (slow, error),
        "term of the box / 1e-9 m²/s": (yeh_hummer(MD["kelvin"], frames[0].cell[0, 0], VISCOSITY), None),
    }


CASES = {"curve": curve, "md": md}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=[*METHODS, *UNTRAINED], default=[*METHODS, *UNTRAINED])
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS), help="of --case md")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    rows, _ = earlier("methanol")
    for name in arguments.case:
        rows = merged(rows, [{"case": name, **row} for row in CASES[name](arguments)], KEY)
        spent = {tuple(row[k] for k in KEY[:4]): row.get("seconds", 0) for row in rows}
        save_results("methanol", rows, "python benchmarks/methanol.py", sum(spent.values()), ["torch", "openmm"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
