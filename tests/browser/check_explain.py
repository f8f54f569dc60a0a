"""Do the explanations answer?  In a bare page opened from a file, and in JupyterLab, also once the kernel is gone.

    python tests/browser/check_explain.py [--pictures build/explain] [--bare] [--stills]

Headless Chromium, which can reach nothing, drags the ruler, bends and turns water, labels the map, with mouse, finger
and keys; what the page then says is compared with NumPy.  ``--stills`` takes anew the pictures that the package ships
for readers without scripts.  Pictures are left in build/explain/ for a person to look at.  Exit code: 0 all well, 1
something is wrong, 2 Chromium or Playwright is missing.
"""

import argparse
import io
import re
import sys
import tempfile
from pathlib import Path

import check_notebooks as lab
import nbformat
import numpy as np
import psutil
from chromium import PHONE, ROOT, WITHOUT_GPU, Desk, Report, browser
from PIL import Image

from tpainn_lite.page import explain
from tpainn_lite.page.shown import FOLDER

EVERY = {"ruler": explain.ruler, "vectors": explain.vectors, "labelmap": explain.label_map, "knobs": explain.two_knobs}
SHARES = (0.0, 0.1, 0.4)  # of made-up models for the two knobs
HOST = ".tpainn-explain-host"
COLOURS = 192  # of a still picture


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=ROOT / "build" / "explain")
    parser.add_argument("--bare", action="store_true", help="without JupyterLab")
    parser.add_argument("--stills", action="store_true", help="write the pictures of the package, and nothing else")
    arguments = parser.parse_args()
    report = Report("explain")
    with tempfile.TemporaryDirectory(prefix="tpainn-browser-") as folder, browser(WITHOUT_GPU) as running:
        desk = Desk(running, report, Path(folder), arguments.pictures)
        looks = [stills] if arguments.stills else [ruler, vectors, label_map, knobs, phone, no_scripts]
        for look in looks if arguments.stills or arguments.bare else [*looks, notebook]:
            report.attempt(look, desk)
    print(*report.problems, sep="\n")
    return int(any(report.problems))


def opened(desk, name, **settings):
    """A page with this explanation."""
    return desk.page(EVERY[name](), **settings)


def text(page, selector):
    page.wait_for_timeout(100)  # drawn with the next picture of the screen
    return page.locator(selector).first.inner_text()


def drag(page, begin, end):
    page.mouse.move(*begin)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()


def middle(page, selector, number=0):
    box = page.locator(selector).nth(number).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


# ---------------------------------------------------------------- the ruler


def labels_for(curve, error):
    """Labels that an error needs, straight between the measured points of both logarithms."""
    n, mean = (np.array([point[key] for point in curve]) for key in ("n", "mean"))
    return np.exp(np.interp(-np.log(error), -np.log(mean), np.log(n)))


def ruler(desk):
    curves = explain.ruler().scene["data"]["tasks"][0]["curves"]
    page = opened(desk, "ruler")
    page.locator(HOST).wait_for()
    x, y = middle(page, ".ruler .grip")
    drag(page, (x, y), (x, y - 30))
    error = float(page.locator(".ruler").get_attribute("aria-valuenow"))
    expected = labels_for(curves["scratch_atomref"], error) / labels_for(curves["tpainn_shipped"], error)
    said = float(re.match(r"[\d.]+", text(page, ".big"))[0])
    print(f"ruler at {error:.0f} meV/Å: {said}× in the page, {expected:.2f}× by NumPy")
    desk.check(error > 220, f"the ruler did not move: {error}")
    desk.check(abs(said - expected) < 0.1 * expected, f"{said}× in the page, {expected:.2f}× by NumPy")
    page.locator(".ruler").focus()
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    page.wait_for_timeout(100)
    lower = float(page.locator(".ruler").get_attribute("aria-valuenow"))
    desk.check(abs(lower / error - np.exp(-0.1)) < 0.01, f"arrow keys moved it from {error} to {lower}")
    drag(page, middle(page, ".ruler .grip"), (x, y + 400))
    desk.check("not reached with 1,000 labels" in text(page, ".of-base"), f"below all: {text(page, '.of-base')}")
    baselines(desk, page)
    page.context.close()


