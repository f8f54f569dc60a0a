"""What the two classical water models say of water itself: density, diffusion, structure, with error bars.

    python benchmarks/water_models.py        # about 45 minutes a seed on one core; resumes by model and seed

216 H2O at 300 K: 1 bar for the density and g(r), then that density at constant volume for the diffusion (weak Langevin
friction of 0.05/ps), corrected for the box with Yeh and Hummer's term and the experimental viscosity.  Errors of a seed
are standard errors of five blocks, ``means`` are over seeds; the curves are those of the first.  Writes
``data/results/water_models.json``.

To compare with, at 298 K: Habershon, Markland, Manolopoulos 2009 (doi:10.1063/1.3167790): q-TIP4P/F was fitted to the
measured diffusion (2.3) with quantum nuclei and these are about 1.15 times as fast as classical ones, which are thus
expected at about 2.0; Wu, Tepper, Voth 2006 (doi:10.1063/1.2136877): SPC/Fw about 1.01 g/cm³ and 2.3; experiment
0.997 g/cm³ and 2.3.
"""

import argparse
import itertools
import time

import numpy as np
from results import earlier, save_results

from tpainn_lite.reading.shipped import load_results
from tpainn_lite.simulate.observables import block_average, diffusion, rdf, yeh_hummer
from tpainn_lite.teachers.water import WATER
from tpainn_lite.teachers.water_md import water_run

N, KELVIN, BAR = 216, 300.0, 1.0
LONG = {"warm_up": 40_000, "n_frames": 800, "spacing": 250}  # fs: 40 ps, then 200 ps
EVEN = {"warm_up": 20_000, "n_frames": 2000, "spacing": 100, "friction": 0.05}


def properties(model, seed):
    """Rows and the O-O, O-H and H-H curves of one model."""
    common = {"n_molecules": N, "temperature": KELVIN, "model": model, "seed": seed}
    breathing = list(water_run(density=1.0, pressure=BAR, **common, **LONG))
    density, density_error = block_average([atoms.info["density"] for atoms in breathing])
    curves = {}
    for pair in ("OO", "OH", "HH"):
        r, g = rdf(breathing[::8], pair, r_max=6.0, n_bins=120)
        curves[pair] = {"r": np.round(r, 4).tolist(), "g": np.round(g, 4).tolist()}
    even = list(water_run(density=density, **common, **EVEN))
    oxygen = np.array([atoms.positions[::3] for atoms in even])  # (frames, N, 3) Å
    slow, slow_error = diffusion(oxygen, EVEN["spacing"] / 1000)
    bonds = [np.linalg.norm(a.positions[1::3] - a.positions[::3], axis=1).mean() for a in breathing]
    values = [
        ("density", density, density_error, "g/cm³"),
        ("diffusion", slow + yeh_hummer(KELVIN, even[0].cell[0, 0]), slow_error, "1e-9 m²/s"),
        ("diffusion_in_box", slow, slow_error, "1e-9 m²/s"),
        ("bond", *block_average(bonds), "Å"),
        ("kinetic_temperature", *block_average([a.info["kinetic_temperature"] for a in even]), "K"),
    ]
    named = ({"observable": o, "value": round(v, 4), "error": round(e, 4), "unit": u} for o, v, e, u in values)
    return [{"task": "water", "model": model, "n_train": 0, "seed": seed, **row} for row in named], curves


def means(rows):
    """Over the seeds: the mean of each observable and its standard error, from the blocks, or the seeds if larger."""
    for model, observable in dict.fromkeys((row["model"], row["observable"]) for row in rows):
        runs = [row for row in rows if (row["model"], row["observable"]) == (model, observable)]
        values, error = [r["value"] for r in runs], np.sqrt(np.sum([r["error"] ** 2 for r in runs])) / len(runs)
        if len(runs) > 1:
            error = max(error, np.std(values, ddof=1) / np.sqrt(len(runs)))
        found = {"value": round(float(np.mean(values)), 4), "error": round(float(error), 4), "seeds": len(runs)}
        yield {"model": model, "observable": observable, **found}


def save(rows, curves, spent):
    """Write what is there so far."""
    more = {"curves": curves, "means": list(means(rows))}
    save_results("water_models", rows, "python benchmarks/water_models.py", spent, ["openmm"], 1, **more)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=list(WATER), default=list(WATER))
    chosen = parser.parse_args()
    rows, spent = earlier("water_models")
    curves = load_results("water_models")["curves"] if rows else {}
    there = {(row["model"], row["seed"]) for row in rows}
    for seed, model in itertools.product(range(chosen.seeds), chosen.models):
        if (model, seed) in there:
            continue
        started = time.perf_counter()
        new, found = properties(model, seed)
        curves.setdefault(model, found)
        rows, spent = rows + new, spent + time.perf_counter() - started
        save(rows, curves, spent)
        print(*new, sep="\n", flush=True)
    save(rows, curves, spent)


if __name__ == "__main__":
    main()
