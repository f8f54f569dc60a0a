"""The water teachers: the published formulas, right slopes, clear refusals."""

import itertools
import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Hartree, kcal, mol
from scipy.special import erfc

from tpainn_lite.reading.shipped import load_water
from tpainn_lite.structures.build import water_box, water_clusters
from tpainn_lite.teachers.rdkit import ForceFieldError
from tpainn_lite.teachers.water import MODELS, WATER, openmm_system, water


@pytest.fixture(scope="module")
def liquid():
    """Twelve molecules in a skewed box, shaken."""
    box = water_box(12, density=0.9, seed=3)
    box.set_cell(box.cell.array + [[0, 0, 0], [0.4, 0, 0], [0.3, -0.5, 0]])
    box.positions += np.random.default_rng(0).normal(scale=0.03, size=box.positions.shape)
    return box


AT_REST = {name: (p["r0"], p["theta0"]) for name, p in WATER.items()} | {"iAMOEBA": (0.95840, 106.483)}  # Å, degrees


@pytest.mark.parametrize("model", MODELS)
def test_a_water_molecule_at_rest_has_no_energy_and_no_force(model):
    length, half = AT_REST[model][0], np.radians(AT_REST[model][1]) / 2
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


@pytest.mark.parametrize("model", MODELS)
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


@pytest.mark.parametrize("model", ["q-TIP4P/F", "iAMOEBA"])
def test_stress_of_water_is_the_slope_of_the_energy_with_the_volume(liquid, model):
    teacher, energies, volumes = water(model, cutoff=3.0), [], []  # narrower than the box allows, so always the same
    for stretch in (0.999, 1.001):
        box = liquid.copy()
        box.set_cell(box.cell.array * stretch, scale_atoms=True)
        energies.append(teacher.get_potential_energy(box))
        volumes.append(box.get_volume())
    slope = (energies[1] - energies[0]) / (volumes[1] - volumes[0])
    assert teacher.get_stress(liquid)[:3].mean() == pytest.approx(slope, rel=0.01)


@pytest.mark.parametrize("model", ["q-TIP4P/F", "iAMOEBA"])
def test_a_turned_box_of_water_has_the_same_energy_and_turned_forces(liquid, model):
    teacher = water(model)
    energy, forces = teacher.get_potential_energy(liquid), teacher.get_forces(liquid)
    turned = liquid.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    turn = np.linalg.solve(liquid.cell.array, turned.cell.array)
    assert teacher.get_potential_energy(turned) == pytest.approx(energy, abs=1e-4)
    assert teacher.get_forces(turned) == pytest.approx(forces @ turn, abs=5e-3)


@pytest.mark.parametrize(("model", "pairs_are_all"), [("q-TIP4P/F", True), ("iAMOEBA", False)])
def test_three_molecules_are_the_sum_of_their_pairs_unless_they_polarize_each_other(model, pairs_are_all):
    (trimer,) = water_clusters([water_box(8, 1.0, seed=2)], 3, 1)

    def energy(*molecules):
        return water(model).get_potential_energy(trimer[[3 * m + k for m in molecules for k in range(3)]])

    alone = sum(energy(m) for m in range(3))
    pairs = sum(energy(*pair) for pair in itertools.combinations(range(3), 2))
    left = energy(0, 1, 2) - (pairs - alone)
    assert abs(left) < 1e-5 if pairs_are_all else abs(left) > 1e-3, "eV, of three bodies together"


def test_polarizable_water_is_much_nearer_to_dft_than_fixed_charges():
    box = load_water("test", "liquid")[0]
    wrong = {m: np.abs(water(m).get_forces(box.copy()) - box.get_forces()).mean() for m in ("iAMOEBA", "q-TIP4P/F")}
    assert wrong["iAMOEBA"] < 0.5 * wrong["q-TIP4P/F"]


# --- an independent evaluation ---


def sites(positions, p):
    """(M, 3 or 4, 3) Å and their charges (e): O, H, H and, where the model has it, the site of the negative charge."""
    molecules = positions.reshape(-1, 3, 3)
    if p["gamma"] == 1:
        return molecules, np.array([-2 * p["charge_H"], p["charge_H"], p["charge_H"]])
    site = p["gamma"] * molecules[:, :1] + (1 - p["gamma"]) / 2 * molecules[:, 1:].sum(axis=1, keepdims=True)
    return np.concatenate([molecules, site], axis=1), np.array([0, p["charge_H"], p["charge_H"], -2 * p["charge_H"]])


