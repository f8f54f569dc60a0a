"""Open every notebook in JupyterLab, run it, and look: are the molecules, plots and sliders really there?

    python tests/browser/check_notebooks.py [notebook.ipynb ...] [--timeout 400] [--pictures build/browser]
    python tests/browser/check_notebooks.py notebooks/00_tour.ipynb --app notebook      # in Notebook 7, if installed

A test that only runs the cells does not see an empty viewer.  This one starts JupyterLab on a copy of the notebooks,
drives a headless Chromium that can reach nothing but that server, and fails on cell errors, canvases or plots without
a drawing, sliders that move nothing, questions that heed no click, errors in the browser's console, and pages that want
something from the network.
A picture of every output is left in build/browser/ for a person to look at.

Exit code: 0 all well, 1 something is wrong, 2 Chromium or Playwright is missing.
"""

import argparse
import contextlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import chromium
import numpy as np
from chromium import ROOT, Report
from PIL import Image

SETTINGS = {  # of JupyterLab
    # Cells out of sight are otherwise taken out of the page, and their pictures with them.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    # No dialogue about news, which would lie over the notebook; no look-up of new versions.
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
HARMLESS = [  # console errors, as regular expressions, that are no fault of the notebook
    r"Failed to load resource: net::ERR_FAILED",  # what was kept from the network; reported with its address
    r"\[anywidget\] Failed to initialize model",  # after 2 s, of a busy machine; what is not drawn then is reported
]
HARMLESS_IN = {"notebook": [r"undefined \(reading 'schema'\)"]}  # Notebook 7.6 by itself, on an empty notebook too
APPS = {"lab": ("jupyterlab", "LabApp", "lab/tree"), "notebook": ("notebook", "JupyterNotebookApp", "notebooks")}
PATIENCE = 60  # s that a busy browser gets to draw, and a control to change something
FAR = 0.6  # of its length that a slider is dragged
TALL = 2500  # pixels: nobody wants to scroll through more than that
BADGES = ("https://mybinder.org/badge", "https://colab.research.google.com/assets/", "https://img.shields.io/")
BLANK = '<svg xmlns="http://www.w3.org/2000/svg"/>'
MOVED = ("canvas", ".js-plotly-plot", "img", "pre", ".jp-RenderedHTMLCommon", ".widget-html-content", ".widget-label")


def main():
    arguments = _arguments()
    if not arguments.notebooks:
        print(f"No notebooks in {ROOT / 'notebooks'}: nothing to look at.")
        return 0
    with tempfile.TemporaryDirectory(prefix="tpainn-browser-") as folder, chromium.browser() as browser:
        names = _copy(arguments.notebooks, Path(folder))
        with _jupyter(Path(folder), arguments.app) as server:
            reports = [_check(browser, server, name, arguments) for name in names]
    return _tell(reports)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted((ROOT / "notebooks").glob("*.ipynb")))
    parser.add_argument("--timeout", type=float, default=400, help="seconds for all cells of one notebook")
    parser.add_argument("--app", choices=APPS, default="lab")
    parser.add_argument("--pictures", type=Path, default=ROOT / "build" / "browser")
    return parser.parse_args()


def _copy(notebooks, folder):
    """Copy the notebooks (and link what lies beside them), so that the repository stays as it is; give their names."""
    ignore = shutil.ignore_patterns(".ipynb_checkpoints")
    shutil.copytree(ROOT / "notebooks", folder / "work" / "notebooks", ignore=ignore)
    for name in ("data", "docs", "README.md"):
        if (ROOT / name).exists():
            (folder / "work" / name).symlink_to(ROOT / name)
    for notebook in notebooks:
        shutil.copy(notebook, folder / "work" / "notebooks" / notebook.name)
    return [notebook.name for notebook in notebooks]


# ---------------------------------------------------------------- the server


class Server:
    """Address and token of a running JupyterLab."""

    def __init__(self, port, token):
        self.url, self.token = f"http://127.0.0.1:{port}", token

    def ask(self, path, method="GET"):
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")


