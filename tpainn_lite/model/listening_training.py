"""The rates of the sums over pairs in `listening.py`, and their slopes S, compiled, a vector of features at a time.

Names as there and in `compiled_training.py`: dx is the rate of x, ``moving`` (E, 8) holds the rates of the splines'
four factors, and those of the direction.  In the first round x does not move, and no atom has vectors.
"""

from functools import lru_cache

import numpy as np
from numba import njit

from tpainn_lite.model.listening import add, clear, copy, interpolated
from tpainn_lite.model.vectors import LANES, filled, load, memory, spread


@njit(cache=True, nogil=True)
def motion(by_forces, by_virial, batch, first, idx_j, spline, place, moving):
    """``moving`` (E, 8), where r_ij moves at the rate λ_i - λ_j + Λ r_ij; see `compiled_training.py`."""
    rate = np.empty(3, np.float32)
    for i in range(len(batch)):
        V = by_virial[batch[i]]
        for e in range(first[i], first[i + 1]):
            to, j, along, moves, slope = place[e], idx_j[e], np.float32(0), moving[e], spline[e]
            for c in range(3):
                strain = (V[c, 0] * to[0] + V[c, 1] * to[1] + V[c, 2] * to[2]) * to[3]
                rate[c] = by_forces[i, c] - by_forces[j, c] + strain
                along += rate[c] * to[c]
            for m in range(4):
                moves[m] = slope[4 + m] * along
            for c in range(3):
                moves[4 + c] = (rate[c] - along * to[c]) / to[3]


@njit(cache=True, nogil=True)
def spread_out(table, at, width, spline, moving, e, S, g):
    """Add slopes by one part of the filters, and by its rate, to four rows of those by the table."""
    for m in range(4):
        add(table, at + m * width, spread(spline, e + m) * S + spread(moving, e + m) * g)


