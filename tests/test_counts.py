"""A step does no more than it did: numpy calls, function calls and bytes beside the stored counts, without a clock."""

import json

import pytest

from tests import counts

STORED = json.loads(counts.FILE.read_text())
MORE, LESS = 1.05, 0.8  # of what is stored: above, it got worse; below, the stored count would no longer notice that


@pytest.mark.parametrize("kind", counts.KINDS)
def test_a_step_does_what_it_did(kind):
    found = counts.count(kind)
    assert found.keys() == STORED[kind].keys()
    for what, n in found.items():
        if what in counts.OF_PYTHON and STORED["python"] != counts.PYTHON:
            pytest.skip(f"{' and '.join(counts.OF_PYTHON)} are stored for Python {STORED['python']}")
        stored = STORED[kind][what]
        assert n <= stored * MORE, f"{what} of a {kind} step: {n:,}, and it was {stored:,}"
        assert n >= stored * LESS, f"{what} of a {kind} step: {n:,}, much less than {stored:,}: python -m tests.counts"


@pytest.mark.skipif(STORED["python"] != counts.PYTHON, reason="functions called are stored for another Python")
def test_an_op_more_is_noticed(monkeypatch):
    """One more op in the network is more than the tolerance."""
    make = counts.make

    def slower(chunked):
        step, Xb, Yb = make(chunked)

        def with_another(Xb, Yb):
            loss = step(Xb, Yb)
            (loss.detach() + 1).exp().tanh()
            return loss

        return with_another, Xb, Yb

    monkeypatch.setattr(counts, "make", slower)
    found = counts.count("fused")
    assert found["functions called"] > STORED["fused"]["functions called"] * MORE


def test_peak_memory_of_a_captured_step_is_less():
    assert STORED["fused captured"]["peak bytes"] < STORED["fused"]["peak bytes"]
    assert STORED["fused captured"]["functions called"] < STORED["fused"]["functions called"]
