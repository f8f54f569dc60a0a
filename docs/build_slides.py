"""Four lectures as slides that need no network: docs/slides/*.md -> build/slides/*.html, with reveal.js.

    python docs/build_slides.py [--out build/slides]        # or: make slides

A line ``---`` begins a slide; what follows ``Note:`` is for the speaker (key S).  ``![words](figure:NAME)`` is drawn
by docs/slide_figures.py; other pictures are files of docs/.  reveal.js comes from the package sphinx-revealjs, which
carries it (pip install --no-deps sphinx-revealjs); Sphinx itself is not used.
"""

import argparse
import html
import importlib.util
import re
import shutil
import sys
from pathlib import Path

import jinja2
from site_checks import asks_network
from site_stills import stills
from site_text import SiteError, SiteRenderer, markdown
from slide_figures import FIGURES

from tpainn_lite.structures.files import write_bytes, write_text

ROOT = Path(__file__).parents[1]
SLIDES = Path(__file__).parent / "slides"
FIGURE = re.compile(r"\]\(figure:(\w+)\)")
REVEAL = ("dist/reveal.js", "dist/reveal.css", "dist/reset.css", "plugin/notes/notes.js", "LICENSE")


class SlideRenderer(SiteRenderer):
    """The site's renderer, whose figures are pictures drawn before."""

    def image(self, text, url, title=None):
        if not url.startswith("figure:"):
            return super().image(text, url, title)
        if not text:
            raise SiteError(f"the figure {url} has no words that say what it shows")
        return f'<img src="pictures/{url.removeprefix("figure:")}.png" alt="{html.escape(text)}">'


def reveal():
    """The folder of reveal.js."""
    found = importlib.util.find_spec("sphinx_revealjs")
    if found is None:
        raise SiteError("reveal.js is not here: pip install --no-deps sphinx-revealjs")
    return Path(found.submodule_search_locations[0]) / "_static" / "revealjs"


def slides(text, renderer):
    """[HTML of a slide] of a lecture in Markdown; what follows ``Note:`` becomes the speaker's notes."""
    made = []
    for part in re.split(r"^---$", text, flags=re.MULTILINE):
        shown, _, said = part.partition("\nNote:")
        notes = f'<aside class="notes">{markdown(said.strip(), renderer)}</aside>' if said else ""
        made.append(markdown(shown.strip(), renderer) + notes)
    return made


def draw(names, out):
    """Write the PNG of each of these figures into the folder of the pictures."""
    unknown = sorted(set(names) - set(FIGURES))
    if unknown:
        raise SiteError(f"no figure {', '.join(unknown)} in docs/slide_figures.py; there are {', '.join(FIGURES)}")
    figures = [FIGURES[name]().update_layout(width=None, height=430, font_size=17).to_plotly_json() for name in names]
    for name, png in zip(names, stills(figures, ROOT / "build" / "stills"), strict=True):
        write_bytes(out / "pictures" / f"{name}.png", png)


def build(out, sources=SLIDES, draw_figures=draw):
    """Write every lecture and the list of them; {name: number of slides}."""
    shutil.rmtree(out, ignore_errors=True)
    for name in REVEAL:
        write_bytes(out / "reveal" / Path(name).name, (reveal() / name).read_bytes())
    for path in sources.glob("*.css"):
        shutil.copy(path, out / path.name)
    lectures = {path.stem: path.read_text(encoding="utf-8") for path in sorted(sources.glob("*.md"))}
    draw_figures(sorted({name for text in lectures.values() for name in FIGURE.findall(text)}), out)
    made, titles = {}, {}
    for name, text in lectures.items():
        renderer = SlideRenderer("docs/slides", {}, lambda path: (ROOT / path).exists(), lambda path: copied(path, out))
        parts = slides(text, renderer)
        made[name], titles[name] = len(parts), re.search(r"^# (.+)$", text, flags=re.MULTILINE)[1]
        write_page(out / f"{name}.html", "lecture.html.j2", sources, title=titles[name], slides=parts)
    write_page(out / "index.html", "index.html.j2", sources, titles=titles, numbers=made)
    return made


def copied(path, out):
    write_bytes(out / "pictures" / Path(path).name, (ROOT / path).read_bytes())
    return f"pictures/{Path(path).name}"


def write_page(path, template, folder, **values):
    loader = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined)
    text = loader.get_template(template).render(values)
    if re.search(r'(?:src|href)="(?:https?:)?//[^"]+\.(?:js|css|png)', text) or asks_network(text):
        raise SiteError(f"{path.name} asks the network")
    write_text(path, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "slides")
    args = parser.parse_args()
    try:
        made = build(args.out)
    except SiteError as error:
        sys.exit(f"The slides were not built: {error}")
    print(f"{args.out}/index.html: " + ", ".join(f"{name} {number}" for name, number in made.items()))


if __name__ == "__main__":
    main()
