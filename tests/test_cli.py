"""The command line does what the library does, and says what went wrong in one line."""

import inspect
import json
import lzma
import os
import pickle
import signal
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io.formats import UnknownFileTypeError
from safetensors import SafetensorError
from typer.testing import CliRunner

from tpainn_lite.cli import app as cli
from tpainn_lite.cli.app import app
from tpainn_lite.cli.errors import ISSUES
from tpainn_lite.cli.inputs import TeacherName, calculator
from tpainn_lite.model.errors import errors
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.pretrained import load_pretrained
from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.reading.shipped import load_molecules
from tpainn_lite.show import report as reports
from tpainn_lite.simulate.md import MDRun, run_md
from tpainn_lite.structures.build import molecule
from tpainn_lite.teachers.label import label
from tpainn_lite.train import transfer


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_smiles_become_a_file_of_labelled_frames(tmp_path):
    (tmp_path / "my.smi").write_text("# mine\nCCO ethanol\n\nC\nC\n[H][H]\n")
    result = run("label", tmp_path / "my.smi", tmp_path / "out.extxyz", "--frames", 3, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "9 labelled frames in" in result.output
    frames = read_frames(tmp_path / "out.extxyz")
    assert [atoms.info["id"] for atoms in frames] == [
        f"{smiles}/{k}" for smiles in ("CCO", "C", "[H][H]") for k in range(3)
    ]
    assert [atoms.info["level"] for atoms in frames] == ["MMFF94"] * 6 + ["UFF"] * 3


def test_structures_are_labelled_as_they_are(tmp_path):
    water = [molecule("O"), molecule("O", seed=1)]
    write_frames(tmp_path / "water.extxyz", water)
    result = run("label", tmp_path / "water.extxyz", tmp_path / "out.extxyz.xz", "--with", "spc-fw", "--jobs", 1)
    assert result.exit_code == 0, result.output
    frames = read_frames(tmp_path / "out.extxyz.xz")
    wanted = label(water, calculator(TeacherName.spc_fw), progress=False)
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
    assert "is empty" in run("label", tmp_path / "empty.smi", tmp_path / "out.extxyz").output


def test_an_unknown_teacher_is_an_error_that_lists_them(tmp_path):
    result = run("label", "a.smi", "b.extxyz", "--with", "amber")
    assert result.exit_code == 2
    assert "mmff94" in result.output


@pytest.mark.parametrize("name", [name for name in TeacherName if name != TeacherName.auto])
def test_every_teacher_can_be_made(name):
    pytest.importorskip("tblite")
    assert calculator(name).level


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
    monkeypatch.setattr("tpainn_lite.teachers.parallel.usable_cores", lambda: 1)
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
        "tpainn_lite.model.pretrained.load_pretrained", lambda name: Potential.load(files / "weights.safetensors")
    )
    monkeypatch.chdir(tmp_path)
    assert run("evaluate", "gas", files / "labelled.extxyz").exit_code == 0
    assert (
        run("autotune", "gas", files / "labelled.extxyz", tmp_path / "tuned.safetensors", "--steps", 2).exit_code == 0
    )
    assert "no file soup" in run("evaluate", "soup", files / "labelled.extxyz").output


def test_weights_that_are_none_are_an_error_in_one_line(files):
    result = run("evaluate", files / "labelled.extxyz", files / "labelled.extxyz")
    assert result.exit_code == 1 and "safetensors" in result.output and "Traceback" not in result.output


def test_pretraining_wants_frames_and_weights_and_says_so(files):
    result = run("pretrain", files / "weights.safetensors")
    assert result.exit_code != 0 and "Missing argument" in result.output


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
    assert "one of gas, gas_mean" in run("md", "gas-xtb", tmp_path / "my.smi", tmp_path / "e.traj").output


def test_weights_are_never_written_over_what_is_read(files):
    kept = {path: path.read_bytes() for path in files.iterdir() if path.is_file()}
    frames, weights = files / "labelled.extxyz", files / "weights.safetensors"
    assert "ends in .safetensors" in run("autotune", weights, frames, frames).output
    assert "would be overwritten" in run("autotune", weights, frames, weights).output
    assert "ends in .safetensors" in run("pretrain", frames, files / "weights.pt").output
    assert kept == {path: path.read_bytes() for path in files.iterdir() if path.is_file()}


