"""Attacks through the command line: every numeric option with nonsense, options that contradict, and odd paths."""

import os
from pathlib import Path

from attack import Case
from bases import SMALL
from file_cases import copied, sound_frames, sound_traj, sound_weights

GOOD = {  # command: a sound call in a few steps
    "label": ("label", "my.smi", "out.extxyz", "--frames", "2", "--jobs", "1"),
    "pretrain": ("pretrain", "labelled.extxyz", "t.safetensors", "--steps", "2", *SMALL),
    "autotune": ("autotune", "w.safetensors", "labelled.extxyz", "t.safetensors", "--steps", "2"),
    "md": ("md", "w.safetensors", "start.xyz", "x.traj", "--steps", "20", "--every", "10"),
    "run": (
        "run",
        "my.smi",
        "--folder",
        "prj",
        "--with",
        "mmff94",
        "--n-labels",
        "3",
        "--n-test",
        "2",
        "--frames",
        "6",
    ),
    "evaluate": ("evaluate", "w.safetensors", "labelled.extxyz"),
    "receipts": ("receipts", "my.smi"),
}
NUMERIC = {  # command: {option: values that are fine, among those that are tried}
    "label": {"frames": (), "hottest": (), "seed": ("0",), "jobs": ("-1",)},
    "pretrain": {
        "steps": (), "batch-size": (), "learning-rate": (), "features": (), "interactions": (), "cutoff": (),
        "check-every": (), "seed": ("0",), "devices": (), "nodes": (),
    },
    "autotune": {
        "steps": (), "batch-size": (), "learning-rate": (), "force-weight": ("0",), "layer-decay": (), "seed": ("0",),
    },
    "md": {
        "temperature": (), "pressure": ("0", "-1"), "timestep": (), "steps": (), "every": (), "friction": ("0",),
        "max-disagreement": ("1e308",), "seed": ("0",),
    },
    "run": {"n-labels": (), "n-test": (), "frames": (), "hottest": (), "steps": (), "seed": ("0",), "jobs": ("-1",)},
}  # fmt: skip
VALUES = ("-1", "0", "nan", "inf", "-inf", "1e308", "word", "", "0x10", "1e-320", "99999999999999999999999")
NARROW = ("cutoff", "temperature", "timestep")  # no finite number, however large, will do
ANY_FLOAT = (
    "hottest", "learning-rate", "force-weight", "layer-decay", "pressure", "friction", "max-disagreement",
)  # fmt: skip
ABSURD = {  # finite numbers that no computer or molecule can take
    ("features", "1000000"), ("interactions", "1000000"), ("cutoff", "1000000"), ("timestep", "1000"),
    ("devices", "512"), ("nodes", "7"), ("jobs", "100000"),
}  # fmt: skip
OTHER_WORDS = {"every": ("steps apart",), "n-labels": ("frames to label",), "n-test": ("frames to label",)}
LONG = {("run", "seed", "0"), ("run", "jobs", "-1")}  # sound, and a minute of training
ENDLESS = ("steps", "frames")  # whoever asks for very many gets them, some day
OPTIONS = [(c, o, v) for c, options in NUMERIC.items() for o in options for v in VALUES[: -1 if o in ENDLESS else None]]
OPTIONS = [one for one in OPTIONS if one not in LONG]
OPTIONS += [(c, o, v) for o, v in sorted(ABSURD) for c in NUMERIC if o in NUMERIC[c]]
WRITES = {
    "label": ("out.extxyz",), "pretrain": ("t.safetensors",), "autotune": ("t.safetensors",), "md": ("x.*",),
    "run": ("prj/*",), "evaluate": ("r.html", "r.json"), "receipts": (),
}  # fmt: skip


