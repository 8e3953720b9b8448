"""How far float32 results are from the truth, minigrad's and torch's: `make parity` prints the table.

The truth is torch's float64 on the same float32 inputs. Errors are in units in the last place (ulp) of the truth: forward
and first derivative, the largest and the mean of each, not counted below 1 ulp. The bar is 1.5 times torch's own error.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import torch

import minigrad as mg

from .table import rule as rule  # for a row of a rule without a public name

BAR = 1.5
MOST = 4_000_000  # elements that are drawn for one size of one row

VALUES: dict[str, Callable[[Any, Any], Any]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(0, 1, shape),
    "wide": lambda rng, shape: np.exp(10 * rng.standard_normal(shape)),
    "wide both": lambda rng, shape: np.exp(10 * rng.standard_normal(shape)) * rng.choice([-1, 1], shape),
    "near 1": lambda rng, shape: 1 + 1e-3 * rng.standard_normal(shape),
    "near 0": lambda rng, shape: 1e-3 * rng.standard_normal(shape),
    "large mean": lambda rng, shape: 1e4 + rng.standard_normal(shape),
    "tens": lambda rng, shape: 10 * rng.standard_normal(shape),
}
POSITIVE = "uniform, wide, near 1, large mean"
ANY = POSITIVE + ", normal, wide both, near 0, tens"
MODEST = "normal, uniform, near 1, near 0, tens"
SUMS = "normal, uniform, wide, near 1, large mean"


@dataclass(frozen=True)
class Row:
    """An op, the values it is tried on and the sizes: label -> shapes of the inputs.

    ulps "own": of each true value. "common": of that or of the root mean square of the tensor's values, whichever is
    larger; for sums, which may cancel, so that one near 0 is measured by its terms and not by its chance value.
    """

    name: str
    call: Callable[..., Any]
    values: str
    sizes: dict[str, list[tuple[int, ...]]]
    ulps: str = "common"

    def __str__(self) -> str:
        return self.name


ONE = {str(n): [(n,)] for n in (7, 1000, 100_000)}
TWO = {str(n): [(n,), (n,)] for n in (7, 1000, 100_000)}
FIRST = {f"{n} along the first": [(n, 12)] for n in (7, 32, 33, 100, 1000, 100_000)}
MIDDLE = {f"{n} in the middle": [(4, n, 3)] for n in (7, 1000, 30_000)}
LAST = {f"{n} along the last": [(12, n)] for n in (7, 1000, 100_000)}


def elementwise(name: str, call: Any, values: str) -> Row:
    return Row(name, call, values, ONE, "own")


def reduction(name: str, call: Any, values: str = SUMS, whole: bool = True) -> list[Row]:
    """Rows for call(m, x, dim): along each axis, and over all elements."""
    rows = [
        Row(f"{name} dim=0", lambda m, x: call(m, x, 0), values, FIRST),
        Row(f"{name} dim=1", lambda m, x: call(m, x, 1), values, {**MIDDLE, **LAST}),
    ]
    both = {"1000 x 100": [(1000, 100)], "100000 x 3": [(100_000, 3)], "3 x 3000 x 10": [(3, 3000, 10)]}
    return [*rows, Row(f"{name} dim=0, 1", lambda m, x: call(m, x, (0, 1)), values, both)] if whole else rows


TABLE = [
    elementwise("exp", lambda m, x: m.exp(x), MODEST),
    elementwise("expm1", lambda m, x: m.expm1(x), MODEST),
    elementwise("log", lambda m, x: m.log(x), POSITIVE),
    elementwise("log1p", lambda m, x: m.log1p(x), POSITIVE + ", near 0"),
    elementwise("log2", lambda m, x: m.log2(x), POSITIVE),
    elementwise("log10", lambda m, x: m.log10(x), POSITIVE),
    elementwise("sqrt", lambda m, x: m.sqrt(x), POSITIVE),
    elementwise("rsqrt", lambda m, x: m.rsqrt(x), POSITIVE),
    elementwise("reciprocal", lambda m, x: m.reciprocal(x), ANY),
    elementwise("square", lambda m, x: m.square(x), ANY),
    elementwise("tanh", lambda m, x: m.tanh(x), "normal, uniform, near 1, near 0"),
    elementwise("sigmoid", lambda m, x: m.sigmoid(x), ANY),
    elementwise("relu", lambda m, x: m.relu(x), ANY),
    elementwise("sin", lambda m, x: m.sin(x), MODEST + ", large mean"),
    elementwise("cos", lambda m, x: m.cos(x), MODEST + ", large mean"),
    elementwise("erf", lambda m, x: m.erf(x), MODEST),
    elementwise("gelu", lambda m, x: m.nn.functional.gelu(x), MODEST),
    elementwise("gelu tanh", lambda m, x: m.nn.functional.gelu(x, approximate="tanh"), MODEST),
    elementwise("softplus", lambda m, x: m.nn.functional.softplus(x), MODEST),
    elementwise("elu", lambda m, x: m.nn.functional.elu(x), MODEST),
    Row("binary_cross_entropy", lambda m, x, y: m.nn.functional.binary_cross_entropy(m.sigmoid(x), m.sigmoid(y)), "normal, near 0", TWO),
    Row("binary_cross_entropy_with_logits", lambda m, x, y: m.nn.functional.binary_cross_entropy_with_logits(x, m.sigmoid(y)), "normal, near 0", TWO),
    *[elementwise(f"x ** {n}", lambda m, x, n=n: x**n, POSITIVE) for n in (3, -1, -2, 0.5, -0.5, 2.5)],
    elementwise("2 ** x", lambda m, x: 2**x, MODEST),
    Row("x ** y", lambda m, x, y: x**m.log(y), "uniform, near 1, large mean", TWO, "own"),
    Row("x * y", lambda m, x, y: x * y, ANY, TWO, "own"),
    Row("x / y", lambda m, x, y: x / y, ANY, TWO, "own"),
    Row("x % y", lambda m, x, y: x % m.abs(y), "normal, tens, near 1", TWO, "own"),
    *reduction("sum", lambda m, x, dim: m.sum(x, dim)),
    *reduction("mean", lambda m, x, dim: m.mean(x, dim)),
    *reduction("var", lambda m, x, dim: m.var(x, dim)),
    *reduction("std", lambda m, x, dim: m.std(x, dim)),
    *reduction("norm", lambda m, x, dim: m.norm(x, dim=dim)),
    *reduction("norm p=1", lambda m, x, dim: m.norm(x, 1, dim)),
    *reduction("norm p=3", lambda m, x, dim: m.norm(x, 3, dim), "normal, uniform, near 1, large mean"),
    *reduction("logsumexp", lambda m, x, dim: m.logsumexp(x, dim), MODEST + ", large mean"),
    *reduction("softmax", lambda m, x, dim: m.softmax(x, dim), MODEST + ", large mean", whole=False),
    *reduction("log_softmax", lambda m, x, dim: m.log_softmax(x, dim), MODEST + ", large mean", whole=False),
    *reduction("cumsum", lambda m, x, dim: m.cumsum(x, dim), whole=False),
    *reduction("prod", lambda m, x, dim: m.prod(x, dim), "near 1", whole=False),
    Row("sum", lambda m, x: m.sum(x), SUMS, {**ONE, "1000 x 100": [(1000, 100)]}),
    Row("mean", lambda m, x: m.mean(x), SUMS, {**ONE, "1000 x 100": [(1000, 100)]}),
    Row("x + bias", lambda m, x, b: x + b, "normal", {f"{n} rows": [(n, 12), (12,)] for n in (7, 1000, 100_000)}),
    Row("x * gain", lambda m, x, b: x * b, SUMS, {f"{n} rows": [(n, 12), (12,)] for n in (7, 1000, 100_000)}),
    Row("x * column", lambda m, x, b: x * b, SUMS, {f"{n} columns": [(12, n), (12, 1)] for n in (7, 1000, 100_000)}),
    Row("matmul", lambda m, x, y: x @ y, "normal, uniform, large mean", {f"inner {n}": [(8, n), (n, 8)] for n in (7, 1000, 100_000)}),
    Row("x @ v", lambda m, x, y: x @ y, "normal, uniform", {f"inner {n}": [(8, n), (n,)] for n in (7, 1000, 100_000)}),
    Row("linear", lambda m, x, W, b: m.nn.functional.linear(x, W, b), "normal, uniform, large mean",
        {f"inner {n}": [(8, n), (8, n), (8,)] for n in (7, 1000, 100_000)}),
    Row("einsum", lambda m, x, y: m.einsum("ij,ij->j", x, y), "normal, uniform", {f"{n} rows": [(n, 5), (n, 5)] for n in (7, 1000, 100_000)}),
    Row("x[repeats]", lambda m, x: x[m.arange(10_000) % 7], "normal", {"7 rows, 10000 taken": [(7, 3)]}),
    Row("index_add", lambda m, x, v: m.index_add(x, 0, m.arange(len(v)) % 7, v), SUMS, {f"{n} onto 7": [(7, 3), (n, 3)] for n in (100, 10_000)}),
    Row("cross_entropy", lambda m, x: m.nn.functional.cross_entropy(x, m.arange(len(x)) % 7), MODEST,
        {f"{n} rows": [(n, 27)] for n in (8, 1000, 100_000)}),
    Row("batch_norm", lambda m, x, gain, bias: m.nn.functional.batch_norm(x, None, None, gain, bias, training=True), "normal, uniform, near 1, large mean",
        {f"{n} rows": [(n, 12), (12,), (12,)] for n in (8, 1000, 100_000)}),
    Row("layer_norm", lambda m, x, gain, bias: m.nn.functional.layer_norm(x, x.shape[1:], gain, bias), "normal, uniform, near 1, large mean",
        {f"{n} columns": [(12, n), (n,), (n,)] for n in (8, 1000, 10_000)}),
]  # fmt: skip


# Ops that only move, choose, compare or round off what they get, or do one operation that IEEE 754 rounds right: what
# they give is exact, and so are their gradients, but for sums (see sum). All others must stand in a row above.
EXACT = """
    All Any Amax Amin ArgMax ArgMin MaxAll MaxDim MinAll MinDim Maximum Minimum Median Clamp Where Sign Neg Cast Clone
    BitAnd BitNot BitOr BitXor Equal NotEqual Less LessEqual Greater GreaterEqual IsFinite IsInf IsNan LogicalAnd
    LogicalNot LogicalOr LogicalXor Ceil Floor Round FloorDivide DivRound Add Sub Expand SumTo View Permute SwapAxes Flip Roll Tril
    Triu Cat Stack Split Unbind Part Slice Place Gather ScatterIndex SetItem PutFlat Unfold
