"""Structures for the DFT set of water, in two rounds; `water_dft.py` labels them.

Round 1: q-TIP4P/F MD.  Round 2, a first round of active learning: MD with the potential that the labels of round 1
made, because a liquid of its own holds structures that no classical model visits.

    python data/make/water_frames.py        # samples what is missing into build/water_dft/; some minutes
"""

import os
import warnings
from pathlib import Path

import cards
import numpy as np
from ase import Atoms
from ase.io import read, write
from ase.optimize import FIRE
from joblib import Parallel, delayed

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.build import water_box
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.sample import thermal_frames
from tpainn_lite.teachers.water import water
from tpainn_lite.train.transfer import autotune, pretrain

SET, BUILD = "water_dft", Path(__file__).resolve().parents[2] / "build" / "water_dft"
SEED = 20263
STATES = [  # g/cm³, K
    (1.00, 300), (0.85, 400), (1.15, 300), (0.95, 350), (1.05, 280), (1.00, 600), (0.85, 300), (1.15, 600),
    (1.00, 350), (0.95, 280), (1.05, 400),
]  # fmt: skip
TEST_STATES = [(1.10, 300), (0.90, 400)]
SECOND_STATES = [
    (1.00, 300), (0.95, 350), (1.05, 300), (0.85, 350), (1.15, 300), (1.00, 400), (0.95, 300), (1.05, 350),
]  # fmt: skip
SPACING, WARM_UP = 250.0, 4000.0  # fs
BLOCKS = {"train": range(8), "valid": range(12, 14), "test": range(18, 21)}  # frames of a trajectory, SPACING apart
BOX = 10.0  # Å, around single molecules and pairs
NETWORK = {"n_features": 32, "n_interactions": 2}  # of the first potential: enough to move molecules with
LONGEST_BOND, CLOSEST = 1.4, 1.2  # Å: O-H bonds, and atoms of different molecules; beyond, a liquid is not water
TRIES = 5  # of a trajectory whose training frames are not water


def first_round(jobs):
    """{trajectory: frames} of q-TIP4P/F MD, of single molecules and of pairs."""
    tasks = {f"liquid{k}": (*state, 32, SEED + k, BLOCKS) for k, state in enumerate(STATES)}
    for k, state in enumerate(TEST_STATES):
        tasks[f"tested{k}"] = (*state, 32, SEED + 100 + k, {"test": range(0, 16, 4)})
    tasks["large"] = (1.00, 300, 64, SEED + 200, {"test_large": range(0, 12, 4)})
    found = Parallel(jobs)(delayed(_kept)(name, classical_liquid, *arguments) for name, arguments in tasks.items())
    trajectories = dict(zip(tasks, found, strict=True))
    small = [frame for name, frames in trajectories.items() if name != "large" for frame in frames]
    trajectories["monomer"] = _kept("monomer", monomers, SEED + 300)
    trajectories["dimer"] = _kept("dimer", dimers, small, SEED + 301)
    return trajectories


def second_round(labelled, jobs):
    """{trajectory: frames} of MD with the potential that the labelled training frames of the first round make."""
    train = [frame for frame in labelled if frame.info["part"] == "train"]
    first_potential([frame for frame in train if "second" not in frame.info["trajectory"]])
    tasks = {
        f"second{k}": (density, kelvin, SEED + 400 + k, train) for k, (density, kelvin) in enumerate(SECOND_STATES)
    }
    found = Parallel(jobs)(delayed(_kept)(name, autotuned_liquid, *arguments) for name, arguments in tasks.items())
    return {name: [f for f in frames if is_water(f)] for name, frames in zip(tasks, found, strict=True)}


def classical_liquid(density, temperature, n_molecules, seed, blocks):
    """Frames of one q-TIP4P/F trajectory, each with its part and its time."""
    start, teacher = water_box(n_molecules, density, seed), water()
    start.calc = teacher
    FIRE(start, logfile=None).run(fmax=1.0, steps=200)
    name = f"liquid-{n_molecules}-{density:.2f}-{temperature}"
    return _blocks_of(name, start, teacher, density, temperature, seed, blocks, WARM_UP)


