"""The random functions by their torch names, minigrad's and torch's calls one after the other on the same seed."""

from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg

SIZES = [0, 1, 15, 16, 17, 31, 100]
# What libm or a fused multiply-add may round otherwise on another processor.
ROUNDED = {"across", "randn", "normal", "normal_", "normal of tensors", "exponential_", "uniform_", "kaiming_normal_"}


def across(base: Any, how: str, **g: Any) -> Any:
    """A view whose indices do not run as its memory does, filled: the draws go as the memory does."""
    fill, dims = how.split()
    getattr(base.permute(*map(int, dims))[:, ::2], fill)(**g)
    return base


def some_call(rng: np.random.Generator) -> tuple[str, Any]:
    """One call, written for either library m, with or without a generator g."""
    n, dtype = int(rng.choice(SIZES)), str(rng.choice(["float32", "float64"]))
    fill = rng.choice(["normal_", "uniform_", "exponential_", "bernoulli_", "random_"])
    how = f"{fill} {rng.choice(['012', '120', '201', '102'])}"
    k, high, mean, std = int(rng.integers(1, 9)), int(rng.integers(1, 10**6)), float(rng.normal()), float(rng.random())
    weights = (rng.random((2, 8)) + 1e-3).astype(dtype)
    replacement = bool(rng.random() < 0.5)
    sparse = weights * (rng.random((2, 8)) < 0.4)
    sparse[:, -1] = 1
    calls = {
        "randint": lambda m, g: m.randint(0, high, (n,), **g),
        "randint high alone": lambda m, g: m.randint(high, (2, 3), **g),
        "randint by keywords": lambda m, g: m.randint(high=high, size=(3,), dtype=m.int32, **g),
        "rand": lambda m, g: m.rand(n, dtype=getattr(m, dtype), **g),
        "randn": lambda m, g: m.randn((n, 2), dtype=getattr(m, dtype), **g),
        "randperm": lambda m, g: m.randperm(n, **g),
        "multinomial": lambda m, g: m.multinomial(m.tensor(weights), k, replacement, **g),
        "multinomial of zeros": lambda m, g: m.multinomial(m.tensor(sparse), k, replacement, **g),
        "multinomial method": lambda m, g: m.tensor(weights[0]).multinomial(num_samples=1, **g),
        "normal": lambda m, g: m.normal(mean, std, size=(n,), **g),
        "normal of tensors": lambda m, g: m.normal(m.tensor([1.0, 2.0, 3.0]), m.tensor([0.1, 0.2, 0.3]), **g),
        "normal_": lambda m, g: m.empty(n).normal_(mean, std, **g),
        "uniform_": lambda m, g: m.empty(n).uniform_(mean, mean + std, **g),
        "exponential_": lambda m, g: m.empty(n).exponential_(std + 0.1, **g),
        "bernoulli_": lambda m, g: m.empty(n).bernoulli_(0.3, **g),
        "bernoulli_ of a Tensor": lambda m, g: m.zeros(6, 4).T.bernoulli_(m.arange(6.0) / 6, **g).contiguous(),
        "random_": lambda m, g: m.empty(n, dtype=getattr(m, dtype)).random_(**g),
        "random_ int64": lambda m, g: m.empty(n, dtype=m.int64).random_(**g),
        "random_ bounds": lambda m, g: m.empty(n, dtype=m.int32).random_(-5, high, **g),
        "across": lambda m, g: across(m.zeros(4, n, 2, dtype=getattr(m, dtype)), how, **g),
        "init across": lambda m, g: m.nn.init.uniform_(m.zeros(4, 9).T, **g).contiguous(),
        "kaiming_normal_": lambda m, g: m.nn.init.kaiming_normal_(m.empty(4, 9), nonlinearity="relu", **g),
    }
    name = str(rng.choice(list(calls)))
    return name, calls[name]


@pytest.mark.parametrize("seed", [0, 42, 2147483647, 2**32 + 7, 2**64 - 1])
@pytest.mark.parametrize("own", [True, False], ids=["generator", "global"])
def test_the_same_numbers_call_by_call(seed: int, own: bool) -> None:
    rng = np.random.default_rng(seed % 1000)
    ours = {"generator": mg.Generator().manual_seed(seed)} if own else {}
    theirs = {"generator": torch.Generator().manual_seed(seed)} if own else {}
    mg.manual_seed(seed)
    torch.manual_seed(seed)
    for _ in range(300):
        name, call = some_call(rng)
        got, want = call(mg, ours), call(torch, theirs).numpy()
        assert isinstance(got, mg.Tensor) and got.shape == want.shape and str(got.dtype) == str(want.dtype), name
        if name in ROUNDED:
            tiny = np.finfo(want.dtype).eps
            np.testing.assert_allclose(got.numpy(), want, rtol=8 * tiny, atol=8 * tiny, err_msg=name)
        else:
            np.testing.assert_array_equal(got.numpy(), want, err_msg=name)


def test_state_goes_back_and_forth() -> None:
    g, theirs = mg.Generator().manual_seed(5), torch.Generator()
    mg.rand(100, generator=g)
    theirs.set_state(torch.from_numpy(g.get_state()))
    assert mg.randint(0, 99, (50,), generator=g).tolist() == torch.randint(0, 99, (50,), generator=theirs).tolist()
    g.set_state(theirs.get_state())
    assert mg.randint(0, 99, (50,), generator=g).tolist() == torch.randint(0, 99, (50,), generator=theirs).tolist()
    mg.manual_seed(3)
    state = mg.get_rng_state()
    first = mg.rand(3)
    mg.set_rng_state(state)
    assert mg.equal(mg.rand(3), first) and mg.initial_seed() == 3


def test_in_place_by_chance_is_refused_on_a_leaf_and_cuts_the_gradient() -> None:
    x = mg.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        x.normal_()
    y = x * 2
    (y.uniform_() * x).sum().backward()
    assert mg.equal(x.grad, y)  # nothing through what was overwritten
    with pytest.raises(NotImplementedError, match="int64"):
        mg.zeros(3, dtype=mg.int64).normal_()
