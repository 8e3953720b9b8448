"""How a value, an op, a box and the legend look: tables for Graphviz, each kind with a frame of its own.

Kinds are told apart by their frame: a parameter has a bar on its left, a leaf sharp corners and a thick line, a result
round corners, a constant dashes, an output two lines, an op no line at all. Colour only repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from minigrad import get_default_dtype

from .fold import Box, Sketch
from .stats import Stats
from .text import LONGEST_TITLE, cut, escape, number, numbers, op_text, wrapped
from .trace import Op, Scalar, Value

__all__ = ["DARK", "INK", "LINE", "Facts", "box_label", "kind_of", "legend", "op_label", "op_title", "value_label"]

INK, MUTED, LINE, GRAD, BARS = "#1f2933", "#56626e", "#8a96a3", "#b0413e", "#6b8cae"
PAGE, SPACE = "#fefefe", "#f4f6f8"
GROUND = {  # the fill of a kind, and its line
    "leaf": ("#e3eefa", "#3f76b0"),
    "parameter": ("#e2f3ea", "#2f8060"),
    "constant": ("#f6f3ec", "#968c76"),
    "result": ("#fdfdfe", "#b7c0c9"),
    "output": ("#fdf1dc", "#b97f17"),
    "op": ("#ece8f6", "#4d3f85"),
    "box": ("#e9edf1", "#5c6b7a"),
}
ALARM, ALARM_INK = "#ffe3a3", "#7a3d00"
DARK = {  # by the light colour: what it is on a dark screen
    INK: "#e4e9ee", MUTED: "#9aa7b4", LINE: "#73808d", GRAD: "#ff8f86", BARS: "#7ba4cf",
    PAGE: "#14181d", SPACE: "#1b2127",
    "#e3eefa": "#16324d", "#3f76b0": "#6aa5e3", "#e2f3ea": "#12382a", "#2f8060": "#57b890",
    "#f6f3ec": "#2b2820", "#968c76": "#a89d85", "#fdfdfe": "#1f262d", "#b7c0c9": "#53606c",
    "#fdf1dc": "#40300f", "#b97f17": "#e0a73e", "#ece8f6": "#2f2850", "#4d3f85": "#c3b6f2",
    "#e9edf1": "#28323c", "#5c6b7a": "#9fb0c1", ALARM: "#5c3c00", ALARM_INK: "#ffd88a",
}  # fmt: skip

FRAMES = {
    "leaf": 'BORDER="2"',
    "parameter": 'BORDER="1"',
    "constant": 'BORDER="1" STYLE="DASHED"',
    "output": 'BORDER="1"',
    "op": 'BORDER="0" STYLE="ROUNDED"',
    "box": 'BORDER="3"',
}
FRAME_PADDING = {"leaf": 4, "parameter": 4, "constant": 4, "result": 5, "output": 3, "op": 4, "box": 5}
SMALL = 'POINT-SIZE="8.5"'
FORMULA_WIDTH, FORMULA_LINES = 34, 8
LEVELS, CELL = 5, 3  # a histogram: steps of its bars, points of a cell
PLAIN_TABLE = 'BORDER="0" CELLBORDER="0" CELLSPACING="0"'
NOT_KEPT = "grad not kept: retain_grad() keeps it, and backward(retain_graph=True) all"
KINDS = {
    "parameter": "parameter",
    "leaf": "leaf, requires grad",
    "constant": "constant",
    "result": "result of an op",
    "output": "output",
}


@dataclass
class Facts:
    """What is known of a value's numbers: few as they are, many as Stats; `ran`: whether backward did."""

    data: tuple[object, ...] | None = None
    stats: Stats | None = None
    grad: tuple[object, ...] | None = None
    grad_stats: Stats | None = None
    ran: bool = False
    uses: int = 0  # by which gradients come back and add up
    warnings: tuple[str, ...] = field(default_factory=tuple)


def kind_of(value: Value) -> str:
    return "parameter" if value.kind == "leaf" and value.parameter else value.kind


def value_label(value: Value, facts: Facts) -> str:
    """Name, shape and dtype in one line; below it the numbers, the gradient, the warnings."""
    head = [f"<B>{escape(cut(value.name))}</B>"] if value.name else []
    single = value.shape == () and facts.data is not None
    if single:  # a number says by itself that it is one
        head.append(("= " if head else "") + escape(numbers(facts.data or (), ())))
    dtype = "" if value.dtype == str(get_default_dtype()) else value.dtype
    about = " ".join(part for part in ("" if single else str(value.shape), dtype) if part)
    if about:
        head.append(f'<FONT COLOR="{MUTED}">{about}</FONT>')
    rows = [f"<TD>{' '.join(head)}</TD>"]
    if facts.data is not None and not single:
        rows.append(f"<TD>{escape(numbers(facts.data, value.shape))}</TD>")
    elif facts.stats is not None:
        rows.append(_row(facts.stats, BARS, MUTED, ""))
    if value.requires_grad:
        rows.append(_gradient(value, facts))
    rows += [_alarm(line) for line in facts.warnings]
    return _framed(kind_of(value), rows)


