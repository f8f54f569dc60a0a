"""From file to file: killed at any moment, the same bytes in the end."""

import errno
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from conftest import lively_potential, shaken

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.reading.frames import read_frames
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.checks import label_of
from tpainn_lite.structures.files import locked
from tpainn_lite.structures.identity import IdentityError
from tpainn_lite.teachers import journal, label_files
from tpainn_lite.teachers import label as labels
from tpainn_lite.teachers.label_files import label_file
from tpainn_lite.teachers.rdkit import mmff94, uff
from tpainn_lite.teachers.sample import shaken_molecules

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


class Ended(Exception):
    """What a test ends a run with."""


def ended_after(n, given):
    """The first frames, and then an end."""
    yield from itertools.islice(given, n)
    raise Ended


def begun(path, n, given=None, teacher=None):
    """An unfinished file, of a run that was ended after so many frames."""
    with pytest.raises(Ended):
        label_file(ended_after(n, given or frames()), teacher or mmff94(), path, progress=False)
    return Path(f"{path}.part")


@pytest.fixture
def small_steps(monkeypatch):
    """Frames are taken by two and written by three."""
    monkeypatch.setattr(label_files, "WRITE", 3)
    monkeypatch.setattr(labels, "BLOCK", 2)


@pytest.mark.parametrize("cut", [0, 1, 60, 5000])
@pytest.mark.parametrize("n", [3, 10, 19])
def test_an_interrupted_file_goes_on_to_the_same_bytes(tmp_path, small_steps, capsys, n, cut):
    label_file(frames(), mmff94(), tmp_path / "whole.extxyz", progress=False)
    part = begun(tmp_path / "again.extxyz", n)
    os.truncate(part, max(part.stat().st_size - cut, len(part.read_bytes().splitlines()[0]) + 1))
    assert label_file(frames(), mmff94(), tmp_path / "again.extxyz", progress=False) == 20
    assert (tmp_path / "again.extxyz").read_bytes() == (tmp_path / "whole.extxyz").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"whole.extxyz", "again.extxyz"}


def test_what_is_done_is_not_asked_again(tmp_path, small_steps):
    begun(tmp_path / "out.extxyz", 13)
    asked = []
    teacher = mmff94()
    evaluate = teacher.evaluate
    teacher.evaluate = lambda atoms, positions: asked.extend(positions) or evaluate(atoms, positions)
    assert label_file(frames(), teacher, tmp_path / "out.extxyz", progress=False) == 20
    assert len(asked) == 20 - 12  # the last of the 13 was taken, and another one was waited for


def changed(given, k, change):
    given = list(given)
    if change == "moved":
        given[k].positions[0, 0] += 2e-6
    elif change == "id":
        given[k].info["id"] = "another"
    elif change == "smiles":
        given[k].info["smiles"] = "OC"
    elif change == "numbers":
        given[k].numbers[-1] = 9
    elif change == "cell":
        given[k].cell = [9, 9, 9]
    elif change == "charge":
        given[k].info["charge"] = 1
    elif change == "left out":
        del given[k]
    elif change == "put in":
        given.insert(k, shaken(given[k]))
        given[k].info["id"] = "new"
    elif change == "exchanged":
        given[k], given[k + 1] = given[k + 1], given[k]
    elif change == "ended":
        given = given[: k + 1]
    return given


CHANGES = ("moved", "id", "smiles", "numbers", "cell", "charge", "left out", "put in", "exchanged", "ended")


@pytest.mark.parametrize("k", [0, 4, 7])
@pytest.mark.parametrize("change", CHANGES)
def test_other_frames_do_not_go_on_with_what_is_there(tmp_path, small_steps, change, k):
    part = begun(tmp_path / "out.extxyz", 11)
    before = part.read_bytes()
    with pytest.raises(IdentityError, match=r"out\.extxyz\.part was made from other frames \(.*\): give it the same"):
        label_file(changed(frames(), k, change), mmff94(), tmp_path / "out.extxyz", progress=False)
    assert part.read_bytes() == before
    assert label_file(frames(), mmff94(), tmp_path / "out.extxyz", progress=False) == 20


@pytest.mark.parametrize(
    "other",
    [
        lambda: shaken_molecules(SMILES, n_frames=5, seed=1),
        lambda: shaken_molecules(SMILES, n_frames=4),
        lambda: shaken_molecules(SMILES, n_frames=6),
        lambda: shaken_molecules(SMILES[::-1], n_frames=5),
        lambda: shaken_molecules(("N", *SMILES), n_frames=5),
        lambda: shaken_molecules(SMILES, n_frames=5, temperature=(300, 301)),
    ],
)
def test_another_seed_or_source_does_not_go_on_with_what_is_there(tmp_path, small_steps, other):
    begun(tmp_path / "out.extxyz", 12)
    with pytest.raises(IdentityError, match=r"out\.extxyz\.part was made from other frames"):
        label_file(other(), mmff94(), tmp_path / "out.extxyz", progress=False)


