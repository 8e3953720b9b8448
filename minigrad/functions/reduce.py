"""Reductions: sum, mean, var, max, logsumexp ... Each is a Tensor method too.

`dim` (or numpy's `axis`) is None for all, an int or a tuple of ints, negative from the end; `keepdim` (`keepdims`)
leaves size 1. IndexError for a dimension that is not there.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import dtypes, ops
from ..record import apply, apply_unary, run
from ..tensor import Tensor, watch_too, wrap
from . import results
from .elementwise import as_tensor


def one_dim(dim: Any, ndim: int) -> int:
    """A dimension as a number from 0; IndexError names the range if there is no such."""
    n = ndim or 1  # a 0-d tensor takes dim 0 and -1, as torch's does
    try:
        found = dim.__index__()
    except AttributeError:
        raise TypeError(f"a dimension is an int, got {dim!r}") from None
    if found is not dim and isinstance(dim, bool):  # x.sum(True), where keepdim=True was meant
        raise TypeError(f"a dimension is an int, got {dim}")
    if not -n <= found < n:
        raise IndexError(
            f"dimension {found} is out of range: expected {-n} to {n - 1} for a Tensor of {ndim} dimensions"
        )
    return found + n if found < 0 else found


def flag(keepdim: Any) -> bool:
    """keepdim where it is said; TypeError for x.sum(0, 1), where (0, 1) was meant."""
    if not isinstance(keepdim, bool):
        raise TypeError(f"keepdim is True or False, got {keepdim!r}: several dimensions are a tuple, dim=(0, 1)")
    return keepdim


def dims(dim: Any, ndim: int) -> Any:
    """None, an int or a tuple of ints from 0, ready for numpy; None for every dimension of a 0-d Tensor."""
    if dim is None:
        return None
    if isinstance(dim, (tuple, list)):
        found = tuple([one_dim(d, ndim) for d in dim])
        if len(set(found)) < len(found):
            raise RuntimeError(f"dim {tuple(dim)} names a dimension twice")
        return (found or None) if ndim else None  # torch takes dim=() as all
    found_one = one_dim(dim, ndim)
    return found_one if ndim else None


def sum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """y = sum of x over dim (all by default). Ints and bools are summed as int64. Source: torch.sum."""
    x = as_tensor(input, "sum")
    if dtype is not None:
        x = x.to(dtype)
    found = dims(axis if dim is None else dim, x.array.ndim)
    return apply_unary(ops.Sum, x, {"dim": found, "keepdim": keepdims or (keepdim and flag(keepdim))})


def mean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """y = mean of x over dim (all by default). RuntimeError for ints: make them float first. Source: torch.mean."""
    x = as_tensor(input, "mean")
    if dtype is not None:
        x = x.to(dtype)
    _need_float(x, "mean")
    found = dims(axis if dim is None else dim, x.array.ndim)
    return apply_unary(ops.Mean, x, {"dim": found, "keepdim": keepdims or (keepdim and flag(keepdim))})


def _need_float(x: Tensor, name: str) -> None:
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name} needs floats, got {x.dtype}: call .float() first")


def need_numbers(x: Tensor, name: str) -> None:
    if x.array.dtype.kind == "b":
        raise NotImplementedError(f"{name} is not defined for bools: make them numbers with .long() first")


def _spread(
    op: type[ops.Op], input: Any, dim: Any, unbiased: bool | None, correction: Any, keepdim: bool, axis: Any, ddof: Any
) -> Tensor:
    """var and std: the old way of saying unbiased, torch's correction and numpy's ddof."""
    x = as_tensor(input, op.__name__.lower())
    if isinstance(dim, bool):  # torch's x.var(False): the first argument may be unbiased
        dim, unbiased = None, dim
    _need_float(x, op.__name__.lower())
    if ddof is not None:
        correction = ddof
    elif unbiased is not None:
        if correction is not None:
            raise TypeError(f"unbiased={unbiased} and correction={correction}: give one of them")
        correction = int(unbiased)
    elif correction is None:
        correction = 1
    found = dims(axis if dim is None else dim, x.array.ndim)
    n = ops.count(x.shape, found)
    if n <= correction:
        warnings.warn(
            f"{op.__name__.lower()}(): degrees of freedom is <= 0: {n} elements less a correction of {correction}; "
            "the result is nan or inf",
            UserWarning,
            stacklevel=3,
        )
    return apply(op, x, dim=found, correction=correction, keepdim=keepdim)


def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Any = None,
    keepdims: bool = False,
    ddof: Any = None,
) -> Tensor:
    """v = sum((x - mean)**2) / (n - correction); unbiased (Bessel, correction=1) by default. Source: torch.var."""
    return _spread(ops.Var, input, dim, unbiased, correction, keepdims or (keepdim and flag(keepdim)), axis, ddof)


def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Any = None,
    keepdims: bool = False,
    ddof: Any = None,
) -> Tensor:
    """s = sqrt(var(x)); unbiased (Bessel, correction=1) by default. Source: torch.std."""
    return _spread(ops.Std, input, dim, unbiased, correction, keepdims or (keepdim and flag(keepdim)), axis, ddof)


def max(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """max(x): the largest element. max(x, dim): (values, indices). max(x, y): elementwise, as maximum.

    Ties: max(x) shares the gradient equally, max(x, dim) gives it to the index returned. Source: torch.max.
    """
    return _extreme(input, dim, keepdims or (keepdim and flag(keepdim)), axis, (ops.MaxAll, ops.MaxDim, ops.Maximum))


def min(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """min(x): the smallest element. min(x, dim): (values, indices). min(x, y): elementwise, as minimum.

    Ties: min(x) shares the gradient equally, min(x, dim) gives it to the index returned. Source: torch.min.
    """
    return _extreme(input, dim, keepdims or (keepdim and flag(keepdim)), axis, (ops.MinAll, ops.MinDim, ops.Minimum))


def _extreme(input: Any, dim: Any, keepdim: bool, axis: Any, rules: tuple[type[ops.Op], ...]) -> Any:
    x = as_tensor(input, "max")
    if isinstance(dim, Tensor):
        return apply(rules[2], x, dim)
    dim = axis if dim is None else dim
    if dim is None:
        if keepdim:
            raise TypeError("keepdim needs a dim here; amax and amin keep all dimensions with keepdim=True")
        need_some(x, None, rules[2].__name__.lower())
        return apply(rules[0], x)
    found, both = one_dim(dim, x.array.ndim), results.max if rules[2] is ops.Maximum else results.min
    if x.array.ndim == 0:
        return both(apply(rules[0], x), Tensor(0))
    need_some(x, found, rules[2].__name__.lower())
    values, (indices,) = run(rules[1], (x,), {"dim": found, "keepdim": keepdim})
    places = wrap(indices)
    return both(watch_too(values, (places,)), places)


def need_some(x: Tensor, dim: Any, name: str) -> None:
    """An empty set has no largest element: RuntimeError without dim, IndexError with one, as torch."""
    if dim is None and not x.array.size:
        raise RuntimeError(
            f"{name} of a Tensor of shape {x.array.shape}: there is no element to choose; give a dim that is not empty"
        )
    for d in () if dim is None else _each(dim):
        if x.array.ndim and not x.shape[d]:
            raise IndexError(
                f"{name}: dimension {d} of shape {x.array.shape} has size 0, there is no element to choose"
            )


def amax(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest elements over dim (several allowed); ties share the gradient equally. Source: torch.amax."""
    return _amax(ops.Amax, input, axis if dim is None else dim, keepdims or (keepdim and flag(keepdim)))


