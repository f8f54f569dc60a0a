"""The tables of how long simulations last, and of holes, for `readme_numbers.py`."""

from study_tables import markdown, spread

from tpainn_lite.simulate import observables

LABELS = {  # method in benchmarks/holes.py: in words
    "start": "none, as shipped",
    "plain": "{} of single molecules",
    "more": "{} of single molecules",
    "hunted": "{} of single molecules, {} of pairs that a hunt has found",
}
SYSTEMS = {"water": "32 H₂O at 500 K", "molecules": "molecules at 1,000 K"}


def lasting(rows):
    """Times in ps, the share that lasts longer, and its interval."""
    return observables.survival([row["picoseconds"] for row in rows], [row["stopped"] is not None for row in rows])


def median(rows):
    """The time in ps that half of the runs last, as text; where more last to the end, how long that was at least."""
    time, share, *_ = lasting(rows)
    return f"{time[share <= 0.5][0]:.2g}" if share[-1] <= 0.5 else f"more than {time[-1]:.0f}"


def survival(results):
    """A line for each method and number of labels."""
    lines = []
    for system, words in SYSTEMS.items():
        own = [row for row in results["rows"] if row["system"] == system]
        pairs = dict.fromkeys((row["method"], row["n_train"]) for row in own)
        for method, n in sorted(pairs, key=lambda pair: pair[1]):
            rows = [row for row in own if (row["method"], row["n_train"]) == (method, n)]
            last = sum(row["stopped"] is None for row in rows)
            asked = min(row["asked"] for row in rows)
            way = f"{method}, {n} labels" if n else f"{method}, the start without a DFT label"
            lines.append([words, way, median(rows), f"{last} of {len(rows)} ({asked:.0f} ps)"])
    return markdown(["", "", "half of the runs last / ps", "runs that last to the end"], lines)


def holes(results):
    """A line for each start and kind of labels."""
    lines, all_rows = [], results["rows"]
    few = min(row["n_train"] for row in all_rows if row["n_train"])
    for way in dict.fromkeys(row["way"] for row in all_rows):
        for method, words in LABELS.items():
            rows = [row for row in all_rows if (row["way"], row["method"]) == (way, method)]
            if not rows:
                continue
            n = rows[0]["n_train"]
            labels = words.format(few if method == "hunted" else n, n - few)
            shares = spread([100 * row["holes"] for row in rows]) if any(row["holes"] for row in rows) else "0"
            errors = (spread([row[key] for row in rows]) for key in ("distance_error", "force_mae"))
            lines.append([way, labels, shares, *errors])
    head = ["", "DFT labels", "pairs with a hole / %", "closest distance, error / Å", "forces in molecules / meV/Å"]
    return markdown(head, lines)


def sentence(results):
    """What the README says of water with ten boxes."""
    broken, last, n, asked = with_ten_labels(results["rows"], "water")
    return (
        f"Of {n} such runs with T-PaiNN, {last} last {asked:.0f} ps; of as many from scratch half "
        f"are broken after {broken} ps (`python benchmarks/survival.py`)."
    )


def with_ten_labels(rows, system):
    """The time in ps, as text, that half of the runs from scratch last; how many of T-PaiNN's last, of how many, and
    how long these were asked to."""
    own = [row for row in rows if (row["system"], row["n_train"]) == (system, 10)]
    scratch, tuned = ([row for row in own if row["method"] == name] for name in ("from scratch", "T-PaiNN"))
    last = sum(row["stopped"] is None for row in tuned)
    return median(scratch), last, len(tuned), min(row["asked"] for row in tuned)


BLOCKS = {"survival": ("survival", survival), "holes": ("holes", holes)}
