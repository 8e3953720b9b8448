"""`makemore check`: one batch of the lecture's network, every gradient of the exercises beside the engine's.

Exercise 1 must agree to the last bit. The other exercises simplify the formulas and so round otherwise: there the
largest difference may be as large as the lecture's own, 1e-8, or as rounding explains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad import Tensor
from minigrad.check import Comparison
from minigrad.check.compare import compare
from models import exercises
from models.errors import BadInput
from models.mlp import MLP, PARAMETERS, Config
from models.names import Vocabulary, build_dataset, read_names, split_names

HIDDEN, BATCH, CONTEXT = 64, 32, 3  # cells 8, 9 and 5
LIMIT = 1e-8  # how far a fused derivation may be off
ULPS, TORCH_ULPS = 16, 64  # or how many times the precision of the largest gradient; torch rounds the forward pass too

EXERCISES = {
    1: "every gradient step by step (cell 11)",
    2: "cross-entropy in one go (cell 13)",
    3: "batch norm in one go (cell 20)",
    4: "the whole backward pass (cell 22)",
}


@dataclass(frozen=True)
class Beside:
    """A derivation beside torch's gradient of the same value."""

    exact: bool
    approximate: bool
    maxdiff: float
    limit: float

    @property
    def right(self) -> bool:
        return self.maxdiff <= self.limit


@dataclass(frozen=True)
class Row:
    """One derivation: the exercise it belongs to, how it compares, and how far it may be off (0: exact)."""

    exercise: int
    comparison: Comparison
    limit: float
    torch: Beside | None = None

    @property
    def name(self) -> str:
        return self.comparison.name

    @property
    def right(self) -> bool:
        c = self.comparison
        agrees = c.shape == c.expected and (c.exact if self.exercise == 1 else c.maxdiff <= self.limit)
        return agrees and (self.torch is None or self.torch.right)


@dataclass(frozen=True)
class Batch:
    """The network and one batch of it, with the gradients that the engine found and the values they belong to."""

    model: MLP
    Xb: NDArray[np.int64]
    Yb: NDArray[np.int64]
    loss: float
    tensors: Mapping[str, Tensor]  # the 26 of exercise 1, from the chunked forward pass
    fused: Mapping[str, Tensor]  # the 7 parameters again, from the fused one
    graph: list[Tensor] = field(default_factory=list, repr=False)  # the losses: they hold the graph that explains

    def values(self) -> dict[str, NDArray[Any]]:
        """The arrays that the exercises start from."""
        arrays = {name: t.detach().numpy() for name, t in self.tensors.items()}
        return arrays | {"Xb": self.Xb, "Yb": self.Yb}


def draw(names_file: str, seed: int, dtype: str = "float32") -> Batch:
    """The lecture's network and its first batch, cells 3 to 9: drawn from one generator of this seed.

    Raises NamesError for a list that cannot be used.
    """
    words = read_names(names_file)
    train, _, _ = split_names(words, source=names_file)
    vocab = Vocabulary(words)
    X, Y = build_dataset(train, vocab, CONTEXT)
    generator = mg.Generator().manual_seed(seed % 2**64)
    model = MLP(Config(len(vocab), context=CONTEXT, hidden=HIDDEN, seed=seed), generator)
    ix = generator.randint(0, len(X), (BATCH,))
    return backward(model, X[ix], Y[ix], dtype)


def backward(model: MLP, Xb: NDArray[np.int64], Yb: NDArray[np.int64], dtype: str = "float32") -> Batch:
    """The engine's gradients of a batch, Xb (n, context) and Yb (n,), by the chunked forward pass and by the fused."""
    for p in model.parameters():
        p.data = p.data.to(np.dtype(dtype))
        p.grad = None
    loss, intermediates = model.forward_chunked(Xb, Yb)
    for t in intermediates.values():
        t.retain_grad()
    loss.backward()

    again = {name: p.detach().requires_grad_() for name, p in model.named_parameters().items()}
    twin = MLP(model.config)
    for name, p in again.items():
        setattr(twin, name, p)
    fused_loss = twin.forward_fused(Xb, Yb)
    fused_loss.backward()
    tensors = {**model.named_parameters(), **intermediates}
    return Batch(model, Xb, Yb, loss.item(), tensors, again, [loss, fused_loss])


