"""The backward formula of each op, as text: what one use of a value gives to its gradient.

A rule gets the formulas of the graph, the op, which of its inputs is asked for, the text of the gradient of its output,
and a list that takes statements which must come before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .trace import Op, Scalar

if TYPE_CHECKING:
    from .formulas import Formulas

SUM, PRODUCT, MINUS, POWER, ATOM = 10, 20, 25, 30, 40


@dataclass(frozen=True)
class Text:
    """An expression and how strongly it binds."""

    text: str
    binds: int = ATOM

    def inside(self, at_least: int) -> str:
        return self.text if self.binds >= at_least else f"({self.text})"


class NoFormula(Exception):
    """A rule on the way has none."""


def summed(text: Text, wide: tuple[int, ...], shape: tuple[int, ...]) -> Text:
    """Broadcasting undone, as the lecture writes it."""
    lead = len(wide) - len(shape)
    dims = [i for i, n in enumerate(wide) if i < lead or (shape[i - lead] == 1 and n != 1)]
    if not dims:
        return text
    over = str(dims[0]) if len(dims) == 1 else str(tuple(dims))
    inner = text.inside(ATOM)
    if len(dims) == len(wide) and not shape:
        return Text(f"{inner}.sum()")
    if not lead:
        return Text(f"{inner}.sum({over}, keepdims=True)")
    done = Text(f"{inner}.sum({over})")
    left = tuple(n for i, n in enumerate(wide) if i not in dims)
    return done if left == shape else Text(f"{done.text}.reshape({', '.join(map(str, shape))})")


# ---------------------------------------------------------------------------------------------- the rules

Rule = Callable[["Formulas", Op, int, Text, "list[str]"], Text]
BROADCASTS = {"Add", "Sub", "Mul", "Div", "Where", "Maximum", "Minimum", "Expand"}


def times(*factors: Text) -> Text:
    found = [f for f in factors if f.text != "1"]
    if not found:
        return Text("1")
    if len(found) == 1:
        return found[0]
    return Text(" * ".join(f.inside(PRODUCT + (i > 0)) for i, f in enumerate(found)), PRODUCT)


def minus(x: Text) -> Text:
    return Text(x.text[1:]) if re.fullmatch(r"-\w+", x.text) else Text(f"-{x.inside(POWER)}", MINUS)


def over(x: Text, y: Text) -> Text:
    return Text(f"{x.inside(PRODUCT)} / {y.inside(PRODUCT + 1)}", PRODUCT)


def _mul(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    return times(f.value(op.inputs[1 - i]), dz)


def _div(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    x, y = f.value(op.inputs[0]), f.value(op.inputs[1])
    return over(dz, y) if i == 0 else over(times(minus(dz), x), Text(f"{y.inside(ATOM)} ** 2", POWER))


def _pow(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    x, n = f.value(op.inputs[0]), float(dict(op.settings)["n"])
    less, factor = n - 1, Text(f"{n:g}", MINUS if n < 0 else ATOM)
    return times(factor, x if less == 1 else Text(f"{x.inside(ATOM)} ** {less:g}", POWER), dz)


def _spread(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    """dy copied out to x's shape, divided by how many there are for a mean."""
    x, wide, narrow = op.inputs[0], f.shape(op.inputs[0]), f.shape(op.output)
    dim = dict(op.settings).get("dim", "None")
    if op.name == "Mean":
        n = int(np.prod(wide)) // max(1, int(np.prod(narrow)))
        dz = over(dz, Text(str(n)))
    if dim != "None" and len(narrow) != len(wide):
        dz = Text(f"np.expand_dims({dz.text}, {dim})")
    held = f.value(x)
    like = held.text if isinstance(x, str) and re.fullmatch(r"\w+", held.text) else f.var[str(x)]
    return times(Text(f"np.ones_like({like})"), dz)