""".split()

# What is over the bar, and why it stays there.
KNOWN = {
    "sum dim=0": "up to 32 rows are added in numpy's order, so that a derivation written in numpy agrees to the last bit",
}


@dataclass
class Errors:
    """The errors of a row's forward or gradients on one kind of values, as off() gives them: a pair a size."""

    what: str
    ours: list[tuple[float, float]] = field(default_factory=list)
    theirs: list[tuple[float, float]] = field(default_factory=list)

    def figures(self) -> tuple[float, float, float, float]:
        """Largest error, minigrad's and torch's, of the size with the largest; then the mean, each size counting the same."""
        largest = [max((error for error, _ in errors), default=0.0) for errors in (self.ours, self.theirs)]
        mean = [float(np.mean([error for _, error in errors] or [0])) for errors in (self.ours, self.theirs)]
        return largest[0], largest[1], mean[0], mean[1]

    def ratio(self) -> float:
        """The worse of the two ratios, errors below 1 ulp taken as 1."""
        a, b, c, d = self.figures()
        return max(max(a, 1) / max(b, 1), max(c, 1) / max(d, 1))


def measure(row: Row, quick: bool = False) -> tuple[Errors, Errors]:
    """Forward's errors and the first derivatives', each on the kind of values where it does worst beside torch."""
    worst: list[Errors] = []
    for kind in row.values.split(", "):
        found = [Errors(f"{row.name} ({kind})"), Errors(f"d {row.name} ({kind})")]
        for size, shapes in row.sizes.items():
            if not quick or max(map(math.prod, shapes)) < 20_000:
                one_size(row, kind, size, 8 if quick else 60, *found)
        worst = [max(pair, key=Errors.ratio) for pair in zip(worst or found, found, strict=True)]
    return worst[0], worst[1]


