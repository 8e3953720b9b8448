# mypy: ignore-errors
"""Small matrix products in compiled loops, where calling BLAS costs as much as the product does.

One tile of the result at a time is summed up in vector registers. Imported with numba only.
Source: K. Goto and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008), whose inner
kernel this is; matrices that fit into the caches need none of its packing.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic

INT = ir.IntType(64)


def _address(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> tuple[Any, Any, Any]:
    """(address of array[row, column], bytes from row to row, from column to column)."""
    parts = context.make_array(kind)(context, builder, array)
    down, right = cgutils.unpack_tuple(builder, parts.strides, 2)
    start = builder.ptrtoint(parts.data, INT)
    return builder.add(start, builder.add(builder.mul(row, down), builder.mul(column, right))), down, right


@intrinsic
def tile(
    typing_context: Any, a: Any, b: Any, out: Any, row: Any, column: Any, depth: Any, rows: Any, columns: Any
) -> Any:
    """out[row : row + rows, column : column + columns] = a[row : row + rows] @ b[:, column : column + columns].

    rows and columns: literal integers, the columns a power of two. The rows of b and of out must be contiguous.
    """
    if not (isinstance(rows, numba.types.IntegerLiteral) and isinstance(columns, numba.types.IntegerLiteral)):
        raise RequireLiteralValue("the size of a tile")
    height, width = rows.literal_value, columns.literal_value
    element = {numba.float32: ir.FloatType(), numba.float64: ir.DoubleType()}[a.dtype]
    vector, number = ir.VectorType(element, width), ir.IntType(32)
    size = a.dtype.bitwidth // 8

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(INT, 0)
        given = [context.cast(builder, args[i], signature.args[i], numba.int64) for i in (3, 4, 5)]
        start, down, along = _address(context, builder, a, args[0], given[0], zero)
        right, below, _ = _address(context, builder, b, args[1], zero, given[1])
        to, next_row, _ = _address(context, builder, out, args[2], given[0], given[1])
        left = [builder.add(start, builder.mul(down, ir.Constant(INT, i))) for i in range(height)]
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{width}f{8 * size}"
        )
        before, loop, after = builder.block, *map(builder.append_basic_block, ("product", "product_end"))
        builder.branch(loop)
        builder.position_at_end(loop)

        def carried(kind: Any, first: Any) -> Any:
            phi = builder.phi(kind)
            phi.add_incoming(first, before)
            return phi

        done, offset, below_now = carried(INT, zero), carried(INT, zero), carried(INT, right)
        sums = [carried(vector, ir.Constant(vector, [0.0] * width)) for _ in range(height)]
        row_of_b = builder.load(builder.inttoptr(below_now, vector.as_pointer()), align=size)
        undefined, same = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(number, width), [0] * width)
        new = []
        for at, total in zip(left, sums, strict=True):
            x = builder.load(builder.inttoptr(builder.add(at, offset), element.as_pointer()), align=size)
            alone = builder.insert_element(undefined, x, ir.Constant(number, 0))
            new.append(builder.call(multiply_add, [builder.shuffle_vector(alone, undefined, same), row_of_b, total]))
        steps = [builder.add(done, ir.Constant(INT, 1)), builder.add(offset, along), builder.add(below_now, below)]
        for phi, value in zip([done, offset, below_now, *sums], [*steps, *new], strict=True):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", steps[0], given[2]), loop, after)
        builder.position_at_end(after)
        for i, total in enumerate(new):
            place = builder.add(to, builder.mul(next_row, ir.Constant(INT, i)))
            builder.store(total, builder.inttoptr(place, vector.as_pointer()), align=size)
        return context.get_dummy_value()

    return numba.void(a, b, out, row, column, depth, rows, columns), generate


@intrinsic
def turn(typing_context: Any, a: Any, out: Any, row: Any, column: Any) -> Any:
    """out[column : column + 8, row : row + 8] = a[row : row + 8, column : column + 8].T; rows must be contiguous."""
    element = {numba.float32: ir.FloatType(), numba.float64: ir.DoubleType()}[a.dtype]
    vector, size = ir.VectorType(element, 8), a.dtype.bitwidth // 8

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        given = [context.cast(builder, args[i], signature.args[i], numba.int64) for i in (2, 3)]
        start, down, _ = _address(context, builder, a, args[0], *given)
        to, next_row, _ = _address(context, builder, out, args[1], *given[::-1])

        def row_at(first: Any, stride: Any, i: int) -> Any:
            place = builder.add(first, builder.mul(stride, ir.Constant(INT, i)))
            return builder.inttoptr(place, vector.as_pointer())

        rows = [builder.load(row_at(start, down, i), align=size) for i in range(8)]
        for apart in (1, 2, 4):  # exchange the blocks off the diagonal: of 1 element, of 2, of 4
            low = [i if i & apart == 0 else i - apart + 8 for i in range(8)]
            high = [i + apart if i & apart == 0 else i + 8 for i in range(8)]
            masks = [ir.Constant(ir.VectorType(ir.IntType(32), 8), mask) for mask in (low, high)]
            for i in range(8):
                if i & apart == 0:
                    pair = rows[i], rows[i + apart]
                    rows[i], rows[i + apart] = [builder.shuffle_vector(*pair, mask) for mask in masks]
        for i, value in enumerate(rows):
            builder.store(value, row_at(to, next_row, i), align=size)
        return context.get_dummy_value()

    return numba.void(a, out, row, column), generate
