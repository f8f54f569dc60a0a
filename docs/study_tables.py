"""Markdown tables of the study of autotuning, for `readme_numbers.py`."""

import statistics

LEARNERS = {  # as in the results: as in the tables
    "scratch_none": "from scratch, no reference energies",
    "scratch_mean": "from scratch, one energy per atom",
    "scratch_atomref": "from scratch, one energy per element",
    "delta": "Δ-learning on MMFF94",
    "delta_xtb": "Δ-learning on GFN2-xTB",
    "scratch_dft": "from scratch on our own DFT set, then these labels",
    "tpainn_shuffled": "control: MMFF94, shuffled labels",
    "tpainn_energies": "T-PaiNN from MMFF94, energies alone",
    "tpainn_few": "T-PaiNN from MMFF94, a twentieth of the frames",
    "tpainn_uff": "T-PaiNN from UFF",
    "tpainn_mmff94": "T-PaiNN from MMFF94",
    "tpainn_xtb": "T-PaiNN from GFN2-xTB",
    "tpainn_ladder": "T-PaiNN from MMFF94, then GFN2-xTB",
    "tpainn_shipped": "T-PaiNN from `gas` (MMFF94, shipped)",
    "tpainn_shipped_xtb": "T-PaiNN from `gas_xtb` (ladder, shipped)",
    "tpainn_pool": "T-PaiNN from `gas_xtb`, gone on with on the task's own structures",
    "tpainn_dft": "the same, with our own DFT set as one more rung",
}


def spread(values):
    """Mean ± standard deviation over seeds; no digits that another seed would change."""
    mean = statistics.mean(values)
    digits = ",.0f" if mean >= 10 else ".1f"
    error = f" ± {statistics.stdev(values):{digits}}" if len(values) > 1 else ""
    return f"{mean:{digits}}{error}"


def markdown(head, lines):
    """A table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def pivot(rows, value, names=LEARNERS, column="n_train"):
    """A line for each method, a column for each number of labels."""
    columns = sorted({row[column] for row in rows if row["method"] in names})
    lines = []
    for method, name in names.items():
        found = [[r[value] for r in rows if r["method"] == method and r[column] == n] for n in columns]
        if any(found):
            lines.append([name, *(spread(values) if values else "–" for values in found)])
    return markdown(["", *(f"{n:,}" for n in columns)], lines)


def forces_table(results, subset="test"):
    """Force errors by method and number of labels."""
    rows = [r for r in results["rows"] if r["task"] == "molecule_forces" and r["subset"] == subset]
    field, xtb = (next(r["force_mae"] for r in rows if r["method"] == name) for name in ("force_field", "gfn2_xtb"))
    return f"{pivot(rows, 'force_mae')}\n\nMMFF94 as it is: {field:.0f}, GFN2-xTB: {xtb:.0f} meV/Å."


def large_table(results):
    """Force errors on molecules larger than those trained on."""
    return forces_table(results, "test_large")


def energies_table(results):
    """Energy errors on QM9 by method and number of labels."""
    rows = [r for r in results["rows"] if r["task"] == "qm9_energy"]
    composition = next(r["molecule_energy_mae"] for r in rows if r["method"] == "composition")
    told = f"The best energy per element that all labels give, without a network: {composition:.0f} meV."
    return f"{pivot(rows, 'molecule_energy_mae')}\n\n{told}"


def ratio(rows, value, method, baseline):
    """Mean and standard deviation over seeds of the baseline's error divided by the method's, same labels."""
    errors = {(r["method"], r["seed"]): r[value] for r in rows}
    seeds = [seed for m, seed in errors if m == method and (baseline, seed) in errors]
    ratios = [errors[baseline, seed] / errors[method, seed] for seed in seeds]
    return statistics.mean(ratios), statistics.stdev(ratios)


def gains_table(results):
    """How many times smaller than others T-PaiNN's errors are: 50 labels for forces, 100 for energies."""
    cases = [("molecule_forces", 50, "force_mae", "forces, 50 labels", ("scratch_atomref", "delta", "delta_xtb"))]
    energies = ("scratch_none", "scratch_mean", "scratch_atomref", "delta_xtb")
    cases += [("qm9_energy", 100, "molecule_energy_mae", "QM9 energies, 100 labels", energies)]
    names, lines = ("shuffled", "mmff94", "shipped", "ladder", "shipped_xtb", "pool"), []
    methods = [f"tpainn_{name}" for name in names]
    for task, n, value, told, baselines in cases:
        chosen = [r for r in results["rows"] if r["task"] == task and r["n_train"] == n]
        chosen = [r for r in chosen if r["subset"] in ("test", "uniform")]
        for baseline in baselines:
            found = [ratio(chosen, value, method, baseline) for method in methods]
            lines.append([f"{told}, beside {LEARNERS[baseline]}", *(f"{m:,.3g} ± {s:,.1g}" for m, s in found)])
    return markdown(["error divided by that of →", *(LEARNERS[method] for method in methods)], lines)


