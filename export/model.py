"""onnx(): a function's ops as an ONNX model, in one file that onnx's checker accepts.

The function is run twice on Tensors like the examples, once with a row more and in another order. What ran is written
down op by op; what follows the number of rows is worked out from the input in the model too, so that it takes any.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import Tensor, version
from minigrad.nn import Module

from . import arrange as arrange
from .dynamic import Dim, join
from .errors import ExportError
from .graph import Graph
from .rules import RULES
from .traced import Trace, Value, trace

OPSET, IR_VERSION = 20, 9  # onnx 1.15 and onnxruntime 1.17, both of 2023, and newer read these


def onnx(
    function: Callable[..., Any],
    example_inputs: Any,
    file: str | os.PathLike[str] | None = None,
    *,
    dynamic_batch: bool = True,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Any:
    """Write what the function does with Tensors like these as an ONNX model (opset 20), and return the model.

    function: of Tensors, returns a Tensor or several; of a Module, evaluation mode is exported (batch norms with their
        running statistics), and afterwards it is in the mode it was in.
    example_inputs: a Tensor or array, or a tuple or list of them, in the shapes and dtypes of the model's inputs. Its
        rows are what the function is tried on: two that differ, at least, so that a value that is worked out aside of
        minigrad's ops, by numpy say, is noticed.
    file: where it goes, whole or not at all; None writes none.
    dynamic_batch: the first dimension of each input is the batch, and of any size.
    input_names, output_names: default the function's own parameters, and output, or output_0, output_1, ...
    metadata: texts to keep in the model.

    Raises ExportError, which names the op, for what has no ONNX counterpart (see RULES in rules.py for what has), for a
    function that is another one for other values, that changes values in place, or whose result hangs on numbers
    that no op made; ImportError without onnx; OSError where the file cannot be written.
    """
    import onnx as package  # here, and not above: tracing alone does not need it

    inputs = [_tensor(x) for x in (example_inputs if isinstance(example_inputs, (tuple, list)) else [example_inputs])]
    names = _parameters(function)
    if dynamic_batch:
        rows = {x.shape[0] if x.ndim else None for x in inputs}
        if len(rows) != 1 or None in rows or 0 in rows:
            shapes = " and ".join(str(x.array.shape) for x in inputs)
            raise ExportError(
                f"inputs of shape {shapes} have no batch in common: their first dimensions must be equal, from 1 up, "
                "or export with dynamic_batch=False"
            )
    with _evaluating(function):
        one = trace(function, inputs, names)
        two = trace(function, [_other(x, dynamic_batch) for x in inputs], names)
    join(one, two, inputs[0].shape[0] if dynamic_batch else None)

    given = list(input_names) if input_names is not None else _arguments(function, len(inputs))
    if output_names is None:
        output_names = ["output"] if one.single else [f"output_{i}" for i in range(len(one.outputs))]
    model = _built(package, one, given, list(output_names), {"producer": "minigrad", **(metadata or {})})
    package.checker.check_model(model, full_check=True)
    if file is not None:
        _write(Path(file), model.SerializeToString())
    return model


def _built(package: Any, traced: Trace, inputs: list[str], outputs: list[str], metadata: dict[str, str]) -> Any:
    if len(inputs) != len(traced.inputs) or len(outputs) != len(traced.outputs):
        raise ExportError(
            f"{len(inputs)} input and {len(outputs)} output names for {len(traced.inputs)} inputs and "
            f"{len(traced.outputs)} outputs"
        )
    first = next((v for v in traced.inputs if any(isinstance(n, Dim) for n in v.dims)), None)
    graph, helper = Graph(first), package.helper
    for name in (*inputs, *outputs):
        if graph.unique(name) != name:
            raise ExportError(f"{name!r} cannot be a name: names are letters, digits, _ and ., and each is there once")
    for value, name in zip(traced.inputs, inputs, strict=True):
        graph.names[id(value)] = name
    for step in traced.steps:
        if step.op not in RULES:
            raise ExportError(
                f"{step.op} (of shape {step.output.shape}) has no ONNX counterpart here: use other ops for it; "
                f"these have one: {', '.join(sorted(RULES))}"
            )
        graph.names[id(step.output)] = RULES[step.op](graph, step, *graph.inputs(step))
    for value, name in zip(traced.outputs, outputs, strict=True):
        graph.nodes.append(helper.make_node("Identity", [graph.value(value)], [name], name=name))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "minigrad", [_described(helper, v, n) for v, n in zip(traced.inputs, inputs, strict=True)],
            [_described(helper, v, n) for v, n in zip(traced.outputs, outputs, strict=True)], graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="minigrad",
        producer_version=version.__version__,
    )  # fmt: skip
    helper.set_model_props(model, metadata)
    return model


def _described(helper: Any, value: Value, name: str) -> Any:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(name, kind, [str(n) if isinstance(n, Dim) else n for n in value.dims])


def _tensor(x: Any) -> Tensor:
    return Tensor(x.detach() if isinstance(x, Tensor) else x)


def _other(x: Tensor, one_more: bool) -> Tensor:
    """The same rows from last to first, and the first once more."""
    if not x.ndim:
        return Tensor(x)
    turned = x.array[::-1]
    return Tensor(np.concatenate([turned, turned[-1:]]) if one_more else turned.copy())


def _arguments(function: Any, n: int) -> list[str]:
    try:
        target = function.forward if isinstance(function, Module) else function
        found = [p.name for p in inspect.signature(target).parameters.values() if p.kind in (0, 1)][:n]
    except (TypeError, ValueError):
        found = []
    return found if len(found) == n else [f"input_{i}" for i in range(n)] if n > 1 else ["input"]


def _parameters(function: Any) -> dict[int, str]:
    """The names of a network's parameters and buffers: of a Module, or of what the function is a method of."""
    owner = function if isinstance(function, Module) else getattr(function, "__self__", None)
    found: dict[int, str] = {}
    for kind in ("named_parameters", "named_buffers"):
        asked = getattr(owner, kind, None)
        pairs = asked() if asked is not None else {}
        found.update({id(tensor): str(name) for name, tensor in (pairs.items() if isinstance(pairs, dict) else pairs)})
    return found


@contextmanager
def _evaluating(function: Any) -> Any:
    modules = list(function.modules()) if isinstance(function, Module) else []
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


def _write(place: Path, content: bytes) -> None:
    handle, beside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:40]}.", suffix=".part")
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)
        os.replace(beside, place)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
