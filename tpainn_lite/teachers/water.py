"""Flexible classical water: the cheap teachers for liquids, computed by OpenMM.

Rigid water, the usual kind, has no forces inside a molecule and could not teach any.  Of the flexible models here,
q-TIP4P/F has anharmonic O-H bonds of a length that suits DFT; SPC/Fw's bonds are too long for any functional, which
makes it the example of a poor teacher; iAMOEBA's molecules polarize each other, which makes it the best teacher, and
its labels about five times as expensive.
"""

import itertools
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.cell import Cell
from ase.units import kJ, mol
from numpy.typing import NDArray

from tpainn_lite.structures.arguments import ForceFieldError, check_choice, check_counts, check_numbers
from tpainn_lite.structures.charges import check_electrons
from tpainn_lite.structures.geometry import check_extent, widths
from tpainn_lite.teachers.charged import ChargedCalculator
from tpainn_lite.teachers.openmm_calculator import stress_of_energies

KJ = kJ / mol  # 1 kJ/mol in eV

# Å, degrees, e, kcal/mol (per Å², per rad²). Bond: D [α²x² − α³x³ + 7/12 α⁴x⁴], x = r − r0; angle: ½ k (θ − θ0)².
# M, the site of the negative charge, lies at γ r_O + (1 − γ)(r_H1 + r_H2)/2. SPC/Fw's harmonic bond is ½ k x²,
# that is D α² = k/2 without the cubic and quartic terms (anharmonic = 0).
WATER = {
    # Habershon, Markland, Manolopoulos 2009, doi:10.1063/1.3167790
    "q-TIP4P/F": {
        "sigma": 3.1589, "epsilon": 0.1852, "charge_H": 0.5564, "gamma": 0.73612, "r0": 0.9419, "D": 116.09,
        "alpha": 2.287, "anharmonic": 1.0, "theta0": 107.4, "k_theta": 87.85,
    },
    # Wu, Tepper, Voth 2006, doi:10.1063/1.2136877
    "SPC/Fw": {
        "sigma": 3.165492, "epsilon": 0.1554253, "charge_H": 0.41, "gamma": 1.0, "r0": 1.012, "D": 1059.162 / 2,
        "alpha": 1.0, "anharmonic": 0.0, "theta0": 113.24, "k_theta": 75.90,
    },
}  # fmt: skip
POLARIZABLE = {"iAMOEBA": "iamoeba.xml"}  # Wang et al. 2013, doi:10.1021/jp403802c; constants from OpenMM's own file
MODELS = (*WATER, *POLARIZABLE)
ELECTROSTATICS = ("ewald", "damped-shifted")
EWALD_TOLERANCE = 1e-5
DAMPING = 2.0  # 1/nm, of the damped-shifted sum
COULOMB = 138.935458  # kJ/mol nm, of two elementary charges 1 nm apart
MOST_MOLECULES = 100_000
LONGEST_BOND = 2.5  # Å; longer ones are molecules cut by the box, or atoms in another order


