"""Node and the walk: backward(), grad(), hooks.

A Node is made when an op runs on something that requires grad. Its number in the order of creation is a topological
order, so that the walk is a heap of numbers: no recursion, no second pass. Gradients in flight live in the call
and are popped as they are used; only leaves (and what retain_grad() asked for) accumulate, at the end, so that an
error on the way changes no `.grad`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from heapq import heappop, heappush, heappushpop
from itertools import count
from sys import getrefcount
from typing import Any

import numpy as np

from .ops.op import Plan
from .ops.shape import SumTo, broadcast_dims

next_number = count(1).__next__


class Node:
    """One op that ran: its plan (rule and what it keeps), its inputs, and its number in creation order.

    `inputs` has an entry for each input of the op: the Node that made it, a leaf Tensor that requires grad,
    a Constant, or a Python scalar. `shape` and `dtype` are the output's.
    """

    __slots__ = ("__weakref__", "dtype", "extra", "inputs", "plan", "saved", "seq", "settings", "shape", "watched")

    plan: Plan
    inputs: tuple[Any, ...]
    saved: Any
    watched: Sequence[bytearray]
    settings: dict[str, Any]
    shape: tuple[int, ...]
    dtype: Any
    extra: Extra | None
    seq: int

    def __init__(
        self,
        plan: Plan,
        inputs: tuple[Any, ...],
        saved: Any,
        watched: Sequence[bytearray],
        settings: dict[str, Any],
        out: Any,
    ) -> None:
        self.plan = plan
        self.inputs = inputs
        self.saved = saved
        self.watched = watched
        self.settings = settings
        self.shape = out.shape
        self.dtype = out.dtype
        self.extra = None
        self.seq = next_number()

    @property
    def op(self) -> Any:
        return self.plan.op

    @property
    def name(self) -> str | None:
        return self.extra.name if self.extra else None

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that the gradient goes on to, as torch lists them: leaves and constants as (None, 0)."""
        return tuple((x, 0) if isinstance(x, Node) else (None, 0) for x in self.inputs)

    def tensor(self) -> Any:
        """The Tensor of this node's output where it is still alive and known (retain_grad or a name), else None."""
        return self.extra.tensor() if self.extra and self.extra.tensor else None

    def more(self) -> Extra:
        """The rarely used part, made when first needed."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra

    def __repr__(self) -> str:
        return f"<{self.op.__name__}Backward0>"


class Extra:
    """What few nodes and leaves have: hooks, a name, the Tensor that wants its gradient, the line that made it."""

    __slots__ = ("generation", "hooks", "name", "parts", "retains", "tensor", "where")

    def __init__(self) -> None:
        self.name: str | None = None
        self.hooks: dict[int, Callable[[Any], Any]] = {}
        self.tensor: weakref.ref[Any] | None = None
        self.retains: bool = False
        self.parts: list[
            tuple[Any, Any, Any]
        ] = []  # each use: its op, its node while it lives, the gradient from there
        self.where: str | None = None
        self.generation: int = 0


class Constant:
    """A Tensor that took part in an op without requiring grad: its shape and dtype, and itself while it lives."""

    __slots__ = ("dtype", "shape", "tensor")

    shape: tuple[int, ...]
    dtype: Any
    tensor: Callable[[], Any]

    def __init__(self, x: Any) -> None:
        self.shape = x.shape
        self.dtype = x.dtype
        self.tensor = weakref.ref(x) if hasattr(x, "grad_fn") else _nothing


def _nothing() -> None:
    return None


class Handle:
    """What register_hook returns: remove() takes the hook away."""

    def __init__(self, hooks: dict[int, Any], hook: Callable[[Any], Any]) -> None:
        self._hooks, self._key = hooks, next_number()
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Engine:
    """What is needed from above, filled in there, so that nothing here imports upward."""

    wrap: Callable[[Any], Any]  # array -> Tensor
    lift: Callable[[Node], Any]  # a node's kept values as Tensors, for create_graph
    backward: Callable[..., None]  # autograd.backward, as a Tensor's method calls it
    accumulate: Callable[[Any, Any, bool], None]  # (Tensor, gradient, create_graph): add into .grad
    check: Callable[[Node, Any, Any], None] | None = None  # anomaly mode looks at each gradient
    # and at each op: (op, arrays as its forward got them, result, settings, inputs as they were given)
    observe: Callable[[Any, Any, Any, Any, Any], None] | None = None
    capture: Any = None  # minigrad.compile notes what a step does while it runs
    begin: Callable[[Any], None] | None = None  # a profile: an op (its class) or a rule (its Node) begins
    explains = False  # whether retain_grad() was ever called: such a value also keeps what each of its uses gave


def walk(
    roots: Sequence[tuple[Any, Any]],
    retain_graph: bool,
    create_graph: bool,
    needed: set[Node] | None = None,
    targets: dict[Any, Any] | None = None,
) -> dict[Any, Any]:
    """Carry the gradients of *roots*, (Node or leaf, gradient) each, down the graph; return those of the leaves.

    Gradients are arrays, or Tensors where create_graph. With *needed*, only those nodes' rules run; the gradients
    of the nodes in *targets* are written there when complete.
    """
    flight: dict[Any, Any] = {}
    heap: list[tuple[int, Node]] = []
    retained: list[tuple[Any, Any]] = []
    begin, check, explains = Engine.begin, Engine.check, Engine.explains
    spend = not (retain_graph or create_graph)  # what nodes kept is of no use afterwards
    quick = spend and targets is None and begin is None and check is None
    for root, gradient in roots:
        if root in flight:
            flight[root] = flight[root] + gradient
        else:
            flight[root] = gradient
            if type(root) is Node:
                heappush(heap, (-root.seq, root))

    ahead: Node | None = None  # the first node that a rule's gradients lead to: in a chain no heap is needed
    while heap or ahead is not None:
        if ahead is None:
            node = heappop(heap)[1]
        else:
            node = heappushpop(heap, (-ahead.seq, ahead))[1] if heap else ahead
            ahead = None
        if node.extra is not None:
            dout = flight[node] = _hooked(node.extra, flight[node], create_graph)
            if node.extra.retains and (tensor := node.tensor()) is not None:
                retained.append((tensor, dout))
            dout = None
        if quick:  # the rest of this loop for most of backward(), see _carrier
            plan = node.plan
            ahead = (plan.carry or _carrier(plan))(node, flight.pop(node), flight, heap, retained if explains else None)
            continue
        dout = flight.pop(node)
        if targets is not None:
            if node in targets:
                targets[node] = dout
            if node not in needed:  # type: ignore[operator]
                continue

        for changes in node.watched:
            if changes:
                raise RuntimeError(_changed(node, changes))
        plan, saved, inputs = node.plan, node.saved, node.inputs
        if saved is None:
            raise RuntimeError(_freed(node))
        if begin is not None:
            begin(node)
        gradients = (plan.last if spend else plan.run)(dout, saved if not create_graph else Engine.lift(node))
        if plan.joint:
            gradients = _chosen(node, gradients)
        if check is not None:
            check(node, dout, gradients)
        if plan.keeps_arrays and not retain_graph:
            node.saved = None
            node.watched = ()
        saved = dout = None  # hold nothing that the next rule could free or reuse

        if not plan.all:
            inputs = (inputs[plan.positions[0]],) if plan.alone else tuple([inputs[i] for i in plan.positions])
        for parent, gradient in zip(inputs, gradients):  # noqa: B905
            if gradient is None:
                continue
            of = parent if type(parent) is Node else parent.array
            if (shape := of.shape) or type(gradient) is not of.dtype.type:  # a number of its dtype needs no more
                if gradient.shape != shape:
                    gradient = _fit(node, gradient, shape)
                if gradient.dtype is not of.dtype:
                    gradient = gradient.astype(of.dtype)
            held = flight.get(parent)
            if explains:
                _note(parent, node, gradient, held is None, bool(retained))
            if held is not None:
                plain = shape and type(held) is np.ndarray and type(gradient) is np.ndarray
                # In place where held + gradient would lie in memory as held does: sums over it hang on that.
                if plain and held.base is None and getrefcount(held) == _ALONE and held.strides == gradient.strides:
                    held += gradient
                else:
                    flight[parent] = held + gradient
                held = None
            elif needed is None or parent in needed or parent in targets:  # type: ignore[operator]
                flight[parent] = gradient
                if of is parent:
                    if ahead is None:
                        ahead = parent
                    else:
                        heappush(heap, (-parent.seq, parent))
        gradient = gradients = None

    for leaf in [leaf for leaf in flight if leaf._extra is not None and leaf._extra.hooks]:
        flight[leaf] = _hooked(leaf._extra, flight[leaf], create_graph)
    for tensor, gradient in retained:
        Engine.accumulate(tensor, gradient, create_graph)
    return flight


def _carrier(plan: Plan) -> Callable[..., Node | None]:
    """What a quick walk does at a node of this plan: carry(node, d, flight, heap, retained) -> a node to go on with.

    The rest of walk's loop, for a backward() that keeps nothing and that nobody looks at, compiled for the plan:
    without the loops and lists, in which a walk over numbers spends half of its time. retained: None, or what was
    retained above, for what a retained value has of each use.
    """
    each = range(len(plan.positions))
    lines = [
        "for changes in node.watched:", " if changes: raise RuntimeError(changed(node, changes))",
        "k = node.saved", "if k is None: raise RuntimeError(freed(node))",
    ]  # fmt: skip
    if plan.joint:
        lines += ["gradients = chosen(node, last(d, k))"]
    elif plan.variadic or plan.op.spends:
        lines += ["gradients = last(d, k)"]
    else:
        lines += [f"g{i} = {call}" for i, call in enumerate(plan.calls)]
    if plan.keeps_arrays:
        lines += ["node.saved = None", "node.watched = ()"]
    lines += ["d = k = ahead = None"]  # hold nothing that the next rule could free or reuse
    if plan.variadic:
        inputs = "inputs" if plan.all else "[inputs[i] for i in positions]"
        lines += ["inputs = node.inputs", f"for p, g in zip({inputs}, gradients):"]
        lines += [" " + line for line in ARRIVAL.format(p="p", g="g").splitlines()]
    else:
        if plan.joint or plan.op.spends:
            lines += [f"{''.join(f'g{i}, ' for i in each)} = gradients", "gradients = None"]
        if plan.all:
            lines += [f"{''.join(f'p{i}, ' for i in each)} = node.inputs"]
        else:
            lines += [f"p{i} = node.inputs[{position}]" for i, position in enumerate(plan.positions)]
        for i in each:
            lines += ARRIVAL.format(p=f"p{i}", g=f"g{i}").splitlines()
    source = "def carry(node, d, flight, heap, retained):\n " + "\n ".join([*lines, "return ahead"])
    scope = {
        **plan.scope, "__name__": __name__, "Node": Node, "ndarray": np.ndarray, "push": heappush, "count": getrefcount,
        "ALONE": _ALONE, "last": plan.last, "chosen": _chosen, "fit": _fit, "note": _note, "changed": _changed,
        "freed": _freed, "positions": plan.positions,
    }  # fmt: skip
    exec(compile(source, f"{__file__}: {plan.op.__name__}", "exec"), scope)
    plan.carry = scope["carry"]
    return plan.carry


# A gradient g arrives at the input p, as in walk.
ARRIVAL = """\
if {g} is not None:
 of = {p} if type({p}) is Node else {p}.array
 if (shape := of.shape) or type({g}) is not of.dtype.type:
  if {g}.shape != shape: {g} = fit(node, {g}, shape)
  if {g}.dtype is not of.dtype: {g} = {g}.astype(of.dtype)
 held = flight.get({p})
 if retained is not None: note({p}, node, {g}, held is None, bool(retained))
 if held is None:
  flight[{p}] = {g}
  if of is {p}:
   if ahead is None: ahead = {p}
   else: push(heap, (-{p}.seq, {p}))
 elif (
  shape and type(held) is ndarray and type({g}) is ndarray
  and held.base is None and count(held) == ALONE and held.strides == {g}.strides
 ): held += {g}
 else: flight[{p}] = held + {g}
