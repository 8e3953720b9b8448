"""Options from the command line, the environment and files: which goes before which, and what is wrong with one."""

import itertools
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from models import cli, config
from models.errors import BadInput

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def options(tmp_path, monkeypatch):
    """What `makemore <arguments>` would run with, in a folder of its own and this environment."""
    monkeypatch.chdir(tmp_path)

    def parsed(*arguments, **environment):
        return config.parse(cli._parser(), [str(a) for a in arguments], {"HOME": str(tmp_path / "home"), **environment})

    return parsed


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


WAYS = ("option", "environment", "file", "home")


@pytest.mark.parametrize("used", [c for n in range(5) for c in itertools.combinations(WAYS, n)], ids="+".join)
def test_an_option_before_the_environment_before_a_file_before_the_default(options, tmp_path, used):
    values = dict(zip(WAYS, (1, 2, 3, 4), strict=True))
    arguments = ["-n", 1] if "option" in used else []
    environment = {"MAKEMORE_SAMPLE_N": "2"} if "environment" in used else {}
    if "file" in used:
        write(tmp_path / "makemore.toml", "[sample]\nn = 3")
    if "home" in used:
        write(tmp_path / "home" / ".config" / "makemore" / "config.toml", "[sample]\nn = 4\ntemperature = 0.5")
    found = options("sample", *arguments, **environment)
    assert found.n == (values[used[0]] if used else 20)
    assert found.temperature == (0.5 if "home" in used else 1.0)
    assert found.model == "out" and found.config is None and found.debug is False


def test_every_kind_of_option(options, tmp_path):
    write(
        tmp_path / "makemore.toml",
        """
        names = "mine.txt"  # wherever a command has one
        out = "runs"
        [train]
        lr = 0.05
        steps = 300
        optimizer = "adamw"
        chunked = true
        out = "elsewhere"
        [graph]
        page = true
        collapse = ["linear*", "batchnorm"]
        """,
    )
    train = options("train")
    assert (train.lr, train.steps, train.optimizer, train.chunked) == (0.05, 300, "adamw", True)
    assert (train.names, train.out, train.quiet) == ("mine.txt", "elsewhere", False)
    graph = options("graph")
    assert (graph.form, graph.fused, graph.collapse, graph.out) == ("html", False, ["linear*", "batchnorm"], "runs")
    assert options("graph", "--png").form == "png"
    assert options("graph", "--collapse", "a", "--collapse", "b").collapse == ["a", "b"]
    assert options("graph", MAKEMORE_GRAPH_COLLAPSE="x, y", MAKEMORE_GRAPH_SVG="yes").collapse == ["x", "y"]
    assert options("graph", MAKEMORE_GRAPH_SVG="yes").form == "svg"
    assert options("train", MAKEMORE_TRAIN_CHUNKED="off").chunked is False
    assert options("train", MAKEMORE_TRAIN_STEPS="").steps == 300  # an empty one is as none
    assert options("sample", MAKEMORE_SAMPLE_N="3").n == 3


def test_a_named_file_stands_alone(options, tmp_path):
    write(tmp_path / "makemore.toml", "[sample]\nn = 3")
    write(tmp_path / "other.toml", "[sample]\ntemperature = 0.5")
    for found in (
        options("sample", "--config", "other.toml"),
        options("--config", "other.toml", "sample"),
        options("sample", MAKEMORE_CONFIG="other.toml"),
    ):
        assert (found.n, found.temperature) == (20, 0.5)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[train]\nhidden = 0", "makemore.toml: train.hidden: '0' is not a whole number from 1"),
        ("[train]\nhiden = 1", "makemore.toml: train.hiden: makemore train has no such option; is it hidden?"),
        ("[tarin]\n", "makemore.toml: [tarin]: makemore has no such command; is it train?"),
        ("[sample]\nn = 0", "makemore.toml: sample.n: '0'"),  # also where train is run
        ("hiden = 5", "makemore.toml: hiden: no command has such an option; is it hidden?"),
        ("steps = 0", "makemore.toml: steps: '0'"),
        ("[train]\nsteps = 1e3", "train.steps: '1000.0' is not a whole number"),
        ("[train]\nsteps = true", "train.steps: a number or a text, not true"),
        ("[train]\nsteps = [1]", "train.steps: a number or a text, not a list"),
        ("[train]\nnames = 5", "train.names: a text, not 5"),
        ("[train]\nchunked = 1", "train.chunked: true or false, not 1"),
        ("[train]\noptimizer = 'adam'", "train.optimizer: 'adam' is not one of sgd, adamw"),
        ("[train]\nlr = nan", "train.lr: 'nan' is not a number above 0"),
        ("[graph]\nsvg = true\npage = true", "graph.svg and makemore.toml: graph.page exclude each other"),
        ("[train\n", "makemore.toml: no TOML: "),
        ("[train]\nsteps = 1\nsteps = 2", "makemore.toml: no TOML: "),
        ("a = " + "[" * 100_000, "makemore.toml: no TOML: "),
        ("#" * 2**21, "makemore.toml: more than 1,048,576 bytes"),
    ],
)
def test_a_file_that_is_wrong(options, tmp_path, text, line):
    (tmp_path / "makemore.toml").write_text(text)
    with pytest.raises(BadInput) as error:
        options("graph" if "graph" in text else "train")
    assert line in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("MAKEMORE_TRAIN_HIDDEN", "x", "MAKEMORE_TRAIN_HIDDEN: 'x' is not a whole number"),
        ("MAKEMORE_TRAIN_HIDEN", "1", "makemore train has no such option; is it MAKEMORE_TRAIN_HIDDEN?"),
        ("MAKEMORE_TRAIN_QUIET", "maybe", "MAKEMORE_TRAIN_QUIET: 'maybe' is not one of 1, true"),
        ("MAKEMORE_DEBUG", "perhaps", "MAKEMORE_DEBUG: 'perhaps' is not one of"),
        ("MAKEMORE_CONFIG", "nowhere.toml", "nowhere.toml: no such file"),
        ("MAKEMORE_CONFIG", ".", ".: cannot be read: "),
    ],
)
def test_an_environment_that_is_wrong(options, variable, value, line):
    with pytest.raises(BadInput) as error:
        options("train", **{variable: value})
    assert line in str(error.value)


