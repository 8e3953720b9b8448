"""F: the functions that layers and losses are made of, in torch.nn.functional's names and meanings.

The two that the lecture derives as one formula each run as one rule: cross_entropy (exercise 2) on (n, classes) logits
and batch_norm (exercise 3) in training. Everything else is composed of the ops.
Source: https://docs.pytorch.org/docs/stable/nn.functional.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functions as _f, ops, random as _random
from ..convert import as_array
from ..filling import drawn
from ..functions import (
    flatten as flatten,
    log_softmax as log_softmax,
    one_hot as one_hot,
    relu as relu,
    sigmoid as sigmoid,
    softmax as softmax,
    tanh as tanh,
)
from ..functions.elementwise import as_tensor
from ..inplace import write
from ..record import apply, run
from ..tensor import Tensor, watch_too, wrap
from .losses import (
    _along,
    binary_cross_entropy as binary_cross_entropy,
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    cross_entropy as cross_entropy,
    l1_loss as l1_loss,
    mse_loss as mse_loss,
    nll_loss as nll_loss,
)

# --------------------------------------------------------------------------------------------------- layers


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """y = x @ W.T + b: x (..., in), weight (out, in) or (in,), bias (out,). RuntimeError names shapes that do not fit.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
    """
    x, W = as_tensor(input, "linear"), as_tensor(weight, "linear")
    if not 1 <= W.array.ndim <= 2 or not x.array.ndim or x.array.shape[-1] != W.array.shape[-1]:
        raise RuntimeError(
            f"linear: input {x.array.shape} and weight {W.array.shape} do not fit: they are (..., in) and (out, in)"
        )
    if bias is not None:
        bias = as_tensor(bias, "linear")
        if bias.array.shape != W.array.shape[:-1] and bias.array.size != 1:
            raise RuntimeError(
                f"linear: bias {bias.array.shape} and weight {W.array.shape} do not fit: they are (out,) and (out, in)"
            )
    dtype = x.array.dtype
    plain = W.array.ndim == 2 and dtype.kind == "f" and W.array.dtype is dtype
    if plain and (bias is None or (bias.array.dtype is dtype and bias.array.ndim < 2)):
        return apply(ops.Linear, x, W, bias)
    y = _f.matmul(x, _f.transpose(W, 0, 1) if W.array.ndim == 2 else W)
    return y if bias is None else y + bias


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """y = weight[input]: rows of weight (n, d) at integers of any shape -> (*shape, d).

    The row padding_idx gets no gradient. RuntimeError for indices that are not int64 or int32, IndexError (naming
    it) for one outside 0 .. n - 1.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html
    """
    rows, W = as_tensor(input, "embedding"), as_tensor(weight, "embedding")
    index = rows.array
    if index.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"embedding needs indices of int64 or int32, got {rows.dtype}: convert with .long()")
    if W.array.ndim != 2:
        raise RuntimeError(f"embedding needs a weight of shape (n, d), got {W.array.shape}")
    n = W.array.shape[0]
    if index.size and (index.min() < 0 or index.max() >= n):
        wrong = np.argwhere((index < 0) | (index >= n))[0].tolist()
        where = f" at {tuple(wrong)}" if wrong else ""
        raise IndexError(f"index out of range: {index[tuple(wrong)]}{where}, the embedding has rows 0 to {n - 1}")
    y = watch_too(apply(ops.Index, W, index=(as_array(index),)), (rows,))
    if padding_idx is None:
        return y
    if not -n <= padding_idx < n:
        raise AssertionError(f"padding_idx must be within the {n} rows, got {padding_idx}")
    return _f.where(wrap(as_array(index == padding_idx % n)[..., None]), y.detach(), y)


def batch_norm(
    input: Any,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    correction: float = 0,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each feature: x (n, features) or (n, features, d1, ...).

    training: mean and var are the batch's, and the running ones (features,) take a step of momentum toward them, in
    place. Else the running ones are used. correction: the batch's var divides by n - correction, 0 as in torch, 1 as in
    the lecture (Bessel); the running var takes the unbiased one in both. All in one float dtype.
    ValueError for one value a feature in training; RuntimeError for shapes and dtypes, naming them.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html; Ioffe and Szegedy 2015.
    """
    x = as_tensor(input, "batch_norm")
    array = x.array
    if array.ndim < 2:
        raise IndexError(f"batch_norm needs an input of shape (n, features, ...), got {x.array.shape}")
    if array.dtype.kind != "f":
        raise RuntimeError(f"batch_norm needs floats, got {x.dtype}: call .float() on the input first")
    given = [None if t is None else as_tensor(t, "batch_norm") for t in (running_mean, running_var, weight, bias)]
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    if running_mean is None and not training:
        raise RuntimeError("running_mean must be defined in evaluation mode")
    for name, t in zip(("running_mean", "running_var", "weight", "bias"), given, strict=True):
        if t is not None and (t.array.shape != array.shape[1:2] or t.array.dtype is not array.dtype):
            _misfit(name, t, x)
    mean, var, gain, shift = given
    dim = (0,) if array.ndim == 2 else (0, *range(2, array.ndim))
    n = array.size // max(array.shape[1], 1)
    if not training:
        assert mean is not None and var is not None
        scale = (var + eps) ** -0.5
        scale = _along(scale if gain is None else scale * gain, x.ndim, 1)
        y = (x - _along(mean, x.ndim, 1)) * scale
        return y if shift is None else y + _along(shift, x.ndim, 1)
    if not n:  # an empty result, and nothing to learn from
        y = x * 1 if gain is None else x * _along(gain, x.ndim, 1)
        return y if shift is None else y + _along(shift, x.ndim, 1)
    if n <= max(correction, 1):
        least = max(correction, 1)
        raise ValueError(f"Expected more than {least} value per channel when training, got input size {x.array.shape}")
    settings = {"dim": dim, "eps": eps, "correction": correction}
    y, extras = run(ops.BatchNorm, (x, gain, shift), settings)
    if mean is not None and var is not None:
        batch_mean, batch_var = extras[2].reshape(-1), extras[3].reshape(-1)
        unbiased = momentum * (n - correction) / (n - 1)
        write(mean, mean.array * (1 - momentum) + batch_mean * momentum, "batch_norm")
        write(var, var.array * (1 - momentum) + batch_var * unbiased, "batch_norm")
    return y


