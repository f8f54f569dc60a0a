"""Is the dashboard quick?  Pictures per second of 64 H2O in a real browser, and how soon it stops.

    python tests/browser/check_dashboard.py [--seconds 10] [--pictures build/browser]

Starts JupyterLab and a headless Chromium (`check_notebooks`), lets the dashboard run with the shipped potential of
water, and asks: at least ten pictures drawn per second; nothing moves half a second after a click on pause; a slider
is heeded; no errors in the console; and when the page is closed, the kernel rests and, shut down, is gone.
Prints what it measured.  Exit code: 0 all well, 1 something is wrong, 2 Chromium or Playwright is missing.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import check_notebooks as lab
import nbformat
import psutil

CELL = """
import os
import torch
import tpainn_lite as tp

torch.set_num_threads(1)
box = tp.load_water("test_large")[0]  # 64 molecules
potential = tp.PotentialCalculator(tp.load_pretrained("water"))
panel = tp.md_dashboard(box, {"T-PaiNN": potential, "q-TIP4P/F": tp.water()}, ensemble="npt")
panel.step()
print("pid", os.getpid())
panel
"""
FEWEST, SLOWEST = 10, 0.5  # pictures per second; seconds from the click on pause to the last change
WITHOUT_GPU = "--disable-gpu-compositing"  # the page is put together as Chromium does it by itself without a GPU
WATCH = """() => {  // when the picture was drawn, when the note changed, when pause was clicked
    const seen = window.seen = {drawn: [], told: [], clicked: null};
    const drawing = WebGL2RenderingContext.prototype, now = () => performance.now();
    for (const name of ['drawArrays', 'drawElements', 'drawElementsInstanced', 'drawArraysInstanced']) {
        const draw = drawing[name];
        drawing[name] = function (...rest) { seen.last = now(); return draw.apply(this, rest); };
    }
    const frame = () => {
        if (seen.last) { seen.drawn.push(seen.last); seen.last = null; }
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    const note = [...document.querySelectorAll('.widget-label')].find(e => / ps/.test(e.textContent));
    new MutationObserver(() => seen.told.push(now())).observe(note, {childList: true, characterData: true,
                                                                    subtree: true});
    for (const player of document.querySelectorAll('.widget-play'))
        player.addEventListener('click', () => { seen.clicked = now(); }, true);
}"""

ASK = """async () => {  // at which temperature the simulation runs
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const asked = {code: '', user_expressions: {kelvin: 'panel.simulation.settings["temperature"]'}};
    const reply = await kernel.requestExecute(asked).done;
    return reply.content.user_expressions.kelvin.data['text/plain'];
}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the dashboard runs")
    parser.add_argument("--pictures", type=Path, default=lab.ROOT / "build" / "browser")
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, lab.BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("Chromium and Playwright are needed; see tests/browser/check_notebooks.py", file=sys.stderr)
        return 2
    report = lab.Report("dashboard.ipynb")
    with tempfile.TemporaryDirectory(prefix="tpainn-browser-") as folder, sync_playwright() as playwright:
        notebook = Path(folder) / report.name
        nbformat.write(_notebook(), notebook)
        lab._copy([notebook], Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=[*lab.FLAGS, WITHOUT_GPU])
        with lab._jupyter(Path(folder), "lab") as server:
            kernel = _watch(browser, server, report, arguments)
            _close(server, kernel, report)
        browser.close()
    print(*report.problems, sep="\n")
    return int(any(report.problems))


def _notebook():
    cells = [nbformat.v4.new_code_cell(CELL.strip())]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _watch(browser, server, report, arguments):
    """Run the dashboard, measure, and close the page while it runs; the kernel's process."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    lab._listen(page, server, report)
    page.goto(f"{server.url}/lab/tree/notebooks/{report.name}?token={server.token}&reset")
    lab._run_all(page, report, 120)
    page.wait_for_timeout(3000)
    kernel = psutil.Process(int(page.locator("pre", has_text="pid").first.inner_text().split()[1]))
    page.evaluate(WATCH)
    (player,) = lab._visible(page, ".widget-play")
    lab._play_or_pause(player)
    page.wait_for_timeout(3000)  # it finds out how many steps fit into a tick
    page.evaluate("() => { seen.drawn.length = 0; }")
    page.wait_for_timeout(1000 * arguments.seconds)
    rate = page.evaluate("() => seen.drawn.length") / arguments.seconds
    print(f"{rate:.1f} pictures per second")
    if rate < FEWEST:
        report.fail(f"{rate:.1f} pictures per second; at least {FEWEST} are expected")
    lab._play_or_pause(player)
    page.wait_for_timeout(3000)
    last = page.evaluate("() => (Math.max(...seen.drawn, ...seen.told) - seen.clicked) / 1000")
    print(f"last change {last:.2f} s after the click on pause")
    if last > SLOWEST:
        report.fail(f"something still moved {last:.2f} s after the click on pause; at most {SLOWEST} s are allowed")
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    page.locator(".jp-Cell-outputArea").first.screenshot(path=arguments.pictures / "dashboard.png")
    lab._visible(page, ".widget-slider .noUi-handle")[0].press("End")
    if not lab._wait(lambda: page.evaluate(ASK) == "1000.0", 5):
        report.fail("the slider of the temperature is not heeded")
    lab._play_or_pause(player)
    page.wait_for_timeout(1000)
    page.close()  # while it runs
    return kernel


def _close(server, kernel, report):
    """With the page closed, the kernel computes nothing; shut down, it is gone, and so are its children."""
    time.sleep(1)
    before = sum(kernel.cpu_times()[:2])
    time.sleep(3)
    spent = sum(kernel.cpu_times()[:2]) - before
    print(f"with the page closed, the kernel computed for {spent:.2f} of 3 s")
    if spent > 0.3:
        report.fail(f"the kernel goes on although the page is closed: {spent:.2f} of 3 s")
    processes = [kernel, *kernel.children(recursive=True)]
    for session in server.ask("sessions"):
        server.ask(f"sessions/{session['id']}", "DELETE")
    _, alive = psutil.wait_procs(processes, timeout=10)
    if alive:
        report.fail(f"processes left behind: {alive}")


if __name__ == "__main__":
    sys.exit(main())
