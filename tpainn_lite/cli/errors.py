"""How a command ends: what can be foreseen, and an interruption, in one line; a bug of ours with its traceback."""

import errno
import functools
import lzma
import pickle
import re
import signal
import struct
import sys
import traceback
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from tpainn_lite.cli.notes import forget, tell
from tpainn_lite.structures.files import orderly_end

ISSUES = "https://github.com/tpainn-lite/tpainn-lite/issues"
WRONG, BUG = 1, 70  # exit codes; a signal's is 128 and its number
FORESEEN = (
    ValueError, OSError, RuntimeError, KeyError, TypeError, EOFError, MemoryError, ImportError, OverflowError,
    lzma.LZMAError, pickle.PickleError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
FOREIGN = (
    "ase",
    "joblib",
    "lightning",
    "openmm",
    "pyscf",
    "rdkit",
    "safetensors",
    "tblite",
    "torch",
)  # raise their own
LONGEST = 900  # characters of a line


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP has come: files are closed and workers ended as for Ctrl-C."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def one_line(resumes: bool | str = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command: its errors are one line, named after it, and its exit codes say what happened.

    Parameters
    ----------
    resumes
        Whether the same command resumes after an interruption; a name: if that option was given.
    """

    def decorate(command):
        @functools.wraps(command)
        def ended(**given):
            name = f"tpainn {command.__name__}"
            forget()
            try:
                with orderly_end(Ended):
                    command(**given)
                tell()
            except typer.Exit:
                tell()
                raise
            except (typer.Abort, typer.BadParameter):
                raise
            except KeyboardInterrupt as stop:
                resumed = given[resumes] is not None if isinstance(resumes, str) else resumes
                _say(f"{name}: interrupted" + ("; the same command resumes it" if resumed else ""))
                raise SystemExit(128 + getattr(stop, "number", signal.SIGINT)) from None
            except Exception as error:
                if getattr(error, "errno", None) == errno.EPIPE:  # `tpainn … | head` has read enough
                    raise
                code = WRONG if _is_foreseen(error) else BUG
                _say(f"{name}: {_words(error, given)}" if code == WRONG else _report(name, error))
                raise SystemExit(code) from None

        return ended

    return decorate


def _is_foreseen(error):
    return isinstance(error, FORESEEN) or type(error).__module__.split(".")[0] in FOREIGN


def _words(error, given):
    """What went wrong, in one line that names the file or the option."""
    words = str(error)
    own = isinstance(error, (ValueError, OSError, ImportError)) or type(error).__module__.startswith("tpainn_lite")
    if isinstance(error, MemoryError):
        words = "not enough memory: smaller batches, a smaller network or fewer frames are expected"
    elif isinstance(error, TypeError) and "expected" in words:
        pass  # a sentence of ours
    elif not own or not words.strip():
        words = f"({type(error).__name__}: {words})"
    names = [str(path) for path in _paths(given)]
    names = [name if len(name) < LONGEST else f"{name[:40]}…" for name in names]
    file = any(name.rstrip("…") in words or Path(name).name in words for name in names)
    option = re.match(r"(?!structure)\S+ is |--", words)
    return plain(words if file or option or not names else f"{words} [{', '.join(names)}]")


def _paths(given):
    for value in given.values():
        yield from (path for path in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(path, Path))


def plain(text: object) -> str:
    """In one line, without codes that a terminal obeys; of a very long text the beginning and the end.

    >>> plain("a\\nb\\x1b[2J")
    'a b\\\\x1b[2J'
    """
    shown = "".join(c if c.isprintable() or c.isspace() else c.encode("unicode_escape").decode() for c in str(text))
    line = " ".join(shown.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"


def _report(name, error):
    """What to do about a bug of ours."""
    where = f"please report it with the lines below at {ISSUES}"
    lines = "".join(traceback.format_exception(error))
    return f"{name}: this is a bug in tpainn_lite, not in what you did ({type(error).__name__}); {where}\n{lines}"


def _say(text):
    print(text, file=sys.stderr, flush=True)
