"""MMFF94 as an OpenMM `System`: a cluster where every atom feels every other, or a periodic box."""

from typing import Any

import numpy as np

from tpainn_lite.structures.arguments import check_numbers
from tpainn_lite.structures.molecules import Counts
from tpainn_lite.teachers.mmff import BUFFER, COULOMB, VAN_DER_WAALS, add_bonded, bonded_forces, typed

OPENMM_COULOMB = 138.93545764438198  # kJ/mol nm, by which OpenMM multiplies charges
SWITCH = 1.0  # Å; over so much before the cutoff what lies between molecules fades away
MOST_PRODUCTS = 6  # kinds of atoms; of more, R and ε are looked up in tables
DAMPING = 2.0  # 1/nm, of the damped-shifted sum
BARE = f"{COULOMB}*q1*q2/(r+{BUFFER})"


def cluster_system(counts: Counts) -> Any:
    """OpenMM's `System` of molecules without a box."""
    return _system(counts, None, BARE, None)


def box_system(counts: Counts, cutoff: float, grid: tuple[float, int, int, int] | None, tail: bool = True) -> Any:
    """OpenMM's `System` of molecules in a periodic box, which is set later.

    Parameters
    ----------
    cutoff : Å
    grid : of the Ewald sum, as `tpainn_lite.teachers.openmm_calculator.grid_of` gives it; None: damped-shifted charges
    tail : whether the van der Waals energy beyond the cutoff counts
    """
    check_numbers(above=0, cutoff=cutoff)
    ewald = _ewald(cutoff, grid) if grid is not None else None
    system = _system(counts, cutoff, (_buffer if ewald is not None else _damped_shifted)(cutoff / 10), ewald)
    if tail:
        import openmm

        system.addForce(openmm.CustomVolumeForce(f"{tail_of(counts, cutoff)}/v"))
    return system


def _system(counts, cutoff, charges, ewald):
    import openmm

    species = tuple(dict.fromkeys(smiles for _, smiles in counts))
    terms, radii, depths, kinds = typed(species)
    system, forces = openmm.System(), bonded_forces()
    between, parameters = _between(radii, depths, cutoff, charges)
    for n, smiles in counts:
        one = species.index(smiles)
        for _ in range(n):
            _add_molecule(system, forces, between, ewald, terms[one], kinds[one], (radii, depths, parameters))
    for force in (*forces.values(), between, *([ewald] if ewald is not None else [])):
        if getattr(force, "getNumBonds", lambda: 1)() and getattr(force, "getNumTorsions", lambda: 1)():
            system.addForce(force)
    return system


def _between(radii, depths, cutoff, charges):
    """Van der Waals forces and charges between different molecules, or far apart in one; parameters of each kind."""
    import openmm

    tables = {"i": 10 / radii, "e": depths}  # i: 1/R in 1/nm
    parts = {name: _by_kind(name, table) for name, table in tables.items()}
    e, i = parts["e"][0], parts["i"][0]
    fade, where = ("", "") if cutoff is None else ("*(1-x^3*(10-15*x+6*x^2))", _faded(cutoff))
    force = openmm.CustomNonbondedForce(f"({e})*{VAN_DER_WAALS}{fade} + {charges}; s=r*({i}){where}")
    force.addPerParticleParameter("q")
    for name, table in tables.items():
        for parameter in parts[name][1]:
            force.addPerParticleParameter(parameter)
        if f"{name}(" in parts[name][0]:
            force.addTabulatedFunction(name, openmm.Discrete2DFunction(*table.shape, table.T.ravel().tolist()))
    force.setNonbondedMethod(force.NoCutoff if cutoff is None else force.CutoffPeriodic)
    if cutoff is not None:
        force.setCutoffDistance(cutoff / 10)
    return force, np.hstack([parts["i"][2], parts["e"][2]])


def _by_kind(name, table):
    """A quantity of two atoms from parameters of each: the formula, the names, and the values (T, n) of each kind.

    For few kinds, a sum of products, by the eigenvectors of the table: processors compute it for eight pairs at once.
    """
    if len(table) > MOST_PRODUCTS:
        return f"{name}({name}n1,{name}n2)", [f"{name}n"], np.arange(len(table))[:, None].astype(float)
    weights, vectors = np.linalg.eigh(table)
    names = [f"{name}n{'abcdefgh'[k]}" for k in range(len(weights))]
    products = (f"{w}*{n}1*{n}2" for w, n in zip(weights.tolist(), names, strict=True))
    return "+".join(products), names, vectors


