"""What a run of MD leaves: `MDRun` in memory and, with a path, a trajectory and the state from which it is resumed.

Each frame is appended to the trajectory first; then the state, which says how many frames belong to the run and how
long the file is with them, is replaced.  So whatever is interrupted leaves at most a frame too many, which is cut off
when the run is resumed.
"""

import functools
import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from ase import Atoms
from ase.io import Trajectory
from ase.md.md import MolecularDynamics

from tpainn_lite.structures.files import check_target, locked, write_bytes
from tpainn_lite.structures.geometry import density_of
from tpainn_lite.structures.identity import IdentityError, check_same

UNREADABLE = (  # what ASE, numpy and zipfile raise for bytes that they did not write
    OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, AssertionError, ArithmeticError, MemoryError,
    RecursionError, NotImplementedError, BadZipFile, zlib.error,
)  # fmt: skip
HEAD = 48  # bytes at the beginning of a trajectory that say how many frames it has, and where; each frame changes them
NEEDED = {"step", "times", "positions", "momenta"}  # in every state


@dataclass
class MDRun:
    """What an MD run leaves behind.  Positions are never wrapped back into the box.

    Each list has one entry per frame: ``time`` in fs, ``temperature`` in K (of all 3N momenta), ``potential_energy``
    and ``total_energy`` in eV, ``density`` in g/cm³ (for boxes).  ``stopped`` says why the run ended early, or is None.
    """

    frames: list[Atoms] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    temperature: list[float] = field(default_factory=list)
    potential_energy: list[float] = field(default_factory=list)
    total_energy: list[float] = field(default_factory=list)
    density: list[float] = field(default_factory=list)
    stopped: str | None = None

    def remember(self, atoms: Atoms, time: float) -> None:
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

    def __repr__(self) -> str:
        end = f"stopped: {self.stopped}" if self.stopped else "ran to the end"
        return f"MDRun({len(self.frames)} frames, {self.time[-1] if self.time else 0:.0f} fs, {end})"


def check_path(path: Path | str | None) -> Path | None:
    """The path as a `Path`, or an error, before any work, where a run kept there would destroy something."""
    if path is None:
        return None
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path is a {type(path).__name__}; the name of a file that ends in .traj is expected")
    path = Path(path)
    check_target(path, suffixes=(".traj",), is_ours=lambda _: True)  # whether it is ours is checked next
    state, advice = state_of(path), "name another file, or remove it"
    if os.path.lexists(state) and not _is_state(state):
        raise FileExistsError(f"{state} is there already, and is no state of a run: {advice}")
    if path.exists() and not state.exists():
        raise FileExistsError(f"{path} is there already, and no {state.name} with it, from which to resume: {advice}")
    return path


def state_of(path: Path) -> Path:
    """Where the state of the run with this trajectory is."""
    return path.with_suffix(".state.npz")


def _is_state(path):
    if not path.is_file():
        return False
    try:
        return _load(path).keys() >= NEEDED
    except UNREADABLE:
        return False


def _load(path):
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as state:
        return dict(state)


class Record:
    """What a run leaves in memory: ``run`` so far, of the atoms ``work`` that move, and the ``step`` it has come to."""

    def __init__(self, work: Atoms):
        self.work, self.run, self.step = work, MDRun(), 0

    def keep(self, step: int, time: float, stopped: str | None = None) -> None:
        """One more frame at ``time`` in fs, and the reason if it is the last one."""
        self.step, self.run.stopped = step, stopped
        self.run.remember(self.work, time)

    def stop(self, reason: str) -> None:
        """The run ends with the frames that it has."""
        self.run.stopped = reason


