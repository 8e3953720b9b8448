"""The lecture's training step, fused and chunked: batch drawing, forward, backward, update; 32 x 30 -> 200 -> 27."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.job import Job
from benchmarks.measure import rows, turns
from benchmarks.peers import NO_LOSS, STEPS, Absent
from benchmarks.problem import Problem, Stepper

TITLE = "A training step of the lecture's network"
REFERENCE = "numpy by hand"
BASES = (
    "torch eager", "torch eager chunked", "numpy by hand", "numpy, buffers reused", "JAX jit", "matrix products alone",
)  # fmt: skip
CHECKED = 50  # steps that must agree


def tasks(quick: bool) -> list[dict[str, Any]]:
    return [{}]


def run(job: Job) -> None:
    if job.quick:
        job.absent["torch.compile"] = "its compilation is left out of a quick run"
    job.rows += steps(job, Problem(threads=job.threads), list(STEPS), job.seconds(16, 6), CHECKED, case="lecture")


def steps(
    job: Job, problem: Problem, names: Sequence[str], seconds: float, checked: int, **about: Any
) -> list[dict[str, Any]]:
    """The rows of a training step of this size, for the contenders that are there and whose losses agree."""
    batches = problem.batches(seed=5)
    given = [batches() for _ in range(checked)]

    def prepare(make: Any) -> tuple[Stepper, list[float] | None]:
        stepper = make(problem)
        losses = [stepper.step(stepper.given(ix)) for ix in given]
        if reason := stepper.wrong():
            raise Absent(reason)
        return stepper, losses if any(losses) else None

    ready = job.agreeing(STEPS, names, prepare, REFERENCE)
    assert all(name in NO_LOSS or name in ready or name in job.absent or name in job.without for name in names)
    began = time.perf_counter()
    ready[REFERENCE]()
    long = time.perf_counter() - began > 0.2  # then the checked steps were the warm-up, and a few rounds must do
    times = turns(ready, seconds, least=3 if long else 5, calls_each=1 if long else None)
    unit = "us" if np.median(times[REFERENCE]) < 0.01 else "ms"
    return rows(times, unit, BASES, **about)
