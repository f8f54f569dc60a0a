"""What pretraining needs: how many classical labels, and how much weight on energies relative to forces.

    python benchmarks/pretraining.py            # about half an hour on one core; resumes run by run

MMFF94 labels of shaken molecules with up to 6 heavy atoms, the tour's small network and steps; errors on MMFF94 labels
of molecules it has not seen (those of the DFT set's `valid` and `test`).  Case ``size``: 100 to 30,000 frames at equal
steps.  Case ``weights``: energy weights from 0 to 10 with a force weight of 1, with 6,000 frames.  Writes
``data/results/pretraining.json``.
"""

import argparse
import itertools
import time

import numpy as np
import torch
from recipes import calm
from results import earlier, save_results

import tpainn_lite as tp

NETWORK = {"n_features": 48, "n_interactions": 2, "cutoff": 3.5}
STEPS = 3000
SIZES, WEIGHTS = (100, 300, 1000, 3000, 10_000, 30_000), (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DEFAULT_SIZE, DEFAULT_WEIGHT, TEMPERATURE, PER_MOLECULE = 6000, 0.3, (300, 3000), 12


def classical(smiles, n, seed):
    """So many labelled frames, twelve of each molecule, without those where atoms run into each other."""
    shaken = tp.shaken_molecules(smiles, PER_MOLECULE, TEMPERATURE, seed)
    frames = calm(tp.label(itertools.islice(shaken, round(1.15 * n)), tp.mmff94(), progress=False))
    if len(frames) < n:
        raise ValueError(f"{len(frames)} sound frames of {len(smiles)} molecules; {n} are needed")
    return frames[:n]


def runs(seeds):
    """(case, number of frames, energy weight, seed) of every training."""
    for seed in range(seeds):
        yield from (("size", n, DEFAULT_WEIGHT, seed) for n in SIZES)
        yield from (("weights", DEFAULT_SIZE, weight, seed) for weight in WEIGHTS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    unseen = {a.info["smiles"] for part in ("valid", "test") for a in tp.load_molecules(part)}
    test, pools = classical(sorted(unseen), 600, seed=1000), {}
    rows, spent = earlier("pretraining")
    for case, n, weight, seed in runs(arguments.seeds):
        if any((r["case"], r["n_train"], r["energy_weight"], r["seed"]) == (case, n, weight, seed) for r in rows):
            continue
        started = time.perf_counter()
        if seed not in pools:
            smiles = np.random.default_rng(seed).permutation(tp.molecule_list(max_heavy=6)).tolist()
            pools[seed] = classical(smiles, max(SIZES), seed)
        settings = {"steps": STEPS, "energy_weight": weight, "progress": False, **NETWORK}
        potential = tp.pretrain(pools[seed][:n], seed=seed, **settings)
        spent += time.perf_counter() - started
        row = {"task": "pretraining", "case": case, "n_train": n, "energy_weight": weight, "seed": seed}
        rows.append(row | tp.errors(potential, test))
        save_results("pretraining", rows, "python benchmarks/pretraining.py", spent, ["torch", "rdkit"], 1)
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
