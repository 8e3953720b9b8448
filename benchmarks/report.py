"""Results as Markdown: the README's section on speed, and the tables of docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import machine
from benchmarks.peers import STEPS
from benchmarks.table import number


class Results:
    """The JSON of a run, asked for figures; None, or a dash in a table, where something was not measured."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.all = results
        self.threads = sorted({row["threads"] for row in results["rows"]})

    def row(self, case: str, peer: str, measure: str = "time", threads: int = 1) -> dict[str, Any] | None:
        key = (case, peer, measure, threads)
        rows = self.all["rows"]
        return next((r for r in rows if (r["case"], r["peer"], r["measure"], r["threads"]) == key), None)

    def median(self, case: str, peer: str, measure: str = "time", threads: int = 1) -> float | None:
        row = self.row(case, peer, measure, threads)
        return None if row is None else row["median"]

    def ratio(self, case: str, peer: str, base: str, threads: int = 1) -> dict[str, float] | None:
        row = self.row(case, peer, "time", threads)
        return None if row is None else row.get("ratios", {}).get(base)

    def of(self, case: str, peer: str, base: str, measure: str, threads: int = 1) -> float | None:
        """A ratio of medians, for what is measured one process each."""
        a, b = self.median(case, peer, measure, threads), self.median(case, base, measure, threads)
        return None if a is None or not b else a / b

    def cases(self, subject: str) -> list[str]:
        return list(dict.fromkeys(r["case"] for r in self.all["rows"] if r["subject"] == subject))

    def peers(self, case: str, measure: str = "time", threads: int = 1) -> list[str]:
        """Who was measured, the quickest first."""
        key = (case, measure, threads)
        rows = [r for r in self.all["rows"] if (r["case"], r["measure"], r["threads"]) == key]
        return [r["peer"] for r in sorted(rows, key=lambda r: r["median"])]


def shown(value: float | dict[str, float] | None, unit: str = "") -> str:
    """A figure, or a ratio with its quartiles, or a dash."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"{value['median']:.2f} ({value['q1']:.2f} to {value['q3']:.2f})"
    return f"{number(value)} {unit}".strip()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Markdown, with all but the first columns to the right."""
    rule = ["---"] * left + ["--:"] * (len(head) - left)
    return [f"| {' | '.join(line)} |" for line in (head, rule, *rows)]


def step_table(r: Results) -> list[str]:
    """The lecture's step: everybody, the quickest first."""
    head = ["us a step"]
    for n in r.threads:
        head += [f"{n} thread{'s' if n > 1 else ''}", "of torch eager", "of numpy by hand"]
    lines = []
    for peer in r.peers("lecture", threads=r.threads[0]):
        name = f"**{peer}**" if peer.startswith("minigrad") else peer
        line = [name]
        for n in r.threads:
            base = "torch eager chunked" if peer.endswith("chunked") else "torch eager"
            ratios = [r.ratio("lecture", peer, b, n) for b in (base, "numpy by hand")]
            line += [shown(r.median("lecture", peer, threads=n)), *(shown(x) if x else "" for x in ratios)]
        lines.append(line)
    return table(head, lines)


Measured = Callable[[Results], float | None]


def _ratio(case: str, peer: str, base: str) -> Measured:
    def measured(r: Results) -> float | None:
        found = r.ratio(case, peer, base)
        return None if found is None else found["median"]

    return measured


