"""Draw README's picture, the tour's learning curve, from data/results/tour.json into docs/tour.png.

python docs/tour_picture.py        # Matplotlib comes with ASE
"""

import json
import statistics
from pathlib import Path

from matplotlib.figure import Figure

from tpainn_lite.show.plots import COLOURS

ROOT = Path(__file__).resolve().parents[1]
METHODS = {"scratch_atomref": ("DFT labels alone", "s--"), "tpainn": ("pretrained, then autotuned (T-PaiNN)", "o-")}


def main():
    rows = json.loads((ROOT / "data" / "results" / "tour.json").read_text())["rows"]
    figure = Figure(figsize=(6.4, 3.8), dpi=150, layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log")
    for k, (method, (name, style)) in enumerate(METHODS.items()):
        sizes = sorted({row["n_train"] for row in rows if row["method"] == method})
        errors = [[r["force_mae"] for r in rows if r["method"] == method and r["n_train"] == n] for n in sizes]
        mean, spread = map(statistics.mean, errors), map(statistics.stdev, errors)
        axes.errorbar(sizes, list(mean), list(spread), fmt=style, color=COLOURS[1 - k], capsize=4, label=name)
    teacher = next(row["force_mae"] for row in rows if row["method"] == "force_field")
    axes.axhline(teacher, color="grey", linestyle=":", label="MMFF94, the teacher, itself")
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.set_yticks([200, 300, 500, 1000], ["200", "300", "500", "1000"])
    axes.minorticks_off()
    axes.set(xlabel="number of DFT labels", ylabel="force MAE on unseen molecules / meV/Å", ylim=(220, 1250))
    axes.legend(frameon=False)
    figure.savefig(ROOT / "docs" / "tour.png")


if __name__ == "__main__":
    main()
