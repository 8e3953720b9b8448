"""clip_grad_norm_ and clip_grad_value_ beside torch's."""

import numpy as np
import pytest
import torch

import minigrad as mg

from .beside import close, draw

SHAPES = [(4, 3), (5,), (), (0,)]


def leaves(m, dtype="float32", scale=1.0):
    """Leaves of several shapes with gradients, and one without."""
    found = []
    for i, shape in enumerate(SHAPES):
        p = m.tensor(np.zeros(shape, dtype), requires_grad=True)
        p.grad = m.tensor(np.asarray(draw(*shape, seed=i) * scale).astype(dtype))
        found.append(p)
    return [*found, m.zeros(2, requires_grad=True)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm_type", [2.0, 2, 1, 3.0, 0.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.0, 0.1, 1, 3.5, 1e6])
def test_clip_grad_norm(max_norm, norm_type, dtype):
    ours, theirs = leaves(mg, dtype), leaves(torch, dtype)
    if norm_type == float("inf"):
        ours, theirs = ours[:3], theirs[:3]  # nothing has no largest element
    arrays = [p.grad.numpy() for p in ours if p.grad is not None]
    close(
        mg.nn.utils.clip_grad_norm_(iter(ours), max_norm, norm_type),
        torch.nn.utils.clip_grad_norm_(iter(theirs), max_norm, norm_type),
    )
    for p, q in zip(ours, theirs, strict=True):
        if q.grad is None:
            assert p.grad is None
        else:
            close(p.grad, q.grad)
    assert all(p.grad.array is a for p, a in zip(ours, arrays, strict=False))  # changed in place


def test_clip_grad_norm_of_one_tensor_of_none_and_of_several_dtypes():
    for m in (mg, torch):
        (p, *_), clip = leaves(m), m.nn.utils.clip_grad_norm_
        assert clip(p, 1.0).item() > 1 and p.grad.norm().item() == pytest.approx(1, rel=1e-5)
        assert clip([m.ones(2, requires_grad=True)], 1.0).item() == 0
    ours, theirs = ([*leaves(m), *leaves(m, "float64", 3.0)] for m in (mg, torch))
    close(mg.nn.utils.clip_grad_norm_(ours, 1.0), torch.nn.utils.clip_grad_norm_(theirs, 1.0))
    for p, q in zip(ours, theirs, strict=True):
        if q.grad is not None:
            close(p.grad, q.grad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_norms_that_are_not_finite(bad):
    found = []
    for m in (mg, torch):
        p = m.zeros(3, requires_grad=True)
        p.grad = m.tensor([1.0, bad, 2.0])
        with pytest.raises(RuntimeError, match=str(bad) if m is mg else "non-finite"):
            m.nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
        assert p.grad[0].item() == 1  # refused before anything was changed
        total = m.nn.utils.clip_grad_norm_([p], 1.0)
        found.append([total.item(), *p.grad.tolist()])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("value", [0, 0.5, 1.0, 100])
def test_clip_grad_value(value):
    ours, theirs = leaves(mg, scale=2.0), leaves(torch, scale=2.0)
    assert mg.nn.utils.clip_grad_value_(iter(ours), value) is None
    torch.nn.utils.clip_grad_value_(iter(theirs), value)
    for p, q in zip(ours, theirs, strict=True):
        if q.grad is not None:
            close(p.grad, q.grad)


def test_clipping_within_training_follows_torch():
    trails = []
    for m in (mg, torch):
        m.manual_seed(1)
        net = m.nn.Sequential(m.nn.Linear(3, 8), m.nn.Tanh(), m.nn.Linear(8, 1))
        optimizer, trail = m.optim.SGD(net.parameters(), 0.5, momentum=0.9), []
        x = m.tensor(draw(10, 3, dtype="float32"))
        for _ in range(50):
            loss = (net(x) - x.sum(1, keepdim=True) * 5).square().mean()
            optimizer.zero_grad()
            loss.backward()
            norm = m.nn.utils.clip_grad_norm_(net.parameters(), 0.3)
            optimizer.step()
            trail.append([loss.item(), norm.item()])
        trails.append(trail)
    np.testing.assert_allclose(*trails, rtol=2e-3)
