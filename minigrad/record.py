"""apply: the one place where arrays meet nodes. Forward on the arrays; a node is made if an input requires grad.

`run` is the whole of it. `apply_unary` and what `binary` makes say the same for the two kinds that most ops are of,
written out, because at small sizes the work around an op is half of what it costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

import numpy as np

from . import dtypes, ops
from .convert import root
from .dtypes import float32, float64
from .graph import Constant, Engine, Node, _recording, next_number
from .ops.op import Plan
from .tensor import Tensor, View, watch, wrap

Operator = Callable[[Any, Any], Any]
_new = object.__new__
FIRST = (True,)
NONE: dict[str, Any] = {}


def apply(op: type[ops.Op], *inputs: Any, **settings: Any) -> Any:
    """Run an op on Tensors, Python numbers and arrays: forward on the arrays, recorded if an input requires grad."""
    if len(inputs) == 1 and isinstance(inputs[0], Tensor):
        return apply_unary(op, inputs[0], settings)
    return run(op, inputs, settings)[0]


def run(op: type[ops.Op], inputs: tuple[Any, ...], settings: dict[str, Any]) -> tuple[Any, Any]:
    """apply, returning (output, what forward handed on after it)."""
    if Engine.begin is not None:
        Engine.begin(op)
    arrays: list[Any] = []
    record = False
    for x in inputs:
        if isinstance(x, Tensor):
            if x._view is not None:
                x._view.refresh(x)
            if x._requires_grad:
                record = True
            arrays.append(x.array)
        else:
            arrays.append(x)
    if op.promote is not None:
        arrays = dtypes.promoted(op.promote, arrays)
    if op.view and isinstance(arrays[0], np.generic) and isinstance(inputs[0], Tensor):
        arrays[0] = inputs[0]._shared()  # a number has no memory to share
    try:
        out = op.forward(*arrays, **settings)
    except (ValueError, TypeError) as error:
        raise _mismatch(op, arrays, error) from None
    extra = None
    if op.keeps:
        extra, out = out[1:], out[0]
    result = _new(Tensor)
    result.array = out
    result._grad = result._watch = result._extra = result._view = result._node = None
    result._requires_grad = False
    if record and _recording.get() and not op.integer_only:
        needs = tuple([isinstance(x, Tensor) and x._requires_grad for x in inputs])
        plan = op._plans.get(needs) or op.plan(needs)
        sources = tuple(
            [
                (x._node or x) if need else Constant(x) if hasattr(x, "shape") else x
                for x, need in zip(inputs, needs)  # noqa: B905
            ]
        )
        watched = tuple([watch(x) for i in plan.watched if isinstance(x := inputs[i], Tensor)]) if plan.watched else ()
        if plan.watches_out:
            result._watch = bytearray()
            watched += (result._watch,)
        saved = () if plan.save is None else plan.save(out, arrays, settings, extra)
        result._node = Node(plan, sources, saved, watched, settings, out)
        result._requires_grad = True
    if op.view and isinstance(out, np.ndarray) and out.base is not None:
        x = inputs[0]
        if isinstance(x, Tensor) and (
            out.base is x.array or out.base is x.array.base or out is x.array or _strided(out, x.array)
        ):
            result._view = View(x, [(op, settings)])
    if Engine.observe is not None:
        Engine.observe(op, arrays, result, settings, inputs)
    return result, extra


def apply_unary(op: type[ops.Op], a: Tensor, settings: dict[str, Any] = NONE) -> Any:
    """apply for one Tensor, written out: at small sizes the work around the op is half of what it costs."""
    x = a.array
    dtype = x.dtype
    if (op.promote is not None and dtype is not float32 and dtype is not float64) or Engine.observe is not None:
        return run(op, (a,), settings)[0]
    if a._view is not None:
        a._view.refresh(a)
    if (view := op.view) and type(x) is not np.ndarray:
        x = a._shared()  # a number has no memory to share
    out, extra = op.forward(x, **settings) if settings else op.forward(x), None
    if op.keeps:
        extra, out = out[1:], out[0]
    result = _new(Tensor)
    result.array = out
    result._grad = result._watch = result._extra = result._view = None
    if a._requires_grad and _recording.get() and (plan := op._plans.get(0) or _plan(op, 0)) is not None:
        node = result._node = _new(Node)
        node.plan = plan
        node.inputs = (a._node or a,)
        node.watched = _watched(plan.watches, a, None, result) if plan.watches else ()
        node.saved = () if plan.save is None else plan.save(out, (x,), settings, extra)
        node.settings = settings
        node.shape = out.shape
        node.dtype = out.dtype
        node.extra = None
        node.seq = next_number()
        result._requires_grad = True
    else:
        result._node = None
        result._requires_grad = False
    if (
        view
        and isinstance(out, np.ndarray)
        and (base := out.base) is not None
        and (base is x or base is x.base or _strided(out, x))
    ):
        result._view = View(a, [(op, settings)])
    return result


def binary(op: type[ops.Op], otherwise: Operator, reflected: bool = False) -> Operator:
    """The operator of a Tensor and what is on its right (*reflected*: on its left), written out as apply_unary is.

    For two Tensors of one float dtype, or one and a Python number; anything else goes to *otherwise*.
    """
    numbers = op is not ops.MatMul and op is not ops.Pow

    def operator(a: Tensor, b: Any) -> Any:
        x = a.array
        dtype = x.dtype
        kind = type(b)
        if (dtype is not float32 and dtype is not float64) or Engine.observe is not None:
            return otherwise(a, b)
        if kind is float or kind is int:
            if not numbers:
                return otherwise(a, b)
            y, needs = b, 0
        elif not reflected and (kind is Tensor or isinstance(b, Tensor)) and (y := b.array).dtype is dtype:
            if b._view is not None:
                b._view.refresh(b)
            needs = 2 if b._requires_grad else 0
        else:
            return otherwise(a, b)
        if a._view is not None:
            a._view.refresh(a)
        if a._requires_grad:
            needs += 1
        if reflected:  # then b is a number
            a, b, x, y, needs = b, a, y, x, needs + needs
        try:
            out = op.forward(x, y)
        except (ValueError, TypeError) as error:  # TypeError: numbers have no @
            raise _mismatch(op, [x, y], error) from None
        result = _new(Tensor)
        result.array = out
        result._grad = result._watch = result._extra = result._view = None
        if needs and _recording.get() and (plan := op._plans.get(needs) or _plan(op, needs)) is not None:
            node = result._node = _new(Node)
            node.plan = plan
            if needs == 3:
                node.inputs = (a._node or a, b._node or b)
            elif needs == 1:
                node.inputs = (a._node or a, b if y is b else _constant(b, y))
            else:
                node.inputs = (a if x is a else _constant(a, x), b._node or b)
            node.watched = _watched(plan.watches, a, b, result) if plan.watches else ()
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

    return operator


def _strided(out: Any, x: Any) -> bool:
    """Whether they share memory though numpy has put something in between, as its as_strided does."""
    return (type(out.base) is not np.ndarray or type(out.base.base) is not np.ndarray) and root(out) is root(x)


def _plan(op: type[ops.Op], needs: int) -> Plan | None:
    """The plan for one input that requires grad (0), or two of which the first (1), second (2) or both (3) do.

    Looked up by that number from then on. None for an op without a gradient.
    """
    if op.integer_only:
        return None
    plan = op._plans[needs] = op.plan((True,) if needs == 0 else (needs != 2, needs != 1))
    return plan


def _watched(watches: int, a: Any, b: Any, result: Tensor) -> tuple[bytearray, ...]:
    """What tells the node of changes in place of what it keeps of one or two inputs (1, 2) and the output (4)."""
    found: tuple[bytearray, ...] = ()
    if watches & 1 and a.__class__ is not float and a.__class__ is not int:  # a number is watched by nobody
        x = a if a._view is None else a._view.memory
        if (first := x._watch) is None:
            first = x._watch = bytearray()
        found = (first,)
    if watches & 2 and b.__class__ is not float and b.__class__ is not int:
        x = b if b._view is None else b._view.memory
        if (second := x._watch) is None:
            second = x._watch = bytearray()
        found = (first, second) if found else (second,)
    if watches & 4:
        result._watch = bytearray()
        found += (result._watch,)
    return found


def _constant(x: Tensor, array: Any) -> Constant:
    """Constant(x), written out."""
    constant = _new(Constant)
    constant.shape = array.shape
    constant.dtype = array.dtype
    constant.tensor = ref(x)
    return constant


def apply_split(op: type[ops.Op], x: Tensor, **settings: Any) -> tuple[Tensor, ...]:
    """Run an op with several outputs, all views of its input: one node for the op and one for each output."""
    if Engine.begin is not None:
        Engine.begin(op)
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


def _mismatch(op: type[ops.Op], arrays: list[Any], error: ValueError | TypeError) -> Exception:
    """The error for operands that do not go together, with all shapes in it."""
    if isinstance(error, TypeError) and op is not ops.MatMul:
        return error
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
