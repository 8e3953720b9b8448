"""Which dtype comes out: every pair of dtypes, with dimensions, 0-d and as Python numbers, as torch decides it."""

import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import dtypes

NAMES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
NUMBERS = {"True": True, "2": 2, "2.5": 2.5}
OPERANDS = [(name, shape) for name in NAMES for shape in ((2,), ())] + [(number, None) for number in NUMBERS]

OPS: dict[str, Any] = {
    "add": lambda m, x, y: x + y,
    "sub": lambda m, x, y: x - y,
    "mul": lambda m, x, y: x * y,
    "div": lambda m, x, y: x / y,
    "pow": lambda m, x, y: x**y,
    "floor_divide": lambda m, x, y: x // y,
    "remainder": lambda m, x, y: x % y,
    "where": lambda m, x, y: m.where(m.tensor([True, False]), x, y),
    "maximum": lambda m, x, y: m.maximum(x, y),
    "less": lambda m, x, y: x < y,
    "equal": lambda m, x, y: x == y,
    "logical_and": lambda m, x, y: m.logical_and(x, y),
    "and": lambda m, x, y: x & y,
    "div floor": lambda m, x, y: m.div(x, y, rounding_mode="floor"),
    "div trunc": lambda m, x, y: m.div(x, y, rounding_mode="trunc"),
    "clamp": lambda m, x, y: m.clamp(x, y),
    "in place": lambda m, x, y: x.clone().add_(y),
    "in place mul": lambda m, x, y: x.clone().mul_(y),
    "in place div": lambda m, x, y: x.clone().div_(y),
    "copy_": lambda m, x, y: x.clone().copy_(y),
    "cat": lambda m, x, y: m.cat([x, y]),
    "stack": lambda m, x, y: m.stack([x, y]),
    "matmul": lambda m, x, y: x @ y,
}
REFUSALS = (RuntimeError, IndexError, TypeError, ValueError)

# Where minigrad takes a Python number and torch's function has no form with one.
WIDER = {"maximum", "logical_and", "copy_", "clamp", "cat", "stack"}


def operand(m: Any, what: tuple[str, Any]) -> Any:
    name, shape = what
    return (
        NUMBERS[name]
        if shape is None
        else m.ones(shape, dtype=getattr(m, name)) * 1
        if name != "bool"
        else m.ones(shape, dtype=m.bool)
    )


def outcome(m: Any, op: str, x: Any, y: Any) -> Any:
    try:
        z = OPS[op](m, operand(m, x), operand(m, y))
    except REFUSALS:
        return "refused"
    return str(z.dtype).removeprefix("torch."), z.tolist()


@pytest.mark.parametrize("op", OPS)
def test_promotion(op: str) -> None:
    differ = []
    for x, y in product(OPERANDS, OPERANDS):
        numbers = (x[1] is None) + (y[1] is None)
        if numbers == 2 or (x[1] is None and (op.startswith("in place") or op == "copy_")):
            continue
        if op == "pow" and x[0] == "bool" and y[0] == "True":
            continue  # True ** True is 1 here, as True ** 1 is in both; True in torch
        want, got = outcome(torch, op, x, y), outcome(mg, op, x, y)
        if want == "refused" and op in WIDER and numbers:
            continue
        if got != want:
            differ.append(f"{op}({x}, {y}): {got}, torch {want}")
    assert not differ, f"{len(differ)} differ:\n" + "\n".join(differ[:40])


REDUCTIONS = [
    "sum",
    "mean",
    "prod",
    "cumsum",
    "max",
    "min",
    "amax",
    "argmax",
    "all",
    "any",
    "std",
    "logsumexp",
    "softmax",
    "norm",
    "median",
]


@pytest.mark.parametrize("dim", [None, 0])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, dim: int | None) -> None:
    for dtype in NAMES:
        found = []
        for m in (torch, mg):
            x = m.tensor(np.array([3, 1, 1], dtype=dtype))
            try:
                y = (
                    getattr(m, name)(x)
                    if dim is None
                    else getattr(m, name)(x, dim=dim)
                    if name != "median"
                    else m.median(x)
                )
            except REFUSALS:
                found.append("refused")
                continue
            y = y[0] if isinstance(y, tuple) else y
            found.append((str(y.dtype).removeprefix("torch."), np.round(np.array(y.tolist(), float), 5).tolist()))
        assert found[0] == found[1], f"{name} of {dtype}: {found[1]}, torch {found[0]}"


