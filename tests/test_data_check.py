"""Labels in other units or with the other sign are recognised; those that are right are never refused."""

import os
from pathlib import Path

import data_check as bench
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

import tpainn_lite as tp
from tpainn_lite.cli.app import app
from tpainn_lite.model.answers import sample_of
from tpainn_lite.reading.evidence import OF_FORCES, Slope, free_atom, growth_of_energies, units_text, weigh
from tpainn_lite.reading.oddities import find_cells, find_doubles, find_net_force, find_outliers, unwrapped
from tpainn_lite.reading.units import convert

REFERENCE = os.environ.get("TPAINN_REFERENCE_DATA", "")


@pytest.fixture(scope="module")
def sets():
    return {
        "molecules": bench.Bench(tp.load_molecules("valid")),
        "liquid": bench.Bench(tp.load_water("valid", kind="liquid")[:20]),
        "scan": bench.Bench(tp.load_scan("angle")),
    }


def with_labels(atoms, **labels):
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def waters(n, spacing=3.1):
    """n³ molecules of water on a lattice, without a cell."""
    box = molecule("H2O")
    box.set_cell([spacing] * 3)
    box = box * (n, n, n)
    return Atoms(box.numbers, box.positions)


def copper(n):
    frames = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True) * (2, 2, 2)
        atoms.rattle(0.03 * (k + 1), seed=0)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        frames.append(with_labels(atoms, **labels))
    return frames


# --- sound sets ---


@pytest.mark.parametrize("part", ["train", "valid", "test", "test_large"])
def test_the_shipped_sets_are_sound(part):
    for frames in (tp.load_molecules(part), tp.load_water(part)):
        check = tp.check_data(frames)
        assert check.verdict == "sound", check


@pytest.mark.parametrize("name", ["bond", "angle", "torsion", "dimer"])
def test_the_shipped_scans_are_sound(name):
    assert tp.check_data(tp.load_scan(name)).verdict == "sound"


@pytest.mark.skipif(not (Path(REFERENCE) / "load.py").exists(), reason="TPAINN_REFERENCE_DATA names no folder")
def test_other_programs_sets_are_sound():
    for name, frames in bench.reference_sets().items():
        assert tp.check_data(frames).verdict == "sound", name


def test_random_parts_of_sound_sets_are_not_refused(sets):
    found, wrong = bench.right_parts(sets, 60)
    assert found["refused"] == 0 and found["look at this"] <= 1, wrong


@pytest.mark.parametrize("teacher", [tp.mmff94, tp.uff])
def test_energies_that_a_force_field_counts_from_zero_are_sound(teacher):
    frames = tp.label([atoms.copy() for atoms in tp.load_molecules("valid")[:30]], teacher(), progress=False)
    assert tp.check_data(frames).verdict == "sound"


@pytest.mark.parametrize("zero", [np.mean, np.min])
def test_energies_from_the_mean_or_a_minimum_are_sound(zero):
    frames = tp.load_water("valid", kind="liquid")[:12]
    energies = np.array([atoms.calc.results["energy"] for atoms in frames])
    shifted = [
        with_labels(atoms.copy(), **{**atoms.calc.results, "energy": float(energy)})
        for atoms, energy in zip(frames, energies - zero(energies), strict=True)
    ]
    assert tp.check_data(shifted).verdict == "sound"


def test_elements_without_a_potential_are_sound_too():
    assert tp.check_data(copper(6)).verdict == "sound"


# --- other units ---


@pytest.mark.parametrize("kind", list(bench.KINDS))
def test_other_units_and_signs_are_recognised(sets, kind):
    factors, expected = bench.KINDS[kind]
    for bench_of in sets.values():
        if not set(factors) <= {*bench_of.frames[0].calc.results, "positions"}:
            continue
        check = bench_of.judge(bench_of.part(np.random.default_rng(0), 8), factors)
        assert check.verdict == "refused", check
        assert check.units == expected or "Hartree/Å" in kind or "the other sign" in kind or "kbar" in kind, check


def test_forces_in_hartree_per_angstrom_are_named_among_what_fits(sets):
    check = sets["molecules"].judge(list(range(10)), bench.KINDS["forces in Hartree/Å"][0])
    assert any("Hartree/Å" in row.found for row in check.rows)


