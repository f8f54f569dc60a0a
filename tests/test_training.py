"""Training: it fits, it keeps the best, it goes on after an interruption as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from conftest import SMALL, lively_potential, small_water_box

from tpainn_lite.model.calculator import PotentialCalculator
from tpainn_lite.model.errors import errors
from tpainn_lite.model.potential import Potential
from tpainn_lite.reading.frames import write_frames
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.identity import IdentityError
from tpainn_lite.teachers.label import label
from tpainn_lite.train import training
from tpainn_lite.train.data import TrainingData, batches
from tpainn_lite.train.devices import OneDevice, devices_of
from tpainn_lite.train.optimiser import LARGEST_SLOPE, AveragedAdamW
from tpainn_lite.train.parts import groups_of
from tpainn_lite.train.settings import Settings
from tpainn_lite.train.training import CheckpointError, TrainingDiverged, fit, learning_rate_factor
from tpainn_lite.train.transfer import new_potential

QUICK = {"steps": 30, "check_every": 10, "batch_size": 4, "progress": False, "accelerator": "cpu"}


class Stopped(Exception):
    """Thrown by a test to interrupt a run."""


def stop_after(n_checks, error=Stopped):
    def watch(history):
        if len(history) == n_checks:
            raise error

    return watch


def weights(potential):
    return torch.cat([p.detach().flatten() for p in potential.parameters()])


@pytest.fixture
def fresh(methane_frames):
    """A function that makes the same untrained potential every time."""
    return lambda: new_potential(methane_frames, **SMALL)


# --- it fits ---


def test_training_overfits_five_frames(methane_frames):
    five = methane_frames[:5]
    potential = new_potential(five, **SMALL)
    before = errors(potential, five)
    fit(potential, five, steps=500, batch_size=5, learning_rate=1e-2, check_every=500, progress=False)
    after = errors(potential, five)
    assert before["force_mae"] > 300
    assert after["force_mae"] < 0.1 * before["force_mae"]
    assert after["energy_mae"] < 5


def test_history_tells_the_errors_on_valid_in_mev(fresh, methane_frames):
    potential, valid = fresh(), methane_frames[6:]
    history = fit(potential, methane_frames[:6], valid, **QUICK)
    assert [row["step"] for row in history] == [10, 20, 30]
    assert set(history[-1]) == {"step", "seconds", "train_loss", "energy_mae", "force_mae"}
    best = min(history, key=lambda row: row["force_mae"])
    result = errors(potential, valid)
    assert result["force_mae"] == pytest.approx(best["force_mae"], rel=1e-4)
    assert result["energy_mae"] == pytest.approx(best["energy_mae"], rel=1e-3)


def test_without_valid_there_are_no_errors_in_the_history(fresh, methane_frames):
    history = fit(fresh(), methane_frames, **QUICK)
    assert set(history[0]) == {"step", "seconds", "train_loss"}


def test_the_best_checked_weights_are_kept_not_the_last(fresh, methane_frames):
    potential, valid = fresh(), [atoms.copy() for atoms in methane_frames[6:]]
    for atoms, energy, forces in zip(valid, *potential.predict(valid), strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)  # what it knew before it learned
    settings = {**QUICK, "learning_rate": 0.02, "ema_decay": 0.0}
    by_step = [row["force_mae"] for row in fit(potential, methane_frames[:6], valid, **settings)]
    assert by_step[0] < 0.9 * by_step[-1], "this run should get worse and worse"
    assert errors(potential, valid)["force_mae"] == pytest.approx(by_step[0], rel=1e-4)


def test_same_seed_same_weights_other_seed_other_weights(fresh, methane_frames):
    trained = []
    for seed in (1, 1, 2):
        potential = fresh()
        fit(potential, methane_frames, seed=seed, **QUICK)
        trained.append(weights(potential))
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])


def test_training_does_not_disturb_the_random_numbers_of_others(fresh, methane_frames):
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    fit(fresh(), methane_frames, **QUICK)
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.rand(3) == expected[1]).all()


def test_training_leaves_frames_scale_and_reference_energies_alone(fresh, methane_frames):
    potential = fresh()
    scale, atomref = potential.scale.clone(), potential.atomref.clone()
    before = [atoms.get_forces().copy() for atoms in methane_frames]
    fit(potential, methane_frames, **QUICK)
    assert torch.equal(potential.scale, scale)
    assert torch.equal(potential.atomref.nan_to_num(), atomref.nan_to_num())
    assert potential.scale.dtype == potential.atomref.dtype == torch.float64
    assert not potential.training
    assert all((a.get_forces() == f).all() for a, f in zip(methane_frames, before, strict=True))


def test_a_float64_potential_can_be_trained(methane_frames):
    potential = new_potential(methane_frames, **SMALL)
    potential.painn.double()
    fit(potential, methane_frames, methane_frames, **QUICK)
    assert potential.dtype == torch.float64


def test_boxes_slabs_and_lone_atoms_can_be_trained_on_whatever_else_their_labels_hold(methane_frames):
    box = small_water_box()
    for atoms in (box, lone := Atoms("O")):
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((len(atoms), 3)))
    box.calc.results["stress"] = np.zeros(6)
    slab = box.copy()
    slab.pbc = (True, True, False)
    slab.calc = SinglePointCalculator(slab, energy=-1.0, forces=np.zeros((6, 3)))
    for frames in ([box, slab, box], [slab, box], [lone, *methane_frames[:2]], [lone, lone]):
        potential = new_potential(frames, **SMALL)
        history = fit(potential, frames, frames, **QUICK)
        assert np.isfinite(history[-1]["force_mae"])


def test_every_frame_is_used_equally_often():
    used = np.concatenate(batches([5] * 10, 4, None, epoch=0, n_steps=5, seed=0))
    assert (np.bincount(used, minlength=10) == 2).all()
    assert [len(batch) for batch in batches([5] * 3, 32, None, 0, 2, seed=0)] == [3, 3]
    assert batches([5] * 10, 4, None, 0, 5, seed=0) != batches([5] * 10, 4, None, 1, 5, seed=0)


def test_batches_can_be_filled_up_to_a_number_of_atoms():
    sizes = [3, 30, 5, 12, 3, 8, 21, 9]
    filled = batches(sizes, 4, 40, epoch=0, n_steps=50, seed=0)
    atoms = [sum(sizes[i] for i in batch) for batch in filled]
    assert all(40 <= n < 40 + 30 for n in atoms)
    counts = np.bincount(np.concatenate(filled), minlength=8)
    assert counts.max() - counts.min() <= 1


def test_batches_by_atoms_train_too(fresh, methane_frames):
    history = fit(fresh(), methane_frames, batch_atoms=12, **QUICK)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_without_averaging_the_last_weights_are_kept_as_they_are(fresh, methane_frames):
    plain, averaged = fresh(), fresh()
    last = fit(plain, methane_frames, methane_frames, ema_decay=0.0, **QUICK)
    fit(averaged, methane_frames, methane_frames, ema_decay=0.99, **QUICK)
    assert not torch.equal(weights(plain), weights(averaged))
    assert last[-1]["train_loss"] < last[0]["train_loss"]


def test_the_slope_of_the_loss_is_right(methane_frames):
    """Against a finite difference in one weight; forces are in the loss, so this is a second derivative."""
    potential, settings = lively_potential(), Settings(steps=1, batch_size=3)
    data = TrainingData(methane_frames[:3], None, [], settings, potential.cutoff, potential.dtype)
    data.subtract_references(potential)
    run = training._Run(potential, data, OneDevice("cpu"), None, None)
    (graph,) = data.batches(run.engine.joined(data.graphs), 0, 1)
    for name, parameter in potential.named_parameters():
        potential.zero_grad()
        run.loss(graph, potential(graph, differentiable=True)).backward()
        if name == "painn.readout.2.bias":
            continue  # a constant per atom; checked by the energy errors
        place = int(parameter.grad.abs().argmax())
        slope, losses = parameter.grad.flatten()[place].item(), []
        for push in (1e-6, -2e-6):
            parameter.data.view(-1)[place] += push
            losses.append(run.loss(graph, potential(graph)).item())
        parameter.data.view(-1)[place] += 1e-6
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-6), name


# --- stress ---


def boxes(n=6, seed=0):
    """Small boxes of water with labels of a lively potential, stress included."""
    teacher, frames = PotentialCalculator(lively_potential(seed=5)), []
    for k in range(n):
        box = small_water_box()
        box.set_cell(box.cell.array * (1 + 0.02 * k), scale_atoms=True)
        box.positions += np.random.default_rng(seed + k).normal(scale=0.03, size=box.positions.shape)
        frames.append(box)
    return label(frames, teacher, progress=False)


def test_stress_is_learnt_where_every_frame_has_one():
    train = boxes()
    potential = new_potential(train, **SMALL)
    settings = QUICK | {"steps": 200, "check_every": 100}
    with_stress = fit(potential, train, train, learning_rate=5e-3, stress_weight=1.0, **settings)
    without = fit(new_potential(train, **SMALL), train, train, learning_rate=5e-3, stress_weight=0.0, **settings)
    assert "stress_mae" in with_stress[-1] and "stress_mae" not in without[-1]
    assert with_stress[-1]["stress_mae"] < 0.7 * with_stress[0]["stress_mae"]
    assert "stress_mae" in fit(new_potential(train, **SMALL), train, train, **QUICK)[-1], "by default, too"


def test_stress_that_is_asked_for_and_missing_is_an_error(methane_frames, fresh):
    with pytest.raises(DatasetError, match=r"frame 0 \(CH4\) has no stress"):
        fit(fresh(), methane_frames, stress_weight=0.1, **QUICK)


@pytest.mark.parametrize("missing", ["energy", "forces", "stress"])
def test_where_some_frames_lack_a_label_the_loss_uses_what_is_there(missing):
    """A label that is not there neither changes the loss nor counts as one that is zero."""
    whole, partly = boxes()[:2], boxes()[:2]
    whole[0].calc.results["energy"] += 5.0
    del partly[0].calc.results[missing]
    potential, losses = lively_potential(), []
    for frames in (whole, partly, whole[1:]):
        data = TrainingData(frames, None, [], Settings(steps=1, batch_size=2), potential.cutoff, potential.dtype)
        data.subtract_references(potential)
        data.loss_weights = tuple(float(label == missing) for label in ("energy", "forces", "stress"))
        run = training._Run(potential, data, OneDevice("cpu"), None, None)
        (graph,) = data.batches(run.engine.joined(data.graphs), 0, 1)
        losses.append(run.loss(graph, potential(graph)).item())
    assert losses[1] == pytest.approx(losses[2], rel=1e-6) and losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_isolated_atoms_are_not_trained_on_and_decide_where_the_composition_cannot():
    """Pure water has two H for each O, always: what an atom counts is known from single atoms alone."""
    lone = [Atoms("H", info={"config_type": "IsolatedAtom"}), Atoms("O")]
    for atoms, energy in zip(lone, (-13.0, -2040.0), strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
    water = boxes()
    for atoms in water:
        atoms.calc.results["energy"] = -2070.0 * (atoms.numbers == 8).sum()
    data = TrainingData(lone + water, None, [], Settings(steps=1), 4.0)
    assert len(data.graphs) == len(water) and data.isolated == {1: -13.0, 8: -2040.0}
    atomref = new_potential(lone + water, **SMALL).atomref
    assert -30 < atomref[1] < -13 and atomref[8] == pytest.approx(-2040, abs=10)
    assert 2 * atomref[1] + atomref[8] == pytest.approx(-2070, abs=1)


# --- energies alone, and parts of the network ---


def test_energies_alone_can_be_learnt_from_frames_without_forces(methane_frames):
    bare = []
    for atoms in methane_frames:
        bare.append(atoms.copy())
        bare[-1].calc = SinglePointCalculator(bare[-1], energy=atoms.get_potential_energy())
    potential = new_potential(methane_frames, **SMALL)
    history = fit(potential, bare, bare, force_weight=0.0, energy_weight=1.0, **QUICK | {"steps": 100})
    assert set(history[-1]) == {"step", "seconds", "train_loss", "energy_mae"}
    assert history[-1]["energy_mae"] < 0.7 * history[0]["energy_mae"]
    with pytest.raises(DatasetError, match="has no forces"):
        fit(potential, bare, **QUICK)


def test_parts_with_a_rate_of_zero_stay_and_slow_parts_move_less(fresh, methane_frames):
    potential, start = fresh(), fresh()
    fit(potential, methane_frames, rates={"embedding": 0, "interactions": 0.01}, weight_decay=0.0, **QUICK)
    moved = {
        name: (new - old).abs().max().item()
        for (name, new), old in zip(potential.painn.named_parameters(), start.painn.parameters(), strict=True)
    }
    assert moved["embedding.weight"] == 0
    assert 0 < moved["interactions.0.phi.0.weight"] < 0.1 * moved["mixings.0.a.0.weight"]
    assert all(p.requires_grad for p in potential.parameters())


def test_the_parts_of_the_network_are_all_of_it(fresh):
    potential = fresh()
    parts = training.parts_of(potential)
    assert list(parts) == ["embedding", "interactions.0", "mixings.0", "interactions.1", "mixings.1", "readout"]
    assert sum(parts.values()) == sum(p.numel() for p in potential.parameters())


def test_a_part_that_is_not_there_or_nothing_left_to_train_is_an_error(fresh, methane_frames):
    with pytest.raises(ValueError, match=r"'embeding' is no part of the network; there are \['embedding', "):
        fit(fresh(), methane_frames, rates={"embeding": 0}, **QUICK)
    everything = dict.fromkeys(("embedding", "interactions", "mixings", "readout"), 0)
    with pytest.raises(ValueError, match="nothing is left to train"):
        fit(fresh(), methane_frames, rates=everything, **QUICK)


# --- stopping early, and the log ---


def test_patience_ends_a_run_that_no_longer_improves(fresh, methane_frames):
    settings = QUICK | {"steps": 400, "check_every": 5, "learning_rate": 0.3}  # far too high: errors jump about
    history = fit(fresh(), methane_frames[:3], methane_frames[6:], patience=3, **settings)
    best = min(range(len(history)), key=lambda k: history[k]["force_mae"])
    assert len(history) < 80
    assert len(history) - 1 - best == 3


def test_the_history_is_kept_as_a_table_beside_the_checkpoint(fresh, methane_frames, tmp_path):
    history = fit(fresh(), methane_frames, methane_frames, checkpoint=tmp_path, **QUICK)
    head, *rows = (tmp_path / "history.csv").read_text().splitlines()
    assert head.split(",") == ["step", "seconds", "train_loss", "energy_mae", "force_mae"]
    assert [float(row.split(",")[4]) for row in rows] == pytest.approx([row["force_mae"] for row in history])


# --- several processes ---


def test_two_processes_learn_what_one_does(methane_frames, tmp_path):
    write_frames(tmp_path / "train.extxyz", methane_frames)
    losses = {}
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        command = f"-m tpainn_lite.cli pretrain {tmp_path}/train.extxyz {folder}/weights.safetensors --steps 20 "
        command += f"--batch-size 4 --check-every 5 --features 16 --interactions 2 --checkpoint {folder} "
        command += f"--accelerator cpu --devices {devices}"
        done = subprocess.run([sys.executable, *command.split()], capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr[-2000:]
        rows = (folder / "history.csv").read_text().splitlines()[1:]
        losses[devices] = [float(row.split(",")[2]) for row in rows]
    assert len(losses[1]) == 4
    np.testing.assert_allclose(losses[2], losses[1], rtol=1e-4)
    one, two = (Potential.load(tmp_path / str(n) / "weights.safetensors") for n in (1, 2))
    np.testing.assert_allclose(one.predict(methane_frames)[0], two.predict(methane_frames)[0], atol=1e-3)


def test_more_processes_than_frames_in_a_batch_are_an_error(fresh, methane_frames):
    with pytest.raises(ValueError, match="2 devices share a batch of 1"):
        fit(fresh(), methane_frames, **(QUICK | {"batch_size": 1}), devices=2)


def test_watch_sees_the_history_grow_and_is_never_copied(fresh, methane_frames):
    class Plot:
        seen = ()

        def update(self, history):
            self.seen = [row["step"] for row in history]

        def __deepcopy__(self, memo):
            raise AssertionError("a live plot cannot be copied")

    plot = Plot()
    fit(fresh(), methane_frames, watch=plot.update, **QUICK)
    assert plot.seen == [10, 20, 30]


def test_the_progress_bar_counts_to_the_end(fresh, methane_frames, capsys):
    fit(fresh(), methane_frames, **{**QUICK, "progress": True})
    assert "30/30" in capsys.readouterr().err


def test_nothing_is_written_where_the_program_runs(fresh, methane_frames, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(fresh(), methane_frames, methane_frames, **QUICK)
    assert list(tmp_path.iterdir()) == []


# --- interruptions ---


@pytest.mark.parametrize("with_valid", [False, True])
@pytest.mark.parametrize("stop_at", [1, 2])
def test_a_resumed_run_ends_like_an_uninterrupted_one(fresh, methane_frames, tmp_path, with_valid, stop_at):
    train, valid = methane_frames[:6], methane_frames[6:] if with_valid else None
    uninterrupted = fresh()
    fit(uninterrupted, train, valid, **QUICK)
    with pytest.raises(Stopped):
        fit(fresh(), train, valid, checkpoint=tmp_path, watch=stop_after(stop_at), **QUICK)
    resumed = fresh()
    history = fit(resumed, train, valid, checkpoint=tmp_path, **QUICK)
    assert [row["step"] for row in history] == [10, 20, 30]
    assert torch.equal(weights(resumed), weights(uninterrupted))


def test_a_run_killed_at_any_moment_ends_with_the_same_bits(methane_frames, tmp_path):
    write_frames(tmp_path / "train.extxyz", methane_frames)
    command = f"-m tpainn_lite.cli pretrain {tmp_path}/train.extxyz {{out}}/weights.safetensors --steps 120 "
    command += "--batch-size 4 --check-every 5 --features 16 --interactions 2 --checkpoint {out} --accelerator cpu"

    def run(name):
        words = [sys.executable, *command.format(out=tmp_path / name).split()]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    whole, killed = run("whole"), run("killed")
    table = tmp_path / "killed" / "history.csv"
    deadline = time.time() + 120
    while time.time() < deadline and not (table.exists() and len(table.read_text().splitlines()) > 3):
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert len(table.read_text().splitlines()) < 25, "it was killed before its end"
    assert not (tmp_path / "killed" / "weights.safetensors").exists()
    again = run("killed")
    for process in (whole, again):
        out, _ = process.communicate(timeout=200)
        assert process.returncode == 0, out.decode()[-2000:]
    one, two = (Potential.load(tmp_path / name / "weights.safetensors") for name in ("whole", "killed"))
    assert torch.equal(weights(one), weights(two))


@pytest.mark.parametrize("with_valid", [False, True])
def test_a_finished_run_called_again_gives_the_same_weights(fresh, methane_frames, tmp_path, with_valid):
    valid = methane_frames[6:] if with_valid else None
    first, again = fresh(), fresh()
    fit(first, methane_frames[:6], valid, checkpoint=tmp_path, **QUICK)
    history = fit(again, methane_frames[:6], valid, checkpoint=tmp_path, **QUICK)
    assert [row["step"] for row in history] == [10, 20, 30]
    assert torch.equal(weights(first), weights(again))


def test_a_checkpoint_changes_nothing(fresh, methane_frames, tmp_path):
    plain, kept = fresh(), fresh()
    fit(plain, methane_frames, **QUICK)
    fit(kept, methane_frames, checkpoint=tmp_path, **QUICK)
    assert torch.equal(weights(plain), weights(kept))


def test_the_stop_button_stops_the_training_and_nothing_else(fresh, methane_frames):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(fresh(), methane_frames, watch=stop_after(2, KeyboardInterrupt), **QUICK)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_no_number_raises_and_leaves_finite_weights(methane_frames):
    potential = lively_potential(torch.float32)
    with pytest.raises(TrainingDiverged, match=r"the loss is (inf|nan) at step \d+, in a batch of the frames \[\d+, "):
        fit(potential, methane_frames, **QUICK | {"learning_rate": 1e12 / 2})
    assert torch.isfinite(weights(potential)).all()
    assert np.isfinite(potential.predict(methane_frames)[0]).all()


def other_labels(frames):
    for atoms in (changed := [atoms.copy() for atoms in frames]):
        atoms.info["level"] = "B3LYP"
    for atoms, same in zip(changed, frames, strict=True):
        atoms.calc = SinglePointCalculator(atoms, **same.calc.results | {"energy": same.get_potential_energy() + 0.1})
    return changed


CHANGES = {
    "seed": {"seed": 1},
    "learning rate": {"learning_rate": 2e-3},
    "weights of the loss": {"energy_weight": 0.5},
    "frozen part": {"rates": {"embedding": 0}},
    "batch size": {"batch_size": 3},
    "steps between checks": {"check_every": 15},
    "averaging": {"ema_decay": 0.5},
    "validation": {"valid": "some"},
    "replay": {"replay": "some"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_of_other_settings_is_refused_and_stays(fresh, methane_frames, tmp_path, change):
    train, changes = methane_frames[:6], dict(CHANGES[change])
    fit(fresh(), train, checkpoint=tmp_path, **QUICK)
    before = (tmp_path / "last.ckpt").read_bytes()
    changes |= {name: methane_frames[6:] for name, value in changes.items() if value == "some"}
    with pytest.raises(IdentityError, match="the checkpoint in .* was made with .*: name another folder, or remove"):
        fit(fresh(), train, checkpoint=tmp_path, **{**QUICK, **changes})
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_a_checkpoint_of_other_frames_or_another_start_is_refused(fresh, methane_frames, tmp_path):
    fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK)
    for train in (methane_frames[:-1], other_labels(methane_frames)):
        with pytest.raises(IdentityError, match=r"train: 10 frames at level .* asked for is train: "):
            fit(fresh(), train, checkpoint=tmp_path, **QUICK)
    for change, named in (
        ({"seed": 7}, "start: "),
        ({"n_features": 24}, "n features: 16.* asked for is n features: 24"),
    ):
        start = new_potential(methane_frames, **{**SMALL, **change})
        with pytest.raises(IdentityError, match=named):
            fit(start, methane_frames, checkpoint=tmp_path, **QUICK)


def test_the_potential_that_a_run_left_behind_may_be_given_again(fresh, methane_frames, tmp_path):
    potential, whole = fresh(), fresh()
    with pytest.raises(KeyboardInterrupt):
        fit(potential, methane_frames, checkpoint=tmp_path, watch=stop_after(2, KeyboardInterrupt), **QUICK)
    fit(potential, methane_frames, checkpoint=tmp_path, **QUICK)
    fit(whole, methane_frames, **QUICK)
    assert torch.equal(weights(potential), weights(whole))
    fit(potential, methane_frames, checkpoint=tmp_path, **QUICK)
    assert torch.equal(weights(potential), weights(whole))


def test_more_steps_go_on_and_say_so_and_fewer_are_refused(fresh, methane_frames, tmp_path, caplog):
    fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK | {"steps": 25})
    history = fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK | {"steps": 50})
    assert [row["step"] for row in history] == [10, 20, 25, 35, 45, 50]
    assert "was made for 25 steps, and is at step 25: it is resumed up to 50" in caplog.text
    with pytest.raises(ValueError, match="was made for 50 steps; with 30 the learning rate would"):
        fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK)


def test_seconds_go_on_after_a_resume(fresh, methane_frames, tmp_path):
    with pytest.raises(Stopped):
        fit(fresh(), methane_frames, checkpoint=tmp_path, watch=stop_after(2), **QUICK)
    seconds = [row["seconds"] for row in fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK)]
    assert seconds == sorted(seconds)


class Exploit:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("content", ["exploit", b"no checkpoint", b"", "another"])
def test_what_is_no_checkpoint_of_ours_is_refused_and_never_executed(fresh, methane_frames, tmp_path, content):
    path, target = tmp_path / "run" / "last.ckpt", tmp_path / "executed"
    path.parent.mkdir()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save({"x": Exploit(target)} if content == "exploit" else {"epoch": 3}, path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"last\.ckpt is .*: remove it, and the run begins anew"):
        fit(fresh(), methane_frames, checkpoint=path.parent, **QUICK)
    assert not target.exists() and path.read_bytes() == before


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_an_error(fresh, methane_frames, tmp_path, keep):
    fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK)
    path = tmp_path / "last.ckpt"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK)


def test_a_full_disk_leaves_the_state_before_and_the_run_goes_on_from_there(
    fresh, methane_frames, tmp_path, monkeypatch
):
    whole, resumed = fresh(), fresh()
    fit(whole, methane_frames, **QUICK)
    written = []

    def fill(descriptor):
        written.append(descriptor)
        if len(written) > 2:  # a state and a table
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("tpainn_lite.structures.files.os.fsync", fill)
        with pytest.raises(OSError, match="No space left"):
            fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK)
    fit(resumed, methane_frames, checkpoint=tmp_path, **QUICK)
    assert torch.equal(weights(resumed), weights(whole))
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", "history.csv"}


def test_two_trainings_in_one_folder_are_refused(fresh, methane_frames, tmp_path):
    def begin_another(history):
        fit(fresh(), methane_frames, checkpoint=tmp_path, **QUICK)

    with pytest.raises(OSError, match="is being written by another process"):
        fit(fresh(), methane_frames, checkpoint=tmp_path, watch=begin_another, **QUICK)


def test_a_folder_that_cannot_be_is_refused_before_training(fresh, methane_frames, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is no folder"):
        fit(fresh(), methane_frames, checkpoint=tmp_path / "file" / "run", **QUICK)


def test_asking_the_potential_while_it_trains_disturbs_nothing(fresh, methane_frames):
    plain, watched = fresh(), fresh()

    def ask(history):
        methane = methane_frames[0].copy()
        methane.calc = PotentialCalculator(watched)
        methane.get_forces()

    fit(plain, methane_frames, **QUICK)
    fit(watched, methane_frames, watch=ask, **QUICK)
    assert torch.equal(weights(plain), weights(watched))


def test_a_run_that_diverges_leaves_the_best_weights_ready_to_be_asked(methane_frames):
    potential, good = lively_potential(torch.float32), methane_frames[:4]
    start, seen = weights(potential).clone(), []

    def spoil(history):  # the second check's frames are impossible
        seen.append(weights(potential).clone())
        with torch.no_grad():
            potential.painn.readout[2].weight.fill_(float("nan"))

    with pytest.raises(TrainingDiverged):
        fit(potential, good, watch=spoil, **QUICK)
    assert len(seen) == 1 and not potential.training
    assert torch.isfinite(weights(potential)).all() and not torch.equal(weights(potential), start)


# --- hardware ---


def test_auto_takes_the_cpu_where_there_is_no_cuda(fresh, methane_frames, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices_of(Settings(steps=1)).device.type == "cpu"  # Apple's GPU has no float64
    potential = fresh()
    fit(potential, methane_frames, **{**QUICK, "accelerator": "auto"})
    assert potential.device.type == "cpu"


def test_one_device_loads_neither_lightning_nor_torchs_compiler():
    code = """
