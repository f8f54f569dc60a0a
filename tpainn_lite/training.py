"""Fitting a `Potential` to labelled frames, with Lightning.

loss = energy_weight · ⟨|ΔE| / √n⟩ + force_weight · ⟨‖ΔF_i‖⟩ + stress_weight · ⟨V ‖Δσ‖ / √n⟩

⟨‖ΔF_i‖⟩ is the mean length of the force error over all atoms of the batch; |ΔE|/√n the energy error of a structure
of n atoms over √n (errors of independent atoms add like a random walk), and so for the stress times the volume.
Lengths, not squares: a few hot frames then do not drown the rest.  AdamW with a short warm-up and a cosine decay to
zero; the weights that are kept are an exponential moving average (EMA).
"""

import itertools
import math
import signal
import time
import warnings
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from ase.units import GPa
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from tpainn_lite.checks import check_labels
from tpainn_lite.files import write_text
from tpainn_lite.graph import collate, to_graphs

WARMUP = 0.05  # of all steps
LARGEST_SLOPE = 10.0  # norm of the slopes of a step by all weights; longer ones are shortened to it
WORTH_COMPILING = 400_000  # pairs to pass through the network; for fewer the seconds of compiling are not won back
LONGEST_AVERAGE = 0.999  # of weights; at a high learning rate the mean of far-apart weights is no good network
STRESS_WEIGHT = 0.1  # where every frame has a stress and nothing else is said


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the potential keeps its last good weights."""


def fit(
    potential,
    train,
    valid=None,
    *,
    steps,
    batch_size=32,
    batch_atoms=None,
    learning_rate=1e-3,
    energy_weight=0.3,
    force_weight=1.0,
    stress_weight=None,
    weight_decay=1e-4,
    ema_decay=None,
    check_every=100,
    patience=None,
    rates=None,
    replay=(),
    replay_size=None,
    seed=0,
    watch=None,
    progress=True,
    checkpoint=None,
    accelerator="auto",
    devices=1,
    nodes=1,
    fast=None,
):
    """Train a potential in place.

    Parameters
    ----------
    potential : Potential
    train, valid : list of ase.Atoms
        Labelled with energy and forces.  With ``valid``, the best checked weights are kept, otherwise the last.
    steps : int
        Optimiser steps, of ``batch_size`` structures each, on all devices together.
    batch_atoms : int, optional
        Fill each batch up to so many atoms instead, where sizes differ much: equal work and memory at each step.
    learning_rate : float
        The highest one, after the warm-up.
    energy_weight, force_weight : float
        With a force weight of 0 the frames need no forces (QM9 has none).
    rates : dict {str: float}, optional
        Factors of the learning rate for parts of the network, by the beginning of their names: ``{"embedding": 0}``
        leaves the embedding as it is.  See `parts_of`.
    replay : list of ase.Atoms
        Labelled frames of another sort that are not to be forgotten: some are drawn into every batch beside those of
        ``train``.  Their energies must fit the potential's references (`tpainn_lite.autotune` sees to that).
    replay_size : int, optional
        How many; ``batch_size`` unless given.  They come on top of ``batch_size`` or ``batch_atoms``.
    stress_weight : float, optional
        0.1 where all frames are boxes with a stress, and 0 otherwise, unless given; with a number all must have one.
    ema_decay : float, optional
        Of the average over the weights that is checked and kept; it looks back over about the last twentieth of the run
        and at most a thousand steps unless given.  0 keeps the weights as they are.
    check_every : int
        Steps between two looks at ``valid`` and two rows of the history.
    patience : int, optional
        Stop early after so many looks at ``valid`` without a better force error.
    watch : callable, optional
        Called with the history (list of dict) whenever it grows, for a live plot.
    checkpoint : path, optional
        Folder.  The state of the run is kept there after every check, and its history as ``history.csv`` (and for
        TensorBoard, if that is installed); call again after an interruption and it goes on.
    accelerator : str
        Lightning's: "auto" takes a GPU when there is one, "cpu" never does.
    devices, nodes : int
        GPUs (or processes on CPUs) per machine, and machines: Lightning's data parallelism, for scripts only (the
        command ``tpainn pretrain`` is one).  Each takes its share of every batch; the losses are those of one device.
    fast : bool, optional
        Take the compiled training step of `tpainn_lite.fast_training` (float32, on the processor): twice as fast, the
        same slopes to five digits.  By default where it is worth the seconds of compiling, if Numba is there.

    Returns
    -------
    list of dict
        ``step``, ``seconds``, ``train_loss``, and on ``valid`` ``energy_mae`` (meV/atom), ``force_mae`` (meV/Å) and,
        if it is trained on, ``stress_mae`` (GPa).

    Raises
    ------
    DatasetError, ValueError
        Frames without labels, or with elements the potential does not know.
    TrainingDiverged
        The loss is no longer finite; the message names the frames of the batch.
    """
    need, replay = _needed_labels(train, force_weight, stress_weight), list(replay)
    _check(train, valid, replay, need, steps, batch_size, check_every, devices * nodes)
    loss_weights = (energy_weight, force_weight, 0.0 if "stress" not in need else stress_weight or STRESS_WEIGHT)
    graphs = _training_graphs(potential, train, need)
    valid_graphs = _training_graphs(potential, valid, need) if valid else None
    pairs = sum(graph.num_edges for graph in graphs) / len(graphs)
    fast = _takes_the_fast_way(potential, fast, steps * batch_size * pairs)
    module = _Module(
        potential, graphs, valid_graphs, steps, batch_size, batch_atoms, learning_rate, loss_weights,
        weight_decay, check_every, patience, rates or {}, seed, watch, checkpoint, fast,
        min(max(0.0, 1 - 20 / steps), LONGEST_AVERAGE) if ema_decay is None else ema_decay,
        _training_graphs(potential, replay, need, named=False), batch_size if replay_size is None else replay_size,
    )  # fmt: skip
    callbacks, resume_from = [], None
    if checkpoint is not None:
        callbacks.append(ModelCheckpoint(checkpoint, filename="last", enable_version_counter=False))
        resume_from = _existing(Path(checkpoint) / "last.ckpt")
    module.train()
    with warnings.catch_warnings(), _frozen(potential, rates or {}), _bar(steps, progress) as module.bar:
        _ignore_lightning_advice()
        trainer = _trainer(callbacks, math.ceil(steps / check_every), accelerator, devices, nodes)
        _fit_until_interrupted(trainer, module, resume_from)
    module.keep_best()
    potential.cpu().eval()
    return module.history


def _check(train, valid, replay, need, steps, batch_size, check_every, n_devices):
    for name, frames in (("", train), ("valid: ", valid), ("replay: ", replay)):
        if frames or name == "":
            check_labels(frames, need, name)
    if replay and replay[0].pbc.any() != train[0].pbc.any():
        raise ValueError("replay and the frames to train on must be all periodic, or none")
    if min(steps, batch_size, check_every) < 1:
        sizes = f"steps is {steps}, batch_size {batch_size}, check_every {check_every}"
        raise ValueError(f"{sizes}; at least 1 of each is expected")
    if min(batch_size, len(train)) < n_devices:
        raise ValueError(f"{n_devices} devices share a batch of {batch_size}; at least one frame each is needed")


def _takes_the_fast_way(potential, fast, n_pairs):
    if fast is not None:
        return fast
    return n_pairs >= WORTH_COMPILING and potential.can_be_compiled()


def is_first_process():
    """Whether this is the process that writes files: of several that train together, the first."""
    return getattr(rank_zero_only, "rank", None) in (None, 0)


class _Module(pl.LightningModule):
    """One potential, its data and its loss, as Lightning wants them.

    An "epoch" is the steps between two checks, and what Lightning takes for one batch is all of them: the loop over
    steps is ours, because for a small network Lightning's own takes as long as the network.
    """

    def __init__(
        self, potential, graphs, valid_graphs, steps, batch_size, batch_atoms, learning_rate, loss_weights,
        weight_decay, check_every, patience, rates, seed, watch, folder, fast, ema_decay,
        replayed=(), replay_size=0,
    ):  # fmt: skip
        super().__init__()
        self.replayed, self.replay_size = replayed, min(replay_size, len(replayed))
        self.automatic_optimization, self.bar = False, None
        self.ema_decay, self.average = ema_decay, None  # of the weights, in the order of ``painn.parameters()``
        self.potential, self.graphs, self.valid_graphs = potential, graphs, valid_graphs
        self.sizes = [graph.num_nodes for graph in graphs]
        self.steps, self.batch_size, self.batch_atoms = steps, batch_size, batch_atoms
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.loss_weights, self.check_every, self.patience = loss_weights, check_every, patience
        self.rates, self.seed, self.watch, self.folder, self.fast = rates, seed, watch, folder, fast
        self.history, self.best, self.losses, self.started = [], None, [], time.perf_counter()

    def training_step(self, *_):
        """Every step up to the next check, and the check."""
        optimiser, schedule, weights = self.optimizers(), self.lr_schedulers(), list(self.potential.painn.parameters())
        self.bar.update(self.global_step - self.bar.n)
        for graph in self._epoch():
            graph = graph.to(self.device)
            loss = self._loss(graph, self._output(graph, forces=self.loss_weights[1] + self.loss_weights[2] > 0))
            self.losses.append(loss.detach())
            self._check_finite(graph)
            optimiser.zero_grad()
            self.manual_backward(loss)
            torch.nn.utils.clip_grad_norm_(weights, LARGEST_SLOPE)
            optimiser.step()
            schedule.step()
            self._average(weights)
            self.bar.update()
        self.check()

    def _check_finite(self, graph):
        if not torch.isfinite(self.losses[-1]):
            frames = sorted(number for number in graph.number.tolist() if number >= 0)
            raise TrainingDiverged(
                f"the loss is {self.losses[-1].item()} at step {self.global_step}, in a batch of the frames {frames}; "
                "lower learning_rate, or look for huge forces among them"
            )

    @torch.no_grad()
    def _average(self, weights):
        """One more step into the exponential moving average."""
        if self.average is None:
            self.average = [weight.clone() for weight in weights]
        torch._foreach_lerp_(self.average, weights, 1 - self.ema_decay)

    @contextmanager
    def _averaged(self):
        """With the averaged weights in the place of the latest ones."""
        weights = list(self.potential.painn.parameters())
        latest = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            torch._foreach_copy_(weights, self.average)
            yield
            torch._foreach_copy_(weights, latest)

    def _output(self, graph, forces):
        if self.fast and forces and graph.r_ij.device.type == "cpu":
            from tpainn_lite.fast_training import fast_outputs

            return fast_outputs(self.potential, graph)
        return self.potential(graph, forces)

    def _loss(self, graph, output):
        """The loss of the whole batch, of which other devices may hold parts; they average what each of them says."""
        on_energy, on_forces, on_stress = self.loss_weights
        n_atoms, share = torch.bincount(graph.batch, minlength=graph.num_graphs), self.trainer.world_size
        energy_error = (output["interaction_energy"] - graph.target).abs() / n_atoms.sqrt()  # (B,)
        loss = on_energy * energy_error.sum() / graph.all_graphs
        if on_forces:
            error = torch.linalg.vector_norm(output["forces"] - graph.forces, dim=-1)  # (N,)
            loss = loss + on_forces * error.sum() / graph.all_atoms
        if on_stress:
            error = torch.linalg.matrix_norm(output["stress"] - graph.stress)  # (B,) eV/Å³
            loss = loss + on_stress * (error * graph.volume / n_atoms.sqrt()).sum() / graph.all_graphs
        return share * loss

    def check(self):
        """One row of the history; remembers the averaged weights if they are the best so far."""
        row = {"step": self.global_step, "seconds": time.perf_counter() - self.started}
        loss = torch.stack(self.losses).mean()
        row["train_loss"] = self.trainer.strategy.reduce(loss, reduce_op="mean").item()
        self.losses.clear()
        with self._averaged():
            if self.valid_graphs:
                row |= self._errors()
            error = row.get("force_mae", row.get("energy_mae"))
            if not self.valid_graphs or self.best is None or error < self.best[0]:
                self.best = (error, deepcopy(self.potential.state_dict()), len(self.history))
        self.history.append(row)
        self.bar.set_postfix({k: f"{v:.3g}" for k, v in row.items() if k not in ("step", "seconds")})
        if self.patience and self.valid_graphs and len(self.history) - 1 - self.best[2] >= self.patience:
            self.trainer.should_stop = True
        if self.trainer.is_global_zero:
            if self.folder:
                _log(Path(self.folder), self.history)
            if self.watch:
                self.watch(self.history)

    def _errors(self):
        energy, force, stress = [], [], []
        self.potential.eval()
        for k in range(0, len(self.valid_graphs), self.batch_size):
            graph = collate(self.valid_graphs[k : k + self.batch_size]).to(self.device)
            output = self._output(graph, forces="forces" in graph)
            n_atoms = torch.bincount(graph.batch, minlength=graph.num_graphs)
            energy.append((output["interaction_energy"].detach() - graph.target).abs() / n_atoms)
            if "forces" in graph:
                force.append((output["forces"].detach() - graph.forces).abs().flatten())
            if "stress" in graph:
                stress.append((output["stress"].detach() - graph.stress).abs().flatten() / GPa)
        self.potential.train()
        found = (("energy_mae", 1e3, energy), ("force_mae", 1e3, force), ("stress_mae", 1.0, stress))
        return {name: unit * torch.cat(parts).mean().item() for name, unit, parts in found if parts}

    def keep_best(self):
        """Give the potential its best weights back (without a ``valid``: those of the last check)."""
        if self.best is not None:
            self.potential.load_state_dict(self.best[1])

    def train_dataloader(self):
        return DataLoader(range(1), batch_size=None, generator=torch.Generator())

    def _epoch(self):
        """This device's parts of the batches up to the next check."""
        steps, rng = self._epoch_steps(), np.random.default_rng([self.seed, self.current_epoch, 1])
        for whole in _batches(self.sizes, self.batch_size, self.batch_atoms, self.current_epoch, steps, self.seed):
            again = rng.choice(len(self.replayed), self.replay_size, replace=False) if self.replay_size else ()
            graphs = [self.graphs[i] for i in whole] + [self.replayed[i] for i in again]
            yield _part(graphs, self.trainer.global_rank, self.trainer.world_size)

    def _epoch_steps(self):
        return min(self.check_every, self.steps - self.current_epoch * self.check_every)

    def configure_optimizers(self):
        rate = {name: rate_of(name, self.rates) for name, _ in self.potential.painn.named_parameters()}
        parameters = dict(self.potential.painn.named_parameters())
        groups = [
            {"params": [parameters[n] for n in rate if rate[n] == factor], "lr": factor * self.learning_rate}
            for factor in sorted({*rate.values()} - {0.0})
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=self.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._learning_rate_factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step):
        done = (step + 1) / (self.steps + 1)
        return done / WARMUP if done < WARMUP else 0.5 * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP)))

    def on_save_checkpoint(self, checkpoint):
        checkpoint |= {"history": self.history, "best": self.best, "average": self.average}

    def on_load_checkpoint(self, checkpoint):
        self.history, self.best = checkpoint["history"], checkpoint["best"]
        weights = self.potential.painn.parameters()
        self.average = [average.to(weight) for average, weight in zip(checkpoint["average"], weights, strict=True)]


