"""The door for files of structures, and the way out: other people's data are read right, or refused with the reason.

Whatever the format, and whatever the labels are called there: `read_frames` gives frames whose labels stand in
``atoms.calc.results``, in eV and Å, and says in one line what it took.
"""

import bz2
import gzip
import io
import lzma
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from tpainn_lite.reading import extxyz, labels
from tpainn_lite.reading.formats import format_of, is_folder, read_special
from tpainn_lite.reading.label_names import Names
from tpainn_lite.reading.units import convert, units_beside, with_positions, words_of_positions
from tpainn_lite.structures.arguments import DatasetError, shown
from tpainn_lite.structures.checks import SHAPES, check_labels, check_values
from tpainn_lite.structures.files import check_readable, path_of, write_bytes

EXPECTED = "an extended XYZ file (.extxyz, also .xz, .gz or .bz2), or structures in another format that ASE reads"
MOST_BYTES = 10**9  # of text in one file, after unpacking
XZ_MEMORY = 256 * 2**20  # bytes; what xz -9 writes needs 65 MiB
PACKED = 2**14  # bytes of a packed file that are unpacked at once
BLOCK = 2**20  # bytes that are read or unpacked at once
HEAD = 2**12  # bytes by which a format is recognised
PACKINGS = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\x00": ".xz"}
DAMAGED = (lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError)
XYZ = (".xyz", ".extxyz")

Raw = tuple[list[Atoms], list[str], str | None]  # frames, what is to be said of them, units that the file names


# --- bytes ---


def _content(path: Path) -> bytearray:
    """The bytes of a file, unpacked."""
    content = bytearray()
    try:
        for piece in _pieces(path):
            content += piece
            if len(content) > MOST_BYTES:
                content.clear()  # an error that is kept would keep it
                raise DatasetError(
                    f"{path.name} holds more than {MOST_BYTES / 1e9:g} GB of text; cut it into smaller files"
                )
    except (*DAMAGED, OSError) as error:
        raise DatasetError(f"{path.name} is corrupted or truncated ({error}); fetch or make it again") from error
    return content


def _packing(head: bytes) -> str | None:
    return next((suffix for mark, suffix in PACKINGS.items() if head.startswith(mark)), None)


def _pieces(path: Path) -> Iterator[bytes]:
    """Pieces of the bytes of a file, unpacked, each of at most `BLOCK` bytes."""
    with open(path, "rb") as raw:
        file: Any = raw
        packing = _packing(raw.read(6))
        raw.seek(0)
        if packing is None and path.suffix == ".xz":
            raise lzma.LZMAError("it is no xz file")
        if packing == ".gz":
            file = gzip.GzipFile(fileobj=raw)
        elif packing == ".bz2":
            file = bz2.BZ2File(raw)
        elif packing == ".xz":
            yield from _unpacked(raw)
            return
        while piece := file.read(BLOCK):
            yield piece


def _unpacked(file: Any) -> Iterator[bytes]:
    """Pieces of the text in an .xz: by hand, as a small file may unpack without end and ask for all memory."""
    packed = file.read(PACKED)
    while packed:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        while not unpacker.eof:
            yield unpacker.decompress(packed, BLOCK)
            packed = file.read(PACKED) if unpacker.needs_input and not unpacker.eof else b""
            if unpacker.needs_input and not unpacker.eof and not packed:
                raise EOFError("it ends too early")
        packed = (unpacker.unused_data or file.read(PACKED)).lstrip(b"\0")  # another stream may follow


# --- formats ---


def _raw(path: Path, units: str | None = None) -> Raw:
    """The frames of a file as they stand there; the units are those that the user gave."""
    if not is_folder(path):
        path = check_readable(path, EXPECTED)
    special = read_special(path, units)
    if special is not None:
        frames, form, left = special
        return frames, [form], left or None
    path = check_readable(path, EXPECTED)
    with open(path, "rb") as file:
        head = file.read(HEAD)
    packing = _packing(head)
    name = Path(path.name.removesuffix(packing or ".xz"))
    if packing is None and path.suffix != ".xz":
        if name.suffix in XYZ or extxyz.begins_like_xyz(head):
            return _of_text(path, _content(path))
        from tpainn_lite.reading.other_files import read_other

        return read_other(path)
    content = _content(path)
    is_xyz = name.suffix in ("", *XYZ) or extxyz.begins_like_xyz(bytes(content[:HEAD]))
    if is_xyz and format_of(name, bytes(content[:HEAD])) is None:
        return _of_text(path, content)
    with tempfile.TemporaryDirectory() as folder:
        (unpacked := Path(folder) / name).write_bytes(content)
        return _raw(unpacked, units)


def _of_text(path: Path, content: bytes | bytearray, parser: extxyz.Parser | None = None) -> Raw:
    """The frames of an extended XYZ text."""
    frames: list[Atoms] = []
    notes: set[str] = set()
    try:
        for line, atoms, left in extxyz.frames_of_text(content, **({"parser": parser} if parser else {})):
            check_values(atoms, f"line {line}: frame {len(frames)}")
            frames.append(atoms)
            notes |= left
    except DatasetError as error:
        message = f"{path.name} is not a whole extended XYZ file: {error}; fetch or make it again"
        raise DatasetError(message) from error
    return frames, [f"ignored: {note}" for note in sorted(notes)], None


