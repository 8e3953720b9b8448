"""Compiled methods: whose step runs, copies and pickles of objects, and what a compiled step has of its function."""

import copy
import functools
import gc
import pickle
import weakref
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim

from .beside import beside, plain, replays

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def descend(self: Any, x: Any) -> Any:
    loss = (self.w * x * self.k).tanh().sum()
    self.optimizer.zero_grad()
    loss.backward()
    self.optimizer.step()
    return loss


class Trainer:
    def __init__(self, k: float = 2.0) -> None:
        self.w = mg.ones(3, requires_grad=True)
        self.k, self.optimizer = k, optim.SGD([self.w], lr=0.1)

    step = mg.compile(descend)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(mg.ones(3))

    def scaled(self, x: Any) -> Any:
        return (self.w * x).tanh()

    @mg.compile
    def forward(self, x: Any) -> Any:
        return self.scaled(x)


@mg.compile
def doubled(x: Any) -> Any:
    return x * 2


def act(name: str, *args: Any) -> Any:
    """Calls a method of world.one by its name."""
    return lambda world: getattr(world.one, name)(mg.tensor(X), *args)


def replayed(step: Any) -> int:
    return mg.compile.explain(step).replays


def test_super_calls_the_step_of_the_base_class() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        class A:
            w = mg.ones(3)

            @wrap
            def step(self, x: Any) -> Any:
                return self.w * x

        class B(A):
            @wrap
            def step(self, x: Any) -> Any:
                return super().step(x) * 3

        class C(B):
            @wrap
            def step(self, x: Any) -> Any:
                return super().step(x) + 1

        return SimpleNamespace(one=C())

    made = beside(make, [act("step")] * 5)
    assert replayed(made.one.step) >= 2


def test_methods_of_one_name_in_a_class_are_apart() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        def times(k: float) -> Any:
            def step(self: Any, x: Any) -> Any:
                return self.w * x * k

            return step

        class A:
            w = mg.ones(3)
            two, three = wrap(times(2.0)), wrap(times(3.0))
            four, five = wrap(lambda self, x: x * 4), wrap(lambda self, x: x * 5)

        return SimpleNamespace(one=A())

    made = beside(make, [act(name) for name in ("two", "three", "four", "five")] * 5)
    assert [replayed(getattr(made.one, name)) for name in ("two", "three", "four", "five")] == [3] * 4


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_has_a_step_of_its_own(again: Any) -> None:
    one, eager = Trainer(), Trainer()
    for _ in range(4):
        assert plain(one.step(X)) == plain(descend(eager, X))
    two, eager_two = again(one), again(eager)
    two.k = eager_two.k = 5.0
    for _ in range(4):
        assert plain(two.step(X)) == plain(descend(eager_two, X))
        assert plain(one.step(X)) == plain(descend(eager, X))
        assert plain(two.w) == plain(eager_two.w) and plain(one.w) == plain(eager.w)
    assert replayed(two.step) == 2 and two.step is not one.step and two.step.function.__self__ is two


def test_a_module_is_copied_and_pickled() -> None:
    net = Net()
    net.other = mg.compile(net.scaled)
    want = net(mg.tensor(X))
    assert plain(net.other(mg.tensor(X))) == plain(net(mg.tensor(X))) == plain(want)
    for two in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), pickle.loads(pickle.dumps(net.forward))):
        module = two if isinstance(two, Net) else two.function.__self__
        assert plain(two(mg.tensor(X))) == plain(want)
        with mg.no_grad():
            module.w += 1
        assert module is not net and module.other.function.__self__ is module
        assert plain(two(mg.tensor(X))) == plain(module.other(mg.tensor(X))) != plain(want)
    assert plain(net(mg.tensor(X))) == plain(want)


