"""A Trace drawn: first as DOT by the `graphviz` package, then laid out as SVG or PNG.

How it is drawn: a value is a box, an op an oval between its inputs and its output, so that one reads along
the arrows as along the mathematics. Leaves that require grad, constants and outputs each have a shape of
their own; colour only repeats what the shape says. A Python number stands in the op itself (`** 3`).

Text is ASCII throughout: programs that lay a graph out measure other characters in fonts of their own.
"""

from __future__ import annotations

import html
import math
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from minigrad import get_default_dtype

from .trace import Op, Scalar, Trace, Value

__all__ = ["RenderError", "lay_out", "source"]

LONGEST = 40  # characters of a name or a setting on the picture; the tooltip has LONGEST_TIP
LONGEST_TIP = 200
WIDE_UP_TO = 8  # ops in a row; a longer graph runs down the page, as text does
SECONDS = 60  # for one layout

INK, MUTED, LINE, GRAD = "#1f2933", "#74808c", "#8a96a3", "#b0413e"
FONT = "Helvetica"  # alone: graphviz-pure measures a list of fonts as if it were Times
FAMILIES = b'font-family="Helvetica,Arial,Liberation Sans,Arimo,Nimbus Sans,sans-serif"'

GRAPH_STYLE = {"bgcolor": "white", "pad": "0.25", "ranksep": "0.2", "nodesep": "0.2", "tooltip": " "}
NODE_STYLE = {"fontname": FONT, "fontsize": "11", "fontcolor": INK, "height": "0.3", "margin": "0.09,0.04"}
NO_GRADIENT = {"style": "dashed"}
EDGE_STYLE = {"color": LINE, "penwidth": "0.9", "arrowsize": "0.5"}

RESULT_STYLE = {"shape": "box", "style": "filled,rounded", "fillcolor": "#ffffff", "color": "#c3cbd3"}
VALUE_STYLES = {
    "result": {},  # the default of the drawing: most nodes are one
    "leaf": {"style": "filled", "penwidth": "1.6", "fillcolor": "#e3eefa", "color": "#3f76b0"},
    "constant": {"shape": "note", "style": "filled", "fillcolor": "#f6f3ec", "color": "#a89f8b"},
    "output": {"peripheries": "2", "fillcolor": "#fdf1dc", "color": "#c58a1e"},
}
OVAL = {"shape": "ellipse", "margin": "0.01,0", "height": "0.32", "width": "0.4"}
OP_STYLE = {"style": "filled", "fillcolor": "#ece8f6", "color": "#ece8f6", "fontcolor": "#4d3f85"}


class RenderError(ValueError):
    """A graph that cannot be drawn as asked; the message says what to do."""


# ------------------------------------------------------------------ Trace -> DOT


def source(graph: Trace, direction: str | None = None) -> str:
    """The DOT text of `graph`. `direction` is "LR" or "TB"; None takes what reads best."""
    graphviz = _graphviz()
    direction = direction or _direction(graph)
    across = direction == "LR"
    drawing = graphviz.Digraph(
        "minigrad",
        graph_attr={**GRAPH_STYLE, "rankdir": direction},
        node_attr={**NODE_STYLE, **RESULT_STYLE},
        edge_attr=EDGE_STYLE,
    )
    made_by = {op.output: op for op in graph.ops}
    for value in graph.values.values():
        drawing.node(value.key, _value_label(value), tooltip=_value_tip(value), **VALUE_STYLES[value.kind])
        op = made_by.get(value.key)
        if op is not None:
            drawing.node(op.key, **_op_look(op), tooltip=_op_tip(op, graph), **OP_STYLE)
            for position in range(len(op.inputs)):
                _draw_input(drawing, op, position, graph, across)
            for key in op.arrays:
                drawing.edge(key, op.key, **NO_GRADIENT)
            # the heavier an edge the straighter: an op stands right before what it makes
            drawing.edge(op.key, value.key, weight="8")
    return drawing.source


def _draw_input(drawing: Any, op: Op, position: int, graph: Trace, across: bool) -> None:
    """The edge of one input; where the order of operands counts, each has a side to come in."""
    key = op.inputs[position]
    if isinstance(key, Scalar):
        return
    port = ""
    if _in_order(op):
        sides = ("nw", "w", "sw") if across else ("nw", "n", "ne")
        port = ":" + (sides if len(op.inputs) == 3 else sides[::2])[position]
    # results make a straight spine, what they meet on the way stands beside it
    look = {"result": {"weight": "3"}, "constant": NO_GRADIENT}.get(graph.values[key].kind, {})
    drawing.edge(key, op.key + port, **look)


def _in_order(op: Op) -> bool:
    """Whether it has two or three operands and their order counts: then first is left (or on top)."""
    return len(op.inputs) in (2, 3) and op.symbol not in ("+", "*") and Scalar not in map(type, op.inputs)


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


def _value_label(value: Value) -> str:
    """Name, shape and dtype in one line; below it numbers and gradient, where they are few."""
    head = [f"<B>{_escape(_cut(value.name))}</B>"] if value.name else []
    rows = []
    single = value.shape == () and value.data is not None
    if single:  # a number says by itself that it is one
        head.append(("= " if head else "") + _escape(_numbers(value.data, ())))
    dtype = "" if value.dtype == str(get_default_dtype()) else value.dtype
    about = " ".join(part for part in ("" if single else str(value.shape), dtype) if part)
    if about:
        head.append(f'<FONT COLOR="{MUTED}">{about}</FONT>')
    rows.append(" ".join(head))
    if value.data is not None and not single:
        rows.append(_escape(_numbers(value.data, value.shape)))
    if value.grad is not None:
        rows.append(f'<FONT COLOR="{GRAD}">grad {_escape(_numbers(value.grad, value.shape))}</FONT>')
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in rows)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{cells}</TABLE>>'


