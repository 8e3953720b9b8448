"""gradcheck finds a wrong gradient and says which."""

import inspect

import pytest
import torch

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
        x = x.detach() if isinstance(x, mg.Tensor) else x
        return 3 * x * x * dy


def doubles(*shape):
    return mg.randn(*shape, dtype=mg.float64, generator=mg.Generator().manual_seed(1), requires_grad=True)


def test_right_gradients_pass():
    assert gradcheck(Cube.apply, doubles(2, 3)) and gradgradcheck(Cube.apply, doubles(2, 3))
    assert gradcheck(lambda x, y: (x @ y, x.sum()), [doubles(2, 3), doubles(3, 2)])
    assert gradgradcheck(lambda x, y: (x @ y).tanh(), [doubles(2, 3), doubles(3, 2)])
    assert gradcheck(lambda x, i: x[i], [doubles(4), mg.tensor([0, 0, 2])])
    assert gradcheck(Cube.apply, doubles(0, 3)) and gradgradcheck(Cube.apply, doubles(0, 3))
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
    with pytest.warns(UserWarning, match="input 0 is float32.*float64"):
        assert not gradcheck(Cube.apply, mg.ones(2, requires_grad=True), raise_exception=False)
    with pytest.raises(RuntimeError, match="input 0 share memory.*clone"):
        gradcheck(Cube.apply, mg.ones(1, dtype=mg.float64).expand(3).detach().requires_grad_())
    with pytest.raises(ValueError, match="check_backward_ad"):
        gradcheck(Cube.apply, doubles(2), check_backward_ad=False)
    for name in ("check_batched_grad", "check_batched_forward_grad", "check_forward_ad", "masked"):
        with pytest.raises(NotImplementedError, match=name):
            gradcheck(Cube.apply, doubles(2), **{name: True})
    for name in ("check_batched_grad", "check_fwd_over_rev", "masked"):
        with pytest.raises(NotImplementedError, match=name):
            gradgradcheck(Cube.apply, doubles(2), **{name: True})


def test_the_signatures_are_torchs():
    for ours, theirs in ((gradcheck, torch.autograd.gradcheck), (gradgradcheck, torch.autograd.gradgradcheck)):
        a, b = inspect.signature(ours).parameters, inspect.signature(theirs).parameters
        assert [(p.name, p.kind, p.default) for p in a.values()] == [(p.name, p.kind, p.default) for p in b.values()]


class Restless(mg.Op):
    """y = 2 * x with a gradient that is another one in each run"""

    runs = [0]

    def forward(x):
        return 2 * x

    def dx(dy):
        Restless.runs[0] += 1
        return (2 + 1e-7 * Restless.runs[0]) * dy


class Offset(mg.Op):
    """y = x, and a gradient that does not vanish with the one from above"""

    def forward(x):
        return x * 1

    def dx(dy):
        return dy + 1e-6


def test_other_ways_to_be_wrong():
    x = doubles(3)
    with pytest.raises(GradcheckError, match="not reentrant.*input 0"):
        gradcheck(Restless.apply, x)
    assert gradcheck(Restless.apply, x, nondet_tol=1e-4)
    with pytest.raises(GradcheckError, match="input 0 has a gradient that is not zero"):
        gradcheck(Offset.apply, x)
    with pytest.raises(GradcheckError, match="output 0 does not require grad.*input 0"):
        gradcheck(lambda x: x.detach() * 2, x)
    assert gradcheck(lambda x: (x > 0).double(), x)


def test_fast_mode():
    x = doubles(2, 3)
    assert gradcheck(Cube.apply, x, fast_mode=True) and gradgradcheck(Cube.apply, x, fast_mode=True)
    with pytest.raises(GradcheckError, match=r"output 0\[.*with respect to input 0\["):
        gradcheck(WrongCube.apply, x, fast_mode=True)
    with pytest.raises(GradcheckError):
        gradgradcheck(WrongSecond.apply, x, fast_mode=True)


def test_upstream_gradients():
    x, v = doubles(2, 3), mg.ones(2, 3, dtype=mg.float64)
    assert gradgradcheck(Cube.apply, x, v) and gradgradcheck(Cube.apply, x, [v.requires_grad_()])
    assert gradgradcheck(Cube.apply, x, gen_non_contig_grad_outputs=True)
    assert gradgradcheck(lambda x: (x.exp(), x > 0, mg.ones(2)), x)
