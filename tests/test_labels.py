"""`label` loses nothing, repeats nothing, and hides nothing."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from contextlib import suppress
from typing import ClassVar

import numpy as np
import psutil
import pytest
from ase.build import bulk
from ase.build import molecule as ase_molecule
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from conftest import lively_potential, shaken

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.build import molecule
from tpainn_lite.structures.checks import label_of
from tpainn_lite.structures.files import locked, orderly_end
from tpainn_lite.structures.identity import IdentityError
from tpainn_lite.teachers import computing as label_work
from tpainn_lite.teachers import journal
from tpainn_lite.teachers import label as labels
from tpainn_lite.teachers.dft import PySCFCalculator
from tpainn_lite.teachers.journal import LabelJournal
from tpainn_lite.teachers.label import label, label_stream
from tpainn_lite.teachers.rdkit import mmff94, uff
from tpainn_lite.teachers.water import WATER, water


class Counting(Calculator):
    """A harmonic toy that counts its calls, and refuses what ``refuse`` says."""

    implemented_properties = ("energy", "forces")
    level = "toy"

    def __init__(self, stiffness=1.0):
        super().__init__()
        self.stiffness, self.n_calls, self.refuse = stiffness, 0, None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.n_calls += 1
        if self.refuse and self.refuse(atoms):
            raise RuntimeError("no thank you")
        self.results["energy"] = 0.5 * self.stiffness * float((atoms.positions**2).sum())
        self.results["forces"] = -self.stiffness * atoms.positions


@pytest.fixture
def frames():
    return [shaken(ase_molecule("H2O"), seed) for seed in range(6)]


def test_label_attaches_what_the_calculator_says_and_leaves_the_frames_alone(frames):
    labelled = label(frames, Counting(), progress=False)
    for before, after in zip(frames, labelled, strict=True):
        assert before.calc is None
        np.testing.assert_array_equal(after.positions, before.positions)
        np.testing.assert_array_equal(after.get_forces(), -before.positions)
        assert after.info["level"] == "toy"
        assert type(after.calc).__name__ == "SinglePointCalculator"


def test_a_bar_counts_the_frames_of_a_stream_while_they_are_made(frames, capsys):
    label((atoms for atoms in frames), EMT())
    shown = capsys.readouterr().err
    assert f"make frames: {len(frames)} frames" in shown and "label with EMT" in shown
    label(frames, EMT())
    assert "make frames" not in capsys.readouterr().err
    label((atoms for atoms in frames), EMT(), progress=False)
    assert not capsys.readouterr().err


def test_labelled_frames_share_nothing_with_each_other_or_with_what_was_given():
    box = ase_molecule("H2O", cell=[5, 5, 5], pbc=True)
    box.info["mine"] = [1, 2]
    frames = [box, box.copy()]
    one, two = label(frames, Counting(), progress=False)
    one.positions += 1
    one.set_cell([9, 9, 9])
    one.pbc = False
    one.info["mine"].append(3)
    one.numbers[0] = 7
    one.set_celldisp([1, 1, 1])
    for atoms in (*frames, two):
        assert np.array_equal(atoms.positions, ase_molecule("H2O").positions) and atoms.numbers[0] == 8
        assert atoms.cell[0, 0] == 5 and atoms.pbc.all() and atoms.info["mine"] == [1, 2]
        assert not np.any(atoms.get_celldisp())
    assert two.get_potential_energy() == Counting().get_potential_energy(box.copy())


def test_a_label_does_not_outlive_its_geometry(frames):
    (atoms,) = label(frames[:1], Counting(), progress=False)
    assert atoms.copy().calc is None
    atoms.positions[0, 0] += 0.1
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_potential_energy()


def test_constraints_stay_with_the_frame(frames):
    frames[0].set_constraint(FixAtoms([0]))
    (atoms,) = label(frames[:1], Counting(), progress=False)
    assert len(atoms.constraints) == 1 and atoms.constraints[0] is not frames[0].constraints[0]


def test_label_asks_once_per_frame(frames):
    calculator = Counting()
    label(frames, calculator, progress=False)
    assert calculator.n_calls == len(frames)


def test_periodic_frames_get_stress_where_the_calculator_has_it():
    copper = bulk("Cu", a=3.7)
    slab = copper.copy()
    slab.pbc = (True, True, False)
    periodic, open_ = label([copper, slab], EMT(), progress=False)
    assert periodic.calc.results["stress"].shape == (6,)
    assert "stress" not in open_.calc.results
    (without,) = label([copper], Counting(), progress=False)
    assert "stress" not in without.calc.results


def test_two_processes_give_what_one_gives_in_the_same_order():
    molecules = [shaken(molecule(s), k, by=0.02) for k, s in enumerate(["O", "C", "CO", "N", "CF"])]
    one, two = (label(molecules, mmff94(), n_jobs=n, progress=False) for n in (1, 2))
    assert [a.info["smiles"] for a in two] == ["O", "C", "CO", "N", "CF"]
    for a, b in zip(one, two, strict=True):
        assert a.get_potential_energy() == pytest.approx(b.get_potential_energy(), abs=1e-12)
        np.testing.assert_allclose(a.get_forces(), b.get_forces(), atol=1e-12)


def test_a_potential_can_label_in_two_processes(frames):
    calculator = PotentialCalculator(lively_potential())
    labelled = label(frames, calculator, n_jobs=2, progress=False)
    energies, _ = calculator.potential.predict(frames)
    np.testing.assert_allclose([atoms.get_potential_energy() for atoms in labelled], energies, atol=1e-9)


def test_many_shapes_at_once_get_the_labels_that_each_gets_alone():
    molecules = [shaken(molecule(s), k, by=0.05) for s in ("CCO", "C", "CCO") for k in range(4)]
    together = label(molecules, mmff94(), progress=False)
    for atoms, alone in zip(together, molecules, strict=True):
        assert atoms.get_potential_energy() == pytest.approx(mmff94().get_potential_energy(alone), abs=1e-10)
        np.testing.assert_allclose(atoms.get_forces(), mmff94().get_forces(alone), atol=1e-10)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_broken_shape_among_many_is_skipped_with_its_reason(capsys, n_jobs):
    molecules = [shaken(molecule("CCO"), k) for k in range(6)]
    molecules[2].positions[0] = np.nan
    molecules[4].positions[1] = molecules[4].positions[0]
    labelled = label(molecules, mmff94(), n_jobs=n_jobs, progress=False)
    assert [np.allclose(a.positions, molecules[k].positions) for a, k in zip(labelled, (0, 1, 3, 5), strict=True)]
    assert "2 of 6 frames skipped" in (said := capsys.readouterr().err)
    assert "frame 2: ValueError: structure: the position of atom 0 is not a finite number" in said


# --- streams ---


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_stream_gives_what_a_list_gives_and_takes_what_it_needs_when_it_needs_it(monkeypatch, capsys, n_jobs):
    monkeypatch.setattr(labels, "BLOCK", 4)
    molecules = [molecule(s) for s in ("O", "C", "[H][H]", "CO", "N", "CF", "CC", "CN", "C=O")]
    taken = []
    stream = label_stream((taken.append(m) or m for m in molecules), mmff94(), n_jobs, progress=False)
    first = next(stream)
    assert len(taken) == 4
    streamed = [first, *stream]
    whole = label(molecules, mmff94(), progress=False)
    assert [a.info["smiles"] for a in streamed] == [a.info["smiles"] for a in whole]
    assert [a.get_potential_energy() for a in streamed] == [a.get_potential_energy() for a in whole]
    assert capsys.readouterr().err.count("MMFF94: 1 of 9 frames skipped") == 2


def test_a_stream_of_which_nothing_can_be_labelled_ends_with_the_first_reason():
    with pytest.raises(ValueError, match=r"could label none of the 2 frames; the first \(frame 0\): ForceFieldError"):
        list(label_stream([molecule("[H][H]")] * 2, mmff94(), progress=False))


# --- a cluster ---


def test_the_same_call_runs_on_a_dask_cluster_when_one_is_active(frames):
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            labelled = label(frames, Counting(), n_jobs=2, progress=False)
            assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_log), "Dask did the work"
    np.testing.assert_array_equal(labelled[5].get_forces(), -frames[5].positions)


# --- errors ---


def test_no_frames_is_an_error():
    with pytest.raises(ValueError, match=r"no frames to label: a list of at least one ase\.Atoms is expected"):
        label([], Counting())


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_molecule_the_teacher_cannot_type_is_skipped_and_reported(capsys, n_jobs):
    molecules = [molecule("O"), molecule("[H][H]"), molecule("C"), molecule("N")]
    labelled = label(molecules, mmff94(), n_jobs=n_jobs, progress=False)
    assert [atoms.info["smiles"] for atoms in labelled] == ["O", "C", "N"]
    said = capsys.readouterr().err
    assert "MMFF94: 1 of 4 frames skipped" in said
    assert "frame 1: ForceFieldError: MMFF94 has no parameters for" in said


def test_if_nothing_can_be_labelled_that_is_an_error_with_the_first_reason():
    with pytest.raises(ValueError, match=r"could label none of the 2 frames; the first \(frame 0\): ForceFieldError"):
        label([molecule("[H][H]"), molecule("[H][H]")], mmff94(), progress=False)


def test_a_broken_structure_is_skipped_and_reported(frames, capsys):
    frames[2].positions[0] = np.nan
    frames[4].positions[1] = frames[4].positions[0]
    assert len(label(frames, Counting(), progress=False)) == 4
    assert "2 of 6 frames skipped" in capsys.readouterr().err


def test_a_label_that_is_no_number_is_not_kept(frames, capsys):
    class Broken(Counting):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            if self.n_calls == 2:
                self.results["energy"] = float("nan")

    assert len(label(frames, Broken(), progress=False)) == 5
    assert "the calculator returned a number that is not finite" in capsys.readouterr().err


# --- the journal ---


def test_a_finished_journal_is_read_and_nothing_is_asked_again(frames, tmp_path):
    path, calculator = tmp_path / "sub" / "labels.jsonl", Counting()
    first = label(frames, calculator, path, progress=False)
    again = label(frames, calculator, path, progress=False)
    assert calculator.n_calls == 6
    for a, b in zip(first, again, strict=True):
        assert a.get_potential_energy() == b.get_potential_energy()
        np.testing.assert_array_equal(a.get_forces(), b.get_forces())


def test_frames_that_failed_are_tried_again_and_only_they(frames, tmp_path, capsys):
    path = tmp_path / "labels.jsonl"
    calculator, bad = Counting(), frames[3].positions.copy()
    bad[0] = np.nan
    broken = frames[3].copy()
    broken.positions = bad
    assert len(label([*frames[:3], broken, *frames[4:]], calculator, path, progress=False)) == 5
    assert len(label(frames, calculator, path, progress=False)) == 6
    assert calculator.n_calls == 6
    assert "position of atom 0 is not a finite number" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [1, 5, 60, 200])
def test_a_torn_last_line_costs_one_frame_and_no_more(frames, tmp_path, capsys, cut):
    path = tmp_path / "labels.jsonl"
    whole = label(frames, Counting(), path, progress=False)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    again = label(frames, another := Counting(), path, progress=False)
    assert another.n_calls == 1
    assert "their frames labelled anew: line 7 (half written)" in capsys.readouterr().err
    rows = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert sorted(int(row["id"]) for row in rows) == list(range(6))
    assert [a.get_potential_energy() for a in again] == [a.get_potential_energy() for a in whole]


def test_when_the_time_is_up_what_is_labelled_is_returned_and_nothing_more_is_asked(frames, tmp_path):
    path, calculator = tmp_path / "labels.jsonl", Counting()
    assert label(frames, calculator, path, progress=False, time_limit=0) == []
    label(frames[:2], calculator, path, progress=False)
    assert len(label(frames, calculator, path, progress=False, time_limit=0, n_jobs=2)) == 2
    assert calculator.n_calls == 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_record_of_an_expensive_calculator_stays_with_the_frame(frames, tmp_path, n_jobs):
    calculator, path = Counting(), tmp_path / "labels.jsonl"
    calculator.record = {"scf_cycles": 9, "seconds": 1.5}
    for _ in range(2):  # fresh, then from the journal
        for frame in label(frames, calculator, path, n_jobs, progress=False):
            assert (frame.info["scf_cycles"], frame.info["seconds"]) == (9, 1.5)


def levelled(name):
    calculator = Counting()
    calculator.level = name
    return calculator


def with_pad(**constants):
    return LennardJones(rc=8.0, **constants)


OTHER_TEACHERS = {
    "level": (Counting, lambda: levelled("better toy")),
    "own constant": (Counting, lambda: Counting(stiffness=2.0)),
    "constant of ase": (with_pad, lambda: with_pad(epsilon=9.0)),
    "class": (mmff94, uff),
    "smiles": (mmff94, lambda: mmff94("O")),
    "levels of DFT that share a name": (lambda: PySCFCalculator("qm9"), lambda: PySCFCalculator("qm9_exact")),
    "water": (lambda: water({**WATER["SPC/Fw"], "r0": 1.0}), lambda: water({**WATER["SPC/Fw"], "r0": 1.1})),
    "weights": (lambda: PotentialCalculator(lively_potential()), lambda: PotentialCalculator(lively_potential(seed=1))),
}


@pytest.mark.parametrize("case", OTHER_TEACHERS)
def test_a_journal_of_another_teacher_or_of_other_constants_is_refused_and_left_alone(tmp_path, case):
    path, (one, other) = tmp_path / "labels.jsonl", OTHER_TEACHERS[case]
    frames = [shaken(molecule("O"), seed, by=0.02) for seed in range(3)]
    with LabelJournal(path, one()) as journal:
        journal.append(0, frames[0], {"energy": 1.0, "forces": np.zeros((3, 3))})
    before = path.read_bytes()
    with pytest.raises(IdentityError, match=r"labels.jsonl was made with .*; asked for is .*: name another file, or"):
        label(frames, other(), path, progress=False)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["labels.jsonl"]
    assert len(label(frames, one(), path, progress=False, time_limit=0)) == 1


def test_what_differs_is_named(frames, tmp_path):
    label(frames, with_pad(), tmp_path / "labels.jsonl", progress=False)
    with pytest.raises(
        IdentityError, match=r"made with epsilon of the teacher: 1, .*asked for is epsilon of the teacher: 9"
    ):
        label(frames, with_pad(epsilon=9.0), tmp_path / "labels.jsonl", progress=False)


def test_a_journal_grows_with_other_frames_of_the_same_teacher(frames, tmp_path):
    path, calculator = tmp_path / "labels.jsonl", Counting()
    label(frames[:4], calculator, path, progress=False)
    assert len(label(frames, calculator, path, progress=False)) == 6
    assert calculator.n_calls == 6


@pytest.mark.parametrize(
    "change", [{"smiles": "[OH2]"}, {"charge": 1}, {"masses": [16, 2, 2]}, {"initial_magmoms": [1, 0, 0]}]
)
def test_what_a_teacher_may_look_at_is_part_of_a_frame(frames, tmp_path, change):
    path, calculator = tmp_path / "labels.jsonl", Counting()
    label(frames[:1], calculator, path, progress=False)
    for name, value in change.items():
        if name in ("smiles", "charge"):
            frames[0].info[name] = value
        else:
            frames[0].set_array(name, np.array(value, dtype=float))
    for _ in range(2):
        label(frames[:1], calculator, path, progress=False)
    assert labels_in(path) == 2


def test_a_journal_of_an_earlier_version_is_refused_with_what_to_do(frames, tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"journal": "labels", "made_from": {"teacher": "toy"}}) + "\n")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"is no journal of labels of this version, .*: name another file, or"):
        label(frames, Counting(), path, progress=False)
    assert path.read_bytes() == before


NO_JOURNALS = (
    b"first\nmy last line",
    b"{}",
    b"[1, 2]\n",
    b'{"a": 1}\n',
    b"\xff\xfe",
    b"3\nwater\nO 0 0 0\n",
    b"null\n",
    b"[" * 9999,
)


@pytest.mark.parametrize("content", NO_JOURNALS)
def test_a_file_that_is_no_journal_is_refused_and_left_byte_for_byte(frames, tmp_path, content):
    path, calculator = tmp_path / "notes.txt", Counting()
    path.write_bytes(content)
    for limit in (None, 0):
        with pytest.raises(FileExistsError, match=r"notes\.txt is "):
            label(frames, calculator, path, progress=False, time_limit=limit)
    assert path.read_bytes() == content and calculator.n_calls == 0


def test_a_folder_a_pipe_or_a_device_is_no_journal(frames, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/null"):
        with pytest.raises((ValueError, OSError)):
            label(frames, Counting(), path, progress=False)


def without(row, key):
    return {name: value for name, value in row.items() if name != key}


DAMAGE = {
    "not JSON": lambda row: "{broken",
    "half": lambda row: json.dumps(row)[:-9],
    "nan": lambda row: {**row, "energy": float("nan")},
    "infinite force": lambda row: {**row, "forces": [[float("inf"), 0, 0], *row["forces"][1:]]},
    "too few forces": lambda row: {**row, "forces": row["forces"][:2]},
    "flat forces": lambda row: {**row, "forces": [0.0] * 9},
    "ragged forces": lambda row: {**row, "forces": [[0], [0, 0], [0]]},
    "text": lambda row: {**row, "energy": "-1.0"},
    "text in forces": lambda row: {**row, "forces": [["1", "2", "3"]] * 3},
    "true": lambda row: {**row, "energy": True},
    "no energy": lambda row: without(row, "energy"),
    "no numbers": lambda row: without(row, "numbers"),
    "other count": lambda row: {**row, "numbers": row["numbers"] * 2},
    "short stress": lambda row: {**row, "stress": [0.0] * 5},
    "record": lambda row: {**row, "record": [1]},
    "list": lambda row: [1, 2],
    "deep": lambda row: "[" * 100_000,
    "empty": lambda row: "",
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_line_costs_its_own_label_alone_and_is_named(frames, tmp_path, capsys, case):
    path, calculator = tmp_path / "labels.jsonl", Counting()
    whole = label(frames, calculator, path, progress=False)
    lines = path.read_text().splitlines()
    damaged = DAMAGE[case](json.loads(lines[3]))
    lines[3] = damaged if isinstance(damaged, str) else json.dumps(damaged)
    path.write_text("\n".join(lines) + "\n")
    again = label(frames, calculator, path, progress=False)
    assert calculator.n_calls == 7
    assert "damaged lines are left out, and their frames labelled anew: line 4\n" in capsys.readouterr().err
    for a, b in zip(whole, again, strict=True):
        assert a.get_potential_energy() == b.get_potential_energy()
        np.testing.assert_array_equal(a.get_forces(), b.get_forces())


def test_two_processes_do_not_write_one_journal(frames, tmp_path):
    path, calculator = tmp_path / "labels.jsonl", Counting()
    label(frames[:2], calculator, path, progress=False)
    with locked(path):
        with pytest.raises(OSError, match=r"labels\.jsonl is being written by another process"):
            label(frames, calculator, path, progress=False)
        assert len(label(frames, calculator, path, progress=False, time_limit=0)) == 2, "looking is allowed"
    assert calculator.n_calls == 2
    assert len(label(frames, calculator, path, progress=False)) == 6


def test_nothing_is_left_where_nothing_was_labelled(frames, tmp_path):
    for atoms in frames:
        atoms.positions[:] = np.nan
    with pytest.raises(ValueError, match="could label none"):
        label(frames, Counting(), tmp_path / "new" / "labels.jsonl", progress=False)
    assert not list(tmp_path.iterdir())


def test_a_record_of_numpy_numbers_is_kept(frames, tmp_path):
    calculator, path = Counting(), tmp_path / "labels.jsonl"
    calculator.record = {"cycles": np.int64(9), "gap": np.float32(0.5), "charges": np.zeros(3)}
    label(frames, calculator, path, progress=False)
    (again,) = label(frames[:1], calculator, path, progress=False, time_limit=0)
    assert again.info["cycles"] == 9 and again.info["charges"] == [0, 0, 0]


def test_a_frame_that_moved_is_labelled_anew(frames, tmp_path):
    path, calculator = tmp_path / "labels.jsonl", Counting()
    label(frames, calculator, path, progress=False)
    frames[1].positions[0, 0] += 1e-5  # a finite difference
    labelled = label(frames, calculator, path, progress=False)
    assert calculator.n_calls == 7
    np.testing.assert_array_equal(labelled[1].get_forces(), -frames[1].positions)


def test_the_same_places_with_other_atoms_or_another_cell_are_labelled_anew(frames, tmp_path):
    path, calculator = tmp_path / "labels.jsonl", Counting()
    label(frames, calculator, path, progress=False)
    frames[0].numbers = [9, 1, 1]
    frames[1].set_cell([9, 9, 9])
    frames[1].pbc = True
    label(frames, calculator, path, progress=False)
    assert calculator.n_calls == 8


def test_frames_are_recognised_by_their_id_in_any_order(frames, tmp_path):
    for k, atoms in enumerate(frames):
        atoms.info["id"] = f"water/{k}"
    path, calculator = tmp_path / "labels.jsonl", Counting()
    label(frames, calculator, path, progress=False)
    labelled = label(frames[::-1], calculator, path, progress=False)
    assert calculator.n_calls == 6
    assert [atoms.info["id"] for atoms in labelled] == [f"water/{k}" for k in range(5, -1, -1)]


def test_a_full_disk_is_an_error_that_names_the_journal_and_nothing_is_lost(frames, tmp_path, monkeypatch):
    path, calculator = tmp_path / "labels.jsonl", Counting()

    def full_disk(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    label(frames[:2], calculator, path, progress=False)
    monkeypatch.setattr(journal, "SYNC_SECONDS", -1.0)
    with monkeypatch.context() as disk, pytest.raises(OSError, match=r"No space left on device; .*call again.*jsonl"):
        disk.setattr(os, "fsync", full_disk)
        label(frames, calculator, path, progress=False)
    assert calculator.n_calls == 3
    assert len(label(frames, calculator, path, progress=False)) == 6
    assert calculator.n_calls == 6


def test_a_journal_that_cannot_be_written_is_an_error_before_anything_is_asked(frames, tmp_path):
    (tmp_path / "file").write_text("")
    calculator = Counting()
    with pytest.raises(OSError, match="file"):
        label(frames, calculator, tmp_path / "file" / "labels.jsonl", progress=False)
    assert calculator.n_calls == 0


def test_frames_that_share_an_id_are_still_kept_apart(frames, tmp_path):
    for atoms in frames:
        atoms.info["id"] = "water"
    path, calculator = tmp_path / "labels.jsonl", Counting()
    first = label(frames, calculator, path, progress=False)
    again = label(frames, calculator, path, progress=False)
    assert calculator.n_calls == 6
    assert [a.get_potential_energy() for a in first] == [a.get_potential_energy() for a in again]


SLOW_RUN = """
    import os, sys, time
    from ase.build import molecule
    from ase.calculators.calculator import Calculator
    from tpainn_lite.teachers.label import label

    class Slow(Calculator):
        implemented_properties, level = ("energy", "forces"), "toy"

        def calculate(self, atoms=None, *args):
            time.sleep(float(os.environ["PAUSE"]))
            self.results = {"energy": 1.0, "forces": 0 * atoms.positions}

    frames = [molecule("H2O") for k in range(40)]
    for k in range(40):
        frames[k].positions += k
    label(frames, Slow(), sys.argv[1], int(sys.argv[2]), progress=False)
