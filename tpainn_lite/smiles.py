"""When two SMILES mean the same molecule: what must stay together in splits, draws and lists."""

from functools import lru_cache

LONGEST = 1000  # characters; longer ones are compared as they are written


@lru_cache(maxsize=200_000)
def skeleton(smiles):
    """RDKit's canonical SMILES, without stereochemistry, isotopes and atom maps: equal for equal molecules.

    Mirror images and other stereoisomers are one molecule here: their energies would give each other away.  What RDKit
    cannot read is compared as it is written.

    Parameters
    ----------
    smiles : str

    Returns
    -------
    str

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
