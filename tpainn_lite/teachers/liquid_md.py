"""MD of any liquid inside OpenMM: labelled frames of boxes, by MMFF94 or by a force field of one's own.

As `tpainn_lite.teachers.water_md` for water: the integrator is Langevin's, in the "middle" scheme (Zhang et al. 2019,
doi:10.1021/acs.jpca.9b02771), and each frame that is kept is labelled by the teacher itself, in full precision.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import FIRE
from ase.units import kB

from tpainn_lite.structures.arguments import ForceFieldError, check_counts, check_list, check_numbers, whole_steps
from tpainn_lite.structures.geometry import density_of
from tpainn_lite.structures.liquids import liquid
from tpainn_lite.teachers.mmff_liquid import MMFF94Liquid
from tpainn_lite.teachers.openmm_calculator import KJ, OpenMMCalculator, atoms_in, new_context, place
from tpainn_lite.teachers.parallel import in_parallel
from tpainn_lite.teachers.water_md import FRICTION, REDRAWS, TIMESTEP

SHRINKS = 0.94  # a box under pressure may become so much narrower: its density grows by a fifth
EVERY = 25  # steps between two attempts to change the volume
RELAXED = 2.0  # eV/Å; larger forces are relaxed before the run
INFO = ("molecules", "smiles", "charge", "multiplicity")  # that frames keep


def liquid_run(
    start: Atoms,
    teacher: OpenMMCalculator | None = None,
    *,
    temperature: float = 300.0,
    n_frames: int = 100,
    spacing: float = 100.0,
    warm_up: float = 5000.0,
    pressure: float | None = None,
    friction: float = FRICTION,
    timestep: float = TIMESTEP,
    seed: int = 0,
    threads: int = 1,
    labels: bool = True,
    stress: bool = False,
    progress: bool = True,
) -> Iterator[Atoms]:
    """Labelled snapshots of a liquid, one after the other.

    No molecule is cut by the box, and positions are those of the run, so that displacements are too.  ``info`` has
    ``time`` in fs, ``density`` in g/cm³, ``temperature`` and ``kinetic_temperature`` in K.

    Parameters
    ----------
    start : a periodic box, as `tpainn_lite.liquid` packs it; it is relaxed first
    teacher : `tpainn_lite.mmff94_liquid` unless given; or one of `tpainn_lite.openmm_teacher`
    temperature : K (Langevin)
    spacing, warm_up : fs, between frames (whole steps), and before the first
    pressure : bar; if given, the volume of the box changes (Monte Carlo barostat)
    friction : 1/ps
    timestep : fs
    seed : of the run; the same frames come on the same machine with the same ``threads``
    labels : whether frames carry energy and forces; without them, a long run for a density is faster
    stress : label the stress too; it costs twelve energies
    progress : show a progress bar

    >>> from tpainn_lite import liquid
    >>> len(list(liquid_run(liquid("CO", 64, density=0.79), n_frames=2, spacing=5, warm_up=5, progress=False)))
    2
    """
    teacher = MMFF94Liquid() if teacher is None else teacher
    if not isinstance(teacher, OpenMMCalculator):
        raise TypeError(
            f"teacher is a {type(teacher).__name__}; one that OpenMM computes is expected (mmff94_liquid, "
            "openmm_teacher; for models of water there is water_run)"
        )
    if not isinstance(start, Atoms) or not start.pbc.all():
        raise ForceFieldError("the start of a liquid's MD is expected to be a box that is periodic in all directions")
    check_counts(n_frames=n_frames, threads=threads)
    check_counts(least=0, seed=seed)
    check_numbers(above=0, temperature=temperature)
    check_numbers(least=0, warm_up=warm_up, friction=friction)
    check_numbers(pressure=0.0 if pressure is None else pressure)
    every, first = whole_steps(spacing, timestep), round(warm_up / timestep)
    teacher.key_of(start)  # which raises an error where the teacher cannot
    bath = {"temperature": temperature, "pressure": pressure, "friction": friction, "timestep": timestep}
    machine, shown = {"seed": seed, "threads": threads}, {"labels": labels, "stress": stress}
    return _frames(teacher, start, bath, n_frames, every, first, machine, shown, progress)


def _frames(teacher, start, bath, n_frames, every, first, machine, shown, progress):
    from tqdm.auto import tqdm

    box = _relaxed(start, teacher)
    context = _context(teacher, box, **bath, **machine)
    place(context, box.positions, box.cell.array)
    parts = np.diff(np.round(np.linspace(0, first, REDRAWS + 1)).astype(int)).tolist()
    with tqdm(total=first + n_frames * every, desc="MD", unit=" steps", disable=not progress) as bar:
        for k, n_steps in enumerate(parts):  # fresh velocities carry off the heat of a start that settles
            context.setVelocitiesToTemperature(bath["temperature"], machine["seed"] + k)
            _step(context, n_steps, teacher)
            bar.update(n_steps)
        for k in range(n_frames):
            _step(context, every, teacher)
            bar.update(every)
            frame = _snapshot(context, box, teacher, **shown)
            frame.info.update(time=(k + 1) * every * bath["timestep"], temperature=float(bath["temperature"]))
            yield frame


def _context(teacher, box, temperature, pressure, friction, timestep, seed, threads):
    """What moves these molecules in OpenMM; its axes are those of the box."""
    import openmm

    system = teacher.system_of(box, sampling=True, narrower=1.0 if pressure is None else SHRINKS)
    integrator = openmm.LangevinMiddleIntegrator(temperature, friction, timestep / 1000)
    integrator.setRandomNumberSeed(seed + 1)
    if pressure is not None:
        barostat = openmm.MonteCarloBarostat(pressure, temperature, EVERY)
        barostat.setRandomNumberSeed(seed + 1)
        system.addForce(barostat)
    return new_context(system, integrator, threads=threads)


def _relaxed(start, teacher):
    """The start in OpenMM's axes, whole molecules, without the worst forces."""
    box = start.copy()
    box.positions = teacher.whole(box)
    standard, turn = box.cell.standard_form()
    box.set_cell(standard)
    box.positions = box.positions @ turn.T
    box.calc = teacher
    FIRE(box, logfile=None).run(fmax=RELAXED, steps=200)
    return box


