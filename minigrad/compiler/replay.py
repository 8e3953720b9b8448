"""A captured run as it is kept: for what it holds, and how it is repeated."""

from __future__ import annotations

from operator import gt
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
        self.result: Any = None  # what is returned, its Tensors as Out
        self._arrays: list[tuple[Tensor, Tensor, np.ndarray]] = []  # of the gradients, those with memory of their own
        self._numbers: list[tuple[Tensor, int]] = []  # and those that are numbers, made anew each time
        self._held: list[Any] = []  # what nobody else may hold, and how many references to it there are without that
        self._counts: list[int] = []
        self._as_left = False  # whether the gradients are still those of the last run, in their places

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Replay."""
        made = self.plan.run(*self.structure.arrays(args, kwargs))
        self.runs += 1
        for tensor in self.cleared:
            tensor._grad = None
        if not self._as_left:
            for tensor, gradient, array in self._arrays:
                tensor._grad = gradient
                gradient.array = array
        for tensor, i in self._numbers:
            tensor._grad = wrap(made[i])
        for tensor in self.written:
            if tensor._watch is not None or tensor._view is not None:
                changed(tensor, "a captured step")
        result = self.result
        return result.give(made) if type(result) is Out else _filled(result, made, {})

    def taken(self) -> bool:
        """Whether somebody holds a gradient of the last run, whose memory the next one would overwrite."""
        now = [*map(getrefcount, self._held)]
        moved = [x._grad is not gradient or gradient.array is not array for x, gradient, array in self._arrays]
        self._as_left = now == self._counts and True not in moved
        if self._as_left:
            return False
        for i, (x, gradient, array) in enumerate(self._arrays):
            now[2 * i] += x._grad is not gradient  # the parameter, which holds it no more, was counted
            now[2 * i + 1] += gradient.array is not array
        return any(map(gt, now, self._counts))

    def settled(self) -> None:
        """Called when nothing but the plan holds its memory."""
        kept = self.plan.kept
        self._numbers = [(tensor, i) for tensor, _, i in self.gradients if kept[i] is None]
        self._arrays = [(x, gradient, own) for x, gradient, i in self.gradients for own in [kept[i]] if own is not None]
        self._held = [x for _, gradient, array in self._arrays for x in (gradient, array)] + self.plan.buffers
        others = [*map(getrefcount, self._held)][2 * len(self._arrays) :]
        self._counts = _GRADIENT * len(self._arrays) + others


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


def _counts() -> list[int]:
    """What getrefcount says of a gradient and its array that the parameter and the capture alone hold."""
    tensor = wrap(np.empty(1))
    tensor._grad = wrap(np.empty(1))
    kept = [tensor._grad.array]
    gradients = [(tensor, tensor._grad, 0)]
    arrays = [(tensor, tensor._grad, kept[0])]
    counts = [*map(getrefcount, [tensor._grad, kept[0]])]
    del gradients, arrays
    return counts


_GRADIENT = _counts()
