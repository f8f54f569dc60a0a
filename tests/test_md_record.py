"""A run on disk goes on as if nothing had happened, is never mixed with another one, and destroys nothing."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import ase.io.ulm
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator
from ase.io import Trajectory, read
from conftest import lively_potential
from test_md import EinsteinCrystal, Springs, gas

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.committee import Committee
from tpainn_lite.simulate.md import run_md
from tpainn_lite.structures.files import locked
from tpainn_lite.structures.identity import IdentityError

QUIET = {"progress": False, "n_steps": 12, "every": 3, "seed": 4}


def run(path, atoms=None, calculator=None, **settings):
    atoms = ase_molecule("H2O") if atoms is None else atoms
    return run_md(atoms, calculator or Springs(atoms), path=path, **{**QUIET, **settings})


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.traj"


# --- going on ---


@pytest.mark.parametrize("ensemble", ["nvt", "nvt-nh", "nve", "npt"])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path, path, ensemble):
    class Tired(EinsteinCrystal):
        calls = 0

        def calculate(self, *args, **kwargs):
            Tired.calls += 1
            if Tired.calls == 30:
                raise KeyboardInterrupt
            super().calculate(*args, **kwargs)

    settings = {"ensemble": ensemble, "n_steps": 60, "every": 5, "stop_when_broken": False}
    start, tired = gas(8, 8.0), Tired()
    whole = run(tmp_path / "whole.traj", start, EinsteinCrystal(), **settings)
    with pytest.raises(KeyboardInterrupt):
        run(path, start, tired, **settings)
    again = run(path, start, tired, **settings)
    assert again.time == whole.time
    np.testing.assert_array_equal(again.frames[-1].positions, whole.frames[-1].positions)
    np.testing.assert_array_equal(again.frames[-1].cell.array, whole.frames[-1].cell.array)
    assert again.total_energy == whole.total_energy
    assert len(read(path, index=":")) == len(whole.frames) == 13


DYING = {"replace": os, "fsync": os, "writeint": ase.io.ulm}  # the functions through which a run reaches the disk


def killed(path, moment, after):
    """A process that runs MD and is gone, without a chance to tidy up, at the so many-th touch of the disk."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    touched = 0

    def dying(function):
        def touch(*args, **kwargs):
            nonlocal touched
            touched += 1
            if touched == moment and not after:
                os._exit(9)
            done = function(*args, **kwargs)
            if touched == moment:
                if hasattr(args[0], "flush"):
                    args[0].flush()
                os._exit(9)
            return done

        return touch

    for name, module in DYING.items():
        setattr(module, name, dying(getattr(module, name)))
    try:
        run(path, n_steps=6)
    finally:
        os._exit(0)


def test_a_run_that_is_killed_at_any_moment_goes_on_to_the_same_file(tmp_path):
    whole = run(tmp_path / "whole.traj", n_steps=6)
    expected, moments = (tmp_path / "whole.traj").read_bytes(), 0
    for moment in range(1, 200):
        for after in (False, True):
            folder = tmp_path / f"{moment} {after}"
            folder.mkdir()
            ended = killed(folder / "run.traj", moment, after)
            again = run(folder / "run.traj", n_steps=6)
            assert again.total_energy == whole.total_energy and again.time == whole.time
            assert (folder / "run.traj").read_bytes() == expected
            left = {name for name in contents(folder) if ".state.npz." not in name}  # a state that was being written
            assert left - {".run.traj.lock"} == {"run.traj", "run.state.npz"}
        moments = moment
        if ended == 0:
            break
    assert 15 < moments < 199, "every moment was tried"


def test_more_steps_go_on_and_give_what_one_call_gives(path, tmp_path):
    run(path)
    longer, whole = run(path, n_steps=24), run(tmp_path / "whole.traj", n_steps=24)
    assert longer.time == whole.time and longer.total_energy == whole.total_energy
    assert path.read_bytes() == (tmp_path / "whole.traj").read_bytes()


def test_the_same_call_again_computes_nothing_and_writes_nothing(path, tmp_path):
    class Counting(Springs):
        calls = 0

        def calculate(self, *args, **kwargs):
            self.calls += 1
            super().calculate(*args, **kwargs)

    calculator = Counting(ase_molecule("H2O"))
    first, before = run(path, None, calculator), contents(tmp_path)
    calculator.reset()
    asked = calculator.calls
    again = run(path, None, calculator)
    assert calculator.calls == asked
    assert again.total_energy == first.total_energy and again.stopped is None
    assert [frame.info["time"] for frame in again.frames] == first.time
    assert contents(tmp_path) == before


def test_fewer_steps_than_there_are_is_an_error_that_says_how_many_there_are(path):
    run(path)
    with pytest.raises(IdentityError, match="holds 12 steps, and n_steps is 6: ask for 12 or more"):
        run(path, n_steps=6)


# --- a run that was stopped ---


def breaking(path, **settings):
    water = ase_molecule("H2O")
    return run(path, water, Springs(water, 0.01, pull=0.5), **{"n_steps": 300, "every": 1, **settings})


