"""Data in and out: nothing is lost on the way, nothing damaged is taken, no molecule is on both sides of a split."""

import os
import urllib.error

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Hartree

from tpainn_lite.course import teach
from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.reading.qm9 import load_qm9
from tpainn_lite.reading.shipped import PARTS, data_folder, load_molecules, molecule_list, sha256
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.files import write_text
from tpainn_lite.structures.select import draw, split_by_molecule


@pytest.fixture
def own_data(tmp_path, monkeypatch, labelled):
    """A data folder of our own: two molecules per part, checksums and a list of molecules."""
    for part, smiles in {"train": "O C", "valid": "CO N", "test": "CF", "test_large": "CC#N"}.items():
        mine = [atoms for atoms in labelled if atoms.info["smiles"] in smiles.split()]
        write_frames(tmp_path / "molecules_b3lyp" / f"{part}.extxyz.xz", mine)
    (tmp_path / "molecules.csv").write_text("smiles,n_heavy\nO,1\nC,1\nCO,2\nCC#N,3\nCCO,3\nCCCCO,5\nCCCCCO,6\n")
    names = ["molecules.csv", *(f"molecules_b3lyp/{part}.extxyz.xz" for part in PARTS)]
    write_text(tmp_path / "SHA256SUMS", "".join(f"{sha256(tmp_path / name)}  {name}\n" for name in names))
    monkeypatch.setenv("TPAINN_DATA", str(tmp_path))
    return tmp_path


# --- extended XYZ ---


@pytest.mark.parametrize("name", ["a.extxyz", "a.extxyz.xz"])
def test_frames_come_back_as_they_were_written(labelled, tmp_path, name):
    write_frames(tmp_path / name, labelled)
    frames = read_frames(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]  # no temporary files
    for before, after in zip(labelled, frames, strict=True):
        assert (after.numbers == before.numbers).all()
        assert after.info["smiles"] == before.info["smiles"]
        assert after.get_potential_energy() == pytest.approx(before.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(after.positions, before.positions, atol=1e-6)
        np.testing.assert_allclose(after.get_forces(), before.get_forces(), atol=1e-6)


def test_a_periodic_frame_keeps_its_cell_and_stress(water_box, tmp_path):
    stress = np.array([1.0, 2, 3, 4, 5, 6])
    water_box.calc = SinglePointCalculator(water_box, energy=-1.0, forces=np.ones((6, 3)), stress=stress)
    write_frames(tmp_path / "a.extxyz", [water_box])
    (frame,) = read_frames(tmp_path / "a.extxyz")
    np.testing.assert_allclose(frame.cell.array, water_box.cell.array)
    np.testing.assert_allclose(frame.get_stress(), stress)
    assert frame.pbc.all()


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DatasetError, match=r"no file .*nothing.extxyz; expected an extended XYZ file"):
        read_frames(tmp_path / "nothing.extxyz")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_compressed_file_is_an_error(labelled, tmp_path, keep):
    path = tmp_path / "a.extxyz.xz"
    write_frames(path, labelled)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DatasetError, match=r"a.extxyz.xz .*; .*an extended XYZ file|fetch or make it again"):
        read_frames(path)


@pytest.mark.parametrize("cut", [2, 3, 5, 30, 100, 700])
def test_a_truncated_text_file_is_an_error_even_within_the_last_number(labelled, tmp_path, cut):
    path = tmp_path / "a.extxyz"
    write_frames(path, labelled)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DatasetError, match=r"a.extxyz is .*; fetch or make it again"):
        read_frames(path)


def test_a_corrupted_compressed_file_is_an_error(labelled, tmp_path):
    path = tmp_path / "a.extxyz.xz"
    write_frames(path, labelled)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a.extxyz.xz is corrupted or truncated .*; fetch or make it again"):
        read_frames(path)


@pytest.mark.parametrize("content", [b"hello\n", b"\x80\x81\x82\n", b"3\n\nO 0 0 0\n", b"1\n\nO 0 zero 0\n"])
def test_a_file_of_something_else_is_an_error(tmp_path, content):
    path = tmp_path / "a.extxyz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a.extxyz is (not a whole|corrupted).*; fetch or make it again"):
        read_frames(path)


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "a.extxyz").write_text("")
    with pytest.raises(DatasetError, match=r"a.extxyz"):
        read_frames(tmp_path / "a.extxyz")


