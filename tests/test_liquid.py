"""Forces inside and between molecules add up."""

import numpy as np
import pytest
from ase.build import molecule as ase_molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from tpainn_lite.simulate.liquid import molecules_of, split_force_errors, split_forces
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


NONSENSE = [
    lambda: molecules_of(0), lambda: molecules_of(6, 0), lambda: molecules_of(6, 1.5), lambda: molecules_of("6"),
    lambda: split_forces("H2O", np.zeros((3, 3))), lambda: split_forces(ase_molecule("H2O"), np.zeros((3, 2))),
    lambda: split_forces(ase_molecule("H2O"), np.zeros((6, 3))), lambda: split_forces(ase_molecule("H2O"), "x"),
    lambda: split_forces(ase_molecule("H2O"), np.full((3, 3), np.nan)), lambda: split_force_errors([], []),
    lambda: split_force_errors([np.zeros((3, 3))], [ase_molecule("H2O")]),
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
