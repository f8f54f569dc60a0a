"""Our own list of molecules of H, C, N, O, F, Si, P, S, Cl, Br, I, with up to 25 heavy atoms, and of their ions.

Nothing is taken from a database.  The rules, one for each ``kind`` of the list:

- ``small``: small molecules and ions written by hand (`fragments.SMALL`, `fragments.IONS`);
- ``grown``: of ``data/molecules.csv`` all with up to four heavy atoms, and a random sample of the larger ones;
- ``swapped``: a random molecule of that list, in which one to three atoms become their heavier neighbours in the
  periodic table: O → S, saturated N → P, saturated C → Si, F → Cl, Br or I;
- ``joined``: a random core, to which groups, and linkers with another core, are joined at random places (a hydrogen on
  a carbon, or on a nitrogen in a ring) until it has as many heavy atoms as was drawn; most begin with a group that has
  F, Si, P, S, Cl, Br or I, each equally often;
- ``peptide``: one to three random amino acids, with or without caps;
- ``ion``: one of the others, with a proton taken away, a proton added, or a methyl group added to a nitrogen; each of
  the ways (`ACIDS`, `BASES`) is tried equally often;
- ``zwitterion``: an acid loses its proton, and an amine of the same molecule gains one (or a methyl group).

All must be typed by MMFF94, have none of the `FORBIDDEN` patterns, and be none of the molecules that are held out
(`held_out.HELD_OUT`, and those of the DFT set).  Of the molecules 3 % are for validation (``part``); those that differ
by protons or stereochemistry alone are in one part.  Writes ``data/molecules_wide.csv``.

    python data/make/molecules_wide.py            # a minute or two
"""

import argparse
from pathlib import Path

import numpy as np
from fragments import CAPS, CORES, GROUPS, IONS, LINKERS, RESIDUES, SMALL
from held_out import HELD_OUT
from rdkit import Chem, RDLogger
from rdkit.Chem.MolStandardize import rdMolStandardize

from tpainn_lite.reading.shipped import PARTS, load_molecules, molecule_list
from tpainn_lite.structures.files import write_text
from tpainn_lite.structures.smiles import skeleton
from tpainn_lite.teachers.rdkit import ForceFieldError, type_molecule

FORBIDDEN = {  # rule in words: SMARTS that must not match
    "no halogen on O, N or divalent S": "[O,N,n,SX2]-[F,Cl,Br,I]",
    "no O-O": "[OX2]-[OX2]",
    "no chain of three N or O that could lose N2 or O2": "[NX3,OX2]-[NX3,OX2]-[NX3,OX2]",
    "no saturated C with a halogen and an OH, NH, SH or PH (loses HX)": "[CX4]([F,Cl,Br,I])[N,O,S,P;!H0]",
    "no saturated C with two of OH, NH, SH (loses water)": "[CX4]([N,O,S;!H0])[N,O,S;!H0]",
    "no Si or P with a halogen and an OH, NH or SH (loses HX)": "[Si,P]([F,Cl,Br,I])[N,O,S;!H0]",
    "no enol or enethiol (rearranges)": "[CX3]([O,S;H1])=[CX3]",
    "no N=C-OH (rearranges to an amide)": "[NX2]=C[OH]",
    "no carbonic or carbamic acid (loses CO2)": "[OH]C(=O)[O,N,S]",
    "no acid halide or isocyanate beside OH, NH or SH": "[$(C(=O)[Cl,Br]),$(N=C=[O,S])].[N,S,O;!H0;!$(N=C)]",
    "no three cumulated double bonds": "*=*=*=*",
    "no multiple bond to Si or P but P=O, P=S": "[Si,P]=,#[!O;!S]",
}
PATTERNS = [Chem.MolFromSmarts(smarts) for smarts in FORBIDDEN.values()]
SWAPS = {"O": ("S",), "N": ("P",), "C": ("Si",), "F": ("Cl", "Br", "I")}
SATURATED = ("N", "C")  # these are swapped only where all their bonds are single
ACIDS = {  # way: SMARTS, whose first atom loses a proton
    "carboxylate": "[OX2H]C=O", "phenolate": "[OX2H]c", "thiolate": "[SX2H]", "sulfonate": "[OX2H]S(=O)=O",
    "phosphate": "[OX2H]P=O", "sulfonamide": "[NX3;!H0]S(=O)(=O)", "azole": "[nH]",
}  # fmt: skip
AMINE = "[NX3;!$(N~[!#6;!#1]);!$(N-*=,#,:*)]"
BASES = {  # way: SMARTS, whose first atom gains a proton
    "ammonium": AMINE, "alkylammonium": AMINE, "pyridinium": "[nX2r6]", "imidazolium": "[nX2r5]:c:[nX3]",
    "guanidinium": "[NX2;!$(N-[!#6;!#1])]=[CX3]([NX3])[NX3]", "amidinium": "[NX2;!$(N-[!#6;!#1])]=[CX3]([NX3])[#6]",
}  # fmt: skip
METHYLATED = ("ammonium", "pyridinium", "imidazolium")  # these sometimes gain a methyl group in its place
COUNTS = {"grown": 450, "swapped": 1000, "joined": 2900, "peptide": 550, "ion": 950, "zwitterion": 100}
SIZES = (6, 25)  # heavy atoms of joined molecules
MOST_RINGS = 5
VALID = 0.03  # of the molecules
SEED = 202612


