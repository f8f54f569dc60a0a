"""Files that hold bonds: SDF, MDL's mol and Tripos' mol2, read by RDKit, every molecule of them.

The bonds become ``info["smiles"]``, a SMILES whose atoms are numbered in the order of the file, [O:1]([H:2])[H:3], so
that a force field types the atoms without another order; charges, unpaired electrons and isotopes are kept.
"""

import csv
import io
import re
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cell import Cell
from ase.units import Hartree

from tpainn_lite.reading.rows import atoms_from, numbers_in, text_of
from tpainn_lite.structures.arguments import DatasetError
from tpainn_lite.structures.geometry import bonds_of
from tpainn_lite.structures.smiles import LONGEST

FEW = 2  # bonds that a radical lacks; molecules without their hydrogens lack more
TRIES = 10_000  # orders of bonds, until they fit
ORDERS = {1.0, 1.5, 2.0, 3.0}  # of bonds that a force field knows; in other files they are unknown
MOL2_ORDERS = {"1", "2", "3", "ar", "am"}
NEUTRAL = 0.1  # e; the sum of partial charges is this near to a whole number


# --- SDF, mol ---


def is_sdf(path: Path, head: bytes) -> bool:
    """Whether this is an SDF file, or MDL's mol, by its name and its fourth line."""
    return path.suffix.lower() in (".sdf", ".sd", ".mol", ".mdl") and b"INDX" not in head[:4]


def read_sdf(path: Path) -> list[Atoms]:
    """All molecules of an SDF or mol file (V2000, V3000): positions in Å, bonds, charges, radicals, isotopes.

    ``gdb9.sdf`` with ``gdb9.sdf.csv`` in the same folder is QM9, with its energies.
    """
    from rdkit import Chem

    frames = []
    for number, block in _sdf_blocks(text_of(path)):
        where = f"{path.name}, molecule {number}"
        rdmol = _quiet(Chem.MolFromMolBlock, block, sanitize=False, removeHs=False, strictParsing=False)
        if rdmol is None or not rdmol.GetNumConformers():
            raise DatasetError(f"{where} is damaged: RDKit cannot read its table of atoms and bonds")
        atoms = _atoms_of(rdmol, where)
        title, program = (block.split("\n") + [""])[:2]
        _check_is_3d(atoms, program[20:22].upper() == "2D", where)
        frames.append(_with_bonds(atoms, rdmol, where))
        if title.strip():
            atoms.info["id"] = title.strip()
    if not frames:
        raise DatasetError(f"{path.name} holds no molecule; an SDF file with at least one is expected")
    return _with_qm9_energies(frames, path)


def _sdf_blocks(text):
    """(number from 1, table of atoms and bonds) of each molecule."""
    pieces = re.split(r"^\$\$\$\$.*\n?", text, flags=re.MULTILINE)
    for number, piece in enumerate(pieces, 1):
        if piece.strip():
            yield number, re.split(r"^M  END", piece, maxsplit=1, flags=re.MULTILINE)[0] + "M  END\n"


def _members(rdmol):
    """Its atoms in a list: RDKit's own sequence of them is slow."""
    return [rdmol.GetAtomWithIdx(k) for k in range(rdmol.GetNumAtoms())]


def _quiet(function, *arguments, **options):
    from rdkit import rdBase

    with rdBase.BlockLogs():
        try:
            return function(*arguments, **options)
        except (ValueError, RuntimeError):  # RDKit's own are kinds of these
            return None


def _check_is_3d(atoms, is_drawing, where):
    if is_drawing or (len(atoms) > 1 and not np.ptp(atoms.positions, axis=0).any()):
        raise DatasetError(
            f"{where} is a flat drawing (2D); positions in space are expected: make them with molecule(smiles), "
            "or with obabel --gen3d"
        )


def _atoms_of(rdmol, where):
    members = _members(rdmol)
    atoms = atoms_from([atom.GetSymbol() for atom in members], rdmol.GetConformer().GetPositions(), where)
    heavy = {k: atom.GetMass() for k, atom in enumerate(members) if atom.GetIsotope()}
    if heavy:
        masses = atoms.get_masses()
        masses[list(heavy)] = list(heavy.values())
        atoms.set_masses(masses)
    return atoms


