"""Explanations that answer to their reader: boxes in a notebook or a page, which need no kernel.

Each is one script (`ruler.js`, `vectors.js`, `labelmap.js`, `knobs.js`) behind what they share (`theme.js`,
`explain.js`, `explain.css`); the functions here give them their data, as JSON.
"""

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from tpainn_lite.page.shown import FOLDER, Shown, source
from tpainn_lite.reading.shipped import load_results
from tpainn_lite.structures.arguments import check_choice, check_numbers, shown

FORMAT = 1  # of the scene, as in explain.js
BOND, BIAS = 0.96, 0.25  # Å of O-H in `vectors`; what the forbidden bias adds to x and y
STUDY = {  # as in the results: as in the figures
    "tpainn_shipped": "T-PaiNN",
    "tpainn_shipped_mean": "T-PaiNN, gas_mean",
    "tpainn_shipped_xtb": "T-PaiNN, gas_xtb",
    "tpainn_shipped_wide": "T-PaiNN, gas_wide",
    "tpainn_shipped_wide_xtb": "T-PaiNN, gas_wide_xtb",
    "tpainn_pool": "T-PaiNN, same structures",
    "tpainn_mmff94": "T-PaiNN, short MMFF94",
    "tpainn_ladder": "T-PaiNN, short MMFF94, GFN2-xTB",
    "tpainn_dft": "T-PaiNN, one more rung",
    "scratch_mean": "scratch, one energy per atom",
    "scratch_none": "scratch, no reference",
    "scratch_atomref": "scratch, one energy per element",
    "delta": "Δ-learning on MMFF94",
    "delta_shipped": "Δ-learning on MMFF94, gas",
    "mean_classical": "mean of three, MMFF94 alone",
    "delta_xtb": "Δ-learning on GFN2-xTB",
    "delta_shipped_xtb": "Δ-learning from gas_xtb",
    "delta_shipped_gfn1": "Δ on GFN1-xTB, gas_xtb",
    "mean_delta": "mean of four Δ-learnings",
    "delta_fit": "Δ-learning, closed form",
    "delta_fit_mean": "mean of four closed forms",
    "tpainn_shuffled": "control: shuffled labels",
    "force_field": "MMFF94 itself",
    "gfn_ff": "GFN-FF itself",
    "two_force_fields": "mean of MMFF94 and GFN-FF",
    "gfn2_xtb": "GFN2-xTB itself",
    "composition": "one energy per element, no network",
}
PARTS = {"test": "new molecules", "test_large": "larger molecules", "uniform": "QM9"}
QUANTITIES = {
    "force_mae": ("force", "meV/Å"),
    "molecule_energy_mae": ("energy", "meV"),
    "energy_mae": ("energy", "meV/atom"),
}
MEASURED = {"labels": 100, "error": 200}  # where the ruler lies at first, in the shipped study
CONTROL = "tpainn_shuffled"


def ruler(
    rows: Iterable[Mapping[str, Any]] | None = None, method: str | None = None, baseline: str | None = None
) -> Shown:
    """A ruler on learning curves: how many labels, or how much error, one method saves compared with another.

    Between measured points curves are straight in the double logarithmic picture; beyond them nothing is said.

    Parameters
    ----------
    rows
        Of `learning_curve` or of ``load_results("learning_curve_qm9")``, which is the default: dicts with ``method``,
        ``n_train``, ``seed`` and errors (``force_mae`` meV/Å, ``energy_mae`` meV/atom, ``molecule_energy_mae`` meV).
    method, baseline
        Which are compared at first, by their names in the rows.

    Returns
    -------
    Shown
        Displays itself as the last line of a cell.

    Raises
    ------
    ValueError
        Rows without errors, fewer than two methods with two numbers of labels, or a method that is not there.

    >>> ruler().alt
    'Learning curves of T-PaiNN and scratch, one energy per element, with a ruler to measure what pretraining saves'
    """
    shipped = rows is None
    tasks = _tasks(load_results("learning_curve_qm9")["rows"] if rows is None else _checked(rows))
    known = list(dict.fromkeys(name for task in tasks for name in task["curves"]))
    if len(known) < 2:
        raise ValueError(f"{len(known)} methods have errors for two or more numbers of labels; at least 2 are expected")
    known.sort(key=lambda name: list(STUDY).index(name) if name in STUDY else len(STUDY))
    methods, baselines = _roles(known) if shipped else (known, known[::-1])
    chosen = {
        "method": methods[0] if method is None else method,
        "baseline": ("scratch_atomref" if shipped else known[1]) if baseline is None else baseline,
    }
    for what, name in chosen.items():
        if name not in known:
            raise ValueError(f"{what} is {shown(name)}; one of {known} is expected")
    names = {name: STUDY.get(name, name) for name in known}
    start = {**chosen, "task": 0, "kind": "error", **(MEASURED if shipped else _middle(tasks[0], chosen["method"]))}
    data = {"tasks": tasks, "names": names, "methods": methods, "baselines": baselines, "start": start}
    first, second = (names[chosen[what]] for what in ("method", "baseline"))
    words = f"Learning curves of {first} and {second}, with a ruler to measure what pretraining saves"
    return _explanation("ruler", data, words, still=shipped and method is None and baseline is None)


