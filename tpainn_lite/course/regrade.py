"""Hand-ins judged again: the learner's own cells in the notebook as it is shipped, run, and checked anew.

A receipt by itself proves nothing: whoever can read this library can write one.  Here the code of the answers is run
in a fresh kernel, and the checks of the course say what it is worth.  **This runs what learners wrote**: do it in a
container or on Binder, on a machine where nothing can be lost.  Code that wants to deceive the check of its own kernel
still can; read the answers of those whose grade matters.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tpainn_lite.course.grades import PASSED, UNJUDGED, UNTRIED, WRONG, Grade
from tpainn_lite.course.handed_in import ASKED, HandIn, checked_in, handed_in, without_checks
from tpainn_lite.structures.arguments import check_numbers
from tpainn_lite.structures.files import path_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

HELD = "tpainn_exercise"  # in the metadata of a cell: whose answer it is, or judges
JUDGE = """\
import importlib as _importlib, json as _json
import tpainn_lite.course.checks as _checks
_importlib.reload(_checks)
_answer = {answer}
print("\\n" + _json.dumps(None if _answer is ... else
    [_checks.verdict(_checks.checks_of({lesson!r})[{exercise!r}], _answer{given})]))"""


def regrade(
    hand_ins: Sequence[Path | str],
    notebooks: Path | str = "notebooks",
    *,
    seconds: float = 300.0,
    progress: bool = True,
) -> list[Grade]:
    """Judge what learners handed in by running it, in a container: this runs their code.

    Parameters
    ----------
    hand_ins
        Notebooks, receipts, and folders of them, with a sub-folder for each learner or the learner's name in the
        name of each notebook.  A notebook has all that an answer needs; of a receipt alone only the cell with the
        answer is known.
    notebooks
        The folder of the course, with ``checks/``; the solutions are not needed, and no learner's code sees them.
    seconds
        That a cell may take; an answer that takes longer is wrong.
    progress
        Whether to show a bar.

    Returns
    -------
    list of Grade
        For each learner, every exercise of every notebook that something was handed in of; and a line for each file
        that could not be read.

    Raises
    ------
    ValueError
        There are no notebooks of the course in that folder.

    >>> for grade in regrade(["handed-in"], "notebooks"):  # doctest: +SKIP
    ...     print(grade.learner, grade.exercise, grade.outcome, grade.sentence)
    Ada 00.1 passed
    Ada 00.2 wrong your factor, 3.1, is too large
    """
    from tqdm.auto import tqdm

    check_numbers(above=0, seconds=seconds)
    lessons = lessons_of(notebooks)
    sources = {
        name: [cell.source for cell in lesson.cells if cell.cell_type == "code"] for name, lesson in lessons.items()
    }
    learners, faults = handed_in(hand_ins, sources)
    grades = [Grade(name, "", UNJUDGED, why) for name, why in faults.items()]
    for learner in tqdm(learners, desc="regrading", unit=" learner", disable=not progress):
        for lesson in lessons.values():
            exercises = asked_in(lesson)
            if set(exercises) & (learner.answers.keys() | learner.claimed):
                found = judged(lesson, learner, Path(notebooks), seconds)
                grades += [_grade(learner, number, found) for number in exercises]
    return grades


def _grade(learner, number, found):
    outcome, sentence = found.get(number, (UNTRIED, ""))
    claimed = number in learner.claimed
    if claimed and number not in found:
        sentence = "there is no answer to judge"
    return Grade(learner.learner, number, outcome, sentence, claimed)


def lessons_of(folder: Path | str) -> "dict[str, NotebookNode]":
    """{name: notebook} of a folder of the course; `ValueError` where there is none."""
    try:
        import nbformat
    except ImportError:
        raise ImportError("regrading runs notebooks, which needs nbclient: pip install nbclient") from None
    found = {
        path.stem: nbformat.read(path, as_version=4) for path in sorted(path_of(folder, "notebooks").glob("*.ipynb"))
    }
    if not found:
        raise ValueError(f"there are no notebooks in {folder}; the folder of the course is expected")
    return found


def asked_in(lesson: "NotebookNode") -> list[str]:
    """The numbers of the exercises that a notebook asks, in order."""
    return [number for cell in lesson.cells if cell.cell_type == "code" for number in ASKED.findall(cell.source)]


def judged(lesson: "NotebookNode", learner: HandIn, folder: Path, seconds: float) -> dict[str, tuple[str, str]]:
    """{exercise: (outcome, sentence)} of a learner's answers to one notebook.

    An answer that runs too long, or ends its kernel, is wrong, and the others are run once more without it.
    """
    found: dict[str, tuple[str, str]] = {}
    left = {number: cells for number, cells in learner.answers.items() if number in asked_in(lesson)}
    while left:
        notebook = with_answers(lesson, left)
        stopped = _run(notebook, folder, seconds)
        if stopped is None:
            return found | {number: _outcome(notebook, number) for number in left}
        number, why = stopped
        if number is None:  # not in an answer: another run would do the same
            return found | {number: _outcome(notebook, number, why) for number in left}
        found[number] = WRONG, why
        del left[number]
    return found


def with_answers(lesson: "NotebookNode", answers: dict[str, list[str]]) -> "NotebookNode":
    """The notebook as far as its last answer, with the learner's cells and a verdict behind each exercise answered."""
    from nbformat.v4 import new_code_cell, new_notebook

    cells = [cell for cell in lesson.cells if cell.cell_type == "code" and "colab" not in cell.metadata.get("tags", ())]
    made, last = [], 0
    for cell in cells:
        made.append(new_code_cell(cell.source))
        for number in ASKED.findall(cell.source):
            for source in answers.get(number, ()):
                made.append(new_code_cell(without_checks(source), metadata={HELD: number}))
            if number in answers:
                judge = _judge(number, cell.source, answers[number])
                made.append(new_code_cell(judge, metadata={HELD: number, "judge": True}))
                last = len(made)
    return new_notebook(cells=made[:last])


