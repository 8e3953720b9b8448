"""Wrong derivations, each with the diagnosis it must get, and others that must get none.

Most are of the lecture's network: `v` holds its values and `g` its right gradients, both as arrays by name.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minigrad as mg
from minigrad.check.compare import compare
from minigrad.nn import functional as F
from models.exercises import exercise_1
from models.mlp import MLP, Config

N, VOCAB = 32, 27


class Network:
    """A batch of the lecture's network, chunked, with every gradient kept."""

    def __init__(self, dtype):
        rng = np.random.default_rng(7)
        model = MLP(Config(VOCAB, hidden=64))
        for p in model.parameters():
            p.data = p.data.to(dtype)
        self.Xb, self.Yb = rng.integers(0, VOCAB, (N, 3)), rng.integers(0, VOCAB, N)
        self.Xb[:20, 0] = 0  # as many names begin
        self.loss, values = model.forward_chunked(self.Xb, self.Yb)
        for t in values.values():
            t.retain_grad()
        self.loss.backward()
        self.tensors = {**model.named_parameters(), **values}
        arrays = {name: np.asarray(t.detach()) for name, t in self.tensors.items()} | {"Xb": self.Xb, "Yb": self.Yb}
        self.v = SimpleNamespace(**arrays)
        self.g = SimpleNamespace(**exercise_1(arrays))
        for name, t in self.tensors.items():
            compare(name, getattr(self.g, name), t)  # as a learner has done by then: so the names are known

    def compare(self, name, derivation):
        with np.errstate(all="ignore"):
            return compare(name, derivation(self.v, self.g), self.tensors[name])


@pytest.fixture(scope="module", params=[mg.float32, mg.float64], ids=str)
def net(request):
    return Network(request.param)


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def at_labels(a, v, value):
    a = a.copy()
    a[np.arange(N), v.Yb] += a.dtype.type(value)
    return a


def scattered(v, g, order):
    dC = np.zeros_like(v.C)
    for k, j in list(np.ndindex(*v.Xb.shape))[::order]:
        dC[v.Xb[k, j]] = g.emb[k, j]
    return dC


def averaged(v, g):
    return g.C / np.maximum(np.bincount(v.Xb.reshape(-1), minlength=VOCAB), 1)[:, None].astype(g.C.dtype)


def first_of_bndiff(v, g):
    return v.bnvar_inv * g.bnraw


def mean_branch(v, g):
    return 1.0 / N * (np.ones_like(v.hprebn) * g.bnmeani)


