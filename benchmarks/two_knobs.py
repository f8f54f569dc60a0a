"""Two errors of a liquid, one knob each: in the bonds, and between molecules.  What do forces say, what the liquid?

    python benchmarks/two_knobs.py                     # 25 runs of 20 ps of 64 H2O; resumes where it stopped
    python benchmarks/two_knobs.py --corner --picoseconds 4 --molecules 32     # four runs that show that it works

The truth is q-TIP4P/F.  One knob makes the springs inside molecules stiffer (bonds and angle, by a share); the other
makes the charges smaller (by a share), which weakens what molecules do to each other.  Each model is compared
with the truth on the truth's own frames (forces: all, inside molecules, between them), and makes a liquid of its own at
0.997 g/cm³ and 300 K: g(r) of O and O, and diffusion (Langevin, 0.1/ps; with Yeh and Hummer's term).  Writes
``data/results/two_knobs.json``: a row for each model, and curves of g(r).
"""

import argparse
import itertools
import time

import numpy as np
from results import earlier, merged, save_results

import tpainn_lite as tp
from tpainn_lite.simulate.liquid import split_force_errors
from tpainn_lite.simulate.observables import diffusion, rdf, yeh_hummer
from tpainn_lite.teachers.water import WATER
from tpainn_lite.teachers.water_md import water_run

BONDS = (0.0, 0.05, 0.1, 0.2, 0.4)  # stiffer by this share
BETWEEN = (0.0, 0.02, 0.04, 0.07, 0.1)  # charges smaller by this share
DENSITY, KELVIN, FRICTION, TIMESTEP = 0.997, 300.0, 0.1, 0.5  # g/cm³, K, 1/ps, fs
SPACING, WARM_UP, SEED = 50.0, 3000.0, 0  # fs, fs
N_BLOCKS, N_COMPARED, N_BINS = 4, 20, 80
KEY = ("bonds", "between", "n_molecules", "picoseconds")


def perturbed(bonds, between):
    """q-TIP4P/F with stiffer springs and smaller charges."""
    truth = WATER["q-TIP4P/F"]
    stiffer = {name: truth[name] * (1 + bonds) for name in ("D", "k_theta")}
    return {**truth, **stiffer, "charge_H": truth["charge_H"] * (1 - between)}


def liquid(model, n_molecules, picoseconds):
    """Frames of the liquid that a model makes."""
    settings = {"temperature": KELVIN, "friction": FRICTION, "timestep": TIMESTEP, "seed": SEED}
    settings |= {"n_frames": round(1000 * picoseconds / SPACING), "spacing": SPACING, "warm_up": WARM_UP}
    return list(water_run(n_molecules, DENSITY, model=model, **settings))


def seen_in_forces(model, frames):
    """Errors of a model's forces on the truth's frames, meV/Å."""
    calculator = tp.water(model)
    forces = [calculator.get_forces(atoms) for atoms in frames]
    whole = np.mean([np.abs(f - atoms.get_forces()) for f, atoms in zip(forces, frames, strict=True)])
    return {"force_mae": 1000 * float(whole), **split_force_errors(forces, frames)}


def seen_in_liquid(frames):
    """(diffusion / 10⁻⁹ m²/s with its error, g(r) of O and O)."""
    oxygens = np.array([atoms.positions[::3] for atoms in frames])
    block = len(frames) * SPACING / 1000 / N_BLOCKS  # ps
    found, error = diffusion(oxygens, SPACING / 1000, (0.2 * block, 0.8 * block), N_BLOCKS)
    r, g = rdf(frames, "OO", n_bins=N_BINS)
    return {"diffusion": found + yeh_hummer(KELVIN, frames[0].cell[0, 0]), "diffusion_error": error}, r, g


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picoseconds", type=float, default=20.0)
    parser.add_argument("--molecules", type=int, default=64)
    parser.add_argument("--corner", action="store_true", help="the four corners of the grid alone")
    parser.add_argument("--name", default="two_knobs", help="of the results")
    given = parser.parse_args()
    rows, spent = earlier(given.name)
    rows = [row for row in rows if (row["n_molecules"], row["picoseconds"]) == (given.molecules, given.picoseconds)]
    done = {(row["bonds"], row["between"]) for row in rows}
    ends = [(knob[0], knob[-1]) if given.corner else knob for knob in (BONDS, BETWEEN)]
    begun, truth = time.perf_counter() - spent, None
    for bonds, between in (place for place in itertools.product(*ends) if place not in done):
        truth = truth or liquid("q-TIP4P/F", given.molecules, given.picoseconds)[:: round(1000 / SPACING)][:N_COMPARED]
        model = perturbed(bonds, between)
        of_liquid, r, g = seen_in_liquid(liquid(model, given.molecules, given.picoseconds))
        row = {"bonds": bonds, "between": between, "n_molecules": given.molecules, "picoseconds": given.picoseconds}
        row |= {**seen_in_forces(model, truth), **of_liquid, "r": r.round(3).tolist(), "g": g.round(3).tolist()}
        rows = merged(rows, [row], KEY)
        print({k: round(v, 3) for k, v in row.items() if k not in ("r", "g")}, flush=True)
        save_results(given.name, rows, "python benchmarks/two_knobs.py", time.perf_counter() - begun, ["openmm"], 1)


if __name__ == "__main__":
    main()
