"""Work on a cluster, or by any executor: the same numbers, resumed, and stopped, and errors that say of what."""

import concurrent.futures as futures
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule as ase_molecule
from ase.calculators.calculator import Calculator, all_changes
from conftest import shaken
from typer.testing import CliRunner

from tpainn_lite.cli.app import app
from tpainn_lite.project import run as project
from tpainn_lite.structures.build import molecule
from tpainn_lite.teachers import parallel
from tpainn_lite.teachers.label import label, label_stream
from tpainn_lite.teachers.label_files import label_file
from tpainn_lite.teachers.parallel import scheduler_at, side_by_side
from tpainn_lite.teachers.rdkit import mmff94
from tpainn_lite.teachers.sample import normal_mode_frames, shaken_molecules
from tpainn_lite.teachers.water_md import water_runs
from tpainn_lite.train.curves import learning_curve
from tpainn_lite.train.transfer import train_from_scratch

TINY = {"n_features": 8, "n_interactions": 1, "steps": 3, "progress": False}


class Toy(Calculator):
    """A harmonic toy that writes down each call, refuses frames of one height, and dies of those of another."""

    implemented_properties = ("energy", "forces")
    level = "toy"

    def __init__(self, notes=None, refused=None, deadly=None):
        super().__init__()
        self.notes, self.refused, self.deadly = notes, refused, deadly

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.notes:
            with open(self.notes, "a") as file:
                file.write(f"{os.getpid()}\n")
        height = atoms.positions[0, 2]
        if height == self.deadly:
            os._exit(1)
        if height == self.refused:
            raise RuntimeError("no thank you")
        self.results = {"energy": 0.5 * float((atoms.positions**2).sum()), "forces": -atoms.positions}


def train(frames, seed):
    """A method of a learning curve."""
    return train_from_scratch(frames, seed=seed, **TINY)


def threads_and_process():
    """How many threads a job may use, and where it is done."""
    import torch

    return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS"), os.getpid()


def overlapping(folder):
    """Whether another job is done in this process meanwhile."""
    mark = folder / f"{os.getpid()}-{threading.get_ident()}"
    mark.touch()
    time.sleep(0.2)
    others = [path for path in folder.glob(f"{os.getpid()}-*") if path != mark]
    mark.unlink()
    return len(others)


@pytest.fixture(scope="module")
def client():
    """Two workers with two threads each, on this machine."""
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'tpainn_lite[cluster]'")
    import dask

    with warnings.catch_warnings(), dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def pool():
    """Two processes, as anybody may make them."""
    with futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture(params=["client", "pool"])
