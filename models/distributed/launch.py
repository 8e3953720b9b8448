"""`makemore train --ddp`: the first process reads, prints and writes as without; the others take what it has, and work.

What a run needs goes to the others as it would to a file: the data set as arrays, and the run as a checkpoint. So they
need neither the list of names nor --out. Where the first process ends by an error, the others are ended with it.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from models.checkpoint import Store, content, parse
from models.distributed.comm import Communicator, Lost
from models.distributed.mpi import Mpi, connect
from models.distributed.trainer import Parallel
from models.errors import BadInput, Failed
from models.job import train
from models.lock import locked
from models.mlp import MLP
from models.names import NamesError
from models.storage import as_bytes
from models.train import Plan, Stop, interrupt_ends_step

PATIENCE = 5  # seconds for the process that writes the checkpoint of a run that lost one


def run(options: argparse.Namespace, names_file: str) -> int:
    """The command in one of the processes; returns as models.job.train does."""
    comm = connect(options.ddp_timeout)
    with _failing(comm):
        if comm.rank:
            try:
                follow(options, comm)
            except Lost as lost:
                time.sleep(PATIENCE)  # the first one that is left says it, and ends this one
                raise Failed(str(lost)) from None
            return 0
        if comm.size == 1 and not options.quiet:
            print("one process: start more with mpirun -n 4 makemore train --ddp", flush=True)
        ended_by = train(options, names_file, First(comm))
        comm.broadcast(b"done")
        return ended_by


class First:
    """What the first process does for the others, in models.job.train."""

    def __init__(self, comm: Communicator) -> None:
        self.comm = comm

    def trainer(
        self, model: MLP, plan: Plan, X: Any, Y: Any, generator: mg.Generator, skip: bool, eager: bool
    ) -> Parallel:
        """A trainer of all processes. Raises BadInput for a plan that cannot be divided among them."""
        try:
            self._trainer = Parallel(model, plan, X, Y, generator, skip_nan=skip, comm=self.comm)
        except ValueError as error:
            raise BadInput(f"--ddp: {error}") from None
        return self._trainer

    def begin(self, checkpoint: bytes) -> None:
        """Give the others the data set and the run as it is. They are in follow()."""
        if self.comm.size > 1:
            self.comm.broadcast(as_bytes({"X": self._trainer.X, "Y": self._trainer.Y}))
            self.comm.broadcast(checkpoint)

    def agree(self, stop: Stop) -> Callable[[], bool]:
        """As Parallel.agree."""
        return self._trainer.agree(stop)


def follow(options: argparse.Namespace, comm: Communicator) -> None:
    """In another process: the steps, and nothing else; a checkpoint only if those before it are gone. Raises Lost."""
    data: Any = mg.load(io.BytesIO(comm.broadcast(b"", patient=True)))
    found = parse(Path("what rank 0 sent"), comm.broadcast(b"", patient=True))
    model = MLP(found.config)
    skip = options.on_nan == "skip"
    trainer = Parallel(model, found.plan, np.array(data["X"]), np.array(data["Y"]), mg.Generator(), skip, comm=comm)
    found.restore(trainer)
    try:
        with interrupt_ends_step() as stop:
            trainer.run(stop=trainer.agree(stop), save_every=found.every or 0)
        comm.broadcast(b"", patient=True)  # the first one is done with the results
    except Lost as lost:
        if set(range(comm.rank)) <= set(lost.ranks) and trainer.finite():  # it is the first that is left
            out, step = Path(options.out), len(trainer.losses)
            with locked(out):
                path = Store(out, options.keep).write(
                    step, content(trainer, found.vocab, found.names, found.changes, found.every)
                )
            line = f"{lost}, after step {step:,}; the checkpoint of it is {path}, --resume goes on from it"
            raise Failed(line) from None
        raise


@contextmanager
def _failing(comm: Mpi) -> Iterator[None]:
    """What is raised inside ends the other processes when this one ends, with its status."""
    try:
        yield
    except BaseException as error:
        bad = isinstance(error, BadInput | NamesError)
        comm.status = 2 if bad else 130 if isinstance(error, KeyboardInterrupt) else 1
        raise
    finally:
        sys.stdout.flush()