def autotuned_liquid(density, temperature, seed, train):
    """Frames of one trajectory of the first potential, from a training frame of that density.

    That potential has holes: two hydrogen atoms may fall onto each other and stay there.  A trajectory in which this
    happens among the training frames is run again with another seed.
    """
    start = next(frame for frame in train if frame.info.get("density") == density).copy()
    start.info.clear()
    calculator = PotentialCalculator(Potential.load(BUILD / "first.safetensors"))
    name = f"second-32-{density:.2f}-{temperature}"
    for k in range(TRIES):
        frames = _blocks_of(name, start, calculator, density, temperature, seed + 1000 * k, BLOCKS, WARM_UP / 2)
        if all(is_water(frame) for frame in frames if frame.info["part"] == "train"):
            return frames
        print(f"{name}: two atoms fell onto each other; once more with another seed", flush=True)
    raise RuntimeError(f"{name}: not once in {TRIES} runs did the first potential keep its liquid whole")


def is_water(frame):
    """Whether all bonds are whole and no two molecules lie in each other."""
    molecule, distances = np.arange(len(frame)) // 3, frame.get_all_distances(mic=True)  # (N, N) Å
    closest = distances[molecule[:, None] != molecule].min(initial=np.inf)
    return np.linalg.norm(_arms(frame), axis=-1).max() <= LONGEST_BOND and closest >= CLOSEST


def _blocks_of(name, start, calculator, density, temperature, seed, blocks, warm_up):
    last = max(k for block in blocks.values() for k in block) + 1
    run = thermal_frames(start, calculator, temperature, last, seed, spacing=SPACING, warm_up=warm_up)
    frames = []
    for part, block in blocks.items():
        for k in block:
            run[k].info.update(part=part, density=density, time=k * SPACING / 1000, id=f"{name}/{k}")
            run[k].info.update(config_type="liquid", trajectory=name)
            frames.append(run[k])
    return frames


def first_potential(labelled):
    """Pretrained on hot q-TIP4P/F liquid, autotuned on the DFT labels given; kept in ``build/``."""
    path = BUILD / "first.safetensors"
    if path.exists():
        return
    classical = []
    for k, (density, kelvin) in enumerate(STATES):
        start = next(frame for frame in labelled if frame.info.get("density") == density)
        frames = thermal_frames(start, water(), (kelvin, 900), 60, SEED + 500 + k, warm_up=500)
        classical += label(frames, water(), progress=False)
    pretrained = pretrain(classical, **NETWORK, steps=2000, batch_size=4, learning_rate=3e-3)
    autotune(pretrained, labelled, steps=1000, batch_size=4).save(path)


def monomers(seed, n=24):
    """Single molecules in a box, at rest to very hot."""
    free = Atoms("OHH", water_box(1).positions)  # q-TIP4P/F without images
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


def _arms(frame):
    positions = frame.positions.reshape(-1, 3, 3)
    return positions[:, 1:] - positions[:, :1]  # (M, 2, 3)


def _kept(name, make, *arguments):
    """Made once, then read from ``build/``: MD is chaotic, and a label belongs to its frame."""
    path = BUILD / f"{name}.extxyz"
    if not path.exists():
        frames = make(*arguments)
        for frame in frames:
            frame.info["source"], frame.calc = "tpainn_lite data/make/water_dft.py", None
        BUILD.mkdir(parents=True, exist_ok=True)
        write(path.with_suffix(".new"), frames, format="extxyz")
        path.with_suffix(".new").rename(path)
        print(f"{name}: {len(frames)} frames sampled", flush=True)
    return read(path, index=":")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)  # Lightning's advice
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    trajectories = first_round(jobs=2)
    done = cards.labelled(SET)
    print(sum(map(len, trajectories.values())), "frames in the first round,", len(done), "labelled")
