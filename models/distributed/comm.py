"""What a group of processes can do together, and the smallest such group."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


class Lost(RuntimeError):
    """Another process of the group does not answer. ranks: those that are known to have ended, which may be none."""

    def __init__(self, text: str, ranks: tuple[int, ...] = ()) -> None:
        super().__init__(text)
        self.ranks = ranks


class Communicator:
    """A group of `size` processes, of which this one is number `rank`. Subclasses say how they talk.

    Every process of the group must make the same calls in the same order.
    """

    rank: int = 0
    size: int = 1

    def all_reduce(self, array: NDArray[Any]) -> NDArray[Any]:
        """The sum of every process's array, all of one shape and dtype, in a new one. Raises Lost.

        The sum has the same bits in each process.
        """
        raise NotImplementedError

    def broadcast(self, data: bytes, patient: bool = False) -> bytes:
        """What the process of rank 0 gave, in each. patient: wait for it as long as that process lives. Raises Lost."""
        raise NotImplementedError

    def shard(self, rows: int) -> slice:
        """This process's rows of a batch: as many as each other's, or one more where they cannot be divided."""
        each, more = divmod(rows, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))


class Alone(Communicator):
    """A group of one."""

    def all_reduce(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy."""
        return array.copy()

    def broadcast(self, data: bytes, patient: bool = False) -> bytes:
        """The same."""
        return data
