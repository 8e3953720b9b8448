"""Sums of many float32 numbers, and functions of them, as near to the truth as torch's: `make parity` measures it."""

import math

import numpy as np


def total(x, dim, keepdim=False):
    """The sum of the floats x over dim: None, an int or several.

    numpy adds in pairs along the dimension whose elements lie closest in memory, and one after the other along any
    other, where the rounding of each step stays in the sum: of 100,000 float32 numbers, three digits. So a long one is
    folded first; up to 32, the lecture's batch, the sum is numpy's own, bit for bit.
    """
    if dim is not None:
        for d in dim if type(dim) is tuple else (dim,):
            if x.shape[d] > 32 and not recorded(x) and abs(x.strides[d]) > min(map(abs, x.strides)):
                x = folded(x, d)
    return np.add.reduce(x, axis=dim, keepdims=keepdim)


def recorded(x):
    """Whether x is a Tensor, whose own sum will see to that."""
    return type(x) is not np.ndarray and hasattr(type(x), "_apply")


def folded(x, d):
    """x with every 8 along d added up, and so on until 8 or fewer are left to add."""
    lead = (slice(None),) * d
    wide = math.prod(x.shape[d + 1 :]) >= 512
    while (n := x.shape[d]) > 8:
        groups, rest = divmod(n, 8)
        # Neighbours if they are long enough to be added fast, or else the first of each eighth, which are longer.
        eights = (groups, 8) if wide else (8, groups)
        y = np.add.reduce(x[(*lead, slice(n - rest))].reshape(*x.shape[:d], *eights, *x.shape[d + 1 :]), d + wide)
        if rest:
            y[(*lead, slice(1))] += np.add.reduce(x[(*lead, slice(n - rest, None))], d, keepdims=True)
        x = y
    return x


def largest(x, dim):
    """The maximum of the floats x along dim, which stays at size 1; -inf of nothing."""
    if isinstance(x, np.ndarray) and dim == x.ndim - 1 and 0 < x.shape[dim] < 32 and x.size >= 2048:
        # Many short rows: numpy takes longer to begin each than to run along it, and is faster across them.
        columns = x.reshape(-1, x.shape[dim]).T.copy()
        return np.maximum.reduce(columns, axis=0).reshape(*x.shape[:-1], 1)
    return np.maximum.reduce(x, axis=dim, keepdims=True, initial=-math.inf)


def through_float64(f, x, into=None):
    """f(x), worked out in float64: numpy's exp, log and the like for float32 are off by up to 3 ulp, torch's by 1.

    A large result goes *into* an array that nobody needs any more (x itself, say) if one is given.
    """
    if x.dtype is FLOAT64:
        return f(x)
    if x.size < 50_000:
        return f(x.astype(FLOAT64)).astype(x.dtype)
    into = np.empty_like(x) if into is None else into
    return f(x, out=into, dtype=FLOAT64, casting="unsafe")  # cast some thousands at a time: no array more


FLOAT64 = np.dtype(np.float64)
