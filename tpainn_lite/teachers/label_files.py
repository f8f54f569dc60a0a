"""Labelling from file to file, for more frames than one wants in memory; killed at any moment, it goes on.

What is done waits in ``<output>.part``, in the order of the input, and ``<output>.part.log`` says what it was made
from; only a finished file gets its name.
"""

import hashlib
import io
import itertools
import json
import lzma
import os
import shutil
import sys
import time
import zlib
from collections import deque
from contextlib import closing, suppress
from copy import copy
from pathlib import Path
from typing import NamedTuple

from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.files import check_target, locked, orderly_end, path_of, write_text
from tpainn_lite.structures.identity import IdentityError, check_same
from tpainn_lite.teachers.journal import GrowingFile, frame_mark
from tpainn_lite.teachers.label import check_frame, check_request, numbered_labels, teacher_identity

WRITE = 200  # frames written at once, at most
WRITE_SECONDS = 1.0  # labels are written at least this often, as they come
SUFFIXES = (".extxyz", ".xyz", ".extxyz.xz", ".xyz.xz")
ADVICE = "give it the same frames and the same teacher, name another file, or remove it"


def label_file(frames, calculator, path, n_jobs=1, progress=True):
    """Label any number of frames into an extended XYZ file.

    Parameters
    ----------
    frames : iterable of ase.Atoms
        May be a generator; called again after an interruption, it must give the same frames in the same order.
        Each needs an ``info["id"]`` of its own, which becomes its place in the order where there is none.
    calculator : ase Calculator
    path : str or Path
        ``.extxyz``, or ``.extxyz.xz`` for a compressed file.
    n_jobs : int
        Processes; -1 for all cores.

    Returns
    -------
    int
        Frames in the file.

    Raises
    ------
    FileExistsError
        Nothing is overwritten.
    IdentityError
        ``<path>.part`` was made by another teacher or from other frames; it is left as it was.
    DatasetError
        Two frames have one id.
    TypeError
        Something else than frames, or than a calculator, was given.
    OSError
        Full disk, read-only folder, or another process writes the same file; what was done is kept.
    """
    check_request(frames, calculator, n_jobs)
    path = path_of(path)
    check_target(path, suffixes=SUFFIXES)
    with orderly_end(), locked(path):
        check_target(path, suffixes=SUFFIXES)  # another process may just have finished
        with _Part(path, teacher_identity(calculator)) as part:
            given = part.with_marks(_with_ids(frames))
            part.skip(given)
            before = part.done
            labelled = numbered_labels(given, calculator, n_jobs, progress, before.given, before.labelled)
            with closing(labelled):
                part.write_all(labelled)
            if part.done.labelled == 0:
                raise ValueError("no frames to label: at least one is expected")
        part.publish()
    return part.done.labelled


class _Done(NamedTuple):
    """How far the work has come."""

    given: int = 0  # frames taken from the input
    labelled: int = 0  # of them
    end: int = 0  # bytes of text
    frames: str = ""  # digest of all frames taken
    checksum: int = 0  # of all this, and of the text since the line before


