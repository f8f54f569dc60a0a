"""Products of small matrices, compiled: faster than a library's where there are a few hundred atoms."""

import numpy as np
from numba import njit

from tpainn_lite.model.vectors import LANES, ROWS, tile_of

ZEROS = np.zeros((1, 2**15), np.float32)  # where nothing is added
_wide, _narrow, _single = tile_of(ROWS, 2), tile_of(ROWS, 1), tile_of(1, 1)


@njit(cache=True, nogil=True)
def product(a, is_turned, b, added, out):
    """``out`` (n, m) = ``added`` (n, m) or (1, ≥ m) + a (n, k) b (k, m); a is (k, n) where ``is_turned``.

    float32, m a multiple of `LANES`; ``out`` shares no memory with the others.
    """
    (n, m), k = out.shape, len(b)
    a_row, a_step = (1, a.shape[1]) if is_turned else (a.shape[1], 1)
    added_row = added.shape[1] if added.shape[0] == n else 0
    for c in range(0, m, 2 * LANES):  # columns: b's stay in the nearest cache
        is_wide = c + 2 * LANES <= m
        for start in range(0, n if n >= ROWS else 0, ROWS):
            i = min(start, n - ROWS)  # the last tile begins early enough, and does some rows again
            from_a, from_added, to = i * a_row, i * added_row + c, i * m + c
            if is_wide:
                _wide(a, from_a, a_row, a_step, b, c, m, k, added, from_added, added_row, out, to, m)
            else:
                _narrow(a, from_a, a_row, a_step, b, c, m, k, added, from_added, added_row, out, to, m)
        if n < ROWS:
            for i in range(n):
                for f in range(c, min(c + 2 * LANES, m), LANES):
                    from_a, from_added = i * a_row, i * added_row + f
                    _single(a, from_a, a_row, a_step, b, f, m, k, added, from_added, added_row, out, i * m + f, m)
