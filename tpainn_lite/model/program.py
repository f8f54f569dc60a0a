"""An evaluation written down as a list of steps, which several threads then go through together in compiled code.

The first evaluation of so many atoms writes down which functions are called with which arrays (`Program.note`):
weights, and working memory that is dealt out again in the same order (`weights.Room`).  Later ones are a single call
per thread.  What goes on within each atom is shared by atoms, the sums over pairs by features: no number is written by
two threads, each is computed as by one thread, and threads meet only before and after the sums over pairs.  The one
exception are slopes by distances and directions, sums over features, of which each thread has its own.

Functions are called by their address, as they have been compiled for one thread: that compiles nothing anew.
"""

from typing import Any

import numpy as np
from numba import carray, njit, typeof, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from tpainn_lite.model import pointwise
from tpainn_lite.model.listening import kernels
from tpainn_lite.model.pairs import Pairs
from tpainn_lite.model.threads import in_parts, meet
from tpainn_lite.model.vectors import LANES, ROWS

CLEAR, SET, DENSE, DENSE_BACK, MIX, MIX_BACK, LISTEN, LISTEN_BACK = range(8)  # kinds of steps, by their arguments
_listen, _listen_back = zip(*(kernels(first_round) for first_round in (True, False)), strict=True)
KINDS = {
    pointwise.clear_rows: CLEAR,
    pointwise.set_column: SET,
    pointwise.dense: DENSE,
    pointwise.dense_back: DENSE_BACK,
    pointwise.mix: MIX,
    pointwise.mix_back: MIX_BACK,
    **dict.fromkeys(_listen, LISTEN),
    **dict.fromkeys(_listen_back, LISTEN_BACK),
}
MOST_ARRAYS = 23  # of a step


class Program:
    """The steps of an evaluation of so many atoms."""

    def __init__(self, n_atoms: int) -> None:
        self.n_atoms = n_atoms
        self.steps: NDArray = np.zeros((0, 1 + MOST_ARRAYS, 3), np.int64)
        self.arrays: list[NDArray] = []  # which must stay where they are

    def note(self, function: Any, arguments: tuple[Any, ...]) -> None:
        """Write down a call: the kind of step and what is called; then where each array is, its rows and columns."""
        arrays = [*_arrays(arguments)]
        self.arrays += arrays
        lines = [(KINDS[function], _address(function, arguments), 0)]
        lines += [(array.ctypes.data, *array.shape) for array in arrays]
        step = np.zeros((1, *self.steps.shape[1:]), np.int64)
        step[0, : len(lines)] = lines
        self.steps = np.concatenate([self.steps, step])

    def run(self, pairs: Pairs, n_features: int, n_parts: int) -> NDArray:
        """Go through it; gives the slopes by distances and directions, a sum (E, 4) of each thread."""
        by_place = np.zeros((n_parts, len(pairs.idx_j), 4), np.float32)
        atoms = parts(self.n_atoms, n_parts, ROWS)
        features = parts(n_features, n_parts, LANES)

        def work(part: int, meeting: NDArray) -> None:
            own = atoms[part : part + 2], features[part : part + 2], by_place[part]
            _go_through(self.steps, self.n_atoms, *own, pairs, meeting, n_parts)

        in_parts(work, n_parts)
        return by_place


