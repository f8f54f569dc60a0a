"""The offline page: what a run notebook showed is still there when the kernel and the network are gone."""

import base64
import re
import runpy
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
PAGE = runpy.run_path(str(ROOT / "docs" / "build_page.py"))
NUMBERS = runpy.run_path(str(ROOT / "docs" / "readme_numbers.py"))

FIGURE = {"data": [{"type": "scatter", "y": [1, 3, 2]}], "layout": {}}
WIDGET = {"model_id": "top", "version_major": 2, "version_minor": 0}


def executed(*bundles, models=None, tags=()):
    outputs = [nbformat.v4.new_output("display_data", data) for data in bundles]
    cell = nbformat.v4.new_code_cell("...", outputs=outputs, metadata={"tags": list(tags)})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A title"), cell])
    state = {key: {"model_name": "Model", "model_module": "m", **model} for key, model in (models or {}).items()}
    notebook.metadata.widgets = {PAGE["WIDGET_STATE"]: {"state": state, "version_major": 2, "version_minor": 0}}
    return notebook


def offline(notebook):
    page = PAGE["Page"](notebook)
    return page.n_figures, [output.data for output in notebook.cells[1].outputs]


def test_plotly_js_is_in_the_page_once():
    notebook = executed({PAGE["PLOTLY"]: FIGURE}, {PAGE["PLOTLY"]: FIGURE})
    n_figures, shown = offline(notebook)
    assert n_figures == 2
    assert len(shown[0]["text/html"]) > 1e6 > len(shown[1]["text/html"])


def test_a_widget_gives_way_to_the_picture_that_came_with_it():
    _, shown = offline(executed({PAGE["WIDGET"]: WIDGET, "image/png": "iVBO", "text/plain": "NGLWidget()"}))
    assert [set(data) for data in shown] == [{"image/png", "text/plain"}]


def test_a_figure_among_controls_is_shown_with_its_numbers():
    stored = base64.b64encode(np.arange(5.0).tobytes()).decode()
    figure = {
        "state": {"_widget_data": [{"y": {"dtype": "float64", "shape": [5]}}], "_widget_layout": {}},
        "buffers": [{"path": ["_widget_data", 0, "y", "buffer"], "encoding": "base64", "data": stored}],
    }
    models = {"top": {"state": {"children": ["IPY_MODEL_slider", "IPY_MODEL_figure"]}}, "slider": {"state": {}}}
    notebook = executed({PAGE["WIDGET"]: WIDGET, "text/plain": "VBox()"}, models={**models, "figure": figure})
    n_figures, shown = offline(notebook)
    assert n_figures == 1
    assert stored in shown[0]["text/html"].replace(r"\u002f", "/")
    assert "live notebook" in shown[1]["text/html"]


def test_a_finished_progress_bar_leaves_nothing_and_a_lone_control_one_line():
    _, shown = offline(executed({PAGE["WIDGET"]: WIDGET, "text/plain": "steps:   0%|          | 0/30"}))
    assert shown == []
    _, shown = offline(executed({PAGE["WIDGET"]: WIDGET, "text/plain": "IntSlider(value=0)"}))
    assert "live notebook" in shown[0]["text/html"]


def test_the_page_holds_the_title_and_asks_no_network_for_scripts_but_formulas():
    notebook = executed({PAGE["PLOTLY"]: FIGURE})
    PAGE["Page"](notebook)
    html = PAGE["to_page"](notebook)
    assert "<title>A title</title>" in html
    sources = re.findall(r'<script[^>]*src="(http[^"]*)"', html)
    assert [source for source in sources if "mathjax" not in source] == []


def test_code_that_holds_an_answer_is_not_in_the_page():
    notebook = executed({"text/html": "<p>How many?</p>"})
    notebook.cells[1].source = "teach.predict('How many?', ['one'], answer=0)"
    notebook.cells[1].metadata["jupyter"] = {"source_hidden": True}
    PAGE["Page"](notebook)
    html = PAGE["to_page"](notebook)
    assert "<p>How many?</p>" in html and "answer=0" not in html and "teach" not in html


def test_tagged_cells_are_printed_as_text():
    notebook = executed({"text/plain": "n  error"}, tags=["result-table"])
    assert PAGE["printed"](notebook, "result-table") == "n  error"
    assert PAGE["printed"](notebook, "receipt") == ""


def test_the_table_of_the_readme_has_mean_and_spread_over_seeds():
    rows = [
        {"method": method, "n_train": n, "seed": seed, "force_mae": error + seed, "energy_mae": error / 10}
        for method, error in (("tpainn", 100.0), ("scratch_atomref", 300.0))
        for n in (10, 50)
        for seed in (0, 2, 4)
    ]
    bare = {"tpainn_untuned": 110.0, "force_field": 120.0}
    rows += [{"method": method, "n_train": 0, "seed": 0, "force_mae": error} for method, error in bare.items()]
    text = NUMBERS["errors_block"]({"rows": rows, "seconds": 120})
    assert "| 10 | 302 ± 2 | 102 ± 2 |" in text
    assert "3 seeds; made in 2 min" in text and "network 110, MMFF94, its teacher, 120" in text
    assert "30 meV/atom\nwithout pretraining, 10 with it" in text


def test_the_table_of_speed_takes_each_package_at_its_best(monkeypatch):
    row = {"case": "MD step", "system": "64 H2O", "threads": 1}
    seconds = {"tpainn_lite": 0.01, "SchNetPack 2.1.1": 0.1, "SchNetPack 2.1.1, skin list": 0.08, "graph-pes 1": 0.3}
    speed_block = NUMBERS["speed_block"]
    monkeypatch.setitem(speed_block.__globals__, "CASES", [("MD step", "64 H2O"), ("MD step", "512 H2O")])
    text = speed_block({"rows": [{**row, "implementation": name, "seconds": s} for name, s in seconds.items()]})
    assert text.splitlines()[-1] == "| MD step, 64 H2O | 10 ms | – | 8.0× | 30.0× |"


def test_the_readme_quotes_what_was_measured():
    subprocess.run([sys.executable, "docs/readme_numbers.py", "--check"], cwd=ROOT, check=True)
