"""The classical teachers: right slopes, right types, clear refusals."""

import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.units import kcal, mol
from conftest import shaken

from tpainn_lite.structures.build import conformers, molecule, torsion_frames
from tpainn_lite.structures.protocols import Teacher
from tpainn_lite.teachers.cp2k import CP2KCalculator
from tpainn_lite.teachers.dft import PySCFCalculator
from tpainn_lite.teachers.gfn_ff import gfn_ff
from tpainn_lite.teachers.label import label
from tpainn_lite.teachers.rdkit import ForceFieldError, RDKitForceField, forcefield_for, mmff94, type_molecule, uff
from tpainn_lite.teachers.water import water
from tpainn_lite.teachers.xtb import gfn1_xtb, gfn2_xtb

TEACHERS = {"MMFF94": mmff94, "UFF": uff}


@pytest.fixture(params=TEACHERS.values(), ids=TEACHERS)
def teacher(request):
    return request.param()


def test_molecule_is_built_with_hydrogens_and_remembers_its_smiles():
    ethanol = molecule("CCO")
    assert ethanol.get_chemical_formula() == "C2H6O"
    assert ethanol.info["smiles"] == "CCO"
    assert ethanol.get_distance(0, 1) == pytest.approx(1.51, abs=0.03)
    assert ethanol.get_distance(1, 2) == pytest.approx(1.42, abs=0.03)


def test_molecule_is_at_a_minimum_of_mmff94():
    forces = mmff94().get_forces(molecule("CC#N"))
    assert np.abs(forces).max() < 0.01


def test_same_seed_same_geometry():
    np.testing.assert_array_equal(molecule("CCCO", seed=4).positions, molecule("CCCO", seed=4).positions)
    assert np.abs(molecule("CCCO", seed=4).positions - molecule("CCCO", seed=5).positions).max() > 0.1


def test_a_molecule_that_mmff94_cannot_type_is_relaxed_with_uff():
    assert len(molecule("[H][H]")) == 2


@pytest.mark.parametrize("smiles", ["CCO", "NC=O", "CC(F)(F)F"])
def test_forces_are_minus_the_slope_of_the_energy(teacher, smiles):
    atoms = shaken(molecule(smiles))
    forces, step = teacher.get_forces(atoms), 1e-4
    numerical = np.zeros_like(forces)
    for index in np.ndindex(forces.shape):
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[index] += sign * step
            numerical[index] -= sign * teacher.get_potential_energy(moved) / (2 * step)
    assert np.abs(forces).max() > 0.5
    np.testing.assert_allclose(forces, numerical, atol=1e-4)


