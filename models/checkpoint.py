"""Checkpoints: all of a run in one file, so that it can go on from there to the same end, bit for bit.

A file of minigrad.save, as a model is: see docs/checkpoints.md. The files are numbered in the order they were written
in, so that the newest is known without a clock; each is written whole or not at all, and the last few are kept.
"""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from models.divergence import State, optimizer_state
from models.metrics import check_line
from models.mlp import Config
from models.names import NamesError, Vocabulary
from models.storage import DESCRIPTION, as_bytes, network, read_bounded, reason, sync, write_whole
from models.train import Plan, Trainer

FORMAT, VERSION = "makemore-checkpoint", 1
FOLDER = "checkpoints"
NAME = re.compile(r"([0-9]{5,18})-step-([0-9]{1,18})\.safetensors")
OPTIMIZER, GENERATOR, LOSSES = "optimizer", "generator", "losses"
MOMENTS = {"sgd": set(), "adamw": {"step", "exp_avg", "exp_avg_sq"}}  # what each optimizer keeps of a parameter


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; its text is one line: file, what is wrong."""


@dataclass
class Checkpoint:
    """What a file holds: the state of a run and what the run is."""

    path: Path
    config: Config
    plan: Plan
    vocab: Vocabulary
    names: dict[str, Any]  # count and sha256 of the list
    state: State
    history: dict[str, Any]  # metrics, measured, seconds, skipped
    losses: array[float]
    changes: list[str]  # what was changed by force on the way
    every: int | None  # None: written only because the run was stopped

    @property
    def step(self) -> int:
        return self.state.step

    def restore(self, run: Trainer) -> None:
        """Put it all into a run that was just made, of this config and plan. Raises CheckpointError."""
        run.losses = self.losses[:]
        run.metrics = list(self.history["metrics"])
        run.skipped = list(self.history["skipped"])
        run.seconds = self.history["seconds"]
        run.measured = tuple(self.history["measured"])
        try:
            run.restore(self.state)
        except ValueError as error:
            raise CheckpointError(f"{self.path}: damaged ({reason(error)})") from None


def content(
    run: Trainer, vocab: Vocabulary, names: dict[str, Any], changes: Sequence[str] = (), every: int | None = None
) -> bytes:
    """The bytes of a checkpoint file of a run as it is now. every: the --checkpoint-every that it has."""
    description = {
        "format": FORMAT,
        "version": VERSION,
        "step": len(run.losses),
        "config": asdict(run.model.config),
        "plan": asdict(run.plan),
        "chars": "".join(vocab.chars),
        "names": names,
        "seconds": run.seconds,
        "measured": list(run.measured),
        "skipped": run.skipped,
        "changes": list(changes),
        "every": every,
        "metrics": json.dumps(run.metrics),
    }
    return as_bytes(
        {
            **run.model.state_dict(),
            OPTIMIZER: optimizer_state(run.optimizer),
            GENERATOR: run.generator.get_state(),
            LOSSES: np.array(run.losses, np.float32),
            DESCRIPTION: description,
        }
    )


def read(path: Path) -> Checkpoint:
    """Read one file. Raises CheckpointError for one that is damaged, of a newer version, or no checkpoint."""
    try:
        data = read_bounded(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse(path, data)


def parse(path: Path, data: bytes) -> Checkpoint:
    """Read what content() made. path: where it is from, for messages. Raises CheckpointError as read() does."""
    try:
        return _parse(path, mg.load(io.BytesIO(data)))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (NamesError, Exception) as error:  # what is in it may be anything
        raise CheckpointError(f"{path}: damaged, or no checkpoint of this program ({reason(error)})") from None


def _parse(path: Path, held: Any) -> Checkpoint:
    about = held.pop(DESCRIPTION) if isinstance(held, dict) and DESCRIPTION in held else None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError("not a checkpoint of this program")
    if about["version"] != VERSION:
        raise CheckpointError(
            f"its version is {str(about['version'])[:40]}, and this program reads {VERSION}: use a newer one"
        )
    config, plan, step = Config(**about["config"]), Plan(**about["plan"]), about["step"]
    vocab = Vocabulary(about["chars"])
    _must(len(vocab) == config.vocab_size and vocab.chars == list(about["chars"]), "its vocabulary")
    _must(type(step) is int and 0 <= step <= plan.steps, "its step")
    names, losses = about["names"], held.pop(LOSSES)
    _must(type(names["count"]) is int and type(names["sha256"]) is str, "its names")
    _must(isinstance(losses, np.ndarray) and losses.dtype == np.float32 and losses.shape == (step,), "its losses")
    skipped, changes, measured = about["skipped"], about["changes"], about["measured"]
    _must(all(type(i) is int and 0 <= i < step for i in skipped), "its skipped steps")
    _must(all(type(text) is str for text in changes), "its changes")
    _must(about["every"] is None or type(about["every"]) is int, "its interval")
    _must(_seconds(about["seconds"]) and _seconds(measured[1]), "its seconds")
    _must(type(measured[0]) is int and 0 <= measured[0] <= step, "its metrics")
    metrics = json.loads(about["metrics"])
    before = -1
    for line in metrics:
        check_line(line, before)
        before = line["step"]
    _must(before < step, "its metrics")
    optimizer, generator = held.pop(OPTIMIZER), held.pop(GENERATOR)
    _must(isinstance(generator, np.ndarray), "its random stream")
    mg.Generator().set_state(generator)
    model = network(config, held, calibrated=False)
    _check_optimizer(optimizer, [p.shape for p in model.parameters()], MOMENTS[plan.optimizer], step)
    history = {"metrics": metrics, "measured": measured, "seconds": float(about["seconds"]), "skipped": skipped}
    state = State(step, model.state_dict(), optimizer, generator)
    return Checkpoint(
        path, config, plan, vocab, names, state, history, array("f", losses.tobytes()), changes, about["every"]
    )


def _check_optimizer(state: Any, shapes: list[Any], moments: set[str], step: int) -> None:
    for i, entries in state.items():
        _must(type(i) is int and 0 <= i < len(shapes) and entries.keys() == moments, "its optimizer")
        for name, value in entries.items():
            if name == "step":
                _must(type(value) is int and 0 < value <= step, "its optimizer")
            else:
                value = value.array if isinstance(value, mg.Tensor) else value
                _must(value.dtype == np.float32 and value.shape == tuple(shapes[i]), "its optimizer")
                _must(bool(np.isfinite(value).all()), "its optimizer")


def _seconds(x: Any) -> bool:
    return type(x) in (int, float) and 0 <= x < math.inf


def _must(right: bool, what: str) -> None:
    if not right:
        raise ValueError(f"{what}: not what a run has")


class Store:
    """The checkpoints of a folder `out`, in out/checkpoints; the last `keep` stay. One run at a time: see lock.py."""

    def __init__(self, out: Path, keep: int) -> None:
        self.out, self.folder, self.keep = out, out / FOLDER, keep
        self.own: list[Path] = []  # those of this run, and what it went on from

    def files(self) -> list[Path]:
        """Their files, oldest first. Raises OSError."""
        try:
            found = [(int(match[1]), path) for path in self.folder.iterdir() if (match := NAME.fullmatch(path.name))]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [path for _, path in sorted(found)]

    def newest(self, say: Callable[[str], None]) -> Checkpoint:
        """The newest that can be used; say hears of each damaged one. Raises CheckpointError where there is none."""
        files = self.files()
        bad = []
        for path in reversed(files):
            try:
                found = read(path)
            except CheckpointError as error:
                bad.append(str(error))
                continue
            for line in bad:
                say(f"{line}; going back to the one before")
            self.own = files
            return found
        if bad:
            raise CheckpointError(f"no checkpoint in {self.folder} can be used: {bad[0]}")
        raise CheckpointError(f"no checkpoint in {self.folder}: without --resume a run begins from its first step")

    def write(self, step: int, data: bytes) -> Path:
        """Write one whole or not at all, then take away the oldest beyond `keep`. Raises OSError."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            sync(self.out)
        files = self.files()
        number = int(files[-1].name.split("-")[0]) + 1 if files else 1
        path = self.folder / f"{number:05d}-step-{step}.safetensors"
        write_whole(path, data)
        self.own.append(path)
        for old in [*files, path][: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def drop_others(self) -> None:
        """Take away what is of earlier runs: the results of this one have taken their place."""
        for path in self.files():
            if path not in self.own:
                path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def sweep(self) -> None:
        """Take away what a killed run left half written."""
        for path in self.out.glob(".new-*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob(".*.safetensors.*.part"):
            path.unlink(missing_ok=True)
