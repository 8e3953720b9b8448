"""Indexing: x[...] and its undoing, which adds up what repeated indices gave.

`index` is a tuple that numpy understands, its arrays plain.
"""

import math

import numpy as np

from ..convert import as_array, row_numbers, row_places, take_index, take_rows, zeros
from .op import Op
from .shape import in_order


class Slice(Op):
    """y = x[index] of ints, slices, None and ...: a view,  dx = zeros with dx[index] = dy"""

    symbol, view = "[]", True

    def forward(x, *, index):
        return x[index]

    def dx(dy, x_shape, index):
        return Place.apply(dy, index=index, shape=x_shape)


class Place(Op):
    """y = zeros with y[index] = x,  dx = dy[index].  Undoes Slice."""

    def forward(x, *, index, shape):
        out = zeros(shape, x)
        out[index] = x
        return out

    def dx(dy, index):
        return Slice.apply(dy, index=index)


class Index(Op):
    """y = x[index] with integer arrays or a mask: a copy,  dx = zeros with dx[index] += dy, row by row in order

    A row that was taken twice gets both gradients: the lecture's dC loop over Xb.
    """

    symbol = "[]"

    def forward(x, *, index):
        if type(x) is np.ndarray and len(index) == 1 and x.ndim > 1 and x.size and x.flags.c_contiguous:
            rows = index[0]
            if type(rows) is np.ndarray and rows.dtype.kind == "i":
                return x.take(rows, axis=0)  # 2 to 10 times as fast as x[rows] for whole rows
        return in_order(x[index])  # numpy lays x[:, [0, 1]] with its dimensions exchanged, and view() would be refused

    def dx(dy, x_shape, index):
        return ScatterIndex.apply(dy, index=index, shape=x_shape)


class ScatterIndex(Op):
    """y = zeros with y[index] += x, repeats added up,  dx = dy[index].  Undoes Index."""

    symbol = "scatter"

    def forward(x, *, index, shape):
        out = zeros(shape, x)
        add_at(out, index, x)
        return out

    def dx(dy, index):
        return Index.apply(dy, index=index)


class IndexAdd(Op):
    """y = x with y[index] += v, repeats added up,  dx = dy,  dv = dy[index]"""

    promote = "types"

    def forward(x, v, *, index):
        out = as_array(x).copy()
        add_at(out, index, v)
        return out

    def dx(dy):
        return dy

    def dv(dy, index):
        return Index.apply(dy, index=index)


class SetItem(Op):
    """y = x with y[index] = v,  dx = dy with dx[index] = 0,  dv = dy[index]

    Of values written to the same place the last stands, and each gets that place's gradient, as in torch.
    """

    symbol = "[]="

    def forward(x, v, *, index):
        out = as_array(x).copy("K")
        out[index] = v
        return out

    def dx(dy, index):
        return SetItem.apply(dy, 0.0, index=index)

    def dv(dy, index):
        return Index.apply(dy, index=index)


class PutFlat(Op):
    """y = x with the elements at flat positions replaced by v,  dx = dy, 0 there,  dv = dy there

    What an in-place change of a view does to its base.
    """

    symbol = "[]="

    def forward(x, v, *, positions):
        out = as_array(x).copy()
        out.reshape(-1)[positions.reshape(-1)] = v.reshape(-1)
        return out

    def dx(dy, positions):
        return PutFlat.apply(dy, np.zeros(positions.shape), positions=positions)

    def dv(dy, positions):
        return Index.apply(dy.reshape(-1), index=(positions,))


class Gather(Op):
    """y = x[i][index[i][j]] along a dimension (here dim 1 of two),  dx = zeros with the same places += dy

    `index` is the tuple of grids that picks those elements.
    """

    def forward(x, *, index):
        return x[index]

    def dx(dy, x_shape, index):
        return ScatterIndex.apply(dy, index=index, shape=x_shape)


class Unfold(Op):
    """y = the windows of x along a dimension, step apart, each as a last dimension of its own: a view

    dx = the windows' gradients added up where they overlap.
    """

    view = True

    def forward(x, *, dim, size, step):
        alone = step >= size  # each element is in one window at most
        windows = np.lib.stride_tricks.sliding_window_view(x, size, dim, writeable=alone and x.flags.writeable)
        return windows[(slice(None),) * dim + (slice(None, None, step),)]

    def dx(dy, x_shape, dim, size, step):
        n = math.prod(x_shape)
        places = Unfold.forward(np.arange(n).reshape(x_shape), dim=dim, size=size, step=step)
        return ScatterIndex.apply(dy, index=(np.ascontiguousarray(places),), shape=(n,)).reshape(x_shape)


def grid(index, dim):
    """The tuple that picks x[i][index[i, j]] (for dim 1): index along dim, every other position as it stands."""
    n = index.ndim
    places = [row_numbers(size).reshape([-1 if i == d else 1 for i in range(n)]) for d, size in enumerate(index.shape)]
    places[dim] = index
    return tuple(places)


def add_at(out, index, values):
    """out[index] += values with repeats added up in order; out is C-contiguous.

    np.add.at is fast on flat positions alone (2 to 4 times its speed on rows), so those are worked out first. It
    adds one by one in the order given, which makes the sum the same, to the bit, as the loop's.
    """
    positions = flat_positions(out.shape, index)
    if values.shape != positions.shape:
        values = np.broadcast_to(values, positions.shape)
    np.add.at(out.reshape(-1), positions.reshape(-1), values.reshape(-1))


def flat_positions(shape, index):
    """Where x[index] stands in x.reshape(-1), in the shape of x[index]."""
    for i in index:
        if not isinstance(i, np.ndarray) or i.dtype.kind == "b":
            return take_index(np.arange(math.prod(shape)).reshape(shape), index)
    rest = math.prod(shape[len(index) :])
    if len(index) == 1 and shape[0] <= index[0].size:
        # Many picks of few rows: of a table of where each row's elements stand, which is faster to take than to add up.
        rows = index[0]
        return take_rows(row_places(shape[0], rest), rows).reshape(rows.shape + shape[1:])
    positions, step = 0, rest
    for i, n in zip(reversed(index), reversed(shape[: len(index)]), strict=True):
        positions = positions + i % n * step  # negative ones count from the end
        step *= n
    if len(index) < len(shape):
        tail = shape[len(index) :]
        positions = np.reshape(positions, positions.shape + (1,) * len(tail)) + np.arange(rest).reshape(tail)
    return as_array(positions)
