"""MMFF94 term by term, as OpenMM computes it: the parameters are RDKit's, the formulas Halgren's.

RDKit computes single molecules.  A liquid needs a box, neighbour lists and charges summed over all images, which OpenMM
has: so each term of a molecule is read from RDKit once and written down as many times as the molecule is there.

With x = r − r0 (Å), d = θ − θ0 (rad), all in kcal/mol (Halgren 1996, J. Comput. Chem. 17, 490-641):

| term | energy |
|---|---|
| bond | 143.9325 k/2 · x² (1 − 2 x + 7/3 x²) |
| angle | 143.9325 k/2 · d² (1 − 0.4 d); at atoms with two bonds in one line 143.9325 k (1 + cos θ) |
| bond with angle | 143.9325 (k₁ x₁ + k₂ x₂) d |
| out of plane | 143.9325 k/2 · χ², for the three angles χ between a bond and the plane of the other two |
| torsion | V₁/2 (1 + cos φ) + V₂/2 (1 − cos 2φ) + V₃/2 (1 + cos 3φ) |
| van der Waals | ε (1.07/(ρ + 0.07))⁷ (1.12/(ρ⁷ + 0.12) − 2), ρ = r/R |
| charges | 332.0716 q q'/(r + 0.05 Å), three quarters of it three bonds apart |

The last two act between atoms of different molecules, and three bonds apart or more.
"""

import itertools
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.smiles import check_closed_shell, rdkit_molecule, why_untyped

KCAL = 4.184  # kJ
MDYNE = 143.9325 * KCAL  # kJ/mol Å² of 1 mdyn Å
COULOMB = 332.0716 * KCAL / 10  # kJ/mol nm of two elementary charges
BUFFER = 0.005  # nm
NEAR = 0.75  # of the charges three bonds apart
LINEAR = {4, 42, 53, 61}  # MMFF94 types of atoms whose two bonds lie in one line
VAN_DER_WAALS = "(1.07/(s+0.07))^7*(1.12/(s^7+0.12)-2)"


@dataclass(frozen=True)
class Terms:
    """Of one molecule: atoms by their place in it, lengths in Å, angles in rad, energies in kJ/mol."""

    numbers: NDArray  # (N,) atomic numbers
    masses: list[float]  # amu
    charges: list[float]  # e
    bonds: list[tuple] = field(default_factory=list)  # (i, j, k, r0)
    angles: list[tuple] = field(default_factory=list)  # (i, j, k, k_angle, θ0, k₁, r1, k₂, r2)
    lines: list[tuple] = field(default_factory=list)  # (i, j, k, k_line)
    planes: list[tuple] = field(default_factory=list)  # (centre, a, b, c, k_plane)
    torsions: list[tuple] = field(default_factory=list)  # (i, j, k, l, V1, V2, V3)
    apart: dict[tuple[int, int], int] = field(default_factory=dict)  # pairs of one to three bonds between: how many


@lru_cache(maxsize=64)
def typed(species: tuple[str, ...]) -> tuple[list[Terms], NDArray, NDArray, list[list[int]]]:
    """Terms of each molecule; R (Å) and ε (kJ/mol) of each pair of kinds of atoms, (T, T); each atom's kind.

    Raises
    ------
    ForceFieldError
        MMFF94 has no parameters for one of these SMILES, or it is a radical.
    """
    molecules = [_with_properties(smiles) for smiles in species]
    terms = [_terms(rdmol, properties) for rdmol, properties in molecules]
    types = [[p.GetMMFFAtomType(k) for k in range(m.GetNumAtoms())] for m, p in molecules]
    kinds = sorted(set(itertools.chain.from_iterable(types)))
    joined, properties = _joined([rdmol for rdmol, _ in molecules])
    member = {properties.GetMMFFAtomType(k): k for k in range(joined.GetNumAtoms())}
    pairs = [[properties.GetMMFFVdWParams(member[a], member[b])[2:] for b in kinds] for a in kinds]
    radii, depths = np.moveaxis(np.array(pairs, float), -1, 0)  # 2 × (T, T)
    return terms, radii, depths * KCAL, [[kinds.index(kind) for kind in each] for each in types]


def _joined(molecules):
    """All of them as one molecule of RDKit's, which knows how atoms of different ones attract each other."""
    from rdkit import Chem
    from rdkit.Chem import rdForceFieldHelpers as helpers

    joined = molecules[0]
    for other in molecules[1:]:
        joined = Chem.CombineMols(joined, other)
    Chem.SanitizeMol(joined)
    return joined, helpers.MMFFGetMoleculeProperties(joined)


def _with_properties(smiles):
    from rdkit.Chem import rdForceFieldHelpers as helpers

    check_closed_shell(smiles)
    rdmol = rdkit_molecule(smiles)
    properties = helpers.MMFFGetMoleculeProperties(rdmol)
    if properties is None:
        raise ForceFieldError(why_untyped(rdmol, smiles, "MMFF94"))
    return rdmol, properties


def _terms(rdmol: Any, properties: Any) -> Terms:
    atoms = list(rdmol.GetAtoms())
    found = Terms(
        np.array([atom.GetAtomicNum() for atom in atoms]),
        [atom.GetMass() for atom in atoms],
        [properties.GetMMFFPartialCharge(k) for k in range(len(atoms))],
    )
    lengths = {}
    for bond in rdmol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        _, k, r0 = properties.GetMMFFBondStretchParams(rdmol, i, j)
        lengths[i, j] = lengths[j, i] = r0
        found.bonds.append((i, j, MDYNE * k, r0))
    near = [[n.GetIdx() for n in atom.GetNeighbors()] for atom in atoms]
    for j, around in enumerate(near):
        _add_angles(found, rdmol, properties, lengths, j, around)
    for i, j, *_ in found.bonds:
        _add_torsions(found, rdmol, properties, near, i, j)
    found.apart.update(_apart(near))
    return found


