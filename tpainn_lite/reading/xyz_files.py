"""Programs that write .xyz files in their own way: i-PI, CP2K, and the QM9 data set.

What these put into the comment line is no ``key=value``: a cell with its units (i-PI: https://docs.ipi-code.org), an
energy in Hartree (CP2K), fifteen properties in Hartree (QM9: Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22).
"""

import re
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cell import Cell
from ase.units import Bohr, Hartree

from tpainn_lite.reading.molfiles import numbered_smiles
from tpainn_lite.reading.rows import atoms_from, numbers_in, text_of, xyz_blocks
from tpainn_lite.reading.units import bond_ratio
from tpainn_lite.structures.arguments import DatasetError

LENGTHS = {
    "": Bohr, "automatic": Bohr, "atomic_unit": Bohr, "bohr": Bohr, "angstrom": 1.0, "nanometer": 10.0,
    "picometer": 0.01, "meter": 1e10,
}  # fmt: skip  # of i-PI, in Å
FORCES = {"": Hartree / Bohr, "automatic": Hartree / Bohr, "atomic_unit": Hartree / Bohr, "ev/ang": 1.0}  # in eV/Å
IPI_CELL = re.compile(r"CELL[(\[{](abcABC|H|GENH)[)\]}]:?\s*((?:[-+0-9.EeDd]+\s*)+)")
IPI_UNIT = re.compile(r"\b([A-Za-z_]+)\{([^}]*)\}")
IPI_POSITIONS = ("positions", "x_centroid", "x_centroid_even", "x_centroid_odd", "unwrapped")
CP2K_COMMENT = re.compile(r"^\s*i\s*=\s*(\d+)\s*,(?:\s*time\s*=\s*([-+0-9.EeDd]+)\s*,)?\s*E\s*=\s*([-+0-9.EeDd]+)")
QM9_COMMENT = re.compile(r"^gdb[\s_9]*(\d+)((?:\s+[-+0-9.eE*^]+){15})\s*$")
SHORTEST = 0.75  # of nearest neighbours, in units of a bond's length; less is no structure in Å


def _second_line(head):
    lines = head.split(b"\n", 2)
    return lines[1].decode(errors="replace").strip("\r") if len(lines) > 1 and lines[0].strip().isdigit() else ""


# --- i-PI ---


def is_ipi(path: Path, head: bytes) -> bool:
    """Whether i-PI wrote this file of XYZ frames, whatever its name: its comment begins with a cell."""
    return IPI_CELL.search(_second_line(head)) is not None


def read_ipi(path: Path) -> list[Atoms]:
    """Positions and cells as i-PI wrote them, in Å, whatever unit its comments name; atomic units where they do not.

    The forces are taken too where their file has the same name with ``for`` or ``frc`` for ``pos``.
    """
    quantities, frames = [], []
    for line, comment, rows, _ in xyz_blocks(path):
        where = f"{path.name}, line {line}"
        quantity, values, cell = _ipi_frame(comment, rows, where)
        quantities.append(quantity)
        frames.append((where, [row[0] for row in rows], values, cell))
    if any(quantity not in IPI_POSITIONS for quantity in quantities):
        other = next(quantity for quantity in quantities if quantity not in IPI_POSITIONS)
        raise DatasetError(
            f"{path.name} holds {other}, no positions; name the file of positions (forces next to it are taken)"
        )
    structures = [_in_cell(atoms_from(names, values, where), *cell) for where, names, values, cell in frames]
    _check_bonds(structures, path, 'state them in each comment, as in "positions{angstrom} cell{angstrom}"')
    forces = _beside(path, (".pos", ".for"), (".pos", ".frc"), ("positions", "forces"))
    if forces is not None:
        found = [_ipi_frame(comment, rows, forces.name)[1] for _, comment, rows, _ in xyz_blocks(forces)]
        _add_forces(structures, found, path, forces)
    return structures


