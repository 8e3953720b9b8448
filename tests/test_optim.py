"""Optimizers and schedules beside torch: whole trajectories, state, and what is refused."""

import warnings

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn, optim

STEPS = 100
SHAPES = [(3, 4), (4,), (1, 5), ()]

SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    ("SGD", {"lr": 0.01, "momentum": 0.5, "maximize": True, "weight_decay": 0.3}),
    ("SGD", {}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-4}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.01, "maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2}),
    ("AdamW", {"lr": 0.05, "betas": (0.5, 0.6), "amsgrad": True, "maximize": True}),
]


def start(dtype):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def loss_of(params, step):
    """A bumpy bowl that changes with the step; the second parameter takes no part in every third."""
    total = 0.0
    for i, p in enumerate(params):
        if not (i == 1 and step % 3 == 0):
            total = total + ((p * p).sum() * (0.3 + 0.1 * i) + p.cos().sum() * (1 + step % 5) * 0.2)
    return total


def run(lib, name, settings, dtype, steps=STEPS, params=None, optimizer=None, first=0):
    """Train, and return the parameters' values after each step."""
    made = lib.tensor
    params = params or [made(a, requires_grad=True) for a in start(dtype)]
    optimizer = optimizer or getattr(lib.optim, name)(params, **settings)
    trail = []
    for step in range(first, first + steps):
        optimizer.zero_grad()
        loss_of(params, step).backward()
        optimizer.step()
        trail.append([np.array(p.detach().numpy()) for p in params])
    return trail, params, optimizer


def same(ours, theirs, dtype):
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for x, y in zip(a, b, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance, err_msg=f"step {step}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name,settings", SETTINGS)
def test_the_trajectory_is_torchs(name, settings, dtype):
    same(run(mg, name, settings, dtype)[0], run(torch, name, settings, dtype)[0], dtype)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_groups_have_their_own_settings(name):
    trails = []
    for lib in (mg, torch):
        params = [lib.tensor(a, requires_grad=True) for a in start("float64")]
        groups = [{"params": params[:2], "lr": 0.2}, {"params": params[2]}]
        optimizer = getattr(lib.optim, name)(groups, lr=0.05, weight_decay=0.1)
        optimizer.add_param_group({"params": params[3:], "weight_decay": 0.0})
        trails.append(run(lib, name, {}, "float64", 30, params, optimizer)[0])
        assert [g["lr"] for g in optimizer.param_groups] == [0.2, 0.05, 0.05]
    same(*trails, "float64")


def test_a_parameter_without_a_gradient_stays_and_has_no_state():
    a, b = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)
    for optimizer in (optim.SGD([a, b], 0.1, momentum=0.9, weight_decay=1.0), optim.AdamW([a, b], 0.1)):
        optimizer.zero_grad()
        a.sum().backward()
        optimizer.step()
        assert b.tolist() == [1, 1, 1] and b not in optimizer.state and a in optimizer.state
    assert a.tolist() != [1, 1, 1]


def test_an_update_keeps_the_memory_the_dtype_and_the_leaf():
    p = mg.tensor(np.ones(3), requires_grad=True)
    array = p.array
    (p * p).sum().backward()
    optim.SGD([p], lr=np.float32(0.5)).step()
    assert p.array is array and p.dtype == mg.float64 and p.is_leaf and p.requires_grad
    assert p.tolist() == [0, 0, 0]


