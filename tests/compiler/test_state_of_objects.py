"""As test_state.py, for attributes in all the ways that Python looks them up, and for methods."""

import dataclasses
import functools
import types
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from .changes import change_is_seen, scaled, worlds

TABLE = {"k": 2.0}


def dataclass_object(wrap):
    @dataclasses.dataclass
    class Config:
        k: float = 2.0

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(config, "k", value))


def frozen_dataclass(wrap):
    @dataclasses.dataclass(frozen=True, slots=True)
    class Config:
        k: float = 2.0

    holder = SimpleNamespace(config=Config())
    return scaled(wrap, lambda: holder.config.k, change=lambda value: setattr(holder, "config", Config(value)))


def dict_exchanged_whole(wrap):
    class Config:
        def __init__(self) -> None:
            self.k = 2.0

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(config, "__dict__", {"k": value}))


def key_whose_repr_is_a_name(wrap):
    class Named(int):  # as the constants of re
        def __repr__(self) -> str:
            return "LITERAL"

    class Word(str):
        __slots__ = ()

        def __repr__(self) -> str:
            return "WORD"

    one, k = Named(1), Word("k")
    held = {one: 2.0, k: 1.0}
    return scaled(wrap, lambda: held[one] * held[k], change=lambda value: held.update({one: value}))


def slots(wrap):
    class Config:
        __slots__ = ("k",)

    config = Config()
    config.k = 2.0
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(config, "k", value))


def private_slots(wrap):
    class Config:
        __slots__ = ("__k",)

        def __init__(self):
            self.__k = 2.0

        def get(self):
            return self.__k

        def set(self, value):
            self.__k = value

    config = Config()
    return scaled(wrap, config.get, change=config.set)


def slot_by_its_name(wrap):
    class Config:
        __slots__ = ("k",)

    config, name = Config(), "k"
    config.k = 2.0
    return scaled(wrap, lambda: getattr(config, name), change=lambda value: setattr(config, "k", value))


def class_attribute(wrap):
    class Config:
        k = 2.0

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(Config, "k", value))


def inherited_class_attribute(wrap):
    class Base:
        k = 2.0

    class Config(Base):
        pass

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(Base, "k", value))


def class_attribute_shadowed_by_a_subclass(wrap):
    class Base:
        k = 2.0

    class Config(Base):
        pass

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(Config, "k", value))


def class_attribute_shadowed_by_the_object(wrap):
    class Config:
        k = 2.0

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(config, "k", value))


def class_attribute_of_the_class(wrap):
    class Config:
        k: ClassVar = 2.0

    return scaled(wrap, lambda: Config.k, change=lambda value: setattr(Config, "k", value))


def attribute_of_a_metaclass(wrap):
    class Meta(type):
        k = 2.0

    class Config(metaclass=Meta):
        pass

    return scaled(wrap, lambda: Config.k, change=lambda value: setattr(Meta, "k", value))


def list_in_a_class(wrap):
    class Config:
        ks: ClassVar = [2.0]

    config = Config()
    return scaled(wrap, lambda: config.ks[0], change=lambda value: Config.ks.__setitem__(0, value))


def a_property(wrap):
    class Config:
        def __init__(self):
            self._k = 1.0

        @property
        def k(self):
            return 2 * self._k

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(config, "_k", value / 2))


def a_descriptor(wrap):
    class Field:
        def __init__(self):
            self.value = 2.0

        def __get__(self, instance, owner):
            return self.value

    class Config:
        k = Field()

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: setattr(vars(Config)["k"], "value", value))


def looked_up_by_getattr(wrap):
    class Config:
        def __init__(self):
            self.values = {"k": 2.0}

        def __getattr__(self, name):
            return self.values[name]

    config = Config()
    return scaled(wrap, lambda: config.k, change=lambda value: config.values.update(k=value))


def attribute_by_its_name(wrap):
    config, name = SimpleNamespace(k=2.0), "k"
    return scaled(wrap, lambda: getattr(config, name), change=lambda value: setattr(config, "k", value))


def attribute_by_an_attrgetter(wrap):
    import operator

    config, get = SimpleNamespace(k=2.0), operator.attrgetter("k")
    return scaled(wrap, lambda: get(config), change=lambda value: setattr(config, "k", value))


def attribute_by_a_new_attrgetter(wrap):
    from operator import attrgetter

    config = SimpleNamespace(k=2.0)
    return scaled(wrap, lambda: attrgetter("k")(config), change=lambda value: setattr(config, "k", value))


def attribute_by_an_attrgetter_of_another_name(wrap):
    from operator import attrgetter as look

    config, name = SimpleNamespace(k=2.0), "k"
    return scaled(wrap, lambda: look(name)(config), change=lambda value: setattr(config, "k", value))


def attributes_by_reduce(wrap):
    config, path = SimpleNamespace(a=SimpleNamespace(k=2.0)), "a.k"
    return scaled(
        wrap,
        lambda: functools.reduce(getattr, path.split("."), config),
        change=lambda value: setattr(config.a, "k", value),
    )


def attributes_by_map(wrap):
    config, names = SimpleNamespace(k=2.0), ["k"]
    return scaled(
        wrap, lambda: sum(map(getattr, [config], names)), change=lambda value: setattr(config, "k", value)
    )  # fmt: skip


