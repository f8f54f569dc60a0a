"""The state of a training run on disk: written whole, never executed, and resumed by the same run only."""

import io
import logging
import pickle
import warnings
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from tpainn_lite.model.potential import Potential
from tpainn_lite.structures.files import check_folder, locked, path_of, write_bytes, write_text
from tpainn_lite.structures.identity import check_same, describe, identity
from tpainn_lite.train.data import TrainingData

STATE = ("steps", "step", "history", "best", "weights", "optimiser")
NETWORK = ("n_features", "n_interactions", "n_rbf", "cutoff")
DAMAGE = (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, OSError)
ADVICE = "remove it, and the run begins anew; or name another folder"
log = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """The state of a run is damaged, or no such thing; the message says what to do."""


class Forgetful:
    """In the place of a `Checkpoint`, for a run that keeps nothing."""

    def locked(self, run: Any) -> AbstractContextManager:
        """Nobody else is kept away."""
        return nullcontext()

    def restore(self, run: Any) -> None:
        """There is nothing to resume."""

    def save(self, run: Any) -> None:
        """There is nothing to keep."""


class Checkpoint:
    """The state of a run in ``last.ckpt`` of a folder, and what made it.

    Raises
    ------
    IdentityError, CheckpointError, ValueError
        What is there belongs to another run, is damaged, or was made for more steps.
    OSError
        Nothing can be kept there.
    """

    def __init__(self, folder: Path | str, potential: Potential, data: TrainingData) -> None:
        self.folder, self.steps = path_of(folder, "checkpoint"), data.settings.steps
        self.path = self.folder / "last.ckpt"
        check_folder(self.folder)
        network = {name: getattr(potential.painn, name) for name in NETWORK}
        self.made_from = identity(**data.frames, **network, start=potential, **data.settings.that_decide())
        self.state: Any = _read_state(self.path) if self.path.exists() else None
        if self.state is not None:
            self._check(potential)

    def locked(self, run: Any) -> AbstractContextManager:
        """Other processes are kept away from the folder; of those that train together one does it."""
        return locked(self.path) if run.fabric.is_global_zero else nullcontext()

    def _check(self, potential):
        """Raise an error unless this is a state of this run."""
        kept, place = dict(self.state["identity"]), f"the checkpoint in {self.folder}"
        if kept.get("start") != self.made_from["start"] and self._has_left(potential):
            kept["start"] = self.made_from["start"]
        check_same(kept, self.made_from, place, "name another folder, or remove this one")
        if self.steps < self.state["steps"]:
            raise ValueError(
                f"{place} was made for {self.state['steps']} steps; with {self.steps} the learning rate would "
                "have been another: as many or more, or another folder, are expected"
            )
        if self.steps > self.state["steps"]:
            log.warning(
                "%s was made for %d steps, and is at step %d: it is resumed up to %d, with the learning rate of the "
                "longer run", place, self.state["steps"], self.state["step"], self.steps,
            )  # fmt: skip

    def _has_left(self, potential):
        """Whether the potential is the one that this run left behind when it was interrupted, or ended."""
        left = deepcopy(potential)
        try:
            left.load_state_dict(self.state["best"][1])
        except (RuntimeError, TypeError, IndexError):  # another network
            return False
        return describe(left) == self.made_from["start"]

    def restore(self, run: Any) -> None:
        """Set the run to the state that an interrupted one left."""
        if self.state is None:
            return
        try:
            run.painn.load_state_dict(self.state["weights"])
            run.optimiser.load_state_dict(self.state["optimiser"])
            run.step, run.history, run.best = self.state["step"], self.state["history"], tuple(self.state["best"])
            run.started -= run.history[-1]["seconds"]
        except DAMAGE as error:
            raise CheckpointError(f"{self.path} is damaged ({type(error).__name__}): {ADVICE}") from None

    def save(self, run: Any) -> None:
        """Write the state, whole or not at all, and the history as a table."""
        state = {"identity": self.made_from, "steps": self.steps, "step": run.step, "history": run.history}
        state |= {"best": run.best, "weights": run.painn.state_dict()}
        content = io.BytesIO()
        torch.save(state | {"optimiser": run.optimiser.state_dict()}, content)
        try:
            write_bytes(self.path, content.getvalue())
        except OSError as error:
            reason = f"{error.strerror}; the state before step {run.step} is kept: make room, and the same call resumes"
            raise OSError(error.errno, reason, str(self.path)) from error
        _log(self.folder, run.history)


def _read_state(path):
    """What `Checkpoint.save` wrote; nothing in the file is ever executed."""
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; {ADVICE}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own message follows below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        unpickled = isinstance(error, pickle.UnpicklingError)
        reason = "it holds more than numbers and text" if unpickled else f"{type(error).__name__}: {error}"[:80]
        raise CheckpointError(f"{path} is damaged or no checkpoint of this library ({reason}): {ADVICE}") from None
    if not isinstance(state, dict) or not {"identity", *STATE} <= state.keys():
        raise CheckpointError(f"{path} is a checkpoint of another program, or of an older version: {ADVICE}")
    return state


def _log(folder, history):
    """``history.csv``, written whole each time; and for TensorBoard, where that is installed, the newest row."""
    columns = list(history[-1])
    lines = [",".join(columns), *(",".join(f"{row[name]:.8g}" for name in columns) for row in history)]
    write_text(folder / "history.csv", "\n".join(lines) + "\n")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(folder) as writer:
        for name, value in history[-1].items():
            if name != "step":
                writer.add_scalar(name, value, history[-1]["step"])
