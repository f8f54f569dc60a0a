"""Families of molecules with S, P and charges: what twenty labels at PBE0-D3(BJ)/def2-TZVP are worth there.

    python benchmarks/families.py                 # an hour or so of labels on one core, then minutes; resumes
    python benchmarks/families.py --families sulfonamides --jobs 2

Seven molecules of each family, none of them in the list that the wide weights have seen, four frames each, from
MMFF94's MD at 300 K.  Each seed draws five of the molecules, with all elements of the family, to learn from, and is
tested on the other two.
T-PaiNN from `gas_wide`, which MMFF94 alone has taught (``tpainn_gas_wide``), and from `gas_wide_xtb`; Δ-learning on
GFN2-xTB from `gas_wide_xtb` (``delta_gas_wide_xtb``) and from nothing (``delta_xtb``); from scratch
(``scratch_atomref``).  Untrained: MMFF94 (``force_field``), GFN2-xTB (``gfn2_xtb``), and ``zero`` forces.
Writes ``data/results/families.json``: a row for each family, method and seed; forces in meV/Å.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from learning_curve_qm9 import delta_way, scratch_way, tuned_way
from results import earlier, merged, save_results

import tpainn_lite as tp
from tpainn_lite.reading.shipped import data_folder
from tpainn_lite.structures.smiles import skeleton
from tpainn_lite.train.curves import learning_curve

BUILD = Path(__file__).resolve().parents[1] / "build" / "families"
FAMILIES = {
    "sulfonamides": (
        "CCS(=O)(=O)NC", "NS(=O)(=O)C1CC1", "CS(=O)(=O)N1CCC1", "NS(=O)(=O)CCO", "CS(=O)(=O)NCC(F)F",
        "CS(=O)(=O)NCC#N", "NS(=O)(=O)CCl",
    ),
    "phosphates": (
        "COP(=O)(O)OC", "CP(=O)(OC)OC", "CP(C)(=O)OC", "COP(=S)(OC)OC", "NP(=O)(OC)OC", "COP(C)(=O)SC",
        "COP(=O)(OC)C=C",
    ),
    "ammonium ions": (
        "C[NH2+]CCO", "[NH3+]CC(=O)NC", "[NH3+]CCSC", "C[NH2+]CC(=O)OC", "[NH3+]C1CCOC1", "[NH3+]CCCS",
        "COC(=O)C[NH3+]",
    ),
}  # fmt: skip
N_FRAMES, KELVIN, N_LEARNT = 4, 300, 5  # of a molecule; molecules to learn from
LEVEL, TASK = "pbe0", "molecule_forces"  # TASK: of the study, whose settings are taken
KEY = ("family", "method", "seed")


def check_families():
    """That no molecule is one that the wide weights have seen."""
    listed = (data_folder() / "molecules_wide.csv").read_text(encoding="utf-8").split()[1:]
    seen = {skeleton(line.split(",")[0]) for line in listed}
    if known := [smiles for family in FAMILIES.values() for smiles in family if skeleton(smiles) in seen]:
        raise ValueError(f"{', '.join(known)}: the wide weights have seen these; other molecules are expected")


def labelled(family, jobs):
    """The frames of a family, with DFT labels; those of one molecule side by side."""
    frames = []
    for k, smiles in enumerate(FAMILIES[family]):
        frames += tp.thermal_frames(tp.molecule(smiles, seed=k), tp.mmff94(), KELVIN, N_FRAMES, k)
    return tp.label(frames, tp.PySCFCalculator(LEVEL), BUILD / f"{family}.jsonl", n_jobs=jobs)


METHODS = {
    "scratch_atomref": scratch_way(TASK, "atomref"),
    "tpainn_gas_wide": tuned_way(TASK, "shipped_wide"),
    "tpainn_gas_wide_xtb": tuned_way(TASK, "shipped_wide_xtb"),
    "delta_xtb": delta_way(TASK, tp.gfn2_xtb),
    "delta_gas_wide_xtb": delta_way(TASK, tp.gfn2_xtb, "shipped_wide_xtb"),
}
UNTRAINED = {"force_field": tp.mmff94, "gfn2_xtb": tp.gfn2_xtb}


def drawn(frames, seed):
    """(frames to learn from, others to test on): of five molecules with all elements of the family, and of the rest."""
    rng, elements = np.random.default_rng(seed), {z for atoms in frames for z in atoms.numbers.tolist()}
    while True:
        learnt = rng.permutation(len(frames) // N_FRAMES)[:N_LEARNT].tolist()
        pool, test = ([a for k, a in enumerate(frames) if (k // N_FRAMES in learnt) is part] for part in (True, False))
        if elements == {z for atoms in pool for z in atoms.numbers.tolist()}:
            return pool, test


def rows_of(family, seeds, jobs):
    """Rows of all methods, and of what no label has changed, on two molecules of seven in each draw."""
    frames, rows = labelled(family, jobs), []
    for seed in range(seeds):
        pool, test = drawn(frames, seed)
        path = BUILD / f"{family}-{seed}.json"
        rows += learning_curve(METHODS, pool, test, (len(pool),), (seed,), path, n_jobs=jobs)
        zero = 1e3 * float(np.abs(np.concatenate([a.get_forces() for a in test])).mean())
        rows.append({"method": "zero", "n_train": 0, "seed": seed, "force_mae": zero})
        for name, model in UNTRAINED.items():
            rows.append({"method": name, "n_train": 0, "seed": seed, **tp.errors(model(), test)})
    for row in rows:
        row.pop("energy_mae", None)  # five molecules do not say what an atom of each element is worth
    return [{"family": family, **row} for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    check_families()
    BUILD.mkdir(parents=True, exist_ok=True)
    rows, _ = earlier("families")
    for family in arguments.families:
        rows = merged(rows, rows_of(family, arguments.seeds, arguments.jobs), KEY)
        seconds = sum(row.get("seconds", 0) for row in rows)
        save_results("families", rows, "python benchmarks/families.py", seconds, ["torch", "pyscf", "tblite"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