CORPUS = [
    # name, the wrong derivation, the kind of cause, a part of its text
    ("logprobs", lambda v, g: g.logprobs * N, "factor", "32 (n)"),
    ("logprobs", lambda v, g: -g.logprobs, "factor", "-1"),
    ("logprobs", lambda v, g: g.logprobs * N / (N - 1), "factor", "32/31 (n/(n-1)"),
    ("probs", lambda v, g: -g.logprobs / v.probs, "factor", "-1"),
    ("counts_sum_inv", lambda v, g: v.counts * g.probs, "missing sum", ".sum(1, keepdim=True)"),
    ("counts_sum_inv", lambda v, g: (v.counts * g.probs).sum(1), "missing keepdim", "a sum over dim 1"),
    ("counts_sum", lambda v, g: v.counts_sum**-2 * g.counts_sum_inv, "factor", "-1"),
    ("counts", lambda v, g: v.counts_sum_inv * g.probs, "forgotten use", "counts_sum (sum) is missing"),
    ("counts", lambda v, g: np.ones_like(v.counts) * g.counts_sum, "forgotten use", "probs (*) is missing"),
    ("counts", lambda v, g: g.counts + g.counts_sum, "counted twice", "counts_sum (sum)"),
    ("counts", lambda v, g: v.counts_sum_inv * g.probs - g.counts_sum, "part factor", "-1 times"),
    ("norm_logits", lambda v, g: v.counts * g.counts * np.float32(0.5), "factor", "1/2"),
    ("logit_maxes", lambda v, g: -g.norm_logits, "missing sum", ".sum(1, keepdim=True)"),
    ("logits", lambda v, g: g.norm_logits, "forgotten use", "logit_maxes (max) is missing (at most"),
    ("logits", lambda v, g: softmax(v.logits) / N, "indexed places", "the label's place, and wrong in 32 of those 32"),
    (
        "logits", lambda v, g: softmax(v.logits) / N,
        "indexed places", "always by +1/32 (1/n): the -1 there, by n, is missing",
    ),
    ("logits", lambda v, g: at_labels(softmax(v.logits) / N, v, -1), "indexed places", "always by -0.96875"),
    ("logits", lambda v, g: at_labels(softmax(v.logits), v, -1), "factor", "32 (n)"),
    ("logits", lambda v, g: at_labels(softmax(v.logits), v, -1) / N, "rounding", "only float rounding"),
    ("h", lambda v, g: g.h.T, "transposed", ".T"),
    ("W2", lambda v, g: g.logits.T @ v.h, "transposed", ".T"),
    ("b2", lambda v, g: g.logits, "missing sum", ".sum(0)"),
    ("b2", lambda v, g: g.logits.mean(0), "factor", "1/32 (1/n)"),
    ("b2", lambda v, g: g.logits.sum(0, keepdims=True), "reshaped", ".view(27,)"),
    ("bngain", lambda v, g: v.bnraw * g.hpreact, "missing sum", ".sum(0, keepdim=True)"),
    ("bngain", lambda v, g: (v.bnraw * g.hpreact).sum(0), "missing keepdim", "a sum over dim 0"),
    ("bnbias", lambda v, g: g.hpreact.sum(0), "missing keepdim", "a sum over dim 0"),
    ("bnraw", lambda v, g: 2 * g.bnraw, "factor", "2"),
    ("bnvar_inv", lambda v, g: v.bndiff * g.bnraw, "missing sum", ".sum(0, keepdim=True)"),
    ("bnvar", lambda v, g: (v.bnvar + 1e-5) ** -1.5 * g.bnvar_inv, "factor", "-2"),
    ("bndiff2", lambda v, g: 1 / N * np.ones_like(v.bndiff2) * g.bnvar, "factor", "31/32 ((n-1)/n: Bessel"),
    ("bndiff2", lambda v, g: np.ones_like(v.bndiff2) * g.bnvar, "factor", "31 (n-1)"),
    ("bndiff2", lambda v, g: g.bndiff2.sum(0, keepdims=True), "extra sum", "summed over dim 0"),
    ("bndiff", first_of_bndiff, "forgotten use", "bndiff2 (**) is missing"),
    ("bndiff", lambda v, g: 2 * v.bndiff * g.bndiff2, "forgotten use", "bnraw (*) is missing"),
    ("bndiff", lambda v, g: first_of_bndiff(v, g) + v.bndiff * g.bndiff2, "part factor", "the exponent of bndiff2"),
    (
        "bndiff", lambda v, g: first_of_bndiff(v, g) + 2 * v.bndiff * g.bndiff2 * (31 / 32),
        "part factor", "bndiff2 (**) is 31/32 ((n-1)/n: Bessel",
    ),
    ("bnmeani", lambda v, g: (-g.bndiff).sum(0), "missing keepdim", "a sum over dim 0"),
    ("bnmeani", lambda v, g: g.bndiff.sum(0, keepdims=True), "factor", "-1"),
    ("hprebn", lambda v, g: g.bndiff, "forgotten use", "bnmeani (sum) is missing"),
    ("hprebn", mean_branch, "forgotten use", "bndiff (-) is missing"),
    ("hprebn", lambda v, g: g.bndiff + N * mean_branch(v, g), "part factor", "bnmeani (sum) is 32 (n)"),
    ("hprebn", lambda v, g: g.bndiff - mean_branch(v, g), "part factor", "bnmeani (sum) is -1"),
    ("hprebn", lambda v, g: g.bndiff + 2 * mean_branch(v, g), "counted twice", "bnmeani (sum)"),
    ("embcat", lambda v, g: v.W1 @ g.hprebn.T, "transposed", ".T"),
    ("W1", lambda v, g: g.hprebn.T @ v.embcat, "transposed", ".T"),
    ("b1", lambda v, g: g.hprebn, "missing sum", ".sum(0)"),
    ("emb", lambda v, g: g.embcat, "reshaped", ".view(32, 3, 10)"),
    ("emb", lambda v, g: g.emb.sum(1), "extra sum", "dim 1"),
    ("C", lambda v, g: scattered(v, g, 1), "repeated indices", "overwritten, not added up: only the last"),
    ("C", lambda v, g: scattered(v, g, -1), "repeated indices", "only the first stayed"),
    ("C", averaged, "repeated indices", "averaged"),
    ("C", lambda v, g: g.C + g.C, "factor", "2"),
]  # fmt: skip


