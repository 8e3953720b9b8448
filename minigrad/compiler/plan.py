"""Plan: a capture laid out for replay: what is needed, where each value lies, and the Python that makes the calls.

The passes, in order: calls that nothing hangs on are left out; a copy of what is not used again is no copy; each local
block of memory gets its place in one arena, where blocks that are not alive at the same time share it, so that a chain
of elementwise operations runs in place; and the calls are written out as one Python function without a loop, a branch
or an allocation: `multiply(b3, b4, b5)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .blocks import Chain, chains as find_chains
from .calls import Call, Local, Memory, Place
from .capture import Capture
from .source import Writer

ALIGN = 64


@dataclass
class Report:
    """What a plan does, for explain()."""

    calls: int = 0  # numpy calls in a replay
    recorded: int = 0  # numpy calls in the captured run
    views: int = 0
    chains: list[list[str]] = field(default_factory=list)  # elementwise calls that run one after another in one place
    planned: int = 0  # bytes of the arena, and of the blocks that chains are made in
    separate: int = 0  # bytes if each value had memory of its own
    inputs: int = 0
    notes: list[str] = field(default_factory=list)
    lines: list[tuple[str, Any]] = field(default_factory=list)  # each call as written, and the user's line it is from


@dataclass
class Plan:
    """A replay: run(arrays given) returns the values of `outputs`, in order; the rest is as Report says."""

    run: Callable[..., Any]
    report: Report
    kept: list[np.ndarray | None]  # of each output, the memory that stays its own between replays
    buffers: list[np.ndarray]  # that memory, and the inputs'
    mutates_from: int  # the line of the source from which on memory from outside is written
    source: str
    calls: list[Call]

    def where(self, line: int) -> Any:
        """The user's line, (file, line, function), that a line of the source is from; None if it is not known."""
        i = line - (self.source.count("\n") - 1 - len(self.report.lines)) - 1
        return self.report.lines[i][1] if 0 <= i < len(self.report.lines) else None


def build(capture: Capture, inputs: list[Place], outputs: list[Any], kept: list[bool]) -> Plan:
    """Lay out a capture. outputs: the Places and Locals wanted after a replay; kept: which of them own their memory.

    A Place that is not kept is copied out at the end of each replay, so that the caller may do with it what it likes.
    """
    report = Report(recorded=len(capture.calls))
    calls = needed(capture.calls, outputs)
    calls, renamed = without_copies(calls, outputs, inputs)
    outputs = [renamed(x) if type(x) is Place else x for x in outputs]
    chains = find_chains(calls, {out.memory for out in outputs if type(out) is Place})
    lives(calls, outputs, chains)
    own = {out.memory for out, keep in zip(outputs, kept, strict=True) if keep and type(out) is Place}
    arena, offsets, report.separate = layout(calls, own, {m for chain in chains for m in chain.scratch}, report)
    writer = Writer(arena, offsets, own)
    writer.initials = initials(calls)
    run, source, mutates_from = writer.write(calls, inputs, outputs, kept, report, chains)
    report.planned = arena.nbytes + sum(buffer.nbytes for buffer in writer.scratch.values())
    report.calls = len(calls)
    report.chains += [[_name(call) for call in calls[chain.start : chain.stop]] for chain in chains]
    if chains:
        report.notes.append(f"{len(chains)} of the chains are made in blocks of rows, so that they stay in the cache")
    report.inputs = len(inputs)
    buffers = list(writer.apart.values())
    keeps = [
        writer.array(out) if keep and type(out) is Place else None for out, keep in zip(outputs, kept, strict=True)
    ]
    return Plan(run, report, keeps, buffers, mutates_from, source, calls)


def needed(calls: list[Call], outputs: list[Any]) -> list[Call]:
    """The calls that an output, memory from outside, a Python number or an error hangs on."""
    memories = {out.memory for out in outputs if type(out) is Place}
    scalars = {out for out in outputs if type(out) is Local}
    kept = []
    for call in reversed(calls):
        outs = call.out if type(call.out) is list else [call.out]
        used = call.kind in ("host", "decide") or call.looks_up or any(
            (type(out) is Local and out in scalars) or (type(out) is Place and out.memory in memories) for out in outs
        )
        used = used or any(memory.kind in ("external", "input") or memory in memories for memory in call.writes)
        if used:
            kept.append(call)
            memories.update(place.memory for place in call.places())
            scalars.update(call.locals())
    return kept[::-1]


