"""Which sizes and numbers follow the batch: two runs, one row apart, put beside each other.

A size that is 32 in one and 33 in the other is the batch; one that is 64 and 66 is twice it. Everything else must be
the same in both: a number that is not, such as the 1/n of a mean written out, or a mask that was drawn, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ExportError
from .traced import Step, Trace, Value


@dataclass(frozen=True)
class Dim:
    """A size that follows the batch: times * batch + plus."""

    times: int
    plus: int = 0

    def __str__(self) -> str:
        times = "batch" if self.times == 1 else f"{self.times}*batch"
        return times + (f"+{self.plus}" if self.plus else "")


def join(one: Trace, two: Trace, batch: int | None) -> None:
    """Mark in `one` what follows the batch, of that size there and one more in `two`. batch None: nothing may.

    Raises ExportError for what differs and should not.
    """
    if [step.op for step in one.steps] != [step.op for step in two.steps]:
        at = next(
            (i for i, (a, b) in enumerate(zip(one.steps, two.steps, strict=False)) if a.op != b.op), len(one.steps)
        )
        raise ExportError(
            f"the function ran other ops for other inputs, from op number {at + 1} on: ONNX has one graph for all, "
            "so use where() in place of an if on values or sizes"
        )
    joiner = _Join(batch)
    for a, b in zip(one.inputs, two.inputs, strict=True):
        joiner.value(a, b, "an input")
    for one_step, two_step in zip(one.steps, two.steps, strict=True):
        joiner.step(one_step, two_step)
    for a, b in zip(one.outputs, two.outputs, strict=True):
        joiner.value(a, b, "what the function returns")


class _Join:
    def __init__(self, batch: int | None) -> None:
        self.batch = batch
        self.seen: dict[int, Value] = {}

    def step(self, one: Step, two: Step) -> None:
        where = one.op.lower()
        for a, b in zip(one.inputs, two.inputs, strict=True):
            self.operand(a, b, where)
        for key, a in one.settings.items():
            one.settings[key] = self.setting(a, two.settings[key], where)
        self.value(one.output, two.output, where)

    def operand(self, a: Any, b: Any, where: str) -> None:
        if isinstance(a, Value) and isinstance(b, Value):
            self.value(a, b, where)
        elif not _same(a, b):
            raise ExportError(
                f"the number {a!r} that goes into {where} was {b!r} for other inputs, and in ONNX it would be the same "
                "for all: take it from a Tensor by ops (mean() in place of 1/n * sum(), no item() or numpy between)"
            )

    def setting(self, a: Any, b: Any, where: str) -> Any:
        if isinstance(a, Value):
            self.value(a, b, where)
            return a
        if isinstance(a, (tuple, list)) and len(a) == len(b):
            return type(a)([self.setting(x, y, where) for x, y in zip(a, b, strict=True)])
        if isinstance(a, slice):
            parts = zip((a.start, a.stop, a.step), (b.start, b.stop, b.step), strict=True)
            return slice(*[self.setting(x, y, where) for x, y in parts])
        if _same(a, b):
            return a
        if type(a) is int and type(b) is int and self.batch is not None:
            return self.dim(a, b)
        raise ExportError(f"a setting of {where} was {a!r} for these inputs and {b!r} for others")

    def dim(self, a: int, b: int) -> Any:
        if a == b or self.batch is None:
            return a
        return Dim(b - a, a - (b - a) * self.batch)

    def value(self, a: Value, b: Value, where: str) -> None:
        if id(a) in self.seen:
            if self.seen[id(a)] is not b:
                raise ExportError(f"{where} was given other values for other inputs: the function keeps something")
            return
        self.seen[id(a)] = b
        if a.kind != b.kind or len(a.shape) != len(b.shape) or a.dtype != b.dtype:
            raise ExportError(
                f"a value of {where} was of shape {a.shape} and {a.dtype} for these inputs, of {b.shape} and {b.dtype} "
                "for others"
            )
        a.dims = tuple([self.dim(m, n) for m, n in zip(a.shape, b.shape, strict=True)])
        if a.shape != b.shape and self.batch is None:
            raise ExportError(f"a value of {where} was of shape {a.shape} for these inputs, of {b.shape} for others")
        if a.kind == "constant":
            self.constant(a, b, where)

    def constant(self, a: Value, b: Value, where: str) -> None:
        """The numbers must be the same in both; one that grows with the batch is a range, or the same row again."""
        assert a.array is not None and b.array is not None
        if a.shape == b.shape:
            if not np.array_equal(a.array, b.array, equal_nan=a.dtype.kind == "f"):
                raise ExportError(
                    f"a value of shape {a.shape} that goes into {where} was made aside of minigrad's ops, and was "
                    "another one for other inputs: work it out by ops, or if it is drawn (dropout), call eval() first"
                )
            return
        (axis, *more) = [i for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n]
        if not more and all(n == 1 for i, n in enumerate(a.shape) if i != axis):
            ranges = [np.arange(x.shape[axis], dtype=x.dtype) for x in (a.array, b.array)]
            if np.array_equal(ranges[0], a.array.reshape(-1)) and np.array_equal(ranges[1], b.array.reshape(-1)):
                a.kind = "range"
                return
        rows = [np.unique(x.astype(x.dtype), axis=axis) for x in (a.array, b.array)] if not more else []
        if rows and all(x.shape[axis] == 1 for x in rows) and np.array_equal(rows[0], rows[1]):
            a.kind, a.array = "repeated", rows[0]  # zeros(n, hidden), say
            return
        raise ExportError(
            f"a constant of shape {a.shape} that goes into {where} has {b.shape} for another batch, and is neither a "
            "range nor the same row again: make it by ops from the input, or export with dynamic_batch=False"
        )


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b))
