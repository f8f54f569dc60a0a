"""Figures: every axis has a quantity and a unit, and what is drawn is what was given."""

import numpy as np
import pytest

from tpainn_lite import plots
from tpainn_lite.md import MDRun

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


def test_a_live_plot_redraws_one_output(monkeypatch):
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(figure)

    monkeypatch.setattr("IPython.display.display", lambda figure, display_id: shown.append(figure) or Handle())
    watch = plots.live_history("run")
    watch([{"step": 1, "train_loss": 2.0}])
    watch([{"step": 1, "train_loss": 2.0}, {"step": 2, "train_loss": 1.0}])
    assert [len(figure.data[0].x) for figure in shown] == [1, 2]
