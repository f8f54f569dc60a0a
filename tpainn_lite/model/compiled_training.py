"""The training step of PaiNN on a processor: what `Potential.forward` gives, and the same slopes, faster.

A loss of forces needs the slope, by the weights θ, of forces that are slopes themselves.  torch differentiates the
backward pass to find it, and keeps arrays of pairs × features for that.  Here the forces come from `compiled.py`, and
the rest follows from one remark.  Once it is known how the loss depends on energies and forces, λ = ∂L/∂F,

    ∂L/∂θ = ∂/∂θ [Σ_b μ_b E_b + Ė],   μ_b = ∂L/∂E_b,   Ė = d/dt E(r + t ṙ) at t = 0,   ṙ_ij = λ_i − λ_j,

because forces are slopes of E.  So each block carries the rates of change along ṙ forward (`rates`; the rate of x is
called dx), and then the slopes of the bracket backward (`slopes`; called S here).  The slopes by the rates are those of
the energy itself, g, which `compiled.py` computes on its way to the forces.  (Differentiating forwards, then backwards:
Griewank and Walther, Evaluating Derivatives, 2008, chapter 5.)
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tpainn_lite.model.compiled import Dense, FastPotential, Listen, Mix
from tpainn_lite.model.graph import stress_of
from tpainn_lite.model.listening_training import motion, moving_kernels
from tpainn_lite.model.painn import Interaction, PaiNN
from tpainn_lite.model.pairs import FlatBatch, Pairs
from tpainn_lite.model.pointwise_training import dense_rates, dense_slopes, mix_rates, mix_slopes
from tpainn_lite.model.potential import Potential
from tpainn_lite.model.products import ZEROS, product
from tpainn_lite.model.weights import Room, aligned


def fast_outputs(step: "TrainingStep", batch: FlatBatch) -> dict[str, Tensor]:
    """What ``potential(graph)`` gives, with slopes by the weights; float32 on the CPU only.

    ``interaction_energy`` (B,) eV, ``forces`` (N, 3) eV/Å and ``stress`` (B, 3, 3) eV/Å³ (0 for molecules).
    """
    energy, forces, virial = _EnergyForces.apply(step, batch, *step.parameters)
    return {"interaction_energy": energy, "forces": forces, "stress": stress_of(virial, batch.volume)}


class _EnergyForces(torch.autograd.Function):
    """Energies, forces and virials of a batch, and the slope of whatever is made of them by the weights."""

    @staticmethod
    def forward(ctx, step, batch, *weights):
        ctx.step, ctx.batch = step, batch
        local, forces, virial = step.of_batch(batch)
        energy = local.new_zeros(batch.num_graphs).index_add(0, batch.batch, local)
        return energy, torch.from_numpy(forces).float(), torch.from_numpy(virial).float()

    @staticmethod
    def backward(ctx, by_energy, by_forces, by_virial):
        slopes = ctx.step.slopes(ctx.batch, by_energy, by_forces, by_virial)
        wanted = zip(slopes, ctx.needs_input_grad[2:], strict=True)
        return (None, None, *(slope if is_wanted else None for slope, is_wanted in wanted))


class TrainingStep(FastPotential):
    """Energies and forces, then the slopes of a loss of them by the weights, which are those of the potential now."""

    def __init__(self, potential: Potential) -> None:
        super().__init__(potential)
        self.parameters = list(potential.painn.parameters())
        interactions = [w for phi, listen, _ in self.rounds for w in (*phi.weights, listen.W)]
        mixings = [w for *_, mix in self.rounds for w in (mix.VU, *mix.a.weights)]
        self.weights = [self.embedding, *interactions, *mixings, *self.readout.weights]  # as ``parameters``

    @staticmethod
    def blocks() -> tuple[Any, Any, Any]:
        return TrainedDense, TrainedListen, TrainedMix

    def threads(self, n_atoms: int) -> int:
        """One: what each block keeps for the slopes by the weights is kept as it is called."""
        return 1

    def of_batch(self, batch: FlatBatch) -> tuple[Tensor, NDArray, NDArray]:
        """Local energies (N,), forces (N, 3) and virials (B, 3, 3)."""
        for weight in self.weights:
            weight.refresh()
        row = batch.pairs.row
        for _, listen, _ in self.rounds:
            listen.tabulate(slice(int(row.min()), int(row.max()) + 4) if len(row) else slice(0, 0))
        return self.of_pairs(batch.atomic_numbers.numpy(), batch.pairs, batch.batch.numpy(), batch.num_graphs)

    def back(self, pairs: Pairs, by_place: NDArray, to_embedding: bool = True) -> None:
        super().back(pairs, by_place, to_embedding)

    def rates(self, pairs: Pairs, moving: NDArray) -> NDArray:
        """Carry the rates of all features forward; gives the rates of the local energies (N,)."""
        n = len(pairs.first) - 1
        ds, dv = self.nothing(n), self.nothing(3 * n)
        for phi, listen, mix in self.rounds:
            ds, dv = listen.rates(phi.rates(ds) if phi is not self.rounds[0][0] else phi.still(), ds, dv, pairs, moving)
            ds, dv = mix.rates(ds, dv)
        return self.scale * self.readout.rates(ds)[:, 0]

    def slopes(self, batch: FlatBatch, by_energy: Tensor, by_forces: Tensor, by_virial: Tensor) -> list[Tensor]:
        """Slopes by all weights, in the order of ``painn.parameters()``, from those by energies (B,), forces (N, 3) and
        virials (B, 3, 3)."""
        pairs, structure = batch.pairs, batch.batch.numpy()
        moving = moving_pairs(pairs, by_forces.numpy(), by_virial.numpy(), structure)
        self.rates(pairs, moving)
        last = self.room(len(structure), self.readout.n_out)
        last.fill(0)
        last[:, 0] = self.scale * by_energy.numpy()[structure]
        S = self.readout.slopes(last, ZEROS)  # (N, F)
        Sv = self.nothing(3 * len(S))
        for phi, listen, mix in reversed(self.rounds):
            S, Sv = mix.slopes(S, Sv)
            Sx, Sv = listen.slopes(S, Sv, pairs, moving)
            S = phi.slopes(Sx, S)
        by_embedding = torch.from_numpy(self.embedding.slopes).zero_()
        by_embedding.index_add_(0, batch.atomic_numbers, torch.from_numpy(S))
        return self.by_weights()

    def by_weights(self) -> list[Tensor]:
        """The slopes that are kept with the weights."""
        sizes = [weight.given.size for weight in self.weights]
        whole, start = torch.empty(sum(sizes)), 0
        target = whole.numpy()
        for weight, size in zip(self.weights, sizes, strict=True):
            weight.take_slopes(target[start : start + size])
            start += size
        parts = zip(whole.split(sizes), self.weights, strict=True)
        return [part.view(weight.shape) for part, weight in parts]


def moving_pairs(pairs: Pairs, by_forces: NDArray, by_virial: NDArray, batch: NDArray) -> NDArray:
    """(E, 8) rates of the splines' factors and of the directions when r_ij moves at the rate ṙ_ij."""
    moving = aligned(len(pairs.idx_j), 8)
    by_forces, by_virial = np.ascontiguousarray(by_forces), np.ascontiguousarray(by_virial)
    motion(by_forces, by_virial, batch, pairs.first, pairs.idx_j, pairs.spline, pairs.place, moving)
    return moving


