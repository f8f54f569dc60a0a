"""Receipts: what was solved comes through, a changed one is found out, and one bad file does not hide the others."""

import json
import os
import unicodedata

import pytest
from typer.testing import CliRunner

from tpainn_lite.cli.app import app
from tpainn_lite.course import teach
from tpainn_lite.course.receipts import LARGEST, hand_in, read_receipt, receipt_table, seal


def test_a_receipt_holds_what_was_solved_and_is_named_by_notebook_and_student(tmp_path):
    path = hand_in("Ada Lovelace", {"00.2", "00.1"}, tmp_path, seconds=12)
    assert path.name == "receipt-00-Ada-Lovelace.json"
    assert hand_in("A. Student", {"00.1"}, tmp_path, seconds=12).name == "receipt-00-A-Student.json"
    assert read_receipt(path)["solved"] == ["00.1", "00.2"] and read_receipt(path)["seconds"] == 12


def test_a_receipt_that_was_changed_is_found_out(tmp_path):
    path = hand_in("Ada", {"00.1"}, tmp_path, seconds=12)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"solved": ["00.1", "00.2", "00.3"]}))
    with pytest.raises(ValueError, match="was changed after it was made"):
        read_receipt(path)


def test_a_later_session_adds_to_what_was_handed_in_but_not_to_a_forgery(tmp_path):
    hand_in("Ada", {"00.1"}, tmp_path, seconds=1)
    path = hand_in("Ada", {"00.2"}, tmp_path, seconds=1)
    assert read_receipt(path)["solved"] == ["00.1", "00.2"]
    path.write_text(path.read_text().replace("00.1", "00.3"))
    assert read_receipt(hand_in("Ada", {"00.2"}, tmp_path, seconds=1))["solved"] == ["00.2"]


def test_a_right_answer_stays_in_the_receipt_when_a_later_session_has_another(tmp_path):
    def tried(right, code):
        return {"right": right, "number": 1, "code": code}

    hand_in("Ada", {"00.1"}, tmp_path, seconds=1, answers={"00.1": tried(True, "a"), "00.2": tried(False, "b")})
    later = {"00.1": tried(False, "c"), "00.2": tried(True, "d"), "00.3": tried(False, "e")}
    answers = read_receipt(hand_in("Ada", {"00.2"}, tmp_path, seconds=1, answers=later))["answers"]
    assert {number: answer["code"] for number, answer in answers.items()} == {"00.1": "a", "00.2": "d", "00.3": "e"}


@pytest.mark.parametrize("text", ["", "[]", '{"name": "Ada"}', "no JSON"])
def test_what_is_no_receipt_is_said_to_be_none(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="is not a receipt"):
        read_receipt(tmp_path / "x.json")


def test_a_name_is_wanted(tmp_path):
    with pytest.raises(ValueError, match="no name was given"):
        hand_in("  ", {"00.1"}, tmp_path)


def test_the_table_adds_up_a_students_notebooks_and_names_bad_files(tmp_path):
    paths = [hand_in(name, done, tmp_path, seconds=1) for name, done in (("Ada", {"00.1"}), ("Ada", {"01.1", "01.2"}))]
    paths.append(hand_in("Böb", {"00.3"}, tmp_path, seconds=1))
    (tmp_path / "torn.json").write_text("{")
    lines = receipt_table([*paths, tmp_path / "torn.json"]).splitlines()
    assert lines[0] == "Ada    3 solved: 00.1, 01.1, 01.2" and lines[1].startswith("Böb    1 solved")
    assert lines[2].startswith("! ") and "torn.json is not a receipt" in lines[2]
    told = CliRunner().invoke(app, ["receipts", *map(str, paths)])
    assert told.exit_code == 0 and "3 solved" in told.output
    assert receipt_table([tmp_path]).splitlines() == lines, "a folder stands for the files in it"


def test_a_notebooks_receipt_is_handed_in_with_time_and_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(teach, "solved", {"00.1"})
    receipt = teach.Receipt(3, 1200)
    assert 'receipt.hand_in("your name") writes a file beside the notebook' in str(receipt)
    assert "after a restart, run all cells once more" in str(receipt)
    content = read_receipt(receipt.hand_in("Ada", tmp_path))
    assert content["solved"] == ["00.1"] and content["seconds"] == 0 and "torch" in content["versions"]


def test_a_folder_stands_for_those_in_it_too(tmp_path):
    for name in ("Ada", "Bob"):
        hand_in(name, {"00.1"}, tmp_path / name / "week 1", seconds=1)
    assert receipt_table([tmp_path]) == "Ada    1 solved: 00.1\nBob    1 solved: 00.1"


