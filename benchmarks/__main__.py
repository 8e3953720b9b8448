"""python -m benchmarks: the bench, its table, JSON and plot. See make help."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.run import bench
from benchmarks.subjects import SUBJECTS


def lines(results: dict[str, Any]) -> str:
    """JSON with a line for each row, so that two runs can be compared by eye and by git."""
    parts = []
    for key, value in results.items():
        if isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"
        else:
            text = json.dumps(value)
        parts.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="minigrad beside torch, numpy by hand, JAX and others.",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="about two minutes, one thread: for a look")
    parser.add_argument("--only", action="append", default=[], choices=SUBJECTS, help="one subject; may be repeated")
    parser.add_argument("--threads", type=int, nargs="+", help="of BLAS and the others (1 2; with --quick 1)")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), metavar="DIR", help="JSON and plot (out/bench)")
    options = parser.parse_args(arguments)
    threads = options.threads or ([1] if options.quick else [1, 2])
    if min(threads) < 1:
        parser.error(f"--threads {min(threads)}: 1 at least")
    results = bench(threads, options.quick, options.only, lambda line: print(line, flush=True))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "bench.json"
    path.write_text(lines(results))
    from benchmarks import plot, scale, table

    table.show(results, {name: import_module(f"benchmarks.subjects.{name}").TITLE for name in SUBJECTS})
    if any(row["subject"] == "step" for row in results["rows"]):
        plot.step(results, options.out / "step.svg")
    if any(row["subject"] == "scale" for row in results["rows"]):
        scale.draw(results, options.out / "scale.svg")
    print(f"{results['minutes']} minutes; written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
