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
from .graph import Constant, Engine, Node, next_number
from .modes import _recording
from .tensor import Tensor, View, watch, wrap

Operator = Callable[[Any, Any], Any]
_new = object.__new__
FIRST = (True,)
BOTH = (b"\0\0", b"\1\0", b"\0\1", b"\1\1")  # which of two inputs requires grad: neither, the first, the second, both
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
    needs: list[bool] = []
    for x in inputs:
        if isinstance(x, Tensor):
            if x._view is not None:
                x._view.refresh(x)
            needs.append(x._requires_grad)
            arrays.append(x.array)
        else:
            needs.append(False)
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
    recorded = None
    if True in needs and _recording.get():
        recorded = op._plans.get(bytes(needs)) or _recorder(op, bytes(needs))
    result = wrap(out) if recorded is None else recorded(out, settings, extra, *inputs, *arrays)
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
    if a._requires_grad and _recording.get() and (recorded := op._plans.get(b"\1") or _recorder(op, b"\1")) is not None:
        result = recorded(out, settings, extra, a, x)
    else:
        result = wrap(out)
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
        if needs and _recording.get():
            recorded = op._plans.get(BOTH[needs]) or _recorder(op, BOTH[needs])
            if recorded is not None:
                return recorded(out, NONE, None, a, b, x, y)
        return wrap(out)

    return operator


def _strided(out: Any, x: Any) -> bool:
    """Whether they share memory though numpy has put something in between, as its as_strided does."""
    return (type(out.base) is not np.ndarray or type(out.base.base) is not np.ndarray) and root(out) is root(x)


def _recorder(op: type[ops.Op], needs: bytes) -> Callable[..., Tensor] | None:
    """What makes the Tensor and the node of an op that ran: f(out, settings, extra, *inputs, *arrays).

    needs: a 1 for each input that requires grad, else a 0. Compiled for the plan as its save is, once, and looked up by
    *needs* from then on. None for an op without a gradient.
    """
    if op.integer_only:
        return None
    plan, each = op.plan(tuple(map(bool, needs))), range(len(needs))
    lines = ["tensor = new(Tensor)", "node = tensor._node = new(Node)"]
    watched = ""
    if plan.variadic:  # any number of inputs, and no code for each
        given = "*given"
        lines.append("a, x = given[: len(needs)], given[len(needs) :]")
        sources = "*[t._node or t if need else constant(t) for t, need in zip(a, needs)],"
        watched = "*[w for t in a for w in watches(t)], " if plan.watched else ""
    else:
        given = ", ".join([f"a{i}" for i in each] + [f"x{i}" for i in each])
        sources = "".join(f"a{i}._node or a{i}, " if need else f"constant(a{i}), " for i, need in enumerate(needs))
    for i in plan.watched if not plan.variadic else ():
        if needs[i]:
            lines.append(f"memory = a{i} if a{i}._view is None else a{i}._view.memory")
            lines.append(f"if (w{i} := memory._watch) is None: w{i} = memory._watch = bytearray()")
            watched += f"w{i}, "
        else:
            watched += f"*watches(a{i}), "
    if plan.watches_out:
        watched += "own, "
    lines += [
        f"tensor._watch = {'own = bytearray()' if plan.watches_out else None}",
        f"node.inputs = ({sources})", f"node.watched = ({watched})", f"node.saved = ({plan.kept})",
        "node.plan = plan", "node.settings = s", "node.shape = out.shape", "node.dtype = out.dtype",
        "node.extra = None", "node.seq = next_number()",
        "tensor.array = out", "tensor._requires_grad = True", "tensor._grad = tensor._extra = tensor._view = None",
        "return tensor",
    ]  # fmt: skip
    scope = {
        "__name__": __name__, "Tensor": Tensor, "Node": Node, "new": _new, "next_number": next_number,
        "constant": _constant, "watches": _watches, "plan": plan, "needs": needs,
        "defaults": op._rule.defaults if op._rule else {},
    }  # fmt: skip
    source = f"def recorded(out, s, extra, {given}):\n " + "\n ".join(lines)
    exec(compile(source, f"{__file__}: {op.__name__}", "exec"), scope)
    recorded: Any = scope["recorded"]
    op._plans[needs] = recorded
    return recorded


def _constant(x: Any) -> Any:
    """What a node has for an input that does not require grad: a number as it is, the rest by shape and dtype."""
    kind = type(x)
    if kind is float or kind is int:
        return x
    if kind is not Tensor:
        return Constant(x) if hasattr(x, "shape") else x
    constant = _new(Constant)  # Constant(x), written out
    constant.shape = x.array.shape
    constant.dtype = x.array.dtype
    constant.tensor = ref(x)
    return constant


def _watches(x: Any) -> tuple[bytearray, ...]:
    """What tells a node of changes of such an input."""
    return (watch(x),) if isinstance(x, Tensor) else ()


def apply_split(op: type[ops.Op], x: Tensor, **settings: Any) -> tuple[Tensor, ...]:
    """Run an op with several outputs, all views of its input: one node for the op and one for each output."""
    if Engine.begin is not None:
        Engine.begin(op)
    pieces = op.forward(x.array, **settings)
    reason = f"it is one of several views that {op.__name__.lower()}() returned: clone() it first"
    nodes: list[Node | None] = [None] * len(pieces)
    if x.requires_grad and _recording.get():
        plan = op.plan(FIRST)
        saved = () if plan.save is None else plan.save(None, settings, None, x.array)
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
