"""A run whose batches are divided among processes."""

from __future__ import annotations

import io
import math
import signal
import zlib
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad import Tensor
from minigrad.nn import functional as F
from models.distributed.comm import Alone, Communicator, Lost
from models.distributed.gradients import all_reduce_gradients
from models.distributed.ops import sync_batch_norm
from models.divergence import State
from models.errors import Failed
from models.mlp import EPS, MLP
from models.storage import as_bytes
from models.train import Plan, Stop, Trainer, Watcher


class Parallel(Trainer):
    """A Trainer in each of some processes, which all have the same parameters and random stream.

    Each draws the whole batch, in the lecture's order, and computes with its own rows of it. The loss is the mean over
    all rows, batch norm takes the statistics of all, and the gradients are summed by one allreduce, with the loss and
    whether a signal asked for the end in the same buffer. So each takes the same step, which is, but for rounding, that
    of one process. It runs op by op: a captured step is one piece, and here the processes talk in the middle of it.

    Lost from step() leaves the run as it was before that step.
    """

    def __init__(
        self,
        model: MLP,
        plan: Plan,
        X: NDArray[np.int64],
        Y: NDArray[np.int64],
        generator: mg.Generator,
        skip_nan: bool = False,
        eager: bool = True,
        comm: Communicator | None = None,
    ) -> None:
        self.comm = Alone() if comm is None else comm
        self.asked = Stop()  # of this process
        self.stopping = 0  # the signal that any of them was asked to end by
        super().__init__(model, plan, X, Y, generator, skip_nan, eager=True)
        if self.plan.batch < self.comm.size:
            raise ValueError(f"a batch of {self.plan.batch} rows cannot be divided among {self.comm.size} processes")
        if self.plan.chunked:
            raise ValueError("the chunked forward pass takes the batch as a whole: leave out --chunked or --ddp")

    def _prepare(self) -> None:
        super()._prepare()
        self.loss = self.forward

    def forward(self, Xb: Any, Yb: Any) -> Tensor:
        """This process's part of the mean loss over the batch Xb (n, context), Yb (n,): that of its rows over n."""
        n, rows, m = len(Xb), self.comm.shard(len(Xb)), self.model
        emb = m.C[Xb[rows]]
        hprebn = emb.view(emb.shape[0], -1) @ m.W1 + m.b1
        hpreact = sync_batch_norm(hprebn, m.bngain, m.bnbias, n, self.comm, eps=EPS)
        logits = mg.tanh(hpreact) @ m.W2 + m.b2
        return F.cross_entropy(logits, Yb[rows], reduction="sum") / n

    def _train(self, Xb: Any, Yb: Any) -> Tensor:
        part = self.loss(Xb, Yb)
        self.optimizer.zero_grad()
        part.backward()
        told = all_reduce_gradients(
            self.model.parameters(),
            self.comm,
            reduce="sum",
            extra=[part.item(), self.asked.number == signal.SIGINT, self.asked.number not in (0, signal.SIGINT)],
        )
        self.stopping = signal.SIGINT if told[1] else signal.SIGTERM if told[2] else 0
        self.optimizer.step()
        return mg.tensor(told[0])

    def step(self) -> float:
        """As Trainer's; Lost where a process is gone."""
        try:
            return super().step()
        except Lost:  # the batch was drawn, and the step is not done
            assert self._good is not None
            self.generator.set_state(self._good.generator)
            for _ in range(self._good.step, len(self.losses)):
                self.generator.randint(0, len(self.X), (self.plan.batch,))
            raise

    def agree(self, stop: Stop) -> Callable[[], bool]:
        """Whether any process was asked for the end by a signal, at the same step in each; that is for run(stop=)."""
        self.asked = stop
        if hasattr(self.comm, "asked"):
            self.comm.asked = stop

        def stopping() -> bool:
            if self.stopping and not stop.number:
                stop.number = self.stopping  # it came to another one
            return self.stopping != 0

        return stopping

    def run(
        self,
        watcher: Watcher | None = None,
        stop: Callable[[], bool] = lambda: False,
        save: Callable[[], None] = lambda: None,
        save_every: int = 0,
    ) -> bool:
        """As Trainer's; that all have the same parameters is looked at before each save() and at the end."""

        def checked() -> None:
            self.check_same()
            save()

        finished = super().run(watcher, stop, checked, save_every)
        self.check_same()
        return finished

    # ------------------------------------------------------------------------------ the same in each process

    def remember(self, by_clock: bool = False) -> None:
        """As Trainer's, but a nan that is found by the clock waits for the next step, where all see it."""
        if by_clock and not self.finite():
            return
        super().remember()

    def _diverged(self, what: str, i: int) -> float:
        """The first process finds the cause, and where the step is skipped the others take over what it has then."""
        if self.comm.rank == 0:
            super()._diverged(what, i)  # or Diverged, which ends all
        self._share()
        return math.nan

    def _share(self) -> None:
        state = self.state()
        mine = {
            "step": state.step, "model": state.model, "optimizer": state.optimizer, "generator": state.generator,
            "losses": np.array(self.losses, np.float32), "skipped": self.skipped,
        }  # fmt: skip
        data = self.comm.broadcast(as_bytes(mine) if self.comm.rank == 0 else b"", patient=True)
        if self.comm.rank == 0:
            return
        held: Any = mg.load(io.BytesIO(data))
        step = held["step"]
        self.losses, self.skipped = array("f", held["losses"].tobytes()), list(held["skipped"])
        self.metrics = [line for line in self.metrics if line["step"] < step]
        self.measured = min(step, self.measured[0]), self.measured[1]
        self.restore(State(step, held["model"], held["optimizer"], held["generator"]))
        self._good = self.state()

    def check_same(self) -> None:
        """Failed where this process's parameters are not, bit for bit, those of rank 0."""
        mine = zlib.crc32(b"".join(p.array.tobytes() for p in self.model.parameters())).to_bytes(4)
        if self.comm.broadcast(mine) != mine:
            raise Failed(
                f"the parameters of rank {self.comm.rank} are not those of rank 0 after {len(self.losses):,} steps: "
                "do all run the same program on the same kind of processor?"
            )
