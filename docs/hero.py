"""Draw README's moving picture: two potentials that learnt from the same ten DFT boxes, run as a hot liquid.

python docs/hero.py        # some five minutes; interrupted, it goes on with the trajectories in build/hero/

Writes docs/hero.gif, and its last picture to docs/hero.png, for who wants nothing to move.
"""

import re
from pathlib import Path

import numpy as np
import torch
from ase.geometry import find_mic
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import tpainn_lite as tp
from tpainn_lite.show.style import COLOURS, OWN

ROOT = Path(__file__).resolve().parents[1]
PICTURE, KEPT = ROOT / "docs" / "hero.gif", ROOT / "build" / "hero"
KELVIN, N_LABELS = 500, 10
TIMESTEP, EVERY, N_STEPS = 0.5, 20, 3600  # fs, steps between frames, steps
SHOWN, DELAY, LINGER = 2, 80, 2500  # every second frame, milliseconds for each, and for the last
N_COLOURS = 64
BROKEN = 1.4  # Å between O and one of its H
WATER, STRANGE = [to_rgb(c) for c in ("#d62728", "#a7b1bb", "#a7b1bb")], to_rgb("#E69F00")  # O, H, H; a broken molecule
TURN = np.eye(3) + 0.12 * np.array([[0, 0, 0], [0, 0, 0], [1, 1, 0]])  # what is deeper stands a little aside


def runs():
    """{way: MDRun}, both from one box with the same velocities, for as long as they last."""
    pool = tp.load_water("train", "liquid")
    few = tp.draw(pool, N_LABELS, seed=0)
    start = next(a for a in pool if a.info["density"] == 1.0 and a.info["temperature"] == 300)
    settings = {"steps": 500, "batch_size": 1, "learning_rate": 1e-3, "seed": 0}
    train = {
        "from scratch": lambda: tp.train_from_scratch(few, n_features=64, n_interactions=3, cutoff=5.0, **settings),
        "T-PaiNN": lambda: tp.autotune(tp.load_pretrained("water_iamoeba"), few, layer_decay=0.3, **settings),
    }
    KEPT.mkdir(parents=True, exist_ok=True)
    md = {"temperature": KELVIN, "timestep": TIMESTEP, "n_steps": N_STEPS, "every": EVERY, "seed": 1}
    done = {}
    for way in train:
        calculator = tp.PotentialCalculator(train[way]())
        done[way] = tp.run_md(start, calculator, **md, stop_when_broken=False, path=KEPT / f"{way}.traj")
        print(f"{way}: {done[way]}")
    return done


def molecules(frame):
    """Positions (n, 3, 3) / Å of whole molecules, O inside the box, from its middle; and which are broken (n,)."""
    xyz, width = frame.positions.reshape(-1, 3, 3), np.diag(frame.cell.array)
    bonds = (xyz[:, 1:] - xyz[:, :1]).reshape(-1, 3)
    bonds = find_mic(bonds, frame.cell, frame.pbc)[0].reshape(-1, 2, 3)
    oxygen = xyz[:, :1] % width - width / 2
    return np.concatenate([oxygen, oxygen + bonds], axis=1), np.linalg.norm(bonds, axis=2).max(axis=1) > BROKEN


def draw(axes, frame, way):
    """The molecules, pale where they are far, and how many are broken."""
    xyz, broken = molecules(frame)
    width = frame.cell[0, 0]
    strength = 0.35 + 0.65 * np.clip(0.5 + xyz[..., 2:] / width, 0, 1)
    colour = 1 - strength * (1 - np.where(broken[:, None, None], STRANGE, WATER))
    for k in np.argsort(xyz[:, 0, 2]):
        x, y, depth = (xyz[k] @ TURN).T
        above = 2 + (depth[0] + width) / width  # what is near is drawn last
        if not broken[k]:
            axes.plot(x[[1, 0, 2]], y[[1, 0, 2]], color=colour[k, 1], linewidth=4, zorder=above)
        axes.scatter(x, y, s=[150, 60, 60], color=colour[k], edgecolors="#444", linewidths=0.5, zorder=above + 0.01)
    edge = 0.64 * width
    axes.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal", xticks=[], yticks=[])
    axes.set_title(way, color=COLOURS[OWN[way]], fontweight="bold", fontsize=13)
    caption = f"{frame.get_temperature():,.0f} K, {broken.sum()} of {len(broken)} molecules broken"
    axes.set_xlabel(caption, fontsize=11)


def mourn(axes, stopped):
    """Say that this one is no more, and since when."""
    picoseconds = int(re.match(r"at (\d+) fs", stopped)[1]) / 1000
    style = {"ha": "center", "fontsize": 14, "fontweight": "bold", "zorder": 9}
    box = {"facecolor": "white", "edgecolor": COLOURS[1]}
    axes.text(0.5, 0.9, f"broke down after {picoseconds:.2f} ps", transform=axes.transAxes, bbox=box, **style)


def pictures(runs):
    """One of both panels after the other."""
    figure = Figure(figsize=(6.6, 4.0), dpi=100, layout="constrained")
    canvas, panels = FigureCanvasAgg(figure), figure.subplots(1, 2)
    for k in range(0, max(len(run.frames) for run in runs.values()), SHOWN):
        figure.suptitle(f"Ten DFT labels, liquid water at {KELVIN} K: {k * EVERY * TIMESTEP / 1000:.2f} ps", size=12)
        for axes, (way, run) in zip(panels, runs.items(), strict=True):
            axes.clear()
            draw(axes, run.frames[min(k, len(run.frames) - 1)], way)
            if k >= len(run.frames):
                mourn(axes, run.stopped)
        canvas.draw()
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def main():
    torch.set_num_threads(1)
    drawn = list(pictures(runs()))
    palette = drawn[-1].quantize(N_COLOURS, method=Image.Quantize.MAXCOVERAGE)  # one for all: nothing flickers
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in drawn]
    drawn[-1].save(PICTURE.with_suffix(".png"))
    delays = [DELAY] * len(others) + [LINGER]
    first.save(PICTURE, save_all=True, append_images=others, duration=delays, loop=0, optimize=True)


if __name__ == "__main__":
    main()
