"""F: the functions that layers and losses are made of, in torch.nn.functional's names and meanings.

The two that the lecture derives as one formula each run as one rule: cross_entropy (exercise 2) on (n, classes) logits
and batch_norm (exercise 3) in training. Everything else is composed of the ops.
Source: https://docs.pytorch.org/docs/stable/nn.functional.html
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functions as _f, ops, random as _random
from ..functions import (
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
from ..tensor import Tensor, wrap

REDUCTIONS = ("mean", "sum", "none")


# --------------------------------------------------------------------------------------------------- losses


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """loss = -mean(log_softmax(input)[i, target[i]]), from logits that need not be normalised.

    input (n, classes), (n, classes, d1, ...) or (classes,). target: the classes, int64 or uint8, (n,), (n, d1, ...) or
    (); or their probabilities, floats in input's shape, which may require grad. weight (classes,): how much each class
    counts; "mean" divides by the weights of the targets. Rows whose target is ignore_index count for nothing.
    label_smoothing: that share of the target is spread over all classes. The result is 0-d, or for
    reduction="none" one loss a row. With n = 0, or all rows ignored, the mean is nan.
    RuntimeError for dtypes and shapes that do not go together, ValueError for the batch size and a reduction that is
    not there, IndexError for a class out of range (it names the row).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
    """
    x, target = as_tensor(input, "cross_entropy"), as_tensor(target, "cross_entropy")
    reduction = _reduction(reduction, size_average, reduce)
    logits, classes = x.array, target.array
    plain = logits.ndim == 2 and classes.ndim == 1 and weight is None and not label_smoothing
    # As unsigned numbers the negative classes are large: one look for both bounds, and for ignore_index.
    if (
        plain
        and logits.dtype.kind == "f"
        and classes.dtype == np.int64
        and 0 < len(classes) == len(logits)
        and np.maximum.reduce(classes.view(np.uint64)) < logits.shape[1]
        and (ignore_index < 0 or ignore_index not in classes)
    ):
        return apply(ops.CrossEntropy, x, target=classes, reduction=reduction)
    if logits.dtype.kind != "f":
        raise RuntimeError(f"cross_entropy needs float logits, got {x.dtype}: call .float() on the input first")
    if not logits.ndim:
        raise RuntimeError("cross_entropy needs logits of shape (n, classes) or (classes,), got a 0-d Tensor")
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 1 if x.ndim > 1 else 0
    if target.shape == x.shape:
        return _probability_entropy(x, target, weight, ignore_index, reduction, label_smoothing, dim)
    logprobs = _f.log_softmax(x, dim)
    loss = nll_loss(logprobs, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not label_smoothing:
        return loss
    weight = None if weight is None else _class_weight(weight, x.shape[dim]).detach()
    share = label_smoothing / x.shape[dim]
    smooth = -_f.sum(logprobs if weight is None else logprobs * _along(weight, x.ndim, dim), dim)
    labels, ignored = _labels(target, x.shape[dim], ignore_index)
    smooth = _f.masked_fill(smooth, wrap(ignored), 0.0)
    if reduction != "none":
        smooth = _f.sum(smooth)
    if reduction == "mean":
        smooth = smooth / (_counts(labels, ignored, weight, x.dtype).sum())
    return loss * (1 - label_smoothing) + smooth * share


def _probability_entropy(
    x: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str, label_smoothing: float, dim: int
) -> Tensor:
    """loss = -sum(target * log_softmax(x)) a row: the target is a distribution."""
    if target.dtype.kind != "f":
        raise RuntimeError(
            f"the target has the shape {target.shape} of the input, so it must hold class probabilities (floats), got "
            f"{target.dtype}; class indices have shape {x.shape[:dim] + x.shape[dim + 1 :]}"
        )
    if ignore_index >= 0:
        raise RuntimeError(f"ignore_index is not supported for floating point target, got {ignore_index}")
    n_classes = x.shape[dim]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / n_classes
    terms = target * _f.log_softmax(x, dim)
    if weight is not None:
        terms = terms * _along(_class_weight(weight, n_classes), x.ndim, dim)
    if reduction == "none":
        return -_f.sum(terms, dim)
    loss = -_f.sum(terms)
    return loss / x.dtype.type(x.array.size / n_classes) if reduction == "mean" else loss


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """loss = -mean(input[i, target[i]]) of log probabilities. Shapes, arguments and errors as in cross_entropy.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.nll_loss.html
    """
    x, target = as_tensor(input, "nll_loss"), as_tensor(target, "nll_loss")
    reduction = _reduction(reduction, size_average, reduce)
    if target.dtype not in (np.int64, np.uint8):
        fix = f"; class probabilities have the input's shape {x.shape}" if target.dtype.kind == "f" else ""
        raise RuntimeError(f"expected target dtype to be int64 or uint8, got {target.dtype}: convert with .long(){fix}")
    dim = 1 if x.ndim > 1 else 0
    if not x.ndim:
        raise RuntimeError("nll_loss needs an input of shape (n, classes) or (classes,), got a 0-d Tensor")
    if x.ndim == 1 and target.shape == (1,):
        target = target.reshape(())
    if dim and target.ndim and target.shape[0] != x.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({target.shape[0]}): "
            f"input {x.shape}, target {target.shape}"
        )
    if target.shape != (x.shape[:1] + x.shape[2:] if dim else ()):
        want = x.shape[:1] + x.shape[2:] if dim else ()
        raise RuntimeError(f"Expected target shape {want} for an input of shape {x.shape}, got {target.shape}")
    n_classes = x.shape[dim]
    labels, ignored = _labels(target, n_classes, ignore_index)
    rows = x if x.ndim <= 2 else _f.movedim(x, 1, -1)
    rows = rows.reshape(labels.size, n_classes)
    losses = -apply(ops.Index, rows, index=(np.arange(labels.size), labels.reshape(-1))).reshape(labels.shape)
    if weight is not None:
        weight = _class_weight(weight, n_classes)
        if weight.requires_grad:
            raise RuntimeError("nll_loss has no gradient for weight: pass weight.detach()")
        losses = losses * apply(ops.Index, weight, index=(labels,)).to(x.dtype)
    if ignored.any():
        losses = _f.masked_fill(losses, wrap(ignored), 0.0)
    if reduction == "none":
        return losses
    total = _f.sum(losses)
    return total / _counts(labels, ignored, weight, x.dtype).sum() if reduction == "mean" else total


def _reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction asked for, also in torch's old way of two bools; ValueError for an unknown one."""
    if size_average is not None or reduce is not None:
        message = "size_average and reduce are deprecated, use reduction='mean', 'sum' or 'none'"
        warnings.warn(message, UserWarning, stacklevel=3)
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: use one of {', '.join(REDUCTIONS)}")
    return reduction


