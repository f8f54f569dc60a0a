"""The reference of the library, from its docstrings, as pages of the site: by pdoc, searchable and offline.

python docs/site_api.py [folder]        # build/api/ unless given
"""

import re
import sys
from pathlib import Path

import pdoc

ROOT = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent / "site" / "api"
RST = pdoc.docstrings.rst
FIRST = "tpainn_lite.html"  # the public names, all of them on one page
MODULES = (
    "model.graph",
    "model.painn",
    "simulate.observables",
    "train.training",
    "show.plots",
    "page.explain",
    "course.teach",
)


def write_api(folder):
    """Write the reference into a folder; its first page is `FIRST`.

    Parameters
    ----------
    folder : Path
    """
    pdoc.docstrings.rst = with_examples(RST)
    pdoc.render.configure(
        docformat="numpy", template_directory=TEMPLATES, show_source=False, include_undocumented=False
    )
    pdoc.pdoc("tpainn_lite", *(f"tpainn_lite.{module}" for module in MODULES), output_directory=folder)


def with_examples(convert):
    """pdoc's first step of a docstring, after which examples, `>>>`, are code whatever section they follow."""

    def converted(docstring, source_file):
        text, begin, examples = docstring.partition("\n>>> ")
        if not begin:
            return convert(docstring, source_file)
        code, blank, rest = re.sub(r"\n{2,}(?=>>> )", "\n", begin.strip() + " " + examples).partition("\n\n")
        fenced = f"\n\nExamples\n--------\n\n```pycon\n{code.rstrip()}\n```\n"
        return convert(text + blank + rest, source_file) + fenced

    return converted


if __name__ == "__main__":
    write_api(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "api")
