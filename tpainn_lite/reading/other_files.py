"""Files of structures that are no extended XYZ: through ASE, with a look at what its readers leave out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from tpainn_lite.structures.arguments import DatasetError

UNREAD = {
    ".npz": "NumPy arrays", ".pt": "pickled objects", ".pth": "pickled objects", ".parquet": "a table",
    ".csv": "a table",
}  # fmt: skip
SQLITE = b"SQLite format 3\0"
MOST_FRAMES = 300_000
SCHNETPACK = {"energy": ("energy", "energy_u0", "total_energy"), "forces": ("forces", "force")}
Raw = tuple[list[Atoms], list[str], str | None]


def read_other(path: Path) -> Raw:
    """Frames of a file through ASE, what is to be said of them, and the units that the file names.

    Raises
    ------
    DatasetError
        ASE does not know what is in it, or it is damaged.
    """
    with open(path, "rb") as file:
        head = file.read(len(SQLITE))
    if head == SQLITE:
        return _read_database(path)
    if path.suffix.lower() in UNREAD:
        raise DatasetError(
            f"{path.name} holds {UNREAD[path.suffix.lower()]}, which is not read here; write its frames as extended "
            "XYZ: ase.io.write('frames.extxyz', list_of_atoms)"
        )
    return list(_through_ase(path)), [], None


def _through_ase(path: Path) -> Iterator[Atoms]:
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError

    n = 0
    try:
        for atoms in iread(path, index=":"):
            if n == MOST_FRAMES:
                raise DatasetError(f"{path.name} has more than {MOST_FRAMES} frames; cut it")
            yield atoms
            n += 1
    except UnknownFileTypeError:
        raise DatasetError(
            f"{path.name} is no structure file that ASE knows; .extxyz, .xyz, .traj, .db, .cif … or a .smi are expected"
        ) from None
    except DatasetError:
        raise
    except Exception as error:  # whatever ASE's readers make of a damaged file
        raise DatasetError(
            f"{path.name} is damaged, or not what its name says: frame {n} is unreadable "
            f"({type(error).__name__}: {error})"
        ) from error


# --- databases ---


def _read_database(path: Path) -> Raw:
    """Rows of a database as ASE and SchNetPack write it: their key_value_pairs and data, too, may be labels."""
    from ase.db import connect

    frames = []
    try:
        database = connect(path, type="db", use_lock_file=False)
        for row in database.select():
            atoms = row.toatoms()
            atoms.info.update(row.key_value_pairs)
            atoms.info.update({key: _numbers(value) for key, value in row.data.items()})
            frames.append(atoms)
        return frames, [], _units_of(database.metadata)
    except Exception as error:  # whatever SQLite and ASE make of a damaged file
        raise DatasetError(
            f"{path.name} is damaged, or no database of ASE: row {len(frames) + 1} is unreadable "
            f"({type(error).__name__}: {error})"
        ) from error


def _numbers(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, list) else value


def _units_of(metadata: dict) -> str | None:
    """Units as SchNetPack keeps them in a database, as `parse_units` has them."""
    units = metadata.get("_property_unit_dict", {})
    named = {name: next((key for key in units if key.lower() in names), None) for name, names in SCHNETPACK.items()}
    words = [f"{name}={units[key]}" for name, key in named.items() if key is not None]
    return ",".join([*words, f"positions={metadata.get('_distance_unit', 'Ang')}"]) if units else None
