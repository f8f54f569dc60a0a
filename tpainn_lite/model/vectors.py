"""Vectors of a processor for Numba: so many features that one instruction handles at once, in a register.

A compiler finds out by itself that ``for f in range(64): y[f] += w[f] * x[f]`` can be done in vectors, but keeps y in
memory.  Here ``y += w * x`` is written for `LANES` features, y is a register, and nothing is left to find out: it
compiles sooner, and one compilation serves networks of all widths.

    @njit
    def add_scaled(x, factor, y):  # contiguous float32, sizes multiples of LANES
        for f in range(0, y.size, LANES):
            store(y, f, load(y, f) + filled(factor) * load(x, f))

Offsets count float32 numbers from the beginning of a contiguous array of any shape, and are not checked.
"""

import itertools
import operator
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

_KNOWN = config.CPU_FEATURES if config.CPU_FEATURES is not None else llvm.get_host_cpu_features().flatten()
IS_WIDE = "+avx512f" in _KNOWN  # 32 registers of 16 numbers
LANES = 16 if IS_WIDE else 8
ROWS = 8 if IS_WIDE else 4  # of the tiles of a matrix product: as many as there are registers for
_NUMBER, _PLACE = ir.FloatType(), ir.IntType(32)
_REGISTER = ir.VectorType(_NUMBER, LANES)
_SLOPPY = ("contract",)  # a · b + c is one operation


def padded(width: int) -> int:
    """The least multiple of `LANES` that is not smaller.

    >>> padded(1) == padded(LANES) == LANES
    True
    """
    return -(-width // LANES) * LANES


class Vector(types.Type):
    """Numba's type of `LANES` float32 numbers."""

    def __init__(self) -> None:
        super().__init__(name=f"Vector({LANES})")


vector = Vector()


@register_model(Vector)
class _Register(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _REGISTER)


def _arithmetic(symbol, instruction):
    """Let ``symbol`` work between two vectors."""

    @type_callable(symbol)
    def _(_):
        return lambda a, b: vector if isinstance(a, Vector) and isinstance(b, Vector) else None

    @lower_builtin(symbol, Vector, Vector)
    def _(_, builder, _signature, args):
        return getattr(builder, instruction)(*args, flags=_SLOPPY)


for _symbols, _instruction in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _symbol in _symbols:
        _arithmetic(_symbol, _instruction)


# --- memory ---


def _pointer(context, builder, kind, array, offset, of=_REGISTER):
    if isinstance(kind, types.Array):
        array = builder.extract_value(array, context.data_model_manager[kind].get_field_position("data"))
    return builder.bitcast(builder.gep(array, [offset]), of.as_pointer())


def _spread(builder, number):
    one = builder.insert_element(ir.Constant(_REGISTER, ir.Undefined), number, ir.Constant(_PLACE, 0))
    return builder.shuffle_vector(one, one, _mask([0] * LANES))


def _mask(lanes):
    return ir.Constant(ir.VectorType(_PLACE, len(lanes)), lanes)


@intrinsic
def memory(typing, array):
    """The memory of an array: what the functions below take in its place, and what compiles sooner in long loops."""

    def code(context, builder, signature, args):
        kind = signature.args[0]
        return builder.extract_value(args[0], context.data_model_manager[kind].get_field_position("data"))

    return types.CPointer(types.float32)(array), code


@intrinsic
def load(typing, array, offset):
    """The `LANES` numbers from an offset on."""

    def code(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], *args), align=4)

    return vector(array, types.intp), code


