"""Extended XYZ text: read with a look at its structure first.

A file is a row of frames: a line with the number of atoms, a header line, a line for each atom.  `frames_of_text`
counts the lines and looks at each header before anything is taken apart, so that what is damaged, endless or not a
file of frames at all is named by its line, and costs neither time nor memory.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses, atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import DatasetError, shown

MOST_FRAMES = 300_000  # in one file: a gigabyte of memory
MOST_ATOMS = 10**6  # in one frame; ten times as many in one file
LONGEST_HEADER = 10**6  # characters; they are read one by one
MOST_COLUMNS = 1000
PLAIN = "species:S:1:pos:R:3"  # the columns of an XYZ file that does not name them
NAMES = {
    "pos": "positions", "positions": "positions", "species": "symbols", "symbols": "symbols", "element": "symbols",
    "Z": "numbers", "numbers": "numbers", "atomic_numbers": "numbers", "charge": "charges", "mass": "masses",
}  # fmt: skip  # of columns, as ASE calls them
ISOTOPES = {"D": 2.014, "T": 3.016}  # u, of hydrogen
KINDS = {"R": float, "I": int, "L": bool, "S": str}
WORDS_OF_BOOL = {"T": True, "F": False, "True": True, "False": False, "1": True, "0": False}
MATRIX = re.compile(r"(?<!\S)(stress|virial)(?=\s*=)")  # keys whose values must be 3×3 for ASE; Voigt's six are usual
PART_OF_DECIMAL = re.compile(rb"[+-]?\d*(\.\d*(?:[eE][+-]?\d+)?)?")
DECIMAL = re.compile(rb"[+-]?\d+\.\d*(?:[eE][+-]?\d+)?")
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}  # that editors put in front

Parser = Callable[[str], dict[str, Any]]
Part = tuple[int, int, int]  # number of its first line, start, end


# --- the text ---


def plain_text(content: bytes | bytearray) -> bytes | bytearray:
    """The text in UTF-8, whatever mark an editor put in front of it, with line ends of one kind."""
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            try:
                content = content.decode(encoding).encode()
            except UnicodeDecodeError:
                raise DatasetError(f"it begins like a text in {encoding}, and is none") from None
    content = content.rstrip(b"\x1a")  # DOS' end of a file
    return content.replace(b"\r", b"\n") if b"\r" in content and b"\n" not in content else content


def begins_like_xyz(head: bytes) -> bool:
    """Whether a text begins with a number of atoms alone on a line, as files of frames do.

    >>> begins_like_xyz(b"3\\nwater\\nO 0 0 0")
    True
    """
    first = plain_text(head[: len(head) & ~1]).lstrip().split(b"\n", 1)[0].strip()
    return first.isdigit() and len(first) < 10


def parts_of(text: bytes | bytearray) -> list[Part]:
    """Each frame of a text: number of its first line, where it starts, where it ends."""
    parts: list[Part] = []
    line, place, total = 1, 0, 0
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
    """Raise `DatasetError` for a header that would be taken apart without end."""
    if len(header) > LONGEST_HEADER:
        raise DatasetError(f"line {line}: a header of {len(header)} characters; at most {LONGEST_HEADER} are possible")
    try:
        header.decode()
    except UnicodeDecodeError:
        raise DatasetError(f"line {line} is not text in UTF-8") from None


def _is_cut(frame):
    """Whether the last number of a frame without a last line end has fewer digits than all those above it.

    Only where these have as many each, and many: such numbers are written by a program, all in one way.
    """
    *rows, last = [line.split() for line in bytes(frame).splitlines()[2:]]
    if not last or not PART_OF_DECIMAL.fullmatch(last[-1]):
        return bool(last) and last[-1].endswith((b"e", b"E", b"e-", b"E-", b"e+", b"E+"))
    rows = [row for row in rows if len(row) == len(last)]
    many = len(rows) > 2
    columns = (
        [[row[k] for row in rows] for k in range(len(last))]
        if many
        else [[word for row in [*rows, last[:-1]] for word in row]]
    )
    decimals = [{len(word.partition(b".")[2]) for word in c if DECIMAL.fullmatch(word)} for c in columns]
    usual = decimals[-1]
    return (
        all(len(each) < 2 for each in decimals)
        and len(usual) == 1
        and min(usual) > 4
        and len(last[-1].partition(b".")[2]) < min(usual)
    )


# --- frames ---


def matrix_of(values: NDArray) -> NDArray:
    """(3, 3) of a tensor in any of the usual shapes: Voigt's six (xx, yy, zz, yz, xz, xy), or nine.

    >>> matrix_of(np.array([1.0, 2, 3, 4, 5, 6]))[1]
    array([6., 2., 4.])
    """
    flat = np.reshape(values, -1)
    return flat.reshape(3, 3).T if flat.size == 9 else flat[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]


def voigt_of(matrix: NDArray) -> NDArray:
    """Voigt's six (xx, yy, zz, yz, xz, xy) of the symmetric part of a (3, 3).

    >>> voigt_of(np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 3]]))
    array([1., 2., 3., 0., 0., 0.])
    """
    both = 0.5 * (np.asarray(matrix, float) + np.asarray(matrix, float).T)
    return both[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def frames_of_text(text: bytes | bytearray, parser: Parser | None = None) -> Iterator[tuple[int, Atoms, set[str]]]:
    """Number of its first line, atoms, and what of its columns was left, for each frame of a text.

    Labels are in ``atoms.calc.results``, where ASE's reader puts them; ``parser`` takes a header apart, unless given
    ASE's.

    Raises
    ------
    DatasetError
        The line that is wrong, and why.
    """
    from ase.io.extxyz import key_val_str_to_dict  # ASE's formats take a third of a second

    text, parser = plain_text(text), parser or key_val_str_to_dict
    for line, start, end in parts_of(text):
        left: set[str] = set()
        try:
            atoms = _frame(text[start:end].decode().rstrip("\n").split("\n"), parser, left)
        except DatasetError as problem:
            raise DatasetError(f"the frame that begins in line {line} cannot be read ({problem})") from None
        except Exception as problem:  # noqa: BLE001  whatever is made of its words: it is named, with its line
            words = f"{type(problem).__name__}: {problem}"
            raise DatasetError(f"the frame that begins in line {line} cannot be read ({words})") from None
        yield line, atoms, left


def _frame(lines, parser, left):
    from ase.io.extxyz import per_config_properties

    n = int(lines[0])
    rows, sides = lines[2 : n + 2], [line.split() for line in lines[n + 2 :]]
    info = {"comment": lines[1].strip()} if sides else _info(lines[1], parser)
    cell, pbc = _cell(info, sides)
    arrays = _columns(rows, _kinds(info), left)
    numbers, masses = _species(arrays)
    atoms = Atoms(numbers=numbers, positions=arrays.pop("positions"), cell=cell, pbc=pbc, info=info)
    if masses is not None and "masses" not in arrays:
        atoms.set_masses(masses)
    _set_constraint(atoms, arrays.pop("move_mask", None))
    results = {name: arrays.pop(name) for name in list(arrays) if name in all_properties}
    results |= {key: atoms.info.pop(key) for key in per_config_properties if key in atoms.info}
    stress = np.asarray(results.get("stress", 0.0))
    if stress.shape == (3, 3):
        results["stress"] = voigt_of(stress)
    if stress.size > 1 and stress.dtype.kind == "f" and np.isnan(stress).all():
        del results["stress"]  # so some programs write that a molecule has none
    for name, values in arrays.items():
        atoms.set_array(name, values)
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _info(header, parser):
    """{key: value} of a header line."""
    given = parser(MATRIX.sub(r"\1__", header)) if (header := header.strip()) else {}
    found = {key.removesuffix("__"): value for key, value in given.items()}
    for key in ("stress", "virial"):
        value = found.get(key)
        if isinstance(value, np.ndarray) and value.size in (6, 9):
            found[key] = matrix_of(value)
    if found.get("smiles") is False:  # hydrogen fluoride's, F, was taken for "false"
        found["smiles"] = "F"
    return found


def _cell(info, sides):
    """(cell (3, 3), pbc) of a frame; they are taken out of ``info``."""
    if sides:
        cell = np.zeros((3, 3))
        for k, words in enumerate(sides):
            cell[k] = [float(word) for word in words[1:]]
        return cell, [k < len(sides) for k in range(3)]
    key = next((key for key in info if key.lower() == "lattice"), None)
    if key is None:
        return None, info.pop("pbc", False)
    vectors = info.pop(key)
    if np.size(vectors) != 9:
        raise DatasetError(f"{key} is {shown(vectors)}; 9 numbers are expected")
    rows = np.asarray(vectors, float)
    return rows.T if rows.ndim == 2 else rows.reshape(3, 3), info.pop("pbc", True)


def _kinds(info):
    """[(name, R I L or S, number of columns)], as the header announces them."""
    given = info.pop("Properties", info.pop("properties", PLAIN))
    words = (given if isinstance(given, str) and ":" in given else PLAIN).split(":")
    kinds = [(name, kind, int(n)) for name, kind, n in zip(words[::3], words[1::3], words[2::3], strict=True)]
    for name, kind, n in kinds:
        if kind not in KINDS or n < 1:
            raise DatasetError(f"{name}:{kind}:{n} is no column; a name, R, I, L or S and a number are expected")
    names = [NAMES.get(name, name) for name, *_ in kinds]
    if "positions" not in names or not {"symbols", "numbers"} & {*names} or len({*names}) < len(names):
        raise DatasetError(f"the columns {', '.join(names)} are announced; species and pos, each once, are expected")
    return list(zip(names, (kind for _, kind, _ in kinds), (n for *_, n in kinds), strict=True))


def _columns(rows, kinds, left):
    """{name: (N,) or (N, n)} of the lines of atoms."""
    total = sum(n for *_, n in kinds)
    if total > MOST_COLUMNS:
        raise DatasetError(f"more than {MOST_COLUMNS} columns are announced")
    words = [row.split() for row in rows]
    for k, row in enumerate(words):
        if len(row) < total:
            raise DatasetError(f"atom {k} has {len(row)} words where {total} are announced")
    if any(len(row) > total for row in words):
        left.add(f"{max(map(len, words)) - total} columns without a name")
    columns = list(zip(*words, strict=False))[:total]
    arrays: dict[str, NDArray] = {}
    first = 0
    for name, kind, n in kinds:
        values = [_values(column, kind) for column in columns[first : first + n]]
        arrays[name] = np.array(values).T if n > 1 else np.array(values[0])
        first += n
    return arrays


def _values(words, kind):
    if kind == "L":
        return [WORDS_OF_BOOL[word] for word in words]
    try:
        return list(map(KINDS[kind], words))
    except ValueError:
        if kind != "R" or not all(re.fullmatch(r"[-+.\d]+[dD][-+]?\d+|[-+.\deE]+", word) for word in words):
            raise
        return [float(word.lower().replace("d", "e")) for word in words]  # as Fortran writes exponents


def _species(arrays):
    """Atomic numbers (N,), and masses (N,) in u where there are isotopes; symbols may be numbers."""
    symbols, numbers = arrays.pop("symbols", None), arrays.pop("numbers", None)
    if symbols is None:
        return np.asarray(numbers, int), None
    words, place = np.unique(symbols, return_inverse=True)
    names = [str(word).capitalize() for word in words]
    numbers = np.array([_number(name) for name in names])
    if not ISOTOPES.keys() & {*names}:
        return numbers[place], None
    masses = [ISOTOPES.get(name, atomic_masses[number]) for name, number in zip(names, numbers, strict=True)]
    return numbers[place], np.array(masses)[place]


def _number(name):
    if name in ISOTOPES:
        return 1
    if name.isdigit() and 0 < int(name) < len(chemical_symbols):
        return int(name)
    if name not in atomic_numbers:
        raise DatasetError(f"{name!r} stands where a chemical symbol or an atomic number is expected")
    return atomic_numbers[name]


def _set_constraint(atoms, mask):
    """Atoms that a calculation held fixed; their labels stay as they are."""
    if mask is None:
        return
    from ase.constraints import FixAtoms, FixCartesian

    if mask.ndim == 1:
        atoms.set_constraint(FixAtoms(mask=~mask.astype(bool)))
    else:
        atoms.set_constraint([FixCartesian(k, mask=~mask[k].astype(bool)) for k in range(len(atoms))])
