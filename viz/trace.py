"""A live graph turned into plain facts: which values, which ops, what goes into what. Nothing is drawn here.

`trace(loss, names=locals())` walks back from `loss` and returns a `Trace` of frozen dataclasses; every
picture is made from that, so that none needs to know the engine. The walk keeps its own stack (a chain of
100,000 ops needs no recursion), and all is in order of creation: the same graph gives the same trace.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigrad import Tensor
from minigrad.graph import Constant, Node
from minigrad.nn import Parameter

from .again import is_small, run_again
from .scope import paths

__all__ = ["Op", "Scalar", "Trace", "Value", "trace"]


@dataclass(frozen=True)
class Value:
    """An array of the graph. `kind` is "leaf" (requires grad), "constant", "result" of an op, or "output"."""

    key: str  # "v12": stable, safe as an id anywhere
    kind: str
    name: str | None
    shape: tuple[int, ...]
    dtype: str
    data: tuple[Any, ...] | None = None  # the elements, flat, where they are few and still known
    grad: tuple[Any, ...] | None = None
    also: tuple[str, ...] = ()  # further names of the same tensor
    parameter: bool = False  # of a Module (or whatever has named_parameters())
    requires_grad: bool = True
    scope: tuple[str, ...] = ()  # the groups it stands in, outermost first: see viz.scope


@dataclass(frozen=True)
class Scalar:
    """A plain Python number among an op's inputs."""

    number: Any


@dataclass(frozen=True)
class Op:
    """A rule that ran: `output = name(*inputs, **settings)`. An input is a Value's key or a Scalar.

    `arrays` are keys too: named arrays among the settings, such as an index or the targets of a loss.
    """

    key: str
    name: str
    symbol: str
    formula: str
    inputs: tuple[str | Scalar, ...]
    settings: tuple[tuple[str, str], ...]
    output: str
    arrays: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    elementwise: bool = False  # its operands are broadcast together
    backward: str = ""  # `dx = (1 - h**2) * dh`, from the rule's docstring


@dataclass(frozen=True)
class Trace:
    """Values and ops, each in order of creation; `values[key]` finds what an op's input or output names."""

    values: dict[str, Value]
    ops: tuple[Op, ...]

    def __len__(self) -> int:
        return len(self.values) + len(self.ops)


def trace(output: Tensor | Sequence[Tensor], names: Mapping[str, Any] | None = None) -> Trace:
    """The graph that made `output` (a Tensor, or several).

    names: from name to Tensor, such as `locals()`, or to what has named_parameters(), such as a Module: those are
        called by their path in it. Whatever else is in it is passed over. A Tensor that is not in it is called by
        its own `.name`, if it has one.
    Raises TypeError where output is no Tensor.
    """
    return trace_held(output, names)[0]


def trace_held(
    output: Tensor | Sequence[Tensor], names: Mapping[str, Any] | None = None
) -> tuple[Trace, dict[str, Any]]:
    """As trace; and by key what is still held of the values: Tensors, or arrays that are named."""
    outputs = [output] if isinstance(output, Tensor) else list(output) if _is_sequence(output) else []
    if not outputs or not all(isinstance(t, Tensor) for t in outputs):
        raise TypeError(f"a graph starts at a Tensor or a list of them, not {type(output).__name__}")
    tracer = _Tracer(outputs, names or {})
    return tracer.run(), tracer.held


def _is_sequence(thing: Any) -> bool:
    return isinstance(thing, (list, tuple))


ELEMENTWISE = ("minigrad.ops.elementwise", "minigrad.ops.compare", "minigrad.ops.special")


_BACKWARD = re.compile(r"(?:^|[\s,;])(d[A-Za-z_]\w* = .*)")


