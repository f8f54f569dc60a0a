"""The ASE calculator: what `predict` says, with a neighbour list that is never out of date."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.optimize import BFGS
from ase.stress import full_3x3_to_voigt_6_stress
from conftest import lively_potential, shaken, small_water_box

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.graph import to_graph


def assert_same_as_fresh(calculator, atoms):
    """The calculator's numbers against a neighbour list made from scratch."""
    potential = calculator.potential
    output = potential(to_graph(atoms, potential.cutoff, potential.dtype))
    assert calculator.get_potential_energy(atoms) == pytest.approx(output["energy"].item(), abs=1e-9)
    np.testing.assert_allclose(calculator.get_forces(atoms), output["forces"].detach(), atol=1e-9)
    if atoms.pbc.all():
        stress = full_3x3_to_voigt_6_stress(output["stress"][0].detach().numpy())
        np.testing.assert_allclose(calculator.get_stress(atoms), stress, atol=1e-10)


def test_calculator_gives_what_predict_gives(potential, ethanol, water_box):
    for atoms in (ethanol, water_box, Atoms("O")):
        (energy,), (forces,) = potential.predict([atoms])
        atoms.calc = PotentialCalculator(potential)
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-10)
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-10)


def test_a_slab_has_forces_but_no_stress(potential, water_box):
    water_box.set_cell([4.2, 4.0, 20.0])
    water_box.pbc = (True, True, False)
    calculator = PotentialCalculator(potential)
    assert_same_as_fresh(calculator, water_box)
    with pytest.raises(PropertyNotImplementedError):
        calculator.get_stress(water_box)


def test_neighbours_are_right_along_a_path_of_small_and_big_moves(potential):
    calculator, rng = PotentialCalculator(potential), np.random.default_rng(0)
    box = small_water_box() * (2, 1, 1)
    for step in range(40):
        box.positions += rng.normal(scale=0.01 if step % 10 else 0.08, size=box.positions.shape)
        if step == 20:
            box.positions += [7.0, -3.0, 11.0]  # all at once, further than the skin
        assert_same_as_fresh(calculator, box)


def test_neighbours_are_right_while_the_cell_changes(potential):
    calculator, box = PotentialCalculator(potential), small_water_box() * (1, 2, 1)
    for step in range(25):
        factor = 1.0 + 0.004 * (-1) ** step + 0.01 * (step % 7 == 0)
        box.set_cell(box.cell.array * factor, scale_atoms=True)
        assert_same_as_fresh(calculator, box)
        box.set_cell(box.cell.array + np.diag([0.001, 0, 0.002]))  # the cell alone
        assert_same_as_fresh(calculator, box)


def test_neighbours_are_right_when_only_the_cell_changes_a_lot(potential):
    calculator, box = PotentialCalculator(potential), small_water_box()
    assert_same_as_fresh(calculator, box)
    box.set_cell(box.cell.array * 1.5)
    assert_same_as_fresh(calculator, box)


def test_one_calculator_serves_structures_of_any_size_and_periodicity(potential, ethanol):
    calculator = PotentialCalculator(potential)
    water, box = ase_molecule("H2O"), small_water_box()
    open_box = box.copy()
    open_box.pbc = False
    swapped = ethanol.copy()
    swapped.numbers[[0, 2]] = swapped.numbers[[2, 0]]  # same places, other atoms
    for atoms in (ethanol, water, swapped, ethanol, box, open_box, box, Atoms("O"), box[:5], ethanol[::-1], ethanol):
        assert_same_as_fresh(calculator, atoms)


def test_the_skin_changes_nothing(ethanol):
    for skin in (0.0, 0.1, 2.0):
        calculator = PotentialCalculator(lively_potential(cutoff=2.5), skin=skin)
        for seed in range(5):
            assert_same_as_fresh(calculator, shaken(ethanol, seed))


def test_results_do_not_change_when_the_next_structure_is_computed(potential, ethanol):
    calculator = PotentialCalculator(potential)
    forces = calculator.get_forces(ethanol)
    before = forces.copy()
    calculator.get_forces(shaken(ethanol, 1, by=0.2))
    np.testing.assert_array_equal(forces, before)


def test_it_relaxes_a_molecule(potential, ethanol):
    ethanol.calc = PotentialCalculator(potential)
    before = ethanol.get_potential_energy()
    with BFGS(ethanol, logfile=None) as optimiser:
        optimiser.run(fmax=0.05, steps=20)
    assert ethanol.get_potential_energy() < before


@pytest.mark.parametrize("copied", [deepcopy, lambda calculator: pickle.loads(pickle.dumps(calculator))])
def test_a_copy_of_a_used_calculator_gives_the_same(potential, ethanol, copied):
    calculator = PotentialCalculator(potential)
    calculator.get_potential_energy(ethanol)
    assert_same_as_fresh(copied(calculator), shaken(ethanol, 1))


def test_float32_potentials_give_float64_results(float32_potential, ethanol):
    forces = PotentialCalculator(float32_potential).get_forces(ethanol)
    assert forces.dtype == np.float64


def test_a_position_that_is_no_number_is_an_error_at_any_step(potential, ethanol):
    calculator, broken = PotentialCalculator(potential), ethanol.copy()
    broken.positions[2] = np.nan
    with pytest.raises(ValueError, match="position of atom 2 is not a finite number"):
        calculator.get_forces(broken)
    calculator.get_forces(ethanol)
    with pytest.raises(ValueError, match="not a finite number: the run has exploded; use a shorter timestep"):
        calculator.get_forces(broken)


def test_an_unknown_element_is_an_error_that_names_it(potential):
    with pytest.raises(ValueError, match="not made for Cu; it knows H, C, N, O, F"):
        PotentialCalculator(potential).get_potential_energy(Atoms("Cu"))


def test_level_tells_how_the_potential_was_made(potential):
    assert PotentialCalculator(potential).level == "PaiNN (potential, unknown level)"
    potential.metadata = {"stage": "autotune", "level": "B3LYP"}
    assert PotentialCalculator(potential).level == "PaiNN (autotune, B3LYP)"
