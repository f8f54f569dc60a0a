"""Where does "25×" come from?  Error against the number of DFT labels, for T-PaiNN and all it is to be compared with.

    python benchmarks/learning_curve_qm9.py                      # both tasks; some hours on 2 cores; resumes run by run
    python benchmarks/learning_curve_qm9.py --task qm9_energy --sizes 100 --seeds 1

Task ``molecule_forces``: our own DFT set (B3LYP/6-31G(2df,p)), energies and forces; tested on molecules that are in no
training and no pretraining, up to six heavy atoms (`test`) and seven to nine (`test_large`, out of the range of the
training).
Task ``qm9_energy``: electronic energies of the real QM9, relaxed molecules of H, C, N, O, no forces (so little F is in
QM9 that a small draw may miss it, and nobody could say its energy).  ``source`` "QM9": a uniform sample, fetched.
"QM9, a part": the subset in the folder ``TPAINN_REFERENCE_DATA``, where that is set; its test molecules are a nearly
uniform sample of QM9, but what is trained on is not: isomers of a few formulas and small molecules are many in it, for
all methods alike.  Test molecules with the bonds of one in our list of molecules to pretrain on are left out.

Methods: ``composition`` (best energy per element, no forces), ``force_field`` (MMFF94), ``gfn_ff``, the mean of these
two (``two_force_fields``) and ``gfn2_xtb`` as they are, from scratch with naive and with fitted reference energies,
Δ-learning on MMFF94 (``delta``; from
`load_pretrained("gas")` ``delta_shipped``) and on GFN2-xTB (``delta_xtb``; from `load_pretrained("gas_xtb")`
``delta_shipped_xtb``, and on GFN1-xTB ``delta_shipped_gfn1``), which ask their teacher at every prediction too, the
mean of Δ-learning on both of these semi-empirical teachers from both `gas` and `gas_xtb` (``mean_delta``), the mean of
three that know no more than MMFF94, T-PaiNN from `gas` and from `gas_wide` and ``delta_shipped`` (``mean_classical``),
and T-PaiNN from the starts of `study_starts.py`: ``tpainn_mmff94`` and so on,
``tpainn_shuffled`` the negative control, ``tpainn_shipped``, ``tpainn_shipped_xtb`` and ``tpainn_shipped_wide_xtb``
from `load_pretrained`, ``tpainn_pool`` from the second after GFN2-xTB has labelled the task's own structures. For QM9
our own DFT set may be one more rung before QM9's labels: after ``tpainn_pool``'s start, or alone (``scratch_dft``);
and ``mean_pool`` is the mean of ``tpainn_pool`` and of ridge regression on its start's features (`closed_form.py`);
``delta_fit`` is Δ-learning on GFN2-xTB in closed form, with `tp.EnergyFit` and the features of `gas_xtb`, and
``delta_fit_mean`` the mean of four such fits: on GFN2-xTB and on GFN1-xTB, with the features of `gas_xtb` and of
`gas_wide_xtb`. Teachers are compared with 50 labels and with 100 (`sizes_of`). From scratch gets 1.7 to 3.3 times the
steps. Seeds change the labels drawn and the order of training, and from scratch the first weights; the starts are made
once. ``--tune`` compares steps and learning rates, nine trials for each of three ways, with 50 labels of our own set
on its `valid` molecules and with 100 energies of QM9 on others of its training part
(``learning_curve_settings.json``); Δ-learning borrows what is best from scratch. What is kept in ``build/study/`` does
not know the settings that it was made with: remove it when they change.
Writes ``data/results/learning_curve_qm9.json``.
"""

import argparse
import itertools
import os
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from closed_form import RidgePotential
from recipes import NETWORK, two_force_fields
from results import earlier, merged, save_results
from study_data import TASKS, held_out
from study_starts import BUILD, SHIPPED, start

import tpainn_lite as tp
from tpainn_lite.model.errors import energy_mae, errors
from tpainn_lite.model.references import fit_atomref
from tpainn_lite.train.curves import learning_curve

