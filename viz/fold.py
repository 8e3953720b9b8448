"""What of a Trace is drawn: groups collapsed to a box, repeated structure folded, so that any graph fits a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from .errors import UnknownGroup
from .text import cut
from .trace import Op, Trace

__all__ = ["Box", "Sketch", "sketch"]

PERIODS = 256  # ops: repeated structure is looked for up to this length, and at the gaps that are frequent
REPEATS = 4  # so often it must repeat: the first and the last are drawn, a box stands for those between
OUTPUTS = 20  # so many are drawn even where what made them is folded
INPUTS = 20  # of one op that are drawn when a graph is too large; and so many parts of what is left out are listed
LISTED = 12  # groups, where the one asked for is none of them


@dataclass(frozen=True)
class Box:
    """What stands for ops that are not drawn: a "group" that is collapsed, or what is "folded" or "cut"."""

    key: str
    kind: str
    title: str
    about: tuple[str, ...]
    scope: tuple[str, ...]
    values: int
    ops: int


@dataclass
class Sketch:
    """What is drawn: keys of values, ops, boxes; `home` finds the box of what is not. `notes` say what was left out."""

    graph: Trace
    home: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def at(self, key: str) -> str:
        """What is drawn for this key: itself, or the outermost box that it went into."""
        while key in self.home:
            key = self.home[key]
        return key

    @property
    def folded(self) -> bool:
        """Whether something was left out because the graph is large."""
        return any(box.kind != "group" for box in self.boxes.values())

    def size(self) -> int:
        return len(self.graph) + len(self.boxes) - len(self.home)

    def hidden(self, box: str) -> list[str]:
        return [key for key in self.home if self.at(key) == box]


def sketch(
    graph: Trace, collapse: Sequence[str] = (), depth: int | None = None, max_nodes: int | None = 500
) -> Sketch:
    """Collapse the groups asked for; then fold, as long as there are more than max_nodes values, ops and boxes."""
    drawn = Sketch(graph)
    folding = _Folding(drawn)
    folding.collapse(collapse, depth)
    if max_nodes is not None and drawn.size() > max_nodes:
        folding.fold(max_nodes)
    return drawn


class _Folding:
    def __init__(self, drawn: Sketch) -> None:
        self.drawn, self.graph = drawn, drawn.graph
        self.op_of = {op.output: op for op in self.graph.ops}
        self.by_key = {op.key: op for op in self.graph.ops}
        self.uses: dict[str, list[str]] = {}
        for op in self.graph.ops:
            for key in (*op.inputs, *op.arrays):
                if isinstance(key, str):
                    self.uses.setdefault(key, []).append(op.key)
        outputs = [key for key, value in self.graph.values.items() if value.kind == "output"]
        self.kept = set(outputs) if len(outputs) <= OUTPUTS else set()
        self.labels: dict[Any, int] = {}

    # ------------------------------------------------------------------------------------------- groups

    def collapse(self, patterns: Sequence[str], depth: int | None) -> None:
        groups: dict[tuple[str, ...], list[Op]] = {}
        known: dict[tuple[str, ...], list[str]] = {}
        matched: set[str] = set()
        for op in self.graph.ops:
            for end in range(1, len(op.scope) + 1):
                path = op.scope[:end]
                if path not in known:
                    known[path] = [pattern for pattern in patterns if _matches(path, pattern)]
                found = known[path]
                matched.update(found)
                if found or end == depth:
                    groups.setdefault(path, []).append(op)
                    break
        for pattern in patterns:
            if pattern not in matched:
                raise UnknownGroup(f"collapse: this graph has no group {cut(pattern)!r}; {self.there()}")
        for path, ops in groups.items():
            inside = {op.key for op in ops}
            given = {key for op in ops for key in (*op.inputs, *op.arrays) if isinstance(key, str)} - self.op_of.keys()
            values = self.graph.values  # data that is given to a group is seen, but not its parameters
            shown = {key for key in given if values[key].name and values[key].kind == "constant"}
            crossing = shown | {
                op.output
                for op in ops
                if values[op.output].kind == "output"
                or any(use not in inside for use in self.uses.get(op.output, ()))
            }
            self.hide("group", path[-1], path[:-1], ops, keep=crossing)

    def there(self) -> str:
        paths = {op.scope[: i + 1] for op in self.graph.ops for i in range(len(op.scope))}
        known = sorted({"/".join(map(_bare, path)) for path in paths}, key=lambda name: (name.count("/"), name))
        if not known:
            return "it has no groups"
        more = f" and {len(known) - LISTED:,} more" if len(known) > LISTED else ""
        return f"its groups are {', '.join(cut(name, 60) for name in known[:LISTED])}{more}"

    def hide(
        self, kind: str, title: str, scope: tuple[str, ...], ops: list[Op], keep: set[str], boxes: Sequence[str] = ()
    ) -> str:
        """Put these ops (and boxes) into a new box, with the values that only they know."""
        drawn = self.drawn
        key = f"box{len(drawn.boxes) + 1}"
        inside = [op.key for op in ops] + list(boxes)
        members = set(inside)
        values = [op.output for op in ops if op.output not in keep and op.output not in drawn.home]
        given = {name: 1 for op in ops for name in (*op.inputs, *op.arrays) if isinstance(name, str)}
        for name in given:
            if name not in self.op_of and name not in drawn.home and name not in keep:
                values += [name] * all(drawn.at(use) in members for use in self.uses[name])
        counted = [drawn.boxes[box] for box in boxes]
        names = [name for name in (self.graph.values[k].name for k in values) if name]
        leaves = sum(self.graph.values[k].kind == "leaf" for k in values)
        symbols = Counter(op.symbol for op in ops)
        total = len(ops) + sum(box.ops for box in counted)
        listed = ", ".join(f"{s} x {n:,}" if n > 1 else s for s, n in symbols.most_common(6))
        about = [f"{total:,} op{'s' * (total != 1)}"]
        if ops:
            about.append(listed + ", ..." * (len(symbols) > 6))
        if leaves:
            about.append(f"{leaves:,} lea{'ves' if leaves > 1 else 'f'} inside")
        if names:
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            about.append(f"with {', '.join(dict.fromkeys(cut(_last(name), 20) for name in names[:3]))}{more}")
        amount = len(values) + sum(box.values for box in counted)
        drawn.boxes[key] = Box(key, kind, title, tuple(about), scope, amount, total)
        for name in inside + values:
            drawn.home[name] = key
        return key

    # ------------------------------------------------------------------------------------------ folding

    def fold(self, most: int) -> None:
        drawn = self.drawn
        before = len(self.graph)
        units: list[str] = []
        for op in self.graph.ops:
            unit = drawn.at(op.key)
            if not units or units[-1] != unit:
                units.append(unit)
        units = list(dict.fromkeys(units))
        for _ in range(8):
            labels = [self.label(unit) for unit in units]
            runs = _runs(np.array(labels, np.int64))
            if not runs or drawn.size() <= most:
                break
            units = self.fold_runs(units, labels, runs)
            self.hide_between()
        self.fold_inputs(most)
        if drawn.size() > most:
            units = self.cut_out(units, most)
            self.hide_between()
        hidden_ops = sum(1 for key in drawn.home if key in self.by_key)
        hidden_values = sum(1 for key in drawn.home if key in self.graph.values)
        drawn.notes.append(
            f"{before:,} values and ops; {hidden_values:,} values and {hidden_ops:,} ops are not drawn one by one: "
            "a box marked 'x' stands for repeated structure"
            + (", one marked '...' for the middle" if any(b.kind == "cut" for b in drawn.boxes.values()) else "")
        )

    def label(self, unit: str) -> int:
        """One number for units that look the same."""
        op = self.by_key.get(unit)
        if op is None:
            box = self.drawn.boxes[unit]
            what: Any = (box.kind, _plain(box.title), box.about[:2], tuple(map(_plain, box.scope)))
        else:
            values = self.graph.values
            out = values[op.output]
            inputs = tuple(  # not whether one is a leaf: the first time it mostly is
                [
                    (values[x].requires_grad, values[x].shape) if isinstance(x, str) else type(x.number)
                    for x in op.inputs
                ]
            )
            what = (op.name, out.shape, out.dtype, inputs, tuple(map(_plain, op.scope)) if op.scope else ())
        return self.labels.setdefault(what, len(self.labels))

    def fold_runs(self, units: list[str], labels: list[int], runs: list[tuple[int, int, int]]) -> list[str]:
        result: list[str] = []
        done = 0
        for start, period, repeats in sorted(runs):
            first, last = start + period, start + period * (repeats - 1)
            inside = units[first:last]
            ops = [self.by_key[unit] for unit in inside if unit in self.by_key]
            boxes = [unit for unit in inside if unit in self.drawn.boxes]
            scope = _shared([op.scope for op in ops] + [self.drawn.boxes[box].scope for box in boxes])
            like = [self.by_key[u].symbol if u in self.by_key else self.drawn.boxes[u].title for u in inside[:period]]
            shown = " ".join(like[:5]) + (f" ... ({period:,} in turn)" if period > 5 else "")
            keep = self.kept
            box = self.hide("fold", f"x {repeats - 2:,}  {shown}", scope, ops, keep, boxes)
            result += [*units[done:first], box]
            done = last
        return result + units[done:]

    def hide_between(self) -> None:
        """What went from one box to another that went into the same box by now."""
        drawn = self.drawn
        for key in self.graph.values:
            if key in drawn.home or key in self.kept:
                continue
            homes = {drawn.at(use) for use in self.uses.get(key, ())}
            if key in self.op_of:
                homes.add(drawn.at(self.op_of[key].key))
            home = homes.pop()
            if not homes and home in drawn.boxes and drawn.boxes[home].kind != "group":
                drawn.home[key] = home

    def fold_inputs(self, most: int) -> None:
        """Of the many leaves that one op alone uses, draw some."""
        drawn = self.drawn
        if drawn.size() <= most:
            return
        for op in self.graph.ops:
            keys = [k for k in op.inputs if isinstance(k, str)]
            single = [k for k in keys if k not in self.op_of and k not in drawn.home and self.uses[k] == [op.key]]
            if len(single) > INPUTS and op.key not in drawn.home:
                middle = single[INPUTS // 2 : -INPUTS // 2]
                key = f"box{len(drawn.boxes) + 1}"
                drawn.boxes[key] = Box(key, "fold", f"x {len(middle):,}  values", (), op.scope, len(middle), 0)
                drawn.home.update(dict.fromkeys(middle, key))

    def cut_out(self, units: list[str], most: int) -> list[str]:
        """Where nothing repeats: the beginning and the end."""
        low, high = 1, len(units) // 2
        given = Counter(self.drawn.at(op.key) for key, op in self.op_of.items() if key not in self.drawn.home)
        sizes = [1 + self.own(unit) if unit in self.by_key else 1 + given[unit] for unit in units]
        while low < high:  # the most units at each end that fit
            middle = (low + high + 1) // 2
            if sum(sizes[:middle]) + sum(sizes[-middle:]) <= most - 2:
                low = middle
            else:
                high = middle - 1
        inside = units[low : len(units) - low]
        ops = [self.by_key[unit] for unit in inside if unit in self.by_key]
        boxes = [unit for unit in inside if unit in self.drawn.boxes]
        scope = _shared([op.scope for op in ops] + [self.drawn.boxes[box].scope for box in boxes])
        box = self.hide("cut", f"...  {len(inside):,} steps left out", scope, ops, self.kept, boxes)
        return [*units[:low], box, *units[len(units) - low :]]

    def own(self, unit: str) -> int:
        """The values that are drawn for an op alone: its output, and what no op made."""
        op = self.by_key[unit]
        return 1 + sum(1 for k in {*op.inputs, *op.arrays} if isinstance(k, str) and k not in self.op_of)


def _runs(labels: np.ndarray[Any, Any]) -> list[tuple[int, int, int]]:
    """(start, period, repeats) of stretches that repeat REPEATS times or more; none overlaps, the longest first."""
    n = len(labels)
    periods = set(range(1, min(PERIODS, n // REPEATS) + 1))
    order = np.argsort(labels, kind="stable")
    gaps = np.diff(order)[np.diff(labels[order]) == 0]
    sizes, counts = np.unique(gaps[gaps <= n // REPEATS], return_counts=True)
    periods.update(int(sizes[i]) for i in np.argsort(-counts, kind="stable")[:32])
    found = []
    for period in sorted(periods):
        same = np.concatenate(([0], (labels[:-period] == labels[period:]).view(np.int8), [0]))
        edges = np.flatnonzero(np.diff(same))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            repeats = int(end - start) // period + 1
            if repeats >= REPEATS:
                found.append((-period * (repeats - 2), period, int(start), repeats))
    taken = np.zeros(n, bool)
    chosen = []
    for _, period, start, repeats in sorted(found):
        end = start + period * repeats
        if not taken[start:end].any():
            taken[start:end] = True
            chosen.append((start, period, repeats))
    return chosen


def _shared(scopes: list[tuple[str, ...]]) -> tuple[str, ...]:
    if not scopes:
        return ()
    low, high = min(scopes), max(scopes)
    same = 0
    while same < min(len(low), len(high)) and low[same] == high[same]:
        same += 1
    return low[:same]


def _plain(name: str) -> str:
    """The name of a group without its number."""
    return re.sub(r" #\d+$", "", name)


def _matches(path: tuple[str, ...], pattern: str) -> bool:
    """Whether `batchnorm`, `net/batchnorm`, `blocks.1`, `Linear` or `layer*` means the group of this path."""
    names = [_plain(name) for name in path]
    bare = [_bare(name) for name in names]
    candidates = {path[-1], names[-1], names[-1][len(bare[-1]) + 2 : -1], "/".join(path), "/".join(names)}
    for start in range(len(bare)):  # a Module by its path from any that it is in
        candidates |= {"/".join(bare[start:]), ".".join(bare[start:])}
    return any(c == pattern or fnmatchcase(c, pattern) for c in candidates if c)


def _last(name: str) -> str:
    """Of a Module's parameter its own name, `weight` of `blocks.0.attention.qkv.weight`: the box says the rest."""
    end = name.rpartition(".")[2]
    return end if end.isidentifier() else name


def _bare(name: str) -> str:
    """The name of a group without the class of its Module and without its number."""
    return _plain(name).split(" (")[0]
