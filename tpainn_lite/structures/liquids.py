"""Boxes of any liquid, mixture or solution: molecules packed at random, none of them in another."""

from collections.abc import Mapping

import numpy as np
from ase import Atoms, units
from ase.data import vdw_radii
from scipy.spatial.transform import Rotation

from tpainn_lite.structures.arguments import check_counts, check_numbers, generator
from tpainn_lite.structures.build import conformers, molecule
from tpainn_lite.structures.geometry import FARTHEST, search_pairs
from tpainn_lite.structures.molecules import as_text
from tpainn_lite.structures.smiles import smiles_charge

MOST_ATOMS = 100_000
SHAPES = 5  # conformers of each molecule, of which each copy gets one
REACH = 0.8  # of the sum of two van der Waals radii: nearer than so, atoms of different molecules push each other
UNKNOWN = 2.0  # Å, the radius of elements of which none is known
PACKED, NEAREST = 0.95, 0.75  # of that reach: near enough to stop; what packing must come to
ROUNDS, STEP = 500, 0.3  # of pushing, at most; how much of each overlap is undone in one
TIGHTEST = 3.0  # Å³ for each atom, at least; ice under a gigapascal has more


def liquid(
    molecules: str | Mapping[str, int], n_molecules: int | None = None, *, density: float, seed: int = 0
) -> Atoms:
    """A cubic box of molecules, packed at random: a start for MD, not yet a liquid.

    ``info["molecules"]`` says which they are, for MMFF94 (`tpainn_lite.mmff94_liquid`); of water alone, the other
    teachers of water take it too.

    Parameters
    ----------
    molecules
        SMILES of a pure liquid; or {SMILES: how many} of a mixture or a solution.
    n_molecules
        Of a pure liquid.
    density
        g/cm³.
    seed
        Of shapes, places and turns.

    Raises
    ------
    ForceFieldError
        RDKit cannot read a SMILES or find a geometry for it.
    ValueError
        The molecules would lie in each other, or the box be too large.

    >>> len(liquid("CO", 8, density=0.79)), liquid({"O": 10, "CO": 2}, density=0.95).info["molecules"]
    (48, '10 O, 2 CO')
    """
    counts = _counts(molecules, n_molecules)
    check_numbers(above=0, density=density)
    rng = generator(seed)
    shapes = {smiles: _shapes(smiles, n, seed) for smiles, n in counts.items()}
    copies = [shapes[smiles][rng.integers(len(shapes[smiles]))] for smiles, n in counts.items() for _ in range(n)]
    mass = sum(atoms.get_masses().sum() for atoms in copies)  # amu
    edge = (mass / (density * 1e-24 / (units._amu * 1e3))) ** (1 / 3)  # Å
    _check_room(copies, edge, density)
    box = Atoms(cell=[edge] * 3, pbc=True)
    for atoms in copies:
        box += atoms
    member = np.repeat(np.arange(len(copies)), [len(atoms) for atoms in copies])
    box.positions = _packed(box, member, rng)
    charges = [smiles_charge(smiles) or 0 for smiles in counts]
    charge = sum(n * each for n, each in zip(counts.values(), charges, strict=True))
    names = as_text((n, smiles) for smiles, n in counts.items())
    box.info = {"molecules": names, "charge": charge, "multiplicity": 1}
    return box


def _counts(molecules, n_molecules):
    """{SMILES: how many}, of arguments that make sense."""
    if isinstance(molecules, str):
        check_counts(most=MOST_ATOMS, n_molecules=n_molecules)
        return {molecules: int(n_molecules)}
    if not isinstance(molecules, Mapping) or not molecules:
        raise TypeError(f"molecules is {molecules!r}; SMILES, or a dict as {{'O': 60, 'CO': 4}}, is expected")
    if n_molecules is not None:
        raise ValueError(f"n_molecules is {n_molecules}, and {dict(molecules)} counts them already: leave it out")
    check_counts(most=MOST_ATOMS, **{f"the number of {smiles!r}": n for smiles, n in molecules.items()})
    return {smiles: int(n) for smiles, n in molecules.items()}


