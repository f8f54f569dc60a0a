"""A potential of one's own: every step leaves a file, and labels may come from elsewhere."""

import json

import numpy as np
import pytest
from conftest import lively_potential
from typer.testing import CliRunner

from tpainn_lite import project
from tpainn_lite.checks import DatasetError
from tpainn_lite.cli import app
from tpainn_lite.datasets import read_frames, write_frames
from tpainn_lite.forcefields import mmff94, molecule
from tpainn_lite.labels import label
from tpainn_lite.project import LabelsWanted, choose, matched, run_project
from tpainn_lite.sampling import shaken_molecules

SMALL = {"n_labels": 6, "n_test": 4, "n_general": 10, "n_steps": 10, "progress": False}


@pytest.fixture
def short_training(monkeypatch):
    """A few steps instead of hundreds; counts how many potentials are autotuned."""
    counted, autotune = [], project.autotune

    def few_steps(*arguments, **settings):
        counted.append(settings["seed"])
        return autotune(*arguments, **settings, steps=20)

    monkeypatch.setattr(project, "autotune", few_steps)
    return counted


def structures():
    return shaken_molecules(["CCO"], 20, 600, seed=0)


def test_a_project_ends_with_errors_before_and_after_and_a_trajectory(short_training, tmp_path):
    report = run_project(structures(), tmp_path, mmff94(), **SMALL)
    assert report["labels"] == 6 and report["tested on"] == 4
    assert report["after"]["energy_mae"] < report["before"]["energy_mae"]
    assert report["md"]["fs"] > 0 and (tmp_path / "md.traj").exists()
    assert json.loads((tmp_path / "report.json").read_text()) == report
    parts = [atoms.info["part"] for atoms in read_frames(tmp_path / "to_label.extxyz", need=())]
    assert parts == ["train"] * 6 + ["test"] * 4
    assert len(short_training) == 6
    again = run_project(structures(), tmp_path, mmff94(), **SMALL)
    assert len(short_training) == 6 and again == report  # nothing was done again


def test_without_a_calculator_the_frames_to_label_are_left_and_labels_from_elsewhere_taken(short_training, tmp_path):
    with pytest.raises(LabelsWanted, match=r"10 frames to label are in .*to_label\.extxyz"):
        run_project(structures(), tmp_path, **SMALL)
    elsewhere = label(read_frames(tmp_path / "to_label.extxyz", need=()), mmff94(), progress=False)
    for atoms in elsewhere:
        del atoms.info["id"], atoms.info["part"]
    write_frames(tmp_path / "mine.extxyz", elsewhere[::-1])
    report = run_project(structures(), tmp_path, labels=tmp_path / "mine.extxyz", **SMALL)
    assert report["labels"] == 6
    assert len(short_training) == 6


def test_labels_of_other_frames_are_an_error_that_names_what_is_missing():
    chosen = list(structures())[:3]
    for number, atoms in enumerate(chosen):
        atoms.info["id"] = f"train/{number}"
    with pytest.raises(DatasetError, match="not these of to_label.extxyz: train/1, train/2"):
        matched(chosen, label(chosen[:1], mmff94(), progress=False), "mine.extxyz")


def test_shipped_labels_are_kept_beside_those_of_their_own_level_alone():
    (frame,) = project.draw(project.load_molecules("train"), 1)
    assert len(project._of_the_same_level([frame], 5, seed=0)) == 5
    assert project._of_the_same_level(label([frame], mmff94(), progress=False), 5, seed=0) == []


def test_what_is_tested_on_is_not_trained_on():
    committee = project.Committee([lively_potential(seed=k) for k in range(2)])
    frames = choose(committee, list(structures()), 8, 5)
    places = {np.round(atoms.positions, 6).tobytes() for atoms in frames}
    assert len(places) == 13
    with pytest.raises(ValueError, match="of 20 structures"):
        project.sound(structures(), "gas_xtb", 23)


def test_an_unknown_element_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="not S; pretrain on classical labels"):
        run_project([molecule("CS")], tmp_path, mmff94(), **SMALL)


def test_the_command_does_the_same(short_training, tmp_path):
    (tmp_path / "my.smi").write_text("CCO\n")
    options = ["--with", "mmff94", "--n-labels", "6", "--n-test", "4", "--frames", "20", "--steps", "10", "--jobs", "1"]
    result = CliRunner().invoke(app, ["run", str(tmp_path / "my.smi"), *options])
    assert result.exit_code == 0, result.output
    assert "after your labels" in result.output and (tmp_path / "my" / "report.json").exists()
