"""apply: the one place where arrays meet nodes. Forward on the arrays; a node is made if an input requires grad.

`run` is the whole of it. `apply_unary` and `apply_binary` say the same for the two kinds that most ops are of, written
out, because at small sizes the work around an op is half of what it costs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dtypes, ops
from .dtypes import float32, float64
from .graph import Constant, Engine, Node, _recording, next_number
from .tensor import Tensor, View, watch, wrap

_new = object.__new__
FIRST, BOTH, FIRST_OF_TWO, SECOND_OF_TWO = (True,), (True, True), (True, False), (False, True)
NONE: dict[str, Any] = {}


def apply(op: type[ops.Op], *inputs: Any, **settings: Any) -> Any:
    """Run an op on Tensors, Python numbers and arrays: forward on the arrays, recorded if an input requires grad."""
    if len(inputs) == 1 and isinstance(inputs[0], Tensor):
        return apply_unary(op, inputs[0], settings)
    return run(op, inputs, settings)[0]


def run(op: type[ops.Op], inputs: tuple[Any, ...], settings: dict[str, Any]) -> tuple[Any, Any]:
    """apply, returning (output, what forward handed on after it)."""
    arrays: list[Any] = []
    needs: list[bool] = []
    record = False
    for x in inputs:
        if isinstance(x, Tensor):
            if x._view is not None:
                x._view.refresh(x)
            needs.append(x._requires_grad)
            if x._requires_grad:
                record = True
            arrays.append(x.array)
        else:
            needs.append(False)
            arrays.append(x)
    if op.promote is not None:
        arrays = dtypes.promoted(op.promote, arrays)
    try:
        out = op.forward(*arrays, **settings)
    except ValueError as error:
        raise _mismatch(op, arrays, error) from None
    extra = None
    if op.keeps:
        extra, out = out[1:], out[0]
    result = _new(Tensor)
    result.array = out
    result._grad = result._watch = result._extra = result._view = result._node = None
    result._requires_grad = False
    if record and not op.integer_only and _recording.get():
        plan = op._plans.get(tuple(needs)) or op.plan(tuple(needs))
        sources = tuple(
            [
                (x._node or x) if need else Constant(x) if hasattr(x, "shape") else x
                for x, need in zip(inputs, needs)  # noqa: B905
            ]
        )
        watched = [watch(inputs[i]) for i in plan.watched if isinstance(inputs[i], Tensor)] if plan.watched else ()
        if plan.watches_out:
            result._watch = []
            watched = [*watched, result._watch]
        saved = () if plan.save is None else plan.save(out, arrays, settings, extra)
        result._node = Node(plan, sources, saved, watched, settings, out)
        result._requires_grad = True
    if op.view and isinstance(out, np.ndarray) and out.base is not None:
        x = inputs[0]
        if isinstance(x, Tensor) and (out.base is x.array or out.base is x.array.base or out is x.array):
            result._view = View(x, [(op, settings)])
    if Engine.observe is not None:
        Engine.observe(op, arrays, result, settings, inputs)
    return result, extra


def apply_unary(op: type[ops.Op], a: Tensor, settings: dict[str, Any] = NONE) -> Any:
    """apply for one Tensor, written out: at small sizes the work around the op is half of what it costs."""
    x = a.array
    dtype = x.dtype
    if (
        (op.promote is not None and dtype is not float32 and dtype is not float64)
        or op.keeps
        or Engine.observe is not None
    ):
        return run(op, (a,), settings)[0]
    if a._view is not None:
        a._view.refresh(a)
    out = op.forward(x, **settings)
    result = _new(Tensor)
    result.array = out
    result._grad = result._watch = result._extra = result._view = None
    if a._requires_grad and _recording.get() and not op.integer_only:
        plan = op._plans.get(FIRST) or op.plan(FIRST)
        node = result._node = _new(Node)
        node.plan = plan
        node.inputs = (a._node or a,)
        if plan.watched:
            node.watched = (watch(a),)
        elif plan.watches_out:
            result._watch = []
            node.watched = (result._watch,)
        else:
            node.watched = ()
        if plan.watches_out and plan.watched:
            result._watch = []
            node.watched = (*node.watched, result._watch)
        node.saved = () if plan.save is None else plan.save(out, (x,), settings, None)
        node.settings = settings
        node.shape = out.shape
        node.dtype = out.dtype
        node.extra = None
        node.seq = next_number()
        result._requires_grad = True
    else:
        result._node = None
        result._requires_grad = False
    if op.view and isinstance(out, np.ndarray) and out.base is not None and (out.base is x or out.base is x.base):
        result._view = View(a, [(op, settings)])
    return result


def apply_binary(op: type[ops.Op], a: Tensor, b: Any) -> Any:
    """apply for a Tensor and another or a Python number, done by hand as in apply_unary."""
    x = a.array
    dtype = x.dtype
    if (dtype is not float32 and dtype is not float64) or Engine.observe is not None:
        return run(op, (a, b), {})[0]
    if a._view is not None:
        a._view.refresh(a)
    if type(b) is float or type(b) is int:
        y, second = b, False
    elif isinstance(b, Tensor) and b.array.dtype is dtype:
        if b._view is not None:
            b._view.refresh(b)
        y, second = b.array, b._requires_grad
    else:
        return run(op, (a, b), {})[0]
    try:
        out = op.forward(x, y)
    except ValueError as error:
        raise _mismatch(op, [x, y], error) from None
    first = a._requires_grad
    result = _new(Tensor)
    result.array = out
    result._grad = result._watch = result._extra = result._view = None
    if (first or second) and _recording.get() and not op.integer_only:
        needs = BOTH if first and second else FIRST_OF_TWO if first else SECOND_OF_TWO
        plan = op._plans.get(needs) or op.plan(needs)
        node = result._node = _new(Node)
        node.plan = plan
        node.inputs = (
            (a._node or a) if first else Constant(a),
            (b._node or b) if second else b if y is b else Constant(b),
        )
        if plan.watched:
            watched = []
            for i in plan.watched:
                t = b if i else a
                if t is not y:  # a number is watched by nobody
                    watched.append(watch(t))
            node.watched = watched
        else:
            node.watched = ()
        if plan.watches_out:
            result._watch = []
            node.watched = (*node.watched, result._watch)
        node.saved = () if plan.save is None else plan.save(out, (x, y), NONE, None)
        node.settings = NONE
        node.shape = out.shape
        node.dtype = dtype
        node.extra = None
        node.seq = next_number()
        result._requires_grad = True
    else:
        result._node = None
        result._requires_grad = False
    return result


def apply_split(op: type[ops.Op], x: Tensor, **settings: Any) -> tuple[Tensor, ...]:
    """Run an op with several outputs, all views of its input: one node for the op and one for each output."""
    pieces = op.forward(x.array, **settings)
    reason = f"it is one of several views that {op.__name__.lower()}() returned: clone() it first"
    nodes: list[Node | None] = [None] * len(pieces)
    if x.requires_grad and _recording.get():
        plan = op.plan(FIRST)
        saved = () if plan.save is None else plan.save(None, (x.array,), settings, None)
        hub = Node(plan, (x._node or x,), saved, (), settings, x.array)
        part = ops.Part.plan(FIRST)
        nodes = [Node(part, (hub,), (i, x.shape), (), {"i": i}, piece) for i, piece in enumerate(pieces)]
    results = tuple([wrap(piece, node, View(x, reason)) for piece, node in zip(pieces, nodes, strict=True)])
    if Engine.observe is not None:
        for i, result in enumerate(results):
            Engine.observe(op, [x.array], result, {**settings, "i": i}, (x,))
    return results


def _mismatch(op: type[ops.Op], arrays: list[Any], error: ValueError) -> Exception:
    """The error for operands that do not go together, with all shapes in it."""
    shapes = [str(x.shape) for x in arrays if hasattr(x, "shape")]
    if len(shapes) < 2:
        return type(error)(f"{op.__name__.lower()} of shape {', '.join(shapes)}: {error}")
    rule = (
        "the last dimension of the first must be the second to last of the second"
        if op is ops.MatMul
        else "shapes go together where, from the right, sizes are equal or one of them is 1"
    )
    return RuntimeError(f"{op.__name__.lower()}: shapes {' and '.join(shapes)} do not go together; {rule}")


Tensor._apply = staticmethod(apply)  # type: ignore[attr-defined]  # Op.apply finds it: a rule may call a rule

# glibc gives freed memory back to the system, and every training step takes it again page by page: up to a quarter of
# its time. Once a block of up to 32 MB was freed, it keeps twice as much instead (mallopt(3), M_MMAP_THRESHOLD). Nobody
# writes to this block, so it costs no memory itself.
np.empty(30 * 2**20, np.uint8)
