"""Changes in place: checked before anything changes, told to the nodes that kept the value, carried into the graph.

In torch's meaning: y.mul_(2) makes y the output of that op; a change of a view is a change of its base, and
views of a changed base see it, values and gradients both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import dtypes, ops
from .convert import as_array
from .graph import Extra, Node
from .modes import _recording
from .record import apply
from .tensor import Tensor, changed, wrap


def update(tensor: Tensor, how: str, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Put compute(tensor) into the tensor's own memory, recorded where recording is on; return the tensor.

    Raises RuntimeError, with nothing changed, for a leaf that requires grad or a view of one, a result of another
    shape or of a dtype that this one cannot hold, and memory where several elements share a place.
    """
    view = tensor._view
    recording = _recording.get()
    if recording:
        _refuse_leaf(tensor, how)
    before = tensor
    if recording:
        # The rule may keep its input, whose memory is overwritten below: it gets a copy.
        before = wrap(as_array(tensor.array).copy("K"), tensor._node)
        before._requires_grad = tensor.requires_grad
    result = compute(before)
    if result.shape != tensor.shape:
        raise RuntimeError(
            f"{how}: a Tensor of shape {tensor.array.shape} cannot hold the result of shape {result.array.shape} in "
            "place; use the "
            "op that returns a new Tensor"
        )
    if dtypes.category(result.dtype) > dtypes.category(tensor.dtype):
        raise RuntimeError(f"{how}: a result of dtype {result.dtype} cannot be put in place into {tensor.dtype}")
    if recording and result._requires_grad:
        if view is not None and isinstance(view.chain, str):
            raise RuntimeError(f"{how}: this view cannot be changed in place, because {view.chain}")
        if tensor.dtype.kind != "f":
            raise RuntimeError(f"{how}: a gradient cannot flow through a Tensor of dtype {tensor.dtype}")
    write(tensor, result.array, how)
    if recording and (result._requires_grad or tensor._requires_grad or (view and view.base._requires_grad)):
        _rebase(tensor, result)
    return tensor


def write(tensor: Tensor, values: Any, how: str, index: Any = ...) -> None:
    """Overwrite the memory (at index) and tell the nodes that kept it."""
    if not isinstance(tensor.array, np.ndarray):
        tensor.array = as_array(tensor.array)
        if not tensor.array.flags.writeable:
            tensor.array = tensor.array.copy()
    if not tensor.array.flags.writeable:
        raise RuntimeError(
            f"{how}: this Tensor of shape {tensor.array.shape} cannot be written to, its memory is read-only or "
            "several "
            "elements share one place (expand): use clone() first"
        )
    tensor.array[index] = values
    changed(tensor, how)


def _refuse_leaf(tensor: Tensor, how: str) -> None:
    """Raise if a recorded change in place would overwrite a leaf that requires grad."""
    view = tensor._view
    what = ""
    if tensor.requires_grad and tensor._node is None:
        what = "a leaf Tensor"
    elif view is not None and isinstance(view.chain, list) and view.base._requires_grad and view.base._node is None:
        what = "a view of a leaf Tensor"
    if what:
        name = f" {tensor.name!r}" if tensor.name else ""
        raise RuntimeError(
            f"{how}: {what}{name} of shape {tensor.array.shape} that requires grad is being changed in place. Its "
            "gradient "
            "would be lost: do it under no_grad() (an update), or use the op that returns a new Tensor"
        )


def _rebase(tensor: Tensor, result: Tensor) -> None:
    """Make the graph say that the tensor, and the base it is a view of, is now this result."""
    view = tensor._view
    if view is None or not isinstance(view.chain, list):
        _set_node(tensor, result._node)
        tensor._watch = result._watch
        return
    base = view.base
    places = np.arange(base.array.size).reshape(base.shape)
    for op, settings in view.chain:
        places = op.forward(places, **settings)
    before = wrap(base.array, base._node)
    before._requires_grad = base._requires_grad
    _set_node(base, apply(ops.PutFlat, before, result, positions=np.asarray(places))._node)


def _set_node(tensor: Tensor, node: Node | None) -> None:
    """Exchange the node of a tensor; its name and its wish for the gradient go over; its views will follow."""
    name, retains = tensor.name, tensor.retains_grad
    if retains and tensor._node is not None and tensor._node.extra is not None:
        tensor._node.extra.retains = False
    tensor._node, tensor._requires_grad = node, node is not None
    if name is not None:
        tensor.name = name
    if retains:
        tensor.retain_grad()
    if tensor._extra is None:
        tensor._extra = Extra()
    tensor._extra.generation += 1
