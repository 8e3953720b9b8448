"""Elementwise rules: one number in (or two), one out. Broadcasting is undone by the engine, not here.

Edge cases follow torch: see each docstring.
"""

import numpy as np

from .compare import divisor
from .hyperbolic import tanh
from .op import Op
from .total import through_float64

# ---------------------------------------------------------------------------------------------- arithmetic


class Add(Op):
    """z = x + y,  dx = dz,  dy = dz"""

    symbol, promote = "+", "types"

    def forward(x, y):
        return x + y

    def dx(dz):
        return dz

    def dy(dz):
        return dz


class Sub(Op):
    """z = x - y,  dx = dz,  dy = -dz"""

    symbol, promote = "-", "types"

    def forward(x, y):
        return x - y

    def dx(dz):
        return dz

    def dy(dz):
        return -dz


class Mul(Op):
    """z = x * y,  dx = dz * y,  dy = dz * x"""

    symbol, promote = "*", "types"

    def forward(x, y):
        return x * y

    def dx(dz, y):
        return dz * y

    def dy(dz, x):
        return dz * x


class Div(Op):
    """z = x / y,  dx = dz / y,  dy = -dz * x / y / y

    Integers are divided as floats. At y = 0: inf or nan, as IEEE 754 says.
    """

    symbol, promote = "/", "float"

    def forward(x, y):
        return x / y

    def dx(dz, y):
        return dz / y

    def dy(dz, x, y):
        return -dz * (x / y / y)  # and not of z, which may be changed in place


class Neg(Op):
    """y = -x,  dx = -dy"""

    symbol, promote = "-", "numbers"

    def forward(x):
        return -x

    def dx(dy):
        return -dy


class Pow(Op):
    """z = x ** y,  dx = dz * y * x**(y - 1),  dy = dz * z * log(x)

    At y = 0, dx is 0 for every x. At x = 0, dy is 0 for y >= 0 and -inf below; for x < 0 it is nan.
    """

    symbol, promote = "**", "numbers"

    def forward(x, y):
        return x**y

    def dx(dz, x, y):
        return np.where(y == 0, 0.0, dz * (y * x ** (y - 1)))

    def dy(dz, z, x, y):
        return dz * np.where((x == 0) & (y >= 0), 0.0, z * Log.apply(x))


class PowScalar(Op):
    """y = x ** n,  dx = n * x**(n - 1) * dy

    n is a Python number and gets no gradient. At n = 0, dx is 0 for every x, also where 0 * x**-1 would be nan.
    For n = -1/2, y = 1 / sqrt(x), as in torch: faster, and nan at -inf.
    """

    symbol = "**"

    def forward(x, *, n):
        if n == -0.5:
            return 1 / np.sqrt(x)
        if n % 1 == 0 or n == 0.5:
            return x**n
        return np.float_power(x, n).astype(x.dtype, copy=False)

    def dx(dy, x, n):
        if n == 0:
            return np.zeros_like(dy)
        return n * (x if n == 2 else PowScalar.apply(x, n=n - 1)) * dy


