"""How time and memory are measured: contenders take turns, and what counts is the ratio within a round."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

TURN = 0.004  # seconds: a contender's turn has as many calls as fit in it
MOST_CALLS = 2000


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    q1, median, q3 = np.percentile(values, [25, 50, 75])
    return {"median": _short(median), "q1": _short(q1), "q3": _short(q3)}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def turns(
    contenders: dict[str, Callable[[], Any]],
    seconds: float,
    *,
    before: dict[str, Callable[[], Any]] | None = None,
    least: int = 5,
    most: int = 300,
    calls_each: int | None = None,
    collect: bool = False,
) -> dict[str, list[float]]:
    """Seconds a call, of each contender in each round; the contenders take turns until `seconds` are over.

    A turn is about 4 ms of calls, or one call. Each round starts with another contender, so that none always follows
    the same one. before[name] is run before each call of a contender, untimed (its turn is then one call).
    calls_each: the calls of a turn, where they are known and warm. collect: garbage is collected at the end of each
    turn, within its time, so that who leaves some pays for it and nobody else.
    """
    before = before or {}
    clock = time.perf_counter
    calls: dict[str, int] = {}
    for name, run in contenders.items():
        if calls_each is not None:
            calls[name] = calls_each
            continue
        took = 0.0
        for _ in range(2):  # the second is warm
            if took < 0.5:
                given = before[name]() if name in before else None
                began = clock()
                run(given) if name in before else run()
                took = clock() - began
        calls[name] = 1 if name in before else max(1, min(MOST_CALLS, round(TURN / max(took, 1e-9))))
    names = list(contenders)
    times: dict[str, list[float]] = {name: [] for name in names}
    given = None
    gc.collect()
    gc.freeze()  # what the libraries made at import is nobody's garbage to look through in a turn
    ends = clock() + seconds
    try:
        for i in range(most):
            if i >= least and clock() > ends:
                break
            for name in names[i % len(names) :] + names[: i % len(names)]:
                run, n = contenders[name], calls[name]
                if name in before:
                    given = before[name]()
                    began = clock()
                    run(given)
                else:
                    loop = range(n)
                    began = clock()
                    for _ in loop:
                        run()
                if collect:
                    gc.collect()
                took = clock() - began
                given = None
                times[name].append(took / n)
    finally:
        gc.unfreeze()
    return times


def rows(
    times: dict[str, list[float]], unit: str, bases: Sequence[str] = (), per: float = 1, **about: Any
) -> list[dict[str, Any]]:
    """A row of results for each contender: its time and its ratio to each of the bases, as median and quartiles.

    unit: s, ms, us or ns. per: what one call did that many of. about: what else the rows say (case, measure).
    """
    scale = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit] / per
    found = []
    for name, seen in times.items():
        row = {"peer": name, "measure": "time", "unit": unit, "rounds": len(seen), **about}
        row |= spread(np.array(seen) * scale)
        row["ratios"] = {
            base: spread(np.array(seen) / np.array(times[base])) for base in bases if base in times and base != name
        }
        found.append(row)
    return found


# ------------------------------------------------------------------------------------------------ memory


def resident() -> int:
    """Bytes of this process's memory that are in RAM now."""
    with open("/proc/self/smaps_rollup") as file:  # exact, where VmRSS is counted in batches
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:")) * 1024


def settled() -> int:
    """resident(), after garbage is collected and the allocator has given back what is free."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return resident()


@contextlib.contextmanager
def peak() -> Iterator[dict[str, int]]:
    """Bytes that the process grew by at most inside, in the dict's "bytes" afterwards.

    Linux keeps the high-water mark and can set it back; elsewhere it is the process's own, of all that came before too.
    """
    found: dict[str, int] = {}
    try:
        start = settled()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        linux = True
    except OSError:
        start, linux = _most(), False
    yield found
    if linux:
        with open("/proc/self/status") as file:
            top = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) * 1024
        top = max(top, resident())
    else:
        top = _most()
    found["bytes"] = max(0, top - start)


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
