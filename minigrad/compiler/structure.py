"""What a step is given: which of it is data, which is state, and what must be the same for a replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor
from .calls import Place, root
from .capture import Capture
from .state import ATOMS
from .traced import plain


class Structure:
    """The arguments of a call, taken apart: arrays and Tensors without gradient are data, of which shape, dtype and
    strides must be the same again; numbers, texts and flags must be equal; all other objects must be the very same.

    fits(args, kwargs): whether that is so; arrays(args, kwargs): the data. Both are written for this structure.
    """

    fits: Callable[[tuple[Any, ...], dict[str, Any]], bool]
    arrays: Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, ...]]

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.reason: str | None = None
        self.objects: list[tuple[Any, str]] = []
        self.places: list[Place] = []
        self.tests: list[str] = []
        self.takes: list[str] = []
        self.key: Any = ()
        self.described: list[str] = []
        self.scope: dict[str, Any] = {"ndarray": np.ndarray, "Tensor": Tensor}
        self._given: list[tuple[Any, np.ndarray, np.ndarray, Any]] = []  # (Tensor or None, its array, the copy, traced)
        self._exchanged: list[tuple[Any, Any, Any, Any]] = []  # (list or dict, key, what is there, what is for now)
        self._data: list[tuple[str, Any]] = []
        self._part(args, "args", "argument")
        self._part(kwargs, "kwargs", "argument")
        for i, (one, a) in enumerate(self._data):
            for other, b in self._data[:i]:
                if a is b:
                    self.reason = "it is given the same array or Tensor twice"
                elif type(a) is type(b):
                    self.tests.append(f"{one} is not {other}")
        self._write()

    def apart_from(self, memories: list[np.ndarray]) -> None:
        """Fit no data that share memory with these arrays, which the step writes to."""
        name = self._name({id(memory) for memory in memories})
        for take in self.takes:
            self.tests.append(f"id({take}) not in {name} and id({take}.base) not in {name}")
        self._write()

    def _write(self) -> None:
        body = " and ".join(self.tests) or "True"
        arrays = "".join(f"{take}, " for take in self.takes)
        source = (
            f"def fits(args, kwargs):\n    try:\n        return {body}\n"
            "    except (AttributeError, KeyError, IndexError, TypeError, ValueError):\n        return False\n\n"
            f"def arrays(args, kwargs):\n    return ({arrays})\n"
        )
        exec(compile(source, "<arguments of a captured step>", "exec"), self.scope)
        self._data = []
        self.fits, self.arrays = self.scope.pop("fits"), self.scope.pop("arrays")

    def words(self) -> str:
        """The arguments, for explain()."""
        return ", ".join(self.described) or "no arguments"

    def _name(self, x: Any) -> str:
        name = f"o{len(self.scope)}"
        self.scope[name] = x
        return name

    def _part(self, x: Any, text: str, path: str) -> None:
        kind = type(x)
        if kind is np.ndarray or _is_data(x):
            array = x if kind is np.ndarray else x.array
            self._data.append((text, x))
            if kind is not np.ndarray:
                self.tests.append(
                    f"type({text}) is Tensor and not {text}._requires_grad and {text}._grad is {text}._extra is None"
                )
            if type(array) is not np.ndarray:
                array = np.asarray(array)
                self.tests.append(f"{text}.array.shape == () and {text}.array.dtype is {self._name(array.dtype)}")
                self.takes.append(f"{text}.array")
            else:
                at = text if kind is np.ndarray else f"{text}.array"
                self.tests.append(
                    (f"type({at}) is ndarray and " if kind is np.ndarray else "")
                    + f"{at}.shape == {array.shape!r} and {at}.strides == {array.strides!r}"
                    + f" and {at}.dtype is {self._name(array.dtype)}"
                )
                self.takes.append(at)
            if array.dtype not in dtypes.SUPPORTED or array.dtype.byteorder == ">":
                self.reason = f"{path} is an array of dtype {array.dtype}"
            if not array.flags.aligned or (0 not in array.shape and _odd(array)):
                self.reason = f"{path} is an array of strides {array.strides}, which no copy has: give a copy of it"
            self.key += (kind, array.shape, array.strides, str(array.dtype))
            self.described.append(f"{kind.__name__} {array.shape} {array.dtype}")
        elif isinstance(x, ATOMS):
            same = f"{text} is {self._name(x)}" if x is None or x is True or x is False else (
                f"(type({text}) is {self._name(kind)} and {text} == {self._name(x)}"
                + (f" and repr({text}) == {repr(x)!r})" if kind not in EQUAL else ")")
            )  # fmt: skip
            self.tests.append(same)
            self.key += (kind, repr(x))
            self.described.append(repr(x))
        elif kind in (tuple, list) or (isinstance(x, tuple) and hasattr(x, "_fields")):
            self.tests.append(f"type({text}) is {self._name(kind)} and len({text}) == {len(x)}")
            self.key += (kind, len(x))
            for i, item in enumerate(x):
                self._part(item, f"{text}[{i}]", f"{path} {i}" if path == "argument" else f"{path}[{i}]")
        elif kind is dict:
            self.tests.append(f"type({text}) is dict and [*{text}] == {self._name([*x])}")
            self.key += (kind, tuple(map(repr, x)))
            for key, item in x.items():
                if not isinstance(key, (str, int)):
                    self.reason = f"{path} is a dict with a key of type {type(key).__name__}"
                self._part(item, f"{text}[{key!r}]", f"{path} {key!r}")
        else:
            self.tests.append(f"{text} is {self._name(x)}")
            self.objects.append((x, path))
            self.key += (id(x),)

    # --------------------------------------------------------------------------- one run under capture

    def enter(self, capture: Capture, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """The arguments with traced copies of their data: arrays exchanged, Tensors the same with another array.

        A step may change the list or dict that it is given, so those are the same too.
        """
        return self._traced(args, capture), self._traced(kwargs, capture)

    def _traced(self, x: Any, capture: Capture) -> Any:
        kind = type(x)
        if kind is np.ndarray or _is_data(x):
            array = x if kind is np.ndarray else x._shared()
            if id(root(plain(array))) in capture.memories:
                capture.refuse("it is given a Tensor or array that it also uses without being given it")
                return x
            copy = alike(array)
            traced = capture.enter(copy, "input")
            self.places.append(traced.place)
            self._given.append((None if kind is np.ndarray else x, array, copy, traced))
            if kind is np.ndarray:
                return traced
            x.array = traced
            return x
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return kind(*[self._traced(item, capture) for item in x])
        if kind is tuple:
            return tuple([self._traced(item, capture) for item in x])
        if kind is list or kind is dict:
            # The user's own: what the step does to it stays done.
            for key, item in enumerate(x) if kind is list else list(x.items()):
                traced = self._traced(item, capture)
                if traced is not item:
                    x[key] = traced
                    self._exchanged.append((x, key, item, traced))
        return x

    def leave(self) -> None:
        """Give the Tensors and containers their arrays back, with what was written to them."""
        for container, key, item, traced in self._exchanged:
            there = container.get(key) if isinstance(container, dict) else container[key : key + 1]
            if there is traced or (type(there) is list and there and there[0] is traced):
                container[key] = item
        for tensor, array, copy, traced in self._given:
            if tensor is not None and tensor.array is traced:
                tensor.array = array
            if array.flags.writeable and array.tobytes() != copy.tobytes():
                array[...] = copy
            traced.value = array  # for whoever still holds it
        self._given, self._exchanged = [], []

    def written(self, capture: Capture) -> bool:
        return any(memory.kind == "input" for call in capture.calls for memory in call.writes)


# Of these, what is equal and of one type is the same; of others not: 0.0 == -0.0, range(0, 3, 2) == range(0, 4, 2).
EQUAL = (int, str, bytes)


def _is_data(x: Any) -> bool:
    """Whether it is a Tensor that is nothing but its values."""
    return type(x) is Tensor and not x._requires_grad and x._node is None and x._grad is None and x._extra is None


def _odd(x: np.ndarray) -> bool:
    """Whether elements share a place or stand in reverse, so that numpy may sum them in another order than a copy's."""
    return any([n > 1 and stride <= 0 for n, stride in zip(x.shape, x.strides, strict=True)])


def alike(x: np.ndarray) -> np.ndarray:
    """A copy with the same strides, on which sums hang in their last bits."""
    if x.flags.c_contiguous or x.flags.f_contiguous or 0 in x.shape or min(x.strides, default=0) <= 0:
        return x.copy("A")
    span = sum((n - 1) * stride for n, stride in zip(x.shape, x.strides, strict=True)) + x.itemsize
    copy = np.ndarray(x.shape, x.dtype, np.empty(span, np.uint8), 0, x.strides)
    copy[...] = x
    return copy
