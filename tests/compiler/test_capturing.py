"""Tensors, modes, arguments and results: what a replay must look at, and what a step gives back."""

import copy
import dataclasses
import warnings
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim

from .beside import about, beside, call, replays
from .changes import X, scaled

Y = np.array([0, 2, 1, 1])
BATCH = np.linspace(-2, 2, 12, dtype=np.float32).reshape(4, 3)


def network(wrap: Any, *layers: Any, reads: Any = None, zero: bool = True, **settings: Any) -> SimpleNamespace:
    """Linear, the layers, Linear, trained by SGD; reads: more that the step does with the loss."""
    model = nn.Sequential(nn.Linear(3, 5), *[make() for make in layers], nn.Linear(5, 4))
    optimizer = optim.SGD(model.parameters(), **{"lr": 0.1, "momentum": 0.9, **settings})
    world = SimpleNamespace(model=model, optimizer=optimizer)

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        if zero:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss if reads is None else reads(world, loss)

    world.step = wrap(step)
    return world


def first(world: SimpleNamespace) -> Any:
    return world.model[0].weight


def replaced_parameter(world: SimpleNamespace) -> None:
    world.model[0].weight = nn.Parameter(np.full((5, 3), 0.1, np.float32))


def new_hook(world: SimpleNamespace) -> None:
    world.handle = first(world).register_hook(lambda g: g * 2)


def double(world: SimpleNamespace) -> None:
    world.model.double()


def rows_taken_away(world: SimpleNamespace) -> None:
    first(world).array[:] = 0


CHANGES = {
    "eval": lambda w: w.model.eval(),
    "train": lambda w: w.model.train(),
    "eps": lambda w: setattr(w.model[1], "eps", 0.5),
    "momentum of batch norm": lambda w: setattr(w.model[1], "momentum", 0.5),
    "no running statistics": lambda w: setattr(w.model[1], "track_running_stats", False),
    "statistics reset": lambda w: w.model[1].reset_running_stats(),
    "statistics replaced": lambda w: setattr(w.model[1], "running_mean", mg.ones(5)),
    "frozen": lambda w: first(w).requires_grad_(False),
    "bias frozen": lambda w: w.model[0].bias.requires_grad_(False),
    "thawed": lambda w: w.model.requires_grad_(True),
    "parameter replaced": replaced_parameter,
    ".data replaced": lambda w: setattr(first(w), "data", mg.full((5, 3), 0.1)),
    ".data of another order": lambda w: setattr(first(w), "data", mg.from_numpy(np.asfortranarray(first(w).array))),
    "written to": rows_taken_away,
    "in place under no_grad": mg.no_grad()(lambda w: first(w).mul_(0.5) and None),
    "bias taken away": lambda w: setattr(w.model[0], "bias", None),
    "layer replaced": lambda w: w.model.__setitem__(2, nn.Linear(5, 4)),
    "layer added": lambda w: w.model.append(nn.Linear(4, 4)),
    "layer taken away": lambda w: w.model.__delitem__(1),
    "hook": new_hook,
    "state dict": lambda w: w.model.load_state_dict({k: v * 0.5 for k, v in w.model.state_dict().items()}) and None,
    "default dtype": lambda w: mg.set_default_dtype(mg.float64),
    "lr": lambda w: w.optimizer.param_groups[0].update(lr=0.01),
    "lr of another type": lambda w: w.optimizer.param_groups[0].update(lr=1),
    "momentum": lambda w: w.optimizer.param_groups[0].update(momentum=0.5),
    "weight decay": lambda w: w.optimizer.param_groups[0].update(weight_decay=0.5),
    "maximize": lambda w: w.optimizer.param_groups[0].update(maximize=True),
    "another group": lambda w: w.optimizer.param_groups.append({**w.optimizer.param_groups[0], "params": []}),
    "state taken away": lambda w: w.optimizer.state.clear(),
    "state replaced": lambda w: w.optimizer.load_state_dict(copy.deepcopy(w.optimizer.state_dict())),
    "gradients": lambda w: first(w).__setattr__("grad", mg.ones(5, 3)),
    "zero_grad to zeros": lambda w: w.model.zero_grad(set_to_none=False),
    "zero_grad to None": lambda w: w.model.zero_grad(),
    "double": double,
}  # fmt: skip


@pytest.fixture(autouse=True)
def default_dtype_as_it_was():
    yield
    mg.set_default_dtype(mg.float32)


