"""Several threads that do parts of one piece of compiled work, and meet inside of it.

To hand work from one Python thread to another takes some 50 µs, which an evaluation can afford once, not at each of the
places where one part needs what the others have done.  So the parts meet in compiled code: each adds one to a number
that all of them see, and looks at it until all have.  While it waits it lets others have the core.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

ARRIVED, GIVEN_UP = 0, 16  # places in a meeting: not in one line of the cache
LOOKS = 2000  # before the first time that it makes room for others: some 10 µs
_WHOLE, _YIELD = ir.IntType(64), "tpainn_lite_yield"


def _let_compiled_code_yield() -> None:
    """Make known where the operating system's function is that lets others have the core."""
    if sys.platform == "win32":
        function = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    llvm.add_symbol(_YIELD, ctypes.cast(function, ctypes.c_void_p).value)


_let_compiled_code_yield()


# --- in compiled code ---


def _place(context, builder, kind, array, offset):
    data = builder.extract_value(array, context.data_model_manager[kind].get_field_position("data"))
    return builder.gep(builder.bitcast(data, _WHOLE.as_pointer()), [offset])


@intrinsic
def _arrive(typing, meeting):
    def code(context, builder, signature, args):
        place = _place(context, builder, signature.args[0], args[0], ir.Constant(_WHOLE, ARRIVED))
        builder.atomic_rmw("add", place, ir.Constant(_WHOLE, 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(meeting), code


@intrinsic
def _look(typing, meeting, offset):
    def code(context, builder, signature, args):
        place = _place(context, builder, signature.args[0], args[0], args[1])
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(meeting, types.int64), code


@intrinsic
def _make_room(typing):
    def code(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, _YIELD), [])
        return context.get_dummy_value()

    return types.void(), code


@njit(cache=True, nogil=True)
def meet(meeting, n_parts, times):
    """Wait until all parts have been here so many times; False where one has given up."""
    _arrive(meeting)
    looks = 0
    while _look(meeting, ARRIVED) < n_parts * times:
        if _look(meeting, GIVEN_UP):
            return False
        looks += 1
        if looks > LOOKS:
            _make_room()
    return True


# --- in Python ---


class _Crew:
    """Threads that wait for work, made when they are first needed; the work of one caller at a time."""

    def __init__(self) -> None:
        self.dismiss()

    def dismiss(self) -> None:
        """Begin without threads."""
        self.lock, self.size = threading.Lock(), 0
        self.pool: ThreadPoolExecutor | None = None

    def of(self, size: int) -> ThreadPoolExecutor:
        """At least so many."""
        if self.pool is None or self.size < size:
            if self.pool is not None:
                self.pool.shutdown(wait=False)
            self.pool, self.size = ThreadPoolExecutor(size, thread_name_prefix="tpainn_lite"), size
        return self.pool


_crew = _Crew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_crew.dismiss)  # a child has none of the threads of its parent


def in_parts(work: Callable[[int, NDArray], None], n_parts: int) -> None:
    """``work(part, meeting)`` for each part, one of them in this thread, all at once; each ends with a `meet` of all.

    What goes wrong in one part ends the waiting of the others, and is raised here.
    """
    meeting = np.zeros(32, np.int64)
    others: list[Future] = []

    def attempt(part: int) -> None:
        try:
            work(part, meeting)
        except BaseException:
            meeting[GIVEN_UP] = 1
            raise

    with _crew.lock:  # else parts of two callers could wait for each other
        try:
            others += (_crew.of(n_parts - 1).submit(attempt, part) for part in range(1, n_parts))
            attempt(0)
        finally:
            if len(others) < n_parts - 1 or meeting[GIVEN_UP]:
                meeting[GIVEN_UP] = 1
                wait(others)
    for other in others if meeting[GIVEN_UP] else ():
        other.result()
