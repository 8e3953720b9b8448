"""Reductions: many numbers in, one out along some dimensions.

`dim` is None (all), an int or a tuple of ints, never negative here; `keepdim` leaves reduced dimensions at size 1.
"""

import math

import numpy as np

from .elementwise import Cast, Exp, Sign
from .indexing import Place, grid
from .op import Op
from .shape import spread
from .total import through_float64, total


def kept(y, x_shape, dim):
    """y as if it had been reduced with keepdim, or one number: broadcastable against x."""
    if dim is None or len(y.shape) == len(x_shape):
        return y
    dims = dim if isinstance(dim, tuple) else (dim,)
    return y.reshape(tuple([1 if i in dims else n for i, n in enumerate(x_shape)]))


def count(x_shape, dim):
    """How many elements go into each result."""
    dims = range(len(x_shape)) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    return math.prod([x_shape[i] for i in dims])


class Sum(Op):
    """y = sum(x),  dx = dy broadcast to x's shape"""

    def forward(x, *, dim=None, keepdim=False):
        if x.dtype.kind != "f":
            return x.sum(dim, np.int64, keepdims=keepdim)
        return total(x, dim, keepdim)

    def dx(dy, x_shape, dim):
        return spread(kept(dy, x_shape, dim), x_shape)


class Mean(Op):
    """y = sum(x) / n,  dx = dy / n broadcast to x's shape"""

    def forward(x, *, dim=None, keepdim=False):
        return total(x, dim, keepdim) / x.dtype.type(count(x.shape, dim))

    def dx(dy, x_shape, dim):
        n = count(x_shape, dim)
        return spread(kept(dy / n if n else dy, x_shape, dim), x_shape)


class Var(Op):
    """v = sum((x - mean(x))**2) / (n - correction),  dx = 2 * (x - mean(x)) / (n - correction) * dv

    In two passes, which loses nothing where the mean is large, and in float64, as in torch. With n = correction both
    are nan, as in torch.
    """

    def forward(x, *, dim=None, correction=1, keepdim=False):
        return variance(x, dim, correction, keepdim).astype(x.dtype, copy=False)

    def dx(dv, x, dim, correction):
        return slope(count(x.shape, dim), correction) * kept(dv, x.shape, dim) * centred(x, dim)


class Std(Op):
    """s = sqrt(var(x)),  dx = (x - mean(x)) / (n - correction) / s * ds.  Where s = 0: 0."""

    def forward(x, *, dim=None, correction=1, keepdim=False):
        return np.sqrt(variance(x, dim, correction, keepdim)).astype(x.dtype, copy=False)

    def dx(ds, s, x, dim, correction):
        dv = np.where(s == 0, 0.0, ds / (s * 2))
        return slope(count(x.shape, dim), correction) * kept(dv, x.shape, dim) * centred(x, dim)


def centred(x, dim):
    """x less its mean, in float64: in float32, the rounding of a large mean would stay in every element."""
    x = Cast.apply(x, dtype=np.float64)
    return x - Mean.apply(x, dim=dim, keepdim=True)


def variance(x, dim, correction, keepdim):
    """The two-pass variance in float64, divided by n - correction (nan or inf where that is not positive)."""
    free = max(count(x.shape, dim) - correction, 0)
    diff = centred(x, dim)
    return total(diff * diff, dim, keepdim) / np.float64(free)


def slope(n, correction):
    """2 / (n - correction), inf where that is 0; 0 where there are no elements that could get it."""
    return 2 / (n - correction) if n != correction else math.inf if n else 0.0


class MaxDim(Op):
    """m, indices = max(x, dim),  dx = dm at the index returned, else 0 (a tie goes to that index alone)

    The lecture's logit_maxes: one_hot(indices) * dm.
    """

    symbol, keeps, constant_extras = "max", ("indices",), True

    def forward(x, *, dim, keepdim=False):
        return pick(x, np.argmax(x, axis=dim, keepdims=True), dim, keepdim)

    def dx(dm, indices, x_shape, dim):
        return put_back(dm, indices, x_shape, dim)


