"""models.mlp and models.storage: exercise 1's gradients against torch, the two forwards, calibration, files."""

import io
import json
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch.nn import functional as F

import minigrad as mg
from models.mlp import MLP, PARAMETERS, SEED, Config
from models.names import Vocabulary
from models.storage import ModelError, Trained, load_model, save_model

INTERMEDIATES = [
    "logprobs", "probs", "counts_sum_inv", "counts_sum", "counts", "norm_logits", "logit_maxes", "logits", "h",
    "hpreact", "bnraw", "bnvar_inv", "bnvar", "bndiff2", "bndiff", "bnmeani", "hprebn", "embcat", "emb",
]  # fmt: skip


@pytest.fixture
def batch():
    g = mg.Generator().manual_seed(5)
    return g.randint(0, 27, (32, 3)), g.randint(0, 27, (32,))


@pytest.fixture
def model():
    return MLP(Config(27, hidden=64))


def lecture_forward(p, Xb, Yb):
    """Cell 10 in torch: the loss and its locals."""
    C, W1, b1, W2, b2, bngain, bnbias = (p[name] for name in PARAMETERS)
    n = len(Xb)
    emb = C[Xb]
    embcat = emb.view(emb.shape[0], -1)
    hprebn = embcat @ W1 + b1
    bnmeani = 1 / n * hprebn.sum(0, keepdim=True)
    bndiff = hprebn - bnmeani
    bndiff2 = bndiff**2
    bnvar = 1 / (n - 1) * (bndiff2).sum(0, keepdim=True)
    bnvar_inv = (bnvar + 1e-5) ** -0.5
    bnraw = bndiff * bnvar_inv
    hpreact = bngain * bnraw + bnbias
    h = torch.tanh(hpreact)
    logits = h @ W2 + b2
    logit_maxes = logits.max(1, keepdim=True).values
    norm_logits = logits - logit_maxes
    counts = norm_logits.exp()
    counts_sum = counts.sum(1, keepdims=True)
    counts_sum_inv = counts_sum**-1
    probs = counts * counts_sum_inv
    logprobs = probs.log()
    loss = -logprobs[range(n), Yb].mean()
    return loss, locals()


def to_torch(model):
    return {k: torch.tensor(v.detach().numpy().copy(), requires_grad=True) for k, v in model.named_parameters().items()}


@pytest.mark.parametrize("hidden", [64, 200])
def test_the_parameters_are_the_lectures(hidden):
    """Cells 8 and 22: the five that come from the seeded generator are torch's bit for bit."""
    g = torch.Generator().manual_seed(SEED)
    expected = {
        "C": torch.randn((27, 10), generator=g),
        "W1": torch.randn((30, hidden), generator=g) * (5 / 3) / (30**0.5),
        "b1": torch.randn(hidden, generator=g) * 0.1,
        "W2": torch.randn((hidden, 27), generator=g) * 0.1,
        "b2": torch.randn(27, generator=g) * 0.1,
    }
    ours = mg.Generator().manual_seed(SEED)
    model = MLP(Config(27, hidden=hidden), ours)
    for name, value in expected.items():
        assert np.array_equal(getattr(model, name).detach().numpy(), value.numpy()), name
    # and the generator goes on to the lecture's batches
    assert ours.randint(0, 182625, (32,)).tolist() == torch.randint(0, 182625, (32,), generator=g).tolist()
    assert model.bngain.shape == model.bnbias.shape == (1, hidden)
    assert sum(p.numel() for p in model.parameters()) == {64: 4137, 200: 12297}[hidden]  # as printed there


def test_all_rows_of_exercise_1(model, batch):
    Xb, Yb = batch
    params = to_torch(model)
    loss, values = lecture_forward(params, torch.tensor(Xb), torch.tensor(Yb))
    for name in INTERMEDIATES:
        values[name].retain_grad()
    loss.backward()

    ours, intermediates = model.forward_chunked(Xb, Yb)
    assert list(intermediates) == INTERMEDIATES
    for t in intermediates.values():
        t.retain_grad()
    ours.backward()
    assert ours.item() == pytest.approx(loss.item(), abs=1e-6)
    for name, t in {**intermediates, **model.named_parameters()}.items():
        expected = values[name]
        assert t.shape == tuple(expected.shape), name
        np.testing.assert_allclose(t.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(t.grad.numpy(), expected.grad.numpy(), rtol=1e-4, atol=1e-7, err_msg="d" + name)


def test_fused_is_chunked(model, batch):
    chunked, _ = model.forward_chunked(*batch)
    chunked.backward()
    grads = [p.grad.numpy().copy() for p in model.parameters()]
    for p in model.parameters():
        p.grad = None
    fused = model.forward_fused(mg.tensor(batch[0]), mg.tensor(batch[1]))  # Tensors do as well as arrays
    fused.backward()
    assert fused.item() == pytest.approx(chunked.item(), abs=1e-6)
    for p, grad in zip(model.parameters(), grads, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), grad, rtol=1e-4, atol=1e-7)


