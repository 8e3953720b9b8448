"""The order of a capture's calls for compiled loops: what Python must do itself stands before or after runs of loops.

A number that is read comes first, arithmetic of numbers waits until somebody needs it, and an integer that is compared
in order to decide something is compared within the loops. So that a run of loops is as long as can be.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .calls import Call, Local
from .loops import axes

COMPARE = {operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">="}


def arranged(calls: list[Call], outputs: list[Any]) -> list[Call]:
    return _late(_early(_decided(calls, outputs)))


def _decided(calls: list[Call], outputs: list[Any]) -> list[Call]:
    """Comparisons of what a loop finds, by which alone something is decided, as one call, "expect" (Segment.expect)."""
    uses: dict[Local, int] = {}
    for call in calls:
        for local in call.locals():
            uses[local] = uses.get(local, 0) + 1
    found = {call.out for call in calls if type(call.out) is Local and axes(call) is not None}
    made: list[Call] = []
    for call in calls:
        last = made[-1] if made else None
        if (
            call.kind == "decide" and last is not None and call.args[0] is last.out
            and _compares(last) and last.args[0] in found
            and uses[last.out] == 1 and not any(out is last.out for out in outputs)
        ):  # fmt: skip
            made[-1] = Call("expect", last.function, (*last.args, call.args[1]), {}, None, [], call.line)
        else:
            made.append(call)
    return made


def _compares(call: Call) -> bool:
    if call.kind != "operator" or call.function not in COMPARE or len(call.args) != 2:
        return False
    x, limit = call.args
    if type(x) is not Local or type(limit) is not int or not isinstance(x.value, (np.int64, np.uint64)):
        return False
    kind = np.iinfo(x.value.dtype)
    return kind.min <= limit <= kind.max


def _early(calls: list[Call]) -> list[Call]:
    """Numbers that are only read, before all else, as long as nothing changes Python's state before them."""
    last = next((i for i, call in enumerate(calls) if call.kind == "host" and call.changes), len(calls))
    reads = [call for call in calls[:last] if call.kind == "host"]
    return reads + [call for call in calls[:last] if call.kind != "host"] + calls[last:]


def _late(calls: list[Call]) -> list[Call]:
    """Arithmetic of numpy's numbers with a float result, which never fails, where it is first used, or at the end."""
    waiting: dict[Local, Call] = {}
    made: list[Call] = []

    def fetch(call: Call) -> None:
        for local in call.locals():
            if local in waiting:
                needed = waiting.pop(local)
                fetch(needed)
                made.append(needed)

    for call in calls:
        if (
            call.kind == "operator" and type(call.out) is Local and isinstance(call.out.value, np.floating)
            and all(map(_number, call.args))
        ):  # fmt: skip
            waiting[call.out] = call
        else:
            fetch(call)
            made.append(call)
    for call in list(waiting.values()):
        if call.out in waiting:
            fetch(call)
            made.append(waiting.pop(call.out))
    return made


def _number(x: Any) -> bool:
    return isinstance(x.value if type(x) is Local else x, np.generic)
