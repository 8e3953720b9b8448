"""torch: eager, with exercise 4's backward by hand, and compiled."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.problem import EPS, LR, Problem, Stepper


def _hidden(C: Any, W1: Any, b1: Any, Xb: Any) -> Any:
    return C[Xb].view(Xb.shape[0], -1) @ W1 + b1


def forward_fused(Xb: Any, Yb: Any, C: Any, W1: Any, b1: Any, W2: Any, b2: Any, gain: Any, bias: Any) -> Any:
    """Cell 22."""
    x = _hidden(C, W1, b1, Xb)
    raw = (x - x.mean(0, keepdim=True)) * (x.var(0, keepdim=True, unbiased=True) + EPS) ** -0.5
    return F.cross_entropy(torch.tanh(gain * raw + bias) @ W2 + b2, Yb)


def forward_chunked(Xb: Any, Yb: Any, C: Any, W1: Any, b1: Any, W2: Any, b2: Any, gain: Any, bias: Any) -> Any:
    """Cell 10."""
    n = Xb.shape[0]
    x = _hidden(C, W1, b1, Xb)
    diff = x - 1 / n * x.sum(0, keepdim=True)
    var = 1 / (n - 1) * (diff**2).sum(0, keepdim=True)
    logits = torch.tanh(gain * (diff * (var + EPS) ** -0.5) + bias) @ W2 + b2
    counts = (logits - logits.max(1, keepdim=True).values).exp()
    probs = counts * counts.sum(1, keepdim=True) ** -1
    return -probs.log()[range(n), Yb].mean()


def _stepper(problem: Problem, forward: Any) -> Stepper:
    torch.set_num_threads(problem.threads)
    X, Y, n = torch.from_numpy(problem.X), torch.from_numpy(problem.Y), problem.batch
    parameters = [torch.tensor(values, requires_grad=True) for values in problem.start]
    optimizer = torch.optim.SGD(parameters, lr=LR)
    generator = torch.Generator().manual_seed(1)

    def run(ix: Any) -> float:
        loss = forward(X[ix], Y[ix], *parameters)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return Stepper(lambda: torch.randint(0, len(X), (n,), generator=generator), run, torch.from_numpy)


def fused(problem: Problem) -> Stepper:
    return _stepper(problem, forward_fused)


def chunked(problem: Problem) -> Stepper:
    return _stepper(problem, forward_chunked)


def compiled(problem: Problem) -> Stepper:
    torch._dynamo.reset()  # nothing from an earlier case, whose other sizes would make it compile for any size
    return _stepper(problem, torch.compile(forward_fused, dynamic=False))


def by_hand(problem: Problem) -> Stepper:
    """Cell 22 as exercise 4 leaves it: under no_grad, with its own backward pass and update."""
    torch.set_num_threads(problem.threads)
    X, Y, N = torch.from_numpy(problem.X), torch.from_numpy(problem.Y), problem.batch
    C, W1, b1, W2, b2, gain, bias = parameters = [torch.tensor(values) for values in problem.start]
    generator = torch.Generator().manual_seed(1)

    @torch.no_grad()
    def run(ix: Any) -> float:
        Xb, Yb = X[ix], Y[ix]
        emb = C[Xb]
        embcat = emb.view(N, -1)
        hprebn = embcat @ W1 + b1
        bnmean = hprebn.mean(0, keepdim=True)
        bnvar_inv = (hprebn.var(0, keepdim=True, unbiased=True) + EPS) ** -0.5
        bnraw = (hprebn - bnmean) * bnvar_inv
        h = torch.tanh(gain * bnraw + bias)
        logits = h @ W2 + b2
        loss = F.cross_entropy(logits, Yb)
        dlogits = F.softmax(logits, 1)
        dlogits[range(N), Yb] -= 1
        dlogits /= N
        dh = dlogits @ W2.T
        dW2, db2 = h.T @ dlogits, dlogits.sum(0)
        dhpreact = (1.0 - h**2) * dh
        dgain, dbias = (bnraw * dhpreact).sum(0, keepdim=True), dhpreact.sum(0, keepdim=True)
        dhprebn = gain * bnvar_inv / N * (N * dhpreact - dbias - N / (N - 1) * bnraw * dgain)
        dembcat = dhprebn @ W1.T
        dW1, db1 = embcat.T @ dhprebn, dhprebn.sum(0)
        dC = torch.zeros_like(C).index_add_(0, Xb.view(-1), dembcat.view(-1, C.shape[1]))  # not the lecture's loop
        for p, g in zip(parameters, (dC, dW1, db1, dW2, db2, dgain, dbias), strict=True):
            p.data += -LR * g
        return loss.item()

    return Stepper(lambda: torch.randint(0, len(X), (N,), generator=generator), run, torch.from_numpy)
