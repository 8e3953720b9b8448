"""Anomaly mode: the first nan or inf, and the line of the user's code that called the op which made it.

Source: https://docs.pytorch.org/docs/stable/autograd.html#anomaly-detection, which finds nan in backward only.
"""

from __future__ import annotations

import linecache
import os
import sys
from typing import Any

import numpy as np

from .graph import Engine, Node

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class AnomalyError(RuntimeError):
    """An op made a nan or inf from finite values; the message names the op and the line that called it.

    found: "nan" or "inf". op: its name, such as "matmul" or "backward of matmul". where: the line, as a traceback shows
    it. inputs: forward, the arrays that the op was given; backward, the leaf Tensor whose gradient it is, if it is a
    leaf's.
    """

    def __init__(
        self, message: str, found: str = "", op: str = "", where: str = "", inputs: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(message)
        self.found, self.op, self.where, self.inputs = found, op, where, inputs


class detect_anomaly:
    """`with detect_anomaly():` each op and each gradient is looked at, and the first nan or inf raises AnomalyError.

    An op is to blame when its output has a nan and no input has one, or an inf and no input has an inf or nan:
    a mask filled with -inf on purpose is fine, what turns it into nan is not. check_inf=False looks at nan alone. Holds
    for all threads while it is on; it is slow.
    """

    check_nan: bool
    check_inf: bool

    def __init__(self, check_nan: bool = True, check_inf: bool = True) -> None:
        self.check_nan, self.check_inf = check_nan, check_inf

    def __enter__(self) -> detect_anomaly:
        self._before = Engine.observe, Engine.check
        Engine.observe, Engine.check = self._observe, self._check
        return self

    def __exit__(self, *error: object) -> None:
        Engine.observe, Engine.check = self._before

    def _found(self, made: Any, given: list[Any]) -> str:
        """ "nan" or "inf" if that is in an array made from these that had none, else ""."""
        if made is None or made.dtype.kind != "f" or np.isfinite(made).all():
            return ""
        given = [x for x in given if isinstance(x, (np.ndarray, np.generic, float))]
        if np.isnan(made).any() and self.check_nan and not any(np.isnan(x).any() for x in given):
            return "nan"
        if np.isinf(made).any() and self.check_inf and all(np.isfinite(x).all() for x in given):
            return "inf"
        return ""

    def _observe(self, op: Any, arrays: list[Any], result: Any, settings: dict[str, Any], inputs: Any) -> None:
        if self._before[0] is not None:  # another mode around this one looks on as well
            self._before[0](op, arrays, result, settings, inputs)
        where = user_line()
        if result._node is not None:
            result._node.more().where = where
        given = [*arrays, *settings.values()]
        if found := self._found(result.array, given):
            name = op.__name__.lower()
            raise AnomalyError(
                f"{name} made the first {found}, from finite inputs of shape "
                f"{' and '.join(str(x.shape) for x in arrays if hasattr(x, 'shape'))}, called at\n{where}",
                found, name, where, tuple(x for x in arrays if isinstance(x, np.ndarray)),
            )  # fmt: skip

    def _check(self, node: Node, dout: Any, gradients: list[Any]) -> None:
        plain = [getattr(g, "array", g) for g in gradients]
        given = [getattr(dout, "array", dout)] if hasattr(dout, "dtype") else []
        for position, gradient in zip(node.plan.positions, plain, strict=True):
            if isinstance(gradient, (np.ndarray, np.generic)) and (found := self._found(gradient, given)):
                where = (
                    node.extra.where if node.extra and node.extra.where else "  (a line run before anomaly mode was on)"
                )
                name = f"backward of {node.op.__name__.lower()}"
                to = node.inputs[position]
                raise AnomalyError(
                    f"{name} ({(node.op.__doc__ or '').strip().splitlines()[0]}) made the first {found}, in the "
                    f"gradient of its input {position} of shape {gradient.shape}; the op was called at\n{where}",
                    found, name, where, (to,) if hasattr(to, "is_leaf") else (),
                )  # fmt: skip


def user_line() -> str:
    """The innermost line on the stack that is not minigrad's own, as a traceback shows it."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    if frame is None:
        return "  (no line of user code on the stack)"
    path, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(path, line, frame.f_globals).strip()
    return f'  File "{path}", line {line}, in {frame.f_code.co_name}' + (f"\n    {text}" if text else "")
