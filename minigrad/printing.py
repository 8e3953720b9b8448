"""How a Tensor prints: the text torch 2.13 prints for the same values, made from a plain array.

    >>> print(format_tensor(np.array([0.5, 2.0], np.float32), grad_fn="MulBackward0"))
    tensor([0.5000, 2.0000], grad_fn=<MulBackward0>)

One difference from torch, in a dtype that is not the default: `dtype=float64`, where torch has a module to
put before the name (`dtype=torch.float64`).

torch page: https://docs.pytorch.org/docs/stable/generated/torch.set_printoptions.html
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from .dtypes import get_default_dtype

__all__ = ["format_scalar", "format_tensor", "get_printoptions", "printoptions", "set_printoptions"]

# ------------------------------------------------------------------ the options


_DEFAULT = {
    "precision": 4,  # digits after the point
    "threshold": 1000,  # more elements than this and the middle is left out
    "edgeitems": 3,  # what is shown then at each end of each dimension
    "linewidth": 80,
    "sci_mode": None,  # None: decided by the values
}
_PROFILES: dict[str, dict[str, Any]] = {
    "default": _DEFAULT,
    "short": {**_DEFAULT, "precision": 2, "edgeitems": 2},
    "full": {**_DEFAULT, "threshold": math.inf},
}
_options = SimpleNamespace(**_DEFAULT)  # a dataclass, and the module for it, would be a tenth of minigrad's import


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print from now on; what is None stays as it is, or as the profile has it.

    `profile` is "default", "short" (2 digits, 2 items an edge) or "full" (nothing left out). As in torch,
    `sci_mode` alone does not stay: every call sets it, and None gives the choice back to the values.
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"unknown print profile {profile!r}; there are {', '.join(_PROFILES)}")
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    base = vars(_options) if profile is None else _PROFILES[profile]
    _options = SimpleNamespace(**{**base, **changes, "sci_mode": sci_mode})


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keywords that set_printoptions takes."""
    return dict(vars(_options))


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """set_printoptions for the length of a `with` block."""
    global _options
    before = _options
    set_printoptions(**options)
    try:
        yield
    finally:
        _options = before


# ------------------------------------------------------------------ numbers


class _NumberFormat:
    """One spelling for every number of a tensor, chosen by the numbers that will be shown.

    Floats are whole ("2."), fixed ("2.5000") or scientific ("2.5000e+00"). Zeros, nans and infinities have
    no say, neither in that choice nor in the width; so a lone -inf may stand out of its column, as in torch.
    """

    def __init__(self, shown: np.ndarray) -> None:
        self.spec = ""  # ints and bools are written as Python writes them
        self.whole = False
        self.width = 1
        significant = shown.ravel()
        if shown.dtype.kind == "f":
            significant = significant[np.isfinite(significant) & (significant != 0)]
            self._choose(significant)
        self.width = max((len(self(number)) for number in significant.tolist()), default=1)

    def _choose(self, numbers: np.ndarray) -> None:
        scientific = numbers.size > 0 and _options.sci_mode
        if numbers.size > 0 and _options.sci_mode is None:
            size = np.abs(numbers.astype(np.float64))
            smallest, largest = size.min(), size.max()
            with np.errstate(over="ignore"):
                scientific = largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4
        if scientific:
            self.spec = f".{_options.precision}e"
        elif (numbers == np.ceil(numbers)).all():
            self.spec, self.whole = ".0f", True
        else:
            self.spec = f".{_options.precision}f"

    def __call__(self, number: Any) -> str:
        text = format(number, self.spec)
        if self.whole and math.isfinite(number):
            text += "."
        return text.rjust(self.width)


def format_scalar(value: Any) -> str:
    """One number as it would print inside `tensor(...)`: 0.2500, 3., 1.0000e-05, True."""
    number = np.asarray(value)
    return _NumberFormat(number)(number.item())


# ------------------------------------------------------------------ rows and brackets


def _edges(array: np.ndarray) -> np.ndarray:
    """The corners that are shown of an array whose middle is left out."""
    keep = _options.edgeitems
    for axis, length in enumerate(array.shape):
        if length > 2 * keep:
            ends = [*range(keep), *range(length - keep, length)]
            array = array.take(ends, axis=axis)
    return array


def _body(array: np.ndarray, indent: int, shorten: bool, write: _NumberFormat) -> str:
    """The nested brackets of `array`, whose first bracket stands at column `indent`."""
    if array.ndim == 0:
        return write(array.item())
    keep = _options.edgeitems
    gap = shorten and len(array) > 2 * keep
    parts = [array[:keep], array[len(array) - keep :]] if gap else [array]
    if array.ndim == 1:
        rows = [[write(number) for number in part.tolist()] for part in parts]
        # torch pads the dots by a space, except where they stand alone
        cells = [*rows[0], " ..." if keep else "...", *rows[1]] if gap else rows[0]
        per_line = max(1, (_options.linewidth - indent) // (write.width + 2))
        lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    blocks = [[_body(row, indent + 1, shorten, write) for row in part] for part in parts]
    cells = [*blocks[0], "...", *blocks[1]] if gap else blocks[0]
    # an empty line between matrices, two between stacks of matrices, and so on
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(cells) + "]"


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """`text` closed by its suffixes, each on a line of its own where it would pass the line width."""
    # torch counts two columns too many here; kept, as it decides where a line breaks
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


# ------------------------------------------------------------------ the whole tensor


def _dtype_name(dtype: np.dtype) -> str:
    return dtype.name


def format_tensor(
    array: np.ndarray | np.generic,
    requires_grad: bool = False,
    grad_fn: object = None,
    prefix: str = "tensor(",
) -> str:
    """What `repr` of a Tensor says: its values, then whatever is not the default.

    array: any shape; float, int or bool.
    requires_grad: a leaf that requires grad; not said again where there is a grad_fn.
    grad_fn: what made it, a node that prints as "<MulBackward0>" or that name alone; or None.
    prefix: what opens the text; wrapped lines are indented by its length.
    """
    array = np.asarray(array)
    dtype, indent = array.dtype, len(prefix)
    suffixes = []
    if array.size == 0:
        body = "[]"
        # nothing inside tells the shape or the dtype, so both are said unless they are the default
        if array.ndim != 1:
            suffixes.append(f"size={array.shape}")
        if dtype != get_default_dtype():
            suffixes.append(f"dtype={_dtype_name(dtype)}")
    else:
        shorten = array.size > _options.threshold
        write = _NumberFormat(_edges(array) if shorten else array)
        body = _body(array, indent, shorten, write)
        if not _options.edgeitems:
            suffixes.append(f"size={array.shape}")
        if dtype not in (get_default_dtype(), np.int64, np.bool_):
            suffixes.append(f"dtype={_dtype_name(dtype)}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>" if isinstance(grad_fn, str) else f"grad_fn={grad_fn!r}")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(prefix + body, suffixes, indent)
