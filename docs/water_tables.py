"""Markdown tables of the study of liquid water, for `readme_numbers.py`."""

from study_tables import NOTHING, markdown, pivot, spread

LEARNERS = {  # as in the results: as in the tables
    "scratch_atomref": "from scratch, one energy per molecule",
    "tpainn_shuffled": "control: q-TIP4P/F, shuffled labels (short)",
    "tpainn_monomer": "T-PaiNN from single molecules of q-TIP4P/F (short)",
    "delta": "Δ-learning on q-TIP4P/F",
    "delta_iamoeba": "Δ-learning on iAMOEBA",
    "tpainn_spcfw": "T-PaiNN from SPC/Fw (short)",
    "tpainn_qtip4pf": "T-PaiNN from q-TIP4P/F (short)",
    "tpainn_iamoeba_short": "T-PaiNN from iAMOEBA (short)",
    "tpainn": "T-PaiNN from `water` (q-TIP4P/F, shipped)",
    "tpainn_xtb": "T-PaiNN from `water_xtb` (then GFN2-xTB, shipped)",
    "tpainn_iamoeba": "T-PaiNN from `water_iamoeba` (then iAMOEBA, shipped)",
    "delta_tuned_xtb": "Δ-learning on GFN2-xTB, from `water_iamoeba`",
    "committee": "mean of four: T-PaiNN, and Δ-learning on iAMOEBA, each from `water_xtb` and `water_iamoeba`",
    "committee_xtb": "mean of five: these four, and Δ-learning on GFN2-xTB from `water_iamoeba`",
}
UNTRAINED = {
    "force_field": "q-TIP4P/F itself",
    "force_field_iamoeba": "iAMOEBA itself",
    "pretrained": "`water`",
    "pretrained_xtb": "`water_xtb`",
    "pretrained_iamoeba": "`water_iamoeba`",
    "constant": "no force, one energy",
}
QUANTITIES = {"g_OO peak": "first peak of g_OO", "diffusion": "diffusion / 10⁻⁹ m²/s", "density": "density / g/cm³"}
RUNS = {"nvt": "300 K", "hot": "400 K", "npt": "1 bar"}


def curve_rows(results):
    return [r for r in results["rows"] if r["case"] == "curve" and r["subset"] == "later"]


def forces_table(results, value="force_mae"):
    """Errors of forces at later times by start and number of boxes, and of what was trained on none."""
    rows = curve_rows(results)
    bare = {r["method"]: f"{r[value]:.0f}" for r in rows if r["n_train"] == 0}
    words = ", ".join(f"{name} {bare[method]}" for method, name in UNTRAINED.items())
    return f"{pivot(rows, value, LEARNERS)}\n\nWithout any DFT force: {words} meV/Å."


def between_table(results):
    """The same of what pushes and turns whole molecules."""
    return forces_table(results, "between_mae")


def energies_table(results):
    """Errors of energies, in meV/atom."""
    rows = curve_rows(results)
    constant = next(r["energy_mae"] for r in rows if r["method"] == "constant")
    return f"{pivot(rows, 'energy_mae', LEARNERS)}\n\nOne energy for all boxes: {constant:.1f} meV/atom."


def liquid_table(results):
    """What each potential's MD gave: how long it lasted, and observables, each run by itself."""
    rows = results["rows"]
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        lasted = [r for r in mine if r["quantity"] == "lasted"]
        words = [
            f"{RUNS[r['run']]}: {r['value']:g} ps{' †' if r['stopped'] else ''}" for r in lasted if r["run"] in RUNS
        ]
        found = [
            ", ".join(f"{r['value']:.3g} ± {r['error']:.1g}" for r in mine if r["quantity"] == quantity) or NOTHING
            for quantity in QUANTITIES
        ]
        lines.append([model, ", ".join(words), *found])
    return markdown(["", "lasted († broken)", *QUANTITIES.values()], lines)


def reference_table(results):
    """Errors with eight boxes of RPBE-D3 water."""
    names = {name: LEARNERS[name] for name in ("scratch_atomref", "tpainn_iamoeba", "committee")}
    errors = {"forces / meV/Å": "force_mae", "between molecules": "between_mae", "energies / meV/atom": "energy_mae"}
    lines = []
    for method, name in names.items():
        rows = [row for row in results["rows"] if row["method"] == method]
        lines.append([name, *(spread([row[error] for row in rows]) for error in errors.values())])
    return markdown(["eight boxes", *errors], lines)


BLOCKS = {  # name of the block: results, text
    "water_forces": ("water", forces_table),
    "water_between": ("water", between_table),
    "water_energies": ("water", energies_table),
    "water_reference": ("water_reference", reference_table),
    "water_md": ("water_md", liquid_table),
}
