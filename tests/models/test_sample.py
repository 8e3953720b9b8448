"""models.sample: the lecture's stream, the same names each time, prefixes, temperature, an end for every name."""

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from models.mlp import MLP, SEED, Config
from models.names import NamesError, Vocabulary
from models.sample import sample

VOCAB = Vocabulary("abcdefghijklmnopqrstuvwxyz")


@pytest.fixture(scope="module")
def model():
    model = MLP(Config(27, hidden=30))
    model.calibrate(mg.Generator().manual_seed(1).randint(0, 27, (500, 3)))
    return model


def names(model, n, seed=SEED + 10, **options):
    return list(sample(model, VOCAB, n, mg.Generator().manual_seed(seed), **options))


def test_the_loop_of_cell_27(model):
    """Name by name what torch draws: same probabilities, same stream."""
    p = {name: torch.tensor(value) for name, value in model.state_dict().items()}
    g = torch.Generator().manual_seed(SEED + 10)
    expected = []
    for _ in range(20):
        out, context = [], [0] * 3
        while len(out) < 100:
            emb = p["C"][torch.tensor([context])]
            hpreact = emb.view(emb.shape[0], -1) @ p["W1"] + p["b1"]
            hpreact = p["bngain"] * (hpreact - p["bnmean"]) * (p["bnvar"] + 1e-5) ** -0.5 + p["bnbias"]
            probs = torch.softmax(torch.tanh(hpreact) @ p["W2"] + p["b2"], dim=1)
            ix = torch.multinomial(probs, num_samples=1, generator=g).item()
            if ix == 0:
                break
            context = context[1:] + [ix]
            out.append(ix)
        expected.append(VOCAB.decode(out))
    assert names(model, 20) == expected


def test_the_first_names_are_the_same_whatever_n_is(model):
    assert names(model, 5) == names(model, 50)[:5]
    assert names(model, 5) != names(model, 5, seed=1)


@pytest.mark.parametrize("start", ["", "a", "an", "MARY", "abcdefgh"])
def test_start(model, start):
    assert all(name.startswith(start.lower()) for name in names(model, 10, start=start))


def test_every_name_ends(model):
    """An untrained model seldom draws the end: 20 characters are enough here."""
    assert max(map(len, names(model, 50, max_length=20))) == 20
    assert names(model, 2, start="anna", max_length=4) == ["anna", "anna"]


def test_a_start_longer_than_the_context_and_one_shorter():
    for context in (1, 8):
        model = MLP(Config(27, context=context, hidden=5))
        model.calibrate(mg.Generator().manual_seed(1).randint(0, 27, (50, context)))
        assert all(name.startswith("anna") for name in names(model, 3, start="anna"))


def test_temperature(model):
    cold = names(model, 30, temperature=1e-300, max_length=12)
    best, context = [], (0, 0, 0)
    while len(best) < 12 and (ix := int(np.argmax(model.logits(np.array([context])).numpy()))):
        best.append(ix)
        context = (*context[1:], ix)
    assert cold == [VOCAB.decode(best)] * 30  # as cold as can be: always the likeliest
    letters = "".join(names(model, 200, temperature=1e30))
    counts = np.array([letters.count(c) for c in VOCAB.chars])
    assert counts.min() > 0.6 * counts.mean()  # as hot as can be: all alike


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_temperatures_that_cannot_be(model, wrong):
    with pytest.raises(ValueError, match="temperature"):
        names(model, 1, temperature=wrong)


@pytest.mark.parametrize(
    ("start", "reason"), [("zoë", "'ë'"), ("a.b", "end token"), ("4", "'4'"), ("a" * 101, "at most")]
)
def test_starts_that_cannot_be(model, start, reason):
    with pytest.raises(NamesError, match=reason):
        names(model, 1, start=start)


def test_at_least_one_name_and_a_calibrated_model(model):
    with pytest.raises(ValueError, match="at least 1"):
        names(model, 0)
    with pytest.raises(RuntimeError, match="calibrate"):
        names(MLP(Config(27, hidden=5)), 1)
