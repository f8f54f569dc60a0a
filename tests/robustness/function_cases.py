"""Attacks through Python: every public function gets one bad argument at a time, in a call that is sound otherwise.

`CALLS` holds one sound call of each public function.  What can be wrong follows from the sound value: a number may be
NaN, a list of frames empty, a calculator None.  An error must be a sentence of ours, not what Python or NumPy say.
"""

# ruff: noqa: E501  a call is easier to read in one line
import inspect
import math
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from attack import Case
from bases import constant

NETWORK = {"n_features": 8, "n_interactions": 1, "n_rbf": 8, "cutoff": 5.0}
FIT = {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "check_every": 2, "progress": False}


@cache
def things(base):
    """Sound things to give to functions."""
    from ase.build import molecule

    import tpainn_lite as tp
    from tpainn_lite.model.committee import Committee
    from tpainn_lite.model.potential import Potential

    frames = tp.read_frames(base / "labelled.extxyz")
    potential, other = (Potential.load(base / name) for name in ("w.safetensors", "w2.safetensors"))
    box = tp.water_box(8, 0.9)
    run = tp.run_md(frames[0], tp.mmff94(), n_steps=4, every=2, progress=False)
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        base=base, frames=frames, atoms=tp.molecule("CCO"), water=molecule("H2O"), potential=potential, box=box,
        methanol=tp.liquid("CO", n_molecules=64, density=0.79), committee=Committee([potential, other]), calculator=tp.mmff94(), run=run, boxes=[box, box.copy()],
        rows=[{"method": m, "n_train": n, "seed": s, "force_mae": 9.0 / n, "energy_mae": 1.0 / n}
              for m in ("a", "b") for n in (2, 4) for s in (0, 1)],
        history=[{"step": k, "train_loss": 1.0 / k, "force_mae": 2.0 / k} for k in (1, 2, 3)],
        walk=np.cumsum(rng.normal(size=(400, 24, 3)), axis=0) * 0.05, forces=rng.normal(size=(24, 3)),
        energies=np.array([a.get_potential_energy() for a in frames]),
        labels=[a.get_forces() for a in frames],
    )  # fmt: skip


def _figure():
    import plotly.graph_objects as go

    return go.Figure(go.Scatter(x=[1, 2], y=[1, 2]))


def _draw(x):
    figure = _figure()
    figure.data[0].y = [x, x]
    return figure