def test_what_was_named_converts_the_labels_back():
    frames = tp.load_molecules("valid")[:12]
    wrong = [bench.changed(atoms, bench.KINDS["Hartree, Hartree/Bohr"][0]) for atoms in frames]
    check = tp.check_data(wrong)
    again = convert(wrong, check.units)
    np.testing.assert_allclose(again[3].get_forces(), frames[3].get_forces())
    assert tp.check_data(again).verdict == "sound"


@pytest.mark.parametrize("kind", ["gradients", "forces in Hartree/Bohr", "energies in Hartree", "energies in kJ/mol",
                                  "gradients in Hartree/Bohr", "per atom, gradients"])  # fmt: skip
def test_labels_that_contradict_each_other_are_refused_without_a_potential(kind):
    check = tp.check_data([bench.changed(atoms, bench.KINDS[kind][0]) for atoms in copper(8)])
    assert check.verdict == "refused", check


def test_energies_alone_in_hartree_are_refused_by_the_energies_of_atoms():
    frames = [with_labels(a.copy(), energy=a.get_potential_energy() / 27.2114) for a in tp.load_molecules("valid")[:6]]
    check = tp.check_data(frames)
    assert (check.verdict, check.units) == ("refused", "energy=Hartree"), check


def test_the_check_says_where_nothing_tells_the_unit():
    frames = [with_labels(bulk("Cu", a=3.6 + 0.01 * k), energy=0.01 * k) for k in range(5)]
    check = tp.check_data(frames)
    assert check.verdict == "sound" and "nothing to compare with" in repr(check)


def test_a_potential_of_ones_own_is_compared_with():
    potential = tp.load_pretrained("gas")
    frames = tp.load_molecules("valid")[:10]
    assert tp.check_data(frames, potential).verdict == "sound"
    wrong = [bench.changed(atoms, {"forces": -1.0}) for atoms in frames]
    assert tp.check_data(wrong, potential).verdict == "refused"


# --- pieces of evidence ---


def test_a_low_correlation_proves_nothing():
    rng = np.random.default_rng(0)
    slope = Slope.of(rng.normal(size=100) * 0.02, rng.normal(size=100))
    right, hartree = slope.log_likelihood(np.array([1.0, 0.0194]), OF_FORCES)
    assert hartree - right < 1


def test_few_numbers_prove_less_than_many():
    few, many = (Slope(0.02, 0.9, freedom) for freedom in (4, 400))
    assert abs(few.certain) < abs(many.certain)


def test_free_atoms_have_the_energies_of_hartree_and_fock():
    for z, hartree in {8: -74.81, 14: -288.85, 26: -1262.4, 36: -2752.1}.items():
        assert free_atom(z) / 27.2114 == pytest.approx(hartree, rel=0.02)


def test_energies_per_atom_do_not_grow_with_the_structure():
    numbers = [np.array([8, 1, 1] * k) for k in range(1, 9)]
    n = np.array([len(each) for each in numbers])
    assert growth_of_energies(numbers, -4.9 + 0.01 * np.sin(n)) > 4
    assert growth_of_energies(numbers, -4.9 * n + 0.01 * np.sin(n)) < 0


def test_the_words_for_units_are_short_where_they_can_be():
    assert units_text({"energies": "kcal/mol", "forces": "kcal/mol/Å"}) == "kcal/mol,Å"
    assert units_text({"forces": "-eV/Å", "stress": "GPa"}) == "forces=-eV/Å,stress=GPa"
    both = {"energies": "Hartree", "forces": "Hartree/Bohr"}
    assert units_text(both | {"lengths of bonds": "Bohr"}) == "Hartree,Bohr"
    assert units_text(both | {"forces": "-Hartree/Bohr"}) == "energy=Hartree,forces=-Hartree/Bohr"
    assert units_text({}) == ""


def test_labels_that_contradict_each_other_are_refused_though_either_may_be_right():
    words = [("eV", "eV/Å"), ("Hartree", "eV/Å"), ("eV", "Hartree/Bohr")]
    energy, forces = weigh(np.log([0.02, 0.55, 0.43]), words, (0, 1))
    assert (energy.verdict, forces.verdict) == ("refused", "sound")
    assert energy.units == ("Hartree",)


