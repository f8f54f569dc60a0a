"""PaiNN for MD on a processor: the same numbers as `painn.py`, several times as fast.

`painn.py` is written to be read and trained.  Here energy, forces and virial of a trained network are computed with its
backward pass written out by hand, so that no graph of operations is kept; the radial filters W(d), which depend on the
distance alone, are read from a table with cubic interpolation; and the sums over neighbours are compiled by Numba.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch.nn.functional import silu

from tpainn_lite.painn import EPSILON, RadialBasis, cosine_cutoff

INTERVALS = 512  # of the tables of the filters, from 0 to the cutoff: forces are right to 1e-5 of the largest


class Pairs(NamedTuple):
    """Neighbours as the compiled loops want them."""

    first: np.ndarray  # (N + 1,) where the pairs of each atom begin
    idx_j: np.ndarray  # (E,)
    d_ij: np.ndarray  # (E,) Å
    dir_ij: np.ndarray  # (E, 3)

    @classmethod
    def of(cls, n_atoms, idx_i, idx_j, r_ij):
        """From ``idx_i`` (E,) ascending, ``idx_j`` (E,) and ``r_ij`` (E, 3) in Å; with each pair its reverse."""
        d_ij = np.sqrt(np.einsum("ex,ex->e", r_ij, r_ij))  # (E,)
        first = np.searchsorted(idx_i, np.arange(n_atoms + 1))  # (N + 1,)
        directions = (r_ij / d_ij[:, None]).astype(np.float32)  # (E, 3)
        return cls(first, idx_j.astype(np.int64), d_ij.astype(np.float32), directions)


class FastPotential:
    """Energy, forces and virial of one structure, from the weights of a `Potential` (copied, in float32).

    Parameters
    ----------
    potential : Potential
    """

    def __init__(self, potential):
        painn = potential.painn
        self.n_features, self.cutoff = painn.n_features, painn.cutoff
        self.scale, self.atomref = potential.scale.item(), potential.atomref.double().cpu().numpy()
        self.embedding = _weights(painn.embedding)[0]
        self.layers = [
            (_weights(block.phi[0], block.phi[2]), filters(painn, block), _weights(mix.VU, mix.a[0], mix.a[2]))
            for block, mix in zip(painn.interactions, painn.mixings, strict=True)
        ]
        self.readout = _weights(painn.readout[0], painn.readout[2])

    def __call__(self, atomic_numbers, idx_i, idx_j, r_ij):
        """Compute one structure.

        Parameters
        ----------
        atomic_numbers : numpy.ndarray (N,)
        idx_i, idx_j : numpy.ndarray (E,)
            Pairs, ``idx_i`` ascending; with each pair its reverse.
        r_ij : numpy.ndarray (E, 3)
            Å.

        Returns
        -------
        (float, numpy.ndarray (N, 3), numpy.ndarray (3, 3))
            Energy in eV, forces in eV/Å, and Σ_ij r_ij ⊗ ∂E/∂r_ij in eV.
        """
        pairs = Pairs.of(len(atomic_numbers), idx_i, idx_j, r_ij)
        numbers, one = torch.as_tensor(atomic_numbers, dtype=torch.long), np.zeros(len(atomic_numbers), dtype=np.int64)
        local, forces, virial = self.of_batch(numbers, pairs, one, 1)
        return local.double().sum().item() + self.atomref[atomic_numbers].sum(), forces, virial[0]

    @torch.no_grad()
    def of_batch(self, atomic_numbers, pairs, batch, n_graphs):
        """Local energies (N,), forces (N, 3) and virials (B, 3, 3) of several structures, as in `graph.collate`."""
        s, kept = self._forward(self.embedding[atomic_numbers], pairs)  # (N, F)
        local, hidden = _dense(s, self.readout)  # (N, 1)
        by_s = _dense_back(torch.full_like(local, self.scale), hidden, self.readout)  # (N, F) slope of the energy
        by_positions, virial = self._backward(by_s, kept, pairs, batch, n_graphs)
        return self.scale * local.squeeze(1), -by_positions, virial

    def _forward(self, s, pairs):
        """Scalars after the last round, and of each round what the way back needs."""
        v, kept = torch.zeros(len(s), 3, self.n_features), []
        for phi, filters, mixing in self.layers:
            x, hidden = _dense(s, phi)  # (N, 2F or 3F)
            heard_s, heard_v = s.clone(), v.clone()
            listen, _ = _kernels(self.n_features, first_round=not kept)
            listen(x.numpy(), v.numpy(), *pairs, *filters, heard_s.numpy(), heard_v.numpy())
            v_before = v
            s, v, inside = _mix(heard_s, heard_v, mixing)
            kept.append((v_before, x, hidden, inside))
        return s, kept

    def _backward(self, gs, kept, pairs, batch, n_graphs):
        """Slope of the energy by the positions (N, 3), and the virials (B, 3, 3)."""
        gv, slopes = torch.zeros(len(gs), 3, self.n_features), (np.zeros((len(gs), 3)), np.zeros((n_graphs, 3, 3)))
        for (phi, filters, mixing), (v, x, hidden, inside) in zip(self.layers[::-1], kept[::-1], strict=True):
            gs, gv = _mix_back(gs, gv, inside, mixing)
            gx, g_sent = torch.zeros_like(x), gv.clone()
            _, listen_back = _kernels(self.n_features, first_round=x.shape[1] < 3 * self.n_features)
            inputs, outputs = (x.numpy(), v.numpy(), gs.numpy(), gv.numpy()), (gx.numpy(), g_sent.numpy())
            listen_back(*inputs, *pairs, *filters, batch, *outputs, *slopes)
            gs, gv = gs + _dense_back(gx, hidden, phi), g_sent
        return slopes


# --- networks of each atom, and their slopes ---


def _weights(*linears):
    """Weights and biases in float32."""
    tensors = []
    for linear in linears:
        tensors.append(linear.weight.detach().float().cpu().contiguous())
        if getattr(linear, "bias", None) is not None:
            tensors.append(linear.bias.detach().float().cpu())
    return tensors


def _dense(inputs, weights):
    """Linear, SiLU, Linear; and what is needed to go back."""
    w1, b1, w2, b2 = weights
    hidden = torch.addmm(b1, inputs, w1.T)
    return torch.addmm(b2, silu(hidden), w2.T), hidden


def _dense_back(g, hidden, weights):
    """Slope by the inputs from the slope by the outputs."""
    w1, _, w2, _ = weights
    gate = torch.sigmoid(hidden)
    return ((g @ w2) * (gate * (1 + hidden * (1 - gate)))) @ w1


def _mix(s, v, weights):
    """`painn.Mixing`."""
    (vu, *a), f = weights, s.shape[1]
    both = (v.view(-1, f) @ vu.T).view(len(v), 3, 2 * f)
    Vv, Uv = both[..., :f], both[..., f:]  # (N, 3, F) each
    length = torch.sqrt((Vv * Vv).sum(dim=1) + EPSILON)  # (N, F)
    y, hidden = _dense(torch.cat([s, length], dim=1), a)  # (N, 3F)
    a_ss, a_vv, a_sv = y.split(f, dim=1)
    dot = (Uv * Vv).sum(dim=1)  # (N, F)
    return s + a_ss + a_sv * dot, v + a_vv.unsqueeze(1) * Uv, (Vv, Uv, length, hidden, a_vv, a_sv, dot)


def _mix_back(gs, gv, inside, weights):
    (vu, *a), f = weights, gs.shape[1]
    Vv, Uv, length, hidden, a_vv, a_sv, dot = inside
    gy = torch.cat([gs, (gv * Uv).sum(dim=1), gs * dot], dim=1)  # (N, 3F) by a_ss, a_vv, a_sv
    gc = _dense_back(gy, hidden, a)  # (N, 2F) by s and length
    along = (gs * a_sv).unsqueeze(1)  # (N, 1, F)
    by_Vv = along * Uv + (gc[:, f:] / length).unsqueeze(1) * Vv  # (N, 3, F)
    by_Uv = along * Vv + gv * a_vv.unsqueeze(1)
    return gs + gc[:, :f], gv + (torch.cat([by_Vv, by_Uv], dim=2).view(-1, 2 * f) @ vu).view_as(gv)


# --- filters ---


def filters(painn, block):
    """Cubic pieces of W(d), coefficients (INTERVALS + 1, 4, 2F or 3F) by the place in the interval; intervals per Å."""
    weight = block.W.weight.detach().float().cpu()  # (2F or 3F, n_rbf + 1)
    table = cubic_pieces(painn.n_rbf, painn.cutoff) @ weight.T
    return table.view(INTERVALS + 1, 4, len(weight)).numpy(), INTERVALS / painn.cutoff


@lru_cache
def cubic_pieces(n_rbf, cutoff):
    """Hermite's cubic pieces of each faded basis function of `PaiNN.features`, (4 (INTERVALS + 1), n_rbf + 1)."""
    d = (torch.arange(INTERVALS + 2, dtype=torch.float64) * cutoff / INTERVALS).clamp(min=1e-3).requires_grad_()
    with torch.enable_grad():
        fade = cosine_cutoff(d, cutoff).unsqueeze(-1)
        basis = torch.cat([RadialBasis(n_rbf, cutoff).double()(d) * fade, fade], dim=-1)  # (K, n_rbf + 1)
        slope = [torch.autograd.grad(column.sum(), d, retain_graph=True)[0] for column in basis.T]
    value, slope = basis.detach(), torch.stack(slope, dim=1) * cutoff / INTERVALS
    rise, start, end = value[1:] - value[:-1], slope[:-1], slope[1:]
    pieces = torch.stack([value[:-1], start, 3 * rise - 2 * start - end, start + end - 2 * rise], dim=1)
    return pieces.flatten(0, 1).float()


