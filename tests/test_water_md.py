"""The fast road through classical water gives the frames and labels that the slow one would."""

import itertools

import numpy as np
import openmm
import pytest

from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.geometry import density_of
from tpainn_lite.teachers import water_md
from tpainn_lite.teachers.water import MODELS, is_water, water
from tpainn_lite.teachers.water_md import _step, water_run, water_runs

SHORT = {"n_molecules": 16, "n_frames": 4, "spacing": 20, "warm_up": 100}


@pytest.mark.parametrize("model", MODELS)
def test_the_labels_are_those_of_the_calculator(model):
    frames = list(water_run(**SHORT, model=model, stress=True, seed=3))
    assert len(frames) == 4
    for atoms in frames:
        assert is_water(atoms) and atoms.pbc.all()
        assert atoms.info["level"] == model and atoms.info["density"] == pytest.approx(1.0)
        teacher, copy = water(model), atoms.copy()
        assert atoms.get_potential_energy() == pytest.approx(teacher.get_potential_energy(copy), abs=2e-3)
        np.testing.assert_allclose(atoms.get_forces(), teacher.get_forces(copy), atol=5e-3)
        np.testing.assert_allclose(atoms.get_stress(), teacher.get_stress(copy), atol=1e-6)


def test_the_same_seed_gives_the_same_frames_and_another_seed_others():
    one, same, other = (list(water_run(**SHORT, seed=seed))[-1].positions for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01


def test_molecules_have_the_temperature_asked_for():
    frames = water_run(32, temperature=400, n_frames=40, spacing=25, warm_up=1000, friction=10, seed=1)
    kelvin = [atoms.info["kinetic_temperature"] for atoms in frames]
    assert np.mean(kelvin) == pytest.approx(400, rel=0.08)


def test_few_molecules_have_the_temperature_asked_for_with_all_nine_directions_of_each():
    """Langevin dynamics keeps no momentum: dividing by 9n − 3 would make 360 K of 300 K here."""
    settings = {"spacing": 10, "timestep": 0.25, "warm_up": 500, "friction": 50, "seed": 1}
    frames = water_run(2, 0.3, n_frames=150, **settings)
    assert np.mean([atoms.info["kinetic_temperature"] for atoms in frames]) == pytest.approx(300, rel=0.1)


def test_the_time_of_a_frame_is_in_femtoseconds():
    frames = water_run(4, n_frames=3, spacing=0.6, timestep=0.2, warm_up=2, seed=1)
    assert [atoms.info["time"] for atoms in frames] == pytest.approx([0.6, 1.2, 1.8])


def test_all_steps_of_the_warm_up_are_made(monkeypatch):
    steps = []
    monkeypatch.setattr(water_md, "_step", lambda _, n: steps.append(n))
    list(water_run(4, n_frames=2, spacing=3, warm_up=47, seed=1))
    assert sum(steps[:-2]) == 47 and steps[-2:] == [3, 3]


BAD = {
    "n_molecules": (0, -3, 2.5, "64"), "density": (0, -1, np.nan, "1"), "temperature": (0, -300, np.inf, None),
    "n_frames": (0, -1, 1.5), "spacing": (0, -1, 0.5, np.nan, "x"), "warm_up": (-1, np.nan, "x"),
    "timestep": (0, -1, np.nan), "friction": (-1, np.nan), "pressure": (np.nan, "1"), "cutoff": (0, -1, np.nan),
    "seed": (-1, 0.5), "threads": (0, 1.5), "model": ("TIP9P",), "electrostatics": ("none",),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_setting_that_makes_no_sense_is_refused_at_once(name, value):
    with pytest.raises(ValueError, match=rf"{name} .*(expected|is not one of)"):
        water_run(**{name: value})


@pytest.mark.parametrize("states", [[], None, 3, [300], [(1.0,)], [(1.0, -5)], [("a", 300)]], ids=str)
def test_states_that_make_no_sense_are_refused(states):
    with pytest.raises(ValueError, match="expected"):
        water_runs(states, 1)


def test_damped_shifted_frames_carry_damped_shifted_labels():
    damped = {"electrostatics": "damped-shifted", "cutoff": 3.5}
    (atoms,) = itertools.islice(water_run(**SHORT, **damped), 1)
    teacher = water(**damped)
    assert atoms.info["level"] == teacher.level
    assert atoms.get_potential_energy() == pytest.approx(teacher.get_potential_energy(atoms.copy()), abs=1e-3)


def test_a_box_under_pressure_breathes_and_a_harder_pressed_one_is_denser():
    short = {"n_frames": 6, "spacing": 100, "warm_up": 800}
    runs = {bar: list(water_run(32, 1.0, pressure=bar, seed=2, **short)) for bar in (1, 8000)}
    dense = {bar: np.mean([density_of(atoms) for atoms in frames]) for bar, frames in runs.items()}
    assert len({atoms.get_volume() for atoms in runs[1]}) > 1
    assert 1.4 > dense[8000] > dense[1] + 0.03 > 0.8


def test_several_states_run_side_by_side_and_come_back_in_order():
    states, short = [(0.9, 300), (1.1, 350)], {"n_molecules": 8, "spacing": 10, "warm_up": 20}
    two = water_runs(states, 3, n_jobs=2, seed=5, **short)
    assert [atoms.info["temperature"] for atoms in two] == [300] * 3 + [350] * 3
    np.testing.assert_allclose([atoms.info["density"] for atoms in two], [0.9] * 3 + [1.1] * 3)
    one = water_runs(states, 3, n_jobs=1, seed=5, **short)
    np.testing.assert_array_equal(one[4].positions, two[4].positions)


def test_a_run_that_breaks_down_says_what_happened_and_what_to_do():
    class Broken:
        def step(self, _):
            raise openmm.OpenMMException("Particle coordinate is NaN")

    with pytest.raises(ForceFieldError, match="Try another seed, a lower temperature or a shorter timestep"):
        _step(Broken(), 10)
