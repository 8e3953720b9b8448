"""Sums over the processes as an op, and batch norm over all of their rows."""

from __future__ import annotations

from typing import Any

from minigrad import Tensor
from minigrad.ops.op import Op
from models.distributed.comm import Communicator


class AllReduce(Op):
    """y = sum of every process's x,  dx = sum of every process's dy

    Where the loss is the sum of what each process computes: x of one of them is in the y of all, and so its gradient
    is what comes back from all. Each process must run the backward pass too.
    """

    symbol = "all_reduce"

    def forward(x: Any, *, comm: Communicator) -> Any:
        return comm.all_reduce(x)

    def dx(dy: Any, comm: Communicator) -> Any:
        return AllReduce.apply(dy, comm=comm)


def all_reduce(x: Tensor, comm: Communicator) -> Tensor:
    """The sum of every process's x, all of one shape, as in torch.distributed.nn.functional.all_reduce."""
    return AllReduce.apply(x, comm=comm)


def sync_batch_norm(
    x: Tensor, gain: Tensor, bias: Tensor, rows: int, comm: Communicator, eps: float = 1e-5, correction: int = 1
) -> Tensor:
    """Batch norm with the mean and variance of the whole batch, as torch.nn.SyncBatchNorm's in training.

    x (n, features) holds this process's n of the `rows` rows; gain and bias (1, features) or (features,). The variance
    divides by rows - correction: 1 in the lecture, 0 in torch. Two sums go through all processes in the forward pass
    and, as the gradient of each, two in the backward pass. Raises ValueError for no more than `correction` rows.
    """
    if rows <= correction:
        raise ValueError(f"a variance with correction {correction} needs more than {rows} rows")
    mean = all_reduce(x.sum(0, keepdim=True), comm) / rows
    diff = x - mean
    var = all_reduce((diff * diff).sum(0, keepdim=True), comm) / (rows - correction)
    return diff * (gain * (var + eps) ** -0.5) + bias
