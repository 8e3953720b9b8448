"""tanh of float32 numbers: numpy's own is off by up to 1.4 ulp, torch's by 0.51, and the slope 1 - h**2 doubles that.

It is worked out in float64 where numpy has AVX-512 code for that. Without, numpy takes as long for tanh in float64 as
for all else of the lecture's forward pass, so there it comes from a table, in float32, off by 0.55 ulp.
"""

from functools import cache

import numpy as np

from .total import FLOAT64, through_float64

MANY = 1024  # elements from which on the table pays, which is 25 calls of numpy
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
    """Memory to work in: five arrays of float32, one of indices and one of float64."""

    __slots__ = ("all", "size", "used")

    def __init__(self):
        self.all = (*np.empty((5, BLOCK), np.float32), np.empty(BLOCK, np.intp), np.empty(BLOCK))
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


def by_table(x, h, a, b, T, rest, s, at, wide):
    """With a the multiple of 1/256 next to x, b = x - a, and T = tanh(a) from the table, the addition theorem says

        h = T + (1 - T**2) * tanh(b) / (1 + T * tanh(b))
          = T + b - b * r,  r = (b**2 / 3 + T * (T + b)) / (1 + T * b)  up to b**3 / 100

    T is kept as the sum of two float32, and what rounding takes off T + b is added again at the end.
    """
    high, low, limits, shift, first, third, one = _table()
    x.clip(*limits, b)  # beyond, h is 1
    np.add(b, shift, a)  # rounds to multiples of 1/256 ...
    n = s.view(np.int32)
    np.subtract(a.view(np.int32), first, n)  # ... which count up in the bits
    at[...] = n
    np.subtract(a, shift, a)
    np.subtract(b, a, b)
    high.take(at, out=T, mode="clip")
    low.take(at, out=rest, mode="clip")
    np.add(T, b, s)
    np.subtract(s, T, a)
    np.subtract(b, a, a)
    np.add(rest, a, rest)  # s + rest is T + b to some 40 bits
    np.multiply(b, b, a)
    np.multiply(a, third, a)
    np.multiply(T, b, h)
    np.multiply(T, s, T)
    np.add(T, a, T)
    np.add(h, one, h)
    np.divide(T, h, T)
    np.multiply(T, b, T)
    np.subtract(T, rest, T)
    np.subtract(s, T, h)


@cache
def _table():
    limits = np.array([-9.1, 9.1], np.float32)  # from 9.011 on, the nearest float32 is 1
    n = 256 * 9 + 64
    exact = np.tanh(np.arange(-n, n + 1) / 256)
    high = exact.astype(np.float32)
    low = (exact - high).astype(np.float32)
    high[n] = low[n] = -0.0  # so that tanh(-0.) is -0.
    shift = np.array(1.5 * 2**15, np.float32)  # numbers of this size are 1/256 apart
    first = shift.view(np.int32) - np.int32(n)
    return high, low, (limits[:1], limits[1:]), shift, first, np.array(1 / 3, np.float32), np.array(1, np.float32)


WIDE = fast_in_float64()
