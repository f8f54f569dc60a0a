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

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from tpainn_lite.model import pointwise
from tpainn_lite.model.compiled import Dense, FastPotential, Listen, Mix, Pairs, arrays, empty
from tpainn_lite.model.flat import FlatBatch
from tpainn_lite.model.graph import stress_of
from tpainn_lite.model.painn import Interaction, PaiNN
from tpainn_lite.model.potential import Potential


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

    @staticmethod
    def blocks() -> tuple[Any, Any, Any]:
        return TrainedDense, TrainedListen, TrainedMix

    @torch.no_grad()
    def of_batch(self, batch: FlatBatch) -> tuple[Tensor, NDArray, NDArray]:
        """Local energies (N,), forces (N, 3) and virials (B, 3, 3)."""
        for _, listen, _ in self.rounds:
            listen.tabulate(batch.pieces)
        return self.of_pairs(batch.atomic_numbers, batch.pairs, batch.batch.numpy(), batch.num_graphs)

    @torch.no_grad()
    def rates(self, moving: tuple[NDArray, ...], n_atoms: int) -> Tensor:
        """Carry the rates of all features forward; gives the rates of the local energies (N,)."""
        ds = torch.zeros(n_atoms, self.n_features)
        dv = torch.zeros(n_atoms, 3, self.n_features)
        for phi, listen, mix in self.rounds:
            ds, dv = listen.rates(phi.rates(ds), ds, dv, moving)
            ds, dv = mix.rates(ds, dv)
        return self.scale * self.readout.rates(ds).squeeze(1)

    @torch.no_grad()
    def slopes(self, batch: FlatBatch, by_energy: Tensor, by_forces: Tensor, by_virial: Tensor) -> list[Tensor]:
        """Slopes by all weights, in the order of ``painn.parameters()``, from those by energies (B,), forces (N, 3) and
        virials (B, 3, 3)."""
        moving = moving_pairs(batch.pairs, by_forces.numpy(), by_virial.numpy(), batch.batch.numpy())
        self.rates(moving, len(batch.atomic_numbers))
        S = self.readout.slopes((self.scale * by_energy[batch.batch]).unsqueeze(1))  # (N, F)
        Sv = torch.zeros(len(S), 3, self.n_features)
        for phi, listen, mix in reversed(self.rounds):
            S, Sv = mix.slopes(S, Sv)
            Sx, Sv = listen.slopes(S, Sv, moving)
            S = S + phi.slopes(Sx)
        by_embedding = torch.zeros_like(self.embedding).index_add_(0, batch.atomic_numbers, S)
        by_interactions = [w for phi, listen, _ in self.rounds for w in (*phi.by_weights, listen.by_weight)]
        by_mixings = [w for *_, mix in self.rounds for w in (mix.by_weight, *mix.a.by_weights)]
        return [by_embedding, *by_interactions, *by_mixings, *self.readout.by_weights]


def moving_pairs(pairs: Pairs, by_forces: NDArray, by_virial: NDArray, batch: NDArray) -> tuple[NDArray, ...]:
    """`Pairs`, and the rates of their distances (E,) and directions (E, 3) when r_ij moves at the rate ṙ_ij."""
    along, turning = np.empty_like(pairs.d_ij), np.empty_like(pairs.dir_ij)
    _motion(by_forces, by_virial, batch, pairs.first, pairs.idx_j, pairs.d_ij, pairs.dir_ij, along, turning)
    return (*pairs, along, turning)


@njit(fastmath=True, cache=True)
def _motion(by_forces, by_virial, batch, first, idx_j, d, direction, along, turning):
    motion = np.empty(3, np.float32)
    for i in range(len(batch)):
        V = by_virial[batch[i]]
        for e in range(first[i], first[i + 1]):
            to, j, total = direction[e], idx_j[e], np.float32(0)
            for c in range(3):
                strain = (V[c, 0] * to[0] + V[c, 1] * to[1] + V[c, 2] * to[2]) * d[e]
                motion[c] = by_forces[i, c] - by_forces[j, c] + strain
                total += motion[c] * to[c]
            along[e] = total
            for c in range(3):
                turning[e, c] = (motion[c] - total * to[c]) / d[e]


# --- the blocks ---