CALLS = {  # module.function or name in tpainn_lite: a sound call, made of `things`
    "CP2KCalculator": lambda t: {"level": "water", "cutoff": 400.0},
    "Committee": lambda t: {"potentials": [t.potential, t.potential]},
    "DataCheck": None,
    "Domain": lambda t: {"committee": t.committee, "known": t.frames},
    "PaiNN": lambda t: dict(NETWORK),
    "Potential": lambda t: {"painn": t.potential.painn, "atomref": {1: -1.0, 6: -2.0, 8: -3.0}, "scale": 1.0, "metadata": {}},
    "PotentialCalculator": lambda t: {"potential": t.potential, "skin": 0.5},
    "PySCFCalculator": lambda t: {"level": "qm9", "n_threads": 1},
    "autotune": lambda t: {"potential": t.potential, "frames": t.frames, "valid": t.frames, "seed": 0, "freeze": (), "layer_decay": 1.0, "new_elements": {"Se": "O"}, **FIT},
    "check_data": lambda t: {"frames": t.frames, "potential": t.potential},
    "conformers": lambda t: {"smiles": "CCO", "n": 2, "seed": 0, "apart": 0.3},
    "delta_learn": lambda t: {"frames": t.frames, "teacher": t.calculator, "seed": 0, "start": None, **NETWORK, **FIT},
    "dimer_frames": lambda t: {"first": t.water, "second": t.water, "n_frames": 2, "contact": (1.6, 4.0), "seed": 0},
    "distinct": lambda t: {"frames": t.frames, "tolerance": 0.02},
    "diverse": lambda t: {"frames": t.frames, "n": 3, "seed": 0},
    "draw": lambda t: {"frames": t.frames, "n": 3, "seed": 0},
    "energy_drift": lambda t: {"times": np.arange(9.0), "energies": np.arange(9.0), "n_atoms": 3},
    "errors": lambda t: {"potential": t.potential, "frames": t.frames},
    "forcefield_for": lambda t: {"atoms": t.atoms},
    "gfn2_xtb": lambda t: {},
    "label": lambda t: {"frames": t.frames, "calculator": t.calculator, "path": "new.jsonl", "n_jobs": 1, "progress": False, "time_limit": 60.0},
    "label_file": lambda t: {"frames": t.frames, "calculator": t.calculator, "path": "new.extxyz", "n_jobs": 1, "progress": False},
    "label_stream": lambda t: {"frames": t.frames, "calculator": t.calculator, "n_jobs": 1, "progress": False},
    "learning_curve": lambda t: {"methods": {"constant": constant}, "pool": t.frames, "test": t.frames, "sizes": (2, 4), "seeds": (0, 1), "path": "new.json", "n_jobs": 1, "progress": False},
    "mean_error": lambda t: {"rows": t.rows, "value": "force_mae"},
    "live": lambda t: {"atoms": t.atoms, "potentials": {"a": t.potential}, "ensemble": "nvt", "temperature": 300.0, "friction": 10.0, "timestep": 0.5, "seed": 0},
    "load_molecules": lambda t: {"split": "valid"},
    "load_label_slider": lambda t: {},
    "load_pretrained": lambda t: {"recipe": "gas"},
    "export": lambda t: {"potential": t.potential, "engine": "torch-sim", "folder": "new", "start": t.atoms, "check": False},
    "liquid": lambda t: {"molecules": "CO", "n_molecules": 6, "density": 0.4, "seed": 0},
    "liquid_run": lambda t: {"start": t.methanol, "temperature": 300.0, "n_frames": 1, "spacing": 2.0, "warm_up": 2.0, "pressure": 1.0, "friction": 1.0, "timestep": 1.0, "seed": 0, "threads": 1, "labels": True, "stress": False},
    "liquid_runs": lambda t: {"molecules": "CO", "n_molecules": 64, "densities": [0.79], "temperatures": [300.0], "n_frames": 1, "n_jobs": 1, "seed": 0, "spacing": 2.0, "warm_up": 2.0},
    "load_qm9": None,
    "mmff94_liquid": lambda t: {"cutoff": 7.5},
    "openmm_teacher": None,  # tests/test_openmm_teacher.py
    "load_results": lambda t: {"name": "tour"},
    "load_scan": lambda t: {"name": "bond"},
    "load_water": lambda t: {"split": "valid", "kind": "dimer"},
    "mmff94": lambda t: {"smiles": "CCO"},
    "molecule": lambda t: {"smiles": "CCO", "seed": 0},
    "molecule_list": lambda t: {"max_heavy": 3, "exclude": ("valid",)},
    "normal_mode_frames": lambda t: {"atoms": t.atoms, "calculator": t.calculator, "temperature": 300.0, "n_frames": 2, "seed": 0},
    "pretrain": lambda t: {"frames": t.frames, "valid": t.frames, "seed": 0, **NETWORK, **FIT},
    "rattled_frames": lambda t: {"atoms": t.atoms, "amplitude": 0.05, "n_frames": 2, "seed": 0},
    "read_frames": lambda t: {"path": t.base / "labelled.extxyz", "need": ("energy", "forces")},
    "run_md": lambda t: {"atoms": t.atoms, "calculator": t.calculator, "ensemble": "nvt", "temperature": 300.0, "pressure": 1.0, "friction": 10.0, "timestep": 0.5, "n_steps": 20, "every": 10, "seed": 0, "path": "new.traj", "progress": False},
    "run_project": None,
    "shaken_molecules": lambda t: {"smiles": ["CCO"], "n_frames": 2, "temperature": (300, 1000), "seed": 0},
    "side_by_side": lambda t: {"work": pow, "jobs": [(2, 3)], "n_jobs": 1, "progress": False},
    "split_by_molecule": lambda t: {"frames": t.frames, "fractions": (0.5, 0.5), "seed": 0},
    "thermal_frames": lambda t: {"atoms": t.atoms, "calculator": t.calculator, "temperature": 300.0, "n_frames": 2, "seed": 0, "spacing": 5.0, "timestep": 0.5, "warm_up": 5.0},
    "to_graph": lambda t: {"atoms": t.atoms, "cutoff": 5.0},
    "train_from_scratch": lambda t: {"frames": t.frames, "seed": 0, **NETWORK, **FIT},
    "uff": lambda t: {"smiles": "CCO"},
    "view": lambda t: {"atoms": t.atoms, "title": "", "size": 360, "interval": 100},
    "view_side_by_side": lambda t: {"trajectories": [t.run.frames, t.run.frames], "titles": ["a", "b"], "size": 320, "interval": 100},
    "water": lambda t: {"model": "q-TIP4P/F", "cutoff": 9.0},
    "with_elements": lambda t: {"potential": t.potential, "new_elements": {"Se": "O"}},
    "water_box": lambda t: {"n_molecules": 4, "density": 0.9, "seed": 0},
    "water_clusters": lambda t: {"boxes": t.boxes, "size": 2, "n_frames": 2, "seed": 0},
    "water_run": lambda t: {"n_molecules": 64, "density": 0.8, "temperature": 300.0, "n_frames": 1, "spacing": 2.0, "warm_up": 2.0, "model": "SPC/Fw", "friction": 1.0, "timestep": 1.0, "seed": 0, "threads": 1},
    "water_runs": lambda t: {"states": [(0.8, 300)], "n_frames": 1, "n_jobs": 1, "seed": 0, "spacing": 2.0, "warm_up": 2.0},
    "write_frames": lambda t: {"path": "new.extxyz", "frames": t.frames},
    "train.training.fit": lambda t: {
        "potential": t.potential, "train": t.frames, "valid": t.frames, **FIT, "energy_weight": 0.3, "force_weight": 1.0,
        "weight_decay": 1e-4, "seed": 0, "devices": 1, "nodes": 1, "accelerator": "cpu", "ema_decay": 0.9, "patience": 2,
        "replay": t.frames, "replay_size": 2, "stress_weight": 0.0, "batch_atoms": 100, "checkpoint": "new",
    },
    "train.transfer.new_potential": lambda t: {"frames": t.frames, **NETWORK, "seed": 0, "references": "atomref", "scale": 1.0},
    "train.transfer.layer_rates": lambda t: {"potential": t.potential, "decay": 0.5},
    "model.references.rereference": lambda t: {"potential": t.potential, "frames": t.frames},
    "model.references.similar": lambda t: {"elements": [34], "known": [1, 16]},
    "model.references.fit_atomref": lambda t: {"frames": t.frames, "predicted": 0.0},
    "model.graph.to_graphs": lambda t: {"frames": t.frames, "cutoff": 5.0},
    "structures.checks.check_structure": lambda t: {"atoms": t.atoms},
    "structures.checks.check_labels": lambda t: {"frames": t.frames},
    "structures.build.torsion_frames": lambda t: {"smiles": "CCCC", "quadruple": (0, 1, 2, 3), "degrees": (60, 180), "seed": 0},
    "teachers.sample.normal_modes": lambda t: {"atoms": t.atoms, "calculator": t.calculator, "step": 0.005},
    "model.errors.energy_mae": lambda t: {"predicted": t.energies, "reference": t.energies + 1},
    "model.errors.force_mae": lambda t: {"predicted": t.labels, "reference": t.labels},
    "structures.geometry.density_of": lambda t: {"atoms": t.box},
    "simulate.observables.rdf": lambda t: {"frames": t.boxes, "pair": "OO", "r_max": 2.5, "n_bins": 20},
    "simulate.observables.mean_square_displacement": lambda t: {"positions": t.walk},
    "simulate.observables.diffusion": lambda t: {"positions": t.walk, "spacing": 50.0, "window": (1.0, 5.0), "n_blocks": 2},
    "simulate.observables.yeh_hummer": lambda t: {"temperature": 300.0, "width": 10.0, "viscosity": 0.89},
    "model.pretrained.usual_start": lambda t: {"structures": [t.water]},
    "simulate.observables.survival": lambda t: {"times": [1.0, 2.0], "broke": [True, False]},
    "simulate.observables.block_average": lambda t: {"values": np.arange(50.0), "n_blocks": 5},
    "structures.geometry.composition": lambda t: {"frames": t.frames},
    "simulate.liquid.molecules_of": lambda t: {"n_atoms": 24, "size": 3},
    "simulate.liquid.split_forces": lambda t: {"atoms": t.box, "forces": t.forces, "size": 3},
    "simulate.liquid.split_force_errors": lambda t: {"predicted": [t.forces], "frames": [_with_forces(t)], "size": 3},
    "simulate.many.run_many": lambda t: {"structures": [t.atoms, t.atoms], "potential": t.potential, "n_steps": 4, "temperature": 300.0, "timestep": 0.5, "friction": 10.0, "every": 2, "seed": 0},
    "show.plots.history": lambda t: {"runs": {"a": t.history}, "key": "train_loss"},
    "show.plots.live_history": lambda t: {"name": "a", "key": "train_loss"},
    "show.plots.parity": lambda t: {"reference": t.energies, "predictions": {"a": t.energies}, "quantity": "energy", "unit": "eV"},
    "show.plots.learning_curve": lambda t: {"rows": t.rows, "lines": {"zero": 1.0}, "value": "force_mae"},
    "show.plots.gain": lambda t: {"rows": t.rows, "method": "a", "baseline": "b", "value": "force_mae"},
    "show.plots.md_traces": lambda t: {"runs": {"a": t.run}, "quantity": "total_energy"},
    "show.plots.histogram": lambda t: {"groups": {"a": t.energies}, "x": "energy / eV", "n_bins": 5},
    "show.plots.bars": lambda t: {"categories": ["a", "b"], "groups": {"g": [1.0, 2.0]}, "x": "x", "y": "y"},
    "show.plots.lines": lambda t: {"curves": {"a": ([1, 2], [3, 4])}, "x": "x", "y": "y"},
    "show.plots.in_place": lambda t: {"figure": _figure()},
    "show.plots.panels": lambda t: {"curves": {"q": {"a": ([1, 2], [3, 4])}}, "y": "y"},
    "show.plots.survival": lambda t: {"rows": [{"method": "a", "picoseconds": 1.0, "stopped": None}] * 2},
    "show.plots.arrows": lambda t: {"symbols": ["O", "H", "H"], "positions": t.water.positions, "vectors": t.water.positions},
    "show.plots.interactive": lambda t: {"draw": _draw, "x": (0.0, 1.0, 0.1, 0.5)},
    "show.plots.states": lambda t: {"figures": {1: _figure(), 2: _figure()}, "name": "n"},
    "page.explain.ruler": lambda t: {"rows": t.rows, "method": "a", "baseline": "b"},
    "page.explain.vectors": lambda t: {"angle": 104.5, "cutoff": 1.3},
    "page.explain.label_map": lambda t: {"start": "classical"},
    "page.explain.two_knobs": lambda t: {"results": {"rows": _models()}},
    "course.teach.check": lambda t: {"exercise": "00.1", "answer": 600, "folder": _solutions().parent / "checks"},
    "course.teach.solution": lambda t: {"exercise": "00.1", "folder": _solutions()},
    "course.teach.solutions": lambda t: {"path": next(_solutions().glob("00_*.py"))},
    "course.teach.predict": lambda t: {"question": "What?", "options": ["a", "b"], "answer": "b", "because": "Count."},
    "course.teach.Receipt": lambda t: {"minutes": 1.0, "megabytes": 1000.0},
    "course.receipts.hand_in": lambda t: {"name": "Ada", "solved": ["00.1"], "folder": "new"},
    "course.receipts.read_receipt": None,
    "course.receipts.receipt_table": lambda t: {"paths": ["."]},
    "course.regrade.regrade": lambda t: {"hand_ins": [], "notebooks": _solutions().parent, "seconds": 10.0, "n_jobs": 1},
    "show.report.evaluate": lambda t: {"potential": t.potential, "frames": t.frames, "report": "new.html"},
    "load_methanol": lambda t: {"split": "valid"},
    "ErrorBars": lambda t: {"potential": t.potential, "train": t.frames, "held_out": t.frames},
    "load_reactions": lambda t: {"split": "valid"},
    "gfn1_xtb": lambda t: {},
    "EnergyFit": lambda t: {"frames": t.frames, "start": t.potential, "seed": 0},
    "gfn_ff": lambda t: {},
}  # fmt: skip
COVERED = ("plots", "teach", "observables", "liquid", "selection", "train.training.fit")
NEVER_BAD = {  # what takes anything, by intent, or looks at it later
    "course.teach.check": ("answer",),
    "model.pretrained.usual_start": ("structures",),  # `run_project` looks at them next, and names what is not sound
    "show.plots": ("title", "x", "y", "unit", "quantity", "points", "name", "figure"),
    "show.plots.live_history": ("key",),
    "course.receipts.hand_in": ("name",),
    "mmff94": ("smiles",),
    "uff": ("smiles",),
    "shaken_molecules": ("temperature",),
    "label_stream": ("progress",),
}
MAY_BE_EMPTY = (
    "distinct", "write_frames", "Domain", "course.receipts.receipt_table", "course.receipts.hand_in", "course.regrade.regrade", "show.plots.lines", "show.plots.learning_curve/lines",
    "train.training.fit/replay", "train.training.fit/valid", "autotune/valid", "pretrain/valid", "autotune/freeze", "read_frames/need",
    "label_stream", "molecule_list/exclude", "shaken_molecules", "model.graph.to_graphs", "learning_curve/methods", "learning_curve/seeds",
    "side_by_side/jobs", "autotune/new_elements", "with_elements/new_elements", "learning_curve/sizes", "water_runs/states", "structures.geometry.composition",
)  # fmt: skip
MAY_BE_INFINITE = (
    "label/time_limit",
    "distinct/tolerance",
    "conformers/apart",
    "course.teach.Receipt",
    "course.teach.check",
    "model.references.fit_atomref",
)
MAY_BE_NONE = (
    "mmff94/smiles", "uff/smiles", "CP2KCalculator/cutoff", "view_side_by_side/titles", "Potential/metadata", "learning_curve/measure",
)  # fmt: skip