def workers(request):
    """Who does the work: a cluster, or other processes."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def frames():
    return [shaken(ase_molecule("H2O"), seed) for seed in range(8)]


def bytes_of(frames):
    return [(a.get_potential_energy(), a.get_forces().tobytes(), a.info) for a in frames]


def test_labels_are_those_of_one_process_to_the_last_bit(workers, frames):
    many = normal_mode_frames(molecule("CCO"), mmff94(), 500, 60, 0)
    for teacher, given in ((mmff94(), many), (Toy(), frames)):
        here = label(given, teacher, progress=False)
        assert bytes_of(label(given, teacher, n_jobs=workers, progress=False)) == bytes_of(here)
        assert bytes_of(label_stream(iter(given), teacher, workers, progress=False)) == bytes_of(here)


def test_the_workers_label_and_not_this_process(workers, frames, tmp_path):
    label(frames, Toy(tmp_path / "notes"), n_jobs=workers, progress=False)
    processes = set((tmp_path / "notes").read_text().split())
    assert str(os.getpid()) not in processes


def test_one_frame_too_is_labelled_by_the_workers(workers, frames, tmp_path):
    label(frames[:1], Toy(tmp_path / "notes"), n_jobs=workers, progress=False)
    assert (tmp_path / "notes").read_text().split() != [str(os.getpid())]


def test_an_interrupted_journal_is_resumed_by_others(workers, frames, tmp_path):
    path, teacher = tmp_path / "labels.jsonl", Toy(tmp_path / "notes")
    label(frames[:5], teacher, path, progress=False)
    resumed = label(frames, teacher, path, workers, progress=False)
    assert len((tmp_path / "notes").read_text().split()) == len(frames), "each frame was labelled once"
    assert bytes_of(resumed) == bytes_of(label(frames, Toy(), progress=False))


def test_a_file_of_labels_is_the_same_file(workers, tmp_path):
    def given():
        return shaken_molecules(["CO", "CCO"], 4, seed=0)

    label_file(given(), mmff94(), tmp_path / "here.extxyz", progress=False)
    label_file(given(), mmff94(), tmp_path / "there.extxyz", workers, progress=False)
    assert (tmp_path / "here.extxyz").read_bytes() == (tmp_path / "there.extxyz").read_bytes()


def test_a_frame_that_cannot_be_labelled_is_skipped_and_named(workers, frames, capsys):
    teacher = Toy(refused=frames[3].positions[0, 2])
    assert len(label(frames, teacher, n_jobs=workers, progress=False)) == len(frames) - 1
    assert "toy: 1 of 8 frames skipped" in (said := capsys.readouterr().err) and "first, frame 3: RuntimeError" in said


def test_a_worker_that_dies_is_an_error_that_names_the_frame(client, frames, tmp_path):
    teacher = Toy(deadly=frames[5].positions[0, 2])
    with pytest.raises(RuntimeError, match=r"frame 5.*: the worker or its scheduler died \(Attempted"):
        label(frames, teacher, tmp_path / "labels.jsonl", client, progress=False)
    deadline = time.monotonic() + 30
    while len(client.nthreads()) < 2 and time.monotonic() < deadline:  # Dask starts another one
        time.sleep(0.1)
    assert len(label(frames, Toy(), n_jobs=client, progress=False)) == len(frames)


def test_a_pool_that_breaks_is_an_error_that_names_the_frame(frames):
    teacher = Toy(deadly=frames[0].positions[0, 2])
    with (
        futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor,
        pytest.raises(RuntimeError, match=r"frame 0.*: the worker or its scheduler died \(A"),
    ):
        label(frames, teacher, n_jobs=executor, progress=False)


def test_a_learning_curve_is_the_same_to_the_last_bit_and_resumes(workers, labelled, tmp_path):
    settings = {"pool": labelled[:20], "test": labelled[20:30], "sizes": (3, 5), "progress": False}
    here = learning_curve({"scratch": train}, seeds=(0, 1), **settings)
    learning_curve({"scratch": train}, seeds=(0,), path=tmp_path / "rows.json", **settings)
    kept = json.loads((tmp_path / "rows.json").read_text())["rows"]
    there = learning_curve({"scratch": train}, seeds=(0, 1), path=tmp_path / "rows.json", n_jobs=workers, **settings)
    assert all(row in there for row in kept), "what was there is not trained again"
    for one, other in zip(here, there, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_training_that_fails_is_named(workers, labelled):
    def fails(frames, seed):
        raise ValueError("no")

    settings = {"pool": labelled[:20], "test": labelled[20:], "sizes": (3,), "progress": False}
    with pytest.raises(ValueError, match="no") as caught:
        learning_curve({"bad": fails}, seeds=(4,), n_jobs=workers, **settings)
    assert caught.value.__notes__ == ["in the method 'bad' on 3 frames with seed 4"]


def test_functions_of_a_notebook_run_in_the_order_of_their_jobs(workers):
    factor = 3
    results = list(side_by_side(lambda k: None if k == 2 else factor * k, [(k,) for k in range(9)], workers))
    assert results == [0, 3, None, 9, 12, 15, 18, 21, 24]
    assert list(side_by_side(pow, [], workers)) == []


def test_a_bar_counts_the_jobs_that_are_done(capsys):
    jobs = [(2, k) for k in range(4)]
    assert list(side_by_side(pow, jobs, n_jobs=1)) == [1, 2, 4, 8]
    assert "side by side: 100%" in capsys.readouterr().err
    assert list(side_by_side(pow, jobs, n_jobs=1, progress=False)) == [1, 2, 4, 8]
    assert not capsys.readouterr().err


def test_a_job_that_gives_nothing_ends_no_others():
    assert list(side_by_side(lambda k: None, [(k,) for k in range(4)], n_jobs=2)) == [None] * 4


def test_a_job_that_fails_has_its_number_in_the_error(workers):
    with pytest.raises(ZeroDivisionError) as caught:
        list(side_by_side(divmod, [(1, 2), (1, 0)], workers))
    assert caught.value.__notes__ == ["in job 1"]


def test_a_worker_computes_on_one_thread(workers):
    for n_threads, variable, process in side_by_side(threads_and_process, [()] * 4, workers):
        assert (n_threads, variable) == (1, "1") and process != os.getpid()


def test_a_worker_with_several_threads_does_one_job_at_a_time(client, tmp_path):
    assert list(side_by_side(overlapping, [(tmp_path,)] * 8, client)) == [0] * 8


def test_in_this_process_the_number_of_threads_stays_as_it_is(monkeypatch):
    import torch

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)
    with futures.ThreadPoolExecutor(2) as executor:
        (found,) = side_by_side(threads_and_process, [()], executor)
    assert found == (2, None, os.getpid())


def test_runs_of_water_are_the_same(workers):
    short = {"n_molecules": 27, "spacing": 2.0, "warm_up": 2.0, "cutoff": 4.0}
    states = [(1.0, 300), (0.9, 350)]
    here, there = (water_runs(states, 2, n_jobs=n, seed=3, **short) for n in (1, workers))
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)


class Slow(futures.Executor):
    """Begins nothing before it is asked to; knows what was handed over, and what was taken back."""

    _max_workers = 2

    def __init__(self):
        self.given = []

    def submit(self, fn, *args):
        self.given.append((futures.Future(), fn, args))
        return self.given[-1][0]

    def do_first(self):
        future, fn, args = next(each for each in self.given if not each[0].done())
        future.set_result(fn(*args))


def test_what_nobody_waits_for_any_more_is_taken_back():
    executor = Slow()
    results = side_by_side(pow, [(2, k) for k in range(100)], executor)
    threading.Timer(0.3, executor.do_first).start()
    assert next(results) == 1
    n_given = len(executor.given)
    assert n_given <= 5, "jobs are made when there is somebody to do them"
    results.close()
    assert sum(future.cancelled() for future, *_ in executor.given) == n_given - 1


def test_ctrl_c_ends_the_wait_and_takes_the_others_back(monkeypatch, frames, tmp_path):
    executor = Slow()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(parallel.futures, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        label(frames, Toy(), tmp_path / "labels.jsonl", executor, progress=False)
    assert executor.given and all(future.cancelled() for future, *_ in executor.given)


def test_a_cluster_without_workers_says_that_it_waits(monkeypatch, capsys):
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'tpainn_lite[cluster]'")
    monkeypatch.setattr(parallel, "PATIENCE", 0.1)
    monkeypatch.setattr(parallel, "COUNT_SECONDS", 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            threading.Timer(1.0, lambda: cluster.scale(1)).start()
            assert list(side_by_side(pow, [(2, 3)], client)) == [8]
    assert capsys.readouterr().err.count("the cluster has no workers yet: waiting for them") == 1


def test_a_worker_of_another_version_is_refused(monkeypatch, pool):
    monkeypatch.setattr(parallel, "__version__", "9.9")
    with pytest.raises(RuntimeError, match=r"the worker has tpainn_lite .*, its client 9\.9: install the same version"):
        list(side_by_side(pow, [(2, 3)], pool))


def few_steps(*arguments, **settings):
    """`autotune` as the project calls it, for a moment."""
    from tpainn_lite.train.transfer import autotune

    return autotune(*arguments, **{**settings, "steps": 3})


def general(start, n_frames, seed):
    from tpainn_lite.reading.shipped import load_molecules

    return few_steps(start, load_molecules("train")[:n_frames], seed=seed, progress=False)


def own(general, train, n_frames, seed):
    return few_steps(general, train, seed=seed, progress=False)


def test_a_project_trains_its_committee_on_the_workers_and_resumes(monkeypatch, pool, tmp_path):
    monkeypatch.setattr(project, "_general", general)
    monkeypatch.setattr(project, "_own", own)
    small = {"n_labels": 4, "n_test": 2, "n_general": 4, "n_steps": 10, "progress": False}
    structures = list(shaken_molecules(["CCO"], 10, 600, seed=0))
    here = project.run_project(structures, tmp_path / "here", mmff94(), **small)
    there = project.run_project(structures, tmp_path / "there", mmff94(), n_jobs=pool, **small)
    assert here == there
    for path in (tmp_path / "here").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes(), path.name
    assert project.run_project(structures, tmp_path / "there", mmff94(), n_jobs=1, **small) == there


def test_the_command_labels_through_a_scheduler(client, tmp_path):
    (tmp_path / "my.smi").write_text("CCO\nC\n")
    for name, more in (("here", ["--jobs", "1"]), ("there", ["--scheduler", client.scheduler.address])):
        target = tmp_path / f"{name}.extxyz"
        result = CliRunner().invoke(app, ["label", str(tmp_path / "my.smi"), str(target), "--frames", "3", *more])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "here.extxyz").read_bytes() == (tmp_path / "there.extxyz").read_bytes()


def test_a_scheduler_may_be_named_by_its_file(client, tmp_path):
    (tmp_path / "scheduler.json").write_text(json.dumps({"address": client.scheduler.address, "id": "x", "type": "S"}))
    with scheduler_at(str(tmp_path / "scheduler.json")) as found:
        assert list(side_by_side(pow, [(2, 3)], found)) == [8]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "scheduler.json"])
def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch, tmp_path, address):
    pytest.importorskip("distributed", reason="needs Dask: pip install 'tpainn_lite[cluster]'")
    monkeypatch.setattr(parallel, "PATIENCE", 1.0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.smi").write_text("C\n")
    (tmp_path / "scheduler.json").write_text("{")
    result = CliRunner().invoke(app, ["label", "my.smi", "out.extxyz", "--scheduler", address])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1, result.output
    assert f"no Dask scheduler answers at {address}" in result.stderr


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'tpainn_lite\[cluster\]'"), scheduler_at("tcp://here:8786"):
        pass


@pytest.mark.parametrize("bad", [futures.ProcessPoolExecutor, "tcp://here:8786", object()])
def test_what_does_no_work_is_refused_in_a_sentence(frames, bad):
    with pytest.raises(ValueError, match=r"n_jobs is .*; a whole number of processes .*, a Dask client or an executor"):
        label(frames, Toy(), n_jobs=bad, progress=False)


PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"
JOBQUEUE = """
from distributed import LocalCluster