"""


def _count_alone() -> int:
    flight = {0: np.empty(1)}
    held = flight.get(0)
    return getrefcount(held)


# What getrefcount says of an array that the dict and one local variable hold; measured, since interpreters differ.
_ALONE = _count_alone()


def _note(parent: Any, node: Node, gradient: Any, first: bool, explained: bool) -> None:
    """Keep what one use of a retained value gave to its gradient, so that a derivation can be told which use it forgot.

    A leaf keeps it without being asked where a value above its first use is retained (*explained*): retain_grad() is
    not called on leaves. All uses are kept or none. A training step, where nothing is retained, keeps nothing.
    """
    if type(parent) is Node:
        extra, leaf = parent.extra, False
    else:
        extra, leaf = (parent._more() if explained else parent._extra), True
    if extra is None:
        return
    if first:
        extra.parts = []  # without those of an earlier backward
    if extra.retains or (leaf and (explained if first else extra.parts)):
        extra.parts.append((node.op, weakref.ref(node), gradient))  # weak: the node leads back here


def _chosen(node: Node, gradients: Any) -> Sequence[Any]:
    """The gradients of a joint backward for the inputs that require grad."""
    gradients = gradients if isinstance(gradients, (tuple, list)) else (gradients,)
    if len(gradients) != len(node.inputs):
        raise RuntimeError(
            f"{node.op.__name__}.backward returned {len(gradients)} gradients for {len(node.inputs)} inputs: "
            "return one an input (None for an input that has none)"
        )
    return gradients if node.plan.all else [gradients[i] for i in node.plan.positions]


def _fit(node: Node, gradient: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum the gradient back to its input's shape. The one place where that is done."""
    if broadcast_dims(gradient.shape, shape) is None:
        raise RuntimeError(
            f"{node.op.__name__} returned a gradient of shape {gradient.shape} for an input of shape {tuple(shape)}: "
            "a gradient has its input's shape, or one that broadcasting made from it"
        )
    if isinstance(gradient, np.ndarray):
        return SumTo.forward(gradient, shape=shape)  # type: ignore[arg-type]
    return SumTo.apply(gradient, shape=shape)


