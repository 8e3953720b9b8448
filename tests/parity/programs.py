"""Random programs of tensor code: a few lines of text that run with m = minigrad and with m = torch.

A program is drawn as a list of instructions, three numbers each that say which op on which of the values so far,
so that hypothesis can leave out instructions and make the numbers smaller, and what is left still is a program. Values
are kept tame while it is drawn: what gets larger than 2 goes through tanh, and an op with a kink (max, abs, where, a
mask) is not used on values that lie within 1e-3 of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

MOST = 48  # elements of a value
GAP = 1e-3  # from a kink
HEAD = "import numpy as np\nimport minigrad as m  # or: import torch as m\n\nrng = np.random.default_rng(0)"


@dataclass(frozen=True)
class Program:
    """The lines, the names of the leaves that require grad, those of the results, and the ops that were drawn."""

    lines: tuple[str, ...]
    leaves: tuple[str, ...]
    results: tuple[str, ...]
    ops: tuple[str, ...]

    def __str__(self) -> str:
        """The whole of it, which runs as it stands and prints the gradients."""
        sums = ", ".join(f"{name}.sum()" for name in self.results)
        last = f"print(*m.autograd.grad([{sums}], [{', '.join(self.leaves)}], allow_unused=True), sep='\\n')"
        return "\n".join([HEAD, *self.lines, last])

    __repr__ = __str__

    def run(self, m: Any) -> dict[str, Any]:
        """The values by name, with this library."""
        values = {"m": m, "rng": np.random.default_rng(0)}
        exec("\n".join(self.lines), values)
        return values


class Pick:
    """An instruction's choices: one number, of which each choice among n takes its share; 0 when nothing is left."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, n: int) -> int:
        self.number, chosen = divmod(self.number, max(n, 1))
        return chosen

    def dim(self, x: Any) -> int:
        """A dimension of x, counted from the front or the back."""
        return self(2 * x.ndim) - x.ndim if x.ndim else 0

    def of(self, *choices: Any) -> Any:
        return choices[self(len(choices))]


Values = dict[str, Any]
Op = Callable[[Pick, Values, str], "str | None"]  # the expression on the value of that name, or None where it has none

UNARY = [
    "-{x}", "{x}.exp()", "m.tanh({x})", "m.sigmoid({x})", "m.sin({x})", "m.cos({x})", "m.expm1({x})", "{x}.square()",
    "m.log({x} * {x} + 0.5)", "m.log1p({x} * {x})", "m.log2({x}.square() + 1)", "m.log10({x}.square() + 1)",
    "m.sqrt({x} * {x} + 0.5)", "m.rsqrt({x} * {x} + 0.5)", "m.reciprocal({x} * {x} + 0.5)", "({x} * {x} + 0.5) ** 1.5",
    "{x} ** 3", "0.5 ** {x}", "{x} / 3", "2 - {x}", "1 + {x}", "0.5 * {x}", "1 / ({x} * {x} + 1)", "{x} + {x}",
    "{x} * {x}",
    "{x}.clone()", "{x}.detach()", "{x} * {x}.detach()",
]  # fmt: skip
KINKS = {  # the expression, and what must not be near 0
    "m.relu({x})": "{x}",
    "m.abs({x})": "{x}",
    "m.where({x} > 0, {x} * 2, m.sin({x}))": "{x}",
    "m.where({x} > 0, {x}, 0.5)": "{x}",
    "{x}.masked_fill({x} > 0, 0.25)": "{x}",
    "{x}[{x} > 0]": "{x}",
    "m.clamp({x}, -0.3, 0.4)": "m.cat([({x} + 0.3).reshape(-1), ({x} - 0.4).reshape(-1)])",
    "{x}.clamp(min=0.1)": "{x} - 0.1",
}
BINARY = [
    "{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / ({y} * {y} + 0.5)", "m.pow({x} * {x} + 0.5, {y})",
    "m.add({x}, {y}, alpha=0.5)", "({x} - {y}) * {x}",
]  # fmt: skip
BINARY_KINKS = {
    "m.maximum({x}, {y})": "{x} - {y}",
    "m.minimum({x}, {y})": "{x} - {y}",
    "m.where({x} > {y}, {x} * {y}, {y})": "{x} - {y}",
    "m.where({x} > 0, {x}, {y})": "{x}",
    "m.clamp({x}, max={y})": "{x} - {y}",
}
REDUCE = ["sum", "mean", "var", "std", "logsumexp", "norm", "prod", "amax", "amin", "max", "min"]
WHOLE = ["sum()", "mean()", "var(correction=0)", "std()", "prod()", "norm()", "amax()", "max()", "min()", "median()"]


