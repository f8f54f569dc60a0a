"""Fitting a `Potential` to labelled frames.

loss = energy_weight · ⟨|ΔE| / √n⟩ + force_weight · ⟨‖ΔF_i‖⟩ + stress_weight · ⟨V ‖Δσ‖ / √n⟩

⟨‖ΔF_i‖⟩ is the mean length of the force error over all atoms of the batch; |ΔE|/√n the energy error of a structure
of n atoms over √n (errors of independent atoms add like a random walk), and so for the stress times the volume.
Lengths, not squares: a few hot frames then do not drown the rest.  AdamW with a short warm-up and a cosine decay to
zero; the weights that are kept are an exponential moving average (EMA).  Lightning's Fabric knows the hardware.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from ase.units import GPa

from tpainn_lite.model.evaluator import worth_compiling
from tpainn_lite.model.potential import Potential, check_potential
from tpainn_lite.train.data import TrainingData
from tpainn_lite.train.devices import devices_of, is_first_process
from tpainn_lite.train.optimiser import AveragedAdamW
from tpainn_lite.train.parts import check_parts, frozen, layer_rates, parted, parts_of, rate_of, rates_table
from tpainn_lite.train.settings import Settings
from tpainn_lite.train.state import Checkpoint, CheckpointError, Forgetful
from tpainn_lite.train.steps import Compiled, Exact

__all__ = [
    "CheckpointError", "Settings", "TrainingDiverged", "check_parts", "fit", "is_first_process", "layer_rates",
    "parts_of", "rate_of", "rates_table", "train_on",
]  # fmt: skip
WARMUP = 0.05  # of all steps
History = list[dict[str, float]]


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the potential keeps its best weights so far."""


def fit(
    potential: Potential, train: Sequence[Atoms], valid: Sequence[Atoms] | None = None, *,
    replay: Iterable[Atoms] = (), watch: Callable[[History], Any] | None = None, progress: bool = True,
    checkpoint: Path | str | None = None, **settings: Any,
) -> History:  # fmt: skip
    """Train a potential in place.

    Parameters
    ----------
    potential
        However the run ends, it is left with the best weights so far.
    train, valid
        Labelled with energy and forces; where some frames have no forces, no stress or no energy, the loss uses what
        is there.  With ``valid``, the best checked weights are kept, otherwise the last.
    replay
        Labelled frames of another kind that are not to be forgotten: some are drawn into every batch, together with
        those of ``train``.  Their energies must fit the potential's references (`tpainn_lite.autotune` sees to that).
    watch
        Called with the history whenever it grows, for a live plot.
    checkpoint
        Folder.  The state of the run is kept there after every check, and its history as ``history.csv`` (and for
        TensorBoard, if that is installed); after an interruption the same call resumes, and ends with the same
        weights.  With more ``steps`` it resumes, too, on the schedule of the longer run.
    **settings
        `Settings`: ``steps``, ``batch_size``, ``learning_rate``, ...

    Returns
    -------
    list of dict
        ``step``, ``seconds``, ``train_loss``, and on ``valid`` ``energy_mae`` (meV/atom), ``force_mae`` (meV/Å) and,
        if it is trained on, ``stress_mae`` (GPa).

    Raises
    ------
    DatasetError, ValueError, TypeError
        Frames without labels, elements the potential does not know, settings that make no sense.
    IdentityError
        The checkpoint belongs to another run; the message says what differs.
    CheckpointError
        The checkpoint is damaged.
    TrainingDiverged
        The loss is no longer finite; the message names the frames of the batch.

    >>> from tpainn_lite import load_molecules, new_potential
    >>> frames = load_molecules("train")[:5]
    >>> history = fit(new_potential(frames, n_features=8), frames, steps=2, progress=False)
    >>> history[-1]["step"]
    2
    """
    check_potential(potential)
    chosen = Settings.of(**settings)
    check_parts(potential, chosen.rates)
    data = TrainingData(train, valid, replay, chosen, potential.cutoff, potential.dtype)
    data.subtract_references(potential)
    return train_on(data, potential, watch, progress, checkpoint)


