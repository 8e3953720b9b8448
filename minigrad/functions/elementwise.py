"""Elementwise functions: exp, tanh, pow, where, comparisons ... Each is a Tensor method too."""

from __future__ import annotations

from collections.abc import Callable
from reprlib import repr as brief
from typing import Any, TypeAlias, overload

import numpy as np

from .. import devices, dtypes, ops
from ..convert import with_own_dtype
from ..record import apply, apply_unary
from ..tensor import Tensor, wrap

_DEVICES = frozenset(("cpu", "cuda", "mps", "xpu", "meta"))
_PLAIN = frozenset((Tensor, float, int, bool))
Unary: TypeAlias = Callable[[Any], Tensor]
Binary: TypeAlias = Callable[[Any, Any], Tensor]


def operand(x: Any) -> Any:
    """What an op can take: a Tensor, or a Python number; arrays become Tensors. NotImplemented for anything else."""
    if type(x) in _PLAIN or isinstance(x, Tensor):
        return x
    if isinstance(x, np.ndarray):
        if x.dtype not in dtypes.SUPPORTED:
            dtypes.check(x.dtype)
        return wrap(with_own_dtype(x))
    if isinstance(x, np.generic):
        dtypes.check(x.dtype)
        return x.item()
    if isinstance(x, (bool, int, float)):
        return x
    return NotImplemented


def _need(x: Any, name: str) -> Any:
    x = operand(x)
    if x is NotImplemented:
        raise TypeError(f"{name} takes Tensors, arrays and numbers")
    return x


def _unary(op: type[ops.Op], name: str, source: str = "") -> Unary:
    def function(input: Any) -> Tensor:
        if not isinstance(input, Tensor):
            input = as_tensor(input, name)
        return apply_unary(op, input)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{op.__doc__}\n\n    Elementwise, any shape; integers become floats where the result is not whole.\n    "
        + (source or f"Source: https://docs.pytorch.org/docs/stable/generated/torch.{name}.html")
    )
    return function


def _binary(op: type[ops.Op], name: str) -> Binary:
    def function(input: Any, other: Any) -> Tensor:
        x, y = _need(input, name), _need(other, name)
        if not isinstance(x, Tensor) and not isinstance(y, Tensor):
            x = Tensor(x)
        return apply(op, x, y)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{op.__doc__}\n\n    Elementwise with broadcasting; dtypes are promoted as torch does."
    return function


def as_tensor(x: Any, name: str = "as_tensor") -> Tensor:
    """x itself if it is a Tensor, else a Tensor of these data (an array's memory is shared)."""
    if isinstance(x, Tensor):
        return x
    found = operand(x)
    if found is NotImplemented:
        raise TypeError(f"{name} takes a Tensor, an array or a number, got {type(x).__name__} {brief(x)}")
    return found if isinstance(found, Tensor) else Tensor(found)


exp: Unary = _unary(ops.Exp, "exp")
expm1: Unary = _unary(ops.Expm1, "expm1")
log: Unary = _unary(ops.Log, "log")
log1p: Unary = _unary(ops.Log1p, "log1p")
log2: Unary = _unary(ops.Log2, "log2")
log10: Unary = _unary(ops.Log10, "log10")
sqrt: Unary = _unary(ops.Sqrt, "sqrt")
abs: Unary = _unary(ops.Abs, "abs")
neg: Unary = _unary(ops.Neg, "neg")
sign: Unary = _unary(ops.Sign, "sign")
floor: Unary = _unary(ops.Floor, "floor")
ceil: Unary = _unary(ops.Ceil, "ceil")
sin: Unary = _unary(ops.Sin, "sin")
cos: Unary = _unary(ops.Cos, "cos")
tanh: Unary = _unary(ops.Tanh, "tanh")
sigmoid: Unary = _unary(ops.Sigmoid, "sigmoid")
erf: Unary = _unary(ops.Erf, "erf")
relu: Unary = _unary(ops.Relu, "relu")
isnan: Unary = _unary(ops.IsNan, "isnan")
isinf: Unary = _unary(ops.IsInf, "isinf")
isfinite: Unary = _unary(ops.IsFinite, "isfinite")
logical_not: Unary = _unary(ops.LogicalNot, "logical_not")
bitwise_not: Unary = _unary(ops.BitNot, "bitwise_not")