class _Part:
    """The labelled frames of an unfinished file, and the log that says which frames and which teacher they are from."""

    def __init__(self, path, made_from):
        self.path, self.made_from = path, made_from
        self.part, self.log = Path(f"{path}.part"), Path(f"{path}.part.log")
        self.packing = path.with_name(f".{path.name}.packing")
        self.done, self.digest, self.waiting = _Done(), hashlib.sha256(), deque()
        self.begun = self._check()

    def __enter__(self):
        self.text, self.lines = GrowingFile(self.part).__enter__(), GrowingFile(self.log).__enter__()
        return self

    def __exit__(self, *_):
        self.text.__exit__()
        self.lines.__exit__()

    def _check(self):
        """Whether there is something to go on with; an error if it is not ours."""
        for file in (self.part, self.log, self.packing):
            check_target(file, is_ours=lambda _: True)  # no folder, no device
        header = _parsed(_first_line(self.log))
        ours = "part" in header and isinstance(header.get("made_from"), dict)
        if self.log.exists() and not ours:
            raise FileExistsError(f"{self.log} is there, and would be overwritten: name another file, or remove it")
        if not (self.part.exists() and self.part.stat().st_size):
            return False
        check_same(header.get("made_from"), self.made_from, str(self.part), ADVICE)
        return True

    def with_marks(self, frames):
        """The frames; what each is waits until it is written."""
        for atoms in frames:
            self.waiting.append(hashlib.sha256(frame_mark(atoms)).digest())
            yield atoms

    def skip(self, given):
        """Go through the frames that are done and check that they are those; what is torn or damaged is cut off."""
        if not self.begun:
            return
        with open(self.part, "rb") as text, open(self.log, "rb") as lines:
            end = len(lines.readline())
            for line in lines:
                done = _done(line, self.done, self.part.stat().st_size)
                if done is None or _checksum(done, text.read(done.end - self.done.end)) != done.checksum:
                    if line.endswith(b"\n"):  # not just torn when a process died
                        self._say_damaged()
                    break
                self._check_frames(given, done)
                self.done, end = done, end + len(line)
        os.truncate(self.part, self.done.end)
        os.truncate(self.log, end)

    def _say_damaged(self):
        n = self.done.labelled
        print(f"{self.part} or its log is damaged after {n} frames; the rest is labelled anew", file=sys.stderr)

    def _check_frames(self, given, done):
        n = done.given - self.done.given
        found = sum(1 for _ in itertools.islice(given, n))
        self._take(found)
        if found < n or self.digest.hexdigest() != done.frames:
            those = f"frames {self.done.given} to {done.given - 1} are not the same"
            what = those if found == n else f"it has {done.given} frames, and {self.done.given + found} were given"
            raise IdentityError(f"{self.part} was made from other frames ({what}): {ADVICE}")

    def _take(self, n):
        for _ in range(n):
            self.digest.update(self.waiting.popleft())

    def write_all(self, labelled):
        """Add labelled frames as they come."""
        batch, written = [], time.perf_counter()
        try:
            for index, atoms in labelled:
                batch.append(atoms)
                if len(batch) >= WRITE or time.perf_counter() - written > WRITE_SECONDS:
                    whole, batch = batch, []
                    self._write(whole, index)
                    written = time.perf_counter()
        finally:  # whatever has ended it
            if batch:
                self._write(batch, index)

    def _write(self, batch, last):
        if not self.begun:
            self.part.unlink(missing_ok=True)
            write_text(self.log, json.dumps({"part": self.path.name, "made_from": self.made_from}) + "\n")
            self.begun = True
        text = _text_of(batch)
        self.text.append(text)
        self._take(last + 1 - self.done.given)
        labelled, end = self.done.labelled + len(batch), self.done.end + len(text.encode())
        done = _Done(last + 1, labelled, end, self.digest.hexdigest())
        self.done = done._replace(checksum=_checksum(done, text.encode()))
        self.lines.append(json.dumps(self.done) + "\n")

    def publish(self):
        """Give the finished file its name, unless another file has got it in the meantime."""
        finished = self.part
        if self.path.suffix == ".xz":
            finished = self.packing
            _pack(self.part, finished)
        try:
            _rename_to_new(finished, self.path)
        except FileExistsError:
            self.packing.unlink(missing_ok=True)
            raise FileExistsError(
                f"{self.path} was made by something else in the meantime; the labels are in {self.part}: move the "
                "first away and call again"
            ) from None
        for file in (self.part, self.log, self.packing):
            file.unlink(missing_ok=True)


def _with_ids(frames):
    seen = set()
    for index, atoms in enumerate(frames):
        check_frame(atoms, index)
        if "id" not in atoms.info:
            atoms = copy(atoms)  # a shallow one: its labelled copy will share nothing with what was given
            atoms.info = {**atoms.info, "id": str(index)}
        name = str(atoms.info["id"])
        if name in seen:
            raise DatasetError(f"frame {index} has the id {name!r} of an earlier frame; each needs one of its own")
        seen.add(name)
        yield atoms


def _first_line(path):
    if not path.exists():
        return b""
    with open(path, "rb") as file:
        return file.readline(100_000)


def _parsed(line):
    """The dict in a line of JSON; an empty one where there is none."""
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
        return found if isinstance(found, dict) else {}
    return {}


def _done(line, before, size):
    """The state that a line of the log holds; None if it is torn or damaged, or goes beyond the text that is there."""
    with suppress(ValueError, TypeError, RecursionError):
        done = _Done(*json.loads(line))
        whole = line.endswith(b"\n") and all(isinstance(value, int) for value in (done.given, done.labelled, done.end))
        if whole and all(there > earlier for there, earlier in zip(done[:3], before[:3], strict=True)):
            return done if done.end <= size else None
    return None


def _checksum(done, text):
    return zlib.crc32(text, zlib.crc32(repr(done[:4]).encode()))


def _text_of(frames):
    from ase.io import write

    text = io.StringIO()
    write(text, frames, format="extxyz")
    return text.getvalue()


def _pack(part, packed):
    try:
        with open(part, "rb") as source, open(packed, "wb") as file:
            with lzma.open(file, "wb", preset=6) as target:
                shutil.copyfileobj(source, target)
            os.fsync(file.fileno())
    except OSError as error:
        packed.unlink(missing_ok=True)
        reason = f"{error.strerror}; the labels are in {part}: make room and call again"
        raise OSError(error.errno, reason, str(packed)) from error


def _rename_to_new(file, path):
    """Rename, but never onto a file that is there."""
    try:
        os.link(file, path)
    except FileExistsError:
        raise
    except OSError:  # no links on this disk
        if os.path.lexists(path):
            raise FileExistsError(str(path)) from None
        os.replace(file, path)
