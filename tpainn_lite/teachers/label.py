"""`label`: the one door through which labels enter, classical or DFT.

`label(frames, calculator)` asks any ASE calculator for energies and forces: in parallel, with a journal that
survives interruptions, skipping and reporting what the calculator cannot do.
"""

import sys
import time
from contextlib import closing
from copy import copy, deepcopy
from itertools import islice

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.structures.arguments import check_calculator, check_numbers
from tpainn_lite.structures.files import orderly_end
from tpainn_lite.structures.identity import fingerprint, identity
from tpainn_lite.teachers.journal import LabelJournal
from tpainn_lite.teachers.parallel import Pace, check_jobs, compute

BLOCK = 4000  # frames of a stream that are in memory at a time


def label(frames, calculator, path=None, n_jobs=1, progress=True, time_limit=None):
    """Ask a calculator for the energy and forces of each frame.

    Any ASE calculator will do: a force field (cheap) or DFT (expensive).  A frame that the calculator cannot
    do is skipped and reported at the end; the others are kept.  Constraints change no label: forces are the
    calculator's own, on fixed atoms too.

    Parameters
    ----------
    frames : list of ase.Atoms
    calculator : ase Calculator
        Copied into each process when ``n_jobs`` > 1.
    path : str or Path, optional
        Keep each label here as soon as it is made (JSON lines).  Interrupted, call again: what is there is not redone.
        The file belongs to this teacher and its constants; other frames of the same teacher may be added.  A frame is
        recognised by its ``info["id"]``, or else by its place in the list, and by its atoms, positions, cell and what
        else a teacher may look at (SMILES, charge, masses, magnetic moments, ...).
    n_jobs : int
        Processes (joblib); -1 for all cores.
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
    TypeError
        Something else than frames, or than a calculator, was given.
    FileExistsError
        ``path`` is no journal; it is left as it was.
    IdentityError
        ``path`` was made by another teacher, or by one with other constants.
    OSError
        Full disk, read-only folder, or another process writes the same journal; what was done is kept.

    >>> from tpainn_lite import mmff94, molecule
    >>> label([molecule("CCO")], mmff94(), progress=False)[0].get_forces().shape
    (9, 3)
    """
    check_request(frames, calculator, n_jobs)
    if time_limit is not None and time_limit != np.inf:
        check_numbers(least=0, time_limit=time_limit)
    frames = list(frames)
    for index, atoms in enumerate(frames):
        check_frame(atoms, index)
    if not frames:
        raise ValueError("no frames to label: a list of at least one ase.Atoms is expected")
    level, started = _level(calculator), time.perf_counter()
    deadline = started + (np.inf if time_limit is None else time_limit)
    report, made_from = _Report(level), teacher_identity(calculator) if path else {}
    with orderly_end(), LabelJournal(path, made_from, level, only_read=time_limit == 0) as journal:
        done = journal.kept(frames)
        todo = [i for i in range(len(frames)) if i not in done]
        new = compute(frames, todo, calculator, n_jobs, deadline)
        with _bar(len(todo), level, progress) as bar, closing(new):
            for index, result in new:
                bar.update()
                if "error" in result:
                    report.failed(index, result["error"])
                else:
                    done[index] = result
                    journal.append(index, frames[index], result)
    report.finish(len(done), len(todo), report.n_failed)
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
    check_request(frames, calculator, n_jobs)
    return (atoms for _, atoms in numbered_labels(frames, calculator, n_jobs, progress))


def numbered_labels(frames, calculator, n_jobs=1, progress=True, n_before=0, n_done=0):
    """As `label_stream`, with the place of each frame among those given.

    Parameters
    ----------
    n_before, n_done : int
        Frames that came before these, in an earlier call, and how many of them were labelled.

    Yields
    ------
    (int, ase.Atoms)
        As soon as the frames before it are done; of ``frames``, `BLOCK` are taken at a time.
    """
    level, n = _level(calculator), n_before
    report, total = _Report(level), getattr(frames, "__len__", lambda: None)()
    waiting, pace = iter(frames), Pace()
    with _bar(total, level, progress) as bar:
        while block := list(islice(waiting, BLOCK)):
            for k, atoms in enumerate(block):
                check_frame(atoms, n + k)
            with closing(compute(block, range(len(block)), calculator, n_jobs, np.inf, pace)) as results:
                for k, result in _in_order(results):
                    bar.update()
                    if "error" in result:
                        report.failed(n + k, result["error"])
                    else:
                        n_done += 1
                        yield n + k, _labelled(block[k], result, level)
            n += len(block)
    report.finish(n_done, n, n - n_done)


