"""What a type checker sees of the methods that methods.py gives to Tensor; nothing here runs.

tests/test_methods.py holds the two against each other.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from .tensor import Tensor

Method: TypeAlias = Callable[..., Tensor]


class Vocabulary:
    """Base of Tensor for the type checker alone."""

    def __add__(self, other: Any) -> Tensor: ...
    def __radd__(self, other: Any) -> Tensor: ...
    def __sub__(self, other: Any) -> Tensor: ...
    def __rsub__(self, other: Any) -> Tensor: ...
    def __mul__(self, other: Any) -> Tensor: ...
    def __rmul__(self, other: Any) -> Tensor: ...
    def __truediv__(self, other: Any) -> Tensor: ...
    def __rtruediv__(self, other: Any) -> Tensor: ...
    def __pow__(self, other: Any) -> Tensor: ...
    def __rpow__(self, other: Any) -> Tensor: ...
    def __mod__(self, other: Any) -> Tensor: ...
    def __rmod__(self, other: Any) -> Tensor: ...
    def __floordiv__(self, other: Any) -> Tensor: ...
    def __rfloordiv__(self, other: Any) -> Tensor: ...
    def __matmul__(self, other: Any) -> Tensor: ...
    def __rmatmul__(self, other: Any) -> Tensor: ...
    def __and__(self, other: Any) -> Tensor: ...
    def __rand__(self, other: Any) -> Tensor: ...
    def __or__(self, other: Any) -> Tensor: ...
    def __ror__(self, other: Any) -> Tensor: ...
    def __xor__(self, other: Any) -> Tensor: ...
    def __rxor__(self, other: Any) -> Tensor: ...
    def __iadd__(self, other: Any) -> Tensor: ...
    def __isub__(self, other: Any) -> Tensor: ...
    def __imul__(self, other: Any) -> Tensor: ...
    def __itruediv__(self, other: Any) -> Tensor: ...
    def __ipow__(self, other: Any) -> Tensor: ...
    def __ifloordiv__(self, other: Any) -> Tensor: ...
    def __imod__(self, other: Any) -> Tensor: ...
    def __iand__(self, other: Any) -> Tensor: ...
    def __ior__(self, other: Any) -> Tensor: ...
    def __ixor__(self, other: Any) -> Tensor: ...
    def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
    def __lt__(self, other: Any) -> Tensor: ...
    def __le__(self, other: Any) -> Tensor: ...
    def __gt__(self, other: Any) -> Tensor: ...
    def __ge__(self, other: Any) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    def __invert__(self) -> Tensor: ...
    def __round__(self, ndigits: builtins.int = 0) -> Tensor: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __contains__(self, x: Any) -> builtins.bool: ...
    def __dlpack__(self, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[builtins.int, builtins.int]: ...
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any: ...
    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any: ...

    __array_priority__: builtins.int
    T: Tensor
    mT: Tensor
    abs: Method
    add: Method
    all: Method
    allclose: Callable[..., builtins.bool]
    amax: Method
    amin: Method
    any: Method
    argmax: Method
    argmin: Method
    bitwise_and: Method
    bitwise_not: Method
    bitwise_or: Method
    bitwise_xor: Method
    bmm: Method
    ceil: Method
    chunk: Callable[..., tuple[Tensor, ...]]
    clamp: Method
    clone: Method
    cos: Method
    cumsum: Method
    div: Method
    dot: Method
    eq: Method
    equal: Callable[..., builtins.bool]
    exp: Method
    expand: Method
    expand_as: Method
    expm1: Method
    flatten: Method
    flip: Method
    floor: Method
    floor_divide: Method
    gather: Method
    ge: Method
    gt: Method
    index_add: Method
    index_select: Method
    isfinite: Method
    isinf: Method
    isnan: Method
    le: Method
    log: Method
    log10: Method
    log1p: Method
    log2: Method
    log_softmax: Method
    logical_and: Method
    logical_not: Method
    logical_or: Method
    logical_xor: Method
    logsumexp: Method
    lt: Method
    masked_fill: Method
    matmul: Method
    max: Callable[..., Any]
    maximum: Method
    mean: Method
    median: Method
    min: Callable[..., Any]
    minimum: Method
    mm: Method
    movedim: Method
    mul: Method
    mv: Method
    ne: Method
    neg: Method
    nonzero: Callable[..., Any]
    norm: Method
    outer: Method
    permute: Method
    pow: Method
    prod: Method
    ravel: Method
    reciprocal: Method
    relu: Method
    remainder: Method
    repeat: Method
    reshape: Method
    roll: Method
    round: Method
    rsqrt: Method
    scatter: Method
    scatter_add: Method
    sigmoid: Method
    sign: Method
    sin: Method
    softmax: Method
    split: Callable[..., tuple[Tensor, ...]]
    sqrt: Method
    square: Method
    squeeze: Method
    std: Method
    sub: Method
    sum: Method
    t: Method
    tanh: Method
    tile: Method
    to: Method
    transpose: Method
    tril: Method
    triu: Method
    unbind: Callable[..., tuple[Tensor, ...]]
    unsqueeze: Method
    var: Method
    view: Method
    view_as: Method
    abs_: Method
    add_: Method
    bitwise_and_: Method
    bitwise_or_: Method
    bitwise_xor_: Method
    erf_: Method
    floor_divide_: Method
    log10_: Method
    log2_: Method
    ceil_: Method
    clamp_: Method
    cos_: Method
    div_: Method
    exp_: Method
    expm1_: Method
    floor_: Method
    index_add_: Method
    log_: Method
    log1p_: Method
    masked_fill_: Method
    mul_: Method
    neg_: Method
    pow_: Method
    reciprocal_: Method
    relu_: Method
    remainder_: Method
    round_: Method
    rsqrt_: Method
    scatter_: Method
    scatter_add_: Method
    sigmoid_: Method
    sign_: Method
    sin_: Method
    sqrt_: Method
    square_: Method
    sub_: Method
    tanh_: Method
    tril_: Method
    triu_: Method
    fill_: Method
    zero_: Method
    copy_: Method
    size: Callable[..., Any]
    dim: Callable[[], builtins.int]
    ndimension: Callable[[], builtins.int]
    reshape_as: Method
    numel: Callable[[], builtins.int]
    nelement: Callable[[], builtins.int]
    element_size: Callable[[], builtins.int]
    is_contiguous: Callable[[], builtins.bool]
    is_floating_point: Callable[[], builtins.bool]
    contiguous: Method
    swapaxes: Method
    astype: Method
    type: Callable[..., Any]
    cpu: Method
    float: Method
    double: Method
    int: Method
    long: Method
    bool: Method
    byte: Method
    type_as: Method
    copy: Method
    broadcast_to: Method
    absolute: Method
    argsort: Method
    bernoulli_: Method
    bincount: Method
    char: Method
    clip: Method
    cuda: Callable[..., Any]
    data_ptr: Callable[[], builtins.int]
    detach_: Method
    device: Any
    divide: Method
    erf: Method
    exponential_: Method
    greater: Method
    greater_equal: Method
    histc: Method
    histogram: Callable[..., Any]
    is_cuda: builtins.bool
    itemsize: builtins.int
    less: Method
    less_equal: Method
    moveaxis: Method
    multinomial: Method
    multiply: Method
    nbytes: builtins.int
    negative: Method
    new_empty: Method
    new_full: Method
    new_ones: Method
    new_tensor: Method
    new_zeros: Method
    normal_: Method
    not_equal: Method
    random_: Method
    short: Method
    sort: Callable[..., Any]
    stride: Callable[..., Any]
    subtract: Method
    swapdims: Method
    topk: Callable[..., Any]
    true_divide: Method
    unfold: Method
    uniform_: Method
    unique: Callable[..., Any]
    where: Method