class MinDim(Op):
    """m, indices = min(x, dim),  dx = dm at the index returned, else 0 (a tie goes to that index alone)"""

    symbol, keeps, constant_extras = "min", ("indices",), True

    def forward(x, *, dim, keepdim=False):
        return pick(x, np.argmin(x, axis=dim, keepdims=True), dim, keepdim)

    def dx(dm, indices, x_shape, dim):
        return put_back(dm, indices, x_shape, dim)


def pick(x, indices, dim, keepdim):
    """The values at these indices along dim, and the indices."""
    if x.ndim == 0:
        return x.copy(), indices
    values = x[grid(indices, dim)]
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


def put_back(dm, indices, x_shape, dim):
    """Zeros with dm where the index along dim is the one picked."""
    if not x_shape:
        return dm
    return Place.apply(kept(dm, x_shape, dim), index=grid(kept(indices, x_shape, dim), dim), shape=x_shape)


class Amax(Op):
    """m = max(x),  dx = dm / k at each of the k elements equal to m.  A nan in x makes all of it nan."""

    def forward(x, *, dim=None, keepdim=False):
        return np.maximum.reduce(x, axis=dim, keepdims=keepdim)

    def dx(dm, m, x, dim):
        mask = x == kept(m, x.shape, dim)
        return kept(dm, x.shape, dim) * mask / mask.sum(axis=dim, keepdims=True)  # nan where m is: torch's 0 / 0


class Amin(Op):
    """m = min(x),  dx = dm / k at each of the k elements equal to m.  A nan in x makes all of it nan."""

    def forward(x, *, dim=None, keepdim=False):
        return np.minimum.reduce(x, axis=dim, keepdims=keepdim)

    def dx(dm, m, x, dim):
        mask = x == kept(m, x.shape, dim)
        return kept(dm, x.shape, dim) * mask / mask.sum(axis=dim, keepdims=True)  # nan where m is: torch's 0 / 0


class MaxAll(Op):
    """m = max(x) over all of x,  dx = dm / k at each of the k elements equal to m, or at the nans if there are any"""

    symbol = "max"

    def forward(x):
        return np.maximum.reduce(x, axis=None)

    def dx(dm, m, x):
        return shared(dm, (x == m) | (x != x))  # a nan in x makes m nan


class MinAll(Op):
    """m = min(x) over all of x,  dx = dm / k at each of the k elements equal to m, or at the nans if there are any"""

    symbol = "min"

    def forward(x):
        return np.minimum.reduce(x, axis=None)

    def dx(dm, m, x):
        return shared(dm, (x == m) | (x != x))  # a nan in x makes m nan


class Median(Op):
    """m = the lower median of all of x,  dx = dm / k at each of the k elements equal to m, or at the nans"""

    def forward(x):
        if not x.size:
            return x.dtype.type(math.nan)
        flat = x.reshape(-1)
        if x.dtype.kind == "f" and np.isnan(flat).any():
            return x.dtype.type(math.nan)
        middle = (x.size - 1) // 2
        return np.partition(flat, middle)[middle]

    def dx(dm, m, x):
        return shared(dm, (x == m) | (x != x))  # a nan in x makes m nan


def shared(dm, mask):
    """dm in equal parts to the elements in mask; 0 to the others, also of an infinite dm."""
    return np.where(mask, dm / mask.sum(), 0)


class Prod(Op):
    """y = prod(x),  dx_i = dy * (product of the other elements)

    That is y / x_i where no element is 0. With one 0 only its own gradient is not 0; with two or more all are 0,
    but with two they change with each other: each one's is (product of the rest) * (the other zero).
    """

    def forward(x, *, dim=None, keepdim=False):
        return np.multiply.reduce(x, axis=dim, keepdims=keepdim)

    def dx(dy, x, dim):
        zero = x == 0
        zeros = zero.sum(axis=dim, keepdims=True)
        others = np.where(zero, 1.0, x)
        product = others.prod(axis=dim, keepdims=True)
        # The zeros stand as factors, 0 in value, so that the second derivative through them is right.
        factor = np.where(zero, x, 0.0).sum(axis=dim, keepdims=True)
        one = np.where(zero, product, factor * product / others)
        two = np.where(zero & (zeros == 2), product * (factor - x), 0.0)
        return kept(dy, x.shape, dim) * np.where(zeros == 0, product / others, np.where(zeros == 1, one, two))


