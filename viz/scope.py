"""`with viz.scope("batchnorm"):` what is recorded inside is drawn as one group.

While a scope is open the engine tells of each op that ran (the hook that anomaly mode has too), and its node is noted
beside the graph, in a table that lets go of nodes with the graph. While none is open nothing is different.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from minigrad.graph import Engine, Node
from minigrad.nn import Module
from minigrad.ops import Part

__all__ = ["Group", "groups_of", "scope"]


class Group:
    """One entry of a scope. Entered twice, a scope is two groups of one name."""

    __slots__ = ("name", "parent")

    def __init__(self, name: str, parent: Group | None) -> None:
        self.name, self.parent = name, parent

    def path(self) -> list[Group]:
        """From the outermost group to this one."""
        path: list[Group] = []
        group: Group | None = self
        while group is not None:
            path.append(group)
            group = group.parent
        return path[::-1]


_current: ContextVar[Group | None] = ContextVar("viz_scope", default=None)
_group_of: WeakKeyDictionary[Node, Group] = WeakKeyDictionary()
_lock = threading.Lock()
_open = 0
_before: Any = None
_call = Module.__call__
_names: ContextVar[dict[Module, str]] = ContextVar("viz_modules", default={})  # noqa: B039  # never changed, only replaced


class scope:
    """A group of the graph: what is recorded inside is drawn as one cluster, or as one box where it is collapsed.

    name: a string, or a Module, which is then called by its class's name. Inside any scope each Module that is called
        is a group of its own, by its name in the Module that it belongs to. Scopes nest; one may be entered again.
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
        names = _children(self.module) if self.module is not None else _names.get()
        if self.module is not None:
            names[self.module] = ""  # called inside its own scope it is no second group
        self._tokens.append((_current.set(Group(self.name, _current.get())), _names.set(names)))
        _watch(+1)
        return self

    def __exit__(self, *error: object) -> None:
        _watch(-1)
        group, names = self._tokens.pop()
        _names.reset(names)
        _current.reset(group)


def groups_of(node: Node) -> list[Group]:
    """The groups that a node was recorded in, outermost first."""
    group = _group_of.get(node)
    return group.path() if group is not None else []


def _watch(change: int) -> None:
    """Ask the engine for its ops with the first scope, and leave it alone after the last."""
    global _open, _before
    with _lock:
        _open += change
        if _open == 1 and change == 1 and Engine.observe is not _observe:
            _before = Engine.observe
            Engine.observe = _observe
            Module.__call__ = _called  # type: ignore[assignment, method-assign]
        elif _open == 0 and Engine.observe is _observe:
            Engine.observe, _before = _before, None
            Module.__call__ = _call  # type: ignore[method-assign]


def _observe(op: Any, arrays: Any, result: Any, settings: Any) -> None:
    group = _current.get()
    if group is not None and result._node is not None:
        _group_of[result._node] = group
        if result._node.op is Part:  # the op that split is recorded before its parts, and not told of
            _group_of.setdefault(result._node.inputs[0], group)
    if _before is not None:
        _before(op, arrays, result, settings)


def _called(module: Module, *inputs: Any, **kwargs: Any) -> Any:
    if _current.get() is None:
        return _call(module, *inputs, **kwargs)
    name = _names.get().get(module)
    if name == "":
        return _call(module, *inputs, **kwargs)
    if name is None:
        name = type(module).__name__
    before = _names.set({**_names.get(), **_children(module)})
    group = _current.set(Group(name, _current.get()))
    try:
        return _call(module, *inputs, **kwargs)
    finally:
        _current.reset(group)
        _names.reset(before)


def _children(module: Module) -> dict[Module, str]:
    """The modules under this one, each by its path below the nearest that is called: `layers.0` for a plain list."""
    return {child: f"{path} ({type(child).__name__})" for path, child in module.named_modules() if path}
