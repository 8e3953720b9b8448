"""Anomaly mode names the op and the user's line."""

import inspect
import re

import numpy as np
import pytest

import minigrad as mg


def line_of(text):
    """The number of the line in this file that holds the text (and is not this call)."""
    source = inspect.getsource(inspect.getmodule(line_of)).splitlines()
    return next(i for i, line in enumerate(source, 1) if line.rstrip().endswith(text))


def raised(error, text):
    message = str(error.value)
    assert f"line {line_of(text)}, in" in message and text.split("  #")[0].strip() in message, message
    return message


def test_forward_nan_names_op_and_line():
    x = mg.tensor([1.0, -1.0], requires_grad=True)
    with mg.detect_anomaly(), pytest.raises(mg.AnomalyError) as error:
        y = x * 2
        y.log().sum()  # the first nan
    message = raised(error, "y.log().sum()  # the first nan")
    assert re.search(r"log made the first nan.*shape \(2,\)", message)


def test_forward_inf_is_found_and_may_be_let_pass():
    x = mg.tensor([0.0], requires_grad=True)
    with mg.detect_anomaly(), pytest.raises(mg.AnomalyError, match="div made the first inf"):
        1 / x
    with mg.detect_anomaly(check_inf=False):
        assert (1 / x).item() == np.inf


def test_a_mask_of_inf_is_fine_and_what_makes_nan_of_it_is_not():
    scores = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    with mg.detect_anomaly():
        masked = scores.masked_fill(mg.tensor([[False, True], [False, False]]), -np.inf)
        masked.softmax(1).sum().backward()
    with mg.detect_anomaly(), pytest.raises(mg.AnomalyError, match="sub made the first nan"):
        masked = scores.masked_fill(mg.tensor([[False, True], [False, False]]), -np.inf)
        masked - masked


def test_backward_names_the_line_of_the_op():
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    with mg.detect_anomaly():
        y = x.sqrt()  # its gradient at 0 is inf
        with pytest.raises(mg.AnomalyError) as error:
            y.sum().backward()
    message = raised(error, "y = x.sqrt()  # its gradient at 0 is inf")
    assert "backward of sqrt" in message and "dy / (2 * y)" in message and "inf" in message
    assert x.grad is None


def test_backward_of_what_ran_before_says_so():
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    y = x.sqrt()
    with mg.detect_anomaly(), pytest.raises(mg.AnomalyError, match="before anomaly mode"):
        y.sum().backward()


def test_create_graph_backward_is_looked_at_too():
    x = mg.tensor([0.0, 4.0], requires_grad=True)
    with mg.detect_anomaly(), pytest.raises(mg.AnomalyError, match="inf"):
        mg.grad(x.sqrt().sum(), x, create_graph=True)


def test_it_is_off_afterwards_and_changes_nothing_meanwhile():
    x = mg.randn(5, 3, requires_grad=True)
    (x @ x.T).tanh().sum().backward()
    want, x.grad = x.grad, None
    with mg.detect_anomaly():
        (x @ x.T).tanh().sum().backward()
    assert mg.equal(x.grad, want)
    assert np.isnan(mg.tensor(-1.0).log().item())


def test_without_it_nothing_warns():
    x = mg.tensor([0.0, -1.0, 1e38], requires_grad=True)
    with np.errstate(all="warn"):
        y = x.log() + x.sqrt() + x.exp() * 1e38 + 1 / x + x * 1e38
        y.sum().backward()
    assert y[0].item() == np.inf or np.isnan(y[0].item())