def _ewald(cutoff, grid):
    import openmm

    force = openmm.NonbondedForce()
    force.setNonbondedMethod(force.PME)
    force.setCutoffDistance(cutoff / 10)
    force.setPMEParameters(*grid)
    force.setUseDispersionCorrection(False)
    return force


def _faded(cutoff):
    """x, which grows from 0 to 1 over the last ångström before the cutoff."""
    return f"; x=max(0,(r-{(cutoff - SWITCH) / 10})*{10 / SWITCH})"


def _buffer(cutoff):
    """q q' [1/(r + δ) − 1/r], shifted so that energy and force end at the cutoff (nm): what PME's charges lack."""
    end, slope = 1 / (cutoff + BUFFER) - 1 / cutoff, 1 / cutoff**2 - 1 / (cutoff + BUFFER) ** 2
    return f"{COULOMB}*q1*q2*(1/(r+{BUFFER})-1/r-({end})-(r-{cutoff})*({slope}))"


def _damped_shifted(cutoff):
    """q q' [f(x) − f(X) − (x − X) f'(X)], f(x) = erfc(α x)/x, x the buffered distance, X that of the cutoff (nm)."""
    from scipy.special import erfc

    a, end = DAMPING, cutoff + BUFFER  # 1/nm, nm
    slope = erfc(a * end) / end**2 + 2 / np.sqrt(np.pi) * a * np.exp(-((a * end) ** 2)) / end  # −f'(X)
    x = f"(r+{BUFFER})"
    return f"{COULOMB}*q1*q2*(erfc({a}*{x})/{x} - {erfc(a * end) / end} + ({x}-{end})*{slope})"


def _add_molecule(system, forces, between, ewald, terms, kinds, tables):
    first, scale = system.getNumParticles(), np.sqrt(COULOMB / OPENMM_COULOMB)
    radii, depths, parameters = tables
    for mass, charge, kind in zip(terms.masses, terms.charges, kinds, strict=True):
        system.addParticle(mass)
        between.addParticle([charge, *parameters[kind]])
        if ewald is not None:
            ewald.addParticle(charge * scale, 0.1, 0.0)
    add_bonded(forces, terms, first)
    for (i, j), n_bonds in terms.apart.items():
        between.addExclusion(first + i, first + j)
        if ewald is not None:
            ewald.addException(first + i, first + j, 0.0, 0.1, 0.0)
        if n_bonds == 3:
            pair = depths[kinds[i], kinds[j]], radii[kinds[i], kinds[j]] / 10, terms.charges[i] * terms.charges[j]
            forces["near"].addBond(first + i, first + j, pair)


def tail_of(counts: Counts, cutoff: float) -> float:
    """Van der Waals energy beyond the switch of an even liquid, times its volume: kJ/mol nm³.

    E V = Σ_ab N_a N_b/2 · ∫ 4π r² u_ab(r) (1 − S(r)) dr, with the switch S = 1 − 10x³ + 15x⁴ − 6x⁵.
    """
    from scipy.integrate import quad

    species = tuple(dict.fromkeys(smiles for _, smiles in counts))
    _, radii, depths, kinds = typed(species)
    number = np.zeros(len(radii))
    for n, smiles in counts:
        np.add.at(number, kinds[species.index(smiles)], n)
    begin, end = (cutoff - SWITCH) / 10, cutoff / 10  # nm

    def shell(r):
        x, rho = min((r - begin) / (end - begin), 1.0), 10 * r / radii
        u = depths * (1.07 / (rho + 0.07)) ** 7 * (1.12 / (rho**7 + 0.12) - 2)  # (T, T) kJ/mol
        return 2 * np.pi * r**2 * (6 * x**5 - 15 * x**4 + 10 * x**3) * (number @ u @ number)

    return float(quad(shell, begin, end)[0] + quad(shell, end, np.inf)[0])
