"""Indexing: x[...], gather, index_select, scatter_add ... and x[...] = v."""

from __future__ import annotations

from operator import index as index_of
from reprlib import repr as brief
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..convert import as_array, row_numbers
from ..inplace import update, write
from ..modes import _recording
from ..record import apply, apply_unary
from ..tensor import Tensor, watch_too, wrap
from .elementwise import as_tensor
from .reduce import one_dim


def getitem(input: Tensor, index: Any) -> Tensor:
    """x[index] with ints, slices, None, ..., bool masks, integer arrays and Tensors, mixed as torch mixes them.

    A view for ints, slices, None and ...; a copy for masks and arrays. Repeated indices add up in the
    gradient. IndexError names index and shape.
    """
    rows = index.array if isinstance(index, Tensor) else index
    if type(rows) is np.ndarray and rows.ndim and rows.dtype.kind in "ib":  # the embedding lookup, at once
        y = _index(ops.Index, input, (rows,))
        return y if rows is index else watch_too(y, (index,))
    basic, advanced = plan(input, index)
    if basic is not None:
        input = _index(ops.Slice, input, basic)
    if advanced is None:
        return input
    y = _index(ops.Index, input, advanced)
    if y._node is not None and type(index) is not np.ndarray:
        watch_too(y, index if type(index) is tuple or type(index) is list else (index,))
    return y


def _index(op: type[ops.Op], x: Tensor, index: tuple[Any, ...]) -> Tensor:
    try:
        return apply_unary(op, x, {"index": index})
    except IndexError as error:
        huge = [i for i in index if type(i) is int and not -(2**63) <= i < 2**63]
        why = f"index {huge[0]} is out of bounds" if huge else error
        raise IndexError(f"indexing a Tensor of shape {x.array.shape}: {why}") from None


def plan(x: Tensor, index: Any) -> tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]:
    """The index in two steps, either of which may be None: basic (a view), then advanced (a copy)."""
    if type(index) is list and any([_stands_alone(item) for item in index]):
        index = tuple(index)  # numpy's old rule, which torch keeps: x[[i, j]] of Tensors or lists is x[i, j]
    items = index if type(index) is tuple else (index,)
    found, arrays, ints = [], False, False
    for item in items:
        if isinstance(item, (Tensor, np.ndarray, list, range)):
            item = _array(item)
            if type(item) is int:
                ints = True
            else:
                arrays = True
        elif isinstance(item, slice):
            try:
                item = slice(*[None if part is None else index_of(part) for part in (item.start, item.stop, item.step)])
            except TypeError:
                raise TypeError(f"a slice is made of ints or None, got {item!r}") from None
            if item.step is not None and item.step < 1:
                raise ValueError(f"a slice with step {item.step}: steps must be at least 1, use flip() to go backward")
        elif isinstance(item, (bool, np.bool_)):
            item, arrays = np.asarray(item), True
        elif item is not None and item is not Ellipsis:
            if not hasattr(item, "__index__"):
                raise IndexError(
                    f"a Tensor is indexed by ints, slices, None, ..., masks and integer arrays, not {item!r}"
                )
            item, ints = item.__index__(), True
        found.append(item)
    if not arrays:
        if not any(item is Ellipsis for item in found):
            found.append(Ellipsis)  # keeps a 0-d result a view of x
        return tuple(found), None
    # An ellipsis that stands for no dimension separates no arrays: in numpy it would.
    taking = [i for i in found if i is not None and i is not Ellipsis]
    if sum([i.ndim if isinstance(i, np.ndarray) and i.dtype.kind == "b" else 1 for i in taking]) == x.ndim:
        found = [item for item in found if item is not Ellipsis]
    if not ints:
        return None, tuple(found)
    # torch takes ints off first, so that x[0, :, [1, 2]] has its dimensions in the order in which they stand.
    basic: list[Any] = []
    for item in found:
        if isinstance(item, np.ndarray):
            basic += [slice(None)] * (item.ndim if item.dtype.kind == "b" else 1)
        else:
            basic += [] if item is None else [item]
    rest = [slice(None) if isinstance(item, slice) else item for item in found if type(item) is not int]
    if not any(item is Ellipsis for item in basic):
        basic.append(Ellipsis)
    return tuple(basic), tuple(rest)


def _stands_alone(item: Any) -> bool:
    """Whether this, in a list, makes the list an index for several dimensions."""
    return item is None or item is Ellipsis or isinstance(item, (Tensor, np.ndarray, list, tuple, range, slice))


