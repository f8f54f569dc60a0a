"""Recipes make what they say, and hold out what they must."""

import numpy as np
import pytest
from rdkit.Chem import CanonSmiles

from tpainn_lite.datasets import PARTS, load_molecules
from tpainn_lite.recipes import RECIPES, follow, gas_frames, water_frames

TINY = {"steps": 4, "check_every": 2, "batch_size": 2, "progress": False, "n_features": 16, "n_interactions": 2}


def test_gas_phase_frames_hold_out_the_dft_tests_and_their_own_valid():
    train, valid = gas_frames(n_molecules=12, n_frames=3, n_valid=4, n_jobs=1)
    molecules = [{CanonSmiles(atoms.info["smiles"]) for atoms in part} for part in (train, valid)]
    assert molecules[0].isdisjoint(molecules[1]) and len(molecules[1]) <= 4 and len(train) > 20
    held_out = {CanonSmiles(a.info["smiles"]) for part in PARTS if part != "train" for a in load_molecules(part)}
    assert held_out.isdisjoint(molecules[0] | molecules[1])
    assert {atoms.info["level"] for atoms in train} == {"MMFF94"}


def test_frames_with_a_force_above_the_limit_are_left_out(monkeypatch):
    sizes = {"n_molecules": 8, "n_frames": 6, "n_valid": 1, "n_jobs": 1}
    every = [atoms for part in gas_frames(**sizes) for atoms in part]
    largest = [np.abs(atoms.get_forces()).max() for atoms in every]
    monkeypatch.setattr("tpainn_lite.recipes.FORCE_LIMIT", np.median(largest))
    calm = [atoms for part in gas_frames(**sizes) for atoms in part]
    assert len(calm) == len(every) // 2 and max(np.abs(a.get_forces()).max() for a in calm) < np.median(largest)


def test_water_frames_have_stress_and_many_densities():
    train, valid = water_frames(n_frames=1, n_valid=1, n_molecules=8, n_jobs=1, warm_up=20, spacing=5, cutoff=2.5)
    assert {atoms.info["level"] for atoms in train} == {"q-TIP4P/F, damped-shifted at 2.5 Å"}
    assert len(train) == len(valid) == 20
    assert len({round(atoms.info["density"], 2) for atoms in train}) == 5
    assert all("stress" in atoms.calc.results for atoms in train)


def test_following_a_recipe_gives_weights_that_name_it():
    sizes = {"n_molecules": 6, "n_frames": 2, "n_valid": 2, "n_jobs": 1}
    potential = follow("gas", sizes=sizes, **TINY)
    assert potential.metadata["recipe"] == "gas" and potential.metadata["level"] == "MMFF94"
    assert set(RECIPES) == {"gas", "water"}


def test_an_unknown_recipe_or_too_many_molecules_is_an_error():
    with pytest.raises(ValueError, match=r"recipe 'soup' is not one of \('gas', 'water'\)"):
        follow("soup")
    with pytest.raises(ValueError, match="molecules asked for; there are"):
        gas_frames(n_molecules=10**6)
