"""Does `tp.live` live?  In a bare page opened from a file, in JupyterLab and Notebook 7, also once the kernel is gone.

    python tests/browser/check_live.py [speeds use keys ...] [--windows 12] [--pictures build/live]

Headless Chromium, which can reach nothing, opens ethanol and 64 H2O: how soon is the first picture there, how many come
in a second, how many fs pass?  Measured in windows of a second, of which the best counts, for other work on the machine
only ever slows.  Then an atom is pulled, the potential exchanged, keys are pressed, the picture is touched on a phone,
scripts are forbidden, and what is sent to the page is broken: each time the page must do, or say, what it should.
Pictures are left in build/live/ for a person to look at.  Exit code: 0 all well, 1 something is wrong, 2 Chromium or
Playwright is missing.
"""

import argparse
import base64
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import check_notebooks as lab
import nbformat
import numpy as np
import psutil
from ase import Atoms
from chromium import PHONE, ROOT, WITHOUT_GPU, Desk, Report, browser

import tpainn_lite as tp
from tpainn_lite.page.shown import Shown
from tpainn_lite.page.widget import SCRIPTS

ETHANOL, WATER = (60, 500), (15, 0)  # pictures/s and fs/s, at least
SOON = 1.0  # s until the first picture
CELL = """
import os
import tpainn_lite as tp
print("pid", os.getpid())
tp.live(tp.molecule("CCO"), {"T-PaiNN": tp.load_pretrained("gas_xtb"), "from scratch": tp.load_pretrained("gas")})
"""
LIVE = "document.querySelector('.tpainn-live-host').live"
RATES = """() => {
    const times = LIVE.times.slice(-30), seconds = (times.at(-1).at - times[0].at) / 1000;
    const steps = times.slice(1).reduce((sum, { steps }) => sum + steps, 0);
    return [(times.length - 1) / seconds, steps * LIVE.scene.settings.timestep / seconds];
}""".replace("LIVE", LIVE)


KEEP = """() => {  // where the atoms were in each picture since reset, and g(r) of them
    const live = LIVE, take = live.take.bind(live);
    [window.kept, window.found] = [[], null];
    live.take = (answer) => {
        if (answer.resets === 1 && answer.steps && window.kept.length < 10) {
            window.kept.push([...answer.places]);
            window.found = [...answer.rdf.g];
        }
        take(answer);
    };
}""".replace("LIVE", LIVE)
COUNT = """() => {  // pictures
    const live = LIVE, remember = live.remember.bind(live);
    window.counted = 0;
    live.remember = (picture) => { window.counted++; remember(picture); };
}""".replace("LIVE", LIVE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=12, help="seconds in which pictures are counted, one by one")
    parser.add_argument("--pictures", type=Path, default=ROOT / "build" / "live")
    every = (speeds, use, slider, liquid, keys, phone, shapes, no_scripts, little_motion, sentences, jupyter)
    looks = {look.__name__: look for look in every}
    parser.add_argument("looks", nargs="*", choices=[*looks, []], help="what to look at; everything by default")
    arguments = parser.parse_args()
    report = Report("live")
    with tempfile.TemporaryDirectory(prefix="tpainn-browser-") as folder, browser(WITHOUT_GPU) as running:
        desk = LiveDesk(running, report, Path(folder), arguments.pictures, arguments.windows)
        for name in arguments.looks or looks:
            report.attempt(looks[name], desk)
    print(*report.problems, sep="\n")
    return int(any(report.problems))


class LiveDesk(Desk):
    """The browser, and what most looks look at."""

    def __init__(self, running, report, folder, pictures, windows):
        super().__init__(running, report, folder, pictures)
        self.windows = windows
        gas, xtb = tp.load_pretrained("gas"), tp.load_pretrained("gas_xtb")
        self.ethanol = tp.live(tp.molecule("CCO"), {"T-PaiNN": xtb, "from scratch": gas})
        water = {"T-PaiNN": tp.load_pretrained("water_iamoeba"), "q-TIP4P/F": tp.load_pretrained("water")}
        self.box = tp.load_water("test_large")[0]
        found = tp.load_results("water_models")["curves"]["q-TIP4P/F"]["OO"]
        reference = {"q-TIP4P/F, long run": (found["r"], found["g"])}
        notes = {"T-PaiNN": "Its liquid was not measured."}
        self.water = tp.live(self.box, water, reference=reference, notes=notes)

    def judge(self, is_fast, problem):
        """Speed, which is not judged while other work keeps the processor busy."""
        busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        if is_fast or busy < 1.5 * os.cpu_count():
            return self.check(is_fast, problem)
        print(f"not judged, for the machine is busy (load {busy:.0f} on {os.cpu_count()} cores): {problem}")


