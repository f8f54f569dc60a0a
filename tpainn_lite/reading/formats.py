"""Formats that ASE reads wrongly, in part or not at all, each with a reader of ours; and those that are refused.

`format_of` is asked before any other reader.  What it does not know is extended XYZ, or left to ASE.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Hartree

from tpainn_lite.reading import array_files, md_files, molfiles, xyz_files
from tpainn_lite.reading.rows import numbers_in, text_of
from tpainn_lite.reading.units import are_in_bohr
from tpainn_lite.structures.arguments import DatasetError

TURNED = 0.05  # of the largest possible torque
HEAD = 4096  # bytes that are looked at
AENET = re.compile(r"^\s*#\s*total energy\s*=\s*(\S+)", re.MULTILINE)
REFUSED = {
    (".dcd", ".xtc", ".trr", ".tng", ".h5md", ".ncdf"): "positions without elements: read it with its topology in "
    "MDAnalysis (mda.Universe(topology, trajectory)), and write the atoms as .pdb or .gro",
    (".psf", ".prmtop", ".parm7", ".top", ".itp", ".tpr"): "a topology without positions: write both as .pdb or .sdf",
    (".h5", ".hdf5"): "HDF5, whose names and units each program chooses: write the frames as .extxyz, or as folders "
    "of DeePMD-kit",
    (".lmdb", ".aselmdb"): "a data base of fairchem or DeePMD-kit: read it with that program, and write .extxyz",
    (".pkl", ".pickle"): "a pickle, which could run any program when it is loaded: write .extxyz",
    (".zip", ".tar", ".tgz", ".7z"): "an archive: unpack it, and name the files that are in it",
    (".npy",): "one array without names: the folder of DeePMD-kit, with type.raw, or an .npz is expected",
}


@dataclass(frozen=True)
class Format:
    """A format that has a reader of ours.

    Attributes
    ----------
    name
        For the line that says what was read.
    recognises
        Whether a file, of which ``head`` are the first bytes (unpacked; none of a folder), is in it.
    read
        All frames; energies, forces and stress in eV and Å, where the format or the file states its units.
    units
        What the file states, as `parse_units` has it, from which ``read`` has turned the labels; "" where it states
        nothing.  Units given by hand would be applied to these twice.
    guess
        Units in which frames of a format without stated units are, by the lengths of their bonds; "" for eV and Å.
    """

    name: str
    recognises: Callable[[Path, bytes], bool]
    read: Callable[[Path], list[Atoms]]
    units: Callable[[Path], str] = lambda path: ""
    guess: Callable[[list[Atoms]], str] = lambda frames: ""


def format_of(path: Path | str, head: bytes | None = None) -> Format | None:
    """The format of ours that a file or folder is in; None where other readers serve.

    Parameters
    ----------
    head
        Its first bytes, where they are known.

    >>> format_of("molecules.extxyz") is None
    True
    """
    path = Path(path)
    if head is None and path.is_file():
        with open(path, "rb") as file:
            head = file.read(HEAD)
    head = (head or b"").removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    return next((known for known in SPECIAL if known.recognises(path, head)), None)


def is_folder(path: Path | str) -> bool:
    """Whether this is a folder that may stand where a file is expected: a set of DeePMD-kit, or one that is refused."""
    path = Path(path)
    return path.is_dir() and (array_files.is_deepmd(path, b"") or any(path.suffix in each for each in REFUSED))


def read_special(path: Path | str, units: str | None = None) -> tuple[list[Atoms], str, str] | None:
    """(frames, name of their format, units that are left to convert); None where the file is in none of these formats.

    Parameters
    ----------
    units
        Given by the user, for files that state none.

    Raises
    ------
    DatasetError
        The file is damaged, or holds no frames that could be read without a guess; or units were given for a file
        that states its own.
    """
    path = Path(path)
    found = format_of(path)
    if found is None:
        return None
    stated = found.units(path)
    if stated and units:
        raise DatasetError(f"{path.name} ({found.name}) states its units, {stated}; leave units={units!r} out")
    try:
        frames = found.read(path)
    except DatasetError:
        raise
    except Exception as error:  # whatever a reader makes of a damaged file
        raise DatasetError(
            f"{path.name} is damaged, or not what its name says ({found.name}; {type(error).__name__}: {error})"
        ) from error
    name = f"{found.name}, {stated} turned into eV and Å" if stated else found.name
    return frames, name, units or found.guess(frames)


# --- n2p2, aenet ---


def is_n2p2(path: Path, head: bytes) -> bool:
    """Whether this is the input.data of n2p2 or RuNNer."""
    return re.search(rb"^\s*begin\b.*\n(?s:.*?)^\s*atom\s", head, re.MULTILINE) is not None


def read_n2p2(path: Path) -> list[Atoms]:
    """All structures, in the units of the file: n2p2 has none of its own (ASE's reader takes Hartree and Bohr)."""
    from ase.io.runner import read_runnerdata
    from ase.io.runner.runneratoms import Units

    text = re.sub(r"^[ \t]+", "", text_of(path), flags=re.MULTILINE)
    found = list(read_runnerdata(io.StringIO(text), index=slice(None), input_units=Units.ASE))
    return [_n2p2_frame(atoms) for atoms in found]


def _n2p2_frame(atoms):
    clean = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    charge = float(atoms.info.get("total_charge", 0.0))
    if charge:
        clean.info["charge"] = round(charge)
    clean.calc = SinglePointCalculator(clean, **atoms.calc.results)
    return clean


def is_aenet(path: Path, head: bytes) -> bool:
    """Whether this is an .xsf of aenet, with its energy in a comment."""
    return path.suffix.lower() == ".xsf" and AENET.search(head.decode(errors="replace")) is not None


def read_aenet(path: Path) -> list[Atoms]:
    """One structure with the energy (eV) of its comment, and forces in eV/Å, which ASE takes for Hartree/Å."""
    from ase.io import read

    text = text_of(path)
    energy = numbers_in(AENET.findall(text)[:1], path.name)[0]
    atoms: Any = read(io.StringIO(text), format="xsf")
    forces = atoms.calc.results["forces"] / Hartree if atoms.calc is not None else None
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return [atoms]


# --- Gaussian, EON ---


def is_gaussian(path: Path, head: bytes) -> bool:
    """Whether this is an output of Gaussian."""
    return b"Entering Gaussian System" in head


def read_gaussian(path: Path) -> list[Atoms]:
    """All structures with an energy; forces (Hartree/Bohr → eV/Å) only where they belong to the axes of the positions.

    Gaussian prints forces in the axes of the input; where the file has positions in its standard orientation alone,
    these may be turned.  Forces in the right axes do not turn an isolated molecule.
    """
    from ase.io.gaussian import read_gaussian_out

    text = text_of(path)
    frames: Any = read_gaussian_out(io.StringIO(text), index=slice(None))
    turned = "Input orientation:" not in text and any(turning(atoms) > TURNED for atoms in frames)
    if turned:
        raise DatasetError(
            f"{path.name} has positions in its standard orientation, but forces in other axes; run Gaussian with "
            "nosymm, or with #P, so that it prints the input orientation"
        )
    return [atoms for atoms in frames if atoms.calc is not None]


def turning(atoms: Atoms) -> float:
    """How much forces turn a molecule: their torque, in units of what it could be at most; 0 without forces."""
    forces = atoms.calc.results.get("forces") if atoms.calc is not None else None
    if forces is None:
        return 0.0
    arms = atoms.positions - atoms.positions.mean(axis=0)
    most = (np.linalg.norm(arms, axis=1) * np.linalg.norm(forces, axis=1)).sum()
    return float(np.linalg.norm(np.cross(arms, forces).sum(axis=0)) / most) if most > 0 else 0.0


def is_eon(path: Path, head: bytes) -> bool:
    """Whether this is a .con of EON."""
    return path.suffix.lower() == ".con"


def read_eon(path: Path) -> list[Atoms]:
    """All structures, periodic as EON takes them (ASE's reader leaves them in vacuum)."""
    from ase.io import read

    frames: Any = read(path, index=":", format="eon")
    for atoms in frames:
        atoms.pbc = bool(atoms.cell.volume)
    return frames


# --- all ---


def _refused(suffixes, why):
    def refuse(path: Path) -> list[Atoms]:
        raise DatasetError(f"{path.name} is {why}")

    return Format("refused", lambda path, head: path.suffix.lower() in suffixes, refuse)


def _fixed(units):
    return lambda path: units


SPECIAL: tuple[Format, ...] = (
    Format("DeePMD-kit", array_files.is_deepmd, array_files.read_deepmd),
    Format("i-PI, its cell and units from the comments", xyz_files.is_ipi, xyz_files.read_ipi, xyz_files.ipi_units),
    Format("CP2K", xyz_files.is_cp2k, xyz_files.read_cp2k, _fixed("energy=Hartree,forces=Hartree/Bohr")),
    Format("QM9", xyz_files.is_qm9, xyz_files.read_qm9, _fixed("energy=Hartree")),
    Format("SDF, bonds by RDKit", molfiles.is_sdf, molfiles.read_sdf),
    Format("mol2, bonds by RDKit", molfiles.is_mol2, molfiles.read_mol2),
    Format("PDB", md_files.is_pdb, md_files.read_pdb),
    Format("Gromacs", md_files.is_gro, md_files.read_gro),
    Format("LAMMPS dump", md_files.is_lammps_dump, md_files.read_lammps_dump),
    Format("LAMMPS data", md_files.is_lammps_data, md_files.read_lammps_data),
    Format("n2p2", is_n2p2, read_n2p2, guess=lambda frames: "Hartree,Bohr" if are_in_bohr(frames) else ""),
    Format("aenet", is_aenet, read_aenet, _fixed("energy=eV,forces=eV/Å")),
    Format("Gaussian", is_gaussian, read_gaussian, _fixed("energy=Hartree,forces=Hartree/Bohr")),
    Format("EON", is_eon, read_eon),
    Format("npz", array_files.is_npz, array_files.read_npz, array_files.npz_units),
    Format("PyTorch Geometric", array_files.is_pyg, array_files.read_pyg),
    *(_refused(suffixes, why) for suffixes, why in REFUSED.items()),
)
