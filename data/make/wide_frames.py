"""Frames of the molecules in ``data/molecules_wide.csv`` and their GFN2-xTB labels: what the wide weights learn from.

Of each molecule, by its size, 7 to 14 frames that both teachers label:

- ``relaxed``: a conformer, relaxed by MMFF94 and then by four steps of GFN2-xTB, whose bonds have other lengths;
- ``normal_modes``: the same, displaced along MMFF94's normal modes at 300-1000 K;
- ``thermal``: snapshots of MMFF94's MD at 300-1000 K, from another conformer where there is one;

and 16 more that only MMFF94 labels (``info["for"]`` is its name), displaced from its own minimum.  Charges are those of
the SMILES.

Molecules come in random order, `SHARD` to a file: what is there after an interruption is a fair sample, and the same
command goes on.  Everything is kept in ``build/wide``: ``frames/000.extxyz`` and, when all of them are labelled,
``gfn2_xtb/000.extxyz``; `load_wide` collects them.

    nice python data/make/wide_frames.py                       # one process, one thread; about an hour and a half
    nice python data/make/wide_frames.py --share 1/2 &         # or two: every second file each
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.structures.build import conformers
from tpainn_lite.structures.checks import label_of
from tpainn_lite.structures.smiles import skeleton
from tpainn_lite.teachers.label import label, label_stream
from tpainn_lite.teachers.rdkit import ForceFieldError, mmff94
from tpainn_lite.teachers.sample import normal_mode_frames, thermal_frames
from tpainn_lite.teachers.xtb import gfn2_xtb

DATA = Path(__file__).resolve().parents[1]
LIST, FOLDER = DATA / "molecules_wide.csv", DATA.parent / "build" / "wide"
FRAMES = {6: 14, 12: 10, 18: 8, 25: 7}  # up to so many heavy atoms: frames that both teachers label
MORE = 16  # frames that only MMFF94 labels
SHAPES, STEPS = 4, 4  # conformers that are tried; steps of GFN2-xTB's relaxation
TEMPERATURE = (300, 1000)  # K
MOLECULAR_DYNAMICS = {"timestep": 1.0, "warm_up": 80.0, "spacing": 40.0}  # fs
SHARD = 60  # molecules to a file
SEED = 20263
FORCE_LIMIT = 25.0  # eV/Å, a component
ENERGY_LIMIT = 0.5  # eV per atom, above the lowest frame of the same molecule; at 1000 K the mean is about 0.13


def chosen_molecules():
    """[(SMILES, heavy atoms, part)] in random order."""
    rows = [line.split(",") for line in LIST.read_text().split()[1:]]
    rows = [(smiles, int(size), part) for smiles, size, _, _, part in rows]
    return [rows[k] for k in np.random.default_rng(SEED).permutation(len(rows))]


def molecule_frames(smiles, n_heavy, seed):
    """Frames of one molecule, unlabelled."""
    first, *others = conformers(smiles, SHAPES, seed)
    n_frames = next(count for size, count in FRAMES.items() if n_heavy <= size)
    n_modes = (n_frames - 1) // 2
    relaxed = loosened(first)
    shaken = normal_mode_frames(first, mmff94(), TEMPERATURE, n_modes + MORE, seed) if len(first) > 1 else []
    for frame in shaken[:n_modes]:
        frame.positions += relaxed.positions - first.positions
    for frame in shaken[n_modes:]:
        frame.info["for"] = "MMFF94"
    heated = (others or [first])[0]
    heated = thermal_frames(heated, mmff94(), TEMPERATURE, n_frames - 1 - n_modes, seed, **MOLECULAR_DYNAMICS)
    frames = [relaxed, *shaken[:n_modes], *heated, *shaken[n_modes:]]
    for k, frame in enumerate(frames):
        frame.info["id"] = f"{smiles}/{k}"
        frame.info.pop("energy_above_lowest", None)
    return frames


def loosened(atoms):
    """A few steps from MMFF94's minimum to GFN2-xTB's."""
    from ase.optimize import BFGS

    work = atoms.copy()
    work.calc = gfn2_xtb()
    BFGS(work, logfile=None, maxstep=0.1).run(fmax=0.05, steps=STEPS)
    relaxed = atoms.copy()
    relaxed.positions = work.positions
    relaxed.info["config_type"] = "relaxed"
    return relaxed


def made(path, molecules, first):
    """The frames in this file, which is made if it is not there."""
    if not path.exists():
        frames = []
        for k, (smiles, n_heavy, _) in enumerate(molecules):
            try:
                frames += molecule_frames(smiles, n_heavy, SEED + first + k)
            except (ForceFieldError, ValueError, RuntimeError) as error:
                print(f"left out: {smiles}: {error}", file=sys.stderr)
        write_frames(path, frames)
    return read_frames(path, need=())


def make_shard(number, molecules):
    """Frames, then labels, of the molecules of one file; what is there is not made again."""
    name = f"{number:03d}.extxyz"
    frames, labels = FOLDER / "frames" / name, FOLDER / "gfn2_xtb" / name
    if labels.exists():
        return
    started = time.perf_counter()
    todo = [atoms for atoms in made(frames, molecules, number * SHARD) if "for" not in atoms.info]
    between, journal = time.perf_counter(), labels.with_suffix(".jsonl")
    labelled = label(todo, gfn2_xtb(), journal, progress=False)
    write_frames(labels, labelled)
    journal.unlink()
    spent = f"{between - started:.0f} s, labels {time.perf_counter() - between:.0f} s"
    print(f"{name}: {len(labelled)} of {len(todo)} frames; frames {spent}", flush=True)


def load_wide(teacher, n_shards=None):
    """(train, valid): `calm` frames of the wide list with labels of this teacher, "MMFF94" or "GFN2-xTB".

    Of the first ``n_shards`` files that GFN2-xTB has labelled by now.
    """
    part_of = {skeleton(smiles): part for smiles, _, part in chosen_molecules()}
    parts = {"train": [], "valid": []}
    for path in sorted((FOLDER / "gfn2_xtb").glob("*.extxyz"))[:n_shards]:
        if teacher == "MMFF94":
            frames = list(label_stream(read_frames(FOLDER / "frames" / path.name, need=()), mmff94(), progress=False))
        else:
            frames = read_frames(path)
        for atoms in calm(frames):
            parts[part_of[skeleton(atoms.info["smiles"])]].append(atoms)
    return parts["train"], parts["valid"]


def calm(frames):
    """Those of the labelled frames below `FORCE_LIMIT` and, above the lowest of their molecule, `ENERGY_LIMIT`."""
    lowest = {}
    for atoms in frames:
        name, energy = atoms.info["smiles"], label_of(atoms, "energy")
        lowest[name] = min(energy, lowest.get(name, np.inf))
    return [
        atoms
        for atoms in frames
        if np.abs(label_of(atoms, "forces")).max() < FORCE_LIMIT
        and label_of(atoms, "energy") - lowest[atoms.info["smiles"]] < ENERGY_LIMIT * len(atoms)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", default="1/1", help="k/n: this process makes every n-th file, from the k-th on")
    arguments = parser.parse_args()
    first, step = (int(word) for word in arguments.share.split("/"))
    for folder in ("frames", "gfn2_xtb"):
        (FOLDER / folder).mkdir(parents=True, exist_ok=True)
    molecules = chosen_molecules()
    shards = [molecules[k : k + SHARD] for k in range(0, len(molecules), SHARD)]
    for number in range(first - 1, len(shards), step):
        make_shard(number, shards[number])


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # before tblite is loaded
    main()
