"""Molecular dynamics with any ASE calculator, with guards: a bad potential is caught and shown, not hidden."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from ase import Atoms, units
from ase.calculators.abc import GetPropertiesMixin
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.velocitydistribution import Stationary, ZeroRotation, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from tpainn_lite.simulate.record import MDRun, check_path, recorded
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

Ensemble: TypeAlias = Literal["nvt", "nvt-nh", "nve", "npt"]
ENSEMBLES = get_args(Ensemble)
TOO_HOT = 10  # times the temperature of the settings: the run has exploded
SWOLLEN = 1.6  # times the first volume, or one part in so many of it: the liquid boils, or collapses


def run_md(
    atoms: Atoms,
    calculator: GetPropertiesMixin,
    *,
    ensemble: Ensemble = "nvt",
    temperature: float = 300.0,
    pressure: float = 1.0,
    friction: float = 10.0,
    timestep: float = 0.5,
    n_steps: int = 1000,
    every: int = 10,
    seed: int = 0,
    stop_when_broken: bool = True,
    max_disagreement: float | None = None,
    path: Path | str | None = None,
    progress: bool = True,
) -> MDRun:
    """Run molecular dynamics from these atoms.

    Parameters
    ----------
    ensemble
        Langevin ("nvt"; its friction slows diffusion); a Nosé-Hoover chain, which hardly does; velocity Verlet from
        velocities drawn at ``temperature``; or constant ``pressure`` too, the box breathing evenly in all directions
        (Martyna, Tobias, Klein 1994, doi:10.1063/1.467468), for calculators that have a stress.
    temperature, pressure, friction, timestep
        K; bar; 1/ps, of Langevin; fs.
    n_steps, every
        Steps in all, and steps between frames that are kept, which must fill them.
    stop_when_broken
        Also stop when a bond of the first frame is longer than 1.6 × its covalent length.  An explosion, atoms that
        fall onto each other and a box that swells or shrinks by 1.6 stop every run.
    max_disagreement
        eV/Å.  Stop where the members of a `tpainn_lite.model.committee` lie farther apart, for any atom.
    path
        Also write the frames, as they come, to this ASE trajectory (``.traj``), and the state of the run next to it
        (``.state.npz``).  The same call resumes an interrupted run from the last frame that was kept, and continues
        one with more ``n_steps``; a run that a guard has stopped stays stopped.

    Returns
    -------
    MDRun
        Complete, or up to the moment when a guard stopped it, and the reason.  What has exploded is not among the
        frames; a structure with a broken bond, a collapse or a doubtful force is, as the last one.

    Raises
    ------
    ValueError, TypeError
        A bad structure, calculator or setting, which is named.
    IdentityError
        The file holds a run of another start, calculator, seed or setting, or one of more steps.
    FileExistsError, OSError
        The file was not written by `run_md`, cannot be written, or is being written by another process.

    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> run_md(bulk("Cu", cubic=True), EMT(), n_steps=20, progress=False)
    MDRun(3 frames, 10 fs, ran to the end)
    """
    physics: dict[str, Any] = {
        "ensemble": ensemble, "temperature": temperature, "pressure": pressure, "friction": friction,
        "timestep": timestep,
    }  # fmt: skip
    check_settings(n_steps=n_steps, every=every, **physics)
    _check_guards(calculator, ensemble, stop_when_broken, max_disagreement)
    check_counts(least=0, seed=seed)
    path = check_path(path)
    work, rng = moving(atoms, calculator, ensemble, temperature, seed)
    dynamics = _integrator(work, rng, **physics)
    bonds, made_from = bonds_of(work) if stop_when_broken else None, {}
    if path is not None:
        guards = {"stop_when_broken": stop_when_broken, "max_disagreement": max_disagreement}
        made_from = identity(calculator=calculator, start=atoms.copy(), every=every, seed=seed, **physics, **guards)
    with recorded(path, work, dynamics, rng, made_from) as record:
        if record.step > n_steps:
            raise IdentityError(
                f"{path} holds {record.step} steps, and n_steps is {n_steps}: ask for {record.step} or more, or name "
                "another file"
            )
        volume = _volume(record.run.frames[0])

        def judge():
            return trouble(work, temperature, bonds, volume) or _doubt(work, max_disagreement)

        _run(record, dynamics, n_steps, every, timestep, temperature, judge, progress)
    return record.run


def check_settings(
    ensemble: str,
    n_steps: int = 1,
    every: int = 1,
    *,
    temperature: float,
    timestep: float,
    pressure: float = 1.0,
    friction: float = 10.0,
) -> None:
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


def check_md_calculator(calculator: Any, ensemble: str) -> None:
    """Raise TypeError for what is no ASE calculator, ValueError where it has no stress and the ensemble needs it."""
    check_calculator(calculator)
    if ensemble == "npt" and "stress" not in getattr(calculator, "implemented_properties", ["stress"]):
        raise ValueError(f"{type(calculator).__name__} has no stress, which constant pressure needs")


def _check_guards(calculator, ensemble, stop_when_broken, max_disagreement):
    check_md_calculator(calculator, ensemble)
    if not isinstance(stop_when_broken, (bool, np.bool_)):
        raise TypeError(f"stop_when_broken is {stop_when_broken!r}; True or False is expected")
    if max_disagreement is None:
        return
    check_numbers(above=0, max_disagreement=max_disagreement)
    if not hasattr(calculator, "members"):
        raise ValueError("max_disagreement needs a committee's calculator: Committee(potentials).calculator()")


def moving(
    atoms: Atoms, calculator: GetPropertiesMixin | None, ensemble: str, temperature: float, seed: int | Sequence[int]
) -> tuple[Atoms, np.random.Generator]:
    """A copy of the atoms with velocities of this temperature (K), and the random numbers for what follows."""
    check_structure(atoms)
    if ensemble == "npt" and not atoms.pbc.all():
        raise ValueError(f"pbc is {atoms.pbc.tolist()}; constant pressure needs a box periodic in all directions")
    work, rng = atoms.copy(), np.random.default_rng(seed)
    work.calc = calculator
    thermalize_momenta(work, temperature, rng=rng)
    if len(work) > 1:  # one atom keeps its velocity
        Stationary(work)
        if not work.pbc.any():
            with np.errstate(divide="ignore", invalid="ignore"):  # a linear molecule has no inertia about its axis
                ZeroRotation(work)
    return work, rng


def _volume(atoms):
    return atoms.get_volume() if atoms.pbc.all() else None


def _run(record, dynamics, n_steps, every, timestep, temperature, judge, progress):
    from tqdm.auto import tqdm

    first, started = record.step, time.perf_counter()
    with tqdm(total=n_steps, initial=first, desc="MD", unit=" steps", disable=not progress) as bar:
        while record.step < n_steps and not record.run.stopped:
            step = record.step + every
            now = step * timestep
            lost = _advanced(dynamics, every) or has_exploded(record.work, temperature)
            if lost:
                return record.stop(f"at {now:.0f} fs: {lost}")
            bar.update(every)
            per_day = (step - first) * timestep * 1e-6 / (time.perf_counter() - started) * 86400
            bar.set_postfix_str(f"{per_day:.2g} ns/day", refresh=False)
            reason = judge()
            record.keep(step, now, reason and f"at {now:.0f} fs: {reason}")


def _advanced(dynamics, n_steps):
    """None after so many steps, or why the calculator failed on the way."""
    try:
        dynamics.run(n_steps)
    except ValueError as error:
        return str(error)


def _integrator(work, rng, *, ensemble, temperature, pressure, friction, timestep):
    step, relaxation = timestep * units.fs, 100 * units.fs
    if ensemble == "nve":
        return VelocityVerlet(work, step)
    if ensemble == "nvt-nh":
        return NoseHooverChainNVT(work, step, temperature_K=temperature, tdamp=relaxation)
    if ensemble == "npt":
        barostat = {"pressure_au": pressure * units.bar, "pdamp": 10 * relaxation}
        return IsotropicMTKNPT(work, step, temperature_K=temperature, tdamp=relaxation, **barostat)
    friction = friction / (1000 * units.fs)
    return Langevin(work, step, temperature_K=temperature, friction=friction, fixcm=False, rng=rng)


def has_exploded(atoms: Atoms, temperature: float) -> str | None:
    """Why these atoms, with their calculator's results, are no structure any more, or None."""
    hot = not atoms.get_temperature() <= TOO_HOT * temperature + 3000
    if hot or flown_apart(atoms.positions, atoms.cell.array, atoms.pbc):
        return f"the structure exploded (temperature {atoms.get_temperature():.0f} K)"
    return None if np.isfinite(atoms.get_potential_energy()) else "the energy is not a finite number"


def flown_apart(positions: NDArray, cell: NDArray, pbc: Sequence[bool] | NDArray) -> bool:
    """Whether a search for pairs among these positions (N, 3) would make no sense, or end the process."""
    try:
        check_extent(positions, cell, pbc)
    except ValueError:
        return True
    return False


def trouble(atoms: Atoms, temperature: float, bonds: NDArray | None, volume: float | None = None) -> str | None:
    """Why a run at this temperature (K) must stop, or None; watches ``bonds`` (n, 2) and the first volume (Å³)."""
    lost = has_exploded(atoms, temperature)
    if lost:
        return lost
    if volume is not None and not 1 / SWOLLEN < atoms.get_volume() / volume < SWOLLEN:
        return f"the box has {atoms.get_volume() / volume:.2f} times the volume it began with"
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
    worst = f"{atoms.symbols[atom]}{atom} disagrees by {spread[atom]:.2f} eV/Å, {max_disagreement:.2g} eV/Å allowed"
    return f"the committee on the force of {worst}: outside of what it was trained on"
