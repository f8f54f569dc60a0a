"""The liquid that each potential makes: molecular dynamics of 64 H2O, with error bars and the time until it fails.

    python benchmarks/water_md.py                        # many hours on 2 cores; every run resumes where it stopped;
                                                         # what is in the results is not run again
    python benchmarks/water_md.py --model "T-PaiNN, all frames" --run nvt npt --seeds 1 --picoseconds 20
    python benchmarks/water_md.py --analyse              # run nothing; what is there so far

| run | what                                                                                                          |
|-----|---------------------------------------------------------------------------------------------------------------|
| nvt | 0.997 g/cm³, 300 K (Nosé-Hoover chain): g(r), diffusion, the height of the first peak of g_OO                 |
| hot | the same density at 400 K (Langevin): does it last?                                                           |
| npt | 300 K, 1 bar, with the potential's own stress (Martyna, Tobias, Klein): density                               |
| nve | constant energy from 300 K: drift                                                                             |

Models: the shipped weights, without any DFT label; T-PaiNN autotuned from `water_iamoeba` and from `water_xtb`, on ten
and on all DFT boxes; the same network from scratch.  A seed is another draw of the labels (of all, another order),
another order of training and other velocities.  All start from a box
of classical q-TIP4P/F; the first `EQUILIBRATION` is not counted.  Diffusion has Yeh and Hummer's term for the box, with
the viscosity of real water.  Errors of a run are standard errors of five blocks.  Writes
``data/results/water_md.json``: a row by model, seed, run and quantity, and curves of g(r).
"""

import argparse
import itertools
import json
import os
import time

import numpy as np
import torch
from ase.io import read
from kept import kept
from results import earlier, merged, save_results
from water import BUILD, GENTLE, data, scratch, tuned

import tpainn_lite as tp
from tpainn_lite.reading.shipped import load_results
from tpainn_lite.simulate.md import MDRun, run_md
from tpainn_lite.simulate.observables import block_average, diffusion, energy_drift, rdf, yeh_hummer
from tpainn_lite.structures.files import write_text
from tpainn_lite.structures.identity import check_same, identity
from tpainn_lite.teachers.parallel import in_parallel
from tpainn_lite.teachers.water_md import water_run

N, DENSITY, KELVIN = 64, 0.997, 300.0  # molecules, g/cm³, K
TIMESTEP, EVERY = 0.5, 100  # fs, steps between frames
EQUILIBRATION, LONG_ENOUGH, LONG_ENOUGH_FOR_DIFFUSION = 5.0, 20.0, 65.0  # ps
RUNS = {  # name: (ensemble, temperature / K, ps)
    "nvt": ("nvt-nh", KELVIN, 100.0),
    "npt": ("npt", KELVIN, 100.0),
    "hot": ("nvt", 400.0, 20.0),
    "nve": ("nve", KELVIN, 20.0),
}
ALL = "all"
KEY = ("model", "seed", "run", "quantity")  # what makes a row
MODELS = {  # name: (how it is trained, or the shipped weights' name; number of DFT boxes)
    "T-PaiNN, all frames": (tuned("water_iamoeba", **GENTLE), ALL),
    "T-PaiNN, 10 frames": (tuned("water_iamoeba", **GENTLE), 10),
    "T-PaiNN from GFN2-xTB, all frames": (tuned("water_xtb", **GENTLE), ALL),
    "T-PaiNN from GFN2-xTB, 10 frames": (tuned("water_xtb", **GENTLE), 10),
    "from scratch, all frames": (scratch, ALL),
    "from scratch, 10 frames": (scratch, 10),
    "pretrained on iAMOEBA": ("water_iamoeba", 0),
    "pretrained on q-TIP4P/F": ("water", 0),
    "pretrained on GFN2-xTB": ("water_xtb", 0),
}