def test_the_same_frames_made_with_other_rounding_go_on(tmp_path, small_steps):
    begun(tmp_path / "out.extxyz", 12)
    given = list(frames())
    for atoms in given:
        atoms.positions += 1e-13
    assert label_file(given, mmff94(), tmp_path / "out.extxyz", progress=False) == 20


OTHER_TEACHERS = {
    "method": (mmff94, uff),
    "smiles": (mmff94, lambda: mmff94("CO")),
    "constants": (lambda: LennardJones(rc=9.0), lambda: LennardJones(rc=9.0, epsilon=9.0)),
    "weights": (lambda: PotentialCalculator(lively_potential()), lambda: PotentialCalculator(lively_potential(seed=1))),
}


@pytest.mark.parametrize("case", OTHER_TEACHERS)
def test_another_teacher_does_not_go_on_with_what_is_there(tmp_path, small_steps, case):
    one, other = OTHER_TEACHERS[case]
    part = begun(tmp_path / "out.extxyz", 11, teacher=one())
    before = part.read_bytes()
    with pytest.raises(IdentityError, match=r"out\.extxyz\.part was made with .*; asked for is .*: give it the same"):
        label_file(frames(), other(), tmp_path / "out.extxyz", progress=False)
    assert part.read_bytes() == before
    assert label_file(frames(), one(), tmp_path / "out.extxyz", progress=False) == 20


@pytest.mark.parametrize("content", ["9\nProperties=species:S:1:pos:R:3\n", "precious", '{"journal": "labels"}\n'])
def test_a_part_that_is_no_journal_of_this_version_is_refused_and_left_alone(tmp_path, content):
    part = tmp_path / "mine.extxyz.part"
    part.write_text(content)
    with pytest.raises(FileExistsError, match=r"mine\.extxyz\.part is no journal of labels of this version, .* remove"):
        label_file(frames(), mmff94(), tmp_path / "mine.extxyz", progress=False)
    assert part.read_text() == content and len(list(tmp_path.iterdir())) == 1
    part.unlink()
    assert label_file(frames(), mmff94(), tmp_path / "mine.extxyz", progress=False) == 20


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_what_is_damaged_is_labelled_anew_and_named(tmp_path, small_steps, capsys, where):
    label_file(frames(), mmff94(), tmp_path / "whole.extxyz", progress=False)
    part = begun(tmp_path / "out.extxyz", 18)
    content = bytearray(part.read_bytes())
    first = len(content.splitlines()[0]) + 1
    content[max(int(where * len(content)), first + 1)] ^= 1
    part.write_bytes(content)
    assert label_file(frames(), mmff94(), tmp_path / "out.extxyz", progress=False) == 20
    assert "damaged lines are left out, and their frames labelled anew: line" in capsys.readouterr().err
    assert (tmp_path / "out.extxyz").read_bytes() == (tmp_path / "whole.extxyz").read_bytes()


def test_a_label_that_the_frame_has_already_under_info_is_an_error(tmp_path):
    atoms = next(frames())
    atoms.info["energy"] = 1.0
    with pytest.raises(DatasetError, match="has energy in info or arrays already"):
        label_file([atoms], mmff94(), tmp_path / "out.extxyz", progress=False)


def test_frames_that_were_skipped_still_line_up(tmp_path, small_steps, capsys):
    some = list(frames())
    for k in (0, 3, 7, 8, 12):
        some[k].positions[0] = np.nan
    label_file(some, mmff94(), tmp_path / "whole.extxyz", progress=False)
    assert "5 of 20 frames skipped" in capsys.readouterr().err
    for n in (2, 8, 9, 10, 14):
        begun(tmp_path / "again.extxyz", n, some)
        assert label_file(some, mmff94(), tmp_path / "again.extxyz", progress=False) == 15
        assert "5 of 20 frames skipped" in capsys.readouterr().err
        assert (tmp_path / "again.extxyz").read_bytes() == (tmp_path / "whole.extxyz").read_bytes()
        (tmp_path / "again.extxyz").unlink()


def test_an_error_in_the_input_never_ends_in_a_finished_file(tmp_path, small_steps):
    def broken():
        yield from itertools.islice(frames(), 13)
        raise ValueError("line 1300 of the input is no number")

    begun(tmp_path / "out.extxyz", 10)
    with pytest.raises(ValueError, match="line 1300"):
        label_file(broken(), mmff94(), tmp_path / "out.extxyz", progress=False)
    assert not (tmp_path / "out.extxyz").exists()
    assert label_file(frames(), mmff94(), tmp_path / "out.extxyz", progress=False) == 20