def unary(pick: Pick, values: Values, x: str) -> str | None:
    return pick.of(*UNARY).format(x=x)


def kink(pick: Pick, values: Values, x: str) -> str | None:
    expression = pick.of(*KINKS)
    return expression.format(x=x) if clear(KINKS[expression].format(x=x), values) else None


def clear(expression: str, values: Values) -> bool:
    """Whether this is nowhere near 0."""
    return bool((value(expression, values).abs() > GAP).all())


def value(expression: str, values: Values) -> torch.Tensor:
    with torch.no_grad():
        return eval(expression, {"m": torch}, values)


def others(values: Values, fits: Callable[[Any], bool]) -> list[str]:
    """The values that fit, the latest first."""
    return [name for name in reversed(values) if fits(values[name])]


def partner(pick: Pick, values: Values, x: str) -> str:
    """A value that broadcasts with x, which may be x itself."""
    return pick.of(*others(values, lambda y: broadcasts(values[x].shape, y.shape)))


def broadcasts(a: Any, b: Any) -> bool:
    try:
        return np.prod(np.broadcast_shapes(tuple(a), tuple(b))) <= MOST
    except ValueError:
        return False


def binary(pick: Pick, values: Values, x: str) -> str | None:
    return pick.of(*BINARY).format(x=x, y=partner(pick, values, x))


def binary_kink(pick: Pick, values: Values, x: str) -> str | None:
    expression, y = pick.of(*BINARY_KINKS), partner(pick, values, x)
    return expression.format(x=x, y=y) if clear(BINARY_KINKS[expression].format(x=x, y=y), values) else None


def reduce(pick: Pick, values: Values, x: str) -> str | None:
    """A reduction over one dimension."""
    name, dim, keepdim = pick.of(*REDUCE), pick.dim(values[x]), pick.of(True, False)
    n = values[x].shape[dim] if values[x].ndim else 1
    fits = spread if name in ("max", "min", "amax", "amin") else ample
    if n < 2 or not values[x].numel() or not fits(values[x], name, dim):
        return None
    expression = f"{x}.{name}(dim={dim}, keepdim={keepdim})"
    return f"{expression}.values" if name in ("max", "min") else expression


def whole(pick: Pick, values: Values, x: str) -> str | None:
    """A reduction of all elements, or of two dimensions."""
    if values[x].ndim > 1 and pick(3) == 2:
        return f"{x}.{pick.of('sum', 'mean')}(dim=(0, -1), keepdim={pick.of(True, False)})"
    call = pick.of(*WHOLE)
    name = call.split("(")[0]
    fits = spread if name in ("max", "min", "amax", "median") else ample
    return f"{x}.{call}" if values[x].numel() > 1 and fits(values[x], name, None) else None


def spread(x: torch.Tensor, name: str, dim: int | None) -> bool:
    """Whether no two elements are near each other."""
    return bool((x.reshape(-1).sort().values.diff() > GAP).all())


def ample(x: torch.Tensor, name: str, dim: int | None) -> bool:
    """Whether norm and std, which divide by themselves, are not near 0."""
    return name not in ("norm", "std") or bool((getattr(x, name)(dim=dim) > 0.1).all())


def along(pick: Pick, values: Values, x: str) -> str | None:
    """What keeps the shape and goes along a dimension."""
    name, dim = pick.of("softmax", "log_softmax", "cumsum", "flip", "roll"), pick.dim(values[x])
    if name == "roll":
        return f"m.roll({x}, {1 + pick(2)}, {dim})" if values[x].ndim else None
    return f"m.{name}({x}, {f'({dim},)' if name == 'flip' else f'dim={dim}'})"


