"""Data from outside -> arrays in the dtypes that a Tensor can have."""

from __future__ import annotations

from functools import lru_cache
from reprlib import repr as brief
from typing import Any

import numpy as np

from . import dtypes

_DEEPEST = 64  # numpy's own limit


def as_array(x: Any) -> Any:
    """x as an ndarray, memory shared; a value under capture (minigrad.compile) stays one."""
    if isinstance(x, np.ndarray):
        return x
    return x.to_array() if hasattr(type(x), "to_array") else np.asarray(x)


def root(x: np.ndarray) -> np.ndarray:
    """The array that owns the memory."""
    while True:
        base = x.base
        if base is None:
            return x
        if type(base) is not np.ndarray:
            base = getattr(base, "base", None)  # what as_strided puts between
            if type(base) is not np.ndarray:
                return x
        x = base


def with_own_dtype(array: Any) -> Any:
    """The array, memory shared, with the one dtype object that numpy has of its kind: pickled arrays bring another."""
    dtype = np.dtype(array.dtype.str)
    return array if array.dtype is dtype else array.view(dtype)


def take_rows(table: np.ndarray, rows: Any) -> Any:
    """table[rows]; rows may be a value under capture."""
    if type(rows) is not np.ndarray and hasattr(type(rows), "taken_from"):
        return rows.taken_from(table)
    return table.take(rows, axis=0)


def take_index(table: np.ndarray, index: tuple[Any, ...]) -> Any:
    """table[index]; there may be values under capture in the index."""
    traced = [i for i in index if hasattr(type(i), "taken_from")]
    return traced[0].taken_from(table, index) if traced else table[index]


def zeros(shape: tuple[int, ...], like: Any) -> Any:
    """Zeros of *like*'s dtype, row by row in memory; a replay of a captured step makes them anew."""
    return np.zeros(shape, like.dtype) if type(like) is np.ndarray else np.zeros_like(like, shape=shape, order="C")


def shaped(x: Any, shape: tuple[int, ...]) -> Any:
    """x, or a view of it where it has another shape: a gradient that is a view is copied when it reaches a leaf."""
    return x if x.shape == shape else x.reshape(shape)


def filled(shape: tuple[int, ...], y: Any, op: Any) -> Any:
    """y broadcast to an array of its own, which lies row by row in memory; a Tensor by that op."""
    if issubclass(type(y), np.generic):  # not isinstance: a value under capture says it is one
        out = np.empty(shape, y.dtype)
        out.fill(y)
        return out
    if type(y) is np.ndarray:
        out = np.empty(shape, y.dtype)
    elif hasattr(type(y), "_apply"):
        return op.apply(y, shape=shape)
    else:
        out = np.empty_like(y, shape=shape, order="C")  # which a replay of a captured step makes anew
    out[...] = y
    return out


def row_places(rows: int, size: int) -> np.ndarray:
    """Where the elements of each of so many rows of a size stand in memory, (rows, size)."""
    return _few_row_places(rows, size) if rows * size <= 8192 else _row_places(rows, size)


def _row_places(rows: int, size: int) -> np.ndarray:
    return _count(rows * size).reshape(rows, size)


def row_numbers(n: int) -> np.ndarray:
    """0 to n - 1; few are made once."""
    return _few_row_numbers(n) if n <= 8192 else _count(n)


def _count(n: int) -> np.ndarray:
    numbers = np.arange(n)
    numbers.flags.writeable = False
    return numbers


_few_row_places, _few_row_numbers = lru_cache(64)(_row_places), lru_cache(64)(_count)


def to_array(data: Any, dtype: Any) -> np.ndarray:
    """A new array of these data, in torch's dtype for them. Errors as Tensor says."""
    if dtype is not None:
        dtype = dtypes.check(dtype)
    if hasattr(type(data), "_apply"):  # a Tensor
        array = as_array(data.array)
        return array.copy() if dtype is None else array.astype(dtype)
    if isinstance(data, (np.ndarray, np.generic)):
        if dtype is None or data.dtype.kind not in "fiub":  # a cast would drop the imaginary part, or read a text
            dtypes.check(data.dtype)
        return with_own_dtype(np.array(data, dtype=dtype or data.dtype))
    plain = _plain(data)
    try:
        array = np.array(plain)
    except ValueError as error:
        raise ValueError(f"a Tensor needs lists of equal length at each depth: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"a Tensor is made of numbers or bools, got {_kind(data)}"
            + (" (an integer past 64 bits?)" if array.dtype.kind == "O" and isinstance(data, int) else "")
        )
    if dtype is not None and dtype.kind in "iu" and array.dtype.kind in "fiu" and array.size:
        for extreme in (array.min(), array.max()):  # nan where there is one
            dtypes.scalar(extreme.item(), dtype)  # refuses what does not fit
    if dtype is None:
        floats = array.dtype.kind == "f" or not array.size
        dtype = dtypes.check(array.dtype) if not floats or _says_float64(data) else dtypes.get_default_dtype()
    return array.astype(dtype, copy=False)


def _plain(data: Any, depth: int = 0) -> Any:
    """Nested lists with the Tensors in them, of one element each, as 0-d arrays. ValueError where they go too deep."""
    if hasattr(type(data), "_apply"):
        if data.array.size != 1:
            raise ValueError(f"in a list a Tensor is one number, this one has shape {data.array.shape}: use stack()")
        return data.array.reshape(())
    if isinstance(data, (list, tuple)):
        if depth >= _DEEPEST:
            raise ValueError(
                f"a Tensor has at most {_DEEPEST} dimensions, these lists go deeper or hold themselves: {brief(data)}"
            )
        return [_plain(x, depth + 1) for x in data]
    if isinstance(data, range):
        return list(data)
    return data


def _says_float64(data: Any) -> bool:
    """Whether something in the nested lists has that dtype: Python's floats, which are as long, have none."""
    if isinstance(data, (list, tuple)):
        return any(map(_says_float64, data))
    return bool(getattr(data, "dtype", None) == np.float64)


def _kind(data: Any) -> str:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return f"{type(data).__name__} {str(data)[:40]!r}"
