"""erf, which numpy does not have, and GELU, which needs it."""

import math

import numpy as np

from .elementwise import Exp, Tanh
from .op import Op


class Erf(Op):
    """y = erf(x) = 2 / sqrt(pi) * integral of exp(-t**2) from 0 to x,  dx = 2 / sqrt(pi) * exp(-x**2) * dy"""

    promote = "float"

    def forward(x):
        return erf(x)

    def dx(dy, x):
        return 1.1283791670955126 * Exp.apply(-(x * x)) * dy


class Gelu(Op):
    """y = x * F(x), F(x) = (1 + erf(x / sqrt(2))) / 2,  dx = (F(x) + x * exp(-x**2 / 2) / sqrt(2 * pi)) * dy

    F is the normal distribution's share below x. Hendrycks and Gimpel 2016.
    """

    keeps = ("share",)

    def forward(x):
        share = (1 + Erf.apply(x * SQRT_HALF)) / 2
        return x * share, share

    def dx(dy, x, share):
        density = Exp.apply(-(x * x) / 2) * 0.3989422804014327
        return (share + x * density) * dy


class GeluTanh(Op):
    """y = x * F, F = (1 + t) / 2, t = tanh(u), u = sqrt(2 / pi) * (x + 0.044715 * x**3),
    dx = F * (1 + x * (1 - t) * u') * dy

    Gelu as GPT-2 approximates it.
    """

    symbol, keeps = "gelu", ("t",)

    def forward(x):
        t = Tanh.apply(x * (SQRT_2_PI + CUBE * (x * x)))
        return x * ((1 + t) / 2), t

    def dx(dy, x, t):
        return (1 + t) / 2 * (1 + x * (1 - t) * (SQRT_2_PI + 3 * CUBE * (x * x))) * dy


SQRT_HALF, SQRT_2_PI = math.sqrt(0.5), math.sqrt(2 / math.pi)
CUBE = SQRT_2_PI * 0.044715

# erf(x) = x + x * S(x**2 - 1/2) for |x| to 1, and 1 - exp(-x**2) * t * T(t), t = 1 / (|x| + 2), beyond: minimax
# polynomials, highest power first, by Remez' exchange in 50 digits. They are off by 1e-9 of erf in float32, 7e-18 in
# float64, where T reaches to 6.
_S = {
    np.dtype(np.float32): (
        7.85386106e-5, -5.65403533e-4, 3.48029908e-3, -1.82833584e-2, 7.94099809e-2, -2.81072194e-1, -3.45312612e-2,
    ),
    np.dtype(np.float64): (
        -7.77947653665013314e-10, 9.43227300111129322e-9, -1.04205004226512603e-7, 1.05363241352523083e-6,
        -9.61480835968274764e-6, 7.82964968773662280e-5, -5.61189422151734774e-4, 3.48027449657073109e-3,
        -1.82838844891513127e-2, 7.94099867559368565e-2, -2.81072178045434259e-1, -3.45312613301326987e-2,
    ),
}  # fmt: skip
_T = {
    np.dtype(np.float32): (-6.51289051, 8.90830983, 2.31139381e-1, 1.36982261, 5.50929702e-1),
    np.dtype(np.float64): (
        -1.90796146310315926e2, 6.77906429154775410e2, -1.04772993096432585e3, 8.99202295968232831e2,
        -4.52420065235853923e2, 1.35922545064741725e2, -3.31476738853212536e1, 8.04896123950094471,
        2.20590414701915058, 2.02182268136959915, 1.12619909967722591, 5.64235616885143107e-1,
    ),
}  # fmt: skip


def erf(x):
    """erf of the floats x, to 1.3 ulp.

    Both ways are taken for every x and added, which is faster than a choice: the first cut off at 1, and of the second
    what it adds to erf(1), which is nothing below 1.
    """
    near = _near(np.minimum(np.maximum(x, -1), 1))
    size = np.abs(x)
    t = 1 / (size + 2)
    tail = np.exp(-np.square(size, dtype=np.float64)) * (t * _polynomial(_T[x.dtype], t))
    return near + np.copysign(np.maximum(_LEFT[x.dtype] - tail.astype(x.dtype, copy=False), 0), x)


def _near(x):
    return x + x * _polynomial(_S[x.dtype], x * x - 0.5)


def _polynomial(coefficients, x):
    y = coefficients[0] * x + coefficients[1]
    for c in coefficients[2:]:
        y = y * x + c
    return y


_LEFT = {dtype: 1 - _near(np.ones(1, dtype))[0] for dtype in _S}  # 1 - erf(1), so that erf(inf) is 1 to the bit
