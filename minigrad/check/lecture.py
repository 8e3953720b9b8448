"""Where the lecture derives the gradient of each of its values, and the lines of its forward pass that use it.

Source: the lecture "becoming a backprop ninja" (makemore part 4), by the notebook's cells counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterable

CHUNKED = "exercise 1, cell 11"

# name: (the ops that use the value, the line or lines of cell 10 where they do, where its gradient is derived). A name
# alone proves nothing: the place is told only where the graph uses the value as the lecture does.
PLACES: dict[str, list[tuple[frozenset[str], str, str]]] = {}


def _place(name: str, ops: str, lines: str, where: str = CHUNKED) -> None:
    PLACES.setdefault(name, []).append((frozenset(ops.split()), lines, where))


_place("logprobs", "Index", "loss = -logprobs[range(n), Yb].mean()")
_place("probs", "Log", "logprobs = probs.log()")
_place("counts_sum_inv", "Mul", "probs = counts * counts_sum_inv")
_place("counts_sum", "PowScalar", "counts_sum_inv = counts_sum**-1")
_place("counts", "Mul Sum", "counts_sum = counts.sum(1, keepdims=True); probs = counts * counts_sum_inv")
_place("norm_logits", "Exp", "counts = norm_logits.exp()")
_place("logit_maxes", "Sub", "norm_logits = logits - logit_maxes")
_place("logits", "Sub MaxDim", "logit_maxes = logits.max(1, keepdim=True).values; norm_logits = logits - logit_maxes")
_place("logits", "CrossEntropy", "loss = F.cross_entropy(logits, Yb)", "exercise 2, cell 13")
_place("h", "MatMul", "logits = h @ W2 + b2")
_place("W2", "MatMul", "logits = h @ W2 + b2")
_place("b2", "Add", "logits = h @ W2 + b2")
_place("hpreact", "Tanh", "h = torch.tanh(hpreact)")
_place("bngain", "Mul", "hpreact = bngain * bnraw + bnbias")
_place("bnbias", "Add", "hpreact = bngain * bnraw + bnbias")
_place("bngain", "BatchNorm", "hpreact = bngain * bnraw + bnbias", "exercise 4, cell 22")
_place("bnbias", "BatchNorm", "hpreact = bngain * bnraw + bnbias", "exercise 4, cell 22")
_place("bnraw", "Mul", "hpreact = bngain * bnraw + bnbias")
_place("bnvar_inv", "Mul", "bnraw = bndiff * bnvar_inv")
_place("bnvar", "Add", "bnvar_inv = (bnvar + 1e-5)**-0.5")
_place("bndiff2", "Sum", "bnvar = 1/(n-1)*(bndiff2).sum(0, keepdim=True)")
_place("bndiff", "Mul PowScalar", "bndiff2 = bndiff**2; bnraw = bndiff * bnvar_inv")
_place("bnmeani", "Sub", "bndiff = hprebn - bnmeani")
_place("hprebn", "Sub Sum", "bnmeani = 1/n*hprebn.sum(0, keepdim=True); bndiff = hprebn - bnmeani")
_place("hprebn", "BatchNorm", "hpreact = the batch norm of hprebn", "exercise 3, cell 20")
_place("embcat", "MatMul", "hprebn = embcat @ W1 + b1")
_place("W1", "MatMul", "hprebn = embcat @ W1 + b1")
_place("b1", "Add", "hprebn = embcat @ W1 + b1")
_place("emb", "View", "embcat = emb.view(emb.shape[0], -1)")
_place("C", "Index", "emb = C[Xb]")


def place(name: str, ops: Iterable[str]) -> tuple[str, str] | None:
    """(where it is derived, the forward lines that use it) for a value of the lecture's name and uses, else None."""
    used = frozenset(ops)
    for known, lines, where in PLACES.get(name, []):
        if known == used:
            return where, lines
    return None
