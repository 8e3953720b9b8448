"""The table of ops: what each is called on, which rules it exercises, and on which shapes.

A row's call takes a namespace m, which is minigrad or torch, and the inputs. What is the same in both is written once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table.

    rules: the classes of minigrad.ops that it exercises. shapes: a list of cases, each a tuple of one shape an input.
    values: from which distribution (harness.VALUES), one for all inputs or one each, separated by blanks.
    ulps: how far from torch's it may be: see harness.compare. Sums and libm round a little differently in both.
    """

    name: str
    rules: str
    shapes: list[tuple[tuple[int, ...], ...]]
    call: Callable[..., Any]
    values: str = "normal"
    ulps: int = 8

    def __str__(self) -> str:
        return self.name


def each(*shapes: tuple[int, ...]) -> list[tuple[tuple[int, ...], ...]]:
    """Cases with one input each."""
    return [(shape,) for shape in shapes]


ANY = each((), (1,), (5,), (3, 1), (2, 3, 4), (0,), (2, 0, 3))
SOME = each((), (1,), (5,), (3, 1), (2, 3, 4))  # not empty
WITH_DIM = each((1,), (5,), (3, 1), (2, 3, 4), (0, 3))
LAST_DIM = each((), (1,), (5,), (3, 1), (2, 3, 4), (0, 3))  # dim -1 is there and not empty, if only as a number's
MATRIX = each((3, 4), (4, 4), (1, 3), (2, 0), (2, 4, 3))
CUBE = each((2, 3, 4), (1, 3, 1), (2, 0, 3))
TABLE = each((4, 3), (4, 1), (4, 0))
PAIRS = [
    ((), ()), ((1,), ()), ((5,), (5,)), ((5,), ()), ((), (2, 3)), ((1,), (5,)), ((3, 1), (1, 4)), ((2, 3, 4), (4,)),
    ((2, 3, 4), (3, 1)), ((4,), (2, 3, 4)), ((2, 1, 4), (2, 3, 1)), ((0,), (0,)), ((3, 1), (0,)), ((), (0, 2)), ((0, 3), (3,)),
]  # fmt: skip
TRIPLES = [((), (), ()), ((5,), (5,), (5,)), ((2, 3, 4), (3, 1), (4,)), ((2, 3, 4), (1, 4), ()), ((0, 3), (3,), (1, 1))]
PRODUCTS = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (4, 3, 2)), ((1, 2, 3), (6, 3, 2)), ((2, 0), (0, 3)), ((0, 2), (2, 3)),
    ((1, 1), (1, 1)), ((2, 2, 2, 3), (3,)), ((3,), (2, 2, 3, 2)), ((0, 2, 3), (3, 4)), ((0,), (0,)),
    ((2, 3, 0), (0, 4)), ((2, 0, 0), (0, 3)), ((2, 0, 3), (3, 0)), ((2, 1, 0, 0), (0, 0)),
]  # fmt: skip

