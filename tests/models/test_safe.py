"""makemore train where something goes wrong: signals, a full disk, folders that cannot be written to or go away."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from models import lock
from models.storage import Unwritable
from tests.models.running import started, train

SMALL = ["--hidden", 20, "--steps", 60, "--quiet"]
LONG = ["--hidden", 20, "--steps", 10_000_000]


def snapshot(folder):
    return {p.relative_to(folder): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def checkpoints(folder):
    return sorted(p.name for p in (folder / "out" / "checkpoints").glob("*"))


def error_line(done):
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("makemore train: error: "), done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    train(*SMALL, cwd=folder)
    return folder


@pytest.fixture
def results(finished, tmp_path):
    """A folder with the results of a finished run in out/."""
    shutil.copytree(finished / "out", tmp_path / "out")
    return tmp_path


@functools.cache
def in_a_mount(what):
    """Shell lines that mount a small tmpfs on out/, seen by what comes after alone; skips where not allowed."""
    if subprocess.run(["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here, not even in a namespace of one's own")
    script = f"set -e; mkdir -p kept; cp -a out/. kept; mount -t tmpfs {what} tmpfs out; cp -a kept/. out; "
    return script


def mounted(what, after, *arguments, cwd, status):
    """makemore train in that; after: a shell line that follows it."""
    script = f'{in_a_mount(what)} set +e; "$@"; status=$?; {after}; exit $status'
    return train(*arguments, cwd=cwd, status=status, before=["unshare", "-rm", "sh", "-c", script, "sh"])


# ------------------------------------------------------------------------------------------------ signals


@pytest.mark.parametrize(
    ("number", "name", "status", "optimizer"),
    [(signal.SIGINT, "ctrl-C", 130, "adamw"), (signal.SIGTERM, "SIGTERM", 143, "sgd")],
)
def test_a_signal_saves_and_resume_goes_on_to_the_same_end(tmp_path, number, name, status, optimizer):
    options = ["--hidden", 20, "--steps", 2000, "--optimizer", optimizer]
    process = started(*options, cwd=tmp_path)
    try:
        assert process.stdout.readline().startswith("      0/   2000")
        process.stdout.readline()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, stderr) == (status, "")
    done = int(re.search(rf"^stopped by {name} after ([\d,]+) of 2,000 steps", stdout, re.M)[1].replace(",", ""))
    assert checkpoints(tmp_path) == [f"00001-step-{done}.safetensors"]
    again = train("--resume", cwd=tmp_path)
    assert again.stdout.startswith(f"going on from step {done:,} of 2,000 (out/checkpoints/00001")
    train(*options, "--out", "whole", "--quiet", cwd=tmp_path)
    ours, whole = (mg.load(tmp_path / out / "model.safetensors") for out in ("out", "whole"))
    for key in whole.keys() - {"makemore"}:
        assert np.array_equal(ours[key], whole[key]), key
    assert ours["makemore"] == whole["makemore"]
    metrics = [(tmp_path / out / "metrics.jsonl").read_text().splitlines() for out in ("out", "whole")]
    ours, whole = ([{**json.loads(line), "steps_per_s": 0} for line in lines] for lines in metrics)
    assert ours == whole
    assert (tmp_path / "out" / "samples.txt").read_bytes() == (tmp_path / "whole" / "samples.txt").read_bytes()


def test_the_last_k_checkpoints_stay(tmp_path):
    train(*SMALL, "--checkpoint-every", 7, "--keep", 2, cwd=tmp_path)
    assert checkpoints(tmp_path) == ["00008-step-56.safetensors", "00009-step-60.safetensors"]
    train(*SMALL, cwd=tmp_path)  # its results take the place of those
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_nothing_to_go_on_with(tmp_path):
    line = error_line(train("--resume", cwd=tmp_path, status=2))
    assert "out: no such folder, so there is no run to go on with; begin one without --resume" in line
    (tmp_path / "out").mkdir()
    assert "no checkpoint in out/checkpoints" in error_line(train("--resume", cwd=tmp_path, status=2))
    assert not any((tmp_path / "out").iterdir())


def test_a_damaged_newest_checkpoint(tmp_path):
    train(*SMALL, "--checkpoint-every", 20, cwd=tmp_path)
    newest = tmp_path / "out" / "checkpoints" / "00003-step-60.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1000])
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    done = train("--resume", cwd=tmp_path)
    assert re.fullmatch(r"makemore train: note: out/checkpoints/00003.*; going back to the one before\n", done.stderr)
    assert "going on from step 40 of 60" in done.stdout
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before


# ------------------------------------------------------------------------------------------- two at a time


def test_two_runs_in_one_folder(tmp_path):
    first = started(*LONG, "--checkpoint-every", 100, cwd=tmp_path)
    try:
        first.stdout.readline()
        for more in ([], ["--resume"], ["--force"]):
            line = error_line(train(*SMALL, *more, cwd=tmp_path, status=2))
            assert f"out: another run (process {first.pid}) is going on there; wait for its end or name an" in line
        assert train(*SMALL, "--out", "other", cwd=tmp_path)
    finally:
        first.kill()
        first.communicate()
    assert (tmp_path / "out" / ".lock").exists()  # left behind, and holds nobody up
    done = int(checkpoints(tmp_path)[-1].split("-")[2].split(".")[0])
    train("--resume", "--steps", done + 10, "--force", "--quiet", cwd=tmp_path)
    assert not (tmp_path / "out" / ".lock").exists()


def test_the_lock(tmp_path):
    with lock.locked(tmp_path) as held:
        with pytest.raises(Unwritable, match=f"another run \\(process {os.getpid()}\\)"), lock.locked(tmp_path):
            pass
        held.still()
        assert not held.removed
        shutil.rmtree(tmp_path)
        held.still()
        assert held.removed and (tmp_path / ".lock").exists()
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        with lock.locked(tmp_path), pytest.raises(Unwritable, match="another run"):
            held.still()
    with lock.locked(tmp_path):
        pass
    assert not any(tmp_path.iterdir())


def test_a_link_in_the_locks_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").symlink_to("../precious")
    assert "out/.lock: cannot be locked" in error_line(train(*SMALL, cwd=tmp_path, status=2))
    assert (tmp_path / "precious").read_text() == "text"


# --------------------------------------------------------------------------------------- disks and folders


def limited(size, *arguments, cwd, status):
    """makemore train where no file can become larger than size bytes."""
    script = (
        f"import os, resource, signal, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return train(*arguments, cwd=cwd, status=status, before=[sys.executable, "-c", script])


@pytest.mark.parametrize("size", [3_000, 100_000])
def test_a_file_too_large_for_the_quota(results, size):
    """3,000: not even the model can be written; 100,000: the model can, and the picture that comes after it cannot."""
    before = snapshot(results)
    line = error_line(limited(size, *SMALL, "--lr", 0.2, cwd=results, status=1))
    assert re.search("the results could not be written: .*File too large.*; nothing was written", line)
    assert snapshot(results) == before


def test_no_byte_can_be_written(results):
    before = snapshot(results)
    line = error_line(limited(0, *SMALL, "--lr", 0.2, cwd=results, status=2))
    assert "out/.lock: cannot be locked: File too large; name another --out" in line
    assert snapshot(results) == before


def test_a_checkpoint_too_large_for_the_quota_stops_the_run_and_the_one_before_is_kept(tmp_path):
    """Each is larger than the one before, by its losses and metrics."""
    options = ["--hidden", 5, "--steps", 1000, "--quiet", "--checkpoint-every", 100]
    line = error_line(limited(200_000, *options, cwd=tmp_path, status=1))
    found = re.search(
        r"the checkpoint of step ([\d,]+) could not be written: File too large; "
        r"the checkpoint of step ([\d,]+) is kept in out/checkpoints, --resume goes on from it", line,
    )  # fmt: skip
    assert found and int(found[1].replace(",", "")) == int(found[2].replace(",", "")) + 100
    assert all(re.fullmatch(r"\d{5}-step-\d+\.safetensors", name) for name in checkpoints(tmp_path))
    train("--resume", "--quiet", cwd=tmp_path)
    train(*options[:4], "--quiet", "--out", "whole", cwd=tmp_path)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


def test_a_full_disk(results):
    kept = snapshot(results / "out")
    done = mounted(
        "-o size=1m", "rm -rf copy; cp -a out copy", *SMALL, "--lr", 0.2, "--checkpoint-every", 1, "--keep", 1000,
        cwd=results, status=1,
    )  # fmt: skip
    assert "No space left on device" in error_line(done) and "is kept in out/checkpoints" in done.stderr
    copy = snapshot(results / "copy")
    assert {path: copy.get(path) for path in kept} == kept
    assert {p.name for p in (results / "copy").iterdir()} == {p.name for p in (results / "out").iterdir()} | {
        "checkpoints"
    }
    assert all(name.suffix == ".safetensors" for name in copy if name.parent.name == "checkpoints")
    shutil.rmtree(results / "out")
    (results / "copy").rename(results / "out")
    train("--resume", "--quiet", cwd=results)


def test_a_full_disk_at_the_end(results):
    size = sum(path.stat().st_size for path in (results / "out").iterdir()) + 100_000
    done = mounted(f"-o size={size}", "rm -rf copy; cp -a out copy", *SMALL, "--lr", 0.2, cwd=results, status=1)
    assert re.search("could not be written: .*No space left on device", error_line(done))
    assert snapshot(results / "copy") == snapshot(results / "out")


def test_a_folder_that_can_only_be_read(results):
    script = "mount -o remount,ro out"
    done = train(
        *SMALL, cwd=results, status=2,
        before=["unshare", "-rm", "sh", "-c", f'{in_a_mount("-o size=9m")} {script}; exec "$@"', "sh"],
    )  # fmt: skip
    assert "out: cannot be written to: Read-only file system; name another --out" in error_line(done)


def test_out_is_removed_during_the_run(tmp_path):
    process = started("--hidden", 20, "--steps", 1500, "--checkpoint-every", 500, cwd=tmp_path)
    try:
        for _ in range(5):
            process.stdout.readline()
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        stdout, stderr = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 1
    assert stderr == (
        "makemore train: error: out was removed during the run: it was made again, and the results are in it\n"
    )
    assert len(stdout.splitlines()) > 22
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"model.safetensors", "metrics.jsonl", "checkpoints"}
    train("--resume", "--quiet", cwd=tmp_path)


def test_out_becomes_a_file_during_the_run(tmp_path):
    process = started("--hidden", 20, "--steps", 3000, "--checkpoint-every", 1000, cwd=tmp_path)
    try:
        process.stdout.readline()
        shutil.rmtree(tmp_path / "out")
        (tmp_path / "out").write_text("mine")
        _, stderr = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 1 and stderr.count("\n") == 1
    assert "the checkpoint of step 1,000 could not be written: File exists; nothing was written" in stderr
    assert (tmp_path / "out").read_text() == "mine"


# --------------------------------------------------------------------------------------------- divergence


def test_on_nan(tmp_path):
    """With a learning rate that is far too large step 1 has no loss; what is there stays as it is."""
    train(*SMALL, "--checkpoint-every", 20, cwd=tmp_path)
    before = snapshot(tmp_path)
    wrong = ["--resume", "--force", "--steps", 200, "--lr", "1e30", "--quiet"]
    line = error_line(train(*wrong, cwd=tmp_path, status=1))
    found = re.search(
        r"the loss is nan at step \d+: matmul made the first (inf|nan), in `hprebn = .*`, from W1, "  # as BLAS adds
        r"whose values reach .*; the checkpoint of step 60 is kept in out/checkpoints, .*; "
        r"try a smaller --lr than 1e\+30",
        line,
    )  # fmt: skip
    assert found, line
    assert snapshot(tmp_path) == before
    line = error_line(train(*wrong, "--on-nan", "skip", cwd=tmp_path, status=1))
    assert "the loss is nan at step 161: matmul" in line  # 100 were skipped
    process = started(*wrong, "--on-nan", "raise", cwd=tmp_path)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 1 and stderr.startswith("Traceback") and "hprebn = embcat @ self.W1" in stderr
    assert f"AnomalyError: matmul made the first {found[1]}" in stderr
    assert "models.train.Diverged: the loss is nan" in stderr
    assert stderr.splitlines()[-1].startswith("makemore train: error: the loss is nan")
    assert snapshot(tmp_path) == before
