"""An op of the user's own: a few lines, recorded, differentiated twice, checked like ours."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F


class Cube(mg.Op):
    """y = x**3,  dx = 3 * x**2 * dy"""

    def forward(x):
        return x * x * x

    def dx(dy, x):
        return 3 * x * x * dy


class Scaled(mg.Op):
    """z = k * x * y,  dx = k * y * dz,  dy = k * x * dz"""

    def forward(x, y, *, k=1.0):
        return k * x * y

    def dx(dz, y, k):
        return dz * y * k

    def dy(dz, x, k):
        return dz * x * k


class SoftPlus(mg.Op):
    """y = log(1 + e),  dx = dy * e / (1 + e)  with e = exp(x), which forward hands on"""

    keeps = ("e",)

    def forward(x):
        e = np.exp(x)
        return np.log1p(e), e

    def backward(dy, e):
        return dy * (e / (1 + e))


def test_forward_and_gradient():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = Cube.apply(x)
    assert y.tolist() == [1.0, 8.0] and repr(y.grad_fn) == "<CubeBackward0>"
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]


def test_second_and_third_derivative_come_from_the_same_rule():
    x = mg.tensor(2.0, requires_grad=True)
    g = Cube.apply(x)
    for want in (12.0, 12.0, 6.0):
        (g,) = mg.grad(g, x, create_graph=True)
        assert g.item() == want


def test_settings_and_broadcasting():
    x, y = mg.randn(3, 4, requires_grad=True), mg.randn(4, requires_grad=True)
    Scaled.apply(x, y, k=2.0).sum().backward()
    assert mg.allclose(x.grad, (2 * y).expand(3, 4)) and mg.allclose(y.grad, (2 * x).sum(0))
    y.grad = None
    Scaled.apply(x, y).sum().backward()
    assert mg.allclose(y.grad, x.sum(0))


def test_what_forward_hands_on_is_differentiated_too():
    x = mg.tensor([0.3, -1.2], dtype=mg.float64, requires_grad=True)
    (g,) = mg.grad(SoftPlus.apply(x).sum(), x, create_graph=True)
    (h,) = mg.grad(g.sum(), x)
    s = x.detach().sigmoid()
    assert mg.allclose(g, s) and mg.allclose(h, s * (1 - s))


def test_a_node_keeps_what_its_gradient_asks_for_and_no_more():
    x, y = mg.randn(3, requires_grad=True), mg.randn(3)
    assert len(Scaled.apply(x, y).grad_fn.saved) == 2  # y and k, for dx alone
    assert (x + y).grad_fn.saved == () and x.exp().grad_fn.saved[0] is not None
    assert x.sum().grad_fn.saved == ((3,), None)


def test_only_gradients_that_are_needed_run():
    class OneSided(mg.Op):
        """z = x * y,  dx = y * dz"""

        def forward(x, y):
            return x * y

        def dx(dz, y):
            return dz * y

    x, y = mg.ones(2, requires_grad=True), mg.ones(2)
    OneSided.apply(x, y).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match="OneSided has no gradient for y"):
        OneSided.apply(x, mg.ones(2, requires_grad=True))


def test_on_arrays_it_runs_plainly():
    assert Cube.apply(np.array([2.0])).tolist() == [8.0] and SoftPlus.apply(np.zeros(1)).shape == (1,)


def test_rules_that_cannot_be_are_refused_with_the_reason():
    class Unknown(mg.Op):
        def forward(x):
            return x

        def dx(dy, w):
            return dy * w

    class Unnamed(mg.Op):
        def forward(x):
            return x

        def dx(g):
            return g

    class Many(mg.Op):
        def forward(x, y):
            return x + y

        def backward(dz):
            return dz

    class WrongShape(mg.Op):
        def forward(x):
            return x

        def dx(dy):
            return dy[:1] if dy.shape == (3,) else np.ones(5)

    x = mg.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="Unknown.dx asks for 'w'; it can ask for y, x, x_shape"):
        Unknown.apply(x)
    with pytest.raises(TypeError, match="name the first parameter d<output>"):
        Unnamed.apply(x)
    with pytest.raises(RuntimeError, match="returned 1 gradients for 2 inputs"):
        Many.apply(x, x).sum().backward()
    with pytest.raises(RuntimeError, match=r"gradient of shape \(5,\) for an input of shape \(2,\)"):
        WrongShape.apply(x).sum().backward()


LOSSES: dict[str, Callable[[mg.Tensor], mg.Tensor]] = {
    "cross entropy": lambda x: F.cross_entropy(x, mg.tensor([1, 0, 2])),
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_a_rule_spends_is_left_alone_while_someone_may_ask_for_it(name: str) -> None:
    """Kept with the graph, held by someone, or gone over with create_graph: the same gradients, nothing overwritten."""
    start = np.random.default_rng(5).standard_normal((3, 4)).astype(np.float32)
    weights = mg.tensor(np.arange(12, dtype=np.float32).reshape(3, 4))

    def leaf_and_loss() -> tuple[mg.Tensor, mg.Tensor, Any]:
        x = mg.tensor(start, requires_grad=True)
        y = LOSSES[name](x)
        return x, (y * weights).sum() if y.ndim else y, y.grad_fn

    x, loss, node = leaf_and_loss()
    kept = node.saved[node.plan.wants.index(("extra", node.op.keeps.index(node.op.spends)))]
    before = kept.copy()
    loss.backward()
    assert (kept == before).all()  # held here
    expected = x.grad.array
    x, loss, node = leaf_and_loss()
    loss.backward()
    assert x.grad.array.tobytes() == expected.tobytes()  # spent
    x, loss, node = leaf_and_loss()
    loss.backward(retain_graph=True)
    x.grad = None
    loss.backward()
    assert x.grad.array.tobytes() == expected.tobytes()
    x, loss, node = leaf_and_loss()
    (again,) = mg.autograd.grad(loss, [x], create_graph=True, retain_graph=False)
    np.testing.assert_allclose(again.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_rule_that_cannot_spend_is_refused_with_the_reason() -> None:
    class Unknown(SoftPlus):
        spends = "f"

    class Without(SoftPlus):
        spends = "e"

    for op in (Unknown, Without):
        with pytest.raises(TypeError, match=f"{op.__name__} spends .*into=None"):
            op.apply(mg.tensor([1.0], requires_grad=True))


def test_the_gradient_of_cross_entropy_takes_the_memory_of_what_it_kept() -> None:
    x = mg.tensor(np.random.default_rng(5).standard_normal((3, 4)), requires_grad=True)
    loss = LOSSES["cross entropy"](x)
    address = loss.grad_fn.saved[0].ctypes.data
    loss.backward()
    assert x.grad.data_ptr() == address
