"""Where the lecture's step spends its time: each rule of the eager step alone, beside the numpy that does it by hand.

`python -m benchmarks.parts` prints the table. What is left of the step is the engine: recording, the walk, leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.measure import turns
from benchmarks.peers import by_hand, ours
from benchmarks.problem import CONTEXT, EMBD, LR, Problem
from minigrad import ops

SECONDS = 12.0
Part = tuple[Callable[[], Any], Callable[[], Any]]


def parts(problem: Problem) -> dict[str, Part]:
    """name: (what minigrad's rule does, what numpy by hand does), on arrays of the step's shapes."""
    C, W1, b1, W2, b2, gain, bias = problem.start
    rng, N = np.random.default_rng(1), problem.batch
    Xb, Yb, rows = problem.X[:N], problem.Y[:N], np.arange(problem.batch)
    emb = rng.standard_normal((N, CONTEXT * EMBD)).astype(np.float32)
    x, g = (rng.standard_normal((N, problem.hidden)).astype(np.float32) for _ in range(2))
    logits, dlogits = x @ W2, rng.standard_normal((N, problem.vocab)).astype(np.float32)
    demb = rng.standard_normal((N, CONTEXT, EMBD)).astype(np.float32)
    h = np.tanh(x)
    _, diff, var_inv, *_ = ops.BatchNorm.forward(x, gain, bias, dim=(0,), correction=1)
    raw = diff * var_inv
    _, e, totals = ops.CrossEntropy.forward(logits, target=Yb)
    add_rows = by_hand.rows_added(problem.vocab, N * CONTEXT)
    one = np.float32(1)
    leaves = [mg.tensor(p, requires_grad=True) for p in problem.start]
    for p in leaves:
        p.grad = mg.ones_like(p)
    optimizer = mg.optim.SGD(leaves, lr=LR)
    arrays = [(p.copy(), np.ones_like(p)) for p in problem.start]

    def products() -> None:
        emb @ W1, x @ W2, emb.T @ g, g @ W1.T, x.T @ dlogits, dlogits @ W2.T

    def norm() -> Any:
        diff = x - x.mean(0, keepdims=True)
        raw = diff * (1 / np.sqrt((diff * diff).sum(0, keepdims=True) / (N - 1) + 1e-5))
        return gain * raw + bias

    def norm_back() -> Any:
        dgain, dbias = (raw * g).sum(0, keepdims=True), g.sum(0, keepdims=True)
        return gain * var_inv / N * (N * g - dbias - N / (N - 1) * raw * dgain)

    def entropy() -> Any:
        shifted = logits - logits.max(1, keepdims=True)
        total = np.exp(shifted).sum(1, keepdims=True)
        return (np.log(total[:, 0]) - shifted[rows, Yb]).mean()

    def entropy_back() -> Any:
        d = e / totals
        d[rows, Yb] -= 1
        d /= N
        return d

    def update() -> None:
        for p, d in arrays:
            p -= LR * d

    backward = ops.BatchNorm.backward
    return {
        "six matrix products": (products, products),
        "tanh": (lambda: ops.Tanh.forward(x), lambda: np.tanh(x)),
        "its backward": (lambda: ops.Tanh.dx(g, h), lambda: (1 - h * h) * g),
        "batch norm": (lambda: ops.BatchNorm.forward(x, gain, bias, dim=(0,), correction=1), norm),
        "its backward ": (lambda: backward(g, diff, var_inv, x.shape, gain, bias, (0,), 1), norm_back),
        "cross entropy": (lambda: ops.CrossEntropy.forward(logits, target=Yb), entropy),
        "its backward  ": (lambda: ops.CrossEntropy.dlogits(one, e, totals, Yb, "mean"), entropy_back),
        "rows of C": (lambda: ops.Index.forward(C, index=(Xb,)), lambda: C[Xb]),
        "their gradient": (lambda: ops.Index.dx(demb, C.shape, (Xb,)), lambda: add_rows(Xb, demb.reshape(-1, EMBD))),
        "both biases": (lambda: (x + b1, logits + b2), lambda: (x + b1, logits + b2)),
        "their gradients": (
            lambda: (ops.SumTo.forward(g, shape=b1.shape), ops.SumTo.forward(dlogits, shape=b2.shape)),
            lambda: (g.sum(0), dlogits.sum(0)),
        ),
        "update": (optimizer.step, update),
    }


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    problem = Problem()
    contenders: dict[str, Callable[[], Any]] = {}
    for name, (rule, hand) in parts(problem).items():
        contenders[f"{name}|rule"], contenders[f"{name}|hand"] = rule, hand
    for name, make in (("rule", ours.fused), ("hand", by_hand.plain), ("captured", ours.captured)):
        contenders[f"step|{name}"] = make(problem)
    seen = {name: float(np.median(times)) * 1e6 for name, times in turns(contenders, SECONDS, most=2000).items()}
    table = Table("part", "minigrad", "numpy by hand", title="A step of the lecture's network, us")
    for name in parts(problem):
        table.add_row(name, f"{seen[name + '|rule']:.1f}", f"{seen[name + '|hand']:.1f}")
    sums = {side: sum(us for name, us in seen.items() if name.endswith(side)) - seen[f"step|{side}"]
            for side in ("rule", "hand")}  # fmt: skip
    table.add_row("all of these", f"{sums['rule']:.1f}", f"{sums['hand']:.1f}")
    table.add_row("the step, op by op", f"{seen['step|rule']:.1f}", f"{seen['step|hand']:.1f}")
    table.add_row("the step, captured", f"{seen['step|captured']:.1f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