def options(number, rng, base):
    """One option of a sound call is nonsense."""
    command, option, value = OPTIONS[number]
    copied(base, "my.smi", "labelled.extxyz", "w.safetensors", "w2.safetensors", "start.xyz")
    call = list(GOOD[command])
    if option == "max-disagreement":
        call.insert(2, "w2.safetensors")
    call = _without(call, f"--{option}") + [f"--{option}={value}"]
    wrong, sound = _is_wrong(command, option, value), _sound(command, base)
    finite = value in ("1e308", "1e-320", VALUES[-1]) or (option, value) in ABSURD
    keeps = ("x.traj", "x.state.npz") if command == "md" and finite else ()  # a guard may stop it
    names = (option, *OTHER_WORDS.get(option, ()))
    return Case(f"tpainn {command} --{option}={value}", call, wrong, names, WRITES[command], keeps, sound=sound)


def _is_wrong(command, option, value):
    if value in NUMERIC[command][option]:
        return False
    if value == "99999999999999999999999":
        return option not in (*ANY_FLOAT, "seed", "batch-size", "check-every")
    if value in ("1e308", "1e-320") and option in (*NARROW, *ANY_FLOAT):
        return option in NARROW and value == "1e308"
    return (option, value) not in ABSURD


def _without(call, option):
    if option not in call:
        return call
    place = call.index(option)
    return call[:place] + call[place + 2 :]


def _sound(command, base):
    return {
        "label": sound_frames("out.extxyz"),
        "pretrain": sound_weights("t.safetensors", base),
        "autotune": sound_weights("t.safetensors", base),
        "md": sound_traj("x.traj"),
    }.get(command)


