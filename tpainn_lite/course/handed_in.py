"""What learners handed in: the code of their answers, from notebooks and receipts, and what the receipts claim."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tpainn_lite.course.owners import Paper, beside_lesson, by_owner, person, uploaded_by
from tpainn_lite.course.receipts import files_in, plain, read_receipt
from tpainn_lite.structures.arguments import check_list
from tpainn_lite.structures.files import path_of

ASKED = re.compile(
    r"""\bteach\.check\(\s*["'](\d\d\.\d+)["']"""
)  # the number of an exercise, as a notebook asks for it
LARGEST = 100_000_000  # bytes of a notebook; figures with their states have some
NEITHER = "neither a notebook nor a receipt (.ipynb, .json)"
Faults = list[tuple[str, str]]  # (learner, or name of a file; what cannot be judged, and why)


@dataclass
class HandIn:
    """What one learner handed in."""

    learner: str
    answers: dict[str, list[str]] = field(default_factory=dict)  # {exercise: sources of the cells that answer it}
    claimed: set[str] = field(default_factory=set)  # exercises that receipts call solved
    asked: set[str] = field(default_factory=set)  # exercises that the notebooks check
    notebooks: dict[str, Path] = field(default_factory=dict)  # {lesson: the notebook that was read last}

    def has(self, lesson: str, exercises: Sequence[str]) -> bool:
        """Whether something of a lesson, with these exercises, was handed in."""
        return lesson in self.notebooks or bool(set(exercises) & (self.answers.keys() | self.claimed))


@dataclass
class Read(Paper):
    """A file, and what is in it."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)


def handed_in(paths: Sequence[Path | str], lessons: dict[str, list[str]]) -> tuple[list[HandIn], Faults]:
    """What each learner handed in (`tpainn_lite.course.owners` says who that is), and what cannot be judged, and why.

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
    given = [path_of(path).resolve() for path in paths]
    files = {file: folder for folder in given for file in files_in(folder)}
    papers, faults = [], []
    others: dict[str, list[str]] = {}
    for file, folder in files.items():
        where, *inside = file.relative_to(folder).parts or (file.name,)
        where = person(where) if inside else plain(where)
        if file.suffix.lower() not in (".ipynb", ".json"):
            others.setdefault(where, []).append("/".join(inside))
            continue
        try:
            papers.append(_read(file, folder, lessons))
        except (ValueError, OSError) as error:
            faults.append((where, plain(str(error).replace(str(file), file.name), 300)))
    faults += [(where, _neither(names)) for where, names in others.items()]
    found = [_merged(name, own, faults) for name, own in by_owner(papers).items()]
    return sorted(found, key=lambda one: one.learner), faults


def _neither(names):
    """The sentence for files that are no hand-ins."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return plain(f"{', '.join(names[:3])}{more}: {NEITHER}", 300).removeprefix(": ")


def _read(file, folder, lessons):
    """A notebook or a receipt; ValueError where it is neither."""
    if file.suffix.lower() == ".json":
        receipt = read_receipt(file)
        said = uploaded_by(file.stem) or plain(receipt["name"])
        return Read(file, folder, said, answers=_in_receipt(receipt), claimed=set(receipt["solved"]))
    sources = _sources(file)
    asked = {number for source in sources for number in ASKED.findall(source)}
    shipped = {name: set(ASKED.findall("\n".join(cells))) for name, cells in lessons.items()}
    notebooks = {name for name, numbers in shipped.items() if name in file.stem or asked & numbers}
    if not notebooks:
        raise ValueError(f"{file} asks no exercise of the course, and is not named after one of its notebooks")
    answers = answers_in(sources, [source for cells in lessons.values() for source in cells])
    return Read(file, folder, beside_lesson(file.stem, lessons), notebooks, answers, asked=asked)


def _merged(learner, papers, faults):
    """The hand-in of a learner; a notebook that is there twice is a fault."""
    one = HandIn(learner)
    for paper in sorted(papers, key=lambda paper: (bool(paper.notebooks), paper.file.parent, paper.file.stem)):
        for lesson in sorted(paper.notebooks & one.notebooks.keys()):
            earlier, later = one.notebooks[lesson].name, paper.file.name
            why = f"{lesson} was handed in twice: {later} counts, and {earlier} where it has no answer"
            faults.append((learner, plain(why, 300)))
        one.answers |= paper.answers
        one.claimed |= paper.claimed
        one.asked |= paper.asked
        one.notebooks |= dict.fromkeys(paper.notebooks, paper.file)
    return one


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

    To an answer belong the cell that asks the exercise, and the learner's own cells since the exercise before; of an
    exercise that is checked again further down, all of these.  What was left as it is shipped is no answer.

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
        for number in numbers if own else ():
            answers[number] = answers.get(number, []) + own
        own = [] if numbers else own
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
