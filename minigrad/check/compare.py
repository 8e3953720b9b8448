"""cmp: a gradient derived by hand beside the engine's, in the lecture's row, and why where they differ.

cmp("dlogits", dlogits, logits)                      prints the row, and returns a Comparison
cmp.all({"logits": (dlogits, logits), "h": (dh, h)}) the same for many, and returns a Table
"""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..modes import no_grad
from ..tensor import Tensor
from .causes import Case, Cause, diagnose
from .lecture import place
from .uses import formula, remember


@dataclass(frozen=True)
class Comparison:
    """One derivation beside the engine's gradient; true if they agree, be it up to rounding.

    exact, approximate and maxdiff are the lecture's (cell 7), which broadcast one against the other; maxdiff is nan
    where the shapes do not even allow that. cause is what was proven to be wrong, None if nothing was; notes are
    what else can be seen, help the formula of the rules that the value is used in, and the lecture's place.
    """

    name: str
    exact: bool
    approximate: bool
    maxdiff: float
    shape: tuple[int, ...]
    expected: tuple[int, ...]
    cause: Cause | None = None
    notes: tuple[str, ...] = ()
    help: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        wrong = self.cause is not None and self.cause.kind != "rounding"
        return self.approximate and self.shape == self.expected and not wrong

    @property
    def row(self) -> str:
        """The lecture's line."""
        exact, approximate = str(self.exact), str(self.approximate)
        return f"{self.name:15s} | exact: {exact:5s} | approximate: {approximate:5s} | maxdiff: {self.maxdiff}"

    def reasons(self) -> Iterator[str]:
        """The lines below the row: the cause, what else can be seen, and, where it is wrong, what would be right."""
        if self.cause is not None:
            yield self.cause.text
        yield from self.notes
        if not self:
            yield from self.help

    def __str__(self) -> str:
        return "\n".join([self.row, *(f"    {line}" for line in self.reasons())])

    def __repr__(self) -> str:
        kind = "exact" if self.exact and self else self.cause.kind if self.cause else "agrees" if self else "wrong"
        return f"<{self.name}: {kind}>"

    def _repr_html_(self) -> str:
        return Table([self])._repr_html_()


class Table(list[Comparison]):
    """Many comparisons: true if all agree; str() is the text, and a notebook shows it as a table."""

    def __bool__(self) -> bool:
        return all(self)

    def wrong(self) -> list[str]:
        """The names of those that do not agree."""
        return [comparison.name for comparison in self if not comparison]

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def __repr__(self) -> str:
        wrong = self.wrong()
        exact = sum(c.exact for c in self)
        return f"<{len(self)} gradients: {exact} exact, {len(wrong)} wrong{': ' if wrong else ''}{', '.join(wrong)}>"

    def _repr_html_(self) -> str:
        rows = []
        for c in self:
            colour = "#2a7d2a" if c.exact and c else "#9a6b00" if c else "#b3261e"
            mark = "✓" if c.exact and c else "≈" if c else "✗"
            why = "<br>".join(html.escape(line) for line in c.reasons())
            cells = (html.escape(c.name), c.exact, c.approximate, c.maxdiff)
            rows.append(
                f'<tr><td style="color:{colour}">{mark}</td>'
                + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells)
                + f'<td style="text-align:left">{why}</td></tr>'
            )
        head = "".join(f'<th style="text-align:left">{h}</th>' for h in ("", "", "exact", "approximate", "maxdiff", ""))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


class _Cmp:
    """The lecture's cmp as a function: `cmp(name, derivation, tensor)`, and `cmp.all` for many."""

    __name__ = "cmp"

    def __call__(self, s: str, dt: Any, t: Tensor) -> Comparison:
        """Print the lecture's row comparing a gradient derived by hand, *dt*, with t.grad, and why where they differ.

            logprobs        | exact: True  | approximate: True  | maxdiff: 0.0

        dt: array, Tensor or nested lists. What it returns is true if they agree, up to rounding. A cause is named
        only after it was proven on the arrays. Raises RuntimeError if t has no gradient. Source: lecture, cell 7.
        """
        found = compare(s, dt, t)
        print(found)
        return found

    def all(self, derivations: Mapping[str, tuple[Any, Tensor]]) -> Table:
        """cmp for each {name: (derivation, tensor)}: prints the rows, and returns them as a Table.

        In a notebook nothing is printed, since the notebook shows the Table that a cell ends with.
        """
        for name, pair in derivations.items():
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(f"cmp.all: {name}: give (derivation, tensor)")
            if isinstance(pair[1], Tensor):
                remember(name, pair[1])  # before the first is compared: each may be a use of another
        table = Table([compare(name, dt, t) for name, (dt, t) in derivations.items()])
        if "ipykernel" not in sys.modules:
            print(table)
        return table

    def __repr__(self) -> str:
        return "<function cmp(name, derivation, tensor); cmp.all({name: (derivation, tensor)})>"


