import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

import tpainn_lite as tp
from tpainn_lite.structures.checks import DatasetError
from tpainn_lite.structures.geometry import composition
from tpainn_lite.train import energy_fit
from tpainn_lite.train.energy_fit import EnergyFit


@pytest.fixture(scope="module")
def start():
    return tp.load_pretrained("gas_xtb")


@pytest.fixture(scope="module")
def frames():
    return tp.draw(tp.load_molecules("train"), 150, seed=0)  # a frame of each molecule


def labelled(frames, energies):
    copies = [atoms.copy() for atoms in frames]
    for atoms, energy in zip(copies, energies, strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return copies


def energies_of(frames):
    return np.array([atoms.get_potential_energy() for atoms in frames])


def test_one_energy_per_element_is_found_exactly(start, frames):
    predicted, _ = start.predict(frames)
    elements, counts = composition(frames)
    shifted = labelled(frames, predicted + counts @ np.arange(1.0, len(elements) + 1))
    fit = EnergyFit(shifted[:100], start)
    found, forces = fit.predict(shifted[100:])
    assert np.abs(found - energies_of(shifted)[100:]).max() < 1e-3
    assert fit.left_out_error < 1e-3
    assert forces is None


@pytest.mark.parametrize("teacher", [None, tp.mmff94])
def test_it_finds_more_of_dft_than_energies_per_element(start, frames, teacher):
    cheap = start.predict(frames)[0] if teacher is None else energies_of(tp.label(frames, teacher(), progress=False))
    rest, (_, counts) = energies_of(frames) - cheap, composition(frames)
    by_element = counts[100:] @ np.linalg.lstsq(counts[:100], rest[:100], rcond=None)[0]
    found, _ = EnergyFit(frames[:100], start, teacher and teacher()).predict(frames[100:])
    assert np.abs(found - energies_of(frames)[100:]).mean() < 0.7 * np.abs(by_element - rest[100:]).mean()


def test_the_error_of_labels_left_out_is_that_of_fits_without_them(start, frames, monkeypatch):
    monkeypatch.setattr(energy_fit, "STRENGTHS", np.array([1e-3]))
    kept, given = {}, energy_fit._solve

    def watched(kernel, counts, rest):
        kept.update(kernel=kernel, counts=counts, rest=rest)
        return given(kernel, counts, rest)

    monkeypatch.setattr(energy_fit, "_solve", watched)
    fit = EnergyFit(frames[:25], start)
    kernel, counts, rest = kept["kernel"], kept["counts"], kept["rest"]
    penalty = 1e-3 * np.linalg.eigvalsh(kernel).mean()
    errors = []
    for out in range(25):
        others = np.delete(np.arange(25), out)
        inverse = np.linalg.inv(kernel[np.ix_(others, others)] + penalty * np.eye(24))
        c = counts[others]
        of_elements = np.linalg.solve(c.T @ inverse @ c, c.T @ inverse @ rest[others])
        shares = inverse @ (rest[others] - c @ of_elements)
        errors.append(abs(rest[out] - counts[out] @ of_elements - kernel[out, others] @ shares))
    assert fit.left_out_error == pytest.approx(np.mean(errors), rel=1e-6)


def test_pure_water_has_one_energy(start):
    waters = list(tp.shaken_molecules(["O"], n_frames=12, temperature=(300, 1000), seed=0))
    waters = tp.label(waters, tp.mmff94(), progress=False)
    found, _ = EnergyFit(waters[:8], start).predict(waters[8:])
    assert np.abs(found - energies_of(waters[8:])).max() < 0.2


def test_the_same_seed_gives_the_same_fit(start, frames):
    one, same, other = (EnergyFit(frames[:30], start, seed=seed).predict(frames[30:40])[0] for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert np.abs(one - other).max() > 1e-4


def test_fluorine_is_counted_where_a_frame_to_predict_has_fewer_elements(start, frames):
    fit = EnergyFit(frames[:100], start)
    few = [atoms for atoms in frames if set(atoms.symbols) == {"C", "H"}][:2]
    together, _ = fit.predict([*few, frames[101]])
    alone, _ = fit.predict(few)
    assert np.allclose(together[:2], alone, atol=1e-5)


def test_what_cannot_be_is_refused(start, frames):
    bare = [atoms.copy() for atoms in frames[:20]]
    with pytest.raises(DatasetError, match="energy"):
        EnergyFit(bare, start)
    with pytest.raises(DatasetError, match=r"3 frames with \d elements"):
        EnergyFit(frames[:3], start)
    with pytest.raises(TypeError, match="Potential"):
        EnergyFit(frames[:20], tp.mmff94())
    hydrocarbons = [atoms for atoms in frames if set(atoms.symbols) == {"C", "H"}]
    fit = EnergyFit(hydrocarbons, start)
    with pytest.raises(ValueError, match="has O; label"):
        fit.predict([tp.molecule("O")])
