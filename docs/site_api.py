"""The reference of the library, from its docstrings, as pages of the site: by pdoc, searchable and offline.

    python docs/site_api.py [folder]        # build/api/ unless given
"""

import sys
from pathlib import Path

import pdoc

ROOT = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent / "site" / "api"
FIRST = "tpainn_lite.html"  # the public names, all of them on one page
MODULES = ("model.graph", "model.painn", "simulate.observables", "train.training", "show.plots", "course.teach")


def write_api(folder):
    """Write the reference into a folder; its first page is `FIRST`.

    Parameters
    ----------
    folder : Path
    """
    pdoc.render.configure(docformat="numpy", template_directory=TEMPLATES, show_source=False)
    pdoc.pdoc("tpainn_lite", *(f"tpainn_lite.{module}" for module in MODULES), output_directory=folder)


if __name__ == "__main__":
    write_api(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "api")