def _misfit(name: str, t: Tensor, x: Tensor) -> None:
    if t.dtype is not x.dtype:
        raise RuntimeError(f"batch_norm: {name} is {t.dtype}, the input {x.dtype}: make them one dtype")
    raise RuntimeError(
        f"{name} should contain {x.shape[1]} elements for input {x.array.shape}, not shape {t.array.shape}"
    )


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, of sizes normalized_shape.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html; Ba, Kiros, Hinton 2016.
    """
    x, last = _floats(input, "layer_norm"), tuple(normalized_shape)
    if not last:
        raise RuntimeError("layer_norm: normalized_shape is (), it needs a dimension at least")
    for what, t in (("input", x), ("weight", weight), ("bias", bias)):
        if t is not None and (t.shape[-len(last) :] if what == "input" else t.shape) != last:
            raise RuntimeError(f"layer_norm over the shape {last}: the {what} has shape {t.array.shape}")
    gain, shift = (None if t is None else as_tensor(t, "layer_norm") for t in (weight, bias))
    return apply(ops.LayerNorm, x, gain, shift, dim=tuple(range(x.ndim - len(last), x.ndim)), eps=eps)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """y = x * kept / (1 - p), kept being 0 with probability p; x itself when not training. torch's draws for a seed.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html; Srivastava et al. 2014.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if inplace:
        raise ValueError("dropout: inplace=True is not supported, use the result")
    x = as_tensor(input, "dropout")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0
    kept = drawn(x.array, lambda shape, _: _random.default_generator.bernoulli(1 - p, shape, x.dtype))
    return x * wrap(kept / x.dtype.type(1 - p))


# --------------------------------------------------------------------------------------------- nonlinearities


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """y = x * (the normal distribution's share below x); approximate="tanh": GPT-2's formula. See minigrad.ops.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gelu.html
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")
    return apply(ops.GeluTanh if approximate == "tanh" else ops.Gelu, _floats(input, "gelu"))


def _floats(input: Any, name: str) -> Tensor:
    """The input as a Tensor. NotImplementedError (a RuntimeError), as torch's, for ints and bools."""
    x = as_tensor(input, name)
    if x.dtype.kind != "f":
        raise NotImplementedError(f"{name} needs floats, got {x.dtype}: call .float() on the input first")
    return x


def silu(input: Any) -> Tensor:
    """y = x * sigmoid(x). Source: torch.nn.functional.silu."""
    x = _floats(input, "silu")
    return x * sigmoid(x)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """y = x where x > 0, else negative_slope * x. Source: torch.nn.functional.leaky_relu."""
    x = _floats(input, "leaky_relu")
    return _f.where(x > 0, x, x * negative_slope)


