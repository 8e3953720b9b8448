"""makemore train --profile: a trace of some steps, of a run that is the same without it."""

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Engine
from models.cli import main
from models.errors import BadInput
from models.mlp import MLP, Config
from models.profiling import Profiled
from models.train import Plan, Trainer


def trainer(steps, eager=False):
    rng = np.random.default_rng(0)
    generator = mg.Generator().manual_seed(1)
    model = MLP(Config(27, hidden=10), generator)
    X, Y = rng.integers(0, 27, (100, 3)), rng.integers(0, 27, 100)
    return Trainer(model, Plan(steps), X, Y, generator, eager=eager)


def spans(path):
    return [e for e in json.loads(path.read_text())["traceEvents"] if e["ph"] == "X"]


@pytest.mark.parametrize("eager", [False, True])
def test_the_run_is_the_same_and_wrapped_only_while_it_records(tmp_path, eager):
    plain, watched = trainer(12, eager), trainer(12, eager)
    plain.run()
    profiled = Profiled(watched, tmp_path / "trace.json", skipped=4, steps=3)
    on = []
    watched.run(stop=lambda: on.append((Engine.begin is not None, "step" in vars(watched))))
    assert on == [(False, True)] * 4 + [(True, True)] * 2 + [(False, False)] * 6
    assert watched.losses == plain.losses
    assert not {"step", "draw"} & vars(watched).keys()
    assert profiled.write().startswith(f"profile of steps 4 to 6: {tmp_path / 'trace.json'} (")
    names = [e["name"] for e in spans(tmp_path / "trace.json")]
    assert [name for name in names if name.startswith("Prof")] == [f"ProfilerStep#{i}" for i in (4, 5, 6)]
    one = names[: names.index("ProfilerStep#5")]
    assert one[:3] == ["ProfilerStep#4", "draw batch", "forward"]
    for part in ("batchnorm", "CrossEntropyBackward0", "backward", "Optimizer.step#SGD.step"):
        assert one.count(part) == 1
    rows = {row.key: row.count for row in profiled.averages()}
    assert rows["draw batch"] == rows["forward"] == rows["backward"] == 3


def test_a_run_that_is_shorter_than_that(tmp_path):
    short = trainer(2)
    profiled = Profiled(short, tmp_path / "trace.json")
    short.run()
    assert profiled.write().startswith("profile of steps 0 to 1")
    ended = trainer(50)
    profiled = Profiled(ended, tmp_path / "other.json")
    ended.run(stop=lambda: len(ended.losses) == 25)
    assert profiled.write().startswith("profile of steps 20 to 24")
    assert Engine.begin is None


def test_a_file_that_cannot_be_written_is_refused_before_the_run(tmp_path):
    with pytest.raises(BadInput, match=r"--profile .*: Is a directory; name a file that can be written"):
        Profiled(trainer(2), tmp_path)
    with pytest.raises(BadInput, match="No such file or directory"):
        Profiled(trainer(2), tmp_path / "none" / "trace.json")


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--steps", "45", "--hidden", "12", "--profile", "trace.json"]) == 0
    assert "profile of steps 20 to 39: trace.json (for ui.perfetto.dev or speedscope.app)" in capsys.readouterr().out
    found = spans(tmp_path / "trace.json")
    assert sum(e["name"].startswith("ProfilerStep#") for e in found) == 20
    assert main(["train", "--steps", "45", "--out", "new", "--profile", "out"]) == 2
    assert "--profile out: Is a directory" in capsys.readouterr().err
    assert not (tmp_path / "new" / "model.safetensors").exists()
