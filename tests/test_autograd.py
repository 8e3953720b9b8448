"""The graph's behaviour: backward, grad, hooks, retained gradients, freed graphs, modes; beside torch."""

import gc
import threading
import weakref

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.graph import Engine

BOTH = pytest.mark.parametrize("m", [mg, torch], ids=["minigrad", "torch"])


@BOTH
def test_scalar_style(m):
    """micrograd's README example in its own arithmetic."""
    a, b = m.tensor(-4.0, requires_grad=True), m.tensor(2.0, requires_grad=True)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.item():.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad.item():.4f}" == "138.8338" and f"{b.grad.item():.4f}" == "645.5773"


@BOTH
def test_a_value_used_twice_gets_both_gradients(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    (x + x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    x.grad = None
    y = x * 3
    (y * y + y).sum().backward()
    assert x.grad.tolist() == [2 * 9 + 3.0, 2 * 18 + 3.0]


@BOTH
def test_backward_accumulates_into_leaves_only(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    z = y.sum()
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad.tolist() == [4.0, 8.0]


@BOTH
def test_a_freed_graph_says_so(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    z = (x * x).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()
    assert x.grad.tolist() == [2.0, 4.0]


@BOTH
def test_what_keeps_nothing_can_run_again(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    z = (x + 1).sum()
    z.backward()
    z.backward()
    assert x.grad.tolist() == [2.0, 2.0]


@BOTH
def test_backward_needs_a_scalar_or_a_gradient(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="scalar"):
        (x * 2).backward()
    (x * 2).backward(m.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]
    with pytest.raises(RuntimeError, match="shape"):
        x.sum().backward(m.tensor([1.0]))
    m.tensor([3.0], requires_grad=True).backward()


@BOTH
def test_backward_from_what_has_no_graph(m):
    with pytest.raises(RuntimeError, match="require"):
        m.tensor(1.0).backward()
    x = m.tensor(1.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1
    with m.no_grad():
        y = x * 2
    with pytest.raises(RuntimeError, match="require"):
        y.backward()


@BOTH
def test_grad_returns_and_touches_nothing(m):
    x, y = m.tensor(2.0, requires_grad=True), m.tensor(3.0, requires_grad=True)
    z = x * x * y
    dx, dy = m.autograd.grad(z, [x, y])
    assert (dx.item(), dy.item()) == (12.0, 4.0) and x.grad is None and y.grad is None


@BOTH
def test_grad_of_an_inner_value_and_of_an_unused_one(m):
    x, u = m.tensor(2.0, requires_grad=True), m.tensor(3.0, requires_grad=True)
    h = x * x
    z = h * h
    (dh,) = m.autograd.grad(z, h, retain_graph=True)
    assert dh.item() == 8
    with pytest.raises(RuntimeError, match="used"):
        m.autograd.grad(z, [x, u], retain_graph=True)
    dx, du = m.autograd.grad(z, [x, u], retain_graph=True, allow_unused=True)
    assert dx.item() == 32 and du is None
    dx, du = m.autograd.grad(z, [x, u], materialize_grads=True)
    assert du.item() == 0


def test_an_unused_input_is_named():
    x, u = mg.tensor(2.0, requires_grad=True), mg.Tensor([3.0, 4.0], requires_grad=True, name="bias")
    with pytest.raises(RuntimeError, match=r"input 1 \('bias'\).*shape \(2,\).*allow_unused"):
        mg.grad(x * x, [x, u])


@BOTH
def test_grad_runs_only_what_leads_to_its_inputs(m):
    """The graph under another input is neither run nor freed."""
    x, y = m.tensor(2.0, requires_grad=True), m.tensor(3.0, requires_grad=True)
    ran = []
    a, b = x.exp(), y.exp()
    b.register_hook(lambda g: ran.append("b"))
    z = a * b
    m.autograd.grad(z, x, retain_graph=True)
    (dy,) = m.autograd.grad(b, y)
    assert dy.item() == pytest.approx(np.exp(3), rel=1e-6)
    assert ran == ["b"]


@BOTH
def test_grad_of_several_outputs(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    (dx,) = m.autograd.grad([x * x, x.sum()], x, [m.tensor([1.0, 10.0]), None])
    assert dx.tolist() == [3.0, 41.0]


@BOTH
def test_higher_derivatives(m):
    x = m.tensor(2.0, requires_grad=True)
    y, seen = x**5, []
    for _ in range(5):
        (y,) = m.autograd.grad(y, x, create_graph=True)
        seen.append(y.item())
    assert seen == [80.0, 160.0, 240.0, 240.0, 120.0]


@BOTH
@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True:UserWarning")  # torch's own
def test_backward_with_create_graph(m):
    x = m.tensor(2.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    g = x.grad
    assert g.requires_grad
    x.grad = None
    (g * g).backward()
    assert x.grad.item() == 2 * 12 * 12


@BOTH
def test_retain_grad(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]
    with pytest.raises(RuntimeError):
        m.tensor(1.0).retain_grad()


def test_grad_of_an_inner_value_warns_and_names_retain_grad():
    y = mg.tensor(1.0, requires_grad=True) * 2
    with pytest.warns(UserWarning, match="retain_grad"):
        assert y.grad is None


@BOTH
def test_hooks_run_in_order_and_may_replace(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(("y", g.tolist())))
    y.register_hook(lambda g: g * 2)
    handle = y.register_hook(lambda g: g * 1000)
    handle.remove()
    y.retain_grad()
    x.register_hook(lambda g: seen.append(("x", g.tolist())) or g + 1)
    y.sum().backward()
    assert seen == [("y", [1.0, 1.0]), ("x", [6.0, 6.0])]
    assert y.grad.tolist() == [2.0, 2.0] and x.grad.tolist() == [7.0, 7.0]


@BOTH
def test_a_leaf_hook_sees_the_sum_once(m):
    x = m.tensor(2.0, requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * x + x * 3).backward()
    assert seen == [7.0]


@BOTH
def test_an_error_in_backward_leaves_the_leaves_usable(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1

    def fail(g):
        raise ZeroDivisionError

    y.register_hook(fail)
    with pytest.raises(ZeroDivisionError):
        (y * 2 + x).sum().backward()
    x.grad = None
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_an_error_in_backward_changes_no_gradient():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1

    def fail(g):
        raise ZeroDivisionError

    y.register_hook(fail)
    with pytest.raises(ZeroDivisionError):
        (y * 2 + x).sum().backward()
    assert x.grad is None


@BOTH
def test_detach_and_no_grad(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    (y.detach() * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    with m.no_grad():
        assert not (x * 2).requires_grad
        with m.enable_grad():
            assert (x * 2).requires_grad
        assert not m.is_grad_enabled()
    assert m.is_grad_enabled()

    @m.no_grad()
    def f():
        return x * 2

    @m.enable_grad()
    def g():
        return x * 2

    assert not f().requires_grad
    with m.no_grad():
        assert g().requires_grad
    with m.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert m.is_grad_enabled()


@BOTH
def test_no_grad_is_left_after_an_error(m):
    with pytest.raises(ZeroDivisionError), m.no_grad():
        raise ZeroDivisionError
    assert m.is_grad_enabled()


@BOTH
def test_dtypes_of_gradients(m):
    x = m.tensor([1.0, 2.0], requires_grad=True)
    y = m.tensor([1.0, 2.0], dtype=m.float64, requires_grad=True)
    z = x * y
    assert z.dtype == m.float64
    z.sum().backward()
    assert x.grad.dtype == m.float32 and y.grad.dtype == m.float64
    with pytest.raises(RuntimeError):
        m.tensor([1, 2], requires_grad=True)
    with pytest.raises(RuntimeError):
        m.tensor([1, 2]).requires_grad_()


@BOTH
def test_unused_leaf_has_none(m):
    x, u = m.tensor(1.0, requires_grad=True), m.tensor(1.0, requires_grad=True)
    (x * 2).backward()
    assert u.grad is None


@BOTH
def test_shapes_of_gradients_of_numbers_and_vectors_of_one(m):
    a, b = m.tensor(2.0, requires_grad=True), m.tensor([3.0], requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.shape == () and b.grad.shape == (1,)


@BOTH
def test_backward_inputs(m):
    x, y = m.tensor(2.0, requires_grad=True), m.tensor(3.0, requires_grad=True)
    (x * y).backward(inputs=[x])
    assert x.grad.item() == 3 and y.grad is None


@BOTH
def test_grads_do_not_share_memory(m):
    x, y = m.tensor([1.0, 2.0], requires_grad=True), m.tensor([3.0, 4.0], requires_grad=True)
    upstream = m.tensor([5.0, 6.0])
    (x + y).backward(upstream)
    x.grad += 1
    assert y.grad.tolist() == [5.0, 6.0] and upstream.tolist() == [5.0, 6.0]
    z = m.ones((2, 2)).requires_grad_()
    w = z.t()
    g = m.ones((2, 2))
    w.backward(g)
    z.grad[0, 0] = 7
    assert g.sum().item() == 4


@BOTH
def test_unbind_split_and_iteration(m):
    x = m.arange(6.0).view(3, 2).requires_grad_()
    a, _, c = x
    (a * 2 + c * 3).sum().backward()
    assert x.grad.tolist() == [[2.0, 2.0], [0.0, 0.0], [3.0, 3.0]]
    x.grad = None
    first, rest = x.split([1, 2])
    ((rest * rest).sum() + first.sum() + first.sum()).backward()
    assert x.grad.tolist() == [[2.0, 2.0], [4.0, 6.0], [8.0, 10.0]]
    (g,) = m.autograd.grad((x.unbind(1)[1] ** 3).sum(), x, create_graph=True)
    (h,) = m.autograd.grad(g.sum(), x)
    assert h.tolist() == [[0.0, 6.0], [0.0, 18.0], [0.0, 30.0]]


def test_iterating_costs_linear_time_and_one_node_a_row():
    x = mg.zeros(50_000).requires_grad_()
    total = mg.tensor(0.0)
    for row in x:
        total = total + row
    total.backward()
    assert x.grad.sum().item() == 50_000


@pytest.mark.parametrize("step", [lambda y: y + 1.0, lambda y: y * 1.0, lambda y: y.tanh()], ids=["add", "mul", "tanh"])
def test_a_chain_of_a_million_nodes_runs_and_is_freed(step):
    """No recursion in forward, backward or in freeing, with nothing left over and no help of the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        x = mg.tensor(0.5, requires_grad=True)
        y = x
        for i in range(1_000_000):
            y = step(y)
            if i == 0:
                first = weakref.ref(y.grad_fn)
        y.backward()
        assert x.grad is not None and first() is not None
        del y
        assert first() is None
    finally:
        gc.enable()


def test_a_graph_is_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = mg.randn(3, 3, requires_grad=True)
        y = (x @ x).tanh().softmax(1)
        y.retain_grad()
        z = y.max(1).values.sum()
        z.backward()
        refs = [weakref.ref(t) for t in (y, z, y.grad_fn, z.grad_fn)]
        del y, z
        assert [r() for r in refs] == [None] * 4
    finally:
        gc.enable()


def test_backward_frees_what_was_kept():
    x = mg.randn(100, requires_grad=True)
    y = x.exp()
    kept = weakref.ref(y.grad_fn.saved[0])
    z = y.sum()
    del y
    z.backward()
    assert kept() is None


def test_two_threads_differentiate_graphs_of_their_own():
    w = mg.randn(20, 20, requires_grad=True)
    results = {}

    def work(i):
        with mg.no_grad() if i % 2 else mg.enable_grad():
            x = mg.full((20, 20), float(i), requires_grad=True)
            for _ in range(50):
                y = (x @ w.detach()).tanh().sum()
                if i % 2:
                    assert not y.requires_grad
                else:
                    y.backward()
        results[i] = x.grad

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[1] is None and results[3] is None and mg.is_grad_enabled()
    for i in (0, 2):
        x = mg.full((20, 20), float(i), requires_grad=True)
        for _ in range(50):
            (x @ w.detach()).tanh().sum().backward()
        assert mg.equal(x.grad, results[i])


def test_grad_fn_is_readable():
    x = mg.tensor([1.0], requires_grad=True)
    assert repr((x * 2).grad_fn) == "<MulBackward0>"
    assert repr(x.exp().sum()) == "tensor(2.7183, grad_fn=<SumBackward0>)"
    assert x.grad_fn is None and x.is_leaf


def test_copies_and_pickles_of_leaves():
    import copy
    import pickle

    x = mg.Tensor([1.0, 2.0], requires_grad=True, name="x")
    (x * x).sum().backward()
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.tolist() == x.tolist() and y.requires_grad and y.grad.tolist() == x.grad.tolist() and y.name == "x"
        y.data += 1
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="detach"):
        copy.deepcopy(x * 2)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "mod"])
def test_a_reflected_operator_called_by_name_on_two_tensors(name: str) -> None:
    """x.__rsub__(y) is y - x, with both gradients; most often the other side is a number."""
    operator = getattr(mg.Tensor, f"__{name}__")
    x, y = (mg.tensor([1.5, 2.5], requires_grad=True) for _ in range(2))
    got = getattr(x, f"__r{name}__")(y * 2)
    want = operator(y * 2, x)
    assert got.tolist() == want.tolist()
    for a, b in zip(mg.autograd.grad(got.sum(), (x, y)), mg.autograd.grad(want.sum(), (x, y)), strict=True):
        assert a.tolist() == b.tolist()
    number = getattr(x, f"__r{name}__")(2)
    mg.autograd.grad(number.sum(), x)
    assert number.tolist() == operator(mg.tensor(2.0), x).tolist()


def _programs():
    """Graphs with every kind of rule and input: what is not differentiated, joint, of any number, broadcast, shared."""
    F = mg.nn.functional
    numbers = np.random.default_rng(0).standard_normal((3, 4))
    fixed, ix = mg.tensor(numbers), mg.tensor([2, 0, 2])
    return {
        "twice": lambda a, b, c: ((a + a) * (a * a)).sum(),
        "constants": lambda a, b, c: (fixed * a - 2 * b / fixed).sum(),
        "broadcast": lambda a, b, c: (a * c[0] + b[:, :1] * c[:1]).mean(),
        "any number": lambda a, b, c: (mg.cat([a, fixed, b, a]) ** 2).sum() + mg.stack([fixed, c]).exp().sum(),
        "joint": lambda a, b, c: F.batch_norm(a, None, None, c[0], b[0], training=True).tanh().sum(),
        "joint in part": lambda a, b, c: (F.layer_norm(fixed, (4,), c[1], None) * b).sum(),
        "rows": lambda a, b, c: (a[ix] * a[[1, 1, 0]] + a.T[:3, :3].sum()).sum(),
        "spent": lambda a, b, c: F.cross_entropy(a @ c.T, ix) + F.cross_entropy(a, ix),
        "parts": lambda a, b, c: sum(x.sum() * i for i, x in enumerate([*a.unbind(), *b.split(2), *c.chunk(2, 1)])),
        "numbers": lambda a, b, c: (a[0, 0] * b[0, 0] + 2.0) ** 2 / c[0, 0] + a[0, 0].relu(),
        "dtypes": lambda a, b, c: (a.float() * 2).double().sum() + (b.float() @ c.float().T).sum().double(),
        "layouts": lambda a, b, c: (a.T + b.T + c.T.contiguous() + a.T).exp().sum(),
    }


@pytest.mark.parametrize("name", _programs())
@pytest.mark.parametrize("explains", [False, True])
def test_the_quick_walk_does_what_the_other_does(name: str, explains: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "explains", explains)
    program = _programs()[name]

    def run(**kwargs: bool):
        rng = np.random.default_rng(1)
        leaves = [mg.tensor(rng.standard_normal((3, 4)), requires_grad=True) for _ in "abc"]
        seen = []
        leaves[0].register_hook(lambda g: seen.append(g.tolist()))
        inner = [x * 1 for x in leaves]
        inner[1].register_hook(lambda g: g * 2)
        loss = program(*inner)
        loss.backward(**kwargs)
        return [None if x.grad is None else (x.grad.array.tobytes(), x.grad.stride()) for x in leaves], seen

    assert run() == run(retain_graph=True)


@pytest.mark.parametrize("quick", [True, False])
def test_what_each_use_gave_is_kept_in_the_quick_walk_too(quick: bool) -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    five = x * 5
    h = x * 3
    h.retain_grad()
    z = (h * h + h.exp()).sum() + five.sum()
    z.backward(retain_graph=not quick)
    assert h.grad.tolist() == (2 * h + h.exp()).tolist()
    assert sorted(op.__name__ for op, _, _ in h.grad_fn.extra.parts) == ["Exp", "Mul", "Mul"]
    assert sorted(g.tolist() for _, _, g in x._extra.parts) == sorted([[5.0, 5.0], (h.grad * 3).tolist()])
