"""Equal elements: topk, stable sort, median and multinomial choose among them as torch does."""

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import ties

SHAPES = [(7,), (3, 20), (2, 5, 65), (4, 130), (1000,), (2, 0, 3), (0, 5), (300, 2)]


def repeating(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Few different numbers, in some dtype; floats with nan, -0 and inf among them at times."""
    dtype = str(rng.choice(["float32", "float64", "int64", "uint8"]))
    x = rng.integers(0, int(rng.choice([1, 2, 4, 9, 50])), shape).astype(dtype)
    if x.dtype.kind == "f":
        x = np.where(rng.random(shape) < 0.3, -x, x)
        x[rng.random(shape) < rng.choice([0, 0.2])] = np.nan
        x[rng.random(shape) < rng.choice([0, 0.2])] = np.inf
    return x


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_topk(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape) + shape[0])
    for _ in range(150):
        x, dim = repeating(rng, shape), int(rng.integers(-len(shape), len(shape)))
        n, largest = shape[dim], bool(rng.random() < 0.6)
        k = int(rng.integers(0, n + 1)) if rng.random() < 0.7 else min(n, max(1, n // 64))  # few: another algorithm
        got, want = (m.topk(m.tensor(x), k, dim, largest) for m in (mg, torch))
        np.testing.assert_array_equal(got.indices.numpy(), want.indices.numpy())
        np.testing.assert_array_equal(got.values.numpy(), want.values.numpy())


@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s], ids=str)
def test_sort_and_median(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape) + shape[0])
    for _ in range(50):
        x, dim = repeating(rng, shape), int(rng.integers(-len(shape), len(shape)))
        for call in (lambda m, t, dim=dim: m.sort(t, dim=dim, stable=True), lambda m, t, dim=dim: m.median(t, dim)):
            got, want = call(mg, mg.tensor(x)), call(torch, torch.tensor(x))
            np.testing.assert_array_equal(got.indices.numpy(), want.indices.numpy())
            np.testing.assert_array_equal(got.values.numpy(), want.values.numpy())


def test_multinomial_once_the_weights_are_used_up() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = mg.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    for n in (2, 5, 17, 27, 65, 300):
        for _ in range(40):
            p = rng.random((3, n)) * (rng.random((3, n)) < 0.5)
            p[:, 0] = 1
            k = int(rng.integers(2, n + 1))
            got = mg.multinomial(mg.tensor(p), k, generator=ours)
            assert got.tolist() == torch.multinomial(torch.tensor(p), k, generator=theirs).tolist()


def killer(n: int) -> np.ndarray:
    """The order in which the median of three halves nothing (Musser 1997), so that the heap takes over."""
    half = n // 2
    x = np.empty(n, np.int64)
    for i in range(half):
        x[i] = i + 1 if i % 2 == 0 else half + i + (i + 1) % 2
    x[half:] = 2 * (np.arange(n - half) + 1)
    return x


def test_rows_that_end_in_a_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    heaps = []
    select = ties._heap_select
    monkeypatch.setattr(ties, "_heap_select", lambda *args: (heaps.append(args), select(*args)))
    for n in (512, 2048):
        x = killer(n)
        x[-1] = x[-2]  # one tie
        for k in (n // 2, n - 1, n):
            for largest in (True, False):
                got, want = (m.topk(m.tensor(x), k, largest=largest).indices.tolist() for m in (mg, torch))
                assert got == want
    assert heaps
