"""MD of the classical water models inside OpenMM: thousands of labelled frames in minutes, and a model's properties.

Several times as fast as the same run through ASE.  The integrator (Langevin, the "middle" scheme: Zhang et al. 2019,
doi:10.1021/acs.jpca.9b02771) samples positions rightly even where its time step is a tenth of an O-H vibration.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import FIRE
from ase.units import kB

from tpainn_lite.structures.arguments import ForceFieldError, check_counts, check_numbers, whole_steps
from tpainn_lite.structures.build import water_box
from tpainn_lite.structures.geometry import density_of
from tpainn_lite.teachers.parallel import Jobs, check_jobs, in_parallel
from tpainn_lite.teachers.water import KJ, WaterForceField, allowed_cutoff, openmm_system, place

TIMESTEP = 1.0  # fs
EWALD_TOLERANCE = 5e-4  # of the forces that move the molecules; labels are computed more tightly
FRICTION = 1.0  # 1/ps; 0.1 for a run whose diffusion is wanted
REDRAWS = 10  # times during the warm-up
CUTOFF = 9.0  # Å
SHRINKS = 0.85  # a box under pressure may become so much narrower


def water_run(
    n_molecules: int = 64,
    density: float = 1.0,
    temperature: float = 300.0,
    n_frames: int = 100,
    *,
    spacing: float = 100.0,
    warm_up: float = 5000.0,
    model: str | dict[str, float] = "q-TIP4P/F",
    electrostatics: str = "ewald",
    cutoff: float = CUTOFF,
    pressure: float | None = None,
    friction: float = FRICTION,
    timestep: float = TIMESTEP,
    seed: int = 0,
    threads: int = 1,
    stress: bool = False,
    progress: bool = True,
) -> Iterator[Atoms]:
    """Labelled snapshots of liquid water, one after the other.

    Molecules are never cut by the box: positions are those of the run, so that displacements are too.  ``info``
    has ``time`` in fs, ``density`` in g/cm³, ``temperature`` and ``kinetic_temperature`` in K.

    Parameters
    ----------
    density : g/cm³; with ``pressure`` only the start
    temperature : K (Langevin)
    spacing, warm_up : fs, between frames (whole steps), and before the first
    model, electrostatics, cutoff : as in `tpainn_lite.teachers.water.WaterForceField`
    pressure : bar; if given, the volume of the box changes (Monte Carlo barostat)
    friction : 1/ps
    timestep : fs
    seed : of the start and of the run; the same frames come on the same machine with the same ``threads``
    stress : label the stress too; it costs twelve energies
    progress : show a progress bar

    >>> len(list(water_run(32, n_frames=2, spacing=5, warm_up=5, progress=False)))
    2
    """
    labeller = WaterForceField(model, cutoff, electrostatics)
    check_counts(n_molecules=n_molecules, n_frames=n_frames, threads=threads)
    check_counts(least=0, seed=seed)
    check_numbers(above=0, density=density, temperature=temperature, cutoff=cutoff)
    check_numbers(least=0, warm_up=warm_up, friction=friction)
    check_numbers(pressure=0.0 if pressure is None else pressure)
    every, first = whole_steps(spacing, timestep), round(warm_up / timestep)
    start = {"n_molecules": n_molecules, "density": density, "calculator": labeller, "seed": seed}
    bath = {"temperature": temperature, "pressure": pressure, "friction": friction, "timestep": timestep}
    return _frames(labeller, start, bath, n_frames, every, first, threads, stress, progress)


def _frames(labeller, start, bath, n_frames, every, first, threads, stress, progress):
    from tqdm.auto import tqdm

    box, seed, n_molecules = _relaxed(**start), start["seed"], start["n_molecules"]
    context = _context(labeller, box, **bath, seed=seed + 1, threads=threads)
    place(context, box.positions, box.cell.array)
    parts = np.diff(np.round(np.linspace(0, first, REDRAWS + 1)).astype(int)).tolist()
    with tqdm(total=first + n_frames * every, desc="MD", unit=" steps", disable=not progress) as bar:
        for k, n_steps in enumerate(parts):  # fresh velocities carry off the heat of a lattice that melts
            context.setVelocitiesToTemperature(bath["temperature"], seed + k)
            _step(context.getIntegrator(), n_steps)
            bar.update(n_steps)
        for k in range(n_frames):
            _step(context.getIntegrator(), every)
            bar.update(every)
            frame = _snapshot(context, n_molecules, labeller, stress)
            frame.info.update(time=(k + 1) * every * bath["timestep"], temperature=float(bath["temperature"]))
            yield frame


def _context(labeller, box, temperature, pressure, friction, timestep, seed, threads):
    """What moves these molecules in OpenMM."""
    import openmm

    model, electrostatics = labeller.model, labeller.electrostatics
    narrowest = box.cell[0, 0] * (SHRINKS if pressure is not None else 1.0)
    reach = allowed_cutoff(labeller.cutoff, narrowest, electrostatics)
    system = openmm_system(model, len(box) // 3, reach, True, electrostatics, EWALD_TOLERANCE)
    integrator = openmm.LangevinMiddleIntegrator(temperature, friction, timestep / 1000)
    integrator.setRandomNumberSeed(seed)
    if pressure is not None:
        barostat = openmm.MonteCarloBarostat(pressure, temperature, 25)
        barostat.setRandomNumberSeed(seed)
        system.addForce(barostat)
    properties = {"Threads": str(threads), "DeterministicForces": "true"}
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"), properties)


def water_runs(
    states: Sequence[tuple[float, float]], n_frames: int = 100, n_jobs: Jobs = 1, seed: int = 0, **settings: Any
) -> list[Atoms]:
    """`water_run` at several (density in g/cm³, temperature in K), at once by ``n_jobs`` (as of `label`).

    The k-th run has the seed ``seed + k``; ``settings`` are those of `water_run`.  The frames of the first state come
    first, ``n_frames`` of each.

    >>> len(water_runs([(1.0, 300)], n_frames=2, n_molecules=32, spacing=5, warm_up=5))
    2
    """
    check_counts(n_frames=n_frames)
    check_jobs(n_jobs)
    check_counts(least=0, seed=seed)
    runs = [{"density": d, "temperature": t, "seed": seed + k} for k, (d, t) in enumerate(_pairs(states))]
    calls = [(n_frames, {**run, **settings}) for run in runs]
    done = itertools.starmap(_listed, calls) if n_jobs == 1 else in_parallel(_listed, calls, n_jobs, in_order=True)
    return [frame for frames in done for frame in frames]


def _pairs(states):
    """Densities and temperatures as a list of pairs."""
    states = list(states) if isinstance(states, Iterable) else []
    if not states or not all(isinstance(state, (tuple, list)) and len(state) == 2 for state in states):
        raise ValueError(f"states are {states!r}; a list of (density in g/cm³, temperature in K) is expected")
    for density, temperature in states:
        check_numbers(above=0, density=density, temperature=temperature)
    return states


def _listed(n_frames, settings):
    return list(water_run(n_frames=n_frames, **{"progress": False, **settings}))


def _step(integrator, n_steps):
    import openmm

    try:
        integrator.step(n_steps)
    except openmm.OpenMMException as error:
        if "NaN" not in str(error):
            raise
        raise ForceFieldError(
            "classical water broke down: a hydrogen fell onto a negative charge, where the formula has no bottom. "
            "Try another seed, a lower temperature or a shorter timestep"
        ) from error


def _relaxed(n_molecules, density, calculator, seed):
    box = water_box(n_molecules, density, seed)
    box.calc = calculator
    FIRE(box, logfile=None).run(fmax=2.0, steps=100)
    return box


def _snapshot(context, n, labeller, stress):
    state = context.getState(getPositions=True, getEnergy=True)
    positions = state.getPositions(asNumpy=True)._value.reshape(n, -1, 3)[:, :3].reshape(-1, 3) * 10  # (3n, 3) Å
    cell = np.array([vector._value for vector in state.getPeriodicBoxVectors()]) * 10
    frame = Atoms("OHH" * n, positions, cell=cell, pbc=True)
    labels = {"energy": labeller.get_potential_energy(frame), "forces": labeller.get_forces(frame)}
    if stress:
        labels["stress"] = labeller.get_stress(frame)
    frame.calc = SinglePointCalculator(frame, **labels)
    frame.info.update(config_type="liquid", level=labeller.level, density=density_of(frame))
    kinetic = state.getKineticEnergy()._value * KJ  # of 9 n degrees of freedom: nothing keeps the centre still
    frame.info["kinetic_temperature"] = 2 * kinetic / (9 * n) / kB
    return frame
