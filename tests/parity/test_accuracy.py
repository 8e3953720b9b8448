"""The accuracy of float32 results, quickly: `make parity` measures all sizes against the bar itself."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import ops
from minigrad.graph import Engine
from minigrad.ops.op import Op

from .accuracy import EXACT, TABLE, Row, measure

# Few draws of small sizes: their largest errors are partly chance, and the last digits the processor's. What this sees
# is a formula that loses digits.
BAR = 3.0


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with np.errstate(all="ignore"):
        yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_near_to_the_truth_as_torch(row: Row) -> None:
    for errors in measure(row, quick=True):
        assert errors.ratio() <= BAR, errors.figures()


def naive_variance(m: object, x: mg.Tensor) -> mg.Tensor:
    if m is torch:
        return torch.var(x, 0, correction=0)
    return (x * x).mean(0) - x.mean(0) ** 2


def test_lost_digits_are_seen() -> None:
    """log(1 + x) near 0 and the variance in one pass, as one would first write them."""
    small = {"1000": [(1000, 12)]}
    log1p = Row("log1p", lambda m, x: m.log1p(x) if m is torch else m.log(1 + x), "near 0", small, "own")
    for row in (log1p, Row("var", naive_variance, "large mean", small)):
        forward, _ = measure(row, quick=True)
        assert forward.ratio() > 100


def test_every_op_has_a_row_or_is_exact() -> None:
    run: set[str] = set()
    before, Engine.observe = Engine.observe, lambda op, arrays, result, settings, inputs: run.add(op.__name__)
    try:
        for row in TABLE:
            shapes = next(iter(row.sizes.values()))
            row.call(mg, *[mg.ones(shape, requires_grad=True) for shape in shapes])
    finally:
        Engine.observe = before
    classes = [op for op in vars(ops).values() if isinstance(op, type) and issubclass(op, Op)]
    every = {op.__name__ for op in classes if "forward" in vars(op)}
    assert sorted(every - run - set(EXACT)) == []
    assert sorted(set(EXACT) - every) == []