@contextlib.contextmanager
def _jupyter(folder, app):
    """One of `APPS`, by this Python, on a free port, with settings, history and logs of its own in ``folder``."""
    for name, values in SETTINGS.items():
        path = folder / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    server = Server(_free_port(), secrets.token_hex(16))
    with open(folder / "jupyter.log", "w") as log:
        process = subprocess.Popen(
            _command(server, folder, app), env=_environment(folder), stdout=log, stderr=log, cwd=folder
        )
        try:
            _wait_for(server, process, folder / "jupyter.log")
            yield server
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _command(server, folder, app):
    module, settings, _ = APPS[app]
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": server.url.rsplit(":", 1)[1],
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder / "work",
        "IdentityProvider.token": server.token,
        f"{settings}.expose_app_in_browser": True,  # window.jupyterapp, by which this test runs the cells
        "LabApp.extension_manager": "readonly",
    }
    command = [sys.executable, "-m", module, "--no-browser", *(f"--{k}={v}" for k, v in options.items())]
    return command + (["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])


def _environment(folder):
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "share",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    return os.environ | {name: str(folder / place) for name, place in places.items()}


def _wait_for(server, process, log):
    for _ in range(240):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            return server.ask("status")
        time.sleep(0.5)
    raise RuntimeError("Jupyter did not start:\n" + log.read_text()[-2000:])


# ---------------------------------------------------------------- one notebook


def _check(browser, server, name, arguments):
    report, folder = Report(name), arguments.pictures / Path(name).stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    try:
        _listen(page, server, report, HARMLESS + HARMLESS_IN.get(arguments.app, []))
        page.goto(f"{server.url}/{APPS[arguments.app][2]}/notebooks/{name}?token={server.token}&reset")
        _run_all(page, report, arguments.timeout)
        page.wait_for_timeout(3000)  # widgets and plots draw themselves after the kernel is done
        _photograph(page, report, folder, "")
        _check_cells(page, report)
        _check_canvases(page, report)
        _check_plots(page, report)
        if page.evaluate(STATE)["kernel"] == "idle":  # a busy kernel answers no control
            _check_controls(page, report)
            _check_questions(page, report)
            _photograph(page, report, folder, "-moved")
    except Exception as error:  # noqa: BLE001  one notebook that fails must not hide the others
        report.fail(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        with contextlib.suppress(Exception):  # the page itself may be what is gone
            page.screenshot(path=folder / "failed.png")
    finally:
        page.close()
        for session in server.ask("sessions"):
            server.ask(f"sessions/{session['id']}", "DELETE")
    return report


def _listen(page, server, report, harmless=HARMLESS):
    """Report errors of the page, and let it reach nothing but the server."""

    def complain(where, text):
        if not any(re.search(pattern, text) for pattern in harmless):
            report.fail(f"{where}: {text[:300]}")

    def on_console(message):
        if message.type == "error":
            complain("console", message.text)

    def on_request(route):
        if route.request.url.startswith((server.url, "data:", "blob:")):
            return route.continue_()
        if route.request.url.startswith(BADGES):  # ornaments: a notebook is whole without them
            return route.fulfill(body=BLANK, content_type="image/svg+xml")
        report.fail(f"wants the network: {route.request.url[:200]}")
        return route.abort()

    page.on("console", on_console)
    page.on("pageerror", lambda error: complain("page error", str(error)))
    page.route("**/*", on_request)


STATE = """() => {
    const panel = window.jupyterapp?.shell?.currentWidget;
    const kernel = panel?.sessionContext?.session?.kernel;
    const cells = panel?.content?.widgets?.map(cell => cell.model).filter(model => model.type === 'code');
    if (!kernel || !cells) return null;
    return {kernel: kernel.status, cells: cells.map(model => ({
        empty: !model.sharedModel.getSource().trim(),
        count: model.executionCount,
        expected: (model.getMetadata('tags') ?? []).includes('raises-exception'),
        errors: model.outputs.toJSON().filter(o => o.output_type === 'error').map(o => `${o.ename}: ${o.evalue}`),
    }))};
}"""


def _run_all(page, report, timeout):
    """Run all cells; return when each has run and the kernel rests, or one has failed."""
    state = _wait(lambda: (s := page.evaluate(STATE)) and s["cells"] and s["kernel"] == "idle" and s, 120)
    if not state:
        raise RuntimeError(
            "the notebook did not open, or its kernel did not start (is its kernelspec in the metadata?)"
        )
    started = time.monotonic()
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def done():
        state = page.evaluate(STATE)
        wrong = any(cell["errors"] and not cell["expected"] for cell in state["cells"])
        return state["kernel"] == "idle" and (wrong or all(c["count"] or c["empty"] for c in state["cells"]))

    if not _wait(done, timeout, pause=0.5):
        report.fail(f"not done after {timeout:.0f} s")
    report.seconds = time.monotonic() - started


def _wait(condition, timeout, pause=0.3):
    """The first true value of ``condition()``, asked again and again; its last value when time is up."""
    end = time.monotonic() + timeout
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(pause)
    return value


def _check_cells(page, report):
    state = page.evaluate(STATE)
    report.cells = len(state["cells"])
    for number, cell in enumerate(state["cells"], 1):
        if cell["errors"] and not cell["expected"]:
            report.fail(f"code cell {number}: {cell['errors'][0][:300]}")
    waiting = [number for number, cell in enumerate(state["cells"], 1) if not cell["count"] and not cell["empty"]]
    if waiting:
        report.fail(f"{len(waiting)} code cells were not finished, from number {waiting[0]} on")
    for words in ("Error displaying widget", "Error creating widget", "Loading widget", "Picture only: nglview"):
        found = page.locator(".jp-OutputArea-output", has_text=words).count()
        if found:
            report.fail(f"{found} output(s) say {words!r}")


def _check_canvases(page, report):
    """Every canvas of a viewer shows something."""
    for number, canvas in enumerate(_visible(page, ".jp-OutputArea-output canvas"), 1):
        if canvas.evaluate("e => e.closest('.js-plotly-plot') !== null"):
            continue
        report.canvases += 1
        if not _wait(lambda canvas=canvas: _pixels(canvas).std() > 2, PATIENCE):
            report.fail(f"canvas {number} is empty")


def _check_plots(page, report):
    """Every Plotly figure has drawn its traces."""
    traces = "e => e.querySelectorAll('.trace, .heatmaplayer image, .contour, .slice, .gl-container canvas').length"
    for number, plot in enumerate(_visible(page, ".js-plotly-plot"), 1):
        report.plots += 1
        if not _wait(lambda plot=plot: plot.evaluate(traces), PATIENCE):
            report.fail(f"plot {number} has no traces")
    points = "e => Math.max(...e.data.map(trace => trace.x.length))"
    for cell in page.locator(".jp-CodeCell", has_text="live_history(").all():
        if any(plot.evaluate(points) < 3 for plot in _visible(cell, ".js-plotly-plot")):
            report.fail("a plot that should grow while a training runs has stood still")


def _check_controls(page, report):
    """Every slider, dragged, and every player, started, changes what the cell shows."""
    for kind, selector, act in (
        ("slider", ".widget-slider .noUi-handle", _push),
        ("player", ".widget-play", _play_or_pause),
    ):
        for number, control in enumerate(_visible(page, selector), 1):
            cell = control.locator("xpath=ancestor::div[contains(@class, 'jp-CodeCell')]")
            report.controls += 1
            control.scroll_into_view_if_needed()
            before = _settled(cell)
            act(control)
            if not _wait(lambda cell=cell, before=before: _look(cell) != before, PATIENCE):
                report.fail(f"{kind} {number} changes nothing")
            if kind == "player":
                _play_or_pause(control)


def _check_questions(page, report):
    """Every guess is noted when its button is clicked, and every folded answer unfolds."""
    for cell in page.locator(".jp-CodeCell", has_text="Predict.").all():
        report.questions += 1
        buttons = _visible(cell, ".jp-OutputArea-output button.widget-button")
        if not buttons:
            report.fail(f"question {report.questions} has no buttons")
            continue
        buttons[0].click()
        if not _wait(lambda cell=cell: cell.get_by_text("Your guess:").count() > 0, PATIENCE):
            report.fail(f"question {report.questions} does not note a guess")
    for folded in _visible(page, ".jp-MarkdownOutput details"):
        report.questions += 1
        folded.locator("summary").click()
        if not folded.evaluate("e => e.open && e.innerText.length > 20"):
            report.fail(f"answer {report.questions} does not unfold: {folded.inner_text()[:60]!r}")


def _push(handle):
    """Drag it, as a hand would: Notebook 7 keeps the arrow keys for itself."""
    at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
    box, mouse = handle.bounding_box(), handle.page.mouse
    way = FAR * handle.locator("xpath=ancestor::div[contains(@class, 'noUi-base')]").bounding_box()["width"]
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + (-way if at_end else way), y, steps=5)
    mouse.up()


def _look(cell):
    """What a control may change: the pictures and text of a cell's output, without the control itself."""
    return [thing.screenshot() for thing in _visible(cell.locator(".jp-Cell-outputArea").first, ", ".join(MOVED))]


def _play_or_pause(player):
    player.locator("button").first.click()


def _settled(cell):
    """`_look`, once it has stopped changing by itself."""
    looks = [_look(cell)]

    def same():
        looks.append(_look(cell))
        return looks[-1] == looks[-2]

    _wait(same, PATIENCE)
    return looks[-1]


def _visible(within, selector):
    return [thing for thing in within.locator(selector).all() if thing.is_visible()]


def _pixels(canvas):
    """The grey values of the middle of a canvas: what lies over its edges is no drawing."""
    canvas.scroll_into_view_if_needed()
    image = Image.open(io.BytesIO(canvas.screenshot())).convert("L")
    x, y = image.width // 8, image.height // 8
    return np.asarray(image.crop((x, y, image.width - x, image.height - y)), float)


def _photograph(page, report, folder, suffix):
    """One picture of the output of every code cell."""
    for number, cell in enumerate(page.locator(".jp-CodeCell").all(), 1):
        output = cell.locator(".jp-Cell-outputArea").first
        if output.is_visible() and (box := output.bounding_box()) and box["height"] > 5:
            output.screenshot(path=folder / f"{number:02d}{suffix}.png")
            if box["height"] > TALL:
                report.fail(f"the output of code cell {number} is {box['height']:.0f} pixels tall: does it pile up?")


def _tell(reports):
    """Print a table of what was seen; the exit code."""
    width = max(len(report.name) for report in reports)
    columns = ("cells", "seconds", "canvases", "plots", "controls", "questions")
    print(f"{'notebook':{width}}  {'  '.join(columns)}  problems")
    for r in reports:
        counts = "  ".join(f"{getattr(r, column):{len(column)}.0f}" for column in columns)
        print(f"{r.name:{width}}  {counts}  {len(r.problems):8d}")
    for report in reports:
        for problem in report.problems:
            print(f"{report.name}: {problem}")
    return int(any(report.problems for report in reports))


if __name__ == "__main__":
    sys.exit(main())
