"""Shapes: the same numbers in another arrangement. Their gradients are the arrangement undone.

Most are views: the output shares its input's memory.
"""

import math
from functools import lru_cache

import numpy as np

from ..convert import filled, shaped
from .op import Op
from .total import total


def spread(y, shape):
    """y copied out to *shape*; recorded as Expand where y is a Tensor. Faster than numpy's broadcast_to."""
    return filled(shape, y, Expand)


@lru_cache(1024)
def broadcast_dims(wide, shape):
    """The dimensions in which broadcasting made *wide* from *shape*, and whether all of them were there, of size 1.

    None where it could not have.
    """
    lead = len(wide) - len(shape)
    if lead < 0 or any(n not in (1, have) for n, have in zip(shape, wide[lead:], strict=True)):
        return None
    return tuple([i for i, n in enumerate(wide) if i < lead or shape[i - lead] != n]), lead == 0


class SumTo(Op):
    """y = x summed over the dimensions that broadcasting made,  dx = dy broadcast back.  Undoes Expand."""

    symbol = "sum"

    def forward(x, *, shape):
        return shaped(total(x, *broadcast_dims(x.shape, shape)), shape)

    def dx(dy, x_shape):
        return spread(dy, x_shape)


class Expand(Op):
    """y = x broadcast to a larger shape,  dx = dy summed back"""

    view = True

    def forward(x, *, shape):
        if x.size == math.prod(shape) and tuple(shape[len(shape) - x.ndim :]) == x.shape:
            return x.reshape(shape)  # each element once: this can be written to
        return np.broadcast_to(x, shape)

    def dx(dy):
        return dy  # the engine sums it back, as for every op that broadcasts


class View(Op):
    """y = x in another shape, the order of elements kept,  dx = dy in x's shape"""

    view = True

    def forward(x, *, shape):
        return x.reshape(shape)

    def dx(dy, x_shape):
        return dy.reshape(x_shape)


class Permute(Op):
    """y = x with its dimensions in another order,  dx = dy with them put back"""

    view = True

    def forward(x, *, dims):
        return x.transpose(dims)

    def dx(dy, dims):
        back = [0] * len(dims)
        for i, dim in enumerate(dims):
            back[dim] = i
        return dy.transpose(tuple(back))


class SwapAxes(Op):
    """y = x with two dimensions exchanged (a matrix transposed),  dx = dy with them exchanged back"""

    view = True
    symbol = "T"

    def forward(x, *, dim0, dim1):
        return x.swapaxes(dim0, dim1)

    def dx(dy, dim0, dim1):
        return dy.swapaxes(dim0, dim1)


class Flip(Op):
    """y = x in reverse along some dimensions,  dx = dy in reverse"""

    def forward(x, *, dim):
        return np.flip(x, dim).copy()

    def dx(dy, dim):
        return np.flip(dy, dim)


class Roll(Op):
    """y = x shifted round along some dimensions,  dx = dy shifted back"""

    def forward(x, *, shifts, dim=None):
        return np.roll(x, shifts, dim)

    def dx(dy, shifts, dim):
        back = tuple([-s for s in shifts]) if isinstance(shifts, tuple) else -shifts
        return np.roll(dy, back, dim)


class Tril(Op):
    """y = x on and below a diagonal, else 0,  dx = dy there, else 0"""

    def forward(x, *, diagonal=0):
        return np.tril(x, diagonal)

    def dx(dy, diagonal):
        return np.tril(dy, diagonal)


class Triu(Op):
    """y = x on and above a diagonal, else 0,  dx = dy there, else 0"""

    def forward(x, *, diagonal=0):
        return np.triu(x, diagonal)

    def dx(dy, diagonal):
        return np.triu(dy, diagonal)


def in_order(x):
    """x with its memory in the order of its dimensions, as torch makes the results of these ops."""
    return x if x.flags.c_contiguous else x.copy()


class Cat(Op):
    """y = the xs one after another along a dimension,  dx_i = the part of dy that is x_i's"""

    promote = "types"

    def forward(*xs, dim):
        used = [x for x in xs if x.shape != (0,)]  # torch lets an empty 1-d tensor stand beside any other
        return in_order(np.concatenate(used or xs, axis=dim))

    def backward(dy, xs_shape, dim):
        gradients, start, whole = [], 0, (slice(None),) * dim
        for shape in xs_shape:
            if shape == (0,):
                gradients.append(dy.reshape(-1)[:0])
                continue
            gradients.append(dy[(*whole, slice(start, start + shape[dim]))])
            start += shape[dim]
        return gradients


class Stack(Op):
    """y = the xs side by side along a new dimension,  dx_i = row i of dy along it"""

    promote = "types"

    def forward(*xs, dim):
        return in_order(np.stack(xs, axis=dim))

    def backward(dy, xs_shape, dim):
        whole = (slice(None),) * dim
        return [dy[(*whole, i)] for i in range(len(xs_shape))]


class Split(Op):
    """parts = x cut along a dimension,  dx = the parts' gradients one after another, zeros for a part not used"""

    view = True

    def forward(x, *, dim, sections):
        whole = (slice(None),) * dim
        return [x[(*whole, slice(start, stop))] for start, stop in sections]

    def dx(dparts, x_shape, dim, sections):
        lead, tail = x_shape[:dim], x_shape[dim + 1 :]
        rows = [
            np.zeros((*lead, stop - start, *tail), dparts.dtype) if part is None else part
            for part, (start, stop) in zip(dparts.gradients(len(sections)), sections, strict=True)
        ]
        return np.concatenate(rows, axis=dim)


class Unbind(Op):
    """parts = the rows of x along a dimension,  dx = their gradients stacked, zeros for a row not used"""

    view = True

    def forward(x, *, dim):
        whole = (slice(None),) * dim
        return [x[(*whole, i, ...)] for i in range(x.shape[dim])]

    def dx(dparts, x_shape, dim):
        row = x_shape[:dim] + x_shape[dim + 1 :]
        rows = [np.zeros(row, dparts.dtype) if part is None else part for part in dparts.gradients(x_shape[dim])]
        return np.stack(rows, axis=dim)


class Part(Op):
    """part = parts[i],  dparts = dpart at i, beside the other parts' gradients

    One of several outputs: its gradient waits for the others', and zeros stand for those that were not used.
    """

    def forward(parts, *, i):
        return parts[i]

    def dparts(dpart, i, parts_shape):
        return Parts({i: dpart}, parts_shape, dpart.dtype)


class Parts:
    """The gradients of an op with several outputs, gathered before its rule runs: adding two joins them."""

    __slots__ = ("dtype", "held", "shape")

    def __init__(self, held, shape, dtype):
        self.held, self.shape, self.dtype = held, shape, dtype

    def __add__(self, other):
        # Only the walk holds this object, so that joining in place keeps n parts linear.
        # A part has one node, and so no i comes twice.
        self.held.update(other.held)
        return self

    def gradients(self, n):
        """One gradient a part, None for a part that was not used."""
        return [self.held.get(i) for i in range(n)]