# --- reading ---


def labelled_frames(
    path: Path | str, need: Sequence[str] = ("energy", "forces"), *, energy_key: str | None = None,
    forces_key: str | None = None, stress_key: str | None = None, units: str | None = None,
) -> tuple[list[Atoms], str]:  # fmt: skip
    """`read_frames`, and the line that says what was taken."""
    if not isinstance(need, (tuple, list, set)) or not set(need) <= {*SHAPES, *labels.WITHOUT_NAME}:
        raise ValueError(f"need is {need!r}; a tuple of 'energy', 'forces', 'stress', or ('any',), is expected")
    try:
        path = _named(path)
        frames, notes, own_units = _raw(path, units)
    except (OSError, ValueError) as error:
        raise error if isinstance(error, DatasetError) else DatasetError(str(error)) from error
    if not frames:
        raise DatasetError(f"{path.name} holds no frames; expected {EXPECTED}")
    names = Names(energy_key, forces_key, stress_key)
    try:
        frames, line = _with_labels(frames, names, need, units or own_units, notes)
    except DatasetError as error:
        raise DatasetError(f"{path.name}: {error}") from None
    return frames, f"{path.name}: {line}"


def _named(path: Path | str) -> Path:
    """A path; where nothing could have such a name, what was expected is said."""
    try:
        there = path_of(path)
        there.exists()
        return there
    except (TypeError, ValueError, OSError):
        return check_readable(path, EXPECTED)


def _with_labels(frames, names, need, units, notes):
    """(frames with their labels in eV and Å, what was taken)."""
    found = labels.Found(frames)
    choice = labels.choose(found, names, need)
    virial = any("virial" in name.lower() for name in choice.taken.get("stress", ()))
    given = units_beside(units, virial) if units is not None else None
    virial = given is not None and virial and given.virial
    if given is None:
        labels.check_units_of_names(choice)
    else:
        given = with_positions(given, frames)
        notes = [*notes, f"units: {units}, {words_of_positions(given)}"]
    labels.take(frames, choice, virial)
    line = labels.line_of(frames, found, choice, notes)
    if problem := labels.missing(frames, need, found):
        raise DatasetError(problem)
    if given is not None:
        frames = _converted(frames, given)
    for index, atoms in enumerate(frames):
        check_values(atoms, f"frame {index}")
    return frames, line


def _converted(frames, units):
    """In eV and Å, the stress as Voigt's six."""
    frames = convert(frames, units)
    for results in (atoms.calc.results for atoms in frames if atoms.calc is not None):
        if np.size(results.get("stress", 0.0)) > 1:
            results["stress"] = extxyz.voigt_of(extxyz.matrix_of(results["stress"]))
    return frames


def frames_of(path: Path | str, need: Sequence[str] = (), parser: extxyz.Parser | None = None) -> list[Atoms]:
    """Frames of an extended XYZ file whose labels have the usual names; each must have those that are needed."""
    try:
        path = check_readable(path, EXPECTED)
    except OSError as error:
        raise DatasetError(str(error)) from error
    frames, _, _ = _of_text(path, _content(path), parser)
    check_labels(frames, need)
    return frames


def read_frames(
    path: Path | str, need: Sequence[str] = ("energy", "forces"), *, energy_key: str | None = None,
    forces_key: str | None = None, stress_key: str | None = None, units: str | None = None, quiet: bool = False,
) -> list[Atoms]:  # fmt: skip
    """Read a file of structures: extended XYZ (also .gz, .bz2, .xz), ``.traj``, ``.db``, what else ASE reads,
    and what `reading.formats` knows better: SDF, mol2, PDB, i-PI, CP2K, LAMMPS, n2p2, QM9, DeePMD-kit's folders.

    Labels are found by their names (``energy``, ``REF_energy``, ``dft_forces``, ``virials`` …) and stand in
    ``atoms.calc.results`` as they are in the file, those on fixed atoms too; a virial becomes the stress.

    Parameters
    ----------
    need
        Labels: each must be in some frame, and one of them in every frame.  "energy" (eV), "forces" (eV/Å), "stress"
        (eV/Å³); ``("any",)`` is one of the three, and with ``()`` nothing is needed; with ``("decided",)`` nothing
        either, but two sets of labels are refused.
    energy_key, forces_key, stress_key
        Their names in the file, where there is a choice.  One of them says which set of labels is meant.
    units
        "Hartree,Bohr", or "energy=kcal/mol,forces=-kcal/mol/Å,stress=GPa,positions=Bohr", where these are not eV and Å.
    quiet
        Whether not to say, in a notebook or a terminal, what was taken.

    Raises
    ------
    DatasetError
        Missing, empty, truncated or corrupted file, two sets of labels in one file, positions or labels that are no
        finite numbers, or frames without labels; the message names the line or the frame.

    >>> from tpainn_lite.reading.shipped import shipped_file
    >>> len(read_frames(shipped_file("scans_b3lyp/bond.extxyz.xz")))
    20
    """
    keys = {"energy_key": energy_key, "forces_key": forces_key, "stress_key": stress_key}
    frames, line = labelled_frames(path, need, units=units, **keys)
    if not quiet and labels.has_reader():
        print(line)
    return frames


# --- writing ---


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
