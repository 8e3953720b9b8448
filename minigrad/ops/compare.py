"""Comparisons and logic: bools out, no gradient."""

import numpy as np

from .op import Op


class Comparison(Op):
    """Base of these: no gradient exists."""

    integer_only, promote = True, "types"


class Equal(Comparison):
    """z = x == y"""

    symbol = "=="

    def forward(x, y):
        return x == y


class NotEqual(Comparison):
    """z = x != y"""

    symbol = "!="

    def forward(x, y):
        return x != y


class Less(Comparison):
    """z = x < y"""

    symbol = "<"

    def forward(x, y):
        return x < y


class LessEqual(Comparison):
    """z = x <= y"""

    symbol = "<="

    def forward(x, y):
        return x <= y


class Greater(Comparison):
    """z = x > y"""

    symbol = ">"

    def forward(x, y):
        return x > y


class GreaterEqual(Comparison):
    """z = x >= y"""

    symbol = ">="

    def forward(x, y):
        return x >= y


class LogicalAnd(Comparison):
    """z = x and y, of truth values"""

    def forward(x, y):
        return np.logical_and(x, y)


class LogicalOr(Comparison):
    """z = x or y, of truth values"""

    def forward(x, y):
        return np.logical_or(x, y)


class LogicalXor(Comparison):
    """z = exactly one of x and y, of truth values"""

    def forward(x, y):
        return np.logical_xor(x, y)


class LogicalNot(Comparison):
    """z = not x, of truth values"""

    def forward(x):
        return np.logical_not(x)


class BitAnd(Comparison):
    """z = x & y of bools or ints"""

    symbol = "&"

    def forward(x, y):
        return bits(x) & bits(y)


class BitOr(Comparison):
    """z = x | y of bools or ints"""

    symbol = "|"

    def forward(x, y):
        return bits(x) | bits(y)


class BitXor(Comparison):
    """z = x ^ y of bools or ints"""

    symbol = "^"

    def forward(x, y):
        return bits(x) ^ bits(y)


class BitNot(Comparison):
    """z = ~x of bools or ints"""

    symbol = "~"

    def forward(x):
        return ~bits(x)


def bits(x):
    """x, which must not be a float: those have no bits to combine."""
    if isinstance(x, float) or getattr(x, "dtype", np.dtype(bool)).kind == "f":
        raise NotImplementedError("& | ^ ~ combine bools or ints, not floats: compare first, as in x > 0")
    return x


class FloorDivide(Comparison):
    """z = floor(x / y); torch gives it no gradient either"""

    symbol, promote = "//", "numbers"

    def forward(x, y):
        return x // divisor(y)


def divisor(y):
    """y, in which no integer is 0: a float one gives inf or nan, an integer has neither."""
    if getattr(y, "dtype", None) is not None and y.dtype.kind != "f" and not np.all(y):
        raise RuntimeError("ZeroDivisionError: integers have no quotient by 0; make them float with .float() first")
    return y


class IsNan(Comparison):
    """z = x is not a number"""

    def forward(x):
        return np.isnan(x)


class IsInf(Comparison):
    """z = x is infinite"""

    def forward(x):
        return np.isinf(x)


class IsFinite(Comparison):
    """z = x is neither nan nor infinite"""

    def forward(x):
        return np.isfinite(x)


class All(Comparison):
    """z = whether all of x is true"""

    def forward(x, *, dim=None, keepdim=False):
        return np.logical_and.reduce(x, axis=dim, keepdims=keepdim)


class Any(Comparison):
    """z = whether some of x is true"""

    def forward(x, *, dim=None, keepdim=False):
        return np.logical_or.reduce(x, axis=dim, keepdims=keepdim)