def _part(graphs, rank=0, n_devices=1):
    """One device's part of a batch, collated, with the size of the whole."""
    part = collate(graphs[rank::n_devices])
    part.all_graphs, part.all_atoms = len(graphs), sum(graph.num_nodes for graph in graphs)
    return part


def _bar(steps, progress):
    """One bar for the whole run."""
    from tqdm.auto import tqdm

    shown = progress and is_first_process()
    return tqdm(total=steps, desc="train", unit=" steps", mininterval=0.2, disable=not shown)


def parts_of(potential):
    """{part of the network: number of its weights}, in the order in which a graph passes through them."""
    rounds = range(len(potential.painn.interactions))
    order = ["embedding", *(f"{block}.{k}" for k in rounds for block in ("interactions", "mixings")), "readout"]
    return {part: sum(p.numel() for p in potential.painn.get_submodule(part).parameters()) for part in order}


def check_parts(potential, parts):
    """Raise ValueError unless all of these are parts of the network: "embedding", "interactions", "mixings.0", ..."""
    names = [name for name, _ in potential.painn.named_parameters()]
    for part in parts:
        if not any(name.startswith(f"{part}.") or name == part for name in names):
            raise ValueError(f"{part!r} is no part of the network; there are {list(parts_of(potential))}")


@contextmanager
def _frozen(potential, rates):
    """Parts with a rate of 0 need no slope while this lasts."""
    check_parts(potential, rates)
    frozen = [p for name, p in potential.painn.named_parameters() if rate_of(name, rates) == 0]
    if len(frozen) == len(list(potential.painn.parameters())):
        raise ValueError("every part of the network has the rate 0: nothing is left to train")
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def rate_of(name, rates):
    """The learning rate's factor for a weight or part: of the longest beginning of its name that is listed, else 1."""
    fitting = [part for part in rates if name == part or name.startswith(f"{part}.")]
    return float(rates[max(fitting, key=len)]) if fitting else 1.0


