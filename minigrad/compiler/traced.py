"""Traced: an array that writes down what numpy does with it, while it does it.

A step is captured by running it once on these in place of its arrays. Each numpy call, operator and method is carried
out on the values, as it always is, and noted in the capture. What would take a value out of the capture, where a
later run could not follow (a Python number, a truth value, a plain ndarray), ends the capture with its reason; the step
itself goes on with that value, and its result is right.

It is no subclass of ndarray: numpy would unwrap one in places without a word (np.asarray), and a captured step would
repeat an old value. But isinstance says ndarray, so that code which looks for one finds it.
"""

from __future__ import annotations

import gc
import operator
import weakref
from collections import deque
from collections.abc import Iterator
from types import CellType, FrameType, MemberDescriptorType
from typing import Any

import numpy as np

from ..graph import Node
from ..tensor import Tensor, View


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
        return np.asarray(self.value, dtype=dtype) if copy is None else np.array(self.value, dtype=dtype, copy=copy)

    def __bool__(self) -> bool:
        return self.capture.decide(self)

    def taken_from(self, table: np.ndarray, index: Any = None) -> Any:
        """table[self], or [index] with this in it, for a plain array, which would not ask this one."""
        return self.capture.taken(table, self if index is None else index)

    def through(self, function: Any) -> Any:
        """function(self), element by element: one call in a replay, with an array for the result."""
        return self.capture.ufunc(function, "__call__", (self,), {})

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
        self.capture.escape(
            "takes the values of a Tensor out as a numpy array"
            if name.startswith("__array")
            else f"uses .{name} of an array"
        )
        return found


class Number:
    """A Python number that each replay works out anew, such as a learning rate: an operand for numpy.

    Whatever Python does with it ends the capture; it is a number like any other then.
    """

    __slots__ = ("_place", "capture", "source", "value")

    def __init__(self, value: Any, place: Any, capture: Any, source: Any = None) -> None:
        self.value, self.capture, self.source = (
            value,
            capture,
            source,
        )  # source: (dict, key), for one that is read there
        self._place = place

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self.value)

    @property
    def place(self) -> Any:
        """Where a replay has it."""
        if self._place is None:
            self._place = self.capture.read(self)
        return self._place

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.capture.ufunc(ufunc, method, inputs, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(_taken(self), dtype=dtype)

    def __reduce__(self) -> Any:
        return _same, (_taken(self),)

    def __deepcopy__(self, memo: Any) -> Any:
        return _taken(self)

    def __copy__(self) -> Any:
        return _taken(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(_taken(self), name)


def _taken(x: Any) -> Any:
    """The plain number, which no replay can follow from here on."""
    if type(x) is not Number:
        return x
    x.capture.escape("uses a setting of the optimizer as a Python number")
    return x.value


def _same(x: Any) -> Any:
    return x


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


def _number(name: str) -> None:
    def method(self: Number, *others: Any) -> Any:
        if any(type(x) is Traced or isinstance(x, np.ndarray) for x in others):
            return NotImplemented
        return getattr(_taken(self), name)(*[_taken(x) for x in others])

    setattr(Number, name, method)


for _name in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "radd", "rsub", "rmul", "rtruediv", "rfloordiv",
    "rmod", "rdivmod", "rpow", "neg", "pos", "abs", "int", "float", "complex", "index", "bool", "round", "trunc",
    "floor", "ceil", "eq", "ne", "lt", "le", "gt", "ge", "hash", "repr", "str", "format",
):  # fmt: skip
    _number(f"__{_name}__")
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


# ------------------------------------------------------------------------------------- plain arrays again


def plain(x: Any) -> Any:
    """A result without traces: lists and dicts are the same ones, tuples only where nothing in them was traced."""
    kind = type(x)
    if kind is Traced or kind is Number:
        return x.value
    if isinstance(x, tuple):
        items = [plain(item) for item in x]
        if all(a is b for a, b in zip(items, x, strict=True)):
            return x
        return kind(*items) if hasattr(x, "_fields") else kind(items)
    if kind is list or kind is dict:
        for key, item in enumerate(x) if kind is list else list(x.items()):
            if (new := plain(item)) is not item:
                x[key] = new
    return x


def concrete(left: list[Any]) -> dict[int, Any]:
    """Put plain arrays into all Tensors, Nodes and Views that still hold traced ones after a capture.

    Returns, by the id of each Tensor that lives on, where its values lie: its Place, or Local. Into *left* go weak
    references to the traced arrays that are still there.
    """
    places: dict[int, Any] = {}
    for x in gc.get_objects():
        kind = type(x)
        if kind is Node:  # which another thread may be making just now
            if getattr(x, "saved", None) is not None:
                x.saved = plain(x.saved)
            if getattr(x, "settings", None):
                x.settings = plain(x.settings)
        elif kind is View:
            if isinstance(getattr(x, "chain", None), list):
                x.chain = plain(x.chain)
        elif kind is Traced:
            left.append(weakref.ref(x))
        elif isinstance(kind, type) and issubclass(kind, Tensor) and type(getattr(x, "array", None)) is Traced:
            places[id(x)] = x.array.place
            x.array = x.array.value
    return places


def give_back(things: list[Any]) -> None:
    """Put the plain values in wherever the user's own lists, dicts and objects hold these traced ones."""
    for x in things:
        for holder in gc.get_referrers(x):
            if holder is not things:
                _exchange(holder, x, x.value)


def _exchange(holder: Any, old: Any, new: Any) -> None:
    kind = type(holder)
    if isinstance(holder, (list, deque)):
        for i, item in enumerate(holder):
            if item is old:
                holder[i] = new
    elif isinstance(holder, dict):
        for key, item in list(holder.items()):
            if item is old:
                holder[key] = new
    elif kind is CellType:
        holder.cell_contents = new
    elif isinstance(holder, tuple):
        again = [new if item is old else item for item in holder]
        made = kind(*again) if hasattr(holder, "_fields") else kind(again)
        for one in gc.get_referrers(holder):
            if not isinstance(one, FrameType):
                _exchange(one, holder, made)
    elif not isinstance(holder, (FrameType, Traced, type)):
        for cls in kind.__mro__:
            for key, slot in vars(cls).items():
                if type(slot) is MemberDescriptorType and getattr(holder, key, None) is old:
                    slot.__set__(holder, new)
        held = getattr(holder, "__dict__", None)  # Python keeps the attributes without a dict until it is asked for
        if type(held) is dict:
            _exchange(held, old, new)