def test_calibration_and_split_loss_are_cells_24_and_25(model):
    g = mg.Generator().manual_seed(1)
    X, Y = g.randint(0, 27, (10_001, 3)), g.randint(0, 27, (10_001,))  # in parts, the last a small one
    with pytest.raises(RuntimeError, match="calibrate"):
        model.logits(X)
    model.calibrate(X)
    p = {name: t.detach().double() for name, t in to_torch(model).items()}
    hprebn = p["C"][X].view(len(X), -1) @ p["W1"] + p["b1"]
    mean, var = hprebn.mean(0, keepdim=True), hprebn.var(0, keepdim=True, unbiased=True)
    np.testing.assert_allclose(model.bnmean.numpy(), mean, atol=1e-6)
    np.testing.assert_allclose(model.bnvar.numpy(), var, rtol=1e-5)
    h = torch.tanh(p["bngain"] * (hprebn - mean) * (var + 1e-5) ** -0.5 + p["bnbias"])
    logits = h @ p["W2"] + p["b2"]
    np.testing.assert_allclose(model.logits(X).numpy(), logits, rtol=1e-4, atol=1e-5)
    assert model.split_loss(X, Y) == pytest.approx(F.cross_entropy(logits, torch.tensor(Y)).item(), abs=1e-6)
    with pytest.raises(ValueError, match="2 rows"):
        model.calibrate(X[:1])


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"context": -1}, {"embd": 2.5}, {"vocab_size": True}])
def test_sizes_are_whole_numbers(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Config(**{"vocab_size": 27, **wrong})


# ------------------------------------------------------------------------------------------ model files


@pytest.fixture
def trained(model):
    model.calibrate(mg.Generator().manual_seed(1).randint(0, 27, (100, 3)))
    return Trained(model, Vocabulary("abcdefghijklmnopqrstuvwxyz"), {"steps": 7})


def old_model(trained):
    """model.npz as earlier versions wrote it."""
    about = {"config": asdict(trained.model.config), "chars": "".join(trained.vocab.chars), "about": trained.about}
    text = np.frombuffer(json.dumps({"format": "makemore-mlp 1", **about}).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, json=text, **trained.model.state_dict())
    return buffer.getvalue()


def check_same(again, trained):
    assert again.model.config == trained.model.config
    assert again.vocab.stoi == trained.vocab.stoi
    assert again.about == {"steps": 7}
    before, after = trained.model.state_dict(), again.model.state_dict()
    assert list(before) == list(after)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert all(p.requires_grad and p.is_leaf for p in again.model.parameters())


def test_save_and_load(tmp_path, trained):
    path = tmp_path / "model.safetensors"
    save_model(path, trained)
    for place in (path, tmp_path, str(tmp_path)):  # a folder stands for its model
        check_same(load_model(place), trained)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]  # and no file is left beside it
    # anyone's safetensors reads it, under the network's own names
    arrays = safetensors.numpy.load_file(path)
    assert all(np.array_equal(arrays[name], array) for name, array in trained.model.state_dict().items())
    assert len(arrays) == len(PARAMETERS) + 2


