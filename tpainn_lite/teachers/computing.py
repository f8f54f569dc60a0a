"""What a calculator says of many frames: here or by others, one frame or many shapes of a molecule at a time.

A calculator with a method ``evaluate(atoms, positions)`` gets many shapes of a molecule at once, which spares cheap
force fields the bookkeeping of `ase.calculators` (ten times their own work); any other gets frame by frame.
"""

import hashlib
import pickle
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError

from tpainn_lite.structures.charges import same_electrons
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import are_sound
from tpainn_lite.structures.protocols import Teacher
from tpainn_lite.teachers.parallel import Jobs, executor_of, in_parallel, n_workers, packed_bytes

CHUNK_SECONDS = 1.0  # work handed to a process at once; when it is done its labels are handed back, and kept
LONGEST_SECONDS = 3.0  # after so long a process hands back what it has not begun, too
PACK = 500  # frames handed over at once, at most
SHARES = 4  # pieces for each process, at least, into which what is left is divided
GROWTH = 4  # how many times as many frames as before are handed over, at most

_kept = threading.local()  # in a process that works for another: the calculator of the last chunk, and its mark


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
    n_jobs: Jobs,
    deadline: float,
    pace: Pace,
    first: int = 0,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Of the frames numbered ``todo``, as they come: (number, ``{"error": …}`` or energy, forces, perhaps stress …).

    Nothing is begun after the ``deadline`` (of `time.perf_counter`).  ``first`` is what errors call the first frame.
    """
    many = hasattr(calculator, "evaluate")  # it takes many shapes of one molecule at a time
    prepared = _packs if many else _bare
    waiting, workers = deque(todo), executor_of(n_jobs) or min(n_workers(n_jobs), len(todo))
    packed = _packed(calculator) if workers != 1 and waiting and time.perf_counter() < deadline else None
    called = partial(_called, first)
    while waiting and time.perf_counter() < deadline:
        if packed:
            chunks = pace.chunks(waiting, deadline, PACK, SHARES * n_workers(workers))
            pieces = ((prepared(frames, chunk), *packed) for chunk in chunks)
            runs = in_parallel(_at_work, pieces, workers, called=called)
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
    if hasattr(calculator, "reset"):
        calculator.reset()  # what it keeps of a structure may be a handle that no other process can take
    try:
        packed = packed_bytes(calculator)
    except Exception as error:
        name = type(calculator).__name__
        raise TypeError(f"{name} cannot be handed to other processes ({error}): n_jobs=1 is expected") from error
    return hashlib.sha256(packed).digest(), packed


def _at_work(pieces, mark, packed):
    """In a process that works for another; it keeps the calculator, and what that has learned, from chunk to chunk."""
    if getattr(_kept, "mark", None) != mark:
        _kept.calculator, _kept.mark = pickle.loads(packed), mark
    return _timed(pieces, _kept.calculator)


def _called(first, pieces, *_):
    """The frames that were handed over together, in words."""
    numbers = [first + index for piece in pieces for index in np.atleast_1d(piece[0]).tolist()]
    return f"frame {numbers[0]}" if len(numbers) == 1 else f"one of the frames {numbers[0]} to {numbers[-1]}"


def _timed(pieces, calculator):
    """(seconds, what came out, indices of frames for which there was no time)."""
    started, results, pieces = time.perf_counter(), [], deque(pieces)
    while pieces and time.perf_counter() - started < LONGEST_SECONDS:
        piece = pieces.popleft()
        results.append((_single if len(piece) == 2 else _evaluate)(piece, calculator))
    left = [index for piece in pieces for index in np.atleast_1d(piece[0]).tolist()]
    return time.perf_counter() - started, results, left


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
