"""Why a derivation is wrong. A cause is said only after it was proven on the arrays: put right, they agree.

Each function below looks for one cause and returns it, or None. They are tried in the order of CAUSES, and the first
one proven is told. The proofs are strict, because a wrong diagnosis is worse than none: all elements must agree, and
nine in ten of them each by itself and not only beside the largest (`same`); gradients that are zero everywhere,
one-element arrays and nan match nearly anything, and so prove next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tensor import Tensor
from .uses import LABEL, Use, constants, hooked, picked, sizes, taken, uses

Array = NDArray[Any]

_MANY = 6  # uses: all ways to forget some of so many are tried, of more only one at a time


@dataclass(frozen=True)
class Cause:
    """A proven cause: its kind, a word or two that stay the same, and a text with the numbers of this case."""

    kind: str
    text: str


@dataclass
class Case:
    """A derivation beside the engine's gradient of t, and what the graph knows of t.

    given is the derivation in its own dtype; mine and grad are float64, so that no proof adds rounding of its own.
    """

    t: Tensor
    given: Array
    mine: Array
    grad: Array
    eps: float
    uses: list[Use] = field(default_factory=list)

    @classmethod
    def of(cls, t: Tensor, mine: Array, grad: Array) -> Case:
        kinds = [a.dtype for a in (mine, grad) if a.dtype.kind == "f"]
        eps = max((float(np.finfo(kind).eps) for kind in kinds), default=float(np.finfo(np.float64).eps))
        return cls(t, mine, mine.astype(np.float64), grad.astype(np.float64), eps, uses(t))

    def same(self, a: Array, b: Array, ulps: int = 64, scale: float = 0.0) -> bool:
        """Whether a and b agree but for rounding, and are not zero everywhere."""
        if a.shape != b.shape or not a.size:
            return False
        diff, size = np.abs(a - b), np.maximum(np.abs(a), np.abs(b))
        top = max(float(size.max()), scale)
        if not size.max() > 0 or not (diff <= ulps * self.eps * top).all():
            return False
        live = size > 0
        return bool((diff[live] <= 2048 * self.eps * size[live]).mean() >= 0.9)

    def parts(self) -> list[Array]:
        """What each of two or more uses gave, if together they are the gradient; else an empty list."""
        parts = [use.gradient.astype(np.float64) for use in self.uses]
        if len(parts) < 2 or not self.same(np.sum(parts, axis=0), self.grad, scale=_top(parts)):
            return []
        return parts


def diagnose(case: Case) -> Cause | None:
    """The first cause that is proven, None if none is. Nan and inf prove nothing, nor do gradients of zero."""
    if not (np.isfinite(case.mine).all() and np.isfinite(case.grad).all()) or not case.grad.any():
        return None
    for find in CAUSES if case.mine.shape == case.grad.shape else SHAPES:
        if (cause := find(case)) is not None:
            return cause
    return None


# ------------------------------------------------------------------------------------------------- wrong shape


def missing_sum(case: Case) -> Cause | None:
    """The gradient before broadcasting was undone: summed to the value's shape it is right."""
    mine, shape = case.given, case.grad.shape
    broadcast = any(use.node is not None and use.node.shape == mine.shape for use in case.uses)
    if _constant(case.grad) and not broadcast:
        return None  # many an array has that one number as its sum: only the graph proves that it was broadcast
    for dims in _dims(mine.ndim):
        summed = mine.sum(dims, keepdims=True)
        for kept, right in ((False, np.squeeze(summed, dims)), (True, summed)):
            if right.shape == shape and any(mine.shape[d] > 1 for d in dims) and _right(case, right):
                call = f".sum({_args(dims)}{', keepdim=True' if kept else ''})"
                if broadcast:
                    text = f"broadcasting made {shape} into {mine.shape}, and its undoing is missing: right with {call}"
                else:
                    text = f"right with {call}: of shape {mine.shape}, and the gradient has {shape}"
                return Cause("missing sum", text)
    return None


