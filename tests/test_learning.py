"""A learning curve trains what is asked for, once, on the same frames for every method."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tpainn_lite.reading.frames import write_frames
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.identity import IdentityError
from tpainn_lite.train.curves import learning_curve, mean_error


class Constant:
    """Says that every frame has the mean energy of what it was trained on, and no forces."""

    def __init__(self, frames):
        self.mean = np.mean([atoms.get_potential_energy() for atoms in frames])

    def predict(self, frames):
        return np.full(len(frames), self.mean), [0 * atoms.positions for atoms in frames]


class Log:
    """Remembers; what it remembers does not make another method."""

    def __init__(self):
        self.entries = []

    def append(self, entry):
        self.entries.append(entry)


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
    log, path = Log(), tmp_path / "curve.json"
    arguments = {"pool": labelled[:20], "test": labelled[20:], "path": path, "progress": False}
    first = learning_curve({"a": recorder(log)}, sizes=(3,), seeds=(0, 1), **arguments)
    more = learning_curve({"a": recorder(log)}, sizes=(3, 5), seeds=(0, 1), **arguments)
    assert len(log.entries) == 4
    assert more[:2] == first and len(json.loads(path.read_text())["rows"]) == 4
    assert [file.name for file in tmp_path.iterdir()] == ["curve.json"]


def scaled(factor):
    def train(frames, seed):
        model = Constant(frames)
        model.mean *= factor
        return model

    return train


def test_rows_of_another_pool_test_measure_or_method_are_refused(labelled, tmp_path):
    path, wanted = tmp_path / "curve.json", {"sizes": (3,), "seeds": (0,), "progress": False}
    arguments = {"pool": labelled[:20], "test": labelled[20:], "path": path, **wanted}
    learning_curve({"a": scaled(1)}, **arguments)
    before = path.read_bytes()
    others = {
        "pool: 20 frames": {"pool": labelled[1:21]},
        "test: ": {"test": labelled[21:]},
        "measure: ": {"measure": lambda model, frames: {"frames": 1}},
        "a method was made with a: train": {"methods": {"a": scaled(2)}},
    }
    for difference, change in others.items():
        with pytest.raises(IdentityError, match=f"curve.json.*{difference}.*: name another file, or remove it"):
            learning_curve(**{"methods": {"a": scaled(1)}, **arguments, **change})
    assert path.read_bytes() == before
    assert len(learning_curve({"a": scaled(1), "b": scaled(2)}, **arguments)) == 2


@pytest.mark.parametrize(
    "content", ["", "[", "[]", "{}", '{"rows": 3}', '{"rows": [1], "identity": {}, "methods": {}}']
)
def test_a_file_that_holds_no_rows_is_refused_and_stays(labelled, tmp_path, content):
    path = tmp_path / "curve.json"
    path.write_text(content)
    with pytest.raises(DatasetError, match="is damaged, or no file of `learning_curve`"):
        learning_curve({"a": scaled(1)}, labelled[:20], labelled[20:], sizes=(3,), path=path, progress=False)
    assert path.read_text() == content


def test_two_processes_on_one_file_lose_no_rows(labelled, tmp_path):
    write_frames(tmp_path / "frames.extxyz", labelled)
    code = """
import sys
import tpainn_lite as tp
from tpainn_lite.train.transfer import new_potential
frames = tp.read_frames("frames.extxyz")
small = lambda few, seed: new_potential(frames, n_features=4, n_interactions=1, n_rbf=4, seed=seed)
tp.learning_curve({sys.argv[1]: small}, frames[:20], frames[20:24], range(1, 14), (0, 1), "rows.json", progress=False)
"""
    runs = [subprocess.Popen([sys.executable, "-c", code, name], cwd=tmp_path) for name in "ab"]
    assert [run.wait(timeout=200) for run in runs] == [0, 0]
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert len({(row["method"], row["n_train"], row["seed"]) for row in rows}) == len(rows) == 52


@pytest.mark.parametrize(
    "bad",
    [{"sizes": ()}, {"sizes": (0,)}, {"sizes": (2.5,)}, {"seeds": ()}, {"n_jobs": 0}, {"methods": {"a": 3}}],
    ids=str,
)
def test_what_makes_no_sense_is_refused(labelled, bad):
    arguments = {"methods": {"a": scaled(1)}, "pool": labelled[:20], "test": labelled[20:], "sizes": (3,)}
    with pytest.raises(ValueError, match=r"expected|must be a dict|at least one"):
        learning_curve(**{**arguments, **bad}, progress=False)


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


def test_the_mean_error_is_that_of_the_rows_that_were_asked_for():
    rows = [{"method": m, "n_train": n, "seed": s, "error": n + s} for m in "ab" for n in (10, 50) for s in (0, 1)]
    assert mean_error(rows, "error", method="a", n_train=50) == 50.5
    assert mean_error(rows, "error", method="a", n_train=50, seed=0) == 50
    assert mean_error(iter(rows), "error") == 30.5


def test_a_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"none of 1 rows has {'method': 'b'}"):
        mean_error([{"method": "a", "error": 1.0}], "error", method="b")
    with pytest.raises(ValueError, match="'errors' is no number in every row"):
        mean_error([{"method": "a", "error": 1.0}], "errors")
    with pytest.raises(TypeError, match="a list of dictionaries"):
        mean_error(["a"], "error")