def _with_forces(t):
    from ase.calculators.singlepoint import SinglePointCalculator

    box = t.box.copy()
    box.calc = SinglePointCalculator(box, energy=0.0, forces=t.forces)
    return box


def _models():
    how = dict.fromkeys(("force_mae", "deform_mae", "between_mae", "diffusion", "diffusion_error", "picoseconds"), 1.0)
    how |= {"n_molecules": 64, "r": [2.5, 2.8], "g": [0.0, 3.1]}
    return [{"bonds": b, "between": c, **how} for b in (0.0, 0.4) for c in (0.0, 0.1)]


def _solutions():
    return Path(__file__).parents[2] / "notebooks" / "solutions"


def function_of(name):
    """The function itself."""
    import tpainn_lite as tp

    module, _, plain = name.rpartition(".")
    return getattr(import_module(f"tpainn_lite.{module}") if module else tp, plain)


def called(name, arguments):
    """Call it; what is lazy is asked for one result, and a class for what it does first."""
    result = function_of(name)(**arguments)
    return list(result) if inspect.isgenerator(result) else result


class Bad:
    """A bad value with its name; ``certain``: no function may take it."""

    def __init__(self, shown, make, certain=True):
        self.shown, self.make, self.certain = shown, make, certain


def _atoms(change):
    def make(t):
        atoms = t.frames[0].copy()
        atoms.calc = t.frames[0].calc
        return change(atoms)

    return make


