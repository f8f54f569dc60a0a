"""DFT labels of our own: liquid water, revPBE-D3, with energies, forces and stress.

Boxes of 32 H2O from q-TIP4P/F MD at several densities and temperatures, single molecules and pairs in a box, and three
boxes of 64 H2O.  Split by time: of each trajectory, the first block is for training, a later one for validation, the
last for testing, 1 ps apart; two trajectories at a density of their own are for testing alone.  Needs CP2K (Debian and
Ubuntu: ``apt-get install cp2k``).  Safe to interrupt: every label is kept in ``build/water_dft/`` at once, and the
command goes on from there.

    nice python data/make/water_dft.py --jobs 2      # some hours on 2 cores
    python data/make/water_dft.py --dry-run          # what is left: frames, hours, MB
    python data/make/water_dft.py --hours 0          # keep what is labelled so far in unfinished.extxyz.xz

The parts are written when all is labelled, and not before.
"""

import argparse
import os
import time
from pathlib import Path

import cards
import numpy as np
from ase import Atoms
from ase.io import read, write
from ase.optimize import FIRE
from joblib import Parallel, delayed

from tpainn_lite.classical_water import water
from tpainn_lite.cp2k import CP2KCalculator
from tpainn_lite.labels import label
from tpainn_lite.sampling import thermal_frames, water_box

DATA = Path(__file__).resolve().parents[1]
SET, BUILD = "water_dft", DATA.parent / "build" / "water_dft"
SOURCE = "tpainn_lite data/make/water_dft.py"
SEED = 20263
STATES = [  # g/cm³, K
    (1.00, 300), (0.85, 400), (1.15, 300), (0.95, 350), (1.05, 280), (1.00, 600), (0.85, 300), (1.15, 600),
    (1.00, 350), (0.95, 280), (1.05, 400),
]  # fmt: skip
TEST_STATES = [(1.10, 300), (0.90, 400)]
SPACING, WARM_UP = 250.0, 4000.0  # fs
BLOCKS = {"train": range(8), "valid": range(12, 14), "test": range(18, 21)}  # frames of a trajectory, SPACING apart
BOX = 10.0  # Å, around single molecules and pairs
SECONDS = 40  # one frame of 32 H2O takes about this on one core of 2024, started from the frame before


def liquid(density, temperature, n_molecules, seed, blocks):
    """Frames of one q-TIP4P/F trajectory, each with its part and its time."""
    start, teacher = water_box(n_molecules, density, seed), water()
    start.calc = teacher
    FIRE(start, logfile=None).run(fmax=1.0, steps=200)
    last = max(k for block in blocks.values() for k in block) + 1
    run = thermal_frames(start, teacher, temperature, last, seed, spacing=SPACING, warm_up=WARM_UP)
    name, frames = f"liquid-{n_molecules}-{density:.2f}-{temperature}", []
    for part, block in blocks.items():
        for k in block:
            run[k].info.update(part=part, density=density, time=k * SPACING / 1000, id=f"{name}/{k}")
            run[k].info.update(config_type="liquid", trajectory=name)
            frames.append(run[k])
    return frames


def monomers(seed, n=24):
    """Single molecules in a box, at rest to very hot."""
    one = Atoms("OHH", water_box(1).positions, cell=[BOX] * 3, pbc=True)
    free = Atoms("OHH", one.positions)  # q-TIP4P/F without images
    run = thermal_frames(free, water(), (100, 2000), n, seed, spacing=100)
    return _in_box(run, "monomer")


def dimers(frames, seed, n=36):
    """Pairs of neighbours cut out of the liquid, each for the part its frame belongs to."""
    rng, pairs = np.random.default_rng(seed), []
    for frame in rng.permutation(np.arange(len(frames)))[:n]:
        box, first = frames[frame], rng.integers(32)
        vectors = box.get_distances(3 * first, np.arange(0, 96, 3), mic=True, vector=True)  # (32, 3)
        near = np.flatnonzero(np.linalg.norm(vectors, axis=1) < 5.0)
        second = rng.choice(near[near != first])
        positions = box.positions.reshape(-1, 3, 3)[[first, second]].copy()
        positions[1] += positions[0, 0] + vectors[second] - positions[1, 0]
        pair = Atoms("OHHOHH", positions.reshape(-1, 3))
        pair.info.update(part=box.info["part"], temperature=box.info["temperature"])
        pairs.append(pair)
    return _in_box(pairs, "dimer")


