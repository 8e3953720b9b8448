"""What a captured step leaves behind: the gradients, and what it returns, so that a replay can make them anew."""

from __future__ import annotations

import gc
import types
from typing import Any

import numpy as np

from ..graph import Node
from ..tensor import Tensor, View
from .calls import Place
from .replay import Out, Same
from .state import ATOMS
from .traced import Number, Traced
from .walk import Reached


class Unfit(Exception):
    """Why a run that was followed to its end can still not be replayed."""


class Outputs:
    """The values that are wanted after a replay, in order; `kept`: which of them own their memory from run to run.

    survivors: by the id of each Tensor that outlived the run, its Place or Local.
    """

    def __init__(self, before: Reached, survivors: dict[int, Any]) -> None:
        self.before, self.survivors = before, survivors
        self.values: list[Any] = []
        self.kept: list[bool] = []
        self._gradients: list[Tensor] = []
        self._memories: set[Any] = set()
        self._own: set[int] = set()
        self._outs: dict[int, Out] = {}

    def _add(self, value: Any, keep: bool) -> int:
        self.values.append(value)
        self.kept.append(keep)
        if type(value) is Place:
            self._memories.add(value.memory)
        return len(self.values) - 1

    def gradient(self, gradient: Tensor, path: str) -> int:
        """A new gradient of a Tensor that was there before."""
        place = self.survivors.get(id(gradient))
        if place is None or gradient._node is not None:
            raise Unfit(f"the gradient of {path} is not made in the step alone")
        self._own.add(id(gradient))
        self._gradients.append(gradient)
        return self._add(place, type(place) is Place)

    def template(self, x: Any) -> Any:
        """What the step returns, with an Out for each thing that a replay makes anew; or Unfit."""
        if type(x) in (Traced, Number):
            return self._out(x, x.place)
        if isinstance(x, ATOMS):
            return x
        if id(x) in self.before.things:
            return Same(x)
        if isinstance(x, Tensor):
            return self._tensor(x)
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return type(x)(*[self.template(item) for item in x])
        if type(x) in (tuple, list):
            return type(x)([self.template(item) for item in x])
        if type(x) is dict:
            return {key: self.template(item) for key, item in x.items()}
        if type(x) is np.ndarray:
            raise Unfit("it returns a numpy array that was not made by its Tensors")
        raise Unfit(f"it returns a new {type(x).__name__}, which a replay would not make anew")

    def _tensor(self, x: Tensor) -> Out:
        if any(x is gradient for gradient in self._gradients):
            raise Unfit("it returns a gradient itself: return a clone() of it")
        place = self.survivors.get(id(x))
        if place is None or type(x) is not Tensor:
            raise Unfit("it returns a Tensor that was not made in it")
        if x._requires_grad and _live(x._node):
            raise Unfit(
                "it returns a Tensor whose graph is still to be differentiated: call backward() in it, or detach()"
            )
        if x._grad is not None or (x._extra is not None and x._extra.hooks):
            raise Unfit("it returns a Tensor with a gradient or hooks of its own")
        self._own.add(id(x))
        if x._view is not None and _only_viewed(x._view.base):
            self._own.add(id(x._view.base))
        return self._out(x, place)

    def _out(self, x: Any, place: Any) -> Out:
        """One thing to be made anew; the same one where it is returned twice."""
        if id(x) not in self._outs:
            if type(place) is Place and place.memory.kind in ("external", "input"):
                raise Unfit("it returns a part of what was there before, sharing its memory: return a clone()")
            if type(place) is Place and place.memory in self._memories:
                raise Unfit("it returns two things that share memory: return a clone() of one")
            self._outs[id(x)] = Out(self._add(place, False), x)
        return self._outs[id(x)]

    def check_strangers(self) -> None:
        """Unfit if a Tensor of the run lives on anywhere else."""
        strangers = [key for key in self.survivors if key not in self._own]
        if strangers:
            gc.collect()
            alive = {id(x) for x in gc.get_objects() if isinstance(x, Tensor)}
            if not alive.isdisjoint(strangers):
                raise Unfit("a Tensor made in it is kept somewhere else than in what it returns and in .grad")


def _live(node: Node | None) -> bool:
    """Whether the graph still keeps values for a backward."""
    stack, seen = [node], set()
    while stack:
        n = stack.pop()
        if type(n) is not Node or n in seen:
            continue
        seen.add(n)
        if n.saved is not None and n.plan.keeps_arrays:
            return True
        stack.extend(n.inputs)
    return False


def _only_viewed(base: Tensor) -> bool:
    """Whether nothing but views of it hold a Tensor, so that nobody can tell whether it is there."""
    return all(type(x) is View or isinstance(x, types.FrameType) for x in gc.get_referrers(base))
