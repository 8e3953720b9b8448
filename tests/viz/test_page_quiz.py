"""The page's quiz in headless Chromium: answers right and wrong, in numpy's and torch's words, hints, score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from viz.page import LECTURE, page


def classes(tab: Any, name: str) -> set[str]:
    return set(tab.get_attribute(f'.node[aria-label^="{name}, "]', "class").split())


# As exercise 1 writes them, with the mistake that one makes.
FORMULAS = {
    "logprobs": (
        "dlogprobs = torch.zeros_like(logprobs)\ndlogprobs[range(n), Yb] = -1.0/n",
        "dlogprobs = torch.zeros_like(logprobs)\ndlogprobs[range(n), Yb] = 1.0/n",
    ),
    "probs": ("(1.0 / probs) * dlogprobs", "probs * dlogprobs"),
    "counts_sum_inv": ("(counts * dprobs).sum(1, keepdim=True)", "counts * dprobs"),
    "counts_sum": ("(-counts_sum**-2) * dcounts_sum_inv", "counts_sum**-2 * dcounts_sum_inv"),
    "counts": ("counts_sum_inv * dprobs + torch.ones_like(counts) * dcounts_sum", "counts_sum_inv * dprobs"),
    "norm_logits": ("counts * dcounts", "dcounts"),
    "logit_maxes": ("(-dnorm_logits).sum(1, keepdim=True)", "(dnorm_logits**2).sum(1, keepdim=True)"),
    "logits": (
        "dnorm_logits.clone() + F.one_hot(logits.max(1).indices, num_classes=logits.shape[1]) * dlogit_maxes",
        "2 * dnorm_logits",
    ),
    "h": ("dlogits @ W2.T", "W2.T @ dlogits"),
    "W2": ("h.T @ dlogits", "h @ dlogits"),
    "b2": ("dlogits.sum(0)", "dlogits.mean(0)"),
    "hpreact": ("(1.0 - h**2) * dh", "(1.0 - h) * dh"),
    "bngain": ("(bnraw * dhpreact).sum(0, keepdim=True)", "(bnraw * dhpreact).sum(0)"),
    "bnraw": ("bngain * dhpreact", "dhpreact"),
    "bnbias": ("dhpreact.sum(0, keepdim=True)", "dhpreact.sum(1, keepdim=True)"),
    "bnvar_inv": ("(bndiff * dbnraw).sum(0, keepdim=True)", "(bndiff * dbnraw).mean(0, keepdim=True)"),
    "bnvar": ("(-0.5*(bnvar + 1e-5)**-1.5) * dbnvar_inv", "(-0.5*(bnvar + 1e-3)**-1.5) * dbnvar_inv"),
    "bndiff2": ("(1.0/(n-1))*torch.ones_like(bndiff2) * dbnvar", "(1.0/n)*torch.ones_like(bndiff2) * dbnvar"),
    "bndiff": ("bnvar_inv * dbnraw + (2*bndiff) * dbndiff2", "bnvar_inv * dbnraw + bndiff * dbndiff2"),
    "bnmeani": ("(-dbndiff).sum(0, keepdim=True)", "(-dbndiff).sum(0)"),
    "hprebn": ("dbndiff.clone() + 1.0/n * (torch.ones_like(hprebn) * dbnmeani)", "dbndiff.clone()"),
    "embcat": ("dhprebn @ W1.T", "dhprebn @ W1"),
    "W1": ("embcat.T @ dhprebn", "dhprebn.T @ embcat"),
    "b1": ("dhprebn.sum(0)", "dhprebn.mean(0)"),
    "emb": ("dembcat.view(emb.shape)", "dembcat"),
    "C": (
        "dC = torch.zeros_like(C)\nfor k in range(Xb.shape[0]):\n  for j in range(Xb.shape[1]):\n"
        "    ix = Xb[k,j]\n    dC[ix] += demb[k,j]",
        "dC = torch.zeros_like(C)\ndC[Xb] = demb",
    ),
}


def test_the_quiz_takes_all_26_of_the_lecture_and_refuses_a_mistake_in_each(
    mlp: Path, look: Callable[..., Any]
) -> None:
    tab = look(mlp)
    tab.click("#quiz-on")
    assert set(FORMULAS) == set(LECTURE)
    for i, name in enumerate(LECTURE):
        right, wrong = FORMULAS[name]
        assert f"d{name}," in tab.inner_text("#quiz-question"), i
        assert "nograd" in classes(tab, name)
        for text, verdict in ((wrong, "Not yet"), (right, "Right")):
            tab.fill("#quiz-answer", text)
            tab.click("#quiz-check")
            assert tab.inner_text("#quiz-verdict").startswith(verdict), (name, text, tab.inner_text("#side"))
            assert tab.inner_text("#quiz-score").startswith(f"{i + (verdict == 'Right')} of 26 solved")
        assert "nograd" not in classes(tab, name) and "solved" in classes(tab, name)
        if i < 25:
            tab.click("#quiz-next")
    assert tab.inner_text("#quiz-score") == "26 of 26 solved, 52 points" and tab.is_visible("#quiz-end")


def test_the_quiz_says_what_is_wrong(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.click("#quiz-on")

    def answer(number: int, text: str) -> str:
        tab.click(f".dots button:nth-child({number})")
        tab.fill("#quiz-answer", text)
        tab.click("#quiz-check")
        return tab.inner_text("#quiz-verdict")

    assert "Only the sign" in answer(14, "-dhpreact.sum(0, keepdims=True)")
    assert "yours times 2 is" in answer(13, "0.5 * (bnraw * dhpreact).sum(0).reshape(1, -1)")
    assert "all add up" in answer(5, "counts_sum_inv * dprobs")
    assert "was broadcast from (27,) to (32, 27)" in answer(11, "dlogits")
    assert "dh is not known yet" in answer(8, "dh")
    assert "dlogits is what you are asked for" in answer(8, "dlogits")
    assert "There is no constructor" in answer(8, "constructor")
    assert "There is no function fetch" in answer(8, "fetch(1)")
    assert "not python" in answer(8, "1 +").lower()
    assert "only formulas" in answer(8, "import os").lower()
    assert "is the graph's own" in answer(8, "dnorm_logits[0] = 1")
    assert "at most" in answer(8, "for i in range(10000000):\n  x = i") or "too long" in tab.inner_text("#quiz-verdict")
    assert "other gradients coming in" in answer(24, "dhprebn.mean(0)")  # b1's gradient is 0 but for rounding
    assert tab.inner_text("#quiz-score") == "0 of 26 solved, 0 points"
    # another way than step by step: exercise 2
    fused = "dlogits = F.softmax(logits, 1)\ndlogits[range(n), Yb] -= 1\ndlogits /= n"
    assert answer(8, fused).startswith("Right")


def test_hints_choices_and_shapes(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.click("#quiz-on")
    tab.click("#quiz-hint")
    tab.click("#quiz-hint")
    assert "logprobs[range(32), Yb]" in tab.inner_text("#quiz-hints") and "Index" in tab.inner_text("#quiz-hints")
    tab.select_option("#quiz-mode", "pick")
    tab.click(".dots button:nth-child(9)")
    texts = [label.inner_text() for label in tab.query_selector_all(".choices label")]
    assert len(texts) == 4 and "dlogits @ W2.T" in texts
    for text in [t for t in texts if t != "dlogits @ W2.T"][:1] + ["dlogits @ W2.T"]:
        tab.query_selector_all(".choices label")[texts.index(text)].click()
        tab.click("#quiz-check")
    assert tab.inner_text("#quiz-score") == "1 of 26 solved, 2 points"
    tab.select_option("#quiz-mode", "shape")
    tab.click(".dots button:nth-child(15)")
    for text, verdict in (("(64, 32)", "Not yet"), ("32, 64", "Right")):
        tab.fill("#quiz-answer", text)
        tab.press("#quiz-answer", "Enter")
        assert tab.inner_text("#quiz-verdict").startswith(verdict)
    assert "nograd" in classes(tab, "bnraw")
    tab.click(".dots button:nth-child(10)")
    tab.select_option("#quiz-mode", "write")
    tab.click("#quiz-show")
    assert "h.T @ dlogits" in tab.inner_text("#side")


def test_the_evaluator_is_numpys(mlp: Path, batch: Any, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    v: dict[str, Any] = {k: x.astype(np.float64) for k, x in batch.values().items() if x.dtype.kind == "f"}
    v |= {"np": np, "Xb": batch.Xb, "Yb": batch.Yb, "range": range, "len": len, "abs": abs}
    for text in [
        "-h**2", "2**-h[0]", "-2**2", "2**3**2", "(h @ W2)[1:5, ::2]", "h[[3, 0]]", "h[:, None, 3].shape[1]",
        "C[Xb].reshape(32, -1) @ W1", "np.where(h > 0, h, -h).max(1)", "h.mean((0, 1))", "np.std(h, axis=0)",
        "logits.argmax(1)", "emb.sum(axis=(0, 2), keepdims=True)", "np.expand_dims(b1, 0).T", "7 // 2 + 7 % 3 - -7 % 3",
        "logits[range(32), Yb]", "logits[..., -1]", "emb.transpose(1, 0, 2)[0]", "emb.swapaxes(0, 2).shape",
        "np.arange(4)[None] * np.ones((3, 1))", "np.eye(27)[Yb].T @ h", "1e-3 * h - .5", "np.var(h)", "b1 @ h.T",
        "emb @ C.T", "np.broadcast_to(b1, (2, 64))", "-h.T[3]", "np.zeros((2, 0)).sum(1)", "np.maximum(h, 0.5) ** 0.5",
        "(h if len(h) > 3 else b1).sum()", "logits[Yb]",
        "np.einsum('ij,kj->ik', logits, W2)", "np.einsum('ij,ij->i', h, h)", "np.einsum('ij->', h)",
        "np.einsum('ij', W2)",
        "np.tensordot(C, emb, axes=(1, 2))", "np.outer(b2, b2)", "emb[Xb == 3].sum(0)", "h[h > 0.5]", "h[::-1, 5:1:-2]",
        "np.concatenate([h, h * 2], axis=1)", "np.stack([b1, b1 * 2], axis=1)", "np.split(h, 4, axis=1)[1]",
        "np.repeat(h, 2, axis=1)", "np.tile(h, (2, 1, 3))", "np.array([h[i].sum() for i in range(4) if i != 2])",
        "sum(np.outer(h[i], logits[i]) for i in range(3))", "np.take_along_axis(logits, Yb[:, None], 1)",
        "np.cumsum(h, 1)",
        "np.clip(h, -0.1, 0.2)", "(h > 0) & ~(h > 0.5)", "np.full((2, 3), 7) - np.eye(3)[:2]", "np.flip(h, 1)",
        "np.prod(h[:3], 0)",
        "np.array([[x * y for x in range(3)] for y in range(2)])", "np.tril(h)", "emb.reshape(*emb.shape[:1], -1)",
        "np.array([i * x for i, x in enumerate(b2)])", "np.array([x - y for x, y in zip(b1, b1[::-1])])",
        "-(-h // 0.3)",
    ]:  # fmt: skip
        want = np.asarray(eval(text, dict(v)), np.float64)
        found = tab.evaluate("text => minigrad.evaluate(text)", text)
        assert tuple(found["shape"]) == want.shape, text
        np.testing.assert_allclose(np.reshape(found["data"], want.shape), want, rtol=1e-9, atol=1e-12, err_msg=text)


# Answers of one's own, as one would write them in numpy or in torch.
SPELLINGS = {
    "logprobs": [
        "-np.eye(27)[Yb] / n",
        "d = np.zeros(logprobs.shape)\nfor i, y in enumerate(Yb):\n    d[i, y] = -1/n\nd",
        "torch.zeros_like(logprobs).scatter_(1, Yb.unsqueeze(1), -1.0/n)",
        "torch.full((n,), -1/n)[:, None] * F.one_hot(Yb, num_classes=27)",
    ],
    "probs": ["np.power(probs, -1) * dlogprobs", "torch.pow(probs, -1.0).mul(dlogprobs)"],
    "counts_sum_inv": [
        "np.einsum('ij,ij->i', counts, dprobs)[:, None]",
        "torch.sum(dprobs * counts, 1, True)",
        "np.array([[sum(counts[i] * dprobs[i])] for i in range(n)])",
    ],
    "counts_sum": ["-np.square(counts_sum_inv) * dcounts_sum_inv"],
    "counts": [
        "dcounts = counts_sum_inv * dprobs\ndcounts += dcounts_sum.repeat(1, 27)",
        "counts_sum_inv * dprobs + np.repeat(dcounts_sum, 27, axis=1)",
        "counts_sum_inv * dprobs + dcounts_sum.expand_as(counts)",
    ],
    "norm_logits": ["norm_logits.exp() * dcounts"],
    "logit_maxes": ["dnorm_logits.sum(1, keepdim=True).neg()", "-np.sum(dnorm_logits, 1).reshape(32, 1)"],
    "logits": [
        "dnorm_logits + F.one_hot(logits.max(1)[1], 27) * dlogit_maxes",
        "dlogits = dnorm_logits.copy()\ndlogits[np.arange(n), logits.argmax(1)] += dlogit_maxes[:, 0]",
        "values, ix = logits.max(1)\ndnorm_logits + np.eye(27)[ix] * dlogit_maxes",
        "(F.softmax(logits, dim=1) - F.one_hot(Yb, 27)) / n",
    ],
    "h": ["F.linear(dlogits, W2)", "torch.einsum('nc,hc->nh', dlogits, W2)", "(W2 @ dlogits.t()).t()"],
    "W2": [
        "sum(np.outer(h[i], dlogits[i]) for i in range(n))",
        "W = np.zeros_like(W2)\nfor x, g in zip(h, dlogits):\n    W += torch.outer(x, g)\nW",
        "np.tensordot(h, dlogits, axes=(0, 0))",
    ],
    "b2": ["sum(dlogits)", "torch.ones(n) @ dlogits", "np.sum(dlogits, axis=0)"],
    "hpreact": ["dh / np.cosh(hpreact)**2", "torch.mul(1 - h.square(), dh)", "dh - h*h*dh"],
    "bngain": ["np.atleast_2d((bnraw*dhpreact).sum(0))", "(bnraw*dhpreact).sum(0).unsqueeze(0)"],
    "bnbias": ["dhpreact.sum(0)[np.newaxis, :]"],
    "bnraw": ["torch.mul(bngain, dhpreact)"],
    "bnvar_inv": ["np.sum(bndiff * dbnraw, axis=0)[None]"],
    "bnvar": ["-0.5 * bnvar_inv**3 * dbnvar_inv", "-1/2 * np.power(bnvar + 1e-5, -3/2) * dbnvar_inv"],
    "bndiff2": ["np.tile(dbnvar, (32, 1)) / (n - 1)", "torch.full_like(bndiff2, 1/(n-1)) * dbnvar"],
    "bndiff": ["dbndiff = bnvar_inv * dbnraw\ndbndiff += (2*bndiff) * dbndiff2"],
    "bnmeani": ["-dbndiff.sum(0)[None]"],
    "hprebn": ["bngain*bnvar_inv/n * (n*dhpreact - dhpreact.sum(0) - n/(n-1)*bnraw*(dhpreact*bnraw).sum(0))"],
    "embcat": ["np.matmul(dhprebn, W1.transpose())"],
    "W1": ["emb.view(n, -1).t() @ dhprebn"],
    "b1": ["torch.sum(dhprebn, dim=0)"],
    "emb": ["dembcat.view_as(emb)", "torch.stack(dembcat.split(10, 1), 1)", "dembcat.reshape(*emb.shape)"],
    "C": [
        "dC = np.zeros_like(C)\nnp.add.at(dC, Xb, demb)",
        "dC = torch.zeros_like(C)\ndC.index_add_(0, Xb.view(-1), demb.view(-1, 10))",
        "np.stack([demb[Xb == i].sum(0) for i in range(27)])",
        "F.one_hot(Xb, 27).float().view(-1, 27).T @ demb.view(-1, 10)",
    ],
}  # fmt: skip


def test_answers_of_ones_own_in_numpy_and_torch(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.click("#quiz-on")
    assert set(SPELLINGS) == set(LECTURE)
    for i, name in enumerate(LECTURE):
        tab.click(f".dots button:nth-child({i + 1})")
        for text in SPELLINGS[name]:
            tab.fill("#quiz-answer", text)
            tab.click("#quiz-check")
            assert tab.inner_text("#quiz-verdict").startswith("Right"), (name, text, tab.inner_text("#quiz-verdict"))


def test_what_is_said_of_a_mistake(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.click("#quiz-on")
    for name, text, said in [
        ("logits", "dnorm_logits", "one part of this gradient is 0 here but for rounding"),  # logit_maxes' share
        ("logits", "dnorm_logits + dlogit_maxes", "with other gradients coming in"),
        ("counts_sum_inv", "(counts*dprobs).sum(1)", "keep the dimension"),
        ("b2", "dlogits.sum(0, keepdim=True)", "a dimension too many"),
        ("counts_sum_inv", "(counts * dprob).sum(1)", "is dprobs meant?"),
        ("counts_sum_inv", "(counts * dprobs).sum(1, keepdims=true)", "Python writes True"),
        ("h", "W2.T @ dlogits", "dlogits is (32, 27); dh must be (32, 64)"),
        ("h", "dlogits @ W2^T", "write .T"),
        ("h", "(dlogits @ W2.T", "a ( is not closed"),
        ("h", "dlogits @ W2.T)", "a ) too many"),
        ("hpreact", "(1 - h^2) * dh", "write **"),
        ("hpreact", "(1 - h²) * dh", "write **2"),
        ("hpreact", "(1 - h**2) * dh / n", "yours times 32 is"),
        ("logprobs", "-F.one_hot(Yb, 27)", "yours times 1/32 is"),
        ("logprobs", "dlogprobs[range(n), Yb] = -1/n", "make it first, as in dlogprobs = np.zeros_like(logprobs)"),
        ("bnvar", "-0.5 * bnvar**-1.5 * dbnvar_inv", "such as an eps"),
        ("C", "dC = torch.zeros_like(C)\ndC[Xb] += demb", "Where an index repeats"),
        ("C", "demb", "C was indexed"),
        ("C", "dC = np.zeros_like(C)\nfor k in range(n):\ndC[Xb[k]] += demb[k]", "Line 3 must stand further in"),
        ("C", "demb.index_add_(0, Xb[0], demb)", "copy this one first"),
        ("h", "1 if h > 0 else 2", "a condition is one number"),
    ]:
        tab.click(f".dots button:nth-child({LECTURE.index(name) + 1})")
        tab.fill("#quiz-answer", text)
        tab.click("#quiz-check")
        verdict = tab.inner_text("#quiz-verdict")
        assert verdict.startswith("Not yet") and said.lower() in verdict.lower(), (name, text, verdict)
    assert tab.inner_text("#quiz-score") == "0 of 26 solved, 0 points"


def test_enter_begins_a_line_within_a_loop_and_checks_after_it(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.click("#quiz-on")
    tab.click(".dots button:nth-child(26)")
    tab.click("#quiz-answer")
    for line in ("d = np.zeros_like(C)", "for k in range(n):", "for j in range(3):", "d[Xb[k, j]] += demb[k, j]"):
        tab.keyboard.type(line)
        tab.keyboard.press("Shift+Enter" if line.startswith("d =") else "Enter")
    assert tab.input_value("#quiz-answer").endswith("    d[Xb[k, j]] += demb[k, j]\n    ")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#quiz-verdict").startswith("Right")
    assert tab.evaluate("document.activeElement.id") == "quiz-next"


def test_a_shape_is_worth_no_formula_and_the_end_begins_anew(look: Callable[..., Any], tmp_path: Path) -> None:
    μ, θ1 = mg.tensor(2.0, requires_grad=True), mg.tensor([1.0, -1.0], requires_grad=True)
    loss = ((μ - θ1) ** 2).sum()
    tab = look(page(loss, tmp_path / "x.html", {"μ": μ, "θ1": θ1, "loss": loss}))
    tab.click("#quiz-on")
    tab.select_option("#quiz-mode", "shape")
    for text in ("()", "(2,)"):
        tab.fill("#quiz-answer", text)
        tab.press("#quiz-answer", "Enter")
        if tab.is_enabled("#quiz-next"):
            tab.click("#quiz-next")
    assert tab.inner_text("#quiz-score") == "2 of 2 solved, 6 points"
    assert "2 of 2 solved" in tab.inner_text("#quiz-end")
    tab.select_option("#quiz-mode", "write")
    assert tab.inner_text("#quiz-score") == "0 of 2 solved, 0 points"
    names = tab.inner_text("#quiz-question"), tab.inner_text("#side .formula")
    assert "μ" in names[0] + names[1]
    tab.click(".usable summary")
    tab.wait_for_selector(".usable p")
    usable = tab.inner_text(".usable")
    assert "dloss ()" in usable and "θ1 (2,)" in usable
    for name, text in (("μ", "(2 * (μ - θ1)).sum()"), ("θ1", "-2 * (μ - θ1) * dloss")):
        tab.click(f'.dots button[title="d{name}"]')
        tab.fill("#quiz-answer", text)
        tab.click("#quiz-check")
        assert tab.inner_text("#quiz-verdict").startswith("Right"), (name, tab.inner_text("#quiz-verdict"))
    tab.click("#quiz-again")
    assert tab.inner_text("#quiz-score") == "0 of 2 solved, 0 points"


def test_steps_give_no_answer_away(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.click("#quiz-on")
    tab.evaluate("s => { s.value = 33; s.dispatchEvent(new Event('input')) }", tab.query_selector("#slider"))
    assert "dprobs = ?" in tab.inner_text("#status")
    tab.click("#quiz-on")
    assert "dprobs = dlogprobs / probs" in tab.inner_text("#status")


def test_a_relu_by_a_mask(look: Callable[..., Any], tmp_path: Path) -> None:
    x = mg.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, 0.0]], requires_grad=True)
    y = mg.nn.functional.relu(x)
    loss = (y * mg.tensor([1.0, 2.0, 3.0])).sum()
    tab = look(page(loss, tmp_path / "x.html", {"x": x, "y": y, "loss": loss}))
    tab.click("#quiz-on")
    tab.click('.dots button[title="dx"]')
    for text in ("dx = dy.clone()\ndx[x <= 0] = 0", "(x > 0) * dy", "dy.masked_fill(~(x > 0), 0)"):
        tab.fill("#quiz-answer", text)
        tab.click("#quiz-check")
        assert tab.inner_text("#quiz-verdict").startswith("Right"), (text, tab.inner_text("#quiz-verdict"))
