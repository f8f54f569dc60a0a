"""Progress receipts: what a student solved, in a small file to hand in, and a teacher's table of many.

A receipt is sealed by a hash of its content, so that a changed number shows.  That keeps honest people honest, no more:
whoever reads this file can seal what they like.  Nothing leaves the machine.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from tpainn_lite.files import write_text

SALT = "tpainn_lite receipt, first edition"
NEEDED = {"name", "solved", "seconds", "made"}


def hand_in(name, solved, folder=".", **more):
    """Write a sealed receipt.

    Parameters
    ----------
    name : str
        Of the student.
    solved : iterable of str
        Exercises: "00.1", …
    folder : str or Path
    **more
        What else is to be in it: seconds, versions.

    Returns
    -------
    Path
        ``receipt-<notebooks>-<name>.json``; what an older one says is kept in it.

    Raises
    ------
    ValueError
        If there is no name.
    """
    if not str(name).strip():
        raise ValueError('no name was given; the teacher wants to know whose it is: hand_in("Ada Lovelace")')
    name, solved = str(name).strip(), set(solved)
    notebooks = "-".join(sorted({exercise.split(".")[0] for exercise in solved})) or "none"
    plain = "".join(c if c.isalnum() else "-" for c in name)
    path = Path(folder) / f"receipt-{notebooks}-{plain}.json"
    content = {"name": name, "solved": sorted(solved | _solved_before(path, name))}
    content |= {"made": datetime.now(UTC).isoformat(timespec="seconds")} | more
    write_text(path, json.dumps(content | {"seal": seal(content)}, indent=1, ensure_ascii=False) + "\n")
    return path


def _solved_before(path, name):
    """Of an earlier session, if its receipt is this student's and sound."""
    try:
        earlier = read_receipt(path)
    except (ValueError, OSError):
        return set()
    return set(earlier["solved"]) if earlier["name"] == name else set()


def seal(content):
    """Hexadecimal SHA-256 of a receipt's content."""
    text = SALT + json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_receipt(path):
    """A receipt without its seal.

    Raises
    ------
    ValueError
        If it is no receipt, or was changed after it was made.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        sealed = content.pop("seal")
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(f"{path} is not a receipt: JSON written by receipt.hand_in is expected") from None
    if sealed != seal(content) or not content.keys() >= NEEDED:
        raise ValueError(f"{path} was changed after it was made: its seal does not fit")
    return content


def receipt_table(paths):
    """A line for each student: exercises solved, over all of their receipts; then what could not be read, and why.

    Parameters
    ----------
    paths : sequence of str or Path
        Receipts, and folders of them.

    Returns
    -------
    str
    """
    solved, faults = {}, []
    files = [file for given in map(Path, paths) for file in (given.glob("*.json") if given.is_dir() else [given])]
    for path in sorted(files):
        try:
            content = read_receipt(path)
        except (ValueError, OSError) as error:
            faults.append(f"! {error}")
            continue
        solved[content["name"]] = solved.get(content["name"], set()) | set(content["solved"])
    width = max(map(len, solved), default=0)
    rows = [
        f"{name:{width}}  {len(done):3d} solved: {', '.join(sorted(done))}" for name, done in sorted(solved.items())
    ]
    return "\n".join([*rows, *faults])
