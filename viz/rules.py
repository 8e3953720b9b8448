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
BROADCASTS = {"Add", "Sub", "Mul", "Div", "Where", "Maximum", "Minimum", "Pow", "Expand"}


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
    """dC @ B.T or A.T @ dC; a vector gets the dimension that the product left out."""
    shapes = [f.shape(x) for x in op.inputs]
    other, (mine, its) = f.value(op.inputs[1 - i]).inside(ATOM), (shapes[i], shapes[1 - i])
    if len(mine) == len(its) == 1:
        return times(dz, Text(other))
    if len(mine) == 1 and len(its) == 2:
        return Text(f"{other} @ {dz.inside(PRODUCT + 1)}" if i == 0 else f"{dz.inside(PRODUCT)} @ {other}", PRODUCT)
    if len(mine) == 1 or (len(its) == 1 and len(mine) != 2):  # a vector with a batch of matrices
        # (..., n, m) @ (m,): dz is (..., n), its m is missing; (n,) @ (..., n, m): dz is (..., m), its n is
        vector_is_right = (len(its) == 1) == (i == 0)
        wide = Text(f"np.expand_dims({dz.text}, {-1 if vector_is_right else -2})")
        column = len(its) == 1 and i == 1
        found = times(Text(f"np.expand_dims({other}, -1)" if column else other), wide)
        axes = tuple(d for d in range(len(its)) if d != len(its) - (1 if i else 2))
        return found if len(its) == 1 else Text(f"({found.text}).sum({axes})")
    if len(its) == 1:
        return Text(f"np.outer({dz.text}, {other})" if i == 0 else f"np.outer({other}, {dz.text})")
    turned = Text(f"{other}.T" if len(its) == 2 else f"{other}.swapaxes(-1, -2)")
    left, right = (dz, turned) if i == 0 else (turned, dz)
    found = Text(f"{left.inside(PRODUCT)} @ {right.inside(PRODUCT + 1)}", PRODUCT)
    whole = (*f.shape(op.output)[:-2], *mine[-2:])  # of the product; where the other was a batch, a sum is left
    return summed(found, whole, mine) if whole != mine else found


