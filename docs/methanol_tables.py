"""Markdown tables of liquid methanol, and of a solute in water, for `readme_numbers.py`."""

import itertools

from study_tables import markdown, pivot, spread

LEARNERS = {  # as in the results: as in the tables
    "scratch_atomref": "from scratch, one energy per molecule",
    "tpainn_shuffled": "control: MMFF94's boxes, shuffled labels",
    "delta": "Δ-learning on MMFF94",
    "tpainn_mmff94": "T-PaiNN from `gas`, then MMFF94's boxes",
    "tpainn_gas_xtb": "T-PaiNN from `gas_xtb` (molecules alone, shipped)",
    "tpainn_liquid_xtb": "T-PaiNN from `gas_xtb`, then GFN2-xTB's labels of 90 boxes",
}
UNTRAINED = {"force_field": "MMFF94 itself", "gfn2_xtb": "GFN2-xTB itself", "start_gas_xtb": "`gas_xtb`"}


def forces(results, value="force_mae"):
    """Errors at later times by start and number of boxes, and of MMFF94 as it is."""
    rows = [r for r in results["rows"] if r["case"] == "curve" and r["subset"] == "later"]
    bare = {name: next(r[value] for r in rows if r["method"] == method) for method, name in UNTRAINED.items()}
    words = ", ".join(f"{name} {error:.0f}" for name, error in bare.items())
    return f"{pivot(rows, value, LEARNERS)}\n\nWithout any DFT force: {words} meV/Å."


def between(results):
    """The same of what pushes and turns whole molecules."""
    return forces(results, "between_mae")


QUANTITIES = {
    "first peak of g_OO": "first peak of g_OO",
    "its place / Å": "its place / Å",
    "diffusion in the box / 1e-9 m²/s": "D in the box / 10⁻⁹ m²/s",
    "term of the box / 1e-9 m²/s": "what the box takes away",
    "density / g/cm³": "density at 1 bar / g/cm³",
    "pressure minus DFT's / GPa": "pressure minus DFT's / GPa",
}


def liquid(results):
    """A line for each start and kind of run: how many last, and quantities with the scatter between trainings."""
    found = [row for row in results["rows"] if row["case"] == "md"]
    known = [name for name in QUANTITIES if any(row["quantity"] == name for row in found)]
    lines = []
    for method, kind in itertools.product(LEARNERS, ("nvt", "npt")):
        rows = [row for row in found if (row["method"], row["subset"]) == (method, kind)]
        if not rows:
            continue
        runs = [row for row in rows if row["quantity"] == "lasted"]
        whole, longest = sum(row["stopped"] is None for row in runs), max(row["value"] for row in runs)
        values = [spread([row["value"] for row in rows if row["quantity"] == name]) for name in known]
        lines.append([LEARNERS[method], kind.upper(), f"{whole} of {len(runs)} ({longest:.0f} ps)", *values])
    return markdown(["ten boxes", "", "runs that last", *(QUANTITIES[name] for name in known)], lines)


SOLUTION = {
    "scratch_atomref": "from scratch",
    **{name: LEARNERS[name] for name in ("tpainn_shuffled", "delta")},
    "tpainn_gas": "T-PaiNN from `gas` (molecules alone, shipped)",
    "tpainn_mmff94": LEARNERS["tpainn_mmff94"],
}


def solution(results):
    """Errors of all forces and of those on the solute, by start and number of boxes."""
    rows = [row for row in results["rows"] if row["case"] == "curve" and row["subset"] == "later"]
    bare = next(row for row in rows if row["method"] == "force_field")
    tables = [pivot(rows, value, SOLUTION) for value in ("force_mae", "solute_mae")]
    words = f"MMFF94 itself: {bare['force_mae']:.0f}, on the solute {bare['solute_mae']:.0f} meV/Å."
    return "\n\nOn the atoms of the solute:\n\n".join(tables) + f"\n\n{words}"


def solution_md(results):
    """How long runs last, and errors on frames of their own."""
    found = [row for row in results["rows"] if row["case"] == "md"]
    lines = []
    for method, name in SOLUTION.items():
        runs = [row for row in found if row["method"] == method]
        whole = sum(row["stopped"] is None for row in runs)
        values = [spread([row[value] for row in runs if value in row]) for value in ("force_mae", "solute_mae")]
        lines += [[name, f"{whole} of {len(runs)} ({max(r['lasted'] for r in runs):.0f} ps)", *values]] if runs else []
    return markdown(["ten boxes", "runs that last", "all forces there", "on the solute"], lines)


BLOCKS = {
    "solution": ("solution", solution),
    "solution_md": ("solution", solution_md),
    "methanol_liquid": ("methanol", liquid),
    "methanol_forces": ("methanol", forces),
    "methanol_between": ("methanol", between),
}
