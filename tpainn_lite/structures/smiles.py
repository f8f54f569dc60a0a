"""SMILES: what can be built from one, and when two mean the same molecule, which must stay together in splits."""

from functools import lru_cache
from typing import Any

from ase.data import ground_state_magnetic_moments

from tpainn_lite.structures.arguments import ForceFieldError, shown

LONGEST = 1000  # characters; longer ones are refused, and compared as they are written
LAST_BEFORE_METALS = 20  # Ca: up to there an ion has its electrons as the element with as many has
MOST_HEAVY = 150  # atoms other than H in a molecule that is built: seconds; a thousand would take hours


@lru_cache(maxsize=200_000)
def skeleton(smiles: str) -> str:
    """RDKit's canonical SMILES, without stereochemistry, isotopes and atom maps: equal for equal molecules.

    Mirror images and other stereoisomers are one molecule here: their energies would give each other away.  What RDKit
    cannot read is compared as it is written.

    >>> skeleton("OCC") == skeleton("CCO") == skeleton("[CH3:1][CH2:2][OH]")
    True
    """
    if not isinstance(smiles, str) or len(smiles) > LONGEST:
        return str(smiles)
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        return smiles
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or not molecule.GetNumAtoms():
            return smiles
        for atom in molecule.GetAtoms():
            atom.SetAtomMapNum(0)
            atom.SetIsotope(0)
        if any(atom.GetAtomicNum() == 1 for atom in molecule.GetAtoms()):
            molecule = Chem.RemoveHs(molecule)
        return Chem.MolToSmiles(molecule, isomericSmiles=False)


def check_smiles(smiles: object) -> None:
    """Raise `ForceFieldError` for what cannot be the SMILES of a molecule of a size that can be built."""
    example = "an example is 'CCO' (ethanol)"
    if not isinstance(smiles, str) or len(smiles) > LONGEST:
        raise ForceFieldError(
            f"{shown(smiles)} is no SMILES: text of at most {LONGEST} characters is expected; {example}"
        )
    if smiles.split() != [smiles]:
        raise ForceFieldError(f"{smiles!r} is not a SMILES that RDKit can read; {example}")


def rdkit_molecule(smiles: str) -> Any:
    """RDKit's molecule, hydrogens included, without positions of its atoms."""
    from rdkit import Chem, rdBase

    check_smiles(smiles)
    with rdBase.BlockLogs():
        rdmol = _in_own_order(smiles) if ":1]" in smiles else Chem.MolFromSmiles(smiles)
    if rdmol is None or any(atom.GetAtomicNum() == 0 for atom in rdmol.GetAtoms()):
        raise ForceFieldError(f"{smiles!r} is not a SMILES that RDKit can read; an example is 'CCO' (ethanol)")
    if rdmol.GetNumHeavyAtoms() > MOST_HEAVY:
        heavy = rdmol.GetNumHeavyAtoms()
        raise ForceFieldError(f"{smiles[:20]!r}... has {heavy} atoms other than H; at most {MOST_HEAVY} are possible")
    return Chem.AddHs(rdmol)


@lru_cache(maxsize=10_000)
def smiles_charge(smiles: str | None) -> int | None:
    """The charge that a SMILES writes, in e; None where there is none that RDKit can read.

    >>> smiles_charge("[NH4+]")
    1
    """
    molecule = _readable(smiles)
    return None if molecule is None else sum(atom.GetFormalCharge() for atom in molecule.GetAtoms())


@lru_cache(maxsize=10_000)
def smiles_unpaired(smiles: str | None) -> int | None:
    """How many electrons of a SMILES are unpaired, with parallel spins; None where RDKit cannot read it.

    They are those of its radicals; of single atoms, by Hund's rule; and two of O=O and its like (S=S, S=O), which every
    list of SMILES writes with a double bond, and whose ground state is a triplet all the same.

    >>> smiles_unpaired("[CH3]"), smiles_unpaired("O=O"), smiles_unpaired("CCO")
    (1, 2, 0)
    """
    molecule = _readable(smiles)
    if molecule is None:
        return None
    from rdkit.Chem import AddHs, GetMolFrags

    return sum(map(_unpaired, GetMolFrags(AddHs(molecule), asMols=True)))


