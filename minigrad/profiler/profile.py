"""profile: a time during which spans are recorded, the steps that it is divided into, and its trace as a file."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from .averages import EventList, averages
from .events import Event, Recorder, process


class ProfilerActivity(Enum):
    """What can be recorded: what the CPU does."""

    CPU = 0


class ProfilerAction(Enum):
    """What a schedule says of a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0
) -> Callable[[int], ProfilerAction]:
    """Which steps are recorded: after skip_first ones, again and again, `wait` not, `warmup` not, `active` ones are.

    repeat: how many such rounds; 0: without end. ValueError for a negative number or active below 1.
    Source: https://docs.pytorch.org/docs/stable/profiler.html#torch.profiler.schedule
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError(
            f"wait={wait}, warmup={warmup}, active={active}, repeat={repeat}, skip_first={skip_first}: none may be "
            "negative, and active must be 1 at least"
        )
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0 or (repeat and step >= repeat * length):
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


class profile:
    """`with profile() as prof:` records a span for each op, forward and backward, each optimizer's step, and each
    record_function inside; of all threads.

    activities: [ProfilerActivity.CPU], or None for that. schedule: which steps to record, where prof.step() is called
    after each (see schedule()); without one all is recorded. on_trace_ready: called with the profile when a round of
    the schedule, or the whole, is done. record_shapes: the inputs' shapes and dtypes with each span. profile_memory:
    the bytes of new arrays. with_stack: the line of the user's code. A step of minigrad.compile() runs eagerly while it
    is profiled. RuntimeError where another profile is on.
    Source: https://docs.pytorch.org/docs/stable/profiler.html#torch.profiler.profile
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
    ) -> None:
        unknown = [a for a in activities or () if a is not ProfilerActivity.CPU]
        if unknown:
            raise ValueError(f"activities has {unknown[0]!r}, but there is ProfilerActivity.CPU alone")
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self._settings = record_shapes, profile_memory, with_stack
        self._recorder: Recorder | None = None
        self._events: list[Event] = []
        self._step: str | None = None
        self.step_num = 0

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; as entering it."""
        self._events = []
        self.step_num = 0
        self._go(self._action(0))

    def stop(self) -> None:
        """End; as leaving it. The trace is ready if anything was recorded since it was last."""
        if self._recorder is not None:
            self._halt()
            self._ready()

    def step(self) -> None:
        """The next step begins: what the schedule says of it is done."""
        done = self._action(self.step_num)
        self.step_num += 1
        following = self._action(self.step_num)
        recorder = self._recorder
        if recorder is not None:
            if self._step is not None:
                recorder.end(self._step)
            if done is ProfilerAction.RECORD_AND_SAVE or following.value < ProfilerAction.RECORD.value:
                self._halt()
                self._ready()
        self._go(following)

    def _action(self, step: int) -> ProfilerAction:
        return ProfilerAction.RECORD if self.schedule is None else self.schedule(step)

    def _go(self, action: ProfilerAction) -> None:
        if action.value < ProfilerAction.RECORD.value:
            return
        if self._recorder is None:
            recorder = Recorder(*self._settings)
            recorder.start()
            self._recorder, self._events = recorder, recorder.events
        if self.schedule is not None or self.step_num:
            self._step = f"ProfilerStep#{self.step_num}"
            self._recorder.begin(self._step, self._step)

    def _halt(self) -> None:
        assert self._recorder is not None
        if self._step is not None:
            self._recorder.end(self._step)
        self._recorder.stop()
        self._recorder = self._step = None

    def _ready(self) -> None:
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    # ------------------------------------------------------------------------------- what was recorded

    def events(self) -> list[Event]:
        """The spans recorded last, by their start."""
        return sorted(self._events, key=lambda event: event.start)

    def key_averages(self, group_by_input_shape: bool = False) -> EventList:
        """The spans summed by name; with group_by_input_shape (and record_shapes) by name and shapes."""
        return averages(self._events, group_by_input_shape)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the spans as a Chrome trace (JSON; packed where the name ends in .gz), with an arrow from each op to
        its rule in the backward pass. ui.perfetto.dev, speedscope.app and chrome://tracing read it.

        Source: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (Trace Event Format)
        """
        text = json.dumps({"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": list(self._trace())})
        path = os.fspath(path)
        if path.endswith(".gz"):
            with gzip.open(path, "wt", encoding="utf-8") as packed:
                packed.write(text)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)

    def _trace(self) -> Iterable[dict[str, Any]]:
        pid = process()
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        events = self.events()
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": "minigrad"}}
        for tid in dict.fromkeys(event.thread for event in events):
            name = names.get(tid) or f"thread {tid}"
            yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}
        origin = events[0].start if events else 0
        made: dict[int, Event] = {}
        for event in events:
            where = {"pid": pid, "tid": event.thread, "ts": (event.start - origin) / 1e3}
            args: dict[str, Any] = {}
            if event.shapes is not None:
                args |= {"Input Dims": event.shapes, "Input type": event.dtypes}
            if event.bytes:
                args["Bytes"] = event.bytes
            if event.stack is not None:
                args["Call stack"] = event.stack
            if event.args is not None:
                args["Args"] = event.args
            # No number of the op here: speedscope takes spans with the same name and args for the same frame.
            span = {"ph": "X", "cat": event.cat, "name": event.name, **where, "dur": event.duration / 1e3}
            yield span | ({"args": args} if args else {})
            if event.number is None:
                continue
            start = made.setdefault(event.number, event)
            if start is not event:  # the rule of an op that was recorded as well
                arrow = {"cat": "fwdbwd", "name": "fwdbwd", "id": event.number, "pid": pid}
                yield {"ph": "s", **arrow, "tid": start.thread, "ts": (start.start - origin) / 1e3}
                yield {"ph": "f", "bp": "e", **arrow, "tid": event.thread, "ts": (event.start - origin) / 1e3}
