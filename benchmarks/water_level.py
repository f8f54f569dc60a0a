"""How exact are our DFT labels of water?  Grid noise, and the distance to a tighter grid.

    python benchmarks/water_level.py        # needs CP2K; about fifteen minutes on one core; resumes where it stopped

For some shipped frames of 32 H2O: the same frame shifted by random fractions of a grid point (exact labels would not
change), and the same frame at 700 Ry.  Writes ``data/results/water_level.json``: rms over all force components, energy
per atom, and pressure.
"""

import argparse
import time

import numpy as np
from ase.units import GPa
from results import earlier, save_results

from tpainn_lite.reading.shipped import load_water
from tpainn_lite.teachers.cp2k import CP2KCalculator

N_FRAMES, N_SHIFTS, TIGHT = 2, 2, 700.0  # Ry


def single_point(atoms, cutoff=None):
    """(energy eV, forces eV/Å, pressure GPa) from scratch."""
    calculator = CP2KCalculator("water", cutoff)
    energy, forces = calculator.get_potential_energy(atoms), calculator.get_forces(atoms)
    pressure = -calculator.get_stress(atoms)[:3].mean() / GPa
    calculator.close()
    return energy, forces, pressure


def row(test, atoms, seed, other, reference):
    """What changed, in meV/Å (rms), meV/atom and GPa."""
    values = {
        "force_rms": 1e3 * float(np.sqrt(np.mean((other[1] - reference[1]) ** 2))),
        "energy": 1e3 * abs(other[0] - reference[0]) / len(atoms),
        "pressure": abs(other[2] - reference[2]),
    }
    rounded = {name: round(float(value), 4) for name, value in values.items()}
    return {"task": "water_level", "test": test, "id": atoms.info["id"], "seed": seed, **rounded}


def tests_of(atoms):
    """Rows of one frame: shifts, then the tighter grid."""
    reference = single_point(atoms)
    for seed in range(N_SHIFTS):
        moved = atoms.copy()
        moved.positions += np.random.default_rng(seed).uniform(0, 0.1, 3)  # Å; the grid is finer than that
        yield row("shifted", atoms, seed, single_point(moved), reference)
    yield row(f"{TIGHT:g} Ry", atoms, 0, single_point(atoms, TIGHT), reference)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    rows, spent = earlier("water_level")
    liquid = load_water("test", "liquid")
    for atoms in liquid[:: max(1, len(liquid) // N_FRAMES)][:N_FRAMES]:
        if any(done["id"] == atoms.info["id"] for done in rows):
            continue
        started = time.perf_counter()
        rows += [print(new, flush=True) or new for new in tests_of(atoms)]
        spent += time.perf_counter() - started
        save_results("water_level", rows, "python benchmarks/water_level.py", spent)


if __name__ == "__main__":
    main()
