"""Liquid water: error against the number of DFT frames, by where a potential starts, inside and between molecules.

    python benchmarks/water.py                    # three hours or so on 2 cores; resumes run by run
    python benchmarks/water.py --case curve --methods tpainn scratch_atomref --sizes 10 100

| case    | question                                                                                                 |
|---------|----------------------------------------------------------------------------------------------------------|
| curve   | the learning curve: T-PaiNN, starts from other teachers, from scratch, Δ-learning                         |
| trials  | other batches and learning rates at the same cost, judged on the DFT set's `valid`                        |
| rounds  | the same number of labels from the first round of sampling alone, from both, and picked by disagreement  |

Starts: `load_pretrained("water")` (``tpainn``), `"water_xtb"` (``tpainn_xtb``), `"water_iamoeba"` (``tpainn_iamoeba``)
and, smaller, kept in ``build/water/`` and compared at two numbers of labels: q-TIP4P/F (``tpainn_qtip4pf``), the same
boxes labelled by iAMOEBA (``tpainn_iamoeba_short``), SPC/Fw, the poor teacher (``tpainn_spcfw``), single q-TIP4P/F
molecules (``tpainn_monomer``), and q-TIP4P/F with its labels dealt to wrong frames (``tpainn_shuffled``, the negative
control).  ``tpainn_gentle`` is ``tpainn`` whose deeper layers learn more slowly.
Baselines: from scratch with one fitted constant (``scratch_atomref``), as all of them have, and Δ-learning on q-TIP4P/F
(``delta``) and on iAMOEBA (``delta_iamoeba``); and on GFN2-xTB, from iAMOEBA (``delta_tuned_xtb``).  ``committee``: the
mean of T-PaiNN and of Δ-learning on iAMOEBA, each from iAMOEBA and from GFN2-xTB; ``committee_xtb``: of these four and
of ``delta_tuned_xtb``; ``distilled``: one network, taught by the four on 360 classical boxes.  Untrained: ``constant``,
the mean energy and no forces; the classical models themselves, ``force_field`` (q-TIP4P/F) and ``force_field_iamoeba``;
``pretrained``, ``pretrained_xtb`` and ``pretrained_iamoeba``.  The pool: the liquid in the DFT set's `train`, drawn
evenly over its trajectories; subsets of the test: the DFT set's `test`, later times of the same densities (``later``)
and densities of its own (``new_densities``); and `test_large`, 64 H2O.
Writes ``data/results/water.json``: energies in meV/atom, forces in meV/Å (also what pushes and turns whole molecules,
``between``, and what deforms them), stress in GPa.
"""

import argparse
import itertools
import os
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.mixing import AverageCalculator
from ase.units import GPa
from kept import kept
from recipes import NETWORK
from results import earlier, merged, save_results
from tour import shuffled

import tpainn_lite as tp
from tpainn_lite.model.errors import errors
from tpainn_lite.simulate.liquid import split_force_errors
from tpainn_lite.train.curves import learning_curve

BUILD = Path(__file__).resolve().parents[1] / "build" / "water"
STATES = [(d, t) for d in (0.85, 0.95, 1.05, 1.15) for t in (300, 400, 600)]  # g/cm³, K
N_FRAMES = 30  # of each state
PRETRAIN = {"steps": 4000, "batch_size": 1, "learning_rate": 2e-3, "check_every": 500}
SIZES, COMPARED_AT = (5, 10, 25, 50, 100, 152), (10, 100)
GENTLE = {"layer_decay": 0.3}
DISTIL = {"steps": 10_000, "learning_rate": 1e-3, "batch_size": 1}
DFT_SHARE = 9  # boxes of the committee's labels for one of DFT's
N_ROUNDS, N_TRIALS = 50, 25  # labels in ``rounds``, in ``trials``


# --- frames ---


@cache
def data():
    """(pool, {subset: test frames})"""
    pool, test = tp.load_water("train", "liquid"), tp.load_water("test", "liquid")
    known = {atoms.info["density"] for atoms in pool}
    tests = {"later": [a for a in test if a.info["density"] in known]}
    tests["new_densities"] = [a for a in test if a.info["density"] not in known]
    return pool, tests | {"test_large": tp.load_water("test_large")}


# --- starts ---


def boxes(model):
    """Labelled boxes of 32 H2O, which are narrower than what `LOCAL` charges need."""
    settings = {"n_molecules": 32, "model": model, "stress": True, "spacing": 200, "n_jobs": 2}
    return tp.water_runs(STATES, N_FRAMES, seed=0, **settings)


def unlabelled():
    """Classical boxes for a committee to label."""
    return boxes("q-TIP4P/F")


def monomers():
    """Every fourth molecule of the same boxes in a box of its own: the same bonds and angles, no neighbours."""
    frames = [alone(box, k) for box in boxes("q-TIP4P/F") for k in range(0, len(box), 12)]
    return tp.label(frames, tp.water(), progress=False)


