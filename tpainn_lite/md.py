"""Molecular dynamics with any ASE calculator, with guards: a bad potential is caught and shown, not hidden."""

import io
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import units
from ase.data import covalent_radii
from ase.geometry import find_mic
from ase.io import Trajectory, read
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.velocitydistribution import Stationary, ZeroRotation, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from tpainn_lite.checks import check_structure
from tpainn_lite.files import write_bytes
from tpainn_lite.observables import density_of

ENSEMBLES = ("nvt", "nvt-nh", "nve", "npt")
TOO_HOT = 10  # times the asked temperature: the run has exploded
TOO_CLOSE = 0.5  # of the sum of two covalent radii: atoms on top of each other
SWOLLEN = 1.6  # times the first volume, or one part in so many of it: the liquid boils, or collapses
BONDED = 1.25  # times the sum of two covalent radii: a bond, in the first frame
BROKEN = 1.6  # times the sum of two covalent radii: the bond is gone


@dataclass
class MDRun:
    """What an MD run leaves behind.

    ``frames`` are the structures, ``time`` (fs), ``temperature`` (K), ``potential_energy`` and ``total_energy`` (eV)
    and ``density`` (g/cm³, for boxes) have one entry per frame; ``stopped`` says why the run ended early (None: it did
    not).  Positions are never wrapped back into the box.
    """

    frames: list = field(default_factory=list)
    time: list = field(default_factory=list)
    temperature: list = field(default_factory=list)
    potential_energy: list = field(default_factory=list)
    total_energy: list = field(default_factory=list)
    density: list = field(default_factory=list)
    stopped: str | None = None

    def remember(self, atoms, time):
        """One more frame."""
        frame = atoms.copy()
        frame.info["time"] = time
        self.frames.append(frame)
        self.time.append(time)
        self.temperature.append(float(atoms.get_temperature()))
        self.potential_energy.append(float(atoms.get_potential_energy()))
        self.total_energy.append(float(atoms.get_total_energy()))
        if atoms.pbc.all():
            self.density.append(density_of(atoms))

    def __repr__(self):
        end = f"stopped: {self.stopped}" if self.stopped else "ran to the end"
        return f"MDRun({len(self.frames)} frames, {self.time[-1]:.0f} fs, {end})"


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
    every : int
        Steps between frames that are kept.
    stop_when_broken : bool
        Also stop when a bond of the first frame is longer than 1.6 × its covalent length.
    max_disagreement : float, optional
        eV/Å.  Stop where the members of a `tpainn_lite.committee` lie farther apart, for any atom.
    path : str or Path, optional
        Also write the frames, as they come, to this ASE trajectory (``.traj``), and the state of the run beside it
        (``.state.npz``); interrupted, the same call goes on from the last frame that was kept.

    Returns
    -------
    MDRun
        Complete, or up to the moment when a guard stopped it, and the reason.
    """
    check_settings(ensemble, temperature, timestep, n_steps, every)
    if max_disagreement is not None and not hasattr(calculator, "members"):
        raise ValueError("max_disagreement needs a committee's calculator: Committee(potentials).calculator()")
    work, rng = moving(atoms, calculator, ensemble, temperature, seed)
    dynamics = _integrator(work, ensemble, temperature, pressure, friction, timestep, rng)
    bonds = bonds_of(work) if stop_when_broken else None
    settings = f"{ensemble}, {temperature:g} K, {pressure:g} bar, friction {friction:g} / ps, {timestep:g} fs"
    record = _Record(path, work, dynamics, rng, settings)
    with record:
        record.go_on_or_begin()
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
        start = (self.settings["ensemble"], self.settings["temperature"], seed)
        self.work, self.rng = moving(atoms, calculator, *start)
        self.time, self.stopped = 0.0, None
        self.bonds, self.volume = bonds_of(self.work), _volume(self.work)
        self.change()

    def change(self, **settings):
        """Go on with another temperature, pressure, … from where the atoms are."""
        self.settings |= settings
        names = ("ensemble", "temperature", "pressure", "friction", "timestep")
        self.dynamics = _integrator(self.work, *(self.settings[name] for name in names), self.rng)

    def advance(self, n_steps):
        """So many steps; nothing more once a guard has stopped it."""
        if self.stopped:
            return
        try:
            self.dynamics.run(n_steps)
        except ValueError as error:
            self.stopped = str(error)
            return
        self.time += n_steps * self.settings["timestep"]
        self.stopped = trouble(self.work, self.settings["temperature"], self.bonds, self.volume)


def check_settings(ensemble, temperature, timestep, n_steps, every):
    """Raise ValueError where MD cannot be run so."""
    if ensemble not in ENSEMBLES:
        raise ValueError(f"ensemble {ensemble!r} is not one of {ENSEMBLES}")
    if not (timestep > 0 and temperature > 0 and n_steps >= 1 and every >= 1):
        raise ValueError(
            f"timestep {timestep} fs, temperature {temperature} K, n_steps {n_steps}, every {every}: "
            "all must be positive"
        )
    if n_steps < every:
        raise ValueError(f"n_steps {n_steps} is less than every {every}: no frame would be kept but the first")


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
    for step in range(record.step + every, n_steps + 1, every):
        started = started or (time.perf_counter(), step - every)
        try:
            record.dynamics.run(every)
        except ValueError as error:
            what = str(error).split(";")[0].removeprefix("structure: ")  # not the advice for those who give structures
            run.stopped = f"at {step * timestep:.0f} fs: {what}"
            break
        bar.update(every)
        nanoseconds = (step - started[1]) * timestep * 1e-6
        bar.set_postfix_str(f"{nanoseconds / (time.perf_counter() - started[0]) * 86400:.2g} ns/day", refresh=False)
        record.keep(step, timestep)
        reason = trouble(work, temperature, bonds, volume) or _doubt(work, max_disagreement)
        if reason:
            run.stopped = f"at {step * timestep:.0f} fs: {reason}"
            break
    bar.close()
    return run


class _Record:
    """What a run leaves in memory and, with a path, on disk, and how it goes on from there."""

    def __init__(self, path, work, dynamics, rng, settings):
        self.path, self.work, self.dynamics, self.rng = path and Path(path), work, dynamics, rng
        self.settings = settings
        self.run, self.step, self.writer = MDRun(), 0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.writer is not None:
            self.writer.close()

    def go_on_or_begin(self):
        """Take up the state that an interrupted run left, or keep the first frame."""
        state = self.path and self.path.with_suffix(".state.npz")
        if state and state.exists() and self.path.exists():
            with np.load(state, allow_pickle=False) as kept:
                values = dict(kept)
            self.step, times = int(values["step"]), values["times"].tolist()
            frames = read(self.path, index=f":{len(times)}")
            self._check(frames[0], values)
            self._restore(values)
            shortened = self.path.with_name(f".{self.path.name}")  # frames after the state was kept come again
            with Trajectory(str(shortened), "w") as self.writer:
                for frame, time_ in zip(frames, times, strict=True):
                    self._remember(frame, time_)
            os.replace(shortened, self.path)
            self.writer = Trajectory(str(self.path), "a")
            return
        self.writer = Trajectory(str(self.path), "w") if self.path else None
        self._remember(self.work, 0.0)

    def _check(self, first, values):
        """Raise ValueError where the file's run is another than the one that is asked for."""
        if not np.array_equal(first.numbers, self.work.numbers):
            held, asked = first.get_chemical_formula(), self.work.get_chemical_formula()
            raise ValueError(f"{self.path} holds a run of {held}, and {asked} was given: name another file")
        before = str(values.get("settings", self.settings))
        if before != self.settings:
            raise ValueError(
                f"{self.path} holds a run at {before}; asked for is {self.settings}: name another file, and give the "
                "last frame as its start"
            )

    def keep(self, step, timestep):
        """One more frame and, on disk, the state after it."""
        self.step = step
        self._remember(self.work, step * timestep)
        if self.path:
            content = io.BytesIO()
            np.savez(content, step=step, times=np.array(self.run.time), **self._state())
            write_bytes(self.path.with_suffix(".state.npz"), content.getvalue())

    def _remember(self, atoms, time):
        self.run.remember(atoms, time)
        if self.writer is not None:  # an empty trajectory counts as False
            self.writer.write(atoms)

    def _state(self):
        """Every number that the integrator, its thermostat and its barostat hold, the atoms and the random numbers."""
        atoms = self.work
        found = {"positions": atoms.positions, "momenta": atoms.get_momenta(), "cell": atoms.cell.array}
        for part in _parts(self.dynamics):
            for name, value in vars(_part(self.dynamics, part)).items():
                if isinstance(value, (int, float, np.ndarray)):
                    found[f"{part}/{name}"] = np.asarray(value)
        found["settings"] = np.array(self.settings)
        return found | {"rng": np.array(json.dumps(self.rng.bit_generator.state))}

    def _restore(self, values):
        self.work.set_cell(values["cell"])
        self.work.positions = values["positions"]
        self.work.set_momenta(values["momenta"])
        self.rng.bit_generator.state = json.loads(str(values["rng"]))
        for key, value in values.items():
            part, _, name = key.partition("/")
            if name:
                setattr(_part(self.dynamics, part), name, value if value.ndim else value.item())


