"""Grades, one for each learner and exercise, as text, CSV and HTML."""

import csv
import html
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PASSED, WRONG, UNTRIED, UNJUDGED = "passed", "wrong", "not attempted", "not judged"
OTHERWISE = "the receipt says solved"
MARKS = {PASSED: "✓", WRONG: "✗", UNTRIED: "–", UNJUDGED: "?"}
TRICKS = re.compile(
    r"\b(?:checks(?:_of)?|verdict|reload|solutions|importlib|builtins|ctypes|subprocess|os|sys)\b|\b(?:inspect|gc)(?=\.)"
    r"|\b(?:exec|eval|globals|vars|getattr|setattr|open|get_ipython)(?=\()"
    r"|\b(?:KeyboardInterrupt|BaseException)\b|__(?:globals|closure|code|dict|builtins|main|subclasses|import)__|_judge"
)  # what no answer needs, and whoever wants to deceive a check does
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Grades</title>
<style>body {{ font: 16px/1.5 sans-serif; margin: 2em }} table {{ border-collapse: collapse; margin-bottom: 2em }}
td, th {{ border: 1px solid #999; padding: .2em .6em; text-align: left }} .otherwise, .read {{ background: #fde8b0 }}
pre {{ background: #f4f4f4; padding: .6em; overflow: auto }}</style>
<h1>Grades</h1><p>✓ passed, ✗ wrong, – not attempted, ? not judged; shaded: {otherwise}, and the rerun does not, or the
code mentions what no answer needs: read this one.</p>
{parts}</html>
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
    code: str = ""  # of the answer

    @property
    def otherwise(self) -> bool:
        """Whether a receipt claims what the rerun does not confirm."""
        return self.claimed and self.outcome != PASSED

    @property
    def read(self) -> str:
        """Why a person should read this answer, or nothing.

        >>> Grade("Ada", "00.1", PASSED, code="import sys; x = 1").read
        'read this one, it mentions sys'
        """
        found = dict.fromkeys(TRICKS.findall(self.code))
        return f"read this one, it mentions {', '.join(found)}" if found else ""

    @property
    def remarks(self) -> str:
        """All that is to be said, in a line.

        >>> Grade("Ada", "00.1", WRONG, "too small", claimed=True).remarks
        '00.1 wrong: too small (the receipt says solved)'
        """
        said = [self.sentence, f"({OTHERWISE})" if self.otherwise else "", f"({self.read})" if self.read else ""]
        what = f"{self.exercise} {self.outcome}".strip()
        return what + ":" * bool(self.sentence) + "".join(f" {text}" for text in said if text)


def grades_text(grades: Sequence[Grade]) -> str:
    """A line for each learner, and below it one for each exercise that was not passed, or should be read.

    >>> print(grades_text([Grade("Ada", "00.1", PASSED), Grade("Ada", "00.2", WRONG, "too small", claimed=True)]))
    Ada: 1 of 2 passed
      00.2 wrong: too small (the receipt says solved)
    """
    lines = []
    for learner, own in _by_learner(grades).items():
        judged = [grade for grade in own if grade.outcome != UNJUDGED]
        lines.append(f"{learner}: {_passed(own)} of {len(judged)} passed" if judged else learner)
        lines += [f"  {grade.remarks}" for grade in own if grade.outcome != PASSED or grade.read]
    return "\n".join(lines)


def _by_learner(grades):
    found: dict[str, list[Grade]] = {}
    for grade in grades:
        found.setdefault(grade.learner, []).append(grade)
    return found


def _passed(grades):
    return sum(grade.outcome == PASSED for grade in grades)


def _exercises(grades):
    return sorted({grade.exercise for grade in grades if grade.exercise})


def grades_csv(grades: Sequence[Grade]) -> str:
    """A row for each grade, for a spreadsheet; no cell of it is taken for a formula there.

    >>> grades_csv([Grade("=1+1", "00.1", PASSED)]).splitlines()[1]
    "'=1+1,00.1,passed,,,"
    """
    rows = [["learner", "exercise", "outcome", "sentence", "receipt", "read"]]
    for grade in grades:
        receipt = OTHERWISE if grade.otherwise else "confirmed" if grade.claimed else ""
        rows.append([grade.learner, grade.exercise, grade.outcome, grade.sentence, receipt, grade.read])
    return _csv(rows)


def points_csv(grades: Sequence[Grade]) -> str:
    """A row for each learner: 1 for an exercise passed, 0 for one that was not, "?" for not judged; and the sum.

    >>> print(points_csv([Grade("Ada", "00.1", PASSED), Grade("Ada", "00.2", WRONG)]))
    learner,00.1,00.2,sum
    Ada,1,0,1
    <BLANKLINE>
    """
    exercises = _exercises(grades)
    rows = [["learner", *exercises, "sum"]]
    for learner, own in _by_learner(grades).items():
        points = {grade.exercise: _points(grade) for grade in own}
        rows.append([learner, *(points.get(number, "") for number in exercises), str(_passed(own))])
    return _csv(rows)


def _points(grade):
    return "?" if grade.outcome == UNJUDGED else str(int(grade.outcome == PASSED))


def _csv(rows: Iterable[Sequence[str]]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    for row in rows:
        writer.writerow([f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text for text in row])
    return table.getvalue()


def grades_html(grades: Sequence[Grade]) -> str:
    """A page: learners by exercises, then every answer, its code folded.  It needs no network.

    >>> "<pre>x = 1</pre>" in grades_html([Grade("Ada", "00.1", PASSED, code="x = 1")])
    True
    """
    exercises = _exercises(grades)
    parts = ["<table>\n<tr><th>learner</th>" + "".join(f"<th>{number}</th>" for number in exercises) + "</tr>"]
    for learner, own in _by_learner(grades).items():
        by_number = {grade.exercise: grade for grade in own}
        cells = "".join(_mark(by_number.get(number)) for number in exercises)
        parts.append(f"<tr><th>{html.escape(learner)}</th>{cells}</tr>")
    parts.append("</table>")
    for learner, own in _by_learner(grades).items():
        parts.append(f"<h2>{html.escape(learner)}</h2>")
        parts += [_answer(grade) for grade in own if grade.sentence or grade.code]
    return PAGE.format(otherwise=OTHERWISE, parts="\n".join(parts))


def _mark(grade):
    if grade is None:
        return "<td></td>"
    return f'<td{_shade(grade)} title="{html.escape(grade.remarks)}">{MARKS[grade.outcome]}</td>'


def _answer(grade):
    said = f"{MARKS[grade.outcome]} {html.escape(grade.remarks)}"
    if not grade.code:
        return f"<p{_shade(grade)}>{said}</p>"
    code = html.escape(grade.code.strip("\n"))
    return f"<details{_shade(grade)}><summary>{said}</summary><pre>{code}</pre></details>"


def _shade(grade):
    return ' class="otherwise"' if grade.otherwise else ' class="read"' if grade.read else ""
