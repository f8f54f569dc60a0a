"""The training step of PaiNN on a processor: what `Potential.forward` gives, and the same slopes, faster.

A loss of forces asks for the slope, by the weights θ, of forces that are slopes themselves.  torch differentiates the
backward pass to find it, and keeps arrays of pairs × features for that.  Here the forces come from `fast.py`.  When the
loss has said how it depends on energies and forces, λ = ∂L/∂F, then

    ∂L/∂θ = Σ_b ∂L/∂E_b ∂E_b/∂θ + ∂/∂θ [d/dt E(r + t ṙ)] at t = 0,   ṙ_ij = λ_i − λ_j,

because forces are the slope of E.  So every quantity x is carried forward together with its rate dx along ṙ ("dual
numbers"), and one ordinary backward pass through both gives the slope by the weights.  (Differentiating forwards, then
backwards: Griewank and Walther, Evaluating Derivatives, 2008, chapter 5.)
"""

from functools import lru_cache

import numpy as np
import torch
from numba import njit
from torch.nn.functional import linear

from tpainn_lite.fast import INTERVALS, FastPotential, Pairs, cubic_pieces
from tpainn_lite.graph import unpack
from tpainn_lite.painn import EPSILON
from tpainn_lite.potential import stress_of


def fast_outputs(potential, graph):
    """What ``potential(graph)`` gives, with slopes by the weights; float32 on the processor only.

    Parameters
    ----------
    potential : Potential
    graph : torch_geometric.data.Batch

    Returns
    -------
    dict
        ``interaction_energy`` (B,) eV, ``forces`` (N, 3) eV/Å and ``stress`` (B, 3, 3) eV/Å³ (0 for molecules).
    """
    energy, forces, virial = _EnergyForces.apply(potential, graph, *potential.painn.parameters())
    return {"interaction_energy": energy, "forces": forces, "stress": stress_of(virial, graph.volume)}


class _EnergyForces(torch.autograd.Function):
    """Energies, forces and virials of a batch, and the slope of whatever is made of them by the weights."""

    @staticmethod
    def forward(ctx, potential, graph, *weights):
        idx_i, idx_j, batch, n_graphs = unpack(graph)
        pairs = Pairs.of(len(batch), idx_i.numpy(), idx_j.numpy(), graph.r_ij.numpy())
        local, forces, virial = FastPotential(potential).of_batch(graph.atomic_numbers, pairs, batch.numpy(), n_graphs)
        ctx.potential, ctx.graph, ctx.pairs = potential, graph, pairs
        energy = local.new_zeros(n_graphs).index_add(0, batch, local)  # (B,)
        return energy, torch.from_numpy(forces).float(), torch.from_numpy(virial).float()

    @staticmethod
    def backward(ctx, by_energy, by_forces, by_virial):
        painn, scale = ctx.potential.painn, ctx.potential.scale.item()
        idx_i, idx_j, batch, _ = unpack(ctx.graph)
        r_ij = ctx.graph.r_ij
        motion = by_forces[idx_i] - by_forces[idx_j]  # (E, 3) ṙ
        motion = motion + torch.einsum("exy,ex->ey", by_virial[batch[idx_i]], r_ij)
        moving = MovingPairs(ctx.pairs, motion.numpy())
        wanted = [weight for weight in painn.parameters() if weight.requires_grad]
        with torch.enable_grad():
            local, d_local = dual_painn(painn, ctx.graph.atomic_numbers, moving)  # (N,) each
            total = scale * ((by_energy[batch] * local).sum() + d_local.sum())
        slopes = iter(torch.autograd.grad(total, wanted, allow_unused=True))
        return (None, None, *(next(slopes) if weight.requires_grad else None for weight in painn.parameters()))


class MovingPairs:
    """Pairs, and how fast their distances and directions change when r_ij changes at the rate ``motion`` (E, 3)."""

    def __init__(self, pairs, motion):
        self.pairs = pairs
        along = np.einsum("ex,ex->e", pairs.dir_ij, motion)  # (E,) rate of d_ij
        turning = (motion - along[:, None] * pairs.dir_ij) / pairs.d_ij[:, None]  # (E, 3) rate of dir_ij
        self.arrays = (*pairs, along.astype(np.float32), turning.astype(np.float32))


# --- PaiNN on dual numbers: each x with its rate dx ---


