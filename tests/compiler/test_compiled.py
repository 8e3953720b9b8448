"""Threads, leaks, decorators, errors and reasons of a compiled step."""

import asyncio
import contextlib
import cProfile
import gc
import random
import sys
import threading
import time
import tracemalloc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.compiler import compiled
from minigrad.compiler.capture import CaptureError
from minigrad.compiler.traced import Number, Traced
from minigrad.ops.numpy1 import OLD
from tests.alone import run as run_alone

from .beside import about, beside, call, plain, replays

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
CALLS = 5


def world(wrap: Any, extra: Any, **held: Any) -> SimpleNamespace:
    """A step of one parameter; extra(the world, the product, the loss) does more in the middle."""
    w = mg.tensor(np.ones(3, np.float32), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    made = SimpleNamespace(w=w, optimizer=optimizer, **held)

    def step(x: Any) -> Any:
        y = mg.tanh(w * x)
        loss = y.sum()
        more = extra(made, y, loss)
        loss = loss if more is None else loss * more
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    made.step = wrap(step)
    return made


def quietly(f: Any) -> Any:
    def extra(*args: Any) -> Any:
        with contextlib.redirect_stdout(None):
            f(*args)

    return extra


def fails_at_times(made: Any, y: Any, loss: Any) -> None:
    if loss.item() < -0.1:
        raise ArithmeticError("it fell too low")


# What cannot be captured, and a word that its reason has.
REASONS = {
    "item": (lambda w, y, loss: loss.item(), "item"),
    "float": (lambda w, y, loss: float(loss), "number"),
    "int": (lambda w, y, loss: int(loss) + 1, "number"),
    "tolist": (lambda w, y, loss: y.detach().tolist()[0][0] + 2, "list"),
    "print": (quietly(lambda w, y, loss: print(loss)), "print"),
    "format": (lambda w, y, loss: len(f"{loss.item():.3f}") and 1, "item"),
    "repr": (lambda w, y, loss: len(repr(loss)) and 1, "array"),
    "asarray": (lambda w, y, loss: np.asarray(y.detach())[0, 0] + 2, "numpy array"),
    "mask": (lambda w, y, loss: y[y > 0].sum(), "mask"),
    "nonzero": (lambda w, y, loss: len(y.nonzero()), "shape"),
    "bincount": (lambda w, y, loss: mg.bincount((y[0] > 0).long() * 2).sum(), "shape"),
    "unique": (lambda w, y, loss: len(mg.unique(y.detach().round())), ""),
    "randn": (lambda w, y, loss: mg.randn(3).sum(), "random"),
    "dropout": (lambda w, y, loss: F.dropout(y, 0.5).sum() + 1, "random"),
    "generator": (lambda w, y, loss: mg.rand(2, generator=w.generator).sum(), "random"),
    "numpy.random": (lambda w, y, loss: float(np.random.rand()), "random"),
    "numpy.random.default_rng": (lambda w, y, loss: w.pcg.random(), "Generator"),
    "numpy.random.RandomState": (lambda w, y, loss: w.legacy.standard_normal(), "andom"),
    "numpy.random, imported": (lambda w, y, loss: draw() + 1, "draw"),
    "random": (lambda w, y, loss: random.random() * 0 + 1, "random"),
    "random.Random": (lambda w, y, loss: w.python.random(), "random"),
    "time": (lambda w, y, loss: 1 + 0 * time.perf_counter(), "perf_counter"),
    "a counter": (lambda w, y, loss: setattr(w, "n", w.n + 1) or w.n, "state"),
    "a list": (lambda w, y, loss: w.log.append(1) or len(w.log), "Python state"),
    "losses kept": (lambda w, y, loss: w.log.append(loss.detach()), "state"),
    "arrays kept": (lambda w, y, loss: w.log.append(loss.detach().numpy()), "state"),
    "a Tensor in an attribute": (lambda w, y, loss: setattr(w, "last", loss.detach()), "state"),
    "a tuple in a dict": (lambda w, y, loss: w.table.update({w.n: (loss.detach().array, 1)}), ""),
    "the value decides, after a change": (
        lambda w, y, loss: (w.w.data.mul_(0.9), 2.0 if w.w.detach().sum() > 1 else 1.0)[1], "decides"
    ),
    "id": (lambda w, y, loss: 1 + 0 * id(y), "id"),
    "exec": (lambda w, y, loss: eval("1 + 1"), "eval"),
    "an exception": (fails_at_times, "item"),
}  # fmt: skip
draw = np.random.standard_normal


@pytest.mark.parametrize("name", REASONS)
def test_what_cannot_be_captured_runs_eagerly_and_says_why(name: str) -> None:
    extra, word = REASONS[name]

    def make(wrap: Any) -> SimpleNamespace:
        random.seed(3)
        return world(
            wrap, extra, generator=mg.Generator().manual_seed(2), pcg=np.random.default_rng(2), n=0, log=[], last=None,
            legacy=np.random.RandomState(2), python=random.Random(2), table={},
        )  # fmt: skip

    made = beside(make, [call(X * i) for i in range(8)])
    assert replays(made) == 0
    text = about(made)
    assert word in text and ("test_compiled.py:" in text or "state" in text), text
    found = [x for x in gc.get_objects() if type(x) in (Traced, Number)]
    assert not found, found


@pytest.mark.parametrize("name", ["item", "randn", "a list", "print"])
def test_fullgraph_raises_the_reason(name: str) -> None:
    extra, word = REASONS[name]
    made = world(mg.compile(fullgraph=True), extra, n=0, log=[])
    with pytest.raises(CaptureError, match=word):
        for _ in range(3):
            made.step(X)
    assert world(mg.compile(fullgraph=True), lambda *_: None).step(X) is not None


def test_numpy_1_runs_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    if not OLD:
        monkeypatch.setattr(compiled, "NEEDS", "numpy 2 is needed")
    step = mg.compile(lambda x: x * 2)
    for _ in range(3):
        assert step(mg.tensor(2.0)).item() == 4
    found = mg.compile.explain(step)
    assert (found.replays, found.eager_runs) == (0, 3) and "numpy 2 is needed" in str(found)
    step.reset()
    assert "numpy 2 is needed" in str(mg.compile.explain(step))
    with pytest.raises(CaptureError, match="numpy 2 is needed"):
        mg.compile(fullgraph=True)(abs)


def test_control_flow_on_a_value_before_any_change() -> None:
    def extra(made: Any, y: Any, loss: Any) -> Any:
        return 2.0 if loss > 0 else 3.0

    made = beside(lambda wrap: world(wrap, extra), [call(X + i % 3 - 1) for i in range(20)])
    assert replays(made) >= 4, about(made)


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_a_mask_of_one_element_takes_all_or_nothing(shape: tuple[int, ...]) -> None:
    """Whichever of the two was captured; a mask without dimensions puts one more in front: (1, 3) or (0, 3)."""

    def step(x: Any) -> Any:
        y = x * 2
        return y[y.sum() > 0].sin()

    for signs in ([1, 1, -1, 1, -1], [-1, -1, 1, -1, 1]):
        compiled = mg.compile(step)
        for sign in signs:
            x = mg.full(shape, 0.5 * sign)
            np.testing.assert_array_equal(compiled(x), step(x), strict=True)
        assert mg.compile.explain(compiled).replays == 1, mg.compile.explain(compiled)


def test_an_error_in_a_replay_is_the_eager_one_with_nothing_changed() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        table = mg.ones(4, 3, requires_grad=True)
        norm = nn.BatchNorm1d(3)
        optimizer = optim.SGD([table, *norm.parameters()], lr=0.1, momentum=0.9)

        def step(x: Any, y: Any) -> Any:
            loss = F.cross_entropy(norm(table[x]), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return SimpleNamespace(step=wrap(step), table=table, norm=norm, optimizer=optimizer)

    good, row = (np.array([0, 1, 2]), np.array([0, 1, 2])), (np.array([0, 9, 2]), np.array([0, 1, 2]))
    wrong = (np.array([0, 1, 2]), np.array([0, 1, 3]))
    made = beside(make, [call(*b) for b in (good, good, good, row, good, wrong, wrong, good, good)])
    assert replays(made) >= 4, about(made)
    with pytest.raises(IndexError) as caught:
        made.step(*row)
    assert any(entry.name == "step" and "test_compiled" in str(entry.path) for entry in caught.traceback)


def test_two_threads_on_one_step() -> None:
    """Each call is one whole step: the sum of what they did is that of as many steps."""

    def run(wrap: Any, threads: int) -> SimpleNamespace:
        made = world(wrap, lambda *_: None)

        def work() -> None:
            for _ in range(200 // threads):
                made.step(X)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers)
        return made

    alone, together = run(lambda step: step, 1), run(mg.compile, 4)
    assert plain(alone.w) == plain(together.w)
    assert replays(together) >= 190


def test_others_compute_with_the_same_parameters_while_a_step_is_captured() -> None:
    w = mg.tensor(np.ones((8, 8), np.float32), requires_grad=True)
    x = mg.tensor(np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8))
    want = (x @ w).tanh().sum().array.tobytes()
    wrong: list[Any] = []
    over = threading.Event()

    def eager() -> None:
        while not over.is_set():
            y = (x @ w).tanh()
            loss = y.sum()
            if loss.array.tobytes() != want or type(y.array) not in (np.ndarray, Traced):
                wrong.append(loss)
            mg.autograd.grad(loss, [w])

    workers = [threading.Thread(target=eager) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        for n in range(1, 6):
            step = mg.compile(lambda a, n=n: (w * a * n).sum().detach())
            for _ in range(4):
                assert step(x).array.tobytes() == (w * x * n).sum().detach().array.tobytes()
    finally:
        over.set()
        for worker in workers:
            worker.join(60)
    assert not wrong
    assert type(w.array) is np.ndarray and type(x.array) is np.ndarray


def test_asyncio_tasks_take_turns() -> None:
    made = world(mg.compile, lambda *_: None)
    alone = world(lambda step: step, lambda *_: None)

    async def task(n: int) -> None:
        for _ in range(n):
            made.step(X)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(task(5) for _ in range(4)))

    run_alone(main())
    for _ in range(20):
        alone.step(X)
    assert plain(alone.w) == plain(made.w)


def test_a_step_that_is_a_coroutine_or_a_generator_stays_one() -> None:
    @mg.compile
    async def later(x: Any) -> Any:
        return x * 2

    @mg.compile
    def parts(x: Any) -> Any:
        yield x * 2

    for i in range(5):
        x = mg.tensor(X * i)
        assert plain(run_alone(later(x))) == plain(x * 2)
        assert plain(list(parts(x))) == plain([x * 2])


def test_memory_is_flat_over_2000_replays() -> None:
    made = world(mg.compile, lambda *_: None)
    for _ in range(50):
        made.step(X)
    gc.collect()
    tracemalloc.start()
    try:
        made.step(X)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            made.step(X)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000, grown
    assert replays(made) >= 2000


def test_a_dropped_step_frees_its_memory() -> None:
    made = world(mg.compile, lambda *_: None)
    for _ in range(4):
        made.step(X)
    buffers = [weakref.ref(buffer) for buffer in made.step.captured[0].plan.buffers]
    parameter = weakref.ref(made.w)
    del made
    gc.collect()
    assert parameter() is None and not any(ref() is not None for ref in buffers)


def test_each_object_has_a_method_of_its_own() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        class Trainer:
            def __init__(self, k: float) -> None:
                self.w = mg.ones(3, requires_grad=True)
                self.k, self.optimizer = k, optim.SGD([self.w], lr=0.1)

            @wrap
            def step(self, x: Any) -> Any:
                loss = (self.w * x * self.k).sum().tanh()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                return loss

        a, b = Trainer(1.0), Trainer(2.0)
        return SimpleNamespace(a=a.w, b=b.w, both=lambda x: (a.step(x), b.step(x)), one=a)

    beside(make, [lambda w, i=i: w.both(X * i) for i in range(8)])
    made = make(mg.compile)
    for _ in range(4):
        made.both(X)
    assert mg.compile.explain(made.one.step).replays == 2


def test_decorated_with_and_without_arguments_and_nested() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        inner = wrap(lambda w, x: (w * x).tanh())
        w = mg.ones(3, requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1)

        def step(x: Any) -> Any:
            loss = inner(w, x).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return SimpleNamespace(step=wrap(step), w=w)

    beside(make, [call(X * i) for i in range(8)])
    step = mg.compile(fullgraph=True)(lambda x: x * 2)
    assert step.__name__ == "<lambda>" and plain(step(X)) == plain(X * 2)
    with pytest.raises(TypeError, match="int 3"):
        mg.compile(3)
    with pytest.raises(ValueError, match="backend"):
        mg.compile(backend="c")
    with pytest.raises(TypeError, match="explain"):
        mg.compile.explain(len)


def test_anomaly_mode_runs_eagerly_and_names_the_op() -> None:
    w = mg.tensor([0.0, 1.0], requires_grad=True)

    @mg.compile
    def step(x: Any) -> Any:
        w.grad = None
        loss = (mg.sqrt(w * x) * 0).sum()
        loss.backward()
        return loss.detach()

    x = np.ones(2, np.float32)
    for _ in range(4):
        step(x)
    assert mg.compile.explain(step).replays == 2
    with mg.detect_anomaly(), pytest.raises(RuntimeError, match="(?i)sqrt"):
        step(x)
    for _ in range(3):
        step(x)
    assert mg.compile.explain(step).replays >= 3


def test_after_eight_captures_it_runs_eagerly() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        return world(wrap, lambda made, y, loss: made.k, k=1.0)

    actions = []
    for k in range(12):
        actions += [lambda w, k=k: setattr(w, "k", 1.0 + k), call(X), call(X)]
    made = beside(make, actions)
    explained = mg.compile.explain(made.step)
    assert explained.captures == 8 and "8 times" in str(explained) and "k:" in str(explained), explained


def test_the_profiler_that_was_there_is_put_back() -> None:
    seen: list[str] = []

    def watch(frame: Any, event: str, arg: Any) -> None:
        seen.append(frame.f_code.co_name)

    made = world(mg.compile, lambda *_: None)
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        for _ in range(3):
            made.step(X)
        assert sys.getprofile() is watch
    finally:
        sys.setprofile(before)
    made = world(mg.compile, lambda *_: None)
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(4):
        made.step(X)
    marked()
    profile.disable()
    profile.create_stats()
    assert any(name == "marked" for _, _, name in profile.stats)  # type: ignore[attr-defined]
    assert replays(made) == 2


def marked() -> None:
    pass
