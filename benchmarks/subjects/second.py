"""Second derivatives: the loss plus the squared norm of its gradients, differentiated again, at the lecture's size."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.job import Job
from benchmarks.measure import rows, turns
from benchmarks.peers.penalty import SECOND
from benchmarks.problem import Problem

TITLE = "Second derivatives"


def tasks(quick: bool) -> list[dict[str, Any]]:
    return [{}]


def run(job: Job) -> None:
    problem = Problem(threads=job.threads)

    def prepare(make: Any) -> Any:
        timed = make(problem)
        value, *plain = (np.asarray(a.detach() if hasattr(a, "detach") else a) for a in _flat(timed()))
        return timed, [float(value), *(v for g in plain for v in (float(g.sum()), float(np.abs(g).max())))]

    ready = job.agreeing(SECOND, list(SECOND), prepare, "minigrad", relative=True)
    job.rows += rows(turns(ready, job.seconds(6, 1.5)), "us", ("torch eager", "JAX jit"), case="second derivatives")


def _flat(result: Any) -> list[Any]:
    value, gradients = result
    return [value, *gradients]
