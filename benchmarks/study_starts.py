"""What the study's potentials start from: the same network, pretrained on different teachers.

Used by `learning_curve_qm9.py`; each start is made once, with one seed, kept in ``build/study/``, and goes on where it
was interrupted.

    python benchmarks/study_starts.py                # all of them; some ten minutes each on one core
    python benchmarks/study_starts.py mmff94 ladder  # these

``mmff94``, ``uff``, ``xtb``: the same frames and steps.  ``ladder``: half of the steps on MMFF94 (``half``), half on
GFN2-xTB.  ``shuffled``: MMFF94's labels dealt to the wrong frames of the same molecule, the negative control.
``energies``: MMFF94's energies alone.  ``few``: one frame in twenty; ``fewest``: one in two hundred.
``pool_molecule_forces``, ``pool_qm9_energy``: the shipped ladder, `gas_xtb`, gone on with on GFN2-xTB labels of the
very structures that the DFT labels of a task are drawn from (their DFT labels are not looked at).  ``dft``: this, gone
on with on our own DFT set of small molecules, the level of QM9.  ``dft_alone``: that set, from scratch.
``reactive``: the shipped ladder, gone on with along reactions; ``python data/make/pretrained.py gas_reactive --out
build/gas_reactive.safetensors`` makes it.
"""

import argparse
import os
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from kept import kept
from recipes import NETWORK, calm
from study_data import TASKS, source_of
from tour import shuffled

import tpainn_lite as tp

BUILD = Path(__file__).resolve().parents[1] / "build" / "study"
REACTIVE = BUILD.parent / "gas_reactive.safetensors"
N_MOLECULES, PER_MOLECULE, TEMPERATURE = 3000, 10, (300, 3000)
SPARSE = 20  # one frame in so many, for ``few``
STEPS = {"steps": 8000, "batch_size": 20, "learning_rate": 3e-3, "check_every": 1000}
TEACHERS = {"mmff94": tp.mmff94, "uff": tp.uff, "xtb": tp.gfn2_xtb}


# --- frames and starts ---


def shaken():
    """The structures that every teacher labels: ten of each molecule, at its minimum and away from it."""
    smiles = np.random.default_rng(0).permutation(tp.molecule_list(max_heavy=9)).tolist()[:N_MOLECULES]
    return tp.shaken_molecules(smiles, PER_MOLECULE, TEMPERATURE, seed=0)


@cache
def labelled(teacher):
    """All that a teacher could label; kept in a file, and in memory once read."""

    def make(path):
        tp.label_file(shaken(), TEACHERS[teacher](), path, n_jobs=2)

    return kept(BUILD / f"{teacher}.extxyz", tp.read_frames, make, teacher=TEACHERS[teacher](), frames=shaken)


def frames_of(teacher):
    """A teacher's labels of the frames in which no teacher sees atoms run into each other: the same for all."""
    shared = set.intersection(*({atoms.info["id"] for atoms in calm(labelled(name))} for name in TEACHERS))
    return [atoms for atoms in labelled(teacher) if atoms.info["id"] in shared]


def pool_frames(task):
    """GFN2-xTB labels of the structures that a task draws its DFT labels from."""
    pool = [atoms.copy() for atoms in TASKS[task]()[1]]
    for number, atoms in enumerate(pool):
        atoms.info["id"] = f"{task}/{number}"

    def make(path):
        tp.label_file(pool, tp.gfn2_xtb(), path, n_jobs=2)

    path = BUILD / f"pool, {task}, {source_of(task)}.extxyz"
    return calm(kept(path, tp.read_frames, make, teacher=tp.gfn2_xtb(), frames=pool))


HALF = {"steps": STEPS["steps"] // 2}
POOL = {"steps": 6000, "learning_rate": 1e-3, "energy_weight": 2.0}
DFT = {"steps": 3000, "learning_rate": 1e-3, "energy_weight": 2.0, "layer_decay": 0.5}
STARTS = {  # name: (frames, settings, the start it goes on from)
    "mmff94": (lambda: frames_of("mmff94"), {}, None),
    "uff": (lambda: frames_of("uff"), {}, None),
    "xtb": (lambda: frames_of("xtb"), {}, None),
    "half": (lambda: frames_of("mmff94"), HALF, None),
    "ladder": (lambda: frames_of("xtb"), HALF, "half"),
    "shuffled": (lambda: shuffled(frames_of("mmff94")), {}, None),
    "energies": (lambda: frames_of("mmff94"), {"force_weight": 0.0}, None),
    "few": (lambda: frames_of("mmff94")[::SPARSE], {}, None),
    "fewest": (lambda: frames_of("mmff94")[:: 10 * SPARSE], {}, None),
    **{f"pool_{task}": (partial(pool_frames, task), POOL, "shipped_xtb") for task in TASKS},
    "dft": (lambda: tp.load_molecules("train"), DFT, "pool_qm9_energy"),
    "dft_alone": (lambda: tp.load_molecules("train"), {"steps": 5000, "energy_weight": 2.0}, None),
}
SHIPPED = {
    "shipped": "gas",
    "shipped_mean": "gas_mean",
    "shipped_xtb": "gas_xtb",
    "shipped_wide": "gas_wide",
    "shipped_wide_xtb": "gas_wide_xtb",
}  # of `tpainn_lite.load_pretrained`, which saw more


def start(name):
    """The pretrained potential of this name."""
    if name in SHIPPED:
        return tp.load_pretrained(SHIPPED[name])
    if name == "reactive":
        return tp.Potential.load(REACTIVE)
    file = f"{name}, {source_of('qm9_energy')}" if name in ("pool_qm9_energy", "dft") else name
    frames, changes, before = STARTS[name]
    settings, network = {**STEPS, **changes, "seed": 0}, NETWORK if before is None else None

    def make(path):
        checkpoint = BUILD / f"run-{file}"
        if before is None:
            tp.pretrain(frames(), **network, **settings, checkpoint=checkpoint).save(path)
        else:
            tp.autotune(start(before), frames(), **settings, checkpoint=checkpoint).save(path)

    made_from = {"frames": frames, "settings": settings, "network": network, "before": before and start(before)}
    return kept(BUILD / f"{file}.safetensors", tp.Potential.load, make, **made_from)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(STARTS), metavar="NAME", help=f"of {', '.join(STARTS)}")
    torch.set_num_threads(1)
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in parser.parse_args().names:
        start(name)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
