"""A page without a kernel stays alive: what the states of a figure hold, and what a browser makes of them."""

import json
import runpy
import shutil
from pathlib import Path

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest

from tpainn_lite.course import teach
from tpainn_lite.show import plots, sliders, states

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DATA, SHEET = "application/vnd.plotly.v1+json", "text/html"


@pytest.fixture
def in_a_page(monkeypatch):
    monkeypatch.setenv(sliders.PAGE, "yes")


def spring(k):
    r = np.linspace(0.8, 1.2, 20)
    return plots.lines(
        {"spring": (r, k * (r - 1) ** 2), "zero": (r, 0 * r)}, "r / Å", "energy / eV", title=f"k = {k:g}"
    )


def merged(spec, state):
    """What the page's script makes of a state."""

    def merge(target, change):
        for key, value in change.items():
            place = int(key) if isinstance(target, list) else key
            known = target[place] if isinstance(target, list) else target.get(place)
            if value is None:
                target.pop(place)
            elif isinstance(value, dict) and isinstance(known, (dict, list)):
                merge(known, value)
            else:
                target[place] = value
        return target

    return merge(
        json.loads(json.dumps({"data": spec["data"], "layout": spec["layout"]})), spec["states"]["changes"][state]
    )


def bundle(widget):
    return widget._repr_mimebundle_(include=None, exclude=None)


def test_every_state_can_be_put_together_from_the_first_and_what_it_changes(in_a_page):
    spec = bundle(plots.interactive(spring, k=(1, 9, 1, 5)))[DATA]
    assert spec["states"]["controls"] == [{"name": "k", "labels": [str(k) for k in range(1, 10)], "start": 4}]
    assert spec["states"]["changes"][4] == {}
    for state, k in enumerate(range(1, 10)):
        made, right = merged(spec, state), spring(k)
        assert made["layout"]["title"]["text"] == f"k = {k}"
        assert np.allclose(made["data"][0]["y"], right.data[0].y, rtol=1e-4)
    assert set(spec["states"]["changes"][0]["data"]) == {"0"}, "the curve that stays is stored once"


def test_two_controls_are_a_grid_with_the_last_one_fastest(in_a_page):
    def draw(k, name):
        return plots.lines({name: ([0, 1], [0, k])}, "x", "y")

    spec = bundle(plots.interactive(draw, k=(1, 3, 1, 1), name=["a", "b"]))[DATA]
    made = [merged(spec, state)["data"][0] for state in range(6)]
    assert [(trace["name"], trace["y"][1]) for trace in made] == [(n, k) for k in (1, 2, 3) for n in "ab"]


def test_long_sliders_are_thinned_evenly_and_keep_where_they_start(in_a_page):
    (control,) = bundle(plots.interactive(spring, k=(1, 1000, 1, 437)))[DATA]["states"]["controls"]
    assert len(control["labels"]) == states.MOST_OF_ONE and control["labels"][control["start"]] == "437"
    assert (control["labels"][0], control["labels"][-1]) == ("1", "1000")
    steps = np.diff([int(text) for text in control["labels"]])
    assert steps.max() < 2.1 * steps.mean()
    spec = bundle(plots.interactive(lambda a, b, c: spring(a + b), a=(0, 9, 0.1, 2), b=(0, 9, 0.1, 3), c=["x", "y"]))[
        DATA
    ]
    sizes = [len(control["labels"]) for control in spec["states"]["controls"]]
    assert sizes[2] == 2 and np.prod(sizes) == len(spec["states"]["changes"]) <= states.MOST


def test_a_figure_with_many_points_has_fewer_states_and_stays_small(in_a_page):
    noise = np.random.default_rng(0).normal(size=(40, 3000))
    spec = bundle(plots.interactive(lambda k: go.Figure(go.Scatter(y=noise[int(k)])), k=(0, 39, 1, 0)))[DATA]
    assert len(json.dumps(spec, separators=(",", ":"))) <= states.BYTES
    assert 2 <= len(spec["states"]["changes"]) < 40


def test_numbers_keep_five_digits_of_themselves_and_of_their_range():
    assert states.plain(np.array([1e-7 / 3, 1000 / 3])) == [3.3333e-08, 333.33]
    assert states.plain([-40000.1234567, -40000.2]) == [-40000.123457, -40000.2]
    assert states.plain(np.array([[1.0, np.nan], [2.0, np.inf]])) == [[1, None], [2, None]]
    assert states.plain(("a", np.array(["b"]), np.float64(0.5), True, None)) == ["a", ["b"], 0.5, True, None]


