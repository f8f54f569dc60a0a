"""The figures of the slides, drawn by the library from what is shipped: no number on them is typed in.

A slide names one: ``![what to see](figure:costs)``.
"""

import numpy as np
import torch

import tpainn_lite as tp
from tpainn_lite import plots

FIGURES = {}


def figure(draw):
    """Register a function that draws a figure, by its name."""
    FIGURES[draw.__name__] = draw
    return draw


@figure
def costs():
    """Seconds that a label takes, by teacher."""
    molecules, water = tp.load_molecules("train"), tp.load_water("train")
    rate = next(
        r for r in tp.load_results("labelling")["rows"] if r["case"] == "thousand_molecules" and r["processes"] == 1
    )
    seconds = {"MMFF94, molecule": 1 / rate["frames_per_second"]}
    for n_atoms in (7, 15):
        seconds[f"B3LYP, {n_atoms} atoms"] = np.median(times(molecules, n_atoms))
    seconds["revPBE-D3, 32 H2O"] = np.median(times(water, 96))
    drawn = plots.bars(list(seconds), {"one label": list(seconds.values())}, "", "seconds on one core")
    return drawn.update_yaxes(type="log", dtick=1, exponentformat="power").update_layout(showlegend=False)


def times(frames, n_atoms):
    return [atoms.info["seconds"] for atoms in frames if len(atoms) == n_atoms and "seconds" in atoms.info]


def scan(name, teacher):
    """{"DFT": (x, eV), "force field": (x, eV)} along a shipped scan, both from the minimum of DFT."""
    frames = tp.load_scan(name)
    x = np.array([atoms.info["coordinate"] for atoms in frames])
    true, model = (
        np.array(e)
        for e in zip(*((a.get_potential_energy(), teacher.get_potential_energy(a)) for a in frames), strict=True)
    )
    zero = np.argmin(true)
    return {"DFT": (x, true - true[zero]), "force field": (x, model - model[zero])}


@figure
def bond():
    """A bond of water: DFT and the model's formula."""
    return plots.panels({"O–H / Å": scan("bond", tp.water())}, "energy / eV").update_yaxes(range=[-0.5, 10])


@figure
def torsion():
    """The torsion of butane: DFT and MMFF94."""
    return plots.panels({"C–C–C–C / degrees": scan("torsion", tp.mmff94())}, "energy / eV")


@figure
def parity():
    """Forces of MMFF94 against DFT, of molecules of the test set."""
    frames, teacher = tp.load_molecules("test")[::4], tp.mmff94()
    forces = [
        np.concatenate([f(atoms) for atoms in frames]).ravel()
        for f in (lambda a: a.get_forces(), lambda a: teacher.get_forces(a.copy()))
    ]
    drawn = plots.parity(forces[0], {"MMFF94": forces[1]}, reference_name="DFT")
    return drawn.update_xaxes(range=[-10, 10]).update_yaxes(range=[-10, 10])  # a few lie outside


@figure
def waves():
    """The first radial waves, faded."""
    from tpainn_lite.model.painn import RadialBasis, cosine_cutoff

    d = torch.linspace(0.5, 5.0, 200)
    values = RadialBasis(20, 5.0)(d) * cosine_cutoff(d, 5.0)[:, None]  # (200, 20)
    return plots.lines(
        {f"n = {n + 1}": (d.numpy(), values[:, n].numpy()) for n in range(4)}, "distance / Å", "wave × fade"
    )


@figure
def turned():
    """The energy of water while it turns: PaiNN, and PaiNN with a bias in a vector layer."""
    atoms, angles, curves = tp.molecule("O"), np.arange(0, 361, 15), {}
    potential = tp.load_pretrained("gas")
    for name in ("PaiNN", "with a bias on arrows"):
        if name != "PaiNN":
            biased(potential.painn)
        energies = []
        for angle in angles:
            frame = atoms.copy()
            frame.rotate(angle, "z")
            energies.append(float(potential.predict([frame])[0][0]))
        curves[name] = (angles, 1e3 * (np.array(energies) - energies[0]))
    return plots.lines(curves, "molecule turned by / degrees", "energy / meV")


def biased(painn):
    """Give each mixing of arrows a small bias, which must not be."""
    torch.manual_seed(0)
    for mixing in painn.mixings:
        old = mixing.VU
        mixing.VU = torch.nn.Linear(old.in_features, old.out_features)
        with torch.no_grad():
            mixing.VU.weight.copy_(old.weight)
            mixing.VU.bias.copy_(0.05 * torch.randn(old.out_features))


@figure
def classical_labels():
    """Error against the number of classical labels."""
    rows = [
        {**row, "method": "MMFF94 imitated"} for row in tp.load_results("pretraining")["rows"] if row["case"] == "size"
    ]
    return plots.learning_curve(rows).update_xaxes(title="number of classical labels")


def study(task, subset="test"):
    """Rows of the shipped study, under the names of the figures."""
    names = tp.explain.STUDY | {"delta_shipped_xtb": "Δ-learning from gas_xtb"}
    rows = [
        row for row in tp.load_results("learning_curve_qm9")["rows"] if row["task"] == task and row["method"] in names
    ]
    return [{**row, "method": names[row["method"]]} for row in rows if task == "qm9_energy" or row["subset"] == subset]


