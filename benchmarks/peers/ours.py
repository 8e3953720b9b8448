"""minigrad: eager, and captured by minigrad.compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minigrad as mg
from benchmarks.peers import Absent
from benchmarks.problem import CONTEXT, EMBD, LR, Problem, Stepper
from models.mlp import MLP, Config


def model(problem: Problem) -> MLP:
    """The makemore MLP with the problem's parameters."""
    net = MLP(Config(problem.vocab, CONTEXT, EMBD, problem.hidden))
    for p, values in zip(net.parameters(), problem.start, strict=True):
        p.data = mg.tensor(values)
    return net


def _stepper(problem: Problem, chunked: bool, capture: Callable[[Any], Any] = lambda step: step) -> Stepper:
    net = model(problem)
    optimizer = mg.optim.SGD(net.parameters(), lr=LR)
    X, Y, rows, n = problem.X, problem.Y, len(problem.X), problem.batch
    generator = mg.Generator().manual_seed(1)

    def train(Xb: Any, Yb: Any) -> Any:
        loss = net.forward_chunked(Xb, Yb)[0] if chunked else net.forward_fused(Xb, Yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    captured = capture(train)

    def wrong() -> str:
        if captured is train:
            return ""
        found = mg.compile.explain(captured)
        return "" if found.replays else f"it was not captured: {'; '.join(found.reasons) or 'it was not replayed'}"

    return Stepper(lambda: generator.randint(0, rows, (n,)), lambda ix: captured(X[ix], Y[ix]).item(), wrong=wrong)


def fused(problem: Problem) -> Stepper:
    return _stepper(problem, False)


def chunked(problem: Problem) -> Stepper:
    return _stepper(problem, True)


def compiler(**settings: Any) -> Callable[[Any], Any]:
    """minigrad.compile with these settings; raises Absent where this minigrad has none."""
    compile = getattr(mg, "compile", None)
    if compile is None:
        raise Absent("this minigrad has no compile()")
    return lambda step: compile(step, **settings)


def captured(problem: Problem) -> Stepper:
    return _stepper(problem, False, compiler())


def captured_chunked(problem: Problem) -> Stepper:
    return _stepper(problem, True, compiler())


def captured_numba(problem: Problem) -> Stepper:
    capture = compiler(backend="numba")
    import numba  # noqa: F401  # the extra [jit]: without it this contender is absent, and says so

    return _stepper(problem, False, capture)
