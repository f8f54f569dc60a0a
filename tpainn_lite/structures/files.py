"""Files that can be trusted: written whole or not at all, by one process at a time, and never resumed by another run.

Whatever can be gone on with (a checkpoint, a journal of labels, a trajectory, a learning curve, a project's folder)
keeps an `identity`: what made it, name by name.  Who goes on compares it with `check_same` first.
"""

import functools
import glob
import hashlib
import json
import os
import platform
import signal
import stat
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = platform.node()  # in the names of temporary files: whose process it is
LARGEST_HEADER = 10_000_000  # bytes of a weights file's header; ours have a few thousand


# --- writing ---


def write_text(path, text):
    """Write a text file whole or not at all (temporary file, then rename)."""
    write_bytes(path, text.encode())


def write_bytes(path, content):
    """Write a file whole or not at all (temporary file beside it, then rename); missing folders are made."""
    path = path_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f".{path.name}.{HOST}-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # its name, not that of the temporary file
    finally:
        temporary.unlink(missing_ok=True)


@functools.cache
def _sweep(path):
    """Remove what processes that were killed while they wrote this file have left of it; once is enough."""
    from psutil import pid_exists

    for left in path.parent.glob(f".{glob.escape(path.name)}.{HOST}-*"):
        number = left.name.rpartition("-")[2]
        if number.isdigit() and not pid_exists(int(number)):
            left.unlink(missing_ok=True)


def path_of(path, name="path"):
    """A `Path`; TypeError for what is no name of a file or a folder."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} is {path!r}; the name of a file or a folder is expected")
    return Path(path)


def check_target(path, sources=(), suffixes=(), is_ours=None):
    """Raise an error, before any work is done, where its result could not be written or would destroy something.

    Parameters
    ----------
    path : str or Path
        File to be written; folders that are missing will be made then.
    sources : iterable of path
        Files that the work reads; None among them counts for nothing.
    suffixes : tuple of str
        Endings of the name that are possible; any unless given.
    is_ours : callable (Path) -> bool, optional
        Whether a file that is there already may be written over.  Without it nothing may.

    Raises
    ------
    ValueError
        A name with another ending, a folder, or a file that is read.
    FileExistsError
        A file is there that would be lost.
    OSError
        A trial write failed.
    """
    path = path_of(path)
    if suffixes and not path.name.endswith(tuple(suffixes)):
        raise ValueError(f"{path} was named to be written; a name that ends in {' or '.join(suffixes)} is expected")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; the name of a file to write is expected")
    if any(source is not None and _same_file(path, source) for source in sources):
        raise ValueError(f"{path} is read here, and would be overwritten: another name is expected")
    if os.path.lexists(path) and not (path.is_file() and is_ours is not None and is_ours(path)):
        raise FileExistsError(f"{path} is there already, and would be lost: name another file, or remove it")
    check_folder(path.parent)


def check_folder(folder):
    """Raise an error where no file could be written into this folder, or into the one that would be made."""
    there = path_of(folder, "folder").absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is no folder; {folder} was named as one to write into")
    try:
        with tempfile.TemporaryFile(dir=there) as trial:
            trial.write(b"trial")
    except OSError as error:
        raise OSError(f"nothing can be written into {there} ({error.strerror}): name another place") from None


def check_readable(path, expected="a file"):
    """The path, after a look whether there is a file to read: neither a folder, nor a pipe, nor a device, nor empty.

    Parameters
    ----------
    expected : str
        What should be there: "an extended XYZ file".

    Raises
    ------
    OSError
        In one sentence, what is there instead.
    """
    if not isinstance(path, (str, os.PathLike)) or "\0" in os.fsdecode(path):
        raise OSError(f"{path!r} is no name of a file; expected {expected}")
    path = Path(path)
    try:
        there = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {path}; expected {expected}") from None
    except OSError as error:
        raise OSError(f"{path} cannot be read ({error.strerror}); expected {expected}") from None
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(f"{path} is a folder; expected {expected}")
    if not stat.S_ISREG(there.st_mode):
        raise OSError(f"{path} is a pipe, a socket or a device; expected {expected}")
    if there.st_size == 0:
        raise OSError(f"{path} is empty; expected {expected}")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} may not be read by you; expected {expected}")
    return path


def _same_file(one, other):
    return Path(one).resolve() == Path(other).resolve() or (
        Path(one).exists() and Path(other).exists() and os.path.samefile(one, other)
    )


@contextmanager
def locked(path, wait=0.0):
    """Keep other processes that lock it too away from a file while this lasts.

    Parameters
    ----------
    wait : float
        Seconds to wait for another process; then OSError.
    """
    from filelock import FileLock, Timeout

    path = path_of(path)
    missing = [folder for folder in path.parents if not folder.exists()]  # the deepest first
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise OSError(f"{path} is being written by another process: wait for it, or name another file") from None
    try:
        yield
    finally:
        with suppress(OSError):  # others notice that the file they waited for is gone, and begin anew
            os.unlink(lock.lock_file)
        lock.release()
        with suppress(OSError):  # nothing was written: no folder stays that is empty
            for folder in missing:
                folder.rmdir()


@contextmanager
def orderly_end(error=None):
    """While this lasts, SIGTERM and SIGHUP end the process as `sys.exit` does: files are closed, other processes ended.

    Signals that are ignored (``nohup``), or that somebody else handles, stay as they are.

    Parameters
    ----------
    error : callable (int) -> BaseException, optional
        What to raise instead, from the number of the signal.
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may
    ours = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]

    def leave(number, _):
        _restore(ours, leave)
        raise error(number) if error else SystemExit(128 + number)

    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        _restore(ours, leave)


def _restore(numbers, handler):
    for number in numbers:
        if signal.getsignal(number) is handler:
            signal.signal(number, signal.SIG_DFL)


def sha256(path):
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


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
