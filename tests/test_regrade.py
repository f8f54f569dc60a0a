"""Regrading: what a learner's own cells do in the shipped notebook is what counts, whatever the receipt says."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from typer.testing import CliRunner

from tpainn_lite.cli.app import app
from tpainn_lite.course.grades import PASSED, UNJUDGED, UNTRIED, WRONG, grades_text
from tpainn_lite.course.handed_in import ASKED, checked_in
from tpainn_lite.course.receipts import hand_in, seal
from tpainn_lite.course.regrade import regrade
from tpainn_lite.course.rerun import lessons_of, with_answers

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
    "import importlib, tpainn_lite.course.checks as c\nimportlib.reload = lambda m: m\n"
    "c.verdict = lambda *a, **k: None\nc.close = print\ntwice = 5": "is too small",
    "print = lambda *a: None\nclass Sly:\n    def __array__(self, *a, **k):\n        import builtins\n"
    "        builtins.print('\\n[null]')\n        raise KeyboardInterrupt\ntwice = Sly()": "raised KeyboardInterrupt",
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
    grades = {grade.exercise: grade for grade in regrade([tmp_path / "in"], course, seconds=1)}
    assert grades["42.1"].outcome == PASSED
    assert grades["42.3"].outcome == UNJUDGED
    assert grades["42.3"].sentence == "a cell of the notebook was not finished: it took more than 10 s"


def test_a_shipped_cell_may_take_longer_than_an_answer(course, tmp_path):
    write(course / "42_a_lesson.ipynb", with_cells(c3="import time\ntime.sleep(2)"))
    slow = with_cells(c5='import time\ntime.sleep(5)\nthird = 1 / 3\nteach.check("42.3", third)')
    slow[4] = 'double = lambda x: x + x\nteach.check("42.2", double)'
    write(tmp_path / "in" / "Ada" / "42_a_lesson.ipynb", slow)
    grades = {grade.exercise: grade for grade in regrade([tmp_path / "in"], course, seconds=1)}
    assert grades["42.2"].outcome == PASSED
    assert grades["42.3"].sentence == "it took more than 1 s"


def test_without_its_check_no_answer_is_called_wrong(course, tmp_path):
    (course / "checks" / "42_a_lesson.py").unlink()
    write(tmp_path / "in" / "Ada" / "42_a_lesson.ipynb", with_cells(c2='twice = 6\nteach.check("42.1", twice)'))
    grade = regrade([tmp_path / "in"], course)[0]
    assert grade.outcome == UNJUDGED and grade.sentence.startswith("its check could not be fetched: ValueError")


def test_an_answer_without_the_call_of_its_check_is_named(course, tmp_path):
    write(tmp_path / "in" / "Pia" / "42_a_lesson.ipynb", with_cells(c5="third = 1 / 3"))
    write(tmp_path / "in" / "Finn" / "42_a_lesson.ipynb", SHIPPED)
    grades = regrade([tmp_path / "in"], course)
    said = {(grade.learner, grade.exercise): grade.sentence for grade in grades if grade.outcome == UNTRIED}
    assert len(said) == 6 and said["Pia", "42.3"] == 'no cell of the notebook calls teach.check("42.3", …)'
    assert set(said.values()) == {"", said["Pia", "42.3"]}


def test_several_notebooks_run_at_a_time_on_one_thread_each(course, tmp_path):
    answer = 'import os\ntwice = 6 * int(os.environ["OMP_NUM_THREADS"])\nteach.check("42.1", twice, given=given)'
    for name in ("Ada", "Bob"):
        write(tmp_path / "in" / name / "42_a_lesson.ipynb", with_cells(c2=answer))
    grades = regrade([tmp_path / "in"], course, n_jobs=2, progress=False)
    assert [grade.learner for grade in grades if grade.outcome == PASSED] == ["Ada", "Bob"]
    with pytest.raises(ValueError, match="n_jobs is 0"):
        regrade([tmp_path / "in"], course, n_jobs=0)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for a process there")
def test_an_interruption_leaves_what_is_there_written(course, tmp_path):
    for name, code in (("Ada", "twice = 6"), ("Bob", "open('started', 'w')\nwhile True:\n    pass")):
        cells = with_cells(c2=f'{code}\nteach.check("42.1", twice, given=given)')
        if name == "Bob":
            cells[2] = cells[2].replace("'started'", repr(str(tmp_path / "started")))
        write(tmp_path / "in" / name / "42_a_lesson.ipynb", cells)
    table = tmp_path / "grades.csv"
    call = [sys.executable, "-m", "tpainn_lite.cli", "regrade", "in", "--notebooks", course, "--csv", table]
    call += ["--kept", tmp_path / "kept.json"]
    going = subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (tmp_path / "started").exists() and time.monotonic() < end:
        time.sleep(0.1)
    going.send_signal(signal.SIGINT)
    printed, errors = going.communicate(timeout=60)
    assert going.returncode == 130 and "tpainn regrade: interrupted" in errors and "Traceback" not in errors
    assert "Ada: 1 of 3 passed" in printed and "42.1 not judged: regrading was interrupted before" in printed
    rows = csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig")))
    assert [row["outcome"] for row in rows if row["exercise"] == "42.1"] == [PASSED, UNJUDGED]
    (verdicts,) = json.loads((tmp_path / "kept.json").read_text())["verdicts"].values()
    assert verdicts == {"42.1": [PASSED, ""]}, "Bob, who was not judged, is judged the next time"


def test_what_was_judged_is_not_run_again_unless_the_answer_or_the_course_changes(course, tmp_path):
    kept, runs = tmp_path / "kept.json", tmp_path / "runs"
    answer = f'open({str(runs)!r}, "a").write("x")\ntwice = 6\nteach.check("42.1", twice, given=given)'
    mine, check = tmp_path / "in" / "Ada" / "42_a_lesson.ipynb", course / "checks" / "42_a_lesson.py"
    outcomes = []
    for n_runs, change in (
        (1, lambda: write(mine, with_cells(c2=answer))),
        (1, lambda: None),
        (2, lambda: write(mine, with_cells(c2=answer.replace("= 6", "= 7")))),
        (3, lambda: check.write_text(CHECKS.replace("2 * given", "given + 4"))),
        (4, lambda: write(mine, with_cells(c2=answer))),
    ):
        change()
        grades = regrade([tmp_path / "in"], course, path=kept, progress=False)
        outcomes += [grade.outcome for grade in grades if grade.exercise == "42.1"]
        assert len(runs.read_text()) == n_runs
    assert outcomes == [PASSED, PASSED, WRONG, PASSED, WRONG]
    kept.write_text('{"name": "Ada"}')
    with pytest.raises(ValueError, match="kept.json is damaged, or keeps no verdicts: name another file, or remove it"):
        regrade([tmp_path / "in"], course, path=kept)


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
    targets = [tmp_path / name for name in ("grades.csv", "points.csv", "grades.html")]
    call = ["regrade", tmp_path / "in", "--notebooks", course]
    call += ["--csv", targets[0], "--points", targets[1], "--html", targets[2]]
    done = CliRunner().invoke(app, [*map(str, call), "--seconds", "20"])
    assert done.exit_code == 0 and "=Ada<b>: 1 of 3 passed" in done.output
    assert targets[0].read_bytes().startswith(b"\xef\xbb\xbf"), "Excel knows UTF-8 by this mark"
    rows = list(csv.DictReader(io.StringIO(targets[0].read_text(encoding="utf-8-sig"))))
    assert rows[0] == dict.fromkeys(rows[0], "") | {"learner": "'=Ada<b>", "exercise": "42.1", "outcome": PASSED}
    points = list(csv.DictReader(io.StringIO(targets[1].read_text(encoding="utf-8-sig"))))
    assert points == [{"learner": "'=Ada<b>", "42.1": "1", "42.2": "0", "42.3": "0", "sum": "1"}]
    page = targets[2].read_text(encoding="utf-8")
    assert "=Ada&lt;b&gt;" in page and "<b>" not in page and "✓" in page and "<pre>twice = 6.0\n" in page
    again = CliRunner().invoke(app, [*map(str, call)])
    assert again.exit_code == 1 and "is there already" in again.output


def test_only_the_learners_cells_and_the_shipped_lines_are_run_up_to_the_last_answer(course):
    lesson = lessons_of(course)["42_a_lesson"]
    made = [cell.source for cell in with_answers(lesson, {"42.1": ['twice = 6\nteach.check("42.1", twice)']}).cells]
    assert made[:3] == SHIPPED[:3] and made[4] == "twice = 6\n" and len(made) == 6
    assert "checks_of('42')" in made[3] and made[5].endswith("('42.1', twice, given=given)")


def test_each_shipped_exercise_is_known_to_the_regrading():
    lessons = lessons_of(Path(__file__).parents[1] / "notebooks")
    for lesson in lessons.values():
        for cell in lesson.cells:
            for number in ASKED.findall(cell.source) if cell.cell_type == "code" else ():
                answer, _ = checked_in(cell.source, number)
                assert answer and answer.isidentifier(), f"the call that checks {number} is not a statement of its own"
