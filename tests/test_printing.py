"""minigrad.printing against torch's repr of the same tensor, character by character."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minigrad import printing
from minigrad.printing import format_scalar, format_tensor, get_printoptions, printoptions, set_printoptions

torch = pytest.importorskip("torch")


def theirs(array: np.ndarray, **options: Any) -> str:
    with torch._tensor_str.printoptions(**options):
        return repr(torch.from_numpy(np.array(array)))


def ours(array: np.ndarray, **options: Any) -> str:
    with printoptions(**options):
        return format_tensor(array)


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The default options, and dtypes spelled as torch's: their length decides where a line breaks."""
    monkeypatch.setattr(printing, "_dtype_name", lambda dtype: f"torch.{dtype.name}")
    set_printoptions(profile="default")
    torch.set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")
    torch.set_printoptions(profile="default")


F32 = np.float32
VALUES = [
    F32(0.25),
    F32(3),
    F32(-0.0),
    F32(np.nan),
    F32(-np.inf),
    F32(1e-4),
    F32(1e-5),
    F32(1e8),
    F32(2e8),
    np.float64(0.1),
    np.int64(-7),
    np.bool_(True),
    np.uint8(200),
    np.float16(0.333),
    np.array([], F32),
    np.zeros((0, 3), F32),
    np.zeros((2, 0), np.float64),
    np.array([], np.int64),
    np.array([], bool),
    np.array([1.0, 2.0, 3.0], F32),
    np.array([1.0, np.nan, np.inf], F32),
    np.array([-np.inf, 0.0], F32),
    np.array([0.0, -0.0], F32),
    np.array([np.nan, 0.5, -np.inf], F32),
    np.array([0.001, 1.0], F32),
    np.array([0.001, 1.001], F32),
    np.array([1.0, 1001.0], F32),
    np.array([1.0, 1000.0], F32),
    np.array([1e-300, 1e300]),
    np.array([5e-324, 1.7e308]),
    np.array([1, -20, 300]),
    np.array([1, -20, 300], np.int32),
    np.array([[True, False], [False, False]]),
    np.arange(100.0, dtype=F32) / 7,
    np.arange(100),
    np.arange(24.0, dtype=F32).reshape(2, 3, 4) / 3,
    np.arange(16).reshape(2, 2, 2, 2),
    np.arange(1000),
    np.arange(1001),
    np.arange(1001.0, dtype=F32) / 3,
    np.arange(10_000.0, dtype=F32).reshape(100, 100),
    np.arange(6000).reshape(3, 2000),
    np.arange(6000.0, dtype=np.float64).reshape(10, 20, 30) / 9,
    np.zeros((1200, 1), F32),
    np.full((40, 40), True),
]


@pytest.mark.parametrize("array", VALUES, ids=lambda a: f"{a.dtype}-{a.shape}-{np.asarray(a).ravel()[:2]}")
def test_prints_as_torch(array: np.ndarray) -> None:
    assert ours(array) == theirs(array)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"precision": 0},
        {"linewidth": 40},
        {"linewidth": 3},
        {"edgeitems": 1, "threshold": 4},
        {"edgeitems": 0, "threshold": 4},
        {"sci_mode": True},
        {"sci_mode": False},
        {"profile": "short"},
        {"profile": "full"},
        {"profile": "short", "precision": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("array", VALUES, ids=lambda a: f"{a.dtype}-{a.shape}-{np.asarray(a).ravel()[:2]}")
def test_options_as_torch(array: np.ndarray, options: dict[str, Any]) -> None:
    assert ours(array, **options) == theirs(array, **options)


ARRAYS = st.one_of(
    *(
        hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7))
        for dtype in ("<f4", "<f8", "<f2", "<i8", "<i4", "<u1", "?")
    ),
    hnp.arrays("<f4", hnp.array_shapes(max_dims=3), elements=st.sampled_from([0, -0.0, 1, -2.5, 37, 999.5])),
    hnp.arrays("<f8", hnp.array_shapes(max_dims=3), elements=st.floats(-1500, 1500)),
)


@settings(max_examples=400, deadline=None)
@given(ARRAYS, st.integers(0, 3), st.sampled_from([4, 20, 1000]), st.integers(1, 100), st.integers(0, 6))
def test_any_array_as_torch(array: np.ndarray, edge: int, threshold: int, width: int, precision: int) -> None:
    options = {"edgeitems": edge, "threshold": threshold, "linewidth": width, "precision": precision}
    assert ours(array, **options) == theirs(array, **options)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 30])
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_suffixes_wrap_as_torch(count: int, dtype: str) -> None:
    array = (np.arange(count) / 7).astype(dtype)
    leaf = torch.from_numpy(array.copy()).requires_grad_()
    said = repr(leaf)
    assert format_tensor(array, requires_grad=True) == said
    product = leaf * 1
    said = repr(product)
    assert format_tensor(array, requires_grad=True, grad_fn="MulBackward0") == said


def test_a_node_prints_as_itself() -> None:
    class Node:
        def __repr__(self) -> str:
            return "<TanhBackward0>"

    assert format_tensor(np.float32(1), grad_fn=Node()) == "tensor(1., grad_fn=<TanhBackward0>)"


def test_the_prefix_sets_the_indent() -> None:
    lines = format_tensor(np.arange(60.0, dtype=np.float32), prefix="Parameter(").splitlines()
    assert lines[0].startswith("Parameter([ 0.,  1.,")
    assert lines[1].startswith(" " * 11) and lines[1][11] in "123456789"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.2500"), (3.0, "3."), (1e-5, "1.0000e-05"), (True, "True"), (7, "7"), (float("nan"), "nan")],
)
def test_format_scalar(value: Any, text: str) -> None:
    assert format_scalar(value) == text


def test_our_dtypes_have_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert format_tensor(np.zeros(1)) == "tensor([0.], dtype=float64)"
    assert format_tensor(np.zeros((0, 3))) == "tensor([], size=(0, 3), dtype=float64)"


def test_the_default_dtype_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "get_default_dtype", lambda: np.dtype(np.float64))
    torch.set_default_dtype(torch.float64)
    try:
        for dtype in (np.float32, np.float64, np.int64):
            for shape in [(0,), (2,), (0, 2)]:
                assert ours(np.ones(shape, dtype)) == theirs(np.ones(shape, dtype))
    finally:
        torch.set_default_dtype(torch.float32)


def test_strided_and_read_only_arrays() -> None:
    array = np.arange(12.0, dtype=np.float32).reshape(3, 4).T[::2]
    array.flags.writeable = False
    assert format_tensor(array) == theirs(array)


def test_options_come_back_after_an_error() -> None:
    before = get_printoptions()
    with pytest.raises(KeyError), printoptions(precision=1, sci_mode=True):
        assert get_printoptions()["precision"] == 1
        raise KeyError
    assert get_printoptions() == before
    with pytest.raises(ValueError, match="loud.*default, short, full"):
        set_printoptions(profile="loud")


def test_sci_mode_lasts_until_the_next_call() -> None:
    """torch's rule, and so ours: every call sets sci_mode, None meaning by the values."""
    set_printoptions(sci_mode=True)
    assert format_tensor(np.float32(0.5)) == "tensor(5.0000e-01)"
    set_printoptions(precision=2)
    assert format_tensor(np.float32(0.5)) == "tensor(0.50)"
