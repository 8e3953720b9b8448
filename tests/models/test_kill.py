"""A run that is killed, again and again, ends as one that never was. `make kill` does it 50 times, make test a few.

Half of the kills come at a random moment. The other half come at a random one of the calls by which files are written:
half way through the content of a file, before or after an fsync, a rename, a removal.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from models.checkpoint import CheckpointError, Store, read
from tests.models.running import ENVIRONMENT, train

KILLS = int(os.environ.get("MINIGRAD_KILLS", "6"))
SEED = int(os.environ.get("MINIGRAD_SEED", "0")) or random.randrange(1, 10**6)

# The command, which kills itself at call number KILL_AT of those that write; without KILL_AT it only counts them.
LAUNCHER = """
import builtins, os, shutil, signal, sys, tempfile
calls, at = 0, int(os.environ.get("KILL_AT", "0"))

def point():
    global calls
    calls += 1
    if calls == at:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(function):
    def call(*args, **kwargs):
        point()
        result = function(*args, **kwargs)
        point()
        return result
    return call

import models.storage, models.cli
for module, names in ((os, ("fsync", "replace", "chmod", "unlink", "rmdir")), (tempfile, ("mkstemp", "mkdtemp"))):
    for name in names:
        setattr(module, name, watched(getattr(module, name)))

class Half:
    def __init__(self, file):
        self.file = file
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.file.close()
    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        point()
        self.file.write(content[len(content) // 2 :])
    def __getattr__(self, name):
        return getattr(self.file, name)

models.storage.open = lambda path, mode: Half(builtins.open(path, mode)) if "w" in mode else builtins.open(path, mode)
status = models.cli.main()
print("calls", calls, file=sys.stderr)
sys.exit(status)
"""


def life(cwd, *arguments, kill_at=0, after=None, progress=lambda: True):
    """One process: (killed, stderr). Killed at a call, or `after` seconds from its first line and progress() on."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, "train", *map(str, arguments)],
        cwd=cwd, env={**ENVIRONMENT, "KILL_AT": str(kill_at)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        if after is not None:
            process.stdout.readline()
            while process.poll() is None and not progress():
                time.sleep(0.01)
            time.sleep(after)
            process.kill()
        _, stderr = process.communicate(timeout=300)
    finally:
        process.kill()
    if process.returncode != -signal.SIGKILL:
        assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    return process.returncode == -signal.SIGKILL, stderr


def newest(out):
    """The step of the newest checkpoint, every one of which must be whole."""
    return max([read(path).step for path in Store(out, 3).files()], default=None)


def same_end(a, b):
    """The same parameters, to the last bit, losses and samples."""
    ours, whole = (read(Store(out, 3).files()[-1]) for out in (a, b))
    for name, array in whole.state.model.items():
        assert np.array_equal(array, ours.state.model[name]), name
    assert ours.losses == whole.losses and np.array_equal(ours.state.generator, whole.state.generator)
    for name in ("model.safetensors", "samples.txt"):
        assert (a / name).read_bytes() == (b / name).read_bytes()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_killed_at_random_moments(tmp_path, capsys, optimizer):
    chance = random.Random(SEED)
    options = ["--hidden", 20, "--steps", max(1500, 400 * KILLS // 4), "--optimizer", optimizer]
    train(*options, "--checkpoint-every", 10**6, "--quiet", "--out", "whole", cwd=tmp_path)
    out, half_written, steps, done = tmp_path / "out", 0, [], 0

    def files():
        return [path.name for path in Store(out, 3).files()]

    for _ in range(KILLS // 4):
        begin = ["--resume"] if steps else ["--force", *options, "--checkpoint-every", 5]
        before = files()
        written = (lambda before=before: files() != before) if chance.random() < 0.5 else (lambda: True)
        killed, stderr = life(tmp_path, *begin, after=chance.uniform(0, 0.3), progress=written)
        assert killed, f"it came to its end before it was killed: {stderr}"
        done += 1
        half_written += len(list((out / "checkpoints").glob(".*.part")))
        if (step := newest(out)) is not None:
            assert not steps or step >= steps[-1]
            steps.append(step)
    begin = ["--resume"] if steps else ["--force", *options]
    life(tmp_path, *begin, "--quiet", "--checkpoint-every", 1000)
    same_end(out, tmp_path / "whole")
    assert not list((out / "checkpoints").glob(".*.part"))
    with capsys.disabled():
        print(
            f"\n{optimizer}, seed {SEED}: {done} kills at random moments, {half_written} of them half way through a "
            f"file, at steps {steps} of {options[3]}; the same end"
        )


def test_killed_while_files_are_written(tmp_path, capsys):
    chance = random.Random(SEED + 1)
    options = ["--hidden", 5, "--steps", 30, "--checkpoint-every", 10, "--keep", 2, "--quiet"]
    _, stderr = life(tmp_path, *options, "--out", "whole")
    calls = int(re.search(r"calls (\d+)", stderr)[1])
    assert calls > 60
    out, places, ended, precious = tmp_path / "out", [], 0, None
    while len(places) < KILLS - 2 * (KILLS // 4):
        begin = ["--resume"] if newest(out) is not None else ["--force", *options]
        at = chance.randint(1, calls)
        killed, _ = life(tmp_path, *begin, kill_at=at)
        if killed:
            places.append(at)
        else:
            ended += 1
            same_end(out, tmp_path / "whole")
            precious = (out / "model.safetensors").read_bytes()
            for path in Store(out, 2).files()[1:]:  # so that the next one has steps to make and files to write
                path.unlink()
        if precious is not None:
            assert (out / "model.safetensors").read_bytes() == precious
    life(tmp_path, "--resume")
    same_end(out, tmp_path / "whole")
    assert not list(out.rglob(".*"))
    with capsys.disabled():
        print(f"\nseed {SEED}: {len(places)} kills while writing, at calls {sorted(places)} of {calls}, "
              f"{ended} ends in between; the same end")  # fmt: skip


def test_the_test_would_notice(tmp_path):
    """A checkpoint that is written in its place, half of it, is not taken for a whole one."""
    options = ["--hidden", 5, "--steps", 30, "--checkpoint-every", 10, "--quiet"]
    train(*options, cwd=tmp_path)
    path = Store(tmp_path / "out", 3).files()[-1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        newest(tmp_path / "out")
