"""The results in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine

MOST_BASES = 4  # columns of ratios; the JSON has all


def show(results: dict[str, Any], titles: dict[str, str], console: Console | None = None) -> None:
    """A table for each subject and case: median, quartiles, and the ratios with theirs."""
    console = console or Console()
    if not console.is_terminal:
        console.width = 170  # a file or pipe has no width of its own
    console.print(machine.line(results["machine"]), highlight=False)
    for subject, threads in dict.fromkeys((row["subject"], row["threads"]) for row in results["rows"]):
        rows = [row for row in results["rows"] if (row["subject"], row["threads"]) == (subject, threads)]
        bases = list(dict.fromkeys(base for row in rows for base in row.get("ratios", {})))[:MOST_BASES]
        table = Table(title=f"{titles[subject]}, {threads} thread{'s' if threads > 1 else ''}", title_justify="left")
        for column in ("case", "measure", "who"):
            table.add_column(column)
        for column in ("median", "quartiles", *(f"of {base}" for base in bases)):
            table.add_column(column, justify="right")
        before: Any = None
        for row in sorted(rows, key=lambda row: _place(rows, row)):
            key = (row["case"], row["measure"])
            if before is not None and key != before:
                table.add_section()
            ratios = [cell(row.get("ratios", {}).get(base)) for base in bases]
            unit = row["unit"]
            quartiles = f"{number(row['q1'])} - {number(row['q3'])}" if row["q1"] != row["q3"] else ""
            shown = key if key != before else ("", "")
            table.add_row(*shown, row["peer"], f"{number(row['median'])} {unit}", quartiles, *ratios)
            before = key
        console.print(table)
    for a in results["absent"]:
        where = a.get("case") or (f"chain of {a['nodes']:,}" if "nodes" in a else "")
        console.print(
            f"{a['peer']} took no part in {a['subject']}{f' ({where})' if where else ''}, {a['threads']} thread(s): "
            f"{a['reason']}", highlight=False, markup=False,
        )  # fmt: skip


def _place(rows: list[dict[str, Any]], row: dict[str, Any]) -> tuple[int, float]:
    keys = list(dict.fromkeys((r["case"], r["measure"]) for r in rows))
    return keys.index((row["case"], row["measure"])), row["median"]


def number(value: float) -> str:
    """Three digits, and thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cell(ratio: dict[str, float] | None) -> str:
    """0.61 (0.60 - 0.63)"""
    if ratio is None:
        return ""
    return f"{ratio['median']:.2f} ({ratio['q1']:.2f} - {ratio['q3']:.2f})"
