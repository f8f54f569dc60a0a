"""Charges, spins and isotopes: from SMILES and from ``atoms.info`` to every teacher, or refused by name."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from typer.testing import CliRunner

from tpainn_lite.cli.app import app
from tpainn_lite.reading.frames import read_frames
from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.build import dimer_frames, molecule, water_box
from tpainn_lite.structures.charges import charge_and_multiplicity, total_charge
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import closest_pair
from tpainn_lite.teachers.auto import AutoForceField
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.label_files import label_file
from tpainn_lite.teachers.rdkit import mmff94, uff
from tpainn_lite.teachers.sample import shaken_molecules
from tpainn_lite.teachers.water import water
from tpainn_lite.teachers.xtb import gfn2_xtb

# --- what a structure says ---


@pytest.mark.parametrize(
    ("smiles", "charge", "multiplicity"),
    [
        ("CCO", 0, 1), ("[NH4+]", 1, 1), ("CC(=O)[O-]", -1, 1), ("[O-]C(=O)C(=O)[O-]", -2, 1), ("[CH3]", 0, 2),
        ("[O][O]", 0, 3), ("O=O", 0, 3), ("[O-][O]", -1, 2), ("C[N+](=O)[O-]", 0, 1), ("[N]=O", 0, 2), ("[CH2]", 0, 3),
        ("[H]", 0, 2), ("[C]", 0, 3), ("[Cl-]", -1, 1), ("[Na+]", 1, 1),
    ],
)  # fmt: skip
def test_a_molecule_has_the_charge_and_the_spin_of_its_smiles(smiles, charge, multiplicity):
    atoms = molecule(smiles)
    assert (atoms.info["charge"], atoms.info["multiplicity"]) == (charge, multiplicity)
    assert charge_and_multiplicity(atoms) == (charge, multiplicity)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"charge": 1}, (1, 1)), ({"charge": 1.0, "multiplicity": np.int64(3)}, (1, 3)), ({"total_charge": 1}, (1, 1)),
        ({"net_charge": 1}, (1, 1)), ({"Charge": "1"}, (1, 1)),
        ({"charge": -1}, (-1, 1)), ({"multiplicity": 2}, (0, 2)), ({"charge": 0}, (0, 2)),
        ({"charge": 0, "spin": 2}, (0, 2)), ({"charge": 0, "spin": 1}, (0, 2)), ({"charge": 1, "spin": 1}, (1, 1)),
        ({"charge": 1, "spin": 0}, (1, 1)), ({"charge": "+1"}, (1, 1)), ({"charge": None, "multiplicity": 4}, (0, 4)),
    ],
)  # fmt: skip
def test_charge_and_spin_are_read_under_the_names_that_others_give_them(info, expected):
    atoms = ase_molecule("CH3")
    atoms.set_initial_magnetic_moments(None)
    atoms.info.update(info)
    assert charge_and_multiplicity(atoms) == expected


def test_ases_own_charges_and_magnetic_moments_count():
    assert charge_and_multiplicity(ase_molecule("O2")) == (0, 3)
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 1.0]])
    atoms.set_initial_charges([-1.31, 0.31])
    assert charge_and_multiplicity(atoms) == (-1, 1)


def test_where_nothing_is_said_atoms_follow_hund_and_oxygen_is_a_triplet():
    assert [charge_and_multiplicity(Atoms(symbol))[1] for symbol in "HCNOF"] == [2, 3, 4, 3, 2]
    assert charge_and_multiplicity(Atoms("O2", [[0, 0, 0], [0, 0, 1.2]])) == (0, 3)


def test_an_odd_number_of_electrons_without_a_word_is_no_radical_by_silence():
    ammonium = molecule("[NH4+]")
    ammonium.info = {}
    with pytest.raises(ValueError, match=r'H4N has an odd number of electrons \(11\).*atoms.info\["charge"\] \(in e\)'):
        charge_and_multiplicity(ammonium)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"charge": 0.5}, r'H4N has info\["charge"\] = 0.5; a whole number is expected'),
        ({"charge": "one"}, "a whole number is expected"),
        ({"charge": True}, "a whole number is expected"),
        ({"charge": 1, "total_charge": 0}, 'info."charge". = 1 and info."total_charge". = 0: one of the two'),
        ({"charge": 1, "multiplicity": 2}, "has 10 electrons, which cannot have the multiplicity 2"),
        ({"charge": 1, "multiplicity": 0}, "cannot have the multiplicity 0"),
        ({"charge": 1, "multiplicity": 13}, "cannot have the multiplicity 13"),
        ({"charge": 12}, "with a charge of 12 e, too few"),
    ],
)
def test_what_cannot_be_so_is_refused(info, words):
    ammonium = molecule("[NH4+]")
    ammonium.info = info
    with pytest.raises(ValueError, match=words):
        charge_and_multiplicity(ammonium)


def test_a_charge_that_contradicts_the_smiles_is_refused():
    atoms = molecule("[NH4+]")
    atoms.info["charge"] = 0
    with pytest.raises(ValueError, match=r'info\["charge"\] = 0, but its SMILES .\[NH4\+\]. has the charge 1: one of'):
        total_charge(atoms)


# --- GFN2-xTB ---


def test_gfn2_xtb_labels_ions_as_ions():
    pytest.importorskip("tblite")
    (ammonium,) = label([molecule("[NH4+]")], gfn2_xtb(), progress=False)
    assert ammonium.get_potential_energy() == pytest.approx(-122.31, abs=0.01)
    assert np.abs(ammonium.get_forces()).max() < 0.1, "the geometry is nearly a minimum of the ion"


@pytest.mark.parametrize(
    ("smiles", "charge", "unpaired"), [("[O-]C(=O)C(=O)[O-]", -2, 0), ("[CH3]", 0, 1), ("O=O", 0, 2)]
)
def test_gfn2_xtb_gives_what_tblite_gives_for_that_charge_and_spin(smiles, charge, unpaired):
    interface = pytest.importorskip("tblite.interface")
    from ase.units import Bohr, Hartree

    atoms = molecule(smiles)
    direct = interface.Calculator("GFN2-xTB", atoms.numbers, atoms.positions / Bohr, charge, unpaired)
    direct.set("verbosity", 0)
    assert gfn2_xtb().get_potential_energy(atoms) == pytest.approx(direct.singlepoint()["energy"] * Hartree, abs=1e-5)


def test_a_teacher_computes_anew_where_only_the_charge_has_changed():
    pytest.importorskip("tblite")
    atoms, teacher = molecule("[NH4+]"), gfn2_xtb()
    atoms.calc = teacher
    ion = atoms.get_potential_energy()
    atoms.info = {"charge": 0, "multiplicity": 2}
    assert atoms.get_potential_energy() < ion - 3


def test_a_label_says_for_which_charge_and_spin_it_was_made():
    pytest.importorskip("tblite")
    (oxygen,) = label([Atoms("O2", [[0, 0, 0], [0, 0, 1.2]])], gfn2_xtb(), progress=False)
    assert (oxygen.info["charge"], oxygen.info["multiplicity"]) == (0, 3)


# --- force fields, water, salts ---


def test_a_force_field_refuses_a_charge_that_its_smiles_has_not():
    for info in ({"charge": 1}, {"charge": 0, "total_charge": 0, "multiplicity": 3}):
        ethanol = molecule("CCO")
        ethanol.info.update(info)
        with pytest.raises(ForceFieldError, match="MMFF94 (describes .CCO.|knows nothing of spins)"):
            mmff94().get_potential_energy(ethanol)
    assert mmff94().get_potential_energy(molecule("[NH4+]")) is not None


def test_a_water_model_refuses_charges_by_name():
    ion = molecule("O")
    ion.info = {"charge": 1}
    with pytest.raises(ForceFieldError, match=r'info\["charge"\] = 1, but the water model describes neutral molecules'):
        water().get_potential_energy(ion)


def test_many_shapes_at_once_are_never_of_two_charges():
    one, other = molecule("CCO"), molecule("CCO")
    other.info["charge"] = 1
    labelled = label([one, other], mmff94(), progress=False)
    assert len(labelled) == 1, "the second one is refused, not labelled with the first"


@pytest.mark.parametrize("smiles", ["[Na+].[Cl-]", "O.CCO", "[NH4+].CC(=O)[O-]", "O.O.O.O"])
def test_the_parts_of_a_salt_or_a_mixture_lie_apart_and_attract_each_other(smiles):
    both, teacher = molecule(smiles), mmff94()
    check_structure(both)
    alone = sum(teacher.get_potential_energy(molecule(part)) for part in smiles.split("."))
    assert both.info["charge"] == 0 and teacher.get_potential_energy(both) < alone - 0.05
    d = (closest_pair(both) or (0, 0, 2.0))[2]
    assert d > 0.9, "Å"
    assert np.abs(teacher.get_forces(both)).max() < 0.01, "relaxed together"


def test_a_pair_of_molecules_has_the_charge_and_the_masses_of_both():
    (pair,) = dimer_frames(molecule("[NH4+]"), molecule("[2H]O[2H]"), 1)
    assert (pair.info["charge"], pair.info["multiplicity"]) == (1, 1)
    assert sorted(pair.get_masses().round(2))[-3:] == [2.01, 14.01, 16.0]


def test_isotopes_keep_their_masses_into_the_file(tmp_path):
    heavy = molecule("[2H]O[2H]")
    assert heavy.get_masses().round(3).tolist() == [2.014, 15.999, 2.014]
    assert molecule("[13CH4]").get_masses()[0] == pytest.approx(13.003, abs=1e-3)
    assert not molecule("O").has("masses")
    label_file(shaken_molecules(["[2H]O[2H]"], 2), mmff94(), tmp_path / "heavy.extxyz", progress=False)
    assert [atoms.get_masses().round(3).tolist() for atoms in read_frames(tmp_path / "heavy.extxyz")] == [
        heavy.get_masses().round(3).tolist()
    ] * 2


def test_radicals_are_shaken_for_the_teachers_that_can_label_them_and_refused_by_the_others():
    pytest.importorskip("tblite")
    frames = list(shaken_molecules(["[CH3]", "O=O"], 2))
    assert [atoms.info["multiplicity"] for atoms in frames] == [2, 2, 3, 3]
    assert len(label(frames, gfn2_xtb(), progress=False)) == 4
    with pytest.raises(ForceFieldError, match="is a radical; the force fields describe closed-shell molecules only"):
        mmff94().get_potential_energy(frames[0])


# --- a teacher for each molecule ---


def test_auto_chooses_for_each_molecule_and_says_which_level_each_has(tmp_path):
    frames = [*shaken_molecules(["O", "CCO", "CB", "[NH4+]"], 2), water_box(8)]
    for n_jobs in (1, 2):
        labelled = label(frames, AutoForceField(), n_jobs=n_jobs, progress=False)
        levels = [atoms.info["level"] for atoms in labelled]
        assert levels == ["q-TIP4P/F"] * 2 + ["MMFF94"] * 2 + ["UFF"] * 2 + ["MMFF94"] * 2 + ["q-TIP4P/F"]
        for atoms, teacher in zip(labelled[1::2], (water(), mmff94(), uff(), mmff94()), strict=False):
            assert atoms.get_potential_energy() == pytest.approx(teacher.get_potential_energy(atoms.copy()))
        assert labelled[-1].get_stress().shape == (6,)


def test_the_command_line_labels_every_molecule_of_a_list_that_begins_with_water(tmp_path):
    (tmp_path / "a.smi").write_text("O\nCCO\nCO\nCC=O\n")
    done = CliRunner().invoke(app, ["label", str(tmp_path / "a.smi"), str(tmp_path / "o.extxyz"), "--frames", "2"])
    assert done.exit_code == 0 and "8 labelled frames" in done.output, done.output
    assert "MMFF94 for 6, q-TIP4P/F for 2" in done.output and "a.smi: 4 SMILES one in each line" in done.output


def test_what_is_left_out_is_counted_at_the_end_and_the_exit_code_says_it(tmp_path):
    (tmp_path / "a.smi").write_text("O\nCCO\nhello\n[CH3]\n")
    done = CliRunner().invoke(
        app, ["label", str(tmp_path / "a.smi"), str(tmp_path / "o.extxyz"), "--frames", "2", "--with", "mmff94"]
    )
    assert done.exit_code == 1 and "4 labelled frames" in done.output, done.output
    assert "tpainn label: a.smi: left out: 1 SMILES and 2 of 6 frames" in done.output
