"""The Python state that a step hangs on: what it can reach by the names that its code uses.

A captured step holds as long as all of that is as it was: numbers, flags, which Tensor stands where, which function is
called. `reach` walks from the function through its closure, globals, defaults and the objects it is bound to or was
given, but only along names that occur in code which ran, and notes each thing it meets with the place it stands in.
From that come the guard of a replay (each place still holds the very same thing) and, from two walks, what a step
changed.
"""

from __future__ import annotations

import enum
import types
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..random import Generator
from ..tensor import Tensor

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
MANY = 5000  # things in one list or dict, beyond which a step is not followed

# Modules whose own globals do not change what a step computes; objects of their classes are walked all the same.
TRUSTED = {
    "minigrad", "numpy", "viz", "builtins", "typing", "types", "functools", "contextlib", "enum", "dataclasses",
    "collections", "abc", "math", "operator",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Entry:
    """A thing in its place: `kind` says how `container` is asked for `key`."""

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
            if self.kind == "len":
                return len(self.container)
            return getattr(self.container, self.key)
        except (KeyError, IndexError, AttributeError, ValueError):
            return MISSING


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


@dataclass
class Reached:
    """What a walk met."""

    entries: list[Entry] = field(default_factory=list)
    tensors: dict[Tensor, str] = field(default_factory=dict)
    arrays: list[tuple[np.ndarray, str]] = field(default_factory=list)
    opaque: list[tuple[Any, str]] = field(default_factory=list)


def reach(roots: Iterable[tuple[Any, str]], names: set[str], dynamic: bool = False) -> Reached:
    """Walk from *roots*, (thing, what it is called) each, along the names that code which ran uses.

    dynamic: that code also looks attributes up by names that are made as it runs, so that all of an object counts.
    """
    found = Reached()
    seen: set[int] = set()
    queue = deque(roots)

    def put(kind: str, container: Any, key: Any, value: Any, path: str) -> None:
        found.entries.append(Entry(kind, container, key, value, path))
        if not isinstance(value, ATOMS):
            queue.append((value, path))

    def members(x: Any, path: str) -> None:
        held = getattr(x, "__dict__", None)
        if type(held) is dict:
            for key, value in list(held.items()):
                if dynamic or key in names or key in ("_parameters", "_buffers", "_modules"):
                    put("item", held, key, value, f"{path}.{key}")
        for cls in type(x).__mro__:
            slots = vars(cls).get("__slots__", ())
            for key in (slots,) if isinstance(slots, str) else slots:
                if key in names and hasattr(x, key):
                    put("attribute", x, key, getattr(x, key), f"{path}.{key}")
        if not _known(type(x)):
            queue.append((type(x), type(x).__name__))

    while queue:
        x, path = queue.popleft()
        if isinstance(x, ATOMS) or id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, Tensor):
            found.tensors[x] = path
            if x._extra is not None and x._extra.hooks:
                queue.append((x._extra.hooks, f"the hooks of {path}"))
        elif isinstance(x, np.ndarray):
            found.arrays.append((x, path))
        elif isinstance(x, types.FunctionType):
            if _known(x):
                continue
            for name, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
                try:
                    put("cell", cell, name, cell.cell_contents, name)
                except ValueError:
                    continue  # not filled yet
            for name in _names(x.__code__):
                if name in x.__globals__ and name in names:
                    put("item", x.__globals__, name, x.__globals__[name], name)
            put("attribute", x, "__code__", x.__code__, f"{path}.__code__")
            for key in ("__defaults__", "__kwdefaults__"):
                if getattr(x, key):
                    put("attribute", x, key, getattr(x, key), f"{path}'s defaults")
        elif isinstance(x, types.MethodType):
            queue.append((x.__func__, path))
            queue.append((x.__self__, path.rpartition(".")[0] or path))
        elif isinstance(x, partial):
            queue.extend(((x.func, path), (x.args, path), (x.keywords, path)))
        elif isinstance(x, (staticmethod, classmethod)):
            queue.append((x.__func__, path))
        elif isinstance(x, property):
            queue.extend((f, path) for f in (x.fget, x.fset) if f is not None)
        elif isinstance(x, (types.BuiltinFunctionType, types.MethodWrapperType)):
            owner = getattr(x, "__self__", None)
            if owner is not None and not isinstance(owner, (types.ModuleType, type)):
                queue.append((owner, path))
        elif isinstance(x, types.ModuleType):
            if x.__name__ == "numpy.random" or (x.__name__ == "numpy" and "random" in names):
                found.opaque.append((x, "numpy.random"))
            elif not _known_module(x.__name__):
                held = vars(x)
                for key in names & held.keys():
                    put("item", held, key, held[key], f"{path}.{key}")
        elif isinstance(x, type):
            if _known(x) or x.__module__ == "builtins":
                continue
            for cls in x.__mro__:
                if _known(cls) or cls is object or cls.__flags__ & (1 << 8):  # built in: its code is C
                    continue
                for key, value in list(vars(cls).items()):
                    if key in names or (
                        key.startswith("__") and isinstance(value, types.FunctionType) and key != "__init__"
                    ):
                        queue.append((value, f"{cls.__name__}.{key}"))
                        if not isinstance(value, types.FunctionType):
                            put("attribute", cls, key, getattr(cls, key), f"{cls.__name__}.{key}")
        elif isinstance(x, (list, tuple, deque)):
            if len(x) > MANY:
                found.opaque.append((x, path))
                continue
            if not isinstance(x, tuple):
                found.entries.append(Entry("len", x, None, len(x), f"the length of {path}"))
            for i, value in enumerate(x):
                if isinstance(x, tuple):
                    queue.append((value, f"{path}[{i}]"))
                else:
                    put("item", x, i, value, f"{path}[{i}]")
            if hasattr(x, "__dict__"):
                members(x, path)
        elif isinstance(x, dict):
            if len(x) > MANY:
                found.opaque.append((x, path))
                continue
            found.entries.append(Entry("len", x, None, len(x), f"the length of {path}"))
            for key, value in list(x.items()):
                put("item", x, key, value, f"{path}[{key!r}]" if isinstance(key, str) else f"{path}[...]")
        elif isinstance(x, (set, frozenset)):
            found.entries.append(Entry("len", x, None, len(x), f"the length of {path}"))
            queue.extend((value, path) for value in x)
        elif isinstance(x, (Generator, np.ufunc, types.CodeType)) or type(x).__module__ in ("typing", "abc"):
            continue  # a draw ends a capture by itself; the others do not change
        elif type(x).__flags__ & (1 << 9) or hasattr(x, "__dict__"):  # a class made in Python
            members(x, path)
        elif type(x).__module__.partition(".")[0] == "numpy" and not type(x).__module__.startswith("numpy.random"):
            continue
        else:
            found.opaque.append((x, path))
    return found


