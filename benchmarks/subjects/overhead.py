"""What an op costs over the bare numpy call: forward as it is recorded, and its part of a backward pass.

Links of a chain are timed, each op on the result of the one before; `sum`, which is smaller than its input, several
times on the same. numpy does the same arithmetic, so that what is left is the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.job import Job
from benchmarks.measure import spread, turns

TITLE = "Overhead of an op over the bare numpy call"
SIZES = {"1": ((1, 1), 100), "32x200": ((32, 200), 50), "1000x1000": ((1000, 1000), 3)}  # shape, links
OPS = ("add", "mul", "matmul", "index", "sum")


class Link:
    """One op at one size: its operands as arrays, and what numpy does forward and backward."""

    def __init__(self, op: str, size: str) -> None:
        self.op, (self.shape, self.links) = op, SIZES[size]
        rng = np.random.default_rng(3)
        n, m = self.shape
        self.x = rng.uniform(0.5, 1.5, self.shape).astype(np.float32)
        self.g = np.ones(self.shape if op != "sum" else (), np.float32)
        other = {"matmul": (m, m), "index": ()}.get(op, self.shape)
        self.other: Any = rng.uniform(0.5, 1.5, other).astype(np.float32) / (m if op == "matmul" else 1)
        if op == "index":
            self.other = rng.permutation(n)

    def run(self, x: Any, other: Any) -> Any:
        """All links forward, on whatever arrays or Tensors these are."""
        op, links = self.op, range(self.links)
        if op == "add":
            for _ in links:
                x = x + other
        elif op == "mul":
            for _ in links:
                x = x * other
        elif op == "matmul":
            for _ in links:
                x = x @ other
        elif op == "index":
            for _ in links:
                x = x[other]
        else:
            return [x.sum() for _ in links]
        return x

    def numpy_backward(self, _: Any = None) -> Any:
        """The gradient of x by the calls that are needed, and nothing else."""
        g, other, op, links = self.g, self.other, self.op, range(self.links)
        if op == "mul":
            for _ in links:
                g = g * other
        elif op == "matmul":
            for _ in links:
                g = g @ other.T
        elif op == "index":
            for _ in links:
                d = np.zeros_like(g)
                np.add.at(d, other, g)
                g = d
        elif op == "sum":
            total = np.zeros(self.shape, np.float32)
            for _ in links:
                total += g
            return total
        return g.copy() if op == "add" else g


def _engine(link: Link, tensor: Callable[[Any], Any], backward: Any) -> tuple[Any, Any, Any, Any]:
    x, other, g = tensor(link.x), tensor(link.other), tensor(link.g)
    x.requires_grad_()

    def forward() -> Any:
        x.grad = None
        return link.run(x, other)

    if link.op == "sum":
        gradients = [g] * link.links
        return forward, lambda ys: backward(ys, gradients), lambda: x.grad, lambda ys: ys[0]
    return forward, lambda y: y.backward(g), lambda: x.grad, lambda y: y


def ours(link: Link) -> Any:
    import minigrad as mg

    return _engine(link, mg.tensor, mg.autograd.backward)


def torch_(link: Link) -> Any:
    import torch

    return _engine(link, torch.from_numpy, torch.autograd.backward)


ENGINES = {"minigrad": ours, "torch eager": torch_}


def tasks(quick: bool) -> list[dict[str, Any]]:
    return [{}]


def run(job: Job) -> None:
    for size in SIZES:
        for op in OPS:
            one(job, Link(op, size), f"{op} {size}")


def one(job: Job, link: Link, case: str) -> None:
    """The rows of one op at one size."""
    forward: dict[str, Any] = {"numpy": lambda: link.run(link.x, link.other)}
    backward: dict[str, Any] = {"numpy": link.numpy_backward}
    before: dict[str, Any] = {"numpy": lambda: None}
    expected = link.numpy_backward()
    for name in ENGINES:
        ready = job.attempt(name, lambda name=name: _checked(name, link, expected))
        if ready is not None:
            forward[name], backward[name] = ready
            before[name] = forward[name]
    seconds = job.seconds(0.5, 0.25)
    for direction, times in (
        ("forward", turns(forward, seconds)), ("backward", turns(backward, seconds, before=before)),
    ):  # fmt: skip
        bare = np.array(times["numpy"])
        for name, seen in times.items():
            about = {"case": case, "peer": name, "measure": direction, "unit": "us", "rounds": len(seen)}
            job.rows.append({**about, **spread(np.array(seen) / link.links * 1e6)})
            if name != "numpy":
                over = {**about, "measure": f"{direction} over numpy"}
                job.rows.append({**over, **spread((np.array(seen) - bare) / link.links * 1e6)})


def _checked(name: str, link: Link, expected: Any) -> tuple[Any, Any]:
    forward, backward, grad, first = ENGINES[name](link)
    y = forward()
    shown = link.run(link.x, link.other)
    np.testing.assert_allclose(np.asarray(first(y).detach()), shown[0] if link.op == "sum" else shown, rtol=1e-4)
    backward(y)
    np.testing.assert_allclose(np.asarray(grad()), expected, rtol=1e-4)
    return forward, backward