def test_the_sample_has_frames_of_all_sizes_and_runs_of_one():
    frames = [Atoms("H2")] * 500 + [waters(5)] * 300
    chosen = sample_of(frames)
    assert min(chosen) < 500 <= max(chosen)
    assert sum(len(frames[k]) for k in chosen) < 3100
    assert any(k + 1 in chosen for k in chosen)


# --- oddities ---


def test_a_liquid_without_its_cell_is_named():
    box = waters(3)
    assert any("vacuum" in row.found for row in find_cells([box]))
    cut = box.copy()
    cut.positions[1] += [20.0, 0, 0]  # a hydrogen that came back on the other side
    assert [row.verdict for row in find_cells([cut])] == ["look at this"]
    assert find_cells([molecule("C6H6")]) == []


def test_molecules_that_are_cut_are_made_whole():
    atoms = Atoms("OH2", [[0.1, 5, 5], [0.9, 5.6, 5], [9.3, 5.6, 5]], cell=[10] * 3, pbc=True)
    with_labels(atoms, energy=-1.0)
    assert "unwrap" in find_cells([atoms])[0].found
    whole = unwrapped([atoms])[0]
    assert find_cells([whole]) == []
    assert whole.get_potential_energy() == -1.0


def test_copies_are_named():
    frames = tp.load_molecules("valid")[:4]
    row = find_doubles([*frames, frames[2]])
    assert row.frames == (4,) and row.verdict == "look at this"
    assert find_doubles(frames).verdict == "sound"


def test_frames_that_are_far_off_are_named():
    frames = [atoms.copy() for atoms in tp.load_water("valid", kind="liquid")[:12]]
    frames = [with_labels(atoms, energy=-100.0 + 0.1 * k, forces=np.full((96, 3), 0.1 + 0.01 * k)) for k, atoms in
              enumerate(frames)]  # fmt: skip
    frames[5].calc.results["energy"] += 60.0
    frames[7].calc.results["forces"] = np.full((96, 3), 90.0)
    assert [row.frames for row in find_outliers(frames)] == [(5,), (7,)]


def test_forces_that_add_up_are_named():
    frames = tp.load_molecules("valid")[:3]
    assert find_net_force(frames).verdict == "sound"
    pulled = [with_labels(a.copy(), energy=0.0, forces=a.calc.results["forces"] + 1.0) for a in frames]
    assert find_net_force(pulled).verdict == "look at this"


# --- figure and command ---


def test_the_figure_has_the_line_that_fits():
    wrong = [bench.changed(atoms, {"forces": -1.0}) for atoms in tp.load_molecules("valid")[:5]]
    check = tp.check_data(wrong)
    assert tp.plots.data_check(check).data[1].name.startswith("labels = -1")
    with pytest.raises(ValueError, match="compared with a potential were: forces"):
        tp.plots.data_check(check, "stress")


@pytest.fixture(scope="module")
def hartree(tmp_path_factory):
    path = tmp_path_factory.mktemp("foreign") / "hartree.extxyz"
    factors = bench.KINDS["Hartree, Hartree/Bohr"][0]
    frames = [bench.changed(atoms, factors) for atoms in tp.load_molecules("valid")[:8]]
    tp.write_frames(path, [*frames, frames[0]])
    return path


