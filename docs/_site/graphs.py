"""The little graph of each rule, run with numbers and drawn by viz."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
import viz
from minigrad import ops
from minigrad.ops.op import Rule


def leaf(values: Any) -> mg.Tensor:
    """A float32 leaf that requires grad."""
    return mg.tensor(np.asarray(values, np.float32), requires_grad=True)


def grid(*shape: int) -> mg.Tensor:
    """0, 1, 2 ... in this shape."""
    return leaf(np.arange(math.prod(shape), dtype=np.float32).reshape(shape))


def at(*places: list[int]) -> tuple[np.ndarray, ...]:
    """An index of integer arrays."""
    return tuple([np.array(place) for place in places])


FIRST, SECOND = [0.5, -1.0, 2.0], [2.0, 3.0, -0.5]
POSITIVE = [0.5, 1.0, 4.0]
TIES = [3.0, 1.0, 3.0]
XS = lambda: (leaf([1.0, 2.0]), leaf([3.0]))  # noqa: E731

# What a rule runs on where FIRST and SECOND do not do: inputs and settings.
ON: dict[str, Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    **{name: lambda: ((leaf(POSITIVE),), {}) for name in ("Log", "Log1p", "Log2", "Log10", "Sqrt")},
    "Pow": lambda: ((leaf([2.0, 0.0, 3.0]), leaf([3.0, 1.0, -1.0])), {}),
    "PowScalar": lambda: ((leaf(FIRST),), {"n": 3}),
    "Remainder": lambda: ((leaf([5.5, -1.0, 7.0]), leaf([2.0, 3.0, -4.0])), {}),
    "Round": lambda: ((leaf([0.5, 1.5, -1.2]),), {}),
    "Floor": lambda: ((leaf([0.5, 1.5, -1.2]),), {}),
    "Ceil": lambda: ((leaf([0.5, 1.5, -1.2]),), {}),
    "DivRound": lambda: ((leaf([5.5, -1.0, 7.0]), leaf([2.0, 3.0, -4.0])), {"mode": "floor"}),
    "Maximum": lambda: ((leaf([1.0, 2.0, 5.0]), leaf([1.0, 3.0, 4.0])), {}),
    "Minimum": lambda: ((leaf([1.0, 2.0, 5.0]), leaf([1.0, 3.0, 4.0])), {}),
    "Clamp": lambda: ((leaf([-2.0, 0.5, 3.0]), leaf(-1.0), leaf(1.0)), {}),
    "Where": lambda: ((mg.tensor([True, False, True]), leaf(FIRST), leaf(SECOND)), {}),
    "Cast": lambda: ((leaf(FIRST),), {"dtype": np.float64}),
    "Softmax": lambda: ((leaf([1.0, 2.0, 3.0]),), {"dim": 0}),
    "LogSoftmax": lambda: ((leaf([1.0, 2.0, 3.0]),), {"dim": 0}),
    "CrossEntropy": lambda: ((leaf([[1.0, 2.0, 3.0]]),), {"target": np.array([2])}),
    "BinaryCrossEntropy": lambda: ((leaf([0.2, 0.5, 0.9]), leaf([0.0, 1.0, 1.0])), {}),
    "BatchNorm": lambda: ((leaf([[1.0], [2.0], [6.0]]), leaf([2.0]), leaf([1.0])), {"dim": (0,)}),
    "LayerNorm": lambda: ((leaf([[1.0, 2.0, 6.0]]), leaf([1.0, 1.0, 2.0]), leaf([0.0, 0.0, 1.0])), {"dim": 1}),
    "Mean": lambda: ((grid(2, 2),), {"dim": 1}),
    "Sum": lambda: ((grid(2, 2),), {"dim": 1}),
    "Var": lambda: ((leaf([1.0, 2.0, 6.0]),), {}),
    "Std": lambda: ((leaf([1.0, 2.0, 6.0]),), {}),
    **{name: lambda: ((leaf([[3.0, 3.0], [0.0, 5.0]]),), {"dim": 1}) for name in ("MaxDim", "MinDim", "Amax", "Amin")},
    **{name: lambda: ((leaf(TIES),), {}) for name in ("MaxAll", "MinAll")},
    "Median": lambda: ((leaf([3.0, 1.0, 2.0, 2.0]),), {}),
    "Prod": lambda: ((leaf([2.0, 0.0, 3.0]),), {}),
    "LogSumExp": lambda: ((leaf([1.0, 2.0, 3.0]),), {"dim": 0}),
    "Norm": lambda: ((leaf([3.0, 0.0, -4.0]),), {}),
    "CumSum": lambda: ((leaf([1.0, 2.0, 3.0]),), {"dim": 0}),
    "SumTo": lambda: ((grid(2, 2),), {"shape": (1, 2)}),
    "Expand": lambda: ((leaf([[1.0, 2.0]]),), {"shape": (2, 2)}),
    "View": lambda: ((grid(2, 2),), {"shape": (4,)}),
    "Permute": lambda: ((grid(2, 2),), {"dims": (1, 0)}),
    "SwapAxes": lambda: ((grid(2, 2),), {"dim0": 0, "dim1": 1}),
    "Flip": lambda: ((leaf(FIRST),), {"dim": (0,)}),
    "Roll": lambda: ((leaf(FIRST),), {"shifts": 1, "dim": 0}),
    "Tril": lambda: ((leaf([[1.0, 2.0], [3.0, 4.0]]),), {}),
    "Triu": lambda: ((leaf([[1.0, 2.0], [3.0, 4.0]]),), {}),
    "Cat": lambda: (XS(), {"dim": 0}),
    "Stack": lambda: ((leaf([1.0, 2.0]), leaf([3.0, 4.0])), {"dim": 0}),
    "Slice": lambda: ((leaf([1.0, 2.0, 3.0]),), {"index": (slice(1, None),)}),
    "Place": lambda: ((leaf([7.0, 8.0]),), {"index": (slice(1, None),), "shape": (3,)}),
    "Index": lambda: ((leaf([5.0, 6.0, 7.0]),), {"index": at([0, 0, 2])}),
    "ScatterIndex": lambda: ((leaf([1.0, 2.0, 4.0]),), {"index": at([0, 0, 2]), "shape": (3,)}),
    "IndexAdd": lambda: ((leaf([1.0, 2.0, 3.0]), leaf([10.0, 20.0])), {"index": at([1, 1])}),
    "SetItem": lambda: ((leaf([1.0, 2.0, 3.0]), leaf([7.0, 8.0])), {"index": (slice(1, None),)}),
    "PutFlat": lambda: ((leaf([1.0, 2.0, 3.0]), leaf([7.0, 8.0])), {"positions": np.array([2, 0])}),
    "Gather": lambda: ((grid(2, 2),), {"index": at([[0], [1]], [[1, 1], [0, 1]])}),
    "Unfold": lambda: ((leaf([1.0, 2.0, 3.0]),), {"dim": 0, "size": 2, "step": 1}),
    "MatMul": lambda: ((grid(2, 2), leaf([[1.0, -1.0], [2.0, 0.5]])), {}),
    "Linear": lambda: ((grid(2, 2), leaf([[1.0, -1.0], [2.0, 0.5]]), leaf([0.0, 1.0])), {}),
    "Einsum": lambda: ((grid(2, 2), leaf([1.0, 2.0])), {"equation": "ij,j->i"}),
}
# Of these the gradient of an even gradient is 0: the one from above is 1 to 3.
UNEVEN = ("Softmax", "LogSoftmax", "BatchNorm", "LayerNorm")
# Ops that give several outputs, which the functions cut up: these are drawn with what is called.
CALLED: dict[str, Callable[[], tuple[list[Any], list[Any]]]] = {
    "Split": lambda: ([x := grid(4)], [sum_of(mg.split(x, 2))]),
    "Unbind": lambda: ([x := grid(2, 2)], [sum_of(mg.unbind(x))]),
    "Part": lambda: ([x := grid(2, 2)], [mg.unbind(x)[1] * 1]),
}


def sum_of(parts: Any) -> Any:
    """The parts added, the second one doubled."""
    return parts[0] + parts[1] * 2


def row_of(name: str) -> tuple[list[Any], list[Any]]:
    """A new rule, of which nothing is said here, as the parity table has it: the smallest case of its first row."""
    row = next(row for row in rows_of(name))
    case = min((case for case in row.shapes if all(map(math.prod, case))), key=lambda case: sum(map(math.prod, case)))
    inputs = [leaf(np.linspace(0.5, 2.0, math.prod(shape)).reshape(shape)) for shape in case]
    out = row.call(mg, *inputs)
    return inputs, list(out) if isinstance(out, (tuple, list)) else [out]


def rows_of(name: str) -> list[Any]:
    """The rows of the parity table, tests/parity/table.py, that name the rule."""
    from tests.parity.table import TABLE_OF_OPS

    return [row for row in TABLE_OF_OPS if name in row.rules.split()]


def graph_of(op: type[ops.Op]) -> tuple[dict[str, Any], list[Any]]:
    """A rule run on small numbers, forward and backward: the Tensors by name, and the outputs."""
    name, rule = op.__name__, Rule(op)
    if name in CALLED or (name not in ON and rule.settings):
        inputs, outputs = CALLED[name]() if name in CALLED else row_of(name)
        names: dict[str, Any] = {**dict(zip(("x", "y", "z"), inputs, strict=False)), "out": outputs[0]}
    else:
        defaults = [leaf(FIRST), leaf(SECOND), leaf(POSITIVE)]
        inputs, settings = ON[name]() if name in ON else (defaults[: len(rule.inputs)], {})
        outputs = [op.apply(*inputs, **settings)]
        labels = [f"x{i}" for i in range(len(inputs))] if rule.variadic else rule.inputs
        names = {**dict(zip(labels, inputs, strict=True)), output_name(op): outputs[0]}
    for out in outputs:
        if out.requires_grad:
            out.retain_grad()
            above = mg.ones_like(out)
            if name in UNEVEN:
                above = mg.linspace(1, 3, out.numel()).reshape(out.shape)
            out.backward(above, retain_graph=True)
    return names, outputs


def output_name(op: type[ops.Op]) -> str:
    """What the gradients' first parameter calls the output: dz is the gradient of z."""
    rule = Rule(op)
    for gradient in (rule.joint, *rule.single.values()):
        if gradient is not None:
            return gradient.__code__.co_varnames[0][1:]
    return "y"


def picture(op: type[ops.Op]) -> viz.Picture | None:
    """The picture, or None for an op that no gradient goes through, and which therefore has no graph."""
    names, outputs = graph_of(op)
    if not outputs[0].requires_grad:
        return None
    return viz.show(outputs, names, legend=False, direction="LR")


# x at which the table of edge cases looks at an elementwise rule of one input.
EDGES = [-math.inf, -2.0, -0.5, 0.0, 0.5, 1.0, 2.0, math.inf, math.nan]


def edges(op: type[ops.Op]) -> list[tuple[float, float, float]] | None:
    """x, y and dx for dy = 1 at EDGES, of an elementwise rule of one input; None for any other."""
    rule = Rule(op)
    if op.__module__.rsplit(".", 1)[1] not in ("elementwise", "special", "fused") or rule.variadic:
        return None
    if len(rule.inputs) != 1 or rule.settings not in ((), ("alpha",)) or op.__name__ in ("Clone", "Neg"):
        return None
    x = mg.tensor(EDGES, dtype=mg.float64, requires_grad=True)
    y = op.apply(x)
    y.backward(mg.ones_like(y))
    return list(zip(EDGES, y.tolist(), x.grad.tolist(), strict=True))
