"""The nonlinearities beside torch: functions and layers, over the whole line, with their options, to order 2."""

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.nn.functional as F

from .beside import close, compare, draw

TF = torch.nn.functional
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
FAR = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 7.5, -7.5, 21.0, -21.0, 60.0, -60.0, 1e4, -1e4, 1e-8, -1e-8, 1e-30]

# name, options, the layer and its arguments
FUNCTIONS = [
    ("relu", {}, ("ReLU",)),
    ("silu", {}, ("SiLU",)),
    ("gelu", {}, ("GELU",)),
    ("gelu", {"approximate": "tanh"}, ("GELU", "tanh")),
    ("leaky_relu", {}, ("LeakyReLU",)),
    ("leaky_relu", {"negative_slope": 0.3}, ("LeakyReLU", 0.3)),
    ("leaky_relu", {"negative_slope": 0}, ("LeakyReLU", 0)),
    ("leaky_relu", {"negative_slope": -1.5}, ("LeakyReLU", -1.5)),
    ("elu", {}, None),
    ("elu", {"alpha": 0.3}, None),
    ("elu", {"alpha": 0}, None),
    ("elu", {"alpha": 2}, None),
    ("softplus", {}, None),
    ("softplus", {"beta": 2, "threshold": 5}, None),
    ("softplus", {"beta": 0.5}, None),
    ("sigmoid", {}, ("Sigmoid",)),
    ("tanh", {}, ("Tanh",)),
]
CASES = pytest.mark.parametrize("name,options,layer", FUNCTIONS)


def both(name, options):
    return [lambda x, f=f: getattr(f, name)(x, **options) for f in (F, TF)]


@DTYPES
@CASES
@pytest.mark.parametrize("shape", [(4, 3), (1,), (), (0,), (2, 0, 3)])
def test_shapes(name, options, layer, shape, dtype):
    compare(*both(name, options), np.asarray(draw(*shape, dtype=dtype)) * dtype_of(dtype)(3))


def dtype_of(name):
    return getattr(np, name)


@DTYPES
@CASES
def test_the_whole_line(name, options, layer, dtype):
    compare(*both(name, options), np.array(FAR, dtype))


@DTYPES
@CASES
def test_infinities_and_nan(name, options, layer, dtype):
    for value in (np.inf, -np.inf, np.nan):
        if (name, value, dtype) != ("gelu", np.inf, "float32"):  # torch's float32 vector code says nan there
            compare(*both(name, options), np.array([value], dtype), second=False)


@DTYPES
@CASES
def test_as_layers(name, options, layer, dtype):
    if layer is None:
        return
    kind, *args = layer
    ours, theirs = getattr(mg.nn, kind)(*args), getattr(torch.nn, kind)(*args)
    assert repr(ours) == repr(theirs) and not ours.state_dict()
    compare(ours, theirs, draw(4, 3, dtype=dtype))


@pytest.mark.parametrize("name", ["silu", "gelu", "leaky_relu", "elu", "softplus"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_whole_numbers_are_refused_as_torch_does(name, dtype):
    with pytest.raises(NotImplementedError):
        getattr(TF, name)(torch.ones(3, dtype=getattr(torch, dtype)))
    with pytest.raises(NotImplementedError, match=f"{name} needs floats, got {dtype}"):
        getattr(F, name)(mg.ones(3, dtype=getattr(mg, dtype)))


def test_a_small_slope_is_not_rounded_away():
    """exp(-30) is elu's slope there, and sigmoid(-30) softplus's: both 9.4e-14, though 1 - 9.4e-14 is 1 in float32."""
    for function in (F.elu, F.softplus):
        x = mg.tensor([-30.0], requires_grad=True)
        function(x).backward()
        assert x.grad.item() == pytest.approx(9.3576e-14, rel=1e-4)


# ------------------------------------------------------------------------------------------------------ softmax


@DTYPES
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape,dim", [((4, 3), 0), ((2, 3, 4), 1), ((3,), -1), ((), 0), ((0, 3), 1), ((3, 0), 1)])
def test_softmaxes(name, shape, dim, dtype):
    compare(*[lambda x, f=f: getattr(f, name)(x, dim) for f in (F, TF)], np.asarray(draw(*shape, dtype=dtype)))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmaxes_of_far_logits_and_in_another_dtype(name):
    x = np.array([[1e4, -1e4, 0], [1e38, 1e38, -1e38], [-1e38, 0, 1]])
    compare(*[lambda x, f=f: getattr(f, name)(x, 1) for f in (F, TF)], x.astype(np.float32))
    found = getattr(F, name)(mg.tensor(x).float(), 1, dtype=mg.float64)
    close(found, getattr(TF, name)(torch.tensor(x).float(), 1, dtype=torch.float64))


# ------------------------------------------------------------------------------------------------------ dropout


@DTYPES
@pytest.mark.parametrize("p", [0.0, 0.2, 0.9, 1.0])
def test_dropout_as_a_layer(p, dtype):
    ours, theirs = mg.nn.Dropout(p), torch.nn.Dropout(p)
    for training in (True, False, True):
        ours.train(training)
        theirs.train(training)

        def call(m, layer, x):
            m.manual_seed(11)
            return layer(x) * x

        compare(lambda x: call(mg, ours, x), lambda x: call(torch, theirs, x), draw(20, 30, dtype=dtype))
    assert repr(ours) == repr(theirs)


def test_dropout_takes_as_many_draws_as_torchs():
    following = []
    for m in (mg, torch):
        m.manual_seed(3)
        f = m.nn.functional
        for p, training in ((0.5, True), (0.0, True), (1.0, True), (0.5, False), (0.3, True)):
            f.dropout(m.ones(7, 3), p, training)
        following.append(m.randint(0, 10**6, (4,)).tolist())
    assert following[0] == following[1]
