"""DFT labels of our own: small molecules at QM9's level, B3LYP/6-31G(2df,p).

Molecules are drawn at random (seeds below) from ``data/molecules.csv``; each gives MMFF94 minima, normal-mode
displacements and snapshots of MMFF94 MD at 300-1000 K, from two conformers.  Split by molecule; those with 7 to 9 heavy
atoms are ``test_large`` and nothing else.  What is shipped is not computed again.  Safe to interrupt: every label is
kept in ``build/`` at once, and the command goes on from there.

    nice python data/make/molecules_b3lyp.py --jobs 2      # some hours on 2 cores
    python data/make/molecules_b3lyp.py --dry-run          # what is left: frames, hours, MB
    python data/make/molecules_b3lyp.py --hours 0          # keep what is labelled so far in unfinished.extxyz.xz

The parts are written when all is labelled, and not before: results that were measured on them stay valid meanwhile.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

import cards
import numpy as np

from tpainn_lite.structures.build import molecule
from tpainn_lite.teachers.dft import PySCFCalculator
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.rdkit import ForceFieldError, mmff94
from tpainn_lite.teachers.sample import normal_mode_frames, thermal_frames

DATA = Path(__file__).resolve().parents[1]
SET, JOURNAL = "molecules_b3lyp", DATA.parent / "build" / "molecules_b3lyp.jsonl"
SOURCE = "tpainn_lite data/make/molecules_b3lyp.py"
SEED = 20261
TEMPERATURE = (300, 1000)  # K
FIRST = {(1, 4): 60, (5, 5): 40}  # (fewest, most heavy atoms): molecules; five frames each
MORE = {(1, 4): 178, (5, 5): 170, (6, 6): 60}  # six frames each; all that are left of the smallest
LARGE = {(7, 7): 27, (8, 8): 20, (9, 9): 20}  # three frames each
LARGE_TOO = {(7, 7): 4}  # for three that have no 3D geometry
AMINO_ACID = ("C(=O)[OH]", "[NX3;!H0;!$(NC=O)]")  # all of these up to six heavy atoms: prone to move a proton
FIRST_PARTS = ("train", "test", "train", "train", "test", "train", "train", "test", "train", "valid")  # repeated
MORE_PARTS = ("train", "train", "test", "train", "valid", "train", "test")
ENVIRONMENT = {  # of the processes: one thread each; memory is kept, not given back and asked for again (up to 1.4x)
    "OMP_NUM_THREADS": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "268435456",
}  # fmt: skip
SECONDS = 5e-5  # one frame takes about this times (number of basis functions)**2.3, on one core of 2024


def chosen_molecules():
    """[(SMILES, part, seed, frames)], in random order, so that an interrupted run is a fair sample."""
    sizes = dict(line.rsplit(",", 1) for line in (DATA / "molecules.csv").read_text().split()[1:])
    sizes = {smiles: int(size) for smiles, size in sizes.items()}
    first = _draw(sizes, FIRST, SEED)
    rest = {smiles: size for smiles, size in sizes.items() if smiles not in set(first)}
    more = _draw(rest, MORE, SEED + 1)
    more += sorted({s for s, size in rest.items() if size <= 6 and _is_amino_acid(s)} - set(more))
    large = _draw(rest, LARGE, SEED + 2)
    large_too = _draw({smiles: size for smiles, size in rest.items() if smiles not in set(large)}, LARGE_TOO, SEED + 4)
    chosen = [(s, MORE_PARTS[k % len(MORE_PARTS)], SEED + 1000 + 2 * k, 6) for k, s in enumerate(more)]
    chosen += [(s, "test_large", SEED + 5000 + 2 * k, 3) for k, s in enumerate(large)]
    np.random.default_rng(SEED + 3).shuffle(chosen)
    chosen += [(s, "test_large", SEED + 6000 + 2 * k, 3) for k, s in enumerate(large_too)]
    return [(s, FIRST_PARTS[k % len(FIRST_PARTS)], SEED + k, 5) for k, s in enumerate(first)] + chosen


def _draw(sizes, counts, seed):
    rng, picked = np.random.default_rng(seed), []
    for (low, high), count in counts.items():
        pool = [smiles for smiles, size in sizes.items() if low <= size <= high]
        picked += [str(smiles) for smiles in rng.choice(pool, count, replace=False)]
    rng.shuffle(picked)
    return picked


def _is_amino_acid(smiles):
    from rdkit import Chem

    rdmol = Chem.MolFromSmiles(smiles)
    return all(rdmol.HasSubstructMatch(Chem.MolFromSmarts(smarts)) for smarts in AMINO_ACID)


def structures(smiles, seed, n_frames):
    """A minimum, normal-mode and thermal frames of one molecule; of two conformers, where more than five are asked for
    or the molecule is large."""
    minimum, teacher = molecule(smiles, seed), mmff94()
    relaxed = minimum.copy()
    relaxed.info["config_type"] = "relaxed"
    if n_frames == 5:  # the first molecules: one conformer
        frames = [relaxed, *normal_mode_frames(minimum, teacher, TEMPERATURE, 2, seed)]
        frames += thermal_frames(minimum, teacher, TEMPERATURE, 2, seed)
    else:
        other, n = molecule(smiles, seed + 1), n_frames // 2 - 1
        frames = [relaxed, *normal_mode_frames(minimum, teacher, TEMPERATURE, n, seed)]
        frames += normal_mode_frames(other, teacher, TEMPERATURE, n_frames - n - 3, seed + 1)
        frames += thermal_frames(other, teacher, TEMPERATURE, 2, seed + 1)
    for k, frame in enumerate(frames):
        frame.info.update(id=f"{smiles}/{k}", source=SOURCE)
    return frames


def all_frames(chosen):
    """Frames of all chosen molecules, those of one molecule side by side; a molecule without a geometry is named."""
    frames = []
    for smiles, _, seed, n_frames in chosen:
        try:
            frames += structures(smiles, seed, n_frames)
        except ForceFieldError as error:
            print(f"left out: {error}", file=sys.stderr)
    return frames


def seconds_of(frame):
    """About how long one label takes."""
    n_basis = sum(5 if z == 1 else 28 for z in frame.numbers)
    return SECONDS * n_basis**2.3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--limit", type=int, help="only the first so many molecules")
    parser.add_argument("--hours", type=float, help="begin no label after so many hours; write what there is")
    parser.add_argument("--dry-run", action="store_true", help="only say what is to be done")
    arguments = parser.parse_args()
    chosen = chosen_molecules()[: arguments.limit]
    done, frames = cards.labelled(SET), all_frames(chosen)
    todo = [frame for frame in frames if frame.info["id"] not in done]
    hours = sum(map(seconds_of, todo)) / arguments.jobs / 3600
    size = 0.75e-4 * sum(map(len, todo))
    print(f"{len(frames)} frames of {len(chosen)} molecules; {len(todo)} to label (before looking in {JOURNAL.name}):")
    print(f"about {hours:.1f} hours with {arguments.jobs} processes and {size:.1f} MB", flush=True)
    if arguments.dry_run:
        return
    limit = None if arguments.hours is None else 3600 * arguments.hours
    if todo:
        new = label(todo, PySCFCalculator("qm9"), JOURNAL, n_jobs=arguments.jobs, time_limit=limit)
        done |= {frame.info["id"]: frame for frame in new}
    part_of = {smiles: part for smiles, part, *_ in chosen}
    finished = limit is None or all(frame.info["id"] in done for frame in frames)
    ready = [done[frame.info["id"]] for frame in frames if frame.info["id"] in done]
    cards.write_set(SET, ready, lambda frame: part_of[frame.info["smiles"]], finished)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Since PySCF-2.3")  # about B3LYP's definition: ours is Gaussian's
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    main()