import sys
from tpainn_lite import load_molecules, train_from_scratch

train_from_scratch(load_molecules("train")[:5], n_features=8, steps=2, progress=False)
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"lightning", "torch._dynamo", "torchmetrics", "matplotlib"} & set(done.stdout.split())


def test_the_optimiser_is_torchs_with_its_average():
    """With long slopes, which are shortened, and short ones; one group learns more slowly."""
    ours, theirs = (lively_potential(seed=1).painn for _ in range(2))
    rates = {"embedding": 0.3}
    optimiser = AveragedAdamW(ours, rates, weight_decay=0.1, average_decay=0.9)
    groups = [{"params": group, "factor": factor} for factor, group in groups_of(theirs, rates)]
    adam = torch.optim.AdamW(groups, weight_decay=0.1)
    average = torch.optim.swa_utils.AveragedModel(theirs, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    for step in range(1, 8):
        size, rate = (3.0, 0.01)[step % 2], 0.01 * step
        for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.grad = size * torch.randn(own.shape, generator=torch.Generator().manual_seed(step), dtype=own.dtype)
            own.grad.copy_(other.grad)
        for group in adam.param_groups:
            group["lr"] = rate * group["factor"]
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), LARGEST_SLOPE)
        adam.step()
        average.update_parameters(theirs)
        optimiser.take_step(step, rate)
    for one, other in ((ours, theirs), (optimiser.average, average.module)):
        for own, right in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.allclose(own, right, rtol=1e-6, atol=1e-9)


