"""Data-parallel training: some processes, each with its rows of every batch, that act as one.

    from models.distributed import all_reduce_gradients, connect

    comm = connect()                                    # under mpirun; the extra `mpi`
    for X, Y in batches:
        loss = F.cross_entropy(model(X[comm.shard(len(X))]), Y[comm.shard(len(X))])
        optimizer.zero_grad()
        loss.backward()
        all_reduce_gradients(model.parameters(), comm)  # one allreduce of one flat buffer
        optimizer.step()

The engine knows nothing of it. mpi4py is imported by connect() alone; the rest needs a Communicator and no MPI.
"""

from models.distributed.comm import Alone, Communicator, Lost
from models.distributed.gradients import all_reduce_gradients
from models.distributed.ops import AllReduce, all_reduce, sync_batch_norm

__all__ = [
    "Alone",
    "AllReduce",
    "Communicator",
    "Lost",
    "all_reduce",
    "all_reduce_gradients",
    "connect",
    "sync_batch_norm",
]


def connect(timeout: float = 60.0) -> Communicator:
    """The processes that mpirun started this one with, or this one alone. See models.distributed.mpi.connect."""
    from models.distributed.mpi import connect as mpi

    return mpi(timeout)