def _largest(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return max(known) if known else None


SMALL = [f"{op} 1" for op in ("add", "mul", "matmul", "index", "sum")]  # where the work around an op is all there is
# What was to be reached: said as a sentence, the most it may be, and how it is measured.
GOALS: list[tuple[str, float, str, Measured]] = [
    ("fused step, of torch eager", 0.5, "", _ratio("lecture", "minigrad", "torch eager")),
    ("fused step, of numpy by hand", 1.15, "", _ratio("lecture", "minigrad", "numpy by hand")),
    ("chunked step, of torch eager's chunked", 0.8, "", _ratio("lecture", "minigrad chunked", "torch eager chunked")),
    ("captured step, of JAX jit", 0.75, "", _ratio("lecture", "minigrad captured", "JAX jit")),
    ("captured step, of numpy by hand", 0.7, "", _ratio("lecture", "minigrad captured", "numpy by hand")),
    (
        "captured step with numba, of the six matrix products", 2.0, "",
        _ratio("lecture", "minigrad captured, numba", "matrix products alone"),
    ),
    (
        "recorded op over the bare numpy call, forward, the largest of 5", 1.0, "us",
        lambda r: _largest([r.median(case, "minigrad", "forward over numpy") for case in SMALL]),
    ),
    (
        "the same, backward", 1.0, "us",
        lambda r: _largest([r.median(case, "minigrad", "backward over numpy") for case in SMALL]),
    ),
    (
        "scalar graph, built to freed, time a node, of micrograd", 1.0, "",
        _ratio("scalar graph", "minigrad", "micrograd"),
    ),
    (
        "scalar graph, memory a node, of micrograd", 1.0, "",
        lambda r: r.of("scalar graph", "minigrad", "micrograd", "memory"),
    ),
    (
        "large sizes, time, of torch eager, the largest", 1.1, "",
        lambda r: _largest([_ratio(case, "minigrad", "torch eager")(r) for case in r.cases("large")]),
    ),
    (
        "large sizes, peak memory, captured or not, of torch eager, the largest", 1.1, "",
        lambda r: _largest([
            r.of(case, ours, "torch eager", "memory")
            for case in r.cases("large") for ours in ("minigrad", "minigrad captured")
        ]),
    ),
    ("import, over numpy's own", 30, "ms", lambda r: r.median("import", "minigrad")),
]  # fmt: skip


def goals_table(r: Results) -> list[str]:
    """Each goal with what was measured, and whether that is reached."""
    lines = []
    for what, most, unit, measured in GOALS:
        value = measured(r)
        reached = "not measured" if value is None else "yes" if value <= most else "no"
        lines.append([what, shown(most, unit), shown(value, unit), reached])
    return table(["goal, one thread", "at most", "measured", "reached"], lines)


def others(r: Results) -> list[str]:
    """A line each for what is not the step."""
    peers = ("minigrad", "torch eager")

    def pair(case: str, unit: str, measure: str = "time") -> str:
        ours, torch = (shown(r.median(case, peer, measure), unit) for peer in peers)
        return f"{ours} (torch {torch})"

    lines = [
        f"- a scalar graph of 10,000 nodes, built, differentiated and freed: {pair('scalar graph', 'ns')} a node, "
        f"micrograd {shown(r.median('scalar graph', 'micrograd'), 'ns')}; where what is left lies about "
        f"{pair('scalar graph, garbage left', 'ns')}, micrograd "
        f"{shown(r.median('scalar graph, garbage left', 'micrograd'), 'ns')}; memory "
        f"{pair('scalar graph', 'bytes', 'memory')} a node, micrograd "
        f"{shown(r.median('scalar graph', 'micrograd', 'memory'), 'bytes')}",
    ]
    chain = r.cases("chain")
    if chain:
        ends = [case for case in (chain[0], chain[-1]) if r.row(case, "minigrad")]
        said = ", ".join(
            f"{case.removeprefix('chain of ')} nodes {shown(r.median(case, 'minigrad'), 'ns')} and "
            f"{shown(r.median(case, 'minigrad', 'memory'), 'bytes')}" for case in ends
        )  # fmt: skip
        lines.append(f"- time and peak memory a node of a chain: {said}")
    for case in r.cases("large"):
        time, memory = r.row(case, "minigrad"), r.of(case, "minigrad", "torch eager", "memory")
        if time:
            ratio = shown(time.get("ratios", {}).get("torch eager"))
            lines.append(
                f"- {case}: {shown(time['median'], time['unit'])} a step, {ratio} of torch's time, "
                f"{shown(memory)} of its peak memory"
            )
    lines += [
        f"- a gradient of a gradient: {pair('second derivatives', 'us')}",
        f"- 1,000 names sampled: {pair('1,000 names', 'ms')}; the loss of the training split: "
        f"{pair('train split', 'ms')}",
        f"- `import minigrad` over numpy's own: {pair('import', 'ms')}, {pair('import', 'MB', 'memory')}",
    ]
    return lines


def absent(r: Results) -> list[str]:
    """Who took no part, once for each reason."""
    said: dict[tuple[str, str], list[str]] = {}
    for a in r.all["absent"]:
        said.setdefault((a["peer"], a["reason"]), []).append(a["subject"])
    return [f"{peer} took no part in {', '.join(dict.fromkeys(s))}: {why}." for (peer, why), s in said.items()]


def readme(results: dict[str, Any]) -> str:
    """The README's section on speed, without its heading."""
    r = Results(results)
    lines = [
        "A training step of the lecture's network (batch 32, 3 x 10 -> 200 -> 27, with batch drawing and update), all "
        "in turns in one process, medians, and ratios with their quartiles (`make bench`):",
        "",
        *step_table(r),
        "",
        "![bars of the step's time, with the six matrix products as the limit](docs/performance/step.svg)",
        "",
        "What else was measured, on one thread:",
        "",
        *others(r),
        "",
        "What was to be reached, and what is:",
        "",
        *goals_table(r),
        "",
        *absent(r),
        f"Measured on {machine.line(results['machine'])}. [docs/performance.md](docs/performance.md) has all tables, "
        "how cost grows with size, and what two threads give.",
    ]
    return "\n".join(lines)


def tables(results: dict[str, Any]) -> str:
    """All rows as tables, for docs/performance.md; the names of the contenders in their order."""
    r = Results(results)
    order = {peer: i for i, peer in enumerate(["numpy", *STEPS])}
    lines: list[str] = []
    titles = {  # the step and the curves have tables of their own
        "scalar": "A scalar graph of 10,000 nodes", "chain": "A chain, each node on the one before",
        "large": "Large sizes", "second": "A gradient of a gradient", "imports": "Import, over numpy's own",
        "sampling": "Sampling", "evaluation": "Evaluation", "overhead": "An op over the bare numpy call",
    }  # fmt: skip
    for subject, title in titles.items():
        cases = r.cases(subject)
        if not cases:
            continue
        lines += [f"### {title}", ""]
        measures = list(dict.fromkeys(row["measure"] for row in results["rows"] if row["subject"] == subject))
        threads = sorted({row["threads"] for row in results["rows"] if row["subject"] == subject})
        columns = [(m, n) for n in threads for m in measures]
        several = len(threads) > 1
        head = ["case", "who", *(f"{m}, {n} thread{'s' if n > 1 else ''}" if several else m for m, n in columns)]
        body = []
        for case in cases:
            peers = list(dict.fromkeys(row["peer"] for row in results["rows"] if row["case"] == case))
            for peer in sorted(peers, key=lambda peer: order.get(peer, len(order))):
                found = [r.row(case, peer, m, n) for m, n in columns]
                body.append([case, peer, *(shown(x and x["median"], x["unit"] if x else "") for x in found)])
        lines += [*table(head, body, left=2), ""]
    return "\n".join(lines).rstrip()
