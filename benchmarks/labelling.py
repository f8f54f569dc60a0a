"""How many classical labels a minute gives, and how much memory they take.

    python benchmarks/labelling.py        # some minutes on 2 cores

| case               | what is timed                                                                             |
|--------------------|-------------------------------------------------------------------------------------------|
| one molecule       | `label`: 40,000 frames of ethanol, MMFF94                                                 |
| 1,000 molecules    | `label`: ten frames each, MMFF94, typing included                                         |
| ASE, one by one    | the same calculator asked frame by frame, as ASE does: what `label` is compared with      |
| stream to a file   | `label_file`: 100,000 frames of ethanol, never all in memory; peak memory of the process  |
| liquid water       | `water_runs`: 64 H2O, q-TIP4P/F, MD and labels, frames 0.1 ps apart                       |

Each case runs in a process of its own; best of three, for a busy machine only makes it slower.  Writes
``data/results/labelling.json``: frames per second, peak memory in MB.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from results import save_results

from tpainn_lite import label, label_file, mmff94, molecule, molecule_list, rattled_frames
from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.teachers.water_md import water_runs

REPEATS = 3


def one_molecule(jobs):
    """Frames per second."""
    frames = rattled_frames(molecule("CCO"), 0.05, 40_000)
    return _rate(lambda: label(frames, mmff94(), n_jobs=jobs, progress=False), len(frames))


def thousand_molecules(jobs):
    """Frames per second, typing included."""
    smiles = np.random.default_rng(0).permutation(molecule_list(max_heavy=9)).tolist()
    frames = []
    while len(frames) < 10_000:
        with suppress(ForceFieldError):  # no geometry found
            frames += rattled_frames(molecule(smiles.pop()), 0.05, 10)
    return _rate(lambda: label(frames, mmff94(), n_jobs=jobs, progress=False), len(frames))


def one_by_one(jobs):
    """Frames per second."""
    frames, teacher = rattled_frames(molecule("CCO"), 0.05, 4000), mmff94()

    def ask():
        for atoms in frames:
            atoms.calc = teacher
            atoms.get_potential_energy()
            atoms.get_forces()

    return _rate(ask, len(frames))


def stream_to_a_file(jobs, n=100_000):
    """Frames per second; the peak memory is what matters here."""
    ethanol = molecule("CCO")
    frames = (frame for k in range(n // 1000) for frame in rattled_frames(ethanol, 0.05, 1000, seed=k))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        label_file(frames, mmff94(), Path(folder) / "out.extxyz", n_jobs=jobs, progress=False)
        return n / (time.perf_counter() - started)


def liquid_water(jobs, n=600):
    """Frames per second, the warm-up of 5 ps included."""
    started = time.perf_counter()
    list(water_runs([(1.0, 300)] * jobs, n // jobs, n_jobs=jobs))
    return n / (time.perf_counter() - started)


CASES = {f.__name__: f for f in (one_molecule, thousand_molecules, one_by_one, stream_to_a_file, liquid_water)}


def _rate(work, n):
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return n / min(seconds)


def measured(case, jobs):
    """The row of one case, from a process of its own."""
    out = subprocess.run([sys.executable, __file__, "--case", case, "--jobs", str(jobs)], check=True, stdout=-1)
    return json.loads(out.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--case", choices=CASES, help="only this one, in this process; prints its row")
    arguments = parser.parse_args()
    if arguments.case:
        rate = CASES[arguments.case](arguments.jobs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        row = {"case": arguments.case, "processes": arguments.jobs, "frames_per_second": round(rate, 1)}
        print(json.dumps(row | {"peak_mb": round(peak)}))
        return
    started, rows = time.perf_counter(), []
    for case in CASES:
        for jobs in dict.fromkeys((1, arguments.jobs)):
            rows.append(measured(case, jobs))
            print(rows[-1], flush=True)
    spent = time.perf_counter() - started
    save_results("labelling", rows, "python benchmarks/labelling.py", spent, ["ase", "rdkit", "openmm", "joblib"])


if __name__ == "__main__":
    main()
