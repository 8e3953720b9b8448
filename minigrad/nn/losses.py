"""The losses: cross_entropy, nll_loss, mse_loss ... Each takes reduction="mean", "sum" or "none".

cross_entropy on (n, classes) logits runs as one rule (the lecture's exercise 2); everything else is composed of ops.
Source: https://docs.pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .. import functions as _f, ops
from ..convert import as_array
from ..functions.elementwise import as_tensor
from ..record import apply, apply_unary
from ..tensor import Tensor, watch_too, wrap

REDUCTIONS = ("mean", "sum", "none")
_INT64, _UINT64 = np.dtype(np.int64), np.dtype(np.uint64)


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
    x = as_tensor(input, "cross_entropy")
    logits, classes = x.array, target.array if isinstance(target, Tensor) else target
    if reduction not in REDUCTIONS or size_average is not None or reduce is not None:
        reduction = _reduction(reduction, size_average, reduce)
    # As unsigned numbers the negative classes are large: one look for both bounds, and for ignore_index.
    if (
        weight is None
        and not label_smoothing
        and isinstance(classes, np.ndarray)
        and classes.dtype == _INT64
        and logits.ndim == 2
        and logits.dtype.kind == "f"
        and classes.ndim == 1
        and 0 < len(classes) == len(logits)
        and np.maximum.reduce(classes.view(_UINT64)) < logits.shape[1]
        and (ignore_index < 0 or ignore_index not in classes)
    ):
        loss = apply_unary(ops.CrossEntropy, x, {"target": classes, "reduction": reduction})
        return loss if target is classes else watch_too(loss, (target,))
    target = as_tensor(target, "cross_entropy")
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
        smooth = smooth / wrap(_counts(labels, ignored, weight, x.dtype).sum())
    return loss * (1 - label_smoothing) + smooth * share


def _probability_entropy(
    x: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str, label_smoothing: float, dim: int
) -> Tensor:
    """loss = -sum(target * log_softmax(x)) a row: the target is a distribution."""
    if target.dtype.kind != "f":
        raise RuntimeError(
            f"the target has the shape {target.array.shape} of the input, so it must hold class probabilities "
            "(floats), got "
            f"{target.dtype}; class indices have shape {tuple(x.shape[:dim] + x.shape[dim + 1 :])}"
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
        fix = f"; class probabilities have the input's shape {x.array.shape}" if target.dtype.kind == "f" else ""
        raise RuntimeError(f"expected target dtype to be int64 or uint8, got {target.dtype}: convert with .long(){fix}")
    dim = 1 if x.ndim > 1 else 0
    if not x.ndim:
        raise RuntimeError("nll_loss needs an input of shape (n, classes) or (classes,), got a 0-d Tensor")
    if x.ndim == 1 and target.shape == (1,):
        target = target.reshape(())
    if dim and target.ndim and target.shape[0] != x.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({target.shape[0]}): "
            f"input {x.array.shape}, target {target.array.shape}"
        )
    if target.shape != (x.shape[:1] + x.shape[2:] if dim else ()):
        want = tuple(x.shape[:1] + x.shape[2:]) if dim else ()
        raise RuntimeError(
            f"Expected target shape {want} for an input of shape {x.array.shape}, got {target.array.shape}"
        )
    n_classes = x.shape[dim]
    labels, ignored = _labels(target, n_classes, ignore_index)
    rows = x if x.ndim <= 2 else _f.movedim(x, 1, -1)
    rows = rows.reshape(labels.size, n_classes)
    chosen = apply(ops.Index, rows, index=(np.arange(labels.size), labels.reshape(-1)))
    losses = -watch_too(chosen, (target,)).reshape(labels.shape)
    if weight is not None:
        weight = _class_weight(weight, n_classes)
        if weight.requires_grad:
            raise RuntimeError("nll_loss has no gradient for weight: pass weight.detach()")
        if weight.dtype != x.dtype:
            raise RuntimeError(f"nll_loss: weight is {weight.dtype}, the input {x.dtype}: make them one dtype")
        losses = losses * apply(ops.Index, weight, index=(labels,))
    if ignored.any():
        losses = _f.masked_fill(losses, wrap(ignored), 0.0)
    if reduction == "none":
        return losses
    total = _f.sum(losses)
    return total / wrap(_counts(labels, ignored, weight, x.dtype).sum()) if reduction == "mean" else total


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
    labels = as_array(target.array).astype(np.int64)
    ignored = labels == ignore_index
    wrong = ((labels < 0) | (labels >= n_classes)) & ~ignored
    if wrong.any():
        at = np.argwhere(wrong)[0].tolist()
        where = f" in row {at[0] if len(at) == 1 else tuple(at)}" if at else ""
        value, last = labels[tuple(at)], n_classes - 1
        raise IndexError(f"Target {value}{where} is out of bounds: the input has {n_classes} classes, 0 to {last}")
    labels[ignored] = 0
    return labels, as_array(ignored)


def _class_weight(weight: Any, n_classes: int) -> Tensor:
    weight = as_tensor(weight, "the class weight")
    if weight.shape != (n_classes,):
        raise RuntimeError(f"weight needs shape ({n_classes},), one a class, got {weight.array.shape}")
    return weight


def _along(weight: Tensor, ndim: int, dim: int) -> Tensor:
    """A vector shaped so that it lies along dimension dim of ndim."""
    return weight.reshape([-1 if d == dim else 1 for d in range(ndim)])


def _counts(labels: np.ndarray, ignored: np.ndarray, weight: Tensor | None, dtype: np.dtype) -> Any:
    """How much each row counts in the mean: its class's weight or 1, and 0 where ignored."""
    return np.where(ignored, 0, 1 if weight is None else weight.array[labels]).astype(dtype)


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """loss = mean((input - target)**2), "mean", "sum" or "none"; warns where the shapes differ and are broadcast.

    weight, of the input's shape (else ValueError): how much each element counts; "mean" divides by their sum.
    NotImplementedError for ints.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """
    x, y = _pair(input, target, "mse_loss")
    if "f" not in (x.dtype.kind, y.dtype.kind):
        raise NotImplementedError(f"mse_loss needs floats, got {x.dtype} and {y.dtype}: call .float() on them first")
    return _differences(_f.square(x - y), x, weight, _reduction(reduction, size_average, reduce))


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """loss = mean(|input - target|), all else as in mse_loss. Source: torch.nn.functional.l1_loss."""
    x, y = _pair(input, target, "l1_loss")
    return _differences(_f.abs(x - y), x, weight, _reduction(reduction, size_average, reduce))


