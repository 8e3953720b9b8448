"""pad, normalize, layer_norm, embedding and one_hot beside torch: shapes, options, edges, to order 2, and refusals."""

from math import inf, nan

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.nn.functional as F

from .beside import close, compare, draw

TF = torch.nn.functional
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def functional(m):
    return F if m is mg else TF


def both(call, *arrays, second=True):
    compare(*[lambda *xs, f=f: call(f, *xs) for f in (F, TF)], *map(np.asarray, arrays), second=second)


# --------------------------------------------------------------------------------------------------------- pad

PADS = [
    ((3,), (1, 2)), ((2, 3), (1, 2)), ((2, 3), (1, 2, 0, 1)), ((2, 3), (-1, 2, 1, -1)), ((2, 3), (-1, -2)),
    ((2, 3), (-3, 0)), ((2, 3), ()), ((), ()), ((0, 2), (1, 1)), ((2, 0), (1, 1)), ((2, 3), (0, 0)),
    ((2, 3, 4), (1, 1, 1, 1, 1, 1)), ((2, 3, 4), (0, -1, 0, 0, 2, 0)), ((5,), (-2, 4)),
]  # fmt: skip


@DTYPES
@pytest.mark.parametrize("value", [None, 0, 2.5, -inf, nan])
@pytest.mark.parametrize("shape,widths", PADS)
def test_pad(shape, widths, value, dtype):
    both(lambda f, x: f.pad(x, widths, value=value), draw(*shape, dtype=dtype), second=False)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_pad_of_whole_numbers(dtype):
    x = np.array([[1, 0], [1, 1]]).astype(dtype)
    got, want = (f.pad(m.tensor(x), [1, 0, 0, 1], "constant", 1) for m, f in ((mg, F), (torch, TF)))
    assert str(got.dtype) == str(want.dtype)[6:] and got.tolist() == want.tolist()


# --------------------------------------------------------------------------------------------------- normalize


@DTYPES
@pytest.mark.parametrize("p", [2.0, 1.0, 3.0, 0.5, 2, inf])
@pytest.mark.parametrize("shape,dim", [((4, 3), 1), ((4, 3), 0), ((4, 3), -1), ((4, 3), (0, 1)), ((4,), 0), ((), 0),
                                       ((2, 3, 4), 1), ((0, 2), 1)])  # fmt: skip
def test_normalize(shape, dim, p, dtype):
    both(lambda f, x: f.normalize(x, p, dim), draw(*shape, dtype=dtype))


@pytest.mark.parametrize("eps", [1e-12, 0.5, 5.0])
def test_normalize_of_short_vectors(eps):
    """A vector shorter than eps is divided by eps; 0 stays 0, with a gradient of 1 / eps."""
    x = np.array([[0.0, 0, 0], [1, 2, 2], [1e-20, 0, 0], [1e-13, 1e-13, 0], [-3, 3, 0], [0.1, 0.2, 0.3]])
    both(lambda f, x: f.normalize(x, eps=eps), x, second=False)
    both(lambda f, x: f.normalize(x, eps=eps), x[[1, 4, 5]])


def test_normalize_of_infinities_and_nan():
    both(lambda f, x: f.normalize(x), [[inf, 1, 0], [nan, 1, 0], [-inf, inf, 1.0]], second=False)


# -------------------------------------------------------------------------------------------------- layer_norm


@DTYPES
@pytest.mark.parametrize("eps", [1e-5, 0.5])
@pytest.mark.parametrize("affine", [0, 1, 2])
@pytest.mark.parametrize("shape,last", [((4, 3), (3,)), ((2, 4, 3), (4, 3)), ((2, 4, 3), (3,)), ((3,), (3,)),
                                        ((0, 3), (3,))])  # fmt: skip
def test_layer_norm(shape, last, affine, eps, dtype):
    parts = [draw(*last, dtype=dtype, seed=1), draw(*last, dtype=dtype, seed=2)][:affine]
    both(lambda f, x, *wb: f.layer_norm(x, last, *wb, eps=eps), draw(*shape, dtype=dtype), *parts)


def test_layer_norm_of_one_value_and_of_a_constant():
    for shape in ((4, 1), (4, 3)):
        both(lambda f, x, n=shape[1:]: f.layer_norm(x, n), np.full(shape, 7.0))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm_as_a_layer(affine, bias):
    ours, theirs = (m.nn.LayerNorm((4, 3), 1e-3, affine, bias) for m in (mg, torch))
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    compare(ours, theirs, draw(2, 4, 3, dtype="float32"))


# --------------------------------------------------------------------------------------------------- embedding


