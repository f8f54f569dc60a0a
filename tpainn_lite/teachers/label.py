"""`label`: the one door through which labels enter, classical or DFT.

`label(frames, calculator)` asks any ASE calculator for energies and forces: in parallel, with a journal that
survives interruptions, skipping and reporting what the calculator cannot do.
"""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing
from copy import copy, deepcopy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.structures.arguments import check_calculator, check_numbers, shown
from tpainn_lite.structures.files import orderly_end
from tpainn_lite.structures.protocols import Teacher
from tpainn_lite.teachers.computing import Pace, compute
from tpainn_lite.teachers.journal import LabelJournal, level_of
from tpainn_lite.teachers.parallel import Jobs, check_jobs

BLOCK = 4000  # frames of a stream that are in memory at a time


def label(
    frames: Iterable[Atoms],
    calculator: Calculator | Teacher,
    path: Path | str | None = None,
    n_jobs: Jobs = 1,
    progress: bool = True,
    time_limit: float | None = None,
) -> list[Atoms]:
    """Ask a calculator for the energy and forces of each frame.

    Any ASE calculator will do: a force field (cheap) or DFT (expensive).  A frame that the calculator cannot
    do is skipped and reported at the end; the others are kept.  Constraints change no label: forces are the
    calculator's own, on fixed atoms too.

    Parameters
    ----------
    calculator
        Copied into each process, where several are to work.
    path
        Keep each label here as soon as it is made (JSON lines).  Interrupted, call again: what is there is not redone.
        The file belongs to this teacher and its constants; other frames of the same teacher may be added.  A frame is
        recognised by its ``info["id"]``, or else by its place in the list, and by its atoms, positions, cell and what
        else a teacher may look at (SMILES, charge, masses, magnetic moments, ...).
    n_jobs
        Processes (joblib); -1 for all cores.  Or a Dask client, or any `concurrent.futures.Executor`: its workers
        label, and the journal stays here.
    progress
        Show a progress bar.
    time_limit : seconds
        Begin nothing more after so long and return what is labelled; 0 collects what ``path`` holds.

    Returns
    -------
        Copies of the frames, in the same order, with energy (eV), forces (N, 3) (eV/Å) and, where the calculator
        has it, stress (6,) (eV/Å³) attached, and ``info["level"]`` naming the calculator; a calculator's ``record`` (a
        dict: cycles, seconds) is added to ``info``.

    Raises
    ------
    ValueError, TypeError
        There are no frames, none could be labelled, or something else than frames or a calculator was given.
    FileExistsError, IdentityError
        ``path`` is no journal of this version, or of another teacher or other constants; it is left as it was.
    OSError
        Full disk, read-only folder, or another process writes the same journal; what was done is kept.

    >>> from tpainn_lite import mmff94, molecule
    >>> label([molecule("CCO")], mmff94(), progress=False)[0].get_forces().shape
    (9, 3)
    """
    check_request(frames, calculator, n_jobs)
    if time_limit is None:
        time_limit = np.inf
    elif time_limit != np.inf:
        check_numbers(least=0, time_limit=time_limit)
    deadline, frames = time.perf_counter() + time_limit, _listed(frames, progress)
    if not frames:
        raise ValueError("no frames to label: a list of at least one ase.Atoms is expected")
    with orderly_end(), LabelJournal(path, calculator, only_read=time_limit == 0) as journal:
        bar = progress_bar(frames, calculator, progress)
        with closing(in_order(frames, calculator, journal, n_jobs, bar, deadline, len(frames))) as labelled:
            return list(labelled)


def label_stream(
    frames: Iterable[Atoms], calculator: Calculator | Teacher, n_jobs: Jobs = 1, progress: bool = True
) -> Iterator[Atoms]:
    """As `label`, for more frames than one wants in memory: takes any iterable, hands back one frame after the other.

    Yields
    ------
        Labelled copies, in the same order; frames that the calculator cannot do are skipped and reported at the end.

    Raises
    ------
    ValueError, TypeError
        As `label`, but at the end, or at the frame that is none.

    >>> from tpainn_lite import mmff94, molecule
    >>> [a.info["level"] for a in label_stream((molecule(s) for s in ("C", "CC")), mmff94(), progress=False)]
    ['MMFF94', 'MMFF94']
    """
    check_request(frames, calculator, n_jobs)
    bar = progress_bar(frames, calculator, progress)
    return in_order(checked(frames), calculator, LabelJournal(None, calculator), n_jobs, bar)


