"""`painn.Interaction` and its slopes, compiled: the sums over pairs, a vector of features at a time.

x (N, 2F or 3F) holds what φ makes of each atom's scalars, the parts s, r and v of a message; in the first round no atom
has vectors to pass on, and there is no third part.  j speaks and i listens, then the other way round; direction is from
i to j.  F is a multiple of `LANES`, and all arrays are float32 and contiguous.
"""

from functools import lru_cache

import numpy as np
from numba import njit

from tpainn_lite.model.vectors import LANES, add_sums, filled, load, memory, spread, store


@njit(cache=True, nogil=True)
def interpolated(table, at, width, spline, e):
    """One part of the filters, from four rows of the table."""
    return (
        spread(spline, e) * load(table, at)
        + spread(spline, e + 1) * load(table, at + width)
        + spread(spline, e + 2) * load(table, at + 2 * width)
        + spread(spline, e + 3) * load(table, at + 3 * width)
    )


@njit(cache=True, nogil=True)
def add(array, at, value):
    """To `LANES` numbers of it."""
    store(array, at, load(array, at) + value)


@njit(cache=True, nogil=True)
def clear(array, F, start, stop):
    """Zeros, in the features from ``start`` to ``stop`` of each part of F features."""
    none = filled(np.float32(0))
    for k in range(0, array.size, F):
        for f in range(k + start, k + stop, LANES):
            store(array, f, none)


@njit(cache=True, nogil=True)
def copy(array, target, F, start, stop):
    """The features from ``start`` to ``stop`` of each part of F features."""
    for k in range(0, array.size, F):
        for f in range(k + start, k + stop, LANES):
            store(target, f, load(array, f))


