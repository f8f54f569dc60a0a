"""Tables of what one may rely on, for `readme_numbers.py`: how long simulations last, and whether error bars hold."""

import statistics

import numpy as np
from scipy.stats import CensoredData, ecdf
from study_tables import markdown, spread

SYSTEMS = {"water": "32 H₂O at 500 K", "molecules": "molecules at 1,000 K"}
SUBSETS = {"alike": "other molecules, below 600 K", "larger": "larger molecules", "hotter": "above 800 K"}
WAYS = {
    "one width": "none: one width for all",
    "same labels": "four members, other order of training",
    "other labels": "four members, a fifth of the labels left out",
    "other starts": "four members, two from `gas`",
    "last layer": "the last layer, of one potential",
}


def lasting(rows):
    """The share that lasts longer than a time, after Kaplan and Meier (scipy's)."""
    ends = [row["picoseconds"] for row in rows if row["stopped"]]
    return ecdf(CensoredData(uncensored=ends, right=[row["picoseconds"] for row in rows if not row["stopped"]])).sf


def share(curve, time):
    """The share that lasts so many ps."""
    before = np.searchsorted(curve.quantiles, time, side="right")
    return 1.0 if before == 0 else float(curve.probabilities[before - 1])


def median(rows):
    """The time in ps that half of the runs last, as text; where more last to the end, how long that was at least."""
    curve = lasting(rows)
    below = curve.quantiles[curve.probabilities <= 0.5]
    longest = max(row["picoseconds"] for row in rows)
    return f"{below[0]:.2g}" if len(below) and rows_stopped(rows) else f"more than {longest:.0f}"


def rows_stopped(rows):
    """How many runs broke."""
    return sum(row["stopped"] is not None for row in rows)


def survival(results):
    """A line for each method and number of labels."""
    lines = []
    for system, words in SYSTEMS.items():
        own = [row for row in results["rows"] if row["system"] == system]
        for method, n in dict.fromkeys((row["method"], row["n_train"]) for row in own):
            rows = [row for row in own if (row["method"], row["n_train"]) == (method, n)]
            shares = [f"{100 * share(lasting(rows), time):.0f} %" for time in (1, 5)]
            asked = min(row["asked"] for row in rows)
            to_the_end = f"{len(rows) - rows_stopped(rows)} of {len(rows)} ({asked:.0f} ps)"
            lines.append([words, f"{method}, {n} labels", median(rows), *shares, to_the_end])
    return markdown(["", "", "half last / ps", "last 1 ps", "last 5 ps", "last to the end"], lines)


def coverage(results):
    """A line for each way and number of labels: coverage of forces and energies by subset, and the width."""
    rows, lines = [row for row in results["rows"] if row["case"] == "coverage"], []
    for n in sorted({row["n_train"] for row in rows}):
        for way, words in WAYS.items():
            own = [row for row in rows if (row["n_train"], row["method"]) == (n, way)]
            cells = []
            for subset in SUBSETS:
                found = [row for row in own if row["subset"] == subset]
                both = (100 * statistics.mean(row[f"{kind}_coverage"] for row in found) for kind in ("force", "energy"))
                width = statistics.mean(row["force_width"] for row in found)
                cells.append("{:.0f} %, {:.0f} % (± {:.0f})".format(*both, width))
            lines.append([f"{n}", words, *cells])
    return markdown(["labels", "spread", *SUBSETS.values()], lines)


def picking(results):
    """Errors of the ways to choose labels, over all draws."""
    rows, lines = [row for row in results["rows"] if row["case"] == "picking"], []
    for how in dict.fromkeys(row["method"] for row in rows):
        cells = [
            spread([row[error] for row in rows if (row["method"], row["subset"]) == (how, subset)])
            for subset in ("test", "test_large")
            for error in ("force_mae", "energy_mae")
        ]
        lines.append([how, *cells])
    heads = [f"{kind}, {where}" for where in ("alike", "larger") for kind in ("forces / meV/Å", "energies / meV/atom")]
    return markdown(["30 of 50 labels chosen by", *heads], lines)


BLOCKS = {
    "survival": ("survival", survival),
    "coverage": ("uncertainty", coverage),
    "picking": ("uncertainty", picking),
}
