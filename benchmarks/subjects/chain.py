"""A chain of 1,000 to 1,000,000 nodes: time and peak memory a node, which must stay flat."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job
from benchmarks.measure import rows, spread, turns
from benchmarks.peers.scalars import SCALARS, Chain, values
from benchmarks.subjects.scalar import memory

TITLE = "A chain of nodes, each on the one before"
LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
PEERS = ("minigrad", "torch eager", "micrograd", "MyGrad", "HIPS autograd")
HELD = 200_000  # nodes at least, where memory is measured


def tasks(quick: bool) -> list[dict[str, Any]]:
    lengths = LENGTHS[:3] if quick else LENGTHS
    held = ("minigrad", "torch eager") if quick else ("minigrad", "torch eager", "micrograd")
    return [{"nodes": n} for n in lengths] + [
        {"nodes": n, "memory": name} for n in lengths for name in held if n <= 100_000 or name != "micrograd"
    ]


def run(job: Job) -> None:
    n = job.task["nodes"]
    program, case = Chain(n), f"chain of {n:,}"
    name = job.task.get("memory")
    if name is not None:
        found = job.attempt(name, lambda: memory(name, program, max(1, HELD // n)))
        if found is not None:
            job.rows.append({"case": case, "peer": name, "measure": "memory", "unit": "B", **spread([found])})
        return

    def prepare(make: Any) -> Any:
        timed = make(program)
        return timed, values(timed())

    for name in PEERS[2:] if n > 100_000 else ():
        job.absent[name] = "it takes 10 to 60 us a node, and recurses: no more than 100,000 nodes are tried"
    ready = job.agreeing(SCALARS, PEERS, prepare, "minigrad", relative=True)
    long = n >= 100_000  # rounds of many seconds: two, or one, and the check before them was the warm-up
    least = 1 if n > 100_000 else 2 if long else 3
    times = turns(ready, job.seconds(4, 1.5), least=least, calls_each=1 if long else None, collect=True)
    job.rows += rows(times, "ns", ("torch eager", "micrograd"), program.nodes, case=case)
