"""Optimizers and schedules beside torch for 50 steps: all options together, schedules, state handed on."""

from itertools import product

import numpy as np
import pytest
import torch

import minigrad as mg

BOTH = (mg, torch)
STEPS = 50


def start(m, dtype):
    rng = np.random.default_rng(7)
    return [m.tensor(np.asarray(rng.standard_normal(s)).astype(dtype), requires_grad=True) for s in ((3, 2), (4,), ())]


def train(m, params, optimizer, scheduler=None, steps=STEPS, first=0):
    """A bumpy bowl that changes with the step; the second parameter takes no part in every fourth."""
    trail = []
    for i in range(first, first + steps):
        optimizer.zero_grad(set_to_none=i % 2 == 0)
        loss = sum((p * p).sum() * 0.4 + (p * (1 + i % 3)).sin().sum() for p in params[:1] + params[2:])
        if i % 4:
            loss = loss + (params[1] - 1).square().sum()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        rates = [group["lr"] for group in optimizer.param_groups]
        trail.append([*(np.array(p.detach().numpy()) for p in params), np.array(rates, float)])
    return trail


def same(ours, theirs, dtype):
    tolerance = 5e-5 if dtype == "float32" else 1e-10
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for x, y in zip(a, b, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance, err_msg=f"step {step}")


SGD = [
    {"lr": 0.03, "momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x}
    for m, d, w, n, x in product((0, 0.9), (0, 0.4), (0, 0.1), (False, True), (False, True))
    if not n or (m and not d)
]
ADAM = [
    {"lr": 0.03, "betas": b, "eps": e, "weight_decay": w, "amsgrad": a, "maximize": x}
    for b, e, w, a, x in product(
        ((0.9, 0.999), (0.0, 0.9), (0.5, 0.5)), (1e-8, 0.1), (0, 0.2), (False, True), (False, True)
    )
]


def label(x):
    """A test's id: no address of a function in it, so that it is the same in each process."""
    return x if isinstance(x, str) else ",".join(f"{k}={getattr(v, '__name__', v)}" for k, v in x.items())


OPTIONS = [("SGD", o) for o in SGD] + [(name, o) for name in ("Adam", "AdamW") for o in ADAM]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name,options", OPTIONS, ids=label)
def test_all_options_together(name, options, dtype):
    trails = []
    for m in BOTH:
        params = start(m, dtype)
        trails.append(train(m, params, getattr(m.optim, name)(params, **options)))
    same(*trails, dtype)


def warm_up(step):
    return min((step + 1) / 10, 1 / (1 + step))


SCHEDULES = [
    ("StepLR", {"step_size": 7, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 30], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.95}),
    ("LambdaLR", {"lr_lambda": warm_up}),
    ("CosineAnnealingLR", {"T_max": 12, "eta_min": 0.001}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingLR", {"T_max": 50}),
]


def grouped(m, name):
    params = start(m, "float64")
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.2, "weight_decay": 0.1}]
    return params, getattr(m.optim, name)(groups, lr=0.05)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("schedule,options", SCHEDULES, ids=label)
def test_a_schedule_while_training(schedule, options, name):
    trails = []
    for m in BOTH:
        params, optimizer = grouped(m, name)
        trails.append(train(m, params, optimizer, getattr(m.optim.lr_scheduler, schedule)(optimizer, **options)))
    same(*trails, "float64")


@pytest.mark.parametrize("schedule,options", SCHEDULES, ids=label)
def test_a_schedule_made_anew_at_a_later_step(schedule, options):
    """last_epoch=20: the groups have their initial_lr, as a loaded optimizer has."""
    trails = []
    for m in BOTH:
        params, optimizer = grouped(m, "SGD")
        kind = getattr(m.optim.lr_scheduler, schedule)
        trail = train(m, params, optimizer, kind(optimizer, **options), steps=21)
        trails.append(trail + train(m, params, optimizer, kind(optimizer, **options, last_epoch=20), steps=15))
    same(*trails, "float64")


def test_two_schedules_of_one_optimizer_and_a_rate_set_by_hand():
    rates = []
    for m in BOTH:
        params, optimizer = grouped(m, "SGD")
        found = []
        first = m.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)
        second = m.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        for i in range(20):
            params[0].sum().backward()
            optimizer.step()
            if i == 9:
                optimizer.param_groups[0]["lr"] = 0.7
            first.step()
            second.step()
            found.append([*first.get_last_lr(), *second.get_last_lr(), first.last_epoch])
        rates.append(found)
    np.testing.assert_allclose(*rates, rtol=1e-12)


@pytest.mark.parametrize("name,options", [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("AdamW", {})])
def test_the_state_goes_over_to_torch_and_back(name, options):
    """25 steps here, the next 25 there from this state, against 50 there; and the other way round."""
    whole = [train(m, params := start(m, "float64"), getattr(m.optim, name)(params, lr=0.05, **options)) for m in BOTH]
    for m, other in (BOTH, BOTH[::-1]):
        params = start(m, "float64")
        optimizer = getattr(m.optim, name)(params, lr=0.05, **options)
        train(m, params, optimizer, steps=25)
        moved = [other.tensor(p.detach().numpy().copy(), requires_grad=True) for p in params]
        state = optimizer.state_dict()
        state["state"] = {
            i: {
                k: other.tensor(v.numpy().copy(), dtype=other.float64) if hasattr(v, "numpy") else v
                for k, v in s.items()
            }
            for i, s in state["state"].items()
        }
        going_on = getattr(other.optim, name)(moved, lr=9.0)
        going_on.load_state_dict(state)
        same(train(other, moved, going_on, steps=25, first=25), whole[0][25:], "float64")
    same(*whole, "float64")
