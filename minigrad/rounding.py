"""The roundings of torch's kernels: the arithmetic by which random.py gives torch's numbers to the last bit.

torch's compiler fuses a product and a sum into one operation with one rounding (fma). numpy has none, so it
is made here of sums and products of float64. What torch takes from the C library is taken from there too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def libm(f: Callable[[float], float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """f of the C library, an element at a time: torch calls it for float64, and numpy's differs by an ulp."""
    return np.fromiter(map(f, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b and what the rounding lost (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _round_to_odd(s: NDArray[np.float64], lost: NDArray[np.float64]) -> NDArray[np.float64]:
    """s + lost, to the odd neighbour if inexact: a later rounding then is as if it were the only one."""
    even = (lost != 0) & (s.view(np.int64) & 1 == 0)
    return np.where(even, np.nextafter(s, np.copysign(np.inf, lost)), s)


def fma(a: NDArray[Any], b: float, c: float) -> NDArray[Any]:
    """a * b + c with one rounding, a float32 or float64, b and c numbers of a's dtype; of a's shape.

    Boldo & Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding
    to odd", IEEE Transactions on Computers 57(4).
    """
    if a.dtype == np.float32:
        return _round_to_odd(*_two_sum(a.astype(np.float64) * b, c)).astype(np.float32)
    if abs(b) > 2.0**960:  # the halves below would overflow
        return fma(a, b * 2.0**-64, c * 2.0**-64) * 2.0**64
    p = a * b
    a1 = 134217729.0 * a - (134217729.0 * a - a)  # Dekker: the upper 26 bits
    b1 = 134217729.0 * b - (134217729.0 * b - b)
    lost = ((a1 * b1 - p) + a1 * (b - b1) + (a - a1) * b1) + (a - a1) * (b - b1)
    t, t_lost = _two_sum(np.float64(c), lost)
    s, s_lost = _two_sum(p, t)
    return s + _round_to_odd(*_two_sum(t_lost, s_lost))


def linspace(start: float, end: float, steps: int, dtype: np.dtype) -> NDArray[Any]:
    """So many evenly spaced values: torch counts the first half from the start, the second back from the end."""
    kind = dtype.type
    lo, hi = kind(start), kind(end)
    if steps == 1:
        return np.array([lo])
    step = float((hi - lo) / kind(steps - 1)) if steps else 0.0
    up = fma(np.arange(steps // 2).astype(dtype), step, float(lo))
    down = fma(np.arange(steps - steps // 2 - 1, -1, -1).astype(dtype), -step, float(hi))
    return np.concatenate([up, down])


def affine(x: NDArray[Any], std: float, mean: float) -> NDArray[Any]:
    """fma(x, std, mean), with the short way for the standard normal (+ 0 makes -0 to 0, as fma does)."""
    return x + x.dtype.type(0) if (std, mean) == (1, 0) else fma(x, std, mean)


def box_muller(x: NDArray[Any]) -> None:
    """Uniforms to standard normals in place: x (16 * m,), contiguous, each 16 of them 8 u and 8 v.

    Box & Muller 1958: u, v -> sqrt(-2 log(1 - u)) * (cos(2 pi v), sin(2 pi v)).
    """
    u, v = x.reshape(-1, 2, 8)[:, 0], x.reshape(-1, 2, 8)[:, 1]
    log: NDArray[Any]  # of x's dtype, as sin and cos
    sin: NDArray[Any]
    cos: NDArray[Any]
    if x.dtype == np.float32:
        log = _log32(np.float32(1) - u)
        sin, cos = _sincos32(np.float32(2 * math.pi) * v)
    else:
        log, theta = libm(math.log, 1.0 - u), 2.0 * math.pi * v
        sin, cos = libm(math.sin, theta), libm(math.cos, theta)
    radius = np.sqrt(-2 * log)
    u[:], v[:] = radius * cos, radius * sin


# The float32 logarithm, sine and cosine of torch's AVX2 kernel: the polynomials of S. Moshier's Cephes
# library (logf, sinf, cosf) with fused multiply-adds. Plain float64 does for those: the product is exact, and
# for none of the 2**24 uniforms does the second rounding, to float32, change the result.
_LOG = np.array(
    [7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
     -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1], np.float32).tolist()  # fmt: skip
_SIN = np.array([-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1], np.float32).tolist()
_COS = np.array([2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2], np.float32).tolist()
_LN2 = np.array([-2.12194440e-4, 0.693359375], np.float32).tolist()  # ln 2 in two parts, the small one first
_PI_4 = np.array([-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8], np.float32).tolist()


def _round32(x: NDArray[np.float64]) -> NDArray[np.float32]:
    return x.astype(np.float32)


def _horner(coefficients: list[float], x: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = x.astype(np.float64)
    y = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        y = _round32(y * wide + c)
    return y


def _log32(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """log x for x = m * 2**e, m in [sqrt(1/2), sqrt(2)): e ln 2 + log(1 + (m - 1))."""
    m, exponent = np.frexp(x)
    small = m < np.float32(math.sqrt(0.5))
    m = np.where(small, m + m, m) - np.float32(1)
    e = (exponent - small).astype(np.float32)
    z = m * m
    y = _round32((_horner(_LOG, m) * m) * z.astype(np.float64) + e * np.float32(_LN2[0]))
    y = _round32(y - 0.5 * z.astype(np.float64))
    return _round32(e * np.float64(_LN2[1]) + (m + y))


def _sincos32(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """sin x and cos x for 0 <= x <= 2 pi: x less the nearest multiple of pi / 2, then a polynomial."""
    quarter = ((x * np.float32(4 / math.pi)).astype(np.int32) + 1) >> 1
    for part in _PI_4:
        x = _round32(2 * quarter * np.float64(part) + x)
    z = x * x
    sin = _round32((_horner(_SIN, z) * z) * x.astype(np.float64) + x)
    cos = _round32((_horner(_COS, z) * z) * z.astype(np.float64) - z * np.float32(0.5)) + np.float32(1)
    odd = quarter & 1 == 1
    sin, cos = np.where(odd, cos, sin), np.where(odd, sin, cos)
    return np.where(quarter & 2 != 0, -sin, sin), np.where((quarter + 1) & 2 != 0, -cos, cos)
