"""Forces inside and between molecules add up; a swinging spring shows its frequency."""

import numpy as np
import pytest
from ase import units
from ase.build import molecule as ase_molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from tpainn_lite.simulate.liquid import (
    molecules_of,
    split_force_errors,
    split_forces,
    velocity_autocorrelation,
    vibrational_spectrum,
)
from tpainn_lite.structures.build import water_box


@pytest.fixture
def box():
    atoms = water_box(8, seed=1)
    atoms.positions += 1.3  # some molecules now lie across the faces of the box
    atoms.wrap()
    return atoms


def test_parts_add_up_and_are_orthogonal(box):
    forces = np.random.default_rng(0).normal(size=(24, 3))
    parts = split_forces(box, forces)
    np.testing.assert_allclose(sum(parts.values()), forces, atol=1e-12)
    inverse_mass = 1 / box.get_masses()[:, None]
    for a, b in (("push", "turn"), ("push", "deform"), ("turn", "deform")):
        assert (inverse_mass * parts[a] * parts[b]).sum() == pytest.approx(0, abs=1e-12)


def test_a_push_is_all_push_and_a_spring_is_all_deformation():
    water = ase_molecule("H2O")
    pushed = water.get_masses()[:, None] * [0.1, 0.2, -0.3]
    assert np.abs(split_forces(water, pushed)["push"] - pushed).max() < 1e-12
    bond = water.positions[1] - water.positions[0]
    stretched = np.array([-bond, bond, 0 * bond])
    stretched -= split_forces(water, stretched)["turn"]  # a bond pulled at one end also turns the molecule
    parts = split_forces(water, stretched)
    assert np.abs(parts["push"]).max() < 1e-12 and np.abs(parts["turn"]).max() < 1e-12
    spin = np.cross([0.3, -0.2, 0.5], water.positions - water.get_center_of_mass()) * water.get_masses()[:, None]
    np.testing.assert_allclose(split_forces(water, spin)["turn"], spin, atol=1e-12)


def test_wrapping_into_the_box_changes_nothing(box):
    forces = np.random.default_rng(0).normal(size=(24, 3))
    whole = water_box(8, seed=1)
    for name, part in split_forces(whole, forces).items():
        np.testing.assert_allclose(part, split_forces(box, forces)[name], atol=1e-9)


def test_errors_are_those_of_the_parts(box):
    forces = np.random.default_rng(0).normal(size=(24, 3))
    box.calc = SinglePointCalculator(box, energy=0.0, forces=forces)
    push = np.repeat(np.random.default_rng(1).normal(size=(8, 1, 3)), 3, axis=1).reshape(-1, 3)
    push *= box.get_masses()[:, None]
    found = split_force_errors([forces + push], [box])
    assert found["push_mae"] == pytest.approx(1e3 * np.abs(push).mean()) == pytest.approx(found["between_mae"])
    assert found["turn_mae"] == pytest.approx(0, abs=1e-9) == pytest.approx(found["deform_mae"], abs=1e-9)


def test_labels_of_fixed_atoms_count_like_all_others(box):
    forces = np.random.default_rng(0).normal(size=(24, 3))
    box.calc = SinglePointCalculator(box, energy=0.0, forces=forces)
    box.set_constraint(FixAtoms(range(6)))
    assert split_force_errors([forces], [box])["push_mae"] == 0


MOVING = np.random.default_rng(0).normal(size=(20, 3, 3))
NONSENSE = [
    lambda: molecules_of(0), lambda: molecules_of(6, 0), lambda: molecules_of(6, 1.5), lambda: molecules_of("6"),
    lambda: split_forces("H2O", np.zeros((3, 3))), lambda: split_forces(ase_molecule("H2O"), np.zeros((3, 2))),
    lambda: split_forces(ase_molecule("H2O"), np.zeros((6, 3))), lambda: split_forces(ase_molecule("H2O"), "x"),
    lambda: split_forces(ase_molecule("H2O"), np.full((3, 3), np.nan)), lambda: split_force_errors([], []),
    lambda: split_force_errors([np.zeros((3, 3))], [ase_molecule("H2O")]),
    lambda: velocity_autocorrelation([]), lambda: velocity_autocorrelation(np.zeros((5, 2, 3))),
    lambda: velocity_autocorrelation(MOVING, -1), lambda: velocity_autocorrelation(MOVING, 2.5),
    lambda: velocity_autocorrelation(MOVING[0]), lambda: velocity_autocorrelation(MOVING * np.inf),
    lambda: vibrational_spectrum(MOVING, 0), lambda: vibrational_spectrum(MOVING, np.nan),
    lambda: vibrational_spectrum(MOVING, 1.0, masses=[1, 2]),
    lambda: vibrational_spectrum(MOVING, 1.0, masses=[1, 0, 1]),
    lambda: vibrational_spectrum(MOVING, 1.0, n_lags=1), lambda: vibrational_spectrum("x", 1.0),
]  # fmt: skip


@pytest.mark.parametrize("call", NONSENSE)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises((ValueError, TypeError), match=r"expected|possible|label it first"):
        call()


def test_predictions_of_other_frames_are_refused(box):
    box.calc = SinglePointCalculator(box, energy=0.0, forces=np.zeros((24, 3)))
    for predicted in ([], [np.zeros((24, 3))] * 2, [np.zeros((21, 3))]):
        with pytest.raises(ValueError, match="expected"):
            split_force_errors(predicted, [box])


def test_atoms_that_are_not_whole_molecules_are_refused():
    with pytest.raises(ValueError, match="4 atoms are not molecules of 3 each"):
        split_forces(ase_molecule("NH3"), np.zeros((4, 3)))


def test_a_harmonic_swing_is_one_line_at_its_frequency():
    wave_number, spacing = 1600.0, 2.0  # cm⁻¹, fs
    omega = 2 * np.pi * wave_number * units._c * 100 * 1e-15  # rad/fs
    time = spacing * np.arange(2000)
    velocities = np.zeros((2000, 2, 3))
    velocities[:, 0, 1], velocities[:, 1, 2] = np.cos(omega * time + 0.3), 2 * np.sin(omega * time)
    correlation = velocity_autocorrelation(velocities)
    np.testing.assert_allclose(correlation[:50], np.cos(omega * time[:50]), atol=0.01)
    x, density = vibrational_spectrum(velocities, spacing, masses=[1.0, 16.0])
    assert x[np.argmax(density)] == pytest.approx(wave_number, abs=5)
    assert np.trapezoid(density, x) == pytest.approx(1)


def test_velocities_without_memory_have_no_correlation():
    noise = np.random.default_rng(0).normal(size=(500, 50, 3))
    correlation = velocity_autocorrelation(noise, n_lags=20)
    assert correlation[0] == 1 and np.abs(correlation[1:]).max() < 0.02


def test_more_lags_than_frames_are_refused():
    with pytest.raises(ValueError, match="9 lags of 5 frames; 1 to 5 are possible"):
        velocity_autocorrelation(np.ones((5, 1, 3)), n_lags=9)
