"""The walk through the Python state that a step hangs on: what it can reach by the names that its code uses.

`reach` goes from the function through its closure, globals, defaults and the objects it is bound to or was given, but
only along names that occur in code which ran, and notes each thing that it meets with the place it stands in.
"""

from __future__ import annotations

import builtins
import dis
import enum
import functools
import operator
import sys
import types
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..random import Generator
from ..tensor import Tensor
from .state import ATOMS, MISSING, Entry, same
from .watching import PACKAGE

MANY = 5000  # things in one list or dict, beyond which a step is not followed
METHODS = "_compiled_methods"  # the attribute in which an object keeps what its compiled methods captured

# Modules whose own globals do not change what a step computes; objects of their classes are walked all the same.
TRUSTED = {
    "minigrad", "numpy", "viz", "builtins", "typing", "types", "functools", "contextlib", "enum", "dataclasses",
    "collections", "abc", "math", "operator",
}  # fmt: skip
# By these, code reaches attributes by names that stand nowhere in it.
DYNAMIC = {
    "__dict__", "__getattribute__", "__getattr__", "__setattr__", "__delattr__", "attrgetter", "methodcaller",
    "getattr", "setattr", "delattr", "hasattr", "vars", "format", "format_map", "asdict", "astuple",
}  # fmt: skip
# Classes written in C whose content is walked; objects of all others have state that cannot be seen.
OPEN = (
    object, type, list, tuple, dict, set, frozenset, deque, OrderedDict, defaultdict, types.SimpleNamespace, *ATOMS,
)  # fmt: skip
DESCRIPTORS = (
    types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType,
    types.ClassMethodDescriptorType, type(vars(namedtuple("One", "x"))["x"]),
)  # fmt: skip
BUILTINS = (types.BuiltinFunctionType, types.MethodWrapperType, *DESCRIPTORS)
# What Module.__getattr__ and the `value` of an enum look into.
MEMBERS = ("_parameters", "_buffers", "_modules", "_value_")
PLAIN = frozenset(kind for kind in ATOMS if kind.__module__ == "builtins")


@dataclass
class Code:
    """What is known of the Python that a step runs: the code, and whether it looks attributes up by made-up names."""

    codes: set[types.CodeType] = field(default_factory=set)
    dynamic: bool = False
    compares: bool = False  # whether it has an == or an `in`
    spaces: bool = False  # whether it may compare SimpleNamespaces, which looks at all that they hold
    names: set[str] = field(default_factory=set)
    orders: dict[int, Order] = field(default_factory=dict)  # of what the last walk met, by id
    views: dict[type, Any] = field(
        default_factory=dict
    )  # of classes' dicts, for which Python makes a new one each time

    def add(self, codes: set[types.CodeType], dynamic: bool) -> None:
        """Take in what a run was seen to run."""
        self.codes |= codes
        for code in codes:
            names = _names(code)
            self.names |= names
            if not code.co_filename.startswith(PACKAGE):
                self.dynamic |= bool(names & DYNAMIC)
                self.compares |= bool(names & {"eq", "ne"}) or any(map(_compares, dis.get_instructions(code)))
        self.dynamic |= dynamic

    def imports(self) -> list[tuple[Any, str]]:
        """The modules that it imports as it runs."""
        names: set[str] = set()
        for code in self.codes:
            if dis.opmap["IMPORT_NAME"] in code.co_code[::2]:
                names |= set(code.co_names)
        return [
            (module, name)
            for name, module in list(sys.modules.items())
            if names and (name in names or name.rpartition(".")[2] in names)
        ]


class Order:
    """The keys of a dict, or the elements of a set, in the order they stand in; `kept`: whether they still do."""

    def __init__(self, held: Any) -> None:
        self.held, self.keys = held, list(held)

    @property
    def kept(self) -> bool:
        held, keys = self.held, self.keys
        return len(held) == len(keys) and (all(map(operator.is_, held, keys)) or all(map(_alike, held, keys)))


