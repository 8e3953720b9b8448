"""tanh of float32 numbers: numpy's own is off by up to 1.4 ulp, torch's by 0.51, and the slope 1 - h**2 doubles that.

It is worked out in float64 where numpy has AVX-512 code for that. Without, numpy takes as long for tanh in float64 as
for all else of the lecture's forward pass, so there it comes from a table, in float32, off by 0.55 ulp.
"""

from functools import cache
from math import isfinite

import numpy as np

from .total import FLOAT64, through_float64

MANY = 1024  # elements from which on the table pays, which is 15 calls of numpy
BLOCK = 8192  # elements that are worked on at a time, so that all that is made of them stays in the cache


def tanh(x):
    """tanh of the floats x."""
    if x.dtype is FLOAT64 or x.size < MANY:
        return through_float64(np.tanh, x)
    if type(x) is not np.ndarray and hasattr(type(x), "through"):
        return x.through(tanh32)
    return tanh32(x)


def tanh32(x, out=None):
    """tanh of the float32 array x, into *out*, which may be x itself, or a new array."""
    out = np.empty_like(x) if out is None else out
    if not (x.flags.c_contiguous and out.flags.c_contiguous):
        out[...] = tanh32(np.ascontiguousarray(x))
        return out
    try:
        scratch = _idle.pop()
    except IndexError:
        scratch = Scratch()
    work = by_float64 if WIDE else by_table
    x, h = x.reshape(-1), out.reshape(-1)
    for start in range(0, x.size, BLOCK):
        part = x[start : start + BLOCK]
        if part.size != scratch.size:
            scratch.fit(part.size)
        work(part, h[start : start + BLOCK], *scratch.used)
    _idle.append(scratch)
    return out


class Scratch:
    """Memory to work in: four arrays of float32, the bits of two of them, one of indices and one of float64."""

    __slots__ = ("all", "size", "used")

    def __init__(self):
        floats = np.empty((4, BLOCK), np.float32)
        self.all = (*floats, *floats[2:].view(np.uint32), np.empty(BLOCK, np.intp), np.empty(BLOCK))
        self.size, self.used = BLOCK, self.all

    def fit(self, size):
        """Let `used` be the arrays with so many elements."""
        self.size, self.used = size, tuple([x[:size] for x in self.all])


tanh32.__name__ = "tanh"  # by which the numba backend knows it
_idle: list[Scratch] = []  # scratch memory that no thread is using just now


def fast_in_float64():
    """Whether numpy's tanh in float64 runs on AVX-512 here."""
    try:
        from numpy.lib.introspect import opt_func_info
    except ImportError:  # before numpy 2.1
        return True
    used = opt_func_info("^tanh$", "float64")["tanh"]["dd"]["current"]
    return "X86_V4" in used or "AVX512" in used


def by_float64(x, h, *scratch):
    wide = scratch[-1]
    wide[...] = x
    np.tanh(wide, wide)
    h[...] = wide


def by_table(x, h, T, rest, b, w, a, n, at, wide):
    """With a the float next to x whose last 15 bits are 0, b = x - a, and T = tanh(a) from the table, it is

        h = T + b * (1 - T**2) * (1 - T * b)  up to b**3 * (1 - T**2) / 3, at most 0.04 ulp

    What rounding takes off T stands in a table of its own. Nothing is asked of the size of x: beyond 9.1, T is 1.
    """
    high, low, half, mask, shift, one, limits = _table()
    if not isfinite(np.vdot(x, x)):  # which does not warn, as the sum of x would
        x = x.clip(*limits)
    np.add(x.view(np.uint32), half, n)
    np.bitwise_and(n, mask, a)
    np.right_shift(n, shift, n)
    at[...] = n
    high.take(at, out=T, mode="wrap")
    low.take(at, out=rest, mode="wrap")
    np.subtract(x, b, b)
    np.multiply(b, T, w)
    np.multiply(T, w, h)
    np.subtract(h, b, h)
    np.subtract(one, w, w)
    np.multiply(h, w, h)
    np.subtract(h, rest, h)
    np.subtract(T, h, h)


@cache
def _table():
    """tanh of all floats whose last 15 bits are 0, in two parts, by their first 17 bits; and the numbers needed."""
    a = (np.arange(2**17, dtype=np.uint32) << np.uint32(15)).view(np.float32)
    with np.errstate(invalid="ignore"):  # some are nan
        exact = np.tanh(a.astype(np.float64))
        high = exact.astype(np.float32)
        low = (exact - high).astype(np.float32)
    bits = [np.array(n, np.uint32) for n in (2**14, 2**32 - 2**15, 15)]
    return high, low, *bits, np.array(1, np.float32), np.array([[-10], [10]], np.float32)


WIDE = fast_in_float64()
