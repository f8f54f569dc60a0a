"""Files of simulation programs whose atoms have names or types instead of elements: PDB, Gromacs, LAMMPS.

What has no element is never guessed from a number: LAMMPS' type 1 is not hydrogen.  Names are read as the Protein Data
Bank means them (https://www.wwpdb.org/documentation/file-format): CA is a carbon, unless it is its residue's only atom.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cell import Cell
from ase.data import atomic_masses, atomic_numbers
from ase.units import kcal, mol

from tpainn_lite.reading.rows import atoms_from, numbers_in, text_of
from tpainn_lite.reading.xyz_files import IPI_UNIT, LENGTHS
from tpainn_lite.structures.arguments import DatasetError

ONE_LETTER = "HCNOFPSIBK"
TWO_LETTERS = ("CL", "BR")  # of an atom's name in a molecule; other elements of two letters stand alone, as ions
SITES = re.compile(r"(M|MW|EP|EPW|LP\d?|OM|VS\d?|X\d?|DUM)$")  # points of a water model, no atoms
PLACEHOLDER = 1.5  # Å; CRYST1 with shorter sides means that there is no cell
NEAR = 0.3  # amu between a mass in LAMMPS' file and an element's
DUMP_FORCES = {"metal": 1.0, "real": kcal / mol}  # LAMMPS' units in which lengths are in Å: forces in eV/Å


def element_of(name: str, residue: str, where: str) -> str:
    """The element of an atom with such a name in such a residue; `DatasetError` where the names do not say it.

    >>> element_of("CA", "ALA", "my.pdb"), element_of("CA", "CA", "my.pdb"), element_of("HW1", "SOL", "my.gro")
    ('C', 'Ca', 'H')
    """
    letters = re.sub(r"[^A-Z]", "", name.upper())
    alone = re.sub(r"[^A-Z]", "", residue.upper())
    ion = letters.capitalize() if letters == alone else ""
    if ion in atomic_numbers:
        return ion
    if SITES.match(name.upper()):
        raise DatasetError(f"{where}: {name} of {residue} is a point of a water model, no atom; leave these out")
    if letters.startswith(TWO_LETTERS):
        return letters[:2].capitalize()
    if letters[:1] and letters[0] in ONE_LETTER:
        return letters[0]
    raise DatasetError(f"{where}: the element of {name!r} is not known; write it into columns 77 and 78, as PDB has it")


# --- PDB ---


def is_pdb(path: Path, head: bytes) -> bool:
    """Whether this is a file of the Protein Data Bank's format, by its name or its records."""
    return path.suffix.lower() in (".pdb", ".ent") or re.match(rb"(HEADER|CRYST1|ATOM  |HETATM)", head) is not None


def read_pdb(path: Path) -> list[Atoms]:
    """All models of a PDB file, in Å; a cell (CRYST1) holds until another one is given, and 1 × 1 × 1 Å is none."""
    frames: list[Atoms] = []
    rows: list[tuple[str, str]] = []
    cell, scale, cell_scale = None, 1.0, 1.0
    for number, line in enumerate([*text_of(path).split("\n"), "END"], 1):
        where = f"{path.name}, line {number}"
        if line.startswith(("MODEL", "END")) and rows:
            frames.append(_pdb_frame(rows, cell, scale))
            rows = []
        elif line.startswith("TITLE"):
            scale, cell_scale = _ipi_scales(line, where)
        elif line.startswith("CRYST1"):
            cell = _cryst1(line, where, cell_scale)
        elif line.startswith(("ATOM  ", "HETATM")):
            rows.append((line, where))
    if not frames:
        raise DatasetError(f"{path.name} holds no ATOM or HETATM; a PDB file with at least one atom is expected")
    return frames


