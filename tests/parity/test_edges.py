"""The edge cases of the rules, where torch is the judge: ties, zeros, nan, inf, empty, 0-d, in place, the graph's own rules.

Each case is run in both libraries and compared: values, gradients, nan pattern, or that both refuse.
"""

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import ops

from .harness import compare, run
from .table import Row

nan, inf = float("nan"), float("inf")
OFF = "ignore:.*degrees of freedom"


def index_add_row(m: Any, x: Any, v: Any) -> Any:
    if m is torch:
        return x.index_add(0, m.tensor([1, 1, 2]), v.expand(3, 2))
    return ops.IndexAdd.apply(x, v, index=(np.array([1, 1, 2]),))


# (what, call, the inputs as nested lists): all inputs float64 leaves.
EDGES: list[tuple[Any, ...]] = [
    ("max() tie", lambda m, x: m.max(x), [3, 1, 3]),
    ("min() tie", lambda m, x: m.min(x), [3, 1, 1]),
    ("amax tie", lambda m, x: m.amax(x), [3, 1, 3]),
    ("amax dim tie", lambda m, x: m.amax(x, 1), [[3, 1, 3], [2, 2, 2]]),
    ("max(dim) ties", lambda m, x: m.max(x, 1), [[3, 1, 3], [2, 2, 2]]),
    ("min(dim) ties", lambda m, x: m.min(x, 1), [[1, 1, 3], [3, 2, 2]]),
    ("max(dim) nan", lambda m, x: m.max(x, 1), [[3, nan, nan], [nan, 2, 2]]),
    ("min(dim) nan", lambda m, x: m.min(x, 1), [[3, nan, nan], [nan, 2, 2]]),
    ("median ties", lambda m, x: m.median(x), [1, 1, 1]),
    ("median even", lambda m, x: m.median(x), [4, 1, 3, 2]),
    ("median nan", lambda m, x: m.median(x), [1, nan, 3]),
    ("max() nan", lambda m, x: m.max(x), [1, nan, 3]),
    ("max() two nan", lambda m, x: m.max(x), [nan, 1, nan]),
    ("min() nan", lambda m, x: m.min(x), [1, nan, 3]),
    ("amax nan", lambda m, x: m.amax(x), [1, nan, 3]),
    ("amin nan dim", lambda m, x: m.amin(x, 1), [[1, nan, 3], [1, 2, 3]]),
    ("argmax nan, ties", lambda m, x: [m.argmax(x), m.argmin(x), m.argmax(x, 1), m.argmin(x, 1)], [[1, nan, 3], [2, 2, 1]]),
    ("maximum tie and nan", lambda m, x, y: m.maximum(x, y), [1, nan, 2, nan, inf], [1, 2, nan, nan, inf]),
    ("minimum tie and nan", lambda m, x, y: m.minimum(x, y), [1, nan, 2, nan, -inf], [1, 2, nan, nan, -inf]),
    ("relu", lambda m, x: m.relu(x), [0, -0.0, nan, inf, -inf, 1e-320]),
    ("clamp at bounds, nan", lambda m, x: m.clamp(x, -1, 1), [-1, 1, nan, inf, -inf, 0]),
    ("clamp one bound", lambda m, x: [m.clamp(x, min=0), m.clamp(x, max=0)], [0, nan, inf, -inf]),
    ("clamp in all orders", lambda m, x, lo, hi: m.clamp(x, lo, hi), *np.meshgrid(*[[0.0, 1.0, 2.0, nan]] * 3)),
    ("clamp nan bound", lambda m, x, lo: m.clamp(x, min=lo), [0, 1, nan], [nan, 1, 0]),
    ("abs at 0", lambda m, x: m.abs(x), [0, -0.0, inf, nan]),
    ("sqrt at 0", lambda m, x: m.sqrt(x), [0, -0.0, inf, -1, nan]),
    ("log at 0", lambda m, x: m.log(x), [0, -0.0, inf, -1, nan]),
    ("tanh and sigmoid far out", lambda m, x: [m.tanh(x), m.sigmoid(x)], [1000, -1000, inf, -inf, nan, 0]),
    ("exp far out", lambda m, x: [m.exp(x), m.expm1(x)], [1000, -1000, inf, -inf, nan, 0]),
    *[(f"0 ** {n}", lambda m, x, n=n: x**n, [0, -0.0, 1, inf, nan]) for n in (0, 0.0, 1, 0.5, -1, 2, -0.5, 3)],
    ("pow, base 0", lambda m, x, y: x**y, [0, 0, 0, 0, 0], [0, 1, 0.5, 2, -1]),
    ("pow, base -2", lambda m, x, y: x**y, [-2, -2, -2], [2, 3, 0.5]),
    ("pow, inf and nan", lambda m, x, y: x**y, [inf, inf, nan, 1, 1, -inf, 0], [0, -1, 0, nan, inf, 3, inf]),
    ("number ** tensor", lambda m, y: [0**y, 0.0**y, 1**y, 2**y, (-2) ** y], [0, 1, 0.5, 2, -1]),
    ("0-d pow", lambda m, x, y: x**y, 0, 0),
    ("x[[0, 0, 2]]", lambda m, x: x[m.tensor([0, 0, 2])], [1, 2, 3]),
    ("index_select repeats", lambda m, x: m.index_select(x, 0, m.tensor([0, 0, 2])), [1, 2, 3]),
    ("gather repeats", lambda m, x: m.gather(x, 0, m.tensor([0, 0, 2])), [1, 2, 3]),
    ("empty index", lambda m, x: x[m.zeros(0, dtype=m.int64)], [1, 2, 3]),
    ("var of one", lambda m, x: [m.var(x), m.std(x)], [3]),
    ("var of one, correction 0", lambda m, x: [m.var(x, correction=0), m.std(x, correction=0)], [3]),
    ("var of one a row", lambda m, x: [m.var(x, 1), m.std(x, 1)], [[3], [4]]),
    ("std of a constant", lambda m, x: m.std(x), [2, 2, 2]),
    ("var of a constant", lambda m, x: m.var(x), [2, 2, 2]),
    ("std of one row constant", lambda m, x: m.std(x, 1), [[2, 2, 2], [1, 2, 4]]),
    ("var with nan, inf", lambda m, x: m.var(x, 1), [[1, nan, 2], [1, inf, 2], [1, 2, 4]]),
    *[(f"norm at 0, p={p}", lambda m, x, p=p: m.norm(x, p), [0, 0]) for p in (1, 2, 3, 1.5, 0.5, inf, -inf)],
    *[(f"norm with a 0, p={p}", lambda m, x, p=p: m.norm(x, p), [0, 4, -3]) for p in (0.5, 1, 2, 2.5, 3, 1.5, inf, -inf)],
    *[(f"norm with inf and nan, p={p}", lambda m, x, p=p: m.norm(x, p, 1), [[1, inf], [1, nan]]) for p in (1, 2, 3, inf)],
    ("sqrt of a sum of squares at 0", lambda m, x: (x**2).sum().sqrt(), [0, 0]),
    ("inf-norm tie", lambda m, x: m.norm(x, inf), [-3, 3]),
    *[(f"prod {x}", lambda m, x: m.prod(x), x) for x in ([0, 2, 3], [0, 0, 3], [0, 0, 0], [1, 2, 3], [nan, 1, 2], [4], [0])],
    ("prod dim", lambda m, x: m.prod(x, 1), [[0, 2, 3], [0, 0, 3], [1, 2, 4]]),
    ("logsumexp one -inf", lambda m, x: m.logsumexp(x, 0), [-inf, 0]),
    ("logsumexp all -inf", lambda m, x: m.logsumexp(x, 0), [-inf, -inf]),
    ("logsumexp inf", lambda m, x: m.logsumexp(x, 0), [inf, 0]),
    ("logsumexp nan", lambda m, x: m.logsumexp(x, 1), [[nan, 0], [1000, 1001]]),
    ("log_softmax -inf", lambda m, x: m.log_softmax(x, 0), [-inf, 0]),
    ("softmax -inf", lambda m, x: m.softmax(x, 1), [[-inf, 0], [-inf, -inf], [inf, 0], [nan, 0], [1e4, -1e4]]),
    ("log_softmax rows", lambda m, x: m.log_softmax(x, 1), [[-inf, -inf], [inf, 0], [nan, 0], [1e4, -1e4]]),
    ("elu", lambda m, x: m.nn.functional.elu(x, 0.7), [0, -0.0, nan, inf, -inf, -30, 2]),
    ("softplus", lambda m, x: m.nn.functional.softplus(x), [0, -0.0, nan, inf, -inf, -800, 30]),
    ("where, nan not taken", lambda m, x, y: m.where(x > 0, x, y), [1, 2], [nan, inf]),
    ("where(x > 0, sqrt(x), 0)", lambda m, x: m.where(x > 0, m.sqrt(x), 0.0), [0, 4]),
    ("the double where", lambda m, x: m.where(x > 0, m.sqrt(m.where(x > 0, x, 1.0)), 0.0), [0, 4]),
    ("masked_fill nan", lambda m, x: m.masked_fill(x, m.isnan(x), 0.0), [nan, 4]),
    ("cumsum nan", lambda m, x: m.cumsum(x, 0), [1, nan, 2]),
    ("matmul with nan and inf", lambda m, x, y: x @ y, [[1, nan], [inf, 2]], [[1, 0], [0, 1]]),
    ("einsum with nan and inf", lambda m, x, y: m.einsum("ij,jk->ik", x, y), [[1, nan], [inf, 2]], [[1, 0], [0, 1]]),
    ("the same output twice", lambda m, x: [y := x * x, y], [1, 2]),
    # rules as a rule of one's own may call them: MaxDim of a number, IndexAdd of a row to many
    ("MaxDim of 0-d", lambda m, x: m.max(x, 0)[0] if m is torch else ops.MaxDim.apply(x, dim=0), 3),
    ("IndexAdd of one row", index_add_row, [[1, 2], [3, 4], [5, 6]], [7, 8]),
    ("empty", lambda m, x: [x.sum(), m.prod(x), x.mean(), m.logsumexp(x, 0), m.norm(x)], []),
    ("empty var", lambda m, x: [m.var(x), m.std(x, correction=0)], []),
    ("amax of (0, 3)", lambda m, x: [m.amax(x, 1), *m.max(x, 1)], np.zeros((0, 3))),
    ("(3,1) * (0,)", lambda m, x, y: x * y, np.ones((3, 1)), []),
    ("scalar * (0,)", lambda m, x, y: x * y, 2, []),
    ("0-d reductions", lambda m, x: [x.sum(0), x.sum(-1), m.amax(x, 0), m.softmax(x, 0), m.log_softmax(x, 0), *x.max(0), x.mean(0)], 3),
    ("0-d prod norm cumsum", lambda m, x: [m.prod(x, 0), m.norm(x, dim=0), m.cumsum(x, 0), m.logsumexp(x, 0), m.argmax(x, 0)], 3),
    ("0-d stack", lambda m, x, y: m.stack([x, y]), 1, 2),
    ("() and (1,)", lambda m, x, y: [x * y, x + y, y - x], 2, [3]),
    ("() and (1, 1)", lambda m, x, y: [x * y, x / y], 2, [[3]]),
    # in place
    ("y[[0, 0]] = v", lambda m, x, v: put(x, m.tensor([0, 0]), v), [1, 2, 3], [5, 5]),
    ("y[1:] = y[:-1]", lambda m, x: put(x, slice(1, None), (x * 2)[:-1]), [1, 2, 3]),
    ("v = y[:2]; v *= 10", lambda m, x: through_a_view(x), [1, 2, 3]),
    ("y *= 10 changes v too", lambda m, x: view_sees_base(x), [1, 2, 3]),
    ("view of a view", lambda m, x: view_of_view(x), [[1, 2], [3, 4], [5, 6]]),
    ("y = x + 1, z = y + 1, y += 1", lambda m, x: not_kept(x), [1, 2]),
    ("y += y", lambda m, x: add_itself(x), [1, 2]),
    ("masked y[y > 1] = 0", lambda m, x: put(x, x > 1, 0.0), [1, 2, 3]),
    ("in place on detached", lambda m, x: detached(x), [1, 2]),
    ("under no_grad on a leaf", lambda m, x: on_leaf(m, x), [1, 2]),
]  # fmt: skip


