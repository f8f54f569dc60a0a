"""`label`: the one door through which labels enter, classical or DFT.

`label(frames, calculator)` asks any ASE calculator for energies and forces: in parallel, with a journal that
survives interruptions, skipping and reporting what the calculator cannot do.
"""

import itertools
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.checks import check_structure

CHUNK_SECONDS = 60  # work handed to a process at once, in parallel labelling


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
    level = getattr(calculator, "level", type(calculator).__name__)
    done = _read_journal(path, frames, level) if path else {}
    todo = [i for i in range(len(frames)) if i not in done]
    failures, started = {}, time.perf_counter()
    deadline = started + (np.inf if time_limit is None else time_limit)
    for index, result in _bar(_compute(frames, todo, calculator, n_jobs, deadline), len(todo), level, progress):
        if "error" in result:
            failures[index] = result["error"]
            continue
        done[index] = result
        if path:
            _append_journal(path, frames[index], index, result, level)
    _report(failures, done, len(todo), time.perf_counter() - started, level)
    return [_labelled(frames[i], done[i], level) for i in sorted(done)]


def _compute(frames, todo, calculator, n_jobs, deadline):
    """Yield (index, result) as they come, until the deadline; in this process, or in ``n_jobs`` others."""
    if n_jobs == 1 or len(todo) < 2 or time.perf_counter() >= deadline:
        for i in todo:
            if time.perf_counter() >= deadline:
                return
            yield i, _single_point(frames[i], calculator)
        return
    from joblib import Parallel, delayed

    first = _single_point(frames[todo[0]], calculator)  # its time decides how much work to hand out at once
    yield todo[0], first
    size = int(np.clip(CHUNK_SECONDS / first.get("seconds", 1.0), 1, 1 + len(todo) // (4 * n_jobs)))
    chunks = [todo[k : k + size] for k in range(1, len(todo), size)]
    begun = itertools.takewhile(lambda _: time.perf_counter() < deadline, chunks)
    tasks = (delayed(_single_points)([frames[i] for i in chunk], chunk, calculator) for chunk in begun)
    for results in Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks):
        yield from results


def _single_points(frames, indices, calculator):
    return [(i, _single_point(frame, calculator)) for i, frame in zip(indices, frames, strict=True)]


def _single_point(atoms, calculator):
    """Energy, forces, perhaps stress, and the seconds they took; or the error, as text."""
    started = time.perf_counter()
    try:
        check_structure(atoms)
        energy = float(calculator.get_potential_energy(atoms))
        result = {"energy": energy, "forces": np.array(calculator.get_forces(atoms))}
        if atoms.pbc.all():
            with suppress(PropertyNotImplementedError, NotImplementedError):
                result["stress"] = np.array(calculator.get_stress(atoms))
        if not all(np.isfinite(value).all() for value in result.values()):
            raise ValueError("the calculator returned a number that is not finite")
    except Exception as error:  # noqa: BLE001  one bad frame must not end a long run; it is reported
        return {"error": f"{type(error).__name__}: {error}"}
    return {**result, "seconds": time.perf_counter() - started, "record": getattr(calculator, "record", {})}


def _labelled(atoms, result, level):
    """A copy of the frame that carries its labels (and not the calculator that made them)."""
    frame = atoms.copy()
    properties = {key: result[key] for key in ("energy", "forces", "stress") if key in result}
    frame.calc = SinglePointCalculator(frame, **properties)
    frame.info |= {"level": level, **result.get("record", {})}
    return frame


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


def _append_journal(path, atoms, index, result, level):
    row = {"id": _identity(atoms, index), "level": level}
    arrays = {**_structure(atoms), **{key: value for key, value in result.items() if key != "record"}}
    row |= {key: np.asarray(value).tolist() for key, value in arrays.items()}
    row["record"] = result.get("record", {})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as journal:
        journal.write(json.dumps(row) + "\n")
        journal.flush()
        os.fsync(journal.fileno())


def _bar(results, total, level, progress):
    from tqdm.auto import tqdm

    return tqdm(results, total=total, desc=f"label with {level}", unit=" frames", disable=not progress)


def _report(failures, done, n_tried, seconds, level):
    if not failures:
        return
    index, reason = next(iter(failures.items()))
    if not done:
        raise ValueError(f"{level} could label none of the {n_tried} frames; the first (frame {index}): {reason}")
    print(
        f"{level}: {len(failures)} of {n_tried} frames skipped in {seconds:.0f} s; first, frame {index}: {reason}",
        file=sys.stderr,
    )
