"""Files that can be trusted: identity, whole writing, locks."""

import runpy
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from tpainn_lite.structures import files
from tpainn_lite.structures.files import check_target, locked
from tpainn_lite.structures.identity import IdentityError, check_same, fingerprint, identity
from tpainn_lite.teachers.dft import PySCFCalculator
from tpainn_lite.teachers.water import WATER, water


def labelled(energy=-1.0, **info):
    atoms = molecule("H2O")
    atoms.info.update(info)
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((3, 3)))
    return atoms


def different_frames():
    plain = labelled()
    yield plain
    yield labelled(energy=-1.0000001)
    yield labelled(level="B3LYP")
    for change in ("positions", "cell", "masses", "numbers", "constraint", "no labels"):
        atoms = labelled()
        labels = dict(atoms.calc.results)
        if change == "positions":
            atoms.positions[0, 0] += 1e-7
        elif change == "cell":
            atoms.cell, atoms.pbc = [9, 9, 9], True
        elif change == "masses":
            atoms.set_masses([16, 2, 2])
        elif change == "numbers":
            atoms.numbers[0] = 16
        elif change == "constraint":
            atoms.set_constraint(FixAtoms([0]))
        atoms.calc = None if change == "no labels" else SinglePointCalculator(atoms, **labels)
        yield atoms


def test_frames_that_differ_in_anything_have_fingerprints_of_their_own():
    prints = [fingerprint([atoms]) for atoms in different_frames()]
    assert len(set(prints)) == len(prints)
    assert fingerprint([labelled()]) == fingerprint([labelled()])


def test_calculators_differ_by_their_constants_and_not_by_what_they_were_asked():
    one, other = LennardJones(epsilon=1.0), LennardJones(epsilon=9.0)
    before = fingerprint(one)
    assert before != fingerprint(other)
    one.get_potential_energy(molecule("H2O"))
    assert fingerprint(one) == before
    longer = water({**WATER["SPC/Fw"], "r0": 1.0})
    assert fingerprint(longer) != fingerprint(water({**WATER["SPC/Fw"], "r0": 1.1}))
    assert fingerprint(water(cutoff=8.0)) != fingerprint(water())


class Tether(Calculator):
    """Keeps its argument under another name, and counts."""

    implemented_properties, strength = ("energy",), 1.0

    def __init__(self, stiffness=1.0):
        super().__init__()
        self.k, self.offset, self.n_calls, self.seen = stiffness, 0.0, 0, []

    def calculate(self, atoms=None, *args):
        self.n_calls += 1
        self.seen.append(atoms)
        self.results = {"energy": self.strength * self.k * float((atoms.positions**2).sum()) + self.offset}


def changed(calculator, name, value):
    setattr(calculator, name, value)
    return calculator


def test_constants_count_wherever_a_calculator_keeps_them_and_what_it_counts_does_not():
    others = [Tether(2.0), changed(Tether(), "offset", 1.0), changed(Tether(), "strength", 2.0)]
    prints = [fingerprint(calculator) for calculator in (Tether(), *others)]
    assert len(set(prints)) == 4
    used = Tether()
    used.get_potential_energy(molecule("H2O"))
    assert used.n_calls and fingerprint(used) == prints[0]


def test_the_levels_of_dft_differ_though_they_share_a_name():
    one, other = PySCFCalculator("qm9"), PySCFCalculator("qm9_exact")
    assert one.level == other.level and fingerprint(one) != fingerprint(other)
    assert fingerprint(SumCalculator([one])) != fingerprint(SumCalculator([other]))
    assert fingerprint(PySCFCalculator("qm9", n_threads=4)) == fingerprint(one)


def spring(stiffness):
    class Spring:
        def __init__(self, r0=1.0):
            self.r0 = r0

        def energy(self, d):
            return stiffness * (d - self.r0) ** 2

    return Spring()


def test_code_of_ones_own_counts():
    assert fingerprint(spring(1.0)) == fingerprint(spring(1.0)) != fingerprint(spring(2.0))
    k = 3
    assert fingerprint(lambda x: k * x) != fingerprint(lambda x: k + x)
    assert fingerprint(partial(max, 1)) != fingerprint(partial(max, 2))


def scaled(factor):
    return lambda frames, seed: factor * seed


def test_what_a_function_has_closed_over_counts():
    assert fingerprint(scaled(2)) == fingerprint(scaled(2)) != fingerprint(scaled(3))


def test_a_fingerprint_is_the_same_in_another_process():
    code = "from ase.build import molecule; from tpainn_lite.structures.identity import identity\n"
    code += "print(identity(frames=[molecule('CH4')], rates={'b': 1, 'a': 2.0}, kept={'x', 'y'}))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in "123"
    }
    assert len(said) == 1


def test_what_a_script_makes_stays_the_same_where_its_folder_moves(tmp_path):
    code = "from pathlib import Path\nDATA = Path(__file__).parent / 'data'\ndef make():\n    return DATA.name"
    functions = []
    for place, name in (("here", "data"), ("there", "data"), ("here", "others")):
        (tmp_path / place).mkdir(exist_ok=True)
        script = tmp_path / place / "script.py"
        script.write_text(code.replace("'data'", repr(name)))
        functions.append(runpy.run_path(str(script))["make"])
    first, moved, other = map(fingerprint, functions)
    assert first == moved != other


def test_numbers_of_any_type_mean_the_same():
    assert identity(a=1) == identity(a=1.0) == identity(a=np.int64(1)) != identity(a=True)


def test_what_differs_is_named():
    kept = identity(frames=[labelled(level="MMFF94")] * 12, steps=10)
    asked = identity(frames=[labelled(level="B3LYP")] * 12, steps=10)
    with pytest.raises(IdentityError, match=r"ck/ was made with frames: 12 frames at level MMFF94 .*B3LYP.*: name"):
        check_same(kept, asked, "the checkpoint in ck/", "name another folder")
    check_same(kept, dict(kept), "the checkpoint in ck/", "name another folder")
    with pytest.raises(IdentityError, match="no record of what made it"):
        check_same(None, asked, "the checkpoint in ck/", "name another folder")


def test_a_target_that_would_destroy_something_is_refused(tmp_path):
    kept = tmp_path / "notes.txt"
    kept.write_text("mine")
    (tmp_path / "link").symlink_to(kept)
    for target, sources in ((kept, ()), (tmp_path, ()), (tmp_path / "link", [kept]), (kept, [kept])):
        with pytest.raises((ValueError, FileExistsError)):
            check_target(target, sources)
    with pytest.raises(ValueError, match=r"ends in \.traj"):
        check_target(tmp_path / "a.xyz", suffixes=(".traj",))
    with pytest.raises(NotADirectoryError, match="is no folder"):
        check_target(kept / "inside.txt")
    check_target(kept, is_ours=lambda path: path.read_text() == "mine")
    check_target(tmp_path / "new" / "folder" / "a.txt")
    assert kept.read_text() == "mine" and {p.name for p in tmp_path.iterdir()} == {"notes.txt", "link"}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    monkeypatch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_locked_file_is_written_by_one_at_a_time(tmp_path):
    path, inside, most = tmp_path / "rows.json", [], []

    def write():
        with locked(path, wait=10):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=write) for _ in range(8)]
    with locked(path):
        code = f"from tpainn_lite.structures.files import locked\nwith locked({str(path)!r}): pass"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode and "is being written by another process" in done.stderr
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8 and not list(tmp_path.iterdir())