def baselines(desk, page):
    """The same QM9 labels: 71 × or 1.1 ×, by the baseline."""
    page.locator(".task").select_option(label="energy / meV, QM9")
    page.locator("label", has_text="equal labels").click()
    for baseline, words in (("scratch_mean", "71 ±"), ("scratch_atomref", "1.1")):
        page.locator(".baseline").select_option(baseline)
        desk.check(text(page, ".big").startswith(words), f"{baseline}: {text(page, '.big')}; {words} is expected")
        print(f"100 labels of QM9, compared with {baseline}: {' '.join(text(page, '.big').split())}")
        desk.photograph(page, f"ruler-{baseline}")
    page.emulate_media(color_scheme="dark")
    desk.photograph(page, "ruler-dark")


# ---------------------------------------------------------------- vectors


def heard(angle, turn, cutoff, rounds, bias):
    """What is read out of the blind and of the seeing network, as the first lines of vectors.js say it."""
    ways = np.radians(turn - 90 + np.array([-angle, angle]) / 2)
    places = np.vstack([[0, 0], explain.BOND * np.stack([np.cos(ways), np.sin(ways)], axis=1)])
    r = places[None] - places[:, None]
    d = np.linalg.norm(r, axis=-1)
    W = np.where((d > 0) & (d < cutoff), 0.5 * (np.cos(np.pi * d / cutoff) + 1), 0)
    blind, s, v = np.ones(3), np.ones(3), np.zeros((3, 2))
    for _ in range(rounds):
        blind = blind + W @ np.tanh(blind)
        arrows = np.einsum("ij,ijx->ix", W * np.tanh(s), r / np.where(d > 0, d, 1)[..., None])
        v = v + arrows + W @ v + bias
        s = s + W @ np.tanh(s) + np.linalg.norm(v, axis=1)
    return blind.sum(), s.sum()


def set_slider(page, name, value):
    page.locator(f"input.{name}").fill(str(value))


def read_out(page):
    page.wait_for_timeout(100)
    return [float(page.locator("tbody tr:last-child td").nth(k).inner_text()) for k in (0, 1)]


def vectors(desk):
    page = opened(desk, "vectors")
    page.locator(HOST).wait_for()
    for angle, turn, cutoff, rounds, bias in ((104.5, 0, 1.3, 1, 0), (150, 77, 1.3, 3, 0), (95, -40, 2.2, 2, 1)):
        for name, value in (("angle", angle), ("turn", turn), ("cutoff", cutoff)):
            set_slider(page, name, value)
        page.locator(f"label:has(input[value='{rounds}'])").click()
        page.locator("input.bias").set_checked(bool(bias))
        expected = heard(angle, turn, cutoff, rounds, bias * explain.BIAS)
        desk.check(np.allclose(read_out(page), expected, atol=6e-4), f"{read_out(page)}; NumPy says {expected}")
        print(f"angle {angle}, turned {turn}, cutoff {cutoff}, {rounds} rounds, bias {bias}: {read_out(page)}")
    desk.photograph(page, "vectors-bias")
    biased = read_out(page)
    set_slider(page, "turn", 60)
    desk.check(read_out(page)[0] == biased[0], "the blind network feels a turn")
    desk.check(read_out(page)[1] != biased[1], "the bias is not felt when the molecule turns")
    page.locator("input.bias").uncheck()
    hands(desk, page)
    page.context.close()


