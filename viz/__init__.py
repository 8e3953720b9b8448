"""Looking at a graph: `viz.render(loss, "graph.svg", names=locals())`, or `viz.page(loss, "graph.html", ...)`."""

from . import plots
from .dot import RenderError
from .page import Snapshot, page, snapshot
from .picture import Picture, render, show
from .scope import scope

__all__ = ["Picture", "RenderError", "Snapshot", "page", "plots", "render", "scope", "show", "snapshot"]
