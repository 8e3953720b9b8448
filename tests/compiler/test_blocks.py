"""Chains of large arrays made in blocks of rows: the same bits, in less memory."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg


@pytest.mark.parametrize("shape", [(1_000_003,), (2000, 301), (3, 400_000), (70_000, 2, 5), (1, 600_000)])
@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_blocks_give_the_same_bits(shape: tuple[int, ...], dtype) -> None:
    rng = np.random.default_rng(0)
    row = mg.tensor(rng.standard_normal(shape[-1]), dtype=dtype)
    weights = [mg.tensor(rng.standard_normal(shape), dtype=dtype, requires_grad=True) for _ in range(2)]
    for w in weights[1:]:
        w.data.copy_(weights[0].data)

    def step_of(w):
        def step(x):
            h = (x * w + row).tanh()
            y = (h * h - 0.5 * x) * (x + 1.5) / (w * w + 2.0)
            loss = (y * y).mean()
            w.grad = None
            loss.backward()
            with mg.no_grad():
                w.sub_(w.grad * 0.01)
            return loss, y.detach()

        return step

    eager, compiled = step_of(weights[0]), mg.compile(step_of(weights[1]), fullgraph=True)
    for _ in range(4):
        x = mg.tensor(rng.standard_normal(shape), dtype=dtype)
        (loss, y), (ours, ys) = eager(x), compiled(x)
        assert loss.item() == ours.item()
        np.testing.assert_array_equal(ys.numpy(), y.numpy())
        np.testing.assert_array_equal(weights[1].detach().numpy(), weights[0].detach().numpy())
        np.testing.assert_array_equal(weights[1].grad.numpy(), weights[0].grad.numpy())
    about = mg.compile.explain(compiled)
    assert about.replays == 2
    assert ("blocks of rows" in str(about)) == (np.prod(shape) * dtype.itemsize >= 1 << 20)
    assert about.planned < about.separate / 2
