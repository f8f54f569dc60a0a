"""What was handed in: whose it is, which cells are an answer, and nothing is lost without a word."""

import unicodedata

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tpainn_lite.course.handed_in import answers_in, checked_in, handed_in, without_checks
from tpainn_lite.course.receipts import hand_in

SHIPPED = [
    "given = 3",
    'twice = ...\nteach.check("42.1", twice, given=given)',
    'double = ...\nteach.check("42.2", double)',
]
LESSONS = {"42_a_lesson": SHIPPED, "43_another": ['more = ...\nteach.check("43.1", more)']}


def write(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in cells]), path)


def answer(path, exercise="42.1", value=6):
    write(path, f'mine = {value}\nteach.check("{exercise}", mine)')


def learners(*paths):
    found, faults = handed_in(paths, LESSONS)
    return {one.learner: sorted(one.answers) for one in found}, faults


def test_the_first_folder_is_the_learner(tmp_path):
    answer(tmp_path / "in" / "Ada Lovelace" / "week 1" / "42_a_lesson.ipynb")
    hand_in("Ada", {"43.1"}, tmp_path / "in" / "Ada Lovelace", seconds=1)
    answer(tmp_path / "in" / "43_another-Bob.ipynb", "43.1")
    assert learners(tmp_path / "in") == ({"Ada Lovelace": ["42.1"], "Bob": ["43.1"]}, [])


def test_a_given_folder_with_notebooks_in_it_is_the_learner(tmp_path):
    for name in ("Ada", "Bob"):
        answer(tmp_path / name / "42_a_lesson.ipynb")
        answer(tmp_path / name / "43_another (1).ipynb", "43.1")
        hand_in(f"{name} of the receipt", {"43.1"}, tmp_path / name, seconds=1)
    both = {"Ada": ["42.1", "43.1"], "Bob": ["42.1", "43.1"]}
    assert learners(tmp_path / "Ada", tmp_path / "Bob") == (both, [])
    assert learners(*tmp_path.glob("*/*")) == (both, []), "and for the files in it, as a shell's star names them"
    assert learners(tmp_path, tmp_path / "Ada") == (both, []), "nothing counts twice"


def test_folders_of_groups_hold_a_learner_each(tmp_path):
    for name in ("Ida", "Jo"):
        answer(tmp_path / "in" / "Group B" / name / "42_a_lesson.ipynb")
    assert learners(tmp_path / "in") == ({"Group B/Ida": ["42.1"], "Group B/Jo": ["42.1"]}, [])
    assert learners(tmp_path / "in" / "Group B") == ({"Ida": ["42.1"], "Jo": ["42.1"]}, [])


def test_a_notebook_that_is_there_twice_is_named(tmp_path):
    answer(tmp_path / "Ada" / "42_a_lesson.ipynb", value=1)
    answer(tmp_path / "Ada" / "42_a_lesson (1).ipynb", value=2)
    (one,), faults = handed_in([tmp_path], LESSONS)
    assert "mine = 2" in one.answers["42.1"][0]
    why = "42_a_lesson was handed in twice: 42_a_lesson (1).ipynb counts, and 42_a_lesson.ipynb where it has no answer"
    assert faults == [("Ada", why)]


def test_names_are_one_however_they_are_written(tmp_path):
    name = "Dörthe Müßig"
    answer(tmp_path / f"42_a_lesson (2) {unicodedata.normalize('NFD', name)}.ipynb")
    answer(tmp_path / "43_another-dörthe_müßig-Copy1.ipynb", "43.1")
    hand_in(name, {"42.2"}, tmp_path, seconds=1)
    (one,), faults = handed_in([tmp_path], LESSONS)
    assert one.learner == name and sorted(one.answers) == ["42.1", "43.1"] and one.claimed == {"42.2"} and not faults


@pytest.mark.parametrize(
    "name",
    [
        "Bob Marley_4711_assignsubmission_file_42_a_lesson.ipynb",
        "Bob Marley_4711_assignsubmission_file_/42_a_lesson.ipynb",
        "Bob Marley_LATE_40012_50013_42_a_lesson-1.ipynb",
        "Bob Marley (1)/42_a_lesson.ipynb",
    ],
)
def test_what_learning_platforms_add_to_a_name_is_left_out(tmp_path, name):
    answer(tmp_path / name)
    assert learners(tmp_path) == ({"Bob Marley": ["42.1"]}, [])


def test_what_cannot_be_judged_has_a_line(tmp_path):
    (tmp_path / "Hanno").mkdir()
    for name in ("Gina.zip", "Hanno/01.html", "Hanno/a.png", ".DS_Store"):
        (tmp_path / name).write_text("x")
    (tmp_path / "Kim").mkdir()
    write(tmp_path / "X.IPYNB", "y = 1")
    write(tmp_path / "Finn" / "42_a_lesson.ipynb", *SHIPPED)
    (finn,), faults = handed_in([tmp_path], LESSONS)
    assert finn.learner == "Finn" and finn.has("42_a_lesson", ["42.1"]) and not finn.has("43_another", ["43.1"])
    neither = "neither a notebook nor a receipt (.ipynb, .json)"
    assert dict(faults) == {
        "Gina.zip": neither, "Hanno": f"01.html, a.png: {neither}", "Kim": neither,
        "X.IPYNB": "X.IPYNB asks no exercise of the course, and is not named after one of its notebooks",
    }  # fmt: skip


def test_an_exercise_checked_again_at_the_end_keeps_its_answer():
    again = 'teach.check("42.1", mine)\nteach.check("42.2", double)'
    cells = ['mine = 6\nteach.check("42.1", mine)', 'double = abs\nteach.check("42.2", double)', again]
    assert answers_in(cells, SHIPPED) == {"42.1": [cells[0], again], "42.2": [cells[1], again]}


def test_the_cells_of_an_answer_are_those_since_the_exercise_before():
    cells = ["given = 3", "mine = 1", SHIPPED[1], "more = 2", 'double = more\nteach.check("42.2", double)']
    assert answers_in(cells, SHIPPED) == {"42.1": ["mine = 1"], "42.2": ["more = 2", cells[-1]]}
    assert answers_in(SHIPPED, SHIPPED) == {}
    assert answers_in([source.replace(" = ", "=") for source in SHIPPED], SHIPPED) == {}


def test_calls_of_a_check_are_taken_out_and_read():
    source = 'x = 1\nteach.check(\n    "42.1",\n    x + 1, given=given,\n)\ny = 2'
    assert without_checks(source) == "x = 1\n\ny = 2"
    assert checked_in(source, "42.1") == ("x + 1", ["given=given"]) and checked_in(source, "42.2") == (None, [])
    assert without_checks("%magic\nx") == "%magic\nx"
