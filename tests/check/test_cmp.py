"""What cmp prints and returns; why a derivation is wrong is in test_corpus.py."""

import doctest
import gc
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import minigrad as mg
from minigrad.check import cmp
from minigrad.check.lecture import PLACES

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def x():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    return x


def test_the_lecture_s_line(x, capsys):
    assert cmp("x", 2 * x.detach(), x)
    assert not cmp("x", mg.tensor([2.0, 4.5]), x)
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == [
        "x               | exact: True  | approximate: True  | maxdiff: 0.0",
        "x               | exact: False | approximate: False | maxdiff: 0.5",
    ]
    assert out[2:] == ["    its uses are not known: call retain_grad() on it before backward(), and more can be told"]


def test_a_derivation_may_be_lists_or_another_dtype(x):
    assert cmp("x", [2, 4], x).exact and cmp("x", np.array([2.0, 4.0]), x).exact
    assert cmp("x", np.array([2.0, 4.0]) + 1e-7, x).cause.kind == "rounding"


def test_a_derivation_may_be_torch_s(x):
    torch = pytest.importorskip("torch")
    right = torch.tensor([2.0, 4.0])
    assert cmp("x", right, x).exact and cmp("x", right.requires_grad_(), x).exact
    with pytest.raises(TypeError, match="no array of this Tensor"):
        cmp("x", right.to(torch.bfloat16), x)


def test_what_cannot_be_compared(x):
    with pytest.raises(RuntimeError, match="retain_grad"):
        cmp("y", np.zeros(2), x * 2)
    with pytest.raises(TypeError, match="the Tensor itself"):
        cmp("x", np.zeros(2), np.zeros(2))
    with pytest.raises(TypeError, match="numbers"):
        cmp("x", ["a", "b"], x)
    with pytest.raises(TypeError, match="lists of real numbers, got complex128"):
        cmp("x", np.zeros(2, complex), x)
    with pytest.raises(TypeError, match="real numbers, got NoneType"):
        cmp("x", None, x)
    with pytest.raises(TypeError, match="no array of this list"):
        cmp("x", [[1.0], [2.0, 3.0]], x)
    with pytest.raises(RuntimeError, match="x has no gradient: it does not require one"):
        cmp("x", np.zeros(2), mg.zeros(2))
    with pytest.raises(RuntimeError, match="x has no gradient: call backward"):
        cmp("x", np.zeros(2), mg.zeros(2, requires_grad=True))
    with pytest.raises(TypeError, match="give \\(derivation, tensor\\)"):
        cmp.all({"x": np.zeros(2)})


def test_shapes_that_do_not_go_together(x, capsys):
    found = cmp("x", np.zeros(3), x)
    assert not found and not found.exact and np.isnan(found.maxdiff)
    assert "shape (3,), and the gradient has (2,)" in capsys.readouterr().out


def test_the_lecture_s_row_broadcasts_and_cmp_says_so():
    b = mg.ones(1, 3, requires_grad=True)
    (b * 2).sum().backward()
    found = cmp("b", np.full(3, 2.0), b)
    assert found.exact and found.cause.kind == "missing keepdim" and not found


def test_nan_and_nothing(capsys):
    x = mg.tensor([-1.0, 4.0], requires_grad=True)
    x.log().sqrt().sum().backward()
    assert not cmp("x", [np.nan, 0.1], x)
    assert "1 of 2 elements of the gradient is nan or inf" in capsys.readouterr().out
    empty = mg.zeros(0, requires_grad=True)
    empty.sum().backward()
    assert cmp("empty", np.zeros(0), empty).exact


@pytest.fixture
def table(x):
    y = mg.tensor([3.0, 4.0], requires_grad=True)
    (y * 3).sum().backward()
    return cmp.all({"x": ([2.0, 4.0], x), "<y>": ([-3.0, -3.0], y)})


def test_the_table_prints_its_rows(table, capsys):
    assert "x               | exact: True" in str(table) and "a constant: -1" in str(table)
    assert not table and table.wrong() == ["<y>"]
    assert repr(table) == "<2 gradients: 1 exact, 1 wrong: <y>>"
    assert repr(list(table)) == "[<x: exact>, <<y>: factor>]"


def test_the_table_in_a_notebook(table, capsys, monkeypatch, x):
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    again = cmp.all({"x": ([2.0, 4.0], x)})
    assert capsys.readouterr().out == ""
    seen = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: seen.append(tag)
    parser.handle_endtag = lambda tag: seen.append("/" + tag)
    parser.feed(table._repr_html_())
    assert seen.count("tr") == seen.count("/tr") == 3 and "&lt;y&gt;" in table._repr_html_()
    assert "<td" in again._repr_html_() and "<table>" in again[0]._repr_html_()


def test_a_leaf_knows_its_uses_where_a_value_above_is_retained():
    W = mg.ones(2, 3, requires_grad=True)
    total = W.sum()
    h = mg.ones(4, 2) @ W
    h.retain_grad()
    loss = (h.tanh() + total).sum()
    loss.backward()
    first = np.ones((4, 2)).T @ h.grad.numpy()
    found = cmp("W", first, W)
    assert found.cause.kind == "forgotten use" and "C = A @ B, dA = dC @ B.T, dB = A.T @ dC" in str(found)


def test_of_a_leaf_all_uses_are_known_or_none():
    W = mg.ones(3, requires_grad=True)
    h = W * 2
    h.retain_grad()
    loss = (h.sum() + (W * 2).sum()) + (W * 1).sum()  # the last use comes first in backward, before h is seen
    loss.backward()
    assert W._extra is None or W._extra.parts == []
    assert cmp("W", [2.0, 2.0, 2.0], W).cause is None


def test_a_training_step_keeps_nothing():
    mg.ones(1, requires_grad=True).retain_grad()  # from here on the engine explains what is retained
    W = mg.ones(2, 3, requires_grad=True)
    (W * 2).sum().backward()
    assert W._extra is None


def test_a_graph_that_is_gone_still_names_the_op():
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x.retain_grad()
    (x.exp() + x * x).sum().backward()
    gc.collect()
    found = cmp("x", np.exp(x.detach().numpy()), x)
    assert "the op exp gives alone; the op * and the op * is missing" in found.cause.text


def test_every_name_of_the_lecture_has_its_place():
    names = (
        "logprobs probs counts_sum_inv counts_sum counts norm_logits logit_maxes logits h W2 b2 hpreact bngain bnbias"
    )
    names += " bnraw bnvar_inv bnvar bndiff2 bndiff bnmeani hprebn embcat W1 b1 emb C"
    assert set(PLACES) == set(names.split())


def test_the_page_of_wrong_derivations_is_true():
    page = (DOCS / "cmp.md").read_text()
    assert page.count("\n## ") == 10
    failed, tried = doctest.testfile(str(DOCS / "cmp.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert tried > 20 and not failed


def test_the_readme_s_example_is_the_page_s():
    readme = (DOCS.parent / "README.md").read_text().split('>>> cmp("hprebn", dhprebn, hprebn)\n')[1].split("```")[0]
    assert len(readme.splitlines()) == 6 and readme in (DOCS / "cmp.md").read_text()
