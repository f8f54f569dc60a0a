"""Markdown tables of the study of autotuning, for `readme_numbers.py`."""

import math
import statistics

LEARNERS = {  # as in the results: as in the tables
    "scratch_none": "from scratch, no reference energies",
    "scratch_mean": "from scratch, one energy per atom",
    "scratch_atomref": "from scratch, one energy per element",
    "delta": "Δ-learning on MMFF94",
    "delta_shipped": "Δ-learning on MMFF94, from `gas`",
    "mean_classical": "mean of three: T-PaiNN from `gas` and from `gas_wide`, and the last",
    "delta_xtb": "Δ-learning on GFN2-xTB",
    "delta_shipped_xtb": "Δ-learning on GFN2-xTB, from `gas_xtb`",
    "delta_fit": "Δ-learning on GFN2-xTB in closed form, features of `gas_xtb`",
    "delta_fit_mean": "mean of four such fits: on GFN2-xTB and GFN1-xTB, features of `gas_xtb` and `gas_wide_xtb`",
    "delta_shipped_gfn1": "Δ-learning on GFN1-xTB, from `gas_xtb`",
    "mean_delta": "mean of Δ-learning on GFN2-xTB and GFN1-xTB, from `gas_xtb` and `gas`",
    "scratch_dft": "from scratch on our own DFT set, then these labels",
    "tpainn_shuffled": "control: MMFF94, shuffled labels",
    "tpainn_energies": "T-PaiNN from MMFF94, energies alone",
    "tpainn_few": "T-PaiNN from MMFF94, a twentieth of the frames",
    "tpainn_uff": "T-PaiNN from UFF",
    "tpainn_mmff94": "T-PaiNN from MMFF94",
    "tpainn_xtb": "T-PaiNN from GFN2-xTB",
    "tpainn_ladder": "T-PaiNN from MMFF94, then GFN2-xTB",
    "tpainn_shipped": "T-PaiNN from `gas` (MMFF94, shipped)",
    "tpainn_shipped_mean": "T-PaiNN from `gas_mean` (mean of MMFF94 and GFN-FF, shipped)",
    "tpainn_shipped_xtb": "T-PaiNN from `gas_xtb` (MMFF94, then GFN2-xTB, shipped)",
    "tpainn_shipped_wide": "T-PaiNN from `gas_wide` (MMFF94, eleven elements, shipped)",
    "tpainn_shipped_wide_xtb": "T-PaiNN from `gas_wide_xtb` (then GFN2-xTB, shipped)",
    "tpainn_pool": "T-PaiNN from `gas_xtb`, then GFN2-xTB on the task's own structures",
    "mean_pool": "mean of the last and of ridge regression on the same features",
    "tpainn_dft": "T-PaiNN from `gas_xtb`, these GFN2-xTB labels, then our own DFT set",
}
ALONE = {"force_field": "MMFF94", "gfn_ff": "GFN-FF", "two_force_fields": "the mean of both", "gfn2_xtb": "GFN2-xTB"}
NOTHING = "–"


def spread(values):
    """Mean ± standard deviation over seeds, with the digits that the deviation leaves; – where nothing was run."""
    if not values:
        return NOTHING
    mean = statistics.mean(values)
    if len(values) == 1:
        return rounded(mean, mean / 100)
    deviation = statistics.stdev(values)
    return f"{rounded(mean, deviation)} ± {rounded(deviation, deviation)}"


def rounded(value, deviation):
    """As text, to the first digit of the deviation, or the second where that begins with a 1; at most to 0.01."""
    if deviation <= 0:
        return f"{value:,.2f}"
    place = math.floor(math.log10(deviation))
    place -= deviation / 10**place < 2
    return f"{round(value, -place):,.{min(max(0, -place), 2)}f}"


