"""Molecular dynamics with any ASE calculator, with guards: a bad potential is caught and shown, not hidden."""

import time

import numpy as np
from ase import units
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.velocitydistribution import Stationary, ZeroRotation, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from tpainn_lite.simulate.record import MDRun, Record, check_path  # noqa: F401  MDRun: for those who look for it here
from tpainn_lite.structures.arguments import check_calculator, check_choice, check_counts, check_numbers
from tpainn_lite.structures.checks import check_structure
from tpainn_lite.structures.geometry import (
    BROKEN,
    TOO_CLOSE,
    bond_lengths,
    bonds_of,
    check_extent,
    distances,
    near_pairs,
)
from tpainn_lite.structures.identity import IdentityError, identity

ENSEMBLES = ("nvt", "nvt-nh", "nve", "npt")
TOO_HOT = 10  # times the asked temperature: the run has exploded
SWOLLEN = 1.6  # times the first volume, or one part in so many of it: the liquid boils, or collapses


def run_md(
    atoms,
    calculator,
    *,
    ensemble="nvt",
    temperature=300.0,
    pressure=1.0,
    friction=10.0,
    timestep=0.5,
    n_steps=1000,
    every=10,
    seed=0,
    stop_when_broken=True,
    max_disagreement=None,
    path=None,
    progress=True,
):
    """Run molecular dynamics from these atoms.

    Parameters
    ----------
    ensemble : "nvt", "nvt-nh", "nve" or "npt"
        Langevin at ``temperature`` (its friction slows diffusion); a Nosé-Hoover chain, which hardly does; velocity
        Verlet from velocities drawn at ``temperature``; or constant ``pressure`` too, the box breathing evenly in all
        directions (Martyna, Tobias, Klein 1994, doi:10.1063/1.467468), for calculators that have a stress.
    pressure : float
        bar.
    friction : float
        1/ps, of Langevin.
    timestep : float
        fs.
    n_steps, every : int
        Steps in all, and steps between frames that are kept, which must fill them.
    stop_when_broken : bool
        Also stop when a bond of the first frame is longer than 1.6 × its covalent length.  An explosion, atoms that
        fall onto each other and a box that swells or shrinks by 1.6 stop every run.
    max_disagreement : float, optional
        eV/Å.  Stop where the members of a `tpainn_lite.model.committee` lie farther apart, for any atom.
    path : str or Path, optional
        Also write the frames, as they come, to this ASE trajectory (``.traj``), and the state of the run beside it
        (``.state.npz``).  Interrupted, the same call goes on from the last frame that was kept; with more ``n_steps``
        it goes on longer; a run that a guard has stopped stays stopped.

    Returns
    -------
    MDRun
        Complete, or up to the moment when a guard stopped it, and the reason.  What has exploded is not among the
        frames; a structure with a broken bond, a collapse or a doubtful force is, as the last one.

    Raises
    ------
    IdentityError
        The file holds a run of another start, calculator, seed or setting, or one of more steps.
    FileExistsError, OSError
        The file is none of ours, cannot be written, or is being written by another process.
    """
    physics = {"temperature": temperature, "pressure": pressure, "friction": friction, "timestep": timestep}
    check_settings(ensemble, n_steps, every, **physics)
    _check_guards(calculator, ensemble, stop_when_broken, max_disagreement)
    check_counts(least=0, seed=seed)
    path = check_path(path)
    work, rng = moving(atoms, calculator, ensemble, temperature, seed)
    dynamics = _integrator(work, ensemble, temperature, pressure, friction, timestep, rng)
    bonds, made_from = bonds_of(work) if stop_when_broken else None, None
    if path is not None:
        settings = {"ensemble": ensemble, "every": every, "stop_when_broken": stop_when_broken, **physics}
        settings |= {"seed": seed, "max_disagreement": max_disagreement}
        made_from = identity(calculator=calculator, start=atoms.copy(), **settings)
    with Record(path, work, dynamics, rng, made_from) as record:
        if record.step > n_steps:
            raise IdentityError(
                f"{path} holds {record.step} steps, and n_steps is {n_steps}: ask for {record.step} or more, or name "
                "another file"
            )
        return _run(record, n_steps, every, timestep, temperature, bonds, max_disagreement, progress)


