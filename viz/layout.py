"""Where the boxes of a page's graph stand, and the graph as SVG: a box a value, the op that made it on its edge.

Graphviz (or graphviz-pure) lays out; a graph too large for that, or where there is neither, stands in rows by depth.
Kinds are told apart by shape, colour only repeats it. The page's script fills in numbers and shows what is active.
"""

from __future__ import annotations

import html
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from .dot import lay_out
from .errors import RenderError
from .trace import Op, Scalar, Trace, Value

__all__ = ["Layout", "clean", "draw", "place"]

LAID_OUT = 1000  # values; more stand in rows
HEIGHT, GAP, ROW = 58, 18, 96
CHARACTER = 7.9  # of the monospaced names
LONGEST = 26  # characters of a name in its box
PILL = 14
MARGIN = 14  # of a group
KINDS = {"leaf": "leaf, requires grad", "result": "result", "constant": "constant", "output": "output"}

Point = tuple[float, float]


@dataclass
class Layout:
    """Centres and widths of the boxes by key, and each edge's curve: (from, to, position among the inputs, points)."""

    width: float
    height: float
    centres: dict[str, Point] = field(default_factory=dict)
    widths: dict[str, float] = field(default_factory=dict)
    edges: list[tuple[str, str, int, list[Point]]] = field(default_factory=list)
    groups: list[tuple[str, float, float, float, float]] = field(default_factory=list)  # name, left, top, width, height
    simple: str | None = None  # why it stands in rows