@figure
def forces():
    """Force errors of new molecules against the number of DFT labels, with the baselines."""
    shown = {
        "T-PaiNN",
        "T-PaiNN, gas_xtb",
        "scratch, one energy per element",
        "control: shuffled labels",
        "Δ-learning on GFN2-xTB",
    }
    rows = study("molecule_forces")
    itself = {"MMFF94 itself": tp.mean_error(rows, "force_mae", method="MMFF94 itself")}
    return plots.learning_curve([row for row in rows if row["method"] in shown], lines=itself)


@figure
def energies():
    """Energy errors on QM9 against the number of labels, with the baselines."""
    shown = {
        "T-PaiNN",
        "T-PaiNN, gas_xtb",
        "scratch, one energy per element",
        "scratch, one energy per atom",
        "control: shuffled labels",
    }
    rows = [row for row in study("qm9_energy") if row["method"] in shown]
    return plots.learning_curve(rows, value="molecule_energy_mae", unit="meV per molecule")


@figure
def ratios():
    """How many times lower T-PaiNN's energy error is, by baseline."""
    rows, key, curves = study("qm9_energy"), "molecule_energy_mae", {}
    for baseline in (
        "scratch, one energy per atom",
        "scratch, no reference",
        "scratch, one energy per element",
        "Δ-learning on GFN2-xTB",
    ):
        sizes = sorted({row["n_train"] for row in rows if row["method"] == baseline})
        pairs = [[tp.mean_error(rows, key, method=m, n_train=n) for m in (baseline, "T-PaiNN")] for n in sizes]
        curves[baseline] = (sizes, [base / ours for base, ours in pairs])
    drawn = plots.lines(curves, "number of DFT labels", "error of the baseline / of T-PaiNN")
    drawn.update_traces(mode="lines+markers").update_xaxes(type="log", dtick=1).update_yaxes(type="log", dtick=1)
    return drawn.add_hline(y=1)


def water(methods):
    rows = [row for row in tp.load_results("water")["rows"] if (row["case"], row["subset"]) == ("curve", "later")]
    return rows, [{**row, "method": methods[row["method"]]} for row in rows if row["method"] in methods]


WATER = {"tpainn_iamoeba": "T-PaiNN, iAMOEBA", "scratch_atomref": "from scratch", "tpainn_xtb": "T-PaiNN, GFN2-xTB"}


@figure
def water_forces():
    """Force errors of water against the number of DFT boxes."""
    rows, named = water(WATER)
    lines = {"iAMOEBA itself": tp.mean_error(rows, "force_mae", method="force_field_iamoeba")}
    return plots.learning_curve(named, lines=lines)


@figure
def water_between():
    """The same of what moves molecules."""
    rows, named = water(WATER)
    lines = {"iAMOEBA itself": tp.mean_error(rows, "between_mae", method="force_field_iamoeba")}
    return plots.learning_curve(named, lines=lines, value="between_mae")


@figure
def parts():
    """Where the force error of water lies: inside molecules, turning, pushing."""
    rows, _ = water({})
    methods = {
        "force_field_iamoeba": ("iAMOEBA itself", 0),
        "scratch_atomref": ("from scratch, 10", 10),
        "tpainn_iamoeba": ("T-PaiNN, 10", 10),
    }
    groups = {
        name: [tp.mean_error(rows, f"{part}_mae", method=m, n_train=n) for part in ("deform", "turn", "push")]
        for m, (name, n) in methods.items()
    }
    return plots.bars(["deforms", "turns", "pushes"], groups, "what the force does to a molecule", "error / meV/Å")


@figure
def lasted():
    """Picoseconds until a run at 400 K broke."""
    rows = [row for row in tp.load_results("water_md")["rows"] if row["quantity"] == "lasted" and row["run"] == "hot"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    values = [np.mean([row["value"] for row in rows if row["model"] == model]) for model in models]
    labels = [model.replace(" frames", "").replace(" from GFN2-xTB", "") for model in models]
    return plots.bars(labels, {"400 K": values}, "", "lasted / ps").update_layout(showlegend=False)


@figure
def g_oo():
    """Structure of water: T-PaiNN's liquid, a classical one, the experiment's first peak."""
    stored = tp.load_results("water_md")["curves"]
    shown = {
        "T-PaiNN": stored["T-PaiNN, all frames, 0, OO"],
        "q-TIP4P/F": tp.load_results("water_models")["curves"]["q-TIP4P/F"]["OO"],
    }
    curves = {name: (curve["r"], curve["g"]) for name, curve in shown.items()} | {
        "experiment, first peak": ([2.80], [2.57])
    }
    drawn = plots.lines(curves, "r / Å", "g_OO").update_xaxes(range=[2, 6])
    return drawn.update_traces(mode="markers", marker_size=12, selector={"name": "experiment, first peak"})


@figure
def blocks():
    """The error bar of a mean of correlated numbers, against the length of a block."""
    rng, series = np.random.default_rng(0), [0.0]
    for kick in rng.normal(size=20000):  # it forgets within 20 steps
        series.append(0.95 * series[-1] + kick)
    lengths = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500])
    errors = [tp.observables.block_average(np.array(series[1:]), 20000 // n)[1] for n in lengths]
    drawn = plots.lines({"error bar": (lengths, errors)}, "length of a block / steps", "error of the mean")
    return drawn.update_traces(mode="lines+markers").update_xaxes(type="log", dtick=1).update_layout(showlegend=False)
