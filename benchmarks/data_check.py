"""How often the data check recognises labels in other units or with the other sign, and how often it is wrong.

Copies of the shipped sets, each with one thing changed, are judged from few frames on; random parts of the sets as
they are must never be refused, those of other programs' reference sets neither, where ``TPAINN_REFERENCE_DATA`` names
their folder.  A potential is asked about each frame once.

    python benchmarks/data_check.py             # all of it, a few minutes
    python benchmarks/data_check.py --few 2     # parts of each kind and set instead of 10
"""

import argparse
import importlib.util
import os
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite import load_molecules, load_scan, load_water
from tpainn_lite.model.answers import Answers, ask, potential_for, sample_of
from tpainn_lite.model.check import judge
from tpainn_lite.reading.oddities import LOOK, REFUSED, find_lengths
from tpainn_lite.reading.shipped import PARTS, SCANS
from tpainn_lite.reading.units import ENERGIES, LENGTHS, PRESSURES, convert

MOST = 150  # frames of a set
REFERENCE = (
    "water/ccsd_monomers", "water/ccsd_dimers", "water/rpbe_d3_64", "molecules/rmd17_ethanol", "qm9/qm9_part",
)  # fmt: skip
HARTREE, KCAL, KJ, RY = (ENERGIES[name] for name in ("hartree", "kcal/mol", "kj/mol", "ry"))
BOHR = LENGTHS["bohr"]
ATOM = "atom"  # energies divided by the number of atoms

# name: factors on energies, forces, stress and positions; which units are to be named
KINDS = {
    "energies in Hartree": ({"energy": 1 / HARTREE}, "energy=Hartree"),
    "energies in kcal/mol": ({"energy": 1 / KCAL}, "energy=kcal/mol"),
    "energies in kJ/mol": ({"energy": 1 / KJ}, "energy=kJ/mol"),
    "energies in Ry": ({"energy": 1 / RY}, "energy=Ry"),
    "energies per atom": ({"energy": ATOM}, "energy=eV/atom"),
    "energies with the other sign": ({"energy": -1.0}, "energy=-eV"),
    "forces in Hartree/Bohr": ({"forces": BOHR / HARTREE}, "forces=Hartree/Bohr"),
    "forces in Hartree/Å": ({"forces": 1 / HARTREE}, "forces=Hartree/Å"),
    "forces in kcal/mol/Å": ({"forces": 1 / KCAL}, "forces=kcal/mol/Å"),
    "forces in kJ/mol/Å": ({"forces": 1 / KJ}, "forces=kJ/mol/Å"),
    "forces in Ry/Bohr": ({"forces": BOHR / RY}, "forces=Ry/Bohr"),
    "gradients": ({"forces": -1.0}, "forces=-eV/Å"),
    "gradients in Hartree/Bohr": ({"forces": -BOHR / HARTREE}, "forces=-Hartree/Bohr"),
    "stress in GPa": ({"stress": 1 / PRESSURES["gpa"]}, "stress=GPa"),
    "stress in kbar": ({"stress": 1 / PRESSURES["kbar"]}, "stress=kbar"),
    "stress in bar": ({"stress": 1 / PRESSURES["bar"]}, "stress=bar"),
    "stress with the other sign": ({"stress": -1.0}, "stress=-eV/Å³"),
    "stress in kbar, the other sign": ({"stress": -1 / PRESSURES["kbar"]}, "stress=-kbar"),
    "positions in Bohr": ({"positions": 1 / BOHR}, "positions=Bohr"),
    "Hartree, Hartree/Bohr": ({"energy": 1 / HARTREE, "forces": BOHR / HARTREE}, "Hartree,Bohr"),
    "Hartree, Hartree/Bohr, Bohr": (
        {"energy": 1 / HARTREE, "forces": BOHR / HARTREE, "positions": 1 / BOHR}, "Hartree,Bohr",
    ),
    "Ry, Ry/Bohr, kbar": (
        {"energy": 1 / RY, "forces": BOHR / RY, "stress": 1 / PRESSURES["kbar"]},
        "energy=Ry,forces=Ry/Bohr,stress=kbar",
    ),
    "kcal/mol, kcal/mol/Å": ({"energy": 1 / KCAL, "forces": 1 / KCAL}, "kcal/mol,Å"),
    "kJ/mol, kJ/mol/Å": ({"energy": 1 / KJ, "forces": 1 / KJ}, "kJ/mol,Å"),
    "kcal/mol, gradients": ({"energy": 1 / KCAL, "forces": -1 / KCAL}, "energy=kcal/mol,forces=-kcal/mol/Å"),
    "per atom, gradients": ({"energy": ATOM, "forces": -1.0}, "energy=eV/atom,forces=-eV/Å"),
}  # fmt: skip


def shipped_sets():
    """{name: frames} of all shipped sets."""
    sets = {f"molecules {part}": load_molecules(part) for part in PARTS}
    for part in PARTS:
        for atoms in load_water(part):
            sets.setdefault(f"water {part} {atoms.info['config_type']}", []).append(atoms)
        sets[f"water {part}"] = [
            atoms for name in list(sets) if name.startswith(f"water {part} ") for atoms in sets[name]
        ]
    return sets | {f"scan {name}": load_scan(name) for name in SCANS}


