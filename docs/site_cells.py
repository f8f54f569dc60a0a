"""The cells of an executed notebook as HTML: prose, code, and what the code showed."""

import base64
import html
import re

from build_page import Page
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from site_text import SiteError, markdown, plain

IMAGES = {"image/png": ".png", "image/jpeg": ".jpeg", "image/gif": ".gif", "image/svg+xml": ".svg"}
EMBEDDED = r"data:(image/[a-z+]+);base64,([A-Za-z0-9+/=]+)"
COLOURS = r"\x1b\[[0-9;]*m"  # of a terminal


def notebook_html(notebook, renderer, store):
    """The HTML of each cell, and the notebook's Plotly figures.

    A figure's place is kept by the comment ``<!--figure 1-->``, ``<!--figure 2-->`` and so on.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Executed; its outputs are changed.
    renderer : SiteRenderer
    store : callable(bytes, suffix) -> str
        Puts a picture into the site and gives its address there.

    Returns
    -------
    list of str, list of dict
    """
    refuse_warnings(notebook)
    figures = []

    def draw(spec, number):
        figures.append(spec)
        return f"<!--figure {number}-->"

    Page(notebook, draw)
    return [cell_html(cell, renderer, store) for cell in notebook.cells], figures


def refuse_warnings(notebook):
    """A notebook that failed or warned is not shown."""
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", ()):
            text = output.get("text", "")
            if output.output_type == "error" or (output.get("name") == "stderr" and "Warning" in text):
                raise SiteError(f"cell {number}: {output.get('evalue', text)[:300]}")


def cell_html(cell, renderer, store):
    """A cell: prose, or code with what it showed."""
    if cell.cell_type == "markdown":
        return markdown(cell.source, renderer)
    if cell.cell_type != "code" or not cell.source.strip():
        return ""
    section = plain(renderer.headings[-1][2]) if renderer.headings else "the beginning"
    shown = "".join(output_html(output, f"A picture of the section “{section}”", store) for output in cell.outputs)
    shown = f'<div class="output">{shown}</div>' if shown else ""
    code = code_html(cell.source)
    if cell.metadata.get("jupyter", {}).get("source_hidden"):  # it holds the answer
        code, shown = "", f"{shown}<details class='code'><summary>The code</summary>{code}</details>"
    return f'<div class="cell">{code}{shown}</div>\n'


def code_html(source):
    return f'<pre class="code"><code>{highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))}</code></pre>'


def output_html(output, alt, store):
    """One output; pictures become files of the site, with the output's own words or with `alt`."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    words = re.sub(COLOURS, "", data.get("text/plain", "")).rstrip()
    alt = html.escape(words if words and not words.startswith("<") else alt)
    if "text/html" in data:
        return with_files(data, store)
    for kind, suffix in IMAGES.items():
        if kind in data:
            raw = data[kind].encode() if suffix == ".svg" else base64.b64decode(data[kind])
            return picture(store(raw, suffix), alt)
    return f"<pre>{html.escape(words)}</pre>" if words else ""


def with_files(data, store):
    """HTML whose embedded pictures are files; a moving one stands still for who does not like motion."""
    text = re.sub(EMBEDDED, lambda m: store(base64.b64decode(m[2]), IMAGES[m[1]]), data["text/html"])
    lone = re.fullmatch(r'\s*<img src="([^"]*)" alt="([^"]*)"[^>]*>\s*', text)
    still = store(base64.b64decode(data["image/png"]), ".png") if "image/png" in data else None
    return picture(lone[1], lone[2], still) if lone else text


def picture(address, alt, still=None):
    """A picture as HTML; `still` replaces it where the reader wants little motion."""
    source = f'<source media="(prefers-reduced-motion: reduce)" srcset="{still}">' if still else ""
    return f'<figure class="picture"><picture>{source}<img src="{address}" alt="{alt}"></picture></figure>'
