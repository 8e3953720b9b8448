"""Shapes: view, transpose, cat, split ... Each is a Tensor method too, but for those that take several Tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from reprlib import repr as brief
from typing import Any

import numpy as np

from .. import ops
from ..graph import Engine
from ..record import apply, apply_split, apply_unary
from ..tensor import Tensor
from .elementwise import as_tensor
from .reduce import one_dim


def sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as separate ints or as one tuple."""
    if len(shape) == 1:
        if not hasattr(shape[0], "__index__"):
            if not hasattr(shape[0], "__iter__"):
                raise TypeError(f"a shape is made of ints, got {shape[0]!r}")
            shape = tuple(shape[0])
        elif isinstance(shape[0], Tensor) and shape[0].ndim:
            shape = tuple(shape[0].tolist())
    try:
        return tuple([n.__index__() for n in shape])
    except AttributeError:
        raise TypeError(f"a shape is made of ints, got {brief(shape)}") from None


def reshape(input: Any, *size: Any, shape: Any = None) -> Tensor:
    """y = x in another shape (one size may be -1): a view where memory allows, else a copy. Source: torch.reshape."""
    x = as_tensor(input, "reshape")
    if shape is None and (y := _simple_view(x, size)) is not None:
        return y
    return apply(ops.View, x, shape=_fill(x.shape, sizes(size if shape is None else (shape,))))


def view(input: Tensor, *shape: Any, size: Any = None) -> Tensor:
    """y = x in another shape (one size may be -1), always sharing memory. Another dtype is refused.

    Raises RuntimeError where memory does not allow it, as after a transpose: use reshape. Source: torch.Tensor.view.
    """
    if len(shape) == 1 and isinstance(shape[0], (np.dtype, type)):
        raise TypeError("view(dtype) is not supported: use .to(dtype) for a conversion")
    if size is None and (y := _simple_view(input, shape)) is not None:
        return y
    found = _fill(input.array.shape, sizes(shape if size is None else (size,)))
    if not input.array.flags.c_contiguous:
        try:
            input.array.view().shape = found  # numpy refuses where it would have to copy
        except AttributeError:
            raise RuntimeError(
                f"view of shape {found} of this Tensor of shape {input.array.shape} would need a copy: use reshape"
            ) from None
    return apply(ops.View, input, shape=found)


def _simple_view(x: Tensor, shape: tuple[Any, ...]) -> Tensor | None:
    """A view by numpy's own reshape, at once: for ints that fit, of memory in order. None for all else."""
    if not x.array.flags.c_contiguous or not shape or not all([type(n) is int and n > -2 for n in shape]):
        return None
    if Engine.observe is not None:  # who is shown the shape: numpy alone works out a -1 here
        return None
    settings: dict[str, Any] = {"shape": shape}
    try:
        y: Tensor = apply_unary(ops.View, x, settings)
    except ValueError:
        return None
    settings["shape"] = y.array.shape
    return y