def _empty(_):
    from ase import Atoms

    return Atoms()


def _lost(atoms):
    atoms.positions[0, 0] = np.nan
    return atoms


def _far(atoms):
    atoms.positions[0, 0] = 1e9
    return atoms


def _doubled(atoms):
    atoms.positions[1] = atoms.positions[0]
    return atoms


def _as_list(bad):
    return Bad(f"[{bad.shown}]", lambda t: [bad.make(t)], bad.certain)


PLAIN = {
    "None": Bad("None", lambda t: None),
    "word": Bad("'word'", lambda t: "word"),
    "5": Bad("5", lambda t: 5),
    "nan": Bad("nan", lambda t: math.nan),
    "inf": Bad("inf", lambda t: math.inf),
    "-1": Bad("-1", lambda t: -1),
    "0": Bad("0", lambda t: 0, certain=False),
    "2.5": Bad("2.5", lambda t: 2.5),
    "[]": Bad("[]", lambda t: []),
    "{}": Bad("{}", lambda t: {}),
    "object": Bad("object()", lambda t: object()),
}
ATOMS = [
    Bad("no atoms", _empty), Bad("atoms at NaN", _atoms(_lost)), Bad("atoms on each other", _atoms(_doubled), False),
    Bad("an atom far away", _atoms(_far), False),
]  # fmt: skip
ROLES = {
    "int": ("None", "word", "nan", "-1", "0", "2.5", "inf"),
    "seed": ("word", "nan"),
    "float": ("None", "word", "nan", "inf", "-1", "0"),
    "text": ("None", "5"),
    "choice": ("None", "5", "word"),
    "object": ("None", "word", "5", "object"),
    "list": ("None", "5", "[]", "word"),
    "dict": ("None", "5", "[]", "{}", "word"),
    "path": ("5", "object"),
    "array": ("None", "word", "[]"),
}
CHOICES = (
    "level", "split", "recipe", "kind", "ensemble", "references", "pair", "accelerator", "model", "key", "value", "quantity",
    "smiles", "name", "method", "baseline", "exercise",
)  # fmt: skip


