"""The course as a web site that needs no network: one page for each notebook, and what a learner looks up.

    python docs/build_site.py [--students] [--out build/site] [--no-pictures]    # or: make site, make site-students

Notebooks run once; their executed copies stay in build/executed/ until the notebook, the library or the data change.
Plotly figures are live; with each comes a picture of it for a browser without scripts, drawn by a headless Chromium
while the site is built and kept in build/stills/.  A broken link, a picture without words, or a notebook that warns
ends the build.  A site for students leaves out the pages for teachers, which docs/handout.py withholds.
"""

import argparse
import hashlib
import html
import re
import shutil
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import jinja2
from build_page import printed, title
from executed import executed
from handout import WITHHELD
from nbclient.exceptions import CellExecutionError
from page_figures import figure_html
from plotly.offline import get_plotlyjs
from site_api import FIRST, write_api
from site_cells import notebook_html
from site_checks import check_site, search_index
from site_references import collected, references
from site_stills import stills
from site_text import SOURCE, SiteError, SiteRenderer, markdown, plain

from tpainn_lite import __version__
from tpainn_lite.structures.files import write_bytes, write_text

ROOT = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent / "site"
BUILD = ROOT / "build"
DOCUMENTS = {  # of docs/, by their names in the menu
    "primer": "Primer",
    "what_pretraining_buys": "What pretraining buys",
    "your_own_system": "Your own system",
    "your_data": "Your data",
    "engines": "Other engines",
    "cluster": "On a cluster",
    "speed": "Speed",
    "glossary": "Glossary",
    "symbols": "Symbols",
    "capstone": "Capstone",
    "module": "Module",
    "slides": "Slides",
    "instructor": "Instructors",
}
GLANCE = ("you will be able to", "you should see", "time")  # rows of a notebook's table that its card shows
TIMINGS = "<!-- timings -->"  # where the instructor guide has the table of run times
MEGABYTES = 60


@dataclass
class Leaf:
    """A page of the site."""

    name: str  # of its file
    title: str
    body: str = ""
    short: str = ""  # its name in the menu
    headings: list = field(default_factory=list)  # (level, anchor, HTML) of what "On this page" lists
    figures: list = field(default_factory=list)  # Plotly figures as dictionaries
    before: "Leaf | None" = None
    after: "Leaf | None" = None


class Site:
    """What all pages share: the folder, the sources and their addresses, the pictures.

    Parameters
    ----------
    out : Path
        The folder to write into.
    notebooks : dict
        {stem: executed notebook}.
    root : Path
        Of the repository, with notebooks/ and docs/.
    students : bool
        Leave out the pages for teachers.
    """

    def __init__(self, out, notebooks, root=ROOT, students=False):
        self.out, self.notebooks, self.root = out, notebooks, root
        left_out = WITHHELD if students else ()
        paths = {name: f"docs/{name}.md" for name in DOCUMENTS}
        self.documents = [n for n, path in paths.items() if (root / path).is_file() and not path.startswith(left_out)]
        self.pages = {f"notebooks/{stem}.ipynb": f"{stem}.html" for stem in notebooks}
        self.pages |= {f"docs/{name}.md": f"{name}.html" for name in self.documents}

    def renderer(self, folder):
        """A renderer of Markdown for one page."""
        return SiteRenderer(folder, self.pages, lambda path: (self.root / path).exists(), self.copied)

    def copied(self, path):
        """Copy a picture of the repository into the site; its address there."""
        return self.stored((self.root / path).read_bytes(), Path(path).suffix)

    def stored(self, content, suffix):
        """Write a picture into the site; its address there."""
        name = f"pictures/{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
        write_bytes(self.out / name, content)
        return name


def build(site, draw_stills=None):
    """Write the whole site and check it.

    Parameters
    ----------
    draw_stills : callable(figures) -> list of bytes, optional
        Gives a PNG of each figure; without it the figures need scripts.

    Returns
    -------
    list of Leaf
    """
    shutil.rmtree(site.out, ignore_errors=True)
    lessons = [notebook_leaf(site, stem) for stem in site.notebooks]
    for first, second in pairwise(lessons):
        first.after, second.before = second, first
    documents = [document_leaf(site, name) for name in site.documents]
    documents.insert(-1 if "instructor" in site.documents else len(documents), references_leaf(site))
    leaves = [index_leaf(site, documents), *lessons, *documents]
    for leaf in lessons:
        put_figures_in(leaf, site, draw_stills)
    for leaf in leaves:
        write_leaf(leaf, site, [leaves[0], *documents, Leaf(f"api/{FIRST}", "Library", short="Library")])
    for path in TEMPLATES.glob("site.*"):
        shutil.copy(path, site.out / path.name)
    write_api(site.out / "api")
    write_text(site.out / "plotly.min.js", get_plotlyjs())
    write_text(site.out / "search.js", search_index({leaf.name: (leaf.title, leaf.body) for leaf in leaves}))
    check_site(site.out, MEGABYTES)
    return leaves


