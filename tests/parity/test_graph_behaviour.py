"""torch's behaviour of the graph itself: the same code run in both libraries, and what it saw compared.

A case returns what it saw: numbers, lists, None, bools; an error that is part of it as its kind (see error). The
basics, each with its figures, are in tests/test_autograd.py.
"""

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg

CASES: list[Callable[[Any], Any]] = []


def case(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    CASES.append(function)
    return function


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_as_in_torch(function: Callable[[Any], Any]) -> None:
    with warnings.catch_warnings():  # of .grad of what is not a leaf, and of backward(create_graph=True)
        warnings.simplefilter("ignore")
        want, got = function(torch), function(mg)
    assert got == want
    assert want, "a case must see something"


def leaf(m: Any, *values: float) -> Any:
    """A float64 leaf: 0-d for one value."""
    return m.tensor(values[0] if len(values) == 1 else list(values), dtype=m.float64, requires_grad=True)


def error(function: Callable[[], Any]) -> str:
    """The kind of error that this raises: RuntimeError, IndexError, TypeError, ValueError ... or 'no error'."""
    try:
        function()
    except Exception as raised:
        return "RuntimeError" if isinstance(raised, RuntimeError) else type(raised).__name__
    return "no error"


def seen(*tensors: Any) -> list[Any]:
    """The values, rounded as far as both libraries agree; None stays None."""
    return [None if t is None else np.round(np.array(t.detach().tolist()), 9).tolist() for t in tensors]


# -------------------------------------------------------------------------- several backward calls


@case
def accumulation_over_several_graphs(m):
    x, y, found = leaf(m, 1.0, 2.0), leaf(m, 3.0), []
    for k in range(4):
        (x * y * k).sum().backward()
        found += seen(x.grad, y.grad)
    x.grad.zero_()
    (x * 2).sum().backward()
    x.grad = None
    y.grad = None
    (x * 3).sum().backward()
    return found, seen(x.grad, y.grad)


@case
def retain_graph_then_freed(m):
    x = leaf(m, 1.0, 2.0)
    z = (x.exp() * x).sum()
    for _ in range(3):
        z.backward(retain_graph=True)
    z.backward()
    return seen(x.grad), error(z.backward), error(lambda: z.backward(retain_graph=True)), seen(x.grad)


@case
def a_shared_part_is_freed_for_both_heads(m):
    x = leaf(m, 1.0, 2.0)
    h = x.exp()
    a, b = (h * h).sum(), (h * 3).sum()
    a.backward()
    return error(b.backward), seen(x.grad)


@case
def a_shared_part_retained_serves_both_heads(m):
    x = leaf(m, 1.0, 2.0)
    h = x.exp()
    a, b = (h * h).sum(), (h * 3).sum()
    a.backward(retain_graph=True)
    b.backward()
    return seen(x.grad), error(a.backward)


@case
def grad_frees_only_what_it_ran(m):
    x, y = leaf(m, 1.0), leaf(m, 2.0)
    a, b = x.exp(), y.exp()
    z = a * b
    first = seen(*m.autograd.grad(z, a))
    return first, error(lambda: m.autograd.grad(z, b)), seen(*m.autograd.grad(b, y), *m.autograd.grad(a, x))


@case
def several_roots_of_one_backward(m):
    x = leaf(m, 1.0, 2.0)
    h = x * 2
    m.autograd.backward([h.sum(), (h * h).sum(), h], [None, None, m.tensor([1.0, 10.0], dtype=m.float64)])
    return seen(x.grad), error(lambda: m.autograd.backward([h, h], [None]))


# ------------------------------------------------------------------------------------------- hooks


@case
def hooks_in_order_each_on_what_the_last_returned(m):
    x = leaf(m, 1.0, 2.0)
    y, log = x * 2, []
    for k in range(3):
        y.register_hook(lambda g, k=k: log.append((k, g.tolist())) or g * (k + 2))
    x.register_hook(lambda g: log.append(("x", g.tolist())))
    (y * y).sum().backward()
    return log, seen(x.grad)


@case
def a_hook_removed_before_and_while_running(m):
    x = leaf(m, 1.0)
    y, log, handles = x * 2, [], []
    handles.append(y.register_hook(lambda g: log.append("first")))
    handles.append(y.register_hook(lambda g: log.append("second") or handles[0].remove()))
    y.register_hook(lambda g: log.append("third")).remove()
    for _ in range(2):
        y.backward(retain_graph=True)
    handles[0].remove()
    return log, seen(x.grad)


@case
def a_leaf_hook_replaces_once_per_backward(m):
    x = leaf(m, 1.0)
    handle = x.register_hook(lambda g: g * 10)
    (x * 2 + x * 3).backward()
    found = seen(x.grad)
    (x * 2).backward()
    handle.remove()
    (x * 1).backward()
    return found, seen(x.grad)


@case
def a_hook_sees_the_sum_of_all_uses(m):
    x = leaf(m, 1.0, 2.0)
    y, log = x * 1, []
    y.register_hook(lambda g: log.append(g.tolist()))
    (y.sum() + (y * y).sum() + y[0] * 5).backward()
    return log


@case
def hooks_run_in_grad_as_well(m):
    x = leaf(m, 1.0)
    y, log = x * 3, []
    y.register_hook(lambda g: log.append("y") or g * 2)
    x.register_hook(lambda g: log.append("x") or g * 5)
    return seen(*m.autograd.grad(y * y, y)), seen(*m.autograd.grad(y * y, x)), log, x.grad


def test_grad_of_an_inner_value_is_what_its_hooks_made_of_it() -> None:
    """torch gives that of before the hooks if the value lies on the way to another input; here it is always after."""
    found = []
    for m in (torch, mg):
        x = leaf(m, 1.0)
        y = x * 3
        y.register_hook(lambda g: g * 2)
        found.append(seen(*m.autograd.grad(y * y, [y, x])))
    assert found == [[6, 36], [12, 36]]


@case
def retain_grad_keeps_what_the_hooks_made_of_it(m):
    x = leaf(m, 1.0)
    before, after = x * 2, x * 2
    before.register_hook(lambda g: g * 10)
    before.retain_grad()
    after.retain_grad()
    after.register_hook(lambda g: g * 10)
    (before + after).backward()
    return seen(before.grad, after.grad, x.grad), before.retains_grad, x.retains_grad


@case
def retained_gradients_accumulate(m):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    x.retain_grad()
    z = (y * y).sum()
    z.backward(retain_graph=True)
    z.backward()
    return seen(y.grad, x.grad)


@case
def hooks_of_wrong_results(m):
    x = leaf(m, 1.0, 2.0)

    def run(result):
        y = x * 2
        y.register_hook(lambda g: result)
        y.sum().backward()

    return [error(lambda r=r: run(r)) for r in (m.tensor([1.0, 2.0, 3.0], dtype=m.float64), None)], seen(x.grad)


@case
def hooks_need_a_gradient(m):
    x = m.tensor(1.0)
    return error(lambda: x.register_hook(print)), error(x.retain_grad)


@case
def a_hook_with_create_graph_is_recorded(m):
    x = leaf(m, 2.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    (g,) = m.autograd.grad(y * y, x, create_graph=True)
    return seen(g, *m.autograd.grad(g, x)), g.requires_grad


# ------------------------------------------------------------------------ what is recorded, and what not


@case
def detach_in_the_middle(m):
    x = leaf(m, 1.0, 2.0)
    y = x * x
    d = y.detach()
    (y * d + d).sum().backward()
    return seen(x.grad), d.requires_grad, d.is_leaf, d.grad_fn is None, error(lambda: d.sum().backward())


@case
def no_grad_parts(m):
    x = leaf(m, 1.0, 2.0)
    with m.no_grad():
        a = x * 2
        with m.enable_grad():
            b = x * 3
            inner = m.is_grad_enabled()
        c = b * 2
    (a * b + c).sum().backward()
    return seen(x.grad), inner, [t.requires_grad for t in (a, b, c)], [t.is_leaf for t in (a, b, c)]


@case
def backward_inside_no_grad(m):
    x = leaf(m, 1.0, 2.0)
    z = (x * x).sum()
    with m.no_grad():
        z.backward()
    return seen(x.grad), x.grad.requires_grad


@case
def hooks_run_with_grad_mode_as_create_graph_says(m):
    x, log = leaf(m, 1.0), []
    for create_graph in (False, True):
        y = x * 2
        y.register_hook(lambda g: log.append(m.is_grad_enabled()))
        m.autograd.grad(y, x, create_graph=create_graph)
    return log, m.is_grad_enabled()


@case
def leaves_and_their_words(m):
    x, c = leaf(m, 1.0, 2.0), m.tensor([1.0, 2.0])
    y, k = x * 2, c * 2
    with m.no_grad():
        n = x * 2
    tensors = [x, c, y, k, n, y.detach(), x[0], x.view(2, 1), x.clone(), x.detach().requires_grad_()]
    return [(t.is_leaf, t.requires_grad, t.grad_fn is None) for t in tensors], [t.grad is None for t in (x, c)]


@case
def requires_grad_of_what_is_not_a_leaf(m):
    x = leaf(m, 1.0)
    y = x * 2
    k = m.tensor(1.0) * 2
    return (
        error(lambda: y.requires_grad_(False)), error(lambda: setattr(y, "requires_grad", False)),
        error(y.requires_grad_), k.requires_grad_().is_leaf, error(lambda: m.tensor(1).requires_grad_()),
        x.requires_grad_(False).requires_grad,
    )  # fmt: skip


@case
def a_leaf_made_constant_after_its_graph(m):
    x, y = leaf(m, 2.0), leaf(m, 3.0)
    z = x * y
    y.requires_grad_(False)
    z2 = x * y
    z2.backward()
    return seen(x.grad, y.grad), z.requires_grad


# ------------------------------------------------------------------------------- gradients that are given


@case
def a_gradient_given(m):
    x = leaf(m, 1.0, 2.0)
    y = x * x
    y.backward(m.tensor([1.0, 10.0], dtype=m.float64), retain_graph=True)
    y.backward(gradient=m.tensor([0.5, 0.0], dtype=m.float64), retain_graph=True)
    given = [m.tensor(1.0), m.tensor([1.0]), m.tensor([[1.0, 1.0]]), m.tensor([1.0, 1.0, 1.0])]
    return seen(x.grad), [error(lambda g=g: y.backward(g.double(), retain_graph=True)) for g in given], seen(x.grad)


@case
def a_gradient_given_for_a_number(m):
    x = leaf(m, 3.0)
    (x * x).backward(m.tensor(2.0, dtype=m.float64))
    return seen(x.grad), error(lambda: (x * x).backward(m.tensor([2.0], dtype=m.float64)))


@case
def one_element_of_any_shape_needs_no_gradient(m):
    x = leaf(m, 3.0)
    (x.reshape(1, 1) * 2).backward()
    return seen(x.grad), error(lambda: (x.expand(2) * 2).backward())


@case
def backward_on_a_leaf_and_on_views(m):
    x = m.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=m.float64, requires_grad=True)
    x.backward(m.ones((2, 2), dtype=m.float64))
    x.t()[0].backward(m.tensor([10.0, 20.0], dtype=m.float64))
    x[1, 1].backward()
    x.view(-1)[::2].sum().backward()
    return seen(x.grad), tuple(x.grad.shape)


@case
def grad_outputs(m):
    x = leaf(m, 1.0, 2.0)
    y, v = x * x, leaf(m, 3.0, 4.0)
    (g,) = m.autograd.grad(y, x, v, create_graph=True)
    wrong = error(lambda: m.autograd.grad(x * x, x, m.tensor(1.0, dtype=m.float64)))
    return seen(g, *m.autograd.grad(g.sum(), [x, v])), wrong, error(lambda: m.autograd.grad(x * x, x)), x.grad, v.grad


@case
def unused_inputs(m):
    x, u = leaf(m, 2.0), leaf(m, 3.0, 4.0)

    def grad(**kwargs):
        return m.autograd.grad(x * x, [x, u], **kwargs)

    return (
        error(grad), error(lambda: grad(allow_unused=False)), seen(*grad(allow_unused=True)),
        seen(*grad(materialize_grads=True)), seen(*grad(allow_unused=True, materialize_grads=True)),
        error(lambda: grad(allow_unused=False, materialize_grads=True)),
        error(lambda: m.autograd.grad(x * x, m.tensor(1.0))), error(lambda: m.autograd.grad(m.tensor(1.0), x)),
        error(lambda: m.autograd.grad(x * x, m.tensor(1.0), allow_unused=True)),
    )  # fmt: skip


@case
def grad_of_a_value_with_itself_and_twice(m):
    x = leaf(m, 2.0)
    y = x * x
    return seen(*m.autograd.grad(y, y, retain_graph=True), *m.autograd.grad(y, [x, x, y]), *m.autograd.grad(x, x))


@case
def inputs_of_backward(m):
    x, y = leaf(m, 2.0), leaf(m, 3.0)
    h = x * y
    (h * h).backward(inputs=[x, h], retain_graph=True)
    found = seen(x.grad, y.grad, h.grad)
    return found, error(lambda: h.backward(inputs=[])), error(lambda: h.backward(inputs=[m.tensor(1.0)]))


# ------------------------------------------------------------------------------------- create_graph


@case
def grad_of_grad_accumulates(m):
    x = leaf(m, 2.0)
    y = x**3
    (g,) = m.autograd.grad(y, x, create_graph=True)
    g.backward(retain_graph=True)
    found = seen(x.grad)
    (g * g).backward()
    return found, seen(x.grad), x.grad.requires_grad


@case
def a_penalty_on_the_gradient(m):
    w, x = leaf(m, 0.5, -1.0), m.tensor([2.0, 3.0], dtype=m.float64)
    loss = ((w * x).sum().tanh() - 1) ** 2
    (g,) = m.autograd.grad(loss, w, create_graph=True)
    (loss + (g * g).sum()).backward()
    return seen(w.grad, g)


@case
def backward_with_create_graph_accumulates_a_graph(m):
    x = leaf(m, 2.0)
    (x**3).backward(create_graph=True)
    (x**2).backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.backward()
    return seen(g, x.grad), g.requires_grad


@case
def create_graph_without_retain_graph(m):
    x = leaf(m, 2.0)
    z = x.exp()
    (g,) = m.autograd.grad(z, x, create_graph=True, retain_graph=False)
    return seen(g), error(z.backward)


@case
def a_gradient_without_a_graph_of_its_own(m):
    x = leaf(m, 2.0)
    (g,) = m.autograd.grad(x * 3, x, create_graph=True)
    (h,) = m.autograd.grad(x * x, x)
    return g.requires_grad, h.requires_grad, error(h.backward), error(g.backward)


# ------------------------------------------------------------------------------------ after an error


@case
def a_leaf_after_an_error_in_backward(m):
    x = leaf(m, 1.0, 2.0)
    y = x * 1

    def fail(g):
        raise ZeroDivisionError

    handle = y.register_hook(fail)
    z = (y * 2).sum()
    found = [error(lambda: z.backward(retain_graph=True)), seen(x.grad)]
    handle.remove()
    z.backward()
    return found, seen(x.grad), m.is_grad_enabled(), (x * 2).requires_grad


@case
def an_error_with_create_graph_leaves_the_mode(m):
    x = leaf(m, 1.0)
    y = x * 1
    y.register_hook(lambda g: 1 / 0)
    with m.no_grad():
        found = error(lambda: m.autograd.grad(y, x, create_graph=True)), m.is_grad_enabled()
    return found, m.is_grad_enabled(), error(lambda: (x * 2).backward())


@case
def an_error_in_an_op_leaves_its_inputs(m):
    x = leaf(m, 1.0, 2.0)
    wrong = error(lambda: x @ m.ones(3, dtype=m.float64))
    (x * x).sum().backward()
    return wrong, seen(x.grad)


# ------------------------------------------------------------------------------------------- threads


def in_threads(*work: Callable[[], None]) -> None:
    errors = []

    def run(f):
        try:
            f()
        except Exception as raised:
            errors.append(raised)

    threads = [threading.Thread(target=run, args=(f,)) for f in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@case
def two_threads_with_graphs_of_their_own(m):
    found: dict[int, Any] = {}

    def work(i):
        x = leaf(m, 1.0 + i, 2.0)
        for _ in range(30):
            y = (x * x).tanh()
            (g,) = m.autograd.grad(y.sum(), x, create_graph=True)
            (g * y).sum().backward()
        found[i] = seen(x.grad)

    in_threads(lambda: work(0), lambda: work(1))
    return sorted(found.items())


@case
def no_grad_is_of_its_thread(m):
    x, found, ready = leaf(m, 1.0), {}, threading.Barrier(2)

    def without():
        with m.no_grad():
            ready.wait(10)
            found["without"] = (x * 2).requires_grad
            ready.wait(10)

    def plain():
        ready.wait(10)
        found["plain"] = (x * 2).requires_grad
        ready.wait(10)

    in_threads(without, plain)
    with m.no_grad():
        in_threads(lambda: found.update(new=(x * 2).requires_grad))
    return sorted(found.items()), m.is_grad_enabled()


@case
def two_threads_read_one_leaf(m):
    """grad() on graphs over the same leaf: nothing is accumulated, so nothing is raced for."""
    w, found = leaf(m, 1.0, 2.0), {}

    def work(i):
        for _ in range(30):
            (g,) = m.autograd.grad((w * w * (i + 1)).sum(), w)
        found[i] = seen(g)

    in_threads(lambda: work(0), lambda: work(1))
    return sorted(found.items()), w.grad


@case
def threads_one_after_another_accumulate_in_one_leaf(m):
    w = leaf(m, 1.0, 2.0)
    for k in range(3):
        in_threads(lambda k=k: (w * k).sum().backward())
    return seen(w.grad)


@case
def a_graph_built_in_one_thread_and_run_in_another(m):
    x = leaf(m, 1.0, 2.0)
    graphs: list[Any] = []
    in_threads(lambda: graphs.append((x * x).sum()))
    in_threads(lambda: graphs[0].backward())
    return seen(x.grad), error(graphs[0].backward)


# -------------------------------------------------------------------------- memory that several share, and numbers

VIEWS = (
    lambda a: a.view(1), lambda a: a.reshape(1, 1), lambda a: a.unsqueeze(0), lambda a: a.squeeze(),
    lambda a: a.ravel(), lambda a: a.flatten(), lambda a: a[...], lambda a: a[None], lambda a: a[()],
    lambda a: a.expand(1), lambda a: a.expand(2), lambda a: a.view_as(a),
    lambda a: a.permute(()), lambda a: a.broadcast_to(1, 1), lambda a: a.detach(),
)  # fmt: skip


@case
def views_of_a_number_share_its_memory(m):
    found = []
    for view in VIEWS:
        a = m.tensor(2.0)
        v = view(a)
        a.mul_(5)
        found += seen(a, v)
        if v.numel() == 1:
            v.add_(1)
        found += seen(a, v)
    return found


@case
def a_view_of_a_number_changed_in_place_and_the_number_too(m):
    found = []
    for view in VIEWS:
        b = leaf(m, 2.0)
        a = b * 1
        v = view(a)
        found.append(error(lambda v=v: v.mul_(5)))
        (a * a * v.sum()).backward()
        found += seen(b.grad)
        b = leaf(m, 3.0)
        a = b * 1
        v = view(a)
        a.mul_(5)
        (v * v).sum().backward(inputs=[b]) if v.requires_grad else None
        found += seen(b.grad)
    return found


@case
def gradients_of_create_graph_are_tensors_of_their_own(m):
    a, b, g = leaf(m, 1.0), leaf(m, 1.0), m.tensor(1.0, dtype=m.float64)
    (a + b).backward(g, create_graph=True)
    found = [a.grad is b.grad, a.grad is g, a.grad.requires_grad]
    with m.no_grad():
        a.grad.mul_(0.25)
    (b * 5).backward()
    return found + seen(a.grad, b.grad, g)


@case
def a_gradient_without_dimensions_is_added_to_in_place(m):
    x = leaf(m, 2.0)
    (x * x).backward()
    first = x.grad
    (x * x).backward()
    return [first is x.grad, *seen(first)]


@case
def a_quotient_changed_in_place(m):
    found = []
    for change in (lambda z: z.mul_(2), lambda z: z.zero_()):
        x, w = leaf(m, 2.0, 4.0), leaf(m, 3.0, 5.0)
        z = w / x
        change(z)
        z.sum().backward()
        found += seen(x.grad, w.grad)
    for which in (0, 1):
        pair = [leaf(m, 2.0, 4.0) * 1, leaf(m, 3.0, 5.0) * 1]
        z = pair[0] / pair[1]
        pair[which].mul_(2)
        found.append(error(z.sum().backward))
    return found


@case
def an_expansion_to_the_same_size_is_written_to(m):
    x = m.tensor([[1.0, 2.0]])
    found = [error(lambda: x.expand(1, 2).add_(1)), error(lambda: x.expand(1, 1, 2).mul_(3))]
    y = leaf(m, 2.0)
    (g,) = m.autograd.grad(y.sum() * y, [y], create_graph=True)
    found.append(error(lambda: g.mul_(3)))
    return found + seen(x, g)


@case
def a_leaf_that_requires_grad_no_more_gets_none(m):
    x, w = leaf(m, 1.0), leaf(m, 3.0)
    y = x * w
    x.requires_grad_(False)
    y.backward()
    return [x.grad is None, *seen(w.grad)]


@case
def windows_share_memory(m):
    found = []
    for how in range(3):
        x = leaf(m, 1.0, 2.0, 3.0, 4.0)
        y = x * 1
        v = y.unfold(0, 2, 2)
        if how == 0:
            y.mul_(10)
            v.sum().backward()
        elif how == 1:
            v.mul_(10)
            y.sum().backward()
        else:
            z = v * v
            y.mul_(10)
            found.append(error(z.sum().backward))
        found += seen(x.grad)
    found.append(error(lambda: leaf(m, 1.0, 2.0).unfold(0, 1, 1).mul_(2)))
    return found


@case
def an_index_or_target_changed_in_place(m):
    F = m.nn.functional
    X, other = leaf(m, 1.0, 2.0, 3.0), m.tensor([2, 2])
    rows = m.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=m.float64, requires_grad=True)
    uses = [
        lambda i: X[i], lambda i: rows[:, i], lambda i: X.gather(0, i), lambda i: X.index_select(0, i),
        lambda i: (X * 1).scatter_add(0, i, X[:2]), lambda i: (X * 1).index_add(0, i, X[:2]),
        lambda i: F.embedding(i, rows), lambda i: X.sort().indices.fill_(0), lambda i: (X * 1).scatter(0, i, X[:2]),
    ]  # fmt: skip
    found = []
    for use in uses:
        index = m.tensor([0, 1])
        y = use(index)
        index.copy_(other)
        found.append(error(y.double().sum().backward))
    for loss in (F.cross_entropy, F.nll_loss, lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1)):
        target = m.tensor([0, 1, 0])
        y = loss(rows, target)
        target.fill_(1)
        found.append(error(y.backward))
    mask = m.tensor([True, False, True])
    y = X[mask]
    mask.fill_(True)
    found.append(error(y.sum().backward))
    for order in (lambda: X.sort(), lambda: rows.max(1), lambda: X.topk(2), lambda: rows.median(1)):
        values, indices = order()
        indices.fill_(0)
        found.append(error(values.sum().backward))
    return found


