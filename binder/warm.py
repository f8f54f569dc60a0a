"""Compile what the course computes with, once and for all: Numba keeps the code on disk.

    python binder/warm.py

Without it the first training in a fresh copy begins with a quarter of a minute of compiling.
"""

import time

import tpainn_lite as tp

SIZE = {"n_features": 48, "n_interactions": 2, "cutoff": 3.5}  # of the tour; the code is the same for all

if __name__ == "__main__":
    started, molecules, box = time.perf_counter(), tp.load_molecules("valid")[:4], tp.load_water("valid", "liquid")[:1]
    for frames in (molecules, box):
        potential = tp.train_from_scratch(frames, frames, steps=2, fast=True, progress=False, **SIZE)
        potential.evaluator(fast=True).predict(frames)
        tp.run_md(frames[0], tp.PotentialCalculator(potential, fast=True), n_steps=2, every=1, progress=False)
    print(f"compiled in {time.perf_counter() - started:.0f} s")