def _with_bonds(atoms, rdmol, where):
    """The same atoms; with ``smiles``, ``charge`` and ``multiplicity`` where RDKit understands the bonds."""
    from rdkit import Chem

    charge = Chem.GetFormalCharge(rdmol)
    if charge:
        atoms.info["charge"] = charge
    bonds = [rdmol.GetBondWithIdx(k) for k in range(rdmol.GetNumBonds())]
    if not {bond.GetBondTypeAsDouble() for bond in bonds} <= ORDERS:
        rdmol = _ordered([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds], atoms, charge)
    if rdmol is None or _quiet(Chem.SanitizeMol, rdmol) is None:
        return atoms  # an unusual valence
    if not rdmol.GetNumBonds() and any(atom.GetTotalNumHs() for atom in _members(rdmol)) and len(atoms) > 1:
        return atoms  # no bonds at all, as ASE writes its files
    _close_shells(rdmol, where)
    return _with_smiles(atoms, rdmol)


def _with_smiles(atoms, rdmol):
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in _members(rdmol))
    if unpaired:
        atoms.info["multiplicity"] = unpaired + 1
    smiles = _numbered(rdmol)
    if len(smiles) <= LONGEST:
        atoms.info["smiles"] = smiles
    return atoms


def _ordered(pairs, atoms, charge):
    """RDKit's molecule with bonds between these pairs, orders and formal charges as it finds them; None if none fit."""
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    rdmol = Chem.RWMol(_skeleton(atoms.numbers.tolist(), pairs))
    rdmol.AddConformer(Chem.Conformer(len(atoms)))
    done = _quiet(
        lambda: (
            rdDetermineBonds.DetermineBondOrders(rdmol, charge=charge, maxIterations=TRIES, embedChiral=False) or True
        )
    )
    return rdmol if done else None


def _skeleton(numbers, pairs):
    """RDKit's molecule of these elements, with single bonds and no hydrogens that are not there."""
    from rdkit import Chem

    rdmol = Chem.RWMol()
    for z in numbers:
        atom = Chem.Atom(z)
        atom.SetNoImplicit(True)
        rdmol.AddAtom(atom)
    for i, j in pairs:
        rdmol.AddBond(int(i), int(j), Chem.BondType.SINGLE)
    return rdmol


def _close_shells(rdmol, where):
    """Atoms with too few bonds become radicals; `DatasetError` where the file has left hydrogens out."""
    lacking = {k: n for k, n in enumerate(atom.GetTotalNumHs() for atom in _members(rdmol)) if n}
    if sum(lacking.values()) > FEW and rdmol.GetNumAtoms() > 1:
        raise DatasetError(
            f"{where} lacks {sum(lacking.values())} hydrogens; all atoms are expected: add them with obabel -h, or "
            "with RDKit's AddHs(mol, addCoords=True)"
        )
    for index, n in lacking.items():
        atom = rdmol.GetAtomWithIdx(index)
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(0)
        atom.SetNumRadicalElectrons(atom.GetNumRadicalElectrons() + n)


def _numbered(rdmol):
    """SMILES with all atoms numbered from 1, in the molecule's order."""
    from rdkit import Chem

    copy = Chem.Mol(rdmol)
    if copy.GetNumConformers():  # before numbers make all hydrogens of a methyl group different
        Chem.AssignStereochemistryFrom3D(copy)
    for number, atom in enumerate(_members(copy), 1):
        atom.SetAtomMapNum(number)
    return Chem.MolToSmiles(copy)


def numbered_smiles(smiles: str, atoms: Atoms) -> str | None:
    """The same molecule's SMILES with its atoms numbered as in ``atoms``, whose bonds are seen by their lengths.

    None where the bonds are others.

    >>> from ase.build import molecule
    >>> numbered_smiles("O", molecule("H2O"))
    '[O:1]([H:2])[H:3]'
    """
    from rdkit import Chem

    rdmol = _quiet(Chem.MolFromSmiles, smiles)
    if rdmol is None or Chem.AddHs(rdmol).GetNumAtoms() != len(atoms):
        return None
    rdmol, seen = Chem.AddHs(rdmol), _skeleton(atoms.numbers.tolist(), bonds_of(atoms).tolist())
    if seen.GetNumBonds() != rdmol.GetNumBonds():
        return None
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in rdmol.GetBonds()]
    pattern = _skeleton([atom.GetAtomicNum() for atom in rdmol.GetAtoms()], pairs)
    order = Chem.Mol(seen).GetSubstructMatch(pattern)  # of each atom of the SMILES: its place in ``atoms``
    return _numbered(Chem.RenumberAtoms(rdmol, np.argsort(order).tolist())) if order else None


# --- QM9's gdb9.sdf ---