def _array(item: Any) -> Any:
    """An index array from a Tensor, array, list or range; an int where it is 0-d and integer."""
    if isinstance(item, list):
        try:
            array = np.array([x.array if isinstance(x, Tensor) else x for x in item])
        except ValueError as error:
            raise IndexError(f"an index list is made of ints, got {brief(item)}: {error}") from None
        if not array.size:
            array = array.astype(np.int64)
    elif isinstance(item, range) and (not item or (item.start == 0 and item.step == 1)):
        array = row_numbers(len(item))
    else:
        array = as_array(item.array if isinstance(item, Tensor) else item)
    if array.dtype.kind not in "iub" or array.dtype == np.uint8:
        fix = "compare it to make a mask, or convert with .long()"
        raise IndexError(f"an index array must be integer (not uint8) or bool, got {array.dtype} {brief(item)}: {fix}")
    return int(array) if not array.ndim and array.dtype.kind != "b" else array


def setitem(tensor: Tensor, index: Any, value: Any) -> None:
    """x[index] = value, in place; value broadcasts. Recorded: x becomes the result, the value gets its gradient.

    RuntimeError for a leaf that requires grad (outside no_grad) and a shape that does not fit, with nothing changed.
    """
    basic, advanced = plan(tensor, index)
    if isinstance(value, (bool, int, float)):
        value = wrap(dtypes.scalar(value, tensor.dtype))
    value = as_tensor(value, "x[index] = value")
    found = (basic or ()) if advanced is None else advanced
    if basic is not None and advanced is not None:
        # Both steps as one index: a view of the view takes the advanced one.
        return setitem(_index(ops.Slice, tensor, basic), advanced, value)
    try:
        array = tensor.array  # of no elements: the rule sees to it that numpy 1.26 checks the index
        target = (array[found] if array.size else ops.Index.forward(array, index=found)).shape
    except IndexError as error:
        raise IndexError(f"indexing a Tensor of shape {tensor.array.shape}: {error}") from None
    while value.ndim > len(target) and value.shape[0] == 1:
        value = value.squeeze(0)
    if np.broadcast_shapes(target, value.shape) != target if _fits(target, value.shape) else True:
        raise RuntimeError(f"a value of shape {value.array.shape} cannot be put where index gives shape {target}")
    if not _recording.get() or not (tensor.requires_grad or value.requires_grad):
        _refuse = _recording.get() and tensor._view is not None
        if not _refuse or not tensor._view.base._requires_grad:  # type: ignore[union-attr]
            write(tensor, value.array, "[]=", found)
            return
    items = index if type(index) is tuple else (index,)
    update(tensor, "[]=", lambda x: watch_too(apply(ops.SetItem, x, value.to(x.dtype), index=found), items))


def _fits(target: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(target, shape)
    except ValueError:
        return False
    return True


def _whole(index: Any, name: str) -> np.ndarray:
    index = as_tensor(index, name)
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"{name} needs an integer index, got {index.dtype}: convert with .long()")
    return index.array


def _grid(x: Tensor, dim: int, index: Any, name: str) -> tuple[Any, ...]:
    """The numpy index of gather and scatter; checked: as many dimensions as x, no larger, values in 0..n-1."""
    array = _whole(index, name)
    at = one_dim(dim, x.ndim)
    if array.ndim != x.ndim:
        raise RuntimeError(
            f"{name}: the index has shape {array.shape}, the Tensor {x.array.shape}: they need as many dimensions"
        )
    if any(i != at and array.shape[i] > x.shape[i] for i in range(x.ndim)):
        raise RuntimeError(
            f"{name}: an index of shape {array.shape} is larger than the Tensor of shape {x.array.shape}"
        )
    _in_range(array, x.shape[at] if x.ndim else 1, name, at, RuntimeError)
    return ops.grid(array, at) if x.ndim else ()


def _in_range(index: np.ndarray, n: int, name: str, dim: int, error: type[Exception] = IndexError) -> None:
    if index.size and (index.min() < 0 or index.max() >= n):
        bad = index[(index < 0) | (index >= n)].flat[0] if index.ndim else index
        raise error(f"{name}: index {bad} is out of bounds for dimension {dim} with size {n}")


def gather(input: Any, dim: int, index: Any) -> Tensor:
    """y[i][j] = x[i][index[i][j]] (for dim 1): the index's shape. Source: torch.gather."""
    x = as_tensor(input, "gather")
    return watch_too(apply(ops.Gather, x, index=_grid(x, dim, index, "gather")), (index,))