class RecordOnDisk(Record):
    """Keeps a run on disk as well, and resumes the one that is there; the arguments are those of `recorded`."""

    def __init__(self, path, work, dynamics, rng, made_from):
        super().__init__(work)
        self.path, self.state, self.dynamics, self.rng, self.made_from = path, state_of(path), dynamics, rng, made_from
        self.part = path.with_name(f".{path.name}.part")  # a trajectory that is not complete yet
        self.chain = b""  # digest of all frames so far
        self._resume_or_begin()

    def keep(self, step: int, time: float, stopped: str | None = None) -> None:
        super().keep(step, time, stopped)
        self._write(self.path, "a")

    def stop(self, reason: str) -> None:
        super().stop(reason)
        self._save(_load(self.state) | {"stopped": np.array(reason)})

    def _write(self, path, mode):
        """The last frame, to the end of this trajectory; then the state."""
        self.chain = _linked(self.chain, self.work)
        with Trajectory(str(path), mode) as trajectory:
            trajectory.write(self.work)
            os.fsync(trajectory.backend.fd.fileno())
        self._save(self._values(path))

    def _save(self, values):
        content = io.BytesIO()
        np.savez(content, **values)
        write_bytes(self.state, content.getvalue())

    def _values(self, trajectory):
        """All that a state holds; ``trajectory`` is the file with the frames up to now."""
        with open(trajectory, "rb") as file:
            head = np.frombuffer(file.read(HEAD), np.uint8)
        values = {"step": self.step, "times": self.run.time, "size": os.path.getsize(trajectory), "head": head}
        values |= {"made_from": json.dumps(self.made_from), "stopped": self.run.stopped or ""}
        values["chain"] = np.frombuffer(self.chain, np.uint8)
        moving = _state_of_motion(self.work, self.dynamics, self.rng)
        return {name: np.array(value) for name, value in (values | moving).items()}

    def _resume_or_begin(self):
        check_path(self.path)  # once more: another process may have written since
        if not self.state.exists():
            return self._begin()
        values = _load(self.state)
        made_from = json.loads(str(values["made_from"])) if "made_from" in values else None
        advice = f"name another file, or remove this one and {self.state.name}"
        check_same(made_from, self.made_from, f"the run in {self.path}", advice)
        if self.path.exists():
            return self._resume(values)
        if len(values["times"]) > 1:
            raise IdentityError(
                f"{self.state} is the state of a run, but its frames in {self.path.name} are gone: bring them back, or "
                "remove it to start anew"
            )
        return self._begin()  # interrupted between state and first frame

    def _begin(self):
        super().keep(0, 0.0)
        self._write(self.part, "w")
        os.replace(self.part, self.path)

    def _resume(self, values):
        times, size, head = values["times"].tolist(), int(values["size"]), values["head"].tobytes()
        with open(self.path, "rb") as file:
            is_as_kept = file.read(HEAD) == head and os.path.getsize(self.path) == size
        if is_as_kept:
            frames = self._read(self.path, len(times), values)
        else:  # a frame that came after the state was kept is cut off
            try:
                _cut(self.path, self.part, size, head)
                frames = self._read(self.part, len(times), values)
                os.replace(self.part, self.path)
            finally:
                self.part.unlink(missing_ok=True)
        for frame, time in zip(frames, times, strict=True):
            self.run.remember(frame, time)
        self.step, self.chain = int(values["step"]), values["chain"].tobytes()
        self.run.stopped = str(values["stopped"]) or None
        _restore_motion(self.work, self.dynamics, self.rng, values)

    def _read(self, path, n_frames, values):
        """The frames of a trajectory, if they are those that the state was kept with."""
        try:
            with open(path, "rb") as file:  # ASE would leave open what it cannot read
                trajectory = Trajectory(file)
                frames = [trajectory[k] for k in range(n_frames)]
            is_whole = functools.reduce(_linked, frames, b"") == values["chain"].tobytes()
            is_whole = is_whole and all("energy" in atoms.calc.results for atoms in frames)
        except UNREADABLE:
            is_whole = False
        if not is_whole:
            raise ValueError(
                f"{self.path} is damaged, or holds other frames than the run of {self.state.name}: bring it "
                "back, or remove both to start anew"
            )
        return frames


@contextmanager
def recorded(
    path: Path | None, work: Atoms, dynamics: MolecularDynamics, rng: np.random.Generator, made_from: dict[str, str]
) -> Iterator[Record]:
    """The record of a run with its first frame, or with all that an interrupted run has left.

    Parameters
    ----------
    path
        From `check_path`; None keeps nothing on disk.
    work, dynamics, rng
        The atoms that move (with their calculator), what moves them, and its random numbers.
    made_from
        `identity` of the run, needed with a path.
    """
    if path is None or not state_of(path).exists():  # what cannot be computed fails before anything is written
        energy = work.get_potential_energy()
        if not np.isfinite(energy):
            raise ValueError(f"the energy of the first frame is {energy} eV; a finite number is expected")
    if path is None:
        record = Record(work)
        record.keep(0, 0.0)
        yield record
        return
    with locked(path):
        yield RecordOnDisk(path, work, dynamics, rng, made_from)


def _linked(chain, atoms):
    """The digest of all frames, one more among them."""
    return hashlib.sha256(chain + atoms.positions.tobytes() + atoms.get_momenta().tobytes()).digest()


def _cut(source, target, size, head):
    """A copy of a trajectory as it was when it was ``size`` bytes long."""
    shutil.copyfile(source, target)
    with open(target, "r+b") as file:
        file.truncate(size)
        file.write(head)


def _parts(dynamics):
    """{name: object} of the integrator, its thermostat and its barostat."""
    held = {name: getattr(dynamics, name, None) for name in ("_thermostat", "_barostat")}
    return {"integrator": dynamics} | {name: part for name, part in held.items() if part is not None}


def _state_of_motion(atoms, dynamics, rng):
    """Every number that the integrator, its thermostat and its barostat hold, the atoms and the random numbers."""
    values = {"positions": atoms.positions, "momenta": atoms.get_momenta(), "cell": atoms.cell.array}
    for part, holder in _parts(dynamics).items():
        numbers = {n: value for n, value in vars(holder).items() if isinstance(value, (int, float, np.ndarray))}
        values |= {f"{part}/{name}": value for name, value in numbers.items()}
    return values | {"rng": json.dumps(rng.bit_generator.state)}


def _restore_motion(atoms, dynamics, rng, values):
    atoms.set_cell(values["cell"])
    atoms.positions = values["positions"]
    atoms.set_momenta(values["momenta"])
    rng.bit_generator.state = json.loads(str(values["rng"]))
    parts = _parts(dynamics)
    for key, value in values.items():
        part, _, name = key.partition("/")
        if name:
            setattr(parts[part], name, value if value.ndim else value.item())
