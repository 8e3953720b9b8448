"""A function run once, as the list of ops that it ran: what came from which value, and what stood there already.

The ops are told by minigrad's own observer, so that all are seen, with and without a gradient. A value is known by its
Tensor, or by its memory where another Tensor shares that (detach(), .data, an index). What is unknown was there
before, such as a parameter, or was made aside of the ops, by numpy: it becomes a constant. The exporter runs the
function twice, on other inputs, and refuses constants that were not the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad import Tensor, no_grad
from minigrad.graph import Engine, first_change
from minigrad.tensor import watch

from .errors import ExportError


@dataclass(eq=False)
class Value:
    """An array: an input, a constant (whose numbers are kept) or what an op made."""

    kind: str  # "input", "constant", "result"
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: np.ndarray | None = None
    name: str | None = None
    dims: tuple[Any, ...] = ()  # the shape, a size that follows the batch as a Dim: see dynamic.py


@dataclass(eq=False)
class Step:
    """An op that ran. inputs: Values, Python numbers and None; dtypes: what each input was converted to first."""

    op: str
    inputs: list[Any]
    dtypes: list[np.dtype[Any] | None]
    settings: dict[str, Any]
    output: Value


@dataclass
class Trace:
    """What the function did: its inputs, steps in order, and outputs."""

    inputs: list[Value]
    steps: list[Step]
    outputs: list[Value]
    single: bool  # whether the function returned one Tensor, and not several
    constants: list[Value] = field(default_factory=list)


def trace(function: Callable[..., Any], inputs: Sequence[Tensor], names: dict[int, str]) -> Trace:
    """Run the function on these Tensors. names: of constants, by the id of their Tensor.

    Raises ExportError where a value is changed in place, or where something else than Tensors is returned.
    """
    tracer = _Tracer(names)
    before, Engine.observe = Engine.observe, tracer.observe
    try:
        with no_grad(), _numbers_kept_in(tracer):
            given = [tracer.input(tensor) for tensor in inputs]
            returned = function(*inputs)
    finally:
        Engine.observe = before
    outputs = returned if isinstance(returned, (tuple, list)) else [returned]
    if not outputs or not all(isinstance(t, Tensor) for t in outputs):
        kinds = ", ".join(type(t).__name__ for t in outputs)
        raise ExportError(f"the function must return a Tensor, or a tuple or list of them, not {kinds or 'nothing'}")
    found = [tracer.value(t, "what the function returns") for t in outputs]
    tracer.unchanged()
    single = isinstance(returned, Tensor)
    return Trace(given, tracer.steps, found, single, tracer.constants)


@contextmanager
def _numbers_kept_in(tracer: _Tracer) -> Iterator[None]:
    """No value that hangs on the inputs becomes a Python number or truth: what is done by it would be done for all."""
    before = {name: getattr(Tensor, name) for name in ("__bool__", "_one", "item", "tolist")}

    def refusing(method: Any) -> Any:
        def refused(tensor: Tensor) -> Any:
            tracer.refuse_number(tensor)
            return method(tensor)

        return refused

    for name, method in before.items():
        setattr(Tensor, name, refusing(method))
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Tensor, name, method)


class _Tracer:
    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.steps: list[Step] = []
        self.constants: list[Value] = []
        self.by_tensor: dict[int, Value] = {}
        self.by_memory: dict[Any, Value] = {}
        self.alive: list[Any] = []  # so that no id and no address comes twice
        self.watches: list[tuple[bytearray, str]] = []
        self.hanging: set[int] = set()  # the Values that the inputs have a part in

    def input(self, tensor: Tensor) -> Value:
        value = self.know(tensor, Value("input", tuple(tensor.shape), tensor.dtype), "an input")
        self.hanging.add(id(value))
        return value

    def know(self, tensor: Tensor, value: Value, what: str) -> Value:
        self.alive.append((tensor, tensor.array))
        self.by_tensor[id(tensor)] = value
        if isinstance(tensor.array, np.ndarray):
            self.by_memory[_memory(tensor.array)] = value
        self.watches.append((watch(tensor), what))
        return value

    def observe(self, op: Any, arrays: Any, result: Tensor, settings: dict[str, Any], inputs: Any) -> None:
        name = op.__name__
        self.unchanged()
        output = Value("result", tuple(result.shape), result.dtype)
        self.steps.append(
            Step(
                op=name if op.__module__.startswith("minigrad.ops") else f"{name} (an op of your own)",
                inputs=[self.operand(x, name) for x in inputs],
                dtypes=[x.dtype if hasattr(x, "dtype") else None for x in arrays],
                settings={key: self.setting(x) for key, x in settings.items()},
                output=output,
            )
        )
        parts = [*self.steps[-1].inputs, *_flat(self.steps[-1].settings.values())]
        if any(id(part) in self.hanging for part in parts):
            self.hanging.add(id(output))
        self.know(result, output, f"what {name.lower()} made")

    def refuse_number(self, tensor: Tensor) -> None:
        known = self.by_tensor.get(id(tensor))
        if known is not None and id(known) in self.hanging:
            raise ExportError(
                f"the function takes the numbers out of a value of shape {known.shape} that hangs on its inputs (an "
                "if, item(), float() or tolist()), and ONNX has one graph for all: use where(), and ops on Tensors"
            )

    def operand(self, x: Any, where: str) -> Any:
        if isinstance(x, (Tensor, np.ndarray)):
            return self.value(x, f"an input of {where.lower()}")
        return x.item() if isinstance(x, np.generic) else x

    def setting(self, x: Any) -> Any:
        """The same, but arrays as Values: an index, say, may be an input of the function."""
        if isinstance(x, (np.ndarray, Tensor)):
            return self.value(x, "an index or target")
        if isinstance(x, (tuple, list)):
            return type(x)([self.setting(part) for part in x])
        return x

    def value(self, x: Any, what: str) -> Value:
        known = self.by_tensor.get(id(x)) if isinstance(x, Tensor) else None
        array = np.asarray(x.array if isinstance(x, Tensor) else x)
        if known is None:
            known = self.by_memory.get(_memory(array))
        if known is None:
            known = Value("constant", array.shape, array.dtype, np.array(array), self.named(x))
            self.constants.append(known)
            if isinstance(x, Tensor):
                self.know(x, known, what)
            else:
                self.alive.append(array)
                self.by_memory[_memory(array)] = known
        return known

    def named(self, x: Any) -> str | None:
        return self.names.get(id(x)) or (x.name if isinstance(x, Tensor) else None)

    def unchanged(self) -> None:
        """Whether the values are still what they were: a change of memory is no op, and would not be seen."""
        for changes, what in self.watches:
            if changes:
                raise ExportError(
                    f"{what} was changed in place ({first_change(changes)}), which ONNX has no counterpart for: use "
                    "the op that returns a new Tensor, as in y = y + 1"
                )


def _flat(parts: Any) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, (tuple, list)):
            yield from _flat(part)
        else:
            yield part


def _memory(array: np.ndarray) -> Any:
    """One for the same elements in the same order, however often they were wrapped."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str