class Remainder(Op):
    """z = x - y * floor(x / y) (the sign of y, as Python's %),  dx = dz,  dy = -dz * floor(x / y)"""

    symbol, promote = "%", "numbers"

    def forward(x, y):
        return x % divisor(y)

    def dx(dz):
        return dz

    def dy(dz, x, y):
        return -dz * (x // y)


# ----------------------------------------------------------------------------------------- exp, log, roots


class Exp(Op):
    """y = exp(x),  dx = y * dy"""

    promote = "float"

    def forward(x):
        return through_float64(np.exp, x)

    def dx(dy, y):
        return y * dy


class Expm1(Op):
    """y = exp(x) - 1, exact for small x,  dx = (y + 1) * dy"""

    promote = "float"

    def forward(x):
        return through_float64(np.expm1, x)

    def dx(dy, y):
        return (y + 1) * dy


class Log(Op):
    """y = log(x),  dx = dy / x.  At 0: y = -inf and dx = inf; below: nan."""

    promote = "float"

    def forward(x):
        return through_float64(np.log, x)

    def dx(dy, x):
        return dy / x


class Log1p(Op):
    """y = log(1 + x), exact for small x,  dx = dy / (1 + x)"""

    promote = "float"

    def forward(x):
        return through_float64(np.log1p, x)

    def dx(dy, x):
        return dy / (x + 1)


class Log2(Op):
    """y = log2(x),  dx = dy / (x * log(2))"""

    promote = "float"

    def forward(x):
        return through_float64(np.log2, x)

    def dx(dy, x):
        return dy / (x * 0.6931471805599453)


class Log10(Op):
    """y = log10(x),  dx = dy / (x * log(10))"""

    promote = "float"

    def forward(x):
        return through_float64(np.log10, x)

    def dx(dy, x):
        return dy / (x * 2.302585092994046)


class Sqrt(Op):
    """y = sqrt(x),  dx = dy / (2 * y).  At 0: inf (and 0 * inf = nan for a zero gradient)."""

    promote = "float"

    def forward(x):
        return np.sqrt(x)

    def dx(dy, y):
        return dy / (2 * y)


# ------------------------------------------------------------------------------------------ nonlinearities


class Tanh(Op):
    """h = tanh(x),  dx = (1 - h**2) * dh"""

    promote = "float"

    def forward(x):
        return tanh(x)

    def dx(dh, h):
        return (1 - h * h) * dh


class Sigmoid(Op):
    """s = 1 / (1 + exp(-x)),  dx = s * (1 - s) * ds

    Where exp(-x) overflows to inf, s is the 0 that it should be.
    """

    promote = "float"

    def forward(x):
        return (1 / (1 + np.exp(-x, dtype=np.float64))).astype(x.dtype, copy=False)

    def dx(ds, s):
        return ds * (1 - s) * s


class Relu(Op):
    """y = max(x, 0),  dx = dy where y > 0, else 0

    At 0 the gradient is 0; at nan it passes, as torch's does.
    """

    promote = "numbers"

    def forward(x):
        if isinstance(x, np.generic):  # a number: np.maximum and np.where take ten times as long as a comparison
            return x.dtype.type(0) if x <= 0 else x
        return np.maximum(x, x.dtype.type(0))

    def dx(dy, y):
        if isinstance(dy, np.generic):
            return dy.dtype.type(0) if y <= 0 else dy
        return np.where(y <= 0, 0.0, dy)


class Sin(Op):
    """y = sin(x),  dx = cos(x) * dy"""

    promote = "float"

    def forward(x):
        return through_float64(np.sin, x)

    def dx(dy, x):
        return dy * Cos.apply(x)


class Cos(Op):
    """y = cos(x),  dx = -sin(x) * dy"""

    promote = "float"

    def forward(x):
        return through_float64(np.cos, x)

    def dx(dy, x):
        return dy * -Sin.apply(x)


# ---------------------------------------------------------------------------------- steps, corners, choices


class Abs(Op):
    """y = |x|,  dx = sign(x) * dy.  At 0 and nan: 0."""

    symbol, promote = "|x|", "numbers"

    def forward(x):
        return np.abs(x)

    def dx(dy, x):
        return dy * Sign.apply(x)


class Sign(Op):
    """y = -1, 0 or 1,  dx = 0 (the steps' own slope is nowhere seen).  At nan: 0, as in torch."""

    def forward(x):
        return (x > 0).astype(x.dtype) - (x < 0) if x.dtype.kind != "b" else x.copy()

    def dx(dy):
        return np.zeros_like(dy)


class Round(Op):
    """y = x to so many decimals, halves to even,  dx = 0"""

    promote = "numbers"

    def forward(x, *, decimals=0):
        return np.round(x, decimals)

    def dx(dy):
        return np.zeros_like(dy)


class Floor(Op):
    """y = the largest integer <= x,  dx = 0"""

    promote = "numbers"

    def forward(x):
        return np.floor(x)

    def dx(dy):
        return np.zeros_like(dy)


class Ceil(Op):
    """y = the smallest integer >= x,  dx = 0"""

    promote = "numbers"

    def forward(x):
        return np.ceil(x)

    def dx(dy):
        return np.zeros_like(dy)


class DivRound(Op):
    """z = x / y rounded down (mode "floor") or toward 0 ("trunc"),  dx = 0,  dy = 0"""

    promote = "numbers"

    def forward(x, y, *, mode):
        z = x // divisor(y)
        if mode == "floor":
            return z
        return np.trunc(x / y) if z.dtype.kind == "f" else z + ((z < 0) & (z * y != x))

    def dx(dz):
        return np.zeros_like(dz)

    def dy(dz):
        return np.zeros_like(dz)


class Maximum(Op):
    """z = max(x, y),  dx = dz where x > y,  dy = dz where y > x;  half each at a tie, all to both at a nan"""

    promote = "types"

    def forward(x, y):
        return np.maximum(x, y)

    def dx(dz, x, y):
        return np.where(x == y, dz / 2, np.where(x < y, 0.0, dz))

    def dy(dz, x, y):
        return np.where(x == y, dz / 2, np.where(x > y, 0.0, dz))


class Minimum(Op):
    """z = min(x, y),  dx = dz where x < y,  dy = dz where y < x;  half each at a tie, all to both at a nan"""

    promote = "types"

    def forward(x, y):
        return np.minimum(x, y)

    def dx(dz, x, y):
        return np.where(x == y, dz / 2, np.where(x > y, 0.0, dz))

    def dy(dz, x, y):
        return np.where(x == y, dz / 2, np.where(x < y, 0.0, dz))


class Clamp(Op):
    """y = min(max(x, lo), hi),  dx = dy if lo <= x <= hi,  dlo = dy if x < lo < hi,  dhi = dy if x > hi or lo > hi

    At a bound x keeps the gradient; at nan it is 0. A bound that is None is not applied.
    """

    promote = "types"

    def forward(x, lo, hi):
        if lo is not None:
            x = np.maximum(x, lo)
        return np.minimum(x, hi) if hi is not None else x

    def dx(dy, x, lo, hi):
        inside = (x >= lo) & (x <= hi) if lo is not None and hi is not None else x >= lo if hi is None else x <= hi
        return np.where(inside, dy, 0.0)

    def dlo(dy, x, lo, hi):
        return np.where(x < lo if hi is None else (x < lo) & (lo < hi), dy, 0.0)

    def dhi(dy, x, lo, hi):
        return np.where(x > hi if lo is None else (x > hi) | (hi < lo), dy, 0.0)


class Where(Op):
    """z = x where c, else y,  dx = dz where c, else 0,  dy = 0 where c, else dz

    The branch not taken gets exactly 0, whatever its value. But a nan that the branch's own rule makes of that 0
    stays (sqrt at 0): put a second where inside the branch.
    """

    promote = "branches"

    def forward(c, x, y):
        return np.where(c, x, y)

    def dx(dz, c):
        return np.where(c, dz, 0.0)

    def dy(dz, c):
        return np.where(c, 0.0, dz)


class Cast(Op):
    """y = x in another dtype,  dx = dy in the input's dtype"""

    def forward(x, *, dtype):
        return x.astype(dtype)

    def dx(dy):
        return dy  # the engine casts a gradient to its input's dtype


class Clone(Op):
    """y = a copy of x,  dx = dy"""

    def forward(x):
        return x.copy()

    def dx(dy):
        return dy
