"""A learning curve trains what is asked for, once, on the same frames for every method."""

import json

import numpy as np
import pytest

from tpainn_lite.learning import learning_curve


class Constant:
    """Says that every frame has the mean energy of what it was trained on, and no forces."""

    def __init__(self, frames):
        self.mean = np.mean([atoms.get_potential_energy() for atoms in frames])

    def predict(self, frames):
        return np.full(len(frames), self.mean), [0 * atoms.positions for atoms in frames]


def recorder(log):
    def train(frames, seed):
        log.append((len(frames), seed, frames[0].info["smiles"], frames[0].positions.sum()))
        return Constant(frames)

    return train


def test_every_method_gets_every_size_and_seed_and_the_same_frames(labelled):
    log = {"a": [], "b": []}
    methods = {name: recorder(entries) for name, entries in log.items()}
    rows = learning_curve(methods, labelled[:20], labelled[20:], sizes=(3, 10), seeds=(0, 1), progress=False)
    assert [(r["method"], r["n_train"], r["seed"]) for r in rows] == [
        (m, n, s) for m in ("a", "b") for n in (3, 10) for s in (0, 1)
    ]
    assert log["a"] == log["b"] and len({entry[2:] for entry in log["a"]}) > 1
    assert {"energy_mae", "force_mae", "seconds"} <= set(rows[0])
    zero = 1e3 * np.abs(np.concatenate([atoms.get_forces() for atoms in labelled[20:]])).mean()
    assert rows[0]["force_mae"] == pytest.approx(zero, abs=1e-3)


def test_what_is_there_is_not_run_again(labelled, tmp_path):
    log, path = [], tmp_path / "curve.json"
    arguments = {"pool": labelled[:20], "test": labelled[20:], "path": path, "progress": False}
    first = learning_curve({"a": recorder(log)}, sizes=(3,), seeds=(0, 1), **arguments)
    more = learning_curve({"a": recorder(log)}, sizes=(3, 5), seeds=(0, 1), **arguments)
    assert len(log) == 4
    assert more[:2] == first and len(json.loads(path.read_text())) == 4


def test_subsets_and_other_measures_are_rows_of_their_own(labelled):
    tests = {"first": labelled[20:30], "rest": labelled[30:]}
    rows = learning_curve(
        {"a": lambda frames, seed: Constant(frames)}, labelled[:20], tests, sizes=(3,), seeds=(0,), progress=False,
        measure=lambda model, frames: {"frames": len(frames)},
    )  # fmt: skip
    assert [(row["subset"], row["frames"]) for row in rows] == [("first", 10), ("rest", 30)]


def test_two_processes_give_what_one_does(labelled):
    arguments = {"pool": labelled[:20], "test": labelled[20:], "sizes": (3, 5), "progress": False}
    one, two = (learning_curve({"a": lambda frames, seed: Constant(frames)}, n_jobs=n, **arguments) for n in (1, 2))
    assert [row["energy_mae"] for row in one] == [row["energy_mae"] for row in two]


def test_more_labels_than_there_are_is_an_error(labelled):
    with pytest.raises(ValueError, match="sizes go up to 99, the pool has 5 frames"):
        learning_curve({}, labelled[:5], labelled, sizes=(3, 99))
