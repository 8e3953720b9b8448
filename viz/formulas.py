"""Forward lines and backward formulas in numpy's syntax: what the page shows, hints at, and judges an answer by.

A value is called by its name, its gradient by `d` before it; one without a name is written out where it is short.
`W1`, used in `hprebn = embcat @ W1 + b1`, so gets `embcat.T @ dhprebn`. Where a rule has no formula here (a user's op)
there is none to show, and an answer is judged by the numbers alone.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .replay import Numbers
from .trace import Op, Scalar, Trace

__all__ = ["Answer", "Formulas"]

SHORT = 24  # of one that stands in its box
LONG = 60  # characters of a value without a name that are still written out
DEEP = 8  # values without a name in a row whose gradients are written out
SUM, PRODUCT, MINUS, POWER, ATOM = 10, 20, 25, 30, 40
TAKEN = {"np", "torch", "mg", "F", "range", "len", "sum", "abs", "max", "min", "float", "int", "n"}


# What the page can work out again from what it says: others stand in a formula by their variable.
WRITTEN = {
    "Add", "Sub", "Mul", "Div", "MatMul", "Neg", "PowScalar", "Pow", "Index", "Slice", "Gather", "Sum", "Mean",
    "MaxDim", "MinDim", "Amax", "Amin", "View", "Clone", "Cast", "Exp", "Log", "Tanh", "Sqrt", "Abs", "Sin", "Cos",
    "Sign",
}  # fmt: skip


@dataclass(frozen=True)
class Text:
    """An expression and how strongly it binds."""

    text: str
    binds: int = ATOM

    def inside(self, at_least: int) -> str:
        return self.text if self.binds >= at_least else f"({self.text})"


@dataclass(frozen=True)
class Answer:
    """How a gradient is written: statements, of which the last line is the expression. parts: one each use."""

    lines: tuple[str, ...]
    parts: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()  # likely mistakes, for the learner to pick among

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class NoFormula(Exception):
    """A rule on the way has none."""


@dataclass
class Formulas:
    """The formulas of one graph."""

    graph: Trace
    numbers: Numbers
    var: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, np.ndarray] = field(default_factory=dict)  # index arrays without a name, by the one given here

    def __post_init__(self) -> None:
        self.by_key = {op.key: op for op in self.graph.ops}
        self.by_output = {op.output: op for op in self.graph.ops}
        self.used_by: dict[str, list[tuple[Op, int]]] = {}
        for op in self.graph.ops:
            for i, key in enumerate(op.inputs):
                if isinstance(key, str):
                    self.used_by.setdefault(key, []).append((op, i))
        taken = set(TAKEN)
        for value in self.graph.values.values():
            name = re.sub(r"\W", "_", value.name[:40], flags=re.ASCII) if value.name else value.key
            if not name.isidentifier() or keyword.iskeyword(name):
                name = f"_{name}"
            while name in taken or f"d{name}" in taken:
                name += "_"
            taken |= {name, f"d{name}"}
            self.var[value.key] = name
        self.deep = 0
        self._forward: dict[str, Text] = {}
        for op in self.graph.ops:
            self._forward[op.output] = self.run(op)

    # ------------------------------------------------------------------------------------------ forward

    def forward(self, key: str) -> str:
        """`hpreact = bngain * bnraw + bnbias`"""
        return f"{self.var[key]} = {self._forward[key].text}" if key in self._forward else self.var[key]

    def texts(self) -> dict[str, str]:
        """What stands for a name where a value has none and is short: `h @ W2`."""
        return {
            key: text.text for key, text in self._forward.items() if not self.is_named(key) and len(text.text) <= SHORT
        }

    def lines(self, key: str) -> list[str]:
        """The forward lines that use a value, each up to the next value with a name."""
        found: list[str] = []
        todo = [op.output for op, _ in self.used_by.get(key, [])]
        while todo and len(found) < 8:
            at = todo.pop(0)
            if self.is_named(at) or not self.used_by.get(at) or not self.is_short(at):
                found.append(self.forward(at))
            else:
                todo += [op.output for op, _ in self.used_by[at]]
        return list(dict.fromkeys(found))

    def is_named(self, key: str) -> bool:
        return self.graph.values[key].name is not None

    def is_short(self, key: str) -> bool:
        return key in self._forward and len(self._forward[key].text) <= LONG

    def value(self, key: str | Scalar) -> Text:
        if isinstance(key, Scalar):
            text = repr(key.number)
            return Text(text, MINUS if text.startswith("-") else ATOM)
        if self.is_named(key) or not self.is_short(key) or self.by_output[key].name not in WRITTEN:
            return Text(self.var[key])
        return self._forward[key]

    def run(self, op: Op) -> Text:
        """The op as one would write it."""
        x = [self.value(key) for key in op.inputs]
        settings = dict(op.settings)
        if op.name in ("Add", "Sub", "Mul", "Div") or (op.name == "MatMul" and len(x) == 2):
            level = SUM if op.name in ("Add", "Sub") else PRODUCT
            return Text(f"{x[0].inside(level)} {op.symbol} {x[1].inside(level + 1)}", level)
        if op.name == "Neg":
            return Text(f"-{x[0].inside(MINUS)}", MINUS)
        if op.name == "PowScalar":
            return Text(f"{x[0].inside(ATOM)} ** {settings.get('n')}", POWER)
        if op.name == "Pow":
            return Text(f"{x[0].inside(ATOM)} ** {x[1].inside(POWER)}", POWER)
        if op.name in ("Index", "Slice", "Gather"):
            return Text(f"{x[0].inside(ATOM)}[{self.index(op)}]")
        if op.name in ("Sum", "Mean", "MaxDim", "MinDim", "Amax", "Amin", "Var", "Std"):
            name = op.name[:-3] if op.name.endswith("Dim") else op.name
            return Text(f"{x[0].inside(ATOM)}.{name.lower()}({self.over(settings)})")
        if op.name == "View":
            return Text(f"{x[0].inside(ATOM)}.reshape{settings.get('shape', '()')}")
        if op.name in ("SwapAxes", "Permute") and len(self.shape(op.output)) == 2:
            return Text(f"{x[0].inside(ATOM)}.T")
        if op.name in ("Clone", "Cast"):
            return x[0]
        inside = ", ".join([t.text for t in x] + [f"{key}={text}" for key, text in op.settings])
        known = op.name in ("Exp", "Log", "Tanh", "Sqrt", "Abs", "Sin", "Cos", "Where", "Maximum", "Minimum", "Sign")
        return Text(f"np.{op.name.lower()}({inside})" if known else f"{op.name.lower()}({inside})")

    @staticmethod
    def over(settings: dict[str, str]) -> str:
        said = [settings["dim"]] if settings.get("dim", "None") != "None" else []
        return ", ".join(said + ["keepdims=True"] * (settings.get("keepdim") == "True"))

    def index(self, op: Op) -> str:
        found = []
        for part in self.numbers.indices.get(op.key, ()):
            if isinstance(part, slice):
                found.append(":".join("" if x is None else str(x) for x in (part.start, part.stop)))
                if part.step is not None:
                    found[-1] += f":{part.step}"
            elif isinstance(part, np.ndarray):
                found.append(self.array(part))
            else:
                found.append("..." if part is Ellipsis else str(part))
        return ", ".join(found)

    def array(self, array: np.ndarray) -> str:
        """An index array: `range(32)` where it counts up, else the name it has or is given."""
        if array.ndim == 1 and array.dtype.kind in "iu" and np.array_equal(array, np.arange(len(array))):
            return f"range({len(array)})"
        for key, known in self.numbers.values.items():
            value = self.graph.values[key]
            alike = known.shape == array.shape and known.dtype == array.dtype
            if value.kind == "constant" and alike and np.array_equal(known, array):
                return self.var[key]
        for name, known in self.hidden.items():
            if known.shape == array.shape and np.array_equal(known, array):
                return name
        name = f"index{len(self.hidden) + 1}"
        while name in self.var.values():
            name += "_"
        self.hidden[name] = array
        return name

    def shape(self, key: str | Scalar) -> tuple[int, ...]:
        return self.graph.values[key].shape if isinstance(key, str) else ()

    # ----------------------------------------------------------------------------------------- backward

    def answer(self, key: str) -> Answer | None:
        """How the gradient of a value is written, None where a rule on the way has no formula here."""
        try:
            before: list[str] = []
            parts = [self.part(op, i, before) for op, i in self.used_by.get(key, [])]
        except NoFormula:
            return None
        if not parts:
            return None
        whole = " + ".join(part.inside(SUM + (j > 0)) for j, part in enumerate(parts))
        return Answer((*before, whole), tuple(part.text for part in parts), tuple(self.mistakes(key, parts)))

    def gradient(self, key: str, before: list[str]) -> Text:
        """`dh`, or the formula of one without a name."""
        uses = self.used_by.get(key, [])
        if self.is_named(key) or len(uses) != 1 or self.deep == DEEP:
            return Text(f"d{self.var[key]}")
        self.deep += 1
        try:
            found = self.part(*uses[0], before)
        finally:
            self.deep -= 1
        return found if len(found.text) <= LONG else Text(f"d{self.var[key]}")

    def part(self, op: Op, i: int, before: list[str]) -> Text:
        """What one use gives, in the shape of its input."""
        dz = self.gradient(op.output, before)
        shape, wide = self.shape(op.inputs[i]), self.shape(op.output)
        rule = RULES.get(op.name)
        if rule is None:
            raise NoFormula(op.name)
        found = rule(self, op, i, dz, before)
        if op.name not in BROADCASTS or shape == wide:
            return found
        return summed(found, wide, shape)

    def local(self, op_key: str, position: int) -> str:
        """What the gradient that comes in is multiplied with, "" where that is no formula."""
        op = self.by_key[op_key]
        rule = RULES.get(op.name)
        if rule is None or op.name in ("Index", "Slice", "Gather", "CrossEntropy", "BatchNorm", "View"):
            return ""
        try:
            if op.name == "MatMul":
                return f"{self.value(op.inputs[1 - position]).inside(ATOM)}.T"
            return rule(self, op, position, Text("1"), []).text
        except NoFormula:
            return ""

    def mistakes(self, key: str, parts: list[Text]) -> list[str]:
        """What a learner may well write instead; the page shows those that are wrong indeed."""
        whole = " + ".join(part.inside(SUM + (j > 0)) for j, part in enumerate(parts))
        found = [part.text for part in parts] if len(parts) > 1 else []
        found.append(f"-({whole})")
        for op, _ in self.used_by.get(key, []):
            found.append(self.gradient(op.output, []).text)
        for old, new in ((r"\.sum\([^()]*\)", ""), (r"\.sum\(0", ".sum(1"), (r"\.sum\(1", ".sum(0"),
                         (r"\.sum\(", ".mean("), (r"1 - (\w+) \*\* 2", r"1 - \1"), (r"\.T\b", "")):  # fmt: skip
            found.append(re.sub(old, new, whole, count=1))
        swapped = re.fullmatch(r"(\S+) @ (\S+)", whole)
        found += [f"{swapped[2]} @ {swapped[1]}"] if swapped else []
        found += [f"{whole} / {n}" for n in self.graph.values[key].shape[:1] if n > 1]
        found += [f"2 * ({whole})", f"({whole}) * {self.var[key]}"]
        return [text for text in dict.fromkeys(found) if text and text != whole]


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