"""


def slow_run(path, n_jobs):
    return [sys.executable, "-c", textwrap.dedent(SLOW_RUN), str(path), str(n_jobs)]


def pausing(seconds):
    return {**os.environ, "PAUSE": str(seconds)}


def labels_in(path):
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_loses_no_label_and_repeats_none(tmp_path, kills):
    path, rng = tmp_path / "labels.jsonl", np.random.default_rng(kills)
    run = slow_run(path, n_jobs=1)
    for _ in range(kills):
        before = labels_in(path)
        process = subprocess.Popen(run, env=pausing(0.05))
        wait_for(lambda: labels_in(path) > before)  # noqa: B023
        time.sleep(rng.uniform(0, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert labels_in(path) > before
    kept = labels_in(path)
    assert kills <= kept < 40
    subprocess.run(run, env=pausing(0), check=True, timeout=120)
    ids = [json.loads(line)["id"] for line in path.read_text().splitlines()[1:]]
    assert sorted(map(int, ids)) == list(range(40))


def wait_for(condition, seconds=60):
    deadline = time.time() + seconds
    while time.time() < deadline and not condition():
        time.sleep(0.02)
    assert condition()


# --- processes ---


def left_of(started):
    """Processes of these that are still there."""
    return [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def shared_memory_of(pid):
    """What a process and those that worked for it have there; joblib puts its number into the names."""
    names = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    return [name for name in names if str(pid) in re.split("[-_]", name)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_it_ends_no_process_and_no_shared_memory_stays(tmp_path, number):
    path = tmp_path / "labels.jsonl"
    run = slow_run(path, n_jobs=2)
    process = subprocess.Popen(run, env=pausing(0.2), stderr=subprocess.DEVNULL)
    wait_for(lambda: labels_in(path) >= 3)
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 2 and shared_memory_of(process.pid)
    os.kill(process.pid, number)
    assert process.wait(timeout=30) == (-9 if number == signal.SIGKILL else 128 + number)
    wait_for(lambda: not left_of(started), 30)
    wait_for(lambda: not shared_memory_of(process.pid), 10)
    kept = labels_in(path)
    assert kept >= 3 and (number == signal.SIGKILL or [p.name for p in tmp_path.iterdir()] == ["labels.jsonl"])
    subprocess.run(run, env=pausing(0), check=True, timeout=120)
    assert labels_in(path) == 40


def test_after_an_ordinary_end_nothing_stays(tmp_path):
    process, started = subprocess.Popen(slow_run(tmp_path / "labels.jsonl", 2), env=pausing(0.05)), set()
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            started |= set(psutil.Process(process.pid).children(recursive=True))
        time.sleep(0.05)
    assert process.returncode == 0 and len(started) >= 2
    wait_for(lambda: not left_of(started), 10)
    assert not shared_memory_of(process.pid)


def test_an_ignored_signal_stays_ignored_and_the_handlers_of_others_stay():
    ours = lambda *_: None  # noqa: E731
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGTERM, ours)
    try:
        with orderly_end():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN and signal.getsignal(signal.SIGTERM) is ours
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(SystemExit), orderly_end():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGTERM, before[1])


class Evaluating(Counting):
    """Takes many shapes at once, slowly."""

    def evaluate(self, atoms, positions):
        time.sleep(0.02 * len(positions))
        return 0.5 * (positions**2).sum(axis=(1, 2)), -positions


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_labels_are_kept_within_seconds_of_being_made(tmp_path, n_jobs):
    path, seen = tmp_path / "labels.jsonl", []
    frames = [shaken(ase_molecule("H2O"), seed) for seed in range(200)]
    done = threading.Event()

    def watch():
        while not done.wait(0.05):
            seen.append(labels_in(path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    label(frames, Evaluating(), path, n_jobs, progress=False)  # 4 s of work
    done.set()
    watcher.join()
    assert len(set(seen)) >= 4, "they came in several portions"


def test_a_chunk_that_takes_longer_than_thought_is_cut_short(monkeypatch):
    monkeypatch.setattr(label_work, "LONGEST_SECONDS", 0.02)
    frames = [shaken(ase_molecule("H2O"), seed) for seed in range(5)]
    calculator = Counting()
    calculator.refuse = lambda _: time.sleep(0.015)
    _, results, left = label_work._timed(list(enumerate(frames)), calculator)
    assert 0 < len(results) < 5 and left == list(range(len(results), 5))


# --- what is no frame, no calculator, no number ---


@pytest.mark.parametrize("function", [label, label_stream])
def test_what_is_no_list_of_frames_is_refused(frames, function):
    with pytest.raises(TypeError, match=r"frames is one ase\.Atoms \(OH2\); a list of ase\.Atoms is expected"):
        function(frames[0], Counting(), progress=False)
    with pytest.raises(TypeError, match=r"frames is 'water\.xyz'; a list of ase\.Atoms is expected"):
        function("water.xyz", Counting(), progress=False)
    with pytest.raises(TypeError, match=r"frames is None"):
        function(None, Counting(), progress=False)
    with pytest.raises(TypeError, match=r"frame 2 is 'CCO'; an ase\.Atoms is expected"):
        list(function([*frames[:2], "CCO"], Counting(), progress=False))


@pytest.mark.parametrize(
    ("calculator", "named"),
    [
        (LennardJones, "the class LennardJones"),
        (mmff94, "the function mmff94"),
        ("mmff94", "'mmff94'"),
        (None, "None"),
        (3, "int"),
        (ase_molecule("H2O"), "Atoms"),
        (lively_potential(), f"{Potential.__name__}; an ASE calculator is expected, as PotentialCalculator"),
    ],
)
def test_what_is_no_calculator_is_refused_and_named(frames, calculator, named):
    for function in (label, label_stream):
        with pytest.raises(TypeError, match=f"the calculator is {named}"):
            function(frames, calculator, progress=False)


@pytest.mark.parametrize("n_jobs", [0, 1.5, "2", None, True, float("nan"), 10**6])
def test_a_number_of_processes_that_is_none_is_refused(frames, n_jobs):
    for function in (label, label_stream):
        with pytest.raises(ValueError, match="n_jobs is .*; a whole number of processes from 1 to 1024"):
            function(frames, Counting(), n_jobs=n_jobs, progress=False)


@pytest.mark.parametrize("time_limit", [-1, float("nan"), "1", -np.inf])
def test_a_time_limit_that_is_none_is_refused(frames, time_limit):
    with pytest.raises(ValueError, match="time_limit is .*; a finite number of at least 0 .*is expected"):
        label(frames, Counting(), time_limit=time_limit, progress=False)
    assert len(label(frames, Counting(), time_limit=np.inf, progress=False)) == 6


class Misshapen(Counting):
    """Answers what its ``answer`` says."""

    answer: ClassVar = {}

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results |= self.answer


@pytest.mark.parametrize(
    "answer",
    [
        {"forces": np.zeros((2, 3))},
        {"forces": np.zeros(9)},
        {"forces": np.zeros((3, 1))},
        {"forces": 0.0},
        {"forces": [["a"] * 3] * 3},
        {"forces": np.full((3, 3), np.inf)},
        {"energy": np.zeros(3)},
        {"energy": None},
        {"energy": 1j},
        {"stress": np.zeros(5)},
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_labels_of_another_shape_are_no_labels(answer):
    box = ase_molecule("H2O", cell=[5, 5, 5], pbc=True)
    calculator = Misshapen()
    calculator.answer, calculator.implemented_properties = answer, ("energy", "forces", "stress")
    with pytest.raises(ValueError, match="could label none of the 1 frames"):
        label([box], calculator, progress=False)


@pytest.mark.parametrize(
    "answer", [(1.0, -1.0), (np.zeros(6), np.zeros((6, 3))), (np.zeros((6, 1)), np.zeros((6, 3, 3)))]
)
def test_many_labels_of_another_shape_are_not_stretched(frames, answer):
    calculator = Counting()
    calculator.evaluate = lambda atoms, positions: answer
    with pytest.raises(ValueError, match="could label none of the 6 frames; .* of shape .* is expected"):
        label(frames, calculator, progress=False)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_fixed_atoms_change_no_label(frames, tmp_path, n_jobs):
    free = label(frames, Counting(), n_jobs=n_jobs, progress=False)
    for atoms in frames:
        atoms.set_constraint(FixAtoms([0, 1]))
    for _ in range(2):  # fresh, then from the journal
        fixed = label(frames, Counting(), tmp_path / "labels.jsonl", n_jobs, progress=False)
        for a, b in zip(free, fixed, strict=True):
            np.testing.assert_array_equal(label_of(a, "forces"), label_of(b, "forces"))
            assert len(b.constraints) == 1


def test_a_calculator_that_no_other_process_can_take_is_named(frames):
    calculator = Counting()
    calculator.lock = threading.Lock()
    with pytest.raises(TypeError, match="Counting cannot be handed to other processes .*: n_jobs=1 is expected"):
        label(frames, calculator, n_jobs=2, progress=False)