def _fill(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """The new shape with its -1 worked out; RuntimeError with both shapes if they hold another number of elements."""
    n, rest = math.prod(old), math.prod(new)
    if min(new, default=0) >= 0:
        if rest == n:
            return new
    elif min(new) == -1 and new.count(-1) == 1 and rest < 0 and n % rest == 0:
        return tuple([n // -rest if size == -1 else size for size in new])
    raise RuntimeError(f"shape {new} does not fit a Tensor of shape {tuple(old)} with {n} elements")


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """y = x with the dimensions from start_dim to end_dim as one. Source: torch.flatten."""
    x = as_tensor(input, "flatten")
    first, last = one_dim(start_dim, x.ndim), one_dim(end_dim, x.ndim)
    if not x.ndim:
        return reshape(x, 1)
    if first > last:
        raise RuntimeError(f"flatten from dimension {start_dim} to {end_dim}: the first comes after the last")
    return reshape(x, (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def ravel(input: Any) -> Tensor:
    """y = x as one dimension."""
    return reshape(input, -1)


def squeeze(input: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """y = x without its dimensions of size 1, or without that one (those) if of size 1. Source: torch.squeeze."""
    x = as_tensor(input, "squeeze")
    dim = axis if dim is None else dim
    wanted = (
        range(x.ndim)
        if dim is None
        else [one_dim(d, x.ndim) for d in (dim if isinstance(dim, (tuple, list)) else [dim])]
    )
    return reshape(x, tuple([n for i, n in enumerate(x.shape) if n != 1 or i not in wanted]))


def unsqueeze(input: Any, dim: Any = None, *, axis: Any = None) -> Tensor:
    """y = x with a new dimension of size 1 before position dim. Source: torch.unsqueeze."""
    x = as_tensor(input, "unsqueeze")
    at = one_dim(axis if dim is None else dim, x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def transpose(input: Any, dim0: Any = None, dim1: Any = None, *axes: int) -> Tensor:
    """y = x with two dimensions exchanged: a view. numpy's form transpose(axes) permutes. Source: torch.transpose."""
    x = as_tensor(input, "transpose")
    if dim1 is None or axes:
        order = tuple(reversed(range(x.ndim))) if dim0 is None else dim0 if dim1 is None else (dim0, dim1, *axes)
        return permute(x, order)
    dim0, dim1 = one_dim(dim0, x.ndim), one_dim(dim1, x.ndim)
    return apply(ops.SwapAxes, x, dim0=dim0, dim1=dim1) if x.ndim else x


def swapaxes(input: Any, axis0: int, axis1: int) -> Tensor:
    """transpose by numpy's name. Source: torch.swapaxes."""
    return transpose(input, axis0, axis1)


def t(input: Any) -> Tensor:
    """y = x transposed, for at most two dimensions. Source: torch.t."""
    x = as_tensor(input, "t")
    if x.ndim > 2:
        raise RuntimeError(f"t() needs at most 2 dimensions, got shape {x.array.shape}: use transpose or permute")
    return apply(ops.SwapAxes, x, dim0=0, dim1=1) if x.ndim == 2 else x


def mT(input: Tensor) -> Tensor:
    """y = x with its last two dimensions exchanged."""
    if input.ndim < 2:
        raise RuntimeError(f".mT needs at least 2 dimensions, got shape {input.array.shape}")
    return apply(ops.SwapAxes, input, dim0=input.ndim - 2, dim1=input.ndim - 1)


def permute(input: Any, *order: Any, dims: Any = None) -> Tensor:
    """y = x with its dimensions in this order: a view. Source: torch.permute."""
    x = as_tensor(input, "permute")
    order = tuple([one_dim(d, x.ndim) for d in sizes(order if dims is None else (dims,))])
    if sorted(order) != list(range(x.ndim)):
        raise RuntimeError(f"permute{tuple(order)} of shape {x.array.shape}: name each of its {x.ndim} dimensions once")
    return apply(ops.Permute, x, dims=order)


def movedim(input: Any, source: Any, destination: Any) -> Tensor:
    """y = x with one dimension, or several, moved to other places, the rest in order. Source: torch.movedim."""
    x = as_tensor(input, "movedim")
    named = [s if isinstance(s, (tuple, list)) else [s] for s in (source, destination)]
    froms, tos = ([one_dim(d, x.ndim) for d in some] for some in named)
    if len(froms) != len(tos) or len(set(froms)) < len(froms) or len(set(tos)) < len(tos):
        raise RuntimeError(f"movedim: source {source} and destination {destination} must be as many, each named once")
    order = [d for d in range(x.ndim) if d not in froms]
    for to, of in sorted(zip(tos, froms, strict=True)):
        order.insert(to, of)
    return permute(x, order) if x.ndim else x


def expand(input: Any, *shape: Any, size: Any = None) -> Tensor:
    """y = x broadcast to a larger shape (-1: as it is): a view. RuntimeError with both shapes. Source: torch.expand."""
    x = as_tensor(input, "expand")
    wanted = sizes(shape if size is None else (size,))
    lead = len(wanted) - x.ndim
    full = tuple([x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(wanted)])
    if lead < 0 or any(n < 0 for n in full) or any(x.shape[i] not in (1, full[i + lead]) for i in range(x.ndim)):
        raise RuntimeError(
            f"a Tensor of shape {x.array.shape} cannot be expanded to {wanted}: from the right, sizes must be equal or "
            "1"
        )
    return apply(ops.Expand, x, shape=full)


broadcast_to = expand  # the name of the function; expand is a method alone


def expand_as(input: Any, other: Tensor) -> Tensor:
    """y = x broadcast to the other's shape."""
    return expand(input, other.shape)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """y = x in the other's shape, sharing memory."""
    return view(input, other.shape)


def repeat(input: Any, *counts: Any, repeats: Any = None) -> Tensor:
    """y = x laid side by side so many times along each dimension (copies). Source: torch.Tensor.repeat."""
    x, times = as_tensor(input, "repeat"), sizes(counts if repeats is None else (repeats,))
    lead = len(times) - x.ndim
    if lead < 0:
        raise RuntimeError(f"repeat{times} of shape {x.array.shape}: give at least one number a dimension")
    shape = (1,) * lead + x.shape
    wide = expand(
        reshape(x, [n for size in shape for n in (1, size)]),
        [n for pair in zip(times, shape, strict=True) for n in pair],
    )
    out = reshape(wide, [n * size for n, size in zip(times, shape, strict=True)])
    return out if out._view is None else out.clone()  # nothing was to be laid side by side


def tile(input: Any, *counts: Any, dims: Any = None) -> Tensor:
    """As repeat, with missing leading numbers taken as 1. Source: torch.tile."""
    times = sizes(counts if dims is None else (dims,))
    return repeat(input, (1,) * (as_tensor(input).ndim - len(times)) + times)


def flip(input: Any, *along: Any, dims: Any = None) -> Tensor:
    """y = x in reverse order along these dimensions (a copy). Source: torch.flip."""
    x = as_tensor(input, "flip")
    named = sizes(along if dims is None else (dims,))
    wanted = tuple([one_dim(d, x.ndim) for d in named])
    if len(set(wanted)) < len(wanted):
        raise RuntimeError(f"flip: {named} names a dimension twice")
    return apply(ops.Flip, x, dim=wanted if x.ndim else ())


def roll(input: Any, shifts: Any, dims: Any = None) -> Tensor:
    """y = x shifted round along dims (or flattened). Source: torch.roll."""
    x = as_tensor(input, "roll")
    by, along = (tuple(v) if isinstance(v, (tuple, list)) else () if v is None else (v,) for v in (shifts, dims))
    if len(by) != len(along or [0]):
        raise RuntimeError(f"roll: shifts and dims must be as many, got {shifts!r} and {dims!r}")
    if not along:
        return apply(ops.Roll, x, shifts=by[0], dim=None)
    return apply(ops.Roll, x, shifts=by, dim=tuple([one_dim(d, x.ndim) for d in along]))


def tril(input: Any, diagonal: int = 0) -> Tensor:
    """y = x on and below a diagonal (0 the main one, negative below it), else 0. Source: torch.tril."""
    return apply(ops.Tril, _matrix(input, "tril"), diagonal=diagonal)


def triu(input: Any, diagonal: int = 0) -> Tensor:
    """y = x on and above a diagonal (0 the main one, negative below it), else 0. Source: torch.triu."""
    return apply(ops.Triu, _matrix(input, "triu"), diagonal=diagonal)


def _matrix(input: Any, name: str) -> Tensor:
    x = as_tensor(input, name)
    if x.ndim < 2:
        raise RuntimeError(f"{name} needs at least 2 dimensions, got shape {x.array.shape}")
    return x


def _several(tensors: Any, name: str) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name} takes a list or tuple of Tensors, got one Tensor of shape {tensors.array.shape}")
    found = [as_tensor(x, name) for x in tensors]
    if not found:  # torch has one class of error for each
        raise (ValueError if name == "cat" else RuntimeError)(f"{name} needs at least one Tensor")
    return found


def cat(tensors: Sequence[Any], dim: int = 0, *, axis: Any = None) -> Tensor:
    """y = the Tensors one after another along dim, their other sizes equal. Source: torch.cat.

    RuntimeError with the shapes where they do not fit, and for 0-d Tensors (use stack).
    """
    xs = _several(tensors, "cat")
    shapes = [x.array.shape for x in xs]
    if () in shapes:
        raise RuntimeError("cat cannot join 0-d Tensors: use stack")
    # torch skips an empty 1-d Tensor beside others of any shape.
    ndim = next((len(shape) for shape in shapes if shape != (0,)), 1)
    return apply(ops.Cat, *xs, dim=one_dim(dim if axis is None else axis, ndim))


def stack(tensors: Sequence[Any], dim: int = 0, *, axis: Any = None) -> Tensor:
    """y = the Tensors, all of one shape, side by side along a new dimension. Source: torch.stack."""
    xs = _several(tensors, "stack")
    shapes = {x.shape for x in xs}
    if len(shapes) > 1:
        raise RuntimeError(f"stack needs Tensors of one shape, got {', '.join(str(tuple(s)) for s in sorted(shapes))}")
    return apply(ops.Stack, *xs, dim=one_dim(dim if axis is None else axis, xs[0].ndim + 1))


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """x in pieces of this size along dim (the last may be smaller), or of these sizes: views. Source: torch.split."""
    x = as_tensor(tensor, "split")
    if not x.ndim:
        raise RuntimeError("split needs at least one dimension, got a 0-d Tensor")
    at = one_dim(dim, x.ndim)
    n = x.shape[at]
    if hasattr(split_size_or_sections, "__index__"):
        size = split_size_or_sections.__index__()
        if size < 0 or (size == 0 and n):
            raise RuntimeError(f"split into pieces of {size}: the size must be positive")
        lengths = [min(size, n - start) for start in range(0, n, size)] if n else [0]
    else:
        lengths = list(split_size_or_sections)
        if sum(lengths) != n or min(lengths, default=0) < 0:
            raise RuntimeError(
                f"split sizes {lengths} do not add up to the {n} of dimension {dim} of shape {x.array.shape}"
            )
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    return apply_split(ops.Split, x, dim=at, sections=tuple(pairwise(starts)))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """x in at most so many pieces of equal size along dim, the last perhaps smaller: views. Source: torch.chunk."""
    if chunks < 1:
        raise RuntimeError(f"chunk needs at least 1 piece, got {chunks}")
    x = as_tensor(input, "chunk")
    n = x.shape[one_dim(dim, x.ndim)] if x.ndim else 0
    return split(x, max(-(-n // chunks), 1), dim) if n else split(x, [0] * chunks, dim)


def unfold(input: Any, dimension: int, size: int, step: int) -> Tensor:
    """y = all windows of this size along a dimension, step apart: (..., windows, ..., size), a view.

    RuntimeError for a size larger than the dimension and a step below 1. Source: torch.Tensor.unfold.
    """
    x = as_tensor(input, "unfold")
    at, n = one_dim(dimension, x.ndim), x.shape[dimension] if x.ndim else 1
    if not 0 <= size <= n:
        raise RuntimeError(f"unfold: maximum size for Tensor at dimension {at} is {n} but size is {size}")
    if step < 1:
        raise RuntimeError(f"unfold: step is {step} but must be > 0")
    return apply(ops.Unfold, x, dim=at, size=size, step=step) if x.ndim else reshape(x, 1)[:size]


def unbind(input: Any, dim: int = 0, *, axis: Any = None) -> tuple[Tensor, ...]:
    """The rows of x along dim, that dimension gone: views. Source: torch.unbind."""
    x = as_tensor(input, "unbind")
    dim = dim if axis is None else axis
    if not x.ndim:
        raise IndexError("a 0-d Tensor has no dimension to unbind")
    return apply_split(ops.Unbind, x, dim=one_dim(dim, x.ndim))
