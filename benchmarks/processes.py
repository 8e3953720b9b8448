"""python -m benchmarks.processes: how a step of `makemore train --ddp` scales, measured and modelled. See make scaling.

The model has five constants. To draw a batch of n rows, which each process does, takes d * n seconds, and the rest of a
step a + b * r for the r rows of a process. An allreduce of m bytes among P processes takes 2 * log2(P) * alpha +
2 * (P - 1) / P * m * beta, the bound of recursive halving and doubling (Thakur, Rabenseifner & Gropp 2005,
"Optimization of collective communication operations in MPICH"). With more processes than cores all of it takes
P / cores times as long. a, b and d are fitted to one process, alpha and beta to allreduces alone: the steps of 2 and 4
processes, which the prediction is laid beside, are not used.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from models.distributed import Alone, Communicator, connect
from models.distributed.trainer import Parallel
from models.mlp import MLP, Config
from models.train import Plan

BATCHES, PROCESSES = (32, 4096), (1, 2, 4)
ROWS = (8, 16, 32, 128, 512, 1024, 2048, 4096)  # of one process, for a and b
FLOATS = (200, 12_000, 100_000)  # of an allreduce, for alpha and beta
VOCAB, SIZES = 27, {"context": 3, "embd": 10, "hidden": 200}  # the lecture's
NETWORK = {"alpha": 20e-6, "beta": 0.8e-9}  # an assumption: 20 us, 10 Gbit/s


def trainer(batch: int, comm: Communicator) -> Parallel:
    """The lecture's network on as many random rows as it has."""
    rng = np.random.default_rng(0)
    generator = mg.Generator().manual_seed(1)
    model = MLP(Config(VOCAB, **SIZES), generator)
    X, Y = rng.integers(0, VOCAB, (182_625, 3)), rng.integers(0, VOCAB, 182_625)
    return Parallel(model, Plan(batch=batch), X, Y, generator, comm=comm)


