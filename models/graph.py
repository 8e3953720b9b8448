"""`makemore graph`: the graph of one training step, forward and backward, as SVG, PNG or page."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path

import viz
from models.errors import BadInput, Failed
from models.step import find
from models.storage import Unwritable, folder


def graph(options: argparse.Namespace, names_file: str) -> int:
    """Write the picture to the folder --out and print where it is. Raises BadInput, NamesError, Failed."""
    out = Path(options.out)
    form = options.form
    if options.collapse and form == "html":
        raise BadInput("--collapse is for pictures; in a page all groups can be looked at")
    step = find(out, options.step, names_file, _note)
    path = out / file_name(step.number, options.fused, form)
    loss, values = step.forward(options.fused)
    names = step.names(loss, values)
    try:
        with folder(out, [path.name]):
            if form == "html":
                label = f"step {step.number:,}"
                viz.page(loss, path, names=names, title=f"makemore, {label}", labels=[label])
            else:
                viz.render(loss, path, names=names, collapse=options.collapse)
    except Unwritable as error:
        raise BadInput(str(error)) from None
    except viz.UnknownGroup as error:
        raise BadInput(f"--{error}") from None
    except viz.RenderError as error:  # nothing here lays out a graph, say
        raise Failed(f"{path} was not drawn: {error}") from None
    except OSError as error:
        raise Failed(f"{path} could not be written: {error}") from None
    print(path, flush=True)
    if options.open and not _opened(path):
        _note(f"no browser opens here; the file is {path.resolve()}")
    return 0


def file_name(step: int, fused: bool, form: str) -> str:
    """graph-step-0-chunked.svg: a picture of another step or kind does not take its place."""
    return f"graph-step-{step}-{'fused' if fused else 'chunked'}.{form}"


def _opened(path: Path) -> bool:
    try:
        return webbrowser.open(path.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False


def _note(line: str) -> None:
    print(f"makemore graph: {line}", file=sys.stderr, flush=True)
