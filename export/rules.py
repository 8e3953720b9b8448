"""Which op of minigrad is which in ONNX: elementwise ops, comparisons and reductions. The rest is in arrange.py.

A rule gets the graph, the step and the names of its inputs, and returns the name of its output. An op that ONNX has
by the same meaning is a line of SAME; one that it has by another name or in pieces is a function.
Source: https://onnx.ai/onnx/operators/ (opset 20).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .graph import Graph
from .traced import Step

Rule = Callable[..., str]
RULES: dict[str, Rule] = {}

SAME = {
    "Add": "Add", "Sub": "Sub", "Mul": "Mul", "Div": "Div", "Neg": "Neg", "Pow": "Pow", "Exp": "Exp", "Log": "Log",
    "Sqrt": "Sqrt", "Tanh": "Tanh", "Sigmoid": "Sigmoid", "Relu": "Relu", "Sin": "Sin", "Cos": "Cos", "Abs": "Abs",
    "Floor": "Floor", "Ceil": "Ceil", "Maximum": "Max", "Minimum": "Min", "Erf": "Erf", "Softplus": "Softplus",
    "Gelu": "Gelu", "Clone": "Identity", "MatMul": "MatMul", "Equal": "Equal", "Less": "Less",
    "LessEqual": "LessOrEqual", "Greater": "Greater", "GreaterEqual": "GreaterOrEqual",
}  # fmt: skip


def rule(*names: str) -> Callable[[Rule], Rule]:
    """This function is the rule of these ops."""

    def registered(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return registered


@rule(*SAME)
def same(g: Graph, step: Step, *inputs: str) -> str:
    return g.op(SAME[step.op], *inputs)


def number(x: float, step: Step) -> Any:
    """A number in the dtype of the step's output."""
    return np.asarray(x, step.output.dtype)


def floats(step: Step) -> bool:
    return step.output.dtype.kind == "f"


# --------------------------------------------------------------------------------------------- elementwise


@rule("PowScalar")
def pow_scalar(g: Graph, step: Step, x: str) -> str:
    n = step.settings["n"]
    if n == 2:
        return g.op("Mul", x, x)
    if n == 0.5:
        return g.op("Sqrt", x)
    if n in (-1, -0.5):
        return g.op("Reciprocal", x if n == -1 else g.op("Sqrt", x))
    return g.op("Pow", x, number(n, step))


@rule("Expm1")
def expm1(g: Graph, step: Step, x: str) -> str:
    """exp(x) - 1 = tanh(x / 2) * (exp(x) + 1), which is exact for small x too."""
    half = g.op("Tanh", g.op("Mul", x, number(0.5, step)))
    return g.op("Mul", half, g.op("Add", g.op("Exp", x), number(1, step)))


@rule("Log1p")
def log1p(g: Graph, step: Step, x: str) -> str:
    """log(u) * x / (u - 1) with u = 1 + x as it was rounded; x itself where u is 1. Source: Kahan."""
    one = number(1, step)
    u = g.op("Add", x, one)
    rounded = g.op("Sub", u, one)
    none = g.op("Equal", rounded, number(0, step))
    ratio = g.op("Div", x, g.op("Where", none, one, rounded))
    whole = g.op("Mul", g.op("Log", u), g.op("Where", g.op("IsInf", x), one, ratio))
    return g.op("Where", none, x, whole)


@rule("Log2", "Log10")
def other_log(g: Graph, step: Step, x: str) -> str:
    return g.op("Mul", g.op("Log", x), number(1 / math.log(2 if step.op == "Log2" else 10), step))


@rule("Sign")
def sign(g: Graph, step: Step, x: str) -> str:
    if step.output.dtype.kind == "b":
        return g.op("Identity", x)
    found = g.op("Sign", x)
    return g.op("Where", g.op("IsNaN", x), number(0, step), found) if floats(step) else found


@rule("Round")
def rounded(g: Graph, step: Step, x: str) -> str:
    if not floats(step):
        return g.op("Identity", x)
    scale = number(10.0 ** step.settings.get("decimals", 0), step)
    if scale == 1:
        return g.op("Round", x)
    return g.op("Div", g.op("Round", g.op("Mul", x, scale)), scale)


@rule("Remainder")
def remainder(g: Graph, step: Step, x: str, y: str) -> str:
    if not floats(step):
        return g.op("Mod", x, y)
    return g.op("Sub", x, g.op("Mul", y, g.op("Floor", g.op("Div", x, y))))


