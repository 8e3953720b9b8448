"""tanh of float32 numbers, both ways in which it is worked out."""

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops import hyperbolic
from minigrad.ops.hyperbolic import BLOCK, MANY, tanh32
from minigrad.ops.numpy1 import OLD

SPECIAL = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45, -1e-38, 3e38, -3e38, 9.0109, -9.02, 8.99, 1 / 512, -3 / 512]


@pytest.fixture(params=[False, True], ids=["by table", "by float64"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(hyperbolic, "WIDE", request.param)
    return request.param


def exact(x: np.ndarray) -> np.ndarray:
    return np.tanh(x.astype(np.float64))


def ulps(h: np.ndarray, x: np.ndarray) -> float:
    truth = exact(x)
    return float(np.abs((h - truth) / np.spacing(truth.astype(np.float32)).astype(np.float64)).max())


@pytest.mark.parametrize("sign", [1, -1])
def test_it_is_as_exact_as_it_says_on_every_1013th_float(way: bool, sign: int) -> None:
    x = np.arange(0, 0x7F800000, 1013, dtype=np.int32).view(np.float32) * np.float32(sign)
    assert ulps(tanh32(x), x) < (0.5001 if way else 0.55)


def test_it_is_as_exact_where_the_table_has_its_points_and_between_them(way: bool) -> None:
    x = (np.arange(-20 * 512, 20 * 512) / 512).astype(np.float32)
    for near in (x, np.nextafter(x, np.float32(np.inf)), np.nextafter(x, np.float32(-np.inf))):
        assert ulps(tanh32(near), near) < (0.5001 if way else 0.55)


def test_the_numbers_at_the_ends(way: bool) -> None:
    x = np.resize(np.array(SPECIAL, np.float32), BLOCK + 5)
    with np.errstate(all="raise", under="ignore"):
        h = tanh32(x)
    np.testing.assert_allclose(h, exact(x).astype(np.float32), rtol=1e-7)
    np.testing.assert_array_equal(np.signbit(h)[~np.isnan(x)], np.signbit(x)[~np.isnan(x)])
    assert abs(h[~np.isnan(h)]).max() == 1


@pytest.mark.parametrize("n", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_blocks_and_places_make_no_difference(way: bool, n: int) -> None:
    x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    one_by_one = [tanh32(x[i : i + 1])[0] for i in range(0, n, 97)]
    h = tanh32(x)
    assert h.dtype == np.float32 and h.tolist()[::97] == one_by_one
    out = np.empty_like(x)
    assert tanh32(x, out) is out and np.array_equal(out, h)
    assert tanh32(x, x) is x and np.array_equal(x, h)


def test_layouts_are_kept_as_by_a_cast(way: bool) -> None:
    x = np.random.default_rng(0).standard_normal((40, 6, 50)).astype(np.float32)
    for part in (x, x.T, x.transpose(1, 0, 2), x[::2, :, 3:], np.broadcast_to(x[:1], x.shape)):
        h = tanh32(part)
        assert h.strides == part.astype(np.float64).astype(np.float32).strides
        np.testing.assert_array_equal(h, tanh32(np.ascontiguousarray(part)))
        out = np.empty(part.shape[::-1], np.float32).T
        np.testing.assert_array_equal(tanh32(part, out), h)


def test_threads_do_not_share_what_they_work_with(way: bool) -> None:
    x = [np.random.default_rng(i).standard_normal(2 * BLOCK).astype(np.float32) for i in range(4)]
    truth = [tanh32(one) for one in x]
    wrong = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(100) if not np.array_equal(tanh32(x[i]), truth[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(OLD, reason="compiled steps run eagerly with numpy 1.26: its numbers round otherwise")
def test_a_replay_has_the_same_bits(way: bool) -> None:
    rng = np.random.default_rng(0)
    # One that a replay makes in blocks of rows, whose last is small.
    for shape in ((2, 3), (32, 200), (70_000, 27)):
        w = mg.tensor(rng.standard_normal(shape[1]).astype(np.float32), requires_grad=True)
        x = mg.tensor(rng.standard_normal(shape).astype(np.float32))

        def step(x: mg.Tensor, w: mg.Tensor = w) -> mg.Tensor:
            w.grad = None
            loss = (mg.tanh(x * w) ** 2).sum()
            loss.backward()
            return loss

        expected = step(x).item(), w.grad.tolist()
        captured = mg.compile(step)
        for _ in range(4):
            assert (captured(x).item(), w.grad.tolist()) == expected
        assert mg.compile.explain(captured).replays >= 2


def test_few_numbers_go_through_float64_in_any_case(way: bool) -> None:
    x = np.random.default_rng(0).standard_normal(MANY - 1).astype(np.float32)
    assert np.array_equal(mg.tanh(mg.tensor(x)).numpy(), exact(x).astype(np.float32))


def test_which_way_is_taken_is_what_numpy_says_of_its_own_code() -> None:
    introspect = pytest.importorskip("numpy.lib.introspect", reason="numpy before 2.1 does not tell")
    used = introspect.opt_func_info("^tanh$", "float64")["tanh"]["dd"]["current"]
    assert any(name in used for name in ("X86_V4", "AVX512")) == hyperbolic.WIDE