def time_of(page):
    return page.evaluate(f"{LIVE}.picture.time")


def wait_for(page, condition, timeout=60):
    page.wait_for_function(f"() => {{ const live = {LIVE}; return {condition}; }}", timeout=1000 * timeout)


def began(page):
    page.locator(".tpainn-live-host").wait_for(timeout=30_000)
    wait_for(page, "live.picture && live.picture.time > 2")


# ---------------------------------------------------------------- a bare page


def speeds(desk):
    """How soon, and how fast: the best of several windows; on a busy machine, by what the processor needs."""
    for name, shown, bars in (("ethanol", desk.ethanol, ETHANOL), ("64 H2O", desk.water, WATER)):
        first = min(first_picture(desk, shown) for _ in range(4))
        page = desk.page(shown)
        began(page)
        page.evaluate(COUNT)
        before, start, windows = processor_seconds(), time_of(page), []
        for _ in range(desk.windows):
            page.wait_for_timeout(1000)
            windows.append(page.evaluate(RATES))
        done = np.array([page.evaluate("window.counted"), time_of(page) - start])  # pictures, fs
        needed = np.subtract(processor_seconds(), before)  # s, of the worker and of the page, which run side by side
        best, middle, able = np.max(windows, axis=0), np.median(windows, axis=0), done / needed.max()
        print(f"{name}: first picture after {first:.2f} s; best window {words(best)}; median window {words(middle)}; "
              f"a processor of its own would make {words(able)}")  # fmt: skip
        desk.judge(first <= SOON, f"{name}: the first picture came after {first:.2f} s")
        reached = np.minimum(np.maximum(best, able), [60, np.inf])
        if (reached.round() < bars).any():
            desk.report.fail(f"{name}: {words(reached)}; {words(bars)} are expected")
        desk.photograph(page, name.replace(" ", ""))
        page.context.close()


def words(rates):
    return "{:.0f} pictures/s and {:.0f} fs/s".format(*rates)


def processor_seconds():
    """Processor time of the workers, and of the pages themselves, of this browser."""
    worker = page = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            if "--type=renderer" not in process.cmdline():
                continue
            for thread in process.threads():
                name = Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text()
                spent = thread.user_time + thread.system_time
                worker += spent * name.startswith("DedicatedWorker")
                page += spent * (thread.id == process.pid)
    return worker, page


def first_picture(desk, shown):
    """Seconds from the beginning of the page to the first picture, by the page's own clock."""
    page = desk.page(shown)
    began(page)
    seconds = page.evaluate(f"{LIVE}.times[0].at / 1000") if time_of(page) < 1e4 else 0.0
    page.context.close()
    return seconds


def canvas_of(page):
    return page.locator("canvas.picture")


def pixels(page):
    return canvas_of(page).screenshot()


def place_of(page, atom):
    """Where an atom is on the page."""
    x, y, _ = page.evaluate(f"{LIVE}.camera.points[{atom}]")
    box = canvas_of(page).bounding_box()
    return box["x"] + x, box["y"] + y


def use(desk):
    """Pixels change; an atom is pulled; the potential is exchanged; heat, reset, and the guard."""
    page = desk.page(desk.ethanol, color_scheme="dark")
    began(page)
    before = pixels(page)
    page.wait_for_timeout(500)
    desk.check(pixels(page) != before, "nothing moves")
    highest = "Math.max(...live.history.map(({ total }) => total))"  # eV, kinetic and potential
    calm = page.evaluate(f"() => {{ const live = {LIVE}; return {highest}; }}")
    pull(page, 8, 60, -70)
    wait_for(page, f"{highest} > {calm + 0.4}")
    desk.check(page.evaluate(f"{LIVE}.hands.grip.atom") == 8, "another atom was taken")
    desk.photograph(page, "pulled-dark")
    page.mouse.up()
    time_before = time_of(page)
    page.locator(".potential select").select_option("1")
    wait_for(page, f"live.picture.potential === 1 && live.picture.time > {time_before} + 20")
    desk.check(time_of(page) > time_before, "another potential began a new run")
    page.locator(".reset").click()
    wait_for(page, "live.picture.resets === 1")
    desk.check(page.evaluate(f"{LIVE}.history[0].time") < 50, "reset goes on where it was")
    page.locator(".heat input").fill("1500")
    wait_for(page, "live.history.some(({ temperature }) => temperature > 700)")
    guard(desk, page)
    page.context.close()


