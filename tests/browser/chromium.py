"""What the checks in a browser share: a headless Chromium, pages that reach nothing, and a report of what was seen."""

import contextlib
import shutil
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [  # draw WebGL in software, and do not phone home
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WITHOUT_GPU = "--disable-gpu"  # as Chromium paints by itself where there is no GPU
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>check</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root { color-scheme: light dark; }
body { margin: 16px; font-family: system-ui; background: light-dark(#fff, #14171a); }</style></head><body>"""


@contextlib.contextmanager
def browser(*flags):
    """A headless Chromium; where it or Playwright is missing the program ends with code 2 and says what to do."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        leave("No Chromium found. On Debian or Ubuntu: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        leave(f"Playwright is missing: {sys.executable} -m pip install playwright")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags])
        yield opened
        opened.close()


def leave(words):
    """End with what is missing."""
    print(words, file=sys.stderr)
    sys.exit(2)


class Report:
    """What was seen."""

    def __init__(self, name):
        self.name, self.problems, self.seconds = name, [], 0.0
        self.cells = self.canvases = self.plots = self.controls = self.questions = 0

    def fail(self, problem):
        if problem not in self.problems:
            self.problems.append(problem)

    def attempt(self, look, *things):
        """Look; what fails must not hide the rest."""
        try:
            return look(*things)
        except Exception as error:  # noqa: BLE001
            steps = traceback.extract_tb(error.__traceback__)
            lines = [str(step.lineno) for step in steps if Path(step.filename).parent == Path(__file__).parent]
            words = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            self.fail(f"{look.__name__}, lines {', '.join(lines)}: {words}")


class Desk:
    """The browser, and bare pages that hold one box each, opened from a file."""

    def __init__(self, opened, report, folder, pictures):
        self.browser, self.report, self.folder, self.pictures = opened, report, folder, pictures
        pictures.mkdir(parents=True, exist_ok=True)

    def check(self, is_well, problem):
        if not is_well:
            self.report.fail(problem)

    def page(self, shown, prepare="", **settings):
        """A page of its own that may reach nothing; ``prepare`` is a script that runs before all others."""
        settings = {"viewport": {"width": 950, "height": 700}, "color_scheme": "light", **settings}
        page = self.browser.new_context(offline=True, **settings).new_page()
        page.on("console", lambda message: self.heard(message))
        page.on("pageerror", lambda error: self.report.fail(f"page error: {str(error)[:300]}"))
        page.on("request", lambda request: self.asked(request.url))
        if prepare:
            page.add_init_script(prepare)
        path = self.folder / f"{len(list(self.folder.iterdir()))}.html"
        path.write_text(f"{HEAD}{shown.html}</body></html>", encoding="utf-8")
        page.goto(path.as_uri())
        return page

    def heard(self, message):
        if message.type in ("error", "warning"):
            self.report.fail(f"console: {message.text[:300]}")

    def asked(self, url):
        self.check(url.startswith(("file:", "blob:", "data:")), f"wants the network: {url[:99]}")

    def photograph(self, page, name):
        page.wait_for_timeout(150)
        page.screenshot(path=self.pictures / f"{name}.png", full_page=True)
