"""Our own list of small molecules of H, C, N, O, F: graphs that a few stated rules allow.

Molecules grow from single atoms: add an atom with a single bond, close a ring, or raise a bond's order, keep what the
rules below allow, one entry per canonical SMILES.  Up to 5 heavy atoms: all of them.  With 6 to 9: a random sample,
each grown from a random molecule of the list with one atom less.  Writes ``data/molecules.csv``.

    python data/make/molecules.py            # about a minute
"""

import argparse
from pathlib import Path

import numpy as np
from rdkit import Chem, RDLogger

from tpainn_lite.structures.files import write_text
from tpainn_lite.teachers.rdkit import ForceFieldError, type_molecule

VALENCE = {"C": 4, "N": 3, "O": 2, "F": 1}
FORBIDDEN = {  # rule in words: SMARTS that must not match
    "no bond between two of O and F": "[#8,#9]~[#8,#9]",
    "no N-F bond": "[#7]~[#9]",
    "no chain of three N or O": "[#7,#8]~[#7,#8]~[#7,#8]",
    "no N-N or N-O bond in a three- or four-membered ring": "[#7,#8;r3,r4]~[#7,#8;r3,r4]",
    "no multiple bond in or from a three- or four-membered ring": "[r3,r4]=,#,:*",
    "no triple bond in a ring": "[R]#[R]",
    "no cumulated double bonds in a ring": "[R]=[R]=[R]",
    "no atom in two rings if one of them is small": "[R2;r3,r4]",
    "no three cumulated double bonds": "*=*=*=*",
    "no saturated C with three N or O": "[CX4]([N,O])([N,O])[N,O]",
    "no saturated C with F and an OH or NH (loses HF)": "[CX4](F)[N,O;!H0]",
    "no saturated C with two OH or NH (loses water)": "[CX4]([N,O;!H0])[N,O;!H0]",
    "no enol, ynol or enamine with H (rearranges)": "C([N,O;!H0])=,#C",
    "no N=C-OH (rearranges to an amide)": "N=C[OH]",
    "no N2": "N#N",
}
PATTERNS = [Chem.MolFromSmarts(smarts) for smarts in FORBIDDEN.values()]
GROWN = {6: 2000, 7: 1500, 8: 1500, 9: 1500}  # heavy atoms: molecules in the sample
GROW_BY = {"C": 0.55, "N": 0.2, "O": 0.2, "F": 0.05}  # how often the next atom is which
SEED = 20262
ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


def enumerate_molecules(max_heavy):
    """All allowed canonical SMILES with up to ``max_heavy`` heavy atoms, smallest first."""
    layer, found = set(VALENCE), []
    for size in range(1, max_heavy + 1):
        layer = _closure(layer)
        found += [(size, smiles) for smiles in sorted(layer) if _allowed(smiles)]
        layer = {grown for smiles in layer for grown in _add_atom(smiles)} if size < max_heavy else set()
    return found


def grow_molecules(parents, count, rng):
    """``count`` different allowed SMILES with one heavy atom more than these: a random new atom, 0 to 4 new bonds."""
    found = set()
    while len(found) < count:
        parent, symbol = str(rng.choice(parents)), str(rng.choice(list(GROW_BY), p=list(GROW_BY.values())))
        grown = sorted(set(_add_atom(parent, [symbol])))
        for _ in range(rng.integers(5)):
            grown = sorted(set(_add_bond(str(rng.choice(grown))))) if grown else []
        if grown and _allowed(smiles := str(rng.choice(grown))):
            found.add(smiles)
    return sorted(found)


def _closure(layer):
    """Everything that ring closures and higher bond orders make of these graphs (no new atoms)."""
    seen, frontier = set(layer), set(layer)
    while frontier:
        frontier = {new for smiles in frontier for new in _add_bond(smiles)} - seen
        seen |= frontier
    return seen


def _free(atom):
    return VALENCE[atom.GetSymbol()] - round(sum(b.GetBondTypeAsDouble() for b in atom.GetBonds()))


def _add_atom(smiles, symbols=tuple(VALENCE)):
    base = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(base, clearAromaticFlags=True)
    for atom in base.GetAtoms():
        for symbol in symbols:
            if _free(atom) > 0:
                grown = Chem.RWMol(base)
                grown.AddBond(atom.GetIdx(), grown.AddAtom(Chem.Atom(symbol)), ORDERS[1])
                yield from _canonical(grown)


def _add_bond(smiles):
    base = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(base, clearAromaticFlags=True)
    atoms = list(base.GetAtoms())
    for i, first in enumerate(atoms):
        for second in atoms[i + 1 :]:
            if _free(first) < 1 or _free(second) < 1:
                continue
            changed = Chem.RWMol(base)
            bond = changed.GetBondBetweenAtoms(first.GetIdx(), second.GetIdx())
            if bond is None:
                changed.AddBond(first.GetIdx(), second.GetIdx(), ORDERS[1])
            elif bond.GetBondTypeAsDouble() < 3:
                bond.SetBondType(ORDERS[int(bond.GetBondTypeAsDouble()) + 1])
            else:
                continue
            yield from _canonical(changed)


def _canonical(rdmol):
    try:
        Chem.SanitizeMol(rdmol)
    except (Chem.AtomValenceException, Chem.KekulizeException):
        return
    yield Chem.MolToSmiles(rdmol)


def _allowed(smiles):
    rdmol = Chem.MolFromSmiles(smiles)
    if not any(atom.GetSymbol() == "C" for atom in rdmol.GetAtoms()) and rdmol.GetNumAtoms() > 2:
        return False
    if any(rdmol.HasSubstructMatch(pattern) for pattern in PATTERNS):
        return False
    if rdmol.GetRingInfo().NumRings() > 2:
        return False
    try:
        type_molecule(smiles, "MMFF94")
    except ForceFieldError:
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-heavy", type=int, default=5, help="all molecules up to this size")
    parser.add_argument("--no-sample", action="store_true", help="and none of the larger ones")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "molecules.csv")
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    rows, rng = enumerate_molecules(arguments.max_heavy), np.random.default_rng(SEED)
    for size, count in ({} if arguments.no_sample else GROWN).items():
        parents = [smiles for n, smiles in rows if n == size - 1]
        rows += [(size, smiles) for smiles in grow_molecules(parents, count, rng)]
        print(f"{count} molecules of {size} heavy atoms")
    write_text(arguments.out, "smiles,n_heavy\n" + "".join(f"{smiles},{size}\n" for size, smiles in rows))
    print(f"{len(rows)} molecules in {arguments.out}")


if __name__ == "__main__":
    main()
