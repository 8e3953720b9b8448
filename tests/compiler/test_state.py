"""What a step hangs on changes between two calls: it is captured anew or runs eagerly, never on the old value."""

import enum
import functools
import sys
import types
from collections import OrderedDict, defaultdict, deque, namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

from .changes import change_is_seen, scaled, worlds

GLOBAL = 2.0
TABLE = {"k": 2.0}


def first(things):
    held = [*things]  # next() ends a capture
    return held[0]


def closure(wrap):
    k = 2.0

    def change(value):
        nonlocal k
        k = value

    return scaled(wrap, lambda: k, change=change)


def module_global(wrap):
    globals()["GLOBAL"] = 2.0
    return scaled(wrap, lambda: GLOBAL, change=lambda value: globals().__setitem__("GLOBAL", value))


def global_of_another_module(wrap):
    module = sys.modules.setdefault("settings_of_a_test", types.ModuleType("settings_of_a_test"))
    module.k = 2.0
    return scaled(wrap, lambda: module.k, change=lambda value: setattr(module, "k", value))


def imported_in_the_step(wrap):
    module = sys.modules.setdefault("settings_of_a_test", types.ModuleType("settings_of_a_test"))
    module.k = 2.0

    def factor():
        import settings_of_a_test

        return settings_of_a_test.k

    return scaled(wrap, factor, change=lambda value: setattr(sys.modules["settings_of_a_test"], "k", value))


def default_argument(wrap):
    def factor(k=2.0):
        return k

    return scaled(wrap, factor, change=lambda value: setattr(factor, "__defaults__", (value,)))


def default_of_a_keyword(wrap):
    def factor(*, k=2.0):
        return k

    return scaled(wrap, factor, change=lambda value: factor.__kwdefaults__.update(k=value))


def attribute_of_a_function(wrap):
    def factor():
        return factor.k

    factor.k = 2.0
    return scaled(wrap, factor, change=lambda value: setattr(factor, "k", value))


def attribute(wrap):
    config = SimpleNamespace(k=2.0)
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(config, "k", value))


def item_of_a_dict(wrap):
    config = {"k": 2.0}
    return scaled(wrap, lambda: config["k"], change=lambda value: config.update(k=value))


def global_dict(wrap):
    TABLE["k"] = 2.0
    return scaled(wrap, lambda: TABLE["k"], change=lambda value: TABLE.update(k=value))


def nested(wrap):
    config = {"a": [SimpleNamespace(b=({"k": 2.0},))]}
    return scaled(wrap, lambda: config["a"][0].b[0]["k"], change=lambda value: config["a"][0].b[0].update(k=value))


def subclass_of_dict(wrap):
    class Config(dict):
        pass

    config = Config()
    config.k = 2.0
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(config, "k", value))


def attributes_from_a_dict(wrap):
    class Config(dict):
        __getattr__ = dict.__getitem__

    config = Config(k=2.0)
    return scaled(wrap, lambda: config.k, change=lambda value: config.update(k=value))


def default_dict(wrap):
    config = defaultdict(float, k=2.0)
    return scaled(wrap, lambda: config["k"], change=lambda value: config.update(k=value))


def ordered_dict(wrap):
    config = OrderedDict(k=2.0)
    return scaled(wrap, lambda: sum(config.values()), change=lambda value: config.update(k=value))


def item_of_a_list(wrap):
    ks = [1.0, 2.0]
    return scaled(wrap, lambda: ks[-1], change=lambda value: ks.__setitem__(1, value))


def list_that_grows(wrap):
    ks = [1.0, 1.0]
    return scaled(wrap, lambda: sum(ks), change=lambda value: ks.append(value))


def a_deque(wrap):
    ks = deque([1.0, 1.0], maxlen=2)
    return scaled(wrap, lambda: sum(ks), change=lambda value: ks.append(value))


def a_set(wrap):
    ks = {2.0}

    def change(value):
        ks.clear()
        ks.add(value)

    return scaled(wrap, lambda: sum(ks), change=change)


def order_of_a_dict(wrap):
    ks = {"a": 2.0, "b": 3.0}

    def change(value):
        ks["a"] = ks.pop("a") if value == 3.0 else 2.0

    return scaled(wrap, lambda: next(v for v in ks.values()), change=change)


def order_of_a_dict_by_its_list(wrap):
    ks = {"a": 2.0, "b": 3.0}

    def change(value):
        ks["a"] = ks.pop("a")

    return scaled(wrap, lambda: max(zip(range(2), ks.values(), strict=True))[1], change=change)


def order_of_enum_keys(wrap):
    Key = enum.Enum("Key", ["A", "B"])
    ks = {Key.A: 2.0, Key.B: 3.0}

    def change(value):
        key = next(iter(ks))
        ks[key] = ks.pop(key)

    return scaled(wrap, lambda: first(ks.values()), change=change)


