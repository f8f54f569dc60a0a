"""DFT labels of our own: liquid methanol, revPBE-D3, with energies, forces and stress.

Boxes of 16 CH3OH at several densities and temperatures, from MD with MMFF94 (`tpainn_lite.liquid_run`).  Split by time:
of each trajectory the first block is for training, a later one for validation, the last for testing, 1 ps apart; one
trajectory at a density of its own is for testing alone.  Needs CP2K (Debian and Ubuntu: ``apt-get install cp2k``).
Safe to interrupt: every label is kept in ``build/methanol_dft/`` at once, and the command goes on from there.

    nice python data/make/methanol_dft.py --jobs 2      # an hour on 2 cores
"""

import argparse
import os
import warnings
from functools import partial
from pathlib import Path

import cards
from joblib import Parallel, delayed

from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.structures.liquids import liquid
from tpainn_lite.teachers.cp2k import CP2KCalculator
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.liquid_md import liquid_run
from tpainn_lite.teachers.mmff_liquid import mmff94_liquid

SET, BUILD = "methanol_dft", Path(__file__).resolve().parents[2] / "build" / "methanol_dft"
SMILES, N_MOLECULES, CUTOFF = "CO", 16, 4.9  # Å, of MMFF94's van der Waals forces: half of the smallest box
SEED = 20264
STATES = [(0.79, 300), (0.70, 300), (0.88, 300), (0.79, 400)]  # g/cm³, K
TEST_STATE = (0.75, 350)
SPACING, WARM_UP = 500.0, 5000.0  # fs
BLOCKS = {"train": range(11), "valid": range(13, 15), "test": range(17, 21)}  # frames of a trajectory, SPACING apart


def trajectories():
    """{name: frames} of MMFF94's MD, each frame with its part."""
    tasks = {f"liquid{k}": (*state, SEED + k, BLOCKS) for k, state in enumerate(STATES)}
    tasks["tested"] = (*TEST_STATE, SEED + 100, {"test": range(0, 16, 4)})
    return {name: _kept(name, *task) for name, task in tasks.items()}


def _kept(name, *task):
    path = BUILD / f"{name}.extxyz"
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        write_frames(path, _frames(*task))
    return read_frames(path, need=(), quiet=True)


def _frames(density, temperature, seed, blocks):
    """Frames of one trajectory, without labels."""
    start = liquid(SMILES, N_MOLECULES, density=density, seed=seed)
    last, name = max(k for block in blocks.values() for k in block) + 1, f"methanol-{density:.2f}-{temperature}"
    settings = {"temperature": temperature, "spacing": SPACING, "warm_up": WARM_UP, "seed": seed, "labels": False}
    run = list(liquid_run(start, mmff94_liquid(cutoff=CUTOFF), n_frames=last, **settings))
    chosen = [(part, run[k], k) for part, block in blocks.items() for k in block]
    for part, atoms, k in chosen:
        atoms.info |= {"part": part, "id": f"{name}/{k}", "trajectory": name, "config_type": "liquid"}
        atoms.info |= {"source": "tpainn_lite data/make/methanol_dft.py", "sampled_with": "MMFF94"}
    return [atoms for _, atoms, _ in chosen]


def labelled(name, frames):
    """The frames of a trajectory in their order, by a CP2K of their own, so that each starts from the one before."""
    calculator = CP2KCalculator("liquid")
    try:
        return label(frames, calculator, BUILD / f"{name}.jsonl", progress=False)
    finally:
        calculator.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    found = trajectories()
    print(f"{sum(map(len, found.values()))} frames", flush=True)
    work = [delayed(partial(labelled, name))(frames) for name, frames in found.items()]
    ready = [atoms for frames in Parallel(arguments.jobs)(work) for atoms in frames]
    for atoms in ready:
        atoms.info["density"] = round(atoms.info["density"], 4)
    cards.write_set(SET, ready, lambda atoms: atoms.info["part"], finished=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
