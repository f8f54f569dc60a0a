"""What goes on within each atom, compiled: the small networks φ, a and the readout, and `painn.Mixing`, forward and
back.  Names as in `compiled.py`; g: slopes of the energy.

``v`` and its slopes are (3N, F); ``VU`` (3N, 2F) holds Vv, then Uv; ``a`` (N, 3F) holds a_ss, a_vv, a_sv; ``sl``
(N, 2F) holds s, then ‖Vv‖.  All arrays are float32 and contiguous, and all widths multiples of `LANES`.
"""

import numpy as np
from numba import njit

from tpainn_lite.model.painn import EPSILON
from tpainn_lite.model.products import product
from tpainn_lite.model.vectors import LANES, filled, load, memory, nearest, root, store, two_to_the, within

EXPONENTIAL = tuple(  # of r, |r| < ½ ln 2: Cephes' polynomial, right to the last digit but one
    np.float32(c) for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
)
E0, E1, E2, E3, E4, E5 = EXPONENTIAL
PER_LN2, LN2, REST = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
NONE, ONE, TWO, MOST, TINY = (np.float32(x) for x in (0.0, 1.0, 2.0, 87.0, EPSILON))


@njit(cache=True, nogil=True)
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    x = within(filled(NONE) - x, filled(-MOST), filled(MOST))
    n = nearest(x * filled(PER_LN2))
    r = x - n * filled(LN2) - n * filled(REST)
    p = (((filled(E0) * r + filled(E1)) * r + filled(E2)) * r + filled(E3)) * r + filled(E4)
    exponential = (((p * r + filled(E5)) * r * r) + r + filled(ONE)) * two_to_the(n)
    return filled(ONE) / (filled(ONE) + exponential)


@njit(cache=True, nogil=True)
def silu_slope(gate, act):
    """σ(h) (1 + h (1 - σ(h)))."""
    return gate + act * (filled(ONE) - gate)


@njit(cache=True, nogil=True)
def clear_rows(array):
    """Zeros."""
    for k in range(0, array.size, LANES):
        store(array, k, filled(NONE))


@njit(cache=True, nogil=True)
def set_column(array, number):
    """Zeros, but in the first column a number, which is given as an array (1, 1)."""
    clear_rows(array)
    for i in range(len(array)):
        array[i, 0] = number[0, 0]


@njit(cache=True, nogil=True)
def dense(x, network, gate, act, out):
    """Linear, SiLU, Linear, of x (N, ·): SiLU(h) = h σ(h); ``gate`` becomes σ(h), ``act`` SiLU(h).

    ``network`` holds w1, w2, their transposes, and the biases.
    """
    _, _, turned_w1, turned_w2, b1, b2 = network
    product(x, False, turned_w1, b1, act)
    for k in range(0, act.size, LANES):
        h = load(act, k)
        g = sigmoid(h)
        store(gate, k, g)
        store(act, k, h * g)
    product(act, False, turned_w2, b2, out)


@njit(cache=True, nogil=True)
def dense_back(g, network, zeros, added, gate, act, gated, g_hidden, by_x):
    """Slopes by SiLU(h) (``gated``) and h; ``by_x`` = ``added`` + that by x."""
    w1, w2, _, _, _, _ = network
    product(g, False, w2, zeros, gated)
    for k in range(0, gated.size, LANES):
        store(g_hidden, k, load(gated, k) * silu_slope(load(gate, k), load(act, k)))
    product(g_hidden, False, w1, added, by_x)


@njit(cache=True, nogil=True)
def mix(s, v, turned_VU, network, zeros, VU, sl, dot, gate, act, a, s_out, v_out):
    """s + a_ss + a_sv ⟨Uv, Vv⟩ and v + a_vv Uv."""
    product(v, False, turned_VU, zeros, VU)
    _lengths(s, VU, sl, dot)
    dense(sl, network, gate, act, a)
    _mixed(s, v, VU, a, dot, s_out, v_out)


