"""How a run is watched: a bar where there is a terminal, a line now and then where there is none."""

from __future__ import annotations

import os
import shutil
import time
from typing import TextIO

LINES = 20  # of a run, and at most 10,000 steps apart, as in the lecture


class Bar:
    """tqdm's progress bar with the loss and steps a second, on a terminal."""

    every = 0.1  # seconds

    def __init__(self, steps: int, file: TextIO, done: int = 0) -> None:
        from tqdm import tqdm  # here and not above: only a terminal needs it

        # Some terminals do not know their size (a container's, a log viewer's): tqdm would show nothing there.
        unsized = os.get_terminal_size(file.fileno()).columns == 0
        columns, lines = shutil.get_terminal_size() if unsized else (None, None)
        self._bar = tqdm(
            total=steps, initial=done, file=file, unit=" steps", smoothing=0.1, mininterval=0,
            dynamic_ncols=not unsized, ncols=columns, nrows=lines,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
        )  # fmt: skip
        self._mean: float | None = None

    def update(self, step: int, loss: float) -> None:
        """Steps 0 to `step` are done; the loss shown is a running mean, since that of one batch jumps about."""
        self._mean = loss if self._mean is None else 0.9 * self._mean + 0.1 * loss
        self._bar.set_postfix_str(f"loss {self._mean:.3f}", refresh=False)
        self._bar.update(step + 1 - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands and go to the next line."""
        self._bar.close()


class Lines:
    """The lecture's line every 10,000 steps (or 20 in a shorter run): `  10000/ 200000: 2.1775`, and steps a second."""

    every = 0.0

    def __init__(self, steps: int, file: TextIO, done: int = 0) -> None:
        self._steps, self._file = steps, file
        self._apart = min(10_000, max(1, steps // LINES))
        self._last = done - 1, time.perf_counter()

    def update(self, step: int, loss: float) -> None:
        """Steps 0 to `step` are done: a line if it is one's turn, and after the last."""
        if step % self._apart and step != self._steps - 1:
            return
        before, then = self._last
        now = time.perf_counter()
        rate = (step - before) / max(now - then, 1e-9)
        self._last = step, now
        print(f"{step:7d}/{self._steps:7d}: {loss:.4f}  {rate:,.0f} steps/s", file=self._file, flush=True)

    def close(self) -> None:
        """Nothing to do."""
