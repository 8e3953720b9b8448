"""Worlds with a number in them that a step hangs on and `change` changes: each a function of how to decorate."""

from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import optim

from .beside import beside, call, replays

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def scaled(wrap: Any, factor: Any, **more: Any) -> SimpleNamespace:
    """A step whose loss is multiplied by what factor() gives."""
    w = mg.tensor(np.ones(3, np.float32), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def step(x: Any) -> Any:
        loss = (mg.tanh(w * x) * factor()).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return SimpleNamespace(step=wrap(step), w=w, optimizer=optimizer, **more)


def worlds(names: dict[str, Any]) -> list[Any]:
    """The worlds of a module."""
    return [
        f
        for f in names.values()
        if isinstance(f, FunctionType) and f.__code__.co_varnames[:1] == ("wrap",) and f is not scaled
    ]


def change_is_seen(make: Any, eager: bool) -> None:
    """Three times some steps, with a change between; unless the step must run eagerly, most of them are replays."""
    actions = [call(X)] * 4
    for value in (3.0, 4.0):
        actions += [lambda w, value=value: w.change(value), *[call(X)] * 3]
    world = beside(make, actions)
    assert (replays(world) < 3) == eager, mg.compile.explain(world.step)