def initials(calls: list[Call]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The constants that the step itself writes to, and what each replay has to begin with."""
    written = {memory: None for call in calls for memory in call.writes if memory.kind == "constant"}
    return [(memory.owner, memory.initial) for memory in written if memory.initial is not None]


def without_copies(
    calls: list[Call], outputs: list[Any], inputs: list[Place]
) -> tuple[list[Call], Callable[[Place], Place]]:
    """Copies whose source is not used again are left out: their result is the source itself."""
    last: dict[Memory, int] = {}
    first: dict[Memory, int] = {}
    for i, call in enumerate(calls):
        for place in call.places():
            last[place.memory] = i
            first.setdefault(place.memory, i)
    for out in outputs:
        if type(out) is Place:
            last[out.memory] = len(calls)
    same: dict[Memory, Memory] = {}

    def final(memory: Memory) -> Memory:
        while memory in same:
            memory = same[memory]
        return memory

    kept = []
    for i, call in enumerate(calls):
        if call.kind == "copy":
            source, out = call.args[0], call.out
            if (
                type(source) is Place
                and type(out) is Place
                and source.memory.kind == out.memory.kind == "local"
                and source.dtype == out.dtype
                and last[source.memory] == i
                and first[out.memory] == i
                and source.offset == 0
                and source.memory.nbytes == out.memory.nbytes
                and source.memory.contiguous
                and out.memory.contiguous
                and source.dense
                and out.dense
            ):
                same[out.memory] = source.memory
                last[final(source.memory)] = max(last[out.memory], last[final(source.memory)])
                last[source.memory] = last[out.memory]
                continue
        kept.append(call)

    def renamed(place: Place) -> Place:
        if place.memory in same:
            moved = object.__new__(Place)
            moved.memory, moved.offset, moved.value = final(place.memory), place.offset, None  # type: ignore[assignment]
            moved.shape, moved.strides, moved.dtype = place.shape, place.strides, place.dtype
            return moved
        return place

    def rename(x: Any) -> Any:
        if type(x) is Place:
            return renamed(x)
        if type(x) in (tuple, list):
            return type(x)(rename(item) for item in x)
        if type(x) is dict:
            return {key: rename(item) for key, item in x.items()}
        return x

    if same:
        for call in kept:
            call.args, call.kwargs, call.out = rename(call.args), rename(call.kwargs), rename(call.out)
            call.writes = [final(memory) for memory in call.writes]
    return kept, renamed


def lives(calls: list[Call], outputs: list[Any], chains: list[Chain]) -> None:
    """Note the first and the last call that each memory and scalar takes part in."""
    for call in calls:
        for place in call.places():
            place.memory.first = -1
    for i, call in enumerate(calls):
        for place in call.places():
            if place.memory.first < 0:
                place.memory.first = i
            place.memory.last = i
    for chain in chains:  # whose calls take turns: what one of them uses is alive in all
        for call in calls[chain.start : chain.stop]:
            for place in call.places():
                place.memory.last = max(place.memory.last, chain.stop - 1)
    for out in outputs:
        if type(out) is Place:
            out.memory.last = len(calls)


ELEMENTWISE_IN_PLACE = ("ufunc",)


def layout(
    calls: list[Call], own: set[Memory], scratch: set[Memory], report: Report
) -> tuple[np.ndarray, dict[Memory, int], int]:
    """An arena for the local memory: its bytes, each memory's offset, and what separate blocks would take.

    The smallest free gap that is large enough is taken. The result of an elementwise call goes into the place of an
    operand that is used for the last time, if it has the same layout: the call then runs in place.
    """
    offsets: dict[Memory, int] = {}
    free: list[tuple[int, int]] = []  # (offset, bytes), in order
    top, separate = 0, 0
    ends: dict[int, list[Memory]] = {}
    seen: set[Memory] = set()
    chain: dict[Memory, list[str]] = {}  # by the memory that holds the chain's newest value

    def give(offset: int, n: int) -> None:
        free.append((offset, n))
        free.sort()
        merged = [free[0]]
        for start, size in free[1:]:
            before, length = merged[-1]
            if before + length == start:
                merged[-1] = (before, length + size)
            else:
                merged.append((start, size))
        free[:] = merged

    for i, call in enumerate(calls):
        dying = ends.pop(i, [])
        for place in call.places():
            memory = place.memory
            if memory.kind != "local" or memory in seen:
                continue
            seen.add(memory)
            n = _size(memory)
            separate += n
            if memory in own or memory in scratch:
                continue
            if memory.last >= i:
                ends.setdefault(memory.last, []).append(memory)
                if memory.last == i and memory not in dying:
                    dying.append(memory)
            if call.kind in ELEMENTWISE_IN_PLACE and type(call.out) is Place and memory is call.out.memory:
                taken = _in_place(call, dying, offsets)
                if taken is not None:
                    offsets[memory] = offsets[taken]
                    dying.remove(taken)
                    links = chain.pop(taken, [_verb(calls, taken)])
                    chain[memory] = [*links, call.function.__name__]
                    continue
            best = min((gap for gap in free if gap[1] >= n), key=lambda gap: gap[1], default=None)
            if best is None:
                last = free[-1] if free and sum(free[-1]) == top else None
                if last is not None:  # grow the gap at the end
                    free.pop()
                    offsets[memory], top = last[0], last[0] + n
                else:
                    offsets[memory], top = top, top + n
            else:
                free.remove(best)
                offsets[memory] = best[0]
                if best[1] > n:
                    give(best[0] + n, best[1] - n)
        for memory in dying:
            if memory in offsets:
                give(offsets[memory], _size(memory))
            if memory in chain and len(chain[memory]) > 1:
                report.chains.append(chain.pop(memory))
        ends.pop(i, None)
    report.chains += [links for links in chain.values() if len(links) > 1]
    raw = np.empty(top + ALIGN, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGN
    return raw[start : start + top], offsets, separate


def _verb(calls: list[Call], memory: Memory) -> str:
    return next((_name(c) for c in calls if type(c.out) is Place and c.out.memory is memory), "value")


def _name(call: Call) -> str:
    return call.function if isinstance(call.function, str) else getattr(call.function, "__name__", None) or call.kind


def _in_place(call: Call, dying: list[Memory], offsets: dict[Memory, int]) -> Memory | None:
    """An operand's memory that the result of this call can take over."""
    out = call.out
    if not out.whole or call.kwargs:
        return None
    for x in call.args:
        if (
            type(x) is Place
            and x.memory in dying
            and x.memory in offsets
            and x.whole
            and x.shape == out.shape
            and x.strides == out.strides
            and x.dtype == out.dtype
            and call.function is not np.matmul
            and not any(type(y) is Place and y is not x and y.memory is x.memory and not y.same(x) for y in call.args)
        ):
            return x.memory
    return None


def _size(memory: Memory) -> int:
    n = memory.nbytes
    return -(-max(n, 1) // ALIGN) * ALIGN
