"""Labels of other people's files: found by their names, said in one line, and asked for where there is a choice."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write

from tpainn_lite.model.errors import errors
from tpainn_lite.model.pretrained import load_pretrained
from tpainn_lite.reading.frames import labelled_frames, read_frames
from tpainn_lite.reading.label_names import key_of
from tpainn_lite.reading.labels import without_labels
from tpainn_lite.show.report import evaluate
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.checks import label_of

FORCES = np.arange(9).reshape(3, 3) / 10 - 0.4
STRESS = np.array([[0.01, 0.004, 0], [0.004, 0.02, 0.001], [0, 0.001, -0.03]])  # eV/Å³
VOIGT = STRESS[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def water(seed=0, side=None):
    positions = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    return Atoms(
        "OH2", positions + 0.02 * np.random.default_rng(seed).random((3, 3)), cell=[side or 0] * 3, pbc=bool(side)
    )


def named(energy="energy", forces="forces", n=3, side=None, **info):
    frames = [water(seed, side) for seed in range(n)]
    for k, atoms in enumerate(frames):
        atoms.info |= {energy: -76.0 - k, **info}
        atoms.arrays[forces] = FORCES.copy()
    return frames


@pytest.fixture
def read(tmp_path):
    def through_a_file(frames, need=("energy", "forces"), **keys):
        write(tmp_path / "a.extxyz", frames, format="extxyz")
        return labelled_frames(tmp_path / "a.extxyz", need, **keys)

    return through_a_file


# --- names ---


@pytest.mark.parametrize(("energy", "forces"), [
    ("REF_energy", "REF_forces"), ("dft_energy", "dft_force"), ("Energy", "Forces"), ("energy_dft", "forces_dft"),
    ("TotEnergy", "force"), ("total_energy", "atomic_forces"), ("DFT_PBE_energy", "DFT_PBE_force"),
    ("energy_eV", "forces_eV_A"), ("mace_energy", "mace_forces"),
])  # fmt: skip
def test_labels_are_found_under_the_names_that_other_programs_give_them(read, energy, forces):
    frames, line = read(named(energy, forces))
    assert [label_of(atoms, "energy") for atoms in frames] == [-76.0, -77.0, -78.0]
    np.testing.assert_allclose(label_of(frames[2], "forces"), FORCES)
    assert line.startswith(f"a.extxyz: 3 frames; energy from {energy}, forces from {forces}")
    assert not frames[0].info and forces not in frames[0].arrays, "moved, not doubled"


@pytest.mark.parametrize("name", [
    "free_energy", "kinetic_energy", "energy_per_atom", "energy_weight", "config_forces_weight", "energy_above_lowest",
    "force_field", "energy_gap", "max_force", "formation_energy", "energy_sigma", "smiles", "dispersion_energy",
])  # fmt: skip
def test_other_quantities_are_no_labels(name):
    assert key_of(name) is None


def test_gradients_by_name_are_turned(read):
    frames, line = read(named("energy", "gradient"))
    np.testing.assert_allclose(label_of(frames[0], "forces"), -FORCES)
    assert "forces from gradient (sign turned)" in line


@pytest.mark.parametrize("name", ["virial", "virials", "REF_virials", "dft_virial"])
@pytest.mark.parametrize("shape", [(3, 3), (9,)])
def test_a_virial_becomes_the_stress(read, name, shape):
    frames = named("REF_energy", "REF_forces", side=9.0)
    for atoms in frames:
        atoms.info[name] = (-STRESS * 9.0**3).reshape((3, 3) if name == "virial" else shape)
    frames, line = read(frames)
    np.testing.assert_allclose(label_of(frames[0], "stress"), VOIGT)
    assert f"stress from {name} (sign turned, divided by the volume)" in line


@pytest.mark.parametrize("text", [
    " ".join(map(str, VOIGT)), " ".join(map(str, STRESS.ravel())), ", ".join(map(str, STRESS.ravel())),
])  # fmt: skip
@pytest.mark.parametrize("name", ["stress", "REF_stress"])
def test_stress_has_six_numbers_or_nine(tmp_path, text, name):
    write(tmp_path / "a.extxyz", named(side=9.0), format="extxyz")
    content = (tmp_path / "a.extxyz").read_text().replace("energy=", f'{name}="{text}" energy=')
    (tmp_path / "a.extxyz").write_text(content)
    np.testing.assert_allclose(label_of(read_frames(tmp_path / "a.extxyz")[1], "stress"), VOIGT)


def test_stress_and_virial_that_contradict_each_other_are_asked_about(read):
    frames = named(side=9.0)
    for atoms in frames:
        atoms.info |= {"virial": STRESS * 9.0**3, "stress": STRESS}
    with pytest.raises(DatasetError, match="stress .* and virial .*: say which is meant, stress_key='virial'"):
        read(frames)
    np.testing.assert_allclose(label_of(read(frames, stress_key="virial")[0][0], "stress"), -VOIGT)
    for atoms in frames:
        atoms.info["virial"] = -STRESS * 9.0**3
    np.testing.assert_allclose(label_of(read(frames)[0][0], "stress"), VOIGT)


def test_a_virial_in_other_units_is_divided_by_the_volume_in_cubic_angstroms(read):
    frames = named(side=9.0, virial=-STRESS * 9.0**3)
    converted, _ = read(frames, units="Hartree,Å")
    np.testing.assert_allclose(label_of(converted[0], "stress"), 27.211386 * VOIGT, rtol=1e-6)


# --- a choice ---


def two_sets():
    frames = named()
    for atoms in frames:
        atoms.info["REF_energy"], atoms.arrays["REF_forces"] = atoms.info["energy"] - 1, 2 * FORCES
    return frames


def test_two_sets_of_labels_are_a_question_that_says_how_to_answer_it(read):
    with pytest.raises(
        DatasetError, match=r"energy .*-76.* and REF_energy .*-77.*energy_key='REF_energy' or --energy-"
    ):
        read(two_sets())


@pytest.mark.parametrize("keys", [{"energy_key": "REF_energy"}, {"forces_key": "REF_forces"}])
def test_one_key_says_which_set_is_meant(read, keys):
    frames, line = read(two_sets(), **keys)
    assert label_of(frames[0], "energy") == -77 and np.allclose(label_of(frames[0], "forces"), 2 * FORCES)
    assert "energy from REF_energy, forces from REF_forces; ignored: " in line
    frames, _ = read(two_sets(), energy_key="energy")
    assert label_of(frames[0], "energy") == -76 and np.allclose(label_of(frames[0], "forces"), FORCES)


def test_where_nothing_is_needed_nothing_is_asked_and_neither_set_is_taken(read):
    frames, line = read(two_sets(), ())
    assert frames[0].calc is None and "two sets, none taken: energy and REF_energy" in line
    assert frames[0].info.keys() >= {"energy", "REF_energy"}
    bare = without_labels(frames[0])
    assert not bare.info and set(bare.arrays) == {"numbers", "positions"}


def test_two_sets_with_the_same_numbers_leave_nothing_to_decide(read):
    frames = named()
    for atoms in frames:
        atoms.info["REF_energy"], atoms.arrays["REF_forces"] = atoms.info["energy"], FORCES
    assert "energy from energy = REF_energy" in read(frames)[1]


def test_sets_that_stand_in_different_frames_are_asked_about_too(read):
    frames = named() + named("REF_energy", "REF_forces")
    with pytest.raises(DatasetError, match="two sets of labels, energy .frame 0.* and REF_energy .frame 3"):
        read(frames)
    taken, _ = read(frames, energy_key="REF_energy,energy", forces_key="REF_forces,forces")
    assert all(atoms.calc.results.keys() == {"energy", "forces"} for atoms in taken)


def test_any_name_can_be_given_and_a_wrong_one_is_an_error_that_lists_what_there_is(read):
    frames, _ = read(named("E", "F"), energy_key="E", forces_key="F")
    assert label_of(frames[0], "energy") == -76 and np.allclose(label_of(frames[0], "forces"), FORCES)
    with pytest.raises(DatasetError, match="no frame has 'foo'; what could be its energy are E"):
        read(named("E", "F"), energy_key="foo")
    with pytest.raises(DatasetError, match="it has E: write it as energy, .* or take it with energy_key='E'"):
        read(named("E", "F"))


def test_a_free_energy_alone_is_not_taken_for_an_energy(read):
    frames = named("free_energy")
    with pytest.raises(DatasetError, match="it has free_energy: write it as energy"):
        read(frames, ("any",))
    assert label_of(read(frames, energy_key="free_energy")[0][0], "energy") == -76


def test_units_in_a_name_are_asked_for(read):
    frames = named("energy_Hartree", "forces_Hartree_Bohr")
    with pytest.raises(DatasetError, match="energy_Hartree is in hartree by its name"):
        read(frames)
    assert label_of(read(frames, units="Hartree,Bohr")[0][0], "energy") == pytest.approx(-76 * 27.211386)


# --- frames that differ ---


def test_frames_with_and_without_forces_or_energies_are_read_together(read):
    frames = named(n=4)
    del frames[2].arrays["forces"], frames[1].info["energy"]
    frames, line = read(frames)
    assert "energy (in 3 of them), forces (in 3 of them)" in line
    assert [sorted(atoms.calc.results) for atoms in frames[1:3]] == [["forces"], ["energy"]]


def test_a_frame_without_any_label_is_named(read):
    frames = named(n=3)
    del frames[1].arrays["forces"], frames[1].info["energy"]
    with pytest.raises(DatasetError, match=r"frame 1 \(H2O\) has no energy; label it first"):
        read(frames)


def test_isolated_atoms_and_boxes_among_molecules_are_read_and_mentioned(read):
    lone = Atoms("H", info={"REF_energy": -13.6, "config_type": "IsolatedAtom"})
    lone.arrays["REF_forces"] = np.zeros((1, 3))
    frames = [lone, *named("REF_energy", "REF_forces"), *named("REF_energy", "REF_forces", side=9.0)]
    frames, line = read(frames)
    assert len(frames) == 7 and "1 isolated atom" in line and "3 of them periodic" in line


def test_a_stress_counts_for_boxes_alone(read):
    frames = named(side=9.0, stress=STRESS)
    frames[0].pbc = False
    frames[1].info["stress"] = np.full((3, 3), np.nan)
    frames, line = read(frames)
    assert ["stress" in atoms.calc.results for atoms in frames] == [False, False, True] and "(in 1 of them)" in line


# --- files ---


CODINGS = {
    "crlf.extxyz": lambda text: text.replace(b"\n", b"\r\n"), "cr.extxyz": lambda text: text.replace(b"\n", b"\r"),
    "bom.extxyz": lambda text: b"\xef\xbb\xbf" + text, "utf16.extxyz": lambda text: text.decode().encode("utf-16"),
    "open.extxyz": lambda text: text[:-1], "a.extxyz.gz": gzip.compress, "a.xyz.bz2": bz2.compress,
    "a.extxyz.xz": lzma.compress, "wrong_name.extxyz": gzip.compress, "a.gz": gzip.compress, "a.dat": bytes,
    "numbers.extxyz": lambda text: text.replace(b"\nO ", b"\n8 ").replace(b"\nH ", b"\n1 "),
    "column_z.extxyz": lambda text: (
        text.replace(b"species:S", b"Z:I").replace(b"\nO ", b"\n8 ").replace(b"\nH ", b"\n1 ")
    ),
    "fortran.extxyz": lambda text: text.replace(b"0.40000000", b"0.4D+00"),
}  # fmt: skip


@pytest.mark.parametrize("name", CODINGS)
def test_a_sound_file_is_read_however_it_is_packed_or_written(tmp_path, name):
    write(tmp_path / "plain.extxyz", named(), format="extxyz")
    (tmp_path / name).write_bytes(CODINGS[name]((tmp_path / "plain.extxyz").read_bytes()))
    for one, other in zip(read_frames(tmp_path / "plain.extxyz"), read_frames(tmp_path / name), strict=True):
        assert (one.numbers == other.numbers).all() and np.array_equal(one.positions, other.positions)
        assert np.array_equal(one.get_forces(), other.get_forces()) and one.calc.results.keys() == {"energy", "forces"}


def test_deuterium_and_tritium_are_hydrogen_with_their_masses(tmp_path):
    (tmp_path / "a.xyz").write_text("3\n\nO 0 0 0\nD 0.96 0 0\nT -0.24 0.93 0\n")
    (atoms,) = read_frames(tmp_path / "a.xyz", need=())
    assert atoms.numbers.tolist() == [8, 1, 1] and atoms.get_masses().tolist() == [15.999, 2.014, 3.016]


@pytest.mark.parametrize("name", ["a.traj", "a.db", "a.json", "a.extxyz"])
def test_formats_of_ase_keep_labels_of_fixed_atoms_momenta_and_charges(tmp_path, name):
    frames = [water(k) for k in range(3)]
    for k, atoms in enumerate(frames):
        atoms.set_constraint(FixAtoms([0]))
        atoms.set_momenta(FORCES, apply_constraint=False)
        atoms.set_initial_charges([1, 0, 0])
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 - k, forces=FORCES, dipole=np.zeros(3), free_energy=-2.0)
    write(tmp_path / name, frames)
    read, line = labelled_frames(tmp_path / name)
    assert [label_of(atoms, "energy") for atoms in read] == [-1.0, -2.0, -3.0]
    np.testing.assert_allclose(label_of(read[2], "forces"), FORCES)
    np.testing.assert_allclose(read[0].arrays["momenta"], FORCES)
    assert read[0].get_initial_charges().tolist() == [1, 0, 0]
    assert "labels of fixed atoms as they stand" in line and "dipole" in line.partition("ignored: ")[2]


def test_pairs_of_key_and_value_and_data_of_a_database_are_labels_too(tmp_path):
    from ase.db import connect

    with connect(tmp_path / "a.db") as database:
        for k in range(3):
            database.write(water(k), REF_energy=-5.0 - k, data={"REF_forces": FORCES})
    frames = read_frames(tmp_path / "a.db")
    assert label_of(frames[2], "energy") == -7 and np.allclose(label_of(frames[0], "forces"), FORCES)


@pytest.mark.parametrize("name", ["a.npz", "a.pt", "a.parquet"])
def test_what_is_not_read_is_said_with_what_to_do(tmp_path, name):
    (tmp_path / name).write_bytes(b"abc" * 99)
    with pytest.raises(DatasetError, match="which is not read here; write its frames as extended XYZ"):
        read_frames(tmp_path / name)


def test_the_line_is_printed_where_somebody_reads_it_and_can_be_silenced(tmp_path, capsys, monkeypatch):
    write(tmp_path / "a.extxyz", named(), format="extxyz")
    read_frames(tmp_path / "a.extxyz")
    monkeypatch.setattr("tpainn_lite.reading.labels.has_reader", lambda: True)
    read_frames(tmp_path / "a.extxyz", quiet=True)
    assert not capsys.readouterr().out
    read_frames(tmp_path / "a.extxyz")
    assert capsys.readouterr().out == "a.extxyz: 3 frames; energy, forces\n"


# --- what is done with them ---


def test_each_label_is_compared_over_the_frames_that_have_it(labelled):
    potential, frames = load_pretrained("gas_xtb"), [atoms.copy() for atoms in labelled[:4]]
    for k, (atoms, whole) in enumerate(zip(frames, labelled, strict=False)):
        kept = [key for key in ("energy", "forces") if (key, k) not in (("energy", 0), ("forces", 1))]
        atoms.calc = SinglePointCalculator(atoms, **{key: whole.calc.results[key] for key in kept})
    lone = Atoms("H")
    lone.calc = SinglePointCalculator(lone, energy=-13.6)
    found = errors(potential, [*frames, lone])
    assert found["energy_mae"] == pytest.approx(errors(potential, labelled[1:4])["energy_mae"])
    assert found["force_mae"] == pytest.approx(errors(potential, [labelled[0], *labelled[2:4]])["force_mae"])
    assert "1 isolated atoms are left out" in evaluate(potential, [*frames, lone])


def test_a_free_energy_among_energies_is_not_left_out_without_a_word(read):
    frames = [*named(n=2), *named("free_energy", n=1)]
    with pytest.raises(DatasetError, match="frame 2 .* energy_key='energy,free_energy'"):
        read(frames)
    assert [label_of(atoms, "energy") for atoms in read(frames, energy_key="energy,free_energy")[0]] == [-76, -77, -76]


@pytest.mark.parametrize(("energy", "forces"), [("E_dft", "F_dft"), ("y", "dy")])
def test_short_names_are_not_taken_but_named(read, energy, forces):
    with pytest.raises(DatasetError, match=rf"it has {energy}: .*--energy-key {energy}"):
        read(named(energy, forces))


def test_where_nothing_is_needed_two_sets_may_be_left_or_asked_about(read):
    frames = named("REF_energy", "REF_forces")
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, energy=-70.0, forces=0 * FORCES)
    assert "none taken" in read(frames, ())[1]
    with pytest.raises(DatasetError, match="two sets of labels"):
        read(frames, ("decided",))


@pytest.mark.parametrize(("units", "factor"), [
    ("stress=-eV/Å³", -1.0), ("stress=kcal/mol/Å³", 0.0433641), ("energy=Hartree,forces=Hartree/Bohr", 27.211386),
    ("Hartree,Bohr", 27.211386), ("virial=kcal/mol", 0.0433641), ("energy=Hartree,forces=eV/Å,stress=eV/Å³", 1.0),
])  # fmt: skip
def test_a_virial_is_in_the_units_that_are_named_for_it_or_for_energies(read, units, factor):
    frames = named(side=9, virial=-STRESS * 9**3)
    stress = label_of(read(frames, units=units)[0][0], "stress")
    np.testing.assert_allclose(stress, VOIGT * factor, rtol=1e-5, atol=1e-12)


def test_the_line_says_what_became_of_positions(read):
    assert "units: Hartree,Bohr, positions stay in Å" in read(named(), units="Hartree,Bohr")[1]
    in_bohr = named()
    for atoms in in_bohr:
        atoms.positions /= 0.529177
    assert "units: Hartree,Bohr, positions from Bohr" in read(in_bohr, units="Hartree,Bohr")[1]