def pull(page, atom, right, down):
    """Take an atom while time stands still, move the mouse, and let time go on."""
    page.locator(".play", has_text="Pause").click()
    wait_for(page, "!live.busy")
    page.wait_for_timeout(200)
    x, y = place_of(page, atom)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=6)
    page.keyboard.press("Space")


def guard(desk, page):
    """Pulled apart, the molecule stops with a sentence, and play goes on."""
    pull(page, 8, 4, -900)
    page.locator(".message").wait_for(timeout=120_000)
    words = page.locator(".message").inner_text()
    page.mouse.up()
    print(f"the guard says: {words}")
    desk.check(words.startswith("At ") and ("broke" in words or "exploded" in words), f"the guard says {words!r}")
    desk.photograph(page, "stopped-dark")
    stopped = time_of(page)
    page.wait_for_timeout(400)
    desk.check(time_of(page) == stopped, "the guard stops nothing")


def slider(desk):
    """More labels, and the other start, while the molecule moves on: no run begins anew, and the errors are said."""
    potentials = tp.load_label_slider()
    page = desk.page(tp.live(tp.molecule("CCO"), potentials))
    began(page)
    labels = list(potentials["pretrained"])
    for name, group in enumerate(potentials.values()):
        page.locator(".potential select").select_option(str(name))
        for number, potential in enumerate(group.values()):
            before, index = time_of(page), name * len(labels) + number
            page.locator(".labels input").fill(str(number))
            wait_for(page, f"live.picture.potential === {index} || live.picture.stopped")
            desk.check(time_of(page) >= before, "another number of labels began a new run")
            error = potential.metadata["test_errors"]["force_mae"]
            desk.check(f": {error:.0f} meV/Å" in page.locator(".about").inner_text(), f"no error of {index}")
        desk.photograph(page, f"slider-{name}")
    print(f"labels: {labels}; the last of them says: {page.locator('.about').inner_text()}")
    page.context.close()


def liquid(desk):
    """g(r) is NumPy's over the same pictures, stands over the long run's, and begins anew with each change."""
    page = desk.page(desk.water)
    began(page)
    page.evaluate(KEEP)
    page.locator(".reset").click()
    wait_for(page, "live.picture.resets === 1 && live.picture.rdf && window.kept.length > 9", timeout=120)
    kept, found = page.evaluate("[window.kept, window.found]")
    frames = [desk.box.copy() for _ in kept]
    for atoms, places in zip(frames, kept, strict=True):
        atoms.positions = np.reshape(places, (-1, 3))
    _, expected = tp.observables.rdf(frames, "OO", r_max=desk.water.scene["rdf"]["r_max"], n_bins=len(found))
    desk.check(np.abs(expected - found).max() < 0.02 * expected.max(), "g(r) is not that of NumPy")
    print(f"g(r) of {len(kept)} pictures: peak {max(found):.3f}, NumPy {expected.max():.3f}")
    desk.photograph(page, "liquid")
    for change in (lambda: page.locator(".potential select").select_option("1"), lambda: heat(page, 400)):
        before, spent = time_of(page), page.evaluate(f"{LIVE}.picture.rdf.time")
        change()
        wait_for(page, f"live.picture.rdf.time < {spent}")
        desk.check(time_of(page) >= before, "a change began a new run")
    desk.check(page.locator(".about").is_hidden(), "the note of another potential stays")
    page.context.close()


def heat(page, kelvin):
    page.locator(".heat input").fill(str(kelvin))


