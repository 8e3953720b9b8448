"""Where the time of a step goes: each op and each rule's backward as a span, by torch.profiler's names.

    with mg.profiler.profile() as prof:
        step()
    print(prof.key_averages().table(sort_by="self_cpu_time_total"))
    prof.export_chrome_trace("trace.json")  # for ui.perfetto.dev, speedscope.app or chrome://tracing

Source: https://docs.pytorch.org/docs/stable/profiler.html
"""

from .averages import EventAverage as EventAverage, EventList as EventList
from .events import Event as Event, record_function as record_function
from .profile import (
    ProfilerAction as ProfilerAction,
    ProfilerActivity as ProfilerActivity,
    profile as profile,
    schedule as schedule,
)

__all__ = [
    "profile", "record_function", "schedule", "ProfilerAction", "ProfilerActivity", "Event", "EventAverage",
    "EventList",
]  # fmt: skip
