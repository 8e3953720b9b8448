"""numpy 1.26: there a float32 beside a Python number can become float64, a 0-d one always and others beside 1e300.

With numpy 2 it keeps its dtype, as in torch (NEP 50, https://numpy.org/neps/nep-0050-scalar-promotion.html), and
nothing here is used. numpy 1.26 can be told to do the same for the whole process only, which a library must not do to
others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

import numpy as np

OLD = np.lib.NumpyVersion(np.__version__) < "2.0.0"


def keeping(forward: Callable[..., Any], promotes: bool) -> Callable[..., Any]:
    """A rule's forward whose results have the dtype that numpy 2 would give them: that of its operands with a dtype.

    promotes: the rule brings its operands to one dtype (Op.promote), so that this holds for ints as well; a sum of
    int32 is int64 as it should be. An index out of range is an error for an array of no elements, too.
    """

    @wraps(forward)
    def kept(*inputs: Any, **settings: Any) -> Any:
        given = [x for x in inputs if isinstance(x, (np.ndarray, np.generic))]
        with nullcontext() if all([x.size for x in given]) else strict_indices():
            out = forward(*inputs, **settings)
        if "dtype" in settings:
            return out
        dtypes = [x.dtype for x in given]
        if type(out) is tuple:
            return tuple([narrowed(y, dtypes, promotes) for y in out])
        return narrowed(out, dtypes, promotes)

    return kept


def narrowed(out: Any, dtypes: list[Any], promotes: bool) -> Any:
    """A result in the dtype of the operands of its kind, if there are some and none is as wide."""
    if not isinstance(out, (np.ndarray, np.generic)) or not (promotes or out.dtype.kind == "f"):
        return out
    alike = "iu" if out.dtype.kind in "iu" else out.dtype.kind
    dtypes = [dtype for dtype in dtypes if dtype.kind in alike]
    if not dtypes or out.dtype in dtypes:
        return out
    with np.errstate(over="ignore"):
        return out.astype(np.result_type(*dtypes))


@contextmanager
def strict_indices() -> Iterator[None]:
    """IndexError where numpy 1.26 only warns: an index out of range that takes nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Out of bound index found", DeprecationWarning)
        try:
            yield
        except DeprecationWarning as error:
            raise IndexError(str(error).partition(".")[0]) from None
