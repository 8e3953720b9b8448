"""The MLP of single numbers: its classes are short, and its numbers are those of matrix products, and torch's."""

import re

import numpy as np
import pytest

import minigrad as mg
from benchmarks.examples import EXAMPLES, imported


@pytest.fixture
def example():
    with imported("micrograd_mlp", "minigrad") as module:
        yield module


def test_three_classes_in_forty_lines():
    text = (EXAMPLES / "micrograd_mlp.py").read_text()
    classes = text[text.index("class Neuron") : text.index("def hinge")].strip()
    assert len(classes.splitlines()) <= 40
    assert re.findall(r"^class (\w+)", classes, flags=re.M) == ["Neuron", "Layer", "MLP"]


def test_the_same_numbers_as_matrix_products(example):
    """Loss, scores and every gradient of one step, and the losses of 15 steps."""
    g = mg.Generator().manual_seed(5)
    x, y = example.moons(24, 0.1, g)
    losses = []
    for scalar in (True, False):
        model = example.MLP((2, 6, 6, 1), mg.Generator().manual_seed(6))
        assert all(p.shape == () and p.is_leaf for p in model.parameters())
        assert len(model.parameters()) == 2 * 6 + 6 + 6 * 6 + 6 + 6 + 1

        def loss_of(model=model, scalar=scalar):
            loss = example.hinge(model, x.tolist(), y.tolist(), 1e-2) if scalar else None
            return (loss or example.vectorised_hinge(model, x, y, 1e-2))[0], 0.0

        losses.append(example.train(model, loss_of, 15, 0.3))
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][-1] < 0.75 * losses[0][0]

    model = example.MLP((2, 6, 6, 1), mg.Generator().manual_seed(7))
    one, scores = example.hinge(model, x.tolist(), y.tolist(), 1e-2)
    one.backward()
    grads = [p.grad.item() for p in model.parameters()]
    for p in model.parameters():
        p.grad = None
    other, vector = example.vectorised_hinge(model, x, y, 1e-2)
    other.backward()
    assert one.item() == pytest.approx(other.item(), rel=1e-5)
    np.testing.assert_allclose([s.item() for s in scores], vector.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(grads, [p.grad.item() for p in model.parameters()], rtol=1e-3, atol=1e-6)


def test_beside_torch(tmp_path, capsys):
    losses = []
    for library in ("minigrad", "torch"):
        with imported("micrograd_mlp", library) as example:
            argv = ["--steps", "12", "--points", "20", "--hidden", "4", "--out", str(tmp_path / f"{library}.png")]
            losses.append(example.main(argv))
    np.testing.assert_allclose(*losses, rtol=0, atol=1e-3)
    assert (tmp_path / "minigrad.png").read_bytes().startswith(b"\x89PNG")
    assert "the picture is in" in capsys.readouterr().out


def test_hinge_by_hand(example):
    """One neuron, w = (1, -2), b = 0.5: scores 0.5 and -1.5, margins 0.5 and 0 (label -1), decay on 5.25."""
    model = example.MLP((2, 1), mg.Generator())
    neuron = model.layers[0].neurons[0]
    for p, value in zip(neuron.parameters(), (1.0, -2.0, 0.5), strict=True):
        p.data = mg.tensor(value)
    loss, scores = example.hinge(model, [[1.0, 0.5], [0.0, 1.0]], [1, -1], 0.1)
    assert [s.item() for s in scores] == [0.5, -1.5]
    assert loss.item() == pytest.approx(0.25 + 0.525)
    loss.backward()
    assert [p.grad.item() for p in neuron.parameters()] == pytest.approx([-0.5 + 0.2, -0.25 - 0.4, -0.5 + 0.1])


def test_moons(example):
    x, y = example.moons(41, 0.0, mg.Generator())
    assert x.shape == (41, 2)
    assert y.tolist() == [1.0] * 21 + [-1.0] * 20
    upper, lower = x.numpy()[:21], x.numpy()[21:]
    np.testing.assert_allclose((upper**2).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(((lower - [1, 0.5]) ** 2).sum(1), 1, rtol=1e-5)