ELEMENTWISE = [
    Row("neg", "Neg", ANY, lambda m, x: -x),
    Row("abs", "Abs", ANY, lambda m, x: m.abs(x)),
    Row("sign", "Sign", ANY, lambda m, x: m.sign(x)),
    Row("floor", "Floor", ANY, lambda m, x: m.floor(x * 3)),
    Row("ceil", "Ceil", ANY, lambda m, x: m.ceil(x * 3)),
    Row("round", "Round", ANY, lambda m, x: m.round(x * 3)),
    Row("round decimals=1", "Round", ANY, lambda m, x: m.round(x, decimals=1)),
    Row("exp", "Exp", ANY, lambda m, x: m.exp(x)),
    Row("expm1", "Expm1", ANY, lambda m, x: m.expm1(x)),
    Row("expm1 near 0", "Expm1", ANY, lambda m, x: m.expm1(x * 1e-6)),
    Row("log", "Log", ANY, lambda m, x: m.log(x), "positive"),
    Row("log1p", "Log1p", ANY, lambda m, x: m.log1p(x), "positive"),
    Row("log1p near 0", "Log1p", ANY, lambda m, x: m.log1p(x * 1e-6)),
    Row("log2", "Log2", ANY, lambda m, x: m.log2(x), "positive"),
    Row("log10", "Log10", ANY, lambda m, x: m.log10(x), "positive"),
    Row("sqrt", "Sqrt", ANY, lambda m, x: m.sqrt(x), "positive"),
    Row("rsqrt", "Div Sqrt", ANY, lambda m, x: m.rsqrt(x), "positive"),
    Row("square", "PowScalar", ANY, lambda m, x: m.square(x)),
    Row("reciprocal", "Div", ANY, lambda m, x: m.reciprocal(x), "positive"),
    Row("tanh", "Tanh", ANY, lambda m, x: m.tanh(x)),
    Row("sigmoid", "Sigmoid", ANY, lambda m, x: m.sigmoid(x)),
    Row("relu", "Relu", ANY, lambda m, x: m.relu(x)),
    Row("erf", "Erf", ANY, lambda m, x: m.erf(x)),
    Row("erf, far", "Erf", ANY, lambda m, x: m.erf(x * 3)),
    # At inf torch's float32 vector code says nan and its scalar code inf: no row of 5, so test_special_values leaves it out.
    Row("gelu", "Gelu", each((), (1,), (6,), (2, 3, 4), (0,)), lambda m, x: layers(m).gelu(x)),
    Row("gelu tanh", "GeluTanh", ANY, lambda m, x: layers(m).gelu(x, approximate="tanh"), "normal", 16),
    Row("softplus", "Softplus", ANY, lambda m, x: layers(m).softplus(x)),
    Row("softplus beta, threshold", "Softplus", ANY, lambda m, x: layers(m).softplus(x * 3, beta=2, threshold=4)),
    Row("elu", "Elu", ANY, lambda m, x: layers(m).elu(x)),
    Row("elu alpha", "Elu", ANY, lambda m, x: layers(m).elu(x * 3, alpha=0.7)),
    Row("sin", "Sin", ANY, lambda m, x: m.sin(x)),
    Row("cos", "Cos", ANY, lambda m, x: m.cos(x)),
    Row("clone", "Clone", ANY, lambda m, x: m.clone(x)),
    Row("to float64", "Cast", ANY, lambda m, x: x.to(m.float64)),
    Row("to float64 and back", "Cast", ANY, lambda m, x: x.double().to(x.dtype) * 2),
    Row("double, used twice", "Cast Add", ANY, lambda m, x: x.double() * x),
    *[
        Row(f"x ** {n}", "PowScalar", ANY, lambda m, x, n=n: x**n, "positive")
        for n in (0, 1, 2, 3, -1, -2, 0.5, -0.5, 2.5, 0.0, 1.0)
    ],
    Row("negative x ** 3", "PowScalar", ANY, lambda m, x: x**3),
    Row("2 ** x", "Pow", ANY, lambda m, x: 2**x),
    Row("0.5 ** x", "Pow", ANY, lambda m, x: 0.5**x),
    Row("pow", "Pow", PAIRS, lambda m, x, y: m.pow(x, y), "positive normal"),
    Row("x ** y", "Pow", PAIRS, lambda m, x, y: x**y, "positive normal"),
    Row("x + y", "Add", PAIRS, lambda m, x, y: x + y),
    Row("add alpha", "Add Mul", PAIRS, lambda m, x, y: m.add(x, y, alpha=2)),
    Row("x - y", "Sub", PAIRS, lambda m, x, y: x - y),
    Row("sub alpha", "Sub Mul", PAIRS, lambda m, x, y: m.sub(x, y, alpha=0.5)),
    Row("x * y", "Mul", PAIRS, lambda m, x, y: x * y),
    Row("x / y", "Div", PAIRS, lambda m, x, y: x / y, "normal positive"),
    Row("x * x", "Mul", ANY, lambda m, x: x * x),
    Row("x / x", "Div", ANY, lambda m, x: x / x, "positive"),
    Row("x + x", "Add", ANY, lambda m, x: x + x),
    Row("x - x", "Sub", ANY, lambda m, x: x - x),
    Row("x ** x", "Pow", ANY, lambda m, x: x**x, "positive"),
    Row("2 + x", "Add", ANY, lambda m, x: 2 + x),
    Row("2 - x", "Sub", ANY, lambda m, x: 2 - x),
    Row("2.5 * x", "Mul", ANY, lambda m, x: 2.5 * x),
    Row("2 / x", "Div", ANY, lambda m, x: 2 / x, "positive"),
    Row("x / 3", "Div", ANY, lambda m, x: x / 3),
    Row("x % y", "Remainder", PAIRS, lambda m, x, y: x % y, "normal positive"),
    Row("x % negative", "Remainder", PAIRS, lambda m, x, y: m.remainder(x, -y), "normal positive"),
    Row("x % 0.7", "Remainder", ANY, lambda m, x: x % 0.7),
    Row("2 % x", "Remainder", ANY, lambda m, x: 2 % x.detach(), "positive"),  # torch has no gradient here
    Row("div trunc", "DivRound", PAIRS, lambda m, x, y: m.div(x * 5, y, rounding_mode="trunc"), "normal positive"),
    Row("div floor", "DivRound", PAIRS, lambda m, x, y: m.div(x * 5, y, rounding_mode="floor"), "normal positive"),
    Row("maximum", "Maximum", PAIRS, lambda m, x, y: m.maximum(x, y)),
    Row("minimum", "Minimum", PAIRS, lambda m, x, y: m.minimum(x, y)),
    Row("maximum, ties", "Maximum", PAIRS, lambda m, x, y: m.maximum(x, y), "ties"),
    Row("minimum, ties", "Minimum", PAIRS, lambda m, x, y: m.minimum(x, y), "ties"),
    Row("max of two", "Maximum", PAIRS, lambda m, x, y: m.max(x, y)),
    Row("min of two", "Minimum", PAIRS, lambda m, x, y: m.min(x, y)),
    Row("clamp both", "Clamp", ANY, lambda m, x: m.clamp(x, -0.5, 0.5)),
    Row("clamp min", "Clamp", ANY, lambda m, x: m.clamp(x, min=0)),
    Row("clamp max", "Clamp", ANY, lambda m, x: m.clamp(x, max=0.25)),
    Row("clamp at its bounds", "Clamp", ANY, lambda m, x: m.clamp(x, -1, 1), "ties"),
    Row("clamp, bounds crossed", "Clamp", ANY, lambda m, x: m.clamp(x, 1, -1), "ties"),
    Row("clamp by tensors", "Clamp", TRIPLES, lambda m, x, lo, hi: m.clamp(x, lo, hi)),
    Row("clamp by tensors, ties", "Clamp", TRIPLES, lambda m, x, lo, hi: m.clamp(x, lo, hi), "ties"),
    Row("clamp min tensor", "Clamp", PAIRS, lambda m, x, lo: m.clamp(x, min=lo)),
    Row("clamp max tensor", "Clamp", PAIRS, lambda m, x, hi: m.clamp(x, max=hi)),
    Row("where", "Where", TRIPLES, lambda m, c, x, y: m.where(c > 0, x, y)),
    Row("where number", "Where", PAIRS, lambda m, c, x: m.where(c > 0, x, 0.5)),
    Row("where number first", "Where", PAIRS, lambda m, c, x: m.where(c > 0, -1, x)),
    Row("where itself", "Where", ANY, lambda m, x: m.where(x > 0, x, x * 0.1)),
    Row("masked_fill", "Where", ANY, lambda m, x: m.masked_fill(x, x > 0, 7)),
    Row("masked_fill wide mask", "Where", PAIRS, lambda m, c, x: x.masked_fill(c > 0, -float("inf"))),
    Row("masked_fill 0-d value", "Where", [((2, 3), ()), ((), ())], lambda m, x, v: x.masked_fill(x > 0, v)),
    Row("micrograd's style", "Mul Add PowScalar", [((), ())], lambda m, a, b: a * b + b**3 + (-a) / 2.0 + 1),
]

