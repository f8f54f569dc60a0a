"""A potential of one's own: from structures to a committee that has been tested, step by step, in one folder.

| file                    | what                                                                                   |
|-------------------------|----------------------------------------------------------------------------------------|
| `structures.extxyz`     | the structures to choose from                                                          |
| `to_label.extxyz`       | what to label: to train on, structures that differ most; to test on, others at random  |
| `labels.jsonl`          | DFT labels, one by one, as they come                                                   |
| `general-0.safetensors` | …, a committee from pretrained weights and shipped DFT labels: what is before yours    |
| `own-0.safetensors`     | …, the committee after your labels                                                     |
| `md.traj`               | molecular dynamics with it, stopped where it leaves what it knows                      |
| `report.json`           | errors on what was not trained on, before and after your labels                        |
| `project.json`          | what each of them was made from                                                        |

What is there is not done again, if it was made from the same; otherwise the call ends with an error that says what
differs.  A step is repeated, with other settings too, by removing its files and those after it, but for the labels:

| file        | made from                                                                                    |
|-------------|----------------------------------------------------------------------------------------------|
| structures  | the structures that are given                                                                |
| to_label    | structures, ``n_labels``, ``n_test``, ``seed``                                               |
| labels      | the calculator with its constants; who labels elsewhere is not known until the labels come   |
| general     | pretrained weights (``start``), ``n_general``, ``seed``                                      |
| own         | general, the labels that are trained on, ``n_general``, ``seed``                             |
| md          | own, ``n_steps``, ``temperature``, ``seed``; with it belongs ``md.state.npz``                |

So labels, which cost most, outlive all else: of another choice of frames those that have one are not labelled again.
Structures on which a committee disagrees would not be a better choice (``benchmarks/uncertainty.py``).
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from tpainn_lite.model.committee import Committee
from tpainn_lite.model.domain import Domain
from tpainn_lite.model.errors import errors
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.pretrained import Start, usual_start, weights_to_start_from
from tpainn_lite.model.references import rereference
from tpainn_lite.project.matching import displacement, matched
from tpainn_lite.project.record import ProjectRecord
from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.reading.shipped import load_molecules
from tpainn_lite.simulate.md import check_settings, run_md
from tpainn_lite.structures.arguments import check_counts, shown
from tpainn_lite.structures.checks import check_labels, check_structure
from tpainn_lite.structures.files import check_folder, locked, write_text
from tpainn_lite.structures.identity import IdentityError, fingerprint
from tpainn_lite.structures.protocols import Teacher
from tpainn_lite.structures.select import diverse, draw
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.parallel import Jobs, check_jobs, side_by_side
from tpainn_lite.train.transfer import autotune

MEMBERS = 3
TIMESTEP, EVERY = 0.5, 10  # fs; steps between frames of MD that are kept
_shipped = cache(lambda: load_molecules("train"))  # read once for all members
AS_GIVEN = 1e-4  # Å; structures that were kept are those that are given again, to the digits of the file


class LabelsWanted(Exception):
    """The frames to label are chosen, and there is no calculator for them; the message says what to do."""


def run_project(
    structures: Iterable[Atoms], folder: str | Path, calculator: Teacher | None = None,
    labels: str | Path | Sequence[Atoms] | None = None, *, n_labels: int = 20, n_test: int = 10, n_general: int = 200,
    start: Start | None = None, n_steps: int = 1000, temperature: float = 300.0, seed: int = 0, n_jobs: Jobs = 1,
    progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Autotune a committee for these structures, test it, and run MD with it.

    Parameters
    ----------
    structures
        Many more than are to be labelled; MD begins from the calmest with the first one's composition.
    folder
        Keeps every step; interrupted, the same call resumes.
    calculator
        Makes the labels: DFT.
    labels
        Frames of ``to_label.extxyz`` that were labelled elsewhere, or their file; recognised by their positions or
        their ``id``.  The calculator is not used then.
    n_labels, n_test
        Frames to train on, which differ most (`diverse`), and to test on, picked at random.
    n_general
        Shipped DFT labels of other molecules that the committee learns before yours; with 0 it is the start itself.
    start
        Pretrained weights: a shipped name, a file of `Potential.save`, a `Potential`; `usual_start` unless given.
    n_steps, temperature
        Of MD: steps of 0.5 fs, and K.
    n_jobs
        Processes that label; or a Dask client or an executor, whose workers label, and train the committee.

    Returns
    -------
    dict
        The content of ``report.json``: errors in meV/atom and meV/Å before and after, and the MD in fs.

    Raises
    ------
    LabelsWanted
        With neither ``calculator`` nor ``labels``; ``to_label.extxyz`` is there by then.
    IdentityError
        The folder holds a project of other structures, labels or settings.
    ValueError, OSError
        Impossible settings, too few structures, or a folder that cannot be written: all of it before any training.

    >>> run_project([], "nowhere")
    Traceback (most recent call last):
    ValueError: n_labels and n_test are 30 frames together, of 0 structures; make more, or ask for fewer
    """
    folder = Path(folder)
    seen, name = _seen(labels)
    asked: dict[str, Any] = {
        "start": start, "n_general": n_general, "n_labels": n_labels, "n_test": n_test, "n_steps": n_steps,
        "temperature": temperature, "seed": seed,
    }  # fmt: skip
    check_options(n_jobs=n_jobs, **asked)
    check_folder(folder)
    structures = list(structures)
    start = asked["start"] = start or usual_start(structures)
    all_of_them = sound(structures, start, n_labels + n_test)
    with locked(folder / "project.json"):
        record = ProjectRecord(folder)
        _check_record(record, None if labels is not None else calculator, **asked)
        kept = _kept_structures(record, all_of_them)
        chosen = _chosen(record, kept, n_labels, n_test, seed)
        labelled = _labelled(chosen, record, calculator, seen, name, n_jobs, progress)
        general = _general_members(record, start, n_general, seed, n_jobs)
        train, test = (_part(labelled, part) for part in ("train", "test"))
        own = _own_members(record, general, train, n_general, seed, n_jobs)
        report, domain = _judged(general, own, train, test, kept)
        record.begin("md", n_steps=n_steps, temperature=temperature, seed=seed)
        run = run_md(
            calmest(domain.committee, kept), domain.committee.calculator(), n_steps=n_steps, temperature=temperature,
            timestep=TIMESTEP, every=EVERY, seed=seed, max_disagreement=domain.limit, path=folder / "md.traj",
            progress=progress,
        )  # fmt: skip
        report["md"] = {"fs": float(run.time[-1]), "stopped": run.stopped}
        write_text(folder / "report.json", json.dumps(report, indent=1))
    return report


