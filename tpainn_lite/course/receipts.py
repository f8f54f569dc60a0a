"""Progress receipts: what a student solved, in a small file to hand in, and a teacher's table of many.

A receipt is sealed by a hash of its content, so that a changed number shows.  That keeps honest people honest, no more:
whoever reads this file can seal what they like.  By itself it proves nothing; `tpainn_lite.course.regrade` runs the
answers again.  Nothing leaves the machine.
"""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tpainn_lite.structures.arguments import check_list
from tpainn_lite.structures.files import path_of, write_text

SALT = "tpainn_lite receipt, first edition"
NEEDED = {"name", "solved", "seconds", "made"}
LARGEST = 1_000_000  # bytes of a receipt; ours, with all answers of a notebook, have some thousands
LONGEST = 100  # characters of a name that count
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # kinds of characters that show nothing, or move what is shown
JOINERS = "\u200c\u200d"  # invisible, and part of names in Persian and in India


def hand_in(name: str, solved: Iterable[str], folder: Path | str = ".", **more: object) -> Path:
    """Write a sealed receipt.

    Parameters
    ----------
    name
        Of the student.
    solved
        Exercises: "00.1", …
    **more
        What else is to be in it: seconds, versions, answers.

    Returns
    -------
    Path
        ``receipt-<notebooks>-<name>.json``; what an older one says is kept in it.  Where a file of that name is not
        this student's receipt, it is left alone, and the name is followed by a number.

    Raises
    ------
    ValueError
        There is no name, or what was solved is not a list of exercises.
    """
    check_list([] if isinstance(solved, str) else solved, "solved")
    name, solved = plain(name), {solved} if isinstance(solved, str) else set(solved)
    if not name:
        raise ValueError('no name was given; the teacher wants to know whose it is: hand_in("Ada Lovelace")')
    if not all(map(_is_exercise, solved)):
        raise ValueError('exercises are named by short texts: {"00.1", "00.2"} is expected')
    notebooks = "-".join(sorted({_for_a_file(exercise.split(".")[0]) for exercise in solved})) or "none"
    path, before = _place(path_of(folder, "folder"), f"receipt-{notebooks[:100]}-{_for_a_file(name)}", name)
    content: dict[str, object] = {"name": name, "solved": sorted(solved | set(before.get("solved", ())))}
    content |= {"made": datetime.now(UTC).isoformat(timespec="seconds")} | more
    if isinstance(earlier := before.get("answers"), dict) and isinstance(now := more.get("answers"), dict):
        content["answers"] = earlier | {
            number: now[number] for number in now if _is_news(earlier.get(number), now[number])
        }
    write_text(path, json.dumps(content | {"seal": seal(content)}, indent=1, ensure_ascii=False) + "\n")
    return path


def _is_news(earlier, now):
    """Whether an answer takes the place of the one of an earlier session: unless that was right and this is not."""
    return not (isinstance(earlier, dict) and earlier.get("right") and isinstance(now, dict) and not now.get("right"))


def _for_a_file(text):
    """Letters and digits of a text, a dash for what is between them, in at most 100 bytes."""
    dashed = "".join(c if c.isalnum() else "-" for c in text)
    return re.sub("-+", "-", dashed).encode()[:100].decode(errors="ignore")


def _place(folder, stem, name):
    """Where this student's receipt goes, and the receipt there: the first name that is free, or the student's."""
    for number in range(1, 1000):
        path = folder / (f"{stem}.json" if number == 1 else f"{stem}-{number}.json")
        try:
            earlier = read_receipt(path)
        except FileNotFoundError:
            return path, {}
        except (ValueError, OSError):
            continue
        if plain(earlier["name"]) == name:
            return path, earlier
    raise FileExistsError(f"{folder} is full of files called {stem}: name another folder")


def plain(text: object, longest: int = LONGEST) -> str:
    """A text that is safe to show in one line: no line ends, no codes that a terminal obeys, no turned direction.

    >>> plain("Ada\\nBob    3 solved")
    'Ada Bob 3 solved'
    """
    words = " ".join(unicodedata.normalize("NFC", str(text)).split())
    shown = "".join(c if c in JOINERS or unicodedata.category(c) not in HIDDEN else "\ufffd" for c in words)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def seal(content: dict) -> str:
    """Hexadecimal SHA-256 of a receipt's content."""
    text = SALT + json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_receipt(path: Path | str) -> dict:
    """A receipt without its seal.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no receipt, or was changed after it was made.
    """
    path, wanted = Path(path), "JSON written by receipt.hand_in is expected"
    size = path.stat().st_size
    if not path.is_file() or size > LARGEST:
        raise ValueError(f"{path} is not a receipt: a file of at most {LARGEST} bytes, {wanted}")
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
        sealed, right = content.pop("seal"), seal(content)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"{path} is not a receipt: {wanted}") from None
    if sealed != right or not content.keys() >= NEEDED:
        raise ValueError(f"{path} was changed after it was made: its seal does not fit")
    if not _is_sound(content):
        raise ValueError(f"{path} is sealed, but holds what no notebook writes: a name, exercises and seconds")
    return content


def _is_sound(content):
    """Whether everything in it is of the kind that `hand_in` writes."""
    name, solved, seconds = content["name"], content["solved"], content["seconds"]
    number = isinstance(seconds, int) or (isinstance(seconds, float) and math.isfinite(seconds))
    exercises = isinstance(solved, list) and all(map(_is_exercise, solved))
    return number and exercises and isinstance(name, str) and bool(plain(name))


def _is_exercise(text):
    """Whether this can be the number of an exercise."""
    return isinstance(text, str) and 0 < len(text) <= 20 and text == plain(text)


def receipt_table(paths: Sequence[Path | str]) -> str:
    """A line for each student: exercises solved, over all of their receipts; then what could not be read, and why.

    ``paths`` are receipts, and folders of them, with folders in them.
    """
    check_list(paths, "paths")
    solved: dict[str, set[str]] = {}
    faults = []
    files = {file: given for given in map(path_of, paths) for file in files_in(given)}
    for path in sorted(file for file, given in files.items() if file == given or file.suffix.lower() == ".json"):
        try:
            content = read_receipt(path)
        except (ValueError, OSError) as error:
            faults.append(f"! {plain(error, 300)}")
            continue
        name = plain(content["name"])
        solved[name] = solved.get(name, set()) | set(content["solved"])
    width = max(map(len, solved), default=0)
    rows = [
        f"{name:{width}}  {len(done):3d} solved: {', '.join(sorted(done))}" for name, done in sorted(solved.items())
    ]
    return "\n".join([*rows, *faults])


def files_in(given: Path) -> list[Path]:
    """All files, and empty folders, in a folder and those below it, but for hidden ones; anything else as it is.

    >>> [file.name for file in files_in(Path("nowhere.json"))]
    ['nowhere.json']
    """
    try:
        if not given.is_dir():
            return [given]
    except OSError:
        return [given]
    below = [path for path in sorted(given.rglob("*")) if not _is_hidden(path.relative_to(given).parts)]
    return [path for path in below if not (path.is_dir() and _is_full(path))]


def _is_hidden(parts):
    return any(part.startswith((".", "__")) for part in parts)


def _is_full(folder):
    """Whether something is in a folder; no, where nobody may look."""
    try:
        return any(folder.iterdir())
    except OSError:
        return False
