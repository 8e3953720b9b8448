"""`render`: a graph to a file, and the Picture that it returns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from minigrad import Tensor

from .dot import RenderError, lay_out, source
from .trace import Trace, trace

__all__ = ["Picture", "render"]

SUFFIXES = (".svg", ".png", ".dot")
MAX_NODES = 2000  # values and ops together; a layout's time grows faster than its graph


class Picture:
    """A drawn graph: its DOT text and its SVG, each made when first asked for. A notebook shows it."""

    def __init__(self, graph: Trace, direction: str | None = None, max_nodes: int = MAX_NODES) -> None:
        self.graph = graph
        self.direction = direction
        self.max_nodes = max_nodes

    @cached_property
    def dot(self) -> str:
        """The DOT text, ASCII. Raises RenderError where the graphviz package is missing."""
        return source(self.graph, self.direction)

    @cached_property
    def svg(self) -> str:
        """The SVG text. Raises RenderError where it cannot be laid out."""
        return self.lay_out("svg").decode()

    def lay_out(self, form: str, dpi: int = 144) -> bytes:
        """The bytes of an "svg" or "png" file."""
        if len(self.graph) > self.max_nodes:
            raise RenderError(
                f"this graph has {len(self.graph):,} values and ops, too many to lay out (the limit is "
                f"{self.max_nodes:,}): write a .dot file, draw an earlier value, or raise max_nodes"
            )
        return lay_out(self.dot, form, dpi)

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
    max_nodes: int = MAX_NODES,
) -> Picture:
    """Draw the graph that made `output` into `path`: .svg, .png or .dot.

    output: a Tensor, or several in a list.
    names: from name to Tensor, such as `locals()`; a Tensor not in it is called by its own `.name`.
    direction: "LR" or "TB"; by itself a short graph runs to the right and a long one down.
    dpi: of a PNG; 72 is the size of the SVG.
    max_nodes: how many values and ops SVG and PNG are laid out for.

    Raises RenderError (a ValueError) where the graph cannot be drawn, OSError where the file cannot be
    written; a file that is there already is replaced whole or not at all.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise RenderError(f"cannot draw {str(place)!r}: the name must end in {', '.join(SUFFIXES)}")
    if direction not in (None, "LR", "TB"):
        raise RenderError(f"direction is 'LR' (to the right) or 'TB' (down), not {direction!r}")
    if place.is_dir():
        raise IsADirectoryError(f"cannot draw into {str(place)!r}: it is a folder")
    if not place.parent.is_dir():
        raise FileNotFoundError(f"cannot draw {str(place)!r}: there is no folder {str(place.parent)!r}")
    picture = Picture(trace(output, names), direction, max_nodes)
    if suffix == ".dot":
        content = picture.dot.encode("ascii")
    else:
        content = picture.svg.encode() if suffix == ".svg" else picture.lay_out("png", dpi)
    _write(place, content)
    return picture


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
