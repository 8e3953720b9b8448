"""The losses beside torch: options, shapes, edges, gradients to order 2, and what is refused."""

import warnings

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.nn.functional as F

from .beside import close, compare, draw

TF = torch.nn.functional
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
SHAPES = pytest.mark.parametrize("shape", [(4, 3), (5,), (1,), (), (0,), (2, 0)])


def functional(m):
    return F if m is mg else TF


def share(*shape, dtype="float64", seed=0):
    """Numbers between 0.02 and 0.98."""
    return np.asarray(np.random.default_rng(seed + 9).uniform(0.02, 0.98, shape)).astype(dtype)


def both(call, *arrays, second=True):
    """compare() of call(m, *leaves)."""
    compare(lambda *xs: call(mg, *xs), lambda *xs: call(torch, *xs), *arrays, second=second)


# ------------------------------------------------------------------------------------------- mse_loss and l1_loss


@DTYPES
@REDUCTIONS
@SHAPES
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_differences(name, shape, reduction, dtype):
    both(
        lambda m, x, y: getattr(functional(m), name)(x, y, reduction=reduction),
        draw(*shape, dtype=dtype),
        draw(*shape, dtype=dtype, seed=1),
    )


@DTYPES
@REDUCTIONS
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_differences_that_are_weighted(name, reduction, dtype):
    both(
        lambda m, x, y, w: getattr(functional(m), name)(x, y, reduction=reduction, weight=w),
        draw(4, 3, dtype=dtype),
        draw(4, 3, dtype=dtype, seed=1),
        share(4, 3, dtype=dtype),
    )


@pytest.mark.parametrize("shapes", [((4, 3), (3,)), ((3,), (4, 3)), ((4, 1), (3,)), ((2, 1), ())])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_differences_that_are_broadcast_warn_in_both(name, shapes):
    with pytest.warns(UserWarning) as found:
        both(
            lambda m, x, y: getattr(functional(m), name)(x, y), draw(*shapes[0]), draw(*shapes[1], seed=1), second=False
        )
    assert sum("broadcast" in str(w.message) for w in found) == 2


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_differences_at_the_edges(name):
    values = np.array([0.0, -0.0, 1.0, -2.0, 1e-300, 1e300, np.inf, -np.inf, np.nan])
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    both(lambda m, x, y: getattr(functional(m), name)(x, y, reduction="none"), x, y, second=False)


# --------------------------------------------------------------------------------------------- of probabilities


@DTYPES
@REDUCTIONS
@SHAPES
def test_binary_cross_entropy(shape, reduction, dtype):
    # torch's second derivative has 1e-12 added in its divisor, which float64 shows
    both(
        lambda m, x, y: functional(m).binary_cross_entropy(x, y, reduction=reduction),
        share(*shape, dtype=dtype),
        share(*shape, dtype=dtype, seed=1),
        second=dtype == "float32",
    )


@REDUCTIONS
@pytest.mark.parametrize("shape", [(4, 3), (3,), (4, 1), (1, 1), ()])
def test_binary_cross_entropy_weighted(shape, reduction):
    weight = share(*shape, seed=3)
    both(
        lambda m, x, y: functional(m).binary_cross_entropy(x, y, m.tensor(weight), reduction=reduction),
        share(4, 3),
        share(4, 3, seed=1),
        second=False,
    )


@DTYPES
def test_binary_cross_entropy_of_certainties_is_finite(dtype):
    """At 0 and 1, where a saturated sigmoid ends: the loss is 100 at most, and the gradient is no nan."""
    values = np.array([0, 1, 0.5, 1e-8, 1e-30, 5e-324, 1 - 1e-7, 0.3]).astype(dtype)
    a, b = (x.ravel() for x in np.meshgrid(values, np.array([0, 1, 0.5, 0.3]).astype(dtype)))
    x, z = mg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    y, w = (f(p, t, reduction="none") for f, p, t in (
        (F.binary_cross_entropy, x, mg.tensor(b)), (TF.binary_cross_entropy, z, torch.tensor(b))
    ))  # fmt: skip
    close(y, w)
    assert y.max().item() == 100
    y.sum().backward()
    w.sum().backward()
    close(x.grad, z.grad, rtol=1e-5)
    assert np.isfinite(x.grad.array).all()


def test_a_saturated_network_goes_on_learning():
    """The gradient through sigmoid and binary_cross_entropy at logits of 800, which round to 0 and 1."""
    logits = np.array([800.0, -800.0, 40.0, -40.0, 0.0])
    grads = []
    for m in (mg, torch):
        x = m.tensor(logits, requires_grad=True)
        functional(m).binary_cross_entropy(m.sigmoid(x), m.tensor([0.0, 1, 0, 1, 1], dtype=m.float64)).backward()
        grads.append(np.asarray(x.grad.detach().numpy()))
    np.testing.assert_allclose(*grads, atol=1e-12)


# --------------------------------------------------------------------------------------------------- of logits