def choices_table(results):
    """What each setting of `autotune` is worth."""
    forces, energies = ([r for r in results["rows"] if r["case"] == c] for c in ("choices", "choices_energies"))
    lines = []
    for name in dict.fromkeys(r["method"] for r in forces):
        cells = [[r["force_mae"] for r in forces if r["method"] == name]]
        cells += [[r["molecule_energy_mae"] for r in rows if r["method"] == name] for rows in (forces, energies)]
        lines.append([name, *(spread(values) if values else "–" for values in cells)])
    units = ["forces / meV/Å, 50 labels", "energies / meV, the same", "QM9 energies / meV, 100 labels"]
    return markdown(["", *units], lines)


def closed_form_table(results):
    """Ridge regression beside autotuning, by start."""
    rows, lines = [r for r in results["rows"] if r["case"] == "closed_form"], []
    kinds = ("ridge", "autotuned", "both")
    for start in dict.fromkeys(r["method"].split(", ")[0] for r in rows):
        found = [[r["molecule_energy_mae"] for r in rows if r["method"] == f"{start}, {kind}"] for kind in kinds]
        lines.append([LEARNERS[f"tpainn_{start}"], *(spread(values) if values else "–" for values in found)])
    return markdown(["QM9 energies / meV, 100 labels", "ridge regression", "autotuned", "mean of both"], lines)


def settings_table(results):
    """Errors by steps and learning rate, as many trials for each way."""
    rows, lines = results["rows"], []
    for task, value in (("molecule_forces", "force_mae"), ("qm9_energy", "molecule_energy_mae")):
        for method in dict.fromkeys(r["method"] for r in rows if r["task"] == task):
            chosen = [r for r in rows if (r["task"], r["method"]) == (task, method)]
            for rate in sorted({r["learning_rate"] for r in chosen}):
                of_rate = [r for r in chosen if r["learning_rate"] == rate]
                steps = sorted({r["steps"] for r in of_rate})
                cells = [f"{n}: {spread([r[value] for r in of_rate if r['steps'] == n])}" for n in steps]
                unit = "forces / meV/Å" if task == "molecule_forces" else "QM9 energies / meV"
                lines.append([unit, LEARNERS[method], f"{rate:g}", *cells])
    return markdown(["", "", "learning rate", "steps: error, half of the usual", "usual", "twice"], lines)


def convergence_table(results):
    """Steps until T-PaiNN is as good as the network from scratch at its best."""
    runs, lines = {}, []
    for r in results["rows"]:
        if r["case"] == "convergence":
            runs.setdefault((r["method"], r["seed"]), []).append(r)
    best = {run: min(r["force_mae"] for r in rows) for run, rows in runs.items()}
    for method in dict.fromkeys(method for method, _ in runs):
        seeds = [seed for m, seed in runs if m == method]
        steps = [
            min(
                (r["step"] for r in runs[method, seed] if r["force_mae"] <= best["scratch_atomref", seed]), default=None
            )
            for seed in seeds
        ]
        told = ", ".join("never" if step is None else f"{step:.0f}" for step in steps)
        lines.append([LEARNERS[method], spread([best[method, seed] for seed in seeds]), told])
    return markdown(["", "best error / meV/Å", "steps until the best of the network from scratch is reached"], lines)


def size_table(results):
    """Pretrained and autotuned errors by the number of classical frames."""
    rows, lines = [r for r in results["rows"] if r["case"] == "size"], []
    for method in dict.fromkeys(r["method"] for r in rows):
        before = next(r for r in rows if r["method"] == method and r["n_train"] == 0)
        after = [r["force_mae"] for r in rows if r["method"] == method and r["n_train"] == 50]
        lines.append(
            [
                f"{before['n_frames']:,}",
                f"{before['teacher_force_mae']:.0f}",
                f"{before['force_mae']:.0f}",
                spread(after),
            ]
        )
    head = ["classical frames", "pretrained, against MMFF94", "pretrained, against DFT", "autotuned, 50 labels"]
    return markdown(head, lines)


def forgetting_table(results):
    """Errors against the teacher, and against DFT, after autotuning."""
    rows, lines = [r for r in results["rows"] if r["case"] == "forgetting"], []
    for n in sorted({r["n_train"] for r in rows}):
        for method in dict.fromkeys(r["method"] for r in rows):
            chosen = [r for r in rows if (r["method"], r["n_train"]) == (method, n)]
            cells = [spread([r[value] for r in chosen]) for value in ("teacher_force_mae", "force_mae")]
            lines.append([f"{n} labels, {method}", *cells])
    return markdown(["", "against MMFF94 / meV/Å", "against DFT / meV/Å"], lines)


def scans_table(results):
    """Errors along simple motions."""
    rows, lines = [r for r in results["rows"] if r["case"] == "scans"], []
    scans = list(dict.fromkeys(r["subset"] for r in rows))
    for method, n in sorted({(r["method"], r["n_train"]) for r in rows}, key=lambda pair: (pair[1], pair[0])):
        chosen = [r for r in rows if (r["method"], r["n_train"]) == (method, n)]
        told = f"{LEARNERS[method]}, " + (f"{n:,} labels" if n else "not autotuned")
        cells = [spread([r["rmse"] for r in chosen if r["subset"] == scan]) for scan in scans]
        short = [spread([r["rmse_short"] for r in chosen if r["subset"] == scan]) for scan in ("bond", "dimer")]
        lines.append([told, *cells, *short])
    return markdown(["", *scans, "bond, short side", "dimer, short side"], lines)


BLOCKS = {  # name of the block: results, text
    "forces": ("learning_curve_qm9", forces_table),
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
