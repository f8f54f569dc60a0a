"""Another DFT of water: eight boxes of 64 H2O at RPBE-D3, the setting of the best few-shot result that is published.

    TPAINN_REFERENCE_DATA=folder python benchmarks/water_reference.py     # half an hour on one core; resumes run by run

The frames are not ours and are not shipped: 100 of one trajectory at 12.43 Å (https://zenodo.org/records/12622341), in
the folder's ``water/rpbe_d3_64.npz``.  Eight of the first sixty to learn from, the last 35 to be tested on, three
draws.  Methods as in `water.py`: T-PaiNN from `load_pretrained("water_iamoeba")` (``tpainn_iamoeba``), the mean of four
(``committee``), and from scratch (``scratch_atomref``).
Writes ``data/results/water_reference.json``: forces in meV/Å (also ``between`` molecules), energies in meV/atom,
after the best constant on the test frames (`tp.errors` of a calculator).
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from qm9_level import reference_reader
from results import save_results
from water import calculator_of, committee, scratch, tuned

from tpainn_lite.model.errors import errors
from tpainn_lite.simulate.liquid import split_force_errors
from tpainn_lite.train.curves import learning_curve

BUILD = Path(__file__).resolve().parents[1] / "build" / "water"
POOL, TEST, SIZE = slice(60), slice(65, None), 8
METHODS = {"tpainn_iamoeba": tuned("water_iamoeba"), "committee": committee, "scratch_atomref": scratch}


def boxes():
    """All frames, molecule by molecule, as models of water want them: each O, then its two H, not wrapped."""
    folder = Path(os.environ["TPAINN_REFERENCE_DATA"])
    return [by_molecule(atoms) for atoms in reference_reader(folder).atoms(folder / "water" / "rpbe_d3_64.npz")]


def by_molecule(atoms):
    """A frame with its atoms in another order, and its labels with them."""
    oxygen, hydrogen = (np.flatnonzero(atoms.numbers == z) for z in (8, 1))
    distances = atoms.get_all_distances(mic=True)[np.ix_(oxygen, hydrogen)]
    pairs = hydrogen[np.argsort(distances, axis=1)[:, :2]]  # (M, 2)
    order = np.column_stack([oxygen, pairs]).ravel()
    ordered = atoms[order]
    for first in range(0, len(order), 3):
        bonds = ordered.get_distances(first, [first + 1, first + 2], mic=True, vector=True)
        ordered.positions[first + 1 : first + 3] = ordered.positions[first] + bonds
    labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()[order]}
    ordered.calc = SinglePointCalculator(ordered, **labels)
    return ordered


def measure(model, frames):
    """Errors in all, inside and between molecules."""
    calculator = calculator_of(model)
    forces = [calculator.get_forces(atoms.copy()) for atoms in frames]
    return errors(calculator, frames) | split_force_errors(forces, frames)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    frames, options = boxes(), {"n_jobs": arguments.jobs, "measure": measure}
    path, seeds = BUILD / "reference.json", range(arguments.seeds)
    rows = learning_curve(METHODS, frames[POOL], frames[TEST], (SIZE,), seeds, path, **options)
    spent = sum(row["seconds"] for row in rows)
    save_results("water_reference", rows, "python benchmarks/water_reference.py", spent, ["torch", "openmm"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