def hands(desk, page):
    """Bent by a hydrogen: the seeing network changes, the blind one does not; turned: none does."""
    set_slider(page, "cutoff", 1.3)
    set_slider(page, "angle", 120)
    before = read_out(page)
    x, y = middle(page, ".touch[data-grip=bend]")
    drag(page, (x, y), (x + 20, y + 40))
    bent = read_out(page)
    desk.check(text(page, ".of-angle") != "120.0°", "the hydrogen cannot be dragged")
    desk.check(bent[0] == before[0] and bent[1] != before[1], f"bent from {before} to {bent}")
    drag(page, middle(page, ".touch[data-grip=turn]"), middle(page, ".room"))
    desk.check(text(page, ".of-turn") != "60°", "the molecule cannot be turned by its handle")
    desk.check(read_out(page) == bent, "a turn changes what is read out")
    page.locator("input.angle").focus()
    page.keyboard.press("ArrowLeft")
    desk.check(read_out(page)[1] != bent[1], "the arrow keys do not bend")
    page.emulate_media(color_scheme="dark")
    desk.photograph(page, "vectors-dark")


# ---------------------------------------------------------------- the map


def mean_error(page):
    return int(re.match(r"\d+", text(page, ".big"))[0])


def label_map(desk):
    page = opened(desk, "labelmap")
    page.locator(HOST).wait_for()
    begun = mean_error(page)
    field = page.locator(".said .field").bounding_box()
    page.mouse.click(field["x"] + 0.02 * field["width"], field["y"] + 0.98 * field["height"])
    desk.check("with 1 label" in text(page, ".big"), f"a click labels nothing: {text(page, '.big')}")
    desk.check("−180°, C–C–O–H −180°" in text(page, ".place"), f"elsewhere: {text(page, '.place')}")
    said, true = re.search(r"says (\d+) ±.*GFN2-xTB (\d+)", text(page, ".place")).groups()
    desk.check(abs(int(said) - int(true)) <= 3, f"at a label: {text(page, '.place')}")
    page.locator(".said .field").focus()
    for key in ("ArrowRight",) * 6 + ("ArrowUp",) * 6 + ("Enter",):
        page.keyboard.press(key)
    desk.check("with 2 labels" in text(page, ".big"), "Enter labels nothing")
    for _ in range(8):
        page.locator(".most").click()
    page.wait_for_timeout(300)
    desk.check(mean_error(page) < 0.7 * begun, f"labels do not help: {begun} meV, then {mean_error(page)}")
    print(f"label map: {begun} meV without labels, {mean_error(page)} with ten; {text(page, '.agree')}")
    ours = mean_error(page)
    page.locator("label", has_text="nothing").click()
    desk.check(mean_error(page) > ours, "a start from nothing is as good as one from MMFF94")
    desk.check(page.locator(".error .label").count() == 10, "labels are not on the map")
    desk.photograph(page, "labelmap")
    page.locator(".clear").click()
    desk.check("with 0 labels" in text(page, ".big"), "clear leaves labels")
    page.context.close()


# ---------------------------------------------------------------- two knobs


def made_up():
    """Made-up models, whose forces feel the bonds and whose g(r) feels the charges."""
    r = np.linspace(2, 5, 31)
    how = {"n_molecules": 64, "picoseconds": 20.0, "diffusion_error": 0.2, "r": r.tolist()}
    rows = [
        {
            "bonds": b, "between": c, "force_mae": 800 * b + 200 * c, "deform_mae": 800 * b, "between_mae": 200 * c,
            "diffusion": 2.3 + 20 * c, "g": (1 + 2 * np.exp(-(((r - 2.8) / 0.2) ** 2)) * (1 - c)).tolist(), **how,
        }
        for b in SHARES for c in SHARES
    ]  # fmt: skip
    return explain.two_knobs({"rows": rows})


def knobs(desk):
    page = desk.page(made_up())
    page.locator(HOST).wait_for()
    desk.check(text(page, ".big").startswith("320 meV/Å"), f"it begins with {text(page, '.big')}")
    page.locator("input.bonds").focus()
    page.keyboard.press("Home")
    desk.check(text(page, ".words").startswith("Both knobs at zero"), f"no knob turned: {text(page, '.words')}")
    page.mouse.click(*middle(page, ".pads .cell", 2))
    desk.check(text(page, ".of-between") == "40 %", f"a click on a cell: {text(page, '.of-between')}")
    desk.check(text(page, ".big").startswith("80 meV/Å"), f"a click on a cell: {text(page, '.big')}")
    desk.check("10.3 ± 0.2" in text(page, "tbody"), f"diffusion: {text(page, 'tbody')}")
    desk.photograph(page, "knobs")
    page.context.close()