def _names(code: types.CodeType) -> set[str]:
    """The names of globals and attributes in a function's code, and in that of those defined in it."""
    names = set(code.co_names) | set(code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def names_of(codes: Iterable[types.CodeType]) -> set[str]:
    """All the names that this code uses."""
    found: set[str] = set()
    for code in codes:
        found |= _names(code)
    return found


def _known(x: Any) -> bool:
    module = getattr(x, "__module__", None) or ""
    return _known_module(module)


def _known_module(name: str) -> bool:
    top = name.partition(".")[0]
    return top in TRUSTED


def same(a: Any, b: Any) -> bool:
    """Whether two things are the same, or plain values that cannot be told apart."""
    return a is b or (type(a) is type(b) and isinstance(a, ATOMS) and (a == b or a != a) and repr(a) == repr(b))


class Guard:
    """Whether all that a captured step hangs on is as it was: ok() is a function written for just that."""

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
            if e.kind == "len":
                tests.append(f"len({holder}) == {e.value}")
                continue
            text = {
                "cell": f"{holder}.cell_contents",
                "item": f"{holder}[{name(e.key) if not isinstance(e.key, (str, int)) else repr(e.key)}]",
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
        source = f"def ok():\n    return (\n        {body}\n    )\n"
        exec(compile(source, "<guard of a captured step>", "exec"), scope)
        self._ok: Callable[[], bool] = scope["ok"]

    def ok(self) -> bool:
        try:
            return self._ok()
        except (KeyError, IndexError, AttributeError, ValueError, TypeError):
            return False

    def broken(self) -> list[str]:
        """What is different, in words."""
        words = []
        for e in self.entries:
            now = e.now()
            if not same(now, e.value) and not (isinstance(now, types.MethodType) and now == e.value):
                words.append(f"{e.path}: {_short(e.value)} before, {_short(now)} now")
        return words


def changes(before: Reached, after: Reached, handled: list[tuple[Any, Any]]) -> list[str]:
    """What a step changed of the state, in words; what a replay works out itself is left out."""
    own = {(id(container), key) for container, key in handled}
    words = []
    known = set()
    for e in before.entries:
        known.add((id(e.container), e.kind, _hashed(e.key)))
        if (id(e.container), e.key if isinstance(e.key, (str, int)) else None) in own:
            continue
        now = e.now()
        if not same(now, e.value) and not (isinstance(now, types.MethodType) and now == e.value):
            words.append(f"{e.path} ({_short(e.value)} before, {_short(now)} after)")
    for e in after.entries:
        if (id(e.container), e.kind, _hashed(e.key)) not in known:
            words.append(f"{e.path} ({_short(e.value)} after)")
    return words


def _hashed(key: Any) -> Any:
    return key if isinstance(key, (str, int, type(None))) else id(key)


def _short(x: Any) -> str:
    if x is MISSING:
        return "nothing"
    text = repr(x) if isinstance(x, ATOMS) else type(x).__name__
    return text if len(text) < 40 else text[:37] + "..."
