"""tinygrad on the CPU, the whole step under its TinyJit; it needs the program clang."""

from __future__ import annotations

import os
import shutil
from typing import Any

from benchmarks.peers import Absent
from benchmarks.problem import EPS, LR, Problem, Stepper

os.environ.setdefault("DEV", "CPU")

from tinygrad import Tensor, TinyJit
from tinygrad.helpers import Context
from tinygrad.nn.optim import SGD


def step(problem: Problem) -> Stepper:
    if shutil.which(os.environ.get("CC", "clang")) is None:
        raise Absent("it needs the program clang (on Debian: apt install clang)")
    X, Y, n = problem.X.astype("int32"), problem.Y.astype("int32"), problem.batch
    C, W1, b1, W2, b2, gain, bias = parameters = [Tensor(values.copy()).realize() for values in problem.start]
    optimizer = SGD(parameters, lr=LR)

    @TinyJit
    def train(Xb: Any, Yb: Any) -> Any:
        x = C[Xb].reshape(n, -1) @ W1 + b1
        diff = x - x.mean(0, keepdim=True)
        var = (diff * diff).sum(0, keepdim=True) / (n - 1)
        logits = (gain * (diff * (var + EPS).rsqrt()) + bias).tanh() @ W2 + b2
        loss = logits.sparse_categorical_crossentropy(Yb)
        optimizer.zero_grad()
        loss.backward()
        return loss.realize(*optimizer.schedule_step())

    def run(ix: Any) -> float:
        with Context(TRAINING=1):
            return float(train(Tensor(X[ix]).realize(), Tensor(Y[ix]).realize()).item())

    return Stepper(problem.batches(), run)
