"""Kill what can be resumed five times at random moments, and compare its end with a run that nobody disturbed.

`python tests/robustness/kills.py` runs the whole matrix, `… pretrain md` some rows, `--seed 3` with other moments.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy and torch come: a process with threads should not be forked

import numpy as np

KILLS = 5
LONGEST = 200  # s; a run that takes longer hangs
SMALL = ("--features", "16", "--interactions", "1", "--accelerator", "cpu")


@dataclass
class Row:
    """What is killed: a call, and how its results are compared.

    ``call`` are the arguments of `tpainn`, or a function; ``result`` says what came of it, in the folder it ran in;
    ``made`` (names) is what may be there afterwards.
    """

    call: object
    result: object
    made: tuple
    elsewhere: bool = False


# --- what is run ---


class Slow:
    """A calculator that takes its time, and computes little."""

    level = "slow"

    def __init__(self):
        import tpainn_lite as tp

        self.inner, self.record = tp.mmff94(), {}

    def get_potential_energy(self, atoms):
        time.sleep(0.02)
        return self.inner.get_potential_energy(atoms)

    def get_forces(self, atoms):
        return self.inner.get_forces(atoms)


def labelled_with_a_journal():
    import tpainn_lite as tp

    tp.label(tp.rattled_frames(tp.molecule("CCO"), 0.05, 120), Slow(), path="labels.jsonl", progress=False)


def method(frames, seed):
    from bases import Constant

    time.sleep(0.1)
    return Constant(float(len(frames) + seed))


def measured():
    import tpainn_lite as tp

    frames = tp.read_frames("labelled.extxyz")
    sizes, seeds = range(1, 9), (0, 1, 2)
    tp.learning_curve({"constant": method}, frames, frames, sizes, seeds, path="curve.json", progress=False)


def project():
    import bases

    bases.project("project", n_steps=100)


# --- what came of it ---


def bytes_of(*names):
    return lambda: {name: Path(name).read_bytes() for name in names}


def weights_of(name):
    """Every number of them, and what they say of themselves."""

    def read():
        from tpainn_lite.model.potential import Potential

        potential = Potential.load(name)
        return {n: t.numpy().tobytes() for n, t in potential.state_dict().items()} | {"about": str(potential.metadata)}

    return read


def frames_of(name):
    """Positions, momenta, energies of a trajectory."""

    def read():
        from ase.io import read

        frames = read(name, index=":")
        return {
            k: (a.positions.tobytes(), a.get_momenta().tobytes(), a.get_potential_energy())
            for k, a in enumerate(frames)
        }

    return read


def labels_of(name):
    """Labels of a journal by frame, each of which must be there once."""

    def read():
        rows = [json.loads(line) for line in Path(name).read_text().splitlines()]
        rows = [row for row in rows if "energy" in row]
        ids = [row["id"] for row in rows]
        return {row["id"]: (row["energy"], row["forces"]) for row in rows} | {"doubled": len(ids) - len(set(ids))}

    return read


def rows_of(name):
    """Rows of a learning curve, without how long they took."""

    def read():
        content = json.loads(Path(name).read_text())
        rows = content["rows"] if isinstance(content, dict) else content
        return sorted(json.dumps({k: v for k, v in row.items() if k != "seconds"}, sort_keys=True) for row in rows)

    return read


def project_result():
    weights = {k: weights_of(f"project/own-{k}.safetensors")() for k in range(3)}
    return {"report": Path("project/report.json").read_text(), "md": frames_of("project/md.traj")(), **weights}


def label(target, jobs):
    options = ("--frames", "1500", "--jobs", str(jobs))
    return Row(("label", "my.smi", target, *options), bytes_of(target), (target,))


def pretrain(checkpoint, **how):
    call = ("pretrain", "labelled.extxyz", "t.safetensors", "--steps", "400", "--check-every", "20", *SMALL)
    made = ("t.safetensors", "ck/*")
    return Row((*call, "--checkpoint", checkpoint), weights_of("t.safetensors"), made, **how)


TUNE = ("autotune", "w.safetensors", "labelled.extxyz", "t.safetensors", "--steps", "600", "--checkpoint", "ck")
MD = ("md", "gas", "start.xyz", "x.traj", "--steps", "400", "--every", "5", "--temperature", "100")
MATRIX = {
    "label-1": label("out.extxyz", 1),
    "label-1-xz": label("out.extxyz.xz", 1),
    "label-2": label("out.extxyz", 2),
    "label-2-xz": label("out.extxyz.xz", 2),
    "journal": Row(labelled_with_a_journal, labels_of("labels.jsonl"), ("labels.jsonl",)),
    "pretrain": pretrain("ck"),
    "pretrain-elsewhere": pretrain("{elsewhere}/ck", elsewhere=True),
    "autotune": Row(TUNE, weights_of("t.safetensors"), ("t.safetensors", "ck/*")),
    "md": Row(MD, frames_of("x.traj"), ("x.traj", "x.state.npz")),
    "run": Row(project, project_result, ("project/*",)),
    "curve": Row(measured, rows_of("curve.json"), ("curve.json",)),
}


# --- how it is killed ---


def other_file_system():
    """A folder on another file system than that of temporary files, or None."""
    shm = Path("/dev/shm")
    there = shm.is_dir() and os.access(shm, os.W_OK) and shm.stat().st_dev != os.stat(tempfile.gettempdir()).st_dev
    return shm if there else None


def begun(call, folder):
    """The process number of a child that does this in this folder."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    code = 70
    try:
        os.chdir(folder)
        (folder / "tmp").mkdir(exist_ok=True)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
        with open(folder.with_suffix(".log"), "ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        code = _called(call)
    except BaseException:  # noqa: BLE001
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def _called(call):
    from attack import tpainn

    if callable(call):
        call()
        return 0
    return tpainn(*call)


def ended(pid, seconds):
    """Exit code of a child within so many seconds, or None: it still runs."""
    limit = time.perf_counter() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.perf_counter() > limit:
            return None
        time.sleep(0.003)


def whole_run(call, folder):
    """Run it to its end; the seconds that it took."""
    started = time.perf_counter()
    pid = begun(call, folder)
    code = ended(pid, LONGEST)
    if code is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    _check_end(code, folder)
    return time.perf_counter() - started


def killed_runs(call, folder, seconds, rng):
    """Begin it and kill it, five times, then let it end; the moments, and the sessions that were begun.

    The work is done in pieces, each of which is shorter than a third of the whole, lest it ends before the last kill.
    """
    moments, sessions = [], []
    for _ in range(KILLS):
        pid = begun(call, folder)
        sessions.append(pid)
        moment = float(rng.uniform(0.02, 0.3)) * seconds
        code = ended(pid, moment)
        if code is not None:
            _check_end(code, folder)
            return moments, sessions
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        moments.append(round(moment, 2))
    whole_run(call, folder)
    return moments, sessions


def _check_end(code, folder):
    if code != 0:
        raise AssertionError(f"ended with {code}: {folder.with_suffix('.log').read_text()[-600:]}")


def left_running(sessions, seconds=20):
    """Processes of these sessions that still run after so many seconds."""
    from attack import _session

    limit = time.perf_counter() + seconds
    while found := [pid for session in sessions for pid in _session(session)]:
        if time.perf_counter() > limit:
            break
        time.sleep(0.1)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return found


def differences(found, truth):
    """What differs in two results, as a list of sentences."""
    if isinstance(found, list):
        return [] if found == truth else [f"{len(found)} rows, {len(truth)} expected, or others"]
    names = [n for n in {**found, **truth} if found.get(n) != truth.get(n)]
    return [f"{len(names)} of {len(truth)} results differ: {names[:5]}"] if names else []


def attacked(name, base, seed):
    """What is wrong after five kills of a row of the matrix."""
    row, rng = MATRIX[name], np.random.default_rng([*name.encode(), seed])
    work = Path(tempfile.mkdtemp(prefix="kills-"))
    elsewhere = Path(tempfile.mkdtemp(prefix="kills-", dir=other_file_system())) if row.elsewhere else work
    try:
        for folder in (work / "calm", work / "killed"):
            folder.mkdir()
            for file in ("my.smi", "labelled.extxyz", "w.safetensors", "start.xyz"):
                shutil.copy(base / file, folder / file)
        calls = {}
        for folder in ("calm", "killed"):
            (elsewhere / folder).mkdir(exist_ok=True)
            calls[folder] = row.call if callable(row.call) else [
                argument.format(elsewhere=elsewhere / folder) for argument in row.call
            ]  # fmt: skip
        seconds = whole_run(calls["calm"], work / "calm")
        moments, sessions = killed_runs(calls["killed"], work / "killed", seconds, rng)
        left = left_running(sessions)
        results = []
        for folder in ("killed", "calm"):
            os.chdir(work / folder)
            results.append(row.result())
        problems = differences(*results) + _litter(row, work / "killed", elsewhere if row.elsewhere else None, sessions)
        problems += [f"{len(left)} processes still run 20 s after their parent was killed"] if left else []
        return {"name": name, "seconds": seconds, "moments": moments, "problems": problems}
    except AssertionError as error:
        return {"name": name, "problems": [str(error)]}
    finally:
        os.chdir("/")
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(elsewhere, ignore_errors=True)


def _litter(row, folder, elsewhere, sessions):
    from attack import _fits

    given = ("my.smi", "labelled.extxyz", "w.safetensors", "start.xyz", "tmp")
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()]
    found = [n for n in names if n not in given and not _fits(n, row.made)]
    found += [n for n in names if n.endswith((".lock", ".part", ".tmp", ".packing")) or Path(n).name.startswith(".")]
    if elsewhere:
        found += [str(p) for p in elsewhere.rglob("*") if p.name.startswith(".") or p.suffix in (".lock", ".tmp")]
    if Path("/dev/shm").is_dir():
        ours = tuple(f"-{pid}-" for pid in sessions) + tuple(f"_{pid}_" for pid in sessions)
        found += [f"/dev/shm/{name}" for name in os.listdir("/dev/shm") if any(one in name for one in ours)]
    return [f"left behind: {', '.join(sorted(set(found))[:6])}"] if found else []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    from bases import make_bases

    base, found = Path(tempfile.mkdtemp(prefix="kills-base-")), []
    try:
        make_bases(base, set())
        for name in options.rows or MATRIX:
            started = time.perf_counter()
            if MATRIX[name].elsewhere and other_file_system() is None:
                found.append({"name": name, "problems": [], "skipped": "no other file system here"})
                continue
            found.append(attacked(name, base, options.seed))
            took = time.perf_counter() - started
            print(
                f"{name:20s} {took:5.0f} s  kills at {found[-1].get('moments')}",
                *found[-1]["problems"],
                sep="\n    ",
                flush=True,
            )
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(found))
    sys.exit(any(one["problems"] for one in found))


if __name__ == "__main__":
    main()
