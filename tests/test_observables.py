"""Numbers that judge a potential, against answers known beforehand."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from tpainn_lite.model.errors import energy_mae, errors, force_mae
from tpainn_lite.simulate import observables
from tpainn_lite.simulate.observables import (
    block_average,
    diffusion,
    energy_drift,
    mean_square_displacement,
    yeh_hummer,
)
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.geometry import composition, density_of
from tpainn_lite.teachers.rdkit import mmff94


def test_energy_mae_is_in_mev_and_per_atom_on_request():
    assert energy_mae([1.0, 2.0], [1.1, 1.7]) == pytest.approx(200)
    assert energy_mae([1.0, 2.0], [1.1, 1.7], n_atoms=[10, 3]) == pytest.approx(55)


def test_force_mae_counts_components_of_structures_of_any_size():
    predicted = [np.zeros((1, 3)), np.zeros((3, 3))]
    reference = [np.full((1, 3), 0.4), np.zeros((3, 3))]
    assert force_mae(predicted, reference) == pytest.approx(100)


@pytest.mark.parametrize(("a", "b"), [([1.0, 2.0], [1.0]), ([], [])])
def test_errors_of_unequal_or_empty_arrays_are_refused(a, b):
    with pytest.raises(ValueError, match="two equal, non-empty ones are expected"):
        energy_mae(a, b)


def test_drift_is_the_slope_in_mev_per_atom_and_picosecond():
    times = np.arange(0, 2000, 10.0)  # fs
    energies = -500 + 3e-6 * times + 1e-4 * np.sin(times)
    assert energy_drift(times, energies, n_atoms=3) == pytest.approx(1.0, rel=0.01)
    assert energy_drift(times, np.full(200, -5.0), n_atoms=3) == pytest.approx(0, abs=1e-9)


def test_drift_of_one_point_is_an_error():
    with pytest.raises(ValueError, match="1 points have no slope; at least 2 are expected"):
        energy_drift([0.0], [1.0], 3)


def test_block_average_of_white_noise_gives_its_known_error():
    rng = np.random.default_rng(0)
    results = [block_average(rng.normal(2.0, 1.0, size=1000), n_blocks=10) for _ in range(300)]
    means, reported = np.array(results).T
    assert means.mean() == pytest.approx(2.0, abs=0.01)
    assert means.std() == pytest.approx(1000**-0.5, rel=0.15)
    assert np.sqrt((reported**2).mean()) == pytest.approx(1000**-0.5, rel=0.1)


def test_block_average_sees_the_correlation_that_a_plain_error_misses():
    rng, series = np.random.default_rng(1), np.zeros(20_000)
    for k in range(1, len(series)):
        series[k] = 0.98 * series[k - 1] + rng.normal()
    plain = series.std() / np.sqrt(len(series))
    _, error = block_average(series, n_blocks=20)
    true = 50 / np.sqrt(len(series))  # 1 / (1 − 0.98) per step of white noise
    assert error == pytest.approx(true, rel=0.4)
    assert error > 5 * plain


def test_block_average_needs_enough_values():
    with pytest.raises(ValueError, match="4 values cannot be cut into 5 blocks"):
        block_average([1, 2, 3, 4])


def test_errors_of_the_labels_own_calculator_are_zero(labelled):
    result = errors(mmff94(), labelled)
    assert result["energy_mae"] == pytest.approx(0, abs=1e-6)
    assert result["force_mae"] == pytest.approx(0, abs=1e-6)


def test_a_force_field_is_forgiven_its_zero_of_energy_and_a_potential_is_not(labelled, potential):
    shifted = []
    for atoms in labelled:
        copy = atoms.copy()
        energy = atoms.get_potential_energy() - 13.6 * (atoms.numbers == 1).sum() - 1000.0 * (atoms.numbers == 6).sum()
        copy.calc = SinglePointCalculator(copy, energy=energy, forces=atoms.get_forces())
        shifted.append(copy)
    assert errors(mmff94(), shifted)["energy_mae"] == pytest.approx(0, abs=1e-6)
    energies, forces = potential.predict(shifted)
    expected = np.mean([abs(e - a.get_potential_energy()) / len(a) for e, a in zip(energies, shifted, strict=True)])
    result = errors(potential, shifted)
    assert result["energy_mae"] == pytest.approx(1e3 * expected)
    assert result["force_mae"] == pytest.approx(force_mae(forces, [a.get_forces() for a in shifted]))


def even_gas(formula, n_frames, seed=0):
    rng = np.random.default_rng(seed)
    n = len(Atoms(formula))
    return [Atoms(formula, rng.uniform(0, 12, (n, 3)), cell=[12] * 3, pbc=True) for _ in range(n_frames)]


@pytest.mark.parametrize(("formula", "pair"), [("O5", "OO"), ("O5H5", "OO"), ("O5H5", "OH"), ("O3H2", "HH")])
def test_g_of_r_of_an_ideal_gas_is_one_for_few_atoms_too(formula, pair):
    r, g = observables.rdf(even_gas(formula, 2500), pair, n_bins=6)
    assert r[-1] < 6 and g[2:] == pytest.approx(1, abs=0.12) and g[2:].mean() == pytest.approx(1, abs=0.05)


def test_g_of_r_needs_two_atoms_of_its_elements():
    with pytest.raises(ValueError, match="no pair of O, O in a box of H, O: name one"):
        observables.rdf(even_gas("OH4", 1))
    with pytest.raises(ValueError, match="no pair of O, Na in a box of O: name"):
        observables.rdf(even_gas("O5", 1), ("O", "Na"))


def test_labels_of_fixed_atoms_count_like_all_others(labelled, potential):
    fixed = [atoms.copy() for atoms in labelled]
    for atoms, source in zip(fixed, labelled, strict=True):
        atoms.calc = source.calc
        atoms.set_constraint(FixAtoms([0, 1]))
    assert errors(potential, fixed) == errors(potential, labelled)
    assert errors(mmff94(), fixed)["force_mae"] == pytest.approx(0, abs=1e-6)


def energies_alone(frames):
    for source in frames:
        atoms = source.copy()
        atoms.calc = SinglePointCalculator(atoms, energy=source.get_potential_energy())
        yield atoms


def test_frames_with_energies_alone_are_judged_by_energies_alone(labelled, potential):
    frames = list(energies_alone(labelled))
    assert errors(potential, frames) == pytest.approx({"energy_mae": errors(potential, labelled)["energy_mae"]})

    class OnlyEnergy(Calculator):
        implemented_properties = ("energy",)

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results = {"energy": 1.0}

    assert set(errors(OnlyEnergy(), frames)) == {"energy_mae"}


def test_frames_without_labels_are_an_error_that_says_what_to_do(labelled, potential):
    with pytest.raises(DatasetError, match="has no energy; label it first"):
        errors(potential, [labelled[0].copy()])
    with pytest.raises(DatasetError, match="the list of frames is empty"):
        errors(potential, [])
    with pytest.raises(TypeError, match="an ASE calculator is expected"):
        errors("gas", labelled)


OXYGEN = even_gas("O5", 2)
MOVING = np.zeros((400, 2, 3))
NONSENSE = [
    (energy_mae, ("x", [1.0])), (energy_mae, ([np.nan], [1.0])), (energy_mae, ([1.0], [1.0], [0])),
    (energy_mae, ([1.0, 2.0], [1.0, 2.0], [3])), (force_mae, (3, 4)), (force_mae, ([], [])),
    (force_mae, ([[[np.inf] * 3]], [[[0.0] * 3]])), (energy_drift, ([0, 1], [0, 1], 0)),
    (energy_drift, ([0, 1, 2], [0, 1], 3)), (energy_drift, ([0, 0], [0, 1], 3)), (energy_drift, ("ab", "cd", 3)),
    (density_of, (Atoms("O"),)), (density_of, ("box",)), (observables.rdf, ([],)),
    (observables.rdf, (None,)), (observables.rdf, (OXYGEN[0],)), (observables.rdf, (OXYGEN, "O")),
    (observables.rdf, (OXYGEN, "Xy")), (observables.rdf, (OXYGEN, None)), (observables.rdf, (OXYGEN, "OO", -1)),
    (observables.rdf, (OXYGEN, "OO", np.nan)), (observables.rdf, (OXYGEN, "OO", 3, 0)),
    (observables.rdf, (OXYGEN, "OO", 3, 2.5)), (mean_square_displacement, (np.zeros((5, 3)),)),
    (mean_square_displacement, (np.zeros((5, 1, 3)),)), (mean_square_displacement, ([],)),
    (mean_square_displacement, (np.full((5, 2, 3), np.nan),)), (diffusion, (MOVING, 0)), (diffusion, (MOVING, -1)),
    (diffusion, (MOVING, "0.1")), (diffusion, (MOVING, 0.1, 5)), (diffusion, (MOVING, 0.1, (np.nan, 2))),
    (diffusion, (MOVING, 0.1, (2.0, 1.0))), (diffusion, (MOVING, 0.1, (1.0, 2.0), 1)), (yeh_hummer, (0, 12)),
    (yeh_hummer, (300, -1)), (yeh_hummer, (300, 12, 0)), (block_average, ([],)), (block_average, ([1, np.nan, 2],)),
    (block_average, ([[1, 2], [3, 4]], 2)), (block_average, (range(9), 0)), (block_average, (range(9), 2.5)),
    (composition, ([3],)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "given"), NONSENSE, ids=lambda part: getattr(part, "__name__", ""))
def test_what_makes_no_sense_is_an_error_that_says_what_is_expected(function, given):
    with pytest.raises((ValueError, TypeError), match=r"expected|possible|cannot be cut|not finite|too short"):
        function(*given)


def test_g_of_r_of_a_crystal_peaks_at_its_neighbours():
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * 2
    r, g = observables.rdf([salt], ("Na", "Cl"))
    assert r[np.argmax(g)] == pytest.approx(2.82, abs=0.06)


def test_g_of_r_needs_a_box_that_is_wide_enough():
    box = Atoms("O2", [[0, 0, 0], [1, 0, 0]], cell=[8] * 3, pbc=True)
    with pytest.raises(ValueError, match="half the box, 4.00"):
        observables.rdf([box], r_max=5)
    box.pbc = False
    with pytest.raises(ValueError, match="periodic in all directions"):
        observables.rdf([box])


# --- diffusion ---


@pytest.fixture
def walk():
    """400 random walkers, 4,000 steps of 0.1 ps, D = 2.5e-9 m²/s: variance 2 D t per direction."""
    steps = np.random.default_rng(0).normal(scale=np.sqrt(2 * 0.25 * 0.1), size=(4000, 400, 3))  # Å
    return np.cumsum(steps, axis=0)


def test_the_mean_square_displacement_is_what_counting_gives(walk):
    short = walk[:50, :7] - walk[:50, :7].mean(axis=1, keepdims=True)
    by_hand = [np.mean([((short[t + k] - short[t]) ** 2).sum(-1).mean() for t in range(50 - k)]) for k in range(50)]
    np.testing.assert_allclose(mean_square_displacement(walk[:50, :7]), by_hand, atol=1e-9)


def test_a_random_walk_has_the_diffusion_coefficient_it_was_made_with(walk):
    value, error = diffusion(walk, spacing=0.1)
    assert value == pytest.approx(2.5, abs=3 * error)
    assert 0.005 < error < 0.05


def test_a_common_drift_is_not_diffusion(walk):
    drifting = walk + np.linspace(0, 500, len(walk))[:, None, None]
    assert diffusion(drifting, spacing=0.1) == pytest.approx(diffusion(walk, spacing=0.1))


def test_too_short_a_run_for_a_diffusion_coefficient_is_an_error(walk):
    with pytest.raises(ValueError, match=r"300 frames 0.1 ps apart, in 5 blocks, are too short"):
        diffusion(walk[:300], spacing=0.1)


def test_the_missing_diffusion_of_a_small_box_is_that_of_the_literature():
    assert yeh_hummer(298.15, 12.42) == pytest.approx(0.56, abs=0.01)
    assert yeh_hummer(298.15, 24.84) == pytest.approx(0.28, abs=0.01)


def test_of_simulations_that_all_broke_the_share_falls_by_one_each():
    time, share, low, high = observables.survival([3.0, 1.0, 2.0, 4.0], [True] * 4)
    assert time.tolist() == [0, 1, 2, 3, 4] and share.tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert (low <= share).all() and (share <= high).all() and (np.diff(high) <= 0).all()


def test_a_simulation_that_was_ended_early_is_at_risk_until_then_and_no_longer():
    time, share, *_ = observables.survival([1.0, 2.0, 3.0], [True, False, True])
    assert dict(zip(time, share, strict=True)) == pytest.approx({0: 1, 1: 2 / 3, 2: 2 / 3, 3: 0})


def test_twenty_of_twenty_that_last_leave_room_for_a_few_that_would_not():
    _, share, low, high = observables.survival([10.0] * 20, [False] * 20)
    assert share.tolist() == high.tolist() == [1, 1] and low[-1] == pytest.approx(0.832, abs=0.001)


@pytest.mark.parametrize(
    "times, broke", [([], []), ([1.0], [1]), ([1.0, 2.0], [True]), ([-1.0], [True]), ([np.nan], [True])]
)
def test_lengths_of_simulations_that_make_no_sense_are_an_error(times, broke):
    with pytest.raises(ValueError, match="expected"):
        observables.survival(times, broke)