@njit(cache=True, nogil=True)
def _lengths(s, VU, sl, dot):
    """[s, ‖Vv‖] and ⟨Uv, Vv⟩."""
    n, F = s.shape
    s, VU, sl, dot = memory(s), memory(VU), memory(sl), memory(dot)
    for i in range(n):
        for f in range(0, F, LANES):
            square, product = filled(TINY), filled(NONE)
            for c in range(3):
                at = (3 * i + c) * 2 * F + f
                V = load(VU, at)
                square += V * V
                product += V * load(VU, at + F)
            store(sl, i * 2 * F + f, load(s, i * F + f))
            store(sl, i * 2 * F + F + f, root(square))
            store(dot, i * F + f, product)


@njit(cache=True, nogil=True)
def _mixed(s, v, VU, a, dot, s_out, v_out):
    n, F = s.shape
    s, v, VU, a, dot, s_out, v_out = (
        memory(s), memory(v), memory(VU), memory(a), memory(dot), memory(s_out), memory(v_out)
    )  # fmt: skip
    for i in range(n):
        for f in range(0, F, LANES):
            at, of_a = i * F + f, i * 3 * F + f
            a_vv = load(a, of_a + F)
            store(s_out, at, load(s, at) + load(a, of_a) + load(a, of_a + 2 * F) * load(dot, at))
            for c in range(3):
                k = 3 * i + c
                store(v_out, k * F + f, load(v, k * F + f) + a_vv * load(VU, k * 2 * F + F + f))


@njit(cache=True, nogil=True)
def mix_back(gs, gv, VU_weight, network, zeros, kept, by_a, gated, g_hidden, by_sl, by_VU, gs_out, gv_out):
    """Slopes by what `mix` was given, s and v; ``kept`` is what it has left: VU, sl, dot, gate, act, a."""
    VU, sl, dot, gate, act, a = kept
    _by_factors(gs, gv, VU, dot, by_a)
    dense_back(by_a, network, zeros, zeros, gate, act, gated, g_hidden, by_sl)
    _by_products(gs, gv, VU, a, sl, by_sl, by_VU, gs_out)
    product(by_VU, False, VU_weight, gv, gv_out)


@njit(cache=True, nogil=True)
def _by_factors(gs, gv, VU, dot, by_a):
    """Slopes by a_ss, a_vv and a_sv."""
    n, F = gs.shape
    gs, gv, VU, dot, by_a = memory(gs), memory(gv), memory(VU), memory(dot), memory(by_a)
    for i in range(n):
        for f in range(0, F, LANES):
            g, of_a, by_vv = load(gs, i * F + f), i * 3 * F + f, filled(NONE)
            for c in range(3):
                k = 3 * i + c
                by_vv += load(gv, k * F + f) * load(VU, k * 2 * F + F + f)
            store(by_a, of_a, g)
            store(by_a, of_a + F, by_vv)
            store(by_a, of_a + 2 * F, g * load(dot, i * F + f))


@njit(cache=True, nogil=True)
def _by_products(gs, gv, VU, a, sl, by_sl, by_VU, gs_out):
    """Slopes by Vv and Uv; gs_out = gs + that by s."""
    n, F = gs.shape
    gs, gv, VU, a, sl, by_sl, by_VU, gs_out = (
        memory(gs), memory(gv), memory(VU), memory(a), memory(sl), memory(by_sl), memory(by_VU), memory(gs_out)
    )  # fmt: skip
    for i in range(n):
        for f in range(0, F, LANES):
            at, of_a, of_sl = i * F + f, i * 3 * F + f, i * 2 * F + f
            g, a_vv = load(gs, at), load(a, of_a + F)
            along, stretch = g * load(a, of_a + 2 * F), load(by_sl, of_sl + F) / load(sl, of_sl + F)
            store(gs_out, at, g + load(by_sl, of_sl))
            for c in range(3):
                k = 3 * i + c
                V, U = load(VU, k * 2 * F + f), load(VU, k * 2 * F + F + f)
                store(by_VU, k * 2 * F + f, along * U + stretch * V)
                store(by_VU, k * 2 * F + F + f, along * V + load(gv, k * F + f) * a_vv)
