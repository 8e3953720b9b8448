"""A scalar expression of about 10,000 nodes, built, differentiated and freed: time and memory, beside micrograd."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job
from benchmarks.measure import peak, rows, spread, turns
from benchmarks.peers import find
from benchmarks.peers.scalars import SCALARS, Neurons, Program, values

TITLE = "A scalar graph of 10,000 nodes"
NODES = 10_000
GRAPHS = 20  # held at once where memory is measured: so much that nothing else counts
CASE = "scalar graph"
LEFT = "scalar graph, garbage left"


def tasks(quick: bool) -> list[dict[str, Any]]:
    held = ("minigrad", "micrograd", "torch eager") if quick else ("minigrad", "micrograd", "torch eager", "MyGrad")
    return [{}] + [{"memory": name} for name in held]


def run(job: Job) -> None:
    program = Neurons(NODES)
    name = job.task.get("memory")
    if name is not None:
        found = job.attempt(name, lambda: memory(name, program, GRAPHS))
        if found is not None:
            job.rows.append({"case": CASE, "peer": name, "measure": "memory", "unit": "B", **spread([found])})
        return
    names = [name for name in SCALARS if not (job.quick and name in ("JAX jit", "tinygrad"))]

    def prepare(make: Any) -> Any:
        timed = make(program)
        return timed, values(timed())

    ready = job.agreeing(SCALARS, names, prepare, "micrograd" if _there("micrograd") else "minigrad", relative=True)
    # Some graphs lead back to themselves, and go when garbage is collected: in anybody's turn, if nobody asks for it.
    for case, collect in ((CASE, True), (LEFT, False)):
        times = turns(ready, job.seconds(6, 3), collect=collect)
        job.rows += rows(times, "ns", ("micrograd", "torch eager"), program.nodes, case=case)


def _there(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def memory(name: str, program: Program, graphs: int) -> float:
    """Peak bytes a node, of several graphs that were built and differentiated and are all alive."""
    run = find(SCALARS, name)(program)
    run()
    with peak() as found:
        alive = [run() for _ in range(graphs)]
    nodes = len(alive) * program.nodes
    return found["bytes"] / nodes
