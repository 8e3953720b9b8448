"""view() and reshape() by plain ints, which take a way of their own, beside all other ways to give a shape."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import minigrad as mg

SIZES = st.lists(st.sampled_from([-2, -1, -1, 0, 1, 2, 3, 4, 6]), min_size=0, max_size=4)


def outcome(x: Any, name: str, *shape: Any) -> Any:
    try:
        y = getattr(x, name)(*shape)
    except (RuntimeError, TypeError) as error:
        return type(error)
    return tuple(y.shape), y.tolist()


@given(st.sampled_from([(6,), (2, 3), (0,), (0, 3), (1,), (4, 3, 2)]), SIZES, st.sampled_from(["view", "reshape"]))
def test_any_sizes_as_in_torch(old: tuple[int, ...], new: list[int], name: str) -> None:
    values = np.arange(np.prod(old), dtype=np.float32).reshape(old)
    truth = outcome(torch.tensor(values), name, *new) if new else outcome(torch.tensor(values), name, ())
    for requires_grad in (False, True):
        x = mg.tensor(values, requires_grad=requires_grad)
        assert outcome(x, name, *new) == outcome(x, name, tuple(new)) == truth


@pytest.mark.parametrize("name", ["view", "reshape"])
def test_negative_sizes_of_nothing(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"shape \(-2, -2, -1\) does not fit"):
        getattr(mg.zeros(0), name)(-2, -2, -1)


@pytest.mark.parametrize("name", ["view", "reshape"])
def test_sizes_that_are_no_plain_ints(name: str) -> None:
    x = mg.arange(6.0)
    for shape in ((np.int64(2), 3), (mg.tensor(2), 3), (mg.tensor([2, 3]),), ([2, -1],), (True, 6)):
        assert getattr(x, name)(*shape).array.size == 6
    for shape in ((2.0, 3), (None,), ("2", 3)):
        with pytest.raises(TypeError, match="made of ints"):
            getattr(x, name)(*shape)


def test_a_shape_with_an_open_size_is_known_in_full() -> None:
    x = mg.arange(6.0, requires_grad=True)
    y = x.view(2, -1)
    assert y.grad_fn.settings == {"shape": (2, 3)}
    with mg.no_grad():
        x += 1  # the view follows, made anew by its settings
    assert y.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("shape", [(27, 10), (27, 1), (5, 2, 3), (1, 4)])
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int8])
def test_rows_are_taken_as_numpy_takes_them(shape: tuple[int, ...], kind: Any) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    rows = np.random.default_rng(1).integers(-shape[0], shape[0], (4, 3)).astype(kind)
    for array in (values, np.asfortranarray(values), values[::-1], values[..., ::2], values[:0]):
        x = mg.tensor(array).requires_grad_()
        x.array = array  # as it lies in memory
        picked = rows if array.size else rows[:0]
        for index in (mg.tensor(picked), picked):
            y = x[index]
            np.testing.assert_array_equal(y.numpy() if not y.requires_grad else y.detach().numpy(), array[picked])
            assert y.array.flags.c_contiguous and y.array.base is None
    with pytest.raises(IndexError, match=rf"index {shape[0]} is out of bounds for axis 0 with size {shape[0]}"):
        mg.tensor(values)[mg.tensor([0, shape[0]])]
    with pytest.raises(IndexError, match="out of bounds"):
        mg.tensor(values)[mg.tensor([-shape[0] - 1])]
