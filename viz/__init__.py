"""Looking at a graph: `viz.render(loss, "graph.svg", names=locals())`, or `viz.page(loss, "graph.html", ...)`."""

from . import plots
from .errors import RenderError, UnknownGroup
from .page import Snapshot, page, snapshot
from .picture import Picture, render, show
from .scope import scope

__all__ = ["Picture", "RenderError", "Snapshot", "UnknownGroup", "page", "plots", "render", "scope", "show", "snapshot"]