def _linear(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    """y = x @ W.T + b: dy @ W, dy.T @ x, and dy summed over its rows."""
    wide = len(f.shape(op.output))
    if i == 0:
        return Text(f"{dz.inside(PRODUCT)} @ {f.value(op.inputs[1]).inside(ATOM)}", PRODUCT)
    x, dy = f.value(op.inputs[0]), dz.inside(ATOM)
    if i == 2:
        return summed(dz, f.shape(op.output), f.shape(op.inputs[2]))
    if wide == 1:
        return Text(f"np.outer({dz.text}, {x.text})")
    if wide == 2:
        return Text(f"{dy}.T @ {x.inside(PRODUCT + 1)}", PRODUCT)
    n, m = f.shape(op.inputs[1])
    return Text(f"{dy}.reshape(-1, {n}).T @ {x.inside(ATOM)}.reshape(-1, {m})", PRODUCT)


def _kept(f: Formulas, op: Op, dz: Text) -> tuple[Text, Text, str]:
    """(y, dy, dim) of an op that reduced one dimension, y and dy as if it had been kept."""
    dim, wide, narrow = dict(op.settings).get("dim", "None"), f.shape(op.inputs[0]), f.shape(op.output)
    y = Text(f.var[op.output])
    if len(narrow) != len(wide) and narrow != ():
        y, dz = (Text(f"np.expand_dims({x.text}, {dim})") for x in (y, dz))
    return y, dz, dim


def _max(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    shape, x = f.shape(op.inputs[0]), f.value(op.inputs[0])
    y, dz, dim = _kept(f, op, dz)
    which = "argmax" if "Max" in op.name else "argmin"
    if op.name in ("MaxDim", "MinDim") and len(shape) == 2 and dim == "1":
        return times(Text(f"F.one_hot({x.inside(ATOM)}.{which}(1), {shape[1]})"), dz)
    values, most = f.numbers.values.get(str(op.inputs[0])), f.numbers.values.get(op.output)
    if values is None or most is None:
        raise NoFormula(op.name)
    over_ = most if most.ndim in (0, values.ndim) else np.expand_dims(most, int(dim))
    if np.count_nonzero(values == over_) != most.size:  # a tie, which this formula would not share out
        raise NoFormula(op.name)
    # by its variable: worked out again, it would not be equal to the last bit
    return times(Text(f"{f.var[str(op.inputs[0])]} == {y.text}", 0), dz)


def _softmax(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    dim, y, g = dict(op.settings).get("dim", "-1"), f.var[op.output], dz.inside(PRODUCT)
    if op.name == "LogSoftmax":
        return Text(f"{dz.text} - np.exp({y}) * {dz.inside(ATOM)}.sum({dim}, keepdims=True)", SUM)
    return Text(f"{y} * ({dz.text} - ({y} * {g}).sum({dim}, keepdims=True))", PRODUCT)


def _logsumexp(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    y, dz, _ = _kept(f, op, dz)
    return times(Text(f"np.exp({f.value(op.inputs[0]).text} - {y.text})"), dz)


def _var(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    settings, x = dict(op.settings), f.value(op.inputs[0]).inside(ATOM)
    y, dz, dim = _kept(f, op, dz)
    wide, narrow = f.shape(op.inputs[0]), f.shape(op.output)
    free = int(np.prod(wide)) // max(1, int(np.prod(narrow))) - int(settings.get("correction", "1"))
    mean = f"{x}.mean()" if dim == "None" else f"{x}.mean({dim}, keepdims=True)"
    off = Text(f"{f.value(op.inputs[0]).inside(SUM)} - {mean}", SUM)
    if op.name == "Std":
        return times(over(over(off, Text(str(free))), y), dz)
    return times(over(times(Text("2"), off), Text(str(free))), dz)


def _larger(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    x, other = f.value(op.inputs[i]).inside(SUM), f.value(op.inputs[1 - i]).inside(SUM)
    values = [f.numbers.values.get(str(key)) for key in op.inputs]
    if values[0] is None or values[1] is None or np.any(values[0] == values[1]):
        raise NoFormula(op.name)
    return times(Text(f"{x} {'>' if op.name == 'Maximum' else '<'} {other}", 0), dz)


def _power(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    x, y = (f.value(key) for key in op.inputs)
    if i == 0:
        return times(y, Text(f"{x.inside(ATOM)} ** ({y.text} - 1)", POWER), dz)
    return times(Text(f.var[op.output]), _call("log", x), dz)


def _cat(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    """The part of the gradient that belongs to one of those that were joined."""
    dim = int(dict(op.settings).get("dim", "0")) % len(f.shape(op.output))
    start = sum(f.shape(x)[dim] for x in op.inputs[:i]) if op.name == "Cat" else 0
    part = f"{start}:{start + f.shape(op.inputs[i])[dim]}" if op.name == "Cat" else str(i)
    return Text(f"{dz.inside(ATOM)}[{':, ' * dim}{part}]")


def _clamp(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    if i or not all(isinstance(x, Scalar) for x in op.inputs[1:]):
        raise NoFormula(op.name)
    x, (low, high) = f.value(op.inputs[0]), (f.value(key).text for key in op.inputs[1:])
    return times(Text(f"({x.inside(SUM)} >= {low}) & ({x.inside(SUM)} <= {high})", 0), dz)


def _reshape(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    return Text(f"{dz.inside(ATOM)}.reshape({', '.join(map(str, f.shape(op.inputs[0])))})")


def _transpose(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    settings, n = dict(op.settings), len(f.shape(op.inputs[0]))
    if n == 2:
        return Text(f"{dz.inside(ATOM)}.T")
    if op.name == "SwapAxes":
        return Text(f"{dz.inside(ATOM)}.swapaxes({settings['dim0']}, {settings['dim1']})")
    dims = [int(d) % n for d in re.findall(r"-?\d+", settings.get("dims", ""))]
    if sorted(dims) != list(range(n)):
        raise NoFormula(op.name)
    return Text(f"{dz.inside(ATOM)}.transpose({', '.join(str(dims.index(d)) for d in range(n))})")


def _scatter(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    index, x = f.index(op), str(op.inputs[0])
    parts = f.numbers.indices.get(op.key)
    if not index or parts is None:
        raise NoFormula(op.name)
    size = int(np.prod(f.shape(x)))
    once = len(np.unique(np.arange(size).reshape(f.shape(x))[parts])) == int(np.prod(f.shape(op.output)))
    name = f.fresh("out", before)
    given = re.sub(r"^np\.ones_like\(\w+\) \* ", "", dz.text)  # assigning spreads it out
    given = re.sub(r"^\(([^()]*)\)$", r"\1", given)
    before.append(f"{name} = np.zeros_like({f.var[x]})")
    if once:
        before.append(f"{name}[{index}] = {given}")
    elif ":" in index or "..." in index:  # np.add.at would want its slices written out
        raise NoFormula(op.name)
    else:
        before.append(f"np.add.at({name}, {f'({index})' if ',' in index else index}, {given})")
    return Text(name)


def _where(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    c = f.value(op.inputs[0]).text
    return Text(f"np.where({c}, {dz.text}, 0)" if i == 1 else f"np.where({c}, 0, {dz.text})")


def _cross_entropy(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    target = f.numbers.targets.get(op.key)
    if target is None or dict(op.settings).get("reduction", "mean") != "mean":
        raise NoFormula(op.name)
    n = len(target)
    p = f.fresh("p", before)
    before.append(f"{p} = F.softmax({f.value(op.inputs[0]).text}, 1)")
    before.append(f"{p}[range({n}), {f.array(target)}] -= 1")
    return over(times(Text(p), dz), Text(str(n)))


def _batch_norm(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    settings, x = dict(op.settings), f.value(op.inputs[0]).inside(ATOM)
    shape = f.shape(op.inputs[0])
    if len(shape) != 2 or Scalar in map(type, op.inputs) or settings.get("dim") != "(0,)":
        raise NoFormula(op.name)
    n, free = shape[0], shape[0] - int(settings.get("correction", "0"))
    g = dz.inside(ATOM)
    if i == 2:
        return Text(f"{g}.sum(0)" + (".reshape(1, -1)" if len(f.shape(op.inputs[2])) == 2 else ""))
    diff, var_inv, raw = (f.fresh(name, before) for name in ("diff", "var_inv", "raw"))
    before.append(f"{diff} = {x} - {x}.mean(0)")
    before.append(f"{var_inv} = (({diff} ** 2).sum(0) / {free} + {settings.get('eps', '1e-05')}) ** -0.5")
    before.append(f"{raw} = {diff} * {var_inv}")
    if i == 1:
        return Text(f"({g} * {raw}).sum(0)" + (".reshape(1, -1)" if len(f.shape(op.inputs[1])) == 2 else ""))
    gain = f.value(op.inputs[1]).inside(PRODUCT)
    less = f"{g}.sum(0) - {n} / {free} * {raw} * ({g} * {raw}).sum(0)"
    return Text(f"{gain} * {var_inv} / {n} * ({n} * {g} - {less})", PRODUCT)


def _layer_norm(f: Formulas, op: Op, i: int, dz: Text, before: list[str]) -> Text:
    settings, x = dict(op.settings), f.value(op.inputs[0]).inside(ATOM)
    shape = f.shape(op.inputs[0])
    if Scalar in map(type, op.inputs) or settings.get("dim") != f"({len(shape) - 1},)":
        raise NoFormula(op.name)
    if i == 2:
        return summed(dz, shape, shape[-1:])
    g, gain = dz.inside(PRODUCT), f.value(op.inputs[1]).inside(PRODUCT)
    diff, var_inv, raw, draw = (f.fresh(name, before) for name in ("diff", "var_inv", "raw", "draw"))
    before.append(f"{diff} = {x} - {x}.mean(-1, keepdims=True)")
    before.append(f"{var_inv} = (({diff} ** 2).mean(-1, keepdims=True) + {settings.get('eps', '1e-05')}) ** -0.5")
    before.append(f"{raw} = {diff} * {var_inv}")
    if i == 1:
        return summed(Text(f"{g} * {raw}", PRODUCT), shape, shape[-1:])
    before.append(f"{draw} = {g} * {gain}")
    means = f"{draw}.mean(-1, keepdims=True) - {raw} * ({draw} * {raw}).mean(-1, keepdims=True)"
    return Text(f"{var_inv} * ({draw} - {means})", PRODUCT)


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
    "Log1p": _by(lambda x, y, dy: over(dy, Text(f"1 + {x.inside(PRODUCT)}", SUM))),
    "Expm1": _by(lambda x, y, dy: times(Text(f"{y.inside(SUM)} + 1", SUM), dy)),
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
    "Amax": _max,
    "Amin": _max,
    "MaxAll": _max,
    "MinAll": _max,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "LogSumExp": _logsumexp,
    "Var": _var,
    "Std": _var,
    "Maximum": _larger,
    "Minimum": _larger,
    "Pow": _power,
    "Clamp": _clamp,
    "Cat": _cat,
    "Stack": _cat,
    "MatMul": _matmul,
    "Linear": _linear,
    "View": _reshape,
    "SwapAxes": _transpose,
    "Permute": _transpose,
    "Expand": _by(lambda x, y, dy: dy),
    "Index": _scatter,
    "Slice": _scatter,
    "Gather": _scatter,
    "CrossEntropy": _cross_entropy,
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
}
