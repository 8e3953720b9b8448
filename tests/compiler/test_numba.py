"""backend="numba": the same steps in compiled loops, beside the eager ones, with the error they make."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.compiler.calls import Call, Memory, Place
from minigrad.compiler.loops import LONG, grouped
from models.mlp import MLP, Config

ROOT = Path(__file__).parent.parent.parent


def batches(n: int):
    rng = np.random.default_rng(0)
    for _ in range(n):
        yield rng.integers(0, 27, (32, 3)), rng.integers(0, 27, 32)


def step_of(model, optimizer, loss_of):
    def step(Xb, Yb):
        loss = loss_of(model, Xb, Yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


LOSSES = {"fused": lambda m, X, Y: m.forward_fused(X, Y), "chunked": lambda m, X, Y: m.forward_chunked(X, Y)[0]}


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("optimizer", [mg.optim.SGD, mg.optim.AdamW])
def test_the_lectures_step_is_within_rounding_of_the_eager_one(kind: str, optimizer) -> None:
    models = [MLP(Config(27)) for _ in range(2)]
    steps = [step_of(m, optimizer(m.parameters(), lr=0.01), LOSSES[kind]) for m in models]
    compiled = mg.compile(steps[1], backend="numba", fullgraph=True)
    for Xb, Yb in batches(60):
        eager, ours = steps[0](Xb, Yb).item(), compiled(Xb, Yb).item()
        assert abs(eager - ours) < 2e-5 * eager
    assert mg.compile.explain(compiled).replays == 58
    ours, theirs = [m.named_parameters() for m in models]
    for name, p in ours.items():
        if name == "b1":  # its gradient is 0 but for rounding (batch norm takes the mean off), which Adam blows up
            continue
        np.testing.assert_allclose(theirs[name].detach().numpy(), p.detach().numpy(), rtol=1e-3, atol=2e-5)
        np.testing.assert_allclose(theirs[name].grad.numpy(), p.grad.numpy(), rtol=2e-3, atol=2e-6)


def test_one_step_from_the_same_start_differs_by_rounding_alone() -> None:
    """From the very same parameters: each gradient to some ulp of its largest element."""
    models = [MLP(Config(27)) for _ in range(2)]
    steps = [step_of(m, mg.optim.SGD(m.parameters(), lr=0.0), LOSSES["fused"]) for m in models]
    compiled = mg.compile(steps[1], backend="numba", fullgraph=True)
    for Xb, Yb in batches(5):
        eager, ours = steps[0](Xb, Yb), compiled(Xb, Yb)
        assert abs(eager.item() - ours.item()) <= 4 * np.spacing(np.float32(eager.item()))
        for p, q in zip(*[m.parameters() for m in models], strict=True):
            scale = max(np.abs(p.grad.numpy()).max(), np.float32(0.01))  # b1's is rounding alone: its truth is 0
            assert np.abs(p.grad.numpy() - q.grad.numpy()).max() <= 16 * np.spacing(scale)


def network() -> nn.Module:
    mg.manual_seed(3)
    return nn.Sequential(
        nn.Embedding(27, 8), nn.Flatten(), nn.Linear(24, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 16),
        nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 16), nn.Sigmoid(), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 27),
    )  # fmt: skip


def class_loss(model, Xb, Yb):
    return nn.functional.cross_entropy(model(mg.tensor(Xb)), mg.tensor(Yb))


def test_layers_and_float64_and_statistics() -> None:
    for dtype in (mg.float32, mg.float64):
        models = [network().to(dtype) for _ in range(2)]
        steps = [step_of(m, mg.optim.SGD(m.parameters(), lr=0.05, momentum=0.9), class_loss) for m in models]
        compiled = mg.compile(lambda X, Y, step=steps[1]: step(X, Y), backend="numba")
        for Xb, Yb in batches(12):
            assert steps[0](Xb, Yb).item() == pytest.approx(compiled(Xb, Yb).item(), rel=1e-5)
        states = [m.state_dict() for m in models]
        for name, value in states[0].items():
            np.testing.assert_allclose(states[1][name].numpy(), value.numpy(), rtol=1e-3, atol=1e-5, err_msg=name)


def replayed(step, *args):
    """The result of a replay, and the eager one."""
    compiled = mg.compile(step, backend="numba", fullgraph=True)
    with np.errstate(all="ignore"):
        for _ in range(3):
            ours = compiled(*args)
        assert mg.compile.explain(compiled).replays == 1
        return ours, step(*args)


NUMBERS = {
    "max": lambda x: x.max(),
    "sum": lambda x: (x * 2).sum(),
    "of a number": lambda x: x.max().abs(),
    "two": lambda x: (x * 2).sum() + x.min(),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_a_number_has_the_dtype_that_it_has_eagerly(name: str, dtype) -> None:
    ours, eager = replayed(NUMBERS[name], mg.tensor([[1.5, 2.0, -3.0], [4.0, 5.0, 6.0]], dtype=dtype))
    assert type(ours.array) is type(eager.array)
    assert ours.dtype == eager.dtype == dtype
    assert ours.item() == pytest.approx(eager.item())


EXACT = {
    "rounded": lambda x: (x + 12582912.0) - 12582912.0,
    "rounded with a sum": lambda x: ((x + 12582912.0) - 12582912.0, x.sum()),
    "rounded and summed": lambda x: (((x + 12582912.0) - 12582912.0).max(), ((x + 12582912.0) - 12582912.0).sum(0)),
    "absorbed": lambda x: (x + 1.0) - x,
    "of infinity": lambda x: x * 1 + x * 0,
    "signed zeros": lambda x: 1 / (x * 0 + 0.0),
    "difference of products": lambda x: (x + 0.1) * (x + 0.3) - (x + 0.3) * (x + 0.1),
    "product and sum": lambda x: x * 1.1 + 0.7,
    "factors": lambda x: x * 3.0 / 3.0 * 1e-30 * 1e30,
}


@pytest.mark.parametrize("name", EXACT)
def test_arithmetic_keeps_its_order(name: str) -> None:
    """Only the sums over an axis are added up in another one; these numbers have exact ones."""
    finite = [[1.4, 2.6, -0.75, 100.3], [7.0, 0.1, -0.0, 3.3]]
    edges = [[1e20, 1.0, np.inf, 1e-10], [-1e20, np.nan, -np.inf, 0.5]]
    x = mg.tensor(finite if name.startswith("rounded") else edges, dtype=mg.float32)
    ours, eager = replayed(EXACT[name], x)
    pairs = zip(ours, eager, strict=True) if type(eager) is tuple else [(ours, eager)]
    for i, (a, b) in enumerate(pairs):
        if name == "rounded with a sum" and i == 1:
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)
        else:
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_long_sum_is_added_up_in_vectors() -> None:
    """In one chain of float32 additions, a million of these would be off by one percent."""
    x = mg.full((1_000_000,), 0.1)
    ours, _ = replayed(lambda x: (x * 1).sum(), x)
    assert ours.item() == pytest.approx(1e5, rel=5e-3)


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_the_kernels_are_within_two_and_a_half_ulp(name: str) -> None:
    from minigrad.compiler import kernels

    x = np.concatenate([
        np.linspace(-110, 110, 50_001), np.linspace(-1, 1, 20_001), np.geomspace(1e-30, 1, 5000),
        -np.geomspace(1e-30, 1, 5000), [0.0, -0.0, np.inf, -np.inf, np.nan, 88.7, -87.3, -103.9],
    ]).astype(np.float32)  # fmt: skip
    function = getattr(kernels, f"{name}32")
    ours = np.array([function(v) for v in x])
    with np.errstate(all="ignore"):
        truth = getattr(np, name)(x.astype(np.float64))
        off = np.abs(ours - truth)
    finite = np.isfinite(truth) & (np.abs(truth) < 0.999 * float(np.finfo(np.float32).max))
    normal = np.abs(truth) > np.finfo(np.float32).tiny
    error = off[finite & normal] / np.spacing(np.abs(truth[finite & normal]).astype(np.float32))
    assert error.max() < 2.5
    np.testing.assert_allclose(ours[finite & ~normal], truth[finite & ~normal], atol=3e-45)
    rest = ~np.isfinite(truth) | (np.abs(truth) > 1.001 * float(np.finfo(np.float32).max))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(ours[rest], truth[rest].astype(np.float32))


def large_step(vocab: int, hidden: int, n: int):
    """The compiled step of a large network after three runs, and the losses, eager and compiled, of these and one more.

    Where exp and tanh are over more than 50,000 elements, numpy's rules for them take another way to float64.
    """
    models = [MLP(Config(vocab, hidden=hidden)) for _ in range(2)]
    steps = [step_of(m, mg.optim.SGD(m.parameters(), lr=0.1), LOSSES["fused"]) for m in models]
    compiled = mg.compile(steps[1], backend="numba", fullgraph=True)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(4):
        X, Y = rng.integers(0, vocab, (n, 3)), rng.integers(0, vocab, n)
        losses.append((steps[0](X, Y).item(), compiled(X, Y).item()))
    return compiled, losses


def test_large_exps_and_tanhs_are_loops_too() -> None:
    compiled, losses = large_step(3000, 400, 256)
    (captured,) = compiled.captured
    numpys = [text for text, _ in captured.plan.report.lines if "segment" not in text]
    assert not [text for text in numpys if "exp" in text or "tanh" in text]
    for eager, ours in losses:
        assert abs(eager - ours) < 2e-6 * eager


def test_kernels_are_part_of_the_loop_at_any_size() -> None:
    """A call for each element, as LLVM left it in long functions of many arrays, takes seven times as long."""
    before = set(sys.modules)
    compiled, losses = large_step(27, 2000, 1024)
    (name,) = {name for name in set(sys.modules) - before if name.startswith("minigrad_step_")}
    segments = [f for key, f in vars(sys.modules[name]).items() if key.startswith("segment")]
    code = "".join(text for segment in segments for text in segment.inspect_llvm().values())
    assert "tanh" in "".join(map(str, captured_calls(compiled)))
    assert not [line for line in code.splitlines() if " call " in line and ("tanh32" in line or "exp32" in line)]
    for eager, ours in losses:
        assert abs(eager - ours) < 2e-6 * eager


def captured_calls(compiled) -> list[str]:
    (captured,) = compiled.captured
    return [getattr(call.function, "__name__", "") for call in captured.plan.calls]


def test_the_largest_target_is_found_in_a_loop() -> None:
    """cross_entropy looks at its targets as unsigned numbers, whose maximum tells of negative ones too."""
    model = MLP(Config(27))
    step = step_of(model, mg.optim.SGD(model.parameters(), lr=0.1), LOSSES["fused"])
    compiled = mg.compile(step, backend="numba", fullgraph=True)
    for Xb, Yb in batches(4):
        compiled(Xb, Yb)
    assert mg.compile.explain(compiled).replays == 2
    assert not [text for text, _ in compiled.captured[0].plan.report.lines if "maximum_reduce" in text]
    before = [p.numpy().copy() for p in map(mg.Tensor.detach, model.parameters())]
    for wrong in (-1, 27, np.iinfo(np.int64).min):
        with pytest.raises(IndexError, match=str(wrong)):
            compiled(Xb, np.where(np.arange(32) == 7, wrong, Yb))
    for p, was in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), was)
    compiled(Xb, Yb)
    assert mg.compile.explain(compiled).replays == 3


def test_an_index_out_of_range_is_refused_as_eagerly_and_changes_nothing() -> None:
    model = MLP(Config(27))
    step = mg.compile(step_of(model, mg.optim.SGD(model.parameters(), lr=0.1), LOSSES["fused"]), backend="numba")
    for Xb, Yb in batches(3):
        step(Xb, Yb)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    Xb[3, 1] = 27
    with pytest.raises(IndexError, match="27"):
        step(Xb, Yb)
    for p, old in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), old)


def test_an_index_out_of_range_after_a_change_is_an_index_error() -> None:
    """The step cannot run eagerly again then: the replay stops where the eager step does, with its words."""
    table, w = mg.tensor(np.arange(12, dtype=np.float32).reshape(4, 3)), mg.zeros(3)

    def step(rows, again):
        w.add_(table[rows].sum(0))
        picked = table[again]
        w.add_(picked.sum(0))
        return picked.sum()

    compiled = mg.compile(step, backend="numba", fullgraph=True)
    for _ in range(3):
        compiled(np.array([0, 1]), np.array([2, 3]))
    assert mg.compile.explain(compiled).replays == 1
    for again in ([0, 4], [-5, 7]):
        seen = []
        for run in (compiled, step):
            w.zero_()
            with pytest.raises(IndexError, match=r"shape \(4, 3\).* axis 0 with size 4") as caught:
                run(np.array([0, 1]), np.array(again))
            seen.append((str(caught.value), w.numpy().tolist()))
        assert seen[0] == seen[1] and seen[0][1] == [3, 5, 7]
    assert compiled(np.array([0, 1]), np.array([2, 3])).item() == 51


def test_writing_at_an_index_out_of_range_writes_nothing() -> None:
    buffer, w = mg.zeros(4), mg.zeros(3)

    def step(rows, values):
        w.add_(1.0)
        buffer[rows] = values
        w.add_(1.0)
        return w.max()

    compiled = mg.compile(step, backend="numba", fullgraph=True)
    values = mg.tensor([5.0, 6.0])
    for _ in range(3):
        compiled(np.array([0, 1]), values)
    assert mg.compile.explain(compiled).replays == 1
    w.zero_()
    with pytest.raises(IndexError, match="index 4 is out of bounds"):
        compiled(np.array([2, 4]), values)
    assert buffer.tolist() == [5, 6, 0, 0] and w.tolist() == [1, 1, 1]


PROGRAM = """
import numpy as np, minigrad as mg
from models.mlp import MLP, Config
model = MLP(Config(27, hidden=20))
optimizer = mg.optim.AdamW(model.parameters(), lr=0.1)
@mg.compile(backend="numba")
def step(X, Y):
    loss = model.forward_fused(X, Y)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    return loss
