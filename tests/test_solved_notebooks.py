"""Every notebook once more with the solutions in place of the dots: each answer is found right."""

from pathlib import Path

import nbformat
import pytest
from exercises import solve
from nbclient import NotebookClient

from tpainn_lite.course import teach

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_solutions_are_right(path):
    notebook = nbformat.read(path, as_version=4)
    solutions = teach.solutions(NOTEBOOKS / "solutions" / f"{path.stem}.py")
    assert solve(notebook, solutions) == list(solutions)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}).execute()
    outputs = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    for exercise in solutions:
        assert any(f"{exercise} right!" in text for text in outputs), f"{exercise} is not solved by its solution"
