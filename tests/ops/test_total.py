"""minigrad.ops.total: sums of any length along any dimension, near to the truth."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from minigrad.ops.total import through_float64, total


@pytest.mark.parametrize("n", [*range(1, 200), 255, 256, 1000, 4097, 100_003])
def test_a_sum_along_the_first_dimension(n):
    x = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32)
    truth = x.astype(np.float64).sum(0)
    assert np.abs(total(x, 0) - truth).max() <= 1e-6 * np.sqrt(n) + 1e-6
    assert total(x, 0, True).shape == (1, 3)


def test_a_long_sum_rounds_less_than_numpy_s():
    x = np.random.default_rng(0).uniform(0, 1, (100_000, 8)).astype(np.float32)
    truth = x.astype(np.float64).sum(0)
    assert np.abs(total(x, 0) - truth).max() < np.abs(x.sum(0) - truth).max() / 10


@given(st.lists(st.sampled_from([0, 1, 2, 12, 129, 133, 260]), min_size=1, max_size=3), st.data())
def test_any_dimensions_in_any_layout(shape, data):
    shape = [n if i == 0 or n < 130 else 3 for i, n in enumerate(shape)]
    order = data.draw(st.permutations(range(len(shape))))
    dim = data.draw(st.none() | st.lists(st.sampled_from(order), unique=True, min_size=1).map(tuple))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32).transpose(order)
    for view in (x, x[::-1], x[..., ::2]):
        for keepdim in (False, True):
            found, truth = total(view, dim, keepdim), view.sum(dim, dtype=np.float64, keepdims=keepdim)
            assert found.shape == truth.shape
            np.testing.assert_allclose(found, truth, atol=1e-3)


@pytest.mark.parametrize("f", [np.exp, np.log, np.sin])
def test_a_function_through_float64_has_the_same_bits_at_any_size_and_in_any_layout(f):
    x = np.random.default_rng(0).uniform(0.1, 5, (300, 200)).astype(np.float32)
    truth = f(x.astype(np.float64)).astype(np.float32)
    for part in (x, x[:7], np.asfortranarray(x), x[::2, 3:]):
        expected = f(part.astype(np.float64)).astype(np.float32)
        assert np.array_equal(through_float64(f, part), expected)
    out = np.empty_like(x)
    assert through_float64(f, x, into=out) is out and np.array_equal(out, truth)
    assert through_float64(f, x, into=x) is x and np.array_equal(x, truth)