def layer(pick: Pick, values: Values, x: str) -> str | None:
    """A fused rule of the lecture's network."""
    shape = values[x].shape
    if len(shape) < 2 or shape[0] < 2 or shape[1] < 1:
        return None
    if pick(2):
        return f"m.nn.functional.batch_norm({x}, None, None, training=True, eps=0.1)"
    targets = [pick(shape[1]) for _ in range(shape[0])]
    mean = pick.of("mean", "sum", "none")
    return f"m.nn.functional.cross_entropy({x}, m.tensor({targets}), reduction={mean!r})" if len(shape) == 2 else None


def product(pick: Pick, values: Values, x: str) -> str | None:
    """Matrix product with a value that fits, or with its own transpose."""
    shape = values[x].shape
    if not shape:
        return None

    def fits(y: Any) -> bool:
        return y.ndim > 0 and y.shape[-2 if y.ndim > 1 else 0] == shape[-1] and broadcasts(shape[:-2], y.shape[:-2])

    found = others(values, fits)
    if pick(3) == 0 and found:
        return f"{x} @ {pick.of(*found)}"
    if len(shape) == 2 and pick(2):
        return f"m.einsum('ij,kj->ik', {x}, {x})"
    return f"{x} @ {x}.mT" if len(shape) > 1 else f"m.outer({x}, {x})"


def join(pick: Pick, values: Values, x: str) -> str | None:
    """cat or stack of two or three."""
    ndim = values[x].ndim
    parts = [x, *[pick.of(*others(values, lambda y: y.shape == values[x].shape)) for _ in range(1 + pick(2))]]
    if pick(2) and ndim:
        return f"m.cat([{', '.join(parts)}], {pick.dim(values[x])})"
    return f"m.stack([{', '.join(parts)}], {pick(ndim + 1)})"


def view(pick: Pick, values: Values, x: str) -> str | None:
    """The same elements in another shape."""
    shape = tuple(values[x].shape)
    d, e = pick.dim(values[x]), pick.dim(values[x])
    choices = [f"{x}.reshape(-1)", f"{x}.unsqueeze({pick(len(shape) + 1)})", f"{x}.flatten()"]
    choices += [f"{x}.expand(2, {dims(shape)})"]
    if shape:
        choices += [f"{x}.transpose({d}, {e})", f"{x}.squeeze()", f"{x}.unbind({d})[-1]", f"{x}.split(2, {d})[0]"]
        choices += [f"{x}.reshape({shape[-1]}, -1)", f"{x}.movedim({d}, {e})", f"{x}.repeat(2, {ones(shape)})"]
    if len(shape) > 1:
        backward = dims(tuple(reversed(range(len(shape)))))
        choices += [f"{x}.mT", f"m.tril({x})", f"m.triu({x}, 1)", f"{x}.permute({backward})"]
    return pick.of(*choices)


def dims(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape)) or "1"


def ones(shape: tuple[int, ...]) -> str:
    return dims((1,) * len(shape))


def basic(pick: Pick, values: Values, x: str) -> str | None:
    """An index of slices, None, ... and ints."""
    if not values[x].ndim:
        return f"{x}[{pick.of('None', '...', '()')}]"
    entries = []
    for n in values[x].shape[: 1 + pick(values[x].ndim)]:
        entries.append(pick.of("1:", str(pick(n) - pick.of(0, n)), ":", "::2", ":-1", "None, :"))
    return f"{x}[{', '.join([*entries, *pick.of([], ['...'], ['None'])][:5])}]"


