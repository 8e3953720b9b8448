"""HIPS autograd."""

from __future__ import annotations

from typing import Any

import autograd
import autograd.numpy as anp

from benchmarks.problem import EPS, LR, Problem, Stepper


def loss_of(parameters: Any, Xb: Any, Yb: Any) -> Any:
    """The network's loss; parameters, a list of the seven."""
    C, W1, b1, W2, b2, gain, bias = parameters
    n = Xb.shape[0]
    x = anp.dot(C[Xb].reshape((n, -1)), W1) + b1
    diff = x - anp.mean(x, 0, keepdims=True)
    var = anp.sum(diff * diff, 0, keepdims=True) / (n - 1)
    logits = anp.dot(anp.tanh(gain * (diff / anp.sqrt(var + EPS)) + bias), W2) + b2
    logits = logits - anp.max(logits, 1, keepdims=True)
    return anp.mean(anp.log(anp.sum(anp.exp(logits), 1)) - logits[anp.arange(n), Yb])


def step(problem: Problem) -> Stepper:
    X, Y = problem.X, problem.Y
    parameters = [values.copy() for values in problem.start]
    both = autograd.value_and_grad(loss_of)

    def run(ix: Any) -> float:
        loss, gradients = both(parameters, X[ix], Y[ix])
        for p, g in zip(parameters, gradients, strict=True):
            p -= LR * g
        return float(loss)

    return Stepper(problem.batches(), run)
