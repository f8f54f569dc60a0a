"""What does a second thread bring?  Energy and forces, and an MD step, of a box of water, by one thread and by two.

    python benchmarks/two_threads.py            # a minute; prints

One evaluation by one thread, then one by two, over and over in one process.  On a busy machine the fastest of each
counts: the others say how seldom two cores were free at once.
"""

import argparse
import os
import time

import numpy as np
import torch
from ase import units
from ase.md.verlet import VelocityVerlet

from tpainn_lite import PotentialCalculator, water_box
from tpainn_lite.model.graph import graphs_of
from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.potential import Potential


def cases(n_molecules):
    """{what: a function that does it once}."""
    torch.manual_seed(0)
    potential = Potential(PaiNN(64, 3, 20, 5.0), {1: -1.0, 8: -2.0}, scale=0.01).eval()
    box, evaluator = water_box(n_molecules), potential.evaluator(fast=True)
    graph = graphs_of([box], potential.cutoff)[0]
    box.calc = PotentialCalculator(potential, fast=True)
    speeds = np.sqrt(0.025 / box.get_masses())[:, None]
    box.set_velocities(np.random.default_rng(0).normal(size=(len(box), 3)) * speeds)
    md = VelocityVerlet(box, 0.5 * units.fs)
    return {"energy + forces": lambda: evaluator.of_graph(graph, True), "MD step": lambda: md.run(1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    todo = cases(arguments.molecules)
    found = {(name, n): [] for name in todo for n in (1, 2)}
    end = time.time() + arguments.seconds
    while time.time() < end:
        for (name, n), seconds in found.items():
            torch.set_num_threads(n)
            started = time.perf_counter()
            todo[name]()
            seconds.append(time.perf_counter() - started)
    for name in todo:
        best, usual = ([1e3 * of(found[name, n]) for n in (1, 2)] for of in (min, np.median))
        ratio = best[1] / best[0]
        print(f"{arguments.molecules} H2O, {name}: fastest {best[0]:.2f} and {best[1]:.2f} ms, {ratio:.2f}; ", end="")
        print(f"median {usual[0]:.2f} and {usual[1]:.2f} ms; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
