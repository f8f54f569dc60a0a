"""The checks of a notebook as tests for Otter-Grader: one test, worth one point, for each exercise.

    python docs/otter_tests.py 02 otter        # writes otter/tests/q02_1.py, …, and otter/checks/

A test is a doctest: it hands the answer to the check of the course, and expects that nothing is wrong with it.
docs/instructor.md says how Otter takes them.
"""

import argparse
import shutil
from pathlib import Path

import nbformat

from tpainn_lite.course.handed_in import ASKED, checked_in
from tpainn_lite.structures.files import write_text

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
DOCTEST = """\
>>> from tpainn_lite.course.checks import checks_of, verdict
>>> print(verdict(checks_of({lesson!r})[{exercise!r}], {answers}))
None"""


def exercise_test(source, exercise):
    """The test of an exercise, from the cell that asks it: the name Otter knows it by, and the text of its file."""
    answer, given = checked_in(source, exercise)
    name = f"q{exercise.replace('.', '_')}"
    code = DOCTEST.format(lesson=exercise.split(".")[0], exercise=exercise, answers=", ".join([answer, *given]))
    case = {"code": code, "hidden": False, "locked": False}
    suite = {"type": "doctest", "scored": True, "cases": [case]}
    test = {"name": name, "points": 1, "suites": [suite]}
    return name, f"OK_FORMAT = True\n\ntest = {test!r}\n"


def write(number, folder):
    """Write the tests and the checks of the notebook with this number; the names of the tests."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    tests = dict(exercise_test(source, exercise) for source in cells for exercise in ASKED.findall(source))
    for name, text in tests.items():
        write_text(folder / "tests" / f"{name}.py", text)
    (folder / "checks").mkdir(exist_ok=True)
    shutil.copy(NOTEBOOKS / "checks" / f"{path.stem}.py", folder / "checks")
    return list(tests)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", help="of the notebook: 02")
    parser.add_argument("folder", type=Path, help="to write tests/ and checks/ into")
    arguments = parser.parse_args()
    print(*write(arguments.number, arguments.folder))