def dual_painn(painn, atomic_numbers, moving):
    """Local energies (N,) as `PaiNN.forward` gives them, and their rates."""
    pieces = cubic_pieces(painn.n_rbf, painn.cutoff)
    s = painn.embedding(atomic_numbers)  # (N, F)
    ds, v = torch.zeros_like(s), s.new_zeros(len(s), 3, s.shape[1])
    dv = v
    for interaction, mixing in zip(painn.interactions, painn.mixings, strict=True):
        x, dx = _dual_dense(interaction.phi, s, ds)  # (N, 2F or 3F)
        table = (pieces @ interaction.W.weight.T).view(INTERVALS + 1, 4, x.shape[1])
        heard = _Listen.apply(x, dx, v, dv, table, moving, INTERVALS / painn.cutoff)
        s, ds, v, dv = (before + new for before, new in zip((s, ds, v, dv), heard, strict=True))
        s, ds, v, dv = _dual_mixing(mixing, s, ds, v, dv)
    local, d_local = _dual_dense(painn.readout, s, ds)
    return local.squeeze(1), d_local.squeeze(1)


def _dual_dense(network, x, dx):
    """Linear, SiLU, Linear."""
    first, _, last = network
    h, dh = first(x), linear(dx, first.weight)
    gate = torch.sigmoid(h)
    return last(h * gate), linear(dh * gate * (1 + h * (1 - gate)), last.weight)


def _dual_mixing(mixing, s, ds, v, dv):
    """`painn.Mixing`."""
    n = len(v)
    both = mixing.VU(torch.cat([v, dv]))  # (2N, 3, 2F)
    (Vv, Uv), (dVv, dUv) = both[:n].chunk(2, dim=-1), both[n:].chunk(2, dim=-1)  # (N, 3, F) each
    length = torch.sqrt(Vv.square().sum(dim=1) + EPSILON)  # (N, F)
    d_length = (Vv * dVv).sum(dim=1) / length
    a, da = _dual_dense(mixing.a, torch.cat([s, length], dim=-1), torch.cat([ds, d_length], dim=-1))  # (N, 3F)
    (a_ss, a_vv, a_sv), (da_ss, da_vv, da_sv) = a.chunk(3, dim=-1), da.chunk(3, dim=-1)
    dot, d_dot = (Uv * Vv).sum(dim=1), (dUv * Vv + Uv * dVv).sum(dim=1)  # (N, F)
    return (
        s + a_ss + a_sv * dot,
        ds + da_ss + da_sv * dot + a_sv * d_dot,
        v + a_vv.unsqueeze(1) * Uv,
        dv + da_vv.unsqueeze(1) * Uv + a_vv.unsqueeze(1) * dUv,
    )


class _Listen(torch.autograd.Function):
    """`painn.Interaction`'s sums over neighbours: what is heard (N, F), (N, 3, F), each with its rate."""

    @staticmethod
    def forward(ctx, x, dx, v, dv, table, moving, per_angstrom):
        n_atoms, _, n_features = v.shape
        ctx.kernels = _dual_kernels(n_features, first_round=x.shape[1] < 3 * n_features)
        ctx.geometry = (*moving.arrays, table.detach().numpy(), per_angstrom)
        ctx.inputs = [value.detach().contiguous().numpy() for value in (x, dx, v, dv)]
        heard = [torch.zeros(n_atoms, *shape) for shape in ((n_features,),) * 2 + ((3, n_features),) * 2]
        ctx.kernels[0](*ctx.inputs, *ctx.geometry, *(out.numpy() for out in heard))
        return tuple(heard)

    @staticmethod
    def backward(ctx, *by_heard):
        by_heard = [value.contiguous().numpy() for value in by_heard]
        by_inputs = [torch.zeros(value.shape) for value in ctx.inputs]
        by_table = torch.zeros(ctx.geometry[-2].shape)
        outputs = [value.numpy() for value in (*by_inputs, by_table)]
        ctx.kernels[1](*ctx.inputs, *ctx.geometry, *by_heard, *outputs)
        return (*by_inputs, by_table, None, None)


# --- compiled loops ---


