"""Regrading: what a learner's own cells do in the shipped notebook is what counts, whatever the receipt says."""

import csv
import io
import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from typer.testing import CliRunner

from tpainn_lite.cli.app import app
from tpainn_lite.course.grades import PASSED, UNJUDGED, UNTRIED, WRONG, Grade, grades_csv, grades_html, grades_text
from tpainn_lite.course.handed_in import ASKED, answers_in, checked_in, without_checks
from tpainn_lite.course.receipts import hand_in, seal
from tpainn_lite.course.regrade import lessons_of, regrade, with_answers

SHIPPED = [
    "from tpainn_lite import teach",
    "given = 3",
    'twice = ...\nteach.check("42.1", twice, given=given)',
    "given = given + 1  # later cells do not depend on an answer",
    '# a function (number) -> number\ndouble = ...\nteach.check("42.2", double)',
    'third = ...\nteach.check("42.3", third)',
]
CHECKS = """from tpainn_lite.course.checks import close, exercise
from pathlib import Path
import random

@exercise("42.1")
def twice(answer, given):
    close(answer, 2 * given)

@exercise("42.2")
def double(answer):
    number = random.random()
    close(answer(number), 2 * number)

@exercise("42.3")
def third(answer):
    close(answer, 1 / 3)
"""


@pytest.fixture
def course(tmp_path):
    """A course of one small notebook, with three exercises."""
    folder = tmp_path / "course"
    (folder / "checks").mkdir(parents=True)
    (folder / "solutions").mkdir()
    (folder / "checks" / "42_a_lesson.py").write_text(CHECKS)
    (folder / "solutions" / "42_a_lesson.py").write_text("# %% 42.1\ntwice = 6\n")
    write(folder / "42_a_lesson.ipynb", SHIPPED)
    return folder


