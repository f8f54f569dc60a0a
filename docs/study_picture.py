"""Draw the learning curves of the study, data/results/learning_curve_qm9.json, into docs/learning_curves.png.

python docs/study_picture.py        # Matplotlib comes with ASE
"""

import json
import statistics
from pathlib import Path

from matplotlib.figure import Figure
from study_tables import of_task

from tpainn_lite.show.plots import COLOURS

ROOT = Path(__file__).resolve().parents[1]
STYLES = {  # as in the results: (words, colour, marker, line)
    "scratch_atomref": ("from scratch, one energy per element", COLOURS[1], "s", "-"),
    "tpainn_shuffled": ("control: MMFF94, shuffled labels", "grey", "x", ":"),
    "delta_xtb": ("Δ-learning on GFN2-xTB", COLOURS[2], "^", "--"),
    "tpainn_shipped": ("T-PaiNN from gas (MMFF94)", COLOURS[5], "o", "-"),
    "tpainn_shipped_xtb": ("T-PaiNN from gas_xtb", COLOURS[0], "o", "-"),
    "delta_fit": ("Δ-learning in closed form", COLOURS[3], "v", "-."),
    "tpainn_dft": ("T-PaiNN, one more rung of DFT", COLOURS[0], "D", "--"),
}
PANELS = [  # task, subset, value, title, unit
    ("molecule_forces", "test", "force_mae", "forces of molecules never seen", "force MAE / meV/Å"),
    ("qm9_energy", "uniform", "molecule_energy_mae", "energies of QM9", "energy MAE / meV per molecule"),
]


def main():
    results = json.loads((ROOT / "data" / "results" / "learning_curve_qm9.json").read_text(encoding="utf-8"))
    figure = Figure(figsize=(8.4, 4.2), dpi=150, layout="constrained")
    for axes, (task, subset, value, title, unit) in zip(figure.subplots(1, 2), PANELS, strict=True):
        rows, sizes = [r for r in of_task(results, task) if r["subset"] == subset], set()
        for method, (words, colour, marker, line) in STYLES.items():
            errors = {}
            for row in (r for r in rows if r["method"] == method):
                errors.setdefault(row["n_train"], []).append(row[value])
            n = sorted(errors)
            mean, spread = ([f(errors[k]) for k in n] for f in (statistics.mean, _deviation))
            axes.errorbar(n, mean, spread, None, line + marker, color=colour, label=words, capsize=2, markersize=5)
            sizes |= set(n)
        axes.set(xscale="log", yscale="log", title=title, xlabel="DFT labels", ylabel=unit)
        axes.set_xticks(sorted(sizes), [f"{k:,}" for k in sorted(sizes)])
        axes.set_yticks(
            ticks := [k for k in (50, 100, 200, 500, 1000) if axes.get_ylim()[0] < k < axes.get_ylim()[1]],
            [f"{k:,}" for k in ticks],
        )
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside upper center", ncols=3)
    figure.savefig(ROOT / "docs" / "learning_curves.png")


def _deviation(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