@intrinsic
def store(typing, array, offset, value):
    """Write them there."""

    def code(context, builder, signature, args):
        array, offset, value = args
        builder.store(value, _pointer(context, builder, signature.args[0], array, offset), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def spread(typing, array, offset):
    """One number, in all lanes."""

    def code(context, builder, signature, args):
        array, offset = args
        pointer = _pointer(context, builder, signature.args[0], array, offset, _NUMBER)
        return _spread(builder, builder.load(pointer, align=4))

    return vector(array, types.intp), code


@intrinsic
def filled(typing, number):
    """The same number in all lanes."""

    def code(context, builder, signature, args):
        return _spread(builder, args[0])

    return vector(types.float32), code


@intrinsic
def add_sums(typing, array, offset, a, b, c, d):
    """Add the sums of the lanes of a, b, c and d to four numbers of an array."""

    def code(context, builder, signature, args):
        array, offset, *parts = args
        width = LANES
        while len(parts) > 1:  # fold halves onto each other, of two vectors in one go
            width //= 2
            parts = [_folded(builder, parts[k], parts[k + 1], width) for k in range(0, len(parts), 2)]
        while width > 1:
            width //= 2
            swapped = builder.shuffle_vector(parts[0], parts[0], _mask([k ^ width for k in range(LANES)]))
            parts = [builder.fadd(parts[0], swapped, flags=_SLOPPY)]
        sums = builder.shuffle_vector(parts[0], parts[0], _mask([k * LANES // 4 for k in range(4)]))
        place = _pointer(context, builder, signature.args[0], array, offset, ir.VectorType(_NUMBER, 4))
        builder.store(builder.fadd(builder.load(place, align=4), sums), place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, vector, vector, vector), code


def _folded(builder, a, b, width):
    """Every run of 2 × ``width`` lanes of a, then of b, added to one of ``width``."""
    lower = [k for k in range(2 * LANES) if k // width % 2 == 0]
    halves = (builder.shuffle_vector(a, b, _mask([k + more for k in lower])) for more in (0, width))
    return builder.fadd(*halves, flags=_SLOPPY)


# --- functions ---


def _of_lanes(builder, name, values):
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_REGISTER, [_REGISTER] * len(values)), f"llvm.{name}.v{LANES}f32"
    )
    return builder.call(function, values)


@intrinsic
def root(typing, x):
    """√x."""
    return vector(vector), lambda context, builder, signature, args: _of_lanes(builder, "sqrt", args)


@intrinsic
def nearest(typing, x):
    """The next whole numbers."""
    return vector(vector), lambda context, builder, signature, args: _of_lanes(builder, "rint", args)


@intrinsic
def within(typing, x, least, most):
    """x, or the limits where it lies beyond them."""

    def code(context, builder, signature, args):
        x, least, most = args
        return _of_lanes(builder, "minnum", [_of_lanes(builder, "maxnum", [x, least]), most])

    return vector(vector, vector, vector), code


@intrinsic
def two_to_the(typing, power):
    """2 to a power that is a whole number from -126 to 127: the bits of its exponent."""

    def code(context, builder, signature, args):
        whole = ir.VectorType(_PLACE, LANES)
        exponent = builder.add(builder.fptosi(args[0], whole), ir.Constant(whole, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(whole, [23] * LANES)), _REGISTER)

    return vector(vector), code


# --- a tile of a matrix product ---


def tile_of(n_rows: int, n_vectors: int) -> Any:
    """A function that adds Σ_k a_k ⊗ b_k, k = 0 … n - 1, to a tile of n_rows × (n_vectors · LANES) numbers, all of them
    kept in registers.

    Of a, b, ``added`` and ``out`` it wants where the tile begins, and how far it is to the next row; of a and b how far
    it is to the next k.
    """

    def corners(context, builder, kind, array, at, row):
        """Pointers to the vectors of the tile."""
        for k, c in itertools.product(range(n_rows), range(n_vectors)):
            start = builder.add(at, builder.mul(row, ir.Constant(row.type, k)))
            yield _pointer(context, builder, kind, array, builder.add(start, ir.Constant(row.type, c * LANES)))

    @intrinsic
    def tile(typing, a, a_at, a_row, a_step, b, b_at, b_step, n, added, added_at, added_row, out, out_at, out_row):
        def code(context, builder, signature, args):
            a, a_at, a_row, a_step, b, b_at, b_step, n, added, added_at, added_row, out, out_at, out_row = args
            of_a, of_b, of_added, of_out = (signature.args[k] for k in (0, 4, 8, 11))
            sums = [cgutils.alloca_once(builder, _REGISTER) for _ in range(n_rows * n_vectors)]
            for total, place in zip(sums, corners(context, builder, of_added, added, added_at, added_row), strict=True):
                builder.store(builder.load(place, align=4), total)
            with cgutils.for_range(builder, n, intp=n.type) as loop:
                starts = ((a_at, a_step), (b_at, b_step))
                start, line = (builder.add(at, builder.mul(loop.index, step)) for at, step in starts)
                places = (builder.add(line, ir.Constant(line.type, c * LANES)) for c in range(n_vectors))
                rights = [builder.load(_pointer(context, builder, of_b, b, place), align=4) for place in places]
                for k in range(n_rows):
                    place = builder.add(start, builder.mul(a_row, ir.Constant(a_row.type, k)))
                    number = builder.load(_pointer(context, builder, of_a, a, place, _NUMBER), align=4)
                    for total, right in zip(sums[k * n_vectors :], rights, strict=False):
                        more = builder.fmul(_spread(builder, number), right, flags=_SLOPPY)
                        builder.store(builder.fadd(builder.load(total), more, flags=_SLOPPY), total)
            for total, place in zip(sums, corners(context, builder, of_out, out, out_at, out_row), strict=True):
                builder.store(builder.load(total), place, align=4)
            return context.get_dummy_value()

        i = types.intp
        return types.void(a, i, i, i, b, i, i, i, added, i, i, out, i, i), code

    return tile
