"""Sampling 1,000 names from a trained network: the same names from the same random numbers, as cell 27 draws them."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job
from benchmarks.measure import rows, turns
from benchmarks.peers.trained import SAMPLING, Trained

TITLE = "Sampling 1,000 names"


def tasks(quick: bool) -> list[dict[str, Any]]:
    return [{}]


def run(job: Job) -> None:
    net = Trained(job.threads)

    def prepare(make: Any) -> Any:
        timed = make(net)
        return timed, [float(ord(c)) for name in timed() for c in name + "."]

    ready = job.agreeing(SAMPLING, list(SAMPLING), prepare, "minigrad")
    job.rows += rows(turns(ready, job.seconds(6, 1)), "ms", ("torch eager",), case="1,000 names")