def _roles(known):
    """(methods, baselines) of the study; the control may be either."""
    ours = [name for name in known if name.startswith("tpainn")]
    return ours, [name for name in known if name not in ours] + [CONTROL]


def _middle(task, method):
    """Where the ruler lies at first: on a point in the middle of a curve."""
    curve = task["curves"].get(method) or next(iter(task["curves"].values()))
    point = curve[(len(curve) - 1) // 2]
    return {"labels": point["n"], "error": point["mean"]}


def _checked(given):
    rows = list(given) if isinstance(given, Iterable) else []
    if not rows or not all(isinstance(row, Mapping) and {"method", "n_train"} <= row.keys() for row in rows):
        raise ValueError(f"rows is {shown(given)}; dicts with method, n_train, seed and errors are expected")
    check_numbers(**{f"rows[{k}][{key}]": row[key] for k, row in enumerate(rows) for key in QUANTITIES if key in row})
    return rows


def _tasks(rows):
    """What was measured: for each part of the test and each quantity, the curves of all methods."""
    tasks = []
    whole = any("molecule_energy_mae" in row for row in rows)
    for key in (key for key in QUANTITIES if not (key == "energy_mae" and whole)):
        quantity, unit = QUANTITIES[key]
        for task, part in dict.fromkeys((row.get("task"), row.get("subset")) for row in rows if key in row):
            own = [row for row in rows if (row.get("task"), row.get("subset")) == (task, part) and key in row]
            curves = {name: _curve(own, name, key) for name in dict.fromkeys(row["method"] for row in own)}
            tasks.append({
                "name": ", ".join(filter(None, (f"{quantity} / {unit}", PARTS.get(part, part)))),
                "quantity": quantity, "unit": unit,
                "curves": {name: curve for name, curve in curves.items() if len(curve) > 1},
                "levels": {STUDY.get(row["method"], row["method"]): row[key] for row in own if not row["n_train"]},
            })  # fmt: skip
    return [task for task in tasks if len(task["curves"]) > 1]


def _curve(rows, method, key):
    """[{n, mean, deviation over seeds (None of one), seeds}] of a method, by the number of labels."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["method"] == method and row["n_train"] > 0 and math.isfinite(row[key]) and row[key] > 0:
            found.setdefault(row["n_train"], []).append(row[key])
    return [
        {"n": n, "mean": statistics.mean(e), "deviation": statistics.stdev(e) if len(e) > 1 else None, "seeds": len(e)}
        for n, e in sorted(found.items())
    ]


def vectors(angle: float = 104.5, cutoff: float = 1.3) -> Shown:
    """A microscope for sums of vectors: water bends and turns, and a network with and without arrows listens.

    The network is small enough to follow: one feature, weights of 1, PaiNN's cosine cutoff.  Within a cutoff that O-H
    passes and H-H does not, the angle changes nothing in distances, and all in the length of the sum of vectors at O.

    Parameters
    ----------
    angle
        H-O-H in degrees, 90 to 180, to begin with.
    cutoff
        Å, 0.8 to 2.4, to begin with.

    Returns
    -------
    Shown
        Displays itself as the last line of a cell.

    Raises
    ------
    ValueError
        An angle or a cutoff outside of these.

    >>> vectors(angle=90).alt
    'Water with arrows; it bends and turns, and what networks with and without arrows say is plotted'
    """
    for name, value, (low, high) in (("angle", angle, (90, 180)), ("cutoff", cutoff, (0.8, 2.4))):
        check_numbers(**{name: value})
        if not low <= value <= high:
            raise ValueError(f"{name} is {shown(value)}; a number from {low} to {high} is expected")
    start = {"angle": float(angle), "turn": 0, "cutoff": float(cutoff), "rounds": 1, "bias": False}
    words = "Water with arrows; it bends and turns, and what networks with and without arrows say is plotted"
    still = (angle, cutoff) == (104.5, 1.3)
    return _explanation("vectors", {"bond": BOND, "bias": BIAS, "start": start}, words, still)


def label_map(start: Literal["classical", "nothing"] = "classical") -> Shown:
    """A map of two torsions: click to label, and a committee learns at once; where it doubts, and where it is wrong.

    Glycolaldehyde, rigid, in steps of 15 degrees: energies of MMFF94 and of GFN2-xTB, which stands for the expensive
    method (``benchmarks/torsion_map.py``).  The members, sums of waves with random beginnings, are fitted in the page.

    Parameters
    ----------
    start
        What the committee begins with: "classical", or "nothing".

    Returns
    -------
    Shown
        Displays itself as the last line of a cell.

    Raises
    ------
    ValueError
        Another start.

    >>> label_map().alt
    'Maps over two torsions of glycolaldehyde: energies, where a committee disagrees, where it is wrong'
    """
    check_choice(("classical", "nothing"), start=start)
    found = load_results("torsion_map")
    rows = sorted(found["rows"], key=lambda row: (row["phi"], row["psi"]))
    energies = {key: [row[key] for row in rows] for key in ("classical", "reference")}
    methods = {key: found[key] for key in ("classical", "reference")}
    n = math.isqrt(len(rows))
    begin: dict[str, Any] = {"labels": [], "from": start, "here": n * n // 2 + n // 2}
    data = {"n": n, **{key: found[key] for key in ("molecule", "torsions")}, "methods": methods, "start": begin}
    words = f"Maps over two torsions of {found['molecule']}: energies, where a committee disagrees, where it is wrong"
    return _explanation("labelmap", data | energies, words, start == "classical")


def two_knobs(results: Mapping[str, Any] | None = None) -> Shown:
    """Two errors of liquid water, one knob each: what the error of forces says of them, and what the liquid.

    Each model of ``benchmarks/two_knobs.py`` differs from the truth in the springs inside molecules and in the charges
    between them; shown are the errors of its forces, its g(r) and its diffusion.

    Parameters
    ----------
    results
        As that script writes them; those of ``load_results("two_knobs")`` unless given.

    Returns
    -------
    Shown
        Displays itself as the last line of a cell.

    Raises
    ------
    DatasetError, ValueError
        The script was not run; or models are missing in its grid.

    >>> errors = {"force_mae": 9.0, "deform_mae": 7.0, "between_mae": 4.0, "diffusion": 2.3, "diffusion_error": 0.2}
    >>> how = {**errors, "n_molecules": 64, "picoseconds": 20.0, "r": [2.5, 2.8, 3.5], "g": [0.0, 3.1, 0.9]}
    >>> two_knobs({"rows": [{"bonds": b, "between": c, **how} for b in (0, 0.4) for c in (0, 0.1)]}).alt
    'Errors of forces, g(r) and diffusion of water whose bonds and charges are wrong, each by a knob'
    """
    rows = _checked_models(load_results("two_knobs") if results is None else results)
    knobs = {name: sorted({row[name] for row in rows}) for name in ("bonds", "between")}
    models = {(row["bonds"], row["between"]): row for row in rows}
    missing = [place for place in itertools.product(*knobs.values()) if place not in models]
    if missing:
        raise ValueError(
            f"of {len(models) + len(missing)} models {len(missing)} are missing, {missing[0]} first: run on"
        )
    grid = [[models[bonds, between] for between in knobs["between"]] for bonds in knobs["bonds"]]
    start = {"bonds": len(knobs["bonds"]) - 1, "between": 0}
    how = {key: rows[0][key] for key in ("n_molecules", "picoseconds")} | {"model": "q-TIP4P/F"}
    words = "Errors of forces, g(r) and diffusion of water whose bonds and charges are wrong, each by a knob"
    return _explanation("knobs", {**knobs, **how, "models": grid, "start": start}, words, results is None)


def _checked_models(results):
    if not isinstance(results, Mapping) or not results.get("rows"):
        raise ValueError(f"results is {shown(results)}; what benchmarks/two_knobs.py writes is expected")
    return results["rows"]


def _explanation(name: str, data: dict[str, Any], words: str, still: bool = True) -> Shown:
    """A scene of its data, in front of the scripts; with the shipped picture of how it begins."""
    picture = FOLDER / f"{name}.png"
    scene = {"format": FORMAT, "alt": words, "data": data, "style": source("explain.css")}
    begun = picture.read_bytes() if still and picture.exists() else None
    return Shown(scene, ("theme.js", "explain.js", f"{name}.js"), begun)
