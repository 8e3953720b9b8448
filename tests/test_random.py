"""The random stream against torch's, call by call: every number and, after each call, all of the state."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from minigrad import random as mr

TABLE = Path(__file__).parent / "data" / "random_table.json"
SIZES = [0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 100, 624, 1000]
DTYPES = ["float32", "float64"]
NAMES = ["rand", "uniform", "randint", "randperm", "normal", "exponential", "bernoulli", "multinomial"]
# The kernels of AVX2 (float32 polynomials, fma) are followed; torch's for other processors differ from them.
AVX2 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


class Torch:
    """torch's CPU generator behind the methods of minigrad's."""

    def __init__(self, seed: int) -> None:
        self.g = torch.Generator().manual_seed(seed)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.call(name, *args, **kwargs)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        g = self.g
        dtype = getattr(torch, kwargs.get("dtype", "float32"))
        if name == "randint":
            low, high, shape = args
            return torch.randint(
                low, high, shape, generator=g, dtype=getattr(torch, kwargs.get("dtype", "int64"))
            ).numpy()
        if name == "randperm":
            return torch.randperm(*args, generator=g).numpy()
        if name == "rand":
            return torch.rand(args[0], generator=g, dtype=dtype).numpy()
        if name == "uniform":
            low, high, shape = args
            return torch.empty(shape, dtype=dtype).uniform_(low, high, generator=g).numpy()
        if name == "normal":
            mean, std = kwargs.get("mean", 0.0), kwargs.get("std", 1.0)
            return torch.empty(args[0], dtype=dtype).normal_(mean, std, generator=g).numpy()
        if name == "exponential":
            return (
                torch.empty(args[0], dtype=dtype).exponential_(kwargs.get("lambd", 1.0), generator=g).numpy()
            )
        if name == "bernoulli":
            if isinstance(args[0], np.ndarray):
                return torch.bernoulli(torch.from_numpy(args[0]), generator=g).numpy()
            return torch.empty(args[1]).bernoulli_(args[0], generator=g).numpy()
        if name == "multinomial":
            return torch.multinomial(torch.from_numpy(args[0]), *args[1:], generator=g, **kwargs).numpy()
        assert name == "get_state", name
        return g.get_state().numpy()


def ulps(a: np.ndarray, b: np.ndarray) -> int:
    """The largest distance in units in the last place."""
    if not a.size:
        return 0
    as_int = np.int32 if a.dtype == np.float32 else np.int64
    x, y = (np.ascontiguousarray(z).view(as_int).astype(object) for z in (a, b))
    low = np.iinfo(as_int).min
    return int(max(abs(np.where(x < 0, low - x, x) - np.where(y < 0, low - y, y)).flat))


def assert_same(ours: np.ndarray, theirs: np.ndarray, name: str = "") -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, (
        name,
        ours.shape,
        theirs.shape,
        ours.dtype,
    )
    if name in ("normal", "uniform") and not AVX2:
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(initial=1))
    elif not np.array_equal(ours, theirs):
        raise AssertionError(
            f"{name}: {np.mean(ours != theirs):.1%} differ, by {ulps(ours, theirs)} ulp at most"
        )


def both(seed: int) -> tuple[mr.Generator, Torch]:
    return mr.Generator().manual_seed(seed), Torch(seed)


def check(pair: tuple[mr.Generator, Torch], name: str, *args: Any, **kwargs: Any) -> None:
    ours, theirs = (getattr(g, name)(*args, **kwargs) for g in pair)
    assert_same(ours, theirs, name)
    # 5056 bytes: mt19937's words, the place in them, the seed, the cached normal
    np.testing.assert_array_equal(
        pair[0].get_state(), pair[1].get_state(), err_msg=f"state after {name}{args}{kwargs}"
    )


def some_call(rng: np.random.Generator) -> tuple[str, tuple, dict]:
    """A random method with random arguments."""
    name = str(rng.choice(NAMES))
    n, dtype = int(rng.choice(SIZES)), str(rng.choice(DTYPES))
    shape = [(n,), (n, 3), (2, n, 2), ()][rng.integers(4)]
    if name in ("rand", "normal", "exponential"):
        kwargs: dict[str, Any] = {"dtype": dtype}
        if name == "normal" and rng.random() < 0.5:
            kwargs |= {"mean": float(rng.normal()), "std": float(rng.exponential())}
        if name == "exponential" and rng.random() < 0.5:
            kwargs["lambd"] = float(rng.exponential()) + 1e-3
        return name, (shape,), kwargs
    if name == "uniform":
        low, width = rng.normal(), rng.exponential()
        return name, (float(low), float(low + width), shape), {"dtype": dtype}
    if name == "randint":
        width = int(rng.choice([1, 2, 27, 182580, 2**28 - 1, 2**28, 2**32 - 1, 2**32, 2**32 + 1, 2**62]))
        low = int(rng.choice([0, 1, -5, -(2**40)]))
        return name, (low, low + width, shape), {}
    if name == "randperm":
        return name, (n,), {}
    if name == "bernoulli":
        return (
            (name, (rng.random(shape).astype(dtype),), {}) if rng.random() < 0.7 else (name, (0.3, shape), {})
        )
    k, rows = int(rng.choice([1, 2, 5, 27, 100])), int(rng.choice([0, 1, 4]))
    probs = (rng.random((rows, k) if rng.random() < 0.5 else k) ** 3 + 1e-3).astype(dtype)
    replacement = bool(rng.random() < 0.5)
    return name, (probs, int(rng.integers(1, (40 if replacement else k) + 1))), {"replacement": replacement}


@pytest.mark.parametrize(
    "seed", [0, 1, 42, 2147483647, 2147483648, 2**32 + 1, 2**63, 2**64 - 1, -1, -(2**63)]
)
def test_interleaved(seed: int) -> None:
    pair, rng = both(seed), np.random.default_rng(seed % 2**64)
    assert pair[0].initial_seed() == pair[1].g.initial_seed()
    for _ in range(400):
        name, args, kwargs = some_call(rng)
        check(pair, name, *args, **kwargs)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(-(2**63), 2**64 - 1), calls=st.lists(st.integers(0, 2**32), max_size=12))
def test_any_seed(seed: int, calls: list[int]) -> None:
    pair = both(seed)
    assert pair[0].initial_seed() == pair[1].g.initial_seed()
    for c in calls:
        name, args, kwargs = some_call(np.random.default_rng(c))
        check(pair, name, *args, **kwargs)
    check(pair, "randint", 0, 1000, (3,))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 31, 100_000])
def test_sizes(n: int, dtype: str) -> None:
    for name in ("rand", "normal", "exponential"):
        pair = both(2147483647)
        for shape in ((n,), (n, 1), (n, 2), (5,)):
            check(pair, name, shape, dtype=dtype)
    pair = both(2147483647)
    check(pair, "uniform", -0.3, 0.7, (n,), dtype=dtype)
    check(pair, "randint", 0, 182580, (n,))
    check(pair, "randint", -(2**40), 2**40, (n,))
    check(pair, "randperm", n)
    if n:
        probs = np.random.default_rng(0).random(n).astype(dtype)
        check(pair, "multinomial", probs, 1)
        check(pair, "multinomial", probs, 100, replacement=True)
        check(pair, "multinomial", np.linspace(1, 2, n, dtype=dtype), min(n, 10))


def test_lecture() -> None:
    """The draws of the lecture's part 4, in its order, from seed 2147483647."""
    pair = both(2147483647)
    for shape in [(27, 10), (30, 64), (64,), (64, 27), (27,), (1, 64), (1, 64), (30, 200), (200, 27)]:
        check(pair, "normal", shape)
    for _ in range(1000):
        check(pair, "randint", 0, 182625, (32,))
    probs = np.random.default_rng(0).dirichlet(np.ones(27), size=500).astype(np.float32)
    for p in probs:
        check(pair, "multinomial", p[None], 1, replacement=True)


