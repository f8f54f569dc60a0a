"""What keeps a notebook readable: short cells, prose between them, checked claims, nothing stored that can be made."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.warnings import DuplicateCellId, MissingIDFieldWarning

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

CELL_LINES = 20  # of code
HERO_LINES = 30  # one cell per notebook may be as long as this: the thing being taught
NOTEBOOK_LINES = 160
CELL_WORDS = 130
NOTEBOOK_WORDS = 2500
CODE_IN_A_ROW = 3
FUNCTIONS = 4
MINUTES = 3
MEGABYTES = 1200
UNCHECKED_TAGS = {"setup", "play", "receipt"}  # cells that claim nothing


def cells(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def code_lines(cell):
    lines = (line.strip() for line in cell.source.splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def words(cell):
    text = re.sub(r"<[^>]*>|\]\([^)]*\)|https?://\S+", " ", cell.source)  # tags and addresses are not read
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", " formula ", text, flags=re.DOTALL)
    return len(re.findall(r"[^\W_][\w’'.-]*", text))


def tags(cell):
    return set(cell.metadata.get("tags", []))


def parsed(cell):
    """The syntax tree of a code cell; lines for IPython alone (%, !, ?) are left out."""
    kept = [line if not re.match(r"\s*[%!?]", line) else "" for line in cell.source.splitlines()]
    return ast.parse("\n".join(kept))


def is_checked(cell):
    """Does the cell assert something, with a sentence, or call `check`?"""
    for node in ast.walk(parsed(cell)):
        if isinstance(node, ast.Assert):
            text = "".join(x.value for x in ast.walk(node.msg) if isinstance(x, ast.Constant)) if node.msg else ""
            if len(text.split()) >= 3:
                return True
        if isinstance(node, ast.Call) and "check" in (getattr(node.func, "id", ""), getattr(node.func, "attr", "")):
            return True
    return False


def sections(notebook):
    """{heading: its code cells}; a section begins at a line `## ...` of a markdown cell."""
    found, heading = {}, None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^## +(.+)$", cell.source, flags=re.MULTILINE)
            heading = headings[-1] if headings else heading
        elif cell.cell_type == "code" and heading and not tags(cell) & UNCHECKED_TAGS:
            found.setdefault(heading, []).append(cell)
    return found


# A rule is a function: notebook -> sentences about what is wrong with it. Its name is the rule.


def code_cells_are_short(notebook):
    long = [cell for cell in cells(notebook, "code") if code_lines(cell) > CELL_LINES]
    if len(long) > 1:
        yield f"{len(long)} cells have more than {CELL_LINES} lines of code; one may"
    for cell in long:
        if code_lines(cell) > HERO_LINES:
            yield f"{code_lines(cell)} lines in one cell: {cell.source[:60]!r}"


def there_is_not_too_much_code(notebook):
    mine = [cell for cell in cells(notebook, "code") if "colab" not in tags(cell)]  # that one is the same everywhere
    if (n := sum(map(code_lines, mine))) > NOTEBOOK_LINES:
        yield f"{n} lines of code; at most {NOTEBOOK_LINES}"


def markdown_cells_are_short(notebook):
    for cell in cells(notebook, "markdown"):
        if words(cell) > CELL_WORDS:
            yield f"{words(cell)} words in one cell: {cell.source[:60]!r}"


def there_is_not_too_much_prose(notebook):
    if (n := sum(map(words, cells(notebook, "markdown")))) > NOTEBOOK_WORDS:
        yield f"{n} words; at most {NOTEBOOK_WORDS}"


def prose_stands_between_code(notebook):
    row = 0
    for cell in notebook.cells:
        row = row + 1 if cell.cell_type == "code" else 0
        if row == CODE_IN_A_ROW + 1:
            yield f"{row} code cells in a row, up to {cell.source[:60]!r}"


def few_functions_are_defined(notebook):
    trees = [parsed(cell) for cell in cells(notebook, "code")]
    names = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if len(names) > FUNCTIONS:
        yield f"{len(names)} functions, at most {FUNCTIONS}; move some to the library: {names}"


def every_section_with_code_checks_something(notebook):
    for heading, code in sections(notebook).items():
        if not any(map(is_checked, code)):
            yield f"'## {heading}' asserts nothing; write: assert <what you claim>, 'the claim as a sentence'"


def no_exercise_cell_holds_its_answer(notebook):
    """Checks are in a file; a cell has the dots, and hands over nothing but names."""
    calls = [(cell, call) for cell in cells(notebook, "code") for call in checks_called(cell)]
    for cell, call in calls:
        answers, line = call.args[1:], ast.unparse(call)[:90]
        if not isinstance(call.args[0], ast.Constant):
            yield f"a check is asked for by its number: {line}"
        elif len(answers) != 1 or not isinstance(answers[0], ast.Name):
            yield f"the answer is one name: {line}"
        elif answers[0].id not in names_of_dots(cell):
            yield f"no line `{answers[0].id} = ...` stands above: {line}"
        for given in call.keywords:
            if not isinstance(given.value, ast.Name) or given.value.id != given.arg:
                yield f"a check is given names as they are, name=name; not {ast.unparse(given)}: {line}"


def checks_called(cell):
    """The calls of `teach.check` in a cell."""
    calls = [node for node in ast.walk(parsed(cell)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "teach.check"]


def names_of_dots(cell):
    """The names that a learner gives a value: ``name = ...``."""
    lines = [node for node in parsed(cell).body if isinstance(node, ast.Assign)]
    dots = [line for line in lines if isinstance(line.value, ast.Constant) and line.value.value is ...]
    return {target.id for line in dots for target in line.targets if isinstance(target, ast.Name)}


def a_prediction_hides_its_answer(notebook):
    """JupyterLab and the site fold a cell whose source is hidden."""
    for cell in cells(notebook, "code"):
        if "teach.predict(" in cell.source and not cell.metadata.get("jupyter", {}).get("source_hidden"):
            yield f"metadata.jupyter.source_hidden is not true: {cell.source[:60]!r}"


def nothing_made_by_running_is_stored(notebook):
    for cell in cells(notebook, "code"):
        if cell.outputs or cell.execution_count is not None:
            yield f"outputs are stored (`make format` strips them): {cell.source[:60]!r}"
    if "widgets" in notebook.metadata:
        yield "the state of widgets is stored in the notebook's metadata"


def formulas_are_typeset(notebook):
    for cell in cells(notebook, "markdown"):
        for formula in re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", cell.source, flags=re.DOTALL):
            if re.search(r"\\\\[a-zA-Z]", formula):
                yield f"two backslashes before a word are a line break and the word: {formula[:60]!r}"


def the_kernel_is_named(notebook):
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "metadata.kernelspec.name is not python3; JupyterLab would ask the learner for a kernel"


def time_and_memory_are_promised(notebook):
    promise = notebook.metadata.get("tpainn", {})
    for key, most in (("minutes", MINUTES), ("megabytes", MEGABYTES)):
        if not 0 < promise.get(key, 0) <= most:
            yield f"metadata.tpainn.{key} is {promise.get(key)}; a number up to {most} is expected"


def the_format_is_sound(notebook):
    try:
        nbformat.validate(notebook)
    except (nbformat.ValidationError, DuplicateCellId, MissingIDFieldWarning) as problem:
        yield str(problem).splitlines()[0]


RULES = [
    code_cells_are_short, there_is_not_too_much_code, markdown_cells_are_short, there_is_not_too_much_prose,
    prose_stands_between_code, few_functions_are_defined, every_section_with_code_checks_something,
    no_exercise_cell_holds_its_answer, a_prediction_hides_its_answer, nothing_made_by_running_is_stored,
    formulas_are_typeset, the_kernel_is_named, time_and_memory_are_promised, the_format_is_sound,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, rule):
    complaints = list(rule(nbformat.read(path, as_version=4)))
    assert not complaints, "\n".join(complaints)


def test_every_notebook_opens_on_colab_in_the_same_way():
    found = {path: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    setups = [[cell.source for cell in cells(nb, "code") if "colab" in tags(cell)] for nb in found.values()]
    assert all(setup == setups[0] and len(setup) == 1 for setup in setups)
    for path, nb in found.items():
        assert f"/blob/main/notebooks/{path.name})" in nb.cells[0].source and path.name in nb.cells[0].source


def code(source, **metadata):
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def notebook(*cells, **metadata):
    good = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "tpainn": {"minutes": 3, "megabytes": 900}}
    return nbformat.from_dict(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {**good, **metadata}, "cells": [dict(cell) for cell in cells]}
    )


CLAIM = "assert 1 + 1 == 2, 'one and one make two'"
TWIN = code("1")
NAMELESS = {key: value for key, value in TWIN.items() if key != "id"}

WRONG = {
    "code_cells_are_short": [notebook(code("x = 1\n" * 31)), notebook(code("x = 1\n" * 21), code("x = 1\n" * 21))],
    "there_is_not_too_much_code": [notebook(*[code("x = 1\n" * 17)] * 10)],
    "markdown_cells_are_short": [notebook(text("word " * 131))],
    "there_is_not_too_much_prose": [notebook(*[text("word " * 129)] * 20)],
    "prose_stands_between_code": [notebook(*[code("x = 1")] * 4)],
    "few_functions_are_defined": [notebook(code("def f():\n    return 1\n" * 5))],
    "every_section_with_code_checks_something": [
        notebook(text("## Step"), code("x = 1")),
        notebook(text("## Step"), code("assert True")),
        notebook(text("## Step"), code(CLAIM), text("## Next"), code("x = 1")),
    ],
    "no_exercise_cell_holds_its_answer": [
        notebook(code("mine = ...\nteach.check('02.1', mine, right=3)")),
        notebook(code("mine = ...\nteach.check('02.1', mine, lambda x: x == 3)")),
        notebook(code("mine = ...\nteach.check('02.1', mine, energy=forces)")),
        notebook(code("mine = ...\nteach.check('02.1', mine, **given)")),
        notebook(code("mine = ...\nteach.check('02.1', 3)")),
        notebook(code("mine = 3\nteach.check('02.1', mine)")),
        notebook(code("mine = ...\nteach.check('02.1', mine)"), code("yours = ...\nteach.check(yours, 3)")),
    ],
    "a_prediction_hides_its_answer": [notebook(code("teach.predict('Which?', ['a', 'b'], answer='a')"))],
    "nothing_made_by_running_is_stored": [
        notebook(nbformat.v4.new_code_cell("x = 1", execution_count=1)),
        notebook(widgets={}),
    ],
    "formulas_are_typeset": [notebook(text("$$\\\\sum_i x_i$$")), notebook(text("an energy $k\\\\text{B}T$"))],
    "the_kernel_is_named": [notebook(kernelspec={"name": "mine", "display_name": "Mine"})],
    "time_and_memory_are_promised": [notebook(tpainn={}), notebook(tpainn={"minutes": 20, "megabytes": 900})],
    "the_format_is_sound": [
        notebook(TWIN, TWIN),
        notebook(NAMELESS),
        notebook({**TWIN, "metadata": {"tags": "setup"}}),
    ],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_finds_what_it_forbids(rule):
    for bad in WRONG[rule.__name__]:
        assert list(rule(bad))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_lets_a_good_notebook_pass(rule):
    good = notebook(
        text("# Title"),
        code("%matplotlib inline\nimport math", tags=["setup"]),
        text("## Step\n\nSay what comes."),
        code(CLAIM),
        code("check('sum', 2)"),
        text("Guess."),
        code("teach.predict('Which?', ['a', 'b'], answer='a')", jupyter={"source_hidden": True}),
        code("mine = ...  # a number\nteach.check('02.1', mine, forces=forces)"),
        text("## Play"),
        code("x = 1", tags=["play"]),
    )
    assert not list(rule(good))
