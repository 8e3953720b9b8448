"""Initial values, written into a Tensor in place: torch's numbers for the same seed, drawn in torch's order.

All return the Tensor, record nothing, and take a `generator` in place of the global one.
Source: https://docs.pytorch.org/docs/stable/nn.init.html
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import random as _random
from ..filling import drawn
from ..inplace import write
from ..tensor import Tensor

_LINEAR = frozenset(
    ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid"]
)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What keeps the variance through a nonlinearity: 5/3 for tanh, sqrt(2) for relu, 1 for linear and sigmoid ...

    param: the negative slope of leaky_relu, 0.01 by default. ValueError for a name that is not known.
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, (int, float))):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    known = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
    if nonlinearity not in known:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}: use linear, leaky_relu, {', '.join(known)}")
    return known[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with values uniform on [a, b), any shape, float32 or float64."""
    g, dtype = _of(generator), _float(tensor)
    write(tensor, drawn(tensor.array, lambda shape, _: g.uniform(a, b, shape, dtype)), "uniform_")
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal values of this mean and standard deviation."""
    g, dtype, whole = _of(generator), _float(tensor), tensor.array.flags.c_contiguous
    write(tensor, drawn(tensor.array, lambda shape, _: g.normal(shape, dtype, mean, std, contiguous=whole)), "normal_")
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    write(tensor, val, "constant_")
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, else zeros. ValueError for other than 2 dimensions."""
    if tensor.ndim != 2:
        raise ValueError(f"Only tensors with 2 dimensions are supported, got shape {tensor.array.shape}")
    write(tensor, np.eye(tensor.shape[0], tensor.shape[1]), "eye_")
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform on [-a, a), a = gain * sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010. ValueError below 2-d."""
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / sum(_fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal, std = gain * sqrt(2 / (fan_in + fan_out)). Glorot and Bengio 2010. ValueError below 2-d."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Uniform on [-b, b), b = gain * sqrt(3 / fan); a is leaky_relu's slope. He et al. 2015. ValueError below 2-d."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Normal, std = gain / sqrt(fan); a is leaky_relu's slope. He et al. 2015. ValueError below 2-d."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ("fan_in", "fan_out")
    if mode.lower() not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {', '.join(modes)}")
    fan = _fans(tensor)[modes.index(mode.lower())]
    gain = calculate_gain(nonlinearity, a)
    return gain / math.sqrt(fan) if tensor.array.size else 0.0


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs meet in a weight (out, in) or (out, in, kernel ...)."""
    if tensor.ndim < 2:
        raise ValueError(
            f"Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got shape "
            f"{tensor.array.shape}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _of(generator: Any) -> _random.Generator:
    return _random.default_generator if generator is None else generator


def _float(tensor: Tensor) -> np.dtype:
    if tensor.dtype.kind != "f":
        raise RuntimeError(f"random initial values are floats, the Tensor is {tensor.dtype}: make it float first")
    return tensor.dtype


def __getattr__(name: str) -> Any:
    from ..names import missing

    raise missing("minigrad.nn.init", name, globals())
