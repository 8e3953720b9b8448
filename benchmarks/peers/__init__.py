"""The contenders, a file a library; a library is imported when its turn comes, and may be absent."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# How each is called in the tables: its module here, and its function there.
STEPS = {
    "minigrad": ("ours", "fused"),
    "minigrad chunked": ("ours", "chunked"),
    "minigrad captured": ("ours", "captured"),
    "minigrad captured chunked": ("ours", "captured_chunked"),
    "minigrad captured, numba": ("ours", "captured_numba"),
    "numpy by hand": ("by_hand", "plain"),
    "numpy, buffers reused": ("by_hand", "buffers"),
    "matrix products alone": ("by_hand", "products"),
    "torch eager": ("pytorch", "fused"),
    "torch eager chunked": ("pytorch", "chunked"),
    "torch, backward by hand": ("pytorch", "by_hand"),
    "torch.compile": ("pytorch", "compiled"),
    "JAX jit": ("jax_", "jitted"),
    "MyGrad": ("mygrad_", "step"),
    "HIPS autograd": ("hips", "step"),
    "tinygrad": ("tinygrad_", "step"),
}
# Only these compute no loss of the network.
NO_LOSS = ("matrix products alone",)


class Absent(Exception):
    """Why a contender takes no part."""


def find(table: dict[str, tuple[str, str]], name: str) -> Any:
    """The function of a contender; raises ImportError where its library is not installed."""
    module, function = table[name]
    return getattr(import_module(f"benchmarks.peers.{module}"), function)
