"""What goes on within each atom, compiled in one pass over memory each: SiLU, and the lengths and products of
`painn.Mixing`.  Names as in `compiled.py` (g: slopes of the energy) and `compiled_training.py` (d: rates, S: slopes).

``VU`` (N, 3, 2F) holds Vv, then Uv; ``a`` (N, 3F) holds a_ss, a_vv, a_sv; ``sl`` (N, 2F) holds s, then ‖Vv‖.
"""

import math

import numpy as np
from numba import njit

from tpainn_lite.model.painn import EPSILON

ONE, TWO, TINY = np.float32(1), np.float32(2), np.float32(EPSILON)


@njit(fastmath=True, cache=True)
def silu(hidden, gate, act, slope):
    """SiLU(h) = h σ(h) and its slope; ``gate`` is σ(h)."""
    h, g, a, s = hidden.ravel(), gate.ravel(), act.ravel(), slope.ravel()
    for k in range(h.size):
        a[k] = h[k] * g[k]
        s[k] = g[k] * (ONE + h[k] * (ONE - g[k]))


@njit(fastmath=True, cache=True)
def silu_curved(hidden, gate, slope, S_act, gated, d_hidden, S_hidden, g_hidden):
    """Slopes by h (S_hidden) and by its rate (g_hidden)."""
    n, width = hidden.shape
    for i in range(n):
        for k in range(width):
            h, g = hidden[i, k], gate[i, k]
            curvature = g * (ONE - g) * (TWO + h * (ONE - TWO * g))
            S_hidden[i, k] = S_act[i, k] * slope[i, k] + gated[i, k] * d_hidden[i, k] * curvature
        for k in range(width):
            g_hidden[i, k] = gated[i, k] * slope[i, k]


@njit(fastmath=True, cache=True)
def lengths(s, VU, sl, dot):
    """[s, ‖Vv‖] and ⟨Uv, Vv⟩."""
    n, F = s.shape
    for i in range(n):
        s_i, sl_i, dot_i = s[i], sl[i], dot[i]
        Vx, Vy, Vz, Ux, Uy, Uz = VU[i, 0, :F], VU[i, 1, :F], VU[i, 2, :F], VU[i, 0, F:], VU[i, 1, F:], VU[i, 2, F:]
        length_i = sl_i[F:]
        for f in range(F):
            sl_i[f] = s_i[f]
        for f in range(F):
            length_i[f] = math.sqrt(Vx[f] * Vx[f] + Vy[f] * Vy[f] + Vz[f] * Vz[f] + TINY)
        for f in range(F):
            dot_i[f] = Ux[f] * Vx[f] + Uy[f] * Vy[f] + Uz[f] * Vz[f]


@njit(fastmath=True, cache=True)
def mixed(s, v, VU, a, dot, s_out, v_out):
    """s + a_ss + a_sv ⟨Uv, Vv⟩ and v + a_vv Uv."""
    n, F = s.shape
    for i in range(n):
        a_ss, a_vv, a_sv = a[i, :F], a[i, F : 2 * F], a[i, 2 * F :]
        s_i, dot_i, out = s[i], dot[i], s_out[i]
        for f in range(F):
            out[f] = s_i[f] + a_ss[f] + a_sv[f] * dot_i[f]
        for c in range(3):
            v_ic, U_ic, out_c = v[i, c], VU[i, c, F:], v_out[i, c]
            for f in range(F):
                out_c[f] = v_ic[f] + a_vv[f] * U_ic[f]


@njit(fastmath=True, cache=True)
def by_factors(gs, gv, VU, dot, by_a):
    """Slopes by a_ss, a_vv and a_sv."""
    n, F = gs.shape
    for i in range(n):
        gs_i, dot_i, by_i = gs[i], dot[i], by_a[i]
        gx, gy, gz, Ux, Uy, Uz = gv[i, 0], gv[i, 1], gv[i, 2], VU[i, 0, F:], VU[i, 1, F:], VU[i, 2, F:]
        by_ss, by_vv, by_sv = by_i[:F], by_i[F : 2 * F], by_i[2 * F :]
        for f in range(F):
            by_ss[f] = gs_i[f]
        for f in range(F):
            by_vv[f] = gx[f] * Ux[f] + gy[f] * Uy[f] + gz[f] * Uz[f]
        for f in range(F):
            by_sv[f] = gs_i[f] * dot_i[f]


@njit(fastmath=True, cache=True)
def by_products(gs, gv, VU, a, sl, by_sl, by_VU, gs_out):
    """Slopes by Vv and Uv; gs_out = gs + that by s."""
    n, F = gs.shape
    along, stretch = np.empty(F, np.float32), np.empty(F, np.float32)
    for i in range(n):
        gs_i, a_vv, a_sv, length, by_s, by_length = (
            gs[i],
            a[i, F : 2 * F],
            a[i, 2 * F :],
            sl[i, F:],
            by_sl[i, :F],
            by_sl[i, F:],
        )
        for f in range(F):
            along[f] = gs_i[f] * a_sv[f]
        for f in range(F):
            stretch[f] = by_length[f] / length[f]
        out = gs_out[i]
        for f in range(F):
            out[f] = gs_i[f] + by_s[f]
        for c in range(3):
            V, U, g, by_V, by_U = VU[i, c, :F], VU[i, c, F:], gv[i, c], by_VU[i, c, :F], by_VU[i, c, F:]
            for f in range(F):
                by_V[f] = along[f] * U[f] + stretch[f] * V[f]
            for f in range(F):
                by_U[f] = along[f] * V[f] + g[f] * a_vv[f]