# ---------------------------------------------------------------- phones, paper, notebooks


def phone(desk):
    """390 pixels wide nothing sticks out, and a finger moves the ruler."""
    for name in EVERY:
        for theme in ("light", "dark"):
            page = opened(desk, name, color_scheme=theme, **PHONE)
            page.locator(HOST).wait_for()
            desk.check(page.evaluate("document.documentElement.scrollWidth") <= 390, f"{name} is wider than a phone")
            if name == "ruler":
                begun = page.locator(".ruler").get_attribute("aria-valuenow")
                touch(page, *middle(page, ".ruler .grip"))
                page.wait_for_timeout(150)
                moved = page.locator(".ruler").get_attribute("aria-valuenow")
                desk.check(moved != begun, "a finger does not move the ruler")
            desk.photograph(page, f"{name}-phone-{theme}")
            page.context.close()


def touch(page, x, y):
    """A finger that goes down at a place, and up the page."""
    devtools = page.context.new_cdp_session(page)
    for kind, steps in (("touchStart", [0]), ("touchMove", range(1, 9)), ("touchEnd", [8])):
        for step in steps:
            points = [] if kind == "touchEnd" else [{"x": x, "y": y - 6 * step}]
            devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def no_scripts(desk):
    for name in EVERY:
        page = opened(desk, name, java_script_enabled=False)
        still = page.locator("img")
        desk.check(still.count() == 1 and still.bounding_box()["width"] > 300, f"{name}: no picture without scripts")
        page.context.close()


def stills(desk):
    """What the package ships for readers without scripts: how each explanation begins."""
    for name in EVERY:
        page = opened(desk, name, viewport={"width": 812, "height": 900}, device_scale_factor=1.5)
        page.locator(HOST).wait_for()
        page.wait_for_timeout(300)
        image = Image.open(io.BytesIO(page.locator(HOST).screenshot())).convert("RGB")
        path = FOLDER / f"{name}.png"
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
        page.context.close()


def notebook(desk):
    """In JupyterLab all stand there, answer when the kernel is dead, and follow the theme."""
    source = "import os\nfrom tpainn_lite.page import explain\nprint('pid', os.getpid())\n"
    cells = [nbformat.v4.new_code_cell(text) for text in (source + "explain.ruler()", "explain.vectors()")]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    folder, name = desk.folder / "lab", "explain.ipynb"
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / name)
    lab._copy([folder / name], folder)
    with lab._jupyter(folder, "lab") as server:
        page = desk.browser.new_page(viewport={"width": 1300, "height": 1400})
        lab._listen(page, server, desk.report)
        page.goto(f"{server.url}/lab/tree/notebooks/{name}?token={server.token}&reset")
        lab._run_all(page, desk.report, 180)
        page.locator(HOST).nth(1).wait_for(timeout=60_000)
        psutil.Process(int(page.locator("pre", has_text="pid").first.inner_text().split()[1])).kill()
        page.locator(".ruler").focus()
        begun = page.locator(".ruler").get_attribute("aria-valuenow")
        page.keyboard.press("ArrowUp")
        page.wait_for_timeout(300)
        desk.check(page.locator(".ruler").get_attribute("aria-valuenow") != begun, "JupyterLab keeps the keys")
        set_slider(page, "angle", 140)
        desk.check(text(page, ".of-angle") == "140.0°", "without its kernel it stands still")
        page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
        page.wait_for_timeout(2000)
        desk.check(page.locator(HOST).first.get_attribute("data-theme") == "dark", "it does not follow the theme")
        desk.photograph(page, "jupyterlab-dark")
        page.close()


if __name__ == "__main__":
    sys.exit(main())