def _ipi_scales(line, where):
    """(Å in a position's unit, Å in the cell's) as i-PI states them in TITLE; Å unless stated."""
    units = dict(IPI_UNIT.findall(line))
    stated = [units.get(name, "angstrom") for name in ("positions", "cell")]
    if any(unit.lower() not in LENGTHS for unit in stated):
        raise DatasetError(f"{where}: units {stated}; one of {', '.join(filter(None, LENGTHS))} is expected")
    return [LENGTHS[unit.lower()] for unit in stated]


def _cryst1(line, where, scale):
    sides = numbers_in([line[6:15], line[15:24], line[24:33], line[33:40], line[40:47], line[47:54]], where)
    lengths = sides[:3] * scale
    return Cell.fromcellpar([*lengths, *sides[3:]]) if lengths.min() > PLACEHOLDER else None


def _pdb_frame(rows, cell, scale):
    names = [_pdb_element(line, where) for line, where in rows]
    words = [word for line, _ in rows for word in (line[30:38], line[38:46], line[46:54])]
    atoms = atoms_from(names, numbers_in(words, rows[0][1]) * scale, rows[0][1])
    if cell is not None:
        atoms.set_cell(cell)
        atoms.pbc = True
    charges = [re.fullmatch(r"(\d)([+-])", line[78:80].strip()) for line, _ in rows]
    total = sum(int(found[2] + found[1]) for found in charges if found)
    if total:
        atoms.info["charge"] = total
    return atoms


def _pdb_element(line, where):
    if line[16:17].strip() not in ("", "A", "1"):
        raise DatasetError(f"{where}: an atom has alternative locations; keep one of each (column 17)")
    symbol = line[76:78].strip().capitalize()
    return symbol if symbol in atomic_numbers or symbol == "D" else element_of(line[12:16].strip(), line[17:20], where)


# --- Gromacs ---


def is_gro(path: Path, head: bytes) -> bool:
    """Whether this is Gromacs' .gro."""
    return path.suffix.lower() == ".gro"


def read_gro(path: Path) -> list[Atoms]:
    """All frames of a Gromacs file, nm → Å, with their cells."""
    lines, frames, place = text_of(path).split("\n"), [], 0
    while place + 1 < len(lines) and any(line.strip() for line in lines[place:]):
        where = f"{path.name}, line {place + 2}"
        if not lines[place + 1].strip().isdigit():
            raise DatasetError(f"{where}: {lines[place + 1].strip()[:40]!r}: a number of atoms is expected")
        n = int(lines[place + 1])
        rows, place = lines[place + 2 : place + 3 + n], place + 3 + n
        if len(rows) < n + 1:
            raise DatasetError(f"{where}: {n} atoms are announced, {len(rows)} lines follow")
        names = [element_of(row[10:15].strip(), row[5:10].strip(), where) for row in rows[:n]]
        atoms = atoms_from(names, 10 * numbers_in([w for row in rows[:n] for w in _gro_position(row)], where), where)
        atoms.set_cell(10 * _gro_cell(numbers_in(rows[n].split(), where), where))
        atoms.pbc = bool(atoms.cell.volume)
        frames.append(atoms)
    return frames


def _gro_position(row):
    """The three numbers, whose width is the distance between their points: it depends on the number of digits."""
    points = [k for k, letter in enumerate(row) if letter == "." and k >= 20]
    width = points[1] - points[0] if len(points) > 1 else 8
    return [row[20 + k * width : 20 + (k + 1) * width] for k in range(3)]


def _gro_cell(v, where):
    if len(v) not in (0, 3, 9):
        raise DatasetError(f"{where}: a cell of {len(v)} numbers; 3 or 9 are expected, or none")
    xx, yy, zz, xy, xz, yx, yz, zx, zy = np.pad(v, (0, 9 - len(v)))  # the first letter is the side's
    return np.array([[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]])


# --- LAMMPS ---


def is_lammps_data(path: Path, head: bytes) -> bool:
    """Whether this is what LAMMPS reads with read_data."""
    return all(re.search(rb"^\s*\d+\s+" + words, head, re.MULTILINE) for words in (rb"atoms\b", rb"atom types\b"))