def reference_sets():
    """{name: frames} of other programs, where they are."""
    folder = Path(os.environ.get("TPAINN_REFERENCE_DATA", ""))
    if not (folder / "load.py").exists():
        return {}
    spec = importlib.util.spec_from_file_location("reference_load", folder / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: list(module.atoms(folder / f"{name}.npz")) for name in REFERENCE}


def changed(atoms, factors):
    """A copy with labels and positions multiplied."""
    new = atoms.copy()
    scale = factors.get("positions", 1.0)
    new.set_cell(new.cell.array * scale)
    new.positions *= scale
    labels = {}
    for key, value in atoms.calc.results.items():
        factor = factors.get(key, 1.0)
        labels[key] = np.asarray(value) * (1 / len(atoms) if factor == ATOM else factor)
    labels["energy"] = float(labels["energy"])
    new.calc = SinglePointCalculator(new, **labels)
    return new


class Bench:
    """Frames of a set, and what potentials say of them: asked once."""

    def __init__(self, frames, seed=0):
        rng = np.random.default_rng(seed)
        kept = sorted(rng.choice(len(frames), min(MOST, len(frames)), replace=False))
        self.frames = [frames[k] for k in kept]
        self.said = {}

    def judge(self, chosen, factors=None):
        """The check of these frames, changed."""
        name, potential = potential_for([self.frames[k] for k in chosen])
        if name not in self.said:
            self.said[name] = ask(potential, dict(enumerate(self.frames)), name)
        said = self.said[name]
        answers = Answers(name, *({i: of[k] for i, k in enumerate(chosen) if k in of}
                                  for of in (said.energy, said.forces, said.stress)))  # fmt: skip
        frames = [changed(self.frames[k], factors or {}) for k in chosen]
        lengths = find_lengths(frames)
        sample = {k: frames[k] for k in sample_of(frames)}
        if lengths.verdict == REFUSED:
            sample = dict(zip(sample, convert(list(sample.values()), "positions=Bohr"), strict=True))
        return judge(frames, sample, answers, lengths)

    def part(self, rng, n):
        """Numbers of n frames: drawn from all, or those that follow each other."""
        n = min(n, len(self.frames))
        start = rng.integers(len(self.frames) - n + 1)
        drawn = rng.choice(len(self.frames), n, replace=False)
        return sorted(drawn.tolist()) if rng.random() < 0.7 else list(range(start, start + n))


def wrong_copies(sets, n_parts, sizes=(5, 8, 20)):
    """{kind: Counter of what was said}, and examples of what was missed."""
    found, missed = defaultdict(Counter), []
    for name, bench in sets.items():
        labels = bench.frames[0].calc.results
        for kind, (factors, expected) in KINDS.items():
            if not set(factors) <= {*labels, "positions"}:
                continue
            rng = np.random.default_rng(len(kind))
            for k in range(n_parts):
                chosen = bench.part(rng, sizes[k % len(sizes)])
                check = bench.judge(chosen, factors)
                verdict = "missed"
                if check.verdict == REFUSED:
                    verdict = "named" if check.units == expected else "refused"
                elif check.verdict == LOOK:
                    verdict = "look"
                found[kind][verdict] += 1
                if verdict not in ("named",):
                    missed.append((kind, name, len(chosen), verdict, check))
    return found, missed


def right_parts(sets, n_parts):
    """(Counter of verdicts, those that are not sound) of parts of the sets as they are."""
    rng, found, wrong = np.random.default_rng(1), Counter(), []
    names = list(sets)
    for k in range(n_parts):
        name = names[k % len(names)]
        chosen = sets[name].part(rng, int(np.exp(rng.uniform(np.log(3), np.log(60)))))
        check = sets[name].judge(chosen)
        found[check.verdict] += 1
        if check.verdict != "sound":
            wrong.append((name, len(chosen), check))
    return found, wrong


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=10, help="parts of each set for each kind")
    parser.add_argument("--right", type=int, default=1000, help="parts of the sets as they are")
    parser.add_argument("--show", type=int, default=10, help="cases that are printed in full")
    options = parser.parse_args()
    start = time.perf_counter()
    shipped = {name: Bench(frames) for name, frames in shipped_sets().items()}
    others = {name: Bench(frames) for name, frames in reference_sets().items()}
    verdicts, wrong = right_parts(shipped | others, options.right)
    print(f"{options.right} parts as they are: {dict(verdicts)}")
    for name, n, check in wrong[: options.show]:
        print(f"  {name}, {n} frames: {check}")
    found, missed = wrong_copies(shipped, options.few)
    print(f"{'kind':32} {'parts':>6} {'named':>6} {'refused':>8} {'look':>6} {'missed':>6}")
    for kind, counts in found.items():
        total = counts.total()
        shares = [f"{100 * counts[key] / total:.0f}%" for key in ("named", "refused", "look", "missed")]
        print(f"{kind:32} {total:6} {shares[0]:>6} {shares[1]:>8} {shares[2]:>6} {shares[3]:>6}")
    for verdict in ("missed", "look", "refused"):
        rows = [case for case in missed if case[3] == verdict]
        print(f"{verdict}: {dict(Counter(case[1] for case in rows))}")
        for kind, name, n, _, check in rows[:: max(1, len(rows) // max(options.show, 1))][: options.show]:
            print(f"  {kind}; {name}, {n} frames: {check}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
