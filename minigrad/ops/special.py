"""erf, which numpy does not have, and GELU, which needs it."""

import math

import numpy as np

from .elementwise import Exp, Tanh
from .op import Op


class Erf(Op):
    """y = erf(x) = 2 / sqrt(pi) * integral of exp(-t**2) from 0 to x,  dx = 2 / sqrt(pi) * exp(-x**2) * dy"""

    promote = "float"

    def forward(x):
        return erf(np.asarray(x, np.float64)).astype(x.dtype, copy=False)

    def dx(dy, x):
        return 1.1283791670955126 * Exp.apply(-(x * x)) * dy


class Gelu(Op):
    """y = x * F(x), F(x) = (1 + erf(x / sqrt(2))) / 2,  dx = (F(x) + x * exp(-x**2 / 2) / sqrt(2 * pi)) * dy

    F is the normal distribution's share below x. tanh: F(x) = (1 + tanh(u)) / 2 with u = sqrt(2 / pi) *
    (x + 0.044715 * x**3), as GPT-2 has it. Hendrycks and Gimpel 2016.
    """

    def forward(x, *, tanh=False):
        return x * (1 + (Tanh.apply(inner(x)) if tanh else Erf.apply(x * SQRT_HALF))) / 2

    def dx(dy, x, tanh):
        if tanh:
            t = Tanh.apply(inner(x))
            return ((1 + t) / 2 + x * (1 - t * t) * (SQRT_2_PI / 2 * (1 + 0.134145 * x * x))) * dy
        density = Exp.apply(-(x * x) / 2) * 0.3989422804014327
        return ((1 + Erf.apply(x * SQRT_HALF)) / 2 + x * density) * dy


SQRT_HALF, SQRT_2_PI = math.sqrt(0.5), math.sqrt(2 / math.pi)


def inner(x):
    """What the tanh of the approximation is taken of."""
    return SQRT_2_PI * (x + 0.044715 * x * x * x)


# W. J. Cody 1969, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23(107), as
# his CALERF (netlib specfun) has the coefficients: for |x| to 0.46875, to 4, and beyond.
_A = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3)
_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_C = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
_D = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
_P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
_Q = (
    1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3,
)  # fmt: skip


def erf(x):
    """erf of float64 x, any shape, to 4 ulp."""
    size = np.minimum(np.abs(x), 30.0)  # nan stays; past 6 it is 1
    square = size * size
    near = x * _ratio(_A, _B, np.minimum(square, 0.25))
    inverse = 1 / np.maximum(square, 1.0)
    far = (0.5641895835477563 - inverse * _ratio(_P, _Q, inverse)) / np.maximum(size, 1.0)
    middle = _ratio(_C, _D, np.minimum(size, 4.0))
    # exp(-x**2) in two factors, of which the first is exact: x**2 itself is rounded
    head = np.trunc(size * 16) / 16
    rest = np.exp(-head * head) * np.exp((head - size) * (head + size))
    outer = np.copysign(1 - rest * np.where(size <= 4.0, middle, far), x)
    return np.where(size <= 0.46875, near, outer)


def _ratio(above, below, x):
    """Two polynomials, highest power first, one over the other."""
    top, bottom = above[0], below[0]
    for a, b in zip(above[1:], below[1:], strict=True):
        top, bottom = top * x + a, bottom * x + b
    return top / bottom