def exploding(path, **settings):
    water, violent = ase_molecule("H2O"), {"ensemble": "nve", "timestep": 4.0, "n_steps": 300, "every": 1}
    return run(path, water, Springs(water, 30.0), stop_when_broken=False, **{**violent, **settings})


def giving_up(path, **settings):
    class GivesUp(Springs):
        n_calls = 0

        def calculate(self, *args, **kwargs):
            self.n_calls += 1
            if self.n_calls > 8:
                raise ValueError("this cannot be computed")
            super().calculate(*args, **kwargs)

    return run(path, None, GivesUp(ase_molecule("H2O")), **settings)


@pytest.mark.parametrize("stopped", [breaking, exploding, giving_up])
def test_a_run_that_a_guard_ended_stays_ended(stopped, path):
    first = stopped(path)
    assert first.stopped
    content = path.read_bytes()
    for more in ({}, {}, {"n_steps": 3000}):
        again = stopped(path, **more)
        assert again.stopped == first.stopped and again.time == first.time
        assert path.read_bytes() == content
    assert len(read(path, ":")) == len(first.frames)


def test_a_committee_that_stopped_a_run_keeps_it_stopped(path):
    members = [lively_potential(seed=k) for k in range(2)]
    doubtful = {"max_disagreement": 1e-6, "stop_when_broken": False}
    first = run(path, None, Committee(members).calculator(), **doubtful)
    again = run(path, None, Committee(members).calculator(), n_steps=30, **doubtful)
    assert "disagrees by" in first.stopped == again.stopped and len(again.frames) == 2


# --- identity ---


OTHER = {
    "ensemble": "nve", "temperature": 310.0, "pressure": 2.0, "friction": 20.0, "timestep": 0.25, "every": 6, "seed": 5,
    "stop_when_broken": False,
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_another_setting_is_noticed_and_named(path, tmp_path, name):
    run(path)
    before = contents(tmp_path)
    with pytest.raises(IdentityError, match=f"{name.replace('_', ' ')}: .*name another file, or remove"):
        run(path, **{name: OTHER[name]})
    assert contents(tmp_path) == before


def test_another_start_is_noticed(path):
    run(path)
    moved = ase_molecule("H2O")
    moved.positions[0, 0] += 1e-4
    for start in (moved, ase_molecule("CH4")):
        with pytest.raises(IdentityError, match="start: "):
            run(path, start, Springs(ase_molecule("H2O")))


def calculators():
    one, other = lively_potential(seed=0), lively_potential(seed=1)
    yield PotentialCalculator(one), PotentialCalculator(other)
    yield LennardJones(epsilon=1.0), LennardJones(epsilon=2.0)
    yield Committee([one, one]).calculator(), Committee([one, other]).calculator()
    mixed = [SumCalculator([PotentialCalculator(one), LennardJones(epsilon=e)]) for e in (0.01, 0.02)]
    yield tuple(mixed)


@pytest.mark.parametrize(("one", "other"), list(calculators()), ids=lambda calculator: type(calculator).__name__)
def test_other_weights_or_constants_are_noticed_and_the_same_ones_go_on(path, one, other):
    settings = {"timestep": 0.01, "stop_when_broken": False}
    run(path, None, one, **settings)
    with pytest.raises(IdentityError, match="calculator: "):
        run(path, None, other, **settings)
    assert run(path, None, one, **settings, n_steps=24).time[-1] == pytest.approx(0.24)


def test_what_the_start_was_asked_before_makes_no_other_run(path):
    water = ase_molecule("H2O")
    run(path, water, Springs(ase_molecule("H2O")))
    water.calc = LennardJones()
    water.get_forces()
    run(path, water, Springs(ase_molecule("H2O")))


# --- nothing is destroyed ---


@pytest.mark.parametrize("name", ["notes.txt", "weights.safetensors", "start.extxyz", "run", "run.traj.gz"])
def test_a_name_that_is_no_trajectory_is_refused_and_what_is_there_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=r"ends in \.traj is expected"):
        run(tmp_path / name)
    assert contents(tmp_path) == {name: b"mine"}


def test_the_trajectory_of_another_program_is_refused(path, tmp_path):
    with Trajectory(str(path), "w") as theirs:
        theirs.write(ase_molecule("H2O"))
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=r"is there already, and no run\.state\.npz with it"):
        run(path)
    assert contents(tmp_path) == before


def test_a_run_whose_state_is_gone_is_not_written_over(path):
    run(path)
    path.with_suffix(".state.npz").unlink()
    content = path.read_bytes()
    with pytest.raises(FileExistsError, match="is there already"):
        run(path)
    assert path.read_bytes() == content


