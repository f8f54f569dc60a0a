"""Receipts: what was solved comes through, a changed one is found out, and one bad file does not hide the others."""

import json

import pytest
from typer.testing import CliRunner

from tpainn_lite import teach
from tpainn_lite.cli import app
from tpainn_lite.receipts import hand_in, read_receipt, receipt_table


def test_a_receipt_holds_what_was_solved_and_is_named_by_notebook_and_student(tmp_path):
    path = hand_in("Ada Lovelace", {"00.2", "00.1"}, tmp_path, seconds=12)
    assert path.name == "receipt-00-Ada-Lovelace.json"
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
    assert 'receipt.hand_in("your name")' in str(receipt)
    content = read_receipt(receipt.hand_in("Ada", tmp_path))
    assert content["solved"] == ["00.1"] and content["seconds"] == 0 and "torch" in content["versions"]
