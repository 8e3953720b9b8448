"""A row of the table run in both libraries, and what came out compared."""

from typing import Any
from zlib import crc32

import numpy as np
import torch

import minigrad as mg

from .table import Row

VALUES = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "positive": lambda rng, shape: rng.uniform(0.1, 3.0, shape),
    "ties": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
}


def draw(row: Row, case: Any, dtype: Any, layout: str = "contiguous") -> list[np.ndarray]:
    """The inputs of a case: always the same for a row and its case, in a memory layout."""
    rng = np.random.default_rng(crc32(f"{row.name}{case}".encode()))
    kinds = row.values.split()
    kinds = kinds * len(case) if len(kinds) == 1 else kinds
    return [laid_out(VALUES[kind](rng, shape).astype(dtype), layout) for kind, shape in zip(kinds, case, strict=True)]


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same values in memory that is in order, in the transposed order, with gaps, or run backward."""
    if not array.ndim:
        return array
    if layout == "transposed":
        return np.ascontiguousarray(array.T).T
    if layout == "gaps":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if layout == "backward":
        return np.flip(np.flip(array).copy())
    return array


def outputs(m: Any, row: Row, inputs: list[Any]) -> list[Any]:
    """What the call returned, as a list."""
    out = row.call(m, *inputs)
    return list(out) if isinstance(out, (tuple, list)) else [out]


def run(m: Any, row: Row, arrays: list[np.ndarray]) -> dict[str, list[Any]]:
    """Forward, first and second derivative in one library: arrays, or None where there is no gradient.

    The first derivative has a random gradient from above. The second is that of the first's weighted sum, with
    respect to the inputs and to that gradient from above, so that linear ops are seen too.
    """
    inputs = [leaf(m, array) for array in arrays]
    out = outputs(m, row, inputs)
    found = {"forward": out, "requires grad": [np.asarray(o.requires_grad) for o in out]}
    rng = np.random.default_rng(1)
    roots = [o for o in out if o.requires_grad]
    above = [leaf(m, rng.standard_normal(tuple(o.shape)).astype(dtype_of(o))) for o in roots]
    if not roots:
        return plain(found)
    grad = m.autograd.grad
    first = grad(roots, inputs, above, create_graph=True, allow_unused=True)
    found["first"] = list(first)
    # Rules run on plain arrays where nothing records them: once more so, since that is what training does.
    found["unrecorded"] = found["first"] if m is torch else list(grad(roots, inputs, above, True, allow_unused=True))
    weights = [
        None if g is None else leaf(m, rng.standard_normal(tuple(g.shape)).astype(dtype_of(g)), False) for g in first
    ]
    sums = [(g * w).sum() for g, w in zip(first, weights, strict=True) if g is not None and g.requires_grad]
    if sums:
        second = grad(sums, inputs + above, allow_unused=True)
        # torch says zeros or None here as its formulas happen to be written; both mean 0.
        found["second"] = [
            np.zeros(tuple(x.shape), dtype_of(x)) if g is None else g
            for g, x in zip(second, inputs + above, strict=True)
        ]
    else:
        found["second"] = [np.zeros(tuple(x.shape), dtype_of(x)) for x in inputs + above]
    return plain(found)


def leaf(m: Any, array: np.ndarray, requires_grad: bool = True) -> Any:
    """A leaf with these values; in minigrad with this very memory layout, and a number as mg.tensor keeps it."""
    if m is torch:
        found = torch.tensor(np.ascontiguousarray(array).reshape(array.shape))
    elif not array.ndim:
        found = mg.tensor(array)
    else:
        found = mg.from_numpy(np.asarray(array))
    return found.requires_grad_(requires_grad) if array.dtype.kind == "f" else found


def dtype_of(x: Any) -> np.dtype:
    """The numpy dtype of a Tensor of either library."""
    return np.dtype(str(x.dtype).removeprefix("torch."))


def numpy_of(x: Any) -> np.ndarray:
    """The values of a Tensor of either library (torch's may be lazy zeros)."""
    return x.numpy(force=True) if isinstance(x, torch.Tensor) else np.asarray(x.detach().numpy())


def plain(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Tensors as arrays."""
    return {
        key: [x if x is None or isinstance(x, np.ndarray) else numpy_of(x) for x in values]
        for key, values in found.items()
    }


def compare(got: dict[str, list[Any]], want: dict[str, list[Any]], ulps: float, beside: float = 0) -> None:
    """AssertionError that names the part unless shape, dtype, nan and inf pattern agree, and values to *ulps*.

    The unit is the last place of the value, or of an eighth of the largest that went into it: a sum that cancels
    leaves the rounding of its terms, and a second derivative's terms are as large as the first's.
    """
    assert got.keys() == want.keys(), f"parts {list(got)}, torch has {list(want)}"
    for part in want:
        assert len(got[part]) == len(want[part]), f"{part}: {len(got[part])} of them, torch has {len(want[part])}"
        beside = max(beside, largest(*want[part]))
        for i, (g, w) in enumerate(zip(got[part], want[part], strict=True)):
            same(g, w, ulps, f"{part} {i}", beside)


def largest(*arrays: Any) -> float:
    """The largest finite magnitude in these."""
    return max((float(np.abs(a[np.isfinite(a)]).max(initial=0)) for a in arrays if a is not None), default=0.0)


def same(got: Any, want: Any, ulps: float = 4, where: str = "", beside: float = 0) -> None:
    """Two arrays (or None) agree: see compare."""
    if got is None or want is None:
        assert got is want, f"{where}: {got}, torch says {want}"
        return
    both = f"{where}: {got.tolist()}, torch has {want.tolist()}"
    assert got.shape == want.shape, f"{where}: shape {got.shape}, torch has {want.shape}"
    assert got.dtype == want.dtype, f"{where}: dtype {got.dtype}, torch has {want.dtype}"
    if want.dtype.kind != "f":
        assert np.array_equal(got, want), both
        return
    finite = np.isfinite(want)
    assert np.array_equal(np.where(finite, 0, got), np.where(finite, 0, want), equal_nan=True), both
    assert np.isfinite(got[finite]).all(), both
    if finite.any():
        info = np.finfo(want.dtype)
        unit = info.eps * np.maximum(np.abs(want[finite]), max(beside, largest(want)) / 8) + info.smallest_subnormal
        off = (np.abs(got[finite] - want[finite]) / unit).max()
        assert off <= ulps, f"{both}: {off:.1f} ulp off"
