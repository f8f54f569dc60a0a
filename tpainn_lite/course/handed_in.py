"""What learners handed in: the code of their answers, from notebooks and receipts, and what the receipts claim.

A file in a sub-folder belongs to the learner that the sub-folder is named after.  A receipt elsewhere belongs to the
name in it, a notebook to what its own name says beside the name of the lesson: ``00_tour-Ada.ipynb`` to Ada.
"""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tpainn_lite.course.receipts import plain, read_receipt
from tpainn_lite.structures.arguments import check_list
from tpainn_lite.structures.files import path_of

ASKED = re.compile(
    r"""\bteach\.check\(\s*["'](\d\d\.\d+)["']"""
)  # the number of an exercise, as a notebook asks for it
LARGEST = 100_000_000  # bytes of a notebook; figures with their states have some


@dataclass
class HandIn:
    """Of one learner: {exercise: sources of the cells that answer it}, and the exercises that receipts call solved."""

    learner: str
    answers: dict[str, list[str]] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)


def handed_in(paths: Sequence[Path | str], lessons: dict[str, list[str]]) -> tuple[list[HandIn], dict[str, str]]:
    """What each learner handed in, and {name of a file: why it could not be read}.

    Where a notebook and a receipt both hold an answer, that of the notebook counts; of two notebooks, the one whose
    name comes later.

    Parameters
    ----------
    paths
        Notebooks, receipts, and folders of them.
    lessons
        {name of a lesson: sources of its code cells}, of the notebooks as they are shipped.
    """
    check_list(paths, "paths")
    learners: dict[str, HandIn] = {}
    faults = {}
    shipped = [source for sources in lessons.values() for source in sources]
    files = [file for path in paths for file in _files(path_of(path))]
    for file, folder in sorted(files, key=lambda file: file[0].suffix == ".ipynb"):  # notebooks after receipts
        try:
            if file.suffix == ".json":
                receipt = read_receipt(file)
                name, claimed, answers = receipt["name"], receipt["solved"], _in_receipt(receipt)
            else:
                name, claimed, answers = _beside_lesson(file, lessons), [], answers_in(_sources(file), shipped)
        except (ValueError, OSError) as error:
            faults[plain(file.name)] = plain(error, 300)
            continue
        whose = plain(folder or name)
        one = learners.setdefault(_key(whose), HandIn(whose))
        one.answers |= answers
        one.claimed |= set(claimed)
    return sorted(learners.values(), key=lambda one: one.learner), faults


def _files(path):
    """(file, name of the learner's folder or "") of a path and all that is below it."""
    if not path.is_dir():
        return [(path, "")]
    below = [file for kind in ("*.json", "*.ipynb") for file in path.rglob(kind)]
    inside = [(file, file.relative_to(path).parts) for file in sorted(below)]
    return [(file, parts[0] if len(parts) > 1 else "") for file, parts in inside if ".ipynb_checkpoints" not in parts]


def _key(name):
    """Letters and digits of a name: "Ada Lovelace" and "ada-lovelace" are one learner."""
    return "".join(filter(str.isalnum, name.casefold())) or name


def _beside_lesson(file, lessons):
    """What the name of a file says beside the name of the lesson."""
    name = file.stem
    for lesson in lessons:
        name = name.replace(lesson, "")
    return re.sub(r"[\s_-]+", " ", name).strip() or file.stem


def _in_receipt(receipt):
    """{exercise: [code]} of the answers in a receipt, as far as they are what `teach.Receipt.hand_in` writes."""
    kept = receipt.get("answers")
    tries = kept.items() if isinstance(kept, dict) else ()
    found = {number: tried.get("code") for number, tried in tries if isinstance(tried, dict)}
    return {number: [code] for number, code in found.items() if isinstance(code, str) and code.strip()}


def _sources(file):
    """The sources of the code cells of a notebook."""
    if file.stat().st_size > LARGEST:
        raise ValueError(f"{file} has more than {LARGEST} bytes; a notebook is expected")
    try:
        cells = json.loads(file.read_bytes().decode("utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"{file} is not a notebook: a file written by Jupyter is expected") from None


def answers_in(sources: Sequence[str], shipped: Sequence[str]) -> dict[str, list[str]]:
    """{exercise: sources of the cells that answer it} of a learner's notebook.

    To an answer belong the cell that asks the exercise, and the learner's own cells since the exercise before.  An
    exercise that was left as it is shipped is no answer.

    Parameters
    ----------
    sources
        Of the learner's code cells, in order.
    shipped
        Those of the notebook as it is shipped.

    >>> answers_in(["import ase", "two = 2", 'n = two\\nteach.check("00.1", n)'], ["import ase"])
    {'00.1': ['two = 2', 'n = two\\nteach.check("00.1", n)']}
    """
    known = {_words(source) for source in shipped}
    answers: dict[str, list[str]] = {}
    own: list[str] = []
    for source in sources:
        numbers = ASKED.findall(source)
        if _words(source) not in known:
            own.append(source)
        if numbers:
            if own:
                answers |= dict.fromkeys(numbers, own)
            own = []
    return answers


def _words(source):
    return "".join(source.split())


def without_checks(source: str) -> str:
    """The source of a cell without its calls of ``teach.check``; as it is where it is no Python.

    >>> without_checks('x = 1\\nteach.check("00.1", x)')
    'x = 1\\n'
    """
    lines = source.splitlines()
    for node in reversed(_checks(source)):
        lines[node.lineno - 1 : node.end_lineno] = [""]
    return "\n".join(lines)


def checked_in(source: str, exercise: str) -> tuple[str | None, list[str]]:
    """(the expression that a cell gives as its answer, what else it gives), of its call of ``teach.check``.

    >>> checked_in('x = 1\\nteach.check("00.1", x + 1, mean=mean)', "00.1")
    ('x + 1', ['mean=mean'])
    """
    for node in _checks(source):
        call = node.value
        if len(call.args) == 2 and getattr(call.args[0], "value", None) == exercise:
            return ast.unparse(call.args[1]), [f"{word.arg}={ast.unparse(word.value)}" for word in call.keywords]
    return None, []


def _checks(source):
    """The statements of a cell that are calls of ``teach.check`` and nothing else."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    calls = [node for node in body if isinstance(node, ast.Expr)]
    return [
        node for node in calls if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "teach.check"
    ]
