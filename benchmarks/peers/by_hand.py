"""numpy by hand: exercise 4's own backward pass, without any engine; once as one writes it, once with all buffers kept.

Both are written for speed where that costs no clarity: the rows of the embedding's gradient are added by the way that
is fastest at the size (see rows_added).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.problem import CONTEXT, EMBD, EPS, LR, Problem, Stepper


def rows_added(vocab: int, rows: int) -> Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.float32]]:
    """dC from the (rows, EMBD) gradients of its rows: a product with the one-hot rows, or np.add.at for a large C."""
    if vocab <= 100:
        one_hot = np.eye(vocab, dtype=np.float32)
        return lambda ix, d: one_hot[ix.reshape(-1)].T @ d

    def added(ix: NDArray[np.int64], d: NDArray[np.float32]) -> NDArray[np.float32]:
        dC = np.zeros((vocab, EMBD), np.float32)
        np.add.at(dC, ix.reshape(-1), d)
        return dC

    return added


def plain(problem: Problem) -> Stepper:
    C, W1, b1, W2, b2, gain, bias = parameters = [values.copy() for values in problem.start]
    X, Y, N = problem.X, problem.Y, problem.batch
    rows = np.arange(N)
    add_rows = rows_added(problem.vocab, N * CONTEXT)

    def run(ix: Any) -> float:
        Xb, Yb = X[ix], Y[ix]
        embcat = C[Xb].reshape(N, -1)
        hprebn = embcat @ W1 + b1
        diff = hprebn - hprebn.mean(0, keepdims=True)
        var_inv = 1 / np.sqrt((diff * diff).sum(0, keepdims=True) / (N - 1) + EPS)
        raw = diff * var_inv
        h = np.tanh(gain * raw + bias)
        logits = h @ W2 + b2
        logits -= logits.max(1, keepdims=True)
        e = np.exp(logits)
        total = e.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - logits[rows, Yb]).mean()
        dlogits = e / total
        dlogits[rows, Yb] -= 1
        dlogits /= N
        dW2, db2 = h.T @ dlogits, dlogits.sum(0)
        dhpreact = (1 - h * h) * (dlogits @ W2.T)
        dgain, dbias = (raw * dhpreact).sum(0, keepdims=True), dhpreact.sum(0, keepdims=True)
        dhprebn = gain * var_inv / N * (N * dhpreact - dbias - N / (N - 1) * raw * dgain)
        dW1, db1 = embcat.T @ dhprebn, dhprebn.sum(0)
        dC = add_rows(Xb, (dhprebn @ W1.T).reshape(-1, EMBD))
        for p, g in zip(parameters, (dC, dW1, db1, dW2, db2, dgain, dbias), strict=True):
            p -= LR * g
        return float(loss)

    return Stepper(problem.batches(), run)


def buffers(problem: Problem) -> Stepper:
    """The same formulas; every array is made once, and everything is written into it by out=."""
    C, W1, b1, W2, b2, gain, bias = parameters = [values.copy() for values in problem.start]
    X, Y, N, H, V = problem.X, problem.Y, problem.batch, problem.hidden, problem.vocab
    empty = np.empty
    Xb, Yb, rows = empty((N, CONTEXT), np.int64), empty(N, np.int64), np.arange(N)
    emb = empty((N, CONTEXT, EMBD), np.float32)
    embcat = emb.reshape(N, -1)
    x, raw, h, t, u = (empty((N, H), np.float32) for _ in range(5))
    mean, var_inv, r = (empty((1, H), np.float32) for _ in range(3))
    logits, e = empty((N, V), np.float32), empty((N, V), np.float32)
    row, at = empty((N, 1), np.float32), empty(N, np.float32)
    demb = empty((N, CONTEXT * EMBD), np.float32)
    gradients = dC, dW1, db1, dW2, db2, dgain, dbias = [np.empty_like(p) for p in parameters]
    one_hot = np.eye(V, dtype=np.float32) if V <= 100 else None
    hot = empty((N * CONTEXT, V if one_hot is not None else 0), np.float32)
    flat, demb_rows = Xb.reshape(-1), demb.reshape(-1, EMBD)
    add, sub, mul, div, matmul = np.add, np.subtract, np.multiply, np.divide, np.matmul
    sums, maxima = np.add.reduce, np.maximum.reduce

    def run(ix: Any) -> float:
        X.take(ix, 0, out=Xb, mode="clip")
        Y.take(ix, 0, out=Yb, mode="clip")
        C.take(Xb, 0, out=emb, mode="clip")
        matmul(embcat, W1, out=x)
        add(x, b1, out=x)
        sums(x, 0, out=mean, keepdims=True)
        mul(mean, 1 / N, out=mean)
        sub(x, mean, out=x)
        mul(x, x, out=t)
        sums(t, 0, out=var_inv, keepdims=True)
        mul(var_inv, 1 / (N - 1), out=var_inv)
        add(var_inv, EPS, out=var_inv)
        np.sqrt(var_inv, out=var_inv)
        div(1, var_inv, out=var_inv)
        mul(x, var_inv, out=raw)
        mul(raw, gain, out=h)
        add(h, bias, out=h)
        np.tanh(h, out=h)
        matmul(h, W2, out=logits)
        add(logits, b2, out=logits)
        maxima(logits, 1, out=row, keepdims=True)
        sub(logits, row, out=logits)
        np.exp(logits, out=e)
        sums(e, 1, out=row, keepdims=True)
        np.log(row[:, 0], out=at)
        sub(at, logits[rows, Yb], out=at)
        loss = sums(at) / N
        div(e, row, out=e)  # dlogits
        e[rows, Yb] -= 1
        mul(e, 1 / N, out=e)
        matmul(h.T, e, out=dW2)
        sums(e, 0, out=db2)
        matmul(e, W2.T, out=t)
        mul(h, h, out=h)
        sub(1, h, out=h)
        mul(h, t, out=h)  # dhpreact
        mul(raw, h, out=t)
        sums(t, 0, out=dgain, keepdims=True)
        sums(h, 0, out=dbias, keepdims=True)
        mul(h, N, out=u)
        sub(u, dbias, out=u)
        mul(dgain, N / (N - 1), out=r)
        mul(raw, r, out=t)
        sub(u, t, out=u)
        mul(gain, var_inv, out=r)
        mul(r, 1 / N, out=r)
        mul(u, r, out=u)  # dhprebn
        matmul(embcat.T, u, out=dW1)
        sums(u, 0, out=db1)
        matmul(u, W1.T, out=demb)
        if one_hot is not None:
            one_hot.take(flat, 0, out=hot, mode="clip")
            matmul(hot.T, demb_rows, out=dC)
        else:
            dC.fill(0)
            np.add.at(dC, flat, demb_rows)
        for p, g in zip(parameters, gradients):  # noqa: B905
            mul(g, LR, out=g)
            sub(p, g, out=p)
        return float(loss)

    return Stepper(problem.batches(), run)


def products(problem: Problem) -> Stepper:
    """The six matrix products of a step, and nothing else: what no implementation on this BLAS can be below."""
    W1, W2 = problem.start[1], problem.start[3]
    N, H, V = problem.batch, problem.hidden, problem.vocab
    rng = np.random.default_rng(2)
    embcat, h, dlogits, dhprebn = (
        rng.standard_normal((N, width)).astype(np.float32) for width in (CONTEXT * EMBD, H, V, H)
    )
    hprebn, logits, dh, demb = (np.empty((N, width), np.float32) for width in (H, V, H, CONTEXT * EMBD))
    dW1, dW2 = np.empty_like(W1), np.empty_like(W2)
    matmul = np.matmul

    def run(ix: Any) -> float:
        matmul(embcat, W1, out=hprebn)
        matmul(h, W2, out=logits)
        matmul(h.T, dlogits, out=dW2)
        matmul(dlogits, W2.T, out=dh)
        matmul(embcat.T, dhprebn, out=dW1)
        matmul(dhprebn, W1.T, out=demb)
        return 0.0

    return Stepper(lambda: None, run)