@dataclass
class Reached:
    """What a walk met."""

    entries: list[Entry] = field(default_factory=list)
    tensors: dict[Tensor, str] = field(default_factory=dict)
    arrays: list[tuple[np.ndarray, str]] = field(default_factory=list)
    opaque: list[tuple[Any, str]] = field(default_factory=list)
    things: dict[int, Any] = field(default_factory=dict)  # all that was met, by id


def reach(roots: Iterable[tuple[Any, str]], code: Code) -> Reached:
    """Walk from *roots*, (thing, what it is called) each, along the names that code which ran uses.

    If that code also looks attributes up by names that are made as it runs, all of an object counts.
    """
    roots = list(roots)
    while True:
        walk = _Walk(code)
        walk.queue.extend(roots)
        walk.queue.extend(code.imports())
        while walk.queue:
            x, path = walk.queue.popleft()
            if _is_plain(x) or id(x) in walk.found.things:
                continue
            walk.found.things[id(x)] = x
            walk.visit(x, path)
        if (walk.dynamic, walk.spaces) == (code.dynamic, code.spaces):
            code.orders = walk.orders
            return walk.found
        code.dynamic, code.spaces = walk.dynamic, walk.spaces  # once more: there is more to see


class _Walk:
    def __init__(self, code: Code) -> None:
        self.code, self.names, self.dynamic, self.spaces = code, code.names, code.dynamic, code.spaces
        self.found = Reached()
        self.queue: deque[tuple[Any, str]] = deque()
        self.orders: dict[int, Order] = {}
        self.met = 0  # SimpleNamespaces

    def put(self, kind: str, container: Any, key: Any, value: Any, path: str) -> None:
        """Note a thing in its place, and go on to it."""
        self.found.entries.append(Entry(kind, container, key, value, path))
        if value is not MISSING and not _is_plain(value):
            self.queue.append((value, path))

    def note(self, kind: str, container: Any, value: Any, path: str) -> None:
        self.found.entries.append(Entry(kind, container, None, value, path))

    def order(self, x: Any, path: str) -> None:
        """Note the order of a dict or set."""
        if all(type(key) in (str, int) for key in x):
            self.note("order", x, list(x), path)
            return
        order = self.code.orders.get(id(x))
        if order is None or not order.kept:
            order = Order(x)
        self.orders[id(x)] = order  # the same one in the next walk, as long as it is kept
        self.found.entries.append(Entry("attribute", order, "kept", True, path))

    def visit(self, x: Any, path: str) -> None:
        from .compiled import Compiled

        queue = self.queue
        self.dynamic |= _looks_up(x)
        if isinstance(x, Tensor):
            self.found.tensors[x] = path
            if x._extra is not None and x._extra.hooks:
                queue.append((x._extra.hooks, f"the hooks of {path}"))
            if not known(type(x)):
                self.members(x, path)
        elif isinstance(x, np.ndarray):
            (self.found.opaque if x.dtype.hasobject else self.found.arrays).append((x, path))
        elif isinstance(x, types.FunctionType):
            self.function(x, path)
        elif isinstance(x, types.MethodType):
            queue.extend(((x.__func__, path), (x.__self__, path.rpartition(".")[0] or path)))
        elif isinstance(x, functools.partial):
            queue.extend(((x.func, path), (x.args, path), (x.keywords, path)))
            self.members(x, path)
        elif isinstance(x, Compiled):
            self.put("attribute", x, "function", x.function, path)
            self.attributes(vars(x), path)
        elif isinstance(x, (staticmethod, classmethod)):
            queue.append((x.__func__, path))
        elif isinstance(x, property):
            queue.extend((f, path) for f in (x.fget, x.fset, x.fdel) if f is not None)
        elif isinstance(x, (types.BuiltinFunctionType, types.MethodWrapperType)):
            owner = getattr(x, "__self__", None)
            if owner is not None and not isinstance(owner, (types.ModuleType, type)):
                queue.append((owner, path))
        elif isinstance(x, types.ModuleType):
            self.module(x, path)
        elif isinstance(x, type):
            self.cls(x, path)
        elif isinstance(x, (Generator, np.ufunc, types.CodeType, *DESCRIPTORS)) or type(x).__module__ == "typing":
            return  # a draw ends a capture by itself; the others do not change
        elif not self.made_of_python(type(x)):
            if type(x).__module__.partition(".")[0] != "numpy" or type(x).__module__.startswith("numpy.random"):
                self.found.opaque.append((x, path))
        else:
            self.items(x, path)
            self.members(x, path)

    def made_of_python(self, cls: type) -> bool:
        """Whether the state of its objects can be seen: it and all it inherits from are written in Python, or OPEN."""
        return all(c in OPEN or _in_python(c) for c in cls.__mro__)

    def items(self, x: Any, path: str) -> None:
        """What a container holds."""
        if not isinstance(x, (list, tuple, deque, dict, set, frozenset)):
            return
        if len(x) > MANY:
            self.found.opaque.append((x, path))
        elif isinstance(x, tuple):
            self.queue.extend((value, f"{path}[{i}]") for i, value in enumerate(x))
        elif isinstance(x, (list, deque)):
            self.note("len", x, len(x), f"the length of {path}")
            for i, value in enumerate(x):
                self.put("item", x, i, value, f"{path}[{i}]")
        elif isinstance(x, dict):
            self.note("len", x, len(x), f"the length of {path}")
            if len(x) > 1:
                self.order(x, f"the order of {path}")
            for key, value in list(x.items()):
                self.put("item", x, key, value, f"{path}[{key!r}]" if isinstance(key, str) else f"{path}[...]")
                self.queue.append((key, f"a key of {path}"))
        else:
            if isinstance(x, set):
                self.note("set", x, frozenset(x), f"the elements of {path}")
                if len(x) > 1:
                    self.order(x, f"the order of {path}")
            self.queue.extend((value, path) for value in x)

    def attributes(self, held: Any, path: str, more: tuple[str, ...] = (), whole: bool = False) -> None:
        """Those in the dict of an object that code which ran has names for."""
        # Another number of attributes: one may stand before its class's now.
        self.note("len", held, len(held), f"the number of attributes of {path}")
        for key, value in list(held.items()):
            if (self.dynamic or whole or key in self.names or key in more) and key != METHODS:
                self.put("item", held, key, value, f"{path}.{key}")

    def members(self, x: Any, path: str) -> None:
        """The attributes of an object that code which ran has names for, and its class."""
        if type(x) in OPEN and not hasattr(x, "__dict__"):
            return
        held = getattr(x, "__dict__", None)
        matched = getattr(type(x), "__match_args__", ())
        space = isinstance(x, types.SimpleNamespace)
        self.met += space
        self.spaces |= self.code.compares and self.met > 1
        if type(held) is dict:
            self.found.entries.append(Entry("attribute", x, "__dict__", held, f"the attributes of {path}"))
            self.attributes(held, path, (*MEMBERS, *matched), space and self.spaces)
        for cls in type(x).__mro__:
            for key, slot in list(vars(cls).items()) if _in_python(cls) else ():
                if type(slot) is types.MemberDescriptorType and (self.dynamic or key in self.names or key in matched):
                    value = getattr(x, key, MISSING)
                    self.put("attribute" if value is not MISSING else "unset", x, key, value, f"{path}.{key}")
        self.found.entries.append(Entry("attribute", x, "__class__", type(x), f"the class of {path}"))
        if not known(type(x)):
            self.queue.append((type(x), type(x).__name__))

    def function(self, x: types.FunctionType, path: str) -> None:
        trusted = known(x)
        if trusted and (x.__module__ or "").partition(".")[0] == "numpy":
            return
        for name, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
            try:
                self.put("cell", cell, name, cell.cell_contents, name)
            except ValueError:
                continue  # not filled yet
        if trusted:
            return
        self.put("attribute", x, "__code__", x.__code__, f"{path}.__code__")
        for key in ("__defaults__", "__kwdefaults__"):
            if getattr(x, key):
                self.put("attribute", x, key, getattr(x, key), f"{path}'s defaults")
        self.attributes(vars(x), path)
        if x.__code__ not in self.code.codes:
            return
        for name in _names(x.__code__):
            if name in x.__globals__:
                self.put("item", x.__globals__, name, x.__globals__[name], name)
            elif hasattr(builtins, name):
                self.put("absent", x.__globals__, name, MISSING, name)

    def module(self, x: types.ModuleType, path: str) -> None:
        if x.__name__ == "numpy.random" or (x.__name__ == "numpy" and "random" in self.names):
            self.found.opaque.append((x, "numpy.random"))
        elif _known_module(x.__name__):
            self.dynamic |= any(_looks_up(vars(x)[key]) for key in self.names & vars(x).keys())
        else:
            held = vars(x)
            for key in held.keys() if self.dynamic and not _installed(x) else self.names & held.keys():
                if key in self.names or not key.startswith("__"):
                    self.put("item", held, key, held[key], f"{path}.{key}")

    def cls(self, x: type, path: str) -> None:
        if isinstance(x, enum.EnumType):
            self.queue.extend((x.__members__[name], f"{path}.{name}") for name in x.__members__)
        self.found.entries.append(Entry("attribute", x, "__mro__", x.__mro__, f"the bases of {path}"))
        for cls in x.__mro__:
            if known(cls) or not _in_python(cls):
                continue
            held = self.code.views.setdefault(cls, vars(cls))
            self.note("len", held, len(held), f"the number of attributes of {cls.__name__}")
            for key, value in list(held.items()):
                ran = isinstance(value, types.FunctionType) and value.__code__ in self.code.codes
                if key in self.names or ran or (self.dynamic and not key.startswith("__")):
                    self.put("item", held, key, value, f"{cls.__name__}.{key}")
        if not known(type(x)):
            self.queue.append((type(x), type(x).__name__))