def clean(text: str, longest: int = 200) -> str:
    """Characters that print as they are, all others as Python writes them; a long text is cut."""
    text = text if len(text) <= longest else text[: longest - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def place(graph: Trace, texts: Mapping[str, str]) -> Layout:
    """Lay the graph out, from the top down. texts: what stands for a name where a value has none, by key."""
    widths = {key: _width(value, texts) for key, value in graph.values.items()}
    if len(graph.values) > LAID_OUT:
        return _rows(graph, widths, f"{len(graph.values):,} values, more than the {LAID_OUT:,} that are laid out")
    try:
        return _parse(graph, widths, lay_out(_dot(graph, widths), "plain").decode())
    except RenderError as error:
        return _rows(graph, widths, str(error))


def _width(value: Value, texts: Mapping[str, str]) -> float:
    least = 158.0 if math.prod(value.shape) == 1 else 112.0  # room for a number and its gradient
    return max(least, round(len(_name(value, texts)) * CHARACTER + len(_about(value)) * 6.4 + 34))


def _name(value: Value, texts: Mapping[str, str]) -> str:
    return clean(value.name or texts.get(value.key, value.key), LONGEST)


def _about(value: Value) -> str:
    return str(value.shape).replace(" ", "")


def _inputs(op: Op) -> list[tuple[str, int]]:
    """The values that go into an op, with their positions; named arrays (an index) come after the inputs."""
    found = [(x, i) for i, x in enumerate(op.inputs) if not isinstance(x, Scalar)]
    return found + [(key, len(op.inputs) + i) for i, key in enumerate(op.arrays)]


def _dot(graph: Trace, widths: dict[str, float]) -> str:
    lines = [
        'digraph { graph [ranksep="0.42" nodesep="0.25"]',
        'node [shape=box fixedsize=true label=""]',
        "edge [arrowhead=none]",
    ]
    inside = _scopes(graph)

    def write(path: tuple[str, ...], number: list[int]) -> None:
        for key in inside[path]:
            lines.append(f'{key} [width="{widths[key] / 72:.4f}" height="{(HEIGHT + PILL) / 72:.4f}"]')
        for child in [child for child in inside if child[:-1] == path and child]:
            number[0] += 1
            lines.append(f'subgraph cluster_{number[0]} {{ margin={MARGIN} label=" " fontsize=12')
            write(child, number)
            lines.append("}")

    write((), [0])
    for op in graph.ops:
        for key, _ in _inputs(op):
            weight = {"result": 4, "output": 4}.get(graph.values[key].kind, 1)
            lines.append(f'{key}:s -> {op.output}:n [weight="{weight}"]')
    return "\n".join([*lines, "}"])


def _scopes(graph: Trace) -> dict[tuple[str, ...], list[str]]:
    """The values of each group by its path, each path after the one that it is in."""
    found: dict[tuple[str, ...], list[str]] = {(): []}
    for value in graph.values.values():
        for depth in range(1, len(value.scope) + 1):
            found.setdefault(value.scope[:depth], [])
        found[value.scope].append(value.key)
    return found


def _groups(graph: Trace, layout: Layout) -> None:
    """The frames of the groups: around what is in them."""
    inside = _scopes(graph)
    for path in sorted(filter(None, inside), key=len):
        keys = [key for p, keys in inside.items() if p[: len(path)] == path for key in keys]
        deeper = max(len(p) for p in inside if p[: len(path)] == path) - len(path)
        boxes = [(*layout.centres[key], layout.widths[key]) for key in keys]
        room = 8 + (MARGIN - 4) * deeper
        left, right = min(x - w / 2 for x, _, w in boxes) - room, max(x + w / 2 for x, _, w in boxes) + room
        top, bottom = min(y for _, y, _ in boxes) - 42 - 18 * (deeper + 1), max(y for _, y, _ in boxes) + 38 + room
        layout.groups.append((clean(path[-1], 40), left, top, right - left, bottom - top))


def _inside(graph: Trace, layout: Layout) -> Layout:
    """Moved and widened so that all is within it, the marks beside the edges and the groups' frames too."""
    lefts, rights, tops, bottoms = [0.0], [layout.width], [0.0], [layout.height]
    made_by = {op.output: op for op in graph.ops}
    for source, target, i, points in layout.edges:
        mark = _mark(graph, made_by[target], source, i, points)
        if mark:
            x, _, ends, text = mark
            wide = len(text) * 6.4 + 6
            lefts.append(x - wide if ends else x)
            rights.append(x if ends else x + wide)
    for _, left, top, width, height in layout.groups:
        lefts.append(left - 8)
        rights.append(left + width + 8)
        tops.append(top - 8)
        bottoms.append(top + height + 8)
    dx, dy = round(-min(lefts), 1), round(-min(tops), 1)
    layout.width, layout.height = round(max(rights) + dx, 1), round(max(bottoms) + dy, 1)
    if dx or dy:
        layout.centres = {key: (round(x + dx, 1), round(y + dy, 1)) for key, (x, y) in layout.centres.items()}
        layout.edges = [
            (source, target, i, [(round(x + dx, 1), round(y + dy, 1)) for x, y in points])
            for source, target, i, points in layout.edges
        ]
        layout.groups = [(name, round(x + dx, 1), round(y + dy, 1), w, h) for name, x, y, w, h in layout.groups]
    return layout


def _parse(graph: Trace, widths: dict[str, float], plain: str) -> Layout:
    lines = [line.split() for line in plain.replace("\\\n", "").splitlines()]
    _, _, width, height = lines[0]
    layout = Layout(round(float(width) * 72 + 40, 1), round(float(height) * 72 + 40, 1), widths=widths)

    def point(x: str, y: str) -> Point:
        return round(float(x) * 72 + 20, 1), round(layout.height - float(y) * 72 - 20, 1)

    curves: dict[tuple[str, str], list[list[Point]]] = defaultdict(list)
    for words in lines[1:]:
        if words[0] == "node":
            layout.centres[words[1]] = point(words[2], words[3])
        elif words[0] == "edge":
            n = int(words[3])
            curves[_bare(words[1]), _bare(words[2])].append(
                [point(*words[4 + 2 * i : 6 + 2 * i]) for i in range(n)]  # type: ignore[call-arg]
            )
    for op in graph.ops:
        for key, i in _inputs(op):
            if not curves[key, op.output]:
                raise RenderError(f"the layout has no edge from {key} to {op.output}")
            layout.edges.append((key, op.output, i, curves[key, op.output].pop(0)))
    _groups(graph, layout)
    return _inside(graph, layout)


def _bare(name: str) -> str:
    return name.split(":")[0]


def _rows(graph: Trace, widths: dict[str, float], why: str) -> Layout:
    """Each value in the row of its depth, leaves just above what first uses them."""
    depth: dict[str, int] = {}
    for op in graph.ops:
        depth[op.output] = 1 + max((depth.get(key, 0) for key, _ in _inputs(op)), default=0)
    for op in reversed(graph.ops):
        for key, _ in _inputs(op):
            if graph.values[key].kind in ("leaf", "constant"):
                depth[key] = depth[op.output] - 1
    rows: dict[int, list[str]] = defaultdict(list)
    for key in graph.values:
        rows[depth.get(key, 0)].append(key)
    layout = Layout(0, (max(rows, default=0) + 1) * ROW + 40.0, widths=widths, simple=why)
    whole = max(sum(widths[key] + GAP for key in keys) for keys in rows.values())
    for row, keys in rows.items():
        x = 20.0 + (whole - sum(widths[key] + GAP for key in keys)) / 2
        for key in keys:
            layout.centres[key] = (x + widths[key] / 2, 20 + row * ROW + ROW / 2)
            x += widths[key] + GAP
        layout.width = max(layout.width, x + 20)
    top, bottom = (HEIGHT + PILL) / 2, HEIGHT / 2 + PILL / 2
    for op in graph.ops:
        for key, i in _inputs(op):
            (x1, y1), (x2, y2) = layout.centres[key], layout.centres[op.output]
            y1, y2, bend = y1 + bottom, y2 - top, 10.0 + 12 * i
            layout.edges.append((key, op.output, i, [(x1, y1), (x1, y1 + bend), (x2, y2 - bend), (x2, y2)]))
    return _inside(graph, layout)


# ------------------------------------------------------------------------------------------------- SVG


def draw(graph: Trace, layout: Layout, number: int, texts: Mapping[str, str]) -> str:
    """The SVG of a graph, its keys in data-k; ids carry `number`, since a page may hold several."""
    made_by = {op.output: op for op in graph.ops}
    uses: dict[str, int] = defaultdict(int)
    for op in graph.ops:
        for key in op.inputs:
            if isinstance(key, str):
                uses[key] += graph.values[key].kind != "constant"
    parts = [
        f'<svg class="graph" id="g{number}" role="group" aria-label="Graph" '
        f'viewBox="0 0 {layout.width:g} {layout.height:g}" hidden><g class="zoom" id="z{number}"><g class="groups">'
    ]
    for name, left, top, width, height in layout.groups:
        parts.append(
            f'<g class="group"><rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="12"/>'
            f'<text x="{left + 12:g}" y="{top + 16:g}">{_e(name)}</text></g>'
        )
    parts.append('</g><g class="edges">')
    # the head of an arrow is drawn and not a marker: it shall turn round where a gradient flows
    for source, target, i, points in layout.edges:
        parts.append(_edge(graph, made_by[target], source, i, points, texts))
    parts.append('</g><g class="nodes">')
    for key, value in graph.values.items():
        parts.append(_node(value, made_by.get(key), layout, number, uses[key], texts))
    parts.append("</g></g></svg>")
    return "".join(parts)


def _edge(graph: Trace, op: Op, source: str, i: int, points: list[Point], texts: Mapping[str, str]) -> str:
    start, value = points[0], graph.values[source]
    curve = f"M{start[0]:g},{start[1]:g}C" + " ".join(f"{x:g},{y:g}" for x, y in points[1:])
    kind = " constant" if value.kind == "constant" else ""
    mark = ""
    found = _mark(graph, op, source, i, points)
    if found:
        kind += " broadcast"
        x, y, left, text = found
        anchor = ' text-anchor="end"' if left else ""
        mark = f'<text x="{x:g}" y="{y:g}"{anchor}>{text}</text>'
    tip = f"{_called(value, texts)} into {op.symbol}"
    return (
        f'<g class="edge{kind}" data-f="{source}" data-t="{op.output}" data-i="{i}"><title>{_e(tip)}</title>'
        f'<path d="{curve}"/>{_head(points)}{_head(points[::-1], " back")}{mark}</g>'
    )


def _mark(graph: Trace, op: Op, source: str, i: int, points: list[Point]) -> tuple[float, float, bool, str] | None:
    """(x, y, whether the text ends at x, text) of a broadcast: below the box, where the curve leaves room for it."""
    value, shape = graph.values[source], graph.values[op.output].shape
    if i >= len(op.inputs) or value.shape == shape or not op.elementwise:
        return None
    (x, y), left = points[0], points[-1][0] > points[0][0]
    text = f"{_about(value)} → {str(shape).replace(' ', '')}"
    return round(x - 7 if left else x + 7, 1), round(y + 15, 1), left, text


def _head(points: list[Point], kind: str = "") -> str:
    (x0, y0), (x, y) = points[-2], points[-1]
    length = max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5, 1e-6)
    a, b = (x - x0) / length * 6, (y - y0) / length * 6
    corners = [(x, y), (x - a - b / 2, y - b + a / 2), (x - a + b / 2, y - b - a / 2)]
    return f'<path class="head{kind}" d="M{" ".join(f"{round(p, 1):g},{round(q, 1):g}" for p, q in corners)}Z"/>'


