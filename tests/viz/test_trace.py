"""viz.trace: the facts of a graph, before anything is drawn."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
import pytest

import minigrad
from viz.trace import Scalar, Trace, trace


def leaf(value: Any, name: str | None = None) -> Any:
    tensor = minigrad.tensor(value, requires_grad=True)
    if name:
        tensor.name = name
    return tensor


def lines(graph: Trace) -> list[str]:
    """The graph as statements: `e = Add(c, v3)`."""

    def called(thing: str | Scalar) -> str:
        if isinstance(thing, Scalar):
            return repr(thing.number)
        return graph.values[thing].name or thing

    return [f"{called(op.output)} = {op.name}({', '.join(map(called, op.inputs))})" for op in graph.ops]


def test_the_expression_of_micrograd() -> None:
    a, b = leaf(2.0), leaf(-3.0)
    c = a * b
    d = c + b**3
    graph = trace(d, locals())
    assert lines(graph)[0] == "c = Mul(a, b)"
    power = graph.values[graph.ops[1].output]
    assert lines(graph)[2] == f"d = Add(c, {power.key})"
    assert {v.name: v.kind for v in graph.values.values()} == {
        "a": "leaf",
        "b": "leaf",
        "c": "result",
        None: "result",
        "d": "output",
    }
    assert graph.values[graph.ops[2].output].data == (-33.0,)
    assert graph.ops[1].settings == (("n", "3"),)
    assert graph.ops[0].symbol == "*" and "dx" in graph.ops[0].formula


def test_a_value_used_twice_is_one_value_and_two_inputs() -> None:
    a = leaf([1.0, 2.0])
    (op,) = trace(a + a).ops
    assert op.inputs == ("v1", "v1")


def test_a_constant_used_twice_is_one_value() -> None:
    a, x = leaf([1.0, 2.0]), minigrad.tensor([5.0, 6.0])
    graph = trace(a * x + x, {"x": x})
    found = [v for v in graph.values.values() if v.kind == "constant"]
    assert [(v.name, v.shape, v.data) for v in found] == [("x", (2,), (5.0, 6.0))]


def test_a_constant_that_is_gone_keeps_its_shape() -> None:
    y = leaf([1.0, 2.0]) * minigrad.tensor([[5.0, 6.0]])
    (constant,) = (v for v in trace(y).values.values() if v.kind == "constant")
    assert (constant.shape, constant.data, constant.name) == ((1, 2), None, None)


def test_names_given_come_before_a_tensors_own() -> None:
    a, b = leaf(1.0, name="own"), leaf(2.0, name="other")
    y = a * b
    graph = trace(y, {"_": a, "given": a, "again": a, "number": 3})
    first, second = (graph.values[key] for key in graph.ops[0].inputs)
    assert (first.name, first.also) == ("given", ("again", "_", "own"))
    assert second.name == "other"


def test_a_result_is_named_by_its_own_name_too() -> None:
    a = leaf(1.0)
    h = a * 2
    h.name = "h"
    y = h + 1
    assert [v.name for v in trace(y).values.values()] == [None, "h", None]


def test_settings_are_told_where_they_are_not_the_default() -> None:
    a = leaf(np.ones((2, 3), np.float32))
    assert dict(trace(a.sum(0, keepdim=True)).ops[0].settings) == {"dim": "0", "keepdim": "True"}
    assert dict(trace(a.sum()).ops[0].settings) == {}


def test_a_number_among_the_inputs_and_its_side() -> None:
    a = leaf(2.0)
    graph = trace((1 - a) * 2.5)
    assert [op.inputs for op in graph.ops] == [(Scalar(1), "v1"), ("v2", Scalar(2.5))]


def test_an_index_is_a_constant_called_by_its_name() -> None:
    C, ix = leaf(np.ones((5, 2), np.float32)), minigrad.tensor([[0, 4, 4]])
    rows = np.array([1, 2])
    picked = [C[ix], C[rows, 1:], C[[0, 1, 2]]]
    graph = trace(picked, {"ix": ix, "rows": rows})
    settings = [dict(op.settings)["index"] for op in graph.ops]
    assert [[graph.values[key].name for key in op.arrays] for op in graph.ops] == [["ix"], ["rows"], []]
    assert [v.name for v in graph.values.values() if v.kind == "constant"] == ["ix", "rows"]
    assert settings[0] == "(ix,)" and settings[1] == "(rows, 1:)" and "int64 (3,)" in settings[2]


def test_numbers_and_gradients_where_they_are_few() -> None:
    a, big = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf(np.ones(5, np.float32))
    h = a * 2
    h.retain_grad()
    y = h.sum() + big.sum()
    before = trace(y, {"h": h})
    assert all(v.grad is None for v in before.values.values())
    y.backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the engine warns who asks a result for its gradient
        graph = trace(y, {"h": h, "a": a, "big": big, "y": y})
    by_name = {v.name: v for v in graph.values.values()}
    assert by_name["a"].data == (1.0, 2.0, 3.0, 4.0)
    assert by_name["a"].grad == (2.0, 2.0, 2.0, 2.0)
    assert by_name["h"].grad == (1.0, 1.0, 1.0, 1.0)
    assert by_name["big"].data is None and by_name["big"].grad is None
    assert by_name["y"].grad is None


def test_an_empty_tensor_has_no_numbers() -> None:
    (value, _) = trace(leaf(np.ones((0, 3), np.float32)) * 2).values.values()
    assert (value.shape, value.data) == ((0, 3), None)


def test_dtypes() -> None:
    a = minigrad.tensor([1.0], dtype=minigrad.float64, requires_grad=True)
    assert [v.dtype for v in trace(a * 2).values.values()] == ["float64", "float64"]


def test_a_leaf_alone_is_a_graph() -> None:
    graph = trace(leaf(1.0), {})
    assert [(v.kind, v.data) for v in graph.values.values()] == [("leaf", (1.0,))]
    assert graph.ops == ()


def test_several_outputs_share_what_they_share() -> None:
    a = leaf(3.0)
    h = a * 2
    graph = trace([h + 1, h - 1])
    assert [v.kind for v in graph.values.values()] == ["leaf", "result", "output", "output"]
    assert len(graph) == 4 + 3


def test_what_is_under_an_output_may_be_one_itself() -> None:
    a = leaf(3.0)
    h = a * 2
    assert [v.kind for v in trace([h + 1, h]).values.values()] == ["leaf", "output", "output"]


@pytest.mark.parametrize("thing", [3.0, None, "loss", [], [1.0]])
def test_what_is_no_tensor(thing: Any) -> None:
    with pytest.raises(TypeError, match="starts at a Tensor"):
        trace(thing)


def test_two_traces_are_equal_and_frozen() -> None:
    a = leaf([1.0, 2.0])
    y = (a.exp() + a * a).sum()
    graph = trace(y, locals())
    assert graph == trace(y, locals())
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.ops[0].name = "other"  # type: ignore[misc]


def test_a_long_chain_needs_no_recursion() -> None:
    y = leaf(0.0)
    for _ in range(100_000):
        y = y + 1
    graph = trace(y)
    assert len(graph.ops) == 100_000
    assert graph.values[graph.ops[-1].output].data == (100_000.0,)
