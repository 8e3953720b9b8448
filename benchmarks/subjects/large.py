"""Large sizes: time in turns, and peak memory of each contender in a process of its own."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job
from benchmarks.measure import peak, spread
from benchmarks.peers import STEPS, find
from benchmarks.problem import Problem
from benchmarks.subjects.step import steps

TITLE = "Large sizes"
CASES = {
    "hidden 2,000, batch 4,096": {"hidden": 2000, "batch": 4096},
    "vocabulary 10,000": {"vocab": 10_000},
    "vocabulary 10,000, batch 4,096": {"vocab": 10_000, "batch": 4096},
}
PEERS = (
    "minigrad", "minigrad chunked", "minigrad captured", "minigrad captured, numba", "numpy by hand",
    "numpy, buffers reused", "matrix products alone", "torch eager", "torch eager chunked", "JAX jit",
)  # fmt: skip
# Whose memory is measured: what a compiler needs for itself is not of interest here.
HELD = ("minigrad", "minigrad captured", "numpy by hand", "torch eager")
STEPS_HELD = 3  # a step begins while the gradients of the one before are still there


def tasks(quick: bool) -> list[dict[str, Any]]:
    cases = list(CASES)[:2] if quick else list(CASES)
    held = ("minigrad", "torch eager") if quick else HELD
    return [{"case": case} for case in cases] + [{"case": case, "memory": name} for case in cases for name in held]


def run(job: Job) -> None:
    case = job.task["case"]
    name = job.task.get("memory")
    if name is None:
        problem = Problem(**CASES[case], threads=job.threads)
        job.rows += steps(job, problem, PEERS, job.seconds(9, 3), 3, case=case)
    else:
        found = job.attempt(name, lambda: memory(name, CASES[case], job.threads))
        if found is not None:
            job.rows.append({"case": case, "peer": name, "measure": "memory", "unit": "MB", **spread([found / 1e6])})


def memory(name: str, sizes: dict[str, int], threads: int) -> float:
    """Bytes: the parameters, what the contender makes ready, and three steps, above the process with the data."""
    make = find(STEPS, name)
    warm = make(Problem(threads=threads))  # whatever is loaded or made once for all sizes
    for _ in range(3):
        warm()
    del warm
    problem = Problem(**sizes, threads=threads)
    with peak() as found:
        step = make(problem)
        for _ in range(STEPS_HELD):
            step()
    return found["bytes"]
