"""Results of long work find a place on a disk, and what is there already is recognised before it is written over."""

import json
import tempfile
from pathlib import Path

from tpainn_lite.structures.files import check_target

LARGEST_HEADER = 10_000_000  # bytes of a weights file's header; ours have a few thousand


class SavedElsewhere(OSError):
    """What was to be saved could not go where it was to go; the message, and ``place``, say where it is instead."""

    def __init__(self, message, place):
        super().__init__(message)
        self.place = place


def save_somewhere(save, path, is_ours=None):
    """Save the result of long work; where its file cannot be written, under another name, so that it is not lost.

    Parameters
    ----------
    save : callable (Path)
        Writes the file whole or not at all: ``potential.save``.
    path : str or Path
        Where it is to go.
    is_ours : callable (Path) -> bool, optional
        Whether a file that is there by now may be written over; without it nothing may.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    SavedElsewhere
        It is next to ``path``, in the current folder or in the folder of temporary files.
    OSError
        None of them could be written either.
    """
    try:
        check_target(path, is_ours=is_ours)
        save(Path(path))
        return Path(path)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    for folder in (Path(path).parent, Path.cwd(), Path(tempfile.gettempdir())):
        try:
            place = _free_name(folder, Path(path).name)
            check_target(place)
            save(place)
        except (OSError, ValueError):
            continue
        raise SavedElsewhere(f"{path} could not be written ({reason}); the result is in {place} instead", place)
    raise OSError(f"{path} could not be written ({reason}), nor could another place: make room and do it again")


def _free_name(folder, name):
    """The first of ``stem-saved-1.suffix``, ``-2``, … that is not there."""
    stem, dot, suffix = name.partition(".")
    names = (folder / f"{stem}-saved-{k}{dot}{suffix}" for k in range(1, 1000))
    return next((place for place in names if not place.exists()), folder / name)


def is_weights(path):
    """Whether a file holds weights that this library has written: by its header, whatever its name.

    Parameters
    ----------
    path : str or Path
    """
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if 0 < size < LARGEST_HEADER else {}
        return "tpainn_lite" in header.get("__metadata__", {})
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return False
