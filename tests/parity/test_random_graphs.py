"""Random graphs against torch: forward, first and second derivative of programs of 1 to 40 ops (see programs.py).

The environment variable MINIGRAD_EXAMPLES is the number of programs (150 if not set). A failing one is shrunk by
hypothesis and printed: a few lines that run as they stand.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, find, given, note, settings

import minigrad as mg

from .harness import numpy_of
from .programs import OPS, Program, programs

EXAMPLES = int(os.environ.get("MINIGRAD_EXAMPLES", 150))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
STEEP = 1e5  # derivatives beyond this amplify rounding too much to be compared
NEAR = 1e-9  # of the largest derivative


def derivatives(m: Any, program: Program) -> dict[str, list[np.ndarray | None]]:
    """Forward, first and second derivative, and the leaves' `.grad` after backward(); which of them are None."""
    values = program.run(m)
    leaves, outs = [values[x] for x in program.leaves], [values[x] for x in program.results]
    found: dict[str, list[Any]] = {"forward": outs, "requires grad": [np.array(float(o.requires_grad)) for o in outs]}
    roots = [o for o in outs if o.requires_grad]
    if roots:
        rng = np.random.default_rng(1)
        above = [m.tensor(rng.uniform(-1, 1, tuple(o.shape)), dtype=m.float64, requires_grad=True) for o in roots]
        first = m.autograd.grad(roots, leaves, above, create_graph=True, allow_unused=True)
        found["first"] = list(first)
        weighted = [
            (g * m.tensor(rng.uniform(-1, 1, tuple(g.shape)), dtype=m.float64)).sum()
            for g in first
            if g is not None and g.requires_grad
        ]
        if weighted:
            # Where the second derivative is 0 torch says zeros or None, as its formulas happen to be written.
            found["second"] = list(m.autograd.grad(weighted, leaves + above, retain_graph=True, materialize_grads=True))
        m.autograd.backward(roots, [a.detach() for a in above])
        found["backward"] = [leaf.grad for leaf in leaves]
    return {
        part: [x if x is None or isinstance(x, np.ndarray) else numpy_of(x) for x in xs] for part, xs in found.items()
    }


def difference(got: dict[str, Any], want: dict[str, Any]) -> str | None:
    """What differs, or None."""
    # A second derivative that is 0 may have no graph in one library and zeros in the other.
    if "first" in want and ("second" in got) != ("second" in want):
        one = got if "second" in got else want
        if any(x.any() for x in one.pop("second")):
            return "second: only one of the two libraries has one"
    if got.keys() != want.keys():
        return f"parts {list(got)}, torch has {list(want)}"
    scale = 1 + max(size(want[part]) for part in want)
    for part in want:
        for i, (g, w) in enumerate(zip(got[part], want[part], strict=True)):
            if (g is None) != (w is None):
                return f"{part} {i}: {g}, torch has {w}"
            if w is not None and (g.shape != w.shape or g.dtype != w.dtype):
                return f"{part} {i}: {g.dtype} {g.shape}, torch has {w.dtype} {w.shape}"
            if w is not None and not np.allclose(g, w, rtol=0, atol=NEAR * scale, equal_nan=True):
                return f"{part} {i}: {g.tolist()}, torch has {w.tolist()}"
    return None


def size(arrays: list[np.ndarray | None]) -> float:
    return max((float(np.abs(a).max(initial=0)) for a in arrays if a is not None), default=0.0)


def tame(want: dict[str, Any]) -> bool:
    """Whether torch's own figures are finite and not too steep."""
    return all(size(want[part]) < STEEP for part in want)


def differs(program: Program) -> bool:
    want = derivatives(torch, program)
    return tame(want) and difference(derivatives(mg, program), want) is not None


@settings(max_examples=EXAMPLES, suppress_health_check=SLOW)
@given(programs())
def test_random_graphs(program: Program) -> None:
    note(f"{program}")
    want = derivatives(torch, program)
    assume(tame(want))
    found = difference(derivatives(mg, program), want)
    assert found is None, f"{found}\n{program}"


BROKEN = {  # rule: its gradient's name, a wrong one in its place, and what must then stand in the program found
    "Tanh": ("dx", lambda dh, h: (1 + h * h) * dh, "tanh"),
    "Sin": ("dx", lambda dy, x: -np.cos(x) * dy, "sin"),
    "CumSum": ("dx", lambda dy: dy, "cumsum"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_wrong_rule_is_found_in_a_few_lines(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule broken on purpose: the program that shows it has six lines at most and names the op."""
    gradient, wrong, named = BROKEN[rule]
    op = getattr(mg.ops, rule)
    monkeypatch.setattr(op, gradient, staticmethod(wrong))
    monkeypatch.setattr(op, "_plans", {})
    monkeypatch.setattr(op, "_rule", None)
    few = settings(max_examples=500, database=None, derandomize=True, suppress_health_check=SLOW)
    program = find(programs(), differs, settings=few)
    assert len(program.lines) <= 6, program
    assert any(re.search(named, line) for line in program.lines), program
    monkeypatch.undo()
    assert not differs(program)


def test_programs_reach_every_kind_of_op() -> None:
    """No kind of op falls out of the draw (an expression that torch always refuses would, silently)."""
    seen: Counter[str] = Counter()
    lengths = []

    @settings(max_examples=200, database=None, derandomize=True, phases=[Phase.generate], suppress_health_check=SLOW)
    @given(programs())
    def draw(program: Program) -> None:
        seen.update(program.ops)
        lengths.append(len(program.ops))

    draw()
    assert not {op.__name__ for op in OPS} - set(seen), seen
    assert max(lengths) > 25 and min(lengths) == 1, sorted(lengths)


def test_a_program_runs_as_it_is_printed() -> None:
    program = find(
        programs(), lambda p: len(p.ops) > 3 and "binary" in p.ops,
        settings=settings(database=None, derandomize=True, suppress_health_check=SLOW),
    )  # fmt: skip
    for text in (str(program), str(program).replace("import minigrad as m", "import torch as m")):
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "tensor(" in done.stdout, done.stderr