def alone(box, first):
    """The molecule of a box whose O is atom `first`."""
    atoms = Atoms("OH2", cell=[10.0] * 3, pbc=True)
    atoms.positions[1:] = box.get_distances(first, [first + 1, first + 2], mic=True, vector=True)
    atoms.center()
    return atoms


STARTS = {
    "qtip4pf": partial(boxes, "q-TIP4P/F"),
    "iamoeba_short": lambda: tp.label(boxes("q-TIP4P/F"), tp.water("iAMOEBA"), progress=False),
    "spcfw": partial(boxes, "SPC/Fw"),
    "monomer": monomers,
    "shuffled": lambda: shuffled(boxes("q-TIP4P/F"), "temperature"),
}


def start(name):
    """The pretrained potential of this name: shipped, or made if it is not there."""
    if name not in STARTS:
        return tp.load_pretrained(name)
    settings = {**NETWORK, **PRETRAIN, **({"batch_size": 32} if name == "monomer" else {})}

    def make(path):
        tp.pretrain(STARTS[name](), **settings, checkpoint=BUILD / f"run-{name}", progress=False).save(path)

    path = BUILD / f"{name}.safetensors"
    return kept(path, tp.Potential.load, make, frames=STARTS[name], settings=settings)


# --- methods ---


def settings(n, from_scratch):
    """Steps, batch and learning rate for so many frames; from scratch gets twice the steps."""
    steps = round(400 * (1 + from_scratch) * n**0.5)
    return {"steps": steps, "learning_rate": 1e-3, "batch_size": 1, "progress": False}


def scratch(frames, seed, **changed):
    torch.set_num_threads(1)
    return tp.train_from_scratch(frames, seed=seed, **NETWORK, **(settings(len(frames), True) | changed))


def delta(frames, seed, model="q-TIP4P/F", name=None):
    torch.set_num_threads(1)
    begun = NETWORK if name is None else {"start": start(name)}
    teacher = KeptXTB() if model == "GFN2-xTB" else tp.water(model)
    return tp.delta_learn(frames, teacher, seed=seed, **begun, **settings(len(frames), name is None))


class KeptXTB(Calculator):
    """GFN2-xTB that keeps its answers in a file: some seconds a box, and all seeds ask about the same ones."""

    implemented_properties = ("energy", "forces", "stress")
    level = "GFN2-xTB"

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        (labelled,) = tp.label([atoms], tp.gfn2_xtb(), path=BUILD / "gfn2_xtb.jsonl", progress=False)
        self.results = dict(labelled.calc.results)


def committee(frames, seed, by_xtb=False):
    """The mean of potentials that different teachers have pretrained, as an ASE calculator."""
    starts = ("water_iamoeba", "water_xtb")
    tuned = [tp.PotentialCalculator(autotune(frames, seed, name)) for name in starts]
    pairs = [("iAMOEBA", name) for name in starts] + [("GFN2-xTB", starts[0])] * by_xtb
    mean = AverageCalculator([*tuned, *(delta(frames, seed, *pair).calculator() for pair in pairs)])
    mean.level = f"mean of {len(tuned) + len(pairs)} potentials"
    return mean


def distilled(frames, seed):
    """One network that has learnt from the committee's labels of classical boxes, and from the DFT labels."""
    labelled = tp.label(unlabelled(), committee(frames, seed), progress=False)
    often = frames * round(len(labelled) / (DFT_SHARE * len(frames)))
    torch.set_num_threads(1)
    return tp.autotune(start("water_iamoeba"), labelled + often, seed=seed, progress=False, **DISTIL)


def autotune(frames, seed, name, **changed):
    torch.set_num_threads(1)
    return tp.autotune(start(name), frames, seed=seed, **(settings(len(frames), False) | changed))


def tuned(name, **changed):
    """Function of (frames, seed) that autotunes the start of this name."""
    return partial(autotune, name=name, **changed)


EVERYWHERE = {
    "tpainn": tuned("water"),
    "tpainn_xtb": tuned("water_xtb"),
    "tpainn_iamoeba": tuned("water_iamoeba"),
    "scratch_atomref": scratch,
}
COMPARED = {
    "delta": delta,
    "delta_iamoeba": partial(delta, model="iAMOEBA"),
    "delta_tuned_xtb": partial(delta, model="GFN2-xTB", name="water_iamoeba"),
    "committee": committee,
    "committee_xtb": partial(committee, by_xtb=True),
    "distilled": distilled,
    "tpainn_gentle": tuned("water", **GENTLE),
    **{f"tpainn_{name}": tuned(name) for name in STARTS},
}


def calculator_of(model):
    """An ASE calculator that answers as a model does: a potential, Δ-learning, or a calculator already."""
    if isinstance(model, tp.Potential):
        return tp.PotentialCalculator(model)
    return model.calculator() if hasattr(model, "calculator") else model


def measure(model, frames, size=3):
    """Errors in all, inside and between molecules of ``size`` atoms, and of the stress."""
    calculator = calculator_of(model)
    energies, forces, off = [], [], []
    for atoms in frames:
        copy = atoms.copy()
        copy.calc = calculator
        forces.append(copy.get_forces())
        energies.append(copy.get_potential_energy())
        off.append(np.abs(copy.get_stress() - atoms.get_stress()) / GPa)
    found = errors(SimpleNamespace(predict=lambda _: (np.array(energies), forces)), frames)
    return found | split_force_errors(forces, frames, size) | {"stress_mae": float(np.mean(off))}