# --- the blocks ---


class TrainedDense(Dense):
    """Linear, SiLU, Linear."""

    def __init__(self, network: nn.Sequential, painn: PaiNN, room: Room) -> None:
        super().__init__(network, painn, room)
        self.spare = aligned(max(weight.plain.size for weight in self.weights))
        self.by_weights = tuple(weight.slopes for weight in (self.w1, self.w2, self.b1, self.b2))

    def rates(self, dx: NDArray) -> NDArray:
        self.dx, n = dx, len(dx)
        self.d_hidden, self.d_act, d_out = (self.room(n, m) for m in (self.n_hidden, self.n_hidden, self.n_out))
        dense_rates(dx, self.network, ZEROS, self.gate, self.act, self.d_hidden, self.d_act, d_out)
        return d_out

    def still(self) -> NDArray:
        """The rates where nothing moves: arrays without rows."""
        self.dx = self.d_act = self.d_hidden = ZEROS[:0]
        return self.dx

    def slopes(self, S: NDArray, added: NDArray) -> NDArray:
        """``added`` + those by x."""
        S_hidden, by_x = self.room(len(S), self.n_hidden), self.room(len(S), self.n_in)
        kept = (self.gate, self.act, self.gated, self.g_hidden, self.d_hidden, self.d_act)
        known = (S, self.g, self.x, self.dx, self.network, ZEROS, added, kept)
        dense_slopes(*known, S_hidden, self.spare, by_x, *self.by_weights)
        return by_x


