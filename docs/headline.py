"""README's first numbers: what pretraining saves, compared with which baselines, and what it costs."""

import json
import statistics
import textwrap
from pathlib import Path

import numpy as np
from study_tables import markdown, spread

import tpainn_lite as tp

LIQUID, MOLECULES = {"case": "curve", "subset": "later"}, {"task": "molecule_forces", "subset": "test"}
QM9 = {"task": "qm9_energy", "subset": "uniform", "n_train": 100}
LINES = [  # text; results; which rows; which error; number of labels; Δ-learning on what; pretrained; Δ-learning
    ("liquid water, 10 boxes", "water", LIQUID, "force_mae", 10, "q-TIP4P/F", "tpainn_iamoeba", "delta"),
    ("of this, what moves molecules", "water", LIQUID, "between_mae", 10, "q-TIP4P/F", "tpainn_iamoeba", "delta"),
    ("liquid methanol, 10 boxes", "methanol", LIQUID, "force_mae", 10, "MMFF94", "tpainn_liquid_xtb", "delta"),
    ("molecules, 50 labels", "learning_curve_qm9", MOLECULES, "force_mae", 50, "GFN2-xTB", "tpainn_shipped_xtb",
     "delta_xtb"),
]  # fmt: skip
TIMES = "docs/module.md#how-long-the-notebooks-run"
HEAD = ["force error / meV/Å", "DFT labels alone", "Δ-learning", "pretrained, then autotuned", "DFT labels alone need"]


def block(_):
    """The table, and what the labels and the trainings of its last lines cost."""
    table = markdown(HEAD, [line(*entry) for entry in LINES])
    rate = next(r["frames_per_second"] for r in rows_of("labelling") if r["case"] == "thousand_molecules")
    molecule = statistics.median(s for a in tp.load_molecules("train") if (s := a.info.get("seconds")))
    box = statistics.median(atoms.info["seconds"] for atoms in tp.load_water("train", "liquid"))
    fifty = median_seconds("learning_curve_qm9", MOLECULES, "tpainn_shipped_xtb", 50)
    ten = median_seconds("water", LIQUID, "tpainn_iamoeba", 10)
    rows = [row for row in rows_of("learning_curve_qm9") if row.items() >= MOLECULES.items()]
    both = spread([r["force_mae"] for r in rows if (r["method"], r["n_train"]) == ("delta_shipped_xtb", 50)])
    qm9 = [row for row in rows_of("learning_curve_qm9") if row.items() >= QM9.items()]
    fit, scratch = (
        spread([row["molecule_energy_mae"] for row in qm9 if row["method"] == method])
        for method in ("delta_fit", "scratch_atomref")
    )
    words = (
        "Mean ± standard deviation over three seeds, on molecules, and on later times of simulations, that no training "
        "has seen. The shipped weights were pretrained on iAMOEBA for water, on GFN2-xTB for molecules; for methanol "
        "those went on with 90 boxes that GFN2-xTB had labelled. Δ-learning is "
        "the other fair baseline; it asks its cheap method again at every prediction. The two add up: with pretrained "
        f"features Δ-learning has {both} on the molecules. Energies alone need no training: "
        f"`EnergyFit` has {fit} meV with 100 labels of QM9, training from scratch {scratch}. "
        f"What it costs, on one core: a DFT label {molecule:.0f} s "
        f"for a molecule and {box:.0f} s for a box of 32 H₂O (medians), a label of MMFF94 {1e3 / rate:.1f} ms; "
        f"autotuning {fifty:.0f} s on the fifty molecules, {ten:.0f} s on the ten boxes."
    )
    return f"{table}\n\n{textwrap.fill(words, 118)}"


def line(text, results, kind, error, n_train, teacher, pretrained, delta):
    """One line of the table."""
    rows = [row for row in rows_of(results) if row.items() >= kind.items()]
    names = ("scratch_atomref", delta, pretrained)
    groups = [[r[error] for r in rows if (r["method"], r["n_train"]) == (name, n_train)] for name in names]
    alone, learnt, tuned = map(spread, groups)
    scratch = [row for row in rows if row["method"] == "scratch_atomref"]
    return [text, alone, f"{learnt} ({teacher})", f"**{tuned}**", needed(scratch, error, statistics.mean(groups[2]))]


def needed(rows, error, target):
    """How many labels the curve takes to this error, on straight lines between its points; or that it never does."""
    sizes = sorted({row["n_train"] for row in rows})
    means = [statistics.mean(row[error] for row in rows if row["n_train"] == n) for n in sizes]
    if target < min(means):
        return f"more than {sizes[-1]:,}"
    labels = np.exp(np.interp(-np.log(target), -np.log(means), np.log(sizes)))
    return f"some {round(labels, -1):.0f}"


def rows_of(results):
    path = Path(__file__).resolve().parents[1] / "data" / "results" / f"{results}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


def median_seconds(results, kind, method, n_train):
    rows = (row for row in rows_of(results) if row.items() >= kind.items())
    return statistics.median(r["seconds"] for r in rows if (r["method"], r["n_train"]) == (method, n_train))


def minutes(results):
    """README's line on how long a notebook takes, from data/results/notebook_times.json."""
    seconds = {}
    for row in results["rows"]:
        seconds.setdefault(row["case"], []).append(row["seconds"])
    spans = {case: f"{min(s):.0f} to {max(s):.0f} s" for case, s in seconds.items()}
    words = ", ".join(f"{spans[case]} on {case}" for case in ("one core", "two cores") if case in spans)
    return f"A notebook runs {words} ({results['machine']}; [all times]({TIMES}))."


def blocks(results):
    """Of the README: name, results, text; the line on minutes only where they have been measured."""
    measured = (results / "notebook_times.json").is_file()
    return {"headline": ("water", block)} | ({"minutes": ("notebook_times", minutes)} if measured else {})
