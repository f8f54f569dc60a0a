"""What the shipped weights are worth: their errors on classical frames they have never seen, and how they got there.

    python benchmarks/checkpoints.py                              # minutes, on one core
    python benchmarks/checkpoints.py --history gas=build/run-gas  # and the course of the run, from its folder

Gas: MMFF94 labels of the molecules of the DFT set's `test` and `test_large`, which no recipe uses, shaken at several
temperatures.  Water: q-TIP4P/F at densities and temperatures between those trained on and one beyond, from runs of
other seeds, with the charges that it was taught (damped-shifted at 5 Å) and, forces alone, with the full Ewald sum,
whose energies have another zero.  Each beside guessing zero (``mean_force``).  Writes
``data/results/checkpoints.json`` and the table of the weights' card.
"""

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

import torch

import tpainn_lite as tp
from tpainn_lite.observables import force_mae
from tpainn_lite.recipes import LOCAL
from tpainn_lite.results import load_results, save_results

ROOT = Path(__file__).resolve().parents[1]
TEMPERATURES, PER_MOLECULE = (300, 1000, 2000), 5  # K
STATES = [(0.90, 300), (0.997, 300), (1.10, 350), (0.997, 700)]  # g/cm³, K
KEPT = ("step", "train_loss", "force_mae", "energy_mae")
SEED = 12345


def gas_tests():
    """(case, frames) for molecules of two sizes at three temperatures."""
    for split, size in (("test", "up to 6 heavy atoms"), ("test_large", "7 to 9 heavy atoms")):
        smiles = sorted({atoms.info["smiles"] for atoms in tp.load_molecules(split)})
        for kelvin in TEMPERATURES:
            shaken = tp.shaken_molecules(smiles, PER_MOLECULE, kelvin, SEED)
            yield f"{size}, {kelvin} K", tp.label(shaken, tp.mmff94(), progress=False)


def water_tests():
    """(case, frames) for both sorts of charges at several states."""
    settings = {"n_molecules": 64, "stress": True, "seed": SEED, "spacing": 200}
    for charges, chosen in (("damped at 5 Å", LOCAL), ("Ewald", {})):
        for density, kelvin in STATES:
            run = tp.water_run(density=density, temperature=kelvin, n_frames=10, **settings, **chosen)
            yield f"{charges}, {density:.3f} g/cm³, {kelvin} K", list(run)


def row(recipe, case, potential, frames):
    """Errors in one case."""
    still = force_mae([0 * atoms.get_forces() for atoms in frames], [atoms.get_forces() for atoms in frames])
    values = {"mean_force": still, **tp.errors(potential, frames)}
    if "Ewald" in case:
        del values["energy_mae"]
    rounded = {name: round(float(value), 2) for name, value in values.items()}
    return {"task": recipe, "case": case, "n_test": len(frames), "seed": SEED, **rounded}


def history_of(folder):
    """Columns of a run's ``history.csv``, every tenth row and the last."""
    with open(Path(folder) / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [*rows[9:-1:10], rows[-1]]
    return [{name: float(r[name]) for name in KEPT if r.get(name)} for r in chosen]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", nargs="*", default=[], metavar="RECIPE=FOLDER")
    parser.add_argument("--only", choices=("gas", "water"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        old = load_results("checkpoints")
    except tp.checks.DatasetError:
        old = {"rows": [], "seconds": 0.0, "histories": {}}
    histories = old["histories"] | {k: history_of(v) for k, v in (pair.split("=") for pair in arguments.history)}
    started, rows = time.perf_counter(), [r for r in old["rows"] if arguments.only and r["task"] != arguments.only]
    for recipe, tests in (("gas", gas_tests), ("water", water_tests)):
        if arguments.only in (None, recipe):
            potential = tp.load_pretrained(recipe)
            rows += [print(new, flush=True) or new for new in (row(recipe, c, potential, f) for c, f in tests())]
    spent = time.perf_counter() - started
    command, packages = "python benchmarks/checkpoints.py", ["torch", "rdkit", "openmm"]
    save_results("checkpoints", sorted(rows, key=lambda r: r["task"]), command, spent, packages, 1, histories=histories)
    subprocess.run([sys.executable, ROOT / "data" / "make" / "cards.py"], check=True)


if __name__ == "__main__":
    main()
