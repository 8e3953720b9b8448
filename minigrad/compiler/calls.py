"""What a capture is made of: calls, on places in memory and on numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..convert import root as root

TAKES = ("take", "take_along_axis")


class Memory:
    """A block of memory, by the array that owns it, and what the plan must know of its life.

    `owner` is None but of a constant: all else lives as long as it would without a capture.
    """

    __slots__ = (
        "address", "contiguous", "dtype", "first", "initial", "kind", "last", "nbytes", "owner", "seen", "shape",
        "strides",
    )  # fmt: skip

    def __init__(self, owner: np.ndarray, kind: str) -> None:
        self.owner: Any = owner if kind == "constant" else None
        self.kind = kind
        self.address, self.nbytes, self.contiguous = address(owner), owner.nbytes, owner.flags.c_contiguous
        self.shape, self.strides, self.dtype = owner.shape, owner.strides, owner.dtype
        self.first = self.last = -1  # the calls that use it first and last
        self.initial: np.ndarray | None = None  # what a constant that the step writes to held before
        self.seen: bytes | None = None  # what a constant held when it was last used

    def look(self) -> None:
        """Note what a constant holds, for changed()."""
        self.seen = self.owner.tobytes() if self.owner.flags.writeable else None

    def changed(self) -> bool:
        """Whether a constant was changed by what a capture does not see: plain numpy on plain arrays."""
        return self.seen is not None and self.owner.tobytes() != self.seen


class Place:
    """An array within a Memory: shape, strides and the offset in bytes from its owner's first element."""

    __slots__ = ("dtype", "memory", "offset", "shape", "strides", "value")

    def __init__(self, memory: Memory, value: np.ndarray) -> None:
        self.memory = memory
        self.shape, self.strides, self.dtype = value.shape, value.strides, value.dtype
        self.offset = address(value) - memory.address
        self.value: Any = value if memory.kind in ("external", "constant") else None  # which a replay uses itself

    @property
    def whole(self) -> bool:
        """Whether this is its memory's owner as it stands, and no part or rearrangement."""
        memory = self.memory
        return self.shape == memory.shape and self.strides == memory.strides and self.dtype == memory.dtype

    @property
    def dense(self) -> bool:
        """Whether this is a C-contiguous block."""
        step = self.dtype.itemsize
        for n, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if n != 1 and stride != step:
                return False
            step *= n
        return True

    @property
    def transposed(self) -> Place:
        """The same memory with the last two axes exchanged."""
        made = object.__new__(Place)
        made.memory, made.offset, made.dtype = self.memory, self.offset, self.dtype
        made.shape = (*self.shape[:-2], *self.shape[:-3:-1])
        made.strides = (*self.strides[:-2], *self.strides[:-3:-1])
        made.value = None if self.value is None else self.value.swapaxes(-1, -2)
        return made

    def same(self, other: Place) -> bool:
        """Whether this is the very same array in the same memory."""
        return (
            self.memory is other.memory
            and self.offset == other.offset
            and self.shape == other.shape
            and self.strides == other.strides
            and self.dtype == other.dtype
        )


class Local:
    """A numpy scalar or a Python number that a replay holds in a variable: by its number."""

    __slots__ = ("last", "number", "value")

    def __init__(self, number: int, value: Any) -> None:
        self.number, self.value = number, value
        self.last = -1


class Call:
    """One numpy call. kind: how it is written in a replay; out: the Place or Local it fills, or several, or None."""

    __slots__ = ("args", "function", "kind", "kwargs", "line", "out", "writes")

    def __init__(self, kind: str, function: Any, args: Any, kwargs: Any, out: Any, writes: Any, line: Any) -> None:
        self.kind, self.function, self.args, self.kwargs = kind, function, args, kwargs
        self.out, self.writes, self.line = out, writes, line

    def places(self) -> Iterable[Place]:
        """Every Place that the call reads or writes."""
        yield from _found(Place, self.args)
        yield from _found(Place, self.kwargs)
        yield from _found(Place, self.out)

    def locals(self) -> Iterable[Local]:
        yield from _found(Local, self.args)
        yield from _found(Local, self.kwargs)

    @property
    def looks_up(self) -> bool:
        """Whether it takes elements by the values of another array, which may be out of range."""
        by_index = self.kind in ("getitem", "setitem") or getattr(self.function, "__name__", self.function) in TAKES
        return by_index and any(place.dtype.kind in "iu" for place in _found(Place, self.args[1:]))

    @property
    def changes(self) -> bool:
        """Whether it changes what was there before the step: memory, or Python state."""
        return (self.kind == "host" and not self.kwargs) or any(
            memory.kind in ("external", "input") for memory in self.writes
        )

    @property
    def written(self) -> set[Any]:
        """The Memories and Locals that it fills or writes to."""
        outs = self.out if type(self.out) is list else [self.out]
        return {*self.writes, *(x.memory if type(x) is Place else x for x in outs if x is not None)}

    @property
    def read(self) -> set[Any]:
        """The Memories and Locals that it reads."""
        places = [*_found(Place, self.args), *_found(Place, self.kwargs)]
        return {*(place.memory for place in places), *self.locals()}


def _found(kind: type[Any], x: Any) -> Iterable[Any]:
    """Every Place, or every Local, in the arguments of a call."""
    if type(x) is kind:
        yield x
    elif type(x) in (tuple, list):
        for item in x:
            yield from _found(kind, item)
    elif type(x) is dict:
        for item in x.values():
            yield from _found(kind, item)


def may_stop_after(calls: list[Call], memories: set[Memory]) -> bool:
    """Whether a replay may stop, at a decision or a row out of range, when it has written to one of these already.

    An index that was looked up before, in the same shape, is in range.
    """
    known: set[Any] = set()
    wrote = False
    for call in calls:
        stops = call.kind == "decide"
        if call.looks_up:
            index = frozenset(p.memory for p in _found(Place, call.args[1:]) if p.memory.kind != "constant")
            key = (index, call.args[0].shape if type(call.args[0]) is Place else None)
            stops = key not in known
            known.add(key)
        if stops and wrote:
            return True
        wrote = wrote or not memories.isdisjoint(call.written)
    return False


def before_changes(calls: list[Call]) -> list[Call] | None:
    """The calls with the last one, and those that it hangs on, before the first that changes what outlives the step.

    None if that is not the same: the last one hangs on a change, or overwrites what others use in between.
    """
    first = next((i for i, call in enumerate(calls) if call.changes), len(calls))
    needed: set[Any] = set()
    ahead: list[Call] = []
    behind: list[Call] = []
    for call in reversed(calls[first:]):
        if call is calls[-1] or call.written & needed:
            if call.changes:
                return None
            ahead.append(call)
            needed |= call.read | call.written
        else:
            behind.append(call)
    written: set[Any] = set()
    for call in reversed(calls[first:]):  # no call behind may use what a later one ahead writes
        if call in ahead:
            written |= call.written
        elif (call.read | call.written) & written:
            return None
    return calls[:first] + ahead[::-1] + behind[::-1]


def address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]
