"""makemore graph and models.step: which step is drawn, from what, into which file, and what cannot be."""

import re
import webbrowser
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from models.cli import main
from models.mlp import MLP, PARAMETERS, Config
from models.names import Vocabulary, build_dataset, read_names, split_names
from models.step import find, skip
from models.storage import load_model, save_model
from models.train import Plan, Trainer

PROJECT = Path(__file__).resolve().parents[2]
STEPS = 30
TRAIN = ["train", "--hidden", "12", "--batch", "8", "--quiet", "--seed", "5"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a list of 300 names and a run of 30 steps on it in out/."""
    folder = tmp_path_factory.mktemp("run")
    names = (PROJECT / "names.txt").read_text().splitlines()[:300]
    (folder / "names.txt").write_text("\n".join(names))
    arguments = ["--names", str(folder / "names.txt"), "--steps", str(STEPS), "--out", str(folder / "out")]
    assert main([*TRAIN, *arguments]) == 0
    return folder


@pytest.fixture
def here(run, monkeypatch, capsys):
    monkeypatch.chdir(run)
    capsys.readouterr()
    return run


def graph(capsys, *arguments, status=0):
    """The lines that the command printed, or the one line of its error."""
    assert main(["graph", *map(str, arguments)]) == status
    out, err = capsys.readouterr()
    if status:
        assert out == "" and err.count("\n") == 1 and err.startswith("makemore graph: error: "), err
        return err
    return out, err


def refused(capsys, *arguments):
    return graph(capsys, *arguments, status=2)


def trainer(run, done):
    words = read_names(run / "names.txt")
    vocab = Vocabulary(words)
    g = mg.Generator().manual_seed(5)
    model = MLP(Config(len(vocab), hidden=12, seed=5), g)
    ours = Trainer(model, Plan(STEPS, batch=8), *build_dataset(split_names(words)[0], vocab, 3), g)
    for _ in range(done):
        ours.step()
    return ours


# ------------------------------------------------------------------------------------------ which step


@pytest.mark.parametrize("number", [0, 7, STEPS, None])
def test_a_step_is_the_runs_own_with_its_parameters_and_its_batch(run, number):
    step = find(run / "out", number, str(run / "names.txt"))
    done = STEPS if number is None else number
    assert step.number == done
    ours = trainer(run, done)
    for name in PARAMETERS:
        np.testing.assert_array_equal(getattr(step.model, name).array, getattr(ours.model, name).array, name)
    drawn = []
    ours._update = lambda Xb, Yb: drawn.append((Xb, Yb)) or mg.tensor(1.0)
    ours.step()
    np.testing.assert_array_equal(step.Xb, drawn[0][0])
    np.testing.assert_array_equal(step.Yb, drawn[0][1])


def test_the_loss_of_a_step_is_what_the_run_wrote_down(run):
    loss, _ = find(run / "out", 7, str(run / "names.txt")).forward(fused=True)
    lines = (run / "out" / "metrics.jsonl").read_text().splitlines()
    assert f'"step": 7, "loss": {round(loss.item(), 6)},' in lines[7]


def test_without_a_model_it_is_the_lectures_network(run, tmp_path):
    step = find(tmp_path, None, str(run / "names.txt"))
    assert step.number == 0
    assert step.model.config == Config(step.model.config.vocab_size) and len(step.Xb) == 32
    assert find(tmp_path, 3, str(run / "names.txt")).number == 3


def test_the_lectures_first_step_on_its_own_list(lecture_dir, tmp_path):
    loss, _ = find(tmp_path, 0, str(lecture_dir / "names.txt")).forward()
    assert round(loss.item(), 4) == 3.8455


def test_batches_that_came_before_are_left_out_however_many():
    one, other = (mg.Generator().manual_seed(3) for _ in range(2))
    for _ in range(1001):
        one.randint(0, 1000, (1000,))
    skip(other, 1000, 1_001_000)
    assert one.randint(0, 10**9, ()) == other.randint(0, 10**9, ())


@pytest.mark.parametrize("fused", [False, True])
def test_all_of_a_step_has_its_gradient(run, fused):
    step = find(run / "out", 0, str(run / "names.txt"))
    loss, values = step.forward(fused)
    assert len(values) == (6 if fused else 19)
    for t in (loss, *values.values(), *step.model.parameters()):
        assert t.grad is not None and t.grad.shape == t.shape
    assert {"Xb", "Yb", "loss", "model", *values} == step.names(loss, values).keys()


def test_its_gradients_are_its_own_and_not_the_step_before(run, tmp_path):
    """The training that finds the step leaves its last gradients in the parameters."""
    step = find(tmp_path, 3, str(run / "names.txt"))
    fresh = MLP(step.model.config)
    fresh.load_state_dict(step.model.state_dict())
    fresh.forward_chunked(step.Xb, step.Yb)[0].backward()
    step.forward()
    for name, p in fresh.named_parameters().items():
        np.testing.assert_array_equal(getattr(step.model, name).grad.array, p.grad.array, name)


def test_the_layers_are_groups(here, capsys):
    graph(capsys, "--step", "0")
    svg = (here / "out" / "graph-step-0-chunked.svg").read_text()
    groups = ["embedding", "linear 1", "batchnorm", "linear 2", "cross entropy"]
    assert re.findall("<desc>group ([^<]*)</desc>", svg) == groups
    assert svg.count(", parameter</title>") == len(PARAMETERS)
    graph(capsys, "--step", "0", "--collapse", "cross entropy", "--collapse", "linear*", "--png")
    graph(capsys, "--step", "0", "--collapse", "cross entropy", "--collapse", "linear*")
    svg = (here / "out" / "graph-step-0-chunked.svg").read_text()
    assert re.findall("<desc>group ([^<]*)</desc>", svg) == ["embedding", "batchnorm"]
    assert main(["graph", "--collapse", "attention"]) == 2
    said = capsys.readouterr().err
    assert "no group 'attention'; its groups are batchnorm, cross entropy, " in said and said.count("\n") == 1
    assert main(["graph", "--collapse", "batchnorm", "--page"]) == 2
    assert "--collapse is for pictures" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ what is written


@pytest.mark.parametrize(
    ("options", "name", "start"),
    [
        ([], f"graph-step-{STEPS}-chunked.svg", b"<"),
        (["--svg", "--step", "3"], "graph-step-3-chunked.svg", b"<"),
        (["--png", "--fused"], f"graph-step-{STEPS}-fused.png", b"\x89PNG"),
        (["--page", "--chunked", "--step", "0"], "graph-step-0-chunked.html", b"<!doctype html>"),
    ],
)
def test_a_file_named_by_what_it_is_and_the_same_bytes_again(here, capsys, options, name, start):
    path = here / "out" / name
    assert graph(capsys, *options) == (f"out/{name}\n", "")
    content = path.read_bytes()
    assert content[: len(start)].lower() == start.lower()
    if name.endswith(".html"):
        assert b"makemore, step 0" in content
    path.unlink()
    graph(capsys, *options)
    assert path.read_bytes() == content
    if name.endswith(".svg"):
        text = content.decode()
        assert "<svg" in text and all(word in text for word in ("bnmeani", "logit_maxes", "bngain", "loss"))


def test_the_fused_graph_has_fewer_names(here, capsys):
    graph(capsys, "--fused")
    svg = (here / "out" / f"graph-step-{STEPS}-fused.svg").read_text()
    assert "hpreact" in svg and "bnmeani" not in svg


def test_without_a_run_the_folder_is_made(here, capsys, tmp_path):
    out = tmp_path / "new" / "folder"
    assert graph(capsys, "--out", out, "--fused")[0] == f"{out}/graph-step-0-fused.svg\n"
    assert [p.name for p in out.iterdir()] == ["graph-step-0-fused.svg"]


def test_a_long_wait_is_announced(here, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("models.step.WAITED_FOR", 20)
    assert "training 20 steps from the seed" in graph(capsys, "--step", 20, "--out", tmp_path)[1]
    assert graph(capsys, "--step", 19, "--out", tmp_path)[1] == ""


@pytest.mark.parametrize(("opens", "said"), [(True, ""), (False, "no browser opens here"), (None, "no browser opens")])
def test_open(here, capsys, monkeypatch, opens, said):
    asked = []

    def browser(url):
        asked.append(url)
        if opens is None:
            raise webbrowser.Error("could not locate runnable browser")
        return opens

    monkeypatch.setattr(webbrowser, "open", browser)
    out, err = graph(capsys, "--open", "--fused")
    assert asked == [(here / out.strip()).as_uri()]
    assert said in err and bool(err) == bool(said)
    if said:
        assert str(here / out.strip()) in err


# ------------------------------------------------------------------------------------------ what cannot be


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--step", STEPS + 1], f"the run in out has {STEPS} steps; name one from 0 to {STEPS}"),
        (["--step", 10**13], "--step"), (["--step", -1], "--step"), (["--step", "x"], "--step"),
        (["--page", "--png"], "not allowed with"), (["--svg", "--png"], "not allowed with"),
        (["--fused", "--chunked"], "not allowed with"), (["--json"], "--json"),
        (["--names", "nowhere.txt"], "nowhere.txt: no such file"),
        (["--out", "names.txt"], "names.txt: not a folder"), (["--out", "names.txt/deeper"], "not a folder"),
        (["--out", "/proc/makemore"], "cannot be written to"), (["--out", "o" * 300], "too long"),
    ],
)  # fmt: skip
def test_refused(here, capsys, options, reason):
    before = sorted(here.rglob("*"))
    assert main(["graph", *map(str, options)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and reason in err
    assert sorted(here.rglob("*")) == before


def test_a_step_that_no_machine_has_memory_for(here, capsys, tmp_path):
    assert "would need about" in refused(capsys, "--step", 10**12, "--out", tmp_path)


def test_another_list_has_other_batches(here, capsys, tmp_path):
    (tmp_path / "other.txt").write_text("emma\nolivia\nava\nmia\nana\nada\n")
    line = refused(capsys, "--names", tmp_path / "other.txt")
    assert "other.txt is not the list that out/model.safetensors was trained on" in line and "--names FILE" in line


def test_a_damaged_model(here, capsys, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((here / "out" / "model.safetensors").read_bytes()[:-900])
    assert "model.safetensors: damaged" in refused(capsys, "--out", tmp_path)


@pytest.mark.parametrize(
    "about",
    [{}, {"steps": None}, {"steps": 10**6}, {"optimizer": "adam"}, {"batch": "8"}, {"names": 3}, {"planned_steps": 0}],
    ids=str,
)
def test_a_model_that_does_not_say_how_it_was_trained(here, capsys, tmp_path, about):
    trained = load_model(here / "out")
    trained.about = trained.about | about if about else {}
    save_model(tmp_path / "model.safetensors", trained)
    assert re.search(
        r"model.safetensors: does not say how it was trained; train it again", refused(capsys, "--out", tmp_path)
    )


@pytest.mark.parametrize("about", [{"skipped": [3]}, {"changes": ["from step 5: --lr 0.2"]}], ids=str)
def test_a_run_that_its_seed_does_not_repeat(here, capsys, tmp_path, about):
    """Its last step is the model itself; those before are not found by training again."""
    trained = load_model(here / "out")
    trained.about |= about
    save_model(tmp_path / "model.safetensors", trained)
    assert "was changed or skipped steps on its way" in refused(capsys, "--out", tmp_path, "--step", 2)
    done = trained.about["steps"]
    assert find(tmp_path, done, "names.txt").number == done


def test_a_folder_where_the_picture_must_go(here, capsys, tmp_path):
    (tmp_path / "graph-step-0-chunked.svg").mkdir()
    assert "a folder where a file must go" in refused(capsys, "--out", tmp_path)


def test_nothing_to_lay_it_out_with(here, capsys, monkeypatch):
    import viz

    def render(*arguments, **options):
        raise viz.RenderError("nothing here lays out a graph: pip install graphviz-pure")

    monkeypatch.setattr(viz, "render", render)
    assert "was not drawn: nothing here lays out" in graph(capsys, status=1)
    monkeypatch.setattr(viz, "page", render)
    assert "was not drawn: nothing here lays out" in graph(capsys, "--page", status=1)


def test_help(capsys):
    assert main(["graph", "--help"]) == 0
    text = capsys.readouterr().out
    for word in ("--step", "--fused", "--chunked", "--page", "--svg", "--png", "--open", "examples:", "exit status"):
        assert word in text