def attribute_by_getattr_of_another_name(wrap):
    config, look, name = SimpleNamespace(k=2.0), getattr, "k"
    return scaled(wrap, lambda: sum(map(look, [config], [name])), change=lambda value: setattr(config, "k", value))


def attribute_by_a_partial(wrap):
    config = SimpleNamespace(k=2.0)
    return scaled(wrap, functools.partial(getattr, config, "k"), change=lambda value: setattr(config, "k", value))


def attribute_by_a_bound_getattribute(wrap):
    config, name = SimpleNamespace(k=2.0), "k"
    look = config.__getattribute__
    return scaled(wrap, lambda: look(name), change=lambda value: setattr(config, "k", value))


def attribute_of_a_module_by_its_name(wrap):
    module, name = types.ModuleType("settings_of_a_test"), "k"
    module.k = 2.0
    return scaled(wrap, lambda: getattr(module, name), change=lambda value: setattr(module, "k", value))


def attribute_in_a_format(wrap):
    config, text = SimpleNamespace(k=2.0), "{0.k}"
    return scaled(wrap, lambda: float(text.format(config)), change=lambda value: setattr(config, "k", value))


def attribute_in_a_bound_format(wrap):
    config, text = SimpleNamespace(k=2.0), "{0.k}".format
    return scaled(wrap, lambda: float(text(config)), change=lambda value: setattr(config, "k", value))


def namespaces_that_are_equal(wrap):
    one, two = SimpleNamespace(k=2.0), SimpleNamespace(k=2.0)

    def change(value):
        one.k = value
        two.k = value if value == 4.0 else 2.0

    return scaled(wrap, lambda: 2.0 if one == two else 3.0, change=change)


def namespace_in_a_list(wrap):
    one, some = SimpleNamespace(k=2.0), [SimpleNamespace(k=3.0)]
    return scaled(wrap, lambda: 2.0 if one in some else 3.0, change=lambda value: setattr(one, "k", value))


def fields_of_a_dataclass(wrap):
    @dataclasses.dataclass
    class Config:
        k: float = 2.0

    config = Config()
    return scaled(wrap, lambda: sum(dataclasses.astuple(config)), change=lambda value: setattr(config, "k", value))


def attribute_from_the_dict_of_an_object(wrap):
    config = SimpleNamespace(k=2.0)
    return scaled(wrap, lambda: config.__dict__["k"], change=lambda value: setattr(config, "k", value))


def attribute_in_a_pattern(wrap):
    class Config:
        __match_args__ = ("k",)

        def __init__(self):
            self.k = 2.0

    config = Config()

    def factor():
        match config:
            case Config(k=2.0):
                return 2.0
            case Config(other):
                return other

    return scaled(wrap, factor, change=lambda value: setattr(config, "k", value))


def callable_object(wrap):
    class Factor:
        def __init__(self):
            self.k = 2.0

        def __call__(self):
            return self.k

    factor = Factor()
    return scaled(wrap, factor, change=lambda value: setattr(factor, "k", value))


def bound_method(wrap):
    class Config:
        def __init__(self):
            self.k = 2.0

        def factor(self):
            return self.k

    config = Config()
    return scaled(wrap, config.factor, change=lambda value: setattr(config, "k", value))


def static_and_class_method(wrap):
    class Config:
        k = 2.0

        @staticmethod
        def one():
            return TABLE["k"]

        @classmethod
        def two(cls):
            return cls.k

    def change(value):
        Config.k = value
        TABLE["k"] = value / 2

    TABLE["k"] = 2.0
    return scaled(wrap, lambda: Config.one() * Config.two(), change=change)


def method_replaced_in_the_class(wrap):
    class Config:
        def factor(self):
            return 2.0

    config = Config()
    return scaled(wrap, lambda: config.factor(), change=lambda value: setattr(Config, "factor", lambda self: value))


def method_replaced_in_the_object(wrap):
    class Config:
        def factor(self):
            return 2.0

    config = Config()
    return scaled(wrap, lambda: config.factor(), change=lambda value: setattr(config, "factor", lambda: value))


def special_method_replaced(wrap):
    class Config:
        def __float__(self):
            return 2.0

    config = Config()
    return scaled(wrap, lambda: float(config), change=lambda value: setattr(Config, "__float__", lambda self: value))


def three_classes():
    """With the numbers of the first calls and of the two changes."""
    return [type(name, (), {"k": k}) for name, k in (("A", 2.0), ("B", 3.0), ("C", 4.0))]


def class_of_the_object_replaced(wrap):
    A, B, C = three_classes()
    config = A()
    return scaled(
        wrap, lambda: config.k, change=lambda value: setattr(config, "__class__", {3.0: B, 4.0: C}.get(value, A))
    )  # fmt: skip


def bases_of_a_class_replaced(wrap):
    A, B, C = three_classes()

    class Config(A):
        pass

    config = Config()
    return scaled(
        wrap, lambda: config.k, change=lambda value: setattr(Config, "__bases__", ({3.0: B, 4.0: C}[value],))
    )  # fmt: skip


@pytest.mark.parametrize("make", worlds(globals()), ids=lambda f: f.__name__)
def test_a_change_is_seen(make: Any) -> None:
    change_is_seen(make, make.__name__ in ("attribute_by_an_attrgetter", "fields_of_a_dataclass"))