def test_energies_are_in_electronvolt():
    from rdkit.Chem import AllChem

    atoms = shaken(molecule("CCO"))
    rdmol = AllChem.AddHs(AllChem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(rdmol, randomSeed=0)
    properties = AllChem.MMFFGetMoleculeProperties(rdmol)
    force_field = AllChem.MMFFGetMoleculeForceField(rdmol, properties)
    force_field.Initialize()
    expected = force_field.CalcEnergy(atoms.positions.ravel().tolist()) * kcal / mol
    assert mmff94().get_potential_energy(atoms) == pytest.approx(expected, rel=1e-9)


def test_one_teacher_serves_many_molecules_one_after_the_other(teacher):
    molecules = [molecule("C"), molecule("CO"), molecule("C")]
    energies = [teacher.get_potential_energy(atoms) for atoms in molecules]
    assert energies[0] == energies[2] != energies[1]
    assert teacher.get_potential_energy(molecules[1]) == energies[1]


def test_smiles_can_be_given_once_for_all_structures():
    water = Atoms("OHH", molecule("O").positions)
    assert mmff94("O").get_potential_energy(water) == pytest.approx(mmff94().get_potential_energy(molecule("O")))


def test_a_used_teacher_can_be_sent_to_another_process(teacher):
    atoms = shaken(molecule("CO"))
    energy = teacher.get_potential_energy(atoms)
    copy = pickle.loads(pickle.dumps(teacher))
    assert copy.get_potential_energy(shaken(molecule("CO"))) == energy
    assert copy.level == teacher.level


def test_the_two_teachers_disagree():
    atoms = shaken(molecule("CCO"))
    assert np.abs(mmff94().get_forces(atoms) - uff().get_forces(atoms)).max() > 0.5


# --- refusals ---


@pytest.mark.parametrize("smiles", ["C(", "hello", "c1ccc1c"])
def test_a_smiles_that_is_none_is_an_error_with_an_example(smiles):
    with pytest.raises(ForceFieldError, match=r"is not a SMILES that RDKit can read; an example is 'CCO'") as caught:
        molecule(smiles)
    assert repr(smiles) in str(caught.value)


@pytest.mark.parametrize("smiles", ["[CH3]", "C[O]", "[CH2]"])
def test_a_radical_is_an_error(smiles):
    with pytest.raises(ForceFieldError, match="is a radical; the force fields describe closed-shell molecules only"):
        type_molecule(smiles)


def test_a_molecule_that_mmff94_cannot_type_is_an_error_that_names_an_atom_and_what_to_do():
    with pytest.raises(ForceFieldError, match=r"no parameters for atom \d \(.*\) of 'CB': leave this molecule out, or"):
        mmff94().get_potential_energy(molecule("CB"))


@pytest.mark.parametrize("smiles", ["[C-]#[O+]", "[H][H]"])
def test_carbon_monoxide_and_hydrogen_have_no_parameters(smiles):
    with pytest.raises(ForceFieldError, match="MMFF94 has no parameters for") as caught:
        type_molecule(smiles)
    assert smiles in str(caught.value)


def test_atoms_without_bonds_are_an_error_that_says_how_to_give_them():
    with pytest.raises(ForceFieldError, match=r'needs the bonds of H2O: set atoms.info\["smiles"\], or build'):
        mmff94().get_potential_energy(Atoms("OHH", molecule("O").positions))


def test_atoms_in_another_order_than_the_smiles_are_an_error():
    water = molecule("O")[[1, 0, 2]]
    water.info["smiles"] = "O"
    with pytest.raises(ForceFieldError, match="the atoms are HOH, but 'O' gives OH2: same atoms in the same order"):
        mmff94().get_potential_energy(water)


def test_an_unknown_method_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"method 'AMBER' is not one of \('MMFF94', 'UFF'\)"):
        RDKitForceField("AMBER")


# --- shapes ---


def test_butane_is_trans_or_gauche_to_either_side():
    trans, *gauche = conformers("CCCC", n=20, seed=1)
    assert trans.get_dihedral(0, 1, 2, 3) == pytest.approx(180, abs=2)
    assert sorted(atoms.get_dihedral(0, 1, 2, 3) for atoms in gauche) == pytest.approx([65, 295], abs=5)
    for atoms in gauche:
        assert 0.02 < atoms.info["energy_above_lowest"] < 0.06  # eV; measured: 0.03 to 0.04
    assert trans.info["smiles"] == "CCCC" and trans.info["energy_above_lowest"] == 0


def test_shapes_are_at_minima_and_the_same_for_the_same_seed():
    first, again = conformers("OCC(N)=O", n=6, seed=3), conformers("OCC(N)=O", n=6, seed=3)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        assert np.abs(mmff94().get_forces(one)).max() < 0.01


# --- the choice ---


@pytest.mark.parametrize(
    ("atoms", "level", "why"),
    [
        (molecule("CCO"), "MMFF94", "has parameters for"),
        (molecule("[H][H]"), "UFF", "because MMFF94 has no parameters"),
        (Atoms("OHH", [[0, 0, 0], [0.95, 0, 0], [-0.2, 0.93, 0]]), "q-TIP4P/F", "nothing but water"),
    ],
)
def test_a_teacher_is_chosen_and_the_reason_is_said(atoms, level, why, capsys):
    teacher = forcefield_for(atoms)
    assert teacher.level == level and np.isfinite(teacher.get_potential_energy(atoms))
    assert why in capsys.readouterr().out


def test_where_no_teacher_fits_the_error_says_what_is_missing():
    with pytest.raises(ForceFieldError, match=r'set atoms.info\["smiles"\]'):
        forcefield_for(Atoms("CO", [[0, 0, 0], [0, 0, 1.1]]))


