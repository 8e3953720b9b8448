"""What the exporter says when it cannot: always which op, and what to do."""


class ExportError(ValueError):
    """A function that has no ONNX counterpart; the text names the op and what to use in its place."""
