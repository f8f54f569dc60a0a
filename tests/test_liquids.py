"""Boxes of any liquid: packed without overlap, run by MMFF94, labelled by it."""

import itertools
import pickle

import numpy as np
import openmm
import pytest
from typer.testing import CliRunner

from tpainn_lite.cli.app import app
from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.geometry import density_of, search_pairs
from tpainn_lite.structures.identity import IdentityError
from tpainn_lite.structures.liquids import liquid
from tpainn_lite.structures.molecules import bonds_in, molecules_in, tree_of, unwrapped_along
from tpainn_lite.teachers.auto import AutoForceField
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.liquid_md import liquid_run, liquid_runs
from tpainn_lite.teachers.mmff_liquid import MMFF94Liquid
from tpainn_lite.teachers.openmm_calculator import energy_and_forces, new_context
from tpainn_lite.teachers.rdkit import forcefield_for
from tpainn_lite.teachers.water import is_water, water

SHORT = {"n_frames": 2, "spacing": 10, "warm_up": 100}
NARROW = MMFF94Liquid(cutoff=4.5)


@pytest.mark.parametrize(
    "molecules, density",
    [
        ({"CO": 64}, 0.79),
        ({"O": 60, "CO": 4}, 0.98),
        ({"O": 100, "CC(C)Cc1ccc(C(C)C(=O)O)cc1": 1}, 1.0),
        ({"c1ccccc1": 40}, 0.88),
        ({"ClC(Cl)Cl": 40}, 1.49),
        ({"CCCCCC": 24}, 0.66),
        ({"O": 50, "[Na+].[Cl-]": 2}, 1.05),
    ],
)
def test_molecules_are_packed_at_the_density_asked_for_and_none_lies_in_another(molecules, density):
    box = liquid(molecules, density=density, seed=1)
    assert density_of(box) == pytest.approx(density, rel=1e-6) and box.pbc.all()
    counts = molecules_in(box)
    assert {smiles: n for n, smiles in counts} == molecules
    sizes = [len(molecule(smiles)) for n, smiles in counts for _ in range(n)]
    member = np.repeat(np.arange(len(sizes)), sizes)
    i, j, d = search_pairs("ijd", box, 3.0)
    assert d[member[i] != member[j]].min() > 1.3


def test_each_molecule_of_a_box_has_the_shape_that_molecule_gives_it():
    box, one = liquid("CO", 8, density=0.5), molecule("CO")
    for atoms in (box[6 * k : 6 * k + 6] for k in range(8)):
        np.testing.assert_allclose(atoms.get_all_distances(), one.get_all_distances(), atol=0.2)