COMPARE = [
    Row("==", "Equal", PAIRS, lambda m, x, y: x == y, "ties"),
    Row("!=", "NotEqual", PAIRS, lambda m, x, y: x != y, "ties"),
    Row("<", "Less", PAIRS, lambda m, x, y: x < y, "ties"),
    Row("<=", "LessEqual", PAIRS, lambda m, x, y: x <= y, "ties"),
    Row(">", "Greater", PAIRS, lambda m, x, y: x > y, "ties"),
    Row(">=", "GreaterEqual", PAIRS, lambda m, x, y: x >= y, "ties"),
    Row("functions eq .. ge", "Equal NotEqual Less LessEqual Greater GreaterEqual", PAIRS,
        lambda m, x, y: [f(x, y) for f in (m.eq, m.ne, m.lt, m.le, m.gt, m.ge)], "ties"),
    Row("compare with 1", "Equal Less", ANY, lambda m, x: [x == 1, x < 1, x <= 0.5], "ties"),
    Row("logical", "LogicalAnd LogicalOr LogicalXor", PAIRS,
        lambda m, x, y: [m.logical_and(x, y), m.logical_or(x, y), m.logical_xor(x, y)], "ties"),
    Row("logical_not", "LogicalNot", ANY, lambda m, x: m.logical_not(x), "ties"),
    Row("& | ^ of masks", "BitAnd BitOr BitXor", PAIRS,
        lambda m, x, y: [(x > 0) & (y > 0), (x > 0) | (y > 0), (x > 0) ^ (y > 0)]),
    Row("& | ^ ~ of ints", "BitAnd BitOr BitXor BitNot", PAIRS,
        lambda m, x, y: [x.long() & y.long(), m.bitwise_or(x.long(), 2), x.long() ^ y.long(), ~x.long()], "ties"),
    Row("~", "BitNot", ANY, lambda m, x: ~(x > 0)),
    # torch has no gradient for //; ours says that its result does not require grad.
    Row("//", "FloorDivide", PAIRS, lambda m, x, y: x.detach() // y.detach(), "normal positive"),
    Row("// negative", "FloorDivide", PAIRS, lambda m, x, y: m.floor_divide(x.detach() * 4, -y.detach()), "normal positive"),
    Row("// of ints", "FloorDivide Remainder", PAIRS, lambda m, x, y: [x.long() // 2, x.long() % -3], "ties"),
    Row("isnan isinf isfinite", "IsNan IsInf IsFinite", ANY,
        lambda m, x: [f(1 / x) for f in (m.isnan, m.isinf, m.isfinite)], "ties"),
    Row("all any", "All Any", ANY, lambda m, x: [m.all(x > 0), m.any(x), (x > 0).all(), x.any()], "ties"),
    Row("all any dim", "All Any", WITH_DIM, lambda m, x: [m.all(x, dim=0), m.any(x > 1, dim=-1, keepdim=True)], "ties"),
    Row("all any dims", "All Any", CUBE, lambda m, x: [m.all(x, dim=(0, 2)), m.any(x, dim=(1, -1), keepdim=True)], "ties"),
]  # fmt: skip

DIMS_ONE = [dict(dim=0), dict(dim=-1), dict(dim=0, keepdim=True)]
DIMS_TWO = [dict(dim=(0, 2)), dict(dim=(-1, 0), keepdim=True), dict(dim=(1,)), dict(dim=())]


def reductions(name: str, rules: str, values: str, *groups: Any, ulps: int = 16) -> list[Row]:
    """Rows for a function of (x, dim, keepdim, ...) with each of these settings."""
    return [
        Row(f"{name} {say(kwargs)}".strip(), rules, shapes,
            lambda m, x, kwargs=kwargs: getattr(m, name)(x, **kwargs), values, ulps)
        for shapes, settings in groups
        for kwargs in settings
    ]  # fmt: skip


def say(kwargs: dict[str, Any]) -> str:
    """A row's settings in its name."""
    return " ".join(f"{key}={value}" for key, value in kwargs.items())


REDUCE = [
    *reductions("sum", "Sum", "normal", (ANY, [{}]), (WITH_DIM, DIMS_ONE), (CUBE, DIMS_TWO)),
    *reductions("mean", "Mean", "normal", (ANY, [{}]), (WITH_DIM, DIMS_ONE), (CUBE, DIMS_TWO)),
    *reductions("var", "Var", "normal", (ANY, [dict(correction=0)]), (each((5,), (2, 3, 4)), [{}, dict(unbiased=False)]),
                (each((5,), (3, 2), (2, 3, 4)), DIMS_ONE), (each((2, 3, 4)), [dict(dim=(0, 2)), dict(dim=(1,), correction=0.5),
                dict(dim=1, unbiased=False, keepdim=True), dict(dim=(0, -1), correction=2, keepdim=True)])),
    # Divided by s twice, which is small where elements are close: not fewer than three of them.
    *reductions("std", "Std", "normal", (each((5,), (2, 3, 4)), [{}, dict(unbiased=False), dict(correction=0)]),
                (each((5,), (4, 2), (3, 5, 4)), DIMS_ONE), (each((2, 3, 4)), [dict(dim=(0, 2)), dict(dim=(1,), correction=0.5),
                dict(dim=1, unbiased=False, keepdim=True), dict(dim=(0, -1), correction=2, keepdim=True)]), ulps=128),
    *reductions("amax", "Amax", "ties", (SOME, [{}]), (each((5,), (3, 1), (2, 3, 4)), DIMS_ONE), (each((2, 3, 4)), DIMS_TWO)),
    *reductions("amin", "Amin", "ties", (SOME, [{}]), (each((5,), (3, 1), (2, 3, 4)), DIMS_ONE), (each((2, 3, 4)), DIMS_TWO)),
    *reductions("max", "MaxAll", "ties", (SOME, [{}])),
    *reductions("max", "MaxDim", "ties", (each((), (5,), (3, 1), (2, 3, 4)), DIMS_ONE)),
    *reductions("min", "MinAll", "ties", (SOME, [{}])),
    *reductions("min", "MinDim", "ties", (each((), (5,), (3, 1), (2, 3, 4)), DIMS_ONE)),
    *reductions("argmax", "ArgMax", "ties", (SOME, [{}]), (each((), (5,), (3, 1), (2, 3, 4)), DIMS_ONE)),
    *reductions("argmin", "ArgMin", "ties", (SOME, [{}]), (each((), (5,), (3, 1), (2, 3, 4)), DIMS_ONE)),
    *reductions("median", "Median", "ties", (SOME, [{}])),
    *reductions("prod", "Prod", "normal", (ANY, [{}]), (WITH_DIM, DIMS_ONE)),
    Row("prod with zeros", "Prod", ANY, lambda m, x: m.prod(x), "ties", 16),
    Row("prod with zeros dim", "Prod", WITH_DIM, lambda m, x: m.prod(x, dim=-1, keepdim=True), "ties", 16),
    *reductions("logsumexp", "LogSumExp", "normal", (LAST_DIM, DIMS_ONE[1:2]), (WITH_DIM, DIMS_ONE[::2]), (CUBE, DIMS_TWO[:3])),
    Row("logsumexp of large", "LogSumExp", SOME, lambda m, x: m.logsumexp(x * 1000, dim=-1)),
    *reductions("norm", "Norm", "normal", (ANY, [{}]), (WITH_DIM, DIMS_ONE), (CUBE, DIMS_TWO[:3])),
    *[Row(f"norm p={p}", "Norm", ANY, lambda m, x, p=p: m.norm(x, p=p), "normal", 16) for p in (0, 0.5, 1, 2, "fro")],
    # Without elements torch's second derivative is nan for these p, and 0 for the others: its formula, not mathematics.
    *[Row(f"norm p={p}", "Norm", SOME, lambda m, x, p=p: m.norm(x, p=p), "normal", 64) for p in (1.5, 3)],
    *[Row(f"norm p={p}", "Norm", SOME, lambda m, x, p=p: m.norm(x, p=p), "ties") for p in (float("inf"), -float("inf"))],
    *[Row(f"norm p={p} dim=-1", "Norm", LAST_DIM, lambda m, x, p=p: m.norm(x, p, -1, True), "normal", 64)
      for p in (0, 0.5, 1, 1.5, 3)],
    *[Row(f"norm p={p} {q}", "Norm", SOME, lambda m, x, p=p: m.norm(x, p), "normal", 64) for p, q in ((4, "even"), (2.5, "between"))],
    *[Row(f"norm p={p} dim=1", "Norm", each((3, 1), (2, 3, 4)), lambda m, x, p=p: m.norm(x, p, 1), "ties") for p in (float("inf"), -float("inf"))],
    Row("norm p=inf dim=0", "Norm", each((5,), (3, 1), (2, 3, 4)), lambda m, x: m.norm(x, float("inf"), 0)),
    *reductions("cumsum", "CumSum", "normal", (LAST_DIM, [dict(dim=0), dict(dim=-1)]), (CUBE, [dict(dim=1)])),
    # std as above: torch's second derivative of it is 8 ulp from minigrad's, and further from the truth.
    Row("keywords of the methods", "Sum Mean Amax", CUBE[:1], lambda m, x: [x.sum(1), x.mean(-1, True), x.amax((0, 1)), x.std(1), x.var(0, False)], ulps=16),
    Row("sum of a sum", "Sum Expand SumTo", CUBE, lambda m, x: (x * x.sum(1, keepdim=True)).sum((0, 2))),
    *[Row(f"{name} dim={dim}", rule, LAST_DIM, lambda m, x, name=name, dim=dim: getattr(m, name)(x, dim=dim), "normal", 16)
      for name, rule in (("softmax", "Softmax"), ("log_softmax", "LogSoftmax")) for dim in (0, -1)],
    Row("softmax of large", "Softmax LogSoftmax", SOME, lambda m, x: [m.softmax(x * 1e3, -1), m.log_softmax(x * 1e3, -1)], "ties"),
    Row("softmax to float64", "Softmax Cast", SOME, lambda m, x: m.softmax(x, dim=-1, dtype=m.float64)),
    Row("sum to float64", "Sum Cast", ANY, lambda m, x: m.sum(x, dtype=m.float64)),
]  # fmt: skip

SHAPE = [
    Row("reshape -1", "View", ANY[:-1], lambda m, x: m.reshape(x, (-1,))),
    Row("reshape", "View", each((2, 6), (3, 4), (12,), (2, 3, 2)), lambda m, x: [x.reshape(4, 3), x.reshape((2, -1, 3))]),
    Row("reshape after transpose", "View SwapAxes", CUBE, lambda m, x: x.transpose(0, 2).reshape(-1)),
    Row("view", "View", each((2, 6), (12,), (2, 3, 2)), lambda m, x: x.view(4, 3).view(-1)),
    Row("view_as", "View", [((2, 6), (3, 4))], lambda m, x, y: x.view_as(y) * y),
    Row("flatten", "View", ANY, lambda m, x: m.flatten(x)),
    Row("flatten dims", "View", CUBE, lambda m, x: [m.flatten(x, 1), m.flatten(x, 0, 1), x.flatten(-2, -1)]),
    Row("ravel", "View", ANY, lambda m, x: m.ravel(x)),
    Row("transpose", "SwapAxes", MATRIX, lambda m, x: m.transpose(x, 0, -1)),
    Row("swapaxes", "SwapAxes", MATRIX, lambda m, x: x.swapaxes(-2, -1)),
    Row("t", "SwapAxes", each((), (3,), (2, 3), (0, 2)), lambda m, x: x.t()),
    Row(".T", "Permute", each((2, 3), (0, 2)), lambda m, x: x.T * 2),
    Row(".mT", "SwapAxes", MATRIX, lambda m, x: x.mT * 2),
    Row("permute", "Permute", CUBE, lambda m, x: [m.permute(x, (2, 0, 1)), x.permute(1, -1, 0), x.permute((0, 1, 2))]),
    Row("movedim", "Permute", CUBE, lambda m, x: [m.movedim(x, 0, -1), x.movedim(-1, 1)]),
    Row("squeeze", "View", each((), (1,), (3, 1), (1, 2, 1), (2, 3), (1, 0)), lambda m, x: m.squeeze(x)),
    Row("squeeze dim", "View", each((3, 1), (1, 2, 1), (2, 3), (1, 1)), lambda m, x: [m.squeeze(x, 0), x.squeeze(-1), x.squeeze((0, 1))]),
    Row("unsqueeze", "View", ANY, lambda m, x: [m.unsqueeze(x, 0), x.unsqueeze(-1)]),
    Row("expand", "Expand", each((3, 1), (1, 1), (1,), ()), lambda m, x: [x.expand(3, 4), x.expand((2, 3, 1))]),
    Row("expand -1", "Expand", each((3, 1), (1, 1), (2, 0, 1)), lambda m, x: x.expand(*[-1] * (x.ndim - 1), 4)),
    Row("expand_as", "Expand", [((3, 1), (2, 3, 4)), ((), (5,))], lambda m, x, y: x.expand_as(y) * y),
    Row("broadcast_to", "Expand", each((3, 1), (1, 1), (1,), ()), lambda m, x: x.broadcast_to((3, 4)) * 2),
    Row("repeat", "View Expand", each((3,), (2, 3), (1,)), lambda m, x: [x.repeat(2, 3), x.repeat(4, 1, 2)]),
    Row("tile", "View Expand", each((), (3,), (2, 3)), lambda m, x: [m.tile(x, (2, 3)), m.tile(x, (2,))]),
    Row("flip", "Flip", CUBE, lambda m, x: [m.flip(x, (0,)), x.flip(-1, 0), x.flip((1,))]),
    Row("roll", "Roll", CUBE, lambda m, x: [m.roll(x, 2), m.roll(x, -1, 1), x.roll((1, 2), (0, -1))]),
    Row("roll two by one", "Roll", CUBE, lambda m, x: x.roll((1, 1), (1, 2))),
    Row("tril", "Tril", MATRIX, lambda m, x: [m.tril(x), m.tril(x, 1), x.tril(-1)]),
    Row("triu", "Triu", MATRIX, lambda m, x: [m.triu(x), m.triu(x, 1), x.triu(-1)]),
    Row("cat", "Cat", [((2, 3), (4, 3)), ((5,), (1,)), ((2, 3), (0, 3)), ((2, 1, 2), (1, 1, 2))], lambda m, x, y: m.cat([x, y])),
    Row("cat dim", "Cat", [((2, 3), (2, 4)), ((2, 3, 1), (2, 3, 2))], lambda m, x, y: m.cat((x, y, x), dim=-1)),
    Row("cat skips empty", "Cat", [((0,), (2, 3)), ((2, 3), (0,)), ((0,), (0,))], lambda m, x, y: m.cat([x, y], 0)),
    Row("stack", "Stack", [((), ()), ((3,), (3,)), ((2, 3), (2, 3)), ((0, 2), (0, 2))], lambda m, x, y: [m.stack([x, y]), m.stack((y, x, x), -1)]),
    Row("stack middle", "Stack", [((2, 3), (2, 3))], lambda m, x, y: m.stack([x, y], dim=1)),
    Row("split", "Split Part", each((5,), (4, 2), (0, 2)), lambda m, x: m.split(x, 2)),
    Row("split sections", "Split Part", each((2, 6), (0, 6)), lambda m, x: x.split([1, 0, 5], dim=-1)),
    Row("split, one part used", "Split Part", each((5,), (4, 2)), lambda m, x: m.split(x, 2)[1] * 3),
    Row("split dim, some used", "Split Part", each((2, 5, 3)), lambda m, x: [(s := x.split(2, dim=1))[0], s[2] * 3]),
    Row("chunk", "Split Part", each((5,), (7, 2), (2,)), lambda m, x: m.chunk(x, 3)),
    Row("chunk dim", "Split Part", each((2, 5)), lambda m, x: x.chunk(2, dim=1)),
    Row("unbind", "Unbind Part", each((3,), (2, 3), (2, 0)), lambda m, x: m.unbind(x)),
    Row("unbind dim, some used", "Unbind Part", each((2, 3), (4, 2, 3)), lambda m, x: [(u := x.unbind(-1))[0], u[2] * u[0]]),
    Row("unbind dim 1, some used", "Unbind Part", each((2, 3, 4)), lambda m, x: x.unbind(1)[1] * 3),
    Row("iteration", "Unbind Part", each((3,), (2, 3)), lambda m, x: [row * 2 for row in x]),
    Row("unfold", "Unfold ScatterIndex", each((5,), (3, 7), (2, 5, 2)), lambda m, x: [x.unfold(-1, 2, 1), x.unfold(-1, 2, 3), x.unfold(0, 2, 2)]),
    Row("unfold 0-d", "View", each(()), lambda m, x: x.unfold(0, 1, 1)),
    Row("sort", "Gather", LAST_DIM, lambda m, x: [*m.sort(x), *x.sort(dim=-1, descending=True)]),
    Row("sort dim", "Gather", CUBE, lambda m, x: [m.sort(x, 0).values, m.argsort(x, 1), *m.sort(x, 1, True)]),
    Row("sort, ties", "Gather", each((9,), (4, 5)), lambda m, x: [*m.sort(x, stable=True), *m.sort(x, descending=True, stable=True)], "ties"),
    Row("topk", "Gather", each((5,), (3, 4)), lambda m, x: [x.topk(3).values, x.topk(2, largest=False).values, m.topk(x, 1, 0).values]),
    Row("topk 0-d", "Clone", each(()), lambda m, x: m.topk(x, 1)),
    Row("unique", "", ANY, lambda m, x: m.unique(x.detach(), return_inverse=True, return_counts=True), "ties"),
    Row("unique dim", "", each((4, 2), (5, 1)), lambda m, x: m.unique(x.detach(), return_inverse=True, return_counts=True, dim=0), "ties"),
    Row("views of views", "View SwapAxes Slice", each((2, 3, 4)), lambda m, x: x.transpose(0, 1)[1:].reshape(4, 4).t()[::2, 1]),
]  # fmt: skip


def at(*index: Any) -> Callable[[Any, Any], Any]:
    """x[index], the index arrays (written as lists) made with m.tensor."""
    return lambda m, x: x[tuple([m.tensor(i) if isinstance(i, list) else i for i in index])]


ELLIPSIS = Ellipsis
INDEXING = [
    Row("x[1]", "Slice", each((3,), (2, 3, 4)), at(1)),
    Row("x[-1]", "Slice", each((3,), (2, 3, 4)), at(-1)),
    Row("x[1:]", "Slice", each((1,), (5,), (3, 1), (0, 2)), at(slice(1, None))),
    Row("x[::2, -1]", "Slice", each((5, 2), (2, 3, 4)), at(slice(None, None, 2), -1)),
    Row("x[..., None, 0]", "Slice", each((3,), (2, 3, 4)), at(ELLIPSIS, None, 0)),
    Row("x[...]", "Slice", ANY, at(ELLIPSIS)),
    Row("x[None]", "Slice", ANY, at(None)),
    Row("x[()]", "Slice", each((), (3,)), lambda m, x: x[()] * 2),
    Row("x[[0, 0, 2]]", "Index ScatterIndex", each((3,), (4, 3), (3, 0), (3, 2, 2)), at([0, 0, 2])),
    Row("x[[]]", "Index ScatterIndex", each((3,), (4, 3)), lambda m, x: x[m.tensor([], dtype=m.int64)]),
    Row("x[-1, 0]", "Index ScatterIndex", each((3,), (4, 3)), at([-1, 0])),
    Row("C[Xb]", "Index ScatterIndex", TABLE, at([[0, 0, 1], [3, 1, 0]])),
    Row("x[few of its rows]", "Index ScatterIndex", each((5,), (5, 4), (5, 2, 3)), at([4, 0, -1])),
    Row("x[many rows of many]", "Index ScatterIndex", each((100, 90)), at([7 * i % 100 for i in range(130)])),
    Row("x[i, j]", "Index ScatterIndex", each((4, 3), (4, 3, 2)), at([0, 0, 3], [2, 2, -1])),
    Row("x[i, j] broadcast", "Index ScatterIndex", each((4, 3), (4, 3, 2)), at([[0], [3]], [2, 2, -1])),
    Row("x[range, Yb]", "Index ScatterIndex", each((4, 3)), lambda m, x: -x[range(4), m.tensor([0, 2, 2, 1])].mean()),
    Row("x[:, i]", "Index ScatterIndex", each((2, 3), (2, 3, 4)), at(slice(None), [2, 0, 0])),
    Row("x[i, :, j]", "Index ScatterIndex", each((2, 3, 4)), at([1, 0, 1], slice(None), [3, 3, 0])),
    Row("x[0, :, i]", "Index Slice", each((2, 3, 4)), at(0, slice(None), [3, 3, 0])),
    Row("x[i, 0]", "Index Slice", each((2, 3, 4)), at([1, 1], 0)),
    Row("x[..., i, None]", "Index", each((4,), (2, 4)), at(ELLIPSIS, [3, 3], None)),
    Row("x[mask]", "Index ScatterIndex", SOME, lambda m, x: x[x > 0]),
    Row("x[row mask]", "Index", each((3,), (3, 2)), at([True, False, True])),
    Row("x[mask, i]", "Index", each((3, 4)), at([True, False, True], [0, 3])),
    Row("x[:, mask]", "Index", each((2, 3)), at(slice(None), [True, False, True])),
    Row("x[True]", "Index", each((), (2, 3)), lambda m, x: [x[True], x[False]]),
    Row("gather", "Gather ScatterIndex", each((2, 3), (2, 4)), lambda m, x: m.gather(x, 1, m.tensor([[0, 0, 2, 1], [2, 1, 1, 1]]))),
    Row("gather dim 0", "Gather ScatterIndex", each((3, 2), (4, 3)), lambda m, x: x.gather(0, m.tensor([[0, 2], [0, 1]]))),
    Row("gather 0-d", "Gather", each(()), lambda m, x: m.gather(x, 0, m.tensor(0))),
    Row("index_select", "Index ScatterIndex", each((3,), (3, 2), (3, 0)), lambda m, x: m.index_select(x, 0, m.tensor([0, 0, 2]))),
    Row("index_select dim -1", "Index ScatterIndex", each((3,), (2, 3)), lambda m, x: x.index_select(-1, m.tensor([2, 0, 0]))),
    Row("index_add", "IndexAdd", [((4,), (3,)), ((4, 2), (3, 2))], lambda m, x, v: m.index_add(x, 0, m.tensor([1, 1, 3]), v)),
    Row("index_add alpha", "IndexAdd", [((2, 4), (2, 3))], lambda m, x, v: x.index_add(1, m.tensor([1, 1, 3]), v, alpha=2)),
    Row("scatter_add", "IndexAdd", [((2, 3), (2, 4)), ((2, 5), (2, 4))], lambda m, x, v: m.scatter_add(x, 1, m.tensor([[0, 0, 2, 1], [2, 1, 1, 1]]), v)),
    Row("scatter", "SetItem", [((2, 3), (2, 2))], lambda m, x, v: m.scatter(x, 1, m.tensor([[0, 2], [2, 1]]), v)),
    Row("scatter value", "SetItem", each((2, 3)), lambda m, x: x.scatter(1, m.tensor([[0, 2], [2, 1]]), value=2.0)),
    Row("nonzero", "", ANY, lambda m, x: [m.nonzero(x), *m.nonzero(x, as_tuple=True)], "ties"),
    Row("where condition", "", SOME, lambda m, x: m.where(x > 0), "ties"),
    Row("one_hot", "", ANY[:-2], lambda m, x: one_hot(m, x), "ties"),
    Row("embedding by one_hot @ C", "MatMul Cast", TABLE, lambda m, x: one_hot(m, m.tensor([0., 0, 3, 1]), 4).to(x.dtype) @ x),
]  # fmt: skip


def one_hot(m: Any, x: Any, n: int = 5) -> Any:
    """one_hot, which torch keeps elsewhere."""
    return getattr(m, "one_hot", layers(m).one_hot)(m.abs(x).long(), n)


LINALG = [
    Row("matmul", "MatMul", PRODUCTS, lambda m, x, y: m.matmul(x, y), "normal", 16),
    Row("@", "MatMul", PRODUCTS[:4], lambda m, x, y: x @ y, "normal", 16),
    Row("x @ x.T", "MatMul SwapAxes", each((2, 3), (0, 2)), lambda m, x: x @ x.T, "normal", 16),
    Row("mm", "MatMul", PRODUCTS[3:4], lambda m, x, y: m.mm(x, y), "normal", 16),
    Row("mv", "MatMul", PRODUCTS[1:2], lambda m, x, y: m.mv(x, y), "normal", 16),
    Row("bmm", "MatMul", PRODUCTS[8:9], lambda m, x, y: m.bmm(x, y), "normal", 16),
    Row("dot", "MatMul", [((3,), (3,)), ((0,), (0,)), ((1,), (1,))], lambda m, x, y: m.dot(x, y), "normal", 16),
    Row("tensordot", "MatMul", [((2, 3, 4), (3, 4, 5)), ((3, 4), (3, 4)), ((0, 2, 3), (2, 3))], lambda m, x, y: m.tensordot(x, y), "normal", 16),
    Row("tensordot dims", "MatMul", [((2, 3, 4), (4, 2, 5))], lambda m, x, y: [m.tensordot(x, y, dims=([0, 2], [1, 0])), m.tensordot(x, y, 1), m.tensordot(x, y, 0)], "normal", 16),
    Row("outer", "Mul", [((3,), (4,)), ((0,), (2,)), ((1,), (1,))], lambda m, x, y: m.outer(x, y)),
    *[
        Row(f"einsum {equation}", "Einsum", [shapes], lambda m, *xs, equation=equation: m.einsum(equation, *xs), "normal", 16)
        for equation, *shapes in [
            ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 3)), ("i,i->", (3,), (3,)),
            ("i,j->ij", (3,), (2,)), ("ij->ji", (2, 3)), ("ij->", (2, 3)), ("ij->i", (2, 3)), ("ii->i", (3, 3)), ("ii->", (3, 3)),
            ("ii", (3, 3)), ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 3)), ("...i,i->...", (2, 3, 4), (4,)), ("i,i,i->i", (3,), (3,), (3,)),
            ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("ij,kj->ik", (2, 3), (4, 3)), ("ij,i->j", (2, 3), (2,)), ("i,->i", (3,), ()),
            ("ij,kl->", (2, 3), (3, 2)), ("ij,ij->ij", (0, 3), (0, 3)), ("iij->j", (2, 2, 3)), ("ba", (2, 3)),
        ]
    ],
]  # fmt: skip


