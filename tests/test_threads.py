"""Threads and tasks, by the rules of docs/threads.md; and that steps leave nothing behind."""

import asyncio
import gc
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.alone import run as run_alone


def at_once(*works):
    """Run these in a thread each, all from one moment on; the first error is raised."""
    barrier = threading.Barrier(len(works))

    def run(work):
        barrier.wait(30)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(60) for future in [pool.submit(run, work) for work in works]]


@pytest.fixture
def hurried():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("shape", [(), (7,), (300, 300)])  # above some hundred elements numpy lets the others run
def test_backward_of_several_threads_into_one_leaf_loses_nothing(hurried, shape):
    w = mg.zeros(shape, requires_grad=True)
    each = 200

    def work():
        for _ in range(each):
            (w * 1.0).sum().backward()

    at_once(work, work, work)
    assert np.all(w.grad.numpy() == 3 * each)


def test_backward_with_inputs_and_create_graph_lose_nothing_either(hurried):
    w = mg.ones(5, requires_grad=True)

    def first():
        for _ in range(100):
            (w * 2).sum().backward(inputs=[w])

    def second():
        for _ in range(100):
            (w * 3).sum().backward(create_graph=True)

    at_once(first, second)
    assert w.grad.tolist() == [500.0] * 5


def test_threads_with_graphs_of_their_own_get_what_one_alone_gets(hurried):
    def work(seed):
        g = mg.Generator().manual_seed(seed)
        w = mg.randn(6, 4, generator=g, requires_grad=True)
        x, y = mg.randn(9, 6, generator=g), mg.randint(0, 4, (9,), generator=g)
        for _ in range(30):
            h = (x @ w) * 2
            h[:, 1] = h[:, 0] * 2  # views and changes in place
            h[2:4].mul_(0.5)
            w.grad = None
            F.cross_entropy(h, y).backward()
            with mg.no_grad():
                w -= 0.1 * w.grad
        return w.tolist()

    alone = [work(seed) for seed in range(4)]
    assert at_once(*[lambda seed=seed: work(seed) for seed in range(4)]) == alone


def test_one_graph_retained_is_walked_by_several_threads(hurried):
    w = mg.ones(4, requires_grad=True)
    loss = (w.exp() * w).sum()
    want = mg.autograd.grad(loss, w, retain_graph=True)[0].tolist()

    def work():
        return [mg.autograd.grad(loss, w, retain_graph=True)[0].tolist() for _ in range(50)]

    assert at_once(work, work) == [[want] * 50] * 2


def test_no_grad_is_of_its_thread():
    x = mg.ones(2, requires_grad=True)
    inside, outside = threading.Event(), threading.Event()

    def quiet():
        with mg.no_grad():
            inside.set()
            assert outside.wait(30)
            return (x * 2).requires_grad

    def other():
        assert inside.wait(30)
        found = mg.is_grad_enabled(), (x * 2).requires_grad
        outside.set()
        return found

    assert at_once(quiet, other) == [False, (True, True)]


def test_no_grad_is_of_its_asyncio_task_and_goes_on_after_an_await():
    async def quiet():
        with mg.no_grad():
            child = asyncio.create_task(asks())  # a task begins with the context of who made it
            for _ in range(5):
                await asyncio.sleep(0)
                assert not mg.is_grad_enabled()
            there = await asyncio.to_thread(mg.is_grad_enabled)
            return await child, there

    async def asks():
        return mg.is_grad_enabled()

    async def other():
        for _ in range(8):
            await asyncio.sleep(0)
            assert mg.is_grad_enabled()
        return True

    async def main():
        return await asyncio.gather(quiet(), other())

    assert run_alone(main()) == [(False, False), True]
    assert mg.is_grad_enabled()


def test_anomaly_mode_in_one_thread_looks_at_all_and_spoils_no_gradient(hurried):
    w = mg.ones(3, requires_grad=True)

    def watched():
        for _ in range(30):
            with mg.detect_anomaly():
                v = mg.ones(3, requires_grad=True)
                (v * 3).sum().backward()
                assert v.grad.tolist() == [3.0] * 3

    def trains():
        for _ in range(300):
            (w * 2).sum().backward()

    at_once(watched, trains)
    assert w.grad.tolist() == [600.0] * 3
    assert not (mg.tensor(0.0).log() - mg.tensor(0.0).log()).isfinite()  # the mode is off again


def test_a_step_is_captured_in_one_thread_while_another_trains(hurried):
    def train(seed, compiled):
        w = mg.randn(5, 5, generator=mg.Generator().manual_seed(seed), requires_grad=True)
        optimizer = mg.optim.SGD([w], lr=0.1)

        def step(x):
            loss = ((x @ w).tanh() ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        step = mg.compile(step) if compiled else step
        for _ in range(40):
            step(mg.ones(3, 5))
        return w.tolist()

    want = [train(1, False), train(2, False)]
    assert at_once(lambda: train(1, True), lambda: train(2, False)) == want


# ------------------------------------------------------------------------------------------- nothing is left


def step(w, x, y):
    h = (x @ w) * 2
    h[0] = h[1] * 2
    h[1:3].mul_(0.5)
    w.grad = None
    F.cross_entropy(h, y).backward()
    with mg.no_grad():
        w -= 0.1 * w.grad


def grown(steps):
    """Bytes that so many steps leave allocated, after as many as make what is made once."""
    w = mg.randn(6, 4, requires_grad=True)
    x, y = mg.randn(5, 6), mg.randint(0, 4, (5,))
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(200):
            step(w, x, y)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(steps):
            step(w, x, y)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()


def test_memory_is_flat_without_the_garbage_collector():
    assert grown(2_000) < 20_000  # a Tensor a step left behind would be 300,000 and more


def test_a_graph_is_freed_at_once_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        for retain in False, True:
            leaf = mg.ones(3, requires_grad=True)
            x = leaf * 2
            x.retain_grad()
            view = x[:2]
            view.mul_(3)
            loss = (x.exp() * 2).sum() + view.sum()
            refs = [weakref.ref(t) for t in (leaf, x, view, loss, loss.grad_fn, x.grad_fn)]
            loss.backward(retain_graph=retain)
            del leaf, x, view, loss
            assert [ref() for ref in refs] == [None] * len(refs)
    finally:
        gc.enable()


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    left = grown(steps)
    print(f"{steps:,} steps without the garbage collector left {left:,} bytes")
    sys.exit(left > 20_000)
