"""The dashboard runs MD tick by tick, follows its sliders, starts again with another model, and stops when it must."""

import time

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from conftest import shaken

from tpainn_lite.show.dashboard import REDRAWN, md_dashboard
from tpainn_lite.structures.build import molecule, water_box
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.teachers.water import water


@pytest.fixture
def ethanol_panel():
    return md_dashboard(
        molecule("CCO"), {"MMFF94": mmff94(), "too hot": LennardJones(epsilon=50.0, sigma=3.0)}, interval=20
    )


def tick(panel, n=1):
    for _ in range(n):
        panel.player.value += 1


def test_each_tick_moves_time_atoms_and_traces(ethanol_panel):
    before = ethanol_panel.simulation.work.positions.copy()
    tick(ethanol_panel, 2 * REDRAWN)
    assert ethanol_panel.simulation.time > 0 and not np.allclose(before, ethanol_panel.simulation.work.positions)
    assert len(ethanol_panel.traces.data[0].x) == 2 * REDRAWN + 1 and "ps" in ethanol_panel.note.value
    assert ethanol_panel.traces.data[1].y[0] == 0, "the energy counts from the start"
    assert "image/png" in ethanol_panel._repr_mimebundle_()


def test_without_ticks_nothing_runs(ethanol_panel):
    tick(ethanol_panel)
    before = ethanol_panel.simulation.time
    time.sleep(0.2)
    assert ethanol_panel.simulation.time == before > 0


def test_the_slider_heats_what_is_there(ethanol_panel):
    tick(ethanol_panel, 2)
    time = ethanol_panel.simulation.time
    ethanol_panel.temperature.value = 900
    assert ethanol_panel.simulation.settings["temperature"] == 900
    tick(ethanol_panel)
    assert ethanol_panel.simulation.time > time


def test_another_model_starts_again_and_a_bad_one_is_stopped(ethanol_panel):
    tick(ethanol_panel, 3)
    ethanol_panel.model.value = "too hot"
    assert ethanol_panel.simulation.time == 0
    tick(ethanol_panel, 30)
    assert ethanol_panel.note.value.startswith("stopped at ")
    ethanol_panel.again.click()
    assert ethanol_panel.simulation.stopped is None and ethanol_panel.simulation.time == 0


def test_a_box_of_water_shows_its_density_and_structure():
    panel = md_dashboard(shaken(water_box(8, seed=1), by=0.01), water(), ensemble="npt", timestep=0.2, interval=20)
    tick(panel, REDRAWN)
    assert panel.traces.data[2].y[0] == pytest.approx(1.0, abs=0.05)
    assert len(panel.curve.data[0].y) == 60 and len(panel.curves) == 2


def test_what_flies_apart_stops_the_panel_and_breaks_nothing(ethanol_panel):
    tick(ethanol_panel, 2)
    points = len(ethanol_panel.rows)
    ethanol_panel.simulation.work.positions[0] = 1e5
    ethanol_panel.simulation.work.calc = LennardJones()
    tick(ethanol_panel)
    assert "exploded" in ethanol_panel.note.value and len(ethanol_panel.rows) == points


BAD = [
    {"atoms": "CCO"}, {"calculators": "MMFF94"}, {"calculators": {"none": None}}, {"ensemble": "npp"},
    {"temperature": -1}, {"timestep": 0}, {"friction": np.nan}, {"pressure": "1"}, {"size": 0}, {"interval": 0.5},
    {"seed": -1}, {"reference": 3}, {"reference": {"old": ([1, 2], [1])}}, {"reference": {"old": 3}},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_what_makes_no_sense_is_refused(bad):
    with pytest.raises((ValueError, TypeError), match="expected|is not one of"):
        md_dashboard(**{"atoms": molecule("C"), "calculators": mmff94(), **bad})


def test_no_model_is_an_error():
    with pytest.raises(ValueError, match="at least one is expected"):
        md_dashboard(molecule("C"), {})
