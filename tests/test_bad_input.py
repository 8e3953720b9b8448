"""Input that is no Tensor, shape or index: an error that names the values, and the graph goes on as before."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minigrad as mg

REFUSALS = (RuntimeError, IndexError, TypeError, ValueError, OverflowError, MemoryError)
NAN, INF = float("nan"), float("inf")


def nested(depth: int) -> Any:
    data: Any = 1.0
    for _ in range(depth):
        data = [data]
    return data


def cycle() -> list[Any]:
    data: list[Any] = [1.0]
    data.append(data)
    return data


# (call on x, (3, 4) and in a graph; what the message says)
TABLE: list[tuple[Any, list[str]]] = [
    # what is no number
    (lambda x: mg.tensor(cycle()), ["64", "hold themselves", "[1.0, [1.0"]),
    (lambda x: mg.tensor(nested(10_000)), ["64", "[[["]),
    (lambda x: mg.tensor(nested(65)), ["64"]),
    (lambda x: mg.tensor([[1.0, 2.0], [3.0]]), ["equal length"]),
    (lambda x: mg.tensor([object(), 1.0]), ["object"]),
    (lambda x: mg.tensor("1"), ["str", "1"]),
    (lambda x: mg.tensor([1j, 2]), ["complex", "1j"]),
    (lambda x: mg.tensor(np.ones(2, complex)), ["complex128"]),
    (lambda x: mg.tensor(np.ones(2, complex), dtype=mg.float32), ["complex128"]),
    (lambda x: mg.tensor(np.array(["1"]), dtype=mg.float32), ["<U1"]),
    (lambda x: mg.tensor(np.array([1, None], object)), ["object"]),
    (lambda x: mg.tensor({1: 2}), ["dict"]),
    (lambda x: mg.tensor(2**70), [str(2**70)]),
    (lambda x: mg.tensor([1.0], dtype="float99"), ["float99"]),
    (lambda x: mg.tensor([1.0], dtype=complex), ["complex128"]),
    # numbers that a dtype cannot hold
    (lambda x: mg.tensor(NAN, dtype=mg.int64), ["nan", "int64"]),
    (lambda x: mg.tensor([0.0, INF], dtype=mg.int32), ["inf", "int32"]),
    (lambda x: mg.tensor([1e30], dtype=mg.int64), ["1e+30", "int64"]),
    (lambda x: mg.tensor([300.0], dtype=mg.int8), ["300", "int8"]),
    (lambda x: mg.ones(2, dtype=mg.int64) + 2**70, ["118059162071741", "int64"]),
    (lambda x: mg.ones(2, dtype=mg.int64) < 2**70, ["118059162071741", "int64"]),
    (lambda x: mg.zeros(2, dtype=mg.int64).__setitem__(0, NAN), ["nan", "int64"]),
    # operands
    (lambda x: x + object(), ["object"]),
    (lambda x: x + 1j, ["complex"]),
    (lambda x: x + np.ones(4, complex), ["complex128"]),
    (lambda x: x @ nested(10_000), ["list"]),
    (lambda x: mg.cat(cycle()), ["cat"]),
    (lambda x: mg.cat("ab"), ["str", "'a'"]),
    (lambda x: x.__setitem__(0, "a"), ["str", "'a'"]),
    (lambda x: x.__setitem__(0, cycle()), ["list", "1.0"]),
    # indices
    (lambda x: x[NAN], ["nan"]),
    (lambda x: x[[NAN]], ["float64", "nan"]),
    (lambda x: x[mg.tensor([NAN])], ["float32"]),
    (lambda x: x[2**70], [str(2**70), "(3, 4)"]),
    (lambda x: x[[2**70]], [str(2**70)]),
    (lambda x: x[nested(10_000)], ["[[["]),
    (lambda x: x[0.5:], ["0.5"]),
    (lambda x: x["a":], ["'a'"]),
    (lambda x: x[(None,) * 63], ["64", "65"]),
    (lambda x: x[(0,) * 100], ["(3, 4)", "100"]),
    # shapes
    (lambda x: mg.zeros(1.5), ["1.5"]),
    (lambda x: mg.zeros(NAN), ["nan"]),
    (lambda x: mg.zeros(nested(10_000)), ["[[["]),
    (lambda x: x.permute(nested(10_000)), ["[[["]),
    (lambda x: x.reshape(cycle()), ["1.0"]),
    (lambda x: x.view(2**70), [str(2**70), "(3, 4)"]),
    (lambda x: mg.ones((1,) * 65), ["64", "65"]),
    (lambda x: mg.ones((1,) * 64).unsqueeze(0), ["64", "65"]),
    (lambda x: mg.stack([mg.ones((1,) * 64)]), ["64", "65"]),
    # sizes past all memory
    (lambda x: mg.zeros(2**70), [str(2**70)]),
    (lambda x: mg.zeros(2**40, 2**40), [str(2**40), str(2**80)]),
    (lambda x: mg.empty(2**70, 0), [str(2**70)]),
    (lambda x: mg.ones(2**55), [str(2**55)]),
    (lambda x: x.sum().expand(2**55) + 1, [str(2**55)]),
    # gradients
    (lambda x: x.backward(np.ones((3, 4), complex)), ["complex128"]),
    (lambda x: x.backward(mg.ones(2)), ["(2,)", "(3, 4)"]),
    (lambda x: x.backward("a"), ["str", "a"]),
]


@pytest.mark.parametrize("row", range(len(TABLE)))
def test_an_error_names_the_values_and_the_graph_goes_on(row):
    call, says = TABLE[row]
    leaf = mg.arange(12.0).reshape(3, 4).requires_grad_()
    x = leaf * 2
    loss = (x * x).sum()
    with pytest.raises(REFUSALS) as error:
        call(x)
    assert not isinstance(error.value, RecursionError)
    for text in says:
        assert text in str(error.value)
    loss.backward()
    assert leaf.grad.tolist() == (8 * leaf.detach()).tolist()


def test_64_dimensions_work():
    x = mg.tensor(nested(64), requires_grad=True)
    assert x.shape == (1,) * 64
    y = x * mg.ones(2)
    assert y[(0,) * 63].shape == (2,)
    y.var().backward()
    assert x.grad.shape == x.shape


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text(max_size=3)
    | st.binary(max_size=2) | st.builds(object) | st.slices(5) | st.just(...),
    lambda inner: st.lists(inner, max_size=3)
    | st.tuples(inner, inner)
    | st.dictionaries(st.integers(), inner, max_size=1),
    max_leaves=6,
)  # fmt: skip
CALLS = [
    lambda x, a: mg.tensor(a),
    lambda x, a: mg.tensor(a, dtype=mg.int32),
    lambda x, a: x[a],
    lambda x, a: x.clone().__setitem__(a, 1.0),
    lambda x, a: x.clone().__setitem__(0, a),
    lambda x, a: x + a,
    lambda x, a: x @ a,
    lambda x, a: x.reshape(a),
    lambda x, a: x.permute(a),
    lambda x, a: x.sum(a),
    lambda x, a: x.softmax(a),
    lambda x, a: mg.gather(x, 1, a),
    lambda x, a: mg.cat([x, a]),
    lambda x, a: x.to(a),
    lambda x, a: mg.nn.functional.cross_entropy(x, a),
]


@settings(max_examples=200, deadline=None)
@given(a=ANYTHING, which=st.integers(0, len(CALLS) - 1))
def test_anything_at_all_is_taken_or_refused_in_words(a, which):
    leaf = mg.ones(3, 4, requires_grad=True)
    x = leaf * 2
    loss = (x * x).sum()
    try:
        CALLS[which](x, a)
    except REFUSALS as error:
        assert not isinstance(error, RecursionError)
        assert str(error)
    loss.backward()
    assert leaf.grad.tolist() == [[8.0] * 4] * 3
