"""A potential judged on labelled frames: a table, and parity plots with the numbers beside them in a file."""

import json
from pathlib import Path

import numpy as np

from tpainn_lite.files import write_text
from tpainn_lite.plots import parity

OTHER_ZERO = "(the potential counts energies from another zero than these labels; autotuning on a few refits it)"


def evaluate(potential, frames, report=None):
    """Errors of a potential on labelled frames, all together and by ``info["config_type"]``.

    Parameters
    ----------
    potential : Potential
    frames : list of ase.Atoms
        With energy and forces; none of them trained on.
    report : str or Path, optional
        ``.html``: parity plots of energies and forces; the numbers go beside it as ``.json``.

    Returns
    -------
    str
        A table: number of frames, energy MAE and RMSE (meV/atom), force MAE and RMSE (meV/Å).
    """
    energies, forces = potential.predict(frames)
    sizes = np.array([len(atoms) for atoms in frames])
    true_energies = np.array([atoms.get_potential_energy() for atoms in frames])
    true_forces = [atoms.get_forces() for atoms in frames]
    kinds = np.array([str(atoms.info.get("config_type", "frames")) for atoms in frames])
    off = 1e3 * (energies - true_energies) / sizes  # (n,) meV/atom
    push = [1e3 * (f - t) for f, t in zip(forces, true_forces, strict=True)]
    groups = {"all": np.full(len(frames), True)} | {kind: kinds == kind for kind in np.unique(kinds)}
    rows = [_row(name, off[mask], [p for p, m in zip(push, mask, strict=True) if m]) for name, mask in groups.items()]
    if report:
        per_atom = parity([true_energies / sizes], {"PaiNN": [energies / sizes]}, "energy per atom", "eV")
        _write(Path(report), rows, [per_atom, parity(true_forces, {"PaiNN": forces})], potential.metadata)
    return "\n".join([_table(rows), *([OTHER_ZERO] if rows[0]["energy_mae"] > 1000 else [])])


def _row(name, energy_errors, force_errors):
    force = np.concatenate(force_errors).ravel()
    values = {
        "energy_mae": np.abs(energy_errors).mean(),
        "energy_rmse": np.sqrt(np.mean(energy_errors**2)),
        "force_mae": np.abs(force).mean(),
        "force_rmse": np.sqrt(np.mean(force**2)),
    }
    return {"frames": name, "n": len(energy_errors)} | {key: round(float(v), 3) for key, v in values.items()}


def _table(rows):
    lines = [f"{'frames':20s} {'n':>6s} {'energy MAE':>11s} {'RMSE':>8s} {'force MAE':>10s} {'RMSE':>8s}"]
    lines += [
        f"{r['frames']:20s} {r['n']:6d} {r['energy_mae']:11.1f} {r['energy_rmse']:8.1f} {r['force_mae']:10.1f} "
        f"{r['force_rmse']:8.1f}"
        for r in rows
    ]
    return "\n".join([*lines, "energies in meV/atom, forces in meV/Å"])


def _write(path, rows, figures, metadata):
    plots = [figure.to_html(full_html=False, include_plotlyjs=k == 0) for k, figure in enumerate(figures)]
    text = "".join(f"<p>{key}: {value}</p>" for key, value in metadata.items())
    page = f"<!doctype html><meta charset='utf-8'><title>{path.stem}</title><h1>{path.stem}</h1>{text}"
    write_text(path, f"{page}<pre>{_table(rows)}</pre>{''.join(plots)}\n")
    write_text(path.with_suffix(".json"), json.dumps({"potential": metadata, "rows": rows}, indent=1) + "\n")
