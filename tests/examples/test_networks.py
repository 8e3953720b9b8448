"""Each network of examples/ beside torch: the same file with the two import lines changed, and the same losses.

Start and batches are the same without being copied: minigrad's generator gives torch's numbers.
"""

import argparse
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import minigrad as mg
from benchmarks.examples import EXAMPLES, NETWORKS, imported, on, run

STEPS = 300
SMALLER = {"mlp": ["--hidden", "48"], "wavenet": ["--hidden", "32"], "transformer": ["--width", "32"]}


@pytest.fixture(scope="module", autouse=True)
def one_thread_and_the_streams_as_they_were():
    threads, state, ours = torch.get_num_threads(), torch.get_rng_state(), mg.random.default_generator.get_state()
    torch.set_num_threads(1)  # more wait for each other at this size
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)
    mg.random.default_generator.set_state(ours)


@pytest.mark.parametrize("name", NETWORKS)
def test_beside_torch(name):
    argv = ["--steps", str(STEPS), *SMALLER.get(name, [])]
    losses, printed = run(name, "minigrad", argv)
    expected, _ = run(name, "torch", argv)
    assert len(losses) == len(expected) == STEPS
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-3)
    assert np.mean(losses[-50:]) < math.log(27) - 0.4  # it learnt
    names = re.findall(r"^names: (.*)$", printed, flags=re.M)[-1].split(", ")
    assert len(names) == 8
    assert all(re.fullmatch("[a-z]*", new) for new in names)


def test_what_torch_runs_is_the_file_with_two_lines_changed():
    for file in EXAMPLES.glob("*.py"):
        text = file.read_text()
        if "minigrad as torch" not in text:
            continue
        changed = on("torch", text)
        pairs = [(a, b) for a, b in zip(text.splitlines(), changed.splitlines(), strict=True) if a != b]
        assert pairs[0] == ("import minigrad as torch", "import torch as torch"), file
        assert pairs[1:] in ([], [("import minigrad.nn.functional as F", "import torch.nn.functional as F")]), file
        assert "minigrad" not in changed.replace("minigrad's", ""), file
    with imported("gru", "torch") as gru:
        assert issubclass(gru.GRUCell, torch.nn.Module)
    with imported("gru", "minigrad") as gru:
        assert issubclass(gru.GRUCell, mg.nn.Module)


def test_the_bigram_network_sees_every_pair():
    """The loss over 27 rows weighted by the counts is the loss over all pairs, and comes to that of the counts."""
    with imported("bigram", "minigrad") as bigram:
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 27, 500), rng.integers(0, 27, 500)
        N = bigram.count(mg.tensor(x), mg.tensor(y), 27)
        counted = np.zeros((27, 27))
        np.add.at(counted, (x, y), 1)
        assert np.array_equal(N.numpy(), counted)
        W = mg.randn((27, 27), generator=mg.Generator().manual_seed(1))
        pairs = mg.nn.functional.cross_entropy(W[mg.tensor(x)], mg.tensor(y)).item()
        assert bigram.network_loss(W, N, 0.0).item() == pytest.approx(pairs, abs=1e-5)
        square = 0.5 * (W.numpy() ** 2).mean()
        assert bigram.network_loss(W, N, 0.5).item() == pytest.approx(pairs + square, abs=1e-5)
        losses, printed = run("bigram", "minigrad", ["--steps", "1000"])
        counts = float(re.search(r"counted, each count plus 1: loss ([0-9.]+)", printed)[1])
        assert counts - 1e-3 < losses[-1] < counts + 2e-3


def test_the_study_of_initial_values():
    """What the lecture finds, and torch's figures: wide weights saturate, scaled ones start at log(27)."""
    args = argparse.Namespace(seed=1, hidden=100, depth=4)
    rows = {}
    for library in ("minigrad", "torch"):
        with imported("mlp", library) as mlp, imported("common", library) as common:
            rows[library] = mlp.study(common.Windows(common.names(common.NAMES), 3), args)
    for ours, theirs in zip(rows["minigrad"], rows["torch"], strict=True):
        assert ours[0] == theirs[0]
        assert ours[1:] == pytest.approx(theirs[1:], rel=1e-3, abs=1e-3)
    found = {name: figures for name, *figures in rows["minigrad"]}
    assert found["wide"][0] > 10
    assert found["wide"][1] > 0.5
    for init in ("unit", "kaiming", "batchnorm"):
        assert found[init][0] == pytest.approx(math.log(27), abs=0.1)
        assert found[init][1] < 0.15
    assert found["unit"][2] < 0.7 * found["kaiming"][2]  # without the gain the signal shrinks from layer to layer