class Simulation:
    """MD that goes on bit by bit while somebody watches, with the same integrators and guards as `run_md`.

    Parameters
    ----------
    atoms : ase.Atoms
        Left as they are.
    calculator : ase Calculator
    **settings
        ``ensemble``, ``temperature``, ``pressure``, ``friction``, ``timestep`` as in `run_md`; they may be changed on
        the way with `change`.

    ``work`` are the atoms as they are now, ``time`` (fs) is what has passed, ``stopped`` says why it cannot go on.
    """

    def __init__(self, atoms, calculator, seed=0, **settings):
        self.settings = {
            "ensemble": "nvt", "temperature": 300.0, "pressure": 1.0, "friction": 10.0, "timestep": 0.5, **settings,
        }  # fmt: skip
        check_settings(**self.settings)
        check_mover(calculator, self.settings["ensemble"])
        start = (self.settings["ensemble"], self.settings["temperature"], seed)
        self.work, self.rng = moving(atoms, calculator, *start)
        self.time, self.stopped = 0.0, None
        self.bonds, self.volume = bonds_of(self.work), _volume(self.work)
        self.change()

    def change(self, **settings):
        """Go on with another temperature, pressure, … from where the atoms are."""
        check_settings(**self.settings | settings)
        self.settings |= settings
        names = ("ensemble", "temperature", "pressure", "friction", "timestep")
        self.dynamics = _integrator(self.work, *(self.settings[name] for name in names), self.rng)

    def advance(self, n_steps):
        """So many steps; nothing more once a guard has stopped it."""
        check_counts(n_steps=n_steps)
        if self.stopped:
            return
        try:
            self.dynamics.run(n_steps)
        except ValueError as error:
            self.stopped = str(error)
            return
        self.time += n_steps * self.settings["timestep"]
        self.stopped = trouble(self.work, self.settings["temperature"], self.bonds, self.volume)


def check_settings(ensemble, n_steps=1, every=1, *, temperature, timestep, pressure=1.0, friction=10.0):
    """Raise ValueError where MD cannot be run so; units as in `run_md`."""
    check_choice(ENSEMBLES, ensemble=ensemble)
    check_numbers(above=0, temperature=temperature, timestep=timestep)
    check_numbers(least=0, friction=friction)
    check_numbers(pressure=pressure)
    check_counts(n_steps=n_steps, every=every)
    if n_steps % every:
        less, more = n_steps // every * every, (n_steps // every + 1) * every
        possible = f"{less} or {more}" if less else f"{more}"
        raise ValueError(f"n_steps is {n_steps}, which frames {every} steps apart do not fill; {possible} would be")


def check_mover(calculator, ensemble):
    """Raise TypeError or ValueError for what is no ASE calculator, or has no stress where that is needed."""
    check_calculator(calculator)
    if ensemble == "npt" and "stress" not in getattr(calculator, "implemented_properties", ["stress"]):
        raise ValueError(f"{type(calculator).__name__} has no stress, which constant pressure needs")


def _check_guards(calculator, ensemble, stop_when_broken, max_disagreement):
    check_mover(calculator, ensemble)
    if not isinstance(stop_when_broken, (bool, np.bool_)):
        raise TypeError(f"stop_when_broken is {stop_when_broken!r}; True or False is expected")
    if max_disagreement is None:
        return
    check_numbers(above=0, max_disagreement=max_disagreement)
    if not hasattr(calculator, "members"):
        raise ValueError("max_disagreement needs a committee's calculator: Committee(potentials).calculator()")


def moving(atoms, calculator, ensemble, temperature, seed):
    """A copy of the atoms with velocities of this temperature, and the random numbers to go on with."""
    check_structure(atoms)
    if ensemble == "npt" and not atoms.pbc.all():
        raise ValueError(f"pbc is {atoms.pbc.tolist()}; constant pressure needs a box periodic in all directions")
    work, rng = atoms.copy(), np.random.default_rng(seed)
    work.calc = calculator
    thermalize_momenta(work, temperature, rng=rng)
    _stop_drifting_and_turning(work)
    return work, rng


def _volume(atoms):
    return atoms.get_volume() if atoms.pbc.all() else None