def test_normal_float32_large() -> None:
    pair = both(7)
    for _ in range(4):
        check(pair, "normal", (1 << 20,))


def test_extremes() -> None:
    """Ranges at the edges of their dtypes; low == high; a sum that rounds up to high."""
    pair = both(3)
    check(pair, "randint", -(2**63), 2**63 - 1, (200,))
    check(pair, "randint", 0, 256, (200,), dtype="uint8")
    check(pair, "randint", -5, 5, (200,), dtype="int32")
    check(pair, "randint", 0, 10, (200,), dtype="float32")
    for dtype in DTYPES:
        check(pair, "uniform", 2.0, 2.0, (20,), dtype=dtype)
        check(
            pair,
            "uniform",
            1.0,
            float(np.nextafter(np.dtype(dtype).type(1), np.dtype(dtype).type(2))),
            (200,),
            dtype=dtype,
        )
        check(pair, "uniform", -1e38, 1e38, (200,), dtype=dtype)
        check(pair, "normal", (20,), dtype=dtype, mean=3.0, std=0.0)
        check(pair, "normal", (5,), dtype=dtype, mean=3.0, std=0.0)
        check(pair, "exponential", (20,), dtype=dtype, lambd=float("inf"))
    check(pair, "uniform", -8e307, 8e307, (200,), dtype="float64")
    for p in (0.0, 1.0):
        check(pair, "bernoulli", p, (20,))
    sparse = np.zeros((3, 50), np.float32)
    sparse[0, 7], sparse[1, :3], sparse[2, -1] = 1, [1e-30, 2, 3], 1e30
    for replacement, n in ((False, 1), (True, 1), (True, 30)):
        check(pair, "multinomial", sparse, n, replacement=replacement)