def _gradient(value: Value, facts: Facts) -> str:
    what = f"grad ({facts.uses} add up)" if facts.uses > 1 else "grad"
    if facts.grad is not None:
        return f'<TD><FONT COLOR="{GRAD}">{what} {escape(numbers(facts.grad, value.shape))}</FONT></TD>'
    if facts.grad_stats is not None:
        return _row(facts.grad_stats, GRAD, GRAD, what)
    said = "grad not kept" if facts.ran else "no grad yet"
    return f'<TD><FONT COLOR="{MUTED}" {SMALL}>{said}</FONT></TD>'


def _alarm(line: str) -> str:
    return f'<TD BGCOLOR="{ALARM}"><FONT COLOR="{ALARM_INK}" {SMALL}><B>! {escape(line)}</B></FONT></TD>'


def _row(found: Stats, bars: str, ink: str, what: str) -> str:
    """A histogram, and beside it from where to where it goes."""
    text = said(found)
    first = f'<TR><TD ALIGN="LEFT"><FONT COLOR="{ink}" {SMALL}>{what}</FONT></TD></TR>' if what else ""
    lines = "".join(
        f'<TR><TD ALIGN="LEFT"><FONT COLOR="{ink}" {SMALL}>{escape(line)}</FONT></TD></TR>' for line in text
    )
    beside = f'<TABLE {PLAIN_TABLE} CELLPADDING="0">{first}{lines}</TABLE>'
    if found.minimum == found.maximum or not any(found.bins):
        return f'<TD><FONT COLOR="{ink}" {SMALL}>{escape(" ".join([what, *text]).strip())}</FONT></TD>'
    cells = f'<TD VALIGN="BOTTOM">{_bars(found.bins, bars)}</TD><TD>{beside}</TD>'
    return f'<TD><TABLE {PLAIN_TABLE} CELLPADDING="1"><TR>{cells}</TR></TABLE></TD>'


def said(found: Stats) -> list[str]:
    if not any(found.bins):
        return ["no finite number" if found.count else "empty"]
    if found.minimum == found.maximum and not found.nans + found.infs:
        return [f"all {number(found.mean)}"]
    return [f"{number(found.minimum)} .. {number(found.maximum)}", f"mean {number(found.mean)}"]


def _bars(bins: tuple[int, ...], colour: str) -> str:
    """A histogram of table cells: a bar is one cell over as many rows as it is high."""
    most = max(bins)
    heights = [0 if not n else max(1, round(LEVELS * n / most)) for n in bins]
    rows: list[list[str]] = [[] for _ in range(LEVELS)]
    for row in rows:  # holds each row open
        row.append(f'<TD FIXEDSIZE="TRUE" WIDTH="1" HEIGHT="{CELL}"></TD>')
    for height in heights:
        empty = LEVELS - height
        for top, rows_high, fill in ((0, empty, ""), (empty, height, f' BGCOLOR="{colour}"')):
            if rows_high:
                rows[top].append(
                    f'<TD FIXEDSIZE="TRUE" ROWSPAN="{rows_high}" WIDTH="{CELL}" HEIGHT="{rows_high * CELL}"{fill}></TD>'
                )
    body = "".join(f"<TR>{''.join(row)}</TR>" for row in rows)
    size = f'FIXEDSIZE="TRUE" WIDTH="{1 + CELL * len(bins)}" HEIGHT="{LEVELS * CELL}"'
    return f'<TABLE {PLAIN_TABLE} CELLPADDING="0" {size}>{body}</TABLE>'


def _framed(kind: str, rows: list[str]) -> str:
    """The rows in the frame of their kind."""
    fill, line = GROUND[kind]
    body = "".join(f"<TR>{row}</TR>" for row in rows)
    inside = f'<TD CELLPADDING="{FRAME_PADDING[kind]}"><TABLE {PLAIN_TABLE} CELLPADDING="1">{body}</TABLE></TD>'
    if kind == "parameter":
        inside = f'<TD BGCOLOR="{line}" CELLPADDING="0" WIDTH="6"></TD>{inside}'
    border = FRAMES.get(kind, 'BORDER="1" STYLE="ROUNDED"')
    plain = 'CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"'
    table = f'<TABLE {border} {plain} COLOR="{line}" BGCOLOR="{fill}"><TR>{inside}</TR></TABLE>'
    if kind == "output":
        outer = f'BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2" COLOR="{line}"'
        table = f"<TABLE {outer}><TR><TD>{table}</TD></TR></TABLE>"
    return table


