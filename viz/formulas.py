"""Forward lines and backward formulas in numpy's syntax: what the page shows, hints at, and judges an answer by.

A value is called by its name, its gradient by `d` before it; one without a name is written out where it is short.
`W1`, used in `hprebn = embcat @ W1 + b1`, so gets `embcat.T @ dhprebn`. Where a rule has no formula here (a user's op)
there is none to show, and an answer is judged by the numbers alone.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from dataclasses import dataclass, field

import numpy as np

from .replay import Numbers
from .rules import ATOM, BROADCASTS, MINUS, POWER, PRODUCT, RULES, SUM, NoFormula, Text, summed
from .trace import Op, Scalar, Trace

__all__ = ["Answer", "Formulas"]

SHORT = 24  # of one that stands in its box
LONG = 60  # characters of a value without a name that are still written out
DEEP = 8  # values without a name in a row whose gradients are written out
TAKEN = {"np", "torch", "mg", "F", "range", "len", "sum", "abs", "max", "min", "float", "int", "n"}


# What the page can work out again from what it says: others stand in a formula by their variable.
WRITTEN = {
    "Add", "Sub", "Mul", "Div", "MatMul", "Neg", "PowScalar", "Pow", "Index", "Slice", "Gather", "Sum", "Mean",
    "MaxDim", "MinDim", "Amax", "Amin", "View", "Clone", "Cast", "Exp", "Log", "Tanh", "Sqrt", "Abs", "Sin", "Cos",
    "Sign",
}  # fmt: skip


# What is no number to multiply with, in words.
WORDS = {
    "View": "1 each, in another shape",
    "SwapAxes": "1 each, turned",
    "Permute": "1 each, turned",
    "Index": "1 where it was taken, else 0",
    "Slice": "1 where it was taken, else 0",
    "Gather": "1 where it was taken, else 0",
    "Cat": "1 for its own part",
    "Stack": "1 for its own part",
    "Split": "1 for its own part",
    "Unbind": "1 for its own part",
    "Sum": "1 each",
}


def _variable(name: str) -> str:
    """A name as Python would take it: letters of any script that is written from left to right."""
    name = unicodedata.normalize("NFKC", name)
    bad = {c for c in name if unicodedata.bidirectional(c) in ("R", "AL", "AN")}
    return "".join(c if f"a{c}".isidentifier() and c not in bad else "_" for c in name)


@dataclass(frozen=True)
class Answer:
    """How a gradient is written: statements, of which the last line is the expression."""

    lines: tuple[str, ...]
    wrong: tuple[str, ...] = ()  # likely mistakes, for the learner to pick among

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


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
            name = _variable(value.name[:40]) if value.name else value.key
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

    def fresh(self, name: str, before: list[str]) -> str:
        """A variable for a statement, called like no value or gradient of the graph, nor one of those before."""
        mine = {line.split(" = ")[0] for line in before}
        taken = TAKEN | set(self.var.values()) | {f"d{var}" for var in self.var.values()} | set(self.hidden)
        found, n = name, 1
        while found in mine or found in taken:
            n += 1
            found = f"{name}{n}"
        return found

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
        return Answer((*before, whole), tuple(self.mistakes(key, parts, before)))

    def part_text(self, op_key: str, position: int) -> str | None:
        """What one use gives, where that is a single expression."""
        before: list[str] = []
        try:
            found = self.part(self.by_key[op_key], position, before)
        except NoFormula:
            return None
        return found.text if not before and len(found.text) <= 2 * LONG else None

    def gradient(self, key: str, before: list[str]) -> Text:
        """`dh`, or the formula of one without a name."""
        uses = self.used_by.get(key, [])
        if self.is_named(key) or len(uses) != 1 or self.deep == DEEP:
            return Text(f"d{self.var[key]}")
        self.deep += 1
        n = len(before)
        try:
            found = self.part(*uses[0], before)
        except NoFormula:
            del before[n:]
            return Text(f"d{self.var[key]}")
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
        if op.name in WORDS:
            return WORDS[op.name]
        if rule is None or op.name in ("CrossEntropy", "BatchNorm", "LayerNorm", "Softmax", "LogSoftmax"):
            return ""
        try:
            if op.name == "MatMul":
                other = op.inputs[1 - position]
                return self.value(other).inside(ATOM) + (".T" if len(self.shape(other)) == 2 else "")
            if op.name == "Linear":  # x @ W.T + b
                return self.value(op.inputs[1 - position]).inside(ATOM) if position < 2 else ""
            return rule(self, op, position, Text("1"), []).text
        except NoFormula:
            return ""

    def mistakes(self, key: str, parts: list[Text], before: list[str]) -> list[str]:
        """What a learner may well write instead; the page shows those that are wrong indeed."""
        if before and len(parts) == 1 and parts[0].text == before[-1].split("[")[0].removeprefix("np.add.at("):
            return self.misplaced(before, parts[0].text)
        first = "".join(f"{line}\n" for line in before)
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
        found = [re.sub(r"^\(([^()]*)\)$", r"\1", text) for text in found]
        return [first + text for text in dict.fromkeys(found) if text and text != whole]

    @staticmethod
    def misplaced(before: list[str], name: str) -> list[str]:
        """The same of a gradient that is put back into zeros."""
        *first, last = before
        added = re.fullmatch(r"np\.add\.at\(\w+, \(?(.+?)\)?, ([^,]+)\)", last)
        index, given = (added[1], added[2]) if added else last[len(name) + 1 :].split("] = ")
        lines = [f"{name}[{index}] = {given}"] if added else []
        lines.append(f"{name}[{index}] = -{Text(given, MINUS).inside(POWER)}" if given[0] != "-" else
                     f"{name}[{index}] = {given[1:]}")  # fmt: skip
        lines += [f"{name}[{index}] = {cut}" for cut in [re.sub(r" / \w+$", "", given)] if cut != given]
        lines += [f"{name} = {name} + {given}", f"{name}[{index}] = 1"]
        return ["\n".join([*first, line, name]) for line in lines]