@DTYPES
@REDUCTIONS
@SHAPES
def test_binary_cross_entropy_with_logits(shape, reduction, dtype):
    both(
        lambda m, x, y: functional(m).binary_cross_entropy_with_logits(x, y, reduction=reduction),
        draw(*shape, dtype=dtype) * 3,
        share(*shape, dtype=dtype),
    )


@DTYPES
@pytest.mark.parametrize("positive", [None, (3,), (4, 1), (4, 3), ()])
@pytest.mark.parametrize("weighted", [None, (3,), (4, 1), (4, 3), ()])
def test_binary_cross_entropy_with_logits_weighted(weighted, positive, dtype):
    weight = None if weighted is None else share(*weighted, dtype=dtype, seed=3)
    pos = None if positive is None else 3 * share(*positive, dtype=dtype, seed=4)

    def call(m, x, y):
        w, p = (None if a is None else m.tensor(a) for a in (weight, pos))
        return [functional(m).binary_cross_entropy_with_logits(x, y, w, reduction=r, pos_weight=p).sum()
                for r in ("mean", "sum", "none")]  # fmt: skip

    for i in range(3):
        both(lambda m, x, y, i=i: call(m, x, y)[i], draw(4, 3, dtype=dtype), share(4, 3, dtype=dtype))


@DTYPES
def test_binary_cross_entropy_with_logits_at_the_edges(dtype):
    """At 0 (both derivatives), far out, and where exp overflows."""
    far = 80 if dtype == "float32" else 700
    values = np.array([0, -0.0, 1e-30, 10, -10, 30, -30, far, -far, 1e4, -1e4, 1e30, -1e30]).astype(dtype)
    x, y = (a.ravel() for a in np.meshgrid(values, np.array([0, 1, 0.25, -1, 2]).astype(dtype)))
    both(lambda m, x: functional(m).binary_cross_entropy_with_logits(x, m.tensor(y), reduction="none"), x)


def test_a_small_gradient_far_out_is_not_rounded_away():
    """sigmoid(-30) = 9.4e-14 is what pulls a logit of -30 further down."""
    for logit, target, want in ((-30.0, 0.0, 9.357622968839299e-14), (30.0, 1.0, -9.357622968839299e-14)):
        for dtype in (mg.float32, mg.float64):
            x = mg.tensor(logit, dtype=dtype, requires_grad=True)
            F.binary_cross_entropy_with_logits(x, mg.tensor(target, dtype=dtype)).backward()
            assert x.grad.item() == pytest.approx(want, rel=1e-5)


# ------------------------------------------------------------------------------------------------------ nll_loss

TARGETS = [
    ((4, 3), [0, 2, 1, -100]),
    ((4, 3), [1, 1, 0, 1]),
    ((3,), 2),
    ((2, 3, 2), [[0, 1], [2, -100]]),
    ((2, 3, 1, 2), [[[0, 1]], [[2, 1]]]),
    ((1, 1), [0]),
]


@DTYPES
@REDUCTIONS
@pytest.mark.parametrize("ignore", [-100, 1, 7])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape,target", TARGETS)
def test_nll_loss(shape, target, weighted, ignore, reduction, dtype):
    target = np.where(np.equal(target, -100), ignore, target)
    classes = shape[min(1, len(shape) - 1)]
    target = np.where(target == 7, 0, target) if ignore != 7 else target
    weight = np.arange(1, classes + 1).astype(dtype)

    def call(m, x):
        w = m.tensor(weight) if weighted else None
        return functional(m).nll_loss(x, m.tensor(target), w, ignore_index=ignore, reduction=reduction)

    both(call, draw(*shape, dtype=dtype))


def test_nll_loss_where_the_weights_are_zero_or_all_is_ignored():
    for weight, target in (([0.0, 0.0, 1.0], [0, 1]), ([1.0, 1.0, 1.0], [-100, -100])):
        x = draw(2, 3)
        for reduction in ("mean", "sum", "none"):
            both(lambda m, x, r=reduction, w=weight, t=target: functional(m).nll_loss(
                x, m.tensor(t), m.tensor(w, dtype=m.float64), reduction=r), x, second=False)  # fmt: skip


# -------------------------------------------------------------------------------------------------- as modules

MODULES = [
    ("MSELoss", (), {}, "float"),
    ("L1Loss", (), {"reduction": "sum"}, "float"),
    ("BCELoss", (), {}, "share"),
    ("BCELoss", ("weight",), {"reduction": "none"}, "share"),
    ("BCEWithLogitsLoss", (), {}, "share"),
    ("BCEWithLogitsLoss", ("weight",), {"reduction": "sum", "pos_weight": "weight"}, "share"),
    ("NLLLoss", ("weight", None, 1), {}, "class"),
    ("NLLLoss", (), {"reduction": "none"}, "class"),
    ("CrossEntropyLoss", ("weight", None, 1), {"label_smoothing": 0.1}, "class"),
    ("CrossEntropyLoss", (), {"reduction": "none"}, "class"),
]


