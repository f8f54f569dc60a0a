"""Draw the speed comparison, data/results/speed.json, into docs/speed.png: one thread, multiples of our time.

python docs/speed_picture.py        # Matplotlib comes with ASE
"""

import json
from pathlib import Path

from matplotlib.figure import Figure

from tpainn_lite.show.plots import COLOURS

ROOT = Path(__file__).resolve().parents[1]
CASES = [
    ("training step", "32 molecules"), ("energy + forces", "64 H2O"),
    *(("MD step", f"{n} H2O") for n in (64, 512, 4096)),
]  # fmt: skip
STYLES = {"SchNetPack": (COLOURS[0], "s"), "graph-pes": (COLOURS[2], "^"), "tpainn_lite, painn.py": (COLOURS[1], "o")}
STYLES |= {"machine's limit": ("black", "|")}


def main():
    rows = json.loads((ROOT / "data" / "results" / "speed.json").read_text())["rows"]
    rows = [row for row in rows if row["threads"] == 1]
    figure = Figure(figsize=(6.4, 3.6), dpi=150, layout="constrained")
    axes = figure.add_subplot(xscale="log")
    for y, (case, system) in enumerate(CASES):
        seconds = {r["implementation"]: r["seconds"] for r in rows if (r["case"], r["system"]) == (case, system)}
        if "tpainn_lite" not in seconds:
            continue
        for start, (colour, marker) in STYLES.items():
            times = [value for name, value in seconds.items() if name.startswith(start)]
            if times:
                axes.plot(
                    min(times) / seconds["tpainn_lite"], y, marker, color=colour, markersize=9, markeredgewidth=1.5
                )
        words = f"{1e3 * seconds['tpainn_lite']:.3g} ms"
        axes.annotate(words, (1, y), xytext=(4, 6), textcoords="offset points", fontsize=8)
    for name, (colour, marker) in STYLES.items():
        axes.plot([], [], marker, color=colour, label=name, markeredgewidth=1.5)
    axes.axvline(1, color="black", label="tpainn_lite, compiled (time at the line)")
    axes.set_yticks(range(len(CASES)), [f"{case}\n{system}" for case, system in CASES])
    axes.set_ylim(len(CASES) - 0.6, -0.6)
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5×", "1×", "2×", "5×", "10×", "20×", "50×"])
    axes.minorticks_off()
    axes.set(xlabel="time, as a multiple of tpainn_lite's (one thread)", xlim=(0.25, 70))
    figure.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=2)
    figure.savefig(ROOT / "docs" / "speed.png")


if __name__ == "__main__":
    main()
