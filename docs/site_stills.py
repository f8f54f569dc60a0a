"""Pictures of Plotly figures, drawn by a headless Chromium, for browsers without scripts and for paper."""

import base64
import hashlib
import html
import json
import shutil
from tempfile import TemporaryDirectory

from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs
from site_text import SiteError, plain

from tpainn_lite.structures.files import write_bytes, write_text

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH, HEIGHT, SCALE = 760, 450, 1.5
DRAW = """async ([figure, width, height, scale]) => {
    const image = await Plotly.toImage(figure, {format: "png", width, height, scale});
    return image.split(",")[1];
}"""


def stills(figures, store):
    """A PNG of each figure, from the folder `store` where it was drawn before.

    Raises
    ------
    SiteError
        If a figure is new and there is no Chromium or no Playwright to draw it.
    """
    texts = [to_json_plotly(figure) for figure in figures]
    paths = [store / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.png" for text in texts]
    missing = {path: figure for path, figure in zip(paths, figures, strict=True) if not path.is_file()}
    if missing:
        draw(missing)
    return [path.read_bytes() for path in paths]


def draw(figures):
    """Write {path: figure} as PNG, all in one browser."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        raise SiteError(
            f"{len(figures)} figures have no picture yet: drawing them needs Chromium (on Debian: apt-get install "
            "chromium) and Playwright (pip install playwright). --no-pictures builds a site without them"
        )
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        write_text(f"{folder}/plotly.min.js", get_plotlyjs())
        write_text(f"{folder}/index.html", '<!doctype html><meta charset="utf-8"><script src="plotly.min.js"></script>')
        page.goto(f"file://{folder}/index.html")
        for path, figure in figures.items():
            png = page.evaluate(DRAW, [json.loads(to_json_plotly(figure)), WIDTH, height(figure), SCALE])
            write_bytes(path, base64.b64decode(png))
        browser.close()


def height(figure):
    return int(figure.get("layout", {}).get("height") or HEIGHT)


def figure_html(figure, number, address):
    """A live figure, with its picture at `address` (or None) until a script has drawn it."""
    alt = html.escape(describe(figure))
    name, spec = f"figure-{number}", to_json_plotly(figure).replace("<", "\\u003c")
    least = "34rem" if "xaxis2" in figure.get("layout", {}) else "20rem"  # panels beside each other want room
    size = f'width="{WIDTH}" height="{height(figure)}"'
    still = f'<img class="still" src="{address}" alt="{alt}" {size} loading="lazy">' if address else ""
    return (
        f'<figure class="plot" id="{name}" style="--height: {height(figure)}px; --width: {least}">'
        f'<div class="live" role="group" aria-label="{alt}" hidden></div>{still}'
        f'<script type="application/json">{spec}</script></figure>'
    )


def describe(figure):
    """What a figure shows, in words: its title, its axes, the names of its curves."""
    layout = figure.get("layout", {})
    title, y, x = text_of(layout.get("title")), *(text_of(layout.get(k, {}).get("title")) for k in ("yaxis", "xaxis"))
    panels = [text_of(note) for note in layout.get("annotations", ()) if text_of(note)]
    names = list(dict.fromkeys(plain(str(trace["name"])) for trace in figure.get("data", ()) if trace.get("name")))
    words = [f"Plot: {title}." if title else "Plot."]
    if x or y:
        words.append(f"{y or 'Values'} against {x or 'number'}.")
    words += [f"Panels and notes: {', '.join(panels[:6])}."] if panels else []
    words += [f"Shown: {', '.join(names[:8])}."] if names else []
    return " ".join(words)


def text_of(title):
    """The words of a Plotly title, which is a dictionary, a string or nothing."""
    text = title.get("text", "") if isinstance(title, dict) else title
    return plain(str(text or ""))
