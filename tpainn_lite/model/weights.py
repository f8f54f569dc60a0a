"""Weights and working memory as the compiled loops want them: widths that are multiples of `LANES`, aligned memory."""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from tpainn_lite.model.vectors import LANES, padded

LINE = 16  # float32 numbers in a line of the processor's cache


class Room:
    """Working memory, dealt out array by array, and used again after `clear`."""

    def __init__(self) -> None:
        self.whole, self.used = aligned(2**18), 0
        self.program: Any = None  # where `do` writes down what it does
        self.dealt: dict[int, list[NDArray]] = {}  # for each number of atoms, what was dealt out, one after the other
        self.again: Iterator[NDArray] = iter(())

    def __call__(self, *shape: int) -> NDArray:
        """A float32 array; what is in it is left from earlier."""
        array = next(self.again, None)
        if array is None:
            array = self.new(shape)
            self.arrays.append(array)
        assert array.shape == shape
        return array

    def do(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a compiled function, or write down that it is to be called."""
        if self.program is None:
            function(*arguments)
        else:
            self.program.note(function, arguments)

    def new(self, shape: tuple[int, ...]) -> NDArray:
        """An array that is dealt out for the first time."""
        size = prod(shape)
        if self.used + size > len(self.whole):
            self.whole, self.used = aligned(2 * len(self.whole) + size), 0
            self.dealt.clear()
        array = self.whole[self.used : self.used + size].reshape(shape)
        self.used += padded(size)
        return array

    def clear(self, n_atoms: int) -> None:
        """Deal out the same memory again, in the same order for the same number of atoms."""
        if len(self.dealt) >= 200:
            self.dealt.clear()
        self.arrays = self.dealt.setdefault(n_atoms, [])
        self.again = iter([*self.arrays])
        self.used = sum(padded(array.size) for array in self.arrays)


def aligned(*shape: int) -> NDArray:
    """A float32 array of zeros that begins at a multiple of 64 bytes, so that no vector crosses a line of the cache."""
    size = prod(shape)
    longer = np.zeros(size + LINE, np.float32)
    start = -longer.ctypes.data // longer.itemsize % LINE
    return longer[start : start + size].reshape(shape)


class Weights:
    """A weight (or bias), and its copies for the loops, in which each part of a row or column is filled up by zeros.

    Parameters
    ----------
    weight
        (n, m), or (m,); seen as it is whenever `refresh` is called.
    rows, columns
        How many of them make up a part; by default all.
    """

    def __init__(self, weight: Tensor, rows: int | None = None, columns: int | None = None) -> None:
        given = weight.detach().float().cpu().contiguous()
        self.given: NDArray = given.view(-1, given.shape[-1]).numpy()
        n, m = self.given.shape
        self.shape, self.rows, self.columns = weight.shape, rows or n, columns or m
        height = n // self.rows * padded(self.rows) if given.dim() > 1 else n
        self.plain = aligned(height, m // self.columns * padded(self.columns))
        self.turned, self.slopes = aligned(*self.plain.shape[::-1]), aligned(*self.plain.shape)
        self.refresh()

    def refresh(self) -> None:
        """Copy the weights as they are now."""
        _lay_out(self.given, self.rows, self.columns, self.plain, self.turned)

    def take_slopes(self, target: NDArray) -> None:
        """Write what has been put into ``slopes`` to a vector, without what pads it."""
        _take(self.slopes, self.rows, self.columns, target)


@njit(cache=True, nogil=True)
def _lay_out(given, rows, columns, plain, turned):
    n, m = given.shape
    high, wide = len(plain) // (n // rows), len(turned) // (m // columns)  # a part, padded
    for row_part in range(n // rows):
        for column_part in range(m // columns):
            for i in range(rows):
                to, of = row_part * high + i, given[row_part * rows + i]
                for k in range(columns):
                    weight = of[column_part * columns + k]
                    plain[to, column_part * wide + k] = weight
                    turned[column_part * wide + k, to] = weight


@njit(cache=True, nogil=True)
def _take(slopes, rows, columns, target):
    high, wide, k = -(-rows // LANES) * LANES if len(slopes) > 1 else 1, -(-columns // LANES) * LANES, 0
    for row in range(len(slopes)):
        for column in range(0, slopes.shape[1] if row % high < rows else 0, wide):
            for f in range(column, column + columns):
                if k < target.size:
                    target[k] = slopes[row, f]
                    k += 1
