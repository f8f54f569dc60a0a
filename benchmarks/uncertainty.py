"""Do error bars hold where they are needed, and does it pay to label what a committee disagrees about?

    python benchmarks/uncertainty.py                # half an hour or so on 2 cores; resumes run by run
    python benchmarks/uncertainty.py --case coverage --sizes 50

| case     | question                                                                                                |
|----------|---------------------------------------------------------------------------------------------------------|
| coverage | 90 % intervals of forces and energies: how many errors lie within, how wide they are                      |
| picking  | labels picked where a committee disagrees, by diversity, and at random: which give the lower error       |

``coverage``: T-PaiNN from `gas_xtb`, autotuned on labels of our DFT set below 600 K.  How large errors are is learnt
from twenty labelled frames of other molecules (`valid`, below 600 K too), as split conformal prediction does it with
normalised residuals (Lei et al. 2018, doi:10.1080/01621459.2017.1307116); tested on frames of still other molecules
(``alike``), on larger molecules (``larger``) and on frames above 800 K (``hotter``).  What is normalised by:

* ``one width``: nothing; every error is taken for as large as any other;
* ``same labels``, ``other labels``, ``other starts``: the spread of four members, which differ in the order of
  training; in a fifth of the labels left out; in the start too (two from `gas`);
* ``last layer``: one potential; how far the last layer's weights could change without any training label noticing
  (`tpainn_lite.ErrorBars`).

``picking``: 20 frames at random, then 30 more of 400, and a potential trained on all 50; five draws, tested on all
frames of `test`.
Writes ``data/results/uncertainty.json``.
"""

import argparse
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from learning_curve_qm9 import tuned_way
from results import earlier, merged, save_results

import tpainn_lite as tp
from tpainn_lite.model.error_bars import LastLayer, at_least, quantile, relative
from tpainn_lite.train.curves import learning_curve

BUILD = Path(__file__).resolve().parents[1] / "build" / "uncertainty"
TASK, COVERAGE, N_KNOWN, MEMBERS = "molecule_forces", 0.9, 20, 4
COLD, HOT = 600.0, 800.0  # K
SIZES = (50, 200)
FIRST, MORE, POOL, DRAWS = 20, 30, 400, 5  # of ``picking``
KEY = ("case", "method", "n_train", "seed", "subset")  # what makes a row


# --- spreads ---


class Spread:
    """The mean of several potentials; the standard deviation of what they say."""

    def __init__(self, potentials):
        self.potentials = potentials

    def predict(self, frames):
        """Energies (n,) in eV, forces [(N, 3)] in eV/Å, and the spread of both."""
        energies, forces = zip(*(potential.predict(frames) for potential in self.potentials), strict=True)
        each = [np.stack(one) for one in zip(*forces, strict=True)]  # n × (members, N, 3)
        widths = [np.sqrt(one.var(axis=0, ddof=1).mean(axis=1, keepdims=True)) + 0 * one[0] for one in each]
        return np.mean(energies, axis=0), [one.mean(axis=0) for one in each], np.std(energies, axis=0, ddof=1), widths


class OneWidth(Spread):
    """A potential that takes all its errors for equally likely."""

    def predict(self, frames):
        """As `Spread.predict`; the spread is 1 eV/Å, and 1 eV per atom."""
        energies, forces = self.potentials[0].predict(frames)
        return energies, forces, np.array([float(len(a)) for a in frames]), [np.ones_like(each) for each in forces]


# --- coverage ---


class Calibrated:
    """A model with spreads, and how many times its spread an error may be."""

    def __init__(self, model, known):
        self.model = model
        scores = relative(model.predict(known), known)
        self.factors = {name: quantile(values, COVERAGE) for name, values in scores.items()}


