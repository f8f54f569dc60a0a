"""Lessons: answers are checked by what they do, a wrong or missing one never raises, receipts measure."""

from pathlib import Path

import nbformat
import pytest

from tpainn_lite import teach

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def said(capsys):
    return capsys.readouterr().out


def test_an_untouched_exercise_is_not_attempted_and_does_not_raise(capsys):
    teach.check(..., 3, "count", exercise="t.0")
    assert "t.0 not attempted" in said(capsys) and "t.0" not in teach.solved


def test_a_right_answer_is_praised_and_counted(capsys):
    teach.check(2.001, 2.0, "halve it", 0.01, exercise="t.1")
    assert "t.1 right!" in said(capsys) and "t.1" in teach.solved


def test_any_answer_that_behaves_is_right(capsys):
    teach.check(lambda x: x + x, lambda double: double(4) == 8, "twice", exercise="t.2")
    assert "right!" in said(capsys)


def test_a_wrong_answer_gets_its_hint(capsys):
    teach.check(5, 3, "count again")
    assert "Hint: count again" in said(capsys)


def test_an_answer_of_the_wrong_kind_gets_its_hint_instead_of_a_traceback(capsys):
    teach.check("five", 3, "give a number", 0.1)
    assert "TypeError" in (text := said(capsys)) and "Hint: give a number" in text


def test_predict_shows_the_question_and_its_options():
    box = teach.predict("How many?", ["one", "two"])
    assert "How many?" in box.children[0].value
    assert [button.description for button in box.children[1].children] == ["one", "two"]
    box.children[1].children[1].click()
    assert "two" in box.children[2].value


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_exercise_has_a_solution_and_the_other_way_round(path):
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    solutions = teach.solutions(NOTEBOOKS / "solutions" / f"{path.stem}.py")
    asked = {part.split('"')[0] for part in source.split('exercise="')[1:]}
    assert asked == set(solutions)
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
