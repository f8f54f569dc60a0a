"""What MMFF94 says of the density of liquid methanol, with an error bar, and how fast its MD is.

    python benchmarks/liquid_density.py        # about a quarter of an hour a seed on one core; resumes by seed

64 molecules at 298.15 K and 1 bar, from a packed box of the measured density, 0.787 g/cm³: 20 ps to
settle, then 250 ps.  The error of a seed is the standard error of five blocks; ``means`` are over seeds.  Writes
``data/results/liquid_density.json``.
"""

import argparse
import time

import numpy as np
from results import earlier, save_results

from tpainn_lite.simulate.observables import block_average
from tpainn_lite.structures.liquids import liquid
from tpainn_lite.teachers.liquid_md import liquid_run
from tpainn_lite.teachers.mmff_liquid import CUTOFF, MMFF94Liquid

SMILES, N, MEASURED = "CO", 64, 0.787
BATH = {"temperature": 298.15, "pressure": 1.0, "timestep": 1.0}
LONG = {"warm_up": 20_000, "spacing": 100, "n_frames": 2500}  # fs


def density_of_run(seed):
    """A row: the mean density of a run, its error, and the steps that one core makes in a second."""
    frames = liquid_run(liquid(SMILES, N, density=MEASURED, seed=seed), labels=False, seed=seed, **BATH, **LONG)
    densities, started = [next(frames).info["density"]], time.process_time()
    densities += [atoms.info["density"] for atoms in frames]
    steps = (LONG["n_frames"] - 1) * LONG["spacing"] / BATH["timestep"]
    speed = steps / (time.process_time() - started)
    mean, error = block_average(densities)
    blocks = [round(float(block.mean()), 4) for block in np.array_split(densities, 5)]
    return {
        "liquid": SMILES, "n_molecules": N, "cutoff": CUTOFF, "level": MMFF94Liquid().level, "seed": seed,
        "picoseconds": LONG["n_frames"] * LONG["spacing"] / 1000, **BATH, "observable": "density", "unit": "g/cm³",
        "value": round(mean, 4), "error": round(error, 4), "blocks": blocks, "steps_per_cpu_second": round(speed),
    }  # fmt: skip


def mean_of(rows):
    """Over the seeds: the mean, and its standard error from the blocks, or the seeds if larger."""
    values, error = [row["value"] for row in rows], np.sqrt(sum(row["error"] ** 2 for row in rows)) / len(rows)
    if len(rows) > 1:
        error = max(error, np.std(values, ddof=1) / np.sqrt(len(rows)))
    return {"value": round(float(np.mean(values)), 4), "error": round(float(error), 4), "measured": MEASURED}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    rows, spent = earlier("liquid_density")
    for seed in range(parser.parse_args().seeds):
        if any(row["seed"] == seed for row in rows):
            continue
        started = time.perf_counter()
        rows = [*rows, density_of_run(seed)]
        spent += time.perf_counter() - started
        means = [{"liquid": SMILES, "observable": "density", **mean_of(rows)}]
        save_results("liquid_density", rows, "python benchmarks/liquid_density.py", spent, ["openmm"], 1, means=means)
        print(rows[-1], means, flush=True)


if __name__ == "__main__":
    main()