def write(path, sources):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_markdown_cell("# A lesson"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def with_cells(**new):
    """The shipped cells, some of them replaced: c2="..."."""
    return [new.get(f"c{k}", source) for k, source in enumerate(SHIPPED)]


def outcomes(grades):
    return {(grade.learner, grade.exercise): grade.outcome for grade in grades}


def test_right_wrong_and_untouched_answers_differ_and_a_false_claim_is_shown(course, tmp_path):
    given = tmp_path / "in"
    honest = with_cells(c2='half = 3\ntwice = half + 3\nteach.check("42.1", twice, given=given)', c5=SHIPPED[5])
    honest.insert(4, "def helper(x):\n    return x + x")  # a cell of the learner's own
    honest[5] = 'teach.check("42.2", helper)'
    write(given / "Ada" / "42_a_lesson.ipynb", honest)
    hand_in("Ada", {"42.1", "42.2"}, given / "Ada", seconds=5)
    write(given / "42_a_lesson-Bob.ipynb", with_cells(c5='third = 0.3\nteach.check("42.3", third)'))
    hand_in("Bob", {"42.1", "42.3"}, given, seconds=5)
    grades = regrade([given], course, seconds=20)
    assert outcomes(grades) == {
        ("Ada", "42.1"): PASSED, ("Ada", "42.2"): PASSED, ("Ada", "42.3"): UNTRIED,
        ("Bob", "42.1"): UNTRIED, ("Bob", "42.2"): UNTRIED, ("Bob", "42.3"): WRONG,
    }  # fmt: skip
    assert [grade.exercise for grade in grades if grade.otherwise] == ["42.1", "42.3"]
    text = grades_text(grades)
    assert "Ada: 2 of 3 passed\n  42.3 not attempted\nBob: 0 of 3 passed" in text
    assert "42.1 not attempted: there is no answer to judge (the receipt says solved)" in text
    assert "42.3 wrong: your number, 0.3, is too small (the receipt says solved)" in text


def test_what_a_receipt_holds_is_run_where_there_is_no_notebook(course, tmp_path):
    def tried(code):
        return {"right": True, "number": 1, "code": code}

    right, wrong = 'twice = 6\nteach.check("42.1", twice, given=given)', "double = lambda x: x"
    hand_in("Eve", {"42.1", "42.2"}, tmp_path / "in", seconds=1, answers={"42.1": tried(right), "42.2": tried(wrong)})
    grades = {grade.exercise: grade for grade in regrade([tmp_path / "in"], course, seconds=20)}
    assert grades["42.1"].outcome == PASSED and not grades["42.1"].otherwise
    assert grades["42.2"].outcome == WRONG and grades["42.2"].otherwise


HARMFUL = {
    "while True:\n    pass": "it took more than 3 s",
    "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)": "it ended its kernel",
    "twice = 1 / 0": "its cell raised ZeroDivisionError: division by zero",
    "twice = = 6": "its cell raised SyntaxError",
    "import pathlib\ntwice = len(pathlib.Path('solutions').read_text())": "its cell raised FileNotFoundError",
    "del twice": "",
    "import sys, os\nsys.stdout = open(os.devnull, 'w')\ntwice = 6": "no verdict came back",
    "teach.solved.add('42.1')\nteach.check = print\nprint('42.1 right!')\ntwice = 5": "is too small",
    "import tpainn_lite.course.checks as c\nc.verdict = lambda *a, **k: None\ntwice = 5": "is too small",
}


@pytest.mark.parametrize("code", HARMFUL)
def test_an_answer_that_does_harm_is_wrong_and_the_next_one_is_judged(course, tmp_path, code):
    cells = with_cells(
        c2=f'{code}\nteach.check("42.1", twice, given=given)', c5='third = 1 / 3\nteach.check("42.3", third)'
    )
    write(tmp_path / "in" / "Eve" / "mine.ipynb", cells)
    grades = {grade.exercise: grade for grade in regrade([tmp_path / "in"], course, seconds=3)}
    assert grades["42.1"].outcome == WRONG and HARMFUL[code] in grades["42.1"].sentence
    assert grades["42.3"].outcome == (WRONG if "devnull" in code else PASSED)


def test_a_lesson_that_does_not_end_leaves_what_comes_after_it_unjudged(course, tmp_path):
    slow = with_cells(c3="import time\ntime.sleep(60)")
    write(course / "42_a_lesson.ipynb", slow)
    slow[2], slow[5] = 'twice = 6\nteach.check("42.1", twice, given=given)', 'third = 1 / 3\nteach.check("42.3", third)'
    write(tmp_path / "in" / "Ada" / "mine.ipynb", slow)
    grades = {grade.exercise: grade for grade in regrade([tmp_path / "in"], course, seconds=3)}
    assert grades["42.1"].outcome == PASSED
    assert grades["42.3"].outcome == UNJUDGED
    assert grades["42.3"].sentence == "a cell of the notebook was not finished: it took more than 3 s"


def test_what_cannot_be_read_is_a_line_of_its_own(course, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "torn.ipynb").write_text("{")
    (folder / "list.ipynb").write_text("[]")
    (folder / "forged.json").write_text(json.dumps({"name": "Eve", "solved": [], "seal": "x"}))
    content = {"name": "Odd", "solved": ["42.1"], "seconds": 1, "made": "2030", "answers": [1]}
    (folder / "odd.json").write_text(json.dumps(content | {"seal": seal(content)}))
    grades = regrade([folder, tmp_path / "nowhere.ipynb"], course)
    assert {grade.learner for grade in grades if grade.outcome == UNJUDGED} == {
        "torn.ipynb", "list.ipynb", "forged.json", "nowhere.ipynb",
    }  # fmt: skip
    assert [grade.outcome for grade in grades if grade.learner == "Odd"] == [UNTRIED] * 3
    with pytest.raises(ValueError, match="there are no notebooks in"):
        regrade([folder], folder.parent)


def test_the_command_prints_and_writes_the_table(course, tmp_path):
    write(
        tmp_path / "in" / "=Ada<b>" / "a.ipynb", with_cells(c2='twice = 6.0\nteach.check("42.1", twice, given=given)')
    )
    targets = [tmp_path / "grades.csv", tmp_path / "grades.html"]
    call = ["regrade", tmp_path / "in", "--notebooks", course, "--csv", targets[0], "--html", targets[1]]
    done = CliRunner().invoke(app, [*map(str, call), "--seconds", "20"])
    assert done.exit_code == 0 and "=Ada<b>: 1 of 3 passed" in done.output
    rows = list(csv.DictReader(io.StringIO(targets[0].read_text())))
    assert rows[0] == {"learner": "'=Ada<b>", "exercise": "42.1", "outcome": PASSED, "sentence": "", "receipt": ""}
    page = targets[1].read_text()
    assert "=Ada&lt;b&gt;" in page and "<b>" not in page and "✓" in page
    again = CliRunner().invoke(app, [*map(str, call)])
    assert again.exit_code == 1 and "is there already" in again.output


def test_only_the_learners_cells_and_the_shipped_lines_are_run_up_to_the_last_answer(course):
    lesson = lessons_of(course)["42_a_lesson"]
    made = [cell.source for cell in with_answers(lesson, {"42.1": ['twice = 6\nteach.check("42.1", twice)']}).cells]
    assert made[:3] == SHIPPED[:3] and made[3] == "twice = 6\n" and len(made) == 5
    assert "_answer = twice" in made[4] and "given=given" in made[4]


def test_the_cells_of_an_answer_are_those_since_the_exercise_before():
    cells = ["given = 3", "mine = 1", SHIPPED[2], "more = 2", 'double = more\nteach.check("42.2", double)']
    assert answers_in(cells, SHIPPED) == {"42.1": ["mine = 1"], "42.2": ["more = 2", cells[-1]]}
    assert answers_in(SHIPPED, SHIPPED) == {}
    assert answers_in([source.replace(" = ", "=") for source in SHIPPED], SHIPPED) == {}


def test_calls_of_a_check_are_taken_out_and_read():
    source = 'x = 1\nteach.check(\n    "42.1",\n    x + 1, given=given,\n)\ny = 2'
    assert without_checks(source) == "x = 1\n\ny = 2"
    assert checked_in(source, "42.1") == ("x + 1", ["given=given"]) and checked_in(source, "42.2") == (None, [])
    assert without_checks("%magic\nx") == "%magic\nx"


def test_a_grade_says_when_a_receipt_claims_too_much():
    right, wrong = Grade("A", "42.1", PASSED, claimed=True), Grade("A", "42.2", WRONG, "why", claimed=True)
    assert not right.otherwise and wrong.otherwise
    assert [line.split(",")[-1] for line in grades_csv([right, wrong]).splitlines()[1:]] == [
        "confirmed", "the receipt says solved",
    ]  # fmt: skip
    assert grades_html([right, wrong]).count('class="otherwise"') == 2


def test_each_shipped_exercise_is_known_to_the_regrading():
    lessons = lessons_of(Path(__file__).parents[1] / "notebooks")
    for lesson in lessons.values():
        for cell in lesson.cells:
            for number in ASKED.findall(cell.source) if cell.cell_type == "code" else ():
                answer, _ = checked_in(cell.source, number)
                assert answer and answer.isidentifier(), f"the call that checks {number} is not a statement of its own"
