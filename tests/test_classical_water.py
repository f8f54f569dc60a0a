"""The water teachers: the published formulas, right slopes, clear refusals."""

import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.units import kcal, mol

from tpainn_lite.assembly import water_box
from tpainn_lite.classical_water import WATER, water
from tpainn_lite.forcefields import ForceFieldError


@pytest.fixture(scope="module")
def liquid():
    """Twelve molecules in a skewed box, shaken."""
    box = water_box(12, density=0.9, seed=3)
    box.set_cell(box.cell.array + [[0, 0, 0], [0.4, 0, 0], [0.3, -0.5, 0]])
    box.positions += np.random.default_rng(0).normal(scale=0.03, size=box.positions.shape)
    return box


@pytest.mark.parametrize("model", WATER)
def test_a_water_molecule_at_rest_has_no_energy_and_no_force(model):
    length, half = WATER[model]["r0"], np.radians(WATER[model]["theta0"]) / 2
    arm = length * np.array([np.cos(half), np.sin(half), 0])
    one = Atoms("OHH", [[0, 0, 0], arm, arm * (1, -1, 1)])
    assert water(model).get_potential_energy(one) == pytest.approx(0, abs=1e-6)
    assert water(model).get_forces(one) == pytest.approx(0, abs=1e-3)


def test_stretching_a_bond_of_water_costs_what_the_formula_says():
    p, teacher = WATER["q-TIP4P/F"], water()
    half = np.radians(p["theta0"]) / 2
    arm = np.array([np.cos(half), np.sin(half), 0])
    one = Atoms("OHH", [[0, 0, 0], arm * (p["r0"] + 0.1), arm * p["r0"] * (1, -1, 1)])
    x = p["alpha"] * 0.1
    expected = p["D"] * (x**2 - x**3 + 7 / 12 * x**4) * kcal / mol
    assert teacher.get_potential_energy(one) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("model", WATER)
def test_forces_of_water_are_minus_the_slope_of_the_energy(liquid, model):
    teacher, moved = water(model), liquid.copy()
    forces, step = teacher.get_forces(liquid), 2e-3
    for atom, axis in ((0, 0), (4, 1), (17, 2)):
        energy = []
        for sign in (1, -1):
            moved.positions[:] = liquid.positions
            moved.positions[atom, axis] += sign * step
            energy.append(teacher.get_potential_energy(moved))
        assert (energy[1] - energy[0]) / (2 * step) == pytest.approx(forces[atom, axis], abs=0.01)


def test_stress_of_water_is_the_slope_of_the_energy_with_the_volume(liquid):
    teacher, energies, volumes = water(), [], []
    for stretch in (0.999, 1.001):
        box = liquid.copy()
        box.set_cell(box.cell.array * stretch, scale_atoms=True)
        energies.append(teacher.get_potential_energy(box))
        volumes.append(box.get_volume())
    slope = (energies[1] - energies[0]) / (volumes[1] - volumes[0])
    assert teacher.get_stress(liquid)[:3].mean() == pytest.approx(slope, rel=0.01)


def test_a_turned_box_of_water_has_the_same_energy_and_turned_forces(liquid):
    teacher = water()
    energy, forces = teacher.get_potential_energy(liquid), teacher.get_forces(liquid)
    turned = liquid.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    turn = np.linalg.solve(liquid.cell.array, turned.cell.array)
    assert teacher.get_potential_energy(turned) == pytest.approx(energy, abs=1e-4)
    assert teacher.get_forces(turned) == pytest.approx(forces @ turn, abs=5e-3)


def test_two_far_water_molecules_attract_as_two_dipoles_do():
    """Along their axes, head to tail: −2 μ²/(4πε₀ r³)."""
    one = water_box(1).positions
    axis = one[1:].mean(0) - one[0]
    p = WATER["q-TIP4P/F"]
    dipole = 2 * p["charge_H"] * p["gamma"] * np.linalg.norm(axis)  # e Å: M lies on the axis
    away = axis / np.linalg.norm(axis) * 15.0
    pair = Atoms("OHHOHH", np.concatenate([one, one + away]))
    single = Atoms("OHH", one)
    energy = water().get_potential_energy(pair) - 2 * water().get_potential_energy(single)
    assert energy == pytest.approx(-2 * dipole**2 / 15.0**3 * 14.3996, rel=0.1)


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("HOH", np.eye(3)), "O, H, H"),
        (Atoms("OHH", [[0, 0, 0], [1, 0, 0], [0, 9, 0]], cell=[10] * 3, pbc=True), "not wrapped"),
        (Atoms("OHH", [[0, 0, 0], [1, 0, 0], [0, 1, 0]], cell=[10] * 3, pbc=(1, 1, 0)), "all directions or in none"),
    ],
)
def test_what_is_no_water_is_an_error_that_says_what_is_expected(atoms, message):
    with pytest.raises(ForceFieldError, match=message):
        water().get_potential_energy(atoms)


def test_the_water_teacher_can_be_sent_to_another_process(liquid):
    teacher = water("SPC/Fw")
    energy = teacher.get_potential_energy(liquid)
    assert pickle.loads(pickle.dumps(teacher)).get_potential_energy(liquid) == pytest.approx(energy)


def test_an_unknown_water_model_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"q-TIP4P/F.*SPC/Fw"):
        water("TIP5P")
