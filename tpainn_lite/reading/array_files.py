"""Data sets kept as arrays: DeePMD-kit's folders, .npz of sGDML and rMD17 and PyTorch Geometric's copies.

DeePMD: eV, Å, virial in eV (minus stress times volume), https://docs.deepmodeling.com.  Nothing is unpickled but
tensors and the names of PyTorch Geometric's own classes.
"""

import itertools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from tpainn_lite.reading.rows import atoms_from
from tpainn_lite.reading.units import convert
from tpainn_lite.structures.arguments import DatasetError

DEEPMD_PARTS = ("coord", "box", "energy", "force", "virial", "real_atom_types")
QM9_U0, QM9_ZPVE = 7, 6  # columns of PyTorch Geometric's y, in eV
NPZ_NAMES = {  # of each quantity, in the files of sGDML, rMD17, and those that followed them
    "numbers": ("z", "Z", "nuclear_charges", "atomic_numbers", "numbers"),
    "positions": ("R", "coords", "positions", "coordinates"),
    "energy": ("E", "energies", "energy"),
    "forces": ("F", "forces"),
}


def _frame(names, positions, where, cell=None, energy=None, forces=None, stress=None):
    atoms = atoms_from(names, positions, where)
    if cell is not None:
        atoms.set_cell(cell)
        atoms.pbc = True
    labels = {"energy": energy, "forces": forces, "stress": stress}
    labels = {name: value for name, value in labels.items() if value is not None}
    if labels:
        atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


# --- DeePMD ---


def is_deepmd(path: Path, head: bytes) -> bool:
    """Whether this is a folder of DeePMD-kit, one of several, or a file in one."""
    return bool(_systems(path))


def _systems(path):
    """Folders with a type.raw: this one, that of this file, or those one or two levels below."""
    if not path.is_dir():
        if path.suffix not in (".npy", ".raw"):
            return []
        return [folder for folder in (path.parent, path.parent.parent) if (folder / "type.raw").is_file()][:1]
    if not (path / "type.raw").is_file() and path.name.startswith("set.") and (path.parent / "type.raw").is_file():
        return [path.parent]
    return sorted(file.parent for below in ("", "*/", "*/*/") for file in path.glob(f"{below}type.raw"))


def read_deepmd(path: Path) -> list[Atoms]:
    """All frames of DeePMD-kit's folders, from set.*/*.npy or *.raw: eV, Å; stress is minus the virial over the volume.

    Frames of mixed types (``real_atom_types.npy``) and folders of several systems are read too.
    """
    return [atoms for folder in _systems(path) for atoms in _system(folder)]


def _system(folder):
    kinds = np.loadtxt(folder / "type.raw", dtype=int, ndmin=1)
    if not (folder / "type_map.raw").is_file():
        raise DatasetError(
            f"{folder} has no type_map.raw, so that its {kinds.max() + 1} kinds of atoms have no names; write their "
            "symbols into one, each on a line"
        )
    names = np.array((folder / "type_map.raw").read_text().split())
    sets = sorted(place for place in folder.glob("set.*") if place.is_dir())
    parts = [_deepmd_set(place, ".npy") for place in sets] or [_deepmd_set(folder, ".raw")]
    is_periodic = not (folder / "nopbc").exists()
    return [atoms for part in parts for atoms in _deepmd_frames(part, kinds, names, is_periodic, folder)]


def _deepmd_set(place, suffix):
    """{part: (n, ...)} of one folder set.000, or of the text files of a system."""
    found = {}
    for part in DEEPMD_PARTS:
        file = place / f"{part}{suffix}"
        if file.is_file():
            try:
                values = np.load(file, allow_pickle=False) if suffix == ".npy" else np.loadtxt(file, ndmin=2)
                found[part] = np.asarray(values, dtype=float)
            except (OSError, ValueError, EOFError) as error:
                raise DatasetError(f"{file} cannot be read ({error}); make it again") from error
    if "coord" not in found:
        raise DatasetError(f"{place} has no coord{suffix}; a set of DeePMD-kit with one is expected")
    return found


def _deepmd_frames(part, kinds, names, is_periodic, folder):
    n, n_atoms = len(part["coord"]), len(kinds)
    widths = {
        "coord": 3 * n_atoms,
        "force": 3 * n_atoms,
        "box": 9,
        "virial": 9,
        "energy": 1,
        "real_atom_types": n_atoms,
    }
    for name, values in part.items():
        if values.size != n * widths[name]:
            raise DatasetError(f"{folder}: {name} has the shape {values.shape}; ({n}, {widths[name]}) is expected")
    if is_periodic and "box" not in part:
        raise DatasetError(f"{folder} has no box; one is expected, or an empty file nopbc for molecules in vacuum")
    flat = {name: values.reshape(n, widths[name]) for name, values in part.items()}
    for k in range(n):
        types = flat["real_atom_types"][k].astype(int) if "real_atom_types" in flat else kinds
        if types.max() >= len(names):
            raise DatasetError(f"{folder}: type {types.max()} has no name among the {len(names)} of type_map.raw")
        real = types >= 0  # frames of fewer atoms are filled up with atoms of the type -1
        cell = flat["box"][k].reshape(3, 3) if is_periodic else None
        yield _frame(
            names[types[real]].tolist(),
            flat["coord"][k].reshape(-1, 3)[real],
            f"{folder}, frame {k}",
            cell,
            energy=float(flat["energy"][k, 0]) if "energy" in flat else None,
            forces=flat["force"][k].reshape(-1, 3)[real] if "force" in flat else None,
            stress=_stress(flat["virial"][k], cell, folder) if "virial" in flat and cell is not None else None,
        )


