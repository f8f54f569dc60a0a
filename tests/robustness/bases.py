"""Sound files for the attacks to damage, made once by the library itself: in small networks and few steps."""

import lzma
import os
import shutil
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

SMALL = ("--features", "8", "--interactions", "1", "--check-every", "2", "--accelerator", "cpu")
SMILES = "CCO ethanol\nC\nO\n"
MORE = 300  # frames of each SMILES in the labelling that is interrupted


def make_bases(folder, kinds):
    """Fill the folder with what cases of these kinds need."""
    here = os.getcwd()
    os.chdir(folder)
    try:
        _quietly(_labels_and_weights, "making the base files")
        for kind, make in {"part": _part, "checkpoint": _checkpoint, "project": _project}.items():
            if kind in kinds:
                _quietly(make, f"making the base of {kind}")
        if "xz" in kinds:
            Path("zeros.xz").write_bytes(lzma.compress(bytes(64 << 20), preset=1))
        if kinds & {"md", "paths", "options"}:
            _quietly(_md, "making a trajectory")
        if kinds & {"journal", "curve", "receipts"}:
            _quietly(_json, "making journals and receipts")
    finally:
        os.chdir(here)


def _quietly(make, what):
    """Without what it prints, which is shown if it fails."""
    sys.stdout.flush(), sys.stderr.flush()
    log = Path("base.log").absolute()
    kept = os.dup(1), os.dup(2)
    with open(log, "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        try:
            make()
        except BaseException:
            os.dup2(kept[1], 2)
            print(f"{what} failed:\n{log.read_text()}", file=sys.stderr)
            raise
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0]), os.close(kept[1])
    log.unlink()


def tpainn(*arguments):
    from attack import tpainn

    code = tpainn(*arguments)
    if code:
        raise RuntimeError(f"tpainn {' '.join(map(str, arguments))} ended with {code}")


def _labels_and_weights():
    import tqdm

    from tpainn_lite.reading.frames import read_frames, write_frames
    from tpainn_lite.structures.build import molecule

    tqdm.tqdm.monitor_interval = 0  # no thread of its own: children are forked
    Path("my.smi").write_text(SMILES)
    tpainn("label", "my.smi", "labelled.extxyz", "--frames", 4, "--jobs", 1)
    tpainn("label", "my.smi", "others.extxyz", "--frames", 4, "--jobs", 1, "--seed", 7)
    tpainn("pretrain", "labelled.extxyz", "w.safetensors", "--steps", 4, *SMALL)
    tpainn("autotune", "w.safetensors", "labelled.extxyz", "w2.safetensors", "--steps", 2)
    tpainn("evaluate", "w.safetensors", "labelled.extxyz", "--report", "report.html")
    write_frames("start.xyz", [molecule("CCO")])
    frames = read_frames("labelled.extxyz")
    write_frames("one.extxyz", frames[:1])
    write_frames("labelled.extxyz.xz", frames)
    for unwanted in ("report.html", "report.json"):
        Path(unwanted).unlink()


def _md():
    tpainn("md", "w.safetensors", "start.xyz", "run.traj", "--steps", 40, "--every", 10)


def _checkpoint():
    tpainn("pretrain", "labelled.extxyz", "done.safetensors", "--steps", 6, *SMALL, "--checkpoint", "ck")
    shutil.copytree("ck", "checkpoint")
    tpainn("pretrain", "labelled.extxyz", "more.safetensors", "--steps", 10, *SMALL, "--checkpoint", "ck")
    shutil.rmtree("ck")


LABEL = ("label", "my.smi", "out.extxyz", "--frames", str(MORE), "--jobs", "1")


def _part():
    """Files of a labelling that was killed, and the file of one that was not."""
    place = Path("part")
    place.mkdir()
    (place / "my.smi").write_text(SMILES)
    os.chdir(place)
    try:
        for _ in range(20):
            if os.WTERMSIG(_killed_labelling()) == signal.SIGKILL and not Path("out.extxyz").exists():
                break
            for file in Path().glob("*out.extxyz*"):
                file.unlink()
        else:
            raise RuntimeError("no labelling could be interrupted")
        before = [path for path in Path().iterdir() if path.is_file()]
        for file in before:
            shutil.copy(file, f"../part-{file.name}")
        tpainn(*LABEL)
        shutil.copy("out.extxyz", "../part.whole")
    finally:
        os.chdir("..")
    shutil.rmtree(place)
    place.mkdir()
    for file in Path().glob("part-*"):
        file.rename(place / file.name.removeprefix("part-"))


def _killed_labelling():
    pid = os.fork()
    if pid == 0:
        from tpainn_lite.teachers import label_files

        label_files.WRITE = 3
        threading.Thread(target=_die_soon, daemon=True).start()
        tpainn(*LABEL)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def _die_soon():
    part = Path("out.extxyz.part")
    while not part.exists() or part.stat().st_size < 20_000:
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGKILL)


def project(folder, n_labels=4, n_steps=20):
    """What the cases of a project run, and its base."""
    from tpainn_lite.project.run import run_project
    from tpainn_lite.teachers.rdkit import mmff94
    from tpainn_lite.teachers.sample import shaken_molecules

    structures = shaken_molecules(["CCO", "C"], 8)
    settings = {"n_test": 2, "n_general": 4, "n_steps": n_steps, "progress": False}
    return run_project(structures, folder, mmff94(), n_labels=n_labels, **settings)


def _project():
    project("project")


def journal(path):
    """The frames and labels of the base journal."""
    import tpainn_lite as tp

    frames = [atoms for smiles in ("CCO", "C", "O") for atoms in tp.rattled_frames(tp.molecule(smiles), 0.05, 4)]
    return tp.label(frames, tp.mmff94(), path=path, progress=False)


class Constant:
    """A method for a learning curve that learns nothing, quickly."""

    def __init__(self, energy):
        self.energy = energy

    def predict(self, frames, batch_size=64):
        import numpy as np

        return np.full(len(frames), self.energy), [np.zeros((len(atoms), 3)) for atoms in frames]


def constant(frames, seed):
    return Constant(sum(atoms.get_potential_energy() for atoms in frames) / len(frames))


def curve(path, frames):
    """The rows of the base learning curve."""
    import tpainn_lite as tp

    return tp.learning_curve({"constant": constant}, frames, frames, (2, 4, 6), path=path, progress=False)


def _json():
    from tpainn_lite.course.receipts import hand_in
    from tpainn_lite.reading.frames import read_frames

    journal("journal.jsonl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curve("curve.json", read_frames("labelled.extxyz"))
    for name in ("Ada Lovelace", "Emmy Noether"):
        hand_in(name, ["00.1", "00.2"], "receipts", seconds=12, versions={"torch": "2"})
