"""makemore check: exact for many seeds and batches, wrong derivations found, and its three forms of output."""

import json
import re
import sys

import numpy as np
import pytest

import minigrad as mg
from models import check, exercises
from models.cli import main
from models.mlp import MLP, Config
from models.names import Vocabulary, build_dataset, read_names, split_names

SEEDS = 24


@pytest.fixture(scope="module")
def data():
    words = read_names("names.txt")
    return build_dataset(split_names(words)[0], Vocabulary(words), 3)


def batch_of(seed, dtype, X, Y, n=32):
    generator = mg.Generator().manual_seed(seed)
    model = MLP(Config(27, hidden=64, seed=seed), generator)
    ix = generator.randint(0, len(X), (n,))
    return check.backward(model, X[ix], Y[ix], dtype)


def wrong(rows):
    return [(row.exercise, row.name) for row in rows if not row.right]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_seeds_are_exact(data, dtype):
    for seed in range(SEEDS):
        rows = check.rows(batch_of(seed, dtype, *data))
        assert len(rows) == 35 and not wrong(rows)
        assert all(row.comparison.exact for row in rows[:26]), seed
        assert all(row.comparison.approximate for row in rows[26:28])
        assert all(row.comparison.maxdiff < 2e-8 for row in rows[26:28])


def test_the_lecture_s_seed_differs_by_rounding_alone():
    rows = check.rows(check.draw("names.txt", 2147483647))
    assert [row.exercise for row in rows[26:28]] == [2, 3]
    # The chain of exercise 1 rounds six times on its way to a label's -1/32: 1.1e-8 together, if all fall one way. The
    # last digits are the processor's (its matrix product), and so is whether the lecture's 1e-8 is kept: mostly it is.
    assert all(row.comparison.approximate and row.comparison.maxdiff <= 6 * 2**-24 / 32 for row in rows[26:28])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [2, 3, 7, 31])
