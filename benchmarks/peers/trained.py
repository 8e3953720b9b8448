"""Using a trained network: sampling names as cell 27 does, and the loss of a split as cell 25 does."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problem import EPS

SAMPLING = {
    "minigrad": ("trained", "sampled"),
    "torch eager": ("trained", "torch_sampled"),
    "torch, contexts remembered": ("trained", "torch_sampled_remembering"),
}
EVALUATION = {
    "minigrad": ("trained", "evaluated"),
    "numpy by hand": ("trained", "numpy_evaluated"),
    "torch eager": ("trained", "torch_evaluated"),
    "torch, 4,096 rows at a time": ("trained", "torch_evaluated_in_parts"),
    "JAX jit": ("trained", "jax_evaluated"),
}
NAMES, SEED, ROWS = 1000, 2147483647 + 10, 4096


class Trained:
    """A network after some steps on names.txt, calibrated, and the training split; threads for those who need it."""

    def __init__(self, threads: int, steps: int = 1500) -> None:
        import minigrad as mg
        from models.mlp import MLP, Config
        from models.names import Vocabulary, build_dataset, read_names, split_names
        from models.train import Plan, Trainer

        path = str(Path(__file__).resolve().parents[2] / "names.txt")
        words = read_names(path)
        self.threads = threads
        self.vocab = Vocabulary(words)
        config = Config(len(self.vocab))
        self.X, self.Y = build_dataset(split_names(words, source=path)[0], self.vocab, config.context)
        generator = mg.Generator().manual_seed(config.seed)
        self.model = MLP(config, generator)
        trainer = Trainer(self.model, Plan(steps), self.X, self.Y, generator)
        for _ in range(steps):
            trainer.step()
        self.model.calibrate(self.X)
        self.arrays = [p.detach().numpy().copy() for p in self.model.parameters()]
        assert self.model.bnmean is not None
        assert self.model.bnvar is not None
        self.arrays += [self.model.bnmean.numpy().copy(), self.model.bnvar.numpy().copy()]


def sampled(net: Trained) -> Any:
    import minigrad as mg
    from models.sample import sample

    return lambda: list(sample(net.model, net.vocab, NAMES, mg.Generator().manual_seed(SEED)))


def _torch(net: Trained) -> Any:
    import torch

    torch.set_num_threads(net.threads)
    C, W1, b1, W2, b2, gain, bias, mean, var = (torch.from_numpy(a) for a in net.arrays)

    def logits(X: Any) -> Any:
        embcat = C[X].view(X.shape[0], -1)
        h = torch.tanh(gain * (embcat @ W1 + b1 - mean) * (var + EPS) ** -0.5 + bias)
        return h @ W2 + b2

    return logits


def _torch_sampling(net: Trained, remember: bool) -> Any:
    import torch
    import torch.nn.functional as F

    logits, vocab = _torch(net), net.vocab

    @torch.no_grad()
    def run() -> list[str]:
        g = torch.Generator().manual_seed(SEED)

        def probs(context: tuple[int, ...]) -> Any:
            return F.softmax(logits(torch.tensor([context])), dim=1)

        if remember:
            probs = lru_cache(maxsize=None)(probs)
        names = []
        for _ in range(NAMES):
            out: list[int] = []
            context = (0, 0, 0)
            while True:
                ix = torch.multinomial(probs(context), num_samples=1, generator=g).item()
                if ix == 0:
                    break
                context = (*context[1:], ix)
                out.append(ix)
            names.append(vocab.decode(out))
        return names

    return run


def torch_sampled(net: Trained) -> Any:
    return _torch_sampling(net, False)


def torch_sampled_remembering(net: Trained) -> Any:
    return _torch_sampling(net, True)


def evaluated(net: Trained) -> Any:
    return lambda: net.model.split_loss(net.X, net.Y)


def _parts(n: int, rows: int) -> list[slice]:
    return [slice(start, min(start + rows, n)) for start in range(0, n, rows)]


def numpy_evaluated(net: Trained) -> Any:
    C, W1, b1, W2, b2, gain, bias, mean, var = net.arrays
    X, Y = net.X, net.Y
    scale = gain / np.sqrt(var + EPS)
    shift = bias - mean * scale

    def run() -> float:
        total = 0.0
        for rows in _parts(len(X), ROWS):
            x = C[X[rows]].reshape(-1, W1.shape[0]) @ W1
            x += b1
            x *= scale
            x += shift
            z = np.tanh(x, out=x) @ W2
            z += b2
            z -= z.max(1, keepdims=True)
            right = z[np.arange(len(z)), Y[rows]]
            total += float((np.log(np.exp(z, out=z).sum(1)) - right).sum())
        return total / len(X)

    return run


def _torch_evaluation(net: Trained, size: int) -> Any:
    import torch
    import torch.nn.functional as F

    logits = _torch(net)
    X, Y = torch.from_numpy(net.X), torch.from_numpy(net.Y)

    @torch.no_grad()
    def run() -> float:
        parts = _parts(len(X), size)
        return sum(F.cross_entropy(logits(X[rows]), Y[rows], reduction="sum").item() for rows in parts) / len(X)

    return run


def torch_evaluated(net: Trained) -> Any:
    """The whole split at once, as the lecture does it."""
    return _torch_evaluation(net, len(net.X))


def torch_evaluated_in_parts(net: Trained) -> Any:
    return _torch_evaluation(net, ROWS)


def jax_evaluated(net: Trained) -> Any:
    import jax
    import jax.numpy as jnp

    C, W1, b1, W2, b2, gain, bias, mean, var = (jnp.array(a) for a in net.arrays)
    X, Y = net.X, net.Y

    @jax.jit
    def part(Xb: Any, Yb: Any) -> Any:
        h = jnp.tanh(gain * (C[Xb].reshape(len(Xb), -1) @ W1 + b1 - mean) * (var + EPS) ** -0.5 + bias)
        return -jax.nn.log_softmax(h @ W2 + b2)[jnp.arange(len(Xb)), Yb].sum()

    return lambda: sum(float(part(X[rows], Y[rows])) for rows in _parts(len(X), ROWS)) / len(X)
