"""The curves of docs/performance.md: time and memory against sizes and graph length, with BLAS alone as the limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.ticker import NullFormatter

from benchmarks.peers import STEPS
from benchmarks.plot import plt, save
from benchmarks.report import Results, shown, table
from benchmarks.table import number

COLOURS = {
    "minigrad": "#c0392b", "minigrad captured": "#e67e22", "torch eager": "#2c6fbb", "numpy by hand": "#3a9d5d",
    "matrix products alone": "#111111",
}  # fmt: skip
NAMES = {"hidden": "hidden size", "batch": "batch", "vocab": "vocabulary", "nodes": "nodes of a chain"}
MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "ns": 1e-6}


def _ms(row: dict[str, Any]) -> float:
    """A row's time in ms; a memory's value as it is."""
    value: float = row["median"]
    return value * MS.get(row["unit"], 1.0)


def curves(results: dict[str, Any], threads: int = 1) -> dict[str, dict[str, dict[str, list[tuple[int, float]]]]]:
    """axis -> measure -> contender -> [(size, value)]; time in ms, memory in MB, those of a chain for all its nodes."""
    found: dict[str, Any] = {}
    for row in results["rows"]:
        if row["threads"] != threads or row["measure"] not in ("time", "memory"):
            continue
        value = _ms(row)
        if row["subject"] == "scale":
            axis, size = row["axis"], row["size"]
        elif row["subject"] == "chain":
            axis, size = "nodes", int(row["case"].removeprefix("chain of ").replace(",", ""))
            if row["peer"] not in COLOURS:
                continue
            value = value * size if row["measure"] == "time" else row["median"] * size / 1e6
        else:
            continue
        found.setdefault(axis, {}).setdefault(row["measure"], {}).setdefault(row["peer"], []).append((size, value))
    return found


def draw(results: dict[str, Any], path: Path) -> None:
    """Both measures over each axis, all scales logarithmic."""
    found = curves(results)
    axes = [axis for axis in NAMES if axis in found]
    figure, panels = plt.subplots(2, len(axes), figsize=(3.9 * len(axes), 6.6), layout="constrained", squeeze=False)
    for column, axis in enumerate(axes):
        for panel, (measure, unit) in zip(panels[:, column], (("time", "ms"), ("memory", "MB")), strict=True):
            for peer, points in found[axis].get(measure, {}).items():
                xs, ys = zip(*sorted(points), strict=True)
                dashed = "--" if peer == "matrix products alone" else "-"
                panel.plot(xs, ys, dashed, marker="o", ms=3.5, lw=1.4, color=COLOURS[peer], label=peer)
            panel.set(xscale="log", yscale="log", xlabel=NAMES[axis])
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.grid(alpha=0.25)
            panel.spines[["top", "right"]].set_visible(False)
            if column == 0:
                panel.set_ylabel(f"{'time of a step' if measure == 'time' else 'peak memory'}, {unit}")
        panels[0, column].set_title(NAMES[axis])
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    save(figure, path)


def grown(results: dict[str, Any]) -> str:
    """The tables behind the curves: ms a step, its ratio to torch, the share of BLAS, and MB."""
    found = curves(results)
    lines: list[str] = []
    for axis, measures in found.items():
        if axis == "nodes":
            continue  # the table of the chain has them
        time, memory = ({p: dict(v) for p, v in measures.get(m, {}).items()} for m in ("time", "memory"))
        ours, torch, blas = (time.get(p, {}) for p in ("minigrad", "torch eager", "matrix products alone"))
        body = []
        for size in sorted(ours):
            mine = ours[size]
            body.append([
                f"{size:,}", *(shown(time.get(p, {}).get(size)) for p in COLOURS if p in time),
                _percent(blas.get(size), mine), shown(mine / torch[size] if size in torch else None),
                *(shown(memory.get(p, {}).get(size)) for p in ("minigrad", "torch eager")),
            ])  # fmt: skip
        head = [
            NAMES[axis], *(f"{p}, ms" for p in COLOURS if p in time), "BLAS of minigrad's", "of torch eager",
            "minigrad, MB", "torch eager, MB",
        ]  # fmt: skip
        lines += [*table(head, body), ""]
    return "\n".join(lines).rstrip()


def _percent(part: float | None, whole: float) -> str:
    return "-" if part is None else f"{100 * part / whole:.0f} %"


def threads(results: dict[str, Any]) -> str:
    """Times of one thread over those of the most threads: what more threads give."""
    r = Results(results)
    if len(r.threads) < 2:
        return "Only one number of threads was measured."
    one, more = r.threads[0], r.threads[-1]
    cases = ["lecture", *r.cases("large"), *r.cases("evaluation"), *r.cases("second")]
    peers = [p for p in (*STEPS, "torch, 4,096 rows at a time") if any(r.row(case, p, "time", more) for case in cases)]
    body = []
    for peer in peers:
        line = [peer]
        for case in cases:
            a, b = r.row(case, peer, threads=one), r.row(case, peer, threads=more)
            line.append("-" if not a or not b else number(_ms(a) / _ms(b)))
        body.append(line)
    titles = {"lecture": "the lecture's step"}
    return "\n".join(table([f"time on {one} over time on {more} threads", *(titles.get(c, c) for c in cases)], body))