def keys(desk):
    """Space pauses and goes on; arrows turn; plus zooms."""
    page = desk.page(desk.water)
    began(page)
    canvas_of(page).focus()
    page.keyboard.press("Space")
    page.wait_for_timeout(500)
    stopped, turn = time_of(page), page.evaluate(f"{LIVE}.camera.turn[0]")
    before = pixels(page)
    page.wait_for_timeout(300)
    desk.check(time_of(page) == stopped and pixels(page) == before, "space does not pause")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.wait_for_timeout(300)
    desk.check(page.evaluate(f"{LIVE}.camera.turn[0]") != turn, "an arrow key does not turn")
    desk.check(page.evaluate(f"{LIVE}.camera.zoom") > 1, "+ does not zoom")
    desk.check(pixels(page) != before, "the turned picture is not painted")
    page.locator(".check").click()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    desk.photograph(page, "64H2O-arrows")
    page.locator(".play").click()
    wait_for(page, f"live.picture.time > {stopped}")
    page.context.close()


def phone(desk):
    """390 pixels wide nothing sticks out, and a finger pulls an atom."""
    for theme in ("light", "dark"):
        page = desk.page(desk.ethanol, color_scheme=theme, **PHONE)
        began(page)
        desk.check(page.evaluate("document.documentElement.scrollWidth") <= 390, "wider than a phone")
        touch(page, *place_of(page, 8))
        wait_for(page, "live.hands.grip || live.picture.energy > 0.5")
        page.wait_for_timeout(700)
        desk.photograph(page, f"phone-{theme}")
        page.context.close()


