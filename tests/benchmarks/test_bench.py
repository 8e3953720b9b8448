"""The bench itself: contenders agree, absent ones say so, crashes are told, and the texts are those of the JSON."""

import json
import math
import re

import numpy as np
import pytest

from benchmarks import report, run, scale, write
from benchmarks.__main__ import main
from benchmarks.job import Job
from benchmarks.measure import peak, rows, turns
from benchmarks.peers import STEPS, find
from benchmarks.peers.scalars import SCALARS, Chain, Neurons, values
from benchmarks.problem import Problem
from benchmarks.subjects import SUBJECTS, chain, overhead, step

HERE = ("minigrad", "minigrad chunked", "numpy, buffers reused", "torch eager", "torch, backward by hand")


@pytest.mark.parametrize("sizes", [{}, {"vocab": 300, "batch": 7, "hidden": 9}])
def test_losses_of_the_steps_agree(sizes):
    job = Job()
    found = step.steps(job, Problem(**sizes), ["numpy by hand", *HERE], 0.01, 5, case="small")
    assert job.absent == {}
    assert [row["peer"] for row in found] == ["numpy by hand", *HERE]
    for row in found:
        assert 0 < row["q1"] <= row["median"] <= row["q3"]
        assert row["peer"] == "numpy by hand" or row["ratios"]["numpy by hand"]["median"] > 0


def test_a_contender_with_other_losses_is_out():
    job, problem = Job(), Problem()

    def prepare(make):
        stepper = make(problem)
        return stepper, [1.0 if make.__name__ == "fused" else 1.001]

    names = ["numpy by hand", "minigrad", "minigrad chunked"]
    ready = job.agreeing(STEPS, names, prepare, "numpy by hand")
    assert list(ready) == ["numpy by hand", "minigrad chunked"]
    assert job.absent == {"minigrad": "its values differ by 0.001 from those of numpy by hand: no time counts"}


def test_who_is_not_installed_or_fails_or_is_slow_says_so():
    job = Job()
    table = {"gone": ("gone", "f"), "slow": ("ours", "fused"), "bad": ("ours", "fused")}

    def forever():
        while True:
            pass

    assert job.attempt("gone", lambda: __import__("a_library_of_nobody")) is None
    assert job.attempt("slow", forever, patience=0.05) is None
    assert job.attempt("bad", lambda: 1 / 0) is None
    assert job.attempt("good", lambda: 7) == 7
    assert job.absent == {
        "gone": "a_library_of_nobody is not installed",
        "slow": "it took longer than 0.05 s",
        "bad": "ZeroDivisionError: division by zero",
    }
    assert set(table) == set(job.absent)


def test_a_process_that_ends_badly_is_tried_without_the_one_to_blame(monkeypatch):
    """The worker is told who is left out; what it was getting ready when it ended is what it names last."""
    seen = []

    def started(given, longest):
        seen.append(list(given["without"]))
        if "JAX jit" not in given["without"]:
            return None, "JAX jit", "it ended the process with signal 11"
        return {"rows": [{"peer": "minigrad"}], "absent": {"tinygrad": "tinygrad is not installed"}}, None, ""

    monkeypatch.setattr(run, "_started", started)
    found = run.process("step", 1, True, {})
    assert seen == [[], ["JAX jit"]]
    assert found["rows"] == [{"peer": "minigrad"}]
    assert found["absent"]["JAX jit"] == "it ended the process with signal 11"
    assert "tinygrad" in found["absent"]


def test_a_process_that_takes_too_long_is_ended():
    found = run.process("imports", 1, False, {}, longest=0.2)
    assert found["rows"] == []
    assert {reason for reason in found["absent"].values() if not reason.endswith("is not installed")} == {
        "it took longer than 0.2 s"
    }


def test_what_would_begin_too_late_is_left_out_and_said(monkeypatch):
    monkeypatch.setattr(run, "MINUTES", -1)
    said = []
    results = run.bench([1], True, ["second", "sampling"], said.append)
    assert results["rows"] == []
    assert [(a["subject"], a["reason"]) for a in results["absent"]] == [("second", run.LATE), ("sampling", run.LATE)]
    assert said[1] == f"Sampling 1,000 names, 1 thread: left out, {run.LATE}"


def test_turns_alternate_and_ratios_are_within_a_round():
    order = []
    times = turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 0, least=4, calls_each=1)
    assert order == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert {len(seen) for seen in times.values()} == {4}
    ours, theirs = rows({"a": [1.0, 2.0, 30.0], "b": [2.0, 4.0, 60.0]}, "ms", ("b",), case="c")
    assert (ours["median"], ours["ratios"]) == (2000.0, {"b": {"median": 0.5, "q1": 0.5, "q3": 0.5}})
    assert theirs["ratios"] == {}


def test_peak_sees_what_was_there_for_a_moment():
    with peak() as found:
        held = np.ones(5_000_000)  # 40 MB
        del held
    assert 38e6 < found["bytes"] < 60e6


@pytest.mark.parametrize("program", [Neurons(500), Chain(100)], ids=["neurons", "chain"])
def test_scalar_graphs_agree(program):
    ours, theirs = (values(find(SCALARS, name)(program)()) for name in ("minigrad", "torch eager"))
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    assert len(ours) == 1 + len(program.values)


