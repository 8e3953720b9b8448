"""The training run: batches, steps, learning rate, and what happened on the way. Source: cell 22 of the lecture."""

from __future__ import annotations

import math
import signal
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad import Tensor, optim
from models.mlp import MLP

METRICS = 1000  # lines of metrics a run leaves, however long it is
DEFAULT_LR = {"sgd": 0.1, "adamw": 0.003}  # the lecture's, and one that suits AdamW's normalised steps


class Diverged(ArithmeticError):
    """The loss is nan or infinite: no further step can mend that."""

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"the loss is {loss} at step {step:,}")
        self.step = step


@dataclass(frozen=True)
class Plan:
    """What a run does: the lecture's values by default. lr None: the optimizer's own of DEFAULT_LR."""

    steps: int = 200_000
    batch: int = 32
    lr: float | None = None
    optimizer: str = "sgd"
    chunked: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}, but a run has at least 1")
        if self.batch < 2:
            raise ValueError(f"batch is {self.batch}, but batch norm needs at least 2 rows to have a variance")
        if self.optimizer not in DEFAULT_LR:
            raise ValueError(f"optimizer is {self.optimizer!r}, but it must be one of {', '.join(DEFAULT_LR)}")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise ValueError(f"lr is {self.lr}, but it must be above 0 and finite")

    @property
    def base_lr(self) -> float:
        """The learning rate of the first half."""
        return DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    def lr_at(self, step: int) -> float:
        """0.1 in the first half of the steps, then a tenth of it."""
        return self.base_lr if 2 * step < self.steps else self.base_lr / 10


class Watcher(Protocol):
    """Who is told how it goes; `every` is how many seconds may pass between two calls."""

    every: float

    def update(self, step: int, loss: float) -> None:
        """Steps 0 to `step` are done, and `loss` is the last one's."""


class Trainer:
    """A run that is under way: the network, its optimizer, the random stream, and the losses so far.

    X, int64 (N, context), and Y, int64 (N,), are the training set. generator is the one that the network was drawn
    from: it goes on to draw the batches, in the lecture's order. All that a run depends on is here and in `plan`.
    """

    def __init__(
        self, model: MLP, plan: Plan, X: NDArray[np.int64], Y: NDArray[np.int64], generator: mg.Generator
    ) -> None:
        self.model, self.plan, self.generator = model, plan, generator
        self.X, self.Y = X, Y
        make = {"sgd": optim.SGD, "adamw": optim.AdamW}[plan.optimizer]
        self.optimizer = make(model.parameters(), lr=plan.base_lr)
        self.losses = array("f")  # one a step; its length is the number of steps done
        self.metrics: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._loss = _chunked(model) if plan.chunked else model.forward_fused
        self._measured = 0, 0.0  # steps and seconds at the last line of metrics

    def step(self) -> float:
        """One step: draw a batch, forward, backward, update; returns the loss. Raises Diverged when it is no number."""
        i = len(self.losses)
        ix = self.generator.randint(0, len(self.X), (self.plan.batch,))
        self.optimizer.param_groups[0]["lr"] = self.plan.lr_at(i)
        loss = float(self._train(self.X[ix], self.Y[ix]).array)
        if not math.isfinite(loss):
            raise Diverged(i, loss)
        self.losses.append(loss)
        return loss

    def _train(self, Xb: NDArray[np.int64], Yb: NDArray[np.int64]) -> Tensor:
        """The part of a step that is the same arithmetic each time: loss, gradients, update."""
        loss = self._loss(Xb, Yb)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def run(self, watcher: Watcher | None = None, stop: Callable[[], bool] = lambda: False) -> bool:
        """The steps that are left; returns False where stop() said, after a step, that it was the last one."""
        steps, clock = self.plan.steps, time.perf_counter
        every = max(1, steps // METRICS)
        started = clock() - self.seconds
        due = clock()
        stopped = False
        while (i := len(self.losses)) < steps and not stopped:
            due_metrics = i % every == 0 or i == steps - 1
            before = [p.array.copy() for p in self.model.parameters()] if due_metrics else None
            loss = self.step()
            now = clock()
            stopped = stop()
            if due_metrics or stopped:
                self._measure(i, now - started, before)
            if watcher is not None and (now >= due or stopped or i == steps - 1):
                watcher.update(i, loss)
                due = now + watcher.every
        self.seconds = clock() - started
        return not stopped

    def _measure(self, i: int, seconds: float, parameters: list[NDArray[Any]] | None) -> None:
        """A line of metrics for step i. parameters: as they were before it; None where that was not kept (ctrl-C)."""
        done, before = self._measured
        since = self.losses[done : i + 1]
        line: dict[str, Any] = {
            "step": i,
            "loss": round(self.losses[i], 6),
            "mean_loss": round(sum(since) / len(since), 6),  # of the steps since the line before
            "lr": self.plan.lr_at(i),
            "steps_per_s": round(len(since) / max(seconds - before, 1e-9), 1),
        }
        if parameters is not None:
            line |= self._ratios(parameters)
        self.metrics.append(line)
        self._measured = i + 1, seconds

    def _ratios(self, before: list[NDArray[Any]]) -> dict[str, dict[str, float | None]]:
        """Of each parameter, the standard deviation of its gradient and of its update over that of its values.

        Source: the lecture before this one, makemore part 3, which draws the second as log10(lr * grad.std() /
        p.data.std()). Here the update is what the optimizer did, whichever it is. None where a parameter does not
        vary (it has one element, say) and there is no ratio.
        """
        update: dict[str, float | None] = {}
        gradient: dict[str, float | None] = {}
        with np.errstate(all="ignore"):  # a run on its way to inf says so by its loss
            for (name, p), old in zip(self.model.named_parameters().items(), before, strict=True):
                spread = _std(old)
                update[name] = _ratio(_std(p.array - old), spread)
                gradient[name] = None if p.grad is None else _ratio(_std(p.grad.array), spread)
        return {"update_to_data": update, "grad_to_data": gradient}


def _std(array: NDArray[Any]) -> float:
    return float(array.std(dtype=np.float64))


def _ratio(part: float, whole: float) -> float | None:
    return float(f"{part / whole:.5g}") if whole > 0 and math.isfinite(part / whole) else None


def _chunked(model: MLP) -> Callable[[Any, Any], Tensor]:
    return lambda Xb, Yb: model.forward_chunked(Xb, Yb)[0]


@contextmanager
def interrupt_ends_step() -> Iterator[Callable[[], bool]]:
    """Inside, the first ctrl-C is only noted, and the function given tells of it; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals come to the main thread alone
        return
    noted = []

    def note(number: int, frame: Any) -> None:
        noted.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # a shell that started this in the background may want it left alone
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)
