"""Are our DFT labels at QM9's level?  Our energies of QM9's molecules, at its geometries, compared with QM9's.

    TPAINN_REFERENCE_DATA=... python benchmarks/qm9_level.py       # 210 molecules, about half an hour on one core

QM9's electronic energy is U0 minus the zero-point energy.  Molecules: all of the reference file with up to 4 heavy
atoms, 30 that contain F (the smallest), and random ones with 5, 6 and 7 heavy atoms.  Writes
``data/results/qm9_level.json``; safe to interrupt.
"""

import argparse
import importlib.util
import os
import time
import warnings
from pathlib import Path

import numpy as np
from ase.units import Hartree
from joblib import Parallel, delayed
from results import earlier, save_results

from tpainn_lite.teachers.dft import LEVELS, mean_field

N_MOLECULES, N_FLUORINE, SEED = 210, 30, 0


def reference_reader(folder):
    """``load.py`` of the folder with real reference data, as a module."""
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def molecules():
    """[(QM9 number, structure with QM9's energy)], chosen as the top of this file says."""
    folder = Path(os.environ["TPAINN_REFERENCE_DATA"])
    load, path, rng = reference_reader(folder), folder / "qm9" / "qm9_part.npz", np.random.default_rng(SEED)
    numbers = [int(frame["id"]) for frame in load.frames(path)]
    every = list(zip(numbers, load.atoms(path), strict=True))
    heavy = np.array([(atoms.numbers > 1).sum() for _, atoms in every])
    fluorine = np.flatnonzero([9 in atoms.numbers for _, atoms in every])
    small_first = fluorine[np.argsort(heavy[fluorine], kind="stable")]
    picked = [*np.flatnonzero(heavy <= 4), *small_first[:N_FLUORINE]]
    pools = [rng.permutation(np.flatnonzero(heavy == size)) for size in (5, 6, 7)]
    picked += [pool[k] for k in range(N_MOLECULES) for pool in pools if k < len(pool)]
    return [every[k] for k in dict.fromkeys(picked)][:N_MOLECULES]


def row(number, atoms, level):
    """Our energy minus QM9's, in millionths of a Hartree."""
    warnings.filterwarnings("ignore", message="Since PySCF-2.3")
    started = time.perf_counter()
    field = mean_field(atoms, **{k: v for k, v in LEVELS[level].items() if k != "name"})
    error = field.kernel() - atoms.get_potential_energy() / Hartree
    seconds = round(time.perf_counter() - started, 1)
    formula, heavy = atoms.get_chemical_formula(), int((atoms.numbers > 1).sum())
    values = {"error": round(1e6 * error, 2), "unit": "µHa", "seconds": seconds, "converged": bool(field.converged)}
    return {"task": "qm9_level", "level": level, "id": number, "formula": formula, "n_heavy": heavy} | values


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--level", default="qm9", choices=LEVELS)
    arguments = parser.parse_args()
    rows, _ = earlier("qm9_level")
    done = {(row["level"], row["id"]) for row in rows}
    todo = [(number, atoms) for number, atoms in molecules() if (arguments.level, number) not in done]
    tasks = (delayed(row)(number, atoms, arguments.level) for number, atoms in todo)
    for new in Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")(tasks):
        rows.append(new)
        seconds = sum(row["seconds"] for row in rows)
        save_results("qm9_level", rows, "python benchmarks/qm9_level.py", seconds, ["pyscf"], threads=1)
    errors = np.array([row["error"] for row in rows if row["level"] == arguments.level])
    print(f"{len(errors)} molecules: mean {errors.mean():.1f}, rms {np.sqrt((errors**2).mean()):.1f}, ", end="")
    print(f"largest {np.abs(errors).max():.1f} µHa ({1e-3 * Hartree * np.sqrt((errors**2).mean()):.2f} meV rms)")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