def _with_qm9_energies(frames, path):
    """The same molecules, with the energies that QM9's table has next to its SDF file."""
    table = path.with_name(f"{path.name}.csv")
    if not path.name.startswith("gdb9") or not table.exists():
        return frames
    rows = list(csv.DictReader(io.StringIO(text_of(table))))
    if len(rows) < len(frames) or not {"u0", "zpve"} <= rows[0].keys():
        raise DatasetError(f"{table.name} has {len(rows)} rows for the {len(frames)} molecules of {path.name}")
    for number, (atoms, row) in enumerate(zip(frames, rows, strict=False), 1):
        u0, zpve = numbers_in([row["u0"], row["zpve"]], f"{table.name}, row {number}") * Hartree
        atoms.info.update(id=number, U0=float(u0), zpve=float(zpve), config_type="relaxed", source="QM9")
        atoms.info["level"] = "B3LYP/6-31G(2df,p)"
        atoms.calc = SinglePointCalculator(atoms, energy=float(u0 - zpve))
    return frames


# --- mol2 ---


def is_mol2(path: Path, head: bytes) -> bool:
    """Whether this is a Tripos mol2 file."""
    return path.suffix.lower() == ".mol2" or b"@<TRIPOS>MOLECULE" in head


def read_mol2(path: Path) -> list[Atoms]:
    """All molecules of a mol2 file: positions in Å, bonds, cell, and the charge, the sum of partial charges."""
    pieces = text_of(path).split("@<TRIPOS>MOLECULE")[1:]
    if not pieces:
        raise DatasetError(f"{path.name} holds no @<TRIPOS>MOLECULE; a mol2 file is expected")
    return [_mol2_molecule(piece, f"{path.name}, molecule {number}") for number, piece in enumerate(pieces, 1)]


def _mol2_molecule(piece, where):
    parts = f"MOLECULE{piece}".split("@<TRIPOS>")
    sections = {part.partition("\n")[0].strip(): part.partition("\n")[2] for part in parts}
    rows = [line.split() for line in sections.get("ATOM", "").split("\n") if line.strip()]
    if not rows or any(len(row) < 6 for row in rows):
        raise DatasetError(f"{where} is damaged: its table of atoms is missing or cut off")
    positions = numbers_in([word for row in rows for word in row[2:5]], where).reshape(-1, 3)
    atoms = atoms_from([row[5].partition(".")[0] for row in rows], positions, where)
    _check_is_3d(atoms, False, where)
    header = sections["MOLECULE"].split("\n")
    if header[0].strip(" *"):
        atoms.info["id"] = header[0].strip()
    bonds = [line.split() for line in sections.get("BOND", "").split("\n") if line.strip()]
    return _with_crysin(
        _with_mol2_bonds(atoms, f"@<TRIPOS>MOLECULE{piece}", bonds, _total_charge(rows, header), where),
        sections.get("CRYSIN", "").split(),
    )


def _with_mol2_bonds(atoms, text, bonds, charge, where):
    """The same atoms with their bonds; where RDKit does not know the types, orders are found from the charge."""
    from rdkit import Chem

    places = {row[0]: k for k, row in enumerate(_mol2_rows(text))}
    if not all(len(row) >= 4 and row[1] in places and row[2] in places for row in bonds):
        raise DatasetError(f"{where} is damaged: a bond is cut off, or one of an atom that is not there")
    rdmol = _quiet(Chem.MolFromMol2Block, text, removeHs=False) if {row[3] for row in bonds} <= MOL2_ORDERS else None
    if rdmol is not None and rdmol.GetNumAtoms() == len(atoms) and charge in (None, Chem.GetFormalCharge(rdmol)):
        return _with_bonds(atoms, rdmol, where)
    if charge:
        atoms.info["charge"] = charge
    rdmol = _ordered([(places[row[1]], places[row[2]]) for row in bonds], atoms, charge or 0) if bonds else None
    return atoms if rdmol is None else _with_smiles(atoms, rdmol)


def _mol2_rows(text):
    section = text.partition("@<TRIPOS>ATOM")[2].partition("@<TRIPOS>")[0]
    return [line.split() for line in section.split("\n")[1:] if line.strip()]


def _total_charge(rows, header):
    """The sum of the partial charges; None without any."""
    if any("NO_CHARGES" in line for line in header) or any(len(row) < 9 for row in rows):
        return None
    total = float(numbers_in([row[8] for row in rows], "partial charges").sum())
    return round(total) if abs(total - round(total)) < NEUTRAL else None


def _with_crysin(atoms, words):
    if len(words) >= 6:
        atoms.set_cell(Cell.fromcellpar(numbers_in(words[:6], "CRYSIN")))
        atoms.pbc = True
    return atoms
