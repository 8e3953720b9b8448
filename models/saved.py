"""What `makemore train` keeps of a run on its way, and how --resume goes on from it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.checkpoint import Checkpoint, CheckpointError, Store, read
from models.errors import BadInput, Failed
from models.lock import Lock
from models.mlp import Config
from models.names import Vocabulary
from models.train import Plan, Trainer

FIXED = ("context", "embd", "hidden", "seed")  # what no run can change on its way
CHANGEABLE = ("steps", "batch", "lr", "optimizer", "chunked")


class Saved:
    """The checkpoints of one run of the command, and the one that it goes on from."""

    def __init__(self, out: Path, options: argparse.Namespace) -> None:
        self.out, self.options = out, options
        self.store = Store(out, options.keep)
        self.found: Checkpoint | None = None
        self.lock: Lock | None = None
        self.newest: tuple[int, Path] | None = None  # the step and the file of the last one written or read

    @property
    def every(self) -> int | None:
        """Steps between two checkpoints: as given, or as in the run that it goes on from."""
        return self.options.checkpoint_every or (self.found.every if self.found is not None else None)

    def begin(self, vocab: Vocabulary, names: dict[str, Any], names_file: str) -> tuple[Config, Plan, list[str]]:
        """The sizes and the plan of the run, and what --force changed in it so far.

        Raises BadInput, CheckpointError.
        """
        self.store.sweep()
        if self.options.resume:
            self.found = self.store.newest(_note)
            self.newest = self.found.step, self.found.path
            return self._go_on(self.found, vocab, names, names_file)
        if not self.options.force:
            self._refuse_unfinished()
        config = Config(len(vocab), **self._given(FIXED))
        return config, Plan(**self._given(CHANGEABLE)), []

    def _given(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The options that were given; the others have the defaults of Config and Plan, or the checkpoint's values."""
        values = {name: getattr(self.options, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def _refuse_unfinished(self) -> None:
        for path in reversed(self.store.files()):
            try:
                found = read(path)
            except CheckpointError:
                continue
            if found.every is not None and found.step < found.plan.steps:
                raise BadInput(
                    f"{self.store.folder} holds a run of {found.step:,} of {found.plan.steps:,} steps: --resume goes "
                    "on with it, --force begins anew in its place, another --out leaves it alone"
                )
            return

    def _go_on(
        self, found: Checkpoint, vocab: Vocabulary, names: dict[str, Any], names_file: str
    ) -> tuple[Config, Plan, list[str]]:
        given = self._given(FIXED)
        fixed = [
            f"--{name} {value} ({getattr(found.config, name)} in the checkpoint)"
            for name, value in given.items()
            if value != getattr(found.config, name)
        ]
        if vocab.chars != found.vocab.chars:
            fixed.append(f"the letters of {names_file} ({_letters(vocab, found.vocab)})")
        if fixed:
            raise BadInput(f"{found.path} is of another network: {', '.join(fixed)}; that cannot change during a run")
        plan = replace(found.plan, lr=found.plan.base_lr)
        changed = {}
        differences = []
        for name, value in self._given(CHANGEABLE).items():
            if value != getattr(plan, name):
                changed[name] = value
                differences.append(f"--{name} {_shown(value)} ({_shown(getattr(plan, name))} in the checkpoint)")
        if names["sha256"] != found.names["sha256"]:
            before = found.names["count"]
            count = f"{before:,} then" if before != names["count"] else "other names or another order then"
            differences.append(f"{names_file}, {names['count']:,} names ({count})")
        if not differences:
            return found.config, plan, found.changes
        if not self.options.force:
            raise BadInput(
                f"not what {found.path} was made with: {', '.join(differences)}; --force goes on with the change, "
                "leaving it out goes on without"
            )
        if "optimizer" in changed and "lr" not in changed:
            changed["lr"] = None  # the new one's own
        plan = replace(plan, **changed)
        if plan.steps < found.step:
            raise BadInput(f"--steps {plan.steps}: the run has {found.step:,} already")
        if plan.optimizer != found.plan.optimizer:
            found.state.optimizer = {}  # it knows nothing of what the other one kept
        return found.config, plan, [*found.changes, *(f"from step {found.step}: {text}" for text in differences)]

    def restore(self, run: Trainer, changes: list[str]) -> None:
        """Put the checkpoint, if there is one, into the run. Raises CheckpointError."""
        if self.found is None:
            return
        self.found.restore(run)
        if not self.options.quiet:
            where = f"step {self.found.step:,} of {run.plan.steps:,}"
            print(f"going on from {where} ({self.found.path})", flush=True)

    def write(self, run: Trainer, data: bytes) -> None:
        """A checkpoint of the run as it is. Raises Failed, with what is still there."""
        step = len(run.losses)
        if self.newest is not None and self.newest[0] == step and self.newest[1].exists():
            return
        try:
            assert self.lock is not None
            self.lock.still()
            self.newest = step, self.store.write(step, data)
        except OSError as error:
            why = error.strerror or error
            raise Failed(f"the checkpoint of step {step:,} could not be written: {why}; {self.kept()}") from None

    def kept(self) -> str:
        """What there is to go on from, said at the end of a run that failed."""
        if self.newest is not None and self.newest[1].exists():
            return f"the checkpoint of step {self.newest[0]:,} is kept in {self.store.folder}, --resume goes on from it"
        return "nothing was written"


def _note(line: str) -> None:
    print(f"makemore train: note: {line}", file=sys.stderr, flush=True)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _letters(now: Vocabulary, then: Vocabulary) -> str:
    more, fewer = sorted(set(now.chars) - set(then.chars)), sorted(set(then.chars) - set(now.chars))
    parts = [f"new: {' '.join(more[:20])}"] if more else []
    return "; ".join([*parts, f"gone: {' '.join(fewer[:20])}"] if fewer else parts)
