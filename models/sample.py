"""New names from a trained model, one character after another: cell 27 of the lecture."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad.nn import functional as F
from models.mlp import MLP
from models.names import END, NamesError, Vocabulary

MAX_LENGTH = 100  # characters; an untrained model may not find an end for long
SEED_AFTER = 10  # the lecture samples with the seed it trained with, plus 10

Odds = Callable[[tuple[int, ...], float], NDArray[np.float32]]

_CACHE = 2**24  # probabilities to remember, 64 MB of them


def sample(
    model: MLP,
    vocab: Vocabulary,
    n: int,
    generator: mg.Generator,
    *,
    start: str = "",
    temperature: float = 1.0,
    max_length: int = MAX_LENGTH,
    odds: Odds | None = None,
) -> Iterator[str]:
    """n new names, without the end token, each made when asked for.

    The names and the generator's stream are the lecture's: one name after another, one multinomial draw a character.
    Few contexts make up most names, so the probabilities of each are worked out once and remembered: a thousand
    names take the time of some hundred, and the first n are the same whatever n is. odds: what remembers them, where
    they shall be known to the next call too: remembered(model).

    start: what each name begins with, lower-cased. temperature: the logits are divided by it; below 1 makes likely
    names likelier. max_length: where a name ends that has not ended by itself.

    Raises NamesError for a start with a character that is not in the vocabulary or longer than max_length, ValueError
    for an n below 1 or a temperature that is not above 0 and finite, RuntimeError before the model is calibrated.
    """
    if n < 1:
        raise ValueError(f"n is {n}, but at least 1 name is sampled")
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is {temperature}, but it must be above 0 and finite")
    tokens = _start(start, vocab, max_length)
    known = remembered(model, _CACHE // len(vocab)) if odds is None else odds

    def names() -> Iterator[str]:
        size = model.config.context
        for _ in range(n):
            out = list(tokens)
            context = ((0,) * size + tuple(out))[-size:]
            while len(out) < max_length:
                ix = int(generator.multinomial(known(context, temperature), 1)[0, 0])
                if ix == 0:
                    break
                context = (*context[1:], ix)
                out.append(ix)
            yield vocab.decode(out)

    return names()


def remembered(model: MLP, most: int) -> Odds:
    """The probabilities of the next character by context and temperature, the last `most` of them remembered.

    Threads may share it.
    """

    @lru_cache(maxsize=max(1, most))
    def odds(context: tuple[int, ...], temperature: float) -> NDArray[np.float32]:
        return _probabilities(model, context, temperature)

    return odds


def next_character(model: MLP, vocab: Vocabulary, start: str = "", temperature: float = 1.0) -> list[tuple[str, float]]:
    """Each character and the probability that it comes after this start, the likeliest first; "." ends the name.

    Raises as sample().
    """
    tokens = _start(start, vocab, MAX_LENGTH)
    context = ((0,) * model.config.context + tuple(tokens))[-model.config.context :]
    probs = _probabilities(model, context, temperature)[0]
    return [(vocab.itos[int(i)], float(probs[i])) for i in np.argsort(-probs, kind="stable")]


def _start(start: str, vocab: Vocabulary, max_length: int) -> list[int]:
    text = unicodedata.normalize("NFC", start.lower())  # as names are read
    if END in text:
        raise NamesError(f"{END!r} in {start!r} is the end token; start with letters")
    if len(text) > max_length:
        raise NamesError(f"a start of {len(text)} characters, at most {max_length} can be")
    return vocab.encode(text)


def _probabilities(model: MLP, context: tuple[int, ...], temperature: float) -> NDArray[np.float32]:
    """The distribution of the next character, float32 (1, vocab_size)."""
    logits = model.logits(np.array([context]))
    if not np.isfinite(logits.array).all():  # of weights so large that no training made them
        raise ValueError("the network's scores are no numbers: its weights are too large; train it again")
    if temperature != 1:
        # From the largest down and in float64, so that no temperature, however small, overflows.
        scores = logits.array.astype(np.float64)
        with np.errstate(over="ignore"):  # so unlikely that it becomes -inf, which is a probability of 0
            logits = mg.tensor(((scores - scores.max()) / temperature).astype(np.float32))
    return F.softmax(logits, dim=1).numpy()
