"""`makemore train --profile`: some steps of a run as a Chrome trace, each op, rule and part of the step as a span."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigrad import profiler
from models.errors import BadInput
from models.train import Trainer

SKIPPED, STEPS = 20, 20  # the first steps fill caches; these after them are recorded


class Profiled:
    """Records steps of a trainer, the 20 after the first 20 or fewer in a short run, and writes the trace.

    They run op by op, also where the others replay a captured step. Only this trainer's methods are wrapped, and only
    as long as it records, so that a run without a profile pays nothing. BadInput where the file cannot be written.
    """

    def __init__(self, trainer: Trainer, path: str | Path, skipped: int = SKIPPED, steps: int = STEPS) -> None:
        self.path = Path(path)
        try:
            self.path.open("ab").close()
        except OSError as error:
            raise BadInput(f"--profile {path}: {error.strerror or error}; name a file that can be written") from None
        self.trainer = trainer
        self.recorded = 0
        left = trainer.plan.steps - len(trainer.losses)
        self._left, self._steps = min(skipped, max(0, left - steps)), min(steps, left)
        self._first = 0
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
            self._first = len(trainer.losses)
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
                self.stop()

    def stop(self) -> None:
        """Leave the trainer as it was; a second call does nothing."""
        if self.trainer.__dict__.pop("step", None) is not None:
            self._profile.stop()

    def write(self) -> str:
        """Write what was recorded; a line that says so, or why it could not be."""
        self.stop()
        if not self.recorded:
            return f"no step was profiled, and nothing is in {self.path}"
        try:
            self._profile.export_chrome_trace(self.path)
        except OSError as error:
            return f"the profile could not be written: {error.strerror or error}: {self.path}"
        last = self._first + self.recorded - 1
        return f"profile of steps {self._first} to {last}: {self.path} (for ui.perfetto.dev or speedscope.app)"

    def averages(self) -> profiler.EventList:
        """Where the time went, by name."""
        return self._profile.key_averages()


def _spanned(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return profiler.record_function(name)(function)