# --- bad input ---


def test_an_empty_list_is_an_error(fresh):
    with pytest.raises(DatasetError, match="the list of frames is empty; at least one labelled"):
        fit(fresh(), [], **QUICK)


def test_a_frame_without_labels_is_an_error_in_train_and_in_valid(fresh, methane_frames):
    bare = methane_frames[0].copy()
    for train, valid in (([bare], None), (methane_frames, [bare])):
        with pytest.raises(DatasetError, match=r"frame 0 \(CH4\) has no energy; label it first"):
            fit(fresh(), train, valid, **QUICK)


def test_an_element_the_potential_does_not_know_is_an_error_before_training(fresh, labelled):
    with pytest.raises(ValueError, match="not made for O; it knows H, C"):
        fit(fresh(), labelled[:3], **QUICK)


NONSENSE = [
    {"steps": -1}, {"steps": 1.5}, {"learning_rate": 0}, {"learning_rate": float("nan")}, {"learning_rate": -1e-3},
    {"energy_weight": -1}, {"force_weight": float("inf")}, {"stress_weight": -0.1}, {"weight_decay": -1},
    {"ema_decay": 1.0}, {"patience": 0}, {"batch_atoms": 0}, {"seed": -1}, {"devices": 0}, {"nodes": -1},
    {"accelerator": "abacus"}, {"rates": {"embedding": -1}}, {"rates": ["embedding"]}, {"replay_size": -1},
    {"energy_weight": 0, "force_weight": 0}, {"batch_size": "many"},
]  # fmt: skip


@pytest.mark.parametrize("bad", NONSENSE, ids=str)
def test_a_setting_that_makes_no_sense_is_refused(fresh, methane_frames, bad):
    with pytest.raises(ValueError, match=r"expected|not one of|nothing is left"):
        fit(fresh(), methane_frames, **{**QUICK, **bad})


def test_an_unknown_setting_is_refused_with_a_list_of_those_there_are(fresh, methane_frames):
    with pytest.raises(TypeError, match="no setting 'learning_rte'; its settings are steps, batch_size"):
        fit(fresh(), methane_frames, learning_rte=1e-3, **QUICK)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"batch_size": 0}, {"check_every": 0}])
def test_a_size_of_zero_is_an_error(fresh, methane_frames, bad):
    (name,) = bad
    with pytest.raises(ValueError, match=f"{name} is 0; a whole number of at least 1 is expected"):
        fit(fresh(), methane_frames, **{**QUICK, **bad})


def test_the_learning_rate_rises_then_falls_to_zero():
    factors = [learning_rate_factor(step, 200) for step in range(200)]
    assert 0 < factors[0] < 0.2
    assert max(factors) == pytest.approx(1.0, abs=0.05)
    assert np.argmax(factors) < 15
    assert 0 <= factors[-1] < 0.001
