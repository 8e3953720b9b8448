"""The page's formulas in numpy beside the gradients; variables; where the boxes stand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
import viz
from viz.formulas import Formulas
from viz.layout import place
from viz.page import snapshot
from viz.trace import trace


def softmax(x: np.ndarray, dim: int) -> np.ndarray:
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


def worked_out(shot: Any, formulas: Formulas, key: str) -> np.ndarray | None:
    """What the page would show as the formula of a gradient, run by numpy in float64."""
    answer = formulas.answer(key)
    if answer is None:
        return None
    numbers = shot.numbers
    scope: dict[str, Any] = {formulas.var[k]: x for k, x in numbers.values.items()} | formulas.hidden
    scope |= {f"d{formulas.var[k]}": x for k, x in numbers.gradients.items()} | {"np": np}
    scope["F"] = SimpleNamespace(softmax=softmax, one_hot=lambda i, n: np.eye(n)[i])
    for line in answer.lines[:-1]:
        exec(line, scope)
    return eval(answer.lines[-1], scope)


def made(*shape: int, seed: int) -> mg.Tensor:
    return mg.randn(*shape, generator=mg.Generator().manual_seed(seed), requires_grad=True)


INDEX = mg.tensor([[0, 1], [1, 1], [2, 0]])
OPS = {
    "softmax": lambda x, y: F.softmax(x, 1),
    "log_softmax": lambda x, y: F.log_softmax(x, -1),
    "logsumexp": lambda x, y: x.logsumexp(0),
    "var": lambda x, y: x.var(1),
    "var of all": lambda x, y: x.var(),
    "std": lambda x, y: x.std(0, keepdim=True, unbiased=False),
    "amax": lambda x, y: x.amax(1),
    "max of all": lambda x, y: x.max(),
    "max along 0": lambda x, y: x.max(0)[0],
    "maximum": lambda x, y: mg.maximum(x, y),
    "minimum": lambda x, y: mg.minimum(x, y),
    "pow": lambda x, y: x.abs() ** y,
    "clamp": lambda x, y: x.clamp(-0.5, 0.5),
    "cat": lambda x, y: mg.cat([x, y], 1),
    "stack": lambda x, y: mg.stack([x, y], 1),
    "gather": lambda x, y: x.gather(1, INDEX),
    "slice": lambda x, y: x[1:, 2],
    "index": lambda x, y: x[mg.tensor([0, 2, 0])],
    "log1p": lambda x, y: x.abs().log1p(),
    "expand": lambda x, y: x.expand(2, 3, 4),
    "permute": lambda x, y: x.expand(2, 3, 4).permute(2, 0, 1),
    "transpose": lambda x, y: x.expand(2, 3, 4).transpose(1, 2),
    "batched @": lambda x, y: x.expand(2, 3, 4) @ y.T,
    "@ vector": lambda x, y: x @ y[0],
    "vector @": lambda x, y: x[:, 0] @ y,
    "batched @ vector": lambda x, y: x.expand(2, 3, 4) @ y[0],
    "vector @ batched": lambda x, y: x[:, 0] @ y.expand(2, 3, 4),
    "vector @ vector": lambda x, y: x[0] @ y[0],
    "linear": lambda x, y: F.linear(x, y, y[:3, 0]),
    "linear of a vector": lambda x, y: F.linear(x[0], y),
    "linear of a batch": lambda x, y: F.linear(x.expand(2, 3, 4), y, y[:, 1]),
    "layer_norm": lambda x, y: F.layer_norm(x, (4,), y[0], y[1]),
    "layer_norm of a batch": lambda x, y: F.layer_norm(x.expand(2, 3, 4), (4,), y[0], x[1]),
    "mean along": lambda x, y: x.mean(0) * y,
    "where": lambda x, y: mg.where(x > 0, x, y),
}  # fmt: skip


@pytest.mark.parametrize("name", OPS)
def test_a_formula_gives_the_gradient(name: str) -> None:
    x, y = made(3, 4, seed=1), made(3, 4, seed=2)
    z = OPS[name](x, y)
    loss = (z * made(*z.shape, seed=3).detach()).sum() if z.shape else z * 3
    shot = snapshot(loss, {"x": x, "y": y, "z": z, "loss": loss})
    formulas = Formulas(shot.graph, shot.numbers)
    used = [v.key for v in shot.graph.values.values() if v.name in ("x", "y") and v.key in shot.numbers.gradients]
    assert used
    for key in used:
        found = worked_out(shot, formulas, key)
        assert found is not None, formulas.used_by[key]
        want = shot.numbers.gradients[key]
        assert found.shape == want.shape
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-6)


def test_a_rule_without_a_formula_is_its_variable_for_those_before(batch: Any) -> None:
    x = made(3, 4, seed=1)
    h = x * 2
    loss = F.gelu(h * 3).sum()
    shot = snapshot(loss, {"x": x, "loss": loss})
    formulas = Formulas(shot.graph, shot.numbers)
    found = worked_out(shot, formulas, "v1")
    assert found is not None
    np.testing.assert_allclose(found, shot.numbers.gradients["v1"], rtol=1e-5)


def test_an_operand_that_is_left_out(tmp_path: Any) -> None:
    net = mg.nn.Sequential(mg.nn.Linear(3, 2, bias=False), mg.nn.LayerNorm(2, elementwise_affine=False))
    loss = net(made(4, 3, seed=1)).sum()
    assert "layer_norm" in viz.page(loss, tmp_path / "page.html", {"loss": loss}).read_text()


def test_mistakes_to_pick_from_stand_by_themselves(batch: Any, names: dict[str, Any]) -> None:
    shot = snapshot(batch.graph[0], names)
    formulas = Formulas(shot.graph, shot.numbers)
    scope: dict[str, Any] = {formulas.var[k]: x for k, x in shot.numbers.values.items()} | {"np": np}
    scope |= {f"d{formulas.var[k]}": x for k, x in shot.numbers.gradients.items()}
    scope["F"] = SimpleNamespace(one_hot=lambda i, n: np.eye(n)[i])
    for name in ("logprobs", "C"):
        key = next(v.key for v in shot.graph.values.values() if v.name == name)
        answer = formulas.answer(key)
        assert answer is not None and len(answer.wrong) >= 3
        for text in answer.wrong:
            *lines, last = text.split("\n")
            for line in lines:
                exec(line, scope)
            found = eval(last, scope)
            want = shot.numbers.gradients[key]
            assert found.shape != want.shape or not np.allclose(found, want), text


def test_variables_of_any_script_that_python_takes() -> None:
    names = {
        "\u03bc": "\u03bc",
        "\u03b81": "\u03b81",
        "\u4e2d": "\u4e2d",
        "\ufb01": "fi",
        "\u05e9\u05dc": "__",
        "a b": "a_b",
        "1st": "_1st",
    }
    leaves = {name: mg.tensor(1.0, requires_grad=True) for name in names}
    shot = snapshot(mg.stack(list(leaves.values())).sum(), leaves)
    formulas = Formulas(shot.graph, shot.numbers)
    found = {v.name: formulas.var[v.key] for v in shot.graph.values.values() if v.name}
    assert found == names
    assert all(name.isidentifier() for name in found.values())


def test_a_statements_variable_is_called_like_no_value() -> None:
    out = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    loss = (out[mg.tensor([0, 0, 1])] * mg.tensor([1.0, 2.0, 3.0])).sum()
    shot = snapshot(loss, {"out": out, "loss": loss})
    formulas = Formulas(shot.graph, shot.numbers)
    assert formulas.answer("v1").lines[0] == "out2 = np.zeros_like(out)"  # type: ignore[union-attr]
    np.testing.assert_array_equal(worked_out(shot, formulas, "v1"), [3.0, 3.0, 0.0])


def test_all_that_is_drawn_is_within_the_picture() -> None:
    x = made(4, 8, seed=1)
    with viz.scope("outer"), viz.scope("inner"):
        z = (x - x.mean(0)) * made(8, seed=2) + made(8, seed=3)
    loss = (z**2).sum()
    layout = place(trace(loss, {"x": x, "loss": loss}), {})
    for key, (x_, y_) in layout.centres.items():
        half = layout.widths[key] / 2
        assert half <= x_ <= layout.width - half and 30 <= y_ <= layout.height - 30
    for _, left, top, width, height in layout.groups:
        assert left >= 0 and top >= 0 and left + width <= layout.width and top + height <= layout.height
    assert len(layout.groups) == 2
    assert all(math.isfinite(n) and n >= 0 for _, _, _, points in layout.edges for point in points for n in point)
