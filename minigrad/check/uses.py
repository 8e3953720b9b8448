"""What the graph knows of a value after backward: its uses, what each gave to its gradient, the places picked of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..graph import Node
from ..ops.indexing import flat_positions
from ..tensor import Tensor

Mask = NDArray[np.bool_]

# The names that cmp was given for values, by the node that made each: messages name the uses of a value by them.
_names: WeakKeyDictionary[Node, str] = WeakKeyDictionary()
LABEL = "the label's place"
_FAR = 1000  # nodes: how far a search through the graph goes


@dataclass(frozen=True)
class Use:
    """One use of a value: the op it went into, that op's node while it lives, and the gradient that came from there."""

    op: Any
    node: Node | None
    gradient: NDArray[Any]

    def __str__(self) -> str:
        name = _called(self.node)
        return f"{name} ({self.op.symbol})" if name else f"the op {self.op.symbol}"

    @property
    def settings(self) -> dict[str, Any]:
        return self.node.settings if self.node is not None else {}

    def upstream(self) -> NDArray[Any] | None:
        """The gradient of the op's own output, where that was retained."""
        out = self.node.tensor() if self.node is not None else None
        return np.asarray(out._grad.array) if out is not None and out._grad is not None else None


def remember(name: str, t: Tensor) -> None:
    """Call this value by that name from now on."""
    if t.grad_fn is not None:
        _names[t.grad_fn] = name


def uses(t: Tensor) -> list[Use]:
    """The uses of a value in the last backward. Empty where nothing was retained above it: then nothing is known."""
    extra = t.grad_fn.extra if t.grad_fn is not None else t._extra
    return _uses(extra.parts) if extra is not None else []


def hooked(t: Tensor) -> bool:
    """Whether a hook may have put another gradient in place of the uses' sum."""
    extra = t.grad_fn.extra if t.grad_fn is not None else t._extra
    return extra is not None and bool(extra.hooks)


def formula(op: Any) -> str:
    """The rule's formula: the first paragraph of its docstring, in one line; "" where it has none."""
    return " ".join((op.__doc__ or "").strip().split("\n\n")[0].split())


def sizes(t: Tensor, of: list[Use]) -> list[int]:
    """What could be an n for this value: the sizes of its dimensions and of its uses', and their products."""
    shapes = [t.shape, *(use.node.shape for use in of if use.node is not None)]
    found = [n for shape in shapes for n in (*shape, math.prod(shape))]
    return [n for n in dict.fromkeys(found) if n > 1]


def constants(of: list[Use]) -> list[tuple[float, str]]:
    """The numbers in the rules that use a value, and where they stand: the exponent of a power, a factor."""
    found = []
    for use in of:
        if "n" in use.settings and use.op.__name__ == "PowScalar":
            found.append((float(use.settings["n"]), f"the exponent of {use}"))
        elif use.node is not None and use.op.__name__ in ("Mul", "Div"):
            found += [(float(x), f"the number in {use}") for x in use.node.inputs if type(x) in (int, float)]
    return [(k, text) for k, text in found if k not in (0, 1) and math.isfinite(k)]


def picked(t: Tensor, of: list[Use]) -> Iterator[tuple[str, Mask]]:
    """The places of a value that some rule treats otherwise than the rest: (what they are, where they are)."""
    for node, shape in _below(of):
        if shape != t.shape:
            continue
        settings = node.settings
        if "target" in settings:
            target = np.asarray(settings["target"])
            if len(shape) == 2 and target.shape == shape[:1] and target.dtype.kind in "iu":
                yield LABEL, _mask(shape, (np.arange(len(target)), target))
        elif isinstance(settings.get("index"), tuple) and node.op.__name__ in ("Index", "Gather"):
            index = settings["index"]
            labels = len(shape) == 2 and len(index) == 2 and _is_rows(index[0], shape[0])
            what = LABEL if labels else f"the places picked by {Use(node.op, node, _NONE)}"
            yield what, _mask(shape, index)
    for use in of:
        if use.op.__name__ in ("MaxDim", "MinDim") and t.ndim and "dim" in use.settings:
            dim: int = use.settings["dim"]
            at = t.array.argmax(dim) if use.op.__name__ == "MaxDim" else t.array.argmin(dim)
            along = np.arange(t.shape[dim]).reshape([-1 if d == dim else 1 for d in range(t.ndim)])
            which = "largest" if use.op.__name__ == "MaxDim" else "smallest"
            yield f"the {which} along dim {dim}", along == np.expand_dims(at, dim)


def taken(t: Tensor, use: Use) -> NDArray[np.int64] | None:
    """How often each element of a value was taken by an indexing op; None for other ops."""
    index = use.settings.get("index")
    if use.op.__name__ not in ("Index", "Gather") or not isinstance(index, tuple):
        return None
    return np.bincount(flat_positions(t.shape, index).reshape(-1), minlength=math.prod(t.shape)).reshape(t.shape)


_NONE = np.zeros(())


def _uses(parts: list[tuple[Any, Any, Any]]) -> list[Use]:
    return [Use(op, node(), np.asarray(getattr(gradient, "array", gradient))) for op, node, gradient in parts]


def _below(of: list[Use]) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Each node that the uses lead on to, as far as values were retained, with the shape of its input there."""
    queue = list(of)
    seen: set[Node] = set()
    while queue and len(seen) < _FAR:
        use = queue.pop(0)
        if use.node is None or use.node in seen:
            continue
        seen.add(use.node)
        yield use.node, use.gradient.shape
        if use.node.extra is not None:
            queue += _uses(use.node.extra.parts)


def _called(node: Node | None) -> str | None:
    """The name of a node's output, or of the value that it was worked out for; None if nothing is known."""
    if node is None:
        return None
    if (name := _name(node)) is not None:
        return name
    for end, name in list(_names.items()):  # a step without a name, as the sum in 1/n * hprebn.sum(0)
        stack, seen = [end], 0
        while stack and seen < _FAR:
            for x in stack.pop().inputs:
                if x is node:
                    return name
                if type(x) is Node and x.seq > node.seq and _name(x) is None:
                    stack.append(x)
            seen += 1
    return None


def _name(node: Node) -> str | None:
    return node.name or _names.get(node)


def _mask(shape: tuple[int, ...], index: Any) -> Mask:
    mask = np.zeros(shape, bool)
    mask[index] = True
    return mask


def _is_rows(index: Any, n: int) -> bool:
    return isinstance(index, np.ndarray) and index.shape == (n,) and bool((index == np.arange(n)).all())