def check_options(
    *, start: Start | None, n_general: int, n_labels: int, n_test: int, n_steps: int, temperature: float, seed: int,
    n_jobs: Jobs = 1,
) -> None:  # fmt: skip
    """Raise an error, before anything is made, where a setting of `run_project` makes no sense."""
    check_counts(n_labels=n_labels, n_test=n_test)
    check_counts(least=0, seed=seed, n_general=n_general)
    check_jobs(n_jobs)
    check_settings("nvt", n_steps, EVERY, temperature=temperature, timestep=TIMESTEP)
    weights_to_start_from("gas_xtb" if start is None else start)


def _check_record(record, calculator, start, n_general, n_labels, n_test, seed, n_steps, temperature):
    """Raise `IdentityError` early, for any step whose settings differ, before another is made."""
    record.check("general", start=_named(start), n_general=n_general, seed=seed)
    record.check("to_label", n_labels=n_labels, n_test=n_test, seed=seed)
    if calculator is not None:
        record.check("labels", labeller=calculator)
    record.check("own", n_general=n_general, seed=seed)
    record.check("md", n_steps=n_steps, temperature=temperature, seed=seed)


def _named(start):
    name = "a potential" if isinstance(start, Potential) else Path(start).name
    return f"{name} ({fingerprint(weights_to_start_from(start))})"