def measure(calibrated, frames):
    """Coverage, half widths (meV/Å, meV/atom) and errors."""
    predicted = energies, forces, of_energy, of_forces = at_least(calibrated.model.predict(frames), frames)
    scores, factors = relative(predicted, frames), calibrated.factors
    sizes = np.array([len(atoms) for atoms in frames])
    widths = np.concatenate([width.ravel() for width in of_forces]) * factors["forces"]
    missed = np.concatenate([np.abs(f - a.get_forces()).ravel() for f, a in zip(forces, frames, strict=True)])
    wide = of_energy * factors["energy"] / sizes
    off = np.abs(energies - [atoms.get_potential_energy() for atoms in frames]) / sizes
    return {
        "force_coverage": float((scores["forces"] <= factors["forces"]).mean()),
        "energy_coverage": float((scores["energy"] <= factors["energy"]).mean()),
        "force_width": 1e3 * float(widths.mean()), "energy_width": 1e3 * float(wide.mean()),
        "force_mae": 1e3 * float(missed.mean()), "energy_mae": 1e3 * float(off.mean()),
        "force_factor": factors["forces"], "energy_factor": factors["energy"],
    }  # fmt: skip


def below(frames, kelvin):
    """Those that are relaxed, or of a temperature below this."""
    return [atoms for atoms in frames if atoms.info.get("temperature", 0.0) < kelvin]


def way(kind, frames, seed):
    """A calibrated model, trained on these frames."""
    torch.set_num_threads(1)
    members = range(1 if kind in ("one width", "last layer") else MEMBERS)
    models = []
    for k in members:
        own = frames if kind != "other labels" else tp.draw(frames, round(0.8 * len(frames)), 100 * k + seed)
        start = "shipped" if kind == "other starts" and k % 2 else "shipped_xtb"
        models.append(tuned_way(TASK, start)(own, 100 * k + seed))
    model = {"one width": OneWidth, "last layer": lambda of: LastLayer(of[0], frames)}.get(kind, Spread)(models)
    return Calibrated(model, tp.draw(below(tp.load_molecules("valid"), COLD), N_KNOWN, seed))


def coverage(arguments):
    """Rows of all kinds of intervals."""
    kinds = ("one width", "same labels", "other labels", "other starts", "last layer")
    test = tp.load_molecules("test")
    tests = {"alike": below(test, COLD), "larger": below(tp.load_molecules("test_large"), COLD)}
    tests["hotter"] = [atoms for atoms in test if atoms.info.get("temperature", 0.0) >= HOT]
    methods = {kind: partial(way, kind) for kind in kinds}
    pool = below(tp.load_molecules("train"), COLD)
    return curve("coverage", methods, pool, tests, arguments.sizes or SIZES, range(arguments.seeds), arguments, measure)


# --- picking ---


def picked(how, frames, seed):
    """A potential from `FIRST` of these frames and `MORE` that are picked from the rest."""
    torch.set_num_threads(1)
    train = tuned_way(TASK, "shipped_xtb")
    first = tp.draw(frames, FIRST, seed)
    known = {atoms.info["id"] for atoms in first}
    others = [atoms for atoms in frames if atoms.info["id"] not in known]
    if how == "disagreement":
        committee = tp.Committee([train(first, 100 * k + seed) for k in range(3)])
        more = committee.pick(others, MORE, seed)
    else:
        more = {"diversity": tp.diverse, "random": tp.draw}[how](others, MORE, seed)
    return train(first + more, seed)


def picking(arguments):
    """Rows of the three ways, for each draw."""
    methods = {how: partial(picked, how) for how in ("random", "diversity", "disagreement")}
    tests = {part: tp.load_molecules(part) for part in ("test", "test_large")}
    pool = tp.load_molecules("train")
    return curve("picking", methods, pool, tests, (POOL,), range(DRAWS), arguments)


def curve(name, methods, pool, tests, sizes, seeds, arguments, measured=tp.errors):
    """Rows of a learning curve that goes on where it was interrupted."""
    path = BUILD / f"{name}.json"
    rows = learning_curve(methods, pool, tests, sizes, seeds, path, n_jobs=arguments.jobs, measure=measured)
    return [{"case": name, **row} for row in rows]


CASES = {"coverage": coverage, "picking": picking}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    rows, _ = earlier("uncertainty")
    for name in arguments.case:
        rows = merged(rows, CASES[name](arguments), KEY)
        spent = {tuple(row[k] for k in KEY[:-1]): row.get("seconds", 0) for row in rows}
        save_results("uncertainty", rows, "python benchmarks/uncertainty.py", sum(spent.values()), ["torch"], 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
