"""Each row of the table against torch: forward, first and second derivative, on all its shapes, dtypes and layouts."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import ops
from minigrad.graph import Engine

from .harness import compare, draw, largest, outputs, plain, run, same
from .table import COMPARE, ELEMENTWISE, PAIRS, TABLE_OF_OPS, Row

pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom")  # both libraries say it: see test_edges.py


def check(row: Row, arrays: list[np.ndarray], ulps: float, where: str) -> None:
    """One case in both libraries."""
    try:
        compare(run(mg, row, arrays), run(torch, row, arrays), ulps, largest(*arrays))
    except Exception as error:
        raise AssertionError(f"{row.name} on {where}: {type(error).__name__} {error}") from error


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", TABLE_OF_OPS, ids=str)
def test_row(row: Row, dtype: str) -> None:
    for case in row.shapes:
        check(row, draw(row, case, dtype), row.ulps, f"{case} {dtype}")


@pytest.mark.parametrize("row", [row for row in TABLE_OF_OPS if row.name not in ("view", "view_as")], ids=str)
def test_memory_layouts(row: Row) -> None:
    """Inputs that are transposed, strided or run backward in memory give what those in order give."""
    case = largest_case(row)
    for layout in ("transposed", "gaps", "backward"):
        check(row, draw(row, case, "float64", layout), row.ulps, f"{case} {layout}")


def largest_case(row: Row) -> Any:
    """The case with the most elements."""
    return max(row.shapes, key=lambda case: max(map(math.prod, case)))


WHOLE = ["int64", "int32", "int16", "int8", "uint8", "bool"]

# Where minigrad differs from torch on integers and bools, and why.
OTHERWISE: dict[tuple[str, str], str] = {
    **{
        ("einsum", dtype): "torch gives int64 or the ints' own dtype by the way it takes; ours is always their own"
        for dtype in WHOLE
    },
    ("add alpha", "bool"): "True + 2 * True is 3 here and True in torch",
    ("index_add alpha", "bool"): "as add",
    ("clamp by tensors", "bool"): "torch clamps bools by one bound and refuses them with both",
    ("clamp by tensors, ties", "bool"): "the same",
    **{
        (f"y[{i}] = v", "bool"): "cast to the dtype, as y[1] = v is in torch too"
        for i in ("[2, 0]", "mask", ":, [0, 2]")
    },
}


@pytest.mark.parametrize("row", TABLE_OF_OPS, ids=str)
def test_integers_and_bools(row: Row) -> None:
    """On the dtypes without a gradient: torch's values and dtype, or an error where torch has one."""
    case, differ = largest_case(row), []
    for dtype in WHOLE:
        if (row.name.split()[0], dtype) in OTHERWISE or (row.name, dtype) in OTHERWISE:
            continue
        rng = np.random.default_rng(5)
        arrays = [rng.integers(1, 4, shape).astype(dtype) for shape in case]
        want, got = (attempt(m, row, arrays) for m in (torch, mg))
        try:
            if isinstance(want, Exception):
                assert isinstance(got, Exception), f"{[g.tolist() for g in got]}, torch raises {want}"
            elif isinstance(got, Exception):
                raise got
            else:
                for g, w in zip(got, want, strict=True):
                    same(g, w, row.ulps)
        except Exception as error:
            differ.append(f"{row.name} on {case} {dtype}: {type(error).__name__} {error}")
    assert not differ, "\n".join(differ)


def attempt(m: Any, row: Row, arrays: list[np.ndarray]) -> Any:
    """The outputs' arrays, or the error."""
    try:
        inputs = [m.tensor(a) for a in arrays]
        return plain({"forward": outputs(m, row, inputs)})["forward"]
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        return error


def test_every_rule_stands_in_a_row() -> None:
    named = {rule for row in TABLE_OF_OPS for rule in row.rules.split()}
    assert named <= set(ops.ALL), f"no such rule: {sorted(named - set(ops.ALL))}"
    missing = set(ops.ALL) - named - set(ELSEWHERE)
    assert not missing, f"no row exercises {sorted(missing)}: add one to tests/parity/table.py"


# Rules that no row can name, and where they are seen instead.
ELSEWHERE = {
    "Comparison": "the base of the comparisons, without a forward of its own",
    "Place": "Slice's gradient: every row of Slice",
}


def test_rules_named_are_run() -> None:
    """A row runs the rules that it names, forward or backward: the coverage above is no mere claim."""
    claims = []
    for row in TABLE_OF_OPS:
        absent = set(row.rules.split()) - rules_run(row)
        claims += [f"{row.name} never runs {sorted(absent)}"] if absent else []
    assert not claims, "\n".join(claims)


def rules_run(row: Row) -> set[str]:
    """The names of the rules that a row runs: those that the engine's own hook sees, and those in the graph."""
    names = set()
    before, Engine.observe = Engine.observe, lambda op, *_: names.add(op.__name__)
    try:
        for case in row.shapes[:8]:
            arrays = draw(row, case, "float32")
            run(mg, row, arrays)
            stack = [out.grad_fn for out in outputs(mg, row, [mg.tensor(a, requires_grad=True) for a in arrays])]
            while stack:
                if isinstance(node := stack.pop(), mg.Node):
                    names.add(node.op.__name__)
                    stack.extend(node.inputs)
    finally:
        Engine.observe = before
    return names


SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    1e-300,
    -1e-300,
    5e-324,
    1e300,
    -1e300,
    1e-5,
    20.0,
    -20.0,
    100.0,
    -800.0,
    float("inf"),
    -float("inf"),
    float("nan"),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "row", [row for row in ELEMENTWISE + COMPARE if ((5,),) in row.shapes or row.shapes is PAIRS], ids=str
)
def test_special_values(row: Row, dtype: str) -> None:
    """Elementwise rows at 0, -0, ties, inf, nan, denormals, huge: all of them, or all pairs of them."""
    n = len(row.shapes[0])
    with np.errstate(all="ignore"):
        values = np.array(SPECIAL).astype(dtype)
    if "%" in row.name:  # where x / y overflows torch's vector code says nan; its scalar code, and C's fmod, are exact
        values = values[(np.abs(values) > 1e-300) | (values == 0) | np.isnan(values)]
    arrays = [values] if n == 1 else [np.repeat(values, len(values)), np.tile(values, len(values))]
    differ = []
    got, want = run_each(mg, row, arrays), run_each(torch, row, arrays)
    for part in want:
        for i, (g, w) in enumerate(zip(got[part], want[part], strict=True)):
            if g is None or w is None or g.shape != arrays[0].shape:
                same(g, w, row.ulps, f"{part} {i}")
                continue
            for j in range(g.size):
                try:
                    same(g[j : j + 1], w[j : j + 1], 4 * row.ulps)
                except AssertionError as error:
                    differ.append(f"{part} {i} of {[a[j].item() for a in arrays]}: {error}")
    assert not differ, "\n".join(differ)


def run_each(m: Any, row: Row, arrays: list[np.ndarray]) -> dict[str, list[Any]]:
    """Forward and first derivative."""
    found = run(m, row, arrays)
    found.pop("second", None)
    return found
