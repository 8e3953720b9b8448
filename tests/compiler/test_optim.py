"""Optimizers, their settings and learning rate schedules in a captured step, bit for bit."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.optim import lr_scheduler

from .beside import about, beside, replays

rng = np.random.default_rng(0)
BATCHES = [(rng.standard_normal((4, 3)).astype(np.float32), rng.integers(0, 4, 4)) for _ in range(60)]


def training(wrap: Any, make: Any, schedule: Any = None, inside: bool = True, **more: Any) -> SimpleNamespace:
    """A small network; make(parameters) is the optimizer, schedule(optimizer) its schedule."""
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))
    unused = nn.Parameter(np.ones(2, np.float32))
    optimizer = make([*model.parameters(), unused])
    scheduler = schedule(optimizer) if schedule else None

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        if "clip" in more:
            more["clip"](model.parameters())
        optimizer.step()
        if scheduler is not None and inside:
            scheduler.step()
        return loss

    world = SimpleNamespace(step=wrap(step), model=model, optimizer=optimizer)
    if scheduler is not None:
        world.scheduler = scheduler
        world.last = scheduler.get_last_lr
    return world


def steps(n: int, start: int = 0) -> list[Any]:
    return [lambda w, x=x, y=y: w.step(mg.tensor(x), mg.tensor(y)) for x, y in BATCHES[start : start + n]]


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "Adam with all": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1, amsgrad=True, maximize=True, betas=(0.8, 0.9)),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "AdamW with all": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.2, amsgrad=True, maximize=True, eps=1e-3),
    "groups": lambda p: optim.SGD([{"params": p[:2], "lr": 0.5}, {"params": p[2:], "momentum": 0.5}], lr=0.1),
    "lr 0": lambda p: optim.SGD(p, lr=0),
    "int lr": lambda p: optim.Adam(p, lr=1),
    "numpy lr": lambda p: optim.SGD(p, lr=np.float64(0.1)),
    "lr as a Tensor": lambda p: optim.SGD(p, lr=mg.tensor(0.1)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_and_a_rate_set_between_the_calls(name: str) -> None:
    def rate(lr: float) -> Any:
        return lambda w: w.optimizer.param_groups[-1].update(lr=lr)

    actions = [*steps(6), rate(0.02), *steps(5, 6), rate(0.3), *steps(6, 11)]
    world = beside(lambda wrap: training(wrap, OPTIMIZERS[name]), actions)
    if name not in ("lr as a Tensor",):
        assert replays(world) >= 10, about(world)
    if name.startswith("Adam"):
        assert next(iter(world.optimizer.state.values()))["step"] == 17


CLIPS = {
    "norm": lambda p: nn.utils.clip_grad_norm_(p, 0.1),
    "never": lambda p: nn.utils.clip_grad_norm_(p, 1e9),
    "1-norm": lambda p: nn.utils.clip_grad_norm_(list(p), 0.5, 1.0),
    "largest": lambda p: nn.utils.clip_grad_norm_(p, 0.01, math.inf),
    "finite": lambda p: nn.utils.clip_grad_norm_(p, 0.1, error_if_nonfinite=True),
    "value": lambda p: nn.utils.clip_grad_value_(p, 0.01),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_without_dimensions(name: str) -> None:
    """Its gradient and its values are numbers."""

    def make(wrap: Any) -> SimpleNamespace:
        scale, shift = nn.Parameter(np.float32(0.5)), nn.Parameter(np.ones(3, np.float32))
        optimizer = OPTIMIZERS[name]([shift, scale])

        def step(x: Any, y: Any) -> Any:
            loss = ((x * scale + shift) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return SimpleNamespace(step=wrap(step), scale=scale, shift=shift, optimizer=optimizer)

    world = beside(make, steps(12))
    if name not in ("lr as a Tensor",):
        assert replays(world) == 10, about(world)


@pytest.mark.parametrize(
    "held", ["the Tensor", "its array", "other data", "its array, and other data", "the Tensor, taken away"]
)
def test_a_gradient_that_the_caller_keeps_or_exchanges(held: str) -> None:
    def make(wrap: Any) -> SimpleNamespace:
        scale, shift = nn.Parameter(np.float32(0.5)), nn.Parameter(np.ones(3, np.float32))

        def step(x: Any, y: Any) -> Any:
            scale.grad = shift.grad = None
            ((x * scale + shift) ** 2).mean().backward()

        return SimpleNamespace(step=wrap(step), scale=scale, shift=shift, kept=[])

    def keep(world: SimpleNamespace) -> None:
        for p in (world.scale, world.shift):
            if held != "other data":
                world.kept.append(p.grad.numpy() if "its array" in held else p.grad)
            if "other data" in held:
                p.grad.data = mg.zeros_like(p)
            if held == "the Tensor, taken away":
                p.grad = None

    world = beside(make, [*steps(5), keep, *steps(4, 5), keep, *steps(4, 9)])
    assert replays(world) == (11 if held == "other data" else 3), about(world)  # of the last capture


@pytest.mark.parametrize("name", CLIPS)
def test_gradients_are_clipped(name: str) -> None:
    world = beside(lambda wrap: training(wrap, OPTIMIZERS["momentum"], clip=CLIPS[name]), steps(12))
    assert replays(world) >= 9, about(world)


SCHEDULES = {
    "step": lambda o: lr_scheduler.StepLR(o, 3, 0.5),
    "milestones": lambda o: lr_scheduler.MultiStepLR(o, [2, 7, 7, 11]),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda n: 1 / (1 + n)),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 5, 0.01),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("inside", [True, False], ids=["in the step", "between the calls"])
@pytest.mark.parametrize("optimizer", ["groups", "AdamW"])
def test_schedules(name: str, inside: bool, optimizer: str) -> None:
    def make(wrap: Any) -> SimpleNamespace:
        return training(wrap, OPTIMIZERS[optimizer], SCHEDULES[name], inside)

    actions = []
    for act in steps(20):
        actions += [act, lambda w: w.last()]
        if not inside:
            actions.append(lambda w: w.scheduler.step())
    world = beside(make, actions)
    assert replays(world) >= 16, about(world)


def test_a_schedule_of_one_s_own_and_what_it_keeps() -> None:
    class Own(lr_scheduler.LRScheduler):
        def __init__(self, optimizer: Any) -> None:
            self.seen: list[float] = []
            super().__init__(optimizer)

        def rate(self, i: int) -> float:
            self.seen.append(self.lr(i))
            return 0.1 / (1 + len(self.seen))

    beside(lambda wrap: training(wrap, OPTIMIZERS["SGD"], Own), steps(12))


def by_hand(wrap: Any) -> SimpleNamespace:
    """A rate that the step itself sets, by its argument."""
    w = mg.ones(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def step(x: Any, i: int) -> Any:
        for group in optimizer.param_groups:
            group["lr"] = 0.1 if i < 5 else 0.01
        loss = (w * x).sum().tanh()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return SimpleNamespace(step=wrap(step), w=w, optimizer=optimizer)


def test_a_rate_set_in_the_step() -> None:
    x = np.ones(3, np.float32)
    actions = [lambda w, i=i: w.step(x, i // 3 * 3) for i in range(20)]
    actions += [lambda w: w.optimizer.param_groups[0].update(lr=5.0), *actions[-4:]]
    beside(by_hand, actions)


def test_a_rate_read_before_and_after_the_schedule() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        w = mg.ones(3, requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1)
        scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)

        def step(x: Any) -> Any:
            before = optimizer.param_groups[0]["lr"]
            loss = (w * x).sum().tanh()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            return before, optimizer.param_groups[0]["lr"], scheduler.last_epoch, scheduler.get_last_lr()

        return SimpleNamespace(step=wrap(step), w=w, optimizer=optimizer, scheduler=scheduler)

    beside(make, [lambda w: w.step(np.ones(3, np.float32))] * 10)


def test_two_optimizers_and_a_closure() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        a, b = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)
        one, two = optim.SGD([a], lr=0.1), optim.Adam([b], lr=0.1)

        def step(x: Any) -> Any:
            def closure() -> Any:
                one.zero_grad()
                two.zero_grad()
                loss = (a * x + b * b).sum().tanh()
                loss.backward()
                return loss

            loss = one.step(closure)
            two.step()
            again = (a * b).sum()
            two.zero_grad()
            again.backward()
            two.step()
            return loss.detach() + again.detach()

        return SimpleNamespace(step=wrap(step), a=a, b=b, one=one, two=two)

    world = beside(make, [lambda w, i=i: w.step(np.full(3, i / 9, np.float32)) for i in range(10)])
    assert replays(world) >= 6, about(world)