def elu(input: Any, alpha: float = 1.0) -> Tensor:
    """y = x where x > 0, else alpha * (exp(x) - 1). Source: torch.nn.functional.elu."""
    return apply(ops.Elu, _floats(input, "elu"), alpha=float(alpha))


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = log(1 + exp(beta * x)) / beta, and x where beta * x > threshold. Source: torch.nn.functional.softplus."""
    x = _floats(input, "softplus")
    return _f.where(x * beta > threshold, x, apply(ops.Softplus, x * beta) / beta)


# ------------------------------------------------------------------------------------------------- arrangements


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """y = x with pad[0] elements of value before and pad[1] after along the last dimension, pad[2:4] the one before ...

    A negative number takes elements away. RuntimeError for a pad of odd length or of more dimensions than x has;
    NotImplementedError for a mode other than "constant". Source: torch.nn.functional.pad.
    """
    x, widths = as_tensor(input, "pad"), [int(n) for n in pad]
    if mode != "constant":
        raise NotImplementedError(f"pad: mode {mode!r} is not there, only 'constant'")
    if len(widths) % 2 or len(widths) > 2 * x.ndim:
        raise RuntimeError(f"pad: {widths} needs an even length of at most twice the {x.ndim} dimensions of the input")
    for i in range(len(widths) // 2):
        dim, (before, after) = x.ndim - 1 - i, widths[2 * i : 2 * i + 2]
        n = x.shape[dim]
        if n + min(before, 0) + min(after, 0) < 0:
            raise RuntimeError(f"pad: {widths} takes more than the {n} elements of dimension {dim}")
        x = x[(slice(None),) * dim + (slice(max(-before, 0), n - max(-after, 0)),)]
        parts = [x]
        for width, front in ((before, True), (after, False)):
            if width > 0:
                shape = (*x.shape[:dim], width, *x.shape[dim + 1 :])
                edge = wrap(np.full(shape, 0 if value is None else value, x.dtype))
                parts = [edge, *parts] if front else [*parts, edge]
        x = _f.cat(parts, dim) if len(parts) > 1 else x
    return x.clone() if x is input or x._view is not None else x


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """y = x / max(norm(x, p), eps) along dim. Source: torch.nn.functional.normalize."""
    x = as_tensor(input, "normalize")
    return x / _f.clamp(_f.norm(x, p, dim, keepdim=True), eps)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """y = softmax(query @ key.T * scale) @ value: (..., t, d), (..., s, d), (..., s, e) -> (..., t, e).

    scale: 1 / sqrt(d) by default. attn_mask: bool, False where a query may not see a key, or floats to add. is_causal:
    query i sees keys 0 .. i; RuntimeError with a mask as well. dropout_p acts always, as in torch: pass 0 to evaluate.
    A row that may see nothing gives 0.
    Source: torch.nn.functional.scaled_dot_product_attention; Vaswani et al. 2017.
    """
    q, k, v = (as_tensor(x, "scaled_dot_product_attention") for x in (query, key, value))
    if min(q.ndim, k.ndim, v.ndim) < 2:
        shapes = ", ".join(str(x.array.shape) for x in (q, k, v))
        raise RuntimeError(f"scaled_dot_product_attention needs two dimensions at least, got shapes {shapes}")
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    scores = q @ _f.transpose(k, -2, -1) * (1 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale)
    if is_causal:
        if attn_mask is not None:
            raise RuntimeError("scaled_dot_product_attention: is_causal=True and attn_mask exclude each other")
        attn_mask = wrap(np.tri(q.shape[-2], k.shape[-2], dtype=bool))
    if attn_mask is None:
        weights = softmax(scores, -1)
    else:
        mask = as_tensor(attn_mask, "scaled_dot_product_attention")
        if mask.dtype not in (bool, np.float32, q.dtype):
            raise RuntimeError(f"attn_mask is of dtype {mask.dtype}: it must be bool, float32 or the query's {q.dtype}")
        scores = _f.masked_fill(scores, ~mask, -math.inf) if mask.dtype.kind == "b" else scores + mask
        blind = wrap(as_array((scores.array == -math.inf).all(-1, keepdims=True)))
        weights = _f.masked_fill(softmax(_f.masked_fill(scores, blind, 0.0), -1), blind, 0.0)
    return (dropout(weights, dropout_p) if dropout_p else weights) @ v


def __getattr__(name: str) -> Any:
    from ..names import missing

    raise missing("minigrad.nn.functional", name, globals())
