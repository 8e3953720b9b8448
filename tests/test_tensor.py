"""What a Tensor is: made from data, its dtype and shape, turned into numbers, arrays and text."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg

BOTH = pytest.mark.parametrize("m", [mg, torch], ids=["minigrad", "torch"])


@pytest.mark.parametrize(
    "data",
    [
        1.5,
        2,
        True,
        [1.0, 2],
        [1, 2],
        [True, False],
        [[1, 2], [3, 4]],
        [],
        [[]],
        [[], []],
        (1, 2.5),
        math.inf,
        2**40,
        -1,
    ],
)
def test_data_becomes_what_torch_makes_of_it(data):
    ours, theirs = mg.tensor(data), torch.tensor(data)
    assert ours.shape == tuple(theirs.shape) and str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    assert ours.tolist() == theirs.tolist()


def test_arrays_keep_their_dtype_and_are_copied():
    for dtype in (np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.bool_):
        array = np.ones((2, 3), dtype)
        t = mg.tensor(array)
        assert t.dtype == dtype
        array[0, 0] = 0
        assert t[0, 0].item() == 1
    assert mg.tensor(np.float64(2)).dtype == mg.float64
    assert mg.tensor([mg.tensor(1.0), mg.tensor(2.0)]).tolist() == [1.0, 2.0]
    assert mg.tensor(range(3)).tolist() == [0, 1, 2]
    assert mg.tensor([1, 2], dtype=mg.float32).dtype == mg.float32


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        ([[1, 2], [3]], ValueError, "equal length"),
        ("abc", TypeError, "abc"),
        ([1, "x"], TypeError, "numbers"),
        (None, TypeError, "NoneType"),
        ({"a": 1}, TypeError, "dict"),
        (1 + 2j, TypeError, "complex"),
        (np.array([1 + 2j]), TypeError, "complex128"),
        (np.ones(2, np.float16), TypeError, "float16.*float32"),
        (2**70, TypeError, "64 bits"),
        ([object()], TypeError, "object"),
    ],
)
def test_what_is_no_number_is_refused(data, error, says):
    with pytest.raises(error, match=says):
        mg.tensor(data)


def test_whole_numbers_cannot_require_grad():
    with pytest.raises(RuntimeError, match=r"float.*int64"):
        mg.tensor([1, 2], requires_grad=True)


@BOTH
def test_numbers_out(m):
    t = m.tensor([[1.5]])
    assert t.item() == 1.5 and float(t) == 1.5 and int(t) == 1 and bool(t) and f"{m.tensor(0.12345):.3f}" == "0.123"
    assert f"{m.tensor(0.25)}" == "0.25" and list(range(5))[m.tensor(2)] == 2 and len(m.ones(3, 2)) == 3
    assert 2 in m.tensor([1, 2]) and 5 not in m.tensor([1, 2])
    with pytest.raises(RuntimeError):
        m.ones(2).item()
    with pytest.raises(RuntimeError):
        bool(m.ones(2))
    with pytest.raises(TypeError):
        len(m.tensor(1.0))
    with pytest.raises(TypeError):
        [1, 2][m.tensor(1.0)]
    with pytest.raises(TypeError):
        iter(m.tensor(1.0))


@BOTH
def test_numpy_and_back(m):
    t = m.ones(2, 3)
    t.numpy()[0, 0] = 5
    assert t[0, 0].item() == 5
    t.requires_grad_()
    with pytest.raises(RuntimeError, match="detach"):
        t.numpy()
    assert t.detach().numpy().shape == (2, 3)


def test_asarray_gives_the_array_unless_that_would_drop_a_graph():
    t = mg.ones(2, 3)
    assert type(np.asarray(t)) is np.ndarray and np.asarray(t, dtype=np.float64).dtype == np.float64
    assert np.asarray(t) is t.array and np.asarray(mg.tensor(2.0) * 3).shape == ()
    x = mg.ones(2, requires_grad=True)  # refused in torch too
    for call in (np.asarray, np.array, lambda x: np.asarray(x * 2), lambda x: np.array([x, x])):
        with pytest.raises(RuntimeError, match="detach"):
            call(x)
    assert np.asarray(x.detach()).tolist() == [1, 1]


@BOTH
def test_equality_is_elementwise_and_hash_is_identity(m):
    a, b = m.tensor([1, 2]), m.tensor([1, 3])
    assert (a == b).tolist() == [True, False] and len({a, b, a}) == 2 and (a == 1).tolist() == [True, False]
    assert (a != b).any() and not (a == b).all()


@BOTH
def test_conversions(m):
    t = m.tensor([1.7, -2.3])
    assert t.long().tolist() == [1, -2] and t.int().dtype == m.int32 and t.double().dtype == m.float64
    assert t.bool().tolist() == [True, True] and t.to(m.float64).float().dtype == m.float32
    x = m.tensor([1.0, 2.0], requires_grad=True)
    (x.double() * 2).sum().backward()
    assert x.grad.dtype == m.float32 and x.grad.tolist() == [2.0, 2.0]


def test_python_numbers_never_widen():
    for dtype in (mg.float32, mg.float64):
        for x in (mg.ones(3, dtype=dtype), mg.tensor(2.0, dtype=dtype), mg.tensor(2.0, dtype=dtype) * 1):
            for y in (x + 1, 1.5 * x, x / 3, x**2, 2**x, x - np.float64(1), np.float32(2) * x, 1 - x, x % 2, 1 / x):
                assert y.dtype == dtype
    assert (mg.ones(3, dtype=mg.int32) + 1).dtype == mg.int32 and (mg.tensor([1]) * 1.5).dtype == mg.float32


def test_names():
    x = mg.Tensor([1.0], requires_grad=True, name="x")
    y = x * 2
    y.name = "y"
    assert (x.name, y.name, y.grad_fn.name, (y * 2).name) == ("x", "y", "y", None)


def test_repr_is_torch_s():
    torch.manual_seed(0)
    array = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    assert repr(mg.tensor(array)) == repr(torch.tensor(array))
    assert repr(mg.tensor(array, requires_grad=True) * 2) == repr(torch.tensor(array, requires_grad=True) * 2)
    assert repr(mg.tensor(1.0, requires_grad=True)) == "tensor(1., requires_grad=True)"


def test_arrays_that_are_mapped_from_a_file(tmp_path: Path) -> None:
    """np.memmap is a kind of ndarray: the faster ways, which know ndarray itself alone, leave it to the others."""
    rng = np.random.default_rng(0)
    values, rows = rng.standard_normal((40, 50)).astype(np.float32), rng.integers(0, 40, 60)
    values.tofile(tmp_path / "values")
    rows.tofile(tmp_path / "rows")

    def run(values: Any, rows: Any) -> Any:
        x = mg.from_numpy(values).requires_grad_()
        y = x[rows].tanh()
        loss = mg.nn.functional.cross_entropy(y, mg.tensor(np.arange(60) % 50))
        (loss + (x.sum(0) * x.mean(1, keepdim=True)).sum()).backward()
        assert x.grad is not None
        return loss.item(), x.grad.tolist()

    mapped = np.memmap(tmp_path / "values", np.float32, "r+", shape=(40, 50))
    assert run(mapped, np.memmap(tmp_path / "rows", np.int64, "r+", shape=(60,))) == run(values, rows)
