"""The rules of ops that arrange numbers (shapes, indices), multiply matrices, or are several steps in one."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dynamic import Dim
from .errors import ExportError
from .graph import Graph
from .rules import number, rule
from .traced import Step, Value

# ------------------------------------------------------------------------------------------------- shapes


@rule("View")
def view(g: Graph, step: Step, x: str) -> str:
    if 0 in step.output.shape:
        return g.op("Reshape", x, g.shape(step.output.dims), allowzero=1)
    return g.op("Reshape", x, g.shape(step.output.dims, reshape=True))


@rule("Expand")
def expand(g: Graph, step: Step, x: str) -> str:
    return g.op("Expand", x, g.shape(step.output.dims))


@rule("Permute")
def permute(g: Graph, step: Step, x: str) -> str:
    n = len(step.settings["dims"])
    return g.op("Transpose", x, perm=[d % n for d in step.settings["dims"]])


@rule("SwapAxes")
def swap_axes(g: Graph, step: Step, x: str) -> str:
    order = list(range(len(step.output.shape)))
    a, b = step.settings["dim0"], step.settings["dim1"]
    order[a], order[b] = order[b], order[a]
    return g.op("Transpose", x, perm=order) if order else g.op("Identity", x)


@rule("Flip")
def flip(g: Graph, step: Step, x: str) -> str:
    dim = step.settings["dim"]
    dims = range(len(step.output.shape)) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    return cut(g, x, [(d, -1, np.iinfo(np.int64).min, -1) for d in dims]) if dims else g.op("Identity", x)


def cut(g: Graph, x: str, parts: list[tuple[int, Any, Any, int]]) -> str:
    """x with (dimension, start, stop, step) taken of each."""
    starts, stops = [g.shape([part[i] for part in parts]) for i in (1, 2)]
    return g.op("Slice", x, starts, stops, g.ints(*[p[0] for p in parts]), g.ints(*[p[3] for p in parts]))


@rule("Roll")
def roll(g: Graph, step: Step, x: str) -> str:
    shifts, dims = step.settings["shifts"], step.settings.get("dim")
    shape = step.inputs[0].dims
    if dims is None:
        if 0 in step.output.shape:
            return g.op("Identity", x)
        flat = g.op("Reshape", x, g.ints(-1))
        return g.op("Reshape", _rolled(g, flat, 0, shifts), g.shape(shape))
    pairs = zip(shifts, dims, strict=True) if isinstance(dims, tuple) else [(shifts, dims)]
    for shift, dim in pairs:
        n = shape[dim]
        x = _rolled(g, x, dim, shift if isinstance(n, Dim) else shift % n if n else 0)
    return x


def _rolled(g: Graph, x: str, dim: int, shift: int) -> str:
    if shift == 0:
        return g.op("Identity", x)
    end = np.iinfo(np.int64).max
    return g.op("Concat", cut(g, x, [(dim, -shift, end, 1)]), cut(g, x, [(dim, 0, -shift, 1)]), axis=dim)


@rule("Tril", "Triu")
def triangle(g: Graph, step: Step, x: str) -> str:
    found = x if step.output.dtype.kind != "b" else g.cast(x, np.int32)
    found = g.op("Trilu", found, np.int64(step.settings.get("diagonal", 0)), upper=int(step.op == "Triu"))
    return found if step.output.dtype.kind != "b" else g.cast(found, np.bool_)


@rule("Cat")
def cat(g: Graph, step: Step, *inputs: str) -> str:
    dim = step.settings["dim"]
    used = [name for name, x in zip(inputs, step.inputs, strict=True) if x.shape != (0,)] or list(inputs)
    return g.op("Concat", *used, axis=dim)


@rule("Stack")
def stack(g: Graph, step: Step, *inputs: str) -> str:
    dim = step.settings["dim"] % len(step.output.shape)
    return g.op("Concat", *[g.op("Unsqueeze", x, g.ints(dim)) for x in inputs], axis=dim)


@rule("Split")
def split(g: Graph, step: Step, x: str) -> str:
    start, stop = step.settings["sections"][step.settings["i"]]
    return cut(g, x, [(step.settings["dim"], start, stop, 1)])


@rule("Unbind")
def unbind(g: Graph, step: Step, x: str) -> str:
    return g.op("Gather", x, np.int64(step.settings["i"]), axis=step.settings["dim"])


# ------------------------------------------------------------------------------------------------- indices


@rule("Slice")
def slice_(g: Graph, step: Step, x: str) -> str:
    """x[index] of ints, slices, None and ...: cut, then take away and put in dimensions."""
    index, n = step.settings["index"], len(step.inputs[0].shape)
    taken = sum(item is not None and item is not Ellipsis for item in index)
    at, parts, gone, new, place = 0, [], [], [], 0
    for item in [*index, *([] if Ellipsis in index else [Ellipsis])]:
        if item is None:
            new.append(place)
            place += 1
        elif item is Ellipsis:
            at, place = at + n - taken, place + n - taken
        elif isinstance(item, slice):
            if (item.start, item.stop, item.step) != (None, None, None):
                stop = np.iinfo(np.int64).max if item.stop is None else item.stop
                parts.append((at, item.start or 0, stop, item.step or 1))
            at, place = at + 1, place + 1
        else:
            end = np.iinfo(np.int64).max if item == -1 else _after(item)
            parts.append((at, item, end, 1))
            gone.append(at)
            at += 1
    found = cut(g, x, parts) if parts else x
    found = g.op("Squeeze", found, g.ints(*gone)) if gone else found
    found = g.op("Unsqueeze", found, g.ints(*new)) if new else found
    return found if found != x else g.op("Identity", x)


def _after(item: Any) -> Any:
    return Dim(item.times, item.plus + 1) if isinstance(item, Dim) else item + 1


@rule("Index")
def index(g: Graph, step: Step, x: str) -> str:
    """x[index] of integer arrays that stand side by side, such as the rows of an embedding; other dimensions whole."""
    items = [item for item in step.settings["index"] if item is not Ellipsis]
    places = [i for i, item in enumerate(items) if isinstance(item, Value)]
    whole = all(isinstance(item, Value) or item == slice(None) for item in items)
    if any(items[i].dtype.kind == "b" for i in places):
        raise ExportError("an index by a mask has a result of any size, which is not exported: use where()")
    if not whole or not places or places != list(range(places[0], places[-1] + 1)):
        raise ExportError(
            "an index that mixes arrays with other things is not exported: take one dimension after the other, as in "
            "x[:, :3][rows]"
        )
    if step.settings["index"][0] is Ellipsis:
        places = [i + len(step.inputs[0].shape) - len(items) for i in places]
        items = [slice(None)] * (places[0] - 0) + [item for item in items if isinstance(item, Value)]
    if len(places) == 1:
        return g.op("Gather", x, g.value(items[places[0]]), axis=places[0])
    if places[0] != 0:
        raise ExportError("an index by several arrays that are not the first dimensions is not exported: permute first")
    arrays = [items[i] for i in places]
    rank = max(len(a.dims) for a in arrays)
    shape: list[Any] = [1] * rank
    for a in arrays:
        for i, n in enumerate(a.dims, rank - len(a.dims)):
            shape[i] = n if n != 1 else shape[i]
    wide = [g.op("Expand", g.operand(a, np.dtype(np.int64)), g.shape(shape)) for a in arrays]
    return g.op("GatherND", x, g.op("Concat", *[g.op("Unsqueeze", w, g.ints(-1)) for w in wide], axis=-1))


@rule("Gather")
def gather(g: Graph, step: Step, x: str) -> str:
    """x[i][index[i][j]]: of the grids that pick those elements, the index is the one that is no range."""
    grids = step.settings["index"]
    full = [i for i, grid in enumerate(grids) if grid.shape == step.output.shape]
    picks = [i for i in full if not _is_range(grids[i], i)] or full[-1:]
    if len(picks) != 1:
        raise ExportError("gather along this dimension is not exported: use indexing, x[rows]")
    return g.op("GatherElements", x, g.value(grids[picks[0]]), axis=picks[0])


def _is_range(grid: Value, dim: int) -> bool:
    return grid.kind == "range" or (
        grid.array is not None
        and grid.array.size == grid.shape[dim]
        and np.array_equal(grid.array.reshape(-1), np.arange(grid.shape[dim]))
    )


# -------------------------------------------------------------------------------- matrices, several in one


@rule("Linear")
def linear(g: Graph, step: Step, x: str, W: str, b: str | None) -> str:
    if len(step.inputs[0].shape) == 2:
        return g.op("Gemm", x, W, b, transB=1)
    y = g.op("MatMul", x, g.op("Transpose", W, perm=[1, 0]))
    return y if b is None else g.op("Add", y, b)


@rule("Einsum")
def einsum(g: Graph, step: Step, *inputs: str) -> str:
    return g.op("Einsum", *inputs, equation=step.settings["equation"])


@rule("Softmax", "LogSoftmax")
def softmax(g: Graph, step: Step, x: str) -> str:
    if not step.output.shape:
        return g.op("Sub", x, x) if step.op == "LogSoftmax" else g.op("Exp", g.op("Sub", x, x))
    return g.op(step.op, x, axis=step.settings["dim"])


@rule("CrossEntropy")
def cross_entropy(g: Graph, step: Step, logits: str) -> str:
    target = g.operand(step.settings["target"], np.dtype(np.int64))
    kind = step.settings.get("reduction", "mean")
    return g.op("SoftmaxCrossEntropyLoss", logits, target, reduction=kind)


@rule("LayerNorm")
def layer_norm(g: Graph, step: Step, x: str, gain: str | None, bias: str | None) -> str:
    dims = step.settings["dim"]
    shape = [step.inputs[0].shape[d] for d in dims]
    scale = gain or g.constant(np.ones(shape, step.output.dtype))
    return g.op("LayerNormalization", x, scale, bias, axis=-len(shape), epsilon=step.settings.get("eps", 1e-5))


@rule("BatchNorm")
def batch_norm(g: Graph, step: Step, x: str, gain: str | None, bias: str | None) -> str:
    """With the batch's own mean and variance, as in training; in evaluation it runs as its single steps."""
    source, dim = step.inputs[0], step.settings["dim"]
    correction = step.settings.get("correction", 0)
    n = g.constant(np.int64(1))
    for d in dim:
        n = g.op("Mul", n, g.size(source.dims[d]))
    over = g.ints(*dim)
    diff = g.op("Sub", x, g.op("ReduceMean", x, over))
    squares = g.op("ReduceSum", g.op("Mul", diff, diff), over)
    free = g.cast(g.op("Sub", n, np.int64(correction)), step.output.dtype)
    var = g.op("Add", g.op("Div", squares, free), number(step.settings.get("eps", 1e-5), step))
    y = g.op("Div", diff, g.op("Sqrt", var))
    along = [1] * len(source.shape)
    along[1] = source.shape[1]
    if gain is not None:
        y = g.op("Mul", y, g.op("Reshape", gain, g.ints(*along)))
    return y if bias is None else g.op("Add", y, g.op("Reshape", bias, g.ints(*along)))
