"""Which numpy function is which of ours, for numpy's two protocols (NEP 13 and NEP 18).

np.exp(t), np.sum(t, axis=0), array + t and so on run our op and are recorded. What has no entry here raises, rather
than dropping the gradient.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from . import creation, functions as F
from .functions.elementwise import as_tensor
from .tensor import Tensor

UFUNCS: dict[Any, Any] = {
    np.add: F.add, np.subtract: F.sub, np.multiply: F.mul, np.divide: F.div, np.floor_divide: F.floor_divide,
    np.remainder: F.remainder, np.power: F.pow, np.float_power: F.pow, np.negative: F.neg, np.positive: lambda x: x,
    np.absolute: F.abs, np.fabs: F.abs, np.sign: F.sign, np.rint: F.round, np.floor: F.floor, np.ceil: F.ceil,
    np.exp: F.exp, np.expm1: F.expm1, np.log: F.log, np.log1p: F.log1p, np.log2: F.log2, np.log10: F.log10,
    np.sqrt: F.sqrt, np.square: F.square, np.reciprocal: F.reciprocal, np.sin: F.sin, np.cos: F.cos, np.tanh: F.tanh,
    np.maximum: F.maximum, np.minimum: F.minimum, np.matmul: F.matmul, np.equal: F.eq, np.not_equal: F.ne,
    np.less: F.lt, np.less_equal: F.le, np.greater: F.gt, np.greater_equal: F.ge, np.logical_and: F.logical_and,
    np.logical_or: F.logical_or, np.logical_xor: F.logical_xor, np.logical_not: F.logical_not,
    np.bitwise_and: F.bitwise_and, np.bitwise_or: F.bitwise_or, np.bitwise_xor: F.bitwise_xor, np.invert: F.bitwise_not,
    np.isnan: F.isnan, np.isinf: F.isinf, np.isfinite: F.isfinite,
}  # fmt: skip

REDUCTIONS: dict[Any, Any] = {
    np.add: F.sum, np.multiply: F.prod, np.maximum: F.amax, np.minimum: F.amin, np.logical_and: F.all,
    np.logical_or: F.any,
}  # fmt: skip

NEUTRAL = {
    np.add: 0, np.multiply: 1, np.maximum: -math.inf, np.minimum: math.inf, np.logical_and: True, np.logical_or: False,
}  # fmt: skip


def ufunc(of: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.<ufunc>(...) with a Tensor among its arguments, or its reduce."""
    if method == "reduce" and of in REDUCTIONS:
        axis = kwargs.pop("axis", inputs[1] if len(inputs) > 1 else 0)
        keepdims = kwargs.pop("keepdims", False)
        if kwargs.get("initial") == NEUTRAL[of]:
            kwargs.pop("initial", None)  # our reductions know what the empty one is
        if not kwargs:
            return REDUCTIONS[of](as_tensor(inputs[0]), axis, keepdims)
    if method == "__call__" and of in UFUNCS:
        if kwargs.get("out") is not None:
            raise TypeError(
                f"np.{of.__name__}(..., out=) with a Tensor is not recorded and not supported: use the result, or "
                "an in-place method such as add_"
            )
        if not kwargs:
            return UFUNCS[of](*inputs)
    name = of.__name__ if method == "__call__" else f"{of.__name__}.{method}"
    raise _no_rule(name, kwargs)


def _no_rule(name: str, kwargs: dict[str, Any]) -> TypeError:
    options = f" with {', '.join(kwargs)}" if kwargs else ""
    return TypeError(
        f"np.{name}{options} has no rule in minigrad, so the gradient would be lost: use a minigrad function, "
        "write an Op, or pass t.detach().numpy() if no gradient is meant"
    )


def _concatenate(arrays: Any, axis: Any = 0) -> Tensor:
    return F.cat([F.reshape(a, -1) for a in arrays]) if axis is None else F.cat(arrays, axis)


def _full(shape: Any, like: Tensor, value: float, dtype: Any) -> Tensor:
    return (
        creation.full_like(like, value, dtype=dtype)
        if shape is None
        else creation.full(shape, value, dtype=dtype or like.dtype)
    )


def _axis_none(function: Any) -> Any:
    """numpy's form of a function where no axis means the flattened array."""
    return lambda a, axis=None: function(F.reshape(a, -1), 0) if axis is None else function(a, axis)


