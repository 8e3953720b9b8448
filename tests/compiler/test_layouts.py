"""Random steps whose values and gradients lie in memory in every order, beside the same steps captured.

The order in which numpy adds hangs on how an array lies, so that what a capture lays out otherwise than the step did
shows in the last bits of a sum; and what is written through a copy in place of a view does not arrive at all.

The environment variable MINIGRAD_EXAMPLES is the number of programs (150 if not set), the first always the same.
"""

import os
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F

from .beside import beside, replays

F4 = np.float32
COUNT = int(os.environ.get("MINIGRAD_EXAMPLES", "150"))
Line = Callable[[Any, Any, int], Any]  # of a value, five numbers of rows, and a number drawn for the line


def along(x: Any, n: int) -> int:
    return n % x.ndim


def rows(x: Any, c: Any, dim: int = 0) -> Any:
    return c % x.shape[dim]


LINES: list[Line] = [
    lambda x, c, n: x.transpose(0, -1),
    lambda x, c, n: x.permute(*random.Random(n).sample(range(x.ndim), x.ndim)),
    lambda x, c, n: x * 1.5,
    lambda x, c, n: 1.0 - x,
    lambda x, c, n: x.tanh(),
    lambda x, c, n: (x * 0.3).exp(),
    lambda x, c, n: x.relu() + 0.1 * x,
    lambda x, c, n: x**2,
    lambda x, c, n: x / (1.0 + x * x),
    lambda x, c, n: x * x.sum(),
    lambda x, c, n: mg.where(x > 0.3, x, x * 0.1),
    lambda x, c, n: x.sum(along(x, n), keepdim=True) + x,
    lambda x, c, n: x - x.mean(along(x, n), keepdim=True),
    lambda x, c, n: x.std(along(x, n), keepdim=True, correction=0) + x,
    lambda x, c, n: x.logsumexp(along(x, n), keepdim=True) + x,
    lambda x, c, n: x.max(along(x, n), keepdim=True).values + x * 0.5,
    lambda x, c, n: x.amax(along(x, n), keepdim=True) * x,
    lambda x, c, n: x.softmax(along(x, n)),
    lambda x, c, n: x.log_softmax(along(x, n)),
    lambda x, c, n: x.cumsum(along(x, n)),
    lambda x, c, n: x.sort(along(x, n)).values,
    lambda x, c, n: x.flip(along(x, n)),
    lambda x, c, n: x.roll(1, along(x, n)),
    lambda x, c, n: x[rows(x, c)],
    lambda x, c, n: x.index_select(along(x, n), rows(x, c, along(x, n))),
    lambda x, c, n: x.gather(0, rows(x, c).reshape(-1, *[1] * (x.ndim - 1)).expand(5, *x.shape[1:])),
    lambda x, c, n: x[::2],
    lambda x, c, n: x[..., 1:] if x.shape[-1] > 1 else x,
    lambda x, c, n: x.reshape(-1) if n % 4 == 0 else x.reshape(x.shape[0], -1),
    lambda x, c, n: x.unsqueeze(n % (x.ndim + 1)) if x.ndim < 4 else x.squeeze(),
    lambda x, c, n: x.expand(2, *x.shape) if x.ndim < 3 else x * 0.5,
    lambda x, c, n: mg.cat([x, x * 2.0], along(x, n)),
    lambda x, c, n: mg.stack([x, x * 0.5], along(x, n)),
    lambda x, c, n: F.pad(x, (1, 0)),
    lambda x, c, n: F.layer_norm(x, (x.shape[-1],)),
    lambda x, c, n: F.batch_norm(x.reshape(x.shape[0], -1), None, None, training=True) if x.shape[0] > 1 else x,
    lambda x, c, n: x @ x.transpose(-1, -2) * 0.1 if x.ndim > 1 else x,
    lambda x, c, n: mg.einsum("i...,i...->...i", x, x),
    lambda x, c, n: x.clone() + x.detach(),
    lambda x, c, n: x.contiguous(),
]


def make(seed: int, wrap: Any) -> SimpleNamespace:
    """A step of some lines; its parameters, whose gradients are clipped by their norm, a sum over each."""
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    lines = [(draw.choice(LINES), draw.randrange(100)) for _ in range(draw.randrange(2, 7))]
    C = mg.tensor(rng.uniform(-1, 1, (7, 6)).astype(F4), requires_grad=True)
    b = mg.tensor(rng.uniform(-1, 1, 6).astype(F4), requires_grad=True)
    optimizer = mg.optim.SGD([C, b], lr=0.05)

    def step(c: Any, scale: Any) -> Any:
        x = C + b
        for line, n in lines:
            x = line(x, c, n)
        back = tuple(range(x.ndim))[::-1]
        weights = mg.tensor((np.arange(x.numel(), dtype=F4).reshape([x.shape[d] for d in back]) % 7 - 3) / 5)
        loss = (x.permute(*back) * weights * scale).mean()
        optimizer.zero_grad()
        loss.backward()
        norm = mg.nn.utils.clip_grad_norm_([C, b], 1.0)
        optimizer.step()
        return loss, norm, C.grad.stride(), b.grad.stride()  # type: ignore[union-attr]

    return SimpleNamespace(step=wrap(step), C=C, b=b)


def test_sums_over_arrays_that_lie_in_any_order() -> None:
    replayed = 0
    for seed in range(COUNT):

        def run(k: int) -> Any:
            rng = np.random.default_rng(k)
            c, scale = rng.integers(0, 60, 5), F4(rng.uniform(0.5, 1))
            return lambda w: w.step(mg.tensor(c), mg.tensor(scale))

        with np.errstate(all="ignore"):
            world = beside(lambda wrap, seed=seed: make(seed, wrap), [run(k) for k in range(5)])
        replayed += replays(world) > 0
    assert replayed > 0.75 * COUNT, f"{replayed} of {COUNT} were replayed"
