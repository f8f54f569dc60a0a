"""How much of a liquid's forces can a potential that sees 5 Å learn?  Its error floor, for three sorts of charge.

    python benchmarks/water_floor.py        # about an hour on one core; resumes run by run

q-TIP4P/F frames of 64 H2O (three densities), labelled with the full Ewald sum and with damped-shifted charges that end
at 6 and at 5 Å; PaiNN of 5 Å trained on growing numbers of them.  Where the error no longer falls with more frames,
what is left is what the network cannot see (and what it is too small for, which is the same for all three).  Writes
``data/results/water_floor.json``: force MAE in meV/Å, and that of the net force on each molecule.
"""

import argparse
import itertools
import time

import torch
from results import earlier, save_results

import tpainn_lite as tp
from tpainn_lite.model.errors import force_mae

CHARGES = {"ewald": {}, "damped 6 Å": {"cutoff": 6.0}, "damped 5 Å": {"cutoff": 5.0}}
STATES = [(0.9, 300), (1.0, 330), (1.1, 360)]
SIZES, N_TEST = (15, 60, 240), 45
NETWORK = {"n_features": 32, "n_interactions": 2, "cutoff": 5.0}
TRAINING = {"steps": 1500, "batch_size": 2, "learning_rate": 3e-3}


def frames(seed):
    """Structures of the Ewald liquid, the three states in alternation, the last ``N_TEST`` from another run."""
    train, test = (
        tp.water_runs(STATES, n // len(STATES), seed=k, n_molecules=64, spacing=150)
        for n, k in ((max(SIZES), seed), (N_TEST, seed + 100))
    )
    by_turns = [train[k * len(train) // 3 + i] for i in range(len(train) // 3) for k in range(3)]
    return [[atoms.copy() for atoms in part] for part in (by_turns, test)]


def net_forces(forces):
    """Sum over each molecule: (M, 3)."""
    return forces.reshape(-1, 3, 3).sum(axis=1)


def row(charges, n, seed, train, test):
    """Errors of one training."""
    potential = tp.pretrain(train[:n], seed=seed, progress=False, **NETWORK, **TRAINING)
    _, predicted = potential.predict(test)
    true = [atoms.get_forces() for atoms in test]
    net, net_true = ([net_forces(f) for f in forces] for forces in (predicted, true))
    errors = {
        "force_mae": force_mae(predicted, true),
        "net_force_mae": force_mae(net, net_true),
        "mean_force": force_mae(true, [0 * f for f in true]),
    }
    rounded = {name: round(value, 2) for name, value in errors.items()}
    return {"task": "water", "method": charges, "n_train": n, "seed": seed, **rounded}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, spent = earlier("water_floor")
    for seed in range(arguments.seeds):
        structures, labelled = None, {}
        for n, charges in itertools.product(SIZES, CHARGES):
            if any((r["method"], r["n_train"], r["seed"]) == (charges, n, seed) for r in rows):
                continue
            started = time.perf_counter()
            structures = structures or frames(seed)
            if charges not in labelled:
                kind = "ewald" if charges == "ewald" else "damped-shifted"
                teacher = tp.water(electrostatics=kind, **CHARGES[charges])
                labelled[charges] = [tp.label(part, teacher, progress=False) for part in structures]
            rows.append(row(charges, n, seed, *labelled[charges]))
            spent += time.perf_counter() - started
            save_results("water_floor", rows, "python benchmarks/water_floor.py", spent, ["torch", "openmm"], 1)
            print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
