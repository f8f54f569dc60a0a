"""The journal of labels: what is labelled stays, whatever ends the run, and no other teacher adds to it.

A file of JSON lines.  The first one says what made the labels, the teacher's constants included; each other one holds
a structure, its labels, and a checksum of the rest of the line::

    {"journal": "labels", "version": 2, "made_from": {"teacher": "MMFF94", …}}
    {"crc32": "1c291ca3", "place": 0, "id": "CO/0", "numbers": [6, 8, …], …, "energy": 0.1, "forces": […]}
"""

import json
import os
import sys
import time
import zlib
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from tpainn_lite.structures.charges import ELECTRONS
from tpainn_lite.structures.files import check_target, locked, path_of, write_text
from tpainn_lite.structures.identity import IdentityError, check_same, fingerprint, identity
from tpainn_lite.structures.protocols import Teacher

SYNC_SECONDS = 1.0  # labels are forced onto the disk at least this often
LONGEST_HEADER = 100_000  # bytes
SHOWN = 5  # damaged lines that are named
KIND = {"journal": "labels", "version": 2}
# What a teacher may look at apart from numbers, positions and cell: entries of ``info`` and of ``arrays``.
DESCRIBING = ("smiles", *ELECTRONS)
PER_ATOM = ("masses", "initial_charges", "initial_magmoms", "tags")
SAME = 1e-6  # Å, by which positions and cell of the same frame may differ


