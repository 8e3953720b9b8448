"""The memory of a captured step: what capturing takes at most, and what is held afterwards."""

import gc
import linecache
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

ROWS, HIDDEN, LAYERS = 5_000, 100, 12
VALUE = ROWS * HIDDEN * 4  # bytes of one layer's output


def step() -> Callable[[], Any]:
    """A training step that makes dozens of values, each of VALUE bytes and few of them alive at once."""
    mg.manual_seed(0)
    layers = [layer for _ in range(LAYERS) for layer in (nn.Linear(HIDDEN, HIDDEN), nn.Tanh())]
    model = nn.Sequential(*layers)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    x = mg.tensor(np.random.default_rng(0).standard_normal((ROWS, HIDDEN)).astype(np.float32))

    def train() -> Any:
        loss = model(x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return train


def arrays_held() -> int:
    """Bytes of all that numpy holds."""
    gc.collect()
    numpys = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([numpys]).traces)


def peak_of(call: Callable[[], Any]) -> int:
    """Bytes that a call needs at once, over what is there before."""
    gc.collect()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    call()
    return tracemalloc.get_traced_memory()[1] - before


@pytest.fixture(autouse=True)
def _traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_what_a_captured_step_holds_is_what_it_planned() -> None:
    """The arrays of the captured run itself are freed: some 70 of VALUE bytes here."""
    train = step()
    train()
    before = arrays_held()
    compiled = mg.compile(train)
    for _ in range(3):
        compiled()
    (captured,) = compiled.captured
    report, own = captured.plan.report, sum(x.nbytes for x in captured.plan.kept if x is not None)
    assert report.separate > 30 * VALUE
    constant = VALUE  # the gradient of mean(): the same in each replay
    assert arrays_held() - before < report.planned + own + constant + VALUE / 10
    assert report.planned < report.separate / 2


def test_capturing_takes_no_more_at_once_than_the_step_as_it_is_written() -> None:
    train = step()
    train()
    eager = peak_of(train)
    compiled = mg.compile(train)
    compiled()
    capturing = peak_of(compiled)
    assert mg.compile.explain(compiled).reasons == []
    replay = peak_of(compiled)
    assert mg.compile.explain(compiled).replays == 1
    assert eager > 10 * VALUE
    assert capturing < 1.3 * eager  # its Python, that constant, and gradients twice at the end
    assert replay < VALUE / 10


def test_a_dropped_step_gives_its_memory_back_at_once() -> None:
    """Without a circle that the garbage collector would have to find; it may run much later."""
    train = step()
    train()
    gc.collect()
    lines, before = len(linecache.cache), tracemalloc.get_traced_memory()[0]
    gc.disable()
    try:
        compiled = mg.compile(train)
        for _ in range(3):
            compiled()
        assert tracemalloc.get_traced_memory()[0] - before > 10 * VALUE
        assert len(linecache.cache) == lines + 1  # the replay's source, for tracebacks
        del compiled
        assert tracemalloc.get_traced_memory()[0] - before < VALUE
        assert len(linecache.cache) == lines
    finally:
        gc.enable()


def test_values_that_die_in_the_step_make_room_for_others_that_are_told_apart() -> None:
    """Each value is freed before the next is made, which often comes to lie in its place, under the same id."""

    @mg.compile
    def chain(x: Any) -> Any:
        with mg.no_grad():
            for i in range(40):
                x = x * 0.5 + i
            return x

    for start in range(4):
        x = np.full((50, 40), start, np.float32)
        want = x
        for i in range(40):
            want = want * np.float32(0.5) + np.float32(i)
        assert chain(mg.tensor(x)).numpy().tobytes() == want.tobytes()
    assert mg.compile.explain(chain).replays == 2