@rule("FloorDivide", "DivRound")
def floor_divide(g: Graph, step: Step, x: str, y: str) -> str:
    toward_0 = step.settings.get("mode", "floor") == "trunc"
    if floats(step):
        z = g.op("Div", x, y)
        if not toward_0:
            return g.op("Floor", z)
        return g.op("Mul", g.op("Sign", z), g.op("Floor", g.op("Abs", z)))
    z = g.op("Div", x, y)  # integers: toward 0
    if toward_0:
        return z
    rest = g.op("Sub", x, g.op("Mul", z, y))
    below = g.op("And", g.op("Not", g.op("Equal", rest, number(0, step))), g.op("Xor", *[
        g.op("Less", part, number(0, step)) for part in (rest, y)
    ]))  # fmt: skip
    return g.op("Sub", z, g.cast(below, step.output.dtype))


@rule("Clamp")
def clamp(g: Graph, step: Step, x: str, lo: str | None, hi: str | None) -> str:
    if lo is not None:
        x = g.op("Max", x, lo)
    return x if hi is None else g.op("Min", x, hi)


@rule("Where")
def where(g: Graph, step: Step, c: str, x: str, y: str) -> str:
    return g.op("Where", c, x, y)


@rule("Cast")
def cast(g: Graph, step: Step, x: str) -> str:
    return g.cast(x, step.output.dtype)


@rule("GeluTanh")
def gelu_tanh(g: Graph, step: Step, x: str) -> str:
    return g.op("Gelu", x, approximate="tanh")


@rule("Elu")
def elu(g: Graph, step: Step, x: str) -> str:
    return g.op("Elu", x, alpha=float(step.settings.get("alpha", 1.0)))


@rule("BinaryCrossEntropy")
def binary_cross_entropy(g: Graph, step: Step, x: str, y: str) -> str:
    one, least = number(1, step), number(-100, step)
    rest = g.op("Sub", one, x)
    logs = [g.op("Max", g.op("Log", part), least) for part in (x, rest)]
    taken = g.op("Mul", y, logs[0]), g.op("Mul", g.op("Sub", one, y), logs[1])
    return g.op("Neg", g.op("Add", *taken))


# --------------------------------------------------------------------------------------------- comparisons


@rule("NotEqual")
def not_equal(g: Graph, step: Step, x: str, y: str) -> str:
    return g.op("Not", g.op("Equal", x, y))


LOGIC = {
    "LogicalAnd": ("And", ""), "LogicalOr": ("Or", ""), "LogicalXor": ("Xor", ""), "LogicalNot": ("Not", ""),
    "BitAnd": ("And", "BitwiseAnd"), "BitOr": ("Or", "BitwiseOr"), "BitXor": ("Xor", "BitwiseXor"),
    "BitNot": ("Not", "BitwiseNot"),
}  # fmt: skip


@rule(*LOGIC)
def logic(g: Graph, step: Step, *inputs: str) -> str:
    of_bools, of_bits = LOGIC[step.op]
    if of_bits and step.output.dtype.kind != "b":
        return g.op(of_bits, *inputs)
    truth = [
        name if dtype is None or dtype.kind == "b" else g.cast(name, np.bool_)
        for name, dtype in zip(inputs, step.dtypes, strict=True)
    ]
    return g.op(of_bools, *truth)


@rule("IsNan", "IsInf", "IsFinite")
def is_what(g: Graph, step: Step, x: str) -> str:
    if step.op != "IsFinite":
        return g.op("IsNaN" if step.op == "IsNan" else "IsInf", x)
    return g.op("Not", g.op("Or", g.op("IsNaN", x), g.op("IsInf", x)))


# ---------------------------------------------------------------------------------------------- reductions


def axes(g: Graph, step: Step) -> str | None:
    """The dimensions that are reduced; None for all."""
    dim = step.settings.get("dim")
    return None if dim is None else g.ints(*(dim if isinstance(dim, tuple) else (dim,)))


def reduced(g: Graph, kind: str, step: Step, x: str, keep: bool | None = None) -> str:
    dim = step.settings.get("dim")
    keepdims = int(step.settings.get("keepdim", False) if keep is None else keep)
    if not step.inputs[0].shape:  # a 0-d value has no dimensions to reduce
        return g.op("Identity", x)
    if dim == ():
        return g.op(kind, x, g.ints(), keepdims=keepdims, noop_with_empty_axes=1)
    return g.op(kind, x, axes(g, step), keepdims=keepdims)