def advanced(pick: Pick, values: Values, x: str) -> str | None:
    """An index with arrays of ints, which may repeat, or a mask."""
    shape = values[x].shape
    if not shape or not values[x].numel():
        return None
    kind, n, k = pick(6), shape[0], 1 + pick(4)
    ints = [pick(n) - pick.of(0, n) for _ in range(k)]
    if kind == 0:
        return f"{x}[m.tensor({ints})]"
    if kind == 1:
        return f"{x}[m.tensor({[pick(2) == 0 for _ in range(n)]})]"
    if kind == 2:
        return f"{x}.index_select({len(shape) - 1}, m.tensor({[pick(shape[-1]) for _ in range(k)]}))"
    if kind == 3:
        rows = [[pick(n) for _ in range(2)] for _ in range(2)]
        return f"{x}[m.tensor({rows})]"
    last = [pick(shape[-1]) for _ in range(k)]
    if len(shape) == 1:
        return f"{x}.gather(0, m.tensor({last}))"
    if kind == 4:
        return f"{x}[m.tensor({ints}), ..., m.tensor({last})]"
    return f"{x}[{pick.of(':', '1:', 'None')}, ..., m.tensor({last})]"


OPS: list[Op] = [
    unary, binary, reduce, view, basic, advanced, product, unary, binary, kink, join, whole, along, binary_kink, layer,
    unary, binary,
]  # fmt: skip


def build(leaves: list[tuple[tuple[int, ...], bool]], instructions: list[tuple[int, int, int]]) -> Program:
    """The program that these instructions say; the first leaf requires grad."""
    lines: list[str] = []
    values: Values = {}
    grads: list[str] = []
    used: set[str] = set()
    ops: list[str] = []
    rng = np.random.default_rng(0)
    for name, (shape, requires_grad) in zip("abcd", leaves, strict=False):
        requires_grad = requires_grad or not grads
        grad = ", requires_grad=True" if requires_grad else ""
        lines.append(f"{name} = m.tensor(rng.uniform(-1, 1, {shape}), dtype=m.float64{grad})")
        values[name] = torch.tensor(rng.uniform(-1, 1, shape), dtype=torch.float64)
        grads += [name] * requires_grad
    for op, which, number in instructions:
        names = list(reversed(values))
        x = names[which % len(names)]
        name = f"t{len(ops)}"
        for choice, expression, result in candidates(op, number, values, x):
            lines.append(f"{name} = {expression}")
            used |= {word for word in values if word in words(expression)}
            values[name] = result
            ops.append(choice.__name__)
            break
    results = [name for name in values if name not in used and name.startswith("t")]
    return Program(tuple(lines), tuple(grads), tuple(results), tuple(ops))


def candidates(op: int, number: int, values: Values, x: str) -> Iterator[tuple[Op, str, torch.Tensor]]:
    """The op asked for on x, and if it does not go there the next ones, unary at last: each with its value."""
    for choice in [*[OPS[(op + i) % len(OPS)] for i in range(len(OPS))], unary]:
        try:
            if (expression := choice(Pick(number), values, x)) is None:
                continue
            result = value(expression, values)
        except (RuntimeError, IndexError, ValueError):  # torch refuses it: another op then
            continue
        if result.numel() > MOST or result.ndim > 4:
            continue
        if result.numel() and result.abs().max() > 2:
            expression = f"m.tanh({expression})"
            result = result.tanh()
        yield choice, expression, result


def words(expression: str) -> set[str]:
    """The names in an expression."""
    return set("".join(c if c.isalnum() else " " for c in expression).split())


SHAPES = [(), (1,), (3,), (2, 3), (3, 1), (4, 3), (2, 1, 3), (2, 3, 4), (3, 3)]


def programs(most: int = 40, shapes: list[tuple[int, ...]] = SHAPES) -> st.SearchStrategy[Program]:
    """Programs of up to *most* ops on up to four leaves, some of which do not require grad."""
    leaves = st.lists(st.tuples(st.sampled_from(shapes), st.booleans()), min_size=1, max_size=4)
    instruction = st.tuples(st.integers(0, len(OPS) - 1), st.integers(0, 7), st.integers(0, 10**8))
    # Lists alone would be short mostly. The first kind is what a failing one shrinks to.
    least = (1, 1 + most // 5, 1 + most // 2)
    length = st.one_of([st.lists(instruction, min_size=n, max_size=most) for n in least])
    return st.builds(build, leaves, length)