class _Tracer:
    """The state of one walk: what has been named, and what has been seen."""

    def __init__(self, outputs: list[Tensor], names: Mapping[str, Any]) -> None:
        self.outputs = outputs
        self.made_by: dict[Node, Tensor] = {}  # a tensor known from outside keeps its node's value at hand
        self.names: dict[Any, list[str]] = {}  # by node, or by id where there is none
        self.arrays: dict[Any, Any] = {}  # by memory: an index, say, stands bare in an op's settings
        self.keys: dict[Any, str] = {}
        self.values: dict[str, Value] = {}
        self.parameters: set[int] = set()
        self.formulas: dict[Any, tuple[str, str]] = {}
        self.held: dict[str, Any] = {}
        self.given = names
        # `_` and `_7` are a notebook's and a loop's throw-aways; any other name is better
        for name, tensor in sorted(names.items(), key=lambda item: str(item[0]).startswith("_")):
            if isinstance(tensor, (Tensor, np.ndarray)):
                self.names.setdefault(self.identity(tensor), []).append(str(name))
            if isinstance(tensor, Tensor):
                self.remember(tensor)
            if isinstance(tensor, np.ndarray) or (isinstance(tensor, Tensor) and not tensor.requires_grad):
                self.arrays.setdefault(_memory(tensor), tensor)
        for name, thing in names.items():
            for path, tensor in _parameters_of(thing):
                self.parameters.add(id(tensor))
                known = self.names.setdefault(id(tensor), [])
                known.append(path if name in ("self", "model", "net") else f"{name}.{path}")
        for tensor in outputs:
            self.remember(tensor)

    def remember(self, tensor: Tensor) -> None:
        if tensor.grad_fn is not None:
            self.made_by.setdefault(tensor.grad_fn, tensor)

    @staticmethod
    def identity(thing: Any) -> Any:
        """One for what is one value in the graph, however it is reached."""
        if isinstance(thing, Constant):
            tensor = thing.tensor()
            return id(thing) if tensor is None else id(tensor)
        if isinstance(thing, Tensor) and thing.grad_fn is not None:
            return thing.grad_fn
        return thing if isinstance(thing, Node) else id(thing)

    def run(self) -> Trace:
        ends = {self.identity(tensor) for tensor in self.outputs}
        nodes = nodes_in_order(self.outputs)
        again = run_again(nodes, self.tensor_of)
        ops: list[Op] = []
        for node, scope in zip(nodes, paths(nodes, self.given), strict=True):
            settings = _settings(node) if node.settings else []
            inputs = tuple([self.input(thing) for thing in node.inputs])
            arrays = tuple(key for _, setting in settings for key in self.arrays_in(setting))
            kind = "output" if node in ends else "result"
            ops.append(
                Op(
                    key=f"op{len(ops) + 1}",
                    name=node.op.__name__,
                    symbol=node.op.symbol,
                    formula=self.formula(node.op)[0],
                    backward=self.formula(node.op)[1],
                    inputs=inputs,
                    settings=tuple((key, self.short(setting)) for key, setting in settings),
                    output=self.value(node, self.tensor_of(node), kind, again.get(node), scope),
                    arrays=arrays,
                    scope=scope,
                    elementwise=len(inputs) > 1 and node.op.__module__ in ELEMENTWISE,
                )
            )
        for tensor in self.outputs:  # one that no op made is a graph of itself
            if tensor.grad_fn is None:
                self.input(tensor)
        self.place(ops)
        return Trace(self.values, tuple(ops))

    def formula(self, op: Any) -> tuple[str, str]:
        """The first line of the rule's docstring, and what it says of the way back."""
        if op not in self.formulas:
            doc = (op.__doc__ or "").strip()
            first, _, more = doc.partition("\n")
            back = _BACKWARD.search(first) or _BACKWARD.search(" ".join(more.strip().split("\n\n")[0].split()))
            self.formulas[op] = first, back[1].split(". ")[0].rstrip(" .") if back else ""
        return self.formulas[op]

    def place(self, ops: list[Op]) -> None:
        """What no op made stands in the innermost group that holds all its uses; data with a name outside of all."""
        found: dict[str, tuple[str, ...]] = {}
        made = {op.output for op in ops}
        for op in ops:
            for key in (*op.inputs, *op.arrays):
                if isinstance(key, str) and key not in made:
                    found[key] = _common(found[key], op.scope) if key in found else op.scope
        for key, scope in found.items():
            if scope and not (self.values[key].kind == "constant" and self.values[key].name):
                self.values[key] = replace(self.values[key], scope=scope)

    def tensor_of(self, node: Node) -> Tensor | None:
        known = self.made_by.get(node)
        return node.tensor() if known is None else known

    def input(self, thing: Any) -> str | Scalar:
        if isinstance(thing, Node):
            return self.keys[thing]
        if isinstance(thing, Constant):
            return self.value(thing, thing.tensor(), "constant")
        if isinstance(thing, Tensor):
            return self.value(thing, thing, "leaf" if thing.requires_grad else "constant")
        return Scalar(thing.item() if isinstance(thing, np.generic) else thing)

    def value(
        self, thing: Any, tensor: Tensor | None, kind: str, numbers: Any = None, scope: tuple[str, ...] = ()
    ) -> str:
        identity = self.identity(thing)
        key = self.keys.get(identity)
        if key is None:
            key = self.keys[identity] = f"v{len(self.keys) + 1}"
            if tensor is not None or numbers is not None:
                self.held[key] = numbers if tensor is None else tensor
            own = getattr(thing, "name", None) or (tensor.name if tensor is not None else None)
            names = [*self.names.get(identity, []), *([str(own)] if own else [])]
            self.values[key] = Value(
                key=key,
                kind=kind,
                name=names[0] if names else None,
                shape=tuple(thing.shape),
                dtype=str(np.dtype(thing.dtype)),
                data=_few(tensor if numbers is None else numbers),
                grad=_few(_gradient(tensor)),
                also=tuple(dict.fromkeys([name for name in names[1:] if name != names[0]])) if names[1:] else (),
                parameter=tensor is not None and (id(tensor) in self.parameters or isinstance(tensor, Parameter)),
                requires_grad=kind in ("leaf", "result") or thing.__class__ is Node,
                scope=scope,
            )
        return key

    def arrays_in(self, setting: Any) -> list[str]:
        """The keys of the named arrays in a setting, each made a constant of the graph."""
        if isinstance(setting, (tuple, list)):
            return [key for part in setting for key in self.arrays_in(part)]
        known = self.arrays.get(_memory(setting)) if isinstance(setting, (np.ndarray, Tensor)) else None
        if known is None:
            return []
        return [self.value(known, known if isinstance(known, Tensor) else None, "constant", known)]

    def short(self, setting: Any) -> str:
        """A setting in a few words; an array by its name, or else by its dtype and shape."""
        if isinstance(setting, (np.ndarray, Tensor)):
            if not setting.shape:
                return str(np.asarray(setting).item())
            known = self.arrays.get(_memory(setting))
            if known is not None:
                return self.names[self.identity(known)][0]
            return f"{setting.dtype} {tuple(setting.shape)}"
        if isinstance(setting, slice):
            ends = [setting.start, setting.stop, *([] if setting.step is None else [setting.step])]
            return ":".join("" if end is None else str(end) for end in ends)
        if isinstance(setting, (tuple, list)):
            inside = ", ".join(self.short(part) for part in setting)
            if isinstance(setting, list):
                return f"[{inside}]"
            return f"({inside},)" if len(setting) == 1 else f"({inside})"
        if setting is Ellipsis:
            return "..."
        return setting.__name__ if isinstance(setting, type) else str(setting)


