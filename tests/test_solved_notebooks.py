"""Every notebook once more with the solutions in place of the dots: each answer is found right."""

from pathlib import Path

import nbformat
import pytest
from exercises import solve
from nbclient import NotebookClient

from tpainn_lite.course import teach

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
KEEP = """
from pathlib import Path
from tpainn_lite.course import teach
Path({!r}).write_text(" ".join(teach.solved))
"""  # in a file: on a busy machine a kernel's printed lines may come when nobody listens to their cell any more


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_solutions_are_right(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    solutions = teach.solutions(NOTEBOOKS / "solutions" / f"{path.stem}.py")
    assert solve(notebook, solutions) == list(solutions)
    notebook.cells.append(nbformat.v4.new_code_cell(KEEP.format(str(tmp_path / "solved"))))
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    missing = set(solutions) - set((tmp_path / "solved").read_text().split())
    assert not missing, [line for line in printed.splitlines() if any(number in line for number in missing)]