def put(x: Any, index: Any, v: Any) -> Any:
    y = x * 1
    y[index] = v
    return y


def through_a_view(x: Any) -> Any:
    y = x * 1
    v = y[:2]
    v *= 10
    return [y, v]


def view_sees_base(x: Any) -> Any:
    y = x * 1
    v = y[:2]
    y *= 10
    return [y, v, v * v]


def view_of_view(x: Any) -> Any:
    y = x * 1
    v = y[1:].t()
    w = v[0]
    w.mul_(3)
    v.add_(1)
    return [y * y, v * 2, w]


def not_kept(x: Any) -> Any:
    y = x + 1
    z = y + 1
    y += 1
    return [z, y]


def add_itself(x: Any) -> Any:
    y = x * 3
    y += y
    return y


def detached(x: Any) -> Any:
    y = x * 3
    d = y.detach()
    d += 1
    return [y, d]


def on_leaf(m: Any, x: Any) -> Any:
    with m.no_grad():
        x -= 0.5
        x[0] = 7.0
    return x * x


def arrays_of(inputs: Any) -> list[np.ndarray]:
    return [np.array(x, dtype=np.float64) for x in inputs]


@pytest.mark.filterwarnings(OFF)
@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge[0])
def test_edge(edge: tuple[Any, ...]) -> None:
    name, call, *inputs = edge
    row = Row(name, "", [], call)
    compare(run(mg, row, arrays_of(inputs)), run(torch, row, arrays_of(inputs)), 8)


