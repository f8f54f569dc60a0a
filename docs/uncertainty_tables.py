"""Tables of error bars, and of ways to choose what to label, for `readme_numbers.py`."""

import statistics

from study_tables import markdown, spread

SUBSETS = {"alike": "other molecules, below 600 K", "larger": "larger molecules", "hotter": "above 800 K"}
WAYS = {
    "one width": "none: one width for all",
    "same labels": "four members, other order of training",
    "other labels": "four members, a fifth of the labels left out",
    "other starts": "four members, two of them from `gas`",
    "last layer": "`ErrorBars`: the last layer, of one potential",
}
CHOSEN = {"random": "at random", "diversity": "by diversity", "disagreement": "where a committee of three disagrees"}
TESTS = {"test": "other molecules", "test_large": "larger molecules"}


def coverage(results):
    """A line for each spread and number of labels: coverage of forces and energies by subset, and the width."""
    rows, lines = [row for row in results["rows"] if row["case"] == "coverage"], []
    for n in sorted({row["n_train"] for row in rows}):
        for way, words in WAYS.items():
            own = [row for row in rows if (row["n_train"], row["method"]) == (n, way)]
            lines.append([f"{n}", words, *(_cell([row for row in own if row["subset"] == name]) for name in SUBSETS)])
    return markdown(["labels", "spread", *SUBSETS.values()], lines)


def _cell(rows):
    """Coverage of forces and energies, mean over seeds, and half the width of the bars of forces."""
    forces, energies = (100 * statistics.mean(row[f"{of}_coverage"] for row in rows) for of in ("force", "energy"))
    return f"{forces:.0f} %, {energies:.0f} % (± {statistics.mean(row['force_width'] for row in rows):.0f})"


def picking(results):
    """A line for each way to choose: force errors in meV/Å on both tests."""
    rows, lines = [row for row in results["rows"] if row["case"] == "picking"], []
    for how, words in CHOSEN.items():
        own = [row for row in rows if row["method"] == how]
        lines.append([words, *(spread([row["force_mae"] for row in own if row["subset"] == name]) for name in TESTS)])
    gains = ", ".join(f"{_gain(rows, how)} {words}" for how, words in list(CHOSEN.items())[1:])
    table = markdown(["30 further labels", *TESTS.values()], lines)
    return f"{table}\n\nBelow the error at random, draw by draw (mean ± standard error): {gains}."


def _gain(rows, how):
    """By how much less the error is than with labels at random, on each test."""
    words = []
    for name in TESTS:
        errors = {(row["method"], row["seed"]): row["force_mae"] for row in rows if row["subset"] == name}
        falls = [errors["random", seed] - error for (method, seed), error in errors.items() if method == how]
        words.append(f"{statistics.mean(falls):.1f} ± {statistics.stdev(falls) / len(falls) ** 0.5:.1f}")
    return " and ".join(words)


BLOCKS = {"coverage": ("uncertainty", coverage), "picking": ("uncertainty", picking)}
