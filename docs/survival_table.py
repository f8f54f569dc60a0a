"""The table of how long simulations last, for `readme_numbers.py`."""

from study_tables import markdown

from tpainn_lite.simulate import observables

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
        for method, n in dict.fromkeys((row["method"], row["n_train"]) for row in own):
            rows = [row for row in own if (row["method"], row["n_train"]) == (method, n)]
            last = sum(row["stopped"] is None for row in rows)
            asked = min(row["asked"] for row in rows)
            lines.append([words, f"{method}, {n} labels", median(rows), f"{last} of {len(rows)} ({asked:.0f} ps)"])
    return markdown(["", "", "half of the runs last / ps", "runs that last to the end"], lines)


def sentence(results):
    """What the README says of water with ten boxes."""
    own = [row for row in results["rows"] if (row["system"], row["n_train"]) == ("water", 10)]
    rows = {name: [row for row in own if row["method"] == name] for name in ("T-PaiNN", "from scratch")}
    last = sum(row["stopped"] is None for row in rows["T-PaiNN"])
    asked = min(row["asked"] for row in rows["T-PaiNN"])
    return (
        f"Of {len(rows['T-PaiNN'])} such runs with T-PaiNN, {last} last {asked:.0f} ps; of as many from scratch half "
        f"are broken after {median(rows['from scratch'])} ps (`python benchmarks/survival.py`)."
    )


BLOCKS = {"survival": ("survival", survival)}