def op_label(op: Op, formulas: bool = True) -> str:
    """The op as one writes it, and below it how the gradient goes back."""
    ink = GROUND["op"][1]
    rows = [f'<TD><FONT COLOR="{ink}"><B>{escape(cut(op_text(op)))}</B></FONT></TD>']
    back = op.backward if formulas else ""
    if back:
        for line in _formula_lines(back):
            rows.append(f'<TD><FONT COLOR="{ink}" POINT-SIZE="8">{escape(line)}</FONT></TD>')
    return _framed("op", rows)


def _formula_lines(back: str) -> list[str]:
    """A short formula in one line; of a longer one each gradient in lines of its own."""
    if len(back) <= FORMULA_WIDTH:
        return wrapped(back, FORMULA_WIDTH, 1)
    parts = re.split(r"(?<=,)\s+(?=d[A-Za-z_]\w* = )", back)
    lines = [line for part in parts for line in wrapped(part, FORMULA_WIDTH, FORMULA_LINES)]
    return lines if len(lines) <= FORMULA_LINES else [*lines[: FORMULA_LINES - 1], "..."]


def box_label(box: Box, warnings: Iterable[str] = ()) -> str:
    ink = GROUND["box"][1]
    rows = [f'<TD><FONT COLOR="{INK}"><B>{escape(cut(box.title, 60))}</B></FONT></TD>']
    rows += [f'<TD><FONT COLOR="{ink}" {SMALL}>{escape(cut(line, 60))}</FONT></TD>' for line in box.about]
    rows += [_alarm(line) for line in warnings]
    return _framed("box", rows)


# ------------------------------------------------------------------------------------------------ in words


def value_title(value: Value, facts: Facts) -> tuple[str, str]:
    """(title, description) for a screen reader and under the pointer."""
    name = cut(value.name, LONGEST_TITLE) if value.name else f"unnamed {value.key}"
    name = f"{name}: {value.dtype} {value.shape}, {KINDS[kind_of(value)]}"
    parts = []
    if facts.data is not None:
        parts.append(f"value {numbers(facts.data, value.shape)}")
    elif facts.stats is not None:
        parts.append("value " + ", ".join(said(facts.stats)))
    if facts.grad is not None:
        parts.append(f"grad {numbers(facts.grad, value.shape)}")
    elif facts.grad_stats is not None:
        parts.append("grad " + ", ".join(said(facts.grad_stats)))
    elif value.requires_grad:
        parts.append(NOT_KEPT if facts.ran else "no grad yet")
    if facts.uses > 1:
        parts.append(f"its gradient is the sum of {facts.uses} uses")
    if value.also:
        parts.append("also called " + cut(", ".join(value.also), LONGEST_TITLE))
    return name, "; ".join([*parts, *(f"warning: {line}" for line in facts.warnings)])


def op_title(op: Op, values: dict[str, Value]) -> tuple[str, str]:
    given = [number(x.number) if isinstance(x, Scalar) else called(values[x]) for x in op.inputs]
    settings = [f"{key}={text}" for key, text in op.settings]
    call = f"{called(values[op.output])} = {op.name}({', '.join([*given, *settings])})"
    return cut(call, LONGEST_TITLE), cut(op.formula, LONGEST_TITLE)


def called(value: Value) -> str:
    return cut(value.name) if value.name else value.key


# -------------------------------------------------------------------------------------------------- legend


def legend(drawn: Sketch, shown: set[str], notes: list[str]) -> str:
    """A table of the kinds that are drawn and the marks that are used; above it what was left out."""
    samples = [f"<TD>{_framed(kind, [f'<TD>{text}</TD>'])}</TD>" for kind, text in KINDS.items() if kind in shown]
    ink = GROUND["op"][1]
    if "op" in shown:
        text = f'<TD><FONT COLOR="{ink}">op, and its backward</FONT></TD>'
        samples.append(f"<TD>{_framed('op', [text])}</TD>")
    if drawn.boxes:
        samples.append(f"<TD>{_framed('box', ['<TD>several ops as one</TD>'])}</TD>")
    marks = [
        text
        for mark, text in (
            ("sum", "circle where an edge starts: gradients add up there"),
            ("broadcast", "(3,) -> (2, 3) on an edge: broadcast, its gradient is summed back"),
            ("constant edge", "dashed edge: no gradient"),
            ("histogram", "bars: how often each size occurs, smallest to largest"),
        )
        if mark in shown
    ]
    width = max(44, 18 * len(samples))  # no wider than the samples, which would be stretched
    lines = [f"<B>{escape(line)}</B>" for note in notes for line in wrapped(note, width, 8)]
    lines += [f'<FONT COLOR="{MUTED}">{escape(line)}</FONT>' for text in marks for line in wrapped(text, width, 3)]
    table = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4"><TR>{"".join(samples)}</TR></TABLE>'
    body = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in [table, *lines])
    return f'<TABLE {PLAIN_TABLE} CELLPADDING="1">{body}</TABLE>'