# --- sums over neighbours ---


@lru_cache
def _kernels(n_features, first_round):
    """`painn.Interaction` for this width, and its slopes, compiled.

    In the first round no atom has vectors to pass on.  Both are made for one width because a compiler that knows it
    makes code several times as fast.
    """
    width = (2 if first_round else 3) * n_features
    s_, r_, v_ = 0, n_features, 2 * n_features  # where the three parts of a message begin
    x_, y_, z_ = n_features, 2 * n_features, 3 * n_features  # where the three parts of a vector are added up

    @njit(fastmath=True, cache=True)
    def listen(x, v, first, idx_j, d, direction, table, per_angstrom, s_out, v_out):
        """Adds to s_out (N, F) and v_out (N, 3, F) what each atom hears."""
        w, heard = np.empty(width, np.float32), np.empty(4 * n_features, np.float32)
        for i in range(len(s_out)):
            heard[:] = 0
            for e in range(first[i], first[i + 1]):
                j, place = idx_j[e], d[e] * per_angstrom
                k = int(place)
                u = np.float32(place - k)
                c0, c1, c2, c3 = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
                for f in range(width):
                    w[f] = (c0[f] + u * (c1[f] + u * (c2[f] + u * c3[f]))) * x[j, f]
                dx, dy, dz = direction[e, 0], direction[e, 1], direction[e, 2]
                vx, vy, vz = v[j, 0], v[j, 1], v[j, 2]
                for f in range(n_features):
                    passed = np.float32(0) if first_round else w[v_ + f]
                    heard[f] += w[s_ + f]
                    heard[x_ + f] += w[r_ + f] * dx + passed * vx[f]
                    heard[y_ + f] += w[r_ + f] * dy + passed * vy[f]
                    heard[z_ + f] += w[r_ + f] * dz + passed * vz[f]
            for f in range(n_features):
                s_out[i, f] += heard[f]
                v_out[i, 0, f] += heard[x_ + f]
                v_out[i, 1, f] += heard[y_ + f]
                v_out[i, 2, f] += heard[z_ + f]

    @njit(fastmath=True, cache=True)
    def listen_back(
        x, v, gs, gv, first, idx_j, d, direction, table, per_angstrom, batch, gx, gv_out, g_positions, virial
    ):
        """Slopes by x and v of the speakers, by the positions, and the virial, all added to what is there.

        Each atom a is taken as the one who speaks: its neighbours b are the listeners, and r points from b to a,
        against the direction that is stored; so all sums but three numbers stay with a.
        """
        w, dw = np.empty(width, np.float32), np.empty(width, np.float32)
        of_x, of_v = np.empty(3 * n_features, np.float32), np.empty(3 * n_features, np.float32)
        for a in range(len(gs)):
            of_x[:] = 0
            of_v[:] = 0
            xa, vx, vy, vz = x[a], v[a, 0], v[a, 1], v[a, 2]
            for e in range(first[a], first[a + 1]):
                b, place = idx_j[e], d[e] * per_angstrom
                k = int(place)
                u = np.float32(place - k)
                c0, c1, c2, c3 = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
                for f in range(width):
                    w[f] = c0[f] + u * (c1[f] + u * (c2[f] + u * c3[f]))
                    dw[f] = (c1[f] + u * (2 * c2[f] + 3 * u * c3[f])) * xa[f]
                dx, dy, dz = -direction[e, 0], -direction[e, 1], -direction[e, 2]
                gsb, gx_b, gy_b, gz_b = gs[b], gv[b, 0], gv[b, 1], gv[b, 2]
                by_d, by_x, by_y, by_z = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for f in range(n_features):
                    q = gx_b[f] * dx + gy_b[f] * dy + gz_b[f] * dz
                    of_x[s_ + f] += gsb[f] * w[s_ + f]
                    of_x[r_ + f] += q * w[r_ + f]
                    along = xa[r_ + f] * w[r_ + f]
                    by_x += gx_b[f] * along
                    by_y += gy_b[f] * along
                    by_z += gz_b[f] * along
                    by_d += gsb[f] * dw[s_ + f] + q * dw[r_ + f]
                    if not first_round:
                        p = gx_b[f] * vx[f] + gy_b[f] * vy[f] + gz_b[f] * vz[f]
                        of_x[v_ + f] += p * w[v_ + f]
                        by_d += p * dw[v_ + f]
                        passed = xa[v_ + f] * w[v_ + f]
                        of_v[s_ + f] += gx_b[f] * passed
                        of_v[r_ + f] += gy_b[f] * passed
                        of_v[v_ + f] += gz_b[f] * passed
                radial = by_d * per_angstrom - (by_x * dx + by_y * dy + by_z * dz) / d[e]
                push = (radial * dx + by_x / d[e], radial * dy + by_y / d[e], radial * dz + by_z / d[e])
                r = (dx * d[e], dy * d[e], dz * d[e])
                for c in range(3):
                    g_positions[a, c] += push[c]
                    g_positions[b, c] -= push[c]
                    for other in range(3):
                        virial[batch[a], c, other] += r[c] * push[other]
            for f in range(width):
                gx[a, f] += of_x[f]
            for f in range(n_features):
                gv_out[a, 0, f] += of_v[s_ + f]
                gv_out[a, 1, f] += of_v[r_ + f]
                gv_out[a, 2, f] += of_v[v_ + f]

    return listen, listen_back