@pytest.mark.parametrize("drawn", [0, 1, 5, 623, 624, 625, 2000])
def test_state_round_trip(drawn: int) -> None:
    """Mid-block, at the edges of a block, and between the two normals of a pair; to and from torch."""
    g = mr.Generator().manual_seed(2**40 + drawn)
    g.random_uint32(drawn)
    for _ in range(2):
        state = g.get_state()
        assert state.dtype == np.uint8 and state.shape == (5056,)
        theirs = Torch(0)
        theirs.g.set_state(torch.from_numpy(state.copy()))
        others = [mr.Generator().set_state(s) for s in (state, theirs.get_state())]
        others += [g.clone_state(), copy.deepcopy(g), pickle.loads(pickle.dumps(g))]
        expected = [theirs.normal((3,)), theirs.rand((700,)), theirs.normal((40,)), theirs.normal((1,))]
        for other in others:
            assert other.initial_seed() == g.initial_seed()
            got = [other.normal((3,)), other.rand((700,)), other.normal((40,)), other.normal((1,))]
            for a, b in zip(got, expected, strict=True):
                assert_same(a, b, "normal")
        np.testing.assert_array_equal(g.get_state(), state)  # the copies' draws are not its own
        g.normal((1,))  # now a second normal is waiting
    g.manual_seed(5)
    assert_same(g.normal((1,)), Torch(5).normal((1,)), "normal")  # and seeding drops it


def test_random_uint32() -> None:
    g = mr.Generator().manual_seed(5489)
    raw = np.concatenate([g.random_uint32(n) for n in (0, 1, 623, 1, 10_000 - 625)])
    assert (
        raw.dtype == np.uint32 and raw[0] == 3499211612 and raw[-1] == 4123659995
    )  # C++ std::mt19937's 10000th
    before = g.get_state()
    g.random_uint32(4)[:] = 0  # a copy: writing to it leaves the stream alone
    assert_same(mr.Generator().set_state(before).random_uint32(8)[4:], g.random_uint32(4))


def test_global_generator() -> None:
    theirs = torch.manual_seed(1337)
    assert mr.manual_seed(1337) is mr.default_generator
    assert mr.initial_seed() == 1337
    assert_same(mr.default_generator.normal((5,)), torch.randn(5).numpy(), "normal")
    state = mr.get_rng_state()
    np.testing.assert_array_equal(state, theirs.get_state().numpy())
    first = mr.default_generator.rand(3)
    mr.set_rng_state(state)
    assert_same(mr.default_generator.rand(3), first)
    assert mr.seed() == mr.initial_seed() and 0 <= mr.initial_seed() < 2**64
    assert mr.manual_seed(3.7).initial_seed() == torch.Generator().manual_seed(3).initial_seed()  # type: ignore[arg-type]
    assert mr.Generator().initial_seed() == torch.Generator().initial_seed()


NAN, INF = float("nan"), float("inf")


def floats(*x: Any) -> np.ndarray:
    return np.array(x, np.float32)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "says"),
    [
        ("multinomial", (floats(0.1, -0.1), 1), {}, "-0.1"),
        ("multinomial", (floats(0.1, NAN), 1), {}, "nan"),
        ("multinomial", (floats(0.1, INF), 1), {}, "inf"),
        ("multinomial", (floats(0.1, -0.1), 2), {"replacement": True}, "-0.1"),
        ("multinomial", (floats(0.1, NAN), 2), {"replacement": True}, "nan"),
        ("multinomial", (floats(0.1, INF), 2), {"replacement": True}, "inf"),
        ("multinomial", (floats(0, 0), 1), {}, "sum of probabilities <= 0"),
        ("multinomial", (floats([1, 2], [0, 0]), 2), {"replacement": True}, "row 1"),
        ("multinomial", (floats(0.1, 0.2), 3), {}, "3 > 2"),
        ("multinomial", (floats(0.1, 0.2), 0), {}, "got 0"),
        ("multinomial", (floats(), 2), {"replacement": True}, "sum of probabilities"),
        ("multinomial", (np.array([1, 2]), 1), {}, "int64"),
        ("multinomial", (np.array(1.0, np.float32), 1), {}, "1 or 2 dim"),
        ("multinomial", (np.ones((2, 2, 2), np.float32), 1), {}, r"\(2, 2, 2\)"),
        ("randint", (5, 5, (2,)), {}, "5 >= 5"),
        ("randint", (0, 2**63, (2,)), {}, str(2**63)),
        ("randint", (0, 5, (-1,)), {}, "negative dimension -1"),
        ("randint", (0, 300, (2,)), {"dtype": "uint8"}, "300"),
        ("randperm", (-1,), {}, "negative dimension -1"),
        ("randperm", (2.5,), {}, "float"),
        ("rand", ((3,),), {"dtype": "int64"}, "int64"),
        ("rand", ((2, -1),), {}, "-1"),
        ("normal", ((3,),), {"dtype": "int64"}, "int64"),
        ("normal", ((3,),), {"std": -1.0}, "-1"),
        ("uniform", (1.0, 0.0, (3,)), {}, r"\[1.0, 0.0\)"),
        ("uniform", (NAN, 0.0, (3,)), {}, "nan"),
        ("uniform", (0.0, INF, (3,)), {}, "inf"),
        ("uniform", (-3e38, 3e38, (3,)), {}, "3e"),
        ("exponential", ((3,),), {"lambd": 0.0}, "lambda=0"),
        ("bernoulli", (floats(0.5, 1.5),), {}, "1.5"),
        ("bernoulli", (floats(NAN),), {}, "nan"),
        ("bernoulli", (1.5, (2,)), {}, "1.5"),
        ("bernoulli", (np.array([1, 0]),), {}, "int64"),
    ],
)
def test_errors(name: str, args: tuple, kwargs: dict, says: str) -> None:
    """torch's class of error, for the same call; ours names the value. No number is drawn."""
    with pytest.raises(Exception) as theirs:
        getattr(Torch(0), name)(*args, **kwargs)
    g = mr.Generator().manual_seed(0)
    with pytest.raises(theirs.type, match=says):
        getattr(g, name)(*args, **kwargs)
    np.testing.assert_array_equal(g.get_state(), mr.Generator().manual_seed(0).get_state())


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 1.5, "a", None, True])
def test_seed_errors(seed: Any) -> None:
    with pytest.raises(Exception) as theirs:
        torch.Generator().manual_seed(seed)
    with pytest.raises(theirs.type, match=repr(seed)):
        mr.Generator().manual_seed(seed)


