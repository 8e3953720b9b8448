"""minigrad: a tiny scalar-and-tensor autograd engine on numpy.

    import minigrad as mg
    a, b = mg.tensor(2.0, requires_grad=True), mg.tensor(3.0, requires_grad=True)
    (a * b + b**3).backward()
    print(a.grad, b.grad)

Names, defaults and meanings are torch's where torch has the thing.
"""

import builtins as _builtins
import math as _math
import typing as _typing
import warnings as _warnings
from typing import Any as _Any

from . import (
    autograd as autograd,
    methods as _methods,  # gives Tensor its operators and methods
    random as random,
)
from .anomaly import AnomalyError as AnomalyError, detect_anomaly as detect_anomaly
from .autograd import grad as grad
from .compiler import compile as compile
from .creation import (
    arange as arange,
    as_tensor as as_tensor,
    empty as empty,
    empty_like as empty_like,
    eye as eye,
    from_dlpack as from_dlpack,
    from_numpy as from_numpy,
    full as full,
    full_like as full_like,
    linspace as linspace,
    multinomial as multinomial,
    normal as normal,
    ones as ones,
    ones_like as ones_like,
    rand as rand,
    randint as randint,
    randn as randn,
    randperm as randperm,
    tensor as tensor,
    zeros as zeros,
    zeros_like as zeros_like,
)
from .devices import (
    backends as backends,
    cuda as cuda,
    device as device,
    get_num_threads as get_num_threads,
    set_num_threads as set_num_threads,
)
from .dtypes import (
    bool_ as bool,
    double as double,
    dtype as dtype,
    float32 as float32,
    float64 as float64,
    float_ as float,
    get_default_dtype as get_default_dtype,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    int_ as int,
    long as long,
    promote_types as promote_types,
    set_default_dtype as set_default_dtype,
    short as short,
    uint8 as uint8,
)
from .functions import (
    abs as abs,
    add as add,
    all as all,
    allclose as allclose,
    amax as amax,
    amin as amin,
    any as any,
    argmax as argmax,
    argmin as argmin,
    argsort as argsort,
    bincount as bincount,
    bitwise_and as bitwise_and,
    bitwise_not as bitwise_not,
    bitwise_or as bitwise_or,
    bitwise_xor as bitwise_xor,
    bmm as bmm,
    broadcast_to as broadcast_to,
    cat as cat,
    ceil as ceil,
    chunk as chunk,
    clamp as clamp,
    clone as clone,
    cos as cos,
    cumsum as cumsum,
    div as div,
    dot as dot,
    einsum as einsum,
    eq as eq,
    equal as equal,
    erf as erf,
    exp as exp,
    expm1 as expm1,
    flatten as flatten,
    flip as flip,
    floor as floor,
    floor_divide as floor_divide,
    gather as gather,
    ge as ge,
    gt as gt,
    histc as histc,
    histogram as histogram,
    index_add as index_add,
    index_select as index_select,
    isfinite as isfinite,
    isinf as isinf,
    isnan as isnan,
    le as le,
    log as log,
    log1p as log1p,
    log2 as log2,
    log10 as log10,
    log_softmax as log_softmax,
    logical_and as logical_and,
    logical_not as logical_not,
    logical_or as logical_or,
    logical_xor as logical_xor,
    logsumexp as logsumexp,
    lt as lt,
    masked_fill as masked_fill,
    matmul as matmul,
    max as max,
    maximum as maximum,
    mean as mean,
    median as median,
    min as min,
    minimum as minimum,
    mm as mm,
    movedim as movedim,
    mul as mul,
    mv as mv,
    ne as ne,
    neg as neg,
    nonzero as nonzero,
    norm as norm,
    one_hot as one_hot,
    outer as outer,
    permute as permute,
    pow as pow,
    prod as prod,
    ravel as ravel,
    reciprocal as reciprocal,
    relu as relu,
    remainder as remainder,
    reshape as reshape,
    roll as roll,
    round as round,
    rsqrt as rsqrt,
    scatter as scatter,
    scatter_add as scatter_add,
    sigmoid as sigmoid,
    sign as sign,
    sin as sin,
    softmax as softmax,
    sort as sort,
    split as split,
    sqrt as sqrt,
    square as square,
    squeeze as squeeze,
    stack as stack,
    std as std,
    sub as sub,
    sum as sum,
    swapaxes as swapaxes,
    t as t,
    tanh as tanh,
    tensordot as tensordot,
    tile as tile,
    topk as topk,
    transpose as transpose,
    tril as tril,
    triu as triu,
    unbind as unbind,
    unique as unique,
    unsqueeze as unsqueeze,
    var as var,
    where as where,
)
from .graph import Node as Node
from .modes import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_grad_enabled as is_grad_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from .ops.op import Op as Op
from .printing import set_printoptions as set_printoptions
from .random import (
    Generator as Generator,
    get_rng_state as get_rng_state,
    initial_seed as initial_seed,
    manual_seed as manual_seed,
    seed as seed,
    set_rng_state as set_rng_state,
)
from .size import Size as Size
from .tensor import Tensor as Tensor
from .version import __version__ as __version__

if _typing.TYPE_CHECKING:
    from . import check as check, nn as nn, optim as optim, profiler as profiler, utils as utils
    from .creation import as_tensor as asarray
    from .functions import (
        abs as absolute,
        cat as concat,
        cat as concatenate,
        clamp as clip,
        div as divide,
        div as true_divide,
        ge as greater_equal,
        gt as greater,
        le as less_equal,
        lt as less,
        movedim as moveaxis,
        mul as multiply,
        ne as not_equal,
        neg as negative,
        sub as subtract,
        transpose as swapdims,
    )
    from .storage import load as load, save as save


# Floating point is IEEE 754 here, as in torch: log(0) is -inf and says nothing. numpy would warn of a line inside
# minigrad; detect_anomaly() tells which line of the user's code it was. Warnings about the user's own lines stay.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"minigrad\.")

# Numbers and the index that adds a dimension, by torch's names.
inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None

# These are loaded when they are first asked for: `import minigrad` is for those too who need a Tensor alone.
_LATER = {name: name for name in ("check", "nn", "optim", "profiler", "utils")} | {"load": "storage", "save": "storage"}


def is_tensor(obj: _Any) -> _builtins.bool:
    """Whether this is a Tensor. Source: torch.is_tensor."""
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> _builtins.int:
    """How many elements there are. Source: torch.numel."""
    return input.array.size


def is_floating_point(input: Tensor) -> _builtins.bool:
    """Whether the dtype is a float. Source: torch.is_floating_point."""
    return input.is_floating_point()


if not _typing.TYPE_CHECKING:  # to a type checker, a name that is not above is a mistake

    def __getattr__(name: str) -> _Any:
        from .names import missing, spelling

        found: _Any
        if name in _LATER:
            from importlib import import_module

            found = import_module("." + _LATER[name], __name__)
            found = found if _LATER[name] == name else getattr(found, name)
        elif (of := spelling(name)) is not None:
            found = globals()[of]
        else:
            raise missing("minigrad", name, [*globals(), *_LATER])
        globals()[name] = found
        return found
