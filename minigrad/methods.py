"""What a Tensor can do: operators, methods and changes in place, each a spelling of a function.

Tensor itself (tensor.py) knows arrays and nodes only; this table gives it its vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from . import creation, devices, dtypes, filling, functions as F, ops
from .functions.elementwise import operand
from .inplace import update
from .names import ALIASES, INSTEAD, missing
from .record import apply, apply_unary, binary
from .tensor import Tensor


def _operator(op: type[ops.Op], reflected: bool = False) -> Callable[[Tensor, Any], Any]:
    def otherwise(self: Tensor, other: Any) -> Any:
        if (other := operand(other)) is NotImplemented:
            return NotImplemented
        return apply(op, other, self) if reflected else apply(op, self, other)

    return binary(op, otherwise, reflected)


def _checked(op: type[ops.Op], function: Callable[..., Any], reflected: bool = False) -> Callable[[Tensor, Any], Any]:
    """An operator that needs more than its rule, unless both sides are plain: it goes through the function."""

    def otherwise(self: Tensor, other: Any) -> Any:
        if (other := operand(other)) is NotImplemented:
            return NotImplemented
        return function(other, self) if reflected else function(self, other)

    return binary(op, otherwise, reflected)


def _pow(self: Tensor, other: Any) -> Any:
    if (type(other) is int or type(other) is float) and self.array.dtype.kind == "f":
        return apply_unary(ops.PowScalar, self, {"n": other})
    return NotImplemented if (other := operand(other)) is NotImplemented else F.pow(self, other)


OPERATORS: dict[str, Any] = {
    "add": ops.Add,
    "sub": (ops.Sub, F.sub),
    "mul": ops.Mul,
    "truediv": ops.Div,
    "pow": (ops.Pow, F.pow),
    "mod": ops.Remainder,
    "floordiv": ops.FloorDivide,
    "matmul": (ops.MatMul, F.matmul),
    "and": ops.BitAnd,
    "or": ops.BitOr,
    "xor": ops.BitXor,
}
COMPARISONS = {
    "eq": ops.Equal, "ne": ops.NotEqual, "lt": ops.Less, "le": ops.LessEqual, "gt": ops.Greater, "ge": ops.GreaterEqual,
}  # fmt: skip

for _name, _rule in OPERATORS.items():
    _maker = partial(_checked, *_rule) if isinstance(_rule, tuple) else partial(_operator, _rule)
    setattr(Tensor, f"__{_name}__", _maker())
    setattr(Tensor, f"__r{_name}__", _maker(reflected=True))
Tensor.__pow__ = _pow  # type: ignore[assignment]
for _name, _op in COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _operator(_op))

METHODS = """
    abs add all allclose amax amin any argmax argmin argsort bincount bitwise_and bitwise_not bitwise_or bitwise_xor
    bmm broadcast_to ceil chunk clamp clone cos cumsum div dot eq equal erf exp expand expand_as expm1 flatten flip
    floor floor_divide gather ge gt histc histogram index_add index_select isfinite isinf isnan le log log10 log1p log2
    log_softmax logical_and logical_not logical_or logical_xor logsumexp lt masked_fill matmul max maximum mean
    median min minimum mm movedim mul mv ne neg nonzero norm outer permute pow prod ravel reciprocal relu remainder
    repeat reshape roll round rsqrt scatter scatter_add sigmoid sign sin softmax sort split sqrt square squeeze std
    sub sum swapaxes t tanh tile to topk transpose tril triu unbind unfold unique unsqueeze var view view_as
""".split()
for _name in METHODS:
    setattr(Tensor, _name, getattr(F, _name))
for _name, _of in ALIASES.items():
    setattr(Tensor, _name, getattr(F, _of))

IN_PLACE = """
    abs add bitwise_and bitwise_or bitwise_xor ceil clamp cos div erf exp expm1 floor floor_divide index_add log log10
    log1p log2 masked_fill mul neg pow reciprocal relu remainder round rsqrt scatter scatter_add sigmoid sign sin sqrt
    square sub tanh tril triu
