"""`label`: the one door through which labels enter, classical or DFT.

`label(frames, calculator)` asks any ASE calculator for energies and forces: in parallel, with a journal that
survives interruptions, skipping and reporting what the calculator cannot do.
"""

import json
import os
import sys
import time
from copy import copy, deepcopy
from itertools import islice
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.label_work import GrowingFile, compute, quiet_workers

BLOCK = 4000  # frames of a stream that are in memory at a time


def label(frames, calculator, path=None, n_jobs=1, progress=True, time_limit=None):
    """Ask a calculator for the energy and forces of each frame.

    Any ASE calculator will do: a force field (cheap) or DFT (dear).  A frame that the calculator cannot
    do is skipped and reported at the end; the others are kept.

    Parameters
    ----------
    frames : list of ase.Atoms
    calculator : ase Calculator
        Copied into each process when ``n_jobs`` > 1.
    path : str or Path, optional
        Keep each label here as soon as it is made (JSON lines).  Interrupted, call again: what is there is not redone.
        A frame is recognised by its ``info["id"]``, or else by its place in the list, and by its atoms and positions.
    n_jobs : int
        Processes (joblib).
    progress : bool
        Show a progress bar.
    time_limit : float, optional
        Begin nothing more after so many seconds and return what is labelled; 0 collects what ``path`` holds.

    Returns
    -------
    list of ase.Atoms
        Copies of the frames, in the same order, with energy (eV), forces (N, 3) (eV/Å) and, where the calculator
        has it, stress (eV/Å³) attached, and ``info["level"]`` naming the calculator; a calculator's ``record`` (a
        dict: cycles, seconds) is added to ``info``.

    Raises
    ------
    ValueError
        If there are no frames, or none of them could be labelled.

    >>> from tpainn_lite import mmff94, molecule
    >>> label([molecule("CCO")], mmff94(), progress=False)[0].get_forces().shape
    (9, 3)
    """
    frames = list(frames)
    if not frames:
        raise ValueError("no frames to label: a list of at least one ase.Atoms is expected")
    level = _level(calculator)
    done = _read_journal(path, frames, level) if path else {}
    todo = [i for i in range(len(frames)) if i not in done]
    failures, started = {}, time.perf_counter()
    deadline = started + (np.inf if time_limit is None else time_limit)
    with quiet_workers(), _Journal(path, level) as journal, _bar(len(todo), level, progress) as bar:
        for index, result in compute(frames, todo, calculator, n_jobs, deadline):
            bar.update()
            if "error" in result:
                failures[index] = result["error"]
            else:
                done[index] = result
                journal.append(frames[index], index, result)
    _report(failures, len(done), len(todo), time.perf_counter() - started, level)
    return [_labelled(frames[i], done[i], level) for i in sorted(done)]


def label_stream(frames, calculator, n_jobs=1, progress=True):
    """As `label`, for more frames than one wants in memory: takes any iterable, hands back one frame after the other.

    Yields
    ------
    ase.Atoms
        Labelled copies, in the same order; frames that the calculator cannot do are skipped and reported at the end.

    >>> from tpainn_lite import mmff94, molecule
    >>> [a.info["level"] for a in label_stream((molecule(s) for s in ("C", "CC")), mmff94(), progress=False)]
    ['MMFF94', 'MMFF94']
    """
    level, failures, n_done, n, started = _level(calculator), {}, 0, 0, time.perf_counter()
    total, waiting = getattr(frames, "__len__", lambda: None)(), iter(frames)
    with _bar(total, level, progress) as bar:
        while block := list(islice(waiting, BLOCK)):
            with quiet_workers():
                results = dict(compute(block, range(len(block)), calculator, n_jobs, np.inf))
            failures |= {n + k: result["error"] for k, result in results.items() if "error" in result}
            bar.update(len(block))
            n += len(block)
            for k, frame in enumerate(block):
                if "error" not in results[k]:
                    n_done += 1
                    yield _labelled(frame, results.pop(k), level)
    _report(failures, n_done, n, time.perf_counter() - started, level)


def _level(calculator):
    return getattr(calculator, "level", type(calculator).__name__)


def _labelled(atoms, result, level):
    """A copy of the frame that carries its labels (and not the calculator that made them)."""
    frame, carrier = _twin(atoms), copy(_CARRIER)
    carrier.atoms = _twin(atoms)
    carrier.results = {key: result[key] for key in ("energy", "forces", "stress") if key in result}
    frame.calc = carrier
    frame.info |= {"level": level, **result.get("record", {})}
    return frame


_CARRIER = SinglePointCalculator(Atoms())  # made once: making one takes longer than a force field's label


def _twin(atoms):
    """`ase.Atoms.copy` in a fifth of its time, which cheap labels would spend on nothing else."""
    if atoms.constraints:
        return atoms.copy()
    twin = copy(atoms)
    twin._cellobj, twin._pbc, twin._celldisp = atoms._cellobj.copy(), atoms._pbc.copy(), atoms._celldisp.copy()
    twin.arrays, twin.info = {name: array.copy() for name, array in atoms.arrays.items()}, deepcopy(atoms.info)
    twin.calc = None
    return twin


def _identity(atoms, index):
    return str(atoms.info.get("id", index))


def _read_journal(path, frames, level):
    """Labels kept by an earlier, interrupted call; a torn last line is dropped."""
    path, done = Path(path), {}
    if not path.exists():
        return done
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):  # the process died while writing the last line
        os.truncate(path, end)
    places = {}
    for i, frame in enumerate(frames):
        places.setdefault(_identity(frame, i), []).append(i)
    for line in content[:end].splitlines():
        row = json.loads(line)
        same = [i for i in places.get(row["id"], ()) if i not in done and _is_about(row, frames[i])]
        if same and row["level"] == level:
            done[same[0]] = {k: np.array(row[k]) for k in ("energy", "forces", "stress") if k in row}
            done[same[0]] |= {"energy": float(row["energy"]), "record": row.get("record", {})}
    return done


def _structure(atoms):
    return {"numbers": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}


def _is_about(row, atoms):
    """Whether a line of the journal belongs to this structure; lines of early versions hold positions only."""
    pairs = [(np.array(row.get(key, value)), value) for key, value in _structure(atoms).items()]
    return all(kept.shape == value.shape and np.allclose(kept, value, rtol=0, atol=1e-6) for kept, value in pairs)


class _Journal:
    """Labels on disk as soon as they are made, one line of JSON each; without a path, nothing."""

    def __init__(self, path, level):
        self.path, self.level, self.file = path and Path(path), level, None

    def __enter__(self):
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = GrowingFile(self.path).__enter__()
        return self

    def append(self, atoms, index, result):
        if not self.file:
            return
        row = {"id": _identity(atoms, index), "level": self.level}
        arrays = {**_structure(atoms), **{key: value for key, value in result.items() if key != "record"}}
        row |= {key: np.asarray(value).tolist() for key, value in arrays.items()}
        row["record"] = result.get("record", {})
        self.file.append(json.dumps(row) + "\n")

    def __exit__(self, *_):
        if self.file:
            self.file.__exit__()


def _bar(total, level, progress):
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=f"label with {level}", unit=" frames", disable=not progress)


def _report(failures, n_done, n_tried, seconds, level):
    if not failures:
        return
    index, reason = next(iter(failures.items()))
    if not n_done:
        raise ValueError(f"{level} could label none of the {n_tried} frames; the first (frame {index}): {reason}")
    print(
        f"{level}: {len(failures)} of {n_tried} frames skipped in {seconds:.0f} s; first, frame {index}: {reason}",
        file=sys.stderr,
    )
