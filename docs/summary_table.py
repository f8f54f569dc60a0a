"""The first table of docs/what_pretraining_buys.md: method by task and number of labels, and what each way asks for."""

from headline import LIQUID, MOLECULES, rows_of
from study_tables import NOTHING, markdown, spread
from survival_table import SYSTEMS, with_ten_labels

QM9 = {"task": "qm9_energy", "subset": "uniform"}
COLUMNS = [  # what the column shows; results; which rows; which error; number of labels
    ("molecules, forces / meV/Å: 10", "learning_curve_qm9", MOLECULES, "force_mae", 10),
    ("50", "learning_curve_qm9", MOLECULES, "force_mae", 50),
    ("1,000 labels", "learning_curve_qm9", MOLECULES, "force_mae", 1000),
    ("QM9, energies / meV: 100", "learning_curve_qm9", QM9, "molecule_energy_mae", 100),
    ("3,000 labels", "learning_curve_qm9", QM9, "molecule_energy_mae", 3000),
    ("water, forces / meV/Å: 10 boxes", "water", LIQUID, "force_mae", 10),
    ("152 boxes", "water", LIQUID, "force_mae", 152),
]
WAYS = [  # what the line is; method with molecules, with water; what a step of MD asks for
    ("DFT labels alone", "scratch_atomref", "scratch_atomref", "the network"),
    ("pretrained on a force field (MMFF94; q-TIP4P/F)", "tpainn_shipped", "tpainn", "the network"),
    ("pretrained on two force fields (mean of MMFF94 and GFN-FF)", "tpainn_shipped_mean", None, "the network"),
    ("pretrained on a better teacher too (GFN2-xTB; iAMOEBA)", "tpainn_shipped_xtb", "tpainn_iamoeba", "the network"),
    ("Δ-learning (on GFN2-xTB; on iAMOEBA)", "delta_xtb", "delta_iamoeba", "the network, and the cheap method"),
    ("Δ-learning on GFN2-xTB from pretrained features", "delta_shipped_xtb", "delta_tuned_xtb",
     "the network, and GFN2-xTB"),
    ("mean of four or five such ways (below)", "mean_delta", "committee_xtb", "as many networks, two cheap methods"),
    ("Δ-learning on GFN2-xTB in closed form (energies alone)", "delta_fit", None, "no MD"),
    ("mean of four Δ-learnings in closed form", "delta_fit_mean", None, "no MD"),
    ("control: pretrained on labels of the wrong frames", "tpainn_shuffled", "tpainn_shuffled", "the network"),
]  # fmt: skip


def block(_):
    """The table, and how long simulations last."""
    lines = [[text, *cells(molecules, water), asked] for text, molecules, water, asked in WAYS]
    table = markdown(["", *(column[0] for column in COLUMNS), "a step of MD asks"], lines)
    return f"{table}\n\n{survival()}"


def survival():
    """A sentence on simulations with ten labels."""
    found = {words: with_ten_labels(rows_of("survival"), system) for system, words in SYSTEMS.items()}
    broken = " and after ".join(f"{half} ps ({words})" for words, (half, *_) in found.items())
    last = " and ".join(f"{last} of {n}" for _, last, n, _ in found.values())
    asked = min(asked for *_, asked in found.values())
    return (
        f"Half of the simulations with ten labels from scratch are broken after {broken}. Of T-PaiNN's, {last} last "
        f"{asked:.0f} ps ([more](#how-long-simulations-last))."
    )


def cells(molecules, water):
    """A line's errors: mean ± standard deviation over seeds."""
    found = []
    for _, results, kind, error, n_train in COLUMNS:
        method = water if results == "water" else molecules
        rows = [r for r in rows_of(results) if r.items() >= {**kind, "method": method}.items()]
        found.append(spread([r[error] for r in rows if r["n_train"] == n_train]) if method else NOTHING)
    return found
