"""Who computes the labels: this process, others on this machine, or a Dask cluster; one frame or many at a time.

A calculator with a method ``evaluate(atoms, positions)`` gets many shapes of a molecule at once, which spares cheap
force fields the bookkeeping of `ase.calculators` (ten times their own work); any other gets frame by frame.
"""

import itertools
import os
import sys
import time
import warnings
from contextlib import contextmanager, suppress

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError

from tpainn_lite.checks import are_sound, check_structure

CHUNK_SECONDS = 60  # work handed to a process at once, in parallel labelling
PACK = 500  # frames handed over at once, where the calculator takes many at a time
SYNC_SECONDS = 1.0  # what is done is pressed onto the disk at least this often


class GrowingFile:
    """A text file that grows for hours: what is in it stays, and a full disk is an error that says what to do."""

    def __init__(self, path):
        self.path, self.file, self.synced = path, None, time.perf_counter()

    def __enter__(self):
        self.file = open(self.path, "a", encoding="utf-8")
        return self

    def append(self, text):
        """Add some lines."""
        try:
            self.file.write(text)
            self.file.flush()
            if time.perf_counter() - self.synced > SYNC_SECONDS:
                os.fsync(self.file.fileno())
                self.synced = time.perf_counter()
        except OSError as error:
            told = f"{error.strerror}; the labels before this one are in it: make room and call again"
            raise OSError(error.errno, told, str(self.path)) from error

    def __exit__(self, *_):
        with suppress(OSError):  # a full disk has been reported by `append`
            self.file.close()


def compute(frames, todo, calculator, n_jobs, deadline):
    """Ask the calculator for some of the frames.

    Parameters
    ----------
    frames : list of ase.Atoms
    todo : sequence of int
        Which of them.
    deadline : float
        Begin nothing more at this time of `time.perf_counter`.

    Yields
    ------
    (int, dict)
        Index of a frame, as they come, and ``energy``, ``forces``, perhaps ``stress`` and ``record``; or ``error``.
    """
    many = hasattr(calculator, "evaluate")  # it takes many shapes of one molecule at a time
    parallel, size = n_jobs != 1 and len(todo) > 1, PACK if many else 1
    if parallel and not many and time.perf_counter() < deadline:
        first = _single_point(frames[todo[0]], calculator)  # its time decides how much work to hand out at once
        yield todo[0], first
        if hasattr(calculator, "reset"):
            calculator.reset()  # what it keeps of a structure may be a handle that no other process can take
        size = int(np.clip(CHUNK_SECONDS / first.get("seconds", 1.0), 1, 1 + len(todo) // (4 * abs(n_jobs))))
        todo = todo[1:]
    chunks = (todo[k : k + size] for k in range(0, len(todo), size))
    begun = itertools.takewhile(lambda _: time.perf_counter() < deadline, chunks)
    work = _evaluate if many else _single_points
    jobs = ((_packs(frames, chunk) if many else [(i, frames[i]) for i in chunk], calculator) for chunk in begun)
    for results in in_parallel(work, jobs, n_jobs) if parallel else itertools.starmap(work, jobs):
        yield from _unpacked(results) if many else results


def usable_cores():
    """Cores that this process may use: those of the machine, or fewer where it or its container is confined."""
    from joblib import cpu_count

    return cpu_count()


def in_parallel(work, jobs, n_jobs):
    """Results of ``work(*job)`` as they come: from processes of joblib's, or from a Dask cluster if one is active."""
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("dask", n_jobs=-1) if _dask_is_active() else parallel_config("loky", n_jobs=n_jobs):
        workers = Parallel(return_as="generator_unordered")
    return workers(delayed(work)(*job) for job in jobs)


def _dask_is_active():
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.default_client()
    except ValueError:
        return False
    return True


def _packs(frames, chunk):
    """[(indices, one frame, positions (n, N, 3))]: neighbours in the list that differ in their positions alone."""
    packs = []
    for i in chunk:
        same = packs and _same_molecule(frames[packs[-1][0]], frames[i])
        packs[-1].append(i) if same else packs.append([i])
    return [(indices, frames[indices[0]], np.array([frames[i].positions for i in indices])) for indices in packs]


def _same_molecule(one, other):
    return one.info.get("smiles") == other.info.get("smiles") and np.array_equal(one.numbers, other.numbers)


def _evaluate(packs, calculator):
    """[(indices, energies (n,), forces (n, N, 3), {index: error})] of packs."""
    return [(indices, *_evaluate_pack(indices, *pack, calculator)) for indices, *pack in packs]


def _evaluate_pack(indices, atoms, positions, calculator):
    energies, forces, errors = np.full(len(positions), np.nan), np.full(positions.shape, np.nan), {}
    sound = are_sound(positions)
    if sound.any():
        try:
            energies[sound], forces[sound] = calculator.evaluate(atoms, positions[sound])
        except Exception as error:  # noqa: BLE001  reported, as in _single_point
            return energies, forces, dict.fromkeys(indices, f"{type(error).__name__}: {error}")
    for k in np.flatnonzero(~(np.isfinite(energies) & np.isfinite(forces).all(axis=(1, 2)))):
        one = atoms.copy()
        one.positions = positions[k]
        result = _single_point(one, calculator)  # it says what is wrong
        if "error" in result:
            errors[indices[k]] = result["error"]
        else:
            energies[k], forces[k] = result["energy"], result["forces"]
    return energies, forces, errors


def _unpacked(packs):
    for indices, energies, forces, errors in packs:
        for k, i in enumerate(indices):
            yield i, {"error": errors[i]} if i in errors else {"energy": float(energies[k]), "forces": forces[k]}


def _single_points(numbered, calculator):
    return [(i, _single_point(frame, calculator)) for i, frame in numbered]


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


@contextmanager
def quiet_workers():
    """Processes that have grown are replaced by fresh ones, which costs nothing; joblib warns of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        yield
