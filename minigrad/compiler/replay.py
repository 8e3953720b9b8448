"""A captured run as it is kept: for what it holds, and how it is repeated."""

from __future__ import annotations

from sys import getrefcount
from typing import Any

import numpy as np

from ..tensor import Tensor, changed, wrap
from .plan import Plan
from .state import Guard
from .structure import Structure


class Captured:
    """One captured run: for which arguments and state it holds, and the plan that repeats it."""

    guard: Guard
    plan: Plan

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.runs = 0
        self.gradients: list[tuple[Tensor, Tensor, int]] = []  # (whose, the .grad it gets, which output)
        self.cleared: list[Tensor] = []  # whose .grad becomes None
        self.written: list[Tensor] = []  # whose memory is changed
        self.counts: list[tuple[np.ndarray, int]] = []
        self.result: Any = None  # what is returned, its Tensors as Out

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Replay."""
        made = self.plan.run(*self.structure.arrays(args, kwargs))
        self.runs += 1
        for tensor in self.cleared:
            tensor._grad = None
        for tensor, gradient, i in self.gradients:
            tensor._grad = gradient
            if made[i] is not None:
                gradient.array = made[i]
        for tensor in self.written:
            if tensor._watch is not None:
                changed(tensor, "a captured step")
        result = self.result
        return result.give(made) if type(result) is Out else _filled(result, made, {})

    def taken(self) -> bool:
        """Whether somebody holds a gradient of the last run, whose memory the next one would overwrite."""
        for _, gradient, i in self.gradients:
            if getrefcount(gradient) > _HELD or getrefcount(self.plan.kept[i]) > _OWN:
                return True
        return any([getrefcount(buffer) > count for buffer, count in self.counts])

    def settled(self) -> None:
        """Called when nothing but the plan holds its memory."""
        self.counts = [(buffer, 0) for buffer in self.plan.buffers]
        found = [getrefcount(buffer) for buffer, _ in self.counts]  # as taken() asks, with the loop's own reference
        self.counts = list(zip(self.plan.buffers, found, strict=True))


class Out:
    """A Tensor, an array or a number in what a step returns: output i, made anew for each replay."""

    __slots__ = ("array", "i", "node", "requires_grad")

    def __init__(self, i: int, tensor: Any) -> None:
        self.i = i
        self.array = not isinstance(tensor, Tensor)
        self.requires_grad = False if self.array else tensor._requires_grad
        self.node = None if self.array else tensor._node

    def give(self, made: tuple[Any, ...]) -> Any:
        if self.array:
            return made[self.i]
        tensor = wrap(made[self.i], self.node)
        tensor._requires_grad = self.requires_grad
        return tensor


class Same:
    """What a step returns that was there before it: the thing itself."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing


def _filled(result: Any, made: tuple[Any, ...], given: dict[Out, Any]) -> Any:
    """The result with its Outs made; given: those that were, for one that stands in two places."""
    kind = type(result)
    if kind is Out:
        if result not in given:
            given[result] = result.give(made)
        return given[result]
    if kind is Same:
        return result.thing
    if kind in (tuple, list):
        return kind([_filled(x, made, given) for x in result])
    if isinstance(result, tuple):
        return kind(*[_filled(x, made, given) for x in result])
    if kind is dict:
        return {key: _filled(x, made, given) for key, x in result.items()}
    return result


def _counts() -> tuple[int, int]:
    """What getrefcount says of a gradient held by its parameter, the list and a loop, and of its array."""
    tensor = wrap(np.empty(1))
    tensor._grad = wrap(np.empty(1))
    held = [(tensor, tensor._grad, 0)]
    kept = [tensor._grad.array]
    for _, gradient, i in held:
        return getrefcount(gradient), getrefcount(kept[i])
    raise AssertionError


_HELD, _OWN = _counts()
