"""export: a network that runs on minigrad, taken elsewhere.

    export.onnx(model, contexts, "model.onnx")

writes an ONNX model of whatever the function does with its inputs: see export/model.py. It needs minigrad[export].
Imports minigrad alone of this project; models and the command are built on it.
"""

from .errors import ExportError
from .model import OPSET, onnx

__all__ = ["onnx", "ExportError", "OPSET"]
