"""Data types: the eight that a Tensor can have, and torch's rules for mixing them.

Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html (type promotion).
"""

from __future__ import annotations

from reprlib import repr as brief
from typing import Any

import numpy as np

dtype = np.dtype  # torch.dtype: what all of these are

float32: np.dtype[np.float32] = np.dtype(np.float32)
float64: np.dtype[np.float64] = np.dtype(np.float64)
int8: np.dtype[np.int8] = np.dtype(np.int8)
int16: np.dtype[np.int16] = np.dtype(np.int16)
int32: np.dtype[np.int32] = np.dtype(np.int32)
int64: np.dtype[np.int64] = np.dtype(np.int64)
uint8: np.dtype[np.uint8] = np.dtype(np.uint8)
bool_: np.dtype[np.bool_] = np.dtype(np.bool_)
float_, double, short, int_, long = float32, float64, int16, int32, int64

SUPPORTED: frozenset[np.dtype[Any]] = frozenset((float32, float64, int8, int16, int32, int64, uint8, bool_))

_default: np.dtype[Any] = float32


def get_default_dtype() -> np.dtype[Any]:
    """The dtype that Python floats become: float32 unless set otherwise."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Make float32 or float64 the dtype that Python floats become. Raises TypeError for any other."""
    global _default
    dtype = np.dtype(dtype)
    if dtype not in (float32, float64):
        raise TypeError(f"set_default_dtype takes float32 or float64, not {dtype}")
    _default = dtype


def check(dtype: Any) -> np.dtype[Any]:
    """The numpy dtype meant by *dtype*; TypeError if unsupported.

    A dtype, its name, or Python's float, int, bool, which are float64, int64, bool.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{dtype!r} is no dtype; use one of {_names()}") from None
    for known in SUPPORTED:
        if found == known:
            return known  # the singleton, so that dtypes can be compared by identity
    raise TypeError(f"dtype {found} is not supported; use one of {_names()}")


def _names() -> str:
    return ", ".join(sorted(str(d) for d in SUPPORTED))


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether the dtype can carry a gradient."""
    return dtype.kind == "f"


def category(dtype: np.dtype[Any]) -> int:
    """0 bool, 1 int, 2 float: what is of a lower one can be put into what is of a higher."""
    return 2 if dtype.kind == "f" else 0 if dtype.kind == "b" else 1


def promote_types(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that both become when two arrays meet; unlike numpy's, an int never widens a float."""
    if a is b:
        return a
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    return np.promote_types(a, b)


def result_type(*operands: Any) -> np.dtype[Any]:
    """The dtype of an operation on arrays and Python scalars, as torch decides it.

    Arrays with dimensions come first, then 0-d arrays, then Python scalars: a later one changes the result
    only where it is of a higher category (bool < int < float).
    """
    ranks: list[np.dtype[Any] | None] = [None, None, None]
    for x in operands:
        if not hasattr(x, "dtype"):  # np.float64 is a float too, but says its dtype
            rank, found = 2, bool_ if isinstance(x, bool) else int64 if isinstance(x, int) else _default
        else:
            rank, found = (0 if x.ndim else 1), x.dtype
        held = ranks[rank]
        ranks[rank] = found if held is None else promote_types(held, found)
    result: np.dtype[Any] | None = None
    for dtype in ranks:
        if dtype is not None and (result is None or category(dtype) > category(result)):
            result = dtype
    if result is None:
        raise TypeError("result_type needs at least one operand")
    return result


def promoted(kind: str, arrays: list[Any]) -> list[Any]:
    """The operands in the one dtype that torch's promotion gives them; Python numbers may stay what they are."""
    if len(arrays) == 2:
        x, y = arrays
        if type(x) not in _ARRAYS or x.dtype.kind != "f":
            number_first = (type(x) is float or type(x) is int) and kind != "numbers"  # 2 ** x takes the log of the 2
            if number_first and type(y) in _ARRAYS and y.dtype.kind == "f":
                return arrays
        elif type(y) is float or type(y) is int or (type(y) in _ARRAYS and x.dtype is y.dtype):
            return arrays
    elif len(arrays) == 1 and arrays[0].dtype.kind == "f":
        return arrays
    first = 1 if kind == "branches" else 0
    dtype = result_type(*[x for x in arrays[first:] if x is not None])
    if kind == "float" and dtype.kind != "f":
        dtype = _default
    if kind == "numbers" and dtype.kind == "b":
        raise NotImplementedError("this op is not defined for bools: make them numbers with .long() or .float()")
    return arrays[:first] + [x if x is None else _cast(x, dtype) for x in arrays[first:]]


def _cast(x: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(x, (np.ndarray, np.generic)):
        return x.astype(dtype, copy=False)
    # A Python int beyond a small dtype wraps round, as in torch; numpy alone would raise.
    try:
        return dtype.type(x) if dtype.kind == "f" else np.asarray(x, np.int64).astype(dtype)[()]
    except OverflowError:
        raise OverflowError(f"{brief(x)} is past what {dtype} and int64 can hold") from None


def scalar(value: Any, dtype: np.dtype[Any]) -> Any:
    """A Python number in this dtype; RuntimeError if that cannot hold it (-1 in uint8 wraps, as in torch)."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        if not (info.min or -info.max) <= value <= info.max:  # nan is refused too
            raise RuntimeError(f"{value} cannot be put into {dtype}, which holds {info.min} to {info.max}")
        return np.asarray(int(value)).astype(dtype)[()]
    return dtype.type(value)


# torch's names of Tensors of each dtype, as type() gives and takes them.
TYPES = {
    "torch.FloatTensor": float32, "torch.DoubleTensor": float64, "torch.CharTensor": int8, "torch.ShortTensor": int16,
    "torch.IntTensor": int32, "torch.LongTensor": int64, "torch.ByteTensor": uint8, "torch.BoolTensor": bool_,
}  # fmt: skip
TYPE_OF = {dtype: name for name, dtype in TYPES.items()}

_ARRAYS = frozenset((np.ndarray, np.float32, np.float64))
