"""What a run leaves in its folder: model.safetensors, metrics.jsonl, loss.png, samples.txt and graph.svg."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.metrics import METRICS
from models.names import Vocabulary
from models.picture import draw_loss
from models.storage import MODEL, Trained, all_or_nothing, save_model
from models.train import Trainer

FILES = (MODEL, METRICS, "loss.png", "samples.txt", "graph.svg")


def write_results(
    out: Path, trainer: Trainer, trained: Trained, split_losses: dict[str, float], samples: Sequence[str]
) -> list[str]:
    """Write all five files to `out`, together, and return what could not be drawn, a line each.

    A picture that cannot be drawn is no reason to lose hours of training: the rest is written without it.
    Raises OSError where `out` cannot be written to; what was there stays then.
    """
    metrics = [*trainer.metrics, {"step": len(trainer.losses), **{f"{k}_loss": v for k, v in split_losses.items()}}]
    config = trained.model.config
    title = f"context {config.context}, embedding {config.embd}, hidden {config.hidden}, batch {trainer.plan.batch}"
    problems = []
    with all_or_nothing(out) as stage:
        save_model(stage / MODEL, trained)
        (stage / METRICS).write_text("".join(json.dumps(line) + "\n" for line in metrics), "utf-8")
        (stage / "samples.txt").write_text("".join(name + "\n" for name in samples), "utf-8")
        try:
            draw_loss(stage / "loss.png", filled(trainer.losses).tolist(), trainer.plan, split_losses, title)
        except (ValueError, RuntimeError) as error:
            problems.append(f"loss.png was not drawn: {error}")
        try:
            draw_graph(stage / "graph.svg", trainer, trained.vocab)
        except (ValueError, RuntimeError) as error:
            problems.append(f"graph.svg was not drawn: {error}")
    return problems


def filled(losses: Sequence[float]) -> NDArray[np.float64]:
    """The losses, and for a skipped step, which has none, the one before (or, at the beginning, the first there is)."""
    y = np.asarray(losses, np.float64)
    known = np.flatnonzero(np.isfinite(y))
    return y[known[np.maximum(np.searchsorted(known, np.arange(len(y)), "right") - 1, 0)]]


def draw_graph(path: Path, trainer: Trainer, vocab: Vocabulary) -> None:
    """The graph of one chunked step, forward and backward. Raises viz.RenderError (a ValueError)."""
    import viz  # here and not above: the package that lays it out is large
    from models.step import Step

    n = trainer.plan.batch
    step = Step(len(trainer.losses), trainer.model, vocab, trainer.X[:n], trainer.Y[:n])
    loss, values = step.forward()
    viz.render(loss, path, names=step.names(loss, values))
