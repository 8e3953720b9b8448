"""Spans summed by name, and their table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .events import Event

SORTS = ("cpu_time", "cpu_time_total", "self_cpu_time_total", "cpu_memory_usage", "count")


class EventAverage:
    """All spans of one name (and shapes, where grouped by them): key, count, and times in microseconds."""

    def __init__(self, key: str, shapes: list[Any] | None) -> None:
        self.key, self.input_shapes = key, shapes
        self.count = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = 0

    @property
    def cpu_time(self) -> float:
        """Microseconds a call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def add(self, event: Event) -> None:
        """One more."""
        self.count += 1
        self.cpu_time_total += event.duration / 1e3
        self.self_cpu_time_total += event.self_duration / 1e3
        self.cpu_memory_usage += event.bytes

    def __repr__(self) -> str:
        return (
            f"<EventAverage key={self.key} self_cpu_time={_time(self.self_cpu_time_total)} "
            f"cpu_time={_time(self.cpu_time)} count={self.count}>"
        )


class EventList(list[EventAverage]):
    """What key_averages() returns."""

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_name_column_width: int = 55,
        header: str | None = None,
    ) -> str:
        """The averages as text. sort_by: one of cpu_time, cpu_time_total, self_cpu_time_total, cpu_memory_usage, count;
        None: in the order in which they came. row_limit -1: all. ValueError for another sort_by.
        """
        if sort_by is not None and sort_by not in SORTS:
            raise ValueError(f"sort_by is {sort_by!r}, but it must be one of {', '.join(SORTS)}")
        rows: Iterable[EventAverage] = self
        if sort_by is not None:
            rows = sorted(self, key=lambda row: -getattr(row, sort_by))
        rows = list(rows)[: row_limit if row_limit >= 0 else None]
        total = sum(row.self_cpu_time_total for row in self)
        with_shapes = any(row.input_shapes is not None for row in self)
        with_memory = any(row.cpu_memory_usage for row in self)
        head = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        head += ["CPU Mem"] * with_memory + ["# of Calls"] + ["Input Shapes"] * with_shapes
        lines = [head]
        for row in rows:
            name = row.key
            if len(name) > max_name_column_width:
                name = name[: max_name_column_width - 3] + "..."
            line = [name, _share(row.self_cpu_time_total, total), _time(row.self_cpu_time_total)]
            line += [_share(row.cpu_time_total, total), _time(row.cpu_time_total), _time(row.cpu_time)]
            line += [_memory(row.cpu_memory_usage)] * with_memory + [str(row.count)]
            line += [str(row.input_shapes)] * with_shapes
            lines.append(line)
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        rule = "  ".join("-" * width for width in widths)
        text = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        parts = [rule, text[0], rule, *text[1:], rule, f"Self CPU time total: {_time(total)}"]
        return "\n".join(([header] if header else []) + parts) + "\n"

    def __str__(self) -> str:
        return self.table()


def averages(events: Iterable[Event], by_shapes: bool = False) -> EventList:
    """The spans summed by name, in the order in which each name came first."""
    found: dict[Any, EventAverage] = {}
    for event in sorted(events, key=lambda event: event.start):
        shapes = event.shapes if by_shapes else None
        key = event.name, str(shapes)
        found.setdefault(key, EventAverage(event.name, shapes)).add(event)
    return EventList(found.values())


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "-"


def _time(us: float) -> str:
    for scale, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= scale:
            return f"{us / scale:.3f}{unit}"
    return f"{us:.3f}us"


def _memory(size: float) -> str:
    for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= scale:
            return f"{size / scale:.2f} {unit}"
    return f"{size:.0f} B"
