"""The compiled path gives the numbers of `painn.py`, whatever the structure."""

import pickle

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.build import molecule as ase_molecule
from conftest import lively_potential, shaken, small_water_box

from tpainn_lite.model import evaluator as evaluator_module
from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.graph import NeighbourList, neighbour_pairs
from tpainn_lite.model.painn import PaiNN
from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.build import water_box

STRUCTURES = {
    "ethanol": shaken(ase_molecule("CH3CH2OH")),
    "one atom": Atoms("O"),
    "two atoms far apart": Atoms("OH", [[0, 0, 0], [9, 0, 0]]),
    "skewed box of water": small_water_box(),
    "slab": Atoms("CC", [[0, 0, 0], [1.2, 0.4, 1.0]], cell=[3.0, 3.0, 15.0], pbc=(True, True, False)),
    "an atom and its images": Atoms("C", cell=[2.9, 3.1, 3.3], pbc=True),
}


@pytest.fixture(scope="module")
def potential():
    return lively_potential(torch.float32)


@pytest.mark.parametrize("name", STRUCTURES)
def test_energy_forces_and_stress_are_those_of_the_reference(name):
    exact, fast = (PotentialCalculator(lively_potential(), fast=choice) for choice in (False, True))
    atoms = STRUCTURES[name]
    size = max(np.abs(exact.get_forces(atoms)).max(), 1e-3)
    assert fast.get_potential_energy(atoms) == pytest.approx(exact.get_potential_energy(atoms), abs=1e-5 * len(atoms))
    np.testing.assert_allclose(fast.get_forces(atoms), exact.get_forces(atoms), atol=2e-5 * size)
    if atoms.pbc.all():
        stress = exact.get_stress(atoms)
        np.testing.assert_allclose(fast.get_stress(atoms), stress, atol=2e-5 * np.abs(stress).max())


@pytest.mark.parametrize("n_interactions", [1, 2, 3])
def test_any_number_of_rounds_is_the_same(n_interactions, ethanol):
    torch.manual_seed(0)
    potential = Potential(PaiNN(16, n_interactions, 8, 4.0), dict.fromkeys((1, 6, 8), -1.0), 2.0).eval()
    exact, fast = (PotentialCalculator(potential, fast=choice).get_forces(ethanol) for choice in (False, True))
    np.testing.assert_allclose(fast, exact, atol=3e-5 * np.abs(exact).max())


def test_forces_are_minus_the_slope_of_the_fast_energy_itself(potential, ethanol):
    calculator, step, energies = PotentialCalculator(potential, fast=True), 0.01, []
    force = calculator.get_forces(ethanol)[2, 1]
    for k in (-2, -1, 1, 2):
        moved = ethanol.copy()
        moved.positions[2, 1] += k * step
        energies.append(calculator.get_potential_energy(moved))
    slope = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
    assert force == pytest.approx(-slope, abs=2e-3 * np.abs(calculator.get_forces(ethanol)).max())


def test_new_weights_are_noticed(ethanol):
    potential = lively_potential(torch.float32, seed=3)
    calculator = PotentialCalculator(potential, fast=True)
    before = calculator.get_potential_energy(ethanol)
    with torch.no_grad():
        potential.painn.readout[0].weight.mul_(1.5)
    calculator.reset()
    after = calculator.get_potential_energy(ethanol)
    assert after == pytest.approx(PotentialCalculator(potential, fast=False).get_potential_energy(ethanol), abs=1e-4)
    assert abs(after - before) > 1e-3


def is_compiled(potential, atoms, fast=None):
    calculator = PotentialCalculator(potential, fast=fast)
    calculator.get_potential_energy(atoms)
    return calculator.evaluator._compiled[1] is not None


def test_large_structures_are_compiled_and_small_ones_and_float64_are_not(potential):
    box, small = water_box(20), water_box(8)
    assert is_compiled(potential, box) and not is_compiled(potential, small)
    assert is_compiled(potential, small, fast=True) and not is_compiled(potential, box, fast=False)
    assert not is_compiled(lively_potential(), box)


@pytest.mark.parametrize("pbc", [True, False])
def test_the_pairs_of_a_moving_structure_are_those_of_a_new_search_in_the_same_order(pbc):
    rng, atoms = np.random.default_rng(0), small_water_box()
    atoms.pbc, neighbours = pbc, NeighbourList(4.0, skin=0.5)
    for step in range(30):
        atoms.positions += rng.normal(size=(len(atoms), 3)) * 0.03
        if step == 20:
            atoms.set_cell(atoms.cell * 1.02)
        kept = neighbours.pairs(atoms.positions, atoms.cell.array, atoms.pbc)
        anew = NeighbourList(4.0, skin=0.5).pairs(atoms.positions, atoms.cell.array, atoms.pbc)
        assert all(np.array_equal(a, b) for a, b in zip(kept, anew, strict=True))
        assert len(kept[0]) == len(neighbour_pairs(atoms, 4.0)[0])


def test_a_calculator_computes_anew_where_charges_or_positions_have_changed_and_only_there(potential, ethanol):
    calculator = PotentialCalculator(potential, fast=True)
    calculator.get_forces(ethanol)
    assert calculator.check_state(ethanol) == []
    ethanol.positions[0, 0] += 1e-9
    ethanol.set_initial_charges(np.ones(len(ethanol)))
    assert calculator.check_state(ethanol) == ["positions", "initial_charges"]


def test_without_numba_the_reference_is_taken_and_that_is_said_once(potential, monkeypatch, capsys):
    monkeypatch.setattr(evaluator_module, "find_spec", lambda _: None)
    monkeypatch.setattr(evaluator_module, "_reported", set())
    for _ in range(2):
        assert not is_compiled(potential, water_box(20))
    assert capsys.readouterr().err.count("pip install numba") == 1


def test_an_element_the_potential_does_not_know_is_an_error(potential):
    with pytest.raises(ValueError, match="not made for Cu"):
        PotentialCalculator(potential, fast=True).get_potential_energy(bulk("Cu"))


def test_a_used_calculator_can_be_sent_to_another_process(potential, ethanol):
    calculator = PotentialCalculator(potential, fast=True)
    energy = calculator.get_potential_energy(ethanol)
    assert pickle.loads(pickle.dumps(calculator)).get_potential_energy(ethanol) == pytest.approx(energy)
