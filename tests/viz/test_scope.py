"""viz.scope: what is recorded inside is a group, and nothing is different while none is open."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

import minigrad
import viz
from minigrad import nn
from minigrad.graph import Engine
from viz.scope import _calls, _group_of
from viz.trace import trace


def leaf(value: Any) -> Any:
    return minigrad.tensor(value, requires_grad=True)


def scopes(output: Any, names: dict[str, Any] | None = None) -> list[str]:
    return [f"{op.name} {'/'.join(op.scope)}".strip() for op in trace(output, names).ops]


def test_what_is_inside_is_in_the_group() -> None:
    a = leaf(2.0)
    with viz.scope("outer"):
        b = a * 3
        with viz.scope("inner"):
            c = b + a
        d = c * c
    assert scopes(d.tanh()) == ["Mul outer", "Add outer/inner", "Mul outer", "Tanh"]


def test_entered_twice_it_is_two_scopes() -> None:
    y, again = leaf(2.0), viz.scope("step")
    for _ in range(3):
        with again:
            y = y * 2
    assert scopes(y) == ["Mul step", "Mul step #2", "Mul step #3"]
    with again, again:
        z = y + 1
    assert scopes(z)[-1] == "Add step #4/step"


def test_leaves_stand_with_their_only_use_and_data_outside() -> None:
    x, w, shared = minigrad.tensor([1.0, 2.0]), leaf([3.0, 4.0]), leaf(1.0)
    with viz.scope("net"):
        with viz.scope("first"):
            h = x * w + shared
        with viz.scope("second"):
            y = h * shared
    found = {v.name: v.scope for v in trace(y, {"x": x, "w": w, "shared": shared}).values.values() if v.name}
    assert found == {"x": (), "w": ("net", "first"), "shared": ("net",)}


def test_modules_are_scopes() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Sequential(nn.Linear(3, 1)))
    x = minigrad.tensor(np.ones((4, 2), np.float32))

    expected = [
        "Linear Sequential/0 (Linear)",
        "Tanh Sequential/1 (Tanh)",
        "Linear Sequential/2 (Sequential)/0 (Linear)",
    ]
    y = net(x)
    assert scopes(y) == expected
    assert scopes(y, {"net": net})[1] == "Tanh net (Sequential)/1 (Tanh)"
    with viz.scope(net):  # no second group
        assert scopes(net(x)) == expected
    with viz.scope("training"):
        z = net(x).sum()
    assert scopes(z)[-1] == "Sum training" and "Tanh training/Sequential/1 (Tanh)" in scopes(z)


def test_a_module_called_twice_or_without_an_op() -> None:
    cell, same = nn.Linear(2, 2), nn.Dropout(0.5).eval()
    h = minigrad.tensor([[1.0, 2.0]])
    for _ in range(2):
        h = same(cell(h))
    assert [s for s in scopes(h, {"cell": cell, "h": h}) if s.startswith("Linear")] == [
        "Linear cell (Linear)",
        "Linear cell (Linear) #2",
    ]
    assert not any("Dropout" in s for s in scopes(h))


def test_a_module_with_scopes_inside_that_returns_several() -> None:
    class Cell(nn.Module):
        def forward(self, x: Any) -> Any:
            with viz.scope("gate"):
                z = x.sigmoid()
            return z * x, z.tanh()

    a = leaf([0.5])
    out, state = Cell()(a * 2)
    assert scopes(out + 1) == ["Mul", "Sigmoid Cell/gate", "Mul Cell", "Add"]
    assert scopes(state) == ["Mul", "Sigmoid Cell/gate", "Tanh Cell"]
    assert scopes((out + state).exp())[-3:] == ["Tanh Cell", "Add", "Exp"]


def test_calls_let_go_with_the_graph() -> None:
    gc.collect()
    before = len(_calls)
    y = nn.Linear(2, 1)(leaf([1.0, 2.0]))
    assert len(_calls) == before + 1
    del y
    gc.collect()
    assert len(_calls) == before


def test_parameters_are_called_by_their_path() -> None:
    net = nn.Sequential(nn.Linear(2, 3))
    y = net(minigrad.tensor([[1.0, 2.0]]))
    found = {v.name: v.parameter for v in trace(y, {"net": net, "y": y}).values.values() if v.kind == "leaf"}
    assert found == {"0.weight": True, "0.bias": True}
    found = {v.name: v.parameter for v in trace(y, {"critic": net}).values.values() if v.kind == "leaf"}
    assert found == {"critic.0.weight": True, "critic.0.bias": True}


def test_nothing_is_different_while_none_is_open() -> None:
    with pytest.raises(KeyError), viz.scope("outer"), viz.scope("inner"):
        assert Engine.observe is not None
        raise KeyError
    assert Engine.observe is None


def test_the_table_lets_go_with_the_graph() -> None:
    gc.collect()
    before = len(_group_of)
    with viz.scope("group"):
        y = leaf(1.0) * 2
    assert len(_group_of) == before + 1
    del y
    gc.collect()
    assert len(_group_of) == before


def test_anomaly_mode_and_scopes_go_together() -> None:
    a = leaf(-1.0)
    with viz.scope("outer"), minigrad.detect_anomaly():
        y = a * 2
        with viz.scope("inner"), pytest.raises(minigrad.AnomalyError):
            a.log()
    assert scopes(y) == ["Mul outer"]
    with minigrad.detect_anomaly(), viz.scope("outer"):
        z = a * 2
        with pytest.raises(minigrad.AnomalyError):
            a.log()
    assert scopes(z) == ["Mul outer"] and Engine.observe is None


def test_another_thread_is_not_in_the_group() -> None:
    found = []
    with viz.scope("mine"):
        thread = threading.Thread(target=lambda: found.append(leaf(1.0) * 2))
        thread.start()
        thread.join()
    assert scopes(found[0]) == ["Mul"]


def test_parts_of_a_split_are_in_the_group() -> None:
    a = leaf([1.0, 2.0, 3.0, 4.0])
    with viz.scope("halves"):
        left, right = a.chunk(2)
    assert scopes((left * right).sum())[:3] == ["Split halves", "Part halves", "Part halves"]


def test_a_name_that_is_none() -> None:
    with pytest.raises(TypeError, match="a string or a Module, not int"):
        viz.scope(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a name"):
        viz.scope("")
