"""Error bars: what they are made of, and that they keep their promise on frames drawn as those that set it."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

import tpainn_lite as tp
from tpainn_lite.model.error_bars import ErrorBars, LastLayer, quantile


@pytest.fixture(scope="module")
def frames():
    return tp.load_molecules("valid")


@pytest.fixture(scope="module")
def potential():
    return tp.load_pretrained("gas_xtb")


def test_nine_in_ten_errors_lie_within(potential, frames):
    order = np.random.default_rng(0).permutation(len(frames))
    train, held_out, others = ([frames[k] for k in part] for part in np.split(order[:160], [40, 80]))
    potential = tp.autotune(potential, train, steps=20, progress=False)
    energies, forces, energy_bars, force_bars = ErrorBars(potential, train, held_out).predict(others)
    off = np.concatenate([np.abs(f - a.get_forces()).ravel() for f, a in zip(forces, others, strict=True)])
    assert 0.85 < np.mean(off <= np.concatenate([bar.ravel() for bar in force_bars])) < 0.95
    missed = np.abs(energies - [atoms.get_potential_energy() for atoms in others])
    assert 0.8 < np.mean(missed <= energy_bars) <= 1


def test_a_structure_unlike_all_others_has_wider_bars(potential, frames):
    alike = [atoms for atoms in frames if set(atoms.symbols) <= {"C", "H"}]
    bars = ErrorBars(potential, alike[:20], alike[20:40])
    fluoride = next(atoms for atoms in frames if "F" in atoms.symbols)
    usual = np.median([bar.mean() for bar in bars.predict(alike[40:60])[3]])
    assert bars.predict([fluoride])[3][0].mean() > 1.5 * usual


def test_the_spread_of_a_force_is_that_of_the_change_of_the_energy(frames):
    potential = tp.load_pretrained("gas").double()
    layer, atoms, step = LastLayer(potential, frames[:5]), frames[7].copy(), 1e-4
    _, slopes = layer._features(atoms)
    for axis in (0, 4):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions.flat[axis] += sign * step
            ends.append(layer._features(moved)[0])
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), -slopes[:, axis], atol=1e-5)


def test_what_the_bars_are_in(potential, frames):
    wide, narrow = (ErrorBars(potential, frames[:10], frames[10:20], share) for share in (0.95, 0.5))
    for large, small in zip(wide.predict(frames[20:22])[2:], narrow.predict(frames[20:22])[2:], strict=True):
        assert all(np.all(a > b) for a, b in zip(large, small, strict=True))


def test_what_cannot_be_right_is_refused(potential, frames):
    with pytest.raises(ValueError, match=r"share is 90; a number between 0 and 1 is expected, such as 0\.9"):
        ErrorBars(potential, frames[:5], frames[5:9], share=90)
    bare = frames[0].copy()
    bare.calc = SinglePointCalculator(bare, energy=0.0)
    with pytest.raises(ValueError, match="forces"):
        ErrorBars(potential, [bare], frames[:3])


def test_too_few_labels_promise_the_largest():
    assert quantile(np.array([1.0, 3.0, 2.0]), 0.9) == 3.0