def swapped(rng, pool):
    """A molecule of the pool with one to three atoms swapped for heavier ones."""
    rdmol = Chem.RWMol(Chem.MolFromSmiles(str(rng.choice(pool))))
    atoms = [
        a for a in rdmol.GetAtoms() if a.GetSymbol() in SWAPS and not a.GetIsAromatic() and not a.GetFormalCharge()
    ]
    atoms = [a for a in atoms if a.GetSymbol() not in SATURATED or _is_saturated(a)]
    for k in rng.permutation(len(atoms))[: rng.integers(1, 4)].tolist():
        heavier = str(rng.choice(SWAPS[atoms[k].GetSymbol()]))
        atoms[k].SetAtomicNum(Chem.GetPeriodicTable().GetAtomicNumber(heavier))
    return _smiles(rdmol)


def _is_saturated(atom):
    return all(bond.GetBondType() == Chem.BondType.SINGLE for bond in atom.GetBonds())


def joined(rng, element):
    """A molecule of cores, linkers and groups, one of which is there for this element."""
    size = int(rng.integers(SIZES[0], SIZES[1] + 1))
    rdmol = Chem.MolFromSmiles(str(rng.choice(CORES)))
    rdmol = join(rdmol, Chem.MolFromSmiles(str(rng.choice(GROUPS[element]))), rng)
    while rdmol and rdmol.GetNumHeavyAtoms() < size:
        if size - rdmol.GetNumHeavyAtoms() > 5 and rng.random() < 0.7:
            core = Chem.MolFromSmiles(str(rng.choice(CORES)))
            part = join(core, Chem.MolFromSmiles(str(rng.choice(LINKERS))), rng)
        else:
            kind = "" if rng.random() < 0.7 else str(rng.choice(list(GROUPS)))
            part = Chem.MolFromSmiles(str(rng.choice(GROUPS[kind])))
        rdmol = part and join(rdmol, part, rng)
    return _smiles(rdmol) if rdmol and rdmol.GetNumHeavyAtoms() <= SIZES[1] else None


def join(rdmol, part, rng):
    """Both in one molecule, bonded at the first ``*`` of the part; None where there is no place."""
    sites = [a.GetIdx() for a in rdmol.GetAtoms() if a.GetTotalNumHs() and _is_site(a)]
    if not sites:
        return None
    site, both = int(rng.choice(sites)), Chem.RWMol(Chem.CombineMols(rdmol, part))
    star = next(a for a in both.GetAtoms() if a.GetAtomicNum() == 0 and a.GetIdx() >= rdmol.GetNumAtoms())
    end = star.GetNeighbors()[0]
    both.AddBond(site, end.GetIdx(), Chem.BondType.SINGLE)
    both.GetAtomWithIdx(site).SetNumExplicitHs(max(both.GetAtomWithIdx(site).GetNumExplicitHs() - 1, 0))
    both.RemoveAtom(star.GetIdx())
    return both.GetMol() if Chem.SanitizeMol(both, catchErrors=True) == 0 else None


def _is_site(atom):
    return atom.GetSymbol() == "C" or (atom.GetSymbol() == "N" and atom.IsInRing())


def peptide(rng):
    """One to three amino acids between two caps."""
    head, tail = CAPS[rng.integers(len(CAPS))]
    chain = "".join(str(rng.choice(list(RESIDUES.values()))) for _ in range(rng.choice([1, 2, 3], p=[0.25, 0.45, 0.3])))
    return _smiles(Chem.MolFromSmiles(head + chain + tail))


def ionised(smiles, way, rng):
    """The molecule with one proton more or less, or a methyl group more; None where this way is not open."""
    rdmol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    matches = rdmol.GetSubstructMatches(Chem.MolFromSmarts({**ACIDS, **BASES}[way]))
    if not matches:
        return None
    changed = Chem.RWMol(rdmol)
    atom = changed.GetAtomWithIdx(matches[rng.integers(len(matches))][0])
    if way in ACIDS:
        atom.SetFormalCharge(atom.GetFormalCharge() - 1)
        changed.RemoveAtom(next(n.GetIdx() for n in atom.GetNeighbors() if n.GetAtomicNum() == 1))
    else:
        atom.SetFormalCharge(atom.GetFormalCharge() + 1)
        new = 6 if way in METHYLATED and rng.random() < 0.25 else 1
        changed.AddBond(atom.GetIdx(), changed.AddAtom(Chem.Atom(new)), Chem.BondType.SINGLE)
    if Chem.SanitizeMol(changed, catchErrors=True) != 0:
        return None
    return _smiles(Chem.RemoveHs(changed))


def zwitterion(smiles, rng):
    """An acid and an amine of the molecule, with the proton on the amine."""
    acid = str(rng.choice(["carboxylate", "sulfonate", "phosphate"], p=[0.6, 0.2, 0.2]))
    anion = ionised(smiles, acid, rng)
    return anion and ionised(anion, "ammonium", rng)