def _stress(virial, cell, folder):
    volume = abs(np.linalg.det(cell))
    if not volume > 0:
        raise DatasetError(f"{folder}: a box has no volume; write an empty file nopbc for molecules in vacuum")
    return -virial.reshape(3, 3) / volume


# --- .npz ---


def is_npz(path: Path, head: bytes) -> bool:
    """Whether this is an .npz with numbers and positions of atoms, as sGDML and rMD17 have it."""
    if path.suffix.lower() != ".npz" or not head.startswith(b"PK"):
        return False
    with zipfile.ZipFile(path) as archive:
        there = {name.removesuffix(".npy") for name in archive.namelist()}
    return all(there & set(NPZ_NAMES[name]) for name in ("numbers", "positions"))


def read_npz(path: Path) -> list[Atoms]:
    """Frames of one molecule, in eV and Å where the file states its units (sGDML), or is rMD17 (kcal/mol, Å)."""
    with np.load(path, allow_pickle=False) as there:
        found: dict[str, Any] = {}
        for quantity, names in NPZ_NAMES.items():
            found[quantity] = next((there[name] for name in names if name in there), None)
        units = npz_units(path)
    numbers, positions = np.asarray(found["numbers"], dtype=int), np.asarray(found["positions"], dtype=float)
    if positions.ndim != 3 or numbers.shape[-1] != positions.shape[1]:
        raise DatasetError(f"{path.name}: positions have the shape {positions.shape}, for atoms {numbers.shape}")
    symbols = np.broadcast_to(numbers, positions.shape[:2]).astype(str)
    energies, forces = found["energy"], found["forces"]
    frames = [
        _frame(
            symbols[k].tolist(),
            positions[k],
            f"{path.name}, frame {k}",
            energy=None if energies is None else float(np.ravel(energies)[k]),
            forces=None if forces is None else np.asarray(forces[k], dtype=float),
        )
        for k in range(len(positions))
    ]
    return convert(frames, units) if units else frames


def npz_units(path: Path) -> str:
    """Units that an .npz states, as `parse_units` has them; "" where it states none."""
    with np.load(path, allow_pickle=False) as there:
        if "old_energies" in there:  # rMD17
            return "energy=kcal/mol,forces=kcal/mol/Å,positions=Å"
        if "e_unit" not in there or "r_unit" not in there:
            return ""
        energy, length = str(there["e_unit"]), str(there["r_unit"])
    return f"energy={energy},forces={energy}/{length},positions={length}"


# --- PyTorch Geometric ---


def is_pyg(path: Path, head: bytes) -> bool:
    """Whether this is a file of torch.save."""
    return path.suffix in (".pt", ".pth") and head.startswith(b"PK")


def read_pyg(path: Path) -> list[Atoms]:
    """PyTorch Geometric's processed copy of QM9 (``processed/data_v3.pt``) or MD17.

    QM9's energies are U0 minus the zero-point energy as this copy has them, in steps of 1 meV; MD17's are turned from
    kcal/mol into eV.  Only tensors and the names of PyTorch Geometric's classes are loaded, no other code.
    """
    data, slices = _pyg_tensors(path)
    if not {"z", "pos"} <= data.keys():
        raise DatasetError(f"{path.name} holds no numbers and positions of atoms; QM9 or MD17 is expected")
    counts = np.asarray(slices["pos"])
    numbers, positions = np.asarray(data["z"]).ravel(), np.asarray(data["pos"], dtype=float)
    frames = []
    for k, (start, end) in enumerate(itertools.pairwise(counts)):
        z = numbers[start:end] if len(numbers) == len(positions) else numbers
        frames.append(_frame(z.astype(str).tolist(), positions[start:end], f"{path.name}, molecule {k + 1}"))
    if "energy" in data and "force" in data:  # MD17
        return _with_md17_labels(frames, data, counts)
    if np.asarray(data.get("y", [])).shape == (len(frames), 19):
        return _with_qm9_labels(frames, data)
    return frames


def _pyg_tensors(path):
    """({name: tensor}, {name: places of the molecules in it})."""
    import torch
    import torch_geometric.data as pyg

    safe = [
        pyg.Data,
        *(getattr(pyg.data, name) for name in ("DataEdgeAttr", "DataTensorAttr") if hasattr(pyg.data, name)),
    ]
    try:
        with torch.serialization.safe_globals(safe):
            content = torch.load(path, map_location="cpu", weights_only=True)
        data, slices = content[:2]
        return dict(data), dict(slices)
    except Exception as error:  # pickle's own error, with what may be done about it
        raise DatasetError(
            f"{path.name} is no copy of a data set of PyTorch Geometric that can be loaded safely; give the raw files, "
            "or write the frames as .extxyz"
        ) from error


def _with_md17_labels(frames, data, counts):
    energies, forces = np.asarray(data["energy"], dtype=float).ravel(), np.asarray(data["force"], dtype=float)
    for k, atoms in enumerate(frames):
        each = forces[counts[k] : counts[k + 1]]
        atoms.calc = SinglePointCalculator(atoms, energy=float(energies[k]), forces=each)
    return convert(frames, "energy=kcal/mol,forces=kcal/mol/Å,positions=Å")


def _with_qm9_labels(frames, data):
    values = np.asarray(data["y"], dtype=float)
    identity = np.asarray(data.get("idx", np.arange(len(frames)))).ravel() + 1
    for atoms, row, number in zip(frames, values, identity.tolist(), strict=True):
        u0, zpve = float(row[QM9_U0]), float(row[QM9_ZPVE])
        atoms.info.update(id=number, U0=u0, zpve=zpve, config_type="relaxed", source="QM9")
        atoms.info["level"] = "B3LYP/6-31G(2df,p)"
        atoms.calc = SinglePointCalculator(atoms, energy=u0 - zpve)
    return frames
