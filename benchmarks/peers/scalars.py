"""Scalar graphs, in the objects that each library has for one number: build an expression and differentiate it.

Each function takes a Program and returns what is timed (build and differentiate, no arguments), which returns
(value, gradients as floats where asked for, what keeps the graph alive).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.peers import Absent

# name -> module here, function; each function takes a Program
SCALARS = {
    "minigrad": ("scalars", "ours"),
    "micrograd": ("scalars", "micrograd_"),
    "torch eager": ("scalars", "torch_"),
    "MyGrad": ("scalars", "mygrad_"),
    "HIPS autograd": ("scalars", "hips"),
    "JAX jit": ("scalars", "jax_"),
    "tinygrad": ("scalars", "tinygrad_"),
}


class Program:
    """An expression of about n nodes in `values`; build(leaves, relu) computes it with whatever numbers it is given."""

    values: list[float]
    nodes: int
    deep = False  # one node hangs on the other: who recurses over the graph needs that many frames

    def build(self, x: list[Any], relu: Callable[[Any], Any]) -> Any:
        raise NotImplementedError


class Neurons(Program):
    """A loss over some points of a network 3 -> 8 -> 8 -> 1 in which each weight is a number of its own."""

    SIZES = (3, 8, 8, 1)

    def __init__(self, nodes: int) -> None:
        import random

        rng = random.Random(4)
        pairs = list(zip(self.SIZES, self.SIZES[1:]))  # noqa: B905
        self.values = [rng.uniform(-1, 1) for m, n in pairs for _ in range((m + 1) * n)]
        a_point = sum(2 * m * n + n for m, n in pairs) - self.SIZES[-1] + 3  # the last has no relu; -y, **2, total
        points = max(1, round(nodes / a_point))
        self.points = [([rng.uniform(-1, 1) for _ in range(3)], rng.choice((-1.0, 1.0))) for _ in range(points)]
        self.nodes = points * a_point

    def build(self, x: list[Any], relu: Callable[[Any], Any]) -> Any:
        total = 0.0
        for point, y in self.points:
            weights = iter(x)
            for layer, n in enumerate(self.SIZES[1:]):
                out = []
                for _ in range(n):
                    z = next(weights)
                    for value in point:
                        z = z + next(weights) * value
                    out.append(relu(z) if layer < len(self.SIZES) - 2 else z)
                point = out
            total = total + (point[0] + -y) ** 2
        return total


class Chain(Program):
    """y = y * -1 + 2, again and again, which is exact: every node hangs on the one before."""

    deep = True

    def __init__(self, nodes: int) -> None:
        self.values, self.nodes = [1.0], nodes

    def build(self, x: list[Any], relu: Callable[[Any], Any]) -> Any:
        y = x[0]
        for _ in range(self.nodes // 2):
            y = y * -1.0 + 2.0
        return y


def _methods(program: Program, leaf: Callable[[float], Any], backward: Any, grad: Any, relu: Any) -> Any:
    """For libraries whose numbers are objects with backward(): fresh leaves each time."""

    def run() -> Any:
        leaves = [leaf(v) for v in program.values]
        loss = program.build(leaves, relu)
        backward(loss)
        return loss, leaves, grad

    return run


def values(result: Any) -> list[float]:
    """The value and all gradients of what a run returned."""
    loss, leaves, grad = result
    item = getattr(loss, "item", None)
    return [float(item() if item else getattr(loss, "data", loss)), *(float(grad(x)) for x in leaves)]


def ours(program: Program) -> Any:
    import minigrad as mg

    return _methods(
        program, lambda v: mg.tensor(v, requires_grad=True), lambda loss: loss.backward(), lambda x: x.grad.item(),
        lambda x: x.relu(),
    )  # fmt: skip


def micrograd_(program: Program) -> Any:
    import sys

    from micrograd.engine import Value

    if program.deep:  # its backward recurses over the graph
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 3 * program.nodes + 1000))
    return _methods(program, Value, lambda loss: loss.backward(), lambda x: x.grad, lambda x: x.relu())


def torch_(program: Program) -> Any:
    import torch

    return _methods(
        program, lambda v: torch.tensor(v, requires_grad=True), lambda loss: loss.backward(),
        lambda x: x.grad.item(), lambda x: x.relu(),
    )  # fmt: skip


def mygrad_(program: Program) -> Any:
    import sys

    import mygrad

    mygrad.turn_memory_guarding_off()
    if program.deep:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 10 * program.nodes + 1000))
    return _methods(
        program, lambda v: mygrad.tensor(v), lambda loss: loss.backward(), lambda x: x.grad,
        lambda x: mygrad.maximum(x, 0.0),
    )  # fmt: skip


def hips(program: Program) -> Any:
    import autograd
    import autograd.numpy as anp

    both = autograd.value_and_grad(lambda x: program.build(x, lambda z: anp.maximum(z, 0.0)))

    def run() -> Any:
        loss, gradients = both(list(program.values))
        return loss, gradients, float

    return run


def jax_(program: Program) -> Any:
    if program.nodes > 2_000:  # and nothing in Python can stop it then
        raise Absent(f"XLA takes minutes to compile {program.nodes:,} scalars")
    import jax
    import jax.numpy as jnp

    both = jax.jit(jax.value_and_grad(lambda x: program.build(x, lambda z: jnp.maximum(z, 0.0))))

    def run() -> Any:
        loss, gradients = both(list(program.values))
        return float(loss), gradients, float

    return run


def tinygrad_(program: Program) -> Any:
    if program.nodes > 2_000:
        raise Absent(f"{program.nodes:,} scalars take its scheduler minutes, or end the process")
    import os
    import shutil

    if shutil.which(os.environ.get("CC", "clang")) is None:
        raise Absent("it needs the program clang (on Debian: apt install clang)")
    os.environ.setdefault("DEV", "CPU")
    from tinygrad import Tensor

    def backward(loss: Any) -> None:
        loss.sum().backward()
        loss.realize(*(x.grad for x in leaves))

    leaves: list[Any] = []

    def leaf(v: float) -> Any:
        leaves.append(Tensor([v]).realize())  # Tensor(v) would be a constant and get no gradient
        return leaves[-1]

    run = _methods(program, leaf, backward, lambda x: x.grad.item(), lambda x: x.relu())

    def fresh() -> Any:
        leaves.clear()
        return run()

    return fresh