class TrainedListen(Listen):
    """`painn.Interaction`."""

    def __init__(self, painn: PaiNN, block: Interaction, room: Room) -> None:
        super().__init__(painn, block, room)
        self.moving_kernels, self.by_table = moving_kernels(self.first_round), aligned(*self.table.shape)

    def tabulate(self, rows: slice) -> None:
        super().tabulate(rows)
        self.rows = rows

    def rates(self, dx: NDArray, ds: NDArray, dv: NDArray, pairs: Pairs, moving: NDArray) -> tuple[NDArray, NDArray]:
        self.dx, self.dv, ds_out, dv_out = dx, dv, self.room(*ds.shape), self.room(*dv.shape)
        self.moving_kernels[0](self.x, dx, self.v, dv, *pairs, moving, self.table, ds, ds_out, dv_out)
        return ds_out, dv_out

    def slopes(self, S: NDArray, Sv: NDArray, pairs: Pairs, moving: NDArray) -> tuple[NDArray, NDArray]:
        by_x, by_v, by_table = self.room(*self.x.shape), self.room(*Sv.shape), self.by_table[self.rows]
        by_table.fill(0)
        inputs = (self.x, self.dx, self.v, self.dv, self.gs, self.gv, S, Sv)
        self.moving_kernels[1](*inputs, *pairs, moving, self.table, by_x, by_v, self.by_table)
        product(by_table, True, self.splines[self.rows], ZEROS, self.W.slopes)
        return by_x, by_v


class TrainedMix(Mix):
    """`painn.Mixing`."""

    dense = TrainedDense

    def rates(self, ds: NDArray, dv: NDArray) -> tuple[NDArray, NDArray]:
        (n, f), h, room = ds.shape, self.a.n_hidden, self.room
        self.dv, self.d_kept = (
            dv,
            (room(3 * n, 2 * f), room(n, 2 * f), room(n, f), room(n, h), room(n, h), room(n, 3 * f)),
        )
        ds_out, dv_out = room(n, f), room(3 * n, f)
        mix_rates(ds, dv, self.VU.turned, self.a.network, ZEROS, self.kept, *self.d_kept, ds_out, dv_out)
        return ds_out, dv_out

    def slopes(self, S: NDArray, Sv: NDArray) -> tuple[NDArray, NDArray]:
        (n, f), room = S.shape, self.room
        work = room(n, 3 * f), room(n, 2 * f), room(3 * n, 2 * f), room(n, self.a.n_hidden), self.a.spare
        S_out, Sv_out, weights = room(n, f), room(3 * n, f), (self.VU.plain, self.a.network, ZEROS)
        inputs = (S, Sv, self.gs, self.gv, self.v, self.dv, *weights, self.kept, self.d_kept, self.slopes_kept)
        mix_slopes(*inputs, *work, self.VU.slopes, *self.a.by_weights, S_out, Sv_out)
        return S_out, Sv_out