def in_order(
    frames: Iterable[Atoms],
    calculator: Calculator | Teacher,
    journal: LabelJournal,
    n_jobs: Jobs,
    bar: Any,
    deadline: float = np.inf,
    block_size: int | None = None,
) -> Generator[Atoms, None, None]:
    """Labelled copies of `checked` frames, each as soon as those before it are done; at the end, what was skipped.

    Labels are taken from the journal, or kept in it as they come.  Of the frames, ``block_size`` are taken at a time;
    nothing is begun after the ``deadline`` (of `time.perf_counter`).
    """
    level, started, waiting = level_of(calculator), time.perf_counter(), iter(frames)
    ask = partial(compute, calculator=calculator, n_jobs=n_jobs, deadline=deadline, pace=Pace())
    n_given = n_done = n_failed = 0
    first_error = None
    with bar:
        while block := list(islice(waiting, block_size or BLOCK)):
            for k, result in _results(block, n_given, ask, journal, bar):
                if "error" in result:
                    n_failed, first_error = n_failed + 1, first_error or (n_given + k, result["error"])
                else:
                    n_done += 1
                    yield _labelled(block[k], result, level_of(calculator, block[k]))
            n_given += len(block)
    if first_error and not n_done:
        index, reason = first_error
        raise ValueError(f"{level} could label none of the {n_given} frames; the first (frame {index}): {reason}")
    if first_error:
        skipped = f"{n_failed} of {n_given} frames skipped in {time.perf_counter() - started:.0f} s"
        print(f"{level}: {skipped}; first, frame {first_error[0]}: {first_error[1]}", file=sys.stderr)


def _results(
    block: list[Atoms], first: int, ask: Callable[..., Any], journal: LabelJournal, bar: Any
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(index, labels or ``{"error": …}``) of a block of frames, in order; fewer where the time is up."""
    results, k = journal.kept(block, first), 0
    bar.update(len(results))
    with closing(ask(block, [i for i in range(len(block)) if i not in results], first=first)) as computed:
        for index, result in computed:
            bar.update()
            if "error" not in result:
                journal.append(first + index, block[index], result)
            results[index] = result
            while k in results:
                yield k, results.pop(k)
                k += 1
    yield from sorted(results.items())


def check_request(frames: Iterable[Atoms], calculator: Calculator | Teacher, n_jobs: Jobs) -> None:
    """Raise an error, before any work is done, where frames, calculator or number of processes cannot be ones."""
    check_calculator(calculator)
    check_jobs(n_jobs)
    if isinstance(frames, (Atoms, str, bytes, dict)) or not (hasattr(frames, "__iter__") or hasattr(frames, "__len__")):
        given = f"one ase.Atoms ({frames.symbols})" if isinstance(frames, Atoms) else shown(frames)
        raise TypeError(f"frames is {given}; a list of ase.Atoms is expected")


def checked(frames: Iterable[Atoms]) -> Iterator[Atoms]:
    """The same frames; TypeError for what is none."""
    for index, atoms in enumerate(frames):
        if not isinstance(atoms, Atoms):
            raise TypeError(f"frame {index} is {shown(atoms)}; an ase.Atoms is expected")
        yield atoms


def _listed(frames: Iterable[Atoms], progress: bool) -> list[Atoms]:
    """All of a stream's frames; a bar counts them, as making them may take longer than labelling them."""
    from tqdm.auto import tqdm

    is_there = isinstance(frames, Sized)
    return list(tqdm(checked(frames), "make frames", unit=" frames", disable=is_there or not progress))


def progress_bar(frames: Iterable[Atoms], calculator: Calculator | Teacher, progress: bool) -> Any:
    """For so many frames as there are, if that is known."""
    from tqdm.auto import tqdm

    total = len(frames) if isinstance(frames, Sized) else None
    return tqdm(total=total, desc=f"label with {level_of(calculator)}", unit=" frames", disable=not progress)


def _labelled(atoms: Atoms, result: dict[str, Any], level: str) -> Atoms:
    """A copy of the frame that carries its labels (and not the calculator that made them)."""
    frame, carrier = _twin(atoms), copy(_CARRIER)
    carrier.atoms = _twin(atoms, {})  # that it can see whether the atoms have moved
    carrier.results = {key: result[key] for key in ("energy", "forces", "stress") if key in result}
    frame.calc = carrier
    frame.info |= {"level": level, **result.get("record", {})}
    return frame


_CARRIER = SinglePointCalculator(Atoms())  # made once: making one takes longer than a force field's label


def _twin(atoms: Atoms, info: dict[str, Any] | None = None) -> Atoms:
    """`ase.Atoms.copy` in a fifth of its time, which cheap labels would spend on nothing else."""
    if atoms.constraints:
        return atoms.copy()
    twin = copy(atoms)
    twin._cellobj, twin._pbc, twin._celldisp = atoms._cellobj.copy(), atoms._pbc.copy(), atoms._celldisp.copy()
    twin.arrays = {name: array.copy() for name, array in atoms.arrays.items()}
    twin.info = deepcopy(atoms.info) if info is None else info
    twin.calc = None
    return twin