def batch(w: SimpleNamespace) -> Any:
    dtype = first(w).dtype
    return w.step(mg.tensor(BATCH.astype(dtype)), mg.tensor(Y))


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_network_or_its_optimizer_is_seen(change: str) -> None:
    zero = "grad" not in change

    def make(wrap: Any) -> SimpleNamespace:
        mg.set_default_dtype(mg.float32)
        return network(wrap, lambda: nn.BatchNorm1d(5), zero=zero)

    world = beside(make, [batch, batch, batch, batch, CHANGES[change], batch, batch, batch, batch])
    assert replays(world) >= 2, about(world)


def test_gradients_are_accumulated_in_and_out_of_the_step() -> None:
    twice = [batch, batch, batch, lambda w: w.model.zero_grad(set_to_none=False), batch, batch]
    beside(lambda wrap: network(wrap, zero=False), twice * 2)

    def make(wrap: Any) -> SimpleNamespace:
        world = network(lambda step: step, zero=False)
        step = world.step
        world.step = wrap(lambda x, y: world.model.zero_grad(set_to_none=False) or step(x, y))
        return world

    world = beside(make, [batch] * 6)
    assert replays(world) >= 2, about(world)


def test_the_gradient_of_the_call_before_is_read_and_then_replaced() -> None:
    """What is read is another one in each call, which no replay could follow: nothing old may be given."""

    def make(wrap: Any) -> SimpleNamespace:
        model = nn.Linear(3, 4)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            before = model.weight.grad.abs().sum() if model.weight.grad is not None else mg.tensor(-1.0)
            optimizer.zero_grad()
            (model(x) ** 2).sum().backward()
            optimizer.step()
            return before

        return SimpleNamespace(model=model, optimizer=optimizer, step=wrap(step))

    world = beside(make, [call(BATCH * k) for k in (1, 2, 3, 4, 5, 6, 7)])
    assert replays(world) == 0
    assert "gradient" in about(world) or "captured 8 times" in about(world)


def test_a_hook_taken_away() -> None:
    def remove(world: SimpleNamespace) -> None:
        world.handle.remove()
        del world.handle

    beside(network, [batch, batch, batch, new_hook, batch, batch, batch, remove, batch, batch, batch])


def test_modes_around_the_call() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        w = mg.ones(3, requires_grad=True)
        return SimpleNamespace(step=wrap(lambda x: (w * x).sum().detach()), w=w)

    def without(w: SimpleNamespace) -> Any:
        with mg.no_grad():
            return w.step(X)

    def look(wrap: Any) -> SimpleNamespace:
        w = mg.ones(3, requires_grad=True)

        def step(x: Any) -> Any:
            y = (w * x).sum()
            return y.detach() * (2 if y.requires_grad else 3)

        return SimpleNamespace(step=wrap(step), w=w)

    for world in (make, look):
        found = beside(world, [call(X)] * 3 + [without] * 3 + [call(X)] * 3)
        assert replays(found) >= 4, about(found)


SHAPES = [
    np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), np.ones((2, 3)), np.ones((2, 3), np.int64),
    np.ones((2, 3), bool), np.ones((3, 2), np.float32).T, np.ones((4, 6), np.float32)[::2, ::2], np.float32(1.5),
    np.ones((), np.float32), np.ones((0, 3), np.float32), np.ones((1, 3), np.float32), np.ones(3, np.float32),
    np.ones((2, 3), np.float32)[::-1], np.broadcast_to(np.float32(2), (2, 3)), np.ones((2, 3), ">f4"),
    1, 2, 1.0, True, None, "a",
]  # fmt: skip


def test_arguments_of_all_kinds() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        w = mg.ones(3, requires_grad=True)

        def step(x: Any) -> Any:
            loss = (w * (0.5 if x is None or isinstance(x, str) else x)).sum()
            w.grad = None
            loss.backward()
            return loss.detach()

        return SimpleNamespace(step=wrap(step), w=w)

    for x in SHAPES:
        kinds = (
            [x, mg.from_numpy(np.asarray(x)), mg.tensor(x)] if isinstance(x, np.ndarray) and x.dtype != ">f4" else [x]
        )
        for kind in kinds:
            beside(make, [call(X)] * 3 + [lambda w, kind=kind: w.step(kind)] * 4 + [call(X)] * 2)


Pair = namedtuple("Pair", "x y")


