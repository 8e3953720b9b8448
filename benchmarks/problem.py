"""The lecture's network as plain arrays: each library starts from the same numbers and sees the same batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTEXT, EMBD, LR, EPS = 3, 10, 0.1, 1e-5
ROWS = 100_000  # of the data that batches are drawn from


@dataclass
class Problem:
    """Sizes of the network (the lecture's by default), its parameters at the start, and the data."""

    batch: int = 32
    hidden: int = 200
    vocab: int = 27
    threads: int = 1
    start: list[NDArray[np.float32]] = field(init=False)
    X: NDArray[np.int64] = field(init=False)
    Y: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.X = rng.integers(0, self.vocab, (ROWS, CONTEXT))
        self.Y = rng.integers(0, self.vocab, ROWS)
        wide, hidden, vocab = CONTEXT * EMBD, self.hidden, self.vocab
        shapes = [(vocab, EMBD), (wide, hidden), (hidden,), (hidden, vocab), (vocab,), (1, hidden), (1, hidden)]
        self.start = [(rng.standard_normal(shape) * 0.1).astype(np.float32) for shape in shapes]
        self.start[5] += 1

    def batches(self, seed: int = 1) -> Callable[[], NDArray[np.int64]]:
        """numpy's own way to draw a batch, for those that have none."""
        rng, n, rows = np.random.default_rng(seed), self.batch, len(self.X)
        return lambda: rng.integers(0, rows, n)


@dataclass
class Stepper:
    """One contender: draw() gives a batch's rows in its own kind of array, step(rows) trains on them: the loss."""

    draw: Callable[[], Any]
    step: Callable[[Any], float]
    given: Callable[[NDArray[np.int64]], Any] = lambda ix: ix  # rows from elsewhere, in its own kind of array
    wrong: Callable[[], str] = lambda: ""  # after some steps: why this is not what its name says

    def __call__(self) -> float:
        return self.step(self.draw())
