"""A potential judged on labelled frames: a table, and parity plots with the numbers next to them in a file."""

import html
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import GPa

from tpainn_lite.model.potential import Potential
from tpainn_lite.reading.extxyz import matrix_of
from tpainn_lite.show.plots import parity
from tpainn_lite.structures.checks import check_some_label, check_values, has_label, label_of
from tpainn_lite.structures.files import check_target, path_of, write_text
from tpainn_lite.structures.isolated import without_isolated

OTHER_ZERO = "(the potential counts energies from another zero than these labels; autotuning on a few refits it)"
COLUMNS = {  # label: its name in the table, its unit there, digits
    "energy": ("energy", 1e3, 1), "forces": ("force", 1e3, 1), "stress": ("stress", 1.0, 3),
}  # fmt: skip
GENERATOR = "tpainn_lite evaluate"  # both files of a report begin with it, and by that are recognised
HEAD = f"<!doctype html><meta charset='utf-8'><meta name='generator' content='{GENERATOR}'>"
NUMBERS = f'{{\n "generator": "{GENERATOR}",'
LONGEST = 40  # characters of a kind of frame, or of a level, that are shown


def evaluate(potential: Potential, frames: Sequence[Atoms], report: Path | str | None = None) -> str:
    """Errors of a potential on labelled frames, all together and by ``info["config_type"]``.

    Parameters
    ----------
    frames
        With energy, forces or stress: each is compared where it is there.  None of them trained on.
    report
        ``.html``: parity plots of energies and forces; the numbers are written to a ``.json`` of the same name.

    Returns
    -------
    str
        A table: number of frames, MAE and RMSE of the energy (meV/atom), of forces (meV/Å) and, where boxes have one,
        of the stress (GPa).

    Raises
    ------
    ValueError, TypeError, OSError
        Frames without labels, a potential that predicts what is no number, or a report that cannot be written.
    """
    check_some_label(frames, tuple(COLUMNS))
    check_report(report)
    for index, atoms in enumerate(frames):
        check_values(atoms, f"frame {index}")
    if not hasattr(potential, "predict"):
        raise TypeError(f"potential is a {type(potential).__name__}; what has `predict`, as a Potential, is expected")
    n_frames, frames = len(frames), without_isolated(frames)
    pairs = _compared(potential, frames)
    kinds = [_short(atoms.info.get("config_type", "frames")) for atoms in frames]
    groups = {"all": range(len(frames))} | {kind: np.flatnonzero(np.equal(kinds, kind)) for kind in sorted(set(kinds))}
    rows = [_row(name, {key: [pairs[key][k] for k in group] for key in COLUMNS}) for name, group in groups.items()]
    if report:
        _write(Path(report), rows, _figures(pairs["energy"], pairs["forces"], _level(frames)), potential.metadata)
    return "\n".join([_table(rows), *_notes(rows[0], n_frames - len(frames))])


def _notes(row, n_isolated):
    """What is to be said of the line for all frames."""
    if (row["energy_mae"] or 0) > 1000:
        yield OTHER_ZERO
    for key, label in (("energy_mae", "energies"), ("force_mae", "forces")):
        if row[key] is None:
            yield f"(no frame has {label})"
    if n_isolated:
        yield f"({n_isolated} isolated atoms are left out: their energies are references)"


def _compared(potential, frames):
    """{label: pairs of label and prediction, None where a frame has none}; energies per atom, stresses in GPa."""
    energies, forces = potential.predict(frames)
    boxes = [k for k, atoms in enumerate(frames) if has_label(atoms, "stress") and hasattr(potential, "evaluator")]
    stresses = dict(
        zip(boxes, potential.evaluator().stresses([frames[k] for k in boxes]) if boxes else (), strict=True)
    )
    pairs: dict[str, list] = {key: [] for key in COLUMNS}
    for index, (atoms, energy, force) in enumerate(zip(frames, energies, forces, strict=True)):
        said = {"energy": energy / len(atoms), "forces": force, "stress": stresses.get(index, np.zeros((3, 3))) / GPa}
        if not all(np.isfinite(value).all() for value in said.values()):
            raise ValueError(
                f"frame {index} ({atoms.get_chemical_formula()}): the potential predicts numbers that are not finite; "
                "its weights are broken, or this frame is unlike all that it knows"
            )
        for key, value in said.items():
            there = has_label(atoms, key) and (key != "stress" or index in stresses)
            pairs[key].append((_label(atoms, key), value) if there else None)
    return pairs


