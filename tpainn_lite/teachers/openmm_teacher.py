"""Any force field that OpenMM can read, as a teacher: of molecules and of boxes.

What OpenMM computes is a `System`; force fields come to it from its own files, from AMBER (``prmtop``), GROMACS
(``top``), CHARMM (``psf``), or from OpenFF and others, which write a System's XML.
"""

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, chemical_symbols, covalent_radii
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import ForceFieldError
from tpainn_lite.structures.charges import CHARGE_KEYS, total_charge
from tpainn_lite.structures.geometry import BONDED
from tpainn_lite.structures.molecules import check_bonds, tree_of, unwrapped_along
from tpainn_lite.teachers.openmm_calculator import OpenMMCalculator, atoms_in, check_width, grid_of, set_box
from tpainn_lite.teachers.openmm_files import read_force_field

MOVERS = ("CMMotionRemover", "AndersenThermostat", "MonteCarlo")  # no part of the energy
LOCAL = {
    "AndersenThermostat", "CMAPTorsionForce", "CMMotionRemover", "CustomAngleForce", "CustomBondForce",
    "CustomCompoundBondForce", "CustomGBForce", "CustomNonbondedForce", "CustomTorsionForce", "GBSAOBCForce",
    "HarmonicAngleForce", "HarmonicBondForce", "MonteCarloAnisotropicBarostat", "MonteCarloBarostat",
    "MonteCarloFlexibleBarostat", "MonteCarloMembraneBarostat", "NonbondedForce", "PeriodicTorsionForce",
    "RBTorsionForce", "CustomVolumeForce", "CustomExternalForce",
}  # fmt: skip
BONDED_BY = ("CustomBondForce", "CustomCompoundBondForce", "HarmonicBondForce")
ISOTOPE, HEAVIEST, MOVED = 1.3, 2.5, 6.0  # amu: of another isotope; of hydrogen; of hydrogen with mass moved to it
COARSE = 5e-4  # Ewald tolerance of the forces that move the molecules


class OpenMMForceField(OpenMMCalculator):
    """A force field that OpenMM has read, as an ASE calculator; made by `openmm_teacher`.

    Parameters
    ----------
    systems
        XML of OpenMM's `System` without a box and in one: {False: …, True: …}, or one of them.
    numbers : (N,)
        Atomic numbers, in the order of its atoms.
    bonds : (n, 2)
        Between these: no longer than bonds are.
    links : (n, 2)
        Pairs by which the atoms of a molecule are brought together where the box cuts it; the bonds unless given.
    force_field
        Its name, the level of theory.
    platform
        As of `OpenMMCalculator`.
    """

    def __init__(
        self,
        systems: dict[bool, str],
        numbers: NDArray,
        bonds: NDArray,
        force_field: str,
        platform: str | None = None,
        links: NDArray | None = None,
    ) -> None:
        super().__init__(platform)
        self.systems, self.force_field = systems, force_field
        self.numbers, self.bonds = np.asarray(numbers), np.asarray(bonds)
        self.links = self.bonds if links is None else np.asarray(links)
        self._tree = tree_of(self.links, len(self.numbers))
        self._about: dict[bool, dict[str, Any]] = {}  # boxed: what `_read` found out

    @property
    def level(self) -> str:
        """Name of the level of theory."""
        return self.force_field

    def key_of(self, atoms: Atoms) -> Any:
        """What a context depends on; `ForceFieldError` for other atoms, or a box that does not suit the System."""
        self._check_atoms(atoms)
        about = self._of(atoms)
        if not atoms.pbc.all():
            return None
        check_width(atoms, about["cutoff"])
        if about["pme"]:
            return [grid_of(atoms.cell.array, *pme[1:]) for pme in about["pme"]]
        return atoms.cell.array.tobytes() if about["long"] else True

    def system_of(self, atoms: Atoms, sampling: bool = False, narrower: float = 1.0) -> Any:
        """OpenMM's `System` of these atoms; for ``sampling``, with a coarser Ewald sum."""
        import openmm

        about, system = self._of(atoms), openmm.XmlSerializer.deserialize(self.systems[bool(atoms.pbc.all())])
        if not atoms.pbc.all():
            return system
        check_width(atoms, about["cutoff"], narrower)
        set_box(system, atoms.cell.array)
        for number, cutoff, tolerance in about["pme"]:
            grid = grid_of(atoms.cell.array, cutoff, max(tolerance, COARSE) if sampling else tolerance)
            system.getForce(number).setPMEParameters(*grid)
        return system

    def whole(self, atoms: Atoms) -> NDArray:
        """Positions (N, 3) in Å in which no molecule is cut by the box."""
        positions = atoms.positions
        if atoms.pbc.all():
            positions = unwrapped_along(self._tree, positions, atoms.cell.array)
        check_bonds(atoms, self.bonds, positions, "the topology")
        return positions

    def _check_atoms(self, atoms):
        if len(atoms) != len(self.numbers):
            raise ForceFieldError(
                f"the structure has {len(atoms)} atoms, the topology of {self.level} {len(self.numbers)}: the same "
                "atoms in the same order are expected"
            )
        other = np.flatnonzero(atoms.numbers != self.numbers)
        if len(other):
            k = int(other[0])
            raise ForceFieldError(
                f"atom {k} of the structure is {atoms.symbols[k]}, of the topology of {self.level} "
                f"{chemical_symbols[self.numbers[k]]}: the same atoms in the same order are expected"
            )

    def _of(self, atoms):
        """What is known of the System for these atoms, in a box or without one."""
        boxed = bool(atoms.pbc.all())
        if boxed not in self.systems:
            raise ForceFieldError(
                f"the structure is a periodic box, but the System of {self.level} is not: make it with "
                "nonbondedMethod=PME and a cutoff"
                if boxed
                else f"the System of {self.level} is periodic, but the structure has no box: set its cell, and pbc=True"
            )
        if boxed not in self._about:
            import openmm

            self._about[boxed] = _about(openmm.XmlSerializer.deserialize(self.systems[boxed]))
        charge = self._about[boxed]["charge"]
        if charge is not None and any(key in atoms.info for key in CHARGE_KEYS) and total_charge(atoms) != charge:
            raise ForceFieldError(
                f'{atoms.get_chemical_formula()} has info["charge"] = {total_charge(atoms)}, but the charges of '
                f"{self.level} add up to {charge}: correct one of them"
            )
        return self._about[boxed]


