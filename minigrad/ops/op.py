"""What an op is: a forward, its gradients, and what they keep.

A rule is a class that is never instantiated; its functions are plain formulas:

    class Mul(Op):
        '''z = x * y,  dx = dz * y,  dy = dz * x'''

        def forward(x, y):
            return x * y

        def dx(dz, y):
            return dz * y

        def dy(dz, x):
            return dz * x

*forward* takes the inputs by position and the settings by keyword. The gradients are either one function an
input, named `d<input>`, of which only those are called whose input requires grad, or one `backward` that returns
them all (where they share work, or there is one input). Their first parameter is the gradient of the output and
names it (`dz`: the output is z). The others say by name what the node keeps, and nothing else is kept: the output
(`z`), an input (`x`), only its shape (`x_shape`), a setting (`dim`), or what forward hands on after its output
(named in `keeps`). So Exp, whose gradient is `dx(dy, y)`, keeps its result alone, and Add keeps nothing.

Where a rule `spends` one of those arrays, its gradient has a keyword `into`: the array itself once nobody will ask for
it again, to write the result to, or None.

Rules are plain numpy. Tensors speak numpy's protocols, so that the same rule run on Tensors is itself recorded:
second and higher derivatives come from the one set of rules.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import Any

from numpy import empty, ndarray

from .numpy1 import OLD, keeping


class Op:
    """Base of all rules; subclass it with forward and gradients to make an op of your own, and call `MyOp.apply(x)`.

    The docstring's first line is the formula (a drawn graph and the checkers show it).
    """

    symbol: str = ""  # what a picture writes on the op; the class's name in lower case if not given
    keeps: tuple[str, ...] = ()  # names of what forward returns after its output, for the gradients
    view: bool = False  # the output shares the input's memory
    # How operands come to one dtype, as torch does: "types"; "float": and ints become floats; "branches": but the
    # first; "numbers": as "types", and bools alone are refused
    promote: str | None = None
    integer_only: bool = False  # no gradient exists (comparisons, argmax)
    constant_extras: bool = False  # what `keeps` names has no gradient of its own (indices)
    spends: str = ""  # which of what `keeps` names the gradient may write its result to: see above

    _plans: dict[Any, Any]  # by which inputs require grad: the Plan; and by the same in bytes what records with it
    _rule: Rule | None

    forward: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in list(vars(cls).items()):
            if callable(value) and not isinstance(value, (type, staticmethod)) and not name.startswith("_"):
                if OLD and name == "forward":
                    value = keeping(value, cls.promote is not None or cls.__name__ == "PowScalar")
                setattr(cls, name, staticmethod(value))
        cls.symbol = vars(cls).get("symbol") or cls.__name__.lower()
        cls._plans = {}
        cls._rule = None

    @classmethod
    def apply(cls, *inputs: Any, **settings: Any) -> Any:
        """Run the op: recorded where an input is a Tensor, plainly on arrays otherwise (so a rule may call a rule)."""
        if len(inputs) > 1 or type(inputs[0]) is not ndarray:
            for x in inputs:
                recorded = getattr(type(x), "_apply", None)
                if recorded is not None:
                    return recorded(cls, *inputs, **settings)
        out = cls.forward(*inputs, **settings)
        return out[0] if cls.keeps else out

    @classmethod
    def plan(cls, needs: tuple[bool, ...]) -> Plan:
        """How to keep and run this rule when the inputs marked in *needs* require grad (made once, then looked up)."""
        plan = cls._plans.get(needs)
        if plan is None:
            if cls._rule is None:
                cls._rule = Rule(cls)
            plan = cls._plans[needs] = Plan(cls, cls._rule, needs)
        return plan


class Rule:
    """A rule read from its functions' signatures: inputs, settings, and what each gradient asks for."""

    op: type[Op]
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    variadic: bool
    defaults: dict[str, Any]
    joint: Callable[..., Any] | None
    single: dict[str, Callable[..., Any]]

    def __init__(self, op: type[Op]) -> None:
        self.op = op
        code = _function(op, "forward").__code__
        names = code.co_varnames
        self.inputs = names[: code.co_argcount]
        self.settings = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        self.variadic = bool(code.co_flags & 0x04)
        if self.variadic:
            if self.inputs:
                raise TypeError(f"{op.__name__}.forward: take the inputs either one by one or as *xs, not both")
            self.inputs = (names[code.co_argcount + code.co_kwonlyargcount],)
        self.defaults = _function(op, "forward").__kwdefaults__ or {}
        self.joint = getattr(op, "backward", None)
        self.single = {name: getattr(op, "d" + name) for name in self.inputs if hasattr(op, "d" + name)}

    def wants(self, gradient: Callable[..., Any]) -> list[tuple[str, Any]]:
        """What a gradient function asks for after its first parameter: (kind, which) each."""
        op, code = self.op, gradient.__code__
        names = code.co_varnames[: code.co_argcount]
        where = f"{op.__name__}.{gradient.__name__}"
        if not names or not names[0].startswith("d") or len(names[0]) < 2:
            raise TypeError(f"{where}: name the first parameter d<output>, for example dz for an output z")
        out = names[0][1:]
        found: list[tuple[str, Any]] = []
        for name in names[1:]:
            if name in self.inputs:
                found.append(("input", self.inputs.index(name)))
            elif name.endswith("_shape") and name[:-6] in self.inputs:
                found.append(("shape", self.inputs.index(name[:-6])))
            elif name == out:
                found.append(("output", None))
            elif name in self.settings:
                found.append(("setting", name))
            elif name in op.keeps:
                found.append(("extra", op.keeps.index(name)))
            else:
                known = [out, *self.inputs, *(f"{x}_shape" for x in self.inputs), *self.settings, *op.keeps]
                raise TypeError(f"{where} asks for {name!r}; it can ask for {', '.join(known)}")
        return found

    def source(self, want: tuple[str, Any]) -> str:
        """The expression that fetches what is wanted from (out, s, extra, x0, x1, ...), or (..., *x) if variadic."""
        kind, which = want
        if kind == "input":
            return "x" if self.variadic else f"x{which}"
        if kind == "shape":
            return "tuple([a.shape for a in x])" if self.variadic else f"x{which}.shape"
        if kind == "setting":
            return f"s.get({which!r}, defaults[{which!r}])" if which in self.defaults else f"s[{which!r}]"
        return "out" if kind == "output" else f"extra[{which}]"