def nodes_in_order(outputs: Sequence[Tensor]) -> list[Node]:
    """Every node the outputs rest on, in order of creation: an input always before what uses it."""
    stack = [tensor.grad_fn for tensor in outputs if tensor.grad_fn is not None]
    seen = set(stack)
    while stack:
        for thing in stack.pop().inputs:
            if isinstance(thing, Node) and thing not in seen:
                seen.add(thing)
                stack.append(thing)
    return sorted(seen, key=lambda node: node.seq)


def _parameters_of(thing: Any) -> list[tuple[str, Tensor]]:
    """(path, parameter) of a Module, or of what offers the same."""
    asked = getattr(type(thing), "named_parameters", None)
    if asked is None:
        return []
    found = asked(thing)
    pairs = found.items() if isinstance(found, Mapping) else found
    return [(str(path), tensor) for path, tensor in pairs if isinstance(tensor, Tensor)]


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    return a[:same]


def _gradient(tensor: Tensor | None) -> Tensor | None:
    """`tensor.grad`, asked for only where it can be there: elsewhere the engine warns."""
    if tensor is None or not (tensor.is_leaf or tensor.retains_grad):
        return None
    return tensor.grad


def _few(thing: Tensor | np.ndarray | None) -> tuple[Any, ...] | None:
    if thing is None or not is_small(thing.shape):
        return None
    return tuple(np.asarray(getattr(thing, "array", thing)).ravel().tolist())


def _settings(node: Node) -> list[tuple[str, Any]]:
    """The settings that say something: not those that the rule has by default."""
    defaults = getattr(node.op.forward, "__kwdefaults__", None) or {}
    return [(key, value) for key, value in node.settings.items() if not _same(value, defaults.get(key, ...))]


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, (int, float, str)) and a == b)


def _memory(thing: Tensor | np.ndarray) -> Any:
    """One for the same elements seen the same way, however often they were wrapped."""
    array = np.asarray(thing.array if isinstance(thing, Tensor) else thing)
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str
