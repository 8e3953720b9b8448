"""All gradients of a model through one allreduce."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad import Tensor
from models.distributed.comm import Communicator


def all_reduce_gradients(
    parameters: Iterable[Tensor], comm: Communicator, reduce: str = "mean", extra: Sequence[Any] = ()
) -> NDArray[Any]:
    """Replace each parameter's gradient by the mean ("mean"), or the sum ("sum"), of every process's. Raises Lost.

    They go as one flat buffer, in the widest dtype among them, and each comes back in its parameter's own. "mean" is
    what torch's DistributedDataParallel does, and right where each process has as many rows as the others; "sum" where
    the loss of each is divided by the rows of all already. A parameter without a gradient counts as one of zeros, so
    that a process which did not use it agrees with one that did; those that do not require grad are left out. Every
    process must give the same parameters in the same order, which is checked by their number of elements.

    extra: numbers that go along, and whose sums are returned, float64 or the buffer's dtype.
    """
    if reduce not in ("mean", "sum"):
        raise ValueError(f"reduce is {reduce!r}, but it must be 'mean' or 'sum'")
    learnt = [p for p in parameters if p.requires_grad]
    numbers = np.asarray(extra, np.float32).reshape(-1)
    parts = [np.zeros(p.shape, p.array.dtype) if p.grad is None else p.grad.array for p in learnt]
    flat = comm.all_reduce(np.concatenate([*(part.reshape(-1) for part in parts), numbers]))
    if reduce == "mean":
        flat[: len(flat) - len(numbers)] /= comm.size
    at = 0
    for p, part in zip(learnt, parts, strict=True):
        reduced = flat[at : at + part.size].reshape(part.shape)
        p.grad = mg.tensor(reduced.astype(part.dtype, copy=False))
        at += part.size
    return flat[at:]
