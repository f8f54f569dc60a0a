"""Is the fast way to MD the same physics?  And what do many molecules in one step buy?

    python benchmarks/fast_md.py             # about ten minutes on one core; wants the extra `batched`

With the shipped weights.  Case ``agreement``: 64 H2O, 20 ps at constant energy with the compiled path (`fast.py`), from
a liquid of 300 K, in steps of 0.5 fs: drift of the total energy (meV/atom/ps), and the largest difference of a force
component from `painn.py` along the way (meV/Å).  Case ``batched``: 20 molecules under Langevin dynamics, one after the
other through ASE (with `painn.py` and compiled) and all of them in one step through torch-sim, in alternation: ms
for a step of all.  Writes ``data/results/fast_md.json``.
"""

import statistics
import time

import numpy as np
import torch
from recipes import LOCAL
from results import save_results

import tpainn_lite as tp
from tpainn_lite.simulate.many import run_many

PICOSECONDS, TIMESTEP, EVERY = 20, 0.5, 100  # fs between steps, steps between frames that are kept
N_TOGETHER, STEPS, ROUNDS = 20, 100, 5


def agreement(potential):
    """Drift, and how far the compiled forces are from those of `painn.py`."""
    liquid = next(tp.water_run(n_frames=1, seed=7, temperature=300, **LOCAL))
    settled = tp.run_md(liquid, tp.PotentialCalculator(potential), temperature=300, n_steps=2000, every=2000, seed=7)
    n_steps = round(1000 * PICOSECONDS / TIMESTEP)
    calculator = tp.PotentialCalculator(potential, fast=True)
    settings = {"ensemble": "nve", "timestep": TIMESTEP, "n_steps": n_steps, "every": EVERY, "seed": 7}
    started = time.perf_counter()
    run = tp.run_md(settled.frames[-1], calculator, temperature=300, **settings)
    per_step = (time.perf_counter() - started) / n_steps
    plain, differences = tp.PotentialCalculator(potential, fast=False), []
    for atoms in run.frames[::20]:
        differences.append(np.abs(calculator.get_forces(atoms) - plain.get_forces(atoms)).max())
    return {
        "case": "agreement", "system": "64 H2O", "picoseconds": run.time[-1] / 1000, "stopped": run.stopped,
        "drift": round(tp.energy_drift(run.time, run.total_energy, len(liquid)), 5),
        "largest_force_difference": round(1e3 * max(differences), 5),
        "mean_temperature": round(float(np.mean(run.temperature)), 1), "milliseconds": round(1e3 * per_step, 2),
    }  # fmt: skip


def batched(potential):
    """Milliseconds per step of twenty molecules: one by one, as read and compiled, and together; medians."""
    smiles = tp.molecule_list(max_heavy=6)[-N_TOGETHER:]
    molecules = [tp.molecule(name, seed=0) for name in smiles]
    settings = {"temperature": 300.0, "n_steps": STEPS, "every": STEPS, "stop_when_broken": False}

    def one_by_one(fast):
        for atoms in molecules:
            tp.run_md(atoms, tp.PotentialCalculator(potential, fast=fast), progress=False, **settings)

    runs = {
        "one by one, painn.py": lambda: one_by_one(fast=False),
        "one by one, compiled": lambda: one_by_one(fast=True),
        "together, compiled": lambda: run_many(molecules, potential, **settings),
    }
    times = {name: [] for name in runs}
    for _ in range(ROUNDS + 1):  # the first is for warming up
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - started) / STEPS)
    for name, taken in times.items():
        row = {"case": "batched", "system": f"{N_TOGETHER} molecules", "implementation": name}
        yield row | {"n_atoms": sum(map(len, molecules)), "milliseconds": round(statistics.median(taken[1:]), 2)}


def main():
    torch.set_num_threads(1)
    started = time.perf_counter()
    rows = [*batched(tp.load_pretrained("gas")), agreement(tp.load_pretrained("water"))]
    print(*rows, sep="\n")
    packages, spent = ["torch", "ase", "numba", "torch-sim-atomistic"], time.perf_counter() - started
    save_results("fast_md", rows, "python benchmarks/fast_md.py", spent, packages, 1)


if __name__ == "__main__":
    main()
