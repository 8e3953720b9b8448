"""How a step's time and memory grow with hidden layer, batch and vocabulary, to where BLAS is most of it."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job
from benchmarks.measure import spread
from benchmarks.problem import Problem
from benchmarks.subjects.large import memory
from benchmarks.subjects.step import steps

TITLE = "How cost grows"
AXES = {
    "hidden": (25, 100, 200, 800, 3200),
    "batch": (8, 32, 256, 2048, 8192),
    "vocab": (27, 1_000, 10_000, 50_000),
}
QUICK = {"hidden": (50, 800)}
PEERS = ("minigrad", "minigrad captured", "numpy by hand", "torch eager", "matrix products alone")
HELD = ("minigrad", "torch eager")


def tasks(quick: bool) -> list[dict[str, Any]]:
    points = [(axis, n) for axis, values in (QUICK if quick else AXES).items() for n in values]
    return [{axis: n} for axis, n in points] + [{axis: n, "memory": name} for axis, n in points for name in HELD]


def run(job: Job) -> None:
    sizes = dict(job.task)
    name = sizes.pop("memory", None)
    ((axis, n),) = sizes.items()
    case = f"{axis} {n:,}"
    if name is None:
        rows = steps(job, Problem(**sizes, threads=job.threads), PEERS, job.seconds(1.5, 0.5), 3, case=case)
        job.rows += [{**row, "axis": axis, "size": n} for row in rows]
        return
    found = job.attempt(name, lambda: memory(name, sizes, job.threads))
    if found is not None:
        about = {"case": case, "axis": axis, "size": n, "peer": name, "measure": "memory", "unit": "MB"}
        job.rows.append({**about, **spread([found / 1e6])})
