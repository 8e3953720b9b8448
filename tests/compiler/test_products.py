"""Matrix products as compiled loops: every size of tile, strides and stacks, against numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minigrad as mg
from minigrad.compiler.calls import Call, Memory, Place
from minigrad.compiler.loops import SMALL, product


def compiled_product(step, *given: np.ndarray):
    """What a replay of the step gives, whose products must all be loops."""
    compiled = mg.compile(step, backend="numba", fullgraph=True)
    for _ in range(3):
        made = compiled(*[mg.tensor(x) for x in given])
    assert mg.compile.explain(compiled).replays == 1
    source = compiled.captured[0].plan.source
    assert "matmul" not in source and "segment0" in source
    return made.numpy()


def check(made: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Each element within what K products, each rounded, can be off: K / 2 ulp of the sum of magnitudes."""
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = np.finfo(made.dtype).eps * (a.shape[-1] + 2) * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))
    assert made.shape == exact.shape and made.dtype == a.dtype
    assert (np.abs(made - exact) <= bound).all()


def given_arrays(shape_a, shape_b, dtype, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape_a).astype(dtype), rng.standard_normal(shape_b).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "m, k, n", [(1, 1, 1), (3, 5, 2), (4, 1, 16), (5, 7, 17), (32, 30, 200), (33, 12, 31), (2, 200, 9)]
)
def test_any_size(m: int, k: int, n: int, dtype) -> None:
    a, b = given_arrays((m, k), (k, n), dtype)
    check(compiled_product(lambda a, b: a @ b, a, b), a, b)