def openmm_teacher(
    system: Any,
    topology: Any = None,
    *,
    parameters: Any = (),
    cutoff: float = 9.0,
    name: str | None = None,
    platform: str | None = None,
    **settings: Any,
) -> OpenMMForceField:
    """A teacher from a force field that OpenMM can read; `liquid_run` runs MD with it.

    Parameters
    ----------
    system
        OpenMM's `System`, a file of its XML, or a file of AMBER (.prmtop, .parm7), GROMACS (.top) or CHARMM (.psf).
    topology
        Which atoms these are: OpenMM's `Topology`, an `ase.Atoms`, or a file (.pdb, .cif, .gro, .extxyz …).  Not for
        AMBER, GROMACS and CHARMM, whose files say it.
    parameters
        For CHARMM the files of its parameters (.rtf, .prm, .str, .inp); for GROMACS the folder of its included files.
    cutoff : Å
        Of boxes; a System has its own.
    name
        The level of theory, kept with each label; the name of the file unless given.
    platform
        As of `tpainn_lite.teachers.openmm_calculator.OpenMMCalculator`.
    settings
        For OpenMM's ``createSystem`` of the files of AMBER, GROMACS and CHARMM, as ``switchDistance``.

    Raises
    ------
    ForceFieldError
        The System has constraints or rigid water, whose forces are no labels; bonds that nothing holds; or particles
        that are no atoms.
    ValueError, OSError
        A file is missing, or none that can be read.

    >>> openmm_teacher("system.xml", "box.pdb")  # doctest: +SKIP
    """
    found = read_force_field(system, topology, parameters, cutoff, settings)
    name = name or found.name
    systems: dict[bool, str] = {}
    for each in found.systems:
        held, springs = _check_system(each, found, name)
        systems[bool(each.usesPeriodicBoundaryConditions())] = _without_movers(each)
    bonds = found.bonds if len(found.bonds) else _bonds_among(held, springs, found)
    return OpenMMForceField(systems, found.numbers, bonds, name, platform, _links(bonds, held, len(found.numbers)))


def _check_system(system, found, name):
    """Raise `ForceFieldError` for a System whose forces are no labels; returns the pairs that springs hold."""
    n, atoms = system.getNumConstraints(), atoms_in(system)
    if n:
        i, j, _ = system.getConstraintParameters(0)
        raise ForceFieldError(
            f"the System of {name} has {n} constraints (the first: atoms {i} and {j}; rigid water or bonds), whose "
            "forces are no labels: make it with constraints=None and rigidWater=False"
        )
    frozen = [int(k) for k in atoms if system.getParticleMass(int(k))._value <= 0]
    if frozen:
        raise ForceFieldError(f"particle {frozen[0]} of {name} has no mass: a System whose atoms move is expected")
    if len(atoms) != len(found.numbers):
        raise ForceFieldError(
            f"the System of {name} has {len(atoms)} atoms, its topology {len(found.numbers)}: a topology of the same "
            "atoms, in the same order, is expected (particles of polarizable force fields that are no atoms cannot "
            "teach)"
        )
    _check_masses([system.getParticleMass(int(k))._value for k in atoms], found.numbers, name)
    held, springs = _held(system, atoms)
    known = all(type(force).__name__ in LOCAL for force in system.getForces())
    loose = sorted({tuple(sorted(bond)) for bond in found.bonds.tolist()} - held) if known else []
    if loose:
        i, j = loose[0]
        raise ForceFieldError(
            f"nothing in the System of {name} holds the bond between atoms {i} and {j} (rigid water, without its "
            "constraints?): take the parameters of a flexible model"
        )
    return held, springs


