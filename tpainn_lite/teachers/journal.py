"""What is kept of labels while they are made: a text file that grows, and the journal of `label`.

A journal is a file of JSON lines.  The first says what it is and who made the labels, the teacher's constants included;
each other holds one structure and its labels.
"""

import json
import os
import sys
import time
from contextlib import ExitStack, suppress

import numpy as np

from tpainn_lite.structures.files import check_target, locked, path_of, write_text
from tpainn_lite.structures.identity import IdentityError, check_same

SYNC_SECONDS = 1.0  # what is done is pressed onto the disk at least this often
LONGEST_HEADER = 100_000  # bytes
NAMED = 5  # damaged lines that are named
JOURNAL = "labels"  # the kind of journal, as its first line calls it
ADVICE = "name another file, or remove this one"
# What a teacher may look at apart from numbers, positions and cell: entries of ``info`` and of ``arrays``.
DESCRIBING = ("smiles", "charge", "multiplicity", "spin")
PER_ATOM = ("masses", "initial_charges", "initial_magmoms", "tags")
WORDS = (str, int, np.integer)  # kinds of entries of ``info`` that stay the same when a frame is made again
SAME = 6  # decimals of positions and cells (Å) that must agree


class GrowingFile:
    """A text file that grows for hours: what is in it stays, and a full disk is an error that says what to do.

    It is made when the first text is added.
    """

    def __init__(self, path):
        self.path, self.file, self.synced = path, None, time.perf_counter()

    def __enter__(self):
        return self

    def append(self, text):
        """Add some lines."""
        try:
            if self.file is None:
                self.file = open(self.path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115  closed by __exit__
            self.file.write(text)
            self.file.flush()
            if time.perf_counter() - self.synced > SYNC_SECONDS:
                os.fsync(self.file.fileno())
                self.synced = time.perf_counter()
        except OSError as error:
            reason = f"{error.strerror}; the labels before this one are in it: make room and call again"
            raise OSError(error.errno, reason, str(self.path)) from error

    def __exit__(self, *_):
        if self.file is not None:
            with suppress(OSError):  # a full disk has been reported by `append`
                os.fsync(self.file.fileno())
            with suppress(OSError):
                self.file.close()


class LabelJournal:
    """Labels on disk as soon as they are made, one line of JSON each; without a path, nothing.

    Parameters
    ----------
    path : str or Path or None
    made_from : dict {str: str}
        The teacher's `tpainn_lite.structures.identity.identity`.
    level : str
        The teacher's name.
    only_read : bool
        Change nothing, and look even while another process writes.

    Raises
    ------
    FileExistsError
        The file is no journal of labels; it is left as it was.
    IdentityError
        Another teacher made it.
    OSError
        Another process writes it, or nothing can be written there.
    """

    def __init__(self, path, made_from, level, only_read=False):
        self.path, self.made_from, self.level, self.only_read = (
            None if path is None else path_of(path),
            made_from,
            level,
            only_read,
        )
        self._open = ExitStack()

    def __enter__(self):
        if self.path:
            self._check_place()
            with self._open as opened:  # closed again where the check fails
                if not self.only_read:
                    opened.enter_context(locked(self.path))
                self._check_header()
                self.file = opened.enter_context(GrowingFile(self.path))
                self._open = opened.pop_all()
        return self

    def __exit__(self, *_):
        self._open.close()

    def _check_place(self):
        if not self.only_read:
            check_target(self.path, is_ours=_is_journal)
        elif os.path.lexists(self.path) and not (self.path.is_file() and _is_journal(self.path)):
            raise FileExistsError(f"{self.path} is no journal of labels: name another file")

    def _check_header(self):
        self.begun = _begin(self.path) != b""
        if self.begun:
            header = json.loads(_begin(self.path))
            if "journal" not in header:
                raise IdentityError(
                    f"the journal {self.path} was begun by an earlier version, which kept the name of its teacher "
                    f"({header['level']}) and not its constants: {ADVICE}"
                )
            check_same(header["made_from"], self.made_from, f"the journal {self.path}", ADVICE)
            if not self.only_read:
                os.close(os.open(self.path, os.O_WRONLY | os.O_APPEND))

    def kept(self, frames):
        """{index of a frame: its labels} of those that are in the journal; a damaged line is named and left out."""
        if not self.path or not self.begun:
            return {}
        places, done, damaged = {}, {}, []
        for i, frame in enumerate(frames):
            places.setdefault(_name(frame, i), []).append(i)
        for number, line in self._lines():
            try:
                row = _checked(json.loads(line))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                damaged.append(f"line {number} ({_reason(error)})")
                continue
            same = [i for i in places.get(row["id"], ()) if i not in done and _is_about(row, frames[i])]
            if same:
                done[same[0]] = row["labels"]
        if damaged:
            _say_damaged(self.path, damaged)
        return done

    def _lines(self):
        """(number, line) of all whole lines; one that was torn when a process died is cut off."""
        with open(self.path, "rb") as file:
            end = len(file.readline())
            for number, line in enumerate(file, 2):
                if line.endswith(b"\n"):
                    end += len(line)
                    yield number, line
        if not self.only_read and end < self.path.stat().st_size:
            os.truncate(self.path, end)

    def append(self, index, atoms, result):
        """Keep the labels of a frame."""
        if not self.path:
            return
        if not self.begun:
            header = {"journal": JOURNAL, "made_from": self.made_from}
            write_text(self.path, json.dumps(header) + "\n")
            self.begun = True
        row = {"id": _name(atoms, index), "level": self.level, **_structure(atoms), "about": _about(atoms)}
        row |= {key: result[key] for key in ("energy", "forces", "stress", "record") if key in result}
        self.file.append(json.dumps(row, default=_plain) + "\n")


def frame_mark(atoms):
    """Bytes that differ whenever a frame is another one to its teacher: atoms, places to 10⁻⁶ Å, cell, what it says."""
    words = sorted(f"{key}={value}" for key, value in atoms.info.items() if isinstance(value, WORDS))
    places = np.concatenate([atoms.positions, atoms.cell.array]) * 10**SAME
    text = f"{words}{_about(atoms)}{len(atoms)}"
    return text.encode() + atoms.numbers.tobytes() + (np.rint(places) + 0.0).tobytes() + atoms.pbc.tobytes()


def _begin(path):
    """The first line of a file; nothing where there is none."""
    if not path.exists():
        return b""
    with open(path, "rb") as file:
        return file.readline(LONGEST_HEADER)


def _is_journal(path):
    """Whether a file is empty, or begins as a journal does, of this version or an earlier one."""
    line = _begin(path)
    try:
        header = json.loads(line) if line else {"journal": JOURNAL, "made_from": {}}
    except (ValueError, RecursionError):
        return False
    if not isinstance(header, dict) or (line and not line.endswith(b"\n")):
        return False
    ours = header.get("journal") == JOURNAL and isinstance(header.get("made_from"), dict)
    return ours or {"id", "level", "energy", "forces", "positions"} <= header.keys()


def _name(atoms, index):
    return str(atoms.info.get("id", index))


def _structure(atoms):
    return {"numbers": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}


def _about(atoms):
    described = {key: str(atoms.info[key]) for key in DESCRIBING if key in atoms.info}
    return described | {key: atoms.arrays[key].tolist() for key in PER_ATOM if key in atoms.arrays}


def _checked(row):
    """The line of a journal with arrays instead of lists; ValueError, TypeError or KeyError where it cannot be one."""
    n = len(row["numbers"])
    shapes = {"numbers": (n,), "positions": (n, 3), "cell": (3, 3), "energy": (), "forces": (n, 3), "stress": (6,)}
    values = {key: _finite(key, row[key], shape) for key, shape in shapes.items() if key in row or key != "stress"}
    record = row.get("record", {})
    if not isinstance(record, dict) or not isinstance(row["id"], str):
        raise ValueError("its id or its record is damaged")
    if len(row["pbc"]) != 3 or not all(isinstance(periodic, bool) for periodic in row["pbc"]):
        raise ValueError("its pbc is not three times true or false")
    labels = {key: values.pop(key) for key in ("energy", "forces", "stress") if key in values}
    labels |= {"energy": float(labels["energy"]), "record": record}
    return {**values, "id": row["id"], "pbc": np.array(row["pbc"]), "about": row["about"], "labels": labels}


def _finite(key, value, shape):
    array = np.array(value)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"its {key} is no number")
    if array.shape != shape:
        raise ValueError(f"its {key} has the shape {array.shape}, {shape} is expected")
    if not np.isfinite(array).all():
        raise ValueError(f"its {key} is not finite")
    return array


def _is_about(row, atoms):
    """Whether a line of the journal belongs to this structure."""
    pairs = [(row[key], value) for key, value in _structure(atoms).items()]
    if row["about"] != _about(atoms) or any(kept.shape != value.shape for kept, value in pairs):
        return False
    return all(np.allclose(kept, value, rtol=0, atol=10.0**-SAME) for kept, value in pairs)


def _reason(error):
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, RecursionError)):
        return "not JSON"
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _say_damaged(path, damaged):
    more = f" and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
    print(
        f"{path}: damaged lines are left out, and their frames labelled anew: {', '.join(damaged[:NAMED])}{more}",
        file=sys.stderr,
    )


def _plain(value):
    return value.tolist() if hasattr(value, "tolist") else str(value)