def ipi_units(path: Path) -> str:
    """What the comment of the first frame states; atomic units where it states none."""
    comment = text_of(path).split("\n", 2)[1]
    stated = IPI_UNIT.findall(IPI_CELL.sub(" ", comment))
    return ",".join(f"{name}={unit}" for name, unit in stated if unit) or "positions=atomic_unit"


def _ipi_frame(comment, rows, where):
    """(name of what the columns hold, their values in Å or eV/Å, (cell of rows in Å, form)) of one frame."""
    stated = IPI_UNIT.findall(IPI_CELL.sub(" ", comment))
    quantity, unit = next(((name, unit) for name, unit in stated if name != "cell"), ("positions", ""))
    cell_unit = next((unit for name, unit in stated if name == "cell"), "")
    found = IPI_CELL.search(comment)
    form, words = found.groups() if found else ("", "")
    values = numbers_in([word for row in rows for word in row[1:4]], where).reshape(-1, 3)
    table = FORCES if "force" in quantity or quantity.startswith("f_") else LENGTHS
    if quantity not in IPI_POSITIONS and table is LENGTHS:
        return quantity, values, (None, form)
    for name, known in ((unit, table), (cell_unit, LENGTHS)):
        if name.lower() not in known:
            raise DatasetError(
                f"{where}: unit {name!r} is unknown; one of {', '.join(filter(None, known))} is expected"
            )
    cell = numbers_in(words.split(), where)
    if form and len(cell) != (6 if form == "abcABC" else 9):
        raise DatasetError(f"{where}: CELL({form}) with {len(cell)} numbers; {6 if form == 'abcABC' else 9} expected")
    return quantity, values * table[unit.lower()], (_ipi_cell(form, cell, LENGTHS[cell_unit.lower()]), form)


def _ipi_cell(form, numbers, scale):
    """(3, 3) Å, its sides as rows; None without a cell."""
    if form == "abcABC":
        return Cell.fromcellpar([*numbers[:3] * scale, *numbers[3:]]).array
    if form == "H":
        return numbers.reshape(3, 3).T * scale  # i-PI's matrix has the sides as columns
    return numbers.reshape(3, 3) * scale if form else None


def _in_cell(atoms, cell, _):
    if cell is not None and np.linalg.det(cell) > 0 and cell.diagonal().min() > 0:
        atoms.set_cell(cell)
        atoms.pbc = True
    return atoms


# --- CP2K ---


def is_cp2k(path: Path, head: bytes) -> bool:
    """Whether CP2K wrote this file of XYZ frames: ``i = 0, time = 0.0, E = -17.1`` in the comment."""
    return CP2K_COMMENT.match(_second_line(head)) is not None


def read_cp2k(path: Path) -> list[Atoms]:
    """CP2K's positions, with the energies of the comments (Hartree → eV).

    From the files that CP2K writes at the same time, ``PROJECT-frc-1.xyz`` and ``PROJECT-1.cell`` for
    ``PROJECT-pos-1.xyz``, come forces (Hartree/Bohr → eV/Å) and cells (Å), where they are.
    """
    for part, what in (("-frc-", "forces"), ("-vel-", "velocities")):
        if part in path.name:
            raise DatasetError(f"{path.name} holds {what}; name {path.name.replace(part, '-pos-')}, the positions")
    blocks, frames, steps = xyz_blocks(path), [], []
    for line, comment, rows, _ in blocks:
        where, found = f"{path.name}, line {line}", CP2K_COMMENT.match(comment)
        if found is None:
            raise DatasetError(f"{where + ' + 1'}: {comment.strip()[:40]!r}; i = ..., E = ... is expected as before")
        values = numbers_in([word for row in rows for word in row[1:4]], where)
        atoms = atoms_from([row[0] for row in rows], values, where)
        atoms.calc = SinglePointCalculator(atoms, energy=numbers_in([found[3]], where)[0] * Hartree)
        if found[2]:
            atoms.info["time"] = float(numbers_in([found[2]], where)[0])
        frames.append(atoms)
        steps.append(int(found[1]))
    _add_cp2k_cells(frames, steps, path)
    _check_bonds(frames, path, "is it a file of forces or velocities?")
    forces = _beside(path, ("-pos-", "-frc-"))
    if forces is not None:
        each = [numbers_in([w for row in rows for w in row[1:4]], forces.name) for _, _, rows, _ in xyz_blocks(forces)]
        _add_forces(frames, [f.reshape(-1, 3) * Hartree / Bohr for f in each], path, forces)
    return frames


