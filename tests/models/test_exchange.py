"""makemore export and import: torch's load_state_dict, onnxruntime, and back again, with the same logits."""

import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import minigrad as mg
from models import exchange
from models.mlp import MLP, Config
from models.names import Vocabulary
from models.storage import ModelError, Trained, load_model, save_model

PROJECT = Path(__file__).resolve().parents[2]
LETTERS = [chr(ord("a") + i) for i in range(26)]


@pytest.fixture(scope="module")
def trained():
    g = mg.Generator().manual_seed(3)
    model = MLP(Config(27, hidden=50))
    model.calibrate(np.asarray(g.randint(0, 27, (500, 3))))
    return Trained(model, Vocabulary(LETTERS), {"steps": 7})


@pytest.fixture(scope="module")
def X():
    return np.asarray(mg.Generator().manual_seed(9).randint(0, 27, (100, 3)))


@pytest.fixture
def out(tmp_path, trained):
    (tmp_path / "out").mkdir()
    save_model(tmp_path / "out" / "model.safetensors", trained)
    return tmp_path


def makemore(*arguments, cwd, status=0):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "models", *map(str, arguments)], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def layers(nn, vocab_size=27, context=3, embd=10, hidden=50):
    """The network of torch's own layers; nn is torch's or minigrad's."""
    return nn.Sequential(
        OrderedDict(
            embedding=nn.Embedding(vocab_size, embd), flatten=nn.Flatten(), linear1=nn.Linear(context * embd, hidden),
            batchnorm=nn.BatchNorm1d(hidden), tanh=nn.Tanh(), linear2=nn.Linear(hidden, vocab_size),
        )
    )  # fmt: skip


def test_torch_loads_it_by_the_same_names(out, trained, X):
    assert makemore("export", "--safetensors", "--torch", cwd=out) == "out/torch.safetensors\n"
    theirs = layers(torch.nn)
    state = safetensors.torch.load_file(out / "out" / "torch.safetensors")
    assert set(state) == set(theirs.state_dict()) == set(layers(mg.nn).state_dict())
    theirs.load_state_dict(state, strict=True)
    assert int(theirs.batchnorm.num_batches_tracked) == 7
    theirs.eval()
    want = trained.model.logits(X).numpy()
    with torch.no_grad():
        np.testing.assert_allclose(theirs(torch.from_numpy(X)).numpy(), want, rtol=1e-6, atol=1e-6)
    ours = layers(mg.nn)
    loaded = mg.load(out / "out" / "torch.safetensors")
    loaded.pop("makemore")
    ours.load_state_dict(loaded)
    ours.eval()
    np.testing.assert_allclose(ours(mg.tensor(X)).detach().numpy(), want, rtol=1e-6, atol=1e-6)


def test_arrays_by_the_lectures_names(out, trained):
    assert makemore("export", "--safetensors", "--out", "new", cwd=out) == "new/arrays.safetensors\n"
    state = safetensors.torch.load_file(out / "new" / "arrays.safetensors")
    want = trained.model.state_dict()
    assert state.keys() == want.keys()
    assert all(np.array_equal(state[name].numpy(), want[name]) for name in want)


