"""x[index] and x[index] = v beside torch, on random indices of every kind: values, shapes, gradients, refusals."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import minigrad as mg

REFUSALS = (RuntimeError, IndexError, TypeError, ValueError)
EXAMPLES = settings(max_examples=400)

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def slices(draw: Any) -> slice:
    bound = st.none() | st.integers(-5, 5)
    return slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3)))


@st.composite
def whole_arrays(draw: Any, n: int, shape: tuple[int, ...]) -> np.ndarray:
    """Positions in a dimension of size n, now and then out of it."""
    low, high = (-n, n - 1) if n else (0, 0)
    size = int(np.prod(shape))
    return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)), dtype=np.int64).reshape(shape)


@st.composite
def masks(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    return np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), dtype=bool).reshape(shape)


@st.composite
def indexed(draw: Any) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """A shape and an index into it: ints, slices, None, ..., masks, integer arrays and lists, mixed."""
    shape = draw(shapes)
    together = draw(st.sampled_from([(), (1,), (2,), (3,), (2, 3), (0,)]))  # the arrays broadcast to this
    items: list[Any] = []
    left = list(shape)
    while left and draw(st.integers(0, 4)):
        kind = draw(st.sampled_from(["int", "slice", "slice", "none", "array", "array", "mask", "list"]))
        n = left[0]
        if kind == "none":
            items.append(None)
            continue
        if kind == "mask":
            k = draw(st.integers(1, len(left)))
            items.append(draw(masks(tuple(left[:k]))))
            left = left[k:]
            continue
        left.pop(0)
        if kind == "int":
            items.append(draw(st.integers(-n - (n == 0), n)))
        elif kind == "slice":
            items.append(draw(slices()))
        elif kind == "list":
            items.append(draw(whole_arrays(n, together[-1:])).tolist())
        else:
            items.append(draw(whole_arrays(n, draw(st.sampled_from([together, together[-1:], ()])))))
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), Ellipsis)
    return shape, tuple(items)


def of(m: Any, index: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index with its arrays as Tensors of the library."""
    return tuple([m.tensor(i) if isinstance(i, np.ndarray) else i for i in index])


def leaf(m: Any, shape: tuple[int, ...], start: float = 0.5) -> Any:
    values = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape) + start
    return m.tensor(values, requires_grad=True)


def attempt(run: Any, m: Any) -> Any:
    """What came out as lists of arrays, or that it was refused."""
    try:
        return [np.asarray(x.detach().numpy()) for x in run(m)]
    except REFUSALS:
        return "refused"


def agree(run: Any, empty: bool = False) -> Any:
    """Run in both; both refuse, or all arrays are the same.
    Where nothing is taken torch looks at no index, and numpy not at a mask's length: one may refuse alone.
    """
    want, got = attempt(run, torch), attempt(run, mg)
    if empty and (isinstance(want, str) or isinstance(got, str)):
        return want
    if isinstance(want, str) or isinstance(got, str):
        assert isinstance(want, str) and isinstance(got, str), f"minigrad {got}, torch {want}"
        return want
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape and g.dtype == w.dtype
        np.testing.assert_array_equal(g, w)
    return want


def nothing_taken(shape: tuple[int, ...], index: tuple[Any, ...]) -> bool:
    """Whether the index takes no element."""
    if 0 in shape:
        return True
    try:
        return torch.empty(shape)[of(torch, index)].numel() == 0
    except REFUSALS:
        return False


@EXAMPLES
@given(indexed())
def test_getitem_and_its_gradient(case: Any) -> None:
    shape, index = case

    def run(m: Any) -> list[Any]:
        x = leaf(m, shape)
        y = x[of(m, index)]
        weights = m.tensor(np.arange(1.0, int(np.prod(y.shape)) + 1).reshape(tuple(y.shape)))
        (y * weights).sum().backward()
        return [y, x.grad]

    agree(run, nothing_taken(shape, index))


@EXAMPLES
@given(indexed())
def test_getitem_twice_differentiable(case: Any) -> None:
    shape, index = case

    def run(m: Any) -> list[Any]:
        x = leaf(m, shape)
        (g,) = m.autograd.grad((x[of(m, index)] ** 3).sum(), x, create_graph=True)
        (h,) = m.autograd.grad((g * x).sum(), x)
        return [g, h]

    agree(run, nothing_taken(shape, index))


