"""Looking at a graph: `viz.render(loss, "graph.svg", names=locals())`."""

from . import plots
from .dot import RenderError
from .picture import Picture, render

__all__ = ["Picture", "RenderError", "plots", "render"]
