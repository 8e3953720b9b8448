"""One task of the bench in a process of its own: python -m benchmarks.worker, started by run.py."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.job import Job


def environment(threads: int) -> dict[str, str]:
    """What makes each library use this many threads; it is read when the library is imported."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUM_CPU_THREADS")
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if threads == 1 else ""
    return {**dict.fromkeys(names, str(threads)), "XLA_FLAGS": flags, "PYTHONHASHSEED": "0"}


def main(argument: str, result: str) -> None:
    """argument: JSON with subject, threads, quick, without and task; the rows are written to the file `result`."""
    given: dict[str, Any] = json.loads(argument)
    subject = given.pop("subject")
    # Libraries print to stdout: what the parent reads goes to a copy of it, and theirs to stderr.
    to_parent = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(name: str) -> None:
        print(name, file=to_parent, flush=True)

    job = Job(**given, tell=tell)
    import_module(f"benchmarks.subjects.{subject}").run(job)
    Path(result).write_text(json.dumps({"rows": job.rows, "absent": job.absent}))


if __name__ == "__main__":
    main(*sys.argv[1:])