def test_nested_arguments_by_position_and_by_name() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        w = mg.ones(3, requires_grad=True)

        def step(batch: Any, *more: Any, scale: float = 1.0, **named: Any) -> Any:
            loss = (w * batch["x"][0] * scale + batch["pair"].y).sum() + sum(more)
            for name, value in named.items():
                loss = loss + value * len(name)
            w.grad = None
            loss.backward()
            return loss.detach()

        return SimpleNamespace(step=wrap(step), w=w)

    def given(i: int) -> dict[str, Any]:
        return {"x": [mg.tensor(X * i), None], "pair": Pair(1, np.full(3, i, np.float32))}

    actions = [lambda w, i=i: w.step(given(i)) for i in range(4)]
    actions += [lambda w, i=i: w.step(given(i), 1, 2.5, scale=0.5) for i in range(4)]
    actions += [lambda w, i=i: w.step(given(i), 1, 2.5, scale=0.25) for i in range(4)]
    actions += [lambda w, i=i: w.step(given(i), aa=np.float32(i), b=mg.tensor(2.0 * i)) for i in range(4)]
    actions += [lambda w, i=i: w.step(given(i), b=np.float32(i), aa=mg.tensor(2.0 * i)) for i in range(4)]
    actions += [lambda w, i=i: w.step({**given(i), "more": 1}) for i in range(4)]
    world = beside(make, actions)
    assert replays(world) >= 8, about(world)


def test_arguments_that_require_grad_and_results_of_others() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        w = mg.ones(3, requires_grad=True)

        def step(x: Any) -> Any:
            loss = (w * x).sum()
            w.grad = None
            loss.backward()
            return loss.detach()

        return SimpleNamespace(step=wrap(step), w=w, x=mg.tensor(X, requires_grad=True))

    def own(world: SimpleNamespace) -> Any:
        return world.step(world.x)

    def fresh(world: SimpleNamespace) -> Any:
        x = mg.tensor(X, requires_grad=True)
        return world.step(x), x.grad

    def computed(world: SimpleNamespace) -> Any:
        world.x.grad = None
        return world.step(world.x * 2), world.x.grad

    beside(make, [own] * 4 + [fresh] * 4 + [computed] * 4 + [own] * 2)


def test_one_array_given_twice_and_parts_of_one_another() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        w = mg.ones(3, requires_grad=True)

        def step(x: Any, y: Any) -> Any:
            loss = (w * x * y).sum()
            w.grad = None
            loss.backward()
            return loss.detach(), x is y

        return SimpleNamespace(step=wrap(step), w=w)

    a, b = mg.tensor(X), mg.tensor(X + 1)
    beside(make, [lambda w, x=x, y=y: w.step(x, y) for x, y in [(a, a)] * 3 + [(a, b)] * 3 + [(b, b)] * 3])
    c = np.arange(12, dtype=np.float32).reshape(4, 3)
    beside(make, [lambda w, x=x, y=y: w.step(x, y) for x, y in [(c[:2], c[1:3])] * 3 + [(c[2:], c[:2])] * 3])
    own = [lambda w: w.step(w.w.detach(), a)] * 3 + [lambda w: w.step(a, w.w.detach().array)] * 3
    beside(make, own)


def test_arguments_changed_in_place() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        def step(x: Any) -> Any:
            x += 1
            return (x * 2).sum()

        return SimpleNamespace(step=wrap(step), array=X.copy(), tensor=mg.tensor(X))

    beside(make, [lambda w: w.step(w.array)] * 4 + [lambda w: w.step(w.tensor)] * 4)


@dataclasses.dataclass
class Result:
    loss: Any