REDUCED = {
    "Amax": "ReduceMax", "Amin": "ReduceMin", "MaxDim": "ReduceMax", "MinDim": "ReduceMin",
    "MaxAll": "ReduceMax", "MinAll": "ReduceMin", "Prod": "ReduceProd", "LogSumExp": "ReduceLogSumExp",
}  # fmt: skip


@rule(*REDUCED)
def reduce(g: Graph, step: Step, x: str) -> str:
    return reduced(g, REDUCED[step.op], step, x)


@rule("Mean")
def mean(g: Graph, step: Step, x: str) -> str:
    if 0 in step.inputs[0].shape:  # of nothing it is nan, which ReduceMean leaves open
        return g.op("Div", reduced(g, "ReduceSum", step, x), number(0, step))
    return reduced(g, "ReduceMean", step, x)


@rule("Sum")
def total(g: Graph, step: Step, x: str) -> str:
    return reduced(g, "ReduceSum", step, x if floats(step) else g.cast(x, np.int64))


@rule("All", "Any")
def truth(g: Graph, step: Step, x: str) -> str:
    true = x if step.inputs[0].dtype.kind == "b" else g.cast(x, np.bool_)
    counted = true if step.op == "Any" else g.op("Not", true)
    some = g.op("Greater", reduced(g, "ReduceSum", step, g.cast(counted, np.int64)), np.int64(0))
    return some if step.op == "Any" else g.op("Not", some)


@rule("Var", "Std")
def variance(g: Graph, step: Step, x: str) -> str:
    """In float64, as the engine has it: the mean of the squares' distance, times n / (n - correction)."""
    source, correction = step.inputs[0], step.settings.get("correction", 1)
    wide = x if source.dtype == np.float64 else g.cast(x, np.float64)
    apart = g.op("Sub", wide, reduced(g, "ReduceMean", step, wide, keep=True))
    squares = reduced(g, "ReduceSum", step, g.op("Mul", apart, apart))
    dim = step.settings.get("dim")
    dims = range(len(source.dims)) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    count = g.constant(np.int64(1))
    for d in dims:
        count = g.op("Mul", count, g.size(source.dims[d]))
    free = g.op("Max", g.op("Sub", g.cast(count, np.float64), np.float64(correction)), np.float64(0))
    found = g.op("Div", squares, free)
    if step.op == "Std":
        found = g.op("Sqrt", found)
    return found if step.output.dtype == np.float64 else g.cast(found, step.output.dtype)


@rule("Norm")
def norm(g: Graph, step: Step, x: str) -> str:
    p = step.settings.get("p", 2.0)
    if not step.inputs[0].shape and p != 0:
        return g.op("Abs", x)
    if p in (1, 2):
        return reduced(g, "ReduceL1" if p == 1 else "ReduceL2", step, x)
    if p in (math.inf, -math.inf):
        return reduced(g, "ReduceMax" if p > 0 else "ReduceMin", step, g.op("Abs", x))
    if p == 0:
        differs = g.op("Not", g.op("Equal", x, number(0, step)))
        return reduced(g, "ReduceSum", step, g.cast(differs, step.output.dtype))
    powers = reduced(g, "ReduceSum", step, g.op("Pow", g.op("Abs", x), number(p, step)))
    return g.op("Pow", powers, number(1 / p, step))


@rule("CumSum")
def cumsum(g: Graph, step: Step, x: str) -> str:
    return g.op("CumSum", x, np.int64(step.settings["dim"])) if step.output.shape else g.op("Identity", x)


@rule("ArgMax", "ArgMin")
def arg(g: Graph, step: Step, x: str) -> str:
    dim, keep = step.settings.get("dim"), int(step.settings.get("keepdim", False))
    if step.inputs[0].dtype.kind == "b":
        x = g.cast(x, np.int32)
    if dim is None:
        found = g.op(step.op, g.op("Reshape", x, g.ints(-1)), axis=0, keepdims=0)
        return g.op("Reshape", found, g.ints(*[1] * len(step.output.shape))) if keep else found
    if not step.inputs[0].shape:
        return g.constant(np.int64(0))
    return g.op(step.op, x, axis=dim, keepdims=keep)