def _in_order(results):
    """(0, result), (1, result), ... of results that come in any order."""
    early, k = {}, 0
    for index, result in results:
        early[index] = result
        while k in early:
            yield k, early.pop(k)
            k += 1


def check_request(frames, calculator, n_jobs):
    """Raise an error, before any work is done, where frames, calculator or number of processes cannot be ones."""
    check_calculator(calculator)
    check_jobs(n_jobs)
    if isinstance(frames, (Atoms, str, bytes, dict)) or not (hasattr(frames, "__iter__") or hasattr(frames, "__len__")):
        given = f"one ase.Atoms ({frames.symbols})" if isinstance(frames, Atoms) else repr(frames)[:60]
        raise TypeError(f"frames is {given}; a list of ase.Atoms is expected")


def check_frame(atoms, index):
    """Raise `TypeError` unless this is a frame."""
    if not isinstance(atoms, Atoms):
        raise TypeError(f"frame {index} is {repr(atoms)[:60]}; an ase.Atoms is expected")


def teacher_identity(calculator):
    """What its labels are kept with: its name, and its constants (`tpainn_lite.structures.identity.identity`)."""
    parameters = dict(getattr(calculator, "parameters", None) or {})
    plain = {name: value for name, value in parameters.items() if isinstance(value, (bool, int, float, str))}
    plain = {f"{name} of the teacher": value for name, value in plain.items()}
    return identity(teacher=_level(calculator), **plain, constants_of_the_teacher=fingerprint(calculator))


def _level(calculator):
    return str(getattr(calculator, "level", type(calculator).__name__))


def _labelled(atoms, result, level):
    """A copy of the frame that carries its labels (and not the calculator that made them)."""
    frame, carrier = _twin(atoms), copy(_CARRIER)
    carrier.atoms = _twin(atoms, {})  # that it can see whether the atoms have moved
    carrier.results = {key: result[key] for key in ("energy", "forces", "stress") if key in result}
    frame.calc = carrier
    frame.info |= {"level": level, **result.get("record", {})}
    return frame


_CARRIER = SinglePointCalculator(Atoms())  # made once: making one takes longer than a force field's label


def _twin(atoms, info=None):
    """`ase.Atoms.copy` in a fifth of its time, which cheap labels would spend on nothing else."""
    if atoms.constraints:
        return atoms.copy()
    twin = copy(atoms)
    twin._cellobj, twin._pbc, twin._celldisp = atoms._cellobj.copy(), atoms._pbc.copy(), atoms._celldisp.copy()
    twin.arrays, twin.info = {name: array.copy() for name, array in atoms.arrays.items()}, info
    if info is None:
        twin.info = deepcopy(atoms.info)
    twin.calc = None
    return twin


def _bar(total, level, progress):
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=f"label with {level}", unit=" frames", disable=not progress)


class _Report:
    """How many frames were skipped, and why the first of them."""

    def __init__(self, level):
        self.level, self.n_failed, self.first, self.started = level, 0, None, time.perf_counter()

    def failed(self, index, reason):
        self.n_failed += 1
        if self.first is None or index < self.first[0]:
            self.first = index, reason

    def finish(self, n_done, n_tried, n_skipped):
        """Say it; if nothing at all is labelled, that is an error."""
        if not n_skipped:
            return
        index, reason = self.first or (None, "an earlier call said why")
        if not n_done:
            raise ValueError(
                f"{self.level} could label none of the {n_tried} frames; the first (frame {index}): {reason}"
            )
        seconds = time.perf_counter() - self.started
        why = reason if index is None else f"first, frame {index}: {reason}"
        print(f"{self.level}: {n_skipped} of {n_tried} frames skipped in {seconds:.0f} s; {why}", file=sys.stderr)
