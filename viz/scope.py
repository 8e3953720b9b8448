"""The groups of a graph: `with viz.scope("batchnorm"):`, and each Module that is called.

While a scope is open the engine tells of each op that ran (the hook that anomaly mode has too), and its node is noted
beside the graph. Of a Module the call alone is noted, at the node it returns: nodes are numbered as they are made, so
what ran in between is known from where the numbers began. Both tables let go of nodes with the graph.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from minigrad import Tensor
from minigrad.graph import Engine, Node, next_number
from minigrad.nn import Module
from minigrad.ops import Part

__all__ = ["Call", "Group", "paths", "scope"]


class Group:
    """One entry of a scope. Entered twice, a scope is two groups of one name. `start`: the number it began at."""

    __slots__ = ("module", "name", "parent", "start")

    def __init__(self, name: str, module: Module | None, parent: Group | None) -> None:
        self.name, self.module, self.parent, self.start = name, module, parent, next_number()

    def path(self) -> list[Group]:
        """From the outermost group to this one."""
        path: list[Group] = []
        group: Group | None = self
        while group is not None:
            path.append(group)
            group = group.parent
        return path[::-1]


class Call:
    """One call of a Module: what was made after number `start`, up to the node that it is noted at."""

    __slots__ = ("module", "start")

    def __init__(self, module: Module, start: int) -> None:
        self.module, self.start = module, start


_current: ContextVar[Group | None] = ContextVar("viz_scope", default=None)
_group_of: WeakKeyDictionary[Node, Group] = WeakKeyDictionary()
_calls: WeakKeyDictionary[Node, list[Call]] = WeakKeyDictionary()
_lock = threading.Lock()
_open = 0
_before: Any = None


class scope:
    """A group of the graph: what is recorded inside is drawn as one cluster, or as one box where it is collapsed.

    name: a string, or a Module, which is then called by its class's name. Each Module that is called is a group by
        itself, by its name in the Module that it belongs to. Scopes nest; one may be entered again.
    Raises TypeError for another kind of name, ValueError for an empty one.
    """

    def __init__(self, name: str | Module) -> None:
        if not isinstance(name, (str, Module)):
            raise TypeError(f"a scope is named by a string or a Module, not {type(name).__name__}")
        if name == "":
            raise ValueError("a scope needs a name: viz.scope('batchnorm')")
        self.name = name if isinstance(name, str) else type(name).__name__
        self.module = None if isinstance(name, str) else name
        self._tokens: list[Any] = []

    def __enter__(self) -> scope:
        self._tokens.append(_current.set(Group(self.name, self.module, _current.get())))
        _watch(+1)
        return self

    def __exit__(self, *error: object) -> None:
        _watch(-1)
        _current.reset(self._tokens.pop())


def _watch(change: int) -> None:
    """Ask the engine for its ops with the first scope, and leave it alone after the last."""
    global _open, _before
    with _lock:
        _open += change
        if _open == 1 and change == 1 and Engine.observe is not _observe:
            _before = Engine.observe
            Engine.observe = _observe
        elif _open == 0 and Engine.observe is _observe:
            Engine.observe, _before = _before, None


def _observe(op: Any, arrays: Any, result: Any, settings: Any, inputs: Any) -> None:
    group = _current.get()
    if group is not None and result._node is not None:
        _group_of[result._node] = group
        if result._node.op is Part:  # the op that split is recorded before its parts, and not told of
            _group_of.setdefault(result._node.inputs[0], group)
    if _before is not None:
        _before(op, arrays, result, settings, inputs)


def _called(module: Module, start: int, result: Any) -> None:
    """Note a call at each node that it made and returned."""
    for part in (result,) if isinstance(result, Tensor) else result if isinstance(result, (tuple, list)) else ():
        if isinstance(part, Tensor) and part._node is not None and part._node.seq > start:
            _calls.setdefault(part._node, []).append(Call(module, start))


Module._observe = _called


# ------------------------------------------------------------------------------------ back from a graph


def paths(nodes: Sequence[Node], names: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The names of the groups that each node stands in, outermost first. `nodes` are in order of creation.

    A Module is called by its name in the Module around it, else by its name in `names`, always with its class. The
    second group of one name within the same group is `name #2`.
    """
    known = {thing: str(name) for name, thing in reversed(list(names.items())) if isinstance(thing, Module)}
    calls: dict[int, tuple[int, Call]] = {}  # by start: a call that returned several Tensors is noted at each
    for node in nodes:
        for call in _calls.get(node, ()):
            calls[call.start] = node.seq, call
    waiting = [calls[start] for start in sorted(calls, reverse=True)]
    naming = _Naming(known)
    found, running = [], []
    for node in nodes:
        while waiting and waiting[-1][1].start < node.seq:
            running.append(waiting.pop())
        running = [(end, call) for end, call in running if node.seq <= end]
        group = _group_of.get(node)
        entries: list[Group | Call] = [call for _, call in running]
        if group is not None:
            entries = sorted([*entries, *group.path()], key=lambda entry: entry.start)
        found.append(naming.path(entries))
    return found


class _Naming:
    def __init__(self, known: Mapping[Module, str]) -> None:
        self.known = known
        self.inside: dict[Module, dict[Module, str]] = {}
        self.named: dict[tuple[int, ...], tuple[str, ...]] = {(): ()}
        self.counted: dict[tuple[tuple[str, ...], str], int] = {}

    def path(self, entries: Iterable[Group | Call]) -> tuple[str, ...]:
        starts: tuple[int, ...] = ()
        path: tuple[str, ...] = ()
        around: list[Module] = []
        scoped: Module | None = None
        for entry in entries:
            if isinstance(entry, Call) and entry.module is scoped:  # called inside its own scope it is no second group
                continue
            starts = (*starts, entry.start)
            if starts not in self.named:
                name = entry.name if isinstance(entry, Group) else self.name(entry.module, around)
                count = self.counted[path, name] = self.counted.get((path, name), 0) + 1
                self.named[starts] = (*path, name if count == 1 else f"{name} #{count}")
            path = self.named[starts]
            scoped = entry.module if isinstance(entry, Group) else None
            if entry.module is not None:
                around.append(entry.module)
        return path

    def name(self, module: Module, around: Sequence[Module]) -> str:
        """`layers.0 (Linear)` in the nearest Module around it that has it, `net (MLP)` by itself."""
        kind = type(module).__name__
        for outer in reversed(around):
            if outer not in self.inside:
                self.inside[outer] = {child: path for path, child in outer.named_modules() if path}
            if module in self.inside[outer]:
                return f"{self.inside[outer][module]} ({kind})"
        return f"{self.known[module]} ({kind})" if module in self.known else kind
