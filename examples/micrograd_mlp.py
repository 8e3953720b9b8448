"""An MLP out of single numbers, as micrograd has it: every weight is a Tensor of its own, and so is every product.

Trained on two half moons with the max-margin (hinge) loss; the picture of what it decides goes to out/. The same
network as three matrix products gives the same numbers (`vectorised`), and draws the picture.
Source: micrograd and its demo.
"""

import argparse
import math
import time
from pathlib import Path

from common import whole

import minigrad as torch


class Neuron:
    """relu(w . x + b) of a list of numbers; without the relu where `linear`."""
    def __init__(self, fan_in, linear, generator):
        self.w = [(torch.rand((), generator=generator) * 2 - 1).requires_grad_() for _ in range(fan_in)]
        self.b = torch.tensor(0.0, requires_grad=True)
        self.linear = linear

    def __call__(self, xs):
        total = sum((w * x for w, x in zip(self.w, xs, strict=True)), self.b)
        return total if self.linear else total.relu()

    def parameters(self):
        return [*self.w, self.b]


class Layer:
    """Neurons that see the same numbers; gives a list."""
    def __init__(self, fan_in, fan_out, linear, generator):
        self.neurons = [Neuron(fan_in, linear, generator) for _ in range(fan_out)]

    def __call__(self, xs):
        return [neuron(xs) for neuron in self.neurons]

    def parameters(self):
        return [p for neuron in self.neurons for p in neuron.parameters()]


class MLP:
    """Layers one after the other, sizes such as (2, 8, 8, 1); the last is linear."""
    def __init__(self, sizes, generator):
        ends = len(sizes) - 2
        self.layers = [Layer(sizes[i], sizes[i + 1], i == ends, generator) for i in range(ends + 1)]

    def __call__(self, xs):
        for layer in self.layers:
            xs = layer(xs)
        return xs[0] if len(xs) == 1 else xs

    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters()]


def hinge(model, points, labels, decay):
    """mean(relu(1 - label * score)) + decay * sum(p**2), number by number; labels are 1 and -1. (loss, scores)."""
    scores = [model(xs) for xs in points]
    margins = [(1 - label * score).relu() for label, score in zip(labels, scores, strict=True)]
    return sum(margins) * (1 / len(margins)) + decay * sum(p * p for p in model.parameters()), scores


def vectorised(model, x):
    """The scores (n,) of points x (n, 2), a matrix product a layer, of the same parameters."""
    for layer in model.layers:
        W = torch.stack([torch.stack(neuron.w) for neuron in layer.neurons])
        x = x @ W.T + torch.stack([neuron.b for neuron in layer.neurons])
        x = x if layer.neurons[0].linear else x.relu()
    return x[:, 0]


def vectorised_hinge(model, x, y, decay):
    """hinge of points x (n, 2) and labels y (n,). (loss, scores)."""
    scores = vectorised(model, x)
    squares = torch.stack(model.parameters()) ** 2
    return (1 - y * scores).relu().mean() + decay * squares.sum(), scores


def moons(n, noise, generator):
    """Two half circles that reach into each other: points (n, 2), labels (n,) of 1 and -1."""
    angles = torch.linspace(0, math.pi, (n + 1) // 2)
    upper = torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)
    lower = torch.stack([1 - torch.cos(angles), 0.5 - torch.sin(angles)], dim=1)
    points = torch.cat([upper, lower])[:n]
    labels = torch.cat([torch.ones(len(upper)), -torch.ones(len(lower))])[:n]
    return points + noise * torch.randn(points.shape, generator=generator), labels


def train(model, loss_of, steps, lr):
    """Gradient descent, the rate falling to a tenth; returns the losses. loss_of(): (loss, share right)."""
    losses, every = [], max(1, steps // 10)
    for step in range(steps):
        loss, right = loss_of()
        for p in model.parameters():
            p.grad = None
        loss.backward()
        for p in model.parameters():
            p.data -= lr * (1 - 0.9 * step / steps) * p.grad
        losses.append(loss.item())
        if (step + 1) % every == 0:
            print(f"step {step + 1:5d}   loss {losses[-1]:.4f}   right {right:.0%}")
    return losses


def picture(path, model, x, y):
    """The plane in the colours of the decision, the points in theirs."""
    from matplotlib.figure import Figure

    across, down = torch.linspace(-1.6, 2.6, 211), torch.linspace(-1.2, 1.7, 146)
    grid = torch.stack([across.expand(146, 211), down[:, None].expand(146, 211)], dim=2).view(-1, 2)
    with torch.no_grad():
        scores = vectorised(model, grid).view(146, 211).numpy()
    figure = Figure(figsize=(7, 5), dpi=130, layout="constrained")
    ax = figure.subplots()
    ax.contourf(across.numpy(), down.numpy(), scores, levels=[-1e9, -1, 0, 1, 1e9], alpha=0.9,
                colors=["#bcd3ea", "#e2ebf4", "#fae6d8", "#f2c5a5"])  # fmt: skip
    ax.contour(across.numpy(), down.numpy(), scores, levels=[0], colors="#22303c", linewidths=1.4)
    for label, color, mark in ((1, "#c4561c", "o"), (-1, "#1f6fb2", "s")):
        part = x.numpy()[(y == label).numpy()]
        ax.scatter(part[:, 0], part[:, 1], c=color, marker=mark, edgecolors="white", s=46)
    ax.set_title("The decision (line), the margin around it (pale)", loc="left")
    ax.set_aspect("equal")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=whole, default=100, help="training steps (%(default)s)")
    parser.add_argument("--points", type=whole, default=100, help="(%(default)s)")
    parser.add_argument("--hidden", type=whole, default=8, help="neurons in each of two layers (%(default)s)")
    parser.add_argument("--seed", type=int, default=1337, help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/micrograd_mlp.png"), help="(%(default)s)")
    args = parser.parse_args(argv)
    g = torch.Generator().manual_seed(args.seed)
    x, y = moons(args.points, 0.1, g)
    model = MLP((2, args.hidden, args.hidden, 1), g)
    points, labels = x.tolist(), y.tolist()
    print(f"{len(model.parameters())} parameters, each a Tensor of its own")

    def loss_of():
        loss, scores = hinge(model, points, labels, 1e-4)
        right = sum((s.item() > 0) == (label > 0) for s, label in zip(scores, labels, strict=True))
        return loss, right / len(labels)

    start = time.perf_counter()
    losses = train(model, loss_of, args.steps, lr=1.0)
    print(f"{args.steps} steps, {1000 * (time.perf_counter() - start) / args.steps:.2f} ms each")
    picture(args.out, model, x, y)
    print(f"the picture is in {args.out}")
    return losses


if __name__ == "__main__":
    main()