def bonded_by_hand(positions, p):
    energy = 0.0
    for o, *hydrogens in positions.reshape(-1, 3, 3):
        arms = [h - o for h in hydrogens]
        lengths = [np.linalg.norm(arm) for arm in arms]
        for r in lengths:
            x = p["alpha"] * (r - p["r0"])
            energy += p["D"] * (x**2 - p["anharmonic"] * x**3 + p["anharmonic"] * 7 / 12 * x**4)
        angle = np.arccos(arms[0] @ arms[1] / np.prod(lengths))
        energy += p["k_theta"] / 2 * (angle - np.radians(p["theta0"])) ** 2
    return energy * kcal / mol


def dimer_by_hand(positions, p, coulomb=lambda r: 1 / r):
    """Two molecules in empty space; eV."""
    (one, other), charges = sites(positions, p)
    r = np.linalg.norm(one[:, None] - other[None], axis=-1)
    lennard_jones = 4 * p["epsilon"] * ((p["sigma"] / r[0, 0]) ** 12 - (p["sigma"] / r[0, 0]) ** 6) * kcal / mol
    electric = (charges[:, None] * charges[None] * coulomb(r)).sum() * Hartree * Bohr
    return bonded_by_hand(positions, p) + lennard_jones + electric


@pytest.mark.parametrize("model", WATER)
def test_a_pair_has_the_energy_and_forces_that_the_formulas_give_by_hand(model):
    p = WATER[model]
    (pair,) = water_clusters([water_box(8, 1.0, seed=2)], 2, 1)
    pair.positions += np.random.default_rng(0).normal(scale=0.05, size=(6, 3))
    assert water(model).get_potential_energy(pair) == pytest.approx(dimer_by_hand(pair.positions, p), abs=2e-6)
    slopes, step = np.zeros((6, 3)), 1e-4
    for k in np.ndindex(6, 3):
        push = np.zeros((6, 3))
        push[k] = step
        slopes[k] = dimer_by_hand(pair.positions + push, p) - dimer_by_hand(pair.positions - push, p)
    np.testing.assert_allclose(water(model).get_forces(pair), -slopes / (2 * step), atol=1e-4)


def ewald_by_hand(positions, edge, p, alpha=0.6):
    """Coulomb energy of a cubic box and all its images without the pairs inside a molecule; eV.

    Real-space and reciprocal sums run until nothing changes; the answer does not depend on ``alpha``.
    """
    molecules, charges = sites(positions, p)
    r, q = molecules.reshape(-1, 3), np.tile(charges, len(molecules))
    away, images = r[:, None] - r[None], np.array(list(itertools.product(range(-2, 3), repeat=3))) * edge
    real = 0.0
    for image in images:
        d = np.linalg.norm(away + image, axis=-1)
        if not image.any():
            np.fill_diagonal(d, np.inf)
        real += 0.5 * (q[:, None] * q * erfc(alpha * d) / d).sum()
    k = np.array([n for n in itertools.product(range(-12, 13), repeat=3) if any(n)]) * 2 * np.pi / edge
    k2 = (k**2).sum(axis=1)
    waves = np.abs(np.exp(1j * r @ k.T).T @ q) ** 2
    reciprocal = (2 * np.pi / edge**3 * np.exp(-k2 / (4 * alpha**2)) / k2 * waves).sum()
    within = 0.0
    for sites_of_one in molecules:
        for i, j in itertools.combinations(range(len(charges)), 2):
            if charges[i] * charges[j]:
                within += charges[i] * charges[j] / np.linalg.norm(sites_of_one[i] - sites_of_one[j])
    return (real + reciprocal - alpha / np.sqrt(np.pi) * (q**2).sum() - within) * Hartree * Bohr


@pytest.mark.parametrize("model", WATER)
def test_the_electrostatics_of_a_box_are_those_of_a_converged_ewald_sum(model):
    p = WATER[model] | {"epsilon": 0.0}  # charges alone
    box = water_box(8, 0.9, seed=1)
    box.positions += np.random.default_rng(1).normal(scale=0.05, size=box.positions.shape)
    by_hand = ewald_by_hand(box.positions, box.cell[0, 0], p)
    assert ewald_by_hand(box.positions, box.cell[0, 0], p, alpha=0.7) == pytest.approx(by_hand, abs=1e-6)
    total = by_hand + bonded_by_hand(box.positions, p)
    assert water(p).get_potential_energy(box) == pytest.approx(total, abs=2e-4)


# --- damped and shifted ---


@pytest.mark.parametrize("model", WATER)
def test_damped_shifted_charges_interact_as_their_formula_says(model):
    p, a, end = WATER[model], 0.2, 9.0
    (pair,) = water_clusters([water_box(8, 1.0, seed=2)], 2, 1)

    def coulomb(r):
        slope = erfc(a * end) / end**2 + 2 * a / np.sqrt(np.pi) * np.exp(-((a * end) ** 2)) / end
        return erfc(a * r) / r - erfc(a * end) / end + slope * (r - end)

    by_hand = dimer_by_hand(pair.positions, p, coulomb)
    # Lennard-Jones is shifted too, which the sum by hand leaves out: (σ/9 Å)⁶ is small
    assert water(model, electrostatics="damped-shifted").get_potential_energy(pair) == pytest.approx(by_hand, abs=5e-4)