def amin(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest elements over dim (several allowed); ties share the gradient equally. Source: torch.amin."""
    return _amax(ops.Amin, input, axis if dim is None else dim, keepdims or (keepdim and flag(keepdim)))


def _amax(op: type[ops.Op], input: Any, dim: Any, keepdim: bool) -> Tensor:
    x = as_tensor(input, op.__name__.lower())
    found = dims(dim, x.array.ndim)
    need_some(x, found, op.__name__.lower())
    return apply(op, x, dim=found, keepdim=keepdim)


def argmax(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The index (int64) of the first largest element, along dim or in the flattened Tensor. Source: torch.argmax."""
    return _arg(ops.ArgMax, input, axis if dim is None else dim, keepdims or (keepdim and flag(keepdim)))


def argmin(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The index (int64) of the first smallest element, along dim or in the flattened Tensor. Source: torch.argmin."""
    return _arg(ops.ArgMin, input, axis if dim is None else dim, keepdims or (keepdim and flag(keepdim)))


def _arg(op: type[ops.Op], input: Any, dim: Any, keepdim: bool) -> Tensor:
    x = as_tensor(input, op.__name__.lower())
    need_numbers(x, op.__name__.lower())
    found = None if dim is None or (not x.array.ndim and one_dim(dim, 0) == 0) else one_dim(dim, x.array.ndim)
    if found is None and not x.array.size:
        raise IndexError(f"{op.__name__.lower()} of a Tensor of shape {x.array.shape}: there is no element to choose")
    need_some(x, found, op.__name__.lower())
    return apply(op, x, dim=found, keepdim=keepdim)


def prod(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """y = product of x over dim (all by default); zeros are no trouble for the gradient. Source: torch.prod."""
    x = as_tensor(input, "prod")
    if dtype is not None or x.dtype.kind != "f":
        x = x.to(dtype if dtype is not None else dtypes.int64)
    return apply(
        ops.Prod,
        x,
        dim=dims(axis if dim is None else dim, x.array.ndim),
        keepdim=keepdims or (keepdim and flag(keepdim)),
    )


def logsumexp(
    input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """y = log(sum(exp(x))) over dim, which must be said, without overflow. Source: torch.logsumexp."""
    x = as_tensor(input, "logsumexp")
    dim = axis if dim is None else dim
    if dim is None:
        raise TypeError(f"logsumexp needs a dim: a number, or {tuple(range(x.ndim))} for all")
    keepdim = keepdims or (keepdim and flag(keepdim))
    return apply(ops.LogSumExp, x, dim=dims(dim, x.array.ndim), keepdim=keepdim)


def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """y = sum(|x|**p)**(1/p); p a number, inf, -inf, or "fro" for 2. At y = 0 the gradient is 0. Source: torch.norm."""
    x = as_tensor(input, "norm")
    _need_float(x, "norm")
    if dtype is not None:
        x = x.to(dtype)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: p is a number, inf, -inf or 'fro', not {p!r}")
    p = 2.0 if p == "fro" or p is None else float(p)
    found = dims(dim, x.array.ndim)
    if math.isinf(p):
        need_some(x, found, "norm")
    elif p < 0 and not x.array.size and (found is None or 0 in [x.shape[d] for d in _each(found)]):
        raise RuntimeError(f"norm: the {p} norm of shape {x.array.shape} has no element to choose")
    return apply(ops.Norm, x, p=p, dim=found, keepdim=keepdim and flag(keepdim))


def _each(dim: Any) -> tuple[int, ...]:
    return dim if isinstance(dim, tuple) else (dim,)


def cumsum(input: Any, dim: Any = None, *, dtype: Any = None, axis: Any = None) -> Tensor:
    """y_i = x_0 + ... + x_i along dim; ints are summed as int64. Source: torch.cumsum."""
    x = as_tensor(input, "cumsum")
    if dtype is not None or x.dtype.kind != "f":
        x = x.to(dtype if dtype is not None else dtypes.int64)
    dim = axis if dim is None else dim
    if dim is None:
        raise TypeError("cumsum needs a dim")
    return apply(ops.CumSum, x, dim=one_dim(dim, x.array.ndim))


def all(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true (not 0), over dim or altogether: a bool Tensor. dim=(): each by itself."""
    x = as_tensor(input, "all")
    return _truth(ops.All, x, axis if dim is None else dim, keepdim=keepdims or (keepdim and flag(keepdim)))


def any(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether some element is true (not 0), over dim or altogether: a bool Tensor. dim=(): each by itself."""
    x = as_tensor(input, "any")
    return _truth(ops.Any, x, axis if dim is None else dim, keepdim=keepdims or (keepdim and flag(keepdim)))


def _truth(op: type[ops.Op], x: Tensor, dim: Any, **settings: Any) -> Tensor:
    """all and any give bools, but of uint8 uint8: that was torch's bool once."""
    if isinstance(dim, (tuple, list)) and not dim:  # of no dimension: unlike in sum(), not of all
        result: Tensor = apply(ops.NotEqual, x, 0)
    else:
        result = apply(op, x, dim=dims(dim, x.array.ndim), **settings)
    return result.to(x.dtype) if x.dtype is dtypes.uint8 else result


def softmax(input: Any, dim: Any = None, dtype: Any = None, *, axis: Any = None) -> Tensor:
    """y = exp(x) / sum(exp(x)) along dim, without overflow. Source: torch.softmax."""
    x, found = _softmax_dim(input, axis if dim is None else dim, dtype, "softmax")
    return apply(ops.Softmax, x, dim=found)


def log_softmax(input: Any, dim: Any = None, dtype: Any = None, *, axis: Any = None) -> Tensor:
    """y = x - logsumexp(x) along dim, without overflow. Source: torch.log_softmax."""
    x, found = _softmax_dim(input, axis if dim is None else dim, dtype, "log_softmax")
    return apply(ops.LogSoftmax, x, dim=found)


def _softmax_dim(input: Any, dim: Any, dtype: Any, name: str) -> tuple[Tensor, Any]:
    x = as_tensor(input, name)
    if dtype is not None:
        x = x.to(dtype)
    if dim is None:
        raise TypeError(f"{name} needs a dim: the one along which the results sum to 1 (usually -1)")
    found = one_dim(dim, x.array.ndim)
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"{name} needs floats, got {x.dtype}: call .float() first")
    return x, found if x.array.ndim else None