def missing_keepdim(case: Case) -> Cause | None:
    """The numbers are right, but dimensions of size 1 were dropped."""
    mine, shape = case.mine, case.grad.shape
    for dims in _dims(len(shape)):
        dropped = tuple(n for d, n in enumerate(shape) if d not in dims)
        if all(shape[d] == 1 for d in dims) and mine.shape == dropped and _right(case, mine.reshape(shape)):
            sums = f"a sum over dim {_args(dims)} without keepdim=True"
            text = f"right, but of shape {mine.shape}, not {shape}: as {sums} gives"
            return Cause("missing keepdim", text)
    return None


def extra_sum(case: Case) -> Cause | None:
    """Summed where nothing was broadcast."""
    if _constant(case.grad):
        return None  # its sum over one dimension may well be that over another
    for dims in _dims(case.grad.ndim):
        if all(case.grad.shape[d] == 1 for d in dims):
            continue
        for keep in (False, True):
            summed = case.grad.sum(dims, keepdims=keep)
            if case.mine.size > 1 and case.same(case.mine, summed, scale=_top([case.grad])):
                text = f"the gradient summed over dim {_args(dims)}, where nothing was broadcast: leave the sum out"
                return Cause("extra sum", text)
    return None


def transposed(case: Case) -> Cause | None:
    """The dimensions in another order."""
    if case.mine.ndim != case.grad.ndim or case.grad.ndim > 4:
        return None
    for order in permutations(range(case.mine.ndim)):
        turned = case.mine.transpose(order)
        if turned.shape == case.grad.shape and order != tuple(range(case.mine.ndim)) and _right(case, turned):
            how = ".T" if case.mine.ndim == 2 else f".permute{order}"
            return Cause("transposed", f"transposed: with {how} it is right")
    return None


def reshaped(case: Case) -> Cause | None:
    """The same numbers in the same order, in another shape."""
    if case.mine.size == case.grad.size and _right(case, case.mine.reshape(case.grad.shape)):
        text = f"right, but of shape {case.mine.shape}: .view{case.grad.shape} is missing"
        return Cause("reshaped", text)
    return None


# ------------------------------------------------------------------------------------------ what the graph tells


def backward_twice(case: Case) -> Cause | None:
    """The engine's own gradient was accumulated over several backward calls, and the derivation is of one."""
    if not case.uses or hooked(case.t):
        return None
    once = np.asarray(np.sum([use.gradient for use in case.uses], axis=0, dtype=np.float64))
    for k in range(2, 11):
        if case.same(k * once, case.grad) and case.same(case.mine, once):
            text = f"the engine's gradient is {k} times what the last backward() gave, and this agrees with that one: "
            return Cause("backward twice", text + "set .grad to None before backward()")
    return None


def forgotten(case: Case) -> Cause | None:
    """Some uses of the value are left out: this is what the others give."""
    parts = case.parts()
    n, scale = len(parts), _top(parts)
    keep = range(n - 1, 0, -1) if n <= _MANY else (n - 1, 1)
    for chosen in (c for size in keep for c in combinations(range(n), size)):
        total = np.sum([parts[i] for i in chosen], axis=0)
        # What is missing may be as small as rounding (the lecture's logit_maxes): then only the same bits prove it.
        very_small = case.same(total, case.grad, scale=scale)
        exactly = np.array_equal(case.mine, total) and not np.array_equal(case.mine, case.grad)
        if exactly or (not very_small and case.same(case.mine, total, scale=scale)):
            gone = [i for i in range(n) if i not in chosen]
            there = _and(str(case.uses[i]) for i in chosen)
            left_out = _and(str(case.uses[i]) for i in gone)
            text = f"a use is forgotten: this is what {there} gives alone; {left_out} is missing"
            small = max(float(np.abs(parts[i]).max()) for i in gone)
            return Cause("forgotten use", text + (f" (at most {small:.2g} here)" if very_small else ""))
    return None