def _smiles(rdmol):
    if rdmol is None or Chem.SanitizeMol(rdmol, catchErrors=True) != 0:
        return None
    return Chem.CanonSmiles(Chem.MolToSmiles(rdmol, isomericSmiles=False))


def is_allowed(smiles):
    """Whether a molecule may be in the list."""
    rdmol = Chem.MolFromSmiles(smiles)
    if rdmol is None or "." in smiles or rdmol.GetNumHeavyAtoms() > SIZES[1]:
        return False
    if any(rdmol.HasSubstructMatch(pattern) for pattern in PATTERNS) or rdmol.GetRingInfo().NumRings() > MOST_RINGS:
        return False
    return is_typed(smiles)


def is_typed(smiles):
    """Whether MMFF94 has parameters for all atoms."""
    try:
        type_molecule(smiles, "MMFF94")
    except ForceFieldError:
        return False
    return True


def neutral(smiles):
    """The skeleton of a molecule whose acids and bases have all their protons, and no more: equal for its ions."""
    return skeleton(Chem.MolToSmiles(rdMolStandardize.Uncharger().uncharge(Chem.MolFromSmiles(smiles))))


def held_out():
    """Neutral skeletons of molecules that are in no recipe."""
    of_dft = {atoms.info["smiles"] for part in PARTS if part != "train" for atoms in load_molecules(part)}
    return {neutral(smiles) for smiles in (*HELD_OUT.values(), *of_dft)}


class Molecules:
    """The list while it is made: no molecule twice, none that is held out."""

    def __init__(self):
        self.kinds, self.closed = {}, held_out()

    def add(self, kind, smiles):
        """Whether the molecule was taken."""
        if not smiles or smiles in self.kinds or neutral(smiles) in self.closed:
            return False
        taken = is_typed(smiles) if kind in ("small", "grown") else is_allowed(smiles)
        if taken:
            self.kinds[smiles] = kind
        return taken

    def fill(self, kind, make):
        """Add what ``make(k)`` gives until there are as many of this kind as are wanted; k counts them."""
        count = 0
        while count < COUNTS[kind]:
            count += self.add(kind, make(count))
        print(f"{count} molecules: {kind}", flush=True)


def make_list(rng):
    """{SMILES: kind}"""
    found, pool = Molecules(), molecule_list(max_heavy=9)
    for smiles in (*SMALL, *IONS):
        found.add("small", Chem.CanonSmiles(smiles))
    few = [smiles for smiles in pool if Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() <= 4]
    for smiles in few:
        found.add("grown", smiles)
    found.fill("grown", lambda _: str(rng.choice(pool)))
    found.fill("swapped", lambda _: swapped(rng, pool))
    elements = ["", *GROUPS]
    found.fill("joined", lambda k: joined(rng, elements[k % len(elements)]))
    found.fill("peptide", lambda _: peptide(rng))
    parents, ways = list(found.kinds), [*ACIDS, *BASES]
    able = {way: _able(parents, {**ACIDS, **BASES}[way]) for way in ways}
    print({way: len(names) for way, names in able.items()}, flush=True)
    found.fill("ion", lambda _: _one_of(able, rng))
    both = sorted(set(able["ammonium"]) & {*able["carboxylate"], *able["sulfonate"], *able["phosphate"]})
    found.fill("zwitterion", lambda _: zwitterion(str(rng.choice(both)), rng))
    return found.kinds


def _one_of(able, rng):
    way = str(rng.choice(list(able)))
    return ionised(str(rng.choice(able[way])), way, rng)


def _able(smiles, smarts):
    pattern = Chem.MolFromSmarts(smarts)
    fit = [name for name in smiles if Chem.AddHs(Chem.MolFromSmiles(name)).HasSubstructMatch(pattern)]
    return [name for name in fit if Chem.GetFormalCharge(Chem.MolFromSmiles(name)) == 0]


def rows_of(kinds, rng):
    """Rows of the file, smallest molecules first: SMILES, heavy atoms, charge, kind, part."""
    families = sorted({neutral(smiles) for smiles in kinds})
    valid = set(rng.choice(families, round(VALID * len(families)), replace=False).tolist())
    rows = []
    for smiles, kind in kinds.items():
        rdmol, part = Chem.MolFromSmiles(smiles), "valid" if neutral(smiles) in valid else "train"
        rows.append((smiles, rdmol.GetNumHeavyAtoms(), Chem.GetFormalCharge(rdmol), kind, part))
    return sorted(rows, key=lambda row: (row[1], row[0]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "molecules_wide.csv")
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    rng = np.random.default_rng(SEED)
    rows = rows_of(make_list(rng), rng)
    lines = [",".join(map(str, row)) for row in [("smiles", "n_heavy", "charge", "kind", "part"), *rows]]
    write_text(arguments.out, "\n".join(lines) + "\n")
    print(f"{len(rows)} molecules in {arguments.out}")


if __name__ == "__main__":
    main()
