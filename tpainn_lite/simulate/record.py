"""What a run of MD leaves: `MDRun` in memory and, with a path, a trajectory and the state from which it goes on.

Each frame is appended to the trajectory first; then the state, which says how many frames belong to the run and how
long the file is with them, is replaced.  So whatever is interrupted leaves at most a frame too many, which is cut off
when the run goes on.
"""

import functools
import hashlib
import io
import json
import os
import shutil
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from ase.io import Trajectory

from tpainn_lite.structures.files import check_target, locked, write_bytes
from tpainn_lite.structures.geometry import density_of
from tpainn_lite.structures.identity import IdentityError, check_same

UNREADABLE = (  # what ASE, numpy and zipfile make of bytes that are none of theirs
    OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, AssertionError, ArithmeticError, MemoryError,
    RecursionError, NotImplementedError, BadZipFile, zlib.error,
)  # fmt: skip
HEAD = 48  # bytes at the beginning of a trajectory that say how many frames it has, and where; each frame changes them
NEEDED = {"step", "times", "positions", "momenta"}  # in every state


@dataclass
class MDRun:
    """What an MD run leaves behind.

    ``frames`` are the structures, ``time`` (fs), ``temperature`` (K, of all 3N momenta), ``potential_energy`` and
    ``total_energy`` (eV) and ``density`` (g/cm³, for boxes) have one entry per frame; ``stopped`` says why the run
    ended early (None: it did not).  Positions are never wrapped back into the box.
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
        return f"MDRun({len(self.frames)} frames, {self.time[-1] if self.time else 0:.0f} fs, {end})"


def check_path(path):
    """Raise an error, before any work, where no run can be kept at this path without destroying something.

    Returns
    -------
    Path or None
    """
    if path is None:
        return None
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path is a {type(path).__name__}; the name of a file that ends in .traj is expected")
    path = Path(path)
    check_target(path, suffixes=(".traj",), is_ours=lambda _: True)  # whether it is ours is asked next
    state, advice = state_of(path), "name another file, or remove it"
    if os.path.lexists(state) and not _is_state(state):
        raise FileExistsError(f"{state} is there already, and is no state of a run: {advice}")
    if path.exists() and not state.exists():
        raise FileExistsError(f"{path} is there already, and no {state.name} with it that says how to go on: {advice}")
    return path


def state_of(path):
    """Where the state of the run with this trajectory is."""
    return path.with_suffix(".state.npz")


class Record:
    """What a run leaves in memory and, with a path, on disk, and how it goes on from there; to be used with ``with``.

    Parameters
    ----------
    path : Path or None
        From `check_path`.
    work, dynamics, rng
        The atoms that move (with their calculator), what moves them, and its random numbers.
    made_from : dict {str: str} or None
        Identity of the run; None without a path.

    ``run`` is what there is so far, ``step`` the steps it took.
    """

    def __init__(self, path, work, dynamics, rng, made_from):
        self.path, self.work, self.dynamics, self.rng, self.made_from = path, work, dynamics, rng, made_from
        self.run, self.step, self.writer = MDRun(), 0, None
        self.chain = b""  # digest of all frames so far

    def __enter__(self):
        with ExitStack() as closing:
            if self.path is None or not state_of(self.path).exists():
                _check_energy(self.work)  # what cannot be computed fails before anything is written
            if self.path is None:
                self._remember(self.work, 0.0)
                return self
            closing.enter_context(locked(self.path))
            closing.callback(self._close)
            self._go_on_or_begin()
            self.closing = closing.pop_all()
        return self

    def __exit__(self, *_):
        if self.path is not None:
            self.closing.close()

    def keep(self, step, time, stopped=None):
        """One more frame, and the reason if it is the last one."""
        self.step, self.run.stopped = step, stopped
        self._remember(self.work, time)
        if self.path is not None:
            if self.writer is None:
                self.writer = Trajectory(str(self.path), "a")
            self._append(self.writer)
            self._save(self._values(self.path))

    def stop(self, reason):
        """The run ends with the frames that it has."""
        self.run.stopped = reason
        if self.path is not None:
            self._save({**self._kept(), "stopped": np.array(reason)})

    def _remember(self, atoms, time):
        self.run.remember(atoms, time)
        self.chain = _linked(self.chain, atoms)

    # --- on disk ---

    def _go_on_or_begin(self):
        check_path(self.path)  # once more: another process may have written since
        state = state_of(self.path)
        if not state.exists():
            return self._begin()
        values = self._kept()
        made_from = json.loads(str(values["made_from"])) if "made_from" in values else None
        advice = f"name another file, or remove this one and {state.name}"
        check_same(made_from, self.made_from, f"the run in {self.path}", advice)
        if self.path.exists():
            return self._take_up(values)
        if len(values["times"]) > 1:
            raise IdentityError(
                f"{state} is the state of a run, but its frames in {self.path.name} are gone: bring them back, or "
                "remove it to start anew"
            )
        return self._begin()  # interrupted between state and first frame

    def _begin(self):
        self._remember(self.work, 0.0)
        whole = self.path.with_name(f".{self.path.name}.part")
        with Trajectory(str(whole), "w") as first:
            self._append(first)
        self._save(self._values(whole))
        os.replace(whole, self.path)

    def _take_up(self, values):
        """The frames and the state that a run left, whether it was interrupted or came to an end."""
        times, (size, head) = values["times"].tolist(), (int(values["size"]), values["head"].tobytes())
        if _is_as_kept(self.path, size, head):
            frames = self._read(self.path, len(times), values)
        else:  # a frame that came after the state was kept is cut off
            whole = self.path.with_name(f".{self.path.name}.part")
            try:
                _cut(self.path, whole, size, head)
                frames = self._read(whole, len(times), values)
                os.replace(whole, self.path)
            finally:
                whole.unlink(missing_ok=True)
        for frame, time in zip(frames, times, strict=True):
            self.run.remember(frame, time)
        self.step, self.chain = int(values["step"]), values["chain"].tobytes()
        self.run.stopped = str(values["stopped"]) or None
        self._restore(values)

    def _read(self, path, n, values):
        """The frames of a trajectory, if they are those that the state was kept with."""
        try:
            with open(path, "rb") as file:  # ASE would leave open what it cannot read
                found = Trajectory(file)
                frames = [found[k] for k in range(n)]
            whole = functools.reduce(_linked, frames, b"") == values["chain"].tobytes()
            whole = whole and all("energy" in atoms.calc.results for atoms in frames)
        except UNREADABLE:
            whole = False
        if not whole:
            raise ValueError(
                f"{self.path} is damaged, or holds other frames than the run of {state_of(self.path).name}: bring it "
                "back, or remove both to start anew"
            )
        return frames

    def _append(self, writer):
        writer.write(self.work)
        os.fsync(writer.backend.fd.fileno())

    def _save(self, values):
        content = io.BytesIO()
        np.savez(content, **values)
        write_bytes(state_of(self.path), content.getvalue())

    def _kept(self):
        with np.load(state_of(self.path), allow_pickle=False) as kept:
            return dict(kept)

    def _values(self, trajectory):
        """All that a state holds; ``trajectory`` is the file with the frames up to now."""
        with open(trajectory, "rb") as file:
            head = np.frombuffer(file.read(HEAD), np.uint8)
        words = {"made_from": json.dumps(self.made_from), "stopped": self.run.stopped or ""}
        found = {"step": self.step, "times": self.run.time, "size": os.path.getsize(trajectory), "head": head}
        found |= {"chain": np.frombuffer(self.chain, np.uint8), **words}
        return {name: np.array(value) for name, value in found.items()} | self._state()

    def _state(self):
        """Every number that the integrator, its thermostat and its barostat hold, the atoms and the random numbers."""
        atoms = self.work
        found = {"positions": atoms.positions, "momenta": atoms.get_momenta(), "cell": atoms.cell.array}
        for part in _parts(self.dynamics):
            for name, value in vars(_part(self.dynamics, part)).items():
                if isinstance(value, (int, float, np.ndarray)):
                    found[f"{part}/{name}"] = np.asarray(value)
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

    def _close(self):
        if self.writer is not None:
            self.writer.close()


def _check_energy(atoms):
    energy = atoms.get_potential_energy()
    if not np.isfinite(energy):
        raise ValueError(f"the energy of the first frame is {energy} eV; a finite number is expected of the calculator")


def _is_state(path):
    """Whether this file was written by a `Record`."""
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"PK\x03\x04":  # of a zip file, as which numpy writes several arrays
                return False
            file.seek(0)
            with np.load(file, allow_pickle=False) as kept:
                return set(kept.files) >= NEEDED
    except UNREADABLE:
        return False


def _linked(chain, atoms):
    """The digest of all frames, one more among them."""
    return hashlib.sha256(chain + atoms.positions.tobytes() + atoms.get_momenta().tobytes()).digest()


def _is_as_kept(path, size, head):
    """Whether nothing was appended to a trajectory since its state was kept."""
    with open(path, "rb") as file:
        return file.read(HEAD) == head and os.path.getsize(path) == size


def _cut(source, target, size, head):
    """A copy of a trajectory as it was when it was ``size`` bytes long."""
    shutil.copyfile(source, target)
    with open(target, "r+b") as file:
        file.truncate(size)
        file.write(head)


def _parts(dynamics):
    return ["integrator", *(part for part in ("_thermostat", "_barostat") if hasattr(dynamics, part))]


def _part(dynamics, name):
    return dynamics if name == "integrator" else getattr(dynamics, name)
