"""`render`: a graph to a file, and the Picture that it returns."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import Tensor

from .again import is_small
from .dot import draw, lay_out
from .errors import RenderError, TooLong
from .fold import Sketch, sketch
from .look import KINDS, Facts, kind_of
from .replay import replay
from .stats import stats, warnings_of
from .svg import finish
from .trace import Trace, trace_held

__all__ = ["Picture", "render", "show"]

SUFFIXES = (".svg", ".png", ".dot")
MAX_NODES = 500  # values and ops; of a larger graph repeated structure is folded
REPLAYED = 3000  # values and ops up to which numbers that nobody holds are worked out again
REPLAYED_SIZE = 10_000_000  # elements of all of them together
SECONDS = 20  # for a layout; then a simpler one is tried, and then the simplest
SECONDS_FOLDED = 4  # of a graph that was made small for it, which mostly takes less than one
LAYOUTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ()),
    ("with straight edges", ("-Gsplines=line", "-Gnslimit=1", "-Gnslimit1=1", "-Gmclimit=0.1")),
    ("in rows", ("-Kosage", "-Gsplines=line", "-Gpack=8")),
)


class Picture:
    """A drawn graph: its DOT text and its SVG, each made when first asked for. A notebook shows it.

    graph: the Trace; drawn: what of it is drawn; notes: what was left out or drawn more simply.
    """

    def __init__(self, graph: Trace, drawn: Sketch, facts: Mapping[str, Facts], options: Mapping[str, Any]) -> None:
        self.graph, self.drawn = graph, drawn
        self._facts, self._options = facts, options
        self._layout = 0  # the first that is in time
        self.drawing = draw(drawn, facts, **options)

    @property
    def notes(self) -> list[str]:
        return self.drawn.notes

    @property
    def dot(self) -> str:
        """The DOT text."""
        return self.drawing.dot

    @cached_property
    def svg(self) -> str:
        """The SVG text. Raises RenderError where it cannot be laid out."""
        svg = self.lay_out("svg").decode()
        kinds = Counter(map(kind_of, self.graph.values.values()))
        counts = [f"{kinds[kind]:,} x {text}" for kind, text in KINDS.items() if kinds[kind]]
        said = "; ".join([", ".join([*counts, f"{len(self.graph.ops):,} x op"]), *self.notes])
        return finish(svg, self.drawing.titles, f"Graph of {len(self.graph):,} values and ops", said)

    def lay_out(self, form: str, dpi: int = 144) -> bytes:
        """The bytes of an "svg" or "png" file; where a layout takes too long a simpler one, that says so."""
        limit = SECONDS_FOLDED if self.drawn.folded else SECONDS
        while True:
            try:
                return lay_out(self.dot, form, dpi, LAYOUTS[self._layout][1], limit)
            except TooLong:
                if self._layout == len(LAYOUTS) - 1:
                    raise TooLong(
                        f"the layout of {self.drawn.size():,} values and ops did not finish in {limit:g} s, "
                        f"not even in rows; leave max_nodes at {MAX_NODES}, which folds, or write a .dot file"
                    ) from None
                if self._layout:
                    self.notes.pop()
                self._layout += 1
                self.notes.append(
                    f"drawn {LAYOUTS[self._layout][0]}: the usual layout did not finish in {limit:g} s"
                )
                self.drawing = draw(self.drawn, self._facts, **self._options)

    def _repr_svg_(self) -> str | None:
        try:
            return self.svg
        except RenderError:
            return None  # the notebook then shows the line below

    def __repr__(self) -> str:
        return f"<Picture of {len(self.graph):,} values and ops>"


def render(
    output: Tensor | Sequence[Tensor],
    path: str | os.PathLike[str],
    names: Mapping[str, Any] | None = None,
    *,
    direction: str | None = None,
    dpi: int = 144,
    max_nodes: int | None = MAX_NODES,
    collapse: Sequence[str] | str = (),
    depth: int | None = None,
    formulas: bool = True,
    legend: bool = True,
) -> Picture:
    """Draw the graph that made `output` into `path`: .svg, .png or .dot.

    output: a Tensor, or several in a list.
    names: from name to Tensor, such as `locals()`, or to a Module, whose parameters are called by their path; a Tensor
        not in it is called by its own `.name`.
    direction: "LR" or "TB"; by itself a short graph runs to the right and a long one down.
    dpi: of a PNG; 72 is the size of the SVG.
    max_nodes: of a graph with more values and ops repeated structure is folded, and the picture says so; None never.
    collapse: names of groups (see scope) that are drawn as one box: "batchnorm", "net/batchnorm", "layer*", of Modules
        also the path or the class: "blocks.1", "Linear". depth: how many levels of groups are drawn: with 1 each
        outermost group is one box.
    formulas: whether an op shows its backward. legend: whether there is one.

    Numbers that nobody holds are worked out again, where the graph is not large and they can be trusted: all of them
    after backward(retain_graph=True), else those that lead to a value in names that comes out the same.
    Raises RenderError (a ValueError) where the graph cannot be drawn, OSError where the file cannot be
    written; a file that is there already is replaced whole or not at all.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise RenderError(f"cannot draw {str(place)!r}: the name must end in {', '.join(SUFFIXES)}")
    if place.is_dir():
        raise IsADirectoryError(f"cannot draw into {str(place)!r}: it is a folder")
    if not place.parent.is_dir():
        raise FileNotFoundError(f"cannot draw {str(place)!r}: there is no folder {str(place.parent)!r}")
    picture = show(
        output,
        names,
        direction=direction,
        max_nodes=max_nodes,
        collapse=collapse,
        depth=depth,
        formulas=formulas,
        legend=legend,
    )
    if suffix == ".dot":
        content = picture.dot.encode()
    else:
        content = picture.svg.encode() if suffix == ".svg" else picture.lay_out("png", dpi)
    _write(place, content)
    return picture


