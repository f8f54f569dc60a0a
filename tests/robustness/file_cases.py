"""Attacks through files: frames, compressed frames, weights, SMILES, journals, checkpoints, MD, curves, receipts."""

import json
import lzma
import shutil
import struct
from pathlib import Path

import bases
import damage
import numpy as np
from attack import Case
from bases import SMALL
from damage import pick

SHORT = ("--steps", "2")


def copied(base, *names):
    """Sound files in the folder of the case."""
    for name in names:
        shutil.copy(base / name, name)


# --- what a sound result is ---


def sound_frames(path, n=None):
    """A check that the file holds labelled, finite frames: n of them."""

    def check():
        from tpainn_lite.reading.frames import read_frames

        try:
            frames = read_frames(path)
        except ValueError as error:
            return f"{path}: {error}"
        return f"{path} holds {len(frames)} frames, not {n}" if n is not None and len(frames) != n else None

    return check


def sound_weights(path, base):
    """A check that the weights give finite energies and forces for the sound frames."""

    def check():
        from tpainn_lite.model.potential import Potential
        from tpainn_lite.reading.frames import read_frames

        try:
            energies, forces = Potential.load(path).predict(read_frames(base / "labelled.extxyz"))
        except ValueError as error:
            return None if "not made for" in str(error) else f"{path}: {error}"
        finite = np.isfinite(energies).all() and all(np.isfinite(f).all() for f in forces)
        return None if finite else f"{path} gives energies or forces that are not finite"

    return check


def sound_traj(path):
    """A check that every frame of a trajectory is finite."""

    def check():
        from ase.io import read

        frames = read(path, index=":")
        return (
            None
            if all(np.isfinite(a.positions).all() for a in frames)
            else f"{path} holds positions that are not finite"
        )

    return check


# --- commands that read frames ---

NEED = {  # what is wrong: the damages that a use of the frames must refuse
    "train": ("file", "structure", "label"),
    "know": ("file", "structure", "label", "unknown"),
    "label": ("file",),
    "move": ("file", "structure", "unknown"),
}


def reader_of_frames(which, name, wrong, base):
    """A command that reads frames from the file of this name, and what is to come of it."""
    copied(base, "w.safetensors", "labelled.extxyz")
    tune = ("autotune", "w.safetensors")
    commands = {
        "evaluate": ("know", ("evaluate", "w.safetensors", name)),
        "report": ("know", ("evaluate", "w.safetensors", name, "--report", "r.html")),
        "pretrain": ("train", ("pretrain", name, "t.safetensors", *SHORT, *SMALL)),
        "pretrain-valid": ("train", ("pretrain", "labelled.extxyz", "t.safetensors", "--valid", name, *SHORT, *SMALL)),
        "autotune": ("know", (*tune, name, "t.safetensors", *SHORT)),
        "autotune-valid": ("know", (*tune, "labelled.extxyz", "t.safetensors", "--valid", name, *SHORT)),
        "autotune-replay": ("know", (*tune, "labelled.extxyz", "t.safetensors", "--replay", name, *SHORT)),
        "label": ("label", ("label", name, "out.extxyz", "--jobs", "1")),
        "md": ("move", ("md", "w.safetensors", name, "x.traj", "--steps", "20")),
    }
    need, call = commands[which]
    sound = {"pretrain": sound_weights("t.safetensors", base), "autotune": sound_weights("t.safetensors", base)}
    sound |= {"label": sound_frames("out.extxyz"), "md": sound_traj("x.traj")}
    return {
        "call": call,
        "refuse": wrong in NEED[need],
        "names": (name, *(("valid",) if "valid" in which else ()), *(("replay",) if "replay" in which else ())),
        "writes": ("t.safetensors", "out.extxyz", "x.traj", "x.state.npz", "r.html", "r.json", "x.*"),
        "keeps": ("out.extxyz.part*", "x.traj", "x.state.npz") if which in ("label", "md") else (),
        "sound": sound.get(which.split("-")[0]),
    }


