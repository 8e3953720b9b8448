"""nn.functional beside torch: values, gradients and second derivatives; and what is refused."""

import itertools
import warnings

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.nn.functional as F

from .beside import close, compare, draw

TF = torch.nn.functional


# -------------------------------------------------------------------------------------------- cross_entropy

CLASSES = [
    ((4, 3), [0, 2, 1, 2]),
    ((3,), 1),
    ((1, 5), [4]),
    ((2, 3, 4), [[0, 2, 1, 2], [1, 1, 0, 2]]),
    ((2, 3, 2, 2), [[[0, 1], [2, 2]], [[1, 0], [0, 0]]]),
    ((4, 1), [0, 0, 0, 0]),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted,smoothing,ignore", list(itertools.product([False, True], [0.0, 0.3], [-100, 2, 0])))
@pytest.mark.parametrize("shape,target", CLASSES)
def test_cross_entropy_of_classes(shape, target, weighted, smoothing, ignore, reduction, dtype):
    n = shape[1] if len(shape) > 1 else shape[0]
    weight = np.abs(draw(n, dtype=dtype, seed=2)) + 0.1 if weighted else None
    if np.all(np.equal(target, ignore)):
        ignore = -100  # all rows ignored: the mean is nan, tested below
    settings = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignore}

    def made(lib, f):
        w = None if weight is None else lib.tensor(weight)
        return lambda x: f.cross_entropy(x, lib.tensor(target), w, **settings)

    compare(made(mg, F), made(torch, TF), draw(*shape, dtype=dtype))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted,smoothing", list(itertools.product([False, True], [0.0, 0.3])))
@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 3, 4)])
def test_cross_entropy_of_probabilities(shape, weighted, smoothing, reduction):
    n = shape[1] if len(shape) > 1 else shape[0]
    weight = np.abs(draw(n, seed=2)) + 0.1 if weighted else None
    settings = {"reduction": reduction, "label_smoothing": smoothing}

    def made(lib, f):
        w = None if weight is None else lib.tensor(weight)
        return lambda x, t: f.cross_entropy(x, t, w, **settings)

    compare(made(mg, F), made(torch, TF), draw(*shape), np.abs(draw(*shape, seed=1)))


def test_cross_entropy_is_one_rule_in_the_common_case():
    loss = F.cross_entropy(mg.randn(4, 3, requires_grad=True), mg.tensor([0, 1, 2, 0]))
    assert repr(loss.grad_fn) == "<CrossEntropyBackward0>"
    assert not any(node for node, _ in loss.grad_fn.next_functions)


@pytest.mark.parametrize("scale", [1e4, 1e30, 3e38])
def test_cross_entropy_of_large_logits_does_not_overflow(scale):
    x = np.array([[1, -1, 0.5], [-1, 1, 0]], np.float32) * np.float32(scale)
    ours, theirs = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    with np.errstate(over="ignore"):
        F.cross_entropy(ours, mg.tensor([0, 1])).backward()
    TF.cross_entropy(theirs, torch.tensor([0, 1])).backward()
    close(ours.grad, theirs.grad)


def test_cross_entropy_of_nothing_and_of_ignored_rows_alone_is_nan():
    with np.errstate(all="ignore"):
        assert np.isnan(F.cross_entropy(mg.zeros(0, 3), mg.zeros(0, dtype=mg.int64)).item())
        assert np.isnan(F.cross_entropy(mg.zeros(2, 3), mg.tensor([-100, -100])).item())
    assert F.cross_entropy(mg.zeros(2, 3), mg.tensor([-100, -100]), reduction="sum").item() == 0


def test_an_ignored_row_of_infinities_counts_for_nothing():
    x = np.array([[1.0, 2.0], [np.inf, -np.inf]])
    assert F.cross_entropy(mg.tensor(x), mg.tensor([0, -100])).item() == pytest.approx(
        TF.cross_entropy(torch.tensor(x), torch.tensor([0, -100])).item()
    )


def test_targets_may_be_uint8():
    x, t = draw(3, 4), np.array([0, 3, 1], np.uint8)
    close(F.cross_entropy(mg.tensor(x), mg.tensor(t)), TF.cross_entropy(torch.tensor(x), torch.tensor(t)))


