"""Labelling from file to file, for more frames than one wants in memory; killed at any moment, it goes on.

What is done waits in ``<output>.part``, in the order of the input; only a finished file gets its name.
"""

import io
import itertools
import lzma
import os
import shutil
from pathlib import Path

from tpainn_lite.checks import DatasetError
from tpainn_lite.label_work import GrowingFile
from tpainn_lite.labels import BLOCK, label_stream

WRITE = 200  # frames written at once


def label_file(frames, calculator, path, n_jobs=1, progress=True):
    """Label any number of frames into an extended XYZ file.

    Parameters
    ----------
    frames : iterable of ase.Atoms
        May be a generator; called again after an interruption, it must give the same frames in the same order.
        Each is recognised by its ``info["id"]``, which becomes its place in the order where there is none.
    calculator : ase Calculator
    path : str or Path
        ``.extxyz``, or ``.extxyz.xz`` for a compressed file.
    n_jobs : int
        Processes.

    Returns
    -------
    int
        Frames in the file.

    Raises
    ------
    FileExistsError
        Nothing is overwritten.
    DatasetError
        ``<path>.part`` belongs to other frames.
    OSError
        Full disk, read-only folder; what was done is kept.
    """
    path, part = Path(path), Path(f"{path}.part")
    if path.exists():
        raise FileExistsError(f"{path} is there already; remove it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    n_done, last = _finished_part(part)
    todo = _after(last, _with_ids(frames), part)
    with GrowingFile(part) as file:
        first = list(itertools.islice(todo, BLOCK))
        if first:
            labelled = label_stream(itertools.chain(first, todo), calculator, n_jobs, progress)
            n_done += _write_all(labelled, file, n_done)
    if n_done == 0:
        part.unlink()
        raise ValueError("no frames to label: at least one is expected")
    _publish(part, path)
    return n_done


def _with_ids(frames):
    seen = set()
    for index, atoms in enumerate(frames):
        if "id" not in atoms.info:
            atoms = atoms.copy()
            atoms.info["id"] = str(index)
        name = str(atoms.info["id"])
        if name in seen:
            raise DatasetError(f"frame {index} has the id {name!r} of an earlier frame; each needs one of its own")
        seen.add(name)
        yield atoms


def _after(last, frames, part):
    """The frames that come after the one with this id; all of them if it is None."""
    if last is None:
        yield from frames
        return
    for atoms in frames:
        if str(atoms.info["id"]) == last:
            yield from frames
            return
    raise DatasetError(
        f"{part} ends with a frame {last!r} that is not in the input: it belongs to another run; remove it"
    )


def _write_all(labelled, file, n_before):
    """Append frames; says how many."""
    n = 0
    try:
        while batch := _text_of(itertools.islice(labelled, WRITE)):
            file.append(batch[0])
            n += batch[1]
    except ValueError:  # nothing of what was left could be labelled: an error only if there was nothing before
        if n_before == 0:
            raise
    return n


def _text_of(frames):
    from ase.io import write

    frames, text = list(frames), io.StringIO()
    if not frames:
        return None
    write(text, frames, format="extxyz")
    return text.getvalue(), len(frames)


def _finished_part(part):
    """(number of whole frames, id of the last one) of an interrupted run; what is torn after them is cut off."""
    if not part.exists():
        return 0, None
    n, end, header = 0, 0, b""
    with open(part, "rb") as file:
        while (count := file.readline()).strip().isdigit() and count.endswith(b"\n"):
            lines = [file.readline() for _ in range(int(count) + 1)]
            if not lines[-1].endswith(b"\n"):
                break
            n, end, header = n + 1, file.tell(), lines[0]
    os.truncate(part, end)
    return n, _id_in(header.decode()) if n else None


def _id_in(header):
    from ase.io.extxyz import key_val_str_to_dict

    return str(key_val_str_to_dict(header.strip())["id"])


def _publish(part, path):
    if path.suffix != ".xz":
        os.replace(part, path)
        return
    packed = Path(f"{path}.packing")
    with open(part, "rb") as source, lzma.open(packed, "wb", preset=6) as target:
        shutil.copyfileobj(source, target)
    os.replace(packed, path)
    part.unlink()
