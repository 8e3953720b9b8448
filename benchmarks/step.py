"""One training step of the lecture's network, side by side in one process: minigrad, torch eager, numpy by hand.

    python benchmarks/step.py [--threads 1] [--rounds 2000]

Batch drawing, forward, backward and update; batch 32, 3 x 10 -> 200 -> 27. The contenders take turns, each on its own
copy of the same parameters and the same batches; medians are printed, and ratios to torch, since machines are noisy.
Before any time counts, the losses of all must agree to 1e-4.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

N, CONTEXT, EMBD, HIDDEN, VOCAB, LR = 32, 3, 10, 200, 27, 0.1


def minigrad_steps(start: list[Any], X: Any, Y: Any) -> dict[str, Callable[[Any], float]]:
    import minigrad as mg
    from models.mlp import MLP, Config

    def step(chunked: bool) -> Callable[[Any], float]:
        model = MLP(Config(VOCAB))
        for p, values in zip(model.parameters(), start, strict=True):
            p.data = mg.tensor(values)
        optimizer = mg.optim.SGD(model.parameters(), lr=LR)

        def run(ix: Any) -> float:
            Xb, Yb = X[ix], Y[ix]
            loss = model.forward_chunked(Xb, Yb)[0] if chunked else model.forward_fused(Xb, Yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()

        return run

    return {"minigrad fused": step(False), "minigrad chunked": step(True)}


def torch_steps(start: list[Any], X: Any, Y: Any, threads: int) -> dict[str, Callable[[Any], float]]:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    X, Y = torch.from_numpy(X), torch.from_numpy(Y)

    def hidden(C: Any, W1: Any, b1: Any, Xb: Any) -> Any:
        return C[Xb].view(N, -1) @ W1 + b1

    def fused(Xb: Any, Yb: Any, C: Any, W1: Any, b1: Any, W2: Any, b2: Any, gain: Any, bias: Any) -> Any:
        x = hidden(C, W1, b1, Xb)
        raw = (x - x.mean(0, keepdim=True)) * (x.var(0, keepdim=True, unbiased=True) + 1e-5) ** -0.5
        return F.cross_entropy(torch.tanh(gain * raw + bias) @ W2 + b2, Yb)

    def chunked(Xb: Any, Yb: Any, C: Any, W1: Any, b1: Any, W2: Any, b2: Any, gain: Any, bias: Any) -> Any:
        x = hidden(C, W1, b1, Xb)
        diff = x - 1 / N * x.sum(0, keepdim=True)
        var = 1 / (N - 1) * (diff**2).sum(0, keepdim=True)
        logits = torch.tanh(gain * (diff * (var + 1e-5) ** -0.5) + bias) @ W2 + b2
        counts = (logits - logits.max(1, keepdim=True).values).exp()
        probs = counts * counts.sum(1, keepdim=True) ** -1
        return -probs.log()[range(N), Yb].mean()

    def step(forward: Any) -> Callable[[Any], float]:
        parameters = [torch.tensor(values, requires_grad=True) for values in start]
        optimizer = torch.optim.SGD(parameters, lr=LR)

        def run(ix: Any) -> float:
            ix = torch.from_numpy(ix)
            loss = forward(X[ix], Y[ix], *parameters)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()

        return run

    return {"torch eager": step(fused), "torch eager chunked": step(chunked)}


def numpy_steps(start: list[Any], X: Any, Y: Any) -> dict[str, Callable[[Any], float]]:
    import numpy as np

    C, W1, b1, W2, b2, gain, bias = (values.copy() for values in start)
    rows = np.arange(N)

    def run(ix: Any) -> float:
        """Exercise 4's own backward pass."""
        Xb, Yb = X[ix], Y[ix]
        embcat = C[Xb].reshape(N, -1)
        hprebn = embcat @ W1 + b1
        diff = hprebn - hprebn.mean(0, keepdims=True)
        var_inv = ((diff * diff).sum(0, keepdims=True) / (N - 1) + 1e-5) ** -0.5
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
        dC = np.zeros_like(C)
        np.add.at(dC, Xb, (dhprebn @ W1.T).reshape(N, CONTEXT, EMBD))
        for p, g in zip((C, W1, b1, W2, b2, gain, bias), (dC, dW1, db1, dW2, db2, dgain, dbias), strict=True):
            p -= LR * g
        return float(loss)

    return {"numpy by hand": run}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="BLAS and torch threads (default 1)")
    parser.add_argument("--rounds", type=int, default=2000, help="steps each contender takes (default 2000)")
    options = parser.parse_args()
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(options.threads)  # read when numpy is first imported, below

    import numpy as np

    rng = np.random.default_rng(0)
    X, Y = rng.integers(0, VOCAB, (100_000, CONTEXT)), rng.integers(0, VOCAB, 100_000)
    shapes = [(VOCAB, EMBD), (CONTEXT * EMBD, HIDDEN), (HIDDEN,), (HIDDEN, VOCAB), (VOCAB,), (1, HIDDEN), (1, HIDDEN)]
    start = [(rng.standard_normal(shape) * 0.1).astype(np.float32) for shape in shapes]
    start[5] += 1
    contenders = minigrad_steps(start, X, Y) | numpy_steps(start, X, Y)
    try:
        contenders |= torch_steps(start, X, Y, options.threads)
    except ImportError:
        print("torch is not installed: it takes no part")
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(options.rounds):
        ix = rng.integers(0, len(X), N)
        losses = {}
        for name, run in contenders.items():
            began = time.perf_counter()
            losses[name] = run(ix)
            times[name].append(time.perf_counter() - began)
        if i < 50 and max(losses.values()) - min(losses.values()) > 1e-4:
            raise SystemExit(f"the losses of step {i} differ, so the times mean nothing: {losses}")
    medians = {name: statistics.median(seen) * 1e6 for name, seen in times.items()}
    print(f"{options.threads} thread(s), median of {options.rounds} interleaved steps")
    for name, us in sorted(medians.items(), key=lambda item: item[1]):
        peer = medians.get("torch eager chunked" if "chunked" in name else "torch eager")
        print(f"{name:20s} {us:7.1f} us" + (f"   {us / peer:.2f} of torch" if peer else ""))


if __name__ == "__main__":
    main()
