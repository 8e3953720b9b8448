"""The lecture's four exercises in numpy: every gradient of the network derived by hand, beside its cells.

Source: the lecture "becoming a backprop ninja" (makemore part 4): exercise 1 in cell 11, 2 in 13, 3 in 20, 4 in 22.
Each takes the values of a forward pass as plain arrays by the lecture's names, Xb and Yb among them. Nothing of the
engine is used here: what these give is what its gradients are compared with.

In exercise 1 the order of the operations is the engine's own, and so every gradient is the same to the last bit, for
batches of up to 32 rows, the lecture's: more than that the engine adds in parts, which loses less.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

EPS = 1e-5  # of the batch norm


def exercise_1(values: Mapping[str, NDArray[Any]]) -> Arrays:
    """Cell 11: backprop through all 19 intermediates and 7 parameters one by one, for the forward pass of cell 10.

    values: Xb (n, context), Yb (n,), C, W1, W2, bngain, and the 19 intermediates. Returns the 26 gradients by name.
    """
    v = SimpleNamespace(**values)
    n = len(v.Yb)
    rows = np.arange(n)

    # loss = -logprobs[range(n), Yb].mean()
    dlogprobs = np.zeros_like(v.logprobs)
    dlogprobs[rows, v.Yb] = -1.0 / n
    # logprobs = probs.log()
    dprobs = dlogprobs / v.probs  # the lecture's (1.0 / probs) * dlogprobs rounds twice, and torch and the engine once
    # probs = counts * counts_sum_inv: the one is (n, 27), the other (n, 1), and broadcasting is undone by a sum
    dcounts_sum_inv = (dprobs * v.counts).sum(1, keepdims=True)
    dcounts = dprobs * v.counts_sum_inv  # the first of two branches
    # counts_sum_inv = counts_sum**-1
    dcounts_sum = (-1 * v.counts_sum**-2) * dcounts_sum_inv
    # counts_sum = counts.sum(1, keepdims=True)
    dcounts += np.ones_like(v.counts) * dcounts_sum  # the second
    # counts = norm_logits.exp()
    dnorm_logits = v.counts * dcounts
    # norm_logits = logits - logit_maxes
    dlogits = dnorm_logits.copy()  # the first of two branches
    dlogit_maxes = (-dnorm_logits).sum(1, keepdims=True)
    # logit_maxes = logits.max(1, keepdim=True).values: to the place of the maximum, the first where there are several
    one_hot = np.arange(v.logits.shape[1]) == v.logits.argmax(1)[:, None]
    dlogits += one_hot * dlogit_maxes  # the second
    # logits = h @ W2 + b2
    dh = dlogits @ v.W2.T
    dW2 = v.h.T @ dlogits
    db2 = dlogits.sum(0)
    # h = tanh(hpreact)
    dhpreact = (1.0 - v.h**2) * dh
    # hpreact = bngain * bnraw + bnbias
    dbngain = (v.bnraw * dhpreact).sum(0, keepdims=True)
    dbnraw = v.bngain * dhpreact
    dbnbias = dhpreact.sum(0, keepdims=True)
    # bnraw = bndiff * bnvar_inv
    dbndiff = v.bnvar_inv * dbnraw  # the first of two branches
    dbnvar_inv = (v.bndiff * dbnraw).sum(0, keepdims=True)
    # bnvar_inv = (bnvar + 1e-5)**-0.5
    dbnvar = (-0.5 * power(v.bnvar + EPS, -1.5)) * dbnvar_inv
    # bnvar = 1/(n-1) * bndiff2.sum(0, keepdim=True)
    dbndiff2 = (1.0 / (n - 1)) * np.ones_like(v.bndiff2) * dbnvar
    # bndiff2 = bndiff**2
    dbndiff += (2 * v.bndiff) * dbndiff2  # the second
    # bndiff = hprebn - bnmeani
    dhprebn = dbndiff.copy()  # the first of two branches
    dbnmeani = (-dbndiff).sum(0, keepdims=True)
    # bnmeani = 1/n * hprebn.sum(0, keepdim=True)
    dhprebn += 1.0 / n * (np.ones_like(v.hprebn) * dbnmeani)  # the second
    # hprebn = embcat @ W1 + b1
    dembcat = dhprebn @ v.W1.T
    dW1 = v.embcat.T @ dhprebn
    db1 = dhprebn.sum(0)
    # embcat = emb.view(n, -1)
    demb = dembcat.reshape(v.emb.shape)
    # emb = C[Xb]: a character that stands in the batch several times gets the sum
    dC = np.zeros_like(v.C)
    for k in range(v.Xb.shape[0]):
        for j in range(v.Xb.shape[1]):
            ix = v.Xb[k, j]
            dC[ix] += demb[k, j]

    return {
        "logprobs": dlogprobs, "probs": dprobs, "counts_sum_inv": dcounts_sum_inv, "counts_sum": dcounts_sum,
        "counts": dcounts, "norm_logits": dnorm_logits, "logit_maxes": dlogit_maxes, "logits": dlogits, "h": dh,
        "W2": dW2, "b2": db2, "hpreact": dhpreact, "bngain": dbngain, "bnbias": dbnbias, "bnraw": dbnraw,
        "bnvar_inv": dbnvar_inv, "bnvar": dbnvar, "bndiff2": dbndiff2, "bndiff": dbndiff, "bnmeani": dbnmeani,
        "hprebn": dhprebn, "embcat": dembcat, "W1": dW1, "b1": db1, "emb": demb, "C": dC,
    }  # fmt: skip


def exercise_2(values: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Cell 13: dlogits of loss = cross_entropy(logits, Yb) in one go: the softmax, less 1 at the label, by n."""
    v = SimpleNamespace(**values)
    n = len(v.Yb)
    dlogits = softmax(v.logits)
    dlogits[np.arange(n), v.Yb] -= 1
    dlogits /= n
    return dlogits


