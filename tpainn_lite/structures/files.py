"""Files that can be trusted: written whole or not at all, by one process at a time, never over something else."""

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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = platform.node()  # in the names of temporary files: whose process it is
LARGEST_HEADER = 10_000_000  # bytes of a weights file's header; ours have a few thousand


# --- looking first ---


def path_of(path: object, name: str = "path") -> Path:
    """A `Path`; TypeError for what is no name of a file or a folder."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} is {path!r}; the name of a file or a folder is expected")
    return Path(path)


def check_readable(path: object, expected: str = "a file") -> Path:
    """The path, where there is a file with something in it to read: no folder, pipe or device.

    Raises
    ------
    OSError
        In one sentence, what is there instead of ``expected``, say "an extended XYZ file".
    """
    if not isinstance(path, (str, os.PathLike)) or "\0" in os.fsdecode(path):
        raise OSError(f"{path!r} is no name of a file; expected {expected}")
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
    return Path(path)


def check_folder(folder: Path | str) -> None:
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


def check_target(
    path: Path | str,
    sources: Iterable[Path | str | None] = (),
    suffixes: tuple[str, ...] = (),
    is_ours: Callable[[Path], bool] | None = None,
) -> None:
    """Raise an error, before any work is done, where its result could not be written or would destroy something.

    Parameters
    ----------
    path
        File to be written; folders that are missing will be made then.
    sources
        Files that the work reads; None among them counts for nothing.
    suffixes
        Endings of the name that are possible; any unless given.
    is_ours
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
    if suffixes and not path.name.endswith(suffixes):
        raise ValueError(f"{path} was named to be written; a name that ends in {' or '.join(suffixes)} is expected")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; the name of a file to write is expected")
    if any(source is not None and _same_file(path, Path(source)) for source in sources):
        raise ValueError(f"{path} is read here, and would be overwritten: another name is expected")
    if os.path.lexists(path) and not (path.is_file() and is_ours is not None and is_ours(path)):
        raise FileExistsError(f"{path} is there already, and would be lost: name another file, or remove it")
    check_folder(path.parent)


def _same_file(one, other):
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def is_weights(path: Path | str) -> bool:
    """Whether a file holds weights that this library has written: by its header, whatever its name."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if 0 < size < LARGEST_HEADER else {}
        return "tpainn_lite" in header.get("__metadata__", {})
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return False


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# --- writing ---


def write_text(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all (temporary file, then rename)."""
    write_bytes(path, text.encode())


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file whole or not at all (temporary file in its folder, then rename); missing folders are made."""
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


@contextmanager
def locked(path: Path | str, wait: float = 0.0) -> Iterator[None]:
    """Keep other processes that lock it too away from a file while this lasts; OSError after ``wait`` seconds."""
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
def orderly_end(error: Callable[[int], BaseException] | None = None) -> Iterator[None]:
    """While this lasts, SIGTERM and SIGHUP end the process as `sys.exit` does: files are closed, other processes ended.

    Signals that are ignored (``nohup``), or that somebody else handles, stay as they are.  ``error`` makes what is to
    be raised instead of SystemExit, from the number of the signal.
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


class SavedElsewhere(OSError):
    """What was to be saved could not go where it was to go; the message, and ``place``, say where it is instead."""

    def __init__(self, message: str, place: Path):
        super().__init__(message)
        self.place = place


def save_somewhere(
    save: Callable[[Path], object], path: Path | str, is_ours: Callable[[Path], bool] | None = None
) -> Path:
    """Save the result of long work; where its file cannot be written, under another name, so that it is not lost.

    Parameters
    ----------
    save
        Writes the file whole or not at all: ``potential.save``.
    is_ours
        Whether a file that is there by now may be written over; without it nothing may.

    Raises
    ------
    SavedElsewhere
        It is next to ``path``, in the current folder or in the folder of temporary files.
    OSError
        None of them could be written either.
    """
    path = Path(path)
    try:
        check_target(path, is_ours=is_ours)
        save(path)
        return path
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    stem, dot, suffix = path.name.partition(".")
    for folder in (path.parent, Path.cwd(), Path(tempfile.gettempdir())):
        names = (folder / f"{stem}-saved-{k}{dot}{suffix}" for k in range(1, 1000))
        place = next((name for name in names if not name.exists()), folder / path.name)
        try:
            check_target(place)
            save(place)
        except (OSError, ValueError):
            continue
        raise SavedElsewhere(f"{path} could not be written ({reason}); the result is in {place} instead", place)
    raise OSError(f"{path} could not be written ({reason}), nor could another place: make room and do it again")
