"""metrics.jsonl, the file of what was measured during a run: read and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.errors import BadInput
from models.storage import read_bounded

METRICS = "metrics.jsonl"
RATIOS = ("update_to_data", "grad_to_data")
LOSS, RATIO = 1e39, 1e100  # above any float32 and any quotient of two; larger ones have no place on an axis
MOST = 100_000_000  # bytes; a run's are about a million


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of steps in a metrics.jsonl. Raises BadInput, with the line's number, for a damaged one."""
    try:
        text = read_bounded(path, MOST).decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: damaged, not text; train again") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(text.split("\n"), start=1):
        if not row:
            continue
        try:
            line = json.loads(row)
            if "train_loss" in line:  # the last one, of the trained network over whole splits
                continue
            check_line(line, lines[-1]["step"] if lines else -1)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:100]
            raise BadInput(f"{path}:{number}: damaged ({type(error).__name__}: {reason}); train again") from None
        lines.append(line)
    if not lines:
        raise BadInput(f"{path}: no steps in it; train again")
    return lines


def check_line(line: Any, before: int) -> None:
    """Raise ValueError, KeyError or another for what is no line of a step after step `before`."""
    if type(line["step"]) is not int or not before < line["step"] < 2**53:
        raise ValueError(f"step {line['step']!r} after step {before}")
    for key in ("loss", "mean_loss"):
        if not _number(line[key], LOSS):
            raise ValueError(f"{key} is {line[key]!r}")
    for kind in RATIOS:
        for name, ratio in line.get(kind, {}).items():
            if not (ratio is None or _number(ratio, RATIO)):
                raise ValueError(f"{kind} of {name} is {ratio!r}")


def _number(x: Any, most: float) -> bool:
    return type(x) in (int, float) and 0 <= x < most
