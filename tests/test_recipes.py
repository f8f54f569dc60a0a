"""Recipes make what they say, and hold out what they must."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from rdkit.Chem import CanonSmiles

from tpainn_lite.model.errors import errors
from tpainn_lite.model.pretrained import PRETRAINED, load_pretrained
from tpainn_lite.reading.shipped import PARTS, data_folder, load_molecules, load_results
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.files import sha256
from tpainn_lite.structures.geometry import bonds_of
from tpainn_lite.teachers.gfn_ff import gfn_ff
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.teachers.sample import shaken_molecules, thermal_frames
from tpainn_lite.teachers.water import water
from tpainn_lite.teachers.water_md import water_run
from tpainn_lite.teachers.xtb import gfn2_xtb

sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "make"))

from held_out import HELD_OUT
from pretrained import LOCAL, RECIPES, calm, follow, gas_frames, rounds, two_force_fields, water_frames
from reactive_frames import reaction

TINY = {"steps": 4, "check_every": 2, "batch_size": 2, "progress": False, "n_features": 16, "n_interactions": 2}


def test_gas_phase_frames_hold_out_the_dft_tests_and_their_own_valid():
    train, valid = gas_frames(n_molecules=12, n_frames=3, n_valid=4, n_jobs=1)
    molecules = [{CanonSmiles(atoms.info["smiles"]) for atoms in part} for part in (train, valid)]
    assert molecules[0].isdisjoint(molecules[1]) and len(molecules[1]) <= 4 and len(train) > 20
    held_out = {CanonSmiles(a.info["smiles"]) for part in PARTS if part != "train" for a in load_molecules(part)}
    assert held_out.isdisjoint(molecules[0] | molecules[1])
    assert {atoms.info["level"] for atoms in train} == {"MMFF94"}


def test_frames_with_a_force_component_above_the_limit_are_left_out(monkeypatch):
    sizes = {"n_molecules": 8, "n_frames": 6, "n_valid": 1, "n_jobs": 1}
    every = [atoms for part in gas_frames(**sizes) for atoms in part]
    largest = [np.abs(atoms.get_forces()).max() for atoms in every]
    monkeypatch.setattr("pretrained.FORCE_LIMIT", np.median(largest))
    calm = [atoms for part in gas_frames(**sizes) for atoms in part]
    assert len(calm) == len(every) // 2 and max(np.abs(a.get_forces()).max() for a in calm) < np.median(largest)


def test_water_frames_have_stress_and_many_densities():
    train, valid = water_frames(n_frames=1, n_valid=1, n_molecules=8, n_jobs=1, warm_up=20, spacing=5, cutoff=2.5)
    assert {atoms.info["level"] for atoms in train} == {"q-TIP4P/F, damped-shifted at 2.5 Å"}
    assert len(train) == len(valid) == 20
    assert len({round(atoms.info["density"], 2) for atoms in train}) == 5
    assert all("stress" in atoms.calc.results for atoms in train)


def test_boxes_that_another_teacher_labels_are_moved_by_all_charges_and_may_be_narrow():
    pytest.importorskip("tblite", reason="pip install 'tpainn_lite[xtb]'")
    few = {"n_frames": 1, "n_valid": 1, "n_molecules": 4, "n_jobs": 1, "warm_up": 20, "spacing": 5}
    train, valid = water_frames(states=[(1.0, 300), (1.0, 1000)], teacher=gfn2_xtb, **few)
    assert len(train) == len(valid) == 2 and {atoms.info["level"] for atoms in train + valid} == {"GFN2-xTB"}
    assert all("stress" in atoms.calc.results for atoms in train)


def test_following_a_recipe_gives_weights_that_name_it(tmp_path):
    sizes = {"n_molecules": 6, "n_frames": 2, "n_valid": 2, "n_jobs": 1}
    potential = follow("gas", sizes=sizes, checkpoint=tmp_path, **TINY)
    assert rounds("gas") == [60_000, 30_000] and (tmp_path / "round-2" / "history.csv").exists()
    assert potential.metadata["recipe"] == "gas" and potential.metadata["level"] == "MMFF94"
    assert tuple(RECIPES) == PRETRAINED


def test_a_recipe_may_go_on_from_shipped_weights_with_another_teacher():
    pytest.importorskip("tblite", reason="pip install 'tpainn_lite[xtb]'")
    few = {"steps": 2, "check_every": 2, "batch_size": 2, "progress": False}
    sizes = {"n_molecules": 6, "n_frames": 2, "n_valid": 2, "n_jobs": 1}
    potential = follow("gas_xtb", sizes=sizes, **few)
    assert potential.metadata["recipe"] == "gas_xtb" and potential.metadata["start"] == "gas"
    assert potential.metadata["level"] == "GFN2-xTB" and potential.metadata["stage"] == "pretrain"
    mean, was = potential.painn.embedding.weight, load_pretrained("gas").painn.embedding.weight
    assert 0 < (mean - was).abs().max() < 0.05  # it went on, it did not begin again
    with pytest.raises(ValueError, match="starts from the weights 'gas', a network of"):
        follow("gas_xtb", sizes=sizes, **TINY)


def test_frames_along_a_reaction_begin_with_the_bonds_of_the_molecule_and_end_with_others():
    pytest.importorskip("tblite", reason="pip install 'tpainn_lite[xtb]'")
    frames = reaction("C=CCN=C", 6, seed=60)
    first, last = ({tuple(bond) for bond in bonds_of(atoms)} for atoms in (molecule("C=CCN=C"), frames[-1]))
    assert 4 <= len(frames) <= 6 and first != last and frames[0].info["config_type"].startswith("pushed ")


@pytest.mark.parametrize("recipe", RECIPES)
def test_shipped_weights_are_small_and_were_made_by_their_recipe(recipe):
    potential = load_pretrained(recipe)
    assert potential.metadata["recipe"] == recipe and potential.painn.n_features == 64
    assert (data_folder() / "checkpoints" / f"{recipe}.safetensors").stat().st_size < 2e6


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_errors_that_are_quoted_are_those_of_the_shipped_weights(recipe):
    """Otherwise: python benchmarks/checkpoints.py --history ..."""
    told = load_results("checkpoints")
    assert told["weights"][recipe] == sha256(data_folder() / "checkpoints" / f"{recipe}.safetensors")
    assert told["histories"][recipe][-1]["step"] == sum(rounds(recipe))
    assert any(row["task"] == recipe for row in told["rows"])


def test_shipped_gas_weights_imitate_mmff94_on_molecules_they_have_not_seen():
    smiles = sorted({atoms.info["smiles"] for atoms in load_molecules("test")})[::10]
    frames = label(shaken_molecules(smiles, 3, 300, seed=99), mmff94(), progress=False)
    assert errors(load_pretrained("gas"), frames)["force_mae"] < 60  # meV/Å


def test_shipped_gas_mean_weights_imitate_two_force_fields_on_molecules_they_have_not_seen():
    pytest.importorskip("xtb", reason="pip install 'tpainn_lite[gfnff]' (Python 3.11, Linux)")
    smiles = sorted({atoms.info["smiles"] for atoms in load_molecules("test")})[::10]
    shaken = list(shaken_molecules(smiles, 3, 300, seed=99))
    frames, by_mmff94, by_gfn_ff = (
        label(shaken, teacher, progress=False) for teacher in (two_force_fields(), mmff94(), gfn_ff())
    )
    halves = (by_mmff94[0].get_forces() + by_gfn_ff[0].get_forces()) / 2
    np.testing.assert_allclose(frames[0].get_forces(), halves, atol=1e-10)
    assert errors(load_pretrained("gas_mean"), frames)["force_mae"] < 60  # meV/Å


def test_shipped_gas_xtb_weights_imitate_gfn2_xtb_on_molecules_they_have_not_seen():
    pytest.importorskip("tblite", reason="pip install 'tpainn_lite[xtb]'")
    smiles = sorted({atoms.info["smiles"] for atoms in load_molecules("test")})[::20]
    frames = label(shaken_molecules(smiles, 2, 300, seed=99), gfn2_xtb(), progress=False)
    assert errors(load_pretrained("gas_xtb"), frames)["force_mae"] < 70  # meV/Å


def test_shipped_wide_weights_imitate_their_teachers_on_drugs_and_ions_they_have_not_seen():
    pytest.importorskip("tblite", reason="pip install 'tpainn_lite[xtb]'")
    molecules = [molecule(smiles) for smiles in list(HELD_OUT.values())[::4]]
    frames = [atoms for start in molecules for atoms in thermal_frames(start, mmff94(), 300, 2, seed=99)]
    by_mmff94, by_xtb = (label(frames, teacher, progress=False) for teacher in (mmff94(), gfn2_xtb()))
    assert errors(load_pretrained("gas_wide"), by_mmff94)["force_mae"] < 100  # meV/Å
    assert errors(load_pretrained("gas_wide_xtb"), by_xtb)["force_mae"] < 90 < errors(mmff94(), by_xtb)["force_mae"]


def test_shipped_water_weights_imitate_q_tip4p_f_at_a_state_they_have_not_seen():
    frames = list(water_run(density=0.95, temperature=310, n_frames=4, seed=99, warm_up=2000, **LOCAL))
    assert errors(load_pretrained("water"), frames)["force_mae"] < 25  # meV/Å


def test_shipped_water_xtb_weights_imitate_gfn2_xtb_on_a_box_they_have_not_seen():
    pytest.importorskip("tblite", reason="pip install 'tpainn_lite[xtb]'")
    frames = water_run(n_molecules=24, density=0.95, temperature=310, n_frames=1, seed=99, warm_up=2000)
    assert errors(load_pretrained("water_xtb"), label(frames, gfn2_xtb(), progress=False))["force_mae"] < 40  # meV/Å


def test_shipped_water_iamoeba_weights_imitate_iamoeba_on_a_box_they_have_not_seen():
    frames = water_run(n_molecules=24, density=0.95, temperature=310, n_frames=4, seed=99, warm_up=2000)
    labelled = label(frames, water("iAMOEBA"), progress=False)
    assert errors(load_pretrained("water_iamoeba"), labelled)["force_mae"] < 40  # meV/Å


def test_unknown_weights_or_too_many_molecules_are_an_error():
    for recipe in ("soup", None, 5, ["gas"], {}):
        with pytest.raises(ValueError, match=r"recipe .* is not one of \('gas', .*, 'water_iamoeba'\)"):
            load_pretrained(recipe)
    with pytest.raises(ValueError, match="molecules are wanted; there are"):
        gas_frames(n_molecules=10**6)


def test_calm_frames_are_judged_by_their_labels_as_given():
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 1]])
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=[[0, 0, 99.0], [0, 0, 0]])
    atoms.set_constraint(FixAtoms([0]))
    assert calm([atoms]) == [] and calm([]) == []
