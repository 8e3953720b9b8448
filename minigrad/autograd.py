"""backward() and grad(): from a Tensor down its graph, and the gradients into `.grad`."""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from threading import RLock
from typing import Any, Literal, overload

import numpy as np

from . import ops
from .convert import as_array
from .graph import Engine, Node, leads_to, walk
from .modes import _recording, enable_grad as enable_grad, no_grad as no_grad
from .tensor import Tensor, changed, wrap

# Two threads may add to one leaf: a sum read, added to and written by both would lose one's gradient. One lock for all
# leaves, taken once a backward; again by its own thread where a collected object's __del__ calls backward.
_adding = RLock()


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the derivative of the sum of *tensors* to the `.grad` of the leaves: see Tensor.backward.

    grad_tensors: the gradient of each, or None for a Tensor of one element (1).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html
    """
    roots = _roots(tensors, grad_tensors, create_graph)
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not inputs:
            raise RuntimeError("inputs of backward() is empty: name Tensors, or leave it out for all leaves")
        found = grad(tensors, inputs, grad_tensors, retain_graph, create_graph, allow_unused=True)
        for tensor, gradient in zip(inputs, found, strict=True):
            if gradient is not None:
                accumulate(tensor, gradient if create_graph else gradient.array, create_graph)
        return
    token = _recording.set(create_graph)
    try:
        flight = walk(roots, create_graph if retain_graph is None else retain_graph, create_graph)
        del roots
        accumulate_leaves(flight, create_graph)
    finally:
        _recording.reset(token)


@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    allow_unused: Literal[True],
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]: ...
@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: Literal[False] | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]: ...
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of *outputs*' sum with respect to each of *inputs*, without touching any `.grad`.

    allow_unused: None for an input that the outputs do not depend on, in place of a RuntimeError that names it;
    materialize_grads: zeros for it. Other arguments as in backward.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if allow_unused is None:
        allow_unused = materialize_grads
    elif materialize_grads and not allow_unused:
        raise ValueError("materialize_grads=True needs allow_unused=True or nothing said of it")
    keys: list[Any] = []
    for i, tensor in enumerate(inputs):
        if not isinstance(tensor, Tensor) or not tensor.requires_grad:
            raise RuntimeError(f"input {i} of grad() does not require grad: call requires_grad_() on it first")
        keys.append(tensor.grad_fn or tensor)
    roots = _roots(outputs, grad_outputs, create_graph)
    targets: dict[Any, Any] = dict.fromkeys(keys)
    needed = leads_to([root for root, _ in roots], targets)
    token = _recording.set(create_graph)
    try:
        keep = create_graph if retain_graph is None else retain_graph
        flight = walk(roots, keep, create_graph, needed, targets)
    finally:
        _recording.reset(token)
    results: list[Tensor | None] = []
    for i, (tensor, key) in enumerate(zip(inputs, keys, strict=True)):
        gradient = targets[key] if type(key) is Node else flight.get(key)
        if gradient is None and not allow_unused:
            name = f" ({tensor.name!r})" if tensor.name else ""
            raise RuntimeError(
                f"input {i}{name} of grad(), of shape {tensor.array.shape}, was not used to compute the outputs: "
                "pass allow_unused=True if that is meant, and get None for it"
            )
        if gradient is None and materialize_grads:
            gradient = np.zeros(tensor.shape, tensor.dtype)
        if gradient is not None and not isinstance(gradient, Tensor):
            gradient = wrap(as_array(gradient).copy("K"))
        results.append(gradient)
    return tuple(results)


def _roots(tensors: Any, gradients: Any, create_graph: bool) -> list[tuple[Any, Any]]:
    """Where the walk starts: (node or leaf, gradient) for each output, checked."""
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if gradients is None or isinstance(gradients, Tensor) or not isinstance(gradients, (list, tuple)):
        gradients = [gradients] * (len(tensors) if gradients is None else 1)
    if len(gradients) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} outputs and {len(gradients)} gradients for them: give one each")
    roots = []
    for tensor, gradient in zip(tensors, gradients, strict=True):
        if not tensor.requires_grad:
            raise RuntimeError(
                f"nothing to differentiate: this Tensor of shape {tensor.array.shape} does not require grad and has no "
                "grad_fn; set requires_grad=True on the leaves before computing it (and not under no_grad)"
            )
        if gradient is None:
            if tensor.array.size != 1:
                raise RuntimeError(
                    f"grad can be created on its own for a scalar output only, this one has shape "
                    f"{tensor.array.shape}: "
                    "call backward on a sum or mean, or give gradient= of that shape"
                )
            gradient = tensor.array.dtype.type(1)  # the scalar, which is faster than a 0-d array
            if tensor.array.shape:
                gradient = np.full(tensor.array.shape, gradient)
        else:
            gradient = gradient if isinstance(gradient, Tensor) else Tensor(gradient, dtype=tensor.dtype)
            if gradient.shape != tensor.shape:
                raise RuntimeError(
                    f"the gradient has shape {gradient.array.shape}, its output {tensor.array.shape}: give it that "
                    "shape"
                )
            if gradient.dtype is not tensor.dtype:
                gradient = gradient.to(tensor.dtype)
            if not create_graph:
                gradient = gradient.array
        if create_graph and not isinstance(gradient, Tensor):
            gradient = wrap(gradient)
        roots.append((tensor._node or tensor, gradient))
    return roots


def accumulate_leaves(flight: dict[Tensor, Any], create_graph: bool) -> None:
    """Add the gradients that arrived at leaves to their `.grad`, which lies row by row in memory.

    An array that nothing else holds, and that lies so, is taken uncopied.
    """
    with _adding:
        while flight:
            leaf, gradient = flight.popitem()
            if not leaf._requires_grad:  # no more
                continue
            if leaf._grad is None and type(gradient) is np.ndarray:
                if gradient.base is not None or getrefcount(gradient) > _ALONE or not gradient.flags.c_contiguous:
                    gradient = gradient.copy()
                leaf._grad = wrap(gradient)
            else:
                _add(leaf, gradient, create_graph)


def accumulate(tensor: Tensor, gradient: Any, create_graph: bool) -> None:
    """Add a gradient, an array or (with create_graph) a Tensor, to a Tensor's `.grad`."""
    with _adding:
        _add(tensor, gradient, create_graph)


