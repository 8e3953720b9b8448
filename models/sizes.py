"""How much memory a run would take, told before it is taken."""

from __future__ import annotations

import math
import os
from pathlib import Path

from models.mlp import ROWS, STATISTICS, Config
from models.train import Plan

_FLOAT, _INT = 4, 8  # bytes
_BASE = 200 * 2**20  # Python, numpy, matplotlib and the names themselves
_SHARE = 0.8  # of the memory here that a run may take


class TooLarge(ValueError):
    """A network or batch that would not fit in memory; its text is one line with the estimate."""


def estimate(config: Config, plan: Plan, rows: int) -> int:
    """The bytes that training on `rows` rows takes at its peak, roughly and rather more than less.

    A parameter is held with its gradient, one temporary, a copy at the steps that metrics are written of, and what
    the optimizer keeps of it; parameter and optimizer once more to find a nan from, and three times while a checkpoint
    is written, with the losses; a step's values with their gradients; the data set twice while it is built.
    """
    kept = {"sgd": 1, "adamw": 3}[plan.optimizer]
    copies = 3 + 5 * kept
    numbers = sum(math.prod(shape) for name, shape in config.shapes().items() if name not in STATISTICS)
    wide, narrow = (8, 9) if plan.chunked else (5, 3)  # (n, hidden) and (n, vocab_size) values of one forward pass
    fan_in = config.context * config.embd
    row = 2 * (2 * fan_in + wide * config.hidden + narrow * config.vocab_size)
    measured = min(rows, ROWS) * (2 * fan_in + 6 * config.hidden + 4 * config.vocab_size)
    values = max(plan.batch * row, measured)
    data = 2 * rows * (config.context + 2) * _INT
    return _BASE + _FLOAT * (copies * numbers + values + 4 * plan.steps) + data + plan.batch * config.context * _INT


def check_fits(config: Config, plan: Plan, rows: int) -> None:
    """Raise TooLarge for a run that would take more than most of the memory here."""
    need, have = estimate(config, plan, rows), memory()
    if need > _SHARE * have:
        raise TooLarge(
            f"this run would need about {_gib(need)} of memory and may take {_gib(int(_SHARE * have))} here: "
            "make --hidden, --embd, --context, --batch or --steps smaller"
        )


def memory() -> int:
    """The bytes of memory that this process may use: the machine's, or its control group's where that is less."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        machine = 8 * 2**30  # not known on this system: what a small machine has
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            machine = min(machine, int(Path(path).read_text()))
        except (OSError, ValueError):  # no control groups, or no limit ("max")
            continue
    return machine


def _gib(n: int) -> str:
    tenths = n * 10 // 2**30  # in whole numbers: n may be larger than a float can be
    return f"{tenths // 10:,}.{tenths % 10} GiB"