def _op_look(op: Op) -> dict[str, str]:
    text = _escape(_cut(_op_text(op)))
    order = {"ordering": "in"} if _in_order(op) else {}
    if len(op.symbol) <= 2 and text == _escape(op.symbol):
        return {**order, "label": f"<<B>{text}</B>>", "shape": "circle", "fixedsize": "true", "width": "0.32"}
    return {**order, "label": f"<{text}>", **OVAL}


def _op_text(op: Op) -> str:
    """The op with its numbers and settings as one would write it: `** 3`, `1 -`, `[Xb]`, `sum(dim=0)`."""
    given = [_number(x.number) if isinstance(x, Scalar) else None for x in op.inputs]
    settings = dict(op.settings)
    if op.symbol == "[]" and "index" in settings:
        index = settings["index"]
        return f"[{index[1:-1].rstrip(',') if index.startswith('(') else index}]"
    if not any(c.isalnum() for c in op.symbol):
        if len(given) == 2 and not settings:
            return " ".join(part for part in (given[0], op.symbol, given[1]) if part)
        if len(given) == 1 and len(settings) == 1:
            return f"{op.symbol} {next(iter(settings.values()))}"
    arguments = [text or "_" for text in given] if any(given) else []
    inside = ", ".join([*arguments, *(f"{key}={text}" for key, text in op.settings)])
    return f"{op.symbol}({inside})" if inside else op.symbol


def _value_tip(value: Value) -> str:
    kind = {"leaf": "leaf, requires grad", "result": "result of an op"}.get(value.kind, value.kind)
    facts = [f"{_called(value, LONGEST_TIP)}: {value.dtype} {value.shape}, {kind}"]
    if value.data is not None:
        facts.append(f"value {_numbers(value.data, value.shape)}")
    if value.grad is not None:
        facts.append(f"grad {_numbers(value.grad, value.shape)}")
    if value.also:
        facts.append("also called " + _cut(", ".join(value.also), LONGEST_TIP))
    return _escape("; ".join(facts))


def _op_tip(op: Op, graph: Trace) -> str:
    given = [_number(x.number) if isinstance(x, Scalar) else _called(graph.values[x]) for x in op.inputs]
    settings = [f"{key}={text}" for key, text in op.settings]
    call = f"{_called(graph.values[op.output])} = {op.name}({', '.join([*given, *settings])})"
    facts = [_cut(call, LONGEST_TIP), *([_cut(op.formula, LONGEST_TIP)] if op.formula else [])]
    return _escape("; ".join(facts))


def _called(value: Value, longest: int = LONGEST) -> str:
    return _cut(value.name, longest) if value.name else value.key


# ------------------------------------------------------------------ text


def _ascii(text: str) -> str:
    """Control and non-ASCII characters written as Python writes them: \\u00e9."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if " " <= c <= "~" else f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}" for c in text
    )


def _cut(text: str, longest: int = LONGEST) -> str:
    text = _ascii(text[: longest + 1])
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _escape(text: str) -> str:
    """For HTML labels and tooltips; in both, one backslash would make `\\N` the node's name."""
    return html.escape(text).replace("\\", "&#92;&#92;")


def _number(number: Any) -> str:
    """At most four digits, and a float always seen to be one: 2.0, 0.3333, 1e-05."""
    if not isinstance(number, float):
        return str(number)
    text = f"{number:.4g}"
    return text if not math.isfinite(number) or "." in text or "e" in text else text + ".0"


def _numbers(numbers: tuple[Any, ...] | None, shape: tuple[int, ...]) -> str:
    """Few numbers in the brackets of their shape."""
    texts = [_number(number) for number in numbers or ()]
    for length in reversed(shape):
        texts = [f"[{', '.join(texts[i : i + length])}]" for i in range(0, len(texts), length)]
    return texts[0]


# ------------------------------------------------------------------ DOT -> SVG, PNG


def lay_out(dot: str, suffix: str, dpi: int = 144) -> bytes:
    """`dot` drawn as "svg" or "png", by Graphviz's dot or else by graphviz-pure.

    Raises RenderError where there is neither, or where the layout fails or runs too long.
    """
    program = _program()
    command = [program, f"-T{suffix}", *([f"-Gdpi={dpi}"] if suffix == "png" else [])]
    try:
        done = subprocess.run(command, input=dot.encode("ascii"), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise RenderError(
            f"{Path(program).name} did not finish the layout in {SECONDS} s; write a .dot file instead"
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
    """Graphviz's dot where it is installed; else graphviz-pure, also from an environment not on the PATH."""
    found = (
        shutil.which("dot")
        or shutil.which("graphviz-pure")
        or shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
    )
    if not found:
        raise RenderError(
            "nothing here lays out a graph: pip install graphviz-pure, or install Graphviz "
            "(apt install graphviz, brew install graphviz); a .dot file needs neither"
        )
    return found
