"""The numba backend's plan: which calls of a capture become loops, and which of those share one.

Elementwise calls over the same shape that follow each other become one loop, whose intermediate values live in
registers; a reduction of such a value is added up in the same loop; a small matrix product is a loop of its own. A run
of loops is one compiled function. What has no loop here (large products, sorting, ...) stays the numpy call that it is,
between two of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .calls import Call, Local, Memory, Place

BINARY = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}",
    "maximum": "maximum({0}, {1})", "minimum": "minimum({0}, {1})", "power": "{0} ** {1}",
    "equal": "{0} == {1}", "not_equal": "{0} != {1}", "less": "{0} < {1}", "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}", "greater_equal": "{0} >= {1}", "bitwise_and": "{0} & {1}", "bitwise_or": "{0} | {1}",
}  # fmt: skip
UNARY = {
    "negative": "-{0}", "positive": "{0}", "square": "{0} * {0}", "sqrt": "sqrt({0})", "reciprocal": "one / {0}",
    "absolute": "abs({0})", "exp": "exp({0})", "tanh": "tanh({0})", "log": "log({0})", "isfinite": "isfinite({0})",
    "expm1": "expm1({0})", "log1p": "log1p({0})", "sin": "sin({0})", "cos": "cos({0})",
}  # fmt: skip
REDUCED = {
    "add": ("plus({0}, {1})", 0.0),
    "maximum": ("maximum({0}, {1})", -math.inf),
    "minimum": ("minimum({0}, {1})", math.inf),
}
NUMBERS = (int, float, np.float32, np.float64, np.int64)
DTYPES = {"f4", "f8", "i8", "b1", "i4"}
# Up to so many multiplications a matrix product is a loop here: beyond them BLAS is faster, with several threads too.
SMALL = 1 << 20
LONG = 64  # loops of one compiled function: compiling takes more than twice as long for twice as many


@dataclass
class Loop:
    """Calls over one shape: elementwise ones in order, and reductions of what they make."""

    shape: tuple[int, ...]
    calls: list[Call] = field(default_factory=list)
    written: dict[Memory, Place] = field(default_factory=dict)
    read: dict[Memory, list[Place]] = field(default_factory=dict)
    closed: set[Memory] = field(default_factory=set)  # results of reductions, complete only after the loop
    scalars: set[Local] = field(default_factory=set)


@dataclass
class Single:
    """A call that is a loop of its own kind: gather, scatter, fill or matrix product; or a number that is expected."""

    call: Call


def calls_of(step: Loop | Single | Call) -> list[Call]:
    return step.calls if isinstance(step, Loop) else [step.call if isinstance(step, Single) else step]


def code(dtype: np.dtype) -> str:
    return dtype.str[1:]


def usable(place: Place, dtypes: set[str] = DTYPES) -> bool:
    return code(place.dtype) in dtypes and 0 not in place.shape and len(place.shape) <= 4 and place.dense


def fits(place: Place, shape: tuple[int, ...]) -> bool:
    """Whether the place broadcasts to the shape."""
    lead = len(shape) - len(place.shape)
    return lead >= 0 and all(n in (1, m) for n, m in zip(place.shape, shape[lead:], strict=True))


def elementwise(call: Call) -> bool:
    """Whether the call is one that a loop can make, element by element."""
    out = call.out
    if type(out) is not Place or not usable(out) or call.kind not in ("ufunc", "into", "copy", "call"):
        return False
    if call.kind == "call":
        if getattr(call.function, "__name__", "") != "where" or len(call.args) != 3 or call.kwargs:
            return False
    elif call.kind == "copy":
        if call.args[0].shape != out.shape:
            return False
    else:
        name = call.function.__name__
        if name not in BINARY and name not in UNARY:
            return False
        if set(call.kwargs) - {"dtype"}:
            return False
        if call.function is np.power and out.dtype.kind != "f":
            return False
    return all(
        (type(x) is Place and usable(x) and fits(x, out.shape))
        or (type(x) is Local and isinstance(x.value, (np.float32, np.float64, np.int64, np.bool_, float)))
        or type(x) in NUMBERS
        for x in call.args
    )


def axes(call: Call) -> tuple[int, ...] | None:
    """The axes of a reduction over a place that a loop can make; None for any other call."""
    if call.kind != "reduce" or call.function.__name__ not in REDUCED or type(call.args[0]) is not Place:
        return None
    names = ("axis", "dtype", "out", "keepdims", "initial", "where")
    given = dict(zip(names, call.args[1:], strict=False)) | call.kwargs
    x, out = call.args[0], call.out
    if given.get("dtype") is not None or given.get("where", True) is not True:
        return None
    if not usable(x, DTYPES | {"u8"}):
        return None
    if "initial" in given and given["initial"] != REDUCED[call.function.__name__][1]:
        return None
    if x.dtype == np.uint64:  # how large targets are: by this cross_entropy looks at both ends of their range
        if call.function is not np.maximum or type(out) is not Local or "initial" in given:
            return None
    elif x.dtype.kind != "f" or (type(out) is Place and (not usable(out) or out.dtype != x.dtype)):
        return None
    axis = given.get("axis", 0)
    axis = tuple(range(len(x.shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(a % len(x.shape) for a in axis))


def single(call: Call) -> bool:
    """Whether the call is a gather, scatter, fill, product or expectation, for which there is a loop of its own."""
    if call.kind == "expect" or product(call):
        return True
    if call.kind == "fill":
        return type(call.out) is Place and usable(call.out) and type(call.args[0]) in (int, float)
    if call.kind == "getitem":
        x, index = call.args
        return type(call.out) is Place and usable(call.out) and _indexed(x, index, call.out)
    if call.kind == "setitem":
        x, index, value = call.args
        apart = type(value) is not Place or value.memory is not x.memory  # numpy copies what it would overwrite first
        return apart and type(value) is Place and usable(value) and _indexed(x, index, value)
    if call.kind == "do" and call.function == np.add.at:
        x, at, values = call.args
        return all(type(p) is Place and usable(p) and len(p.shape) == 1 for p in (x, at, values)) and (
            at.dtype.kind == "i" and values.shape == at.shape and x.dtype == values.dtype
        )
    return False


def product(call: Call) -> bool:
    """Whether the call is a product of matrices, or of stacks of them, so small that a loop is faster than BLAS."""
    out = call.out
    if call.function is not np.matmul or call.kind not in ("ufunc", "into") or type(out) is not Place:
        return False
    if not usable(out, {"f4", "f8"}) or (call.kwargs and call.kwargs != {"dtype": out.dtype}):
        return False
    for x in call.args:
        if type(x) is not Place or x.dtype != out.dtype or len(x.shape) < 2 or 0 in x.shape or x.memory is out.memory:
            return False
        if not fits_stack(x, out):
            return False
    n, cost = out.shape[-1], math.prod(out.shape[-2:]) * call.args[0].shape[-1]
    return cost <= (SMALL if n >= 8 else SMALL >> 8)  # a narrow result leaves most of a vector unused


def fits_stack(x: Place, out: Place) -> bool:
    return len(x.shape) <= len(out.shape) and all(
        n in (1, m) for n, m in zip(x.shape[-3::-1], out.shape[-3::-1], strict=False)
    )


def _indexed(x: Any, index: Any, other: Place) -> bool:
    """Whether x[index], of integer arrays alone on the first dimensions, has the shape of `other`."""
    index = index if type(index) is tuple else (index,)
    if type(x) is not Place or not usable(x) or not index or len(index) > len(x.shape):
        return False
    if not all(type(i) is Place and usable(i) and code(i.dtype) == "i8" for i in index):
        return False
    shapes = {i.shape for i in index}
    return len(shapes) == 1 and other.shape == (*shapes.pop(), *x.shape[len(index) :]) and other.dtype == x.dtype


def grouped(calls: list[Call]) -> list[list[Loop | Single] | Call]:
    """The calls in order: each run of loops as a list, each numpy call as itself."""
    parts: list[list[Loop | Single] | Call] = []
    run: list[Loop | Single] = []
    for call in calls:
        if len(run) > LONG:
            parts.append(run[:-1])  # the last one may still go on
            run = run[-1:]
        if elementwise(call):
            loop = run[-1] if run and isinstance(run[-1], Loop) else None
            if loop is None or not _joins(call, loop):
                loop = Loop(call.out.shape)
                run.append(loop)
            _add(call, loop)
        elif (over := axes(call)) is not None:
            source = call.args[0]
            loop = run[-1] if run and isinstance(run[-1], Loop) else None
            if loop is None or loop.shape != source.shape or not _reads(call, loop):
                loop = Loop(source.shape)
                run.append(loop)
            del over
            _reduce(call, loop)
        elif single(call):
            run.append(Single(call))
        else:
            if run:
                parts.append(run)
                run = []
            parts.append(call)
    if run:
        parts.append(run)
    return parts


def _reads(call: Call, loop: Loop) -> bool:
    """Whether all that the call reads is there at each element of the loop."""
    for x in call.args:
        if type(x) is Local and x in loop.scalars:
            return False
        if type(x) is Place:
            if x.memory in loop.closed:
                return False
            if x.memory in loop.written and not x.same(loop.written[x.memory]):
                return False
    return True


def _joins(call: Call, loop: Loop) -> bool:
    out = call.out
    if out.shape != loop.shape or not _reads(call, loop) or out.memory in loop.closed:
        return False
    if out.memory in loop.written and not out.same(loop.written[out.memory]):
        return False
    return all(place.same(out) for place in loop.read.get(out.memory, ()))


def _add(call: Call, loop: Loop) -> None:
    loop.calls.append(call)
    for x in call.args:
        if type(x) is Place:
            loop.read.setdefault(x.memory, []).append(x)
    loop.written[call.out.memory] = call.out


def _reduce(call: Call, loop: Loop) -> None:
    loop.calls.append(call)
    loop.read.setdefault(call.args[0].memory, []).append(call.args[0])
    if type(call.out) is Place:
        loop.closed.add(call.out.memory)
    else:
        loop.scalars.add(call.out)