def _pair(input: Any, target: Any, name: str) -> tuple[Tensor, Tensor]:
    x, y = as_tensor(input, name), as_tensor(target, name)
    if x.shape != y.shape:
        shapes = f"the target has shape {y.array.shape}, the input {x.array.shape}"
        message = f"{name}: {shapes}: broadcast, which is rarely meant"
        warnings.warn(message, UserWarning, stacklevel=3)
    return x, y


def _differences(losses: Tensor, x: Tensor, weight: Any, reduction: str) -> Tensor:
    if weight is None:
        return _reduced(losses, reduction)
    weight = as_tensor(weight, "the weight")
    if weight.shape != x.shape:
        raise ValueError(f"weight needs the input's shape {x.array.shape}, got {weight.array.shape}")
    losses = losses * weight
    return _f.sum(losses) / _f.sum(weight) if reduction == "mean" else _reduced(losses, reduction)


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    return _f.mean(losses) if reduction == "mean" else _f.sum(losses) if reduction == "sum" else losses


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """loss = -mean(target * log(input) + (1 - target) * log(1 - input)), of probabilities; a log is at least -100.

    ValueError where the shapes differ, RuntimeError where the dtypes do and for an input outside 0 .. 1.
    Source: torch.nn.functional.binary_cross_entropy.
    """
    x, y = _alike(input, target, "binary_cross_entropy")
    if x.dtype != y.dtype:
        raise RuntimeError(f"binary_cross_entropy: the target is {y.dtype}, the input {x.dtype}: make them one dtype")
    if x.array.size and not (x.array.min() >= 0 and x.array.max() <= 1):
        low, high = x.array.min(), x.array.max()
        raise RuntimeError(f"all elements of input should be between 0 and 1, got {low} to {high}: apply sigmoid first")
    losses = _weighted(apply(ops.BinaryCrossEntropy, x, y), weight, "binary_cross_entropy")
    return _reduced(losses, _reduction(reduction, size_average, reduce))


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Tensor:
    """loss = -mean(pos_weight * target * log(sigmoid(x)) + (1 - target) * log(1 - sigmoid(x))), without overflow.

    ValueError where the shapes differ, RuntimeError for ints. Source: binary_cross_entropy_with_logits in
    torch.nn.functional.
    """
    x, y = _alike(input, target, "binary_cross_entropy_with_logits")
    if y.dtype.kind != "f":
        raise RuntimeError(f"binary_cross_entropy_with_logits: the target is {y.dtype}: call .float() on it first")
    right = y * apply(ops.Softplus, -x)
    losses = (1 - y) * apply(ops.Softplus, x) + _weighted(right, pos_weight, "binary_cross_entropy_with_logits")
    losses = _weighted(losses, weight, "binary_cross_entropy_with_logits")
    return _reduced(losses, _reduction(reduction, size_average, reduce))


def _weighted(losses: Tensor, weight: Any, name: str) -> Tensor:
    """Losses times a weight that broadcasts to their shape. RuntimeError if it requires grad or is too large."""
    if weight is None:
        return losses
    weight = as_tensor(weight, name)
    if weight.requires_grad:
        raise RuntimeError(f"{name} has no gradient for its weights: pass weight.detach()")
    losses, shape = losses * weight, losses.array.shape
    if losses.array.shape != shape:
        raise RuntimeError(f"{name}: a weight of shape {weight.array.shape} does not fit losses of shape {shape}")
    return losses


def _alike(input: Any, target: Any, name: str) -> tuple[Tensor, Tensor]:
    x, y = as_tensor(input, name), as_tensor(target, name)
    if x.shape != y.shape:
        raise ValueError(f"{name}: target size {y.array.shape} must be the same as input size {x.array.shape}")
    if x.dtype.kind != "f":
        raise NotImplementedError(f"{name} needs floats, got {x.dtype}: call .float() on the input first")
    return x, y
