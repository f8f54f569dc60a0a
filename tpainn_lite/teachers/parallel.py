"""Who computes the labels: this process, others on this machine, or a Dask cluster; one frame or many at a time.

A calculator with a method ``evaluate(atoms, positions)`` gets many shapes of a molecule at once, which spares cheap
force fields the bookkeeping of `ase.calculators` (ten times their own work); any other gets frame by frame.
"""

import hashlib
import itertools
import os
import pickle
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError

from tpainn_lite.structures.arguments import shown
from tpainn_lite.structures.charges import same_electrons
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import are_sound
from tpainn_lite.structures.protocols import Teacher

CHUNK_SECONDS = 1.0  # work handed to a process at once; when it is done its labels are handed back, and kept
LONGEST_SECONDS = 3.0  # after so long a process hands back what it has not begun, too
PACK = 500  # frames handed over at once, at most
SHARES = 4  # pieces for each process, at least, into which what is left is divided
GROWTH = 4  # how many times as many frames as before are handed over, at most
WATCH_SECONDS = 0.5  # how often a process looks whether the one that it works for is still there
MOST_JOBS = 1024  # processes

_kept = threading.local()  # in a process that works for another: the calculator of the last chunk, and its mark


def check_jobs(n_jobs: int) -> None:
    """Raise `ValueError` unless this can be a number of processes, as joblib counts them."""
    whole = isinstance(n_jobs, (int, np.integer)) and not isinstance(n_jobs, bool)
    if not whole or n_jobs == 0 or n_jobs > MOST_JOBS:
        raise ValueError(
            f"n_jobs is {n_jobs!r}; a whole number of processes from 1 to {MOST_JOBS} is expected, or -1 for all cores"
        )


