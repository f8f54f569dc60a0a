"""The shipped sets, and the results of the benchmarks.

Every shipped set is an extended XYZ file under ``data/`` (xz-compressed when large), listed with its origin in
``data/README.md`` and with its checksum in ``data/SHA256SUMS``.  Reading checks both the sum and the labels.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ase import Atoms

from tpainn_lite.reading.frames import frames_of
from tpainn_lite.reading.labels import has_reader
from tpainn_lite.structures.arguments import DatasetError, check_choice, check_counts
from tpainn_lite.structures.files import sha256
from tpainn_lite.structures.smiles import skeleton

Part = Literal["train", "valid", "test", "test_large"]
PARTS = ("train", "valid", "test", "test_large")
SCANS = ("bond", "angle", "torsion", "dimer")
WATER_KINDS = ("liquid", "dimer", "monomer")
NEED = ("energy", "forces")  # labels of every shipped frame
_described: dict[str, str] = {}  # what the sets that were loaded are
_later: list[bool] = []  # filled by a lesson, which prints this at its end


# --- files under data/ ---


def data_folder() -> Path:
    """The folder of the shipped data: ``$TPAINN_DATA``; or ``data/``, next to the package as in a clone, or inside it
    where pip has installed it.  `DatasetError` where there is none."""
    package = Path(__file__).resolve().parents[1]
    clone, installed = package.parent / "data", package / "data"
    folder = Path(os.environ.get("TPAINN_DATA") or (installed if (installed / "SHA256SUMS").exists() else clone))
    if not folder.is_dir():
        raise DatasetError(
            f"no data folder at {folder}: run from a clone of the repository, or set TPAINN_DATA to its data/ folder"
        )
    return folder


def shipped_file(name: str) -> Path:
    """Path of a shipped file, after comparing its checksum with ``data/SHA256SUMS``."""
    folder = data_folder()
    path = folder / name
    for needed in ("SHA256SUMS", name):
        if not (folder / needed).exists():
            if path.with_name("unfinished.extxyz.xz").exists():
                raise DatasetError(f"data/{name} is still being computed; data/README.md says what is there")
            raise DatasetError(f"data/{needed} is missing; restore it with: git checkout -- data/{needed}")
    if f"{sha256(path)}  {name}" not in (folder / "SHA256SUMS").read_text().splitlines():
        raise DatasetError(
            f"data/{name} is not the file that was shipped (its checksum differs); restore it with: "
            f"git checkout -- data/{name}"
        )
    return path


def tell_once(name: str) -> None:
    """Print what a shipped set is, the first time that it is loaded in a notebook or a terminal."""
    card = data_folder() / name / "README.md"
    if name in _described or not card.exists():
        return
    _described[name] = card.read_text(encoding="utf-8").split("\n\n")[1].replace("\n", " ")
    if has_reader() and not _later:
        print(_described[name])


def cards_at_end() -> dict[str, str]:
    """What the shipped sets are that were loaded, by name, also later ones; from now on nothing of it is printed."""
    _later.append(True)
    return _described


def _load_part(name, split):
    check_choice(PARTS, split=split)
    tell_once(name)
    from ase.io.extxyz import key_val_str_to_dict_regex  # for headers as simple as ours, faster by a third

    return frames_of(shipped_file(f"{name}/{split}.extxyz.xz"), NEED, parser=key_val_str_to_dict_regex)


# --- our own sets ---


def load_molecules(split: Part) -> list[Atoms]:
    """Our own DFT set: small molecules of H, C, N, O, F at B3LYP/6-31G(2df,p), split by molecule.

    With energy (eV) and forces (eV/Å); ``info`` has ``smiles``, ``id``, ``config_type``, ``level``.

    Parameters
    ----------
    split
        "train", "valid" and "test" have up to 6 heavy atoms, "test_large" 7 to 9.  No molecule is in two parts.

    Raises
    ------
    DatasetError
        The file is missing or was changed.

    >>> len({atoms.info["smiles"] for atoms in load_molecules("valid")}) > 30
    True
    """
    return _load_part("molecules_b3lyp", split)


def load_water(split: Part, kind: Literal["liquid", "dimer", "monomer"] | None = None) -> list[Atoms]:
    """Our own DFT set of liquid water: boxes of 32 H2O, molecules and pairs in a box, at revPBE-D3.

    With energy (eV), forces (eV/Å) and stress (eV/Å³); ``info`` has ``config_type``, ``density`` (g/cm³),
    ``temperature`` (K), ``time`` (fs, as in MD; the files have ps), ``trajectory``, ``id``, ``level``.

    Parameters
    ----------
    split
        "test_large" has boxes of 64 H2O.  Frames of one trajectory in different parts are at least 1 ps apart.
    kind
        Only these; all of them unless given.

    Raises
    ------
    DatasetError
        The file is missing or was changed.

    >>> len(load_water("valid", kind="liquid")[0])
    96
    """
    check_choice((None, *WATER_KINDS), kind=kind)
    frames = [atoms for atoms in _load_part("water_dft", split) if kind in (None, atoms.info["config_type"])]
    for atoms in frames:
        if "time" in atoms.info:
            atoms.info["time"] = round(1000 * atoms.info["time"], 6)
    return frames


def load_methanol(split: Literal["train", "valid", "test"]) -> list[Atoms]:
    """Our own DFT set of liquid methanol: boxes of 16 CH3OH at revPBE-D3, split by time and density.

    With energy (eV), forces (eV/Å) and stress (eV/Å³); ``info`` has ``density`` (g/cm³), ``temperature`` (K), ``time``
    (fs), ``trajectory``, ``molecules``, ``id``, ``level``.

    Parameters
    ----------
    split
        "test" holds later times of the trajectories of "train", and one density that is nowhere else.

    Raises
    ------
    DatasetError
        The file is missing or was changed.

    >>> len(load_methanol("train")[0])
    96
    """
    check_choice(PARTS[:3], split=split)
    return _load_part("methanol_dft", split)


def load_reactions(split: Literal["train", "valid", "test"]) -> list[Atoms]:
    """Our own DFT set of reactions: bonds that break and form, at B3LYP/6-31G(2df,p), split by molecule.

    With energy (eV) and forces (eV/Å); ``info`` has ``smiles`` (of what it was before), ``reaction`` (frames of one
    stand side by side, in order), ``config_type``, ``id``, ``level``.

    Parameters
    ----------
    split
        The molecules of "test" are among those of ``load_molecules("test")``, and so for the others.

    Raises
    ------
    DatasetError
        The file is missing or was changed.

    >>> len({atoms.info["reaction"] for atoms in load_reactions("valid")})
    4
    """
    check_choice(PARTS[:3], split=split)
    return _load_part("reactions_b3lyp", split)


def load_scan(name: Literal["bond", "angle", "torsion", "dimer"]) -> list[Atoms]:
    """DFT along one simple motion, B3LYP/6-31G(2df,p): what the terms of a force field can be compared with.

    With energy and forces, in order; ``info["coordinate"]`` is the length in Å or the angle in degrees.

    Parameters
    ----------
    name
        The O-H bond of water, the angle of water, the torsion of butane, or two waters pulled apart.

    Raises
    ------
    DatasetError
        The file is missing or was changed.

    >>> [float(atoms.info["coordinate"]) for atoms in load_scan("bond")][:2]
    [0.75, 0.8]
    """
    check_choice(SCANS, scan=name)
    tell_once("scans_b3lyp")
    return frames_of(shipped_file(f"scans_b3lyp/{name}.extxyz.xz"), NEED)


def molecule_list(max_heavy: int = 5, exclude: Sequence[Part] = ("valid", "test", "test_large")) -> list[str]:
    """SMILES to pretrain on: our own enumeration of small molecules, without the DFT set's held-out ones.

    Parameters
    ----------
    max_heavy
        Largest number of atoms other than H.
    exclude
        Parts of `load_molecules` whose molecules are left out.

    Raises
    ------
    DatasetError
        A file is missing or was changed.

    >>> molecule_list(max_heavy=1, exclude=())
    ['C', 'N', 'O']
    """
    check_counts(max_heavy=max_heavy)
    if isinstance(exclude, str) or not hasattr(exclude, "__iter__"):
        raise TypeError(f"exclude is {exclude!r}; a tuple of parts among {PARTS} is expected")
    held_out = {skeleton(atoms.info["smiles"]) for part in exclude for atoms in load_molecules(part)}
    rows = [row.rsplit(",", 1) for row in shipped_file("molecules.csv").read_text().split()[1:]]
    return [smiles for smiles, size in rows if int(size) <= max_heavy and skeleton(smiles) not in held_out]


# --- results ---


def results_path(name: str) -> Path:
    """Where the results of a benchmark are, or will be written."""
    return data_folder() / "results" / f"{name}.json"


def load_results(name: str) -> dict:
    """What a benchmark wrote: ``data/results/<name>.json``, whose ``rows`` are a list of flat dicts.

    Raises
    ------
    DatasetError
        There are no such results; the message lists those that there are.

    >>> load_results("tour")["command"].split()[1]
    'benchmarks/tour.py'
    """
    path = results_path(name)
    if not path.exists():
        there = sorted(file.stem for file in path.parent.glob("*.json"))
        raise DatasetError(f"no results {name!r} in {path.parent}; there are {there}")
    return json.loads(path.read_text(encoding="utf-8"))
