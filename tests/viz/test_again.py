"""viz.again: numbers that nobody holds are shown, but never wrong ones."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad
import viz
from viz.trace import trace


def leaf(value: Any) -> Any:
    return minigrad.tensor(value, requires_grad=True)


def results(output: Any, names: dict[str, Any] | None = None) -> list[Any]:
    graph = trace(output, names)
    return [graph.values[op.output].data for op in graph.ops]


def test_what_nobody_holds_is_made_again() -> None:
    a, b = leaf(2.0), leaf([-3.0, 1.0])
    y = ((a * b + b**3).tanh() * 2).sum() / 3
    with np.errstate(all="raise"):
        first, cube, total, tanh, double, summed, third = results(y)
    assert (first, cube, total) == ((-6.0, 2.0), (-27.0, 1.0), (-33.0, 3.0))
    np.testing.assert_allclose(tanh, np.tanh([-33.0, 3.0]), rtol=1e-6)
    assert double == tuple(2 * x for x in tanh)
    assert third == (y.item(),) and summed is not None


def test_after_backward_too() -> None:
    a = leaf(3.0)
    y = a**2 + 1
    y.backward()
    assert results(y) == [(9.0,), (10.0,)]


def test_an_operand_may_be_none() -> None:
    a = leaf(3.0)
    y = (a * 2).clamp(min=1) + 1
    y.backward()
    assert results(y) == [(6.0,), (6.0,), (7.0,)]
    assert "not kept" not in viz.show(y, {"a": a}).svg


def test_not_when_a_leaf_was_changed_since() -> None:
    a, b = leaf(2.0), leaf(-3.0)
    y = a * b + b**3
    with minigrad.no_grad():
        b += 1.0
    assert results(y) == [None, None, (-33.0,)]


def test_not_when_a_leaf_has_another_shape_by_now() -> None:
    a = leaf([2.0, 3.0])
    y = a**2 + minigrad.tensor([1.0, 1.0])
    a.data = minigrad.tensor([[2.0], [3.0]])
    assert results(y) == [None, (5.0, 10.0)]


def test_not_from_what_is_gone() -> None:
    a = leaf([2.0, 3.0])
    y = (a * minigrad.tensor([1.0, 1.0]) + 1).sum()
    assert results(y) == [None, None, (7.0,)]


def test_not_an_op_of_the_users() -> None:
    runs = []

    class Noise(minigrad.Op):
        """y = x + noise,  dx = dy"""

        def forward(x: Any) -> Any:
            runs.append(1)
            return x + 1

        def dx(dy: Any) -> Any:
            return dy

    y = Noise.apply(leaf(1.0)) * 2
    assert results(y) == [None, (4.0,)]
    assert len(runs) == 1


def test_parts_of_a_split_are_results_like_others() -> None:
    a = leaf([1.0, 2.0, 3.0, 4.0])
    left, right = a.chunk(2)
    y = minigrad.cat([right * 2, left])[1] * 3
    assert results(y, {"left": left, "right": right})[-3:] == [(6.0, 8.0, 1.0, 2.0), (8.0,), (24.0,)]