def quiet(function: Callable[[], Any], calls: int) -> tuple[float, float, float]:
    """Seconds of a call: the second percentile, when nothing else wants the processors; the median; processor time."""
    for _ in range(max(3, calls // 10)):
        function()
    found = []
    used = time.process_time()
    for _ in range(calls):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    used = time.process_time() - used
    return float(np.quantile(found, 0.02)), float(np.median(found)), used / calls


def measure(comm: Communicator, calls: int) -> dict[str, Any]:
    """In each of the processes: steps, allreduces, and in a single one the steps of fewer rows."""
    found: dict[str, Any] = {"processes": comm.size}
    steps = {b: quiet(trainer(b, comm).step, calls if b < 1000 else calls // 3) for b in BATCHES}
    for i, name in enumerate(("step", "median", "processor")):
        found[name] = {b: times[i] for b, times in steps.items()}
    if comm.size > 1:
        arrays = [np.ones(n, np.float32) for n in FLOATS]
        found["allreduce"] = {4 * len(a): quiet(lambda a=a: comm.all_reduce(a), calls)[0] for a in arrays}
    else:
        found["rows"] = {r: quiet(trainer(r, Alone()).step, calls if r < 1000 else calls // 3)[0] for r in ROWS}
        found["draw"] = {r: quiet(trainer(r, Alone()).draw, calls)[0] for r in ROWS}
    return found


def fit(found: list[dict[str, Any]], cores: int) -> dict[str, float]:
    """a, b, alpha and beta by least squares of relative errors."""
    rows = next(f["rows"] for f in found if "rows" in f)
    a, b = _least([[1.0, float(r)] for r in rows], list(rows.values()))
    draw = next(f["draw"] for f in found if "draw" in f)
    _, d = _least([[1.0, float(r)] for r in draw], list(draw.values()))  # a has the rest
    terms, seconds = [], []
    for f in found:
        for size, value in f.get("allreduce", {}).items():
            p = f["processes"]
            more = max(1.0, p / cores)
            terms.append([more * 2 * math.log2(p), more * 2 * (p - 1) / p * float(size)])
            seconds.append(value)
    alpha, beta = _least(terms, seconds)
    return {"a": a, "b": b - d, "d": d, "alpha": alpha, "beta": beta}


def _least(terms: list[list[float]], values: list[float]) -> list[float]:
    """Constants of a sum of terms, each at least 0."""
    y = np.array(values)
    scaled = np.array(terms) / y[:, None]
    solution = np.linalg.lstsq(scaled, np.ones(len(y)), rcond=None)[0]
    for i in np.flatnonzero(solution < 0):  # with two constants, the other one alone
        other = 1 - int(i)
        column = scaled[:, other]
        solution = np.zeros(2)
        solution[other] = column.sum() / (column @ column)
        break
    return [float(x) for x in solution]


def allreduces() -> list[int]:
    """The bytes of each in a step: two sums forward, two backward, and the gradients with three numbers."""
    elements = sum(
        math.prod(shape) for name, shape in Config(VOCAB, **SIZES).shapes().items() if name[:4] not in ("bnme", "bnva")
    )
    return [4 * SIZES["hidden"]] * 4 + [4 * (elements + 3)]


def predict(c: dict[str, float], batch: int, processes: int, cores: int | None = None) -> float:
    """Seconds of a step. cores None: each process has its own."""
    p = processes
    more = 1.0 if cores is None else max(1.0, p / cores)
    talk = sum(2 * math.log2(p) * c["alpha"] + 2 * (p - 1) / p * m * c["beta"] for m in allreduces()) if p > 1 else 0.0
    return more * (c["a"] + c["b"] * math.ceil(batch / p) + c["d"] * batch + talk)


def table(results: dict[str, Any]) -> list[str]:
    """Markdown: measured and predicted, ms a step."""
    lines = [
        "| batch | processes | median, ms | quiet, ms | processor, ms | predicted, ms | predicted / quiet | speed-up |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for batch in BATCHES:
        first = results["measured"][0]["step"][str(batch)]
        for f in results["measured"]:
            got, p = f["step"][str(batch)], f["processes"]
            said = predict(results["constants"], batch, p, results["cores"])
            ms = [f"{x * 1e3:.3g}" for x in (f["median"][str(batch)], got, f["processor"][str(batch)], said)]
            lines.append(f"| {batch:,} | {p} | {' | '.join(ms)} | {said / got:.2f} | {first / got:.2f} |")
    return lines


def draw(results: dict[str, Any], path: Path) -> None:
    """The speed-up over one process, up to 1,024, each with a core of its own; what was measured as points."""
    from benchmarks.plot import plt, save

    figure, panels = plt.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained", sharey=True)
    c = results["constants"]
    kinds = (("this machine's messages", c), ("20 us and 10 Gbit/s (assumed)", {**c, **NETWORK}))
    for panel, (title, constants) in zip(panels, kinds, strict=True):
        for batch, colour in zip((32, 4096, 65_536), ("#c0392b", "#2c6fbb", "#3a9d5d"), strict=True):
            ps = [2**i for i in range(11) if 2**i <= batch]
            one = predict(constants, batch, 1)
            panel.plot(ps, [one / predict(constants, batch, p) for p in ps], color=colour, label=f"batch {batch:,}")
            if panel is panels[0] and batch in BATCHES:
                steps = [(f["processes"], f["step"][str(batch)]) for f in results["measured"]]
                panel.plot([p for p, _ in steps], [steps[0][1] / t for _, t in steps], "o", color=colour, ms=5)
        panel.plot([1, 1024], [1, 1024], ":", color="#777777", label="as many times as processes")
        panel.set(xscale="log", yscale="log", xlabel="processes, a core each", title=title)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"speed-up (points: measured, {results['cores']} cores)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    save(figure, path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes")
    parser.add_argument("--out", type=Path, default=Path("out/scaling"), metavar="DIR", help="(out/scaling)")
    parser.add_argument("--calls", type=int, default=600, metavar="N", help="steps that are timed, each (600)")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        comm = connect(600)
        found = measure(comm, options.calls)
        if comm.rank == 0:
            options.worker.write_text(json.dumps(found))
        return 0
    if shutil.which("mpirun") is None:
        parser.error("there is no mpirun: make browser installs it")
    options.out.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ, "OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }  # fmt: skip
    measured = []
    for p in PROCESSES:
        path = options.out / f"processes-{p}.json"
        worker = [sys.executable, "-m", "benchmarks.processes", "--calls", str(options.calls), "--worker", str(path)]
        subprocess.run(["mpirun", "-n", str(p), *worker], env=environment, check=True)
        measured.append(json.loads(path.read_text()))
        path.unlink()
    cores = len(os.sched_getaffinity(0))
    results = {"cores": cores, "load": os.getloadavg()[0], "measured": measured, "constants": fit(measured, cores)}
    (options.out / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")
    c = results["constants"]
    print(*table(results), sep="\n")
    print(f"\na {c['a'] * 1e3:.3g} ms, b {c['b'] * 1e6:.3g} us a row, d {c['d'] * 1e6:.3g} us a row")
    print(f"alpha {c['alpha'] * 1e6:.3g} us, beta {c['beta'] * 1e9:.3g} ns a byte")
    draw(results, options.out / "scaling.svg")
    print(f"written to {options.out / 'scaling.json'} and {options.out / 'scaling.svg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
