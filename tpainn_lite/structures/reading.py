"""Extended XYZ files: read with a look at their structure first, written whole or not at all.

A file is a row of frames: a line with the number of atoms, a header line, a line for each atom.  `frames_of` counts
the lines and looks at each header before ASE takes the text apart, so that what is damaged, endless or not a file of
frames at all is named by its line, and costs neither time nor memory.
"""

import io
import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms

from tpainn_lite.structures.arguments import DatasetError, shown
from tpainn_lite.structures.checks import SHAPES, check_labels, check_values
from tpainn_lite.structures.files import check_readable, write_bytes

EXPECTED = "an extended XYZ file (.extxyz or .extxyz.xz) with at least one frame"
MOST_BYTES = 10**9  # of text in one file, after unpacking
MOST_FRAMES = 300_000  # in one file: a gigabyte of memory
MOST_ATOMS = 10**6  # in one frame; ten times as many in one file
LONGEST_HEADER = 10**6  # characters; ASE reads them one by one
MOST_COLUMNS = 1000
XZ_MEMORY = 256 * 2**20  # bytes; what xz -9 writes needs 65 MiB
PACKED = 2**14  # bytes of an .xz that are unpacked at once
BLOCK = 2**20  # bytes of text that are given to ASE at once
MANY_COLUMNS = re.compile(r"Properties\s*=[^=]*:\s*[+-]?\d{4}")  # in a header without quotes
DECIMAL = re.compile(rb"[+-]?\d+\.\d*")
NO_QUOTES = str.maketrans("", "", "\\\"'{}[]_")


# --- text ---


def _text(path):
    """The bytes of a file, unpacked."""
    text = bytearray()
    try:
        for piece in _unpacked(path) if path.suffix == ".xz" else _pieces(path):
            text += piece
            if len(text) > MOST_BYTES:
                text.clear()  # an error that is kept would keep it
                raise DatasetError(
                    f"{path.name} holds more than {MOST_BYTES / 1e9:g} GB of text; cut it into smaller files"
                )
    except (lzma.LZMAError, EOFError) as error:
        raise DatasetError(f"{path.name} is corrupted or truncated ({error}); fetch or make it again") from error
    return text


def _pieces(path):
    with open(path, "rb") as file:
        while piece := file.read(BLOCK):
            yield piece


def _unpacked(path):
    """Pieces of the text in an .xz, each of at most `BLOCK` bytes."""
    with open(path, "rb") as file:
        packed = file.read(PACKED)
        while packed:
            unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
            while not unpacker.eof:
                yield unpacker.decompress(packed, BLOCK)
                packed = file.read(PACKED) if unpacker.needs_input and not unpacker.eof else b""
                if unpacker.needs_input and not unpacker.eof and not packed:
                    raise EOFError("it ends too early")
            packed = (unpacker.unused_data or file.read(PACKED)).lstrip(b"\0")  # another stream may follow


# --- structure ---


def _parts(text):
    """[(number of its first line, start, end)] of each frame in the text."""
    parts: list[tuple[int, int, int]] = []
    line, total = 1, 0
    place = 3 if text.startswith(b"\xef\xbb\xbf") else 0  # a mark that some editors put in front
    while place < len(text):
        end = _end_of_line(text, place)
        if not text[place:end].strip():
            place, line = end, line + 1
            continue
        n = _count(text[place:end], line)
        total += n
        if n > MOST_ATOMS and (follow := text.count(b"\n", end)) < n + 1:
            raise DatasetError(f"line {line}: {n} atoms are announced, {max(follow - 1, 0)} lines of atoms follow")
        if n > MOST_ATOMS or total > 10 * MOST_ATOMS or len(parts) == MOST_FRAMES:
            raise DatasetError(f"line {line}: more frames or atoms ({n} here) than fit into memory; cut the file")
        start, first = place, line
        place, line = _after(text, end, n, line)
        _check_header(text[end : _end_of_line(text, end)], first + 1)
        parts.append((first, start, place))
    if parts and not text.endswith(b"\n") and _is_cut(text[parts[-1][1] :]):
        raise DatasetError(f"line {line - 1}: its last number is cut off")
    return parts


def _end_of_line(text, place):
    return text.find(b"\n", place) + 1 or len(text)


def _count(words, line):
    """Number of atoms that a line announces."""
    try:
        n = int(words) if len(words) < 40 else 0
    except ValueError:
        n = 0
    if n < 1:
        start = words.strip()[:40].decode(errors="replace")
        raise DatasetError(f"line {line}: {start!r} stands where a number of atoms is expected")
    return n


def _after(text, place, n, line):
    """(place, number of the line) after a frame of n atoms, whose header begins at ``place``."""
    for k in range(n + 1):
        if place >= len(text):
            raise DatasetError(f"line {line}: {n} atoms are announced, {max(k - 1, 0)} lines of atoms follow")
        place = _end_of_line(text, place)
    line += n + 2
    while text[place : place + 80].lstrip().startswith(b"VEC"):  # sides of the cell, as the program ADF writes them
        place, line = _end_of_line(text, place), line + 1
    return place, line


