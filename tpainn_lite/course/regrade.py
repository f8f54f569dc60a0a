"""Hand-ins judged again: the learner's own cells in the notebook as it is shipped, run, and checked anew.

A receipt by itself proves nothing: whoever can read this library can write one.  Here the code of the answers is run
in a fresh kernel, and the checks of the course say what it is worth.  **This runs what learners wrote**: do it in a
container, on a machine where nothing can be lost.  Code that wants to deceive the check of its own kernel still can:
read the answers that are marked, and those of whoever's grade matters.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tpainn_lite.course.grades import UNJUDGED, UNTRIED, Grade
from tpainn_lite.course.handed_in import HandIn, handed_in
from tpainn_lite.course.rerun import as_they_end, asked_in, judged, lessons_of
from tpainn_lite.structures.arguments import check_counts, check_numbers
from tpainn_lite.structures.files import path_of, write_text
from tpainn_lite.structures.identity import fingerprint

STOPPED = "regrading was interrupted before"
KIND = "verdicts"  # of a file of them


def regrade(
    hand_ins: Sequence[Path | str],
    notebooks: Path | str = "notebooks",
    *,
    seconds: float = 60.0,
    n_jobs: int = 1,
    path: Path | str | None = None,
    progress: bool = True,
) -> list[Grade]:
    """Judge what learners handed in by running it, in a container: this runs their code.

    Ctrl-C ends it: what was not judged by then is in the list as such.

    Parameters
    ----------
    hand_ins
        Notebooks, receipts, and folders of them, with a sub-folder for each learner or the learner's name in the
        name of each notebook.  A notebook has all that an answer needs; of a receipt alone only the cell with the
        answer is known.
    notebooks
        The folder of the course, with ``checks/``; the solutions are not needed, and no learner's code sees them.
    seconds
        That a cell of an answer may take; an answer that takes longer is wrong.  A cell of the notebook itself may take
        ten times that.
    n_jobs
        Notebooks that run at a time, each on one thread.
    path
        A JSON file in which verdicts are kept as soon as they are there; called again, only answers that are new, or
        changed, and what the course has changed are run.
    progress
        Whether to show a bar.

    Returns
    -------
    list of Grade
        For each learner, every exercise of every notebook that something was handed in of; and a line for each file
        that cannot be judged.

    Raises
    ------
    ValueError
        There are no notebooks of the course in that folder, or ``path`` is another file than this function's.

    >>> for grade in regrade(["handed-in"], "notebooks"):  # doctest: +SKIP
    ...     print(grade.learner, grade.exercise, grade.outcome, grade.sentence)
    Ada 00.1 passed
    Ada 00.2 wrong your factor, 3.1, is too large
    """
    check_numbers(above=0, seconds=seconds)
    check_counts(n_jobs=n_jobs)
    lessons = lessons_of(notebooks)
    sources = {name: [c.source for c in lesson.cells if c.cell_type == "code"] for name, lesson in lessons.items()}
    asked = {name: asked_in(cells) for name, cells in sources.items()}
    learners, faults = handed_in(hand_ins, sources)
    parts = [(one, name) for one in learners for name, numbers in asked.items() if one.has(name, numbers)]
    work = {}
    for one, name in parts:
        if answers := {number: one.answers[number] for number in asked[name] if number in one.answers}:
            work[one.learner, name] = lessons[name], answers, Path(notebooks), seconds
    found = _all(work, n_jobs, progress, _Kept(path, work))
    grades = [Grade(name, "", UNJUDGED, why) for name, why in faults]
    return grades + [
        _grade(one, name, number, found.get((one.learner, name), {})) for one, name in parts for number in asked[name]
    ]


def _all(work, n_jobs, progress, kept):
    """{(learner, lesson): {exercise: (outcome, sentence)}}, of all that was judged before Ctrl-C."""
    from tqdm.auto import tqdm

    found: dict[tuple[str, str], dict[str, tuple[str, str]]] = {
        key: dict.fromkeys(answers, (UNJUDGED, STOPPED)) for key, (_, answers, _, _) in work.items()
    }
    found |= kept.before
    left = {key: job for key, job in work.items() if key not in kept.before}
    try:
        with closing(as_they_end(judged, left, n_jobs)) as ended:
            for key, outcomes in tqdm(ended, "regrading", len(left), unit=" notebook", disable=not progress):
                found[key] = outcomes
                kept.add(key, outcomes)
    except KeyboardInterrupt:
        pass
    return found


class _Kept:
    """Verdicts in a file, each by what was judged with what; ``before``: those of this work that are there."""

    def __init__(self, path, work):
        self.path, self.verdicts, self.names = path and path_of(path), {}, {}
        if not self.path:
            self.before = {}
            return
        self.names = {key: _name(*job) for key, job in work.items()}
        if self.path.exists():
            self.verdicts = _read(self.path)
        self.before = {key: self.verdicts[name] for key, name in self.names.items() if name in self.verdicts}

    def add(self, key, outcomes):
        """Keep them, unless something is left to be judged."""
        if self.path and not any(outcome == UNJUDGED for outcome, _ in outcomes.values()):
            self.verdicts[self.names[key]] = outcomes
            write_text(self.path, json.dumps({KIND: self.verdicts}, indent=1) + "\n")


def _name(lesson, answers, folder, seconds):
    """A name for answers to a lesson, with its checks and the time that they may take."""
    checks = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("checks/*.py"))}
    return fingerprint([[cell.source for cell in lesson.cells], answers, checks, seconds])


def _read(path):
    try:
        verdicts = json.loads(path.read_text(encoding="utf-8"))[KIND]
        return {name: {number: (o, why) for number, (o, why) in each.items()} for name, each in verdicts.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path} is damaged, or keeps no verdicts: name another file, or remove it") from None


def _grade(one: HandIn, name: str, number: str, found: Mapping[str, tuple[str, str]]) -> Grade:
    code, claimed = "\n\n".join(one.answers.get(number, ())), number in one.claimed
    if number in found:
        return Grade(one.learner, number, *found[number], claimed, code)
    why = "there is no answer to judge" if claimed else ""
    if name in one.notebooks and number not in one.asked:
        why = f'no cell of the notebook calls teach.check("{number}", …)'
    return Grade(one.learner, number, UNTRIED, why, claimed, code)
