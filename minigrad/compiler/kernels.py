# mypy: ignore-errors
"""Functions for compiled loops, in float32, without branches or calls, so that a compiler makes vector code of them.

Within 2 units in the last place of the truth (tests/compiler/test_numba.py measures it). Imported with numba only.
Source: S. Moshier, Cephes mathematical library, single precision (expf, tanhf); minimax polynomials on reduced ranges.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

f4, i4 = np.float32, np.int32


@intrinsic  # type: ignore[untyped-decorator]
def _from_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 of these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return numba.float32(numba.int32), generate


@intrinsic  # type: ignore[untyped-decorator]
def pointer(typing_context: Any, address: Any) -> Any:
    """Where an array lies, for carray()."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return numba.types.voidptr(numba.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def plus(typing_context: Any, x: Any, y: Any) -> Any:
    """x + y of a sum: in any order, so that it is added up in vectors. All other arithmetic keeps the order it has."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args, flags=("reassoc", "nsz"))

    return x(x, x), generate


@intrinsic  # type: ignore[untyped-decorator]
def fma(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once where the machine has an instruction for that."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        product = builder.fmul(args[0], args[1], flags=("contract",))
        return builder.fadd(product, args[2], flags=("contract",))

    return x(x, x, x), generate


@numba.njit(error_model="numpy", fastmath=False, forceinline=True)
def _reduced(x, half):
    """(n, exp(r) - 1) with x = n log(2) + r; half: 0.5 with the sign of x."""
    n = i4(fma(x, f4(1.44269504088896341), half))
    k = f4(n)
    r = fma(k, f4(2.12194440e-4), fma(k, f4(-0.693359375), x))
    p = fma(f4(1.9875691500e-4), r, f4(1.3981999507e-3))
    p = fma(p, r, f4(8.3334519073e-3))
    p = fma(p, r, f4(4.1665795894e-2))
    p = fma(p, r, f4(1.6666665459e-1))
    p = fma(p, r, f4(5.0000001201e-1))
    return n, fma(p * r, r, r)


@numba.njit(error_model="numpy", fastmath=False, forceinline=True)
def exp32(x):
    x = f4(-104.0) if x < f4(-104.0) else x  # in this form nan stays, and it is one instruction
    x = f4(89.0) if x > f4(89.0) else x
    n, p = _reduced(x, f4(0.5) if x >= f4(0.0) else f4(-0.5))
    # In two factors, since 2**n alone has no float32 at either end.
    half = n >> i4(1)
    low = _from_bits(i4((half + i4(127)) << i4(23)))
    high = _from_bits(i4((n - half + i4(127)) << i4(23)))
    return (p + f4(1.0)) * low * high


@numba.njit(error_model="numpy", fastmath=False, forceinline=True)
def tanh32(x):
    # e / (e + 2) with e = exp(2|x|) - 1, whose parts stay exact near 0: one way for every x, so that it is vector code.
    a = abs(x)
    n, p = _reduced((f4(10.0) if a > f4(10.0) else a) * f4(2.0), f4(0.5))
    s = _from_bits(i4((n + i4(127)) << i4(23)))
    e = fma(p, s, s - f4(1.0))
    return math.copysign(e / (e + f4(2.0)), x)


@numba.njit(error_model="numpy", fastmath=False, forceinline=True)
def log32(x):
    return f4(math.log(x)) if x > f4(0.0) else (f4(-math.inf) if x == f4(0.0) else f4(math.nan))


@numba.njit(error_model="numpy", fastmath=False, forceinline=True)
def log64(x):
    return math.log(x) if x > 0.0 else (-math.inf if x == 0.0 else math.nan)


@numba.njit(error_model="numpy", fastmath=False, forceinline=True)
def maximum(x, y):
    return x if x >= y or x != x else y


@numba.njit(error_model="numpy", fastmath=False, forceinline=True)
def minimum(x, y):
    return x if x <= y or x != x else y