def test_what_is_wrong_is_said_before_a_frame_is_asked_for_and_nothing_is_left(tmp_path):
    def untouched():
        pytest.fail("a frame was asked for")
        yield

    (tmp_path / "out.extxyz").write_text("precious")
    (tmp_path / "folder.extxyz").mkdir()
    targets = {"out.extxyz": FileExistsError, "folder.extxyz": ValueError, "out.extxyz/a.extxyz": OSError}
    for name, error in {**targets, "new/out.traj": ValueError}.items():
        with pytest.raises(error):
            label_file(untouched(), mmff94(), tmp_path / name, progress=False)
    for calculator, n_jobs in ((mmff94, 1), (None, 1), (mmff94(), 0)):
        with pytest.raises((TypeError, ValueError)):
            label_file(untouched(), calculator, tmp_path / "new" / "out.extxyz", n_jobs, progress=False)
    with pytest.raises(TypeError, match="frames is one"):
        label_file(Atoms("O"), mmff94(), tmp_path / "new" / "out.extxyz", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.extxyz", "out.extxyz"]


def test_an_error_before_the_first_label_leaves_nothing(tmp_path):
    def broken():
        raise ValueError("no such file")
        yield

    for given in (broken(), ["CCO"], [Atoms("OO")]):
        with pytest.raises((ValueError, TypeError)):
            label_file(given, mmff94(), tmp_path / "new" / "folder" / "out.extxyz", progress=False)
    assert not list(tmp_path.iterdir())


def test_the_second_of_two_processes_stops_at_once(tmp_path):
    path, asked = tmp_path / "out.extxyz", []
    with (
        locked(tmp_path / "out.extxyz.part"),
        pytest.raises(OSError, match=r"out\.extxyz\.part is being written by another process"),
    ):
        label_file(map(asked.append, frames()), mmff94(), path, progress=False)
    assert not asked
    assert label_file(frames(), mmff94(), path, progress=False) == 20


@pytest.mark.parametrize("name", ["out.extxyz", "out.extxyz.xz"])
@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_in_the_meantime_is_not_overwritten(tmp_path, monkeypatch, name, links):
    path = tmp_path / name

    def meanwhile():
        yield from frames()
        path.write_text("precious")

    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links here")))
    with pytest.raises(FileExistsError, match=r"was made by something else in the meantime; the labels are in"):
        label_file(meanwhile(), mmff94(), path, progress=False)
    assert path.read_text() == "precious"
    path.unlink()
    assert label_file(frames(), mmff94(), path, progress=False) == 20
    assert len(read_frames(path)) == 20 and [p.name for p in tmp_path.iterdir()] == [name]


def test_a_disk_that_is_full_while_it_packs_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "out.extxyz.xz"

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        monkeypatch.context() as disk,
        pytest.raises(OSError, match=r"No space left .*labels are in .*part: make room"),
    ):
        disk.setattr(label_files, "_text_of", full_disk)
        label_file(frames(), mmff94(), path, progress=False)
    assert not list(tmp_path.glob(".*"))
    assert label_file(frames(), mmff94(), path, progress=False) == 20


def test_forces_on_fixed_atoms_are_written_as_they_are(tmp_path):
    free, fixed = list(frames()), list(frames())
    for atoms in fixed:
        atoms.set_constraint(FixAtoms([0]))
    for name, given in (("free", free), ("fixed", fixed)):
        label_file(given, mmff94(), tmp_path / f"{name}.extxyz", progress=False)
    for a, b in zip(read_frames(tmp_path / "free.extxyz"), read_frames(tmp_path / "fixed.extxyz"), strict=True):
        np.testing.assert_array_equal(label_of(a, "forces"), label_of(b, "forces"))


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
    monkeypatch.setattr(journal, "SYNC_SECONDS", -1.0)
    with monkeypatch.context() as disk, pytest.raises(OSError, match=r"No space left on device.*out\.extxyz\.part"):
        disk.setattr(os, "fsync", full_disk)
        label_file(frames(), mmff94(), path, progress=False)
    assert not path.exists()
    assert label_file(frames(), mmff94(), path, progress=False) == 20
    assert len(read_frames(path)) == 20


RUN = """
    import sys, time
    import tpainn_lite.teachers.label_files as files
    import tpainn_lite.teachers.label as labels
    from tpainn_lite import mmff94, shaken_molecules

    def slowly(frames):
        for frame in frames:
            time.sleep({pause})
            yield frame

    files.WRITE = labels.BLOCK = 2
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