class TrainedDense(Dense):
    """Linear, SiLU, Linear."""

    def rates(self, dx: Tensor) -> Tensor:
        w1, _, w2, _ = self.weights
        self.dx, self.d_hidden = dx, dx @ w1.T
        self.d_act = self.d_hidden * self.slope
        return self.d_act @ w2.T

    def slopes(self, S: Tensor) -> Tensor:
        w1, _, w2, _ = self.weights
        S_act, S_hidden, g_hidden = S @ w2, *empty(2, *self.hidden.shape)
        known = (self.hidden, self.gate, self.slope, S_act, self.gated, self.d_hidden)
        pointwise.silu_curved(*arrays(*known, S_hidden, g_hidden))
        by_w1 = torch.addmm(S_hidden.T @ self.x, g_hidden.T, self.dx)
        by_w2 = torch.addmm(S.T @ self.act, self.g.T, self.d_act)
        self.by_weights = by_w1, S_hidden.sum(dim=0), by_w2, S.sum(dim=0)
        return S_hidden @ w1


class TrainedListen(Listen):
    """`painn.Interaction`."""

    def __init__(self, painn: PaiNN, block: Interaction) -> None:
        super().__init__(painn, block)
        self.moving_kernels = _moving_kernels(self.n_features, first_round=len(self.weight) < 3 * self.n_features)

    def tabulate(self, pieces: Tensor) -> None:
        super().tabulate(pieces)
        self.pieces = pieces

    def rates(self, dx: Tensor, ds: Tensor, dv: Tensor, moving: tuple[NDArray, ...]) -> tuple[Tensor, Tensor]:
        self.dx, self.dv = dx.contiguous().numpy(), dv.contiguous().numpy()
        d_heard_s, d_heard_v = ds.clone(), dv.clone()
        inputs, outputs = (self.x, self.dx, self.v, self.dv), (d_heard_s.numpy(), d_heard_v.numpy())
        self.moving_kernels[0](*inputs, *moving, self.table, self.per_angstrom, *outputs)
        return d_heard_s, d_heard_v

    def slopes(self, S: Tensor, Sv: Tensor, moving: tuple[NDArray, ...]) -> tuple[Tensor, Tensor]:
        Sx, S_sent, by_table = torch.zeros(self.x.shape), Sv.clone(), torch.zeros(self.table.shape)
        inputs = (self.x, self.dx, self.v, self.dv, self.gs, self.gv, S.contiguous().numpy(), Sv.contiguous().numpy())
        self.moving_kernels[1](
            *inputs, *moving, self.table, self.per_angstrom, Sx.numpy(), S_sent.numpy(), by_table.numpy()
        )
        self.by_weight = by_table.view(-1, len(self.weight)).T @ self.pieces.flatten(0, 1)
        return Sx, S_sent


class TrainedMix(Mix):
    """`painn.Mixing`."""

    def rates(self, ds: Tensor, dv: Tensor) -> tuple[Tensor, Tensor]:
        n, f = ds.shape
        self.dv, self.d_vectors = dv, (dv.view(-1, f) @ self.VU.T).view(n, 3, 2 * f)
        self.d_sl, self.d_dot, ds_out, dv_out = (
            torch.empty(n, 2 * f),
            torch.empty(n, f),
            torch.empty(n, f),
            torch.empty(n, 3, f),
        )
        pointwise.length_rates(*arrays(ds, self.vectors, self.d_vectors, self.sl, self.d_sl, self.d_dot))
        self.d_factors = self.a.rates(self.d_sl)
        both = (self.vectors, self.d_vectors, self.factors, self.d_factors, self.dot, self.d_dot)
        pointwise.mixed_rates(*arrays(ds, dv, *both, ds_out, dv_out))
        return ds_out, dv_out

    def slopes(self, S: Tensor, Sv: Tensor) -> tuple[Tensor, Tensor]:
        n, f = S.shape
        by_a, by_VU, S_out = torch.empty(n, 3 * f), torch.empty(n, 3, 2 * f), torch.empty(n, f)
        given, vectors = (S, Sv, self.gs, self.gv), (self.vectors, self.d_vectors)
        pointwise.factor_slopes(*arrays(*given, *vectors, self.dot, self.d_dot, by_a))
        scalars = (self.factors, self.d_factors, self.sl, self.d_sl, self.a.slopes(by_a), self.by_sl)
        pointwise.product_slopes(*arrays(*given, *vectors, *scalars, by_VU, S_out))
        by_VU = by_VU.view(-1, 2 * f)
        self.by_weight = torch.addmm(by_VU.T @ self.v.view(-1, f), self.by_VU.view(-1, 2 * f).T, self.dv.view(-1, f))
        return S_out, torch.addmm(Sv.view(-1, f), by_VU, self.VU).view(n, 3, f)


# --- compiled loops ---


