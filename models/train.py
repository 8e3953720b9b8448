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
from models.divergence import Cause, State, find_cause, optimizer_state
from models.mlp import MLP

REMEMBER = 0.5  # seconds between two states that are kept to find a nan from
METRICS = 1000  # lines of metrics a run leaves, however long it is
DEFAULT_LR = {"sgd": 0.1, "adamw": 0.003}  # the lecture's, and one that suits AdamW's normalised steps


SKIPS = 100  # steps in a row that may be skipped: more, and the network is past mending


class Diverged(ArithmeticError):
    """The loss, or a parameter, is nan or infinite: no further step can mend that. cause: where it appeared first."""

    def __init__(self, what: str, step: int, cause: Cause) -> None:
        super().__init__(f"{what} at step {step:,}: {'' if cause.step == step else f'at step {cause.step:,} '}{cause}")
        self.step, self.cause = step, cause


@dataclass(frozen=True)
class Plan:
    """What a run does: the lecture's values by default. lr None: the optimizer's own of DEFAULT_LR."""

    steps: int = 200_000
    batch: int = 32
    lr: float | None = None
    optimizer: str = "sgd"
    chunked: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):  # which may come from a file
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} is {getattr(self, name)!r:.40}, but it must be a whole number")
        if type(self.lr) not in (int, float, type(None)) or type(self.chunked) is not bool:
            raise ValueError(
                f"lr is {self.lr!r:.40} and chunked {self.chunked!r:.40}: they must be a number and a bool"
            )
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
    eager: each step op by op, in place of captured once and replayed (minigrad.compile), which changes no bit of the
    result.
    """

    def __init__(
        self,
        model: MLP,
        plan: Plan,
        X: NDArray[np.int64],
        Y: NDArray[np.int64],
        generator: mg.Generator,
        skip_nan: bool = False,
        eager: bool = False,
    ) -> None:
        self.model, self.plan, self.generator = model, plan, generator
        self.X, self.Y = X, Y
        self.skip_nan, self.eager = skip_nan, eager
        self.losses = array("f")  # one a step, nan where it was skipped; its length is the number of steps done
        self.skipped: list[int] = []
        self.metrics: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.measured = 0, 0.0  # steps and seconds at the last line of metrics
        self._good: State | None = None  # not long ago, to find a nan from
        self._prepare()

    def _prepare(self) -> None:
        """Make what is bound to the parameters' arrays; called anew when restore() has put other values there."""
        make = {"sgd": optim.SGD, "adamw": optim.AdamW}[self.plan.optimizer]
        self.optimizer = make(self.model.parameters(), lr=self.plan.base_lr)
        self.loss = _chunked(self.model) if self.plan.chunked else self.model.forward_fused
        self._update = self._train if self.eager else mg.compile(self._train)

    def step(self) -> float:
        """One step: draw a batch, forward, backward, update; returns the loss.

        Where the loss or a parameter is no number: Diverged, or, with skip_nan, the network is as before that step, the
        step counts as done without an update, and nan is returned.
        """
        if self._good is None:
            self._good = self.state()
        i = len(self.losses)
        loss = float(self._update(*self.draw()).array)
        if not math.isfinite(loss):
            return self._diverged(f"the loss is {loss}", i)
        self.losses.append(loss)
        return loss

    def draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The batch of the next step, (batch, context) and (batch,); and its learning rate is set."""
        ix = self.generator.randint(0, len(self.X), (self.plan.batch,))
        self.optimizer.param_groups[0]["lr"] = self.plan.lr_at(len(self.losses))
        return self.X[ix], self.Y[ix]

    def _train(self, Xb: NDArray[np.int64], Yb: NDArray[np.int64]) -> Tensor:
        """The part of a step that is the same arithmetic each time: loss, gradients, update."""
        loss = self.loss(Xb, Yb)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    # ------------------------------------------------------------------------------ state

    def state(self) -> State:
        """All that the steps to come depend on, copied."""
        return State(
            len(self.losses), self.model.state_dict(), optimizer_state(self.optimizer), self.generator.get_state()
        )

    def restore(self, state: State) -> None:
        """Go on from a state(). `losses` must be those of the steps up to it.

        Raises ValueError for arrays that do not fit.
        """
        self.model.load_state_dict(state.model)
        self._prepare()
        try:
            self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state.optimizer})
            self.generator.set_state(state.generator)
        except (TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise ValueError(str(error)) from None
        self._good = None

    def finite(self) -> bool:
        """Whether every parameter is a number everywhere."""
        return all(bool(np.isfinite(p.array).all()) for p in self.model.parameters())

    def remember(self, by_clock: bool = False) -> None:
        """Keep the present state to find a nan from that comes later. Diverged (or a skipped step) if it is here.

        by_clock: that it is asked for now and not a step later is due to the time alone.
        """
        if not self.finite():
            self._diverged("a parameter is no number", len(self.losses))
        self._good = self.state()

    def _diverged(self, what: str, i: int) -> float:
        """Find the step where a nan or inf came in, say so or skip that step."""
        assert self._good is not None
        cause = find_cause(self, self._good, i)
        first = cause.before.step
        many = self.skipped[-SKIPS:]
        if not self.skip_nan or (len(many) == SKIPS and many[0] == first - SKIPS):
            raise Diverged(what, i, cause) from cause.error
        del self.losses[first:]
        self.metrics = [line for line in self.metrics if line["step"] < first]
        self.measured = min(first, self.measured[0]), self.measured[1]
        self.restore(cause.before)
        self.draw()  # the batch that is left out
        self.losses.append(math.nan)
        self.skipped.append(first)
        self._good = self.state()
        return math.nan

    # ------------------------------------------------------------------------------ many steps

    def run(
        self,
        watcher: Watcher | None = None,
        stop: Callable[[], bool] = lambda: False,
        save: Callable[[], None] = lambda: None,
        save_every: int = 0,
    ) -> bool:
        """The steps that are left; returns False where stop() said, after a step, that it was the last one.

        save: called each time that another save_every steps are done (0: never), and where it stops early; every
        parameter is a number then.
        """
        steps, clock = self.plan.steps, time.perf_counter
        every = max(1, steps // METRICS)
        started = clock() - self.seconds
        due = remember = clock()
        stopped = False
        while not stopped:
            if (now := clock()) >= remember or len(self.losses) == steps:
                self.remember(by_clock=len(self.losses) < steps)  # which may go some steps back
                remember = clock() + max(REMEMBER, 50 * (clock() - now))
            if (i := len(self.losses)) == steps:
                break
            due_metrics = i % every == 0 or i == steps - 1
            before = [p.array.copy() for p in self.model.parameters()] if due_metrics else None
            loss = self.step()
            now = clock()
            self.seconds = now - started
            stopped = stop()
            if not math.isfinite(loss):
                continue  # it was skipped, and maybe some before it undone
            if due_metrics:
                self._measure(i, self.seconds, before)
            if watcher is not None and (now >= due or stopped or i == steps - 1):
                watcher.update(i, loss)
                due = now + watcher.every
            if save_every and len(self.losses) % save_every == 0 and not stopped:
                self.remember()
                save()
        if stopped:
            self.remember()
            save()
            # A line of the last step, for the results as they are now; a run that goes on from the checkpoint lacks it.
            if self.metrics and self.metrics[-1]["step"] < len(self.losses) - 1 and math.isfinite(self.losses[-1]):
                self._measure(len(self.losses) - 1, self.seconds, None)
        return not stopped

    def _measure(self, i: int, seconds: float, parameters: list[NDArray[Any]] | None) -> None:
        """A line of metrics for step i. parameters: as they were before it; None where that was not kept (ctrl-C)."""
        done, before = self.measured
        since = [loss for loss in self.losses[done : i + 1] if math.isfinite(loss)]
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
        self.measured = i + 1, seconds

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


class Stop:
    """Whether a signal asked for the end, and its number."""

    number = 0

    def __call__(self) -> bool:
        return self.number != 0


@contextmanager
def interrupt_ends_step() -> Iterator[Stop]:
    """Inside, the first ctrl-C or SIGTERM is only noted, in what is given; a second one has its usual effect."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals come to the main thread alone
        return

    def note(number: int, frame: Any) -> None:
        stop.number = number
        for other, handler in before.items():
            signal.signal(other, handler)

    numbers = (signal.SIGINT, signal.SIGTERM)
    # A shell that started this in the background may want it left alone.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
