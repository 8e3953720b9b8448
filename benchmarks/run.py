"""The whole bench: each task of each subject in a fresh process, one thread and then two; what fails is reported.

python -m benchmarks [--quick] [--only step --only chain] [--threads 1 2] [--out out/bench]
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.subjects import SUBJECTS
from benchmarks.worker import environment

ROOT = Path(__file__).resolve().parents[1]
MORE_THREADS = ("step", "large", "second", "evaluation")  # the others call no BLAS that has work for two
MINUTES = 20  # of a whole run: what would begin later is left out, and said to be
LONGEST = 420  # seconds of one process, then it is ended
LATE = f"the {MINUTES} minutes were over"
TRIES = 4  # a contender that ends the process is left out of the next try

Say = Callable[[str], None]


def bench(threads: Sequence[int], quick: bool, only: Sequence[str], say: Say = print) -> dict[str, Any]:
    """Run it; the JSON object that the table, the plot and the README are made of."""
    began = time.time()
    rows: list[dict[str, Any]] = []
    absent: list[dict[str, Any]] = []
    for n in threads:
        for subject in only or SUBJECTS:
            if n > min(threads) and subject not in MORE_THREADS:
                continue
            module = import_module(f"benchmarks.subjects.{subject}")
            for task in module.tasks(quick):
                if n > min(threads) and "memory" in task:
                    continue  # it is the same
                started = time.time()
                if started - began > MINUTES * 60:
                    absent.append({"subject": subject, "threads": n, **task, "peer": "everybody", "reason": LATE})
                    say(f"{module.TITLE}, {n} thread{'s' if n > 1 else ''}: left out, {LATE}")
                    continue
                what = ", ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in task.values())
                found = process(subject, n, quick, task)
                about = {"subject": subject, "threads": n}
                rows += [{**about, **row} for row in found["rows"]]
                reasons = [{**about, **task, "peer": peer, "reason": why} for peer, why in found["absent"].items()]
                new = [a for a in reasons if not any(_same(a, b) for b in absent)]
                absent += reasons
                title = f"{module.TITLE}{f' ({what})' if what else ''}, {n} thread{'s' if n > 1 else ''}"
                say(f"{title}: {time.time() - started:.0f} s")
                for a in new:
                    say(f"    {a['peer']} takes no part: {a['reason']}")
    return {
        "machine": machine.describe(),
        "date": datetime.date.today().isoformat(),
        "quick": quick,
        "minutes": round((time.time() - began) / 60, 1),
        "rows": rows,
        "absent": absent,
    }


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return (a["peer"], a["reason"]) == (b["peer"], b["reason"])


def process(subject: str, threads: int, quick: bool, task: dict[str, Any], longest: float = LONGEST) -> dict[str, Any]:
    """The rows and absent contenders of one task; one that crashes or hangs is left out, and the task tried again."""
    absent: dict[str, str] = {}
    for _ in range(TRIES):
        given = {"subject": subject, "threads": threads, "quick": quick, "without": list(absent), "task": task}
        done, last, why = _started(given, longest)
        if done is not None:
            return {"rows": done["rows"], "absent": absent | done["absent"]}
        absent[last or f"all of {subject}"] = why
        if last is None or last in task.values():
            break
    return {"rows": [], "absent": absent}


def _started(given: dict[str, Any], longest: float) -> tuple[dict[str, Any] | None, str | None, str]:
    """One process: its results, or the contender whose turn it was to get ready, and what happened."""
    with tempfile.TemporaryDirectory() as folder:
        result, errors = Path(folder, "result.json"), Path(folder, "stderr")
        with errors.open("w") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", json.dumps(given), str(result)],
                cwd=ROOT, env=os.environ | environment(given["threads"]), stdout=subprocess.PIPE, stderr=stderr,
                text=True,
            )  # fmt: skip
            killed = threading.Event()

            def end() -> None:
                killed.set()
                child.kill()

            clock = threading.Timer(longest, end)
            clock.start()
            last = None
            try:
                assert child.stdout is not None
                for line in child.stdout:
                    last = line.strip()
                code = child.wait()
            finally:
                clock.cancel()
                child.kill()
                child.wait()
                if child.stdout is not None:
                    child.stdout.close()
        if code == 0 and result.is_file():
            return json.loads(result.read_text()), None, ""
        said = (errors.read_text(errors="replace").strip().splitlines() or [""])[-1]
        why = (
            f"it took longer than {longest:g} s" if killed.is_set()
            else f"it ended the process with signal {-code}" if code < 0
            else f"it ended the process: {said[:200]}"
        )  # fmt: skip
        return None, last, why