def _hooked(extra: Extra, gradient: Any, create_graph: bool) -> Any:
    """Run the hooks on a gradient, in the order they were registered; each may put another in its place."""
    if extra.hooks and not create_graph and isinstance(gradient, np.ndarray):
        gradient = gradient.copy("K")  # others may be given the same array, and a hook may write into it
    for hook in list(extra.hooks.values()):
        given = gradient if create_graph else Engine.wrap(gradient)
        result = hook(given)
        if result is not None:
            if getattr(result, "shape", None) != given.shape:
                shape = getattr(result, "shape", type(result).__name__)
                raise RuntimeError(f"a hook returned {shape} in place of a gradient of shape {given.array.shape}")
            gradient = result if create_graph else result.array
    return gradient


def _freed(node: Node) -> str:
    return (
        f"Trying to backward through the graph a second time: what {node!r} kept was freed by the first backward. Pass "
        "retain_graph=True to the first one to keep it."
    )


def _changed(node: Node, changes: bytearray) -> str:
    return (
        f"one of the values that {node!r} (output of shape {node.shape}) needs for its gradient was changed in "
        f"place after it ran: {first_change(changes)}. Use the out-of-place form, or change a clone()."
    )


def first_change(changes: bytearray) -> str:
    """What was done in place first, as changed() in tensor.py wrote it."""
    return changes.decode().partition("; ")[0]


def leads_to(roots: Sequence[Any], targets: dict[Any, Any]) -> set[Node]:
    """The nodes under *roots* from which some target is reached: the only ones whose rules grad() must run."""
    seen: set[Node] = set()
    stack = [root for root in roots if type(root) is Node]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(x for x in node.inputs if type(x) is Node and x not in seen)
    needed: set[Node] = set()
    for node in sorted(seen, key=lambda node: node.seq):
        for i in node.plan.positions:
            if node.inputs[i] in targets or node.inputs[i] in needed:
                needed.add(node)
                break
    return needed