def test_a_run_whose_frames_are_gone_is_not_started_anew(path):
    run(path)
    path.unlink()
    with pytest.raises(IdentityError, match=r"its frames in run\.traj are gone"):
        run(path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 not a zip file"])
def test_a_foreign_file_in_the_place_of_the_state_is_refused(path, tmp_path, content):
    (tmp_path / "run.state.npz").write_bytes(content)
    with pytest.raises(FileExistsError, match="is no state of a run"):
        run(path)
    assert contents(tmp_path) == {"run.state.npz": content}


def test_arrays_of_somebody_else_in_the_place_of_the_state_are_refused(path, tmp_path):
    np.savez(tmp_path / "run.state.npz", step=3, positions=np.zeros((3, 3)))
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="is no state of a run"):
        run(path)
    assert contents(tmp_path) == before


def test_a_state_of_an_older_version_is_an_error_with_advice(path):
    run(path)
    state = path.with_suffix(".state.npz")
    with np.load(state) as kept:
        values = {name: kept[name] for name in kept.files if name not in ("made_from", "size", "head", "chain")}
    np.savez(state, **values)
    with pytest.raises(IdentityError, match="has no record of what made it: name another file"):
        run(path)


@pytest.mark.parametrize("damage", ["cut", "empty", "byte", "other run"])
def test_a_damaged_trajectory_is_an_error_and_left_as_it_is(path, tmp_path, damage):
    run(path)
    content = path.read_bytes()
    if damage == "other run":
        run(tmp_path / "other.traj", seed=9)
        path.write_bytes((tmp_path / "other.traj").read_bytes())
    else:
        place = content.index(read(path, 1).positions.tobytes())
        flipped = content[:place] + b"\x00\x01" + content[place + 2 :]
        path.write_bytes({"cut": content[:-700], "empty": b"", "byte": flipped}[damage])
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="is damaged, or holds other frames"):
        run(path, n_steps=24)
    assert contents(tmp_path) == before


def test_folders_and_pipes_are_refused_at_once(tmp_path):
    (tmp_path / "folder.traj").mkdir()
    os.mkfifo(tmp_path / "pipe.traj")
    for name in ("folder.traj", "pipe.traj"):
        with pytest.raises((ValueError, OSError), match="folder|is there already"):
            run(tmp_path / name)
    with pytest.raises((ValueError, OSError), match=r"expected|nothing can be written"):
        run("/dev/null")
    with pytest.raises(TypeError, match="path is a int"):
        run(3)


def test_missing_folders_are_made_and_only_for_a_run_that_can_begin(tmp_path):
    class Incapable(Springs):
        def calculate(self, *_args, **_settings):
            raise ValueError("not this molecule")

    with pytest.raises(ValueError, match="not this molecule"):
        run(tmp_path / "a" / "run.traj", None, Incapable(ase_molecule("H2O")))
    with pytest.raises(ValueError, match="temperature"):
        run(tmp_path / "a" / "run.traj", temperature=-1)
    assert not (tmp_path / "a").exists()
    run(tmp_path / "a" / "b" / "run.traj")
    assert sorted(contents(tmp_path / "a" / "b")) == ["run.state.npz", "run.traj"]


def test_a_place_that_cannot_be_written_is_an_error_before_the_run(tmp_path):
    (tmp_path / "file").write_text("no folder")

    class Unused(Springs):
        def calculate(self, *_args, **_settings):
            raise AssertionError("work before the trial write")

    with pytest.raises(OSError, match="is no folder"):
        run(tmp_path / "file" / "run.traj", None, Unused(ase_molecule("H2O")))


def test_two_runs_at_once_on_one_file_are_an_error_for_the_second(path):
    run(path)
    waiting, go_on = threading.Event(), threading.Event()

    def hold():
        with locked(path):
            waiting.set()
            go_on.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert waiting.wait(20)
    try:
        with pytest.raises(OSError, match="is being written by another process"):
            run(path, n_steps=24)
    finally:
        go_on.set()
        holder.join()
    assert len(run(path, n_steps=24).frames) == 9


SCRIPT = """
from ase.build import molecule
from ase.calculators.lj import LennardJones
from tpainn_lite.simulate.md import run_md
water = molecule("H2O")
water.set_cell([9, 9, 9])
lj = LennardJones(sigma=0.5, epsilon=0.001)
run_md(water, lj, path="run.traj", n_steps=N, every=2, progress=False, timestep=0.05, stop_when_broken=False)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_run_that_goes_on(tmp_path):
    for seconds in (0.1, 0.4):
        script = SCRIPT.replace("N", "100000")
        child = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
        while not (tmp_path / "run.state.npz").exists() and child.poll() is None:
            time.sleep(0.02)
        time.sleep(seconds)
        child.kill()
        child.wait()
    with np.load(tmp_path / "run.state.npz") as kept:
        n_steps = int(kept["step"]) + 20
    for folder in (tmp_path, tmp_path / "whole"):
        Path(folder).mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-c", SCRIPT.replace("N", str(n_steps))], cwd=folder, check=True)
    assert (tmp_path / "run.traj").read_bytes() == (tmp_path / "whole" / "run.traj").read_bytes()


def test_one_atom_can_be_kept(path):
    lone = Atoms("Ar")
    run(path, lone, Springs(lone))
    assert len(run(path, lone, Springs(lone), n_steps=24).frames) == 9