def parts(n: int, n_parts: int, whole: int) -> NDArray:
    """Where each part of n begins, and the end: nearly equal multiples of ``whole``.

    >>> parts(192, 2, 8)
    array([  0,  96, 192])
    """
    pieces = -(-n // whole)
    return np.minimum(np.arange(n_parts + 1) * pieces // n_parts * whole, n)


def _arrays(arguments):
    """The arrays of a call, those in tuples too, up to the pairs."""
    for argument in arguments:
        if isinstance(argument, Pairs):
            return
        yield from argument if isinstance(argument, tuple) else [argument]


def _address(function: Any, arguments: tuple[Any, ...]) -> int:
    """Of the machine code for such arguments."""
    kinds = tuple(typeof(argument) for argument in arguments)
    function.compile(kinds)
    compiled = function.overloads[kinds]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


# --- compiled ---


@intrinsic
def _memory_at(typing, address):
    kind = types.CPointer(types.float32)
    return kind(types.int64), lambda context, builder, signature, args: builder.inttoptr(
        args[0], context.get_value_type(kind)
    )


@intrinsic
def _call(typing, address, arguments):
    """Call a compiled function that gives nothing."""

    def code(context, builder, signature, args):
        convention, kinds = context.call_conv, signature.args[1].types
        function = builder.inttoptr(args[0], convention.get_function_type(types.none, kinds).as_pointer())
        convention.call_function(builder, function, types.none, kinds, cgutils.unpack_tuple(builder, args[1]))
        return context.get_dummy_value()

    return types.void(types.int64, arguments), code


@njit(cache=True, nogil=True)
def _whole(line):
    """An array of a step."""
    return carray(_memory_at(line[0]), (line[1], line[2]), np.float32)


@njit(cache=True, nogil=True)
def _of(line, n_atoms, atoms):
    """The rows of it that belong to these atoms, one or (of vectors) three each; all rows where they belong to none."""
    each, width = line[1] // n_atoms, line[2]
    if each == 0:
        return _whole(line)
    start, stop = each * atoms[0], each * atoms[1]
    return carray(_memory_at(line[0] + 4 * start * width), (stop - start, width), np.float32)


@njit(cache=True, nogil=True)
def _six(lines):
    """Six arrays: of a network, for example."""
    first = _whole(lines[0]), _whole(lines[1]), _whole(lines[2])
    return *first, _whole(lines[3]), _whole(lines[4]), _whole(lines[5])


@njit(cache=True, nogil=True)
def _six_of(lines, n, atoms):
    """These atoms' rows of six arrays."""
    first = _of(lines[0], n, atoms), _of(lines[1], n, atoms), _of(lines[2], n, atoms)
    return *first, _of(lines[3], n, atoms), _of(lines[4], n, atoms), _of(lines[5], n, atoms)


@njit(cache=True, nogil=True)
def _within_atoms(step, n, atoms):
    """What goes on within these atoms; arguments as the functions have them in `pointwise.py`."""
    kind, address, one = step[0, 0], step[0, 1], _of(step[1], n, atoms)
    if kind == CLEAR:
        _call(address, (one,))
    elif kind == SET:
        _call(address, (one, _whole(step[2])))
    elif kind == DENSE:
        _, _, _, gate, act, out = _six_of(step[5:], n, atoms)
        _call(address, (one, _six(step[2:]), gate, act, out))
    elif kind == DENSE_BACK:
        _call(address, (one, _six(step[2:]), _whole(step[8]), *_six_of(step[9:], n, atoms)))
    elif kind == MIX:
        two, weight, network, zeros = _of(step[2], n, atoms), _whole(step[3]), _six(step[4:]), _whole(step[10])
        out = _of(step[17], n, atoms), _of(step[18], n, atoms)
        _call(address, (one, two, weight, network, zeros, *_six_of(step[11:], n, atoms), *out))
    elif kind == MIX_BACK:
        two, weight, network, zeros = _of(step[2], n, atoms), _whole(step[3]), _six(step[4:]), _whole(step[10])
        kept, out = _six_of(step[11:], n, atoms), _of(step[23], n, atoms)
        _call(address, (one, two, weight, network, zeros, kept, *_six_of(step[17:], n, atoms), out))


@njit(cache=True, nogil=True)
def _between_atoms(step, features, pairs, by_place):
    """The sums over pairs, of these features; arguments as in `listening.py`."""
    address, start, stop = step[0, 1], features[0], features[1]
    if step[0, 0] == LISTEN:
        _call(address, (*_six(step[1:]), pairs, start, stop))
    else:
        _call(address, (*_six(step[1:]), _whole(step[7]), pairs, by_place, start, stop))


@njit(cache=True, nogil=True)
def _go_through(steps, n_atoms, atoms, features, by_place, pairs, meeting, n_parts):
    """One thread's part of all steps."""
    times = 0
    for step in steps:
        if step[0, 0] < LISTEN:
            _within_atoms(step, n_atoms, atoms)
            continue
        if not meet(meeting, n_parts, times + 1):
            return
        _between_atoms(step, features, pairs, by_place)
        times += 2
        if not meet(meeting, n_parts, times):
            return
    meet(meeting, n_parts, times + 1)
