"""Rows of an array as vector registers, for numba kernels that work on all classes of a pixel at once.

numba has no type for a vector, and LLVM cannot make one of a loop over four or sixteen classes that may overlap what
it writes. These few operations are explicit: ``load`` a row, combine, ``store``. The width is the length of a tuple
(``(0,) * 16``), a constant at compile time. Arrays hold float32, or half precision as uint16 (numba does not compute
with float16); registers hold float32. Rows are contiguous. Whether they lie inside their array is not checked.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

_FLOAT = ir.FloatType()
_HALF = ir.HalfType()
_INT = ir.IntType(32)
_FAST = ("fast",)


class Row(types.Type):
    """A vector of ``width`` float32."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Row{width}")


@register_model(Row)
class _RowModel(models.PrimitiveModel):
    def __init__(self, manager: Any, row: Row) -> None:
        super().__init__(manager, row, ir.VectorType(_FLOAT, row.width))


def _fill(builder: Any, scalar: Any, width: int) -> Any:
    undefined = ir.Constant(ir.VectorType(_FLOAT, width), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT, width), [0] * width))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, width: int) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    element = _HALF if array_type.dtype == types.uint16 else _FLOAT
    return builder.bitcast(builder.gep(data, [offset]), ir.VectorType(element, width).as_pointer())


def _read(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, width: int) -> Any:
    pointer = _pointer(context, builder, array_type, array, offset, width)
    if array_type.dtype == types.uint16:
        return builder.fpext(builder.load(pointer, align=2), ir.VectorType(_FLOAT, width))
    return builder.load(pointer, align=4)


def _write(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, value: Any) -> None:
    width = value.type.count
    pointer = _pointer(context, builder, array_type, array, offset, width)
    if array_type.dtype == types.uint16:
        builder.store(builder.fptrunc(value, ir.VectorType(_HALF, width)), pointer, align=2)
    else:
        builder.store(value, pointer, align=4)


def _offset(context: Any, builder: Any, index_type: Any, index: Any, width: int = 1) -> Any:
    index = context.cast(builder, index, index_type, types.uintp)
    return builder.mul(index, ir.Constant(index.type, width))


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(result, [value.type for value in arguments]), name
    )
    return builder.call(function, arguments, fastmath=_FAST)


@intrinsic
def load(typing, width, array, index):
    """Row ``index`` of a C-contiguous (n, width) array."""
    row = Row(width.count)

    def generate(context, builder, signature, values):
        width = signature.return_type.width
        offset = _offset(context, builder, signature.args[2], values[2], width)
        return _read(context, builder, signature.args[1], values[1], offset, width)

    return row(width, array, index), generate


@intrinsic
def store(typing, array, index, row):
    """Write ``row`` into row ``index`` of a C-contiguous (n, width) array."""

    def generate(context, builder, signature, values):
        offset = _offset(context, builder, signature.args[1], values[1], signature.args[2].width)
        _write(context, builder, signature.args[0], values[0], offset, values[2])
        return context.get_dummy_value()

    return types.void(array, index, row), generate


@intrinsic
def load_at(typing, width, array, offset):
    """The numbers from ``offset`` on, counted over all of a C-contiguous array."""
    row = Row(width.count)

    def generate(context, builder, signature, values):
        offset = _offset(context, builder, signature.args[2], values[2])
        return _read(context, builder, signature.args[1], values[1], offset, signature.return_type.width)

    return row(width, array, offset), generate


@intrinsic
def store_at(typing, array, offset, row):
    """Write ``row`` from ``offset`` on, counted over all of a C-contiguous array."""

    def generate(context, builder, signature, values):
        offset = _offset(context, builder, signature.args[1], values[1])
        _write(context, builder, signature.args[0], values[0], offset, values[2])
        return context.get_dummy_value()

    return types.void(array, offset, row), generate


@intrinsic
def full(typing, width, value):
    """A row that holds ``value`` everywhere."""
    row = Row(width.count)

    def generate(context, builder, signature, values):
        return _fill(builder, values[1], signature.return_type.width)

    return row(width, types.float32), generate


