"""Charges, spins and isotopes: from SMILES and from ``atoms.info`` to every teacher, or refused by name."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule

from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.charges import charge_and_multiplicity, total_charge
from tpainn_lite.teachers.label import label
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