@lru_cache
def _dual_kernels(n_features, first_round):
    """The sums over neighbours on dual numbers, and their slopes, compiled for one width as in `fast.py`."""
    width = (2 if first_round else 3) * n_features
    s_, r_, v_ = 0, n_features, 2 * n_features  # where the three parts of a message begin

    @njit(fastmath=True, cache=True)
    def listen(
        x, dx, v, dv, first, idx_j, d, direction, along, turning, table, per_angstrom, s_out, ds_out, v_out, dv_out
    ):
        """What each atom hears, added to s_out, ds_out (N, F) and v_out, dv_out (N, 3, F)."""
        m, dm = np.empty(width, np.float32), np.empty(width, np.float32)
        for i in range(len(s_out)):
            s_i, ds_i, v_i, dv_i = s_out[i], ds_out[i], v_out[i], dv_out[i]
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
                    s_i[f] += m[s_ + f]
                    ds_i[f] += dm[s_ + f]
                for c in range(3):
                    to, rate, v_j, dv_j = direction[e, c], turning[e, c], v[j, c], dv[j, c]
                    v_ic, dv_ic = v_i[c], dv_i[c]
                    for f in range(n_features):
                        heard, d_heard = m[r_ + f] * to, dm[r_ + f] * to + m[r_ + f] * rate
                        if not first_round:
                            heard += m[v_ + f] * v_j[f]
                            d_heard += dm[v_ + f] * v_j[f] + m[v_ + f] * dv_j[f]
                        v_ic[f] += heard
                        dv_ic[f] += d_heard

    @njit(fastmath=True, cache=True)
    def listen_back(
        x, dx, v, dv, first, idx_j, d, direction, along, turning, table, per_angstrom,
        gs, gds, gv, gdv, gx, gdx, gv_out, gdv_out, g_table,
    ):  # fmt: skip
        """Slopes by x, dx, v, dv of the speakers and by the table, added to what is there.

        As in `fast.py` each atom a is the one who speaks to its neighbours b, so that all sums but the table's stay
        with a.
        """
        gm, gdm = np.empty(width, np.float32), np.empty(width, np.float32)
        w, dw = np.empty(width, np.float32), np.empty(width, np.float32)
        m, dm = np.empty(n_features, np.float32), np.empty(n_features, np.float32)
        for a in range(len(gs)):
            x_a, dx_a, gx_a, gdx_a = x[a], dx[a], gx[a], gdx[a]
            for e in range(first[a], first[a + 1]):
                b, place = idx_j[e], d[e] * per_angstrom
                k = int(place)
                u, du = np.float32(place - k), np.float32(along[e] * per_angstrom)
                c0, c1, c2, c3 = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
                for f in range(width):
                    w[f] = c0[f] + u * (c1[f] + u * (c2[f] + u * c3[f]))
                    dw[f] = du * (c1[f] + u * (2 * c2[f] + 3 * u * c3[f]))
                    gm[f] = np.float32(0)
                    gdm[f] = np.float32(0)
                gs_b, gds_b = gs[b], gds[b]
                for f in range(n_features):
                    gm[s_ + f] = gs_b[f]
                    gdm[s_ + f] = gds_b[f]
                    if not first_round:
                        m[f] = w[v_ + f] * x_a[v_ + f]
                        dm[f] = dw[v_ + f] * x_a[v_ + f] + w[v_ + f] * dx_a[v_ + f]
                for c in range(3):
                    to, rate = -direction[e, c], -turning[e, c]
                    gv_b, gdv_b, v_a, dv_a = gv[b, c], gdv[b, c], v[a, c], dv[a, c]
                    gv_a, gdv_a = gv_out[a, c], gdv_out[a, c]
                    for f in range(n_features):
                        gm[r_ + f] += gv_b[f] * to + gdv_b[f] * rate
                        gdm[r_ + f] += gdv_b[f] * to
                        if not first_round:
                            gm[v_ + f] += gv_b[f] * v_a[f] + gdv_b[f] * dv_a[f]
                            gdm[v_ + f] += gdv_b[f] * v_a[f]
                            gv_a[f] += gv_b[f] * m[f] + gdv_b[f] * dm[f]
                            gdv_a[f] += gdv_b[f] * m[f]
                g0, g1, g2, g3 = g_table[k, 0], g_table[k, 1], g_table[k, 2], g_table[k, 3]
                u2, u3, du2, du3 = u * u, u * u * u, 2 * u * du, 3 * u * u * du
                for f in range(width):
                    gx_a[f] += gm[f] * w[f] + gdm[f] * dw[f]
                    gdx_a[f] += gdm[f] * w[f]
                    gw, gdw = gm[f] * x_a[f] + gdm[f] * dx_a[f], gdm[f] * x_a[f]
                    g0[f] += gw
                    g1[f] += gw * u + gdw * du
                    g2[f] += gw * u2 + gdw * du2
                    g3[f] += gw * u3 + gdw * du3

    return listen, listen_back
