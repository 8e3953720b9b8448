"""gradcheck finds a wrong gradient and says which."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.check import GradcheckError, gradcheck, gradgradcheck


class Cube(mg.Op):
    """y = x**3,  dx = 3 * x**2 * dy"""

    def forward(x):
        return x * x * x

    def dx(dy, x):
        return 3 * x * x * dy


class WrongCube(mg.Op):
    """y = x**3,  dx = 3 * x * dy  (wrong)"""

    def forward(x):
        return x * x * x

    def dx(dy, x):
        return 3 * x * dy


class WrongSecond(mg.Op):
    """y = x**3 with a gradient that is right in value but cut off from x"""

    def forward(x):
        return x * x * x

    def dx(dy, x):
        return np.asarray(3 * x * x) * dy


def doubles(*shape):
    return mg.randn(*shape, dtype=mg.float64, generator=mg.Generator().manual_seed(1), requires_grad=True)


def test_right_gradients_pass():
    assert gradcheck(Cube.apply, doubles(2, 3)) and gradgradcheck(Cube.apply, doubles(2, 3))
    assert gradcheck(lambda x, y: (x @ y, x.sum()), [doubles(2, 3), doubles(3, 2)])
    assert gradgradcheck(lambda x, y: (x @ y).tanh(), [doubles(2, 3), doubles(3, 2)])
    assert gradcheck(lambda x, i: x[i], [doubles(4), mg.tensor([0, 0, 2])])
    assert gradcheck(lambda x: x.T * 2, doubles(2, 3).T.detach().requires_grad_())


def test_a_wrong_gradient_is_named():
    x = mg.tensor([1.0, 3.0], dtype=mg.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match=r"output 0\[1\] with respect to input 0\[1\].*analytical 9, numerical 27"):
        gradcheck(WrongCube.apply, x)
    assert not gradcheck(WrongCube.apply, x, raise_exception=False)


def test_a_wrong_second_derivative_is_found():
    x = mg.tensor([1.0, 3.0], dtype=mg.float64, requires_grad=True)
    assert gradcheck(WrongSecond.apply, x)
    with pytest.raises(GradcheckError):
        gradgradcheck(WrongSecond.apply, x)


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="nothing to check"):
        gradcheck(Cube.apply, mg.ones(2))
    with pytest.raises(ValueError, match="float64"):
        gradcheck(Cube.apply, mg.ones(2, requires_grad=True))