def rows(batch: Batch, with_torch: bool = False) -> list[Row]:
    """A row for each derivation: 26 of exercise 1, cross-entropy, batch norm, and the 7 of exercise 4.

    with_torch: each beside torch's gradients too; BadInput where torch is not installed.
    """
    values = batch.values()
    beside = _torch(batch) if with_torch else None
    found: list[Row] = []

    def add(exercise: int, name: str, derivation: NDArray[Any], t: Tensor) -> None:
        engine = np.asarray(t._grad)
        found.append(
            Row(
                exercise,
                compare(name, derivation, t),
                0.0 if exercise == 1 else _limit(engine, batch, ULPS),
                beside(name, derivation) if beside is not None else None,
            )
        )

    by_hand = exercises.exercise_1(values)
    for name, derivation in by_hand.items():
        add(1, name, derivation, batch.tensors[name])
    add(2, "logits", exercises.exercise_2(values), batch.tensors["logits"])
    add(3, "hprebn", exercises.exercise_3(values, by_hand["hpreact"]), batch.tensors["hprebn"])
    parameters = {name: values[name] for name in PARAMETERS}
    for name, derivation in exercises.exercise_4(parameters, batch.Xb, batch.Yb).items():
        add(4, name, derivation, batch.fused[name])
    return found


def _limit(gradient: NDArray[Any], batch: Batch, ulps: int) -> float:
    """How large a difference rounding makes.

    b1's and logit_maxes' are 0 but for rounding: it is that of what was summed, which the largest dlogits bounds.
    """
    largest = max(float(np.abs(gradient).max()), 1 / len(batch.Yb))
    # The batch norm multiplies by this, a few hundred where all rows are alike, and then takes most of it away again.
    largest *= max(1.0, float(np.abs(batch.tensors["bngain"].array * batch.tensors["bnvar_inv"].array).max()))
    return max(LIMIT, ulps * float(np.finfo(gradient.dtype).eps) * largest)


def _torch(batch: Batch) -> Callable[[str, NDArray[Any]], Beside]:
    """The same batch in torch, cell 10; returns what compares a derivation with its gradient of that name."""
    try:
        import torch
    except ImportError:
        raise BadInput("--torch needs torch, which is not installed: pip install torch, or leave --torch out") from None
    v: dict[str, Any] = {
        name: torch.tensor(t.detach().numpy(), requires_grad=True) for name, t in batch.tensors.items() if t.is_leaf
    }
    Xb, Yb, n = torch.from_numpy(batch.Xb), torch.from_numpy(batch.Yb), len(batch.Yb)
    v["emb"] = v["C"][Xb]
    v["embcat"] = v["emb"].view(n, -1)
    v["hprebn"] = v["embcat"] @ v["W1"] + v["b1"]
    v["bnmeani"] = 1 / n * v["hprebn"].sum(0, keepdim=True)
    v["bndiff"] = v["hprebn"] - v["bnmeani"]
    v["bndiff2"] = v["bndiff"] ** 2
    v["bnvar"] = 1 / (n - 1) * v["bndiff2"].sum(0, keepdim=True)
    v["bnvar_inv"] = (v["bnvar"] + 1e-5) ** -0.5
    v["bnraw"] = v["bndiff"] * v["bnvar_inv"]
    v["hpreact"] = v["bngain"] * v["bnraw"] + v["bnbias"]
    v["h"] = torch.tanh(v["hpreact"])
    v["logits"] = v["h"] @ v["W2"] + v["b2"]
    v["logit_maxes"] = v["logits"].max(1, keepdim=True).values
    v["norm_logits"] = v["logits"] - v["logit_maxes"]
    v["counts"] = v["norm_logits"].exp()
    v["counts_sum"] = v["counts"].sum(1, keepdim=True)
    v["counts_sum_inv"] = v["counts_sum"] ** -1
    v["probs"] = v["counts"] * v["counts_sum_inv"]
    v["logprobs"] = v["probs"].log()
    loss = -v["logprobs"][range(n), Yb].mean()
    for t in v.values():
        t.retain_grad()
    loss.backward()
    gradients = {name: t.grad.numpy() for name, t in v.items()}

    def beside(name: str, derivation: NDArray[Any]) -> Beside:
        theirs = gradients[name]
        if derivation.shape != theirs.shape:
            return Beside(False, False, float("inf"), 0.0)
        return Beside(
            bool((derivation == theirs).all()),
            bool(np.allclose(derivation, theirs)),
            float(np.abs(derivation - theirs).max()),
            _limit(theirs, batch, TORCH_ULPS),
        )

    return beside