SIZES = {"molecule_forces": (10, 50, 200, 1000), "qm9_energy": (10, 30, 100, 300, 1000, 3000)}
TEACHERS = ("uff", "xtb", "energies", "few")  # compared at one size alone
COMPARED_AT = {"molecule_forces": (50,), "qm9_energy": (100,)}
LESSER = ("mmff94", "ladder", "shuffled")  # a part of the shipped starts' training, or of their sense
LARGEST = {"molecule_forces": 1000, "qm9_energy": 300}  # number of labels for these
NAIVE = ("scratch_none", "scratch_mean")  # their errors are hundreds of eV: a point a decade will do
REFERENCES = {"molecule_forces": ("atomref",), "qm9_energy": ("none", "mean", "atomref")}
TRIALS = {  # learning rates
    "tpainn_mmff94": (5e-4, 1e-3, 2e-3),
    "tpainn_pool": (2e-4, 5e-4, 1e-3),
    "scratch_atomref": (1e-3, 3e-3, 6e-3),
}
NEAR = {  # what a start that is near already, or has seen the level of the labels, gets instead: smaller steps
    "qm9_energy": {name: {"learning_rate": 5e-4} for name in ("pool", "dft", "dft_alone")}
}
ALONE = {"force_field": tp.mmff94, "gfn_ff": tp.gfn_ff, "two_force_fields": two_force_fields, "gfn2_xtb": tp.gfn2_xtb}
KEY = ("task", "source", "method", "n_train", "seed", "steps", "learning_rate", "subset")  # what makes a row
FACTORS = (0.5, 1, 2)  # of the usual number of steps


# --- methods ---


def settings_of(task, n, from_scratch):
    """Steps, batch, learning rate and weights of the loss for so many labels."""
    steps = np.clip(150 * n**0.5, 1000, 5000) if from_scratch else np.clip(60 * n**0.5, 300, 3000)
    chosen = {"steps": int(steps), "batch_size": min(n, 10 if n < 200 else 20), "progress": False}
    chosen["learning_rate"] = 3e-3 if from_scratch and task == "molecule_forces" else 1e-3
    return chosen | ({"force_weight": 0.0, "energy_weight": 1.0} if task == "qm9_energy" else {})


def methods_of(task):
    """{method: function of (frames, seed)}"""
    found = {f"scratch_{kind}": scratch_way(task, kind) for kind in REFERENCES[task]}
    if task == "molecule_forces":  # MMFF94 needs bonds, which QM9's structures have not
        found["delta"] = delta_way(task, tp.mmff94)
        found["delta_shipped"] = delta_way(task, tp.mmff94, "shipped")
        classical = [tuned_way(task, name) for name in ("shipped", "shipped_wide")]
        found["mean_classical"] = mean_way(*classical, found["delta_shipped"])
    found["delta_xtb"] = delta_way(task, tp.gfn2_xtb)
    found["delta_shipped_xtb"] = delta_way(task, tp.gfn2_xtb, "shipped_xtb")
    found["delta_shipped_gfn1"] = delta_way(task, tp.gfn1_xtb, "shipped_xtb")
    teachers, starts = (tp.gfn2_xtb, tp.gfn1_xtb), ("shipped_xtb", "shipped")
    found["mean_delta"] = mean_way(*(delta_way(task, *pair) for pair in itertools.product(teachers, starts)))
    found |= {f"tpainn_{name}": tuned_way(task, name) for name in (*TEACHERS, *LESSER, *SHIPPED, "pool")}
    if task == "qm9_energy":
        found["mean_pool"] = mean_way(found["tpainn_pool"], ridge_way(task, "pool"))
        fits = [fit_way(task, *pair) for pair in itertools.product(("shipped_xtb", "shipped_wide_xtb"), teachers)]
        found |= {"delta_fit": fits[0], "delta_fit_mean": mean_way(*fits)}
        found |= {"tpainn_dft": tuned_way(task, "dft"), "scratch_dft": tuned_way(task, "dft_alone")}
    return found


def sizes_of(task, method):
    """The numbers of labels at which the study asks about a method."""
    name = method.removeprefix("tpainn_")
    if name in (*TEACHERS, "scratch_dft", "mean_pool", "delta_shipped", "mean_classical"):
        return COMPARED_AT[task]
    if name in NAIVE:
        return tuple(n for n in SIZES[task] if n in (10, 100, 1000))
    return tuple(n for n in SIZES[task] if n <= LARGEST[task] or name not in LESSER)


