"""Every op of the table, and random graphs, against finite differences: first and second derivatives.

MINIGRAD_EXAMPLES is the number of random programs, a tenth of it here (15 if not set).
"""

import math
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, note, settings

import minigrad as mg
from minigrad import ops
from minigrad.check import gradcheck, gradgradcheck

from .harness import outputs
from .programs import Program, programs
from .table import TABLE_OF_OPS, Row
from .test_random_graphs import EXAMPLES
from .test_table import rules_run

pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom")
FEW = 12  # elements of all inputs together

# Rules that have a gradient and stand in no row by name, and the row that runs them.
ELSEWHERE = {"Place": "x[1:]"}


def case_of(row: Row) -> tuple[tuple[int, ...], ...]:
    """The row's case with the most elements up to FEW, or its smallest one; an empty one only if it has no others."""
    sizes = {tuple(case): sum(map(math.prod, case)) for case in row.shapes}
    full = {case: n for case, n in sizes.items() if all(map(math.prod, case))} or sizes
    few = [case for case in full if full[case] <= FEW]
    return max(few, key=full.__getitem__) if few else min(full, key=full.__getitem__)


def leaves(row: Row) -> list[mg.Tensor]:
    """Inputs on which each row is differentiable: no two values are equal or near each other, none is near 0."""
    case = case_of(row)
    rng = np.random.default_rng(crc32(row.name.encode()))
    kinds = row.values.split() * (1 if " " in row.values else len(case))
    sizes = [math.prod(shape) for shape in case]
    spaced = rng.permutation(np.linspace(-1.9, 1.83, sum(sizes) + sum(sizes) % 2))[: sum(sizes)]
    inputs = []
    for kind, shape, values in zip(kinds, case, np.split(spaced, np.cumsum(sizes)[:-1]), strict=True):
        values = 1.3 + values / 2 if kind == "positive" else values
        inputs.append(mg.tensor(values.reshape(shape), dtype=mg.float64, requires_grad=True))
    return inputs


@pytest.mark.parametrize("row", TABLE_OF_OPS, ids=str)
def test_row(row: Row) -> None:
    def call(*xs: mg.Tensor) -> tuple[mg.Tensor, ...]:
        outs = outputs(mg, row, list(xs))
        # A constant -inf (masked_fill) has no difference.
        return tuple([out if mg.isfinite(out).all() else out[mg.isfinite(out)] for out in outs])

    inputs = leaves(row)
    if any(out.requires_grad for out in call(*inputs)):  # else a row of a detached value, or of ints and bools
        assert gradcheck(call, inputs)
        assert gradgradcheck(call, inputs)


def test_every_rule_with_a_gradient_is_checked() -> None:
    """Each such rule is named by a row, and that row was run on it with inputs that have elements."""
    differentiable = {
        name for name, op in ops.ALL.items() if any(n == "backward" or _is_gradient(op, n) for n in vars(op))
    }
    named: dict[str, list[Row]] = {}
    for row in TABLE_OF_OPS:
        for rule in row.rules.split():
            named.setdefault(rule, []).append(row)
    assert len(differentiable) > 50
    missing = differentiable - set(named) - set(ELSEWHERE)
    assert not missing, f"{sorted(missing)}: add a row to tests/parity/table.py"
    rows = {row.name: row for row in TABLE_OF_OPS}
    never = {
        rule
        for rule in differentiable
        for those in [named.get(rule) or [rows[ELSEWHERE[rule]]]]
        if not any(rule in rules_run(row) and all(map(math.prod, case_of(row))) for row in those)
    }
    assert not never


def _is_gradient(op: type[ops.Op], name: str) -> bool:
    """Whether this is the d<input> of one of the rule's inputs."""
    return name.startswith("d") and name[1:] in op.forward.__code__.co_varnames[: op.forward.__code__.co_argcount]


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
SMALL = [(), (1,), (3,), (2, 2), (2, 1)]


@settings(max_examples=max(EXAMPLES // 10, 10), suppress_health_check=SLOW)
@given(programs(most=12, shapes=SMALL))
def test_random_graphs(program: Program) -> None:
    note(f"{program}")
    found = program.run(mg)
    inputs = [found[name] for name in program.leaves]
    fixed = {name: value for name, value in found.items() if name not in program.leaves and not name.startswith("t")}

    def call(*xs: mg.Tensor) -> tuple[mg.Tensor, ...]:
        values = {**fixed, **dict(zip(program.leaves, xs, strict=True))}
        exec("\n".join(line for line in program.lines if line.startswith("t")), values)
        return tuple([values[name] for name in program.results])

    roots = [out for out in call(*inputs) if out.requires_grad]
    assume(roots and "detach" not in str(program))  # differences see through detach()
    gradients = mg.autograd.grad([out.sum() for out in roots], inputs, materialize_grads=True)
    assume(all(g.abs().sum().item() < 1e3 for g in gradients))  # steeper: the differences themselves are off
    assert gradcheck(call, inputs), program
    assert gradgradcheck(call, inputs), program