def part_wrong(case: Case) -> Cause | None:
    """One use's part is counted twice, or off by a constant factor; the others are right."""
    parts = case.parts()
    diff = case.mine - case.grad
    for part, use in zip(parts, case.uses, strict=False):
        scale = max(_top(parts), float(np.abs(case.mine).max()))
        if not np.abs(diff).max() > 4096 * case.eps * scale or case.mine.size < 2:
            continue  # too little is wrong to tell by how much
        if not (part * diff).any():
            continue
        k = float((diff * part).sum() / (part * part).sum())
        if not case.same(case.mine, case.grad + k * part, scale=scale) or not case.same(diff, k * part, 4096):
            continue
        if abs(k - 1) < 1e-4:
            return Cause("counted twice", f"what {use} gives was added twice")
        named = _named(case, k + 1, strict=True)
        if named is not None:
            text = f"the part that comes from {use} is {named} times what it should be; the rest is right"
            return Cause("part factor", text)
    return None


# --------------------------------------------------------------------------------------------- the whole of it


def factor(case: Case) -> Cause | None:
    """The gradient times a constant."""
    if case.mine.size < 2 or np.count_nonzero(case.grad) < 2 or not case.mine.any():
        return None
    c = float((case.mine * case.grad).sum() / (case.grad * case.grad).sum())
    if not case.same(case.mine, c * case.grad) or abs(c - 1) < 4096 * case.eps:
        return None  # so near to 1 it may be noise
    # Where the gradient is one number all over, any other is some multiple of it: only a known one says something.
    levels = len(set(np.abs(np.round(case.grad[case.grad != 0] / _top([case.grad]), 3)).tolist()))
    named = _named(case, c, strict=levels < 4)
    return None if named is None else Cause("factor", f"the gradient times a constant: {named}")


def indexed_places(case: Case) -> Cause | None:
    """Right but at the places that a rule treats otherwise: the label of each row, the largest of each row."""
    diff = np.abs(case.mine - case.grad)
    top = max(_top([case.grad]), _top([case.mine]))
    wrong = diff > np.maximum(64 * case.eps * top, 0)
    if wrong.sum() < 2:
        return None
    for what, places in picked(case.t, case.uses):
        right = ~wrong & (case.grad != 0)
        if (wrong & ~places).any() or 2 * wrong.sum() < places.sum() or not right[~places].any():
            continue
        if not case.same(case.mine[~places], case.grad[~places]):
            continue
        text = f"right but at {what}, and wrong in {wrong.sum()} of those {places.sum()}"
        off = (case.mine - case.grad)[places]
        if case.same(off, np.full_like(off, off.mean()), scale=top):
            named = _number(abs(off.mean()), case)
            text += f", always by {'+' if off.mean() > 0 else '-'}{named}"
            if what == LABEL and abs(off.mean() * len(case.grad) - 1) < 64 * case.eps:
                text += ": the -1 there, by n, is missing"
        return Cause("indexed places", text)
    return None


def repeated_indices(case: Case) -> Cause | None:
    """Rows that were taken several times hold what one time gave, in place of the sum."""
    for i, use in enumerate(case.uses):
        counts = taken(case.t, use)
        if counts is None or counts.max() < 2:
            continue
        rest = sum((u.gradient.astype(np.float64) for j, u in enumerate(case.uses) if j != i), np.zeros(counts.shape))
        upstream = use.upstream()
        index = use.settings["index"]
        if upstream is not None and case.same(rest + use.gradient, case.grad):
            for which, order in (("last", slice(None)), ("first", slice(None, None, -1))):
                once = np.zeros(counts.shape)
                at = np.arange(counts.size).reshape(counts.shape)[index].reshape(-1)
                once.reshape(-1)[at[order]] = upstream.reshape(-1)[order]
                if case.same(case.mine, rest + once) and not case.same(rest + once, case.grad):
                    text = (
                        f"repeated indices were overwritten, not added up: only the {which} stayed ({_often(counts)})"
                    )
                    return Cause("repeated indices", text)
            if case.same(case.mine, rest + use.gradient / np.maximum(counts, 1)):
                text = f"repeated indices were averaged and not added up ({_often(counts)})"
                return Cause("repeated indices", text)
        single = (counts == 1) & (case.grad != 0)
        if single.sum() < 2 or case.mine.size < 4 or not case.same(case.mine[counts < 2], case.grad[counts < 2]):
            continue
        wrong = np.abs(case.mine - case.grad) > 64 * case.eps * _top([case.grad])
        if 2 * (wrong & (counts > 1)).sum() >= (counts > 1).sum() > 1:
            text = f"right where an index comes once, wrong where it comes several times ({_often(counts)})"
            return Cause("repeated indices", text)
    return None


