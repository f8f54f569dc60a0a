"""DFT labels of our own: small molecules at QM9's level, B3LYP/6-31G(2df,p).

Molecules are drawn at random (seed below) from ``data/molecules.csv``; each gives its MMFF94 minimum, normal-mode
displacements and snapshots of MMFF94 MD at 300-1000 K.  Split by molecule.  Safe to interrupt: every label is
kept in ``build/`` at once, and the command goes on from there.

    nice python data/make/molecules_b3lyp.py --jobs 2      # about an hour on 2 cores
"""

import argparse
import warnings
from pathlib import Path

import numpy as np

from tpainn_lite.datasets import sha256, write_frames, write_text
from tpainn_lite.dft import PySCFCalculator
from tpainn_lite.forcefields import mmff94, molecule
from tpainn_lite.sampling import label, normal_mode_frames, thermal_frames

DATA = Path(__file__).resolve().parents[1]
SEED = 20261
DRAWN = {(1, 4): 60, (5, 5): 40}  # (fewest, most heavy atoms): molecules
PART = ("train", "test", "train", "train", "test", "train", "train", "test", "train", "valid")  # by turns
TEMPERATURE = (300, 1000)  # K


def chosen_molecules():
    """[(SMILES, part)], small and large interleaved, so that an interrupted run is a fair sample."""
    rows = [line.rsplit(",", 1) for line in (DATA / "molecules.csv").read_text().split()[1:]]
    rng, picked = np.random.default_rng(SEED), []
    for (low, high), count in DRAWN.items():
        pool = [smiles for smiles, size in rows if low <= int(size) <= high]
        picked += [str(smiles) for smiles in rng.choice(pool, count, replace=False)]
    rng.shuffle(picked)
    return [(smiles, PART[k % len(PART)]) for k, smiles in enumerate(picked)]


def structures(smiles, seed):
    """The minimum, two normal-mode and two thermal frames of one molecule."""
    minimum, teacher = molecule(smiles, seed), mmff94()
    relaxed = minimum.copy()
    relaxed.info["config_type"] = "relaxed"
    frames = [relaxed]
    frames += normal_mode_frames(minimum, teacher, TEMPERATURE, 2, seed)
    frames += thermal_frames(minimum, teacher, TEMPERATURE, 2, seed)
    for k, frame in enumerate(frames):
        frame.info.update(id=f"{smiles}/{k}", source="tpainn_lite data/make/molecules_b3lyp.py")
    return frames


def write_sums(data):
    """List the checksums of every shipped data file in ``data/SHA256SUMS``."""
    files = [data / "molecules.csv", *sorted(data.glob("*/*.extxyz*")), *sorted(data.glob("*/*.safetensors"))]
    write_text(data / "SHA256SUMS", "".join(f"{sha256(f)}  {f.relative_to(data).as_posix()}\n" for f in files))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--limit", type=int, help="only the first so many molecules")
    arguments = parser.parse_args()
    part_of, frames = {}, []
    for k, (smiles, part) in enumerate(chosen_molecules()[: arguments.limit]):
        part_of[smiles] = part
        frames += structures(smiles, SEED + k)
    journal = DATA.parent / "build" / "molecules_b3lyp.jsonl"
    labelled = label(frames, PySCFCalculator("qm9"), journal, n_jobs=arguments.jobs)
    for part in ("train", "valid", "test"):
        mine = [frame for frame in labelled if part_of[frame.info["smiles"]] == part]
        write_frames(DATA / "molecules_b3lyp" / f"{part}.extxyz.xz", mine)
        print(f"{part}: {len(mine)} frames of {len({f.info['smiles'] for f in mine})} molecules")
    write_sums(DATA)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Since PySCF-2.3")  # about B3LYP's definition: ours is Gaussian's
    main()
