"""viz.stats: an array in a few numbers, and what deserves a warning."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad
from viz.stats import stats, warnings_of
from viz.trace import Trace, trace


def test_of_plain_numbers() -> None:
    found = stats(np.array([[0.0, 1.0], [2.0, 5.0]], np.float32))
    assert (found.count, found.minimum, found.mean, found.maximum, found.zeros) == (4, 0.0, 2.0, 5.0, 1)
    assert found.rms == pytest.approx(math.sqrt(30 / 4))
    assert [i for i, n in enumerate(found.bins) if n] == [0, 3, 6, 15] and sum(found.bins) == 4


def test_what_is_not_finite_is_counted_apart() -> None:
    found = stats(np.array([np.nan, np.inf, -np.inf, 1.0, 3.0]))
    assert (found.count, found.nans, found.infs, found.minimum, found.mean, found.maximum) == (5, 1, 2, 1.0, 2.0, 3.0)
    assert sum(found.bins) == 2
    none = stats(np.array([np.nan]))
    assert math.isnan(none.mean) and sum(none.bins) == 0


@pytest.mark.parametrize("array", [np.zeros(0), np.full(7, 3.0), np.arange(5), np.array([True, False]), np.float64(2)])
def test_of_anything(array: Any) -> None:
    found = stats(array)
    assert sum(found.bins) == found.count == np.size(array)


def test_of_the_largest_and_the_smallest_there_are() -> None:
    huge = np.finfo(np.float64).max
    found = stats(np.array([-huge, huge, huge]))
    assert (found.minimum, found.maximum, sum(found.bins)) == (-huge, huge, 3)


def chain() -> tuple[Trace, dict[str, str]]:
    x = minigrad.tensor(np.ones(4, np.float32), requires_grad=True)
    a = x * 2
    b = a.tanh()
    y = b.sum()
    graph = trace(y, {"x": x, "a": a, "b": b, "y": y})
    return graph, {v.name: v.key for v in graph.values.values() if v.name}


def test_a_gradient_far_from_its_neighbours() -> None:
    graph, key = chain()

    def warned(**sizes: float) -> dict[str, tuple[str, ...]]:
        given = {key[name]: np.full(4, size) for name, size in sizes.items()}
        found = warnings_of(graph, {}, given)
        return {name: found[k] for name, k in key.items() if k in found}

    assert warned(x=1.0, a=900.0, b=1.0, y=1.0) == {}
    assert warned(x=1.0, a=1500.0, b=1.0, y=1.0) == {
        "a": ("grad 1,500x larger than its neighbours'",),
        "x": ("grad 1,500x smaller than its neighbours'",),
    }
    assert warned(x=1.0, a=1e-300, b=1.0)["a"] == ("grad 1e+300x smaller than its neighbours'",)
    assert warned(x=1.0, y=1e9) == {}  # no neighbours


def test_nan_inf_zero_and_a_saturated_tanh() -> None:
    graph, key = chain()
    ok = np.array([0.1, 0.2, 0.3, 0.4])
    assert warnings_of(graph, {key["a"]: ok * 9, key["b"]: ok}, {key["a"]: ok}) == {}
    found = warnings_of(
        graph,
        {key["a"]: np.array([np.nan, np.inf, np.inf, 0]), key["b"]: np.array([0.98, -0.99, 0.1, 0.96])},
        {key["x"]: np.zeros(4), key["a"]: np.array([1, 2, np.nan, 3])},
    )
    assert found[key["a"]] == ("has 1 nan and 2 inf of 4", "grad has 1 nan of 4")
    assert found[key["b"]] == ("tanh saturated: 50% |h| > 0.97",)
    assert found[key["x"]] == ("grad is all zero",)
