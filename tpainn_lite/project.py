"""A potential of one's own: from structures to a committee that has been tested, step by step, in one folder.

| file                    | what                                                                                   |
|-------------------------|----------------------------------------------------------------------------------------|
| `structures.extxyz`     | the structures to choose from                                                          |
| `general-0.safetensors` | …, a committee from shipped weights and shipped DFT labels: what there is before yours |
| `to_label.extxyz`       | what to label: to train on, where that committee disagrees; to test on, at random      |
| `labels.jsonl`          | DFT labels, one by one, as they come                                                   |
| `own-0.safetensors`     | …, the committee after your labels                                                     |
| `md.traj`               | molecular dynamics with it, stopped where it leaves what it knows                      |
| `report.json`           | errors on what was not trained on, before and after your labels                        |

What is there is not done again: a step is repeated by removing its file, and those after it.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from tpainn_lite.checks import DatasetError
from tpainn_lite.committee import Committee
from tpainn_lite.datasets import draw, load_molecules, read_frames, write_frames
from tpainn_lite.domain import Domain
from tpainn_lite.files import write_text
from tpainn_lite.labels import label
from tpainn_lite.md import run_md
from tpainn_lite.observables import errors
from tpainn_lite.potential import Potential
from tpainn_lite.recipes import load_pretrained
from tpainn_lite.transfer import autotune, rereference

MEMBERS = 3
TIMESTEP = 0.5  # fs


class LabelsWanted(Exception):
    """The frames to label are chosen, and nobody is here who can label them; the message says what to do."""


def run_project(
    structures, folder, calculator=None, labels=None, *, n_labels=20, n_test=10, n_general=200, start="gas_xtb",
    n_steps=1000, temperature=300.0, seed=0, n_jobs=1, progress=True,
):  # fmt: skip
    """Autotune a committee for these structures, test it, and run MD with it.

    Parameters
    ----------
    structures : iterable of ase.Atoms
        Many more than are to be labelled; MD begins from the calmest with the first one's composition.
    folder : str or Path
        Keeps every step; interrupted, the same call goes on.
    calculator : ase Calculator, optional
        Who labels: DFT.
    labels : str or Path, optional
        Frames of ``to_label.extxyz`` that were labelled elsewhere, recognised by their positions.
    n_labels, n_test : int
        Frames to train on, picked by disagreement, and to test on, picked at random.
    n_general : int
        Shipped DFT labels of other molecules that the committee begins with.
    start : str
        Shipped weights.
    n_steps, temperature : int, float
        Of MD: steps of 0.5 fs, and K.

    Returns
    -------
    dict
        What is in ``report.json``.

    Raises
    ------
    LabelsWanted
        With neither ``calculator`` nor ``labels``; ``to_label.extxyz`` is there by then.
    """
    folder = Path(folder)
    structures = _kept(folder / "structures.extxyz", lambda: sound(structures, start, n_labels + n_test))
    sound(structures, start, n_labels + n_test)
    general = _members(folder, "general", lambda k: _general(start, n_general, seed + k))
    chosen = _kept(folder / "to_label.extxyz", lambda: choose(Committee(general), structures, n_labels, n_test, seed))
    labelled = _labelled(chosen, folder, calculator, labels, n_jobs, progress)
    train, test = ([a for a in labelled if a.info["part"] == part] for part in ("train", "test"))
    own = _members(folder, "own", lambda k: _own(general[k], train, n_general, seed + k))
    domain = Domain(Committee(own), labelled)
    for potential in general:
        rereference(potential, train)  # another DFT has other energies of atoms: not what is to be compared
    report = {"labels": len(train), "tested on": len(test), "before": errors(Committee(general), test)}
    report |= {"after": errors(domain.committee, test), "usual disagreement / eV/Å": round(domain.limit, 3)}
    report["structures in doubt"] = sum(map(bool, domain.doubts(structures)))
    settings = {"temperature": temperature, "n_steps": n_steps, "timestep": TIMESTEP, "seed": seed}
    settings |= {"max_disagreement": domain.limit, "path": folder / "md.traj", "progress": progress}
    run = run_md(calmest(domain.committee, structures), domain.committee.calculator(), **settings)
    report["md"] = {"fs": float(run.time[-1]), "stopped": run.stopped}
    write_text(folder / "report.json", json.dumps(report, indent=1))
    return report


def sound(structures, start, n_wanted):
    """The structures as a list; an error before anything is kept, if they are too few or of strange elements."""
    structures = list(structures)
    check_elements(structures, start)
    if n_wanted > len(structures):
        raise ValueError(
            f"{n_wanted} frames to label, to train and to test on, are asked for, of {len(structures)} structures; "
            "make more of them, or ask for fewer"
        )
    return structures


def choose(committee, structures, n_labels, n_test, seed=0):
    """Frames to label: ``info["part"]`` says what for, "train" (picked by disagreement) or "test" (at random)."""
    order = np.random.default_rng(seed).permutation(len(structures))
    test = [structures[k].copy() for k in sorted(order[:n_test])]
    train = [atoms.copy() for atoms in committee.pick([structures[k] for k in sorted(order[n_test:])], n_labels, seed)]
    for part, frames in (("train", train), ("test", test)):
        for number, atoms in enumerate(frames):
            atoms.info |= {"part": part, "id": f"{part}/{number}"}
    return train + test


def calmest(committee, structures):
    """The structure of lowest energy among those with the composition of the first."""
    alike = [atoms for atoms in structures if atoms.symbols.formula == structures[0].symbols.formula]
    return alike[int(np.argmin(committee.predict(alike)[0]))]


def check_elements(structures, start):
    """Raise ValueError where the shipped weights do not know an element."""
    known = load_pretrained(start).elements
    strange = sorted({symbol for atoms in structures for symbol in atoms.get_chemical_symbols()} - set(known))
    if strange:
        raise ValueError(
            f"the weights {start!r} know {', '.join(known)}, not {', '.join(strange)}; pretrain on classical labels of "
            "such structures first (tpainn pretrain), and autotune those weights (tpainn autotune)"
        )


def _kept(path, make):
    """Frames of a file; made and written if it is not there."""
    if not path.exists():
        write_frames(path, make())
    return read_frames(path, need=())


def _members(folder, name, make):
    """Potentials kept in files of this name."""
    paths = [folder / f"{name}-{k}.safetensors" for k in range(MEMBERS)]
    for k, path in enumerate(paths):
        if not path.exists():
            make(k).save(path)
    return [Potential.load(path) for path in paths]


@cache
def _shipped():
    """The shipped DFT set, read once for all members."""
    return load_molecules("train")


def _general(start, n_frames, seed):
    """The shipped weights, autotuned on a draw from the shipped DFT set."""
    return autotune(load_pretrained(start), draw(_shipped(), n_frames, seed), seed=seed, progress=False)


def _own(general, train, n_frames, seed):
    """A general potential, autotuned on one's own labels."""
    frames = train + _of_the_same_level(train, n_frames, seed)
    return autotune(general, frames, seed=seed, progress=False)