def _pairwise(instruction):
    @intrinsic
    def combine(typing, a, b):
        def generate(context, builder, signature, values):
            return getattr(builder, instruction)(*values, flags=_FAST)

        return a(a, b), generate

    return combine


add = _pairwise("fadd")
"""a + b, number by number, as the next three."""
subtract = _pairwise("fsub")
multiply = _pairwise("fmul")
divide = _pairwise("fdiv")


@intrinsic
def larger(typing, a, b):
    """The larger of a and b, number by number."""

    def generate(context, builder, signature, values):
        kind = values[0].type
        return _call(builder, f"llvm.maxnum.v{kind.count}f32", kind, values[0], values[1])

    return a(a, b), generate


def _of_each(function):
    @intrinsic
    def apply(typing, row):
        def generate(context, builder, signature, values):
            kind = values[0].type
            return _call(builder, f"llvm.{function}.v{kind.count}f32", kind, values[0])

        return row(row), generate

    return apply


absolute = _of_each("fabs")
"""Absolute value of each number."""
root = _of_each("sqrt")
"""Square root of each number."""


@intrinsic
def scale(typing, factor, row):
    """Number times row."""

    def generate(context, builder, signature, values):
        return builder.fmul(_fill(builder, values[0], signature.return_type.width), values[1], flags=_FAST)

    return row(types.float32, row), generate


@intrinsic
def fma(typing, factor, row, rest):
    """Number times row, plus another row."""

    def generate(context, builder, signature, values):
        product = builder.fmul(_fill(builder, values[0], signature.return_type.width), values[1], flags=_FAST)
        return builder.fadd(product, values[2], flags=_FAST)

    return row(types.float32, row, rest), generate


@intrinsic
def total(typing, row):
    """Sum of a row."""

    def generate(context, builder, signature, values):
        width = signature.args[0].width
        return _call(builder, f"llvm.vector.reduce.fadd.v{width}f32", _FLOAT, ir.Constant(_FLOAT, -0.0), values[0])

    return types.float32(row), generate


@intrinsic
def highest(typing, row):
    """Maximum of a row."""

    def generate(context, builder, signature, values):
        return _call(builder, f"llvm.vector.reduce.fmax.v{signature.args[0].width}f32", _FLOAT, values[0])

    return types.float32(row), generate


LOWEST = -60.0
"""Least exponent that ``exp`` tells apart; far below it, products would become denormal, which is slow."""

# exp(r) for |r| <= log(2) / 2: 1 + r + r^2 P(r), P fitted for the least largest relative error (2e-7 with rounding).
_P = (1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657958e-2, 1.66666655e-1, 5.00000012e-1)
_LOG2_HIGH, _LOG2_LOW = 0.693359375, -2.12194440e-4  # log(2) in two parts, so that n log(2) is exact in float32


@intrinsic
def exp(typing, row):
    """e to the power of a row of numbers from :data:`LOWEST` to 80, to a relative error of about 2e-7."""

    def generate(context, builder, signature, values):
        width = signature.args[0].width
        floats, ints = ir.VectorType(_FLOAT, width), ir.VectorType(_INT, width)

        def constant(value: float) -> Any:
            return ir.Constant(floats, [value] * width)

        def multiply(a: Any, b: Any) -> Any:
            return builder.fmul(a, b, flags=_FAST)

        def plus(a: Any, b: Any) -> Any:
            return builder.fadd(a, b, flags=_FAST)

        x = _call(builder, f"llvm.maxnum.v{width}f32", floats, values[0], constant(LOWEST))
        half_up = plus(multiply(x, constant(1.44269504)), constant(0.5))
        n = _call(builder, f"llvm.floor.v{width}f32", floats, half_up)
        r = plus(plus(x, multiply(n, constant(-_LOG2_HIGH))), multiply(n, constant(-_LOG2_LOW)))
        p = constant(_P[0])
        for coefficient in _P[1:]:
            p = plus(multiply(p, r), constant(coefficient))
        p = plus(plus(multiply(multiply(p, r), r), r), constant(1.0))
        exponent = builder.add(builder.fptosi(n, ints), ir.Constant(ints, [127] * width))
        power = builder.bitcast(builder.shl(exponent, ir.Constant(ints, [23] * width)), floats)
        return multiply(p, power)

    return row(row), generate