@lru_cache
def moving_kernels(first_round):
    """(rates, slopes), compiled when they are first called."""

    @njit(cache=True, nogil=True)
    def listen_rates(x, dx, v, dv, first, idx_j, row, spline, place, moving, table, ds, ds_out, dv_out):
        """ds_out (N, F) and dv_out (3N, F): ds and dv, and the rates of what each atom hears."""
        n_atoms, F, width, none = len(ds), ds.shape[1], table.shape[1], filled(np.float32(0))
        copy(ds, ds_out, F, 0, F)
        copy(dv, dv_out, F, 0, F)
        x, dx, v, dv, table = memory(x), memory(dx), memory(v), memory(dv), memory(table)
        spline, place, moving = memory(spline), memory(place), memory(moving)
        ds_out, dv_out = memory(ds_out), memory(dv_out)
        for i in range(n_atoms):
            for f in range(0, F, LANES):
                at_i, of_i = i * width + f, i * 3 * F + f
                heard_s, heard_x, heard_y, heard_z = none, none, none, none
                x_s, x_r = load(x, at_i), load(x, at_i + F)
                if not first_round:
                    dx_s, dx_r = load(dx, at_i), load(dx, at_i + F)
                    x_v, dx_v = load(x, at_i + 2 * F), load(dx, at_i + 2 * F)
                    vx, vy, vz = load(v, of_i), load(v, of_i + F), load(v, of_i + 2 * F)
                    dvx, dvy, dvz = load(dv, of_i), load(dv, of_i + F), load(dv, of_i + 2 * F)
                for e in range(first[i], first[i + 1]):
                    j, k, b, to = idx_j[e], row[e] * width + f, 8 * e, 4 * e
                    at_j, of_j = j * width + f, j * 3 * F + f
                    w, dw = interpolated(table, k, width, spline, b), interpolated(table, k, width, moving, b)
                    dm_i, dm_j = dw * load(x, at_j), dw * x_s
                    if not first_round:
                        dm_i += w * load(dx, at_j)
                        dm_j += w * dx_s
                    heard_s += dm_i
                    add(ds_out, j * F + f, dm_j)
                    w, dw = interpolated(table, k + F, width, spline, b), interpolated(table, k + F, width, moving, b)
                    xj_r = load(x, at_j + F)
                    m_i, dm_i, m_j, dm_j = w * xj_r, dw * xj_r, w * x_r, dw * x_r
                    if not first_round:
                        dm_i += w * load(dx, at_j + F)
                        dm_j += w * dx_r
                    tx, ty, tz = spread(place, to), spread(place, to + 1), spread(place, to + 2)
                    rx, ry, rz = spread(moving, b + 4), spread(moving, b + 5), spread(moving, b + 6)
                    heard_x += dm_i * tx + m_i * rx
                    heard_y += dm_i * ty + m_i * ry
                    heard_z += dm_i * tz + m_i * rz
                    to_x, to_y, to_z = dm_j * tx + m_j * rx, dm_j * ty + m_j * ry, dm_j * tz + m_j * rz
                    if first_round:
                        add(dv_out, of_j, none - to_x)
                        add(dv_out, of_j + F, none - to_y)
                        add(dv_out, of_j + 2 * F, none - to_z)
                    else:
                        w = interpolated(table, k + 2 * F, width, spline, b)
                        dw = interpolated(table, k + 2 * F, width, moving, b)
                        xj_v = load(x, at_j + 2 * F)
                        m_i, dm_i = w * xj_v, dw * xj_v + w * load(dx, at_j + 2 * F)
                        m_j, dm_j = w * x_v, dw * x_v + w * dx_v
                        heard_x += dm_i * load(v, of_j) + m_i * load(dv, of_j)
                        heard_y += dm_i * load(v, of_j + F) + m_i * load(dv, of_j + F)
                        heard_z += dm_i * load(v, of_j + 2 * F) + m_i * load(dv, of_j + 2 * F)
                        add(dv_out, of_j, dm_j * vx + m_j * dvx - to_x)
                        add(dv_out, of_j + F, dm_j * vy + m_j * dvy - to_y)
                        add(dv_out, of_j + 2 * F, dm_j * vz + m_j * dvz - to_z)
                add(ds_out, i * F + f, heard_s)
                add(dv_out, of_i, heard_x)
                add(dv_out, of_i + F, heard_y)
                add(dv_out, of_i + 2 * F, heard_z)

    @njit(cache=True, nogil=True)
    def listen_slopes(
        x, dx, v, dv, gs, gv, S, Sv, first, idx_j, row, spline, place, moving, table, by_x, by_v, by_table
    ):
        """Slopes S by x and v, which replace what is there, and by the table, which are added.

        S_i and g_i are slopes by a message that i hears, and by its rate; Sw and gw those by a filter and its rate.
        """
        n_atoms, F, width, none = len(S), S.shape[1], table.shape[1], filled(np.float32(0))
        clear(by_x, F, 0, F)
        copy(Sv, by_v, F, 0, F)
        x, dx, v, dv, gs, gv = memory(x), memory(dx), memory(v), memory(dv), memory(gs), memory(gv)
        S, Sv, by_x, by_v, by_table, table = (
            memory(S), memory(Sv), memory(by_x), memory(by_v), memory(by_table), memory(table)
        )  # fmt: skip
        spline, place, moving = memory(spline), memory(place), memory(moving)
        for i in range(n_atoms):
            for f in range(0, F, LANES):
                at_i, of_i, of_s, of_r, of_v = i * width + f, i * 3 * F + f, none, none, none
                of_x, of_y, of_z = none, none, none
                for e in range(first[i], first[i + 1]):
                    j, k, b, to = idx_j[e], row[e] * width + f, 8 * e, 4 * e
                    at_j, of_j = j * width + f, j * 3 * F + f
                    # s
                    w, dw = interpolated(table, k, width, spline, b), interpolated(table, k, width, moving, b)
                    S_i, S_j, g_i, g_j = (
                        load(S, i * F + f), load(S, j * F + f), load(gs, i * F + f), load(gs, j * F + f)
                    )  # fmt: skip
                    x_i, x_j = load(x, at_i), load(x, at_j)
                    of_s += S_j * w + g_j * dw
                    add(by_x, at_j, S_i * w + g_i * dw)
                    Sw = S_i * x_j + S_j * x_i
                    if not first_round:
                        Sw += g_i * load(dx, at_j) + g_j * load(dx, at_i)
                    spread_out(by_table, k, width, spline, moving, b, Sw, g_i * x_j + g_j * x_i)
                    # r
                    Sx_i, Sy_i, Sz_i = load(Sv, of_i), load(Sv, of_i + F), load(Sv, of_i + 2 * F)
                    Sx_j, Sy_j, Sz_j = load(Sv, of_j), load(Sv, of_j + F), load(Sv, of_j + 2 * F)
                    gx_i, gy_i, gz_i = load(gv, of_i), load(gv, of_i + F), load(gv, of_i + 2 * F)
                    gx_j, gy_j, gz_j = load(gv, of_j), load(gv, of_j + F), load(gv, of_j + 2 * F)
                    tx, ty, tz = spread(place, to), spread(place, to + 1), spread(place, to + 2)
                    rx, ry, rz = spread(moving, b + 4), spread(moving, b + 5), spread(moving, b + 6)
                    S_i = Sx_i * tx + Sy_i * ty + Sz_i * tz + gx_i * rx + gy_i * ry + gz_i * rz
                    S_j = none - Sx_j * tx - Sy_j * ty - Sz_j * tz - gx_j * rx - gy_j * ry - gz_j * rz
                    g_i, g_j = gx_i * tx + gy_i * ty + gz_i * tz, none - gx_j * tx - gy_j * ty - gz_j * tz
                    w, dw = interpolated(table, k + F, width, spline, b), interpolated(table, k + F, width, moving, b)
                    x_i, x_j = load(x, at_i + F), load(x, at_j + F)
                    of_r += S_j * w + g_j * dw
                    add(by_x, at_j + F, S_i * w + g_i * dw)
                    Sw = S_i * x_j + S_j * x_i
                    if not first_round:
                        Sw += g_i * load(dx, at_j + F) + g_j * load(dx, at_i + F)
                    spread_out(by_table, k + F, width, spline, moving, b, Sw, g_i * x_j + g_j * x_i)
                    # v
                    if not first_round:
                        vx, vy, vz = load(v, of_j), load(v, of_j + F), load(v, of_j + 2 * F)
                        S_i = Sx_i * vx + Sy_i * vy + Sz_i * vz
                        S_i += gx_i * load(dv, of_j) + gy_i * load(dv, of_j + F) + gz_i * load(dv, of_j + 2 * F)
                        g_i = gx_i * vx + gy_i * vy + gz_i * vz
                        vx, vy, vz = load(v, of_i), load(v, of_i + F), load(v, of_i + 2 * F)
                        S_j = Sx_j * vx + Sy_j * vy + Sz_j * vz
                        S_j += gx_j * load(dv, of_i) + gy_j * load(dv, of_i + F) + gz_j * load(dv, of_i + 2 * F)
                        g_j = gx_j * vx + gy_j * vy + gz_j * vz
                        w = interpolated(table, k + 2 * F, width, spline, b)
                        dw = interpolated(table, k + 2 * F, width, moving, b)
                        x_i, x_j = load(x, at_i + 2 * F), load(x, at_j + 2 * F)
                        dx_i, dx_j = load(dx, at_i + 2 * F), load(dx, at_j + 2 * F)
                        of_v += S_j * w + g_j * dw
                        add(by_x, at_j + 2 * F, S_i * w + g_i * dw)
                        Sw = S_i * x_j + S_j * x_i + g_i * dx_j + g_j * dx_i
                        spread_out(by_table, k + 2 * F, width, spline, moving, b, Sw, g_i * x_j + g_j * x_i)
                        m_i, dm_i, m_j, dm_j = w * x_j, dw * x_j + w * dx_j, w * x_i, dw * x_i + w * dx_i
                        of_x += Sx_j * m_j + gx_j * dm_j
                        of_y += Sy_j * m_j + gy_j * dm_j
                        of_z += Sz_j * m_j + gz_j * dm_j
                        add(by_v, of_j, Sx_i * m_i + gx_i * dm_i)
                        add(by_v, of_j + F, Sy_i * m_i + gy_i * dm_i)
                        add(by_v, of_j + 2 * F, Sz_i * m_i + gz_i * dm_i)
                add(by_x, at_i, of_s)
                add(by_x, at_i + F, of_r)
                if not first_round:
                    add(by_x, at_i + 2 * F, of_v)
                    add(by_v, of_i, of_x)
                    add(by_v, of_i + F, of_y)
                    add(by_v, of_i + 2 * F, of_z)

    return listen_rates, listen_slopes