def role_of(parameter, value):
    """What kind of thing a sound argument is."""
    from ase import Atoms

    if isinstance(value, bool):
        return None
    if parameter == "seed":
        return "seed"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, Path) or (isinstance(value, str) and parameter in ("path", "folder", "report", "checkpoint")):
        return "path"
    if isinstance(value, str):
        return "choice" if parameter in CHOICES else "text"
    if isinstance(value, Atoms):
        return "atoms"
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Atoms):
        return "frames"
    if isinstance(value, dict):
        return "dict"
    if isinstance(value, np.ndarray):
        return "array"
    return "list" if isinstance(value, (list, tuple)) else "object"


def bad_values(role):
    """The bad values of a kind of thing."""
    if role == "atoms":
        return [PLAIN["None"], PLAIN["word"], PLAIN["5"], *ATOMS]
    if role == "frames":
        return [PLAIN["None"], PLAIN["word"], PLAIN["5"], PLAIN["[]"], *map(_as_list, [PLAIN["5"], *ATOMS])]
    if role == "array":
        return [*(PLAIN[n] for n in ROLES[role]), Bad("an array of NaN", lambda t: np.full((4, 3), np.nan), False)]
    return [PLAIN[name] for name in ROLES.get(role, ())]


def _is_certain(name, parameter, role, bad):
    """Whether no function could make sense of it."""
    place = f"{name}/{parameter}"
    for module, parameters in NEVER_BAD.items():
        if name.startswith(module) and parameter in parameters:
            return False
    if bad.shown in ("[]", "{}"):
        return not any(one in (name, place) for one in MAY_BE_EMPTY)
    if bad.shown == "None":
        return place not in MAY_BE_NONE and parameter != "n_jobs" and not _has_none(name, parameter)
    if bad.shown == "inf":
        return not any(one in (name, place) for one in MAY_BE_INFINITE)
    if bad.shown in ("-1", "0"):
        return bad.certain and role == "int" and parameter not in ("n_jobs", "answer", "correct")
    if role == "text":
        return False
    if role == "list" and bad.shown == "'word'":
        return False
    if "atoms at NaN" in bad.shown or "no atoms" in bad.shown:
        return not name.startswith(
            (
                "label",
                "write_frames",
                "view",
                "draw",
                "split_by_molecule",
                "composition",
                "structures.geometry.composition",
                "model.potential.composition",
            )
        )
    return bad.certain


