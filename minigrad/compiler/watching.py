"""Watching the Python of a step while it runs: which code it is, and whether it calls what may differ each time."""

from __future__ import annotations

import abc
import builtins
import contextlib
import dataclasses
import enum
import functools
import gc
import math
import operator
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = str(Path(__file__).parent.parent)
NUMPY = str(Path(np.__file__).parent)
STATEFUL = tuple(str(Path(PACKAGE) / room) for room in ("nn", "optim", "utils"))  # minigrad's code that has state
VIZ = str(Path(PACKAGE).parent / "viz")
GLUE = tuple(m.__file__ for m in (functools, contextlib, enum, dataclasses, types, abc))  # their own state is none

# Built-in functions that give the same for the same, and change nothing but what they are given.
PURE = {
    f
    for f in vars(builtins).values()
    if isinstance(f, types.BuiltinFunctionType)
    and f.__name__ not in ("print", "input", "open", "exec", "eval", "compile", "id", "next", "breakpoint", "hash")
    and f.__name__ not in ("__import__", "locals", "globals")
}
DYNAMIC = {getattr, setattr, delattr, hasattr, vars}
MODULES = (
    math.__name__,
    operator.__name__,
    "_operator",
    "_functools",
    "_collections",
    "_abc",
    "_struct",
    "numpy",
    "_collections_abc",
)
METHODS_OF = (
    str,
    bytes,
    list,
    tuple,
    dict,
    set,
    frozenset,
    int,
    float,
    complex,
    bool,
    range,
    np.dtype,
    np.ndarray,
    np.generic,
    type,
)
FILES = ("memmap", "load", "fromfile", "loadtxt", "genfromtxt")


class Watch:
    """As a context: `codes` is what runs in this thread, and `impure` is told of calls that may differ each time."""

    def __init__(self, impure: Any) -> None:
        self.codes: set[types.CodeType] = set()
        self.dynamic = False  # whether attributes were looked up by a name made as the code ran
        self.impure = impure
        self._trusted: dict[types.CodeType, bool] = {}

    def __enter__(self) -> Watch:
        self._before, self._collects = sys.getprofile(), gc.isenabled()
        gc.disable()  # what the collector calls is not the step's
        sys.setprofile(self._event)
        return self

    def __exit__(self, *error: object) -> None:
        if self._collects:
            gc.enable()
        if self._before is None or callable(self._before):
            sys.setprofile(self._before)
        else:
            self._before.enable()  # cProfile's, which is no function: it sets itself

    def _trust(self, code: types.CodeType) -> bool:
        """Whether the code is the engine's own, numpy's or the pictures', which need no watching."""
        known = self._trusted.get(code)
        if known is None:
            file = code.co_filename
            known = (
                (file.startswith(PACKAGE) and not file.startswith(STATEFUL))
                or file.startswith((NUMPY, VIZ))
                or file in GLUE
                or (file.startswith("<") and "captured" in file)
            )
            self._trusted[code] = known
        return known

    def _event(self, frame: Any, event: str, arg: Any) -> None:
        code = frame.f_code
        if event == "call":
            if not self._trust(code):
                self.codes.add(code)
                if code.co_filename.startswith(NUMPY) and code.co_name in FILES:
                    self.impure(f"calls numpy.{code.co_name}()", frame)
        elif event == "c_call" and not self._trust(code) and not code.co_filename.startswith(PACKAGE):
            if arg in DYNAMIC:
                self.dynamic = True
            elif not self._pure(arg):
                self.impure(f"calls {_called(arg)}", frame)

    def _pure(self, function: Any) -> bool:
        if function in PURE or isinstance(function, np.ufunc):
            return True
        owner = getattr(function, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            module = getattr(function, "__module__", None) or getattr(owner, "__name__", "")
            return module in MODULES or (module or "").startswith("numpy._core")
        return owner in METHODS_OF if isinstance(owner, type) else isinstance(owner, METHODS_OF)


def _called(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__qualname__", repr(function))
    module = getattr(function, "__module__", None)
    if owner is None or isinstance(owner, types.ModuleType):
        return f"{module + '.' if module and module != 'builtins' else ''}{name}()"
    return f"{name}()"