def _labels(target: Tensor, n_classes: int, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes as int64 with 0 where ignored, and where that is. IndexError for one out of range."""
    labels = np.asarray(target.array).astype(np.int64)
    ignored = labels == ignore_index
    wrong = ((labels < 0) | (labels >= n_classes)) & ~ignored
    if wrong.any():
        at = np.argwhere(wrong)[0].tolist()
        where = f" in row {at[0] if len(at) == 1 else tuple(at)}" if at else ""
        value, last = labels[tuple(at)], n_classes - 1
        raise IndexError(f"Target {value}{where} is out of bounds: the input has {n_classes} classes, 0 to {last}")
    labels[ignored] = 0
    return labels, np.asarray(ignored)


def _class_weight(weight: Any, n_classes: int) -> Tensor:
    weight = as_tensor(weight, "the class weight")
    if weight.shape != (n_classes,):
        raise RuntimeError(f"weight needs shape ({n_classes},), one a class, got {weight.shape}")
    return weight


def _along(weight: Tensor, ndim: int, dim: int) -> Tensor:
    """A vector shaped so that it lies along dimension dim of ndim."""
    return weight.reshape([-1 if d == dim else 1 for d in range(ndim)])


def _counts(labels: np.ndarray, ignored: np.ndarray, weight: Tensor | None, dtype: np.dtype) -> Any:
    """How much each row counts in the mean: its class's weight or 1, and 0 where ignored."""
    return np.where(ignored, 0, 1 if weight is None else weight.array[labels]).astype(dtype)


def mse_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """loss = mean((input - target)**2), "mean", "sum" or "none"; warns where the shapes differ and are broadcast.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """
    x, y = _pair(input, target, "mse_loss")
    return _reduced(_f.square(x - y), _reduction(reduction, size_average, reduce))


def l1_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """loss = mean(|input - target|). Source: torch.nn.functional.l1_loss."""
    x, y = _pair(input, target, "l1_loss")
    return _reduced(_f.abs(x - y), _reduction(reduction, size_average, reduce))


def _pair(input: Any, target: Any, name: str) -> tuple[Tensor, Tensor]:
    x, y = as_tensor(input, name), as_tensor(target, name)
    if x.shape != y.shape:
        message = f"{name}: the target has shape {y.shape}, the input {x.shape}: broadcast, which is rarely meant"
        warnings.warn(message, UserWarning, stacklevel=3)
    return x, y


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    return _f.mean(losses) if reduction == "mean" else _f.sum(losses) if reduction == "sum" else losses


# --------------------------------------------------------------------------------------------------- layers


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """y = x @ W.T + b: x (..., in), weight (out, in) or (in,), bias (out,). RuntimeError names shapes that do not fit.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
    """
    x, W = as_tensor(input, "linear"), as_tensor(weight, "linear")
    if not 1 <= W.array.ndim <= 2 or not x.array.ndim or x.array.shape[-1] != W.array.shape[-1]:
        raise RuntimeError(f"linear: input {x.shape} and weight {W.shape} do not fit: they are (..., in) and (out, in)")
    y = _f.matmul(x, _f.transpose(W, 0, 1) if W.array.ndim == 2 else W)
    if bias is None:
        return y
    bias = as_tensor(bias, "linear")
    if bias.array.shape != W.array.shape[:-1] and bias.array.size != 1:
        raise RuntimeError(f"linear: bias {bias.shape} and weight {W.shape} do not fit: they are (out,) and (out, in)")
    return y + bias


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
        raise RuntimeError(f"embedding needs a weight of shape (n, d), got {W.shape}")
    n = W.array.shape[0]
    if index.size and (index.min() < 0 or index.max() >= n):
        wrong = np.argwhere((index < 0) | (index >= n))[0].tolist()
        where = f" at {tuple(wrong)}" if wrong else ""
        raise IndexError(f"index out of range: {index[tuple(wrong)]}{where}, the embedding has rows 0 to {n - 1}")
    y = apply(ops.Index, W, index=(np.asarray(index),))
    if padding_idx is None:
        return y
    if not -n <= padding_idx < n:
        raise ValueError(f"padding_idx must be within the {n} rows, got {padding_idx}")
    return _f.where(wrap(np.asarray(index == padding_idx % n)[..., None]), y.detach(), y)


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
        raise IndexError(f"batch_norm needs an input of shape (n, features, ...), got {x.shape}")
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
    if n <= max(correction, 1):
        least = max(correction, 1)
        raise ValueError(f"Expected more than {least} value per channel when training, got input size {x.shape}")
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
    raise RuntimeError(f"{name} should contain {x.shape[1]} elements for input {x.shape}, not shape {t.shape}")


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, of sizes normalized_shape.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html; Ba, Kiros, Hinton 2016.
    """
    x, last = as_tensor(input, "layer_norm"), tuple(normalized_shape)
    for what, t in (("input", x), ("weight", weight), ("bias", bias)):
        if t is not None and (t.shape[-len(last) :] if what == "input" else t.shape) != last:
            raise RuntimeError(f"layer_norm over the shape {last}: the {what} has shape {t.shape}")
    dim = tuple(range(-len(last), 0))
    diff = x - _f.mean(x, dim, keepdim=True)
    y = diff * (_f.mean(diff * diff, dim, keepdim=True) + eps) ** -0.5
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


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
    kept = _random.default_generator.bernoulli(1 - p, x.shape, x.dtype)
    return x * wrap(kept / x.dtype.type(1 - p))
