"""Compile what the course computes with, once and for all: Numba keeps the code on disk.

    python binder/warm.py

Without it the first training of each network in a fresh copy begins with half a minute of compiling.
"""

import time

import tpainn_lite as tp

NETWORKS = ((48, 2, 3.5), (32, 2, 3.5), (64, 3, 5.0))  # features, interactions, cutoff in Å: of the notebooks

if __name__ == "__main__":
    started, molecules, box = time.perf_counter(), tp.load_molecules("valid")[:4], tp.load_water("valid", "liquid")[:1]
    for n_features, n_interactions, cutoff in NETWORKS:
        size = {"n_features": n_features, "n_interactions": n_interactions, "cutoff": cutoff}
        potential = tp.train_from_scratch(molecules, molecules, steps=2, fast=True, progress=False, **size)
        potential.evaluator(fast=True).predict(molecules)
        if (n_features, cutoff) == (64, 5.0):
            tp.train_from_scratch(box, steps=1, fast=True, progress=False, **size).evaluator(fast=True).stresses(box)
    print(f"compiled in {time.perf_counter() - started:.0f} s")