@pytest.mark.parametrize(
    ("make", "level", "package"),
    [(gfn2_xtb, "GFN2-xTB", "tblite"), (gfn1_xtb, "GFN1-xTB", "tblite"), (gfn_ff, "GFN-FF", "xtb")],
)
def test_xtb_is_a_teacher_whose_forces_are_slopes(make, level, package):
    pytest.importorskip(package)
    teacher, water, step = make(), molecule("O"), 1e-3
    (frame,) = label([water], teacher, progress=False)
    assert frame.info["level"] == level
    energies = []
    for sign in (1, -1):
        moved = water.copy()
        moved.positions[1, 0] += sign * step
        energies.append(teacher.get_potential_energy(moved))
    assert (energies[1] - energies[0]) / (2 * step) == pytest.approx(frame.get_forces()[1, 0], abs=1e-3)


def test_gfn2_xtb_labels_in_several_processes_even_after_a_call():
    pytest.importorskip("tblite")
    teacher, frames = gfn2_xtb(), [molecule(smiles) for smiles in ("O", "C", "N", "CO")]
    alone = [teacher.get_potential_energy(atoms) for atoms in frames]
    labelled = label(frames, teacher, n_jobs=2, progress=False)
    assert [atoms.get_potential_energy() for atoms in labelled] == pytest.approx(alone)


def test_gfn_ff_keeps_the_bonds_of_the_smiles_where_a_bond_is_long_and_leaves_no_file(tmp_path, monkeypatch):
    pytest.importorskip("xtb", reason="pip install 'tpainn_lite[gfnff]' (Python 3.11, Linux)")
    monkeypatch.chdir(tmp_path)
    methane, teacher = molecule("C"), gfn_ff()
    energies = []
    for times in (1.0, 1.5, 1.8):
        moved = methane.copy()
        moved.positions[1] += (times - 1) * (moved.positions[1] - moved.positions[0])
        energies.append([teacher.get_potential_energy(moved)])
        (frame,) = label([moved], teacher, progress=False)
        assert frame.info["bonds_from"] == "SMILES"
        del moved.info["smiles"]
        energies[-1].append(teacher.get_potential_energy(moved))
        assert label([moved], teacher, progress=False)[0].info["bonds_from"] == "the structure"
    bonds_kept, bonds_read = np.transpose(energies)
    assert bonds_kept[0] == pytest.approx(bonds_read[0], abs=1e-6)
    assert bonds_kept[1] < bonds_read[1] - 0.5  # eV: where the bond was not found, only repulsion is left
    assert list(tmp_path.iterdir()) == []


def test_gfn_ff_labels_in_several_processes_and_ions_by_their_charge():
    pytest.importorskip("xtb", reason="pip install 'tpainn_lite[gfnff]' (Python 3.11, Linux)")
    teacher, frames = gfn_ff(), [molecule(smiles) for smiles in ("O", "C", "[NH4+]", "CC(=O)[O-]")]
    alone = [teacher.get_potential_energy(atoms) for atoms in frames]
    labelled = label(frames, teacher, n_jobs=2, progress=False)
    assert [atoms.get_potential_energy() for atoms in labelled] == pytest.approx(alone)


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (Atoms("OHH", np.eye(3), cell=[9, 9, 9], pbc=True, info={"smiles": "O"}), "is periodic, and GFN-FF is for"),
        (Atoms("OHH", np.eye(3) + np.nan, info={"smiles": "O"}), "not a finite number"),
        (Atoms("HOH", np.eye(3), info={"smiles": "O"}), "same atoms in the same order expected"),
        (Atoms("FmH", np.eye(3)[:2] * 2, info={"charge": 1}), "no parameters for Fm; elements up to Rn"),
        (Atoms("OHH", np.zeros((3, 3)), info={"smiles": "O"}), "GFN-FF cannot label H2O: Update of molecular"),
    ],
)
def test_gfn_ff_refuses_what_it_cannot_label(atoms, words):
    pytest.importorskip("xtb", reason="pip install 'tpainn_lite[gfnff]' (Python 3.11, Linux)")
    with pytest.raises(ForceFieldError, match=words):
        gfn_ff().get_potential_energy(atoms)


