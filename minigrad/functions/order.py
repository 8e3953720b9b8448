"""Order and counts: sort, topk, median, unique, histc ... Each is a Tensor method too.

sort, topk and median have a gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes, ops, rounding
from ..ops.shape import in_order
from ..record import apply
from ..tensor import Tensor, watch_too, wrap
from ..ties import top
from . import results
from .elementwise import as_tensor
from .reduce import flag, need_numbers, need_some, one_dim


def _order(x: Tensor, dim: int, descending: bool) -> np.ndarray:
    """The indices that sort x along dim; equal elements as they stand, nan as the largest."""
    array = x.array
    if not descending:
        return np.argsort(array, axis=dim, kind="stable")
    back = np.argsort(np.flip(array, dim), axis=dim, kind="stable")
    return np.flip(array.shape[dim] - 1 - back, dim)


def _chosen(x: Tensor, places: Tensor, dim: int) -> Tensor:
    return watch_too(apply(ops.Gather, x, index=ops.grid(places.array, dim)), (places,))


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False, *, axis: Any = None) -> Any:
    """(values, indices): x in order along dim, equal elements as they stand (stable or not); nan is the largest.

    The gradient goes to where each value stood. Source: torch.sort.
    """
    x = as_tensor(input, "sort")
    at = one_dim(dim if axis is None else axis, x.ndim)
    if not x.ndim:
        return results.sort(x.clone(), Tensor(0))
    indices = wrap(_order(x, at, descending))
    return results.sort(_chosen(x, indices, at), indices)


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False, *, axis: Any = None) -> Tensor:
    """The indices (int64) that sort x along dim. Source: torch.argsort."""
    return sort(as_tensor(input, "argsort").detach(), dim, descending, stable, axis=axis).indices


def topk(
    input: Any, k: int, dim: int | None = None, largest: bool = True, sorted: bool = True, *, axis: Any = None
) -> Any:
    """(values, indices): the k largest (or smallest) along dim (the last), in order. nan is the largest.

    Equal elements stand as torch leaves them: see minigrad.ties.
    RuntimeError for k outside 0 .. n and for bools. Source: torch.topk.
    """
    x = as_tensor(input, "topk")
    dim = axis if dim is None else dim
    at = one_dim(-1 if dim is None else dim, x.ndim)
    if x.dtype.kind == "b":
        raise RuntimeError("topk does not support bools: make them numbers with .long() first")
    n = x.shape[at] if x.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(f"topk: selected index k out of range: k={k}, dimension {at} has {n} elements")
    if not x.ndim:
        return results.topk(x.clone(), Tensor(0)) if k else results.topk(x.reshape(1)[:0], Tensor([], dtypes.int64))
    rows = np.moveaxis(x.array, at, -1)
    places = top(rows.reshape(math.prod(rows.shape[:-1]), n), k, largest).reshape(*rows.shape[:-1], k)
    indices = wrap(in_order(np.moveaxis(places, -1, at)))
    return results.topk(_chosen(x, indices, at), indices)


def median(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """median(x): the lower median of all elements; nan if there is one or x is empty. Equal ones share the gradient.

    median(x, dim): (values, indices); the gradient goes to the index returned, which is the first nan's if there are
    any. RuntimeError for no elements and for ints, IndexError for none along dim. Source: torch.median.
    """
    x = as_tensor(input, "median")
    need_numbers(x, "median")
    dim, keepdim = axis if dim is None else dim, keepdims or (keepdim and flag(keepdim))
    if dim is None:
        if keepdim:
            raise TypeError("median: keepdim needs a dim")
        if not x.array.size and x.dtype.kind != "f":
            raise RuntimeError(f"median of shape {x.array.shape} and {x.dtype}: there is no element, and no nan")
        return apply(ops.Median, x)
    at = one_dim(dim, x.ndim)
    if not x.ndim:
        return results.median(apply(ops.Median, x), Tensor(0))
    need_some(x, at, "median")
    indices = wrap(np.expand_dims(_medians(x.array, at), at))
    values = _chosen(x, indices, at)
    return results.median(*((values, indices) if keepdim else (values.squeeze(at), indices.squeeze(at))))


def _medians(array: np.ndarray, dim: int) -> np.ndarray:
    """Where along dim the lower median stands: the first nan if there is one."""
    n = array.shape[dim]
    middle = np.take(np.argsort(array, axis=dim, kind="stable"), (n - 1) // 2, axis=dim)
    if array.dtype.kind != "f":
        return middle
    nan = np.isnan(array)
    return np.where(nan.any(axis=dim), nan.argmax(axis=dim), middle)


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
    *,
    axis: Any = None,
) -> Any:
    """The different elements in order (or the different rows along dim); each nan is different.

    With return_inverse also where each element went, in x's shape, with return_counts also how often each stood
    there (int64): then a tuple. No gradient. Source: torch.unique.
    """
    x = as_tensor(input, "unique")
    if not isinstance(sorted, bool):  # unique(x, 0), where dim=0 was meant
        raise TypeError(f"unique: sorted is True or False, got {sorted!r}: say dim={sorted!r} if that was meant")
    dim = axis if dim is None else dim
    at = None if dim is None else one_dim(dim, x.ndim)
    if at is not None and (not x.ndim or (0 in x.shape and x.shape[at])):
        raise (RuntimeError if x.ndim else IndexError)(f"unique along dim {dim} of shape {x.array.shape}: no rows")
    values, inverse, counts = np.unique(x.array, return_inverse=True, return_counts=True, axis=at, equal_nan=False)
    found = [wrap(values)]
    if return_inverse:
        found.append(wrap(inverse.reshape(x.shape if at is None else -1)))
    if return_counts:
        found.append(wrap(counts))
    return found[0] if len(found) == 1 else tuple(found)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each of 0 .. max(x) stands in x (1-d, not negative), or the sum of its weights.

    Source: torch.bincount.
    """
    x = as_tensor(input, "bincount")
    if x.dtype.kind not in "iu":
        raise NotImplementedError(f"bincount is for integers, not implemented for {x.dtype}")
    if x.ndim != 1 or (x.array.size and x.array.min() < 0):
        raise RuntimeError(
            f"bincount only supports 1-d non-negative integral inputs, got {x.dtype} of shape {x.array.shape}"
        )
    if weights is not None:
        weights = as_tensor(weights, "bincount")
        if weights.shape != x.shape:
            raise RuntimeError(f"bincount: weights of shape {weights.array.shape} for an input of {x.array.shape}")
    counts = np.bincount(x.array, None if weights is None else weights.array, minlength)
    return wrap(counts if weights is None or weights.dtype != np.float32 else counts.astype(np.float32))


