"""What `makemore check` writes: a coloured table in a terminal, the lecture's rows in a pipe, JSON for machines."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

from models.check import EXERCISES, Row


def summary(rows: list[Row]) -> str:
    """The last line: how many rows are right, and which are not."""
    wrong = [f"{row.name} (exercise {row.exercise})" for row in rows if not row.right]
    if wrong:
        return f"wrong: {', '.join(wrong)}; {len(rows) - len(wrong)} of {len(rows)} rows are right"
    exact = sum(row.comparison.exact for row in rows if row.exercise == 1)
    return f"all {len(rows)} rows are right: {exact} exact, {len(rows) - exact} up to rounding"


def lines(rows: list[Row]) -> Iterator[str]:
    """Plain text: a heading for each exercise, the lecture's rows, and below a wrong one why."""
    for exercise, title in EXERCISES.items():
        yield f"exercise {exercise}: {title}"
        for row in (row for row in rows if row.exercise == exercise):
            line = row.comparison.row
            if row.torch is not None:
                line += f" | torch: approximate: {row.torch.approximate!s:5s} | maxdiff: {row.torch.maxdiff}"
            yield line if row.right else line + " | WRONG"
            if not row.right:
                yield from (f"    {text}" for text in reasons(row))
        yield ""
    yield summary(rows)


def reasons(row: Row) -> Iterator[str]:
    """Why a row is wrong, as far as that is known."""
    if row.torch is not None and not row.torch.right:
        yield f"torch's gradient differs by {row.torch.maxdiff:.2g}, and rounding explains {row.torch.limit:.2g}"
    if row.exercise != 1 and not row.comparison.maxdiff <= row.limit:
        yield f"maxdiff is more than {row.limit:.2g}, which rounding would explain"
    yield from row.comparison.reasons()


def as_json(rows: list[Row], about: dict[str, Any]) -> str:
    """One object: what was run, the rows, and whether all are right."""
    found = []
    for row in rows:
        c = row.comparison
        entry: dict[str, Any] = {
            "exercise": row.exercise,
            "name": c.name,
            "shape": list(c.expected),
            "exact": c.exact,
            "approximate": c.approximate,
            "maxdiff": _finite(c.maxdiff),
            "limit": row.limit,
            "right": row.right,
        }
        if row.torch is not None:
            t = row.torch
            entry["torch"] = {
                "exact": t.exact, "approximate": t.approximate, "maxdiff": _finite(t.maxdiff), "limit": t.limit,
            }  # fmt: skip
        if not row.right:
            entry["cause"] = c.cause.kind if c.cause is not None else None
            entry["reasons"] = list(reasons(row))
        found.append(entry)
    return json.dumps({**about, "right": all(row.right for row in rows), "rows": found}, indent=2)


def write(rows: list[Row]) -> None:
    """Print the rows to stdout in the form that suits it."""
    if sys.stdout.isatty():
        try:
            _table(rows)
            return
        except ImportError:  # rich comes with minigrad[train]: without it the plain text does
            pass
    print("\n".join(lines(rows)))


def _table(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")
    table = Table()
    for head in ("ex", "", "gradient", "exact", "approximate"):
        table.add_column(head, no_wrap=True)
    table.add_column("maxdiff", justify="right", no_wrap=True)
    if rows[0].torch is not None:
        table.add_column("to torch", justify="right", no_wrap=True)
    before = 0
    for row in rows:
        c, style = row.comparison, "" if row.right else "red"
        if row.exercise != before:
            table.add_section()
        cells = [
            Text(str(row.exercise) if row.exercise != before else "", "bold"),
            Text("ok", "green") if row.right else Text("wrong", "bold red"),
            Text(c.name, style or "cyan"),
            Text(str(c.exact), "green" if c.exact else style or "yellow"),
            Text(str(c.approximate), "green" if c.approximate else style or "yellow"),
            Text(f"{c.maxdiff:.3g}", style),
        ]
        if row.torch is not None:
            cells.append(Text(f"{row.torch.maxdiff:.3g}", "" if row.torch.right else "red"))
        table.add_row(*cells)
        before = row.exercise
    console.print(table)
    for exercise, title in EXERCISES.items():
        console.print(Text(f"exercise {exercise}: {title}", "dim"))
    for row in (row for row in rows if not row.right):
        console.print(Text(f"\n{row.name} (exercise {row.exercise}):", "bold red"))
        for text in reasons(row):
            console.print(Text(f"  {text}"))
    console.print()
    console.print(Text(summary(rows), "bold green" if all(row.right for row in rows) else "bold red"))


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