class WaterForceField(ChargedCalculator):
    """Flexible classical water through OpenMM, as an ASE calculator: a periodic box, or a cluster.

    Gives ``energy`` in eV (0 for molecules at rest, far apart), ``forces`` (N, 3) in eV/Å and, for boxes, ``stress``
    (6,) in eV/Å³, ASE's sign, by central differences of the energy.  Atoms must come as O, H, H, molecule by molecule;
    `ForceFieldError` for others.

    Parameters
    ----------
    model
        "q-TIP4P/F", whose anharmonic O-H bonds suit DFT geometries; "SPC/Fw", whose bonds are too long for any
        functional; "iAMOEBA", with multipoles and molecules that polarize each other; or a dict of your own constants:
        ``{**WATER["SPC/Fw"], "r0": 1.0}``.
    cutoff : Å
        Of the Lennard-Jones part and of the real-space part of the Ewald sum, which is shortened in boxes narrower
        than twice that; of damped-shifted charges too, which is not, because it would make another model.
    electrostatics
        "ewald": all charges and their images, as the models were made; "damped-shifted": only those within ``cutoff``,
        damped and shifted so that energy and force end there smoothly (Fennell, Gezelter 2006, doi:10.1063/1.2206581).
        A potential with a cutoff of its own can learn all of the second and not quite all of the first.
    """

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as ASE declares it

    def __init__(
        self, model: str | dict[str, float] = "q-TIP4P/F", cutoff: float = 9.0, electrostatics: str = "ewald"
    ) -> None:
        super().__init__()
        _check_model(model)
        check_choice(ELECTROSTATICS, electrostatics=electrostatics)
        check_numbers(above=0, cutoff=cutoff)
        if electrostatics != "ewald" and _polarizable_file(model):
            raise ValueError(f"{model} has multipoles, which only 'ewald' sums; {electrostatics!r} was given")
        self.model, self.cutoff, self.electrostatics = model, cutoff, electrostatics
        self._context: Any = None  # ((number of atoms, boxed, cutoff), OpenMM context): kept from frame to frame

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_context": None}

    @property
    def level(self) -> str:
        """Name of the level of theory."""
        name = "water with constants of one's own" if isinstance(self.model, dict) else self.model
        return name + ("" if self.electrostatics == "ewald" else f", damped-shifted at {self.cutoff:g} Å")

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        _check_water(atoms)
        context = self._ready(atoms)
        energy, forces = _energy_and_forces(context, atoms.positions, atoms.cell.array)
        if not np.isfinite(energy) or not np.isfinite(forces).all():
            raise ForceFieldError("classical water has no finite energy here: do two atoms lie on top of each other?")
        self.results["energy"], self.results["forces"] = energy, forces
        if "stress" in properties:
            if not atoms.pbc.all():
                raise PropertyNotImplementedError("stress needs a box that is periodic in all directions")
            self.results["stress"] = stress_of_energies(
                lambda *stretched: _energy_and_forces(context, *stretched)[0], atoms.positions, atoms.cell.array
            )

    def _ready(self, atoms):
        boxed = bool(atoms.pbc.all())
        width = widths(atoms.cell.array).min() if boxed else np.inf
        cutoff = allowed_cutoff(self.cutoff, width, self.electrostatics)
        key = (len(atoms), boxed, round(cutoff, 3))
        if self._context is None or self._context[0] != key:
            import openmm

            system = openmm_system(self.model, len(atoms) // 3, cutoff, boxed, self.electrostatics)
            platform = openmm.Platform.getPlatformByName("CPU")
            context = openmm.Context(system, openmm.VerletIntegrator(1e-3), platform, {"Threads": "1"})
            self._context = (key, context)
        return self._context[1]


def water(model: str | dict[str, float] = "q-TIP4P/F", **settings: Any) -> WaterForceField:
    """The water teacher: a `WaterForceField` with these settings.

    >>> water("SPC/Fw", cutoff=8.0).level
    'SPC/Fw'
    """
    return WaterForceField(model, **settings)


def allowed_cutoff(cutoff: float, width: float, electrostatics: str) -> float:
    """The cutoff (Å), or what a box of this width (Å) has room for."""
    check_numbers(above=0, cutoff=cutoff)
    if electrostatics != "ewald" and cutoff > width / 2:
        raise ForceFieldError(
            f"the box is {width:.2f} Å wide; damped-shifted charges that reach {cutoff:g} Å need twice that: take a "
            "larger box, or a smaller cutoff"
        )
    return min(cutoff, 0.49 * width)


def is_water(atoms: Atoms) -> bool:
    """Whether these are water molecules and nothing else, in the order O, H, H."""
    n = len(atoms)
    return n > 0 and n % 3 == 0 and np.array_equal(atoms.numbers, np.tile([8, 1, 1], n // 3))


def _check_model(model):
    """Raise `ValueError` unless this names a model, or has all the constants of one."""
    if not isinstance(model, dict):
        if not isinstance(model, str) or model not in MODELS:
            raise ValueError(f"model {model!r} is not one of {MODELS}, nor a dict of constants like q-TIP4P/F's")
        return
    expected = WATER["q-TIP4P/F"].keys()
    if model.keys() != expected:
        missing, unknown = sorted(expected - model.keys()), sorted(map(str, model.keys() - expected))
        raise ValueError(f"of the constants {list(expected)} {missing} are missing, and {unknown} are unknown")
    check_numbers(least=0, **{name: model[name] for name in expected - {"charge_H"}})
    check_numbers(above=0, **{name: model[name] for name in ("sigma", "r0", "gamma", "alpha")})
    check_numbers(charge_H=model["charge_H"])
    if model["gamma"] > 1 or model["theta0"] > 180:
        raise ValueError(f"gamma is {model['gamma']}, theta0 {model['theta0']}; at most 1 and 180 degrees are expected")


def _check_water(atoms):
    if not is_water(atoms):
        raise ForceFieldError(
            f"the water model needs the atoms as O, H, H, O, H, H, ...; {atoms.symbols} was given: sort them, "
            "or take a force field for other molecules"
        )
    check_electrons(atoms, None, "the water model")
    check_extent(atoms.positions, atoms.cell.array, atoms.pbc)
    if atoms.pbc.any() and not atoms.pbc.all():
        raise ForceFieldError(f"pbc is {atoms.pbc.tolist()}; a box periodic in all directions or in none is expected")
    arms = atoms.positions.reshape(-1, 3, 3)
    arms = arms[:, 1:] - arms[:, :1]  # (M, 2, 3)
    longest = np.linalg.norm(arms, axis=-1).max()
    if longest > LONGEST_BOND:
        raise ForceFieldError(
            f"an O-H bond is {longest:.2f} Å long: each O and the two H after it must be one molecule, not wrapped "
            "across the box"
        )


def openmm_system(
    model: str | dict[str, float],
    n_molecules: int,
    cutoff: float,
    boxed: bool = True,
    electrostatics: str = "ewald",
    tolerance: float = EWALD_TOLERANCE,
) -> Any:
    """OpenMM's `System` of ``n_molecules`` waters, in a periodic box that is set later (``boxed``), or as a cluster.

    Its particles come molecule by molecule as O, H, H and, for models that have it, the site M.  The ``cutoff`` is in
    Å, the ``tolerance`` the relative error of the Ewald sum's forces.
    """
    import openmm

    _check_model(model)
    check_choice(ELECTROSTATICS, electrostatics=electrostatics)
    check_counts(most=MOST_MOLECULES, n_molecules=n_molecules)
    check_numbers(above=0, cutoff=cutoff, tolerance=tolerance)
    if file := _polarizable_file(model):
        return _polarizable_system(file, n_molecules, cutoff, boxed, tolerance)
    p, system = model if isinstance(model, dict) else WATER[model], openmm.System()
    between = _ewald(cutoff, boxed, tolerance) if electrostatics == "ewald" else _damped_shifted(cutoff, boxed)
    bond, angle = _bond(), openmm.HarmonicAngleForce()
    for _ in range(n_molecules):
        _add_molecule(p, system, between, bond, angle)
    if boxed:
        system.setDefaultPeriodicBoxVectors(*(np.eye(3) * 0.21 * cutoff))
    for force in (between, bond, angle):
        system.addForce(force)
    return system


def _polarizable_file(model):
    """OpenMM's file with the constants of a model whose molecules polarize each other; None for the others."""
    return None if isinstance(model, dict) else POLARIZABLE.get(model)


def _polarizable_system(file, n_molecules, cutoff, boxed, tolerance):
    """Multipoles, induced dipoles, a buffered 14-7 repulsion, anharmonic bonds and angles, from OpenMM's file."""
    from openmm import app

    molecules = app.Topology()
    chain = molecules.addChain()
    for _ in range(n_molecules):
        residue = molecules.addResidue("HOH", chain)
        oxygen = molecules.addAtom("O", app.element.oxygen, residue)
        for name in ("H1", "H2"):
            molecules.addBond(oxygen, molecules.addAtom(name, app.element.hydrogen, residue))
    settings = {"nonbondedMethod": app.NoCutoff, "polarization": "direct", "rigidWater": False}
    if boxed:
        molecules.setPeriodicBoxVectors(np.eye(3) * 0.21 * cutoff)
        reach = {"nonbondedCutoff": cutoff / 10, "vdwCutoff": cutoff / 10}
        settings |= {"nonbondedMethod": app.PME, "ewaldErrorTolerance": tolerance, **reach}
    system = app.ForceField(file).createSystem(molecules, removeCMMotion=False, **settings)
    for k in reversed(range(system.getNumForces())):  # planar groups, which water has not: empty, yet seconds to set up
        if getattr(system.getForce(k), "getNumBonds", lambda: 1)() == 0:
            system.removeForce(k)
    return system


def _ewald(cutoff, boxed, tolerance):
    import openmm

    force = openmm.NonbondedForce()
    force.setNonbondedMethod(force.PME if boxed else force.NoCutoff)
    if boxed:
        force.setCutoffDistance(cutoff / 10)
        force.setEwaldErrorTolerance(tolerance)
    return force


def _damped_shifted(cutoff, boxed):
    """q q' [f(r) − f(R) − (r − R) f'(R)], f(r) = erfc(α r)/r, R the cutoff; Lennard-Jones is shifted likewise."""
    import openmm
    from scipy.special import erfc

    a, end = DAMPING, float(cutoff) / 10  # 1/nm, nm
    slope = erfc(a * end) / end**2 + 2 / np.sqrt(np.pi) * a * np.exp(-((a * end) ** 2)) / end  # −f'(R)
    coulomb = f"{COULOMB}*q1*q2*(erfc({a}*r)/r - {erfc(a * end) / end} + (r-{end})*{slope})"
    dispersion = f"(s/r)^12 - (s/r)^6 - (s/{end})^12 + (s/{end})^6 + (r-{end})*(12*(s/{end})^12 - 6*(s/{end})^6)/{end}"
    force = openmm.CustomNonbondedForce(f"{coulomb} + 4*sqrt(e1*e2)*({dispersion}); s = (s1+s2)/2")
    for name in "qse":
        force.addPerParticleParameter(name)
    force.setNonbondedMethod(force.CutoffPeriodic if boxed else force.CutoffNonPeriodic)
    force.setCutoffDistance(cutoff / 10)
    return force


def _bond():
    import openmm

    bond = openmm.CustomBondForce("D*(a^2*x^2 - c*a^3*x^3 + c*7/12*a^4*x^4); x = r - r0")
    for name in ("D", "a", "c", "r0"):
        bond.addPerBondParameter(name)
    return bond


def _add_molecule(p, system, between, bond, angle):
    """O, H, H and, where the model has one, the site M; kJ/mol and nm."""
    import openmm

    o, on_site = system.getNumParticles(), p["gamma"] < 1
    atoms = [(15.999, 0.0 if on_site else -2 * p["charge_H"], p["epsilon"] * 4.184)]
    atoms += [(1.008, p["charge_H"], 0.0)] * 2 + [(0.0, -2 * p["charge_H"], 0.0)] * on_site
    for mass, charge, epsilon in atoms:
        system.addParticle(mass)
        one = (charge, p["sigma"] / 10, epsilon)
        between.addParticle(*one) if isinstance(between, openmm.NonbondedForce) else between.addParticle(one)
    if on_site:
        rest = (1 - p["gamma"]) / 2
        system.setVirtualSite(o + 3, openmm.ThreeParticleAverageSite(o, o + 1, o + 2, p["gamma"], rest, rest))
    for i, j in itertools.combinations(range(o, system.getNumParticles()), 2):
        if isinstance(between, openmm.NonbondedForce):
            between.addException(i, j, 0.0, 0.1, 0.0)
        else:
            between.addExclusion(i, j)
    for hydrogen in (o + 1, o + 2):
        bond.addBond(o, hydrogen, [p["D"] * 4.184, p["alpha"] * 10, p["anharmonic"], p["r0"] / 10])
    angle.addAngle(o + 1, o, o + 2, np.radians(p["theta0"]), p["k_theta"] * 4.184)


def place(context: Any, positions: NDArray, cell: NDArray) -> NDArray:
    """Give OpenMM positions (N, 3) Å and, for a box, the cell (3, 3) Å; returns the rotation (3, 3) into its axes."""
    n, turn = len(positions) // 3, np.eye(3)
    particles = np.zeros((n, context.getSystem().getNumParticles() // n, 3))  # nm
    if context.getSystem().usesPeriodicBoundaryConditions():
        standard, turn = Cell(cell).standard_form()  # OpenMM wants a along x, b in the x-y plane
        context.setPeriodicBoxVectors(*(standard.array / 10))
    particles[:, :3] = (positions @ turn.T).reshape(n, 3, 3) / 10
    context.setPositions(particles.reshape(-1, 3))
    if particles.shape[1] > 3:  # virtual sites, which OpenMM places
        context.computeVirtualSites()
    return turn


def _energy_and_forces(context, positions, cell):
    """eV and (N, 3) eV/Å; the virtual sites' forces are already on the atoms."""
    turn = place(context, positions, cell)
    state = context.getState(getEnergy=True, getForces=True)
    forces = state.getForces(asNumpy=True)._value.reshape(len(positions) // 3, -1, 3)[:, :3].reshape(-1, 3)
    return state.getPotentialEnergy()._value * KJ, forces @ turn * KJ / 10