def _matmul(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    if any(len(f.shape(x)) != 2 for x in op.inputs):
        raise NoFormula(op.name)
    other = Text(f"{f.value(op.inputs[1 - i]).inside(ATOM)}.T")
    left, right = (dz, other) if i == 0 else (other, dz)
    return Text(f"{left.inside(PRODUCT)} @ {right.inside(PRODUCT + 1)}", PRODUCT)


def _max(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    shape, dim = f.shape(op.inputs[0]), dict(op.settings).get("dim")
    if len(shape) != 2 or dim != "1" or len(f.shape(op.output)) != 2:
        raise NoFormula(op.name)
    which = "argmax" if op.name == "MaxDim" else "argmin"
    return times(Text(f"F.one_hot({f.value(op.inputs[0]).inside(ATOM)}.{which}(1), {shape[1]})"), dz)


def _reshape(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    return Text(f"{dz.inside(ATOM)}.reshape({', '.join(map(str, f.shape(op.inputs[0])))})")


def _transpose(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    if len(f.shape(op.inputs[0])) != 2:
        raise NoFormula(op.name)
    return Text(f"{dz.inside(ATOM)}.T")


def _scatter(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    name, index = f"zeros{len(before) // 2 + 1}", f.index(op)
    x = f.var[str(op.inputs[0])]
    before.append(f"{name} = np.zeros_like({x})")
    before.append(f"np.add.at({name}, {index}, {dz.text})" if "," not in index and ":" not in index
                  else f"{name}[{index}] += {dz.text}" if ":" in index
                  else f"np.add.at({name}, ({index}), {dz.text})")  # fmt: skip
    return Text(name)


def _where(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    c = f.value(op.inputs[0]).text
    return Text(f"np.where({c}, {dz.text}, 0)" if i == 1 else f"np.where({c}, 0, {dz.text})")


def _cross_entropy(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    target = f.numbers.targets.get(op.key)
    if target is None or dict(op.settings).get("reduction", "mean") != "mean":
        raise NoFormula(op.name)
    n = len(target)
    before.append(f"p = F.softmax({f.value(op.inputs[0]).text}, 1)")
    before.append(f"p[range({n}), {f.array(target)}] -= 1")
    return over(times(Text("p"), dz), Text(str(n)))


def _batch_norm(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    settings, x = dict(op.settings), f.value(op.inputs[0]).inside(ATOM)
    shape = f.shape(op.inputs[0])
    if len(shape) != 2 or Scalar in map(type, op.inputs) or settings.get("dim") != "(0,)":
        raise NoFormula(op.name)
    n, free = shape[0], shape[0] - int(settings.get("correction", "0"))
    g = dz.inside(ATOM)
    if i == 2:
        return Text(f"{g}.sum(0)" + (".reshape(1, -1)" if len(f.shape(op.inputs[2])) == 2 else ""))
    before.append(f"diff = {x} - {x}.mean(0)")
    before.append(f"var_inv = ((diff ** 2).sum(0) / {free} + {settings.get('eps', '1e-05')}) ** -0.5")
    before.append("raw = diff * var_inv")
    if i == 1:
        return Text(f"({g} * raw).sum(0)" + (".reshape(1, -1)" if len(f.shape(op.inputs[1])) == 2 else ""))
    gain = f.value(op.inputs[1]).inside(PRODUCT)
    return Text(f"{gain} * var_inv / {n} * ({n} * {g} - {g}.sum(0) - {n} / {free} * raw * ({g} * raw).sum(0))", PRODUCT)


def _by(make: Callable[[Text, Text, Text], Text]) -> Rule:
    """A rule of one input from (x, y, dy)."""

    def rule(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
        return make(f.value(op.inputs[0]), Text(f.var[op.output]), dz)

    return rule


def _call(name: str, x: Text) -> Text:
    return Text(f"np.{name}({x.text})")


RULES: dict[str, Rule] = {
    "Add": lambda f, op, i, dz, before: dz,
    "Sub": lambda f, op, i, dz, before: dz if i == 0 else minus(dz),
    "Mul": _mul,
    "Div": _div,
    "Neg": _by(lambda x, y, dy: minus(dy)),
    "PowScalar": _pow,
    "Exp": _by(lambda x, y, dy: times(y, dy)),
    "Log": _by(lambda x, y, dy: over(dy, x)),
    "Sqrt": _by(lambda x, y, dy: over(dy, times(Text("2"), y))),
    "Tanh": _by(lambda x, y, dy: times(Text(f"1 - {y.inside(ATOM)} ** 2", SUM), dy)),
    "Sigmoid": _by(lambda x, y, dy: times(y, Text(f"1 - {y.inside(PRODUCT)}", SUM), dy)),
    "Relu": _by(lambda x, y, dy: times(Text(f"{x.inside(SUM)} > 0", 0), dy)),
    "Abs": _by(lambda x, y, dy: times(_call("sign", x), dy)),
    "Sin": _by(lambda x, y, dy: times(_call("cos", x), dy)),
    "Cos": _by(lambda x, y, dy: times(minus(_call("sin", x)), dy)),
    "Where": _where,
    "Cast": _by(lambda x, y, dy: dy),
    "Clone": _by(lambda x, y, dy: dy),
    "Sum": _spread,
    "Mean": _spread,
    "MaxDim": _max,
    "MinDim": _max,
    "MatMul": _matmul,
    "View": _reshape,
    "SwapAxes": _transpose,
    "Permute": _transpose,
    "Expand": _by(lambda x, y, dy: dy),
    "Index": _scatter,
    "Slice": _scatter,
    "Gather": _scatter,
    "CrossEntropy": _cross_entropy,
    "BatchNorm": _batch_norm,
}
