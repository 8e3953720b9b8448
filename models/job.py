"""The main job in one piece: read, check, train, calibrate, measure, sample, write."""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from models.checkpoint import CheckpointError, content
from models.distributed.comm import Lost
from models.errors import BadInput, Failed
from models.lock import locked
from models.mlp import MLP
from models.names import NamesError, Vocabulary, build_dataset, read_names, split_names
from models.profiling import Profiled
from models.progress import Bar, Lines
from models.results import FILES, write_results
from models.sample import SEED_AFTER, sample
from models.saved import Saved
from models.sizes import TooLarge, check_fits
from models.storage import Trained, Unwritable, folder
from models.train import Diverged, Trainer, interrupt_ends_step

if TYPE_CHECKING:
    from models.distributed.launch import First

SAMPLES = 20
SPLITS = ("train", "val", "test")

Split = tuple[NDArray[np.int64], NDArray[np.int64]]


def train(options: argparse.Namespace, names_file: str, group: First | None = None) -> int:
    """`makemore train`; returns 0, or the signal that ended it before its last step (what was trained is saved).

    group: the processes of --ddp, of which this is the first one.

    Everything that can be wrong with the input is found before anything is written: NamesError, BadInput. Failed for
    a run that comes to no good end.
    """
    words = read_names(names_file)
    parts = split_names(words, source=names_file)
    vocab = Vocabulary(words)
    names = {"count": len(words), "sha256": names_hash(words)}
    out = Path(options.out)
    if options.resume and not out.is_dir():
        raise BadInput(f"{out}: no such folder, so there is no run to go on with; begin one without --resume")
    saved = Saved(out, options)
    try:
        with folder(out, FILES), locked(out) as lock:
            saved.lock = lock
            config, plan, changes = saved.begin(vocab, names, names_file)
            check_fits(config, plan, rows=sum(len(word) + 1 for word in words))
            splits = _datasets(parts, vocab, config.context)
            generator = mg.Generator().manual_seed(config.seed)
            model = MLP(config, generator)
            skip = options.on_nan == "skip"
            make = Trainer if group is None else group.trainer
            trainer = make(model, plan, *splits["train"], generator, skip, options.eager)
            saved.restore(trainer, changes)
            if group is not None:
                group.begin(content(trainer, vocab, names, changes, saved.every))
            profiled = Profiled(trainer, options.profile) if options.profile else None

            def save() -> None:
                saved.write(trainer, content(trainer, vocab, names, changes, saved.every))

            with interrupt_ends_step() as stop:  # and does not touch what comes after the steps
                ends = stop if group is None else group.agree(stop)
                try:
                    finished = _run(trainer, ends, options.quiet, save, saved.every or 0)
                except Lost as lost:  # and the run is as it was before the step
                    if trainer.finite():
                        save()
                    raise Failed(f"{lost}, after step {len(trainer.losses):,}; {saved.kept()}") from None
                if profiled is not None:
                    print(profiled.write(), flush=True)
                if not finished:
                    done = f"{len(trainer.losses):,} of {plan.steps:,} steps"
                    by = "ctrl-C" if stop.number == signal.SIGINT else signal.Signals(stop.number).name
                    print(f"stopped by {by} after {done}; saving what was trained (--resume goes on)", flush=True)
                elif saved.every or options.resume:
                    save()  # so that what is there is the end and not something before it
                lock.still()
                problems = _finish(out, trainer, Trained(model, vocab), splits, names, changes)
                if finished:
                    saved.store.drop_others()
    except (Unwritable, TooLarge, CheckpointError) as error:
        raise BadInput(str(error)) from None
    except Diverged as error:
        if options.on_nan == "raise":
            traceback.print_exc()
        raise Failed(f"{error}; {saved.kept()}; try a smaller --lr than {plan.base_lr:g}") from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {saved.kept()}") from None
    except BrokenPipeError:  # not about the results: who reads what is printed has gone
        raise
    except OSError as error:
        why = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        raise Failed(f"the results could not be written: {why}; {saved.kept()}") from None
    for problem in problems:
        print(f"makemore train: warning: {problem}", file=sys.stderr)
    if lock.removed:
        raise Failed(f"{out} was removed during the run: it was made again, and the results are in it")
    return 0 if finished else stop.number  # ctrl-C while the results were written changed nothing


def _run(trainer: Trainer, stop: Any, quiet: bool, save: Callable[[], None], save_every: int) -> bool:
    if quiet:
        return trainer.run(stop=stop, save=save, save_every=save_every)
    steps, done = trainer.plan.steps, len(trainer.losses)
    watcher = Bar(steps, sys.stderr, done) if sys.stderr.isatty() else Lines(steps, sys.stdout, done)
    try:
        return trainer.run(watcher, stop, save, save_every)
    finally:
        watcher.close()


def _finish(
    out: Path,
    trainer: Trainer,
    trained: Trained,
    splits: dict[str, Split],
    names: dict[str, Any],
    changes: Sequence[str],
) -> list[str]:
    """Calibrate, measure and sample as cells 24, 25 and 27, print that, and write it all down."""
    model, plan = trained.model, trainer.plan
    model.calibrate(splits["train"][0])
    losses = {name: model.split_loss(*splits[name]) for name in ("train", "val")}
    if not all(np.isfinite(list(losses.values()))):
        raise Failed("the loss of the trained network is not finite; nothing was written; try a smaller --lr")
    for name, loss in losses.items():
        print(f"{name} {loss:.4f}")
    generator = mg.Generator().manual_seed((model.config.seed + SEED_AFTER) % 2**64)
    samples = list(sample(model, trained.vocab, SAMPLES, generator))
    print(*samples, sep="\n", flush=True)
    trained.about = {
        "steps": len(trainer.losses),
        "planned_steps": plan.steps,
        "batch": plan.batch,
        "optimizer": plan.optimizer,
        "lr": plan.base_lr,
        "chunked": plan.chunked,
        "loss": losses,
        "names": names,
        **({"skipped": trainer.skipped} if trainer.skipped else {}),
        **({"changes": list(changes)} if changes else {}),
    }
    return write_results(out, trainer, trained, losses, samples)


def evaluate(trained: Trained, names_file: str) -> tuple[str, dict[str, float]]:
    """The losses over the three splits of a list, and a note where it is not the list that was trained on."""
    words = read_names(names_file)
    parts = split_names(words, source=names_file)
    try:
        splits = _datasets(parts, trained.vocab, trained.model.config.context)
    except NamesError as error:
        raise BadInput(f"{names_file}: {error}: the model was trained without that letter") from None
    known = trained.about.get("names")
    other = isinstance(known, dict) and known.get("sha256") != names_hash(words)
    note = f"{names_file} is not the list that this model was trained on" if other else ""
    return note, {name: trained.model.split_loss(*split) for name, split in splits.items()}


def _datasets(parts: Sequence[Sequence[str]], vocab: Vocabulary, context: int) -> dict[str, Split]:
    return {name: build_dataset(words, vocab, context) for name, words in zip(SPLITS, parts, strict=True)}


def names_hash(words: Sequence[str]) -> str:
    """What tells one list of names from another."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
