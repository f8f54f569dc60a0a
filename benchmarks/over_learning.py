"""Thirty frames, 400 steps: does the error on new molecules rise again, with a learning rate that falls, and without?

    python benchmarks/over_learning.py            # some five minutes on one core

The frames, network and settings of notebook 03's first section, three seeds of weights and batches; the library's loop
with its own schedule (``falling``), and with the highest rate from the first step to the last (``constant``).  Writes
``data/results/over_learning.json``.
"""

import time
from unittest.mock import patch

import numpy as np
import torch
from results import save_results

import tpainn_lite as tp
from tpainn_lite.train import training

NETWORK = {"n_features": 32, "n_interactions": 2, "cutoff": 3.5}
SETTINGS = {"batch_size": 10, "learning_rate": 5e-3, "check_every": 20, "ema_decay": 0.9, "progress": False}
SCHEDULES = {"falling": training.learning_rate_factor, "constant": lambda step, steps: 1.0}


def main():
    torch.set_num_threads(1)
    started, rows = time.perf_counter(), []
    smiles = np.random.default_rng(0).permutation(tp.molecule_list(max_heavy=5))[:400].tolist()
    frames = tp.label(tp.shaken_molecules(smiles, n_frames=5, temperature=(300, 2000)), tp.mmff94())
    train, valid = tp.split_by_molecule(frames, (0.85, 0.15), seed=0)
    few = tp.draw(train, 30, seed=0)
    for seed in range(3):
        for rate, schedule in SCHEDULES.items():
            with patch.object(training, "learning_rate_factor", schedule):
                potential = tp.new_potential(few, seed=seed, **NETWORK)
                history = training.fit(potential, few, valid, steps=400, seed=seed, **SETTINGS)
            kept = [{key: row[key] for key in ("step", "train_loss", "force_mae")} for row in history]
            rows += [{"task": "over_learning", "rate": rate, "seed": seed, **row} for row in kept]
            print(rate, seed, min(row["force_mae"] for row in kept), kept[-1], flush=True)
    spent = time.perf_counter() - started
    save_results("over_learning", rows, "python benchmarks/over_learning.py", spent, ["torch", "rdkit"], 1)


if __name__ == "__main__":
    main()
