"""Where a potential lets two molecules into each other, and what labels of such frames mend.

    python benchmarks/holes.py          # half an hour on one core, most of it DFT; resumes

Two molecules, turned at random, approach each other along a line, rigid, until their closest atoms are 0.8 Å apart.
How close does a potential let them come with 1 eV?  GFN2-xTB, which has the repulsion of nuclei in it, says what is
right: where a potential lets them more than 0.3 Å closer, it has a *hole*.  Nothing here was trained on two molecules;
so this is asked about contacts that no label has shown, and that a hot simulation will find.

| method        | trained on                                                                                         |
|---------------|----------------------------------------------------------------------------------------------------|
| start         | the shipped weights, without any DFT label                                                         |
| plain         | fifty labels of single molecules                                                                   |
| more          | as many more of these as hunting adds (from scratch)                                               |
| hunted        | fifty, and the frames to which `plain` let pairs of molecules come with 1 eV, labelled (the same)  |

Pairs to hunt with are of `train` molecules, pairs to be tested on of `test` molecules.  Writes
``data/results/holes.json``: the share of test pairs with a hole, the mean difference of the closest distances from
GFN2-xTB's in Å, and the force error on single molecules of `test` in meV/Å.
"""

import argparse
import itertools
import os
import time
from functools import cache
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from learning_curve_qm9 import scratch_way, tuned_way
from results import earlier, merged, save_results
from scipy.spatial.transform import Rotation

import tpainn_lite as tp

BUILD = Path(__file__).resolve().parents[1] / "build" / "holes"
TASK = "molecule_forces"
GAPS = np.arange(4.0, 0.75, -0.1)  # Å, between the closest atoms of two molecules
STRIDE, FARTHEST = 0.01, 20.0  # Å, of the approach
ENOUGH, CLOSER = 1.0, 0.3  # eV above the separated molecules; Å
SMALL = range(3, 10)  # atoms of each molecule
N_LABELS, N_HUNTED, N_TESTED = 50, 12, 60
WAYS = {  # {where it begins: (how it is trained, the shipped weights)}
    "from scratch": (scratch_way(TASK, "atomref"), None),
    "T-PaiNN from MMFF94": (tuned_way(TASK, "shipped"), "gas"),
    "T-PaiNN": (tuned_way(TASK, "shipped_xtb"), "gas_xtb"),
}
KEY = ("way", "method", "seed")


def approaches(split, n, seed):
    """``n`` pairs of molecules, each a list of frames by ``GAPS``; it ends where they would pass each other."""
    first = {}
    for atoms in tp.load_molecules(split):
        if atoms.info["config_type"] == "relaxed" and len(atoms) in SMALL:
            first.setdefault(atoms.info["smiles"], atoms)
    molecules, rng = list(first.values()), np.random.default_rng(seed)
    return [approach(*(molecules[k] for k in rng.integers(len(molecules), size=2)), rng) for _ in range(n)]


def approach(one, other, rng):
    """Two molecules, turned at random, nearer from frame to frame."""
    fixed, moving = (
        (atoms.positions - atoms.positions.mean(axis=0)) @ Rotation.random(random_state=rng).as_matrix()
        for atoms in (one, other)
    )
    along = rng.normal(size=3)
    along /= np.linalg.norm(along)
    far = np.arange(FARTHEST, 0, -STRIDE)
    gaps = np.array([np.linalg.norm(fixed[:, None] - moving - t * along, axis=-1).min() for t in far])
    frames = []
    for gap in GAPS:
        if not (gaps <= gap).any():
            break
        t = far[np.argmax(gaps <= gap)]
        frames.append(Atoms([*one.numbers, *other.numbers], np.concatenate([fixed, moving + t * along])))
    return frames


def reached(energies):
    """Number of the last frame of an approach that is less than `ENOUGH` above the first."""
    over = energies - energies[0] > ENOUGH
    return int(np.argmax(over)) - 1 if over.any() else len(energies) - 1


def by_xtb(frames):
    """Energies (n,) of an approach by GFN2-xTB; where its SCF fails, far too close, more than enough."""
    for k, atoms in enumerate(frames):
        atoms.info["id"] = k
    labelled = {a.info["id"]: a.get_potential_energy() for a in tp.label(frames, tp.gfn2_xtb(), progress=False)}
    return np.array([labelled.get(k, np.inf) for k in range(len(frames))])


@cache
def tested():
    """The approaches to be tested on, and how near GFN2-xTB lets each pair come, (n,) in Å."""
    pairs = approaches("test", N_TESTED, seed=1)
    return pairs, np.array([GAPS[reached(by_xtb(frames))] for frames in pairs])


def measure(model):
    """What a row has of a potential."""
    pairs, right = tested()
    found = np.array([GAPS[reached(model.predict(frames, forces=False)[0])] for frames in pairs])
    row = {
        "holes": float((found < right - CLOSER - 1e-6).mean()),
        "distance_error": float(np.abs(found - right).mean()),
    }
    return row | {"force_mae": tp.errors(model, tp.load_molecules("test"))["force_mae"]}


def hunted(model, way, seed):
    """Labelled: the frames to which the potential lets pairs come, one of each pair."""
    frames = []
    for number, pair in enumerate(approaches("train", N_HUNTED, seed=100 + seed)):
        atoms = pair[reached(model.predict(pair, forces=False)[0])].copy()
        atoms.info = {"id": f"{way}, {seed}, {number}", "config_type": "pair"}
        frames.append(atoms)
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"{way}, {seed}.jsonl"
    return tp.label(frames, tp.PySCFCalculator("qm9"), path=path, progress=False)


def rows_of(way, seed):
    """Rows of one training; labels of pairs are bought for the way from scratch alone."""
    train, start = WAYS[way]
    pool, known = tp.load_molecules("train"), {"way": way, "seed": seed}
    if start and seed == 0:
        yield {**known, "method": "start", "n_train": 0, **measure(tp.load_pretrained(start))}
    few = tp.draw(pool, N_LABELS, seed)
    plain = train(few, seed)
    yield {**known, "method": "plain", "n_train": len(few), **measure(plain)}
    if start:
        return
    found = hunted(plain, way, seed)
    yield {**known, "method": "hunted", "n_train": len(few) + len(found), **measure(train(few + found, seed))}
    more = tp.draw(pool, N_LABELS + len(found), seed)
    yield {**known, "method": "more", "n_train": len(more), **measure(train(more, seed))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for seed, way in itertools.product(range(arguments.seeds), arguments.way):
        last = "plain" if WAYS[way][1] else "more"
        if any((row["way"], row["method"], row["seed"]) == (way, last, seed) for row in earlier("holes")[0]):
            continue
        began = time.perf_counter()
        for row in rows_of(way, seed):
            print(row, flush=True)
            rows, seconds = earlier("holes")
            rows, seconds, began = merged(rows, [row], KEY), seconds + time.perf_counter() - began, time.perf_counter()
            save_results("holes", rows, "python benchmarks/holes.py", seconds, ["torch", "tblite", "pyscf"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
