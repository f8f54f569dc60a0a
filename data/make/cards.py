"""The files of a DFT set, and the counts and checksums in its card, written from the files themselves.

python data/make/cards.py        # after any file in data/ has changed
"""

import re
from pathlib import Path

import numpy as np

from tpainn_lite.model.pretrained import load_label_slider
from tpainn_lite.reading.frames import read_frames, write_frames
from tpainn_lite.reading.shipped import SCANS, load_results
from tpainn_lite.structures.files import sha256, write_text

DATA = Path(__file__).resolve().parents[1]
PARTS = ("train", "valid", "test", "test_large")
SETS = {
    "molecules_b3lyp": PARTS, "water_dft": PARTS, "methanol_dft": PARTS[:3], "reactions_b3lyp": PARTS[:3],
    "scans_b3lyp": SCANS,
}  # fmt: skip
UNFINISHED = "unfinished"  # labels on their way into the parts
BEGIN, END = "<!-- numbers: begin (data/make/cards.py) -->", "<!-- numbers: end -->"


def frames_of(name, part):
    """Labelled frames of one part of a set, none if it is not there (yet)."""
    file = _path(name, part)
    return read_frames(file) if file.exists() else []


def labelled(name):
    """{id: frame} of all that is labelled already, in the parts or on its way into them."""
    return {frame.info["id"]: frame for part in (*PARTS, UNFINISHED) for frame in frames_of(name, part)}


def write_set(name, frames, part_of, finished):
    """Write the parts if the set is finished; otherwise keep what they do not hold yet.  Then the cards."""
    kept = {frame.info["id"] for part in PARTS for frame in frames_of(name, part)}
    files = {part: [frame for frame in frames if part_of(frame) == part] for part in PARTS}
    if not finished:
        files = {UNFINISHED: [frame for frame in frames if frame.info["id"] not in kept]}
    for part, mine in files.items():
        if mine:
            write_frames(_path(name, part), mine)
            print(f"{part}: {len(mine)} frames")
    if finished:
        _path(name, UNFINISHED).unlink(missing_ok=True)  # only now: until here it holds labels that nothing else does
    update()


def counts(name):
    """A Markdown table of what is in a set, by part."""
    parts = {part: frames for part in (*SETS[name], UNFINISHED) if (frames := frames_of(name, part))}
    periodic = any(atoms.pbc.any() for frames in parts.values() for atoms in frames)
    groups = "trajectories" if periodic else "molecules"
    rows = [
        f"| part | frames | {groups} | atoms per frame | kinds of frames | mean force component / eV/Å |",
        "|---" * 6 + "|",
    ]
    for part, frames in parts.items():
        sizes = [len(atoms) for atoms in frames]
        kinds = [atoms.info["config_type"] for atoms in frames]
        named = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
        many = len({atoms.info.get("trajectory" if periodic else "smiles", "O") for atoms in frames})
        force = np.abs(np.concatenate([atoms.get_forces() for atoms in frames])).mean()
        rows.append(f"| `{part}` | {len(frames)} | {many} | {min(sizes)}–{max(sizes)} | {named} | {force:.2f} |")
    return "\n".join(rows)


def errors_of_weights():
    """A Markdown table of what `benchmarks/checkpoints.py` measured."""
    quantities = {"zero_mae": ".0f", "force_mae": ".1f", "energy_mae": ".2f", "stress_mae": ".3f"}
    head = "weights | tested on | frames | zero forces / meV/Å | forces / meV/Å | energies / meV/atom | stress / GPa"
    rows = [f"| {head} |", "|---" * 7 + "|"]
    for r in load_results("checkpoints")["rows"]:
        errors = " | ".join(format(r[key], digits) if key in r else "–" for key, digits in quantities.items())
        rows.append(f"| `{r['task']}` | {r['case']} | {r['n_test']} | {errors} |")
    return "Mean absolute errors, of components of forces and stress:\n\n" + "\n".join(rows)


def errors_of_slider():
    """A Markdown table of the errors that the weights of `label_slider.py` carry."""
    rows = ["| start | DFT labels | forces / meV/Å | energies / meV/atom |", "|---" * 4 + "|"]
    for way, potentials in load_label_slider().items():
        for n, potential in potentials.items():
            errors = potential.metadata["test_errors"]
            energy = f"{errors['energy_mae']:.0f}" if n else "–"
            rows.append(f"| {way} | {n:,} | {errors['force_mae']:.0f} | {energy} |")
    return "Mean absolute errors on new molecules:\n\n" + "\n".join(rows)


def checksums():
    """A Markdown table of every shipped data file with its SHA-256."""
    rows = ["| file | kB | SHA-256 |", "|---|---|---|"]
    rows += [
        f"| `{f.relative_to(DATA).as_posix()}` | {f.stat().st_size / 1000:.0f} | `{sha256(f)}` |" for f in shipped()
    ]
    return "\n".join(rows)


def shipped():
    """Paths of all data files that are checked at every load."""
    return [
        DATA / "molecules.csv",
        DATA / "molecules_wide.csv",
        *sorted(DATA.glob("*/*.extxyz*")),
        *sorted(DATA.glob("*/*.safetensors")),
    ]


def with_numbers(text, numbers):
    """The card with a new table between its two marks."""
    pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{numbers}\n{END}", text)


def cards():
    """{path: what it should say}, for data/README.md and the card of every set."""
    found = {DATA / "README.md": checksums()}
    found |= {DATA / name / "README.md": counts(name) for name in SETS if (DATA / name / "README.md").exists()}
    if (DATA / "results" / "checkpoints.json").exists():
        found[DATA / "checkpoints" / "README.md"] = errors_of_weights()
    if (DATA / "label_slider" / "README.md").exists():
        found[DATA / "label_slider" / "README.md"] = errors_of_slider()
    return {path: with_numbers(path.read_text(encoding="utf-8"), numbers) for path, numbers in found.items()}


def update():
    """Write checksums and cards."""
    sums = "".join(f"{sha256(file)}  {file.relative_to(DATA).as_posix()}\n" for file in shipped())
    write_text(DATA / "SHA256SUMS", sums)
    for path, text in cards().items():
        write_text(path, text)


def _path(name, part):
    return DATA / name / f"{part}.extxyz.xz"


if __name__ == "__main__":
    update()