def markdown(head, lines):
    """A table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def pivot(rows, value, names=LEARNERS):
    """A line for each method, a column for each number of labels."""
    columns = sorted({row["n_train"] for row in rows if row["method"] in names})
    lines = []
    for method, name in names.items():
        found = [[r[value] for r in rows if r["method"] == method and r["n_train"] == n] for n in columns]
        if any(found):
            lines.append([name, *map(spread, found)])
    return markdown(["", *(f"{n:,}" for n in columns)], lines)


def of_task(results, task):
    """Rows of one task; of QM9, those of one source."""
    rows = [r for r in results["rows"] if r["task"] == task]
    return [r for r in rows if r["source"] == rows[0]["source"]]


def alone(rows, method, value):
    """The error of what needs no training."""
    return next((f"{r[value]:.0f}" for r in rows if r["method"] == method), NOTHING)


def forces_table(results, subset="test"):
    """Force errors by method and number of labels."""
    rows = [r for r in of_task(results, "molecule_forces") if r["subset"] == subset]
    errors = ", ".join(f"{words}: {alone(rows, name, 'force_mae')}" for name, words in ALONE.items())
    return f"{pivot(rows, 'force_mae')}\n\nAs they are, {errors} meV/Å."


def molecule_energies_table(results):
    """Energy errors on the same unseen molecules."""
    rows = [r for r in of_task(results, "molecule_forces") if r["subset"] == "test"]
    return pivot(rows, "molecule_energy_mae")


def large_table(results):
    """Force errors on molecules larger than those trained on."""
    return forces_table(results, "test_large")


def energies_table(results):
    """Energy errors on QM9 by method and number of labels."""
    rows = of_task(results, "qm9_energy")
    composition = alone(rows, "composition", "molecule_energy_mae")
    words = f"The best energy per element that all labels give, without a network: {composition} meV."
    return f"{pivot(rows, 'molecule_energy_mae')}\n\n{words}"


def ratios(rows, value, method, baseline):
    """The baseline's error divided by the method's, for each seed that both have: the same labels."""
    errors = {(r["method"], r["seed"]): r[value] for r in rows}
    return [errors[baseline, s] / errors[method, s] for m, s in errors if m == method and (baseline, s) in errors]


def gains_table(results):
    """How many times smaller than others T-PaiNN's errors are: 50 labels for forces, 100 for energies."""
    cases = [("molecule_forces", 50, "force_mae", "forces, 50 labels", ("scratch_atomref", "delta", "delta_xtb"))]
    energies = ("scratch_none", "scratch_mean", "scratch_atomref", "delta_xtb", "scratch_dft")
    cases += [("qm9_energy", 100, "molecule_energy_mae", "QM9 energies, 100 labels", energies)]
    names, lines = ("shuffled", "mmff94", "shipped", "shipped_mean", "ladder", "shipped_xtb", "pool", "dft"), []
    methods = [f"tpainn_{name}" for name in names]
    for task, n, value, words, baselines in cases:
        chosen = [r for r in of_task(results, task) if r["n_train"] == n and r["subset"] in ("test", "uniform")]
        for baseline in baselines:
            found = [spread(ratios(chosen, value, method, baseline)) for method in methods]
            lines.append([f"{words}, compared with {LEARNERS[baseline]}", *found])
    return markdown(["error divided by that of →", *(LEARNERS[method] for method in methods)], lines)


def of_case(results, case):
    """Rows of one case."""
    return [r for r in results["rows"] if r["case"] == case]


def choices_table(results):
    """What each setting of `autotune` is worth."""
    forces, energies = of_case(results, "choices"), of_case(results, "choices_energies")
    lines = []
    for name in dict.fromkeys(r["method"] for r in forces):
        cells = [[r["force_mae"] for r in forces if r["method"] == name]]
        cells += [[r["molecule_energy_mae"] for r in rows if r["method"] == name] for rows in (forces, energies)]
        lines.append([name, *map(spread, cells)])
    units = ["forces / meV/Å, 50 labels", "energies / meV, the same", "QM9 energies / meV, 100 labels"]
    return markdown(["", *units], lines)


def closed_form_table(results):
    """Ridge regression compared with autotuning, by start."""
    rows, lines = of_case(results, "closed_form"), []
    kinds = ("ridge", "autotuned", "both")
    for start in dict.fromkeys(r["method"].split(", ")[0] for r in rows):
        found = [[r["molecule_energy_mae"] for r in rows if r["method"] == f"{start}, {kind}"] for kind in kinds]
        lines.append([LEARNERS[f"tpainn_{start}"], *map(spread, found)])
    return markdown(["QM9 energies / meV, 100 labels", "ridge regression", "autotuned", "mean of both"], lines)


