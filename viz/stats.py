"""An array in a few numbers, and what in a graph's numbers deserves a warning."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .trace import Trace

__all__ = ["Stats", "stats", "warnings_of"]

BINS = 16
SATURATED = 0.97  # a tanh beyond this passes on less than 6% of its gradient
MANY = 0.1  # share of such elements that is worth a warning
APART = 1000.0  # times: a gradient so far from its neighbours' is worth one


@dataclass(frozen=True)
class Stats:
    """Of the finite elements: smallest, mean, largest, root of the mean square, and how many are in each of BINS
    equal steps from smallest to largest; of all: how many there are, and how many are 0, nan, inf.
    """

    count: int
    minimum: float
    mean: float
    maximum: float
    rms: float
    zeros: int
    nans: int
    infs: int
    bins: tuple[int, ...]


def stats(array: NDArray[Any]) -> Stats:
    """The Stats of an array of numbers or bools; with no finite element, nan for what they would be."""
    flat = np.asarray(array).ravel()
    count, zeros, nans, infs = flat.size, int(flat.size - np.count_nonzero(flat)), 0, 0
    if flat.dtype.kind == "f":
        finite = np.isfinite(flat)
        if not finite.all():
            nans = int(np.isnan(flat).sum())
            infs = count - nans - int(finite.sum())
            flat = flat[finite]
    if not flat.size:
        return Stats(count, math.nan, math.nan, math.nan, math.nan, zeros, nans, infs, (0,) * BINS)
    flat = flat.astype(np.float64)
    low, high = float(flat.min()), float(flat.max())
    with np.errstate(over="ignore"):
        mean, rms = float(flat.mean()), float(np.sqrt(np.mean(flat * flat)))
        width = high - low
    if 0 < width < math.inf:
        places = np.minimum(((flat - low) / width * BINS).astype(np.int64), BINS - 1)
        bins = np.bincount(places, minlength=BINS)
    else:
        bins = np.zeros(BINS, np.int64)
        bins[BINS // 2] = flat.size
    return Stats(count, low, mean, high, rms, zeros, nans, infs, tuple(int(n) for n in bins))


def warnings_of(
    graph: Trace, values: Mapping[str, NDArray[Any]], gradients: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[str, ...]]:
    """By key of a value, what is wrong with its numbers: nan or inf, a gradient of zeros or one that is APART times
    its neighbours' (those across one op), a tanh that is saturated. What is not in `values` or `gradients` is unknown.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for key, array in values.items():
        found[key].extend(_not_finite(array, ""))
    for op in graph.ops:
        h = values.get(op.output)
        if op.name == "Tanh" and h is not None and h.size:
            share = float(np.mean(np.abs(h) > SATURATED))
            if share > MANY:
                found[op.output].append(f"tanh saturated: {f'{share:.0%} ' if h.size > 1 else ''}|h| > {SATURATED}")
    sizes: dict[str, float] = {}
    for key, gradient in gradients.items():
        found[key].extend(_not_finite(gradient, "grad "))
        if gradient.size and not gradient.any():
            found[key].append("grad is all zero")
        elif gradient.size and np.isfinite(gradient).all():
            sizes[key] = _rms(gradient)
    near: dict[str, set[str]] = defaultdict(set)
    for op in graph.ops:
        for source in op.inputs:
            if isinstance(source, str) and source in sizes and op.output in sizes:
                near[source].add(op.output)
                near[op.output].add(source)
    for value, others in near.items():
        around = sorted(sizes[other] for other in others)
        if sizes[value] > APART * around[-1]:
            found[value].append(f"grad {_times(sizes[value] / around[-1])} larger than its neighbours'")
        elif sizes[value] * APART < around[0]:
            found[value].append(f"grad {_times(around[0] / sizes[value])} smaller than its neighbours'")
    return {key: tuple(lines) for key, lines in found.items() if lines}


def _not_finite(array: NDArray[Any], what: str) -> list[str]:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return []
    nans = int(np.isnan(array).sum())
    infs = int(np.isinf(array).sum())
    counts = " and ".join(f"{n:,} {name}" for n, name in ((nans, "nan"), (infs, "inf")) if n)
    return [f"{what}has {counts} of {array.size:,}" if array.size > 1 else f"{what}is {'nan' if nans else 'inf'}"]


def _rms(array: NDArray[Any]) -> float:
    largest = float(np.abs(array).max())  # scaled, so that neither end of the range is lost in the square
    return largest * float(np.sqrt(np.mean(np.square(array.astype(np.float64) / largest))))


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}x" if ratio < 1e6 else f"{ratio:.0e}x"
