"""Profiles: spans of ops and rules, nesting, averages, the trace's form, and no trace of it when it is off."""

import gzip
import json
import threading

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.graph import Engine
from minigrad.nn import functional as F
from minigrad.profiler import ProfilerAction, ProfilerActivity, profile, record_function, schedule


@pytest.fixture
def network():
    w = mg.randn(4, 3, generator=mg.Generator().manual_seed(1)).requires_grad_()
    return w, mg.optim.SGD([w], lr=0.1)


def step(network, x=None):
    w, optimizer = network
    x = mg.ones(5, 4) if x is None else x
    with record_function("forward"):
        h = mg.tanh(x @ w)
        loss = F.cross_entropy(h, mg.tensor([0, 1, 2, 0, 1]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def hooks():
    return Engine.begin, Engine.observe, Engine.check, mg.optim.SGD.step, mg.autograd.walk


def test_ops_rules_and_parts_of_a_step_are_spans(network):
    before = hooks()
    with profile(record_shapes=True) as prof:
        step(network)
    assert hooks() == before
    names = [event.name for event in prof.events()]
    assert names == [
        "forward", "matmul", "tanh", "crossentropy", "Optimizer.zero_grad#SGD.zero_grad", "backward",
        "CrossEntropyBackward0", "TanhBackward0", "MatMulBackward0", "AccumulateGrad", "Optimizer.step#SGD.step",
    ]  # fmt: skip
    event = {e.name: e for e in prof.events()}
    assert event["matmul"].shapes == [[5, 4], [4, 3]]
    assert event["matmul"].dtypes == ["float32", "float32"]
    assert event["tanh"].number == event["TanhBackward0"].number
    inside = sum(event[name].duration for name in ("matmul", "tanh", "crossentropy"))
    assert event["forward"].children == inside
    assert event["forward"].self_duration == event["forward"].duration - inside > 0


def test_the_results_are_the_same(network):
    expected = step(network).item()
    values = network[0].detach().numpy().copy()
    other = mg.randn(4, 3, generator=mg.Generator().manual_seed(1)).requires_grad_()
    with profile(profile_memory=True, with_stack=True, record_shapes=True):
        assert step((other, mg.optim.SGD([other], lr=0.1))).item() == expected
    assert (other.detach().numpy() == values).all()


def test_averages_as_torchs_table(network):
    with profile() as prof:
        for _ in range(3):
            step(network)
    found = prof.key_averages()
    rows = {row.key: row for row in found}
    assert rows["tanh"].count == 3
    assert rows["tanh"].cpu_time == pytest.approx(rows["tanh"].cpu_time_total / 3)
    assert rows["backward"].self_cpu_time_total < rows["backward"].cpu_time_total
    text = found.table(sort_by="cpu_time_total", row_limit=2)
    lines = text.splitlines()
    assert len(lines) == 3 + 2 + 2
    totals = sorted((row.cpu_time_total for row in found), reverse=True)
    assert [rows[line.split("  ")[0].strip()].cpu_time_total for line in lines[3:5]] == totals[:2]
    with pytest.raises(ValueError, match="sort_by is 'cuda_time', but it must be one of"):
        found.table(sort_by="cuda_time")
    with torch.profiler.profile() as theirs:
        torch.tanh(torch.ones(3))
    shared = [column for column in lines[1].split("  ") if column.strip()]
    for column in shared:
        assert column.strip() in theirs.key_averages().table()


def test_grouped_by_shapes():
    with profile(record_shapes=True) as prof:
        for n in (2, 3, 3):
            mg.exp(mg.ones(n))
    assert [(row.input_shapes, row.count) for row in prof.key_averages(group_by_input_shape=True)] == [
        ([[2]], 1), ([[3]], 2),
    ]  # fmt: skip


def test_memory_and_lines():
    with profile(profile_memory=True, with_stack=True) as prof:
        x = mg.ones(1000)
        y = x * 2  # the line
        y.view(10, 100)
    mul, view = prof.events()
    assert mul.bytes == 4000
    assert view.bytes == 0  # the same memory
    assert "y = x * 2  # the line" in mul.stack


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_the_trace_is_in_the_trace_event_format(tmp_path, network, name):
    with profile(record_shapes=True) as prof, record_function("all", "of it"):
        step(network)
    prof.export_chrome_trace(tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    trace = json.loads(gzip.decompress(raw) if name.endswith("gz") else raw)
    events = trace["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert {e["name"] for e in events if e["ph"] == "M"} == {"process_name", "thread_name"}
    for e in spans:
        assert {"name", "cat", "ph", "ts", "dur", "pid", "tid"} <= e.keys()
        assert e["ts"] >= 0
        assert e["dur"] >= 0
    assert len({(e["pid"], e["tid"]) for e in spans}) == 1
    # Spans of one thread nest: each begins after the one around it and ends before it does.
    stack = []
    for e in sorted(spans, key=lambda e: (e["ts"], -e["dur"])):
        while stack and stack[-1]["ts"] + stack[-1]["dur"] <= e["ts"]:
            stack.pop()
        if stack:
            assert e["ts"] + e["dur"] <= stack[-1]["ts"] + stack[-1]["dur"] + 1e-6
        stack.append(e)
    assert next(e for e in spans if e["name"] == "all")["args"]["Args"] == "of it"
    # An arrow leads from each op to its rule.
    at = {(e["ts"], e["tid"]): e["name"] for e in spans}
    starts = {e["id"]: at[e["ts"], e["tid"]] for e in events if e["ph"] == "s"}
    ends = {e["id"]: at[e["ts"], e["tid"]] for e in events if e["ph"] == "f"}
    assert {(starts[i], ends[i]) for i in starts} == {
        ("matmul", "MatMulBackward0"), ("tanh", "TanhBackward0"), ("crossentropy", "CrossEntropyBackward0"),
    }  # fmt: skip


def test_a_schedule_is_torchs():
    settings = {"wait": 1, "warmup": 1, "active": 2, "repeat": 2, "skip_first": 1}
    ours, theirs = schedule(**settings), torch.profiler.schedule(**settings)
    assert [ours(i).value for i in range(12)] == [theirs(i).value for i in range(12)]
    with pytest.raises(ValueError, match="active must be 1 at least"):
        schedule(wait=0, warmup=0, active=0)


def test_only_the_steps_of_the_schedule_are_recorded(network):
    ready = []

    def keep(prof):
        ready.append([e.name for e in prof.events() if e.name.startswith("Prof")])

    with profile(schedule=schedule(wait=1, warmup=0, active=2, repeat=2), on_trace_ready=keep) as prof:
        for i in range(8):
            assert (Engine.observe is not None) == (i % 3 != 0 and i < 6)
            step(network)
            prof.step()
    assert ready == [["ProfilerStep#1", "ProfilerStep#2"], ["ProfilerStep#4", "ProfilerStep#5"]]
    assert ProfilerAction(3) is ProfilerAction.RECORD_AND_SAVE


def test_an_error_inside_ends_the_profile_and_leaves_nothing_open(network):
    before = hooks()
    with pytest.raises(RuntimeError, match="do not go together"), profile() as prof, record_function("bad"):
        mg.ones(2) + mg.ones(3)
    assert hooks() == before
    assert [e.name for e in prof.events()] == ["bad"]
    with profile() as prof, record_function("outer"):  # and one that is caught inside
        with pytest.raises(RuntimeError):
            mg.ones(2) + mg.ones(3)
        mg.exp(mg.ones(2))
    assert [e.name for e in prof.events()] == ["outer", "exp"]


def test_one_at_a_time():
    with profile(), pytest.raises(RuntimeError, match="another profile is on"), profile():
        pass
    assert Engine.begin is None
    with pytest.raises(ValueError, match="there is ProfilerActivity.CPU alone"):
        profile(activities=["cuda"])
    profile(activities=[ProfilerActivity.CPU])


def test_anomaly_mode_inside_and_outside():
    x = mg.tensor(0.0, requires_grad=True)
    with profile() as prof, pytest.raises(mg.AnomalyError), mg.detect_anomaly():
        mg.log(x)
    assert Engine.observe is Engine.begin is None
    with pytest.raises(mg.AnomalyError), mg.detect_anomaly(), profile() as prof:
        mg.log(x)
    assert [e.name for e in prof.events()] == ["log"]
    assert Engine.observe is None


def test_threads_have_their_own_spans():
    def work():
        with record_function("work"):
            for _ in range(50):
                mg.exp(mg.ones(3))

    with profile() as prof:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    spans = [e for e in prof.events() if e.name == "work"]
    assert len({e.thread for e in prof.events()}) == 3
    for span in spans:
        assert span.children == sum(e.duration for e in prof.events() if e.thread == span.thread and e is not span)


def test_a_captured_step_runs_eagerly_while_it_is_profiled():
    w = mg.ones(3, requires_grad=True)

    @mg.compile
    def step(x):
        loss = (mg.tanh(x) * w).sum()
        w.grad = None
        loss.backward()
        return loss

    x = mg.tensor(np.arange(3.0, dtype=np.float32))
    expected = [step(x).item() for _ in range(3)][-1]
    with profile() as prof:
        assert step(x).item() == expected
    assert [e.name for e in prof.events()][:3] == ["tanh", "mul", "sum"]


def test_record_function_without_a_profile_and_as_decorator():
    @record_function("f")
    def f(x):
        return x + 1

    assert f(1) == 2
    with profile() as prof:
        assert f(1) == 2
    assert [e.name for e in prof.events()] == ["f"]
    with pytest.raises(TypeError, match="a span's name is a text"):
        record_function(3)
