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

from tpainn_lite.model.compiled import Dense, FastPotential, Listen, Mix, Pairs, cubic_pieces, silu_slope
from tpainn_lite.model.graph import Data, stress_of, unpack
from tpainn_lite.model.painn import Interaction, PaiNN
from tpainn_lite.model.potential import Potential


def fast_outputs(potential: Potential, graph: Data) -> dict[str, Tensor]:
    """What ``potential(graph)`` gives, with slopes by the weights; float32 on the CPU only.

    ``interaction_energy`` (B,) eV, ``forces`` (N, 3) eV/Å and ``stress`` (B, 3, 3) eV/Å³ (0 for molecules).
    """
    energy, forces, virial = _EnergyForces.apply(potential, graph, *potential.painn.parameters())
    return {"interaction_energy": energy, "forces": forces, "stress": stress_of(virial, graph.volume)}


class _EnergyForces(torch.autograd.Function):
    """Energies, forces and virials of a batch, and the slope of whatever is made of them by the weights."""

    @staticmethod
    def forward(ctx, potential, graph, *weights):
        ctx.step, ctx.graph = TrainingStep(potential), graph
        local, forces, virial = ctx.step.of_graph(graph)
        _, _, batch, n_graphs = unpack(graph)
        return local.new_zeros(n_graphs).index_add(0, batch, local), forces.float(), virial.float()

    @staticmethod
    def backward(ctx, by_energy, by_forces, by_virial):
        idx_i, idx_j, batch, _ = unpack(ctx.graph)
        motion = by_forces[idx_i] - by_forces[idx_j]  # (E, 3) ṙ
        motion = motion + torch.einsum("exy,ex->ey", by_virial[batch[idx_i]], ctx.graph.r_ij)
        moving = moving_pairs(ctx.step.pairs, motion.numpy())
        slopes = ctx.step.slopes(by_energy[batch], moving, ctx.graph.atomic_numbers)
        wanted = zip(slopes, ctx.needs_input_grad[2:], strict=True)
        return (None, None, *(slope if is_wanted else None for slope, is_wanted in wanted))


def moving_pairs(pairs: Pairs, motion: NDArray) -> tuple[NDArray, ...]:
    """`Pairs`, and the rates of their distances (E,) and directions (E, 3) when r_ij moves at the rate ``motion``."""
    along = np.einsum("ex,ex->e", pairs.dir_ij, motion)  # (E,)
    turning = (motion - along[:, None] * pairs.dir_ij) / pairs.d_ij[:, None]  # (E, 3)
    return (*pairs, along.astype(np.float32), turning.astype(np.float32))


class TrainingStep(FastPotential):
    """Energies and forces, then the slopes of a loss of them by the weights."""

    @staticmethod
    def blocks() -> tuple[Any, Any, Any]:
        return TrainedDense, TrainedListen, TrainedMix

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
    def slopes(self, by_energy: Tensor, moving: tuple[NDArray, ...], atomic_numbers: Tensor) -> list[Tensor]:
        """Slopes by all weights, in the order of ``painn.parameters()``; ``by_energy`` (N,) is μ of each atom's b."""
        self.rates(moving, len(atomic_numbers))
        S = self.readout.slopes((self.scale * by_energy).unsqueeze(1))  # (N, F)
        Sv = torch.zeros(len(S), 3, self.n_features)
        for phi, listen, mix in reversed(self.rounds):
            S, Sv = mix.slopes(S, Sv)
            Sx, Sv = listen.slopes(S, Sv, moving)
            S = S + phi.slopes(Sx)
        by_embedding = torch.zeros_like(self.embedding).index_add_(0, atomic_numbers, S)
        by_interactions = [w for phi, listen, _ in self.rounds for w in (*phi.by_weights, listen.by_weight)]
        by_mixings = [w for *_, mix in self.rounds for w in (mix.by_weight, *mix.a.by_weights)]
        return [by_embedding, *by_interactions, *by_mixings, *self.readout.by_weights]


# --- the blocks ---


class TrainedDense(Dense):
    """Linear, SiLU, Linear."""

    def rates(self, dx: Tensor) -> Tensor:
        w1, _, w2, _ = self.weights
        self.dx, self.d_hidden = dx, dx @ w1.T
        return (self.d_hidden * silu_slope(self.hidden)) @ w2.T

    def slopes(self, S: Tensor) -> Tensor:
        w1, _, w2, _ = self.weights
        h, gate = self.hidden, torch.sigmoid(self.hidden)
        slope, curvature = gate * (1 + h * (1 - gate)), gate * (1 - gate) * (2 + h * (1 - 2 * gate))  # of SiLU
        S_hidden = (S @ w2) * slope + self.gated * self.d_hidden * curvature
        by_w1 = S_hidden.T @ self.x + (self.gated * slope).T @ self.dx
        by_w2 = S.T @ (h * gate) + self.g.T @ (self.d_hidden * slope)
        self.by_weights = by_w1, S_hidden.sum(dim=0), by_w2, S.sum(dim=0)
        return S_hidden @ w1


