"""A Sketch as DOT, and DOT laid out as SVG or PNG by Graphviz's programs.

How it is drawn: a value is a box, an op a small plate between its inputs and its output, so that one reads along
the arrows as along the mathematics. A Python number stands in the op itself (`** 3`). Groups are frames.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import look
from .errors import RenderError, TooLong
from .fold import Sketch
from .look import Facts
from .text import cut, escape, escaped
from .trace import Op, Scalar, Trace

__all__ = ["Drawing", "draw", "lay_out"]

WIDE_UP_TO = 8  # ops in a row; a longer graph runs down the page, as text does
SECONDS = 60  # for one layout
PURE = "graphviz-pure"

FONT = "Helvetica"  # alone: graphviz-pure measures a list of fonts as if it were Times
FAMILIES = b'font-family="Helvetica,Arial,Liberation Sans,Arimo,Nimbus Sans,sans-serif"'

GRAPH_STYLE = {"bgcolor": look.PAGE, "pad": "0.25", "ranksep": "0.25", "nodesep": "0.2", "fontname": FONT}
GRAPH_STYLE |= {"fontsize": "10", "fontcolor": look.INK, "labelloc": "b", "labeljust": "l"}
NODE_STYLE = {"shape": "plain", "fontname": FONT, "fontsize": "11", "fontcolor": look.INK}
EDGE_STYLE = {"color": look.LINE, "penwidth": "0.9", "arrowsize": "0.5", "fontname": FONT, "fontsize": "8.5"}
EDGE_STYLE |= {"fontcolor": look.INK}
GROUP_STYLE = {"style": "rounded,filled", "color": look.LINE, "fillcolor": look.SPACE, "fontname": FONT}
GROUP_STYLE |= {"fontsize": "11", "fontcolor": look.INK, "labelloc": "t", "labeljust": "l", "margin": "10"}
NO_GRADIENT = {"style": "dashed"}


@dataclass
class Drawing:
    """The DOT text, and by the id of each node, edge and group its title and description."""

    dot: str
    titles: dict[str, tuple[str, str]] = field(default_factory=dict)


def draw(
    drawn: Sketch,
    facts: Mapping[str, Facts],
    direction: str | None = None,
    formulas: bool = True,
    with_legend: bool = True,
) -> Drawing:
    """`drawn` as DOT. `direction` is "LR" or "TB"; None takes what reads best."""
    return _Drawer(drawn, facts, direction or _direction(drawn.graph), formulas).run(with_legend)


class _Drawer:
    def __init__(self, drawn: Sketch, facts: Mapping[str, Facts], direction: str, formulas: bool) -> None:
        self.drawn, self.graph, self.facts, self.formulas = drawn, drawn.graph, facts, formulas
        self.direction = direction
        self.titles: dict[str, tuple[str, str]] = {}
        self.shown: set[str] = set()
        self.members: dict[tuple[str, ...], list[tuple[str, str]]] = {}  # by group: (key, label)
        self.clusters = self.number = 0

    def run(self, with_legend: bool) -> Drawing:
        drawing = _graphviz().Digraph(
            "minigrad",
            graph_attr={**GRAPH_STYLE, "rankdir": self.direction},
            node_attr=NODE_STYLE,
            edge_attr=EDGE_STYLE,
        )
        self.nodes()
        self.groups(drawing, ())
        self.connect(drawing)
        if with_legend:
            drawing.attr(label=f"<{look.legend(self.drawn, self.shown, self.drawn.notes)}>")
        return Drawing(drawing.source, self.titles)

    # ------------------------------------------------------------------------------------------- nodes

    def nodes(self) -> None:
        home, made_by = self.drawn.home, {op.output: op for op in self.graph.ops}
        for value in self.graph.values.values():
            op = made_by.get(value.key)
            if value.key not in home:
                facts = self.facts.get(value.key, Facts())
                self.shown.add(look.kind_of(value))
                if facts.stats is not None or facts.grad_stats is not None:
                    self.shown.add("histogram")
                scope = value.scope
                if op is not None and op.key in home:  # it comes out of a box
                    scope = self.drawn.boxes[self.drawn.at(op.key)].scope
                self.add(value.key, scope, look.value_label(value, facts), look.value_title(value, facts))
            if op is not None and op.key not in home:
                self.shown.add("op")
                self.add(op.key, op.scope, look.op_label(op, self.formulas), look.op_title(op, self.graph.values))
        alarms: dict[str, Counter[str]] = {}
        for key, facts in self.facts.items():
            if key in home and facts.warnings:
                alarms.setdefault(self.drawn.at(key), Counter()).update(w.split(":")[0] for w in facts.warnings)
        for box in self.drawn.boxes.values():
            if box.key in home:
                continue
            inside = alarms.get(box.key, Counter())
            lines = [f"{n:,} x inside: {line}" for line, n in inside.most_common(3)]
            about = "; ".join([*box.about, *(f"warning: {line}" for line in lines)])
            self.add(box.key, box.scope, look.box_label(box, lines), (cut(box.title, 200), about))

    def add(self, key: str, scope: tuple[str, ...], label: str, title: tuple[str, str]) -> None:
        self.members.setdefault(scope, []).append((key, label))
        self.titles[key] = title

    def groups(self, drawing: Any, scope: tuple[str, ...]) -> None:
        """The nodes of a group and its inner groups, in order of their first node."""
        for key, label in self.members.get(scope, ()):
            drawing.node(key, f"<{label}>", id=key)
        depth = len(scope)
        deeper = [path[: depth + 1] for path in self.members if len(path) > depth and path[:depth] == scope]
        for path in dict.fromkeys(deeper):
            self.clusters += 1
            key = f"group{self.clusters}"
            self.titles[key] = (cut(path[-1], 200), f"group {cut(' / '.join(path), 200)}")
            with drawing.subgraph(name=f"cluster_{key}") as inner:
                inner.attr(label=f"<<B>{escape(cut(path[-1]))}</B>>", id=key, **GROUP_STYLE)
                self.groups(inner, path)

    # ------------------------------------------------------------------------------------------- edges

    def connect(self, drawing: Any) -> None:
        at = self.drawn.at
        among: Counter[tuple[str, str]] = Counter()
        for op in self.graph.ops:
            for position, key in enumerate(op.inputs):
                if isinstance(key, str):
                    self.input(drawing, op, position, key, among)
            for key in op.arrays:
                self.edge(drawing, at(key), at(op.key), among, f"{key} chooses in {op.name}", NO_GRADIENT)
            tail, head = at(op.key), at(op.output)
            # the heavier an edge the straighter: an op stands right before what it makes
            self.edge(drawing, tail, head, among, "", {"weight": "8"} if tail == op.key else {})
        for (tail, head), count in among.items():
            label = {"label": f"{count:,} edges"} if count > 1 else {}
            self.write(drawing, tail, head, f"{count:,} edges, drawn as one" if count > 1 else "", label)

    def input(self, drawing: Any, op: Op, position: int, key: str, among: Counter[tuple[str, str]]) -> None:
        value = self.graph.values[key]
        tail, head = self.drawn.at(key), self.drawn.at(op.key)
        look_: dict[str, str] = {}
        plain = tail == key and head == op.key
        if value.kind == "result":  # results make a straight spine, what they meet on the way stands beside it
            look_["weight"] = "3"
        if not value.requires_grad:
            look_ |= NO_GRADIENT
            self.shown |= {"constant edge"} if plain else set()
        said = []
        if self.facts.get(key, Facts()).uses > 1 and plain:
            look_ |= {"dir": "both", "arrowtail": "odot"}
            self.shown.add("sum")
            said.append("gradients of several uses add up here")
        wide = _broadcast(op, key, self.graph)
        if wide is not None and plain:
            look_["label"] = f"{value.shape} -> {wide}"
            self.shown.add("broadcast")
            said.append(f"broadcast {value.shape} -> {wide}")
        self.edge(drawing, tail, head, among, "; ".join(said), look_, _port(op, position, self.direction))

    def edge(
        self,
        drawing: Any,
        tail: str,
        head: str,
        among: Counter[tuple[str, str]],
        said: str,
        style: Mapping[str, str],
        port: str = "",
    ) -> None:
        """One edge; those at a box only counted, to be drawn as one."""
        boxes = self.drawn.boxes
        if tail in boxes or head in boxes:
            if tail != head:
                among[tail, head] += 1
            return
        self.write(drawing, tail, head, said, style, port)

    def write(self, drawing: Any, tail: str, head: str, said: str, style: Mapping[str, str], port: str = "") -> None:
        self.number += 1
        key = f"e{self.number}"
        names = [cut(self.titles.get(end, (end, ""))[0]) for end in (tail, head)]
        self.titles[key] = (" to ".join(names), said)
        drawing.edge(tail, head + port, id=key, **style)


def _port(op: Op, position: int, direction: str) -> str:
    """Where the order of operands counts, each has a side to come in."""
    if not _in_order(op):
        return ""
    sides = ("nw", "w", "sw") if direction == "LR" else ("nw", "n", "ne")
    return ":" + (sides if len(op.inputs) == 3 else sides[::2])[position]


def _in_order(op: Op) -> bool:
    """Whether it has two or three operands and their order counts: then first is left (or on top)."""
    return len(op.inputs) in (2, 3) and op.symbol not in ("+", "*") and Scalar not in map(type, op.inputs)


def _broadcast(op: Op, key: str, graph: Trace) -> tuple[int, ...] | None:
    """The shape that an operand is stretched to; None where it is not."""
    shape, out = graph.values[key].shape, graph.values[op.output].shape
    if shape == out or not op.elementwise or len(op.inputs) < 2:
        return None
    return out


def _graphviz() -> Any:
    try:
        import graphviz
    except ImportError:
        raise RenderError("drawing needs the graphviz package: pip install graphviz graphviz-pure") from None
    return graphviz


def _direction(graph: Trace) -> str:
    depth = dict.fromkeys(graph.values, 0)
    for op in graph.ops:
        depth[op.output] = 1 + max((depth[x] for x in op.inputs if isinstance(x, str)), default=0)
    return "LR" if max(depth.values(), default=0) <= WIDE_UP_TO else "TB"


# ------------------------------------------------------------------------------------- DOT -> SVG, PNG


def lay_out(dot: str, suffix: str, dpi: int = 144, options: Sequence[str] = (), seconds: float | None = None) -> bytes:
    """`dot` laid out as "svg", "png" or "plain", by graphviz-pure (the same bytes everywhere) or else Graphviz's dot.

    Raises RenderError where there is neither or where it fails, TooLong (one of them) where it takes more than
    `seconds`, by default SECONDS.
    """
    program = _program()
    if suffix == "png" and Path(program).name == PURE and not dot.isascii():  # its own font has no more letters
        dot = "".join(c if c < "\u0530" else escape(escaped(c)) for c in dot)
    limit = SECONDS if seconds is None else seconds
    command = [program, f"-T{suffix}", *([f"-Gdpi={dpi}"] if suffix == "png" else []), *options]
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise TooLong(
            f"{Path(program).name} did not finish the layout in {limit:g} s; write a .dot file instead"
        ) from None
    except OSError as error:
        raise RenderError(f"{program} does not start: {error.strerror}") from None
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RenderError(f"{Path(program).name} failed: {said[0] if said else f'status {done.returncode}'}")
    if suffix != "svg":
        return done.stdout
    # where there is no Helvetica a viewer shall take a font of the same widths, or text leaves its box
    return done.stdout.replace(b'font-family="Helvetica,sans-Serif"', FAMILIES)


def _program() -> str:
    """graphviz-pure, also from an environment not on the PATH; else Graphviz's dot where it is installed."""
    found = shutil.which(PURE, path=sysconfig.get_path("scripts")) or shutil.which(PURE) or shutil.which("dot")
    if not found:
        raise RenderError(
            "nothing here lays out a graph: pip install graphviz-pure, or install Graphviz "
            "(apt install graphviz, brew install graphviz); a .dot file needs neither"
        )
    return found
