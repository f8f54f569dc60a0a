"""A potential judged on labelled frames: a table, and parity plots with the numbers beside them in a file."""

import html
import json
from pathlib import Path

import numpy as np

from tpainn_lite.show.plots import parity
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.checks import check_labels, label_of
from tpainn_lite.structures.files import check_target, path_of, write_text

OTHER_ZERO = "(the potential counts energies from another zero than these labels; autotuning on a few refits it)"
NO_FORCES = "(no frame has forces: errors of energies alone)"
GENERATOR = "tpainn_lite evaluate"  # both files of a report say so, and by that are recognised
HEAD = f"<!doctype html><meta charset='utf-8'><meta name='generator' content='{GENERATOR}'>"
NUMBERS = f'{{\n "generator": "{GENERATOR}",'
LONGEST = 40  # characters of a kind of frame, or of a level, that are shown


def evaluate(potential, frames, report=None):
    """Errors of a potential on labelled frames, all together and by ``info["config_type"]``.

    Parameters
    ----------
    potential : Potential
    frames : list of ase.Atoms
        With energy and, all or some of them, forces; none of them trained on.
    report : str or Path, optional
        ``.html``: parity plots of energies and forces; the numbers go beside it as ``.json``.

    Returns
    -------
    str
        A table: number of frames, energy MAE and RMSE (meV/atom), force MAE and RMSE (meV/Å).

    Raises
    ------
    ValueError, OSError
        Frames without energies, a potential that predicts what is no number, or a report that cannot be written.
    """
    frames = list(frames)
    check_report(report)
    _check(frames)
    if not hasattr(potential, "predict"):
        raise TypeError(
            f"potential is a {type(potential).__name__}; a Potential, or what predicts like one, is expected"
        )
    energies, forces = potential.predict(frames)
    _check_predicted(frames, energies, forces)
    sizes = np.array([len(atoms) for atoms in frames])
    true_energies = np.array([label_of(atoms, "energy") for atoms in frames])
    true_forces = [label_of(atoms, "forces") if "forces" in atoms.calc.results else None for atoms in frames]
    kinds = np.array([_short(atoms.info.get("config_type", "frames")) for atoms in frames])
    off = 1e3 * (energies - true_energies) / sizes  # (n,) meV/atom
    push = [None if t is None else 1e3 * (f - t) for f, t in zip(forces, true_forces, strict=True)]
    groups = {"all": np.full(len(frames), True)} | {kind: kinds == kind for kind in np.unique(kinds)}
    rows = [_row(name, off[mask], [p for p, m in zip(push, mask, strict=True) if m]) for name, mask in groups.items()]
    if report:
        pairs = [(true_energies / sizes, energies / sizes), (true_forces, forces)]
        _write(Path(report), rows, _figures(*pairs, _levels(frames)), potential.metadata)
    notes = [*([OTHER_ZERO] if rows[0]["energy_mae"] > 1000 else []), *([] if any(_found(push)) else [NO_FORCES])]
    return "\n".join([_table(rows), *notes])


def check_report(report, sources=()):
    """Raise an error where a report could not be written, or would destroy something; None needs no file.

    Parameters
    ----------
    report : str or Path
        ``.html``; its ``.json`` is looked at too.
    sources : iterable of path
        Files that are read, and stay as they are.
    """
    if report is None:
        return
    report = path_of(report, "report")
    for path, suffix, beginning in ((report, ".html", HEAD), (report.with_suffix(".json"), ".json", NUMBERS)):
        check_target(path, sources, (suffix,), lambda there, beginning=beginning: _begins(there, beginning))


def _begins(path, beginning):
    with open(path, "rb") as file:
        return file.read(len(beginning.encode())) == beginning.encode()


def _check(frames):
    """Raise `DatasetError` unless all frames have an energy, and those forces that are there are whole."""
    check_labels(frames, need=("energy",))
    for index, atoms in enumerate(frames):
        forces = label_of(atoms, "forces") if "forces" in atoms.calc.results else np.zeros((len(atoms), 3))
        if forces.shape != (len(atoms), 3) or not np.isfinite(forces).all():
            raise DatasetError(f"frame {index} ({atoms.get_chemical_formula()}): finite forces (N, 3) are expected")


def _check_predicted(frames, energies, forces):
    for index, (atoms, energy, force) in enumerate(zip(frames, energies, forces, strict=True)):
        if not (np.isfinite(energy) and np.isfinite(force).all()):
            raise ValueError(
                f"frame {index} ({atoms.get_chemical_formula()}): the potential predicts numbers that are not finite; "
                "its weights are broken, or this frame is unlike all that it knows"
            )


def _found(values):
    return [value is not None for value in values]


def _row(name, energy_errors, force_errors):
    there = [errors for errors in force_errors if errors is not None]
    force = np.concatenate(there).ravel() if there else None
    values = {
        "energy_mae": np.abs(energy_errors).mean(),
        "energy_rmse": np.sqrt(np.mean(energy_errors**2)),
        "force_mae": None if force is None else np.abs(force).mean(),
        "force_rmse": None if force is None else np.sqrt(np.mean(force**2)),
    }
    rounded = {key: None if value is None else round(float(value), 3) for key, value in values.items()}
    return {"frames": name, "n": len(energy_errors), **rounded}


def _table(rows):
    lines = [f"{'frames':20s} {'n':>6s} {'energy MAE':>11s} {'RMSE':>8s} {'force MAE':>10s} {'RMSE':>8s}"]
    lines += [
        f"{r['frames']:20s} {r['n']:6d} {r['energy_mae']:11.1f} {r['energy_rmse']:8.1f} {_cell(r['force_mae'], 10)} "
        f"{_cell(r['force_rmse'], 8)}"
        for r in rows
    ]
    return "\n".join([*lines, "energies in meV/atom, forces in meV/Å"])


def _cell(value, width):
    return f"{'-':>{width}}" if value is None else f"{value:{width}.1f}"


def _levels(frames):
    """What the labels are, for the axes."""
    levels = sorted({_short(atoms.info["level"]) for atoms in frames if "level" in atoms.info})
    return _short(", ".join(levels)) if levels else "reference"


def _short(text):
    """In one line that a terminal can show."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _figures(energies, forces, level):
    """Parity plots of energies per atom and, where there are some, of forces."""
    yield parity([energies[0]], {"PaiNN": [energies[1]]}, "energy per atom", "eV", reference_name=level)
    pairs = [(true, found) for true, found in zip(*forces, strict=True) if true is not None]
    if pairs:
        true, found = zip(*pairs, strict=True)
        yield parity(true, {"PaiNN": found}, reference_name=level)


def _write(path, rows, figures, metadata):
    plots = [figure.to_html(full_html=False, include_plotlyjs=k == 0) for k, figure in enumerate(figures)]
    title, table = html.escape(path.stem.encode(errors="replace").decode()), html.escape(_table(rows))
    text = "".join(f"<p>{html.escape(f'{key}: {value}')}</p>" for key, value in metadata.items())
    text = text.encode(errors="replace").decode()
    page = f"{HEAD}<title>{title}</title><h1>{title}</h1>{text}<pre>{table}</pre>{''.join(plots)}\n"
    content = {"generator": GENERATOR, "potential": metadata, "rows": rows}
    check_report(path)  # what has come there meanwhile stays
    write_text(path, page)
    write_text(path.with_suffix(".json"), json.dumps(content, indent=1) + "\n")
