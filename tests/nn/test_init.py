"""nn.init beside torch: the same numbers for the same seed, in the same order."""

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

SHAPES = [(3,), (4, 5), (15, 1), (16, 1), (30, 17), (2, 3, 4), (200, 30)]
FANS = [shape for shape in SHAPES if len(shape) > 1]


def both(name, shape, dtype, *args, **kwargs):
    """One initialiser in both libraries after the same seed, and the next draw of each stream."""
    ours, theirs = mg.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=getattr(torch, dtype))
    mg.manual_seed(42)
    torch.manual_seed(42)
    assert getattr(nn.init, name)(ours, *args, **kwargs) is ours
    getattr(torch.nn.init, name)(theirs, *args, **kwargs)
    assert mg.rand(1).item() == torch.rand(1).item(), "the streams went apart"
    return ours.numpy(), theirs.numpy()


def ulps(a, b):
    return np.abs(a - b) / np.spacing(np.maximum(np.abs(a), np.abs(b)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_uniform_is_torchs_bit_for_bit(shape, dtype):
    np.testing.assert_array_equal(*both("uniform_", shape, dtype, -0.3, 0.7))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_normal_is_torchs_to_two_ulp(shape, dtype):
    assert ulps(*both("normal_", shape, dtype, 0.0, 0.7)).max() <= 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", FANS)
@pytest.mark.parametrize("name,settings", [
    ("xavier_uniform_", {}),
    ("xavier_uniform_", {"gain": 5 / 3}),
    ("kaiming_uniform_", {}),
    ("kaiming_uniform_", {"a": math.sqrt(5)}),
    ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_uniform_", {"nonlinearity": "tanh"}),
])  # fmt: skip
def test_uniform_by_fan_is_torchs_bit_for_bit(name, settings, shape, dtype):
    np.testing.assert_array_equal(*both(name, shape, dtype, **settings))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", FANS)
@pytest.mark.parametrize("name,settings", [
    ("xavier_normal_", {"gain": 5 / 3}),
    ("kaiming_normal_", {"nonlinearity": "relu"}),
    ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "linear"}),
])  # fmt: skip
def test_normal_by_fan_is_torchs_to_two_ulp(name, settings, shape, dtype):
    assert ulps(*both(name, shape, dtype, **settings)).max() <= 2


@pytest.mark.parametrize("name,args", [("zeros_", ()), ("ones_", ()), ("constant_", (2.5,)), ("eye_", ())])
def test_constants(name, args):
    np.testing.assert_array_equal(*both(name, (3, 4), "float32", *args))


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
@pytest.mark.parametrize("param", [None, 0.2])
def test_gains(name, param):
    assert nn.init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


def test_a_generator_is_used_in_place_of_the_global_one():
    ours, theirs = mg.zeros(20), torch.zeros(20)
    nn.init.uniform_(ours, generator=mg.Generator().manual_seed(7))
    torch.nn.init.uniform_(theirs, generator=torch.Generator().manual_seed(7))
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_leaf_that_requires_grad_is_filled_and_a_graph_that_kept_it_told():
    w = mg.ones(3, requires_grad=True)
    y = (w * w).sum()
    nn.init.uniform_(w)
    assert w.requires_grad and w.is_leaf
    with pytest.raises(RuntimeError, match="uniform_ on a Tensor"):
        y.backward()


@pytest.mark.parametrize("seed", [0, 42])
def test_layers_start_as_torchs(seed):
    mg.manual_seed(seed)
    torch.manual_seed(seed)
    made = [
        (nn.Linear(30, 200), torch.nn.Linear(30, 200)),
        (nn.Linear(3, 4, bias=False), torch.nn.Linear(3, 4, bias=False)),
        (nn.Linear(200, 27, dtype=mg.float64), torch.nn.Linear(200, 27, dtype=torch.float64)),
    ]
    for ours, theirs in made:
        for (name, a), (their_name, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert name == their_name
            np.testing.assert_array_equal(a.array, b.detach().numpy(), strict=True)
    for n, d, padding in ((27, 10, None), (5, 3, 1)):
        ours, theirs = nn.Embedding(n, d, padding), torch.nn.Embedding(n, d, padding)
        assert ulps(ours.weight.array, theirs.weight.detach().numpy()).max() <= 2


REFUSED = [
    (lambda: nn.init.kaiming_uniform_(mg.zeros(3)), ValueError, r"fewer than 2 dimensions, got shape \(3,\)"),
    (lambda: nn.init.xavier_normal_(mg.zeros(3)), ValueError, "fewer than 2 dimensions"),
    (lambda: nn.init.kaiming_normal_(mg.zeros(3, 3), mode="foo"), ValueError, "Mode foo not supported"),
    (lambda: nn.init.calculate_gain("foo"), ValueError, "Unsupported nonlinearity foo"),
    (lambda: nn.init.calculate_gain("leaky_relu", "x"), ValueError, "negative_slope x not a valid number"),
    (lambda: nn.init.eye_(mg.zeros(3)), ValueError, "2 dimensions"),
    (lambda: nn.init.uniform_(mg.zeros(3).long()), RuntimeError, "int64"),
    (lambda: nn.init.normal_(mg.zeros(3), 0, -1), RuntimeError, "std"),
]


@pytest.mark.parametrize("call,error,message", REFUSED, ids=range(len(REFUSED)))
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
