"""From file to file: killed at any moment, the same bytes in the end."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from conftest import shaken

from tpainn_lite import label_files, label_work
from tpainn_lite.checks import DatasetError
from tpainn_lite.datasets import read_frames
from tpainn_lite.forcefields import mmff94
from tpainn_lite.label_files import label_file
from tpainn_lite.sampling import shaken_molecules

SMILES = ("CO", "CCO", "C=O", "CF")


def frames():
    return shaken_molecules(SMILES, n_frames=5)


@pytest.mark.parametrize("name", ["out.extxyz", "sub/out.extxyz.xz"])
def test_the_file_holds_every_frame_in_order_and_nothing_else_is_left(tmp_path, name):
    path = tmp_path / name
    assert label_file(frames(), mmff94(), path, progress=False) == 20
    found = read_frames(path)
    assert [atoms.info["id"] for atoms in found] == [f"{smiles}/{k}" for smiles in SMILES for k in range(5)]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_frames_without_an_id_get_their_place(tmp_path):
    water = [shaken(ase_molecule("H2O"), k) for k in range(3)]
    for atoms in water:
        atoms.info["smiles"] = "O"
    label_file(water, mmff94(), tmp_path / "out.extxyz", progress=False)
    assert [atoms.info["id"] for atoms in read_frames(tmp_path / "out.extxyz")] == [0, 1, 2]
    assert "id" not in water[0].info


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.5, 0.77, 0.999, 1.0])
def test_an_interrupted_file_goes_on_to_the_same_bytes(tmp_path, monkeypatch, keep):
    monkeypatch.setattr(label_files, "WRITE", 3)
    label_file(frames(), mmff94(), tmp_path / "whole.extxyz", progress=False)
    whole = (tmp_path / "whole.extxyz").read_bytes()
    (tmp_path / "again.extxyz.part").write_bytes(whole[: int(keep * len(whole))])
    assert label_file(frames(), mmff94(), tmp_path / "again.extxyz", progress=False) == 20
    assert (tmp_path / "again.extxyz").read_bytes() == whole


def test_a_part_of_another_run_is_an_error(tmp_path):
    label_file(shaken_molecules(["N"], 2), mmff94(), tmp_path / "other.extxyz", progress=False)
    (tmp_path / "other.extxyz").rename(tmp_path / "mine.extxyz.part")
    with pytest.raises(DatasetError, match=r"mine.extxyz.part ends with a frame 'N/1' that is not in the input"):
        label_file(frames(), mmff94(), tmp_path / "mine.extxyz", progress=False)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "out.extxyz").write_text("precious")
    with pytest.raises(FileExistsError, match="is there already"):
        label_file(frames(), mmff94(), tmp_path / "out.extxyz", progress=False)
    assert (tmp_path / "out.extxyz").read_text() == "precious"


def test_two_frames_with_one_id_are_an_error(tmp_path):
    with pytest.raises(DatasetError, match="frame 1 has the id 'x' of an earlier frame"):
        label_file([Atoms("O", info={"id": "x"})] * 2, mmff94(), tmp_path / "out.extxyz", progress=False)


def test_no_frames_is_an_error_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="no frames to label"):
        label_file([], mmff94(), tmp_path / "out.extxyz", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_frames_that_cannot_be_labelled_are_left_out_and_reported(tmp_path, capsys):
    some = list(frames())
    some[3].positions[0] = np.inf
    assert label_file(some, mmff94(), tmp_path / "out.extxyz", progress=False) == 19
    assert "1 of 20 frames skipped" in capsys.readouterr().err


def test_a_full_disk_is_an_error_and_the_rest_follows_when_there_is_room(tmp_path, monkeypatch):
    def full_disk(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "out.extxyz"
    monkeypatch.setattr(label_files, "WRITE", 3)
    monkeypatch.setattr(label_work, "SYNC_SECONDS", -1.0)
    with monkeypatch.context() as disk, pytest.raises(OSError, match=r"No space left on device; .*make room.*part"):
        disk.setattr(os, "fsync", full_disk)
        label_file(frames(), mmff94(), path, progress=False)
    assert not path.exists()
    assert label_file(frames(), mmff94(), path, progress=False) == 20
    assert len(read_frames(path)) == 20


RUN = """
    import sys, time
    import tpainn_lite.label_files as files
    from tpainn_lite import mmff94, shaken_molecules

    def slowly(frames):
        for frame in frames:
            time.sleep({pause})
            yield frame

    files.WRITE = files.BLOCK = files.label_stream.__globals__["BLOCK"] = 2
    files.label_file(slowly(shaken_molecules({smiles!r}, 20)), mmff94(), sys.argv[1], progress=False)
"""


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_gives_the_same_file_byte_for_byte(tmp_path, kills):
    run = [sys.executable, "-c", textwrap.dedent(RUN).format(pause=0, smiles=SMILES)]
    subprocess.run([*run, tmp_path / "whole.extxyz"], check=True, timeout=120)
    slow, rng = textwrap.dedent(RUN).format(pause=0.02, smiles=SMILES), np.random.default_rng(kills)
    part = tmp_path / "killed.extxyz.part"
    for _ in range(kills):
        before = part.stat().st_size if part.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", slow, tmp_path / "killed.extxyz"])
        deadline = time.time() + 60
        while time.time() < deadline and not (part.exists() and part.stat().st_size > before):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert part.stat().st_size > 0
    subprocess.run([*run, tmp_path / "killed.extxyz"], check=True, timeout=120)
    assert (tmp_path / "killed.extxyz").read_bytes() == (tmp_path / "whole.extxyz").read_bytes()