@case
def parts_of_a_detached_tensor(m):
    x, w = leaf(m, 1.0, 2.0), leaf(m, 3.0)
    d = x.detach()
    d[0].mul_(w)
    d.sum().backward()
    found = seen(x, x.grad, w.grad)
    d = x.detach()
    v = d[:1]
    d.mul_(w)
    found += [v.requires_grad, d.requires_grad, x.requires_grad, x.is_leaf]
    d = x.detach()
    d[:1].mul_(w)
    found += [d.requires_grad, error(lambda: x.detach().requires_grad_()[:1].mul_(2))]
    y = x * x
    x.detach()[:1].mul_(2)
    return [*found, error(y.sum().backward)]


@case
def what_is_repeated_is_a_copy(m):
    x = m.ones(1, 2)
    made = [x.repeat(3, 1), x.repeat(1, 1), x.tile(1), m.tensor(1.0).repeat(2), m.nn.functional.pad(x, (0, 0))]
    x.fill_(7)
    for z in made:
        z.view(-1)[0] = 9
    return [seen(*made), error(lambda: m.ones(2, requires_grad=True).repeat(1).add_(1))]


@case
def data_of_a_number_is_shared(m):
    a, x = m.tensor(5.0), leaf(m, 2.0)
    x.data = a
    a.add_(1)
    x.detach().add_(1)
    return seen(x, a)


@case
def the_retained_gradient_of_a_view_follows_its_base(m):
    y = leaf(m, 1.0, 2.0) * 1
    v = y[:1]
    v.retain_grad()
    y.mul_(3)
    (v * v).sum().backward()
    return seen(v.grad)


@case
def a_hook_that_writes_into_its_gradient(m):
    y, a = leaf(m, 1.0) * 1, leaf(m, 2.0)
    y.register_hook(lambda g: g.mul_(3))
    (y + a).backward()
    return seen(a.grad)


@case
def numbers_that_go_nowhere(m):
    x, i = leaf(m, 2.0, 3.0), m.tensor(3)
    x.max().backward(m.tensor(float("inf"), dtype=m.float64))
    i.fill_(m.tensor(2.7))
    taken = leaf(m, 0.5).index_select(0, m.tensor([0]))
    found = seen(taken) + [error(lambda: leaf(m, 0.5).index_select(0, m.tensor([0, 0]))), list(taken.shape)]
    return [error(lambda: m.tensor(1.0) @ m.tensor(1.0)), str(x.grad.tolist()), i.item(), *found]