# --- how a command ends ---


def tpainn(folder, *arguments, **settings):
    """In a process of its own, as from a shell."""
    command = [sys.executable, "-m", "tpainn_lite.cli", *map(str, arguments)]
    settings |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": heed_ctrl_c}
    return subprocess.Popen(command, cwd=folder, text=True, **settings)


def heed_ctrl_c():
    """Tests that run in the background of a shell are started with Ctrl-C ignored, and so would be what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("painn"), TypeError("a\nb"), RuntimeError("odd"), EOFError(), lzma.LZMAError("end"), MemoryError(),
        zipfile.BadZipFile("no zip"), pickle.UnpicklingError("no pickle"), ImportError("no tblite"), OverflowError("x"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), OSError(28, "No space left"), ValueError("a\n\nb \x1b[2J"),
        UnknownFileTypeError("odd"), SafetensorError("odd"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_every_error_that_can_be_foreseen_is_one_line_that_names_the_file(files, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("tpainn_lite.show.report.evaluate", fail)
    result = run("evaluate", files / "weights.safetensors", files / "labelled.extxyz")
    assert result.exit_code == 1 and result.stderr.startswith("tpainn evaluate: ") and "\x1b" not in result.stderr
    assert result.stderr.count("\n") == 1 and "labelled.extxyz" in result.stderr
    if isinstance(error, KeyError):
        assert "(KeyError: 'painn')" in result.stderr


def test_a_bug_says_that_it_is_ours_and_how_to_report_it(files, monkeypatch):
    monkeypatch.setattr("tpainn_lite.show.report.evaluate", lambda *_: None.no_such_thing)
    result = run("evaluate", files / "weights.safetensors", files / "labelled.extxyz")
    assert result.exit_code == 70 and "Traceback" in result.stderr and "AttributeError" in result.stderr
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Issues"] == ISSUES and ISSUES in result.stderr.splitlines()[0]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_says_whether_it_goes_on(tmp_path, number):
    (tmp_path / "my.smi").write_text("CCO\n")
    running = tpainn(tmp_path, "label", "my.smi", "out.extxyz", "--frames", 20_000, "--jobs", 1, start_new_session=True)
    while running.stderr.readline() and "label" not in running.stderr.readline():
        pass
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 128 + number, said
    assert said.splitlines()[-1] == "tpainn label: interrupted; the same command resumes it" and "Traceback" not in said


def test_without_a_checkpoint_an_interrupted_training_does_not_promise_to_go_on(files, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tpainn_lite.train.transfer.pretrain", fail)
    arguments = ["pretrain", files / "labelled.extxyz", tmp_path / "w.safetensors"]
    plain, kept = run(*arguments), run(*arguments, "--checkpoint", tmp_path / "ck")
    assert plain.exit_code == kept.exit_code == 130
    assert plain.stderr.endswith("\ntpainn pretrain: interrupted\n")
    assert kept.stderr.endswith("; the same command resumes it\n")


# --- what is read, and what is written ---


def odd_sources(folder):
    (folder / "folder.extxyz").mkdir()
    (folder / "empty.extxyz").write_text("")
    (folder / "binary.extxyz").write_bytes(bytes(range(256)) * 1000)
    (folder / "counts.xyz").write_text("999999999\n\nH 0 0 0\n")
    (folder / "binary.smi").write_bytes(bytes(range(256)))
    (folder / "commas.smi").write_text(",,,\n")
    names = ["folder.extxyz", "empty.extxyz", "binary.extxyz", "counts.xyz", "binary.smi", "commas.smi", "none.extxyz"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.extxyz")
        (folder / "zero.extxyz").symlink_to("/dev/zero")
        names += ["pipe.extxyz", "zero.extxyz"]
    return names


def test_what_is_no_file_of_frames_is_one_line_at_once(files, tmp_path):
    weights = files / "weights.safetensors"
    for name in odd_sources(tmp_path):
        source, new = tmp_path / name, tmp_path / "new"
        for command in (
            ("label", source, new / "out.extxyz"),
            ("pretrain", source, new / "w.safetensors"),
            ("pretrain", files / "labelled.extxyz", new / "w.safetensors", "--valid", source),
            ("autotune", weights, source, new / "w.safetensors"),
            ("autotune", source, files / "labelled.extxyz", new / "w.safetensors"),
            ("evaluate", weights, source, "--report", new / "r.html"),
            ("md", weights, source, new / "run.traj"),
            ("run", source, "--folder", new),
            ("run", files / "labelled.extxyz", "--labels", source, "--folder", new),
        ):
            if source.suffix in (".xyz", ".smi") and command[0] in ("pretrain", "autotune", "evaluate"):
                continue
            result = run(*command)
            assert result.exit_code == 1 and result.stderr.count("\n") == 1, (command, result.output)
            assert name in result.stderr or "no frames" in result.stderr or "structures" in result.stderr, command
            assert not new.exists(), command


def test_nothing_that_is_not_ours_is_written_over(files, tmp_path):
    weights, frames = files / "weights.safetensors", files / "labelled.extxyz"
    names = ("notes.safetensors", "notes.traj", "notes.extxyz", "notes.html", "other.json", "old.html")
    for name in names:
        (tmp_path / name).write_text("precious")
    (tmp_path / "old.json").write_text('{"generator": "somebody"}')
    (tmp_path / "folder.safetensors").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}
    for command in (
        ("label", frames, tmp_path / "notes.extxyz"),
        ("pretrain", frames, tmp_path / "notes.safetensors"),
        ("pretrain", frames, tmp_path / "folder.safetensors"),
        ("pretrain", frames, tmp_path / "w.safetensors", "--checkpoint", tmp_path / "notes.traj"),
        ("autotune", weights, frames, tmp_path / "notes.safetensors"),
        ("evaluate", weights, frames, "--report", tmp_path / "notes.html"),
        ("evaluate", weights, frames, "--report", tmp_path / "other.html"),
        ("evaluate", weights, frames, "--report", tmp_path / "old.html"),
        ("evaluate", weights, frames, "--report", frames),
        ("evaluate", weights, frames, "--report", tmp_path / "r.json"),
        ("md", weights, frames, tmp_path / "notes.traj"),
        ("md", weights, frames, weights),
        ("run", frames, "--folder", tmp_path / "notes.traj"),
    ):
        result = run(*command)
        assert result.exit_code == 1 and result.stderr.count("\n") == 1, (command, result.output)
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_ours_is_written_anew(files, tmp_path):
    weights, frames = files / "weights.safetensors", files / "labelled.extxyz"
    for _ in range(2):
        assert run("evaluate", weights, frames, "--report", tmp_path / "new" / "r.html").exit_code == 0
        assert run("autotune", weights, frames, tmp_path / "new" / "w.safetensors", "--steps", 1).exit_code == 0


@pytest.mark.skipif(os.name == "nt", reason="folders are written to otherwise")
def test_trained_weights_that_have_no_place_any_more_are_kept_in_another(files, tmp_path, monkeypatch):
    autotune, target = transfer.autotune, tmp_path / "w.safetensors"

    def trained(*arguments, **settings):
        target.write_text("somebody else's, meanwhile")
        return autotune(*arguments, **settings)

    monkeypatch.setattr(transfer, "autotune", trained)
    result = run("autotune", files / "weights.safetensors", files / "labelled.extxyz", target, "--steps", 1)
    assert result.exit_code == 1 and result.stderr.splitlines()[-1].endswith("w-saved-1.safetensors instead")
    assert target.read_text() == "somebody else's, meanwhile"
    assert Potential.load(tmp_path / "w-saved-1.safetensors").metadata["stage"] == "autotune"


# --- reports ---


def test_no_text_of_a_file_runs_in_a_report(files, labelled, tmp_path):
    script, name = "<script>alert(1)</script>", "</title><script>alert(1)<!--.html"
    bad = [atoms.copy() for atoms in labelled[:3]]
    for copy, atoms in zip(bad, labelled, strict=False):
        copy.calc = atoms.calc
        copy.info |= {"config_type": script + "\n\x1b[2J", "level": script}
    potential = Potential.load(files / "weights.safetensors")
    potential.metadata |= {script: script, "level": [script]}
    table = reports.evaluate(potential, bad, tmp_path / name.replace("/", "_"))
    page = next(tmp_path.glob("*.html")).read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page and "\x1b" not in page + table


def test_axes_of_a_report_say_what_the_labels_are(files, labelled, tmp_path):
    reports.evaluate(Potential.load(files / "weights.safetensors"), labelled[:3], tmp_path / "r.html")
    assert "MMFF94 force component" in (page := (tmp_path / "r.html").read_text()) and "DFT force" not in page


def test_labels_of_fixed_atoms_count_in_an_evaluation(files, labelled):
    potential, fixed = Potential.load(files / "weights.safetensors"), []
    for atoms in labelled[:5]:
        fixed.append(atoms.copy())
        fixed[-1].calc = SinglePointCalculator(fixed[-1], **atoms.calc.results)
        fixed[-1].set_constraint(FixAtoms([0, 1]))
    assert reports.evaluate(potential, fixed) == reports.evaluate(potential, labelled[:5])


def test_frames_with_energies_alone_and_mixed_ones_are_evaluated(files, labelled, tmp_path):
    potential, bare = Potential.load(files / "weights.safetensors"), []
    for atoms in labelled[:4]:
        bare.append(atoms.copy())
        bare[-1].calc = SinglePointCalculator(bare[-1], energy=atoms.get_potential_energy())
        bare[-1].info["config_type"] = "bare"
    alone = reports.evaluate(potential, bare, tmp_path / "r.html")
    assert (
        "no frame has forces" in alone and json.loads((tmp_path / "r.json").read_text())["rows"][0]["force_mae"] is None
    )
    mixed = reports.evaluate(potential, [*bare, *labelled[:4]], tmp_path / "r.html").splitlines()
    assert next(line for line in mixed if line.startswith("bare")).split()[-2:] == ["-", "-"]
    forces = [reports.evaluate(potential, labelled[:4]).splitlines()[1].split()[-2:], mixed[1].split()[-2:]]
    assert forces[0] == forces[1]


def test_a_potential_that_predicts_no_numbers_is_refused(files, labelled):
    potential = Potential.load(files / "weights.safetensors")
    potential.scale.fill_(float("nan"))
    with pytest.raises(ValueError, match="frame 0 .* predicts numbers that are not finite"):
        reports.evaluate(potential, labelled[:3])


# --- the same defaults as in a notebook ---


def test_what_is_not_given_is_left_to_the_library(files, monkeypatch, tmp_path):
    asked = {}

    def note(name, result):
        return lambda *arguments, **settings: asked.update({name: settings}) or result

    potential = Potential.load(files / "weights.safetensors")
    monkeypatch.setattr("tpainn_lite.train.transfer.pretrain", note("pretrain", potential))
    monkeypatch.setattr("tpainn_lite.train.transfer.autotune", note("autotune", potential))
    monkeypatch.setattr("tpainn_lite.simulate.md.run_md", note("md", MDRun(time=[0.0])))
    (tmp_path / "my.smi").write_text("CCO\n")
    weights, frames, new = files / "weights.safetensors", files / "labelled.extxyz", tmp_path / "w.safetensors"
    assert run("pretrain", frames, new).exit_code == 0
    assert run("autotune", weights, frames, new).exit_code == 0
    assert run("md", weights, tmp_path / "my.smi", tmp_path / "run.traj").exit_code == 0
    assert asked == {"pretrain": {}, "autotune": {}, "md": {"path": tmp_path / "run.traj"}}


def test_the_help_names_the_defaults_of_the_library():
    defaults = {name: p.default for name, p in inspect.signature(run_md).parameters.items()}
    helped = {name: p.annotation.__metadata__[0].help for name, p in inspect.signature(cli.md).parameters.items()}
    for option, name in (
        ("steps", "n_steps"),
        *((name, name) for name in ("temperature", "pressure", "timestep", "every")),
    ):
        assert f"{defaults[name]:g} unless given" in helped[option]
    helped = {name: p.annotation.__metadata__[0].help for name, p in inspect.signature(cli.pretrain).parameters.items()}
    for option, value in transfer.PRETRAIN.items():
        assert f"{value:g} unless given" in helped[option]
    helped = {name: p.annotation.__metadata__[0].help for name, p in inspect.signature(cli.autotune).parameters.items()}
    for option, value in transfer.AUTOTUNE.items():
        assert f"{value:g} unless given" in helped[option]


@pytest.mark.parametrize(
    "option",
    ["--frames 0", "--frames -1", "--frames 10000000", "--hottest -5", "--hottest nan", "--hottest 1e30", "--jobs 0",
     "--seed -1", "--seed 99999999999999"],
)  # fmt: skip
def test_nonsense_is_refused_by_its_name_before_anything_is_made(tmp_path, option):
    (tmp_path / "my.smi").write_text("CCO\n")
    name, value = option.split()
    for command in (("label", tmp_path / "my.smi", tmp_path / "out.extxyz"), ("run", tmp_path / "my.smi")):
        result = run(*command, "--with", "mmff94", f"{name}={value}")
        assert result.exit_code == 1 and f"{name.lstrip('-')} is" in result.stderr.replace("n_jobs", "jobs"), (
            result.output
        )
    assert [path.name for path in tmp_path.iterdir()] == ["my.smi"]


def test_options_that_contradict_are_refused_in_a_line(files, tmp_path):
    weights, frames, new = files / "weights.safetensors", files / "labelled.extxyz", tmp_path / "w.safetensors"
    for command, said in (
        (("pretrain", frames, new, "--checkpoint", new), "--checkpoint needs a folder of its own"),
        (("autotune", frames, weights, new), "labelled.extxyz"),
        (("run", frames, "--elsewhere", "--labels", frames), "one of them is expected"),
        (("md", weights, frames, tmp_path / "a.traj", "--max-disagreement", 1), "needs a committee"),
    ):
        result = run(*command)
        assert result.exit_code == 1 and result.stderr.count("\n") == 1 and said in result.stderr, result.output


def test_names_that_are_long_or_odd_are_one_line_that_can_be_read(files):
    weights = files / "weights.safetensors"
    for name in ("x/" * 3000 + "a.extxyz", "a\x1b[2J\n.extxyz", "\udcff.extxyz", "x" * 300):
        result = run("evaluate", weights, name)
        assert result.exit_code == 1 and result.stderr.count("\n") == 1 and len(result.stderr) < 1000
        assert "\x1b" not in result.stderr


def test_a_list_that_is_no_list_of_molecules_is_refused_at_once(tmp_path):
    for text in ("C" * 1_000_000, "C1" * 50_000):
        (tmp_path / "my.smi").write_text(text)
        assert "more than 1000 characters" in run("label", tmp_path / "my.smi", tmp_path / "out.extxyz").stderr


def test_an_element_that_the_weights_do_not_know_may_begin_as_another(files, tmp_path):
    frames = read_frames(files / "labelled.extxyz")
    for atoms in frames:
        atoms.numbers[atoms.numbers == 6] = 14
    write_frames(tmp_path / "silane.extxyz", frames)
    command = ("autotune", "gas", tmp_path / "silane.extxyz", tmp_path / "si.safetensors", "--steps", 2, "--trust")
    refused = run(*command)
    assert refused.exit_code == 1 and "new_elements={'Si': 'C'}" in refused.output
    done = run(*command, "--new-element", "Si=C")
    assert done.exit_code == 0 and "Si (as C) in" in done.output
    assert "Si" in Potential.load(tmp_path / "si.safetensors").elements
    assert "Se=S, the new one first, is expected" in run(*command, "--new-element", "Si").output


def test_md_names_elements_that_no_label_had(tmp_path):
    frames = [atoms for atoms in load_molecules("train") if set(atoms.symbols) == {"C", "H"}][:5]
    transfer.autotune(load_pretrained("gas"), frames, steps=2, progress=False).save(tmp_path / "w.safetensors")
    write_frames(tmp_path / "water.extxyz", molecule("O"))
    done = run("md", tmp_path / "w.safetensors", tmp_path / "water.extxyz", tmp_path / "a.traj", "--steps", 10)
    assert done.exit_code == 0 and "O was in none of the labels it was last trained on" in done.stderr