def _of_the_same_level(train, n_frames, seed):
    """The shipped labels that the committee began with, to be trained on again beside one's own of the same level, so
    that they are not forgotten; none beside those of another level, whose energies and forces contradict them."""
    shipped = draw(_shipped(), n_frames, seed)
    return shipped if {a.info.get("level") for a in train} == {shipped[0].info["level"]} else []


def _labelled(chosen, folder, calculator, labels, n_jobs, progress):
    """The chosen frames with labels: those of a file, or made here."""
    if labels is None and calculator is None:
        raise LabelsWanted(
            f"{len(chosen)} frames to label are in {folder / 'to_label.extxyz'}. Compute energies (eV) and forces "
            "(eV/Å) with DFT, write them to an extxyz file, and call again with labels= (--labels); or install PySCF"
        )
    if labels is None:
        return label(chosen, calculator, path=folder / "labels.jsonl", n_jobs=n_jobs, progress=progress)
    return matched(chosen, read_frames(labels), labels)


def matched(chosen, labelled, name):
    """The labelled frames in the order of the chosen ones, found by atoms and positions (to 0.001 Å)."""
    found = {_signature(atoms): atoms for atoms in labelled}
    missing = [atoms.info["id"] for atoms in chosen if _signature(atoms) not in found]
    if missing:
        raise DatasetError(
            f"{name} has {len(labelled)} labelled frames, but not these of to_label.extxyz: {', '.join(missing[:5])}"
            f"{' …' if len(missing) > 5 else ''}; the same atoms in the same order and places are expected"
        )
    for atoms in chosen:
        found[_signature(atoms)].info |= atoms.info
    return [found[_signature(atoms)] for atoms in chosen]


def _signature(atoms):
    return atoms.numbers.tobytes(), tuple(np.round(atoms.positions, 3).ravel().tolist())
