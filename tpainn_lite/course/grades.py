"""Grades, one for each learner and exercise, as text, CSV and HTML."""

import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

PASSED, WRONG, UNTRIED, UNJUDGED = "passed", "wrong", "not attempted", "not judged"
OTHERWISE = "the receipt says solved"
MARKS = {PASSED: "✓", WRONG: "✗", UNTRIED: "–", UNJUDGED: "?"}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Grades</title>
<style>body {{ font: 16px/1.5 sans-serif; margin: 2em }} table {{ border-collapse: collapse; margin-bottom: 2em }}
td, th {{ border: 1px solid #999; padding: .2em .6em; text-align: left }} .otherwise {{ background: #fde8b0 }}</style>
<h1>Grades</h1><p>✓ passed, ✗ wrong, – not attempted, ? not judged; shaded: {otherwise}, and the rerun does not.</p>
{tables}</html>
"""


@dataclass(frozen=True)
class Grade:
    """What a rerun made of one learner's answer to one exercise.

    >>> Grade("Ada", "00.1", WRONG, "your number, 60, is too small", claimed=True).otherwise
    True
    """

    learner: str
    exercise: str
    outcome: str  # PASSED, WRONG, UNTRIED, UNJUDGED; of a file that cannot be read, its name stands for the learner's
    sentence: str = ""  # what is wrong
    claimed: bool = False  # a receipt says that it is solved

    @property
    def otherwise(self) -> bool:
        """Whether a receipt claims what the rerun does not confirm."""
        return self.claimed and self.outcome != PASSED


def grades_text(grades: Sequence[Grade]) -> str:
    """A line for each learner, and below it one for each exercise that was not passed.

    >>> print(grades_text([Grade("Ada", "00.1", PASSED), Grade("Ada", "00.2", WRONG, "too small", claimed=True)]))
    Ada: 1 of 2 passed
      00.2 wrong: too small (the receipt says solved)
    """
    lines = []
    for learner, own in _by_learner(grades).items():
        judged = [grade for grade in own if grade.outcome != UNJUDGED]
        passed = sum(grade.outcome == PASSED for grade in judged)
        lines.append(f"{learner}: {passed} of {len(judged)} passed" if judged else learner)
        for grade in own:
            if grade.outcome != PASSED:
                why = f": {grade.sentence}" if grade.sentence else ""
                said = f" ({OTHERWISE})" if grade.otherwise else ""
                lines.append(f"  {grade.exercise} {grade.outcome}{why}{said}".replace("   ", "  "))
    return "\n".join(lines)


def _by_learner(grades):
    found: dict[str, list[Grade]] = {}
    for grade in grades:
        found.setdefault(grade.learner, []).append(grade)
    return found


def grades_csv(grades: Sequence[Grade]) -> str:
    """A row for each grade, for a spreadsheet; no cell of it is taken for a formula there.

    >>> grades_csv([Grade("=1+1", "00.1", PASSED)]).splitlines()[1]
    "'=1+1,00.1,passed,,"
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["learner", "exercise", "outcome", "sentence", "receipt"])
    for grade in grades:
        receipt = OTHERWISE if grade.otherwise else "confirmed" if grade.claimed else ""
        row = [grade.learner, grade.exercise, grade.outcome, grade.sentence, receipt]
        writer.writerow([f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text for text in row])
    return table.getvalue()


def grades_html(grades: Sequence[Grade]) -> str:
    """A page: learners by exercises, then every sentence.  It needs no network.

    >>> "✓" in grades_html([Grade("Ada", "00.1", PASSED)])
    True
    """
    exercises = sorted({grade.exercise for grade in grades if grade.exercise})
    rows = ["<tr><th>learner</th>" + "".join(f"<th>{number}</th>" for number in exercises) + "</tr>"]
    for learner, own in _by_learner(grades).items():
        by_number = {grade.exercise: grade for grade in own}
        cells = "".join(_mark(by_number.get(number)) for number in exercises)
        rows.append(f"<tr><th>{html.escape(learner)}</th>{cells}</tr>")
    said = ["<tr><th>learner</th><th>exercise</th><th>outcome</th><th>why</th></tr>"]
    for grade in grades:
        if grade.sentence:
            texts = (grade.learner, grade.exercise, grade.outcome, grade.sentence)
            shade = ' class="otherwise"' if grade.otherwise else ""
            said.append(f"<tr{shade}>" + "".join(f"<td>{html.escape(text)}</td>" for text in texts) + "</tr>")
    tables = "\n".join("<table>\n" + "\n".join(table) + "\n</table>" for table in (rows, said))
    return PAGE.format(otherwise=OTHERWISE, tables=tables)


def _mark(grade):
    if grade is None:
        return "<td></td>"
    shade = ' class="otherwise"' if grade.otherwise else ""
    return f'<td{shade} title="{html.escape(grade.sentence)}">{MARKS[grade.outcome]}</td>'
