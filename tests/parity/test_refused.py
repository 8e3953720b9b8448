"""Inputs that torch refuses: minigrad refuses them too, naming the shapes or values that were wrong."""

from typing import Any

import pytest
import torch

import minigrad as mg

REFUSALS = (RuntimeError, IndexError, TypeError, ValueError)

# (call, what the message says); a holds the arguments: a.x (2, 3), a.y (4, 5), a.v (3,), a.s (),
# a.n int64 (3,), a.b bool (3,), a.c (2, 3, 4), a.e (0,).
TABLE: list[tuple[Any, list[str]]] = [
    # shapes that do not broadcast
    (lambda m, a: a.x + a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x - a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x * a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x / a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x**a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x % a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x // a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x < a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x == a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: m.maximum(a.x, a.y), ["(2, 3)", "(4, 5)"]),
    (lambda m, a: m.logical_and(a.x, a.y), ["(2, 3)", "(4, 5)"]),
    (lambda m, a: m.where(a.x > 0, a.y, a.s), ["(2, 3)", "(4, 5)"]),
    (lambda m, a: m.clamp(a.x, a.y), ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x.masked_fill(a.y > 0, 0.0), ["(2, 3)", "(4, 5)"]),
    # dtypes
    (lambda m, a: a.b - a.b, ["bool"]),
    (lambda m, a: -a.b, ["bool"]),
    (lambda m, a: a.n**-1, ["negative"]),
    (lambda m, a: m.mean(a.n), ["int64"]),
    (lambda m, a: m.var(a.n), ["int64"]),
    (lambda m, a: m.norm(a.n), ["int64"]),
    (lambda m, a: m.softmax(a.n, 0), ["int64"]),
    (lambda m, a: a.x & 1, ["float"]),
    (lambda m, a: ~a.x, ["float"]),
    (lambda m, a: m.where(a.n, a.v, a.v), ["int64", "bool"]),
    (lambda m, a: a.v.masked_fill(a.n, 0.0), ["int64", "bool"]),
    (lambda m, a: m.add(a.n, a.n, alpha=0.5), ["0.5"]),
    (lambda m, a: a.n.to(m.uint8).masked_fill(a.b, 300), ["300", "uint8"]),
    (lambda m, a: a.n.masked_fill(a.b, float("nan")), ["nan", "int64"]),
    (lambda m, a: m.full((2,), 300, dtype=m.uint8), ["300", "uint8"]),
    (lambda m, a: m.tensor([300], dtype=m.uint8), ["300", "uint8"]),
    (lambda m, a: a.n.to(m.int8).fill_(200), ["200", "int8"]),
    (lambda m, a: a.x @ a.n.to(m.float64), []),
    (lambda m, a: m.clamp(a.x), ["min", "max"]),
    (lambda m, a: m.div(a.x, a.s, rounding_mode="up"), ["up"]),
    # reductions
    (lambda m, a: m.sum(a.x, dim=2), ["2"]),
    (lambda m, a: m.sum(a.x, dim=-3), ["-3"]),
    (lambda m, a: m.sum(a.x, dim=(0, 0)), ["(0, 0)"]),
    (lambda m, a: m.sum(a.x, dim=(0, -2)), ["(0, -2)"]),
    (lambda m, a: m.max(a.x, 2), ["2"]),
    (lambda m, a: m.max(a.e), ["(0,)"]),
    (lambda m, a: m.argmin(a.e), ["(0,)"]),
    (lambda m, a: m.argmax(a.x, 5), ["5"]),
    (lambda m, a: m.cumsum(a.x, 2), ["2"]),
    (lambda m, a: m.cumsum(a.x), ["dim"]),
    (lambda m, a: m.softmax(a.x, 3), ["3"]),
    (lambda m, a: m.logsumexp(a.x, 2), ["2"]),
    (lambda m, a: m.sum(a.x, dim="a"), ["a"]),
    (lambda m, a: m.prod(a.x, dim=1.5), ["1.5"]),
    # shapes
    (lambda m, a: a.x.reshape(4, 2), ["(4, 2)", "(2, 3)"]),
    (lambda m, a: a.x.reshape(-1, -1), ["-1", "(2, 3)"]),
    (lambda m, a: a.x.reshape(-1, 4), ["4", "(2, 3)"]),
    (lambda m, a: a.x.reshape(-2, 3), ["-2"]),
    (lambda m, a: a.e.reshape(-1, 0), ["-1", "(0,)"]),
    (lambda m, a: a.x.t().view(6), ["(6,)", "(3, 2)"]),
    (lambda m, a: a.x.permute(0, 0), ["(2, 3)"]),
    (lambda m, a: a.x.permute(0), ["(2, 3)"]),
    (lambda m, a: a.x.permute(0, 2), ["2"]),
    (lambda m, a: m.transpose(a.x, 0, 2), ["2"]),
    (lambda m, a: m.t(a.c), ["(2, 3, 4)"]),
    (lambda m, a: a.v.mT, ["(3,)"]),
    (lambda m, a: a.x.expand(4, 3), ["(2, 3)", "(4, 3)"]),
    (lambda m, a: a.x.expand(3), ["(2, 3)", "(3,)"]),
    (lambda m, a: a.v.expand(-1, 3), ["(3,)", "-1"]),
    (lambda m, a: a.x.repeat(2), ["(2, 3)"]),
    (lambda m, a: m.unsqueeze(a.x, 4), ["4"]),
    (lambda m, a: m.squeeze(a.x, 2), ["2"]),
    (lambda m, a: m.flatten(a.c, 2, 1), ["2", "1"]),
    (lambda m, a: m.flip(a.x, (2,)), ["2"]),
    (lambda m, a: m.flip(a.x, (0, 0)), ["(0, 0)"]),
    (lambda m, a: m.roll(a.x, 1, 2), ["2"]),
    (lambda m, a: m.roll(a.x, (1, 2), 0), []),
    (lambda m, a: m.tril(a.v), ["(3,)"]),
    (lambda m, a: m.cat([a.x, a.y]), ["(2, 3)", "(4, 5)"]),
    (lambda m, a: m.cat([a.x, a.v]), ["(2, 3)", "(3,)"]),
    (lambda m, a: m.cat([]), []),
    (lambda m, a: m.cat([a.x, a.x], 2), ["2"]),
    (lambda m, a: m.cat(a.x), []),
    (lambda m, a: m.stack([a.x, a.y]), ["(2, 3)", "(4, 5)"]),
    (lambda m, a: m.stack([]), []),
    (lambda m, a: m.stack([a.x, a.x], 3), ["3"]),
    (lambda m, a: m.split(a.x, -1), ["-1"]),
    (lambda m, a: m.split(a.x, [1, 2]), ["[1, 2]", "(2, 3)"]),
    (lambda m, a: m.split(a.x, [3, -1]), ["[3, -1]"]),
    (lambda m, a: m.split(a.s, 1), []),
    (lambda m, a: m.chunk(a.x, 0), ["0"]),
    (lambda m, a: m.unbind(a.x, 2), ["2"]),
    (lambda m, a: m.unbind(a.s), []),
    (lambda m, a: m.movedim(a.x, 0, 2), ["2"]),
    (lambda m, a: m.zeros(-1), ["-1"]),
    (lambda m, a: m.arange(3, 0), ["3", "0"]),
    (lambda m, a: m.arange(0, 3, 0), ["0"]),
    (lambda m, a: m.tensor([[1.0], [1.0, 2.0]]), []),
    (lambda m, a: m.tensor("x"), ["x"]),
    (lambda m, a: m.tensor([None]), []),
    (lambda m, a: m.tensor([1, 2], requires_grad=True), ["int64"]),
    # indexing
    (lambda m, a: a.x[2], ["2", "(2, 3)"]),
    (lambda m, a: a.x[0, 3], ["3"]),
    (lambda m, a: a.x[-3], ["-3"]),
    (lambda m, a: a.x[0, 0, 0], ["(2, 3)"]),
    (lambda m, a: a.x[0.5], ["0.5"]),
    (lambda m, a: a.x[a.v], ["float32"]),
    (lambda m, a: a.x["a"], ["a"]),
    (lambda m, a: a.v[::-1], ["-1"]),
    (lambda m, a: a.x[m.tensor([0, 2])], ["2"]),
    (lambda m, a: a.x[m.tensor([-3])], ["-3"]),
    (lambda m, a: a.x[a.b], ["3"]),
    (lambda m, a: a.c[m.tensor([0, 1]), m.tensor([0, 1, 2])], ["(2,)", "(3,)"]),
    (lambda m, a: a.s[0], []),
    (lambda m, a: a.v.clone().__setitem__(3, 1.0), ["3", "(3,)"]),
    (lambda m, a: a.v.clone().__setitem__(slice(0, 2), a.v), ["(3,)", "(2,)"]),
    (lambda m, a: a.v.clone().__setitem__(a.b, a.v), ["(3,)"]),
    (lambda m, a: a.n.clone().to(m.uint8).__setitem__(0, 300), ["300", "uint8"]),
    (lambda m, a: m.gather(a.x, 1, a.n), ["(3,)", "(2, 3)"]),
    (lambda m, a: m.gather(a.x, 1, m.tensor([[3]])), ["3"]),
    (lambda m, a: m.gather(a.x, 1, m.tensor([[-1]])), ["-1"]),
    (lambda m, a: m.gather(a.x, 1, m.zeros(3, 1, dtype=m.int64)), ["(3, 1)", "(2, 3)"]),
    (lambda m, a: m.gather(a.x, 1, a.x), ["float32"]),
    (lambda m, a: m.gather(a.x, 2, m.tensor([[0]])), ["2"]),
    (lambda m, a: m.index_select(a.x, 0, m.tensor([2])), ["2"]),
    (lambda m, a: m.index_select(a.x, 0, m.tensor([-1])), ["-1"]),
    (lambda m, a: m.index_select(a.x, 0, m.tensor([[0]])), ["(1, 1)"]),
    (lambda m, a: m.index_select(a.x, 0, a.v), ["float32"]),
    (lambda m, a: m.index_add(a.x, 0, m.tensor([0]), a.v), ["(3,)", "(2, 3)"]),
    (lambda m, a: m.index_add(a.x, 0, m.tensor([0, 1]), a.x.double()), ["float64", "float32"]),
    (lambda m, a: m.scatter_add(a.x, 1, m.tensor([[0], [5]]), a.x), ["5"]),
    (lambda m, a: m.scatter_add(a.x, 1, m.zeros(2, 4, dtype=m.int64), a.x), ["(2, 3)", "(2, 4)"]),
    (lambda m, a: m.scatter(a.x, 1, m.tensor([[0]]), a.x.double()), ["float64", "float32"]),
    (lambda m, a: m.nn.functional.one_hot(m.tensor([3]), 3), ["3"]),
    (lambda m, a: m.nn.functional.one_hot(m.tensor([-1])), ["-1"]),
    (lambda m, a: m.nn.functional.one_hot(a.v), ["float32"]),
    # products
    (lambda m, a: a.x @ a.y, ["(2, 3)", "(4, 5)"]),
    (lambda m, a: a.x @ a.x, ["(2, 3)"]),
    (lambda m, a: a.v @ a.x, ["(3,)", "(2, 3)"]),
    (lambda m, a: a.c @ m.ones(3, 4, 2), ["(2, 3, 4)", "(3, 4, 2)"]),
    (lambda m, a: a.s @ a.v, ["()", "(3,)"]),
    (lambda m, a: a.x @ a.x.double().t(), ["float32", "float64"]),
    (lambda m, a: a.x @ 2, []),
    (lambda m, a: m.mm(a.x, a.v), ["(2, 3)", "(3,)"]),
    (lambda m, a: m.mv(a.x, a.x), ["(2, 3)"]),
    (lambda m, a: m.bmm(a.x, a.x), ["(2, 3)"]),
    (lambda m, a: m.dot(a.v, a.x), ["(3,)", "(2, 3)"]),
    (lambda m, a: m.dot(a.v, m.ones(4)), ["(3,)", "(4,)"]),
    (lambda m, a: m.outer(a.x, a.v), ["(2, 3)", "(3,)"]),
    (lambda m, a: m.einsum("ij,jk->ik", a.x, a.y), ["ij,jk->ik"]),
    (lambda m, a: m.einsum("ij->ik", a.x), ["ij->ik"]),
    (lambda m, a: m.einsum("ijk->i", a.x), ["ijk->i", "(2, 3)"]),
    (lambda m, a: m.einsum("ij", a.x, a.x), ["ij"]),
    (lambda m, a: m.einsum("ii->i", a.x), ["ii->i"]),
    (lambda m, a: m.einsum("ij->ii", a.x), ["ij->ii"]),
    (lambda m, a: m.einsum("i1->i", a.x), ["i1->i"]),
    # Tensors as Python values
    (lambda m, a: bool(a.v), ["(3,)"]),
    (lambda m, a: a.v.item(), ["(3,)"]),
    (lambda m, a: float(a.e), ["(0,)"]),
    (lambda m, a: len(a.s), []),
    (lambda m, a: list(a.s), []),
    (lambda m, a: [1, 2, 3][a.s], ["float32"]),
    (lambda m, a: a.v + "a", []),
    (lambda m, a: a.v + None, []),
    (lambda m, a: a.v < "a", []),
]


class Arguments:
    """The table's a, in one library."""

    def __init__(self, m: Any) -> None:
        self.x, self.y, self.c, self.v, self.s, self.e = (
            m.ones(2, 3),
            m.ones(4, 5),
            m.ones(2, 3, 4),
            m.ones(3),
            m.tensor(1.0),
            m.ones(0),
        )
        self.n, self.b = m.tensor([1, 2, 3]), m.tensor([True, False, True])


def source(case: int) -> str:
    """The row's number, and what it calls."""
    code = TABLE[case][0].__code__
    return f"{case} {'.'.join(code.co_names[:2])} line {code.co_firstlineno}"


@pytest.mark.parametrize("case", range(len(TABLE)), ids=source)
def test_refused(case: int) -> None:
    call, words = TABLE[case]
    with pytest.raises(REFUSALS):
        call(torch, Arguments(torch))
    with pytest.raises(REFUSALS) as refused:
        call(mg, Arguments(mg))
    for word in words:
        assert word in str(refused.value), f"{refused.value!r} does not say {word}"


@pytest.mark.parametrize("case", range(len(TABLE)), ids=source)
def test_the_same_class_of_error(case: int) -> None:
    """IndexError where torch has it and not where it has RuntimeError, as a caller catches that."""
    raised = []
    for m in (torch, mg):
        with pytest.raises(REFUSALS) as refused:
            TABLE[case][0](m, Arguments(m))
        raised.append(refused.type)
    if raised[0] in (IndexError, RuntimeError):
        assert (raised[1] is IndexError) == (raised[0] is IndexError), raised
