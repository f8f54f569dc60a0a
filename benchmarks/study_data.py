"""What the study draws its labels from and is tested on, and which molecule is which.

Used by `study_starts.py`, `learning_curve_qm9.py` and `autotuning.py`, whose tops say what the tasks are.
"""

import os
from pathlib import Path

import numpy as np
from qm9_level import reference_reader
from rdkit import Chem, RDLogger
from rdkit.Chem import rdDetermineBonds

import tpainn_lite as tp

# --- which molecule is which ---


def skeleton(atoms):
    """Which atoms are bonded to which, as text: the same for all conformers, whatever the bond orders."""
    RDLogger.DisableLog("rdApp.*")
    lines = [f"{s} {x:.6f} {y:.6f} {z:.6f}" for s, (x, y, z) in zip(atoms.symbols, atoms.positions, strict=True)]
    rdmol = Chem.MolFromXYZBlock(f"{len(atoms)}\n\n" + "\n".join(lines))
    rdDetermineBonds.DetermineConnectivity(rdmol)
    return Chem.MolToSmiles(rdmol)


def skeleton_of(smiles):
    """The same of a SMILES."""
    rdmol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    bare = Chem.RWMol()
    for atom in rdmol.GetAtoms():
        new = Chem.Atom(atom.GetAtomicNum())
        new.SetNoImplicit(True)
        bare.AddAtom(new)
    for bond in rdmol.GetBonds():
        bare.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), Chem.BondType.SINGLE)
    return Chem.MolToSmiles(bare)


# --- tasks ---


def molecule_task():
    """(source, pool, {subset: test frames}) of our DFT set."""
    tests = {part: tp.load_molecules(part) for part in ("test", "test_large")}
    return source_of("molecule_forces"), tp.load_molecules("train"), tests


def qm9_task():
    """(source, pool, {"uniform": test molecules}) of the real QM9."""
    frames, uniform = _qm9()
    pretrained_on = {skeleton_of(smiles) for smiles in tp.molecule_list(max_heavy=9)}
    pool, test = [], []
    for number, (atoms, is_test) in enumerate(zip(frames, uniform, strict=True)):
        atoms.info["smiles"] = f"QM9 {number}"  # `draw` takes each for a molecule of its own
        if 9 not in atoms.numbers and not (is_test and skeleton(atoms) in pretrained_on):
            (test if is_test else pool).append(atoms)
    return source_of("qm9_energy"), pool, {"uniform": test}


def _qm9():
    folder = os.environ.get("TPAINN_REFERENCE_DATA")
    if not folder:
        frames = tp.load_qm9(n=7500)
        return frames, np.random.default_rng(0).permutation(len(frames)) < 600
    path = Path(folder) / "qm9" / "qm9_part.npz"
    return list(reference_reader(folder).atoms(path)), np.load(path)["uniform_test"]


def source_of(task):
    """Where a task's frames come from; what is made from them is kept under this name."""
    if task == "molecule_forces":
        return "molecules_b3lyp"
    return "QM9, a part" if os.environ.get("TPAINN_REFERENCE_DATA") else "QM9"


TASKS = {"molecule_forces": molecule_task, "qm9_energy": qm9_task}


def held_out(task):
    """Number of labels, the pool, and frames to compare settings on, that no study is tested on."""
    if task == "molecule_forces":
        return 50, tp.load_molecules("train"), tp.load_molecules("valid")
    _, frames, _ = qm9_task()
    order = np.random.default_rng(0).permutation(len(frames))
    return 100, [frames[k] for k in order[400:]], [frames[k] for k in order[:400]]