def _in_box(frames, kind):
    by_turns = ("train", "train", "test", "train", "valid", "train")
    for k, frame in enumerate(frames):
        frame.set_cell([BOX] * 3)
        frame.pbc = True
        frame.info.setdefault("part", by_turns[k % len(by_turns)])
        frame.info.update(config_type=kind, id=f"{kind}/{k}", trajectory=kind)
    return frames


def all_trajectories():
    """{name: frames}; made once, then read from ``build/``: MD is chaotic, and a label belongs to its frame."""
    jobs = {f"liquid{k}": (density, kelvin, 32, SEED + k, BLOCKS) for k, (density, kelvin) in enumerate(STATES)}
    for k, (density, kelvin) in enumerate(TEST_STATES):
        jobs[f"tested{k}"] = (density, kelvin, 32, SEED + 100 + k, {"test": range(0, 16, 4)})
    jobs["large"] = (1.00, 300, 64, SEED + 200, {"test_large": range(0, 12, 4)})
    trajectories = {name: _kept(name, liquid, *arguments) for name, arguments in jobs.items()}
    small = [frame for name, frames in trajectories.items() if name != "large" for frame in frames]
    trajectories["monomer"] = _kept("monomer", monomers, SEED + 300)
    trajectories["dimer"] = _kept("dimer", dimers, small, SEED + 301)
    return trajectories


def _kept(name, make, *arguments):
    path = BUILD / f"{name}.extxyz"
    if not path.exists():
        frames = make(*arguments)
        for frame in frames:
            frame.info["source"], frame.calc = SOURCE, None
        BUILD.mkdir(parents=True, exist_ok=True)
        write(path.with_suffix(".new"), frames, format="extxyz")
        path.with_suffix(".new").rename(path)
        print(f"{name}: {len(frames)} frames sampled", flush=True)
    return read(path, index=":")


def label_one(name, frames, deadline):
    """Label one trajectory, in order, with a CP2K of its own."""
    limit = None if deadline is None else max(0.0, deadline - time.time())
    calculator = CP2KCalculator("water")
    try:
        return name, label(frames, calculator, BUILD / f"{name}.jsonl", progress=False, time_limit=limit)
    except ValueError as error:  # none of them: say so, and leave the others alone
        print(f"{name}: {error}", flush=True)
        return name, []
    finally:
        calculator.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--hours", type=float, help="begin no label after so many hours; write what there is")
    parser.add_argument("--dry-run", action="store_true", help="only say what is to be done")
    arguments = parser.parse_args()
    done, trajectories = cards.labelled(SET), all_trajectories()
    frames = [frame for trajectory in trajectories.values() for frame in trajectory]
    todo = {name: [f for f in fs if f.info["id"] not in done] for name, fs in trajectories.items()}
    work = sum(len(f) / 96 for fs in todo.values() for f in fs)
    hours, size = work * SECONDS / 3600 / arguments.jobs, work * 0.008
    print(f"{len(frames)} frames, {sum(map(len, todo.values()))} to label (before looking in build/):", end=" ")
    print(f"about {hours:.1f} hours with {arguments.jobs} processes and {size:.1f} MB", flush=True)
    if arguments.dry_run:
        return
    deadline = None if arguments.hours is None else time.time() + 3600 * arguments.hours
    tasks = [delayed(label_one)(name, fs, deadline) for name, fs in todo.items() if fs]
    for name, labelled in Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")(tasks):
        done |= {frame.info["id"]: frame for frame in labelled}
        print(f"{name}: {len(labelled)} of {len(todo[name])} frames labelled", flush=True)
    finished = arguments.hours is None or all(frame.info["id"] in done for frame in frames)
    ready = [done[frame.info["id"]] for frame in frames if frame.info["id"] in done]
    cards.write_set(SET, ready, lambda frame: frame.info["part"], finished)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
