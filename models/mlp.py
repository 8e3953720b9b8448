"""The makemore MLP: characters -> embeddings -> batch-normed tanh layer -> the next character.

Source: the lecture "becoming a backprop ninja" (makemore part 4). Parameters and intermediates carry its names.
The forward pass is written twice: chunked as in exercise 1 (cell 10) and fused as in exercise 4 (cell 22).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad import Tensor, ops
from minigrad.nn import functional as F

SEED = 2147483647  # the lecture's
EPS = 1e-5  # of the batch norm
PARAMETERS = ("C", "W1", "b1", "W2", "b2", "bngain", "bnbias")
STATISTICS = ("bnmean", "bnvar")

ROWS = 4096  # of a data set at a time: what is measured over all of it needs no more memory than this


@dataclass(frozen=True)
class Config:
    """The sizes of the network, and the seed that its parameters are drawn from."""

    vocab_size: int
    context: int = 3
    embd: int = 10
    hidden: int = 200
    seed: int = SEED

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "embd", "hidden"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}, but it must be a whole number from 1 up")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter and statistic, by name."""
        fan_in = self.context * self.embd
        row = (1, self.hidden)
        return {
            "C": (self.vocab_size, self.embd),
            "W1": (fan_in, self.hidden),
            "b1": (self.hidden,),
            "W2": (self.hidden, self.vocab_size),
            "b2": (self.vocab_size,),
            "bngain": row,
            "bnbias": row,
            "bnmean": row,
            "bnvar": row,
        }


