"""The same function in both libraries on the same leaves, and what came out compared."""

import numpy as np
import torch

import minigrad as mg

TOL = {"float64": {"rtol": 1e-10, "atol": 1e-12}, "float32": {"rtol": 2e-4, "atol": 2e-5}}


def close(ours, theirs, **more):
    theirs = theirs.numpy(force=True)
    ours = np.asarray(ours.array)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, **{**TOL[str(ours.dtype)], **more})


def draw(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed + 7 * len(shape)).standard_normal(shape).astype(dtype)


def compare(ours, theirs, *arrays, second=True):
    """The function in both on the same leaves: value, gradients, and (second) the gradients of their projection."""
    results = []
    for lib, function, leaf in ((mg, ours, mg.tensor), (torch, theirs, torch.tensor)):
        grad = mg.grad if lib is mg else torch.autograd.grad
        xs = [leaf(a, requires_grad=True) for a in arrays]
        y = function(*xs)
        along = leaf(draw(*y.shape, dtype=arrays[0].dtype, seed=3))
        first = grad((y * along).sum(), xs, create_graph=second)
        found = [y, *first]
        if second:
            along = [leaf(draw(*a.shape, dtype=a.dtype, seed=5)) for a in arrays]
            total = sum((g * v).sum() for g, v in zip(first, along, strict=True))
            # Where the gradient is linear nothing is recorded, or None comes back: zeros.
            again = grad(total, xs, allow_unused=True) if total.requires_grad else [None] * len(xs)
            found += [lib.zeros_like(x) if h is None else h for x, h in zip(xs, again, strict=True)]
        results.append(found)
    assert len(results[0]) == len(results[1])
    for a, b in zip(*results, strict=True):
        close(a, b)