def _check_masses(masses, numbers, name):
    """Raise `ForceFieldError` where a topology has another element than the particle's mass (amu) says.

    Mass moved from heavy atoms to hydrogens, for longer time steps, is let pass.
    """
    masses, hydrogen = np.array(masses), numbers == 1
    moved = hydrogen.any() and HEAVIEST < masses[hydrogen].max() < MOVED
    odd = masses >= MOVED if moved else np.abs(masses - atomic_masses[numbers]) > ISOTOPE
    wrong = np.flatnonzero(odd & hydrogen if moved else odd)
    if len(wrong):
        k = int(wrong[0])
        raise ForceFieldError(
            f"atom {k} is {chemical_symbols[numbers[k]]} in the topology, but weighs {masses[k]:.4g} amu in the "
            f"System of {name}: a topology of the same atoms, in the same order, is expected"
        )


def _held(system, atoms):
    """Pairs of atoms that springs hold, and {pair: length at rest in Å} of those that are simple springs."""
    place = {int(particle): k for k, particle in enumerate(atoms)}
    held, springs = set(), {}
    for force in system.getForces():
        kind = type(force).__name__
        terms = [force.getBondParameters(k) for k in range(force.getNumBonds())] if kind in BONDED_BY else []
        groups = [term[0] if kind == "CustomCompoundBondForce" else term[:2] for term in terms]
        pairs = ((a, b) for group in groups for a in group for b in group if a < b and {a, b} <= place.keys())
        held |= {(min(place[a], place[b]), max(place[a], place[b])) for a, b in pairs}
        for a, b, length, _ in terms if kind == "HarmonicBondForce" else ():
            if a in place and b in place:
                springs[tuple(sorted((place[a], place[b])))] = length._value * 10
    return held, springs


def _bonds_among(held, springs, found):
    """Bonds (n, 2) where a topology names none: springs as short as bonds; or what is held, and near in its positions.

    (Springs of Urey and Bradley, and the forces between atoms three bonds apart, hold pairs that are no bonds.)
    """
    pairs = np.array(sorted(springs), dtype=int).reshape(-1, 2)
    lengths = covalent_radii[found.numbers[pairs]].sum(axis=1)
    bonds = pairs[np.array([springs[i, j] for i, j in pairs.tolist()]) < BONDED * lengths] if len(pairs) else pairs
    if len(bonds):
        return bonds
    return np.array(sorted(held & {tuple(pair) for pair in found.near.tolist()}), dtype=int).reshape(-1, 2)


def _links(bonds, held, n_atoms):
    """The bonds, and of what else is held what joins parts that they leave apart; (n, 2)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms))
    part = connected_components(graph, directed=False)[1]
    more = [pair for pair in sorted(held) if part[pair[0]] != part[pair[1]]]
    return np.concatenate([bonds, np.array(more, dtype=int).reshape(-1, 2)])


def _without_movers(system):
    """XML of the System, without what only moves its atoms."""
    import openmm

    copy = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    for k in reversed(range(copy.getNumForces())):
        if type(copy.getForce(k)).__name__.startswith(MOVERS):
            copy.removeForce(k)
    return openmm.XmlSerializer.serialize(copy)


def _about(system):
    """Of a System: the largest cutoff in Å, its charge in e, its PME sums (force, cutoff in Å, tolerance)."""
    about: dict[str, Any] = {"cutoff": 0.0, "charge": None, "pme": [], "long": False}
    for number, force in enumerate(system.getForces()):
        periodic = force.usesPeriodicBoundaryConditions()
        reach = force.getCutoffDistance()._value * 10 if hasattr(force, "getCutoffDistance") else 0.0
        if periodic:
            about["cutoff"] = max(about["cutoff"], reach)
        if type(force).__name__ != "NonbondedForce":
            about["long"] |= type(force).__name__ == "AmoebaMultipoleForce"
            continue
        charges = [force.getParticleParameters(k)[0]._value for k in range(force.getNumParticles())]
        about["charge"] = round(sum(charges))
        if force.getNonbondedMethod() == force.PME and force.getPMEParameters()[1] == 0:
            about["pme"].append((number, reach, force.getEwaldErrorTolerance()))
        about["long"] |= force.getNonbondedMethod() in (force.Ewald, force.LJPME)
    return about
