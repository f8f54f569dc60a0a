"""Draw how long simulations last, data/results/survival.json, into docs/survival.png.

python docs/survival_picture.py        # Matplotlib comes with ASE
"""

import json
from pathlib import Path

from matplotlib.figure import Figure
from survival_table import SYSTEMS, lasting

from tpainn_lite.show.plots import COLOURS

ROOT = Path(__file__).resolve().parents[1]
STYLES = {  # as in the results: colour, line by the number of labels
    "from scratch": COLOURS[1],
    "T-PaiNN from MMFF94": COLOURS[5],
    "T-PaiNN": COLOURS[0],
}
LINES = {0: ":", 10: "-", 50: "--"}
EARLIEST = 0.02  # ps


def main():
    rows = json.loads((ROOT / "data" / "results" / "survival.json").read_text(encoding="utf-8"))["rows"]
    systems = [system for system in SYSTEMS if any(row["system"] == system for row in rows)]
    figure = Figure(figsize=(0.2 + 4.1 * len(systems) + 1.5 * (len(systems) == 1), 3.8), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(systems), sharey=True, squeeze=False)[0]
    for axes, system in zip(panels, systems, strict=True):
        own = [row for row in rows if row["system"] == system]
        longest = max(row["picoseconds"] for row in own)
        for method, n in sorted({(row["method"], row["n_train"]) for row in own}):
            time, *shares = lasting([row for row in own if (row["method"], row["n_train"]) == (method, n)])
            time = [EARLIEST, *time[1:], longest]
            style = {"color": STYLES[method], "linestyle": LINES[n], "where": "post"}
            label = f"{method}, {n} labels" if n else f"{method}: the start, no DFT label"
            share, low, high = ([*values, values[-1]] for values in shares)
            axes.step(time, share, label=label, **style)
            band = {"step": "post", "alpha": 0.15, "color": STYLES[method], "linewidth": 0}
            axes.fill_between(time, low, high, **band)
        axes.set(xscale="log", xlim=(EARLIEST, longest), ylim=(0, 1.02), title=SYSTEMS[system], xlabel="time / ps")
        axes.set_xticks(ticks := [t for t in (0.1, 1, 10, 100) if t <= longest], [f"{t:g}" for t in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("share of simulations that has not broken")
    shown = [pair for axes in figure.axes for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in shown}
    figure.legend(handles.values(), handles, frameon=False, fontsize=8, loc="outside upper center", ncols=3)
    figure.savefig(ROOT / "docs" / "survival.png")


if __name__ == "__main__":
    main()
