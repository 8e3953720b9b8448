"""device: there is one, the cpu. And what code asks before it chooses another: cuda, backends, threads."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any


class device:
    """Where a Tensor lies: device("cpu"), also written "cpu:0". RuntimeError for any other. Source: torch.device."""

    __slots__ = ("index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        kind, colon, number = str(type).partition(":")
        if kind != "cpu" or (colon and number != "0") or index not in (None, 0):
            raise RuntimeError(f"minigrad has only the cpu, got device {str(type)!r}: leave it out or say 'cpu'")
        self.type = kind
        self.index = 0 if colon else index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (")" if self.index is None else f", index={self.index})")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> Any:
        return device, (str(self),)


CPU = device("cpu")


def check(given: Any) -> None:
    """RuntimeError unless the device is None or the cpu."""
    if given is not None and given is not CPU:
        device(given)


def _no(*args: Any, **kwargs: Any) -> bool:
    return False


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


# What code asks to find out that there is no such device; settings can be made and change nothing.
cuda = SimpleNamespace(
    is_available=_no, device_count=lambda: 0, is_initialized=_no, manual_seed=_nothing, manual_seed_all=_nothing,
    empty_cache=_nothing, synchronize=_nothing,
)  # fmt: skip
backends = SimpleNamespace(
    mps=SimpleNamespace(is_available=_no, is_built=_no),
    cuda=SimpleNamespace(matmul=SimpleNamespace(), is_built=_no),
    cudnn=SimpleNamespace(is_available=_no, enabled=False, deterministic=True, benchmark=False),
)

_threads = os.cpu_count() or 1


def set_num_threads(n: int) -> None:
    """Accepted, and without effect: numpy's BLAS takes its threads from OMP_NUM_THREADS when it is loaded.

    RuntimeError below 1. Source: torch.set_num_threads.
    """
    global _threads
    if not isinstance(n, int) or n < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {n!r}")
    _threads = n


def get_num_threads() -> int:
    """What set_num_threads was told, else the number of processors."""
    return _threads