def _bounds(x: Tensor, low: Any, high: Any, name: str) -> tuple[Any, Any]:
    """The outer edges: those given or, where both are the same, the data's; a width of 0 is widened by 1 each way."""
    kind = x.dtype.type
    if x.dtype.kind != "f":
        raise NotImplementedError(f"{name} is for floats, not implemented for {x.dtype}: call .float() first")
    if low == high and x.array.size:
        low, high = x.array.min(), x.array.max()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, got [{low}, {high}]")
    return (kind(low - 1), kind(high + 1)) if low == high else (kind(low), kind(high))


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of so many bins of equal width from min to max (both 0: the data's own).

    (bins,) in x's float dtype; elements outside and nan are not counted, max is in the last bin. Source: torch.histc.
    """
    x = as_tensor(input, "histc")
    if bins <= 0:
        raise RuntimeError(f"histc: bins must be > 0, got {bins}")
    low, high = _bounds(x, min, max, "histc")
    inside = x.array[(x.array >= low) & (x.array <= high)]
    place = ((inside - low) / (high - low) * bins).astype(np.int64)
    return wrap(np.bincount(np.minimum(place, bins - 1), minlength=bins).astype(x.dtype))


def histogram(input: Any, bins: Any = 100, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """(hist, bin_edges) in x's float dtype: bins is their number (from range, or the data's) or their edges.

    weight: what each element counts for. density: divided so that the area is 1. Source: torch.histogram.
    """
    x = as_tensor(input, "histogram")
    if hasattr(bins, "__index__") and not (isinstance(bins, Tensor) and bins.ndim):
        if bins.__index__() <= 0:
            raise RuntimeError(f"histogram: bins must be > 0, got {bins}")
        first, last = range or (0, int(not x.array.size))
        low, high = _bounds(x, first, last, "histogram")
        edges = rounding.linspace(low, high, bins.__index__() + 1, x.dtype)
    else:
        edges = as_tensor(bins, "histogram").array
        if edges.ndim != 1 or x.dtype.kind != "f":
            raise RuntimeError(f"histogram needs edges of one dimension and floats, got {edges.shape} and {x.dtype}")
    flat = x.array.reshape(-1)
    inside = (flat >= edges[0]) & (flat <= edges[-1])
    place = np.minimum(np.searchsorted(edges, flat[inside], "right") - 1, len(edges) - 2)
    weights = None if weight is None else as_tensor(weight, "histogram").array.reshape(-1)[inside]
    hist = np.bincount(place, weights, len(edges) - 1).astype(x.dtype)
    if density:
        hist = hist / (hist.sum() * np.diff(edges))
    return results.histogram(wrap(hist), wrap(edges))