def exercise_3(values: Mapping[str, NDArray[Any]], dhpreact: NDArray[Any]) -> NDArray[Any]:
    """Cell 20: dhprebn through the whole batch norm in one go, given dhpreact."""
    v = SimpleNamespace(**values)
    n = len(v.hprebn)
    return (
        v.bngain * v.bnvar_inv / n
        * (n * dhpreact - dhpreact.sum(0) - n / (n - 1) * v.bnraw * (dhpreact * v.bnraw).sum(0))
    )  # fmt: skip


def exercise_4(parameters: Mapping[str, NDArray[Any]], Xb: NDArray[Any], Yb: NDArray[Any]) -> Arrays:
    """Cell 22: the whole training step by hand, forward and backward, with what exercises 2 and 3 gave.

    parameters: C, W1, b1, W2, b2, bngain, bnbias; Xb (n, context), Yb (n,). Returns their 7 gradients by name.
    """
    p = SimpleNamespace(**parameters)
    n = len(Yb)

    # forward pass
    emb = p.C[Xb]
    embcat = emb.reshape(n, -1)
    hprebn = embcat @ p.W1 + p.b1
    bnmean = hprebn.mean(0, keepdims=True)
    bnvar = hprebn.var(0, keepdims=True, ddof=1)
    bnvar_inv = (bnvar + EPS) ** -0.5
    bnraw = (hprebn - bnmean) * bnvar_inv
    hpreact = p.bngain * bnraw + p.bnbias
    h = np.tanh(hpreact)
    logits = h @ p.W2 + p.b2

    # backward pass
    dlogits = exercise_2({"logits": logits, "Yb": Yb})
    # 2nd layer
    dh = dlogits @ p.W2.T
    dW2 = h.T @ dlogits
    db2 = dlogits.sum(0)
    # tanh
    dhpreact = (1.0 - h**2) * dh
    # batch norm
    dbngain = (bnraw * dhpreact).sum(0, keepdims=True)
    dbnbias = dhpreact.sum(0, keepdims=True)
    normed = {"hprebn": hprebn, "bngain": p.bngain, "bnvar_inv": bnvar_inv, "bnraw": bnraw}
    dhprebn = exercise_3(normed, dhpreact)
    # 1st layer
    dembcat = dhprebn @ p.W1.T
    dW1 = embcat.T @ dhprebn
    db1 = dhprebn.sum(0)
    # embedding
    demb = dembcat.reshape(emb.shape)
    dC = np.zeros_like(p.C)
    for k in range(Xb.shape[0]):
        for j in range(Xb.shape[1]):
            dC[Xb[k, j]] += demb[k, j]

    return {"C": dC, "W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "bngain": dbngain, "bnbias": dbnbias}


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """The probabilities of each row, shifted by its maximum so that exp cannot overflow."""
    counts = np.exp(logits - logits.max(1, keepdims=True))
    return counts / counts.sum(1, keepdims=True)


def power(x: NDArray[Any], n: float) -> NDArray[Any]:
    """x**n by way of float64, as the engine: numpy's own for float32 is off in the last bit on some processors."""
    return np.float_power(x, n).astype(x.dtype, copy=False)