def _parts(dynamics):
    return ["integrator", *(part for part in ("_thermostat", "_barostat") if hasattr(dynamics, part))]


def _part(dynamics, name):
    return dynamics if name == "integrator" else getattr(dynamics, name)


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


def bonds_of(atoms):
    """Pairs (n, 2) of bonded atoms, by covalent radii."""
    i, j, _ = _near(atoms, BONDED)
    return np.unique(np.sort(np.stack([i, j], axis=1), axis=1), axis=0)


def _near(atoms, factor):
    """Pairs i, j of different atoms nearer than ``factor`` times their contact, and their distances, nearest first."""
    from vesin import ase_neighbor_list

    i, j, d = ase_neighbor_list("ijd", atoms, 2 * factor * float(covalent_radii[atoms.numbers].max()))
    nearness = d / _contacts(atoms, i, j)
    kept = np.flatnonzero((i != j) & (nearness < factor))
    kept = kept[np.argsort(nearness[kept], kind="stable")]
    return i[kept], j[kept], d[kept]


def _contacts(atoms, i, j):
    """Å: covalent radii of these pairs of atoms, added."""
    return covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]]


def _distances(atoms, i, j):
    """Å, to the nearest image."""
    between = atoms.positions[j] - atoms.positions[i]
    return find_mic(between, atoms.cell, atoms.pbc)[1] if atoms.pbc.any() else np.linalg.norm(between, axis=1)