def _names(code: types.CodeType) -> set[str]:
    """The names of globals and attributes in a function's code, and in that of those defined in it."""
    names = set(code.co_names) | set(code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
        elif isinstance(constant, tuple):  # attributes in a pattern of `match`
            names |= {x for x in constant if isinstance(x, str)}
    return names


def _compares(instruction: dis.Instruction) -> bool:
    name, what = instruction.opname, str(instruction.argval)
    return name == "CONTAINS_OP" or (name == "COMPARE_OP" and ("==" in what or "!=" in what))


def _looks_up(x: Any) -> bool:
    """Whether it is a function written in C, or one of dataclasses, that reaches attributes by names it is given."""
    if isinstance(x, types.FunctionType):
        return x.__module__ == "dataclasses" and x.__name__ in ("asdict", "astuple", "replace")
    return isinstance(x, (*BUILTINS, type)) and getattr(x, "__name__", None) in DYNAMIC


def _is_plain(x: Any) -> bool:
    """Whether it holds no state at all, as objects of classes that inherit from int or Enum may."""
    return type(x) in PLAIN or isinstance(x, (np.dtype, np.generic))


def _alike(a: Any, b: Any) -> bool:
    """Whether two keys are the same; others that only say they are equal could be told apart."""
    if type(a) is type(b) is tuple:
        return len(a) == len(b) and all(map(_alike, a, b))
    return same(a, b)


def _installed(module: types.ModuleType) -> bool:
    """Whether a module is Python's own or was installed, and no part of the user's program."""
    file = (getattr(module, "__file__", None) or "").replace("\\", "/")
    return module.__name__.partition(".")[0] in sys.stdlib_module_names or "-packages/" in file


def _in_python(cls: type) -> bool:
    """Whether the class is written in Python."""
    if not cls.__flags__ & (1 << 9) or cls.__flags__ & (1 << 8):  # not on the heap, or not to be changed
        return False
    name = cls.__module__
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return name not in sys.builtin_module_names and not file.endswith((".so", ".pyd"))


def known(x: Any) -> bool:
    """Whether a class or function is of the modules that do not change."""
    return _known_module(getattr(x, "__module__", None) or "")


def _known_module(name: str) -> bool:
    return name.partition(".")[0] in TRUSTED