def test_another_commands_environment_is_its_own_affair(options):
    assert options("eval", MAKEMORE_SAMPLE_N="x", MAKEMORE_PORT="tcp://10.0.0.1:80").model == "out"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


TABLES = st.dictionaries(
    st.sampled_from(["steps", "lr", "chunked", "names", "page", "svg", "collapse", "optimizer", "seed", "y"]), VALUES
)  # fmt: skip
FILES = st.dictionaries(st.sampled_from(["train", "graph", "steps", "names", "sample", "x"]), VALUES | TABLES)


@settings(max_examples=60)
@given(content=FILES)
def test_whatever_a_file_says_is_taken_or_refused(content):
    parser = cli._parser()
    commands = config._commands(parser)
    for name in ("train", "graph"):
        try:
            layer = config._table(content, Path("f.toml"), name, commands)
        except BadInput as error:
            assert str(error).startswith("f.toml: ")
        else:
            assert all(where.startswith("f.toml: ") for _, where in layer.values())


# ------------------------------------------------------------------------------------------ what a user sees


def makemore(*arguments, cwd, before="pass", **environment):
    start = f"import sys; from models import cli; {before}; sys.exit(cli.main())"
    return subprocess.run(
        [sys.executable, "-c", start, *arguments], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
    )  # fmt: skip


def test_the_line_and_the_status(tmp_path):
    (tmp_path / "makemore.toml").write_text("[train]\nsteps = 0")
    done = makemore("train", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("makemore: error: makemore.toml: train.steps: '0'") and done.stderr.count("\n") == 1


def test_a_traceback_is_for_who_asks(tmp_path):
    def broken(*arguments, **environment):
        before = "cli._eval = lambda options: [][0]"
        return makemore(*arguments, cwd=tmp_path, before=before, **environment)

    done = broken("eval")
    assert done.returncode == 70 and done.stderr.count("\n") == 1
    assert "a mistake of this program: IndexError: list index out of range; run it again with --debug" in done.stderr
    for done in (broken("eval", "--debug"), broken("--debug", "eval"), broken("eval", MAKEMORE_DEBUG="1")):
        assert done.returncode == 70 and "Traceback (most recent call last)" in done.stderr
    done = makemore("eval", "--debug", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" in done.stderr and "no such model" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("plain", [True, False])
def test_no_color(tmp_path, plain):
    pytest.importorskip("rich", reason="the table in colours needs rich")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "models", "check"], cwd=tmp_path, stdout=theirs, stderr=theirs,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "TERM": "xterm-256color",
             **({"NO_COLOR": "1"} if plain else {})},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0 and b"logprobs" in shown
    assert (b"\x1b[" in shown) is not plain


# ------------------------------------------------------------------------------------------ completion


def completed(cwd, line):
    """What bash offers after this line."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("completion is not tried: there is no bash")
    script = makemore("completion", "bash", cwd=cwd)
    assert script.returncode == 0, script.stderr
    words = line.split(" ")
    ask = f"""
        COMP_WORDS=({" ".join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}
        _shtab_makemore; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash, "-c", script.stdout + ask], cwd=cwd, capture_output=True, text=True)
    return done.stdout.split()


def test_bash_completes_commands_options_and_files(tmp_path):
    pytest.importorskip("shtab", reason="completion needs shtab")
    (tmp_path / "mine.txt").touch()
    assert completed(tmp_path, "makemore tr") == ["train"]
    assert completed(tmp_path, "makemore train --hid") == ["--hidden"]
    assert completed(tmp_path, "makemore train --optimizer ad") == ["adamw"]
    assert "mine.txt" in completed(tmp_path, "makemore train --names mi")


def test_a_shell_that_is_none(tmp_path):
    pytest.importorskip("shtab", reason="completion needs shtab")
    done = makemore("completion", "ksh", cwd=tmp_path)
    assert done.returncode == 2 and "no completion for 'ksh'; there is one for bash, zsh" in done.stderr
    for shell in ("zsh", "fish"):
        assert "neurons in the hidden layer" in makemore("completion", shell, cwd=tmp_path).stdout