@pytest.mark.parametrize("state", [np.zeros(3, np.uint8), np.zeros(3), np.zeros(5056, np.uint8)])
def test_state_errors(state: np.ndarray) -> None:
    with pytest.raises(Exception) as theirs:
        torch.Generator().set_state(torch.from_numpy(state))
    with pytest.raises(theirs.type):
        mr.Generator().set_state(state)
    with pytest.raises(RuntimeError, match="cuda"):
        mr.Generator("cuda")
    with pytest.raises(NotImplementedError, match="2000000000"):
        mr.Generator().randperm(2_000_000_000)


# ---- the stored table: tests/test_random_table.py holds minigrad to it where there is no torch ----


def table() -> list[dict[str, Any]]:
    """What torch gives for the calls of the table."""
    out = []
    for seed in (0, 42, 2147483647, 2**64 - 1):
        g = Torch(seed)
        for name, args, kwargs in TABLE_CALLS:
            arrays = [
                np.array(a[1], a[0]) if isinstance(a, list) and name == "multinomial" else a for a in args
            ]
            x = getattr(g, name)(*arrays, **kwargs)
            values = [v.hex() if isinstance(v, float) else v for v in x.ravel().tolist()]
            out.append({"seed": seed, "name": name, "args": args, "kwargs": kwargs, "shape": list(x.shape),
                        "dtype": str(x.dtype), "values": values})  # fmt: skip
    return out


WEIGHTS = [3.0, 1.0, 0.0, 0.5, 2.25, 4.0]
TABLE_CALLS: list[tuple[str, list, dict]] = [
    ("randint", [0, 27, [5]], {}),
    ("normal", [[3]], {}),  # leaves a second normal
    ("rand", [[4]], {}),
    ("normal", [[2, 2]], {"dtype": "float64"}),
    ("normal", [[18]], {}),
    ("randint", [-5, 2**33, [3]], {}),
    ("randperm", [9], {}),
    ("rand", [[3]], {"dtype": "float64"}),
    ("multinomial", [["float32", WEIGHTS], 1], {}),
    ("multinomial", [["float32", [WEIGHTS, WEIGHTS[::-1]]], 3], {}),
    ("multinomial", [["float64", WEIGHTS], 8], {"replacement": True}),
    ("uniform", [-0.3, 0.7, [4]], {}),
    ("normal", [[17]], {"dtype": "float64"}),
    ("normal", [[16]], {"mean": 0.5, "std": 0.1}),
    ("exponential", [[3]], {}),
    ("bernoulli", [0.3, [6]], {}),
    ("normal", [[1]], {}),
    ("randint", [0, 1000000, [3]], {}),
]


@pytest.mark.skipif(not AVX2, reason="the table holds the numbers of torch's AVX2 kernel")
def test_table_is_torchs() -> None:
    assert json.loads(TABLE.read_text()) == table()


if __name__ == "__main__":
    TABLE.write_text("[\n" + ",\n".join(json.dumps(row) for row in table()) + "\n]\n")
