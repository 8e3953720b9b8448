"""Random programs (tests/parity/programs.py) as compiled steps: bit for bit the eager ones over calls with new data.

The environment variable MINIGRAD_EXAMPLES is the number of programs, drawn anew each time; if it is not set, they are
the same 30, since a share of 15 drawn anew hangs on chance.
"""

import os
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, note, settings

import minigrad as mg
from tests.parity.programs import Program, build, programs

from .beside import plain

ANEW = "MINIGRAD_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("MINIGRAD_EXAMPLES", 30))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
LEAF = re.compile(r"^(\w) = m\.tensor\(rng\.uniform\(-1, 1, (.*?)\), dtype=m\.float64(, requires_grad=True)?\)$")


def world(wrap: Any, program: Program, dtype: Any) -> SimpleNamespace:
    """The program's leaves that require grad are parameters, the others what the step is given."""
    rng = np.random.default_rng(0)
    names: dict[str, Any] = {"m": mg}
    given, shapes, body = [], [], []
    for line in program.lines:
        leaf = LEAF.match(line)
        if leaf is None:
            body.append(line)
        elif leaf[3]:
            names[leaf[1]] = mg.tensor(rng.uniform(-1, 1, eval(leaf[2])).astype(dtype), requires_grad=True)
        else:
            given.append(leaf[1])
            shapes.append(eval(leaf[2]))
    roots = ", ".join(f"{name}.sum()" for name in program.results)
    body += [
        f"roots = [x for x in ({roots},) if x.requires_grad]",
        f"for p in ({', '.join(program.leaves)},):",
        "    p.grad = None",
        "if roots:",
        "    m.autograd.backward(roots)",
        "with m.no_grad():",
        f"    for p in ({', '.join(program.leaves)},):",
        "        if p.grad is not None:",
        "            p.sub_(p.grad.clamp(-1, 1) * 0.01)",
        f"return [x.detach().clone() for x in ({', '.join(program.results)},)]",
    ]
    exec("\n".join([f"def step({', '.join(given)}):", *("    " + line for line in body)]), names)
    return SimpleNamespace(
        step=wrap(names["step"]), shapes=shapes, leaves=[names[name] for name in program.leaves], names=names
    )  # fmt: skip


def attempt(made: SimpleNamespace, data: list[Any]) -> Any:
    """What a step gives, or its error: a mask may pick so few that the next shapes do not go together."""
    try:
        return made.step(*[mg.tensor(x) for x in data])
    except (RuntimeError, IndexError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


MASK_OF_ONE = build(  # b[b > 0] of b (), which takes one or none
    [((3, 1), False), ((), False)],
    [(0, 5, 326880), (4, 5, 648), (2, 2, 1116), (5, 2, 148841), (7, 4, 0), (9, 5, 49086), (15, 1, 2507), (9, 2, 418461),
     (11, 4, 35106), (11, 6, 2279), (8, 0, 1642), (15, 5, 6764), (3, 1, 624), (12, 0, 26624), (0, 6, 151988),
     (12, 3, 47658303)],
)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_programs(dtype: Any) -> None:
    replayed = []

    @settings(
        max_examples=EXAMPLES // 2,
        suppress_health_check=SLOW,
        deadline=None,
        derandomize=not ANEW,
        **({} if ANEW else {"database": None}),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    @given(programs(16))
    @example(MASK_OF_ONE)
    def check(program: Program) -> None:
        note(f"{program}")
        eager, compiled = world(lambda step: step, program, dtype), world(mg.compile, program, dtype)
        for call in range(5):
            rng = np.random.default_rng(call)
            data = [rng.uniform(-1, 1, shape).astype(dtype) for shape in eager.shapes]
            want, got = attempt(eager, data), attempt(compiled, data)
            assert plain(got) == plain(want), f"call {call}\n{mg.compile.explain(compiled.step)}"
            assert plain(compiled.leaves) == plain(eager.leaves), f"leaves after call {call}"
        replayed.append(mg.compile.explain(compiled.step).replays)

    with np.errstate(all="ignore"):
        check()
    assert np.mean(np.array(replayed) >= 2) > 0.4, replayed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_programs_in_numba(dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within rounding of the eager ones, call by call from the same leaves; a fifth of the examples, which compile."""
    pytest.importorskip("numba", reason="random programs are not compiled: numba is not installed (the extra jit)")
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    replayed = []
    close = 1e-3 if dtype is np.float32 else 1e-8

    def near(got: Any, want: Any) -> bool:
        got, want = np.asarray(got.array), np.asarray(want.array)
        finite = np.abs(want[np.isfinite(want)])
        size = max(1e-3, finite.max(initial=0))
        same = got.shape == want.shape and got.dtype == want.dtype
        return same and np.allclose(got, want, rtol=close, atol=close * size, equal_nan=True)

    @settings(
        max_examples=EXAMPLES // 5, suppress_health_check=SLOW, deadline=None, derandomize=not ANEW,
        **({} if ANEW else {"database": None}), phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )  # fmt: skip
    @given(programs(14))
    def check(program: Program) -> None:
        note(f"{program}")
        eager = world(lambda step: step, program, dtype)
        compiled = world(partial(mg.compile, backend="numba"), program, dtype)
        for call in range(4):
            rng = np.random.default_rng(call)
            data = [rng.uniform(-1, 1, shape).astype(dtype) for shape in eager.shapes]
            want, got = attempt(eager, data), attempt(compiled, data)
            if isinstance(want, str) or isinstance(got, str):
                assert got == want, f"call {call}\n{mg.compile.explain(compiled.step)}"
                continue
            assert all(map(near, got, want)), f"call {call}\n{mg.compile.explain(compiled.step)}"
            assert all(map(near, compiled.leaves, eager.leaves)), f"leaves after call {call}"
            with mg.no_grad():
                for ours, theirs in zip(compiled.leaves, eager.leaves, strict=True):
                    ours.data.copy_(theirs.data)
        replayed.append(mg.compile.explain(compiled.step).replays)

    with np.errstate(all="ignore"):
        check()
    assert np.mean(np.array(replayed) >= 2) > 0.3, replayed
