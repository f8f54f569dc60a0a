"""The command line does what the library does, and says what went wrong in one line."""

import json

import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from tpainn_lite.cli import app
from tpainn_lite.cli_inputs import Teacher, calculator, read_smiles
from tpainn_lite.datasets import read_frames, write_frames
from tpainn_lite.forcefields import molecule
from tpainn_lite.labels import label
from tpainn_lite.observables import errors
from tpainn_lite.potential import Potential


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


@pytest.fixture(scope="module")
def files(tmp_path_factory, labelled):
    """A file of labelled frames, and weights pretrained on them."""
    folder = tmp_path_factory.mktemp("cli")
    write_frames(folder / "labelled.extxyz", labelled)
    result = run(
        "pretrain", folder / "labelled.extxyz", folder / "weights.safetensors", "--steps", 10, "--features", 16,
        "--interactions", 2, "--check-every", 10, "--accelerator", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder


def test_pretraining_writes_weights_that_can_be_loaded(files):
    assert Potential.load(files / "weights.safetensors").metadata["n_train"] == 60


def test_autotuning_goes_on_from_weights_and_leaves_parts_alone(files):
    tuned = files / "tuned.safetensors"
    options = ["--steps", 10, "--freeze", "embedding", "--freeze", "readout", "--replay", files / "labelled.extxyz"]
    result = run("autotune", files / "weights.safetensors", files / "labelled.extxyz", tuned, *options)
    assert result.exit_code == 0, result.output
    before, after = (Potential.load(path) for path in (files / "weights.safetensors", tuned))
    assert torch.equal(before.painn.readout[0].weight, after.painn.readout[0].weight)
    assert not torch.equal(before.painn.mixings[0].VU.weight, after.painn.mixings[0].VU.weight)


def test_an_evaluation_is_a_table_a_page_and_a_file_of_numbers(files, labelled):
    report = files / "report.html"
    result = run("evaluate", files / "weights.safetensors", files / "labelled.extxyz", "--report", report)
    assert result.exit_code == 0, result.output
    rows = json.loads(report.with_suffix(".json").read_text())["rows"]
    expected = errors(Potential.load(files / "weights.safetensors"), labelled)
    assert rows[0]["frames"] == "all" and rows[0]["n"] == 60
    assert rows[0]["force_mae"] == pytest.approx(expected["force_mae"], abs=0.01)
    assert rows[0]["energy_mae"] == pytest.approx(expected["energy_mae"], abs=0.01)
    assert f"{rows[0]['force_mae']:.1f}" in result.output
    assert "plotly" in report.read_text() and "predicted force component" in report.read_text()


def test_frames_without_forces_are_an_error_unless_energies_are_enough(files, labelled):
    bare = [atoms.copy() for atoms in labelled]
    for copy, atoms in zip(bare, labelled, strict=True):
        copy.calc = SinglePointCalculator(copy, energy=atoms.get_potential_energy())
    write_frames(files / "bare.extxyz", bare)
    arguments = ["autotune", files / "weights.safetensors", files / "bare.extxyz", files / "out.safetensors"]
    assert "has no forces" in run(*arguments).output
    assert run(*arguments, "--force-weight", 0, "--steps", 5).exit_code == 0


def test_no_more_threads_are_taken_than_a_container_allows(files, monkeypatch, tmp_path):
    monkeypatch.setattr("tpainn_lite.label_work.usable_cores", lambda: 1)
    before = torch.get_num_threads()
    try:
        weights, frames = files / "weights.safetensors", files / "labelled.extxyz"
        tuned, fresh = tmp_path / "tuned.safetensors", tmp_path / "fresh.safetensors"
        small = ("--features", 16, "--interactions", 2)
        for command in (
            ("evaluate", weights, frames),
            ("autotune", weights, frames, tuned, "--steps", 2),
            ("pretrain", frames, fresh, "--steps", 2, *small),
        ):
            torch.set_num_threads(2)
            assert run(*command).exit_code == 0
            assert torch.get_num_threads() == 1, command[0]
    finally:
        torch.set_num_threads(before)


def test_the_shipped_weights_go_by_their_names(files, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "tpainn_lite.recipes.load_pretrained", lambda name: Potential.load(files / "weights.safetensors")
    )
    monkeypatch.chdir(tmp_path)
    assert run("evaluate", "gas", files / "labelled.extxyz").exit_code == 0
    assert (
        run("autotune", "gas", files / "labelled.extxyz", tmp_path / "tuned.safetensors", "--steps", 2).exit_code == 0
    )
    assert "no weights file soup" in run("evaluate", "soup", files / "labelled.extxyz").output


def test_weights_that_are_none_are_an_error_in_one_line(files):
    result = run("evaluate", files / "labelled.extxyz", files / "labelled.extxyz")
    assert result.exit_code == 1 and "safetensors" in result.output and "Traceback" not in result.output


def test_pretraining_wants_frames_or_a_recipe_and_says_so(files):
    assert "two files are expected" in run("pretrain", files / "weights.safetensors").output
    result = run("pretrain", "--recipe", "soup", files / "soup.safetensors")
    assert result.exit_code == 1 and "recipe 'soup' is not one of" in result.output


def test_md_runs_goes_on_and_says_when_a_guard_has_stopped_it(files, tmp_path):
    write_frames(tmp_path / "start.extxyz", [molecule("CCO")])
    arguments = ["md", files / "weights.safetensors", tmp_path / "start.extxyz", tmp_path / "run.traj", "--every", 2]
    calm = ["--timestep", 0.01, "--temperature", 10]
    first = run(*arguments, *calm, "--steps", 4)
    assert first.exit_code == 0 and "3 frames" in first.output, first.output
    assert "6 frames" in run(*arguments, *calm, "--steps", 10).output  # three of them from before
    committee = [arguments[0], arguments[1], *arguments[1:3], tmp_path / "wild.traj"]
    wild = run(*committee, "--timestep", 20, "--temperature", 3000, "--steps", 100)
    assert wild.exit_code == 1 and "stopped" in wild.output and (tmp_path / "wild.traj").exists()


def test_md_wants_weights_and_a_structure(files, tmp_path):
    missing = run("md", files / "weights.safetensors", tmp_path / "none.xyz", tmp_path / "run.traj")
    assert missing.exit_code == 1 and "no file" in missing.output
    write_frames(tmp_path / "start.extxyz", [molecule("CCO")])
    assert "weights and a structure" in run("md", tmp_path / "start.extxyz", tmp_path / "run.traj").output


def test_md_starts_from_a_smiles_too_and_says_what_it_cannot_read(files, tmp_path):
    weights, target = files / "weights.safetensors", tmp_path / "run.traj"
    (tmp_path / "my.smi").write_text("CCO  ethanol\n")
    result = run("md", weights, tmp_path / "my.smi", target, "--steps", 4, "--every", 2, "--temperature", 10)
    assert result.exit_code == 0 and "3 frames" in result.output, result.output
    (tmp_path / "empty.smi").write_text("# nothing yet\n")
    assert "holds no SMILES" in run("md", weights, tmp_path / "empty.smi", tmp_path / "b.traj").output
    (tmp_path / "notes.odd").write_text("what is this\n")
    for command in (("md", weights), ("label",)):
        result = run(*command, tmp_path / "notes.odd", tmp_path / "c.extxyz")
        assert result.exit_code == 1 and "no structure file" in result.output
    result = run("md", weights, tmp_path / "my.smi", tmp_path / "d.traj", "--max-disagreement", 1)
    assert "the weights of two potentials" in result.output
    assert "one of gas, gas_xtb" in run("md", "gas-xtb", tmp_path / "my.smi", tmp_path / "e.traj").output


def test_weights_are_never_written_over_what_is_read(files):
    kept = {path: path.read_bytes() for path in files.iterdir() if path.is_file()}
    frames, weights = files / "labelled.extxyz", files / "weights.safetensors"
    assert "ends in .safetensors" in run("autotune", weights, frames, frames).output
    assert "would be overwritten" in run("autotune", weights, frames, weights).output
    assert "ends in .safetensors" in run("pretrain", frames, files / "weights.pt").output
    assert kept == {path: path.read_bytes() for path in files.iterdir() if path.is_file()}