def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """y = the rows of x at these places along dim (index 1-d, from 0). Source: torch.index_select."""
    x = as_tensor(input, "index_select")
    if not x.array.ndim:  # of a number it takes that, by a single 0
        rows = index_select(x.reshape(1), dim, index)
        if rows.array.size != 1:
            raise RuntimeError(f"index_select: a Tensor without dimensions takes one index, got {rows.array.size}")
        return rows.reshape(())
    return watch_too(apply(ops.Index, x, index=_rows(x, dim, index, "index_select")), (index,))


def _rows(x: Tensor, dim: int, index: Any, name: str) -> tuple[Any, ...]:
    at, array = one_dim(dim, x.ndim), np.atleast_1d(_whole(index, name))
    if array.ndim > 1:
        raise IndexError(f"{name} needs an index of one dimension, got shape {array.shape}")
    _in_range(array, x.shape[at] if x.ndim else 1, name, at)
    return (slice(None),) * at + (array,)


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
    """y = x with alpha * source[i] added to row index[i] along dim, repeats added up. Source: torch.index_add."""
    x, source = as_tensor(input, "index_add"), as_tensor(source, "index_add")
    rows = _rows(x, dim, index, "index_add")
    want = (*x.shape[: len(rows) - 1], len(rows[-1]), *x.shape[len(rows) :])
    _same_dtype(x, source, "index_add")
    if source.shape != want:
        raise RuntimeError(
            f"index_add: source has shape {source.array.shape}, for x {x.array.shape} and this index it must be {want}"
        )
    return watch_too(apply(ops.IndexAdd, x, source if alpha == 1 else source * alpha, index=rows), (index,))


def _same_dtype(x: Tensor, source: Any, name: str) -> None:
    if isinstance(source, Tensor) and source.dtype is not x.dtype:
        raise RuntimeError(f"{name}: a source of {source.dtype} cannot go into {x.dtype}: convert it with .to(x.dtype)")


def _part(src: Any, shape: tuple[int, ...], name: str) -> Any:
    """The part of src that an index of this shape takes."""
    if not isinstance(src, Tensor):
        return src
    if src.ndim != len(shape) or any(have < need for have, need in zip(src.shape, shape, strict=True)):
        raise RuntimeError(f"{name}: src of shape {src.array.shape} is smaller than the index of shape {tuple(shape)}")
    return src if src.shape == shape else src[tuple([slice(n) for n in shape])]


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """y = x with y[i][index[i][j]] += src[i][j] (for dim 1), repeats added up. Source: torch.scatter_add."""
    x = as_tensor(input, "scatter_add")
    places = _grid(x, dim, index, "scatter_add")
    src = _part(as_tensor(src, "scatter_add"), as_tensor(index).shape, "scatter_add")
    _same_dtype(x, src, "scatter_add")
    return watch_too(apply(ops.IndexAdd, x, src, index=places), (index,))


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Tensor:
    """y = x with y[i][index[i][j]] = src[i][j] (for dim 1) or value; the last repeat stands. Source: torch.scatter."""
    x = as_tensor(input, "scatter")
    places = _grid(x, dim, index, "scatter")
    src = _part(value if src is None else src, as_tensor(index).shape, "scatter")
    _same_dtype(x, src, "scatter")
    return watch_too(apply(ops.SetItem, x, src, index=places), (index,))


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0: (n, ndim) int64, or ndim vectors. Source: torch.nonzero."""
    x = as_tensor(input, "nonzero")
    found = np.nonzero(np.atleast_1d(x.array))
    if as_tuple:
        return tuple([wrap(i) for i in found])
    found = found[: x.ndim]
    count = int(np.count_nonzero(x.array))
    return wrap(np.stack(found, axis=1) if found else np.zeros((count, 0), np.int64))


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """int64 zeros with a 1 at each class: int64 (...,) -> (..., num_classes); the number of classes is found if -1.

    Source: torch.nn.functional.one_hot.
    """
    classes = _whole(tensor, "one_hot")
    if classes.dtype != dtypes.int64:
        raise RuntimeError(f"one_hot takes classes of int64, got {classes.dtype}: convert with .long()")
    n = int(classes.max()) + 1 if num_classes == -1 and classes.size else num_classes
    if n <= 0 or (classes.size and (classes.min() < 0 or classes.max() >= n)):
        found = f"got {classes.min()} to {classes.max()}" if classes.size else "there are none to count"
        raise RuntimeError(f"one_hot: classes must be in 0..num_classes - 1, num_classes={num_classes}, {found}")
    return wrap((classes[..., None] == np.arange(n)).astype(dtypes.int64))