def test_a_function_is_copied_and_pickled_as_functions_are() -> None:
    for again in (copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        assert again(doubled) is doubled and again(Trainer.step.function) is descend
    assert plain(copy.deepcopy({"f": mg.compile(descend)})["f"].function) == "descend"


@pytest.mark.parametrize("more", [(), ("__weakref__",)])
def test_an_object_with_slots(more: tuple[str, ...]) -> None:
    def make(wrap: Any) -> SimpleNamespace:
        class A:
            __slots__ = ("k", *more)

            def __init__(self, k: float) -> None:
                self.k = k

            def __repr__(self) -> str:
                return f"A({self.k})"

            def __eq__(self, other: Any) -> bool:
                return True

            __hash__ = None

            @wrap
            def step(self, x: Any) -> Any:
                return x * self.k

        return SimpleNamespace(one=A(2.0), two=A(3.0), kind=A)

    made = beside(make, [act("step"), lambda w: w.two.step(mg.tensor(X))] * 5)
    assert replayed(made.one.step) == replayed(made.two.step) == 3
    for k in range(100):  # objects that are gone: the next ones have their ids
        assert plain(made.kind(float(k)).step(mg.tensor(X))) == plain(mg.tensor(X) * float(k))
    assert len(vars(made.kind)["step"]._others) == 8


def test_an_object_whose_dict_is_itself() -> None:
    class Table(dict):
        def __init__(self, **items: Any) -> None:
            super().__init__(items)
            self.__dict__ = self

        @mg.compile
        def step(self, x: Any) -> Any:
            return x * self.k

    table = Table(k=2.0)
    for _ in range(4):
        assert plain(table.step(mg.tensor(X))) == plain(mg.tensor(X) * 2.0)
    assert replayed(table.step) == 2 and list(table) == ["k"]


def test_class_methods_and_static_methods() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        class A:
            k = 2.0

            @classmethod
            @wrap
            def step(cls, x: Any) -> Any:
                return x * cls.k

            @wrap
            @staticmethod
            def double(x: Any) -> Any:
                return x * 2

            @staticmethod
            @wrap
            def triple(x: Any) -> Any:
                return x * 3

        class B(A):
            k = 3.0

        return SimpleNamespace(one=A, two=B(), change=lambda: setattr(B, "k", 4.0))

    names = ("step", "double", "triple")
    actions = [action for name in names for action in (act(name), lambda w, name=name: getattr(w.two, name)(X))]
    made = beside(make, [*actions * 4, lambda w: w.change(), *actions * 2])
    if isinstance(made.one.step, MethodType):  # Python 3.13 binds what a classmethod holds to the class itself
        return
    assert replayed(made.one.step) == 4 and replayed(made.two.step) == 3


def test_what_is_no_descriptor_is_not_bound() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        class A:
            step = wrap(functools.partial(lambda k, x: x * k, 3.0))

        return SimpleNamespace(one=A())

    beside(make, [act("step")] * 4)


def test_a_dropped_object_frees_its_memory() -> None:
    one = Trainer()
    two = copy.copy(one)
    for made in (one, two):
        for _ in range(4):
            made.step(X)
    refs = [weakref.ref(x) for x in (one, two, one.w, one.step, *one.step.captured[0].plan.buffers)]
    del one, two, made
    gc.collect()
    assert [ref() for ref in refs] == [None] * len(refs)


def test_attributes_of_the_function_do_not_stand_for_those_of_the_step() -> None:
    def other(x: Any) -> Any:
        return x * 100

    def f(x: Any) -> Any:
        return x * 2

    for name in (
        "function",
        "captured",
        "reasons",
        "given_up",
        "_run",
        "_replay",
        "_lock",
        "_code",
        "reset",
        "backend",
    ):
        setattr(f, name, other)
    f.note = "kept"
    step = mg.compile(f)
    for _ in range(4):
        assert plain(step(mg.tensor(X))) == plain(mg.tensor(X) * 2)
    assert replayed(step) == 2 and step.backend == "numpy"
    assert step.note == "kept" and step.__wrapped__ is f and step.__name__ == "f"
    f.note = "new"
    assert step.note == "new"
    step.reset()
    assert replayed(step) == 0
    with pytest.raises(AttributeError, match="nothing"):
        step.nothing  # noqa: B018


def test_attributes_of_a_compiled_step_are_looked_at() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        world = SimpleNamespace()

        def step(x: Any) -> Any:
            return x * world.step.k

        step.k = 2.0  # type: ignore[attr-defined]
        world.step = wrap(step)
        world.inside = step
        return world

    def change(value: float) -> Any:
        return lambda w: setattr(w.step, "k", value)

    def run(w: Any) -> Any:
        return w.step(mg.tensor(X))

    made = beside(
        make,
        [
            *[run] * 4,
            lambda w: setattr(w.inside, "k", 3.0),
            *[run] * 3,
            change(4.0),
            *[run] * 3,
            change(5.0),
            *[run] * 3,
        ],
    )
    assert replays(made) >= 6


def test_what_a_compiled_step_within_another_hangs_on_is_looked_at() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        settings = SimpleNamespace(k=2.0)
        inner = wrap(lambda x: x * settings.k)
        return SimpleNamespace(step=wrap(lambda x: inner(x) + 1), settings=settings)

    def run(w: Any) -> Any:
        return w.step(mg.tensor(X))

    made = beside(make, [*[run] * 4, lambda w: setattr(w.settings, "k", 3.0), *[run] * 4])
    assert replays(made) >= 4


def test_a_method_that_looks_attributes_up_by_name_is_replayed() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        class A:
            k, names = 2.0, ("k",)

            @wrap
            def step(self, x: Any) -> Any:
                for name in self.names:
                    x = x * getattr(self, name)
                return x

        return SimpleNamespace(one=A())

    made = beside(make, [*[act("step")] * 4, lambda w: setattr(w.one, "k", 3.0), *[act("step")] * 4])
    assert replayed(made.one.step) == 5
