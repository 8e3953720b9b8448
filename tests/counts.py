"""What a training step of the lecture does, counted and not timed: python -m tests.counts writes counts.json anew.

Counts hang on no machine's speed: numpy calls and the bytes of their results, as minigrad.compile sees them; calls of
Python and C functions, as sys.setprofile sees them; peak memory, as tracemalloc sees it.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from models.mlp import MLP, Config

FILE = Path(__file__).with_name("counts.json")
PYTHON = "{}.{}".format(*sys.version_info)  # what is counted of Python itself hangs on it
OF_PYTHON = ("functions called", "peak bytes")
KINDS = ("fused", "chunked", "fused captured", "chunked captured")


def make(chunked: bool) -> tuple[Callable[..., Any], Any, Any]:
    """The lecture's step (batch 32, 30 -> 200 -> 27) and its batch."""
    rng = np.random.default_rng(0)
    net = MLP(Config(27))
    optimizer = mg.optim.SGD(net.parameters(), lr=0.1)

    def step(Xb: Any, Yb: Any) -> Any:
        loss = net.forward_chunked(Xb, Yb)[0] if chunked else net.forward_fused(Xb, Yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, rng.integers(0, 27, (32, 3)), rng.integers(0, 27, 32)


def count(kind: str) -> dict[str, int]:
    """The counts of one kind of step, warm."""
    step, Xb, Yb = make("chunked" in kind)
    captured = mg.compile(step)
    for _ in range(4):
        captured(Xb, Yb)
        step(Xb, Yb)
    found = mg.compile.explain(captured)
    report = captured.captured[0].plan.report
    run = captured if "captured" in kind else step
    if "captured" in kind:
        counts = {"numpy calls": found.calls, "bytes laid out": found.planned}
    else:
        counts = {"numpy calls": report.recorded, "bytes of new arrays": found.separate}
    return counts | {"functions called": _called(run, Xb, Yb), "peak bytes": _peak(run, Xb, Yb)}


def _called(run: Callable[..., Any], *args: Any) -> int:
    """Calls of Python and C functions; those of ufuncs and operators are numpy's calls, and not seen here."""
    seen = 0

    def look(frame: Any, event: str, arg: Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    gc.disable()  # a collection could call a finalizer of something else
    before = sys.getprofile()
    sys.setprofile(look)
    try:
        run(*args)
    finally:
        sys.setprofile(before)
        gc.enable()
    return seen


def _peak(run: Callable[..., Any], *args: Any) -> int:
    """Bytes of Python objects and arrays at once during a step, above what was there before."""
    gc.collect()
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        run(*args)
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        run(*args)
        return tracemalloc.get_traced_memory()[1] - start
    finally:
        if not tracing:
            tracemalloc.stop()


if __name__ == "__main__":
    FILE.write_text(json.dumps({"python": PYTHON} | {kind: count(kind) for kind in KINDS}, indent=1) + "\n")
    print(FILE.read_text(), end="")