def test_frames_without_labels_are_an_error_unless_they_are_wanted(ethanol, tmp_path):
    write_frames(tmp_path / "a.extxyz", [ethanol])
    with pytest.raises(DatasetError, match=r"frame 0 \(C2H6O\) has no energy; label it first"):
        read_frames(tmp_path / "a.extxyz")
    assert len(read_frames(tmp_path / "a.extxyz", need=())) == 1


def test_a_write_that_fails_leaves_the_old_file(labelled, tmp_path, monkeypatch):
    path = tmp_path / "a.extxyz"
    write_frames(path, labelled[:2])

    def full_disk(*_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_frames(path, labelled)
    assert len(read_frames(path)) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.extxyz"]


# --- splits ---


def test_no_molecule_is_on_two_sides_of_a_split(labelled):
    parts = split_by_molecule(labelled, (0.5, 0.25, 0.25), seed=3)
    molecules = [{atoms.info["smiles"] for atoms in part} for part in parts]
    assert sum(len(part) for part in parts) == len(labelled)
    assert sum(len(m) for m in molecules) == len(set.union(*molecules)) == 6
    assert [len(m) for m in molecules] == [3, 1, 2] or [len(m) for m in molecules] == [3, 2, 1]


def test_every_part_of_a_split_has_a_molecule_and_the_seed_decides_which(labelled):
    first, again, *others = (split_by_molecule(labelled, (0.98, 0.01, 0.01), seed=s) for s in (0, 0, 1, 2, 3))
    held_out = [part[1][0].info["smiles"] for part in (first, again, *others)]
    assert all(len(part) > 0 for part in first)
    assert held_out[0] == held_out[1]
    assert len(set(held_out)) > 1


SPELLINGS = {
    "ethanol": ("CCO", "OCC", "C(O)C", "[CH3:1][CH2:2][OH:3]", "[H]OCC", "[2H]OCC"),
    "alanine": ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "OC(=O)C(N)C"),
    "butene": ("C/C=C/C", "C/C=C\\C", "CC=CC"),
    "benzene": ("c1ccccc1", "C1=CC=CC=C1"),
    "ammonium": ("[NH4+]", "[H][N+]([H])([H])[H]"),
    "ammonia": ("N", "[NH3]"),
}


