"""scaled_dot_product_attention beside torch: shapes, masks, causal, scale, dropout from the same seed, refusals."""

from math import inf

import numpy as np
import pytest
import torch

import minigrad as mg

from .beside import compare, draw

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
SHAPES = [
    ((3, 4), (5, 4), (5, 2)),
    ((5, 4), (3, 4), (3, 4)),
    ((2, 3, 4), (2, 5, 4), (2, 5, 4)),
    ((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 2)),
    ((2, 1, 3, 4), (1, 2, 5, 4), (2, 2, 5, 2)),
    ((1, 4), (1, 4), (1, 4)),
    ((0, 4), (5, 4), (5, 4)),
    ((3, 4), (0, 4), (0, 4)),
    ((3, 0), (5, 0), (5, 2)),
]


def attend(m, *args, **options):
    return m.nn.functional.scaled_dot_product_attention(*args, **options)


def both(call, *arrays):
    compare(lambda *xs: call(mg, *xs), lambda *xs: call(torch, *xs), *arrays)


def inputs(shapes, dtype):
    return [draw(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]


@DTYPES
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}, {"scale": 0.0}, {"scale": -2}], ids=str)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_values_and_gradients(shapes, options, dtype):
    both(lambda m, *qkv: attend(m, *qkv, **options), *inputs(shapes, dtype))


def masks(length, other, lead):
    rng = np.random.default_rng(1)
    return {
        "some": rng.random((length, other)) > 0.4,
        "first row blind": np.arange(length)[:, None] * np.ones(other) > 0,
        "all blind": np.zeros((length, other), bool),
        "of keys": rng.random((1, other)) > 0.3,
        "of each": rng.random((*lead, length, other)) > 0.4,
    }


@DTYPES
@pytest.mark.parametrize("name", ["some", "first row blind", "all blind", "of keys", "of each"])
@pytest.mark.parametrize("shapes", SHAPES[:7], ids=str)
def test_masks_of_bools(shapes, name, dtype):
    mask = masks(shapes[0][-2], shapes[1][-2], np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2]))[name]
    both(lambda m, *qkv: attend(m, *qkv, attn_mask=m.tensor(mask)), *inputs(shapes, dtype))


@DTYPES
@pytest.mark.parametrize("blind", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shapes", SHAPES[:4], ids=str)
def test_masks_of_floats(shapes, blind, dtype):
    """What is added to the scores: numbers, which have a gradient, and -inf for what is not seen."""
    rng = np.random.default_rng(2)
    mask = rng.standard_normal((shapes[0][-2], shapes[1][-2])).astype(dtype)
    both(lambda m, *all_four: attend(m, *all_four), *inputs(shapes, dtype), mask)
    mask[rng.random(mask.shape) < blind] = -inf
    both(lambda m, *qkv: attend(m, *qkv, attn_mask=m.tensor(mask)), *inputs(shapes, dtype))


def test_a_mask_of_float32_on_float64():
    mask = draw(3, 5, dtype="float32")
    both(lambda m, *qkv: attend(m, *qkv, m.tensor(mask)), *inputs(SHAPES[0], "float64"))


@DTYPES
@pytest.mark.parametrize("p", [0.0, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shapes", [SHAPES[0], SHAPES[3]], ids=str)
def test_dropout_from_the_same_seed(shapes, causal, p, dtype):
    def call(m, *qkv):
        m.manual_seed(4)
        return attend(m, *qkv, dropout_p=p, is_causal=causal)

    both(call, *inputs(shapes, dtype))


@DTYPES
def test_far_scores_do_not_overflow(dtype):
    both(lambda m, q, k, v: attend(m, q * 100, k * 100, v), *inputs(SHAPES[0], "float64"))
    x = mg.tensor(draw(3, 4, dtype=dtype) * 1e15, requires_grad=True)
    attend(mg, x, x, x, is_causal=True).sum().backward()
    assert np.isfinite(x.grad.array).all()


REFUSED = [
    (lambda m: attend(m, m.ones(4), m.ones(3, 4), m.ones(3, 4)), RuntimeError, r"two dimensions at least.*\(4,\)"),
    (lambda m: attend(m, m.ones(3, 4), m.ones(3, 5), m.ones(3, 4)), RuntimeError, r"\(3, 4\).*\(5, 3\)"),
    (lambda m: attend(m, m.ones(3, 4), m.ones(3, 4), m.ones(2, 4)), RuntimeError, r"\(3, 3\).*\(2, 4\)"),
    (lambda m: attend(m, *[m.ones(3, 4)] * 3, m.ones(3, 3).bool(), is_causal=True), RuntimeError, "exclude each other"),
    (lambda m: attend(m, *[m.ones(3, 4)] * 3, m.ones(3, 3).long()), RuntimeError, "dtype int64"),
    (lambda m: attend(m, *[m.ones(3, 4)] * 3, m.ones(3, 3).double()), RuntimeError, "dtype float64.*query's float32"),
    (lambda m: attend(m, *[m.ones(3, 4)] * 3, m.ones(2, 3).bool()), RuntimeError, r"\(2, 3\)"),
    (lambda m: attend(m, *[m.ones(3, 4)] * 3, None, 1.5), RuntimeError, "between 0 and 1, but got 1.5"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused_with_torchs_class_of_error(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error):
        call(torch)
    with pytest.raises(error, match=message):
        call(mg)
