"""numpy's functions by what a capture must know of them."""

from __future__ import annotations

import numpy as np

# numpy's functions whose result hangs on the values in more than its numbers: its shape, or what Python then does.
FREE_SHAPE = {
    "nonzero",
    "flatnonzero",
    "argwhere",
    "unique",
    "extract",
    "compress",
    "bincount",
    "trim_zeros",
    "array_equal",
    "allclose",
}
# Those whose result's shape hangs on the numbers that they are told beside the array.
FREE_COUNTS = {
    "array_split", "broadcast_to", "diagonal", "expand_dims", "moveaxis", "pad", "repeat", "reshape", "rot90",
    "sliding_window_view", "split", "squeeze", "swapaxes", "tile", "trace", "transpose",
}  # fmt: skip
# Those that may give back the very array that they were given, unchanged.
SAME = {"atleast_1d", "atleast_2d", "broadcast_to", "imag", "ravel", "real", "reshape", "squeeze"}
# Those that are known to be the same numpy work each time.
FUNCTIONS = {
    "all", "amax", "amin", "any", "argmax", "argmin", "argpartition", "argsort", "around", "array_split",
    "atleast_1d", "atleast_2d", "broadcast_to", "clip", "concatenate", "copy", "copyto", "count_nonzero",
    "cross", "cumprod", "cumsum", "diag", "diagonal", "diff", "dot", "einsum", "empty_like", "expand_dims", "flip",
    "full_like", "hstack", "imag", "inner", "interp", "isclose", "kron", "logical_not", "max", "mean", "median",
    "min", "moveaxis", "nan_to_num", "norm", "ones_like", "outer", "pad", "partition", "prod", "put_along_axis",
    "ravel", "real", "repeat", "reshape", "roll", "rot90", "round", "searchsorted", "sliding_window_view", "sort",
    "split", "squeeze", "stack", "std", "sum", "swapaxes", "take", "take_along_axis", "tensordot", "tile", "trace",
    "transpose", "tril", "triu", "var", "vdot", "vstack", "where", "zeros_like",
}  # fmt: skip
OF_SHAPE = {
    "can_cast",
    "common_type",
    "iscomplexobj",
    "isrealobj",
    "may_share_memory",
    "min_scalar_type",
    "ndim",
    "result_type",
    "shape",
    "shares_memory",
    "size",
}
# What ** does for these exponents in place of a power.
POWERS = {2: np.square, -1: np.reciprocal, 0.5: np.sqrt, 1: np.positive}
