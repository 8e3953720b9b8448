"""Import: time and memory over numpy's own, each in a fresh process, in turns."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.job import Job
from benchmarks.measure import rows, spread

TITLE = "Import, over numpy's own"
LIBRARIES = {
    "minigrad": "minigrad", "torch eager": "torch", "JAX jit": "jax", "MyGrad": "mygrad",
    "HIPS autograd": "autograd.numpy", "micrograd": "micrograd.engine", "tinygrad": "tinygrad",
}  # fmt: skip
CODE = """
import time, numpy
from benchmarks.measure import resident
before, began = resident(), time.perf_counter()
import {}
print(time.perf_counter() - began, resident() - before)
"""
ROOT = Path(__file__).resolve().parents[2]


def tasks(quick: bool) -> list[dict[str, Any]]:
    return [{}]


def run(job: Job) -> None:
    times: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    for i in range(4 if job.quick else 9):
        for name, module in LIBRARIES.items():
            if find_spec(module.partition(".")[0]) is None:
                job.absent[name] = f"{module.partition('.')[0]} is not installed"
                continue
            found = job.attempt(name, lambda module=module: _once(module))
            if found is not None and i:  # the first one compiles and fills the file cache
                times.setdefault(name, []).append(found[0])
                memory.setdefault(name, []).append(found[1])
    times = {name: seen for name, seen in times.items() if name not in job.absent}
    job.rows += rows(times, "ms", ("torch eager",), case="import")
    for name in times:
        held = [m / 1e6 for m in memory[name]]
        job.rows.append({"case": "import", "peer": name, "measure": "memory", "unit": "MB", **spread(held)})


def _once(module: str) -> tuple[float, float]:
    # Compiled once and kept, as an installed package is, whatever this shell says.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(module)], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    seconds, size = done.stdout.split()
    return float(seconds), float(size)