def _check_header(header, line):
    """Raise `DatasetError` for a header that ASE would take apart without end."""
    if len(header) > LONGEST_HEADER:
        raise DatasetError(f"line {line}: a header of {len(header)} characters; at most {LONGEST_HEADER} are possible")
    try:
        header = header.decode()
    except UnicodeDecodeError:
        raise DatasetError(f"line {line} is not text in UTF-8") from None
    if MANY_COLUMNS.search(header.translate(NO_QUOTES)):
        raise DatasetError(f"line {line}: more than {MOST_COLUMNS} columns are announced")


def _is_cut(frame):
    """Whether the last number of a frame without a last line end has fewer digits than all those above it.

    Only where these have as many each, and many: such numbers are written by a program, all in one way.
    """
    *rows, last = [line.split() for line in bytes(frame).splitlines()[2:]]
    if not last:
        return False
    above = [row[-1] for row in rows if row] or last[1:-1]
    decimals = {len(word.partition(b".")[2]) if DECIMAL.fullmatch(word) else -1 for word in above}
    return len(decimals) == 1 and min(decimals) > 4 and len(last[-1].partition(b".")[2]) < min(decimals)


# --- frames ---


def _blocks(parts):
    """Slices of the list of frames, of about `BLOCK` bytes each: one call of ASE's reader costs as much as a frame."""
    first = 0
    for k in range(1, len(parts) + 1):
        if k == len(parts) or parts[k][1] - parts[first][1] > BLOCK:
            yield slice(first, k)
            first = k


def _read(text, parts, **how):
    """The frames of a block; in the error, the line at which the one that is wrong begins."""
    from ase.io import read

    try:
        block = b"".join(text[start:end] for _, start, end in parts).decode()
        frames = read(io.StringIO(block), index=":", format="extxyz", **how)
        if len(frames) == len(parts):
            return frames
        error = f"{len(parts)} frames are announced, {len(frames)} were read"
    except Exception as problem:  # noqa: BLE001  whatever ASE makes of it: it is named, with its line
        error = f"{type(problem).__name__}: {problem}"
    if len(parts) > 1:
        return [atoms for part in parts for atoms in _read(text, [part], **how)]
    raise DatasetError(f"the frame that begins in line {parts[0][0]} cannot be read ({error})")


# --- files ---


def frames_of(path: Path | str, need: Sequence[str] = (), **how: Any) -> list[Atoms]:
    """`read_frames`, with settings of ASE's reader, and without labels unless they are needed."""
    try:
        path = check_readable(path, EXPECTED)
        text = _text(path)
    except (OSError, ValueError) as error:
        raise DatasetError(str(error)) from error
    try:
        parts = _parts(text)
        frames = [atoms for block in _blocks(parts) for atoms in _read(text, parts[block], **how)]
    except DatasetError as error:
        message = f"{path.name} is not a whole extended XYZ file: {error}; fetch or make it again"
        raise DatasetError(message) from error
    if not frames:
        raise DatasetError(f"{path.name} holds no frames; expected {EXPECTED}")
    for (line, _, _), (index, atoms) in zip(parts, enumerate(frames), strict=True):
        if atoms.info.get("smiles") is False:  # ASE takes hydrogen fluoride's, F, for "false"
            atoms.info["smiles"] = "F"
        check_values(atoms, f"{path.name}, line {line}: frame {index}")
    if need:
        check_labels(frames, need)
    return frames


def read_frames(path: Path | str, need: Sequence[str] = ("energy", "forces")) -> list[Atoms]:
    """Read an extended XYZ file (``.extxyz``, or ``.extxyz.xz``).

    Labels are as they stand in the file, those on fixed atoms too: ``atoms.calc.results``.

    Parameters
    ----------
    need
        Labels that every frame must have: "energy" (eV), "forces" (eV/Å), "stress" (eV/Å³); ``()`` for none.

    Raises
    ------
    DatasetError
        Missing, empty, truncated or corrupted file, positions or labels that are no finite numbers, or frames without
        labels; the message names the line or the frame.

    >>> from tpainn_lite.structures.shipped import shipped_file
    >>> len(read_frames(shipped_file("scans_b3lyp/bond.extxyz.xz")))
    20
    """
    if not isinstance(need, (tuple, list, set)) or not set(need) <= SHAPES.keys():
        raise ValueError(f"need is {need!r}; a tuple of 'energy', 'forces', 'stress' is expected")
    return frames_of(path, need)


def write_frames(path: Path | str, frames: Sequence[Atoms] | Atoms) -> None:
    """Write frames, with the labels in ``atoms.calc.results``, as extended XYZ, whole or not at all.

    Compressed if the name ends in ``.xz``.

    Raises
    ------
    TypeError
        There are no frames, or other things than frames.

    >>> write_frames("molecules.extxyz", [Atoms("H2")])  # doctest: +SKIP
    """
    from ase.io import write

    alone = isinstance(frames, Atoms) or not hasattr(frames, "__iter__")
    frames = [frames] if alone else list(frames)  # type: ignore[list-item]
    if not frames or not all(isinstance(atoms, Atoms) for atoms in frames):
        given = next((shown(other) for other in frames if not isinstance(other, Atoms)), "nothing")
        raise TypeError(f"{given} was given to write into {path}; a list of at least one ase.Atoms is expected")
    text = io.StringIO()
    write(text, frames, format="extxyz")
    content = text.getvalue().encode()
    write_bytes(path, lzma.compress(content, preset=9) if str(path).endswith(".xz") else content)