class TrainedListen(Listen):
    """`painn.Interaction`."""

    def __init__(self, painn: PaiNN, block: Interaction) -> None:
        super().__init__(painn, block)
        self.pieces = cubic_pieces(painn.n_rbf, painn.cutoff)
        self.moving_kernels = _moving_kernels(self.n_features, first_round=len(self.weight) < 3 * self.n_features)

    def rates(self, dx: Tensor, ds: Tensor, dv: Tensor, moving: tuple[NDArray, ...]) -> tuple[Tensor, Tensor]:
        self.dx, self.dv = dx.contiguous().numpy(), dv.contiguous().numpy()
        d_heard_s, d_heard_v = ds.clone(), dv.clone()
        inputs, outputs = (self.x, self.dx, self.v, self.dv), (d_heard_s.numpy(), d_heard_v.numpy())
        self.moving_kernels[0](*inputs, *moving, *self.filters, *outputs)
        return d_heard_s, d_heard_v

    def slopes(self, S: Tensor, Sv: Tensor, moving: tuple[NDArray, ...]) -> tuple[Tensor, Tensor]:
        Sx, S_sent, by_table = torch.zeros(self.x.shape), Sv.clone(), torch.zeros(self.filters[0].shape)
        inputs = (self.x, self.dx, self.v, self.dv, self.gs, self.gv, S.contiguous().numpy(), Sv.contiguous().numpy())
        self.moving_kernels[1](*inputs, *moving, *self.filters, Sx.numpy(), S_sent.numpy(), by_table.numpy())
        self.by_weight = by_table.view(-1, len(self.weight)).T @ self.pieces
        return Sx, S_sent


class TrainedMix(Mix):
    """`painn.Mixing`."""

    def rates(self, ds: Tensor, dv: Tensor) -> tuple[Tensor, Tensor]:
        f = ds.shape[1]
        self.dv = dv
        self.dVv, self.dUv = (dv.view(-1, f) @ self.VU.T).view(len(dv), 3, 2 * f).split(f, dim=2)
        self.d_length = (self.Vv * self.dVv).sum(dim=1) / self.length
        self.d_dot = (self.dUv * self.Vv + self.Uv * self.dVv).sum(dim=1)
        da_ss, self.da_vv, self.da_sv = self.a.rates(torch.cat([ds, self.d_length], dim=1)).split(f, dim=1)
        ds = ds + da_ss + self.da_sv * self.dot + self.a_sv * self.d_dot
        return ds, dv + self.da_vv.unsqueeze(1) * self.Uv + self.a_vv.unsqueeze(1) * self.dUv

    def slopes(self, S: Tensor, Sv: Tensor) -> tuple[Tensor, Tensor]:
        f = S.shape[1]
        by_a_vv = (Sv * self.Uv + self.gv * self.dUv).sum(dim=1)
        by_s, by_length = self.a.slopes(torch.cat([S, by_a_vv, S * self.dot + self.gs * self.d_dot], dim=1)).split(
            f, dim=1
        )
        by_dot = (S * self.a_sv + self.gs * self.da_sv).unsqueeze(1)  # (N, 1, F)
        g_dot, g_stretch = self.by_dot.unsqueeze(1), (self.by_length / self.length).unsqueeze(1)
        stretch = ((by_length - g_stretch.squeeze(1) * self.d_length) / self.length).unsqueeze(1)
        by_Vv = by_dot * self.Uv + g_dot * self.dUv + stretch * self.Vv + g_stretch * self.dVv  # (N, 3, F)
        by_Uv = by_dot * self.Vv + g_dot * self.dVv
        by_Uv = by_Uv + Sv * self.a_vv.unsqueeze(1) + self.gv * self.da_vv.unsqueeze(1)
        by_VU = torch.cat([by_Vv, by_Uv], dim=2).view(-1, 2 * f)  # (3N, 2F)
        self.by_weight = by_VU.T @ self.v.view(-1, f) + self.by_VU.T @ self.dv.view(-1, f)
        return S + by_s, Sv + (by_VU @ self.VU).view_as(Sv)


# --- compiled loops ---


@lru_cache
def _moving_kernels(n_features, first_round):
    """The rates of the sums over neighbours, and their slopes S, compiled for one width as in `compiled.py`."""
    width = (2 if first_round else 3) * n_features
    s_, r_, v_ = 0, n_features, 2 * n_features  # where the three parts of a message begin

    @njit(fastmath=True, cache=True)
    def rates(x, dx, v, dv, first, idx_j, d, direction, along, turning, table, per_angstrom, ds_out, dv_out):
        """Rates of what each atom hears, added to ds_out (N, F) and dv_out (N, 3, F)."""
        m, dm = np.empty(width, np.float32), np.empty(width, np.float32)
        for i in range(len(ds_out)):
            ds_i, dv_i = ds_out[i], dv_out[i]
            for e in range(first[i], first[i + 1]):
                j, place = idx_j[e], d[e] * per_angstrom
                k = int(place)
                u, du = np.float32(place - k), np.float32(along[e] * per_angstrom)
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
        x, dx, v, dv, gs, gv, S, Sv, first, idx_j, d, direction, along, turning, table, per_angstrom,
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
                b, place = idx_j[e], d[e] * per_angstrom
                k = int(place)
                u, du = np.float32(place - k), np.float32(along[e] * per_angstrom)
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