def _add_cp2k_cells(frames, steps, path):
    place = path.with_name(re.sub(r"-pos(-\d+)\.xyz.*$", r"\1.cell", path.name))
    if place == path or not place.exists():
        return
    rows = [line.split() for line in text_of(place).split("\n") if line.strip() and not line.startswith("#")]
    cells = {int(row[0]): numbers_in(row[2:11], place.name).reshape(3, 3) for row in rows if len(row) >= 11}
    for step, atoms in zip(steps, frames, strict=True):
        if step not in cells:
            raise DatasetError(f"{place.name} has no cell for step {step} of {path.name}; remove it, or both")
        atoms.set_cell(cells[step])
        atoms.pbc = True


# --- both ---


def _beside(path, *exchanges):
    """A file next to this one whose name differs in one part; None where there is none."""
    places = (path.with_name(path.name.replace(*pair)) for pair in exchanges if pair[0] in path.name)
    return next((place for place in places if place.exists()), None)


def _add_forces(frames, forces, path, place):
    same = len(forces) == len(frames) and all(f.shape == a.positions.shape for f, a in zip(forces, frames, strict=True))
    if not same:
        raise DatasetError(f"{place.name} has {len(forces)} frames that do not fit the {len(frames)} of {path.name}")
    for atoms, values in zip(frames, forces, strict=True):
        results = atoms.calc.results if atoms.calc is not None else {}
        atoms.calc = SinglePointCalculator(atoms, **results, forces=values)


def _check_bonds(frames, path, advice):
    ratio = bond_ratio(frames)
    if ratio is not None and ratio < SHORTEST:
        raise DatasetError(
            f"{path.name}: in the units of its program, bonds would be {ratio:.2f} times as long as usual ones; "
            f"{advice}"
        )


# --- QM9 ---


def is_qm9(path: Path, head: bytes) -> bool:
    """Whether this is a raw file of QM9, dsgdb9nsd_000001.xyz, or several in one."""
    return QM9_COMMENT.match(_second_line(head)) is not None


def read_qm9(path: Path) -> list[Atoms]:
    """QM9's molecules: the electronic energy, U0 minus the zero-point energy (Hartree → eV), as `load_qm9` has it.

    ``info`` has ``id``, ``U0`` and ``zpve`` (eV), ``smiles``; ``arrays`` the Mulliken charges.
    """
    return [_qm9_molecule(*block, path) for block in xyz_blocks(path)]


def _qm9_molecule(line, comment, rows, others, path):
    where, found = f"{path.name}, line {line}", QM9_COMMENT.match(comment)
    if found is None:
        raise DatasetError(f"{where}: {comment[:40]!r} is no line of QM9's fifteen properties")
    values = numbers_in(found[2].split(), where)
    zpve, u0 = values[9] * Hartree, values[10] * Hartree  # after A B C mu alpha homo lumo gap r2
    columns = numbers_in([word for row in rows for word in row[1:5]], where).reshape(-1, 4)
    atoms = atoms_from([row[0] for row in rows], columns[:, :3], where)
    atoms.set_array("mulliken_charges", columns[:, 3])
    atoms.info.update(id=int(found[1]), U0=u0, zpve=zpve, config_type="relaxed", source="QM9")
    atoms.info["level"] = "B3LYP/6-31G(2df,p)"
    written = others[1].split() if len(others) > 1 else []  # frequencies; SMILES, twice; InChI, twice
    smiles = next(filter(None, (numbered_smiles(word, atoms) for word in reversed(written))), None)
    if smiles is not None:
        atoms.info["smiles"] = smiles
    atoms.calc = SinglePointCalculator(atoms, energy=u0 - zpve)
    return atoms