class Plan:
    """One rule for one set of inputs that require grad: what a node keeps, and which gradients it computes.

    save(out, settings, extra, *arrays) returns the kept values, whose source is `kept`; run(dout, kept) the gradients
    of the inputs at `positions` (of all inputs for a joint backward), and last(dout, kept) the same where the kept
    values are of no use afterwards. All are compiled from the signatures, as namedtuple compiles its methods: a loop
    here would cost more than many an op does. `calls` are the gradients' sources, of d and k in `scope`, from which the
    walk compiles its `carry`.
    """

    __slots__ = (
        "all", "alone", "calls", "carry", "joint", "keeps_arrays", "kept", "last", "op", "positions", "run", "save",
        "scope", "variadic", "wants", "watched", "watches_out",
    )  # fmt: skip

    op: type[Op]
    positions: tuple[int, ...]
    alone: bool  # whether there is but one position
    joint: bool
    variadic: bool
    wants: list[tuple[str, Any]]
    watched: tuple[int, ...]
    watches_out: bool
    kept: str
    keeps_arrays: bool
    save: Any
    run: Any
    last: Any
    calls: list[str]
    scope: dict[str, Any]
    carry: Any

    def __init__(self, op: type[Op], rule: Rule, needs: tuple[bool, ...]) -> None:
        self.op = op
        self.positions = tuple([i for i, need in enumerate(needs) if need])
        self.all = all(needs)
        self.alone = len(self.positions) == 1
        self.joint = rule.joint is not None
        if rule.joint is not None:
            functions = [rule.joint]
        else:
            asked_for = [rule.inputs[min(i, len(rule.inputs) - 1)] for i in self.positions]
            missing = [name for name in asked_for if name not in rule.single]
            if missing:
                names = ", ".join(missing)
                raise TypeError(f"{op.__name__} has no gradient for {names}: give it d{missing[0]} or backward")
            functions = [rule.single[name] for name in asked_for]
        asked = [rule.wants(function) for function in functions]
        self.wants = list(dict.fromkeys(want for wants in asked for want in wants))  # (kind, which) of each kept value
        inputs = {which for kind, which in self.wants if kind == "input"}
        # Values that must not change in place before backward: these inputs, and the output.
        self.watched = tuple(range(len(needs))) if rule.variadic and inputs else tuple(sorted(inputs))
        self.watches_out = any(kind == "output" for kind, _ in self.wants)
        self.keeps_arrays = any(kind in ("input", "output", "extra") for kind, _ in self.wants)
        kept = "".join(rule.source(want) + ", " for want in self.wants)
        arrays = [f"x{i}" for i in range(len(needs))]
        # An extra that depends on the inputs is worked out again from them for a second derivative: see lift.
        if any(kind == "extra" for kind, _ in self.wants) and not op.constant_extras:
            kept += "x, " if rule.variadic else f"({', '.join(arrays)},), "
        self.kept, self.variadic = kept, rule.variadic
        given = "*x" if rule.variadic else ", ".join(arrays)
        scope = {"defaults": rule.defaults, **{f"f{i}": function for i, function in enumerate(functions)}}
        self.save = eval(f"lambda out, s, extra, {given}: ({kept})", scope) if kept else None
        calls = [
            f"f{i}(d, {', '.join(f'k[{self.wants.index(want)}]' for want in wants)})" for i, wants in enumerate(asked)
        ]
        self.run = eval(f"lambda d, k: {calls[0]}" if self.joint else f"lambda d, k: ({', '.join(calls)},)", scope)
        self.last, self.calls, self.scope, self.carry = self.run, calls, scope, None
        if op.spends:
            want = ("extra", op.keeps.index(op.spends)) if op.spends in op.keeps else None
            if want not in asked[0] or len(asked) > 1 or "into" not in (functions[0].__kwdefaults__ or {}):
                raise TypeError(
                    f"{op.__name__} spends {op.spends!r}: that is one of what it keeps, and its one gradient function "
                    f"asks for it and has a keyword into=None"
                )
            at = self.wants.index(want)
            call = f"{calls[0][:-1]}, into=i)"
            spending = eval(f"lambda d, k, i: {call}" if self.joint else f"lambda d, k, i: ({call},)", scope)
            self.last = lambda d, k: spending(d, k, _alone(k, at))


def _alone(kept: Any, at: int) -> Any:
    """The array kept[at] if nothing else holds it, else None: who looks at a graph may have kept it."""
    x = kept[at]
    return x if type(x) is ndarray and getrefcount(x) == _ALONE else None


def _count_alone() -> int:
    kept = (empty(1),)
    x = kept[0]
    return getrefcount(x)


# What getrefcount says there; measured, since interpreters differ.
_ALONE = _count_alone()


def _function(op: type[Op], name: str) -> Any:
    function = getattr(op, name, None)
    if function is None or not hasattr(function, "__code__"):
        raise TypeError(f"{op.__name__} has no {name}: an op is a class with forward and its gradients")
    return function.__wrapped__ if OLD and hasattr(function, "__wrapped__") else function
