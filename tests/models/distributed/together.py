"""A group of threads in place of processes, so that what they do together is tested without MPI."""

import threading
from concurrent.futures import ThreadPoolExecutor

from models.distributed import Communicator, Lost


class Thread(Communicator):
    """One of them; calls: the arrays that it gave. lose: the number of the call in which the others are gone."""

    def __init__(self, rank, size, barrier, slots, lose=None):
        self.rank, self.size, self.barrier, self.slots, self.lose = rank, size, barrier, slots, lose
        self.calls = []

    def exchange(self, thing):
        try:
            self.slots[self.rank] = thing
            self.barrier.wait(60)
            found = list(self.slots)
            self.barrier.wait(60)
        except threading.BrokenBarrierError:
            raise Lost("the others are gone") from None
        return found

    def all_reduce(self, array):
        self.calls.append(array.copy())
        if len(self.calls) == self.lose:
            raise Lost("the others are gone")
        first, *rest = self.exchange(array.copy())
        for other in rest:
            first = first + other
        return first.copy()

    def broadcast(self, data, patient=False):
        return self.exchange(data)[0]


def together(size, function, lose=None):
    """function(comm) in each of `size` threads; what they return, or the first error."""
    barrier, slots = threading.Barrier(size), [None] * size

    def one(rank):
        try:
            return function(Thread(rank, size, barrier, slots, lose))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return [future.result() for future in [pool.submit(one, rank) for rank in range(size)]]