def test_the_seed_decides_the_box():
    one, same, other = (liquid("CO", 8, density=0.7, seed=seed).positions for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_a_box_of_water_alone_serves_the_teachers_of_water():
    box = liquid("O", 32, density=1.0)
    assert is_water(box) and np.isfinite(water().get_potential_energy(box))


def test_what_a_box_holds_survives_a_file(tmp_path):
    box = next(liquid_run(liquid("CO", 16, density=0.79), NARROW, **{**SHORT, "n_frames": 1}))
    write_frames(tmp_path / "box.extxyz", [box])
    again = read_frames(tmp_path / "box.extxyz")[0]
    assert molecules_in(again) == ((16, "CO"),)
    assert NARROW.get_potential_energy(again) == pytest.approx(box.get_potential_energy(), abs=1e-4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: liquid("CO", 64, density=9.0), "too narrow"),
        (lambda: liquid("CCCCCCCCCC", 1, density=0.7), "too narrow"),
        (lambda: liquid("CO", density=0.7), "n_molecules is None"),
        (lambda: liquid({"CO": 2}, 3, density=0.7), "leave it out"),
        (lambda: liquid({"CO": 0}, density=0.7), "'CO' is 0"),
        (lambda: liquid("methanol", 3, density=0.7), "is not a SMILES"),
        (lambda: liquid("CO", 3, density=-1), "density is -1"),
        (lambda: liquid(["CO"], density=0.7), "a dict as"),
        (lambda: liquid("CO", 64, density=1e-12), "less than 10000 Å"),
    ],
)
def test_a_box_that_cannot_be_is_refused_in_a_sentence(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("text", ["CO", "2 CO, ", "x CO", "0 CO", 3.0, "2 CO 3 O"])
def test_what_a_box_holds_must_be_counts_and_smiles(text):
    box = liquid("CO", 2, density=0.1)
    box.info["molecules"] = text
    with pytest.raises(ForceFieldError, match="counts and SMILES"):
        molecules_in(box)


def test_atoms_in_another_order_than_the_molecules_are_refused():
    box = liquid("CO", 16, density=0.79)
    with pytest.raises(ForceFieldError, match="molecule after molecule"):
        NARROW.get_potential_energy(box[np.argsort(box.numbers)])
    swapped = box[[*range(5), 11, *range(6, 11), 5, *range(12, 96)]]  # hydrogens of two molecules
    with pytest.raises(ForceFieldError, match=r"bonded by their SMILES, but lie .* apart"):
        NARROW.get_potential_energy(swapped)
    del box.info["molecules"]
    with pytest.raises(ForceFieldError, match="nothing says which molecules"):
        NARROW.get_potential_energy(box)


def test_molecules_that_the_box_cuts_are_made_whole():
    box = liquid("CO", 16, density=0.79)
    cut = box.copy()
    cut.wrap()
    assert np.abs(cut.positions - box.positions).max() > 1
    bonds = bonds_in(molecules_in(box))
    whole = unwrapped_along(tree_of(bonds, len(box)), cut.positions, box.cell.array)
    assert np.linalg.norm(np.diff(whole[bonds], axis=1), axis=-1).max() < 1.6
    assert NARROW.get_potential_energy(cut) == pytest.approx(NARROW.get_potential_energy(box), abs=1e-4)


def test_frames_of_a_run_carry_the_labels_of_their_teacher():
    frames = list(liquid_run(liquid("CO", 16, density=0.79), NARROW, **SHORT, stress=True))
    assert len(frames) == 2
    for atoms in frames:
        copy, teacher = atoms.copy(), MMFF94Liquid(cutoff=4.5)
        assert atoms.info["level"] == teacher.level and atoms.info["density"] == pytest.approx(0.79)
        assert atoms.get_potential_energy() == pytest.approx(teacher.get_potential_energy(copy), abs=1e-5)
        np.testing.assert_allclose(atoms.get_forces(), teacher.get_forces(copy), atol=1e-5)
        np.testing.assert_allclose(atoms.get_stress(), teacher.get_stress(copy), atol=1e-6)


def test_what_moves_the_molecules_is_what_labels_them():
    box = next(liquid_run(liquid({"CO": 12, "O": 8}, density=0.8), NARROW, **{**SHORT, "n_frames": 1}, labels=False))
    context = new_context(NARROW.system_of(box, sampling=True), openmm.VerletIntegrator(0.001))
    _, forces = energy_and_forces(context, box.positions, box.cell.array)
    np.testing.assert_allclose(forces, NARROW.get_forces(box), atol=5e-3)


def test_labels_of_another_cutoff_are_not_gone_on_with(tmp_path):
    box = liquid("CO", 16, density=0.79)
    label([box], NARROW, path=tmp_path / "labels.jsonl", progress=False)
    with pytest.raises(IdentityError):
        label([box], MMFF94Liquid(cutoff=4.6), path=tmp_path / "labels.jsonl", progress=False)


def test_molecules_have_the_temperature_asked_for():
    start = liquid({"O": 20, "CO": 10}, density=0.9)
    frames = liquid_run(
        start, NARROW, temperature=400, n_frames=40, spacing=25, warm_up=1000, friction=10, labels=False
    )
    assert np.mean([atoms.info["kinetic_temperature"] for atoms in frames]) == pytest.approx(400, rel=0.08)


def test_the_same_seed_gives_the_same_frames():
    one, same, other = (
        list(liquid_run(liquid("CO", 16, density=0.79), NARROW, **SHORT, seed=seed))[-1].positions for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01


def test_pressure_changes_the_volume_and_a_box_without_room_to_shrink_is_refused():
    start = liquid("CO", 24, density=0.6)
    frames = list(liquid_run(start, NARROW, pressure=5000.0, n_frames=2, spacing=500, warm_up=1000, labels=False))
    assert frames[-1].info["density"] > 0.61
    with pytest.raises(ForceFieldError, match="when it shrinks under pressure"):
        list(liquid_run(liquid("CO", 16, density=0.79), MMFF94Liquid(cutoff=5.0), pressure=1.0, **SHORT))


def test_several_densities_and_temperatures_are_run_one_after_the_other():
    frames = liquid_runs("CO", 16, densities=[0.7, 0.8], temperatures=[250, 350], teacher=NARROW, **SHORT)
    states = [(round(a.info["density"], 6), a.info["temperature"]) for a in frames[::2]]
    assert len(frames) == 8 and states == list(itertools.product([0.7, 0.8], [250, 350]))


def test_a_box_narrower_than_twice_the_cutoff_is_refused():
    with pytest.raises(ForceFieldError, match=r"box is 10\.\d+ Å wide; at least 15 Å"):
        MMFF94Liquid().get_potential_energy(liquid("CO", 16, density=0.79))


@pytest.mark.parametrize("smiles", ["[CH3]", "CB", "C[Se]C"])
def test_what_mmff94_cannot_describe_is_refused_by_name(smiles):
    atoms = molecule(smiles)
    with pytest.raises(ForceFieldError, match="radical|no parameters"):
        MMFF94Liquid().get_potential_energy(atoms)


@pytest.fixture(scope="module")
def solvated_ion():
    return liquid({"O": 30, "[NH4+]": 1}, density=1.0)


def test_a_charge_that_the_molecules_have_not_is_refused(solvated_ion):
    assert solvated_ion.info["charge"] == 1
    wrong = solvated_ion.copy()
    wrong.info["charge"] = 0
    with pytest.raises(ForceFieldError, match="charge"):
        NARROW.get_potential_energy(wrong)


def test_a_teacher_can_be_sent_to_another_process(solvated_ion):
    energy = NARROW.get_potential_energy(solvated_ion)
    assert pickle.loads(pickle.dumps(NARROW)).get_potential_energy(solvated_ion) == pytest.approx(energy, abs=1e-6)


def test_md_wants_a_box_and_a_teacher_of_openmm():
    with pytest.raises(ForceFieldError, match="a box that is periodic"):
        liquid_run(molecule("CO"))
    with pytest.raises(TypeError, match="water_run"):
        liquid_run(liquid("O", 16, density=1.0), water())


def test_a_box_finds_its_teacher_by_itself(tmp_path, capsys):
    box = liquid("CO", 64, density=0.79)
    auto = AutoForceField()
    assert auto.level_for(box) == MMFF94Liquid().level and forcefield_for(box).level == MMFF94Liquid().level
    assert "MMFF94 in a box" in capsys.readouterr().out
    assert auto.level_for(molecule("CO")) == "MMFF94" and auto.level_for(liquid("O", 8, density=1.0)) == "q-TIP4P/F"
    write_frames(tmp_path / "box.extxyz", [box])
    for name in ("auto", "mmff94-liquid"):
        command = [
            "label",
            str(tmp_path / "box.extxyz"),
            str(tmp_path / f"{name}.extxyz"),
            "--with",
            name,
            "--jobs",
            "1",
        ]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        labelled = read_frames(tmp_path / f"{name}.extxyz")[0]
        assert labelled.get_potential_energy() == pytest.approx(MMFF94Liquid().get_potential_energy(box), abs=1e-3)
