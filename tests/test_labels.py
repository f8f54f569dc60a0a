"""`label` loses nothing, repeats nothing, and hides nothing."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
import pytest
from ase.build import bulk
from ase.build import molecule as ase_molecule
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from conftest import lively_potential, shaken

from tpainn_lite import label_work, labels
from tpainn_lite.calculator import PotentialCalculator
from tpainn_lite.forcefields import mmff94, molecule
from tpainn_lite.labels import label, label_stream


class Counting(Calculator):
    """A harmonic toy that counts its calls and refuses what it is told to refuse."""

    implemented_properties = ("energy", "forces")
    level = "toy"

    def __init__(self, refuse=None):
        super().__init__()
        self.n_calls, self.refuse = 0, refuse

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.n_calls += 1
        if self.refuse and self.refuse(atoms):
            raise RuntimeError("no thank you")
        self.results["energy"] = 0.5 * float((atoms.positions**2).sum())
        self.results["forces"] = -atoms.positions


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
    refusing = Counting(refuse=lambda atoms: np.array_equal(atoms.positions, frames[3].positions))
    assert len(label(frames, refusing, path, progress=False)) == 5
    willing = Counting()
    assert len(label(frames, willing, path, progress=False)) == 6
    assert willing.n_calls == 1
    assert "no thank you" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [1, 5, 60, 200])
def test_a_torn_last_line_costs_one_frame_and_no_more(frames, tmp_path, cut):
    path = tmp_path / "labels.jsonl"
    whole = label(frames, Counting(), path, progress=False)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    again = label(frames, another := Counting(), path, progress=False)
    assert another.n_calls == 1
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(int(row["id"]) for row in rows) == list(range(6))
    assert [a.get_potential_energy() for a in again] == [a.get_potential_energy() for a in whole]


def test_when_the_time_is_up_what_is_labelled_is_returned_and_nothing_more_is_asked(frames, tmp_path):
    path, calculator = tmp_path / "labels.jsonl", Counting()
    assert label(frames, calculator, path, progress=False, time_limit=0) == []
    label(frames[:2], calculator, path, progress=False)
    assert len(label(frames, calculator, path, progress=False, time_limit=0, n_jobs=2)) == 2
    assert calculator.n_calls == 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_record_of_a_dear_calculator_stays_with_the_frame(frames, tmp_path, n_jobs):
    calculator, path = Counting(), tmp_path / "labels.jsonl"
    calculator.record = {"scf_cycles": 9, "seconds": 1.5}
    for _ in range(2):  # fresh, then from the journal
        for frame in label(frames, calculator, path, n_jobs, progress=False):
            assert (frame.info["scf_cycles"], frame.info["seconds"]) == (9, 1.5)


def test_labels_of_another_level_are_not_mixed_in(frames, tmp_path):
    path, other = tmp_path / "labels.jsonl", Counting()
    label(frames, Counting(), path, progress=False)
    other.level = "better toy"
    labelled = label(frames, other, path, progress=False)
    assert other.n_calls == 6
    assert {atoms.info["level"] for atoms in labelled} == {"better toy"}


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
    monkeypatch.setattr(label_work, "SYNC_SECONDS", -1.0)
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


def test_frames_that_share_an_id_are_still_told_apart(frames, tmp_path):
    for atoms in frames:
        atoms.info["id"] = "water"
    path, calculator = tmp_path / "labels.jsonl", Counting()
    first = label(frames, calculator, path, progress=False)
    again = label(frames, calculator, path, progress=False)
    assert calculator.n_calls == 6
    assert [a.get_potential_energy() for a in first] == [a.get_potential_energy() for a in again]


SLOW_RUN = """
    import time
    from ase.build import molecule
    from ase.calculators.calculator import Calculator
    from tpainn_lite.labels import label

    class Slow(Calculator):
        implemented_properties, level = ("energy", "forces"), "toy"

        def calculate(self, atoms=None, *args):
            time.sleep(0.05)
            self.results = {{"energy": 1.0, "forces": 0 * atoms.positions}}

    frames = [molecule("H2O") for k in range(40)]
    for k in range(40):
        frames[k].positions += k
    label(frames, Slow(), {path!r}, progress=False)
"""


def labels_in(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_loses_no_label_and_repeats_none(tmp_path, kills):
    path, rng = tmp_path / "labels.jsonl", np.random.default_rng(kills)
    script = textwrap.dedent(SLOW_RUN).format(path=str(path))
    for _ in range(kills):
        before = labels_in(path)
        process = subprocess.Popen([sys.executable, "-c", script])
        deadline = time.time() + 60
        while time.time() < deadline and labels_in(path) == before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert labels_in(path) > before
    kept = labels_in(path)
    assert kills <= kept < 40
    calculator = Counting()
    frames = [ase_molecule("H2O") for _ in range(40)]
    for k in range(40):
        frames[k].positions += k
    labelled = label(frames, calculator, path, progress=False)
    assert len(labelled) == 40
    assert calculator.n_calls == 40 - kept
    ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
    assert sorted(map(int, ids)) == list(range(40))