class MLP:
    """The network of cell 22, drawn from its generator.

    generator: where the parameters are drawn from, default a new one of config.seed. It goes on afterwards to
    draw the batches, as in the lecture, so that the lecture's own batches come in its own order. bngain and bnbias
    the lecture draws from torch's global stream, which is seeded by nothing: here they have a stream of their own,
    of the next seed, so that a run can be repeated and the first stream stays where the lecture's is.
    """

    def __init__(self, config: Config, generator: mg.Generator | None = None) -> None:
        g = mg.Generator().manual_seed(config.seed) if generator is None else generator
        own = mg.Generator().manual_seed((config.seed + 1) % 2**64)
        shapes, fan_in = config.shapes(), config.context * config.embd
        self.config = config
        self.C = mg.randn(shapes["C"], generator=g)
        # Layer 1
        self.W1 = mg.randn(shapes["W1"], generator=g) * (5 / 3) / (fan_in**0.5)
        self.b1 = mg.randn(shapes["b1"], generator=g) * 0.1
        # Layer 2
        self.W2 = mg.randn(shapes["W2"], generator=g) * 0.1
        self.b2 = mg.randn(shapes["b2"], generator=g) * 0.1
        # BatchNorm parameters
        self.bngain = mg.randn(shapes["bngain"], generator=own) * 0.1 + 1.0
        self.bnbias = mg.randn(shapes["bnbias"], generator=own) * 0.1
        self.bnmean: Tensor | None = None  # both come from calibrate()
        self.bnvar: Tensor | None = None
        for name, p in self.named_parameters().items():
            p.requires_grad = True
            p.name = name

    def named_parameters(self) -> dict[str, Tensor]:
        """The seven parameters by the lecture's names, in its order."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def parameters(self) -> list[Tensor]:
        """The seven parameters in the lecture's order."""
        return list(self.named_parameters().values())

    # ------------------------------------------------------------------------------ one training step

    def forward_chunked(
        self, Xb: Any, Yb: Any, scope: Callable[[str], AbstractContextManager[Any]] = nullcontext
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch in the steps of cell 10, and all 19 intermediates by name.

        Xb, int64 (n, context), and Yb, int64 (n,), are arrays or Tensors; the loss has shape (). scope: opened around
        each layer with its name, such as viz.scope, which groups them in a picture.
        """
        C, W1, b1, W2, b2 = self.C, self.W1, self.b1, self.W2, self.b2
        bngain, bnbias = self.bngain, self.bnbias
        n = Xb.shape[0]

        with scope("embedding"):
            emb = C[Xb]  # embed the characters into vectors: (n, context, embd)
            embcat = emb.view(emb.shape[0], -1)  # concatenate the vectors: (n, context * embd)
        with scope("linear 1"):
            hprebn = embcat @ W1 + b1  # hidden layer pre-activation: (n, hidden)
        with scope("batchnorm"):
            bnmeani = 1 / n * hprebn.sum(0, keepdim=True)
            bndiff = hprebn - bnmeani
            bndiff2 = bndiff**2
            bnvar = 1 / (n - 1) * (bndiff2).sum(0, keepdim=True)  # Bessel's correction: n-1, not n
            bnvar_inv = (bnvar + EPS) ** -0.5
            bnraw = bndiff * bnvar_inv
            hpreact = bngain * bnraw + bnbias
        h = mg.tanh(hpreact)  # hidden layer
        with scope("linear 2"):
            logits = h @ W2 + b2  # output layer: (n, vocab_size)
        with scope("cross entropy"):
            logit_maxes = logits.max(1, keepdim=True).values
            norm_logits = logits - logit_maxes  # subtract max for numerical stability
            counts = norm_logits.exp()
            counts_sum = counts.sum(1, keepdims=True)
            counts_sum_inv = counts_sum**-1
            probs = counts * counts_sum_inv
            logprobs = probs.log()
            loss = -logprobs[range(n), Yb].mean()

        return loss, {
            "logprobs": logprobs, "probs": probs, "counts_sum_inv": counts_sum_inv, "counts_sum": counts_sum,
            "counts": counts, "norm_logits": norm_logits, "logit_maxes": logit_maxes, "logits": logits,
            "h": h, "hpreact": hpreact, "bnraw": bnraw, "bnvar_inv": bnvar_inv, "bnvar": bnvar,
            "bndiff2": bndiff2, "bndiff": bndiff, "bnmeani": bnmeani, "hprebn": hprebn,
            "embcat": embcat, "emb": emb,
        }  # fmt: skip

    def forward_fused(self, Xb: Any, Yb: Any) -> Tensor:
        """The loss of a batch as in cell 22: batch norm and cross entropy are one rule each. Arguments as above."""
        return self.forward_fused_named(Xb, Yb)[0]

    def forward_fused_named(self, Xb: Any, Yb: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The same, with its 6 intermediates by name."""
        emb = self.C[Xb]
        embcat = emb.view(emb.shape[0], -1)
        hprebn = embcat @ self.W1 + self.b1
        hpreact = ops.BatchNorm.apply(hprebn, self.bngain, self.bnbias, dim=(0,), eps=EPS, correction=1)
        h = mg.tanh(hpreact)
        logits = h @ self.W2 + self.b2
        loss = F.cross_entropy(logits, Yb)
        return loss, {
            "logits": logits, "h": h, "hpreact": hpreact, "hprebn": hprebn, "embcat": embcat, "emb": emb
        }  # fmt: skip

    # ------------------------------------------------------------------------------ a trained network

    @mg.no_grad()
    def calibrate(self, X: NDArray[np.int64]) -> None:
        """Measure the batch norm's mean and variance over the whole training set X (N, context): cell 24.

        Unbiased, as there. Means and squares of some rows at a time are merged in float64 (Chan, Golub & LeVeque
        1979, "Updating formulae and a pairwise algorithm for computing sample variances"), which is as good as all
        at once and needs little memory. Raises ValueError for fewer than 2 rows.
        """
        if len(X) < 2:
            raise ValueError(f"a variance is measured over 2 rows at least, and X has {len(X)}")
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for rows in _parts(X):
            hprebn = self._hprebn(X[rows]).array.astype(np.float64)
            n, part = len(hprebn), hprebn.mean(0, keepdims=True)
            apart = part - mean
            squares = squares + ((hprebn - part) ** 2).sum(0, keepdims=True) + apart**2 * (count * n / (count + n))
            mean = mean + apart * (n / (count + n))
            count += n
        self.bnmean = mg.tensor(mean.astype(np.float32))
        self.bnvar = mg.tensor((squares / (count - 1)).astype(np.float32))

    @mg.no_grad()
    def logits(self, X: Any) -> Tensor:
        """Scores of the next character, (N, vocab_size), for contexts (N, context), with the calibrated statistics.

        Source: cell 25. Raises RuntimeError before calibrate().
        """
        if self.bnmean is None or self.bnvar is None:
            raise RuntimeError("the batch norm has no statistics yet: call calibrate(X) with the training set first")
        hpreact = self.bngain * (self._hprebn(X) - self.bnmean) * (self.bnvar + EPS) ** -0.5 + self.bnbias
        h = mg.tanh(hpreact)
        return h @ self.W2 + self.b2

    @mg.no_grad()
    def split_loss(self, X: NDArray[np.int64], Y: NDArray[np.int64]) -> float:
        """The mean loss over a split, X (N, context) and Y (N,), some rows at a time: cell 25."""
        total = 0.0
        for rows in _parts(X):
            total += float(F.cross_entropy(self.logits(X[rows]), Y[rows], reduction="sum"))
        return total / len(X)

    def _hprebn(self, X: Any) -> Tensor:
        emb = self.C[X]
        return emb.view(emb.shape[0], -1) @ self.W1 + self.b1

    # ------------------------------------------------------------------------------ out and in again

    def state_dict(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the parameters and, once calibrated, of the statistics, by name."""
        known = ((name, getattr(self, name)) for name in PARAMETERS + STATISTICS)
        return {name: t.detach().numpy().copy() for name, t in known if t is not None}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what state_dict() gave. Raises ValueError for a name or shape that is not this network's."""
        shapes = self.config.shapes()
        unknown = sorted(state.keys() - shapes.keys())
        missing = [name for name in PARAMETERS if name not in state]
        if unknown or missing:
            raise ValueError(f"this network has no {unknown[0]}" if unknown else f"{missing[0]} is missing")
        if len(state.keys() & set(STATISTICS)) == 1:
            raise ValueError("bnmean and bnvar come both or not at all")
        for name, array in state.items():
            if array.shape != shapes[name]:
                raise ValueError(f"{name} has shape {array.shape}, and this network's is {shapes[name]}")
        for name in PARAMETERS:
            getattr(self, name).data = mg.tensor(np.asarray(state[name], np.float32))
        for name in STATISTICS:
            setattr(self, name, mg.tensor(np.asarray(state[name], np.float32)) if name in state else None)


def _parts(X: NDArray[Any]) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, len(X), ROWS)]
