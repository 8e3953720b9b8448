"""Compiled: the step that minigrad.compile returns, which replays what was captured of it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from ..graph import Engine
from ..ops.numpy1 import OLD
from .capture import CaptureError
from .capturing import capture_run, look
from .replay import Captured
from .source import Different
from .structure import Structure
from .walk import METHODS, Code

LIMIT = 8  # captures kept of one function, as many as torch keeps
KEPT = 8  # objects without a __dict__ of which a compiled method keeps captures, and so the objects
# numpy 1.26 chooses the dtype of a 0-d result by its value, and a replay's last bits could be other ones.
NEEDS = "numpy 2 is needed, older ones work out numbers in other dtypes than a capture can follow" if OLD else None
TRIES = 4  # runs with arguments of one kind that may fail to be captured before the function is left to run eagerly
_one_at_a_time = threading.RLock()  # captures put traced arrays into Tensors for a while: one in a process
_methods_lock = threading.RLock()


class Compiled:
    """A step that replays itself. Called as the function it was made of; see minigrad.compile."""

    # Slots, so that no attribute of the function can stand in their place.
    __slots__ = (
        "__dict__", "__weakref__", "_code", "_failed", "_lock", "_others", "backend", "captured", "eager_runs",
        "fullgraph", "function", "given_up", "reasons",
    )  # fmt: skip

    def __init__(self, function: Callable[..., Any], fullgraph: bool, backend: str) -> None:
        self.function, self.fullgraph, self.backend = function, fullgraph, backend
        self.captured: list[Captured] = []
        self.reasons: list[str] = []  # why runs were not captured
        self.given_up: str | None = NEEDS
        self.eager_runs = 0
        self._failed: dict[Any, int] = {}
        self._code: Code | None = None
        self._lock = threading.RLock()
        self._others: dict[int, Methods] = {}  # by id; of objects that have no __dict__ to keep them in
        update_wrapper(self, function, updated=())

    def __getattr__(self, name: str) -> Any:
        """The attributes of the function."""
        if name.startswith("__") and name not in getattr(self.function, "__dict__", ()):  # not how to copy it and such
            raise AttributeError(f"a compiled step has no {name}")
        return getattr(self.function, name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A compiled method: each object has a captured step of its own, kept in the object."""
        if instance is None or not hasattr(type(self.function), "__get__"):
            return self
        with _methods_lock:
            bound = self._methods(instance).steps.get(self)
            if bound is None:
                bound = Compiled(self.function.__get__(instance, owner), self.fullgraph, self.backend)
                self._methods(instance).steps[self] = bound
        return bound

    def _methods(self, instance: Any) -> Methods:
        held = getattr(instance, "__dict__", None)
        if type(held) is dict:
            # A capture holds its object: only the object itself may hold the capture, or neither is ever freed.
            methods = held.get(METHODS)
            if methods is None or methods.owner is not instance:
                methods = held[METHODS] = Methods(instance)
            return methods
        methods = self._others.pop(id(instance), None) or Methods(instance)
        self._others[id(instance)] = methods
        if len(self._others) > KEPT:
            del self._others[next(iter(self._others))]  # the one not called for longest
        return methods

    def __reduce__(self) -> Any:
        """A copy, or what is pickled, is compiled anew; a function of a module is found by its name."""
        name = getattr(self, "__qualname__", None)
        try:
            found: Any = sys.modules[self.__module__]
            for part in (name or "").split("."):
                found = getattr(found, part)
        except (AttributeError, KeyError):
            found = None
        return name if found is self else (_again, (self.function, self.fullgraph, self.backend))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            if Engine.check is None and Engine.observe is None and Engine.capture is None:
                for captured in self.captured:
                    if captured.structure.fits(args, kwargs) and captured.guard.ok():
                        if captured.taken():
                            self.captured.remove(captured)  # its memory is left to who holds it
                            break
                        return self._replay(captured, args, kwargs)
                if self.given_up is None:
                    return self._run(args, kwargs)
            self.eager_runs += 1
            return self.function(*args, **kwargs)

    def reset(self) -> None:
        """Forget all captures and reasons: the next calls are as the first."""
        with self._lock:
            self.captured.clear()
            self.reasons.clear()
            self._failed.clear()
            self.given_up, self._code = NEEDS, None

    def _replay(self, captured: Captured, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return captured.run(args, kwargs)
        except Exception as error:
            line = _line_of(error)
            if line >= captured.plan.mutates_from and not isinstance(error, Different):
                where = captured.plan.where(line)
                if where:
                    error.add_note(f"in a replay of {where[2]}, {where[0]}, line {where[1]}")
                raise
            failed = None if isinstance(error, Different) else f"{type(error).__name__}: {error}"
        # Nothing was changed yet: the step as it is written goes another way now, or fails in the user's own line.
        self.eager_runs += 1
        result = self.function(*args, **kwargs)
        if failed is not None:
            self.captured.remove(captured)
            self.given_up = f"its replay failed where the step as it is written does not: {failed}"
        return result

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the step as it is written, and capture it if that can be."""
        self.eager_runs += 1
        if len(self.captured) >= LIMIT:
            self._give_up(
                f"it was captured {LIMIT} times and what it is called with or hangs on is new again; against the last "
                f"capture: {'; '.join(self.captured[-1].guard.broken()[:3]) or 'other arguments'}"
            )
            return self.function(*args, **kwargs)
        with _one_at_a_time:
            if self._code is None:
                result, self._code, reason = look(self.function, args, kwargs)
                captured = None
            else:
                result, captured, reason = capture_run(
                    self.function, args, kwargs, self._code, self.fullgraph, self.backend
                )
        if captured is not None:
            self.captured.insert(0, captured)
            self._failed.clear()
        elif reason is not None:
            self._refused(reason, args, kwargs)
        return result

    def _refused(self, reason: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note why a run was not captured; after some the function is left eager."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        key = Structure(args, kwargs).key
        self._failed[key] = self._failed.get(key, 0) + 1
        if self.fullgraph or self._failed[key] >= TRIES:
            self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self.given_up = reason
        if self.fullgraph:
            name = getattr(self.function, "__qualname__", "the step")
            raise CaptureError(f"{name} cannot be captured: {reason}. The run itself is done; see fullgraph=False")


class Methods:
    """The captured steps of the compiled methods of an object, `owner`. A copy of the object starts with none."""

    __slots__ = ("owner", "steps")

    def __init__(self, owner: Any = None) -> None:
        self.owner = owner
        self.steps: dict[Compiled, Compiled] = {}  # by what stands in the class

    def __reduce__(self) -> Any:
        return Methods, ()


def _again(function: Any, fullgraph: bool, backend: str) -> Compiled:
    return function if isinstance(function, Compiled) else Compiled(function, fullgraph, backend)


def _line_of(error: BaseException) -> int:
    """The line of the replay in which an error came."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("<captured step"):
            return trace.tb_lineno
        trace = trace.tb_next
    return 0
