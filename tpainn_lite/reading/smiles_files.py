"""Lists of SMILES: one a line with or without a name, or a table of which one column holds them.

Excel's commas, semicolons, tabs, quotes, byte-order marks and UTF-16, comments, compressed files.  Which column is
taken is said in one line; where two could be meant, the reader asks.
"""

import bz2
import codecs
import csv
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tpainn_lite.structures.arguments import DatasetError, shown
from tpainn_lite.structures.smiles import LONGEST, is_readable

TABLES = (".csv", ".tsv")
LISTS = (".smi", ".smiles", ".ism", ".can", ".txt")  # where the SMILES comes first, by convention
PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
LARGEST_TEXT = 1_000_000_000  # bytes, unpacked
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
         codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
NO_TEXT = re.compile("[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
NAMED = re.compile(r"[a-z0-9]*smiles?[a-z0-9]*|smi")  # of a column, without blanks and the like
PREFERRED = ("smiles", "isomericsmiles", "canonicalsmiles")
HEADS = {"structure", "structures", "molecule", "molecules", "mol", "compound", "compounds", "name", "id"}
DELIMITERS = ("\t", ";", ",", "|")
LOOKED_AT = 200  # rows of which is seen whether RDKit reads a column
Row = list[str]


def is_smiles_file(path: Path | str) -> bool:
    """Whether the name of a file says that it is a list of SMILES: .smi, .csv, .tsv, .txt, …, perhaps with .gz.

    >>> is_smiles_file("mine.smi"), is_smiles_file("zinc.CSV.gz"), is_smiles_file("mine.extxyz")
    (True, True, False)
    """
    return _suffix(Path(path)) in (*TABLES, *LISTS)


def read_smiles(path: Path | str) -> tuple[list[str], str]:
    """The SMILES in a file, each once and in their order, and one line that says where they were taken from.

    In a table it is the column whose head says "smiles"; without such a head, the only one that RDKit can read.  In
    other files it is the first word of each line.  Empty lines and comments (``#``) are passed over.

    Raises
    ------
    DatasetError
        The file is no text; two columns could be meant; a SMILES has more than 1000 characters.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "my.csv").write_text("name,smiles\\nCO,[C-]#[O+]\\nmethanol,CO\\n")
    ...     read_smiles(f"{folder}/my.csv")
    (['[C-]#[O+]', 'CO'], "my.csv: 2 SMILES from the column 'smiles'")
    """
    path = Path(path)
    comments, lines, delimiter = _lines(path)
    head = next((line for line in [*lines[:1], *comments[-1:]] if _names_smiles(line, lines, delimiter)), None)
    if head is not None:
        cells, where = _of_named_column(path, head, lines[1:] if lines[:1] == [head] else lines, delimiter)
    else:
        cells, where = _of_found_column(path, lines, delimiter)
    words = [cell.split()[0] if cell.strip() else "" for cell in cells]
    if too_long := next((word for word in words if len(word) > LONGEST), None):
        raise DatasetError(
            f"{path} has a SMILES of more than {LONGEST} characters, {shown(too_long)}; small molecules are expected"
        )
    smiles = list(dict.fromkeys(filter(None, words)))
    counts = {"empty": words.count(""), "repeated": len(words) - words.count("") - len(smiles)}
    passed = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return smiles, f"{path.name}: {len(smiles)} SMILES {where}" + (f"; left out: {passed}" if passed else "")


# --- text ---


def _suffix(path):
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return (suffixes[:-1] if suffixes[-1:] and suffixes[-1] in PACKED else suffixes)[-1:][0] if suffixes else ""


def _lines(path: Path) -> tuple[list[str], list[str], str | None]:
    """(comments before the first line, lines, delimiter that Excel's first line "sep=;" names)."""
    text = _decoded(path, _raw(path)).rstrip("\x1a").replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    if NO_TEXT.search(text):
        raise DatasetError(f"{path} is no text; a list of SMILES, one a line, or a table is expected")
    lines, delimiter = [line for line in text.split("\n") if line.strip(" ,;\t")], None
    if lines and re.fullmatch(r"sep=.", lines[0].strip().strip('"'), re.IGNORECASE):
        delimiter = lines.pop(0).strip().strip('"')[-1]
    first = next((k for k, line in enumerate(lines) if not _is_comment(line)), len(lines))
    return lines[:first], [line for line in lines if not _is_comment(line)], delimiter


def _is_comment(line):
    return line.lstrip().startswith("#")


def _raw(path):
    reader = PACKED.get(path.suffix.lower(), open)
    try:
        with reader(path, "rb") as file:
            raw = file.read(LARGEST_TEXT + 1)
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is damaged, or not what its name says ({error})") from error
    if len(raw) > LARGEST_TEXT:
        raise DatasetError(f"{path} has more than {LARGEST_TEXT} bytes; a list of SMILES, one a line, is expected")
    return raw


def _decoded(path, raw):
    """Text, whatever its encoding: SMILES are ASCII, and what else a line holds is not needed."""
    encoding = next((name for mark, name in MARKS.items() if raw.startswith(mark)), None)
    if encoding is None and 2 * raw[:1000].count(0) >= len(raw[:1000]) - 1 > 0:  # UTF-16 without its mark
        encoding = "utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"
    try:
        return raw.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        if encoding is None:
            return raw.decode("latin-1")
        raise DatasetError(
            f"{path} is no text, though it begins like {encoding}; a list of SMILES is expected"
        ) from None


# --- columns ---


def _split(lines: Sequence[str], delimiter: str | None) -> list[Row]:
    """Cells of each line; without a delimiter, its words."""
    if delimiter is None:
        return [[word.strip("\"'") for word in line.split()] for line in lines]
    ended = [f"{line}\n" for line in lines]
    try:
        rows = list(csv.reader(ended, delimiter=delimiter, skipinitialspace=True))
    except csv.Error:  # a cell of more characters than csv takes
        return [line.split(delimiter) for line in lines]
    if any("\n" in cell for row in rows for cell in row):  # in quotes that may have swallowed lines
        try:
            widths = {len(row) for row in csv.reader(ended, delimiter=delimiter, skipinitialspace=True, strict=True)}
        except csv.Error:
            widths = set()
        if len(widths) != 1:
            raise DatasetError("a quote in the table is opened and not closed; each cell in quotes has to end with one")
    return rows


def _is_name(cell):
    return NAMED.fullmatch(re.sub(r"[\s_\-.()\[\]\"'#]", "", cell.lower())) is not None


def _names_smiles(line, lines, delimiter):
    """Whether a line is the head of a table that has a column of SMILES; a comment must have as many columns."""
    split = _head_delimiter(line, delimiter)
    cells = _split([line], split)[0]
    if not any(map(_is_name, cells)):
        return False
    return not _is_comment(line) or any(len(row) == len(_head_cells(line, split)) for row in _split(lines[:1], split))


def _head_cells(line, delimiter):
    return _split([line.lstrip("# ") if _is_comment(line) else line], delimiter)[0]


def _head_delimiter(line, delimiter):
    """What separates the cells of a head."""
    found = (d for d in DELIMITERS if d in line and any(map(_is_name, _split([line], d)[0])))
    return delimiter or next(found, None)


def _of_named_column(path, head, lines, delimiter):
    """(cells, words about the column) of a table whose head says which column it is."""
    delimiter = _head_delimiter(head, delimiter)
    names = _head_cells(head, delimiter)
    if delimiter is None and len(names) > 1 and _is_name(head) and all(len(line.split()) == 1 for line in lines[:5]):
        names = [head]  # one column, called "canonical smiles"
    rows = _split(lines, delimiter if len(names) > 1 else _data_delimiter(path, lines, delimiter))
    column = _column_called_smiles(path, names, rows)
    if delimiter is None and column:
        _check_words(path, names, rows)
    return [row[column] if column < len(row) else "" for row in rows], f"from the column {names[column].strip()!r}"


def _column_called_smiles(path, names, rows):
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    for name in PREFERRED:
        if plain.count(name) == 1:
            return plain.index(name)
    columns = [k for k, name in enumerate(names) if _is_name(name)]
    sound = [k for k in columns if _share(rows, k) > 0]
    if len(sound) > 1:
        called = ", ".join(repr(names[k].strip()) for k in sound)
        raise DatasetError(f"{path.name} has {len(sound)} columns of SMILES ({called}); call the right one 'smiles'")
    return (sound or columns)[0]


def _check_words(path, names, rows):
    for row in rows:
        if len(row) != len(names):
            raise DatasetError(
                f"{path.name}: {' '.join(row)!r} has {len(row)} words, its head {len(names)}; separate columns by tabs "
                "or commas, or put the SMILES first"
            )


def _of_found_column(path, lines, delimiter):
    """(cells, words about the column) where no head says which one it is."""
    is_list = _suffix(path) in LISTS and delimiter is None
    delimiter = delimiter or _data_delimiter(path, lines, None)
    rows = _split(lines, delimiter)
    body = rows[1:] or rows  # the first one may be a head
    width = max(map(len, rows), default=0)
    shares = [_share(body, k) for k in range(width)]
    column = max(range(width), key=shares.__getitem__, default=0)
    if is_list:
        column = _column_of_list(path, rows, width)
    elif sum(share >= 0.5 for share in shares) > 1:
        _ask(path, rows, shares)
    head = f", after the head {shown(', '.join(rows[0]))}" if rows and _is_head(rows, column) else ""
    rows = rows[1:] if head else rows
    cells = [row[column] if column < len(row) else "" for row in rows]
    if delimiter is None:
        cells = [re.split("[,;]", cell)[0] for cell in cells]
    if width < 2 or (is_list and column == 0):
        return cells, ("from the beginning of each line" if width > 1 else "one in each line") + head
    return cells, f"from column {column + 1}, the only one that RDKit can read{head}"


def _column_of_list(path, rows, width):
    """The first column, by convention; another, if RDKit can read all of it and nothing of the first."""
    shares = [_share(rows, k) for k in range(width)] or [1.0]
    other = next((k for k in range(1, min(map(len, rows), default=0)) if shares[k] == 1), None)
    if other is None or shares[0] == 1 or any(_is_head(rows, k) for k in range(width)):
        return 0
    if shares[0] > 0 or len(rows) < 3:
        _ask(path, rows, [1.0 if k in (0, other) else 0.0 for k in range(width)])
    return other


def _ask(path, rows, shares):
    both = [
        f"column {k + 1} ({', '.join(row[k] for row in rows[:3] if k < len(row))})"
        for k, share in enumerate(shares)
        if share >= 0.5
    ]
    raise DatasetError(
        f"{path.name}: {' and '.join(both)} can be read as SMILES; put a first line that calls the right one 'smiles'"
    )


def _data_delimiter(path, lines, delimiter):
    """What separates the cells where there is no head: what divides most lines alike; blanks in lists of SMILES."""
    first = lines[0] if lines else ""
    if delimiter is not None or not lines:
        return delimiter
    if _suffix(path) in LISTS and len(first.split()) > 1:
        return "\t" if "\t" in first else None
    alike = {}
    for d in DELIMITERS[:3]:
        widths = [len(row) for row in _split(lines[:LOOKED_AT], d)]
        alike[d] = sum(width == widths[0] > 1 for width in widths)
    usual = "\t" if _suffix(path) == ".tsv" else ","
    best = max(alike, key=lambda d: (alike[d], d == usual))
    return best if alike[best] else None


def _share(rows, column):
    """Share of the first cells of a column that RDKit can read."""
    cells = [row[column].strip() for row in islice(rows, LOOKED_AT) if column < len(row)]
    cells = [re.split(r"\s", cell)[0] for cell in cells if cell]
    return sum(map(is_readable, cells)) / len(cells) if cells else 0.0


def _is_head(rows, column):
    """Whether the first row only names the columns."""
    cell = rows[0][column].strip() if column < len(rows[0]) else ""
    if not re.fullmatch(r"[A-Za-z][\w \-]*", cell) or is_readable(cell):
        return False
    return cell.lower() in HEADS or (len(rows[0]) > 1 and len(rows) > 1 and not any(map(is_readable, rows[0])))
