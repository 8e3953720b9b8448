"""Tensors filled by chance in place (normal_, uniform_ ...), and new ones of another's dtype (new_zeros ...)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import creation
from .inplace import update
from .tensor import Tensor, wrap


def _float(x: Tensor, name: str) -> np.dtype:
    if x.dtype.kind != "f":
        raise NotImplementedError(f"{name} is for floats, not implemented for {x.dtype}: call .float() first")
    return x.dtype


def _put(x: Tensor, how: str, draw: Any) -> Tensor:
    return update(x, how, lambda _: wrap(np.asarray(drawn(x.array, lambda shape, _: draw(shape, x.dtype)))))


def drawn(array: Any, draw: Any) -> Any:
    """What draw(shape, order) gives, as torch lays it into this array: as its memory lies, not as its indices run.

    order: the array's dimensions, that of the longest steps first; shape: their sizes, in which the draws are made.
    """
    order = tuple(range(array.ndim))
    if array.flags.c_contiguous:
        return draw(array.shape, order)
    order = tuple(sorted(order, key=lambda d: -array.strides[d]))
    return draw(tuple([array.shape[d] for d in order]), order).transpose(np.argsort(order))


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite with normal numbers of this mean and standard deviation. Source: torch.Tensor.normal_."""
    g, _ = creation._generator(generator), _float(self, "normal_")
    whole = self.array.flags.c_contiguous
    return _put(self, "normal_", lambda shape, dtype: g.normal(shape, dtype, mean, std, contiguous=whole))


def uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite with numbers uniform on [a, b). Source: torch.Tensor.uniform_."""
    g, _ = creation._generator(generator), _float(self, "uniform_")
    return _put(self, "uniform_", lambda shape, dtype: g.uniform(a, b, shape, dtype))


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrite with -log(1 - u) / lambd, u uniform. Source: torch.Tensor.exponential_."""
    g, _ = creation._generator(generator), _float(self, "exponential_")
    return _put(self, "exponential_", lambda shape, dtype: g.exponential(shape, dtype, lambd))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Overwrite with 1 with probability p (a number, or a Tensor of this shape), else 0. Source: Tensor.bernoulli_."""
    g = creation._generator(generator)
    if not isinstance(p, Tensor):
        return _put(self, "bernoulli_", lambda shape, dtype: g.bernoulli(p, shape, dtype))
    chance = np.broadcast_to(p.array, self.array.shape)
    fill = drawn(self.array, lambda shape, order: g.bernoulli(chance.transpose(order), shape, self.dtype))
    return update(self, "bernoulli_", lambda _: wrap(fill))


def random_(self: Tensor, low: int = 0, high: int | None = None, *, generator: Any = None) -> Tensor:
    """Overwrite with integers uniform on [low, high), on [0, low) with one number, or on all that the dtype holds.

    For floats that is 0 .. 2**24 or 2**53, up to which each integer has its own float. Source: torch.Tensor.random_.
    """
    g = creation._generator(generator)
    if high is None and low == 0:
        return _put(self, "random_", lambda shape, dtype: _any(g, shape, dtype))
    low, high = (low, high) if high is not None else (0, low)
    return _put(self, "random_", lambda shape, dtype: g.randint(low, high, shape, dtype))


def _any(g: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """torch's random_() without bounds: a draw, two for the dtypes of 64 bits, modulo what the dtype holds."""
    n = math.prod(shape)
    if dtype in (np.int64, np.float64):
        pairs = g.random_uint32(2 * n).reshape(n, 2).astype(np.uint64)
        draw = pairs[:, 0] << np.uint64(32) | pairs[:, 1]
    else:
        draw = g.random_uint32(n).astype(np.uint64)
    holds = 2 if dtype.kind == "b" else 2 ** (np.finfo(dtype).nmant + 1) + 1 if dtype.kind == "f" else None
    most = holds or int(np.iinfo(dtype).max) + 1
    return (draw % np.uint64(most)).astype(dtype).reshape(shape)


# ------------------------------------------------------------------------------------------------ like another


def new_zeros(
    self: Tensor,
    *shape: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros of this shape, in this Tensor's dtype. Source: torch.Tensor.new_zeros."""
    return creation.zeros(*shape, size=size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_ones(
    self: Tensor,
    *shape: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones of this shape, in this Tensor's dtype. Source: torch.Tensor.new_ones."""
    return creation.ones(*shape, size=size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_empty(
    self: Tensor,
    *shape: Any,
    size: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor of this shape and dtype with whatever was in memory. Source: torch.Tensor.new_empty."""
    return creation.empty(*shape, size=size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_full(
    self: Tensor, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in this shape, in this Tensor's dtype. Source: torch.Tensor.new_full."""
    return creation.full(size, fill_value, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """These data in this Tensor's dtype. Source: torch.Tensor.new_tensor."""
    return creation.tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)