def potential(model, seed):
    """The trained potential; kept in ``build/water/``."""
    train, n = MODELS[model]
    if n == 0:
        return tp.load_pretrained(train)
    pool, _ = data()
    frames = tp.draw(pool, len(pool) if n == ALL else n, seed)
    made_from = {"frames": frames, "training": train, "seed": seed}
    path = BUILD / f"md, {model}, {seed}.safetensors"
    return kept(path, tp.Potential.load, lambda path: train(frames, seed).save(path), **made_from)


def beginning(seed):
    """A box of liquid q-TIP4P/F."""
    settings = {"n_molecules": N, "density": DENSITY, "temperature": KELVIN, "seed": seed}
    (frame,) = water_run(n_frames=1, warm_up=10_000, spacing=100, **settings)
    return frame


def md(model, seed, name, picoseconds):
    """One run, or its rest, and what it says; kept next to its trajectory, so that a stopped run stays stopped."""
    torch.set_num_threads(1)
    ensemble, kelvin, longest = RUNS[name]
    path = BUILD / "md" / f"{model}, {seed}, {name}.traj"
    n_steps = round(min(picoseconds or longest, longest) * 1000 / TIMESTEP)
    calculator = tp.PotentialCalculator(potential(model, seed))
    settings = {"temperature": kelvin, "timestep": TIMESTEP, "every": EVERY, "seed": seed}
    made_from = identity(calculator=calculator, ensemble=ensemble, density=DENSITY, molecules=N, **settings)
    summary = _summary(path)
    if summary is not None:
        check_same(summary.get("identity"), made_from, str(path), "remove the files of this run")
    if summary and (summary["stopped"] or summary["picoseconds"] >= n_steps * TIMESTEP / 1000):
        return summary
    started = time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    settings["progress"] = False
    warm = run_md(beginning(seed), calculator, n_steps=2000, **settings)  # 1 ps in which bonds find their lengths
    if warm.stopped:
        summary = {"stopped": f"before it began, {warm.stopped}", "picoseconds": 0.0}
        summary |= {"found": [("lasted", 0.0, None, "ps")], "curves": {}}
    else:
        run = run_md(warm.frames[-1], calculator, ensemble=ensemble, n_steps=n_steps, path=path, **settings)
        found, curves = quantities(name, run)
        summary = {"stopped": run.stopped, "picoseconds": run.time[-1] / 1000, "found": found, "curves": curves}
    summary["identity"] = made_from
    summary["seconds"] = round(time.perf_counter() - started, 1) + (_summary(path) or {"seconds": 0})["seconds"]
    write_text(path.with_suffix(".json"), json.dumps(summary))
    return summary


def _summary(path):
    kept = path.with_suffix(".json")
    return json.loads(kept.read_text()) if kept.exists() else None


def _so_far(path, name):
    """What a run that is not finished says."""
    run = MDRun()
    for number, frame in enumerate(read(path, ":")):
        run.remember(frame, number * EVERY * TIMESTEP)
    found, curves = quantities(name, run)
    return {"stopped": None, "picoseconds": run.time[-1] / 1000, "found": found, "curves": curves, "seconds": 0.0}


def quantities(name, run):
    """[(quantity, value, error, unit)] of a run, and {pair: curve}."""
    lasted = run.time[-1] / 1000
    found, curves = [("lasted", lasted, None, "ps")], {}
    first = round(EQUILIBRATION * 1000 / (TIMESTEP * EVERY))
    frames, spacing = run.frames[first:], TIMESTEP * EVERY / 1000  # ps
    if name == "nve" and not run.stopped and len(run.time) > 10:
        found.append(("drift", energy_drift(run.time, run.total_energy, 3 * N), None, "meV/atom/ps"))
    if run.stopped or lasted < LONG_ENOUGH:
        return found, curves  # no liquid to speak of, or too short for blocks
    found.append(("temperature", *block_average(run.temperature[first:]), "K"))
    if name == "npt":
        found.append(("density", *block_average(run.density[first:]), "g/cm³"))
    if name == "nvt":
        for pair in ("OO", "OH", "HH"):
            r, blocks = _structure(frames[::4], pair)  # (120,), (5, 120)
            error = blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks))
            values = {"r": r, "g": blocks.mean(axis=0), "error": error}
            curves[pair] = {key: np.round(value, 4).tolist() for key, value in values.items()}
            if pair == "OO":
                top = int(blocks.mean(axis=0).argmax())  # of the mean curve: maxima of noisy ones are too high
                found.append(("g_OO peak", float(blocks.mean(axis=0)[top]), float(error[top]), ""))
        oxygen = np.array([atoms.positions[::3] for atoms in frames])
        if lasted >= LONG_ENOUGH_FOR_DIFFUSION:
            slow, error = diffusion(oxygen, spacing)
            found.append(("diffusion_in_box", slow, error, "1e-9 m²/s"))
            box = yeh_hummer(KELVIN, frames[0].cell[0, 0])
            if slow > box:  # the term takes the viscosity of real water, which a sluggish liquid has not
                found.append(("diffusion", slow + box, error, "1e-9 m²/s"))
    return found, curves


