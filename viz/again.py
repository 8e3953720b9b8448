"""Small results that nobody holds any more, made again: the `b**3` of `a*b + b**3`.

A graph keeps what its rules need and no more, so that most intermediate numbers are gone when it is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import Tensor, no_grad
from minigrad.graph import Constant, Node

__all__ = ["is_small", "run_again"]

UNKNOWN = object()
SMALL = 4  # up to so many elements a picture shows the numbers


def is_small(shape: tuple[int, ...]) -> bool:
    return 0 < math.prod(shape) <= SMALL


def run_again(nodes: list[Node], tensor_of: Callable[[Node], Tensor | None]) -> dict[Node, Tensor]:
    """The missing small results among `nodes` (in order of creation), run again from what is held.

    A leaf may have been changed since. So they are believed only where they lead to a result that is still
    held and comes out the same. Only our own ops run again: a user's may draw random numbers.
    """
    found: dict[Node, Tensor] = {}
    believed: set[Node] = set()
    for node in nodes:
        if not (is_small(node.shape) and node.op.__module__.startswith("minigrad.ops")):
            continue
        result = _result(node, [_input(thing, found, tensor_of) for thing in node.inputs])
        held = tensor_of(node)
        if result is None:
            continue
        if held is None:
            found[node] = result
        elif np.array_equal(held.array, result.array, equal_nan=True):
            believed.add(node)
    for node in reversed(nodes):
        if node in believed:
            believed.update(x for x in node.inputs if isinstance(x, Node) and x in found)
    return {node: result for node, result in found.items() if node in believed}


def _input(thing: Any, found: dict[Node, Tensor], tensor_of: Callable[[Node], Tensor | None]) -> Any:
    """The operand, or UNKNOWN where nobody holds it: None is an operand too, as in clamp(x, 1, None)."""
    if isinstance(thing, (Node, Constant)):
        held = tensor_of(thing) if isinstance(thing, Node) else thing.tensor()
        if held is None and isinstance(thing, Node):
            held = found.get(thing)
        return UNKNOWN if held is None else held
    return thing


def _result(node: Node, inputs: list[Any]) -> Tensor | None:
    if any(thing is UNKNOWN for thing in inputs):
        return None
    try:
        with no_grad():
            result = node.op.apply(*inputs, **node.settings)
        return result if result.shape == node.shape else None
    except Exception:  # the inputs may have changed in shape or dtype: then the number stays unknown
        return None