mul: Binary = _binary(ops.Mul, "mul")
maximum: Binary = _binary(ops.Maximum, "maximum")
minimum: Binary = _binary(ops.Minimum, "minimum")
remainder: Binary = _binary(ops.Remainder, "remainder")
floor_divide: Binary = _binary(ops.FloorDivide, "floor_divide")
eq: Binary = _binary(ops.Equal, "eq")
ne: Binary = _binary(ops.NotEqual, "ne")
lt: Binary = _binary(ops.Less, "lt")
le: Binary = _binary(ops.LessEqual, "le")
gt: Binary = _binary(ops.Greater, "gt")
ge: Binary = _binary(ops.GreaterEqual, "ge")
logical_and: Binary = _binary(ops.LogicalAnd, "logical_and")
logical_or: Binary = _binary(ops.LogicalOr, "logical_or")
logical_xor: Binary = _binary(ops.LogicalXor, "logical_xor")
bitwise_and: Binary = _binary(ops.BitAnd, "bitwise_and")
bitwise_or: Binary = _binary(ops.BitOr, "bitwise_or")
bitwise_xor: Binary = _binary(ops.BitXor, "bitwise_xor")

_add, _sub, _div = _binary(ops.Add, "add"), _binary(ops.Sub, "sub"), _binary(ops.Div, "div")


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """z = x + alpha * y, elementwise with broadcasting."""
    return _add(input, other if alpha == 1 else _scaled(input, other, alpha))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """z = x - alpha * y, elementwise with broadcasting. Bools are refused, as torch refuses them."""
    for x in (input, other):
        if isinstance(x, bool) or getattr(x, "dtype", None) == dtypes.bool_:
            raise RuntimeError("subtraction of bools is not defined: use ^ (or logical_xor), or ~ to invert a mask")
    return _sub(input, other if alpha == 1 else _scaled(input, other, alpha))


def _scaled(x: Any, y: Any, alpha: float) -> Tensor:
    if isinstance(alpha, float) and dtypes.result_type(_raw(x), _raw(y)).kind != "f":
        raise RuntimeError(
            f"alpha={alpha} is a float and the Tensors are of integers: make them float, or alpha an int"
        )
    return mul(y, alpha)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """z = x / y, elementwise with broadcasting; ints give floats.

    rounding_mode "floor" or "trunc": the quotient rounded down or toward 0, of ints an int; its gradient is 0.
    """
    if rounding_mode is None:
        return _div(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(f"rounding_mode is None, 'floor' or 'trunc', not {rounding_mode!r}")
    x, y = _need(input, "div"), _need(other, "div")
    return apply(ops.DivRound, x if isinstance(y, Tensor) else as_tensor(x), y, mode=rounding_mode)


def pow(input: Any, exponent: Any) -> Tensor:
    """z = x ** y, elementwise with broadcasting; either may be a number.

    Raises RuntimeError for integers to a negative integer power. Edge cases: see minigrad.ops.Pow and PowScalar.
    """
    x, y = _need(input, "pow"), _need(exponent, "pow")
    if isinstance(y, Tensor) or not isinstance(x, Tensor):
        if isinstance(y, Tensor) and y.dtype.kind != "f" and dtypes.result_type(_raw(x), y.array).kind != "f":
            _check_whole_power(y.array)
        return apply(ops.Pow, x if isinstance(y, Tensor) else Tensor(x), y)
    if x.array.dtype.kind != "f":
        if isinstance(y, float):
            x = apply(ops.Cast, x, dtype=dtypes.get_default_dtype())
        else:
            _check_whole_power(y)
            if x.array.dtype.kind == "b":
                x = apply(ops.Cast, x, dtype=dtypes.int64)
    return apply(ops.PowScalar, x, n=y)


def _raw(x: Any) -> Any:
    return x.array if isinstance(x, Tensor) else x


def _check_whole_power(y: Any) -> None:
    if np.any(np.less(y, 0)):
        raise RuntimeError("integers cannot be raised to a negative power: make the base float with .float() first")


def square(input: Any) -> Tensor:
    """y = x ** 2"""
    return pow(input, 2)


def rsqrt(input: Any) -> Tensor:
    """y = 1 / sqrt(x)"""
    return reciprocal(sqrt(input))


def reciprocal(input: Any) -> Tensor:
    """y = 1 / x"""
    return _div(1.0, input)


def round(input: Any, *, decimals: int = 0) -> Tensor:
    """y = x rounded to so many decimals (0 for ints), halves to even; gradient 0."""
    x = as_tensor(input, "round")
    if decimals and x.dtype.kind != "f":
        raise RuntimeError(f"round to {decimals} decimals needs floats, got {x.dtype}")
    return apply(ops.Round, x, decimals=decimals)


def clamp(input: Any, min: Any = None, max: Any = None) -> Tensor:
    """y = min(max(x, lo), hi); bounds are numbers or Tensors, either may be None. See minigrad.ops.Clamp.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.clamp.html
    """
    if min is None and max is None:
        raise RuntimeError("clamp needs a bound: min, max or both")
    lo, hi = (None if b is None else _need(b, "clamp") for b in (min, max))
    return apply(ops.Clamp, as_tensor(input), lo, hi)


@overload
def where(condition: Any) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Any, input: Any, other: Any) -> Tensor: ...
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """z = x where the condition holds, else y, with broadcasting; where(condition) alone gives nonzero's indices.

    The branch not taken gets gradient 0. Raises RuntimeError unless the condition is bool.
    """
    c = as_tensor(condition, "where")
    if input is None and other is None:
        return tuple([wrap(i) for i in np.nonzero(np.atleast_1d(c.array))])
    if c.dtype is not dtypes.bool_:
        raise RuntimeError(f"where needs a bool condition, got {c.dtype}: compare it, for example with != 0")
    x, y = _need(input, "where"), _need(other, "where")
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        x = Tensor(x)
    return apply(ops.Where, c, x, y)


