"""Figures: every axis has a quantity and a unit, and what is drawn is what was given."""

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from tpainn_lite.show import plots
from tpainn_lite.simulate.md import MDRun

ROWS = [
    {"method": method, "n_train": n, "seed": seed, "force_mae": error + 10 * seed}
    for method, n, error in (("T-PaiNN", 10, 400), ("T-PaiNN", 50, 300), ("from scratch", 10, 800))
    for seed in (0, 1, 2)
]


def test_a_learning_curve_shows_means_spreads_and_baselines():
    figure = plots.learning_curve(ROWS, lines={"zero": 900})
    tuned = figure.data[0]
    assert list(tuned.x) == [10, 50]
    assert list(tuned.y) == [410, 310]
    assert list(tuned.error_y.array) == pytest.approx([10, 10])
    assert figure.layout.annotations[0].text == "zero" and "meV/Å" in figure.layout.yaxis.title.text


def test_a_single_seed_has_no_error_bar():
    assert plots.learning_curve(ROWS[:1]).data[0].error_y.array[0] == 0


def test_a_gain_is_a_ratio_seed_by_seed():
    rows = [
        {"method": method, "n_train": n, "seed": seed, "force_mae": error * (1 + seed)}
        for method, error in (("tuned", 100.0), ("scratch", 300.0), ("other", 1.0))
        for n in (10, 50)
        for seed in (0, 1)
    ]
    figure = plots.gain(rows, "tuned", "scratch")
    assert [trace.name for trace in figure.data] == ["tuned", "scratch", "ratio"]
    ratio = figure.data[2]
    assert list(ratio.y) == [3, 3] and list(ratio.error_y.array) == [0, 0] and ratio.yaxis == "y2"
    assert figure.layout.yaxis2.range[0] < 0 < np.log10(3) < figure.layout.yaxis2.range[1]
    with pytest.raises(ValueError, match="choose one task and one subset"):
        plots.gain([*rows, rows[0]], "tuned", "scratch")


def test_parity_names_the_error_and_stays_light():
    reference = [np.linspace(-1, 1, 9000).reshape(-1, 3)]
    figure = plots.parity(reference, {"off by 0.1": [reference[0] + 0.1]})
    assert figure.data[1].name == "off by 0.1: MAE 100 meV/Å"
    assert len(figure.data[1].x) == plots.MAX_POINTS


def test_history_and_md_traces_have_units():
    rows = [{"step": 10, "force_mae": 5.0}, {"step": 20, "force_mae": 4.0}]
    assert plots.history({"run": rows}, "force_mae").layout.yaxis.title.text == "force MAE / meV/Å"
    run = MDRun(time=[0, 1], temperature=[300, 310], total_energy=[1.0, 1.5])
    assert plots.md_traces({"run": run}, "temperature").layout.yaxis.title.text.endswith("/ K")
    assert list(plots.md_traces({"run": run}).data[0].y) == [0, 0.5]


def test_the_name_of_a_line_stands_on_the_line():
    figure = plots.learning_curve(ROWS, lines={"zero": 900})
    assert figure.layout.yaxis.type == "log"
    assert 10 ** figure.layout.annotations[0].y == pytest.approx(900)


def test_ticks_of_logarithmic_axes_are_round_numbers_within_the_axis():
    figure = plots.learning_curve(ROWS)
    low, high = (10**end for end in figure.layout.yaxis.range)
    assert len(figure.layout.yaxis.tickvals) >= 3 and all(low <= tick <= high for tick in figure.layout.yaxis.tickvals)
    assert "400" in figure.layout.yaxis.ticktext


def test_a_histogram_gives_each_group_its_share_in_common_bins():
    figure = plots.histogram({"few": [0.0, 1.0], "many": [0.0] * 30 + [1.0] * 10}, "x / Å", n_bins=2)
    assert [list(trace.y) for trace in figure.data] == [[0.5, 0.5], [0.75, 0.25]]
    assert list(figure.data[0].x) == list(figure.data[1].x) and figure.layout.xaxis.title.text == "x / Å"