def _node(value: Value, op: Op | None, layout: Layout, number: int, uses: int, texts: Mapping[str, str]) -> str:
    (x, y), w = layout.centres[value.key], layout.widths[value.key]
    left, top = round(x - w / 2, 1), round(y - HEIGHT / 2 + PILL / 2, 1)
    what = KINDS[value.kind] + (f" of {_op_text(op)}" if op else "")
    tip = f"{_called(value, texts)}, {what}, shape {value.shape}, {value.dtype}"
    parts = [
        f'<g class="node {value.kind}" id="g{number}-{value.key}" data-k="{value.key}" data-w="{w:g}" '
        f'role="button" tabindex="-1" '
        f'aria-label="{_e(tip)}" transform="translate({left:g},{top:g})"><title>{_e(tip)}</title>'
    ]
    if value.kind == "constant":  # a corner cut off, as of a card
        parts.append(f'<path class="box" d="M0,0H{w - 12:g}L{w:g},12V{HEIGHT}H0Z"/>')
    else:
        round_ = {"leaf": 0, "output": 4}.get(value.kind, 10)
        parts.append(f'<rect class="box" width="{w:g}" height="{HEIGHT}" rx="{round_}"/>')
    if value.kind == "output":
        parts.append(f'<rect class="inner" x="3.5" y="3.5" width="{w - 7:g}" height="{HEIGHT - 7}" rx="2"/>')
    name = _name(value, texts)
    parts.append(f'<text class="name{"" if value.name else " text"}" x="11" y="24">{_e(name)}</text>')
    parts.append(f'<text class="shape" x="{w - 11:g}" y="24">{_about(value)}</text><g class="numbers"></g>')
    if op:
        text = _op_text(op)
        wide = max(26.0, len(text) * 7.2 + 14)
        parts.append(
            f'<g class="op" transform="translate({w / 2 - wide / 2:g},-11)">'
            f'<rect width="{wide:g}" height="20" rx="10"/><text x="{wide / 2:g}" y="14">{_e(text)}</text></g>'
        )
    if uses > 1:
        parts.append(
            f'<g class="sum" transform="translate({w / 2:g},{HEIGHT})"><circle r="9"/><text y="4">+{uses}</text>'
            f"<title>its gradient is the sum of {uses} uses</title></g>"
        )
    return "".join([*parts, "</g>"])


def _op_text(op: Op) -> str:
    """The op on its pill: `tanh`, `** 2`, `0.03125 *`, `sum(0)`."""
    settings = dict(op.settings)
    given = ["" if isinstance(x, str) or x.number is None else f"{x.number:.4g}" for x in op.inputs]
    if op.symbol == "**" and "n" in settings:
        text = f"** {settings['n']}"
    elif len(given) == 2 and any(given) and not op.symbol.isalnum():
        text = f"{given[0]} {op.symbol} {given[1]}".strip()
    elif settings.get("dim", "None") != "None":
        text = f"{op.symbol}({settings['dim'].strip('(,)')})"
    else:
        text = op.symbol
    return clean(text, 16)


def _called(value: Value, texts: Mapping[str, str]) -> str:
    return clean(value.name or texts.get(value.key) or f"unnamed {value.key}")


def _e(text: str) -> str:
    return html.escape(text)