def spelt():
    return [
        Atoms("H", info={"smiles": text, "name": name})
        for k in range(6)
        for name, texts in SPELLINGS.items()
        for text in texts[k : k + 1]
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_molecule_stays_on_one_side_however_it_is_spelt(seed):
    parts = split_by_molecule(spelt(), (0.5, 0.5), seed)
    assert not {a.info["name"] for a in parts[0]} & {a.info["name"] for a in parts[1]}
    assert sum(map(len, parts)) == len(spelt())
    assert {a.info["name"] for a in draw(spelt(), len(SPELLINGS), seed)} == set(SPELLINGS)


def test_a_list_to_pretrain_on_leaves_out_held_out_molecules_in_any_spelling(own_data):
    (own_data / "molecules.csv").write_text("smiles,n_heavy\nO,1\nFC,2\n[CH3]F,2\nOC,2\nOCC,3\n")
    sums = (own_data / "SHA256SUMS").read_text().splitlines()[1:]
    write_text(own_data / "SHA256SUMS", "\n".join([f"{sha256(own_data / 'molecules.csv')}  molecules.csv", *sums, ""]))
    assert molecule_list() == ["O", "OCC"]


def test_what_is_no_smiles_is_a_name_like_any_other():
    frames = [Atoms("H", info={"smiles": text}) for text in ("this is none", "this is none", "C" * 5000, "c1cc", "CCO")]
    assert sorted(len(part) for part in split_by_molecule(frames, (1, 1, 1, 1))) == [1, 1, 1, 2]


def test_where_some_frames_have_no_smiles_their_molecules_do_not_get_to_both_sides():
    frames = [Atoms(f, info={"smiles": s} if s else {}) for f, s in (("C2H6O", "CCO"), ("C2H6O", ""), ("OH2", "O"))]
    parts = split_by_molecule(frames, (0.5, 0.5))
    assert sorted(len(part) for part in parts) == [1, 2]


@pytest.mark.parametrize("fractions", [(), "abc", (0.5, -0.1), (0.5, float("nan")), 0.5, (0, 1), None])
def test_fractions_that_are_none_are_an_error(labelled, fractions):
    with pytest.raises((ValueError, TypeError), match=r"fraction.* is .*; a (finite number|sequence)"):
        split_by_molecule(labelled, fractions)


@pytest.mark.parametrize("n", [0, -1, 2.5, float("nan"), "all", None, True, 10**9])
def test_a_draw_of_no_number_of_frames_is_an_error(labelled, n):
    with pytest.raises(ValueError, match=r"n is .*; a whole number|the size of the list"):
        draw(labelled, n)


@pytest.mark.parametrize("seed", ["word", float("nan"), -1])
def test_a_seed_that_is_none_is_an_error(labelled, seed):
    for ask in (lambda: draw(labelled, 2, seed), lambda: split_by_molecule(labelled, seed=seed)):
        with pytest.raises(ValueError, match=r"seed is .*; a whole number of at least 0 is expected"):
            ask()


@pytest.mark.parametrize("frames", [None, "word", 5, [5], Atoms("H")])
def test_what_is_no_list_of_frames_is_an_error(frames):
    for ask in (lambda: draw(frames, 1), lambda: split_by_molecule(frames)):
        with pytest.raises(TypeError, match=r"ase\.Atoms is expected"):
            ask()


def test_frames_without_smiles_are_split_by_formula():
    frames = [Atoms(formula) for formula in ("H2O", "CH4", "OH2", "NH3")]
    parts = split_by_molecule(frames, (0.6, 0.4))
    sides = [side for side, part in enumerate(parts) for atoms in part if len(atoms) == 3]
    assert len(set(sides)) == 1


def test_too_few_molecules_for_a_split_is_an_error(labelled):
    with pytest.raises(DatasetError, match="1 molecules cannot be split into 3 parts; add molecules"):
        split_by_molecule(labelled[:5])


# --- shipped files ---


def test_shipped_parts_are_read(own_data):
    assert {atoms.info["smiles"] for atoms in load_molecules("valid")} == {"CO", "N"}


def test_molecules_to_pretrain_on_leave_out_the_held_out_ones_and_the_large_ones(own_data):
    assert molecule_list() == ["O", "C", "CCO", "CCCCO"]
    assert molecule_list(max_heavy=3, exclude=()) == ["O", "C", "CO", "CC#N", "CCO"]


def test_an_unknown_split_is_an_error_that_lists_the_splits():
    with pytest.raises(ValueError, match=r"split 'training' is not one of \('train', 'valid', 'test', 'test_large'\)"):
        load_molecules("training")


def test_a_shipped_file_that_was_changed_is_an_error_that_says_how_to_restore_it(own_data, labelled):
    write_frames(own_data / "molecules_b3lyp" / "test.extxyz.xz", labelled[:3])
    message = r"data/molecules_b3lyp/test.extxyz.xz is not the file that was shipped .*git checkout -- data/molecules"
    with pytest.raises(DatasetError, match=message):
        load_molecules("test")


def test_a_shipped_file_that_is_missing_is_an_error_that_says_how_to_restore_it(own_data):
    (own_data / "molecules_b3lyp" / "train.extxyz.xz").unlink()
    with pytest.raises(DatasetError, match=r"train.extxyz.xz is missing; restore it with: git checkout -- data/mol"):
        load_molecules("train")


def test_a_missing_list_of_checksums_is_an_error_that_says_how_to_restore_it(own_data):
    (own_data / "SHA256SUMS").unlink()
    with pytest.raises(DatasetError, match=r"data/SHA256SUMS is missing; restore it with: git checkout -- data/SHA"):
        load_molecules("train")


def test_a_missing_data_folder_is_an_error_that_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("TPAINN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"no data folder at .*nowhere: run from a clone .*, or set TPAINN_DATA"):
        load_molecules("train")


def test_the_data_folder_is_beside_the_package():
    assert (data_folder() / "SHA256SUMS").exists()


def test_the_shipped_dft_set_is_what_it_says_it_is():
    parts = {part: load_molecules(part) for part in PARTS}
    frames = [atoms for part in parts.values() for atoms in part]
    molecules = {part: {atoms.info["smiles"] for atoms in frames} for part, frames in parts.items()}
    assert len(frames) >= 3000
    assert len(set.union(*molecules.values())) == sum(map(len, molecules.values())) >= 560  # no molecule in two parts
    assert len({atoms.info["id"] for atoms in frames}) == len(frames)
    assert {z for atoms in frames for z in atoms.numbers} == {1, 6, 7, 8, 9}
    heavy = {part: {int((atoms.numbers > 1).sum()) for atoms in parts[part]} for part in PARTS}
    assert max(heavy["train"] | heavy["valid"] | heavy["test"]) <= 6
    assert heavy["test_large"] == {7, 8, 9} and len(parts["test_large"]) >= 200 and len(molecules["test_large"]) >= 60
    assert {atoms.info["level"] for atoms in frames} == {"B3LYP/6-31G(2df,p)"}
    for atoms in frames:
        assert np.isfinite(atoms.get_potential_energy())
        assert np.abs(atoms.get_forces().sum(axis=0)).max() < 1e-3
        assert 0 < np.abs(atoms.get_forces()).max() < 30


# --- QM9 ---


@pytest.fixture(scope="session")
def five_of_qm9(reference_data):
    """QM9's molecules 1 to 5: methane, ammonia, water, acetylene, hydrogen cyanide."""
    path = reference_data.folder / "qm9" / "qm9_part.npz"
    found = {}
    for frame, atoms in zip(reference_data.frames(path), reference_data.atoms(path), strict=True):
        if int(frame["id"]) <= 5:
            found[int(frame["id"])] = (atoms, float(frame["U0_Ha"]), float(frame["zpve_Ha"]))
    assert sorted(found) == [1, 2, 3, 4, 5]
    return found


def write_raw_qm9(folder, molecules, doubtful=()):
    """QM9's three raw files, in their published layout."""
    folder.mkdir(parents=True, exist_ok=True)
    names = "mol_id,A,B,C,mu,alpha,homo,lumo,gap,r2,zpve,u0,u298,h298,g298,cv,u0_atom,u298_atom,h298_atom,g298_atom"
    rows, blocks = [names], []
    for number, (atoms, u0, zpve) in sorted(molecules.items()):
        rows.append(f"gdb_{number}," + "0.0," * 9 + f"{zpve},{u0}" + ",0.0" * 8)
        lines = [f"gdb_{number}", "", "", f"{len(atoms):3d}  0  0  0  0  0  0  0  0  0999 V2000"]
        for symbol, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True):
            lines.append(f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol:3s} 0  0  0  0  0  0  0  0  0  0  0  0")
        blocks.append("\n".join([*lines, "M  END", "$$$$", ""]))
    (folder / "gdb9.sdf.csv").write_text("\n".join([*rows, ""]))
    (folder / "gdb9.sdf").write_text("".join(blocks))
    listed = "".join(f"     {k}   C1H4   C1   D2   D3   0.0\n" for k in doubtful)
    (folder / "uncharacterized.txt").write_text("3054 molecules that failed\n\nIndex   SMILES\n" + listed)
    return folder


def test_five_known_molecules_of_qm9_have_their_published_energies(five_of_qm9, tmp_path):
    write_raw_qm9(tmp_path / "raw", five_of_qm9)
    frames = load_qm9(root=tmp_path)
    assert [atoms.get_chemical_formula() for atoms in frames] == ["CH4", "H3N", "H2O", "C2H2", "CHN"]
    for atoms in frames:
        reference, u0, zpve = five_of_qm9[atoms.info["id"]]
        assert atoms.get_potential_energy() == pytest.approx(reference.get_potential_energy(), abs=1e-4)
        assert (atoms.info["U0"], atoms.info["zpve"]) == pytest.approx((u0 * Hartree, zpve * Hartree))
        np.testing.assert_allclose(atoms.positions, reference.positions, atol=1e-4)


@pytest.mark.parametrize("n", [0, -3, 1.5, "many"])
def test_a_sample_of_no_number_of_molecules_is_an_error(toy_qm9, n):
    with pytest.raises(ValueError, match="n is .*; a whole number of at least 1 is expected"):
        load_qm9(n, toy_qm9)


@pytest.mark.parametrize("content", ["", "hello\n\n\n  x  0\n$$$$\n"])
@pytest.mark.parametrize("name", ["gdb9.sdf", "gdb9.sdf.csv"])
def test_files_that_are_not_qm9s_are_an_error_that_names_them(toy_qm9, name, content):
    (toy_qm9 / name).write_text(content)
    with pytest.raises((DatasetError, OSError), match=r"gdb9.sdf|the tables in .* are not QM9's"):
        load_qm9(root=toy_qm9)


@pytest.fixture
def toy_qm9(tmp_path):
    molecules = {k: (Atoms("OH", [[0, 0, 0], [0, 0, 0.9 + k / 100]]), -75.0 - k, 0.01) for k in range(1, 21)}
    return write_raw_qm9(tmp_path, molecules, doubtful=(3, 4))


def test_a_sample_of_qm9_is_random_repeatable_and_without_the_doubtful_ones(toy_qm9):
    everything = [atoms.info["id"] for atoms in load_qm9(root=toy_qm9)]
    assert everything == [k for k in range(1, 21) if k not in (3, 4)]
    sample = [atoms.info["id"] for atoms in load_qm9(6, toy_qm9)]
    assert len(sample) == 6 and set(sample) <= set(everything)
    assert sample == [atoms.info["id"] for atoms in load_qm9(6, toy_qm9)]
    assert sample != [atoms.info["id"] for atoms in load_qm9(6, toy_qm9, seed=1)]
    with pytest.raises(ValueError, match="1 to 18 are possible"):
        load_qm9(19, toy_qm9)


def test_without_network_or_files_the_error_names_the_folder_and_the_shipped_set(tmp_path, monkeypatch, capsys):
    def no_network(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(DatasetError, match=r"no network.*gdb9.sdf.*root=.*load_molecules"):
        load_qm9(10, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_copy_of_qm9_is_an_error(toy_qm9):
    whole = (toy_qm9 / "gdb9.sdf").read_text()
    (toy_qm9 / "gdb9.sdf").write_text(whole[:-40])
    with pytest.raises(DatasetError, match="ends in the middle of molecule 20"):
        load_qm9(root=toy_qm9)


# --- draws ---


def test_a_draw_takes_one_frame_of_each_molecule_or_simulation_before_a_second(labelled):
    boxes = [Atoms("OHH", np.eye(3), info={"trajectory": f"run {k % 3}"}) for k in range(9)]
    assert len({atoms.info["trajectory"] for atoms in draw(boxes, 3, seed=1)}) == 3
    molecules = {atoms.info["smiles"] for atoms in labelled}
    assert {atoms.info["smiles"] for atoms in draw(labelled, len(molecules), seed=1)} == molecules


# --- cards ---


def test_a_set_says_what_it_is_once(own_data, capsys, monkeypatch):
    monkeypatch.setattr("tpainn_lite.reading.shipped._described", {})
    monkeypatch.setattr("tpainn_lite.reading.shipped._later", [])
    monkeypatch.setattr("tpainn_lite.reading.shipped.has_reader", lambda: True)
    (own_data / "molecules_b3lyp" / "README.md").write_text("# Title\n\nSmall molecules,\nat a level.\n\nMore.\n")
    load_molecules("train")
    load_molecules("test")
    assert capsys.readouterr().out == "Small molecules, at a level.\n"


def test_a_lesson_says_it_at_its_end(own_data, capsys, monkeypatch):
    monkeypatch.setattr("tpainn_lite.reading.shipped._described", {})
    monkeypatch.setattr("tpainn_lite.reading.shipped._later", [])
    monkeypatch.setattr("tpainn_lite.reading.shipped.has_reader", lambda: True)
    receipt = teach.Receipt(minutes=3, megabytes=1200)
    (own_data / "molecules_b3lyp" / "README.md").write_text("# Title\n\nSmall molecules,\nat a level.\n\nMore.\n")
    load_molecules("train")
    assert not capsys.readouterr().out
    assert "data    Small molecules, at a level." in str(receipt).splitlines()