rng = np.random.default_rng(0)
for _ in range(4):
    loss = step(rng.integers(0, 27, (32, 3)), rng.integers(0, 27, 32))
import sys
modules = [m for name, m in sys.modules.items() if name.startswith("minigrad_step_")]
stats = [f.stats for m in modules for name, f in vars(m).items() if name.startswith("segment")]
hits = sum(sum(s.cache_hits.values()) for s in stats)
misses = sum(sum(s.cache_misses.values()) for s in stats)
print(loss.item(), hits, misses, len(stats))
"""


def test_compiled_code_is_kept_on_disk_for_the_next_process(tmp_path: Path) -> None:
    environment = {**os.environ, "MINIGRAD_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    (first, none, missed, functions), (second, hits, again, _) = (run.stdout.split() for run in runs)
    assert first == second and none == again == "0"
    assert int(hits) == int(missed) == int(functions) > 3


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_zero_keeps_its_sign_through_tanh(dtype) -> None:
    ours, eager = replayed(lambda x: x.tanh(), mg.tensor([-0.0, 0.0, -1e-30, 1e-30], dtype=dtype))
    assert np.signbit(ours.numpy()).tolist() == np.signbit(eager.numpy()).tolist() == [True, False, True, False]


@pytest.mark.parametrize("where", ["a target too large", "a target below zero", "an input"])
def test_a_step_in_one_function_changes_nothing_where_an_index_is_out_of_bounds(where: str) -> None:
    """Loops after a failed check still run: nothing of theirs may reach parameters, gradients or the optimizer."""
    models = [MLP(Config(27)) for _ in range(2)]
    steps = [step_of(m, mg.optim.SGD(m.parameters(), lr=0.1), LOSSES["fused"]) for m in models]
    compiled = mg.compile(steps[1], backend="numba", fullgraph=True)
    for Xb, Yb in batches(4):
        steps[0](Xb, Yb), compiled(Xb, Yb)
    source = compiled.captured[0].plan.source
    assert source.count("segment") == 1 and "matmul" not in source
    (Xb, Yb), *_ = batches(1)
    if where == "an input":
        Xb[3, 1] = 27
    else:
        Yb[5] = 27 if "large" in where else -28
    before = [(p.detach().numpy().copy(), p.grad.numpy().copy()) for p in models[1].parameters()]
    messages = []
    for step in (steps[0], compiled):
        with pytest.raises((IndexError, ValueError)) as error:
            step(Xb, Yb)
        messages.append((type(error.value), str(error.value)))
    assert messages[0] == messages[1]
    for p, (values, gradient) in zip(models[1].parameters(), before, strict=True):
        assert (p.detach().numpy() == values).all() and (p.grad.numpy() == gradient).all()
    for Xb, Yb in batches(3):
        assert steps[0](Xb, Yb).item() == pytest.approx(compiled(Xb, Yb).item(), rel=2e-5)
    assert mg.compile.explain(compiled).replays == 5


@pytest.mark.parametrize("optimizer", [partial(mg.optim.SGD, momentum=0.9), mg.optim.AdamW])
def test_the_learning_rate_reaches_parameters_of_any_rank(optimizer) -> None:
    """With five dimensions the update is no loop, and takes the rate as numpy does."""
    seen = []
    for wrap in (lambda step: step, partial(mg.compile, backend="numba", fullgraph=True)):
        w = mg.ones(2, 1, 2, 1, 3, requires_grad=True)
        held = optimizer([w], lr=0.5)

        def step(x, w=w, held=held):
            loss = (w * x * w).sum()
            held.zero_grad()
            loss.backward()
            held.step()
            return loss

        run, losses = wrap(step), []
        for i in range(6):
            held.param_groups[0]["lr"] = 0.05 / (i + 1)
            losses.append(run(mg.ones(2, 1, 2, 1, 3)).item())
        seen.append(losses)
    assert seen[0] == pytest.approx(seen[1], rel=1e-5)


def test_a_long_run_of_loops_is_several_functions() -> None:
    """A function of hundreds of loops takes minutes to compile, or more stack than there is."""
    calls = []
    for _ in range(5 * LONG):
        x = np.empty(3, np.float32)
        memory = Memory(x, "local")
        calls.append(Call("fill", None, (0.0,), {}, Place(memory, x), [memory], None))
    parts = grouped(calls)
    assert [step.call for part in parts for step in part] == calls
    assert max(map(len, parts)) == LONG and len(parts) == 5


def test_numba_is_loaded_only_when_it_is_asked_for() -> None:
    code = "import minigrad as mg, sys; mg.compile(lambda x: x)(mg.ones(3)); print('numba' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert out.stdout.strip() == "False"


def test_without_numba_the_backend_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad.compiler.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"minigrad\[jit\]"):
        mg.compile(lambda x: x, backend="numba")
    with pytest.raises(ValueError, match="cuda"):
        mg.compile(lambda x: x, backend="cuda")


def test_a_scatter_from_the_memory_that_it_writes_to():
    def make(wrap):
        w = mg.tensor(np.arange(6, dtype=np.float32))
        rows = mg.tensor([1, 2, 3, 4, 5, 0])

        def step(x):
            w[rows] = w
            return w * x

        return wrap(step), w

    (eager, v), (compiled, w) = make(lambda step: step), make(lambda step: mg.compile(step, backend="numba"))
    for _ in range(5):
        assert eager(mg.tensor(2.0)).tolist() == compiled(mg.tensor(2.0)).tolist() and v.tolist() == w.tolist()