def test_a_python_number_never_widens_an_array() -> None:
    for dtype in (mg.float32, mg.float64):
        x = mg.ones(2, dtype=dtype)
        for y in (x + 1e300, 2 - x, x * 2.5, x / 3, x**0.1, x**2, 2**x, 1 / x, x % 0.3, mg.maximum(x, mg.tensor(2.5))):
            assert y.dtype == dtype
    half = mg.tensor(0.5, dtype=mg.float64)  # a 0-d result of an op is a numpy float64, which is a Python float too
    assert (1 - half * 1).dtype == (2 * (half + half)).dtype == mg.float64


def test_numbers_and_lists_as_data() -> None:
    data = [
        1,
        1.5,
        True,
        [1, 2],
        [1, 2.5],
        [True, False],
        [True, 2],
        [1.0, True],
        [],
        [[1], [2]],
        [[]],
        2**40,
        np.float64(1),
        np.int32(1),
        range(3),
    ]
    for m_data in data:
        want, got = torch.tensor(m_data), mg.tensor(m_data)
        assert (str(got.dtype), got.shape) == (str(want.dtype).removeprefix("torch."), tuple(want.shape)), m_data


def test_default_dtype() -> None:
    assert mg.get_default_dtype() == mg.float32
    mg.set_default_dtype(mg.float64)
    try:
        assert mg.tensor(1.0).dtype == mg.zeros(1).dtype == (mg.tensor(1) / 2).dtype == mg.float64
    finally:
        mg.set_default_dtype(mg.float32)
    with pytest.raises(TypeError, match="int64"):
        mg.set_default_dtype(mg.int64)


@pytest.mark.parametrize(("a", "b"), list(product(NAMES, NAMES)))
def test_promote_types(a: str, b: str) -> None:
    want = torch.promote_types(getattr(torch, a), getattr(torch, b))
    assert str(mg.promote_types(np.dtype(a), np.dtype(b))) == str(want).removeprefix("torch.")


@pytest.mark.parametrize("bad", ["float16", np.complex64, "U3", object, "nonsense", np.uint16])
def test_unsupported_dtypes_are_refused_by_name(bad: Any) -> None:
    with pytest.raises(TypeError, match="float32"):
        mg.zeros(2, dtype=bad)


@pytest.mark.parametrize(("source", "target"), list(product(NAMES, NAMES)))
def test_casts(source: str, target: str) -> None:
    values = np.array([0, 1, 2, 3]).astype(source)
    want, got = (m.tensor(values).to(getattr(m, target)) for m in (torch, mg))
    assert got.tolist() == want.tolist() and str(got.dtype) == target


def test_no_gradient_through_whole_numbers() -> None:
    for m in (torch, mg):
        x = m.tensor([1.5, 2.5], requires_grad=True)
        assert not any(x.to(dtype).requires_grad for dtype in (m.int64, m.uint8, m.bool))
        assert x.double().requires_grad


def test_numbers_that_do_not_fit() -> None:
    """Wrapped where torch wraps, refused where it refuses."""
    u = mg.tensor([1, 2, 3], dtype=mg.uint8)
    assert (u - 2).tolist() == [255, 0, 1]
    assert (u + 300).tolist() == [45, 46, 47]
    assert u.clone().fill_(-1).tolist() == [255] * 3
    for refused in (
        lambda: u.clone().fill_(300),
        lambda: mg.tensor([300], dtype=mg.uint8),
        lambda: u.__setitem__(0, 300),
    ):
        with pytest.raises(RuntimeError, match=r"300.*uint8.*255"):
            refused()
    assert u.tolist() == [1, 2, 3]


def test_result_type_of_nothing() -> None:
    with pytest.raises(TypeError, match="operand"):
        dtypes.result_type()


def test_arrays_that_were_pickled() -> None:
    """They bring a dtype object of their own, which is equal to numpy's and not the same."""

    def pickled(x: Any) -> Any:
        return pickle.loads(pickle.dumps(x))

    array, other = pickled(np.ones((2, 3), np.float32)), mg.ones(3, 2)
    assert array.dtype is not np.dtype(np.float32)
    linear = pickled(mg.nn.Linear(3, 2))
    for x in (mg.tensor(array), mg.from_numpy(array), mg.as_tensor(array), pickled(mg.ones(2, 3)), other.T + array):
        assert x.dtype is mg.float32 and (x @ other).dtype is mg.float32
        assert linear(x).dtype is mg.float32 and (array * x).dtype is mg.float32
    shared = mg.from_numpy(array)
    shared[0, 0] = 5
    assert array[0, 0] == 5
    x = mg.ones(2, 3, requires_grad=True)
    x.data = mg.tensor(array)
    (x @ other).sum().backward()
    assert x.grad is not None and x.grad.dtype is mg.float32