def _add_angles(found, rdmol, properties, lengths, j, around):
    """Angles at atom j, and how far it lies out of the plane of its three neighbours."""
    linear = properties.GetMMFFAtomType(j) in LINEAR
    for i, k in itertools.combinations(around, 2):
        _, k_angle, degrees = properties.GetMMFFAngleBendParams(rdmol, i, j, k)
        if linear:
            found.lines.append((i, j, k, MDYNE * k_angle))
            continue
        mixed = properties.GetMMFFStretchBendParams(rdmol, i, j, k)
        k_1, k_2 = mixed[1:] if mixed else (0.0, 0.0)
        bends = (MDYNE * k_angle, np.radians(degrees), MDYNE * k_1, lengths[i, j], MDYNE * k_2, lengths[j, k])
        found.angles.append((i, j, k, *bends))
    if len(around) == 3:
        k_plane = properties.GetMMFFOopBendParams(rdmol, around[0], j, around[1], around[2])
        if k_plane:
            found.planes.append((j, *around, MDYNE * k_plane))


def _add_torsions(found, rdmol, properties, near, j, k):
    """Torsions about the bond between j and k."""
    for i, last in itertools.product(near[j], near[k]):
        if i in (k, last) or last == j:
            continue
        barriers = properties.GetMMFFTorsionParams(rdmol, i, j, k, last)
        if barriers and any(barriers[1:]):
            found.torsions.append((i, j, k, last, *(KCAL * v for v in barriers[1:])))


def _apart(near):
    """{(i, j): bonds between them, one to three}, i < j."""
    found = {}
    for start in range(len(near)):
        seen, shell = {start}, {start}
        for n_bonds in (1, 2, 3):
            shell = {n for atom in shell for n in near[atom]} - seen
            seen |= shell
            found.update({(start, other): n_bonds for other in shell if start < other})
    return found


# --- as OpenMM's forces ---


def bonded_forces() -> dict[str, Any]:
    """OpenMM's forces for bonds, angles, lines, planes and torsions, and for pairs three bonds apart, still empty."""
    import openmm

    bond = _custom(openmm.CustomBondForce, "0.5*k*x^2*(1-2*x+7/3*x^2); x=10*r-r0", ("k", "r0"))
    angle = "0.5*k*d^2*(1-0.4*d)+(k1*(10*distance(p1,p2)-r1)+k2*(10*distance(p2,p3)-r2))*d; d=angle(p1,p2,p3)-t0"
    line = "k*(1+(a^2+b^2-distance(p1,p3)^2)/(2*a*b)); a=distance(p1,p2); b=distance(p2,p3)"
    near = f"e*{VAN_DER_WAALS}+{NEAR * COULOMB}*qq/(r+{BUFFER}); s=r/R"
    return {
        "bonds": bond,
        "angles": _custom(openmm.CustomCompoundBondForce, angle, ("k", "t0", "k1", "r1", "k2", "r2"), 3),
        "lines": _custom(openmm.CustomCompoundBondForce, line, ("k",), 3),
        "planes": _custom(openmm.CustomCompoundBondForce, _out_of_plane(), ("k",), 4),
        "torsions": openmm.PeriodicTorsionForce(),
        "near": _custom(openmm.CustomBondForce, near, ("e", "R", "qq")),
    }


def _custom(kind, formula, names, n_atoms=None):
    force = kind(formula) if n_atoms is None else kind(n_atoms, formula)
    for name in names:
        (force.addPerBondParameter)(name)
    return force


def _out_of_plane():
    """k/2 (χ_a² + χ_b² + χ_c²): sin χ_c is the component of the bond to c along the normal of the bonds to a and b."""
    arms = {name: [f"{axis}{number}-{axis}1" for axis in "xyz"] for name, number in (("a", 2), ("b", 3), ("c", 4))}
    lines = [f"{name}{axis}={arm}" for name, arm3 in arms.items() for axis, arm in zip("xyz", arm3, strict=True)]
    for one, two in (("a", "b"), ("b", "c"), ("c", "a")):
        for x, y, z in ("xyz", "yzx", "zxy"):
            lines.append(f"{one}{two}{x}={one}{y}*{two}{z}-{one}{z}*{two}{y}")
        lines.append(f"n{one}{two}=sqrt({one}{two}x^2+{one}{two}y^2+{one}{two}z^2)")
    lines += [f"l{name}=sqrt({name}x^2+{name}y^2+{name}z^2)" for name in "abc"]
    volume = "v=abx*cx+aby*cy+abz*cz"
    return "; ".join(["0.5*k*(asin(v/(nab*lc))^2+asin(v/(nbc*la))^2+asin(v/(nca*lb))^2)", volume, *reversed(lines)])


def add_bonded(forces: dict[str, Any], terms: Terms, first: int) -> None:
    """Write down the bonds, angles, lines, planes and torsions of a molecule whose first atom is ``first``."""
    for i, j, *values in terms.bonds:
        forces["bonds"].addBond(first + i, first + j, values)
    for name, n_atoms in (("angles", 3), ("lines", 3), ("planes", 4)):
        for term in getattr(terms, name):
            forces[name].addBond([first + k for k in term[:n_atoms]], term[n_atoms:])
    for *atoms, v1, v2, v3 in terms.torsions:
        for n, phase, barrier in ((1, 0.0, v1), (2, np.pi, v2), (3, 0.0, v3)):
            if barrier:
                forces["torsions"].addTorsion(*(first + k for k in atoms), n, phase, barrier / 2)