READERS = (
    "evaluate", "pretrain", "autotune", "label", "md", "report", "pretrain-valid", "autotune-valid", "autotune-replay",
)  # fmt: skip


def frames(number, rng, base):
    """A damaged extended XYZ file for one of the commands that read it."""
    which = READERS[number % len(READERS)]
    text = (base / ("one.extxyz" if which == "md" else "labelled.extxyz")).read_text()
    wrong, how, content = damage.extxyz(rng, text)
    Path("frames.extxyz").write_bytes(content)
    settings = reader_of_frames(which, "frames.extxyz", wrong, base)
    if wrong == "" and which != "md" and how.startswith("header"):
        settings["names"] = ("frames.extxyz",)
    return Case(f"{how}, for {which}", **settings)


# --- compressed ---


def bomb(base, n_blocks=48):
    """An .xz of so many blocks of 64 MB of zeros."""
    return (base / "zeros.xz").read_bytes() * n_blocks


def xz(number, rng, base):
    """A damaged .xz for one of the commands that read it."""
    which = READERS[number % len(READERS)]
    text = (base / ("one.extxyz" if which == "md" else "labelled.extxyz")).read_bytes()
    whole = lzma.compress(text)
    name, wrong = "frames.extxyz.xz", "file"
    kind = number // len(READERS) % 9
    if kind == 0:
        how, content = "truncated", damage.truncated(rng, whole)
    elif kind == 1:
        how, content, wrong = "flipped", damage.flipped(rng, whole), ""
    elif kind == 2:
        how, content = "a bomb of 3 GB", bomb(base)
    elif kind == 3:
        how, content = "not compressed", text
    elif kind == 4:
        how, content = "another file in .xz", lzma.compress(damage.FOREIGN[pick(rng, damage.FOREIGN)])
    elif kind == 5:
        foreign = pick(rng, damage.FOREIGN)
        how, content = f"replaced by {foreign}", damage.FOREIGN[foreign]
    elif kind == 6:
        wrong, how, content, name = "", "compressed without saying so", whole, "frames.extxyz"
    elif kind == 7:
        how, content = "frames, then a bomb", whole + bomb(base)
    else:
        wrong, how, content = damage.extxyz(rng, text.decode())
        content = lzma.compress(content)
    Path(name).write_bytes(content)
    return Case(f"{how}, for {which}", **reader_of_frames(which, name, wrong, base))


# --- weights ---

ODD_NETWORK = {
    "n_features": (0, -1, 10**9, "8", 8.5, None, 16, [8], True),
    "n_interactions": (0, -1, 10**6, 2, "1", None),
    "n_rbf": (0, -1, 10**9, "x", None, 5),
    "cutoff": (0, -1, float("nan"), float("inf"), 1e308, "5", None, [5]),
}
ODD_HEADER = {
    "format": (999, -1, 0, "1", None, [], float("nan"), 1.5),
    "metadata": ([], None, "x", 5),
    "painn": ({}, None, [], "x", {"n_features": 8}),
    "version": (None, 5),
}


