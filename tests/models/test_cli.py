"""The makemore command as a user has it: a subprocess, its files, its lines and its exit status."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FILES = {"model.safetensors", "metrics.jsonl", "loss.png", "samples.txt", "graph.svg"}
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "error", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"
}  # fmt: skip
# A shell that starts the tests in the background has SIGINT ignored, which a child would inherit.
COMMAND = [
    sys.executable, "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from models.cli import main; sys.exit(main())",
]  # fmt: skip
SMALL = ["--hidden", "20", "--steps", "60"]


def makemore(*arguments, cwd, status=0):
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


def snapshot(folder):
    return {p.relative_to(folder): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small training run on the project's own list, found beside the package: (its folder, what it printed)."""
    cwd = tmp_path_factory.mktemp("run")
    return cwd, makemore("train", *SMALL, cwd=cwd)


@pytest.fixture
def untouched(tmp_path):
    """A working folder with a list and an out/ in it; afterwards both must be as they were."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "metrics.jsonl").write_text("precious\n")
    (tmp_path / "names.txt").write_text("emma\nolivia\nava\nisabella\nsophia\nmia\n")
    before = snapshot(tmp_path)
    yield tmp_path
    after = snapshot(tmp_path)
    assert {path: after[path] for path in after if path in before} == before
    assert {path.name for path in after.keys() - before.keys()} <= {"bad.txt", "a_folder", "bad.npz"}


# ------------------------------------------------------------------------------------------ what works


def test_train_leaves_everything(run):
    cwd, done = run
    out = cwd / "out"
    assert {p.name for p in out.iterdir()} == FILES
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    # no terminal: plain lines, then two losses and 20 names
    progress = lines[:-22]
    assert [int(line.split("/")[0]) for line in progress] == [*range(0, 60, 3), 59]
    assert all(re.fullmatch(r" *\d+/ *60: \d\.\d{4}  [\d,]+ steps/s", line) for line in progress)
    assert re.fullmatch(r"train \d\.\d{4}", lines[-22]) and re.fullmatch(r"val \d\.\d{4}", lines[-21])
    assert (out / "samples.txt").read_text().splitlines() == lines[-20:]
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in metrics] == [*range(60), 60]
    assert set(metrics[0]) == {"step", "loss", "mean_loss", "lr", "steps_per_s", "update_to_data", "grad_to_data"}
    assert f"train {metrics[-1]['train_loss']:.4f}" == lines[-22]
    assert metrics[0]["loss"] > metrics[-1]["train_loss"]
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    svg = (out / "graph.svg").read_text()
    for name in ("bnmeani", "logit_maxes", "counts_sum_inv", "bngain", "loss"):
        assert name in svg
    umask = os.umask(0)
    os.umask(umask)
    assert {p.stat().st_mode & 0o777 for p in out.iterdir()} == {0o666 & ~umask}


def test_sample_and_eval_work_from_it(run):
    cwd, done = run
    assert makemore("sample", cwd=cwd).stdout.splitlines() == done.stdout.splitlines()[-20:]
    options = ["-n", 3, "--seed", 7, "--start", "an", "--temperature", 0.5, "--model", "out/model.safetensors"]
    few = makemore("sample", *options, cwd=cwd)
    assert len(few.stdout.splitlines()) == 3
    assert all(name.startswith("an") for name in few.stdout.splitlines())
    lines = makemore("eval", cwd=cwd).stdout.splitlines()
    assert lines[:2] == done.stdout.splitlines()[-22:-20]
    assert re.fullmatch(r"test \d\.\d{4}", lines[2])


def test_eval_on_another_list_says_so(run, untouched):
    done = makemore("eval", "--model", run[0] / "out", cwd=untouched)
    assert "names.txt is not the list that this model was trained on" in done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_six_names_in_other_letters_and_every_option(tmp_path):
    (tmp_path / "names.txt").write_text("Zoë\nÅse\nÉmile\nChloé\nRenée\nAda\n", encoding="utf-8")
    done = makemore(
        "train", "--names", "names.txt", "--steps", 5, "--hidden", 3, "--embd", 2, "--context", 9, "--batch", 2,
        "--lr", 0.01, "--seed", -1, "--out", "deep/er", "--chunked", "--optimizer", "adamw", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert {p.name for p in (tmp_path / "deep" / "er").iterdir()} == FILES
    assert done.stdout.startswith("train ")
    ascii_only = subprocess.run(
        [*COMMAND, "sample", "-n", "2", "--start", "zoë", "--model", "deep/er"],
        cwd=tmp_path, env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ascii_only.stdout.startswith("zo\\xeb")


def test_a_second_run_replaces_the_first(tmp_path):
    (tmp_path / "names.txt").write_text("emma\nolivia\nava\nisabella\nsophia\nmia\n")
    for steps in (3, 5):
        makemore("train", "--steps", steps, "--hidden", 3, "--quiet", cwd=tmp_path)
        assert len((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()) == steps + 1
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES


def test_ctrl_c_saves_what_was_trained(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "train", "--hidden", "20", "--steps", "10000000"],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("      0/10000000: ")
        assert process.stdout.readline().startswith("  10000/10000000: ")  # on a busy machine that takes its time
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, stderr) == (130, "")
    said = re.search(r"^stopped by ctrl-C after ([\d,]+) of 10,000,000 steps; saving .*--resume", stdout, re.M)
    assert said
    steps = int(said[1].replace(",", ""))
    metrics = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(metrics[-1])["step"] == steps > 10_000
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES | {"checkpoints"}
    samples = makemore("sample", cwd=tmp_path).stdout
    assert samples == (tmp_path / "out" / "samples.txt").read_text()
    assert "Traceback" not in stdout


def test_a_terminal_has_a_bar(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "train", "--hidden", "20", "--steps", "2000"],
        cwd=tmp_path, env={**ENVIRONMENT, "COLUMNS": "100"}, stdout=subprocess.PIPE, stderr=theirs, text=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0.1)[0]:
        try:
            shown += os.read(ours, 4096) if select.select([ours], [], [], 0.1)[0] else b""
        except OSError:  # the other end is closed
            break
    stdout, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert re.search(r"100%\|.*2000/2000 .*steps/s.*loss \d\.\d{3}", shown.decode())
    assert stdout.startswith("train ") and len(stdout.splitlines()) == 22


def test_who_reads_a_few_lines_gets_no_complaint(run):
    done = subprocess.run(
        f"{sys.executable} -m models sample -n 1000000 | head -n 2",
        shell=True, cwd=run[0], env=ENVIRONMENT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 2 and done.stderr == ""


def test_help_and_version(tmp_path):
    assert "examples:" in makemore("--help", cwd=tmp_path).stdout
    text = makemore("train", "--help", cwd=tmp_path).stdout
    for option in ("steps", "hidden", "embd", "context", "batch", "lr", "seed", "names", "out", "chunked", "quiet"):
        assert f"--{option}" in text
    assert re.fullmatch(r"makemore \(minigrad\) \S+\n", makemore("--version", cwd=tmp_path).stdout)


# ------------------------------------------------------------------------------------------ what cannot be


def refused(cwd, *arguments):
    """The one line that a bad input gets."""
    done = makemore(*arguments, cwd=cwd, status=2)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("makemore")
    return done.stderr


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "bad.txt: no such file"),
        (b"", "bad.txt: no names in it"),
        (b"\n \r\n\n", "bad.txt: no names in it"),
        (b"emma\nol\xffivia\n", "bad.txt:2: byte 0xff is not UTF-8"),
        ("emma\nava\n".encode("utf-16"), "bad.txt:1: UTF-16"),
        (b"emma\n\nr2d2\n", "bad.txt:3: a digit '2' in 'r2d2'"),
        (b"emma\nmary ann\n", "bad.txt:2: a space"),
        (b"emma\nj.\n", "bad.txt:2: the end token"),
        (b"emma\r\n<html>\r\n", "bad.txt:2: the character '<'"),
        (b"x" * 5000, "bad.txt:1: a line of 5,000 characters"),
        (b"emma\nava\nmia\n", "bad.txt: too few names, 3"),
    ],
)
def test_bad_lists(untouched, content, line):
    if content is not None:
        (untouched / "bad.txt").write_bytes(content)
    assert line in refused(untouched, "train", "--names", "bad.txt", *SMALL)


def test_a_folder_for_a_list(untouched):
    (untouched / "a_folder").mkdir()
    assert "a_folder: a directory" in refused(untouched, "train", "--names", "a_folder")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--steps", "0"), ("--steps", "-5"), ("--steps", "many"), ("--steps", "1e5"), ("--steps", "9" * 5000),
        ("--lr", "nan"), ("--lr", "0"), ("--lr", "-0.1"), ("--lr", "inf"), ("--hidden", "0"), ("--embd", "0"),
        ("--context", "0"), ("--batch", "1"), ("--seed", "x"), ("--seed", str(2**64)), ("--optimizer", "adam"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(untouched, option, value):
    assert f"argument {option}: " in refused(untouched, "train", option, value)


@pytest.mark.parametrize("option", ["--hidden", "--embd", "--context", "--batch", "--steps"])
def test_more_than_there_is_memory_for(untouched, option):
    assert "would need about" in refused(untouched, "train", option, 10**11)


def test_other_lines_that_are_no_command(untouched):
    assert "required" in refused(untouched)
    assert "tarin" in refused(untouched, "tarin")
    assert "--step" in refused(untouched, "train", "--step", 5)  # abbreviations would change meaning one day


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("names.txt", "not a folder"), ("names.txt/deeper", "not a folder"),
        ("/proc/makemore", "cannot be written"), ("o" * 300, "too long"),
    ],
)  # fmt: skip
def test_an_out_that_cannot_be(untouched, out, reason):
    assert reason in refused(untouched, "train", *SMALL, "--out", out)


def test_a_folder_where_a_file_must_go(tmp_path):
    (tmp_path / "out" / "model.safetensors").mkdir(parents=True)
    assert "out/model.safetensors: a folder where a file must go" in refused(tmp_path, "train", *SMALL)
    assert not any((tmp_path / "out" / "model.safetensors").iterdir())


def test_models_that_cannot_be_used(untouched, run):
    assert "out/model.safetensors: no such model; train one first" in refused(untouched, "sample")
    assert "nowhere: no such model" in refused(untouched, "eval", "--model", "nowhere")
    good = (run[0] / "out" / "model.safetensors").read_bytes()
    (untouched / "bad.npz").write_bytes(good[:-2000])
    assert "bad.npz: damaged" in refused(untouched, "sample", "--model", "bad.npz")
    assert "names.txt: damaged, or no model" in refused(untouched, "eval", "--model", "names.txt")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-n", "0"], "argument -n"), (["--temperature", "0"], "argument --temperature"),
        (["--start", "x1"], "--start: '1'"), (["--start", "a."], "--start: '.'"),
        (["--seed", "1.5"], "argument --seed"),
    ],
)  # fmt: skip
def test_samples_that_cannot_be(untouched, run, arguments, reason):
    assert reason in refused(untouched, "sample", "--model", run[0] / "out", *arguments)


def test_a_letter_that_the_model_never_saw(untouched, run):
    (untouched / "bad.txt").write_text("emma\nava\nmia\nzoë\nana\nada\n", encoding="utf-8")
    line = refused(untouched, "eval", "--model", run[0] / "out", "--names", "bad.txt")
    assert "bad.txt: 'ë' in 'zoë' is not in the vocabulary" in line


def test_a_loss_that_is_no_number(untouched):
    done = makemore("train", *SMALL, "--lr", "1e30", "--quiet", cwd=untouched, status=1)
    assert re.fullmatch(
        r"makemore train: error: the loss is (nan|inf) at step \d+: matmul made .* W1, .*; nothing was written; .*\n",
        done.stderr,
    )
    makemore("train", *SMALL, "--lr", "1e30", "--quiet", "--out", "new/folder", cwd=untouched, status=1)
    assert not (untouched / "new").exists()
