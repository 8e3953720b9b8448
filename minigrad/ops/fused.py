"""Several steps as one rule: softmax, cross-entropy (exercise 2) and batch norm (exercise 3) of the lecture; and where
the steps' own gradients would overflow or round away: softplus, ELU, binary cross-entropy."""

import numpy as np

from ..convert import row_numbers, shaped
from .elementwise import Exp, Expm1, Log, Log1p, Sigmoid
from .op import Op
from .reduce import Mean, Sum
from .total import largest, recorded, through_float64, total


class Softmax(Op):
    """y = exp(x) / sum(exp(x)),  dx = y * (dy - sum(y * dy))"""

    promote = "float"

    def forward(x, *, dim):
        e = Exp.apply(x - largest(x, dim))
        return e / Sum.apply(e, dim=dim, keepdim=True)

    def dx(dy, y, dim):
        return y * (dy - Sum.apply(y * dy, dim=dim, keepdim=True))


class LogSoftmax(Op):
    """y = x - log(sum(exp(x))),  dx = dy - exp(y) * sum(dy)"""

    symbol, promote = "log_softmax", "float"

    def forward(x, *, dim):
        return log_softmax(x, dim)

    def dx(dy, y, dim):
        return dy - Exp.apply(y) * Sum.apply(dy, dim=dim, keepdim=True)


def log_softmax(x, dim):
    """x less its logsumexp, shifted by the maximum so that exp cannot overflow."""
    shifted = x - largest(x, dim)
    return shifted - Log.apply(Sum.apply(Exp.apply(shifted), dim=dim, keepdim=True))


class CrossEntropy(Op):
    """loss = -mean(log_softmax(logits)[i, target[i]]),  dlogits = (softmax(logits) - one_hot(target)) / n * dloss

    logits (n, classes), target (n,) int64. reduction "mean", "sum" or "none" (one loss a row). Exercise 2.
    """

    symbol, keeps, spends = "cross_entropy", ("e", "totals"), "e"

    def forward(logits, *, target, reduction="mean"):
        shifted = logits - largest(logits, 1)
        chosen = shifted[row_numbers(len(target)), target]
        e = Exp.apply(shifted) if recorded(shifted) else through_float64(np.exp, shifted, into=shifted)
        totals = total(e, 1, keepdim=True)
        losses = Log.apply(totals[:, 0]) - chosen
        if reduction != "none":
            losses = total(losses, 0)
        return losses / logits.dtype.type(len(target)) if reduction == "mean" else losses, e, totals

    def dlogits(dloss, e, totals, target, reduction, *, into=None):
        rows = row_numbers(len(target))
        scale = dloss / len(target) if reduction == "mean" else dloss
        # Not dlogits - scale there: where the probability is near 1 that rounds more.
        chosen = (e[rows, target] / totals[:, 0] - 1) * scale
        dlogits = np.multiply(e, (scale[:, None] if reduction == "none" else scale) / totals, out=into)
        dlogits[rows, target] = chosen
        return dlogits


class Softplus(Op):
    """y = log(1 + exp(x)),  dx = dy / (1 + exp(-x))"""

    promote = "float"

    def forward(x):
        return np.logaddexp(x, x.dtype.type(0))

    def dx(dy, x):
        return Sigmoid.apply(x) * dy


class Elu(Op):
    """y = x where x > 0, else alpha * (exp(x) - 1),  dx = dy where x > 0, else alpha * exp(x) * dy

    At nan the gradient passes, and at 0 it is alpha with a derivative of 0, as torch's.
    """

    promote = "float"

    def forward(x, *, alpha=1.0):
        return np.where(x > 0, x, alpha * Expm1.apply(np.minimum(x, x.dtype.type(0))))

    def dx(dy, x, alpha):
        return np.where(x <= 0, alpha * Exp.apply(np.where(x < 0, x, 0.0)), 1.0) * dy