@DTYPES
@pytest.mark.parametrize("padding", [None, 2, -1, 0])
@pytest.mark.parametrize("index", [[[0, 2], [2, 2]], [3], 1, [[[1, 1]], [[0, 3]]]], ids=str)
def test_embedding(index, padding, dtype):
    rows = np.array(index, np.int64)

    def call(m, w):
        y = functional(m).embedding(m.tensor(rows), w, padding)
        return y * y  # so that there is a second derivative

    compare(lambda w: call(mg, w), lambda w: call(torch, w), draw(4, 3, dtype=dtype))


def test_embedding_as_a_layer():
    for args in ((5, 3), (5, 3, 0), (5, 3, -1)):
        for m in (mg, torch):
            m.manual_seed(2)
        ours, theirs = mg.nn.Embedding(*args), torch.nn.Embedding(*args)
        assert repr(ours) == repr(theirs)
        close(ours.weight, theirs.weight, rtol=1e-6, atol=1e-6)
        ours(mg.tensor([0, 4, 4], dtype=mg.int32)).sum().backward()
        theirs(torch.tensor([0, 4, 4], dtype=torch.int32)).sum().backward()
        close(ours.weight.grad, theirs.weight.grad)


# ----------------------------------------------------------------------------------------------------- one_hot


@pytest.mark.parametrize("n", [-1, 4, 6])
@pytest.mark.parametrize("index", [[0, 2, 1], [[0], [3]], 2, [[[1]]]], ids=str)
def test_one_hot(index, n):
    got, want = (f.one_hot(m.tensor(index), n) for m, f in ((mg, F), (torch, TF)))
    assert got.tolist() == want.tolist() and got.dtype == mg.int64 and got.shape == tuple(want.shape)


def test_one_hot_of_nothing():
    got, want = (f.one_hot(m.zeros(0, 2, dtype=m.int64), 3) for m, f in ((mg, F), (torch, TF)))
    assert got.shape == tuple(want.shape) == (0, 2, 3)


# ----------------------------------------------------------------------------------------------------- refused

REFUSED = [
    (lambda m, f: f.pad(m.ones(5), (1,)), RuntimeError, r"\[1\] needs an even length"),
    (lambda m, f: f.pad(m.ones(5), (1, 1, 1, 1)), RuntimeError, "1 dimensions"),
    (lambda m, f: f.pad(m.ones(5), (-3, -3)), RuntimeError, "takes more than the 5 elements of dimension 0"),
    (lambda m, f: f.pad(m.ones(5), (-6, 2)), RuntimeError, "takes more than the 5 elements"),
    (lambda m, f: f.pad(m.ones(5), (7, -6)), RuntimeError, "takes more than the 5 elements"),
    (lambda m, f: f.pad(m.ones(5), (1, 1), mode="mirror"), NotImplementedError, "mode 'mirror'"),
    (lambda m, f: f.normalize(m.ones(4)), IndexError, "1"),
    (lambda m, f: f.layer_norm(m.ones(4, 3), (4,)), RuntimeError, r"\(4,\).*\(4, 3\)"),
    (lambda m, f: f.layer_norm(m.ones(4, 3), (3,), m.ones(4)), RuntimeError, r"weight has shape \(4,\)"),
    (lambda m, f: f.layer_norm(m.ones(4, 3), (3,), m.ones(3), m.ones(1)), RuntimeError, r"bias has shape \(1,\)"),
    (lambda m, f: f.layer_norm(m.ones(4, 3), ()), RuntimeError, r"normalized_shape"),
    (lambda m, f: f.layer_norm(m.ones(4, 3).long(), (3,)), NotImplementedError, "layer_norm needs floats, got int64"),
    (lambda m, f: f.embedding(m.tensor([4]), m.ones(4, 3)), IndexError, "4"),
    (lambda m, f: f.embedding(m.tensor([-1]), m.ones(4, 3)), IndexError, "-1"),
    (lambda m, f: f.embedding(m.tensor([1.0]), m.ones(4, 3)), RuntimeError, "float32"),
    (lambda m, f: f.embedding(m.tensor([1]), m.ones(4, 3), 4), AssertionError, "within the 4 rows, got 4"),
    (lambda m, f: f.embedding(m.tensor([1]), m.ones(4, 3), -5), AssertionError, "within the 4 rows, got -5"),
    (lambda m, f: m.nn.Embedding(4, 3, 4), AssertionError, "within the 4 rows, got 4"),
    (lambda m, f: f.one_hot(m.tensor([-1]), 4), RuntimeError, "-1|negative"),
    (lambda m, f: f.one_hot(m.tensor([4]), 4), RuntimeError, "4"),
    (lambda m, f: f.one_hot(m.tensor([1.0]), 4), RuntimeError, "integer index, got float32"),
    (lambda m, f: f.one_hot(m.zeros(0, dtype=m.int64)), RuntimeError, "empty|num_classes"),
    (lambda m, f: f.dropout(m.ones(3), -0.1), ValueError, "between 0 and 1, but got -0.1"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused_with_torchs_class_of_error(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error):
        call(torch, TF)
    with pytest.raises(error, match=message):
        call(mg, F)