def test_damped_shifted_forces_end_smoothly_at_the_cutoff():
    one, teacher = water_box(1).positions, water(electrostatics="damped-shifted", cutoff=6.0)
    alone, distances = 2 * teacher.get_potential_energy(Atoms("OHH", one)), np.linspace(5, 8, 1501)
    pairs = [Atoms("OHHOHH", np.concatenate([one, one + [d, 0, 0]])) for d in distances]
    energies = [teacher.get_potential_energy(pair) - alone for pair in pairs]
    force = np.diff(energies) / np.diff(distances)
    assert np.abs(np.diff(force)).max() < 5e-4, "no jump, eV/Å"
    assert np.abs(energies)[distances > 7.6].max() < 1e-6, "nothing is left farther out"
    assert np.abs(force).max() > 0.01


def test_damped_shifted_charges_that_reach_beyond_half_the_box_are_an_error():
    with pytest.raises(ForceFieldError, match=r"9.86 Å wide; damped-shifted charges that reach 9 Å need twice that"):
        water(electrostatics="damped-shifted").get_potential_energy(water_box(32))


def test_damped_shifted_forces_and_stress_are_slopes(liquid):
    teacher, moved, step = water(electrostatics="damped-shifted", cutoff=3.0), liquid.copy(), 2e-3
    forces, energy = teacher.get_forces(liquid), []
    for sign in (1, -1):
        moved.positions = liquid.positions
        moved.positions[4, 1] += sign * step
        energy.append(teacher.get_potential_energy(moved))
    assert (energy[1] - energy[0]) / (2 * step) == pytest.approx(forces[4, 1], abs=0.01)
    assert "damped-shifted at 3 Å" in teacher.level


def test_unknown_electrostatics_are_an_error():
    with pytest.raises(ValueError, match=r"electrostatics 'cutoff' is not one of \('ewald', 'damped-shifted'\)"):
        water(electrostatics="cutoff")


def test_damped_shifted_multipoles_are_an_error():
    with pytest.raises(ValueError, match=r"multipoles, which only 'ewald' sums; 'damped-shifted' was given"):
        water("iAMOEBA", electrostatics="damped-shifted")


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
    with pytest.raises(ValueError, match=r"q-TIP4P/F.*SPC/Fw.*iAMOEBA"):
        water("TIP5P")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": None}, "sigma is None"), ({"r0": -1.0}, "r0 is -1"), ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"charge_H": "0.4"}, "charge_H is '0.4'"), ({"gamma": 1.5}, "gamma is 1.5"),
        ({"colour": 1.0}, r"\['colour'\] are unknown"),
    ],
)  # fmt: skip
def test_constants_that_cannot_be_are_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        water({**WATER["SPC/Fw"], **changes})


def test_a_model_that_lacks_constants_is_an_error_that_names_them():
    with pytest.raises(ValueError, match=r"\['sigma'\] are missing"):
        water({name: value for name, value in WATER["SPC/Fw"].items() if name != "sigma"})
    for model in ({}, None, 5, ["SPC/Fw"]):
        with pytest.raises(ValueError, match="missing|is not one of"):
            water(model)


@pytest.mark.parametrize("cutoff", [0, -9.0, float("nan"), float("inf"), "9", None])
def test_a_cutoff_of_water_that_is_none_is_an_error(cutoff):
    with pytest.raises(ValueError, match=r"cutoff is .*; a finite number above 0"):
        water(cutoff=cutoff)


@pytest.mark.parametrize("change", ["nan", "flat", "far", "together"])
def test_a_box_that_makes_no_sense_is_an_error_of_ours(liquid, change):
    box = liquid.copy()
    if change == "nan":
        box.positions[0] = np.nan
    elif change == "far":
        box.positions[:3] += 1e9
    elif change == "together":
        box.positions[3:6] = box.positions[:3]
    else:
        box.cell[2] = box.cell[1]
    with pytest.raises(ValueError, match="not a finite number|no finite energy|line or plane|wide"):
        water("SPC/Fw").get_potential_energy(box)


@pytest.mark.parametrize(("n", "cutoff"), [(0, 9.0), (10**9, 9.0), (2.5, 9.0), (4, -1.0), (4, float("nan"))])
def test_a_system_of_no_size_is_an_error(n, cutoff):
    with pytest.raises(ValueError, match=r"(n_molecules|cutoff) is .* is expected"):
        openmm_system("SPC/Fw", n, cutoff)
