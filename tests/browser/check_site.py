"""Open every page of the built course site: is every figure there, with and without scripts, and can everybody read it?

    python tests/browser/check_site.py [--site build/site] [--pictures build/site-pictures]

Each page is opened from its file in a headless Chromium that can reach nothing else, wide and as narrow as a phone,
light and dark.  Every slider and list beneath a figure is moved, every guess made and every box set in motion, without
a kernel.  Fails on errors in the console, on anything asked of the network, on figures that are not drawn, on controls
that change nothing, on pictures that do not load or are missing without scripts, on pages wider than a phone, on a
search that finds nothing, and on what the accessibility checker axe calls serious or critical.  axe-core is fetched
once, by npm, into build/.  Pictures of all pages are left in build/site-pictures/ for a person to look at.

Exit code: 0 all well, 1 something is wrong, 2 Chromium, Playwright or axe-core is missing.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from chromium import ROOT, Report, browser, leave

BUILD = ROOT / "build"
AXE = "4.14.1"
HARMLESS = "Canvas2D: Multiple readback operations"  # advice to Plotly about speed
SERIOUS = ("serious", "critical")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
TALL = 2400  # pixels of one picture
DRAWN = """async () => {
    for (const figure of document.querySelectorAll('figure.plot')) {
        figure.scrollIntoView();
        await new Promise(done => setTimeout(done, 50));
        for (let k = 0; k < 100 && !figure.querySelector('.main-svg'); k++)
            await new Promise(done => setTimeout(done, 50));
    }
    scrollTo(0, 0);
    return [...document.querySelectorAll('figure.plot')].filter(figure => !figure.querySelector(
        '.trace, .heatmaplayer image, .contour, .slice, .gl-container canvas, .point, .bars'
    )).map(figure => figure.id);
}"""
PICTURES = """async () => {
    const bad = [];
    for (const image of document.images) {
        image.loading = 'eager';
        await image.decode().catch(() => bad.push(image.src));
    }
    return bad;
}"""
STILLS = """figures => figures.filter(f => {
    const still = f.querySelector('img.still');
    return !still || still.getBoundingClientRect().width < 100;
}).map(f => f.id)"""
TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter(e => {
    const inside = e.parentElement.closest('.wide, .output, pre, figure, .hidden, .skip, math');
    return !inside && !e.matches('.skip, .hidden') && e.getBoundingClientRect().right > innerWidth + 1;
}).slice(0, 3).map(e => `${e.tagName.toLowerCase()}.${e.className} ${e.textContent.trim().slice(0, 40)}`)"""
FAR = """e => {  // not to the end: a turn by 360 degrees changes nothing
    const last = e.length ? e.length - 1 : e.max, far = Math.round(0.7 * last);
    e.value = Number(e.value) === far ? 0 : far;
    e.dispatchEvent(new Event('input', {bubbles: true}));
}"""
VIOLATIONS = """async () => (await axe.run({resultTypes: ['violations'], preload: false})).violations.map(v => [
    v.impact, v.id, v.help, v.nodes.slice(0, 3).map(n => n.target.join(' ') + ': ' + n.html.slice(0, 120)).join(' | ')
])"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, default=BUILD / "site")
    parser.add_argument("--pictures", type=Path, default=BUILD / "site-pictures")
    args = parser.parse_args()
    try:
        axe = axe_script()
    except (OSError, subprocess.SubprocessError) as error:
        leave(f"axe-core is missing: {error}")
    shutil.rmtree(args.pictures, ignore_errors=True)
    with browser() as running:
        pages = sorted(args.site.resolve().glob("*.html"))
        reports = [guarded(check, path.name, running, path, axe, args.pictures) for path in pages]
        reports.append(guarded(check_search, "search", running, args.site.resolve() / "index.html"))
    return tell(reports)


def axe_script():
    """The text of axe.min.js, fetched by npm the first time."""
    script = BUILD / f"axe-core-{AXE}" / "package" / "axe.min.js"
    if not script.is_file():
        BUILD.mkdir(exist_ok=True)
        command = ["npm", "pack", "--silent", f"axe-core@{AXE}"]
        subprocess.run(command, cwd=BUILD, check=True, timeout=120, stdout=subprocess.DEVNULL)
        packed = BUILD / f"axe-core-{AXE}.tgz"
        with tarfile.open(packed) as archive:
            archive.extract("package/axe.min.js", BUILD / f"axe-core-{AXE}", filter="data")
        packed.unlink()
    return script.read_text(encoding="utf-8")


def guarded(look, name, *things):
    """What `look(report, ...)` reports; an error of its own is a problem, too."""
    report = Report(name)
    report.figures = report.controls = report.minor = 0
    report.attempt(look, report, *things)
    return report


def check(report, running, path, axe, pictures):
    """One page: wide and narrow, light and dark, with scripts and without."""
    for theme in ("light", "dark"):
        for name, size in (("wide", WIDE), ("phone", PHONE)):
            page = opened(running, path, report, viewport=size, color_scheme=theme)
            check_figures(page, report)
            check_answers(page, report)
            check_boxes(page, report)
            check_access(page, axe, report, f"{theme}, {name}")
            if name == "phone" and (wide := page.evaluate(TOO_WIDE)):
                report.fail(f"wider than a phone: {wide}")
            photograph(page, pictures, f"{path.stem}-{theme}-{name}")
            page.context.close()
    page = opened(running, path, report, viewport=WIDE, java_script_enabled=False)
    if missing := page.locator("figure.plot").evaluate_all(STILLS):
        report.fail(f"without scripts there is no picture of {', '.join(missing)}")
    photograph(page, pictures, f"{path.stem}-no-scripts")
    page.context.close()


def opened(running, path, report, **settings):
    """The page in a window of its own that reports errors and reaches nothing but files."""
    page = running.new_context(offline=True, reduced_motion="reduce", **settings).new_page()
    page.on("console", lambda message: on_console(report, message))
    page.on("pageerror", lambda error: report.fail(f"page error: {str(error)[:300]}"))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else network(report, r))
    page.on("requestfailed", lambda r: report.fail(f"not loaded: {r.url[:200]}"))
    page.goto(path.as_uri())
    return page


def on_console(report, message):
    if message.type in ("error", "warning") and HARMLESS not in message.text:
        report.fail(f"console: {message.text[:300]}")


def network(report, request):
    report.fail(f"wants the network: {request.url[:200]}")


def check_figures(page, report):
    """Every figure is drawn, every picture loads."""
    report.figures = page.locator("figure.plot").count()
    if missing := page.evaluate(DRAWN):
        report.fail(f"not drawn: {', '.join(missing)}")
    for address in page.evaluate(PICTURES):
        report.fail(f"a picture does not load: {address}")


def check_answers(page, report):
    """Every control beneath a figure changes it; every guess is answered."""
    for control in page.locator(".controls :is(input, select)").all():
        report.controls += 1
        live = control.locator("xpath=ancestor::figure").locator(".live")
        live.scroll_into_view_if_needed()
        page.mouse.move(0, 0)
        before, end = live.screenshot(), time.monotonic() + 10
        control.evaluate(FAR)
        while (same := live.screenshot() == before) and time.monotonic() < end:
            page.wait_for_timeout(100)
        if same:
            report.fail(f"a control changes nothing: {control.locator('xpath=..').inner_text()[:60]!r}")
    for guess in page.locator(".predict details").all():
        report.controls += 1
        guess.locator("summary").click()
        if "Your guess" not in guess.locator("p").inner_text(timeout=5000):
            report.fail("a guess is not answered")


def check_boxes(page, report):
    """Molecules move once they are set in motion, explanations are drawn: no box stands still."""
    for box in page.locator(".tpainn-shown").all():
        report.controls += 1
        box.scroll_into_view_if_needed()
        host = box.locator(".tpainn-live-host, .tpainn-explain-host")
        host.wait_for(timeout=30_000)
        if message := host.locator(".message:visible").all_inner_texts():
            report.fail(f"a box says {message[0][:99]!r}")
        if host.evaluate("e => e.live !== undefined"):
            host.locator(".play").click()
            moves = "e => new Promise(done => setInterval(() => e.live.picture.time > 2 && done(true), 50))"
            host.evaluate(moves)
            host.locator(".play").click()


def check_access(page, axe, report, how):
    """What axe finds; only the serious is a failure, the rest is counted."""
    page.evaluate(axe)
    for impact, rule, words, where in page.evaluate(VIOLATIONS):
        if impact in SERIOUS:
            report.fail(f"axe ({how}), {impact}: {rule}: {words}: {where}")
        else:
            report.minor += 1
            print(f"{report.name}: axe ({how}), {impact}: {rule}: {words}: {where}")


def photograph(page, pictures, name):
    """The whole page as pictures that a viewer can hold, from top to bottom."""
    pictures.mkdir(parents=True, exist_ok=True)
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    page.set_viewport_size({"width": width, "height": TALL})
    for number in range(1, 20):
        top = page.evaluate(f"scrollTo(0, {(number - 1) * TALL}), scrollY")
        page.screenshot(path=pictures / f"{name}-{number}.png")
        if top < (number - 1) * TALL:
            break
    page.set_viewport_size({"width": width, "height": height})


def check_search(report, running, path):
    """The search box finds a word, its first answer leads to a page, and the choice of light or dark is kept."""
    page = opened(running, path, report, viewport=WIDE)
    page.locator("#query").fill("autotune")
    page.locator("#found a").first.wait_for(timeout=5000)
    page.locator("#found a").first.click()
    page.wait_for_load_state()
    if page.url == path.as_uri():
        report.fail("the first thing found leads nowhere")
    page.locator("#theme").click()
    if page.evaluate("localStorage.getItem('theme')") not in ("light", "dark"):
        report.fail("the choice of light or dark is not remembered")
    page.context.close()


def tell(reports):
    """Print a table and the problems; the exit code."""
    width = max(len(report.name) for report in reports)
    print(f"{'page':{width}}  figures  controls  axe, minor  problems")
    for r in reports:
        print(f"{r.name:{width}}  {r.figures:7d}  {r.controls:8d}  {r.minor:10d}  {len(r.problems):8d}")
    for report in reports:
        for problem in report.problems:
            print(f"{report.name}: {problem}")
    return int(any(report.problems for report in reports) or len(reports) < 2)


if __name__ == "__main__":
    sys.exit(main())