def test_smaller_batches_are_exact_too(data, dtype, n):
    assert not wrong(check.rows(batch_of(5, dtype, *data, n=n)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [33, 100])
def test_larger_batches_agree_up_to_rounding(data, dtype, n):
    batch = batch_of(5, dtype, *data, n=n)
    for row in check.rows(batch):  # the engine adds more than 32 rows in parts
        tensors = batch.fused if row.exercise == 4 else batch.tensors
        assert row.comparison.maxdiff <= check._limit(np.asarray(tensors[row.name].grad), batch, check.ULPS), row


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("others", [0, 1, 16])
def test_one_character_repeated(dtype, others):
    X, Y = np.zeros((32, 3), np.int64), np.arange(32) % 27
    X[:others] = np.arange(3)  # with none all rows are alike, and the variance is 0
    for seed in range(5):
        rows = check.rows(check.backward(MLP(Config(27, hidden=64, seed=seed)), X, Y, dtype))
        assert not wrong(rows) and all(row.comparison.exact for row in rows[:26])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ties_in_the_logits(data, dtype):
    X, Y = data
    model = MLP(Config(27, hidden=64))
    with mg.no_grad():
        model.W2[:, 5] = model.W2[:, 9]
        model.b2[5] = model.b2[9] = 12.0  # the largest of each row, twice
    batch = check.backward(model, X[:32], Y[:32], dtype)
    logits = batch.tensors["logits"].detach().numpy()
    assert (logits[:, 5] == logits.max(1)).all() and (logits[:, 9] == logits.max(1)).all()
    assert [name for exercise, name in wrong(check.rows(batch)) if exercise == 1] == []


def test_all_beside_torch(data):
    pytest.importorskip("torch")
    for seed in range(5):
        for dtype in ("float32", "float64"):
            rows = check.rows(batch_of(seed, dtype, *data), with_torch=True)
            assert not wrong(rows) and all(row.torch is not None for row in rows)


# ---------------------------------------------------------------------------------------------- wrong on purpose


def broken(monkeypatch, name, change):
    right = exercises.exercise_1
    monkeypatch.setattr(exercises, "exercise_1", lambda values: (g := right(values)) | {name: change(g, values)})


def test_a_broken_derivation_ends_in_1_and_is_named(monkeypatch, capsys):
    broken(monkeypatch, "hprebn", lambda g, v: g["bndiff"])
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    marked = [line for line in out.splitlines() if "WRONG" in line]
    assert len(marked) == 1 and marked[0].startswith("hprebn          | exact: False")
    assert "a use is forgotten: this is what bndiff (-) gives alone; bnmeani (sum) is missing" in out
    assert out.endswith("wrong: hprebn (exercise 1); 34 of 35 rows are right\n")


def test_the_last_bit_counts(monkeypatch, capsys):
    broken(monkeypatch, "h", lambda g, v: np.nextafter(g["h"], np.float32(1)))
    assert main(["check", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["rows"] if not row["right"]] == ["h"]
    assert [row["cause"] for row in found["rows"] if not row["right"]] == ["rounding"]


def test_a_broken_fused_derivation(monkeypatch, capsys):
    right = exercises.exercise_3
    monkeypatch.setattr(exercises, "exercise_3", lambda v, dhpreact: right(v, dhpreact) * np.float32(31 / 32))
    assert main(["check"]) == 1
    assert "wrong: hprebn (exercise 3), C (exercise 4), W1 (exercise 4); 32 of 35" in capsys.readouterr().out


def test_a_derivation_of_another_shape(monkeypatch, capsys):
    broken(monkeypatch, "bnmeani", lambda g, v: g["bnmeani"][0])
    assert main(["check", "--torch"]) == 1
    assert "without keepdim=True" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------------- the command


def test_plain_rows_in_a_pipe(capsys):
    assert main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [
        line for line in lines if re.fullmatch(r"\w+ +\| exact: True  \| approximate: True  \| maxdiff: 0\.0", line)
    ]
    assert len(rows) == 26 and rows[0] == "logprobs        | exact: True  | approximate: True  | maxdiff: 0.0"
    assert lines[-1] == "all 35 rows are right: 26 exact, 9 up to rounding"
    assert not any("\x1b" in line for line in lines)


def test_json(capsys, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("anna\nbob\nclara\ndora\nemil\nfritz\ngerda\nhans\nida\njan\n")
    assert main(["check", "--json", "--seed", "3", "--dtype", "float64", "--names", str(names)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["right"] and found["seed"] == 3 and found["dtype"] == "float64" and len(found["rows"]) == 35
    assert found["rows"][0] == {
        "exercise": 1, "name": "logprobs", "shape": [32, found["rows"][0]["shape"][1]], "exact": True,
        "approximate": True, "maxdiff": 0.0, "limit": 0.0, "right": True,
    }  # fmt: skip


def test_torch_is_a_column(capsys):
    pytest.importorskip("torch")
    assert main(["check", "--torch"]) == 0
    differences = re.findall(r"\| torch: approximate: \w+ +\| maxdiff: (.*)", capsys.readouterr().out)
    assert len(differences) == 35 and all(float(d) < 1e-5 for d in differences)


def test_without_torch_it_says_so(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["check", "--torch"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("makemore check: error: --torch needs torch, which is not installed")
    assert said.err.count("\n") == 1


def test_the_table_with_torch_fits_80_columns(capsys, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["check", "--torch"]) == 0
    out = capsys.readouterr().out
    assert "…" not in out and "counts_sum_inv" in out and "to torch" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("colours", [True, False])
def test_a_table_in_a_terminal(capsys, monkeypatch, colours):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "│" in out and len(re.findall(r"\bok\b|mok\b", out)) == 35 and ("\x1b[32m" in out) == colours
    assert colours or "\x1b" not in out


def test_a_terminal_without_rich(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["check"]) == 0
    assert capsys.readouterr().out.startswith("exercise 1: ")


@pytest.mark.parametrize("options", [["--dtype", "float16"], ["--seed", "x"], ["--names", "nowhere.txt"]])
def test_bad_input_is_one_line(options, capsys):
    assert main(["check", *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
