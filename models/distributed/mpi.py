"""A group of processes that mpirun started, by mpi4py.

Each wait is a loop that asks whether the others have come (a non-blocking collective), never a call that does not
return: so a signal is noticed in it, and so is a process that is gone, which MPI itself may never say.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.distributed.comm import Communicator, Lost
from models.errors import BadInput

SPINS = 200  # times to ask at once, before the processor is offered to others
LOOK = 0.1  # seconds between two looks at whether the others live
GRACE = 0.4  # seconds that the others have to come to the step's end once a signal asked for the run's


class Mpi(Communicator):
    """MPI.COMM_WORLD. timeout: seconds that a process waits for the others."""

    def __init__(self, timeout: float) -> None:
        import mpi4py

        # Open MPI else reads from the others' memory, and where one is gone goes on with what it could not read.
        os.environ.setdefault("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        mpi4py.rc.initialize = mpi4py.rc.finalize = False
        from mpi4py import MPI

        self.MPI, self.timeout = MPI, timeout
        self.status: int | None = None  # that the run failed with
        self.asked: Callable[[], bool] = lambda: False  # whether a signal asked for the end
        if not MPI.Is_initialized():
            MPI.Init_thread(MPI.THREAD_FUNNELED)
            atexit.register(self._end)
        self.world = MPI.COMM_WORLD
        self.rank, self.size = self.world.Get_rank(), self.world.Get_size()
        self.processes: list[tuple[str, int]] = self.world.allgather((_machine(), os.getpid()))

    def all_reduce(self, array: NDArray[Any]) -> NDArray[Any]:
        """Floats and ints of any size."""
        array = np.ascontiguousarray(array)
        out = np.empty_like(array)
        self._wait(lambda: self.world.Iallreduce(array, out, op=self.MPI.SUM), patient=False)
        return out

    def broadcast(self, data: bytes, patient: bool = False) -> bytes:
        """The length first, then the bytes."""
        length = np.array([len(data)], np.int64)
        self._wait(lambda: self.world.Ibcast(length, 0), patient)
        content = np.frombuffer(data, np.uint8).copy() if self.rank == 0 else np.empty(length[0], np.uint8)
        self._wait(lambda: self.world.Ibcast(content, 0), patient)
        return content.tobytes()

    def dead(self) -> tuple[int, ...]:
        """The ranks that have ended, of those on this machine."""
        here = _machine()
        return tuple(rank for rank, (machine, pid) in enumerate(self.processes) if machine == here and not _lives(pid))

    def _wait(self, begin: Callable[[], Any], patient: bool) -> None:
        try:
            request = begin()
            started = looked = time.monotonic()
            asked, spins = 0.0, 0
            while not request.Test():
                spins += 1
                if spins < SPINS:
                    continue
                os.sched_yield() if spins < 50 * SPINS else time.sleep(0.0005)
                now = time.monotonic()
                if now - looked < LOOK:
                    continue
                looked = now
                if dead := self.dead():
                    raise Lost(f"{_named(dead, self.processes)} of this run ended before the others", dead)
                if self.asked():
                    asked = asked or now
                    if now - asked > GRACE and not patient:
                        raise Lost("the other processes of this run did not come to the end of the step")
                if now - started > self.timeout and not patient:
                    raise Lost(f"the other processes of this run did not answer for {self.timeout:g} s (--ddp-timeout)")
        except self.MPI.Exception as error:
            raise Lost(f"MPI: {error}", self.dead()) from None

    def _end(self) -> None:
        """At the end of this process. One that failed takes the others with it: they would wait for it."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self.status is not None:
            self.world.Abort(self.status)
        self.MPI.Finalize()


def connect(timeout: float = 60.0) -> Mpi:
    """The processes that mpirun started together. Raises BadInput where mpi4py or an MPI library is missing."""
    try:
        return Mpi(timeout)
    except ModuleNotFoundError:
        raise BadInput("--ddp needs mpi4py: pip install 'minigrad[mpi]'") from None
    except (ImportError, RuntimeError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"no MPI library was found ({line}); on Debian or Ubuntu: apt install openmpi-bin") from None


def _machine() -> str:
    """What two processes share that see each other's numbers."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname()} {namespace}"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:  # one that ended, and whose parent did not look yet, is a zombie
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return True


def _named(ranks: tuple[int, ...], processes: list[tuple[str, int]]) -> str:
    return " and ".join(f"rank {rank} (process {processes[rank][1]})" for rank in ranks)
