"""What the shipped weights are worth: their errors on classical frames they have never seen, and how they got there.

    python benchmarks/checkpoints.py                    # minutes, on one core
    python benchmarks/checkpoints.py --history gas=run  # and the course of the run that made them, from its folder

Gas: labels (MMFF94's for `gas`, the mean of MMFF94's and GFN-FF's for `gas_mean`, GFN2-xTB's for `gas_xtb`) of the
molecules of the DFT set's `test` and `test_large`, which no recipe uses, shaken at several temperatures; as in
training, frames with a force component above 30 eV/Å are left out (``left_out``); and, to see what limits the rest,
some of the frames it was trained on (the run's own validation molecules: ``histories``).
`gas_wide`, `gas_wide_xtb`: MMFF94's, GFN2-xTB's labels of thirty drugs, peptides and ions that no recipe has seen
(`data/make/held_out.py`), moved by MMFF94; and how far MMFF94 itself is from GFN2-xTB there (``mmff94_mae``).
Water: q-TIP4P/F at densities and temperatures between those trained on and one beyond, from runs of other seeds, with
the charges that it was taught (damped-shifted at 5 Å) and, forces alone, with the full Ewald sum, whose energies have
another zero.  `water_xtb`, `water_iamoeba`: GFN2-xTB's, iAMOEBA's labels of boxes of 32 H2O at the same states.
Each with the error of guessing zero forces (``zero_mae``).  Errors in meV/Å, meV/atom and, of the stress, GPa.  Writes
``data/results/checkpoints.json``; then ``python data/make/cards.py`` puts the table into the weights' card.
"""

import argparse
import csv
import time

import numpy as np
import torch
from ase.units import GPa
from recipes import HELD_OUT, LOCAL, RECIPES, calm, gas_frames, round_folder, rounds, two_force_fields
from results import earlier, save_results

import tpainn_lite as tp
from tpainn_lite.model.errors import force_mae
from tpainn_lite.reading.shipped import data_folder, load_results
from tpainn_lite.structures.charges import total_charge
from tpainn_lite.structures.files import sha256

TEMPERATURES, PER_MOLECULE = (300, 1000, 2000), 5  # K
HELD_OUT_KELVIN = (300, 600)
STATES = [(0.90, 300), (0.997, 300), (1.10, 350), (0.997, 700)]  # g/cm³, K
KEPT = ("step", "train_loss", "force_mae", "energy_mae")
SEED = 12345


def gas_tests(teacher):
    """(case, frames) for molecules of two sizes at three temperatures, labelled by this teacher."""
    for split, size in (("test", "up to 6 heavy atoms"), ("test_large", "7 to 9 heavy atoms")):
        smiles = sorted({atoms.info["smiles"] for atoms in tp.load_molecules(split)})
        for kelvin in TEMPERATURES:
            shaken = tp.shaken_molecules(smiles, PER_MOLECULE, kelvin, SEED)
            yield f"{size}, {kelvin} K", tp.label(shaken, teacher(), progress=False)
    trained_on, _ = gas_frames(n_molecules=200, n_valid=1, n_jobs=1, teacher=teacher)
    yield "frames it was trained on, 300 to 2000 K", trained_on


def held_out_tests(teacher):
    """(case, frames) of drugs, peptides and ions that are in no recipe, moved by MMFF94, labelled by this teacher."""
    for kelvin in HELD_OUT_KELVIN:
        frames = [atoms for smiles in HELD_OUT.values() for atoms in moved(smiles, kelvin)]
        labelled = tp.label(frames, teacher(), progress=False)
        charged = [atoms for atoms in labelled if total_charge(atoms)]
        yield f"30 drugs, peptides and ions, {kelvin} K", labelled
        yield f"of these the ions, {kelvin} K", charged


def moved(smiles, kelvin):
    """Snapshots of MD under MMFF94."""
    return tp.thermal_frames(tp.molecule(smiles), tp.mmff94(), kelvin, PER_MOLECULE, SEED)


def water_tests():
    """(case, frames) for both sorts of charges at several states."""
    settings = {"n_molecules": 64, "seed": SEED, "spacing": 200}
    for charges, chosen in (("damped at 5 Å", {**LOCAL, "stress": True}), ("Ewald", {})):
        for density, kelvin in STATES:
            run = tp.water_run(density=density, temperature=kelvin, n_frames=10, **settings, **chosen)
            yield f"{charges}, {density:.3f} g/cm³, {kelvin} K", list(run)