def one_size(row: Row, kind: str, size: str, draws: int, forward: Errors, gradient: Errors) -> None:
    """Add the errors at this size, from 3 to so many draws: a single sum is near or far by chance."""
    cases: list[Any] = []
    seed, outputs, elements = 0, 1, max(map(math.prod, row.sizes[size]))
    while seed < 3 or (seed < draws and seed * max(outputs, 100) < 2_000_000 and seed * elements < MOST):
        rng = np.random.default_rng(crc32(f"{row.name}{size}{kind}{seed}".encode()))
        arrays = [VALUES[kind](rng, shape).astype(np.float32) for shape in row.sizes[size]]
        above = rng.standard_normal(row.call(torch, *map(torch.tensor, arrays)).shape).astype(np.float32)
        truth = run(torch, row, [a.astype(np.float64) for a in arrays], above.astype(np.float64))
        cases.append((truth, run(mg, row, arrays, above), run(torch, row, arrays, above)))
        seed, outputs = seed + 1, truth[0].size
    for i, seeds in enumerate(zip(*[list(zip(*case, strict=True)) for case in cases], strict=True)):
        errors = gradient if i else forward
        truth, ours, theirs = (np.stack(arrays) for arrays in zip(*seeds, strict=True))
        unit = ulp(truth, row.ulps)
        # What overflows float32 has no error to speak of.
        where = (np.abs(truth) < np.finfo(np.float32).max) & np.isfinite(theirs)
        errors.ours.append(off(ours, truth, unit, where))
        errors.theirs.append(off(theirs, truth, unit, where))