def _has_none(name, parameter):
    """Whether None is its default: not given."""
    found = inspect.signature(function_of(name)).parameters.get(parameter)
    return found is None or found.default is None


@cache
def attacks():
    """[(function, parameter, number of a bad value)]: every one, in the order of `CALLS`."""
    import json

    listed = json.loads((Path(__file__).parent / "parameters.json").read_text())
    places = [(name, p, role) for name, roles in listed.items() for p, role in roles.items()]
    ways = [(place, range(len(bad_values(place[2])))) for place in places]
    return [(*place[:2], k) for turn, (place, ks) in enumerate(ways) for k in _some(ks, turn)]


def _some(values, turn):
    """Three of them, others for every turn."""
    return sorted({values[(turn + 2 * k) % len(values)] for k in range(3)}) if values else []


def functions(number, rng, base):
    """One bad argument for one function."""
    name, parameter, k = attacks()[number]
    t = things(base)
    arguments = CALLS[name](t)
    role = role_of(parameter, arguments[parameter])
    bad = bad_values(role)[k]
    arguments[parameter] = bad.make(t)
    refuse = _is_certain(name, parameter, role, bad)
    files = ("new*", "new/*") if not refuse else ()
    keeps = ("new",) if parameter not in ("path", "folder", "report", "checkpoint") else ()
    return Case(
        f"{name}({parameter}={bad.shown})",
        lambda: called(name, arguments),
        refuse,
        (),
        (*files, "new/*", "new*"),
        keeps,
    )


