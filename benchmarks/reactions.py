"""Frames of reactions: what pretraining is worth where bonds break and form, which no force field describes.

    python benchmarks/reactions.py --jobs 2        # half an hour; resumes run by run
    python benchmarks/reactions.py --case doubts   # how many of these frames `Domain` doubts

Our own labels (`data/make/reactions_b3lyp.py`), tested on reactions of molecules that nothing was trained on.  T-PaiNN
from MMFF94's weights (``tpainn_gas``), from GFN2-xTB's (``tpainn_gas_xtb``), and from these gone on with on GFN2-xTB's
labels of other reactions (``tpainn_gas_reactive``; `study_starts.py` says how these are made); Δ-learning on GFN2-xTB
from nothing (``delta_xtb``) and from the same two (``delta_gas_xtb``, ``delta_gas_reactive``); from scratch
(``scratch_atomref``).  Untrained: ``gfn2_xtb``, and ``zero`` forces.
``doubts``: the shares of frames of other molecules and of reactions that `Domain` doubts, of committees that know a
hundred labels of whole molecules, with the force errors of what is doubted and of what is not.
Writes ``data/results/reactions.json``: forces in meV/Å, energies in meV/atom and, of a reaction's frames against its
first one, ``along_mae`` in meV.
"""

import argparse
import itertools
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from learning_curve_qm9 import delta_way, scratch_way, tuned_way
from results import earlier, merged, save_results

import tpainn_lite as tp
from tpainn_lite.train.curves import learning_curve

BUILD = Path(__file__).resolve().parents[1] / "build"
TASK = "molecule_forces"  # of the study, whose settings are taken
SIZES = (10, 50)
N_KNOWN, N_MEMBERS = 100, 3  # labels of whole molecules, and potentials, behind `doubts`
KEY = ("case", "method", "n_train", "seed", "subset")
METHODS = {"scratch_atomref": scratch_way(TASK, "atomref"), "delta_xtb": delta_way(TASK, tp.gfn2_xtb)}
STARTS = {"gas": "shipped", "gas_xtb": "shipped_xtb", "gas_reactive": "reactive"}  # as the study names them
METHODS |= {f"tpainn_{name}": tuned_way(TASK, begun) for name, begun in STARTS.items()}
METHODS |= {f"delta_{name}": delta_way(TASK, tp.gfn2_xtb, STARTS[name]) for name in ("gas_xtb", "gas_reactive")}


def by_xtb_too(frames):
    """Those that GFN2-xTB, too, can label: where its SCF does not converge, Δ-learning has nothing to learn from."""
    kept = {atoms.info["id"] for atoms in tp.label(frames, tp.gfn2_xtb(), progress=False)}
    return [atoms for atoms in frames if atoms.info["id"] in kept]


def measure(model, frames):
    """`errors`, and that of the energies along each reaction."""
    predicted = model.predict(frames) if hasattr(model, "predict") else asked(model, frames)
    found, along = tp.errors(SimpleNamespace(predict=lambda _: predicted), frames), []
    energies = np.array(predicted[0]) - [atoms.get_potential_energy() for atoms in frames]
    for _, group in itertools.groupby(range(len(frames)), lambda k: frames[k].info["reaction"]):
        first, *others = energies[list(group)]
        along += [abs(other - first) for other in others]
    return found | {"along_mae": 1e3 * float(np.mean(along))}


def asked(calculator, frames):
    """What an ASE calculator says of these frames, as a potential's ``predict``."""
    copies = [atoms.copy() for atoms in frames]
    for atoms in copies:
        atoms.calc = calculator
    forces = [atoms.get_forces() for atoms in copies]
    return np.array([calculator.get_potential_energy(atoms) for atoms in copies]), forces


def curve(arguments):
    """Rows of the learning curves, and of what needs no DFT label."""
    pool, test = (by_xtb_too(tp.load_reactions(part)) for part in ("train", "test"))
    chosen = {name: METHODS[name] for name in arguments.methods}
    options = {"n_jobs": arguments.jobs, "measure": measure}
    path = BUILD / "reactions.json"
    rows = learning_curve(chosen, pool, test, arguments.sizes, range(arguments.seeds), path, **options)
    zero = 1e3 * float(np.abs(np.concatenate([atoms.get_forces() for atoms in test])).mean())
    bare = {"method": "gfn2_xtb", "n_train": 0, "seed": 0, **measure(tp.gfn2_xtb(), test)}
    return [*rows, bare, {"method": "zero", "n_train": 0, "seed": 0, "force_mae": zero}]


def doubts(arguments):
    """Rows of what is doubted by who knows whole molecules alone."""
    pool, known, rows = tp.load_molecules("train"), tp.load_molecules("valid")[::5], []
    tests = {"molecules": tp.load_molecules("test"), "larger": tp.load_molecules("test_large")}
    tests["reactions"] = tp.load_reactions("test")
    for seed in range(arguments.seeds):
        few = [tp.draw(pool, N_KNOWN, N_MEMBERS * seed + k) for k in range(N_MEMBERS)]
        members = [METHODS["tpainn_gas"](frames, k) for k, frames in enumerate(few)]
        domain = tp.Domain(tp.Committee(members), known, trained=[atoms for frames in few for atoms in frames])
        for subset, frames in tests.items():
            doubted = np.array([bool(reasons) for reasons in domain.doubts(frames)])
            row = {"method": "Domain", "n_train": N_KNOWN, "seed": seed, "subset": subset, "doubted": doubted.mean()}
            for name, which in (("doubted_mae", doubted), ("trusted_mae", ~doubted)):
                chosen = [atoms for atoms, asked_for in zip(frames, which, strict=True) if asked_for]
                row[name] = tp.errors(domain.committee, chosen)["force_mae"] if chosen else None
            rows.append(row)
    return rows


CASES = {"curve": curve, "doubts": doubts}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, _ = earlier("reactions")
    for name in arguments.case:
        rows = merged(rows, [{"case": name, **row} for row in CASES[name](arguments)], KEY)
    seconds = sum(row.get("seconds", 0) for row in rows)
    save_results("reactions", rows, "python benchmarks/reactions.py", seconds, ["torch", "tblite"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
