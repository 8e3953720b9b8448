"""Every reader of files, on files with mistakes in them: a documented error of one line, or what is right.

`make fuzz` tries 1,000 of each kind and as many made by hypothesis, `make test` some. No code is run, nothing is
written, and time and memory are bounded: see guard.py. MINIGRAD_SEED gives other files.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings, strategies as st

import minigrad as mg
from models import checkpoint, config, exchange, npz
from models.cli import _parser
from models.errors import BadInput
from models.metrics import read_metrics
from models.mlp import MLP, Config
from models.names import NamesError, Vocabulary, build_dataset, read_names, split_names
from models.sample import sample
from models.storage import ModelError, Trained, load_model, save_model
from models.train import Plan, Trainer
from tests.fuzz.guard import reads, watched
from tests.fuzz.mutate import mutated, signed

COUNT = int(os.environ.get("MINIGRAD_FUZZ", "50"))
SEED = int(os.environ.get("MINIGRAD_SEED", "1"))
WORDS = ["emma", "olivia", "ava", "isabella", "sophia", "zoë", "mary-ann", "o'neil"] * 4
TOML = 'names = "mine.txt"\n[train]\nhidden = 100\nlr = 0.5\nchunked = true\noptimizer = "adamw"\n[sample]\nn = 3\n'


@dataclass
class Reader:
    """A good file, how it is read, its errors, and what is true of everything that it gives."""

    good: bytes
    read: Callable[[Path], Any]
    errors: type[Exception]
    right: Callable[[Any], None] = lambda found: None


def _names(path: Path) -> Any:
    words = read_names(path)
    train = split_names(words, source=path)[0]
    return build_dataset(train, Vocabulary(words), 3)


def _names_right(found: Any) -> None:
    X, Y = found
    assert X.shape == (len(Y), 3) and X.min() == 0 and Y.min() == 0


def _model_right(trained: Any) -> None:
    """It makes names, or says that it cannot."""
    generator = mg.Generator().manual_seed(1)
    try:
        for name in sample(trained.model, trained.vocab, 2, generator):
            assert isinstance(name, str)
    except ValueError as error:
        assert "scores" in str(error)


def _checkpoint_right(found: Any) -> None:
    """A run can go on from it."""
    words = [char * 3 for char in found.vocab.chars] or ["a"]
    X, Y = build_dataset(words, found.vocab, found.config.context)
    if found.plan.batch > 1000 or found.step == found.plan.steps:
        return
    run = Trainer(MLP(found.config), found.plan, X, Y, mg.Generator())
    found.restore(run)
    try:
        run.step()
    except ArithmeticError:
        assert not np.isfinite(run.losses[-1:]).all() or len(run.losses) == found.step


def _arrays_right(found: Any) -> None:
    if isinstance(found, dict):
        for value in found.values():
            assert not isinstance(value, mg.Tensor) or value.array.size >= 0


def _toml(path: Path) -> Any:
    return config.parse(_parser(), ["train", "--config", str(path)], {})


def _exchange(path: Path) -> Any:
    return exchange.read(path, Vocabulary(WORDS))


def _metrics_right(lines: Any) -> None:
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})


def _old_model(trained: Trained) -> bytes:
    about = {"config": asdict(trained.model.config), "chars": "".join(trained.vocab.chars), "about": trained.about}
    text = np.frombuffer(json.dumps({"format": npz.FORMAT, **about}).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, json=text, **trained.model.state_dict())
    return buffer.getvalue()


def _load(path: Path) -> Any:
    return mg.load(io.BytesIO(path.read_bytes()))


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    folder = tmp_path_factory.mktemp("good")
    vocab = Vocabulary(WORDS)
    X, Y = build_dataset(WORDS, vocab, 3)
    g = mg.Generator().manual_seed(7)
    model = MLP(Config(len(vocab), hidden=6, embd=3, seed=7), g)
    run = Trainer(model, Plan(steps=20, batch=4, optimizer="adamw"), X, Y, g)
    run.run(stop=lambda: len(run.losses) == 9)
    saved = checkpoint.content(run, vocab, {"count": len(WORDS), "sha256": "0" * 64}, every=3)
    metrics = "".join(json.dumps(line) + "\n" for line in run.metrics) + '{"step": 9, "train_loss": 2.5}\n'
    model.calibrate(X)
    trained = Trained(model, vocab, {"steps": 9, "planned_steps": 20, "names": {"count": 5, "sha256": "0" * 64}})
    save_model(folder / "model", trained)
    held = {"w": mg.ones(3, 2, requires_grad=True), "n": [np.arange(3), (1, float("nan"), None, "é")], "": True}
    mg.save(held, folder / "held")
    safetensors.numpy.save_file({"a": np.ones((2, 3), np.float32), "b": np.arange(4)}, folder / "theirs", {"x": "y"})
    file = {name: (folder / name).read_bytes() for name in ("model", "held", "theirs")}
    return {
        "names": Reader("\n".join(WORDS).encode(), _names, NamesError, _names_right),
        "model": Reader(file["model"], load_model, ModelError, _model_right),
        "old model": Reader(_old_model(trained), load_model, ModelError, _model_right),
        "checkpoint": Reader(saved, checkpoint.read, checkpoint.CheckpointError, _checkpoint_right),
        "load": Reader(file["held"], _load, ValueError, _arrays_right),
        "load mmap": Reader(file["held"], lambda path: mg.load(path, mmap=True), ValueError, _arrays_right),
        "safetensors": Reader(file["theirs"], mg.load, ValueError, _arrays_right),
        "import": Reader(exchange.safetensors(trained, True), _exchange, ModelError, _model_right),
        "metrics": Reader(metrics.encode(), read_metrics, BadInput, _metrics_right),
        "toml": Reader(TOML.encode(), _toml, BadInput),
    }


KINDS = ("names", "model", "old model", "checkpoint", "load", "load mmap", "safetensors", "import", "metrics", "toml")
CHECKED = ("model", "checkpoint", "load")  # a checksum says that they are as they were written


def _try(reader: Reader, files: Iterator[bytes], path: Path) -> tuple[int, int]:
    """How many files were tried, and how many of them were read as right."""
    tried = read = 0
    path.write_bytes(reader.good)
    assert reader.read(path) is not None  # and whatever is imported late is there now
    for data in files:
        path.write_bytes(data)
        try:
            found = reads(lambda: reader.read(path), len(data), reader.errors)
            if found is not None:
                with np.errstate(all="ignore"):
                    reader.right(found)
        except BaseException:
            path.with_name("failed").write_bytes(data)  # pytest keeps it, and prints where
            raise
        tried += 1
        read += found is not None
    assert {p.name for p in path.parent.iterdir()} <= {path.name}
    return tried, read


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(readers: dict[str, Reader], tmp_path: Path, kind: str) -> None:
    reader = readers[kind]
    files = (data for data in mutated(reader.good, COUNT, SEED) if data != reader.good)
    tried, read = _try(reader, files, tmp_path / "file")
    assert tried > 0.9 * COUNT and tried - read > 0.2 * COUNT
    if kind in CHECKED:
        assert read <= 0.01 * COUNT + 1, f"{read} of {tried} damaged files were read as if they were whole"


@pytest.mark.parametrize("kind", ["model", "checkpoint", "load"])
def test_other_content_with_a_right_checksum(readers: dict[str, Reader], tmp_path: Path, kind: str) -> None:
    """Somebody who writes files on purpose computes the checksum too."""
    tried, read = _try(readers[kind], signed(readers[kind].good, COUNT, SEED + 1), tmp_path / "file")
    assert tried == COUNT and (tried - read > 0.1 * COUNT or kind == "load")


TEXT = st.one_of(st.text(), st.text("emaolivi\n\r.-'é \t\x0b\x85\u2028", max_size=60)).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)
ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda x: st.one_of(st.lists(x, max_size=4), st.dictionaries(st.text(max_size=5), x, max_size=4)),
    max_leaves=10,
)
LINES = st.lists(
    st.one_of(
        ANY_JSON,
        st.fixed_dictionaries(
            {"step": st.one_of(st.integers(-1, 9), ANY_JSON), "loss": st.floats(), "mean_loss": ANY_JSON},
            optional={"update_to_data": ANY_JSON, "train_loss": ANY_JSON, "lr": ANY_JSON},
        ),
    ),
    max_size=4,
).map(lambda lines: "\n".join(json.dumps(line) for line in lines).encode())


def _with_header(made: tuple[Any, int, bool, bytes]) -> bytes:
    content, length, right, arrays = made
    text = json.dumps(content).encode()
    return (len(text) if right else length).to_bytes(8, "little") + text + arrays


HEADERS = st.tuples(ANY_JSON, st.integers(0, 2**64 - 1), st.booleans(), st.binary(max_size=20)).map(_with_header)
MADE = {
    "names": st.one_of(st.binary(), TEXT),
    "metrics": st.one_of(st.binary(max_size=100), TEXT, LINES),
    "toml": st.one_of(
        TEXT, st.binary(max_size=60), ANY_JSON.map(lambda x: f"[train]\nhidden = {json.dumps(x)}".encode())
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_files_made_by_hypothesis(readers: dict[str, Reader], tmp_path: Path, kind: str) -> None:
    reader, path = readers[kind], tmp_path / "file"
    path.write_bytes(reader.good)
    reader.read(path)

    @settings(max_examples=COUNT, suppress_health_check=list(HealthCheck))
    @given(MADE.get(kind, st.one_of(st.binary(), HEADERS)))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = reads(lambda: reader.read(path), len(data), reader.errors)
        if found is not None:
            reader.right(found)

    check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [100, 3_000, 1_000_000])
def test_depth_and_size(readers: dict[str, Reader], tmp_path: Path, kind: str, depth: int) -> None:
    """JSON a million deep, and a header as long as the file says and no longer."""
    reader, path = readers[kind], tmp_path / "file"
    path.write_bytes(reader.good)
    reader.read(path)
    for text in (b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"9" * depth):
        for data in (text, len(text).to_bytes(8, "little") + text):
            path.write_bytes(data)
            assert reads(lambda: reader.read(path), len(data), reader.errors) is None


@pytest.mark.parametrize("kind", ["names", "model", "checkpoint", "metrics", "toml", "safetensors"])
def test_what_is_no_file(readers: dict[str, Reader], tmp_path: Path, kind: str) -> None:
    """A folder, a device without an end, a link to nowhere and to itself, a name that no file can have."""
    reader = readers[kind]
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to("not there")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("folder", "nowhere", "itself", "endless", "x" * 300, "not there"):
        errors = (reader.errors, OSError) if kind == "safetensors" else reader.errors  # as open() says it
        assert reads(lambda name=name: reader.read(tmp_path / name), 120_000_000, errors) is None


def test_the_guard_would_notice(tmp_path: Path) -> None:
    def writes() -> None:
        (tmp_path / "x").write_text("y")

    for wrong in (writes, lambda: exec("1"), lambda: os.system("true"), lambda: os.rmdir(tmp_path / "no")):
        with pytest.raises((AssertionError, OSError)), watched():
            wrong()
    with pytest.raises(AssertionError, match="of memory"):
        reads(lambda: bytes(50_000_000), 100, ValueError)
    with pytest.raises(AssertionError):
        reads(_two_lines, 100, ValueError)


def _two_lines() -> None:
    raise ValueError("one\ntwo")