@lru_cache
def kernels(first_round):
    """(listen, listen_back), compiled when they are first called.

    Both do the features from ``start`` to ``stop``: several threads can share the work, and each writes its own.
    """

    @njit(cache=True, nogil=True)
    def listen(x, v, table, s, s_out, v_out, pairs, start, stop):
        """s_out (N, F) and v_out (N, 3, F): what there was, and what each atom hears."""
        F, width, none = s_out.shape[1], table.shape[1], filled(np.float32(0))
        first, idx_j, row, spline, place = pairs
        copy(s, s_out, F, start, stop)
        copy(v, v_out, F, start, stop)
        x, v, spline, place, table = memory(x), memory(v), memory(spline), memory(place), memory(table)
        n_atoms, s_out, v_out = len(s_out), memory(s_out), memory(v_out)
        for i in range(n_atoms):
            for f in range(start, stop, LANES):
                at_i, of_i = i * width + f, i * 3 * F + f
                heard_s, heard_x, heard_y, heard_z = none, none, none, none
                x_s, x_r = load(x, at_i), load(x, at_i + F)
                if not first_round:
                    x_v, vx, vy, vz = load(x, at_i + 2 * F), load(v, of_i), load(v, of_i + F), load(v, of_i + 2 * F)
                for e in range(first[i], first[i + 1]):
                    j, k, b, to = idx_j[e], row[e] * width + f, 8 * e, 4 * e
                    at_j, of_j = j * width + f, j * 3 * F + f
                    dx, dy, dz = spread(place, to), spread(place, to + 1), spread(place, to + 2)
                    w_s, w_r = interpolated(table, k, width, spline, b), interpolated(table, k + F, width, spline, b)
                    heard_s += w_s * load(x, at_j)
                    add(s_out, j * F + f, w_s * x_s)
                    along_i, along_j = w_r * load(x, at_j + F), w_r * x_r
                    if first_round:
                        heard_x += along_i * dx
                        heard_y += along_i * dy
                        heard_z += along_i * dz
                        store(v_out, of_j, load(v_out, of_j) - along_j * dx)
                        store(v_out, of_j + F, load(v_out, of_j + F) - along_j * dy)
                        store(v_out, of_j + 2 * F, load(v_out, of_j + 2 * F) - along_j * dz)
                    else:
                        w_v = interpolated(table, k + 2 * F, width, spline, b)
                        passed_i, passed_j = w_v * load(x, at_j + 2 * F), w_v * x_v
                        heard_x += along_i * dx + passed_i * load(v, of_j)
                        heard_y += along_i * dy + passed_i * load(v, of_j + F)
                        heard_z += along_i * dz + passed_i * load(v, of_j + 2 * F)
                        add(v_out, of_j, passed_j * vx - along_j * dx)
                        add(v_out, of_j + F, passed_j * vy - along_j * dy)
                        add(v_out, of_j + 2 * F, passed_j * vz - along_j * dz)
                add(s_out, i * F + f, heard_s)
                add(v_out, of_i, heard_x)
                add(v_out, of_i + F, heard_y)
                add(v_out, of_i + 2 * F, heard_z)

    @njit(cache=True, nogil=True)
    def listen_back(x, v, gs, gv, table, by_x, by_v, pairs, by_place, start, stop):
        """Slopes by x and v, which replace what is there; those by distance and direction (E, 4), added to it."""
        F, width, none = gs.shape[1], table.shape[1], filled(np.float32(0))
        first, idx_j, row, spline, place = pairs
        clear(by_x, F, start, stop)
        copy(gv, by_v, F, start, stop)
        x, v, spline, place, table = memory(x), memory(v), memory(spline), memory(place), memory(table)
        n_atoms, gs, gv, by_x, by_v, by_place = (
            len(gs),
            memory(gs),
            memory(gv),
            memory(by_x),
            memory(by_v),
            memory(by_place),
        )
        for i in range(n_atoms):
            for f in range(start, stop, LANES):
                at_i, of_i = i * width + f, i * 3 * F + f
                xi_s, xi_r, g_i = load(x, at_i), load(x, at_i + F), load(gs, i * F + f)
                gx_i, gy_i, gz_i = load(gv, of_i), load(gv, of_i + F), load(gv, of_i + 2 * F)
                of_s, of_r, of_v, of_x, of_y, of_z = none, none, none, none, none, none
                if not first_round:
                    xi_v, vx_i = load(x, at_i + 2 * F), load(v, of_i)
                    vy_i, vz_i = load(v, of_i + F), load(v, of_i + 2 * F)
                for e in range(first[i], first[i + 1]):
                    j, k, b, to = idx_j[e], row[e] * width + f, 8 * e, 4 * e
                    at_j, of_j = j * width + f, j * 3 * F + f
                    g_j, gx_j, gy_j, gz_j = (
                        load(gs, j * F + f), load(gv, of_j), load(gv, of_j + F), load(gv, of_j + 2 * F)
                    )  # fmt: skip
                    dx, dy, dz = spread(place, to), spread(place, to + 1), spread(place, to + 2)
                    w, dw = interpolated(table, k, width, spline, b), interpolated(table, k, width, spline, b + 4)
                    of_s += g_j * w
                    add(by_x, at_j, g_i * w)
                    by_d = dw * (g_i * load(x, at_j) + g_j * xi_s)
                    w, dw = (
                        interpolated(table, k + F, width, spline, b),
                        interpolated(table, k + F, width, spline, b + 4),
                    )
                    q_i, q_j = gx_i * dx + gy_i * dy + gz_i * dz, none - gx_j * dx - gy_j * dy - gz_j * dz
                    of_r += q_j * w
                    add(by_x, at_j + F, q_i * w)
                    xj_r = load(x, at_j + F)
                    by_d += dw * (q_i * xj_r + q_j * xi_r)
                    along_i, along_j = w * xi_r, w * xj_r
                    if not first_round:
                        w = interpolated(table, k + 2 * F, width, spline, b)
                        dw = interpolated(table, k + 2 * F, width, spline, b + 4)
                        p_i = gx_i * load(v, of_j) + gy_i * load(v, of_j + F) + gz_i * load(v, of_j + 2 * F)
                        p_j = gx_j * vx_i + gy_j * vy_i + gz_j * vz_i
                        of_v += p_j * w
                        add(by_x, at_j + 2 * F, p_i * w)
                        xj_v = load(x, at_j + 2 * F)
                        by_d += dw * (p_i * xj_v + p_j * xi_v)
                        passed_i, passed_j = w * xi_v, w * xj_v
                        of_x += gx_j * passed_i
                        of_y += gy_j * passed_i
                        of_z += gz_j * passed_i
                        add(by_v, of_j, gx_i * passed_j)
                        add(by_v, of_j + F, gy_i * passed_j)
                        add(by_v, of_j + 2 * F, gz_i * passed_j)
                    add_sums(
                        by_place, to, by_d, gx_i * along_j - gx_j * along_i, gy_i * along_j - gy_j * along_i,
                        gz_i * along_j - gz_j * along_i,
                    )  # fmt: skip
                add(by_x, at_i, of_s)
                add(by_x, at_i + F, of_r)
                if not first_round:
                    add(by_x, at_i + 2 * F, of_v)
                    add(by_v, of_i, of_x)
                    add(by_v, of_i + F, of_y)
                    add(by_v, of_i + 2 * F, of_z)

    return listen, listen_back