class LabelJournal:
    """Labels on disk as soon as they are made; without a path, nothing.

    A line that was half written when a process died, or that is damaged, is left out, with one sentence on stderr.

    Parameters
    ----------
    only_read
        Change nothing, and look even while another process writes.
    same_frames
        The journal is of one list of frames, in its order; otherwise a frame is recognised by its ``info["id"]`` (or
        its place), and other frames may be added.

    Raises
    ------
    FileExistsError
        The file is no journal of labels of this version; it is left as it was.
    IdentityError
        Another teacher, or other frames, made it; it is left as it was.
    OSError
        Another process writes it, or nothing can be written there.
    """

    def __init__(
        self,
        path: Path | str | None,
        calculator: Calculator | Teacher,
        only_read: bool = False,
        same_frames: bool = False,
    ) -> None:
        self.path = None if path is None else path_of(path)
        self.made_from = {} if path is None else teacher_identity(calculator)
        self.only_read, self.same_frames = only_read, same_frames
        again = "give it the same frames and the same teacher, " if same_frames else ""
        self._advice = f"{again}name another file, or remove this one"
        self._rows: dict[str, list[Any]] = {}  # of each frame, the lines: where they begin, or what is in them
        self._reader: BinaryIO | None = None
        self._file: BinaryIO | None = None
        self._synced, self._open = time.perf_counter(), ExitStack()

    def __enter__(self) -> Self:
        if self.path is None:
            return self
        with ExitStack() as opened:
            if not self.only_read:
                check_target(self.path, is_ours=lambda _: True)
                opened.enter_context(locked(self.path))
            opened.callback(self._close)
            if self._begun(self.path):
                self._reader = opened.enter_context(open(self.path, "rb"))
                self._find_rows(self.path, self._reader)
                self._file = None if self.only_read else open(self.path, "ab")
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _begun(self, path: Path) -> bool:
        if not os.path.lexists(path) or not (header := _header(path)):
            return False
        if header.get("made_from") is None or any(header.get(key) != value for key, value in KIND.items()):
            raise FileExistsError(f"{path} is no journal of labels of this version, and would be lost: {self._advice}")
        check_same(header["made_from"], self.made_from, f"the journal {path}", self._advice)
        return True

    def _find_rows(self, path: Path, lines: BinaryIO) -> None:
        end, damaged = len(lines.readline()), []
        for number, line in enumerate(lines, 2):
            row = _row(line)
            if row:
                self._rows.setdefault(self._key(row["place"], row["id"]), []).append(end)
            elif not self.only_read or line.endswith(b"\n"):  # another process may be writing the last line
                damaged.append(f"line {number}" + ("" if line.endswith(b"\n") else " (half written)"))
            end += len(line) if line.endswith(b"\n") else 0
        if not self.only_read:
            os.truncate(path, end)
        if damaged:
            named = ", ".join(damaged[:SHOWN]) + (f" and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else "")
            print(f"{path}: damaged lines are left out, and their frames labelled anew: {named}", file=sys.stderr)

    def _key(self, place: int, name: str) -> str:
        return str(place) if self.same_frames else name

    def kept(self, frames: Sequence[Atoms], first: int = 0) -> dict[int, dict[str, Any]]:
        """{index: labels} of the frames that are in the journal; their places are ``first``, ``first`` + 1, …"""
        done: dict[int, dict[str, Any]] = {}
        if not self._rows:
            return done
        for k, atoms in enumerate(frames):
            name = _name(atoms, first + k)
            key = self._key(first + k, name)
            rows = [self._parsed(row) for row in self._rows.pop(key, ())]
            match = next((j for j, row in enumerate(rows) if row["id"] == name and _is_about(row, atoms)), None)
            if match is not None:
                done[k] = _labels(rows.pop(match))
            elif rows and self.same_frames:
                raise self._other_frames(f"frame {first + k} is not the same")
            if rows:
                self._rows[key] = rows
        return done

    def _parsed(self, row: Any) -> dict[str, Any]:
        if isinstance(row, int) and self._reader:
            self._reader.seek(row)
            row = json.loads(self._reader.readline())
        return row

    def check_all_used(self) -> None:
        """Raise `IdentityError` where the journal has labels of frames that `kept` was not given."""
        if self._rows:
            raise self._other_frames(f"it has labels of {len(self._rows)} frames more than were given")

    def _other_frames(self, what: str) -> IdentityError:
        return IdentityError(f"the journal {self.path} was made from other frames ({what}): {self._advice}")

    def append(self, place: int, atoms: Atoms, result: dict[str, Any]) -> None:
        """Keep the labels of a frame: ``result`` has ``energy`` (eV), ``forces`` (eV/Å), perhaps ``stress`` …"""
        if self.path is None:
            return
        row = {"place": place, "id": _name(atoms, place), **_structure(atoms), "about": _about(atoms)}
        row |= {key: result[key] for key in ("energy", "forces", "stress", "record") if key in result}
        text = json.dumps(row, default=_plain)[1:].encode() + b"\n"
        try:
            if self._file is None:
                write_text(self.path, json.dumps({**KIND, "made_from": self.made_from}) + "\n")
                self._file = open(self.path, "ab")  # noqa: SIM115  closed by __exit__
            self._file.write(b'{"crc32": "%08x", %b' % (zlib.crc32(text), text))
            self._file.flush()
            if time.perf_counter() - self._synced > SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = time.perf_counter()
        except OSError as error:
            reason = f"{error.strerror}; the labels before this one are in it: make room and call again"
            raise OSError(error.errno, reason, str(self.path)) from error

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk has been reported by `append`
                os.fsync(self._file.fileno())
            with suppress(OSError):
                self._file.close()


def level_of(calculator: Calculator | Teacher, atoms: Atoms | None = None) -> str:
    """Name of a calculator's level of theory; of one with a method ``level_for``, of the level for these atoms."""
    if atoms is not None and hasattr(calculator, "level_for"):
        return str(calculator.level_for(atoms))
    return str(getattr(calculator, "level", type(calculator).__name__))


def teacher_identity(calculator: Calculator | Teacher) -> dict[str, str]:
    """What labels are kept with: the teacher's name and its constants (`tpainn_lite.structures.identity.identity`)."""
    parameters = dict(getattr(calculator, "parameters", None) or {})
    plain = {name: value for name, value in parameters.items() if isinstance(value, (bool, int, float, str))}
    plain = {f"{name} of the teacher": value for name, value in plain.items()}
    return identity(teacher=level_of(calculator), **plain, constants_of_the_teacher=fingerprint(calculator))


# --- lines ---


def _header(path: Path) -> dict[str, Any]:
    """The first line of a journal; an empty dict for an empty file, and another one for what is no journal."""
    if not path.is_file():
        return {"journal": None}
    with open(path, "rb") as file:
        line = file.readline(LONGEST_HEADER)
    with suppress(ValueError, RecursionError):
        header = json.loads(line) if line.endswith(b"\n") else None
        if isinstance(header, dict) and isinstance(header.get("made_from"), dict):
            return header
    return {"journal": None} if line else {}


def _row(line: bytes) -> dict[str, Any] | None:
    """What is in a line; None unless it is whole and as it was written."""
    frame = line[:11] + line[19:22] == b'{"crc32": "", '
    return json.loads(line) if frame and line[11:19] == b"%08x" % zlib.crc32(line[22:]) else None


def _labels(row: dict[str, Any]) -> dict[str, Any]:
    arrays: dict[str, Any] = {key: np.array(row[key], dtype=float) for key in ("forces", "stress") if key in row}
    return arrays | {"energy": row["energy"], "record": row.get("record", {})}


def _name(atoms: Atoms, place: int) -> str:
    return str(atoms.info.get("id", place))


def _structure(atoms: Atoms) -> dict[str, Any]:
    return {"numbers": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}


def _about(atoms: Atoms) -> dict[str, Any]:
    described = {key: str(atoms.info[key]) for key in DESCRIBING if key in atoms.info}
    return described | {key: atoms.arrays[key].tolist() for key in PER_ATOM if key in atoms.arrays}


def _is_about(row: dict[str, Any], atoms: Atoms) -> bool:
    """Whether a line of the journal belongs to this structure."""
    same = row["about"] == _about(atoms) and row["numbers"] == atoms.numbers.tolist() and row["pbc"] == list(atoms.pbc)
    places = ((row["positions"], atoms.positions), (row["cell"], atoms.cell.array))
    return same and all((np.abs(np.array(there) - here) <= SAME).all() for there, here in places)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
