"""Traced: an array that writes down what numpy does with it, while it does it.

A step is captured by running it once on these in place of its arrays. Each numpy call, operator and method is carried
out on the values, as it always is, and noted in the capture. What would take a value out of the capture, where a
later run could not follow (a Python number, a truth value, a plain ndarray), ends the capture with its reason; the step
itself goes on with that value, and its result is right.

It is no subclass of ndarray: numpy would unwrap one in places without a word (np.asarray), and a captured step would
repeat an old value. But isinstance says ndarray, so that code which looks for one finds it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np


class Traced:
    """A value of a step under capture: `value`, an ndarray or numpy scalar, and `place`, where a replay has it."""

    __slots__ = ("__weakref__", "base", "capture", "place", "value")
    __hash__ = object.__hash__

    def __init__(self, value: Any, place: Any, capture: Any, base: Any = None) -> None:
        self.value, self.place, self.capture, self.base = value, place, capture, base

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self.value)

    # ------------------------------------------------------------------ what a replay has too

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    strides = property(lambda self: self.value.strides)
    itemsize = property(lambda self: self.value.itemsize)
    nbytes = property(lambda self: self.value.nbytes)
    flags = property(lambda self: self.value.flags)
    T = property(lambda self: self.transpose())

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self.value))])

    # ------------------------------------------------------------------------- numpy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.capture.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.capture.function(function, args, kwargs)

    # ------------------------------------------------------------------------------- methods

    def __getitem__(self, index: Any) -> Any:
        return self.capture.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.capture.setitem(self, index, value)

    def astype(self, dtype: Any, copy: bool = True, **more: Any) -> Any:
        return self.capture.method(self, "astype", (dtype,), {"copy": copy, **more})

    def view(self, *args: Any) -> Any:
        return self.capture.method(self, "view", args, {})

    # --------------------------------------------------- what leaves the capture, with its reason

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self.capture.escape("takes the values of a Tensor out as a numpy array")
        return np.array(self.value, dtype=dtype, copy=copy)

    def __bool__(self) -> bool:
        return self.capture.decide(self)

    def taken_from(self, table: np.ndarray) -> Any:
        """table[self], for a plain array, which would not ask this one."""
        return self.capture.taken(table, self)

    def to_array(self) -> Any:
        """A numpy scalar as a 0-d array."""
        return self.capture.lifted(self)

    def __float__(self) -> float:
        self.capture.escape("takes the value of a Tensor out as a Python number")
        return float(self.value)

    def __int__(self) -> int:
        self.capture.escape("takes the value of a Tensor out as a Python number")
        return int(self.value)

    __index__ = __int__

    def __complex__(self) -> complex:
        return complex(float(self))

    def item(self, *args: Any) -> Any:
        self.capture.escape("takes the value of a Tensor out as a Python number with .item()")
        return self.value.item(*args)

    def tolist(self) -> Any:
        self.capture.escape("takes the values of a Tensor out as a list")
        return self.value.tolist()

    def __repr__(self) -> str:
        self.capture.escape("prints a Tensor")
        return repr(self.value)

    def __format__(self, spec: str) -> str:
        self.capture.escape("prints a Tensor")
        return format(self.value, spec)

    def __reduce__(self) -> Any:
        self.capture.escape("copies or pickles a Tensor")
        return self.value.__reduce__()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __getattr__(self, name: str) -> Any:
        if name in ("__array_struct__", "__array_interface__"):  # numpy goes on to ask for __array__
            raise AttributeError(name)
        found = getattr(self.value, name)  # whatever else an ndarray has
        self.capture.escape(f"uses .{name} of an array")
        return found


class Number:
    """A Python number that each replay works out anew, such as a learning rate: an operand for numpy, nothing else."""

    __slots__ = ("capture", "place", "value")

    def __init__(self, value: float, place: Any, capture: Any) -> None:
        self.value, self.place, self.capture = value, place, capture

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.capture.ufunc(ufunc, method, inputs, kwargs)

    def __float__(self) -> float:
        self.capture.escape("uses a setting of the optimizer as a Python number")
        return float(self.value)


def _rows(*rows: tuple[str, Any, Any]) -> tuple[tuple[str, Any, Any], ...]:
    return rows


def _binary(name: str, function: Any, ufunc: Any) -> None:
    def forward(self: Traced, other: Any) -> Any:
        if _stranger(other):
            return NotImplemented
        return self.capture.operator(function, ufunc, (self, other))

    def backward(self: Traced, other: Any) -> Any:
        if _stranger(other):
            return NotImplemented
        return self.capture.operator(function, ufunc, (other, self))

    def inplace(self: Traced, other: Any) -> Any:
        if type(self.value) is not np.ndarray:
            return forward(self, other)
        return self.capture.ufunc(ufunc, "__call__", (self, other), {"out": (self,)})

    setattr(Traced, f"__{name}__", forward)
    setattr(Traced, f"__r{name}__", backward)
    setattr(Traced, f"__i{name}__", inplace)


def _stranger(other: Any) -> bool:
    """Whether the operand has operators of its own that come first, as a Tensor has."""
    return type(other) not in (Traced, Number) and getattr(type(other), "__array_ufunc__", None) not in (
        None,
        np.ndarray.__array_ufunc__,
    )


def _compare(name: str, function: Any, ufunc: Any) -> None:
    def compare(self: Traced, other: Any) -> Any:
        return self.capture.operator(function, ufunc, (self, other))

    setattr(Traced, f"__{name}__", compare)


def _unary(name: str, function: Any, ufunc: Any) -> None:
    def unary(self: Traced) -> Any:
        return self.capture.operator(function, ufunc, (self,))

    setattr(Traced, f"__{name}__", unary)


def _method(name: str) -> None:
    def method(self: Traced, *args: Any, **kwargs: Any) -> Any:
        return self.capture.method(self, name, args, kwargs)

    setattr(Traced, name, method)


for _name, _function, _ufunc in _rows(
    ("add", operator.add, np.add), ("sub", operator.sub, np.subtract), ("mul", operator.mul, np.multiply),
    ("truediv", operator.truediv, np.divide), ("floordiv", operator.floordiv, np.floor_divide),
    ("mod", operator.mod, np.remainder), ("pow", operator.pow, np.power), ("matmul", operator.matmul, np.matmul),
    ("and", operator.and_, np.bitwise_and), ("or", operator.or_, np.bitwise_or), ("xor", operator.xor, np.bitwise_xor),
    ("lshift", operator.lshift, np.left_shift), ("rshift", operator.rshift, np.right_shift),
):  # fmt: skip
    _binary(_name, _function, _ufunc)
for _name, _function, _ufunc in _rows(
    ("eq", operator.eq, np.equal), ("ne", operator.ne, np.not_equal), ("lt", operator.lt, np.less),
    ("le", operator.le, np.less_equal), ("gt", operator.gt, np.greater), ("ge", operator.ge, np.greater_equal),
):  # fmt: skip
    _compare(_name, _function, _ufunc)
for _name, _function, _ufunc in _rows(
    ("neg", operator.neg, np.negative), ("pos", operator.pos, np.positive), ("abs", operator.abs, np.absolute),
    ("invert", operator.invert, np.invert),
):  # fmt: skip
    _unary(_name, _function, _ufunc)
for _name in (
    "sum", "prod", "mean", "max", "min", "any", "all", "argmax", "argmin", "cumsum", "cumprod", "round", "clip",
    "reshape", "ravel", "flatten", "transpose", "swapaxes", "squeeze", "copy", "take", "repeat", "diagonal", "trace",
    "dot", "argsort", "var", "std", "fill", "conj",
):  # fmt: skip
    _method(_name)