def test_the_old_reductions_still_mean_what_they_did():
    x, t = mg.tensor(draw(3, 4)), mg.tensor([0, 3, 1])
    for old, new in (({"size_average": False}, "sum"), ({"reduce": False}, "none"), ({"reduce": True}, "mean")):
        with pytest.warns(UserWarning, match="deprecated"):
            found = F.cross_entropy(x, t, **old)
        assert mg.equal(found, F.cross_entropy(x, t, reduction=new))


X = mg.zeros(4, 3)
Y = mg.tensor([0, 1, 2, 0])
REFUSED = [
    (lambda: F.cross_entropy(X, Y.float()), RuntimeError, r"target dtype .* got float32"),
    (lambda: F.cross_entropy(X, Y.int()), RuntimeError, r"target dtype .* got int32: convert with .long\(\)"),
    (lambda: F.cross_entropy(X, mg.tensor([0, 1, 3, 0])), IndexError, r"Target 3 in row 2 is out of bounds.*0 to 2"),
    (lambda: F.cross_entropy(X, mg.tensor([0, -1, 2, 0])), IndexError, r"Target -1 in row 1 is out of bounds"),
    (lambda: F.cross_entropy(X, mg.tensor([0, 1, 2])), ValueError, r"input \(4, 3\), target \(3,\)"),
    (lambda: F.cross_entropy(X, mg.tensor([[0, 1, 2, 0]])), ValueError, r"input \(4, 3\), target \(1, 4\)"),
    (lambda: F.cross_entropy(mg.zeros(2, 3, 4), mg.zeros(2, 5).long()), RuntimeError, r"shape \(2, 4\).*got \(2, 5\)"),
    (lambda: F.cross_entropy(X, Y, weight=mg.ones(4)), RuntimeError, r"shape \(3,\).*got \(4,\)"),
    (lambda: F.cross_entropy(X, Y, reduction="foo"), ValueError, "foo is not a valid value for reduction"),
    (lambda: F.cross_entropy(X, Y, label_smoothing=1.5), RuntimeError, "between 0.0 and 1.0. Got: 1.5"),
    (lambda: F.cross_entropy(X.long(), Y), RuntimeError, "float logits, got int64"),
    (lambda: F.cross_entropy(mg.tensor(3.0), mg.tensor(0)), RuntimeError, "0-d"),
    (lambda: F.cross_entropy(X, X.long()), RuntimeError, "class probabilities"),
    (lambda: F.cross_entropy(X, X, ignore_index=1), RuntimeError, "ignore_index is not supported"),
    (lambda: F.cross_entropy(X, Y, mg.ones(3, requires_grad=True)), RuntimeError, "no gradient for weight"),
    (lambda: F.nll_loss(X, mg.tensor([0, 1, 3, 0])), IndexError, "Target 3 in row 2"),
    (lambda: F.nll_loss(X, Y, reduction="foo"), ValueError, "foo"),
    (lambda: F.batch_norm(X, None, None), RuntimeError, "must be defined in evaluation mode"),
    (lambda: F.batch_norm(X, mg.zeros(4), mg.ones(4), training=True), RuntimeError, r"3 elements.*\(4, 3\).*\(4,\)"),
    (lambda: F.batch_norm(X[:1], None, None, training=True), ValueError, r"more than 1 value.*\(1, 3\)"),
    (lambda: F.batch_norm(X, None, mg.ones(3), training=True), ValueError, "both be None or neither"),
    (lambda: F.batch_norm(X, None, None, mg.ones(4), training=True), RuntimeError, "weight should contain 3"),
    (lambda: F.batch_norm(X[0], None, None, training=True), IndexError, r"\(3,\)"),
    (lambda: F.batch_norm(X, None, None, mg.ones(3).double(), training=True), RuntimeError, "weight is float64"),
    (lambda: F.linear(X, mg.zeros(2, 4)), RuntimeError, r"\(4, 3\) and weight \(2, 4\)"),
    (lambda: F.linear(X, mg.zeros(2, 3), mg.zeros(3)), RuntimeError, r"bias \(3,\) and weight \(2, 3\)"),
    (lambda: F.embedding(mg.tensor([[0, 5]]), X), IndexError, r"5 at \(0, 1\), the embedding has rows 0 to 3"),
    (lambda: F.embedding(mg.tensor([-1]), X), IndexError, "-1"),
    (lambda: F.embedding(mg.tensor([1.0]), X), RuntimeError, "int64 or int32, got float32"),
    (lambda: F.embedding(mg.tensor([True]), X), RuntimeError, "got bool"),
    (lambda: F.embedding(mg.tensor([1]), X[0]), RuntimeError, r"\(n, d\), got \(3,\)"),
    (lambda: F.embedding(mg.tensor([1]), X, padding_idx=9), AssertionError, "padding_idx"),
    (lambda: F.layer_norm(X, (4,)), RuntimeError, r"\(4,\).*\(4, 3\)"),
    (lambda: F.dropout(X, 1.5), ValueError, "between 0 and 1, but got 1.5"),
    (lambda: F.softmax(X), TypeError, "needs a dim"),
]


