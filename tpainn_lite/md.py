"""Molecular dynamics with any ASE calculator, with guards: a bad potential is caught and shown, not hidden."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import units
from ase.data import covalent_radii
from ase.io import Trajectory
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary, ZeroRotation, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from tpainn_lite.checks import check_structure

TOO_HOT = 10  # times the asked temperature: the run has exploded
TOO_CLOSE = 0.5  # of the sum of two covalent radii: atoms on top of each other
BROKEN = 1.6  # times the sum of two covalent radii: the bond is gone


@dataclass
class MDRun:
    """What an MD run leaves behind.

    ``frames`` are the structures, ``time`` (fs), ``temperature`` (K), ``potential_energy`` and ``total_energy`` (eV)
    have one entry per frame; ``stopped`` says why the run ended early (None: it did not).
    """

    frames: list = field(default_factory=list)
    time: list = field(default_factory=list)
    temperature: list = field(default_factory=list)
    potential_energy: list = field(default_factory=list)
    total_energy: list = field(default_factory=list)
    stopped: str | None = None

    def __repr__(self):
        end = f"stopped: {self.stopped}" if self.stopped else "ran to the end"
        return f"MDRun({len(self.frames)} frames, {self.time[-1]:.0f} fs, {end})"


def run_md(
    atoms,
    calculator,
    *,
    ensemble="nvt",
    temperature=300.0,
    timestep=0.5,
    n_steps=1000,
    every=10,
    seed=0,
    stop_when_broken=True,
    path=None,
    progress=True,
):
    """Run molecular dynamics from these atoms.

    Parameters
    ----------
    ensemble : "nvt" or "nve"
        Langevin at ``temperature``, or velocity Verlet from velocities drawn at ``temperature``.
    timestep : float
        fs.
    every : int
        Steps between frames that are kept.
    stop_when_broken : bool
        Also stop when a bond of the first frame is longer than 1.6 × its covalent length.
    path : str or Path, optional
        Also write the frames, as they come, to this ASE trajectory (``.traj``).

    Returns
    -------
    MDRun
        Complete, or up to the moment when a guard stopped it, and the reason.
    """
    if ensemble not in ("nvt", "nve"):
        raise ValueError(f'ensemble {ensemble!r} is not one of "nvt", "nve"')
    if not (timestep > 0 and temperature > 0 and n_steps >= 1 and every >= 1):
        raise ValueError(
            f"timestep {timestep} fs, temperature {temperature} K, n_steps {n_steps}, every {every}: "
            "all must be positive"
        )
    check_structure(atoms)
    work, rng = atoms.copy(), np.random.default_rng(seed)
    work.calc = calculator
    thermalize_momenta(work, temperature, rng=rng)
    _stop_drifting_and_turning(work)
    dynamics = _integrator(work, ensemble, temperature, timestep, rng)
    writer = Trajectory(str(Path(path)), "w") if path else None
    bonds = _bonds(work) if stop_when_broken else None
    try:
        return _run(work, dynamics, n_steps, every, timestep, temperature, bonds, writer, progress)
    finally:
        if writer is not None:
            writer.close()


def _run(work, dynamics, n_steps, every, timestep, temperature, bonds, writer, progress):
    from tqdm.auto import tqdm

    run = MDRun()
    _record(run, work, 0.0, writer)
    bar = tqdm(total=n_steps, desc="MD", unit=" steps", disable=not progress)
    for step in range(every, n_steps + 1, every):
        try:
            dynamics.run(every)
        except ValueError as error:
            run.stopped = f"at {step * timestep:.0f} fs: {error}"
            break
        bar.update(every)
        _record(run, work, step * timestep, writer)
        reason = _trouble(work, temperature, bonds)
        if reason:
            run.stopped = f"at {step * timestep:.0f} fs: {reason}"
            break
    bar.close()
    return run


def _stop_drifting_and_turning(work):
    if len(work) > 1:  # one atom is left its velocity
        Stationary(work)
        if not work.pbc.any():
            with np.errstate(divide="ignore", invalid="ignore"):  # a linear molecule has no inertia about its axis
                ZeroRotation(work)


def _integrator(work, ensemble, temperature, timestep, rng):
    if ensemble == "nve":
        return VelocityVerlet(work, timestep * units.fs)
    friction = 0.01 / units.fs
    return Langevin(work, timestep * units.fs, temperature_K=temperature, friction=friction, fixcm=False, rng=rng)


def _record(run, work, time, writer):
    frame = work.copy()
    frame.info["time"] = time
    run.frames.append(frame)
    run.time.append(time)
    run.temperature.append(float(work.get_temperature()))
    run.potential_energy.append(float(work.get_potential_energy()))
    run.total_energy.append(float(work.get_total_energy()))
    if writer is not None:  # an empty trajectory counts as False
        writer.write(work)


def _bonds(atoms):
    """Pairs (n, 2) of bonded atoms, by covalent radii."""
    d = atoms.get_all_distances(mic=atoms.pbc.any())  # (N, N)
    i, j = np.nonzero(np.triu(d < 1.25 * _contact(atoms), k=1))
    return np.stack([i, j], axis=1)


def _contact(atoms):
    radii = covalent_radii[atoms.numbers]
    return radii[:, None] + radii[None, :]  # (N, N) Å


def _trouble(atoms, temperature, bonds):
    """Why the run must stop, or None."""
    if not np.isfinite(atoms.positions).all() or atoms.get_temperature() > TOO_HOT * temperature + 3000:
        return f"the structure exploded (temperature {atoms.get_temperature():.0f} K)"
    if bonds is None or len(atoms) < 2:
        return None
    ratio = atoms.get_all_distances(mic=atoms.pbc.any()) / _contact(atoms)  # (N, N)
    stretched = ratio[bonds[:, 0], bonds[:, 1]]
    if len(bonds) and stretched.max() > BROKEN:
        i, j = bonds[stretched.argmax()]
        return f"the bond {atoms.symbols[i]}{i}-{atoms.symbols[j]}{j} broke"
    np.fill_diagonal(ratio, np.inf)
    if ratio.min() < TOO_CLOSE:
        i, j = np.unravel_index(ratio.argmin(), ratio.shape)
        return f"atoms {atoms.symbols[i]}{i} and {atoms.symbols[j]}{j} collapsed onto each other"
    return None