cmp = _Cmp()


def compare(name: str, dt: Any, t: Tensor) -> Comparison:
    """cmp without printing."""
    if not isinstance(t, Tensor):
        raise TypeError(f"cmp: {name}: give the Tensor itself after its derivation, not {type(t).__name__}")
    remember(name, t)
    with no_grad(), np.errstate(all="ignore"):
        held = t._grad
        if held is None:
            raise RuntimeError(f"cmp: {name} has no gradient: {_missing(t)}")
        mine, engine = _numbers(name, dt), np.asarray(held.array)
        try:
            np.broadcast_shapes(mine.shape, engine.shape)
        except ValueError:
            exact, approximate, maxdiff = False, False, math.nan
        else:
            exact, approximate = bool(np.all(mine == engine)), bool(np.allclose(mine, engine))
            maxdiff = float(np.max(np.abs(mine.astype(np.result_type(mine, engine)) - engine), initial=0.0))
        if exact and mine.shape == engine.shape:
            return Comparison(name, True, True, maxdiff, mine.shape, engine.shape)
        case = Case.of(t, mine, engine)
        cause = diagnose(case)
        notes = tuple(_notes(case, cause))
        return Comparison(
            name, exact, approximate, maxdiff, mine.shape, engine.shape, cause, notes, tuple(_help(name, case, cause))
        )


def _missing(t: Tensor) -> str:
    """Why a Tensor has no gradient, and what to do."""
    if not t.requires_grad:
        return "it does not require one: make it with requires_grad=True"
    return "call backward() first" if t.is_leaf else "call retain_grad() on it before backward()"


def _numbers(name: str, dt: Any) -> NDArray[Any]:
    """A derivation as an array. TypeError if it is no array of real numbers."""
    if isinstance(dt, Tensor):
        dt = dt.array
    elif callable(getattr(dt, "detach", None)):
        dt = dt.detach()  # torch's, of which numpy takes none that requires a gradient
    try:
        mine = np.asarray(dt)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"cmp: {name}: numpy can make no array of this {type(dt).__name__}: {error}") from None
    if mine.dtype.kind not in "fiub":
        got = type(dt).__name__ if mine.dtype == object else mine.dtype
        raise TypeError(f"cmp: {name}: a derivation is an array, a Tensor or lists of real numbers, got {got}")
    return mine


def _notes(case: Case, cause: Cause | None) -> Iterator[str]:
    """What can be seen of a wrong derivation without knowing its cause."""
    mine, grad = case.mine, case.grad
    if mine.shape != grad.shape:
        if cause is None:
            yield f"shape {mine.shape}, and the gradient has {grad.shape}; nothing tried makes the numbers agree"
        return
    if cause is not None:
        return
    for what, a in (("the derivation", mine), ("the gradient", grad)):
        if odd := int((~np.isfinite(a)).sum()):
            yield f"{odd} of {a.size} elements of {what} {'is' if odd == 1 else 'are'} nan or inf"
    if not np.isfinite(mine).all() or not np.isfinite(grad).all():
        return
    for what, a in (("the derivation", mine), ("the gradient", grad)):
        if a.size and not a.any():
            yield f"{what} is zero everywhere"
    if not grad.any():
        return
    top = float(np.abs(grad).max(initial=0.0))
    if top < 1e-8:
        yield f"the gradient is at most {top:.2g}: for allclose() that is 0, and anything as small agrees"
        return
    wrong = np.abs(mine - grad) > 64 * case.eps * top
    if 0 < wrong.sum() <= mine.size / 4:
        at = ", ".join(str(tuple(int(i) for i in place)) for place in np.argwhere(wrong)[:3])
        more = ", ..." if wrong.sum() > 3 else ""
        yield f"right but in {wrong.sum()} of {wrong.size} elements: at {at}{more}"


def _help(name: str, case: Case, cause: Cause | None) -> Iterator[str]:
    """The formula of each rule that the value goes into, and where the lecture derives it."""
    if not case.uses and cause is None:
        what = "it" if case.t.is_leaf else "the values made from it"
        yield f"its uses are not known: call retain_grad() on {what} before backward(), and more can be told"
    for use in case.uses:
        if text := formula(use.op):
            yield f"{use}: {text}"
    found = place(name, [use.op.__name__ for use in case.uses])
    if found is not None:
        yield f"lecture: {found[0]}, from {found[1]}"