def read_lammps_data(path: Path) -> list[Atoms]:
    """One structure, its elements by the masses of its types, lengths in Å (LAMMPS' units real or metal)."""
    from ase.io.lammpsdata import read_lammps_data as read

    text = text_of(path)
    _check_lammps_units(path, re.search(r"units = (\w+)", text.partition("\n")[0]))
    section = re.search(r"^\s*Masses.*\n+((?:\s*\d+\s+[-+0-9.eE]+.*\n+)+)", text, re.MULTILINE)
    if section is None:
        raise DatasetError(f"{path.name} has no section Masses, so that its types have no elements; write one, in amu")
    masses = {int(row.split()[0]): float(row.split()[1]) for row in section[1].split("\n") if row.strip()}
    z_of_type = {kind: _by_mass(mass, f"{path.name}, type {kind}") for kind, mass in masses.items()}
    atoms = read(io.StringIO(text), Z_of_type=z_of_type)
    clean = atoms_from(atoms.symbols, atoms.positions, path.name)
    clean.set_masses(atoms.get_masses())
    clean.set_cell(atoms.cell)
    clean.pbc = atoms.pbc
    return [clean]


def _check_lammps_units(path, stated):
    units = stated[1] if stated else ""
    if units and units not in DUMP_FORCES:
        raise DatasetError(f"{path.name} is in LAMMPS' units {units}; real or metal, lengths in Å, are expected")
    return units


def _by_mass(mass, where):
    if abs(mass - 2.014) < 0.01 or abs(mass - 3.016) < 0.01:
        return 1
    z = int(np.nanargmin(np.abs(atomic_masses[1:] - mass))) + 1
    if abs(atomic_masses[z] - mass) > NEAR:
        raise DatasetError(f"{where}: a mass of {mass:g} is no element's; all atoms, and masses in amu, are expected")
    return z


def is_lammps_dump(path: Path, head: bytes) -> bool:
    """Whether this is LAMMPS' dump, as text."""
    return re.match(rb"\s*ITEM: (TIMESTEP|UNITS|TIME)\b", head) is not None


def read_lammps_dump(path: Path) -> list[Atoms]:
    """All frames, with their cells; elements from the columns element or mass.

    Forces (fx fy fz) are taken where the file states its units (``dump_modify units yes``): real or metal.
    """
    from ase.io.lammpsrun import read_lammps_dump_text as read

    text = text_of(path)
    columns = re.search(r"^ITEM: ATOMS (.*)$", text, re.MULTILINE)
    names: Sequence[str] = columns[1].split() if columns else ()
    if not {"element", "mass"} & set(names):
        raise DatasetError(
            f"{path.name} has no column element: LAMMPS' types have no names; dump with 'dump 1 all custom 10 "
            f"{path.name} id element x y z' and 'dump_modify 1 element O H', your elements in the order of the types"
        )
    stated = re.search(r"^ITEM: UNITS\n(\w+)", text, re.MULTILINE)
    units = _check_lammps_units(path, stated)
    text = re.sub(r"^ITEM: (UNITS|TIME)\n.*\n", "", text, flags=re.MULTILINE)
    try:
        frames = read(io.StringIO(text), index=slice(None))
    except KeyError as error:
        name = str(error.args[0])
        raise DatasetError(f"{path.name}: {name!r} stands where the symbol of an element is expected") from error
    return [_of_dump(atoms, units, f"{path.name}, frame {k}") for k, atoms in enumerate(frames)]


def _of_dump(atoms, units, where):
    clean = atoms_from(atoms.symbols, atoms.positions, where)
    clean.set_cell(atoms.cell)
    clean.pbc = atoms.pbc
    results = atoms.calc.results if atoms.calc is not None else {}
    if units and "forces" in results:
        clean.calc = SinglePointCalculator(clean, forces=results["forces"] * DUMP_FORCES[units])
    return clean