def unpaired_of_atom(number: int, charge: int) -> int:
    """Unpaired electrons of a single atom, by Hund's rule; of an ion, as of the element with as many electrons.

    >>> unpaired_of_atom(6, 0), unpaired_of_atom(8, -2)
    (2, 0)
    """
    like = number - charge
    if not 0 <= like < len(ground_state_magnetic_moments):
        return 0
    return round(float(ground_state_magnetic_moments[like]))


def _unpaired(molecule):
    """Unpaired electrons of one connected molecule."""
    atoms = list(molecule.GetAtoms())
    radical = sum(atom.GetNumRadicalElectrons() for atom in atoms)
    if len(atoms) == 1 and (atoms[0].GetFormalCharge() == 0 or atoms[0].GetAtomicNum() <= LAST_BEFORE_METALS):
        return unpaired_of_atom(atoms[0].GetAtomicNum(), atoms[0].GetFormalCharge())
    if len(atoms) == 2 and {atom.GetAtomicNum() for atom in atoms} <= {8, 16} and radical == 0:
        neutral = not any(atom.GetFormalCharge() for atom in atoms)
        return 2 if neutral and molecule.GetBondWithIdx(0).GetBondTypeAsDouble() == 2 else 0
    return radical


def _readable(smiles):
    """RDKit's molecule, or None."""
    if not isinstance(smiles, str) or not smiles or len(smiles) > LONGEST:
        return None
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        return None
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(smiles)


def is_readable(smiles: str) -> bool:
    """Whether RDKit can read it, and it has atoms.

    >>> is_readable("CCO"), is_readable("ethanol")
    (True, False)
    """
    molecule = _readable(smiles)
    return molecule is not None and molecule.GetNumAtoms() > 0


def check_closed_shell(smiles: str) -> None:
    """Raise `ForceFieldError` for a radical, of which force fields know nothing."""
    molecule = _readable(smiles)
    if molecule is not None and any(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms()):
        raise ForceFieldError(f"{smiles!r} is a radical; the force fields describe closed-shell molecules only")


def _in_own_order(smiles):
    """RDKit's molecule; where all its atoms, hydrogens too, are numbered, [O:1]([H:2])[H:3], in the order of these."""
    from rdkit import Chem

    parameters = Chem.SmilesParserParams()
    parameters.removeHs = False
    rdmol = Chem.MolFromSmiles(smiles, parameters)
    atoms = rdmol.GetAtoms() if rdmol is not None else ()
    order = {atom.GetAtomMapNum(): atom.GetIdx() for atom in atoms}
    if sorted(order) != list(range(1, len(atoms) + 1)) or any(atom.GetTotalNumHs() for atom in atoms):
        return Chem.MolFromSmiles(smiles)
    rdmol = Chem.RenumberAtoms(rdmol, [order[number] for number in sorted(order)])
    for atom in rdmol.GetAtoms():
        atom.SetAtomMapNum(0)
    return rdmol


def why_untyped(rdmol: Any, smiles: str, method: str) -> str:
    """One sentence that names the first atom without parameters and what to do about it."""
    from rdkit.Chem import rdForceFieldHelpers as helpers

    advice = "leave this molecule out, or choose another teacher (uff, or any ASE calculator)"
    for atom in rdmol.GetAtoms():
        around = "".join(sorted(n.GetSymbol() for n in atom.GetNeighbors())) or "nothing"
        properties = helpers.MMFFGetMoleculeProperties(rdmol)
        untyped = properties is not None and properties.GetMMFFAtomType(atom.GetIdx()) == 0
        if untyped or (properties is None and atom.GetAtomicNum() > 1):
            where = f"atom {atom.GetIdx()} ({atom.GetSymbol()}, bonded to {around})"
            return f"{method} has no parameters for {where} of {smiles!r}: {advice}"
    return f"{method} has no parameters for {smiles!r}: {advice}"