# What both must refuse: (what, what is done with (m, x, y)), on leaves x = [1, 2, 3] and y = x * 2.
REFUSED: list[tuple[str, Any]] = [
    ("max() of nothing", lambda m, x, y: m.max(m.zeros(0))),
    ("amax() of nothing", lambda m, x, y: m.amax(m.zeros(0))),
    ("amax(1) of (3, 0)", lambda m, x, y: m.amax(m.zeros(3, 0), 1)),
    ("max(1) of (3, 0)", lambda m, x, y: m.max(m.zeros(3, 0), 1)),
    ("argmax of nothing", lambda m, x, y: m.argmax(m.zeros(0))),
    ("inf-norm of nothing", lambda m, x, y: m.norm(m.zeros(0), inf)),
    ("0-d: dim 1", lambda m, x, y: m.sum(m.tensor(1.0), 1)),
    ("0-d: softmax dim 1", lambda m, x, y: m.softmax(m.tensor(1.0), 1)),
    ("0-d: x[0]", lambda m, x, y: m.tensor(1.0)[0]),
    ("0-d: matmul", lambda m, x, y: m.tensor(1.0) @ x),
    ("0-d: cat", lambda m, x, y: m.cat([m.tensor(1.0), m.tensor(1.0)])),
    ("a (1,) gradient for a () output", lambda m, x, y: y.sum().backward(m.ones(1))),
    ("leaf +=", lambda m, x, y: x.add_(1)),
    ("leaf[0] =", lambda m, x, y: x.__setitem__(0, 1.0)),
    ("leaf.zero_()", lambda m, x, y: x.zero_()),
    ("leaf[:2] *= 2", lambda m, x, y: x[:2].mul_(2)),
    ("leaf.view(3).add_(1)", lambda m, x, y: x.view(3).add_(1)),
    ("exp, then += 1", lambda m, x, y: [z := m.exp(x), z.add_(1), z.sum().backward()]),
    ("y * y, then y += 1", lambda m, x, y: [z := y * y, y.add_(1), z.sum().backward()]),
    ("y * y, then a view of y changed", lambda m, x, y: [z := y * y, y[:1].add_(1), z.sum().backward()]),
    ("a view kept, then its base changed", lambda m, x, y: [z := m.exp(x)[:2] * y[:2], y.add_(1), z.sum().backward()]),
    ("second backward", lambda m, x, y: [z := (x * x).sum(), z.backward(), z.backward()]),
    ("requires_grad on ints", lambda m, x, y: m.tensor([1, 2], requires_grad=True)),
    ("requires_grad_() on ints", lambda m, x, y: m.tensor([1, 2]).requires_grad_()),
    ("requires_grad_() on bools", lambda m, x, y: m.tensor([True]).requires_grad_()),
    ("backward of a non-scalar", lambda m, x, y: y.backward()),
    ("backward without a graph", lambda m, x, y: m.tensor(1.0).backward()),
    ("backward under no_grad", lambda m, x, y: no_graph(m, x)),
    ("in place on expanded memory", lambda m, x, y: m.zeros(1).expand(3).add_(1)),
    ("in place with a larger shape", lambda m, x, y: y.add_(m.ones(2, 3))),
    ("in place float into int", lambda m, x, y: m.tensor([1, 2]).add_(0.5)),
    ("in place on an unbound row", lambda m, x, y: (x * 1).unbind()[0].add_(1)),
    ("in place on a split part", lambda m, x, y: (x * 1).split(1)[0].mul_(2)),
    ("an unused input", lambda m, x, y: m.autograd.grad(y.sum(), [m.ones(1, requires_grad=True)])),
]