def test_in_a_live_notebook_nothing_is_computed_ahead(monkeypatch):
    monkeypatch.delenv(sliders.PAGE, raising=False)
    calls = []
    box = plots.interactive(lambda k: calls.append(k) or spring(k), k=(1, 9, 1, 5))
    assert len(calls) == 1 and DATA not in bundle(box)


def test_one_figure_for_each_state_changes_in_a_notebook_and_in_a_page(in_a_page):
    box = plots.states({n: plots.parity([0.0, 1.0], {"model": [0.0, n]}) for n in (10, 50)}, "DFT labels")
    slider, figure = box.children[0].children[0], box.children[1]
    assert slider.description == "DFT labels" and figure.data[1].y[1] == 10
    slider.value = 50
    assert figure.data[1].y[1] == 50
    assert merged(bundle(box)[DATA], 1)["data"][1]["y"] == [0, 50]


def test_figures_that_cannot_follow_each_other_are_refused():
    one, two = plots.lines({"a": ([0], [0])}, "x", "y"), plots.bars(["a"], {"b": [1]}, "x", "y")
    for figures in ({}, [one], {1: one, 2: two}, {1: one, 2: plots.lines({}, "x", "y")}, {1: "figure"}):
        with pytest.raises(ValueError, match="expected"):
            plots.states(figures, "n")


def test_a_question_with_an_answer_says_whether_the_guess_is_right_and_why():
    for answer in (1, "two"):
        box = teach.predict("How many?", ["one", "two"], answer=answer, because="One & one.")
        for button, words in zip(box.children[1].children, ("Not so: <b>two</b>.", "<b>Right.</b>"), strict=True):
            button.click()
            assert words in box.children[2].value and box.children[2].value.endswith("One &amp; one.")
        assert "<summary>two</summary><p>Your guess: <b>two</b>. <b>Right.</b> One &amp; one.</p>" in bundle(box)[SHEET]
    for answer in ("three", 2, -1, True, ["one"], 0.5):
        with pytest.raises(ValueError, match="expected"):
            teach.predict("How many?", ["one", "two"], answer=answer)


def cell(widget):
    output = nbformat.v4.new_output("display_data", bundle(widget))
    return nbformat.v4.new_code_cell("...", outputs=[output])


def test_a_slider_and_a_question_answer_in_a_browser_without_a_kernel(in_a_page, tmp_path, monkeypatch):
    sync = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser")
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        pytest.skip("no Chromium here")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    page_of = runpy.run_path(str(ROOT / "docs" / "build_page.py"))
    grid = plots.interactive(
        lambda k, sign: spring(k * (1 if sign == "up" else -1)), k=(1, 9, 1, 5), sign=["up", "down"]
    )
    asked = teach.predict("How many?", ["one", "two"], answer=1, because="Count.")
    notebook = nbformat.v4.new_notebook(cells=[cell(grid), cell(asked)])
    page_of["Page"](notebook)
    (tmp_path / "page.html").write_text(page_of["to_page"](notebook), encoding="utf-8")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, said = browser.new_context(offline=True).new_page(), []
        page.on(
            "console",
            lambda m: said.append(m.text) if m.type in ("error", "warning") and "MathJax" not in m.text else 0,
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        figure = page.locator("figure.plot")
        figure.locator(".trace").first.wait_for()
        looks = [figure.locator(".live").screenshot()]
        page.get_by_role("slider", name="k").fill("8")
        page.wait_for_function("document.querySelector('figcaption').textContent === 'k = 9'")
        looks.append(figure.locator(".live").screenshot())
        page.get_by_role("combobox", name="sign").select_option("down")
        page.wait_for_function("document.querySelector('figcaption').textContent === 'k = -9'")
        looks.append(figure.locator(".live").screenshot())
        page.locator("summary", has_text="one").click()
        assert page.get_by_text("Not so: two. Count.").is_visible()
        browser.close()
    assert len(set(looks)) == 3, "each control changes what is seen"
    assert not [text for text in said if "ERR_INTERNET" not in text]


def contrast(one, other):
    """Of two greys, #RRGGBB: by the rule of the WCAG, from 1 to 21."""
    shares = [int(grey[1:3], 16) / 255 for grey in (one, other)]
    light = [((share + 0.055) / 1.055) ** 2.4 if share > 0.04 else share / 12.92 for share in shares]
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_words_can_be_read_on_light_and_on_dark_paper():
    layout = plots.lines({"DFT": ([0, 1], [0, 1])}, "x", "y").layout.template.layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert all(contrast(layout.font.color, paper) > 4 for paper in ("#ffffff", "#111111"))
    script = (ROOT / "docs" / "site" / "site.figures.js").read_text(encoding="utf-8")
    assert layout.font.color in script, "a page puts its own ink in the place of this grey"
