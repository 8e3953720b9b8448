"""Spans as they are recorded: what begins is pushed on its thread's stack, what ends is popped and kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from time import perf_counter_ns
from typing import Any

from ..anomaly import user_line
from ..graph import Engine, Node
from ..optim import Optimizer


class Event:
    """One span. name; cat, "cpu_op" or "user_annotation"; start and duration in nanoseconds of perf_counter_ns().

    thread: the thread's native id. shapes and dtypes: of the inputs, and None where that was not asked for. bytes: new
    memory of the output, where asked for. number: of the node in creation order, on the op that made it and on its rule
    in the backward pass. stack: the line of the user's code, where asked for. args: what record_function was given.
    children: the time of the spans inside.
    """

    __slots__ = (
        "args", "bytes", "cat", "children", "dtypes", "duration", "key", "name", "number", "shapes", "stack", "start",
        "thread",
    )  # fmt: skip

    def __init__(self, name: str, cat: str, key: Any) -> None:
        self.name, self.cat, self.key = name, cat, key
        self.thread = 0
        self.duration = self.children = self.bytes = 0
        self.shapes: list[Any] | None = None
        self.dtypes: list[str] | None = None
        self.number: int | None = None
        self.stack: str | None = None
        self.args: str | None = None
        self.start = 0

    @property
    def self_duration(self) -> int:
        """The duration without the spans inside."""
        return self.duration - self.children

    def __repr__(self) -> str:
        return f"<Event {self.name} {self.duration / 1e3:.3f}us>"


class Recorder:
    """What listens while a profile is on: the engine's hooks, and the two functions around them."""

    active: Recorder | None = None
    switch = threading.Lock()

    def __init__(self, record_shapes: bool, profile_memory: bool, with_stack: bool) -> None:
        self.shapes, self.memory, self.stacks = record_shapes, profile_memory, with_stack
        self.events: list[Event] = []
        self._local = threading.local()
        self._undo: list[tuple[Any, str, Any]] = []

    # ------------------------------------------------------------------------------- on and off

    def start(self) -> None:
        """Listen. RuntimeError where another profile is on."""
        from .. import autograd

        with Recorder.switch:
            if Recorder.active is not None:
                raise RuntimeError("another profile is on: stop it first, there is one at a time")
            Recorder.active = self
            self._before = Engine.observe, Engine.check
            Engine.begin, Engine.observe, Engine.check = self.begin, self._observe, self._check
            self._wrap(autograd, "walk", lambda *args: "backward")
            self._wrap(autograd, "accumulate_leaves", lambda *args: "AccumulateGrad")
            self._wrap(Optimizer, "step", lambda o, *args: f"Optimizer.step#{type(o).__name__}.step")
            self._wrap(Optimizer, "zero_grad", lambda o, *args: f"Optimizer.zero_grad#{type(o).__name__}.zero_grad")

    def stop(self) -> None:
        """Everything as before; a span that is still open is not kept."""
        with Recorder.switch:
            if Recorder.active is not self:
                return
            Recorder.active = None
            Engine.begin = None
            Engine.observe, Engine.check = self._before
            for owner, name, was in reversed(self._undo):
                setattr(owner, name, was)
            self._undo.clear()

    def _wrap(self, owner: Any, name: str, title: Callable[..., str]) -> None:
        """Put a span around a function for as long as this listens."""
        function = getattr(owner, name)

        @wraps(function)
        def spanned(*args: Any, **kwargs: Any) -> Any:
            said = title(*args)
            self.begin(said, said)
            try:
                return function(*args, **kwargs)
            finally:
                self.end(said)

        self._undo.append((owner, name, function))
        setattr(owner, name, spanned)

    # ------------------------------------------------------------------------------- spans

    def stack(self) -> list[Event]:
        """The spans that are open in this thread."""
        try:
            return self._local.stack  # type: ignore[no-any-return]
        except AttributeError:
            self._local.stack = []
            self._local.thread = threading.get_native_id()
            return self.stack()

    def begin(self, key: Any, name: str | None = None, cat: str = "user_annotation") -> None:
        """A span begins. key: what end() will say, an op, a Node or a text."""
        if name is None:
            name, cat = (repr(key)[1:-1] if type(key) is Node else key.__name__.lower()), "cpu_op"
        event = Event(name, cat, key)
        self.stack().append(event)
        event.start = perf_counter_ns()  # the last thing here, and the first in end(): what is between is not ours

    def end(self, key: Any) -> Event | None:
        """The innermost open span of this key is over; those inside that an error left open are dropped."""
        now = perf_counter_ns()
        stack = self.stack()
        i = len(stack) - 1
        while i >= 0 and stack[i].key is not key:
            i -= 1
        if i < 0:
            return None
        event = stack[i]
        del stack[i:]
        event.duration, event.thread, event.key = now - event.start, self._local.thread, None
        if stack:
            stack[-1].children += event.duration
        self.events.append(event)
        return event

    def _observe(self, op: Any, arrays: list[Any], result: Any, settings: dict[str, Any], inputs: Any) -> None:
        event = self.end(op)
        if event is not None:
            if result._node is not None:
                event.number = result._node.seq
            self._describe(event, arrays, result.array)
        if self._before[0] is not None:  # a mode around this one looks on as well
            self._before[0](op, arrays, result, settings, inputs)

    def _check(self, node: Node, dout: Any, gradients: Any) -> None:
        event = self.end(node)
        if event is not None:
            event.number = node.seq
            self._describe(event, [dout], *gradients)
        if self._before[1] is not None:
            self._before[1](node, dout, gradients)

    def _describe(self, event: Event, inputs: list[Any], *made: Any) -> None:
        if self.shapes:
            event.shapes = [list(getattr(x, "shape", ())) for x in inputs]
            event.dtypes = [str(getattr(x, "dtype", type(x).__name__)) for x in inputs]
        if self.memory:
            arrays = [getattr(x, "array", x) for x in made if x is not None]
            event.bytes = sum(x.nbytes for x in arrays if getattr(x, "base", None) is None)
        if self.stacks:
            event.stack = user_line()


class record_function:
    """A span of one's own, as a context manager or decorator: `with record_function("forward"):`.

    Does nothing while no profile is on. args: a text that stands beside it in the trace.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.profiler.record_function.html
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a span's name is a text, got {type(name).__name__}")
        self.name, self.args = name, args
        self._open: list[tuple[Recorder, Any]] = []

    def __enter__(self) -> record_function:
        recorder = Recorder.active
        if recorder is not None:
            key = object()
            recorder.begin(key, self.name)
            self._open.append((recorder, key))
        return self

    def __exit__(self, *error: object) -> None:
        if self._open:
            recorder, key = self._open.pop()
            event = recorder.end(key)
            if event is not None and self.args is not None:
                event.args = self.args

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def spanned(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.name, self.args):
                return function(*args, **kwargs)

        return spanned


def process() -> int:
    """The number of this process, for the trace."""
    return os.getpid()
