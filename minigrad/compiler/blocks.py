"""Long elementwise chains of large arrays, made a block of rows at a time: what one call leaves is still in the cache
when the next one reads it, and a value that only the chain needs takes the memory of one block.

Every element is worked out by the same call as in one go, so that the bits are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .calls import Call, Memory, Place

LARGE = 1 << 20  # bytes of a result from which on blocks pay
BLOCK = 1 << 16  # elements of a block, whose few arrays fit into a core's own cache


@dataclass
class Chain:
    """calls[start:stop], all over one shape; scratch: the memory that they alone use."""

    start: int
    shape: tuple[int, ...]
    stop: int = 0
    written: dict[Memory, Place] = field(default_factory=dict)
    read: dict[Memory, list[Place]] = field(default_factory=dict)
    scratch: set[Memory] = field(default_factory=set)

    @property
    def rows(self) -> int:
        """Of a block."""
        wide = int(np.prod(self.shape[1:]))
        return min(self.shape[0], max(1, BLOCK // max(wide, 1)))


def chains(calls: list[Call], wanted: set[Memory]) -> list[Chain]:
    """The chains of two calls or more. wanted: memory that is read after the last call."""
    found: list[Chain] = []
    chain: Chain | None = None
    for i, call in enumerate(calls):
        if chain is not None and not _joins(call, chain):
            _closed(chain, i, found)
            chain = None
        if chain is None and _blockable(call):
            chain = Chain(i, call.out.shape)
        if chain is not None:
            for x in call.args:
                if type(x) is Place:
                    chain.read.setdefault(x.memory, []).append(x)
            chain.written[call.out.memory] = call.out
    if chain is not None:
        _closed(chain, len(calls), found)
    _find_scratch(calls, found, wanted)
    return found


def _closed(chain: Chain, stop: int, found: list[Chain]) -> None:
    chain.stop = stop
    if stop - chain.start > 1:
        found.append(chain)


def _blockable(call: Call) -> bool:
    out = call.out
    if type(out) is not Place or call.kind not in ("ufunc", "into", "copy") or call.function is np.matmul:
        return False
    if not out.shape or out.memory.nbytes < LARGE or not out.dense or set(call.kwargs) - {"dtype"}:
        return False
    return all(_sliced(x, out.shape) or _whole(x, out.shape) for x in call.args if type(x) is Place)


def _sliced(place: Place, shape: tuple[int, ...]) -> bool:
    """Whether a block of rows needs those of this operand."""
    return len(place.shape) == len(shape) and place.shape[0] == shape[0] != 1


def _whole(place: Place, shape: tuple[int, ...]) -> bool:
    """Whether each block needs all of this operand."""
    return len(place.shape) < len(shape) or place.shape[0] == 1


def _joins(call: Call, chain: Chain) -> bool:
    if not _blockable(call) or call.out.shape != chain.shape:
        return False
    for x in call.args:
        if type(x) is Place and x.memory in chain.written and not x.same(chain.written[x.memory]):
            return False
    out = call.out
    if out.memory in chain.written and not out.same(chain.written[out.memory]):
        return False
    return all(place.same(out) for place in chain.read.get(out.memory, ()))


def _find_scratch(calls: list[Call], found: list[Chain], wanted: set[Memory]) -> None:
    users: dict[Memory, set[int]] = {}
    first: dict[Memory, Call] = {}
    for i, call in enumerate(calls):
        for place in call.places():
            users.setdefault(place.memory, set()).add(i)
            first.setdefault(place.memory, call)
    for chain in found:
        for memory, out in chain.written.items():
            mine = all(chain.start <= i < chain.stop for i in users[memory])
            begins = first[memory].out is not None and first[memory].out.memory is memory
            reads_itself = any(type(x) is Place and x.memory is memory for x in first[memory].args)
            if mine and begins and not reads_itself and memory.kind == "local" and memory not in wanted and out.whole:
                chain.scratch.add(memory)


class Blocks:
    """Writes one chain as a loop over its blocks, for a Writer."""

    def __init__(self, writer: Any, chain: Chain) -> None:
        self.writer, self.chain = writer, chain
        self.columns: list[tuple[str, np.ndarray, bool]] = []  # (name in the loop, array, whether that is scratch)
        self.scratch: dict[Memory, np.ndarray] = {}
        # Pieces of the writer's scratch, by number and bytes: those in use, and those whose value is used no more.
        self.taken: dict[Memory, tuple[int, int]] = {}
        self.free: list[tuple[int, int]] = []

    def text(self, calls: list[Call]) -> str:
        chain, writer = self.chain, self.writer
        lines = []
        mine = calls[chain.start : chain.stop]
        last = {place.memory: i for i, call in enumerate(mine) for place in call.places()}
        for i, call in enumerate(mine):
            for place in call.places():
                if _sliced(place, chain.shape) or place.shape == chain.shape:
                    self._column(place)
            lines += writer.statement(call)
            self.free += [self.taken.pop(memory) for memory in [*self.taken] if last[memory] == i]
        writer.aliases.clear()
        n, rows = chain.shape[0], chain.rows
        blocks = []
        for start in range(0, n, rows):
            stop = min(n, start + rows)
            blocks.append(tuple([
                array[: stop - start] if scratch else array[start:stop] for _, array, scratch in self.columns
            ]))  # fmt: skip
        held = writer.constant(blocks, "blocks")
        names = ", ".join(name for name, _, _ in self.columns)
        return "\n        ".join([f"for ({names},) in {held}:", *lines])

    def _column(self, place: Place) -> None:
        writer, memory = self.writer, place.memory
        key = writer.key(place)
        if key in writer.aliases:
            return
        name = f"q{len(self.columns)}"
        writer.aliases[key] = name
        if memory in self.chain.scratch:
            if memory not in self.scratch:
                self.scratch[memory] = self._block((self.chain.rows, *place.shape[1:]), place)
            self.columns.append((name, self.scratch[memory], True))
        else:
            self.columns.append((name, writer.array(place), False))

    def _block(self, shape: tuple[int, ...], place: Place) -> np.ndarray:
        """A block's worth of memory, shared with what is not needed at the same time, in other chains too."""
        size = place.dtype.itemsize * int(np.prod(shape))
        piece = next((one for one in reversed(self.free) if one[1] == size), None)  # the one most likely in the cache
        if piece is None:
            piece = (sum(n == size for _, n in [*self.free, *self.taken.values()]), size)
            if piece not in self.writer.scratch:
                self.writer.scratch[piece] = np.empty(size, np.uint8)
        else:
            self.free.remove(piece)
        self.taken[place.memory] = piece
        return np.ndarray(shape, place.dtype, self.writer.scratch[piece])
