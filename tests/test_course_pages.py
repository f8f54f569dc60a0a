"""The pages around the course: examples run, names exist, limits hold, the tables say what was measured."""

import ast
import doctest
import importlib
import json
import os
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import tpainn_lite as tp
from tpainn_lite import teach
from tpainn_lite.course import checks
from tpainn_lite.course.handed_in import checked_in

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
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
        answers = re.findall(r"^<details><summary>\((\d)\) .+?</summary>.+</details>$", week, flags=re.MULTILINE)
        assert answers == list("12345")
        assert "**Afterwards you can**" in week and re.search(r"doi\.org|arxiv\.org", week)


def test_the_points_of_the_rubric_add_up():
    rubric = text("capstone").split("## Rubric")[1]
    points = sum(map(int, re.findall(r"^\| [a-z][a-z, ]+ \| (\d) \|", rubric, flags=re.MULTILINE)))
    assert f"{points} points; {points // 2} pass." in rubric


def test_the_table_of_times_says_what_was_measured():
    row = {"notebook": "00_tour", "seconds": 100.4, "megabytes": 900, "others": 0.2}
    rows = [row | {"case": "one core"}, row | {"case": "busy core", "seconds": 199.6}]
    results = {"rows": rows, "machine": "x", "created": "2030-01-02T00:00", "command": "python t.py"}
    block = script("times_table").block(results)
    assert "| notebook | one core | one core, busy | memory |" in block
    assert "| 00_tour | 100 s | 200 s | 900 MB |" in block
    assert "2030-01-02; other programs used at most 0 % of these cores before a run (`python t.py`)" in block


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_how_long_it_was_measured_to_run(path):
    (said,) = re.findall(r"\| \*\*time\*\* \| .*?runs in about (\d+) s on 2 cores", path.read_text(encoding="utf-8"))
    rows = json.loads((ROOT / "data" / "results" / "notebook_times.json").read_text())["rows"]
    (seconds,) = (row["seconds"] for row in rows if row["notebook"] == path.stem and row["case"] == "two cores")
    assert int(said) == pytest.approx(seconds, rel=0.2)


def test_the_block_of_times_waits_for_a_measurement(tmp_path):
    blocks = script("times_table").blocks
    assert blocks(tmp_path) == {}
    (tmp_path / "notebook_times.json").write_text(json.dumps({}))
    assert list(blocks(tmp_path)) == ["notebook_times"]


# --- the course without its answers ---