def numbered(corpus):
    return [f"{i}-{case[0]}" for i, case in enumerate(corpus)]


@pytest.mark.parametrize(("name", "derivation", "kind", "text"), CORPUS, ids=numbered(CORPUS))
def test_a_wrong_derivation_gets_its_diagnosis(net, name, derivation, kind, text):
    found = net.compare(name, derivation)
    assert found.cause is not None and found.cause.kind == kind, found
    assert text in found.cause.text
    assert bool(found) == (kind == "rounding")


def noise(seed, like, size=1.0):
    return (np.random.default_rng(seed).standard_normal(like.shape) * size).astype(like.dtype)


def half(a):
    a = a.copy()
    a[: len(a) // 2] *= -1
    return a


def with_one(a, value):
    a = a.copy()
    a[3, 5] += value
    return a


NO_CAUSE = [
    ("logits", lambda v, g: noise(1, g.logits)),
    ("logits", lambda v, g: g.logits + noise(2, g.logits, 1e-3)),
    ("logits", lambda v, g: with_one(g.logits, 0.5)),
    ("logits", lambda v, g: np.roll(g.logits, 1, 0)),
    ("logits", lambda v, g: at_labels(g.logits, v, 1)[::-1]),
    ("logits", lambda v, g: np.zeros_like(g.logits)),
    ("logits", lambda v, g: np.where(g.logits > 0, np.nan, g.logits)),
    ("h", lambda v, g: g.logits @ np.abs(v.W2).T),
    ("W2", lambda v, g: v.hpreact.T @ g.logits),
    ("W2", lambda v, g: half(g.W2)),
    ("hpreact", lambda v, g: (1 - v.h) * g.h),
    ("hpreact", lambda v, g: g.h),
    ("bngain", lambda v, g: (v.bndiff * g.hpreact).sum(0, keepdims=True)),
    ("bnvar", lambda v, g: -0.5 * v.bnvar**-0.5 * g.bnvar_inv),
    ("bnvar", lambda v, g: -0.5 * (v.bnvar + 1e-3) ** -1.5 * g.bnvar_inv),
    ("bndiff", lambda v, g: first_of_bndiff(v, g) + noise(3, g.bndiff, 1e-2)),
    ("bndiff", lambda v, g: first_of_bndiff(v, g) + v.bndiff**2 * g.bndiff2),
    ("hprebn", lambda v, g: g.hprebn * np.linspace(1, 2, 64, dtype=g.hprebn.dtype)),
    ("hprebn", lambda v, g: np.abs(g.hprebn)),
    ("hprebn", lambda v, g: g.hprebn + 1),
    ("b2", lambda v, g: noise(4, g.b2)),
    ("b2", lambda v, g: noise(4, g.logits)),
    ("b1", lambda v, g: noise(5, g.b1)),
    ("emb", lambda v, g: noise(6, g.embcat)),
    ("C", lambda v, g: noise(7, g.C)),
    ("C", lambda v, g: g.C[::-1]),
    ("C", lambda v, g: np.sign(g.C) * g.C**2),
]


@pytest.mark.parametrize(("name", "derivation"), NO_CAUSE, ids=numbered(NO_CAUSE))
def test_what_has_no_known_cause_gets_none(net, name, derivation):
    found = net.compare(name, derivation)
    assert found.cause is None and not found, found


def test_random_arrays_get_no_cause(net):
    rng = np.random.default_rng(0)
    for name, t in net.tensors.items():
        for _ in range(20):
            wrong = rng.standard_normal(t.shape) * 10.0 ** rng.integers(-3, 3)
            mask = rng.random(t.shape) < rng.random()
            for a in (wrong, np.where(mask, wrong, getattr(net.g, name)), rng.permutation(getattr(net.g, name))):
                found = compare(name, a.astype(t.dtype), t)
                assert found.cause is None or np.allclose(a, getattr(net.g, name)), found


# ------------------------------------------------------------------------------------------ smaller graphs


def leaf(*shape, seed=0):
    return mg.randn(*shape, generator=mg.Generator().manual_seed(seed), requires_grad=True)


def kind_of(dt, t):
    cause = compare("x", dt, t).cause
    return cause and cause.kind


def test_backward_twice_is_the_engine_s_own_double():
    x = leaf(3, 4)
    h = x.tanh()
    h.retain_grad()
    once = (1 - h.detach() ** 2).numpy()
    for _ in range(2):
        h.sum().backward(retain_graph=True)
    assert kind_of(once, x) == "backward twice" and kind_of(2 * once, x) is None


def test_a_square_matrix_transposed():
    x = leaf(4, 4)
    (x @ leaf(4, 4, seed=1)).tanh().sum().backward()
    assert kind_of(x.grad.numpy().T, x) == "transposed"


def test_the_label_s_place_of_the_fused_rule():
    logits = leaf(5, 7)
    target = np.array([1, 0, 6, 2, 2])
    logits.retain_grad()
    loss = F.cross_entropy(logits, target)  # held: with it the graph, which knows the target
    loss.backward()
    found = compare("logits", softmax(logits.detach().numpy()) / 5, logits)
    assert found.cause.kind == "indexed places" and "always by +1/5 (1/n)" in found.cause.text
    assert "lecture: exercise 2, cell 13" in str(found)
    other = compare("scores", softmax(logits.detach().numpy()) / 5, logits)  # no name of the lecture's: no place in it
    assert other.cause == found.cause and "lecture" not in str(other)


def test_the_argmax_places():
    x = leaf(6, 5)
    x.retain_grad()
    loss = (x.max(1).values * 2 + (x * x).sum(1)).sum()
    loss.backward()
    parts = 2 * x.detach().numpy()
    assert kind_of(parts, x) == "forgotten use"
    wrong = parts.copy()
    wrong[np.arange(6), x.array.argmax(1)] += np.arange(6, dtype=np.float32) - 7
    found = compare("x", wrong, x)
    assert found.cause.kind == "indexed places" and "the largest along dim 1" in found.cause.text


def test_one_element_proves_no_factor():
    x = mg.tensor([3.0], requires_grad=True)
    x.retain_grad()
    (x**2).sum().backward()
    for wrong in (3.0, 12.0, -6.0, 1 / 6):
        assert kind_of([wrong], x) is None
    assert kind_of([2.0, 4.0], x) is None  # its sum is the gradient, but nothing was broadcast
    y = mg.tensor(3.0, requires_grad=True)
    y.retain_grad()
    (y * 4 + y * y).backward()
    assert kind_of(4.0, y) == "forgotten use" and kind_of(5.0, y) is None


def test_one_element_broadcast_lacks_a_sum():
    b = mg.tensor(3.0, requires_grad=True)
    b.retain_grad()
    loss = (leaf(5) * b).sum()
    loss.backward()
    assert kind_of(leaf(5).detach(), b) == "missing sum"


def test_a_hook_is_no_second_backward():
    x = leaf(4)
    h = x.exp()
    h.retain_grad()
    h.register_hook(lambda gradient: 2 * gradient)
    x.register_hook(lambda gradient: 2 * gradient)
    loss = (h * h).sum()
    loss.backward()
    assert kind_of(x.grad.numpy() / 2, x) == "factor"
    assert kind_of(h.grad.numpy() / 2, h) == "factor"


def test_a_gradient_of_zeros_gets_no_cause():
    x = leaf(3, 4)
    (x * 0).sum().backward()
    for wrong in (np.ones((3, 4)), np.ones((3, 1)), np.zeros(4), -np.ones((4, 3))):
        found = compare("x", wrong, x)
        assert found.cause is None and not found
    assert "the gradient is zero everywhere" in str(compare("x", np.ones((3, 4)), x))


def test_one_large_element_does_not_hide_wrong_small_ones():
    x = leaf(4)
    (x * mg.tensor([1e6, 1.0, 2.0, 3.0])).sum().backward()
    assert kind_of(np.array([2e6, 5, 9, 1]), x) is None
    assert kind_of(np.array([1e6, 1.001, 2, 3.001]), x) is None


def test_zeros_beside_a_tiny_gradient_do_not_agree_by_rounding():
    x = leaf(4)
    (x * mg.tensor([1e-9, 2e-9, 3e-9, -1e-9])).sum().backward()
    found = compare("x", np.zeros(4), x)
    assert found.approximate and found.cause is None  # the lecture's row says so, and cmp does not say why


def test_a_constant_gradient_needs_a_known_constant():
    x = leaf(8)
    x.retain_grad()
    x.mean().backward()
    assert kind_of(np.ones(8), x) == "factor" and kind_of(np.full(8, 0.3), x) is None


def test_a_constant_gradient_proves_no_sum():
    x = leaf(2, 2)
    x.retain_grad()
    loss = x.sum()
    loss.backward()
    for wrong in (np.full((5, 2, 2), 0.2), np.full(2, 2.0), np.ones(2), np.ones((3, 2, 2))):
        assert kind_of(wrong, x) is None
    y = leaf(3)
    y.retain_grad()
    loss = (y * y).sum()
    loss.backward()
    text = compare("y", np.diag(y.grad.numpy()), y).cause.text  # summed it is right, and nothing was broadcast
    assert text == "right with .sum(0): of shape (3, 3), and the gradient has (3,)"


def test_gradients_of_rounding_noise_get_no_cause(net):
    b1 = np.asarray(net.tensors["b1"].grad)  # the batch norm takes the bias away again: what is left is rounding
    assert np.abs(b1).max() < 1e-6
    rng = np.random.default_rng(3)
    for _ in range(50):
        assert compare("b1", rng.permutation(b1) * rng.choice([-1, 1], b1.shape), net.tensors["b1"]).cause is None
        noise = rng.standard_normal(b1.shape) * np.abs(b1).max()
        assert compare("b1", noise.astype(b1.dtype), net.tensors["b1"]).cause is None


@pytest.mark.parametrize("shape", [(1, 1), (2,), (3, 1), (2, 2), (4, 4)])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_prove_nothing(shape, odd):
    x = leaf(*shape)
    weights = np.random.default_rng(0).standard_normal(shape)
    weights.flat[0] = odd
    (x * mg.tensor(weights)).sum().backward()
    g = x.grad.numpy()
    for wrong in (2 * g, -g, g.T.copy(), g.sum(0), np.stack([g, g]), np.full(shape, odd), np.zeros(shape)):
        with np.errstate(all="ignore"):
            assert compare("x", wrong, x).cause is None


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.lists(st.integers(1, 5), min_size=0, max_size=3),
    size=st.floats(-2, 2),
    kind=st.sampled_from(["linear", "square", "two uses", "index", "max", "symmetric"]),
)
def test_a_random_perturbation_gets_no_cause(seed, shape, size, kind):
    rng = np.random.default_rng(seed)
    x = mg.tensor(rng.standard_normal(shape), requires_grad=True)
    x.retain_grad()
    weights = rng.standard_normal(shape)
    if kind == "square":
        loss = (x**2).sum()
    elif kind == "two uses":
        loss = (x.tanh() * mg.tensor(weights)).sum() + (x * x).sum()
    elif kind == "index" and shape:
        loss = (x[rng.integers(0, shape[0], 6)] ** 2).sum()
    elif kind == "max" and shape:
        loss = (x.max(len(shape) - 1).values * 3).sum() + x.exp().sum()
    else:
        if kind == "symmetric" and weights.shape == weights.T.shape:
            weights = weights + weights.T
        loss = (x * mg.tensor(weights)).sum()
    loss.backward()
    g = x.grad.numpy()
    wrong = g + 10.0**size * rng.standard_normal(shape)
    if g.size < 2 or np.count_nonzero(g) < 2:
        assert compare("x", wrong, x).cause is None
        return
    for a in (wrong, g * (1 + 10.0**size * rng.standard_normal(shape))):
        assert compare("x", a, x).cause is None


def test_noise_near_rounding_is_no_factor(net):
    rng = np.random.default_rng(5)
    for name, t in net.tensors.items():
        g = np.asarray(getattr(net.g, name))
        for size in 4.0 ** np.arange(1, 14) * np.finfo(g.dtype).eps:
            wrong = (g * (1 + size * rng.standard_normal(g.shape))).astype(g.dtype)
            cause = compare(name, wrong, t).cause
            assert cause is None or cause.kind == "rounding"