def order_of_tuple_keys(wrap):
    ks = {(0, "a"): 2.0, (1, "b"): 3.0}

    def change(value):
        key = next(iter(ks))
        ks[key] = ks.pop(key)

    return scaled(wrap, lambda: first(ks.values()), change=change)


def order_of_tensor_keys(wrap):
    ks = {mg.ones(3): 2.0, mg.ones(3): 3.0}

    def change(value):
        key = next(iter(ks))
        ks[key] = ks.pop(key)

    return scaled(wrap, lambda: first(ks.values()), change=change)


def same_order_of_new_tuple_keys(wrap):
    ks = {(0, "a"): 2.0, (1, "b"): 3.0}

    def change(value):
        held = {tuple([*key]): k for key, k in ks.items()}
        ks.clear()
        ks.update(held)
        ks[(0, "a")] = value

    return scaled(wrap, lambda: first(ks.values()), change=change)


def filled_in_reverse(ks):
    order = [*ks]
    ks.clear()
    for k in order[::-1]:
        ks.add(k)
    assert [*ks] != order


def order_of_a_set(wrap):
    ks = {8, 0}

    return scaled(wrap, lambda: 2.0 + first(ks), change=lambda value: filled_in_reverse(ks))


def order_of_a_set_of_numbers(wrap):
    ks = {8.0, 0.0}

    return scaled(wrap, lambda: 2.0 + first(ks), change=lambda value: filled_in_reverse(ks))


def subclass_of_set(wrap):
    class Kinds(set):
        pass

    ks = Kinds([2.0])

    def change(value):
        ks.clear()
        ks.add(value)

    return scaled(wrap, lambda: sum(ks), change=change)


def a_partial(wrap):
    factor = functools.partial(lambda k: k, k=2.0)
    return scaled(wrap, factor, change=lambda value: factor.keywords.update(k=value))


def attribute_of_a_partial(wrap):
    factor = functools.partial(lambda: factor.k)
    factor.k = 2.0
    return scaled(wrap, factor, change=lambda value: setattr(factor, "k", value))


def cached(wrap):
    holder = SimpleNamespace(k=2.0)

    @functools.lru_cache
    def factor():
        return holder.k

    factor()

    def change(value):
        holder.k = value
        factor.cache_clear()

    return scaled(wrap, factor, change=change)


def cached_property(wrap):
    class Config:
        base = 2.0

        @functools.cached_property
        def k(self):
            return self.base

    config = Config()

    def change(value):
        config.base = value
        vars(config).pop("k", None)

    return scaled(wrap, lambda: config.k, change=change)


def a_weakref(wrap):
    import weakref

    class Config:
        k = 2.0

    config = Config()
    ref = weakref.ref(config)
    return scaled(wrap, lambda: ref().k, change=lambda value: setattr(config, "k", value), hidden=(config,))


def context_variable(wrap):
    import contextvars

    k = contextvars.ContextVar("k", default=2.0)
    return scaled(wrap, lambda: k.get(), change=lambda value: k.set(value) and None)


def an_enum(wrap):
    class Kind(enum.Enum):
        A = 2.0
        B = 3.0
        C = 4.0

    holder = SimpleNamespace(kind=Kind.A)
    return scaled(
        wrap, lambda: holder.kind.value, change=lambda value: setattr(holder, "kind", Kind(min(value, 4.0)))
    )  # fmt: skip


def value_of_an_enum(wrap):
    class Kind(enum.Enum):
        A = [2.0]

    return scaled(wrap, lambda: Kind.A.value[0], change=lambda value: Kind.A.value.__setitem__(0, value))


def attribute_of_an_enum(wrap):
    class Kind(enum.IntEnum):
        A = 1

    Kind.A.k = 2.0
    return scaled(wrap, lambda: Kind.A.k, change=lambda value: setattr(Kind.A, "k", value))


def attribute_of_a_number(wrap):
    class Size(int):
        pass

    size = Size(3)
    size.k = 2.0
    return scaled(wrap, lambda: size.k, change=lambda value: setattr(size, "k", value))


def named_tuple(wrap):
    Config = namedtuple("Config", "k")
    holder = SimpleNamespace(config=Config(2.0))
    return scaled(wrap, lambda: holder.config.k, change=lambda value: setattr(holder, "config", Config(value)))


def array_of_one(wrap):
    k = np.full((), 2.0, np.float32)
    return scaled(wrap, lambda: k, change=lambda value: k.fill(value))


def array_as_a_number(wrap):
    k = np.full((3,), 2.0)
    return scaled(wrap, lambda: float(k[1]), change=lambda value: k.fill(value))