def _structure(frames, pair, n_blocks=5):
    """Distances (120,) and g (n_blocks, 120) of each stretch of the run."""
    edges = np.linspace(0, len(frames), n_blocks + 1).astype(int)
    curves = [rdf(frames[a:b], pair, r_max=6.0, n_bins=120) for a, b in itertools.pairwise(edges)]
    return curves[0][0], np.array([g for _, g in curves])


def rows_of(model, seed, name, summary):
    """A row for each quantity."""
    run = {"case": "md", "model": model, "n_train": _size(model), "seed": seed, "run": name}
    run |= {"picoseconds": summary["picoseconds"], "stopped": summary["stopped"], "seconds": summary["seconds"]}
    rounded = ((q, round(v, 4), e and round(e, 4), unit) for q, v, e, unit in summary["found"])
    return [run | {"quantity": q, "value": v, "error": e, "unit": unit} for q, v, e, unit in rounded]


def _size(model):
    n = MODELS[model][1]
    return len(data()[0]) if n == ALL else n


def save(unfinished=False):
    """Write what is there so far, with what earlier runs have left in the results."""
    rows, _ = earlier("water_md")
    curves = load_results("water_md")["curves"] if rows else {}
    new = []
    for model, name in itertools.product(MODELS, RUNS):
        kept = [path for kind in ("json", "traj") for path in (BUILD / "md").glob(f"{model}, *, {name}.{kind}")]
        for path in sorted({path.with_suffix(".traj") for path in kept}):
            summary, seed = _summary(path) or (unfinished and _so_far(path, name)), int(path.stem.split(", ")[-2])
            if summary:
                new += rows_of(model, seed, name, summary)
                curves |= {f"{model}, {seed}, {pair}": curve for pair, curve in summary["curves"].items()}
    rows = merged(rows, new, KEY)
    seconds = sum(row["seconds"] for row in rows if row["quantity"] == "lasted")  # a row of each run
    save_results("water_md", rows, "python benchmarks/water_md.py", seconds, ["torch", "ase"], 1, curves=curves)


def _in_results(rows, model, seed, name, picoseconds):
    """Whether the results hold this run already, as long as it is asked for or to its bad end."""
    wanted = min(picoseconds or RUNS[name][2], RUNS[name][2])
    mine = [row for row in rows if (row["model"], row["seed"], row["run"]) == (model, seed, name)]
    return any(row["stopped"] or row["picoseconds"] >= wanted for row in mine)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--run", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picoseconds", type=float, help="shorter runs; longer later, they go on")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--analyse", action="store_true", help="run nothing; unfinished runs too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.analyse:
        asked = itertools.product(arguments.model, range(arguments.seeds), arguments.run)
        rows, _ = earlier("water_md")
        tasks = [task for task in asked if not _in_results(rows, *task, arguments.picoseconds)]
        for model, seed, _ in tasks:
            potential(model, seed)
        for summary in in_parallel(md, ((*task, arguments.picoseconds) for task in tasks), arguments.jobs):
            print(summary["picoseconds"], "ps", summary["stopped"] or "", summary["found"], flush=True)
    save(unfinished=arguments.analyse)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
