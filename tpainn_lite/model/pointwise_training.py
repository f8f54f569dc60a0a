"""The rates of what goes on within each atom (`pointwise.py`), and their slopes S by weights and features, compiled.

Names as in `compiled_training.py`: d before a name means its rate, and g slopes by rates, those of the energy itself.
"""

from numba import njit

from tpainn_lite.model.pointwise import NONE, ONE, TWO, silu_slope
from tpainn_lite.model.products import product
from tpainn_lite.model.vectors import LANES, filled, load, memory, store


@njit(cache=True, nogil=True)
def dense_rates(dx, network, zeros, gate, act, d_hidden, d_act, d_out):
    """Rates of what `dense` gives; those of h and SiLU(h) are kept in ``d_hidden`` and ``d_act``."""
    product(dx, False, network[2], zeros, d_hidden)
    for k in range(0, act.size, LANES):
        store(d_act, k, load(d_hidden, k) * silu_slope(load(gate, k), load(act, k)))
    product(d_act, False, network[3], zeros, d_out)


@njit(cache=True, nogil=True)
def dense_slopes(S, g, x, dx, network, zeros, added, kept, S_hidden, spare, by_x, by_w1, by_w2, by_b1, by_b2):
    """Slopes by w1, w2, b1, b2; ``by_x`` = ``added`` + those by x.  Where dx has no rows nothing moves.

    ``kept`` is what the passes before have left: gate, act, gated, g_hidden, d_hidden, d_act.
    """
    gate, act, gated, g_hidden, d_hidden, d_act = kept
    product(S, False, network[1], zeros, S_hidden)
    for k in range(0, gate.size, LANES):
        one, h_gate, h_act = filled(ONE), load(gate, k), load(act, k)
        slopes = load(S_hidden, k) * silu_slope(h_gate, h_act)
        if len(dx):
            curvature = (one - h_gate) * (filled(TWO) * h_gate + h_act * (one - filled(TWO) * h_gate))
            slopes += load(gated, k) * load(d_hidden, k) * curvature
        store(S_hidden, k, slopes)
    weights_slopes(S_hidden, x, g_hidden, dx, zeros, spare, by_w1)
    weights_slopes(S, act, g, d_act, zeros, spare, by_w2)
    _column_sums(S_hidden, by_b1)
    _column_sums(S, by_b2)
    product(S_hidden, False, network[0], added, by_x)


@njit(cache=True, nogil=True)
def weights_slopes(S, x, g, dx, zeros, spare, by_w):
    """Sᵀ x + gᵀ dx."""
    if len(dx):
        n, m = by_w.shape
        part = spare.ravel()[: n * m].reshape(n, m)
        product(S, True, x, zeros, part)
        product(g, True, dx, part, by_w)
    else:
        product(S, True, x, zeros, by_w)


@njit(cache=True, nogil=True)
def _column_sums(S, out):
    n, m = S.shape
    for f in range(0, m, LANES):
        total = filled(NONE)
        for i in range(n):
            total += load(S, i * m + f)
        store(out, f, total)


@njit(cache=True, nogil=True)
def mix_rates(ds, dv, turned_VU, network, zeros, kept, dVU, d_sl, d_dot, d_hidden, d_act, da, ds_out, dv_out):
    """Rates of what `mix` gives; ``kept`` is what it has left: VU, sl, dot, gate, act, a."""
    VU, sl, dot, gate, act, a = kept
    product(dv, False, turned_VU, zeros, dVU)
    _length_rates(ds, VU, dVU, sl, d_sl, d_dot)
    dense_rates(d_sl, network, zeros, gate, act, d_hidden, d_act, da)
    _mixed_rates(ds, dv, VU, dVU, a, da, dot, d_dot, ds_out, dv_out)


@njit(cache=True, nogil=True)
def _length_rates(ds, VU, dVU, sl, d_sl, d_dot):
    """Rates of [s, ‖Vv‖] and of ⟨Uv, Vv⟩."""
    n, F = ds.shape
    ds, VU, dVU, sl, d_sl, d_dot = memory(ds), memory(VU), memory(dVU), memory(sl), memory(d_sl), memory(d_dot)
    for i in range(n):
        for f in range(0, F, LANES):
            along, product, of_sl = filled(NONE), filled(NONE), i * 2 * F + f
            for c in range(3):
                at = (3 * i + c) * 2 * F + f
                V, U, dV, dU = load(VU, at), load(VU, at + F), load(dVU, at), load(dVU, at + F)
                along += V * dV
                product += dU * V + U * dV
            store(d_sl, of_sl, load(ds, i * F + f))
            store(d_sl, of_sl + F, along / load(sl, of_sl + F))
            store(d_dot, i * F + f, product)