@njit(fastmath=True, cache=True)
def length_rates(ds, VU, dVU, sl, d_sl, d_dot):
    """Rates of [s, ‖Vv‖] and of ⟨Uv, Vv⟩."""
    n, F = ds.shape
    for i in range(n):
        ds_i, length, d_sl_i, d_dot_i = ds[i], sl[i, F:], d_sl[i], d_dot[i]
        d_length = d_sl_i[F:]
        for f in range(F):
            d_sl_i[f] = ds_i[f]
        for f in range(F):
            d_length[f] = 0
            d_dot_i[f] = 0
        for c in range(3):
            V, U, dV, dU = VU[i, c, :F], VU[i, c, F:], dVU[i, c, :F], dVU[i, c, F:]
            for f in range(F):
                d_length[f] += V[f] * dV[f]
            for f in range(F):
                d_dot_i[f] += dU[f] * V[f] + U[f] * dV[f]
        for f in range(F):
            d_length[f] /= length[f]


@njit(fastmath=True, cache=True)
def mixed_rates(ds, dv, VU, dVU, a, da, dot, d_dot, ds_out, dv_out):
    """Rates of what `mixed` gives."""
    n, F = ds.shape
    for i in range(n):
        a_vv, a_sv, da_ss, da_vv, da_sv = a[i, F : 2 * F], a[i, 2 * F :], da[i, :F], da[i, F : 2 * F], da[i, 2 * F :]
        ds_i, dot_i, d_dot_i, out = ds[i], dot[i], d_dot[i], ds_out[i]
        for f in range(F):
            out[f] = ds_i[f] + da_ss[f] + da_sv[f] * dot_i[f] + a_sv[f] * d_dot_i[f]
        for c in range(3):
            dv_c, U, dU, out_c = dv[i, c], VU[i, c, F:], dVU[i, c, F:], dv_out[i, c]
            for f in range(F):
                out_c[f] = dv_c[f] + da_vv[f] * U[f] + a_vv[f] * dU[f]


@njit(fastmath=True, cache=True)
def factor_slopes(S, Sv, gs, gv, VU, dVU, dot, d_dot, by_a):
    """Slopes S by a_ss, a_vv and a_sv."""
    n, F = S.shape
    for i in range(n):
        S_i, gs_i, dot_i, d_dot_i = S[i], gs[i], dot[i], d_dot[i]
        by_ss, by_vv, by_sv = by_a[i, :F], by_a[i, F : 2 * F], by_a[i, 2 * F :]
        for f in range(F):
            by_ss[f] = S_i[f]
        for f in range(F):
            by_sv[f] = S_i[f] * dot_i[f] + gs_i[f] * d_dot_i[f]
        for f in range(F):
            by_vv[f] = 0
        for c in range(3):
            U, dU, Sv_c, gv_c = VU[i, c, F:], dVU[i, c, F:], Sv[i, c], gv[i, c]
            for f in range(F):
                by_vv[f] += Sv_c[f] * U[f] + gv_c[f] * dU[f]


@njit(fastmath=True, cache=True)
def product_slopes(S, Sv, gs, gv, VU, dVU, a, da, sl, d_sl, by_sl, g_sl, by_VU, S_out):
    """Slopes S by Vv and Uv; S_out = S + the slopes by s.  g_sl and g_VU as in `by_products`."""
    n, F = S.shape
    by_dot, g_dot, stretch, g_stretch = (
        np.empty(F, np.float32),
        np.empty(F, np.float32),
        np.empty(F, np.float32),
        np.empty(F, np.float32),
    )
    for i in range(n):
        S_i, gs_i, a_vv, a_sv, da_vv, da_sv = (
            S[i],
            gs[i],
            a[i, F : 2 * F],
            a[i, 2 * F :],
            da[i, F : 2 * F],
            da[i, 2 * F :],
        )
        length, d_length, by_length, g_length = sl[i, F:], d_sl[i, F:], by_sl[i, F:], g_sl[i, F:]
        for f in range(F):
            by_dot[f] = S_i[f] * a_sv[f] + gs_i[f] * da_sv[f]
            g_dot[f] = gs_i[f] * a_sv[f]
        for f in range(F):
            g_stretch[f] = g_length[f] / length[f]
            stretch[f] = (by_length[f] - g_stretch[f] * d_length[f]) / length[f]
        by_s, out = by_sl[i, :F], S_out[i]
        for f in range(F):
            out[f] = S_i[f] + by_s[f]
        for c in range(3):
            V, U, dV, dU = VU[i, c, :F], VU[i, c, F:], dVU[i, c, :F], dVU[i, c, F:]
            by_V, by_U, Sv_c, gv_c = by_VU[i, c, :F], by_VU[i, c, F:], Sv[i, c], gv[i, c]
            for f in range(F):
                by_V[f] = by_dot[f] * U[f] + g_dot[f] * dU[f] + stretch[f] * V[f] + g_stretch[f] * dV[f]
            for f in range(F):
                by_U[f] = by_dot[f] * V[f] + g_dot[f] * dV[f] + Sv_c[f] * a_vv[f] + gv_c[f] * da_vv[f]
