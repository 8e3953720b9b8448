"""What a capture could overlook: memory that several share, arrays that change unseen, rows out of range, orders."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg

from .beside import about, beside, replays

F4 = np.float32


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype(F4)


DATA = [values(3, seed=k) for k in range(7)]


def part_in_place(x: Any, p: Any) -> Any:
    y = p * x
    y[:2].mul_(3.0)
    y.sum().backward()
    return y.detach()


def base_of_a_part(x: Any, p: Any) -> Any:
    y = p * x
    part = y.view(1, 3)[0]
    y.mul_(2.0)
    (part * part).sum().backward()
    return y.detach()


def copied_into_a_part(x: Any, p: Any) -> None:
    c = mg.zeros(3)
    c[:1].copy_(p[:1])
    (c * 2 * x).sum().backward()


def one_hot_over_and_over(x: Any, p: Any) -> Any:
    row, found = mg.zeros(3), []
    for i in range(3):
        row.zero_()
        row[i] = 1.0
        found.append((x * row).sum())
    return mg.stack(found)


def jacobian(x: Any, p: Any) -> Any:
    y, rows = (p * x) ** 2, []
    for i in range(3):
        row = mg.zeros(3)
        row[i] = 1.0
        rows.append(mg.autograd.grad(y, [p], row, retain_graph=True)[0])
    return mg.stack(rows)


def constant_changed_between(x: Any, p: Any) -> Any:
    t = mg.ones(3)
    y = x * t
    t.add_(1.0)
    return y + x * t


def array_changed_after(x: Any, p: Any) -> Any:
    a = np.zeros(3, F4)
    y = x + mg.from_numpy(a)
    a += 1
    return y


def power_of_a_negative_number(x: Any, p: Any) -> Any:
    return (-2.0) ** x.sum().round()


def data_exchanged(x: Any, p: Any) -> None:
    (p * x).sum().backward()
    p.data = p.data - 0.1 * p.grad


STEPS = {
    part_in_place: 5, base_of_a_part: 5, jacobian: 5, power_of_a_negative_number: 5, copied_into_a_part: 0,
    one_hot_over_and_over: 0, constant_changed_between: 0, array_changed_after: 0, data_exchanged: 0,
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda f: f.__name__)
def test_a_step(step: Any) -> None:
    def make(wrap: Any) -> SimpleNamespace:
        p = mg.tensor(values(3), requires_grad=True)

        def whole(x: Any) -> Any:
            p.grad = None
            return step(x, p)

        return SimpleNamespace(step=wrap(whole), p=p)

    world = beside(make, [lambda w, x=x: w.step(mg.tensor(x)) for x in DATA])
    assert replays(world) == STEPS[step], about(world)


def test_numpy_that_writes_into_its_operands_or_makes_as_many_as_a_value_says() -> None:
    def sums(z: Any) -> Any:
        np.cumsum(z, 0, None, z)
        return z * 1

    cases: list[Any] = [
        lambda z: np.clip(z, 0, 0.5, z) * 1, lambda z: z.clip(0, 0.5, out=z) * 1, lambda z: np.round(z, 1, z) * 1, sums,
        lambda z: np.nan_to_num(z, copy=False) * 1, lambda z: np.float_power(z, 0.1),
        lambda z: np.multiply(z, 0.1, dtype=float),
        lambda z: np.repeat(z, (z > 0.5).astype(int)), lambda z: z.repeat((z > 0.5).astype(int)),
        lambda z: z.reshape((z[:2] > 9).astype(int) + 2), lambda z: z[None].transpose((z[:2] > 9) + [1, 0]),
        lambda z: np.split(z, (z > 0.5).astype(int)[:1])[0] * 1,
    ]  # fmt: skip
    for case in cases:
        compiled = mg.compile(lambda x, case=case: case(x * 1))
        for k in range(6):
            x = values(4, seed=k)
            np.testing.assert_array_equal(compiled(x), case(x * 1), strict=True)


def test_a_graph_is_told_that_a_replay_changed_its_memory() -> None:
    big, q = mg.tensor(values(6)), mg.tensor(values(6), requires_grad=True)
    row = big[:3]

    @mg.compile
    def step(x: Any) -> None:
        row.add_(x)

    for k in range(4):
        step(mg.tensor(values(3, seed=k)))
    loss = (q * big).sum()
    step(mg.tensor(values(3)))
    assert mg.compile.explain(step).replays == 3
    with pytest.raises(RuntimeError, match="a captured step on a Tensor of shape"):
        loss.backward()


def test_a_row_out_of_range_whose_values_nobody_uses() -> None:
    W = mg.tensor(values(4, 3), requires_grad=True)
    optimizer = mg.optim.SGD([W], lr=0.1)

    @mg.compile
    def step(rows: Any, x: Any) -> None:
        optimizer.zero_grad()
        (W[rows] * x).sum().backward()
        optimizer.step()

    x = mg.tensor(values(2, 3))
    for k in range(4):
        step(mg.tensor([0, k]), x)
    assert mg.compile.explain(step).replays == 2
    before = W.tolist()
    with pytest.raises(IndexError, match="index 4 is out of bounds"):
        step(mg.tensor([0, 4]), x)
    assert W.tolist() == before


@pytest.mark.parametrize("shared", [False, True])
def test_a_gradient_that_is_reached_twice(shared: bool) -> None:
    def make(wrap: Any) -> SimpleNamespace:
        p, q = (mg.tensor(values(3), requires_grad=True) for _ in range(2))
        g = p.grad = mg.zeros(3)
        if shared:
            q.grad = g

        def step(x: Any) -> Any:
            g.zero_()
            (p * x * q).sum().backward()
            return g.clone()

        return SimpleNamespace(step=wrap(step), p=p, q=q, g=g)

    world = beside(make, [lambda w, x=x: w.step(mg.tensor(x)) for x in DATA[1:]])
    assert replays(world) >= 3, about(world)


def test_rows_looked_up_again_after_their_numbers_changed() -> None:
    def world(wrap: Any) -> SimpleNamespace:
        w = mg.tensor(np.arange(12, dtype=np.float32).reshape(4, 3))
        at = mg.tensor([0, 1])

        def step(by: Any) -> Any:
            at.add_(by)
            y = w[at] + w[at]  # the second time they are known to be in range ...
            at.add_(by)
            z = w[at]  # ... and here they are not
            at.sub_(by * 2)
            return (y * z).sum()

        return SimpleNamespace(step=wrap(step), at=at, w=w)

    def act(world: SimpleNamespace, by: int) -> Any:
        try:
            return world.step(mg.tensor(by))
        except IndexError:
            return "out of range"

    moves = (0, 1, 1, 0, -1, 1, 1, 1, 2, 1, -2, 0, -4, 3, 1)
    found = beside(world, [partial(act, by=by) for by in moves])
    assert replays(found) >= 3, mg.compile.explain(found.step)


def test_an_array_that_the_step_counts_in() -> None:
    counts = np.zeros(2)

    @mg.compile
    def step(x: Any) -> Any:
        counts[0] += 1
        return x * float(counts[0])

    assert [step(mg.tensor(1.0)).item() for _ in range(5)] == [1, 2, 3, 4, 5]
    assert "it changes the numpy array" in str(mg.compile.explain(step))


def test_the_order_of_what_is_given_by_name() -> None:
    @mg.compile
    def step(x: Any, **more: Any) -> Any:
        for name, value in more.items():
            x = x * value if name == "mul" else x + value
        return x

    for _ in range(4):
        assert step(mg.tensor(1.0), mul=2, add=3).item() == 5
    assert mg.compile.explain(step).replays == 2
    assert step(mg.tensor(1.0), add=3, mul=2).item() == 8


def test_arguments_that_are_equal_but_not_the_same() -> None:
    step = mg.compile(lambda x, r: x * r.stop)
    for _ in range(4):
        assert step(mg.tensor(1.0), range(0, 3, 2)).item() == 3
    assert step(mg.tensor(1.0), range(0, 4, 2)).item() == 4


def test_the_shape_and_dtype_of_a_tensor_whose_values_nobody_reads() -> None:
    other = mg.zeros(4)

    @mg.compile
    def step(x: Any) -> Any:
        return x.sum() / other.shape[0], mg.ones_like(other) * x[0], (x * 1).to(other.dtype)

    x = mg.tensor(values(3))
    for _ in range(4):
        step(x)
    assert mg.compile.explain(step).replays == 2
    other.data = mg.zeros(2, dtype=mg.float64)
    mean, ones, same = step(x)
    assert mean.item() == pytest.approx(x.sum().item() / 2) and ones.shape == (2,) and same.dtype == mg.float64


def test_what_an_argument_holds_beside_its_values() -> None:
    step = mg.compile(lambda x: x * 2 if x.grad is None else x * x.grad)
    for _ in range(4):
        assert step(mg.tensor([3.0])).item() == 6
    assert mg.compile.explain(step).replays == 2
    x = mg.tensor([3.0])
    x.grad = mg.tensor([5.0])
    assert step(x).item() == 15


@pytest.mark.parametrize("how", ["expanded", "reversed", "unaligned"])
def test_arguments_whose_layout_no_copy_has(how: str) -> None:
    """The order in which numpy adds up hangs on it."""
    raw = np.zeros(4 * 9000 + 1, np.uint8)
    x = {
        "expanded": np.broadcast_to(values(57, 1), (57, 133)),
        "reversed": values(64, 57)[::-1, ::-1],
        "unaligned": raw[1:].view(F4),
    }[how]
    if how == "unaligned":
        x[...] = values(9000)
    step = mg.compile(lambda x: (x.sum(0), (x * 1).sum()))
    for _ in range(4):
        found, want = step(x), step.function(x)
        assert [np.asarray(a).tobytes() for a in found] == [np.asarray(a).tobytes() for a in want]
    assert "give a copy of it" in str(mg.compile.explain(step))


@pytest.mark.parametrize("how", ["a decision", "a row out of range"])
def test_gradients_stay_when_a_replay_stops(how: str) -> None:
    """Those of the run before, which a bad batch leaves as they are."""

    def make(wrap: Any) -> SimpleNamespace:
        w = mg.tensor(values(3), requires_grad=True)

        def step(x: Any, rows: Any) -> Any:
            loss = mg.tanh(w * x).sum()
            (gradient,) = mg.autograd.grad(loss, [w])
            if how == "a decision" and not bool(mg.isfinite(gradient).all()):
                return loss.detach()
            taken = x[rows].sum()
            w.grad = gradient
            return loss.detach() + taken

        return SimpleNamespace(step=wrap(step), w=w)

    def run(k: int, bad: bool) -> Any:
        x = values(3, seed=k)
        if bad and how == "a decision":
            x[1] = np.nan
        rows = [0, 7 if bad and how != "a decision" else k % 3]
        return lambda w: w.step(mg.tensor(x), mg.tensor(rows))

    world = beside(make, [run(k, bad=k in (5, 8)) for k in range(11)])
    assert replays(world) >= 5, about(world)


def test_numbers_that_an_optimizer_lends() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        w = mg.tensor(values(3), requires_grad=True)
        optimizer = mg.optim.SGD([w], lr=2.0)
        group = optimizer.param_groups[0]

        def step(x: Any, y: Any) -> Any:
            made = [mg.tensor(group["lr"]), mg.tensor([group["lr"]]), mg.tensor(np.full(2, np.asarray(group["lr"])))]
            return [x * y ** group["lr"], *made]

        return SimpleNamespace(step=wrap(step), optimizer=optimizer)

    def rate(lr: float) -> Any:
        return lambda w: w.optimizer.param_groups[0].update(lr=lr)

    def run(k: int) -> Any:
        return lambda w: w.step(mg.tensor(values(3, seed=k)), mg.tensor(values(3, seed=k + 9)))

    beside(make, [run(0), run(1), run(2), rate(0.5), run(3), run(4), rate(3.0), run(5)])


def test_a_power_by_a_rate() -> None:
    w = mg.tensor(values(3), requires_grad=True)
    group = mg.optim.SGD([w], lr=2.0).param_groups[0]
    step = mg.compile(lambda x: x ** group["lr"])
    for lr in (2.0, 2.0, 2.0, 0.5, 3.0):
        group["lr"] = lr
        x = values(4)
        np.testing.assert_array_equal(step(x), step.function(x), strict=True)


TAKEN = {
    "rows": lambda C, ix: C[ix],
    "rows by embedding": lambda C, ix: mg.nn.functional.embedding(ix, C),
    "rows and columns": lambda C, ix: C[ix, :4],
    "columns": lambda C, ix: C[:, ix],
    "index_select": lambda C, ix: C.index_select(1, ix),
    "gather": lambda C, ix: C.gather(0, ix.view(-1, 1).expand(5, 6)),
    "max": lambda C, ix: C[ix].max(1, keepdim=True).values,
    "slice": lambda C, ix: C[1:6],
    "sort": lambda C, ix: C.sort(0).values[ix],
    "unfold": lambda C, ix: C.unfold(0, 3, 2).sum(2),
    "sum": lambda C, ix: C[ix].sum(1, keepdim=True),
    "mean": lambda C, ix: C.mean(0, keepdim=True).expand(5, 6) + C[ix],
    "batch norm": lambda C, ix: mg.nn.functional.batch_norm(C[ix], None, None, training=True),
    "log_softmax": lambda C, ix: C[ix].log_softmax(1),
    "times": lambda C, ix: C * 2.0,
    "less": lambda C, ix: 1.0 - C,
    "twice": lambda C, ix: mg.cat([C, C * 2.0]),
    "both ways": lambda C, ix: C * 2.0 + (C.T * 3.0).T,
}


@pytest.mark.parametrize("how", TAKEN)
def test_gradients_that_lie_column_by_column(how: str) -> None:
    """A transposed use gives such. Under capture the zeros that rows are added to lay like it, and stayed zeros.

    And a leaf's `.grad` lay like it when nothing was captured: a norm of it had other bits.
    """

    def make(wrap: Any) -> SimpleNamespace:
        C = mg.tensor(values(7, 6), requires_grad=True)
        optimizer = mg.optim.SGD([C], lr=0.1)

        def step(ix: Any, scale: Any) -> Any:
            y = TAKEN[how](C, ix)
            W = mg.tensor(np.arange(y.numel(), dtype=F4).reshape(tuple(y.T.shape)) / 7)
            loss = (y.T * W * scale).sum()
            optimizer.zero_grad()
            loss.backward()
            norm = mg.nn.utils.clip_grad_norm_([C], 1.0)  # a sum, whose order hangs on how the gradient lies
            optimizer.step()
            return loss, norm, C.grad.stride()

        return SimpleNamespace(step=wrap(step), C=C)

    def run(k: int) -> Any:
        ix = np.random.default_rng(k).integers(0, 6, 5)
        return lambda w: w.step(mg.tensor(ix), mg.tensor(F4(k + 1)))

    world = beside(make, [run(k) for k in range(7)])
    assert replays(world) >= 3, about(world)