class BinaryCrossEntropy(Op):
    """loss = -y * log(x) - (1 - y) * log(1 - x),  dx = (x - y) / (x * (1 - x)) * dloss,
    dy = (log(1 - x) - log(x)) * dloss

    x within 0 .. 1. A log counts as -100 at least and x * (1 - x) as 1e-12, so that 0 and 1 have a finite loss and
    gradient, as torch has it.
    """

    symbol, promote = "binary_cross_entropy", "types"

    def forward(x, y):
        return (y - 1) * np.maximum(np.log1p(-x), -100) - y * np.maximum(np.log(x), -100)

    def dx(dloss, x, y):
        return (x - y) / np.maximum(x * (1 - x), 1e-12) * dloss

    def dy(dloss, x):
        return (Log1p.apply(-x) - Log.apply(x)) * dloss


class BatchNorm(Op):
    """y = gain * raw + bias with raw = (x - mean) * var_inv, var_inv = (var + eps)**-0.5 over the batch,
    dx = gain * var_inv / n * (n * dy - sum(dy) - n / (n - correction) * raw * sum(dy * raw)),
    dgain = sum(dy * raw),  dbias = sum(dy)

    x (n, features) or (n, features, length), gain and bias (features,) or (1, features), or None. Var divides by
    n - correction: 1 in the lecture (Bessel), 0 in torch's BatchNorm1d. Exercise 3. What there is one of a feature is
    multiplied first: raw = diff * var_inv itself is never needed.
    """

    symbol, keeps, spends = "batch_norm", ("diff", "var_inv", "mean", "var"), "diff"

    def forward(x, gain, bias, *, dim, eps=1e-5, correction=0):
        n = size(x.shape, dim)
        mean = total(x, dim, keepdim=True) / n
        diff = x - mean
        var = total(diff * diff, dim, keepdim=True) / (n - correction)
        var_inv = 1 / np.sqrt(var + eps)
        y = diff * (var_inv if gain is None else shaped(gain, var.shape) * var_inv)
        if bias is not None:
            y += shaped(bias, var.shape)
        return y, diff, var_inv, mean, var

    def backward(dy, diff, var_inv, x_shape, gain, bias, dim, correction, *, into=None):
        n = size(x_shape, dim)
        dbias = total(dy, dim, keepdim=True)
        dgain = total(dy * diff, dim, keepdim=True) * var_inv
        dx = dy - dbias / n
        dx -= np.multiply(diff, var_inv * dgain / (n - correction), out=into)
        dx *= var_inv if gain is None else shaped(gain, var_inv.shape) * var_inv
        return (
            dx,
            None if gain is None else shaped(dgain, gain.shape),
            None if bias is None else shaped(dbias, bias.shape),
        )


class LayerNorm(Op):
    """y = gain * raw + bias with raw = (x - mean) * var_inv, var_inv = (var + eps)**-0.5 over the last dimensions,
    dx = var_inv * (draw - mean(draw) - raw * mean(draw * raw)) with draw = dy * gain,  dgain = dy * raw,  dbias = dy

    Gain and bias have the sizes of those dimensions, or are None; the engine sums dgain and dbias. Var divides by n.
    """

    symbol, keeps = "layer_norm", ("raw", "var_inv")

    def forward(x, gain, bias, *, dim, eps=1e-5):
        diff = x - Mean.apply(x, dim=dim, keepdim=True)
        var_inv = (Mean.apply(diff * diff, dim=dim, keepdim=True) + eps) ** -0.5
        raw = diff * var_inv
        y = raw if gain is None else raw * gain
        return y if bias is None else y + bias, raw, var_inv

    def backward(dy, raw, var_inv, gain, dim):
        draw = dy if gain is None else dy * gain
        shared = Mean.apply(draw, dim=dim, keepdim=True) + raw * Mean.apply(draw * raw, dim=dim, keepdim=True)
        return var_inv * (draw - shared), dy * raw, dy


def size(shape, dim):
    """How many elements the dimensions in dim hold together."""
    n = 1
    for d in dim:
        n *= shape[d]
    return n
