"""What DFT labels cost at each level, and how far the levels are apart.

    python benchmarks/dft_levels.py                       # half an hour on one core; resumes where it stopped
    python benchmarks/dft_levels.py --molecules thioether --levels pbe0_svp wb97x

Small molecules and ions of ten elements, bent and stretched as at 300 K along the normal modes of GFN2-xTB.  Forces
are compared with those at the last level, and energies of a molecule's frames with each other.  Two frames of a
molecule are computed one after the other, as `label` does: the second begins with the first one's density.  Writes
``data/results/dft_levels.json``: a row for each molecule and level; CPU seconds of a frame, errors in meV/Å and meV.
"""

import argparse
import time

import numpy as np
from results import earlier, merged, save_results

import tpainn_lite as tp
from tpainn_lite.teachers.dft import LEVELS

MOLECULES = {
    "amide": "CC(=O)NC", "chloride": "CCCl", "bromide": "CCBr", "iodide": "CCI", "thioether": "CSCC",
    "sulfonamide": "CS(=O)(=O)N", "phosphate": "COP(=O)(O)O", "silane": "C[Si](C)(C)F", "ammonium": "CC[NH3+]",
    "carboxylate": "CC(=O)[O-]",
}  # fmt: skip
WANTED = ("qm9", "pbe0_svp", "pbe0", "wb97x")  # each is compared with the last
N_FRAMES, KELVIN = 2, 300
KEY = ("molecule", "level")


def frames_of(name):
    """The shaken molecule."""
    teacher = tp.gfn2_xtb()
    return tp.normal_mode_frames(tp.molecule(MOLECULES[name], seed=0), teacher, KELVIN, N_FRAMES, seed=0)


def labels_at(level, frames):
    """(CPU seconds of a frame, energies (n,) in eV, forces (n, N, 3) in eV/Å); None where elements have no basis."""
    calculator, started = tp.PySCFCalculator(level), time.process_time()
    try:
        labels = [(calculator.get_potential_energy(atoms), calculator.get_forces(atoms)) for atoms in frames]
    except ValueError:
        return None
    energies, forces = zip(*labels, strict=True)
    return (time.process_time() - started) / len(frames), np.array(energies), np.array(forces)


def row_of(name, level, labels, reference):
    """Cost and errors of a level."""
    seconds, energies, forces = labels
    difference = (energies - energies[0]) - (reference[1] - reference[1][0])
    return {
        "molecule": name,
        "smiles": MOLECULES[name],
        "level": level,
        "theory": LEVELS[level]["name"],
        "cpu_seconds": round(seconds, 1),
        "force_mae": 1e3 * float(np.abs(forces - reference[2]).mean()),
        "force_size": 1e3 * float(np.abs(reference[2]).mean()),
        "relative_energy_error": 1e3 * float(np.abs(difference[1:]).mean()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", nargs="+", choices=MOLECULES, default=list(MOLECULES))
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(WANTED))
    options = parser.parse_args()
    (rows, seconds), started = earlier("dft_levels"), time.perf_counter()
    done = {tuple(row[name] for name in KEY) for row in rows}
    for name in options.molecules:
        if done >= {(name, level) for level in options.levels if level != "qm9"}:
            continue
        frames = frames_of(name)
        labels = {level: labels_at(level, frames) for level in options.levels}
        reference = labels[options.levels[-1]]
        new = [row_of(name, level, found, reference) for level, found in labels.items() if found]
        rows = merged(rows, new, KEY)
        for row in new:
            print({key: row[key] for key in ("molecule", "level", "cpu_seconds", "force_mae")}, flush=True)
        spent = seconds + time.perf_counter() - started
        save_results("dft_levels", rows, "python benchmarks/dft_levels.py", spent, ("pyscf", "pyscf-dispersion"), 1)


if __name__ == "__main__":
    main()