def template(name, **values):
    """A filled-in template of docs/site/."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.get_template(name).render(values)


def write_leaf(leaf, site, menu):
    text = template("page.html.j2", page=leaf, menu=menu, version=__version__, source=SOURCE)
    write_text(site.out / leaf.name, text)


# ---------------------------------------------------------------- notebooks


def notebook_leaf(site, stem):
    """The page of a notebook, its figures still to be put in."""
    notebook, renderer = site.notebooks[stem], site.renderer("notebooks")
    try:
        parts, figures = notebook_html(notebook, renderer, site.stored)
    except SiteError as error:
        raise SiteError(f"{stem}: {error}") from error
    name = f"{stem}.ipynb"
    write_bytes(site.out / name, (site.root / "notebooks" / name).read_bytes())
    link = f'<p class="get"><a href="{name}" download>Download this notebook</a></p>'
    body = "\n".join([parts[0], link, *parts[1:]])
    return Leaf(f"{stem}.html", title(notebook), body, headings=second_level(renderer), figures=figures)


def second_level(renderer):
    return [heading for heading in renderer.headings if heading[0] == 2]


def put_figures_in(leaf, site, draw_stills):
    """Replace the marks of the figures by the figures."""
    pictures = draw_stills(leaf.figures) if draw_stills else [None] * len(leaf.figures)
    for number, (figure, png) in enumerate(zip(leaf.figures, pictures, strict=True), 1):
        address = site.stored(png, ".png") if png else None
        leaf.body = leaf.body.replace(f"<!--figure {number}-->", figure_html(figure, number, address), 1)


def glance(notebook):
    """{name: Markdown} of the table "at a glance"."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return dict(re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \|$", text, flags=re.MULTILINE))


def promise(notebook):
    """The sentence in bold below the title, as Markdown."""
    found = re.search(r"^\*\*(.+?)\*\*$", notebook.cells[0].source, flags=re.MULTILINE)
    return found[1] if found else ""


# ---------------------------------------------------------------- the other pages


def document_leaf(site, name):
    """The page of a file of docs/."""
    text, renderer = (site.root / "docs" / f"{name}.md").read_text(encoding="utf-8"), site.renderer("docs")
    body = markdown(text.replace(TIMINGS, timings(site.notebooks)), renderer)
    heading = plain(renderer.headings[0][2])
    return Leaf(f"{name}.html", heading, body, DOCUMENTS[name], second_level(renderer))


def timings(notebooks):
    """The run times of this build, from the notebooks' receipts, as a table in Markdown."""
    rows = ["| notebook | promised | in this build |", "|---|---|---|"]
    for stem, notebook in notebooks.items():
        took = re.search(r"time +(\d+) s", printed(notebook, "receipt"))
        promised = notebook.metadata.get("tpainn", {})
        rows.append(
            f"| {stem} | {promised.get('minutes', '–')} min, {promised.get('megabytes', '–')} MB "
            f"| {took[1] + ' s' if took else '–'} |"
        )
    return "\n".join(rows)


def references_leaf(site):
    """The page of all references, each with the notebooks that cite it."""
    renderer = site.renderer("notebooks")
    rows = []
    for reference, stems in collected({stem: references(notebook) for stem, notebook in site.notebooks.items()}):
        who = ", ".join(f'<a href="{stem}.html">{stem}</a>' for stem in stems)
        rows.append(f"<li>{renderer.inline(reference)} <span class='cited'>Cited in {who}.</span></li>")
    body = '<h1 id="references">References</h1>\n<p>What the notebooks cite, each work once.</p>\n'
    return Leaf("references.html", "References", f"{body}<ul class='references'>{''.join(rows)}</ul>", "References")


def index_leaf(site, documents):
    """The first page: what the course is, and a card for each notebook."""
    cards, renderer = [], site.renderer("notebooks")
    for stem, notebook in site.notebooks.items():
        rows = glance(notebook)
        card = {"page": f"{stem}.html", "number": stem.split("_")[0], "title": html.escape(title(notebook))}
        card["promise"] = renderer.inline(promise(notebook))
        cards.append(card | {"glance": [(name, renderer.inline(rows[name])) for name in GLANCE if name in rows]})
    pictures = {name: site.copied(f"docs/{name}") for name in ("tour.png", "hero.gif", "hero.png")}
    guide = "instructor" in site.documents
    body = template("index.html.j2", cards=cards, documents=documents, pictures=pictures, source=SOURCE, guide=guide)
    return Leaf("index.html", "tpainn_lite: transfer learning for interatomic potentials", body, "Course")


# ---------------------------------------------------------------- the command


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", action="store_true", help="without the pages for teachers, and their answers")
    parser.add_argument("--out", type=Path, help="build/site, or build/site-students")
    parser.add_argument("--no-pictures", action="store_true", help="figures then need scripts; make check-site fails")
    args = parser.parse_args()
    out = args.out or BUILD / ("site-students" if args.students else "site")
    started = time.perf_counter()
    try:
        site = Site(out, run_all(ROOT / "notebooks"), students=args.students)
        leaves = build(site, None if args.no_pictures else lambda figures: stills(figures, BUILD / "stills"))
    except (SiteError, CellExecutionError) as error:
        sys.exit(f"The site was not built:\n{error}")
    if args.no_pictures:
        print("No pictures of the figures: without scripts the pages show none.", file=sys.stderr)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    figures, seconds = sum(len(leaf.figures) for leaf in leaves), time.perf_counter() - started
    print(f"{out}/index.html: {len(leaves)} pages, {figures} figures, {size:.1f} MB, {seconds:.0f} s")


def run_all(folder):
    """{stem: executed notebook} of a folder, in order."""
    paths = sorted(folder.glob("*.ipynb"))
    notebooks = {}
    for path in paths:
        print(f"{path.name} ...", file=sys.stderr, flush=True)
        notebooks[path.stem] = executed(path, BUILD / "executed", ROOT)
    return notebooks


if __name__ == "__main__":
    main()