def _shapes(smiles, n, seed):
    """Shapes of a molecule, of which its copies get some."""
    one = molecule(smiles, seed)
    if len(one) < 4 or "." in smiles:
        return [one]
    return conformers(smiles, min(n, SHAPES), seed)


def _check_room(copies, edge, density):
    n_atoms = sum(map(len, copies))
    longest = max(np.ptp(atoms.positions, axis=0).max() for atoms in copies)
    if n_atoms > MOST_ATOMS or not edge < FARTHEST:
        raise ValueError(
            f"{n_atoms} atoms at {density:g} g/cm³ fill a box of {edge:.4g} Å; at most {MOST_ATOMS} atoms, in "
            f"less than {FARTHEST:g} Å, are expected"
        )
    if edge**3 / n_atoms < TIGHTEST or longest > edge:
        raise ValueError(
            f"at {density:g} g/cm³ the box is {edge:.3g} Å wide, which is too narrow for {len(copies)} molecules of up "
            f"to {longest:.3g} Å: a lower density, or more molecules, are expected"
        )


def _packed(box, member, rng):
    """Positions (N, 3) in Å: molecules at random places, pushed apart until none lies in another.

    They stay rigid: of each pair of atoms that are too near, half the overlap is undone by each molecule, as a shift by
    the mean of its pushes and a turn by their torque.
    """
    n, edge = member[-1] + 1, box.cell[0, 0]
    size = np.bincount(member)[:, None]
    arms = box.positions - _sums(box.positions, member, n)[member] / size[member]  # (N, 3) Å, from the centres
    arms = _turned(arms, member, Rotation.random(n, rng).as_rotvec())
    centres = _lattice(n, rng) * edge
    inertia = _sums((arms**2).sum(axis=1, keepdims=True), member, n) + size  # (M, 1) Å²
    radii = np.nan_to_num(vdw_radii[box.numbers], nan=UNKNOWN)
    for _ in range(ROUNDS):
        positions = centres[member] + arms
        pushes, nearest = _pushes(box, positions, radii, member)
        if nearest > PACKED:
            return positions
        centres = centres + STEP * _sums(pushes, member, n) / np.sqrt(size)
        turns = STEP * _sums(np.cross(arms, pushes), member, n) / inertia
        arms = _turned(arms, member, turns)
    if nearest < NEAREST:
        raise ValueError(
            "the molecules could not be packed without lying in each other: a lower density, or another seed, is "
            "expected"
        )
    return positions


def _lattice(n, rng):
    """(n, 3) places in a box of side 1, spread evenly and drawn without order."""
    per_side = int(np.ceil(n ** (1 / 3) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(per_side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) + 0.5
    drawn = rng.permutation(len(sites))[:n]
    return (sites[drawn] + rng.uniform(-0.2, 0.2, (n, 3))) / per_side


def _sums(values, member, n):
    """Sums (M, k) over the atoms of each molecule of values (N, k)."""
    return np.stack([np.bincount(member, column, n) for column in values.T], axis=1)


def _turned(arms, member, vectors):
    """(N, 3) Å: each molecule turned about its centre by its rotation vector (M, 3)."""
    return np.einsum("nxy,ny->nx", Rotation.from_rotvec(vectors).as_matrix()[member], arms)


def _pushes(box, positions, radii, member):
    """How far (N, 3) Å each atom is to go, and the shortest distance of different molecules, 1 where none is short."""
    i, j, vectors = search_pairs("ijD", Atoms(positions=positions, cell=box.cell, pbc=True), 2 * REACH * radii.max())
    lengths, wanted = np.linalg.norm(vectors, axis=1), REACH * (radii[i] + radii[j])
    near = np.flatnonzero((member[i] != member[j]) & (lengths < wanted))
    if not len(near):
        return np.zeros_like(positions), 1.0
    overlap = (wanted[near] - lengths[near]) / np.maximum(lengths[near], 1e-3)
    pushes = _sums(-overlap[:, None] * vectors[near] / 2, i[near], len(positions))
    return pushes, float((lengths[near] / wanted[near]).min())