def rule(m: Any, op: str, name: str) -> Any:
    """minigrad's rule itself, or torch's function: for a rule that has no public name (yet)."""
    return getattr(m.ops, op).apply if m.__name__ == "minigrad" else getattr(m, name)


def layers(m: Any) -> Any:
    """The functional module: torch.nn.functional or ours."""
    return m.nn.functional


def bessel(m: Any, x: Any, gain: Any, bias: Any) -> Any:
    """The lecture's batch norm, which divides by n - 1: torch has it only step by step."""
    if m.__name__ == "torch":
        return gain * (x - x.mean(0)) * (x.var(0) + 1e-5) ** -0.5 + bias
    return layers(m).batch_norm(x, None, None, gain, bias, training=True, correction=1)


def bce(m: Any, x: Any, y: Any) -> Any:
    """Of probabilities; step by step in torch, whose own has a 1e-12 in its second derivative. The rule broadcasts."""
    x, y = x / 4 + 0.1, y / 4
    return -(y * x.log() + (1 - y) * (-x).log1p()) if m.__name__ == "torch" else m.ops.BinaryCrossEntropy.apply(x, y)


FUSED = [
    *[
        Row(f"cross_entropy {reduction}", "CrossEntropy", each((3, 5), (3, 1)),
            lambda m, x, reduction=reduction: layers(m).cross_entropy(x, m.tensor([0, x.shape[1] - 1, 0]), reduction=reduction), "normal", 16)
        for reduction in ("mean", "sum", "none")
    ],
    Row("cross_entropy of large", "CrossEntropy", each((3, 5)), lambda m, x: layers(m).cross_entropy(x * 1e3, m.tensor([0, 4, 0]))),
    Row("batch_norm", "BatchNorm", [((5, 3), (3,), (3,)), ((4, 3, 2), (3,), (3,)), ((0, 3), (3,), (3,)), ((3, 3, 0), (3,), (3,))],
        lambda m, x, gain, bias: layers(m).batch_norm(x, None, None, gain, bias, training=True), "normal", 64),
    Row("batch_norm, Bessel's correction", "BatchNorm", [((5, 3), (3,), (3,))], bessel, "normal", 64),
    Row("layer_norm", "LayerNorm", [((5, 3), (3,), (3,)), ((2, 4, 3), (3,), (3,)), ((2, 4, 3), (4, 3), (4, 3)), ((0, 3), (3,), (3,))],
        lambda m, x, gain, bias: layers(m).layer_norm(x, tuple(gain.shape), gain, bias), "normal", 64),
    Row("layer_norm bare", "LayerNorm", each((5, 3), (2, 4, 3)), lambda m, x: layers(m).layer_norm(x, x.shape[1:], eps=1e-3), "normal", 64),
    Row("linear", "Linear", [((5, 3), (4, 3), (4,)), ((3,), (4, 3), (4,)), ((2, 5, 3), (4, 3), (4,)), ((2, 0, 3), (4, 3), (4,)), ((2, 3, 0), (4, 0), (4,))],
        lambda m, x, W, b: layers(m).linear(x, W, b)),
    Row("linear without bias", "Linear", [((5, 3), (4, 3)), ((3,), (4, 3)), ((2, 5, 3), (4, 3)), ((0, 3), (4, 3))],
        lambda m, x, W: layers(m).linear(x, W)),
    Row("binary_cross_entropy", "BinaryCrossEntropy", PAIRS, bce, "positive", 64),
    Row("batch_norm bare", "BatchNorm", each((5, 3), (4, 3, 2), (1, 3, 0)),
        lambda m, x: layers(m).batch_norm(x, None, None, training=True, eps=1e-3), "normal", 64),
]  # fmt: skip