def test_onnx(out, trained, X):
    ort = pytest.importorskip("onnxruntime", reason="what was exported is not run: pip install onnxruntime")
    assert makemore("export", "--onnx", cwd=out) == "out/model.onnx\n"
    session = ort.InferenceSession(out / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["chars"] == "." + "".join(LETTERS)
    for n in (1, 100):
        (got,) = session.run(["logits"], {"contexts": X[:n]})
        np.testing.assert_allclose(got, trained.model.logits(X[:n]).numpy(), rtol=1e-6, atol=1e-6)


def test_onnx_in_float64(out, trained, X):
    ort = pytest.importorskip("onnxruntime", reason="what was exported is not run: pip install onnxruntime")
    assert makemore("export", "--onnx", "--float64", "--out", "wide", cwd=out) == "wide/model.onnx\n"
    session = ort.InferenceSession(out / "wide" / "model.onnx", providers=["CPUExecutionProvider"])
    wanted = exchange.in_float64(trained.model).logits(X).numpy()
    (got,) = session.run(["logits"], {"contexts": X})
    assert got.dtype == wanted.dtype == np.float64
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(got, trained.model.logits(X).numpy(), atol=1e-6 * abs(wanted).max(), rtol=0)
    assert "--float64 is a way of --onnx" in makemore("export", "--safetensors", "--float64", cwd=out, status=2)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_a_network_that_torch_wrote_comes_in(tmp_path, X, prefix):
    torch.manual_seed(1)
    theirs = layers(torch.nn, context=4, embd=6, hidden=30)
    theirs(torch.randint(0, 27, (50, 4)))  # moves the running statistics
    theirs.eval()
    state = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "theirs.safetensors")
    (tmp_path / "mine.txt").write_text("".join(f"{c}{c}a\n" for c in LETTERS))
    assert "name the list it was trained on with --names" in makemore(
        "import", "theirs.safetensors", cwd=tmp_path, status=2
    )
    assert not (tmp_path / "out").exists()
    made = makemore("import", "theirs.safetensors", "--names", "mine.txt", cwd=tmp_path)
    assert made == "out/model.safetensors\n"
    model = load_model(tmp_path / "out").model
    assert (model.config.context, model.config.embd, model.config.hidden) == (4, 6, 30)
    rows = np.concatenate([X, X[:, :1]], 1)
    with torch.no_grad():
        want = theirs(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(model.logits(rows).numpy(), want, rtol=1e-6, atol=1e-6)
    assert len(makemore("sample", "-n", 3, cwd=tmp_path).splitlines()) == 3
    again = makemore("import", "theirs.safetensors", "--names", "mine.txt", cwd=tmp_path, status=2)
    assert "out/model.safetensors is there; name another --out, or replace it with --force" in again
    makemore("import", "theirs.safetensors", "--names", "mine.txt", "--force", cwd=tmp_path)


@pytest.mark.parametrize("torch_names", [True, False])
def test_out_and_in_again(tmp_path, trained, torch_names):
    (tmp_path / "f").write_bytes(exchange.safetensors(trained, torch_names))
    back = exchange.read(tmp_path / "f")
    assert back.vocab.chars == trained.vocab.chars and back.about == trained.about
    want = trained.model.state_dict()
    assert all(np.array_equal(x, want[name]) for name, x in back.model.state_dict().items())


def changed(state, **changes):
    state = {**state, **changes}
    return {name: x for name, x in state.items() if x is not None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"linear2.bias": None}, "it lacks 'linear2.bias'"),
        ({"linear3.bias": np.zeros(3, np.float32)}, "it holds 'linear3.bias', which has no place"),
        ({"linear1.weight": np.zeros((50, 31), np.float32)}, "W1 takes 31 numbers"),
        ({"linear1.weight": np.zeros(50, np.float32)}, r"linear1.weight has shape \(50,\)"),
        ({"linear2.bias": np.zeros(26, np.float32)}, "b2 has shape"),
        ({"linear2.bias": np.full(27, np.nan, np.float32)}, "not finite"),
        ({"batchnorm.running_var": np.full(50, -1, np.float32)}, "negative"),
        ({"linear2.bias": np.zeros(27, np.int64)}, "int64 where float32 must be"),
        ({"embedding.weight": np.zeros((0, 10), np.float32)}, "C is missing or no matrix"),
        ({"embedding.weight": np.zeros((26, 10), np.float32)}, "rows for 26 characters, and the list has 27"),
    ],
)
def test_a_file_that_is_not_this_network(tmp_path, trained, changes, reason):
    state = exchange.to_torch(trained.model.state_dict())
    mg.save(changed(state, **changes), tmp_path / "f.safetensors")
    with pytest.raises(ModelError, match=reason):
        exchange.read(tmp_path / "f.safetensors", Vocabulary(LETTERS))


def test_what_is_no_file_of_arrays(tmp_path):
    for content, reason in ((b"", "damaged"), (b"x" * 100, "damaged"), (b"PK\x03\x04" + b"x" * 90, "zip archive")):
        (tmp_path / "f").write_bytes(content)
        with pytest.raises(ModelError, match=reason):
            exchange.read(tmp_path / "f")
    with pytest.raises(ModelError, match="cannot be read"):
        exchange.read(tmp_path / "nowhere")
    mg.save([1, 2], tmp_path / "f")
    with pytest.raises(ModelError, match="holds no arrays by name"):
        exchange.read(tmp_path / "f")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["export"], "say what to write: --onnx, --safetensors, or both"),
        (["export", "--onnx", "--torch"], "--torch is a layout of --safetensors"),
        (["export", "--onnx", "--model", "nowhere"], "no such model"),
        (["export", "--safetensors", "--out", "out/model.safetensors"], "not a folder"),
        (["import", "nowhere.safetensors"], "nowhere.safetensors: cannot be read: No such file"),
        (["import"], "required: FILE"),
    ],
)
def test_options_that_make_no_sense(out, arguments, reason):
    before = sorted(out.rglob("*"))
    said = makemore(*arguments, cwd=out, status=2)
    assert reason in said and said.count("\n") == 1
    assert sorted(out.rglob("*")) == before
