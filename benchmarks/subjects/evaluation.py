"""The loss over the training split of names.txt, some 180,000 rows, as cell 25."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job
from benchmarks.measure import rows, turns
from benchmarks.peers.trained import EVALUATION, Trained

TITLE = "Evaluation of the training split"


def tasks(quick: bool) -> list[dict[str, Any]]:
    return [{}]


def run(job: Job) -> None:
    net = Trained(job.threads)

    def prepare(make: Any) -> Any:
        timed = make(net)
        return timed, [timed()]

    ready = job.agreeing(EVALUATION, list(EVALUATION), prepare, "numpy by hand")
    times = turns(ready, job.seconds(6, 1.5))
    job.rows += rows(times, "ms", ("torch eager", "numpy by hand"), case="train split")
