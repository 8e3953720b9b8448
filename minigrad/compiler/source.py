"""A replay's Python: one function that makes the calls, each on arrays that were laid out before."""

from __future__ import annotations

import linecache
import math
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from .blocks import Blocks, Chain
from .calls import Call, Local, Memory, Place

SYMBOLS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**", "eq": "==",
    "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and_": "&", "or_": "|", "xor": "^", "matmul": "@",
}  # fmt: skip
LITERALS = (bool, int, type(None))
_number = count(1)


class Different(Exception):
    """A value by which the step decided something is another one in this replay."""


class Writer:
    """Writes a replay. arena: the bytes of all local memory; offsets: where each Memory lies; own: those apart."""

    def __init__(self, arena: np.ndarray, offsets: dict[Memory, int], own: set[Memory]) -> None:
        self.arena, self.offsets, self.own = arena, offsets, own
        self.apart: dict[Memory, np.ndarray] = {}
        self.names: dict[Any, str] = {}
        # Warnings of numpy's are those of the rules, which minigrad silences by module.
        self.scope: dict[str, Any] = {"__name__": "minigrad.replay", "Different": Different}
        self.aliases: dict[Any, str] = {}  # names of places within a loop over blocks
        self.scratch: dict[tuple[int, int], np.ndarray] = {}  # of blocks: by its number and its bytes
        self.fills: dict[int, list[str]] = {}  # by the number of a Local, the arrays that hold it
        self.initials: list[tuple[np.ndarray, np.ndarray]] = []  # constants that the step writes to, as they were
        self.looked_up: list[tuple[Place, int]] = []  # the indices of rows that are in range, and of how many rows

    # ------------------------------------------------------------------------------ arrays

    def array(self, place: Place) -> np.ndarray:
        """The array that stands for a Place in each replay."""
        memory = place.memory
        if memory.kind in ("external", "constant"):
            return place.value
        if memory in self.offsets:
            buffer, offset = self.arena, self.offsets[memory] + place.offset
        else:
            if memory not in self.apart:
                self.apart[memory] = np.empty(max(memory.nbytes, 1), np.uint8)
            buffer, offset = self.apart[memory], place.offset
        if 0 in place.shape:
            return np.empty(place.shape, place.dtype)
        return np.ndarray(place.shape, place.dtype, buffer, offset, place.strides)

    def key(self, place: Place) -> tuple[Any, ...]:
        return place.memory, place.offset, place.shape, place.strides, place.dtype

    def name(self, place: Place) -> str:
        key = self.key(place)
        if key in self.aliases:
            return self.aliases[key]
        if key not in self.names:
            kind = {"external": "p", "constant": "c", "input": "x"}.get(place.memory.kind, "b")
            name = self.names[key] = f"{kind}{len(self.names)}"
            self.scope[name] = self.array(place)
        return self.names[key]

    def constant(self, value: Any, hint: str = "k") -> str:
        key = (hint, id(value))
        if key not in self.names:
            name = hint if hint != "k" and hint not in self.scope else f"{hint}{len(self.names)}"
            self.names[key] = name
            self.scope[name] = value
        return self.names[key]

    # ------------------------------------------------------------------------------ expressions

    def text(self, x: Any) -> str:
        kind = type(x)
        if kind is Place:
            return self.name(x)
        if kind is Local:
            return f"s{x.number}"
        if kind in LITERALS:
            return repr(x)
        if kind is float and math.isfinite(x):
            return repr(x)
        if kind is tuple:
            return "(" + "".join(f"{self.text(item)}, " for item in x) + ")"
        if kind is list:
            return "[" + ", ".join(self.text(item) for item in x) + "]"
        return self.constant(x)

    def operands(self, call: Call) -> list[str]:
        """The operands of a ufunc; a Python number among floats as the 0-d array that numpy would make each time."""
        dtypes = {x.dtype for x in call.args if type(x) is Place}
        dtype = dtypes.pop() if len(dtypes) == 1 else None
        made = getattr(call.out, "dtype", dtype)  # with dtype= numpy takes the number in that
        floats = dtype is not None and dtype.kind == "f" and (made == dtype or np.dtype(made).kind == "b")
        texts = []
        for x in call.args:
            if floats and type(x) is Local and type(x.value) is float:
                texts.append(self.filled_number(x, dtype))  # type: ignore[arg-type]
            elif floats and type(x) in (int, float) and abs(x) < float(np.finfo(dtype).max):  # type: ignore[arg-type]
                key = ("number", repr(x), dtype)
                if key not in self.names:
                    self.names[key] = f"n{len(self.names)}"
                    self.scope[self.names[key]] = np.array(x, dtype)
                texts.append(self.names[key])
            else:
                texts.append(self.text(x))
        return texts

    def filled_number(self, local: Local, dtype: np.dtype) -> str:
        """The 0-d array that a Python number is put into once in a replay, as numpy would for each call."""
        name = f"h{local.number}_{dtype.str[1:]}"
        if name not in self.scope:
            self.scope[name] = np.empty((), dtype)
            self.fills.setdefault(local.number, []).append(name)
        return name

    def target(self, call: Call, out: str) -> str:
        """Where a ufunc puts its result; by position is faster, which numpy does not want of two."""
        return f"out={out}" if call.function in (np.maximum, np.minimum) else out

    def call(self, function: Any, args: list[str], kwargs: dict[str, Any]) -> str:
        name = self.constant(function, _hint(function))
        return f"{name}({', '.join([*args, *(f'{key}={self.text(value)}' for key, value in kwargs.items())])})"

    def expression(self, call: Call) -> str:
        """A call as an expression that makes a new array or scalar."""
        args = [self.text(x) for x in call.args] if call.kind not in ("fill", "host") else []
        if call.kind == "getitem":
            return f"{args[0]}[{args[1]}]"
        if call.kind == "method":
            more = [*args[1:], *(f"{key}={self.text(value)}" for key, value in call.kwargs.items())]
            return f"{args[0]}.{call.function}({', '.join(more)})"
        if call.kind == "copy":
            return f"{args[0]}.copy()"
        if call.kind == "reduce":
            return self.call(call.function.reduce, args, call.kwargs)
        symbol = SYMBOLS.get(getattr(call.function, "__name__", ""))
        if call.kind in ("operator", "ufunc") and symbol and len(args) == 2:
            return " ".join([f"({args[0]})" if args[0].startswith("-") else args[0], symbol, args[1]])  # (-2) ** x
        return self.call(call.function, args, call.kwargs)

    # ------------------------------------------------------------------------------ statements

    def statement(self, call: Call) -> list[str]:
        out = call.out
        kind = call.kind
        if kind == "host":
            names = ", ".join(f"s{local.number}" for local in out)
            return [f"{names}{' = ' if names else ''}{self.constant(call.function)}()"]
        if kind == "several":
            made = self.call(call.function, [self.text(x) for x in call.args], call.kwargs)
            return [f"t = {made}", *(f"{self.name(o)}[...] = t[{i}]" for i, o in enumerate(out) if o is not None)]
        if kind == "setitem":
            target, index, value = [self.text(x) for x in call.args]
            return [f"{target}[{index}] = {value}"]
        if kind == "fill":
            return [f"{self.name(out)}.fill({self.text(call.args[0])})"]
        if kind == "decide":
            return [f"if {'not ' if call.args[1] else ''}{self.text(call.args[0])}: raise Different"]
        if kind == "do":
            return [self.call(call.function, [self.text(x) for x in call.args], call.kwargs)]
        if kind == "into":
            return [self.call(call.function, [*self.operands(call), self.target(call, self.name(out))], {})]
        if type(out) is Local:
            return [f"s{out.number} = {self.expression(call)}"]
        return self.filled(call, self.name(out))

    def filled(self, call: Call, out: str) -> list[str]:
        """A call whose result goes into an array that is there."""
        kind, place = call.kind, call.out
        if kind == "copy":
            source = call.args[0]
            target = out
            if source.shape != place.shape:  # a reshape that had to copy: the elements in their order
                target = self.constant(self.scope[out].reshape(source.shape))
            return [f"{target}[...] = {self.text(source)}"]  # np.copyto asks in Python who may answer in its place
        if kind == "ufunc":
            dtype = call.kwargs.get("dtype")
            only = call.args[0]
            if dtype is not None and len(call.args) == 1 and type(only) is Place and only.dtype != dtype == place.dtype:
                # Cast into the result's own memory and go on there: numpy's buffered casting takes longer.
                return [f"{out}[...] = {self.text(only)}", self.call(call.function, [out, out], {})]
            kwargs = {key: value for key, value in call.kwargs.items() if not (key == "dtype" and value == place.dtype
                      and all(type(x) is not Place or x.dtype == value for x in call.args))}  # fmt: skip
            return [self.call(call.function, [*self.operands(call), self.target(call, out)], kwargs)]
        if kind == "reduce":
            names = ("axis", "dtype", "out", "keepdims", "initial", "where")
            given = dict(zip(names, call.args[1:], strict=False)) | call.kwargs
            order = [given.pop("axis", 0), given.pop("dtype", None)]
            keepdims = given.pop("keepdims", False)
            given.pop("out", None)
            args = [self.text(call.args[0]), *(self.text(x) for x in order), out, self.text(keepdims)]
            return [self.call(call.function.reduce, args, given)]
        if kind == "getitem":
            source, index = call.args
            single = index[0] if type(index) is tuple and len(index) == 1 else index
            if type(single) is Place and single.dtype.kind == "i" and self.scope[out].flags.c_contiguous:
                # What was looked up before is in range, and numpy need not make a copy in case it is not.
                checked = any(single.same(one) and source.shape[0] == n for one, n in self.looked_up)
                self.looked_up.append((single, source.shape[0]))
                mode = ', "wrap"' if checked else ""
                return [f"{self.text(source)}.take({self.text(single)}, 0, {out}{mode})"]
        if kind == "call" and getattr(call.function, "__name__", "") in ("concatenate", "stack"):
            return [self.call(call.function, [self.text(x) for x in call.args], {**call.kwargs, "out": place})]
        return [f"{out}[...] = {self.expression(call)}"]

    def write(
        self, calls: list[Call], inputs: list[Place], outputs: list[Any], kept: list[bool], report: Any,
        chains: list[Chain],
    ) -> tuple[Callable[..., Any], str, int]:  # fmt: skip
        """(the function, its source, the line from which on memory from outside is written)."""
        statements: list[Any] = []
        blocked = {i: chain for chain in chains for i in range(chain.start, chain.stop)}
        for i, call in enumerate(calls):
            if i in blocked:
                if i == blocked[i].start:
                    mine = calls[i : blocked[i].stop]
                    changes = any(one.changes for one in mine)
                    statements.append((Blocks(self, blocked[i]).text(calls), changes, call.line))
                continue
            outside = call.changes
            statements += [(line, outside, call.line) for line in self.statement(call)]
            self.looked_up = [(index, n) for index, n in self.looked_up if index.memory not in call.written]
            if call.kind == "host":
                statements.append((call.out, outside, call.line))
        # Only now is it known which numbers are wanted as arrays.
        statements = [
            (text if type(text) is str else self.filling(text), outside, line) for text, outside, line in statements
        ]
        return self.finish(statements, inputs, outputs, kept, report)

    def filling(self, numbers: list[Local]) -> str:
        fills = [f"{name}.fill(s{x.number})" for x in numbers for name in self.fills.get(x.number, ())]
        return "; ".join(fills) or "pass"

    def finish(
        self, statements: list[tuple[str, bool, Any]], inputs: list[Place], outputs: list[Any], kept: list[bool],
        report: Any,
    ) -> tuple[Callable[..., Any], str, int]:  # fmt: skip
        """The function of these statements: (text, whether it changes what was there before, the user's line) each."""
        lines = [f"def replay({', '.join(f'a{i}' for i in range(len(inputs)))}):"]
        for i, place in enumerate(inputs):
            lines.append(f"    {self.name(place)}[...] = a{i}")
        lines += [f"    {self.constant(owner)}[...] = {self.constant(initial)}" for owner, initial in self.initials]
        outside = 0
        for text, changes, where in statements:
            if changes and not outside:
                outside = sum(line.count("\n") + 1 for line in lines) + 1
            lines.append("    " + text)
            report.lines.append((text, where))
        results = []
        for out, keep in zip(outputs, kept, strict=True):
            text = self.text(out)
            results.append("None" if keep else f"{text}.copy('K')" if type(out) is Place else text)
        lines.append(f"    return ({''.join(f'{result}, ' for result in results)})")
        source = "\n".join(lines) + "\n"
        filename = f"<captured step {next(_number)}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        exec(compile(source, filename, "exec"), self.scope)
        replay = self.scope.pop("replay")  # which holds the scope: a circle would keep the memory until gc runs
        weakref.finalize(replay, linecache.cache.pop, filename, None).atexit = False
        return replay, source, outside or source.count("\n") + 1


def _hint(function: Any) -> str:
    name = getattr(function, "__name__", "k")
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        name = f"{function.__self__.__name__}_{name}"
    return name if name.isidentifier() else "k"
