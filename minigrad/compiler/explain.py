"""explain: what became of a compiled step, in words."""

from __future__ import annotations

from .compiled import Captured, Compiled


class Explanation:
    """captures: how often the step is captured; replays, eager_runs; reasons: why runs were not captured; `calls`,
    `chains`, `planned` and `separate`: of the newest capture, as its text says. str() of it tells all of that."""

    def __init__(self, step: Compiled) -> None:
        self.name = getattr(step, "__qualname__", repr(step.function))
        self.backend = step.backend
        self.captures = len(step.captured)
        self.replays = sum(captured.runs for captured in step.captured)
        self.eager_runs = step.eager_runs
        self.reasons = list(step.reasons)
        self.given_up = step.given_up
        self._captured = list(step.captured)
        report = step.captured[0].plan.report if step.captured else None
        self.calls = report.calls if report else 0
        self.chains = list(report.chains) if report else []
        self.planned = report.planned if report else 0
        self.separate = report.separate if report else 0

    @property
    def source(self) -> str:
        """The newest capture's replay as Python, each line with the line of the step that it is from."""
        if not self._captured:
            return ""
        lines, report = [], self._captured[0].plan.report
        last = None
        for text, where in report.lines:
            note = f"{where[0].rpartition('/')[2]}:{where[1]}" if where and where != last else ""
            lines.append(f"{text:60s}  # {note}" if note else text)
            last = where
        return "\n".join(lines)

    def __str__(self) -> str:
        runs = f"{_times(self.replays, 'replay')}, {_times(self.eager_runs, 'eager run')}"
        lines = [f"{self.name}, backend {self.backend}: {runs}"]
        if self.given_up:
            lines.append(f"  runs eagerly: {self.given_up}")
        elif not self.captures:
            lines.append(
                "  not captured yet"
                + ("" if self.reasons else ": it is watched in its first call and captured in the next")
            )
        lines += [f"  not captured: {reason}" for reason in self.reasons if reason != self.given_up]
        for captured in self._captured:
            lines += _about(captured)
        return "\n".join(lines)

    __repr__ = __str__


def _about(captured: Captured) -> list[str]:
    report = captured.plan.report
    saved = 1 - report.planned / report.separate if report.separate else 0.0
    lines = [
        f"  captured for {captured.structure.words()}: {_times(captured.runs, 'replay')}",
        f"    {report.calls} calls (the step made {report.recorded} numpy calls beside its Python)",
        f"    memory: {_bytes(report.planned)} laid out once, in place of {_bytes(report.separate)} a step"
        + (f" ({saved:.0%} saved)" if saved > 0 else ""),
    ]
    if report.chains:
        lines.append(f"    fused: {_times(len(report.chains), 'chain')} of elementwise calls, each in one place:")
        lines += ["      " + " > ".join(chain) for chain in report.chains]
    lines += [f"    {line}" for line in report.notes]
    lines.append(f"    looked at before each replay: {len(captured.guard.entries) + len(captured.guard.more)} things")
    return lines


def _times(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _bytes(n: int) -> str:
    size = float(n)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