# --- cases ---


def curve(arguments):
    """Rows of the learning curves, and of what needs no training."""
    pool, tests = data()
    rows = untrained_rows(pool, tests)
    for ways, sizes in ((EVERYWHERE, SIZES), (COMPARED, COMPARED_AT)):
        chosen = {name: train for name, train in ways.items() if name in arguments.methods}
        for name in chosen.keys() & {f"tpainn_{name}" for name in STARTS}:
            start(name.removeprefix("tpainn_"))  # made before processes share it
        if chosen:
            rows += run("curve", chosen, pool, tests, arguments.sizes or sizes, arguments)
    return rows


def trials(arguments):
    """Rows of other batches, learning rates and numbers of steps, on frames that nothing is tested on."""
    ways = {}
    for batch, rate in itertools.product((4, 1), (5e-4, 1e-3, 3e-3)):
        for name, train, from_scratch in (("tpainn", tuned("water"), False), ("scratch_atomref", scratch, True)):
            steps = settings(N_TRIALS, from_scratch)["steps"] // batch
            way = f"{name}, {steps} steps of {batch}, learning rate {rate:g}"
            ways[way] = partial(train, steps=steps, batch_size=batch, learning_rate=rate)
    pool, _ = data()
    return run("trials", ways, pool, {"valid": tp.load_water("valid", "liquid")}, (N_TRIALS,), arguments)


def run(name, methods, pool, tests, sizes, arguments):
    """`learning_curve` that goes on where it was interrupted."""
    seeds, path = range(arguments.seeds), BUILD / f"{name}.json"
    return learning_curve(methods, pool, tests, sizes, seeds, path, n_jobs=arguments.jobs, measure=measure)


def untrained_rows(pool, tests):
    """Rows of the mean energy and no forces, of classical models, and of shipped networks with one constant fitted."""
    mean = np.mean([atoms.get_potential_energy() / len(atoms) for atoms in pool])

    def nothing(frames):
        return [mean * len(atoms) for atoms in frames], [0 * atoms.positions for atoms in frames]

    starts = {f"pretrained{which}": tp.load_pretrained(f"water{which}") for which in ("", "_xtb", "_iamoeba")}
    for potential in starts.values():
        tp.rereference(potential, pool)
    rows = []
    for subset, frames in tests.items():
        row = {"n_train": 0, "seed": 0, "subset": subset}
        constant = errors(SimpleNamespace(predict=nothing), frames) | split_force_errors(nothing(frames)[1], frames)
        rows.append({"method": "constant", **row, **constant})
        for name, model in (("force_field", "q-TIP4P/F"), ("force_field_iamoeba", "iAMOEBA")):
            rows.append({"method": name, **row, **measure(tp.water(model), frames)})
        rows += [{"method": name, **row, **measure(potential, frames)} for name, potential in starts.items()]
    return rows


def rounds(arguments):
    """Rows of what the second round of sampling, by the first potential's own MD, is worth."""
    pool, tests = data()
    first = [atoms for atoms in pool if not atoms.info["trajectory"].startswith("second-")]
    train = EVERYWHERE["tpainn_iamoeba"]

    def picked(frames, seed):
        """Half drawn from the first round, half picked from both by a committee of three."""
        few = tp.draw(first, len(frames) // 2, seed)
        committee = tp.Committee([train(few, 100 * k + seed) for k in range(3)])
        taken = {atoms.info["id"] for atoms in few}
        left = [atoms for atoms in pool if atoms.info["id"] not in taken]
        return train(few + committee.pick(left, len(frames) - len(few), seed), seed)

    everything = [atoms for frames in tests.values() for atoms in frames]
    second = [atoms for atoms in everything if atoms.info["trajectory"].startswith("second-")]
    names = {atoms.info["id"] for atoms in second}
    by_round = {"first_round": [a for a in everything if a.info["id"] not in names], "second_round": second}
    rows = run("rounds, first", {"first round": train}, first, by_round, (N_ROUNDS,), arguments)
    both = {"both rounds": train, "picked by a committee": picked}
    return rows + run("rounds, both", both, pool, by_round, (N_ROUNDS,), arguments)


CASES = {"trials": trials, "curve": curve, "rounds": rounds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=[*EVERYWHERE, *COMPARED], default=[*EVERYWHERE, *COMPARED])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    rows, _ = earlier("water")
    for name in arguments.case:
        new = [{"case": name, **row} for row in CASES[name](arguments)]
        key = ("case", "method", "n_train", "seed", "subset")
        rows = merged(rows, new, key)
        spent = {tuple(row[k] for k in key[:-1]): row.get("seconds", 0) for row in rows}
        save_results("water", rows, "python benchmarks/water.py", sum(spent.values()), ["torch", "openmm"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
