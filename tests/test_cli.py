"""The command line does what the library does, and says what went wrong in one line."""

import pytest
from typer.testing import CliRunner

from tpainn_lite.cli import Teacher, app, calculator, read_smiles
from tpainn_lite.datasets import read_frames, write_frames
from tpainn_lite.forcefields import molecule
from tpainn_lite.labels import label


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_smiles_become_a_file_of_labelled_frames(tmp_path):
    (tmp_path / "my.smi").write_text("# mine\nCCO ethanol\n\nC\nC\n[H][H]\n")
    result = run("label", tmp_path / "my.smi", tmp_path / "out.extxyz", "--frames", 3, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "6 labelled frames in" in result.output
    frames = read_frames(tmp_path / "out.extxyz")
    assert [atoms.info["id"] for atoms in frames] == ["CCO/0", "CCO/1", "CCO/2", "C/0", "C/1", "C/2"]
    assert {atoms.info["level"] for atoms in frames} == {"MMFF94"}


def test_structures_are_labelled_as_they_are(tmp_path):
    water = [molecule("O"), molecule("O", seed=1)]
    write_frames(tmp_path / "water.extxyz", water)
    result = run("label", tmp_path / "water.extxyz", tmp_path / "out.extxyz.xz", "--with", "spc-fw", "--jobs", 1)
    assert result.exit_code == 0, result.output
    frames = read_frames(tmp_path / "out.extxyz.xz")
    wanted = label(water, calculator(Teacher.spc_fw), progress=False)
    assert [a.get_potential_energy() for a in frames] == pytest.approx([a.get_potential_energy() for a in wanted])


def test_what_went_wrong_is_one_line_without_a_traceback(tmp_path):
    (tmp_path / "there.extxyz").write_text("precious")
    (tmp_path / "my.smi").write_text("CCO\n")
    for source, target, told in [
        ("nothing.smi", "out.extxyz", "no file"),
        ("my.smi", "there.extxyz", "is there already"),
    ]:
        result = run("label", tmp_path / source, tmp_path / target)
        assert result.exit_code == 1
        assert told in result.output and "Traceback" not in result.output
    (tmp_path / "empty.smi").write_text("")
    assert "no frames to label" in run("label", tmp_path / "empty.smi", tmp_path / "out.extxyz").output


def test_an_unknown_teacher_is_an_error_that_lists_them(tmp_path):
    result = run("label", "a.smi", "b.extxyz", "--with", "amber")
    assert result.exit_code == 2
    assert "mmff94" in result.output


@pytest.mark.parametrize("name", [name for name in Teacher if name != Teacher.auto])
def test_every_teacher_can_be_made(name):
    pytest.importorskip("tblite")
    assert calculator(name).level


def test_smiles_are_read_from_lists_and_tables(tmp_path):
    (tmp_path / "a.csv").write_text("smiles,n_heavy\nCCO,3\nC,1\n")
    assert read_smiles(tmp_path / "a.csv") == ["CCO", "C"]