class LogSumExp(Op):
    """y = log(sum(exp(x))),  dx = exp(x - y) * dy

    Shifted by the maximum, so that exp cannot overflow. All -inf: y = -inf with gradient nan, as in torch.
    """

    promote = "float"

    def forward(x, *, dim, keepdim=False):
        shift = np.maximum.reduce(x, axis=dim, keepdims=True, initial=-math.inf)
        shift = np.where(np.isfinite(shift), shift, x.dtype.type(0))
        y = shift + through_float64(np.log, total(through_float64(np.exp, x - shift), dim, keepdim=True))
        return y if keepdim else y.squeeze(dim)

    def dx(dy, y, x, dim):
        return Exp.apply(x - kept(y, x.shape, dim)) * kept(dy, x.shape, dim)


class Norm(Op):
    """y = sum(|x|**p)**(1/p),  dx = sign(x) * (|x| / y)**(p - 1) * dy.  Where y = 0: 0.

    p = inf: the largest |x|, the gradient in equal parts to those that have it. p = 0: the number of x that are not 0,
    which has no gradient.
    """

    def forward(x, *, p=2.0, dim=None, keepdim=False):
        size = np.abs(x)
        if p == math.inf:
            return np.maximum.reduce(size, axis=dim, keepdims=keepdim)
        if p == -math.inf:
            return np.minimum.reduce(size, axis=dim, keepdims=keepdim)
        if p == 0:
            return total((x != 0).astype(x.dtype), dim, keepdim)
        if p == 1:
            return total(size, dim, keepdim)
        if p == 2:
            return np.sqrt(total(x * x, dim, keepdim))
        return total(size**p, dim, keepdim) ** (1 / p)

    def dx(dy, y, x, p, dim):
        y, dy = kept(y, x.shape, dim), kept(dy, x.shape, dim)
        if p == 0:
            return None
        if p == 1:
            return Sign.apply(x) * dy
        if p in (math.inf, -math.inf):
            size = np.abs(x)
            mask = (size == y) | (size != size)
            return Sign.apply(x) * mask * (dy / mask.sum(axis=dim, keepdims=True))
        # At y = 0 the slope has no one value, and for p < 1 it is infinite at x = 0: torch says 0.
        if p == 2:
            return np.where(y == 0, 0.0, x / y) * dy
        slope = x * np.abs(x) ** (p - 2) if p > 2 else Sign.apply(x) * np.abs(x) ** (p - 1)
        if p < 1:
            slope = np.where(x == 0, 0.0, slope)
        return slope * np.where(y == 0, 0.0, dy / y ** (p - 1))


class CumSum(Op):
    """y_i = x_0 + ... + x_i,  dx_i = dy_i + ... + dy_last: the sum run backward.  Added up in float64, as in torch."""

    def forward(x, *, dim):
        return np.cumsum(x, axis=dim, dtype=np.float64).astype(x.dtype, copy=False) if x.ndim else x.copy()

    def dx(dy, dim):
        if not dy.shape:
            return dy
        return np.flip(CumSum.apply(np.flip(dy, dim), dim=dim), dim)


class ArgMax(Op):
    """The index of the first largest element; no gradient."""

    integer_only = True

    def forward(x, *, dim=None, keepdim=False):
        return np.argmax(x, axis=dim, keepdims=keepdim)


class ArgMin(Op):
    """The index of the first smallest element; no gradient."""

    integer_only = True

    def forward(x, *, dim=None, keepdim=False):
        return np.argmin(x, axis=dim, keepdims=keepdim)