def show(
    output: Tensor | Sequence[Tensor],
    names: Mapping[str, Any] | None = None,
    *,
    direction: str | None = None,
    max_nodes: int | None = MAX_NODES,
    collapse: Sequence[str] | str = (),
    depth: int | None = None,
    formulas: bool = True,
    legend: bool = True,
) -> Picture:
    """The Picture of a graph, which a notebook shows by itself: `viz.show(loss, locals())`. Arguments as in render."""
    if direction not in (None, "LR", "TB"):
        raise RenderError(f"direction is 'LR' (to the right) or 'TB' (down), not {direction!r}")
    if depth is not None and (type(depth) is not int or depth < 1):
        raise RenderError(f"depth is how many levels of groups are drawn, 1 or more, not {depth!r}")
    if max_nodes is not None and (type(max_nodes) is not int or max_nodes < 20):
        raise RenderError(f"max_nodes is a whole number from 20 up, or None, not {max_nodes!r}")
    patterns = [collapse] if isinstance(collapse, str) else list(collapse)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise RenderError(f"collapse takes names of groups, not {collapse!r}")
    graph, held = trace_held(output, names)
    drawn = sketch(graph, patterns, depth, max_nodes)
    outputs = [output] if isinstance(output, Tensor) else list(output)
    facts = _facts(graph, drawn, held, outputs, names or {})
    return Picture(graph, drawn, facts, {"direction": direction, "formulas": formulas, "with_legend": legend})


def _facts(
    graph: Trace, drawn: Sketch, held: Mapping[str, Any], outputs: Sequence[Tensor], names: Mapping[str, Any]
) -> dict[str, Facts]:
    """What the picture says of each value: what is held, and in a graph of moderate size what can be replayed."""
    values = {key: np.asarray(getattr(thing, "array", thing)) for key, thing in held.items()}
    gradients: dict[str, Any] = {}
    for key, thing in held.items():
        if isinstance(thing, Tensor) and (thing.is_leaf or thing.retains_grad) and thing.grad is not None:
            gradients[key] = np.asarray(thing.grad.array)
    ran = bool(gradients)
    size = sum(math.prod(value.shape) for value in graph.values.values())
    if len(graph) <= REPLAYED and size <= REPLAYED_SIZE:
        again = replay(outputs, graph, names)
        values = {**again.values, **values}
        if ran:
            gradients = {**again.gradients, **gradients}
    gradients = {key: gradient for key, gradient in gradients.items() if graph.values[key].requires_grad}
    warned = warnings_of(graph, values, gradients)
    uses = Counter(key for op in graph.ops for key in op.inputs if isinstance(key, str))
    found = {key: Facts(warnings=lines) for key, lines in warned.items()}
    for key, value in graph.values.items():
        if key in drawn.home:
            continue
        facts = found.setdefault(key, Facts())
        facts.ran, facts.uses = ran, uses[key] if value.requires_grad else 0
        array, gradient = values.get(key), gradients.get(key)
        if is_small(value.shape):
            facts.data = value.data if array is None else tuple(array.ravel().tolist())
            facts.grad = value.grad if gradient is None else tuple(gradient.ravel().tolist())
        else:
            facts.stats = None if array is None else stats(array)
            facts.grad_stats = None if gradient is None else stats(gradient)
    return found


def _write(place: Path, content: bytes) -> None:
    """All of it or nothing: beside its place first, then renamed."""
    place = place.resolve()  # a link stays a link
    beside = place.with_name(f".{place.name[:100]}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        os.replace(beside, place)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise type(error)(f"cannot draw {str(place)!r}: {error.strerror}") from None