def test_a_torsion_is_turned_to_the_angles_asked_for_and_the_rest_relaxes():
    frames = torsion_frames("CCCC", (0, 1, 2, 3), (60, 120, 180))
    for atoms in frames:
        turned = atoms.get_dihedral(0, 1, 2, 3)
        assert min(turned, 360 - turned) == pytest.approx(atoms.info["coordinate"], abs=0.5)
    energy = [mmff94().get_potential_energy(atoms) for atoms in frames]
    assert energy[2] < energy[0] < energy[1], "anti is lowest, eclipsed highest"


@pytest.mark.parametrize(
    "smiles",
    ["", " ", "C\nO", "CC O", None, 5, False, "C" * 100_000, "C" * 500, "*", "C*", ["CCO"], "C(" * 400],
)
def test_what_cannot_be_built_is_refused_at_once(smiles):
    for ask in (molecule, conformers, type_molecule, lambda smiles: torsion_frames(smiles, (0, 1, 2, 3), (60,))):
        with pytest.raises(ForceFieldError, match=r"SMILES|atoms other than H|no 3D geometry") as caught:
            ask(smiles)
        assert len(str(caught.value)) < 1200


@pytest.mark.parametrize("seed", [-5, 2.5, None, "word", 2**31, float("nan")])
def test_a_seed_that_rdkit_cannot_take_is_an_error(seed):
    for ask in (molecule, lambda smiles, seed: conformers(smiles, 2, seed)):
        with pytest.raises(ValueError, match=r"seed is .*; a whole number of at least 0"):
            ask("CCO", seed)


@pytest.mark.parametrize(
    ("n", "apart"), [(0, 0.3), (-1, 0.3), (10**9, 0.3), (1.5, 0.3), (2, -1), (2, float("nan")), (2, None)]
)
def test_no_number_of_shapes_and_no_distance_between_them_are_errors(n, apart):
    with pytest.raises(ValueError, match=r"(n|apart) is .* is expected"):
        conformers("CCO", n, apart=apart)


@pytest.mark.parametrize(
    "quadruple", [(0, 1, 2, 99), (0, 1, 2), (0, 0, 1, 2), (0, 2, 1, 3), (-1, 0, 1, 2), "0123", None, (0, 1, 2, 2.5)]
)
def test_atoms_that_are_no_torsion_are_an_error(quadruple):
    with pytest.raises(ValueError, match=r"quadruple is .*; four different atoms from 0 to 13 are expected"):
        torsion_frames("CCCC", quadruple, (60,))


@pytest.mark.parametrize("degrees", [(), (float("nan"),), ("sixty",), 60, "60", None])
def test_angles_that_are_none_are_an_error(degrees):
    with pytest.raises((ValueError, TypeError), match="degrees"):
        torsion_frames("CCCC", (0, 1, 2, 3), degrees)


def test_a_torsion_in_a_ring_is_an_error():
    with pytest.raises(ValueError, match="not in a ring"):
        torsion_frames("C1CCC1", (0, 1, 2, 3), (60,))


def test_positions_that_are_no_numbers_have_no_energy(teacher):
    lost = molecule("CCO")
    lost.positions[0, 0] = np.nan
    with pytest.raises(ForceFieldError, match="a position that is not a finite number"):
        teacher.get_potential_energy(lost)
    with pytest.raises(ValueError, match=r"shape \(9, 3\); \(n, 9, 3\) is expected"):
        teacher.evaluate(molecule("CCO"), molecule("CCO").positions)


@pytest.mark.parametrize("smiles", [5, "", "C O", False])
def test_a_teacher_for_no_molecule_is_an_error(smiles):
    for make in (mmff94, uff):
        with pytest.raises(ForceFieldError, match="SMILES"):
            make(smiles)


def test_every_teacher_is_a_calculator_with_a_level():
    for teacher in (mmff94(), uff(), water(), PySCFCalculator(), CP2KCalculator()):
        assert isinstance(teacher, Teacher) and isinstance(teacher.level, str)