@cache
def sound_calls():
    return [name for name, call in CALLS.items() if call]


def sound(number, rng, base):
    """The sound call of a function, without which a bad argument would show nothing."""
    name = sound_calls()[number]
    return Case(f"{name}(…)", lambda: called(name, CALLS[name](things(base))), writes=("new*", "new/*"))


def uncovered():
    """Public functions for which no sound call is known here."""
    import tpainn_lite as tp

    wanted = [name for name in tp.__all__ if not inspect.ismodule(getattr(tp, name))]
    for module in ("show.plots", "page.explain", "course.teach", "simulate.observables", "simulate.liquid"):
        members = vars(import_module(f"tpainn_lite.{module}")).items()
        wanted += [
            f"{module}.{name}" for name, thing in members
            if inspect.isfunction(thing) and thing.__module__ == f"tpainn_lite.{module}" and not name.startswith("_")
        ]  # fmt: skip
    covered = {*CALLS, *(key.rpartition(".")[2] for key in CALLS)}
    return [name for name in wanted if name not in covered and name.rpartition(".")[2] not in covered]


def write_parameters(base):
    """Write down the parameters and what they are, which number the cases."""
    import json

    t = things(base)
    listed = {
        name: {p: role_of(p, v) for p, v in call(t).items() if role_of(p, v)} for name, call in CALLS.items() if call
    }
    (Path(__file__).parent / "parameters.json").write_text(json.dumps(listed, indent=1) + "\n")


KINDS = {"sound": (len(sound_calls()), 0, sound)}
if (Path(__file__).parent / "parameters.json").exists():
    KINDS["functions"] = (len(attacks()), 40, functions)


def main():
    """Write `parameters.json` again."""
    import shutil
    import tempfile

    from bases import make_bases

    base = Path(tempfile.mkdtemp())
    try:
        make_bases(base, set())
        write_parameters(base)
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