def _step(context, n_steps, teacher):
    import openmm

    try:
        context.getIntegrator().step(n_steps)
    except openmm.OpenMMException as error:
        if "NaN" not in str(error) and "box size" not in str(error):
            raise
        raise ForceFieldError(
            f"{teacher.level} broke down ({error}): try another seed, a lower temperature, a shorter timestep, or a "
            "density nearer to that of the liquid"
        ) from error


def _snapshot(context, box, teacher, labels, stress):
    system, state = context.getSystem(), context.getState(getPositions=True, getEnergy=True)
    frame = Atoms(box.numbers, masses=box.get_masses(), pbc=True)
    frame.positions = state.getPositions(asNumpy=True)._value[atoms_in(system)] * 10
    frame.cell = np.array([vector._value for vector in state.getPeriodicBoxVectors()]) * 10
    frame.info = {key: box.info[key] for key in INFO if key in box.info}
    frame.info.update(config_type="liquid", level=teacher.level, density=density_of(frame))
    kinetic = state.getKineticEnergy()._value * KJ  # of 3 N degrees of freedom: nothing keeps the centre still
    frame.info["kinetic_temperature"] = 2 * kinetic / (3 * len(box)) / kB
    if labels:
        wanted = ("energy", "forces", "stress") if stress else ("energy", "forces")
        frame.calc = SinglePointCalculator(frame, **{name: teacher.get_property(name, frame) for name in wanted})
    return frame


def liquid_runs(
    molecules: str | Mapping[str, int],
    n_molecules: int | None = None,
    *,
    densities: Sequence[float],
    temperatures: Sequence[float] = (300.0,),
    n_frames: int = 100,
    n_jobs: int = 1,
    seed: int = 0,
    **settings: Any,
) -> list[Atoms]:
    """`liquid_run` at each of several densities (g/cm³) and temperatures (K), at once in ``n_jobs`` processes.

    Molecules are those of `tpainn_lite.liquid`; ``settings`` are those of `liquid_run`.  The k-th run has the seed
    ``seed + k``; the frames of the first density come first, ``n_frames`` of each run.

    >>> len(liquid_runs("CO", 64, densities=[0.75, 0.79], n_frames=1, spacing=5, warm_up=5))
    2
    """
    check_counts(n_frames=n_frames, n_jobs=n_jobs)
    check_counts(least=0, seed=seed)
    for name, values in (("densities", densities), ("temperatures", temperatures)):
        check_list(values, name)
        if not len(values):
            raise ValueError(f"{name} is empty; one at least is expected")
        check_numbers(above=0, **{f"{name}[{k}]": value for k, value in enumerate(values)})
    teacher = settings.get("teacher") or MMFF94Liquid()
    if hasattr(teacher, "key_of"):  # the narrowest box: refused before any run
        teacher.key_of(liquid(molecules, n_molecules, density=max(densities), seed=seed))
    states = itertools.product(densities, temperatures)
    calls = [
        (molecules, n_molecules, density, {"temperature": kelvin, "seed": seed + k, "n_frames": n_frames, **settings})
        for k, (density, kelvin) in enumerate(states)
    ]
    done = itertools.starmap(_listed, calls) if n_jobs == 1 else in_parallel(_listed, calls, n_jobs, in_order=True)
    return [frame for frames in done for frame in frames]


def _listed(molecules, n_molecules, density, settings):
    start = liquid(molecules, n_molecules, density=density, seed=settings["seed"])
    return list(liquid_run(start, **{"progress": False, **settings}))
