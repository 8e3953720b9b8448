"""A gradient of a gradient: the loss plus the squared norm of its gradients, differentiated by the seven parameters."""

from __future__ import annotations

from typing import Any

from benchmarks.problem import Problem

SECOND = {
    "minigrad": ("penalty", "ours"),
    "torch eager": ("penalty", "torch_"),
    "JAX jit": ("penalty", "jax_"),
    "HIPS autograd": ("penalty", "hips"),
}


def _batch(problem: Problem) -> tuple[Any, Any]:
    ix = problem.batches(seed=7)()
    return problem.X[ix], problem.Y[ix]


def ours(problem: Problem) -> Any:
    import minigrad as mg
    from benchmarks.peers.ours import model

    net, (Xb, Yb) = model(problem), _batch(problem)
    parameters = net.parameters()

    def run() -> Any:
        loss = net.forward_fused(Xb, Yb)
        gradients = mg.grad(loss, parameters, create_graph=True)
        total = loss
        for g in gradients:
            total = total + (g * g).sum()
        for p in parameters:
            p.grad = None
        total.backward()
        return total, [p.grad for p in parameters]

    return run


def torch_(problem: Problem) -> Any:
    import torch

    from benchmarks.peers.pytorch import forward_fused

    torch.set_num_threads(problem.threads)
    Xb, Yb = (torch.from_numpy(a) for a in _batch(problem))
    parameters = [torch.tensor(values, requires_grad=True) for values in problem.start]

    def run() -> Any:
        loss = forward_fused(Xb, Yb, *parameters)
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        total = loss
        for g in gradients:
            total = total + (g * g).sum()
        for p in parameters:
            p.grad = None
        total.backward()
        return total, [p.grad for p in parameters]

    return run


def jax_(problem: Problem) -> Any:
    import jax
    import jax.numpy as jnp

    from benchmarks.peers.jax_ import loss_of

    Xb, Yb = _batch(problem)
    parameters = [jnp.array(values) for values in problem.start]

    def total(parameters: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, Xb, Yb)
        return loss + sum((g * g).sum() for g in gradients)

    both = jax.jit(jax.value_and_grad(total))

    def run() -> Any:
        value, gradients = both(parameters)
        return value.block_until_ready(), gradients

    return run


def hips(problem: Problem) -> Any:
    import autograd
    import autograd.numpy as anp

    from benchmarks.peers.hips import loss_of

    Xb, Yb = _batch(problem)
    first = autograd.value_and_grad(loss_of)

    def total(parameters: Any) -> Any:
        loss, gradients = first(parameters, Xb, Yb)
        return loss + sum(anp.sum(g * g) for g in gradients)

    both = autograd.value_and_grad(total)

    def run() -> Any:
        return both(list(problem.start))

    return run