def test_numbers_of_all_kinds_are_updated():
    with mg.no_grad():
        scalar = (mg.tensor(2.0) * 3).requires_grad_()  # a numpy scalar inside
    zero_d = mg.tensor(6.0, requires_grad=True)
    for make in (optim.SGD, lambda ps, lr: optim.SGD(ps, lr, momentum=0.9), optim.AdamW):
        optimizer = make([scalar, zero_d], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (scalar * scalar + zero_d * zero_d).backward()
            optimizer.step()
        assert scalar.item() == zero_d.item() < 6 and scalar.shape == () and scalar.dtype == mg.float32


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_backward_through_what_an_update_overwrote_is_refused(name):
    w = mg.ones(3, requires_grad=True)
    y = (w * w).sum()
    y.backward(retain_graph=True)
    getattr(optim, name)([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match=f"changed in place after it ran: {name}.step"):
        y.backward()


def test_zero_grad_takes_gradients_away_or_fills_them():
    p = mg.ones(3, requires_grad=True)
    optimizer = optim.SGD([p], 0.1)
    p.sum().backward()
    grad = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad and grad.tolist() == [0, 0, 0]
    (p**3).sum().backward(create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0, 0] and p.grad.grad_fn is None
    optimizer.zero_grad()
    assert p.grad is None


def test_step_takes_a_closure_and_returns_its_loss():
    p = mg.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], 0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with mg.no_grad():
        assert optimizer.step(closure).item() == 2
    assert p.tolist() == [0, 0]


# ---------------------------------------------------------------------------------------------------- state


@pytest.mark.parametrize("name,settings", [SETTINGS[4], SETTINGS[11], SETTINGS[14]])
def test_state_goes_round_and_training_goes_on(name, settings):
    whole, _, _ = run(mg, name, settings, "float64", 20)
    _, params, optimizer = run(mg, name, settings, "float64", 10)
    state = optimizer.state_dict()
    others = [mg.tensor(p.detach().numpy(), requires_grad=True) for p in params]
    again = getattr(optim, name)(others, lr=123.0)
    again.load_state_dict(state)
    assert again.param_groups[0]["lr"] == settings["lr"] and again.state_dict().keys() == state.keys()
    run(mg, name, {}, "float64", 3, params, optimizer, first=10)  # the loaded state is a copy
    same(run(mg, name, {}, "float64", 10, others, again, first=10)[0], whole[10:], "float64")


def test_state_has_torchs_form():
    _, _, ours = run(mg, "SGD", {"momentum": 0.9}, "float64", 1)
    _, _, theirs = run(torch, "SGD", {"momentum": 0.9}, "float64", 1)
    a, b = ours.state_dict(), theirs.state_dict()
    assert a["param_groups"][0]["params"] == b["param_groups"][0]["params"] and set(a["state"]) == set(b["state"])
    for i, entry in b["state"].items():
        np.testing.assert_allclose(a["state"][i]["momentum_buffer"].array, entry["momentum_buffer"].numpy())
    names = {"params", *ours.defaults}
    assert names == set(a["param_groups"][0]) <= set(b["param_groups"][0])


def test_names_of_parameters_are_kept():
    net = nn.Linear(2, 2)
    optimizer = optim.SGD(net.named_parameters(), 0.1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert all(a is b for a, b in zip(optimizer.param_groups[0]["params"], net.parameters(), strict=True))


def test_state_that_does_not_fit_is_refused_and_changes_nothing():
    _, _, optimizer = run(mg, "SGD", {"momentum": 0.9, "lr": 0.1}, "float64", 2)
    state = optimizer.state_dict()
    p = mg.ones(2, requires_grad=True)
    other = optim.SGD([p], 0.3)
    for wrong, message in (
        ({"state": {}, "param_groups": []}, "different number of parameter groups: 0, not 1"),
        (state, "group 0 has 4 parameters, here 1"),
        ({"state": {0: {"v": mg.ones(3)}}, "param_groups": [{"params": [0], "lr": 9}]}, r"v .*\(3,\).*\(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(wrong)
        assert other.param_groups[0]["lr"] == 0.3 and not other.state


def test_it_prints_its_settings():
    text = repr(optim.SGD([mg.ones(1, requires_grad=True)], 0.1))
    assert text.splitlines()[:2] == ["SGD (", "Parameter Group 0"] and "    lr: 0.1" in text and "params" not in text


# -------------------------------------------------------------------------------------------------- refused

P = mg.ones(2, requires_grad=True)
REFUSED = [
    (lambda: optim.SGD([]), ValueError, "empty parameter list"),
    (lambda: optim.SGD(iter(())), ValueError, "can be used once"),
    (lambda: optim.SGD(P), TypeError, "but got Tensor"),
    (lambda: optim.SGD(3), TypeError, "but got int"),
    (lambda: optim.SGD([3]), TypeError, "parameter 0 is a int"),
    (lambda: optim.SGD([P, P * 2]), ValueError, r"non-leaf Tensor: parameter 1 of shape \(2,\).*MulBackward0"),
    (lambda: optim.SGD([mg.ones(1).expand(3)]), ValueError, "cannot be written to"),
    (lambda: optim.SGD([{"params": [P]}, {"params": P}]), ValueError, "more than one parameter group"),
    (lambda: optim.SGD([{"params": {P}}]), TypeError, "set has no order"),
    (lambda: optim.SGD([{"lr": 1}]), TypeError, "with 'params' in it"),
    (lambda: optim.SGD([P], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: optim.SGD([P], lr=float("nan")), ValueError, "Invalid learning rate: nan"),
    (lambda: optim.SGD([{"params": [P], "lr": -2}]), ValueError, "Invalid learning rate: -2"),
    (lambda: optim.SGD([P], momentum=-0.1), ValueError, "Invalid momentum"),
    (lambda: optim.SGD([P], weight_decay=-0.1), ValueError, "Invalid weight_decay"),
    (lambda: optim.SGD([P], nesterov=True), ValueError, "Nesterov momentum requires"),
    (lambda: optim.SGD([P], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "zero dampening"),
    (lambda: optim.Adam([P], betas=(1.0, 0.9)), ValueError, "beta parameter at index 0: 1.0"),
    (lambda: optim.AdamW([P], betas=(0.9, -0.1)), ValueError, "beta parameter at index 1"),
    (lambda: optim.Adam([P], eps=-1), ValueError, "Invalid epsilon"),
    (lambda: optim.Optimizer([P], {}).step(), NotImplementedError, "update"),
    (lambda: optim.lr_scheduler.StepLR(P, 3), TypeError, "Tensor is not an Optimizer"),
    (lambda: optim.lr_scheduler.StepLR(optim.SGD([P]), 0), ValueError, "step_size"),
    (lambda: optim.lr_scheduler.StepLR(optim.SGD([P]), 3, last_epoch=4), KeyError, "initial_lr"),
    (lambda: optim.lr_scheduler.LambdaLR(optim.SGD([P]), [abs, abs]), ValueError, "Expected 1 lr_lambdas"),
    (lambda: optim.lr_scheduler.CosineAnnealingLR(optim.SGD([P]), 0), ValueError, "T_max"),
]


@pytest.mark.parametrize("call,error,message", REFUSED, ids=range(len(REFUSED)))
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_parameter_twice_in_a_group_is_warned_of():
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([P, P])


# -------------------------------------------------------------------------------------------------- schedules

SCHEDULES = [
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 30], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.97}),
    ("LambdaLR", {"lr_lambda": lambda step: 1 / (1 + step)}),
    ("LambdaLR", {"lr_lambda": [lambda step: 0.9**step, lambda step: 1.0]}),
    ("CosineAnnealingLR", {"T_max": 10}),
    ("CosineAnnealingLR", {"T_max": 25, "eta_min": 0.01}),
]


def scheduled(lib, name, settings):
    groups = [{"params": [lib.ones(1, requires_grad=True)]}, {"params": [lib.ones(1, requires_grad=True)], "lr": 0.3}]
    optimizer = lib.optim.SGD(groups, lr=0.1)
    return optimizer, getattr(lib.optim.lr_scheduler, name)(optimizer, **settings)


@pytest.mark.parametrize("name,settings", SCHEDULES)
def test_the_rates_are_torchs(name, settings):
    trails = []
    for lib in (mg, torch):
        optimizer, scheduler = scheduled(lib, name, settings)
        trails.append([scheduler.get_last_lr()])
        for _ in range(60):
            optimizer.step()
            scheduler.step()
            trails[-1].append(scheduler.get_last_lr())
    np.testing.assert_allclose(*trails, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name,settings", SCHEDULES)
def test_a_schedule_goes_on_from_its_state(name, settings):
    optimizer, scheduler = scheduled(mg, name, settings)
    optimizer.step()
    for _ in range(12):
        scheduler.step()
    state, rates = (scheduler.state_dict(), optimizer.state_dict()), []
    assert "optimizer" not in state[0] and state[0]["last_epoch"] == 12
    again, other = scheduled(mg, name, settings)
    other.load_state_dict(state[0])
    again.load_state_dict(state[1])
    for s in (scheduler, other):
        for _ in range(12):
            s.step()
        rates.append(s.get_last_lr())
    assert rates[0] == rates[1] and other.last_epoch == 24


def test_a_schedule_before_the_first_update_warns():
    optimizer, scheduler = scheduled(mg, "StepLR", {"step_size": 3})
    with pytest.warns(UserWarning, match="before optimizer.step"):
        scheduler.step()
    optimizer, scheduler = scheduled(mg, "StepLR", {"step_size": 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        scheduler.step()
