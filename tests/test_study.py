"""The study of learning curves: what it is tested on is in nothing that it was trained on."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from rdkit.Chem import CanonSmiles

from tpainn_lite.model.pretrained import load_pretrained
from tpainn_lite.reading.shipped import load_molecules, load_results, load_scan, molecule_list
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.geometry import composition
from tpainn_lite.structures.select import draw

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

from autotuning import CHOICES, along, choice
from closed_form import RidgePotential
from holes import GAPS, approach, reached
from learning_curve_qm9 import SIZES, methods_of, settings_of, sizes_of
from study_data import qm9_task, skeleton, skeleton_of
from study_starts import SHIPPED, STARTS
from study_tables import BLOCKS, NOTHING, forces_table, spread


@pytest.mark.parametrize("smiles", ["CCO", "c1ccccc1", "CC(=O)NC", "N#CC#N", "C1CC1F", "O=C=O"])
def test_a_molecule_has_one_skeleton_however_it_lies(smiles):
    assert skeleton(molecule(smiles, seed=1)) == skeleton(molecule(smiles, seed=2)) == skeleton_of(smiles)


def test_isomers_have_different_skeletons():
    assert len({skeleton_of(smiles) for smiles in ("CCO", "COC", "CC(C)C", "CCCC")}) == 4


def test_skeletons_tell_dft_frames_apart_as_their_smiles_do():
    shown = {atoms.info["smiles"]: atoms for atoms in load_molecules("test")}
    wrong = [smiles for smiles, atoms in shown.items() if skeleton(atoms) != skeleton_of(smiles)]
    assert len(wrong) <= 0.01 * len(shown)  # cages whose atoms are nearer across than along


def test_no_molecule_that_qm9_energies_are_tested_on_is_pretrained_or_trained_on(reference_data):
    _, pool, tests = qm9_task()
    energies = {atoms.get_potential_energy() for atoms in pool}
    assert len(tests["uniform"]) > 400
    assert energies.isdisjoint(atoms.get_potential_energy() for atoms in tests["uniform"])
    # beside our own reading of the geometries, QM9's own SMILES, where the file has them
    path = reference_data.folder / "qm9" / "qm9_part.npz"
    told = {round(float(f["energy"]), 6): str(f["smiles"]) for f in reference_data.frames(path) if str(f["smiles"])}
    tested = [
        told[round(a.get_potential_energy(), 6)] for a in tests["uniform"] if round(a.get_potential_energy(), 6) in told
    ]
    assert len(tested) > 50
    assert {CanonSmiles(smiles) for smiles in tested}.isdisjoint(CanonSmiles(s) for s in molecule_list(max_heavy=9))


def test_no_molecule_that_qm9_energies_are_tested_on_is_in_the_dft_set_that_serves_as_a_rung(reference_data):
    _, _, tests = qm9_task()
    rung = {skeleton_of(atoms.info["smiles"]) for atoms in load_molecules("train")}
    assert len(rung) > 250 and rung.isdisjoint(skeleton(atoms) for atoms in tests["uniform"])


def test_every_draw_of_qm9_knows_the_elements_it_is_tested_on(reference_data):
    _, pool, tests = qm9_task()
    elements = {int(z) for atoms in tests["uniform"] for z in atoms.numbers}
    for seed in (0, 1, 2):
        few = draw(pool, 10, seed)
        assert elements <= {int(z) for atoms in few for z in atoms.numbers}
        assert np.mean([(a.numbers > 1).sum() for a in draw(pool, 300, seed)]) > 8  # drawn evenly, not by formula


def test_every_start_is_a_method_and_from_scratch_gets_more_steps():
    for task in ("molecule_forces", "qm9_energy"):
        names = {name.removeprefix("tpainn_") for name in methods_of(task) if name.startswith("tpainn_")}
        assert {"shipped", "shipped_xtb", "pool", "shuffled"} < names and f"pool_{task}" in STARTS
        assert names - {"pool"} == {name for name in (*STARTS, *SHIPPED) if name in names}
        for n in (10, 100, 1000):
            assert settings_of(task, n, True)["steps"] > settings_of(task, n, False)["steps"]


def test_fair_baselines_and_what_ships_are_asked_at_every_number_of_labels_and_the_bars_ones():
    for task, bar in (("molecule_forces", 50), ("qm9_energy", 100)):
        everywhere = [name for name in methods_of(task) if sizes_of(task, name) == SIZES[task]]
        assert {"scratch_atomref", "delta_xtb", "tpainn_shipped_xtb", "tpainn_pool"} <= set(everywhere)
        assert all(bar in sizes_of(task, name) for name in methods_of(task))


def test_ridge_regression_finds_one_energy_per_element_exactly_and_more_of_dft_than_that():
    frames, potential = draw(load_molecules("train"), 150), load_pretrained("gas")  # a frame of each molecule
    predicted, _ = potential.predict(frames)
    dft = np.array([atoms.get_potential_energy() for atoms in frames])
    elements, counts = composition(frames)

    def missed(energies):
        for atoms, energy in zip(frames, energies, strict=True):
            atoms.calc = SinglePointCalculator(atoms, energy=energy)
        found, _ = RidgePotential(potential, frames[:100]).predict(frames[100:])
        return np.abs(found - energies[100:])

    assert missed(predicted + counts @ np.arange(1.0, len(elements) + 1)).max() < 1e-3
    by_element = counts[100:] @ np.linalg.lstsq(counts[:100], (dft - predicted)[:100], rcond=None)[0]
    assert missed(dft).mean() < 0.7 * np.abs(by_element - (dft - predicted)[100:]).mean()


class _Shifted:
    """Labels themselves, from another zero, and too stiff where a bond is short."""

    def predict(self, frames):
        energies = [a.get_potential_energy() + 7 + 0.1 * (0 < a.info["coordinate"] < 0.93) for a in frames]
        return np.array(energies), None


def test_errors_along_a_scan_do_not_count_the_zero_of_energy():
    found = along(_Shifted(), load_scan("bond"))
    assert found["rmse_short"] == pytest.approx(100) and 0 < found["rmse"] < 60  # meV
    torsion = along(_Shifted(), load_scan("torsion"))
    assert torsion == {"rmse": pytest.approx(0, abs=1e-6)}  # nothing is short there


def test_every_choice_of_settings_is_one_that_autotune_takes(monkeypatch):
    taken = {}
    monkeypatch.setattr("autotuning.frames_of", lambda teacher: ["frame"] * 40)
    monkeypatch.setattr("autotuning.tuned_way", lambda task, start, **changed: lambda *_: taken.update(changed))
    for name in CHOICES:
        taken.clear()
        choice("molecule_forces", name)([None] * 50, 0)
        assert set(taken) == set(CHOICES[name])
    usual = settings_of("molecule_forces", 50, False)
    choice("molecule_forces", "twice the steps")([None] * 50, 0)
    assert taken["steps"] == 2 * usual["steps"] and isinstance(taken["steps"], int)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([840, 800, 878], "840 ± 40"), ([3.2, 3.4], "3.30 ± 0.14"), ([276314, 251499, 338813], "290,000 ± 40,000"),
        ([80.1, 80.3, 80.2], "80.20 ± 0.10"), ([], NOTHING),
    ],
)  # fmt: skip
def test_a_mean_has_the_digits_that_its_deviation_leaves(values, told):
    assert spread(values) == told


@pytest.mark.parametrize("block", BLOCKS)
def test_tables_stand_results_that_are_not_complete(block):
    name, table = BLOCKS[block]
    results = load_results(name)
    whole = table(results)
    assert whole.count("\n") > 2
    for kept in (0, 1):  # one seed alone; and every other row
        rows = [r for k, r in enumerate(results["rows"]) if (r.get("seed") == 0 if kept == 0 else k % 2)]
        assert table({**results, "rows": rows}).startswith("|")


def test_a_table_quotes_the_means_of_its_results():
    results = load_results("learning_curve_qm9")
    rows = [r for r in results["rows"] if r["method"] == "scratch_atomref" and r.get("subset") == "test"]
    of_fifty = [r["force_mae"] for r in rows if r["n_train"] == 50]
    assert len(of_fifty) == 3 and f" {spread(of_fifty)} " in forces_table(results)


def test_two_molecules_approach_rigid_to_the_gaps_that_are_asked_for():
    one, other = molecule("O"), molecule("CC", seed=1)
    frames = approach(one, other, np.random.default_rng(0))
    assert len(frames) > 20  # they need not pass each other
    for gap, atoms in zip(GAPS, frames, strict=False):
        apart = np.linalg.norm(atoms.positions[:3, None] - atoms.positions[None, 3:], axis=-1)
        assert gap - 0.011 < apart.min() <= gap
        for part, whole in ((atoms[:3], one), (atoms[3:], other)):
            assert part.get_all_distances() == pytest.approx(whole.get_all_distances(), abs=1e-9)


@pytest.mark.parametrize(
    ("energies", "last"),
    [([5.0, 5.5, 5.9, 6.1, 3.0], 2), ([0.0, 0.5, 0.2, -3.0], 3), ([0.0, 2.0, 1.0], 0), ([0.0, 0.1, np.inf], 1)],
)
def test_an_approach_ends_where_it_first_costs_too_much(energies, last):
    assert reached(np.array(energies)) == last