def test_batch_norm_of_our_own_is_torchs():
    """But for the running variance, which both make unbiased, and the batch's, which torch divides by n."""
    x = np.random.default_rng(0).normal(2, 3, (64, 5, 4)).astype(np.float32)
    theirs = torch.nn.BatchNorm1d(4)
    with imported("mlp", "minigrad") as mlp:
        ours = mlp.BatchNorm1d(4)
        for _ in range(3):
            y = ours(mg.tensor(x))
            expected = theirs(torch.tensor(x).reshape(-1, 4)).reshape(64, 5, 4).detach().numpy()
        np.testing.assert_allclose(y.detach().numpy(), expected, rtol=5e-3, atol=5e-3)
        np.testing.assert_allclose(ours.mean.numpy(), theirs.running_mean, rtol=1e-4)
        np.testing.assert_allclose(ours.var.numpy(), theirs.running_var, rtol=1e-4)
        ours.eval()
        theirs.eval()
        expected = theirs(torch.tensor(x[:, 0])).detach().numpy()
        np.testing.assert_allclose(ours(mg.tensor(x[:, 0])).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_batch_norm_of_one_row_is_refused():
    with pytest.raises(ValueError, match="needs 2 at least"):
        run("mlp", "minigrad", ["--steps", "1", "--batch", "1"])


def test_neighbours_are_joined():
    x = mg.arange(2 * 8 * 3).view(2, 8, 3)
    with imported("wavenet", "minigrad") as wavenet:
        joined = wavenet.FlattenConsecutive(2)(x)
        assert joined.shape == (2, 4, 6)
        assert joined[0, 1].tolist() == x[0, 2].tolist() + x[0, 3].tolist()
        assert wavenet.FlattenConsecutive(8)(x).shape == (2, 24)
        with pytest.raises(ValueError, match="8 places cannot be joined 3 by 3"):
            wavenet.FlattenConsecutive(3)(x)


@pytest.mark.parametrize(("name", "model"), [("bow", "BagOfWords"), ("transformer", "Transformer"), ("gru", None)])
def test_no_place_looks_ahead(name, model):
    g = mg.Generator().manual_seed(3)
    idx = mg.randint(0, 27, (2, 8), generator=g)
    with imported(name, "minigrad") as example:
        if model is None:
            with imported("rnn", "minigrad") as rnn:
                net = rnn.Recurrent(example.GRUCell, 27, 8, 8)
        else:
            net = getattr(example, model)(27, 8, 8, *((2, 2) if model == "Transformer" else ()))
        before = net(idx).detach().numpy()
        later = idx.clone()
        later[:, 5] = (later[:, 5] + 1) % 27
        after = net(later).detach().numpy()
    np.testing.assert_allclose(before[:, :5], after[:, :5], rtol=0, atol=1e-6)
    assert (np.abs(before[:, 5:] - after[:, 5:]).max(axis=(0, 2)) > 1e-4).all()  # and all after it see the change


def test_sequences_are_padded_and_counted_once():
    words = ["ab", "b", "abc", "a", "ca", "bab", "cc", "ac"]
    with imported("common", "minigrad") as common:
        data = common.Sequences(words)
        X, Y = data.train
        text = ["".join(data.vocab.itos[i] for i in row if i >= 0) for row in Y.tolist()]
        assert all(row.endswith(".") for row in text)
        assert X.shape == Y.shape == (6, data.block)
        for x, y in zip(X.tolist(), Y.tolist(), strict=True):
            ended = y.index(0)
            assert x[: ended + 1] == [0, *y[:ended]]
            assert set(y[ended + 1 :]) <= {-1}

        def model(X):
            return mg.zeros(*X.shape, 4)

        assert common.mean_loss(data, model, data.train, rows=4) == pytest.approx(math.log(4), abs=1e-6)


@pytest.mark.parametrize("wrong", [["--steps", "0"], ["--width", "many"], ["--batch", "-1"]])
def test_a_wrong_number_is_one_line(wrong, capsys):
    with pytest.raises(SystemExit):
        run("rnn", "minigrad", wrong)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"argument {wrong[0]}: {wrong[1]!r} is not a whole number from 1 up")


@pytest.mark.parametrize(("text", "reason"), [(None, "no such file"), ("ann\nb2b", ":2: a digit"), ("ann", "too few")])
def test_a_wrong_list_of_names_is_one_line(tmp_path, capsys, text, reason):
    path = tmp_path / "list.txt"
    if text:
        path.write_text(text)
    with pytest.raises(SystemExit):
        run("bigram", "minigrad", ["--names", str(path)])
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"argument --names: {path}" in said
    assert reason in said


def test_each_example_is_in_the_readme():
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    for file in EXAMPLES.glob("*.py"):
        assert file.stem == "common" or f"examples/{file.name}" in text, file.name