def trouble(atoms, temperature, bonds, volume=None):
    """Why the run must stop, or None."""
    if volume is not None and not 1 / SWOLLEN < atoms.get_volume() / volume < SWOLLEN:
        return f"the box has {atoms.get_volume() / volume:.2f} times the volume it began with"
    if not np.isfinite(atoms.positions).all() or atoms.get_temperature() > TOO_HOT * temperature + 3000:
        return f"the structure exploded (temperature {atoms.get_temperature():.0f} K)"
    if bonds is None or len(atoms) < 2:
        return None
    stretched = _distances(atoms, *bonds.T) / _contacts(atoms, *bonds.T)
    if len(bonds) and stretched.max() > BROKEN:
        i, j = bonds[stretched.argmax()]
        return f"the bond {atoms.symbols[i]}{i}-{atoms.symbols[j]}{j} broke"
    i, j, d = _near(atoms, TOO_CLOSE)
    if len(d):
        return f"atoms {atoms.symbols[i[0]]}{i[0]} and {atoms.symbols[j[0]]}{j[0]} collapsed onto each other"
    return None


def _doubt(atoms, max_disagreement):
    """Why a committee should no longer be believed, or None."""
    if max_disagreement is None:
        return None
    spread = atoms.calc.results["force_spread"]
    atom = int(spread.argmax())
    if spread[atom] <= max_disagreement:
        return None
    told = f"{atoms.symbols[atom]}{atom} disagrees by {spread[atom]:.2f} eV/Å, {max_disagreement:g} eV/Å allowed"
    return f"the committee on the force of {told}: outside of what it was trained on"