""".split()


def _in_place(name: str) -> Callable[..., Tensor]:
    function = getattr(F, name)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return update(self, name + "_", lambda x: function(x, *args, **kwargs))

    method.__name__ = method.__qualname__ = name + "_"
    method.__doc__ = f"{name}(), written into this Tensor's own memory: see inplace.py for what is refused."
    return method


for _name in IN_PLACE:
    setattr(Tensor, _name + "_", _in_place(_name))
for _name, _method in {
    "add": "add_", "sub": "sub_", "mul": "mul_", "truediv": "div_", "pow": "pow_", "floordiv": "floor_divide_",
    "mod": "remainder_", "and": "bitwise_and_", "or": "bitwise_or_", "xor": "bitwise_xor_",
}.items():  # fmt: skip
    setattr(Tensor, f"__i{_name}__", getattr(Tensor, _method))


def _fill(self: Tensor, value: Any) -> Tensor:
    """Set every element to one value (a number or a 0-d Tensor), in place; the old values' gradient is 0."""
    if isinstance(value, Tensor) and not value.requires_grad:
        value = value.to(self.dtype)
    return update(self, "fill_", lambda x: F.masked_fill(x, True, value))


def _copy(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Overwrite this Tensor with the values of another (broadcast, in this one's dtype), in place."""
    src = F.as_tensor(src, "copy_")
    return update(self, "copy_", lambda x: F.where(True, src.to(x.dtype), x))


def _iter(self: Tensor) -> Iterator[Tensor]:
    if not self.ndim:
        raise TypeError("a 0-d Tensor cannot be iterated over")
    return iter(F.unbind(self))


def _size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dimension."""
    return self.shape if dim is None else self.shape[F.one_dim(dim, self.ndim)]


def _cast(dtype: Any) -> Callable[[Tensor], Tensor]:
    return lambda self: F.to(self, dtype)


def _astype(self: Tensor, dtype: Any, copy: bool = True) -> Tensor:
    """numpy's spelling of to(dtype)."""
    return F.to(self, dtype)


def _type(self: Tensor, dtype: Any = None) -> Any:
    """torch's name for a Tensor of this dtype ("torch.FloatTensor"), or this Tensor in another dtype or type."""
    return dtypes.TYPE_OF[self.dtype] if dtype is None else F.to(self, dtypes.TYPES.get(dtype, dtype))


def _contiguous(self: Tensor, **memory_format: Any) -> Tensor:
    """This Tensor if its memory is in order, else a copy that is."""
    return self if self.array.flags.c_contiguous else F.clone(self)


def _contains(self: Tensor, x: Any) -> bool:
    """Whether some element equals x, a number or a Tensor that broadcasts. RuntimeError for anything else."""
    if not isinstance(x, (Tensor, bool, int, float, np.generic)):
        raise RuntimeError(f"`in` of a Tensor takes a Tensor or a number, got {type(x).__name__} {x!r}")
    return bool((self.array == (x.array if isinstance(x, Tensor) else x)).any())


def _detach(self: Tensor) -> Tensor:
    """Make this Tensor a leaf without a graph, in place. RuntimeError for a view, which would follow its base."""
    if self._view is not None and isinstance(self._view.chain, list):
        raise RuntimeError("detach_ of a view: its gradient belongs to the Tensor it is a view of; use detach()")
    self._node, self._requires_grad = None, False
    return self


def _stride(self: Tensor, dim: int | None = None) -> Any:
    """How many elements memory moves on a step along each dimension, or along one."""
    found = tuple([n // self.array.itemsize for n in self.array.strides])
    return found if dim is None else found[F.one_dim(dim, self.ndim)]


def _dlpack(self: Tensor, **options: Any) -> Any:
    """The memory for another library, by the DLPack protocol. BufferError if this requires grad."""
    if self.requires_grad:
        raise BufferError("this Tensor requires grad, which DLPack cannot carry: use .detach()")
    return self._shared().__dlpack__(**options)


class _Missing:
    """A name of torch's that Tensor does not have. The AttributeError says what to use.

    One for each name, since a `__getattr__` on the class would make every `t.array` and `t.grad` three times as slow.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, tensor: Tensor | None, of: type[Tensor]) -> Any:
        raise missing("minigrad's Tensor", self.name, vars(of))


def _dir(self: Tensor) -> list[str]:
    """The names that are there."""
    return [name for name in object.__dir__(self) if type(vars(Tensor).get(name)) is not _Missing]


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    from .numpy_api import ufunc as of

    return of(ufunc, method, inputs, kwargs)


def _array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    from .numpy_api import function as of

    return of(function, args, kwargs)


OTHERS: dict[str, Any] = {
    "__getitem__": F.getitem,
    "__setitem__": F.setitem,
    "__iter__": _iter,
    "__contains__": _contains,
    "__dlpack__": _dlpack,
    "__dlpack_device__": lambda self: self._shared().__dlpack_device__(),
    "__neg__": F.neg,
    "__pos__": lambda self: self,
    "__abs__": F.abs,
    "__invert__": F.bitwise_not,
    "__round__": lambda self, ndigits=0: F.round(self, decimals=ndigits or 0),
    "__array_ufunc__": _array_ufunc,
    "__array_function__": _array_function,
    "__array_priority__": 1000,
    "fill_": _fill,
    "zero_": lambda self: _fill(self, 0),
    "copy_": _copy,
    "size": _size,
    "dim": lambda self: self.ndim,
    "ndimension": lambda self: self.ndim,
    "numel": lambda self: self.array.size,
    "nelement": lambda self: self.array.size,
    "element_size": lambda self: self.dtype.itemsize,
    "is_contiguous": lambda self: self.array.flags.c_contiguous,
    "itemsize": property(lambda self: self.dtype.itemsize),
    "nbytes": property(lambda self: self.array.nbytes),
    "device": property(lambda self: devices.CPU),
    "is_cuda": property(lambda self: False),
    "stride": _stride,
    "data_ptr": lambda self: self._shared().ctypes.data,
    "detach_": _detach,
    "where": lambda self, condition, other: F.where(condition, self, other),
    "multinomial": creation.multinomial,
    "normal_": filling.normal_,
    "uniform_": filling.uniform_,
    "exponential_": filling.exponential_,
    "bernoulli_": filling.bernoulli_,
    "random_": filling.random_,
    "new_zeros": filling.new_zeros,
    "new_ones": filling.new_ones,
    "new_empty": filling.new_empty,
    "new_full": filling.new_full,
    "new_tensor": filling.new_tensor,
    "is_floating_point": lambda self: self.dtype.kind == "f",
    "contiguous": _contiguous,
    "astype": _astype,
    "type": _type,
    "cpu": lambda self, **memory_format: self,
    "cuda": lambda self, device=None, **options: devices.check(f"cuda{'' if device is None else ':' + str(device)}"),
    "short": _cast(dtypes.int16),
    "char": _cast(dtypes.int8),
    "float": _cast(dtypes.float32),
    "double": _cast(dtypes.float64),
    "int": _cast(dtypes.int32),
    "long": _cast(dtypes.int64),
    "bool": _cast(dtypes.bool_),
    "byte": _cast(dtypes.uint8),
    "reshape_as": lambda self, other: F.reshape(self, other.shape),
    "type_as": lambda self, other: F.to(self, other.dtype),
    "copy": F.clone,
    "T": property(F.transpose),
    "mT": property(F.mT),
}
for _name, _value in OTHERS.items():
    setattr(Tensor, _name, _value)
for _name in [*INSTEAD, *(name + "_" for name in [*METHODS, *ALIASES, *INSTEAD] if name[-1] != "_")]:
    if _name not in vars(Tensor):
        setattr(Tensor, _name, _Missing(_name))
setattr(Tensor, "__dir__", _dir)  # noqa: B010
