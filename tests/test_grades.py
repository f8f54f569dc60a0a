"""Grades as text, CSV and HTML: who claimed too much, and which answers a person should read."""

import re
from pathlib import Path

import pytest

from tpainn_lite.course.grades import (
    PASSED,
    UNJUDGED,
    UNTRIED,
    WRONG,
    Grade,
    grades_csv,
    grades_html,
    grades_text,
    points_csv,
)
from tpainn_lite.course.teach import solutions

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def test_a_grade_says_when_a_receipt_claims_too_much():
    right, wrong = Grade("A", "42.1", PASSED, claimed=True), Grade("A", "42.2", WRONG, "why", claimed=True)
    assert not right.otherwise and wrong.otherwise
    assert [line.split(",")[-2] for line in grades_csv([right, wrong]).splitlines()[1:]] == [
        "confirmed", "the receipt says solved",
    ]  # fmt: skip
    assert grades_html([right, wrong]).count('class="otherwise"') == 2


CHEATS = {
    "import importlib\nimportlib.reload = lambda m: m": "importlib, reload",
    "import tpainn_lite.course.checks as c\nc.verdict = print": "checks, verdict",
    'my_loss = checks_of("03")["03.2"].__globals__["loss_of"]': "checks_of, __globals__",
    "def bonds(*a):\n    raise KeyboardInterrupt": "KeyboardInterrupt",
    "x = open('solutions/00.py')": "open, solutions",
    "import sys": "sys",
    "from os import _exit": "os",
}


@pytest.mark.parametrize("code", CHEATS)
def test_an_answer_that_mentions_what_none_needs_is_marked(code):
    grade = Grade("Eve", "42.1", PASSED, code=code)
    assert grade.read == f"read this one, it mentions {CHEATS[code]}"
    assert grade.read in grades_text([grade]) and CHEATS[code].split(",")[0] in grades_csv([grade])
    assert '<details class="read">' in grades_html([grade])


@pytest.mark.parametrize("path", sorted((NOTEBOOKS / "solutions").glob("*.py")), ids=lambda path: path.stem)
def test_no_solution_of_the_course_is_marked(path):
    marked = {number: Grade("A", number, PASSED, code=code).read for number, code in solutions(path).items()}
    assert not any(marked.values()), marked


def test_the_page_has_the_code_of_each_answer_folded():
    page = grades_html([Grade("A", "42.1", PASSED, code="x = 1 < 2"), Grade("A", "42.2", UNTRIED)])
    assert "<details><summary>✓ 42.1 passed</summary><pre>x = 1 &lt; 2</pre></details>" in page
    assert len(re.findall("<details", page)) == 1


def test_points_are_a_row_for_each_learner():
    grades = [
        Grade("Ada", "42.1", PASSED), Grade("Ada", "42.2", UNTRIED), Grade("Bob", "41.1", UNJUDGED),
        Grade("=x.zip", "", UNJUDGED, "neither"),
    ]  # fmt: skip
    assert points_csv(grades).splitlines() == ["learner,41.1,42.1,42.2,sum", "Ada,,1,0,1", "Bob,?,,,0", "'=x.zip,,,,0"]