@pytest.mark.parametrize("name,args,kwargs,target", MODULES)
def test_modules(name, args, kwargs, target):
    held = {"weight": share(3, seed=5)}
    targets = {"float": draw(4, 3, seed=2), "share": share(4, 3, seed=2), "class": np.array([0, 1, 2, 0])}[target]

    def call(m, x):
        given = [m.tensor(held[a]) if a in held else a for a in args]
        named = {k: m.tensor(held[v]) if v in held else v for k, v in kwargs.items()}
        layer = getattr(m.nn, name)(*given, **named)
        assert repr(layer) == f"{name}()" and len(list(layer.parameters())) == 0
        assert sorted(layer.state_dict()) == sorted({"weight"} & {*args} | {"pos_weight"} & {*kwargs})
        return layer(x, m.tensor(targets))

    both(call, share(4, 3), second=False)


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss", "CrossEntropyLoss"])
def test_modules_know_the_old_reductions(name):
    for old, new in (({"size_average": False}, "sum"), ({"reduce": False}, "none")):
        for m in (mg, torch):
            with pytest.warns(UserWarning, match="deprecated"):
                assert getattr(m.nn, name)(**old).reduction == new


# ------------------------------------------------------------------------------------------------------ refused


def one(m, dtype="float32"):
    return m.ones(4, 3, dtype=getattr(m, dtype))


REFUSED = [
    (lambda m, f: f.mse_loss(one(m, "int64"), one(m, "int64")), NotImplementedError, "floats, got int64 and int64"),
    (lambda m, f: f.mse_loss(one(m), one(m), weight=m.ones(3)), ValueError, r"\(4, 3\), got \(3,\)"),
    (lambda m, f: f.l1_loss(one(m), one(m), weight=m.ones(1)), ValueError, r"\(4, 3\), got \(1,\)"),
    (lambda m, f: f.l1_loss(one(m), one(m), reduction="avg"), ValueError, "avg"),
    (lambda m, f: f.binary_cross_entropy(one(m), m.ones(4, 1)), ValueError, r"\(4, 1\).*\(4, 3\)"),
    (lambda m, f: f.binary_cross_entropy(one(m) * 1.5, one(m)), RuntimeError, "between 0 and 1, got 1.5 to 1.5"),
    (lambda m, f: f.binary_cross_entropy(one(m) * -1, one(m)), RuntimeError, "between 0 and 1"),
    (lambda m, f: f.binary_cross_entropy(one(m) * float("nan"), one(m)), RuntimeError, "nan"),
    (lambda m, f: f.binary_cross_entropy(one(m), one(m, "int64")), RuntimeError, "target is int64, the input float32"),
    (lambda m, f: f.binary_cross_entropy(one(m), one(m, "float64")), RuntimeError, "target is float64"),
    (lambda m, f: f.binary_cross_entropy(one(m, "int64"), one(m, "int64")), NotImplementedError, "got int64"),
    (lambda m, f: f.binary_cross_entropy(one(m), one(m), m.ones(2)), RuntimeError, r"\(2,\)"),
    (lambda m, f: f.binary_cross_entropy(one(m), one(m), m.ones(2, 4, 3)), RuntimeError, r"\(2, 4, 3\)"),
    (lambda m, f: f.binary_cross_entropy(one(m).requires_grad_(), one(m), m.ones(3, requires_grad=True)), RuntimeError,
     "no gradient for its weights"),
    (lambda m, f: f.binary_cross_entropy_with_logits(one(m), m.ones(3)), ValueError, r"\(3,\).*\(4, 3\)"),
    (lambda m, f: f.binary_cross_entropy_with_logits(one(m), one(m, "int64")), RuntimeError, r"int64.*\.float\(\)"),
    (lambda m, f: f.binary_cross_entropy_with_logits(one(m, "int64"), one(m, "int64")), NotImplementedError, "int64"),
    (lambda m, f: f.binary_cross_entropy_with_logits(one(m), one(m), m.ones(2)), RuntimeError, r"\(2,\)"),
    (lambda m, f: f.binary_cross_entropy_with_logits(
        one(m).requires_grad_(), one(m), pos_weight=m.ones(3, requires_grad=True)), RuntimeError, "no gradient for"),
    (lambda m, f: f.nll_loss(one(m), m.tensor([0, 1, 2, 3])), IndexError, "Target 3 in row 3"),
    (lambda m, f: f.nll_loss(one(m), m.tensor([0, 1, 2])), ValueError, r"\(4, 3\), target \(3,\)"),
    (lambda m, f: f.nll_loss(one(m), m.ones(4)), RuntimeError, "float32"),
    (lambda m, f: f.nll_loss(one(m), m.zeros(4).long(), m.ones(3, dtype=m.float64)), RuntimeError, "weight is float64"),
    (lambda m, f: f.nll_loss(one(m), m.zeros(4).long(), m.ones(4)), RuntimeError, r"\(3,\).*\(4,\)"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused_with_torchs_class_of_error(case):
    call, error, message = REFUSED[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes that are broadcast
        with pytest.raises(error):
            call(torch, TF)
        with pytest.raises(error, match=message):
            call(mg, F)