def no_graph(m: Any, x: Any) -> None:
    with m.no_grad():
        z = x.sum()
    z.backward()


def attempt(m: Any, call: Any) -> tuple[str, list[Any]]:
    """The class of the error, and x and its gradient afterwards: nothing may have changed."""
    x = m.tensor([1.0, 2.0, 3.0], requires_grad=True)
    raised = "nothing raised"
    try:
        call(m, x, x * 2)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        assert len(str(error)) > 20, f"an error that says too little: {error}"
        raised = type(error).__name__
    return raised, [x.tolist(), None if x.grad is None else x.grad.tolist()]


@pytest.mark.parametrize(("what", "call"), REFUSED, ids=[what for what, _ in REFUSED])
def test_refused(what: str, call: Any) -> None:
    want, got = attempt(torch, call), attempt(mg, call)
    assert want[0] != "nothing raised"
    assert got == want


def test_binary_cross_entropy_of_certainties() -> None:
    """At 0 and 1 the logs and the divisor have a bound: the gradient is large, and no nan."""
    found = []
    for m in (mg, torch):
        x = m.tensor([0.0, 1.0, 0.0, 1.0, 1e-13], dtype=m.float64, requires_grad=True)
        y = m.tensor([1.0, 0.0, 0.0, 1.0, 0.5], dtype=m.float64)
        loss = m.nn.functional.binary_cross_entropy(x, y, reduction="none")
        loss.sum().backward()
        found.append([loss.tolist(), x.grad.tolist()])
    np.testing.assert_allclose(*found, rtol=1e-8)  # torch has 1e-12 as a float32 there