def _add(tensor: Tensor, gradient: Any, create_graph: bool) -> None:
    held = tensor._grad
    if create_graph:
        tensor._grad = gradient.clone() if held is None else held + gradient  # others may be given the same Tensor
    elif held is None:
        tensor._grad = wrap(gradient if isinstance(gradient, np.generic) else gradient.copy())
    elif held._node is None and held._shared().flags.writeable:
        np.add(held.array, gradient, out=held.array)
        if held._watch is not None:
            changed(held, "accumulation by backward()")
    else:
        tensor._grad = wrap(held.array + gradient)


def _count_alone() -> int:
    flight = {0: np.empty(1)}
    _, gradient = flight.popitem()
    return getrefcount(gradient)


# What getrefcount says of an array that one local variable holds; measured, since interpreters differ.
_ALONE = _count_alone()


def lift(node: Node) -> list[Any]:
    """What a node kept, as Tensors in the graph, so that its rule run on them is itself recorded."""
    lifted: list[Any] = []
    again: Any = None
    for (kind, which), value in zip(node.plan.wants, node.saved, strict=False):  # the inputs may stand after these
        if kind == "input":
            if type(value) in (list, tuple):
                value = [_linked(v, source) for v, source in zip(value, node.inputs, strict=True)]
            else:
                value = _linked(value, node.inputs[which])
        elif kind == "output":
            value = wrap(value, node)
        elif kind == "extra" and not node.op.constant_extras:
            if again is None:
                linked = [_linked(v, s) for v, s in zip(node.saved[-1], node.inputs, strict=True)]
                again = node.op.forward(*linked, **node.settings)
            value = again[which + 1]
        lifted.append(value)
    return lifted


def _linked(value: Any, source: Any) -> Any:
    """A kept input as a Tensor that leads on to where it came from."""
    if not hasattr(value, "dtype"):
        return value
    if isinstance(source, Node):
        if source.dtype is value.dtype:
            return wrap(value, source)
    elif not isinstance(source, Tensor):
        return wrap(value)
    elif source.array is value:
        return source
    # The input was cast, or a leaf's array exchanged since: a node that passes the gradient on stands between.
    return wrap(value, Node(ops.Clone.plan((True,)), (source,), (), (), {}, value))


Engine.lift, Engine.accumulate, Engine.backward = lift, accumulate, backward
