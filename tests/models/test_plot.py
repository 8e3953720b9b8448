"""makemore plot: its files from a run, the same bytes again, what older or damaged runs get; what a run records."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from models.cli import main
from models.mlp import MLP, PARAMETERS, Config
from models.plot import draw, read_metrics
from models.step import find
from models.train import Plan, Trainer

PROJECT = Path(__file__).resolve().parents[2]
PLOTS = ["loss", "dlogits", "activations", "saturation", "gradients", "update_to_data", "grad_to_data"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with 300 names and two runs on them: out/, and two/ with an embedding of 2 dimensions."""
    folder = tmp_path_factory.mktemp("run")
    names = (PROJECT / "names.txt").read_text().splitlines()[:300]
    (folder / "names.txt").write_text("\n".join(names))
    train = ["train", "--hidden", "12", "--batch", "8", "--steps", "40", "--quiet", "--names", folder / "names.txt"]
    for out, options in (("out", []), ("two", ["--embd", "2", "--optimizer", "adamw"])):
        assert main([*map(str, train), *options, "--out", str(folder / out)]) == 0
    return folder


@pytest.fixture
def copy(run, tmp_path, monkeypatch, capsys):
    """A working folder with copies of the list and of out/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for file in ("names.txt", "out/metrics.jsonl", "out/model.safetensors"):
        (tmp_path / file).write_bytes((run / file).read_bytes())
    capsys.readouterr()
    return tmp_path


def refused(capsys, *arguments, status=2):
    assert main(["plot", *map(str, arguments)]) == status
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("makemore plot: error: "), err
    return err


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# ------------------------------------------------------------------------------------------ what works


def test_every_plot_as_png_and_svg_and_the_same_bytes_again(copy, capsys):
    assert main(["plot"]) == 0
    out, err = capsys.readouterr()
    files = [f"{name}.{form}" for name in PLOTS for form in ("png", "svg")]
    assert out.splitlines() == [f"out/plots/{file}" for file in files]
    assert err == "makemore plot: note: no embedding: it has 10 dimensions; makemore train --embd 2 has two\n"
    plots = copy / "out" / "plots"
    before = {p.name: p.read_bytes() for p in plots.iterdir()}
    assert before.keys() == set(files)
    for name, content in before.items():
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        assert b"<dc:date>" not in content
    assert main(["plot"]) == 0
    assert {p.name: p.read_bytes() for p in plots.iterdir()} == before


def test_no_display_is_needed(run, tmp_path):
    """With a backend asked for that needs one, and none there; two dimensions have their embedding drawn."""
    gone = ("DISPLAY", "WAYLAND_DISPLAY")
    environment = {k: v for k, v in os.environ.items() if k not in gone} | {
        "MPLBACKEND": "tkagg", "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "error"
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "models", "plot", "--out", "two"],
        cwd=run, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == ["two/plots/embedding.png", "two/plots/embedding.svg"]


def test_an_embedding_of_an_earlier_run_goes(copy, capsys):
    (copy / "out" / "plots").mkdir()
    (copy / "out" / "plots" / "embedding.svg").write_text("old")
    (copy / "out" / "plots" / "mine.svg").write_text("mine")
    assert main(["plot"]) == 0
    assert not (copy / "out" / "plots" / "embedding.svg").exists()
    assert (copy / "out" / "plots" / "mine.svg").read_text() == "mine"


def drawn(folder):
    """The names of the figures and the notes, without the time that writing them takes."""
    figures, notes = draw(read_metrics(folder / "out" / "metrics.jsonl"), find(folder / "out", None, "names.txt"))
    return list(figures), notes


def test_a_run_without_ratios_has_the_other_plots(copy):
    old = [{k: v for k, v in line.items() if not k.endswith("_to_data")} for line in lines_of(copy / "out")]
    (copy / "out" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in old))
    names, notes = drawn(copy)
    assert names == PLOTS[:-2]
    assert notes[0].startswith("no update_to_data and no grad_to_data: the run's metrics.jsonl does not have them")
    assert "train again" in notes[0]


def test_a_step_without_ratios_is_no_harm(copy):
    lines = lines_of(copy / "out")
    del lines[-2]["update_to_data"], lines[-2]["grad_to_data"]  # as after ctrl-C
    lines[3]["update_to_data"]["b1"] = None
    (copy / "out" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert drawn(copy)[0] == PLOTS


def test_help(capsys):
    assert main(["plot", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("--out", "--names", "update_to_data", "examples:", "exit status"))


# ------------------------------------------------------------------------------------------ what cannot be


def test_no_run_there(copy, capsys):
    assert "nowhere/model.safetensors: not there, so there is no run to draw" in refused(capsys, "--out", "nowhere")
    assert not (copy / "nowhere").exists()
    (copy / "out" / "metrics.jsonl").unlink()
    assert "out/metrics.jsonl: not there" in refused(capsys)
    assert "names.txt/model.safetensors: not there" in refused(capsys, "--out", "names.txt")
    assert not (copy / "out" / "plots").exists()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "JSONDecodeError"), ("[]", "damaged"), ("3", "damaged"), ("null", "damaged"), ("{}", "KeyError: 'step'"),
        ('{"step": 1}', "step 1 after step 4"), ('{"step": 5}', "'loss'"), ('{"step": true}', "step True"),
        ('{"step": 5, "loss": "2", "mean_loss": 2}', "loss is '2'"),
        ('{"step": 5, "loss": NaN, "mean_loss": 2}', "loss is nan"),
        ('{"step": 5, "loss": 2, "mean_loss": -1}', "mean_loss is -1"),
        ('{"step": 5, "loss": 2, "mean_loss": 2, "update_to_data": {"C": "x"}}', "update_to_data of C is 'x'"),
        ('{"step": 5, "loss": 2, "mean_loss": 2, "grad_to_data": 7}', "damaged"),
        ("[" * 100_000, "damaged"), ('{"step": 1e999}', "step inf"),
    ],
)  # fmt: skip
def test_damaged_metrics(copy, capsys, line, reason):
    lines = (copy / "out" / "metrics.jsonl").read_text().splitlines()
    lines[5] = line
    (copy / "out" / "metrics.jsonl").write_text("\n".join(lines))
    said = refused(capsys)
    assert "out/metrics.jsonl:6: damaged (" in said and reason in said and len(said) < 250
    assert not (copy / "out" / "plots").exists()


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "no steps in it"), (b"\n\n", "no steps"), (b"\xff\xfe", "damaged, not text")]
)
def test_metrics_that_are_none(copy, capsys, content, reason):
    (copy / "out" / "metrics.jsonl").write_bytes(content)
    assert f"out/metrics.jsonl: {reason}" in refused(capsys)


def test_another_list_a_damaged_model_and_an_option_that_is_none(copy, capsys):
    (copy / "other.txt").write_text("emma\nolivia\nava\nmia\nana\nada\n")
    assert "other.txt is not the list" in refused(capsys, "--names", "other.txt")
    (copy / "out" / "model.safetensors").write_bytes(b"PK")
    assert "out/model.safetensors: damaged" in refused(capsys)
    assert main(["plot", "--svg"]) == 2
    assert "--svg" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to(copy, capsys):
    (copy / "out" / "plots").write_text("")
    assert "out/plots: not a folder" in refused(capsys)
    (copy / "out" / "plots").unlink()
    (copy / "out" / "plots" / "loss.svg").mkdir(parents=True)
    assert "loss.svg: a folder where a file must go" in refused(capsys)
    assert [p.name for p in (copy / "out" / "plots").iterdir()] == ["loss.svg"]


# ------------------------------------------------------------------------------------------ what a run records


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_ratios_are_what_the_step_did(optimizer):
    rng = np.random.default_rng(0)
    X, Y = rng.integers(0, 5, (50, 3)), rng.integers(0, 5, 50)
    g = mg.Generator().manual_seed(1)
    model = MLP(Config(5, hidden=4, embd=2), g)
    ours = Trainer(model, Plan(1, batch=6, optimizer=optimizer), X, Y, g)
    before = model.state_dict()
    ours.run()
    (line,) = ours.metrics
    for name, p in model.named_parameters().items():
        update = (p.array - before[name]).std() / before[name].std()
        np.testing.assert_allclose(line["update_to_data"][name], update, rtol=1e-3)
        np.testing.assert_allclose(line["grad_to_data"][name], p.grad.numpy().std() / before[name].std(), rtol=1e-3)
        if optimizer == "sgd" and name != "b1":  # as part 3 has it
            np.testing.assert_allclose(line["update_to_data"][name], 0.1 * line["grad_to_data"][name], rtol=1e-2)


def test_ratios_are_there_at_the_logged_steps_alone_and_after_the_last(monkeypatch):
    monkeypatch.setattr("models.train.METRICS", 5)
    copied = []
    monkeypatch.setattr(Trainer, "_ratios", lambda self, before: copied.append(len(self.losses)) or {})
    g = mg.Generator().manual_seed(1)
    model = MLP(Config(5, hidden=4), g)
    X, Y = np.zeros((9, 3), np.int64), np.arange(9) % 5
    ours = Trainer(model, Plan(22, batch=4), X, Y, g)
    ours.run()
    assert copied == [1, 5, 9, 13, 17, 21, 22]


def test_a_step_that_ctrl_c_made_the_last_has_no_ratios():
    g = mg.Generator().manual_seed(1)
    model = MLP(Config(5, hidden=4), g)
    ours = Trainer(model, Plan(5000, batch=4), np.zeros((9, 3), np.int64), np.arange(9) % 5, g)
    ours.run(stop=lambda: len(ours.losses) == 3)
    assert [m["step"] for m in ours.metrics] == [0, 2]
    assert "update_to_data" in ours.metrics[0] and "update_to_data" not in ours.metrics[1]


def test_a_parameter_that_does_not_vary_has_no_ratio():
    g = mg.Generator().manual_seed(1)
    model = MLP(Config(5, hidden=1), g)
    ours = Trainer(model, Plan(1, batch=4), np.zeros((9, 3), np.int64), np.arange(9) % 5, g)
    ours.run()
    ratios = ours.metrics[0]["update_to_data"]
    assert ratios.keys() == set(PARAMETERS) and ratios["b1"] is None and ratios["W2"] is not None
    assert json.loads(json.dumps(ratios)) == ratios
