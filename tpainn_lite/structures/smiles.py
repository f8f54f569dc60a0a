"""SMILES: what can be built from one, and when two mean the same molecule, which must stay together in splits."""

from functools import lru_cache
from typing import Any

from tpainn_lite.structures.arguments import ForceFieldError, shown

LONGEST = 1000  # characters; longer ones are refused, and compared as they are written
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
    if any(atom.GetNumRadicalElectrons() for atom in rdmol.GetAtoms()):
        raise ForceFieldError(f"{smiles!r} is a radical; the force fields describe closed-shell molecules only")
    return Chem.AddHs(rdmol)


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