def touch(page, x, y):
    """A finger that goes down at a place and moves up a little, and stays."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 6):
        point = {"x": x + 4 * step, "y": y - 9 * step}
        devtools.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})


def shapes(desk):
    """One atom, a slab, a narrow box that leans, a network of another size."""
    potential = tp.Potential(tp.PaiNN(128, 4, 12, 4.0), {6: 0.0, 8: 0.0})
    leaning = [[4.0, 0, 0], [2.6, 4.9, 0], [0.4, 0.9, 9]]
    slab = Atoms("CO", [[0, 0, 0], [0.2, 1.2, 0.1]], cell=[[3, 0, 0], [1, 3, 0], [0, 0, 0]], pbc=[1, 1, 0])
    box = Atoms("COCO", [[0, 0, 0], [1.1, 0.4, 0.2], [3, 2, 5], [3, 3, 5.4]], cell=leaning, pbc=True)
    for atoms in (Atoms("C"), slab, box):
        page = desk.page(tp.live(atoms, potential, ensemble="nve"))
        began(page)
        desk.photograph(page, f"shape-{atoms.symbols}")
        desk.check(page.locator(".potential").is_hidden(), "one potential is offered as a choice")
        page.context.close()


def no_scripts(desk):
    page = desk.page(desk.ethanol, java_script_enabled=False)
    still = page.locator("img")
    desk.check(still.count() == 1 and still.bounding_box()["width"] > 200, "without scripts there is no picture")
    desk.photograph(page, "no-scripts")
    page.context.close()


def little_motion(desk):
    """Who does not like motion sees a picture that stands, and may start it."""
    page = desk.page(desk.ethanol, reduced_motion="reduce")
    page.locator(".tpainn-live-host").wait_for(timeout=30_000)
    page.wait_for_timeout(800)
    desk.check(time_of(page) == 0, "it moves although the reader wants little motion")
    page.locator(".play").click()
    wait_for(page, "live.picture.time > 5")
    page.context.close()


# ---------------------------------------------------------------- what goes wrong is said


def changed(shown, change):
    """The same with something changed in its scene."""
    scene = json.loads(json.dumps(shown.scene))
    change(scene)
    return Shown(scene, SCRIPTS, shown.png)


def shorter(scene):
    scene["potentials"][0]["weights"] = scene["potentials"][0]["weights"][:4000]


def not_finite(scene):
    weights = bytearray(base64.b64decode(scene["potentials"][0]["weights"]))
    weights[:4] = b"\xff\xff\xff\xff"
    scene["potentials"][0]["weights"] = base64.b64encode(weights).decode()


def other_format(scene):
    scene["format"] = 99


def sentences(desk):
    """Broken or foreign weights, an unknown element, no WebAssembly: a sentence in the box."""
    cases = {
        "damaged or foreign": (changed(desk.ethanol, shorter), ""),
        "no finite energy": (changed(desk.ethanol, not_finite), ""),
        "another version": (changed(desk.ethanol, other_format), ""),
        "no WebAssembly": (desk.ethanol, "delete window.WebAssembly"),
    }
    for words, (shown, prepare) in cases.items():
        page = desk.page(shown, prepare)
        message = page.locator(".message")
        message.wait_for(timeout=20_000)
        desk.check(words.split()[-1] in message.inner_text(), f"expected {words!r}, found {message.inner_text()!r}")
        print(f"{words}: {message.inner_text()}")
        desk.photograph(page, f"says-{words.replace(' ', '-')}")
        page.context.close()
    unknown_element(desk)
    in_the_page_itself(desk)


def unknown_element(desk):
    """A potential that does not know an element can be chosen, says so, and the other goes on."""
    chlorine = tp.Potential(tp.PaiNN(16, 1, 8), {1: 0.0, 6: 0.0, 17: 0.0})
    atoms = Atoms("CH3Cl", [[0, 0, 0], [1.03, 0, -0.36], [-0.51, 0.9, -0.36], [-0.51, -0.9, -0.36], [0, 0, 1.78]])
    page = desk.page(tp.live(atoms, {"with Cl": chlorine, "without Cl": tp.load_pretrained("gas")}))
    page.locator(".tpainn-live-host").wait_for(timeout=30_000)
    page.locator(".potential select").select_option("1")
    message = page.locator(".message", has_text="was not made for Cl")
    message.wait_for(timeout=20_000)
    print(f"unknown element: {message.inner_text()}")
    page.locator(".potential select").select_option("0")
    page.wait_for_timeout(300)
    desk.check(message.count() == 0 or message.is_hidden(), "the sentence stays with the potential that works")
    page.context.close()


def in_the_page_itself(desk):
    """Where a page forbids workers, the physics run in the page."""
    page = desk.page(desk.ethanol, "window.Worker = class { constructor() { throw new Error('forbidden'); } }")
    began(page)
    page.context.close()


# ---------------------------------------------------------------- JupyterLab


def jupyter(desk):
    """In JupyterLab and Notebook 7: it lives, in its colours; keys are its own; it outlives its kernel."""
    for app in lab.APPS:
        folder, name = desk.folder / app, "live.ipynb"
        folder.mkdir()
        cells = [nbformat.v4.new_code_cell(CELL.strip())]
        kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / name)
        lab._copy([folder / name], folder)
        with lab._jupyter(folder, app) as server:
            page = desk.browser.new_page(viewport={"width": 1300, "height": 900})
            lab._listen(page, server, desk.report, lab.HARMLESS + lab.HARMLESS_IN.get(app, []))
            page.goto(f"{server.url}/{lab.APPS[app][2]}/notebooks/{name}?token={server.token}&reset")
            lab._run_all(page, desk.report, 300)
            in_notebook(desk, page, app)
            page.close()


def in_notebook(desk, page, app):
    began(page)
    desk.photograph(page, f"{app}-light")
    canvas_of(page).focus()
    turn = page.evaluate(f"{LIVE}.camera.turn[0]")
    page.keyboard.press("ArrowRight")
    desk.check(page.evaluate(f"{LIVE}.camera.turn[0]") != turn, f"{app} keeps the arrow keys for itself")
    theme = "() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
    page.evaluate(theme)
    page.wait_for_timeout(2000)
    theme = page.locator(".tpainn-live-host").get_attribute("data-theme")
    desk.check(theme == "dark", f"it does not follow the theme of {app}")
    desk.photograph(page, f"{app}-dark")
    kill(desk, page)


def kill(desk, page):
    """The kernel dies; time goes on, and the controls answer."""
    number = page.locator("pre", has_text="pid").first.inner_text().split()[1]
    kernel = psutil.Process(int(number))
    kernel.kill()
    page.wait_for_timeout(500)
    before = time_of(page)
    page.locator(".potential select").select_option("1")
    wait_for(page, f"live.picture.potential === 1 && live.picture.time > {before}")
    time.sleep(0.5)
    desk.check(time_of(page) > before, "without its kernel it stands still")


if __name__ == "__main__":
    sys.exit(main())