def changed(name: str, *args: Any, values: str = "normal", ulps: int = 8) -> Row:
    """A change in place of a value that is not a leaf."""
    return Row(f"{name} in place", "", ANY, lambda m, x: getattr(x.clone(), name)(*args), values, ulps)


def put(index: Any) -> Callable[[Any, Any, Any], Any]:
    """y = x.clone(), y[index] = v; both y and what is made from it."""

    def call(m: Any, x: Any, v: Any) -> Any:
        y = x * 1
        y[m.tensor(index) if isinstance(index, list) else index] = v
        return y * y

    return call


def view_changed(m: Any, x: Any) -> Any:
    """A view of a value is changed, which changes the value."""
    y = x * 2
    y[1:].mul_(10)
    y[0] = y[-1] * 3
    return [y, y.sum()]


IN_PLACE = [
    *[changed(name) for name in ("abs_", "ceil_", "cos_", "exp_", "expm1_", "floor_", "neg_", "relu_", "round_", "sigmoid_", "sign_",
                                 "sin_", "square_", "tanh_", "zero_")],
    *[changed(name, values="positive") for name in ("log_", "log1p_", "sqrt_", "rsqrt_", "reciprocal_")],
    changed("add_", 2), changed("sub_", 0.5), changed("mul_", 3), changed("div_", 4), changed("pow_", 2), changed("clamp_", -0.5, 0.5),
    changed("remainder_", 0.7), changed("fill_", 3.5),
    Row("y += x", "Add", PAIRS[2:4], lambda m, x, v: [y := x * 1, y.add_(v)][1] * 2),
    Row("y *= y", "Mul", ANY, lambda m, x: (x * 1).mul_(x)),
    Row("copy_", "Where", [((5,), (5,)), ((2, 3), (3,)), ((3,), ())], lambda m, x, v: (x * 1).copy_(v)),
    Row("masked_fill_", "Where", SOME, lambda m, x: (x * 1).masked_fill_(x > 0, 2)),
    Row("tril_ triu_", "Tril Triu", MATRIX, lambda m, x: (x * 1).tril_().triu_(-1)),
    Row("index_add_", "IndexAdd", [((4, 2), (3, 2))], lambda m, x, v: (x * 1).index_add_(0, m.tensor([1, 1, 3]), v)),
    Row("scatter_add_", "IndexAdd", [((2, 3), (2, 2))], lambda m, x, v: (x * 1).scatter_add_(1, m.tensor([[0, 0], [2, 1]]), v)),
    Row("scatter_", "SetItem", [((2, 3), (2, 2))], lambda m, x, v: (x * 1).scatter_(1, m.tensor([[0, 1], [2, 1]]), v)),
    Row("y[1] = v", "SetItem", [((3,), ()), ((3, 2), (2,)), ((3, 2), (1,))], put(1)),
    Row("y[1:] = v", "SetItem", [((3,), ()), ((3,), (2,)), ((3, 2), (2,)), ((3, 2), (2, 1)), ((3, 2), (1, 1, 2))], put(slice(1, None))),
    Row("y[...] = v", "SetItem", [((), ()), ((3, 2), ()), ((3, 2), (3, 1))], put(ELLIPSIS)),
    Row("y[[2, 0]] = v", "SetItem", [((3,), (2,)), ((3, 2), (2, 2)), ((3, 2), ())], put([2, 0])),
    Row("y[mask] = v", "SetItem", [((3,), (2,)), ((3, 2), (2, 2)), ((3, 2), (2,))], put([True, False, True])),
    Row("y[:, [0, 2]] = v", "SetItem", [((2, 3), (2, 2)), ((2, 3), ())], put((slice(None), [0, 2]))),
    Row("a view changed", "PutFlat SetItem", each((3,), (3, 2)), view_changed),
]  # fmt: skip

TABLE_OF_OPS = ELEMENTWISE + COMPARE + REDUCE + SHAPE + INDEXING + LINALG + FUSED + IN_PLACE