WAYS = {
    "a transposed": (lambda a, b: a.T @ b, lambda a, b: (a.T, b), (7, 19), (7, 21)),
    "b transposed": (lambda a, b: a @ b.T, lambda a, b: (a, b.T), (19, 7), (21, 7)),
    "both": (lambda a, b: a.T @ b.T, lambda a, b: (a.T, b.T), (7, 19), (21, 7)),
    "every other column": (lambda a, b: a[:, ::2] @ b[:, 1::2], lambda a, b: (a[:, ::2], b[:, 1::2]), (6, 18), (9, 44)),
    "every other row": (lambda a, b: a[::2] @ b[::2], lambda a, b: (a[::2], b[::2]), (12, 9), (18, 20)),
    "parts": (lambda a, b: a[2:9, 3:] @ b[1:6, 2:19], lambda a, b: (a[2:9, 3:], b[1:6, 2:19]), (11, 8), (7, 23)),
    "repeated": (
        lambda a, b: a.expand(6, 5) @ b.expand(5, 9),
        lambda a, b: (np.broadcast_to(a, (6, 5)), np.broadcast_to(b, (5, 9))), (1, 5), (5, 1),
    ),
    "one term, repeated": (
        lambda a, b: a @ b.expand(1, 9), lambda a, b: (a, np.broadcast_to(b, (1, 9))), (6, 1), (1, 1),
    ),
    "one term, every other": (lambda a, b: a @ b[:, ::2], lambda a, b: (a, b[:, ::2]), (6, 1), (1, 18)),
    "one column, every other": (lambda a, b: a @ b[:, ::9], lambda a, b: (a, b[:, ::9]), (6, 5), (5, 9)),
    "stacks": (lambda a, b: a @ b, lambda a, b: (a, b), (3, 2, 6, 5), (3, 2, 5, 17)),
    "stacks with turned axes": (
        lambda a, b: a.transpose(1, 2) @ b.permute(0, 2, 3, 1),
        lambda a, b: (a.swapaxes(1, 2), b.transpose(0, 2, 3, 1)), (2, 6, 3, 5), (2, 9, 3, 5),
    ),
    "stacks broadcast": (lambda a, b: a @ b, lambda a, b: (a, b), (4, 1, 6, 5), (3, 5, 17)),
    "a stack and a matrix": (lambda a, b: a @ b, lambda a, b: (a, b), (4, 6, 5), (5, 17)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("way", WAYS)
def test_strides_and_stacks(way: str, dtype) -> None:
    step, views, *shapes = WAYS[way]
    a, b = given_arrays(*shapes, dtype)
    check(compiled_product(step, a, b), *views(a, b))


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 40)] * 3), flips=st.tuples(st.booleans(), st.booleans()),
    stack=st.lists(st.integers(1, 3), max_size=2), double=st.booleans(), seed=st.integers(0, 1000),
)  # fmt: skip
def test_products_and_their_gradients(sizes, flips, stack, double: bool, seed: int) -> None:
    """Forward and both gradients, which are products of transposed matrices, beside the eager ones."""
    m, k, n = sizes
    dtype = np.float64 if double else np.float32
    shapes = [(*stack, k, m) if flips[0] else (*stack, m, k), (*stack, n, k) if flips[1] else (*stack, k, n)]
    a, b = given_arrays(*shapes, dtype, seed)
    p, q = (mg.tensor(x, requires_grad=True) for x in (a, b))

    def step():
        x, y = (t.mT if flip else t for t, flip in zip((p, q), flips, strict=True))
        p.grad = q.grad = None
        product = x @ y
        (product * product).sum().backward()
        return product.detach()

    made = mg.compile(step, backend="numba", fullgraph=True)
    for _ in range(3):
        ours = made()
    found = [ours.numpy(), p.grad.numpy().copy(), q.grad.numpy().copy()]
    eager = step()
    size = max(np.abs(a).max(), np.abs(b).max(), 1.0)
    for mine, theirs in zip(found, [eager.numpy(), p.grad.numpy(), q.grad.numpy()], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=np.finfo(dtype).eps * 40 * m * n * k * size**3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_goes_where_it_should(value: float) -> None:
    a, b = given_arrays((9, 6), (6, 18), np.float32)
    a[4, 2] = value
    made = compiled_product(lambda a, b: a @ b, a, b)
    with np.errstate(all="ignore"):
        want = a @ b
    assert (np.isnan(made) == np.isnan(want)).all() and (np.isinf(made) == np.isinf(want)).all()
    assert np.isfinite(np.delete(made, 4, axis=0)).all()


def call_of(a: np.ndarray, b: np.ndarray, out: np.ndarray, **kwargs) -> Call:
    places = [Place(Memory(x, "local"), x) for x in (a, b, out)]
    return Call("into", np.matmul, tuple(places[:2]), kwargs, places[2], [places[2].memory], None)


def test_which_products_are_loops() -> None:
    def empty(*shape: int) -> np.ndarray:
        return np.empty(shape, np.float32)

    assert product(call_of(empty(32, 30), empty(30, 200), empty(32, 200)))
    side = round(SMALL ** (1 / 3))
    assert not product(call_of(empty(2 * side, side), empty(side, side), empty(2 * side, side)))
    assert not product(call_of(empty(500, 100), empty(100, 1), empty(500, 1)))  # narrow
    assert not product(call_of(empty(0, 4), empty(4, 4), empty(0, 4)))
    assert not product(call_of(empty(4), empty(4, 4), empty(4)))
    ints = np.empty((4, 4), np.int64)
    assert not product(call_of(ints, ints.copy(), ints.copy()))
    assert not product(call_of(empty(4, 4), empty(4, 4), empty(4, 8)[:, ::2]))
    x = empty(4, 4)
    memory = Memory(x, "local")
    place = Place(memory, x)
    assert not product(Call("into", np.matmul, (place, Place(Memory(x, "local"), x)), {}, place, [memory], None))


def test_large_products_are_left_to_blas() -> None:
    a, b = given_arrays((130, 128), (128, 126), np.float32)
    compiled = mg.compile(lambda a, b: a @ b, backend="numba", fullgraph=True)
    for _ in range(3):
        made = compiled(mg.tensor(a), mg.tensor(b))
    assert "matmul" in compiled.captured[0].plan.source
    assert (made.numpy() == a @ b).all()
