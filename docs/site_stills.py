"""Pictures of Plotly figures, drawn by a headless Chromium, for browsers without scripts and for paper."""

import base64
import hashlib
import json
import shutil
from tempfile import TemporaryDirectory

from page_figures import WIDTH, height
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs
from site_text import SiteError

from tpainn_lite.structures.files import write_bytes, write_text

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SCALE = 1.5
DRAW = """async ([figure, width, height, scale]) => {
    delete figure.layout?.title;  // it stands above the picture, as text
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
    figures = [{key: figure[key] for key in ("data", "layout") if key in figure} for figure in figures]
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