def train_on(
    data: TrainingData, potential: Potential, watch: Callable[[History], Any] | None = None, progress: bool = True,
    checkpoint: Path | str | None = None,
) -> History:  # fmt: skip
    """`fit`, on data whose targets fit the potential's reference energies.

    >>> from tpainn_lite import load_molecules, new_potential
    >>> frames = load_molecules("train")[:5]
    >>> potential, data = new_potential(frames), TrainingData(frames, None, [], Settings(steps=1), cutoff=5.0)
    >>> data.subtract_references(potential)
    >>> len(train_on(data, potential, progress=False))
    1
    """
    settings = data.settings
    kept = Forgetful() if checkpoint is None else Checkpoint(checkpoint, potential, data)
    run = _Run(potential, data, devices_of(settings), watch, kept)
    with (
        frozen(potential, settings.rates),
        kept.locked(run),
        _bar(settings.steps, progress) as run.bar,
        run.kept_best(),
    ):
        run.train()
    return run.history


class _Run:
    """One potential, its data, its loss and how far it has come."""

    bar: Any
    best: Any = None  # (error, weights, row of the history)

    def __init__(self, potential, data, fabric, watch, checkpoint):
        self.potential, self.data, self.settings, self.fabric = potential, data, data.settings, fabric
        self.watch, self.checkpoint = watch, checkpoint
        self.step, self.history, self.started = 0, [], time.perf_counter()
        pairs = self.settings.steps * self.settings.batch_size * data.mean_pairs()
        self.wants_forces = data.loss_weights[1] + data.loss_weights[2] > 0
        possible = self.wants_forces and fabric.device.type == "cpu" and potential.dtype == torch.float32
        compiles = possible and worth_compiling(potential, pairs, self.settings.fast)
        self.engine = Compiled(potential) if compiles else Exact(potential, fabric.device)

    def train(self):
        """Every step, with a check now and then."""
        self.painn, place = self.potential.to(self.fabric.device).painn, self.fabric
        decays = self.settings.weight_decay, self.settings.average_decay
        self.optimiser = AveragedAdamW(self.painn, self.settings.rates, *decays)
        self.checkpoint.restore(self)
        self.bar.update(self.step - self.bar.n)
        join, self.join_valid = (
            graphs and self.engine.joined(graphs) for graphs in (self.data.graphs, self.data.valid)
        )
        while self.step < self.settings.steps and not self._has_lost_patience():
            n_steps = min(self.settings.check_every, self.settings.steps - self.step)
            batches = self.data.batches(join, len(self.history), n_steps, place.global_rank, place.world_size)
            self._check([self._take_step(batch) for batch in batches])

    @contextmanager
    def kept_best(self):
        """However it ends, the potential has the best weights so far, is where it was, and is ready for use."""
        device, start = self.potential.device, deepcopy(self.potential.state_dict())
        try:
            yield
        finally:
            self.potential.load_state_dict(self.best[1] if self.best else start)
            parted(self.potential.to(device).eval())

    def _take_step(self, graph):
        """One step of the optimiser; gives the loss."""
        loss = self.loss(graph, self.engine.outputs(graph, self.wants_forces, differentiable=True))
        self._check_finite(loss, graph)
        self.optimiser.forget_slopes()
        loss.backward()
        for slopes in self.optimiser.slopes if self.fabric.world_size > 1 else ():
            slopes.copy_(self.fabric.all_reduce(slopes, reduce_op="mean"))
        rate = self.settings.learning_rate * learning_rate_factor(self.step, self.settings.steps)
        self.step += 1
        self.optimiser.take_step(self.step, rate)
        self.bar.update()
        return loss.detach()

    def _check_finite(self, loss, graph):
        if not torch.isfinite(loss):
            frames = sorted(number for number in graph.number.tolist() if number >= 0)
            raise TrainingDiverged(
                f"the loss is {loss.item()} at step {self.step}, in a batch of the frames {frames}; "
                "lower learning_rate, or look for huge forces among them"
            )

    def loss(self, graph, output):
        """The loss of the whole batch, of which other devices may hold parts; they average what each of them says."""
        on_energy, on_forces, on_stress = self.data.loss_weights
        n_atoms = torch.bincount(graph.batch, minlength=graph.num_graphs)
        energy_error = (output["interaction_energy"] - graph.target).abs() / n_atoms.sqrt()  # (B,)
        loss = on_energy * (energy_error * graph.has_energy).sum() / graph.all_energies
        if on_forces:
            error = torch.linalg.vector_norm(output["forces"] - graph.forces, dim=-1)  # (N,)
            loss = loss + on_forces * (error * graph.has_forces[graph.batch]).sum() / graph.all_forces
        if on_stress:
            error = torch.linalg.matrix_norm(output["stress"] - graph.stress) * graph.has_stress  # (B,) eV/Å³
            loss = loss + on_stress * (error * graph.volume / n_atoms.sqrt()).sum() / graph.all_stresses
        return self.fabric.world_size * loss

    def _check(self, losses):
        """One row of the history; remembers the averaged weights if they are the best so far; keeps the state."""
        row = {"step": self.step, "seconds": time.perf_counter() - self.started}
        row["train_loss"] = self.fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean").item()
        with self._averaged():
            if self.data.valid:
                row |= self._errors()
            error = row.get("force_mae", row.get("energy_mae"))
            if not self.data.valid or self.best is None or error < self.best[0]:
                self.best = (error, deepcopy(self.potential.state_dict()), len(self.history))
        self.history.append(row)
        self.bar.set_postfix({k: f"{v:.3g}" for k, v in row.items() if k not in ("step", "seconds")})
        if self.fabric.is_global_zero:
            self.checkpoint.save(self)
            if self.watch:
                self.watch(self.history)

    @contextmanager
    def _averaged(self):
        """With the averaged weights in the place of the latest ones."""
        self.potential.painn = self.optimiser.average
        try:
            yield
        finally:
            self.potential.painn = self.painn

    def _errors(self):
        energy, force, stress = [], [], []
        for k in range(0, len(self.data.valid), self.settings.batch_size):
            graph = self.join_valid(range(k, min(k + self.settings.batch_size, len(self.data.valid))))
            some = [bool(getattr(graph, f"has_{key}").any()) for key in ("energy", "forces", "stress")]
            output = self.engine.outputs(graph, some[1] or some[2], differentiable=False)
            n_atoms = torch.bincount(graph.batch, minlength=graph.num_graphs)
            error = (output["interaction_energy"].detach() - graph.target).abs() / n_atoms
            energy.append(error[graph.has_energy])
            if some[1]:
                error = (output["forces"].detach() - graph.forces).abs()
                force.append(error[graph.has_forces[graph.batch]].flatten())
            if some[2]:
                error = (output["stress"].detach() - graph.stress).abs() / GPa
                stress.append(error[graph.has_stress].flatten())
        measured = (("energy_mae", 1e3, energy), ("force_mae", 1e3, force), ("stress_mae", 1.0, stress))
        return {name: unit * torch.cat(parts).mean().item() for name, unit, parts in measured if sum(map(len, parts))}

    def _has_lost_patience(self):
        waits = self.settings.patience and self.data.valid and self.history
        return bool(waits) and len(self.history) - 1 - self.best[2] >= self.settings.patience


def learning_rate_factor(step: int, steps: int) -> float:
    """A rise over the first twentieth of the run, then half a cosine down to zero.

    >>> [round(learning_rate_factor(step, 200), 2) for step in (0, 9, 199)]
    [0.1, 1.0, 0.0]
    """
    done = (step + 1) / (steps + 1)
    return done / WARMUP if done < WARMUP else 0.5 * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP)))


def _bar(steps, progress):
    """One bar for the whole run."""
    from tqdm.auto import tqdm

    shown = progress and is_first_process()
    return tqdm(total=steps, desc="train", unit=" steps", mininterval=0.2, disable=not shown)