def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """y = value where the mask is True, else x, with broadcasting; the gradient is 0 under the mask."""
    x, m = as_tensor(input, "masked_fill"), as_tensor(mask, "masked_fill")
    if m.dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_fill needs a bool mask, got {m.dtype}")
    if not isinstance(value, Tensor):
        value = dtypes.scalar(value, x.dtype).item()
    elif value.array.ndim:
        raise RuntimeError(f"masked_fill takes one value, a number or a 0-d Tensor, got shape {value.array.shape}")
    return apply(ops.Where, m, value, x)


def to(input: Tensor, *args: Any, dtype: Any = None, copy: bool = False, **device: Any) -> Tensor:
    """x in another dtype (itself if it has it), with a gradient between floats; the only device is "cpu"."""
    for arg in (*args, *device.values()):
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif str(arg) != "cpu" and arg is not None and not isinstance(arg, bool):
            if str(arg).partition(":")[0] in _DEVICES:
                devices.check(arg)
            else:
                dtype = arg
    if dtype is None or (found := dtypes.check(dtype)) is input.dtype:
        return clone(input) if copy else input
    if found.kind != "f":
        input = input.detach()  # no gradient goes through whole numbers
    return apply(ops.Cast, input, dtype=found)


def clone(input: Tensor, **memory_format: Any) -> Tensor:
    """A copy; its gradient goes to x."""
    return apply(ops.Clone, as_tensor(input, "clone"))


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |x - y| <= atol + rtol * |y| for all elements. RuntimeError for two dtypes or shapes that do not fit."""
    x, y = as_tensor(input, "allclose").array, as_tensor(other, "allclose").array
    if isinstance(input, Tensor) and isinstance(other, Tensor) and x.dtype is not y.dtype:
        raise RuntimeError(f"allclose of {x.dtype} and {y.dtype}: bring both to one with .to(dtype)")
    try:
        return bool(np.allclose(x, y, rtol, atol, equal_nan))
    except ValueError:
        raise RuntimeError(f"allclose: shapes {x.shape} and {y.shape} do not go together") from None


def equal(input: Any, other: Any) -> bool:
    """Whether shape and all elements are the same. TypeError unless both are Tensors or arrays."""
    for x in (input, other):
        if not isinstance(x, (Tensor, np.ndarray)):
            raise TypeError(f"equal takes two Tensors, got {type(x).__name__} {x!r}")
    return bool(np.array_equal(_raw(input), _raw(other)))
