"""Looking at a graph: `viz.render(loss, "graph.svg", names=locals())`."""

from .dot import RenderError
from .picture import Picture, render

__all__ = ["Picture", "RenderError", "render"]