def _needed_labels(frames, force_weight, stress_weight):
    """Forces if they have a weight; stress where it is asked for, or where every frame has it."""
    if not force_weight and not stress_weight:
        return ("energy",)
    labels = [set(atoms.calc.results) if getattr(atoms, "calc", None) is not None else set() for atoms in frames]
    everywhere = bool(labels) and all("stress" in have for have in labels)
    boxes = everywhere and all(atoms.pbc.all() for atoms in frames)
    wanted = boxes if stress_weight is None else stress_weight > 0
    return ("energy", "forces", "stress") if wanted else ("energy", "forces")


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


def _training_graphs(potential, frames, need=("energy", "forces"), named=True):
    """Graphs with ``target`` (1,): the energy minus the reference energies, subtracted in float64; and ``number``: the
    place in the list, or -1 for frames that an error need not name."""
    graphs = to_graphs(frames, potential.cutoff, potential.dtype)
    for number, graph in enumerate(graphs):
        graph.number = torch.tensor([number if named else -1])
        potential._check_elements(graph.atomic_numbers)
        reference = potential.atomref[graph.atomic_numbers].sum()
        graph.target = (graph.energy - reference).to(potential.dtype)
        del graph["energy"]
        for key in ("forces", "stress"):  # some frames may have them and some not; a batch wants all alike
            if key in need:
                graph[key] = graph[key].to(potential.dtype)
            elif key in graph:
                del graph[key]
    return graphs


