"""The recording modes: whether ops are recorded for a backward(), in this thread or asyncio task."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

_recording: ContextVar[bool] = ContextVar("minigrad_recording", default=True)


def is_grad_enabled() -> bool:
    """Whether ops are recorded in this thread (or asyncio task)."""
    return _recording.get()


class _Mode:
    """A recording mode as context manager and decorator; one instance may be entered again while it is active."""

    mode = True

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        mode = super().__new__(cls)
        mode._previous = []
        return mode if function is None else mode(function)  # torch takes a bare @no_grad as well

    _previous: list[bool]

    def __enter__(self) -> None:
        self._previous.append(_recording.get())
        _recording.set(self.mode)

    def __exit__(self, *error: object) -> None:
        _recording.set(self._previous.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def in_mode(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return in_mode


class no_grad(_Mode):
    """Nothing is recorded inside: `with no_grad():` or `@no_grad()`. Holds for this thread and asyncio task."""

    mode = False


class inference_mode(no_grad):
    """no_grad by torch's other name; inference_mode(False) records. What is made in it may be used in a graph later."""

    def __new__(cls, mode: Any = True) -> Any:
        if not isinstance(mode, bool):
            return super().__new__(cls, mode)
        return super().__new__(cls) if mode else enable_grad()


class enable_grad(_Mode):
    """Ops are recorded inside, also within no_grad: `with enable_grad():` or `@enable_grad()`."""

    mode = True


class set_grad_enabled:
    """Switch recording on or off: at once, or as a context manager until its end."""

    def __init__(self, mode: bool) -> None:
        self._previous = _recording.get()
        _recording.set(bool(mode))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _recording.set(self._previous)
