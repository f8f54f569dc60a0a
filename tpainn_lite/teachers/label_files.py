"""Labelling from file to file, for more frames than one wants in memory; killed at any moment, it can be resumed.

What is done waits in the journal ``<output>.part`` (`tpainn_lite.teachers.journal`); only a finished file gets its
name.
"""

import io
import lzma
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from copy import copy
from itertools import islice
from pathlib import Path

from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.stress import voigt_6_to_full_3x3_stress

from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.files import check_target, orderly_end, path_of
from tpainn_lite.structures.protocols import Teacher
from tpainn_lite.teachers.journal import LabelJournal
from tpainn_lite.teachers.label import check_request, checked, in_order, progress_bar
from tpainn_lite.teachers.parallel import Jobs

WRITE = 200  # frames written at once
SUFFIXES = (".extxyz", ".xyz", ".extxyz.xz", ".xyz.xz")


def label_file(
    frames: Iterable[Atoms],
    calculator: Calculator | Teacher,
    path: Path | str,
    n_jobs: Jobs = 1,
    progress: bool = True,
    levels: Counter[str] | None = None,
) -> int:
    """Label any number of frames into an extended XYZ file.

    Parameters
    ----------
    frames
        May be a generator; called again after an interruption, it must give the same frames in the same order.
        Each needs an ``info["id"]`` of its own, which becomes its place in the order where there is none.
    path
        ``.extxyz``, or ``.extxyz.xz`` for a compressed file.
    n_jobs
        Processes, -1 for all cores; a Dask client; or an executor, as of `label`.
    levels
        Is given how many frames in the file have which level of theory.

    Returns
    -------
        Number of frames in the file.

    Raises
    ------
    FileExistsError, IdentityError
        Nothing is overwritten, nor is ``<path>.part`` of another teacher or of other frames, which is left as it was.
    DatasetError, TypeError
        Two frames have one id, or something else than frames or a calculator was given.
    OSError
        Full disk, read-only folder, or another process writes the same file; what was done is kept.

    >>> import tempfile
    >>> from tpainn_lite import mmff94, shaken_molecules
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     label_file(shaken_molecules(["CO"], 3), mmff94(), f"{folder}/methanol.extxyz", progress=False)
    3
    """
    check_request(frames, calculator, n_jobs)
    target = path_of(path)
    check_target(target, suffixes=SUFFIXES)
    part = target.with_name(f"{target.name}.part")
    with orderly_end(), LabelJournal(part, calculator, same_frames=True) as journal:
        check_target(target)  # another process may just have finished
        bar = progress_bar(frames, calculator, progress)
        with closing(in_order(_with_ids(frames), calculator, journal, n_jobs, bar)) as labelled:
            n = _write(_counted(labelled, Counter() if levels is None else levels), target, journal)
    part.unlink()
    return n


def _with_ids(frames: Iterable[Atoms]) -> Iterator[Atoms]:
    seen = set()
    for index, atoms in enumerate(checked(frames)):
        if "id" not in atoms.info:
            atoms = copy(atoms)  # a shallow one: its labelled copy will share nothing with what was given
            atoms.info = {**atoms.info, "id": str(index)}
        name = str(atoms.info["id"])
        if name in seen:
            raise DatasetError(f"frame {index} has the id {name!r} of an earlier frame; each needs one of its own")
        seen.add(name)
        yield atoms


def _counted(labelled: Iterator[Atoms], levels: Counter[str]) -> Iterator[Atoms]:
    for atoms in labelled:
        levels[atoms.info["level"]] += 1
        yield atoms


def _write(labelled: Iterator[Atoms], path: Path, journal: LabelJournal) -> int:
    """Write the frames as they come, under another name, and give the finished file its own; their number."""
    if not (batch := list(islice(labelled, WRITE))):
        raise ValueError("no frames to label: at least one is expected")
    packing, n = path.with_name(f".{path.name}.packing"), 0
    try:
        check_target(packing, is_ours=lambda _: True)
        with open(packing, "wb") as raw:
            with lzma.open(raw, "wb", preset=6) if path.suffix == ".xz" else nullcontext(raw) as file:
                while batch:
                    file.write(_text_of(batch))
                    n += len(batch)
                    batch = list(islice(labelled, WRITE))
            raw.flush()
            os.fsync(raw.fileno())
        journal.check_all_used()
        _rename_to_new(packing, path)
    except FileExistsError as error:
        reason = f"was made by something else in the meantime; the labels are in {journal.path}"
        raise FileExistsError(f"{path} {reason}: move the first away and call again") from error
    except OSError as error:
        if error.filename is not None:  # it says which file it is about
            raise
        reason = f"{error.strerror}; the labels are in {journal.path}: make room and call again"
        raise OSError(error.errno, reason, str(packing)) from error
    finally:
        packing.unlink(missing_ok=True)
    return n


def _text_of(frames: list[Atoms]) -> bytes:
    """Extended XYZ; labels are put where ASE's writer would put them, in a copy, which takes a quarter of the time."""
    from ase.io.extxyz import write_xyz

    for atoms in frames:
        results = atoms.calc.results
        if there := results.keys() & {*atoms.info, *atoms.arrays}:
            raise DatasetError(f"{atoms.symbols} has {', '.join(there)} in info or arrays already; remove it there")
        atoms.info["energy"], atoms.arrays["forces"] = results["energy"], results["forces"]
        if "stress" in results:
            atoms.info["stress"] = voigt_6_to_full_3x3_stress(results["stress"])
    text = io.StringIO()
    write_xyz(text, frames, write_results=False)
    return text.getvalue().encode()


def _rename_to_new(file: Path, path: Path) -> None:
    """Rename, but never onto a file that is there."""
    try:
        os.link(file, path)
    except FileExistsError:
        raise
    except OSError:  # no links on this disk
        if os.path.lexists(path):
            raise FileExistsError(str(path)) from None
        os.replace(file, path)
