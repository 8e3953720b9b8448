"""Capture: what numpy did in one run of a step, as a flat list of calls on places in memory.

A value is in one of four kinds of memory. *external*: that of a Tensor or array that was there before the step, such
as a parameter; a replay uses that very memory. *input*: an array that the step was given; a replay copies the new one
in. *constant*: made in the step from nothing but shapes and numbers. *local*: all else, which the plan lays out anew.
What shares memory with a known value (a view) is a place in the same memory, and costs a replay nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from sys import getrefcount
from threading import get_ident
from typing import Any
from weakref import ref

import numpy as np

from . import CaptureError as CaptureError
from .calls import Call, Local, Memory, Place, before_changes, root
from .known import FREE_COUNTS, FREE_SHAPE, FUNCTIONS, OF_SHAPE, POWERS, SAME
from .traced import Number, Traced

PACKAGE = str(Path(__file__).parent.parent)

CHANGED = "changes an array that it made itself, unseen, between two uses of it"
HELD = 3  # what getrefcount says of a Number that nobody took: the capture's list, a variable, its argument


class Capture:
    """What is noted while a step runs. `reason` is None while all of it could be followed, else why not."""

    def __init__(self, fullgraph: bool = False) -> None:
        self.fullgraph = fullgraph  # the first thing that cannot be captured is an error
        self.thread = get_ident()
        self.open = True
        self.reason: str | None = None
        self.calls: list[Call] = []
        self.memories: dict[int, Memory] = {}
        # by the owner's id, the one that views of it have as their base
        self.owners: dict[int, ref[Traced]] = {}
        self.count = 0  # of Locals
        self.constants: list[Memory] = []
        self.alive: dict[int, ref[np.ndarray]] = {}  # by id: of all but constants, since another may come in its place
        self.handled: list[tuple[Any, Any]] = []  # (container, key): Python state that each replay works out itself
        self.numbers: list[Number] = []
        self.types: list[tuple[Callable[[], Any], type]] = []  # what reads a number that numpy got as it is, its type
        self.lent: dict[tuple[int, Any], tuple[Any, Any, Any]] = {}  # by the dict's id and the key: dict, value, given

    # ------------------------------------------------------------------------------- values in and out

    def live(self) -> bool:
        return self.open and self.reason is None and get_ident() == self.thread

    def escape(self, reason: str) -> None:
        """The step does something that a replay could not repeat: note the first such thing and its line."""
        if self.live():
            self.refuse(f"it {reason} ({self.line(text=True)})")

    def refuse(self, reason: str) -> None:
        """Note why a replay cannot stand for this run."""
        if self.reason is None:
            self.reason = reason
            if self.fullgraph and self.open:
                raise CaptureError(f"the step cannot be captured: {reason}")

    def line(self, text: bool = False) -> Any:
        """The user's line that is running, as (file, line number, function)."""
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
            frame = frame.f_back
        if frame is None:
            return None
        where = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        return f"{where[0].rpartition(os.sep)[2]}:{where[1]}, in {where[2]}" if text else where

    def enter(self, value: Any, kind: str) -> Traced:
        """An array from outside, as external or input memory; one that was there before is the same memory."""
        owner = root(value)
        memory = self.memories.get(id(owner)) or self._memory(owner, kind)
        return self._base(owner) if value is owner else Traced(value, Place(memory, value), self, self._base(owner))

    def leave(self) -> None:
        """The run is over."""
        self.open = False
        for known in (self.owners, self.alive, self.memories):
            known.clear()
        self.take_back()

    def _memory(self, owner: np.ndarray, kind: str) -> Memory:
        key = id(owner)
        memory = self.memories[key] = Memory(owner, kind)
        if kind == "constant":
            self.constants.append(memory)
        else:
            memories, alive = self.memories, self.alive

            def gone(_: Any) -> None:
                memories.pop(key, None)  # in whatever thread that is
                alive.pop(key, None)

            alive[key] = ref(owner, gone)
        return memory

    def plain(self, x: Any) -> Any:
        """The value without its trace, also within tuples, lists and dicts."""
        kind = type(x)
        if kind is Traced or kind is Number:
            return x.value
        if kind is tuple:
            return tuple([self.plain(item) for item in x])
        if kind is list:
            return [self.plain(item) for item in x]
        if kind is dict:
            return {key: self.plain(item) for key, item in x.items()}
        return x

    def ref(self, x: Any) -> Any:
        """Where a replay finds it: a Place, a Local, or the constant itself."""
        kind = type(x)
        if kind is Traced or kind is Number:
            return x.place
        if kind is np.ndarray:
            memory = self.memories.get(id(root(x)))
            if memory is None:
                memory = self._memory(root(x), "constant")
                memory.look()
            elif memory.changed():
                self.escape(CHANGED)
            return Place(memory, x)
        if kind is tuple:
            return tuple([self.ref(item) for item in x])
        if kind is list:
            return [self.ref(item) for item in x]
        if kind is dict:
            return {key: self.ref(item) for key, item in x.items()}
        return x

    def note(self, kind: str, function: Any, args: Any, kwargs: Any, out: Any, writes: Any = ()) -> None:
        for place in writes:
            self._before(place)
            if place.memory.kind == "constant":
                place.memory.look()
        self.calls.append(
            Call(kind, function, self.ref(args), self.ref(kwargs), out, [p.memory for p in writes], self.line())
        )

    def result(self, made: Any, kind: str, function: Any, args: Any, kwargs: Any) -> Any:
        """A result as Traced, with the call that makes it noted, unless it is a view of what is there."""
        if isinstance(made, np.ndarray):
            if made.dtype.kind not in "fiub":
                self.escape(f"makes an array of dtype {made.dtype}")
                return made
            owner = root(made)
            if id(owner) not in self.memories:
                self.note(kind, function, args, kwargs, Place(self._memory(owner, "local"), made))
            if made is owner:
                return self._base(owner)
            return Traced(made, Place(self.memories[id(owner)], made), self, self._base(owner))
        if isinstance(made, np.generic):
            local = Local(self.count, made)
            self.count += 1
            self.note(kind, function, args, kwargs, local)
            return Traced(made, local, self)
        if isinstance(made, (tuple, list)):
            parts, outs = [], list[Any]()
            for one in made:
                if isinstance(one, np.ndarray) and id(root(one)) not in self.memories:
                    outs.append(Place(self._memory(root(one), "local"), one))
                elif isinstance(one, np.ndarray):
                    outs.append(None)
                else:
                    self.escape(f"calls {_name(function)}, which gives more than arrays")
                    return made
                parts.append(Traced(one, Place(self.memories[id(root(one))], one), self, self._base(root(one))))
            if any(out is not None for out in outs):
                self.note("several", function, args, kwargs, outs)
            return type(made)(parts) if type(made) in (tuple, list) else parts
        self.escape(f"calls {_name(function)}, whose result is a Python {type(made).__name__}")
        return made

    def _base(self, owner: np.ndarray) -> Traced:
        """The owner of memory, always the same Traced: by that the engine knows a view."""
        known = self.owners.get(id(owner))
        traced = known() if known else None
        if traced is None:
            traced = Traced(owner, Place(self.memories[id(owner)], owner), self)
            self.owners[id(owner)] = ref(traced)
        return traced

    # ---------------------------------------------------------------------------------- what numpy does

    def operator(self, function: Callable[..., Any], ufunc: Any, operands: tuple[Any, ...]) -> Any:
        """A Python operator on arrays and numbers."""
        made = function(*[self.plain(x) for x in operands])
        if not self.live():
            return made
        if type(made) is np.ndarray:
            if ufunc is not np.power:
                return self.result(made, "ufunc", ufunc, operands, {})
            n = self.plain(operands[1])
            special = POWERS.get(n) if type(n) in (int, float) and type(operands[1]) is not Number else None
            for ufunc, given in ((special, operands[:1]), (np.power, operands)):
                # numpy's ** takes other ways for some exponents, which are not the same in all its versions.
                if ufunc is not None and same_bits(ufunc(*self.plain(given)), made):
                    return self.result(made, "ufunc", ufunc, given, {})
        return self.result(made, "operator", function, operands, {})

    def ufunc(self, ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        plain, named = self.plain(inputs), self.plain(kwargs)
        function = getattr(ufunc, method)
        if not self.live():
            return function(*plain, **named)
        if any(type(x) is np.ndarray and x.dtype.kind == "O" for x in plain):
            self.escape("computes with Python objects")
        out = kwargs.pop("out", None)
        if out is not None or method == "at":
            targets = [t for t in (out if out is not None else inputs[:1]) if t is not None]
            if any(type(t) is np.ndarray for t in targets) and not _engine():
                # What the step does with that array by itself would not be seen.
                self.escape("writes what it computes into a numpy array of its own")
                return function(*plain, **named)
            places = [self.ref(t) for t in targets]
            if any(type(place) is not Place for place in places):
                self.escape(f"writes into a number with {ufunc.__name__}")
                return function(*plain, **named)
            kind = "into" if method == "__call__" and len(places) == 1 and not kwargs else "do"
            whole = dict(kwargs) if out is None else {**kwargs, "out": out}
            for place in places:
                self._before(place)
            made = function(*plain, **named)
            self.note(
                kind, ufunc if kind == "into" else function, inputs, {} if kind == "into" else whole,
                places[0] if kind == "into" else None, places,
            )  # fmt: skip
            if method == "at":
                return made
            outs = [t if type(t) is Traced else Traced(t, p, self) for t, p in zip(targets, places, strict=True)]
            return outs[0] if len(outs) == 1 else tuple(outs)
        made = function(*plain, **named)
        kind = "ufunc" if method == "__call__" else "reduce" if method == "reduce" else "call"
        if kind == "ufunc" and set(kwargs) - {"dtype", "casting"}:
            kind, ufunc = "call", function
        return self.result(made, kind, function if kind == "call" else ufunc, inputs, kwargs)

    def function(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = function.__name__
        plain, named = self.plain(args), self.plain(kwargs)
        if not self.live():
            return function(*plain, **named)
        if name in OF_SHAPE:
            return function(*plain, **named)
        if name not in FUNCTIONS or (name == "where" and len(args) == 1):
            free = name in FREE_SHAPE or name == "where"
            self.escape(
                f"calls numpy.{name}, " + ("whose result's shape hangs on the values" if free else "which is not known")
            )
            return function(*plain, **named)
        if name in FREE_COUNTS and any([type(x) in (Traced, Number) for x in _flat([*args[1:], *kwargs.values()])]):
            self.escape(f"calls numpy.{name} with numbers that are values, on which the result's shape hangs")
            return function(*plain, **named)
        if name in ("copyto", "put_along_axis") and args:
            target = self.ref(args[0])
            self._before(target)
            function(*plain, **named)
            self.note("do", function, args, kwargs, None, [target])
            return None
        if kwargs.get("out") is not None:
            target = self.ref(kwargs["out"])
            self._before(target)
            function(*plain, **named)
            self.note("do", function, args, kwargs, None, [target])
            return kwargs["out"]
        made = function(*plain, **named)
        if name == "copyto" or any([made is x and name not in SAME for x in plain]):
            self.escape(f"calls numpy.{name} to write into what it is given")
            return made
        if name in ("zeros_like", "ones_like", "empty_like", "full_like") and isinstance(made, np.ndarray):
            place = Place(self._memory(made, "local"), made)
            if name != "empty_like":
                fill = args[1] if name == "full_like" else 0 if name == "zeros_like" else 1
                self.note("fill", None, (fill,), {}, place)
            return Traced(made, place, self)
        return self.result(made, "call", function, args, kwargs)

    def _before(self, target: Any) -> None:
        """Note what a constant that is to be written to holds: the next replay begins with that."""
        if type(target) is Place and target.memory.kind == "constant" and target.memory.initial is None:
            target.memory.initial = np.array(target.memory.owner)

    def getitem(self, x: Traced, index: Any) -> Any:
        plain = self.plain(index)
        made = x.value[plain]
        for item in index if type(index) is tuple else (index,):
            if not self.live():
                return made
            value = self.plain(item)
            if isinstance(value, np.ndarray) and value.dtype.kind == "b":
                if value.ndim:
                    self.escape("picks elements with a mask, and how many there are hangs on the values")
                elif type(item) is Traced:  # a mask of one takes all or nothing, as an if would
                    self.decide(item)
            elif type(item) is Traced and type(value) is not np.ndarray:
                self.escape("picks an element by the value of another")
        if not self.live():
            return made
        return self.result(made, "getitem", None, (x, index), {})

    def taken(self, table: np.ndarray, index: Any) -> Any:
        """table[index] of an array that the step made from nothing but shapes."""
        return self.getitem(Traced(table, self.ref(table), self), index)

    def setitem(self, x: Traced, index: Any, value: Any) -> None:
        if self.live():
            self._before(x.place)
        x.value[self.plain(index)] = self.plain(value)
        if self.live():
            self.note("setitem", None, (x, index, value), {}, None, [x.place])

    def method(self, x: Traced, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        made = getattr(x.value, name)(*self.plain(args), **self.plain(kwargs))
        if not self.live():
            return made
        if kwargs.get("out") is not None or (
            name in FREE_COUNTS and any([type(n) is Traced for n in _flat(args)])
        ):
            self.escape(f"calls .{name}() to write into what it is given, or with numbers that are values")
            return made
        if made is x.value:
            return x
        if name == "fill":
            self.note("fill", None, args, {}, x.place, [x.place])
            return None
        arrays = isinstance(made, np.ndarray) and isinstance(x.value, np.ndarray)
        if arrays and (
            name in ("copy", "astype", "flatten", "reshape", "ravel") and id(root(made)) not in self.memories
        ):
            return self.result(made, "copy", None, (x,), {})
        if name == "sum" and isinstance(x.value, np.ndarray):
            return self.result(
                made,
                "reduce",
                np.add,
                (x, *(args or (kwargs.get("axis"),))),
                {key: value for key, value in kwargs.items() if key != "axis"},
            )
        return self.result(made, "method", name, (x, *args), kwargs)

    def lifted(self, x: Traced) -> Any:
        """A numpy scalar as a 0-d array."""
        made = np.asarray(x.value)
        if not self.live() or isinstance(x.value, np.ndarray):
            return x if isinstance(x.value, np.ndarray) else made
        place = Place(self._memory(made, "local"), made)
        self.note("fill", None, (x,), {}, place)
        return Traced(made, place, self)

    def decide(self, x: Traced) -> bool:
        """A truth value that Python goes on by: a replay in which it is another one stops, and the step runs eagerly.

        That can be while nothing was changed yet, and so it comes before the first change, with the calls that lead to
        it. Where it hangs on what was changed, it ends the capture.
        """
        made = bool(x.value)
        if self.live():
            self.note("decide", None, (x, made), {}, None)
            earlier = before_changes(self.calls)
            if earlier is None:
                self.calls.pop()
                self.escape("decides something by a value after it changed others")
            else:
                self.calls = earlier
        return made

    # ------------------------------------------------------------------------- Python numbers, worked out anew

    def host(
        self, function: Callable[..., Any], args: tuple[Any, ...], state: Iterable[tuple[Any, Any]], changes: bool
    ) -> Any:
        """function(*args), a Python number or a tuple of them: a replay calls it again.

        state: (container, key) of the Python state that the function reads, and changes if it says so.
        """
        state = list(state)
        self.take_back(state)
        made = function(*args)
        if not self.live():
            return made
        self.handled.extend(state)
        several = type(made) is tuple
        outs = []
        for value in made if several else () if made is None else (made,):
            outs.append(Local(self.count, value))
            self.count += 1
        reads = {} if changes else {"reads": True}
        self.calls.append(Call("host", partial(function, *args), (), reads, outs, [], self.line()))
        numbers = tuple([Number(local.value, local, self) for local in outs])
        for container, key in state:
            self.lend(container, key)
        return numbers if several else numbers[0] if numbers else None

    def lend(self, container: Any, key: Any) -> None:
        """Put a Number in place of the one in this dict, which a replay reads there when the step asks for it.

        In place of a list of numbers, a list of such.
        """
        value = container.get(key)
        if type(value) in (int, float):
            self._lend(container, key, value, Number(value, None, self, (container, key)))
        elif type(value) is list and all(type(x) in (int, float) for x in value):
            numbers = [Number(x, None, self, (container, key, i)) for i, x in enumerate(value)]
            self._lend(container, key, value, numbers)

    def _lend(self, container: Any, key: Any, value: Any, given: Any) -> None:
        self.lent[id(container), key] = (container, value, given)
        self.numbers += given if type(given) is list else [given]
        container[key] = given

    def take_back(self, state: Iterable[tuple[Any, Any]] | None = None) -> None:
        """Put the plain numbers back, all or those of some (dict, key)."""
        places = [(id(container), key) for container, key in state] if state is not None else list(self.lent)
        for place in places:
            if place not in self.lent:
                continue
            container, value, given = self.lent.pop(place)
            if container.get(place[1]) is not given:
                if self.reason is None:
                    self.reason = f"it sets {place[1]!r} of an optimizer or schedule by itself"
                continue
            container[place[1]] = value
            if state is not None:
                held = getrefcount(given) > HELD
                for number in given if type(given) is list else [given]:
                    if held or (type(given) is list and getrefcount(number) > HELD):
                        number.place  # noqa: B018  # the step has it from before the change: read it now

    def read(self, number: Number) -> Local:
        """Where a replay has a number that was lent: it reads it as late as the step did."""
        container, key, *index = number.source
        local = Local(self.count, number.value)
        self.count += 1
        if self.reason is None and get_ident() == self.thread:
            self.handled.append((container, key))
            self.types.append((partial(_read, container, key, *index), type(number.value)))
            read = partial(_read, container, key, *index)
            self.calls.append(Call("host", read, (), {"reads": True}, [local], [], self.line()))
        return local


def _read(container: Any, key: Any, index: int | None = None) -> Any:
    return container[key] if index is None else container[key][index]


def same_bits(x: Any, y: Any) -> bool:
    return type(x) is type(y) and x.dtype == y.dtype and x.strides == y.strides and x.tobytes() == y.tobytes()


def _flat(x: Any) -> list[Any]:
    """What stands in lists and tuples, however deep."""
    return [one for item in x for one in _flat(item)] if type(x) in (list, tuple) else [x]


def _engine() -> bool:
    """Whether numpy was called by minigrad's own code, which goes on with what it returns."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("minigrad.compiler"):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__", "").startswith("minigrad")


def _name(function: Any) -> str:
    return function if isinstance(function, str) else getattr(function, "__name__", repr(function))
