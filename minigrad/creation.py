"""Tensors from nothing: tensor, zeros, arange, randn, ..."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import devices, dtypes, random as _random, rounding
from .convert import with_own_dtype
from .functions.shape import sizes
from .tensor import Tensor, wrap


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A Tensor of these data, copied: numbers, lists, arrays or Tensors. Errors as Tensor. Source: torch.tensor."""
    devices.check(device)
    return Tensor(data, dtype, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor of these data: itself, an array's memory, or a copy where it must be. Source: torch.as_tensor."""
    devices.check(device)
    if isinstance(data, np.ndarray):
        data = from_numpy(data)
    made = data if isinstance(data, Tensor) else Tensor(data, dtype)
    dtypes.check(made.dtype)
    return made if dtype is None else made.to(dtype)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A Tensor that shares the memory of another library's array (numpy, torch ...). Source: torch.from_dlpack."""
    return from_numpy(np.from_dlpack(ext_tensor))


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the array's memory. Source: torch.from_numpy."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy takes a numpy array, got {type(array).__name__}")
    dtypes.check(array.dtype)
    return wrap(with_own_dtype(array))


def _made(array: np.ndarray, requires_grad: bool, device: Any = None) -> Tensor:
    if device is not None:
        devices.check(device)
    made = wrap(array)
    if requires_grad:
        made.requires_grad = True
    return made


def _float(dtype: Any) -> np.dtype:
    return dtypes.get_default_dtype() if dtype is None else dtypes.check(dtype)


def _shape(size: tuple[Any, ...], named: Any = None) -> tuple[int, ...]:
    """A shape given as ints, as one tuple, or by name: size=(2, 3)."""
    if named is not None:
        size = (named,)
    elif not size:
        raise TypeError("a size is missing: zeros(2, 3), zeros((2, 3)), and zeros(()) for a number")
    shape = sizes(size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"a shape cannot have a negative size: {shape}")
    if math.prod(shape) >= 2**60 or max(shape, default=0) >= 2**63:
        raise RuntimeError(f"a Tensor of shape {shape} would have {math.prod(shape)} elements, past all memory")
    return shape


def zeros(*shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros of this shape, float32 by default. Source: torch.zeros."""
    return _made(np.zeros(_shape(shape, size), _float(dtype)), requires_grad, device)


def ones(*shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones of this shape, float32 by default. Source: torch.ones."""
    return _made(np.ones(_shape(shape, size), _float(dtype)), requires_grad, device)


def empty(*shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A Tensor of this shape whose values are whatever was in memory. Source: torch.empty."""
    return _made(np.empty(_shape(shape, size), _float(dtype)), requires_grad, device)


def full(size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """One value in this shape, in the value's own dtype by default. Source: torch.full."""
    shape = _shape((size,))
    found = dtypes.check(dtype) if dtype is not None else dtypes.result_type(_number(fill_value))
    return _made(np.full(shape, dtypes.scalar(_number(fill_value), found), found), requires_grad, device)


def _number(x: Any) -> Any:
    return x.item() if hasattr(x, "item") else x


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros of this shape and dtype. Source: torch.zeros_like."""
    return _made(np.zeros(input.shape, input.dtype if dtype is None else dtypes.check(dtype)), requires_grad, device)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones of this shape and dtype. Source: torch.ones_like."""
    return _made(np.ones(input.shape, input.dtype if dtype is None else dtypes.check(dtype)), requires_grad, device)


def empty_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A Tensor of this shape and dtype whose values are whatever was in memory. Source: torch.empty_like."""
    return _made(np.empty(input.shape, input.dtype if dtype is None else dtypes.check(dtype)), requires_grad, device)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """One value in this shape and dtype. Source: torch.full_like."""
    found = input.dtype if dtype is None else dtypes.check(dtype)
    return _made(np.full(input.shape, dtypes.scalar(_number(fill_value), found), found), requires_grad, device)


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """start, start + step, ... below end (0 to start with one argument); int64 for ints. Source: torch.arange."""
    if end is None:
        start, end = 0, start
    start, end, step = _number(start), _number(end), _number(step)
    if not all(map(math.isfinite, (start, end, step))):
        raise RuntimeError(f"arange({start}, {end}, {step}): not a finite range")
    if dtype is not None and dtypes.check(dtype).kind in "iu":  # as torch counts: by what the dtype can hold
        start, end, step = int(start), int(end), int(step)
    if step == 0 or (end - start) * step < 0:
        raise RuntimeError(f"arange({start}, {end}, {step}): the step does not lead from start to end")
    found = dtypes.check(dtype) if dtype is not None else dtypes.result_type(start, end, step)
    n = math.ceil((end - start) / step)
    return _made((start + np.arange(n) * step).astype(found), requires_grad, device)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """So many values from start to end, both included, evenly spaced. Source: torch.linspace."""
    if steps < 0:
        raise RuntimeError(f"linspace: the number of steps must not be negative, got {steps}")
    ends, found = (_number(start), _number(end)), _float(dtype)
    made = rounding.linspace(*ends, steps, found) if found.kind == "f" else np.linspace(*ends, steps, dtype=found)
    return _made(made, requires_grad, device)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix, else zeros. Source: torch.eye."""
    _shape((n, n if m is None else m))
    return _made(np.eye(n, m, dtype=_float(dtype)), requires_grad, device)


# --------------------------------------------------------------------------------------------------- random


def _generator(generator: Any) -> _random.Generator:
    return _random.default_generator if generator is None else generator


def randn(
    *shape: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Standard normal values of this shape: torch's numbers for the same seed. Source: torch.randn."""
    return _made(_generator(generator).normal(_shape(shape, size), _float(dtype)), requires_grad, device)


def rand(
    *shape: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Values uniform on [0, 1): torch's numbers for the same seed. Source: torch.rand."""
    return _made(_generator(generator).rand(_shape(shape, size), _float(dtype)), requires_grad, device)


def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Integers uniform on [low, high) (or [0, low)): torch's for the same seed. Source: torch.randint."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if type(size) is not tuple or len(size) != 1 or type(size[0]) is not int:
        if not hasattr(size, "__iter__"):
            raise TypeError(f"randint takes a size such as (3,), got {size!r}")
        size = _shape((size,))
    if dtype is None:
        array = _generator(generator).randint(low, high, size)
        return wrap(array) if not requires_grad and device is None else _made(array, requires_grad, device)
    return _made(_generator(generator).randint(low, high, size, dtypes.check(dtype)), requires_grad, device)


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """0 .. n-1 in random order: torch's for the same seed. Source: torch.randperm."""
    array = _generator(generator).randperm(n)
    return _made(array if dtype is None else array.astype(dtypes.check(dtype)), False, device)


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Indices drawn by each row's weights (of any sum): torch's for the same seed. Source: torch.multinomial."""
    array = input.array if isinstance(input, Tensor) else np.asarray(input)
    return wrap(_generator(generator).multinomial(array, num_samples, replacement))


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None) -> Tensor:
    """Normal values with this mean and standard deviation, numbers (with a size) or Tensors. Source: torch.normal."""
    if size is None:
        if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
            raise TypeError("normal with numbers for mean and std needs a size")
        size = np.broadcast_shapes(getattr(mean, "shape", ()), getattr(std, "shape", ()))
    elif not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        return wrap(_generator(generator).normal(_shape((size,)), _float(dtype), mean, std))  # one rounding, as torch
    for what, x in (("mean", mean), ("std", std)):
        if isinstance(x, Tensor) and x.dtype.kind != "f":
            raise NotImplementedError(f"normal is for floats, not implemented for a {what} of {x.dtype}")
    if np.any(np.less(std.array if isinstance(std, Tensor) else std, 0)):
        raise RuntimeError(f"normal expects all elements of std >= 0.0, got {std}")
    return randn(size, generator=generator, dtype=dtype) * std + mean
