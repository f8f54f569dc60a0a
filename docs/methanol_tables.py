"""Markdown tables of the study of liquid methanol, for `readme_numbers.py`."""

from study_tables import pivot

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


BLOCKS = {
    "methanol_forces": ("methanol", forces),
    "methanol_between": ("methanol", between),
}