def _foreign_text(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("precious\n")


BRIEF = ("--steps", "2", *SMALL)
CONTRADICTIONS = (  # call, what must be named
    (("pretrain", "t.safetensors"), "argument"),
    (("pretrain", "labelled.extxyz", "others.extxyz", "t.safetensors", *BRIEF), "argument"),
    (("pretrain", "labelled.extxyz", "t.safetensors", "--valid", "t.safetensors", *BRIEF), "t.safetensors"),
    (("pretrain", "labelled.extxyz", "t.safetensors", "--checkpoint", "labelled.extxyz", *BRIEF), "labelled.extxyz"),
    (("pretrain", "labelled.extxyz", "t.safetensors", "--checkpoint", "t.safetensors", *BRIEF), "t.safetensors"),
    (("pretrain", "labelled.extxyz", "t.safetensors", "--accelerator", "quantum", "--steps", "2"), "accelerator"),
    (("pretrain", "labelled.extxyz", "t.safetensors", "--accelerator", "gpu", "--steps", "2"), "accelerator"),
    (("pretrain", "labelled.extxyz", "t.txt", *BRIEF), "t.txt"),
    (("pretrain", "labelled.extxyz", "labelled.extxyz", *BRIEF), "labelled.extxyz"),
    (("autotune", "w.safetensors", "labelled.extxyz", "w.safetensors", "--steps", "2"), "w.safetensors"),
    (("autotune", "w.safetensors", "labelled.extxyz", "t.safetensors", "--freeze", "soul", "--steps", "2"), "soul"),
    (("autotune", "no such", "labelled.extxyz", "t.safetensors", "--steps", "2"), "no such"),
    (("autotune", "labelled.extxyz", "w.safetensors", "t.safetensors", "--steps", "2"), "extxyz"),
    (("autotune", "w.safetensors", "labelled.extxyz", "t.safetensors", "--layer-decay", "2"), "layer_decay"),
    (("evaluate", "labelled.extxyz", "w.safetensors"), "labelled.extxyz"),
    (("evaluate", "w.safetensors", "labelled.extxyz", "--report", "labelled.extxyz"), "labelled.extxyz"),
    (("evaluate", "w.safetensors", "labelled.extxyz", "--report", "w.safetensors"), "w.safetensors"),
    (("evaluate", "w.safetensors", "labelled.extxyz", "--report", "precious.html"), "precious"),
    (("md", "start.xyz", "x.traj"), "weights"),
    (("md", "w.safetensors", "x.traj"), ""),
    (("md", "w.safetensors", "start.xyz", "w.safetensors", "--steps", "20"), "w.safetensors"),
    (("md", "w.safetensors", "start.xyz", "start.xyz", "--steps", "20"), "start.xyz"),
    (("md", "w.safetensors", "start.xyz", "precious.traj", "--steps", "20"), "precious.traj"),
    (("md", "w.safetensors", "start.xyz", "x.traj", "--max-disagreement", "1"), "max-disagreement"),
    (("md", "w.safetensors", "start.xyz", "x.traj", "--ensemble", "npt"), "pressure"),
    (("md", "w.safetensors", "start.xyz", "x.traj", "--ensemble", "magic"), "ensemble"),
    (("md", "w.safetensors", "start.xyz", "x.traj", "--steps", "5", "--every", "10"), "steps"),
    (("md", "w.safetensors", "start.xyz", "x.traj", "--steps", "25", "--every", "10"), ""),
    (("run", "my.smi", "--folder", "prj", "--elsewhere", "--with", "mmff94", "--labels", "labelled.extxyz"), "labels"),
    (("run", "my.smi", "--folder", "prj", "--labels", "no.extxyz"), "no.extxyz"),
    (("run", "my.smi", "--folder", "my.smi", "--with", "mmff94"), "my.smi"),
    (("run", "my.smi", "--folder", "prj", "--with", "mmff94", "--n-labels", "900"), "n"),
    (("run", "my.smi", "--folder", "prj", "--with", "mmff94", "--steps", "5"), "steps"),
    (("label", "my.smi", "my.smi"), "my.smi"),
    (("label", "my.smi", "out.pdf"), "out.pdf"),
    (("label", "my.smi", "precious.extxyz"), "precious.extxyz"),
    (("label", "my.smi", "out.extxyz", "--with", "iamoeba"), ""),
    (("label", "my.smi", "out.extxyz", "--hottest", "100"), "hottest"),
    (("label", "labelled.extxyz", "labelled.extxyz"), "labelled.extxyz"),
    (("receipts", "no-such-folder"), "no-such-folder"),
    (("no-such-command",), "no-such-command"),
    (("label",), "source"),
    (("label", "--no-such-option", "a", "b"), "no-such-option"),
)  # fmt: skip
MAY_WORK = (19, 27, 36, 39)  # what need not be an error


def contradictions(number, rng, base):
    """Options that contradict each other, or that the files contradict."""
    copied(base, "my.smi", "labelled.extxyz", "others.extxyz", "w.safetensors", "start.xyz")
    _foreign_text("precious.html", "precious.traj", "precious.extxyz", "precious.json")
    call, name = CONTRADICTIONS[number]
    writes = WRITES.get(call[0], ())
    return Case(
        " ".join(call),
        call,
        number not in MAY_WORK,
        (name,) if name else (),
        writes,
    )


READ = {  # arguments that are read, by command: place in the call, or option
    "label": (1,), "pretrain": (1, "--valid"), "autotune": (1, 2, "--valid", "--replay"), "evaluate": (1, 2),
    "md": (1, 2), "run": (1, "--labels"), "receipts": (1,),
}  # fmt: skip
WRITTEN = {
    "label": (2,), "pretrain": (2, "--checkpoint"), "autotune": (3, "--checkpoint"), "evaluate": ("--report",),
    "md": (3,), "run": ("--folder",),
}  # fmt: skip
ENDING = {
    "label": ".extxyz",
    "pretrain": ".safetensors",
    "autotune": ".safetensors",
    "evaluate": ".html",
    "md": ".traj",
}


def _folder(name):
    Path(name).mkdir()


def _fifo(name):
    os.mkfifo(name)


def _loop(name):
    os.symlink(name, name)


def _dangling(name):
    os.symlink("nowhere", name)


def _socket(name):
    import socket

    socket.socket(socket.AF_UNIX).bind(name)


ODD_PATHS = {  # how: (what makes it, the name), with {e} for the ending
    "a folder": (_folder, "odd{e}"),
    "missing": (None, "missing{e}"),
    "a fifo": (_fifo, "odd{e}"),
    "/dev/zero": (None, "/dev/zero"),
    "/dev/null": (None, "/dev/null"),
    "/dev/full": (None, "/dev/full"),
    "under a file": (None, "my.smi/odd{e}"),
    "a link to itself": (_loop, "odd{e}"),
    "a link to nothing": (_dangling, "odd{e}"),
    "a socket": (_socket, "odd{e}"),
    "a very long name": (None, "x" * 300 + "{e}"),
    "a very long path": (None, "x/" * 3000 + "odd{e}"),
    "empty": (None, ""),
    "a dot": (None, "."),
    "a slash": (None, "/"),
    "NUL in it": (None, "a\x00b{e}"),
    "somebody else's file": (lambda name: _foreign_text(name), "odd{e}"),
    "/proc": (None, "/proc/odd{e}"),
    "surrogates": (None, "a\udcff{e}"),
}
FINE_PATHS = {  # names that are odd, but fine for a file that is written
    "a newline in it": "a\nb{e}",
    "unicode": "水 ü 🧪{e}",
    "a missing folder": "new/folder/odd{e}",
    "a space and quotes": "a 'b' \"c\"{e}",
    "a dot at its front": ".odd{e}",
    "a star": "*{e}",
    "a tilde": "~{e}",
    "a long name": "x" * 180 + "{e}",
}
PATHS = [(c, a, how) for c, places in READ.items() for a in places for how in ODD_PATHS]
PATHS += [(c, a, how) for c, places in WRITTEN.items() for a in places for how in (*ODD_PATHS, *FINE_PATHS)]
PATHS = [one for one in PATHS if one[0] != "run" or one[2] not in FINE_PATHS]
PATHS = [one for one in PATHS if one[1] not in ("--checkpoint", "--folder") or one[2] != "a slash"]  # root may
STARTS = ("missing", "a folder", "a dot", "a link to nothing", "empty", "surrogates")  # a minute of training follows
PATHS = [one for one in PATHS if one[1] != "--folder" or one[2] not in STARTS]
TO_READ = sum(len(places) for places in READ.values()) * len(ODD_PATHS)
CREATES = ("missing", "a link to nothing", "surrogates")  # fine for a file that is written; perhaps an error


def paths(number, rng, base):
    """One argument of a sound call is an odd path: what is read, or what is written."""
    command, place, how = PATHS[number]
    reads = number < TO_READ
    copied(base, "my.smi", "labelled.extxyz", "w.safetensors", "start.xyz")
    make, name = (None, FINE_PATHS[how]) if how in FINE_PATHS else ODD_PATHS[how]
    folder = place in ("--checkpoint", "--folder")
    name = name.replace("{e}", ".extxyz" if reads else "" if folder else ENDING[command])
    if make:
        make(name)
    call = list(GOOD[command])
    if isinstance(place, int):
        call[place] = name
    else:
        call = _without(call, place) + [place, name]
    if command == "md" and not reads and how == "a folder":
        refuse = True
    writes = (*WRITES[command], "new/*", "[!/]*odd*", "*x.state.npz", "out.extxyz.part")
    if how in (*FINE_PATHS, *CREATES) and not reads:
        refuse, writes = False, ("*",)
    else:
        refuse = not (command == "receipts" or (folder and how in ("a folder", "a dot", "a very long name")))
        refuse = refuse and not (place == "--checkpoint" and how in ("empty",))
    keeps = ("new/*",) if how in FINE_PATHS else ()
    if folder and how == "a dot":
        writes = ("*",)
    if folder and not refuse:
        writes = ("*",)
    shown = [argument for argument in call if argument == name]
    said = Path(name).name[:40] if how.startswith("a very long") else name.replace("\x00", "").strip("./")
    names = (said, str(place), "source", "target", "weights", "files", "name", "folder")
    return (
        Case(f"{command}: {place} is {how}", call, refuse, names, writes, keeps)
        if shown
        else Case("nothing", ("--help",))
    )


KINDS = {
    "options": (len(OPTIONS), 28, options),
    "contradict": (len(CONTRADICTIONS), 8, contradictions),
    "paths": (len(PATHS), 28, paths),
}
