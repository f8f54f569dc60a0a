"""Fitting a `Potential` to labelled frames, with Lightning.

loss = energy_weight · ⟨|ΔE| / √n⟩ + force_weight · ⟨‖ΔF_i‖⟩ (+ stress_weight · ⟨‖ΔΣ‖⟩)

⟨‖ΔF_i‖⟩ is the mean length of the force error over all atoms of the batch, |ΔE|/√n the energy error of a structure
of n atoms over √n (errors of independent atoms add like a random walk).  Lengths, not squares: a few hot frames then
do not drown the rest.  AdamW with a short warm-up and a cosine decay to zero; the weights that are kept are an
exponential moving average (EMA).
"""

import math
import signal
import time
import warnings
from copy import deepcopy
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from tpainn_lite.checks import check_labels
from tpainn_lite.graph import collate, to_graphs

WARMUP = 0.05  # of all steps


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the potential keeps its last good weights."""


def fit(
    potential,
    train,
    valid=None,
    *,
    steps,
    batch_size=32,
    learning_rate=1e-3,
    energy_weight=0.3,
    force_weight=1.0,
    weight_decay=1e-4,
    ema_decay=0.99,
    check_every=100,
    seed=0,
    watch=None,
    progress=True,
    checkpoint=None,
    accelerator="auto",
):
    """Train a potential in place.

    Parameters
    ----------
    potential : Potential
    train, valid : list of ase.Atoms
        Labelled with energy and forces.  With ``valid``, the best checked weights are kept, otherwise the last.
    steps : int
        Optimiser steps, of ``batch_size`` structures each.
    learning_rate : float
        The highest one, after the warm-up.
    check_every : int
        Steps between two looks at ``valid`` and two rows of the history.
    watch : callable, optional
        Called with the history (list of dict) whenever it grows, for a live plot.
    checkpoint : path, optional
        Folder.  The state of the run is kept there after every check; call again after an interruption and it goes on.
    accelerator : str
        Lightning's: "auto" takes a GPU when there is one, "cpu" never does.

    Returns
    -------
    list of dict
        ``step``, ``seconds``, ``train_loss``, and on ``valid`` ``energy_mae`` (meV/atom) and ``force_mae`` (meV/Å).

    Raises
    ------
    DatasetError, ValueError
        Frames without labels, or with elements the potential does not know.
    TrainingDiverged
        The loss is no longer finite.
    """
    check_labels(train)
    if valid:
        check_labels(valid)
    if min(steps, batch_size, check_every) < 1:
        sizes = f"steps is {steps}, batch_size {batch_size}, check_every {check_every}"
        raise ValueError(f"{sizes}; at least 1 of each is expected")
    graphs = _training_graphs(potential, train)
    valid_graphs = _training_graphs(potential, valid) if valid else None
    module = _Module(
        potential, graphs, valid_graphs, steps, batch_size, learning_rate, energy_weight, force_weight,
        weight_decay, check_every, seed, watch,
    )  # fmt: skip
    callbacks = [WeightAveraging(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(ema_decay)), _Keeper()]
    if progress:
        callbacks.append(_Bar())
    resume_from = None
    if checkpoint is not None:
        callbacks.append(ModelCheckpoint(checkpoint, filename="last", enable_version_counter=False))
        resume_from = _existing(Path(checkpoint) / "last.ckpt")
    module.train()
    with warnings.catch_warnings():
        _ignore_lightning_advice()
        trainer = _trainer(callbacks, math.ceil(steps / check_every), accelerator)
        _fit_until_interrupted(trainer, module, resume_from)
    module.keep_best()
    potential.cpu().eval()
    return module.history


class _Module(pl.LightningModule):
    """One potential, its data and its loss, as Lightning wants them.  An "epoch" is the steps between two checks."""

    def __init__(
        self, potential, graphs, valid_graphs, steps, batch_size, learning_rate, energy_weight, force_weight,
        weight_decay, check_every, seed, watch,
    ):  # fmt: skip
        super().__init__()
        self.potential, self.graphs, self.valid_graphs = potential, graphs, valid_graphs
        self.steps, self.batch_size = steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.energy_weight, self.force_weight = energy_weight, force_weight
        self.check_every, self.seed, self.watch = check_every, seed, watch
        self.history, self.best, self.losses, self.started = [], None, [], time.perf_counter()

    def training_step(self, graph, _):
        loss = self._loss(graph, self.potential(graph))
        self.losses.append(loss.detach())
        return loss

    def _loss(self, graph, output):
        n_atoms = torch.bincount(graph.batch, minlength=graph.num_graphs)  # (B,)
        energy_error = (output["interaction_energy"] - graph.target).abs() / n_atoms.sqrt()  # (B,)
        force_error = torch.linalg.vector_norm(output["forces"] - graph.forces, dim=-1)  # (N,)
        return self.energy_weight * energy_error.mean() + self.force_weight * force_error.mean()

    def on_before_optimizer_step(self, _):
        if not torch.isfinite(self.losses[-1]):
            raise TrainingDiverged(
                f"the loss is {self.losses[-1].item()} at step {self.global_step}; "
                "lower learning_rate, or look for frames with huge forces"
            )

    def check(self):
        """One row of the history; remembers the weights if they are the best so far."""
        row = {"step": self.global_step, "seconds": time.perf_counter() - self.started}
        row["train_loss"] = torch.stack(self.losses).mean().item()
        self.losses.clear()
        if self.valid_graphs:
            row |= self._errors()
        if not self.valid_graphs or self.best is None or row["force_mae"] < self.best[0]:
            self.best = (row.get("force_mae"), deepcopy(self.potential.state_dict()))
        self.history.append(row)
        if self.watch:
            self.watch(self.history)

    def _errors(self):
        energy, force, n_components = [], 0.0, 0
        self.potential.eval()
        for k in range(0, len(self.valid_graphs), self.batch_size):
            graph = collate(self.valid_graphs[k : k + self.batch_size]).to(self.device)
            output = self.potential(graph)
            n_atoms = torch.bincount(graph.batch, minlength=graph.num_graphs)
            energy.append((output["interaction_energy"].detach() - graph.target).abs() / n_atoms)
            force += (output["forces"].detach() - graph.forces).abs().sum().item()
            n_components += graph.forces.numel()
        self.potential.train()
        return {"energy_mae": 1e3 * torch.cat(energy).mean().item(), "force_mae": 1e3 * force / n_components}

    def keep_best(self):
        """Give the potential its best weights back (without a ``valid``: those of the last check)."""
        if self.best is not None:
            self.potential.load_state_dict(self.best[1])

    def train_dataloader(self):
        batches = _batches(len(self.graphs), self.batch_size, self.current_epoch, self._epoch_steps(), self.seed)
        return DataLoader(_Batches(self.graphs, batches), batch_size=None, generator=torch.Generator())

    def _epoch_steps(self):
        return min(self.check_every, self.steps - self.current_epoch * self.check_every)

    def configure_optimizers(self):
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._learning_rate_factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step):
        done = (step + 1) / (self.steps + 1)
        return done / WARMUP if done < WARMUP else 0.5 * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP)))

    def __getstate__(self):
        """What Lightning copies for the averaged weights: not the data, not the watcher."""
        return {**super().__getstate__(), "graphs": None, "valid_graphs": None, "watch": None}

    def on_save_checkpoint(self, checkpoint):
        checkpoint["history"], checkpoint["best"] = self.history, self.best

    def on_load_checkpoint(self, checkpoint):
        self.history, self.best = checkpoint["history"], checkpoint["best"]


class _Batches(Dataset):
    """Ready-made batches, by index."""

    def __init__(self, graphs, batches):
        self.graphs, self.batches = graphs, batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, k):
        return collate([self.graphs[i] for i in self.batches[k]])


class _Keeper(Callback):
    """At the end of each epoch, with the averaged weights in place, check them."""

    def on_train_epoch_end(self, trainer, module):
        averaging = next(c for c in trainer.callbacks if isinstance(c, WeightAveraging))
        averaging._swap_models(module)
        module.check()
        averaging._swap_models(module)


class _Bar(Callback):
    """One bar for the whole run."""

    def on_fit_start(self, trainer, module):
        from tqdm.auto import tqdm

        self.bar = tqdm(total=module.steps, desc="train", unit=" steps", mininterval=0.2)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.bar.update(module.global_step - self.bar.n)

    def on_train_epoch_end(self, trainer, module):
        if module.history:
            self.bar.set_postfix({k: f"{v:.3g}" for k, v in module.history[-1].items() if k not in ("step", "seconds")})

    def teardown(self, trainer, module, stage):
        self.bar.close()


def _training_graphs(potential, frames):
    """Graphs with ``target`` (1,): the energy minus the reference energies, subtracted in float64."""
    graphs = to_graphs(frames, potential.cutoff, potential.dtype)
    for graph in graphs:
        potential._check_elements(graph.atomic_numbers)
        reference = potential.atomref[graph.atomic_numbers].sum()
        graph.target = (graph.energy - reference).to(potential.dtype)
        graph.forces = graph.forces.to(potential.dtype)
        for key in ("energy", "stress"):  # some frames may have a stress and some not; a batch wants all alike
            if key in graph:
                del graph[key]
    return graphs


def _batches(n, batch_size, epoch, n_steps, seed):
    """Index lists for the steps of one epoch; every structure is used equally often, give or take one."""
    rng, order = np.random.default_rng([seed, epoch]), np.empty(0, dtype=int)
    size = min(batch_size, n)
    while len(order) < n_steps * size:
        order = np.concatenate([order, rng.permutation(n)])
    return order[: n_steps * size].reshape(n_steps, size)


def _trainer(callbacks, epochs, accelerator):
    import logging

    if accelerator == "auto" and not torch.cuda.is_available():
        accelerator = "cpu"  # Apple's GPU knows no float64, which the energies need
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    return pl.Trainer(
        accelerator=accelerator, devices=1, max_epochs=epochs, callbacks=callbacks, gradient_clip_val=10.0,
        reload_dataloaders_every_n_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks), barebones=False,
    )  # fmt: skip


def _fit_until_interrupted(trainer, module, resume_from):
    """Lightning answers Ctrl-C and a notebook's stop button by leaving Python and ignoring both from then on."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, ckpt_path=resume_from, weights_only=False if resume_from else None)
    except SystemExit:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt(f"training stopped at step {module.global_step}") from None


def _existing(path):
    return str(path) if path.exists() else None


def _ignore_lightning_advice():
    """Lightning suggests worker processes and GPUs; for graphs in memory on a laptop neither helps."""
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # Lightning with a newer torch
    warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists and is not empty.*")