@EXAMPLES
@given(indexed(), st.data())
def test_setitem_and_its_gradients(case: Any, data: Any) -> None:
    """Repeated places are left out: which write stands is the same in both, but torch does not promise it."""
    shape, index = case
    places = np.arange(int(np.prod(shape))).reshape(shape)
    try:
        taken = torch.tensor(places)[of(torch, index)].numpy()
    except REFUSALS:
        taken = np.zeros(())
    if len(np.unique(taken)) < taken.size:
        return
    cut = data.draw(st.integers(0, taken.ndim), label="leading dimensions dropped from v")
    v_shape = tuple(1 if data.draw(st.booleans(), label="size 1") else n for n in taken.shape[cut:])

    def run(m: Any) -> list[Any]:
        x, v = leaf(m, shape), leaf(m, v_shape, 100.0)
        y = x * 1
        y[of(m, index)] = v
        (y * y).sum().backward()
        return [y, x.grad, v.grad]

    agree(run, nothing_taken(shape, index))


@EXAMPLES
@given(indexed())
def test_setitem_of_a_number_without_a_graph(case: Any) -> None:
    shape, index = case

    def run(m: Any) -> list[Any]:
        x = leaf(m, shape).detach()
        x[of(m, index)] = 7
        return [x]

    agree(run, nothing_taken(shape, index))


@EXAMPLES
@given(indexed())
def test_a_basic_index_is_a_view(case: Any) -> None:
    """Ints, slices, None and ...: a change of the part changes the whole; arrays and masks copy."""
    shape, index = case

    def run(m: Any) -> list[Any]:
        x = leaf(m, shape).detach()
        y = x[of(m, index)]
        y *= -1
        return [x, y]

    agree(run, nothing_taken(shape, index))


@pytest.mark.parametrize(
    "index",
    [
        [0, 0, 1],
        (0, [1, 1]),
        ([0, 1], 0),
        (slice(None), [2, 0]),
        ([1, 0], slice(None), [3, 3]),
        (0, slice(None), [1, 2]),
        (None, 0, [1, 2]),
        (Ellipsis, [1, 2]),
        ([1], Ellipsis, 0),
        True,
        False,
        (True, 0),
        (range(2),),
        np.array([1, 0]),
        np.array([True, False]),
        (np.int64(1), 0),
        ([True, False], [0]),
        ([[0], [1]], [0, 1, 2]),
        (slice(0, 0), [0]),
        ([0, 1], None, [0, 1]),
        (0, None, [0, 1], None),
        ([0], 1, [2]),
        (1, [0], 2),
    ],
    ids=str,
)
def test_kinds_of_index(index: Any) -> None:
    """Each as written, lists and arrays unconverted."""
    index = tuple(list(i) if isinstance(i, range) else i for i in index) if isinstance(index, tuple) else index

    def run(m: Any) -> list[Any]:
        x = leaf(m, (2, 3, 4))
        y = x[m.tensor(index)] if isinstance(index, (list, np.ndarray)) else x[index]
        (y * y).sum().backward()
        return [y, x.grad]

    assert agree(run) != "refused" or index == (range(2),)


def test_arrays_lists_and_tensors_index_alike() -> None:
    x = mg.arange(24).reshape(2, 3, 4)
    for index in (np.array([1, 0, 1]), [1, 0, 1], mg.tensor([1, 0, 1]), mg.tensor([1, 0, 1], dtype=mg.int32)):
        assert x[index].tolist() == x.numpy()[[1, 0, 1]].tolist()


@pytest.mark.parametrize(
    "index", [range(0), range(2, 1), range(3), range(1, 3), range(2, -1, -2), (range(3), range(3))], ids=str
)
def test_ranges(index: Any) -> None:
    """As lists of their numbers; one of no numbers picks nothing (it was refused once)."""

    def run(m: Any) -> list[Any]:
        x = leaf(m, (3, 3))
        y = x[index]
        (y * y).sum().backward()
        return [y, x.grad]

    assert agree(run) != "refused"


def test_repeated_index_adds_up_in_order() -> None:
    """The lecture's dC loop, to the bit, at 32 x 3 rows into 27 x 10 and at many rows."""
    rng = np.random.default_rng(0)
    for rows in (96, 100_000):
        index, dy = rng.integers(0, 27, rows), rng.standard_normal((rows, 10)).astype(np.float32)
        C = mg.zeros(27, 10, requires_grad=True)
        C[mg.tensor(index)].backward(mg.tensor(dy))
        want = np.zeros((27, 10), np.float32)
        for i, row in zip(index, dy, strict=True):
            want[i] += row
        np.testing.assert_array_equal(C.grad.numpy(), want)
