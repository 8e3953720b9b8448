"""`makemore plot`: the lecture's plots of a run, from its metrics.jsonl and its model."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import BadInput, Failed
from models.mlp import PARAMETERS
from models.step import Step, find
from models.storage import Unwritable, all_or_nothing, folder, model_file
from viz import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS, FOLDER = "metrics.jsonl", "plots"
RATIOS = ("update_to_data", "grad_to_data")
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


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of steps in a metrics.jsonl. Raises BadInput, with the line's number, for a damaged one."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: damaged, not text; train again") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(text.split("\n"), start=1):
        if not row:
            continue
        try:
            line = json.loads(row)
            if "train_loss" in line:  # the last one, of the trained network over whole splits
                continue
            _check(line, lines[-1]["step"] if lines else -1)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:100]
            raise BadInput(f"{path}:{number}: damaged ({type(error).__name__}: {reason}); train again") from None
        lines.append(line)
    if not lines:
        raise BadInput(f"{path}: no steps in it; train again")
    return lines


def _check(line: Any, before: int) -> None:
    if type(line["step"]) is not int or not before < line["step"] < 2**53:
        raise ValueError(f"step {line['step']!r} after step {before}")
    for key in ("loss", "mean_loss"):
        if not _number(line[key]):
            raise ValueError(f"{key} is {line[key]!r}")
    for kind in RATIOS:
        for name, ratio in line.get(kind, {}).items():
            if not (ratio is None or _number(ratio)):
                raise ValueError(f"{kind} of {name} is {ratio!r}")


def _number(x: Any) -> bool:
    return type(x) in (int, float) and 0 <= x < math.inf
