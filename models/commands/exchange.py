"""`makemore export` and `makemore import`: a trained network to other programs and from them."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.errors import BadInput, Failed
from models.names import Vocabulary, read_names
from models.options import path

FORMATS = """

--onnx: an ONNX model (opset 20), contexts (batch, context) to logits, any batch; onnx's checker has accepted it. In
  float32 its logits are those of sample and eval to 1e-6 of the largest; with --float64 to 1e-12 of a float64 network.
--safetensors: the arrays by the lecture's names (C, W1, ...); with --torch by the names of torch's layers, for
  load_state_dict() of the nn.Sequential that models/exchange.py describes."""

FILES = """

FILE is a safetensors file: of makemore export, or of torch: safetensors.torch.save_file(model.state_dict(), FILE).
It becomes a model that sample, eval and serve take."""


def register(command: Callable[..., Any]) -> None:
    """Add both commands."""
    add = command("export", export, "Write a trained network for other programs.", FORMATS).add_argument
    add("--model", type=path, default="out", metavar="FILE", help="a model file or its folder (out)")
    add("--onnx", action="store_true", help="model.onnx")
    add("--float64", action="store_true", help="with --onnx: weights, work and logits in float64")
    add("--safetensors", action="store_true", help="arrays.safetensors")
    add("--torch", action="store_true", help="with --safetensors: torch.safetensors, by the names of torch's layers")
    add("--out", type=path, metavar="DIR", help="where the files go (the model's folder)")

    add = command("import", import_, "Take over a network from a safetensors file.", FILES).add_argument
    add("file", type=path, metavar="FILE", help="the safetensors file")
    add("--names", type=path, metavar="FILE", help="the list it was trained on, if the file does not say its letters")
    add("--out", type=path, default="out", metavar="DIR", help="where model.safetensors goes (out)")
    add("--force", action="store_true", help="also over a model that is there")


def export(options: argparse.Namespace) -> int:
    """Write the files and print where they are. Raises BadInput, Failed."""
    if not (options.onnx or options.safetensors):
        raise BadInput("say what to write: --onnx, --safetensors, or both")
    if options.torch and not options.safetensors:
        raise BadInput("--torch is a layout of --safetensors: give both")
    if options.float64 and not options.onnx:
        raise BadInput("--float64 is a way of --onnx: give both")
    if options.onnx and importlib.util.find_spec("onnx") is None:
        raise BadInput("--onnx needs onnx: pip install 'minigrad[export]'")
    from models import exchange
    from models.storage import ModelError, Unwritable, folder, load_model, write_whole

    try:
        trained = load_model(options.model)
    except ModelError as error:
        raise BadInput(str(error)) from None
    model = Path(options.model)
    out = Path(options.out) if options.out else model if model.is_dir() else model.parent
    made: dict[str, bytes] = {}
    if options.onnx:
        made["model.onnx"] = exchange.onnx(trained, options.float64)
    if options.safetensors:
        name = "torch.safetensors" if options.torch else "arrays.safetensors"
        made[name] = exchange.safetensors(trained, options.torch)
    try:
        with folder(out, list(made)):
            for name, content in made.items():
                write_whole(out / name, content)
    except Unwritable as error:
        raise BadInput(str(error)) from None
    except OSError as error:
        raise Failed(f"the files could not be written: {error}") from None
    print(*[out / name for name in made], sep="\n", flush=True)
    return 0


def import_(options: argparse.Namespace) -> int:
    """Write the model and print where it is. Raises BadInput, NamesError, Failed."""
    from models import exchange
    from models.lock import locked
    from models.storage import MODEL, ModelError, Unwritable, folder, save_model

    vocab = Vocabulary(read_names(options.names)) if options.names else None
    try:
        trained = exchange.read(options.file, vocab)
    except ModelError as error:
        raise BadInput(str(error)) from None
    place = Path(options.out) / MODEL
    try:
        with folder(place.parent, [MODEL]), locked(place.parent):
            if place.exists() and not options.force:
                raise BadInput(f"{place} is there; name another --out, or replace it with --force")
            save_model(place, trained)
    except Unwritable as error:
        raise BadInput(str(error)) from None
    except OSError as error:
        raise Failed(f"{place} could not be written: {error}") from None
    print(place, flush=True)
    return 0