def test_a_live_plot_redraws_one_output(tmp_path):
    """In a real kernel: an output that is shown anew each time would pile up."""
    code = """
from tpainn_lite.show import plots
watch = plots.live_history("run")
for n in (1, 2, 3):
    watch([{"step": k + 1, "train_loss": 1 / (k + 1)} for k in range(n)])
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    (cell,) = NotebookClient(notebook, kernel_name="python3", resources={}, timeout=60).execute().cells
    assert len(cell.outputs) == 1
    widgets = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    (drawn,) = [output for model in widgets for output in model["state"].get("outputs", ())]
    assert drawn["data"]["application/vnd.plotly.v1+json"]["data"][0]["x"] == [1, 2, 3]


def test_outside_a_notebook_a_live_plot_is_silent(capsys):
    plots.live_history("run")([{"step": 1, "train_loss": 1.0}])
    assert capsys.readouterr().out == ""


def test_panels_name_every_curve_once_and_every_axis():
    curves = {"r / Å": {"DFT": ([1, 2], [3, 4]), "MMFF94": ([1, 2], [3, 5])}, "θ / degrees": {"DFT": ([90], [0.1])}}
    figure = plots.panels(curves, "energy / eV")
    assert [trace.name for trace in figure.data if trace.showlegend] == ["DFT", "MMFF94"]
    assert [figure.layout.xaxis.title.text, figure.layout.xaxis2.title.text] == ["r / Å", "θ / degrees"]
    assert figure.layout.yaxis.title.text == "energy / eV"
    assert {trace.mode for trace in figure.data if trace.name == "DFT"} == {"markers"}
    assert figure.data[0].marker.color == figure.data[2].marker.color


def test_the_browser_hears_of_a_figure_once_its_traces_are_there(monkeypatch):
    """Or else a busy one draws none, for ever."""
    import ipywidgets

    sent, really_open = [], ipywidgets.Widget.open

    def spy(self):
        sent.append(self.get_state())
        really_open(self)

    monkeypatch.setattr(ipywidgets.Widget, "open", spy)
    plots.in_place(plots.lines({"spring": ([0, 1], [0, 2])}, "x", "y"))
    assert [len(state["_widget_data"]) for state in sent if "_widget_data" in state] == [1]


def test_a_slider_redraws_the_figure_in_place():
    def draw(k, kind):
        drawn = plots.lines({kind: ([0, 1], [0, k])}, "r / Å", "energy / eV", title=f"k = {k:g}")
        return drawn.update_yaxes(range=[0, k])

    box = plots.interactive(draw, k=(1, 9, 0.5, 5), kind=["spring", "Morse"])
    (k, kind), figure = box.children[0].children, box.children[1]
    assert (list(figure.data[0].y), figure.data[0].name) == ([0, 5], "spring")
    k.value, kind.value = 7.5, "Morse"
    assert (list(figure.data[0].y), figure.data[0].name) == ([0, 7.5], "Morse")
    assert figure.layout.title.text == "k = 7.5" and figure.layout.yaxis.range == (0, 7.5)
    assert k.readout_format == ".1f"


def test_simulations_that_break_are_steps_down_inside_their_band():
    rows = [{"method": "scratch", "picoseconds": ps, "stopped": "a bond broke"} for ps in (1.0, 2.0, 4.0)]
    rows += [{"method": "T-PaiNN", "picoseconds": 10.0, "stopped": None}] * 4
    figure = plots.survival(rows)
    high, low, share = figure.data[:3]
    np.testing.assert_allclose(share.y, [1, 2 / 3, 1 / 3, 0])
    assert share.x.tolist() == [0.5, 1, 2, 4] and share.line.shape == "hv" and share.name == "scratch"
    assert (low.y <= share.y).all() and (share.y <= high.y).all() and low.fill == "tonexty"
    assert figure.data[-1].y.tolist() == [1, 1] and figure.layout.xaxis.type == "log"


def test_arrows_start_at_their_atoms_and_point_where_they_should():
    positions, vectors = np.array([[0.0, 0, 0], [1, 2, 3]]), np.array([[0, 0, 2.0], [1, 0, 0]])
    figure = plots.arrows(["O", "H"], positions, vectors, title="two")
    bonds, shafts, heads, atoms = figure.data
    assert bonds.x.size == 0, "two atoms 3.7 Å apart are not bonded"
    assert list(shafts.z[:2]) == [0.0, 1.2] and list(shafts.x[3:5]) == [1.0, 1.6]
    assert list(heads.u) == pytest.approx([0, 0.6]) and list(atoms.y) == [0, 2]
    box = plots.interactive(lambda up: plots.arrows(["O", "H"], positions, vectors + [0, 0, up]), up=[0, 2])
    box.children[0].children[0].value = 2
    assert box.children[1].data[1].z[1] == pytest.approx(1.2)


def test_a_method_has_the_same_colour_in_every_figure_and_no_two_of_a_figure_share_one():
    one = plots.lines({"MMFF94": ([0], [0]), "from scratch, 50": ([0], [0]), "T-PaiNN, 50": ([0], [0])}, "x", "y")
    two = plots.parity([0.0, 1.0], {"T-PaiNN": [0.0, 1.0], "from scratch": [0.0, 1.0], "other": [0.0, 1.0]})
    colours = {trace.name.split(",")[0].split(":")[0]: trace.line.color for trace in one.data}
    again = {trace.name.split(":")[0]: trace.marker.color for trace in two.data[1:]}
    assert colours["T-PaiNN"] == again["T-PaiNN"] != colours["from scratch"] == again["from scratch"]
    many = plots.bars(["a"], {f"T-PaiNN, {k}": [1] for k in range(7)}, "x", "y")
    assert len({trace.marker.color for trace in many.data}) == 7


def rows_without(key):
    return [{name: value for name, value in row.items() if name != key} for row in ROWS]


def run_of(**series):
    return MDRun(**({"time": [0, 1], "temperature": [300, 310], "total_energy": [1.0, 1.5]} | series))


ONE = np.zeros((1, 3))
WRONG = {
    "history": [({},), ([],), ({"a": []},), ({"a": [{"step": 1}]},), ({"a": [{"step": 1, "train_loss": "x"}]},),
                ({"a": [{"step": 1, "train_loss": 0.0}]},), ({"a": 5},)],
    "parity": [([], {"a": []}), ([1.0], {}), ([1.0], [1.0]), ([1.0, 2.0], {"a": [1.0]}), (["x"], {"a": ["x"]}),
               (5, {"a": [1]})],
    "learning_curve": [([],), ({},), (rows_without("force_mae"),), (rows_without("n_train"),), ("rows",),
                       ([{**ROWS[0], "force_mae": "x"}],), ([{**ROWS[0], "n_train": -1}],), (ROWS, {"zero": 0.0}),
                       (ROWS, [1])],
    "gain": [([], "a", "b"), (ROWS, "T-PaiNN", "soup"), (rows_without("seed"), "T-PaiNN", "from scratch")],
    "md_traces": [({},), ({"a": 5},), ({"a": run_of()}, "speed"), ({"a": MDRun()},), ({"a": run_of(time=[0])},)],
    "histogram": [({}, "x"), ({"a": []}, "x"), ({"a": [np.nan]}, "x"), ({"a": ["x"]}, "x"), ({"a": [1.0]}, "x", 0)],
    "bars": [(["a"], {}, "x", "y"), (["a"], {"n": [1, 2]}, "x", "y"), (["a"], {"n": ["x"]}, "x", "y")],
    "lines": [([], "x", "y"), ({"a": 5}, "x", "y"), ({"a": ([1, 2], [1])}, "x", "y"), ({"a": ([1], ["x"])}, "x", "y")],
    "panels": [({}, "y"), ({"x": {}}, "y"), ({"x": {"a": [1]}}, "y"), ({"x": 5}, "y")],
    "arrows": [([], [], []), (["O"], ONE, np.zeros((2, 3))), (["O"], [[1, 2]], ONE), (["O"], ONE, ONE * np.nan),
               (["O"], "x", ONE)],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_drawn_is_an_error_in_a_sentence(name):
    for arguments in WRONG[name]:
        with pytest.raises((ValueError, TypeError), match=r"expected|is not one of|needs|has no|finite"):
            getattr(plots, name)(*arguments)
    for control in ([], (1, 2), (1, 0, 1, 1), (0, 1, 0, 1), (0, 1, 0.1, np.nan), 5):
        with pytest.raises((ValueError, TypeError), match="expected"):
            plots.interactive(lambda k: plots.lines({}, "x", "y"), k=control)


def test_what_is_on_the_axis_of_a_parity_plot_is_what_the_caller_says():
    assert plots.parity([1.0], {"a": [1.0]}).layout.xaxis.title.text.startswith("reference force")
    titles = plots.parity([1.0], {"a": [1.0]}, reference_name="MMFF94").layout.xaxis.title.text
    assert titles == "MMFF94 force component / eV/Å"


def test_names_are_shown_as_they_are_written_and_never_obeyed():
    bad, safe = "<img src=x>", "&lt;img src=x&gt;"
    figures = [
        plots.parity([1.0], {bad: [1.0]}, reference_name=bad, title=bad),
        plots.learning_curve([{**ROWS[0], "method": bad}], lines={bad: 1.0}, title=bad),
        plots.bars([bad], {bad: [1]}, bad, bad),
        plots.panels({bad: {bad: ([1], [1])}}, bad),
        plots.history({bad: [{"step": 1, "train_loss": 1.0}]}),
        plots.histogram({bad: [1.0]}, bad),
    ]
    for figure in figures:
        drawn = figure.to_json().replace("\\u003c", "<").replace("\\u003e", ">")
        assert safe in drawn and '"' + bad not in drawn.replace('"legendgroup":"' + bad, "")