def test_the_model_of_an_earlier_version_is_read_and_a_newer_one_refused(tmp_path, trained):
    (tmp_path / "model.npz").write_bytes(old_model(trained))
    check_same(load_model(tmp_path), trained)
    check_same(load_model(tmp_path / "model.npz"), trained)
    trained.about = {"steps": 8}
    save_model(tmp_path / "model.safetensors", trained)
    assert load_model(tmp_path).about == {"steps": 8}  # where both are, the new one is the folder's
    (tmp_path / "x").write_bytes(rewritten((tmp_path / "model.safetensors").read_bytes(), version=3))
    with pytest.raises(ModelError, match=r"x: its version is 3, and this program reads 2: use a newer one$"):
        load_model(tmp_path / "x")
    mg.save({"C": mg.ones(3)}, tmp_path / "x")
    with pytest.raises(ModelError, match=r"x: not a model of this program"):
        load_model(tmp_path / "x")


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.npz: no such model; train one first"):
        load_model(tmp_path / "nothing.npz")
    with pytest.raises(ModelError, match=r"model\.safetensors: no such model; train one first"):
        load_model(tmp_path)


@pytest.mark.parametrize("old", [False, True])
def test_each_kind_of_damage_is_one_line(tmp_path, trained, old):
    path = tmp_path / "model"
    save_model(path, trained)
    good = old_model(trained) if old else path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", b"PK", b"hello\n" * 50, good[: len(good) // 2], good[:-1], good[100:]]
    for _ in range(150):
        at = int(rng.integers(len(good)))
        damaged.append(good[:at] + bytes([good[at] ^ int(rng.integers(1, 256))]) + good[at + 1 :])
    harmless = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            state = load_model(path).model.state_dict()  # a byte of padding, or of a date in the zip, may say nothing
            harmless += 1
            assert all(np.array_equal(v, state[k]) for k, v in trained.model.state_dict().items())
        except ModelError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
    assert harmless < (15 if old else 1)


def rewritten(good, **changes):
    """The model file with arrays or fields of its description replaced; None takes one out. Of either version."""
    if good[:2] == b"PK":
        with np.load(io.BytesIO(good)) as file:
            held = dict(file)
        description = json.loads(held.pop("json").tobytes())
    else:
        held = mg.load(io.BytesIO(good))
        description = held.pop("makemore")
    for name, value in changes.items():
        (held if name in held else description)[name] = value
    held = {name: array for name, array in held.items() if array is not None}
    buffer = io.BytesIO()
    if good[:2] == b"PK":
        np.savez(buffer, json=np.frombuffer(json.dumps(description).encode(), np.uint8), **held)
    else:
        mg.save({**held, "makemore": description}, buffer)
    return buffer.getvalue()


HUGE = {"vocab_size": 27, "context": 3, "embd": 10**9, "hidden": 10**9, "seed": 1}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "makemore-mlp 9"}, "its format is 'makemore-mlp 9'|not a model of this program"),
        ({"config": HUGE}, "C has shape"),  # believed by nobody, so nothing of that size is made
        ({"config": {"vocab_size": 27, "new": 1}}, "unexpected keyword"),
        ({"chars": "ab"}, "vocabulary"),
        ({"chars": "." + "abcdefghijklmnopqrstuvwxy"}, "end token"),
        ({"b2": None}, "b2 is missing"),
        ({"bnvar": None}, "bnvar is missing"),
        ({"bnvar": -np.ones((1, 64), np.float32)}, "negative"),
        ({"W2": np.full((64, 27), np.nan, np.float32)}, "not finite"),
        ({"W2": np.zeros((64, 27))}, "float64"),
        ({"b1": np.zeros((1, 64), np.float32)}, r"b1 has shape \(1, 64\)"),
    ],
)
def test_a_file_that_says_something_else(tmp_path, trained, changes, reason, old):
    path = tmp_path / "model"
    save_model(path, trained)
    path.write_bytes(rewritten(old_model(trained) if old else path.read_bytes(), **changes))
    with pytest.raises(ModelError, match=reason):
        load_model(path)


def test_a_pickle_in_an_old_model_is_not_opened(tmp_path, trained):
    path = tmp_path / "model.npz"
    path.write_bytes(rewritten(old_model(trained), b1=np.array([{"a": 1}], object)))
    with pytest.raises(ModelError, match="damaged"):
        load_model(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("json.npy", bytes(10**7))
    with pytest.raises(ModelError, match="larger than the file"):
        load_model(path)


def test_load_state_dict_names_what_is_wrong(model):
    state = model.state_dict()
    assert list(state) == list(PARAMETERS)  # no statistics before calibrate()
    with pytest.raises(ValueError, match="no W3"):
        model.load_state_dict({**state, "W3": state["b1"]})
    with pytest.raises(ValueError, match="bnmean and bnvar"):
        model.load_state_dict({**state, "bnvar": state["bngain"]})