def settings_table(results):
    """Errors by steps and learning rate."""
    lines = []
    for task, value in (("molecule_forces", "force_mae"), ("qm9_energy", "molecule_energy_mae")):
        rows = [r for r in results["rows"] if r["task"] == task]
        unit = "forces / meV/Å" if task == "molecule_forces" else "QM9 energies / meV"
        for method, rate in dict.fromkeys((r["method"], r["learning_rate"]) for r in rows):
            chosen = [r for r in rows if (r["method"], r["learning_rate"]) == (method, rate)]
            steps = sorted({r["steps"] for r in rows if r["method"] == method})  # half, the usual number, twice
            cells = [f"{spread([r[value] for r in chosen if r['steps'] == n])} ({n:,})" for n in steps]
            lines.append([unit, LEARNERS[method], f"{rate:g}", *cells])
    return markdown(["", "", "learning rate", "half of the usual steps", "usual", "twice"], lines)


def convergence_table(results):
    """Errors before training and at its best, and steps until nearly there."""
    runs, lines = {}, []
    for r in of_case(results, "convergence"):
        runs.setdefault((r["method"], r["seed"]), []).append((r["step"], r["force_mae"]))
    for method in dict.fromkeys(method for method, _ in runs):
        curves = [sorted(curve) for (m, _), curve in runs.items() if m == method]
        best = [min(error for _, error in curve) for curve in curves]
        near = [min(n for n, error in c if error < 1.05 * lowest) for c, lowest in zip(curves, best, strict=True)]
        before = [error for curve in curves for n, error in curve if n == 0]
        lines.append([LEARNERS[method], spread(before), spread(best), ", ".join(map(str, near))])
    return markdown(["", "before training / meV/Å", "best / meV/Å", "steps until within 5 % of its best"], lines)


def size_table(results):
    """Pretrained and autotuned errors by the number of classical frames."""
    rows, lines = of_case(results, "size"), []
    for before in (r for r in rows if r["n_train"] == 0):
        after = [r["force_mae"] for r in rows if r["method"] == before["method"] and r["n_train"] == 50]
        cells = [f"{before[value]:.0f}" for value in ("teacher_force_mae", "force_mae")]
        lines.append([f"{before['n_frames']:,}", *cells, spread(after)])
    head = ["classical frames", "pretrained, against MMFF94", "pretrained, against DFT", "autotuned, 50 labels"]
    return markdown(head, lines)


def forgetting_table(results):
    """Errors against the teacher, and against DFT, after autotuning."""
    rows, lines = of_case(results, "forgetting"), []
    for n in sorted({r["n_train"] for r in rows}):
        for method in dict.fromkeys(r["method"] for r in rows):
            chosen = [r for r in rows if (r["method"], r["n_train"]) == (method, n)]
            cells = [spread([r[value] for r in chosen]) for value in ("teacher_force_mae", "force_mae")]
            lines.append([f"{n} labels, {method}", *cells])
    return markdown(["", "against MMFF94 / meV/Å", "against DFT / meV/Å"], lines)


def scans_table(results):
    """Errors along simple motions."""
    rows, lines = of_case(results, "scans"), []
    scans = list(dict.fromkeys(r["subset"] for r in rows))
    for method, n in sorted({(r["method"], r["n_train"]) for r in rows}, key=lambda pair: (pair[1], pair[0])):
        chosen = [r for r in rows if (r["method"], r["n_train"]) == (method, n)]
        words = f"{LEARNERS[method]}, " + (f"{n:,} labels" if n else "not autotuned")
        cells = [spread([r["rmse"] for r in chosen if r["subset"] == scan]) for scan in scans]
        short = [spread([r["rmse_short"] for r in chosen if r["subset"] == scan]) for scan in ("bond", "dimer")]
        lines.append([words, *cells, *short])
    return markdown(["", *scans, "bond, short side", "dimer, short side"], lines)


BLOCKS = {  # name of the block: results, text
    "forces": ("learning_curve_qm9", forces_table),
    "molecule_energies": ("learning_curve_qm9", molecule_energies_table),
    "large": ("learning_curve_qm9", large_table),
    "energies": ("learning_curve_qm9", energies_table),
    "gains": ("learning_curve_qm9", gains_table),
    "choices": ("autotuning", choices_table),
    "closed_form": ("autotuning", closed_form_table),
    "settings": ("learning_curve_settings", settings_table),
    "convergence": ("autotuning", convergence_table),
    "size": ("autotuning", size_table),
    "forgetting": ("autotuning", forgetting_table),
    "scans": ("autotuning", scans_table),
}
