"""Options that make no sense, by command line, environment and file: one line, status 2, nothing written, at once."""

from __future__ import annotations

import json
import os
import random
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

import minigrad as mg
from models.cli import main
from models.errors import BadInput, Failed
from models.job import names_hash
from models.mlp import MLP, Config
from models.names import NamesError, Vocabulary, build_dataset, read_names
from models.options import positive, whole
from models.step import find
from models.storage import Trained, save_model

COUNT = int(os.environ.get("MINIGRAD_FUZZ", "50"))
SEED = int(os.environ.get("MINIGRAD_SEED", "1"))
WORDS = ["emma", "olivia", "ava", "isabella", "sophia", "zoë", "mary-ann", "o'neil"] * 4

TEXTS = [
    "", " ", "text", "nan", "-nan", "inf", "-inf", "1e3", "0x10", "1.5", "1,5", "1/2", "\u00bd", "--", "-", "None",
    "True",
    "9" * 5000, "-" + "9" * 5000, "\x00", "5\x00", "\U0001f600", "\ud800", "$(id)", "`id`", "%s", "{0}", "'; --",
    "../../x",
]  # fmt: skip
WRONG = {
    "whole": [*TEXTS, "0", "-1", "-0", str(10**12 + 1), str(2**64), str(10**30), "1e-3"],
    "positive": [text for text in TEXTS if text not in ("1e3", "1.5")]
    + ["0", "-0.0", "-1", "1e999", "1e-400", "-1e-5"],
    "seed": [*TEXTS, str(2**64), str(-(2**63) - 1), str(10**30)],
    "choice": [*TEXTS, "adam", "SGD", "sgd ", "0"],
    "port": [*TEXTS, "-1", "65536", str(10**12)],
    "path": ["", " ", "\x00", "a\x00b"],
}
OPTIONS = {
    "train": {
        "steps": "whole", "hidden": "whole", "embd": "whole", "context": "whole", "batch": "whole", "lr": "positive",
        "optimizer": "choice", "seed": "seed", "names": "path", "out": "path", "checkpoint-every": "whole",
        "keep": "whole", "on-nan": "choice", "ddp-timeout": "positive",
    },
    "sample": {"n": "whole", "seed": "seed", "temperature": "positive", "model": "path"},
    "eval": {"model": "path", "names": "path"},
    "check": {"seed": "seed", "dtype": "choice", "names": "path"},
    "graph": {"names": "path", "out": "path"},
    "export": {"model": "path", "out": "path"},
    "serve": {"model": "path", "port": "port", "concurrency": "whole"},
    "plot": {"names": "path", "out": "path"},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with names.txt and a model in out/."""
    found = tmp_path_factory.mktemp("options")
    (found / "names.txt").write_text("\n".join(WORDS) + "\n", "utf-8")
    _model(found / "out", {})
    return found


def _model(out: Path, about: dict[str, Any]) -> None:
    words = read_names(out.parent / "names.txt")
    vocab = Vocabulary(words)
    model = MLP(Config(len(vocab), hidden=6, embd=3, seed=7))
    model.calibrate(build_dataset(words, vocab, 3)[0])
    out.mkdir(exist_ok=True)
    save_model(out / "model.safetensors", Trained(model, vocab, about))


def _content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(capsys: Any, *arguments: str) -> str:
    """The one line of a command that is refused, at once and without much memory."""
    tracemalloc.start()
    begin = time.process_time()
    try:
        status = main(arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    out, err = capsys.readouterr()
    assert (status, out) == (2, ""), (arguments, status, out, err)
    assert err.startswith("makemore") and err.count("\n") == 1 and len(err) < 1000, err
    assert time.process_time() - begin < 5 and peak < 50_000_000
    return str(err)


CASES = [(c, o, kind, value) for c, os_ in OPTIONS.items() for o, kind in os_.items() for value in WRONG[kind]]


def test_values_that_make_no_sense(folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = _content(folder)
    chance = random.Random(SEED)
    for command, option, _, value in CASES if COUNT >= 1000 else chance.sample(CASES, min(4 * COUNT, len(CASES))):
        name = f"--{option}" if len(option) > 1 else f"-{option}"
        # As one argument: the next one could be taken for an option.
        line = refused(capsys, command, f"{name}={value}" if len(option) > 1 else f"{name}{value}")
        assert name in line or "expected one argument" in line or option == "n", line
        if "\x00" not in value and value and "\ud800" not in value:  # no environment can hold those
            variable = f"MAKEMORE_{command}_{option}".upper().replace("-", "_")
            monkeypatch.setenv(variable, value)
            assert variable in refused(capsys, command)
            monkeypatch.delenv(variable)
        if "\ud800" not in value:
            file = folder / "makemore.toml"
            file.write_text(f"[{command}]\n{option} = {json.dumps(value, ensure_ascii=False)}\n", "utf-8")
            try:
                assert f"makemore.toml: {command}.{option}: " in refused(capsys, command)
            finally:
                file.unlink()
    assert _content(folder) == before


def test_sizes_that_no_machine_has(folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimated and refused before any of it is taken."""
    monkeypatch.chdir(folder)
    before = _content(folder)
    chance = random.Random(SEED)
    for _ in range(max(10, COUNT // 5)):
        chosen = chance.sample(["--hidden", "--embd", "--context", "--batch", "--steps"], chance.randint(1, 5))
        arguments = [text for option in chosen for text in (option, str(chance.randint(10**11, 10**12)))]
        more = chance.choice([[], ["--chunked"], ["--optimizer", "adamw"], ["--checkpoint-every", str(10**12)]])
        assert "would need about" in refused(capsys, "train", *arguments, *more)
    assert _content(folder) == before


@settings(max_examples=COUNT, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(OPTIONS["train"])), st.text())
@example("steps", "\u0663\u0663\u0663\u0663\u0663\u0663\u0663\u0663\u0663\u0663\u0663\u0663")  # int() reads them
@example("names", "names.txt/..")
@example("names", "x" * 300)
@example("names", "\ud800")
def test_any_text(folder: Path, capsys: Any, option: str, value: str) -> None:
    """For an option that takes any text, a file that is not there; else no number or a very large one."""
    kind = OPTIONS["train"][option]
    known = {"whole": whole(1), "positive": positive}
    assume(option != "out" and value.strip() not in ("sgd", "adamw", "stop", "skip", "raise", ".", "/"))
    if kind in known:
        try:
            assume(known[kind](value) > 10**11 and option in ("steps", "hidden"))
        except Exception as error:
            assert type(error).__name__ in ("ArgumentTypeError", "UnsatisfiedAssumption")
            if type(error).__name__ != "ArgumentTypeError":
                raise
    elif kind == "seed":
        assume(not value.strip().lstrip("+-").replace("_", "").isdigit())
    here = os.getcwd()
    os.chdir(folder)
    try:
        refused(capsys, "train", "--steps=5", f"--{option}={value}")
    finally:
        os.chdir(here)


@settings(max_examples=COUNT, suppress_health_check=list(HealthCheck))
@given(st.text(), st.one_of(st.floats(), st.sampled_from(["1e-300", "1e300", "5e-324"])), st.integers(-(2**65), 2**65))
@example("", 1e-300, 0)
@example("Z\u006f\u0308", 1.0, 0)
def test_sample(folder: Path, capsys: Any, start: str, temperature: Any, seed: int) -> None:
    arguments = [
        f"--start={start}",
        f"--temperature={temperature}",
        f"--seed={seed}",
        "-n=2",
        f"--model={folder / 'out'}",
    ]
    arguments[3] = "-n2"
    status = main(["sample", *arguments])
    out, err = capsys.readouterr()
    assert (status == 0 and err == "" and out.count("\n") == 2) or (status == 2 and out == "" and err.count("\n") == 1)


VALUES = [
    None,
    True,
    0,
    -1,
    1,
    2,
    19,
    20,
    2**31,
    10**9,
    10**12,
    2**63,
    10**30,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    {},
]


def test_what_a_model_says_of_its_run(folder: Path, tmp_path: Path) -> None:
    """makemore graph and plot go by it."""
    (tmp_path / "names.txt").write_bytes((folder / "names.txt").read_bytes())
    chance = random.Random(SEED)
    read = 0
    for _ in range(max(20, COUNT // 4)):
        about: dict[str, Any] = {
            "steps": 9, "planned_steps": 20, "batch": 4, "lr": 0.1, "optimizer": "sgd", "chunked": False,
            "names": {"count": len(WORDS), "sha256": names_hash(WORDS)},
        }  # fmt: skip
        for key in chance.sample(sorted(about), chance.choice([1, 1, 2, 3])):
            about[key] = chance.choice(VALUES)
        _model(tmp_path / "out", about)
        begin = time.process_time()
        try:
            step = find(tmp_path / "out", chance.choice([None, 0, 3, 10**12]), str(tmp_path / "names.txt"))
            assert step.Xb.shape == (len(step.Yb), 3)
            read += 1
        except (BadInput, Failed, NamesError) as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
        assert time.process_time() - begin < 5
    assert read
    assert mg.load(tmp_path / "out" / "model.safetensors")