def read_only_view_of_an_array(wrap):
    base = np.full((3,), 2.0)
    k = base[:]
    k.flags.writeable = False
    return scaled(wrap, lambda: float(k[1]), change=lambda value: base.fill(value))


def array_of_objects(wrap):
    k = np.array([[2.0]], dtype=object)
    k[0, 0] = [2.0]
    return scaled(wrap, lambda: k[0, 0][0], change=lambda value: k[0, 0].__setitem__(0, value))


def array_in_another_shape(wrap):
    k = np.ones((2, 3))

    def change(value):
        k.shape = (3, 2) if value == 3.0 else (6, 1) if value == 4.0 else (1, 6)

    return scaled(wrap, lambda: float(len(k)), change=change)


def bytes_array(wrap):
    k = bytearray([2])
    return scaled(wrap, lambda: float(k[0]), change=lambda value: k.__setitem__(0, int(value)))


def array_module(wrap):
    import array

    k = array.array("d", [2.0])
    return scaled(wrap, lambda: k[0], change=lambda value: k.__setitem__(0, value))


def iterator(wrap):
    ks = iter([2.0, 2.0, 2.0, 3.0] + [4.0] * 20)
    return scaled(wrap, lambda: next(ks), change=lambda value: None)


def iterator_in_a_loop(wrap):
    ks = iter([2.0, 2.0, 2.0, 3.0] + [4.0] * 20)

    def factor():
        for k in ks:
            return k

    return scaled(wrap, factor, change=lambda value: None)


def generator(wrap):
    ks = (float(2 + i // 3) for i in range(100))
    return scaled(wrap, lambda: next(ks), change=lambda value: None)


def counter(wrap):
    holder = SimpleNamespace(n=0)

    def factor():
        holder.n += 1
        return float(1 + holder.n // 3)

    return scaled(wrap, factor, change=lambda value: None, holder=holder)


def flag(wrap):
    holder = SimpleNamespace(k=2.0, on=True)
    return scaled(wrap, lambda: 2.0 if holder.on else 5.0, change=lambda value: setattr(holder, "on", value == 2.0))


def function_replaced(wrap):
    holder = SimpleNamespace(factor=lambda: 2.0)
    return scaled(wrap, lambda: holder.factor(), change=lambda value: setattr(holder, "factor", lambda: value))


def function_of_the_module_replaced(wrap):
    module = sys.modules.setdefault("settings_of_a_test", types.ModuleType("settings_of_a_test"))
    module.factor = lambda: 2.0
    return scaled(wrap, lambda: module.factor(), change=lambda value: setattr(module, "factor", lambda: value))


def code_replaced(wrap):
    def factor():
        return 2.0

    def three():
        return 3.0

    def four():
        return 4.0

    return scaled(
        wrap, factor, change=lambda value: setattr(factor, "__code__", (three if value == 3.0 else four).__code__)
    )


def builtin_shadowed(wrap):
    globals().pop("max", None)

    def change(value):
        globals()["max"] = lambda a, b: value

    world = scaled(wrap, lambda: max(1.0, 2.0), change=change)
    world.after = lambda: globals().pop("max", None)
    return world


def environment(wrap):
    import os

    os.environ["K_OF_A_TEST"] = "2"
    return scaled(
        wrap, lambda: float(os.environ["K_OF_A_TEST"]), change=lambda value: os.environ.update(K_OF_A_TEST=str(value))
    )  # fmt: skip


def factor_kept_by_a_module(wrap):
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.k = 2.0

        def forward(self):
            return self.k

    scale = Scale()
    return scaled(wrap, scale, change=lambda value: setattr(scale, "k", value))


def int_in_place_of_float(wrap):
    holder = SimpleNamespace(k=2.0)
    return scaled(wrap, lambda: holder.k / 3, change=lambda value: setattr(holder, "k", int(value)))


def minus_zero(wrap):
    holder = SimpleNamespace(k=0.0)
    return scaled(wrap, lambda: holder.k, change=lambda value: setattr(holder, "k", -0.0))


def bool_in_place_of_int(wrap):
    holder = SimpleNamespace(k=1)
    return scaled(
        wrap, lambda: 2.0 if holder.k is True else 3.0, change=lambda value: setattr(holder, "k", value == 3.0)
    )  # fmt: skip


# What ends a capture, since what it hangs on cannot be seen or changes with each call.
EAGER = {
    "cached", "a_weakref", "context_variable", "array_of_objects", "bytes_array", "array_module", "iterator",
    "iterator_in_a_loop", "generator", "counter", "order_of_a_dict",
}  # fmt: skip


@pytest.mark.parametrize("make", worlds(globals()), ids=lambda f: f.__name__)
def test_a_change_is_seen(make: Any) -> None:
    try:
        change_is_seen(make, make.__name__ in EAGER)
    finally:
        globals().pop("max", None)
