"""The Python state that a step hangs on, thing by thing in its place, as the walk (walk.py) notes it.

A captured step holds as long as all of that is as it was: numbers, flags, which Tensor stands where, which function is
called. From it come the guard of a replay (each place still holds the very same thing) and, from two walks, what a step
changed.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .walk import Reached

ATOMS = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(None),
    type(Ellipsis),
    range,
    slice,
    np.dtype,
    np.generic,
    enum.Enum,
)


# What is noted of a container as a whole.
WHOLE: dict[str, Callable[[Any], Any]] = {"len": len, "order": list, "set": frozenset}


@dataclass(frozen=True, eq=False)
class Entry:
    """A thing in its place: `kind` says how `container` is asked for `key`.

    "cell", "item", "attribute": what is there; "absent" (of a dict), "unset" (of an object): that nothing is; "len",
    "order", "set": how many things a container has, in which order its keys stand, which they are.
    """

    kind: str
    container: Any
    key: Any
    value: Any
    path: str

    def now(self) -> Any:
        """What stands there now; MISSING if nothing does."""
        try:
            if self.kind == "cell":
                return self.container.cell_contents
            if self.kind == "item":
                return self.container[self.key]
            if self.kind in WHOLE:
                return WHOLE[self.kind](self.container)
            if self.kind == "absent":
                return self.container.get(self.key, MISSING)
            return getattr(self.container, self.key)
        except (KeyError, IndexError, AttributeError, ValueError):
            return MISSING

    def holds(self, now: Any) -> bool:
        """Whether what now() gave is what was there."""
        if self.kind in ("order", "set") or isinstance(now, types.MethodType):
            return type(now) is type(self.value) and now == self.value
        return same(now, self.value)


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


def same(a: Any, b: Any) -> bool:
    """Whether two things are the same, or plain values that cannot be told apart."""
    return a is b or (type(a) is type(b) and isinstance(a, ATOMS) and (a == b or a != a) and repr(a) == repr(b))


class Guard:
    """Whether all that a captured step hangs on is as it was: ok() is a function written for just that."""

    ok: Callable[[], bool]

    def __init__(self, entries: list[Entry], more: list[tuple[str, dict[str, Any]]] = ()) -> None:  # type: ignore[assignment]
        self.entries = entries
        self.more = list(more)
        self._write()

    def _write(self) -> None:
        scope: dict[str, Any] = {}
        names: dict[int, str] = {}

        def name(x: Any) -> str:
            if id(x) not in names:
                names[id(x)] = f"o{len(names)}"
                scope[names[id(x)]] = x
            return names[id(x)]

        tests = []
        for e in self.entries:
            holder = name(e.container)
            test = {
                "len": f"len({holder}) == {e.value!r}",
                "order": f"[*{holder}] == {e.value!r}",
                "set": f"{holder} == {name(e.value)}",
                "absent": f"{e.key!r} not in {holder}",
                "unset": f"not hasattr({holder}, {e.key!r})",
            }.get(e.kind)
            if test is not None:
                tests.append(test)
                continue
            text = {
                "cell": f"{holder}.cell_contents",
                "item": f"{holder}[{repr(e.key) if type(e.key) in (str, int) else name(e.key)}]",
            }.get(e.kind, f"{holder}.{e.key}")
            if isinstance(e.value, types.MethodType):
                tests.append(f"{text} == {name(e.value)}")
            elif type(e.value) in (int, float, str) and not (
                type(e.value) is float and (e.value != e.value or e.value == 0)
            ):
                scope["V"] = type(e.value)
                kind = name(type(e.value))
                tests.append(f"((v := {text}) is {name(e.value)} or v == {name(e.value)} and type(v) is {kind})")
            else:
                tests.append(f"{text} is {name(e.value)}")
        for text, given in self.more:
            for key, value in given.items():
                text = text.replace("{" + key + "}", name(value))
            tests.append(text)
        body = "\n        and ".join(tests) or "True"
        # As defaults what is compared lies side by side in the frame, and need not be looked up by name.
        parameters = ", ".join(f"{key}={key}" for key in scope)
        source = (
            f"def ok({parameters}):\n    try:\n        return (\n        {body}\n        )\n"
            "    except (KeyError, IndexError, AttributeError, ValueError, TypeError):\n        return False\n"
        )
        exec(compile(source, "<guard of a captured step>", "exec"), scope)
        self.ok = scope.pop("ok")

    def broken(self) -> list[str]:
        """What is different, in words."""
        words = []
        for e in self.entries:
            now = e.now()
            if not e.holds(now):
                words.append(f"{e.path}: {_short(e.value)} before, {_short(now)} now")
        return words


def owned(reached: Reached, handled: list[tuple[Any, Any]]) -> set[int]:
    """The ids of the entries that a replay works out itself: *handled*, and what a list that stands there holds."""
    own = {(id(container), key) for container, key in handled}
    found, lists = set(), set()
    for e in reached.entries:
        if isinstance(e.key, (str, int)) and (id(e.container), e.key) in own:
            found.add(id(e))
            lists.add(id(e.value))
    return found | {id(e) for e in reached.entries if id(e.container) in lists}


def changes(before: Reached, after: Reached, handled: list[tuple[Any, Any]]) -> list[str]:
    """What a step changed of the state, in words; what a replay works out itself is left out."""
    own = owned(before, handled) | owned(after, handled)
    words = []
    known = set()
    for e in before.entries:
        known.add((id(e.container), e.kind, _hashed(e.key)))
        if id(e) not in own and not e.holds(now := e.now()):
            words.append(f"{e.path} ({_short(e.value)} before, {_short(now)} after)")
    for e in after.entries:
        if id(e) not in own and (id(e.container), e.kind, _hashed(e.key)) not in known:
            words.append(f"{e.path} ({_short(e.value)} after)")
    return words


def _hashed(key: Any) -> Any:
    return key if isinstance(key, (str, int, type(None))) else id(key)


def _short(x: Any) -> str:
    if x is MISSING:
        return "nothing"
    text = repr(x) if isinstance(x, ATOMS) else type(x).__name__
    return text if len(text) < 40 else text[:37] + "..."
