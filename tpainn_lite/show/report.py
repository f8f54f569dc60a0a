"""A potential judged on labelled frames: a table, and parity plots with the numbers next to them in a file."""

import html
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms

from tpainn_lite.model.potential import Potential
from tpainn_lite.show.plots import parity
from tpainn_lite.structures.checks import check_labels, check_values, label_of
from tpainn_lite.structures.files import check_target, path_of, write_text

OTHER_ZERO = "(the potential counts energies from another zero than these labels; autotuning on a few refits it)"
NO_FORCES = "(no frame has forces: errors of energies alone)"
GENERATOR = "tpainn_lite evaluate"  # both files of a report begin with it, and by that are recognised
HEAD = f"<!doctype html><meta charset='utf-8'><meta name='generator' content='{GENERATOR}'>"
NUMBERS = f'{{\n "generator": "{GENERATOR}",'
LONGEST = 40  # characters of a kind of frame, or of a level, that are shown


def evaluate(potential: Potential, frames: Sequence[Atoms], report: Path | str | None = None) -> str:
    """Errors of a potential on labelled frames, all together and by ``info["config_type"]``.

    Parameters
    ----------
    frames
        With energy and, all or some of them, forces; none of them trained on.
    report
        ``.html``: parity plots of energies and forces; the numbers are written to a ``.json`` of the same name.

    Returns
    -------
    str
        A table: number of frames, energy MAE and RMSE (meV/atom), force MAE and RMSE (meV/Å).

    Raises
    ------
    ValueError, TypeError, OSError
        Frames without energies, a potential that predicts what is no number, or a report that cannot be written.
    """
    check_labels(frames, need=("energy",))
    check_report(report)
    for index, atoms in enumerate(frames):
        check_values(atoms, f"frame {index}")
    if not hasattr(potential, "predict"):
        raise TypeError(f"potential is a {type(potential).__name__}; what has `predict`, as a Potential, is expected")
    energies, forces = _compared(frames, *potential.predict(frames))
    kinds = [_short(atoms.info.get("config_type", "frames")) for atoms in frames]
    groups = {"all": range(len(frames))} | {kind: np.flatnonzero(np.equal(kinds, kind)) for kind in sorted(set(kinds))}
    rows = [_row(name, [energies[k] for k in group], [forces[k] for k in group]) for name, group in groups.items()]
    if report:
        _write(Path(report), rows, _figures(energies, forces, _level(frames)), potential.metadata)
    notes = [*[OTHER_ZERO] * (rows[0]["energy_mae"] > 1000), *[NO_FORCES] * (not any(forces))]
    return "\n".join([_table(rows), *notes])


def _compared(frames, energies, forces):
    """Pairs of label and prediction: energies per atom, and forces, None where a frame has none."""
    energy_pairs, force_pairs = [], []
    for index, (atoms, energy, force) in enumerate(zip(frames, energies, forces, strict=True)):
        if not (np.isfinite(energy) and np.isfinite(force).all()):
            raise ValueError(
                f"frame {index} ({atoms.get_chemical_formula()}): the potential predicts numbers that are not finite; "
                "its weights are broken, or this frame is unlike all that it knows"
            )
        energy_pairs.append((label_of(atoms, "energy") / len(atoms), energy / len(atoms)))
        force_pairs.append((label_of(atoms, "forces"), force) if "forces" in atoms.calc.results else None)
    return energy_pairs, force_pairs


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


def _row(name, energies, forces):
    """One line of the table, from pairs of labels and predictions; None where a frame has no forces."""
    row = {"frames": name, "n": len(energies)}
    for key, pairs in (("energy", energies), ("force", [pair for pair in forces if pair is not None])):
        errors = 1e3 * np.concatenate([np.zeros(0), *(np.ravel(predicted - label) for label, predicted in pairs)])
        row[f"{key}_mae"] = round(float(np.abs(errors).mean()), 3) if errors.size else None
        row[f"{key}_rmse"] = round(float(np.sqrt((errors**2).mean())), 3) if errors.size else None
    return row


def _table(rows):
    lines = [f"{'frames':20s} {'n':>6s} {'energy MAE':>11s} {'RMSE':>8s} {'force MAE':>10s} {'RMSE':>8s}"]
    for row in rows:
        columns = (("energy_mae", 11), ("energy_rmse", 8), ("force_mae", 10), ("force_rmse", 8))
        cells = [f"{'-':>{width}}" if row[key] is None else f"{row[key]:{width}.1f}" for key, width in columns]
        lines.append(f"{row['frames']:20s} {row['n']:6d} {' '.join(cells)}")
    return "\n".join([*lines, "energies in meV/atom, forces in meV/Å"])


def _level(frames):
    """What the labels are, for the axes."""
    levels = sorted({_short(atoms.info["level"]) for atoms in frames if "level" in atoms.info})
    return _short(", ".join(levels)) if levels else "reference"


def _short(text):
    """In one line that a terminal can show."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _figures(energies, forces, level):
    """Parity plots of energies per atom and, where there are some, of forces."""
    labels, predicted = zip(*energies, strict=True)
    yield parity(labels, {"PaiNN": predicted}, "energy per atom", "eV", reference_name=level)
    if any(forces):
        labels, predicted = zip(*filter(None, forces), strict=True)
        yield parity(labels, {"PaiNN": predicted}, reference_name=level)


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
