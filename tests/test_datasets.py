"""Data in and out: nothing is lost on the way, nothing damaged is taken, no molecule is on both sides of a split."""

import os

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.checks import DatasetError
from tpainn_lite.datasets import (
    PARTS,
    data_folder,
    load_molecules,
    molecule_list,
    read_frames,
    sha256,
    split_by_molecule,
    write_frames,
    write_text,
)


@pytest.fixture
def own_data(tmp_path, monkeypatch, labelled):
    """A data folder of our own: two molecules per part, checksums and a list of molecules."""
    for part, smiles in {"train": ("O", "C"), "valid": ("CO", "N"), "test": ("CF", "CC#N")}.items():
        mine = [atoms for atoms in labelled if atoms.info["smiles"] in smiles]
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


@pytest.mark.parametrize("cut", [1, 2, 5, 30, 100, 700])
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
    assert len(read_frames(tmp_path / "a.extxyz", labelled=False)) == 1


def test_a_write_that_fails_leaves_the_old_file(labelled, tmp_path, monkeypatch):
    path = tmp_path / "a.extxyz"
    write_frames(path, labelled[:2])

    def full_disk(*_):
        raise OSError("no space left on device")

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


def test_an_unknown_part_is_an_error_that_lists_the_parts():
    with pytest.raises(ValueError, match=r"part 'training' is not one of \('train', 'valid', 'test'\)"):
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
    assert len(frames) >= 400
    assert len(set.union(*molecules.values())) == sum(map(len, molecules.values())) >= 40  # no molecule in two parts
    assert len({atoms.info["id"] for atoms in frames}) == len(frames)
    assert {z for atoms in frames for z in atoms.numbers} == {1, 6, 7, 8, 9}
    assert max((atoms.numbers > 1).sum() for atoms in frames) <= 5
    assert {atoms.info["level"] for atoms in frames} == {"B3LYP/6-31G(2df,p)"}
    for atoms in frames:
        assert np.isfinite(atoms.get_potential_energy())
        assert np.abs(atoms.get_forces().sum(axis=0)).max() < 1e-3
        assert 0 < np.abs(atoms.get_forces()).max() < 30