FUNCTIONS: dict[Any, Any] = {
    np.sum: F.sum, np.mean: F.mean, np.prod: F.prod, np.max: F.amax, np.min: F.amin, np.amax: F.amax, np.amin: F.amin,
    np.all: F.all, np.any: F.any, np.argmax: F.argmax, np.argmin: F.argmin, np.median: lambda a: F.median(a),
    np.var: lambda a, axis=None, ddof=0, keepdims=False: F.var(a, axis, keepdim=keepdims, correction=ddof),
    np.std: lambda a, axis=None, ddof=0, keepdims=False: F.std(a, axis, keepdim=keepdims, correction=ddof),
    np.cumsum: _axis_none(F.cumsum), np.round: lambda a, decimals=0: F.round(a, decimals=decimals),
    np.clip: lambda a, a_min=None, a_max=None: F.clamp(a, a_min, a_max), np.where: F.where,
    np.reshape: lambda a, shape: F.reshape(a, shape), np.ravel: F.ravel, np.transpose: F.transpose,
    np.swapaxes: F.transpose, np.moveaxis: F.movedim, np.squeeze: lambda a, axis=None: F.squeeze(a, axis),
    np.expand_dims: lambda a, axis: F.unsqueeze(a, axis), np.broadcast_to: lambda a, shape: F.expand(a, shape),
    np.concatenate: _concatenate, np.stack: lambda arrays, axis=0: F.stack(arrays, axis),
    np.split: lambda a, parts, axis=0: list(_np_split(a, parts, axis)),
    np.flip: lambda a, axis=None: F.flip(a, tuple(range(a.ndim)) if axis is None else axis),
    np.roll: lambda a, shift, axis=None: F.roll(a, shift, axis),
    np.tril: lambda a, k=0: F.tril(a, k), np.triu: lambda a, k=0: F.triu(a, k),
    np.tile: lambda a, reps: F.tile(a, reps),
    np.dot: lambda a, b: F.mul(a, b) if 0 in (np.ndim(a), np.ndim(b)) else F.matmul(a, b), np.outer: F.outer,
    np.einsum: F.einsum,
    np.linalg.norm: lambda a, ord=None, axis=None, keepdims=False: F.norm(a, 2 if ord is None else ord, axis, keepdims),
    np.zeros_like: lambda a, dtype=None, shape=None: _full(shape, a, 0, dtype),
    np.ones_like: lambda a, dtype=None, shape=None: _full(shape, a, 1, dtype),
    np.full_like: lambda a, fill_value, dtype=None: creation.full_like(a, fill_value, dtype=dtype),
    np.copy: lambda a: F.clone(a), np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.size: lambda a: a.numel(),
    np.allclose: F.allclose, np.array_equal: F.equal, np.nonzero: lambda a: F.nonzero(a, as_tuple=True),
    np.take_along_axis: lambda a, indices, axis: F.gather(a, axis, indices),
    np.take: lambda a, indices, axis=None: _take(a, indices, axis),
    np.array_repr: lambda a, *args, **kwargs: repr(a), np.array_str: lambda a, *args, **kwargs: repr(a),
}  # fmt: skip


def _take(a: Any, indices: Any, axis: int | None) -> Tensor:
    a, places = as_tensor(a), indices if isinstance(indices, Tensor) else np.asarray(indices)
    return F.reshape(a, -1)[places] if axis is None else a[(slice(None),) * F.one_dim(axis, a.ndim) + (places,)]


def _np_split(a: Tensor, parts: Any, axis: int) -> Any:
    n = a.shape[axis]
    if hasattr(parts, "__index__"):
        return F.split(a, n // parts, axis)
    bounds = [0, *parts, n]
    return F.split(a, [stop - start for start, stop in pairwise(bounds)], axis)


def function(of: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.<function>(...) with a Tensor among its arguments."""
    ours = FUNCTIONS.get(of)
    if ours is None:
        raise _no_rule(of.__name__, {})
    given = {key: value for key, value in kwargs.items() if value is not None or key == "axis"}
    try:
        return ours(*args, **given)
    except TypeError as error:
        if "unexpected keyword" in str(error):
            raise _no_rule(of.__name__, given) from None
        raise