def test_gradients_keep_shape_and_dtype() -> None:
    """A float32 leaf through float64 has a float32 gradient; () and (1,) stay themselves."""
    for m in (mg, torch):
        x = m.tensor([1.0, 2.0], requires_grad=True)
        s, one = m.tensor(2.0, requires_grad=True), m.tensor([3.0], requires_grad=True)
        unused = m.ones(2, requires_grad=True)
        (x.double() * s * one).sum().backward()
        assert x.grad.dtype == m.float32
        assert (tuple(s.grad.shape), tuple(one.grad.shape)) == ((), (1,))
        assert unused.grad is None


def test_a_leaf_given_other_data_keeps_the_gradient_of_what_went_in() -> None:
    """torch mixes the two here: of x * x * x it takes one product of the old data and one of the new."""
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    x.data = mg.tensor([10.0, 20.0])
    (gradient,) = mg.grad(y, x, create_graph=True)
    assert gradient.tolist() == [2.0, 4.0]
    assert mg.grad(gradient.sum(), x)[0].tolist() == [2.0, 2.0]


def test_retain_graph_accumulates() -> None:
    for m in (mg, torch):
        x = m.tensor([1.0, 2.0], requires_grad=True)
        z = (x * x).sum()
        z.backward(retain_graph=True)
        z.backward()
        assert x.grad.tolist() == [4.0, 8.0]


@pytest.mark.parametrize("call", [lambda m, x: m.var(x), lambda m, x: m.std(x), lambda m, x: m.var(x, 0), lambda m, x: m.std(x, correction=2)])
@pytest.mark.parametrize("m", [mg, torch])
def test_too_few_elements_for_a_variance_warns(m: Any, call: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(m, m.tensor([3.0]))
    assert any("degrees of freedom" in str(w.message) for w in caught)


def test_grad_of_an_inner_value_warns() -> None:
    for m in (mg, torch):
        y = m.ones(2, requires_grad=True) * 2
        with pytest.warns(UserWarning, match="leaf"):
            assert y.grad is None