@pytest.mark.parametrize("call,error,message", REFUSED, ids=range(len(REFUSED)))
def test_refused_with_a_message_that_names_it(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------------------------------------- batch_norm


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (2, 4), (3, 4, 5), (1, 4, 3), (2, 3, 2, 2)])
def test_batch_norm_in_training(shape, affine, dtype):
    gain = [draw(shape[1], dtype=dtype, seed=1), draw(shape[1], dtype=dtype, seed=2)] if affine else []
    # torch 2.13's own second derivative of batch_norm is by formula: the same numbers.
    compare(
        lambda x, *wb: F.batch_norm(x, None, None, *wb, training=True),
        lambda x, *wb: TF.batch_norm(x, None, None, *wb, training=True),
        draw(*shape, dtype=dtype),
        *gain,
        second=dtype == "float64",
    )


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (1, 4), (3, 4, 5)])
def test_batch_norm_in_evaluation(shape, affine):
    mean, var = draw(4, seed=8), np.abs(draw(4, seed=9)) + 0.1
    gain = [draw(4, seed=1), draw(4, seed=2)] if affine else []
    compare(
        lambda x, *wb: F.batch_norm(x, mg.tensor(mean), mg.tensor(var), *wb),
        lambda x, *wb: TF.batch_norm(x, torch.tensor(mean), torch.tensor(var), *wb),
        draw(*shape),
        *gain,
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(6, 4), (2, 4), (3, 4, 5)])
def test_batch_norm_moves_the_running_statistics(shape, dtype):
    ours = [mg.zeros(4, dtype=dtype), mg.ones(4, dtype=dtype)]
    theirs = [torch.zeros(4, dtype=getattr(torch, dtype)), torch.ones(4, dtype=getattr(torch, dtype))]
    for i in range(5):
        x = draw(*shape, dtype=dtype, seed=i)
        F.batch_norm(mg.tensor(x), *ours, training=True, momentum=0.3)
        TF.batch_norm(torch.tensor(x), *theirs, training=True, momentum=0.3)
    for a, b in zip(ours, theirs, strict=True):
        close(a, b)


def test_batch_norm_with_bessels_correction_is_the_lectures():
    x, gain, bias = draw(6, 4), draw(4, seed=1), draw(4, seed=2)

    def lecture(x, gain, bias):
        return gain * (x - x.mean(0, keepdim=True)) / torch.sqrt(x.var(0, keepdim=True, unbiased=True) + 1e-5) + bias

    mean, var = mg.zeros(4).double(), mg.ones(4).double()
    compare(lambda x, g, b: F.batch_norm(x, mean, var, g, b, True, 1.0, correction=1), lecture, x, gain, bias)
    np.testing.assert_allclose(var.array, x.var(0, ddof=1))  # the running var is unbiased all the same


def test_batch_norm_is_one_rule_in_training():
    y = F.batch_norm(mg.randn(4, 3, requires_grad=True), None, None, training=True)
    assert repr(y.grad_fn) == "<BatchNormBackward0>"