def sound(structures: Iterable[Atoms], start: Start, n_wanted: int) -> list[Atoms]:
    """The structures as a list; an error, before anything is kept, if they are too few, broken or not known."""
    structures = list(structures)
    for number, atoms in enumerate(structures):
        check_structure(atoms, f"structure {number}")
        if atoms.pbc.any() != structures[0].pbc.any():
            raise ValueError(f"structure {number} and structure 0: all periodic or none is expected")
    check_elements(structures, start)
    if n_wanted > len(structures):
        raise ValueError(
            f"n_labels and n_test are {n_wanted} frames together, of {len(structures)} structures; make more, or ask "
            "for fewer"
        )
    return structures


def choose(structures: Sequence[Atoms], n_labels: int, n_test: int, seed: int = 0) -> list[Atoms]:
    """Frames to label: ``info["part"]`` says what for, "train" (those that differ most) or "test" (at random)."""
    order = np.random.default_rng(seed).permutation(len(structures))
    test = [structures[k].copy() for k in sorted(order[:n_test])]
    others = [structures[k] for k in sorted(order[n_test:])]
    train = [atoms.copy() for atoms in diverse(others, n_labels, seed)]
    for part, frames in (("train", train), ("test", test)):
        for number, atoms in enumerate(frames):
            atoms.info |= {"part": part, "id": f"{part}/{number}"}
    return train + test


def calmest(committee: Committee, structures: Sequence[Atoms]) -> Atoms:
    """The structure of lowest energy among those with the composition of the first."""
    alike = [atoms for atoms in structures if atoms.symbols.formula == structures[0].symbols.formula]
    return alike[int(np.argmin(committee.predict(alike)[0]))]


def check_elements(structures: Sequence[Atoms], start: Start) -> None:
    """Raise ValueError where the weights to start from do not know an element."""
    known = weights_to_start_from(start).elements
    unknown = sorted({symbol for atoms in structures for symbol in atoms.get_chemical_symbols()} - set(known))
    if unknown:
        raise ValueError(
            f"the weights {shown(start)} know {', '.join(known)}, not {', '.join(unknown)}: pretrain on classical "
            "labels of such structures (tpainn pretrain), or begin a new element as a known one (tpainn autotune "
            "--new-element), and start from those weights (--start)"
        )


def _kept_structures(record, given):
    """The structures in the folder, if they are those that are given; written if there are none."""
    path = record.folder / "structures.extxyz"
    record.begin("structures")
    if not path.exists():
        write_frames(path, given)
    kept = read_frames(path, need=(), quiet=True)
    differing = [k for k, (one, other) in enumerate(zip(kept, given, strict=False)) if not _is_given(one, other)]
    if differing or len(kept) != len(given):
        first = differing[0] if differing else min(len(kept), len(given))
        sizes = [f"{len(frames)} structures{_formula(frames, first)}" for frames in (kept, given)]
        advice = "name another folder or, to begin anew, empty this one"
        raise IdentityError(f"{path} holds {sizes[0]}; given are {sizes[1]}: {advice}")
    return kept


def _formula(frames, k):
    return f" (number {k}: {frames[k].get_chemical_formula()})" if k < len(frames) else ""


def _is_given(kept, given):
    """Whether a structure of the file is the one that is given, with its charges and spins."""
    one, other = ([a.get_initial_charges(), a.get_initial_magnetic_moments()] for a in (kept, given))
    described = all(str(kept.info.get(key)) == str(given.info.get(key)) for key in ("charge", "multiplicity"))
    return described and displacement(kept, given) < AS_GIVEN and np.allclose(one, other, rtol=0, atol=AS_GIVEN)


def _chosen(record, structures, n_labels, n_test, seed):
    """What to label; chosen and written if it is not there."""
    path, made_from = record.folder / "to_label.extxyz", {"n_labels": n_labels, "n_test": n_test, "seed": seed}
    record.begin("to_label", structures=structures, **made_from)
    if not path.exists():
        write_frames(path, choose(structures, n_labels, n_test, seed))
    return read_frames(path, need=(), quiet=True)


