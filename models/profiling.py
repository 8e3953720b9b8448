"""`makemore train --profile`: some steps of a run as a Chrome trace, each op, rule and part of the step as a span."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from minigrad import profiler
from models.train import Trainer

SKIPPED, STEPS = 20, 20  # the first steps fill caches; these after them are recorded


class Profiled:
    """Records steps of a trainer until enough are there, then writes the trace and leaves the trainer as it was.

    Steps are wrapped on this one trainer, so that a run without a profile pays nothing. ready(steps) is called when the
    file is written. OSError where it cannot be.
    """

    def __init__(
        self, trainer: Trainer, path: str | os.PathLike[str], ready: Callable[[int], None] = lambda steps: None,
        skipped: int = SKIPPED, steps: int = STEPS,
    ) -> None:  # fmt: skip
        self.trainer, self.path, self.ready = trainer, path, ready
        self.recorded = 0
        self._left, self._steps = min(skipped, max(0, trainer.plan.steps - len(trainer.losses) - steps)), steps
        self._profile = profiler.profile(record_shapes=True)
        self._step = trainer.step
        trainer.step = self.step  # type: ignore[method-assign]

    def step(self) -> float:
        """The trainer's step, recorded when the first ones are over."""
        if self._left > 0:
            self._left -= 1
            return self._step()
        trainer = self.trainer
        if not self.recorded:
            self._profile.start()
        draw, loss = trainer.draw, trainer.loss
        trainer.draw = _spanned("draw batch", draw)  # type: ignore[method-assign]
        trainer.loss = forward = _spanned("forward", loss)
        try:
            with profiler.record_function(f"ProfilerStep#{len(trainer.losses)}"):
                return self._step()
        finally:
            del trainer.draw  # the class's own again
            if trainer.loss is forward:  # a step that was undone has made another
                trainer.loss = loss
            self.recorded += 1
            if self.recorded == self._steps:
                self.close()

    def close(self) -> None:
        """Write what was recorded, if the run ended before enough was."""
        if self.trainer.__dict__.pop("step", None) is None:
            return
        self._profile.stop()
        if self.recorded:
            self._profile.export_chrome_trace(self.path)
            self.ready(self.recorded)

    def table(self) -> str:
        """Where the time went, the most first."""
        return self._profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=12)


def _spanned(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return profiler.record_function(name)(function)