def rounding(case: Case) -> Cause | None:
    """The same but for the rounding of floats: the operations come in another order."""
    if not case.same(case.mine, case.grad, 16):
        return None
    ulps = float(np.abs(case.mine - case.grad).max() / (case.eps * _top([case.grad])))
    text = f"only float rounding: {ulps:.1g} times the precision of the largest, as another order of operations gives"
    return Cause("rounding", text)


SHAPES: list[Callable[[Case], Cause | None]] = [missing_keepdim, missing_sum, extra_sum, transposed, reshaped]
CAUSES: list[Callable[[Case], Cause | None]] = [
    backward_twice, forgotten, rounding, factor, transposed, part_wrong, repeated_indices, indexed_places,
]  # fmt: skip


# ------------------------------------------------------------------------------------------------------ helpers


def _named(case: Case, c: float, strict: bool) -> str | None:
    """A constant in words; with strict None if it is no number that the graph explains."""
    near = 64 * case.eps
    for k, text in constants(case.uses):
        if abs(k) != 1 and abs(c / k - 1) < near:
            return f"{k:g} ({text}, once too often)"
        if abs(k) != 1 and abs(c * k - 1) < near:
            return f"{_fraction(1 / k)} ({text}, {k:g}, is missing)"
    sign = "-" if c < 0 else ""
    for value, text in _known(case):
        if abs(abs(c) / value - 1) < near:
            return sign + text
    return None if strict else f"{c:.6g}"


def _known(case: Case) -> Iterator[tuple[float, str]]:
    """Constants that derivations are off by."""
    yield from ((1.0, "1"), (2.0, "2"), (0.5, "1/2"))
    for n in sizes(case.t, case.uses):
        yield n, f"{n} (n)"
        yield 1 / n, f"1/{n} (1/n)"
        if n > 2:
            yield n / (n - 1), f"{n}/{n - 1} (n/(n-1): Bessel's correction)"
            yield (n - 1) / n, f"{n - 1}/{n} ((n-1)/n: Bessel's correction)"
            yield n - 1, f"{n - 1} (n-1)"
            yield 1 / (n - 1), f"1/{n - 1} (1/(n-1))"


def _number(value: float, case: Case) -> str:
    for n in sizes(case.t, case.uses):
        if abs(value * n - 1) < 64 * case.eps:
            return f"1/{n} (1/n)"
    return f"{value:.6g}"


def _fraction(value: float) -> str:
    short = Fraction(value).limit_denominator(1000)
    return str(short) if abs(float(short) - value) < 1e-12 else f"{value:.6g}"


def _right(case: Case, put_right: Array) -> bool:
    """Whether the derivation in its right shape agrees; one element may do so too, if it is the very same number."""
    return case.same(put_right, case.grad) or np.array_equal(put_right, case.grad)


def _constant(a: Array) -> bool:
    """Whether an array is one number all over, be it but for rounding: next to nothing is proven by such."""
    return a.size == 1 or float(np.ptp(a)) <= 1e-3 * float(np.abs(a).max())


def _top(arrays: list[Array]) -> float:
    return max((float(np.abs(a).max()) for a in arrays if a.size), default=0.0)


def _dims(ndim: int) -> Iterator[tuple[int, ...]]:
    for k in range(1, ndim + 1):
        yield from combinations(range(ndim), k)


def _args(dims: tuple[int, ...]) -> str:
    return str(dims[0]) if len(dims) == 1 else str(dims)


def _and(texts: Any) -> str:
    return " and ".join(texts)


def _often(counts: NDArray[np.int64]) -> str:
    """Which index comes how often, the most frequent first."""
    rows = counts.reshape(len(counts), -1)[:, 0]
    most = [int(i) for i in np.argsort(-rows, kind="stable")[:3] if rows[i] > 1]
    more = ", ..." if (rows > 1).sum() > len(most) else ""
    return ", ".join(f"{i} comes {rows[i]} times" for i in most) + more