def _general_members(record, start, n_general, seed, n_jobs):
    record.begin("general", start=_named(start), n_general=n_general, seed=seed)
    jobs = [(weights_to_start_from(start), n_general, seed + k) for k in range(MEMBERS)]
    return _members(record.folder, "general", _general, jobs, n_jobs)


def _own_members(record, general, train, n_general, seed, n_jobs):
    record.begin("own", labels=train, weights=fingerprint(general), n_general=n_general, seed=seed)
    jobs = [(general[k], train, n_general, seed + k) for k in range(MEMBERS)]
    return _members(record.folder, "own", _own, jobs, n_jobs)


def _members(folder, name, make, jobs, n_jobs):
    """Potentials kept in files of this name, one for each job; those that are missing are made."""
    paths = [folder / f"{name}-{k}.safetensors" for k in range(len(jobs))]
    missing = [k for k, path in enumerate(paths) if not path.exists()]
    made = side_by_side(make, [jobs[k] for k in missing], n_jobs, progress=False)
    for k, potential in zip(missing, made, strict=True):
        potential.save(paths[k])
    return [Potential.load(path) for path in paths]


def _known(potential, n_frames, seed):
    """A draw from the shipped DFT set, of molecules whose elements the potential knows."""
    known = [atoms for atoms in _shipped() if set(potential.elements) >= set(atoms.get_chemical_symbols())]
    return draw(known, min(n_frames, len(known)), seed) if known and n_frames else []


def _general(start, n_frames, seed):
    """The weights to start from, autotuned on a draw from the shipped DFT set."""
    frames = _known(start, n_frames, seed)
    return autotune(start, frames, seed=seed, progress=False) if frames else start


def _own(general, train, n_frames, seed):
    """A general potential, autotuned on one's own labels."""
    frames = train + _of_the_same_level(general, train, n_frames, seed)
    return autotune(general, frames, seed=seed, progress=False)


def _of_the_same_level(general, train, n_frames, seed):
    """The shipped labels that the committee began with, to be trained on again with one's own of the same level, so
    that they are not forgotten; none with those of another level, whose energies and forces contradict them."""
    shipped = _known(general, n_frames, seed)
    return shipped if {a.info.get("level") for a in train} == {a.info["level"] for a in shipped} else []


def _labelled(chosen, record, calculator, seen, name, n_jobs, progress):
    """The chosen frames with labels: those of a file, or made here."""
    if seen is not None:
        return matched(chosen, seen, name)
    if calculator is None:
        where = record.folder / "to_label.extxyz"
        raise LabelsWanted(
            f"{len(chosen)} frames to label are in {where}. Compute energies (eV) and forces (eV/Å) with DFT, write "
            "them to an extxyz file, and call again with labels= (--labels); or install PySCF"
        )
    record.begin("labels", labeller=calculator)
    return label(chosen, calculator, path=record.folder / "labels.jsonl", n_jobs=n_jobs, progress=progress)


def _seen(labels: str | Path | Sequence[Atoms] | None) -> tuple[Sequence[Atoms] | None, str]:
    """(frames that were labelled elsewhere, or None, and what they are called)."""
    if labels is None:
        return None, ""
    name = str(labels) if isinstance(labels, (str, Path)) else "labels"
    seen = read_frames(labels) if isinstance(labels, (str, Path)) else labels
    check_labels(seen, called=f"{name}: ")
    return seen, name


def _part(labelled, part):
    frames = [atoms for atoms in labelled if atoms.info["part"] == part]
    if not frames:
        raise ValueError(f"none of the frames to {part} on has a label; at least one is expected")
    return frames


def _judged(general, own, train, test, structures):
    """The report on errors before and after, and what the committee knows by now."""
    domain = Domain(Committee(own), train + test)
    for potential in general:
        rereference(potential, train)  # another DFT has other energies of atoms: not what is to be compared
    report = {"labels": len(train), "tested on": len(test), "before": errors(Committee(general), test)}
    report |= {"after": errors(domain.committee, test), "usual disagreement / eV/Å": round(domain.limit, 3)}
    report["structures in doubt"] = sum(map(bool, domain.doubts(structures)))
    return report, domain
