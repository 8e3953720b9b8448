"""`makemore plot`: the lecture's plots of a run, from its metrics.jsonl and its model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import BadInput, Failed
from models.metrics import METRICS, RATIOS, read_metrics
from models.mlp import PARAMETERS
from models.step import Step, find
from models.storage import Unwritable, all_or_nothing, folder, model_file
from viz import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "plots"
NAMES = ("loss", "dlogits", "activations", "saturation", "gradients", *RATIOS, "embedding")
FORMS = ("png", "svg")
SHOWN = ("embcat", "hprebn", "bnraw", "hpreact", "h", "logits")  # of the 19 intermediates, the layers' own


def plot(options: argparse.Namespace, names_file: str) -> int:
    """Write the plots to the folder plots/ of --out and print where they are. Raises BadInput, NamesError, Failed."""
    out = Path(options.out)
    if not (out / METRICS).exists() or not model_file(out).exists():
        missing = out / (METRICS if model_file(out).exists() else model_file(out).name)
        raise BadInput(f"{missing}: not there, so there is no run to draw; make one: makemore train --out {out}")
    lines = read_metrics(out / METRICS)
    step = find(out, None, names_file)
    figures, notes = draw(lines, step)
    into = out / FOLDER
    files = [f"{name}.{form}" for name in figures for form in FORMS]
    try:
        with folder(into, files):
            with all_or_nothing(into) as stage:
                for name, figure in figures.items():
                    for form in FORMS:
                        plots.save(figure, stage / f"{name}.{form}")
            for name in NAMES:  # of an earlier run here: a picture of another network would mislead
                for form in FORMS if name not in figures else ():
                    (into / f"{name}.{form}").unlink(missing_ok=True)
    except Unwritable as error:
        raise BadInput(str(error)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failed(f"the plots could not be written: {error}") from None
    for note in notes:
        print(f"makemore plot: note: {note}", file=sys.stderr)
    for file in files:
        print(into / file)
    sys.stdout.flush()  # here, where a closed pipe is still handled
    return 0


def draw(lines: Sequence[Mapping[str, Any]], step: Step) -> tuple[dict[str, Figure], list[str]]:
    """The figures by name, from a run's metrics and a step to look into, and a line for each that cannot be."""
    notes = []
    steps = [line["step"] for line in lines]
    chars = [step.vocab.itos[i] for i in range(len(step.vocab))]
    _, values = step.forward()
    grads = {name: p.grad for name, p in step.model.named_parameters().items()}
    figures = {
        "loss": plots.loss([line["loss"] for line in lines], steps, means=[line["mean_loss"] for line in lines]),
        "dlogits": plots.dlogits(values["logits"].grad, chars),
        "activations": plots.activations({name: values[name] for name in SHOWN}),
        "saturation": plots.saturation(values["h"]),
        "gradients": plots.gradients(grads),
    }
    ratios = {}
    for kind, function in zip(RATIOS, (plots.update_ratios, plots.gradient_ratios), strict=True):
        with_them = [line for line in lines if kind in line]
        if with_them:
            ratios = {name: [line[kind].get(name) for line in with_them] for name in PARAMETERS}
            figures[kind] = function([line["step"] for line in with_them], ratios)
    if not ratios:
        notes.append(
            f"no {' and no '.join(RATIOS)}: the run's {METRICS} does not have them (an older version wrote it); "
            "train again to see them"
        )
    if step.model.config.embd == 2:
        figures["embedding"] = plots.embedding(step.model.C, chars)
    else:
        embd = step.model.config.embd
        notes.append(f"no embedding: it has {embd} dimension{'s' * (embd != 1)}; makemore train --embd 2 has two")
    return figures, notes