def test_a_name_is_one_however_its_letters_are_put_together(tmp_path):
    for form in ("NFC", "NFD"):
        hand_in(unicodedata.normalize(form, "Dörthe"), {"00.1" if form == "NFC" else "01.1"}, tmp_path, seconds=1)
    assert receipt_table([tmp_path]) == "Dörthe    2 solved: 00.1, 01.1"


SOUND = {"name": "Eve", "solved": ["00.1"], "seconds": 1, "made": "2030-01-01"}


def sealed(path, **changed):
    content = SOUND | changed
    path.write_text(json.dumps(content | {"seal": seal(content)}))
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"solved": 5},
        {"solved": None},
        {"solved": [1, 2]},
        {"solved": [["00.1"]]},
        {"solved": {"00.1": 1}},
        {"solved": ["00.1\n! Bob"]},
        {"solved": ["x" * 1000]},
        {"name": 7},
        {"name": None},
        {"name": ["Ada"]},
        {"name": "\n"},
        {"seconds": "long"},
        {"seconds": float("nan")},
    ],
)
def test_a_sealed_receipt_that_is_odd_is_one_line_and_the_others_are_read(tmp_path, changed):
    good = hand_in("Ada", {"00.1"}, tmp_path, seconds=1)
    lines = receipt_table([sealed(tmp_path / "odd.json", **changed), good]).splitlines()
    assert lines[0] == "Ada    1 solved: 00.1" and len(lines) == 2 and lines[1].startswith("! ")


def odd_files(folder):
    (folder / "folder.json").mkdir()
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "binary.json").write_bytes(bytes(range(256)) * 10)
    (folder / "large.json").write_text(" " * (LARGEST + 1))
    (folder / "number.json").write_text("1" * 10_000)
    (folder / "surrogate.json").write_text('{"seal": "x", "name": "\\ud800"}')
    os.mkfifo(folder / "pipe.json")
    (folder / "gone.json").symlink_to(folder / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_folder_of_odd_files_gives_a_line_for_each(tmp_path):
    odd_files(tmp_path)
    hand_in("Ada", {"00.1"}, tmp_path, seconds=1)
    lines = receipt_table([tmp_path, tmp_path / ("x" * 300)]).splitlines()
    assert lines[0].startswith("Ada") and len(lines) == 10 and all(line.startswith("! ") for line in lines[1:])


@pytest.mark.parametrize("mark", ["\n", "\r", "\x1b[2K\x1b[1A", "\u202e", "\u2028", "\x00", "\x9b", "\u200b"])
def test_a_name_cannot_forge_another_students_line(tmp_path, mark):
    sealed(tmp_path / "a.json", name=f"Eve{mark}Bob  9 solved: 00.1")
    name = f"odd{mark}name.json".replace("\x00", "")
    (tmp_path / name).write_text("{")
    table = receipt_table([tmp_path])
    assert mark not in table.replace("\n! ", "") and len(table.splitlines()) == 2
    assert hand_in(f"Eve{mark}Bob", {"00.1"}, tmp_path, seconds=1).read_text().count(mark.strip("\n") or "Bob") <= 1


def test_nothing_of_another_student_or_program_is_written_over(tmp_path):
    foreign = tmp_path / "receipt-00-Ada.json"
    foreign.write_text("mine")
    assert hand_in("Ada", {"00.1"}, tmp_path, seconds=1).name == "receipt-00-Ada-2.json"
    one, other = (hand_in(name, {"00.1"}, tmp_path, seconds=1) for name in ("A b", "A-b"))
    assert foreign.read_text() == "mine" and one != other
    assert [read_receipt(path)["name"] for path in (one, other)] == ["A b", "A-b"]
    assert hand_in("A-b", {"00.2"}, tmp_path, seconds=1) == other
    assert read_receipt(other)["solved"] == ["00.1", "00.2"]


def test_a_name_and_exercises_cannot_lead_out_of_the_folder(tmp_path):
    path = hand_in("../Ada/" + "漢" * 300, {"../../00.1"}, tmp_path / "in", seconds=1)
    assert path.parent == tmp_path / "in" and path.is_file()
    for solved in ({1, 2}, {"x" * 50}, {"00.1\n"}):
        with pytest.raises(ValueError, match="exercises are named by short texts"):
            hand_in("Ada", solved, tmp_path, seconds=1)
