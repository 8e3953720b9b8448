"""A program on minigrad by somebody who has `mypy --strict` look at it, as tests/typing/test_strict.py does."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
import viz
from minigrad import Tensor, nn, optim
from minigrad.check import gradcheck
from minigrad.nn import functional as F

Array = NDArray[np.float32]


class Net(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(27, 10)
        self.layers = nn.Sequential(nn.Linear(30, hidden), nn.BatchNorm1d(hidden), nn.Tanh(), nn.Linear(hidden, 27))

    def forward(self, x: Tensor) -> Tensor:
        emb = self.embedding(x)
        logits: Tensor = self.layers(emb.view(emb.shape[0], -1))
        return logits


class Cube(mg.Op):
    """y = x**3,  dx = 3 * x**2 * dy"""

    @staticmethod
    def forward(x: Array) -> Array:
        return x * x * x

    @staticmethod
    def dx(dy: Array, x: Array) -> Array:
        return 3 * x * x * dy


def train(steps: int, path: str) -> list[float]:
    g = mg.Generator().manual_seed(42)
    net = Net(20)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=10)
    X, Y = mg.randint(0, 27, (32, 3), generator=g), mg.randint(0, 27, (32,), generator=g)
    losses: list[float] = []
    for _ in range(steps):
        loss = F.cross_entropy(net(X), Y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    with mg.no_grad():
        net.eval()
        probs = F.softmax(net(X), dim=1)
        assert_type(mg.multinomial(probs, 1, generator=g), Tensor)
    mg.save(net.state_dict(), path)
    net.load_state_dict(mg.load(path))
    for name, p in net.named_parameters():
        assert_type(name, str)
        assert p.requires_grad
    return losses


def main(path: str) -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    h = x.register_hook(lambda gradient: gradient * 2)
    h.remove()
    y = (x * 2 + x @ x - 1 / x).sum()
    assert_type(y, Tensor)
    assert_type(mg.exp(x), Tensor)
    assert_type(mg.where(x > 0, x, 0.0), Tensor)
    assert_type(x.view(2, 1).T, Tensor)
    assert_type(x[0], Tensor)
    assert_type(mg.zeros(2, 3), Tensor)
    assert_type(mg.cat([x, x], dim=0), Tensor)
    assert_type(x.split(1), tuple[Tensor, ...])
    assert_type(mg.grad(y, [x]), tuple[Tensor, ...])
    unused = mg.ones(1, requires_grad=True)
    assert_type(mg.grad(x.sum(), [x, unused], allow_unused=True), tuple[Tensor | None, ...])
    assert_type(x.grad, Tensor | None)
    a: NDArray[Any] = x.detach().numpy()
    assert a.shape == tuple(x.shape) and x.dtype == mg.float32
    z = Cube.apply(x).sum()
    z.backward()
    assert gradcheck(Cube.apply, (mg.tensor([1.0, 2.0], dtype=mg.float64, requires_grad=True),))
    viz.render(z, path + ".svg", names={"x": x})
    print(mg.__version__, train(3, path))


def mistakes(x: Tensor) -> None:
    """Never run: each line is an error that the checker must find, or it complains of the ignore."""
    mg.nothing_of_this_name(x)  # type: ignore[attr-defined]
    Net("20")  # type: ignore[arg-type]
    train(mg.zeros(2), "path")  # type: ignore[arg-type]
    print(mg.grad(x, [x])[0].nothing)  # type: ignore[attr-defined]
    print(mg.grad(x, [x], allow_unused=True)[0].shape)  # type: ignore[union-attr]