def _label(atoms, key):
    value = np.asarray(label_of(atoms, key))
    if key == "stress":
        return matrix_of(value) / GPa
    return value / len(atoms) if key == "energy" else value


def check_report(report: Path | str | None, sources: Sequence[Path | str | None] = ()) -> None:
    """Raise an error where a report (and its ``.json``) could not be written, or would destroy something.

    ``sources`` are files that are read, and stay as they are.
    """
    if report is None:
        return
    report = path_of(report, "report")
    for path, beginning in ((report, HEAD), (report.with_suffix(".json"), NUMBERS)):
        suffix = ".html" if beginning is HEAD else ".json"
        check_target(path, sources, (suffix,), partial(_begins, beginning=beginning.encode()))


def _begins(path, beginning):
    with open(path, "rb") as file:
        return file.read(len(beginning)) == beginning


def _row(name, pairs):
    """One line of the table, from pairs of labels and predictions; None where no frame has such a label."""
    row = {"frames": name, "n": len(pairs["energy"])}
    for key, (short, unit, _) in COLUMNS.items():
        there = [pair for pair in pairs[key] if pair is not None]
        errors = unit * np.concatenate([np.zeros(0), *(np.ravel(predicted - label) for label, predicted in there)])
        row[f"{short}_mae"] = round(float(np.abs(errors).mean()), 4) if errors.size else None
        row[f"{short}_rmse"] = round(float(np.sqrt((errors**2).mean())), 4) if errors.size else None
    return row


def _table(rows):
    shown = [column for key, column in COLUMNS.items() if key != "stress" or rows[0]["stress_mae"] is not None]
    head = "".join(f" {f'{short} MAE':>11s} {'RMSE':>8s}" for short, *_ in shown)
    lines = [f"{'frames':20s} {'n':>6s}{head}"]
    for row in rows:
        cells = [
            f"{'-':>{width}}" if row[f"{short}_{kind}"] is None else f"{row[f'{short}_{kind}']:{width}.{digits}f}"
            for short, _, digits in shown
            for kind, width in (("mae", 11), ("rmse", 8))
        ]
        lines.append(f"{row['frames']:20s} {row['n']:6d} {' '.join(cells)}")
    units = "energies in meV/atom, forces in meV/Å" + ", stress in GPa" * (len(shown) > 2)
    return "\n".join([*lines, units])


def _level(frames):
    """What the labels are, for the axes."""
    levels = sorted({_short(atoms.info["level"]) for atoms in frames if "level" in atoms.info})
    return _short(", ".join(levels)) if levels else "reference"


def _short(text):
    """In one line that a terminal can show."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _figures(energies, forces, level):
    """Parity plots of energies per atom and of forces, where there are some."""
    for pairs, quantity in ((energies, ("energy per atom", "eV")), (forces, ("force component", "eV/Å"))):
        if any(pairs):
            labels, predicted = zip(*filter(None, pairs), strict=True)
            yield parity(labels, {"PaiNN": predicted}, *quantity, reference_name=level)


def _write(path, rows, figures, metadata):
    plots = [figure.to_html(full_html=False, include_plotlyjs=k == 0) for k, figure in enumerate(figures)]
    title, table = html.escape(path.stem.encode(errors="replace").decode()), html.escape(_table(rows))
    text = "".join(f"<p>{html.escape(f'{key}: {value}')}</p>" for key, value in metadata.items())
    text = text.encode(errors="replace").decode()
    page = f"{HEAD}<title>{title}</title><h1>{title}</h1>{text}<pre>{table}</pre>{''.join(plots)}\n"
    content = {"generator": GENERATOR, "potential": metadata, "rows": rows}
    check_report(path)  # what was written there in the meantime stays
    write_text(path, page)
    write_text(path.with_suffix(".json"), json.dumps(content, indent=1) + "\n")