def SLURMCluster(cores, processes, job_cpu, memory, walltime, job_script_prologue):
    cluster = LocalCluster(n_workers=0, threads_per_worker=cores, dashboard_address=None)
    cluster.adapt = lambda minimum_jobs, maximum_jobs: cluster.scale(minimum_jobs)
    return cluster
"""


@pytest.mark.slow
def test_every_command_of_the_page_runs_in_its_order(tmp_path):
    """On this machine; sh blocks are jobs of Slurm's, and pip has done its work."""
    for package in ("distributed", "torch_sim"):
        pytest.importorskip(package, reason="needs Dask and torch-sim: pip install 'tpainn_lite[cluster,batched]'")
    (tmp_path / "dask_jobqueue.py").write_text(JOBQUEUE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    surroundings = {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    how = {"cwd": tmp_path, "env": surroundings, "text": True, "check": True, "timeout": 300}
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    background = subprocess.Popen(
        ["bash", "-c", "\n".join(line for kind, block in blocks if kind == "bash" for line in block.splitlines()
                                 if line.endswith("&")) + "\nwait"],
        cwd=tmp_path, env=surroundings, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for kind, block in blocks:
            if kind == "python":
                (tmp_path / "script.py").write_text(block)
                subprocess.run([sys.executable, "script.py"], **how)
            else:
                lines = [line for line in block.splitlines() if not line.startswith("pip ") and not line.endswith("&")]
                subprocess.run(["bash", "-ec", "\n".join(lines)], **how)
    finally:
        os.killpg(background.pid, signal.SIGTERM)
        background.wait(timeout=30)
    assert {"labels.jsonl", "labels.extxyz", "rows.json", "weights.safetensors"} <= {p.name for p in tmp_path.iterdir()}