# What a step returns, of its loss.
RESULTS = {
    "tuple": lambda w, loss: (loss, loss * 2, 3),
    "list": lambda w, loss: [loss.detach()],
    "dict": lambda w, loss: {"loss": loss, "n": {"one": 1}},
    "namedtuple": lambda w, loss: Pair(loss, 2),
    "nothing": lambda w, loss: None,
    "number": lambda w, loss: 3.5,
    "array": lambda w, loss: loss.detach().array,
    "array of numpy": lambda w, loss: loss.detach().numpy(),
    "dataclass": lambda w, loss: Result(loss.detach()),
    "set": lambda w, loss: {1, 2},
    "object": lambda w, loss: SimpleNamespace(loss=loss.detach()),
    "parameter": lambda w, loss: w.model[0].weight,
    "model": lambda w, loss: w.model,
    "part of a parameter": lambda w, loss: w.model[0].weight.detach()[0],
    "parameter detached": lambda w, loss: w.model[0].weight.detach(),
    "gradient": lambda w, loss: w.model[0].weight.grad,
    "part of a gradient": lambda w, loss: w.model[0].weight.grad[0],
    "norm of a gradient": lambda w, loss: w.model[0].weight.grad.norm(),
    "copies": lambda w, loss: [p.detach().clone() for p in w.model.parameters()],
    "the same twice": lambda w, loss: (loss, loss),
    "parts of one another": lambda w, loss: two_parts(w),
    "momentum": lambda w, loss: [s["momentum_buffer"] for s in w.optimizer.state.values()],
    "learning rate": lambda w, loss: w.optimizer.param_groups[0]["lr"],
    "learning rate used": lambda w, loss: loss.detach() * w.optimizer.param_groups[0]["lr"],
    "learning rate in Python": lambda w, loss: w.optimizer.param_groups[0]["lr"] * 2 + 1,
    "learning rates": lambda w, loss: [dict(g, params=0) for g in w.optimizer.param_groups],
    "learning rate decides": lambda w, loss: 1 if w.optimizer.param_groups[0]["lr"] > 0.05 else 2,
    "a function": lambda w, loss: (lambda: 3),
    "generator": lambda w, loss: sum(x for x in (1, 2, 3)),
    "iterator": lambda w, loss: iter([1, 2]),
    "bool": lambda w, loss: bool(loss > 1),
    "comparison": lambda w, loss: loss.detach() > 1,
    "integers": lambda w, loss: w.model[0].weight.detach().argmax(1),
    "constant": lambda w, loss: mg.arange(5),
}  # fmt: skip


def two_parts(world: SimpleNamespace) -> Any:
    y = world.model[0].weight.detach() * 2
    return y, y[0]


def halved(world: SimpleNamespace) -> None:
    world.optimizer.param_groups[0]["lr"] *= 0.5


@pytest.mark.parametrize("result", RESULTS)
def test_what_is_returned_is_eager_and_stays_what_it_is(result: str) -> None:
    """All results are kept, and looked at again after later steps; and they are written to."""

    def make(wrap: Any) -> SimpleNamespace:
        world = network(wrap, reads=RESULTS[result])
        world.kept = []
        return world

    def keep(world: SimpleNamespace) -> Any:
        world.kept.append(batch(world))
        given = world.kept[-1]
        return (
            [given is x for x in world.kept], [given is p for p in world.model.parameters()],
            [given is p.grad for p in world.model.parameters()],
            given[0] is given[1] if isinstance(given, tuple) and len(given) > 1 else None,
        )  # fmt: skip

    def write(world: SimpleNamespace) -> None:
        with warnings.catch_warnings(), mg.no_grad():
            warnings.simplefilter("ignore")
            for x in world.kept[-1:]:
                for y in x if isinstance(x, (tuple, list)) else [x]:
                    if isinstance(y, mg.Tensor) and y.dtype.kind == "f" and y.ndim:
                        y.mul_(0.5)

    beside(make, [keep, keep, keep, keep, write, keep, keep, halved, keep, keep, write, keep, keep])


def test_gradients_held_by_the_caller_stay_what_they_are() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        world = network(wrap)
        world.kept = []
        return world

    def keep(world: SimpleNamespace) -> None:
        batch(world)
        world.kept.append([p.grad for p in world.model.parameters()])

    def keep_array(world: SimpleNamespace) -> None:
        batch(world)
        world.kept.append([p.grad.numpy()[:1] for p in world.model.parameters()])

    beside(make, [keep] * 6 + [batch] * 3 + [keep_array] * 6 + [batch] * 3)


def test_gradients_written_to_and_taken_between_calls() -> None:
    def write(world: SimpleNamespace) -> None:
        with mg.no_grad():
            first(world).grad.mul_(2)
            first(world).array -= first(world).grad.array

    def swap(world: SimpleNamespace) -> None:
        weight = first(world)
        weight.grad = weight.grad * 3

    for zero in (True, False):
        beside(
            lambda wrap, zero=zero: network(wrap, zero=zero), [batch, batch, batch, write, batch, swap, batch, batch]
        )


def test_scaled_is_what_it_says() -> None:
    world = beside(lambda wrap: scaled(wrap, lambda: 2.0), [call(X)] * 4)
    assert replays(world) == 2