def small_water_tests(teacher):
    """(case, frames) for this teacher at the same states, in smaller boxes, moved by q-TIP4P/F."""
    settings = {"n_molecules": 32, "seed": SEED, "spacing": 1000}
    for density, kelvin in STATES:
        run = tp.water_run(density=density, temperature=kelvin, n_frames=5, **settings)
        yield f"{teacher.level}, {density:.3f} g/cm³, {kelvin} K", tp.label(run, teacher, progress=False)


def row(recipe, case, frames, potential):
    """Errors in one case."""
    tested = calm(frames)
    forces = [atoms.get_forces() for atoms in tested]
    values = {"zero_mae": force_mae([0 * f for f in forces], forces), **tp.errors(potential, tested)}
    if recipe == "gas_wide_xtb":
        values["mmff94_mae"] = tp.errors(tp.mmff94(), tested)["force_mae"]  # what it is compared with
    if "Ewald" in case:
        del values["energy_mae"]
    elif recipe.startswith("water"):
        values["stress_mae"] = stress_mae(potential, tested)
    rounded = {name: float(f"{value:.4g}") for name, value in values.items()}
    left_out = len(frames) - len(tested)
    return {"task": recipe, "case": case, "n_test": len(tested), "left_out": left_out, "seed": SEED, **rounded}


def stress_mae(potential, frames):
    """GPa, mean over the six components."""
    calculator = tp.PotentialCalculator(potential)
    return np.mean([np.abs(calculator.get_stress(a) - a.get_stress()).mean() for a in frames]) / GPa


def history_of(recipe, folder):
    """Columns of every ``history.csv`` of a run, every second row and the last; steps are counted over all rounds."""
    chosen, before = [], 0
    for number, steps in enumerate(rounds(recipe), start=1):
        place = round_folder(folder, number)
        with open(place / "history.csv", newline="") as file:
            rows = [{name: float(r[name]) for name in KEPT if r.get(name)} for r in csv.DictReader(file)]
        if rows[-1]["step"] != steps:
            raise ValueError(
                f"{place} has {rows[-1]['step']:.0f} steps, its recipe {steps}: not the shipped weights' run"
            )
        chosen += [{**row, "step": row["step"] + before} for row in (*rows[1:-1:2], rows[-1])]
        before += steps
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recipe", nargs="+", choices=RECIPES, default=list(RECIPES), help="the others keep their rows"
    )
    parser.add_argument("--history", nargs="*", default=[], metavar="RECIPE=FOLDER")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, before = earlier("checkpoints")
    earlier_results = load_results("checkpoints") if rows else {}
    runs = dict(pair.split("=") for pair in arguments.history)
    histories = earlier_results.get("histories", {}) | {
        recipe: history_of(recipe, folder) for recipe, folder in runs.items()
    }
    started = time.perf_counter()
    tests = {"gas": gas_tests(tp.mmff94), "gas_xtb": gas_tests(tp.gfn2_xtb)}
    tests["gas_mean"] = gas_tests(two_force_fields)
    tests |= {"water": water_tests(), "water_xtb": small_water_tests(tp.gfn2_xtb())}
    tests["water_iamoeba"] = small_water_tests(tp.water("iAMOEBA"))
    tests |= {"gas_wide": held_out_tests(tp.mmff94), "gas_wide_xtb": held_out_tests(tp.gfn2_xtb)}
    rows = [row for row in rows if row["task"] not in arguments.recipe]
    for recipe in arguments.recipe:
        potential = tp.load_pretrained(recipe)
        rows += [print(new, flush=True) or new for new in (row(recipe, *case, potential) for case in tests[recipe])]
    rows.sort(key=lambda row: list(RECIPES).index(row["task"]))
    shipped = {name: sha256(data_folder() / "checkpoints" / f"{name}.safetensors") for name in arguments.recipe}
    weights = earlier_results.get("weights", {}) | shipped  # each with the rows that were measured with it
    packages, spent = ["torch", "rdkit", "openmm"], before + time.perf_counter() - started
    more = {"weights": weights, "histories": histories}
    save_results("checkpoints", rows, "python benchmarks/checkpoints.py", spent, packages, 1, **more)


if __name__ == "__main__":
    main()
