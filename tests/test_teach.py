"""Lessons: answers are checked by what they do, a wrong or missing one never raises, receipts measure."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from exercises import asked

from tpainn_lite.course import teach

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def said(capsys):
    return capsys.readouterr().out


def test_predict_shows_the_question_and_its_options():
    box = teach.predict("How many?", ["one", "two"])
    assert "How many?" in box.children[0].value
    assert [button.description for button in box.children[1].children] == ["one", "two"]
    box.children[1].children[1].click()
    assert "two" in box.children[2].value


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_exercise_has_a_solution_and_the_other_way_round(path):
    code_cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    solutions = teach.solutions(NOTEBOOKS / "solutions" / f"{path.stem}.py")
    assert [number for source in code_cells for number in asked(source)] == list(solutions)
    for code in solutions.values():
        compile(code, str(path), "exec")


def test_a_solution_is_shown_folded_and_an_unknown_one_is_named():
    assert "<details>" in teach.solution("00.1", NOTEBOOKS / "solutions").data
    with pytest.raises(ValueError, match=r"no solution '00.9'; there are 00.1"):
        teach.solution("00.9", NOTEBOOKS / "solutions")


def test_the_receipt_holds_time_and_memory_against_the_promise():
    receipt = teach.Receipt(minutes=3, megabytes=1200)
    assert 0 <= receipt.seconds < 60 and receipt.peak_megabytes > 10
    assert "promised: 180 s" in str(receipt) and "promised: 1200 MB" in str(receipt)


# --- checks in files ---


@pytest.fixture
def checks(tmp_path):
    (tmp_path / "42_a_lesson.py").write_text(
        """import numpy as np

from tpainn_lite.course.checks import Wrong, close, exercise, same_array


@exercise("42.1")
def double(answer):
    number = np.random.default_rng().normal()
    close(answer(number), 2 * number, called=f"twice {number:.3f}, by your function,")


@exercise("42.2")
def more_than(answer, limit):
    if not answer > limit:
        raise Wrong(f"{answer} is not more than {limit}")


@exercise("42.3")
def counting(answer):
    same_array(answer, [1, 2, 3])
"""
    )
    return tmp_path


@pytest.mark.parametrize("answer", [lambda x: 2 * x, lambda x: x + x, lambda x: np.float32(2) * np.float64(x)])
def test_a_check_in_a_file_accepts_any_right_answer_and_counts_it(checks, capsys, answer):
    teach.attempts.clear()
    teach.check("42.1", answer, folder=checks)
    assert said(capsys) == "42.1 right!\n" and "42.1" in teach.solved
    assert teach.attempts["42.1"].right and teach.attempts["42.1"].number == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: x, "is too "), (lambda x: "much", "a number is expected"), (3, "it raised TypeError"),
        (lambda x: np.nan, "one finite number is expected"), (lambda x: [x, x], "one finite number is expected"),
        (lambda x: 1 / 0, "it raised ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_told_what_is_wrong_with_it(checks, capsys, answer, words):
    teach.attempts.clear()
    teach.check("42.1", answer, folder=checks)
    assert (text := said(capsys)).startswith("42.1 not yet: ") and words in text
    assert not teach.attempts["42.1"].right


def test_a_check_takes_what_the_notebook_gives_it(checks, capsys):
    teach.check("42.2", 3, folder=checks, limit=5)
    teach.check("42.2", 6, folder=checks, limit=5)
    assert said(capsys) == "42.2 not yet: 3 is not more than 5\n42.2 right!\n"


def test_a_check_that_is_not_given_what_it_needs_asks_for_it(checks, capsys):
    teach.check("42.2", 3, folder=checks)
    assert "the check needs more of the notebook, behind your answer: limit=limit" in capsys.readouterr().out


def test_arrays_are_compared_by_shape_first_and_then_by_number(checks, capsys):
    for answer in ([1, 2], [1, 2, 4], (1, 2, 3), torch.tensor([1.0, 2.0, 3.0])):
        teach.check("42.3", answer, folder=checks)
    shape, number, *right = said(capsys).splitlines()
    assert "has the shape (2,); (3,) is expected" in shape and "is off by 1 at 2, where 4 stands" in number
    assert right == ["42.3 right!"] * 2


def test_an_exercise_without_a_check_is_an_error_of_the_notebook(checks):
    with pytest.raises(ValueError, match=r"no check of exercise '42.9' in .*; there are 42.1, 42.2, 42.3"):
        teach.check("42.9", 1, folder=checks)
    with pytest.raises(ValueError, match="0 files of checks of notebook '43'"):
        teach.check("43.1", 1, folder=checks)


def test_an_untouched_exercise_is_not_attempted_and_does_not_raise(checks, capsys):
    teach.check("42.1", ..., folder=checks)
    assert "42.1 not attempted" in said(capsys)


class Mute(Exception):
    def __str__(self):
        raise ValueError


class Evil:
    def __eq__(self, other):
        raise Mute

    def __bool__(self):
        raise SystemExit

    def __gt__(self, other):
        raise Mute

    __array__ = __repr__ = __eq__


@pytest.mark.parametrize("answer", [Evil(), [Evil()], lambda: None, object(), lambda x: Evil(), None, "five"])
def test_nothing_that_an_answer_does_ends_the_cell(checks, capsys, answer):
    teach.solved.clear()
    for number in ("42.1", "42.2", "42.3"):
        teach.check(number, answer, folder=checks, **({"limit": 3} if number == "42.2" else {}))
    assert said(capsys).count("not yet: ") == 3 and not teach.solved


def test_an_exercise_has_a_number(checks):
    with pytest.raises(ValueError, match="a number such as '02.4' is expected"):
        teach.check(3, 3, folder=checks)
