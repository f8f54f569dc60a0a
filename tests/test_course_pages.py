"""The pages around the course: examples run, names exist, limits hold, the tables say what was measured."""

import ast
import doctest
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

import tpainn_lite as tp

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = ("primer", "module", "capstone", "slides")
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(page):
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def script(name):
    """A script of docs/, as a module."""
    if str(DOCS) not in sys.path:
        sys.path.append(str(DOCS))
    return importlib.import_module(name)


def test_the_primers_examples_give_what_they_say():
    examples = "\n".join(FENCED.findall(text("primer")))
    test = doctest.DocTestParser().get_doctest(examples, {}, "primer.md", None, 0)
    failed, tried = doctest.DocTestRunner(verbose=False).run(test)
    assert tried > 20 and not failed


def test_the_primer_is_read_in_an_hour():
    assert len(text("primer").split()) <= 1800


@pytest.mark.parametrize("page", PAGES)
def test_a_page_uses_only_names_that_the_library_has(page):
    for block in FENCED.findall(text(page)):
        if ">>>" in block:
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tp":
                assert hasattr(tp, node.attr), f"{page}.md names tp.{node.attr}"


def test_the_module_has_five_questions_a_week_and_each_has_an_answer():
    weeks = re.split(r"^## ", text("module"), flags=re.MULTILINE)
    quizzes = [week for week in weeks if week.startswith("Week ")]
    assert len(quizzes) == 4
    for week in quizzes:
        answers = re.findall(r"^<details><summary>(\d)\. .+?</summary>.+</details>$", week, flags=re.MULTILINE)
        assert answers == list("12345")
        assert "**Afterwards you can**" in week and re.search(r"doi\.org|arxiv\.org", week)


def test_the_points_of_the_rubric_add_up():
    rubric = text("capstone").split("## Rubric")[1]
    points = sum(map(int, re.findall(r"^\| [a-z][a-z, ]+ \| (\d) \|", rubric, flags=re.MULTILINE)))
    assert f"{points} points; {points // 2} pass." in rubric


def test_the_table_of_times_says_what_was_measured():
    row = {"notebook": "00_tour", "seconds": 100.4, "megabytes": 900, "load": 0.2}
    rows = [row | {"case": "one core"}, row | {"case": "busy core", "seconds": 199.6}]
    results = {"rows": rows, "machine": "x", "created": "2030-01-02T00:00", "command": "python t.py"}
    block = script("times_table").block(results)
    assert "| notebook | one core | one core, busy | memory |" in block
    assert "| 00_tour | 100 s | 200 s | 900 MB |" in block
    assert "2030-01-02; load before each run at most 0.2 (`python t.py`)" in block


def test_the_block_of_times_waits_for_a_measurement(tmp_path):
    blocks = script("times_table").blocks
    assert blocks(tmp_path) == {}
    (tmp_path / "notebook_times.json").write_text(json.dumps({}))
    assert list(blocks(tmp_path)) == ["notebook_times"]