def _batches(sizes, batch_size, batch_atoms, epoch, n_steps, seed):
    """Index lists for the steps of one epoch; every structure is used equally often, give or take one.

    Each batch has ``batch_size`` structures, or as many as it takes to reach ``batch_atoms`` atoms.
    """
    rng, n = np.random.default_rng([seed, epoch]), len(sizes)
    order = itertools.chain.from_iterable(rng.permutation(n).tolist() for _ in itertools.count())
    if batch_atoms is None:
        return [list(itertools.islice(order, min(batch_size, n))) for _ in range(n_steps)]
    return [_filled(order, sizes, batch_atoms) for _ in range(n_steps)]


def _filled(order, sizes, batch_atoms):
    batch, atoms = [], 0
    while atoms < batch_atoms:
        batch.append(next(order))
        atoms += sizes[batch[-1]]
    return batch


def _trainer(callbacks, epochs, accelerator, devices=1, nodes=1):
    import logging

    if accelerator == "auto" and not torch.cuda.is_available():
        accelerator = "cpu"  # Apple's GPU knows no float64, which the energies need
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    return pl.Trainer(
        accelerator=accelerator, devices=devices, num_nodes=nodes, strategy="ddp" if devices * nodes > 1 else "auto",
        use_distributed_sampler=False, max_epochs=epochs, callbacks=callbacks, logger=False, barebones=False,
        enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
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
