"""The site's own parts: docstrings as reStructuredText, formulas as MathML, rules that nobody told it of."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from minigrad import ops

from .blocks import ROOT

pytest.importorskip("sphinx", reason="the documentation is not built: sphinx is not installed (the extra docs)")


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.delitem(sys.modules, "_site", raising=False)


@pytest.mark.parametrize(
    ("said", "made"),
    [
        (["z = x ** y, |x| and x_"], [r"z = x \*\* y, \|x\| and x\_", ""]),
        (["see `x ** y`."], ["see ``x ** y``.", ""]),
        (["Source: https://docs.pytorch.org/docs/stable/generated/torch.exp.html; Knuth"],
         ["Source: `torch.exp <https://docs.pytorch.org/docs/stable/generated/torch.exp.html>`__; Knuth", ""]),
        (["As in", "", "    x = 1"], ["As in", "", "::", "", "    x = 1", ""]),
        (["dim: which one,", "    or all.", "Raises it."],
         ["``dim``", "    which one,", "    or all.", "", "Raises it.", ""]),
    ],
)  # fmt: skip
def test_docstrings(said: list[str], made: list[str]) -> None:
    from _site.docstrings import restructured

    assert restructured(said) == made


def test_a_hat_keeps_its_index_beside_it() -> None:
    from _site.mathml import converted
    from docutils import nodes

    made = converted(nodes.math("", r"\hat{x}_i = f'(x)"), as_block=False)
    assert "<msub><mover accent='true'><mi>x</mi>" in made and "munderover" not in made and "′" in made  # noqa: RUF001


def test_a_rule_with_a_setting_is_drawn_as_its_row_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from _site import graphs

    monkeypatch.delitem(graphs.ON, "PowScalar")  # as a rule would be that is new
    names, outputs = graphs.graph_of(ops.PowScalar)
    assert outputs[0].requires_grad and names["x"].grad is not None
    assert "<svg" in graphs.picture(ops.PowScalar).svg


def test_the_table_of_edge_cases_is_what_the_rule_gives() -> None:
    from _site import graphs

    rows = graphs.edges(ops.Sqrt)
    found = {row[0]: row[1:] for row in rows}
    assert found[0.0] == (0.0, np.inf) and found[np.inf] == (np.inf, 0.0)
    assert found[2.0] == pytest.approx((2**0.5, 0.5 / 2**0.5))
    assert graphs.edges(ops.Add) is None
