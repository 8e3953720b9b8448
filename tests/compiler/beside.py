"""A step as it is written beside the same step compiled: all that can be seen of both, after each call, bit for bit."""

import pickle
import random
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.compiler.compiled import Compiled
from minigrad.graph import Handle

Make = Callable[[Any], SimpleNamespace]  # makes a world: `.step`, decorated with what it is given, and what it changes
Action = Callable[[SimpleNamespace], Any]


def plain(x: Any) -> Any:
    """What the thing is down to its bits, as nested tuples that can be compared."""
    if isinstance(x, mg.Tensor):
        return ("tensor", plain(x.array), x._requires_grad, None if x._grad is None else plain(x._grad.array))
    if isinstance(x, (np.ndarray, np.generic)):
        return (str(x.dtype), x.shape, np.asarray(x).tobytes())
    if isinstance(x, mg.nn.Module):
        return [(name, plain(t)) for name, t in [*x.named_parameters(), *x.named_buffers()]]
    if isinstance(x, mg.optim.Optimizer):
        settings = [{k: v for k, v in group.items() if k != "params"} for group in x.param_groups]
        return (plain([x.state[p] for p in x._parameters() if p in x.state]), plain(settings))
    if isinstance(x, (list, tuple)):
        return (type(x).__name__, [plain(item) for item in x])
    if isinstance(x, dict):
        return [(key, plain(value)) for key, value in x.items()]
    if isinstance(x, (SimpleNamespace,)):
        return plain({k: v for k, v in vars(x).items() if k != "step"})
    if isinstance(x, mg.Generator):
        return plain(x.get_state())
    if isinstance(x, (np.random.Generator, np.random.RandomState, random.Random)):
        return pickle.dumps(x)
    if isinstance(x, Handle):
        return sorted(hook.__name__ for hook in x._hooks.values())
    if callable(x) or isinstance(x, type):
        return getattr(x, "__name__", type(x).__name__)
    if isinstance(x, Iterator):
        return type(x).__name__
    return (
        type(x).__name__,
        repr(x)
        if not hasattr(x, "__dict__")
        else plain({k: v for k, v in vars(x).items() if not k.startswith("_compiled")}),
    )


def run(make: Make, wrap: Any, actions: Iterable[Action]) -> tuple[SimpleNamespace, list[Any], list[Any]]:
    """The world, and for each action what it gave (or its error) and all that the world then holds."""
    mg.manual_seed(5)
    np.random.seed(5)
    world = make(wrap)
    results, states = [], []
    for act in actions:
        try:
            results.append(plain(act(world)))
        except Exception as error:
            results.append((type(error).__name__, str(error)))
        states.append(plain(world))
    return world, results, states


def beside(make: Make, actions: Iterable[Action], **options: Any) -> SimpleNamespace:
    """Run the actions in an eager world and a compiled one, and compare; returns the compiled world."""
    actions = list(actions)
    _, want, want_states = run(make, lambda step: step, actions)
    compiled, got, got_states = run(make, mg.compile(**options) if options else mg.compile, actions)
    for i in range(len(actions)):
        assert got[i] == want[i], f"action {i} gave {got[i]}, eagerly {want[i]}\n{about(compiled)}"
        assert got_states[i] == want_states[i], f"after action {i}: {apart(got_states[i], want_states[i])}"
    return compiled


def apart(got: Any, want: Any, path: str = "") -> str:
    """Where two plain things differ first."""
    if type(got) is type(want) and isinstance(got, (list, tuple)) and len(got) == len(want):
        for i, (a, b) in enumerate(zip(got, want, strict=True)):
            if a != b:
                return apart(a, b, f"{path}[{a[0] if isinstance(a, tuple) and a and type(a[0]) is str else i}]")
    return f"{path}: {got}, eagerly {want}"


def steps(world: SimpleNamespace) -> list[Compiled]:
    return [x for x in vars(world).values() if isinstance(x, Compiled)]


def about(world: SimpleNamespace) -> str:
    return "\n".join(str(mg.compile.explain(step)) for step in steps(world))


def replays(world: SimpleNamespace) -> int:
    return sum(mg.compile.explain(step).replays for step in steps(world))


def call(*args: Any, **kwargs: Any) -> Action:
    """Call the step with these arguments; those that are arrays and Tensors are copied first."""
    return lambda world: world.step(*[fresh(x) for x in args], **{k: fresh(x) for k, x in kwargs.items()})


def fresh(x: Any) -> Any:
    if isinstance(x, mg.Tensor):
        again = mg.tensor(x.array.copy(), requires_grad=x.requires_grad)
        return again
    return x.copy() if isinstance(x, np.ndarray) else x