def test_the_nodes_are_counted_right():
    import minigrad as mg

    for program in (Neurons(300), Chain(60)):
        before = mg.graph.next_number()
        find(SCALARS, "minigrad")(program)()
        assert mg.graph.next_number() - before - 1 == program.nodes


@pytest.mark.parametrize("op", overhead.OPS)
def test_links_of_an_op_are_numpys(op):
    job = Job(quick=True)
    link = overhead.Link(op, "1")
    for name in overhead.ENGINES:
        assert job.attempt(name, lambda name=name: overhead._checked(name, link, link.numpy_backward())), job.absent


def test_a_subject_with_peers_missing_still_gives_rows(tmp_path, capsys):
    """In this environment JAX and the like are not there (or are, and then take part): the rest goes on."""
    assert main(["--quick", "--only", "second", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "bench.json").read_text())
    measured = {row["peer"] for row in results["rows"]}
    out = {a["peer"]: a["reason"] for a in results["absent"]}
    assert {"minigrad", "torch eager"} <= measured
    assert measured | set(out) == {"minigrad", "torch eager", "JAX jit", "HIPS autograd"}
    printed = capsys.readouterr().out
    for peer, reason in out.items():
        assert f"{peer} takes no part: {reason}" in printed
    assert results["machine"]["versions"]["numpy"] == np.__version__
    assert results["machine"]["cores"] >= 1
    assert "gradient of a gradient" in report.readme(results)  # a run of one subject can be shown as well
    assert "not measured" in report.readme(results)


def test_chains_are_timed_at_each_length():
    assert {task["nodes"] for task in chain.tasks(False)} == {1_000, 10_000, 100_000, 1_000_000}
    assert len(SUBJECTS) == 10


def test_curves_and_tables_of_growth(tmp_path):
    rows = []
    for size, ms in ((50, 0.2), (800, 3.0)):
        for peer, factor in (("minigrad", 1), ("torch eager", 2), ("matrix products alone", 0.5)):
            row = {"subject": "scale", "threads": 1, "case": f"hidden {size}", "axis": "hidden", "size": size}
            row |= {"peer": peer, "q1": 0, "q3": 9}
            rows.append({**row, "measure": "time", "unit": "us", "median": 1000 * ms * factor})
            rows.append({**row, "measure": "memory", "unit": "MB", "median": size * factor})
    chain = {"subject": "chain", "threads": 1, "case": "chain of 1,000", "peer": "minigrad", "q1": 0, "q3": 9}
    rows.append({**chain, "measure": "time", "unit": "ns", "median": 2000.0})
    rows.append({**chain, "measure": "memory", "unit": "B", "median": 200.0})
    results = {"rows": rows, "absent": []}
    found = scale.curves(results)
    assert found["hidden"]["time"]["minigrad"] == [(50, 0.2), (800, 3.0)]
    assert found["nodes"] == {"time": {"minigrad": [(1000, 2.0)]}, "memory": {"minigrad": [(1000, 0.2)]}}
    assert "| 800 | 3 | 6 | 1.5 | 50 % | 0.5 | 800 | 1,600 |" in scale.grown(results)
    assert scale.threads(results) == "Only one number of threads was measured."
    scale.draw(results, tmp_path / "scale.svg")
    assert "hidden size" in (tmp_path / "scale.svg").read_text()


def test_times_in_two_units_are_compared():
    row = {"subject": "large", "case": "vocabulary 10,000", "peer": "minigrad", "measure": "time", "q1": 0, "q3": 9}
    rows = [{**row, "threads": 1, "unit": "us", "median": 8000.0}, {**row, "threads": 2, "unit": "ms", "median": 16.0}]
    assert "| minigrad | - | 0.5 |" in scale.threads({"rows": rows, "absent": []})


# ------------------------------------------------------------------------------------------- the stored results

STORED = write.stored()
needs_stored = pytest.mark.skipif(STORED is None, reason="docs/performance/bench.json is not there: make bench-readme")


@needs_stored
def test_the_stored_run_is_whole():
    assert not STORED["quick"]
    assert {row["subject"] for row in STORED["rows"]} == set(SUBJECTS)
    assert {row["threads"] for row in STORED["rows"]} == {1, 2}
    for row in STORED["rows"]:
        assert {"subject", "threads", "case", "peer", "measure", "unit", "median", "q1", "q3"} <= row.keys()
        assert math.isfinite(row["median"])


@needs_stored
def test_the_texts_are_what_the_stored_results_say():
    for path, text in write.texts(STORED).items():
        assert path.read_text() == text, f"{path.name}: make bench-readme"


def test_the_markers_are_there_once():
    text = "a\n<!-- speed: written by make bench-readme -->\nold\n<!-- end of speed -->\nb"
    assert write.between(text, "speed", "new").split("\n")[1:4] == [
        "<!-- speed: written by make bench-readme -->", "new", "<!-- end of speed -->",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="must stand in the text once"):
        write.between(text, "other", "new")
    readme = (write.ROOT / "README.md").read_text()
    assert len(re.findall(r"<!-- .*speed.* -->", readme)) == 2
