"""What can go wrong with a picture."""

__all__ = ["RenderError", "TooLong", "UnknownGroup"]


class RenderError(ValueError):
    """A graph that cannot be drawn as asked; the message says what to do."""


class UnknownGroup(RenderError):
    """A group to collapse that the graph does not have."""


class TooLong(RenderError):
    """A layout that did not finish in its time."""