class Pace:
    """How many frames to hand out at once: as many as take `CHUNK_SECONDS`, which is found out while they are done.

    Towards the end each process gets fewer, so that all end at about the same time.
    """

    def __init__(self) -> None:
        self.size = 1

    def chunks(self, waiting: deque[int], deadline: float, most: int, shares: int) -> Iterator[list[int]]:
        """Pieces of a deque, taken from its left, each as large as is right at that time."""
        while waiting and time.perf_counter() < deadline:
            yield [waiting.popleft() for _ in range(min(self.size, most, 1 + (len(waiting) - 1) // shares))]

    def learn(self, n: int, seconds: float) -> None:
        """``n`` frames took so long."""
        self.size = int(np.clip(CHUNK_SECONDS * n / max(seconds, 1e-9), 1, max(self.size, GROWTH * n)))


def compute(
    frames: Sequence[Atoms],
    todo: Sequence[int],
    calculator: Calculator | Teacher,
    n_jobs: int,
    deadline: float,
    pace: Pace,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of the frames numbered ``todo``, as they come: (number, ``{"error": …}`` or energy, forces, perhaps stress …).

    Nothing is begun after the ``deadline`` (of `time.perf_counter`).
    """
    many = hasattr(calculator, "evaluate")  # it takes many shapes of one molecule at a time
    prepared = _packs if many else _bare
    waiting, processes = deque(todo), min(n_jobs, len(todo)) if n_jobs > 0 else n_jobs
    packed = _packed(calculator) if processes != 1 and waiting and time.perf_counter() < deadline else None
    while waiting and time.perf_counter() < deadline:
        if packed:
            chunks = pace.chunks(waiting, deadline, PACK, SHARES * (processes if processes > 0 else usable_cores()))
            runs = _quietly(in_parallel(_at_work, ((prepared(frames, c), *packed) for c in chunks), processes))
        else:
            chunks = pace.chunks(waiting, deadline, PACK if many else 1, shares=1)
            runs = (_timed(prepared(frames, chunk), calculator) for chunk in chunks)
        for seconds, results, left in runs:
            waiting.extendleft(reversed(left))  # where frames take longer than the ones before did
            new = list(_unpacked(results))
            pace.learn(len(new), seconds)
            yield from new


def _packed(calculator):
    """The calculator as bytes, which every process unpacks once, and a mark to know it by."""
    from joblib.externals.loky.backend.reduction import dumps

    if hasattr(calculator, "reset"):
        calculator.reset()  # what it keeps of a structure may be a handle that no other process can take
    try:
        packed = bytes(dumps(calculator))
    except Exception as error:
        name = type(calculator).__name__
        raise TypeError(f"{name} cannot be handed to other processes ({error}): n_jobs=1 is expected") from error
    return hashlib.sha256(packed).digest(), packed


def _at_work(pieces, mark, packed):
    """In a process that works for another; it keeps the calculator, and what that has learned, from chunk to chunk."""
    if getattr(_kept, "mark", None) != mark:
        _kept.calculator, _kept.mark = pickle.loads(packed), mark
    return _timed(pieces, _kept.calculator)


def _timed(pieces, calculator):
    """(seconds, what came out, indices of frames for which there was no time)."""
    started, results, pieces = time.perf_counter(), [], deque(pieces)
    while pieces and time.perf_counter() - started < LONGEST_SECONDS:
        piece = pieces.popleft()
        results.append((_single if len(piece) == 2 else _evaluate)(piece, calculator))
    left = [index for piece in pieces for index in np.atleast_1d(piece[0]).tolist()]
    return time.perf_counter() - started, results, left


def _quietly(runs):
    """The same, without joblib's warnings, and with Python's own filters while their taker is at work."""
    try:
        while True:
            with quiet_workers():
                run = next(runs, None)
            if run is None:
                return
            yield run
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that not all was taken
            runs.close()


def usable_cores() -> int:
    """Cores that this process may use: those of the machine, or fewer where it or its container is confined."""
    from joblib import cpu_count

    return cpu_count()


def side_by_side(work: Callable[..., Any], jobs: Iterable[tuple], n_jobs: int = -1) -> Iterator[Any]:
    """``work(*job)`` for each job, several at a time, each on a core of its own.

    Parameters
    ----------
    work
        A function, one of a notebook's own too; it runs in another process, and what it prints there is lost.
    jobs
        A tuple of arguments for each.
    n_jobs
        Processes; -1 for all cores.  With one, or one core, or one job, this process does it all.

    Yields
    ------
        Results in the order of the jobs, as soon as they are there.

    >>> list(side_by_side(pow, [(2, 3), (3, 2)], n_jobs=1))
    [8, 9]
    """
    check_jobs(n_jobs)
    if not callable(work) or isinstance(jobs, str) or not hasattr(jobs, "__iter__"):
        raise TypeError(f"work is {shown(work)}, jobs {shown(jobs)}; a function and a list of tuples are expected")
    jobs = list(jobs)
    processes = min(n_jobs if n_jobs > 0 else usable_cores(), len(jobs))
    if processes < 2:
        yield from itertools.starmap(work, jobs)
    else:
        yield from _quietly(in_parallel(work, jobs, processes, in_order=True))


def in_parallel(work: Callable[..., Any], jobs: Iterable[tuple], n_jobs: int, in_order: bool = False) -> Iterator[Any]:
    """Results of ``work(*job)`` as they come, or in the order of the jobs: from processes of joblib's, or from a Dask
    cluster if one is active.

    The processes end when this one does, in whatever way.
    """
    from joblib import Parallel, delayed, parallel_config

    watch = {"initializer": _end_with, "initargs": (os.getpid(),)}
    with parallel_config("dask", n_jobs=-1) if _dask_is_active() else parallel_config("loky", n_jobs=n_jobs, **watch):
        workers = Parallel(return_as="generator" if in_order else "generator_unordered", batch_size=1)
    return workers(delayed(work)(*job) for job in jobs)


def _end_with(parent):
    """Let this process end soon after its parent was killed; it would wait for work for ever."""

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _dask_is_active():
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.default_client()
    except ValueError:
        return False
    return True


def _bare(frames, chunk):
    """[(index, frame)], without the calculators that frames may carry, which are not needed and may be large."""
    numbered = [(i, copy(frames[i])) for i in chunk]
    for _, atoms in numbered:
        atoms.calc = None
    return numbered


def _packs(frames, chunk):
    """[(indices, one frame, positions (n, N, 3))]: neighbours in the list that differ in their positions alone; boxes,
    each of which has a cell and a stress of its own, as [(index, frame)]."""
    packs: list[list[int]] = []
    for i in chunk:
        if packs and _same_molecule(frames[packs[-1][0]], frames[i]):
            packs[-1].append(i)
        else:
            packs.append([i])
    first = _bare(frames, [indices[0] for indices in packs])
    return [
        one if one[1].pbc.any() else (indices, one[1], np.array([frames[i].positions for i in indices]))
        for one, indices in zip(first, packs, strict=True)
    ]


def _same_molecule(one, other):
    if one.pbc.any() or other.pbc.any() or not np.array_equal(one.numbers, other.numbers):
        return False
    return same_electrons(one, other)


def _evaluate(pack, calculator):
    """Of a pack: its indices, energies (n,), forces (n, N, 3), {index: error}."""
    indices, atoms, positions = pack
    energies, forces, errors = np.full(len(positions), np.nan), np.full(positions.shape, np.nan), {}
    sound = are_sound(positions)
    if sound.any():
        try:
            energies[sound], forces[sound] = _shaped(calculator.evaluate(atoms, positions[sound]), positions[sound])
        except Exception as error:  # noqa: BLE001  reported, as in _single_point
            return indices, energies, forces, dict.fromkeys(indices, f"{type(error).__name__}: {error}")
    for k in np.flatnonzero(~(np.isfinite(energies) & np.isfinite(forces).all(axis=(1, 2)))):
        one = atoms.copy()
        one.positions = positions[k]
        result = _single_point(one, calculator)  # it says what is wrong
        if "error" in result:
            errors[indices[k]] = result["error"]
        else:
            energies[k], forces[k] = result["energy"], result["forces"]
    return indices, energies, forces, errors


def _shaped(labels, positions):
    """Energies (n,) and forces (n, N, 3) of positions (n, N, 3); numpy would stretch other shapes silently."""
    energies, forces = (np.asarray(values, dtype=float) for values in labels)
    _check_shape("energies", energies, positions.shape[:1])
    _check_shape("forces", forces, positions.shape)
    return energies, forces


def _check_shape(name, values, shape):
    if values.shape != shape:
        raise ValueError(f"the calculator returned {name} of shape {values.shape}; {shape} is expected")


def _unpacked(results):
    for result in results:
        if len(result) == 2:
            yield result
            continue
        indices, energies, forces, errors = result
        for k, i in enumerate(indices):
            yield i, {"error": errors[i]} if i in errors else {"energy": float(energies[k]), "forces": forces[k]}


def _single(numbered, calculator):
    return numbered[0], _single_point(numbered[1], calculator)


def _single_point(atoms: Atoms, calculator: Any) -> dict[str, Any]:
    """Energy, forces, perhaps stress, and what the calculator records; or the error, as text."""
    try:
        check_structure(atoms)
        energy = float(calculator.get_potential_energy(atoms))
        arrays = {"forces": np.array(calculator.get_forces(atoms), dtype=float)}
        _check_shape("forces", arrays["forces"], (len(atoms), 3))
        if atoms.pbc.all():
            with suppress(PropertyNotImplementedError, NotImplementedError):
                arrays["stress"] = np.array(calculator.get_stress(atoms), dtype=float)
                _check_shape("stress", arrays["stress"], (6,))
        if not np.isfinite(energy) or not all(np.isfinite(values).all() for values in arrays.values()):
            raise ValueError("the calculator returned a number that is not finite")
    except Exception as error:  # noqa: BLE001  one bad frame must not end a long run; it is reported
        return {"error": f"{type(error).__name__}: {error}"}
    record = getattr(calculator, "record", {}).items()  # as plain values, which a journal gives back unchanged
    return {"energy": energy, **arrays, "record": {k: v.tolist() if hasattr(v, "tolist") else v for k, v in record}}


@contextmanager
def quiet_workers() -> Iterator[None]:
    """Processes that have grown are replaced by fresh ones, which costs nothing; joblib warns of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        yield
