"""All numbers of a graph: each value and each gradient, and what every use of a value gave to it.

A graph keeps what its rules need and no more. What it let go of is worked out again from the leaves, forward and then
backward by the engine's own rules, and believed only where it leads to a result that is still held and comes out the
same: leaves may have been changed since. Only the engine's own ops run again: a user's may draw random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad import Tensor, dtypes, no_grad
from minigrad.graph import Constant, Node
from minigrad.ops import SumTo

from .again import UNKNOWN
from .trace import Trace, nodes_in_order, trace_held

__all__ = ["Numbers", "Use", "replay"]

Array = NDArray[Any]
ULPS = 8  # how far a result that is run again may be from the one that is held


@dataclass(frozen=True)
class Use:
    """What one use of a value gave to its gradient: `product` in the value's shape, None where it is not known.

    wide: the product's shape before broadcasting was undone. local: the derivative in the output's shape, elementwise
    rules only. Where both are known, product is upstream * local summed to the value's shape.
    """

    op: str
    position: int
    product: Array | None = None
    wide: tuple[int, ...] | None = None
    local: Array | None = None


@dataclass
class Numbers:
    """By the Trace's keys: values, gradients of the outputs' sum, `.grad` as the tensors hold it, and the uses."""

    values: dict[str, Array] = field(default_factory=dict)
    gradients: dict[str, Array] = field(default_factory=dict)
    held: dict[str, Array] = field(default_factory=dict)
    uses: dict[str, list[Use]] = field(default_factory=dict)
    indices: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # by op: the index of x[index]
    targets: dict[str, Array] = field(default_factory=dict)  # by op: the targets of a loss


def replay(
    outputs: Sequence[Tensor], graph: Trace, names: Mapping[str, Any], held: Mapping[str, Any] | None = None
) -> Numbers:
    """The numbers of a graph. `graph` and `held` are what trace_held gave for these outputs and names."""
    held = trace_held(outputs, names)[1] if held is None else held
    with no_grad(), np.errstate(all="ignore"):
        return _Replay(outputs, graph, held, names).run()


class _Replay:
    def __init__(
        self, outputs: Sequence[Tensor], graph: Trace, held: Mapping[str, Any], names: Mapping[str, Any]
    ) -> None:
        self.outputs, self.graph, self.held = outputs, graph, held
        self.made = {op.output for op in graph.ops}
        self.nodes = nodes_in_order(outputs)
        self.found = Numbers()
        self.saved: dict[Node, Any] = {}
        self.key_of = {node: op.output for op, node in zip(graph.ops, self.nodes, strict=True)}
        self.tensors: dict[Node, Tensor] = {}
        for tensor in [*outputs, *(t for t in names.values() if isinstance(t, Tensor))]:
            if tensor.grad_fn is not None:
                self.tensors.setdefault(tensor.grad_fn, tensor)

    def run(self) -> Numbers:
        self.leaves()
        self.forward()
        self.backward()
        return self.found

    def tensor(self, node: Node) -> Tensor | None:
        return self.tensors[node] if node in self.tensors else node.tensor()

    # ------------------------------------------------------------------------------------------ forward

    def leaves(self) -> None:
        found = self.found
        for op, node in zip(self.graph.ops, self.nodes, strict=True):
            for i, (key, thing) in enumerate(zip(op.inputs, node.inputs, strict=True)):
                if not isinstance(key, str) or isinstance(thing, Node) or key in found.values:
                    continue
                tensor = thing.tensor() if isinstance(thing, Constant) else thing
                array = _kept(node, "input", i) if tensor is None else tensor.array
                if array is not None:
                    found.values[key] = np.array(array)
                if isinstance(thing, Tensor) and thing.grad is not None:
                    found.held[key] = np.array(thing.grad.array)
            if isinstance(node.settings.get("index"), tuple):
                found.indices[op.key] = node.settings["index"]
            if "target" in node.settings:
                found.targets[op.key] = np.asarray(node.settings["target"])
        for key, thing in self.held.items():
            if key not in self.made and key not in found.values:  # an index, say, or an output that no op made
                found.values[key] = np.array(getattr(thing, "array", thing))
                if isinstance(thing, Tensor) and thing.requires_grad and thing.grad is not None:
                    found.held[key] = np.array(thing.grad.array)

    def forward(self) -> None:
        values = self.found.values
        again: dict[str, Node] = {}
        believed: set[str] = set()
        for op, node in zip(self.graph.ops, self.nodes, strict=True):
            tensor = self.tensor(node)
            held = _kept(node, "output", None) if tensor is None else np.array(tensor.array)
            if tensor is not None and tensor.retains_grad and tensor.grad is not None:
                self.found.held[op.output] = np.array(tensor.grad.array)
            inputs = [values.get(x, UNKNOWN) if isinstance(x, str) else x.number for x in op.inputs]
            out, extra, arrays = self.result(node, inputs)
            if held is not None:
                values[op.output] = np.array(held)
                if out is not None and _alike(held, out):
                    believed.add(op.output)
            elif out is not None:
                values[op.output] = out
                again[op.output] = node
            if node.saved is not None and not any(node.watched):  # not changed in place since
                self.saved[node] = tuple([*node.saved])  # each array held, so that backward() lets it be
            elif out is not None and node.plan.save is not None:
                out = values[op.output] if isinstance(out, np.ndarray) else out
                self.saved[node] = node.plan.save(out, node.settings, extra, *arrays)
        for op, node in reversed(list(zip(self.graph.ops, self.nodes, strict=True))):
            if op.output in believed:
                believed.update(x for x in op.inputs if x in again)
            elif op.output in again:
                values.pop(op.output)
            if op.output not in believed and (node.saved is None or any(node.watched)):
                self.saved.pop(node, None)
        for key in [key for key, value in values.items() if not isinstance(value, np.ndarray)]:
            values.pop(key)  # the parts of a split are a list, each part a value of its own

    @staticmethod
    def result(node: Node, inputs: list[Any]) -> tuple[Any, Any, list[Any]]:
        """(output, what forward handed on, the inputs as it got them), or (None, None, []) where it cannot run."""
        op = node.op
        if any(x is UNKNOWN for x in inputs) or not op.__module__.startswith("minigrad.ops"):
            return None, None, []
        try:
            arrays = dtypes.promoted(op.promote, inputs) if op.promote is not None else inputs
            out = op.forward(*arrays, **node.settings)
        except Exception:  # the inputs may have changed in shape or dtype: then the value stays unknown
            return None, None, []
        extra, out = (out[1:], out[0]) if op.keeps else (None, out)
        if isinstance(out, list):
            return out, extra, list(arrays)
        out = np.asarray(out)
        return (out, extra, list(arrays)) if out.shape == node.shape else (None, None, [])

    # ----------------------------------------------------------------------------------------- backward

    def backward(self) -> None:
        found = self.found
        flight: dict[str, Any] = {}
        unknown: set[str] = set()  # values that some use gave an unknown part to
        for key in self.ends():
            shape, dtype = self.graph.values[key].shape, self.graph.values[key].dtype
            one = np.ones(shape, dtype)
            flight[key] = flight[key] + one if key in flight else one
        for op, node in reversed(list(zip(self.graph.ops, self.nodes, strict=True))):
            dout = flight.get(op.output)
            if op.output in unknown:
                dout = found.held.get(op.output)
            parts = self.parts(node, dout)
            local = self.parts(node, np.ones(node.shape, node.dtype)) if _is_elementwise(node) else {}
            for i in node.plan.positions:
                key = str(op.inputs[i])
                part = parts.get(i)
                shape = self.graph.values[key].shape
                if part is None:
                    if op.output in flight or op.output in unknown:
                        unknown.add(key)
                        found.uses.setdefault(key, []).append(Use(op.key, i))
                    continue
                wide = tuple(part.shape)
                if isinstance(part, np.ndarray):
                    part = np.asarray(SumTo.forward(part, shape=shape)) if wide != shape else part  # type: ignore
                    part = part.astype(self.graph.values[key].dtype, copy=False)
                    mine = np.asarray(local[i]) if local.get(i) is not None else None
                    found.uses.setdefault(key, []).append(Use(op.key, i, part, wide, mine))
                flight[key] = flight[key] + part if key in flight else part
        for key, gradient in flight.items():
            if key not in unknown and isinstance(gradient, (np.ndarray, np.generic)):  # a sum of 0-d arrays is no array
                found.gradients[key] = np.asarray(gradient)
        for key in unknown & found.held.keys():
            found.gradients[key] = found.held[key]

    def ends(self) -> list[str]:
        """The keys of the outputs; one that no op made is a graph of itself."""
        made = [self.key_of[t.grad_fn] for t in self.outputs if t.grad_fn is not None]
        bare = {id(t) for t in self.outputs if t.grad_fn is None and t.requires_grad}
        return made + [key for key, thing in self.held.items() if id(thing) in bare]

    def parts(self, node: Node, dout: Any) -> dict[int, Any]:
        """The gradients of a node's inputs, by position; empty where they cannot be worked out."""
        saved = self.saved.get(node, () if node.plan.save is None else None)
        if dout is None or saved is None:
            return {}
        try:
            gradients = node.plan.run(dout, saved)
        except Exception:
            if node.op.__module__.startswith("minigrad.ops"):
                raise
            return {}  # a user's rule may refuse to run twice
        if node.plan.joint:
            gradients = gradients if isinstance(gradients, (tuple, list)) else (gradients,)
            gradients = [gradients[i] for i in node.plan.positions]
        return {
            i: np.asarray(g) if isinstance(g, np.generic) else g
            for i, g in zip(node.plan.positions, gradients, strict=True)
            if g is not None
        }


def _kept(node: Node, kind: str, which: int | None) -> Array | None:
    """An input or the output where the node still keeps it for its rule."""
    if node.saved is None or (kind, which) not in node.plan.wants or any(node.watched):
        return None
    found = node.saved[node.plan.wants.index((kind, which))]
    return np.asarray(found) if isinstance(found, (np.ndarray, np.generic)) else None


def _is_elementwise(node: Node) -> bool:
    return node.op.__module__ == "minigrad.ops.elementwise"


def _alike(a: Array, b: Any) -> bool:
    if not isinstance(b, np.ndarray) or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    largest = float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a)))
    far = ULPS * float(np.finfo(a.dtype).eps) * largest
    return bool(np.all((a == b) | (np.abs(a - b) <= far) | (np.isnan(a) & np.isnan(b))))
