"""The numba backend: a capture's loops compiled to machine code, from the same calls that numpy would make.

Element by element, sums, products and quotients are numpy's to the bit. Other float32 results differ in the last bits:
sums over an axis are added up in vectors, small matrix products are products.py's, exp, tanh and log are kernels.py's,
and other functions the C library's.
Compiled code is kept on disk, in MINIGRAD_CACHE_DIR or the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

from .arrange import COMPARE, arranged
from .calls import Call, Local, Memory, Place
from .capture import Capture
from .loops import Loop, Single, calls_of, grouped
from .plan import ALIGN, Plan, Report, initials, needed, without_copies
from .segment import IN_FLOAT32, Segment
from .source import Writer

HEADER = """import math
import numba
import numpy as np
from numba import carray
from minigrad.compiler.kernels import exp32, log32, log64, maximum, minimum, plus, pointer, tanh32
from minigrad.compiler.products import tile, turn

f4, f8, i8, i4, u8, b1 = np.float32, np.float64, np.int64, np.int32, np.uint64, np.bool_

"""


def build(capture: Capture, inputs: list[Place], outputs: list[Any], kept: list[bool]) -> Plan:
    """As plan.build, with loops compiled."""
    report = Report(recorded=len(capture.calls))
    calls, renamed = without_copies(needed(capture.calls, outputs), outputs, inputs)
    outputs = [renamed(x) if type(x) is Place else x for x in outputs]
    calls = arranged([_narrowed(call) for call in calls], outputs)
    parts = grouped(calls)
    own = {out.memory for out, keep in zip(outputs, kept, strict=True) if keep and type(out) is Place}
    wanted = {out.memory for out in outputs if type(out) is Place}
    registers = _registers(parts, wanted)
    writer = _Compiler(*_layout(parts, own, wanted, registers, report), registers)
    writer.initials = initials(calls)
    writer.compared = _compared(calls) - {x for x in outputs if type(x) is Local}
    writer.within = _within(parts) - {x for x in outputs if type(x) is Local}
    run, source, mutates_from = writer.compose(parts, inputs, outputs, kept, report)
    buffers = [writer.kept]
    keeps = [
        writer.array(out) if keep and type(out) is Place else None for out, keep in zip(outputs, kept, strict=True)
    ]
    return Plan(run, report, keeps, buffers, mutates_from, source, calls)


def _narrowed(call: Call) -> Call:
    """A large float32 exp, log or tanh that numpy works out in float64, as the loop that it is: see Segment.widened."""
    if call.kind != "do" or getattr(call.function, "__name__", "") != "__call__" or len(call.args) != 1:
        return call
    function, x, out = call.function.__self__, call.args[0], call.kwargs.get("out")
    if type(out) is not tuple or len(out) != 1 or set(call.kwargs) != {"out", "dtype", "casting"}:
        return call
    narrow = all(type(place) is Place and place.dtype == np.float32 for place in (x, *out))
    if not narrow or function.__name__ not in IN_FLOAT32 or x.shape != out[0].shape:
        return call
    return Call("into", function, call.args, {}, out[0], call.writes, call.line)


def _compared(calls: list[Call]) -> set[Local]:
    """The integers that nothing is done with but to compare them with another one."""
    users: dict[Local, list[Call]] = {}
    for call in calls:
        for local in call.locals():
            users.setdefault(local, []).append(call)
    return {
        local
        for local, uses in users.items()
        if isinstance(local.value, np.integer)
        and all(call.kind == "operator" and call.function in COMPARE and type(call.args[1]) is int for call in uses)
    }


def _within(parts: list[Any]) -> set[Local]:
    """The numbers that one run of loops makes and uses alone."""
    where: dict[Local, set[int]] = {}
    for i, part in enumerate(parts):
        for step in _steps([part]):
            for call in calls_of(step):
                for local in [*call.locals(), *([call.out] if type(call.out) is Local else [])]:
                    where.setdefault(local, set()).add(i)
    return {local for local, at in where.items() if len(at) == 1}


def _steps(parts: list[Any]) -> list[Loop | Single | Call]:
    return [step for part in parts for step in (part if type(part) is list else [part])]


def _places(step: Loop | Single | Call) -> list[Place]:
    return [place for call in calls_of(step) for place in call.places()]


def _registers(parts: list[Any], wanted: set[Memory]) -> set[Memory]:
    """The local memory that one loop alone makes and uses, element by element: it needs none."""
    where: dict[Memory, set[int]] = {}
    steps = _steps(parts)
    for i, step in enumerate(steps):
        for place in _places(step):
            where.setdefault(place.memory, set()).add(i)
    found = set()
    for memory, at in where.items():
        if memory.kind != "local" or len(at) != 1 or memory in wanted:
            continue
        step = steps[next(iter(at))]
        if not isinstance(step, Loop) or memory not in step.written or memory in step.closed:
            continue
        first = next(call for call in step.calls for place in call.places() if place.memory is memory)
        if (
            type(first.out) is Place
            and first.out.memory is memory
            and all(place.same(step.written[memory]) for place in step.read.get(memory, ()))
        ):
            found.add(memory)
    return found


def _layout(
    parts: list[Any], own: set[Memory], wanted: set[Memory], registers: set[Memory], report: Report
) -> tuple[np.ndarray, dict[Memory, int], np.ndarray, dict[Memory, int]]:
    """(the arena, offsets in it, the memory that is kept between replays, offsets in that)."""
    steps = _steps(parts)
    spans: dict[Memory, list[int]] = {}
    for i, step in enumerate(steps):
        for place in _places(step):
            if place.memory.kind == "local" and place.memory not in registers:
                spans.setdefault(place.memory, [i, i])[1] = i
    for memory in wanted & spans.keys():
        spans[memory][1] = len(steps)
    offsets: dict[Memory, int] = {}
    kept: dict[Memory, int] = {}
    top = kept_top = 0
    alive: list[tuple[int, int, int]] = []  # (last, offset, bytes)
    taken: set[Memory] = set()
    for memory, (first, last) in spans.items():
        n = -(-max(memory.nbytes, 1) // ALIGN) * ALIGN
        report.separate += n
        if memory in own:
            kept[memory], kept_top = kept_top, kept_top + n
            continue
        dying = {m for m in offsets if spans[m][1] == first and spans[m][0] < first and m not in taken}
        over = _in_place(steps[first], memory, dying)
        if over is not None:
            taken.add(over)
            offsets[memory] = offsets[over]
            alive.remove((first, offsets[over], n))
            alive.append((last, offsets[over], n))
            continue
        alive = sorted((a for a in alive if a[0] >= first), key=lambda a: a[1])
        at = 0
        for _, offset, size in alive:
            if offset - at >= n:
                break
            at = max(at, offset + size)
        offsets[memory] = at
        alive.append((last, at, n))
        top = max(top, at + n)
    report.separate += sum(memory.nbytes for memory in registers)
    report.planned = top
    return _aligned(top), offsets, _aligned(kept_top), kept


def _in_place(step: Loop | Single | Call, memory: Memory, dying: set[Memory]) -> Memory | None:
    """Of `dying`, which a loop uses for the last time, what it reads element by element before it makes `memory`."""
    if not isinstance(step, Loop) or memory in step.closed or memory not in step.written:
        return None
    out = step.written[memory]
    if not (out.whole and out.dense and out.shape == step.shape):
        return None
    made = next(i for i, call in enumerate(step.calls) if any(place.memory is memory for place in call.places()))
    later = {place.memory for call in step.calls[made + 1 :] for place in call.places()}
    for x in [place.memory for place in step.calls[made].places()]:
        if x not in dying or x in step.closed or x in step.written or x in later:
            continue
        uses = [place for call in step.calls for place in call.places() if place.memory is x]
        if all(p.whole and p.dense and p.shape == out.shape and p.dtype == out.dtype for p in uses):
            return x
    return None


def _aligned(n: int) -> np.ndarray:
    n = max(n, ALIGN)
    raw = np.empty(n + ALIGN, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGN
    return raw[start : start + n]


class _Compiler(Writer):
    """Writes the Python of a replay and the compiled functions that it calls."""

    def __init__(
        self, arena: np.ndarray, offsets: dict[Memory, int], kept: np.ndarray, apart: dict[Memory, int],
        registers: set[Memory],
    ) -> None:  # fmt: skip
        super().__init__(arena, offsets, set())
        self.kept, self.kept_offsets, self.registers = kept, apart, registers
        self.compared: set[Local] = set()  # numbers that may stay Python's
        self.within: set[Local] = set()  # and those that no other call than those of their run of loops uses

    def array(self, place: Place) -> np.ndarray:
        if place.memory in self.kept_offsets:
            if 0 in place.shape:
                return np.empty(place.shape, place.dtype)
            offset = self.kept_offsets[place.memory] + place.offset
            return np.ndarray(place.shape, place.dtype, self.kept, offset, place.strides)
        return super().array(place)

    def compose(
        self, parts: list[Any], inputs: list[Place], outputs: list[Any], kept: list[bool], report: Report
    ) -> tuple[Any, str, int]:
        segments = [Segment(self, i, part) for i, part in enumerate(p for p in parts if type(p) is list)]
        texts = [segment.source() for segment in segments]
        began = time.perf_counter()
        compiled = _compiled(HEADER + "\n\n".join(texts), segments, self.scope, report)
        report.notes.append(
            f"compiled in {time.perf_counter() - began:.1f} s{'' if compiled else ', not kept on disk'}"
        )
        loops = [step for part in parts if type(part) is list for step in part if isinstance(step, Loop)]
        report.chains = [[_verb(call) for call in loop.calls] for loop in loops if len(loop.calls) > 1]
        report.notes.append(f"{len(segments)} compiled functions of {sum(len(s.steps) for s in segments)} loops")
        numbered = iter(segments)
        statements: list[tuple[Any, bool, Any]] = []
        changed = False
        for part in parts:
            if type(part) is list:
                segment = next(numbered)
                statements += [(text, segment.outside, line) for text, line in segment.statements(changed)]
                changed = changed or segment.outside
                report.calls += 1
            else:
                changed = changed or part.changes
                texts = self.statement(part)
                statements += [(text, part.changes, part.line) for text in texts]
                report.calls += len(texts)
                if part.kind == "host":
                    statements.append((part.out, part.changes, part.line))
        # Only now is it known which numbers are wanted as arrays.
        statements = [(text if type(text) is str else self.filling(text), *more) for text, *more in statements]
        statements = [statement for statement in statements if statement[0] != "pass"]
        return self.finish(statements, inputs, outputs, kept, report)


def _verb(call: Call) -> str:
    return getattr(call.function, "__name__", None) or call.kind


def _compiled(source: str, segments: list[Segment], scope: dict[str, Any], report: Report) -> bool:
    """Put the compiled functions into scope; returns whether the code is kept on disk."""
    import numba

    parts = [Path(__file__).with_name(name).read_bytes() for name in ("kernels.py", "products.py")]
    digest = hashlib.sha256(b"".join([source.encode(), *parts, numba.__version__.encode()])).hexdigest()[:24]
    path, kept = _stored(f"step_{digest}.py", source)
    module = types.ModuleType(f"minigrad_step_{digest}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # numba looks the functions of its cache up there
    exec(compile(source if kept else source.replace("cache=True, ", ""), str(path), "exec"), vars(module))
    for segment in segments:
        function = getattr(module, f"segment{segment.number}")
        function.compile(tuple(numba.typeof(value) for value in segment.args.values()))
        (compiled,) = function.overloads.values()
        scope[f"segment{segment.number}"] = compiled.entry_point
    return kept


def _stored(name: str, source: str) -> tuple[Path, bool]:
    """The source in the cache folder, where numba keeps the code beside it; False where nothing can be written."""
    base = os.environ.get("MINIGRAD_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "minigrad"
    )
    path = Path(base) / name
    try:
        Path(base).mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != source:
            handle, temporary = tempfile.mkstemp(dir=base, suffix=".py")
            with os.fdopen(handle, "w") as file:
                file.write(source)
            os.replace(temporary, path)  # a process beside this one sees all of it or none
        return path, True
    except OSError:
        return path, False