def test_evaluation_is_differentiated_as_it_ran_though_the_running_statistics_moved_on():
    x, mean, var = mg.randn(4, 3), mg.zeros(3), mg.ones(3)
    weight = mg.ones(3, requires_grad=True)
    y = F.batch_norm(x, mean, var, weight, None)
    F.batch_norm(x, mean, var, training=True)
    y.sum().backward()
    np.testing.assert_allclose(weight.grad.array, (x.array / np.sqrt(1 + 1e-5)).sum(0), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------- others


LINEAR = [((4, 3), (2, 3), (2,)), ((4, 3), (2, 3)), ((3,), (2, 3), (2,)), ((2, 5, 3), (4, 3), (4,))]


@pytest.mark.parametrize("shapes", LINEAR)
def test_linear(shapes):
    compare(F.linear, TF.linear, *[draw(*s, seed=i) for i, s in enumerate(shapes)])


@pytest.mark.parametrize("shapes", [((4, 3), (3,)), ((3,), (3,))])
def test_linear_with_a_vector(shapes):
    compare(F.linear, TF.linear, *[draw(*s, seed=i) for i, s in enumerate(shapes)])


@pytest.mark.parametrize("index", [[[0, 2], [2, 2]], [3], 1, []])
@pytest.mark.parametrize("padding", [None, 2, -1])
def test_embedding(index, padding):
    rows = np.array(index, np.int64)
    compare(
        lambda w: F.embedding(mg.tensor(rows), w, padding),
        lambda w: TF.embedding(torch.tensor(rows), w, padding),
        draw(4, 3),
        second=False,
    )


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
def test_activations(name):
    compare(getattr(F, name), getattr(TF, name) if name == "relu" else getattr(torch, name), draw(4, 3))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmaxes(name, dim):
    compare(lambda x: getattr(F, name)(x, dim), lambda x: getattr(TF, name)(x, dim), draw(4, 3))


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_differences(name, reduction):
    compare(
        lambda x, y: getattr(F, name)(x, y, reduction=reduction),
        lambda x, y: getattr(TF, name)(x, y, reduction=reduction),
        draw(4, 3),
        draw(4, 3, seed=1),
        second=name == "mse_loss",
    )


def test_mse_loss_warns_of_shapes_that_are_broadcast():
    with pytest.warns(UserWarning, match=r"\(3,\).*\(4, 3\)"):
        F.mse_loss(mg.zeros(4, 3), mg.zeros(3))


@pytest.mark.parametrize("last", [(3,), (4, 3)])
def test_layer_norm(last):
    compare(
        lambda x, w, b: F.layer_norm(x, last, w, b),
        lambda x, w, b: TF.layer_norm(x, last, w, b),
        draw(2, 4, 3),
        draw(*last, seed=1),
        draw(*last, seed=2),
    )


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(10,), (40, 30)])
def test_dropout_draws_as_torch(p, shape):
    x = draw(*shape, dtype="float32")
    mg.manual_seed(5)
    torch.manual_seed(5)
    ours, theirs = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = F.dropout(ours, p), TF.dropout(theirs, p)
    close(y, z)
    y.sum().backward()
    z.sum().backward()
    close(ours.grad, theirs.grad)
    assert F.dropout(ours, p, training=False) is ours


def test_one_hot():
    assert mg.equal(F.one_hot(mg.tensor([0, 2]), 4), mg.tensor([[1, 0, 0, 0], [0, 0, 1, 0]]))


def test_no_warning_leaves_the_common_losses():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.cross_entropy(X, Y)
        F.mse_loss(X, X)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3, 0)])
def test_batch_norm_of_no_values_changes_nothing(shape: tuple[int, ...]) -> None:
    found = []
    for m in (mg, torch):
        x, weight = m.zeros(shape, requires_grad=True), m.ones(3, requires_grad=True)
        mean, var = m.zeros(3), m.ones(3)
        y = m.nn.functional.batch_norm(x, mean, var, weight, training=True)
        y.sum().backward()
        found.append([tuple(y.shape), x.grad.tolist(), weight.grad.tolist(), mean.tolist(), var.tolist()])
    assert found[0] == found[1]