def tpainn(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_check_refuses_and_says_what_converts(hartree):
    done = tpainn("check", hartree)
    assert done.exit_code == 1
    assert "in Hartree/Bohr" in done.stdout and "--units Hartree,Bohr" in done.stderr


def test_check_writes_a_clean_copy(hartree, tmp_path):
    clean, figure = tmp_path / "clean.extxyz", tmp_path / "figure.html"
    done = tpainn("check", hartree, "--units", "Hartree,Bohr", "--write", clean, "--figure", figure)
    assert done.exit_code == 0, done.stderr
    frames = tp.read_frames(clean)
    assert len(frames) == 8 and figure.stat().st_size > 1000
    np.testing.assert_allclose(frames[0].get_forces(), tp.load_molecules("valid")[0].get_forces(), atol=1e-5)


def test_nothing_is_written_of_what_is_refused(hartree, tmp_path):
    assert tpainn("check", hartree, "--write", tmp_path / "a.extxyz").exit_code == 1
    assert not (tmp_path / "a.extxyz").exists()
    assert tpainn("check", hartree, "--write", tmp_path / "a.extxyz", "--trust").exit_code == 0


@pytest.mark.parametrize("command", ["autotune", "evaluate", "pretrain"])
def test_every_command_that_takes_labels_refuses_wrong_units(hartree, tmp_path, command):
    words = {
        "autotune": ["gas_xtb", hartree, tmp_path / "w.safetensors"],
        "pretrain": [hartree, tmp_path / "w.safetensors"],
        "evaluate": ["gas_xtb", hartree],
    }[command]
    done = tpainn(command, *words)
    assert done.exit_code == 1 and "--units Hartree,Bohr" in done.stderr


def test_trust_and_units_go_on(hartree):
    assert tpainn("evaluate", "gas_xtb", hartree, "--trust").exit_code == 0
    assert tpainn("evaluate", "gas_xtb", hartree, "--units", "Hartree,Bohr").exit_code == 0


def test_label_refuses_positions_in_bohr_and_names_a_liquid_without_a_cell(tmp_path):
    atoms = molecule("H2O")
    atoms.positions /= 0.529177
    tp.write_frames(tmp_path / "bohr.extxyz", atoms)
    done = tpainn("label", tmp_path / "bohr.extxyz", tmp_path / "o.extxyz", "--with", "q-tip4p-f")
    assert done.exit_code == 1 and "--units positions=Bohr" in done.stderr
    tp.write_frames(tmp_path / "box.extxyz", waters(3))
    done = tpainn("label", tmp_path / "box.extxyz", tmp_path / "p.extxyz", "--with", "q-tip4p-f", "--jobs", "1")
    assert "without a cell" in done.stderr


# --- labels that belong to something else ---


def moved_forces(how):
    frames = tp.load_molecules("valid")[1:60]
    forces = [atoms.get_forces() for atoms in frames]
    changed = {
        "another order": [np.roll(f, 1, axis=0) for f in forces],
        "turned": [f[:, [1, 2, 0]] for f in forces],
        "zero": [0 * f for f in forces],
    }[how]
    return [with_labels(atoms.copy(), forces=f) for atoms, f in zip(frames, changed, strict=True)]


@pytest.mark.parametrize("how", ["another order", "turned", "zero"])
def test_forces_that_belong_to_other_atoms_or_directions_are_to_be_looked_at(how):
    check = tp.check_data(moved_forces(how))
    assert check.verdict == "look at this"
    assert any(("another order, or turned" in reason) or ("all are zero" in reason) for reason in check.reasons)


def test_labels_that_name_two_levels_are_to_be_looked_at():
    frames = [atoms.copy() for atoms in tp.load_molecules("valid")[:20]]
    for atoms, labelled in zip(frames, tp.load_molecules("valid"), strict=False):
        atoms.calc = labelled.calc
    for atoms in frames[:5]:
        atoms.info["level"] = "PBE"
    (reason,) = (reason for reason in tp.check_data(frames).reasons if reason.startswith("levels of theory"))
    assert "15 of B3LYP" in reason and "5 of PBE: train on one of them" in reason


def of_one_molecule(n=30):
    """Frames of ethanol, labelled by MMFF94: another level than the potential's."""
    ethanol = tp.molecule("CCO")
    return tp.label(tp.normal_mode_frames(ethanol, tp.mmff94(), 500, n, seed=1), tp.mmff94(), progress=False)


def test_a_calculation_that_did_not_converge_is_named():
    frames = of_one_molecule()
    assert tp.check_data(frames).verdict == "sound"
    frames[7].calc.results["energy"] += 1.5
    (reason,) = tp.check_data(frames).reasons
    assert "frame 7" in reason and "not converged" in reason


@pytest.mark.parametrize("n_others", [5, 15, 25])
def test_two_levels_without_names_are_refused_and_not_taken_for_units(n_others):
    frames = of_one_molecule()
    for atoms in frames[:n_others]:
        atoms.calc.results["energy"] -= 41.0
    check = tp.check_data(frames)
    assert check.verdict == "refused" and not check.units
    assert any("two levels of theory" in reason for reason in check.reasons)


def test_energies_that_are_all_zero_are_to_be_looked_at():
    frames = of_one_molecule(8)
    for atoms in frames:
        atoms.calc.results["energy"] = 0.0
    assert "energies: all are zero" in tp.check_data(frames).reasons