@njit(cache=True, nogil=True)
def _mixed_rates(ds, dv, VU, dVU, a, da, dot, d_dot, ds_out, dv_out):
    n, F = ds.shape
    ds, dv, VU, dVU, a, da, dot, d_dot = (
        memory(ds), memory(dv), memory(VU), memory(dVU), memory(a), memory(da), memory(dot), memory(d_dot)
    )  # fmt: skip
    for i in range(n):
        for f in range(0, F, LANES):
            at, of_a = i * F + f, i * 3 * F + f
            along = load(da, of_a + 2 * F) * load(dot, at) + load(a, of_a + 2 * F) * load(d_dot, at)
            store(ds_out, at, load(ds, at) + load(da, of_a) + along)
            a_vv, da_vv = load(a, of_a + F), load(da, of_a + F)
            for c in range(3):
                k = 3 * i + c
                U, dU = load(VU, k * 2 * F + F + f), load(dVU, k * 2 * F + F + f)
                store(dv_out, k * F + f, load(dv, k * F + f) + da_vv * U + a_vv * dU)


@njit(cache=True, nogil=True)
def mix_slopes(
    S, Sv, gs, gv, v, dv, VU_weight, network, zeros, kept, d_kept, g_kept,
    S_a, S_sl, S_VU, S_hidden, spare, by_VU, by_w1, by_w2, by_b1, by_b2, S_out, Sv_out,
):  # fmt: skip
    """Slopes by s and v, and by the weights; what the passes before have left are ``kept`` (VU, sl, dot, gate, act, a),
    ``d_kept`` (dVU, d_sl, d_dot, d_hidden, d_act, da) and ``g_kept`` (slopes by a, SiLU(h), h, sl, VU)."""
    VU, sl, dot, gate, act, a = kept
    dVU, d_sl, d_dot, d_hidden, d_act, da = d_kept
    g_a, gated, g_hidden, g_sl, g_VU = g_kept
    _factor_slopes(S, Sv, gs, gv, VU, dVU, dot, d_dot, S_a)
    of_a = (gate, act, gated, g_hidden, d_hidden, d_act)
    dense_slopes(S_a, g_a, sl, d_sl, network, zeros, zeros, of_a, S_hidden, spare, S_sl, by_w1, by_w2, by_b1, by_b2)
    _product_slopes(S, Sv, gs, gv, VU, dVU, a, da, sl, d_sl, S_sl, g_sl, S_VU, S_out)
    weights_slopes(S_VU, v, g_VU, dv, zeros, spare, by_VU)
    product(S_VU, False, VU_weight, Sv, Sv_out)


@njit(cache=True, nogil=True)
def _factor_slopes(S, Sv, gs, gv, VU, dVU, dot, d_dot, S_a):
    """Slopes by a_ss, a_vv and a_sv."""
    n, F = S.shape
    S, Sv, gs, gv, VU, dVU, dot, d_dot, S_a = (
        memory(S), memory(Sv), memory(gs), memory(gv), memory(VU), memory(dVU), memory(dot), memory(d_dot), memory(S_a)
    )  # fmt: skip
    for i in range(n):
        for f in range(0, F, LANES):
            at, of_a, by_vv = i * F + f, i * 3 * F + f, filled(NONE)
            for c in range(3):
                k = 3 * i + c
                U, dU = load(VU, k * 2 * F + F + f), load(dVU, k * 2 * F + F + f)
                by_vv += load(Sv, k * F + f) * U + load(gv, k * F + f) * dU
            store(S_a, of_a, load(S, at))
            store(S_a, of_a + F, by_vv)
            store(S_a, of_a + 2 * F, load(S, at) * load(dot, at) + load(gs, at) * load(d_dot, at))


@njit(cache=True, nogil=True)
def _product_slopes(S, Sv, gs, gv, VU, dVU, a, da, sl, d_sl, S_sl, g_sl, S_VU, S_out):
    """Slopes by Vv and Uv; S_out = S + the slopes by s.  g_sl as in `pointwise.py`."""
    n, F = S.shape
    S, Sv, gs, gv, VU, dVU, a, da = (
        memory(S), memory(Sv), memory(gs), memory(gv), memory(VU), memory(dVU), memory(a), memory(da)
    )  # fmt: skip
    sl, d_sl, S_sl, g_sl, S_VU = memory(sl), memory(d_sl), memory(S_sl), memory(g_sl), memory(S_VU)
    for i in range(n):
        for f in range(0, F, LANES):
            at, of_a, of_sl, of_l = i * F + f, i * 3 * F + f, i * 2 * F + f, i * 2 * F + F + f
            by_dot = load(S, at) * load(a, of_a + 2 * F) + load(gs, at) * load(da, of_a + 2 * F)
            g_dot, length = load(gs, at) * load(a, of_a + 2 * F), load(sl, of_l)
            g_stretch = load(g_sl, of_l) / length
            stretch = (load(S_sl, of_l) - g_stretch * load(d_sl, of_l)) / length
            store(S_out, at, load(S, at) + load(S_sl, of_sl))
            a_vv, da_vv = load(a, of_a + F), load(da, of_a + F)
            for c in range(3):
                k = (3 * i + c) * 2 * F + f
                V, U, dV, dU = load(VU, k), load(VU, k + F), load(dVU, k), load(dVU, k + F)
                S_c, g_c = load(Sv, (3 * i + c) * F + f), load(gv, (3 * i + c) * F + f)
                store(S_VU, k, by_dot * U + g_dot * dU + stretch * V + g_stretch * dV)
                store(S_VU, k + F, by_dot * V + g_dot * dV + S_c * a_vv + g_c * da_vv)
