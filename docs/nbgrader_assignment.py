"""A notebook of the course as an assignment of nbgrader: a graded check behind each exercise.

    python docs/nbgrader_assignment.py 02 course        # writes course/source/02_painn_from_scratch/

The check stands in a locked cell, between nbgrader's marks for hidden tests: students do not see it, and nbgrader puts
it back before it grades, as it does with the files in ``checks/``.  Students keep `teach.check`, which answers at once.
Solutions are not in it, and the cells to fill in have no mark: nbgrader would put an error in place of their dots, at
which a notebook stops.
"""

import argparse
import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from tpainn_lite.course.handed_in import ASKED, checked_in

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SCHEMA = {"schema_version": 3, "grade": True, "locked": True, "solution": False, "task": False}  # nbgrader's
CHECK = """\
# This cell grades {exercise}.
### BEGIN HIDDEN TESTS
from tpainn_lite.course.checks import checks_of, verdict
assert {answer} is not ..., "not attempted"
wrong = verdict(checks_of({lesson!r})[{exercise!r}], {answer}{given})
assert wrong is None, wrong
### END HIDDEN TESTS"""


def assignment(notebook, points=1):
    """The notebook with a cell below each exercise that nbgrader grades, worth so many points."""
    made = []
    for cell in notebook.cells:
        asked = ASKED.findall(cell.source) if cell.cell_type == "code" else []
        if "colab" not in cell.metadata.get("tags", ()):
            made.append(cell)
        for exercise in asked:
            answer, given = checked_in(cell.source, exercise)
            more = "".join(f", {word}" for word in given)
            check = CHECK.format(exercise=exercise, lesson=exercise.split(".")[0], answer=answer, given=more)
            name = f"check-{exercise.replace('.', '-')}"
            marks = SCHEMA | {"grade_id": name, "points": points}
            made.append(new_code_cell(check, id=name, metadata={"nbgrader": marks}))
    notebook.cells = made
    return notebook


def write(number, course):
    """Write the assignment of the notebook with this number, with its checks; its folder."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    folder = course / "source" / path.stem
    (folder / "checks").mkdir(parents=True, exist_ok=True)
    nbformat.write(assignment(nbformat.read(path, as_version=4)), folder / path.name)
    shutil.copy(NOTEBOOKS / "checks" / f"{path.stem}.py", folder / "checks")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", help="of the notebook: 02")
    parser.add_argument("course", type=Path, help="nbgrader's folder of the course")
    arguments = parser.parse_args()
    print(write(arguments.number, arguments.course))