def start_of(task, name):
    """The pretrained potential of this name; the one that saw the structures of the pool is another for each task."""
    return start(f"pool_{task}" if name == "pool" else name)


def make_starts(task, methods):
    """Make what these methods start from, before processes share it."""
    for method in methods:
        way, _, name = method.partition("_")
        if method == "mean_pool":
            start_of(task, "pool")
        elif way == "tpainn":
            start_of(task, name)
        elif method == "scratch_dft":
            start("dft_alone")


def scratch_way(task, references, **changed):
    """Function of (frames, seed) that trains from scratch; ``changed``: other settings."""

    def train(frames, seed):
        torch.set_num_threads(1)
        settings = {**NETWORK, **settings_of(task, len(frames), from_scratch=True), **changed}
        return tp.train_from_scratch(frames, seed=seed, references=references, **settings)

    return train


def delta_way(task, teacher, name=None):
    """Function of (frames, seed) that learns the difference from this teacher, who is asked at every prediction too;
    from scratch, or from the start of this ``name`` with the learning rate that `tp.delta_learn` takes then."""

    def train(frames, seed):
        torch.set_num_threads(1)
        settings = settings_of(task, len(frames), from_scratch=True)
        if name is None:
            return tp.delta_learn(frames, teacher(), seed=seed, **NETWORK, **settings)
        del settings["learning_rate"]
        return tp.delta_learn(frames, teacher(), seed=seed, start=start_of(task, name), **settings)

    return train


def mean_way(*ways):
    """Function of (frames, seed) that trains in each of these ways, and predicts the mean of what they say."""

    def train(frames, seed):
        members = [way(frames, seed) for way in ways]

        def predict(asked):
            energies, forces = zip(*(member.predict(asked) for member in members), strict=True)
            known = all(each is not None for each in forces)
            mean = [np.mean(each, axis=0) for each in zip(*forces, strict=True)] if known else None
            return np.mean(energies, axis=0), mean

        return SimpleNamespace(predict=predict)

    return train


def ridge_way(task, name):
    """Function of (frames, seed) that fits the rest of the energy to the features of the start of this name."""

    def train(frames, seed):
        torch.set_num_threads(1)
        return RidgePotential(start_of(task, name), frames)

    return train


def fit_way(task, name, teacher):
    """Function of (frames, seed) that fits DFT minus this teacher to the features of the start of this name."""

    def train(frames, seed):
        torch.set_num_threads(1)
        return tp.EnergyFit(frames, start_of(task, name), Remembering(teacher()), seed)

    return train


class Remembering(Calculator):
    """A teacher that is asked once for each structure, although all members of a mean want it."""

    implemented_properties = ("energy", "forces")
    said: ClassVar = {}  # {(level, structure): labels}

    def __init__(self, teacher):
        super().__init__()
        self.teacher, self.level = teacher, teacher.level

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        """Its labels, kept in this process."""
        super().calculate(atoms, properties, system_changes)
        key = self.level, atoms.numbers.tobytes(), atoms.positions.tobytes()
        if key not in self.said:
            alone = Atoms(atoms.numbers, atoms.positions)
            forces = self.teacher.get_forces(alone)
            self.said[key] = {"energy": self.teacher.get_potential_energy(alone), "forces": forces}
        self.results = dict(self.said[key])


def tuned_way(task, name, **changed):
    """Function of (frames, seed) that autotunes the start of this name; ``changed``: other settings."""

    def train(frames, seed):
        torch.set_num_threads(1)
        near = NEAR.get(task, {}).get(name, {})
        settings = {**settings_of(task, len(frames), from_scratch=False), **near, **changed}
        return tp.autotune(start_of(task, name), frames, seed=seed, **settings)

    return train


def measure(model, frames):
    """`errors`, and the energy error of whole molecules in meV."""
    predicted = model.predict(frames)
    found = errors(SimpleNamespace(predict=lambda _: predicted), frames)
    reference = np.array([atoms.get_potential_energy() for atoms in frames])
    return found | {"molecule_energy_mae": energy_mae(predicted[0], reference, np.ones(len(frames)))}


# --- the study ---


