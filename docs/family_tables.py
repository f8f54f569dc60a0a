"""Tables of the families of molecules with wider elements, and of reactions, for `readme_numbers.py`."""

from study_tables import markdown, pivot, spread

FAMILY_WAYS = {
    "scratch_atomref": "from scratch",
    "force_field": "MMFF94 itself",
    "gfn2_xtb": "GFN2-xTB itself",
    "delta_xtb": "Δ-learning on GFN2-xTB",
    "tpainn_gas_wide": "T-PaiNN from `gas_wide`",
    "tpainn_gas_wide_xtb": "T-PaiNN from `gas_wide_xtb`",
    "delta_gas_wide_xtb": "Δ-learning from `gas_wide_xtb`",
}
REACTION_WAYS = {
    "scratch_atomref": "from scratch, one energy per element",
    "tpainn_gas": "T-PaiNN from `gas` (MMFF94)",
    "tpainn_gas_xtb": "T-PaiNN from `gas_xtb` (then GFN2-xTB)",
    "tpainn_gas_reactive": "T-PaiNN from `gas_xtb`, then GFN2-xTB along other reactions",
    "delta_xtb": "Δ-learning on GFN2-xTB",
    "delta_gas_xtb": "Δ-learning on GFN2-xTB, from `gas_xtb`",
    "delta_gas_reactive": "Δ-learning on GFN2-xTB, from the start of other reactions",
}
DOUBTED = {"molecules": "other molecules", "larger": "larger molecules", "reactions": "reactions"}


def families(results):
    """A line for each way, a column for each family."""
    rows = results["rows"]
    names = list(dict.fromkeys(row["family"] for row in rows))
    lines = []
    for method, words in FAMILY_WAYS.items():
        own = [[r["force_mae"] for r in rows if (r["family"], r["method"]) == (name, method)] for name in names]
        lines.append([words, *map(spread, own)])
    return markdown(["forces / meV/Å", *names], lines)


def reactions(results):
    """Force errors by start and number of labels, with what needs none."""
    rows = [row for row in results["rows"] if row["case"] == "curve"]
    alone = {row["method"]: row["force_mae"] for row in rows if not row["n_train"]}
    table = pivot(rows, "force_mae", REACTION_WAYS)
    return f"{table}\n\nGFN2-xTB as it is: {alone['gfn2_xtb']:.0f}, zero forces: {alone['zero']:,.0f} meV/Å."


def along(results):
    """Errors of energies along a reaction, in the same way."""
    rows = [row for row in results["rows"] if row["case"] == "curve"]
    alone = next(row["along_mae"] for row in rows if row["method"] == "gfn2_xtb")
    return f"{pivot(rows, 'along_mae', REACTION_WAYS)}\n\nGFN2-xTB as it is: {alone:.0f} meV."


def doubts(results):
    """A line for each kind of frame: the share that `Domain` doubts, and force errors."""
    lines = []
    for subset, words in DOUBTED.items():
        rows = [row for row in results["rows"] if (row["case"], row.get("subset")) == ("doubts", subset)]
        shares = spread([100 * row["doubted"] for row in rows])
        errors = [[row[name] for row in rows if row[name]] for name in ("doubted_mae", "trusted_mae")]
        lines.append([words, f"{shares} %", *map(spread, errors)])
    return markdown(["frames of", "doubted", "error of these", "of the others / meV/Å"], lines)


BLOCKS = {
    "families": ("families", families),
    "reactions": ("reactions", reactions),
    "reactions_along": ("reactions", along),
    "doubts": ("reactions", doubts),
}