def run(m: Any, row: Row, arrays: list[np.ndarray], above: np.ndarray) -> list[np.ndarray]:
    """The output and the gradients."""
    inputs = [m.tensor(a, requires_grad=True) for a in arrays]
    out = row.call(m, *inputs)
    gradients = m.autograd.grad(out, inputs, m.tensor(above))
    return [np.asarray(t.detach().numpy()) for t in (out, *gradients)]


def ulp(truth: np.ndarray, which: str) -> np.ndarray:
    """The distance of float32 numbers at each true value (see Row)."""
    size = np.abs(truth)
    if which == "common":
        finite = size[np.isfinite(size)]
        size = np.maximum(size, np.sqrt(np.mean(finite**2)) if finite.size else 0)
    with np.errstate(all="ignore"):
        return np.spacing(size.astype(np.float32)).astype(np.float64)


def off(found: np.ndarray, truth: np.ndarray, unit: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    """The largest error of a draw, on the average of the draws, and the mean error, in ulp at the places in where.

    The largest of all draws would be that of one number, and chance. Not finite there: infinitely far off.
    """
    with np.errstate(all="ignore"):
        error = np.abs(found.astype(np.float64) - truth) / unit
    error = np.where(where, np.where(np.isfinite(found), error, np.inf), 0).reshape(len(found), -1)
    return float(error.max(1, initial=0).mean()), float(error.sum() / max(np.count_nonzero(where), 1))


def line(errors: Errors) -> str:
    """A row of the printed table."""
    a, b, c, d = errors.figures()
    mark = "  over" if errors.ratio() > BAR else ""
    return f"{errors.what:42}{a:12.2f}{b:12.2f}{c:12.3f}{d:12.3f}{errors.ratio():9.2f}{mark}"


def main() -> int:
    """Print the table, of the rows named on the command line or of all; exit status 1 if one is over the bar."""
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    print(f"{'float32 against float64':42}{'largest error (ulp)':>24}{'mean error (ulp)':>24}{'ratio':>9}")
    print(f"{'':42}{'minigrad':>12}{'torch':>12}{'minigrad':>12}{'torch':>12}")
    found = []
    for row in TABLE:
        if not sys.argv[1:] or row.name in sys.argv[1:]:
            for errors in measure(row):
                print(line(errors), flush=True)
                found.append(errors)
    over = [errors for errors in found if errors.ratio() > BAR]
    print(f"{len(found)} rows, {len(over)} over {BAR}. The worst three:")
    for errors in sorted(found, key=Errors.ratio, reverse=True)[:3]:
        print(line(errors))
    names = {errors.what.rpartition(" (")[0] for errors in over}
    for name in sorted(names & KNOWN.keys()):
        print(f"known: {name}: {KNOWN[name]}")
    return bool(names - KNOWN.keys())


if __name__ == "__main__":
    sys.exit(main())