def curve(name, methods, pool, tests, sizes, seeds, jobs, measured=measure):
    """`learning_curve` that goes on where it was interrupted."""
    path = BUILD / f"{name}.json"
    return learning_curve(methods, pool, tests, sizes, range(seeds), path, n_jobs=jobs, measure=measured)


def untrained_rows(task, pool, tests):
    """Rows of what needs no network: the best fit of the composition, and MMFF94 as it is."""
    atomref, rows = fit_atomref(pool), []
    for subset, frames in tests.items():
        reference = np.array([atoms.get_potential_energy() for atoms in frames])
        fitted = np.array([sum(atomref[z] for z in atoms.numbers) for atoms in frames])
        row = {"method": "composition", "n_train": len(pool), "seed": 0, "subset": subset}
        row["energy_mae"] = energy_mae(fitted, reference, [len(atoms) for atoms in frames])
        row["molecule_energy_mae"] = energy_mae(fitted, reference, np.ones(len(frames)))
        if task == "molecule_forces":
            row["force_mae"] = 1e3 * float(np.abs(np.concatenate([a.get_forces() for a in frames])).mean())
            for method, teacher in ALONE.items():
                alone = {"method": method, "n_train": 0, "seed": 0, "subset": subset}
                rows.append(alone | errors(teacher(), frames))
        rows.append(row)
    return rows


def study(task, sizes, seeds, methods, jobs):
    """All rows of one task; ``sizes``: instead of `sizes_of`."""
    source, pool, tests = TASKS[task]()
    tested = ", ".join(f"{len(frames)} in {name}" for name, frames in tests.items())
    atomref = fit_atomref(pool)
    left = [atoms.get_potential_energy() - sum(atomref[z] for z in atoms.numbers) for atoms in pool]
    print(f"{task}: {len(pool)} frames to draw from; tested on {tested}; ", end="")
    print(f"composition leaves {np.std(left):.2f} eV", flush=True)
    chosen = {name: train for name, train in methods_of(task).items() if name in methods}
    make_starts(task, chosen)
    together = {}  # methods by the sizes that they are asked about
    for name, train in chosen.items():
        together.setdefault(tuple(sizes or sizes_of(task, name)), {})[name] = train
    rows = []
    for wanted, ways in together.items():
        rows += curve(f"{task}, {source}", ways, pool, tests, wanted, seeds, jobs)
    return [{"task": task, "source": source, **row} for row in [*untrained_rows(task, pool, tests), *rows]]


def tune(task, seeds, jobs):
    """Errors on held-out frames for every trial."""
    n, pool, valid = held_out(task)
    make_starts(task, TRIALS)
    methods, changes = {}, {}
    for method, rates in TRIALS.items():
        way, name = method.split("_")
        way = {"scratch": scratch_way, "tpainn": tuned_way}[way]
        usual = settings_of(task, n, way is scratch_way)["steps"]
        for steps, rate in itertools.product((int(usual * factor) for factor in FACTORS), rates):
            trial = f"{method}, {steps} steps, {rate:g}"
            changes[trial] = {"method": method, "steps": steps, "learning_rate": rate}
            methods[trial] = way(task, name, steps=steps, learning_rate=rate)
    rows = curve(f"settings, {task}", methods, pool, {"valid": valid}, (n,), seeds, jobs)
    return [{"task": task, **row, **changes[row["method"]]} for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    known = list(dict.fromkeys(name for task in SIZES for name in methods_of(task)))
    parser.add_argument("--methods", nargs="+", choices=known, default=known)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tune", action="store_true", help="compare settings on the valid molecules instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    name, command = "learning_curve_qm9", "python benchmarks/learning_curve_qm9.py"
    if arguments.tune:
        name, command = "learning_curve_settings", f"{command} --tune"
    for task in arguments.task:
        if arguments.tune:
            new = tune(task, arguments.seeds, arguments.jobs)
        else:
            new = study(task, arguments.sizes, arguments.seeds, arguments.methods, arguments.jobs)
        rows, _ = earlier(name)  # only now: other tasks may have been saved meanwhile
        rows = merged(rows, new, KEY)
        spent = {tuple(row.get(k) for k in KEY[:-1]): row.get("seconds", 0) for row in rows}
        save_results(name, rows, command, sum(spent.values()), ["torch", "rdkit"], 1, network=NETWORK)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
