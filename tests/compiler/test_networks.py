"""Whole training steps of real networks, compiled and as they are written: the same bits all the way."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from benchmarks.examples import imported
from minigrad import nn, optim
from models.mlp import MLP, Config

from .beside import beside, plain, replays

VOCAB = 9


def batches(n: int, rows: int = 8, length: int = 3, ignored: bool = False) -> list[Any]:
    """n pairs of index arrays: (rows, length), and (rows,) or where every place has a target (rows, length)."""
    rng = np.random.default_rng(3)
    pairs = []
    for _ in range(n):
        X = rng.integers(0, VOCAB, (rows, length))
        Y = rng.integers(-1, VOCAB, (rows, length)) if ignored else rng.integers(0, VOCAB, rows)
        pairs.append((X, Y))
    return pairs


def long_run(make: Any, pairs: list[Any], looks: int, least: int) -> None:
    """Losses of every step bit for bit, all else at some of them; most steps are replays."""
    mg.manual_seed(5)
    eager = make(lambda step: step)
    mg.manual_seed(5)
    compiled = make(mg.compile)
    every = max(1, len(pairs) // looks)
    for i, (X, Y) in enumerate(pairs):
        X, Y = mg.tensor(X), mg.tensor(Y)
        assert eager.step(X, Y).array.tobytes() == compiled.step(X, Y).array.tobytes(), f"step {i}"
        if i % every == 0 or i == len(pairs) - 1:
            assert plain(compiled) == plain(eager), f"step {i}"
    assert replays(compiled) >= least, mg.compile.explain(compiled.step)


def train_step(wrap: Any, model: Any, optimizer: Any, loss_of: Any, clip: float | None = None) -> SimpleNamespace:
    def step(X: Any, Y: Any) -> Any:
        loss = loss_of(X, Y)
        optimizer.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss

    return SimpleNamespace(step=wrap(step), model=model, optimizer=optimizer)


def lecture(chunked: bool) -> Any:
    def make(wrap: Any) -> SimpleNamespace:
        model = MLP(Config(VOCAB, embd=3, hidden=8))
        forward = (lambda X, Y: model.forward_chunked(X, Y)[0]) if chunked else model.forward_fused
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        world = train_step(wrap, model, optimizer, forward)
        world.model = model.named_parameters()
        return world

    return make


def test_the_fused_step_over_10_000_steps() -> None:
    long_run(lecture(False), batches(10_000), 20, 9_990)


def test_the_chunked_step() -> None:
    long_run(lecture(True), batches(1500), 10, 1_490)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_step_of_many_rows(chunked: bool) -> None:
    """The largest of many short rows is taken across them, by another numpy call than that of a few."""
    long_run(lecture(chunked), batches(8, rows=600), 8, 6)


def classifier(wrap: Any) -> SimpleNamespace:
    model = nn.Sequential(
        nn.Embedding(VOCAB, 4), nn.Flatten(), nn.Linear(12, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(),
        nn.Linear(8, VOCAB),
    )  # fmt: skip
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return train_step(wrap, model, optimizer, lambda X, Y: F.cross_entropy(model(X), Y))


def test_batch_norm_in_training_with_its_statistics() -> None:
    long_run(classifier, batches(1500), 30, 1_490)


def example(name: str) -> Any:
    """The network of examples/, small, with its own optimizer and loss."""

    def make(wrap: Any) -> SimpleNamespace:
        with imported(name, "minigrad") as module:
            if name == "transformer":
                model = module.Transformer(VOCAB, 6, 8, 2, 1)
                optimizer = optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99), weight_decay=0.01)
            elif name in ("rnn", "gru"):
                cell = module.RNNCell if name == "rnn" else module.GRUCell
                with imported("rnn", "minigrad") as rnn:
                    model = rnn.Recurrent(cell, VOCAB, 4, 6)
                optimizer = optim.AdamW(model.parameters(), lr=3e-3)
            elif name == "bow":
                model = module.BagOfWords(VOCAB, 6, 8)
                optimizer = optim.AdamW(model.parameters(), lr=3e-3)
            elif name == "wavenet":
                model = module.build(VOCAB, 6)
                optimizer = optim.SGD(model.parameters(), lr=0.1)
            else:
                model = module.MLP(VOCAB, 8, 2, "batchnorm")
                optimizer = optim.SGD(model.parameters(), lr=0.1)
        if name in ("mlp", "wavenet"):
            return train_step(wrap, model, optimizer, lambda X, Y: F.cross_entropy(model(X), Y))

        def loss_of(X: Any, Y: Any) -> Any:
            logits = model(X)
            return F.cross_entropy(logits.view(-1, VOCAB), Y.view(-1), ignore_index=-1)

        return train_step(wrap, model, optimizer, loss_of)

    return make


@pytest.mark.parametrize("name", ["transformer", "rnn", "gru", "bow"])
def test_examples_that_are_captured(name: str) -> None:
    long_run(example(name), batches(300, length=6, ignored=True), 6, 290)


@pytest.mark.parametrize(("name", "length"), [("mlp", 3), ("wavenet", 8)])
def test_examples_whose_layers_keep_their_results_stay_eager(name: str, length: int) -> None:
    world = beside(
        example(name), [lambda w, X=X, Y=Y: w.step(mg.tensor(X), mg.tensor(Y)) for X, Y in batches(8, length=length)]
    )
    explained = str(mg.compile.explain(world.step))
    assert replays(world) == 0
    assert "Python state" in explained and ".out" in explained, explained


def test_the_bigram_example() -> None:
    def make(wrap: Any) -> SimpleNamespace:
        with imported("bigram", "minigrad") as bigram:
            network_loss = bigram.network_loss
        W = mg.randn(VOCAB, VOCAB, requires_grad=True)
        N = mg.tensor(np.random.default_rng(0).integers(1, 9, (VOCAB, VOCAB)).astype(np.float32))
        optimizer = optim.SGD([W], lr=1.0)
        return train_step(wrap, W, optimizer, lambda X, Y: network_loss(W, N, 0.1))

    long_run(make, batches(100), 10, 90)