@lru_cache
def _moving_kernels(n_features, first_round):
    """The rates of the sums over neighbours, and their slopes S, compiled for one width as in `compiled.py`."""
    width = (2 if first_round else 3) * n_features
    s_, r_, v_ = 0, n_features, 2 * n_features  # where the three parts of a message begin

    @njit(fastmath=True, cache=True)
    def rates(x, dx, v, dv, first, idx_j, row, rest, d, direction, along, turning, table, per_angstrom, ds_out, dv_out):
        """Rates of what each atom hears, added to ds_out (N, F) and dv_out (N, 3, F)."""
        m, dm = np.empty(width, np.float32), np.empty(width, np.float32)
        for i in range(len(ds_out)):
            ds_i, dv_i = ds_out[i], dv_out[i]
            for e in range(first[i], first[i + 1]):
                j, k, u, du = idx_j[e], row[e], rest[e], np.float32(along[e] * per_angstrom)
                c0, c1, c2, c3, x_j, dx_j = table[k, 0], table[k, 1], table[k, 2], table[k, 3], x[j], dx[j]
                for f in range(width):
                    w = c0[f] + u * (c1[f] + u * (c2[f] + u * c3[f]))
                    dw = du * (c1[f] + u * (2 * c2[f] + 3 * u * c3[f]))
                    m[f] = w * x_j[f]
                    dm[f] = dw * x_j[f] + w * dx_j[f]
                for f in range(n_features):
                    ds_i[f] += dm[s_ + f]
                for c in range(3):
                    to, rate, v_j, dv_j, dv_ic = direction[e, c], turning[e, c], v[j, c], dv[j, c], dv_i[c]
                    for f in range(n_features):
                        dv_ic[f] += dm[r_ + f] * to + m[r_ + f] * rate
                        if not first_round:
                            dv_ic[f] += dm[v_ + f] * v_j[f] + m[v_ + f] * dv_j[f]

    @njit(fastmath=True, cache=True)
    def slopes(
        x, dx, v, dv, gs, gv, S, Sv, first, idx_j, row, rest, d, direction, along, turning, table, per_angstrom,
        Sx, S_sent, by_table,
    ):  # fmt: skip
        """Slopes by x and v of the speakers and by the table, added to what is there.

        As in `compiled.py` each atom a is the one who speaks to its neighbours b, so that all sums but the table's stay
        with a.  Sm, gm are slopes by a message and by its rate, Sw, gw by a filter and by its rate.
        """
        Sm, gm = np.empty(width, np.float32), np.empty(width, np.float32)
        w, dw = np.empty(width, np.float32), np.empty(width, np.float32)
        m, dm = np.empty(n_features, np.float32), np.empty(n_features, np.float32)
        for a in range(len(gs)):
            x_a, dx_a, Sx_a = x[a], dx[a], Sx[a]
            for e in range(first[a], first[a + 1]):
                b, k, u, du = idx_j[e], row[e], rest[e], np.float32(along[e] * per_angstrom)
                c0, c1, c2, c3 = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
                for f in range(width):
                    w[f] = c0[f] + u * (c1[f] + u * (c2[f] + u * c3[f]))
                    dw[f] = du * (c1[f] + u * (2 * c2[f] + 3 * u * c3[f]))
                    Sm[f] = np.float32(0)
                    gm[f] = np.float32(0)
                S_b, gs_b = S[b], gs[b]
                for f in range(n_features):
                    Sm[s_ + f] = S_b[f]
                    gm[s_ + f] = gs_b[f]
                    if not first_round:
                        m[f] = w[v_ + f] * x_a[v_ + f]
                        dm[f] = dw[v_ + f] * x_a[v_ + f] + w[v_ + f] * dx_a[v_ + f]
                for c in range(3):
                    to, rate = -direction[e, c], -turning[e, c]
                    Sv_b, gv_b, v_a, dv_a, S_sent_a = Sv[b, c], gv[b, c], v[a, c], dv[a, c], S_sent[a, c]
                    for f in range(n_features):
                        Sm[r_ + f] += Sv_b[f] * to + gv_b[f] * rate
                        gm[r_ + f] += gv_b[f] * to
                        if not first_round:
                            Sm[v_ + f] += Sv_b[f] * v_a[f] + gv_b[f] * dv_a[f]
                            gm[v_ + f] += gv_b[f] * v_a[f]
                            S_sent_a[f] += Sv_b[f] * m[f] + gv_b[f] * dm[f]
                t0, t1, t2, t3 = by_table[k, 0], by_table[k, 1], by_table[k, 2], by_table[k, 3]
                u2, u3, du2, du3 = u * u, u * u * u, 2 * u * du, 3 * u * u * du
                for f in range(width):
                    Sx_a[f] += Sm[f] * w[f] + gm[f] * dw[f]
                    Sw, gw = Sm[f] * x_a[f] + gm[f] * dx_a[f], gm[f] * x_a[f]
                    t0[f] += Sw
                    t1[f] += Sw * u + gw * du
                    t2[f] += Sw * u2 + gw * du2
                    t3[f] += Sw * u3 + gw * du3

    return rates, slopes