def _run(record, n_steps, every, timestep, temperature, bonds, max_disagreement, progress):
    from tqdm.auto import tqdm

    run, work, volume = record.run, record.work, _volume(record.run.frames[0])
    bar, started = tqdm(total=n_steps, initial=record.step, desc="MD", unit=" steps", disable=not progress), None
    while record.step < n_steps and not run.stopped:
        step = record.step + every
        now, started = step * timestep, started or (time.perf_counter(), record.step)
        lost = _moved(record.dynamics, every) or has_exploded(work, temperature)
        if lost:
            record.stop(f"at {now:.0f} fs: {lost}")
            break
        bar.update(every)
        nanoseconds = (step - started[1]) * timestep * 1e-6
        bar.set_postfix_str(f"{nanoseconds / (time.perf_counter() - started[0]) * 86400:.2g} ns/day", refresh=False)
        reason = trouble(work, temperature, bonds, volume) or _doubt(work, max_disagreement)
        record.keep(step, now, reason and f"at {now:.0f} fs: {reason}")
    bar.close()
    return run


def _moved(dynamics, n_steps):
    """None after so many steps, or why the calculator gave up on the way."""
    try:
        dynamics.run(n_steps)
    except ValueError as error:
        return str(error).split(";")[0].removeprefix("structure: ")  # not the advice for those who give structures


def _stop_drifting_and_turning(work):
    if len(work) > 1:  # one atom is left its velocity
        Stationary(work)
        if not work.pbc.any():
            with np.errstate(divide="ignore", invalid="ignore"):  # a linear molecule has no inertia about its axis
                ZeroRotation(work)


def _integrator(work, ensemble, temperature, pressure, friction, timestep, rng):
    step, slow = timestep * units.fs, {"tdamp": 100 * units.fs}
    if ensemble == "nve":
        return VelocityVerlet(work, step)
    if ensemble == "nvt-nh":
        return NoseHooverChainNVT(work, step, temperature_K=temperature, **slow)
    if ensemble == "npt":
        push = pressure * units.bar
        return IsotropicMTKNPT(work, step, temperature_K=temperature, pressure_au=push, pdamp=1000 * units.fs, **slow)
    friction = friction / (1000 * units.fs)
    return Langevin(work, step, temperature_K=temperature, friction=friction, fixcm=False, rng=rng)


def has_exploded(atoms, temperature):
    """Why these atoms, with their calculator's results, are no structure any more, or None."""
    hot = not atoms.get_temperature() <= TOO_HOT * temperature + 3000
    if hot or flown_apart(atoms.positions, atoms.cell.array, atoms.pbc):
        return f"the structure exploded (temperature {atoms.get_temperature():.0f} K)"
    return None if np.isfinite(atoms.get_potential_energy()) else "the energy is not a finite number"


def flown_apart(positions, cell, pbc):
    """Whether a search for pairs among these positions (N, 3) would make no sense, or end the process."""
    if not np.isfinite(positions).all():
        return True
    try:
        check_extent(positions, cell, pbc)
    except ValueError:
        return True
    return False


def trouble(atoms, temperature, bonds, volume=None):
    """Why the run must stop, or None; ``bonds`` (n, 2) are watched, unless None."""
    lost = has_exploded(atoms, temperature)
    if lost:
        return lost
    if volume is not None and not 1 / SWOLLEN < atoms.get_volume() / volume < SWOLLEN:
        return f"the box has {atoms.get_volume() / volume:.2f} times the volume it began with"
    if len(atoms) < 2:
        return None
    return (bonds is not None and _broken(atoms, bonds)) or _collapsed(atoms)


def _broken(atoms, bonds):
    stretched = distances(atoms, *bonds.T) / bond_lengths(atoms, *bonds.T)
    if len(bonds) == 0 or stretched.max() <= BROKEN:
        return None
    i, j = bonds[stretched.argmax()]
    return f"the bond {atoms.symbols[i]}{i}-{atoms.symbols[j]}{j} broke"


def _collapsed(atoms):
    try:
        i, j, _ = near_pairs(atoms, TOO_CLOSE)
    except ValueError as error:  # too many pairs, or a box gone flat
        return str(error)
    if len(i) == 0:
        return None
    return f"atoms {atoms.symbols[i[0]]}{i[0]} and {atoms.symbols[j[0]]}{j[0]} collapsed onto each other"


def _doubt(atoms, max_disagreement):
    """Why a committee should no longer be believed, or None."""
    if max_disagreement is None:
        return None
    spread = atoms.calc.results["force_spread"]
    atom = int(spread.argmax())
    if spread[atom] <= max_disagreement:
        return None
    worst = f"{atoms.symbols[atom]}{atom} disagrees by {spread[atom]:.2f} eV/Å, {max_disagreement:g} eV/Å allowed"
    return f"the committee on the force of {worst}: outside of what it was trained on"