def parts(content):
    """(header, data) of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def whole(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def weights(number, rng, base):
    """Damaged weights for one of the commands that read them."""
    how, content, wrong = _damaged_weights(number % 12, rng, (base / "w.safetensors").read_bytes())
    Path("bad.safetensors").write_bytes(content)
    copied(base, "w.safetensors", "labelled.extxyz", "start.xyz")
    calls = (
        ("evaluate", "bad.safetensors", "labelled.extxyz"),
        ("autotune", "bad.safetensors", "labelled.extxyz", "t.safetensors", *SHORT),
        ("md", "bad.safetensors", "start.xyz", "x.traj", "--steps", "20"),
        ("md", "w.safetensors", "bad.safetensors", "start.xyz", "x.traj", "--steps", "20"),
    )
    call = calls[number // 12 % 4]
    written = ("t.safetensors", "x.*")
    keeps = ("x.traj", "x.state.npz") if call[0] == "md" and not wrong else ()
    sound = sound_weights("t.safetensors", base) if call[0] == "autotune" else None
    return Case(f"{how}, for {call[0]}", call, wrong, ("bad.safetensors",), written, keeps, sound=sound)


def _damaged_weights(kind, rng, content):
    """(how, content, whether it is wrong for certain)"""
    header, data = parts(content)
    length = 8 + len(content) - len(data) - 8
    if kind == 0:
        return "header flipped", damage.flipped(rng, content, 0, length), False
    if kind == 1:
        return "tensors flipped", damage.flipped(rng, content, length), False
    if kind == 2:
        return "truncated", damage.truncated(rng, content), True
    if kind == 3:
        n = pick(rng, (0, 1, length - 9, length, 10**6, 2**40, 2**63, 2**64 - 1))
        return f"length of the header {n}", struct.pack("<Q", n) + content[8:], True
    if kind == 4:
        name = pick(rng, damage.FOREIGN)
        return f"replaced by {name}", damage.FOREIGN[name], True
    if kind in (5, 6):
        return _odd_network(rng, header, data)
    if kind == 7:
        return _odd_header(rng, header, data)
    if kind in (8, 9):
        return _odd_tensors(rng, content)
    if kind == 10:
        return "without our header", whole({k: v for k, v in header.items() if k != "__metadata__"}, data), True
    return _odd_entries(rng, header, data)


def _ours(header):
    return json.loads(header["__metadata__"]["tpainn_lite"])


def _with_ours(header, ours):
    text = ours if isinstance(ours, str) else json.dumps(ours)
    return {**header, "__metadata__": {**header["__metadata__"], "tpainn_lite": text}}


def _odd_network(rng, header, data):
    ours, name = _ours(header), pick(rng, ODD_NETWORK)
    value = pick(rng, ODD_NETWORK[name])
    ours["painn"][name] = value
    return f"{name} = {value!r}", whole(_with_ours(header, ours), data), True


def _odd_header(rng, header, data):
    ours = _ours(header)
    if rng.random() < 0.3:
        text = pick(rng, ("", "[]", "{}", "5", '"x"', "{", "[" * 100_000, '{"format": 1}', "NaN"))
        return f"our header {text[:20]!r}", whole(_with_ours(header, text), data), True
    name = pick(rng, ODD_HEADER)
    value = pick(rng, ODD_HEADER[name])
    ours[name] = value
    if rng.random() < 0.3:
        del ours[name]
        value = "missing"
    return f"{name} = {value!r}", whole(_with_ours(header, ours), data), name != "version"


def _odd_tensors(rng, content):
    import torch
    from safetensors.torch import load, save

    header, _ = parts(content)
    tensors = load(content)
    name = pick(rng, ("scale", "atomref", pick(rng, sorted(tensors))))
    change = pick(
        rng, ("nan", "inf", "shape", "missing", "int", "bool", "nothing", "renamed", "extra", "negative", "half")
    )
    tensor = tensors[name]
    wrong = True
    if change in ("nan", "inf"):
        tensors[name] = torch.full_like(tensor, float(change))
    elif change == "nothing":
        tensors[name] = torch.zeros_like(tensor)
        wrong = name == "scale"
    elif change == "negative":
        tensors[name] = -tensor
        wrong = name == "scale"
    elif change == "half":
        tensors = {n: t.half() for n, t in tensors.items()}
        wrong = False
    elif change == "extra":
        tensors["more"] = tensor.clone()
    elif change == "shape":
        tensors[name] = torch.cat([tensor.flatten(), tensor.flatten()])
    elif change in ("int", "bool"):
        tensors[name] = tensor.nan_to_num().to(torch.int64 if change == "int" else torch.bool)
    else:
        del tensors[name]
        if change == "renamed":
            tensors[f"{name}2"] = tensor
    return f"{name}: {change}", save(tensors, header["__metadata__"]), wrong


def _odd_entries(rng, header, data):
    """The table of tensors itself: offsets, shapes and types that do not fit."""
    name = pick(rng, [key for key in header if key != "__metadata__"])
    where = pick(rng, ("data_offsets", "shape", "dtype"))
    values = {
        "data_offsets": ([0, 10**12], [-8, 0], [8, 0], [0], "x", None),
        "shape": ([10**12], [-1], [], "x", [2**62, 2**62], [0]),
        "dtype": ("F99", "", None, "I8", "U8"),
    }
    value = pick(rng, values[where])
    entry = {**header[name], where: value}
    same = entry == header[name]
    return f"{name}: {where} = {value!r}", whole({**header, name: entry}, data), not same


# --- SMILES ---

ODD_SMILES = (
    "C(C", "c1ccccc", "[U]", "*", "[H]", "[H+]", "C.C", "CCO |r|", "X", "C>>O", "[Na+].[Cl-]", "[2H]O[2H]", "C%99",
    "[CH9]", "[C+10]", "C#C#C", "FP(F)(F)(F)F", "B(O)O", "[He]", "\\", "C/C=C/C", "N(=O)=O", "[nH]", "СCO", "🧪",
    "()", "[]", "=", "C" * 40, "[Xx]", "[C@@H](F)(Cl)Br", "O=C=O", "[O]", "[CH2]", "c1ccccc1C(=O)[O-]", "[NH4+]",
    "-", "--help", "C1", "CC,", "'CCO'", "\"CCO\"", "%", "$(ls)", "NaN", "inf", "0", "[999C]", "[C:1]", "C~C",
    "[#6]", "C=1=C=C1", "F/C=C\\F", "[Cu]", "[H][H]",
)  # fmt: skip
SMILES_FILES = {
    "empty": (b"", True),
    "blank": (b"\n\n  \n", True),
    "comments": (b"# CCO\n# C\n", True),
    "head alone": (b"smiles,name\n", True),
    "head": (b"smiles,name\nCCO,ethanol\n", False),
    "quoted": (b'"smiles","name"\n"CCO","ethanol"\n', False),
    "semicolons": (b"smiles;name\nCCO;ethanol\n", False),
    "tabs": (b"smiles\tname\nCCO\tethanol\n", False),
    "bom": (b"\xef\xbb\xbfCCO\nC\n", False),
    "utf-16": ("CCO\nC\n".encode("utf-16"), False),
    "latin-1": ("CCO \xe9thanol\nC\n".encode("latin-1"), False),
    "crlf": (b"CCO\r\nC\r\n", False),
    "cr": (b"CCO\rC\r", False),
    "nul": (b"CC\x00O\nC\n", False),
    "no end": (b"CCO", False),
    "doubled": (b"CCO\nOCC\nC(O)C\nCCO\n", False),
    "long line": (b"C" * 1_000_000 + b"\n", True),
    "long comment": (b"CCO " + b"x" * 5_000_000 + b"\n", False),
    "long brackets": (b"[" * 100_000 + b"\n", True),
    "long ring": (b"C1" * 50_000 + b"\n", True),
    "many bad": (b"C(C\n" * 20_000, True),
    "comma first": (b",CCO\n,C\n", False),
    "names": (b"ethanol\nmethane\n", True),
    "numbers": (b"1,CCO\n2,C\n", False),
}


def smiles(number, rng, base):
    """A file of odd SMILES for one of the commands that read them."""
    files = [*SMILES_FILES, *damage.FOREIGN]
    copied(base, "w.safetensors")
    if number % 2:
        lines = [pick(rng, ODD_SMILES) for _ in range(int(rng.integers(1, 4)))]
        lines += ["C"] * int(rng.integers(2))
        how, content, wrong = f"{lines}", ("\n".join(lines) + "\n").encode(), False
    else:
        how = files[number // 2 % len(files)]
        content, wrong = SMILES_FILES[how] if how in SMILES_FILES else (damage.FOREIGN[how], how != "text")
    name = pick(rng, ("my.smi", "my.csv", "my.txt"))
    Path(name).write_bytes(content)
    call = ("label", name, "out.extxyz", "--frames", "2", "--jobs", "1")
    if number % 6 == 3:
        call = ("md", "w.safetensors", name, "x.traj", "--steps", "20")
    known = (name, *(word.split()[0] for word in content.decode("utf-8", "replace").splitlines()[:5] if word.split()))
    known += ("SMILES", "potential was not made for", "molecule") if number % 2 else ()
    keeps = ("out.extxyz", "out.extxyz.part*", "x.traj", "x.state.npz") if not wrong else ()  # some may be left out
    sound = sound_frames("out.extxyz") if call[0] == "label" else sound_traj("x.traj")
    return Case(f"{how} in {name}, for {call[0]}", call, wrong, known, ("out.extxyz", "x.*"), keeps, sound=sound)


# --- what a call goes on with ---


def part(number, rng, base):
    """Damaged files of an interrupted labelling: the same file in the end, or an error that names them."""
    for file in (base / "part").iterdir():
        shutil.copy(file, file.name)
    files = sorted(path.name for path in Path().iterdir() if path.name != "my.smi")
    name = pick(rng, files)
    call, truth = list(bases.LABEL), (base / "part.whole").read_bytes()
    kind = number % 4
    content = Path(name).read_bytes()
    if kind == 0 and number:
        others = (("--seed", "1"), ("--with", "uff"), ("--frames", str(bases.MORE - 1)), ("--hottest", "900"), "source")
        option = pick(rng, others)
        how, truth = f"other {option}", None
        if option == "source":
            Path("my.smi").write_text("OCC\nO\n")
        else:
            call += option
    elif kind == 1:
        how, content = "truncated", damage.truncated(rng, content)
    elif kind == 2:
        how, content = damage.any_bytes(rng, content)
    elif number:
        how, content = "torn", content + damage.truncated(rng, content)[:100]
    else:
        how = "as it is"
    Path(name).write_bytes(content)

    def sound():
        found = Path("out.extxyz").read_bytes()
        return None if found == truth else f"out.extxyz has {len(found)} bytes, and differs from an uninterrupted run's"

    flipped = how in ("flipped", "zeroed", "holed")
    return Case(
        f"{name}: {how}", call, truth is None, ("out.extxyz",), ("out.extxyz*", ".out.extxyz*"), ("out.extxyz.part*",),
        ("out.extxyz*", ".out.extxyz*"), sound=None if flipped else sound,
    )  # fmt: skip


def journal(number, rng, base):
    """A damaged journal of labels: the same labels in the end, or an error; what is no journal stays as it is."""
    content = (base / "journal.jsonl").read_bytes()
    lines = content.decode().splitlines()
    how, changes = "", ("journal.jsonl",)
    if number % 3 == 0:
        how, content = damage.any_bytes(rng, content)
        if how.startswith("replaced") and content.strip():
            changes = ()
    elif number % 3 == 1:
        k = int(rng.integers(len(lines)))
        how, row = damage.odd_json(rng, json.loads(lines[k]))
        lines[k] = damage.dumped(row).decode("utf-8", "surrogatepass").strip()
        content = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
        how = f"line {k}: {how}"
    else:
        k, row = int(rng.integers(len(lines))), None
        row = json.loads(lines[k])
        key = pick(rng, ("energy", "forces", "numbers", "positions"))
        value = pick(rng, (float("nan"), None, [], "x", [[0, 0, 0]], 1e308, [[None] * 3], {"a": 1}))
        row[key], how = value, f"line {k}: {key} = {value!r}"
        lines[k] = json.dumps(row)
        content = ("\n".join(lines) + "\n").encode()
    Path("journal.jsonl").write_bytes(content)
    if number % 3 == 0 and how in ("flipped", "zeroed", "holed"):
        return Case(how, lambda: bases.journal("journal.jsonl"), changes=changes, writes=("journal*",))
    return Case(f"{how}", lambda: _same_labels("journal.jsonl"), changes=changes, writes=("journal*",))


def _same_labels(path):
    found, truth = bases.journal(path), bases.journal(None)
    assert len(found) == len(truth), f"{len(found)} frames came back, of {len(truth)}"
    for one, other in zip(found, truth, strict=True):
        same = np.allclose(one.get_forces(), other.get_forces(), atol=1e-9)
        assert same and abs(one.get_potential_energy() - other.get_potential_energy()) < 1e-9, "another label came back"


OTHER_TRAINING = (
    ("--seed", "1"), ("--learning-rate", "0.01"), ("--features", "16"), ("--batch-size", "3"),
    "frames", "steps", "fewer",
)  # fmt: skip
OTHER_MD = (
    ("--seed", "1"), ("--temperature", "310"), ("--timestep", "0.4"), ("--every", "5"), ("--friction", "1"),
    ("--ensemble", "nve"), "weights", "start",
)  # fmt: skip


def checkpoint(number, rng, base):
    """A damaged checkpoint, or one of another training: the same weights in the end, or an error that names it."""
    copied(base, "labelled.extxyz", "others.extxyz")
    shutil.copytree(base / "checkpoint", "ck")
    files = sorted(str(path) for path in Path("ck").rglob("*") if path.is_file())
    call, truth = (
        ["pretrain", "labelled.extxyz", "t.safetensors", "--steps", "6", *SMALL, "--checkpoint", "ck"],
        "done.safetensors",
    )
    refuse = False
    if number == 1:
        how = "as it is"
    elif number % 3 == 0:
        other = pick(rng, OTHER_TRAINING)
        how, refuse = f"another training: {other}", other not in ("steps",)
        if other == "frames":
            call[1] = "others.extxyz"
        elif other == "steps":
            call[4], truth = "10", None
        elif other == "fewer":
            call[4] = "4"
        else:
            call += other
    elif number % 3 == 1:
        name = pick(rng, files)
        how, content = damage.any_bytes(rng, Path(name).read_bytes())
        how = f"{name}: {how}"
        Path(name).write_bytes(content)
    else:
        name = pick(rng, files)
        how, content = f"{name}: an evil pickle", _evil_pickle(pick(rng, ("plain", "torch")))
        Path(name).write_bytes(content)

    def sound():
        if truth is None:
            return None
        same = Path("t.safetensors").read_bytes() == (base / truth).read_bytes()
        return None if same else "other weights than those of an uninterrupted run"

    written = ("t.safetensors", "ck/*")
    names, accept = ("ck", "checkpoint"), number == 1
    return Case(how, call, refuse, names, written, ("ck/*",), ("ck/*",), sound, accept)


def _evil_pickle(how):
    """Loaded, it makes a file of the name PWNED."""
    import io
    import pickle

    import torch

    class Evil:
        def __reduce__(self):
            return open, ("PWNED", "w")

    file = io.BytesIO()
    torch.save({"state_dict": {}, "x": Evil()}, file) if how == "torch" else pickle.dump(Evil(), file)
    return file.getvalue()


def md(number, rng, base):
    """A damaged trajectory or state, or those of another run: the same frames in the end, or an error."""
    copied(base, "w.safetensors", "w2.safetensors", "start.xyz", "run.traj", "one.extxyz")
    for file in base.glob("run.*"):
        shutil.copy(file, file.name)
    files = sorted(path.name for path in Path().glob("run.*"))
    call = ["md", "w.safetensors", "start.xyz", "run.traj", "--every", "10", "--steps", str(40 + 20 * (number % 2))]
    refuse = False
    if number < 2:
        how = "as it is"
    elif number % 5 == 0:
        other = pick(rng, OTHER_MD)
        how, refuse = f"another run: {other}", True
        if other == "weights":
            call[1] = "w2.safetensors"
        elif other == "start":
            call[2] = "one.extxyz"
        else:
            call += other
    else:
        name = pick(rng, files)
        how, content = damage.any_bytes(rng, Path(name).read_bytes())
        how = f"{name}: {how}"
        Path(name).write_bytes(content)
        if rng.random() < 0.2:
            Path(name).unlink()
            how = f"{name} removed"
    n = 5 + 2 * (number % 2)

    def sound():
        from ase.io import read

        frames = read("run.traj", index=":")
        return None if len(frames) == n else f"run.traj holds {len(frames)} frames, not {n}"

    sound = None if "flipped" in how or "zeroed" in how else sound
    names = ("run.traj", "run.state.npz")
    return Case(how, call, refuse, names, ("run.*",), (), ("run.*",), sound, number < 2)


def curve(number, rng, base):
    """A damaged file of a learning curve: the same rows in the end, or an error."""
    from tpainn_lite.reading.frames import read_frames

    content = (base / "curve.json").read_bytes()
    pool = read_frames(base / "labelled.extxyz")
    if number % 2:
        how, content = damage.any_bytes(rng, content)
    else:
        how, value = damage.odd_json(rng, json.loads(content))
        content = damage.dumped(value)
    Path("curve.json").write_bytes(content)

    def call():
        rows = bases.curve("curve.json", pool)
        assert len(rows) == 9, f"{len(rows)} rows came back, of 9"
        values = [row[name] for row in rows for name in ("energy_mae", "force_mae")]
        finite = all(isinstance(value, float) and np.isfinite(value) for value in values)
        assert finite, "rows with numbers that are not finite came back"

    changes = () if how.startswith("replaced") and content.strip() else ("curve.json",)
    return Case(how, call, changes=changes, writes=("curve.json",))


def receipts(number, rng, base):
    """Odd and forged receipts: the table is there, one line for each student, and one for each fault."""
    from tpainn_lite.course import receipts as module

    shutil.copytree(base / "receipts", "receipts")
    files = sorted(Path("receipts").iterdir())
    content = files[0].read_bytes()
    if number % 3 == 0:
        how, content = damage.any_bytes(rng, content)
    else:
        value = json.loads(content)
        how, value = damage.odd_json(rng, {k: v for k, v in value.items() if k != "seal"})
        if number % 3 == 1 and isinstance(value, dict):  # forged: whoever reads the code can seal what he likes
            value = {**value, "seal": module.seal(value)}
            how = f"forged: {how}"
        content = damage.dumped(value)
    files[0].write_bytes(content)

    def sound():
        import io
        from contextlib import redirect_stdout

        from attack import tpainn

        with redirect_stdout(io.StringIO()) as printed:
            tpainn("receipts", "receipts")
        lines = printed.getvalue().splitlines()
        if len(lines) != 2 or any("\x1b" in line for line in lines):
            return f"{len(lines)} lines for two receipts: {printed.getvalue()[:300]!r}"
        return None if any("Emmy Noether" in line for line in lines) else "the sound receipt is not in the table"

    return Case(how, ("receipts", "receipts"), False, (files[0].name,), sound=sound)


def project(number, rng, base):
    """A damaged or changed project folder: an error that says what, or a project that is whole."""
    shutil.copytree(base / "project", "project")
    files = sorted(path for path in Path("project").iterdir() if path.is_file())
    path, settings = pick(rng, files), {}
    kind = number % 4
    if kind == 0:
        settings = pick(rng, ({"n_labels": 3}, {"n_steps": 30}, {}))
        how = f"called with {settings}"
    elif kind == 1:
        how, content = damage.any_bytes(rng, path.read_bytes())
        path.write_bytes(content)
    elif kind == 2:
        path.unlink()
        how = "removed"
    else:
        how = "emptied"
        path.write_bytes(b"")

    def call():
        report = bases.project("project", **settings)
        assert report["labels"] == settings.get("n_labels", 4), "the report is of another number of labels"
        assert np.isfinite(report["after"]["force_mae"]), "the errors are not finite"

    return Case(f"{path.name}: {how}", call, changes=("project/*",), writes=("project/*",), keeps=("project/*",))


KINDS = {  # number of cases, how many of them in the sample, maker
    "frames": (270, 30, frames),
    "xz": (81, 10, xz),
    "weights": (192, 20, weights),
    "smiles": (96, 12, smiles),
    "part": (48, 8, part),
    "journal": (60, 8, journal),
    "checkpoint": (48, 8, checkpoint),
    "md": (50, 8, md),
    "curve": (40, 6, curve),
    "receipts": (60, 6, receipts),
    "project": (24, 0, project),
}