def _judge(number, shipped, sources):
    """The code of the cell that judges an answer: the one that the learner names, with what the lesson gives."""
    named, given = checked_in(shipped, number)
    own = [checked_in(source, number)[0] for source in sources]
    answer = next((expression for expression in reversed(own) if expression), named)
    more = "".join(f", {word}" for word in given)
    return JUDGE.format(lesson=number.split(".")[0], exercise=number, answer=answer, given=more)


def _run(notebook, folder, seconds):
    """Run it in a copy of the course without its solutions; (exercise or None, what happened) where it stopped."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    place: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as copy:
        here = Path(copy) / "notebooks"
        shutil.copytree(folder, here, ignore=shutil.ignore_patterns("solutions", "*.ipynb", ".*"))
        client = NotebookClient(
            notebook, kernel_name="python3", timeout=seconds, allow_errors=True, store_widget_state=False,
            shutdown_kernel="immediate", resources={"metadata": {"path": str(here)}},
            on_cell_start=lambda cell, cell_index: place.update(cell=cell),
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
        )  # fmt: skip
        try:
            client.execute()
        except CellTimeoutError:
            why = f"it took more than {seconds:g} s"
        except DeadKernelError:
            why = "it ended its kernel"
        else:
            return None
    number = place["cell"].metadata.get(HELD)
    return number, why if number else f"a cell of the notebook was not finished: {why}"


def _outcome(notebook, number, why_not=None):
    """(outcome, sentence) of an answer that was run, or was not reached because of ``why_not``."""
    cells = [cell for cell in notebook.cells if cell.metadata.get(HELD) == number]
    printed = "".join(output.get("text", "") for output in cells[-1].outputs if output.get("name") == "stdout")
    if why_not and not printed:
        return UNJUDGED, why_not
    raised = [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    error = f"its cell raised {raised[0].ename}: {raised[0].evalue[:300]}" if raised else ""
    try:
        verdict = json.loads(printed.strip().splitlines()[-1])
        if verdict is None:
            return (WRONG, error) if error else (UNTRIED, "")
        (wrong,) = verdict
    except (ValueError, IndexError, TypeError):
        return WRONG, error or "no verdict came back from its kernel"
    return (PASSED, "") if wrong is None else (WRONG, wrong)