@pytest.fixture(scope="module")
def handout(tmp_path_factory):
    """The unpacked archive that `make handout` writes."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what belongs to the course is not known")
    folder = tmp_path_factory.mktemp("handout")
    script("handout").write(folder / "course.zip")
    zipfile.ZipFile(folder / "course.zip").extractall(folder)
    return folder / "tpainn-lite"


def test_the_handout_has_the_course_and_no_answers(handout):
    assert {path.name for path in (handout / "notebooks").iterdir()} == {
        path.name for path in (ROOT / "notebooks").glob("*.ipynb")
    } | {"checks"}
    assert (handout / "Makefile").is_file() and (handout / "data" / "SHA256SUMS").is_file()
    assert not (handout / "tests").exists() and not (handout / "docs" / "instructor.md").exists()
    blocks = [
        line
        for path in (ROOT / "notebooks" / "solutions").glob("*.py")
        for code in teach.solutions(path).values()
        for line in code.splitlines()
        if len(line.strip()) > 40
    ]
    notebooks = "".join(path.read_text(encoding="utf-8") for path in (handout / "notebooks").glob("*.ipynb"))
    assert not [line for line in blocks if json.dumps(line)[1:-1] in notebooks]


def test_every_link_of_the_handout_leads_to_a_file_in_it(handout):
    pages = [path for kind in ("*.md", "*.ipynb") for path in handout.rglob(kind)]
    assert handout / "README.md" in pages
    for page in pages:
        for link in re.findall(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{page.relative_to(handout)} links to {link}"


def test_the_readme_of_the_handout_starts_in_its_own_folder(handout):
    readme = (handout / "README.md").read_text(encoding="utf-8")
    assert "git clone" not in readme and "In this folder" in readme and "conda env create" in readme


def test_a_lesson_of_ones_own_is_handed_out_before_git_tracks_it(tmp_path):
    own = ["notebooks/08_argon.ipynb", "notebooks/checks/08_argon.py"]
    private = ["notebooks/receipt-08-Me.json", "notebooks/solutions/08_argon.py", "grades.csv", "handed-in/Ada/a.ipynb"]
    for name in [*own, *private, "notebooks/ignored.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("ignored.txt")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert script("handout").files(tmp_path) == script("handout").new_files(tmp_path) == own
    subprocess.run(["git", "add", ".gitignore", "grades.csv"], cwd=tmp_path, check=True)
    assert script("handout").files(tmp_path) == [".gitignore", "grades.csv", *own]


def test_without_git_the_handout_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SystemExit, match="no git checkout.*git clone"):
        script("handout").files(tmp_path)


def test_no_notebook_asks_for_its_solutions(handout):
    for path in (handout / "notebooks").glob("*.ipynb"):
        code = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
        assert "solution" not in code, f"{path.stem} does not run without its solutions"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_of_the_handout_runs_and_nothing_is_attempted(handout):
    path = handout / "notebooks" / "02_painn_from_scratch.ipynb"
    notebook = nbformat.read(path, 4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert printed.count("not attempted yet") == 7 and "right!" not in printed


def test_the_guides_example_of_an_exercise_works():
    section = text("instructor").split("## An exercise of your own")[1].split("\n## ")[0]
    cell, check = FENCED.findall(section)
    assert checked_in(cell, "00.4") == ("n_atoms", ["start=start"])
    names = {"exercise": checks.exercise, "Wrong": checks.Wrong, "close": checks.close}
    exec(check, names)
    start = tp.molecule("CC(O)CF", seed=1)
    judged = [checks.verdict(names["atoms_of_the_molecule"], n, start=start) for n in (12, 7, 3)]
    assert judged == [None, "these are the hydrogens alone", "your number, 3, is too small"]


# --- other tools ---


@pytest.mark.parametrize("number", ["00", "05"])
def test_an_assignment_of_nbgrader_has_a_graded_check_behind_each_exercise(tmp_path, number):
    folder = script("nbgrader_assignment").write(number, tmp_path)
    (path,) = folder.glob("*.ipynb")
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    graded = [k for k, cell in enumerate(cells) if cell.metadata.get("nbgrader", {}).get("grade")]
    exercises = [cells[k - 1].source.split('check("')[1].split('"')[0] for k in graded]
    assert exercises == list(teach.solutions(ROOT / "notebooks" / "solutions" / f"{path.stem}.py"))
    for k in graded:
        marks = cells[k].metadata["nbgrader"]
        assert marks["locked"] and marks["points"] == 1 and re.fullmatch(r"[\w-]+", marks["grade_id"])
        assert "### BEGIN HIDDEN TESTS" in cells[k].source and compile(cells[k].source, "check", "exec")
    assert (folder / "checks" / f"{path.stem}.py").is_file() and "solution" not in {p.name for p in folder.rglob("*")}


def test_nbgrader_takes_the_assignment(tmp_path):
    pytest.importorskip("nbgrader", reason="nbgrader is no dependency; docs/instructor.md says how this was tried")
    folder = script("nbgrader_assignment").write("00", tmp_path)
    done = subprocess.run(["nbgrader", "generate_assignment", folder.name, "--create"], cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_the_quizzes_come_without_answers_for_the_class_and_with_them_for_moodle():
    quiz = script("quiz")
    weeks = quiz.quizzes(text("module"))
    sheet, gift = quiz.sheet(weeks), quiz.gift(weeks)
    assert [len(asked) for asked in weeks.values()] == [5, 5, 5, 5]
    blocks = gift.strip().split("\n\n")
    assert len([block for block in blocks if block.startswith("$CATEGORY: ")]) == 4 and len(blocks) == 24
    for number, question, answer in (one for asked in weeks.values() for one in asked):
        assert f"**{number}.** {question}" in sheet and answer not in sheet
        assert f"{quiz.escaped(question)} {{####{quiz.escaped(answer)}}}" in gift
    question = re.compile(r"::Week \d, \d::(?:[^\\~=#{}:]|\\[\\~=#{}:])+ \{####(?:[^\\~=#{}:]|\\[\\~=#{}:])+\}")
    assert all(question.fullmatch(block) for block in blocks if not block.startswith("$"))


@pytest.mark.parametrize("number", ["00", "02"])
def test_a_test_of_otter_passes_right_answers_alone(tmp_path, number):
    names = script("otter_tests").write(number, tmp_path)
    (checks,) = (tmp_path / "checks").iterdir()
    exercises = teach.solutions(ROOT / "notebooks" / "solutions" / checks.name)
    assert names == [f"q{exercise.replace('.', '_')}" for exercise in exercises]
    for name in names:
        test = runpy.run_path(str(tmp_path / "tests" / f"{name}.py"))
        assert test["OK_FORMAT"] and test["test"]["name"] == name and test["test"]["points"] == 1
        doctest.DocTestParser().get_examples(test["test"]["suites"][0]["cases"][0]["code"])


@pytest.mark.parametrize(("answer", "failed"), [(600, 0), (6, 1)])
def test_a_test_of_otter_is_a_doctest_of_the_answer(tmp_path, monkeypatch, answer, failed):
    script("otter_tests").write("00", tmp_path)
    monkeypatch.chdir(tmp_path)
    code = runpy.run_path("tests/q00_1.py")["test"]["suites"][0]["cases"][0]["code"]
    test = doctest.DocTestParser().get_doctest(code, {"n_labels": answer}, "q00_1", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(test, out=str).failed == failed


# --- slides ---

LECTURES = sorted((DOCS / "slides").glob("*.md"))


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_a_lecture_has_short_slides_with_a_heading_each(path):
    slides = re.split(r"^---$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert 12 <= len(slides) <= 15
    for slide in slides:
        shown = slide.partition("\nNote:")[0]
        assert len(re.findall(r"^##? ", shown, flags=re.MULTILINE)) == 1
        assert len(re.sub(r"!\[.*?\]\(.*?\)|\$\$.*?\$\$", "", shown, flags=re.DOTALL).split()) <= 75, shown


def test_the_slides_are_built_without_the_network(tmp_path, monkeypatch):
    builder = script("build_slides")
    for name in builder.REVEAL:
        (tmp_path / "reveal" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "reveal" / name).write_text("")
    monkeypatch.setattr(builder, "reveal", lambda: tmp_path / "reveal")
    drawn = []
    made = builder.build(tmp_path / "out", draw_figures=lambda names, out: drawn.extend(names))
    assert list(made) == [path.stem for path in LECTURES] and set(drawn) <= set(builder.FIGURES)
    page = (tmp_path / "out" / "2_painn.html").read_text(encoding="utf-8")
    assert page.count("<section>") == made["2_painn"] and '<aside class="notes">' in page and "<math" in page
    assert 'src="http' not in page and 'alt="' in page and (tmp_path / "out" / "pictures" / "hero.gif").is_file()


@pytest.mark.parametrize("name", script("slide_figures").FIGURES)
def test_a_figure_of_the_slides_shows_numbers_with_named_axes(name):
    figure = script("slide_figures").FIGURES[name]()
    assert figure.data and figure.layout.yaxis.title.text
    assert script("slide_figures").FIGURES[name].__doc__


# --- how long the notebooks run ---


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores can be given to a process on Linux only")
def test_the_times_of_notebooks_are_measured_once_and_resumed(tmp_path, monkeypatch):
    times = importlib.import_module("notebook_times")
    monkeypatch.setenv("TPAINN_DATA", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    (tmp_path / "SHA256SUMS").write_text("")
    for name in ("00_a", "01_b"):
        (tmp_path / f"{name}.ipynb").write_text("")
    monkeypatch.setattr(sys, "argv", ["notebook_times.py", "--notebooks", str(tmp_path)])
    asked = []

    def timed(path, cores, busy):
        asked.append((path.stem, cores, busy))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return {"seconds": 10.0 * cores, "megabytes": 900, "others": 0.1}

    monkeypatch.setattr(times, "timed", timed)
    with pytest.raises(KeyboardInterrupt):
        times.main()
    times.main()
    assert [one for one in asked if one[0] == "00_a"] == [("00_a", 2, False), ("00_a", 1, False), ("00_a", 1, True)]
    assert len(asked) == 7 and asked[3] == asked[4] == ("01_b", 1, False)  # the interrupted one again
    block = script("times_table").block(tp.load_results("notebook_times"))
    assert "| 01_b | 10 s | 20 s | 10 s | 900 MB |" in block


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores can be given to a process on Linux only")
def test_a_core_that_another_program_uses_is_shared_and_given_back(tmp_path, monkeypatch):
    times, before = importlib.import_module("notebook_times"), os.sched_getaffinity(0)
    monkeypatch.setattr(times, "quiet", lambda cores: 0.3)
    code = "import os\nprint(f'memory     12 MB, {len(os.sched_getaffinity(0))} core')"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), tmp_path / "x.ipynb")
    row = times.timed(tmp_path / "x.ipynb", 1, True)
    assert row["megabytes"] == 12 and row["seconds"] > 0 and os.sched_getaffinity(0) == before


def test_solutions_that_were_withheld_are_said_to_be(handout):
    with pytest.raises(
        ValueError, match=r"no solutions of exercise '00.1' in .*: whoever gave out this course withheld"
    ):
        teach.solution("00.1", handout / "notebooks" / "solutions")
